// SPDX-License-Identifier: Apache-2.0
// What a cache would do with the reads of exact decode: an LRU cache of whole rows, fed with every row that the decode
// steps of a trace read, in the order in which they are read. Each step reads each row once, so a row comes again only
// after all others: what is smaller than all rows of a step has let every row go by then, the sinks' among them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "sw/trace/trace.hpp"

namespace kvsink::analysis {

/// An LRU cache of `capacity` keys out of 0..keys-1, empty at first.
class LruCache {
 public:
  LruCache(std::size_t keys, std::size_t capacity);
  /// Reads a key: whether it was there. It is the most recent one afterwards; the least recent one leaves for it.
  bool read(std::size_t key);

 private:
  struct Link {
    std::size_t older, newer;
  };
  void unlink(std::size_t key);
  std::size_t capacity_, used_ = 0;
  std::vector<Link> link_;  // a ring through the sentinel behind the last key: its older is the most recent
  std::vector<bool> present_;
};

struct LruHits {
  double capacity = 0;      ///< as a share of the rows that the first step reads
  std::uint64_t rows = 0;   ///< the same in rows
  std::uint64_t reads = 0;  ///< of rows that some earlier step has read, so that a cache could hold them
  std::uint64_t hits = 0;
  std::uint64_t token_reads = 0;  ///< the same of the rows of the tokens in question
  std::uint64_t token_hits = 0;
};

/// Hits of caches of these capacities (shares of the first step's rows), in all and for the rows of `tokens`. The order
/// of a step: layers, kv heads in them, K then V, positions upwards. As many steps, from the first, as `most_reads`
/// allow, at least two where there are as many.
std::vector<LruHits> lru_hits(const trace::Trace& trace, const std::vector<double>& capacities,
                              const std::vector<std::size_t>& tokens, std::uint64_t most_reads = 5'000'000);

}  // namespace kvsink::analysis

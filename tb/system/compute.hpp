// SPDX-License-Identifier: Apache-2.0
// The compute side of the bench: what an attention engine does with the rows of one path, in C++ for now.
//
// For one (layer, kv head) of a step it collects the K and V rows of each path as the block delivers them, and for
// every query head of the group forms the partial over each path: scores = scale * q.k, lse = ln sum exp(scores), O =
// sum exp(score - lse) * v. Sums are in double, results are rounded once to fp32, which is what goes to the merge.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "sw/models/lse_merge_model.hpp"
#include "tb/system/dut.hpp"
#include "tb/system/row_scoreboard.hpp"

namespace kvsink::tb {

struct Partial {
  float lse = 0;         // -inf when the path served no row
  std::vector<float> o;  // head_dim values
};

/// Rows of one path, in the order in which they came; K and V may come in different orders.
class PathRows {
 public:
  explicit PathRows(uint32_t head_dim) : head_dim_(head_dim) {}
  /// Plane 0 is K, 1 is V; fp16 bytes, head_dim values count.
  void add(uint8_t plane, uint32_t position, std::span<const uint8_t> bytes);
  /// The partial of a query (fp16 bits, head_dim of them). Positions with only one of K and V do not count.
  [[nodiscard]] Partial attend(std::span<const uint16_t> q, double scale) const;
  /// Positions whose K came.
  [[nodiscard]] std::vector<uint32_t> positions() const;

 private:
  struct Entry {
    uint32_t position;
    std::vector<double> values;
  };
  uint32_t head_dim_;
  std::vector<Entry> k_, v_;
};

/// One merge: its partials as beats of the partial stream, and as the bit-exact model takes them.
class MergeInput {
 public:
  /// `lanes` values a beat.
  MergeInput(uint16_t id, uint32_t lanes) : id_(id), lanes_(lanes) {}
  void add(Path path, const Partial& partial, bool last);

  [[nodiscard]] const std::vector<PartialIn>& beats() const { return beats_; }
  [[nodiscard]] model::LseMerge::Result expected() const { return model::LseMerge().merge(partials_); }

 private:
  uint16_t id_;
  uint32_t lanes_;
  std::vector<PartialIn> beats_;
  std::vector<model::LseMerge::Partial> partials_;
};

/// fp16 bits to double, exactly.
double from_fp16(uint16_t bits);

}  // namespace kvsink::tb

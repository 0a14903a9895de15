// SPDX-License-Identifier: Apache-2.0
// One block with all that stands around it: a Bench, software at its registers, the scoreboard of its rows and the
// checker of its residency, joined to each other. Traffic is made by whoever holds it (replay, random, directed).
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "sw/models/event_log_model.hpp"
#include "sw/models/residency_model.hpp"
#include "tb/system/bench.hpp"
#include "tb/system/differences.hpp"
#include "tb/system/host.hpp"
#include "tb/system/kv_cache.hpp"
#include "tb/system/residency_checker.hpp"
#include "tb/system/row_scoreboard.hpp"

namespace kvsink::tb {

class Instance {
 public:
  /// The bench and its sizes; null with a message in `why` when there is no such block.
  static std::unique_ptr<Instance> make(const BenchOptions& options, Differences& report, std::string& why);

  /// A cache of this shape (of which beat_bytes is filled in) from `region` of the memory on, its block table written.
  void lay_out(KvShape shape, uint64_t region, uint64_t seed);
  [[nodiscard]] KvCache& cache() { return *cache_; }
  void write_row(uint32_t layer, uint32_t plane, uint32_t position, uint32_t head, std::span<const uint8_t> data);

  /// Tells the block where rows lie and what its registers hold, and the models the same. `q_heads` are scored.
  /// `expected` may be empty where rows().judge() is set. Empty, or one line.
  std::string configure(const RowLayout& layout, uint32_t q_heads, const Registers& registers, RowBytes expected);
  /// The same for the rows of the cache.
  std::string configure(uint32_t q_heads, const Registers& registers, RowBytes expected);
  /// Slots that the SRAM holds of whole tokens of the cache: all layers, heads and planes.
  [[nodiscard]] uint32_t token_slots() const;
  /// Profile `profile` of whole tokens, in all of these slots.
  Answer set_whole_profile(uint32_t profile);

  [[nodiscard]] bool configured() const { return residency_ != nullptr; }
  [[nodiscard]] Bench& bench() { return *bench_; }
  [[nodiscard]] Host& host() { return *host_; }
  [[nodiscard]] const Capabilities& caps() const { return caps_; }
  [[nodiscard]] uint32_t beat_bytes() const { return bench_->beat_bytes(); }
  [[nodiscard]] RowScoreboard& rows() { return *rows_; }
  [[nodiscard]] ResidencyChecker& residency() { return *residency_; }
  /// Takes the records that the log holds, gives them to the checker, and appends them to `records`.
  void drain(std::vector<model::LogRecord>& records);

 private:
  explicit Instance(Differences& report) : report_(report) {}

  Differences& report_;
  std::unique_ptr<Bench> bench_;
  std::unique_ptr<Host> host_;
  Capabilities caps_;
  std::unique_ptr<KvCache> cache_;
  MemoryWrite write_;
  std::unique_ptr<RowScoreboard> rows_;
  std::unique_ptr<ResidencyChecker> residency_;
};

}  // namespace kvsink::tb

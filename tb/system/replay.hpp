// SPDX-License-Identifier: Apache-2.0
// A captured trace through the whole block: scores, placement, promotion, decode, merge. Every row, every output, every
// record and every path is compared; nothing the block should compute is computed here.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "sw/models/event_log_file.hpp"
#include "sw/planner/planner.hpp"
#include "sw/trace/trace.hpp"
#include "tb/system/bench.hpp"
#include "tb/system/differences.hpp"
#include "tb/system/kv_cache.hpp"
#include "tb/system/residency_checker.hpp"
#include "tb/system/row_scoreboard.hpp"

namespace kvsink::tb {

enum class Policy { kSinks, kFill, kDynamic, kHbm };

struct ReplaySettings {
  BenchOptions bench;
  Policy policy = Policy::kSinks;
  int64_t budget = -1;                 // SRAM_budget in slots; -1: as many as the SRAM holds
  bool wait = true;                    // wait_promotions before the first step; false: start early, by watermark
  bool keep_and_follow = true;         // K with keep, V follows; false: one request for both planes
  uint32_t steps = 0;                  // decode steps to run; 0: all of the trace
  std::optional<uint32_t> burst_cost;  // BURST_COST; nothing: as after reset
  bool heads_outside = false;          // layout of the cache: heads outside tokens
  /// Tokens drafted at a time, in a window; 0: none. A random number of each draft is accepted, the rows of the others
  /// hold something else and are written again.
  uint32_t draft = 0;
  uint64_t draft_seed = 1;
  bool settle = false;                // wait_promotions after each step_end, so that placements do not depend on time
  std::optional<planner::Plan> plan;  // in place of the prefill's scores
  /// Called once rows and block table of the prefill are in memory.
  std::function<void(Bench&, const KvCache&)> on_start;
  /// Called at the beginning of each decode step, for tests that break something.
  std::function<void(Bench&, uint32_t step)> on_step;
  /// Called about once in 2,000 cycles with the steps done, for progress.
  std::function<void(uint32_t done, uint32_t all)> on_progress;
};

struct ReplayResult {
  std::string error;       // not empty: the replay could not be run or did not end; one line
  bool bad_input = false;  // because of its input: a trace beyond the configuration, a file that cannot be written

  // check
  RowCounts rows;
  uint64_t events_checked = 0, events_wrong = 0;
  uint64_t outputs_checked = 0, outputs_wrong = 0;
  double max_error_ulp = 0;  // against exact arithmetic on the same rows, ulp(fp32) of M
  double max_abs_error = 0;  // against the trace's own outputs
  double largest_v = 0;      // of the trace, to hold max_abs_error against
  uint64_t paths_unchecked = 0;

  // bytes
  uint64_t kv_needed = 0, hbm_bulk = 0, hbm_promotion = 0, hbm_dropped = 0, hbm_table = 0, sram = 0,
           repromoted_rows = 0;

  uint64_t drafted = 0, accepted = 0, rolled_back = 0;  // tokens, tokens, windows
  uint64_t draft_rows_from_sram = 0;                    // rows at or above the committed length: never
  std::vector<Placed> sinks;
  struct PlanEnd {
    uint32_t items = 0, done = 0, missed = 0, denied_promotions = 0, denied_evictions = 0;
  };
  std::optional<PlanEnd> plan;
  double sram_mass = 0;    // fraction of the attention mass that SRAM served, from the block's counters
  double golden_mass = 0;  // the same from exact attention; beyond the resolution of the counters it is a difference
  uint64_t cycles_total = 0, cycles_prefill = 0, cycles_decode = 0;
  uint64_t bus_beats = 0;  // beats on the memory port during decode
  double decode_utilisation = 0;
  uint64_t promoted = 0, evicted = 0, refused = 0, peak_slots = 0;

  trace::Outputs outputs;
  model::LogFile log;     // as software drained it, with the register pair
  std::string placement;  // of the model at the end: every slot with owner, position, contract, E and runs
  /// Positions from SRAM of each output, in the order of `outputs`.
  std::vector<std::vector<uint32_t>> served;
  Differences differences;

  [[nodiscard]] uint64_t tokens_decoded() const { return outputs.N; }
  [[nodiscard]] bool equal() const {
    return error.empty() && rows.wrong + rows.missing + rows.repeated + rows.false_miss + rows.false_hit == 0 &&
           events_wrong == 0 && outputs_wrong == 0 && differences.count() == 0;
  }
};

/// Runs a replay. Bad input (a trace beyond the configuration) comes back as `error`.
ReplayResult replay(const trace::Trace& trace, const ReplaySettings& settings);

}  // namespace kvsink::tb

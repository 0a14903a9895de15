// SPDX-License-Identifier: Apache-2.0
// Software at the registers of a Bench: the driver library (sw/driver) with a back end that runs AXI4-Lite transfers on
// the Verilated model. Nothing here touches the block by another way.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "sw/models/event_log_model.hpp"
#include "sw/planner/planner.hpp"
#include "tb/system/bench.hpp"
#include "tb/system/kv_cache.hpp"

namespace kvsink::tb {

/// Sizes of the instance, from its capability registers.
struct Capabilities {
  uint32_t layers = 0, q_heads = 0, kv_heads = 0, row_bytes = 0, positions = 0, scored = 0, owners = 0, entries = 0;
  uint32_t slots = 0, sram_bytes = 0, readers = 0, profiles = 0, lanes = 0, bus_bits = 0, log_records = 0;
  uint32_t plans = 0, plan_items = 0;
};

struct Registers {
  uint32_t sram_budget = 0;
  double t_sink = 3.0, t_promote = 3.0, t_evict = 1.5;
  bool dynamic = false;
  std::optional<uint32_t> burst_cost;  // nothing: as after reset
  uint32_t min_distance = 32, min_queries = 32;
  uint32_t alpha = 58982, n_promote = 12, n_dwell = 12, n_evict = 12;
  uint32_t bus_timeout = 0;  // cycles; 0: memory may take for ever
};

/// Where rows lie, as the registers are told: K and V in two tensors of a layer.
struct RowLayout {
  uint32_t layers = 1, page_tokens = 16, block_bits = 24, row_stride = 0;
  uint64_t stride_block = 0, stride_head = 0, stride_token = 0;
  std::function<uint64_t(uint32_t layer, uint32_t plane)> base;
};

struct Owner {
  uint32_t number = 0;
  uint64_t table_base = 0;
  uint32_t length = 0, committed = 0;
  uint32_t profile = 0;
  uint32_t slot_min = 0, slot_max = 0xffff;
  uint32_t tenant = 0;
  bool is_public = false;
  bool has_prefix = false;
  uint32_t prefix_owner = 0, prefix_length = 0;
};

/// Answer of a command; `status` is kvsink_pkg::status_e, or 0xff with `error` set when the driver gave up.
struct Answer {
  uint8_t status = 0xff;
  uint32_t value0 = 0;
  uint64_t value1 = 0;
  uint32_t cycles = 0;
  std::string error;
  [[nodiscard]] bool ok() const { return status == 0; }
};

struct PlanState {
  bool active = false;
  uint32_t step = 0, next = 0, missed = 0, denied_promotions = 0, denied_evictions = 0;
};

struct Counters {
  uint64_t cycles = 0, sink_rows = 0, bulk_rows = 0, sink_beats = 0, bulk_beats = 0, error_rows = 0, dropped_beats = 0;
  uint64_t table_beats = 0, promo_beats = 0, port_bulk_beats = 0;
  uint64_t granted = 0, refused = 0, resident = 0, failed = 0, left = 0, evicted = 0;
  uint64_t merges = 0;
  double mass = 0;  // sum over merges of the sink partials' weight
};

class Host {
 public:
  explicit Host(Bench& bench);
  ~Host();
  Host(const Host&) = delete;
  Host& operator=(const Host&) = delete;

  /// Reads the capabilities; an error text when the block does not answer as expected.
  std::string probe(Capabilities& caps);
  std::string configure(const RowLayout& rows, const Registers& registers, uint32_t head_count_q);
  /// All layers, heads and both planes of the cache in slots first..first+count-1, from SRAM beat `base` on.
  Answer set_profile(uint32_t profile, uint32_t layers, uint64_t head_mask, uint32_t planes, uint32_t first,
                     uint32_t count, uint32_t base);
  Answer set_owner(const Owner& owner);
  Answer reset_owner(uint32_t owner);
  Answer set_length(uint32_t owner, uint32_t length, uint32_t committed);
  Answer promote(uint32_t owner, uint32_t position, uint32_t profile, uint32_t dwell);
  Answer let_go(uint32_t owner, uint32_t first, uint32_t count);
  Answer abort(uint32_t owner, uint32_t first, uint32_t count);
  Answer retire(uint32_t owner, uint32_t first, uint32_t count, bool all = false);
  Answer step_end(uint32_t owner, bool prefill, bool no_scores);
  Answer open(uint32_t owner);
  Answer commit(uint32_t owner, uint32_t count);
  Answer wait_promotions(uint32_t owner);
  Answer plan(uint32_t owner, const planner::Plan& plan);
  PlanState plan_state(uint32_t owner);
  Counters counters();
  /// Takes the records that the log holds, at most as many as its ring has: others may come as fast.
  std::vector<std::array<uint32_t, 8>> drain_log();
  /// Sequence and CRC of the last record written, of one moment.
  std::pair<uint32_t, uint32_t> log_last();
  /// A counter of the registers (kvs_counter).
  uint64_t counter(unsigned which);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace kvsink::tb

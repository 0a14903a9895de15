// SPDX-License-Identifier: Apache-2.0
#include "tb/system/host.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "sw/driver/include/kvs.h"

namespace kvsink::tb {
namespace {

int bus_read(void* context, uint32_t addr, uint32_t* value) {
  return static_cast<Bench*>(context)->read32(addr, *value);
}
int bus_write(void* context, uint32_t addr, uint32_t value) {
  return static_cast<Bench*>(context)->write32(addr, value);
}

/// Polls are cheap in a simulation and a promotion may take long.
constexpr uint32_t kPolls = 1'000'000;

}  // namespace

struct Host::Impl {
  kvs driver{};

  std::string text(int result) const {
    std::string why = kvs_result_text(result);
    if (result == KVS_ERR_RANGE && driver.field != nullptr) why += fmt::format(" ({})", driver.field);
    return why;
  }
  Answer answer(int result, const kvs_done& done) const {
    Answer a;
    if (result != KVS_OK && result != KVS_ERR_STATUS) {
      a.error = text(result);
      return a;
    }
    a.status = done.status;
    a.value0 = done.value0;
    a.value1 = done.value1;
    a.cycles = done.cycles;
    return a;
  }
  uint64_t counter(kvs_counter which) {
    uint64_t value = 0;
    kvs_read_counter(&driver, which, &value);
    return value;
  }
};

Host::Host(Bench& bench) : impl_(std::make_unique<Impl>()) { impl_->driver.io = {&bench, bus_read, bus_write}; }
Host::~Host() = default;

std::string Host::probe(Capabilities& caps) {
  const kvs_io io = impl_->driver.io;
  if (const int result = kvs_probe(&impl_->driver, io); result != KVS_OK) return "kvs_probe: " + impl_->text(result);
  impl_->driver.poll_limit = kPolls;
  const kvs_caps& c = impl_->driver.caps;
  caps = {c.layers,     c.q_heads, c.kv_heads, c.row_bytes, c.positions, c.scored,      c.owners, c.entries,   c.slots,
          c.sram_bytes, c.readers, c.profiles, c.lanes,     c.bus_bits,  c.log_records, c.plans,  c.plan_items};
  return {};
}

std::string Host::configure(const RowLayout& rows, const Registers& registers, uint32_t head_count_q) {
  kvs& k = impl_->driver;
  kvs_layout layout{};
  layout.layers = rows.layers;
  while ((1U << layout.page_log2) < rows.page_tokens) ++layout.page_log2;
  layout.block_bits = rows.block_bits;
  layout.stride[0] = {rows.stride_block, static_cast<uint32_t>(rows.stride_head),
                      static_cast<uint32_t>(rows.stride_token)};
  for (uint8_t plane = 0; plane < KvCache::kPlanes; ++plane) {
    layout.plane[plane] = {true, plane, 0, 0, rows.row_stride, 0};
  }
  if (const int result = kvs_set_layout(&k, &layout); result != KVS_OK) return "kvs_set_layout: " + impl_->text(result);
  for (uint32_t layer = 0; layer < rows.layers; ++layer) {
    for (uint32_t plane = 0; plane < KvCache::kPlanes; ++plane) {
      if (const int result = kvs_set_base(&k, layer, plane, rows.base(layer, plane)); result != KVS_OK) {
        return "kvs_set_base: " + impl_->text(result);
      }
    }
  }
  kvs_policy policy{};
  if (const int result = kvs_get_policy(&k, &policy); result != KVS_OK) return "kvs_get_policy: " + impl_->text(result);
  policy.sram_budget = registers.sram_budget;
  policy.t_sink = kvs_score(registers.t_sink);
  policy.t_promote = kvs_score(registers.t_promote);
  policy.t_evict = kvs_score(registers.t_evict);
  policy.alpha = registers.alpha;
  policy.n_promote = registers.n_promote;
  policy.n_dwell = registers.n_dwell;
  policy.n_evict = registers.n_evict;
  policy.dynamic = registers.dynamic;
  policy.burst_cost = registers.burst_cost.value_or(policy.burst_cost);
  policy.score_min_distance = registers.min_distance;
  policy.score_min_queries = registers.min_queries;
  policy.bus_timeout = registers.bus_timeout;
  policy.layer_first = 0;
  policy.layer_count = rows.layers;
  for (uint32_t word = 0; word < 4; ++word) {
    policy.head_mask[word] = 0;
    for (uint32_t bit = 0; bit < 32 && word * 32 + bit < head_count_q; ++bit) policy.head_mask[word] |= 1U << bit;
  }
  if (const int result = kvs_set_policy(&k, &policy); result != KVS_OK) return "kvs_set_policy: " + impl_->text(result);
  return {};
}

Answer Host::set_profile(uint32_t profile, uint32_t layers, uint64_t head_mask, uint32_t planes, uint32_t first,
                         uint32_t count, uint32_t base) {
  const kvs_profile shape{0, layers, head_mask, static_cast<uint8_t>(planes), first, count, base};
  kvs_done done{};
  return impl_->answer(kvs_set_profile(&impl_->driver, static_cast<uint16_t>(profile), &shape, &done), done);
}

Answer Host::set_owner(const Owner& owner) {
  const kvs_owner context{static_cast<uint16_t>(owner.tenant),
                          owner.is_public,
                          owner.table_base,
                          owner.length,
                          owner.committed,
                          owner.has_prefix,
                          static_cast<uint16_t>(owner.prefix_owner),
                          owner.prefix_length,
                          static_cast<uint16_t>(owner.profile),
                          owner.slot_min,
                          std::min(owner.slot_max, impl_->driver.caps.slots)};
  kvs_done done{};
  return impl_->answer(kvs_set_owner(&impl_->driver, static_cast<uint16_t>(owner.number), &context, &done), done);
}

Answer Host::reset_owner(uint32_t owner) {
  kvs_done done{};
  return impl_->answer(kvs_reset_owner(&impl_->driver, static_cast<uint16_t>(owner), &done), done);
}

Answer Host::set_length(uint32_t owner, uint32_t length, uint32_t committed) {
  kvs_done done{};
  return impl_->answer(kvs_set_length(&impl_->driver, static_cast<uint16_t>(owner), length, committed, &done), done);
}

Answer Host::promote(uint32_t owner, uint32_t position, uint32_t profile, uint32_t dwell) {
  const kvs_promotion promotion{
      static_cast<uint16_t>(owner), position, static_cast<uint16_t>(profile), static_cast<uint16_t>(dwell), 0, 0, 0};
  kvs_done done{};
  return impl_->answer(kvs_promote(&impl_->driver, &promotion, &done), done);
}

Answer Host::let_go(uint32_t owner, uint32_t first, uint32_t count) {
  kvs_done done{};
  return impl_->answer(kvs_let_go(&impl_->driver, static_cast<uint16_t>(owner), first, count, &done), done);
}

Answer Host::abort(uint32_t owner, uint32_t first, uint32_t count) {
  kvs_done done{};
  return impl_->answer(kvs_abort(&impl_->driver, static_cast<uint16_t>(owner), first, count, &done), done);
}

Answer Host::retire(uint32_t owner, uint32_t first, uint32_t count, bool all) {
  kvs_done done{};
  const int result = all ? kvs_retire_all(&impl_->driver, &done)
                         : kvs_retire(&impl_->driver, static_cast<uint16_t>(owner), first, count, &done);
  return impl_->answer(result, done);
}

Answer Host::step_end(uint32_t owner, bool prefill, bool no_scores) {
  kvs_done done{};
  return impl_->answer(kvs_step_end(&impl_->driver, static_cast<uint16_t>(owner), prefill, no_scores, &done), done);
}

Answer Host::open(uint32_t owner) {
  kvs_done done{};
  return impl_->answer(kvs_open(&impl_->driver, static_cast<uint16_t>(owner), &done), done);
}

Answer Host::commit(uint32_t owner, uint32_t count) {
  kvs_done done{};
  return impl_->answer(kvs_commit(&impl_->driver, static_cast<uint16_t>(owner), count, &done), done);
}

Answer Host::wait_promotions(uint32_t owner) {
  kvs_done done{};
  return impl_->answer(kvs_wait_promotions(&impl_->driver, static_cast<uint16_t>(owner), &done), done);
}

Answer Host::plan(uint32_t owner, const planner::Plan& plan) {
  const kvs_envelope envelope{static_cast<uint8_t>(plan.adapt_promotions), static_cast<uint8_t>(plan.adapt_evictions),
                              static_cast<uint16_t>(plan.adapt_slots)};
  std::vector<kvs_plan_item> items;
  for (const planner::Item& i : plan.items) {
    items.push_back({static_cast<uint8_t>(i.kind), static_cast<uint8_t>(i.tier), static_cast<uint16_t>(i.step),
                     static_cast<uint16_t>(i.dwell), i.first, i.count, i.from, i.until});
  }
  kvs_done done{};
  return impl_->answer(
      kvs_plan(&impl_->driver, static_cast<uint16_t>(owner), &envelope, items.data(), items.size(), &done), done);
}

PlanState Host::plan_state(uint32_t owner) {
  kvs_plan_state s{};
  if (kvs_get_plan(&impl_->driver, static_cast<uint16_t>(owner), &s) != KVS_OK) return {};
  return {s.active, s.step, s.next, s.missed, s.denied_promotions, s.denied_evictions};
}

Counters Host::counters() {
  Counters c;
  c.cycles = impl_->counter(KVS_COUNT_CYCLES);
  c.sink_rows = impl_->counter(KVS_COUNT_SINK_ROWS);
  c.bulk_rows = impl_->counter(KVS_COUNT_BULK_ROWS);
  c.sink_beats = impl_->counter(KVS_COUNT_SINK_BEATS);
  c.bulk_beats = impl_->counter(KVS_COUNT_BULK_ROW_BEATS);
  c.error_rows = impl_->counter(KVS_COUNT_ERROR_ROWS);
  c.dropped_beats = impl_->counter(KVS_COUNT_DROPPED_BEATS);
  c.table_beats = impl_->counter(KVS_COUNT_TABLE_BEATS);
  c.promo_beats = impl_->counter(KVS_COUNT_PROMO_BEATS);
  c.port_bulk_beats = impl_->counter(KVS_COUNT_BULK_BEATS);
  c.granted = impl_->counter(KVS_COUNT_GRANTED);
  c.refused = impl_->counter(KVS_COUNT_REFUSED);
  c.resident = impl_->counter(KVS_COUNT_RESIDENT);
  c.failed = impl_->counter(KVS_COUNT_FAILED);
  c.left = impl_->counter(KVS_COUNT_LEFT);
  c.evicted = impl_->counter(KVS_COUNT_EVICTED);
  c.merges = impl_->counter(KVS_COUNT_MERGES_WEIGHTED);
  c.mass = static_cast<double>(impl_->counter(KVS_COUNT_SINK_MASS)) / 2147483648.0;
  return c;
}

std::vector<std::array<uint32_t, 8>> Host::drain_log() {
  std::vector<std::array<uint32_t, 8>> records;
  kvs_record record{};
  while (records.size() < impl_->driver.caps.log_records && kvs_take_record(&impl_->driver, &record) == KVS_OK) {
    std::array<uint32_t, 8> words{};
    std::copy_n(record.raw, words.size(), words.begin());
    records.push_back(words);
  }
  return records;
}

std::pair<uint32_t, uint32_t> Host::log_last() {
  uint32_t sequence = 0, crc = 0;
  kvs_log_last(&impl_->driver, &sequence, &crc);
  return {sequence, crc};
}

uint64_t Host::counter(unsigned which) { return impl_->counter(static_cast<kvs_counter>(which)); }

}  // namespace kvsink::tb

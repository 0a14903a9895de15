// SPDX-License-Identifier: Apache-2.0
// The driver against a fake of the registers: what it writes where, what it refuses to write, how it follows commands,
// and that its lists of numbers are those of the RTL.
#include <array>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <fstream>
#include <functional>
#include <map>
#include <regex>
#include <set>
#include <sstream>
#include <string>
#include <vector>

#include "support/catch.hpp"
#include "sw/driver/include/kvs.h"
#include "sw/driver/include/kvsink_regs.h"

namespace {

#define REG(member) static_cast<uint32_t>(offsetof(kvsink_regs_t, member))

using Words = std::array<uint32_t, 16>;

/// Registers without a block: what is written is held and listed; commands are answered by `answer`.
class Fake {
 public:
  Fake() {
    regs[REG(id)] = KVSINK_REGS__ID__VALUE_reset;
    regs[REG(version)] = KVSINK_REGS__VERSION__MAJOR_reset << 16;
    const uint32_t caps[] = {1, 128, 128, 64,  1152, 131072, 32768, 64, 64, 256, 4194304, 2048, 8,
                             4, 8,   256, 128, 1024, 64,     512,   8,  4,  4,   8,       2,    64};
    for (uint32_t i = 0; i < 26; i++) regs[REG(cap_config_id) + 4 * i] = caps[i];
    answer = [](const Words& c) { return Words{(c[0] & 0xffff00ff), 11, 22, 33, 44}; };
  }

  kvs_io io() {
    return {this, [](void* f, uint32_t a, uint32_t* v) { return static_cast<Fake*>(f)->read(a, *v); },
            [](void* f, uint32_t a, uint32_t v) { return static_cast<Fake*>(f)->write(a, v); }};
  }

  int read(uint32_t addr, uint32_t& value) {
    reads++;
    if (fail_at == addr) return 1;
    if (addr == REG(status)) {
      if (busy_polls > 0) {
        busy_polls--;
        value = 1;
        return 0;
      }
      if (done_polls > 0) {
        done_polls--;
        value = 0;
        return 0;
      }
      value = (dones.empty() ? 0u : 2u) | (records.empty() ? 0u : 4u);
    } else if (addr >= REG(done) && addr < REG(done) + 32) {
      value = dones.empty() ? 0 : dones.front()[(addr - REG(done)) / 4];
    } else if (addr >= REG(log) && addr < REG(log) + 32) {
      value = records.empty() ? 0 : records.front()[(addr - REG(log)) / 4];
    } else {
      value = regs.count(addr) != 0 ? regs[addr] : 0;
    }
    return 0;
  }

  int write(uint32_t addr, uint32_t value) {
    if (fail_at == addr) return 1;
    written.emplace_back(addr, value);
    regs[addr] = value;
    if (addr == REG(doorbell)) {
      Words c{};
      for (uint32_t i = 0; i < 16; i++) c[i] = regs[REG(cmd) + 4 * i];
      commands.push_back(c);
      if (reorder) {
        dones.push_front(answer(c));
      } else {
        dones.push_back(answer(c));
      }
    }
    if (addr == REG(done_pop)) dones.pop_front();
    if (addr == REG(log_pop)) records.pop_front();
    return 0;
  }

  std::map<uint32_t, uint32_t> regs;
  std::vector<std::pair<uint32_t, uint32_t>> written;
  std::vector<Words> commands;
  std::deque<Words> dones, records;
  std::function<Words(const Words&)> answer;
  uint32_t fail_at = 1, busy_polls = 0, done_polls = 0;
  bool reorder = false;
  unsigned reads = 0;
};

struct Ready {
  Fake fake;
  kvs k{};
  Ready() { REQUIRE(kvs_probe(&k, fake.io()) == KVS_OK); }
  /// Nothing may be written when a value is refused.
  void refused(int result, const std::string& field) {
    CHECK(result == KVS_ERR_RANGE);
    CHECK(k.field == field);
    CHECK(fake.written.empty());
    CHECK(fake.commands.empty());
  }
};

kvs_layout layout_of(uint32_t layers) {
  kvs_layout l{};
  l.layers = layers;
  l.page_log2 = 5;
  l.block_bits = 20;
  l.stride[0] = {UINT64_C(0x1200000000), 4096, 128};
  l.plane[0] = {true, 0, 0, 0, 256, 0};
  l.plane[1] = {true, 1, 0, 0, 256, 64};
  l.plane[6] = {true, 3, 2, 3, 32, 32};
  return l;
}

std::map<std::string, unsigned> enum_of_package(const std::string& prefix) {
  std::ifstream file("rtl/pkg/kvsink_pkg.sv");
  std::stringstream text;
  text << file.rdbuf();
  const std::string s = text.str();
  const std::regex line("\\b" + prefix + "([A-Z][A-Za-z]*) *= *8'h([0-9a-f]+)");
  std::map<std::string, unsigned> out;
  for (std::sregex_iterator it(s.begin(), s.end(), line), end; it != end; ++it) {
    std::string name;
    for (const char c : (*it)[1].str()) {
      if (c >= 'A' && c <= 'Z') {
        if (!name.empty()) name += '_';
        name += c;
      } else {
        name += static_cast<char>(c - 'a' + 'A');
      }
    }
    out[name] = static_cast<unsigned>(std::stoul((*it)[2].str(), nullptr, 16));
  }
  return out;
}

}  // namespace

TEST_CASE("the driver's statuses and opcodes are those of the RTL", "[driver]") {
  const std::map<std::string, unsigned> status = {
      {"OK", KVS_ST_OK},
      {"BUDGET", KVS_ST_BUDGET},
      {"NO_SLOT", KVS_ST_NO_SLOT},
      {"NO_ENTRY", KVS_ST_NO_ENTRY},
      {"WINDOW", KVS_ST_WINDOW},
      {"BAD_OWNER", KVS_ST_BAD_OWNER},
      {"BAD_RANGE", KVS_ST_BAD_RANGE},
      {"BAD_PROFILE", KVS_ST_BAD_PROFILE},
      {"LOG_FULL", KVS_ST_LOG_FULL},
      {"BAD_COMMAND", KVS_ST_BAD_COMMAND},
      {"BUSY", KVS_ST_BUSY},
      {"TENANT", KVS_ST_TENANT},
      {"UNMAPPED", KVS_ST_UNMAPPED},
      {"GENERATION", KVS_ST_GENERATION},
      {"BUS_ERROR", KVS_ST_BUS_ERROR},
      {"TIMEOUT", KVS_ST_TIMEOUT},
      {"ABORTED", KVS_ST_ABORTED},
      {"DEADLINE", KVS_ST_DEADLINE},
      {"ALREADY", KVS_ST_ALREADY},
      {"NOT_RESIDENT", KVS_ST_NOT_RESIDENT},
      {"EVICTED", KVS_ST_EVICTED},
      {"THRESHOLD", KVS_ST_THRESHOLD},
      {"COMMAND", KVS_ST_COMMAND},
      {"RETIRED", KVS_ST_RETIRED},
      {"STALE", KVS_ST_STALE},
      {"NO_PLAN", KVS_ST_NO_PLAN},
      {"PLAN", KVS_ST_PLAN},
  };
  CHECK(enum_of_package("St") == status);
  std::set<std::string> texts;
  for (const auto& [name, value] : status) texts.insert(kvs_status_text(value));
  CHECK(texts.size() == status.size());
  CHECK(texts.count("unknown status") == 0);
  CHECK(std::string(kvs_status_text(200)) == "unknown status");

  const std::map<std::string, unsigned> opcode = {
      {"SET_OWNER", KVS_OP_SET_OWNER},
      {"SET_LENGTH", KVS_OP_SET_LENGTH},
      {"SET_PROFILE", KVS_OP_SET_PROFILE},
      {"PROMOTE", KVS_OP_PROMOTE},
      {"LET_GO", KVS_OP_LET_GO},
      {"ABORT", KVS_OP_ABORT},
      {"RETIRE", KVS_OP_RETIRE},
      {"STEP_END", KVS_OP_STEP_END},
      {"OPEN", KVS_OP_OPEN},
      {"COMMIT", KVS_OP_COMMIT},
      {"PLAN", KVS_OP_PLAN},
      {"WAIT_PROMOTIONS", KVS_OP_WAIT_PROMOTIONS},
  };
  CHECK(enum_of_package("Op") == opcode);
}

TEST_CASE("each counter is read from its own register, low word first", "[driver]") {
#define COUNTER_AT(name) \
  static_cast<uint32_t>(offsetof(kvsink_regs_t, count) + offsetof(kvsink_regs__count_t, name##_lo))
  const std::map<kvs_counter, uint32_t> at = {
      {KVS_COUNT_CYCLES, COUNTER_AT(cycles)},
      {KVS_COUNT_TABLE_BEATS, COUNTER_AT(table_beats)},
      {KVS_COUNT_BULK_BEATS, COUNTER_AT(bulk_beats)},
      {KVS_COUNT_PROMO_BEATS, COUNTER_AT(promo_beats)},
      {KVS_COUNT_TABLE_BURSTS, COUNTER_AT(table_bursts)},
      {KVS_COUNT_BULK_BURSTS, COUNTER_AT(bulk_bursts)},
      {KVS_COUNT_PROMO_BURSTS, COUNTER_AT(promo_bursts)},
      {KVS_COUNT_AR_STALLS, COUNTER_AT(ar_stalls)},
      {KVS_COUNT_R_IDLES, COUNTER_AT(r_idles)},
      {KVS_COUNT_ERROR_BEATS, COUNTER_AT(error_beats)},
      {KVS_COUNT_SINK_ROWS, COUNTER_AT(sink_rows)},
      {KVS_COUNT_SINK_BEATS, COUNTER_AT(sink_beats)},
      {KVS_COUNT_BULK_ROWS, COUNTER_AT(bulk_rows)},
      {KVS_COUNT_BULK_ROW_BEATS, COUNTER_AT(bulk_row_beats)},
      {KVS_COUNT_ERROR_ROWS, COUNTER_AT(error_rows)},
      {KVS_COUNT_DROPPED_BEATS, COUNTER_AT(dropped_beats)},
      {KVS_COUNT_REQUESTS, COUNTER_AT(requests)},
      {KVS_COUNT_KEEP_REFUSED, COUNTER_AT(keep_refused)},
      {KVS_COUNT_SINK_STALLS, COUNTER_AT(sink_stalls)},
      {KVS_COUNT_BULK_STALLS, COUNTER_AT(bulk_stalls)},
      {KVS_COUNT_SRAM_CONFLICTS, COUNTER_AT(sram_conflicts)},
      {KVS_COUNT_GRANTED, COUNTER_AT(granted)},
      {KVS_COUNT_REFUSED, COUNTER_AT(refused)},
      {KVS_COUNT_RESIDENT, COUNTER_AT(resident)},
      {KVS_COUNT_FAILED, COUNTER_AT(failed)},
      {KVS_COUNT_LEFT, COUNTER_AT(left)},
      {KVS_COUNT_EVICTED, COUNTER_AT(evicted)},
      {KVS_COUNT_DEADLINE_MISSED, COUNTER_AT(deadline_missed)},
      {KVS_COUNT_MERGES, COUNTER_AT(merges)},
      {KVS_COUNT_MERGES_WEIGHTED, COUNTER_AT(merges_weighted)},
      {KVS_COUNT_MERGE_NANS, COUNTER_AT(merge_nans)},
      {KVS_COUNT_MERGE_ERRORS, COUNTER_AT(merge_errors)},
      {KVS_COUNT_SCORE_BEATS, COUNTER_AT(score_beats)},
      {KVS_COUNT_SCORE_SATURATED, COUNTER_AT(score_saturated)},
      {KVS_COUNT_SCORE_DISCARDED, COUNTER_AT(score_discarded)},
      {KVS_COUNT_SCORE_MALFORMED, COUNTER_AT(score_malformed)},
      {KVS_COUNT_SINK_TIMEOUTS, COUNTER_AT(sink_timeouts)},
      {KVS_COUNT_BULK_TIMEOUTS, COUNTER_AT(bulk_timeouts)},
      {KVS_COUNT_STRAY_BEATS, COUNTER_AT(stray_beats)},
      {KVS_COUNT_SLOT_CYCLES, COUNTER_AT(slot_cycles)},
      {KVS_COUNT_SINK_MASS, COUNTER_AT(sink_mass)},
      {KVS_COUNT_COMMANDS, COUNTER_AT(commands)},
      {KVS_COUNT_COMPLETIONS, COUNTER_AT(completions)},
      {KVS_COUNT_REGISTER_ERRORS, COUNTER_AT(register_errors)},
      {KVS_COUNT_WALK_HITS, COUNTER_AT(walk_hits)},
      {KVS_COUNT_WALK_READS, COUNTER_AT(walk_reads)},
      {KVS_COUNT_WALK_PREFETCHES, COUNTER_AT(walk_prefetches)},
      {KVS_COUNT_WALK_DROPPED, COUNTER_AT(walk_dropped)},
      {KVS_COUNT_ROLLBACKS, COUNTER_AT(rollbacks)},
      {KVS_COUNT_REFERENCES, COUNTER_AT(references)},
      {KVS_COUNT_RELEASES, COUNTER_AT(releases)},
      {KVS_COUNT_REFUSED_BUDGET, COUNTER_AT(refused_budget)},
      {KVS_COUNT_REFUSED_NO_SLOT, COUNTER_AT(refused_no_slot)},
      {KVS_COUNT_REFUSED_NO_ENTRY, COUNTER_AT(refused_no_entry)},
      {KVS_COUNT_REFUSED_WINDOW, COUNTER_AT(refused_window)},
      {KVS_COUNT_REFUSED_LOG_FULL, COUNTER_AT(refused_log_full)},
      {KVS_COUNT_PLACED, COUNTER_AT(placed)},
      {KVS_COUNT_PLAN_MISSED, COUNTER_AT(plan_missed)},
      {KVS_COUNT_PLAN_DENIED_PROMOTIONS, COUNTER_AT(plan_denied_promotions)},
      {KVS_COUNT_PLAN_DENIED_EVICTIONS, COUNTER_AT(plan_denied_evictions)},
      {KVS_COUNT_PROMO_FAR_BEATS, COUNTER_AT(promo_far_beats)},
      {KVS_COUNT_WALK_ANSWERS, COUNTER_AT(walk_answers)},
      {KVS_COUNT_FILLING_CYCLES, COUNTER_AT(filling_cycles)},
      {KVS_COUNT_RECORD_CYCLES, COUNTER_AT(record_cycles)},
  };
  REQUIRE(at.size() == KVS_COUNTERS);
  Ready r;
  std::set<std::string> names;
  for (const auto& [counter, addr] : at) {
    r.fake.regs[addr] = 0x80000000u + counter;
    r.fake.regs[addr + 4] = counter;
    names.insert(kvs_counter_name(counter));
  }
  CHECK(names.size() == KVS_COUNTERS);
  for (const auto& [counter, addr] : at) {
    uint64_t value = 0;
    INFO(kvs_counter_name(counter));
    CHECK(kvs_read_counter(&r.k, counter, &value) == KVS_OK);
    CHECK(value == (uint64_t{static_cast<unsigned>(counter)} << 32 | (0x80000000u + counter)));
  }
  uint64_t value = 0;
  CHECK(kvs_read_counter(&r.k, KVS_COUNTERS, &value) == KVS_ERR_RANGE);
}

TEST_CASE("probe reads the sizes, and knows when there is no kvsink", "[driver]") {
  Ready r;
  CHECK(r.k.caps.layers == 128);
  CHECK(r.k.caps.row_bytes == 1152);
  CHECK(r.k.caps.slots == 256);
  CHECK(r.k.caps.sram_bytes == 4194304);
  CHECK(r.k.caps.bus_bits == 256);
  CHECK(r.k.caps.log_records == 1024);
  CHECK(r.k.caps.score_lanes == 8);
  Fake other;
  kvs k{};
  other.regs[REG(id)] = 0xffffffff;
  CHECK(kvs_probe(&k, other.io()) == KVS_ERR_ID);
  Fake old;
  old.regs[REG(version)] = 0x00020000;
  CHECK(kvs_probe(&k, old.io()) == KVS_ERR_ID);
  Fake broken;
  broken.fail_at = REG(cap_slots);
  CHECK(kvs_probe(&k, broken.io()) == KVS_ERR_IO);
  CHECK(kvs_probe(nullptr, broken.io()) == KVS_ERR_ARGUMENT);
  CHECK(kvs_probe(&k, kvs_io{}) == KVS_ERR_ARGUMENT);
}

TEST_CASE("a layout is written in the units of the registers", "[driver]") {
  Ready r;
  const kvs_layout l = layout_of(80);
  REQUIRE(kvs_set_layout(&r.k, &l) == KVS_OK);
  auto& regs = r.fake.regs;
  CHECK(regs[REG(page)] == (5 | 20 << 3));
  CHECK(regs[REG(model_layers)] == 80);
  CHECK(regs[REG(stride)] == 0);
  CHECK(regs[REG(stride) + 4] == 0x12);
  CHECK(regs[REG(stride) + 8] == 4096);
  CHECK(regs[REG(stride) + 12] == 128);
  CHECK(regs[REG(plane)] == (1 | 8u << 8));
  CHECK(regs[REG(plane) + 8] == (1 | 1u << 1 | 8u << 8));
  CHECK(regs[REG(plane) + 12] == 64);
  CHECK(regs[REG(plane) + 48] == (1 | 3u << 1 | 2u << 3 | 3u << 5 | 1u << 8));
  CHECK((regs[REG(plane) + 16] & 1) == 0);
  REQUIRE(kvs_set_base(&r.k, 79, 2, UINT64_C(0xabcd12345680)) == KVS_OK);
  CHECK(regs[REG(base) + 8 * (79 * 4 + 2)] == 0x12345680);
  CHECK(regs[REG(base) + 8 * (79 * 4 + 2) + 4] == 0xabcd);
  // Two heads of K and V over three layers.
  const kvs_profile p = {0, 3, 0x11, 0x03, 0, 1, 0};
  CHECK(kvs_slot_beats(&r.k, &p) == 3 * 2 * 16);
}

TEST_CASE("values beyond the instance are refused by name, before anything is written", "[driver]") {
  Ready r;
  const auto layout = [&](const std::function<void(kvs_layout&)>& change, const std::string& field) {
    kvs_layout l = layout_of(80);
    change(l);
    r.refused(kvs_set_layout(&r.k, &l), field);
  };
  layout([](auto& l) { l.layers = 129; }, "layers");
  layout([](auto& l) { l.layers = 0; }, "layers");
  layout([](auto& l) { l.page_log2 = 3; }, "page_log2");
  layout([](auto& l) { l.page_log2 = 8; }, "page_log2");
  layout([](auto& l) { l.block_bits = 0; }, "block_bits");
  layout([](auto& l) { l.block_bits = 32; }, "block_bits");
  layout([](auto& l) { l.stride[3].block = UINT64_C(1) << 40; }, "stride.block");
  layout([](auto& l) { l.stride[0].token = 16; }, "stride.token");
  layout([](auto& l) { l.plane[1].row_bytes = 1184; }, "plane.row_bytes");
  layout([](auto& l) { l.plane[1].row_bytes = 0; }, "plane.row_bytes");
  layout([](auto& l) { l.plane[1].row_bytes = 100; }, "plane.row_bytes");
  layout([](auto& l) { l.plane[1].tensor = 4; }, "plane.tensor");
  layout([](auto& l) { l.plane[1].stride_set = 4; }, "plane.stride_set");
  layout([](auto& l) { l.plane[1].share_log2 = 8; }, "plane.share_log2");
  layout([](auto& l) { l.plane[1].offset = 8; }, "plane.offset");
  r.refused(kvs_set_base(&r.k, 128, 0, 0), "layer");
  r.refused(kvs_set_base(&r.k, 0, 4, 0), "tensor");
  r.refused(kvs_set_base(&r.k, 0, 0, UINT64_C(1) << 48), "address");
  r.refused(kvs_set_base(&r.k, 0, 0, 4), "address");

  kvs_done done;
  r.refused(kvs_set_length(&r.k, 64, 1, 1, &done), "owner");
  r.refused(kvs_set_length(&r.k, 0, 131073, 1, &done), "length");
  r.refused(kvs_set_length(&r.k, 0, 5, 6, &done), "committed");
  const auto owner = [&](const std::function<void(kvs_owner&)>& change, const std::string& field) {
    kvs_owner o{};
    o.length = 100;
    o.committed = 90;
    o.slot_max = 8;
    change(o);
    r.refused(kvs_set_owner(&r.k, 1, &o, &done), field);
  };
  owner([](auto& o) { o.table_base = 2; }, "table_base");
  owner([](auto& o) { o.table_base = UINT64_C(1) << 48; }, "table_base");
  owner([](auto& o) { o.committed = 101; }, "committed");
  owner([](auto& o) { o.profile = 4; }, "profile");
  owner([](auto& o) { o.slot_max = 257; }, "slot_max");
  owner([](auto& o) { o.slot_min = 9; }, "slot_min");
  owner([](auto& o) { o.has_prefix = true, o.prefix_owner = 64; }, "prefix_owner");
  owner([](auto& o) { o.has_prefix = true, o.prefix_length = 131073; }, "prefix_length");
  r.refused(kvs_retire(&r.k, 0, 131072, 1, &done), "first");
  r.refused(kvs_retire(&r.k, 0, 131071, 2, &done), "count");
  r.refused(kvs_let_go(&r.k, 0, 0, 0, &done), "count");
  kvs_promotion p{};
  p.position = 131072;
  r.refused(kvs_promote(&r.k, &p, &done), "position");

  const kvs_layout l = layout_of(80);
  REQUIRE(kvs_set_layout(&r.k, &l) == KVS_OK);
  r.fake.written.clear();
  const auto profile = [&](const std::function<void(kvs_profile&)>& change, const std::string& field) {
    kvs_profile s = {0, 80, 0xff, 0x03, 0, 8, 0};
    change(s);
    r.refused(kvs_set_profile(&r.k, 1, &s, &done), field);
  };
  profile([](auto& s) { s.layer_count = 129; }, "layer_count");
  profile([](auto& s) { s.layer_first = 100; }, "layer_count");
  profile([](auto& s) { s.head_mask = 0; }, "head_mask");
  profile([](auto& s) { s.plane_mask = 0; }, "plane_mask");
  profile([](auto& s) { s.plane_mask = 0x04; }, "plane_mask");
  profile([](auto& s) { s.slot_first = 250; }, "slot_first");
  profile([](auto& s) { s.slot_count = 0; }, "slot_count");
  profile([](auto& s) { s.sram_base = 131072; }, "sram_base");
  profile([](auto& s) { s.slot_count = 13; }, "slot_count");  // 13 * 10,240 beats are more than 131,072

  kvs_policy policy;
  REQUIRE(kvs_get_policy(&r.k, &policy) == KVS_OK);
  policy.n_promote = policy.n_evict = 1;
  policy.layer_count = 128;
  const kvs_policy good = policy;
  REQUIRE(kvs_set_policy(&r.k, &good) == KVS_OK);
  r.fake.written.clear();
  const auto bad_policy = [&](const std::function<void(kvs_policy&)>& change, const std::string& field) {
    kvs_policy x = good;
    change(x);
    r.refused(kvs_set_policy(&r.k, &x), field);
  };
  bad_policy([](auto& x) { x.alpha = 65536; }, "alpha");
  bad_policy([](auto& x) { x.n_promote = 0; }, "n_promote");
  bad_policy([](auto& x) { x.n_dwell = 65535; }, "n_dwell");
  bad_policy([](auto& x) { x.sram_budget = 257; }, "sram_budget");
  bad_policy([](auto& x) { x.layer_first = 1; }, "layer_count");
  bad_policy([](auto& x) { x.promo_floor = 32; }, "promo_floor");
  bad_policy([](auto& x) { x.promo_reads[2] = 129; }, "promo_reads");
  bad_policy([](auto& x) { x.layer_weight[1].first = 128; }, "layer_weight.first");
  bad_policy([](auto& x) { x.layer_weight[2] = {100, 29, 1}; }, "layer_weight.count");
  bad_policy([](auto& x) { x.layer_weight[3].weight = 16; }, "layer_weight.weight");
  bad_policy([](auto& x) { x.stream_timeout = 1 << 24; }, "stream_timeout");
}

TEST_CASE("each command carries its fields where the block looks for them", "[driver]") {
  Ready r;
  const kvs_layout l = layout_of(80);
  REQUIRE(kvs_set_layout(&r.k, &l) == KVS_OK);
  kvs_done done;
  unsigned tag = 0;
  const auto check = [&](int result, const Words& expected) {
    CHECK(result == KVS_OK);
    REQUIRE(r.fake.commands.size() == tag + 1);
    Words e = expected;
    e[0] |= tag << 16;
    CHECK(r.fake.commands.back() == e);
    CHECK(done.tag == tag);
    CHECK(done.value0 == 11);
    CHECK(done.value1 == (UINT64_C(33) << 32 | 22));
    CHECK(done.cycles == 44);
    tag++;
  };
  const kvs_owner o = {7, true, UINT64_C(0x123456789abc), 1000, 900, true, 5, 96, 3, 2, 40};
  check(kvs_set_owner(&r.k, 9, &o, &done),
        {0x0701, 1000, 900, 9, 0x56789abc, 0x1234, 96, 5, 7 | 2 << 16, 40 | 3 << 16});
  kvs_owner all = o;
  all.slot_max = KVS_NO_MAXIMUM;
  check(kvs_set_owner(&r.k, 9, &all, &done),
        {0x0701, 1000, 900, 9, 0x56789abc, 0x1234, 96, 5, 7 | 2 << 16, 256 | 3 << 16});
  check(kvs_reset_owner(&r.k, 9, &done), {0x0001, 0, 0, 9});
  check(kvs_set_length(&r.k, 9, 1100, 1050, &done), {0x0002, 1100, 1050, 9});
  const kvs_profile p = {4, 60, UINT64_C(0x8000000000000001), 0x41, 16, 32, 0x1000};
  check(kvs_set_profile(&r.k, 2, &p, &done),
        {0x0103, 0, 0, 2 << 16, 4 | 60 << 16, 0x41, 1, 0x80000000, 16 | 32 << 16, 0x1000});
  check(kvs_clear_profile(&r.k, 2, &done), {0x0003, 0, 0, 2 << 16});
  const kvs_promotion promo = {9, 77, 2, KVS_DWELL_PINNED, UINT64_C(0x200000001), UINT64_C(0x300000002), 5};
  check(kvs_promote(&r.k, &promo, &done), {0x0004, 77, 0, 9 | 2 << 16, 1, 2, 2, 3, 0xffff | 5 << 16});
  check(kvs_let_go(&r.k, 9, 70, 8, &done), {0x0005, 70, 8, 9});
  check(kvs_abort(&r.k, 9, 71, 7, &done), {0x0006, 71, 7, 9});
  check(kvs_retire(&r.k, 9, 72, 6, &done), {0x0007, 72, 6, 9});
  check(kvs_retire_all(&r.k, &done), {0x0107, 0, 131072, 0});
  check(kvs_step_end(&r.k, 9, true, false, &done), {0x0108, 0, 0, 9});
  check(kvs_step_end(&r.k, 9, false, true, &done), {0x0208, 0, 0, 9});
  check(kvs_open(&r.k, 9, &done), {0x0009, 0, 0, 9});
  check(kvs_commit(&r.k, 9, 4, &done), {0x000a, 0, 4, 9});
  check(kvs_wait_promotions(&r.k, 9, &done), {0x000c, 0, 0, 9});
  check(kvs_wait_all_promotions(&r.k, &done), {0x010c, 0, 0, 0});
  CHECK(r.k.in_flight == 0);
}

TEST_CASE("completions in any order find the one who waits, and none is lost", "[driver]") {
  Ready r;
  r.fake.reorder = true;
  const kvs_command c = {KVS_OP_WAIT_PROMOTIONS, 0, 0, 0, 1, 0, {0, 0, 0, 0}};
  uint16_t a = 0, b = 0, d = 0;
  REQUIRE(kvs_submit(&r.k, &c, &a) == KVS_OK);
  REQUIRE(kvs_submit(&r.k, &c, &b) == KVS_OK);
  REQUIRE(kvs_submit(&r.k, &c, &d) == KVS_OK);
  kvs_done done;
  REQUIRE(kvs_wait(&r.k, a, &done) == KVS_OK);  // the last to come
  CHECK(done.tag == a);
  REQUIRE(kvs_wait(&r.k, b, &done) == KVS_OK);
  CHECK(done.tag == b);
  REQUIRE(kvs_take(&r.k, &done) == KVS_OK);
  CHECK(done.tag == d);
  CHECK(kvs_take(&r.k, &done) == KVS_ERR_EMPTY);
  // No more than the block holds.
  for (unsigned i = 0; i < KVS_IN_FLIGHT; i++) CHECK(kvs_submit(&r.k, &c, nullptr) == KVS_OK);
  CHECK(kvs_submit(&r.k, &c, nullptr) == KVS_ERR_BUSY);
  CHECK(kvs_take(&r.k, &done) == KVS_OK);
  CHECK(kvs_submit(&r.k, &c, nullptr) == KVS_OK);
}

TEST_CASE("waits are bounded, and errors of the bus and of the block come back as such", "[driver]") {
  Ready r;
  kvs_done done;
  r.fake.busy_polls = 10;
  r.fake.done_polls = 10;
  CHECK(kvs_open(&r.k, 0, &done) == KVS_OK);
  r.k.poll_limit = 50;
  r.fake.busy_polls = 1000;
  CHECK(kvs_open(&r.k, 0, &done) == KVS_ERR_POLLS);
  r.fake.busy_polls = 0;
  r.fake.done_polls = 1000;
  const unsigned before = r.fake.reads;
  CHECK(kvs_open(&r.k, 0, &done) == KVS_ERR_POLLS);
  CHECK(r.fake.reads - before <= 60);
  r.fake.done_polls = 0;
  r.k.poll_limit = 1000;
  r.fake.answer = [](const Words& c) { return Words{(c[0] & 0xffff00ff) | uint32_t{KVS_ST_BUSY} << 8}; };
  CHECK(kvs_open(&r.k, 0, &done) == KVS_ERR_STATUS);
  CHECK(done.status == KVS_ST_BUSY);
  CHECK(kvs_open(&r.k, 0, nullptr) == KVS_ERR_STATUS);
  for (const uint32_t addr : {REG(status), REG(cmd), REG(doorbell), REG(done), REG(done_pop)}) {
    Ready x;
    x.fake.fail_at = addr;
    CHECK(kvs_open(&x.k, 0, &done) == KVS_ERR_IO);
  }
}

TEST_CASE("a policy read is the policy written", "[driver]") {
  Ready r;
  kvs_policy p{};
  uint32_t seed = 1;
  const auto next = [&](uint32_t limit) {
    seed = seed * 1664525 + 1013904223;
    return static_cast<uint32_t>((uint64_t{seed} * (uint64_t{limit} + 1)) >> 32);
  };
  p = {next(0xffffffff),
       KVS_SCORE_NEVER,
       kvs_score(3.0),
       kvs_score(1.5),
       next(0xffff),
       1 + next(254),
       next(65534),
       1 + next(254),
       next(256),
       3,
       125,
       next(131072),
       next(131072),
       true,
       next(31),
       true,
       next(31),
       next(255),
       next(0xffffff),
       next(0xffffff),
       {next(0xffffffff), 1, 2, 3},
       {{0, 128, 15}, {127, 1, 0}, {next(60), next(60), next(15)}, {3, 0, 1}},
       {next(128), 0, 128, 1}};
  REQUIRE(kvs_set_policy(&r.k, &p) == KVS_OK);
  kvs_policy q{};
  REQUIRE(kvs_get_policy(&r.k, &q) == KVS_OK);
  CHECK(q.t_sink == p.t_sink);
  CHECK(q.t_pin == p.t_pin);
  CHECK(q.t_promote == 3 << 14);
  CHECK(q.t_evict == 3 << 13);
  CHECK(q.alpha == p.alpha);
  CHECK(q.n_promote == p.n_promote);
  CHECK(q.n_dwell == p.n_dwell);
  CHECK(q.n_evict == p.n_evict);
  CHECK(q.sram_budget == p.sram_budget);
  CHECK(q.layer_first == 3);
  CHECK(q.layer_count == 125);
  CHECK(q.score_min_distance == p.score_min_distance);
  CHECK(q.score_min_queries == p.score_min_queries);
  CHECK(q.score_raw);
  CHECK(q.score_raw_shift == p.score_raw_shift);
  CHECK(q.dynamic);
  CHECK(q.promo_floor == p.promo_floor);
  CHECK(q.burst_cost == p.burst_cost);
  for (unsigned i = 0; i < KVS_PROMO_CHANNELS; ++i) CHECK(q.promo_reads[i] == p.promo_reads[i]);
  CHECK(q.bus_timeout == p.bus_timeout);
  CHECK(q.stream_timeout == p.stream_timeout);
  for (unsigned i = 0; i < 4; i++) CHECK(q.head_mask[i] == p.head_mask[i]);
  for (unsigned i = 0; i < KVS_LAYER_RANGES; i++) {
    CHECK(q.layer_weight[i].first == p.layer_weight[i].first);
    CHECK(q.layer_weight[i].count == p.layer_weight[i].count);
    CHECK(q.layer_weight[i].weight == p.layer_weight[i].weight);
  }
  CHECK(kvs_score(-1.0) == 0);
  CHECK(kvs_score(1e9) == KVS_SCORE_NEVER);
  CHECK(kvs_score(1.0) == KVS_SCORE_ONE);
}

TEST_CASE("log records are taken in order, and their CRC is the chained CRC-32", "[driver]") {
  Ready r;
  kvs_record record;
  CHECK(kvs_take_record(&r.k, &record) == KVS_ERR_EMPTY);
  // The CRCs are those of Python: zlib.crc32(bytes(range(28))), and zlib.crc32 of the second record continued from it.
  Words w{};
  for (unsigned i = 0; i < 7; i++) w[i] = (4 * i) | (4 * i + 1) << 8 | (4 * i + 2) << 16 | (4 * i + 3) << 24;
  w[7] = 0xdeadbeef;
  r.fake.records.push_back(w);
  w[0] = 0xffffffff;
  r.fake.records.push_back(w);
  REQUIRE(kvs_take_record(&r.k, &record) == KVS_OK);
  CHECK(record.sequence == 0x03020100);
  CHECK(record.time == UINT64_C(0x0b0a090807060504));
  CHECK(record.kind == 0x0c);
  CHECK(record.cause == 0x0d);
  CHECK(record.owner == 0x0f0e);
  CHECK(record.position == 0x13121110);
  CHECK(record.word == 0x17161514);
  CHECK(record.slot == 0x1918);
  CHECK(record.crc == 0xdeadbeef);
  const uint32_t first = kvs_record_crc(0, &record);
  CHECK(first == 0xd708085d);
  REQUIRE(kvs_take_record(&r.k, &record) == KVS_OK);
  CHECK(kvs_record_crc(first, &record) == 0x8daa9b9d);
  CHECK(kvs_take_record(&r.k, &record) == KVS_ERR_EMPTY);
  r.fake.regs[REG(log_last_sequence)] = 9;
  r.fake.regs[REG(log_last_crc)] = 8;
  uint32_t sequence = 0, crc = 0;
  CHECK(kvs_log_last(&r.k, &sequence, &crc) == KVS_OK);
  CHECK(sequence == 9);
  CHECK(crc == 8);
}

TEST_CASE("interrupts and errors are read, enabled and cleared", "[driver]") {
  Ready r;
  CHECK(kvs_irq_enable(&r.k, KVS_IRQ_DONE | KVS_IRQ_ERROR, 100) == KVS_OK);
  CHECK(r.fake.regs[REG(irq_enable)] == 9);
  CHECK(r.fake.regs[REG(log_threshold)] == 100);
  CHECK(kvs_irq_enable(&r.k, 16, 1) == KVS_ERR_RANGE);
  CHECK(kvs_irq_enable(&r.k, 0, 1025) == KVS_ERR_RANGE);
  r.fake.regs[REG(errors)] = KVS_BAD_RANGE | KVS_BAD_BUS;
  uint32_t bits = 0;
  CHECK(kvs_take_errors(&r.k, &bits) == KVS_OK);
  CHECK(bits == 9);
  CHECK(r.fake.written.back() == std::pair<uint32_t, uint32_t>(REG(errors), 9));
}

TEST_CASE("the memory-mapped back end reads and writes words at byte addresses", "[driver]") {
  std::array<uint32_t, 8> memory{};
  const kvs_io io = kvs_mmio(memory.data());
  CHECK(io.write32(io.context, 12, 77) == 0);
  CHECK(memory[3] == 77);
  uint32_t value = 0;
  CHECK(io.read32(io.context, 12, &value) == 0);
  CHECK(value == 77);
}

TEST_CASE("a plan is handed over item by item, and its refusal names the item", "[driver]") {
  Ready r;
  std::vector<Words> answers;
  r.fake.answer = [](const Words& c) {
    const bool commit = (c[0] >> 8 & 0xff) == 4;
    return Words{(c[0] & 0xffff00ff) | (commit ? uint32_t{KVS_ST_NO_PLAN} << 8 : 0U), commit ? 2U : 0U,
                 commit ? uint32_t{KVS_ST_NO_SLOT} : 0U};
  };
  const kvs_envelope envelope = {.promotions = 1, .evictions = KVS_ANY_NUMBER, .slots = 40};
  // kind, tier, step, dwell, first, count, from, until
  const std::vector<kvs_plan_item> items = {{KVS_PLAN_REGION, 0, 1, 9, 32, 16, 0, 0},
                                            {KVS_PLAN_WINDOW, 0, 2, 0, 0, 0, 100, 900},
                                            {KVS_PLAN_PROMOTE, 1, 2, 7, 77, 0, 5, 6}};
  kvs_done done;
  CHECK(kvs_plan(&r.k, 3, &envelope, items.data(), items.size(), &done) == KVS_ERR_STATUS);
  CHECK(done.status == KVS_ST_NO_PLAN);
  CHECK(done.value0 == 2);
  CHECK(done.value1 == KVS_ST_NO_SLOT);
  REQUIRE(r.fake.commands.size() == 5);
  for (unsigned i = 0; i < 5; i++) {
    CHECK((r.fake.commands[i][0] & 0xffff) == (KVS_OP_PLAN | std::vector<uint32_t>{0, 3, 2, 1, 4}[i] << 8));
    CHECK(r.fake.commands[i][3] == 3);
  }
  CHECK(r.fake.commands[0][4] == (1U | 0xffU << 8 | 40U << 16));
  CHECK(r.fake.commands[1][1] == 32);
  CHECK(r.fake.commands[1][2] == 16);
  CHECK(r.fake.commands[1][8] == 9);
  CHECK(r.fake.commands[1][9] == 1);
  CHECK(r.fake.commands[2][4] == 100);
  CHECK(r.fake.commands[2][5] == 900);
  CHECK(r.fake.commands[3][1] == 77);
  CHECK(r.fake.commands[3][8] == (7U | 1U << 16));
  CHECK(r.fake.commands[3][9] == 2);

  // An item that the block refuses by itself takes the draft with it.
  r.fake.commands.clear();
  r.fake.answer = [](const Words& c) {
    const uint32_t kind = c[0] >> 8 & 0xff;
    return Words{(c[0] & 0xffff00ff) | (kind == 2 ? uint32_t{KVS_ST_BUSY} << 8 : 0U)};
  };
  CHECK(kvs_plan(&r.k, 3, &envelope, items.data(), items.size(), &done) == KVS_ERR_STATUS);
  CHECK(done.status == KVS_ST_BUSY);
  REQUIRE(r.fake.commands.size() == 4);
  CHECK((r.fake.commands[3][0] >> 8 & 0xff) == 5);

  r.fake.commands.clear();
  r.fake.written.clear();
  kvs_plan_item wrong = items[1];
  wrong.until = 100;
  r.refused(kvs_plan(&r.k, 3, &envelope, &wrong, 1, &done), "item.until");
  wrong = items[2];
  wrong.first = r.k.caps.positions;
  r.refused(kvs_plan(&r.k, 3, &envelope, &wrong, 1, &done), "item.first");
  wrong = items[0];
  wrong.count = 0;
  r.refused(kvs_plan(&r.k, 3, &envelope, &wrong, 1, &done), "item.count");
  const std::vector<kvs_plan_item> many(r.k.caps.plan_items + 1, items[2]);
  r.refused(kvs_plan(&r.k, 3, &envelope, many.data(), many.size(), &done), "count");

  r.fake.answer = [](const Words& c) {
    return Words{c[0] & 0xffff00ff, 5U << 16 | 3U, 11U | 22U << 16, 33U | 4U << 16};
  };
  kvs_plan_state state;
  REQUIRE(kvs_get_plan(&r.k, 3, &state) == KVS_OK);
  CHECK(state.active);
  CHECK(state.step == 5);
  CHECK(state.next == 3);
  CHECK(state.denied_promotions == 11);
  CHECK(state.denied_evictions == 22);
  CHECK(state.missed == 33);
  r.fake.answer = [](const Words& c) { return Words{(c[0] & 0xffff00ff) | uint32_t{KVS_ST_NO_PLAN} << 8}; };
  REQUIRE(kvs_get_plan(&r.k, 3, &state) == KVS_OK);
  CHECK(!state.active);
}

TEST_CASE("a block moves in the order copy, table word, retire", "[driver]") {
  Ready r;
  const kvs_layout l = layout_of(80);
  REQUIRE(kvs_set_layout(&r.k, &l) == KVS_OK);
  r.fake.written.clear();
  struct World {
    Fake* fake;
    std::vector<std::string> order;
  } world{&r.fake, {}};
  const kvs_memory memory = {&world,
                             [](void* w, uint32_t to, uint32_t from) -> int {
                               auto* at = static_cast<World*>(w);
                               CHECK(at->fake->commands.empty());
                               at->order.push_back("copy " + std::to_string(from) + " " + std::to_string(to));
                               return 0;
                             },
                             [](void* w, uint32_t index, uint32_t word) -> int {
                               auto* at = static_cast<World*>(w);
                               CHECK(at->fake->commands.empty());
                               at->order.push_back("word " + std::to_string(index) + " " + std::to_string(word));
                               return index == 99 ? 1 : 0;
                             }};
  const uint32_t bits = l.block_bits, page = 1U << l.page_log2;
  uint32_t word = 0;
  kvs_done done;
  REQUIRE(kvs_move_block(&r.k, 2, 6, 3U << bits | 17, 40, &memory, &word, &done) == KVS_OK);
  CHECK(word == (4U << bits | 40));
  CHECK(world.order == std::vector<std::string>{"copy 17 40", "word 6 " + std::to_string(4U << bits | 40)});
  REQUIRE(r.fake.commands.size() == 1);
  CHECK((r.fake.commands[0][0] & 0xff) == KVS_OP_RETIRE);
  CHECK(r.fake.commands[0][1] == 6 * page);
  CHECK(r.fake.commands[0][2] == page);
  r.fake.commands.clear();
  CHECK(kvs_move_block(&r.k, 2, 99, 3U << bits | 17, 40, &memory, &word, &done) == KVS_ERR_IO);
  CHECK(r.fake.commands.empty());
  r.fake.written.clear();
  r.refused(kvs_move_block(&r.k, 2, 6, 0x7fffffffU, 40, &memory, &word, &done), "generation");
  r.refused(kvs_move_block(&r.k, 2, 6, 0x80000001U, 40, &memory, &word, &done), "old_word");
}

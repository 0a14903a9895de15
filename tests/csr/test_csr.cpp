// SPDX-License-Identifier: Apache-2.0
// Registers: values at reset, ranges, what the block gets from them, counters of one moment, and the two ways a command
// comes in. Addresses are those of the generated header; what must hold is written here from the design.
#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <random>
#include <set>
#include <string>
#include <vector>

#include CSR_MODEL_HEADER
#include "support/catch.hpp"
#include "support/seed.hpp"
#include "sw/driver/include/kvs.h"
#include "sw/driver/include/kvsink_regs.h"

namespace {

using Model = CSR_MODEL;

#ifdef CSR_SMALL
constexpr uint32_t kLayers = 8, kHeads = 8, kSlots = 32, kRowReads = 32, kPositions = 512, kRowBeats = 8, kBeat = 16,
                   kLog = 256, kPlans = 2, kPlanItems = 32;
#else
constexpr uint32_t kLayers = 128, kHeads = 128, kSlots = 256, kRowReads = 128, kPositions = 131072, kRowBeats = 36,
                   kBeat = 32, kLog = 1024, kPlans = 2, kPlanItems = 64;
#endif

#define REG(member) static_cast<uint32_t>(offsetof(kvsink_regs_t, member))
constexpr uint32_t kOkay = 0, kSlverr = 2;

struct Answer {
  uint32_t resp = 3;
  uint32_t data = 0;
  uint64_t cycles = 0;
};
struct Command {
  uint8_t opcode = 0;
  uint16_t tag = 0;
  uint32_t first = 0;
};

class Bench {
 public:
  explicit Bench(uint64_t seed) : rng_(seed), context_(std::make_unique<VerilatedContext>()) {
    context_->randReset(2);
    context_->randSeed(static_cast<int>(seed % 2147483647 + 1));
    m_ = std::make_unique<Model>(context_.get());
    m_->clk_i = 0;
    m_->rst_ni = 0;
    m_->awvalid_i = m_->wvalid_i = m_->arvalid_i = m_->bready_i = m_->rready_i = 0;
    m_->cmd_valid_i = m_->done_ready_i = m_->ctrl_cmd_ready_i = m_->ctrl_done_valid_i = 0;
    m_->log_valid_i = 0;
    m_->log_level_i = 0;
    m_->mux_count_i = m_->port_count_i = m_->ctrl_pulses_i = m_->slots_used_i = 0;
    m_->walk_count_i = m_->filling_i = m_->records_i = 0;
    m_->sram_conflict_i = m_->merge_done_i = m_->merge_weighted_i = m_->merge_nan_i = m_->merge_error_i = 0;
    m_->merge_sink_mass_i = 0;
    m_->score_i = 0;
    m_->sink_valid_i = m_->bulk_valid_i = 0;
    m_->sink_ready_i = m_->bulk_ready_i = 1;
    m_->log_last_sequence_i = m_->log_last_crc_i = 0;
    for (int i = 0; i < 3; i++) clock();
    m_->rst_ni = 1;
    clock();
  }

  Model& dut() { return *m_; }
  std::mt19937_64& rng() { return rng_; }
  bool chance(unsigned percent) { return rng_() % 100 < percent; }
  uint64_t cycle() const { return cycle_; }

  /// One cycle; the controller, the sources and sinks of commands, and the log run beside the registers.
  void step() {
    drive_command_stream();
    drive_controller();
    m_->clk_i = 0;
    m_->eval();
    if (on_settled) on_settled();
    if (m_->base_we_o) bases[m_->base_waddr_o] = m_->base_wdata_o;
    if (m_->log_pop_o) pops++;
    see_commands();
    clock_high();
  }

  Answer write(uint32_t addr, uint32_t data, uint32_t strb = 0xf) {
    const uint64_t start = cycle_;
    m_->awaddr_i = addr;
    m_->wdata_i = data;
    m_->wstrb_i = strb;
    const int lead = static_cast<int>(rng_() % 3);  // address first, data first, or both
    bool aw = false, w = false;
    Answer a;
    for (int n = 0;; n++) {
      m_->awvalid_i = !aw && (lead != 1 || n > 2);
      m_->wvalid_i = !w && (lead != 2 || n > 2);
      m_->bready_i = chance(60);
      bool got_aw = false, got_w = false, got_b = false;
      on_settled = [&] {
        got_aw = m_->awvalid_i && m_->awready_o;
        got_w = m_->wvalid_i && m_->wready_o;
        got_b = m_->bvalid_o && m_->bready_i;
        if (got_b) a.resp = m_->bresp_o;
      };
      step();
      on_settled = nullptr;
      aw |= got_aw;
      w |= got_w;
      if (got_b) break;
      REQUIRE(n < 400);
    }
    m_->awvalid_i = m_->wvalid_i = m_->bready_i = 0;
    a.cycles = cycle_ - start;
    return a;
  }

  Answer read(uint32_t addr) {
    const uint64_t start = cycle_;
    m_->araddr_i = addr;
    bool ar = false;
    Answer a;
    for (int n = 0;; n++) {
      m_->arvalid_i = !ar;
      m_->rready_i = chance(60);
      bool got_ar = false, got_r = false;
      on_settled = [&] {
        got_ar = m_->arvalid_i && m_->arready_o;
        got_r = m_->rvalid_o && m_->rready_i;
        if (got_r) {
          a.resp = m_->rresp_o;
          a.data = m_->rdata_o;
        }
      };
      step();
      on_settled = nullptr;
      ar |= got_ar;
      if (got_r) break;
      REQUIRE(n < 400);
    }
    m_->arvalid_i = m_->rready_i = 0;
    a.cycles = cycle_ - start;
    return a;
  }

  uint32_t get(uint32_t addr) {
    const Answer a = read(addr);
    INFO("address 0x" << std::hex << addr);
    CHECK(a.resp == kOkay);
    return a.data;
  }
  void set(uint32_t addr, uint32_t data) {
    INFO("address 0x" << std::hex << addr << " data 0x" << data);
    CHECK(write(addr, data).resp == kOkay);
  }
  uint64_t counter(unsigned index) {
    const uint64_t low = get(REG(count) + 8 * index);
    return low | uint64_t{get(REG(count) + 8 * index + 4)} << 32;
  }

  // Commands of the stream, and the controller that answers commands in any order with the sum of what it got.
  std::deque<Command> to_stream;
  std::vector<std::array<uint32_t, 8>> stream_dones;
  unsigned controller_percent = 50, done_percent = 40, stream_take_percent = 50;
  std::map<uint32_t, uint64_t> bases;
  unsigned pops = 0;
  size_t accepted() const { return accepted_; }
  size_t under_way() const { return held_.size(); }

 private:
  void clock_high() {
    m_->clk_i = 1;
    m_->eval();
    cycle_++;
  }
  void clock() {
    m_->clk_i = 0;
    m_->eval();
    clock_high();
  }

  void drive_command_stream() {
    if (!offering_ && !to_stream.empty() && chance(60)) offering_ = true;
    m_->cmd_valid_i = offering_;
    if (offering_) {
      const Command& c = to_stream.front();
      for (unsigned i = 0; i < 16; i++) m_->cmd_i[i] = 0;
      m_->cmd_i[0] = c.opcode | uint32_t{c.tag} << 16;
      m_->cmd_i[1] = c.first;
    }
    m_->done_ready_i = chance(stream_take_percent);
  }

  void drive_controller() {
    m_->ctrl_cmd_ready_i = chance(controller_percent);
    if (!answering_ && !held_.empty() && chance(done_percent)) {
      answering_ = true;
      const size_t at = rng_() % held_.size();
      const auto c = held_[at];
      held_.erase(held_.begin() + static_cast<long>(at));
      m_->ctrl_done_i[0] = (c[0] & 0xffff00ff) | 0x0500;
      m_->ctrl_done_i[1] = c[1] * 3;
      m_->ctrl_done_i[2] = c[1] ^ 0x55555555;
      m_->ctrl_done_i[3] = ~c[1];
      m_->ctrl_done_i[4] = c[1] + 7;
      m_->ctrl_done_i[5] = m_->ctrl_done_i[6] = m_->ctrl_done_i[7] = 0;
    }
    m_->ctrl_done_valid_i = answering_;
  }

  void see_commands() {
    if (offering_ && m_->cmd_ready_o) {
      offering_ = false;
      to_stream.pop_front();
    }
    if (m_->ctrl_cmd_valid_o && m_->ctrl_cmd_ready_i) {
      std::array<uint32_t, 16> w{};
      for (unsigned i = 0; i < 16; i++) w[i] = m_->ctrl_cmd_o[i];
      held_.push_back(w);
      accepted_++;
    }
    if (answering_ && m_->ctrl_done_ready_o) answering_ = false;
    CHECK(m_->ctrl_done_ready_o);  // completions are never held back
    if (m_->done_valid_o && m_->done_ready_i) {
      std::array<uint32_t, 8> d{};
      for (unsigned i = 0; i < 8; i++) d[i] = m_->done_o[i];
      stream_dones.push_back(d);
    }
  }

  std::mt19937_64 rng_;
  std::unique_ptr<VerilatedContext> context_;
  std::unique_ptr<Model> m_;
  std::function<void()> on_settled;
  std::vector<std::array<uint32_t, 16>> held_;
  bool offering_ = false, answering_ = false;
  uint64_t cycle_ = 0;
  size_t accepted_ = 0;
};

constexpr uint32_t kStrideBytes = sizeof(kvsink_regs__stridex_t), kPlaneBytes = sizeof(kvsink_regs__planex_t);

}  // namespace

TEST_CASE("after reset the registers hold the defaults of the design, and the block gets them", "[csr]") {
  Bench b(kvsink::test_seed());
  CHECK(b.get(REG(id)) == 0x3153564b);
  CHECK(b.get(REG(version)) >> 16 == 1);
  CHECK(b.get(REG(count) + 4) == 0);  // the high word of a counter, before any low word was read
  CHECK(b.get(REG(cap_layers)) == kLayers);
  CHECK(b.get(REG(cap_slots)) == kSlots);
  CHECK(b.get(REG(cap_positions)) == kPositions);
  CHECK(b.get(REG(cap_bus_bits)) == kBeat * 8);
  CHECK(b.get(REG(cap_log_records)) == kLog);
  CHECK(b.get(REG(cap_score_lanes)) == kBeat / 4);
  CHECK(b.get(REG(cap_plans)) == kPlans);
  CHECK(b.get(REG(cap_plan_items)) == kPlanItems);

  auto& d = b.dut();
  CHECK(d.t_sink_o == 3 << 14);
  CHECK(d.t_promote_o == 3 << 14);
  CHECK(d.t_evict_o == 3 << 13);
  CHECK(d.t_pin_o == 0xffffffff);
  CHECK(unsigned{d.alpha_o} == 58982);  // 0.9
  CHECK(unsigned{d.n_promote_o} == 12);
  CHECK(unsigned{d.n_dwell_o} == 12);
  CHECK(unsigned{d.n_evict_o} == 12);
  CHECK(d.sram_budget_o == kSlots);
  CHECK(d.layer_first_o == 0);
  CHECK(d.layer_count_o == kLayers);
  for (size_t i = 0; i < 4; i++) CHECK(d.layer_weight_o[i] == 1U << 16);  // no layers, weight 1
  CHECK(d.min_distance_o == 32);
  CHECK(d.min_queries_o == 32);
  CHECK(unsigned{d.promo_floor_o} == 2);
  CHECK_FALSE(d.raw_o);
  CHECK_FALSE(d.dynamic_o);
  CHECK(d.bus_timeout_o == 0);
  CHECK(d.stream_timeout_o == 0);
  CHECK(unsigned{d.page_log2_o} == 4);
  CHECK(unsigned{d.block_bits_o} == 24);
  CHECK(d.layers_o == kLayers);
  for (unsigned i = 0; i < 4; i++) {
    const uint32_t heads = kHeads > 32 * i ? std::min(32u, kHeads - 32 * i) : 0;
    CHECK(b.get(REG(head_mask_0) + 4 * i) == (heads == 32 ? 0xffffffff : (1u << heads) - 1));
  }
#ifdef CSR_SMALL
  CHECK(unsigned{d.head_mask_o} == 0xff);
#else
  for (unsigned i = 0; i < 4; i++) CHECK(d.head_mask_o[i] == 0xffffffff);
#endif
  CHECK(b.get(REG(errors)) == 0);
  CHECK(b.get(REG(irq_enable)) == 0);
  CHECK_FALSE(d.irq_o);
}

TEST_CASE("a value in range reaches the block; one out of range is refused, changes nothing and leaves a trace",
          "[csr]") {
  struct Case {
    uint32_t addr;
    std::vector<uint32_t> good, bad;
  };
  const uint32_t stride1 = REG(stride) + kStrideBytes, plane5 = REG(plane) + 5 * kPlaneBytes;
  const uint32_t heads3 = kHeads == 128 ? 0x80000001 : 0;
  const std::vector<Case> cases = {
      {REG(t_sink), {0, 0xffffffff, 5}, {}},
      {REG(alpha), {0, 65535}, {65536, 0xffffffff}},
      {REG(n_promote), {1, 255}, {0, 256}},
      {REG(n_dwell), {0, 65534}, {65535, 65536}},
      {REG(n_evict), {1, 255}, {0, 256}},
      {REG(sram_budget), {0, kSlots}, {kSlots + 1, 0x10000}},
      {REG(layer_range),
       {kLayers << 16, 1 << 16 | (kLayers - 1), 2 << 16 | (kLayers - 2)},
       {0, kLayers, (kLayers + 1) << 16, 2 << 16 | (kLayers - 1), 1 << 16 | kLayers}},
      {REG(layer_weight) + 4,
       {0xf0000, 5U << 16 | kLayers << 8, 1 << 8 | (kLayers - 1), 2 << 8 | (kLayers - 2)},
       {0x100000, (kLayers + 1) << 8, 2 << 8 | (kLayers - 1), kLayers}},
      {REG(score_min_distance), {0, kPositions}, {kPositions + 1}},
      {REG(score_min_queries), {0, kPositions}, {kPositions + 1}},
      {REG(score_mode), {0, 0x3f}, {0x40}},
      {REG(dynamic), {0, 1}, {2}},
      {REG(promo_floor), {0, 31}, {32}},
      {REG(burst_cost), {0, 255}, {256}},
      {REG(promo_reads), {0, kRowReads - 1}, {kRowReads + 1, 0x200}},
      {REG(promo_reads) + 12, {0, kRowReads}, {kRowReads + 1}},
      {REG(bus_timeout), {0, 0xffffff}, {0x1000000}},
      {REG(stream_timeout), {0, 0xffffff}, {0x1000000}},
      {REG(head_mask_3), {0, heads3}, kHeads == 128 ? std::vector<uint32_t>{} : std::vector<uint32_t>{1, 0x80000000}},
      {REG(head_mask_0), {0xa5, 0xff}, kHeads == 128 ? std::vector<uint32_t>{} : std::vector<uint32_t>{0x100}},
      {REG(page), {4 | 1 << 3, 7 | 31 << 3}, {3 | 24 << 3, 4, 0x104 | 24 << 3}},
      {REG(model_layers), {1, kLayers}, {0, kLayers + 1}},
      {stride1, {0, kBeat * 77}, {kBeat / 2, kBeat * 77 + 4}},
      {stride1 + 4, {0, 0xff}, {0x100}},
      {stride1 + 8, {kBeat}, {1}},
      {stride1 + 12, {kBeat * 3}, {kBeat - 1}},
      {plane5, {1u << 8, kRowBeats << 8 | 0xff}, {0, (kRowBeats + 1) << 8, 0x10000 | 1u << 8}},
      {plane5 + 4, {kBeat * 9}, {kBeat * 9 + 2}},
      {REG(log_threshold), {1, kLog}, {0, kLog + 1}},
      {REG(irq_enable), {0xf, 0}, {0x10}},
  };
  Bench b(kvsink::test_seed());
  uint64_t errors = 0;
  for (const Case& c : cases) {
    INFO("register at 0x" << std::hex << c.addr);
    for (const uint32_t good : c.good) {
      CHECK(b.write(c.addr, good).resp == kOkay);
      CHECK(b.get(c.addr) == good);
      for (const uint32_t bad : c.bad) {
        INFO("written 0x" << bad);
        CHECK(b.get(REG(errors)) == 0);
        CHECK(b.write(c.addr, bad).resp == kSlverr);
        errors++;
        CHECK(b.get(c.addr) == good);
        CHECK(b.get(REG(errors)) == KVS_BAD_RANGE);
        b.set(REG(errors), KVS_BAD_RANGE);
      }
    }
  }
  CHECK(b.counter(KVS_COUNT_REGISTER_ERRORS) == errors);
  // What the block gets.
  auto& d = b.dut();
  CHECK(d.sram_budget_o == kSlots);
  CHECK(unsigned{d.n_dwell_o} == 65534);
  CHECK(d.layer_first_o == kLayers - 2);
  CHECK(d.layer_count_o == 2);
  CHECK(d.layer_weight_o[1] == (2 << 8 | (kLayers - 2)));
  CHECK(unsigned{d.promo_reads_o[0]} == kRowReads - 1);
  CHECK(unsigned{d.promo_reads_o[1]} == 0);
  CHECK(d.min_distance_o == kPositions);
  CHECK(d.raw_o);
  CHECK(unsigned{d.raw_shift_o} == 31);
  CHECK(d.dynamic_o);
  CHECK(unsigned{d.page_log2_o} == 7);
  CHECK(unsigned{d.block_bits_o} == 31);
  d.sel_i = 1;
  b.step();
  CHECK(d.stride_block_o == (uint64_t{0xff} << 32 | kBeat * 77));
  CHECK(d.stride_head_o == kBeat);
  CHECK(d.stride_token_o == kBeat * 3);
  d.sel_i = 5;
  b.step();
  CHECK(d.plane_valid_o);
  CHECK(unsigned{d.plane_tensor_o} == 3);
  CHECK(unsigned{d.plane_set_o} == 3);
  CHECK(unsigned{d.plane_share_o} == 7);
  CHECK(unsigned{d.plane_beats_o} == kRowBeats);
  CHECK(d.plane_offset_o == kBeat * 9);
}

TEST_CASE("an access without a register behind it, or of a part of one, is answered with an error", "[csr]") {
  Bench b(kvsink::test_seed() + 1);
  const auto refused = [&](const Answer& a) {
    CHECK(a.resp == kSlverr);
    CHECK(a.data == 0);
    CHECK(b.get(REG(errors)) == KVS_BAD_ADDRESS);
    b.set(REG(errors), 0x3ff);
  };
  for (const uint32_t addr : {0x008u, 0x078u, 0x148u, 0x314u, 0x388u, 0x430u, 0x800u, 0x2000u, 0xfffcu}) {
    INFO("address 0x" << std::hex << addr);
    refused(b.read(addr));
    refused(b.write(addr, 0));
  }
  refused(b.write(REG(id), 1));
  refused(b.write(REG(status), 1));
  refused(b.write(REG(done), 1));
  refused(b.write(REG(count), 1));
  refused(b.write(REG(log_level), 1));
  refused(b.read(REG(doorbell)));
  refused(b.read(REG(base)));
  refused(b.read(REG(t_sink) + 1));
  refused(b.write(REG(t_sink) + 2, 0));
  for (uint32_t strb = 0; strb < 15; strb++) {
    refused(b.write(REG(t_sink), 0xffffffff, strb));
    CHECK(b.get(REG(t_sink)) == 3 << 14);
  }
  // Nothing hangs: any address, read and written, is answered within the bound.
  for (unsigned i = 0; i < 3000; i++) {
    const uint32_t addr = static_cast<uint32_t>(b.rng()()) & 0xffff;
    const Answer a = b.rng()() % 2 == 0 ? b.read(addr) : b.write(addr, static_cast<uint32_t>(b.rng()()));
    CHECK((a.resp == kOkay || a.resp == kSlverr));
    CHECK(a.cycles < 110);
  }
}

TEST_CASE("base addresses are written as pairs of words", "[csr]") {
  Bench b(kvsink::test_seed() + 2);
  for (unsigned i = 0; i < 50; i++) {
    const uint32_t entry = static_cast<uint32_t>(b.rng()()) % (kLayers * 4);
    const uint64_t addr = (b.rng()() & 0xffff'ffff'ffffu) / kBeat * kBeat;
    b.set(REG(base) + 8 * entry, static_cast<uint32_t>(addr));
    b.set(REG(base) + 8 * entry + 4, static_cast<uint32_t>(addr >> 32));
    REQUIRE(b.bases.count(entry) == 1);
    CHECK(b.bases[entry] == addr);
    b.bases.clear();
  }
  CHECK(b.write(REG(base) + 4, 0).resp == kSlverr);  // the low word of this entry was not written
  b.set(REG(base) + 8, kBeat);
  CHECK(b.write(REG(base) + 4, 0).resp == kSlverr);
  CHECK(b.write(REG(base) + 12, 0x10000).resp == kSlverr);
  CHECK(b.write(REG(base) + 8, kBeat + 4).resp == kSlverr);
  if (kLayers * 32 < 0x1000) CHECK(b.write(REG(base) + 32 * kLayers, 0).resp == kSlverr);
  CHECK(b.bases.empty());
  CHECK(b.get(REG(errors)) == KVS_BAD_RANGE);
}

TEST_CASE("every counter counts its own event, exactly, and is read at one moment", "[csr]") {
  Bench b(kvsink::test_seed() + 3);
  auto& d = b.dut();
  // Each pulse input in turn, a number of times of its own.
  struct Input {
    unsigned counter;
    std::function<void(bool)> set;
  };
  std::vector<Input> inputs;
  const unsigned mux[] = {KVS_COUNT_SINK_ROWS,   KVS_COUNT_SINK_BEATS,    KVS_COUNT_BULK_ROWS, KVS_COUNT_BULK_ROW_BEATS,
                          KVS_COUNT_ERROR_ROWS,  KVS_COUNT_DROPPED_BEATS, KVS_COUNT_REQUESTS,  KVS_COUNT_KEEP_REFUSED,
                          KVS_COUNT_SINK_STALLS, KVS_COUNT_BULK_STALLS};  // first field is the highest bit
  for (unsigned i = 0; i < 10; i++) {
    inputs.push_back({mux[i], [&d, i](bool v) { d.mux_count_i = v ? 1u << (9 - i) : 0; }});
  }
  const unsigned port[] = {KVS_COUNT_TABLE_BURSTS, KVS_COUNT_BULK_BURSTS, KVS_COUNT_PROMO_BURSTS, KVS_COUNT_TABLE_BEATS,
                           KVS_COUNT_BULK_BEATS,   KVS_COUNT_PROMO_BEATS, KVS_COUNT_AR_STALLS,    KVS_COUNT_R_IDLES,
                           KVS_COUNT_ERROR_BEATS,  KVS_COUNT_STRAY_BEATS};
  inputs.push_back({KVS_COUNT_PROMO_FAR_BEATS, [&d](bool v) { d.port_count_i = v ? 1U << 10 : 0; }});
  const unsigned walk[] = {KVS_COUNT_WALK_HITS, KVS_COUNT_WALK_READS, KVS_COUNT_WALK_PREFETCHES,
                           KVS_COUNT_WALK_DROPPED};
  for (unsigned i = 0; i < 4; i++) {
    inputs.push_back({walk[i], [&d, i](bool v) { d.walk_count_i = v ? 1U << (3 - i) : 0; }});
  }
  for (unsigned i = 0; i < 10; i++) {
    inputs.push_back({port[i], [&d, i](bool v) { d.port_count_i = v ? 1u << (9 - i) : 0; }});
  }
  const unsigned ctrl[] = {KVS_COUNT_GRANTED,
                           KVS_COUNT_REFUSED,
                           KVS_COUNT_RESIDENT,
                           KVS_COUNT_FAILED,
                           KVS_COUNT_LEFT,
                           KVS_COUNT_EVICTED,
                           KVS_COUNT_DEADLINE_MISSED,
                           KVS_COUNT_ROLLBACKS,
                           KVS_COUNT_REFERENCES,
                           KVS_COUNT_RELEASES,
                           KVS_COUNT_REFUSED_BUDGET,
                           KVS_COUNT_REFUSED_NO_SLOT,
                           KVS_COUNT_REFUSED_NO_ENTRY,
                           KVS_COUNT_REFUSED_WINDOW,
                           KVS_COUNT_REFUSED_LOG_FULL,
                           KVS_COUNT_PLACED,
                           KVS_COUNT_PLAN_MISSED,
                           KVS_COUNT_PLAN_DENIED_PROMOTIONS,
                           KVS_COUNT_PLAN_DENIED_EVICTIONS};
  for (unsigned i = 0; i < 19; i++) {
    inputs.push_back({ctrl[i], [&d, i](bool v) { d.ctrl_pulses_i = v ? 1U << (18 - i) : 0; }});
  }
  inputs.push_back({KVS_COUNT_SRAM_CONFLICTS, [&d](bool v) { d.sram_conflict_i = v; }});
  inputs.push_back({KVS_COUNT_MERGES, [&d](bool v) { d.merge_done_i = v; }});
  inputs.push_back({KVS_COUNT_MERGE_ERRORS, [&d](bool v) { d.merge_error_i = v; }});
  const unsigned score[] = {KVS_COUNT_SCORE_BEATS, KVS_COUNT_SCORE_SATURATED, KVS_COUNT_SCORE_DISCARDED,
                            KVS_COUNT_SCORE_MALFORMED};
  for (unsigned i = 0; i < 4; i++) inputs.push_back({score[i], [&d, i](bool v) { d.score_i = v ? 1u << i : 0; }});

  std::map<unsigned, uint64_t> expected;
  for (unsigned i = 0; i < inputs.size(); i++) {
    const uint64_t n = 5 + 13 * i;
    for (uint64_t sent = 0; sent < n;) {
      const bool on = b.chance(70);
      inputs[i].set(on);
      b.step();
      sent += on;
    }
    inputs[i].set(false);
    expected[inputs[i].counter] = n;
  }
  for (unsigned c = 0; c < KVS_COUNTERS; c++) {
    if (c == KVS_COUNT_CYCLES) continue;
    INFO("counter " << kvs_counter_name(static_cast<kvs_counter>(c)));
    CHECK(b.counter(c) == (expected.count(c) != 0 ? expected[c] : 0));
  }

  // Numbers that are summed.
  uint64_t mass = 0, merges = expected[KVS_COUNT_MERGES], weighted = 0, nans = 0;
  for (unsigned i = 0; i < 300; i++) {
    d.merge_done_i = b.chance(80);
    d.merge_weighted_i = b.chance(50);
    d.merge_nan_i = b.chance(30);
    d.merge_sink_mass_i = static_cast<uint32_t>(b.rng()()) | 0x80000000u;
    if (d.merge_done_i) {
      merges++;
      mass += d.merge_sink_mass_i;
      weighted += d.merge_weighted_i;
      nans += d.merge_nan_i;
    }
    b.step();
  }
  d.merge_done_i = 0;
  CHECK(mass >> 32 != 0);
  CHECK(b.counter(KVS_COUNT_SINK_MASS) == mass);
  CHECK(b.counter(KVS_COUNT_MERGES) == merges);
  CHECK(b.counter(KVS_COUNT_MERGES_WEIGHTED) == weighted);
  CHECK(b.counter(KVS_COUNT_MERGE_NANS) == nans);
  uint64_t slots = 0, filling = 0, records = 0, answers = 0;
  for (unsigned i = 0; i < 500; i++) {
    d.slots_used_i = static_cast<uint32_t>(b.rng()()) % (kSlots + 1);
    d.filling_i = static_cast<uint32_t>(b.rng()()) % (kSlots + 1);
    d.records_i = static_cast<uint32_t>(b.rng()()) % (4 * kSlots + 1);
    const uint32_t answered = static_cast<uint32_t>(b.rng()()) % 4;
    d.walk_count_i = answered << 4;
    slots += d.slots_used_i;
    filling += d.filling_i;
    records += d.records_i;
    answers += answered;
    b.step();
  }
  d.slots_used_i = d.filling_i = d.records_i = d.walk_count_i = 0;
  CHECK(b.counter(KVS_COUNT_SLOT_CYCLES) == slots);
  CHECK(b.counter(KVS_COUNT_FILLING_CYCLES) == filling);
  CHECK(b.counter(KVS_COUNT_RECORD_CYCLES) == records);
  CHECK(b.counter(KVS_COUNT_WALK_ANSWERS) == answers);

  // A counter that runs at full speed: both words belong to one moment. The sum crosses 2^32 often.
  d.merge_done_i = 1;
  d.merge_sink_mass_i = 0xffffffff;
  const uint64_t start = b.cycle();
  uint64_t before_steps = 0;
  for (unsigned i = 0; i < 40; i++) {
    const uint64_t low = b.get(REG(count) + 8 * KVS_COUNT_SINK_MASS);
    for (uint64_t n = b.rng()() % 90; n > 0; n--) b.step();
    const uint64_t high = b.get(REG(count) + 8 * KVS_COUNT_SINK_MASS + 4);
    const uint64_t value = high << 32 | low;
    REQUIRE((value - mass) % 0xffffffff == 0);
    const uint64_t steps = (value - mass) / 0xffffffff;
    CHECK(steps > before_steps);
    CHECK(steps <= b.cycle() - start);
    before_steps = steps;
  }
  d.merge_done_i = 0;
  // Cycles go on while nothing happens.
  const uint64_t before = b.counter(KVS_COUNT_CYCLES), at = b.cycle();
  for (unsigned i = 0; i < 1000; i++) b.step();
  const uint64_t after = b.counter(KVS_COUNT_CYCLES);
  CHECK(after - before >= 1000 - 80);
  CHECK(after - before <= b.cycle() - at + 80);
}

TEST_CASE("commands of the window and of the stream each get their own completions, whatever the other does", "[csr]") {
  for (unsigned mode = 0; mode < 4; mode++) {
    Bench b(kvsink::test_seed() * 7 + mode);
    if (mode == 1) b.stream_take_percent = 0;  // the stream's completions are never taken
    if (mode == 2) b.done_percent = 5;         // the controller is slow: the table fills
    if (mode == 3) b.controller_percent = 100, b.done_percent = 100, b.stream_take_percent = 100;
    std::map<uint16_t, std::deque<uint32_t>> want_stream;
    for (unsigned i = 0; i < 60; i++) {
      const Command c{static_cast<uint8_t>(i % 12 + 1), static_cast<uint16_t>(i % 5), 1000 + i};
      b.to_stream.push_back(c);
      want_stream[c.tag].push_back(c.first);
    }
    // The same tags as the stream uses.
    std::multiset<uint32_t> want_window;
    unsigned taken = 0;
    const auto take = [&] {
      std::array<uint32_t, 8> w{};
      for (unsigned i = 0; i < 8; i++) w[i] = b.get(REG(done) + 4 * i);
      b.set(REG(done_pop), 1);
      const uint32_t first = w[1] / 3;
      CHECK(want_window.count(first) == 1);
      want_window.erase(first);
      CHECK(w[0] == ((first & 3) << 16 | 0x500 | (first % 12 + 1)));
      CHECK(w[2] == (first ^ 0x55555555));
      CHECK(w[3] == ~first);
      CHECK(w[4] == first + 7);
      taken++;
    };
    for (unsigned i = 0; i < 40; i++) {
      const uint32_t first = 50 + i;
      for (unsigned w = 0; w < 12; w++) {
        b.set(REG(cmd) + 4 * w, w == 0 ? ((first & 3) << 16 | (first % 12 + 1)) : (w == 1 ? first : w));
      }
      want_window.insert(first);
      b.set(REG(doorbell), 1);
      for (unsigned polls = 0; (b.get(REG(status)) & 1) != 0; polls++) {
        REQUIRE(polls < 3000);
        if ((b.get(REG(status)) & 2) != 0) take();
      }
      if (i % 3 == 0 && (b.get(REG(status)) & 2) != 0) take();
    }
    for (unsigned polls = 0; taken < 40 && polls < 5000; polls++) {
      if ((b.get(REG(status)) & 2) != 0) take();
    }
    CHECK(taken == 40);
    CHECK(want_window.empty());
    CHECK(b.get(REG(status)) == 0);
    b.stream_take_percent = 50;
    for (unsigned i = 0; i < 20000 && b.stream_dones.size() < 60; i++) b.step();
    REQUIRE(b.stream_dones.size() == 60);
    for (const auto& d : b.stream_dones) {
      const uint32_t first = d[1] / 3;
      const uint16_t tag = static_cast<uint16_t>(d[0] >> 16);
      auto& q = want_stream[tag];
      const auto it = std::find(q.begin(), q.end(), first);
      REQUIRE(it != q.end());
      q.erase(it);
      CHECK((d[0] & 0xff) == (first - 1000) % 12 + 1);
      CHECK(d[4] == first + 7);
    }
    CHECK(b.accepted() == 100);
    CHECK(b.counter(KVS_COUNT_COMMANDS) == 100);
    CHECK(b.counter(KVS_COUNT_COMPLETIONS) == 100);
  }
}

TEST_CASE("the command window refuses to be written or rung while busy, and pops of nothing", "[csr]") {
  Bench b(kvsink::test_seed() + 4);
  b.controller_percent = 0;
  CHECK(b.write(REG(done_pop), 1).resp == kSlverr);
  CHECK(b.write(REG(log_pop), 1).resp == kSlverr);
  CHECK(b.get(REG(errors)) == KVS_BAD_WINDOW);
  b.set(REG(errors), KVS_BAD_WINDOW);
  CHECK(b.write(REG(cmd_reserved), 1).resp == kSlverr);
  CHECK(b.get(REG(errors)) == KVS_BAD_RANGE);
  b.set(REG(errors), KVS_BAD_RANGE);
  b.set(REG(cmd), 1);
  b.set(REG(doorbell), 1);  // into the register in front of the controller
  b.set(REG(cmd), 2);
  b.set(REG(doorbell), 1);  // waits in the window
  CHECK(b.get(REG(status)) == 1);
  CHECK(b.write(REG(cmd), 3).resp == kSlverr);
  CHECK(b.write(REG(doorbell), 1).resp == kSlverr);
  CHECK(b.get(REG(cmd)) == 2);
  CHECK(b.get(REG(errors)) == KVS_BAD_WINDOW);
  CHECK(b.pops == 0);
  b.controller_percent = 100;
  for (unsigned i = 0; i < 200; i++) b.step();
  CHECK(b.accepted() == 2);
}

TEST_CASE("the log shows its oldest record, and sequence and CRC of one moment", "[csr]") {
  Bench b(kvsink::test_seed() + 5);
  auto& d = b.dut();
  CHECK(b.get(REG(log)) == 0);
  for (unsigned i = 0; i < 8; i++) d.log_record_i[i] = 0x11111111 * (i + 1);
  d.log_valid_i = 1;
  d.log_level_i = 9;
  for (unsigned i = 0; i < 8; i++) CHECK(b.get(REG(log) + 4 * i) == 0x11111111 * (i + 1));
  CHECK(b.get(REG(log_level)) == 9);
  CHECK(b.get(REG(status)) == 4);
  b.set(REG(log_pop), 1);
  b.step();
  CHECK(b.pops == 1);
  b.set(REG(log_pop), 0);
  b.step();
  CHECK(b.pops == 1);
  for (unsigned i = 0; i < 20; i++) {
    d.log_last_sequence_i = 100 + i;
    d.log_last_crc_i = 0xabc0000 + i;
    CHECK(b.get(REG(log_last_sequence)) == 100 + i);
    d.log_last_sequence_i = 900 + i;
    d.log_last_crc_i = 0xdef0000 + i;
    CHECK(b.get(REG(log_last_crc)) == 0xabc0000 + i);
  }
}

TEST_CASE("the interrupt follows its reasons while they are enabled", "[csr]") {
  Bench b(kvsink::test_seed() + 6);
  auto& d = b.dut();
  const auto irq = [&] {
    b.step();
    b.step();
    return d.irq_o != 0;
  };
  b.set(REG(log_threshold), 5);
  d.log_level_i = 4;
  CHECK(b.get(REG(irq_state)) == 0);
  d.log_level_i = 5;
  CHECK(b.get(REG(irq_state)) == KVS_IRQ_LOG);
  CHECK_FALSE(irq());
  b.set(REG(irq_enable), KVS_IRQ_LOG);
  CHECK(irq());
  d.log_level_i = 0;
  CHECK_FALSE(irq());

  b.set(REG(irq_enable), KVS_IRQ_STREAM);
  b.set(REG(stream_timeout), 100);
  d.sink_valid_i = 1;
  for (unsigned round = 0; round < 3; round++) {
    d.sink_ready_i = 0;
    for (unsigned i = 0; i < 99; i++) b.step();
    d.sink_ready_i = 1;
    CHECK_FALSE(irq());
  }
  d.sink_ready_i = 0;
  for (unsigned i = 0; i < 400; i++) b.step();
  CHECK(irq());
  CHECK(b.get(REG(errors)) == KVS_BAD_SINK_TIMEOUT);
  CHECK(b.get(REG(irq_state)) == KVS_IRQ_STREAM);
  CHECK(b.counter(KVS_COUNT_SINK_TIMEOUTS) == 1);
  b.set(REG(errors), KVS_BAD_SINK_TIMEOUT);
  CHECK_FALSE(irq());
  d.sink_ready_i = 1;
  d.bulk_valid_i = 1;
  d.bulk_ready_i = 0;
  for (unsigned i = 0; i < 102; i++) b.step();
  CHECK(b.get(REG(errors)) == KVS_BAD_BULK_TIMEOUT);
  b.set(REG(errors), 0x3ff);
  d.bulk_valid_i = 0;

  b.set(REG(irq_enable), KVS_IRQ_ERROR);
  const struct {
    uint32_t bit;
    std::function<void(bool)> set;
  } reasons[] = {
      {KVS_BAD_BUS, [&](bool v) { d.port_count_i = v ? 2 : 0; }},
      {KVS_BAD_MERGE_MALFORMED, [&](bool v) { d.merge_error_i = v; }},
      {KVS_BAD_MERGE_NAN, [&](bool v) { d.merge_nan_i = v, d.merge_done_i = v; }},
      {KVS_BAD_SCORE_SATURATED, [&](bool v) { d.score_i = v ? 2 : 0; }},
      {KVS_BAD_SCORE_MALFORMED, [&](bool v) { d.score_i = v ? 8 : 0; }},
  };
  for (const auto& r : reasons) {
    INFO("bit " << r.bit);
    CHECK_FALSE(irq());
    r.set(true);
    b.step();
    r.set(false);
    CHECK(irq());
    CHECK(b.get(REG(errors)) == r.bit);
    b.set(REG(errors), r.bit ^ 0x3ff);  // clearing others does not clear it
    CHECK(b.get(REG(errors)) == r.bit);
    b.set(REG(errors), r.bit);
  }
  b.set(REG(irq_enable), KVS_IRQ_DONE);
  CHECK_FALSE(irq());
  b.set(REG(cmd), 7);
  b.set(REG(doorbell), 1);
  for (unsigned i = 0; i < 100; i++) b.step();
  CHECK(irq());
  b.set(REG(done_pop), 1);
  for (unsigned i = 0; i < 10; i++) b.step();
  CHECK_FALSE(irq());
}

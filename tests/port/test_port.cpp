// SPDX-License-Identifier: Apache-2.0
// axi_read_port between three clients and a memory model: data, order, shares, bounds, fences, counters.
#include <VPort_default.h>
#include <VPort_small.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <deque>
#include <string>
#include <vector>

#include "support/catch.hpp"
#include "tb/common/axi_memory.hpp"
#include "tb/common/bits.hpp"
#include "tb/common/rng.hpp"
#include "tb/common/sim.hpp"
#include "tb/common/stream.hpp"

namespace {

using kvsink::tb::AxiMemory;
using kvsink::tb::Rng;
using kvsink::tb::Sim;

constexpr int kClients = 3;
constexpr int kTable = 0;
constexpr int kBulk = 1;
constexpr int kPromo = 2;

struct Read {
  uint64_t addr = 0;
  uint32_t beats = 1;
};

AxiMemory::Config memory_of(uint32_t latency) {
  AxiMemory::Config config;
  config.tiers = {{.latency = latency}};
  config.fill = AxiMemory::Fill::kHash;
  config.expect_rready = true;
  return config;
}

template <class V>
class Bench {
 public:
  struct Client {
    kvsink::tb::Source<Read> source;
    uint32_t room = ~0U;       // beats that may be outstanding: the client asks for no more
    uint32_t outstanding = 0;  // beats
    std::deque<Read> flight;   // reads taken, oldest first
    uint32_t shown = 0;        // beats of the oldest
    uint64_t beats = 0, bursts = 0, errors = 0;
    uint64_t asked = 0;  // cycle since which it asks; with asking
    bool asking = false;
    uint64_t longest_wait = 0;
    uint64_t last_taken = 0, last_shown = 0;
  };

  explicit Bench(AxiMemory::Config config, unsigned floor = 2, uint64_t seed = kvsink::tb::seed_from_env())
      : rng(seed), sim(seed), memory(with_bus(std::move(config), sim)) {
    sim->promo_floor_i = static_cast<uint8_t>(floor);
    sim->req_valid_i = 0;
    sim->fence_i = 0;
    sim->bus_timeout_i = 0;
    sim->bulk_ahead_i = 0;
    sim->promo_chan_i = 0;
    sim->m_axi_arready_i = 0;
    sim->m_axi_rvalid_i = 0;
    sim.reset();
  }

  [[nodiscard]] uint32_t beat_bytes() const { return memory.config().beat_bytes; }

  /// A legal read of at most `longest` beats.
  Read random_read(uint32_t longest) {
    const uint32_t page_beats = 4096 / beat_bytes();
    const auto first = static_cast<uint32_t>(rng.below(page_beats));
    const auto beats = static_cast<uint32_t>(rng.range(1, std::min(longest, page_beats - first)));
    return {rng.bits(30) * 4096 + uint64_t{first} * beat_bytes(), beats};
  }
  /// Keeps a client asking: reads of `beats` beats, as long as it has room.
  void saturate(int c, uint32_t beats) {
    if (client[c].source.pending() < 2) {
      client[c].source.push({rng.bits(20) * 4096, beats});
    }
  }

  void tick(bool fence = false) {
    auto& dut = *sim;
    const uint64_t now = sim.cycle();
    dut.req_valid_i = 0;
    std::array<Read, kClients> shown{};
    for (int c = 0; c < kClients; ++c) {
      auto& cl = client[c];
      const Read* r = cl.source.begin();
      const bool fits = r != nullptr && cl.outstanding + r->beats <= cl.room;
      if (fits) {
        shown[c] = *r;
        dut.req_valid_i |= static_cast<uint8_t>(1 << c);
        dut.req_addr_i[c] = r->addr;
        dut.req_len_i[c] = static_cast<uint8_t>(r->beats - 1);
        if (!cl.asking) cl.asked = now;
      } else {
        dut.req_addr_i[c] = rng.bits(48);
        dut.req_len_i[c] = static_cast<uint8_t>(rng.bits(8));
      }
      cl.asking = fits;
    }
    dut.fence_i = fence;
    dut.m_axi_arready_i = memory.arready();
    const auto& r = memory.r();
    dut.m_axi_rvalid_i = r.valid;
    dut.m_axi_rid_i = r.valid ? r.id : static_cast<uint8_t>(rng.bits(3));
    dut.m_axi_rresp_i = r.resp;
    dut.m_axi_rlast_i = r.last;
    kvsink::tb::set_words(dut.m_axi_rdata_i, std::span(r.data).first(beat_bytes() / 4));
    sim.settle();

    if (dut.m_axi_arvalid_o != 0) last_ar = now;
    if (dut.m_axi_arvalid_o != 0 && (dut.m_axi_arcache_o != 3 || dut.m_axi_arprot_o != 2)) complain("ARCACHE, ARPROT");
    memory.tick({dut.m_axi_arvalid_o != 0, dut.m_axi_arid_o, dut.m_axi_araddr_o, dut.m_axi_arlen_o, dut.m_axi_arsize_o,
                 dut.m_axi_arburst_o},
                dut.m_axi_rready_o != 0);
    for (int c = 0; c < kClients; ++c) {
      auto& cl = client[c];
      if (cl.asking) {
        const uint64_t waited = now - cl.asked;
        cl.longest_wait = std::max(cl.longest_wait, waited);
        if (cl.source.end((dut.req_ready_o >> c & 1) != 0)) {
          cl.flight.push_back(shown[c]);
          cl.outstanding += shown[c].beats;
          ++cl.bursts;
          cl.asking = false;
          cl.last_taken = now;
        }
      }
      if ((dut.rsp_valid_o >> c & 1) != 0) beat(c, now);
    }
    // fence: busy while a read taken up to its pulse has not shown its last beat before this cycle
    if (fence_open_ != (dut.fence_busy_o != 0)) complain("fence_busy_o is " + std::to_string(dut.fence_busy_o));
    busy_cycles += dut.fence_busy_o;
    if (fence) {
      for (int c = 0; c < kClients; ++c) fence_left_[c] = client[c].flight.size();
    } else {
      for (int c = 0; c < kClients; ++c) {
        if (ended_[c] && fence_left_[c] > 0) --fence_left_[c];
      }
    }
    fence_open_ = std::any_of(fence_left_.begin(), fence_left_.end(), [](size_t n) { return n != 0; });
    ended_ = {};
    for (int c = 0; c < kClients; ++c) {
      counted_bursts[c] += dut.count_burst_o >> c & 1;
      counted_beats[c] += dut.count_beat_o >> c & 1;
    }
    counted_errors += dut.count_error_o;
    counted_stray += dut.count_stray_o;
    counted_stall += dut.count_ar_stall_o;
    counted_idle += dut.count_r_idle_o;
    sim.edge();
  }
  void drain() {
    sim.run_until([&] { tick(); },
                  [&] {
                    return std::all_of(client.begin(), client.end(),
                                       [](const Client& c) { return c.source.empty() && c.flight.empty(); });
                  },
                  1000000, "the port");
    for (int i = 0; i < 4; ++i) tick();
  }
  void expect_clean() {
    for (const auto& w : wrong) UNSCOPED_INFO(w);
    for (const auto& v : memory.violations()) UNSCOPED_INFO(v);
    CHECK(wrong.empty());
    CHECK(memory.violations().empty());
    uint64_t errors = 0;
    for (int c = 0; c < kClients; ++c) {
      CAPTURE(c);
      CHECK(counted_bursts[c] == client[c].bursts);
      CHECK(counted_beats[c] == client[c].beats);
      errors += client[c].errors;
    }
    CHECK(counted_errors == errors);
    CHECK(counted_stall == memory.stats().ar_wait);
  }
  void clear_waits() {
    for (auto& c : client) {
      c.longest_wait = 0;
      c.beats = 0;
    }
  }

  Rng rng;
  Sim<V> sim;
  AxiMemory memory;
  std::array<Client, kClients> client;
  std::array<uint64_t, kClients> counted_bursts{}, counted_beats{};
  uint64_t counted_errors = 0, counted_stray = 0, counted_stall = 0, counted_idle = 0, busy_cycles = 0;
  uint64_t last_ar = 0;
  std::vector<std::string> wrong;

 private:
  static AxiMemory::Config with_bus(AxiMemory::Config config, Sim<V>& sim) {
    sim.settle();
    config.beat_bytes = sim->cfg_bus_bits_o / 8;
    return config;
  }
  void beat(int c, uint64_t now) {
    auto& dut = *sim;
    auto& cl = client[c];
    if (cl.flight.empty()) {
      complain("client " + std::to_string(c) + " got a beat that it did not ask for");
      return;
    }
    const Read& read = cl.flight.front();
    const bool last = cl.shown + 1 == read.beats;
    const bool error = (dut.rsp_error_o >> c & 1) != 0;
    if (((dut.rsp_last_o >> c & 1) != 0) != last) complain("client " + std::to_string(c) + ": wrong last");
    const uint64_t addr = read.addr + uint64_t{cl.shown} * beat_bytes();
    if (error != is_bad(addr)) complain("client " + std::to_string(c) + ": wrong error flag");
    std::vector<uint8_t> expected(beat_bytes());
    memory.read(addr, expected);
    if (!error && kvsink::tb::to_bytes(dut.rsp_data_o[c], beat_bytes()) != expected) {
      complain("client " + std::to_string(c) + ": wrong data");
    }
    ++cl.beats;
    cl.errors += error;
    cl.last_shown = now;
    --cl.outstanding;
    ++cl.shown;
    if (!last) return;
    cl.shown = 0;
    cl.flight.pop_front();
    ended_[c] = true;
  }

 public:
  /// Beats of this address range answer with an error (set the memory's fault as well).
  std::pair<uint64_t, uint64_t> bad{0, 0};

 private:
  [[nodiscard]] bool is_bad(uint64_t addr) const { return addr < bad.second && addr + beat_bytes() > bad.first; }
  void complain(const std::string& what) {
    if (wrong.size() < 10) wrong.push_back("cycle " + std::to_string(sim.cycle()) + ": " + what);
  }

  bool fence_open_ = false;
  std::array<size_t, kClients> fence_left_{};
  std::array<bool, kClients> ended_{};
};

}  // namespace

TEMPLATE_TEST_CASE("Every client gets its beats, in its order, whatever the memory and the others do", "[port]",
                   VPort_small, VPort_default) {
  for (const unsigned round : {0U, 1U, 2U, 3U}) {
    AxiMemory::Config config = memory_of(round == 0 ? 1 : 40);
    config.out_of_order = round != 1;
    config.interleave = round == 2;
    config.jitter = round == 3 ? 60 : 0;
    config.ar_stall_percent = round * 20;
    config.ar_stall_longest = 10;
    config.r_gap_percent = round * 10;
    Bench<TestType> bench(config, round * 9, kvsink::tb::seed_from_env() * 10 + round);
    KVSINK_INFO_SEED(bench.rng);
    CAPTURE(round);
    bench.bad = {uint64_t{1} << 40, (uint64_t{1} << 40) + (uint64_t{1} << 41)};
    bench.memory.add_fault({.first = bench.bad.first, .end = bench.bad.second, .kind = AxiMemory::FaultKind::kDecErr});
    for (int c = 0; c < kClients; ++c) {
      bench.client[c].source.stall() = kvsink::tb::Stall(bench.rng.fork("req" + std::to_string(c)), 30, 40);
    }
    for (int cycle = 0; cycle < 12000; ++cycle) {
      for (int c = 0; c < kClients; ++c) {
        if (bench.client[c].source.pending() < 2) bench.client[c].source.push(bench.random_read(c == kTable ? 1 : 24));
      }
      bench.tick(bench.rng.percent(2));
    }
    for (auto& c : bench.client) c.source.stall().set(0);
    bench.drain();
    bench.expect_clean();
    CHECK(bench.busy_cycles > 100);
    for (const auto& c : bench.client) {
      if (round == 0 && &c == &bench.client[kPromo]) continue;  // floor 0: hardly ever its turn
      CHECK(c.bursts > 100);
      CHECK(c.errors > 1);
    }
  }
}

TEST_CASE("Promotion gets its floor of a saturated bus and no more, and floor 0 costs bulk less than 1 %", "[port]") {
  // A bulk client with room for 512 beats and bursts of 8, a promotion client that never stops asking.
  for (const unsigned floor : {0U, 1U, 2U, 8U, 16U, 31U}) {
    for (const uint32_t promo_beats : {2U, 8U, 64U}) {
      if (floor == 31 && promo_beats < 64) continue;  // 511 short reads in flight are not 31 of 32 beats
      CAPTURE(floor, promo_beats);
      Bench<VPort_default> bench(memory_of(150), floor);
      bench.client[kBulk].room = 512;
      bench.client[kPromo].room = 512 * (floor + 2);
      const auto run = [&](unsigned cycles) {
        for (unsigned i = 0; i < cycles; ++i) {
          bench.saturate(kBulk, 8);
          bench.saturate(kPromo, promo_beats);
          bench.tick();
        }
      };
      run(3000);
      bench.clear_waits();
      constexpr unsigned kCycles = 40000;
      run(kCycles);
      const double share = floor == 0 ? 1.0 / 256 : floor / 32.0;
      const double promo = static_cast<double>(bench.client[kPromo].beats) / kCycles;
      const double bulk = static_cast<double>(bench.client[kBulk].beats) / kCycles;
      CHECK(promo + bulk > 0.995);
      CHECK(promo > share * 0.98 - 2.0 * promo_beats / kCycles);
      CHECK(promo < share * 1.02 + 2.0 * promo_beats / kCycles);
      if (floor == 0) CHECK(bulk > 0.99);
      // A burst, and what the credit pays at most; promotion: the price of its burst, and until bulk has room again.
      CHECK(bench.client[kBulk].longest_wait <= promo_beats + (4 + 8 * share) / (1 - share) + 8);
      CHECK(bench.client[kPromo].longest_wait <= promo_beats * (1 - share) / share + 520);
    }
  }
}

TEST_CASE("Promotion has the bus to itself while bulk is idle, and bulk while promotion is", "[port]") {
  for (const int alone : {kBulk, kPromo}) {
    Bench<VPort_default> bench(memory_of(100), 0);
    bench.client[alone].room = 512;
    for (unsigned i = 0; i < 5000; ++i) {
      bench.saturate(alone, 4);
      bench.tick();
    }
    CHECK(bench.client[alone].beats > 4880);
  }
}

TEST_CASE("Table reads go first, and even a flood of them leaves room for the others", "[port]") {
  Bench<VPort_default> bench(memory_of(50), 2);
  bench.client[kBulk].room = 512;
  bench.client[kPromo].room = 512;
  for (unsigned i = 0; i < 4000; ++i) {
    bench.saturate(kBulk, 8);
    bench.saturate(kPromo, 8);
    if (i % 100 == 0) bench.client[kTable].source.push(bench.random_read(1));
    bench.tick();
  }
  CHECK(bench.client[kTable].bursts == 40);
  CHECK(bench.client[kTable].longest_wait <= 2);
  bench.clear_waits();
  for (unsigned i = 0; i < 4000; ++i) {
    bench.saturate(kTable, 1);
    bench.saturate(kBulk, 8);
    bench.saturate(kPromo, 8);
    bench.tick();
  }
  CHECK(bench.client[kTable].beats > 1000);
  CHECK(bench.client[kBulk].beats > 1000);
  CHECK(bench.client[kPromo].beats > 60);
  // 16 table reads, a read of promotion and 16 more, each a cycle on AR.
  CHECK(bench.client[kBulk].longest_wait <= 34);
}

TEST_CASE("A read is on AR one cycle after it is taken, and a beat at its client one cycle after R", "[port]") {
  Bench<VPort_default> bench(memory_of(10), 2);
  for (int c = 0; c < kClients; ++c) {
    for (int i = 0; i < 5; ++i) bench.tick();
    bench.client[c].source.push(bench.random_read(1));
    bench.drain();
    CHECK(bench.last_ar == bench.client[c].last_taken + 1);
    CHECK(bench.client[c].last_shown == bench.last_ar + 10 + 1);
  }
  bench.expect_clean();
}

TEST_CASE("Beats that nobody asked for are dropped and counted, and change nothing", "[port]") {
  Bench<VPort_default> bench(memory_of(30), 2);
  uint64_t injected = 0;
  for (unsigned i = 0; i < 3000; ++i) {
    if (bench.client[kBulk].source.pending() < 1) bench.client[kBulk].source.push(bench.random_read(16));
    if (bench.rng.percent(10)) {
      AxiMemory::R beat;
      beat.id = static_cast<uint8_t>(bench.rng.coin() ? kTable : bench.rng.range(2, 7));
      beat.last = bench.rng.coin();
      beat.resp = static_cast<uint8_t>(bench.rng.below(4));
      bench.memory.inject(beat);
      ++injected;
    }
    bench.tick(i == 1500);
  }
  bench.drain();
  for (int i = 0; i < 500; ++i) bench.tick();
  CHECK(bench.counted_stray == injected);
  CHECK(bench.client[kBulk].bursts > 100);
  bench.expect_clean();
}

TEST_CASE("Cycles without a beat are counted only while a read is outstanding", "[port]") {
  Bench<VPort_default> bench(memory_of(100), 2);
  for (int i = 0; i < 50; ++i) bench.tick();
  CHECK(bench.counted_idle == 0);
  bench.client[kBulk].source.push({0x1000, 4});
  bench.drain();
  // Outstanding from the cycle after it was taken; on AR in that cycle; the first beat 100 cycles later.
  CHECK(bench.counted_idle == 100);
}

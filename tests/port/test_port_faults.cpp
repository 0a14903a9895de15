// SPDX-License-Identifier: Apache-2.0
// axi_read_port and a memory that breaks the rules: lost and late answers, RLAST in the wrong place, addresses that are
// never taken. Every read must end in bounded time, no beat without the error flag may be wrong, and the channels that
// the fault does not concern must not notice.
#include <VPort_default.h>

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

namespace {

using kvsink::tb::AxiMemory;
using FaultKind = AxiMemory::FaultKind;

constexpr int kChannels = 4;  // table, bulk, promotion 0 and 1
constexpr uint32_t kBeat = 32;
constexpr unsigned kTimeout = 400;
constexpr uint64_t kMarked = uint64_t{1} << 44;  // where the reads lie that a fault is for

struct Read {
  uint64_t addr = 0;
  uint32_t beats = 1;
  uint64_t taken = 0;
};

AxiMemory::Config memory_of(uint32_t latency) {
  AxiMemory::Config config;
  config.beat_bytes = kBeat;
  config.tiers = {{.latency = latency}};
  config.fill = AxiMemory::Fill::kHash;
  config.expect_rready = true;
  config.out_of_order = true;
  return config;
}

class Bench {
 public:
  struct Channel {
    std::deque<Read> next;  // to be asked for
    std::deque<Read> flight;
    uint32_t shown = 0;
    uint64_t good = 0, bad = 0, ended = 0;  // beats without and with error; reads
    uint64_t longest = 0;                   // cycles from taken to ended
  };

  explicit Bench(uint64_t seed = kvsink::tb::seed_from_env()) : rng(seed), sim(seed), memory(memory_of(60)) {
    sim->promo_floor_i = 8;
    sim->bus_timeout_i = kTimeout;
    sim->bulk_ahead_i = 0;
    sim->promo_chan_i = 0;
    sim->req_valid_i = 0;
    sim->fence_i = 0;
    sim->m_axi_arready_i = 0;
    sim->m_axi_rvalid_i = 0;
    sim.reset();
  }

  Read read_at(uint64_t page, uint32_t beats) { return {page * 4096, beats, 0}; }
  /// Keeps the channels of the mask busy, with so little in flight that queueing alone makes nobody late.
  void traffic(unsigned channels) {
    for (int k = 0; k < kChannels; ++k) {
      if ((channels >> k & 1) != 0 && channel[k].next.empty() && channel[k].flight.size() < 3 &&
          rng.percent(k == 0 ? 5 : 30)) {
        channel[k].next.push_back(read_at(rng.bits(28), k == 0 ? 1 : static_cast<uint32_t>(rng.range(1, 24))));
      }
    }
  }

  void tick(bool fence = false) {
    auto& dut = *sim;
    const uint64_t now = sim.cycle();
    // Promotion shows one channel until it is taken.
    if (promo_asks_ == 0) {
      if (channel[2].next.empty() != channel[3].next.empty()) {
        promo_asks_ = channel[2].next.empty() ? 3 : 2;
      } else if (!channel[2].next.empty()) {
        promo_asks_ = rng.coin() ? 2 : 3;
      }
    }
    const std::array<int, 3> of{0, 1, promo_asks_};
    dut.req_valid_i = 0;
    for (int c = 0; c < 3; ++c) {
      if ((c == 2 && promo_asks_ == 0) || channel[of[c]].next.empty()) continue;
      const Read& r = channel[of[c]].next.front();
      dut.req_valid_i |= static_cast<uint8_t>(1 << c);
      dut.req_addr_i[c] = r.addr;
      dut.req_len_i[c] = static_cast<uint8_t>(r.beats - 1);
    }
    dut.promo_chan_i = promo_asks_ == 3;
    dut.fence_i = fence;
    dut.m_axi_arready_i = memory.arready() && !ar_refused;
    const auto& r = memory.r();
    dut.m_axi_rvalid_i = r.valid;
    dut.m_axi_rid_i = r.id;
    dut.m_axi_rresp_i = r.resp;
    dut.m_axi_rlast_i = r.last;
    kvsink::tb::set_words(dut.m_axi_rdata_i, std::span(r.data).first(kBeat / 4));
    sim.settle();
    memory.tick({dut.m_axi_arvalid_o != 0 && !ar_refused, dut.m_axi_arid_o, dut.m_axi_araddr_o, dut.m_axi_arlen_o,
                 dut.m_axi_arsize_o, dut.m_axi_arburst_o},
                dut.m_axi_rready_o != 0);
    // What promotion is told of counts for the reads taken before this cycle.
    for (int k = 2; k < kChannels; ++k) {
      if ((dut.promo_lost_o >> (k - 2) & 1) == 0) continue;
      ++lost_pulses;
      auto& ch = channel[k];
      for (const Read& f : ch.flight) end(ch, f, now);
      ch.flight.clear();
      ch.shown = 0;
    }
    for (int c = 0; c < 3; ++c) {
      if ((dut.rsp_valid_o >> c & 1) != 0) beat(c < 2 ? c : 2 + dut.promo_rsp_chan_o, c, now);
    }
    for (int c = 0; c < 3; ++c) {
      if ((dut.req_valid_i & dut.req_ready_o & (1 << c)) == 0) continue;
      auto& ch = channel[of[c]];
      ch.flight.push_back(ch.next.front());
      ch.flight.back().taken = now;
      ch.next.pop_front();
      if (c == 2) promo_asks_ = 0;
    }
    stray += dut.count_stray_o;
    fence_busy = dut.fence_busy_o != 0;
    sim.edge();
  }

  [[nodiscard]] bool idle() const {
    for (const auto& ch : channel) {
      if (!ch.next.empty() || !ch.flight.empty()) return false;
    }
    return true;
  }
  void run(unsigned cycles, unsigned channels) {
    for (unsigned i = 0; i < cycles; ++i) {
      traffic(channels);
      tick();
    }
  }
  /// Every read ends; the bound is the one the port promises, with room for the queue of others.
  void drain(uint64_t limit = 6 * kTimeout + 2000) {
    sim.run_until([&] { tick(); }, [&] { return idle(); }, limit, "the port");
    for (int i = 0; i < 3; ++i) tick();  // a wrong RLAST on the very last beat is told a cycle later
  }
  [[nodiscard]] uint64_t bad_of_others(int victim) const {
    uint64_t n = 0;
    for (int k = 0; k < kChannels; ++k) n += k == victim ? 0 : channel[k].bad;
    return n;
  }

  kvsink::tb::Rng rng;
  kvsink::tb::Sim<VPort_default> sim;
  AxiMemory memory;
  std::array<Channel, kChannels> channel;
  bool ar_refused = false;
  bool fence_busy = false;
  uint64_t stray = 0, lost_pulses = 0;
  std::vector<std::string> wrong;

 private:
  static void end(Channel& ch, const Read& r, uint64_t now) {
    ++ch.ended;
    ch.longest = std::max(ch.longest, now - r.taken);
  }
  void beat(int k, int c, uint64_t now) {
    auto& ch = channel[k];
    if (ch.flight.empty()) return complain("channel " + std::to_string(k) + " got a beat that it did not ask for");
    const Read r = ch.flight.front();
    if ((sim->rsp_error_o >> c & 1) != 0) {
      ++ch.bad;
    } else {
      ++ch.good;
      std::vector<uint8_t> want(kBeat);
      memory.read(r.addr + uint64_t{ch.shown} * kBeat, want);
      if (kvsink::tb::to_bytes(sim->rsp_data_o[c], kBeat) != want) {
        complain("channel " + std::to_string(k) + ": wrong data without the error flag");
      }
    }
    if (++ch.shown < r.beats) return;
    ch.shown = 0;
    end(ch, r, now);
    ch.flight.pop_front();
  }
  void complain(const std::string& what) {
    if (wrong.size() < 10) wrong.push_back("cycle " + std::to_string(sim.cycle()) + ": " + what);
  }
  int promo_asks_ = 0;  // channel that promotion shows; 0: none
};

void expect_right(const Bench& b) {
  for (const auto& w : b.wrong) UNSCOPED_INFO(w);
  for (const auto& v : b.memory.violations()) UNSCOPED_INFO(v);
  CHECK(b.wrong.empty());
  CHECK(b.memory.violations().empty());
}

}  // namespace

TEST_CASE("A fault of one read costs its channel the reads in flight, and nobody else anything", "[port][fault]") {
  for (const auto kind : {FaultKind::kSilent, FaultKind::kLate, FaultKind::kNoLast, FaultKind::kEarlyLast}) {
    for (int victim = 0; victim < kChannels; ++victim) {
      for (unsigned phase = 0; phase < 12; ++phase) {
        const uint32_t beats = victim == 0 ? 1 : 1 + phase * 2;
        if (kind == FaultKind::kEarlyLast && beats == 1) continue;  // that is no fault
        CAPTURE(static_cast<int>(kind), victim, phase);
        Bench b(kvsink::tb::seed_from_env() * 100 + phase);
        b.memory.add_fault(
            {.first = kMarked, .end = kMarked + 4096, .kind = kind, .count = 1, .cycles = kTimeout + 50 + 40 * phase});
        b.run(200 + 7 * phase, 0xf);
        b.channel[victim].next.push_back({kMarked, beats, 0});
        b.run(phase % 3 == 0 ? 0 : 3 * kTimeout, 0xf);  // alone, or with others behind it
        b.drain();
        CHECK(b.bad_of_others(victim) == 0);
        if (victim < 2) {
          CHECK(b.channel[victim].bad > 0);
        } else {
          CHECK(b.lost_pulses == 1);
        }
        CHECK(b.channel[victim].longest < 3 * kTimeout);
        // What was late has come by now; reads go on, and are right.
        b.run(2 * kTimeout, 0);
        const uint64_t bad = b.channel[victim].bad;
        const uint64_t ended = b.channel[victim].ended;
        b.run(500, 0xf);
        b.drain();
        CHECK(b.channel[victim].ended > ended);
        CHECK(b.channel[victim].bad == bad);
        CHECK(b.lost_pulses == (victim < 2 ? 0 : 1));
        if (kind == FaultKind::kLate) CHECK(b.stray >= beats);
        expect_right(b);
      }
    }
  }
}

TEST_CASE("A channel that lost both of its IDs answers with errors at once, until what it lost has come",
          "[port][fault]") {
  for (const auto kind : {FaultKind::kLate, FaultKind::kSilent, FaultKind::kNoLast}) {
    for (int victim = 0; victim < kChannels; ++victim) {
      CAPTURE(static_cast<int>(kind), victim);
      Bench b;
      b.memory.add_fault({.first = kMarked, .end = kMarked + 8192, .kind = kind, .count = 2, .cycles = 6 * kTimeout});
      for (int i = 0; i < 2; ++i) {
        b.channel[victim].next.push_back({kMarked + uint64_t(i) * 4096, 1, 0});
        for (int n = 0; n < 3; ++n) b.channel[victim].next.push_back(b.read_at(50 + n, victim == 0 ? 1 : 9));
        b.drain();
        b.run(200, 0);  // after a wrong RLAST: what was behind it has come, and says nothing
      }
      // No ID left: an answer within a few cycles, others go on.
      const uint64_t before = b.channel[victim].bad + b.lost_pulses;
      for (int i = 0; i < 5; ++i) {
        b.channel[victim].next.push_back(b.read_at(77 + i, victim == 0 ? 1 : 9));
        b.drain(60);
      }
      CHECK(b.channel[victim].bad + b.lost_pulses == before + (victim < 2 ? 5 * (victim == 0 ? 1 : 9) : 5));
      b.run(500, 0xf & ~(1U << victim));
      b.drain();
      CAPTURE(b.channel[0].bad, b.channel[1].bad, b.channel[2].bad, b.channel[3].bad);
      CHECK(b.bad_of_others(victim) == 0);
      b.run(8 * kTimeout, 0);
      const uint64_t good = b.channel[victim].good;
      b.channel[victim].next.push_back(b.read_at(99, 1));
      b.drain();
      CHECK(b.channel[victim].good == good + (kind == FaultKind::kLate ? 1 : 0));  // healed, or until reset
      expect_right(b);
    }
  }
}

TEST_CASE("An ID is used again only when the last beat of all that it lost has come", "[port][fault]") {
  for (int victim = 1; victim < kChannels; ++victim) {
    for (unsigned phase = 0; phase < 10; ++phase) {
      CAPTURE(victim, phase);
      Bench b(kvsink::tb::seed_from_env() + phase);
      b.memory.add_fault(
          {.first = kMarked, .end = kMarked + 4096, .kind = FaultKind::kLate, .count = 1, .cycles = 3 * kTimeout});
      b.memory.add_fault({.first = kMarked + 4096, .end = kMarked + 8192, .kind = FaultKind::kSilent, .count = 1});
      b.channel[victim].next.push_back({kMarked, 60, 0});
      for (int n = 0; n < 2; ++n) b.channel[victim].next.push_back(b.read_at(200 + n, 40));
      b.run(20 * phase, 0);
      b.drain();
      b.channel[victim].next.push_back({kMarked + 4096, 1, 0});
      b.drain();
      // The other ID is gone for good; the first comes back while this one is asked for all the time.
      const uint64_t good = b.channel[victim].good;
      b.run(6 * kTimeout, 1U << victim);
      b.drain();
      CHECK(b.channel[victim].good > good + 100);
      CHECK(b.stray == 140);
      expect_right(b);
    }
  }
}

TEST_CASE("Addresses that the memory does not take hold nobody for longer than two timeouts", "[port][fault]") {
  for (unsigned phase = 0; phase < 8; ++phase) {
    Bench b(kvsink::tb::seed_from_env() + phase);
    b.run(150 + 3 * phase, 0xf);
    b.ar_refused = true;
    b.run(4 * kTimeout, 0xf);
    for (auto& ch : b.channel) {
      CHECK(ch.longest < 3 * kTimeout);
      CHECK(ch.ended > 20);
    }
    b.drain();
    CHECK(b.channel[1].bad > 0);
    b.ar_refused = false;  // what waited on AR goes out; its beats come late
    b.run(2 * kTimeout, 0);
    const uint64_t bad = b.channel[0].bad + b.channel[1].bad + b.lost_pulses;
    b.run(1000, 0xf);
    b.drain();
    CHECK(b.channel[0].bad + b.channel[1].bad + b.lost_pulses == bad);
    expect_right(b);
  }
}

TEST_CASE("A fence does not wait for reads that were lost", "[port][fault]") {
  for (int victim = 0; victim < kChannels; ++victim) {
    Bench b;
    b.memory.add_fault({.first = kMarked, .end = kMarked + 4096, .kind = FaultKind::kSilent, .count = 1});
    b.channel[victim].next.push_back({kMarked, 1, 0});
    for (int i = 0; i < 10; ++i) b.tick();
    b.tick(true);
    b.tick();
    CHECK(b.fence_busy);
    b.drain();
    b.tick();
    b.tick();
    CHECK_FALSE(b.fence_busy);
    expect_right(b);
  }
}

TEST_CASE("With bus_timeout 0 a read waits for as long as it takes", "[port][fault]") {
  Bench b;
  b.sim->bus_timeout_i = 0;
  b.memory.add_fault({.first = kMarked, .end = kMarked + 4096, .kind = FaultKind::kLate, .count = 1, .cycles = 20000});
  b.channel[1].next.push_back({kMarked, 4, 0});
  b.drain(30000);
  CHECK(b.channel[1].good == 4);
  CHECK(b.channel[1].bad == 0);
  expect_right(b);
}

// SPDX-License-Identifier: Apache-2.0
// The memory model itself: contents, time, order, faults, and that it sees every rule broken.
#include <algorithm>
#include <array>
#include <cstdint>
#include <cstring>
#include <deque>
#include <map>
#include <string>
#include <vector>

#include "support/catch.hpp"
#include "tb/common/axi_memory.hpp"
#include "tb/common/rng.hpp"

namespace {

using kvsink::tb::AxiMemory;
using kvsink::tb::Rng;

struct Seen {
  uint64_t cycle = 0;
  AxiMemory::R beat;
};

/// Shows each address until it is taken and collects the beats.
class Manager {
 public:
  explicit Manager(AxiMemory& memory) : memory_(memory) {}
  std::deque<AxiMemory::Ar> reads;
  std::vector<Seen> seen;
  std::vector<uint64_t> taken;
  unsigned rready_percent = 100;

  void tick() {
    const AxiMemory::Ar ar = reads.empty() ? AxiMemory::Ar{} : reads.front();
    const bool ready = memory_.arready();
    const AxiMemory::R beat = memory_.r();
    const bool rready = rng_.percent(rready_percent);
    if (beat.valid && rready) seen.push_back({memory_.cycle(), beat});
    if (ar.valid && ready) {
      taken.push_back(memory_.cycle());
      reads.pop_front();
    }
    memory_.tick(ar, rready);
  }
  void run(uint64_t cycles) {
    for (uint64_t i = 0; i < cycles; ++i) tick();
  }
  void drain() {
    for (int i = 0; i < 100000 && !(reads.empty() && memory_.idle()); ++i) tick();
    REQUIRE(reads.empty());
    REQUIRE(memory_.idle());
  }
  void ask(uint64_t addr, uint32_t beats = 1, uint8_t id = 0) {
    reads.push_back({true, id, addr, static_cast<uint8_t>(beats - 1), 5, 1});
  }

 private:
  AxiMemory& memory_;
  Rng rng_;
};

AxiMemory::Config plain(uint32_t latency = 10) {
  AxiMemory::Config config;
  config.tiers = {{.latency = latency}};
  return config;
}

}  // namespace

TEST_CASE("What is written is read, on the bus and beside it, and the rest is zero or the hash", "[tb_common]") {
  for (const auto fill : {AxiMemory::Fill::kZero, AxiMemory::Fill::kHash}) {
    auto config = plain();
    config.fill = fill;
    AxiMemory memory(config);
    Manager manager(memory);
    Rng rng;
    KVSINK_INFO_SEED(rng);
    std::map<uint64_t, uint8_t> model;
    for (int i = 0; i < 300; ++i) {
      std::vector<uint8_t> bytes(rng.range(1, 100));
      rng.fill(bytes);
      const uint64_t at = 0x10000 - 200 + rng.below(5000);
      memory.write(at, bytes);
      for (size_t b = 0; b < bytes.size(); ++b) model[at + b] = bytes[b];
    }
    const auto right = [&](uint64_t addr) {
      const auto found = model.find(addr);
      return found != model.end() ? found->second : memory.procedural(addr);
    };
    for (uint64_t a = 0xff00; a < 0x11800; a += 32) manager.ask(a);
    manager.drain();
    for (size_t i = 0; i < manager.seen.size(); ++i) {
      std::array<uint8_t, 32> got{};
      std::array<uint8_t, 32> beside{};
      std::memcpy(got.data(), manager.seen[i].beat.data.data(), 32);
      memory.read(0xff00 + 32 * i, beside);
      for (size_t b = 0; b < 32; ++b) {
        REQUIRE(got[b] == right(0xff00 + 32 * i + b));
        REQUIRE(beside[b] == got[b]);
      }
    }
    CHECK(memory.read32(0xff01) == (uint32_t{right(0xff04)} << 24 | uint32_t{right(0xff03)} << 16 |
                                    uint32_t{right(0xff02)} << 8 | right(0xff01)));
    CHECK(memory.violations().empty());
  }
}

TEST_CASE("The first beat comes a latency after its address, the others follow each other", "[tb_common]") {
  AxiMemory memory(plain(40));
  Manager manager(memory);
  manager.ask(0x1000, 8);
  manager.ask(0x2000, 4);
  manager.drain();
  REQUIRE(manager.seen.size() == 12);
  for (size_t i = 0; i < 12; ++i) CHECK(manager.seen[i].cycle == manager.taken[0] + 40 + i);
  CHECK(manager.taken[1] == manager.taken[0] + 1);
  CHECK(manager.seen[7].beat.last);
  CHECK(manager.seen[11].beat.last);
  CHECK(memory.stats().busy == 12);
  CHECK(memory.stats().id[0].latency_max == 50);
}

TEST_CASE("A tier gives its bandwidth, and a slow tier of another ID does not hold up a fast one", "[tb_common]") {
  auto config = plain(20);
  config.tiers = {{.first = 0, .end = 0x10'0000, .latency = 20, .bandwidth = 1.0},
                  {.first = 0x10'0000, .end = 0x20'0000, .latency = 200, .bandwidth = 0.25}};
  config.out_of_order = true;
  AxiMemory memory(config);
  Manager manager(memory);
  for (uint64_t i = 0; i < 50; ++i) {
    manager.ask(0x10'0000 + 256 * i, 8, 1);
    manager.ask(256 * i, 8, 0);
  }
  manager.drain();
  uint64_t first_slow = ~0ULL;
  uint64_t last_slow = 0;
  uint64_t last_fast = 0;
  for (const auto& s : manager.seen) {
    if (s.beat.id == 1) {
      first_slow = std::min(first_slow, s.cycle);
      last_slow = s.cycle;
    } else {
      last_fast = s.cycle;
    }
  }
  CHECK(last_fast < manager.taken[0] + 520);  // 400 beats, 20 cycles, and a few slow beats in between
  CHECK(first_slow >= manager.taken[0] + 200);
  CHECK(last_slow >= manager.taken[0] + 200 + 1590);  // 400 beats at a quarter
  CHECK(last_slow <= manager.taken[0] + 200 + 1660);
  CHECK(memory.stats().tier[0].beats == 400);
  CHECK(memory.stats().tier[1].bursts == 50);
}

TEST_CASE("Order is kept within an ID; between IDs, and between beats, only as far as asked", "[tb_common]") {
  for (const bool out_of_order : {false, true}) {
    for (const bool interleave : {false, true}) {
      CAPTURE(out_of_order, interleave);
      auto config = plain(15);
      config.out_of_order = out_of_order;
      config.interleave = interleave;
      config.jitter = 30;
      config.ar_stall_percent = 30;
      config.ar_stall_longest = 5;
      config.r_gap_percent = 20;
      config.fill = AxiMemory::Fill::kHash;
      AxiMemory memory(config);
      Manager manager(memory);
      manager.rready_percent = 70;
      Rng rng;
      KVSINK_INFO_SEED(rng);
      std::array<std::deque<std::pair<uint64_t, bool>>, 8> expected;  // address, last
      std::deque<uint8_t> order;
      for (int i = 0; i < 400; ++i) {
        const auto id = static_cast<uint8_t>(rng.below(8));
        const auto beats = static_cast<uint32_t>(rng.range(1, 6));
        const uint64_t addr = rng.below(10000) * 4096 + rng.below(64) * 32;
        manager.ask(addr, beats, id);
        for (uint32_t b = 0; b < beats; ++b) {
          expected[id].emplace_back(addr + 32 * b, b + 1 == beats);
          order.push_back(id);
        }
      }
      manager.drain();
      bool in_order = true;
      bool mixed = false;
      int open = -1;
      REQUIRE(manager.seen.size() == order.size());
      for (size_t i = 0; i < manager.seen.size(); ++i) {
        const auto& beat = manager.seen[i].beat;
        in_order &= beat.id == order[i];
        REQUIRE_FALSE(expected[beat.id].empty());
        const auto [addr, last] = expected[beat.id].front();
        expected[beat.id].pop_front();
        std::array<uint8_t, 32> right{};
        memory.read(addr, right);
        REQUIRE(std::memcmp(right.data(), beat.data.data(), 32) == 0);
        REQUIRE(beat.last == last);
        mixed |= open >= 0 && open != beat.id;
        open = last ? -1 : beat.id;
      }
      CHECK(in_order == !out_of_order);
      CHECK(mixed == (out_of_order && interleave));
      CHECK(memory.violations().empty());
      CHECK(memory.stats().ar_wait > 50);
      CHECK(memory.stats().r_wait > 50);
    }
  }
}

TEST_CASE("Faults hit what they name: errors, lost and late answers, wrong last", "[tb_common]") {
  AxiMemory memory(plain(10));
  Manager manager(memory);
  using Kind = AxiMemory::FaultKind;
  memory.add_fault({.first = 0x1020, .end = 0x1040, .kind = Kind::kSlvErr});
  memory.add_fault({.first = 0x2000, .end = 0x2020, .kind = Kind::kDecErr, .count = 1});
  memory.add_fault({.first = 0x3000, .end = 0x3001, .kind = Kind::kLost, .count = 1});
  memory.add_fault({.first = 0x4000, .end = 0x4001, .kind = Kind::kLate, .cycles = 100});
  memory.add_fault({.first = 0x5000, .end = 0x5001, .kind = Kind::kNoLast});
  memory.add_fault({.first = 0x6000, .end = 0x6001, .kind = Kind::kEarlyLast});
  const auto get = [&](uint64_t addr, uint32_t beats) {
    manager.seen.clear();
    manager.taken.clear();
    manager.ask(addr, beats);
    manager.drain();
    return manager.seen;
  };
  auto seen = get(0x1000, 3);
  CHECK((seen[0].beat.resp == 0 && seen[1].beat.resp == AxiMemory::kSlvErr && seen[2].beat.resp == 0));
  CHECK(get(0x2000, 1)[0].beat.resp == AxiMemory::kDecErr);
  CHECK(get(0x2000, 1)[0].beat.resp == AxiMemory::kOkay);
  CHECK(get(0x3000, 2).empty());
  CHECK(get(0x3000, 2).size() == 2);
  seen = get(0x4000, 1);
  CHECK(seen[0].cycle == manager.taken[0] + 110);
  seen = get(0x5000, 2);
  CHECK((seen.size() == 2 && !seen[1].beat.last));
  seen = get(0x6000, 3);
  CHECK((seen[0].beat.last && !seen[1].beat.last && seen[2].beat.last));
  memory.add_fault({.first = 0x7000, .end = 0x7001, .kind = Kind::kSilent, .count = 1});
  CHECK(get(0x7000, 2).empty());
  CHECK(get(0x8000, 2).empty());  // behind it
  memory.reset();
  CHECK(get(0x8000, 2).size() == 2);
  AxiMemory::R stray;
  stray.id = 5;
  memory.inject(stray);
  manager.seen.clear();
  manager.drain();
  CHECK((manager.seen.size() == 1 && manager.seen[0].beat.id == 5));
}

TEST_CASE("Data may be taken at the address or as the beat leaves", "[tb_common]") {
  for (const auto sample : {AxiMemory::Sample::kAccept, AxiMemory::Sample::kDeliver, AxiMemory::Sample::kRandom}) {
    auto config = plain(50);
    config.sample = sample;
    AxiMemory memory(config);
    Manager manager(memory);
    int old = 0;
    for (uint32_t i = 0; i < 100; ++i) {
      memory.write32(0x1000, 2 * i);
      manager.ask(0x1000);
      manager.run(10);
      memory.write32(0x1000, 2 * i + 1);
      manager.drain();
      REQUIRE(manager.seen.back().beat.data[0] / 2 == i);
      old += manager.seen.back().beat.data[0] % 2 == 0;
    }
    if (sample == AxiMemory::Sample::kAccept) CHECK(old == 100);
    if (sample == AxiMemory::Sample::kDeliver) CHECK(old == 0);
    if (sample == AxiMemory::Sample::kRandom) CHECK((old > 20 && old < 80));
  }
}

TEST_CASE("Every broken rule of the port is reported", "[tb_common]") {
  const auto report = [](const std::vector<AxiMemory::Ar>& shown, bool rready = true) {
    auto config = plain(1);
    config.expect_rready = true;
    config.ar_stall_percent = shown.size() > 1 ? 100 : 0;
    AxiMemory memory(config);
    for (const auto& ar : shown) memory.tick(ar, rready);
    for (int i = 0; i < 5; ++i) memory.tick({}, rready);
    std::string all;
    for (const auto& v : memory.violations()) all += v + "\n";
    return all;
  };
  const AxiMemory::Ar good{true, 1, 0x1000, 3, 5, 1};
  CHECK(report({good}).empty());
  CHECK_THAT(report({good}, false), Catch::Contains("RREADY"));
  auto bad = good;
  bad.size = 4;
  CHECK_THAT(report({bad}), Catch::Contains("ARSIZE"));
  bad = good;
  bad.burst = 0;
  CHECK_THAT(report({bad}), Catch::Contains("INCR"));
  bad = good;
  bad.addr = 0x1010;
  CHECK_THAT(report({bad}), Catch::Contains("aligned"));
  bad = good;
  bad.addr = 0x1fc0;
  CHECK_THAT(report({bad}), Catch::Contains("4 KiB"));
  bad = good;
  bad.id = 9;
  CHECK_THAT(report({bad}), Catch::Contains("ARID"));
  bad = good;
  bad.len = 4;
  CHECK_THAT(report({good, bad}), Catch::Contains("waited"));
  CHECK_THAT(report({good, {}}), Catch::Contains("waited"));
}

TEST_CASE("The limit of bursts in flight holds, and reset forgets them", "[tb_common]") {
  auto config = plain(100);
  config.max_outstanding = 3;
  AxiMemory memory(config);
  Manager manager(memory);
  for (uint64_t i = 0; i < 20; ++i) manager.ask(0x1000 * i, 2);
  manager.run(50);
  CHECK(memory.in_flight() == 3);
  CHECK(manager.taken.size() == 3);
  memory.reset();
  CHECK(memory.idle());
  manager.drain();
  CHECK(manager.seen.size() == 2 * 17);
  CHECK(memory.stats().in_flight_max == 3);
}

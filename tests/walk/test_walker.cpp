// SPDX-License-Identifier: Apache-2.0
// block_walker against tables in a memory model: every answer, in every order of retire, write and length, and the
// figures of its header.
#include <VWalker_default.h>
#include <VWalker_large.h>
#include <VWalker_small.h>

#include <algorithm>
#include <cstdint>
#include <vector>

#include "walker_bench.hpp"

namespace {

using kvsink::tb::AxiMemory;
using kvsink::walk::Answer;
using kvsink::walk::Bench;
using kvsink::walk::Context;
using kvsink::walk::kBadRange;
using kvsink::walk::kBusError;
using kvsink::walk::kClients;
using kvsink::walk::kOk;
using kvsink::walk::kStUnmapped;
using kvsink::walk::kUnmapped;
using kvsink::walk::Request;
using kvsink::walk::Retire;

constexpr uint64_t kTables = 0x4000'1000;

AxiMemory::Config memory_of(uint32_t latency, unsigned ar_stall = 0, unsigned r_gap = 0) {
  AxiMemory::Config config;
  config.tiers = {{.latency = latency}};
  config.ar_stall_percent = ar_stall;
  config.ar_stall_longest = 8;
  config.r_gap_percent = r_gap;
  config.sample = AxiMemory::Sample::kRandom;
  config.fill = AxiMemory::Fill::kHash;
  return config;
}

/// A mapped table word that tells owner and block.
uint32_t word_of(uint32_t owner, uint32_t block, uint32_t round = 0) {
  return (owner & 7) << 20 | (block & 0xfff) << 8 | (round & 0xff);
}

template <class V>
void fill_table(Bench<V>& bench, uint32_t owner, const Context& c, uint32_t blocks) {
  for (uint32_t b = 0; b < blocks; ++b) bench.memory.write32(c.base + 4ULL * b, word_of(owner, b));
}

template <class V>
void expect_clean(Bench<V>& bench) {
  for (const auto& w : bench.wrong) UNSCOPED_INFO(w);
  for (const auto& v : bench.memory.violations()) UNSCOPED_INFO(v);
  CHECK(bench.wrong.empty());
  CHECK(bench.memory.violations().empty());
}

/// Owners that change, tables that change by the rules, retires of every width, and three clients all the while.
template <class V>
void random_run(uint64_t salt, unsigned page_log2, uint32_t latency, unsigned stall, unsigned cycles) {
  kvsink::tb::Rng seeds;
  KVSINK_INFO_SEED(seeds);
  CAPTURE(salt, page_log2, latency, stall);
  Bench<V> bench(memory_of(latency, stall / 2, stall / 2), page_log2, seeds.seed() * 1000 + salt);
  auto& rng = bench.rng;
  bench.stalls(stall, stall, 12);

  const uint32_t used = std::min<uint32_t>(bench.owners(), 6);
  const uint32_t most = std::min<uint32_t>(bench.positions() >> page_log2, 300);
  std::vector<std::array<uint64_t, 2>> bases(used);
  uint64_t at = kTables;
  for (auto& two : bases) {
    for (auto& base : two) {
      base = at;
      at += 4ULL * (most + rng.below(5));  // tables share beats
    }
  }
  for (uint64_t a = kTables; a < at; a += 4) {
    bench.memory.write32(a, static_cast<uint32_t>(rng.next()) & (rng.percent(6) ? ~0U : ~kUnmapped));
  }
  for (const auto& two : bases) {
    for (const uint64_t base : two) {
      const uint64_t bad = base + 4ULL * rng.below(most);
      bench.memory.add_fault({.first = bad, .end = bad + 4, .kind = AxiMemory::FaultKind::kSlvErr});
      bench.model.add_errors(bad, bad + 4);
    }
  }

  const uint32_t page = 1U << page_log2;
  std::vector<Context> now(used);
  for (uint32_t o = 0; o < used; ++o) {
    now[o].valid = true;
    now[o].base = bases[o][0];
    now[o].length = static_cast<uint32_t>(rng.range(1, most * page));
    now[o].committed = static_cast<uint32_t>(rng.below(now[o].length + 1));
    now[o].prefix_valid = o == 1 || o == 2;
    now[o].prefix_len = static_cast<uint32_t>(rng.below(most / 2 + 1)) * page;
    bench.write_owner(o, now[o]);
  }

  std::array<Request, kClients> walk{};
  for (unsigned cycle = 0; cycle < cycles; ++cycle) {
    for (int c = 0; c < kClients; ++c) {
      if (bench.source[c].pending() > 2) continue;
      Request& w = walk[c];
      if (rng.percent(8)) w = {static_cast<uint32_t>(rng.below(used)), static_cast<uint32_t>(rng.below(most * page))};
      if (c == 0) w.position = static_cast<uint32_t>(rng.below(most * page));
      if (c == 1) w.position = std::min(w.position + 16, bench.positions() - 1);
      if (c == 2) w.position = w.position < 16 ? 0 : w.position - 16;
      bench.source[c].push(w);
    }
    if (rng.percent(15)) {  // any word of a table in use may change at any time
      const uint32_t o = static_cast<uint32_t>(rng.below(used));
      bench.model.write(now[o].base + 4ULL * rng.below(most),
                        static_cast<uint32_t>(rng.next()) & (rng.percent(6) ? ~0U : ~kUnmapped));
    }
    // Often, but not so often that no read ever comes back in time.
    if (rng.below(25 + latency) == 0) bench.retire = Retire{rng.percent(8), static_cast<uint32_t>(rng.below(used))};
    if (rng.below(30 + latency / 2) == 0) {
      const uint32_t o = static_cast<uint32_t>(rng.below(used));
      Context next = now[o];
      switch (rng.below(5)) {
        case 0:
        case 1:
          next.length = std::min<uint32_t>(most * page, next.length + static_cast<uint32_t>(rng.below(70)));
          break;
        case 2:
          next.length = static_cast<uint32_t>(rng.range(1, most * page));
          next.prefix_len = static_cast<uint32_t>(rng.below(most / 2 + 1)) * page;
          break;
        case 3:
          next.valid = rng.percent(70);
          break;
        default:
          next.base = bases[o][rng.below(2)];
          break;
      }
      next.committed = static_cast<uint32_t>(rng.below(next.length + 1));
      // Software retires what it takes away from the end, and an owner that it sets anew.
      if (next.length < now[o].length || next.valid != now[o].valid) bench.retire = Retire{false, o};
      now[o] = next;
      bench.set_owner = {o, next};
    }
    bench.tick();
  }
  for (auto& s : bench.source) s.stall().set(0);
  for (auto& r : bench.ready) r.set(0);
  bench.drain();
  expect_clean(bench);
  size_t statuses = 0;
  for (const uint8_t status : {kOk, kvsink::walk::kBadOwner, kBadRange, kStUnmapped, kBusError}) {
    statuses += std::any_of(bench.done.begin(), bench.done.end(), [&](const auto& done) {
      return std::any_of(done.begin(), done.end(), [&](const auto& d) { return d.answer.status == status; });
    });
  }
  CHECK(statuses >= (latency <= 20 ? 5 : 4));
  CHECK(bench.counts.hits > 0);
  CHECK(bench.counts.prefetches > 0);
  CHECK(bench.counts.dropped > 0);
  CHECK((bench.withdrawn > 0 || stall == 0));
  // A client is never locked out.
  for (int c = 0; c < kClients; ++c) CHECK(bench.done[c].size() > cycles / 200);
}

template <class V>
Context one_owner(Bench<V>& bench, uint32_t owner, uint32_t blocks, unsigned page_log2 = 4) {
  Context c;
  c.valid = true;
  c.base = kTables + 0x10000ULL * owner;
  c.length = blocks << page_log2;
  c.committed = c.length;
  fill_table(bench, owner, c, blocks);
  bench.write_owner(owner, c);
  return c;
}

}  // namespace

TEMPLATE_TEST_CASE("Every answer is one that a table read after the last retire could give", "[walk]", VWalker_small,
                   VWalker_default) {
  random_run<TestType>(1, 4, 20, 30, 15000);
  random_run<TestType>(2, 4, 1, 0, 15000);
  random_run<TestType>(3, 5, 90, 60, 15000);
}

TEST_CASE("A memory that answers late and pages of 128 tokens change nothing in the answers", "[walk]") {
  random_run<VWalker_default>(4, 7, 250, 10, 20000);
}

TEMPLATE_TEST_CASE("Held words are answered one a cycle, to one client and to all together", "[walk]", VWalker_small,
                   VWalker_default) {
  Bench<TestType> bench(memory_of(20), 4);
  const uint32_t blocks = std::min<uint32_t>(bench.positions() / 16, bench.translations() / 2);
  one_owner(bench, 0, blocks);
  for (uint32_t b = 0; b < blocks; ++b) bench.source[0].push({0, b * 16});
  bench.drain();
  bench.counts = {};
  constexpr unsigned kMany = 3000;
  for (const int clients : {1, 3}) {
    for (auto& done : bench.done) done.clear();
    for (unsigned i = 0; i < kMany; ++i) {
      for (int c = 0; c < clients; ++c) {
        bench.source[c].push({0, static_cast<uint32_t>(bench.rng.below(blocks)) * 16 + static_cast<uint32_t>(c)});
      }
    }
    const uint64_t start = bench.sim.cycle();
    bench.drain();
    const uint64_t cycles = bench.sim.cycle() - start;
    INFO(clients << " clients: " << kMany * static_cast<unsigned>(clients) << " answers in " << cycles << " cycles");
    CHECK(cycles <= kMany * static_cast<unsigned>(clients) + 16);
  }
  CHECK(bench.counts.reads == 0);
  expect_clean(bench);
}

TEST_CASE("A held word takes 7 cycles, a held word of the prefix owner 13", "[walk]") {
  Bench<VWalker_default> bench(memory_of(20), 4);
  one_owner(bench, 3, 8);
  Context c = one_owner(bench, 4, 8);
  c.prefix_valid = true;
  c.prefix_owner = 3;
  c.prefix_len = 64;
  bench.write_owner(4, c);
  for (const auto& [position, latency] : {std::pair{100U, 7U}, std::pair{10U, 13U}}) {
    for (int again = 0; again < 2; ++again) {
      bench.source[0].push({4, position});
      bench.drain();
    }
    const auto& last = bench.done[0].back();
    CHECK(last.answer == Answer{kOk, position < 64 ? 3U : 4U, word_of(position < 64 ? 3 : 4, position / 16), true});
    CHECK(last.handed - last.taken == latency);
  }
  expect_clean(bench);
}

TEST_CASE("Misses of one client hardly delay the hits of another", "[walk]") {
  Bench<VWalker_default> bench(memory_of(300), 4);
  one_owner(bench, 0, 8000);
  one_owner(bench, 1, 8);
  bench.source[1].push({1, 0});
  bench.drain();
  bench.done[1].clear();
  // Client 0 wants a line of its own each time; client 2 as well.
  for (unsigned i = 0; i < 200; ++i) {
    for (const int c : {0, 2}) bench.source[c].push({0, static_cast<uint32_t>(bench.rng.below(8000)) * 16});
  }
  for (unsigned i = 0; i < 1000; ++i) bench.source[1].push({1, static_cast<uint32_t>(bench.rng.below(128))});
  const uint64_t start = bench.sim.cycle();
  bench.sim.run_until([&] { bench.tick(); }, [&] { return bench.done[1].size() == 1000; }, 10000, "client 1");
  CHECK(bench.sim.cycle() - start <= 2000);
  // Its line may be displaced by one of theirs now and then; then it misses itself.
  const auto late =
      std::count_if(bench.done[1].begin(), bench.done[1].end(), [](const auto& d) { return d.handed - d.taken > 40; });
  CHECK(late <= 30);
  bench.drain();
  expect_clean(bench);
}

TEST_CASE("Sixteen table reads are in flight at once", "[walk]") {
  Bench<VWalker_default> bench(memory_of(300), 4);
  one_owner(bench, 0, 8000);
  for (uint32_t i = 0; i < 8; ++i) {
    for (uint32_t c = 0; c < kClients; ++c) bench.source[c].push({0, (i * 3 + c + 1) * 16 * bench.line_words()});
  }
  bench.drain();
  CHECK(bench.memory.stats().in_flight_max == 16);
  expect_clean(bench);
}

TEST_CASE("A cold walk down reads each line once and waits for the first one only", "[walk]") {
  constexpr uint32_t kLatency = 100;
  constexpr uint32_t kBlocks = 512;
  Bench<VWalker_default> bench(memory_of(kLatency), 4);
  one_owner(bench, 0, kBlocks);
  // The consumer takes a translation in 32 cycles: the beats of a page of 64-byte rows on 256 bits.
  uint32_t next = kBlocks;
  uint64_t late = 0;
  for (uint32_t i = 0; i < kBlocks; ++i) {
    bench.source[2].push({0, --next * 16});
    const uint64_t asked = bench.sim.cycle();
    for (unsigned t = 0; t < 32; ++t) bench.tick();
    bench.sim.run_until([&] { bench.tick(); }, [&] { return bench.pending[2].empty(); }, 1000, "the walk");
    late += bench.sim.cycle() - asked - 32;
  }
  const uint32_t lines = kBlocks / bench.line_words();
  CHECK(bench.counts.reads + bench.counts.prefetches == lines);
  CHECK(bench.counts.prefetches == lines - 1);
  CHECK(late <= kLatency + 20);
  expect_clean(bench);
}

TEST_CASE("An answer that waits when its owner is retired comes from the new table", "[walk]") {
  Bench<VWalker_small> bench(memory_of(10), 4);
  const Context c = one_owner(bench, 1, 8);
  const Context other = one_owner(bench, 2, 8);
  for (const bool all : {false, true}) {
    for (const uint32_t retired : {1U, 2U}) {
      CAPTURE(all, retired);
      bench.ready[0].set(100);
      bench.source[0].push({1, 40});
      for (int i = 0; i < 60; ++i) bench.tick();
      bench.memory.write32(c.base + 8, word_of(1, 2, 77));
      bench.memory.write32(other.base + 8, word_of(2, 2, 78));
      const uint64_t withdrawn = bench.withdrawn;
      bench.retire = Retire{all, retired};
      bench.tick();
      const bool concerned = all || retired == 1;
      for (int i = 0; i < 60; ++i) bench.tick();
      CHECK(bench.withdrawn == withdrawn + (concerned ? 1 : 0));
      bench.ready[0].set(0);
      for (int i = 0; i < 5; ++i) bench.tick();
      REQUIRE(bench.pending[0].empty());
      CHECK(bench.done[0].back().answer.word == (concerned ? word_of(1, 2, 77) : word_of(1, 2)));
      bench.memory.write32(c.base + 8, word_of(1, 2));
      bench.retire = Retire{true, 0};
      bench.tick();
    }
  }
}

TEST_CASE("A table word may change in each of the three orders that the decision names", "[walk]") {
  Bench<VWalker_default> bench(memory_of(10), 4);
  const Context c = one_owner(bench, 1, 32);
  const auto ask = [&](uint32_t block) {
    bench.source[1].push({1, block * 16});
    bench.drain();
    return bench.done[1].back().answer.word;
  };
  const auto write = [&](uint32_t round) { bench.memory.write32(c.base + 4 * 9, word_of(1, 9, round)); };
  const auto retire = [&] {
    bench.retire = Retire{false, 1};
    bench.tick();
  };
  CHECK(ask(9) == word_of(1, 9));
  write(1);  // write, retire
  retire();
  CHECK(ask(9) == word_of(1, 9, 1));
  retire();  // retire, write, retire; a neighbour is asked for in between
  ask(10);
  write(2);
  retire();
  CHECK(ask(9) == word_of(1, 9, 2));
  retire();  // retire, write, and no request in between
  for (int i = 0; i < 30; ++i) bench.tick();
  write(3);
  CHECK(ask(9) == word_of(1, 9, 3));
}

TEST_CASE("Appending needs no retire, and mapping an unmapped block needs none", "[walk]") {
  Bench<VWalker_default> bench(memory_of(10), 4);
  Context c = one_owner(bench, 1, 3);
  for (uint32_t b = 3; b < 20; ++b) bench.memory.write32(c.base + 4ULL * b, 0x7fff0000 + b);
  const auto ask = [&](uint32_t block) {
    bench.source[1].push({1, block * 16});
    bench.drain();
    return bench.done[1].back().answer;
  };
  CHECK(ask(2) == Answer{kOk, 1, word_of(1, 2), true});
  CHECK(ask(3).status == kBadRange);
  for (uint32_t b = 3; b < 20; ++b) {  // the line is held; its words behind the length must not be
    bench.memory.write32(c.base + 4ULL * b, word_of(1, b, 5));
    c.length = b * 16 + 1;
    bench.write_owner(1, c);
    CHECK(ask(b) == Answer{kOk, 1, word_of(1, b, 5), false});
  }
  bench.memory.write32(c.base + 4, word_of(1, 1) | kUnmapped);
  bench.retire = Retire{false, 1};
  bench.tick();
  CHECK(ask(1).status == kStUnmapped);
  CHECK(ask(0).status == kOk);
  bench.memory.write32(c.base + 4, word_of(1, 1, 9));
  CHECK(ask(1) == Answer{kOk, 1, word_of(1, 1, 9), true});
}

TEST_CASE("A bus error answers all who wait for the line, and the next request reads it again", "[walk]") {
  Bench<VWalker_default> bench(memory_of(50), 4);
  const Context c = one_owner(bench, 1, 64);
  bench.memory.add_fault({.first = c.base, .end = c.base + 4, .kind = AxiMemory::FaultKind::kDecErr, .count = 1});
  for (int i = 0; i < 3; ++i) bench.source[i].push({1, static_cast<uint32_t>(i) * 16});
  for (int i = 0; i < 3; ++i) bench.source[i].push({1, 1000});
  bench.sim.run_until([&] { bench.tick(); }, [&] { return bench.idle(); }, 1000, "the walker");
  for (int i = 0; i < 3; ++i) {
    REQUIRE(bench.done[i].size() == 2);
    CHECK(bench.done[i][0].answer == Answer{kBusError, 1, 0, true});
    CHECK(bench.done[i][1].answer == Answer{kOk, 1, word_of(1, 62), true});
  }
  bench.source[0].push({1, 0});
  bench.source[0].push({1, 16});
  bench.sim.run_until([&] { bench.tick(); }, [&] { return bench.idle(); }, 1000, "the walker");
  CHECK(bench.done[0].back().answer == Answer{kOk, 1, word_of(1, 1), true});
  CHECK(bench.done[0][2].answer == Answer{kOk, 1, word_of(1, 0), true});
}

TEST_CASE("Many retires of one owner never bring an old line back", "[walk]") {
  Bench<VWalker_small> bench(memory_of(4), 4);
  const Context c = one_owner(bench, 1, 32);
  one_owner(bench, 2, 32);
  for (uint32_t round = 0; round < 80; ++round) {
    const uint32_t block = static_cast<uint32_t>(bench.rng.below(32));
    for (uint32_t b = 0; b < 32; ++b) bench.memory.write32(c.base + 4ULL * b, word_of(1, b, round));
    bench.retire = Retire{false, 1};
    bench.tick();
    for (int c2 = 0; c2 < kClients; ++c2) bench.source[c2].push({1, block * 16});
    bench.source[0].push({2, block * 16});
    bench.drain();
    CHECK(bench.done[1].back().answer.word == word_of(1, block, round));
    CHECK(bench.done[0].back().answer.word == word_of(2, block));
  }
}

TEST_CASE("A line left alone through any number of retires is not taken for a fresh one", "[walk]") {
  Bench<VWalker_small> bench(memory_of(4), 4);
  const Context c = one_owner(bench, 1, 32);
  for (uint32_t retires = 1; retires <= 40; ++retires) {
    CAPTURE(retires);
    bench.source[0].push({1, 0});
    bench.drain();
    bench.memory.write32(c.base, word_of(1, 0, retires));
    for (uint32_t i = 0; i < retires; ++i) {
      bench.retire = Retire{false, 1};
      bench.tick();
    }
    bench.source[0].push({1, 0});
    bench.drain();
    CHECK(bench.done[0].back().answer.word == word_of(1, 0, retires));
  }
}

TEST_CASE("A line that is read again under the number of its old epoch is not taken for the old one while it comes",
          "[walk]") {
  // After as many retires as there are epochs the number is the old one, and so is the tag in the memory; only presence
  // tells. The second request meets the line's return at every distance.
  constexpr uint32_t kEpochs = 16;
  for (const uint32_t latency : {4U, 9U}) {
    Bench<VWalker_small> bench(memory_of(latency), 4);
    const Context c = one_owner(bench, 1, 32);
    uint32_t value = 0;
    for (uint32_t retires = 1; retires <= 2 * kEpochs; ++retires) {
      for (uint32_t delay = 0; delay < 20; ++delay) {
        CAPTURE(latency, retires, delay);
        bench.source[0].push({1, 0});
        bench.drain();
        bench.memory.write32(c.base, word_of(1, 0, ++value));
        for (uint32_t i = 0; i < retires; ++i) {
          bench.retire = Retire{false, 1};
          bench.tick();
        }
        bench.source[0].push({1, 0});
        for (uint32_t i = 0; i < delay; ++i) bench.tick();
        bench.source[1].push({1, 0});
        bench.drain();
        CHECK(bench.done[0].back().answer.word == word_of(1, 0, value));
        CHECK(bench.done[1].back().answer.word == word_of(1, 0, value));
      }
    }
  }
}

TEST_CASE("A stale line stays stale when another owner's retire brings its epoch's number back under a request",
          "[walk]") {
  constexpr uint32_t kEpochs = 16, kGroups = 64;  // owners 1 and 1 + kGroups share an epoch
  for (uint32_t delay = 0; delay < 16; ++delay) {
    CAPTURE(delay);
    Bench<VWalker_large> bench(memory_of(4), 4);
    REQUIRE(bench.owners() > kGroups);
    const Context c = one_owner(bench, 1, 32);
    bench.retire = Retire{true, 0};
    bench.tick();
    bench.source[0].push({1, 0});
    bench.drain();
    bench.memory.write32(c.base, word_of(1, 0, 7));
    bench.retire = Retire{false, 1};
    bench.tick();
    for (uint32_t i = 2; i < kEpochs; ++i) {
      bench.retire = Retire{false, 1 + kGroups};
      bench.tick();
    }
    bench.source[0].push({1, 0});
    for (uint32_t i = 0; i < delay; ++i) bench.tick();
    bench.retire = Retire{false, 1 + kGroups};
    bench.tick();
    bench.drain();
    CHECK(bench.done[0].back().answer.word == word_of(1, 0, 7));
  }
}

TEST_CASE("Lines of two owners that meet in a set are told apart", "[walk]") {
  // Neighbouring lines of neighbouring owners: the set is a fold of address and owner, so they share one.
  Bench<VWalker_default> bench(memory_of(10), 4);
  const uint32_t words = bench.line_words();
  for (uint32_t round = 0; round < 4; ++round) {
    for (uint32_t owner = 0; owner < 2; ++owner) {
      Context c;
      c.valid = true;
      c.base = kTables + 4ULL * words * (owner ^ (round & 1));
      c.length = words * 16;
      fill_table(bench, owner, c, words);
      bench.write_owner(owner, c);
      bench.retire = Retire{true, 0};
      bench.tick();
    }
    for (uint32_t owner = 0; owner < 2; ++owner) {
      bench.source[0].push({owner, 16});
      bench.drain();
      CHECK(bench.done[0].back().answer == Answer{kOk, owner, word_of(owner, 1), false});
    }
  }
}

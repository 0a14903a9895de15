// SPDX-License-Identifier: Apache-2.0
// slot_sram against an array: contents, latency, and who waits when both sides want one bank.
#include <VSram_default.h>
#include <VSram_small.h>

#include <array>
#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <vector>

#include "support/catch.hpp"
#include "tb/common/bits.hpp"
#include "tb/common/rng.hpp"
#include "tb/common/sim.hpp"

namespace {

using kvsink::tb::Rng;
using kvsink::tb::Sim;

using Beat = std::array<uint32_t, 8>;

Beat beat_of(uint64_t value) {
  Beat b{};
  for (size_t i = 0; i < b.size(); ++i) b[i] = static_cast<uint32_t>(kvsink::tb::mix64(value * 8 + i));
  return b;
}

template <class V>
class Bench {
 public:
  explicit Bench(uint64_t seed) : sim(seed) {
    sim->wr_valid_i = 0;
    sim->rd_valid_i = 0;
    sim.reset();
    sim.settle();
    beats = sim->cfg_beats_o;
    banks = sim->cfg_banks_o;
  }

  /// One cycle; true when the read was taken.
  bool cycle(std::optional<uint32_t> write, std::optional<uint32_t> read) {
    sim->wr_valid_i = write.has_value();
    sim->rd_valid_i = read.has_value();
    if (write) {
      sim->wr_addr_i = *write;
      kvsink::tb::set_words(sim->wr_data_i, std::span<const uint32_t>(beat_of(++writes)).first(words()));
    }
    if (read) sim->rd_addr_i = *read;
    sim.settle();

    // A read waits for the write of the cycle before when that is in its bank, and for nothing else.
    const bool conflict = read && last_write && *last_write % banks == *read % banks;
    const bool taken = read && sim->rd_ready_o;
    if (read) REQUIRE(taken == !conflict);
    REQUIRE(static_cast<bool>(sim->conflict_o) == last_conflict);
    last_conflict = conflict;

    const bool due = !expected.empty() && expected.front().first == sim.cycle();
    REQUIRE(static_cast<bool>(sim->rsp_valid_o) == due);
    if (due) {
      Beat got{};
      kvsink::tb::get_words(sim->rsp_data_o, std::span<uint32_t>(got).first(words()));
      Beat want = beat_of(expected.front().second);
      for (size_t i = words(); i < want.size(); ++i) want[i] = 0;
      REQUIRE(got == want);
      expected.pop_front();
      ++answers;
    }
    if (last_write) memory[*last_write] = last_value;
    if (taken) expected.push_back({sim.cycle() + 2, memory.at(*read)});
    last_write = write;
    last_value = writes;
    sim.edge();
    return taken;
  }
  [[nodiscard]] static size_t words() { return sizeof(V::rsp_data_o) / 4; }

  Sim<V> sim;
  uint32_t beats = 0, banks = 0;
  std::map<uint32_t, uint64_t> memory;
  uint64_t writes = 0, answers = 0;

 private:
  std::optional<uint32_t> last_write;
  uint64_t last_value = 0;
  bool last_conflict = false;
  std::deque<std::pair<uint64_t, uint64_t>> expected;
};

template <class V>
void random_traffic(uint64_t seed, unsigned cycles) {
  Rng rng(seed);
  KVSINK_INFO_SEED(rng);
  Bench<V> bench(rng.next());
  // Few words, spread over the whole memory, so that reads follow writes of the same word closely.
  std::vector<uint32_t> places;
  for (unsigned i = 0; i < 24; ++i) places.push_back(static_cast<uint32_t>(rng.below(bench.beats)));
  places.push_back(0);
  places.push_back(bench.beats - 1);
  for (const uint32_t p : places) bench.cycle(p, {});
  bench.cycle({}, {});
  std::optional<uint32_t> read;
  for (unsigned i = 0; i < cycles; ++i) {
    if (!read && rng.percent(90)) read = rng.pick(places);
    std::optional<uint32_t> write;
    if (rng.percent(70)) write = read && rng.percent(20) ? *read : rng.pick(places);
    if (bench.cycle(write, read)) read.reset();
  }
  CHECK(bench.answers > cycles / 3);
}

}  // namespace

TEST_CASE("a read gives what was written last, two cycles later, in order", "[sram]") {
  const uint64_t seed = kvsink::tb::seed_from_env();
  random_traffic<VSram_small>(seed, 50000);
  random_traffic<VSram_default>(seed + 1, 50000);
}

TEST_CASE("one read and one write a cycle pass on different banks", "[sram]") {
  Bench<VSram_small> bench(1);
  for (uint32_t a = 0; a < 64; ++a) bench.cycle(a, {});
  bench.cycle({}, {});
  unsigned taken = 0;
  // The write that a read could meet is that of the cycle before: two banks away.
  for (uint32_t a = 0; a < 60; ++a) taken += bench.cycle(a, a + 1);
  CHECK(taken == 60);
}

TEST_CASE("on one bank the write wins and the read waits one cycle", "[sram]") {
  Bench<VSram_small> bench(1);
  bench.cycle(8, {});
  bench.cycle({}, {});
  bench.cycle(4, {});
  CHECK_FALSE(bench.cycle({}, 8));
  CHECK(bench.cycle({}, 8));
  for (unsigned i = 0; i < 4; ++i) bench.cycle({}, {});
  CHECK(bench.answers == 1);
}

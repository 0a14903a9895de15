// SPDX-License-Identifier: Apache-2.0
// The bypass is real, and the scoreboard sees when it is not: what is broken on purpose is reported.
#include "replay_support.hpp"

using namespace kvsink;
using namespace kvsink::test;
using tb::Policy;

namespace {

/// Fills the SRAM, breaks something before the first decode step, and says what was noticed.
tb::ReplayResult broken(const std::function<void(tb::Bench&)>& fault) {
  const auto trace = load(kDefaultTrace);
  auto s = settings("small", Policy::kFill, 1);
  s.on_step = [&](tb::Bench& bench, uint32_t step) {
    if (step == 0) fault(bench);
  };
  return tb::replay(trace, s);
}

}  // namespace

TEST_CASE("a replay with nothing broken is equal, so that the next cases mean something", "[system]") {
  const auto r = broken([](tb::Bench&) {});
  CHECK(r.equal());
  CHECK(r.rows.sink > 0);
}

TEST_CASE("a promoted row that changed in SRAM is reported as a wrong row", "[system]") {
  const auto r = broken([](tb::Bench& bench) {
    auto word = bench.dut().peek_sram(3);
    word[0] ^= 1;
    bench.dut().poke_sram(3, word);
  });
  CHECK(r.rows.wrong == 1);
  CHECK_FALSE(r.equal());
}

TEST_CASE("a row that changed in HBM is reported as a wrong row", "[system]") {
  const auto trace = load(kDefaultTrace);
  auto s = settings("small", Policy::kSinks, 1);
  s.on_start = [&](tb::Bench& bench, const tb::KvCache& cache) {
    const uint64_t address = cache.row_address(1, 0, 77, 1);
    bench.memory().write32(address, bench.memory().read32(address) ^ 0x100);
  };
  const auto r = tb::replay(trace, s);
  CHECK(r.rows.wrong == 1);
  CHECK_FALSE(r.equal());
}

TEST_CASE("two slots with exchanged contents are reported as wrong rows", "[system]") {
  const auto trace = load(kDefaultTrace);
  const uint32_t slot_beats = trace.dims().L * trace.dims().Hkv * 2 * (trace.dims().d * 2 / 16);
  const auto r = broken([&](tb::Bench& bench) {
    for (uint32_t i = 0; i < slot_beats; ++i) {
      const auto a = bench.dut().peek_sram(i);
      const auto b = bench.dut().peek_sram(slot_beats + i);
      bench.dut().poke_sram(i, b);
      bench.dut().poke_sram(slot_beats + i, a);
    }
  });
  CHECK(r.rows.wrong >= 2U * trace.dims().L * trace.dims().Hkv * 2 - 2);
  CHECK_FALSE(r.equal());
}

TEST_CASE("a tag with another block's word is reported as false misses", "[system]") {
  const auto r = broken([](tb::Bench& bench) { bench.dut().poke_tag_word(0, bench.dut().peek_tag_word(0) ^ 1); });
  CHECK(r.rows.false_miss > 0);
  CHECK(r.rows.wrong == 0);  // the data are right, from HBM
  CHECK_FALSE(r.equal());
}

TEST_CASE("a tag array that always misses is reported as false misses only", "[system]") {
  const auto r = broken([](tb::Bench& bench) {
    for (uint32_t entry = 0; entry < bench.dut().tag_entries(); ++entry) {
      bench.dut().poke_tag_word(entry, 0x7fffffff);
    }
  });
  CHECK(r.rows.sink == 0);
  CHECK(r.rows.false_miss > 0);
  CHECK(r.rows.wrong == 0);
  CHECK_FALSE(r.equal());
}

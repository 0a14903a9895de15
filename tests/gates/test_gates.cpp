// SPDX-License-Identifier: Apache-2.0
// The whole block as the mapped netlist: replays and directed cases with every comparison of the RTL's tests. A netlist
// runs some hundred times slower, so each case takes few decode steps.
#include "replay_support.hpp"

using namespace kvsink;
using namespace kvsink::test;
using tb::Policy;

namespace {

/// One decode step, which takes every path.
tb::ReplaySettings short_run(Policy policy) {
  auto s = settings("small", policy, 1);
  if (policy == Policy::kFill) s.budget = 32;
  return s;
}

}  // namespace

TEST_CASE("gates: the short trace replays equal with its sinks in SRAM", "[gates]") {
  const auto trace = load(kDefaultTrace);
  const auto r = tb::replay(trace, short_run(Policy::kSinks));
  check_equal(r);
  CHECK(r.promoted == 1);
  CHECK(r.rows.sink > 0);
}

TEST_CASE("gates: the short trace replays equal with SRAM filled", "[gates]") {
  const auto trace = load(kDefaultTrace);
  const auto r = tb::replay(trace, short_run(Policy::kFill));
  check_equal(r);
  CHECK(r.promoted == 32);
}

TEST_CASE("gates: the short trace replays equal with promotions while it decodes, and stalls", "[gates]") {
  const auto trace = load(kDefaultTrace);
  auto s = short_run(Policy::kDynamic);
  s.bench.stall_percent = 30;
  check_equal(tb::replay(trace, s));
}

TEST_CASE("gates: with no budget everything comes from HBM", "[gates]") {
  const auto trace = load(kDefaultTrace);
  const auto r = tb::replay(trace, short_run(Policy::kHbm));
  check_equal(r);
  CHECK(r.rows.sink == 0);
}

TEST_CASE("gates: a promoted row that changed in SRAM is reported as a wrong row", "[gates]") {
  const auto trace = load(kDefaultTrace);
  auto s = short_run(Policy::kFill);
  s.on_step = [](tb::Bench& bench, uint32_t step) {
    if (step != 0) return;
    auto word = bench.dut().peek_sram(3);
    word[0] ^= 1;
    bench.dut().poke_sram(3, word);
  };
  const auto r = tb::replay(trace, s);
  CHECK(r.rows.wrong == 1);
  CHECK_FALSE(r.equal());
}

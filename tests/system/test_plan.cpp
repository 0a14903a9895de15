// SPDX-License-Identifier: Apache-2.0
// Plans through the whole block: what the planner makes is accepted and executed, every row, record and output
// compared; what does not fit is refused with its item.
#include "replay_support.hpp"
#include "sw/planner/planner.hpp"

using namespace kvsink;
using namespace kvsink::test;
using tb::Policy;
using Kind = planner::Item::Kind;

namespace {

/// Of the small configuration with this trace: 16-byte beats.
planner::Room room(const trace::Trace& trace) {
  const auto& n = trace.dims();
  planner::Room r;
  r.entries = 16;
  r.items = 32;
  r.beat_bytes = 16;
  r.slot_beats = uint64_t{n.L} * n.Hkv * 2 * ((n.d * 2 + 15) / 16);
  r.slots = 32;
  return r;
}

tb::ReplaySettings planned(const trace::Trace& trace, double t_sink, const planner::Wishes& wishes, uint32_t steps) {
  auto s = settings("small", Policy::kSinks, steps);
  s.plan = planner::make(planner::prefill_scores(trace, t_sink), {"hbm", s.bench.latency, 1.0}, 0, room(trace), wishes);
  return s;
}

}  // namespace

TEST_CASE("a planned replay serves the trace's sink from SRAM as a scored one does", "[system][plan]") {
  const auto trace = load(kDefaultTrace);
  const auto s = planned(trace, 3.0, {.steps = 8, .committed = trace.prefill_tokens()}, 8);
  const auto r = tb::replay(trace, s);
  check_equal(r);
  REQUIRE(r.plan);
  CHECK(r.plan->done == r.plan->items);
  CHECK(r.plan->missed == 0);
  REQUIRE(r.sinks.size() == 1);
  CHECK(r.sinks[0].position == 0);
  const auto scored = tb::replay(trace, settings("small", Policy::kSinks, 8));
  check_equal(scored);
  CHECK(r.rows.sink == scored.rows.sink);
  CHECK(r.sram_mass == scored.sram_mass);
  CHECK(r.outputs.o == scored.outputs.o);
  CHECK(r.outputs.lse == scored.outputs.lse);
}

TEST_CASE("promotions planned over the steps of a decode come in step by step", "[system][plan]") {
  const auto trace = load("tests/data/stories260K_lily.safetensors");
  const uint32_t per_step = 3, steps = 6;
  const auto s = planned(
      trace, 0, {.budget = 12, .per_step = per_step, .steps = steps, .committed = trace.prefill_tokens()}, steps);
  const auto r = tb::replay(trace, s);
  check_equal(r);
  REQUIRE(r.plan);
  CHECK(r.plan->done == r.plan->items);
  CHECK(r.plan->missed == 0);
  CHECK(r.promoted == 12);
  // 3 tokens in the first step's rows (the decode waits for them), then at most 3 more in each.
  const uint64_t token_rows = uint64_t{trace.dims().L} * trace.dims().Hkv * 2;
  CHECK(r.rows.sink <= token_rows * (3 + 6 + 9 + 12 + 12 + 12));
  CHECK(r.rows.sink >= token_rows * (3 + 3 + 6 + 9 + 12 + 12));
}

TEST_CASE("a dynamic decode stays inside its plan's envelope", "[system][plan]") {
  const auto trace = load(kDefaultTrace);
  auto s = planned(trace, 3.0, {.steps = 24, .committed = trace.prefill_tokens()}, 24);
  s.policy = Policy::kDynamic;
  const auto r = tb::replay(trace, s);
  check_equal(r);
  CHECK(r.promoted == 1);
  CHECK(r.evicted == 0);
}

TEST_CASE("a plan that does not fit ends the replay as bad input that names the item", "[system][plan]") {
  const auto trace = load(kDefaultTrace);
  auto s = planned(trace, 0, {.budget = 6, .steps = 4, .committed = trace.prefill_tokens()}, 4);
  s.budget = 4;
  auto r = tb::replay(trace, s);
  CHECK(r.bad_input);
  INFO(r.error);
  CHECK(r.error.starts_with("plan refused at item 6 (promote position "));  // region, window, four that fit
  CHECK(r.error.find("budget") != std::string::npos);
  s.budget = -1;
  s.plan->items[1].until = s.plan->items[1].from + 100;
  r = tb::replay(trace, s);
  CHECK(r.bad_input);
  CHECK(r.error.starts_with("plan refused at item 2 (promote position "));
  CHECK(r.error.find("deadline") != std::string::npos);
}

// SPDX-License-Identifier: Apache-2.0
// Captured traces through the whole block: every row, path, record and output is compared.
#include <cmath>
#include <string>
#include <vector>

#include "replay_support.hpp"

using namespace kvsink;
using namespace kvsink::test;
using tb::Policy;

TEST_CASE("the default trace replays equal under every policy", "[system]") {
  const auto trace = load(kDefaultTrace);
  for (const Policy policy : {Policy::kSinks, Policy::kFill, Policy::kDynamic, Policy::kHbm}) {
    CAPTURE(static_cast<int>(policy));
    auto s = settings("small", policy, 24);
    if (policy == Policy::kFill) s.budget = 32;
    check_equal(tb::replay(trace, s));
  }
}

TEST_CASE("position 0 of the default trace is its only sink and comes from SRAM in every layer", "[system]") {
  const auto trace = load(kDefaultTrace);
  const auto r = tb::replay(trace, settings("small", Policy::kSinks, 8));
  check_equal(r);
  REQUIRE(r.sinks.size() == 1);
  CHECK(r.sinks[0].position == 0);
  CHECK(r.sinks[0].score > 9.5);
  CHECK(r.sinks[0].score < 11.5);
  // One row of K and one of V for each step, layer and kv head.
  CHECK(r.rows.sink == uint64_t{8} * trace.dims().L * trace.dims().Hkv * 2);
  CHECK(r.sram_mass > 0.01);
  CHECK(std::fabs(r.sram_mass - r.golden_mass) < 1e-6);  // the counters, against exact attention
  CHECK(r.promoted == 1);
}

TEST_CASE("the default trace without a sink promotes nothing, and equals when it is filled", "[system]") {
  const auto trace = load("tests/data/stories260K_lily.safetensors");
  const auto r = tb::replay(trace, settings("small", Policy::kSinks, 4));
  check_equal(r);
  CHECK(r.promoted == 0);
  CHECK(r.rows.sink == 0);
  auto s = settings("small", Policy::kFill, 4);
  s.budget = 32;
  const auto filled = tb::replay(trace, s);
  check_equal(filled);
  CHECK(filled.promoted == 32);
  CHECK(filled.rows.sink == uint64_t{4} * 32 * trace.dims().L * trace.dims().Hkv * 2);
}

TEST_CASE("beats that are fetched and dropped are counted apart, and change no row and no output", "[system]") {
  const auto trace = load("tests/data/stories260K_lily.safetensors");
  auto s = settings("small", Policy::kFill, 3);
  s.budget = 32;
  const auto others = tb::replay(trace, s);  // tokens outside heads: what lies between is other heads' rows
  check_equal(others);
  CHECK(others.hbm_dropped == 0);
  s.heads_outside = true;
  s.burst_cost = 0;
  const auto split = tb::replay(trace, s);
  check_equal(split);
  CHECK(split.hbm_dropped == 0);
  s.burst_cost = 255;
  const auto joined = tb::replay(trace, s);
  check_equal(joined);
  CHECK(joined.hbm_dropped > 0);
  CHECK(joined.hbm_bulk == split.hbm_bulk);
  CHECK(joined.rows.checked == split.rows.checked);
}

TEST_CASE("with no budget everything comes from HBM and nothing is promoted", "[system]") {
  const auto trace = load(kDefaultTrace);
  const auto r = tb::replay(trace, settings("small", Policy::kHbm, 8));
  check_equal(r);
  CHECK(r.rows.sink == 0);
  CHECK(r.promoted == 0);
  CHECK(r.sram == 0);
  CHECK(r.hbm_promotion == 0);
  CHECK(r.sram_mass == 0);
}

TEST_CASE("the other traces replay equal, and only tiny1m_bos20 has a sink, at position 20", "[system]") {
  const auto bos20 = trace_beside("tiny1m_bos20");
  const auto stories = trace_beside("stories260K_p1");
  if (bos20.empty() || stories.empty())
    KVSINK_SKIP("the traces tiny1m_bos20 and stories260K_p1 are not beside the project");
  for (const Policy policy : {Policy::kSinks, Policy::kFill, Policy::kDynamic, Policy::kHbm}) {
    CAPTURE(static_cast<int>(policy));
    const auto trace = load(bos20);
    const auto r = tb::replay(trace, settings("small", policy, 8));
    check_equal(r);
    if (policy == Policy::kSinks) {
      REQUIRE(r.sinks.size() == 1);
      CHECK(r.sinks[0].position == 20);
    }
    const auto control = load(stories);
    const auto c = tb::replay(control, settings("small", policy, 3));
    check_equal(c);
    if (policy == Policy::kSinks) CHECK(c.sinks.empty());
  }
}

TEST_CASE("stalls on every handshake and any latency change no row, path, record or output", "[system]") {
  const auto trace = load(kDefaultTrace);
  for (const uint32_t latency : {5U, 40U, 250U}) {
    for (const uint32_t stall : {0U, 30U}) {
      CAPTURE(latency, stall);
      auto s = settings("small", Policy::kDynamic, 4);
      s.bench.latency = latency;
      s.bench.stall_percent = stall;
      check_equal(tb::replay(trace, s));
      s.policy = Policy::kFill;
      check_equal(tb::replay(trace, s));
    }
  }
}

TEST_CASE("the default and the large configuration replay the default trace equal", "[system]") {
  const auto trace = load(kDefaultTrace);
  for (const char* config : {"default", "large"}) {
    CAPTURE(config);
    auto s = settings(config, Policy::kFill, 3);
    s.budget = 128;
    s.bench.stall_percent = 10;
    check_equal(tb::replay(trace, s));
  }
}

TEST_CASE("decode that does not wait reads layers from SRAM as they become complete", "[system]") {
  const auto trace = load(kDefaultTrace);
  auto s = settings("small", Policy::kFill, 4);
  s.wait = false;
  s.bench.latency = 250;
  const auto r = tb::replay(trace, s);
  check_equal(r);
  CHECK(r.rows.sink > 0);
}

TEST_CASE("one request for K and V together serves the same rows as V following K", "[system]") {
  const auto trace = load(kDefaultTrace);
  auto s = settings("small", Policy::kFill, 3);
  const auto follow = tb::replay(trace, s);
  s.keep_and_follow = false;
  const auto both = tb::replay(trace, s);
  check_equal(follow);
  check_equal(both);
  CHECK(follow.rows.sink == both.rows.sink);
  CHECK(follow.rows.bulk == both.rows.bulk);
  CHECK(follow.outputs.o == both.outputs.o);
}

TEST_CASE("a trace beyond the configuration is refused with one line", "[system]") {
  auto trace = load(kDefaultTrace);
  const trace::Limits limits{2, 128, 64, 256, 131072};
  const auto refused = trace::check_limits(trace, limits, "small");
  REQUIRE_FALSE(refused);
  CHECK(refused.error().message.find("layers") != std::string::npos);
  CHECK(refused.error().message.find('\n') == std::string::npos);
}

TEST_CASE("in decode all cycles of the memory bus but the start of each step carry rows that were asked for",
          "[system]") {
  const auto trace = load(kDefaultTrace);
  for (const uint32_t latency : {150U, 250U}) {
    auto s = settings("small", Policy::kHbm, 16);
    s.bench.latency = latency;
    const auto r = tb::replay(trace, s);
    check_equal(r);
    CAPTURE(latency, r.cycles_decode);
    // Between steps nothing is in flight: the last merges, the commands of software, the first row's latency.
    const uint64_t useful = r.hbm_bulk / 16;
    CHECK(r.cycles_decode - useful <= 16 * (latency + 400));
    CHECK(r.decode_utilisation >= 0.96);
    // By the block's counters; the memory model counted the same beats.
    const uint64_t moved = r.hbm_bulk + r.hbm_promotion + r.hbm_dropped + r.hbm_table;
    CHECK(r.bus_beats * 16 <= moved);
    CHECK(r.bus_beats * 16 >= r.hbm_bulk);
  }
}

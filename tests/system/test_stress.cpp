// SPDX-License-Identifier: Apache-2.0
// The named scenarios of `kvsink stress`.
#include <string>

#include "support/catch.hpp"
#include "tb/common/rng.hpp"
#include "tb/system/stress.hpp"

using namespace kvsink;

namespace {

void check_scenario(const char* name, const char* config) {
  CAPTURE(name, config);
  const auto r = tb::stress(name, config, tb::seed_from_env());
  for (const auto& d : r.first) UNSCOPED_INFO(d.unit << ": cycle " << d.cycle << ": " << d.what);
  for (const auto& what : r.broken) UNSCOPED_INFO("does not hold: " << what);
  UNSCOPED_INFO(r.error);
  CHECK(r.error.empty());
  CHECK(r.broken.empty());
  CHECK(r.differences == 0);
  CHECK(r.rows.checked > 100);
  CHECK(r.rows.sink > 0);
  CHECK(r.records > 0);
  CHECK(r.counters.size() > 10);
}

}  // namespace

TEST_CASE("sram-exhaustion: more is refused at once, minimums are met, contracts stay", "[system][stress]") {
  check_scenario("sram-exhaustion", "small");
  check_scenario("sram-exhaustion", "default");
}
TEST_CASE("eviction-storm: only the owner's own best-effort slots make room", "[system][stress]") {
  check_scenario("eviction-storm", "small");
}
TEST_CASE("tenant-burst: another tenant keeps its minimum, contracts and answers", "[system][stress]") {
  check_scenario("tenant-burst", "small");
}
TEST_CASE("prefix-invalidation: nothing of a retired shared page is hit, and the rest stays", "[system][stress]") {
  check_scenario("prefix-invalidation", "small");
  check_scenario("prefix-invalidation", "default");
}
TEST_CASE("speculative-collapse: every draft is rejected, residency stays as it was", "[system][stress]") {
  check_scenario("speculative-collapse", "small");
}
TEST_CASE("dma-congestion: late promotions are reported, and every one completes once", "[system][stress]") {
  check_scenario("dma-congestion", "small");
}
TEST_CASE("log-full: promotions are refused, removal goes on, no record is lost", "[system][stress]") {
  check_scenario("log-full", "small");
}
TEST_CASE("an unknown scenario is told, and each has a line that says what it is", "[system][stress]") {
  CHECK_FALSE(tb::stress("nonsense", "small", 1).error.empty());
  CHECK(tb::scenarios().size() == 7);
  for (const auto& s : tb::scenarios()) CHECK(s.what.size() > 20);
}

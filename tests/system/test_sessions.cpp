// SPDX-License-Identifier: Apache-2.0
// Sessions that share a prefix: counts, one promotion for all, and nobody else's rows.
#include "support/catch.hpp"
#include "tb/common/rng.hpp"
#include "tb/system/sessions.hpp"

using namespace kvsink;

namespace {

void check(const tb::SessionsResult& r, uint32_t sessions) {
  for (const auto& d : r.first) UNSCOPED_INFO(d.unit << ": cycle " << d.cycle << ": " << d.what);
  for (const auto& what : r.broken) UNSCOPED_INFO("does not hold: " << what);
  UNSCOPED_INFO(r.error);
  CHECK(r.error.empty());
  CHECK(r.broken.empty());
  CHECK(r.differences == 0);
  CHECK(r.arrived == sessions);
  CHECK(r.departed == sessions);
  CHECK(r.failed > sessions / 10);
  CHECK(r.strangers > 0);
  CHECK(r.sink_rows_of_strangers == 0);
  CHECK(r.refused_resets > 0);
  CHECK(r.rows.sink > 0);
}

}  // namespace

TEST_CASE("sessions on a prefix come and go in any order: counts, one promotion, no stranger reads it",
          "[system][prefix]") {
  const auto few = tb::sessions_on_a_prefix("small", 120, tb::seed_from_env());
  CHECK(few.most_at_once == 3);
  CHECK(few.prefix_lives > 1);
  check(few, 120);
  const auto many = tb::sessions_on_a_prefix("default", 150, tb::seed_from_env());
  CHECK(many.most_at_once > 20);
  check(many, 150);
}

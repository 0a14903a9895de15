// SPDX-License-Identifier: Apache-2.0
// What the tests of the whole block share: traces, and how a replay is judged.
#pragma once

#include <filesystem>
#include <string>

#include "support/catch.hpp"
#include "sw/trace/trace.hpp"
#include "tb/common/rng.hpp"
#include "tb/system/replay.hpp"

namespace kvsink::test {

inline constexpr const char* kDefaultTrace = "tests/data/tiny1m_p0.safetensors";

/// A trace of the collection that may lie beside the project; empty when it is not there.
inline std::string trace_beside(const std::string& name) {
  const std::string path = "../shared/traces/" + name + ".safetensors";
  std::error_code ignored;
  return std::filesystem::exists(path, ignored) ? path : std::string();
}

inline trace::Trace load(const std::string& path) {
  auto trace = trace::Trace::load(path);
  REQUIRE(trace);
  return std::move(*trace);
}

inline tb::ReplaySettings settings(const char* config, tb::Policy policy, uint32_t steps = 0) {
  tb::ReplaySettings s;
  s.bench.config = config;
  s.bench.seed = tb::seed_from_env();
  s.policy = policy;
  s.steps = steps;
  return s;
}

/// Every check of a replay, with the first differences in the message.
inline void check_equal(const tb::ReplayResult& r) {
  for (const auto& d : r.differences.first()) UNSCOPED_INFO(d.unit << ": cycle " << d.cycle << ": " << d.what);
  INFO(r.error);
  CHECK(r.error.empty());
  CHECK(r.rows.checked > 0);
  CHECK(r.rows.wrong == 0);
  CHECK(r.rows.missing == 0);
  CHECK(r.rows.repeated == 0);
  CHECK(r.rows.false_miss == 0);
  CHECK(r.rows.false_hit == 0);
  CHECK(r.rows.misordered == 0);
  CHECK(r.rows.bad_ends == 0);
  CHECK(r.events_wrong == 0);
  CHECK(r.outputs_checked > 0);
  CHECK(r.outputs_wrong == 0);
  CHECK(r.differences.count() == 0);
  CHECK(r.max_abs_error <= 1e-6 * r.largest_v);
}

}  // namespace kvsink::test

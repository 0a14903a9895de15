// SPDX-License-Identifier: Apache-2.0
// Random traffic on the whole block beside the untimed model: every row, path, answer and record.
#include <fmt/format.h>

#include <string>
#include <vector>

#include "support/catch.hpp"
#include "tb/common/rng.hpp"
#include "tb/system/storm.hpp"

using namespace kvsink;

namespace {

struct Runs {
  tb::StormCounts counts;
  uint64_t last_seed = 0;  // of the run that differed, if one did
};

Runs runs(const char* config, uint64_t first_seed, unsigned count, uint64_t cycles) {
  Runs all;
  for (unsigned i = 0; i < count && all.counts.equal(); ++i) {
    tb::StormOptions options;
    options.config = config;
    options.seed = tb::seed_from_env() * 1000 + first_seed + i;
    options.command_gap = i % 2 == 0 ? 5 : 20;
    options.request_gap = i % 2 == 0 ? 20 : 60;
    all.last_seed = options.seed;
    all.counts += tb::storm(options, cycles);
  }
  return all;
}

void check(const Runs& runs) {
  const tb::StormCounts& c = runs.counts;
  // In scope of all checks: a message that goes with the next one only is gone when that one passes.
  std::string what = fmt::format("last run: seed {}\n{}\n{}", runs.last_seed, c.error, c.text());
  for (const auto& d : c.first) what += fmt::format("{}: cycle {}: {}\n", d.unit, d.cycle, d.what);
  INFO(what);
  CHECK(c.error.empty());
  CHECK(c.differences == 0);
  CHECK(c.rows.wrong == 0);
  CHECK(c.rows.missing == 0);
  CHECK(c.rows.repeated == 0);
  CHECK(c.rows.false_miss == 0);
  CHECK(c.rows.false_hit == 0);
  // All of it happened.
  CHECK(c.rows.sink > c.cycles / 1000);
  CHECK(c.rows.bulk > c.cycles / 50);
  CHECK(c.rows.errors > 0);
  CHECK(c.granted > c.cycles / 1000);
  CHECK(c.refused > 0);
  CHECK(c.moved_pages > 0);
  CHECK(c.resets > 0);
  CHECK(c.windows > 0);
  CHECK(c.rewritten > 0);
  CHECK(c.bus_errors > 0);
  CHECK(c.batches > 0);
}

}  // namespace

TEST_CASE("random traffic of 16 owners meets the untimed model in every row, path, answer and record",
          "[system][storm]") {
  check(runs("default", 1, 3, 100'000));
}

TEST_CASE("random traffic of all owners of the small block meets the untimed model", "[system][storm]") {
  check(runs("small", 101, 4, 50'000));
}

TEST_CASE("the same inputs give the same outputs in every cycle, whatever memory and state held at power-up",
          "[system][storm]") {
  tb::StormOptions options;
  options.config = "small";
  options.seed = tb::seed_from_env() * 1000 + 201;
  options.command_gap = 5;
  options.request_gap = 20;
  // They do differ at power-up.
  std::vector<tb::Beat> first_beats;
  for (const uint64_t power_up : {0, 0x5a5a}) {
    std::string why;
    tb::BenchOptions bench;
    bench.config = options.config;
    bench.power_up = power_up;
    first_beats.push_back(tb::Bench::make(bench, why)->dut().peek_sram(0));
  }
  CHECK(first_beats[0] != first_beats[1]);

  const auto one = tb::storm(options, 20'000);
  CHECK(one.equal());
  for (const uint64_t power_up : {0, 0x5a5a, 0x1234567}) {
    options.power_up = power_up;
    const auto other = tb::storm(options, 20'000);
    CHECK(other.cycles == one.cycles);
    CHECK(other.digest == one.digest);
  }
  options.power_up = 0;
  ++options.seed;
  CHECK(tb::storm(options, 20'000).digest != one.digest);
}

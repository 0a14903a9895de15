// SPDX-License-Identifier: Apache-2.0
// kvsink plan and kvsink replay --plan as a user runs them.
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "command_support.hpp"
#include "support/catch.hpp"

using namespace kvsink::test;

namespace {

constexpr const char* kTrace = "tests/data/tiny1m_p0.safetensors";

}  // namespace

TEST_CASE("a plan that was made is replayed equal, and one that does not fit is told in one line", "[command]") {
  TempFolder folder;
  const std::string plan = folder / "plan.json", other = folder / "same.json";
  const auto made = kvsink_run(folder, {"plan", kTrace, "--policy", "fill", "--budget", "6", "--per-step", "2",
                                        "--tiers", "sw/tiers.json", "--home", "hbm", "--out", plan, "--json", other});
  INFO(made.err);
  REQUIRE(made.status == 0);
  CHECK(holds(made.out, "6 promotions of 2048 bytes each from hbm"));
  // 128 beats of 16 bytes behind 150 cycles.
  CHECK(holds(made.out, "lead 278 cycles"));
  CHECK(slurp(plan) == slurp(other));
  const auto replayed = kvsink_run(folder, {"replay", kTrace, "--plan", plan, "--tiers", "sw/tiers.json", "--home",
                                            "hbm", "--json", folder / "replay.json"});
  INFO(replayed.err);
  CHECK(replayed.status == 0);
  CHECK(holds(replayed.out, "all equal"));
  const auto json = nlohmann::json::parse(slurp(folder / "replay.json"));
  CHECK(json["check"]["differences"] == 0);
  CHECK(json["plan"]["items"] == json["plan"]["done"]);
  CHECK(json["plan"]["missed"] == 0);
  CHECK(json["residency"]["promoted"] == 6);
  // Energy is bytes times the table, and is said to be a model.
  CHECK(holds(replayed.out, "a model, bytes times the table sw/tiers.json"));
  const auto& bytes = json["bytes"];
  const double from_hbm = bytes["hbm_bulk"].get<double>() + bytes["hbm_promotion"].get<double>() +
                          bytes["hbm_dropped"].get<double>() + bytes["hbm_table"].get<double>();
  CHECK(json["energy_model"]["pj"]["tier"].get<double>() == Catch::Approx(31.4 * from_hbm));
  CHECK(json["energy_model"]["pj"]["sram"].get<double>() == Catch::Approx(12.5 * bytes["sram"].get<double>()));

  check_refused(kvsink_run(folder, {"replay", kTrace, "--plan", plan, "--budget", "3"}),
                {"plan refused at item", "promote position", "budget"});
  write_file(plan, "{}");
  check_refused(kvsink_run(folder, {"replay", kTrace, "--plan", plan}), {plan, "not a plan"});
  check_refused(kvsink_run(folder, {"plan", kTrace, "--home", "ddr5"}), {"--home", "ddr5", "--tiers"});
  check_refused(kvsink_run(folder, {"plan", kTrace, "--tiers", "sw/tiers.json", "--home", "tape"}), {"'tape'"});
  check_refused(kvsink_run(folder, {"plan", kTrace, "--out", other, "--json", other}), {"--out", "--json"});
  check_refused(kvsink_run(folder, {"plan", kTrace, "--adapt", "256"}), {"--adapt", "'256'"});
  check_refused(kvsink_run(folder, {"plan", kTrace, "--scores", plan}), {plan, "scores"});
}

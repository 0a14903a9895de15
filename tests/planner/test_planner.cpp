// SPDX-License-Identifier: Apache-2.0
// The planner: what it takes, lead times against the formula by hand, files that are wrong.
#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <set>
#include <string>
#include <vector>

#include "support/catch.hpp"
#include "sw/planner/planner.hpp"

namespace {

using namespace kvsink::planner;  // NOLINT: the unit under test
using Kind = Item::Kind;

const Tier kHbm{"hbm", 150, 1.0};
const Room kRoom{.slots = 8, .entries = 4, .items = 16, .slot_beats = 40, .beat_bytes = 16, .promo_floor = 2};

std::vector<Scored> tokens(unsigned count, unsigned apart = 1) {
  std::vector<Scored> out;
  for (unsigned i = 0; i < count; ++i) out.push_back({i * apart, 20.0 - i});
  return out;
}

std::vector<Item> of_kind(const Plan& plan, Kind kind) {
  std::vector<Item> out;
  std::copy_if(plan.items.begin(), plan.items.end(), std::back_inserter(out),
               [&](const Item& i) { return i.kind == kind; });
  return out;
}

struct File {
  std::string path;
  explicit File(const std::string& text) : path((std::filesystem::temp_directory_path() / "kvsink_planner").string()) {
    path += std::to_string(reinterpret_cast<std::uintptr_t>(this));
    std::ofstream(path) << text;
  }
  File(const File&) = delete;
  File& operator=(const File&) = delete;
  ~File() { std::remove(path.c_str()); }
};

template <class T>
void refused(const kvsink::Result<T>& result, const std::string& path, const std::string& part) {
  REQUIRE(!result);
  INFO(result.error().message);
  CHECK(result.error().message.starts_with(path + ": "));
  CHECK(result.error().message.find(part) != std::string::npos);
  CHECK(result.error().message.find('\n') == std::string::npos);
}

}  // namespace

TEST_CASE("the lead time is latency plus bytes by bandwidth", "[planner]") {
  CHECK(lead_cycles(kHbm, 40) == 190);
  CHECK(lead_cycles({"slow", 500, 0.01194}, 40) == 500 + 3351);  // 40 / 0.01194 = 3350.08
  const auto plan = make(tokens(3), {"slow", 500, 0.5}, 2, kRoom, {.steps = 10, .committed = 200});
  const auto promotions = of_kind(plan, Kind::kPromote);
  REQUIRE(promotions.size() == 3);
  for (unsigned i = 0; i < 3; ++i) {
    CHECK(promotions[i].lead == 580);
    CHECK(promotions[i].tier == 2);
    CHECK(promotions[i].until == 0);  // its window says
  }
}

TEST_CASE("the strongest that fit are planned: budget, slots, entries, items, committed positions", "[planner]") {
  const Wishes wishes{.steps = 10, .committed = 200};
  CHECK(of_kind(make(tokens(20), kHbm, 0, kRoom, wishes), Kind::kPromote).size() == 8);
  auto some = wishes;
  some.budget = 5;
  const auto five = of_kind(make(tokens(20), kHbm, 0, kRoom, some), Kind::kPromote);
  REQUIRE(five.size() == 5);
  for (unsigned i = 0; i < 5; ++i) CHECK(five[i].first == i);
  // Every third position: the fifth granule begins at 66, but there are four entries.
  const auto spread = of_kind(make(tokens(40, 20), kHbm, 0, kRoom, {.steps = 10, .committed = 2000}), Kind::kPromote);
  CHECK(spread.size() == 4);
  some.budget.reset();
  some.committed = 3;
  CHECK(of_kind(make(tokens(20), kHbm, 0, kRoom, some), Kind::kPromote).size() == 3);
  auto tight = kRoom;
  tight.items = 6;
  const auto plan = make(tokens(20), kHbm, 0, tight, wishes);
  CHECK(plan.items.size() <= 6);
  CHECK(of_kind(plan, Kind::kPromote).size() == 4);
  CHECK(make({}, kHbm, 0, kRoom, wishes).items.empty());
}

TEST_CASE("promotions are spread over steps, each step with a window that its beats fit in", "[planner]") {
  const auto plan = make(tokens(7), kHbm, 0, kRoom, {.per_step = 3, .steps = 10, .committed = 200, .adapt = 4});
  const auto windows = of_kind(plan, Kind::kWindow), promotions = of_kind(plan, Kind::kPromote);
  REQUIRE(windows.size() == 3);
  REQUIRE(promotions.size() == 7);
  unsigned last = 0;
  for (unsigned i = 0; i < 7; ++i) {
    CHECK(promotions[i].step == i / 3);
    CHECK(promotions[i].dwell == 10 - i / 3);  // to the end of the decode
  }
  for (const Item& item : plan.items) {
    if (item.kind == Kind::kRegion) continue;
    CHECK(item.step >= last);
    last = item.step;
  }
  for (unsigned w = 0; w < 3; ++w) {
    const uint64_t here = w < 2 ? 3 : 1;
    // The rule of the block: 32 * beats <= floor * length, and the tier's latency fits as well.
    CHECK(32 * here * kRoom.slot_beats <= kRoom.promo_floor * uint64_t{windows[w].until - windows[w].from});
    CHECK(windows[w].until == 2 * 150 + 16 * here * kRoom.slot_beats);
  }
  const auto regions = of_kind(plan, Kind::kRegion);
  REQUIRE(regions.size() == 1);
  CHECK(regions[0].step == 2);  // nothing is promoted into it after it began
  CHECK(regions[0].count == 200);
  CHECK(plan.adapt_promotions == 4);
  CHECK(plan.adapt_evictions == 4);
}

TEST_CASE("a plan is the same after it was saved and read", "[planner]") {
  const auto plan = make(tokens(7), kHbm, 0, kRoom, {.per_step = 2, .steps = 9, .committed = 77, .adapt = 3});
  const File file(to_json(plan));
  const auto back = read_plan(file.path);
  REQUIRE(back);
  CHECK(back->items == plan.items);
  CHECK(back->adapt_promotions == 3);
  CHECK(back->adapt_evictions == 3);
  CHECK(back->adapt_slots == plan.adapt_slots);
}

TEST_CASE("a file that is no plan, no scores or no tiers is told in one line", "[planner]") {
  const std::string head =
      R"({"format": "kvsink-plan", "version": 1, "envelope": {"promotions": 0, "evictions": 0, "slots": 9}, "items": )";
  const std::vector<std::pair<std::string, std::string>> plans = {
      {"", "not a plan"},
      {"[]", "not a plan"},
      {R"({"format": "kvsink-plan", "version": 2, "items": [], "envelope": {}})", "not a plan"},
      {R"({"format": "kvsink-plan", "version": 1, "items": [], "envelope": {}})", "envelope: promotions"},
      {head + "[{}]}", "item 0: kind"},
      {head + "[3]}", "item 0: kind"},
      {head + R"([{"kind": "window", "step": 0, "begin": 1, "end": 2}, {"kind": "promote"}]})", "item 1: position"},
      {head + R"([{"kind": "window", "step": 70000, "begin": 1, "end": 2}]})", "item 0: step"},
      {head + R"([{"kind": "window", "step": -1, "begin": 1, "end": 2}]})", "item 0: step"},
      {head + R"([{"kind": "region", "step": 1, "first": 1.5, "count": 2, "steps": 0}]})", "item 0: first"},
  };
  for (const auto& [text, part] : plans) {
    const File file(text);
    INFO(text);
    refused(read_plan(file.path), file.path, part);
  }
  refused(read_plan("/nowhere/plan"), "/nowhere/plan", "not a plan");
  const File scores(R"({"scores": [1, 5.5, 0, 3, 9]})"), bad(R"({"scores": [1, -2]})");
  const auto read = read_scores(scores.path, 3.0);
  REQUIRE(read);
  REQUIRE(read->size() == 3);
  CHECK((*read)[0].position == 4);
  CHECK((*read)[1].position == 1);
  CHECK((*read)[2].position == 3);
  refused(read_scores(bad.path, 3.0), bad.path, "position 1");
  refused(read_scores(scores.path + "x", 3.0), scores.path + "x", "not a file of scores");
  const File tiers(R"({"tiers": {"a": {"latency": 100, "bandwidth": 1}, "b": {"latency": 7, "bandwidth": 0.25}}})");
  const auto b = find_tier(tiers.path, "b");
  REQUIRE(b);
  CHECK(b->first.latency == 7);
  CHECK(b->first.bandwidth == 0.25);
  CHECK(b->second == 1);
  refused(find_tier(tiers.path, "c"), tiers.path, "'c'");
  const File wrong(R"({"tiers": {"a": {"latency": 0, "bandwidth": 1}}})");
  refused(read_tiers(wrong.path), wrong.path, "tier 'a': latency 0");
  CHECK(!b->first.pj_per_byte);
  CHECK(!*sram_pj_per_byte(tiers.path));
  const File energy(
      R"({"sram": {"pj_per_byte": 2}, "tiers": {"a": {"latency": 1, "bandwidth": 1, "pj_per_byte": 31.4}}})");
  CHECK(find_tier(energy.path, "a")->first.pj_per_byte == 31.4);
  CHECK(**sram_pj_per_byte(energy.path) == 2);
  const File less(
      R"({"sram": {"pj_per_byte": -1}, "tiers": {"a": {"latency": 1, "bandwidth": 1, "pj_per_byte": "x"}}})");
  refused(read_tiers(less.path), less.path, "tier 'a': pj_per_byte");
  refused(sram_pj_per_byte(less.path), less.path, "sram: pj_per_byte -1");
}

TEST_CASE("the sink of the default trace leads its plan, and its tiers are those of the project", "[planner]") {
  const auto trace = kvsink::trace::Trace::load("tests/data/tiny1m_p0.safetensors");
  REQUIRE(trace);
  const auto sinks = prefill_scores(*trace, 3.0);
  REQUIRE(sinks.size() == 1);
  CHECK(sinks[0].position == 0);
  CHECK(sinks[0].score > 9.5);
  CHECK(sinks[0].score < 11.5);
  const auto all = prefill_scores(*trace, 0);
  CHECK(all.size() == trace->prefill_tokens());
  CHECK(std::is_sorted(all.begin(), all.end(), [](const Scored& a, const Scored& b) {
    return a.score > b.score || (a.score == b.score && a.position < b.position);
  }));
  const auto fabric = find_tier("sw/tiers.json", "cxl_fabric");
  REQUIRE(fabric);
  CHECK(fabric->first.latency == 500);
}

// SPDX-License-Identifier: Apache-2.0
// Plans: each refusal with its item, the reservation, execution by step and by time, DMA windows, replay-safe regions,
// and the envelope's counts. Numbers come from the plan by hand; tests/residency/test_residency_model.cpp runs random
// ones beside the untimed model.
#include <VResidency_small.h>

#include <utility>
#include <vector>

#include "support/catch.hpp"
#include "tb/residency/residency_env.hpp"

namespace {

using namespace kvsink::tb::residency;  // NOLINT: the names of this bench, in its test
using SmallEnv = Env<VResidency_small>;

constexpr uint32_t kSlotBeats = 2 * 2 * 2 * 2;  // ProfileArgs: 2 layers, 2 heads, 2 planes of 2 beats

void usual(SmallEnv& e, uint32_t slots = 8, const OwnerArgs& args = {}) {
  REQUIRE(e.run(set_profile(0, {.slot_count = slots})).status == kOk);
  REQUIRE(e.run(set_owner(0, args)).status == kOk);
}

Done hand_over(SmallEnv& e, uint32_t owner, const std::vector<Cmd>& items, const Cmd& begin) {
  REQUIRE(e.run(begin).status == kOk);
  for (size_t i = 0; i < items.size(); ++i) {
    const auto d = e.run(items[i]);
    REQUIRE(d.status == kOk);
    REQUIRE(d.value0 == i);
  }
  return e.run({.op = kPlan, .flags = kPlanCommit, .owner = owner});
}
Done hand_over(SmallEnv& e, uint32_t owner, const std::vector<Cmd>& items) {
  return hand_over(e, owner, items, plan_begin(owner));
}

void refused(SmallEnv& e, const std::vector<Cmd>& items, uint32_t item, Status reason) {
  const auto d = hand_over(e, 0, items);
  CHECK(d.status == kNoPlan);
  CHECK(d.value0 == item);
  CHECK(d.value1 == reason);
  CHECK(e.run({.op = kPlan, .flags = kPlanQuery, .owner = 0}).status == kNoPlan);  // nothing is left of it
}

Done step_end(SmallEnv& e, uint32_t owner = 0) { return e.run(simple(kStepEnd, owner, 2)); }

/// Until the token has a slot that is filled.
bool comes(SmallEnv& e, uint32_t owner, uint32_t position, unsigned cycles = 3000) {
  for (unsigned i = 0; i < cycles; ++i) {
    const Slot* s = e.find(owner, position);
    if (s != nullptr && s->state == Slot::kResident) return true;
    e.tick();
  }
  return false;
}

std::vector<std::pair<uint32_t, Status>> breaches(const SmallEnv& e) {
  std::vector<std::pair<uint32_t, Status>> out;
  for (const auto& r : e.records) {
    if (r.kind == kEvPlan) out.emplace_back(r.position, r.cause);
  }
  return out;
}

}  // namespace

TEST_CASE("A plan is refused with the first item that fails, and why", "[residency][plan]") {
  SmallEnv e;
  usual(e, 8, {.committed = 200});
  SECTION("positions not committed") { refused(e, {plan_promote(0, 199, 1), plan_promote(0, 200, 1)}, 1, kBadRange); }
  SECTION("steps out of order") {
    refused(e, {plan_promote(0, 1, 1, 4), plan_promote(0, 2, 1, 4), plan_promote(0, 3, 1, 3)}, 2, kBadCommand);
  }
  SECTION("a region behind a promotion, a third region, a region that is not committed") {
    refused(e, {plan_promote(0, 1, 1), plan_region(0, 0, 16)}, 1, kBadCommand);
    refused(e, {plan_region(0, 0, 16), plan_region(0, 16, 16), plan_region(0, 32, 16)}, 2, kBadCommand);
    refused(e, {plan_region(0, 190, 11)}, 0, kBadRange);
  }
  SECTION("a promotion into a region after it began") {
    refused(e, {plan_region(0, 32, 16, 1), plan_promote(0, 40, 1, 1), plan_promote(0, 41, 1, 2)}, 2, kOutsidePlan);
    CHECK(hand_over(e, 0, {plan_region(0, 32, 16, 1, 2), plan_promote(0, 41, 1, 3)}).status == kOk);  // it has ended
  }
  SECTION("more slots at one step than the owner may have") {
    REQUIRE(e.run(simple(kSetOwner, 0)).status == kOk);
    REQUIRE(e.run(set_owner(0, {.slot_max = 2})).status == kOk);
    refused(e, {plan_promote(0, 1, 2), plan_promote(0, 2, kPinned), plan_promote(0, 3, 1, 1), plan_promote(0, 4, 1, 2)},
            2, kBudget);
    // The first one's contract has ended by then.
    CHECK(hand_over(e, 0, {plan_promote(0, 1, 2), plan_promote(0, 2, kPinned), plan_promote(0, 3, 1, 2)}).value0 == 2);
  }
  SECTION("more slots than the budget, less what others' minimums reserve") {
    e.budget = 5;
    REQUIRE(e.run(set_owner(1, {.slot_min = 3})).status == kOk);
    refused(e, {plan_promote(0, 1, 1), plan_promote(0, 2, 1), plan_promote(0, 3, 1)}, 2, kBudget);
  }
  SECTION("more slots than the region has") {
    std::vector<Cmd> items;
    for (uint32_t i = 0; i < 9; ++i) items.push_back(plan_promote(0, i, 1));
    refused(e, items, 8, kNoSlot);
    items.back() = plan_promote(0, 7, 3);  // a token twice takes one slot
    CHECK(hand_over(e, 0, items).value0 == 8);
  }
  SECTION("more entries than there are") {
    REQUIRE(e.run(simple(kSetOwner, 0)).status == kOk);
    REQUIRE(e.run(set_profile(0, {.layer_count = 1, .heads = 1, .planes = 1, .slot_count = 32})).status == kOk);
    REQUIRE(e.run(set_owner(0, {.length = 512, .committed = 512})).status == kOk);
    std::vector<Cmd> items;
    for (uint32_t i = 0; i < 17; ++i) items.push_back(plan_promote(0, 16 * i, 1));
    refused(e, items, 16, kNoEntry);
    items.back() = plan_promote(0, 16 * 15 + 9, 1);
    const auto d = hand_over(e, 0, items);
    CHECK(d.value0 == 17);
    CHECK(d.value1 == 16);
  }
  SECTION("what keeps its slot in a region, though its contract has ended") {
    REQUIRE(e.run(simple(kSetOwner, 0)).status == kOk);
    REQUIRE(e.run(set_owner(0, {.slot_max = 2})).status == kOk);
    const std::vector<Cmd> items{plan_region(0, 0, 16, 0, 3), plan_promote(0, 1, 1), plan_promote(0, 2, 1),
                                 plan_promote(0, 50, 1, 2)};
    refused(e, items, 3, kBudget);
    auto later = items;
    later[3] = plan_promote(0, 50, 1, 3);  // the region has ended
    CHECK(hand_over(e, 0, later).value0 == 2);
  }
  SECTION("what an earlier plan still holds is no room for the next") {
    CHECK(hand_over(e, 0, {plan_promote(0, 1, kPinned), plan_promote(0, 2, kPinned)}).value0 == 2);
    REQUIRE(comes(e, 0, 1));
    REQUIRE(comes(e, 0, 2));
    REQUIRE(e.run({.op = kPlan, .flags = kPlanDrop, .owner = 0}).status == kOk);
    std::vector<Cmd> items;
    for (uint32_t i = 0; i < 7; ++i) items.push_back(plan_promote(0, 100 + i, kPinned, i / 3));
    refused(e, items, 6, kNoSlot);
    items.pop_back();
    REQUIRE(hand_over(e, 0, items).value0 == 6);
    for (uint32_t i = 0; i < 6; ++i) {
      if (i == 3) REQUIRE(step_end(e).status == kOk);
      CHECK(comes(e, 0, 100 + i));
    }
  }
  SECTION("more beats than a window holds") {
    e.promo_floor = 2;  // 1/16 of the beats
    const uint32_t two = 2 * kSlotBeats * 16;
    refused(e,
            {plan_window(0, 100, 100 + two - 1, 1), plan_promote(0, 1, 1, 1), plan_promote(0, 2, 1, 1),
             plan_promote(0, 3, 1, 2)},
            2, kDeadline);
    // A window ends with its step: the third is in none.
    CHECK(hand_over(e, 0,
                    {plan_window(0, 100, 100 + two, 1), plan_promote(0, 1, 1, 1), plan_promote(0, 2, 1, 1),
                     plan_promote(0, 3, 1, 2)})
              .status == kOk);
  }
  SECTION("a position of the prefix owner, a profile that is not set") {
    REQUIRE(e.run(set_owner(1, {.prefix_owner = 0, .prefix_len = 64})).status == kOk);
    auto d = hand_over(e, 1, {plan_promote(1, 64, 1), plan_promote(1, 63, 1)});
    CHECK(d.value0 == 1);
    CHECK(d.value1 == kBadRange);
    REQUIRE(e.run(set_owner(2, {.profile = 1})).status == kOk);
    d = hand_over(e, 2, {plan_promote(2, 64, 1)});
    CHECK(d.value0 == 0);
    CHECK(d.value1 == kBadProfile);
  }
}

TEST_CASE("Plan commands are answered for what they are", "[residency][plan]") {
  SmallEnv e;
  usual(e);
  const Cmd commit{.op = kPlan, .flags = kPlanCommit, .owner = 0};
  CHECK(e.run(commit).status == kNoPlan);
  CHECK(e.run(plan_promote(0, 1, 1)).status == kNoPlan);
  CHECK(e.run({.op = kPlan, .flags = 7}).status == kBadCommand);
  CHECK(e.run(plan_begin(3)).status == kBadOwner);
  CHECK(e.run(plan_begin(0)).status == kOk);
  CHECK(e.run(plan_begin(0)).status == kBusy);
  CHECK(e.run(plan_promote(0, e.positions, 1)).status == kBadRange);
  CHECK(e.run(plan_window(0, 5, 5)).status == kBadCommand);
  CHECK(e.run(plan_region(0, 0, 0)).status == kBadRange);
  for (uint32_t i = 0; i < e.plan_items; ++i) CHECK(e.run(plan_promote(0, 1, 1)).value0 == i);
  CHECK(e.run(plan_promote(0, 1, 1)).status == kBusy);
  REQUIRE(e.run(simple(kOpen, 0)).status == kOk);
  CHECK(e.run(commit).status == kWindow);
  REQUIRE(e.run(range(kCommit, 0, 0, 0)).status == kOk);
  CHECK(e.run(commit).status == kOk);
  CHECK(e.run(commit).status == kBusy);
  CHECK(e.run(plan_promote(0, 1, 1)).status == kBusy);
  CHECK(e.run(set_owner(0, {})).status == kBusy);
  // As many owners as there are plans have one.
  REQUIRE(e.run(set_owner(1, {})).status == kOk);
  REQUIRE(e.run(set_owner(2, {})).status == kOk);
  CHECK(e.run(plan_begin(1)).status == kOk);
  CHECK(e.run(plan_begin(2)).status == kBusy);
  CHECK(e.run({.op = kPlan, .flags = kPlanDrop, .owner = 1}).status == kOk);
  CHECK(e.run(plan_begin(2)).status == kOk);
  CHECK(e.run(simple(kSetOwner, 2)).status == kOk);  // a reset takes the plan with it
  CHECK(e.run(plan_begin(1)).status == kOk);
}

TEST_CASE("A plan that is being checked when its owner is reset is refused, and answered once", "[residency][plan]") {
  SmallEnv e;
  usual(e);
  REQUIRE(e.run(plan_begin(0)).status == kOk);
  for (uint32_t i = 0; i < e.plan_items; ++i) REQUIRE(e.run(plan_promote(0, i, 1, i)).status == kOk);
  const auto commit = e.send({.op = kPlan, .flags = kPlanCommit, .owner = 0});
  const auto reset = e.send(simple(kSetOwner, 0));
  CHECK(e.wait(reset).status == kOk);
  const auto d = e.wait(commit);
  CHECK(d.status == kNoPlan);
  CHECK(d.value1 == kAborted);
  REQUIRE(e.run(set_owner(0, {})).status == kOk);
  CHECK(e.run(plan_begin(0)).status == kOk);
}

TEST_CASE("Promotions keep their 8 cycles while a plan is checked", "[residency][plan]") {
  SmallEnv e;
  usual(e, 32);
  REQUIRE(e.run(set_owner(1, {})).status == kOk);
  REQUIRE(e.run(plan_begin(0)).status == kOk);
  for (uint32_t i = 0; i < e.plan_items; ++i) REQUIRE(e.run(plan_promote(0, i % 8, kPinned)).status == kOk);
  const auto commit = e.send({.op = kPlan, .flags = kPlanCommit, .owner = 0});
  unsigned during = 0;
  e.ticks(20);
  for (uint32_t i = 0; i < 40; ++i) {
    CHECK(e.run(promote(1, i, 0)).op == kPromote);
    during += !e.result(commit).has_value() ? 1 : 0;
  }
  CHECK(during > 30);
  CHECK(e.max_promote_latency <= 8);
}

TEST_CASE("A plan promotes each token at its step, with its contract, and says how far it is", "[residency][plan]") {
  SmallEnv e;
  usual(e);
  const auto d =
      hand_over(e, 0, {plan_promote(0, 5, 2, 0), plan_promote(0, 21, kPinned, 1), plan_promote(0, 37, 1, 3)});
  REQUIRE(d.status == kOk);
  CHECK(d.value0 == 2);  // at step 3 the first one's contract has ended
  CHECK(comes(e, 0, 5));
  CHECK(!comes(e, 0, 21, 500));
  REQUIRE(step_end(e).status == kOk);
  CHECK(comes(e, 0, 21));
  e.check_contracts();
  const auto q = e.run({.op = kPlan, .flags = kPlanQuery, .owner = 0});
  CHECK(q.value0 == (1U << 16 | 2U));
  REQUIRE(step_end(e).status == kOk);
  CHECK(!comes(e, 0, 37, 500));
  REQUIRE(step_end(e).status == kOk);
  CHECK(comes(e, 0, 37));
  e.check_contracts();
  CHECK(e.find(0, 21)->dwell == kPinned);
}

TEST_CASE("What a plan reserves nobody else takes, and it comes back", "[residency][plan]") {
  SmallEnv e;
  usual(e, 8);
  REQUIRE(e.run(set_owner(1, {})).status == kOk);
  REQUIRE(hand_over(e, 0, {plan_promote(0, 1, kPinned), plan_promote(0, 2, kPinned, 1), plan_promote(0, 3, kPinned, 1)})
              .status == kOk);
  REQUIRE(comes(e, 0, 1));
  uint32_t granted = 0;
  for (uint32_t i = 0; i < 8; ++i) granted += e.run(promote(i % 2, 100 + i, kPinned)).status == kOk;
  CHECK(granted == 5);  // 8, less the 3 of the plan
  REQUIRE(step_end(e).status == kOk);
  CHECK(comes(e, 0, 2));
  CHECK(comes(e, 0, 3));
  CHECK(e.plan_missed == 0);
  // Dropped, the next plan finds what is free.
  REQUIRE(e.run({.op = kPlan, .flags = kPlanDrop, .owner = 0}).status == kOk);
  REQUIRE(e.run(simple(kRetire, 1)).status != kOk);
  REQUIRE(e.run(range(kRetire, 1, 0, 256)).status == kOk);
  e.settle_down();
  const uint32_t free = 8 - e.used_all();
  granted = 0;
  for (uint32_t i = 0; i < 8; ++i) granted += e.run(promote(1, 100 + i, kPinned)).status == kOk;
  CHECK(granted == free);
}

TEST_CASE("A planned promotion without room is tried again, and recorded when its deadline passes",
          "[residency][plan]") {
  SmallEnv e;
  usual(e, 4);
  // Accepted with room for one; the owner's own best-effort slots then stand in the way and leave under pressure.
  REQUIRE(hand_over(e, 0, {plan_promote(0, 1, 1, 1), plan_promote(0, 2, 1, 2), plan_promote(0, 3, 1, 3)}).value0 == 1);
  for (uint32_t i = 0; i < 3; ++i) REQUIRE(e.run(promote(0, 100 + i, kPinned)).status == kOk);
  for (uint32_t at = 1; at <= 3; ++at) {
    REQUIRE(step_end(e).status == kOk);
    CHECK(comes(e, 0, at));  // the one before it has lost its contract and makes room
  }
  CHECK(e.find(0, 1) == nullptr);
  CHECK(e.find(0, 2) == nullptr);
  CHECK(e.plan_missed == 0);
  CHECK(breaches(e).empty());
  REQUIRE(e.run({.op = kPlan, .flags = kPlanDrop, .owner = 0}).status == kOk);

  REQUIRE(e.run(range(kLetGo, 0, 100, 2)).status == kOk);
  REQUIRE(e.run(range(kLetGo, 0, 3, 1)).status == kOk);
  e.settle_down();
  // Software takes the budget away below the plan: the promotion is tried until its deadline, then the plan goes on.
  REQUIRE(hand_over(e, 0, {plan_promote(0, 9, 1, 1, {.deadline = 700}), plan_promote(0, 3, 9, 1)}).status == kOk);
  const auto budget = std::exchange(e.budget, 0);
  REQUIRE(step_end(e).status == kOk);
  e.ticks(500);
  CHECK(breaches(e).empty());
  e.ticks(500);
  REQUIRE(breaches(e).size() == 1);
  CHECK(breaches(e)[0] == std::make_pair(9U, kBudget));
  CHECK(e.plan_missed == 1);
  CHECK(e.find(0, 9) == nullptr);
  e.budget = budget;
  CHECK(comes(e, 0, 3));  // the next item was not held up
  CHECK(e.find(0, 3)->dwell == 9);
}

TEST_CASE("In a DMA window nothing starts before it, and what has not started by its end fails", "[residency][plan]") {
  SmallEnv e;
  usual(e);
  e.promo_floor = 31;
  REQUIRE(hand_over(e, 0, {plan_window(0, 500, 900), plan_promote(0, 1, 1), plan_promote(0, 2, 1)}).status == kOk);
  const uint64_t accepted = e.now();
  while (e.descs.empty() && e.now() < accepted + 2000) e.tick();
  REQUIRE(!e.descs.empty());
  CHECK(e.now() >= accepted + 490);
  CHECK(e.now() <= accepted + 560);
  CHECK(comes(e, 0, 1));
  CHECK(comes(e, 0, 2));
  REQUIRE(e.descs.size() == 2);
  CHECK(e.descs[1].deadline >= accepted + 880);
  CHECK(e.descs[1].deadline <= accepted + 900);
  REQUIRE(e.run({.op = kPlan, .flags = kPlanDrop, .owner = 0}).status == kOk);

  // The DMA is held and takes six descriptors: those behind them miss the window.
  SmallEnv f;
  usual(f, 16);
  f.promo_floor = 31;
  f.dma_hold = true;
  std::vector<Cmd> items{plan_window(0, 100, 700)};
  for (uint32_t i = 0; i < 14; ++i) items.push_back(plan_promote(0, i, 2));
  REQUIRE(hand_over(f, 0, items).status == kOk);
  f.ticks(300);
  REQUIRE(f.used_all() == 14);
  const auto wait = f.send(simple(kWait, 0));
  f.ticks(1500);
  f.dma_hold = false;
  const auto w = f.wait(wait);
  CHECK(w.status == kDeadline);
  CHECK(w.value0 == 14);
  const auto failed = std::count_if(f.records.begin(), f.records.end(),
                                    [](const Record& r) { return r.kind == kEvFailed && r.cause == kDeadline; });
  CHECK(failed > 0);
  CHECK(f.descs.size() + static_cast<size_t>(failed) == 14);
  CHECK(f.deadlines_missed == static_cast<unsigned>(failed));
  f.settle_down();
  CHECK(f.used_all() == 14 - static_cast<uint32_t>(failed));
}

TEST_CASE("Inside a replay-safe region nothing is placed or evicted by choice while it lasts", "[residency][plan]") {
  SmallEnv e;
  usual(e, 3);
  e.dynamic = true;
  e.n_promote = e.n_evict = 1;
  REQUIRE(hand_over(e, 0, {plan_region(0, 32, 16, 0, 3)}).status == kOk);
  for (const uint32_t at : {33U, 34U, 70U}) REQUIRE(e.run(promote(0, at, 0)).status == kOk);
  REQUIRE(e.run(simple(kWait, 0)).status == kOk);
  // Below T_evict all of them; only the one outside leaves. The token of the region that scores stays a candidate.
  const auto low_scores = [&] {
    e.scores = {{40, 9 * kOne}};
    e.batch = 0;
    const auto d = e.run(simple(kStepEnd, 0));
    e.ticks(300);
    return d;
  };
  e.alpha = 0;
  CHECK(low_scores().value0 >> 16 == 1);
  CHECK(e.find(0, 70) == nullptr);
  CHECK(e.find(0, 33) != nullptr);
  CHECK(e.find(0, 34) != nullptr);
  CHECK(e.denied_evictions == 2);
  e.ticks(300);
  CHECK(low_scores().value0 == 0);
  CHECK(e.find(0, 40) == nullptr);
  CHECK(e.denied_promotions == 1);
  CHECK(e.denied_evictions == 4);
  // Under pressure its slots are not looked at.
  REQUIRE(e.run(promote(0, 100, 9)).status == kOk);
  CHECK(e.run(promote(0, 101, 9)).status == kNoSlot);
  e.ticks(500);
  CHECK(e.evictions == 1);
  // In the third step it has ended.
  CHECK(low_scores().value0 >> 16 == 2);
  const auto q = e.run({.op = kPlan, .flags = kPlanQuery, .owner = 0});
  CHECK((q.value1 & 0xffff) == e.denied_promotions);
  CHECK((q.value1 >> 16 & 0xffff) == 4);
}

TEST_CASE("The envelope limits what scores and pressure may change in a step, and counts the rest",
          "[residency][plan]") {
  SmallEnv e;
  usual(e, 8);
  REQUIRE(hand_over(e, 0, {}, plan_begin(0, 2, 1)).status == kOk);
  // A prefill places two of five.
  e.scores = {{3, 9 * kOne}, {4, 8 * kOne}, {5, 7 * kOne}, {6, 6 * kOne}, {7, 5 * kOne}};
  e.batch = 0;
  CHECK(e.run(simple(kStepEnd, 0, 1)).value0 == 2);
  CHECK(e.find(0, 3) != nullptr);
  CHECK(e.find(0, 4) != nullptr);
  CHECK(e.denied_promotions == 3);
  // A command is none of it, and takes the rest.
  for (uint32_t i = 0; i < 6; ++i) REQUIRE(e.run(promote(0, 100 + i, 0)).status == kOk);
  REQUIRE(e.run(simple(kWait, 0)).status == kOk);
  // One eviction under pressure a step.
  for (uint32_t i = 0; i < 3; ++i) {
    CHECK(e.run(promote(0, 120 + i, 0)).status == kNoSlot);
    e.ticks(600);
    if (e.used_all() < 8) REQUIRE(e.run(promote(0, 130 + i, 0)).status == kOk);
    REQUIRE(e.run(simple(kWait, 0)).op == kWait);
  }
  CHECK(e.evictions == 1);
  CHECK(e.denied_evictions == 2);
  REQUIRE(step_end(e).status == kOk);
  CHECK(e.run(promote(0, 140, 0)).status == kNoSlot);
  e.ticks(600);
  CHECK(e.evictions == 2);
  const auto q = e.run({.op = kPlan, .flags = kPlanQuery, .owner = 0});
  CHECK((q.value1 & 0xffff) == 3);
  CHECK((q.value1 >> 16 & 0xffff) == 2);

  // Slots from which on scores promote no more.
  SmallEnv f;
  usual(f, 8);
  REQUIRE(hand_over(f, 0, {}, plan_begin(0, 255, 255, 3)).status == kOk);
  f.scores = e.scores = {{3, 9 * kOne}, {4, 8 * kOne}, {5, 7 * kOne}, {6, 6 * kOne}, {7, 5 * kOne}};
  f.batch = 0;
  CHECK(f.run(simple(kStepEnd, 0, 1)).value0 == 3);
  CHECK(f.denied_promotions == 2);
}

TEST_CASE("One token's promotion is waited for by itself", "[residency]") {
  SmallEnv e;
  usual(e);
  e.dma_hold = true;
  REQUIRE(e.run(promote(0, 3, 1)).status == kOk);
  REQUIRE(e.run(promote(0, 4, 1)).status == kOk);
  const Cmd wait3{.op = kWait, .flags = 2, .owner = 0, .first = 3},
      wait4{.op = kWait, .flags = 2, .owner = 0, .first = 4};
  CHECK(e.run({.op = kWait, .flags = 2, .owner = 0, .first = 5}).status == kNotResident);
  CHECK(e.run({.op = kWait, .flags = 3, .owner = 0, .first = 5}).status == kBadCommand);
  CHECK(e.run({.op = kWait, .flags = 2, .owner = 0, .first = e.positions}).status == kBadRange);
  const auto a = e.send(wait3), b = e.send(wait4);
  e.ticks(200);
  CHECK(!e.result(a).has_value());
  REQUIRE(e.run(range(kAbort, 0, 4, 1)).status == kOk);
  const auto aborted = e.wait(b);
  CHECK(aborted.status == kAborted);
  CHECK(aborted.value0 == 1);
  e.ticks(200);
  CHECK(!e.result(a).has_value());
  e.dma_hold = false;
  const auto filled = e.wait(a);
  CHECK(filled.status == kOk);
  CHECK(filled.value0 == 0);
  CHECK(e.run(wait3).status == kOk);  // at once
  CHECK(e.run(wait4).status == kNotResident);
}

// SPDX-License-Identifier: Apache-2.0
// residency_ctrl: each command, refusal and contract by itself, then everything at once.
#include <VResidency_default.h>
#include <VResidency_small.h>

#include <cmath>

#include "support/catch.hpp"
#include "tb/residency/residency_env.hpp"
#include "tests/residency/storm.hpp"

namespace {

using namespace kvsink::tb::residency;  // NOLINT: the names of this bench, in its test
using kvsink::tb::seed_from_env;
using SmallEnv = Env<VResidency_small>;
using DefaultEnv = Env<VResidency_default>;

/// Profile 0 with slots 0 to `count`-1, owner 0 valid.
template <class E>
void usual(E& e, uint32_t count = 8, const OwnerArgs& args = {}) {
  REQUIRE(e.run(set_profile(0, {.slot_count = count})).status == kOk);
  REQUIRE(e.run(set_owner(0, args)).status == kOk);
  REQUIRE(e.record() == Record{kEvOwner, kOk, 0, args.committed, 0, 0});
}

template <class E>
void fill_one(E& e, uint32_t owner, uint32_t position, uint32_t dwell) {
  REQUIRE(e.run(promote(owner, position, dwell)).status == kOk);
  REQUIRE(e.run(simple(kWait, owner)).status == kOk);
}

template <class E>
void drop_records(E& e) {
  e.ticks(200);
  e.records.clear();
}

}  // namespace

TEST_CASE("A promotion is answered with slot and entry, filled, and recorded from grant to leave", "[residency]") {
  SmallEnv e;
  usual(e);
  const auto d = e.run(promote(0, 37, 5, 0, 123456));
  CHECK(d.status == kOk);
  CHECK(d.value0 == 0);
  CHECK(d.value1 == 0);
  const auto w = e.run(simple(kWait, 0));
  CHECK(w.status == kOk);
  CHECK(w.value0 == 1);
  CHECK(e.record() == Record{kEvGrant, kOk, 0, 37, 0, 0});
  CHECK(e.record() == Record{kEvResident, kOk, 0, 37, SmallEnv::word_of(0, 37), 0});
  REQUIRE(e.descs.size() == 1);
  CHECK(e.descs[0].base == 0);
  CHECK(e.descs[0].deadline == 123456);
  CHECK(e.slot[0].state == Slot::kResident);

  const auto l = e.run(range(kLetGo, 0, 0, 64));
  CHECK(l.status == kOk);
  CHECK(l.value0 == 1);
  CHECK(e.record() == Record{kEvLeave, kCommand, 0, 37, SmallEnv::word_of(0, 37), 0});
  e.settle_down();
  CHECK(e.frees == std::deque<uint32_t>{0});
  CHECK(e.ports().slots_used_o == 0);
}

TEST_CASE("The sizes of a profile follow from its masks and the layout", "[residency]") {
  SmallEnv e;
  e.row_beats = 4;
  REQUIRE(e.run(set_profile(1, {.layer_first = 2,
                                .layer_count = 3,
                                .heads = 0b1011,
                                .planes = 0x83,
                                .slot_first = 8,
                                .slot_count = 5,
                                .sram_base = 64}))
              .status == kOk);
  e.ports().prof_number_i = 1;
  e.tick();
  CHECK(e.ports().prof_valid_o == 1);
  CHECK(e.ports().prof_head_beats_o == 12);
  CHECK(e.ports().prof_layer_beats_o == 36);
  CHECK(e.ports().prof_slot_beats_o == 108);
  CHECK(e.ports().prof_plane7_o == 8);

  REQUIRE(e.run(set_owner(2, {.profile = 1})).status == kOk);
  const auto d = e.run(promote(2, 3, 0, 1));
  CHECK(d.value0 == 8);
  REQUIRE(e.run(promote(2, 5, 0, 1)).value0 == 9);
  REQUIRE(e.run(simple(kWait, 2)).value0 == 2);
  REQUIRE(e.descs.size() == 2);
  CHECK(e.descs[0].base == 64);
  CHECK(e.descs[1].base == 64 + 108);
}

TEST_CASE("A profile that does not fit, overlaps or is in use is refused", "[residency]") {
  SmallEnv e;
  const ProfileArgs good{.slot_count = 4};
  REQUIRE(e.run(set_profile(0, good)).status == kOk);
  CHECK(e.run(set_profile(2, good)).status == kBadProfile);
  CHECK(e.run(set_profile(1, {.slot_first = 3, .sram_base = 1000})).status == kBadProfile);  // rows overlap
  CHECK(e.run(set_profile(1, {.slot_first = 8, .sram_base = 63})).status == kBadProfile);  // SRAM overlaps: 4*16 beats
  CHECK(e.run(set_profile(1, {.slot_first = 8, .sram_base = 4095 - 126})).status == kBadProfile);  // beyond the SRAM
  CHECK(e.run(set_profile(1, {.slot_first = 30, .slot_count = 3, .sram_base = 64})).status == kBadProfile);
  CHECK(e.run(set_profile(1, {.layer_first = 7, .slot_first = 8, .sram_base = 64})).status == kBadProfile);
  CHECK(e.run(set_profile(1, {.layer_count = 0, .slot_first = 8, .sram_base = 64})).status == kBadProfile);
  CHECK(e.run(set_profile(1, {.heads = 0, .slot_first = 8, .sram_base = 64})).status == kBadProfile);
  CHECK(e.run(set_profile(1, {.heads = 0x10, .slot_first = 8, .sram_base = 64})).status == kBadProfile);
  CHECK(e.run(set_profile(1, {.planes = 0, .slot_first = 8, .sram_base = 64})).status == kBadProfile);
  CHECK(e.run(set_profile(1, {.planes = 4, .slot_first = 8, .sram_base = 64})).status == kBadProfile);
  CHECK(e.run(set_profile(1, {.slot_first = 8, .slot_count = 0, .sram_base = 64})).status == kBadProfile);
  CHECK(e.run(set_profile(1, {.slot_first = 4, .slot_count = 4, .sram_base = 64})).status == kOk);
  REQUIRE(e.run(set_owner(0, {})).status == kOk);
  REQUIRE(e.run(promote(0, 1, 0)).status == kOk);
  CHECK(e.run(set_profile(0, good)).status == kBusy);
  REQUIRE(e.run(range(kRetire, 0, 0, 64)).status == kOk);
  e.settle_down();
  CHECK(e.run(set_profile(0, good)).status == kOk);
  CHECK(e.run({.op = kSetProfile, .profile = 0}).status == kOk);
  CHECK(e.run(promote(0, 1, 0)).status == kBadProfile);
}

TEST_CASE("A promotion is refused with the first reason that holds", "[residency]") {
  SmallEnv e;
  usual(e, 4, {.length = 200, .committed = 100, .slot_max = 3});
  CHECK(e.run(promote(7, 0, 0)).status == kBadOwner);
  CHECK(e.run(promote(1, 0, 0)).status == kBadOwner);
  CHECK(e.run(promote(0, 100, 0)).status == kBadRange);
  CHECK(e.run(promote(0, 512 + 5, 0)).status == kBadRange);
  CHECK(e.run(promote(0, 99, 0, 1)).status == kBadProfile);
  CHECK(e.run(promote(0, 99, 0, 300)).status == kBadProfile);
  CHECK(e.run({.op = kPlan, .flags = kPlanDrop}).status == kNoPlan);
  CHECK(e.run({.op = 0x55}).status == kBadCommand);
  for (uint32_t i = 0; i < 3; ++i) CHECK(e.run(promote(0, i, kPinned)).status == kOk);
  CHECK(e.run(promote(0, 3, 0)).status == kBudget);  // its maximum
  REQUIRE(e.run(set_owner(1, {})).status == kOk);
  CHECK(e.run(promote(1, 0, kPinned)).status == kOk);
  CHECK(e.run(promote(1, 1, 0)).status == kNoSlot);  // the region has 4
  e.budget = 4;
  CHECK(e.run(promote(1, 1, 0)).status == kBudget);  // everyone's comes before the region
  e.budget = 0xffff;
  e.log_drains = false;
  e.log_capacity = e.log_held + 9;
  e.ticks(20);
  CHECK(e.run(promote(1, 1, 0)).status == kLogFull);
  CHECK(e.run(promote(1, 0, 0)).status == kAlready);  // a full log does not hide that it is there
}

TEST_CASE("A token whose row is shared is promoted only when all that share it are committed", "[residency]") {
  SmallEnv e;
  e.share_log2 = 3;
  REQUIRE(e.run(set_profile(0, {.planes = 0x81})).status == kOk);
  REQUIRE(e.run(set_profile(1, {.planes = 0x01, .slot_first = 8, .sram_base = 2048})).status == kOk);
  REQUIRE(e.run(set_owner(0, {.committed = 70})).status == kOk);
  CHECK(e.run(promote(0, 64, 0, 0)).status == kBadRange);
  CHECK(e.run(promote(0, 63, 0, 0)).status == kOk);
  CHECK(e.run(promote(0, 69, 0, 1)).status == kOk);  // a profile without the shared plane
  CHECK(e.run({.op = kSetLength, .owner = 0, .first = 100, .count = 72}).status == kOk);
  CHECK(e.run(promote(0, 64, 0, 0)).status == kOk);
}

TEST_CASE("Promoting again strengthens the contract and never weakens it", "[residency]") {
  SmallEnv e;
  usual(e);
  REQUIRE(e.run(set_profile(1, {.layer_count = 3, .slot_first = 8, .slot_count = 2, .sram_base = 1024})).status == kOk);
  fill_one(e, 0, 10, 2);
  const auto again = e.run(promote(0, 10, 4));
  CHECK(again.status == kAlready);
  CHECK(again.value0 == 0);
  CHECK(e.run(promote(0, 10, 1)).status == kAlready);
  CHECK(e.run(promote(0, 10, 9, 1)).status == kBadProfile);  // more layers than its slot holds
  // The contract is 4: after 4 steps, and not before, pressure takes the slot.
  REQUIRE(e.run(set_owner(0, {})).status == kBusy);
  for (uint32_t i = 0; i < 7; ++i) REQUIRE(e.run(promote(0, 20 + i, kPinned)).status == kOk);
  REQUIRE(e.run(simple(kWait, 0)).status == kOk);
  for (unsigned step = 0; step < 4; ++step) {
    CHECK(e.run(promote(0, 99, 0)).status == kNoSlot);
    e.ticks(200);
    CHECK(e.slot[0].state == Slot::kResident);
    REQUIRE(e.run(simple(kStepEnd, 0)).status == kOk);
  }
  CHECK(e.run(promote(0, 99, 0)).status == kNoSlot);
  e.ticks(300);
  CHECK(e.find(0, 10) == nullptr);
  CHECK(e.evictions == 1);
  CHECK(e.run(promote(0, 99, 0)).value0 == 0);
  e.ticks(300);
  for (uint32_t i = 0; i < 7; ++i) CHECK(e.find(0, 20 + i) != nullptr);
}

TEST_CASE("Under pressure the owner's own best-effort slot of lowest E leaves, and nobody else's", "[residency]") {
  SmallEnv e;
  usual(e, 6);
  REQUIRE(e.run(set_owner(1, {})).status == kOk);
  // Prefill placement gives each slot an E of its own.
  e.n_dwell = 0;
  e.scores = {{3, 9 * kOne}, {17, 5 * kOne}, {40, 7 * kOne}};
  e.batch = 0;
  REQUIRE(e.run(simple(kStepEnd, 0, 1)).value0 == 3);
  e.scores = {{5, 4 * kOne}, {6, 6 * kOne}};
  e.batch = 1;
  REQUIRE(e.run(simple(kStepEnd, 1, 1)).value0 == 2);
  REQUIRE(e.run(promote(0, 50, 3)).status == kOk);
  REQUIRE(e.run(simple(kWait, 0, 1)).status == kOk);
  drop_records(e);
  CHECK(e.run(promote(0, 60, 0)).status == kNoSlot);
  const auto r = e.record();
  CHECK(r.kind == kEvLeave);
  CHECK(r.cause == kEvicted);
  CHECK(r.owner == 0);
  CHECK(r.position == 17);
  e.settle_down();
  CHECK(e.run(promote(1, 70, 0)).status == kOk);
  CHECK(e.find(1, 5) != nullptr);
}

TEST_CASE("A guaranteed minimum is kept free of slots, entries and budget for its owner", "[residency]") {
  SmallEnv e;
  e.budget = 8;
  REQUIRE(e.run(set_profile(0, {.slot_count = 10})).status == kOk);
  REQUIRE(e.run(set_owner(0, {.slot_min = 3})).status == kOk);
  REQUIRE(e.run(set_owner(1, {})).status == kOk);
  CHECK(e.run(set_owner(2, {.slot_min = 6})).status == kBudget);  // 3 + 6 > SRAM_budget
  CHECK(e.run(set_owner(2, {.slot_min = 2, .slot_max = 1})).status == kBadCommand);
  for (uint32_t i = 0; i < 5; ++i) CHECK(e.run(promote(1, 16 * i, 0)).status == kOk);
  CHECK(e.run(promote(1, 200, 0)).status == kBudget);
  for (uint32_t i = 0; i < 3; ++i) CHECK(e.run(promote(0, 16 * i, kPinned)).status == kOk);
  CHECK(e.run(promote(0, 100, 0)).status == kBudget);
  CHECK(e.run(set_profile(0, {})).status == kBusy);
  // Entries: 16 in all. Fill 12 of them, so that 4 are left and 3 of these are owner 2's.
  SmallEnv f;
  REQUIRE(f.run(set_profile(0, {.slot_count = 32})).status == kOk);
  REQUIRE(f.run(set_owner(2, {.slot_min = 3})).status == kOk);
  REQUIRE(f.run(set_owner(1, {})).status == kOk);
  for (uint32_t i = 0; i < 13; ++i) CHECK(f.run(promote(1, 16 * i, kPinned)).status == kOk);
  CHECK(f.run(promote(1, 250, 0)).status == kNoEntry);
  for (uint32_t i = 0; i < 3; ++i) CHECK(f.run(promote(2, 16 * i, 0)).status == kOk);
  // Its reserve comes back when its slots are freed.
  REQUIRE(f.run(range(kRetire, 2, 0, 256)).value0 == 3);
  f.settle_down();
  CHECK(f.run(promote(1, 251, 0)).status == kNoEntry);
  for (uint32_t i = 0; i < 3; ++i) CHECK(f.run(promote(2, 16 * i, 0)).status == kOk);
}

TEST_CASE("Best-effort, timed and pinned contracts leave by let_go alone, abort takes fills only", "[residency]") {
  SmallEnv e;
  usual(e);
  fill_one(e, 0, 1, kPinned);
  fill_one(e, 0, 2, 4);
  e.dma_hold = true;
  REQUIRE(e.run(promote(0, 3, kPinned)).status == kOk);
  e.ticks(60);  // its descriptor is at the DMA
  drop_records(e);
  CHECK(e.run(range(kAbort, 0, 0, 3)).status == kNotResident);
  const auto a = e.run(range(kAbort, 0, 0, 256));
  CHECK(a.status == kOk);
  CHECK(a.value0 == 1);
  CHECK(e.record() == Record{kEvFailed, kAborted, 0, 3, SmallEnv::word_of(0, 3), 2});
  CHECK(e.run(simple(kWait, 0)).status == kAborted);
  e.ticks(50);
  CHECK(e.aborts == 1);
  CHECK(e.run(range(kLetGo, 0, 0, 256)).value0 == 2);
  CHECK(e.record().cause == kCommand);
  CHECK(e.record().cause == kCommand);
  CHECK(e.run(range(kLetGo, 0, 0, 256)).status == kNotResident);
  CHECK(e.run(range(kLetGo, 0, 0, 0)).status == kBadRange);
  CHECK(e.run(range(kLetGo, 0, 500, 13)).status == kBadRange);
  CHECK(e.run(range(kLetGo, 3, 0, 1)).status == kBadOwner);
}

TEST_CASE("retire drops fills, residents and what waits for its translation, and nothing granted after it",
          "[residency]") {
  SmallEnv e;
  usual(e, 16);
  REQUIRE(e.run(set_owner(1, {})).status == kOk);
  fill_one(e, 0, 4, kPinned);
  fill_one(e, 1, 4, kPinned);
  e.dma_hold = true;
  for (uint32_t i = 0; i < 6; ++i) REQUIRE(e.run(promote(0, 20 + i, 1)).status == kOk);
  e.send(promote(0, 30, 0, 0, 0, e.now() + 5000));  // waits for its not-before
  const auto retire = e.send(range(kRetire, 0, 0, 256));
  const auto late = e.send(promote(0, 4, 2));  // while the sweep runs
  CHECK(e.wait(late).status == kOk);
  const auto d = e.wait(retire);
  CHECK(d.status == kOk);
  CHECK(d.value0 == 8);
  REQUIRE(e.retires.size() == 1);
  CHECK(e.retires[0].owner == 0);
  CHECK(e.retires[0].last == 255);
  CHECK(e.keep_ends == std::deque<uint32_t>{0});
  CHECK(e.fences == 1);
  e.dma_hold = false;
  CHECK(e.run(simple(kWait, 0)).status == kAborted);
  CHECK(e.find(1, 4) != nullptr);
  REQUIRE(e.find(0, 4) != nullptr);
  CHECK(e.find(0, 4)->state == Slot::kResident);
  e.settle_down();
  CHECK(e.used_all() == 2);
  const auto all = e.run(simple(kRetire, 9, 1));
  CHECK(all.status == kOk);
  CHECK(all.value0 == 2);
  e.settle_down();
  CHECK(e.used_all() == 0);
  CHECK(e.run(simple(kRetire, 9)).status == kBadOwner);
  // What follows a retire of everything is of its own owner again.
  e.keep_ends.clear();
  CHECK(e.run(simple(kStepEnd, 1, 2)).status == kOk);
  CHECK(e.keep_ends == std::deque<uint32_t>{1});
}

TEST_CASE("A sweep takes what was granted before it, whatever commands came between", "[residency]") {
  SmallEnv e;
  usual(e);
  for (const bool prefill : {true, false, true, true}) {
    fill_one(e, 0, 4, kPinned);
    REQUIRE(e.run(simple(kStepEnd, 0, prefill ? 1 : 2)).status == kOk);
    CHECK(e.run(range(kRetire, 0, 0, 256)).value0 == 1);
    e.settle_down();
    CHECK(e.ports().slots_used_o == 0);
  }
}

TEST_CASE("A grant leaves room in the log for the ends of all fills under way", "[residency]") {
  SmallEnv e;
  usual(e);
  drop_records(e);
  e.log_drains = false;
  e.dma_hold = true;
  e.log_capacity = e.log_held + 12;  // a margin of 8, and 2 for each grant
  CHECK(e.run(promote(0, 1, 0)).status == kOk);
  e.ticks(30);
  CHECK(e.run(promote(0, 2, 0)).status == kOk);
  e.ticks(30);
  CHECK(e.run(promote(0, 3, 0)).status == kLogFull);
  CHECK(e.run(simple(kOpen, 0)).status == kLogFull);
  CHECK(e.run(set_owner(1, {})).status == kLogFull);
  CHECK(e.run(range(kRetire, 0, 0, 64)).value0 == 2);
  e.settle_down();
  CHECK(e.log_held <= e.log_capacity - 8);
}

TEST_CASE("Contracts tick once a step, pinned ones never, and not after they were strengthened in that step",
          "[residency]") {
  SmallEnv e;
  REQUIRE(e.run(set_profile(0, {.slot_count = 32})).status == kOk);
  REQUIRE(e.run(set_owner(0, {})).status == kOk);
  for (uint32_t i = 0; i < 16; ++i) REQUIRE(e.run(promote(0, i, i == 3 ? kPinned : 6)).status == kOk);
  for (unsigned round = 0; round < 40; ++round) {
    const auto step = e.send(simple(kStepEnd, 0, 2));
    e.ticks(e.rng.below(30));
    const auto at = static_cast<uint32_t>(e.rng.below(16));
    CHECK(e.run(promote(0, at, static_cast<uint32_t>(e.rng.below(9)))).status == kAlready);
    CHECK(e.run(promote(0, 15 - at, 5)).status == kAlready);
    e.wait(step);
    e.check_contracts();
  }
}

TEST_CASE("retire is done without the log and without readers, and frees nothing before them", "[residency]") {
  SmallEnv e;
  usual(e);
  fill_one(e, 0, 4, kPinned);
  drop_records(e);
  e.list_serial = 0xffffffff;
  e.lists[1] = {true, 0, {}, e.list_serial - 2};
  e.lists[2] = {true, 1, {}, e.list_serial - 3};  // of nobody concerned
  e.log_drains = false;
  e.log_capacity = e.log_held;
  e.fence_cycles = 300;
  CHECK(e.run(range(kRetire, 0, 0, 64)).status == kOk);
  e.ticks(500);
  CHECK(e.frees.empty());
  CHECK(e.ports().slots_used_o == 1);
  e.list_serial = 3;
  e.lists[3] = {true, 0, {}, 1};  // opened after the slot left: no matter
  e.log_capacity += 10;
  e.ticks(500);
  CHECK(e.frees.empty());
  e.lists[1].open = false;
  e.ticks(100);
  CHECK(e.frees.size() == 1);
}

TEST_CASE("Translations that fail end the promotion with their status", "[residency]") {
  SmallEnv e;
  usual(e);
  e.walk_fault[{0, 5}] = kUnmapped;
  e.walk_fault[{0, 6}] = kBusError;
  e.uncommitted.insert({0, 7});
  drop_records(e);
  CHECK(e.run(promote(0, 5, 1)).status == kOk);
  CHECK(e.record().kind == kEvGrant);
  CHECK(e.record() == Record{kEvFailed, kUnmapped, 0, 5, 0, 0});
  CHECK(e.run(simple(kWait, 0)).status == kUnmapped);
  CHECK(e.run(simple(kWait, 0)).status == kOk);  // since the last wait: nothing
  CHECK(e.run(promote(0, 6, 1)).status == kOk);
  CHECK(e.run(promote(0, 7, 1)).status == kOk);
  const auto w = e.run(simple(kWait, 0));
  CHECK(w.status == kBusError);  // of equals the first
  CHECK(w.value0 == 2);
  e.settle_down();
  CHECK(e.used_all() == 0);
}

TEST_CASE("A DMA error ends the promotion, a missed deadline is reported and counts as resident", "[residency]") {
  SmallEnv e;
  usual(e);
  drop_records(e);
  e.dma_status = kDeadline;
  REQUIRE(e.run(promote(0, 5, 1, 0, 10)).status == kOk);
  CHECK(e.run(simple(kWait, 0)).status == kDeadline);
  CHECK(e.record().kind == kEvGrant);
  CHECK(e.record() == Record{kEvResident, kDeadline, 0, 5, SmallEnv::word_of(0, 5), 0});
  e.dma_status = kTimeout;
  REQUIRE(e.run(promote(0, 6, 1)).status == kOk);
  CHECK(e.run(simple(kWait, 0, 1)).status == kTimeout);
  CHECK(e.run(simple(kWait, 0)).status == kTimeout);  // counted apart from those of all owners
  CHECK(e.record().kind == kEvGrant);
  CHECK(e.record() == Record{kEvFailed, kTimeout, 0, 6, SmallEnv::word_of(0, 6), 1});
  e.settle_down();
  CHECK(e.used_all() == 1);
}

TEST_CASE("not-before holds a promotion back without holding up others", "[residency]") {
  SmallEnv e;
  usual(e);
  const uint64_t start = e.now() + 600;
  REQUIRE(e.run(promote(0, 5, 1, 0, 0, start)).status == kOk);
  REQUIRE(e.run(promote(0, 6, 1)).status == kOk);
  e.ticks(200);
  REQUIRE(e.descs.size() == 1);
  CHECK(e.descs[0].position == 6);
  e.run(simple(kWait, 0));
  CHECK(e.now() >= start);
  CHECK(e.descs.size() == 2);
}

TEST_CASE("Dwell ticks with the owner's steps and with those of owners that name it", "[residency]") {
  SmallEnv e;
  usual(e, 8, {.is_public = true});
  REQUIRE(e.run(set_owner(1, {.prefix_owner = 0, .prefix_len = 64})).status == kOk);
  REQUIRE(e.run(set_owner(2, {})).status == kOk);
  const auto d = e.run(promote(1, 10, 2));  // of the prefix: owner 0's slot
  REQUIRE(d.status == kOk);
  CHECK(e.run(promote(0, 10, 1)).status == kAlready);
  REQUIRE(e.run(promote(1, 70, 2)).status == kOk);
  CHECK(e.slot[0].owner == 0);
  CHECK(e.slot[1].owner == 1);
  REQUIRE(e.run(simple(kStepEnd, 2)).status == kOk);
  REQUIRE(e.run(simple(kStepEnd, 1)).status == kOk);
  REQUIRE(e.run(simple(kOpen, 0)).status == kOk);
  REQUIRE(e.run(simple(kStepEnd, 1)).status == kOk);  // owner 0 is frozen: its slot does not tick
  CHECK(e.run(simple(kStepEnd, 0)).status == kWindow);
  REQUIRE(e.run(range(kCommit, 0, 0, 0)).status == kOk);
  CHECK(e.slot[0].dwell == 1);
  CHECK(e.slot[1].dwell == 0);
  // Slot 0 has one step left: pressure on owner 0 finds nothing (and it is referenced), on owner 1 it finds slot 1.
  e.budget = 2;
  REQUIRE(e.run(simple(kWait, 0, 1)).status == kOk);
  CHECK(e.run(promote(0, 99, 0)).status == kBudget);
  e.ticks(300);
  CHECK(e.find(0, 10) != nullptr);
  CHECK(e.run(promote(1, 99, 0)).status == kBudget);
  e.ticks(300);
  CHECK(e.find(1, 70) == nullptr);
}

TEST_CASE("A prefix is counted, checked for its tenant, and best effort when nobody names it", "[residency]") {
  DefaultEnv e;
  REQUIRE(e.run(set_profile(0, {.slot_count = 8})).status == kOk);
  REQUIRE(e.run(set_owner(9, {.committed = 128, .tenant = 7})).status == kOk);
  CHECK(e.run(set_owner(1, {.tenant = 8, .prefix_owner = 9, .prefix_len = 64})).status == kTenant);
  CHECK(e.run(set_owner(1, {.tenant = 7, .prefix_owner = 9, .prefix_len = 60})).status == kBadRange);
  CHECK(e.run(set_owner(1, {.tenant = 7, .prefix_owner = 9, .prefix_len = 144})).status == kBadRange);
  CHECK(e.run(set_owner(1, {.tenant = 7, .prefix_owner = 1, .prefix_len = 64})).status == kBadOwner);
  CHECK(e.run(set_owner(1, {.tenant = 7, .prefix_owner = 2, .prefix_len = 64})).status == kBadOwner);
  CHECK(e.run(set_owner(1, {.tenant = 7, .prefix_owner = 9, .prefix_len = 64})).status == kOk);
  CHECK(e.run(set_owner(2, {.tenant = 7, .prefix_owner = 1, .prefix_len = 16})).status == kBadOwner);  // a chain
  for (uint32_t o = 10; o < 40; ++o) {
    REQUIRE(e.run(set_owner(o, {.tenant = 7, .prefix_owner = 9, .prefix_len = 64})).status == kOk);
  }
  REQUIRE(e.run(promote(20, 3, kPinned)).status == kOk);
  REQUIRE(e.run(simple(kWait, 9)).value0 == 1);
  CHECK(e.run(promote(30, 3, kPinned)).status == kAlready);
  CHECK(e.run(simple(kSetOwner, 9)).status == kBusy);
  CHECK(e.run(range(kLetGo, 9, 0, 64)).status == kBusy);
  CHECK(e.run(range(kLetGo, 20, 0, 64)).status == kNotResident);  // it has no row of its own there
  REQUIRE(e.run(simple(kSetOwner, 1)).status == kOk);
  for (uint32_t o = 10; o < 39; ++o) REQUIRE(e.run(simple(kSetOwner, o)).status == kOk);
  CHECK(e.run(simple(kSetOwner, 9)).status == kBusy);
  CHECK(e.slot[0].dwell == kPinned);
  REQUIRE(e.run(set_owner(39, {.tenant = 7})).status == kOk);  // set again, without the prefix
  CHECK(e.slot[0].dwell == 0);
  // Best effort now: pressure takes it.
  e.budget = 1;
  CHECK(e.run(promote(9, 100, 0)).status == kBudget);
  e.ticks(600);
  CHECK(e.find(9, 3) == nullptr);
  CHECK(e.run(simple(kSetOwner, 9)).status == kOk);
}

TEST_CASE("An owner's reset retires it, flushes its scores and clears its context", "[residency]") {
  SmallEnv e;
  usual(e, 8, {.length = 300, .committed = 200});
  e.ports().ctx_owner_i = 0;
  e.tick();
  CHECK(e.ports().ctx_valid_o == 1);
  CHECK(e.ports().ctx_length_o == 300);
  CHECK(e.ports().ctx_committed_o == 200);
  CHECK(e.ports().ctx_table_o == 0x10000);
  fill_one(e, 0, 4, kPinned);
  e.batch = 0;
  drop_records(e);
  CHECK(e.run(set_owner(0, {})).status == kBusy);  // it has slots
  const auto d = e.run(simple(kSetOwner, 0));
  CHECK(d.status == kOk);
  CHECK(d.value0 == 1);
  CHECK(e.record() == Record{kEvOwner, kRetired, 0, 0, 0, 0});
  CHECK(e.record().cause == kRetired);
  CHECK(e.flushes == std::deque<uint32_t>{0});
  CHECK(e.ports().ctx_valid_o == 0);
  CHECK(e.run(simple(kSetOwner, 0)).status == kBadOwner);
  CHECK(e.run(promote(0, 4, 0)).status == kBadOwner);
  // A slot of the earlier life that a reader holds stays charged, and does not hinder a new one.
  REQUIRE(e.run(set_owner(0, {.slot_max = 1})).status == kOk);
  fill_one(e, 0, 4, 0);
  e.lists[0] = {true, 0, {}, e.list_serial++};
  REQUIRE(e.run(simple(kSetOwner, 0)).status == kOk);
  REQUIRE(e.run(set_owner(0, {.slot_max = 1})).status == kOk);
  CHECK(e.run(promote(0, 5, 0)).status == kBudget);
  e.lists[0].open = false;
  e.ticks(50);
  CHECK(e.run(promote(0, 5, 0)).status == kOk);
}

TEST_CASE("Bad owner contexts are refused and change nothing", "[residency]") {
  SmallEnv e;
  REQUIRE(e.run(set_profile(0, {})).status == kOk);
  CHECK(e.run(set_owner(4, {})).status == kBadOwner);
  CHECK(e.run(set_owner(0, {.length = 100, .committed = 101})).status == kBadRange);
  CHECK(e.run(set_owner(0, {.length = 513})).status == kBadRange);
  CHECK(e.run(set_owner(0, {.profile = 2})).status == kBadProfile);
  CHECK(e.run(set_owner(0, {.profile = 1, .slot_min = 1})).status == kBadProfile);
  CHECK(e.run(set_owner(0, {.slot_max = 33})).status == kBadCommand);
  CHECK(e.run(promote(0, 0, 0)).status == kBadOwner);
  CHECK(e.run(set_owner(0, {.profile = 1})).status == kOk);
  CHECK(e.run({.op = kSetLength, .owner = 0, .first = 400, .count = 255}).status == kBadRange);
  CHECK(e.run({.op = kSetLength, .owner = 0, .first = 513, .count = 256}).status == kBadRange);
  CHECK(e.run({.op = kSetLength, .owner = 0, .first = 512, .count = 512}).status == kOk);
  CHECK(e.ports().ctx_length_o == 512);
  CHECK(e.ports().ctx_table_o == 0x10000);
}

TEST_CASE("A window freezes promotions, evictions and steps; the outermost commit raises the committed length",
          "[residency]") {
  SmallEnv e;
  usual(e, 8, {.length = 120, .committed = 100});
  e.ports().ctx_owner_i = 0;
  fill_one(e, 0, 4, 1);
  drop_records(e);
  CHECK(e.run(range(kCommit, 0, 0, 0)).status == kWindow);
  CHECK(e.run(simple(kOpen, 0)).status == kOk);
  CHECK(e.record() == Record{kEvWindow, kWindow, 0, 100, 0, 0});
  CHECK(e.run(simple(kOpen, 0)).status == kOk);
  CHECK(e.run(simple(kOpen, 0)).status == kWindow);
  CHECK(e.run(promote(0, 5, 0)).status == kWindow);
  CHECK(e.run(promote(0, 4, 9)).status == kWindow);
  CHECK(e.run(range(kLetGo, 0, 0, 64)).status == kWindow);
  CHECK(e.run(simple(kStepEnd, 0)).status == kWindow);
  CHECK(e.run({.op = kSetLength, .owner = 0, .first = 124, .count = 100}).status == kOk);
  CHECK(e.run({.op = kSetLength, .owner = 0, .first = 124, .count = 101}).status == kWindow);
  CHECK(e.run(range(kCommit, 0, 0, 50)).status == kOk);  // inner: only counts
  CHECK(e.run(promote(0, 5, 0)).status == kWindow);
  CHECK(e.run(range(kCommit, 0, 0, 25)).status == kBadRange);
  CHECK(e.run(range(kCommit, 0, 0, 24)).status == kOk);
  CHECK(e.record() == Record{kEvWindow, kOk, 0, 24, 0, 0});
  e.tick();
  CHECK(e.ports().ctx_committed_o == 124);
  CHECK(e.run(promote(0, 123, 0)).status == kOk);
  REQUIRE(e.run(simple(kOpen, 0)).status == kOk);
  CHECK(e.run(range(kRetire, 0, 0, 256)).value0 == 2);  // retire acts inside a window
  REQUIRE(e.run(range(kCommit, 0, 0, 0)).status == kOk);
  e.ticks(100);
  CHECK(e.records.back() == Record{kEvWindow, kAborted, 0, 0, 0, 0});
}

TEST_CASE("Prefill places the strongest tokens up to the budget, pinned from t_pin on", "[residency]") {
  SmallEnv e;
  usual(e, 8, {.slot_max = 3});
  e.scores = {{0, 20 * kOne}, {7, 4 * kOne}, {30, 6 * kOne}, {31, 6 * kOne}, {90, 2 * kOne}};
  e.batch = 0;
  e.t_pin = 10 * kOne;
  const auto d = e.run(simple(kStepEnd, 0, 1));
  CHECK(d.status == kOk);
  CHECK(d.value0 == 3);
  CHECK(d.value1 == 1);
  CHECK(e.last_top_count == 3);
  CHECK(e.installs == std::deque<std::pair<uint32_t, uint32_t>>{{0, 0}, {1, 30}, {2, 31}});
  CHECK(e.free_batches == 1);
  REQUIRE(e.run(simple(kWait, 0)).value0 == 3);
  // Pinned stays for ever; the others leave under pressure after n_dwell steps.
  for (unsigned i = 0; i < 3; ++i) REQUIRE(e.run(simple(kStepEnd, 0)).status == kOk);
  for (unsigned i = 0; i < 4; ++i) {
    CHECK(e.run(promote(0, 100 + i, kPinned)).status == kBudget);
    e.settle_down();
    if (e.used(0) < 3) CHECK(e.run(promote(0, 100 + i, kPinned)).status == kOk);
  }
  CHECK(e.find(0, 0) != nullptr);
  CHECK(e.find(0, 30) == nullptr);
  CHECK(e.find(0, 31) == nullptr);

  SmallEnv f;
  usual(f, 8);
  f.budget = 0;  // the hbm policy
  f.scores = {{0, 20 * kOne}};
  f.batch = 0;
  CHECK(f.run(simple(kStepEnd, 0, 1)).value0 == 0);
  CHECK(f.tops == 0);
  CHECK(f.free_batches == 1);
  f.budget = 5;
  f.t_sink = 0;  // the fill policy
  f.scores.clear();
  for (uint32_t i = 0; i < 40; ++i) f.scores[i] = i % 7 * kOne;
  f.batch = 0;
  CHECK(f.run(simple(kStepEnd, 0, 1)).value0 == 5);
  CHECK(f.last_top_count == 5);
  for (const uint32_t at : {6U, 13U, 20U, 27U, 34U}) CHECK(f.find(0, at) != nullptr);
}

TEST_CASE("A step without scores leaves E and runs alone, and waits for scores no longer than it says", "[residency]") {
  SmallEnv e;
  usual(e);
  e.dynamic = true;
  const auto d = e.run(simple(kStepEnd, 0));
  CHECK(d.status == kOk);
  CHECK(d.value1 == 0);
  CHECK(d.cycles > 1024);
  CHECK(d.cycles < 1024 + 200);
  CHECK(e.run(simple(kStepEnd, 0, 2)).cycles < 200);  // none on purpose
  e.batch = 3;
  CHECK(e.run(simple(kStepEnd, 0)).cycles < 200);  // another's are there: no use to wait
  CHECK(e.batch == 3U);
  e.batch.reset();
  const auto tag = e.send(simple(kStepEnd, 0));
  e.ticks(300);
  e.batch = 0;
  CHECK(e.wait(tag).value1 == 1);
  CHECK(e.free_batches == 1);
}

namespace {
/// E as the page on the rules defines it; everything fits in 58 bits.
uint64_t next_e(uint64_t e, uint64_t score, uint64_t alpha) {
  const auto d = static_cast<int64_t>(score << 8) - static_cast<int64_t>(e);
  const uint64_t b = 65536 - alpha;
  const uint64_t step = (static_cast<uint64_t>(d < 0 ? -d : d) * b + 65535) / 65536;
  return d < 0 ? e - step : e + step;
}
constexpr uint64_t kEMax = (uint64_t{1} << 40) - 1;
}  // namespace

TEST_CASE("The moving average reaches its limit from both sides and stays there", "[residency]") {
  for (const uint64_t alpha : {uint64_t{58982}, uint64_t{0}, uint64_t{65535}, uint64_t{62259}}) {
    for (const uint64_t score : {uint64_t{0}, uint64_t{1}, uint64_t{3} << 14, uint64_t{0xffffffff}}) {
      const uint64_t limit = score << 8;
      for (const uint64_t start : {std::min(limit + 5000, kEMax), limit > 5000 ? limit - 5000 : 0}) {
        uint64_t e = start;
        for (unsigned i = 0; i < 6000 && e != limit; ++i) {
          const uint64_t n = next_e(e, score, alpha);
          REQUIRE(n != e);
          REQUIRE((n > e) == (limit > e));
          e = n;
        }
        CHECK(e == limit);
        CHECK(next_e(e, score, alpha) == e);
      }
    }
  }
}

TEST_CASE("The block's moving average equals its definition bit for bit", "[residency]") {
  SmallEnv e;
  usual(e);
  e.t_sink = 0;
  e.t_pin = 0;
  e.scores = {{9, 0xfffffffe}};
  e.batch = 0;
  REQUIRE(e.run(simple(kStepEnd, 0, 1)).value0 >= 1);
  REQUIRE(e.run(simple(kWait, 0)).status == kOk);
  e.dynamic = true;
  e.t_promote = 0xffffffff;
  uint64_t average = uint64_t{0xfffffffe} << 8;
  const std::array<uint32_t, 6> alphas = {58982, 0, 65535, 1, 32768, 62259};
  for (unsigned step = 0; step < 240; ++step) {
    e.alpha = alphas[step / 40];
    const uint32_t kind = static_cast<uint32_t>(e.rng.below(6));
    const uint32_t score = kind == 0   ? 0
                           : kind == 1 ? 0xffffffff
                           : kind == 2 ? static_cast<uint32_t>(average >> 8)  // near the limit
                           : kind == 3 ? static_cast<uint32_t>(e.rng.below(8 * kOne))
                                       : static_cast<uint32_t>(e.rng.next());
    e.scores = {{9, score}};
    e.batch = 0;
    e.averages.clear();
    REQUIRE(e.run(simple(kStepEnd, 0)).value1 == 1);
    average = next_e(average, score, e.alpha);
    REQUIRE(e.averages.count(0) == 1);
    REQUIRE(e.averages[0] == average);
  }
}

TEST_CASE("Dynamic: promotion after N_promote steps at or above T_promote, release after N_evict below T_evict",
          "[residency]") {
  SmallEnv e;
  usual(e);
  e.dynamic = true;
  e.alpha = 32768;
  const uint32_t strong = 10 * kOne;
  uint64_t average = 0;
  unsigned ups = 0, steps = 0;
  // Token 33 is strong from now on.
  while (e.find(0, 33) == nullptr && steps < 40) {
    e.scores = {{33, strong}, {40, kOne}};
    e.batch = 0;
    const auto d = e.run(simple(kStepEnd, 0));
    REQUIRE(d.value1 == 1);
    average = next_e(average, strong, e.alpha);
    ups = average >= static_cast<uint64_t>(e.t_promote) << 8 ? ups + 1 : 0;
    ++steps;
    // It enters as candidate in the first step; from the second on it may be promoted.
    CHECK((d.value0 == 1) == (steps > 1 && ups >= e.n_promote));
  }
  CHECK(e.find(0, 33) != nullptr);
  CHECK(steps == 3);
  REQUIRE(e.run(simple(kWait, 0)).status == kOk);
  // Then it is weak: three steps of dwell, and N_evict steps below T_evict.
  unsigned downs = 0, dwell = e.n_dwell;
  for (steps = 0; e.find(0, 33) != nullptr && steps < 40; ++steps) {
    e.scores = {{33, 0}};
    e.batch = 0;
    const auto d = e.run(simple(kStepEnd, 0));
    average = next_e(average, 0, e.alpha);
    downs = average < static_cast<uint64_t>(e.t_evict) << 8 ? downs + 1 : 0;
    if (dwell != 0) --dwell;
    CHECK((d.value0 >> 16 == 1) == (dwell == 0 && downs >= e.n_evict));
  }
  CHECK(e.find(0, 33) == nullptr);
  e.ticks(100);
  CHECK(e.records.back().cause == kThreshold);
}

TEST_CASE("A score that hovers at the thresholds does not churn", "[residency]") {
  SmallEnv e;
  usual(e);
  e.dynamic = true;
  e.n_promote = 3;
  unsigned promoted = 0, evicted = 0;
  for (unsigned step = 0; step < 120; ++step) {
    // Over T_promote two steps of three, and never below T_evict for long.
    e.scores = {{33, step % 3 == 2 ? 2 * kOne : 4 * kOne}};
    e.batch = 0;
    const auto d = e.run(simple(kStepEnd, 0));
    promoted += d.value0 & 0xffff;
    evicted += d.value0 >> 16;
  }
  CHECK(promoted <= 1);
  CHECK(evicted == 0);
}

TEST_CASE("Candidates give way to grants, and the weakest to a stronger token", "[residency]") {
  SmallEnv e;
  usual(e, 2);
  e.dynamic = true;
  e.alpha = 32768;
  e.n_promote = 100;  // nothing is promoted
  const auto step = [&](std::map<uint32_t, uint32_t> scores) {
    e.scores = std::move(scores);
    e.batch = 0;
    return e.run(simple(kStepEnd, 0));
  };
  step({{10, 4 * kOne}});
  step({{10, 4 * kOne}, {20, 5 * kOne}});
  CHECK(e.marked.empty());
  step({{10, 4 * kOne}, {20, 5 * kOne}, {30, 20 * kOne}});  // E: 10 has 3.5, 20 has 3.75, 30 begins with 10
  e.n_promote = 1;
  // The candidates are 30, in the row that 10 had, and 20; both are strong now and promoted in their own rows.
  CHECK(step({{10, 40 * kOne}, {20, 40 * kOne}, {30, 40 * kOne}}).value0 == 2);
  CHECK(e.installs == std::deque<std::pair<uint32_t, uint32_t>>{{0, 30}, {1, 20}});
  REQUIRE(e.run(range(kRetire, 0, 0, 256)).value0 == 2);
  e.settle_down();
  e.n_promote = 100;
  step({{50, 9 * kOne}});                       // a candidate in row 0
  CHECK(e.run(promote(0, 60, 0)).value0 == 1);  // a row without a candidate first
  CHECK(e.run(promote(0, 61, 0)).value0 == 0);  // then the candidate gives way
  e.n_promote = 1;
  CHECK(step({{50, 40 * kOne}}).value0 == 0);
}

TEST_CASE("wait_promotions: four may wait, each ends when its owner's promotions have", "[residency]") {
  SmallEnv e;
  usual(e);
  REQUIRE(e.run(set_owner(1, {})).status == kOk);
  e.dma_hold = true;
  REQUIRE(e.run(promote(0, 1, 0)).status == kOk);
  REQUIRE(e.run(promote(1, 1, 0)).status == kOk);
  const auto a = e.send(simple(kWait, 0));
  const auto b = e.send(simple(kWait, 1));
  const auto c = e.send(simple(kWait, 0, 1));
  const auto d = e.send(simple(kWait, 0));
  CHECK(e.run(simple(kWait, 1)).status == kBusy);
  CHECK(e.run(simple(kWait, 3)).status == kBadOwner);
  e.ticks(50);
  CHECK(!e.result(a));
  CHECK(e.run(range(kAbort, 1, 0, 16)).value0 == 1);
  CHECK(e.wait(b).status == kAborted);
  CHECK(!e.result(a));
  e.dma_hold = false;
  CHECK(e.wait(a).status == kOk);
  CHECK(e.wait(d).status == kOk);
  const auto all = e.wait(c);
  CHECK(all.status == kAborted);
  CHECK(all.value0 == 2);
}

TEST_CASE("A promotion is answered within 8 cycles, also while a sweep runs", "[residency]") {
  SmallEnv e;
  REQUIRE(e.run(set_profile(0, {.slot_count = 24})).status == kOk);
  REQUIRE(e.run(set_owner(0, {.is_public = true})).status == kOk);
  REQUIRE(e.run(set_owner(1, {.prefix_owner = 0, .prefix_len = 128})).status == kOk);
  e.dynamic = true;
  for (unsigned round = 0; round < 60; ++round) {
    e.scores = {{3, 9 * kOne}, {150, 8 * kOne}};
    e.batch = 1;
    const auto step = e.send(round % 3 == 0 ? range(kRetire, 1, 0, 256) : simple(kStepEnd, 1));
    for (unsigned i = 0; i < 4; ++i) {
      e.run(promote(1, static_cast<uint32_t>(e.rng.below(256)), static_cast<uint32_t>(e.rng.below(3))));
      e.ticks(e.rng.below(6));
    }
    e.wait(step);
  }
  CHECK(e.max_promote_latency <= 8);
  CHECK(e.max_promote_latency >= 5);
}

TEST_CASE("Random commands with faults, stalls, readers and a log that fills keep every rule (small)", "[residency]") {
  for (uint64_t i = 0; i < 6; ++i) {
    const uint64_t seed = seed_from_env() * 100 + i;
    CAPTURE(seed);
    SmallEnv e(seed, Stalls::all(static_cast<unsigned>(10 * i)));
    storm_registers(e);
    storm(e, 1500, 4);
  }
}

TEST_CASE("Random commands with faults, stalls, readers and a log that fills keep every rule (default)",
          "[residency]") {
  for (uint64_t i = 0; i < 2; ++i) {
    const uint64_t seed = seed_from_env() * 100 + 50 + i;
    CAPTURE(seed);
    DefaultEnv e(seed, Stalls::all(static_cast<unsigned>(25 * i)));
    storm_registers(e);
    storm(e, 1000, 16);
  }
}

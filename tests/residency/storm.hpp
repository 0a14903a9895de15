// SPDX-License-Identifier: Apache-2.0
// Random commands to the residency controller: many owners, shared prefixes, windows, faults, readers and a full log at
// once. Whoever watches the environment checks.
#pragma once

#include <algorithm>
#include <deque>
#include <map>

#include "support/catch.hpp"
#include "tb/residency/residency_env.hpp"

namespace kvsink::tb::residency {

/// Registers under which contracts come and go quickly.
template <class E>
void storm_registers(E& e) {
  e.dynamic = true;
  e.alpha = 40000;
  e.dma_fault_percent = 8;
}

/// Drops the owner's plan, or hands one over: regions and windows at times, items that mostly fit.
template <class E, class Tags>
void random_plan(E& e, uint32_t owner, Tags& out) {
  const uint32_t o =
      e.rng.percent(80) ? owner % (e.plans + 1) : owner;  // there are few plans: some owners often have one
  if (e.rng.percent(25)) {
    out.push_back(e.send({.op = kPlan, .flags = e.rng.coin() ? kPlanDrop : kPlanQuery, .owner = o}));
    return;
  }
  const auto few = [&] { return e.rng.percent(60) ? static_cast<uint32_t>(e.rng.below(2)) : 255U; };
  const uint32_t promotions = few(), evictions = few();
  if (e.rng.percent(30)) out.push_back(e.send({.op = kPlan, .flags = kPlanDrop, .owner = o}));
  out.push_back(e.send(plan_begin(o, promotions, evictions, e.rng.coin() ? 0xffff : 4)));
  uint32_t step = 0;
  const auto u32 = [&](uint64_t below) { return static_cast<uint32_t>(e.rng.below(below)); };
  for (uint64_t regions = e.rng.below(e.rng.percent(10) ? 4 : 2); regions > 0; --regions) {
    out.push_back(e.send(plan_region(o, u32(200), 1 + u32(80), u32(3), u32(4))));
  }
  const uint64_t items = e.rng.percent(10) ? e.plan_items : 1 + e.rng.below(8);
  for (uint64_t i = 0; i < items; ++i) {
    if (e.rng.percent(30)) ++step;
    if (e.rng.percent(3) && step > 0) --step;
    const uint32_t begin = u32(300), position = u32(e.rng.percent(5) ? 300 : 220);
    if (e.rng.percent(20)) {
      out.push_back(e.send(plan_window(o, begin, e.rng.percent(3) ? begin : begin + 200 + u32(3000), step)));
    } else {
      // The environment expects what follows from the position.
      const uint32_t dwell = position % 5 == 4 ? kPinned : position % 5;
      out.push_back(e.send(plan_promote(
          o, position, dwell, step,
          {.not_before = e.rng.percent(20) ? u32(400) : 0, .deadline = e.rng.percent(30) ? 1 + u32(2000) : 0})));
    }
    while (out.size() > 6) {
      e.wait(out.front(), 60000);
      out.pop_front();
    }
  }
  out.push_back(e.send({.op = kPlan, .flags = kPlanCommit, .owner = o}));
  if (e.rng.percent(10)) out.push_back(e.send(simple(kSetOwner, o)));
}

/// Everything at once, from one seed: the checks are the environment's; statuses are compared where they follow from
/// what the test knows.
template <class E>
void storm(E& e, unsigned rounds, uint32_t busy_owners, bool registers_move = true) {
  REQUIRE(e.run(set_profile(0, {.slot_count = e.slots / 2})).status == kOk);
  REQUIRE(e.run(set_profile(1, {.layer_count = 1,
                                .slot_first = e.slots / 2,
                                .slot_count = e.slots / 2,
                                .sram_base = e.sram_beats / 2}))
              .status == kOk);
  std::deque<uint16_t> out;
  unsigned ended = 0, granted = 0;
  std::map<Status, unsigned> seen;
  const auto reap = [&](size_t keep) {
    while (out.size() > keep) {
      const auto d = e.wait(out.front(), 60000);
      out.pop_front();
      ++ended;
      ++seen[d.status];
      granted += d.op == kPromote && d.status == kOk;
    }
  };
  for (unsigned round = 0; round < rounds; ++round) {
    const auto o = static_cast<uint32_t>(e.rng.below(busy_owners));
    const auto at = static_cast<uint32_t>(e.rng.below(200));
    const auto pick = e.rng.below(100);
    if (e.rng.percent(9)) {
      reap(0);
      random_plan(e, o, out);
      reap(0);
    } else if (pick < 50) {
      const uint32_t dwell = e.rng.percent(10) ? kPinned : static_cast<uint32_t>(e.rng.below(4));
      out.push_back(e.send(promote(o, at, dwell, static_cast<uint32_t>(e.rng.below(2)), e.rng.below(4000),
                                   e.rng.percent(20) ? e.now() + e.rng.below(400) : 0)));
    } else if (pick < 56) {
      out.push_back(e.send(range(kLetGo, o, at & ~15U, 1 + static_cast<uint32_t>(e.rng.below(80)))));
    } else if (pick < 60) {
      out.push_back(e.send(range(kAbort, o, at & ~15U, 1 + static_cast<uint32_t>(e.rng.below(80)))));
    } else if (pick < 66) {
      out.push_back(e.send(e.rng.percent(8)
                               ? simple(kRetire, o, 1)
                               : range(kRetire, o, at & ~15U, 1 + static_cast<uint32_t>(e.rng.below(64)))));
    } else if (pick < 86) {
      reap(0);  // the fakes' batch and the tick of the environment belong to one step at a time
      if (e.rng.percent(70) && e.owner[o].valid) {
        e.scores.clear();
        for (unsigned i = 0; i < 12; ++i) {
          e.scores[static_cast<uint32_t>(e.rng.below(220))] = static_cast<uint32_t>(e.rng.below(12 * kOne));
        }
        e.batch = o;
      }
      out.push_back(e.send(simple(kStepEnd, o, e.rng.percent(20) ? 1 : e.batch ? 0 : 2)));
      if (e.rng.coin()) {
        reap(0);
        e.check_contracts();
      }
    } else if (pick < 89) {
      if (out.size() < 4) {
        out.push_back(e.send(e.rng.coin() ? Cmd{.op = kWait, .flags = 2, .owner = o, .first = at}
                                          : simple(kWait, o, e.rng.percent(20))));
      }
    } else if (pick < 93) {
      reap(0);
      out.push_back(e.send(e.owner[o].level == 0 ? simple(kOpen, o) : range(kCommit, o, 0, 0)));
      reap(0);
    } else if (pick < 97) {
      reap(0);
      if (!e.owner[o].valid) {
        OwnerArgs a{.tenant = o % 2, .is_public = e.rng.coin()};
        a.slot_min = e.rng.percent(30) ? static_cast<uint32_t>(e.rng.below(3)) : 0;
        a.slot_max = 4 + static_cast<uint32_t>(e.rng.below(e.slots / 2));
        a.profile = static_cast<uint32_t>(e.rng.below(2));
        if (e.rng.coin()) {
          a.prefix_owner = static_cast<uint32_t>(e.rng.below(busy_owners));
          a.prefix_len = 64;
        }
        out.push_back(e.send(set_owner(o, a)));
      } else {
        out.push_back(e.send(simple(kSetOwner, o)));
      }
      reap(0);
    } else {
      auto& l = e.lists[e.rng.below(e.readers)];
      if (l.open)
        l.open = false;
      else
        l = {true, o, e.owner[o].prefix, e.list_serial++};
    }
    reap(e.rng.below(6));
    if (e.rng.percent(5)) e.log_drains = !e.log_drains;
    if (e.rng.percent(2) && registers_move) e.budget = 2 + static_cast<uint32_t>(e.rng.below(e.slots));
    if (e.log_held + 24 > e.log_capacity && e.rng.percent(30)) e.log_drains = true;
    if (e.rng.percent(3)) e.walk_fault[{o, at}] = e.rng.coin() ? kUnmapped : kBusError;
    e.records.clear();
  }
  e.log_drains = true;
  for (auto& l : e.lists) l.open = false;
  reap(0);
  for (uint32_t o = 0; o < busy_owners; ++o) e.run({.op = kPlan, .flags = kPlanDrop, .owner = o});
  CHECK(e.run(simple(kRetire, 0, 1)).status == kOk);
  e.settle_down();
  CHECK(e.used_all() == 0);
  CHECK(e.free_entries() == e.entries);
  CHECK(e.ports().slots_used_o == 0);
  // Every minimum, reference and pending count has come back: all owners can be reset, users of a prefix first.
  for (uint32_t pass = 0; pass < 2; ++pass) {
    for (uint32_t o = 0; o < busy_owners; ++o) {
      if (e.owner[o].valid && (pass == 1 || e.owner[o].prefix)) CHECK(e.run(simple(kSetOwner, o)).status == kOk);
    }
  }
  if (registers_move) e.budget = 0xffff;
  CHECK(e.run(set_profile(0, {.slot_count = e.slots / 2})).status == kOk);
  const uint32_t all = std::min({e.entries, e.slots / 2, e.budget});
  CHECK(e.run(set_owner(0, {.slot_min = all})).status == kOk);
  CHECK(e.run(simple(kWait, 0, 1)).status != kBusy);
  CHECK(granted > rounds / 60);
  CHECK(seen.size() > 6);
}

}  // namespace kvsink::tb::residency

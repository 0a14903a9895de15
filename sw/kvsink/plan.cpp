// SPDX-License-Identifier: Apache-2.0
// kvsink plan: a plan from a trace's prefill (or from scores) and the tiers, with the lead time of each promotion.
#include <fmt/format.h>

#include <algorithm>

#include "sw/kvsink/commands.hpp"
#include "sw/planner/planner.hpp"
#include "tb/system/bench.hpp"
#include "tb/system/host.hpp"

namespace kvsink::command {
namespace {

constexpr double kSinkScore = 3.0;  ///< T_sink after reset
constexpr std::uint32_t kPlanes = 2;

/// What the instance has room for, asked at its registers.
Result<planner::Room> room_of(const PlanOptions& options, const trace::Trace& trace) {
  std::string why;
  tb::BenchOptions block;
  block.config = name(options.config);
  const auto bench = tb::Bench::make(block, why);
  if (!bench) return Error{why};
  tb::Host host(*bench);
  tb::Capabilities caps;
  if (why = host.probe(caps); !why.empty()) return Error{why};
  const trace::Limits limits{caps.layers, caps.q_heads, caps.kv_heads, caps.row_bytes / 2, caps.positions};
  if (const auto fits = trace::check_limits(trace, limits, name(options.config)); !fits) return fits.error();
  const auto& n = trace.dims();
  planner::Room room;
  room.beat_bytes = caps.bus_bits / 8;
  const std::uint32_t row_beats = (n.d * 2 + room.beat_bytes - 1) / room.beat_bytes;
  room.slot_beats = std::uint64_t{n.L} * n.Hkv * kPlanes * row_beats;
  room.slots = static_cast<std::uint32_t>(
      std::min<std::uint64_t>(caps.slots, caps.sram_bytes / (room.slot_beats * room.beat_bytes)));
  room.entries = caps.entries;
  room.items = caps.plan_items;
  if (room.slots == 0) {
    return Error{fmt::format("{}: one token takes {} bytes of slot SRAM, the configuration {} has {}", options.trace,
                             room.slot_beats * room.beat_bytes, name(options.config), caps.sram_bytes)};
  }
  return room;
}

std::string summary(const PlanOptions& options, const planner::Plan& plan, const planner::Room& room,
                    const planner::Tier& home) {
  const auto promotions = std::count_if(plan.items.begin(), plan.items.end(),
                                        [](const planner::Item& i) { return i.kind == planner::Item::Kind::kPromote; });
  std::string text = fmt::format(
      "{} ({}): {} promotions of {} bytes each from {} (latency {} cycles, {} beats a cycle), {} items of {}\n",
      options.trace, name(options.config), promotions, room.slot_beats * room.beat_bytes, home.name, home.latency,
      home.bandwidth, plan.items.size(), room.items);
  for (const auto& item : plan.items) {
    if (item.kind == planner::Item::Kind::kPromote) {
      text += fmt::format("  step {:4}  position {:6}  score {:7.2f}  lead {} cycles\n", item.step, item.first,
                          item.score, item.lead);
    } else {
      text += fmt::format("  step {:4}  {}\n", item.step, planner::describe(item));
    }
  }
  text += fmt::format("  the block by itself: {} promotions and {} evictions a step\n", plan.adapt_promotions,
                      plan.adapt_evictions);
  return text;
}

}  // namespace

int cmd_plan(const PlanOptions& options) {
  const auto trace = trace::Trace::load(options.trace);
  if (!trace) return fail(trace.error());
  planner::Tier home{"hbm", options.latency, 1.0};
  std::uint32_t tier = 0;
  if (options.tiers) {
    const auto found = planner::find_tier(*options.tiers, options.home.value_or("hbm"));
    if (!found) return fail(found.error());
    std::tie(home, tier) = *found;
  } else if (options.home) {
    return fail({fmt::format("--home: {}: no --tiers file says what that is", *options.home)});
  }
  const auto room = room_of(options, *trace);
  if (!room) return fail(room.error());
  const double t_sink = options.fill ? 0 : kSinkScore;
  std::vector<planner::Scored> tokens;
  if (options.scores) {
    const auto read = planner::read_scores(*options.scores, t_sink);
    if (!read) return fail(read.error());
    tokens = *read;
  } else {
    tokens = planner::prefill_scores(*trace, t_sink);
  }
  planner::Wishes wishes;
  wishes.budget = options.budget;
  wishes.per_step = options.per_step;
  wishes.steps = trace->dims().N;
  wishes.committed = trace->prefill_tokens();
  wishes.adapt = options.adapt;
  planner::Plan plan = planner::make(tokens, home, tier, *room, wishes);
  plan.trace = options.trace;
  plan.config = name(options.config);
  for (const auto& path : {options.out, options.json}) {
    if (!path) continue;
    if (const auto ok = write_text(*path, planner::to_json(plan)); !ok) return fail(ok.error());
  }
  if (!options.json || *options.json != "-") fmt::print("{}", summary(options, plan, *room, home));
  return kEqual;
}

}  // namespace kvsink::command

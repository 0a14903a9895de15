// SPDX-License-Identifier: Apache-2.0
// kvsink replay: a trace through the Verilated block; what was compared and counted, as text and as JSON.
#include <fmt/format.h>

#include <nlohmann/json.hpp>
#include <optional>
#include <string>

#include "sw/kvsink/commands.hpp"
#include "sw/planner/planner.hpp"
#include "tb/system/replay.hpp"

namespace kvsink::command {
namespace {

using nlohmann::ordered_json;

/// What reading bytes costs, by the table that the user gave; an estimate.
struct Energy {
  std::string tier;
  double tier_pj = 0, sram_pj = 0;  // to read a byte
  [[nodiscard]] double hbm(const tb::ReplayResult& r) const {
    return tier_pj * static_cast<double>(r.hbm_bulk + r.hbm_promotion + r.hbm_dropped + r.hbm_table);
  }
  [[nodiscard]] double sram(const tb::ReplayResult& r) const { return sram_pj * static_cast<double>(r.sram); }
};

/// Latency and bandwidth of the tier that holds the cache, and the energies if the table has them.
Result<void> apply_tier(const ReplayOptions& options, tb::BenchOptions& bench, std::optional<Energy>& energy) {
  if (!options.tiers) {
    if (options.home) return Error{fmt::format("--home: {}: no --tiers file says what that is", *options.home)};
    return {};
  }
  if (!options.home) {
    const auto tiers = planner::read_tiers(*options.tiers);
    return tiers ? Result<void>() : tiers.error();
  }
  const auto tier = planner::find_tier(*options.tiers, *options.home);
  if (!tier) return tier.error();
  bench.latency = tier->first.latency;
  bench.bandwidth = tier->first.bandwidth;
  const auto sram = planner::sram_pj_per_byte(*options.tiers);
  if (!sram) return sram.error();
  if (tier->first.pj_per_byte && *sram) energy = Energy{*options.home, *tier->first.pj_per_byte, **sram};
  return {};
}

tb::Policy policy_of(Policy policy) {
  switch (policy) {
    case Policy::kFill:
      return tb::Policy::kFill;
    case Policy::kDynamic:
      return tb::Policy::kDynamic;
    case Policy::kHbm:
      return tb::Policy::kHbm;
    default:
      return tb::Policy::kSinks;
  }
}

ordered_json to_json(const ReplayOptions& options, const trace::Trace& trace, const tb::ReplayResult& r,
                     const std::optional<Energy>& energy) {
  const double moved = static_cast<double>(r.hbm_bulk + r.hbm_promotion + r.hbm_dropped + r.hbm_table + r.sram);
  ordered_json json;
  json["trace"] = options.trace;
  if (trace.synthetic()) json["synthetic"] = trace.meta("synthetic");
  json["config"] = name(options.config);
  json["policy"] = name(options.policy);
  json["seed"] = options.seed;
  json["check"] = {{"rows_checked", r.rows.checked},       {"rows_wrong", r.rows.wrong},
                   {"rows_missing", r.rows.missing},       {"rows_repeated", r.rows.repeated},
                   {"rows_false_miss", r.rows.false_miss}, {"rows_false_hit", r.rows.false_hit},
                   {"rows_misordered", r.rows.misordered}, {"events_checked", r.events_checked},
                   {"events_wrong", r.events_wrong},       {"outputs_checked", r.outputs_checked},
                   {"outputs_wrong", r.outputs_wrong},     {"max_error_ulp", r.max_error_ulp},
                   {"max_abs_error", r.max_abs_error},     {"largest_v", r.largest_v},
                   {"differences", r.differences.count()}};
  json["bytes"] = {{"kv_needed", r.kv_needed},
                   {"hbm_bulk", r.hbm_bulk},
                   {"hbm_promotion", r.hbm_promotion},
                   {"hbm_dropped", r.hbm_dropped},
                   {"hbm_table", r.hbm_table},
                   {"sram", r.sram},
                   {"per_token", r.outputs.N == 0 ? 0.0 : moved / r.outputs.N},
                   {"amplification", r.kv_needed == 0 ? 0.0 : moved / static_cast<double>(r.kv_needed)},
                   {"repromoted_rows", r.repromoted_rows}};
  if (energy) {
    json["energy_model"] = {{"table", *options.tiers},
                            {"tier", energy->tier},
                            {"pj_per_byte", {{"tier", energy->tier_pj}, {"sram", energy->sram_pj}}},
                            {"pj", {{"tier", energy->hbm(r)}, {"sram", energy->sram(r)}}}};
  }
  json["rows"] = {{"sram", r.rows.sink}, {"hbm", r.rows.bulk}};
  json["sinks"] = ordered_json::array();
  for (const auto& sink : r.sinks) json["sinks"].push_back({{"position", sink.position}, {"score", sink.score}});
  json["mass"] = {{"sram_fraction", r.sram_mass}};
  json["cycles"] = {{"total", r.cycles_total}, {"prefill", r.cycles_prefill}, {"decode", r.cycles_decode}};
  json["bus"] = {{"beats", r.bus_beats}, {"decode_utilisation", r.decode_utilisation}};
  if (r.plan) {
    json["plan"] = {{"file", *options.plan},
                    {"items", r.plan->items},
                    {"done", r.plan->done},
                    {"missed", r.plan->missed},
                    {"denied_promotions", r.plan->denied_promotions},
                    {"denied_evictions", r.plan->denied_evictions}};
  }
  json["residency"] = {
      {"promoted", r.promoted}, {"evicted", r.evicted}, {"refused", r.refused}, {"peak_slots", r.peak_slots}};
  return json;
}

std::string summary(const ReplayOptions& options, const trace::Trace& trace, const tb::ReplayResult& r,
                    const std::optional<Energy>& energy) {
  std::string text;
  if (trace.synthetic()) {
    text += fmt::format("SYNTHETIC trace, made up by a program, no model: {}\n", trace.meta("synthetic"));
  }
  text += fmt::format("{} ({}, policy {}): {}\n", options.trace, name(options.config), name(options.policy),
                      r.equal() ? "all equal" : "DIFFERENT");
  text += fmt::format(
      "  rows      {} checked, {} from SRAM, {} from HBM; wrong {}, missing {}, repeated {}, false miss {}, "
      "false hit {}\n",
      r.rows.checked, r.rows.sink, r.rows.bulk, r.rows.wrong, r.rows.missing, r.rows.repeated, r.rows.false_miss,
      r.rows.false_hit);
  text += fmt::format("  events    {} checked, {} wrong\n", r.events_checked, r.events_wrong);
  text += fmt::format("  outputs   {} checked, {} wrong; largest error {:.3f} ulp, {:.3g} absolute\n",
                      r.outputs_checked, r.outputs_wrong, r.max_error_ulp, r.max_abs_error);
  text += fmt::format("  promoted  {}", r.promoted);
  for (std::size_t i = 0; i < r.sinks.size() && i < 8; ++i) {
    text += fmt::format("{}position {} (score {:.2f})", i == 0 ? ": " : ", ", r.sinks[i].position, r.sinks[i].score);
  }
  text += fmt::format("{}\n  mass      {:.2f} % of the attention mass from SRAM\n", r.sinks.size() > 8 ? ", ..." : "",
                      100 * r.sram_mass);
  if (r.plan) {
    text +=
        fmt::format("  plan      {} of {} items done, {} promotions missed; denied: {} promotions, {} evictions\n",
                    r.plan->done, r.plan->items, r.plan->missed, r.plan->denied_promotions, r.plan->denied_evictions);
  }
  text += fmt::format("  cycles    {} in decode, bus utilisation {:.3f}\n", r.cycles_decode, r.decode_utilisation);
  if (energy) {
    text += fmt::format("  energy    {:.4g} mJ from {}, {:.4g} mJ from SRAM: a model, bytes times the table {}\n",
                        energy->hbm(r) * 1e-9, energy->tier, energy->sram(r) * 1e-9, *options.tiers);
  }
  return text;
}

}  // namespace

int cmd_replay(const ReplayOptions& options) {
  auto trace = trace::Trace::load(options.trace);
  if (!trace) return fail(trace.error());
  tb::ReplaySettings settings;
  settings.bench.config = name(options.config);
  settings.bench.seed = options.seed;
  settings.bench.latency = options.latency;
  settings.bench.stall_percent = options.stall;
  settings.bench.fst = options.fst.value_or("");
  settings.policy = policy_of(options.policy);
  if (options.budget) settings.budget = *options.budget;
  std::optional<Energy> energy;
  if (const auto ok = apply_tier(options, settings.bench, energy); !ok) return fail(ok.error());
  if (options.plan) {
    const auto plan = planner::read_plan(*options.plan);
    if (!plan) return fail(plan.error());
    settings.plan = *plan;
  }

  tb::ReplayResult result;
  {
    Progress progress("replay");
    settings.on_progress = [&](uint32_t done, uint32_t all) { progress.set(done, all); };
    result = tb::replay(*trace, settings);
  }
  for (const auto& d : result.differences.first()) {
    fmt::print(stderr, "{}: cycle {}: {}\n", d.unit, d.cycle, d.what);
  }
  if (result.differences.count() != 0) {
    fmt::print(stderr,
               "{} differences. To see the waveform: kvsink replay {} --config {} --policy {} --seed {} --latency "
               "{} --stall {} --fst wave.fst\n",
               result.differences.count(), options.trace, name(options.config), name(options.policy), options.seed,
               options.latency, options.stall);
  }
  if (!result.error.empty()) {
    fail({result.error});
    return result.bad_input ? kBadInput : kDifferent;
  }
  if (options.out) {
    const auto ok = trace::write_outputs(*options.out, result.outputs,
                                         {{"made_by", "kvsink replay"},
                                          {"trace", options.trace},
                                          {"config", name(options.config)},
                                          {"policy", name(options.policy)},
                                          {"seed", std::to_string(options.seed)}});
    if (!ok) return fail(ok.error());
  }
  if (options.log) {
    if (const auto ok = model::write_log(*options.log, result.log); !ok) return fail(ok.error());
  }
  if (options.json) {
    const auto ok = write_text(*options.json, to_json(options, *trace, result, energy).dump(1) + "\n");
    if (!ok) return fail(ok.error());
  }
  if (!options.json || *options.json != "-") fmt::print("{}", summary(options, *trace, result, energy));
  return result.equal() ? kEqual : kDifferent;
}

}  // namespace kvsink::command

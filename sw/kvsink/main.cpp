// SPDX-License-Identifier: Apache-2.0
// kvsink: replays captured attention traces through the Verilated block and compares with the golden model.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <charconv>
#include <csignal>
#include <exception>
#include <filesystem>
#include <limits>
#include <new>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

#include "sw/kvsink/commands.hpp"
#include "sw/kvsink/options.hpp"
#include "sw/models/event_log_file.hpp"

namespace kvsink::command {
namespace {

constexpr std::uint32_t kMaxLatency = 100'000;
constexpr std::uint32_t kMaxStall = 90;
constexpr std::uint32_t kMaxSlots = 65'535;

/// Everything that can be asked for, and which of it was.
struct Options {
  ReplayOptions replay;
  PlanOptions plan;
  GoldenOptions golden;
  DiffOptions diff;
  MergeOptions merge;
  InfoOptions info;
  CaptureCommand capture;
  ImportOptions import;
  SynthCommand synth;
  LogOptions log;
  StressOptions stress;
};

CLI::App* add_replay(CLI::App& app, ReplayOptions& o) {
  CLI::App* sub = app.add_subcommand("replay", "replay a trace through the block; compare every row and every output");
  file(sub, "TRACE", o.trace, "captured trace (safetensors)")->required();
  choice(sub, "--config", o.config,
         {{"small", Config::kSmall}, {"default", Config::kDefault}, {"large", Config::kLarge}},
         "configuration of the block [small]");
  choice(sub, "--policy", o.policy,
         {{"sinks", Policy::kSinks}, {"fill", Policy::kFill}, {"dynamic", Policy::kDynamic}, {"hbm", Policy::kHbm}},
         "what goes to SRAM: sinks (T_sink), fill (the strongest, up to the budget), dynamic (follows decode), "
         "hbm (nothing: the baseline) [sinks]");
  number<std::uint32_t>(
      sub, "--budget", 0, kMaxSlots, [&o](std::uint32_t n) { o.budget = n; }, "SRAM_budget, in slots (tokens)");
  file(sub, "--tiers", o.tiers, "tiers of the memory: windows, latencies, bandwidths");
  text(
      sub, "--home", [&o](const std::string& value) { o.home = value; }, "TIER", "tier that holds the KV cache");
  file(sub, "--plan", o.plan, "a plan (kvsink plan) in place of the prefill's scores");
  number<std::uint32_t>(
      sub, "--latency", 1, kMaxLatency, [&o](std::uint32_t n) { o.latency = n; },
      fmt::format("of the memory, in cycles [{}]", o.latency));
  number<std::uint32_t>(
      sub, "--stall", 0, kMaxStall, [&o](std::uint32_t n) { o.stall = n; },
      fmt::format("percent of cycles in which a handshake stalls at random [{}]", o.stall));
  number<std::uint64_t>(
      sub, "--seed", 0, std::numeric_limits<std::uint64_t>::max(), [&o](std::uint64_t n) { o.seed = n; },
      fmt::format("of every random choice [{}]", o.seed));
  file(sub, "--out", o.out, "what the RTL produced: o and lse (safetensors)");
  file(sub, "--json", o.json, "the result as one JSON object; - is standard output");
  file(sub, "--fst", o.fst, "waveform");
  file(sub, "--log", o.log, "the event log as software drained it (kvsink log reads it)");
  return sub;
}

CLI::App* add_log(CLI::App& app, LogOptions& o) {
  constexpr std::uint32_t kMost = std::numeric_limits<std::uint32_t>::max();
  CLI::App* sub = app.add_subcommand("log", "print records of a saved event log, and say whether all are there");
  file(sub, "FILE", o.file, "log, as kvsink replay --log writes it")->required();
  number<std::uint32_t>(
      sub, "--from", 0, kMost, [&o](std::uint32_t n) { o.from = n; }, "first sequence number to show");
  number<std::uint32_t>(
      sub, "--to", 0, kMost, [&o](std::uint32_t n) { o.to = n; }, "last sequence number to show");
  number<std::uint32_t>(
      sub, "--owner", 0, 0xffff, [&o](std::uint32_t n) { o.owner = n; }, "only this owner's");
  number<std::uint32_t>(
      sub, "--slot", 0, 0xffff, [&o](std::uint32_t n) { o.slot = n; }, "only this slot's");
  number<std::uint32_t>(
      sub, "--position", 0, kMost, [&o](std::uint32_t n) { o.position = n; }, "only this position's");
  text(
      sub, "--kind", [&o](const std::string& v) { o.kind = v; }, "KIND",
      "only grant, resident, failed, leave, read_error, owner, window or plan");
  text(
      sub, "--cause", [&o](const std::string& v) { o.cause = v; }, "CAUSE",
      "only of this cause (ok, evicted, retired, ...)");
  file(sub, "--json", o.json, "the records shown and the finding as JSON; - is standard output");
  return sub;
}

CLI::App* add_stress(CLI::App& app, StressOptions& o) {
  CLI::App* sub = app.add_subcommand("stress", "named scenarios on the block, every row, path and record compared");
  text(
      sub, "NAME", [&o](const std::string& v) { o.name = v; }, "NAME", "scenario [all of them]");
  sub->add_flag_callback(
      "--list", [&o] { o.list = true; }, "name the scenarios, run none");
  choice(sub, "--config", o.config,
         {{"small", Config::kSmall}, {"default", Config::kDefault}, {"large", Config::kLarge}},
         "configuration of the block [small]");
  number<std::uint64_t>(
      sub, "--seed", 0, std::numeric_limits<std::uint64_t>::max(), [&o](std::uint64_t n) { o.seed = n; },
      fmt::format("of every random choice [{}]", o.seed));
  file(sub, "--log", o.log, "the event log of the scenario as software drained it");
  file(sub, "--json", o.json, "the result as one JSON object; - is standard output");
  return sub;
}

Result<void> check_log(const LogOptions& o) {
  if (o.from > o.to) return Error{fmt::format("--from: {} is behind --to {}", o.from, o.to)};
  if (o.kind) {
    bool known = false;
    for (std::uint8_t kind = 1; kind <= 7; ++kind) known |= *o.kind == model::kind_name(kind);
    if (!known) return Error{fmt::format("--kind: '{}' is no kind of record", *o.kind)};
  }
  return check_output("--json", o.json, o.file);
}

Result<void> check_stress(const StressOptions& o) {
  if (o.log && !o.name) return Error{"--log: name one scenario"};
  if (auto ok = check_output("--log", o.log, ""); !ok) return ok;
  return check_output("--json", o.json, "");
}

CLI::App* add_plan(CLI::App& app, PlanOptions& o) {
  CLI::App* sub =
      app.add_subcommand("plan", "make a plan: what is promoted when, with the lead time of each promotion");
  file(sub, "TRACE", o.trace, "captured trace (safetensors)")->required();
  choice(sub, "--config", o.config,
         {{"small", Config::kSmall}, {"default", Config::kDefault}, {"large", Config::kLarge}},
         "configuration of the block [small]");
  choice(sub, "--policy", o.fill, {{"sinks", false}, {"fill", true}},
         "sinks (T_sink) or fill (the strongest, up to the budget) [sinks]");
  file(sub, "--scores", o.scores, "scores by position in place of the trace's: {\"scores\": [...]}");
  number<std::uint32_t>(
      sub, "--budget", 0, kMaxSlots, [&o](std::uint32_t n) { o.budget = n; }, "tokens at most [as many as fit]");
  file(sub, "--tiers", o.tiers, "tiers of the memory: latencies, bandwidths");
  text(
      sub, "--home", [&o](const std::string& value) { o.home = value; }, "TIER", "tier that holds the KV cache [hbm]");
  number<std::uint32_t>(
      sub, "--latency", 1, kMaxLatency, [&o](std::uint32_t n) { o.latency = n; },
      fmt::format("of the memory without --tiers, in cycles [{}]", o.latency));
  number<std::uint32_t>(
      sub, "--per-step", 0, kMaxSlots, [&o](std::uint32_t n) { o.per_step = n; },
      "promotions a decode step, the strongest first; 0: all before the first step [0]");
  number<std::uint32_t>(
      sub, "--adapt", 0, 255, [&o](std::uint32_t n) { o.adapt = n; },
      "promotions and evictions a step that the block may do by itself; 255: any number [0]");
  file(sub, "--out", o.out, "the plan, for kvsink replay --plan");
  file(sub, "--json", o.json, "the plan as well; - is standard output");
  return sub;
}

CLI::App* add_golden(CLI::App& app, GoldenOptions& o) {
  CLI::App* sub = app.add_subcommand("golden", "the golden model alone: exact outputs of a trace's decode steps");
  file(sub, "TRACE", o.trace, "captured trace (safetensors)")->required();
  file(sub, "--out", o.out, "o and lse (safetensors)")->required();
  return sub;
}

CLI::App* add_diff(CLI::App& app, DiffOptions& o) {
  CLI::App* sub = app.add_subcommand("diff", "compare two outputs by layer, head and step, worst first");
  file(sub, "A", o.a, "o and lse (safetensors); a trace will do")->required();
  file(sub, "B", o.b, "o and lse (safetensors); a trace will do")->required();
  sub->add_option_function<std::string>(
         "--ulp",
         [&o](const std::string& value) {
           const char* end = value.data() + value.size();
           const auto [stop, code] = std::from_chars(value.data(), end, o.ulp);
           if (code != std::errc() || stop != end || !(o.ulp >= 0)) {
             throw CLI::ValidationError("--ulp", "'" + value + "' is not a number from 0");
           }
         },
         fmt::format("largest difference that counts as equal, in fp32 ulp of the largest |o| of an output and of "
                     "max(1, |lse|) [{}]",
                     o.ulp))
      ->type_name("N");
  number<std::uint32_t>(
      sub, "--lines", 0, 1'000'000, [&o](std::uint32_t n) { o.lines = n; },
      fmt::format("differences to print [{}]", o.lines));
  file(sub, "--json", o.json, "counts and a histogram as JSON; - is standard output");
  return sub;
}

CLI::App* add_merge(CLI::App& app, MergeOptions& o) {
  CLI::App* sub = app.add_subcommand("merge", "run partials through the merge unit alone");
  file(sub, "IN", o.in, "partials: o F32 [P][R][d] and lse F32 [P][R] (safetensors)")->required();
  file(sub, "--out", o.out, "merged: o [R][d] and lse [R] (safetensors)")->required();
  choice(sub, "--base", o.base, {{"e", Base::kE}, {"2", Base::k2}}, "of lse [e]");
  choice(sub, "--format", o.format, {{"fp32", Format::kFp32}, {"fp16", Format::kFp16}, {"bf16", Format::kBf16}},
         "of O [fp32]");
  return sub;
}

CLI::App* add_info(CLI::App& app, InfoOptions& o) {
  CLI::App* sub = app.add_subcommand("info", "what a trace holds, and where its attention goes");
  file(sub, "TRACE", o.trace, "captured trace (safetensors)")->required();
  file(sub, "--json", o.json, "the same as JSON; - is standard output");
  return sub;
}

/// What no single option shows.
Result<void> check_replay(const ReplayOptions& o) {
  std::error_code ignored;
  if (o.policy == Policy::kHbm && o.budget.value_or(0) != 0) {
    return Error{fmt::format("--budget: {} slots, but the policy hbm holds nothing in SRAM", *o.budget)};
  }
  if (o.tiers && !std::filesystem::is_regular_file(*o.tiers, ignored)) {
    return Error{fmt::format("--tiers: {} is not a file", *o.tiers)};
  }
  for (const auto& [flag, path] :
       {std::pair("--out", &o.out), {"--json", &o.json}, {"--fst", &o.fst}, {"--log", &o.log}}) {
    if (auto ok = check_output(flag, *path, o.trace); !ok) {
      return ok;
    }
  }
  if ((o.out && (o.out == o.json || o.out == o.fst)) || (o.json && o.json == o.fst) ||
      (o.log && (o.log == o.out || o.log == o.json || o.log == o.fst))) {
    return Error{"--out, --json, --fst and --log name the same file"};
  }
  return {};
}

Result<void> check_plan(const PlanOptions& o) {
  for (const auto& [flag, path] : {std::pair("--out", &o.out), {"--json", &o.json}}) {
    if (auto ok = check_output(flag, *path, o.trace); !ok) {
      return ok;
    }
  }
  if (o.out && o.out == o.json) {
    return Error{"--out and --json name the same file"};
  }
  return {};
}

Result<void> check_diff(const DiffOptions& o) {
  for (const std::string& input : {o.a, o.b}) {
    if (auto ok = check_output("--json", o.json, input); !ok) {
      return ok;
    }
  }
  return {};
}

int run(int argc, char** argv) {
  CLI::App app(
      "kvsink: attention sinks of a KV cache in SRAM, the rest from HBM, merged exactly.\n"
      "Exit status: 0 all equal, 1 a difference from the golden model, 2 bad usage or bad input.");
  app.name("kvsink");
  app.require_subcommand(1);
  Options options;
  const CLI::App* replay = add_replay(app, options.replay);
  const CLI::App* plan = add_plan(app, options.plan);
  const CLI::App* golden = add_golden(app, options.golden);
  const CLI::App* diff = add_diff(app, options.diff);
  const CLI::App* merge = add_merge(app, options.merge);
  const CLI::App* info = add_info(app, options.info);
  const CLI::App* capture = add_capture(app, options.capture);
  const CLI::App* import = add_import(app, options.import);
  add_synth(app, options.synth);
  const CLI::App* log = add_log(app, options.log);
  const CLI::App* stress = add_stress(app, options.stress);
  try {
    app.parse(argc, argv);
  } catch (const CLI::Success& help) {
    return app.exit(help);
  } catch (const CLI::ParseError& error) {
    if (app.get_subcommands().empty() && argc > 1 && argv[1][0] != '-') {
      return fail({fmt::format(
          "'{}' is not one of replay, plan, golden, diff, merge, info, capture, import, synth-trace, log, stress "
          "(see kvsink --help)",
          argv[1])});
    }
    return fail({std::string(error.what()) + " (see kvsink --help)"});
  }
  const auto usable = replay->parsed()    ? check_replay(options.replay)
                      : plan->parsed()    ? check_plan(options.plan)
                      : golden->parsed()  ? check_output("--out", options.golden.out, options.golden.trace)
                      : diff->parsed()    ? check_diff(options.diff)
                      : merge->parsed()   ? check_output("--out", options.merge.out, options.merge.in)
                      : info->parsed()    ? check_output("--json", options.info.json, options.info.trace)
                      : capture->parsed() ? check_capture(options.capture)
                      : import->parsed()  ? check_output("--out", options.import.out, options.import.map)
                      : log->parsed()     ? check_log(options.log)
                      : stress->parsed()  ? check_stress(options.stress)
                                          : check_output("--out", options.synth.out, "");
  if (!usable) {
    return fail(usable.error());
  }
  if (replay->parsed()) {
    return cmd_replay(options.replay);
  }
  if (plan->parsed()) {
    return cmd_plan(options.plan);
  }
  if (golden->parsed()) {
    return cmd_golden(options.golden);
  }
  if (diff->parsed()) {
    return cmd_diff(options.diff);
  }
  if (merge->parsed()) {
    return cmd_merge(options.merge);
  }
  if (info->parsed()) {
    return cmd_info(options.info);
  }
  if (capture->parsed()) {
    return cmd_capture(options.capture);
  }
  if (log->parsed()) {
    return cmd_log(options.log);
  }
  if (stress->parsed()) {
    return cmd_stress(options.stress);
  }
  return import->parsed() ? cmd_import(options.import) : cmd_synth(options.synth);
}

}  // namespace
}  // namespace kvsink::command

int main(int argc, char** argv) {
  // A limit on the size of files comes back as an error of the write, like a full disk.
  std::signal(SIGXFSZ, SIG_IGN);
  // Nothing of ours throws on bad input; what is left is memory that has run out, or a mistake of ours.
  try {
    return kvsink::command::run(argc, argv);
  } catch (const std::bad_alloc&) {
    return kvsink::command::fail({"not enough memory"});
  } catch (const std::exception& error) {
    return kvsink::command::fail({error.what()});
  }
}

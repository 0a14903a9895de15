// SPDX-License-Identifier: Apache-2.0
// kvsink stress: named scenarios on the Verilated block (tb/system/stress.hpp), a summary and counters of each.
#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "sw/kvsink/commands.hpp"
#include "tb/system/stress.hpp"

namespace kvsink::command {
namespace {

using nlohmann::ordered_json;

std::string summary(const std::string& name, const tb::StressResult& r) {
  std::string text = fmt::format("{}: {}\n", name, r.equal() ? "all equal" : "DIFFERENT");
  text += fmt::format(
      "  rows      {} checked, {} from SRAM, {} from HBM, {} error-flagged; wrong {}, missing {}, repeated {}, false "
      "miss {}, false hit {}\n",
      r.rows.checked, r.rows.sink, r.rows.bulk, r.rows.errors, r.rows.wrong, r.rows.missing, r.rows.repeated,
      r.rows.false_miss, r.rows.false_hit);
  text += fmt::format("  commands  {}, records {}, cycles {}\n", r.commands, r.records, r.cycles);
  for (const auto& [what, value] : r.measured) text += fmt::format("  {}: {}\n", what, value);
  text += "  counters ";
  std::size_t width = 0;
  for (const auto& [what, value] : r.counters) {
    const std::string item = fmt::format(" {}={}", what, value);
    if (width + item.size() > 100) {
      text += "\n           ";
      width = 0;
    }
    width += item.size();
    text += item;
  }
  text += "\n";
  for (const auto& what : r.broken) text += fmt::format("  does not hold: {}\n", what);
  return text;
}

ordered_json to_json(const std::string& name, const StressOptions& options, const tb::StressResult& r) {
  ordered_json json;
  json["scenario"] = name;
  json["config"] = command::name(options.config);
  json["seed"] = options.seed;
  json["equal"] = r.equal();
  json["rows"] = {{"checked", r.rows.checked},    {"sram", r.rows.sink},
                  {"hbm", r.rows.bulk},           {"errors", r.rows.errors},
                  {"wrong", r.rows.wrong},        {"missing", r.rows.missing},
                  {"repeated", r.rows.repeated},  {"false_miss", r.rows.false_miss},
                  {"false_hit", r.rows.false_hit}};
  json["cycles"] = r.cycles;
  json["commands"] = r.commands;
  json["records"] = r.records;
  json["differences"] = r.differences;
  json["broken"] = r.broken;
  json["measured"] = ordered_json::object();
  for (const auto& [what, value] : r.measured) json["measured"][what] = value;
  json["counters"] = ordered_json::object();
  for (const auto& [what, value] : r.counters) json["counters"][what] = value;
  return json;
}

}  // namespace

int cmd_stress(const StressOptions& options) {
  if (options.list) {
    for (const auto& s : tb::scenarios()) fmt::print("{:<22}{}\n", s.name, s.what);
    return kEqual;
  }
  std::vector<std::string> names;
  for (const auto& s : tb::scenarios()) {
    if (!options.name || *options.name == s.name) names.emplace_back(s.name);
  }
  if (names.empty()) return fail({fmt::format("there is no scenario '{}' (see kvsink stress --list)", *options.name)});
  const bool quiet = options.json && *options.json == "-";
  int status = kEqual;
  ordered_json all = ordered_json::array();
  for (const auto& name : names) {
    const auto r = tb::stress(name, command::name(options.config), options.seed);
    for (const auto& d : r.first) fmt::print(stderr, "{}: cycle {}: {}\n", d.unit, d.cycle, d.what);
    if (!r.error.empty()) {
      fail({fmt::format("{}: {}", name, r.error)});
      status = kDifferent;
      continue;
    }
    if (!quiet) fmt::print("{}", summary(name, r));
    if (options.json) all.push_back(to_json(name, options, r));
    if (options.log) {
      if (const auto ok = model::write_log(*options.log, r.log); !ok) return fail(ok.error());
    }
    if (!r.equal()) status = kDifferent;
  }
  if (options.json) {
    const auto text = (options.name ? all.empty() ? ordered_json() : all[0] : all).dump(1) + "\n";
    if (const auto ok = write_text(*options.json, text); !ok) return fail(ok.error());
  }
  return status;
}

}  // namespace kvsink::command

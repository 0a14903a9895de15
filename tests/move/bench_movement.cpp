// SPDX-License-Identifier: Apache-2.0
// `make bench-movement`: prints the table of figures and writes it as JSON; compares with what is checked in.
//   bench_movement [--tiers FILE] [--json FILE] [--expect FILE] [--write FILE] [--quick]
//                  [--table]
// --table: the plain table alone, without banked memory, reads in flight and lead times.
// Exit status: 0 all as expected, 1 a difference or a row that was wrong, 2 bad usage.
#include <fmt/format.h>

#include <cmath>
#include <cstdio>
#include <fstream>
#include <initializer_list>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "move/move_cases.hpp"
#include "tb/common/dram.hpp"

namespace {

namespace tb = kvsink::tb;
using kvsink::move::Figure;
using nlohmann::ordered_json;

/// The figures are deterministic; the tolerance lets a change of a few cycles pass that changes no figure asked for.
constexpr double kTolerance = 0.005;

ordered_json to_json(const std::vector<Figure>& figures) {
  ordered_json out;
  out["config"] = "default";
  out["bus_bits"] = 256;
  out["memory"] = "one port, beats in order of the reads, one a cycle, latency as named from AR to the first beat";
  for (const Figure& f : figures) {
    out["cases"].push_back({{"name", f.name},
                            {"memory", f.memory},
                            {"unit", f.unit},
                            {"value", std::round(f.value * 1e4) / 1e4},
                            {f.at_most ? "at_most" : "at_least", f.wanted},
                            {"asked", f.asked},
                            {"reached", f.reached()},
                            {"useful_beats", f.useful},
                            {"table_beats", f.table},
                            {"dropped_beats", f.dropped},
                            {"bursts", f.bursts},
                            {"rows_checked", f.rows_checked},
                            {"rows_wrong", f.wrong.size()}});
  }
  return out;
}

int usage() {
  std::fputs(
      "bench_movement: usage: bench_movement [--tiers FILE] [--json FILE] [--expect FILE] [--write FILE] [--quick] "
      "[--table]\n",
      stderr);
  return 2;
}

}  // namespace

int main(int argc, char** argv) {
  std::string json_file;
  std::string expect_file;
  std::string write_file;
  std::string tiers_file;
  bool quick = false;
  bool table = false;
  for (int i = 1; i < argc; ++i) {
    const std::string arg = argv[i];
    if (arg == "--quick") {
      quick = true;
    } else if (arg == "--table") {
      table = true;
    } else if (i + 1 < argc && arg == "--tiers") {
      tiers_file = argv[++i];
    } else if (i + 1 < argc && arg == "--json") {
      json_file = argv[++i];
    } else if (i + 1 < argc && arg == "--expect") {
      expect_file = argv[++i];
    } else if (i + 1 < argc && arg == "--write") {
      write_file = argv[++i];
    } else {
      return usage();
    }
  }
  ordered_json expected;
  if (!expect_file.empty()) {
    std::ifstream in(expect_file);
    expected = ordered_json::parse(in, nullptr, false);
    if (expected.is_discarded() || !expected.contains("cases")) {
      fmt::print(stderr, "bench_movement: {}: not a file of figures\n", expect_file);
      return 2;
    }
  }
  std::vector<kvsink::move::Tier> tiers;
  if (!tiers_file.empty()) {
    std::ifstream in(tiers_file);
    const auto file = ordered_json::parse(in, nullptr, false);
    if (file.is_discarded() || !file.contains("tiers")) {
      fmt::print(stderr, "bench_movement: {}: not a file of tiers\n", tiers_file);
      return 2;
    }
    for (const auto& [name, tier] : file["tiers"].items()) {
      tiers.push_back({name, tier.value("latency", 0U), tier.value("bandwidth", 0.0)});
      if (tiers.back().latency == 0 || tiers.back().bandwidth <= 0) {
        fmt::print(stderr, "bench_movement: {}: tier '{}' needs latency and bandwidth\n", tiers_file, name);
        return 2;
      }
    }
  }

  const std::vector<Figure> figures = kvsink::move::movement_figures(quick);
  fmt::print("{:<72} {:>9} {:>9} {:>9} {:>7} {:>8} {:>8}\n", "case (256-bit bus, default configuration)", "figure",
             "asked", "useful", "table", "dropped", "bursts");
  bool good = true;
  for (const Figure& f : figures) {
    const std::string asked = f.asked ? fmt::format("{}{:.4g}", f.at_most ? "<= " : ">= ", f.wanted) : "-";
    fmt::print("{:<72} {:>9.4f} {:>9} {:>9} {:>7} {:>8} {:>8}{}\n", f.name + ", " + f.memory, f.value, asked, f.useful,
               f.table, f.dropped, f.bursts, f.asked && !f.reached() ? "  NOT REACHED" : "");
    for (const auto& w : f.wrong) fmt::print("    wrong: {}\n", w);
    good &= f.wrong.empty();
  }
  ordered_json out = to_json(figures);
  if (!table) {
    const tb::DramTiming dram;
    fmt::print(
        "\nBanked memory: {} banks, rows of {} B; tRCD {}, tRP {}, tRAS {}, tRTP {}, tFAW {}, tCL {}, refresh of {} "
        "every {}"
        " cycles; a controller that sees {} pieces, open rows first.\n"
        "Cycles for the same reads: the design; that controller always fed; an oracle that knows all; the bound.\n",
        dram.banks, dram.row_bytes, dram.trcd, dram.trp, dram.tras, dram.trtp, dram.tfaw, dram.tcl, dram.trfc,
        dram.trefi, dram.queue);
    fmt::print("{:<64} {:>8} {:>8} {:>8} {:>8}  {:<14} {:>7} {:>8} {:>7} {:>6}\n", "case", "cycles", "fed", "oracle",
               "bound", "set by", "/fed", "/oracle", "asked", "util");
    out["dram"] = {{"banks", dram.banks}, {"row_bytes", dram.row_bytes}, {"trcd", dram.trcd},  {"trp", dram.trp},
                   {"tras", dram.tras},   {"trtp", dram.trtp},           {"tfaw", dram.tfaw},  {"tcl", dram.tcl},
                   {"trefi", dram.trefi}, {"trfc", dram.trfc},           {"queue", dram.queue}};
    for (const auto& f : kvsink::move::banked_figures(quick)) {
      const double fed = static_cast<double>(f.fed) / static_cast<double>(f.cycles);
      fmt::print("{:<64} {:>8} {:>8} {:>8} {:>8}  {:<14} {:>7.4f} {:>8.4f} {:>7} {:>6.3f}{}\n",
                 f.name + ", latency " + std::to_string(f.latency), f.cycles, f.fed, f.oracle, f.bound, f.binds, fed,
                 f.relative(), fmt::format(">= {:.2f}", f.wanted), f.utilisation(), f.reached() ? "" : "  NOT REACHED");
      for (const auto& w : f.wrong) fmt::print("    wrong: {}\n", w);
      good &= f.wrong.empty();
      out["banked"].push_back({{"name", f.name},
                               {"latency", f.latency},
                               {"cycles", f.cycles},
                               {"fed", f.fed},
                               {"oracle", f.oracle},
                               {"bound", f.bound},
                               {"bound_by", f.binds},
                               {"relative_to_oracle", std::round(f.relative() * 1e4) / 1e4},
                               {"relative_to_fed", std::round(fed * 1e4) / 1e4},
                               {"utilisation", std::round(f.utilisation() * 1e4) / 1e4},
                               {"at_least", f.wanted},
                               {"reached", f.reached()},
                               {"useful_beats", f.useful},
                               {"reads", f.reads},
                               {"activations", f.activations},
                               {"oracle_activations", f.oracle_activations},
                               {"wrong", f.wrong.size()}});
    }
  }
  if (!quick && !table) {
    fmt::print("\nUtilisation with at most N reads in flight (bulk / promotion):\n{:>6} {:>8}", "row", "latency");
    uint32_t row = 0;
    uint32_t latency = 0;
    const auto in_flight = kvsink::move::in_flight_figures();
    for (const auto& f : in_flight) {
      if (f.row_bytes == in_flight[0].row_bytes && f.latency == in_flight[0].latency) fmt::print(" {:>11}", f.limit);
    }
    for (const auto& f : in_flight) {
      if (f.row_bytes != row || f.latency != latency) fmt::print("\n{:>6} {:>8}", f.row_bytes, f.latency);
      row = f.row_bytes;
      latency = f.latency;
      fmt::print(" {:.3f}/{:.3f}", f.bulk, f.promotion);
      for (const auto& w : f.wrong) fmt::print("\n    wrong: {}", w);
      good &= f.wrong.empty();
      out["in_flight"].push_back({{"row_bytes", f.row_bytes},
                                  {"latency", f.latency},
                                  {"limit", f.limit},
                                  {"bulk", std::round(f.bulk * 1e4) / 1e4},
                                  {"promotion", std::round(f.promotion * 1e4) / 1e4}});
    }
    fmt::print("\n");
  }
  if (!tiers.empty()) {
    fmt::print(
        "\nA token of 8 layers and 2 heads (8 KiB), promoted some time before a decode of 256 tokens a layer from "
        "{}:\n",
        tiers.front().name);
    fmt::print("{:<14} {:>12} {:>14} {:>22}\n", "home tier", "lead", "decode waits", "descriptor to end");
    for (const auto& lead : kvsink::move::lead_times(tiers)) {
      fmt::print("{:<14} {:>12} {:>14} {:>22}\n", lead.tier, lead.lead, lead.exposed, lead.whole);
      for (const auto& w : lead.wrong) fmt::print("    wrong: {}\n", w);
      good &= lead.wrong.empty();
      out["lead_times"].push_back(
          {{"tier", lead.tier}, {"lead", lead.lead}, {"exposed", lead.exposed}, {"whole", lead.whole}});
    }
  }
  for (const std::string& file : {json_file, write_file}) {
    if (file.empty()) continue;
    std::ofstream stream(file);
    stream << out.dump(1) << '\n';
    if (!stream) {
      fmt::print(stderr, "bench_movement: {}: cannot be written\n", file);
      return 2;
    }
  }
  if (!expect_file.empty()) {
    if (!tiers.empty() && expected.contains("lead_times") && expected["lead_times"] != out["lead_times"]) {
      fmt::print("differs from {}: lead times\n", expect_file);
      good = false;
    }
    const auto differs = [&](const char* section, std::initializer_list<const char*> values) {
      if (!expected.contains(section) || !out.contains(section)) return;
      const auto& was = expected[section];
      const auto& is = out[section];
      bool same = was.size() == is.size();
      for (size_t i = 0; same && i < was.size(); ++i) {
        for (const char* value : values) {
          same &= std::fabs(was[i].value(value, NAN) - is[i].value(value, 0.0)) <= kTolerance;
        }
      }
      if (!same) fmt::print("differs from {}: {}\n", expect_file, section);
      good &= same;
    };
    differs("banked", {"relative_to_oracle", "utilisation"});
    differs("in_flight", {"bulk", "promotion"});
    const auto& cases = expected["cases"];
    if (cases.size() != figures.size()) {
      fmt::print("{} cases, expected {}\n", figures.size(), cases.size());
      good = false;
    }
    for (size_t i = 0; i < std::min(cases.size(), figures.size()); ++i) {
      const double was = cases[i].value("value", NAN);
      const bool same =
          cases[i].value("name", "") == figures[i].name && cases[i].value("memory", "") == figures[i].memory;
      const double slack = figures[i].unit == "cycles" ? 0.0 : kTolerance;
      if (!same || !(std::fabs(was - figures[i].value) <= slack)) {
        fmt::print("differs from {}: {}: {:.4f}, expected {:.4f}\n", expect_file, figures[i].name, figures[i].value,
                   was);
        good = false;
      }
    }
  }
  return good ? 0 : 1;
}

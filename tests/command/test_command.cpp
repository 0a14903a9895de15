// SPDX-License-Identifier: Apache-2.0
// The command as a user runs it: right input gives right files, wrong input gives one line and exit status 2.
#include <sys/wait.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <limits>
#include <nlohmann/json.hpp>
#include <sstream>
#include <string>
#include <vector>

#include "command_support.hpp"
#include "support/catch.hpp"
#include "sw/golden/bytes.hpp"
#include "sw/trace/trace.hpp"
#include "tests/trace/broken_traces.hpp"
#include "tests/trace/trace_file.hpp"

namespace {

using namespace kvsink::test;  // NOLINT: what the tests of the command share
namespace trace = kvsink::trace;

constexpr const char* kTrace = "tests/data/tiny1m_p0.safetensors";

}  // namespace

TEST_CASE("a broken trace ends every command with one line and status 2", "[command]") {
  TempFolder folder;
  const std::string path = folder / "broken.safetensors";
  for (const auto& broken : kvsink::test::broken_traces()) {
    INFO(broken.what);
    write_file(path, broken.bytes);
    std::vector<std::string> parts = broken.holds;
    parts.push_back(path);
    check_refused(kvsink_run(folder, {"info", path}), parts);
    check_refused(kvsink_run(folder, {"golden", path, "--out", folder / "out"}), parts);
    CHECK_FALSE(std::filesystem::exists(folder / "out"));
  }
}

TEST_CASE("wrong usage is told in one line that names the option and the value", "[command]") {
  TempFolder folder;
  const std::string out = folder / "out";
  struct Case {
    std::vector<std::string> arguments;
    std::vector<std::string> parts;
  };
  const std::vector<Case> cases = {
      {{}, {"subcommand"}},
      {{"nonsense"},
       {"'nonsense'", "replay, plan, golden, diff, merge, info, capture, import, synth-trace, log, stress"}},
      {{"--nonsense"}, {""}},
      {{"replay"}, {"TRACE"}},
      {{"replay", kTrace, "more"}, {"more"}},
      {{"replay", kTrace, "--nonsense"}, {"--nonsense"}},
      {{"replay", kTrace, "--config", "huge"}, {"--config", "'huge'", "small|default|large"}},
      {{"replay", kTrace, "--policy", "lru"}, {"--policy", "'lru'", "sinks|fill|dynamic|hbm"}},
      {{"replay", kTrace, "--budget", "-1"}, {"--budget", "'-1'", "0 to 65535"}},
      {{"replay", kTrace, "--budget", "65536"}, {"--budget", "'65536'"}},
      {{"replay", kTrace, "--budget", "8x"}, {"--budget", "'8x'"}},
      {{"replay", kTrace, "--budget", "3", "--policy", "hbm"}, {"--budget", "3", "hbm"}},
      {{"replay", kTrace, "--latency", "0"}, {"--latency", "'0'", "1 to 100000"}},
      {{"replay", kTrace, "--latency", "99999999999999999999"}, {"--latency", "'99999999999999999999'"}},
      {{"replay", kTrace, "--stall", "91"}, {"--stall", "'91'", "0 to 90"}},
      {{"replay", kTrace, "--stall", "1.5"}, {"--stall", "'1.5'"}},
      {{"replay", kTrace, "--seed", "one"}, {"--seed", "'one'"}},
      {{"replay", kTrace, "--seed"}, {"--seed"}},
      {{"replay", kTrace, "--tiers", folder / "none"}, {"--tiers", folder / "none"}},
      {{"replay", kTrace, "--out", folder / "no/out"}, {"--out", folder / "no"}},
      {{"replay", kTrace, "--json", folder.path().string()}, {"--json", "folder"}},
      {{"replay", kTrace, "--fst", folder / "no/f"}, {"--fst", folder / "no"}},
      {{"replay", kTrace, "--out", out, "--json", out}, {"same file"}},
      {{"replay", kTrace, "--out", kTrace}, {"--out", kTrace, "overwritten"}},
      {{"replay", folder / "none"}, {folder / "none"}},
      {{"replay", kTrace, "--log", folder / "no/log"}, {"--log", folder / "no"}},
      {{"stress", "nonsense"}, {"'nonsense'", "--list"}},
      {{"stress", "--seed", "x"}, {"--seed", "'x'"}},
      {{"stress", "--log", out}, {"--log", "scenario"}},
      {{"golden", kTrace}, {"--out"}},
      {{"golden", folder / "none", "--out", out}, {folder / "none", "no such file"}},
      {{"golden", kTrace, "--out", kTrace}, {"overwritten"}},
      {{"golden", kTrace, "--out", folder / "no/out"}, {folder / "no"}},
      {{"diff", kTrace}, {"B"}},
      {{"diff", kTrace, kTrace, "--ulp", "-1"}, {"--ulp", "'-1'"}},
      {{"diff", kTrace, kTrace, "--ulp", "nan"}, {"--ulp", "'nan'"}},
      {{"diff", kTrace, folder / "none"}, {folder / "none"}},
      {{"diff", folder / "none", kTrace, "--json", kTrace}, {"--json", kTrace, "overwritten"}},
      {{"merge", kTrace}, {"--out"}},
      {{"merge", kTrace, "--out", out, "--base", "10"}, {"--base", "'10'", "e|2"}},
      {{"merge", kTrace, "--out", out, "--format", "fp8"}, {"--format", "'fp8'", "fp32|fp16|bf16"}},
      {{"merge", folder / "none", "--out", out}, {folder / "none"}},
      {{"info", kTrace, "--json", folder / "no/json"}, {"--json"}},
  };
  for (const Case& c : cases) {
    std::string line;
    for (const auto& argument : c.arguments) {
      line += argument + " ";
    }
    INFO(line);
    const Outcome outcome = kvsink_run(folder, c.arguments);
    if (holds(outcome.err, "made without the block")) {
      WARN("not checked, this build has no block: " << line);
      continue;
    }
    check_refused(outcome, c.parts);
  }
  CHECK_FALSE(std::filesystem::exists(out));
}

TEST_CASE("every level has its help, on standard output with status 0", "[command]") {
  TempFolder folder;
  for (const std::vector<std::string>& level : std::vector<std::vector<std::string>>{
           {}, {"replay"}, {"golden"}, {"diff"}, {"merge"}, {"info"}, {"log"}, {"stress"}}) {
    auto arguments = level;
    arguments.emplace_back("--help");
    const Outcome help = kvsink_run(folder, arguments);
    CHECK(help.status == 0);
    CHECK(holds(help.out, "Usage: kvsink" + (level.empty() ? "" : " " + level.front())));
    CHECK(help.err.empty());
  }
  const Outcome replay = kvsink_run(folder, {"replay", "--help"});
  for (const char* option : {"--config", "--policy", "--budget", "--tiers", "--home", "--latency", "--stall", "--seed",
                             "--out", "--json", "--fst", "--log"}) {
    INFO(option);
    CHECK(holds(replay.out, option));
  }
}

TEST_CASE("golden writes a trace's outputs, and diff finds them equal to the trace's own", "[command]") {
  TempFolder folder;
  const std::string out = folder / "golden.safetensors";
  const Outcome golden = kvsink_run(folder, {"golden", kTrace, "--out", out});
  CHECK(golden.status == 0);
  CHECK(golden.err.empty());  // no progress in a pipe
  const auto written = trace::read_outputs(out);
  REQUIRE(written);
  CHECK((written->L == 4 && written->N == 128 && written->Hq == 2 && written->d == 64));
  const Outcome diff = kvsink_run(folder, {"diff", kTrace, out, "--ulp", "2"});
  CHECK(diff.status == 0);
  CHECK(holds(diff.out, "1024 outputs"));
}

TEST_CASE("diff finds one changed element and tells its layer, head, step and size", "[command]") {
  TempFolder folder;
  auto out = trace::Outputs::for_trace({3, 10, 2, 2, 4, 5});
  std::fill(out.o.begin(), out.o.end(), 1.0F);
  std::fill(out.lse.begin(), out.lse.end(), 8.0F);
  REQUIRE(trace::write_outputs(folder / "a", out, {}));
  auto changed = out;
  changed.o_row(changed.index(2, 4, 1))[3] = 1.0F + 0x1p-18F;  // 32 ulp of 1
  changed.o_row(changed.index(0, 1, 0))[0] = 1.0F + 0x1p-22F;  // 2 ulp of 1
  changed.lse[changed.index(1, 2, 0)] = 8.0F + 0x1p-19F;       // 2 ulp of 8
  REQUIRE(trace::write_outputs(folder / "b", changed, {}));

  const Outcome same = kvsink_run(folder, {"diff", folder / "a", folder / "a", "--ulp", "0"});
  CHECK(same.status == 0);
  CHECK(holds(same.out, "30 equal bit for bit"));

  const Outcome beyond = kvsink_run(folder, {"diff", folder / "a", folder / "b"});
  CHECK(beyond.status == 1);
  CHECK(holds(beyond.out, "27 equal bit for bit, 2 within 16 ulp, 1 beyond"));
  // Worst first: layer 2, head 1, step 4, 32 ulp, 3.81e-06, element 3.
  const auto table = beyond.out.find("lse abs\n");
  REQUIRE(table != std::string::npos);
  std::istringstream row(beyond.out.substr(table + 8));
  std::vector<std::string> words;
  for (std::string word; words.size() < 6 && row >> word;) {
    words.push_back(word);
  }
  CHECK(words == std::vector<std::string>{"2", "1", "4", "32", "3.81e-06", "3"});

  CHECK(kvsink_run(folder, {"diff", folder / "a", folder / "b", "--ulp", "32"}).status == 0);
  CHECK(kvsink_run(folder, {"diff", folder / "a", folder / "b", "--ulp", "1.5"}).status == 1);
  const Outcome few = kvsink_run(folder, {"diff", folder / "a", folder / "b", "--lines", "0"});
  CHECK(few.status == 1);
  CHECK_FALSE(holds(few.out, "3.81e-06"));
}

TEST_CASE("diff counts in JSON what it tells in text", "[command]") {
  TempFolder folder;
  auto out = trace::Outputs::for_trace({3, 10, 2, 2, 4, 5});
  std::fill(out.o.begin(), out.o.end(), 1.0F);
  REQUIRE(trace::write_outputs(folder / "a", out, {}));
  out.o[0] = 1.0F + 0x1p-22F;  // 2 ulp: the upper edge of its bin
  out.o[4] = 1.0F + 0x1p-18F;  // 32 ulp
  out.lse[7] = 0x1p-24F;       // half an ulp of max(1, |lse|)
  REQUIRE(trace::write_outputs(folder / "b", out, {}));
  const Outcome diff = kvsink_run(folder, {"diff", folder / "a", folder / "b", "--json", "-"});
  CHECK(diff.status == 1);
  const auto json = nlohmann::json::parse(diff.out);
  CHECK(json["outputs"] == 30);
  CHECK(json["equal"] == 27);
  CHECK(json["beyond"] == 1);
  CHECK(json["max_o_ulp"] == 32.0);
  CHECK(json["max_lse_ulp"] == 0.5);
  const std::vector<std::pair<std::string, int>> bins = {{"0", 27},     {"0 to 0.5", 1}, {"0.5 to 1", 0}, {"1 to 2", 1},
                                                         {"2 to 4", 0}, {"4 to 8", 0},   {"8 to 16", 0},  {"> 16", 1}};
  REQUIRE(json["histogram"].size() == bins.size());
  for (std::size_t i = 0; i < bins.size(); ++i) {
    CHECK(json["histogram"][i]["ulp"] == bins[i].first);
    CHECK(json["histogram"][i]["count"] == bins[i].second);
  }
}

TEST_CASE("diff takes no NaN for equal to a number, and refuses other shapes", "[command]") {
  TempFolder folder;
  auto out = trace::Outputs::for_trace({1, 10, 2, 2, 4, 5});
  REQUIRE(trace::write_outputs(folder / "a", out, {}));
  out.o[3] = std::numeric_limits<float>::quiet_NaN();
  REQUIRE(trace::write_outputs(folder / "nan", out, {}));
  CHECK(kvsink_run(folder, {"diff", folder / "a", folder / "nan", "--ulp", "1e30"}).status == 1);
  CHECK(kvsink_run(folder, {"diff", folder / "nan", folder / "a", "--ulp", "1e30"}).status == 1);
  CHECK(kvsink_run(folder, {"diff", folder / "nan", folder / "nan"}).status == 0);
  out.o[3] = 0;
  out.lse[2] = -std::numeric_limits<float>::infinity();
  REQUIRE(trace::write_outputs(folder / "inf", out, {}));
  CHECK(kvsink_run(folder, {"diff", folder / "a", folder / "inf", "--ulp", "1e30"}).status == 1);
  CHECK(kvsink_run(folder, {"diff", folder / "inf", folder / "inf"}).status == 0);
  const auto other = trace::Outputs::for_trace({1, 10, 2, 2, 4, 6});
  REQUIRE(trace::write_outputs(folder / "other", other, {}));
  check_refused(kvsink_run(folder, {"diff", folder / "a", folder / "other"}),
                {folder / "other", "[1][6][2][4]", "[1][5][2][4]"});
}

TEST_CASE("info tells mass and bytes apart, as text and as JSON", "[command]") {
  TempFolder folder;
  const Outcome text = kvsink_run(folder, {"info", kTrace, "--json", folder / "info.json"});
  CHECK(text.status == 0);
  for (const char* part :
       {"shibatch/tiny1m", "MIT", "256: 128 prefill, 128 decode steps", "2048 bytes", "mass", "bytes"}) {
    INFO(part);
    CHECK(holds(text.out, part));
  }
  const auto json = nlohmann::json::parse(slurp(folder / "info.json"));
  const auto t = trace::Trace::load(kTrace);
  REQUIRE(t);
  CHECK(json["bytes"]["kv_needed"] == kvsink::golden::kv_needed(*t));
  CHECK(json["mass"]["by_position"].size() == 256);
  double sum = 0;
  for (const auto& mass : json["mass"]["by_position"]) {
    sum += mass.get<double>();
  }
  CHECK(sum == Approx(1.0));
  // The sink of this trace: position 0, with far more of the mass than of the bytes.
  CHECK(json["mass"]["top"][0]["position"] == 0);
  CHECK(json["mass"]["top"][0]["mass"].get<double>() > 10 * json["mass"]["top"][0]["bytes_share"].get<double>());

  // Position 0 is read in each of the 128 steps, whose contexts have 129 to 256 tokens.
  CHECK(json["mass"]["top"][0]["bytes_share"].get<double>() == Approx(128.0 / (128 * (129 + 256) / 2.0)));

  const Outcome piped = kvsink_run(folder, {"info", kTrace, "--json", "-"});
  CHECK(piped.status == 0);
  CHECK(nlohmann::json::parse(piped.out) == json);
  CHECK(piped.err.empty());
}

// SPDX-License-Identifier: Apache-2.0
// What `make run` prints and writes, with a stand-in for the replay whose numbers are known.
#include <sys/wait.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "support/catch.hpp"
#include "tests/trace/trace_file.hpp"

namespace {

using kvsink::test::TempFolder;

struct Outcome {
  int status;
  std::string out;
  std::string err;
};

std::string slurp(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

/// Runs scripts/run.py with the stand-in; `environment` is set for it.
Outcome run_script(const TempFolder& folder, const std::string& environment,
                   const std::string& trace = "tests/data/tiny1m_p0.safetensors") {
  const std::string line = environment +
                           " KVSINK_REAL='" KVSINK_COMMAND "' '" KVSINK_PYTHON
                           "' scripts/run.py --kvsink tests/command/fake_kvsink.sh --trace '" +
                           trace + "' --out '" + (folder / "report") + "' >'" + (folder / "stdout") + "' 2>'" +
                           (folder / "stderr") + "'";
  const int status = std::system(line.c_str());
  return {WIFEXITED(status) ? WEXITSTATUS(status) : -1, slurp(folder / "stdout"), slurp(folder / "stderr")};
}

bool holds(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

}  // namespace

TEST_CASE("the run's summary has both policies, and keeps mass and bytes apart", "[command]") {
  TempFolder folder;
  const Outcome run = run_script(folder, "");
  INFO(run.out << run.err);
  REQUIRE(run.status == 0);
  for (const char* part :
       {"shibatch/tiny1m: 256 tokens", "sinks in SRAM", "all from HBM", "1 (at 0)", "9.88 %", "50,200,576",
        "50,462,720", "1.0001", "95.6 %", "Mass is not bytes: SRAM served 9.88 % of the attention mass with 0.52 %",
        "788,480 rows and 2,048 outputs compared with the golden model: 0 differences."}) {
    INFO(part);
    CHECK(holds(run.out, part));
  }
  CHECK(holds(run.out, folder / "report/index.html"));
  CHECK_FALSE(holds(run.err, "\x1b"));  // no terminal, no rewriting of lines
}

TEST_CASE("the report is one file that needs no other, and holds its numbers as JSON", "[command]") {
  TempFolder folder;
  REQUIRE(run_script(folder, "").status == 0);
  const std::string page = slurp(folder / "report/index.html");
  CHECK(page.starts_with("<!doctype html>"));
  for (const char* outside : {"http:", "https:", "src=", "href=", "@import", "url("}) {
    INFO(outside);
    CHECK_FALSE(holds(page, outside));
  }
  for (const char* part : {"<svg", "prefers-color-scheme: dark", "Attention mass by position", "Bytes by path",
                           "Cycles and bus utilisation", "Error in ulp", "Mass is not bytes", "50,462,720"}) {
    INFO(part);
    CHECK(holds(page, part));
  }
  const std::string open = "id=\"data\">";
  const auto begin = page.find(open);
  REQUIRE(begin != std::string::npos);
  const auto data = nlohmann::json::parse(
      page.substr(begin + open.size(), page.find('<', begin + open.size()) - begin - open.size()));
  CHECK(data == nlohmann::json::parse(slurp(folder / "report/run.json")));
  CHECK(data["runs"][0]["replay"]["sinks"][0]["position"] == 0);
  CHECK(data["runs"][1]["replay"]["policy"] == "hbm");
}

TEST_CASE("a trace without a sink is replayed under fill as well, each trace has its report", "[command]") {
  TempFolder folder;
  const Outcome run =
      run_script(folder, "", "tests/data/tiny1m_p0.safetensors' --trace 'tests/data/stories260K_lily.safetensors");
  INFO(run.out << run.err);
  REQUIRE(run.status == 0);
  const auto labels = [&](const std::string& path) {
    std::vector<std::string> out;
    const auto data = nlohmann::json::parse(slurp(path));
    for (const auto& one : data["runs"]) {
      out.push_back(one["replay"]["policy"]);
    }
    return out;
  };
  CHECK(labels(folder / "report/run.json") == std::vector<std::string>{"sinks", "hbm"});
  CHECK(labels(folder / "report/stories260K_lily/run.json") == std::vector<std::string>{"sinks", "fill", "hbm"});
  CHECK(holds(run.out, "strongest in SRAM"));
  CHECK(holds(run.out, "karpathy/tinyllamas stories260K"));
  CHECK(std::filesystem::exists(folder / "report/stories260K_lily/index.html"));
}

TEST_CASE("the page about a trace has heat maps of its heads and over time, and keeps mass apart", "[command]") {
  TempFolder folder;
  REQUIRE(run_script(folder, "").status == 0);
  const std::string page = slurp(folder / "report/info.html");
  for (const char* outside : {"http:", "https:", "src=", "href=", "@import", "url("}) {
    INFO(outside);
    CHECK_FALSE(holds(page, outside));
  }
  for (const char* part :
       {"heat map", "Where the mass of each head goes", "Where it goes over time", "Does the choice hold?",
        "L3 H1, 0 to 1: 22.", "This is attention mass", "reads the same bytes"}) {
    INFO(part);
    CHECK(holds(page, part));
  }
  CHECK_FALSE(holds(page, "Synthetic"));

  // A synthetic trace says so on both pages and in the summary.
  const std::string made = folder / "s.safetensors";
  REQUIRE(std::system(
              ("'" KVSINK_COMMAND "' synth-trace --tokens 128 --steps 8 --out '" + made + "' >/dev/null").c_str()) ==
          0);
  const Outcome run = run_script(folder, "", made);
  REQUIRE(run.status == 0);
  CHECK(holds(run.out, "SYNTHETIC trace"));
  CHECK(holds(slurp(folder / "report/info.html"), "Synthetic: made up by a program"));
  CHECK(holds(slurp(folder / "report/index.html"), "Synthetic: made up by a program"));
}

TEST_CASE("the run's exit status is the worst of its replays'", "[command]") {
  TempFolder folder;
  const Outcome wrong = run_script(folder, "FAKE_STATUS=1 FAKE_WRONG=3");
  CHECK(wrong.status == 1);
  CHECK(holds(wrong.out, "3 differences: FAILED"));
  CHECK(holds(slurp(folder / "report/index.html"), "class=\"verdict bad\""));

  // What no column names, such as a row out of order, counts as well.
  CHECK(holds(run_script(folder, "FAKE_TOTAL=4").out, "8 differences: FAILED"));

  const Outcome refused = run_script(folder, "FAKE_STATUS=2");
  CHECK(refused.status == 2);
  CHECK(holds(refused.err, "something is not right"));
  CHECK_FALSE(holds(refused.out, "differences"));

  const Outcome missing = run_script(folder, "", folder / "none");
  CHECK(missing.status == 2);
  CHECK(holds(missing.err, "no such file"));
  CHECK_FALSE(holds(missing.err, "Traceback"));
}

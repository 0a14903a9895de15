// SPDX-License-Identifier: Apache-2.0
// Runs the built command as a user does, and says what wrong input has to look like.
#pragma once

#include <sys/wait.h>

#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include "support/catch.hpp"
#include "tests/trace/trace_file.hpp"

namespace kvsink::test {

struct Outcome {
  int status;
  std::string out;
  std::string err;
};

inline std::string slurp(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

inline std::string in_shell(const std::string& word) {
  std::string out = "'";
  for (const char c : word) {
    out += c == '\'' ? std::string("'\\''") : std::string(1, c);
  }
  return out + "'";
}

inline Outcome kvsink_run(const TempFolder& folder, const std::vector<std::string>& arguments) {
  std::string line = in_shell(KVSINK_COMMAND);
  for (const std::string& argument : arguments) {
    line += " " + in_shell(argument);
  }
  line += " >" + in_shell(folder / "stdout") + " 2>" + in_shell(folder / "stderr") + " </dev/null";
  const int status = std::system(line.c_str());  // NOLINT(cert-env33-c): a test runs what it built
  return {WIFEXITED(status) ? WEXITSTATUS(status) : -1, slurp(folder / "stdout"), slurp(folder / "stderr")};
}

inline bool holds(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

/// Exit status 2, nothing on standard output, and exactly one line that holds these parts.
inline void check_refused(const Outcome& outcome, const std::vector<std::string>& parts) {
  INFO(outcome.out << "|" << outcome.err);
  CHECK(outcome.status == 2);
  CHECK(outcome.out.empty());
  CHECK(outcome.err.starts_with("kvsink: "));
  CHECK(std::count(outcome.err.begin(), outcome.err.end(), '\n') == 1);
  CHECK(outcome.err.ends_with('\n'));
  for (const std::string& part : parts) {
    INFO(part);
    CHECK(holds(outcome.err, part));
  }
}

}  // namespace kvsink::test

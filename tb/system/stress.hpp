// SPDX-License-Identifier: Apache-2.0
// Named scenarios on the whole block: each drives it into one kind of trouble, and says what must hold there. Rows,
// paths, answers and records are compared all the while, as in SystemEnv.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "sw/models/event_log_file.hpp"
#include "tb/system/differences.hpp"
#include "tb/system/row_scoreboard.hpp"

namespace kvsink::tb {

struct Scenario {
  std::string_view name;
  std::string_view what;  // one line
};
std::span<const Scenario> scenarios();

struct StressResult {
  std::string error;                // not empty: it could not be run or did not end
  std::vector<std::string> broken;  // what had to hold and did not
  RowCounts rows;
  uint64_t cycles = 0, commands = 0, records = 0, differences = 0;
  std::vector<std::pair<std::string, uint64_t>> counters;  // of the block, those that are not 0
  std::vector<std::pair<std::string, uint64_t>> measured;  // what the scenario itself counted
  std::vector<Difference> first;
  model::LogFile log;
  [[nodiscard]] bool equal() const { return error.empty() && broken.empty() && differences == 0; }
};

/// Runs a scenario by its name; an unknown name comes back as `error`.
StressResult stress(std::string_view name, const std::string& config, uint64_t seed);

}  // namespace kvsink::tb

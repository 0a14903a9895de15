// SPDX-License-Identifier: Apache-2.0
// Many sessions over one shared prefix, coming and going in random order, with failures in between.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "tb/system/differences.hpp"
#include "tb/system/row_scoreboard.hpp"

namespace kvsink::tb {

struct SessionsResult {
  std::string error;
  std::vector<std::string> broken;  // what had to hold and did not
  uint64_t arrived = 0, departed = 0, failed = 0, most_at_once = 0, strangers = 0;
  uint64_t promoted = 0;      // grants of the prefix, over the whole run
  uint64_t prefix_lives = 0;  // times that it was set and then named
  uint64_t sink_rows_of_strangers = 0, refused_resets = 0;
  uint64_t cycles = 0, differences = 0;
  RowCounts rows;
  std::vector<Difference> first;
  [[nodiscard]] bool equal() const { return error.empty() && broken.empty() && differences == 0; }
};

/// `sessions` arrivals in all, as many at once as the configuration has owners for.
SessionsResult sessions_on_a_prefix(const std::string& config, uint32_t sessions, uint64_t seed);

}  // namespace kvsink::tb

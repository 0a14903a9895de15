// SPDX-License-Identifier: Apache-2.0
// Random traffic on the whole block, everything at once: commands of many owners, placements by scores, windows and
// drafts, shared prefixes, blocks that move and are used again, resets, bus errors, streams that are not taken, a log
// that fills; and row requests all the while. What is checked is SystemEnv's: every row, path, answer and record.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "tb/common/rng.hpp"
#include "tb/system/env.hpp"

namespace kvsink::tb {

struct StormOptions {
  std::string config = "default";
  uint64_t seed = 1;
  uint64_t power_up = 0;  // BenchOptions
  uint32_t owners = 16;
  unsigned command_gap = 24;  // cycles between commands, on average
  unsigned request_gap = 40;
};

struct StormCounts {
  uint64_t cycles = 0;
  uint64_t commands = 0, requests = 0, granted = 0, refused = 0;
  uint64_t records = 0, lookups = 0;
  uint64_t moved_pages = 0, resets = 0, windows = 0, rewritten = 0, bus_errors = 0, held_streams = 0, batches = 0;
  RowCounts rows;
  uint64_t digest = 0;  // of all outputs in all cycles (Bench::digest), of the last run
  uint64_t differences = 0;
  std::vector<Difference> first;
  std::string error;  // the run could not go on; one line

  StormCounts& operator+=(const StormCounts& other);
  [[nodiscard]] bool equal() const { return error.empty() && differences == 0; }
  /// A few lines for a person.
  [[nodiscard]] std::string text() const;
};

/// One run of about `cycles` cycles from a fresh block, then everything is ended and the books are compared.
StormCounts storm(const StormOptions& options, uint64_t cycles);

}  // namespace kvsink::tb

// SPDX-License-Identifier: Apache-2.0
// Traces that are wrong, one way each, and what the one line about it has to hold: the tests of the reader and of the
// command go through the same list.
#pragma once

#include <string>
#include <vector>

#include "tests/trace/trace_file.hpp"

namespace kvsink::test {

struct BrokenTrace {
  std::string what;                ///< in a few words
  std::string bytes;               ///< of the file
  std::vector<std::string> holds;  ///< each is in the message: tensor or key, value, limit
};

std::vector<BrokenTrace> broken_traces();

}  // namespace kvsink::test

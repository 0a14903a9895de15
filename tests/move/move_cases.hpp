// SPDX-License-Identifier: Apache-2.0
// The cases of the movement bench: what is measured, on which memory, and the figure asked for.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace kvsink::move {

struct Figure {
  std::string name;    // stable: the expectation is looked up by it
  std::string memory;  // latency and what else is special
  std::string unit;    // what `value` is
  double value = 0;
  double wanted = 0;
  bool at_most = false;  // `wanted` is an upper bound
  bool asked = true;     // false: shown beside the table, nothing was asked for
  uint64_t useful = 0;   // beats
  uint64_t table = 0;
  uint64_t dropped = 0;
  uint64_t bursts = 0;
  uint64_t rows_checked = 0;
  std::vector<std::string> wrong;  // what the scoreboard or the memory model found; empty when all is right

  [[nodiscard]] bool reached() const { return at_most ? value <= wanted : value >= wanted; }
};

/// Every case; `quick`: fewer beats, for the tests.
std::vector<Figure> movement_figures(bool quick);

}  // namespace kvsink::move

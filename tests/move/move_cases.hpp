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

/// A tier of the backing memory (sw/tiers.json).
struct Tier {
  std::string name;
  uint32_t latency = 0;    // cycles
  double bandwidth = 1.0;  // beats a cycle
};

/// Cycles that a decode waits for a promotion from this tier which was issued `lead` cycles before it began.
struct Lead {
  std::string tier;
  uint64_t lead = 0;
  uint64_t exposed = 0;  // cycles of decode above those with everything there before
  uint64_t whole = 0;    // cycles from the descriptor to its end, nothing else going on
  std::vector<std::string> wrong;
};

/// A case on banked memory (tb/common/dram.hpp, its default timing) beside what schedulers need for the same reads. All
/// in cycles from the first address to the last beat; those of the schedulers with the latency of the port added.
struct Banked {
  std::string name;
  uint32_t latency = 0;
  double wanted = 0;    // oracle / cycles
  uint64_t cycles = 0;  // the design
  uint64_t fed = 0;     // the memory's controller with its queue always full, in the design's order
  uint64_t oracle = 0;  // all reads known at once, in any order
  uint64_t bound = 0;   // no scheduler is faster
  std::string binds;    // what makes the bound: data bus, busiest bank, or four activates
  uint64_t useful = 0;  // beats
  uint64_t reads = 0;
  uint64_t activations = 0;         // of the design
  uint64_t oracle_activations = 0;  // each row once, and again after a refresh
  std::vector<std::string> wrong;

  [[nodiscard]] double relative() const { return static_cast<double>(oracle) / static_cast<double>(cycles); }
  [[nodiscard]] double utilisation() const { return static_cast<double>(useful) / static_cast<double>(cycles); }
  [[nodiscard]] bool reached() const { return relative() >= wanted; }
};
std::vector<Banked> banked_figures(bool quick);

/// Utilisation with so many reads in flight at most (the limit is the memory's, the design has more), in steady state.
struct InFlight {
  uint32_t row_bytes = 0;
  uint32_t latency = 0;
  uint32_t limit = 0;
  double bulk = 0;       // scattered rows, translations held
  double promotion = 0;  // heads apart
  std::vector<std::string> wrong;
};
std::vector<InFlight> in_flight_figures();

/// Lead times from 0 to twice the latency, for every tier; the context that decode reads lies in the first.
std::vector<Lead> lead_times(const std::vector<Tier>& tiers);

/// Promotions from the fast tier beside ones from the slow one, and alone: their ratio of cycles.
Figure slow_beside_fast(const Tier& fast, const Tier& slow);

/// Every case; `quick`: fewer beats, for the tests.
std::vector<Figure> movement_figures(bool quick);

}  // namespace kvsink::move

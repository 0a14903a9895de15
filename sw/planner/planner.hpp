// SPDX-License-Identifier: Apache-2.0
// Makes plans (docs/theory/residency.md, "Plans"): which tokens are promoted when, in which windows, with what lead.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "sw/trace/result.hpp"
#include "sw/trace/trace.hpp"

namespace kvsink::planner {

/// A tier of the backing memory: cycles from address to first beat, and beats a cycle.
struct Tier {
  std::string name;
  std::uint32_t latency = 0;
  double bandwidth = 1;
  std::optional<double> pj_per_byte = std::nullopt;  ///< energy to read a byte, in picojoules, if the file says
};

/// The file {"tiers": {NAME: {"latency", "bandwidth"}}}; latency 1 to 100,000, bandwidth above 0 to 1; and, if it is to
/// say what moving bytes costs, pj_per_byte of a tier, 0 to 1,000,000. An error names the file, the tier and the value.
Result<std::vector<Tier>> read_tiers(const std::string& path);
/// One of them, and its place in the file, which is its number in promotions (7 at most).
Result<std::pair<Tier, std::uint32_t>> find_tier(const std::string& path, const std::string& name);

/// Picojoules to read a byte of SRAM, from "sram": {"pj_per_byte"} of the same file; none when it does not say.
Result<std::optional<double>> sram_pj_per_byte(const std::string& path);

struct Scored {
  std::uint32_t position = 0;
  double score = 0;  ///< 1.0: an even spread of attention
};

/// Scores of a trace's prefill in exact arithmetic, by the rule of the block's registers as they are after reset; those
/// of at least `t_sink`, strongest first, ties to the lower position.
std::vector<Scored> prefill_scores(const trace::Trace& trace, double t_sink);
/// The same from a file: {"scores": [x of position 0, x of position 1, ...]}.
Result<std::vector<Scored>> read_scores(const std::string& path, double t_sink);

/// What the instance can hold, from its capability registers, and what a token takes of it.
struct Room {
  std::uint32_t slots = 0;    ///< of the profile
  std::uint32_t entries = 0;  ///< granules
  std::uint32_t items = 0;    ///< of a plan
  std::uint64_t slot_beats = 0;
  std::uint32_t beat_bytes = 0;
  std::uint32_t promo_floor = 2;  ///< in 1/32 of the beats
};

struct Wishes {
  std::optional<std::uint32_t> budget = std::nullopt;  ///< tokens at most
  std::uint32_t per_step = 0;                          ///< promotions a step, the strongest first; 0: all at once
  std::uint32_t steps = 0;                             ///< of the decode, each contract lasts to its end
  std::uint32_t committed = 0;                         ///< positions
  std::uint32_t adapt = 0;  ///< promotions by scores, and evictions of choice, a step; 255: any number
};

struct Item {
  enum class Kind : std::uint8_t { kPromote = 1, kWindow, kRegion } kind = Kind::kPromote;
  std::uint32_t step = 0;
  std::uint32_t first = 0;  ///< position
  std::uint32_t count = 0;  ///< region
  std::uint32_t dwell = 0;  ///< promotion; steps that a region lasts, 0: to the end
  std::uint32_t tier = 0;
  std::uint32_t from = 0, until = 0;  ///< cycles from the beginning of the step
  double score = 0;
  std::uint64_t lead = 0;  ///< cycles that the promotion takes, by itself, from descriptor to last beat
  bool operator==(const Item&) const = default;
};

struct Plan {
  std::string trace, config, home;
  std::uint32_t adapt_promotions = 0, adapt_evictions = 0, adapt_slots = 0xffff;
  std::vector<Item> items;
};

/// latency + beats / bandwidth, rounded up.
std::uint64_t lead_cycles(const Tier& tier, std::uint64_t beats);

/// A plan of the strongest tokens that fit: promotions at step 0, 1, ... in a DMA window each step, whose length is
/// what the floor of the port is sure to move in it behind the tier's latency; deadlines by the tier's bandwidth, one
/// behind the other, where that is earlier; one region over all committed positions from the last of these steps on.
Plan make(const std::vector<Scored>& tokens, const Tier& home, std::uint32_t tier, const Room& room,
          const Wishes& wishes);

/// The plan as JSON text, and back. An error names the file and what is wrong in it.
std::string to_json(const Plan& plan);
Result<Plan> read_plan(const std::string& path);

/// "promote position 17", for messages.
std::string describe(const Item& item);

}  // namespace kvsink::planner

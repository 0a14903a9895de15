// SPDX-License-Identifier: Apache-2.0
// What of a trace matters for placement: where the attention mass goes, which tokens are sinks, whether the tokens that
// prefill shows as strong stay so in decode, and what share of the bytes they are. Mass and bytes are never mixed.
//
// Mass is the model's own: a layer's window and learned sink count, where the trace has them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <limits>
#include <vector>

#include "sw/trace/trace.hpp"

namespace kvsink::analysis {

/// The rule by which prefill's scores find sinks; the defaults of the block's registers.
struct ScoreRule {
  double t_sink = 3.0;
  std::uint32_t min_distance = 32;  ///< between a token and a query that counts for it
  std::uint32_t min_queries = 32;   ///< of those, in prefill
};

/// Of some number of tokens, those strongest by score in prefill against those strongest by score in decode; only
/// prefill's tokens are candidates for either.
struct Budget {
  std::uint32_t tokens = 0;
  double recall = 0;          ///< share of decode's strongest that prefill had chosen
  double mass_chosen = 0;     ///< share of the decode mass that the chosen take
  double mass_strongest = 0;  ///< the largest share that as many tokens of the prefill could take
  double bytes_share = 0;     ///< of the rows that decode reads, the chosen tokens' share
};

/// A stretch of the decode: how well the choice holds by then.
struct Segment {
  std::uint32_t first_step = 0;
  std::uint32_t last_step = 0;
  double recall = 0;  ///< as in Budget, with the strongest of this stretch alone
  double mass_chosen = 0;
};

/// A token and its share of the decode mass.
struct Strong {
  std::size_t position;
  double mass;
};

struct Head {
  std::uint32_t layer = 0;
  std::uint32_t q_head = 0;
  double lse_min = std::numeric_limits<double>::infinity();
  double lse_max = -std::numeric_limits<double>::infinity();
  double learned_sink = 0;   ///< share of the mass that a learned sink of the model takes
  std::vector<double> mass;  ///< [T], mean over the steps
};

struct Placement {
  std::vector<double> by_position;              ///< [T], mean over steps, layers and query heads
  std::vector<std::vector<double>> by_layer;    ///< [L][T], mean over steps and query heads
  std::vector<Head> heads;                      ///< [L * Hq]
  std::vector<std::vector<double>> by_segment;  ///< [segments][T], mean over the stretch's steps, layers and heads
  std::vector<double> score_prefill;            ///< [prefill], 0 where too few queries see a token
  std::vector<double> score_decode;             ///< [prefill], of the same tokens, from decode's queries
  std::vector<std::size_t> sinks;               ///< prefill score >= t_sink, strongest first
  std::uint32_t stride = 1;                     ///< every so-manieth prefill query was taken
  std::uint32_t segment_budget = 0;             ///< tokens that `segments` are about
  std::vector<Budget> budgets;
  std::vector<Segment> segments;
  double lse_min = std::numeric_limits<double>::infinity();
  double lse_max = -std::numeric_limits<double>::infinity();
};

/// Measures a trace. `progress` (may be empty) is called with queries done and all queries.
Placement measure(const trace::Trace& trace, const ScoreRule& rule = {},
                  const std::function<void(std::uint64_t, std::uint64_t)>& progress = {});

/// The `count` largest, largest first; of equals the lower index first.
std::vector<std::size_t> strongest(const std::vector<double>& values, std::size_t count);

/// The share of the decode steps' row bytes that these tokens' rows are: each is read in every step that sees it.
double byte_share(const trace::Trace& trace, const std::vector<std::size_t>& tokens);

/// Sums over at most `most` bins of equal width, the last maybe narrower.
std::vector<double> binned(const std::vector<double>& values, std::size_t width);
/// The width of such bins.
std::size_t bin_width(std::size_t values, std::size_t most);

}  // namespace kvsink::analysis

// SPDX-License-Identifier: Apache-2.0
#include "sw/analysis/placement.hpp"

#include <algorithm>
#include <cmath>
#include <iterator>
#include <numeric>

#include "sw/golden/attention.hpp"

namespace kvsink::analysis {
namespace {

constexpr std::uint32_t kMaxQueries = 1024;  ///< of prefill; more are sampled
constexpr std::uint32_t kMaxSegments = 16;
constexpr std::uint32_t kBudgets[] = {1, 2, 4, 8, 16, 32, 64};
constexpr std::uint32_t kSegmentBudget = 8;

/// The model's own weights of a query: its window and its learned sink count. Returns the learned sink's share.
double model_weights(const trace::Trace& trace, std::uint32_t layer, std::uint32_t head, std::uint32_t position,
                     std::vector<double>& weights) {
  double lse = 0;
  weights = golden::attention_weights(trace, layer, head, position, &lse);
  const double sink = std::exp(double{trace.sink_logit(layer, head)} - lse);
  const std::size_t hidden = trace.first_seen(layer, position);
  if (hidden == 0 && sink == 0) {
    return 0;
  }
  std::fill_n(weights.begin(), hidden, 0.0);
  const double sum = std::accumulate(weights.begin(), weights.end(), sink);
  for (double& w : weights) {
    w /= sum;
  }
  return sink / sum;
}

/// Sums of A * (i + 1) by token over queries far enough away, and how many there were.
class Scores {
 public:
  Scores(std::uint32_t tokens, std::uint32_t min_distance)
      : sum_(tokens), queries_(tokens), min_distance_(min_distance) {}

  void add(const std::vector<double>& weights) {
    const std::size_t position = weights.size() - 1;
    for (std::size_t t = 0; t < sum_.size() && t + min_distance_ <= position; ++t) {
      sum_[t] += weights[t] * static_cast<double>(weights.size());
      ++queries_[t];
    }
  }
  /// Means of the tokens that at least `queries` (counted over layers and heads) see; 0 for the others.
  std::vector<double> means(double queries) const {
    std::vector<double> out(sum_.size());
    for (std::size_t t = 0; t < out.size(); ++t) {
      const auto n = static_cast<double>(queries_[t]);
      out[t] = n > 0 && n >= queries ? sum_[t] / n : 0;
    }
    return out;
  }

 private:
  std::vector<double> sum_;
  std::vector<std::uint64_t> queries_;
  std::uint32_t min_distance_;
};

double recall(const std::vector<std::size_t>& chosen, const std::vector<std::size_t>& best) {
  const auto hits = std::count_if(best.begin(), best.end(), [&](std::size_t t) {
    return std::find(chosen.begin(), chosen.end(), t) != chosen.end();
  });
  return best.empty() ? 0 : static_cast<double>(hits) / static_cast<double>(best.size());
}

double sum_at(const std::vector<double>& values, const std::vector<std::size_t>& where) {
  return std::accumulate(where.begin(), where.end(), 0.0, [&](double sum, std::size_t t) { return sum + values[t]; });
}

}  // namespace

std::vector<std::size_t> strongest(const std::vector<double>& values, std::size_t count) {
  std::vector<std::size_t> order(values.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  count = std::min(count, order.size());
  std::partial_sort(
      order.begin(), order.begin() + static_cast<std::ptrdiff_t>(count), order.end(),
      [&values](std::size_t a, std::size_t b) { return values[a] != values[b] ? values[a] > values[b] : a < b; });
  order.resize(count);
  return order;
}

double byte_share(const trace::Trace& trace, const std::vector<std::size_t>& tokens) {
  double seen = 0;
  double all = 0;
  for (const std::int32_t position : trace.decode_positions()) {
    all += position + 1.0;
    seen += static_cast<double>(std::count_if(
        tokens.begin(), tokens.end(), [position](std::size_t t) { return t <= static_cast<std::size_t>(position); }));
  }
  return seen / all;
}

std::size_t bin_width(std::size_t values, std::size_t most) {
  return std::max<std::size_t>(1, (values + most - 1) / most);
}

std::vector<double> binned(const std::vector<double>& values, std::size_t width) {
  std::vector<double> out((values.size() + width - 1) / width);
  for (std::size_t i = 0; i < values.size(); ++i) {
    out[i / width] += values[i];
  }
  return out;
}

Placement measure(const trace::Trace& trace, const ScoreRule& rule,
                  const std::function<void(std::uint64_t, std::uint64_t)>& progress) {
  const trace::Dims& n = trace.dims();
  const std::uint32_t prefill = trace.prefill_tokens();
  Placement p;
  p.by_position.assign(n.T, 0.0);
  p.by_layer.assign(n.L, std::vector<double>(n.T, 0.0));
  p.stride = (prefill + kMaxQueries - 1) / kMaxQueries;
  const std::uint32_t segments = std::min(kMaxSegments, n.N);
  const auto segment_of = [&](std::uint64_t step) { return static_cast<std::size_t>(step * segments / n.N); };
  std::vector<std::uint32_t> steps_in(segments);
  for (std::uint32_t step = 0; step < n.N; ++step) {
    ++steps_in[segment_of(step)];
  }
  p.by_segment.assign(segments, std::vector<double>(n.T, 0.0));
  Scores in_prefill(prefill, rule.min_distance);
  Scores in_decode(prefill, rule.min_distance);
  std::vector<Scores> in_segment(segments, Scores(prefill, rule.min_distance));

  const std::uint64_t heads = std::uint64_t{n.L} * n.Hq;
  std::vector<double> weights;
  for (std::uint32_t layer = 0; layer < n.L; ++layer) {
    for (std::uint32_t q_head = 0; q_head < n.Hq; ++q_head) {
      Head head;
      head.layer = layer;
      head.q_head = q_head;
      head.mass.assign(n.T, 0.0);
      for (std::uint32_t i = 0; i < prefill; i += p.stride) {
        model_weights(trace, layer, q_head, i, weights);
        in_prefill.add(weights);
      }
      for (std::uint32_t step = 0; step < n.N; ++step) {
        const auto position = static_cast<std::uint32_t>(trace.decode_positions()[step]);
        head.learned_sink += model_weights(trace, layer, q_head, position, weights) / n.N;
        const std::size_t segment = segment_of(step);
        for (std::size_t t = 0; t < weights.size(); ++t) {
          head.mass[t] += weights[t] / n.N;
          p.by_segment[segment][t] += weights[t] / (steps_in[segment] * static_cast<double>(heads));
        }
        in_decode.add(weights);
        in_segment[segment].add(weights);
        head.lse_min = std::min(head.lse_min, double{trace.lse(layer, step, q_head)});
        head.lse_max = std::max(head.lse_max, double{trace.lse(layer, step, q_head)});
      }
      for (std::size_t t = 0; t < n.T; ++t) {
        p.by_layer[layer][t] += head.mass[t] / n.Hq;
        p.by_position[t] += head.mass[t] / static_cast<double>(heads);
      }
      p.lse_min = std::min(p.lse_min, head.lse_min);
      p.lse_max = std::max(p.lse_max, head.lse_max);
      p.heads.push_back(std::move(head));
      if (progress) {
        progress(p.heads.size(), heads);
      }
    }
  }

  p.score_prefill = in_prefill.means(static_cast<double>(heads) * rule.min_queries / p.stride);
  p.score_decode = in_decode.means(1);
  for (const std::size_t t : strongest(p.score_prefill, prefill)) {
    if (p.score_prefill[t] >= rule.t_sink) {
      p.sinks.push_back(t);
    }
  }
  const std::vector<double> candidates(p.by_position.begin(), p.by_position.begin() + prefill);
  for (const std::uint32_t tokens : kBudgets) {
    if (tokens > prefill) {
      break;
    }
    const auto chosen = strongest(p.score_prefill, tokens);
    p.budgets.push_back({tokens, recall(chosen, strongest(p.score_decode, tokens)), sum_at(p.by_position, chosen),
                         sum_at(candidates, strongest(candidates, tokens)), byte_share(trace, chosen)});
  }
  p.segment_budget = std::min(kSegmentBudget, prefill);
  const auto chosen = strongest(p.score_prefill, p.segment_budget);
  for (std::uint32_t s = 0, first = 0; s < segments; first += steps_in[s++]) {
    p.segments.push_back({first, first + steps_in[s] - 1,
                          recall(chosen, strongest(in_segment[s].means(1), p.segment_budget)),
                          sum_at(p.by_segment[s], chosen)});
  }
  return p;
}

}  // namespace kvsink::analysis

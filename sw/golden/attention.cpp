// SPDX-License-Identifier: Apache-2.0
#include "sw/golden/attention.hpp"

#include <algorithm>
#include <array>
#include <cassert>
#include <cmath>
#include <limits>

#include "sw/golden/half.hpp"

namespace kvsink::golden {
namespace {

constexpr double kInf = std::numeric_limits<double>::infinity();

/// All fp16 values as doubles: a table is three times faster than converting, and q, k, v are converted often.
const std::array<double, 65536>& half_values() {
  static const auto table = [] {
    std::array<double, 65536> values{};
    for (std::uint32_t bits = 0; bits < values.size(); ++bits) {
      values[bits] = half_to_float(static_cast<std::uint16_t>(bits));
    }
    return values;
  }();
  return table;
}

/// scale * q.k
double score(std::span<const std::uint16_t> q, std::span<const std::uint16_t> k, double scale) {
  assert(q.size() == k.size());
  const auto& value = half_values();
  double sum = 0;
  for (std::size_t i = 0; i < q.size(); ++i) {
    sum += value[q[i]] * value[k[i]];
  }
  return scale * sum;
}

/// Turns scores into exp(score - lse), in place, and returns lse. Not for an empty list.
double softmax(std::vector<double>& scores) {
  const double max = *std::max_element(scores.begin(), scores.end());
  double sum = 0;
  for (double& s : scores) {
    s = std::exp(s - max);
    sum += s;
  }
  for (double& s : scores) {
    s /= sum;
  }
  return max + std::log(sum);
}

/// attend() with the rows found by index: row(i) is a KvRows.
template <class Row>
Partial attend_rows(std::span<const std::uint16_t> q, std::size_t count, double scale, Row row) {
  Partial out{std::vector<double>(q.size(), 0.0), -kInf};
  if (count == 0) {
    return out;
  }
  std::vector<double> weights(count);
  for (std::size_t i = 0; i < count; ++i) {
    weights[i] = score(q, row(i).k, scale);
  }
  out.lse = softmax(weights);
  const auto& value = half_values();
  for (std::size_t i = 0; i < count; ++i) {
    const std::span<const std::uint16_t> v = row(i).v;
    assert(v.size() == q.size());
    for (std::size_t e = 0; e < v.size(); ++e) {
      out.o[e] += weights[i] * value[v[e]];
    }
  }
  return out;
}

}  // namespace

Partial attend(std::span<const std::uint16_t> q, std::span<const KvRows> rows, double scale) {
  return attend_rows(q, rows.size(), scale, [rows](std::size_t i) { return rows[i]; });
}

Partial exact_attention(const trace::Trace& trace, std::uint32_t layer, std::uint32_t q_head, std::uint32_t position) {
  const std::uint32_t kv_head = trace.dims().kv_head(q_head);
  return attend_rows(trace.q(layer, position, q_head), std::size_t{position} + 1, trace.scale(), [&](std::size_t t) {
    return KvRows{trace.k(layer, t, kv_head), trace.v(layer, t, kv_head)};
  });
}

Partial partial_attention(const trace::Trace& trace, std::uint32_t layer, std::uint32_t q_head, std::uint32_t position,
                          std::span<const std::uint32_t> positions) {
  const std::uint32_t kv_head = trace.dims().kv_head(q_head);
  return attend_rows(trace.q(layer, position, q_head), positions.size(), trace.scale(), [&](std::size_t i) {
    assert(positions[i] <= position);
    return KvRows{trace.k(layer, positions[i], kv_head), trace.v(layer, positions[i], kv_head)};
  });
}

std::vector<double> attention_weights(const trace::Trace& trace, std::uint32_t layer, std::uint32_t q_head,
                                      std::uint32_t position, double* lse) {
  const std::uint32_t kv_head = trace.dims().kv_head(q_head);
  std::vector<double> weights(std::size_t{position} + 1);
  for (std::size_t t = 0; t < weights.size(); ++t) {
    weights[t] = score(trace.q(layer, position, q_head), trace.k(layer, t, kv_head), trace.scale());
  }
  const double sum = softmax(weights);
  if (lse != nullptr) {
    *lse = sum;
  }
  return weights;
}

Merged merge(std::span<const Partial> partials) {
  const std::size_t d = partials.empty() ? 0 : partials.front().o.size();
  Merged out{std::vector<double>(d, 0.0), -kInf, std::vector<double>(d, 0.0)};
  double max = -kInf;
  bool nan = false;
  for (const Partial& p : partials) {
    nan = nan || std::isnan(p.lse);
    if (std::isfinite(p.lse)) {
      max = std::max(max, p.lse);
    }
  }
  if (nan) {
    const double none = std::numeric_limits<double>::quiet_NaN();
    return {std::vector<double>(d, none), none, std::vector<double>(d, none)};
  }
  if (max == -kInf) {
    return out;
  }
  double sum = 0;
  for (const Partial& p : partials) {
    if (std::isfinite(p.lse)) {
      sum += std::exp(p.lse - max);
    }
  }
  for (const Partial& p : partials) {
    if (!std::isfinite(p.lse)) {
      continue;
    }
    const double weight = std::exp(p.lse - max) / sum;
    for (std::size_t e = 0; e < d; ++e) {
      out.o[e] += weight * p.o[e];
      out.m[e] += weight * std::abs(p.o[e]);
    }
  }
  out.lse = max + std::log(sum);
  return out;
}

trace::Outputs exact_outputs(const trace::Trace& trace, const std::function<void(std::size_t, std::size_t)>& progress) {
  const trace::Dims& dims = trace.dims();
  trace::Outputs out = trace::Outputs::for_trace(dims);
  for (std::uint32_t layer = 0; layer < dims.L; ++layer) {
    for (std::uint32_t step = 0; step < dims.N; ++step) {
      const auto position = static_cast<std::uint32_t>(trace.decode_positions()[step]);
      for (std::uint32_t head = 0; head < dims.Hq; ++head) {
        const Partial exact = exact_attention(trace, layer, head, position);
        const std::size_t at = out.index(layer, step, head);
        std::transform(exact.o.begin(), exact.o.end(), out.o_row(at).begin(),
                       [](double x) { return static_cast<float>(x); });
        out.lse[at] = static_cast<float>(exact.lse);
      }
      if (progress) {
        progress(std::size_t{layer} * dims.N + step + 1, std::size_t{dims.L} * dims.N);
      }
    }
  }
  return out;
}

}  // namespace kvsink::golden

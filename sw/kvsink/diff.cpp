// SPDX-License-Identifier: Apache-2.0
// kvsink diff: two outputs of the same steps, compared by layer, head and step, worst first.
//
// The unit. An element of O that is close to 0 because large weights cancelled says nothing in its own ulp. So the
// elements of one O are measured in fp32 ulp of the largest |o| of that O, and lse in ulp of max(1, |lse|), as the
// design measures it. 2 ulp would do for the merge alone; a block that is handed each path's lse in fp32 has up to
// 2^-24 * |lse| of relative error from that hand-over, whatever it does: hence the default of 16 ulp (1e-6 relative).
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "sw/golden/bounds.hpp"
#include "sw/kvsink/commands.hpp"
#include "sw/trace/trace.hpp"

namespace kvsink::command {
namespace {

struct Row {
  std::size_t index;  ///< of (layer, step, head)
  double o_ulp = 0;   ///< largest difference of an element
  double o_abs = 0;
  std::size_t element = 0;  ///< where it is
  double lse_ulp = 0;
  double lse_abs = 0;

  double worst() const { return std::max(o_ulp, lse_ulp); }
};

/// |a - b|; 0 for two NaN or the same infinity, infinity when only one is not a number.
double distance(float a, float b) {
  if (a == b || (std::isnan(a) && std::isnan(b))) {
    return 0;
  }
  const double difference = std::abs(double{a} - double{b});
  return std::isfinite(difference) ? difference : std::numeric_limits<double>::infinity();
}

double largest(std::span<const float> row) {
  double max = 0;
  for (const float x : row) {
    if (std::isfinite(x)) {
      max = std::max(max, std::abs(double{x}));
    }
  }
  return max;
}

Row compare(const trace::Outputs& a, const trace::Outputs& b, std::size_t index) {
  Row row{index};
  const auto x = a.o_row(index);
  const auto y = b.o_row(index);
  const double scale = std::max(largest(x), largest(y));
  for (std::size_t e = 0; e < x.size(); ++e) {
    const double ulp = golden::error_ulp(x[e], y[e], scale);
    if (ulp > row.o_ulp) {
      row.o_ulp = ulp;
      row.o_abs = distance(x[e], y[e]);
      row.element = e;
    }
  }
  row.lse_ulp = golden::error_ulp(a.lse[index], b.lse[index],
                                  std::max({1.0, std::abs(double{a.lse[index]}), std::abs(double{b.lse[index]})}));
  row.lse_abs = distance(a.lse[index], b.lse[index]);
  return row;
}

/// Counts, the largest differences, and how many outputs lie between powers of two of an ulp.
nlohmann::ordered_json as_json(const std::vector<Row>& rows, std::size_t equal, std::size_t beyond, double limit) {
  constexpr std::array kEdges = {0.0, 0.5, 1.0, 2.0, 4.0, 8.0, 16.0};
  std::array<std::size_t, kEdges.size() + 1> counts{};
  double o_ulp = 0;
  double lse_ulp = 0;
  for (const Row& row : rows) {
    const auto edge = std::lower_bound(kEdges.begin(), kEdges.end(), row.worst());
    ++counts[static_cast<std::size_t>(edge - kEdges.begin())];
    o_ulp = std::max(o_ulp, row.o_ulp);
    lse_ulp = std::max(lse_ulp, row.lse_ulp);
  }
  nlohmann::ordered_json histogram = nlohmann::ordered_json::array();
  for (std::size_t i = 0; i < counts.size(); ++i) {
    const std::string name = i == 0               ? "0"
                             : i == kEdges.size() ? fmt::format("> {}", kEdges.back())
                                                  : fmt::format("{} to {}", kEdges[i - 1], kEdges[i]);
    histogram.push_back({{"ulp", name}, {"count", counts[i]}});
  }
  return {{"outputs", rows.size()}, {"equal", equal},         {"beyond", beyond},      {"limit_ulp", limit},
          {"max_o_ulp", o_ulp},     {"max_lse_ulp", lse_ulp}, {"histogram", histogram}};
}

std::string shape(const trace::Outputs& x) { return fmt::format("[{}][{}][{}][{}]", x.L, x.N, x.Hq, x.d); }

}  // namespace

int cmd_diff(const DiffOptions& options) {
  const auto a = trace::read_outputs(options.a);
  if (!a) {
    return fail(a.error());
  }
  const auto b = trace::read_outputs(options.b);
  if (!b) {
    return fail(b.error());
  }
  if (shape(*a) != shape(*b)) {
    return fail(
        {fmt::format("{}: tensor 'o' has shape {}, that of {} is {}", options.b, shape(*b), options.a, shape(*a))});
  }
  std::vector<Row> rows;
  rows.reserve(a->lse.size());
  for (std::size_t i = 0; i < a->lse.size(); ++i) {
    rows.push_back(compare(*a, *b, i));
  }
  const auto beyond = static_cast<std::size_t>(
      std::count_if(rows.begin(), rows.end(), [&](const Row& r) { return r.worst() > options.ulp; }));
  const auto equal =
      static_cast<std::size_t>(std::count_if(rows.begin(), rows.end(), [](const Row& r) { return r.worst() == 0; }));
  std::stable_sort(rows.begin(), rows.end(), [](const Row& x, const Row& y) { return x.worst() > y.worst(); });

  if (options.json) {
    const std::string text = as_json(rows, equal, beyond, options.ulp).dump(2) + "\n";
    if (const auto written = write_text(*options.json, text); !written) {
      return fail(written.error());
    }
    if (options.json == "-") {
      return beyond == 0 ? kEqual : kDifferent;
    }
  }
  fmt::print("{} outputs of {} elements: {} equal bit for bit, {} within {} ulp, {} beyond\n", rows.size(), a->d, equal,
             rows.size() - equal - beyond, options.ulp, beyond);
  if (equal < rows.size()) {
    const std::size_t shown = std::min<std::size_t>(options.lines, rows.size() - equal);
    fmt::print("ulp of fp32: of the largest |o| of the output; of max(1, |lse|). Worst {} first:\n", shown);
    fmt::print("{:>5} {:>4} {:>5}  {:>10} {:>10} {:>7}  {:>10} {:>10}\n", "layer", "head", "step", "o ulp", "o abs",
               "element", "lse ulp", "lse abs");
    for (const Row& r : std::span(rows).first(shown)) {
      const std::size_t head = r.index % a->Hq;
      const std::size_t step = r.index / a->Hq % a->N;
      const std::size_t layer = r.index / a->Hq / a->N;
      fmt::print("{:>5} {:>4} {:>5}  {:>10.3g} {:>10.3g} {:>7}  {:>10.3g} {:>10.3g}\n", layer, head, step, r.o_ulp,
                 r.o_abs, r.element, r.lse_ulp, r.lse_abs);
    }
  }
  return beyond == 0 ? kEqual : kDifferent;
}

}  // namespace kvsink::command

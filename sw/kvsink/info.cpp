// SPDX-License-Identifier: Apache-2.0
// kvsink info: what a trace holds, and where its attention goes. Mass and bytes are told apart throughout.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>
#include <numeric>
#include <string>
#include <vector>

#include "sw/golden/attention.hpp"
#include "sw/golden/bytes.hpp"
#include "sw/kvsink/commands.hpp"
#include "sw/trace/trace.hpp"

namespace kvsink::command {
namespace {

constexpr std::size_t kTop = 8;

/// Where the decode steps' attention goes, and the range of their lse.
struct Mass {
  std::vector<double> by_position;            ///< [T], mean over steps, layers and query heads: sums to 1
  std::vector<std::vector<double>> by_layer;  ///< [L][T], mean over steps and query heads
  double lse_min = std::numeric_limits<double>::infinity();
  double lse_max = -std::numeric_limits<double>::infinity();
};

Mass measure(const trace::Trace& trace) {
  const trace::Dims& n = trace.dims();
  Mass mass;
  mass.by_position.assign(n.T, 0.0);
  mass.by_layer.assign(n.L, std::vector<double>(n.T, 0.0));
  Progress progress("attention mass");
  for (std::uint32_t layer = 0; layer < n.L; ++layer) {
    for (std::uint32_t step = 0; step < n.N; ++step) {
      const auto position = static_cast<std::uint32_t>(trace.decode_positions()[step]);
      for (std::uint32_t head = 0; head < n.Hq; ++head) {
        const auto weights = golden::attention_weights(trace, layer, head, position);
        for (std::size_t t = 0; t < weights.size(); ++t) {
          mass.by_layer[layer][t] += weights[t] / n.N / n.Hq;
        }
        mass.lse_min = std::min(mass.lse_min, double{trace.lse(layer, step, head)});
        mass.lse_max = std::max(mass.lse_max, double{trace.lse(layer, step, head)});
      }
      progress.set(std::uint64_t{layer} * n.N + step + 1, std::uint64_t{n.L} * n.N);
    }
    for (std::size_t t = 0; t < n.T; ++t) {
      mass.by_position[t] += mass.by_layer[layer][t] / n.L;
    }
  }
  return mass;
}

std::vector<std::size_t> strongest(const std::vector<double>& mass) {
  std::vector<std::size_t> order(mass.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::stable_sort(order.begin(), order.end(), [&mass](std::size_t a, std::size_t b) { return mass[a] > mass[b]; });
  order.resize(std::min(order.size(), kTop));
  return order;
}

/// The share of the decode steps' row bytes that one token's rows are: it is read in every step that sees it.
double byte_share(const trace::Trace& trace, std::size_t token) {
  double seen = 0;
  double all = 0;
  for (const std::int32_t position : trace.decode_positions()) {
    all += position + 1.0;
    seen += static_cast<std::size_t>(position) >= token ? 1 : 0;
  }
  return seen / all;
}

nlohmann::ordered_json as_json(const trace::Trace& trace, const Mass& mass) {
  const trace::Dims& n = trace.dims();
  nlohmann::ordered_json top = nlohmann::ordered_json::array();
  for (const std::size_t t : strongest(mass.by_position)) {
    nlohmann::ordered_json by_layer = nlohmann::ordered_json::array();
    for (const auto& layer : mass.by_layer) {
      by_layer.push_back(layer[t]);
    }
    top.push_back({{"position", t},
                   {"mass", mass.by_position[t]},
                   {"mass_by_layer", by_layer},
                   {"bytes_share", byte_share(trace, t)}});
  }
  return {{"trace", trace.path()},
          {"model", trace.meta("model")},
          {"source", trace.meta("source")},
          {"licence", trace.meta("licence")},
          {"layers", n.L},
          {"q_heads", n.Hq},
          {"kv_heads", n.Hkv},
          {"head_dim", n.d},
          {"tokens", n.T},
          {"prefill_tokens", trace.prefill_tokens()},
          {"decode_steps", n.N},
          {"scale", trace.scale()},
          {"bytes", {{"kv_per_token", golden::kv_bytes_per_token(n)}, {"kv_needed", golden::kv_needed(trace)}}},
          {"rows", {{"needed", golden::kv_rows_needed(trace)}}},
          {"lse", {{"min", mass.lse_min}, {"max", mass.lse_max}}},
          {"mass", {{"top", top}, {"by_position", mass.by_position}, {"by_layer", mass.by_layer}}}};
}

std::string as_text(const trace::Trace& trace, const Mass& mass) {
  const trace::Dims& n = trace.dims();
  std::string out;
  const auto line = [&out](const char* what, const std::string& value) {
    out += fmt::format("{:<18}{}\n", what, value);
  };
  line("trace", trace.path());
  line("model", trace.meta("model"));
  line("licence", trace.meta("licence"));
  line("layers", std::to_string(n.L));
  line("heads", fmt::format("{} query, {} key/value, head_dim {}", n.Hq, n.Hkv, n.d));
  line("tokens", fmt::format("{}: {} prefill, {} decode steps", n.T, trace.prefill_tokens(), n.N));
  line("KV of a token", fmt::format("{} bytes over all layers and heads", golden::kv_bytes_per_token(n)));
  line("decode reads", fmt::format("{} rows, {} bytes, each row once in each step", golden::kv_rows_needed(trace),
                                   golden::kv_needed(trace)));
  line("lse", fmt::format("{:.3f} to {:.3f}", mass.lse_min, mass.lse_max));
  out += "\nStrongest tokens of the decode steps. Mass is a share of attention, bytes a share of what is read:\n";
  out += fmt::format("{:>9} {:>8} {:>8}   mass by layer\n", "position", "mass", "bytes");
  for (const std::size_t t : strongest(mass.by_position)) {
    out += fmt::format("{:>9} {:>6.2f} % {:>6.2f} %  ", t, 100 * mass.by_position[t], 100 * byte_share(trace, t));
    for (const auto& layer : mass.by_layer) {
      out += fmt::format(" {:>5.1f} %", 100 * layer[t]);
    }
    out += '\n';
  }
  return out;
}

}  // namespace

int cmd_info(const InfoOptions& options) {
  const auto trace = trace::Trace::load(options.trace);
  if (!trace) {
    return fail(trace.error());
  }
  const Mass mass = measure(*trace);
  if (options.json) {
    const std::string text =
        as_json(*trace, mass).dump(2, ' ', false, nlohmann::ordered_json::error_handler_t::replace) + "\n";
    if (const auto written = write_text(*options.json, text); !written) {
      return fail(written.error());
    }
  }
  if (options.json != "-") {
    fmt::print("{}", as_text(*trace, mass));
  }
  return kEqual;
}

}  // namespace kvsink::command

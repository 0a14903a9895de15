// SPDX-License-Identifier: Apache-2.0
#include "sw/capture/capture.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <memory>
#include <numeric>
#include <random>
#include <span>

#include "sw/capture/exact.hpp"
#include "sw/capture/forward.hpp"
#include "sw/capture/kernels.hpp"
#include "sw/capture/model.hpp"
#include "sw/capture/tokenizer.hpp"
#include "sw/golden/half.hpp"
#include "sw/trace/trace_writer.hpp"

namespace kvsink::capture {
namespace {

using Clock = std::chrono::steady_clock;

constexpr std::uint32_t kDefaultTokens = 256;

double since(Clock::time_point start) { return std::chrono::duration<double>(Clock::now() - start).count(); }

/// The next token: the likeliest, or one drawn from the distribution.
class Sampler {
 public:
  Sampler(double temperature, double top_p, std::uint64_t seed)
      : temperature_(temperature), top_p_(top_p), random_(seed) {}

  std::int32_t next(const std::vector<double>& logits) {
    const auto likeliest = std::max_element(logits.begin(), logits.end());
    if (temperature_ == 0) {
      return static_cast<std::int32_t>(likeliest - logits.begin());
    }
    std::vector<std::int32_t> order(logits.size());
    std::iota(order.begin(), order.end(), 0);
    std::stable_sort(order.begin(), order.end(), [&](std::int32_t a, std::int32_t b) {
      return logits[static_cast<std::size_t>(a)] > logits[static_cast<std::size_t>(b)];
    });
    std::vector<double> sums;  // running, of what exp gives, likeliest first
    double all = 0;
    for (const std::int32_t token : order) {
      all += std::exp((logits[static_cast<std::size_t>(token)] - *likeliest) / temperature_);
      sums.push_back(all);
    }
    const auto kept = std::lower_bound(sums.begin(), sums.end(), top_p_ * all);
    const double drawn = static_cast<double>(random_() >> 11U) * 0x1p-53 * (kept == sums.end() ? all : *kept);
    const auto found = std::upper_bound(sums.begin(), sums.end(), drawn);
    return order[static_cast<std::size_t>(std::min(found, sums.end() - 1) - sums.begin())];
  }

 private:
  double temperature_;
  double top_p_;
  std::mt19937_64 random_;
};

/// What is recorded, and where it stands in the model.
struct Selection {
  Range layers;
  Range heads;  ///< kv heads
  std::uint32_t prefill;
  std::uint32_t every;
  trace::Dims dims;  ///< T and N as planned

  /// The recorded step whose query stands at this position.
  std::optional<std::uint32_t> step(std::uint32_t position) const {
    if (position < prefill || (position - prefill) % every != 0) {
      return std::nullopt;
    }
    return (position - prefill) / every;
  }
};

/// Takes the rows of each layer as they come, rounds them to fp16, writes them, and computes the steps' outputs.
class Recorder {
 public:
  Recorder(const Selection& selection, double scale, trace::TraceWriter& writer, Threads& threads)
      : s_(selection), scale_(scale), writer_(writer), threads_(threads), layers_(selection.dims.L) {
    for (History& layer : layers_) {
      layer.k.resize(std::size_t{s_.dims.Hkv} * s_.dims.T * s_.dims.d);
      layer.v.resize(layer.k.size());
    }
  }

  Result<void> take(const LayerRows& rows, const ModelConfig& c) {
    if (rows.layer < s_.layers.first || rows.layer > s_.layers.last) {
      return {};
    }
    const trace::Dims& n = s_.dims;
    const std::uint32_t layer = rows.layer - s_.layers.first;
    History& history = layers_[layer];
    const std::uint32_t group = c.q_heads / c.kv_heads;
    for (const auto& ok : {narrow("q", rows.q, c.q_heads, s_.heads.first * group, n.Hq, rows, q_),
                           narrow("k", rows.k, c.kv_heads, s_.heads.first, n.Hkv, rows, k_),
                           narrow("v", rows.v, c.kv_heads, s_.heads.first, n.Hkv, rows, v_)}) {
      if (!ok) {
        return ok;
      }
    }
    for (std::size_t b = 0; b < rows.count; ++b) {
      for (std::size_t h = 0; h < n.Hkv; ++h) {
        const auto from = static_cast<std::ptrdiff_t>((b * n.Hkv + h) * n.d);
        const auto to = static_cast<std::ptrdiff_t>((h * n.T + rows.position + b) * n.d);
        std::copy_n(k_.begin() + from, n.d, history.k.begin() + to);
        std::copy_n(v_.begin() + from, n.d, history.v.begin() + to);
      }
    }
    for (const auto& ok : {writer_.write_q(layer, rows.position, q_), writer_.write_k(layer, rows.position, k_),
                           writer_.write_v(layer, rows.position, v_)}) {
      if (!ok) {
        return ok;
      }
    }
    std::vector<float> o(std::size_t{n.Hq} * n.d);
    std::vector<float> lse(n.Hq);
    for (std::uint32_t b = 0; b < rows.count; ++b) {
      const auto step = s_.step(rows.position + b);
      if (!step) {
        continue;
      }
      exact_step(n, scale_, {history.k, history.v, n.T}, rows.position + b,
                 std::span(q_).subspan(std::size_t{b} * n.Hq * n.d, o.size()), o, lse, threads_);
      if (auto ok = writer_.write_step(layer, *step, o, lse); !ok) {
        return ok;
      }
    }
    return {};
  }

 private:
  struct History {
    std::vector<std::uint16_t> k;  ///< [kv head][position][d]
    std::vector<std::uint16_t> v;
  };

  /// Heads first..first+count-1 of each row, in fp16.
  Result<void> narrow(const char* name, std::span<const double> from, std::size_t heads, std::size_t first,
                      std::size_t count, const LayerRows& rows, std::vector<std::uint16_t>& to) const {
    const std::size_t d = s_.dims.d;
    to.resize(rows.count * count * d);
    for (std::size_t b = 0; b < rows.count; ++b) {
      const double* row = from.data() + (b * heads + first) * d;
      for (std::size_t i = 0; i < count * d; ++i) {
        const std::uint16_t bits = golden::double_to_half(row[i]);
        if (!golden::half_is_finite(bits)) {
          return Error{fmt::format("{} of layer {} at position {} is {}, fp16 holds up to 65504", name, rows.layer,
                                   rows.position + b, row[i])};
        }
        to[b * count * d + i] = bits;
      }
    }
    return {};
  }

  const Selection& s_;
  double scale_;
  trace::TraceWriter& writer_;
  Threads& threads_;
  std::vector<History> layers_;
  std::vector<std::uint16_t> q_, k_, v_;
};

Result<Range> within(const char* what, const std::optional<Range>& asked, std::uint32_t count) {
  const Range range = asked.value_or(Range{0, count - 1});
  if (range.first > range.last || range.last >= count) {
    return Error{fmt::format("{} {}-{}: the model has {} to {}", what, range.first, range.last, 0, count - 1)};
  }
  return range;
}

std::string rope_text(const ModelConfig& c) {
  return fmt::format("{}, theta {:g}{}{}", c.pairing == Pairing::kHalves ? "rotate-half" : "interleaved pairs",
                     c.rope_theta, c.rope_kind == "default" ? "" : ", " + c.rope_kind,
                     2 * c.frequencies.size() == c.head_dim
                         ? ""
                         : fmt::format(", {} of {} elements", 2 * c.frequencies.size(), c.head_dim));
}

/// What is to be run, checked against the model.
Result<Selection> select(const CaptureOptions& o, const ModelConfig& c, std::uint32_t prompt_tokens) {
  const std::uint32_t tokens = o.tokens.value_or(std::min(c.positions, std::max(kDefaultTokens, prompt_tokens + 1)));
  if (tokens > c.positions) {
    return Error{fmt::format("--tokens: {}, the model takes {}", tokens, c.positions)};
  }
  const std::uint32_t prefill = o.prefill.value_or(std::min(prompt_tokens, tokens - 1));
  if (prefill < 1 || prefill >= tokens) {
    return Error{fmt::format("--prefill: {} of {} tokens, 1 to {} is wanted, so that there is a step to decode",
                             prefill, tokens, tokens - 1)};
  }
  const auto layers = within("--layers", o.layers, c.layers);
  if (!layers) {
    return layers.error();
  }
  const auto heads = within("--heads", o.heads, c.kv_heads);
  if (!heads) {
    return heads.error();
  }
  Selection s{*layers, *heads, prefill, o.every, {}};
  s.dims.L = layers->last - layers->first + 1;
  s.dims.T = tokens;
  s.dims.Hkv = heads->last - heads->first + 1;
  s.dims.Hq = s.dims.Hkv * (c.q_heads / c.kv_heads);
  s.dims.d = c.head_dim;
  s.dims.N = (tokens - 1 - prefill) / o.every + 1;
  return s;
}

trace::TracePlan plan_of(const Selection& s, const Model& model) {
  const ModelConfig& c = model.config;
  trace::TracePlan plan{s.dims, s.prefill, c.scale, {}, {}};
  bool windows = false;
  bool sinks = false;
  for (std::uint32_t layer = s.layers.first; layer <= s.layers.last; ++layer) {
    plan.windows.push_back(c.windows[layer]);
    windows = windows || c.windows[layer] > 0;
    std::vector<double> logits(c.q_heads, -1e30);  // a layer without one, beside others that have one
    if (const Weights& w = model.layers[layer].sinks) {
      widen(w.dtype, w.data, c.q_heads, logits.data());
      sinks = true;
    }
    const std::size_t first = std::size_t{s.heads.first} * (c.q_heads / c.kv_heads);
    for (std::size_t h = 0; h < s.dims.Hq; ++h) {
      plan.sink_logits.push_back(static_cast<float>(logits[first + h]));
    }
  }
  if (!windows) {
    plan.windows.clear();
  }
  if (!sinks) {
    plan.sink_logits.clear();
  }
  return plan;
}

}  // namespace

Result<CaptureReport> capture(const CaptureOptions& o, const CaptureProgress& progress) {
  auto start = Clock::now();
  Threads threads(o.threads);
  const auto model = Model::load(o.model, threads);
  if (!model) {
    return model.error();
  }
  const ModelConfig& c = model->config;
  CaptureReport report;
  report.load_seconds = since(start);
  report.model = o.name.empty() ? model->name : o.name;

  auto tokenizer = Tokenizer::load(o.model, o.tokenizer, c.vocabulary);
  if (!tokenizer && (o.prompt || !o.tokenizer.empty())) {
    return tokenizer.error();
  }
  std::vector<std::int32_t> tokens;
  if (o.ids) {
    tokens = *o.ids;
  } else {
    auto encoded = (*tokenizer)->encode(o.prompt.value_or(""), o.special);
    if (!encoded) {
      return Error{"--prompt: " + encoded.error().message};
    }
    tokens = *std::move(encoded);
  }
  if (tokens.empty()) {
    return Error{"the prompt has no token"};
  }
  for (std::size_t i = 0; i < tokens.size(); ++i) {
    if (tokens[i] < 0 || static_cast<std::uint32_t>(tokens[i]) >= c.vocabulary) {
      return Error{fmt::format("token {} of the prompt is {}, the vocabulary of {} has 0 to {}", i, tokens[i], o.model,
                               c.vocabulary - 1)};
    }
  }
  const auto selection = select(o, c, static_cast<std::uint32_t>(tokens.size()));
  if (!selection) {
    return selection.error();
  }
  const std::uint32_t all = selection->dims.T;
  tokens.resize(std::min<std::size_t>(tokens.size(), all));
  report.prompt_tokens = static_cast<std::uint32_t>(tokens.size());
  auto writer = trace::TraceWriter::create(o.out, plan_of(*selection, *model));
  if (!writer) {
    return writer.error();
  }

  start = Clock::now();
  Forward forward(*model, all, threads);
  Recorder recorder(*selection, c.scale, *writer, threads);
  Sampler sampler(o.temperature, o.top_p, o.seed);
  const auto record = [&](const LayerRows& rows) { return recorder.take(rows, c); };
  while (forward.position() < tokens.size()) {
    const std::size_t count = std::min<std::size_t>(tokens.size() - forward.position(), Forward::kBatch);
    if (auto ok = forward.run(std::span(tokens).subspan(forward.position(), count), record); !ok) {
      return ok.error();
    }
    const bool given = forward.position() <= report.prompt_tokens;
    if (forward.position() == tokens.size() && tokens.size() < all) {
      const bool end = !given && std::find(c.eos.begin(), c.eos.end(), tokens.back()) != c.eos.end();
      if (end && !o.ignore_eos) {
        report.ended = true;
        break;
      }
      const auto logits = forward.logits(count - 1);
      if (!std::all_of(logits.begin(), logits.end(), [](double x) { return std::isfinite(x); })) {
        return Error{fmt::format("{}: the logits after position {} are not numbers", o.model, tokens.size() - 1)};
      }
      tokens.push_back(sampler.next(logits));
    }
    if (progress) {
      progress(forward.position(), all, forward.position() / std::max(since(start), 1e-9));
    }
  }
  std::vector<std::int32_t> positions;
  for (std::uint32_t p = selection->prefill; p < tokens.size(); p += o.every) {
    positions.push_back(static_cast<std::int32_t>(p));
  }
  if (positions.empty()) {
    return Error{
        fmt::format("the model ended the sequence after {} tokens, within the prefill of {}: a smaller "
                    "--prefill or --ignore-eos",
                    tokens.size(), selection->prefill)};
  }
  report.seconds = since(start);
  report.tokens = static_cast<std::uint32_t>(tokens.size());
  report.prefill = selection->prefill;
  report.steps = static_cast<std::uint32_t>(positions.size());
  report.text = tokenizer ? (*tokenizer)->decode(tokens) : std::string();
  std::map<std::string, std::string> metadata = {
      {"model", report.model},
      {"source", o.source.empty() ? model->source : o.source},
      {"licence", o.licence.empty() ? "not given (see the model)" : o.licence},
      {"producer", "kvsink capture, forward pass in double"},
      {"rope", rope_text(c)},
      {"text", report.text},
      {"prompt_tokens", std::to_string(report.prompt_tokens)},
      {"decoding", o.temperature == 0
                       ? std::string("greedy")
                       : fmt::format("temperature {:g}, top_p {:g}, seed {}", o.temperature, o.top_p, o.seed)}};
  if (selection->dims.L != c.layers) {
    metadata["model_layers"] = fmt::format("{}-{} of {}", selection->layers.first, selection->layers.last, c.layers);
  }
  if (selection->dims.Hkv != c.kv_heads) {
    metadata["model_kv_heads"] = fmt::format("{}-{} of {}", selection->heads.first, selection->heads.last, c.kv_heads);
  }
  if (o.every != 1) {
    metadata["every"] = std::to_string(o.every);
  }
  if (auto ok = writer->finish(tokens, positions, std::move(metadata)); !ok) {
    return ok.error();
  }
  report.bytes = writer->bytes();
  return report;
}

}  // namespace kvsink::capture

// SPDX-License-Identifier: Apache-2.0
#include "sw/capture/synth.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <numbers>
#include <span>
#include <vector>

#include "sw/capture/exact.hpp"
#include "sw/capture/kernels.hpp"
#include "sw/capture/threads.hpp"
#include "sw/golden/half.hpp"
#include "sw/trace/trace_writer.hpp"

namespace kvsink::capture {
namespace {

constexpr double kKeySize = 8;        ///< of a special token's key in its own element
constexpr double kWalk = 0.97;        ///< how alike the keys of neighbours are
constexpr double kLean = 0.7;         ///< how much of a query is its own key, and how much is noise
constexpr std::uint32_t kNear = 256;  ///< tokens whose scores are summed one by one also in prefill
constexpr std::uint32_t kSamples = 1024;
constexpr std::uint32_t kBurstSteps = 8;
constexpr std::uint32_t kChunk = 64;
constexpr double kMostShare = 0.995;

/// Numbers from a counter (SplitMix64, Steele et al. 2014): any of them without those before, so that threads agree.
class Noise {
 public:
  Noise(std::uint64_t seed, std::uint64_t a, std::uint64_t b, std::uint64_t c)
      : state_(mix(mix(mix(mix(seed) + a) + b) + c)) {}

  std::uint64_t next() { return mix(state_ += 0x9e37'79b9'7f4a'7c15U); }
  double uniform() { return (static_cast<double>(next() >> 11U) + 0.5) * 0x1p-53; }
  double normal() {  // Box and Muller 1958
    const double radius = std::sqrt(-2 * std::log(uniform()));
    return radius * std::cos(2 * std::numbers::pi * uniform());
  }

 private:
  static std::uint64_t mix(std::uint64_t x) {
    x = (x ^ (x >> 30U)) * 0xbf58'476d'1ce4'e5b9U;
    x = (x ^ (x >> 27U)) * 0x94d0'49bb'1331'11ebU;
    return x ^ (x >> 31U);
  }
  std::uint64_t state_;
};

enum Stream : std::uint64_t { kPlaces, kKeys, kValues, kQueries };

/// A token with an element of its own, and the share of the mass it takes at each position.
struct Special {
  enum class Kind { kSink, kTarget, kBurst } kind;
  std::uint32_t position;
  std::uint32_t begin;  ///< of a burst: first step
};

class Maker {
 public:
  Maker(const SynthOptions& o, const std::string& path) : o_(o), path_(path), threads_(o.threads) {
    dims_ = {o.layers, o.tokens, o.q_heads, o.kv_heads, o.head_dim, o.steps};
    prefill_ = o.tokens - o.steps;
    scale_ = 1.0 / std::sqrt(static_cast<double>(o.head_dim));
    Noise places(o.seed, kPlaces, 0, 0);
    std::vector<bool> taken(prefill_);
    const auto place = [&] {
      while (true) {
        const auto p = static_cast<std::uint32_t>(places.next() % prefill_);
        if (!taken[p]) {
          taken[p] = true;
          return p;
        }
      }
    };
    for (std::uint32_t i = 0; i < o.sinks; ++i) {
      taken[i] = true;
      specials_.push_back({Special::Kind::kSink, i, 0});
    }
    for (std::uint32_t i = 0; o.drift > 0 && i < o.sinks; ++i) {
      specials_.push_back({Special::Kind::kTarget, place(), 0});
    }
    for (std::uint32_t i = 0; i < o.bursts; ++i) {
      const std::uint32_t begin = static_cast<std::uint32_t>(places.next() % o.steps);
      specials_.push_back({Special::Kind::kBurst, place(), begin});
    }
  }

  Result<void> run(const std::function<void(std::uint64_t, std::uint64_t)>& progress) {
    auto writer = trace::TraceWriter::create(path_, {dims_, prefill_, scale_, {}, {}});
    if (!writer) {
      return writer.error();
    }
    for (std::uint32_t layer = 0; layer < o_.layers; ++layer) {
      make_rows(layer);
      if (auto ok = write_layer(layer, *writer, progress); !ok) {
        return ok;
      }
    }
    std::vector<std::int32_t> ids(o_.tokens, 0);
    std::vector<std::int32_t> positions(o_.steps);
    for (std::uint32_t n = 0; n < o_.steps; ++n) {
      positions[n] = static_cast<std::int32_t>(prefill_ + n);
    }
    const std::string what = fmt::format("{} sinks with {:g} of the mass, drift {:g}, {} bursts of {:g}, seed {}",
                                         o_.sinks, o_.strength, o_.drift, o_.bursts, o_.burst_strength, o_.seed);
    return writer->finish(ids, positions,
                          {{"model", "synthetic"},
                           {"synthetic", what},
                           {"source", "kvsink synth-trace: no model, made up by a program"},
                           {"licence", "Apache-2.0"},
                           {"rope", "none"},
                           {"text", ""}});
  }

 private:
  /// The share that a special token is to take of what the query at this position gives.
  double share(const Special& s, std::uint32_t position) const {
    if (s.position > position) {
      return 0;
    }
    const bool decode = position >= prefill_;
    const std::uint32_t step = decode ? position - prefill_ : 0;
    const double moved = decode && o_.steps > 1 ? o_.drift * step / (o_.steps - 1) : 0;
    switch (s.kind) {
      case Special::Kind::kSink:
        return o_.strength / o_.sinks * (1 - moved);
      case Special::Kind::kTarget:
        return o_.strength / o_.sinks * moved;
      case Special::Kind::kBurst:
        return decode && step >= s.begin && step - s.begin < kBurstSteps ? o_.burst_strength : 0;
    }
    return 0;
  }

  /// Keys and values of a layer, [kv head][token][d] in fp16.
  void make_rows(std::uint32_t layer) {
    const std::size_t d = o_.head_dim;
    k_.assign(std::size_t{o_.kv_heads} * o_.tokens * d, 0);
    v_.resize(k_.size());
    threads_.loop(o_.kv_heads, std::size_t{o_.tokens} * d * 32, [&](std::size_t begin, std::size_t end) {
      for (std::size_t head = begin; head < end; ++head) {
        Noise keys(o_.seed, kKeys, layer, head);
        Noise values(o_.seed, kValues, layer, head);
        std::vector<double> walk(d);
        for (double& x : walk) {
          x = keys.normal();
        }
        for (std::size_t t = 0; t < o_.tokens; ++t) {
          const std::size_t row = (head * o_.tokens + t) * d;
          for (std::size_t e = 0; e < d; ++e) {
            walk[e] = kWalk * walk[e] + std::sqrt(1 - kWalk * kWalk) * keys.normal();
            k_[row + e] = e < specials_.size() ? 0 : golden::double_to_half(walk[e]);
            v_[row + e] = golden::double_to_half(values.normal());
          }
        }
        for (std::size_t i = 0; i < specials_.size(); ++i) {
          const std::size_t row = (head * o_.tokens + specials_[i].position) * d;
          std::fill_n(k_.begin() + static_cast<std::ptrdiff_t>(row), d, std::uint16_t{0});
          k_[row + i] = golden::double_to_half(kKeySize);
        }
      }
    });
  }

  /// One query: it leans to its own key, and in the special elements it has what gives each special token its share.
  void make_query(std::uint32_t layer, std::uint32_t position, std::size_t head, std::span<std::uint16_t> out) const {
    const std::size_t d = o_.head_dim;
    const std::size_t rows = dims_.kv_head(static_cast<std::uint32_t>(head)) * std::size_t{o_.tokens} * d;
    Noise noise(o_.seed, kQueries, layer, (std::uint64_t{position} << 16U) + head);
    std::vector<double> q(d);
    for (std::size_t e = specials_.size(); e < d; ++e) {
      const double own = golden::half_to_float(k_[rows + std::size_t{position} * d + e]);
      out[e] = golden::double_to_half(kLean * own + kLean * noise.normal());
      q[e] = golden::half_to_float(out[e]);
    }
    double shares = 0;
    double rest = 0;  // sum of exp(score) of all tokens but those that get a share
    for (const Special& s : specials_) {
      shares += share(s, position);
      if (s.position <= position) {
        rest += share(s, position) > 0 ? -1 : 0;  // its key gives score 0 below: taken out again
      }
    }
    // In prefill far tokens are sampled, the sum is an estimate; in decode every token is summed.
    const std::uint32_t far = position > kNear ? position - kNear : 0;
    const std::uint32_t stride = position >= prefill_ ? 1 : std::max(1U, far / kSamples);
    for (std::uint32_t t = 0; t <= position; t += t < far ? std::min(stride, far - t) : 1) {
      const double weight = t < far ? std::min(stride, far - t) : 1;
      rest += weight * std::exp(scale_ * dot_half(q.data(), k_.data() + rows + std::size_t{t} * d, d));
    }
    rest = std::max(rest, std::numeric_limits<double>::min());
    for (std::size_t i = 0; i < specials_.size(); ++i) {
      const double wanted = share(specials_[i], position);
      const double score = wanted > 0 ? std::log(rest * wanted / (1 - shares)) : 0;
      out[i] = golden::double_to_half(score / (scale_ * kKeySize));
    }
  }

  Result<void> write_layer(std::uint32_t layer, trace::TraceWriter& writer,
                           const std::function<void(std::uint64_t, std::uint64_t)>& progress) {
    const std::size_t d = o_.head_dim;
    std::vector<std::uint16_t> q(std::size_t{kChunk} * o_.q_heads * d);
    std::vector<std::uint16_t> rows(std::size_t{kChunk} * o_.kv_heads * d);
    std::vector<float> o(std::size_t{o_.q_heads} * d);
    std::vector<float> lse(o_.q_heads);
    for (std::uint32_t first = 0; first < o_.tokens; first += kChunk) {
      const std::uint32_t count = std::min(kChunk, o_.tokens - first);
      for (const auto& [from, is_k] : {std::pair(&k_, true), std::pair(&v_, false)}) {
        for (std::size_t t = 0; t < count; ++t) {
          for (std::size_t h = 0; h < o_.kv_heads; ++h) {
            std::copy_n(from->begin() + static_cast<std::ptrdiff_t>((h * o_.tokens + first + t) * d), d,
                        rows.begin() + static_cast<std::ptrdiff_t>((t * o_.kv_heads + h) * d));
          }
        }
        const auto part = std::span(rows).first(count * o_.kv_heads * d);
        if (auto ok = is_k ? writer.write_k(layer, first, part) : writer.write_v(layer, first, part); !ok) {
          return ok;
        }
      }
      threads_.loop(std::size_t{count} * o_.q_heads, d * std::min<std::size_t>(first + count, 2048),
                    [&](std::size_t begin, std::size_t end) {
                      for (std::size_t i = begin; i < end; ++i) {
                        make_query(layer, first + static_cast<std::uint32_t>(i / o_.q_heads), i % o_.q_heads,
                                   std::span(q).subspan(i * d, d));
                      }
                    });
      if (auto ok = writer.write_q(layer, first, std::span(q).first(count * o_.q_heads * d)); !ok) {
        return ok;
      }
      for (std::uint32_t p = std::max(first, prefill_); p < first + count; ++p) {
        exact_step(dims_, scale_, {k_, v_, o_.tokens}, p,
                   std::span(q).subspan(std::size_t{p - first} * o_.q_heads * d, o.size()), o, lse, threads_);
        if (auto ok = writer.write_step(layer, p - prefill_, o, lse); !ok) {
          return ok;
        }
      }
      if (progress) {
        progress(std::uint64_t{layer} * o_.tokens + first + count, std::uint64_t{o_.layers} * o_.tokens);
      }
    }
    return {};
  }

  const SynthOptions& o_;
  std::string path_;
  Threads threads_;
  trace::Dims dims_;
  std::uint32_t prefill_ = 0;
  double scale_ = 0;
  std::vector<Special> specials_;
  std::vector<std::uint16_t> k_, v_;
};

}  // namespace

Result<void> synthesise(const SynthOptions& o, const std::string& path,
                        const std::function<void(std::uint64_t, std::uint64_t)>& progress) {
  const std::uint64_t specials = std::uint64_t{o.sinks} * (o.drift > 0 ? 2 : 1) + o.bursts;
  if (o.q_heads % o.kv_heads != 0) {
    return Error{fmt::format("--q-heads: {}, which is not a multiple of --kv-heads, {}", o.q_heads, o.kv_heads)};
  }
  if (o.steps >= o.tokens) {
    return Error{fmt::format("--steps: {} of {} tokens, that leaves no prefill", o.steps, o.tokens)};
  }
  if (specials > o.head_dim / 2) {
    return Error{fmt::format("sinks, tokens they drift to and bursts are {}, a head of {} elements has room for {}",
                             specials, o.head_dim, o.head_dim / 2)};
  }
  if (specials > o.tokens - o.steps) {
    return Error{fmt::format("sinks, tokens they drift to and bursts are {}, the prefill has {} tokens", specials,
                             o.tokens - o.steps)};
  }
  if (o.strength + o.bursts * o.burst_strength > kMostShare) {
    return Error{fmt::format("--strength {:g} and {} bursts of {:g} leave nothing for other tokens", o.strength,
                             o.bursts, o.burst_strength)};
  }
  if (o.sinks > 0 && o.strength == 0) {
    return Error{"--strength: 0, but there are sinks"};
  }
  return Maker(o, path).run(progress);
}

}  // namespace kvsink::capture

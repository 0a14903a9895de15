// SPDX-License-Identifier: Apache-2.0
#include "sw/capture/forward.hpp"

#include <algorithm>
#include <cassert>
#include <cmath>

#include "sw/capture/kernels.hpp"

namespace kvsink::capture {

Forward::Forward(const Model& model, std::uint32_t positions, Threads& threads)
    : model_(model), c_(model.config), threads_(threads), room_(positions) {
  const std::size_t cache = std::size_t{c_.layers} * c_.kv_heads * positions * c_.head_dim;
  k_cache_.resize(cache);
  v_cache_.resize(cache);
}

/// RMSNorm of each vector of `width` elements: w * x / sqrt(mean(x^2) + eps).
void Forward::norm(const std::vector<double>& from, const Weights& w, std::vector<double>& to, std::size_t width) {
  std::vector<double> factor(width);
  widen(w.dtype, w.data, width, factor.data());
  to.resize(from.size());
  for (std::size_t at = 0; at < from.size(); at += width) {
    const double* x = from.data() + at;
    const double inverse = 1.0 / std::sqrt(dot(x, x, width) / static_cast<double>(width) + c_.rms_eps);
    for (std::size_t i = 0; i < width; ++i) {
      to[at + i] = factor[i] * (x[i] * inverse);
    }
  }
}

/// out[b] = W x[b] + bias
void Forward::multiply(const Weights& w, const std::vector<double>& x, const Weights& bias, std::vector<double>& out) {
  const std::size_t batch = x.size() / w.cols;
  out.resize(batch * w.rows);
  threads_.loop(w.rows, w.cols * batch, [&](std::size_t begin, std::size_t end) {
    std::vector<double> row(w.cols);
    matrix_rows(w.dtype, w.data, begin, end, w.cols, x.data(), batch, out.data(), w.rows, row.data());
  });
  if (bias) {
    std::vector<double> add(w.rows);
    widen(bias.dtype, bias.data, w.rows, add.data());
    for (std::size_t b = 0; b < batch; ++b) {
      add_scaled(out.data() + b * w.rows, 1.0, add.data(), w.rows);
    }
  }
}

void Forward::head_norm(std::vector<double>& rows, const Weights& w) const {
  std::vector<double> factor(c_.head_dim);
  widen(w.dtype, w.data, c_.head_dim, factor.data());
  for (std::size_t at = 0; at < rows.size(); at += c_.head_dim) {
    double* x = rows.data() + at;
    const double inverse = 1.0 / std::sqrt(dot(x, x, c_.head_dim) / c_.head_dim + c_.rms_eps);
    for (std::size_t i = 0; i < c_.head_dim; ++i) {
      x[i] = factor[i] * (x[i] * inverse);
    }
  }
}

void Forward::rope(std::vector<double>& rows, std::size_t heads) const {
  const std::size_t pairs = c_.frequencies.size();
  const bool halves = c_.pairing == Pairing::kHalves;
  for (std::size_t b = 0; b < batch_; ++b) {
    const double position = position_ + static_cast<double>(b);
    for (std::size_t i = 0; i < pairs; ++i) {
      const double cosine = std::cos(position * c_.frequencies[i]);
      const double sine = std::sin(position * c_.frequencies[i]);
      for (std::size_t h = 0; h < heads; ++h) {
        double* head = rows.data() + (b * heads + h) * c_.head_dim;
        double& first = head[halves ? i : 2 * i];
        double& second = head[halves ? i + pairs : 2 * i + 1];
        const double x = first;
        const double y = second;
        first = x * cosine - y * sine;
        second = x * sine + y * cosine;
      }
    }
  }
}

void Forward::attend(std::uint32_t layer, const Weights& sinks) {
  const std::size_t d = c_.head_dim;
  const std::size_t group = c_.q_heads / c_.kv_heads;
  const std::uint32_t window = c_.windows[layer];
  std::vector<double> logit(c_.q_heads);
  if (sinks) {
    widen(sinks.dtype, sinks.data, c_.q_heads, logit.data());
  }
  attended_.assign(batch_ * c_.q_heads * d, 0.0);
  threads_.loop(batch_ * c_.q_heads, 2 * d * (position_ + batch_), [&](std::size_t begin, std::size_t end) {
    std::vector<double> weight(position_ + batch_);
    for (std::size_t index = begin; index < end; ++index) {
      const std::size_t head = index % c_.q_heads;
      const std::size_t last = position_ + index / c_.q_heads;
      const std::size_t first = window == 0 || last < window ? 0 : last + 1 - window;
      const std::size_t rows = (std::size_t{layer} * c_.kv_heads + head / group) * room_ * d;
      const double* q = q_.data() + index * d;
      double most = sinks ? logit[head] : -HUGE_VAL;
      for (std::size_t t = first; t <= last; ++t) {
        weight[t] = c_.scale * dot(q, k_cache_.data() + rows + t * d, d);
        most = std::max(most, weight[t]);
      }
      double sum = sinks ? std::exp(logit[head] - most) : 0.0;
      for (std::size_t t = first; t <= last; ++t) {
        weight[t] = std::exp(weight[t] - most);
        sum += weight[t];
      }
      double* out = attended_.data() + index * d;
      for (std::size_t t = first; t <= last; ++t) {
        add_scaled(out, weight[t] / sum, v_cache_.data() + rows + t * d, d);
      }
    }
  });
}

void Forward::layer(std::uint32_t index) {
  const LayerWeights& w = model_.layers[index];
  const std::size_t d = c_.head_dim;
  norm(x_, w.attention_norm, normed_, c_.hidden);
  multiply(w.q, normed_, w.q_bias, q_);
  multiply(w.k, normed_, w.k_bias, k_);
  multiply(w.v, normed_, w.v_bias, v_);
  if (w.q_norm) {
    head_norm(q_, w.q_norm);
  }
  if (w.k_norm) {
    head_norm(k_, w.k_norm);
  }
  rope(q_, c_.q_heads);
  rope(k_, c_.kv_heads);
  for (std::size_t b = 0; b < batch_; ++b) {
    for (std::size_t h = 0; h < c_.kv_heads; ++h) {
      const std::size_t to = ((std::size_t{index} * c_.kv_heads + h) * room_ + position_ + b) * d;
      const std::size_t from = (b * c_.kv_heads + h) * d;
      std::copy_n(k_.data() + from, d, k_cache_.data() + to);
      std::copy_n(v_.data() + from, d, v_cache_.data() + to);
    }
  }
  attend(index, w.sinks);
  multiply(w.o, attended_, w.o_bias, projected_);
  add_scaled(x_.data(), 1.0, projected_.data(), x_.size());
  norm(x_, w.mlp_norm, normed_, c_.hidden);
  multiply(w.gate, normed_, w.gate_bias, gate_);
  multiply(w.up, normed_, w.up_bias, up_);
  for (std::size_t i = 0; i < gate_.size(); ++i) {
    gate_[i] = gate_[i] / (1.0 + std::exp(-gate_[i])) * up_[i];
  }
  multiply(w.down, gate_, w.down_bias, projected_);
  add_scaled(x_.data(), 1.0, projected_.data(), x_.size());
}

Result<void> Forward::run(std::span<const std::int32_t> tokens, const LayerSink& sink) {
  assert(!tokens.empty() && tokens.size() <= kBatch && position_ + tokens.size() <= room_);
  batch_ = tokens.size();
  x_.resize(batch_ * c_.hidden);
  const Weights& e = model_.embedding;
  for (std::size_t b = 0; b < batch_; ++b) {
    assert(tokens[b] >= 0 && static_cast<std::uint64_t>(tokens[b]) < e.rows);
    const auto offset = static_cast<std::size_t>(tokens[b]) * e.cols * trace::dtype_bytes(e.dtype);
    widen(e.dtype, e.data + offset, c_.hidden, x_.data() + b * c_.hidden);
  }
  for (std::uint32_t index = 0; index < c_.layers; ++index) {
    layer(index);
    if (sink) {
      if (auto ok = sink({index, position_, static_cast<std::uint32_t>(batch_), q_, k_, v_}); !ok) {
        return ok;
      }
    }
  }
  position_ += static_cast<std::uint32_t>(batch_);
  return {};
}

std::vector<double> Forward::logits(std::size_t index) {
  assert(index < batch_);
  const auto begin = x_.begin() + static_cast<std::ptrdiff_t>(index * c_.hidden);
  const std::vector<double> x(begin, begin + c_.hidden);
  std::vector<double> normed;
  std::vector<double> out;
  norm(x, model_.final_norm, normed, c_.hidden);
  multiply(model_.output, normed, {}, out);
  return out;
}

}  // namespace kvsink::capture

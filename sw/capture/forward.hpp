// SPDX-License-Identifier: Apache-2.0
// The forward pass, in double precision: tokens in, logits out, and on the way each layer's q, k, v after RoPE.
//
//   x = E[token]
//   each layer:  n = RMSNorm(x)   q, k, v = Wq n, Wk n, Wv n   (RMSNorm of each head of q and k)   q, k = RoPE(q, k)
//                a_h = softmax(scale * q_h . K) V              x += Wo a
//                n = RMSNorm(x)   x += Wdown (silu(Wgate n) * Wup n)
//   logits = Wout RMSNorm(x)
//
// (Touvron et al. 2023; RoPE: Su et al. 2021; GQA: Ainslie et al. 2023; RMSNorm: Zhang and Sennrich 2019.) With a
// sliding window a query sees the last W positions; a learned sink adds exp(logit) to the softmax's denominator.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "sw/capture/model.hpp"
#include "sw/capture/threads.hpp"

namespace kvsink::capture {

/// What a layer's attention read, for consecutive positions: q [count][q_heads][head_dim], k and v
/// [count][kv_heads][head_dim].
struct LayerRows {
  std::uint32_t layer;
  std::uint32_t position;  ///< of the first row
  std::uint32_t count;
  std::span<const double> q;
  std::span<const double> k;
  std::span<const double> v;
};

/// Is handed each layer's rows, in order of layers; an error ends the pass.
using LayerSink = std::function<Result<void>(const LayerRows&)>;

/// One sequence's state: its KV cache grows with every call.
class Forward {
 public:
  static constexpr std::size_t kBatch = 32;  ///< most tokens a call takes

  /// Room for `positions` tokens.
  Forward(const Model& model, std::uint32_t positions, Threads& threads);

  /// Runs the next tokens (1..kBatch of them, each below the vocabulary, within the room) through all layers.
  Result<void> run(std::span<const std::int32_t> tokens, const LayerSink& sink = {});

  /// Logits after token `index` of the last call, [vocabulary].
  std::vector<double> logits(std::size_t index);

  std::uint32_t position() const { return position_; }

 private:
  void norm(const std::vector<double>& from, const Weights& w, std::vector<double>& to, std::size_t width);
  void multiply(const Weights& w, const std::vector<double>& x, const Weights& bias, std::vector<double>& out);
  void head_norm(std::vector<double>& rows, const Weights& w) const;
  void rope(std::vector<double>& rows, std::size_t heads) const;
  void attend(std::uint32_t layer, const Weights& sinks);
  void layer(std::uint32_t index);

  const Model& model_;
  const ModelConfig& c_;
  Threads& threads_;
  std::uint32_t room_;
  std::uint32_t position_ = 0;
  std::size_t batch_ = 0;
  std::vector<double> k_cache_;  ///< [layer][kv head][position][head_dim]
  std::vector<double> v_cache_;
  std::vector<double> x_, normed_, q_, k_, v_, attended_, projected_, gate_, up_;
};

}  // namespace kvsink::capture

// SPDX-License-Identifier: Apache-2.0
// The golden model's first two layers, in double precision: exact attention over a whole sequence, and attention split
// into partials over any sets of positions that are merged again.
//
//   s_t = scale * q.k_t    lse = ln sum_t exp(s_t)    A_t = exp(s_t - lse)    O = sum_t A_t v_t
//   merge of partials p: w_p = exp(lse_p - lse), O = sum_p w_p O_p, lse = ln sum_p exp(lse_p)
//
// (Milakov and Gimelshein 2018, the online softmax; the merge is that of flash decoding.) Inputs are fp16, whose
// products are exact in double; sums are of a few thousand terms, so errors are some 1e-13, eight digits below fp32.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "sw/trace/trace.hpp"

namespace kvsink::golden {

/// Attention over some of the positions: d elements of O and the natural log of the sum of exponentials.
/// Over no position at all: O = 0, lse = -inf.
struct Partial {
  std::vector<double> o;
  double lse;
};

/// A merge of partials, and the scale of its rounding errors: m[i] = sum_p w_p |O_p[i]| (design, section 7).
struct Merged {
  std::vector<double> o;
  double lse;
  std::vector<double> m;
};

/// One K row and the V row beside it, as fp16 bits.
struct KvRows {
  std::span<const std::uint16_t> k;
  std::span<const std::uint16_t> v;
};

/// Attention of one query over rows from anywhere: a trace, or what a device delivered.
Partial attend(std::span<const std::uint16_t> q, std::span<const KvRows> rows, double scale);

/// Exact attention of the query at `position` over positions 0..position, without a split.
Partial exact_attention(const trace::Trace& trace, std::uint32_t layer, std::uint32_t q_head, std::uint32_t position);

/// The partial over `positions`, in any order, each at most `position`, of the query at `position`.
Partial partial_attention(const trace::Trace& trace, std::uint32_t layer, std::uint32_t q_head, std::uint32_t position,
                          std::span<const std::uint32_t> positions);

/// Attention weights A of the query at `position` over positions 0..position; they sum to 1. `lse`, when it is asked
/// for, gets the natural log of the sum of exp(scale * q.k).
std::vector<double> attention_weights(const trace::Trace& trace, std::uint32_t layer, std::uint32_t q_head,
                                      std::uint32_t position, double* lse = nullptr);

/// Merges partials of the same d. Partials with lse = -inf are left out whatever their O holds, +inf counts as -inf,
/// and NaN propagates. With nothing left: O = 0, lse = -inf. No partial at all gives an empty O.
Merged merge(std::span<const Partial> partials);

/// Exact outputs of every decode step, rounded once to fp32. `progress` (may be empty) is called with steps done and
/// all steps, counted over the layers.
trace::Outputs exact_outputs(const trace::Trace& trace,
                             const std::function<void(std::size_t, std::size_t)>& progress = {});

}  // namespace kvsink::golden

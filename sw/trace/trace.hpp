// SPDX-License-Identifier: Apache-2.0
// A captured attention trace: what a language model's attention layers read and gave over one sequence.
//
//   token_ids         I32 [T]              tokens of the sequence
//   decode_positions  I32 [N]              step n is the query at this position; it attends to positions 0..itself
//   q                 F16 [L][T][Hq][d]    queries after RoPE, not scaled
//   k, v              F16 [L][T][Hkv][d]   keys after RoPE, values; query head h uses kv head h / (Hq/Hkv)
//   o                 F32 [L][N][Hq][d]    exact attention outputs of the steps, from the F16 q, k, v
//   lse               F32 [L][N][Hq]       natural log of the sum of exp(scale * q.k), same steps
//   sink_logit        F32 [L][Hq]          optional: learned sinks of the model; not part of o and lse
//
// docs/trace-format.md describes the file; trace_writer.hpp writes it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "sw/trace/result.hpp"

namespace kvsink::trace {

/// Sizes of a trace. Names in messages and files: layers, tokens, q_heads, kv_heads, head_dim, steps.
struct Dims {
  std::uint32_t L = 0;    ///< layers
  std::uint32_t T = 0;    ///< tokens of the sequence
  std::uint32_t Hq = 0;   ///< query heads
  std::uint32_t Hkv = 0;  ///< key/value heads
  std::uint32_t d = 0;    ///< head_dim: elements of one row of K or V
  std::uint32_t N = 0;    ///< decode steps

  /// The kv head that a query head reads.
  std::uint32_t kv_head(std::uint32_t q_head) const { return q_head / (Hq / Hkv); }
  bool operator==(const Dims&) const = default;
};

/// The most that a configuration of the block takes.
struct Limits {
  std::uint32_t layers;
  std::uint32_t q_heads;
  std::uint32_t kv_heads;
  std::uint32_t head_dim;  ///< elements of a row
  std::uint32_t tokens;
};

/// A trace in memory, checked: every accessor is defined for every index below the dimensions.
class Trace {
 public:
  /// Reads and checks a file. Refused, with one line that names file, tensor, value and limit: whatever SafeTensors
  /// refuses; a tensor or metadata entry that is missing; a wrong dtype or shape, or one that differs from the metadata
  /// or between tensors; a NaN or infinity in q, k, v, o or lse; query heads that are not a multiple of kv heads; steps
  /// that do not ascend, lie in the prefill or beyond the sequence; a scale that is not a positive number; a checksum
  /// that is there and does not hold.
  static Result<Trace> load(const std::string& path);

  const std::string& path() const { return path_; }
  const Dims& dims() const { return dims_; }
  /// Tokens 0..prefill_tokens-1 are prefill, 1..T.
  std::uint32_t prefill_tokens() const { return prefill_tokens_; }
  /// Factor of q.k, such as 1/sqrt(d).
  double scale() const { return scale_; }
  /// All metadata as the file has it; `model`, `source` and `licence` are certain to be there.
  const std::map<std::string, std::string>& metadata() const { return metadata_; }
  const std::string& meta(const std::string& key) const;

  std::span<const std::int32_t> token_ids() const { return token_ids_; }
  /// Position of the query of each step, ascending.
  std::span<const std::int32_t> decode_positions() const { return decode_positions_; }

  /// Rows of d elements, as fp16 bits. `token` is a position of the sequence.
  std::span<const std::uint16_t> q(std::size_t layer, std::size_t token, std::size_t q_head) const {
    return row<std::uint16_t>(q_, (layer * dims_.T + token) * dims_.Hq + q_head);
  }
  std::span<const std::uint16_t> k(std::size_t layer, std::size_t token, std::size_t kv_head) const {
    return row<std::uint16_t>(k_, (layer * dims_.T + token) * dims_.Hkv + kv_head);
  }
  std::span<const std::uint16_t> v(std::size_t layer, std::size_t token, std::size_t kv_head) const {
    return row<std::uint16_t>(v_, (layer * dims_.T + token) * dims_.Hkv + kv_head);
  }
  /// The trace's own outputs: d elements, and their lse (base e). `step` counts decode steps, 0..N-1.
  std::span<const float> o(std::size_t layer, std::size_t step, std::size_t q_head) const {
    return row<float>(o_, (layer * dims_.N + step) * dims_.Hq + q_head);
  }
  float lse(std::size_t layer, std::size_t step, std::size_t q_head) const {
    return lse_[(layer * dims_.N + step) * dims_.Hq + q_head];
  }
  /// How many positions, itself included, a query of this layer sees in the model; 0: all. What o and lse hold does not
  /// depend on it: they are over all positions.
  std::uint32_t window(std::size_t layer) const { return windows_.empty() ? 0 : windows_[layer]; }
  /// The first position that a query of this layer sees by its window.
  std::size_t first_seen(std::size_t layer, std::size_t position) const {
    const std::size_t wide = window(layer);
    return wide == 0 || position < wide ? 0 : position + 1 - wide;
  }
  /// A learned sink: the logit that joins the model's softmax of this head without a value. None: -infinity.
  float sink_logit(std::size_t layer, std::size_t q_head) const;
  /// Made up by a program, not recorded from a model.
  bool synthetic() const { return metadata_.contains("synthetic"); }
  /// The whole tensors, in the order of their shapes.
  std::span<const float> o() const { return o_; }
  std::span<const float> lse() const { return lse_; }

 private:
  template <class T>
  std::span<const T> row(const std::vector<T>& tensor, std::size_t index) const {
    return std::span<const T>(tensor).subspan(index * dims_.d, dims_.d);
  }

  std::string path_;
  std::map<std::string, std::string> metadata_;
  Dims dims_;
  std::uint32_t prefill_tokens_ = 0;
  double scale_ = 0;
  std::vector<std::int32_t> token_ids_;
  std::vector<std::int32_t> decode_positions_;
  std::vector<std::uint16_t> q_;
  std::vector<std::uint16_t> k_;
  std::vector<std::uint16_t> v_;
  std::vector<float> o_;
  std::vector<float> lse_;
  std::vector<std::uint32_t> windows_;
  std::vector<float> sink_logits_;
};

/// Whether a configuration takes the trace; the error names tensor, value, limit and the configuration.
Result<void> check_limits(const Trace& trace, const Limits& limits, std::string_view config);

/// Outputs of decode steps, from the golden model or the RTL: o F32 [L][N][Hq][d] and lse F32 [L][N][Hq].
struct Outputs {
  std::uint32_t L = 0;
  std::uint32_t N = 0;
  std::uint32_t Hq = 0;
  std::uint32_t d = 0;
  std::vector<float> o;
  std::vector<float> lse;

  /// Room for the outputs of a trace, all zero.
  static Outputs for_trace(const Dims& dims);
  std::size_t index(std::size_t layer, std::size_t step, std::size_t q_head) const {
    return (layer * N + step) * Hq + q_head;
  }
  std::span<float> o_row(std::size_t index) { return std::span(o).subspan(index * d, d); }
  std::span<const float> o_row(std::size_t index) const { return std::span(o).subspan(index * d, d); }
};

/// Reads `o` and `lse` of a file and checks that their shapes belong together. Rank 4 and 3 as above, or o [R][d] and
/// lse [R], what `kvsink merge` writes, read as one layer and head with R steps. A trace is a file of outputs as well.
/// NaN and infinity are let through: whether two outputs agree is the reader's question.
Result<Outputs> read_outputs(const std::string& path);
/// Writes them with the metadata given; whole or not at all.
Result<void> write_outputs(const std::string& path, const Outputs& outputs,
                           const std::map<std::string, std::string>& metadata);

}  // namespace kvsink::trace

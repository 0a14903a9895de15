// SPDX-License-Identifier: Apache-2.0
// Writing of a trace while it comes into being: rows go to their places on disk as they are known, so memory holds none
// of them. The format is described in docs/trace-format.md; trace.hpp reads it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "sw/trace/result.hpp"
#include "sw/trace/trace.hpp"

namespace kvsink::trace {

/// What is known of a trace before its first row. `dims.T` and `dims.N` are the most that will come.
struct TracePlan {
  Dims dims;
  std::uint32_t prefill_tokens = 0;
  double scale = 0;
  std::vector<std::uint32_t> windows;  ///< of each layer, 0 is none; empty: no layer has one
  std::vector<float> sink_logits;      ///< [L][Hq], learned sinks; empty: none
};

/// A trace file that grows under another name and takes its own when it is complete; dropped before that, it goes.
class TraceWriter {
 public:
  /// Makes the file, with room for the whole plan: a disk that is too small is found out now, not after the work.
  /// Refused: no such folder, no right, too little space, a name that is a folder or a device.
  static Result<TraceWriter> create(const std::string& path, const TracePlan& plan);
  TraceWriter(TraceWriter&&) noexcept;
  TraceWriter& operator=(TraceWriter&&) noexcept;
  ~TraceWriter();

  /// Rows of all heads of consecutive tokens in one layer: count * H * d values as fp16 bits.
  Result<void> write_q(std::uint32_t layer, std::uint32_t token, std::span<const std::uint16_t> rows);
  Result<void> write_k(std::uint32_t layer, std::uint32_t token, std::span<const std::uint16_t> rows);
  Result<void> write_v(std::uint32_t layer, std::uint32_t token, std::span<const std::uint16_t> rows);
  /// Outputs of all query heads of one step in one layer: Hq * d values, and Hq values of lse.
  Result<void> write_step(std::uint32_t layer, std::uint32_t step, std::span<const float> o,
                          std::span<const float> lse);

  /// Closes the trace with the tokens and steps that came, at most those of the plan: rows move together when there
  /// were fewer. `metadata` gives model, source, licence and whatever else is to be told; sizes and checksums are
  /// filled in here. A text too long for the header is cut.
  Result<void> finish(std::span<const std::int32_t> token_ids, std::span<const std::int32_t> decode_positions,
                      std::map<std::string, std::string> metadata);

  /// Size of the finished file, in bytes.
  std::uint64_t bytes() const;

 private:
  struct State;
  explicit TraceWriter(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace kvsink::trace

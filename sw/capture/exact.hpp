// SPDX-License-Identifier: Apache-2.0
// The o and lse of a trace: exact attention over the fp16 rows that the trace holds, in double, rounded once to fp32.
#pragma once

#include <cstdint>
#include <span>

#include "sw/capture/threads.hpp"
#include "sw/trace/trace.hpp"

namespace kvsink::capture {

/// K and V of one layer as they are recorded: fp16 bits, [kv_heads][room][d], of which the first rows are filled.
struct LayerHistory {
  std::span<const std::uint16_t> k;
  std::span<const std::uint16_t> v;
  std::uint32_t room;
};

/// Attention of all query heads (q: [q_heads][d]) at `position` over positions 0..position: o [q_heads][d] and lse
/// [q_heads], natural log. Heads and d are those of `dims`.
void exact_step(const trace::Dims& dims, double scale, const LayerHistory& history, std::uint32_t position,
                std::span<const std::uint16_t> q, std::span<float> o, std::span<float> lse, Threads& threads);

}  // namespace kvsink::capture

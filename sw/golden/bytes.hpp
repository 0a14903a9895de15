// SPDX-License-Identifier: Apache-2.0
// What exact attention has to read, counted from the trace alone. Bytes, never mass: a token that takes 40 % of the
// attention is still one row in each step.
#pragma once

#include <cstdint>

#include "sw/trace/trace.hpp"

namespace kvsink::golden {

/// Bytes of K and V of one token over all layers and kv heads, fp16: 2 * L * Hkv * d * 2.
std::uint64_t kv_bytes_per_token(const trace::Dims& dims);

/// Rows that all decode steps read together, each step each row once: K and V of positions 0..itself, for every layer
/// and kv head (query heads of a group share a row).
std::uint64_t kv_rows_needed(const trace::Trace& trace);

/// The same in bytes of the model's own rows (d * 2 bytes, without the padding of a layout).
std::uint64_t kv_needed(const trace::Trace& trace);

}  // namespace kvsink::golden

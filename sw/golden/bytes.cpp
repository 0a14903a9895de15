// SPDX-License-Identifier: Apache-2.0
#include "sw/golden/bytes.hpp"

namespace kvsink::golden {
namespace {
constexpr std::uint64_t kPlanes = 2;     // K and V
constexpr std::uint64_t kHalfBytes = 2;  // fp16
}  // namespace

std::uint64_t kv_bytes_per_token(const trace::Dims& dims) { return kPlanes * dims.L * dims.Hkv * dims.d * kHalfBytes; }

std::uint64_t kv_rows_needed(const trace::Trace& trace) {
  std::uint64_t tokens = 0;
  for (const std::int32_t position : trace.decode_positions()) {
    tokens += static_cast<std::uint64_t>(position) + 1;
  }
  return tokens * kPlanes * trace.dims().L * trace.dims().Hkv;
}

std::uint64_t kv_needed(const trace::Trace& trace) { return kv_rows_needed(trace) * trace.dims().d * kHalfBytes; }

}  // namespace kvsink::golden

// SPDX-License-Identifier: Apache-2.0
// Attention tensors that other tools saved (npy, npz, safetensors) to a trace, by a small mapping file. The mapping is
// described in docs/trace-format.md.
#pragma once

#include <string>

#include "sw/trace/result.hpp"

namespace kvsink::capture {

struct ImportReport {
  std::uint32_t layers = 0;
  std::uint32_t tokens = 0;
  std::uint32_t steps = 0;
  std::uint64_t bytes = 0;
  double largest_o = -1;  ///< difference of the tool's own o from the exact one, and of lse; below 0: none given
  double largest_lse = -1;
};

/// Refused, with one line that names file, array and value: a mapping that lacks something or has what is not known; an
/// array that is missing, cut short, of another type, rank or size than the others; NaN, infinity, or a number beyond
/// fp16; outputs that differ from exact attention by more than the mapping allows; what TraceWriter refuses.
Result<ImportReport> import_trace(const std::string& map, const std::string& out);

}  // namespace kvsink::capture

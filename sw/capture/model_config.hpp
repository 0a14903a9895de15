// SPDX-License-Identifier: Apache-2.0
// The sizes of a model as its config.json tells them.
#pragma once

#include <string>

#include "sw/capture/model.hpp"

namespace kvsink::capture {

/// Reads config.json. What would change the computation and is not known is refused, never passed over.
Result<ModelConfig> read_config(const std::string& path);

/// Reads a text file of at most `limit` bytes.
Result<std::string> read_text(const std::string& path, std::uint64_t limit);

}  // namespace kvsink::capture

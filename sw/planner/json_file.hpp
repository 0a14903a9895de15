// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <fstream>
#include <nlohmann/json.hpp>
#include <string>

namespace kvsink::planner {

/// A file as JSON, in the file's order; a discarded value when it is none.
inline nlohmann::ordered_json read_json(const std::string& path) {
  std::ifstream file(path);
  return nlohmann::ordered_json::parse(file, nullptr, false);
}

}  // namespace kvsink::planner

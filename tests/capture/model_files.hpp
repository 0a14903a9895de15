// SPDX-License-Identifier: Apache-2.0
// Small models with random weights, written as Hugging Face directories or llama2.c checkpoints, right or broken on
// purpose.
#pragma once

#include <cstdint>
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "sw/trace/safetensors.hpp"

namespace kvsink::test {

/// A tensor by name, in double; what a file holds of it is rounded to the file's type.
struct ModelTensor {
  std::vector<std::uint64_t> shape;
  std::vector<double> data;
};

/// A model that can be written, and read by reference.hpp.
struct ModelFiles {
  nlohmann::json config;
  std::map<std::string, ModelTensor> tensors;

  /// Llama: 3 layers, hidden 24, MLP 40, 6 query and 2 kv heads of 4, 50 tokens, 64 positions. Weights are such that
  /// each is exact in `dtype`.
  static ModelFiles random(trace::DType dtype, std::uint64_t seed = 1);

  /// Writes config.json and the weights, in `shards` files; one is model.safetensors, several have an index.
  void write(const std::string& folder, trace::DType dtype, int shards = 1) const;
};

}  // namespace kvsink::test

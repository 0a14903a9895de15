// SPDX-License-Identifier: Apache-2.0
// A second forward pass to judge the first by: written from the formulas alone, in double, over the whole sequence at
// once, with no cache, no batches, no threads, and none of the capture library's code.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "tests/capture/model_files.hpp"

namespace kvsink::test {

/// What the pass is told of the model; the rest follows from the tensors' shapes.
struct ReferenceConfig {
  std::size_t layers = 0;
  std::size_t q_heads = 0;
  std::size_t kv_heads = 0;
  double rms_eps = 1e-5;
  double theta = 1e4;
  bool interleaved = false;
  std::size_t window = 0;  ///< of every layer; 0: none
};

struct ReferenceResult {
  std::vector<std::vector<double>> logits;  ///< [token][vocabulary]
  std::vector<std::vector<double>> q;       ///< [layer][token * q_heads * d], after RoPE
  std::vector<std::vector<double>> k;
  std::vector<std::vector<double>> v;
};

/// Tensors by the names of Hugging Face; a missing lm_head.weight means the embedding.
ReferenceResult reference_forward(const ReferenceConfig& config, const std::map<std::string, ModelTensor>& tensors,
                                  const std::vector<std::int32_t>& tokens);

/// The tensors of a safetensors file in F32, and those of a llama2.c checkpoint of version 0.
std::map<std::string, ModelTensor> tensors_of_safetensors(const std::string& path);
std::map<std::string, ModelTensor> tensors_of_llama2c(const std::string& path);

}  // namespace kvsink::test

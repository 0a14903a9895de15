// SPDX-License-Identifier: Apache-2.0
#include "tests/capture/model_files.hpp"

#include <cmath>
#include <cstring>
#include <filesystem>
#include <random>
#include <stdexcept>

#include "sw/golden/half.hpp"
#include "tests/trace/trace_file.hpp"

namespace kvsink::test {
namespace {

using trace::DType;

/// The number as a file of this type holds it.
double rounded(double x, DType dtype) {
  switch (dtype) {
    case DType::kF16:
      return golden::half_to_float(golden::float_to_half(static_cast<float>(x)));
    case DType::kBf16:
      return golden::bf16_to_float(golden::float_to_bf16(static_cast<float>(x)));
    default:
      return static_cast<float>(x);
  }
}

std::string encoded(const ModelTensor& tensor, DType dtype) {
  std::string out;
  for (const double x : tensor.data) {
    const auto value = static_cast<float>(x);
    const std::uint16_t narrow = dtype == DType::kF16 ? golden::float_to_half(value) : golden::float_to_bf16(value);
    out.append(dtype == DType::kF32 ? reinterpret_cast<const char*>(&value) : reinterpret_cast<const char*>(&narrow),
               trace::dtype_bytes(dtype));
  }
  return out;
}

}  // namespace

ModelFiles ModelFiles::random(DType dtype, std::uint64_t seed) {
  ModelFiles m;
  m.config = {{"architectures", {"LlamaForCausalLM"}},
              {"hidden_size", 24},
              {"intermediate_size", 40},
              {"num_hidden_layers", 3},
              {"num_attention_heads", 6},
              {"num_key_value_heads", 2},
              {"vocab_size", 50},
              {"max_position_embeddings", 64},
              {"rms_norm_eps", 1e-5},
              {"rope_theta", 100.0},
              {"tie_word_embeddings", false},
              {"hidden_act", "silu"}};
  std::mt19937_64 random(seed);
  std::normal_distribution<double> normal;
  const auto add = [&](const std::string& name, std::vector<std::uint64_t> shape, double middle, double spread) {
    ModelTensor tensor{std::move(shape), {}};
    std::uint64_t n = 1;
    for (const std::uint64_t size : tensor.shape) {
      n *= size;
    }
    for (std::uint64_t i = 0; i < n; ++i) {
      tensor.data.push_back(rounded(middle + spread * normal(random), dtype));
    }
    m.tensors[name] = std::move(tensor);
  };
  add("model.embed_tokens.weight", {50, 24}, 0, 1);
  add("model.norm.weight", {24}, 1, 0.2);
  add("lm_head.weight", {50, 24}, 0, 1);
  for (int layer = 0; layer < 3; ++layer) {
    const std::string at = "model.layers." + std::to_string(layer) + ".";
    add(at + "input_layernorm.weight", {24}, 1, 0.2);
    add(at + "post_attention_layernorm.weight", {24}, 1, 0.2);
    add(at + "self_attn.q_proj.weight", {24, 24}, 0, 0.4);
    add(at + "self_attn.k_proj.weight", {8, 24}, 0, 0.4);
    add(at + "self_attn.v_proj.weight", {8, 24}, 0, 0.4);
    add(at + "self_attn.o_proj.weight", {24, 24}, 0, 0.3);
    add(at + "mlp.gate_proj.weight", {40, 24}, 0, 0.3);
    add(at + "mlp.up_proj.weight", {40, 24}, 0, 0.3);
    add(at + "mlp.down_proj.weight", {24, 40}, 0, 0.3);
  }
  return m;
}

void ModelFiles::write(const std::string& folder, DType dtype, int shards) const {
  std::filesystem::create_directories(folder);
  write_file(folder + "/config.json", config.dump());
  std::vector<std::vector<trace::TensorData>> files(static_cast<std::size_t>(shards));
  std::map<std::string, std::string> data;
  nlohmann::json index = {{"weight_map", nlohmann::json::object()}};
  std::size_t next = 0;
  for (const auto& [name, tensor] : tensors) {
    data[name] = encoded(tensor, dtype);
    const std::size_t shard = next++ % files.size();
    files[shard].push_back({name, dtype, tensor.shape, std::as_bytes(std::span(data[name]))});
    index["weight_map"][name] = "model-" + std::to_string(shard) + ".safetensors";
  }
  for (std::size_t i = 0; i < files.size(); ++i) {
    const std::string name = shards == 1 ? "/model.safetensors" : "/model-" + std::to_string(i) + ".safetensors";
    if (const auto ok = trace::write_safetensors(folder + name, {}, files[i]); !ok) {
      throw std::runtime_error(ok.error().message);
    }
  }
  if (shards > 1) {
    write_file(folder + "/model.safetensors.index.json", index.dump());
  }
}

}  // namespace kvsink::test

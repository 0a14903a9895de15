// SPDX-License-Identifier: Apache-2.0
#include "sw/capture/model_config.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <numbers>
#include <optional>
#include <string_view>

namespace kvsink::capture {
namespace {

using Json = nlohmann::json;
using trace::in_quotes;

constexpr std::uint64_t kMaxConfig = 1U << 20;

/// Architectures whose layers are: RMSNorm, attention with RoPE, RMSNorm, SwiGLU, each added to the residual.
constexpr std::array<std::string_view, 4> kArchitectures = {"LlamaForCausalLM", "MistralForCausalLM",
                                                            "Qwen2ForCausalLM", "Qwen3ForCausalLM"};

/// Settings of relatives that change what a layer computes. They may be there with the value that changes nothing.
struct Neutral {
  const char* key;
  double value;
};
constexpr std::array kNeutral = {Neutral{"attn_logit_softcapping", 0}, Neutral{"final_logit_softcapping", 0},
                                 Neutral{"embedding_multiplier", 1},   Neutral{"residual_multiplier", 1},
                                 Neutral{"logits_scaling", 1},         Neutral{"query_pre_attn_scalar", 0},
                                 Neutral{"num_local_experts", 0},      Neutral{"num_experts", 0},
                                 Neutral{"attention_multiplier", 0}};

/// Reads values; after the first that is wrong, `error` is set and the rest are passed over.
class Reader {
 public:
  Reader(const Json& json, const std::string& path) : json_(json), path_(path) {}

  const std::optional<Error>& error() const { return error_; }
  void fail(const std::string& what) {
    if (!error_) {
      error_ = Error{path_ + ": " + what};
    }
  }
  bool has(const char* key) const { return json_.contains(key) && !json_[key].is_null(); }

  std::uint32_t count(const char* key, std::uint32_t most, std::optional<std::uint32_t> otherwise = {}) {
    if (!has(key)) {
      if (!otherwise) {
        fail(fmt::format("'{}' is missing", key));
      }
      return otherwise.value_or(1);
    }
    const Json& value = json_[key];
    if (!value.is_number_unsigned() || value.get<std::uint64_t>() < 1 || value.get<std::uint64_t>() > most) {
      fail(fmt::format("'{}' is {}, a whole number from 1 to {} is wanted", key, in_quotes(value.dump()), most));
      return 1;
    }
    return value.get<std::uint32_t>();
  }

  double number(const Json& from, const char* key, double otherwise) {
    if (!from.contains(key) || from[key].is_null()) {
      return otherwise;
    }
    if (!from[key].is_number() || !(from[key].get<double>() > 0) || !std::isfinite(from[key].get<double>())) {
      fail(fmt::format("'{}' is {}, a number above 0 is wanted", key, in_quotes(from[key].dump())));
      return otherwise;
    }
    return from[key].get<double>();
  }

  bool flag(const char* key, bool otherwise) {
    if (!has(key)) {
      return otherwise;
    }
    if (!json_[key].is_boolean()) {
      fail(fmt::format("'{}' is {}, true or false is wanted", key, in_quotes(json_[key].dump())));
      return otherwise;
    }
    return json_[key].get<bool>();
  }

  std::string word(const Json& from, const char* key, const std::string& otherwise) {
    if (!from.contains(key) || from[key].is_null()) {
      return otherwise;
    }
    if (!from[key].is_string()) {
      fail(fmt::format("'{}' is {}, a word is wanted", key, in_quotes(from[key].dump())));
      return otherwise;
    }
    return from[key].get<std::string>();
  }

  std::vector<std::int32_t> tokens(const char* key, std::uint32_t vocabulary) {
    std::vector<std::int32_t> out;
    if (!has(key)) {
      return out;
    }
    for (const Json& token : json_[key].is_array() ? json_[key] : Json::array({json_[key]})) {
      if (!token.is_number_unsigned() || token.get<std::uint64_t>() >= vocabulary) {
        fail(fmt::format("'{}' is {}, tokens from 0 to {} are wanted", key, in_quotes(json_[key].dump()),
                         vocabulary - 1));
        return {};
      }
      out.push_back(token.get<std::int32_t>());
    }
    return out;
  }

  const Json& json() const { return json_; }

 private:
  const Json& json_;
  const std::string& path_;
  std::optional<Error> error_;
};

/// Frequencies of rotary embedding, with the stretchings that are known: none, "linear" and "llama3".
void read_rope(Reader& read, ModelConfig& c) {
  static const Json none = Json::object();
  // Older files have rope_theta and rope_scaling, newer ones both in rope_parameters.
  const char* where = read.has("rope_parameters") ? "rope_parameters" : "rope_scaling";
  const Json& rope = read.has(where) ? read.json()[where] : none;
  if (!rope.is_object()) {
    return read.fail(fmt::format("'{}' is not an object", where));
  }
  c.rope_theta = read.number(rope, "rope_theta", read.number(read.json(), "rope_theta", 1e4));
  c.rope_kind = read.word(rope, "rope_type", read.word(rope, "type", "default"));
  const double part = read.number(rope, "partial_rotary_factor", read.number(read.json(), "partial_rotary_factor", 1));
  const auto turned = static_cast<std::uint32_t>(std::lround(c.head_dim * part));
  if (turned % 2 != 0 || turned == 0 || turned > c.head_dim) {
    return read.fail(
        fmt::format("RoPE turns {} of {} elements of a head, an even number is wanted", turned, c.head_dim));
  }
  if (c.rope_kind != "default" && c.rope_kind != "linear" && c.rope_kind != "llama3") {
    return read.fail(fmt::format("the RoPE type {} is not known (default, linear, llama3)", in_quotes(c.rope_kind)));
  }
  const double factor = c.rope_kind == "default" ? 1 : read.number(rope, "factor", 0);
  if (!(factor > 0)) {
    return read.fail(fmt::format("'{}' lacks its factor", where));
  }
  const double low = read.number(rope, "low_freq_factor", 1);
  const double high = read.number(rope, "high_freq_factor", 4);
  const double original = read.number(rope, "original_max_position_embeddings", 8192);
  for (std::uint32_t i = 0; i < turned / 2; ++i) {
    double f = std::pow(c.rope_theta, -2.0 * i / turned);
    if (c.rope_kind == "linear") {
      f /= factor;
    } else if (c.rope_kind == "llama3") {
      // Slow turns are stretched, fast ones kept, those between blended by how often they turn in the original length.
      const double turns = original * f / (2 * std::numbers::pi);
      const double blend = std::clamp((turns - low) / (high - low), 0.0, 1.0);
      f = (1 - blend) * f / factor + blend * f;
    }
    c.frequencies.push_back(f);
  }
}

/// Sliding windows, a layer each.
void read_windows(Reader& read, ModelConfig& c, const std::string& architecture) {
  c.windows.assign(c.layers, 0);
  const std::uint32_t window = read.has("sliding_window") ? read.count("sliding_window", 1U << 30U) : 0;
  if (read.has("layer_types")) {
    const Json& types = read.json()["layer_types"];
    if (!types.is_array() || types.size() != c.layers) {
      return read.fail(fmt::format("'layer_types' is not a list of {} words", c.layers));
    }
    for (std::uint32_t layer = 0; layer < c.layers; ++layer) {
      if (types[layer] == "sliding_attention" && window > 0) {
        c.windows[layer] = window;
      } else if (types[layer] != "full_attention") {
        return read.fail(
            fmt::format("'layer_types' [{}] is {}, full_attention or sliding_attention with a "
                        "'sliding_window' is wanted",
                        layer, in_quotes(types[layer].dump())));
      }
    }
    return;
  }
  const bool qwen = architecture.starts_with("Qwen");
  if (!read.flag("use_sliding_window", !qwen)) {
    return;
  }
  // Qwen: the first max_window_layers layers see everything.
  const std::uint32_t first = qwen ? read.count("max_window_layers", 1U << 20U, c.layers) : 0;
  for (std::uint32_t layer = first; layer < c.layers; ++layer) {
    c.windows[layer] = window;
  }
}

}  // namespace

Result<std::string> read_text(const std::string& path, std::uint64_t limit) {
  namespace fs = std::filesystem;
  std::error_code failed;
  if (!fs::exists(path, failed)) {
    return Error{path + ": no such file"};
  }
  if (!fs::is_regular_file(path, failed)) {
    return Error{path + ": is not a regular file"};
  }
  const std::uint64_t size = fs::file_size(path, failed);
  if (failed || size > limit) {
    return Error{fmt::format("{}: has {} bytes, the limit is {}", path, size, limit)};
  }
  std::string text(size, '\0');
  std::ifstream file(path, std::ios::binary);
  if (!file.read(text.data(), static_cast<std::streamsize>(size))) {
    return Error{path + ": cannot be read"};
  }
  return text;
}

Result<ModelConfig> read_config(const std::string& path) {
  const auto text = read_text(path, kMaxConfig);
  if (!text) {
    return text.error();
  }
  const Json json = Json::parse(*text, nullptr, false);
  if (!json.is_object()) {
    return Error{path + ": is not a JSON object"};
  }
  Reader read(json, path);
  std::string architecture;
  if (json.contains("architectures") && json["architectures"].is_array() && json["architectures"].size() == 1 &&
      json["architectures"][0].is_string()) {
    architecture = json["architectures"][0].get<std::string>();
  }
  if (std::find(kArchitectures.begin(), kArchitectures.end(), architecture) == kArchitectures.end()) {
    return Error{fmt::format("{}: the architecture {} is not known ({}; scripts/capture_hf.py takes others)", path,
                             in_quotes(architecture), fmt::join(kArchitectures, ", "))};
  }
  ModelConfig c;
  c.hidden = read.count("hidden_size", 1U << 16U);
  c.intermediate = read.count("intermediate_size", 1U << 18U);
  c.layers = read.count("num_hidden_layers", 1024);
  c.q_heads = read.count("num_attention_heads", 1024);
  c.kv_heads = read.count("num_key_value_heads", 1024, c.q_heads);
  c.head_dim = read.count("head_dim", 1024, std::max(1U, c.hidden / c.q_heads));
  c.vocabulary = read.count("vocab_size", 1U << 22U);
  c.positions = read.count("max_position_embeddings", 1U << 24U);
  c.rms_eps = read.number(json, "rms_norm_eps", 1e-6);
  c.scale = 1.0 / std::sqrt(static_cast<double>(c.head_dim));
  c.tied = read.flag("tie_word_embeddings", false);
  c.pairing = read.flag("rope_interleaved", false) ? Pairing::kInterleaved : Pairing::kHalves;
  if (c.q_heads % c.kv_heads != 0) {
    read.fail(fmt::format("'num_attention_heads' is {}, which is not a multiple of 'num_key_value_heads', {}",
                          c.q_heads, c.kv_heads));
  }
  if (const std::string act = read.word(json, "hidden_act", "silu"); act != "silu") {
    read.fail(fmt::format("'hidden_act' is {}, silu is wanted", in_quotes(act)));
  }
  if (read.has("quantization_config")) {
    read.fail("'quantization_config': weights in F32, F16 or BF16 are wanted");
  }
  for (const Neutral& n : kNeutral) {
    if (read.has(n.key) && !(json[n.key].is_number() && json[n.key].get<double>() == n.value)) {
      read.fail(fmt::format("'{}' is {}, which is not supported", n.key, in_quotes(json[n.key].dump())));
    }
  }
  const auto bos = read.tokens("bos_token_id", c.vocabulary);
  c.bos = bos.empty() ? -1 : bos.front();
  c.eos = read.tokens("eos_token_id", c.vocabulary);
  read_windows(read, c, architecture);
  read_rope(read, c);
  if (read.error()) {
    return *read.error();
  }
  return c;
}

}  // namespace kvsink::capture

// SPDX-License-Identifier: Apache-2.0
#include "sw/capture/model.hpp"

#include <fmt/format.h>

#include <atomic>
#include <cmath>
#include <cstring>
#include <filesystem>
#include <map>
#include <nlohmann/json.hpp>
#include <set>
#include <utility>

#include "sw/capture/kernels.hpp"
#include "sw/capture/model_config.hpp"

namespace kvsink::capture {
namespace {

namespace fs = std::filesystem;
using trace::DType;
using trace::in_quotes;
using trace::SafeTensors;
using trace::shape_text;

constexpr std::uint64_t kMaxIndex = 64U << 20;

/// Whether all weights are numbers; the first that is not is named by its tensor.
Result<void> check_finite(const std::string& file, const std::string& name, const Weights& w, Threads& threads) {
  constexpr std::uint64_t kPiece = 1U << 16U;
  const std::uint64_t n = w.rows * w.cols;
  std::atomic<std::uint64_t> first{n};
  threads.loop((n + kPiece - 1) / kPiece, kPiece, [&](std::size_t begin, std::size_t end) {
    for (std::uint64_t piece = begin; piece < end; ++piece) {
      const std::uint64_t at = piece * kPiece;
      const std::uint64_t count = std::min(kPiece, n - at);
      const std::size_t found = first_not_finite(w.dtype, w.data + at * trace::dtype_bytes(w.dtype), count);
      if (found == count) {
        continue;
      }
      std::uint64_t before = first.load();
      while (at + found < before && !first.compare_exchange_weak(before, at + found)) {
      }
    }
  });
  if (first == n) {
    return {};
  }
  const std::uint64_t at = first;
  return Error{
      fmt::format("{}: tensor {}: NaN or infinity at [{}][{}]", file, in_quotes(name), at / w.cols, at % w.cols)};
}

// ---- Hugging Face directories --------------------------------------------------------------------------------------

/// The tensors of one or several safetensors files.
class Shards {
 public:
  Shards(const std::string& folder, Model& model, Threads& threads)
      : folder_(folder), model_(model), threads_(threads) {}

  /// model.safetensors, or the files that model.safetensors.index.json names.
  Result<void> open() {
    const std::string index = folder_ + "/model.safetensors.index.json";
    std::error_code ignored;
    if (!fs::exists(index, ignored)) {
      return add(folder_ + "/model.safetensors");
    }
    const auto text = read_text(index, kMaxIndex);
    if (!text) {
      return text.error();
    }
    const auto json = nlohmann::json::parse(*text, nullptr, false);
    if (!json.is_object() || !json.contains("weight_map") || !json["weight_map"].is_object()) {
      return Error{index + ": has no 'weight_map'"};
    }
    std::set<std::string> files;
    for (const auto& [tensor, file] : json["weight_map"].items()) {
      const std::string name = file.is_string() ? file.get<std::string>() : "";
      if (name.empty() || fs::path(name).filename() != name) {
        return Error{fmt::format("{}: {} is not a file of this folder", index, in_quotes(file.dump()))};
      }
      files.insert(name);
    }
    for (const std::string& file : files) {
      if (auto ok = add(folder_ + "/" + file); !ok) {
        return ok;
      }
    }
    return {};
  }

  bool has(const std::string& name) const { return tensors_.contains(name); }

  /// A tensor of exactly this shape; cols 0 is a vector.
  Result<void> take(const std::string& name, std::uint64_t rows, std::uint64_t cols, Weights& out) {
    const auto found = tensors_.find(name);
    if (found == tensors_.end()) {
      return Error{
          fmt::format("{}: tensor {} is missing", files_.empty() ? folder_ : files_.front().path(), in_quotes(name))};
    }
    const SafeTensors& file = files_[found->second];
    const trace::TensorInfo& info = file.tensors().at(name);
    const auto shape = cols == 0 ? std::vector{rows} : std::vector{rows, cols};
    if (info.shape != shape) {
      return Error{fmt::format("{}: tensor {} has shape {}, the config wants {}", file.path(), in_quotes(name),
                               shape_text(info.shape), shape_text(shape))};
    }
    if (info.dtype != DType::kF32 && info.dtype != DType::kF16 && info.dtype != DType::kBf16) {
      return Error{fmt::format("{}: tensor {} is {}, F32, F16 or BF16 is wanted", file.path(), in_quotes(name),
                               trace::dtype_name(info.dtype))};
    }
    out = {model_.files[found->second].bytes().data() + info.begin, info.dtype, rows, cols == 0 ? 1 : cols};
    return check_finite(file.path(), name, out, threads_);
  }

  Result<void> take_if_there(const std::string& name, std::uint64_t rows, Weights& out) {
    return has(name) ? take(name, rows, 0, out) : Result<void>();
  }

  const std::vector<SafeTensors>& files() const { return files_; }

 private:
  Result<void> add(const std::string& path) {
    auto file = SafeTensors::open(path);
    if (!file) {
      return file.error();
    }
    auto mapped = trace::MappedFile::open(path);
    if (!mapped) {
      return mapped.error();
    }
    for (const auto& [name, info] : file->tensors()) {
      if (info.begin + info.bytes > mapped->bytes().size()) {
        return Error{path + ": was cut short while it was opened"};
      }
      if (!tensors_.emplace(name, files_.size()).second) {
        return Error{fmt::format("{}: tensor {} is in another file as well", path, in_quotes(name))};
      }
    }
    model_.source += fmt::format("{}{} ({} bytes)", model_.source.empty() ? "" : ", ",
                                 fs::path(path).filename().string(), mapped->bytes().size());
    files_.push_back(*std::move(file));
    model_.files.push_back(*std::move(mapped));
    return {};
  }

  std::string folder_;
  Model& model_;
  Threads& threads_;
  std::vector<SafeTensors> files_;
  std::map<std::string, std::size_t> tensors_;
};

Result<void> load_layer(Shards& shards, const ModelConfig& c, std::uint32_t layer, LayerWeights& w) {
  const std::string at = fmt::format("model.layers.{}.", layer);
  const std::uint64_t q = std::uint64_t{c.q_heads} * c.head_dim;
  const std::uint64_t kv = std::uint64_t{c.kv_heads} * c.head_dim;
  struct Row {
    const char* name;
    std::uint64_t rows;
    std::uint64_t cols;
    Weights* out;
  };
  for (const Row& row :
       {Row{"input_layernorm.weight", c.hidden, 0, &w.attention_norm},
        Row{"self_attn.q_proj.weight", q, c.hidden, &w.q}, Row{"self_attn.k_proj.weight", kv, c.hidden, &w.k},
        Row{"self_attn.v_proj.weight", kv, c.hidden, &w.v}, Row{"self_attn.o_proj.weight", c.hidden, q, &w.o},
        Row{"post_attention_layernorm.weight", c.hidden, 0, &w.mlp_norm},
        Row{"mlp.gate_proj.weight", c.intermediate, c.hidden, &w.gate},
        Row{"mlp.up_proj.weight", c.intermediate, c.hidden, &w.up},
        Row{"mlp.down_proj.weight", c.hidden, c.intermediate, &w.down}}) {
    if (auto ok = shards.take(at + row.name, row.rows, row.cols, *row.out); !ok) {
      return ok;
    }
  }
  for (const Row& row :
       {Row{"self_attn.q_proj.bias", q, 0, &w.q_bias}, Row{"self_attn.k_proj.bias", kv, 0, &w.k_bias},
        Row{"self_attn.v_proj.bias", kv, 0, &w.v_bias}, Row{"self_attn.o_proj.bias", c.hidden, 0, &w.o_bias},
        Row{"self_attn.q_norm.weight", c.head_dim, 0, &w.q_norm},
        Row{"self_attn.k_norm.weight", c.head_dim, 0, &w.k_norm}, Row{"self_attn.sinks", c.q_heads, 0, &w.sinks},
        Row{"mlp.gate_proj.bias", c.intermediate, 0, &w.gate_bias},
        Row{"mlp.up_proj.bias", c.intermediate, 0, &w.up_bias}, Row{"mlp.down_proj.bias", c.hidden, 0, &w.down_bias}}) {
    if (auto ok = shards.take_if_there(at + row.name, row.rows, *row.out); !ok) {
      return ok;
    }
  }
  return {};
}

/// Tensors that no part of the computation reads would mean another model than the config says.
Result<void> check_all_known(const Shards& shards, const ModelConfig& c) {
  static const std::set<std::string> known = {"input_layernorm.weight",  "post_attention_layernorm.weight",
                                              "self_attn.q_proj.weight", "self_attn.k_proj.weight",
                                              "self_attn.v_proj.weight", "self_attn.o_proj.weight",
                                              "self_attn.q_proj.bias",   "self_attn.k_proj.bias",
                                              "self_attn.v_proj.bias",   "self_attn.o_proj.bias",
                                              "self_attn.q_norm.weight", "self_attn.k_norm.weight",
                                              "self_attn.sinks",         "self_attn.rotary_emb.inv_freq",
                                              "mlp.gate_proj.weight",    "mlp.up_proj.weight",
                                              "mlp.down_proj.weight",    "mlp.gate_proj.bias",
                                              "mlp.up_proj.bias",        "mlp.down_proj.bias"};
  for (const SafeTensors& file : shards.files()) {
    for (const auto& [name, info] : file.tensors()) {
      if (name == "model.embed_tokens.weight" || name == "model.norm.weight" || name == "lm_head.weight") {
        continue;
      }
      const std::string_view prefix = "model.layers.";
      const std::size_t dot = name.find('.', prefix.size());
      if (name.starts_with(prefix) && dot != std::string::npos && known.contains(name.substr(dot + 1))) {
        const std::string number = name.substr(prefix.size(), dot - prefix.size());
        if (!number.empty() && number.size() < 6 && number.find_first_not_of("0123456789") == std::string::npos &&
            std::stoul(number) < c.layers) {
          continue;
        }
      }
      return Error{fmt::format("{}: tensor {} has no place in this architecture with {} layers", file.path(),
                               in_quotes(name), c.layers)};
    }
  }
  return {};
}

Result<Model> load_folder(const std::string& path, Threads& threads) {
  Model model;
  auto config = read_config(path + "/config.json");
  if (!config) {
    return config.error();
  }
  model.config = *std::move(config);
  const ModelConfig& c = model.config;
  Shards shards(path, model, threads);
  if (auto ok = shards.open(); !ok) {
    return ok.error();
  }
  if (auto ok = check_all_known(shards, c); !ok) {
    return ok.error();
  }
  if (auto ok = shards.take("model.embed_tokens.weight", c.vocabulary, c.hidden, model.embedding); !ok) {
    return ok.error();
  }
  model.layers.resize(c.layers);
  for (std::uint32_t layer = 0; layer < c.layers; ++layer) {
    if (auto ok = load_layer(shards, c, layer, model.layers[layer]); !ok) {
      return ok.error();
    }
  }
  if (auto ok = shards.take("model.norm.weight", c.hidden, 0, model.final_norm); !ok) {
    return ok.error();
  }
  if (c.tied) {
    model.output = model.embedding;
  } else if (auto ok = shards.take("lm_head.weight", c.vocabulary, c.hidden, model.output); !ok) {
    return ok.error();
  }
  return model;
}

// ---- llama2.c checkpoints ------------------------------------------------------------------------------------------

constexpr std::uint32_t kMagic = 0x616b3432;  // of version 1 and above; version 0 begins with its sizes
constexpr std::size_t kHeader0 = 7 * sizeof(std::int32_t);
constexpr std::size_t kHeader1 = 256;

/// Takes one tensor after the other out of a checkpoint.
class Cursor {
 public:
  Cursor(const std::string& path, std::span<const std::byte> bytes, std::size_t at, Threads& threads)
      : path_(path), bytes_(bytes), at_(at), threads_(threads) {}

  /// `layers` tensors of this shape, one behind the other.
  Result<void> take(const char* name, std::uint64_t rows, std::uint64_t cols, std::span<Weights* const> out) {
    for (Weights* w : out) {
      const std::uint64_t bytes = rows * cols * sizeof(float);
      if (bytes > bytes_.size() - at_) {
        return Error{fmt::format("{}: was cut short: {} needs {} bytes at {}, the file has {}", path_, name, bytes, at_,
                                 bytes_.size())};
      }
      *w = {bytes_.data() + at_, DType::kF32, rows, cols};
      at_ += bytes;
      if (auto ok = check_finite(path_, name, *w, threads_); !ok) {
        return ok;
      }
    }
    return {};
  }

  Result<void> skip(std::uint64_t floats) {
    if (floats * sizeof(float) > bytes_.size() - at_) {
      return Error{fmt::format("{}: was cut short at {} bytes", path_, bytes_.size())};
    }
    at_ += floats * sizeof(float);
    return {};
  }

  Result<void> end() const {
    return at_ == bytes_.size() ? Result<void>()
                                : Error{fmt::format("{}: {} bytes after the last tensor belong to no tensor", path_,
                                                    bytes_.size() - at_)};
  }

 private:
  std::string path_;
  std::span<const std::byte> bytes_;
  std::size_t at_;
  Threads& threads_;
};

std::vector<Weights*> each(std::vector<LayerWeights>& layers, Weights LayerWeights::*member) {
  std::vector<Weights*> out;
  out.reserve(layers.size());
  for (LayerWeights& layer : layers) {
    out.push_back(&(layer.*member));
  }
  return out;
}

Result<Model> load_checkpoint(const std::string& path, Threads& threads) {
  auto mapped = trace::MappedFile::open(path);
  if (!mapped) {
    return mapped.error();
  }
  const auto bytes = mapped->bytes();
  const auto int_at = [&bytes](std::size_t at) {
    std::int32_t value = 0;
    std::memcpy(&value, bytes.data() + at, sizeof value);
    return value;
  };
  if (bytes.size() < kHeader0) {
    return Error{fmt::format("{}: has {} bytes, a checkpoint's sizes alone take {}", path, bytes.size(), kHeader0)};
  }
  const bool magic = static_cast<std::uint32_t>(int_at(0)) == kMagic;
  if (magic && (bytes.size() < kHeader1 || int_at(4) != 1)) {
    return Error{fmt::format("{}: a checkpoint of version {}, version 0 or 1 (fp32) is wanted", path, int_at(4))};
  }
  const std::size_t first = magic ? 8 : 0;
  Model model;
  ModelConfig& c = model.config;
  struct Row {
    const char* name;
    std::uint32_t* out;
    std::int32_t most;
  };
  std::uint32_t vocabulary = 0;
  const bool shared = magic ? bytes[first + kHeader0] != std::byte{0} : int_at(first + 20) > 0;
  std::size_t at = first;
  for (const Row& row :
       {Row{"dim", &c.hidden, 1 << 16}, Row{"hidden_dim", &c.intermediate, 1 << 18}, Row{"n_layers", &c.layers, 1024},
        Row{"n_heads", &c.q_heads, 1024}, Row{"n_kv_heads", &c.kv_heads, 1024}, Row{"vocab_size", &vocabulary, 1 << 22},
        Row{"seq_len", &c.positions, 1 << 24}}) {
    std::int64_t value = int_at(at);
    at += sizeof(std::int32_t);
    if (row.out == &vocabulary && !magic) {
      value = std::abs(value);  // version 0: below zero means an output matrix of its own
    }
    if (value < 1 || value > row.most) {
      return Error{
          fmt::format("{}: {} is {}, 1 to {} is wanted: not a llama2.c checkpoint?", path, row.name, value, row.most)};
    }
    *row.out = static_cast<std::uint32_t>(value);
  }
  c.vocabulary = vocabulary;
  if (c.hidden % c.q_heads != 0 || c.q_heads % c.kv_heads != 0 || (c.hidden / c.q_heads) % 2 != 0) {
    return Error{fmt::format("{}: dim {}, n_heads {} and n_kv_heads {} do not go together", path, c.hidden, c.q_heads,
                             c.kv_heads)};
  }
  c.head_dim = c.hidden / c.q_heads;
  c.scale = 1.0 / std::sqrt(static_cast<double>(c.head_dim));
  c.rms_eps = 1e-5;
  c.pairing = Pairing::kInterleaved;
  c.rope_theta = 1e4;
  for (std::uint32_t i = 0; i < c.head_dim / 2; ++i) {
    c.frequencies.push_back(std::pow(c.rope_theta, -2.0 * i / c.head_dim));
  }
  c.windows.assign(c.layers, 0);
  c.tied = shared;
  c.bos = 1;
  c.eos = {1, 2};  // these models begin the next story where another program would stop
  model.layers.resize(c.layers);

  const std::uint64_t h = c.hidden;
  const std::uint64_t kv = std::uint64_t{c.kv_heads} * c.head_dim;
  auto& l = model.layers;
  Cursor cursor(path, bytes, magic ? kHeader1 : kHeader0, threads);
  struct Tensor {
    const char* name;
    std::uint64_t rows;
    std::uint64_t cols;
    std::vector<Weights*> out;
  };
  std::vector<Tensor> order;
  const Tensor embedding{"token_embedding_table", c.vocabulary, h, {&model.embedding}};
  const Tensor attention_norm{"rms_att_weight", h, 1, each(l, &LayerWeights::attention_norm)};
  const Tensor mlp_norm{"rms_ffn_weight", h, 1, each(l, &LayerWeights::mlp_norm)};
  const Tensor final_norm{"rms_final_weight", h, 1, {&model.final_norm}};
  const std::vector<Tensor> attention = {{"wq", h, h, each(l, &LayerWeights::q)},
                                         {"wk", kv, h, each(l, &LayerWeights::k)},
                                         {"wv", kv, h, each(l, &LayerWeights::v)},
                                         {"wo", h, h, each(l, &LayerWeights::o)}};
  const std::vector<Tensor> mlp = {{"w1", c.intermediate, h, each(l, &LayerWeights::gate)},
                                   {"w2", h, c.intermediate, each(l, &LayerWeights::down)},
                                   {"w3", c.intermediate, h, each(l, &LayerWeights::up)}};
  if (magic) {  // version 1: all norms first
    order = {attention_norm, mlp_norm, final_norm, embedding};
    order.insert(order.end(), attention.begin(), attention.end());
    order.insert(order.end(), mlp.begin(), mlp.end());
  } else {
    order = {embedding, attention_norm};
    order.insert(order.end(), attention.begin(), attention.end());
    order.push_back(mlp_norm);
    order.insert(order.end(), mlp.begin(), mlp.end());
    order.push_back(final_norm);
  }
  for (const Tensor& tensor : order) {
    if (auto ok = cursor.take(tensor.name, tensor.rows, tensor.cols, tensor.out); !ok) {
      return ok.error();
    }
  }
  if (!magic) {  // tables of cosines and sines, which are computed here
    if (auto ok = cursor.skip(std::uint64_t{c.positions} * c.head_dim); !ok) {
      return ok.error();
    }
  }
  model.output = model.embedding;
  if (!shared) {
    Weights* const output[] = {&model.output};
    if (auto ok = cursor.take("wcls", c.vocabulary, h, output); !ok) {
      return ok.error();
    }
  }
  if (auto ok = cursor.end(); !ok) {
    return ok.error();
  }
  model.source = fmt::format("{} ({} bytes)", fs::path(path).filename().string(), bytes.size());
  model.files.push_back(*std::move(mapped));
  return model;
}

}  // namespace

Result<Model> Model::load(const std::string& path, Threads& threads) {
  std::error_code ignored;
  if (!fs::exists(path, ignored)) {
    return Error{path + ": no such file or folder"};
  }
  const bool folder = fs::is_directory(path, ignored);
  auto model = folder ? load_folder(path, threads) : load_checkpoint(path, threads);
  if (model) {
    fs::path name = fs::path(path).lexically_normal();
    if (!name.has_filename()) {
      name = name.parent_path();
    }
    model->name = folder ? name.filename().string() : name.stem().string();
  }
  return model;
}

}  // namespace kvsink::capture

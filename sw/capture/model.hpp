// SPDX-License-Identifier: Apache-2.0
// A language model of the Llama family: its sizes and its weights, mapped from the files they come in.
//
// Two kinds of model are read: a Hugging Face directory (config.json; model.safetensors, or several with their index;
// F32, F16 or BF16) and a llama2.c checkpoint (one file, fp32, version 0 or 1).
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "sw/capture/threads.hpp"
#include "sw/trace/mapped_file.hpp"
#include "sw/trace/result.hpp"
#include "sw/trace/safetensors.hpp"

namespace kvsink::capture {

/// How rotary embedding turns a head: element pairs (2i, 2i+1), or (i, i + n/2).
enum class Pairing { kInterleaved, kHalves };

struct ModelConfig {
  std::uint32_t layers = 0;
  std::uint32_t hidden = 0;        ///< width of the residual stream
  std::uint32_t intermediate = 0;  ///< width of the MLP
  std::uint32_t q_heads = 0;
  std::uint32_t kv_heads = 0;
  std::uint32_t head_dim = 0;
  std::uint32_t vocabulary = 0;
  std::uint32_t positions = 0;  ///< longest sequence
  double rms_eps = 1e-5;
  double scale = 0;  ///< of q.k, 1/sqrt(head_dim)
  Pairing pairing = Pairing::kHalves;
  std::vector<double> frequencies;     ///< of each turned pair, in radians a position
  double rope_theta = 0;               ///< for the metadata
  std::string rope_kind = "default";   ///< for the metadata
  std::vector<std::uint32_t> windows;  ///< of each layer, 0 is none
  bool tied = false;                   ///< the output matrix is the embedding
  std::int32_t bos = -1;               ///< token that begins a sequence; -1: none
  std::vector<std::int32_t> eos;       ///< tokens that end one
};

/// A matrix (or vector: cols = 1) of weights where it lies in its file. Absent: data is null.
struct Weights {
  const std::byte* data = nullptr;
  trace::DType dtype = trace::DType::kF32;
  std::uint64_t rows = 0;
  std::uint64_t cols = 0;

  explicit operator bool() const { return data != nullptr; }
};

/// One layer's weights; those marked are absent in some models.
struct LayerWeights {
  Weights attention_norm;
  Weights q, k, v, o;
  Weights q_bias, k_bias, v_bias, o_bias;  ///< may be absent
  Weights q_norm, k_norm;                  ///< over each head, before RoPE; may be absent
  Weights sinks;                           ///< a learned logit a query head; may be absent
  Weights mlp_norm;
  Weights gate, up, down;
  Weights gate_bias, up_bias, down_bias;  ///< may be absent
};

/// A loaded model. Weights point into mapped files that live as long as the model.
struct Model {
  std::string name;    ///< last part of the path
  std::string source;  ///< files and their sizes, for the metadata
  ModelConfig config;
  Weights embedding;  ///< [vocabulary][hidden]
  std::vector<LayerWeights> layers;
  Weights final_norm;
  Weights output;  ///< [vocabulary][hidden]
  std::vector<trace::MappedFile> files;

  /// Reads a directory or a checkpoint. Refused, each with one line: no such file; an architecture or a setting that is
  /// not known; a config that lacks a size or gives one out of range; a tensor that is missing, of another dtype or of
  /// a shape that does not match the config; whatever is wrong with a safetensors file; a NaN or infinity in a weight.
  static Result<Model> load(const std::string& path, Threads& threads);
};

}  // namespace kvsink::capture

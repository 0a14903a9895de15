// SPDX-License-Identifier: Apache-2.0
#include "tests/capture/reference.hpp"

#include <cmath>
#include <complex>
#include <cstring>
#include <fstream>
#include <iterator>
#include <stdexcept>

namespace kvsink::test {
namespace {

using Vector = std::vector<double>;
using Rows = std::vector<Vector>;
using Tensors = std::map<std::string, ModelTensor>;

Vector times(const ModelTensor& w, const Vector& x) {
  Vector y(w.shape.at(0));
  for (std::size_t r = 0; r < y.size(); ++r) {
    long double sum = 0;
    for (std::size_t c = 0; c < x.size(); ++c) {
      sum += static_cast<long double>(w.data[r * x.size() + c]) * x[c];
    }
    y[r] = static_cast<double>(sum);
  }
  return y;
}

Vector rms_norm(const Vector& x, const ModelTensor& w, double eps) {
  double squares = 0;
  for (const double e : x) {
    squares += e * e;
  }
  Vector y;
  for (std::size_t i = 0; i < x.size(); ++i) {
    y.push_back(x[i] / std::sqrt(squares / static_cast<double>(x.size()) + eps) * w.data[i]);
  }
  return y;
}

/// Each pair of elements is a complex number that is turned by position * theta^(-2i/d).
void turn(Vector& row, std::size_t d, std::size_t position, double theta, bool interleaved) {
  for (std::size_t head = 0; head < row.size() / d; ++head) {
    for (std::size_t i = 0; i < d / 2; ++i) {
      double& re = row[head * d + (interleaved ? 2 * i : i)];
      double& im = row[head * d + (interleaved ? 2 * i + 1 : i + d / 2)];
      const double angle = static_cast<double>(position) / std::pow(theta, 2.0 * static_cast<double>(i) / d);
      const std::complex<double> turned = std::complex<double>(re, im) * std::polar(1.0, angle);
      re = turned.real();
      im = turned.imag();
    }
  }
}

std::string slurp(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

ModelTensor floats(const std::string& bytes, std::size_t& at, std::vector<std::uint64_t> shape) {
  std::size_t n = 1;
  for (const std::uint64_t size : shape) {
    n *= size;
  }
  ModelTensor tensor{std::move(shape), Vector(n)};
  for (std::size_t i = 0; i < n; ++i, at += 4) {
    float value = 0;
    std::memcpy(&value, bytes.data() + at, 4);
    tensor.data[i] = value;
  }
  return tensor;
}

}  // namespace

ReferenceResult reference_forward(const ReferenceConfig& config, const Tensors& tensors,
                                  const std::vector<std::int32_t>& tokens) {
  const auto& embedding = tensors.at("model.embed_tokens.weight");
  const std::size_t hidden = embedding.shape[1];
  ReferenceResult out;
  Rows x;
  for (const std::int32_t token : tokens) {
    const auto begin = embedding.data.begin() + static_cast<std::ptrdiff_t>(token * static_cast<long>(hidden));
    x.emplace_back(begin, begin + static_cast<std::ptrdiff_t>(hidden));
  }
  for (std::size_t layer = 0; layer < config.layers; ++layer) {
    const auto w = [&](const std::string& name) -> const ModelTensor& {
      return tensors.at("model.layers." + std::to_string(layer) + "." + name + ".weight");
    };
    Rows q, k, v;
    const std::size_t d = w("self_attn.q_proj").shape[0] / config.q_heads;
    for (std::size_t t = 0; t < x.size(); ++t) {
      const Vector n = rms_norm(x[t], w("input_layernorm"), config.rms_eps);
      q.push_back(times(w("self_attn.q_proj"), n));
      k.push_back(times(w("self_attn.k_proj"), n));
      v.push_back(times(w("self_attn.v_proj"), n));
      turn(q[t], d, t, config.theta, config.interleaved);
      turn(k[t], d, t, config.theta, config.interleaved);
    }
    const auto sinks = tensors.find("model.layers." + std::to_string(layer) + ".self_attn.sinks");
    for (std::size_t t = 0; t < x.size(); ++t) {
      Vector attended(config.q_heads * d);
      for (std::size_t h = 0; h < config.q_heads; ++h) {
        const std::size_t kv = h / (config.q_heads / config.kv_heads);
        const std::size_t first = config.window == 0 || t + 1 < config.window ? 0 : t + 1 - config.window;
        double sum = sinks == tensors.end() ? 0 : std::exp(sinks->second.data[h]);
        Vector weighted(d);
        for (std::size_t s = first; s <= t; ++s) {
          double score = 0;
          for (std::size_t e = 0; e < d; ++e) {
            score += q[t][h * d + e] * k[s][kv * d + e];
          }
          const double weight = std::exp(score / std::sqrt(static_cast<double>(d)));
          sum += weight;
          for (std::size_t e = 0; e < d; ++e) {
            weighted[e] += weight * v[s][kv * d + e];
          }
        }
        for (std::size_t e = 0; e < d; ++e) {
          attended[h * d + e] = weighted[e] / sum;
        }
      }
      const Vector o = times(w("self_attn.o_proj"), attended);
      for (std::size_t i = 0; i < hidden; ++i) {
        x[t][i] += o[i];
      }
      const Vector n = rms_norm(x[t], w("post_attention_layernorm"), config.rms_eps);
      Vector gate = times(w("mlp.gate_proj"), n);
      const Vector up = times(w("mlp.up_proj"), n);
      for (std::size_t i = 0; i < gate.size(); ++i) {
        gate[i] *= up[i] / (1 + std::exp(-gate[i]));
      }
      const Vector down = times(w("mlp.down_proj"), gate);
      for (std::size_t i = 0; i < hidden; ++i) {
        x[t][i] += down[i];
      }
    }
    const auto flat = [](const Rows& rows) {
      Vector all;
      for (const Vector& row : rows) {
        all.insert(all.end(), row.begin(), row.end());
      }
      return all;
    };
    out.q.push_back(flat(q));
    out.k.push_back(flat(k));
    out.v.push_back(flat(v));
  }
  const auto head = tensors.find("lm_head.weight");
  for (const Vector& row : x) {
    out.logits.push_back(times(head == tensors.end() ? embedding : head->second,
                               rms_norm(row, tensors.at("model.norm.weight"), config.rms_eps)));
  }
  return out;
}

Tensors tensors_of_safetensors(const std::string& path) {
  const std::string bytes = slurp(path);
  std::uint64_t length = 0;
  std::memcpy(&length, bytes.data(), 8);
  const auto header = nlohmann::json::parse(bytes.substr(8, length));
  Tensors out;
  for (const auto& [name, entry] : header.items()) {
    if (name == "__metadata__") {
      continue;
    }
    if (entry["dtype"] != "F32") {
      throw std::runtime_error(path + ": F32 is wanted");
    }
    std::size_t at = 8 + length + entry["data_offsets"][0].get<std::size_t>();
    out[name] = floats(bytes, at, entry["shape"].get<std::vector<std::uint64_t>>());
  }
  return out;
}

Tensors tensors_of_llama2c(const std::string& path) {
  const std::string bytes = slurp(path);
  std::int32_t sizes[7];
  std::memcpy(sizes, bytes.data(), sizeof sizes);
  const auto dim = static_cast<std::uint64_t>(sizes[0]);
  const auto mlp = static_cast<std::uint64_t>(sizes[1]);
  const auto kv = dim / static_cast<std::uint64_t>(sizes[3]) * static_cast<std::uint64_t>(sizes[4]);
  std::size_t at = sizeof sizes;
  Tensors out;
  out["model.embed_tokens.weight"] = floats(bytes, at, {static_cast<std::uint64_t>(sizes[5]), dim});
  const auto all = [&](const char* name, const std::vector<std::uint64_t>& shape) {
    for (int layer = 0; layer < sizes[2]; ++layer) {
      out["model.layers." + std::to_string(layer) + "." + name + ".weight"] = floats(bytes, at, shape);
    }
  };
  all("input_layernorm", {dim});
  all("self_attn.q_proj", {dim, dim});
  all("self_attn.k_proj", {kv, dim});
  all("self_attn.v_proj", {kv, dim});
  all("self_attn.o_proj", {dim, dim});
  all("post_attention_layernorm", {dim});
  all("mlp.gate_proj", {mlp, dim});
  all("mlp.down_proj", {dim, mlp});
  all("mlp.up_proj", {mlp, dim});
  out["model.norm.weight"] = floats(bytes, at, {dim});
  return out;
}

}  // namespace kvsink::test

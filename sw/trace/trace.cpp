// SPDX-License-Identifier: Apache-2.0
#include "sw/trace/trace.hpp"

#include <fmt/format.h>
#include <zlib.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <limits>
#include <optional>

#include "sw/trace/safetensors.hpp"

namespace kvsink::trace {
namespace {

constexpr std::string_view kFormat = "attention-trace";
constexpr std::string_view kVersion = "1";
/// Metadata a trace has to have.
constexpr std::array kRequired = {"format",  "version",  "model",    "source", "licence",        "layers",
                                  "q_heads", "kv_heads", "head_dim", "tokens", "prefill_tokens", "scale"};

template <class T>
std::optional<T> parse(std::string_view text) {
  T value{};
  const auto [end, code] = std::from_chars(text.data(), text.data() + text.size(), value);
  return code == std::errc() && end == text.data() + text.size() ? std::optional(value) : std::nullopt;
}

/// Reads one file's worth of checks: each step returns false once something is wrong, with `error` set.
class Loader {
 public:
  explicit Loader(const SafeTensors& file) : file_(file) {}

  const Error& error() const { return *error_; }

  bool fail(const std::string& what) {
    error_ = Error{file_.path() + ": " + what};
    return false;
  }

  bool text(const std::string& key, std::string& out) {
    const auto found = file_.metadata().find(key);
    if (found == file_.metadata().end()) {
      return fail(fmt::format("metadata {} is missing", in_quotes(key)));
    }
    out = found->second;
    return true;
  }

  /// A whole number 1..2^31-1 in the metadata.
  bool count(const std::string& key, std::uint32_t& out) {
    std::string value;
    if (!text(key, value)) {
      return false;
    }
    const auto number = parse<std::uint32_t>(value);
    if (!number || *number == 0 || *number > std::numeric_limits<std::int32_t>::max()) {
      return fail(fmt::format("metadata {} is {}, a whole number from 1 to {} is wanted", in_quotes(key),
                              in_quotes(value), std::numeric_limits<std::int32_t>::max()));
    }
    out = *number;
    return true;
  }

  /// A tensor of that type and exactly that shape.
  template <class T>
  bool tensor(const std::string& name, DType dtype, const std::vector<std::uint64_t>& shape, std::vector<T>& out) {
    const auto info = file_.find(name, dtype, shape.size());
    if (!info) {
      error_ = info.error();
      return false;
    }
    if (info->shape != shape) {
      return fail(fmt::format("tensor {} has shape {}, {} is wanted", in_quotes(name), shape_text(info->shape),
                              shape_text(shape)));
    }
    auto data = file_.read<T>(*info);
    if (!data) {
      error_ = data.error();
      return false;
    }
    out = *std::move(data);
    return checksum(name, std::as_bytes(std::span(out)));
  }

  /// The CRC-32 that the metadata give for a tensor, if they do.
  bool checksum(const std::string& name, std::span<const std::byte> data) {
    const auto wanted = file_.metadata().find("crc32." + name);
    if (wanted == file_.metadata().end()) {
      return true;
    }
    uLong sum = ::crc32(0, nullptr, 0);
    while (!data.empty()) {
      const auto piece = data.first(std::min<std::size_t>(data.size(), std::size_t{1} << 30U));
      sum = ::crc32(sum, reinterpret_cast<const Bytef*>(piece.data()), static_cast<uInt>(piece.size()));
      data = data.subspan(piece.size());
    }
    const std::string got = fmt::format("{:08x}", sum);
    return got == wanted->second || fail(fmt::format("tensor {}: its CRC-32 is {}, the metadata say {}: it was changed",
                                                     in_quotes(name), got, in_quotes(wanted->second)));
  }

  /// A window for each layer, 0 for none: "0,128,0,128".
  bool windows(std::uint32_t layers, std::vector<std::uint32_t>& out) {
    const auto found = file_.metadata().find("window");
    if (found == file_.metadata().end()) {
      return true;
    }
    std::string_view rest = found->second;
    while (true) {
      const std::size_t comma = rest.find(',');
      const auto value = parse<std::uint32_t>(rest.substr(0, comma));
      if (!value) {
        break;
      }
      out.push_back(*value);
      if (comma == std::string_view::npos) {
        break;
      }
      rest.remove_prefix(comma + 1);
    }
    return out.size() == layers ||
           fail(fmt::format("metadata 'window' is {}, {} whole numbers are wanted", in_quotes(found->second), layers));
  }

  /// Every element is a number.
  template <class T, class Finite>
  bool finite(const std::string& name, std::span<const std::uint64_t> shape, const std::vector<T>& data,
              Finite is_finite) {
    const auto bad = std::find_if_not(data.begin(), data.end(), is_finite);
    if (bad == data.end()) {
      return true;
    }
    auto rest = static_cast<std::uint64_t>(bad - data.begin());
    std::vector<std::uint64_t> where(shape.size());
    for (std::size_t i = shape.size(); i-- > 0;) {
      where[i] = rest % shape[i];
      rest /= shape[i];
    }
    return fail(fmt::format("tensor {}: NaN or infinity at {}", in_quotes(name), shape_text(where)));
  }

 private:
  const SafeTensors& file_;
  std::optional<Error> error_;
};

bool half_finite(std::uint16_t bits) { return (bits & 0x7c00U) != 0x7c00U; }
bool float_finite(float value) { return std::isfinite(value); }

/// Steps ascend from the end of the prefill to the end of the sequence.
bool check_steps(Loader& load, const std::vector<std::int32_t>& positions, std::uint32_t prefill,
                 std::uint32_t tokens) {
  for (std::size_t n = 0; n < positions.size(); ++n) {
    const std::int64_t position = positions[n];
    if (position < prefill || position >= tokens) {
      return load.fail(
          fmt::format("tensor 'decode_positions': [{}] is {}, {} to {} is wanted (prefill_tokens to tokens)", n,
                      position, prefill, tokens - 1));
    }
    if (n > 0 && position <= positions[n - 1]) {
      return load.fail(
          fmt::format("tensor 'decode_positions': [{}] is {} after {}, steps ascend", n, position, positions[n - 1]));
    }
  }
  return true;
}

}  // namespace

Result<Trace> Trace::load(const std::string& path) {
  const auto file = SafeTensors::open(path);
  if (!file) {
    return file.error();
  }
  Loader load(*file);
  Trace t;
  t.path_ = path;
  t.metadata_ = file->metadata();
  std::string text;
  for (const char* key : kRequired) {
    if (!load.text(key, text)) {
      return load.error();
    }
  }
  if (t.meta("format") != kFormat || t.meta("version") != kVersion) {
    load.fail(fmt::format("format {} version {}, {} version {} is wanted", in_quotes(t.meta("format")),
                          in_quotes(t.meta("version")), kFormat, kVersion));
    return load.error();
  }
  Dims& n = t.dims_;
  if (!load.count("layers", n.L) || !load.count("tokens", n.T) || !load.count("q_heads", n.Hq) ||
      !load.count("kv_heads", n.Hkv) || !load.count("head_dim", n.d) ||
      !load.count("prefill_tokens", t.prefill_tokens_)) {
    return load.error();
  }
  if (n.Hq % n.Hkv != 0) {
    load.fail(fmt::format("metadata 'q_heads' is {}, which is not a multiple of 'kv_heads', {}", n.Hq, n.Hkv));
    return load.error();
  }
  if (t.prefill_tokens_ > n.T) {
    load.fail(fmt::format("metadata 'prefill_tokens' is {}, the limit is 'tokens', {}", t.prefill_tokens_, n.T));
    return load.error();
  }
  const auto scale = parse<double>(t.meta("scale"));
  if (!scale || !std::isfinite(*scale) || *scale <= 0) {
    load.fail(fmt::format("metadata 'scale' is {}, a number above 0 is wanted", in_quotes(t.meta("scale"))));
    return load.error();
  }
  t.scale_ = *scale;

  const auto steps = file->find("decode_positions", DType::kI32, 1);
  if (!steps) {
    return steps.error();
  }
  if (steps->shape[0] == 0 || steps->shape[0] > n.T) {
    load.fail(fmt::format("tensor 'decode_positions' has shape [{}], 1 to {} steps are wanted", steps->shape[0], n.T));
    return load.error();
  }
  n.N = static_cast<std::uint32_t>(steps->shape[0]);

  const std::vector<std::uint64_t> queries{n.L, n.T, n.Hq, n.d};
  const std::vector<std::uint64_t> rows{n.L, n.T, n.Hkv, n.d};
  const std::vector<std::uint64_t> outputs{n.L, n.N, n.Hq, n.d};
  const std::vector<std::uint64_t> sums{n.L, n.N, n.Hq};
  const bool ok = load.tensor("token_ids", DType::kI32, {n.T}, t.token_ids_) &&
                  load.tensor("decode_positions", DType::kI32, {n.N}, t.decode_positions_) &&
                  load.tensor("q", DType::kF16, queries, t.q_) && load.tensor("k", DType::kF16, rows, t.k_) &&
                  load.tensor("v", DType::kF16, rows, t.v_) && load.tensor("o", DType::kF32, outputs, t.o_) &&
                  load.tensor("lse", DType::kF32, sums, t.lse_) &&
                  check_steps(load, t.decode_positions_, t.prefill_tokens_, n.T) &&
                  load.finite("q", queries, t.q_, half_finite) && load.finite("k", rows, t.k_, half_finite) &&
                  load.finite("v", rows, t.v_, half_finite) && load.finite("o", outputs, t.o_, float_finite) &&
                  load.finite("lse", sums, t.lse_, float_finite);
  if (!ok || !load.windows(n.L, t.windows_)) {
    return load.error();
  }
  if (file->tensors().contains("sink_logit")) {
    const std::vector<std::uint64_t> logits{n.L, n.Hq};
    if (!load.tensor("sink_logit", DType::kF32, logits, t.sink_logits_) ||
        !load.finite("sink_logit", logits, t.sink_logits_, float_finite)) {
      return load.error();
    }
  }
  return t;
}

float Trace::sink_logit(std::size_t layer, std::size_t q_head) const {
  return sink_logits_.empty() ? -std::numeric_limits<float>::infinity() : sink_logits_[layer * dims_.Hq + q_head];
}

const std::string& Trace::meta(const std::string& key) const {
  static const std::string none;
  const auto found = metadata_.find(key);
  return found == metadata_.end() ? none : found->second;
}

Result<void> check_limits(const Trace& trace, const Limits& limits, std::string_view config) {
  struct Row {
    const char* tensor;
    const char* what;
    std::uint32_t value;
    std::uint32_t limit;
  };
  const Dims& n = trace.dims();
  for (const Row& row : {Row{"k", "layers", n.L, limits.layers}, Row{"q", "query heads", n.Hq, limits.q_heads},
                         Row{"k", "kv heads", n.Hkv, limits.kv_heads}, Row{"k", "head_dim", n.d, limits.head_dim},
                         Row{"k", "tokens", n.T, limits.tokens}}) {
    if (row.value > row.limit) {
      return Error{fmt::format("{}: tensor '{}': {} is {}, the limit of the configuration '{}' is {}", trace.path(),
                               row.tensor, row.what, row.value, config, row.limit)};
    }
  }
  return {};
}

Outputs Outputs::for_trace(const Dims& dims) {
  Outputs out{dims.L, dims.N, dims.Hq, dims.d, {}, {}};
  const std::size_t rows = std::size_t{dims.L} * dims.N * dims.Hq;
  out.o.resize(rows * dims.d);
  out.lse.resize(rows);
  return out;
}

Result<Outputs> read_outputs(const std::string& path) {
  const auto file = SafeTensors::open(path);
  if (!file) {
    return file.error();
  }
  const auto found = file->tensors().find("o");
  const bool flat = found != file->tensors().end() && found->second.shape.size() == 2;
  const auto o = file->find("o", DType::kF32, flat ? 2 : 4);
  if (!o) {
    return o.error();
  }
  const auto lse = file->find("lse", DType::kF32, flat ? 1 : 3);
  if (!lse) {
    return lse.error();
  }
  if (!std::equal(lse->shape.begin(), lse->shape.end(), o->shape.begin())) {
    return Error{fmt::format("{}: tensor 'lse' has shape {}, which does not belong to 'o', {}", path,
                             shape_text(lse->shape), shape_text(o->shape))};
  }
  for (const std::uint64_t n : o->shape) {
    if (n == 0 || n > std::numeric_limits<std::uint32_t>::max()) {
      return Error{fmt::format("{}: tensor 'o' has shape {}, each of 1 to {} is wanted", path, shape_text(o->shape),
                               std::numeric_limits<std::uint32_t>::max())};
    }
  }
  auto o_data = file->read<float>(*o);
  if (!o_data) {
    return o_data.error();
  }
  auto lse_data = file->read<float>(*lse);
  if (!lse_data) {
    return lse_data.error();
  }
  const auto size = [&o](std::size_t i) { return static_cast<std::uint32_t>(o->shape[i]); };
  if (flat) {
    return Outputs{1, size(0), 1, size(1), *std::move(o_data), *std::move(lse_data)};
  }
  return Outputs{size(0), size(1), size(2), size(3), *std::move(o_data), *std::move(lse_data)};
}

Result<void> write_outputs(const std::string& path, const Outputs& outputs,
                           const std::map<std::string, std::string>& metadata) {
  const std::vector<std::uint64_t> sums{outputs.L, outputs.N, outputs.Hq};
  std::vector<std::uint64_t> shape = sums;
  shape.push_back(outputs.d);
  const TensorData tensors[] = {{"o", DType::kF32, shape, std::as_bytes(std::span(outputs.o))},
                                {"lse", DType::kF32, sums, std::as_bytes(std::span(outputs.lse))}};
  return write_safetensors(path, metadata, tensors);
}

}  // namespace kvsink::trace

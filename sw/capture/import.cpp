// SPDX-License-Identifier: Apache-2.0
#include "sw/capture/import.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <filesystem>
#include <limits>
#include <map>
#include <nlohmann/json.hpp>
#include <numeric>
#include <optional>
#include <set>
#include <span>
#include <vector>

#include "sw/capture/arrays.hpp"
#include "sw/capture/exact.hpp"
#include "sw/capture/model_config.hpp"
#include "sw/capture/threads.hpp"
#include "sw/golden/half.hpp"
#include "sw/trace/safetensors.hpp"
#include "sw/trace/trace_writer.hpp"

namespace kvsink::capture {
namespace {

using Json = nlohmann::json;
using trace::in_quotes;
using trace::shape_text;

constexpr std::uint64_t kMaxMap = 1U << 20;
constexpr double kTolerance = 1e-3;  ///< of a tool's own outputs, unless the mapping says otherwise

/// Letters of an array's axes: layer, token (or step), head, element of a head; b is a batch of one.
constexpr std::string_view kLetters = "lthdb";

/// An array of the mapping, brought to the order [layer][token][head][d].
struct Tensor {
  std::array<std::uint64_t, 4> shape{};  ///< l, t, h, d
  std::vector<double> data;

  std::span<const double> row(std::uint64_t l, std::uint64_t t) const {
    const std::uint64_t size = shape[2] * shape[3];
    return std::span(data).subspan((l * shape[1] + t) * size, size);
  }
};

class Importer {
 public:
  Importer(std::string path, std::string out) : path_(std::move(path)), out_(std::move(out)) {}

  Result<ImportReport> run() {
    const auto text = read_text(path_, kMaxMap);
    if (!text) {
      return text.error();
    }
    map_ = Json::parse(*text, nullptr, false);
    if (!map_.is_object()) {
      return wrong("is not a JSON object");
    }
    static const std::set<std::string> known = {
        "model",     "source", "licence", "rope", "text", "layers", "scale",     "prefill_tokens", "decode_positions",
        "token_ids", "q",      "k",       "v",    "o",    "lse",    "tolerance", "windows",        "sink_logit"};
    for (const auto& [key, value] : map_.items()) {
      if (!known.contains(key)) {
        return wrong(fmt::format("{} is not known ({})", in_quotes(key), fmt::join(known, ", ")));
      }
    }
    for (const char* key : {"model", "source", "licence"}) {
      if (!map_.contains(key) || !map_[key].is_string() || map_[key].get_ref<const std::string&>().empty()) {
        return wrong(fmt::format("'{}' is missing: a text", key));
      }
    }
    for (const auto& [key, into] : {std::pair("q", &q_), {"k", &k_}, {"v", &v_}}) {
      if (auto ok = tensor(key, "lthd", *into); !ok) {
        return ok.error();
      }
    }
    if (auto ok = sizes(); !ok) {
      return ok.error();
    }
    if (auto ok = lists(); !ok) {
      return ok.error();
    }
    return write();
  }

 private:
  Error wrong(const std::string& what) const { return Error{path_ + ": " + what}; }

  /// One array, or one a layer when its name or file holds "{layer}".
  Result<void> tensor(const std::string& key, std::string_view wanted, Tensor& out) {
    if (!map_.contains(key) || !map_[key].is_object()) {
      return wrong(fmt::format("{} is missing: {{\"file\", \"name\", \"axes\"}}", in_quotes(key)));
    }
    const Json& entry = map_[key];
    for (const auto& [name, value] : entry.items()) {
      if ((name != "file" && name != "name" && name != "axes") || !value.is_string()) {
        return wrong(fmt::format("{} of {} is not known, or not a text", in_quotes(name), in_quotes(key)));
      }
    }
    if (!entry.contains("file")) {
      return wrong(fmt::format("'file' of {} is missing", in_quotes(key)));
    }
    const std::string file = entry["file"].get<std::string>();
    const std::string name = entry.value("name", std::string());
    const std::string axes = entry.value("axes", std::string(wanted));
    const bool each = (file + name).find("{layer}") != std::string::npos;
    std::string letters = axes;
    std::sort(letters.begin(), letters.end());
    std::string needed(wanted);
    if (each) {
      needed.erase(needed.find('l'), 1);
    }
    std::sort(needed.begin(), needed.end());
    std::string without_batch = letters;
    std::erase(without_batch, 'b');
    if (without_batch != needed || letters.size() > needed.size() + 1) {
      return wrong(fmt::format("'axes' of {} is {}, each of {} once is wanted, and b for a batch of one",
                               in_quotes(key), in_quotes(axes), in_quotes(needed)));
    }
    std::uint64_t layers = 1;
    if (each) {
      if (!map_.contains("layers") || !map_["layers"].is_number_unsigned() || map_["layers"] < 1 ||
          map_["layers"] > 1024) {
        return wrong("'layers' is missing: how many \"{layer}\" stands for, 1 to 1024");
      }
      layers = map_["layers"].get<std::uint64_t>();
    }
    for (std::uint64_t layer = 0; layer < layers; ++layer) {
      const std::string number = std::to_string(layer);
      const auto at = [&](const std::string& text) {
        std::string result = text;
        for (std::size_t found = 0; (found = result.find("{layer}", found)) != std::string::npos;) {
          result.replace(found, 7, number);
        }
        return result;
      };
      const std::string path = (std::filesystem::path(path_).parent_path() / at(file)).string();
      auto array = read_array(path, at(name));
      if (!array) {
        return array.error();
      }
      if (auto ok = append(path + (name.empty() ? "" : ": " + in_quotes(at(name))), *array, axes, each, out); !ok) {
        return ok;
      }
    }
    return {};
  }

  /// Brings an array into order and adds it to the layers that are there.
  Result<void> append(const std::string& where, const Array& array, const std::string& axes, bool each, Tensor& out) {
    if (array.shape.size() != axes.size()) {
      return Error{fmt::format("{}: has shape {}, the mapping gives it the axes {}", where, shape_text(array.shape),
                               in_quotes(axes))};
    }
    std::array<std::uint64_t, 4> size{1, 1, 1, 1};
    std::array<std::uint64_t, 4> stride{0, 0, 0, 0};
    std::uint64_t step = 1;
    for (std::size_t i = axes.size(); i-- > 0;) {
      const std::size_t letter = kLetters.find(axes[i]);
      if (letter < 4) {
        size[letter] = array.shape[i];
        stride[letter] = step;
      } else if (array.shape[i] != 1) {
        return Error{fmt::format("{}: its axis b has {} entries, a batch of one is wanted", where, array.shape[i])};
      }
      step *= array.shape[i];
    }
    if (step == 0) {
      return Error{fmt::format("{}: has shape {}, which is empty", where, shape_text(array.shape))};
    }
    if (out.shape[0] == 0) {
      out.shape = size;
    } else {
      if (!each || !std::equal(size.begin() + 1, size.end(), out.shape.begin() + 1)) {
        return Error{fmt::format("{}: has shape {}, the layers before it differ", where, shape_text(array.shape))};
      }
      out.shape[0] += size[0];
    }
    out.data.reserve(out.data.size() + array.data.size());
    for (std::uint64_t l = 0; l < size[0]; ++l) {
      for (std::uint64_t t = 0; t < size[1]; ++t) {
        for (std::uint64_t h = 0; h < size[2]; ++h) {
          for (std::uint64_t e = 0; e < size[3]; ++e) {
            const double x = array.data[l * stride[0] + t * stride[1] + h * stride[2] + e * stride[3]];
            if (!std::isfinite(x)) {
              return Error{
                  fmt::format("{}: NaN or infinity at layer {}, token {}, head {}, element {}", where, l, t, h, e)};
            }
            out.data.push_back(x);
          }
        }
      }
    }
    return {};
  }

  /// Whether q, k and v belong together, and the numbers of the mapping.
  Result<void> sizes() {
    for (const auto* shape : {&q_.shape, &k_.shape}) {
      for (const std::uint64_t n : *shape) {
        if (n > (1U << 24U)) {
          return wrong(fmt::format("a size of {} is beyond the limit of {}", n, 1U << 24U));
        }
      }
    }
    if (k_.shape != v_.shape || q_.shape[0] != k_.shape[0] || q_.shape[1] != k_.shape[1] ||
        q_.shape[3] != k_.shape[3] || q_.shape[2] % k_.shape[2] != 0) {
      return wrong(fmt::format("q {}, k {} and v {} (layer, token, head, element) do not belong together",
                               shape_text(q_.shape), shape_text(k_.shape), shape_text(v_.shape)));
    }
    dims_.L = static_cast<std::uint32_t>(q_.shape[0]);
    dims_.T = static_cast<std::uint32_t>(q_.shape[1]);
    dims_.Hq = static_cast<std::uint32_t>(q_.shape[2]);
    dims_.Hkv = static_cast<std::uint32_t>(k_.shape[2]);
    dims_.d = static_cast<std::uint32_t>(q_.shape[3]);
    scale_ = 1.0 / std::sqrt(static_cast<double>(dims_.d));
    if (map_.contains("scale")) {
      if (!map_["scale"].is_number() || !(map_["scale"].get<double>() > 0)) {
        return wrong("'scale' is not a number above 0");
      }
      scale_ = map_["scale"].get<double>();
    }
    if (!map_.contains("prefill_tokens") || !map_["prefill_tokens"].is_number_unsigned() ||
        map_["prefill_tokens"] < 1 || map_["prefill_tokens"] >= dims_.T) {
      return wrong(
          fmt::format("'prefill_tokens' is missing or not 1 to {} (there are {} tokens)", dims_.T - 1, dims_.T));
    }
    prefill_ = map_["prefill_tokens"].get<std::uint32_t>();
    return {};
  }

  Result<void> whole_numbers(const char* key, std::vector<std::int32_t>& out) {
    Tensor list;
    if (auto ok = tensor(key, "t", list); !ok) {
      return ok;
    }
    for (const double x : list.data) {
      if (x != std::floor(x) || x < 0 || x > std::numeric_limits<std::int32_t>::max()) {
        return wrong(fmt::format("{} holds {}, whole numbers from 0 are wanted", in_quotes(key), x));
      }
      out.push_back(static_cast<std::int32_t>(x));
    }
    return {};
  }

  Result<void> lists() {
    ids_.assign(dims_.T, 0);
    if (map_.contains("token_ids")) {
      ids_.clear();
      if (auto ok = whole_numbers("token_ids", ids_); !ok) {
        return ok;
      }
      if (ids_.size() != dims_.T) {
        return wrong(fmt::format("'token_ids' has {} entries, q has {} tokens", ids_.size(), dims_.T));
      }
    }
    if (map_.contains("decode_positions")) {
      if (auto ok = whole_numbers("decode_positions", positions_); !ok) {
        return ok;
      }
      for (std::size_t n = 0; n < positions_.size(); ++n) {
        const auto p = static_cast<std::uint32_t>(positions_[n]);
        if (p < prefill_ || p >= dims_.T || (n > 0 && positions_[n] <= positions_[n - 1])) {
          return wrong(
              fmt::format("'decode_positions' [{}] is {}, steps ascend from {} to {}", n, p, prefill_, dims_.T - 1));
        }
      }
    } else {
      for (std::uint32_t p = prefill_; p < dims_.T; ++p) {
        positions_.push_back(static_cast<std::int32_t>(p));
      }
    }
    dims_.N = static_cast<std::uint32_t>(positions_.size());
    tolerance_ = kTolerance;
    if (map_.contains("tolerance")) {
      if (!map_["tolerance"].is_number() || !(map_["tolerance"].get<double>() >= 0)) {
        return wrong("'tolerance' is not a number from 0");
      }
      tolerance_ = map_["tolerance"].get<double>();
    }
    if (map_.contains("windows")) {
      for (const Json& window : map_["windows"]) {
        if (!window.is_number_unsigned() || window.get<std::uint64_t>() > std::numeric_limits<std::uint32_t>::max()) {
          return wrong("'windows' is not a list of whole numbers");
        }
        windows_.push_back(window.get<std::uint32_t>());
      }
      if (windows_.size() != dims_.L) {
        return wrong(fmt::format("'windows' has {} entries, q has {} layers", windows_.size(), dims_.L));
      }
    }
    if (map_.contains("sink_logit")) {
      Tensor logits;
      if (auto ok = tensor("sink_logit", "lh", logits); !ok) {
        return ok;
      }
      if (logits.shape != std::array<std::uint64_t, 4>{dims_.L, 1, dims_.Hq, 1}) {
        return wrong(fmt::format("'sink_logit' is {} (layer, head), [{}][{}] is wanted", shape_text(logits.shape),
                                 dims_.L, dims_.Hq));
      }
      sink_logits_.assign(logits.data.begin(), logits.data.end());
    }
    if (map_.contains("o")) {
      if (auto ok = tensor("o", "lthd", o_); !ok) {
        return ok;
      }
      if (o_.shape != std::array<std::uint64_t, 4>{dims_.L, dims_.N, dims_.Hq, dims_.d}) {
        return wrong(fmt::format("'o' is {} (layer, step, head, element), [{}][{}][{}][{}] is wanted",
                                 shape_text(o_.shape), dims_.L, dims_.N, dims_.Hq, dims_.d));
      }
    }
    if (map_.contains("lse")) {
      if (auto ok = tensor("lse", "lth", lse_); !ok) {
        return ok;
      }
      if (lse_.shape != std::array<std::uint64_t, 4>{dims_.L, dims_.N, dims_.Hq, 1}) {
        return wrong(fmt::format("'lse' is {} (layer, step, head), [{}][{}][{}] is wanted", shape_text(lse_.shape),
                                 dims_.L, dims_.N, dims_.Hq));
      }
    }
    return {};
  }

  /// A layer of q, k or v in fp16, [token][head][d].
  Result<std::vector<std::uint16_t>> narrow(const char* name, const Tensor& from, std::uint32_t layer) const {
    const std::uint64_t size = from.shape[1] * from.shape[2] * from.shape[3];
    std::vector<std::uint16_t> out(size);
    for (std::uint64_t i = 0; i < size; ++i) {
      const double x = from.data[layer * size + i];
      out[i] = golden::double_to_half(x);
      if (!golden::half_is_finite(out[i])) {
        return wrong(fmt::format("{} of layer {} at token {} is {}, fp16 holds up to 65504", name, layer,
                                 i / (from.shape[2] * from.shape[3]), x));
      }
    }
    return out;
  }

  static std::vector<std::uint16_t> by_head(const std::vector<std::uint16_t>& rows, const trace::Dims& n) {
    std::vector<std::uint16_t> out(rows.size());
    for (std::size_t t = 0; t < n.T; ++t) {
      for (std::size_t h = 0; h < n.Hkv; ++h) {
        std::copy_n(rows.begin() + static_cast<std::ptrdiff_t>((t * n.Hkv + h) * n.d), n.d,
                    out.begin() + static_cast<std::ptrdiff_t>((h * n.T + t) * n.d));
      }
    }
    return out;
  }

  Result<ImportReport> write() {
    auto writer = trace::TraceWriter::create(out_, {dims_, prefill_, scale_, windows_, sink_logits_});
    if (!writer) {
      return writer.error();
    }
    Threads threads(0);
    ImportReport report{dims_.L, dims_.T, dims_.N};
    std::vector<float> o(std::size_t{dims_.Hq} * dims_.d);
    std::vector<float> lse(dims_.Hq);
    for (std::uint32_t layer = 0; layer < dims_.L; ++layer) {
      const auto q = narrow("q", q_, layer);
      const auto k = narrow("k", k_, layer);
      const auto v = narrow("v", v_, layer);
      for (const auto* part : {&q, &k, &v}) {
        if (!*part) {
          return part->error();
        }
      }
      for (const auto& ok :
           {writer->write_q(layer, 0, *q), writer->write_k(layer, 0, *k), writer->write_v(layer, 0, *v)}) {
        if (!ok) {
          return ok.error();
        }
      }
      const auto k_heads = by_head(*k, dims_);
      const auto v_heads = by_head(*v, dims_);
      for (std::uint32_t step = 0; step < dims_.N; ++step) {
        const auto p = static_cast<std::uint32_t>(positions_[step]);
        exact_step(dims_, scale_, {k_heads, v_heads, dims_.T}, p,
                   std::span(*q).subspan(std::size_t{p} * dims_.Hq * dims_.d, o.size()), o, lse, threads);
        if (auto ok = compare(layer, step, o, lse, report); !ok) {
          return ok.error();
        }
        if (auto ok = writer->write_step(layer, step, o, lse); !ok) {
          return ok.error();
        }
      }
    }
    std::map<std::string, std::string> metadata = {{"producer", "kvsink import"}};
    for (const char* key : {"model", "source", "licence", "rope", "text"}) {
      if (map_.contains(key) && map_[key].is_string()) {
        metadata[key] = map_[key].get<std::string>();
      }
    }
    if (!map_.contains("token_ids")) {
      metadata["token_ids_given"] = "no";
    }
    if (auto ok = writer->finish(ids_, positions_, std::move(metadata)); !ok) {
      return ok.error();
    }
    report.bytes = writer->bytes();
    return report;
  }

  /// The tool's own outputs, when the mapping gives them, against exact attention over what was imported.
  Result<void> compare(std::uint32_t layer, std::uint32_t step, std::span<const float> o, std::span<const float> lse,
                       ImportReport& report) const {
    const auto check = [&](const char* name, const Tensor& theirs, std::span<const float> ours,
                           double& largest) -> Result<void> {
      if (theirs.data.empty()) {
        return {};
      }
      const auto row = theirs.row(layer, step);
      for (std::size_t i = 0; i < row.size(); ++i) {
        const double difference = std::abs(row[i] - ours[i]);
        largest = std::max(largest, difference);
        if (difference > tolerance_ * std::max(1.0, std::abs(row[i]))) {
          return wrong(
              fmt::format("'{}' of layer {}, step {}, head {} is {:g}, exact attention over q, k and v gives "
                          "{:g} (scale {:g}; is it the right one, are q and k after RoPE?)",
                          name, layer, step, i * dims_.Hq / row.size(), row[i], ours[i], scale_));
        }
      }
      return {};
    };
    if (auto ok = check("o", o_, o, report.largest_o); !ok) {
      return ok;
    }
    return check("lse", lse_, lse, report.largest_lse);
  }

  std::string path_;
  std::string out_;
  Json map_;
  Tensor q_, k_, v_, o_, lse_;
  trace::Dims dims_;
  std::uint32_t prefill_ = 0;
  double scale_ = 0;
  double tolerance_ = 0;
  std::vector<std::int32_t> ids_;
  std::vector<std::int32_t> positions_;
  std::vector<std::uint32_t> windows_;
  std::vector<float> sink_logits_;
};

}  // namespace

Result<ImportReport> import_trace(const std::string& map, const std::string& out) { return Importer(map, out).run(); }

}  // namespace kvsink::capture

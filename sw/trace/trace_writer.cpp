// SPDX-License-Identifier: Apache-2.0
#include "sw/trace/trace_writer.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#include <algorithm>
#include <cassert>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <system_error>
#include <utility>

#include "sw/trace/safetensors.hpp"

namespace kvsink::trace {
namespace {

namespace fs = std::filesystem;

constexpr std::uint64_t kHeaderBase = 6144;           ///< room for entries and metadata without the text
constexpr std::uint64_t kHeaderPerToken = 8;          ///< and for the text
constexpr std::uint64_t kHeaderMost = 256U << 10;     ///< longer texts are cut
constexpr std::size_t kCopy = std::size_t{1} << 20U;  ///< bytes that are moved or summed at a time

/// Which count a tensor's rows follow.
enum class Rows { kTokens, kSteps, kNone };

/// A tensor of the file: [layers] blocks of rows (tokens or steps), each row of the shape `inner`.
struct Part {
  std::string name;
  DType dtype;
  bool layered;
  Rows follow;
  std::vector<std::uint64_t> inner;
  std::uint64_t blocks;  ///< layers, or 1
  std::uint64_t rows;    ///< in a block: planned, then those that came
  std::uint64_t row;     ///< bytes of a row
  std::uint64_t at;      ///< first byte in the file

  std::uint64_t bytes() const { return blocks * rows * row; }
  std::vector<std::uint64_t> shape() const {
    std::vector<std::uint64_t> out;
    if (layered) {
      out.push_back(blocks);
    }
    if (follow != Rows::kNone) {
      out.push_back(rows);
    }
    out.insert(out.end(), inner.begin(), inner.end());
    return out;
  }
};

enum PartIndex : std::size_t { kIds, kPositions, kQ, kK, kV, kO, kLse, kSinks };

}  // namespace

struct TraceWriter::State {
  std::string path;
  std::string target;
  std::string growing;
  int file = -1;
  TracePlan plan;
  std::vector<Part> parts;
  std::uint64_t header = 0;  ///< bytes of the JSON, padded
  std::uint64_t size = 0;

  ~State() {
    if (file >= 0) {
      ::close(file);
    }
    if (!growing.empty()) {
      ::unlink(growing.c_str());
    }
  }

  Error failed(const char* what) const { return Error{fmt::format("{}: {} ({})", path, what, std::strerror(errno))}; }

  Result<void> put(std::uint64_t at, std::span<const std::byte> data) const {
    while (!data.empty()) {
      const ssize_t n = ::pwrite(file, data.data(), data.size(), static_cast<off_t>(at));
      if (n < 0 && errno == EINTR) {
        continue;
      }
      if (n <= 0) {
        return failed("writing stopped");
      }
      at += static_cast<std::uint64_t>(n);
      data = data.subspan(static_cast<std::size_t>(n));
    }
    return {};
  }

  Result<void> get(std::uint64_t at, std::span<std::byte> data) const {
    while (!data.empty()) {
      const ssize_t n = ::pread(file, data.data(), data.size(), static_cast<off_t>(at));
      if (n < 0 && errno == EINTR) {
        continue;
      }
      if (n <= 0) {
        return failed("cannot be read back");
      }
      at += static_cast<std::uint64_t>(n);
      data = data.subspan(static_cast<std::size_t>(n));
    }
    return {};
  }

  Result<void> put_rows(PartIndex index, std::uint32_t layer, std::uint32_t row,
                        std::span<const std::byte> data) const {
    const Part& part = parts[index];
    assert(data.size() % part.row == 0 && row + data.size() / part.row <= part.rows);
    return put(part.at + (layer * part.rows + row) * part.row, data);
  }

  /// Moves bytes towards the start of the file.
  Result<void> move(std::uint64_t from, std::uint64_t to, std::uint64_t bytes) const {
    assert(to <= from);
    std::vector<std::byte> buffer(static_cast<std::size_t>(std::min<std::uint64_t>(bytes, kCopy)));
    for (std::uint64_t done = 0; from != to && done < bytes;) {
      const auto piece =
          std::span(buffer).first(static_cast<std::size_t>(std::min<std::uint64_t>(kCopy, bytes - done)));
      if (auto ok = get(from + done, piece); !ok) {
        return ok;
      }
      if (auto ok = put(to + done, piece); !ok) {
        return ok;
      }
      done += piece.size();
    }
    return {};
  }

  /// Puts the parts end to end for the tokens and steps that came.
  Result<void> compact(std::uint64_t tokens, std::uint64_t steps) {
    std::uint64_t at = sizeof(std::uint64_t) + header;
    for (Part& part : parts) {
      const std::uint64_t rows = part.follow == Rows::kTokens ? tokens : part.follow == Rows::kSteps ? steps : 1;
      for (std::uint64_t block = 0; block < part.blocks; ++block) {
        if (auto ok = move(part.at + block * part.rows * part.row, at + block * rows * part.row, rows * part.row);
            !ok) {
          return ok;
        }
      }
      part.at = at;
      part.rows = rows;
      at += part.bytes();
    }
    size = at;
    return ::ftruncate(file, static_cast<off_t>(size)) == 0 ? Result<void>() : failed("cannot be cut");
  }

  Result<std::string> checksum(const Part& part) const {
    uLong sum = ::crc32(0, nullptr, 0);
    const std::uint64_t bytes = part.bytes();
    std::vector<std::byte> buffer(static_cast<std::size_t>(std::min<std::uint64_t>(bytes, kCopy)));
    for (std::uint64_t done = 0; done < bytes;) {
      const auto piece =
          std::span(buffer).first(static_cast<std::size_t>(std::min<std::uint64_t>(kCopy, bytes - done)));
      if (auto ok = get(part.at + done, piece); !ok) {
        return ok.error();
      }
      sum = ::crc32(sum, reinterpret_cast<const Bytef*>(piece.data()), static_cast<uInt>(piece.size()));
      done += piece.size();
    }
    return fmt::format("{:08x}", sum);
  }
};

TraceWriter::TraceWriter(std::unique_ptr<State> state) : state_(std::move(state)) {}
TraceWriter::TraceWriter(TraceWriter&&) noexcept = default;
TraceWriter& TraceWriter::operator=(TraceWriter&&) noexcept = default;
TraceWriter::~TraceWriter() = default;

Result<TraceWriter> TraceWriter::create(const std::string& path, const TracePlan& plan) {
  const Dims& n = plan.dims;
  assert(n.L > 0 && n.T > 0 && n.N > 0 && n.Hkv > 0 && n.Hq % n.Hkv == 0 && n.d > 0);
  assert(plan.windows.empty() || plan.windows.size() == n.L);
  assert(plan.sink_logits.empty() || plan.sink_logits.size() == std::size_t{n.L} * n.Hq);
  auto state = std::make_unique<State>();
  state->path = path;
  state->plan = plan;
  const auto add = [&](const char* name, DType dtype, bool layered, Rows follow, std::vector<std::uint64_t> inner) {
    std::uint64_t row = dtype_bytes(dtype);
    for (const std::uint64_t size : inner) {
      row *= size;
    }
    const std::uint64_t rows = follow == Rows::kTokens ? n.T : follow == Rows::kSteps ? n.N : 1;
    state->parts.push_back({name, dtype, layered, follow, std::move(inner), layered ? n.L : 1U, rows, row, 0});
  };
  add("token_ids", DType::kI32, false, Rows::kTokens, {});
  add("decode_positions", DType::kI32, false, Rows::kSteps, {});
  add("q", DType::kF16, true, Rows::kTokens, {n.Hq, n.d});
  add("k", DType::kF16, true, Rows::kTokens, {n.Hkv, n.d});
  add("v", DType::kF16, true, Rows::kTokens, {n.Hkv, n.d});
  add("o", DType::kF32, true, Rows::kSteps, {n.Hq, n.d});
  add("lse", DType::kF32, true, Rows::kSteps, {n.Hq});
  if (!plan.sink_logits.empty()) {
    add("sink_logit", DType::kF32, true, Rows::kNone, {n.Hq});
  }
  // The windows are the one entry that grows with the layers.
  state->header = std::min(kHeaderMost, kHeaderBase + kHeaderPerToken * n.T + 12 * std::uint64_t{n.L}) / 8 * 8;
  std::uint64_t at = sizeof(std::uint64_t) + state->header;
  for (Part& part : state->parts) {
    part.at = at;
    at += part.bytes();
  }
  state->size = at;

  std::error_code ignored;
  const auto status = fs::status(path, ignored);
  if (fs::exists(status) && !fs::is_regular_file(status)) {
    return Error{path + (fs::is_directory(status) ? ": is a folder" : ": a trace goes to a regular file")};
  }
  fs::path target = path;
  if (fs::is_symlink(fs::symlink_status(path, ignored))) {
    target = fs::weakly_canonical(path, ignored);
  }
  state->target = target.string();
  const std::string growing = fmt::format("{}.{}.part", state->target, ::getpid());
  state->file = ::open(growing.c_str(), O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
  if (state->file < 0) {
    return state->failed("cannot be written");
  }
  state->growing = growing;
  if (const int code = ::posix_fallocate(state->file, 0, static_cast<off_t>(at)); code != 0) {
    errno = code;
    return state->failed(fmt::format("no room for {} bytes", at).c_str());
  }
  return TraceWriter(std::move(state));
}

Result<void> TraceWriter::write_q(std::uint32_t layer, std::uint32_t token, std::span<const std::uint16_t> rows) {
  return state_->put_rows(kQ, layer, token, std::as_bytes(rows));
}
Result<void> TraceWriter::write_k(std::uint32_t layer, std::uint32_t token, std::span<const std::uint16_t> rows) {
  return state_->put_rows(kK, layer, token, std::as_bytes(rows));
}
Result<void> TraceWriter::write_v(std::uint32_t layer, std::uint32_t token, std::span<const std::uint16_t> rows) {
  return state_->put_rows(kV, layer, token, std::as_bytes(rows));
}
Result<void> TraceWriter::write_step(std::uint32_t layer, std::uint32_t step, std::span<const float> o,
                                     std::span<const float> lse) {
  if (auto ok = state_->put_rows(kO, layer, step, std::as_bytes(o)); !ok) {
    return ok;
  }
  return state_->put_rows(kLse, layer, step, std::as_bytes(lse));
}

Result<void> TraceWriter::finish(std::span<const std::int32_t> token_ids,
                                 std::span<const std::int32_t> decode_positions,
                                 std::map<std::string, std::string> metadata) {
  State& s = *state_;
  const Dims& n = s.plan.dims;
  assert(token_ids.size() <= n.T && decode_positions.size() <= n.N);
  if (auto ok = s.put_rows(kIds, 0, 0, std::as_bytes(token_ids)); !ok) {
    return ok;
  }
  if (auto ok = s.put_rows(kPositions, 0, 0, std::as_bytes(decode_positions)); !ok) {
    return ok;
  }
  for (std::uint32_t layer = 0; layer < n.L && !s.plan.sink_logits.empty(); ++layer) {
    const auto logits = std::span(s.plan.sink_logits).subspan(std::size_t{layer} * n.Hq, n.Hq);
    if (auto ok = s.put_rows(kSinks, layer, 0, std::as_bytes(logits)); !ok) {
      return ok;
    }
  }
  if (auto ok = s.compact(token_ids.size(), decode_positions.size()); !ok) {
    return ok;
  }

  metadata["format"] = "attention-trace";
  metadata["version"] = "1";
  metadata["layers"] = std::to_string(n.L);
  metadata["q_heads"] = std::to_string(n.Hq);
  metadata["kv_heads"] = std::to_string(n.Hkv);
  metadata["head_dim"] = std::to_string(n.d);
  metadata["tokens"] = std::to_string(token_ids.size());
  metadata["prefill_tokens"] = std::to_string(s.plan.prefill_tokens);
  metadata["scale"] = fmt::format("{}", s.plan.scale);  // the shortest text that reads back as the same number
  if (!s.plan.windows.empty()) {
    metadata["window"] = fmt::format("{}", fmt::join(s.plan.windows, ","));
  }
  using Json = nlohmann::ordered_json;
  Json header = {{"__metadata__", nullptr}};
  for (const Part& part : s.parts) {
    auto sum = s.checksum(part);
    if (!sum) {
      return sum.error();
    }
    metadata["crc32." + part.name] = *sum;
    const std::uint64_t begin = part.at - sizeof(std::uint64_t) - s.header;
    header[part.name] = {
        {"dtype", dtype_name(part.dtype)}, {"shape", part.shape()}, {"data_offsets", {begin, begin + part.bytes()}}};
  }
  const auto text_of = [&] {
    header["__metadata__"] = metadata;
    return header.dump(-1, ' ', false, Json::error_handler_t::replace);
  };
  std::string text = text_of();
  if (text.size() > s.header && metadata.contains("text")) {
    // Only the sequence's own text is of any length. It is cut where the header just holds it, at a character.
    const std::string words = metadata["text"];
    metadata["text_cut"] = "yes";
    std::size_t fits = 0;
    for (std::size_t beyond = words.size() + 1; beyond - fits > 1;) {
      const std::size_t middle = fits + (beyond - fits) / 2;
      metadata["text"] = words.substr(0, middle);
      (text_of().size() <= s.header ? fits : beyond) = middle;
    }
    while (fits > 0 && fits < words.size() && (static_cast<unsigned char>(words[fits]) & 0xc0U) == 0x80U) {
      --fits;
    }
    metadata["text"] = words.substr(0, fits);
    text = text_of();
  }
  if (text.size() > s.header) {
    return Error{fmt::format("{}: the header takes {} bytes, the room for it is {}: shorter names are wanted", s.path,
                             text.size(), s.header)};
  }
  text.resize(s.header, ' ');
  const std::uint64_t length = s.header;
  if (auto ok = s.put(0, std::as_bytes(std::span(&length, 1))); !ok) {
    return ok;
  }
  if (auto ok = s.put(sizeof length, std::as_bytes(std::span(text))); !ok) {
    return ok;
  }
  const int file = std::exchange(s.file, -1);
  if (::close(file) != 0) {
    return s.failed("writing stopped");
  }
  if (std::rename(s.growing.c_str(), s.target.c_str()) != 0) {
    return s.failed("cannot be put in place");
  }
  s.growing.clear();
  return {};
}

std::uint64_t TraceWriter::bytes() const { return state_->size; }

}  // namespace kvsink::trace

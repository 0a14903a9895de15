// SPDX-License-Identifier: Apache-2.0
#include "sw/trace/safetensors.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cassert>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <limits>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>
#include <system_error>

namespace kvsink::trace {
namespace {

static_assert(std::endian::native == std::endian::little, "tensors are read as they lie in the file");

namespace fs = std::filesystem;
using Json = nlohmann::json;

struct TypeRow {
  DType dtype;
  std::string_view name;
  std::size_t bytes;
};
constexpr std::array<TypeRow, 13> kTypes{{{DType::kBool, "BOOL", 1},
                                          {DType::kU8, "U8", 1},
                                          {DType::kI8, "I8", 1},
                                          {DType::kI16, "I16", 2},
                                          {DType::kU16, "U16", 2},
                                          {DType::kF16, "F16", 2},
                                          {DType::kBf16, "BF16", 2},
                                          {DType::kI32, "I32", 4},
                                          {DType::kU32, "U32", 4},
                                          {DType::kF32, "F32", 4},
                                          {DType::kI64, "I64", 8},
                                          {DType::kU64, "U64", 8},
                                          {DType::kF64, "F64", 8}}};

constexpr std::string_view kMetadata = "__metadata__";
constexpr std::size_t kMaxRank = 8;
constexpr std::size_t kMaxQuoted = 64;

const TypeRow& row_of(DType dtype) {
  return *std::find_if(kTypes.begin(), kTypes.end(), [dtype](const TypeRow& row) { return row.dtype == dtype; });
}

/// The product of a shape and the size of its elements; none when it does not fit 64 bits.
std::optional<std::uint64_t> size_of(DType dtype, std::span<const std::uint64_t> shape) {
  std::uint64_t bytes = dtype_bytes(dtype);
  for (const std::uint64_t n : shape) {
    if (__builtin_mul_overflow(bytes, n, &bytes)) {
      return std::nullopt;
    }
  }
  return bytes;
}

/// JSON of the header, or what is wrong with it. An entry that is there twice is refused: readers differ in which of
/// the two they take.
Result<Json> parse_header(const std::string& text) {
  std::vector<std::set<std::string>> keys;
  std::optional<std::string> twice;
  const auto watch = [&](int, Json::parse_event_t event, Json& parsed) {
    if (event == Json::parse_event_t::object_start) {
      keys.emplace_back();
    } else if (event == Json::parse_event_t::object_end) {
      keys.pop_back();
    } else if (event == Json::parse_event_t::key) {
      const auto& key = parsed.get_ref<const std::string&>();
      if (!keys.back().insert(key).second && !twice) {
        twice = key;
      }
    }
    return true;
  };
  Json header;
  try {
    header = Json::parse(text, watch);
  } catch (const Json::parse_error& e) {
    return Error{fmt::format("the header is not JSON (at byte {} of it)", e.byte)};
  } catch (const Json::exception&) {
    return Error{"the header is not JSON that can be read (a number out of range?)"};
  }
  if (twice) {
    return Error{fmt::format("{} is in the header twice", in_quotes(*twice))};
  }
  if (!header.is_object()) {
    return Error{"the header is JSON, but not an object"};
  }
  return header;
}

/// A list of whole numbers >= 0.
std::optional<std::vector<std::uint64_t>> numbers(const Json& list) {
  if (!list.is_array() || list.size() > kMaxRank) {
    return std::nullopt;
  }
  std::vector<std::uint64_t> result;
  for (const Json& n : list) {
    if (!n.is_number_unsigned()) {
      return std::nullopt;
    }
    result.push_back(n.get<std::uint64_t>());
  }
  return result;
}

/// One tensor of the header; `data` and `size` are where tensors begin and the size of the file.
Result<TensorInfo> parse_tensor(const std::string& name, const Json& entry, std::uint64_t data, std::uint64_t size) {
  const std::string tensor = "tensor " + in_quotes(name);
  if (!entry.is_object()) {
    return Error{tensor + ": its entry is not an object"};
  }
  for (const char* key : {"dtype", "shape", "data_offsets"}) {
    if (!entry.contains(key)) {
      return Error{fmt::format("{}: {} is missing", tensor, key)};
    }
  }
  const Json& type = entry["dtype"];
  const auto known = std::find_if(kTypes.begin(), kTypes.end(), [&type](const TypeRow& row) {
    return type.is_string() && row.name == type.get_ref<const std::string&>();
  });
  if (known == kTypes.end()) {
    return Error{fmt::format("{}: dtype {} is not known", tensor,
                             type.is_string() ? in_quotes(type.get_ref<const std::string&>()) : "(not a string)")};
  }
  const auto shape = numbers(entry["shape"]);
  if (!shape) {
    return Error{fmt::format("{}: shape is not a list of at most {} whole numbers", tensor, kMaxRank)};
  }
  const auto offsets = numbers(entry["data_offsets"]);
  if (!offsets || offsets->size() != 2) {
    return Error{tensor + ": data_offsets is not a pair of whole numbers"};
  }
  const std::uint64_t begin = (*offsets)[0];
  const std::uint64_t end = (*offsets)[1];
  if (begin > end) {
    return Error{fmt::format("{}: data_offsets [{}, {}] run backwards", tensor, begin, end)};
  }
  if (end > size - data) {
    return Error{fmt::format("{}: its data end at byte {} of the tensors, the file holds {}: it was cut short", tensor,
                             end, size - data)};
  }
  const auto bytes = size_of(known->dtype, *shape);
  if (!bytes || *bytes != end - begin) {
    return Error{fmt::format("{}: shape {} of {} takes {} bytes, data_offsets give {}", tensor, shape_text(*shape),
                             known->name, bytes ? std::to_string(*bytes) : "more than 2^64", end - begin)};
  }
  return TensorInfo{known->dtype, *shape, data + begin, *bytes};
}

/// Tensors lie end to end from the first byte to the last.
Result<void> check_layout(const std::map<std::string, TensorInfo>& tensors, std::uint64_t data, std::uint64_t size) {
  std::vector<std::pair<const std::string*, const TensorInfo*>> order;
  order.reserve(tensors.size());
  for (const auto& [name, tensor] : tensors) {
    order.emplace_back(&name, &tensor);
  }
  std::sort(order.begin(), order.end(), [](const auto& a, const auto& b) {
    return std::pair(a.second->begin, a.second->bytes) < std::pair(b.second->begin, b.second->bytes);
  });
  std::uint64_t end = data;
  const std::string* before = nullptr;
  for (const auto& [name, tensor] : order) {
    if (tensor->begin < end) {
      return Error{fmt::format("tensors {} and {} overlap by {} bytes", in_quotes(*before), in_quotes(*name),
                               end - tensor->begin)};
    }
    if (tensor->begin > end) {
      return Error{
          fmt::format("tensor {}: {} bytes before it belong to no tensor", in_quotes(*name), tensor->begin - end)};
    }
    end += tensor->bytes;
    before = name;
  }
  if (end != size) {
    return Error{fmt::format("{} bytes after the last tensor belong to no tensor", size - end)};
  }
  return {};
}

}  // namespace

std::string_view dtype_name(DType dtype) { return row_of(dtype).name; }
std::size_t dtype_bytes(DType dtype) { return row_of(dtype).bytes; }

std::string in_quotes(std::string_view text) {
  std::string out = "'";
  for (const char c : text.substr(0, kMaxQuoted)) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte < 0x20 || byte == 0x7f) {
      out += fmt::format("\\x{:02x}", byte);
    } else {
      out += c;
    }
  }
  out += text.size() > kMaxQuoted ? "...'" : "'";
  return out;
}

std::string shape_text(std::span<const std::uint64_t> shape) {
  std::string out;
  for (const std::uint64_t n : shape) {
    out += fmt::format("[{}]", n);
  }
  return out.empty() ? "[]" : out;
}

Result<SafeTensors> SafeTensors::open(const std::string& path) {
  const auto wrong = [&path](const std::string& what) { return Error{path + ": " + what}; };
  std::error_code failed;
  const auto status = fs::status(path, failed);
  if (!fs::exists(status)) {
    return wrong("no such file");
  }
  if (!fs::is_regular_file(status)) {
    return wrong("is not a regular file");
  }
  const std::uint64_t size = fs::file_size(path, failed);
  if (failed) {
    return wrong(failed.message());
  }
  errno = 0;
  std::ifstream file(path, std::ios::binary);
  if (!file) {
    return wrong(fmt::format("cannot be opened ({})", std::strerror(errno)));
  }
  std::uint64_t length = 0;
  if (size < sizeof length) {
    return wrong(fmt::format("has {} bytes, a safetensors file has at least {}", size, sizeof length));
  }
  file.read(reinterpret_cast<char*>(&length), sizeof length);
  if (length > kMaxHeader) {
    return wrong(fmt::format("says that its header has {} bytes, the limit is {}", length, kMaxHeader));
  }
  if (length > size - sizeof length) {
    return wrong(fmt::format("was cut short: its header has {} bytes, the file holds {} after the length", length,
                             size - sizeof length));
  }
  std::string text(length, '\0');
  if (!file.read(text.data(), static_cast<std::streamsize>(length))) {
    return wrong("cannot be read");
  }
  auto header = parse_header(text);
  if (!header) {
    return wrong(header.error().message);
  }

  SafeTensors result;
  result.path_ = path;
  const std::uint64_t data = sizeof length + length;
  for (const auto& [name, entry] : header->items()) {
    if (name == kMetadata) {
      if (!entry.is_object()) {
        return wrong("__metadata__ is not an object");
      }
      for (const auto& [key, value] : entry.items()) {
        if (!value.is_string()) {
          return wrong(fmt::format("metadata {} is not a string", in_quotes(key)));
        }
        result.metadata_.emplace(key, value.get<std::string>());
      }
      continue;
    }
    auto tensor = parse_tensor(name, entry, data, size);
    if (!tensor) {
      return wrong(tensor.error().message);
    }
    result.tensors_.emplace(name, *std::move(tensor));
  }
  if (auto ok = check_layout(result.tensors_, data, size); !ok) {
    return wrong(ok.error().message);
  }
  return result;
}

Result<TensorInfo> SafeTensors::find(const std::string& name, DType dtype, std::size_t rank) const {
  const auto found = tensors_.find(name);
  if (found == tensors_.end()) {
    return Error{fmt::format("{}: tensor {} is missing", path_, in_quotes(name))};
  }
  const TensorInfo& tensor = found->second;
  if (tensor.dtype != dtype) {
    return Error{fmt::format("{}: tensor {} is {}, {} is wanted", path_, in_quotes(name), dtype_name(tensor.dtype),
                             dtype_name(dtype))};
  }
  if (tensor.shape.size() != rank) {
    return Error{fmt::format("{}: tensor {} has shape {}, {} dimensions are wanted", path_, in_quotes(name),
                             shape_text(tensor.shape), rank)};
  }
  return tensor;
}

Result<void> SafeTensors::read_bytes(const TensorInfo& tensor, std::span<std::byte> into) const {
  std::ifstream file(path_, std::ios::binary);
  file.seekg(static_cast<std::streamoff>(tensor.begin));
  if (!file.read(reinterpret_cast<char*>(into.data()), static_cast<std::streamsize>(into.size()))) {
    return Error{fmt::format("{}: {} bytes at {} cannot be read", path_, into.size(), tensor.begin)};
  }
  return {};
}

Result<TensorReader> TensorReader::open(const SafeTensors& file) {
  TensorReader reader;
  reader.path_ = file.path();
  errno = 0;
  reader.file_.open(reader.path_, std::ios::binary);
  if (!reader.file_) {
    return Error{fmt::format("{}: cannot be opened ({})", reader.path_, std::strerror(errno))};
  }
  return reader;
}

Result<void> TensorReader::read_bytes(const TensorInfo& tensor, std::uint64_t offset, std::span<std::byte> into) {
  assert(offset <= tensor.bytes && into.size() <= tensor.bytes - offset);
  const std::uint64_t at = tensor.begin + offset;
  file_.seekg(static_cast<std::streamoff>(at));
  if (!file_.read(reinterpret_cast<char*>(into.data()), static_cast<std::streamsize>(into.size()))) {
    return Error{fmt::format("{}: {} bytes at {} cannot be read", path_, into.size(), at)};
  }
  return {};
}

struct TensorWriter::State {
  std::string path;
  fs::path target;
  std::string growing;
  bool direct = false;  // a device or a pipe: no name to be renamed to, and bytes in order only
  std::ofstream file;
  std::vector<std::uint64_t> begin;  // of each tensor, in the file
  std::uint64_t at = 0;              // next byte of the file
  std::map<std::uint64_t, std::vector<std::byte>> early;

  Error failed(const char* what) {
    const int code = errno;
    remove();
    return Error{fmt::format("{}: {} ({})", path, what, std::strerror(code))};
  }
  void remove() {
    if (!growing.empty() && !direct) {
      file.close();
      std::error_code ignored;
      fs::remove(growing, ignored);
    }
    growing.clear();
  }
  void put(std::span<const std::byte> data) {
    file.write(reinterpret_cast<const char*>(data.data()), static_cast<std::streamsize>(data.size()));
    at += data.size();
  }
};

TensorWriter::TensorWriter(std::unique_ptr<State> state) : state_(std::move(state)) {}
TensorWriter::TensorWriter(TensorWriter&&) noexcept = default;
TensorWriter::~TensorWriter() {
  if (state_) {
    state_->remove();
  }
}

Result<TensorWriter> TensorWriter::open(const std::string& path, const std::map<std::string, std::string>& metadata,
                                        std::span<const TensorSpec> tensors) {
  auto state = std::make_unique<State>();
  Json header = Json::object();
  if (!metadata.empty()) {
    header[kMetadata] = metadata;
  }
  std::uint64_t end = 0;
  for (const TensorSpec& tensor : tensors) {
    const auto bytes = size_of(tensor.dtype, tensor.shape);
    if (!bytes || *bytes > std::numeric_limits<std::int64_t>::max() - end) {
      return Error{fmt::format("{}: tensor {} of shape {} is larger than a file can be", path, in_quotes(tensor.name),
                               shape_text(tensor.shape))};
    }
    header[tensor.name] = {
        {"dtype", dtype_name(tensor.dtype)}, {"shape", tensor.shape}, {"data_offsets", {end, end + *bytes}}};
    state->begin.push_back(end);
    end += *bytes;
  }
  // Text that is not UTF-8 is replaced: it comes from outside and is only information.
  std::string text = header.dump(-1, ' ', false, Json::error_handler_t::replace);
  text.append((sizeof(std::uint64_t) - text.size() % sizeof(std::uint64_t)) % sizeof(std::uint64_t), ' ');

  std::error_code ignored;
  const auto status = fs::status(path, ignored);
  if (fs::is_directory(status)) {
    return Error{path + ": is a folder"};
  }
  state->path = path;
  state->direct = fs::exists(status) && !fs::is_regular_file(status);
  state->target = path;
  // A link is followed, so that it stays one, also when what it names is not there yet.
  constexpr int kMostLinks = 40;
  for (int i = 0; i < kMostLinks && fs::is_symlink(fs::symlink_status(state->target, ignored)); ++i) {
    state->target = state->target.parent_path() / fs::read_symlink(state->target, ignored);
  }
  const std::string growing = state->direct ? path : fmt::format("{}.{}.part", state->target.string(), ::getpid());
  errno = 0;
  state->file.open(growing, std::ios::binary | std::ios::trunc);
  if (!state->file) {
    return state->failed("cannot be written");
  }
  state->growing = growing;
  const std::uint64_t length = text.size();
  state->put(std::as_bytes(std::span(&length, 1)));
  state->put(std::as_bytes(std::span(text)));
  for (std::uint64_t& begin : state->begin) {
    begin += state->at;
  }
  return TensorWriter(std::move(state));
}

Result<void> TensorWriter::write_bytes(std::size_t index, std::uint64_t offset, std::span<const std::byte> data) {
  State& s = *state_;
  const std::uint64_t begin = s.begin.at(index) + offset;
  errno = 0;
  if (s.direct && begin != s.at) {
    s.early.emplace(begin, std::vector<std::byte>(data.begin(), data.end()));
    return {};
  }
  if (begin != s.at) {
    s.file.seekp(static_cast<std::streamoff>(begin));
    s.at = begin;
  }
  s.put(data);
  for (auto next = s.early.begin(); next != s.early.end() && next->first == s.at; next = s.early.erase(next)) {
    s.put(next->second);
  }
  if (!s.file) {
    return s.failed("writing stopped");
  }
  return {};
}

Result<void> TensorWriter::finish() {
  State& s = *state_;
  assert(s.early.empty());
  errno = 0;
  s.file.close();
  if (!s.file) {
    return s.failed("writing stopped");
  }
  if (!s.direct && ::rename(s.growing.c_str(), s.target.c_str()) != 0) {
    return s.failed("cannot be put in place");
  }
  s.growing.clear();
  return {};
}

Result<void> write_safetensors(const std::string& path, const std::map<std::string, std::string>& metadata,
                               std::span<const TensorData> tensors) {
  std::vector<TensorSpec> specs;
  for (const TensorData& tensor : tensors) {
    if (size_of(tensor.dtype, tensor.shape) != tensor.data.size()) {
      return Error{fmt::format("{}: tensor {} holds {} bytes, which is not its shape {}", path, in_quotes(tensor.name),
                               tensor.data.size(), shape_text(tensor.shape))};
    }
    specs.push_back({tensor.name, tensor.dtype, tensor.shape});
  }
  auto writer = TensorWriter::open(path, metadata, specs);
  if (!writer) {
    return writer.error();
  }
  for (std::size_t i = 0; i < tensors.size(); ++i) {
    if (auto ok = writer->write(i, 0, tensors[i].data); !ok) {
      return ok;
    }
  }
  return writer->finish();
}

}  // namespace kvsink::trace

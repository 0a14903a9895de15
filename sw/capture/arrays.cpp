// SPDX-License-Identifier: Apache-2.0
#include "sw/capture/arrays.hpp"

#include <fmt/format.h>
#include <zip.h>

#include <algorithm>
#include <charconv>
#include <cstddef>
#include <cstring>
#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <string_view>

#include "sw/golden/half.hpp"
#include "sw/trace/mapped_file.hpp"
#include "sw/trace/safetensors.hpp"

namespace kvsink::capture {
namespace {

using trace::DType;
using trace::in_quotes;

constexpr std::uint64_t kMaxElements = std::uint64_t{1} << 36U;

template <class T>
T load_as(const std::byte* from) {
  T value;
  std::memcpy(&value, from, sizeof value);
  return value;
}

double element(DType dtype, const std::byte* at) {
  switch (dtype) {
    case DType::kF16:
      return golden::half_to_float(load_as<std::uint16_t>(at));
    case DType::kBf16:
      return golden::bf16_to_float(load_as<std::uint16_t>(at));
    case DType::kF32:
      return load_as<float>(at);
    case DType::kF64:
      return load_as<double>(at);
    case DType::kI8:
      return load_as<std::int8_t>(at);
    case DType::kU8:
    case DType::kBool:
      return load_as<std::uint8_t>(at);
    case DType::kI16:
      return load_as<std::int16_t>(at);
    case DType::kU16:
      return load_as<std::uint16_t>(at);
    case DType::kI32:
      return load_as<std::int32_t>(at);
    case DType::kU32:
      return load_as<std::uint32_t>(at);
    case DType::kI64:
      return static_cast<double>(load_as<std::int64_t>(at));
    case DType::kU64:
      return static_cast<double>(load_as<std::uint64_t>(at));
  }
  return 0;
}

/// Types as npy spells them, after the byte order.
std::optional<DType> npy_type(std::string_view name) {
  static constexpr std::pair<std::string_view, DType> kTypes[] = {
      {"<f2", DType::kF16}, {"<f4", DType::kF32}, {"<f8", DType::kF64}, {"|i1", DType::kI8},
      {"|u1", DType::kU8},  {"<i2", DType::kI16}, {"<u2", DType::kU16}, {"<i4", DType::kI32},
      {"<u4", DType::kU32}, {"<i8", DType::kI64}, {"<u8", DType::kU64}};
  const auto* found =
      std::find_if(std::begin(kTypes), std::end(kTypes), [&](const auto& row) { return row.first == name; });
  return found == std::end(kTypes) ? std::nullopt : std::optional(found->second);
}

/// The text behind `'key':` of the dictionary in an npy header.
std::optional<std::string_view> npy_field(std::string_view header, std::string_view key) {
  const std::size_t found = header.find(fmt::format("'{}':", key));
  if (found == std::string_view::npos) {
    return std::nullopt;
  }
  std::string_view rest = header.substr(found + key.size() + 3);
  rest.remove_prefix(std::min(rest.find_first_not_of(' '), rest.size()));
  return rest;
}

Result<Array> parse_npy(const std::string& where, std::span<const std::byte> bytes) {
  const auto wrong = [&where](const std::string& what) { return Error{where + ": " + what}; };
  constexpr std::string_view kMagic = "\x93NUMPY";
  const std::string_view text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  if (text.size() < 12 || !text.starts_with(kMagic)) {
    return wrong("is not an npy array");
  }
  const auto major = static_cast<unsigned char>(text[6]);
  if (major < 1 || major > 3) {
    return wrong(fmt::format("is an npy array of version {}, 1 to 3 are known", major));
  }
  const std::size_t start = major == 1 ? 10 : 12;
  const std::size_t length =
      major == 1 ? load_as<std::uint16_t>(bytes.data() + 8) : load_as<std::uint32_t>(bytes.data() + 8);
  if (length > text.size() - start) {
    return wrong(fmt::format("was cut short: its header has {} bytes", length));
  }
  const std::string_view header = text.substr(start, length);
  const auto descr = npy_field(header, "descr");
  const auto order = npy_field(header, "fortran_order");
  const auto shape = npy_field(header, "shape");
  if (!descr || !order || !shape || !shape->starts_with('(') || shape->find(')') == std::string_view::npos) {
    return wrong("has an npy header that is not understood");
  }
  const std::string_view name = descr->starts_with('\'') ? descr->substr(1, descr->find('\'', 1) - 1) : "";
  const auto dtype = npy_type(name);
  if (!dtype) {
    return wrong(fmt::format("has elements of type {}, little-endian numbers are wanted",
                             in_quotes(descr->substr(0, descr->find(',')))));
  }
  if (!order->starts_with("False")) {
    return wrong("is in Fortran order: save it in C order");
  }
  Array out;
  std::uint64_t elements = 1;
  std::string_view list = shape->substr(1, shape->find(')') - 1);
  while (true) {
    list.remove_prefix(std::min(list.find_first_not_of(" ,"), list.size()));
    if (list.empty()) {
      break;
    }
    std::uint64_t size = 0;
    const auto [stop, code] = std::from_chars(list.data(), list.data() + list.size(), size);
    if (code != std::errc() || __builtin_mul_overflow(elements, size, &elements) || elements > kMaxElements) {
      return wrong("has an npy header with a shape that is not understood");
    }
    out.shape.push_back(size);
    list.remove_prefix(static_cast<std::size_t>(stop - list.data()));
  }
  const std::size_t width = trace::dtype_bytes(*dtype);
  const std::size_t data = start + length;
  if (elements * width != text.size() - data) {
    return wrong(fmt::format("has {} bytes of data, its shape {} takes {}", text.size() - data,
                             trace::shape_text(out.shape), elements * width));
  }
  out.data.resize(elements);
  for (std::uint64_t i = 0; i < elements; ++i) {
    out.data[i] = element(*dtype, bytes.data() + data + i * width);
  }
  return out;
}

Result<Array> read_npz(const std::string& path, const std::string& name) {
  int code = 0;
  const std::unique_ptr<zip_t, void (*)(zip_t*)> archive(zip_open(path.c_str(), ZIP_RDONLY | ZIP_CHECKCONS, &code),
                                                         zip_discard);
  if (!archive) {
    zip_error_t error;
    zip_error_init_with_code(&error, code);
    const std::string what = zip_error_strerror(&error);
    zip_error_fini(&error);
    return Error{fmt::format("{}: is not an npz file that can be read ({})", path, what)};
  }
  const std::string entry = name + ".npy";
  zip_stat_t status;
  if (zip_stat(archive.get(), entry.c_str(), 0, &status) != 0 || (status.valid & ZIP_STAT_SIZE) == 0) {
    return Error{fmt::format("{}: there is no array {}", path, in_quotes(name))};
  }
  if (status.size > kMaxElements) {
    return Error{
        fmt::format("{}: array {} has {} bytes, the limit is {}", path, in_quotes(name), status.size, kMaxElements)};
  }
  const std::unique_ptr<zip_file_t, int (*)(zip_file_t*)> file(zip_fopen(archive.get(), entry.c_str(), 0), zip_fclose);
  std::vector<std::byte> bytes;
  // Grown as it comes: the size in the directory may be a lie.
  while (file) {
    const std::size_t before = bytes.size();
    bytes.resize(before + (std::size_t{1} << 20U));
    const zip_int64_t got = zip_fread(file.get(), bytes.data() + before, bytes.size() - before);
    bytes.resize(before + static_cast<std::size_t>(std::max<zip_int64_t>(got, 0)));
    if (got < 0 || bytes.size() > status.size) {
      return Error{fmt::format("{}: array {} cannot be unpacked", path, in_quotes(name))};
    }
    if (got == 0) {
      break;
    }
  }
  if (!file || bytes.size() != status.size) {
    return Error{fmt::format("{}: array {} cannot be unpacked", path, in_quotes(name))};
  }
  return parse_npy(fmt::format("{}: {}", path, in_quotes(name)), bytes);
}

Result<Array> read_safetensors(const std::string& path, const std::string& name) {
  const auto file = trace::SafeTensors::open(path);
  if (!file) {
    return file.error();
  }
  const auto found = file->tensors().find(name);
  if (found == file->tensors().end()) {
    return Error{fmt::format("{}: there is no tensor {}", path, in_quotes(name))};
  }
  const auto mapped = trace::MappedFile::open(path);
  if (!mapped) {
    return mapped.error();
  }
  const trace::TensorInfo& info = found->second;
  if (info.begin + info.bytes > mapped->bytes().size()) {
    return Error{path + ": was cut short while it was read"};
  }
  const std::size_t width = trace::dtype_bytes(info.dtype);
  Array out{info.shape, std::vector<double>(info.bytes / width)};
  for (std::size_t i = 0; i < out.data.size(); ++i) {
    out.data[i] = element(info.dtype, mapped->bytes().data() + info.begin + i * width);
  }
  return out;
}

}  // namespace

Result<Array> read_array(const std::string& path, const std::string& name) {
  std::error_code ignored;
  if (!std::filesystem::exists(path, ignored)) {
    return Error{path + ": no such file"};
  }
  const std::string ending = std::filesystem::path(path).extension().string();
  if (ending != ".npy" && ending != ".npz" && ending != ".safetensors") {
    return Error{fmt::format("{}: ends with {}, .npy, .npz or .safetensors is wanted", path, in_quotes(ending))};
  }
  if ((ending == ".npy") != name.empty()) {
    return Error{fmt::format("{}: {}", path,
                             ending == ".npy" ? "holds one array without a name, the mapping gives it one"
                                              : "the mapping gives no 'name' of an array in it")};
  }
  if (ending == ".npz") {
    return read_npz(path, name);
  }
  if (ending == ".safetensors") {
    return read_safetensors(path, name);
  }
  const auto mapped = trace::MappedFile::open(path);
  return mapped ? parse_npy(path, mapped->bytes()) : Result<Array>(mapped.error());
}

}  // namespace kvsink::capture

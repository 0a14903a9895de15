// SPDX-License-Identifier: Apache-2.0
// Reading and writing of safetensors files: an 8-byte little-endian header length, a JSON header, the raw tensors.
// Everything in the header is checked against the size of the file before a tensor is touched.
#pragma once

#include <cstddef>
#include <cstdint>
#include <fstream>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "sw/trace/result.hpp"

namespace kvsink::trace {

enum class DType { kBool, kU8, kI8, kI16, kU16, kF16, kBf16, kI32, kU32, kF32, kI64, kU64, kF64 };

/// Name of a type as the header spells it, such as "F16".
std::string_view dtype_name(DType dtype);
/// Bytes of one element.
std::size_t dtype_bytes(DType dtype);

/// Text between quotes for a message: control characters are escaped and long text is cut, so that it stays one line.
std::string in_quotes(std::string_view text);
/// A shape as "[4][256][2][64]".
std::string shape_text(std::span<const std::uint64_t> shape);

/// A tensor of a file: where it lies, not its data.
struct TensorInfo {
  DType dtype;
  std::vector<std::uint64_t> shape;
  std::uint64_t begin;  ///< first byte, counted from the start of the file
  std::uint64_t bytes;
};

/// The checked header of a safetensors file.
///
/// Refused, each with one line that names the file: a file that cannot be read or is not a regular one; shorter than
/// its header or its tensors; a header beyond kMaxHeader or that is not JSON; an entry twice; an unknown dtype; a shape
/// or offsets that are not whole numbers; a size that does not follow from shape and dtype; tensors that overlap, leave
/// a gap, or end before the file does.
class SafeTensors {
 public:
  static constexpr std::uint64_t kMaxHeader = 16U << 20;  ///< longest header taken, in bytes

  static Result<SafeTensors> open(const std::string& path);

  const std::string& path() const { return path_; }
  const std::map<std::string, std::string>& metadata() const { return metadata_; }
  const std::map<std::string, TensorInfo>& tensors() const { return tensors_; }

  /// The tensor of that name with that type and number of dimensions, or what is wrong with it.
  Result<TensorInfo> find(const std::string& name, DType dtype, std::size_t rank) const;

  /// The data of a tensor (one that `find` returned). `T` has the size of its elements.
  template <class T>
  Result<std::vector<T>> read(const TensorInfo& tensor) const {
    std::vector<T> data(tensor.bytes / sizeof(T));
    if (auto ok = read_bytes(tensor, std::as_writable_bytes(std::span(data))); !ok) {
      return ok.error();
    }
    return data;
  }

 private:
  Result<void> read_bytes(const TensorInfo& tensor, std::span<std::byte> into) const;

  std::string path_;
  std::map<std::string, std::string> metadata_;
  std::map<std::string, TensorInfo> tensors_;
};

/// Reads the data of a file's tensors in parts, for files larger than memory. The file stays open.
class TensorReader {
 public:
  static Result<TensorReader> open(const SafeTensors& file);

  /// Elements [first, first + into.size()) of a tensor that `find` returned, counted over its whole shape. `T` has the
  /// size of its elements.
  template <class T>
  Result<void> read(const TensorInfo& tensor, std::uint64_t first, std::span<T> into) {
    return read_bytes(tensor, first * sizeof(T), std::as_writable_bytes(into));
  }

 private:
  Result<void> read_bytes(const TensorInfo& tensor, std::uint64_t offset, std::span<std::byte> into);

  std::string path_;
  std::ifstream file_;
};

/// What a tensor to be written is; its data come later.
struct TensorSpec {
  std::string name;
  DType dtype;
  std::vector<std::uint64_t> shape;
};

/// Writes a file in parts, whole or not at all: it grows under another name and takes its own in finish(); without that
/// it is removed. Tensors lie in the order given. Parts may come in any order; a device or a pipe, which takes bytes in
/// order only, gets them as soon as their turn comes, and what is early waits in memory.
class TensorWriter {
 public:
  /// An error names the file (no such folder, no right).
  static Result<TensorWriter> open(const std::string& path, const std::map<std::string, std::string>& metadata,
                                   std::span<const TensorSpec> tensors);
  TensorWriter(TensorWriter&&) noexcept;
  ~TensorWriter();

  /// Elements of tensor `index` from element `first` on.
  template <class T>
  Result<void> write(std::size_t index, std::uint64_t first, std::span<const T> data) {
    return write_bytes(index, first * sizeof(T), std::as_bytes(data));
  }
  /// Every byte has been written: puts the file in place.
  Result<void> finish();

 private:
  struct State;
  explicit TensorWriter(std::unique_ptr<State> state);
  Result<void> write_bytes(std::size_t index, std::uint64_t offset, std::span<const std::byte> data);

  std::unique_ptr<State> state_;
};

/// A tensor to be written.
struct TensorData {
  std::string name;
  DType dtype;
  std::vector<std::uint64_t> shape;
  std::span<const std::byte> data;
};

/// Writes a file whole or not at all: it grows under another name and takes its own once it is complete. Tensors lie in
/// the order given. An error names the file (no such folder, no right, disk full).
Result<void> write_safetensors(const std::string& path, const std::map<std::string, std::string>& metadata,
                               std::span<const TensorData> tensors);

}  // namespace kvsink::trace

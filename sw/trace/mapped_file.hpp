// SPDX-License-Identifier: Apache-2.0
// A file mapped into memory, read only: its pages come when they are touched and go when memory is short.
#pragma once

#include <cstddef>
#include <span>
#include <string>

#include "sw/trace/result.hpp"

namespace kvsink::trace {

class MappedFile {
 public:
  /// Maps a regular file whole; an empty one has no bytes. The error names the file and what is wrong with it.
  static Result<MappedFile> open(const std::string& path);
  MappedFile(MappedFile&& other) noexcept;
  MappedFile& operator=(MappedFile&& other) noexcept;
  MappedFile(const MappedFile&) = delete;
  MappedFile& operator=(const MappedFile&) = delete;
  ~MappedFile();

  std::span<const std::byte> bytes() const { return {data_, size_}; }

 private:
  MappedFile(const std::byte* data, std::size_t size) : data_(data), size_(size) {}

  const std::byte* data_ = nullptr;
  std::size_t size_ = 0;
};

}  // namespace kvsink::trace

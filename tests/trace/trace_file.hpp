// SPDX-License-Identifier: Apache-2.0
// Small trace files made by hand, right or broken on purpose, and a folder that goes when the test ends.
#pragma once

#include <cstdint>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

namespace kvsink::test {

/// A folder of this test alone.
class TempFolder {
 public:
  TempFolder();
  ~TempFolder();
  TempFolder(const TempFolder&) = delete;
  TempFolder& operator=(const TempFolder&) = delete;
  std::string operator/(const std::string& name) const { return (path_ / name).string(); }
  const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
};

/// The parts of a safetensors file, each of which a test may bend before it is written.
struct TraceFile {
  nlohmann::ordered_json header;
  std::string data;

  /// A right trace: 2 layers, 6 tokens (3 prefill), 4 query and 2 kv heads, head_dim 8, 3 steps; q, k, v at random and
  /// o, lse from a plain computation of this test's own.
  static TraceFile good(std::uint64_t seed = 1);

  /// Bytes of the file: length, header, data.
  std::string bytes() const;
  /// The same around any text as header.
  std::string bytes_with(const std::string& header_text) const;
  /// The data of a tensor.
  template <class T>
  T& element(const std::string& tensor, std::size_t index) {
    const std::size_t begin = header.at(tensor).at("data_offsets").at(0).get<std::size_t>();
    return *reinterpret_cast<T*>(data.data() + begin + index * sizeof(T));
  }
  /// Takes a tensor and its data out; the others move up.
  void drop(const std::string& tensor);
};

void write_file(const std::string& path, const std::string& bytes);

/// fp16 bits to a number, by its definition; infinity and NaN too.
double half_value(std::uint16_t bits);

}  // namespace kvsink::test

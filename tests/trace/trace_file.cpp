// SPDX-License-Identifier: Apache-2.0
#include "tests/trace/trace_file.hpp"

#include <unistd.h>

#include <atomic>
#include <cmath>
#include <cstring>
#include <fstream>
#include <limits>
#include <random>

namespace kvsink::test {
namespace {

constexpr std::size_t kL = 2, kT = 6, kHq = 4, kHkv = 2, kD = 8, kN = 3, kPrefill = 3;
constexpr double kScale = 0.35;

template <class T>
std::string raw(const std::vector<T>& values) {
  return {reinterpret_cast<const char*>(values.data()), values.size() * sizeof(T)};
}

/// fp16 bits in about -2..2: any sign, exponents 11 to 15.
std::vector<std::uint16_t> halves(std::size_t count, std::mt19937_64& random) {
  std::vector<std::uint16_t> values(count);
  for (auto& value : values) {
    const auto bits = random();
    value = static_cast<std::uint16_t>((bits & 0x83ffU) | ((11 + (bits >> 32) % 5) << 10));
  }
  return values;
}

}  // namespace

TempFolder::TempFolder() {
  static std::atomic<unsigned> count{0};
  path_ = std::filesystem::temp_directory_path() /
          ("kvsink-test-" + std::to_string(::getpid()) + "-" + std::to_string(count++));
  std::filesystem::create_directories(path_);
}

TempFolder::~TempFolder() {
  std::error_code ignored;
  std::filesystem::remove_all(path_, ignored);
}

double half_value(std::uint16_t bits) {
  const double sign = (bits & 0x8000U) != 0 ? -1.0 : 1.0;
  const int exponent = (bits >> 10) & 0x1f;
  const int fraction = bits & 0x3ff;
  if (exponent == 31) {
    return fraction == 0 ? sign * std::numeric_limits<double>::infinity() : std::numeric_limits<double>::quiet_NaN();
  }
  return sign * (exponent == 0 ? std::ldexp(fraction, -24) : std::ldexp(1024 + fraction, exponent - 25));
}

TraceFile TraceFile::good(std::uint64_t seed) {
  std::mt19937_64 random(seed);
  const auto q = halves(kL * kT * kHq * kD, random);
  const auto k = halves(kL * kT * kHkv * kD, random);
  const auto v = halves(kL * kT * kHkv * kD, random);
  std::vector<std::int32_t> tokens(kT);
  for (std::size_t t = 0; t < kT; ++t) {
    tokens[t] = static_cast<std::int32_t>(t) * 7;
  }
  const std::vector<std::int32_t> positions{3, 4, 5};
  std::vector<float> o;
  std::vector<float> lse;
  for (std::size_t l = 0; l < kL; ++l) {
    for (const std::int32_t position : positions) {
      for (std::size_t h = 0; h < kHq; ++h) {
        const std::size_t group = h * kHkv / kHq;
        long double sum = 0;
        std::vector<long double> out(kD, 0);
        for (std::size_t t = 0; t <= static_cast<std::size_t>(position); ++t) {
          long double s = 0;
          for (std::size_t e = 0; e < kD; ++e) {
            s += static_cast<long double>(half_value(q[((l * kT + position) * kHq + h) * kD + e])) *
                 half_value(k[((l * kT + t) * kHkv + group) * kD + e]);
          }
          const long double weight = std::exp(s * static_cast<long double>(kScale));
          sum += weight;
          for (std::size_t e = 0; e < kD; ++e) {
            out[e] += weight * half_value(v[((l * kT + t) * kHkv + group) * kD + e]);
          }
        }
        for (const long double x : out) {
          o.push_back(static_cast<float>(x / sum));
        }
        lse.push_back(static_cast<float>(std::log(sum)));
      }
    }
  }

  TraceFile file;
  file.header["__metadata__"] = {{"format", "attention-trace"},
                                 {"version", "1"},
                                 {"model", "made by a test"},
                                 {"source", "tests/trace"},
                                 {"licence", "Apache-2.0"},
                                 {"layers", std::to_string(kL)},
                                 {"q_heads", std::to_string(kHq)},
                                 {"kv_heads", std::to_string(kHkv)},
                                 {"head_dim", std::to_string(kD)},
                                 {"tokens", std::to_string(kT)},
                                 {"prefill_tokens", std::to_string(kPrefill)},
                                 {"scale", "0.35"},
                                 {"rope", "none"},
                                 {"text", ""}};
  const auto add = [&file](const char* name, const char* dtype, const std::vector<std::size_t>& shape,
                           const std::string& bytes) {
    const std::size_t begin = file.data.size();
    file.data += bytes;
    file.header[name] = {{"dtype", dtype}, {"shape", shape}, {"data_offsets", {begin, file.data.size()}}};
  };
  add("token_ids", "I32", {kT}, raw(tokens));
  add("decode_positions", "I32", {kN}, raw(positions));
  add("q", "F16", {kL, kT, kHq, kD}, raw(q));
  add("k", "F16", {kL, kT, kHkv, kD}, raw(k));
  add("v", "F16", {kL, kT, kHkv, kD}, raw(v));
  add("o", "F32", {kL, kN, kHq, kD}, raw(o));
  add("lse", "F32", {kL, kN, kHq}, raw(lse));
  return file;
}

std::string TraceFile::bytes_with(const std::string& header_text) const {
  const std::uint64_t length = header_text.size();
  std::string out(sizeof length, '\0');
  std::memcpy(out.data(), &length, sizeof length);
  return out + header_text + data;
}

std::string TraceFile::bytes() const { return bytes_with(header.dump()); }

void TraceFile::drop(const std::string& tensor) {
  const auto begin = header.at(tensor).at("data_offsets").at(0).get<std::size_t>();
  const auto end = header.at(tensor).at("data_offsets").at(1).get<std::size_t>();
  data.erase(begin, end - begin);
  header.erase(tensor);
  for (auto& [name, entry] : header.items()) {
    if (name != "__metadata__" && entry["data_offsets"][0].get<std::size_t>() >= end) {
      entry["data_offsets"][0] = entry["data_offsets"][0].get<std::size_t>() - (end - begin);
      entry["data_offsets"][1] = entry["data_offsets"][1].get<std::size_t>() - (end - begin);
    }
  }
}

void write_file(const std::string& path, const std::string& bytes) {
  // Writing over a file makes some file systems wait for the disk; a new one does not.
  std::filesystem::remove(path);
  std::ofstream(path, std::ios::binary) << bytes;
}

}  // namespace kvsink::test

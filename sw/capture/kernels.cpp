// SPDX-License-Identifier: Apache-2.0
#include "sw/capture/kernels.hpp"

#include <bit>
#include <cassert>
#include <cstring>

// Compiled for several processors, and the best one taken when the program starts. Same sums, other registers.
#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__) && !defined(__SANITIZE_ADDRESS__)
#define KVSINK_CLONES __attribute__((target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default")))
#else
#define KVSINK_CLONES
#endif

namespace kvsink::capture {
namespace {

using trace::DType;

constexpr std::size_t kLanes = 8;
using Vector [[gnu::vector_size(kLanes * sizeof(double))]] = double;

template <class T>
inline T load_as(const void* from) {
  T value;
  std::memcpy(&value, from, sizeof value);
  return value;
}

/// Lanes added in a fixed tree.
inline double total(const Vector& v) { return ((v[0] + v[4]) + (v[2] + v[6])) + ((v[1] + v[5]) + (v[3] + v[7])); }

/// fp16 bits of a finite number: the fraction and exponent moved into fp32's places lack 112 in the exponent, denormals
/// too, which one exact multiplication puts right.
inline double half_value(std::uint16_t bits) {
  const auto magnitude = std::bit_cast<float>((bits & 0x7fffU) << 13U) * 0x1p112F;
  return std::bit_cast<float>(std::bit_cast<std::uint32_t>(magnitude) | ((bits & 0x8000U) << 16U));
}

inline double dot_inline(const double* a, const double* b, std::size_t n) {
  Vector even{};
  Vector odd{};
  std::size_t i = 0;
  for (; i + 2 * kLanes <= n; i += 2 * kLanes) {
    even += load_as<Vector>(a + i) * load_as<Vector>(b + i);
    odd += load_as<Vector>(a + i + kLanes) * load_as<Vector>(b + i + kLanes);
  }
  if (i + kLanes <= n) {
    even += load_as<Vector>(a + i) * load_as<Vector>(b + i);
    i += kLanes;
  }
  double rest = 0;
  for (; i < n; ++i) {
    rest += a[i] * b[i];
  }
  return total(even + odd) + rest;
}

inline void widen_inline(DType dtype, const std::byte* from, std::size_t n, double* to) {
  switch (dtype) {
    case DType::kF32:
      for (std::size_t i = 0; i < n; ++i) {
        to[i] = load_as<float>(from + 4 * i);
      }
      return;
    case DType::kF16:
      for (std::size_t i = 0; i < n; ++i) {
        to[i] = half_value(load_as<std::uint16_t>(from + 2 * i));
      }
      return;
    case DType::kBf16:
      for (std::size_t i = 0; i < n; ++i) {
        to[i] = std::bit_cast<float>(std::uint32_t{load_as<std::uint16_t>(from + 2 * i)} << 16U);
      }
      return;
    default:
      assert(false);
  }
}

}  // namespace

KVSINK_CLONES void widen(DType dtype, const std::byte* from, std::size_t n, double* to) {
  widen_inline(dtype, from, n, to);
}

KVSINK_CLONES std::size_t first_not_finite(DType dtype, const std::byte* from, std::size_t n) {
  constexpr std::size_t kBlock = 4096;
  const std::uint32_t exponent = dtype == DType::kF16 ? 0x7c00U : dtype == DType::kBf16 ? 0x7f80U : 0x7f80'0000U;
  for (std::size_t begin = 0; begin < n; begin += kBlock) {
    const std::size_t end = n - begin < kBlock ? n : begin + kBlock;
    std::uint32_t found = 0;
    if (dtype == DType::kF32) {
      for (std::size_t i = begin; i < end; ++i) {
        found |= (load_as<std::uint32_t>(from + 4 * i) & exponent) == exponent ? 1U : 0U;
      }
    } else {
      for (std::size_t i = begin; i < end; ++i) {
        found |= (load_as<std::uint16_t>(from + 2 * i) & exponent) == exponent ? 1U : 0U;
      }
    }
    for (std::size_t i = begin; found != 0 && i < end; ++i) {
      const std::uint32_t bits =
          dtype == DType::kF32 ? load_as<std::uint32_t>(from + 4 * i) : load_as<std::uint16_t>(from + 2 * i);
      if ((bits & exponent) == exponent) {
        return i;
      }
    }
  }
  return n;
}

KVSINK_CLONES double dot(const double* a, const double* b, std::size_t n) { return dot_inline(a, b, n); }

KVSINK_CLONES double dot_half(const double* a, const std::uint16_t* b, std::size_t n) {
  double sum[kLanes] = {};
  std::size_t i = 0;
  for (; i + kLanes <= n; i += kLanes) {
    for (std::size_t j = 0; j < kLanes; ++j) {
      sum[j] += a[i + j] * half_value(b[i + j]);
    }
  }
  double rest = 0;
  for (; i < n; ++i) {
    rest += a[i] * half_value(b[i]);
  }
  return ((sum[0] + sum[4]) + (sum[2] + sum[6])) + ((sum[1] + sum[5]) + (sum[3] + sum[7])) + rest;
}

KVSINK_CLONES void add_scaled(double* y, double w, const double* x, std::size_t n) {
  for (std::size_t i = 0; i < n; ++i) {
    y[i] += w * x[i];
  }
}

KVSINK_CLONES void add_scaled_half(double* y, double w, const std::uint16_t* x, std::size_t n) {
  for (std::size_t i = 0; i < n; ++i) {
    y[i] += w * half_value(x[i]);
  }
}

KVSINK_CLONES void matrix_rows(DType dtype, const std::byte* w, std::size_t begin, std::size_t end, std::size_t cols,
                               const double* x, std::size_t batch, double* out, std::size_t stride, double* row) {
  const std::size_t bytes = cols * trace::dtype_bytes(dtype);
  for (std::size_t r = begin; r < end; ++r) {
    widen_inline(dtype, w + r * bytes, cols, row);
    for (std::size_t b = 0; b < batch; ++b) {
      out[b * stride + r] = dot_inline(row, x + b * cols, cols);
    }
  }
}

}  // namespace kvsink::capture

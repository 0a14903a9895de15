// SPDX-License-Identifier: Apache-2.0
// The merges that software usually does, in both common forms, written from their formulas: fp32, IEEE arithmetic,
// libm, denormals kept. Elements in 16-bit formats are widened, merged in fp32 and rounded once at the end, to nearest.
#pragma once

#include <algorithm>
#include <cmath>
#include <limits>
#include <span>
#include <vector>

#include "merge/merge_data.hpp"
#include "sw/golden/half.hpp"

namespace kvsink::test {

inline uint32_t from_fp32(MergeFormat fmt, float x) {
  switch (fmt) {
    case MergeFormat::kFp16:
      return golden::float_to_half(x);
    case MergeFormat::kBf16:
      return golden::float_to_bf16(x);
    default:
      return bits_of(x);
  }
}

inline float to_fp32(MergeFormat fmt, uint32_t bits) { return static_cast<float>(value_of(fmt, bits)); }

/// Natural log: state (O, lse), exp of the differences to the larger one, weights divided by their sum, one partial
/// after the other.
inline model::LseMerge::Result natural_chain(std::span<const Partial> p) {
  const MergeFormat fmt = p[0].fmt;
  std::vector<float> o(p[0].o.size());
  for (size_t i = 0; i < o.size(); ++i) o[i] = to_fp32(fmt, p[0].o[i]);
  float lse = float_of(p[0].lse);
  for (size_t k = 1; k < p.size(); ++k) {
    const float other = float_of(p[k].lse);
    const float top = std::max(lse, other);
    const float a = std::exp(lse - top);
    const float b = std::exp(other - top);
    const float sum = a + b;
    const float wa = a / sum;
    const float wb = b / sum;
    for (size_t i = 0; i < o.size(); ++i) o[i] = std::fma(o[i], wa, to_fp32(fmt, p[k].o[i]) * wb);
    lse = std::log(sum) + top;
  }
  model::LseMerge::Result r;
  r.lse = bits_of(lse);
  for (const float x : o) r.o.push_back(from_fp32(fmt, x));
  return r;
}

/// Base 2: state (O unnormalised, maximum, sum), exp2 of the differences, one division at the end.
inline model::LseMerge::Result base2_stream(std::span<const Partial> p) {
  const MergeFormat fmt = p[0].fmt;
  std::vector<float> o(p[0].o.size(), 0.0F);
  float top = -std::numeric_limits<float>::infinity();
  float sum = 0;
  for (const auto& part : p) {
    const float lse = float_of(part.lse);
    const float next = std::max(top, lse);
    const float a = std::exp2(top - next);
    const float b = std::exp2(lse - next);
    sum = std::fma(sum, a, b);
    for (size_t i = 0; i < o.size(); ++i) o[i] = std::fma(o[i], a, to_fp32(fmt, part.o[i]) * b);
    top = next;
  }
  model::LseMerge::Result r;
  r.lse = bits_of(top + std::log2(sum));
  for (const float x : o) r.o.push_back(from_fp32(fmt, x / sum));
  return r;
}

}  // namespace kvsink::test

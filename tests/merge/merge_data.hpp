// SPDX-License-Identifier: Apache-2.0
// Random partials by class of data, for the tests of lse_merge.
#pragma once

#include <array>
#include <bit>
#include <cmath>
#include <cstdint>
#include <limits>
#include <numbers>
#include <vector>

#include "sw/models/lse_merge_model.hpp"
#include "tb/common/rng.hpp"

namespace kvsink::test {

using Partial = model::LseMerge::Partial;
using model::MergeFormat;
using tb::Rng;

inline uint32_t bits_of(float x) { return std::bit_cast<uint32_t>(x); }
inline float float_of(uint32_t bits) { return std::bit_cast<float>(bits); }

inline double uniform(Rng& rng) { return static_cast<double>(rng.next() >> 11) * 0x1p-53; }
inline double uniform(Rng& rng, double low, double high) { return low + (high - low) * uniform(rng); }
inline double normal(Rng& rng) {
  return std::sqrt(-2 * std::log(1 - uniform(rng))) * std::cos(2 * std::numbers::pi * uniform(rng));
}

/// fp32 to the format, truncated (any representable value does), finite stays finite.
inline uint32_t to_format(MergeFormat fmt, float x) {
  const uint32_t bits = bits_of(x);
  if (fmt == MergeFormat::kFp32) return bits;
  if (fmt == MergeFormat::kBf16) return bits >> 16;
  const uint32_t sign = (bits >> 16) & 0x8000;
  const double a = std::fabs(static_cast<double>(x));
  if (a >= 65504) return sign | 0x7bff;
  int e = 0;
  std::frexp(a, &e);
  e = std::max(e, -13);
  const auto m = static_cast<uint32_t>(std::ldexp(a, 11 - e));  // units of 2^(e-11)
  return sign | ((static_cast<uint32_t>(e + 13) << 10) + m);
}

/// Value of a finite bit pattern, exactly.
inline double value_of(MergeFormat fmt, uint32_t bits) {
  if (fmt == MergeFormat::kFp32) return static_cast<double>(float_of(bits));
  if (fmt == MergeFormat::kBf16) return static_cast<double>(float_of(bits << 16));
  const int e = static_cast<int>((bits >> 10) & 31);
  const double m = (bits & 1023) + (e != 0 ? 1024 : 0);
  return std::ldexp((bits & 0x8000) != 0 ? -m : m, std::max(e, 1) - 25);
}

/// The classes of ../shared measurements, and a few that are unkind.
enum class Data {
  kNormal,      // O N(0,1), lse 3 N(0,1)
  kSpread,      // lse -120 to 0
  kLarge,       // lse around +-1e4
  kRising,      // each lse above the last
  kCancel,      // weighted O in pairs x, -x(1+tiny)
  kMagnitudes,  // |O| 1e-30 to 1e30, lse within +-120
  kDenormal,    // O denormal
  kTop,         // |O| near the largest float
  kEqual,       // equal lse
  kHuge,        // lse any float
  kSmallLse,    // |lse| below 1, down to denormals
  kCount
};
inline constexpr std::array<const char*, static_cast<size_t>(Data::kCount)> kDataNames{"normal O, lse 3 N(0,1)",
                                                                                       "lse -120 to 0",
                                                                                       "lse around +-1e4",
                                                                                       "rising maximum",
                                                                                       "O_a near -O_b",
                                                                                       "magnitudes 1e-30 to 1e30",
                                                                                       "denormal O",
                                                                                       "near the largest float",
                                                                                       "equal lse",
                                                                                       "lse any float",
                                                                                       "small lse"};

inline std::vector<Partial> make_partials(Rng& rng, Data data, unsigned partials, unsigned elements, MergeFormat fmt,
                                          bool base2) {
  std::vector<Partial> out(partials);
  const double sign = rng.coin() ? 1 : -1;
  double rising = uniform(rng, -1000, 0);
  const double step = uniform(rng, 0, rng.coin() ? 3 : 300);
  for (unsigned p = 0; p < partials; ++p) {
    Partial& part = out[p];
    part.base2 = base2;
    part.fmt = fmt;
    part.is_sink = rng.coin();
    double lse = 3 * normal(rng);
    switch (data) {
      case Data::kSpread:
        lse = -uniform(rng, 0, 120);
        break;
      case Data::kLarge:
        lse = sign * 1e4 + 3 * normal(rng);
        break;
      case Data::kRising:
        lse = rising += step * uniform(rng);
        break;
      case Data::kMagnitudes:
        lse = uniform(rng, -120, 120);
        break;
      case Data::kEqual:
        lse = sign;
        break;
      case Data::kHuge: {
        uint32_t bits = static_cast<uint32_t>(rng.next());
        if ((bits & 0x7f800000) == 0x7f800000) bits ^= 0x40000000;
        lse = static_cast<double>(float_of(bits));
        break;
      }
      case Data::kSmallLse:
        lse = std::ldexp(normal(rng), -static_cast<int>(rng.below(rng.coin() ? 40 : 150)));
        break;
      default:
        break;
    }
    if (data == Data::kCancel && p % 2 == 1 && rng.coin()) lse = static_cast<double>(float_of(out[p - 1].lse));
    part.lse = bits_of(static_cast<float>(lse));
    part.o.resize(elements);
    for (unsigned i = 0; i < elements; ++i) {
      double x = normal(rng);
      switch (data) {
        case Data::kCancel:
          if (p % 2 == 1) {  // equal weights, or the lighter one with the larger O
            const double above =
                static_cast<double>(float_of(out[p - 1].lse)) - static_cast<double>(float_of(part.lse));
            x = -value_of(fmt, out[p - 1].o[i]) * (base2 ? std::exp2(above) : std::exp(above)) *
                (1 + std::ldexp(normal(rng), -static_cast<int>(rng.below(30))));
          }
          break;
        case Data::kMagnitudes:
          x = std::copysign(std::pow(10.0, uniform(rng, -30, 30)), x);
          break;
        case Data::kDenormal:
          x *= fmt == MergeFormat::kFp16 ? 0x1p-16 : 0x1p-128;
          break;
        case Data::kTop:
          x = std::copysign(uniform(rng, 0.9, 1) * (fmt == MergeFormat::kFp16 ? 65504.0 : 3.4e38), x);
          break;
        default:
          break;
      }
      part.o[i] = to_format(fmt, static_cast<float>(x));
    }
  }
  return out;
}

/// An element that is often special: any bit pattern, infinities, NaN, zeros, denormals, the ends of the range.
inline uint32_t rough_element(Rng& rng, MergeFormat fmt) {
  if (fmt == MergeFormat::kFp32) {
    static constexpr std::array<uint32_t, 12> kSpecial{0,          0x80000000, 1,          0x80000001,
                                                       0x007fffff, 0x00800000, 0x7f7fffff, 0xff7fffff,
                                                       0x3f800000, 0xbf800000, 0x7f800000, 0x7fc00000};
    return rng.percent(30) ? kSpecial[rng.below(rng.percent(10) ? 12 : 10)]
                           : static_cast<uint32_t>(rng.next()) & (rng.percent(50) ? 0xbfffffffU : ~0U);
  }
  uint32_t bits = static_cast<uint32_t>(rng.next()) & 0xffff;
  if (rng.percent(90)) bits &= 0xbfff;
  return bits | (static_cast<uint32_t>(rng.next()) << 16);  // the upper half is not looked at
}

/// Header values that are often special.
inline uint32_t rough_lse(Rng& rng) {
  switch (rng.below(8)) {
    case 0:
      return 0xff800000;
    case 1:
      return rng.percent(20) ? 0x7f800000U : rng.percent(20) ? 0x7fc00001U : 0x80000000U;
    case 2:
      return static_cast<uint32_t>(rng.next()) & 0xbfffffff;
    case 3:
      return bits_of(static_cast<float>(uniform(rng, -700, 700)));
    case 4:
      return bits_of(static_cast<float>(rng.below(5)));
    default:
      return bits_of(static_cast<float>(3 * normal(rng)));
  }
}

}  // namespace kvsink::test

// SPDX-License-Identifier: Apache-2.0
#include "sw/models/lse_merge_model.hpp"

#include <algorithm>
#include <bit>
#include <cassert>

#include "sw/models/lse_merge_tables.hpp"

namespace kvsink::model {

namespace {

__extension__ using Int128 = __int128;
__extension__ using Uint128 = unsigned __int128;

constexpr uint32_t kInfinity32 = 0x7f800000;
constexpr uint32_t kQuietNan32 = 0x7fc00000;
constexpr int kSumBits = 40;

/// Right shift that ends at 0 in place of undefined behaviour.
constexpr uint64_t shift_right(uint64_t value, int by) { return by < 64 ? value >> by : 0; }

/// c0 +- c1*u +- c2*u^2 with 33 fraction bits. u has `u_bits` bits and is a fraction of 2^(index_bits + u_bits).
uint64_t quadratic(const merge_tables::Quadratic& c, uint32_t u, int u_bits, int index_bits, int sign1, int sign2) {
  const uint64_t top = u >> (u_bits - 19);
  const uint64_t square = (top * top) >> 18;  // 20 bits, 2 * index_bits + 20 of fraction
  const uint64_t p1 = (c.c1 * uint64_t{u}) >> (26 + index_bits + u_bits - 33);
  const uint64_t p2 = (c.c2 * square) >> (18 + 2 * index_bits + 20 - 33);
  uint64_t sum = c.c0;
  sum = sign1 > 0 ? sum + p1 : sum - p1;
  return sign2 > 0 ? sum + p2 : sum - p2;
}

/// An lse: fixed point with 32 fraction bits below 2^33. Beyond, two different ones are 512 apart at least, farther
/// than any weight reaches, and only order and equality matter.
struct Lse {
  uint32_t bits;
  bool big;      // |lse| >= 2^33
  Int128 fixed;  // cut towards zero; 0 when big
};

Lse to_fixed(uint32_t bits) {
  const int exponent = std::max<int>((bits >> 23) & 0xff, 1);
  const uint32_t significand = (bits & 0x7fffff) | (((bits >> 23) & 0xff) != 0 ? 0x800000 : 0);
  if (exponent >= 127 + 33) return {bits, true, 0};
  const int up = exponent - 150 + 32;  // significand * 2^(exponent - 150) in units of 2^-32
  const auto magnitude =
      up >= 0 ? static_cast<Int128>(significand) << up : static_cast<Int128>(shift_right(significand, -up));
  return {bits, false, (bits >> 31) != 0 ? -magnitude : magnitude};
}

/// Orders finite floats as integers (both zeros differ, which no caller sees: zeros are not big).
int64_t order_key(uint32_t bits) {
  const auto magnitude = static_cast<int64_t>(bits & 0x7fffffff);
  return (bits >> 31) != 0 ? -magnitude : magnitude;
}

/// significand * 2^(exponent - 39), significand 0 or in [2^39, 2^40).
struct Sum {
  uint64_t significand = 0;
  int exponent = 0;
};

Sum add(Sum sum, uint32_t weight, int k) {  // + weight * 2^(k - 28)
  const uint64_t w = uint64_t{weight} << (kSumBits - 29);
  if (sum.significand == 0) return {w, k};
  uint64_t total = 0;
  int exponent = 0;
  if (sum.exponent >= k) {
    total = sum.significand + shift_right(w, sum.exponent - k);
    exponent = sum.exponent;
  } else {
    total = shift_right(sum.significand, k - sum.exponent) + w;
    exponent = k;
  }
  if ((total >> kSumBits) != 0) return {total >> 1, exponent + 1};
  return {total, exponent};
}

/// Accumulator of one element: (-1)^negative * significand * 2^frame, normalised to `bits` bits or 0.
struct Accumulator {
  bool negative = false;
  uint64_t significand = 0;
  int frame = 0;
};

Accumulator add(const Accumulator& acc, bool negative, uint64_t product, int frame, int bits) {
  Accumulator r;
  int64_t total = 0;
  if (product == 0) {
    // Nothing is added; only the sign of an exact zero follows IEEE: -0 stays when all are -0.
    if (acc.significand != 0) return acc;
    return {acc.negative && negative, 0, 0};
  }
  if (acc.significand == 0) {
    total = static_cast<int64_t>(product);
    r.negative = negative;
    r.frame = frame;
  } else {
    const int shift = acc.frame - frame;
    const uint64_t a = shift >= 0 ? acc.significand : shift_right(acc.significand, -shift);
    const uint64_t x = shift >= 0 ? shift_right(product, shift) : product;
    r.frame = std::max(acc.frame, frame);
    total = acc.negative == negative ? static_cast<int64_t>(a + x) : static_cast<int64_t>(a) - static_cast<int64_t>(x);
    if (total == 0) return {};
    r.negative = acc.negative != (total < 0);
    total = total < 0 ? -total : total;
  }
  const int width = std::bit_width(static_cast<uint64_t>(total));
  r.significand = static_cast<uint64_t>(total);
  r.significand = width > bits ? r.significand >> (width - bits) : r.significand << (bits - width);
  r.frame += width - bits;
  return r;
}

/// fixed * 2^-33 as fp32, nearest even.
uint32_t fixed_to_fp32(Int128 fixed) {
  if (fixed == 0) return 0;
  const bool negative = fixed < 0;
  Uint128 m = static_cast<Uint128>(negative ? -fixed : fixed);
  int top = 0;
  for (Uint128 rest = m; rest > 1; rest >>= 1) ++top;
  // Put the leading one at bit 70, so that 24 bits stay above bit 47.
  m <<= 70 - top;
  const auto kept = static_cast<uint32_t>(m >> 47);
  const Uint128 rest = m & ((Uint128{1} << 47) - 1);
  const Uint128 half = Uint128{1} << 46;
  const uint32_t up = (rest > half || (rest == half && (kept & 1) != 0)) ? 1 : 0;
  const auto biased = static_cast<uint32_t>(top - 33 + 127);
  return (negative ? 0x80000000U : 0U) | (((biased - 1) << 23) + kept + up);
}

uint32_t quiet_nan(MergeFormat fmt) {
  return fmt == MergeFormat::kFp16 ? 0x7e00U : fmt == MergeFormat::kBf16 ? 0x7fc0U : kQuietNan32;
}

uint32_t infinity(MergeFormat fmt, bool negative) {
  switch (fmt) {
    case MergeFormat::kFp16:
      return negative ? 0xfc00U : 0x7c00U;
    case MergeFormat::kBf16:
      return negative ? 0xff80U : 0x7f80U;
    default:
      return negative ? 0xff800000U : kInfinity32;
  }
}

}  // namespace

namespace merge_detail {

uint32_t exp2_fraction(uint32_t f) {
  const uint64_t sum = quadratic(merge_tables::kExp[f >> 23], f & 0x7fffff, 23, 7, 1, 1);
  return static_cast<uint32_t>(sum >> 5);  // cut: a common factor of all weights cancels
}

uint32_t reciprocal(uint32_t m) {
  const uint64_t sum = quadratic(merge_tables::kRec[m >> 24], m & 0xffffff, 24, 8, -1, 1);
  return static_cast<uint32_t>((sum + 8) >> 4);
}

uint64_t logarithm(uint32_t m, bool base2) {
  const auto& table = base2 ? merge_tables::kLog2 : merge_tables::kLn;
  return quadratic(table[m >> 25], m & 0x1ffffff, 25, 7, 1, -1);
}

Element unpack(MergeFormat fmt, uint32_t bits) {
  const bool fp16 = fmt == MergeFormat::kFp16;
  if (fmt == MergeFormat::kBf16) bits <<= 16;
  const int exponent_bits = fp16 ? 5 : 8;
  const int fraction_bits = fp16 ? 10 : 23;
  const uint32_t fraction = bits & ((1U << fraction_bits) - 1);
  const int exponent = static_cast<int>(bits >> fraction_bits) & ((1 << exponent_bits) - 1);
  const bool negative = ((bits >> (exponent_bits + fraction_bits)) & 1) != 0;
  if (exponent == (1 << exponent_bits) - 1) {
    return {fraction != 0 ? Element::Kind::kNaN : Element::Kind::kInfinity, negative, 0, 0};
  }
  const uint32_t significand = fraction | (exponent != 0 ? 1U << fraction_bits : 0);
  // fp16 with exponent e is significand * 2^(e - 25): the same as (significand << 13) * 2^(e + 112 - 150).
  return {Element::Kind::kFinite, negative, significand << (23 - fraction_bits),
          std::max(exponent, 1) + (fp16 ? 112 : 0)};
}

uint32_t round_to(MergeFormat fmt, bool negative, uint64_t product, int exponent, bool sticky) {
  const int precision = fmt == MergeFormat::kFp16 ? 11 : fmt == MergeFormat::kBf16 ? 8 : 24;
  const int e = fmt == MergeFormat::kFp16 ? exponent - 112 : exponent;  // biased exponent in the format
  const uint32_t sign = negative ? (fmt == MergeFormat::kFp32 ? 0x80000000U : 0x8000U) : 0U;
  if (product == 0) return sign;
  const int shift = std::min(59 - precision + (e < 1 ? 1 - e : 0), 60);
  const uint64_t kept = product >> shift;
  const uint64_t rest = product & ((uint64_t{1} << shift) - 1);
  const uint64_t half = uint64_t{1} << (shift - 1);
  const bool up = rest > half || (rest == half && (sticky || (kept & 1) != 0));
  const uint64_t magnitude = (static_cast<uint64_t>(e < 1 ? 0 : e - 1) << (precision - 1)) + kept + (up ? 1 : 0);
  return sign | static_cast<uint32_t>(std::min<uint64_t>(magnitude, infinity(fmt, false)));
}

}  // namespace merge_detail

LseMerge::Result LseMerge::merge(std::span<const Partial> partials) const {
  assert(!partials.empty() && partials.size() <= kMaxPartials);
  const bool base2 = partials.front().base2;
  const MergeFormat fmt = partials.front().fmt;
  const size_t elements = partials.front().o.size();
  const int gap = base2 ? 320 : 224;  // a partial so far below the maximum weighs less than 2^-320
  const int cut = 52 - accumulator_bits_;
  using Kind = merge_detail::Element::Kind;

  Result result;
  std::vector<Accumulator> acc(elements);
  std::vector<uint8_t> specials(elements, 0);  // bit 0: +inf seen, 1: -inf, 2: NaN
  bool any = false;                            // a partial counted
  bool nan_lse = false;
  Lse reference{};
  Lse greatest{};
  Sum sum;
  Sum sink;

  for (const Partial& p : partials) {
    result.mixed |= p.base2 != base2 || p.fmt != fmt;
    const uint32_t magnitude = p.lse & 0x7fffffff;
    if (magnitude > kInfinity32) nan_lse = true;
    if (magnitude >= kInfinity32) {  // empty (or NaN): its O is not looked at
      continue;
    }

    // Where the partial stands against the greatest so far.
    const Lse lse = to_fixed(p.lse);
    bool restart = !any;  // what came before (if anything) weighs nothing beside it
    bool ignore = false;
    if (any && (lse.big || greatest.big)) {
      restart = order_key(lse.bits) > order_key(greatest.bits);
      ignore = order_key(lse.bits) < order_key(greatest.bits);
    } else if (any) {
      const auto above = static_cast<int64_t>((lse.fixed - greatest.fixed) >> 32);
      restart = above >= gap;
      ignore = above < -gap;
      if (above >= 0) greatest = lse;
    }
    if (restart) {
      reference = greatest = lse;
      sum = {};
      sink = {};
    }

    // weight * 2^k = 2^((lse - reference) * log2 e)
    uint32_t weight = 0;
    int k = 0;
    if (!ignore) {
      const Int128 d = (lse.big || reference.big) ? 0 : lse.fixed - reference.fixed;
      const auto t = static_cast<int64_t>(
          base2 ? (d + 2) >> 2 : (d * static_cast<Int128>(merge_tables::kLog2E) + (Int128{1} << 41)) >> 42);
      weight = merge_detail::exp2_fraction(static_cast<uint32_t>(t & 0x3fffffff));
      k = static_cast<int>(t >> 30);
      sum = add(sum, weight, k);
      if (p.is_sink) sink = add(sink, weight, k);
    }

    for (size_t i = 0; i < elements; ++i) {
      const auto e = merge_detail::unpack(fmt, p.o[i]);
      if (e.kind != Kind::kFinite) {
        specials[i] |= e.kind == Kind::kNaN ? 4 : e.negative ? 2 : 1;
        result.nan = true;
      }
      if (restart) {
        const Accumulator empty{true, 0, 0};  // -0 is what leaves the sign of a first zero as it is
        acc[i] = add(empty, e.negative, (uint64_t{e.significand} * weight) >> cut, e.exponent + k, accumulator_bits_);
      } else if (!ignore) {
        acc[i] = add(acc[i], e.negative, (uint64_t{e.significand} * weight) >> cut, e.exponent + k, accumulator_bits_);
      }
    }
    any = true;
  }

  result.nan |= nan_lse;
  result.weighted = any && !nan_lse;
  result.o.resize(elements);
  if (nan_lse) {
    result.lse = kQuietNan32;
    std::fill(result.o.begin(), result.o.end(), quiet_nan(fmt));
    return result;
  }
  if (!any) {
    result.lse = kInfinity32 | 0x80000000;
    return result;  // O is all zeros
  }

  // sum = (1 + m / 2^32) * 2^exponent;  r * 2^(half - 29) = 1 / (1 + m / 2^32), r below 2^29
  const auto m = static_cast<uint32_t>(sum.significand >> 7);
  uint32_t r = merge_detail::reciprocal(m);
  int half = 0;
  if (r == 1U << 29) {
    r >>= 1;
    half = 1;
  }

  // lse = reference + exponent * ln 2 + log m
  if (reference.big || (sum.exponent == 0 && sum.significand == uint64_t{1} << 39)) {
    result.lse = reference.bits;
  } else {
    const Int128 e = sum.exponent;
    const auto exponent_part = base2 ? e * (Int128{1} << 33) : (e * static_cast<Int128>(merge_tables::kLn2)) >> 11;
    result.lse = fixed_to_fp32(reference.fixed * 2 + exponent_part + merge_detail::logarithm(m, base2));
  }

  // sink_mass = sink / sum
  if (sink.significand == sum.significand && sink.exponent == sum.exponent) {
    result.sink_mass = 0x80000000;
  } else if (sink.significand != 0) {
    const uint64_t product = (sink.significand >> 10) * r;  // units of 2^-58
    const int down = 27 + sum.exponent - sink.exponent - half;
    const uint64_t mass = (shift_right(product, down - 1) + 1) >> 1;
    result.sink_mass = static_cast<uint32_t>(std::min<uint64_t>(mass, 0x80000000));
  }

  for (size_t i = 0; i < elements; ++i) {
    if ((specials[i] & 4) != 0 || (specials[i] & 3) == 3) {
      result.o[i] = quiet_nan(fmt);
    } else if (specials[i] != 0) {
      result.o[i] = infinity(fmt, specials[i] == 2);
    } else {
      const uint64_t significand = accumulator_bits_ >= 30 ? acc[i].significand >> (accumulator_bits_ - 30)
                                                           : acc[i].significand << (30 - accumulator_bits_);
      const bool sticky = accumulator_bits_ > 30 && (acc[i].significand & ((1U << (accumulator_bits_ - 30)) - 1)) != 0;
      uint64_t product = significand * r;  // in [2^57, 2^59)
      int exponent = acc[i].frame - sum.exponent + half;
      if (product != 0 && (product >> 58) == 0) {
        product <<= 1;
        --exponent;
      }
      result.o[i] = merge_detail::round_to(fmt, acc[i].negative, product, exponent, sticky);
    }
  }
  return result;
}

}  // namespace kvsink::model

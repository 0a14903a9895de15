// SPDX-License-Identifier: Apache-2.0
#include "sw/golden/half.hpp"

#include <bit>
#include <cmath>

namespace kvsink::golden {
namespace {

constexpr std::uint32_t kSign = 0x8000'0000U;
constexpr std::uint32_t kInf32 = 0x7f80'0000U;

/// `value` / 2^shift, to the nearest whole number, ties to even. shift is 1..31.
std::uint32_t shift_right_nearest_even(std::uint32_t value, unsigned shift) {
  const std::uint32_t kept = value >> shift;
  const std::uint32_t rest = value & ((1U << shift) - 1U);
  const std::uint32_t half = 1U << (shift - 1);
  return kept + ((rest > half || (rest == half && (kept & 1U) != 0)) ? 1U : 0U);
}

}  // namespace

float half_to_float(std::uint16_t bits) {
  const std::uint32_t sign = (bits & 0x8000U) << 16;
  const std::uint32_t exponent = (bits >> 10) & 0x1fU;
  const std::uint32_t fraction = bits & 0x3ffU;
  if (exponent == 0) {  // zero and denormals: fraction * 2^-24 is exact in fp32
    const float magnitude = static_cast<float>(fraction) * 0x1p-24F;
    return sign != 0 ? -magnitude : magnitude;
  }
  const std::uint32_t wide = exponent == 0x1f ? 0xffU : exponent + (127 - 15);
  return std::bit_cast<float>(sign | (wide << 23) | (fraction << 13));
}

std::uint16_t float_to_half(float value) {
  const auto bits = std::bit_cast<std::uint32_t>(value);
  const auto sign = static_cast<std::uint16_t>((bits & kSign) >> 16);
  const std::uint32_t magnitude = bits & ~kSign;
  if (magnitude > kInf32) {
    return static_cast<std::uint16_t>(sign | 0x7e00U | ((magnitude >> 13) & 0x1ffU));
  }
  if (magnitude >= 0x4780'0000U) {  // 2^16 and above
    return static_cast<std::uint16_t>(sign | 0x7c00U);
  }
  const std::uint32_t exponent = magnitude >> 23;
  if (exponent >= 127 - 14) {
    // A carry out of the fraction moves into the exponent, up to infinity: as it should.
    const std::uint32_t rebased = magnitude - ((127U - 15U) << 23);
    return static_cast<std::uint16_t>(sign | shift_right_nearest_even(rebased, 13));
  }
  const std::uint32_t shift = 126U - exponent;  // to units of 2^-24
  if (shift > 24) {                             // below half of the least denormal
    return sign;
  }
  const std::uint32_t significand = (magnitude & 0x7f'ffffU) | 0x80'0000U;
  return static_cast<std::uint16_t>(sign | shift_right_nearest_even(significand, shift));
}

std::uint16_t double_to_half(double value) {
  const auto nearest = static_cast<float>(value);
  if (std::isnan(value) || double{nearest} == value) {
    return float_to_half(nearest);
  }
  // To odd: towards zero, with the last bit set for what was cut, so that the second rounding sees on which side of a
  // tie the value lies.
  auto bits = std::bit_cast<std::uint32_t>(nearest);
  if (std::abs(double{nearest}) > std::abs(value)) {
    --bits;
  }
  return float_to_half(std::bit_cast<float>(bits | 1U));
}

float bf16_to_float(std::uint16_t bits) { return std::bit_cast<float>(static_cast<std::uint32_t>(bits) << 16); }

std::uint16_t float_to_bf16(float value) {
  const auto bits = std::bit_cast<std::uint32_t>(value);
  if ((bits & ~kSign) > kInf32) {
    return static_cast<std::uint16_t>((bits >> 16) | 0x40U);
  }
  return static_cast<std::uint16_t>(shift_right_nearest_even(bits & ~kSign, 16) | ((bits & kSign) >> 16));
}

}  // namespace kvsink::golden

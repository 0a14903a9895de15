// SPDX-License-Identifier: Apache-2.0
// Conversions between fp16, bf16 and fp32 are exact; expected values come from the formats' definitions.
#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>
#include <random>

#include "support/catch.hpp"
#include "support/seed.hpp"
#include "sw/golden/half.hpp"
#include "tests/trace/trace_file.hpp"

namespace {

using namespace kvsink::golden;
using kvsink::test::half_value;

/// The fp16 nearest to a number, ties to the even one: found by search among all of one sign, not by rounding bits.
std::uint16_t nearest_half(double x) {
  const std::uint16_t sign = std::signbit(x) ? 0x8000 : 0;
  const double magnitude = std::abs(x);
  if (magnitude >= 65520) {  // half a step above the largest: rounds to infinity
    return sign | 0x7c00U;
  }
  std::uint16_t low = 0;
  std::uint16_t high = 0x7bff;
  while (low < high) {  // the largest fp16 that is not above
    const auto middle = static_cast<std::uint16_t>((low + high + 1) / 2);
    if (half_value(middle) <= magnitude) {
      low = middle;
    } else {
      high = static_cast<std::uint16_t>(middle - 1);
    }
  }
  const double above = low == 0x7bff ? 65536 : half_value(static_cast<std::uint16_t>(low + 1));
  const double down = magnitude - half_value(low);
  const double up = above - magnitude;
  const bool take_up = up < down || (up == down && low % 2 == 1);
  return static_cast<std::uint16_t>(sign | (low + (take_up ? 1 : 0)));
}

}  // namespace

TEST_CASE("each of the 65,536 fp16 patterns widens to its value and comes back", "[golden]") {
  for (std::uint32_t i = 0; i < 65536; ++i) {
    const auto bits = static_cast<std::uint16_t>(i);
    const float wide = half_to_float(bits);
    const double value = half_value(bits);
    if (std::isnan(value)) {
      REQUIRE(std::isnan(wide));
      REQUIRE((float_to_half(wide) | 0x200) == (bits | 0x200));  // sign and payload stay, the NaN is quiet
      REQUIRE_FALSE(half_is_finite(bits));
    } else {
      REQUIRE(static_cast<double>(wide) == value);
      REQUIRE(std::signbit(wide) == std::signbit(value));
      REQUIRE(float_to_half(wide) == bits);
      REQUIRE(half_is_finite(bits) == std::isfinite(value));
    }
  }
}

TEST_CASE("fp32 narrows to the nearest fp16, ties to even, around every boundary", "[golden]") {
  for (std::uint32_t i = 0; i < 0x7c00; ++i) {
    const double low = half_value(static_cast<std::uint16_t>(i));
    const double high = i == 0x7bff ? 65536 : half_value(static_cast<std::uint16_t>(i + 1));
    const auto middle = static_cast<float>((low + high) / 2);
    for (const float x : {middle, std::nextafter(middle, 0.0F), std::nextafter(middle, 1e9F)}) {
      REQUIRE(float_to_half(x) == nearest_half(x));
      REQUIRE(float_to_half(-x) == nearest_half(-x));
    }
  }
}

TEST_CASE("double narrows to fp16 with one rounding, also where fp32 in between would round twice", "[golden]") {
  for (std::uint32_t i = 0; i < 0x7c00; ++i) {
    const double low = half_value(static_cast<std::uint16_t>(i));
    const double high = i == 0x7bff ? 65536 : half_value(static_cast<std::uint16_t>(i + 1));
    const double middle = (low + high) / 2;
    // A double next to the tie is the tie itself in fp32.
    for (const double x : {low, middle, std::nextafter(middle, 0.0), std::nextafter(middle, 1e9)}) {
      REQUIRE(double_to_half(x) == nearest_half(x));
      REQUIRE(double_to_half(-x) == nearest_half(-x));
    }
  }
  for (const double x : {1e-300, 1e300, 65519.999999999, 65520.0, 0x1p-25, 0x1.0000000000001p-25}) {
    REQUIRE(double_to_half(x) == nearest_half(x));
    REQUIRE(double_to_half(-x) == nearest_half(-x));
  }
  REQUIRE(std::isnan(half_to_float(double_to_half(std::numeric_limits<double>::quiet_NaN()))));
}

TEST_CASE("fp32 of any pattern narrows to the nearest fp16", "[golden]") {
  std::mt19937_64 random(kvsink::test_seed());
  for (int i = 0; i < 200'000; ++i) {
    // Exponents around and beyond the range of fp16.
    const auto bits = static_cast<std::uint32_t>((random() & 0x807f'ffffU) | ((90 + random() % 60) << 23));
    const float x = std::bit_cast<float>(bits);
    REQUIRE(float_to_half(x) == nearest_half(x));
  }
  CHECK(float_to_half(std::numeric_limits<float>::max()) == 0x7c00);
  CHECK(float_to_half(-std::numeric_limits<float>::infinity()) == 0xfc00);
  CHECK(float_to_half(std::numeric_limits<float>::denorm_min()) == 0);
  CHECK(float_to_half(-0.0F) == 0x8000);
}

TEST_CASE("bf16 is the upper half of fp32, narrowed to nearest even", "[golden]") {
  for (std::uint32_t i = 0; i < 65536; ++i) {
    const auto bits = static_cast<std::uint16_t>(i);
    const float wide = bf16_to_float(bits);
    REQUIRE(std::bit_cast<std::uint32_t>(wide) == i << 16);
    if (std::isnan(wide)) {
      REQUIRE(std::isnan(bf16_to_float(float_to_bf16(wide))));
      continue;
    }
    REQUIRE(float_to_bf16(wide) == bits);
    if ((i & 0x7fff) < 0x7f80) {  // finite: the tie above it goes to the even one, its neighbours to the nearer
      const std::uint32_t tie = (i << 16) | 0x8000;
      REQUIRE(float_to_bf16(std::bit_cast<float>(tie)) == static_cast<std::uint16_t>(i + (i & 1)));
      REQUIRE(float_to_bf16(std::bit_cast<float>(tie - 1)) == bits);
      REQUIRE(float_to_bf16(std::bit_cast<float>(tie + 1)) == static_cast<std::uint16_t>(i + 1));
    }
  }
  // A NaN whose payload lies in the lower half only must not become an infinity.
  CHECK(std::isnan(bf16_to_float(float_to_bf16(std::bit_cast<float>(0x7f80'0001U)))));
}

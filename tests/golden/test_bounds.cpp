// SPDX-License-Identifier: Apache-2.0
#include <array>
#include <bit>
#include <cmath>
#include <limits>
#include <random>

#include "support/catch.hpp"
#include "support/seed.hpp"
#include "sw/golden/bounds.hpp"

namespace {
using namespace kvsink::golden;
constexpr double kInf = std::numeric_limits<double>::infinity();
constexpr double kNan = std::numeric_limits<double>::quiet_NaN();
}  // namespace

TEST_CASE("an ulp is the distance to the next fp32 away from zero", "[golden]") {
  std::mt19937_64 random(kvsink::test_seed());
  for (int i = 0; i < 100'000; ++i) {
    const auto bits = static_cast<std::uint32_t>(random()) % 0x7f7f'ffffU;  // finite, below the largest
    const float x = std::bit_cast<float>(bits);
    const double next = std::nextafter(x, std::numeric_limits<float>::infinity());
    REQUIRE(ulp32(x) == next - static_cast<double>(x));
    REQUIRE(ulp32(-x) == ulp32(x));
  }
  CHECK(ulp32(0) == 0x1p-149);
  CHECK(ulp32(1e-60) == 0x1p-149);
  CHECK(ulp32(1) == 0x1p-23);
  CHECK(ulp32(std::nextafter(1.0, 0.0)) == 0x1p-24);
  CHECK(ulp32(std::numeric_limits<float>::max()) == 0x1p104);
  CHECK(ulp32(0x1p128) == kInf);
  CHECK(ulp32(kNan) == kInf);
}

TEST_CASE("an error counts in ulp of its scale, and what is not a number never passes", "[golden]") {
  CHECK(error_ulp(1.0 + 0x1p-22, 1.0, 1.0) == 2);
  CHECK(error_ulp(1.0 + 0x1p-22, 1.0, 2.0) == 1);
  CHECK(error_ulp(0, 0, 0) == 0);
  CHECK(error_ulp(kNan, kNan, 1) == 0);
  CHECK(error_ulp(kNan, 1, 1) == kInf);
  CHECK(error_ulp(1, kNan, 1) == kInf);
  CHECK(error_ulp(-kInf, -kInf, 1) == 0);
  CHECK(error_ulp(kInf, -kInf, 1) == kInf);
  CHECK(error_ulp(kInf, 3, 1) == kInf);
}

TEST_CASE("the meter keeps the largest error and where it was", "[golden]") {
  const Merged exact{{1.0, -4.0}, 3.0, {1.0, 8.0}};
  ErrorMeter meter;
  meter.add_o(std::array{1.0F, -4.0F}, exact, 5);
  CHECK(meter.max_ulp() == 0);
  meter.add_o(std::array{1.0F, -4.0F + 0x1p-20F}, exact, 6);  // one ulp of 8, though two of 4
  CHECK(meter.max_ulp() == 1);
  CHECK(meter.max_abs() == 0x1p-20);
  CHECK(meter.where() == 6);
  meter.add_lse(3.0F + 0x1p-21F, 3.0, 7);
  CHECK(meter.max_ulp() == 2);
  CHECK(meter.where() == 7);
  meter.add_lse(0x1p-23F, 0.0, 8);  // of max(1, |lse|)
  CHECK(meter.max_ulp() == 2);
  meter.add_o(std::array{std::numeric_limits<float>::quiet_NaN(), 0.0F}, exact, 9);
  CHECK(meter.max_ulp() == kInf);
  CHECK(meter.max_abs() == kInf);
}

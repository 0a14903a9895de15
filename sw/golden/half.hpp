// SPDX-License-Identifier: Apache-2.0
// fp16 (IEEE 754 binary16) and bf16 from and to fp32, exact: widening loses nothing, narrowing rounds to nearest even,
// denormals included. NaN stays NaN (quiet, with the upper bits of its payload), infinity stays infinity.
#pragma once

#include <cstdint>

namespace kvsink::golden {

float half_to_float(std::uint16_t bits);
std::uint16_t float_to_half(float value);
/// From double with one rounding (by way of fp32 there would be two).
std::uint16_t double_to_half(double value);
float bf16_to_float(std::uint16_t bits);
std::uint16_t float_to_bf16(float value);

/// Whether the bits are a number: neither NaN nor infinity.
constexpr bool half_is_finite(std::uint16_t bits) { return (bits & 0x7c00U) != 0x7c00U; }

}  // namespace kvsink::golden

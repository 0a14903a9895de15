// SPDX-License-Identifier: Apache-2.0
#include "sw/golden/bounds.hpp"

#include <algorithm>
#include <cassert>
#include <cmath>
#include <limits>

namespace kvsink::golden {
namespace {
constexpr double kInf = std::numeric_limits<double>::infinity();
constexpr int kFractionBits = 23;
constexpr int kLeastExponent = -149;
}  // namespace

double ulp32(double x) {
  const double magnitude = std::abs(x);
  if (!(magnitude < 0x1p128)) {
    return kInf;
  }
  if (magnitude == 0) {
    return 0x1p-149;
  }
  return std::ldexp(1.0, std::max(std::ilogb(magnitude) - kFractionBits, kLeastExponent));
}

double error_ulp(double got, double exact, double scale) {
  if (got == exact || (std::isnan(got) && std::isnan(exact))) {
    return 0;
  }
  if (!std::isfinite(got) || !std::isfinite(exact)) {
    return kInf;
  }
  return std::abs(got - exact) / ulp32(scale);
}

void ErrorMeter::add(double got, double exact, double scale, std::size_t where) {
  const double ulp = error_ulp(got, exact, scale);
  if (ulp > max_ulp_) {
    max_ulp_ = ulp;
    where_ = where;
  }
  max_abs_ = std::max(max_abs_, ulp == 0 ? 0 : std::isfinite(ulp) ? std::abs(got - exact) : kInf);
}

void ErrorMeter::add_o(std::span<const float> got, const Merged& exact, std::size_t where) {
  assert(got.size() == exact.o.size());
  for (std::size_t e = 0; e < got.size(); ++e) {
    add(got[e], exact.o[e], exact.m[e], where);
  }
}

void ErrorMeter::add_lse(float got, double exact, std::size_t where) {
  add(got, exact, std::max(1.0, std::abs(exact)), where);
}

}  // namespace kvsink::golden

// SPDX-License-Identifier: Apache-2.0
// The merge in 400-bit arithmetic (MPFR), and the distance of a result from it.
#pragma once

#include <mpfr.h>

#include <algorithm>
#include <cmath>
#include <span>
#include <vector>

#include "merge/merge_data.hpp"

namespace kvsink::test {

/// An MPFR number of 400 bits.
class Real {
 public:
  Real() { mpfr_init2(value_, 400), mpfr_set_zero(value_, 1); }
  explicit Real(double x) : Real() { mpfr_set_d(value_, x, MPFR_RNDN); }
  Real(const Real& other) : Real() { mpfr_set(value_, other.value_, MPFR_RNDN); }
  Real& operator=(const Real& other) {
    mpfr_set(value_, other.value_, MPFR_RNDN);
    return *this;
  }
  ~Real() { mpfr_clear(value_); }
  mpfr_ptr get() { return value_; }
  [[nodiscard]] mpfr_srcptr get() const { return value_; }
  [[nodiscard]] double to_double() const { return mpfr_get_d(value_, MPFR_RNDN); }
  [[nodiscard]] bool zero() const { return mpfr_zero_p(value_) != 0; }
  /// e with 2^e <= |x| < 2^(e+1); x is not 0.
  [[nodiscard]] long exponent() const { return mpfr_get_exp(value_) - 1; }

 private:
  mpfr_t value_;
};

/// A unit in the last place at |x|: precision bits, and `least` as exponent of the smallest one.
inline long ulp_exponent(const Real& x, long precision, long least) {
  return x.zero() ? least : std::max(x.exponent() - precision + 1, least);
}

/// |a - b| in units of 2^exponent.
inline double distance(const Real& a, const Real& b, long exponent) {
  Real d;
  mpfr_sub(d.get(), a.get(), b.get(), MPFR_RNDN);
  mpfr_mul_2si(d.get(), d.get(), -exponent, MPFR_RNDN);
  return std::fabs(d.to_double());
}

struct Exact {
  Real lse;
  Real mass;
  std::vector<Real> o;
  std::vector<Real> m;  // sum of w |O|
};

/// Exact merge of finite data; empty partials are left out. At least one counts.
inline Exact exact_merge(std::span<const Partial> partials) {
  const bool base2 = partials.front().base2;
  const size_t elements = partials.front().o.size();
  Exact r;
  Real greatest;
  bool any = false;
  for (const auto& p : partials) {
    if ((p.lse & 0x7f800000) == 0x7f800000) continue;
    const Real x(static_cast<double>(float_of(p.lse)));
    if (!any || mpfr_greater_p(x.get(), greatest.get()) != 0) greatest = x;
    any = true;
  }
  std::vector<Real> weights(partials.size());
  Real sum;
  Real sink;
  for (size_t p = 0; p < partials.size(); ++p) {
    if ((partials[p].lse & 0x7f800000) == 0x7f800000) continue;
    Real d(static_cast<double>(float_of(partials[p].lse)));
    mpfr_sub(d.get(), d.get(), greatest.get(), MPFR_RNDN);
    if (base2)
      mpfr_exp2(weights[p].get(), d.get(), MPFR_RNDN);
    else
      mpfr_exp(weights[p].get(), d.get(), MPFR_RNDN);
    mpfr_add(sum.get(), sum.get(), weights[p].get(), MPFR_RNDN);
    if (partials[p].is_sink) mpfr_add(sink.get(), sink.get(), weights[p].get(), MPFR_RNDN);
  }
  mpfr_div(r.mass.get(), sink.get(), sum.get(), MPFR_RNDN);
  if (base2)
    mpfr_log2(r.lse.get(), sum.get(), MPFR_RNDN);
  else
    mpfr_log(r.lse.get(), sum.get(), MPFR_RNDN);
  mpfr_add(r.lse.get(), r.lse.get(), greatest.get(), MPFR_RNDN);
  r.o.resize(elements);
  r.m.resize(elements);
  Real term;
  for (size_t p = 0; p < partials.size(); ++p) {
    if (weights[p].zero()) continue;
    mpfr_div(weights[p].get(), weights[p].get(), sum.get(), MPFR_RNDN);
    for (size_t i = 0; i < elements; ++i) {
      mpfr_mul_d(term.get(), weights[p].get(), value_of(partials[p].fmt, partials[p].o[i]), MPFR_RNDN);
      mpfr_add(r.o[i].get(), r.o[i].get(), term.get(), MPFR_RNDN);
      mpfr_abs(term.get(), term.get(), MPFR_RNDN);
      mpfr_add(r.m[i].get(), r.m[i].get(), term.get(), MPFR_RNDN);
    }
  }
  return r;
}

/// Errors of a result, each in the unit of its bound: the bound is 1.
struct Errors {
  double o = 0;     // fp32: ulp(fp32) of M. 16 bits: error over (1 ulp of the format + 1 ulp(fp32) of M)
  double lse = 0;   // ulp(fp32) of max(1, |lse|)
  double mass = 0;  // 2^-27
};

inline double o_error(MergeFormat fmt, uint32_t bits, const Real& exact, const Real& m) {
  if ((fmt == MergeFormat::kFp32 && (bits & 0x7f800000) == 0x7f800000) ||
      (fmt == MergeFormat::kFp16 && (bits & 0x7c00) == 0x7c00) ||
      (fmt == MergeFormat::kBf16 && (bits & 0x7f80) == 0x7f80)) {
    return HUGE_VAL;  // finite data give a finite result
  }
  const Real got(value_of(fmt, bits));
  const long fine = ulp_exponent(m, 24, -149);
  if (fmt == MergeFormat::kFp32) return distance(got, exact, fine);
  const long coarse = fmt == MergeFormat::kFp16 ? ulp_exponent(exact, 11, -24) : ulp_exponent(exact, 8, -133);
  return distance(got, exact, fine) / (1 + std::ldexp(1.0, static_cast<int>(std::min(coarse - fine, 400L))));
}

inline double lse_error(uint32_t bits, const Real& exact) {
  const Real one(1);
  const Real& size = mpfr_cmpabs(exact.get(), one.get()) > 0 ? exact : one;
  return distance(Real(static_cast<double>(float_of(bits))), exact, ulp_exponent(size, 24, -149));
}

inline Errors errors_of(const model::LseMerge::Result& got, const Exact& exact, MergeFormat fmt) {
  Errors e;
  for (size_t i = 0; i < got.o.size(); ++i) e.o = std::max(e.o, o_error(fmt, got.o[i], exact.o[i], exact.m[i]));
  e.lse = lse_error(got.lse, exact.lse);
  e.mass = distance(Real(std::ldexp(got.sink_mass, -31)), exact.mass, -27);
  return e;
}

}  // namespace kvsink::test

// SPDX-License-Identifier: Apache-2.0
// The unit in which errors of the merge are told (design, section 7), and the largest of them.
#pragma once

#include <cstddef>
#include <span>

#include "sw/golden/attention.hpp"

namespace kvsink::golden {

/// Distance between the two fp32 numbers around |x|: 2^(e-23) for 2^e <= |x| < 2^(e+1), at least 2^-149, the distance
/// of denormals. Infinity for NaN, infinity and what is beyond the range of fp32.
double ulp32(double x);

/// |got - exact| in ulp32(scale). 0 when both are NaN or the same infinity; infinity when only one is, or one is NaN.
double error_ulp(double got, double exact, double scale);

/// The largest error seen, with where it was (a number that the caller gives), and the largest absolute one.
class ErrorMeter {
 public:
  /// O of one merge against the exact one: each element in ulp32 of m = sum w_p |O_p|.
  void add_o(std::span<const float> got, const Merged& exact, std::size_t where);
  /// lse of one merge against the exact one: in ulp32 of max(1, |lse|).
  void add_lse(float got, double exact, std::size_t where);

  double max_ulp() const { return max_ulp_; }
  double max_abs() const { return max_abs_; }
  std::size_t where() const { return where_; }

 private:
  void add(double got, double exact, double scale, std::size_t where);

  double max_ulp_ = 0;
  double max_abs_ = 0;
  std::size_t where_ = 0;
};

}  // namespace kvsink::golden

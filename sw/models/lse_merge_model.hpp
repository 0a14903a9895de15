// SPDX-License-Identifier: Apache-2.0
// Bit-exact model of the arithmetic of lse_merge: the same result, bit for bit, as the RTL on every input.
//
// For partials p with (O_p, lse_p):  lse = log sum exp(lse_p),  O = sum exp(lse_p - lse) * O_p.
// The state between partials is (O unnormalised, reference, sum): the reference is the lse of the first partial that
// counts, so every weight is 2^((lse_p - reference) * log2 e), and nothing that was summed is touched again.
// Where each width comes from, and the error bound they add up to: docs/theory/lse_merge.md.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace kvsink::model {

enum class MergeFormat : uint8_t { kFp32 = 0, kFp16 = 1, kBf16 = 2 };

class LseMerge {
 public:
  struct Partial {
    uint32_t lse = 0;    // fp32; -inf or +inf: empty
    bool base2 = false;  // lse = log2 sum 2^s in place of ln sum e^s
    MergeFormat fmt = MergeFormat::kFp32;
    bool is_sink = false;     // its weight counts as mass served by SRAM
    std::vector<uint32_t> o;  // bit patterns; 16-bit formats in the low half
  };

  struct Result {
    uint32_t lse = 0;
    std::vector<uint32_t> o;
    bool nan = false;        // a NaN, or an infinity in O, took part
    bool weighted = false;   // at least one partial counted and no lse was NaN: sink_mass means something
    bool mixed = false;      // the partials differ in base or format; those of the first one were used
    uint32_t sink_mass = 0;  // weight of the sink partials over the weight of all, UQ1.31
  };

  /// Most partials of one merge.
  static constexpr int kMaxPartials = 64;

  /// `accumulator_bits`: significand of the accumulators of O. The RTL has 40; other values (24 to 40) exist to show
  /// what the width is worth.
  explicit LseMerge(int accumulator_bits = 40) : accumulator_bits_(accumulator_bits) {}

  /// Merges 1 to 64 partials with the same number of elements; base and format are those of the first one.
  Result merge(std::span<const Partial> partials) const;

 private:
  int accumulator_bits_;
};

/// The pieces, for tests against exact arithmetic.
namespace merge_detail {

/// 2^(f / 2^30), f in [0, 2^30), with 28 fraction bits: in [2^28, 2^29).
uint32_t exp2_fraction(uint32_t f);

/// 1 / (1 + m / 2^32), with 29 fraction bits: in [2^28, 2^29].
uint32_t reciprocal(uint32_t m);

/// log(1 + m / 2^32) in base e or base 2, with 33 fraction bits.
uint64_t logarithm(uint32_t m, bool base2);

/// An element of O as sign and significand * 2^(exponent - 150), the significand below 2^24 and not normalised for
/// denormals (exponent 1 for those of fp32).
struct Element {
  enum class Kind : uint8_t { kFinite, kInfinity, kNaN };
  Kind kind;
  bool negative;
  uint32_t significand;
  int exponent;
};
Element unpack(MergeFormat fmt, uint32_t bits);

/// product * 2^(exponent - 185), product in [2^58, 2^59) or 0, rounded to nearest even; `sticky`: the true value is a
/// little larger.
uint32_t round_to(MergeFormat fmt, bool negative, uint64_t product, int exponent, bool sticky);

}  // namespace merge_detail

}  // namespace kvsink::model

// SPDX-License-Identifier: Apache-2.0
// The bit-exact model of lse_merge against 400-bit arithmetic: its bounds hold on every class of data, and the usual
// mistakes break them.
#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <vector>

#include "merge/merge_data.hpp"
#include "merge/merge_exact.hpp"
#include "support/catch.hpp"
#include "sw/models/lse_merge_tables.hpp"

namespace {

using namespace kvsink::test;  // NOLINT: the data of these tests
using kvsink::model::LseMerge;
namespace detail = kvsink::model::merge_detail;

using Partials = std::vector<Partial>;

Errors check(const Partials& p) { return errors_of(LseMerge().merge(p), exact_merge(p), p.front().fmt); }

void raise(Errors& worst, const Errors& e) {
  worst.o = std::max(worst.o, e.o);
  worst.lse = std::max(worst.lse, e.lse);
  worst.mass = std::max(worst.mass, e.mass);
}

/// One element a partial, all of one format.
Partials simple(const std::vector<std::pair<float, float>>& list, bool base2 = false) {
  Partials p;
  for (const auto& [lse, o] : list) p.push_back({bits_of(lse), base2, MergeFormat::kFp32, p.empty(), {bits_of(o)}});
  return p;
}

constexpr float kInf = std::numeric_limits<float>::infinity();
constexpr float kNan = std::numeric_limits<float>::quiet_NaN();

}  // namespace

TEST_CASE("the merge is within its bounds of exact arithmetic on every class of data", "[merge][exact]") {
  Rng rng = Rng().fork("exact");
  for (int d = 0; d < static_cast<int>(Data::kCount); ++d) {
    for (const unsigned count : {1U, 2U, 8U, 64U}) {
      for (const MergeFormat fmt : {MergeFormat::kFp32, MergeFormat::kFp16, MergeFormat::kBf16}) {
        Errors worst;
        const int merges = (fmt == MergeFormat::kFp32 ? 24 : 6) * (count < 64 ? 2 : 1);
        for (int i = 0; i < merges; ++i) {
          raise(worst, check(make_partials(rng, static_cast<Data>(d), count, 16, fmt, i % 2 == 0)));
        }
        INFO(kDataNames.at(static_cast<size_t>(d)) << ", " << count << " partials, format " << static_cast<int>(fmt));
        CHECK(worst.o <= (fmt == MergeFormat::kFp32 ? 0.77 : 1.0));  // the proven budget, not only the bound
        CHECK(worst.lse <= 0.66);
        CHECK(worst.mass <= 1);
      }
    }
  }
}

TEST_CASE("the distance between two partials is swept from 0 to beyond where one vanishes", "[merge][exact]") {
  Rng rng = Rng().fork("sweep");
  Errors worst;
  for (const bool base2 : {false, true}) {
    for (int i = 0; i <= 1400; ++i) {
      auto p = make_partials(rng, Data::kNormal, 2, 2, MergeFormat::kFp32, base2);
      const double reference = uniform(rng, -10, 10);
      p[0].lse = bits_of(static_cast<float>(reference));
      p[1].lse = bits_of(static_cast<float>(reference + (rng.coin() ? 0.25 : -0.25) * i));
      // The light one carries the large O, so that its weight shows to the end.
      if (rng.coin()) p[rng.below(2)].o = {bits_of(1e38F), bits_of(-3e30F)};
      raise(worst, check(p));
    }
  }
  CHECK(worst.o <= 0.77);
  CHECK(worst.lse <= 0.66);
  CHECK(worst.mass <= 1);
}

TEST_CASE("neighbouring lse merge within the bounds at every size, the light one with the largest O",
          "[merge][exact]") {
  // From 2^20 on neighbours are 1/8 and more apart, at 2^32 256 and 512: beyond the gap in base e, within it in base 2.
  Errors worst;
  for (const bool base2 : {false, true}) {
    for (int power = 20; power <= 40; ++power) {
      for (const int step : {-3, -2, -1, 1, 2}) {
        for (const float sign : {1.0F, -1.0F}) {
          const float at = std::ldexp(1.0F, power);
          const float other = float_of(bits_of(at) + static_cast<uint32_t>(step));
          for (const float heavy : {0.0F, 1e-42F, 1.0F}) {
            const bool first = sign * at > sign * other;
            auto p = simple({{sign * at, first ? heavy : 3.4e38F}, {sign * other, first ? 3.4e38F : heavy}}, base2);
            raise(worst, check(p));
            std::swap(p[0], p[1]);
            raise(worst, check(p));
          }
        }
      }
    }
  }
  CHECK(worst.o <= 0.77);
  CHECK(worst.lse <= 0.66);
  CHECK(worst.mass <= 1);
}

TEST_CASE("inputs made to come close to the bound stay within it", "[merge][exact]") {
  Errors worst;
  for (const bool base2 : {false, true}) {
    // 63 terms just below half, or a whole, last place of the accumulator, of either sign, on a first O around a power
    // of two, so that M is just below or above it.
    for (const int bits : {28, 30, 36, 38, 39, 40, 41}) {
      for (const float scale : {0.49999F, 0.99999F, -0.49999F, -0.99999F}) {
        for (const uint32_t first : {0x3f7fffffU, 0x3f800000U, 0x3f800001U, 0x3fffffffU}) {
          Partials p = simple({{0, 0}}, base2);
          p[0].o = {first};
          for (int i = 0; i < 63; ++i) {
            p.push_back(p[0]);
            p.back().o = {bits_of(std::ldexp(scale, -bits))};
          }
          raise(worst, check(p));
          // The same with a sum a little above 64: M falls below the power of two, its ulp is half.
          for (size_t i = 1; i < p.size(); ++i) {
            p[i].lse = bits_of(0.001F);
            p[i].o = {bits_of(float_of(p[i].o[0]) * 0.9989F)};
          }
          raise(worst, check(p));
        }
      }
    }
    // Weights at the edges of the tables' pieces: 2^f at multiples of 1/128, and sums m at multiples of 1/256.
    for (int i = 0; i < 256; ++i) {
      for (int side = -1; side <= 1; ++side) {
        const double t = (i + side * 0x1p-20) / 128;
        const double lse = base2 ? -t : -t * std::numbers::ln2;
        raise(worst, check(simple({{0, 1.9999999F}, {static_cast<float>(lse), -1.2345678F}}, base2)));
        const double m = std::log2(std::max(i / 256.0 + side * 0x1p-20, 0x1p-30));
        raise(worst,
              check(simple({{0, 1.9999999F}, {static_cast<float>(base2 ? m : m * std::numbers::ln2), 1.2345678F}},
                           base2)));
      }
    }
    // A maximum that rises by a little less than the gap, 64 times.
    Partials creep;
    for (int i = 0; i < 64; ++i) {
      auto one = simple({{static_cast<float>(i * (base2 ? 319.9 : 223.9) - 14000), 1.9999999F}}, base2);
      creep.push_back(one[0]);
    }
    raise(worst, check(creep));
  }
  // One partial carries O, the others weigh only: its weight's error shows in full beside theirs, and that of 1/m. O is
  // such that M, which is the result, lies just below a power of two, where its ulp is smallest.
  Rng rng = Rng().fork("near");
  Errors near;
  for (int i = 0; i < 20000; ++i) {
    const bool base2 = i % 2 == 1;
    Partials p = simple({{0, 0}}, base2);
    p.resize(rng.range(2, 4), p[0]);
    long double sum = 0;
    for (auto& part : p) {
      part.lse = bits_of(static_cast<float>(uniform(rng, -8, 8)));
      const auto lse = static_cast<long double>(float_of(part.lse));
      sum += base2 ? std::exp2(lse) : std::exp(lse);
    }
    auto& one = p[rng.below(p.size())];
    const auto lse = static_cast<long double>(float_of(one.lse));
    const long double target = 2 - uniform(rng, 0, 0x1p-9);
    one.o = {bits_of(static_cast<float>(target * sum / (base2 ? std::exp2(lse) : std::exp(lse))))};
    raise(near, check(p));
  }
  CHECK(near.o > 0.57);  // it is a hard case: random data reach 0.56 of the 0.77
  raise(worst, near);
  CHECK(worst.o <= 0.77);
  CHECK(worst.lse <= 0.66);
  CHECK(worst.mass <= 1);
}

TEST_CASE("every value of the 16-bit formats unpacks and rounds to itself", "[merge]") {
  for (const MergeFormat fmt : {MergeFormat::kFp16, MergeFormat::kBf16}) {
    unsigned wrong = 0;
    for (uint32_t bits = 0; bits < 0x10000; ++bits) {
      const auto e = detail::unpack(fmt, bits);
      const uint32_t infinity = fmt == MergeFormat::kFp16 ? 0x7c00 : 0x7f80;
      if (e.kind != detail::Element::Kind::kFinite) {
        wrong += (bits & infinity) != infinity ? 1 : 0;
        continue;
      }
      wrong += (bits & infinity) == infinity ? 1 : 0;
      wrong += std::ldexp(e.negative ? -static_cast<double>(e.significand) : e.significand, e.exponent - 150) !=
                       value_of(fmt, bits)
                   ? 1
                   : 0;
    }
    CHECK(wrong == 0);
  }
}

TEST_CASE("rounding to a 16-bit format is to nearest even, over its whole range", "[merge]") {
  for (const MergeFormat fmt : {MergeFormat::kFp16, MergeFormat::kBf16}) {
    // Between neighbours a and b: just below the middle, the middle, just above it.
    unsigned wrong = 0;
    const uint32_t infinity = fmt == MergeFormat::kFp16 ? 0x7c00 : 0x7f80;
    for (uint32_t a = 0; a + 1 < infinity; ++a) {
      const double low = value_of(fmt, a);
      const double high = value_of(fmt, a + 1);
      const double middle = (low + high) / 2;
      for (int side = -1; side <= 1; ++side) {
        const uint32_t want = side < 0 ? a : side > 0 ? a + 1 : a + (a & 1);
        int e = 0;
        const double f = std::frexp(middle, &e);  // in [1/2, 1)
        const uint64_t product = static_cast<uint64_t>(std::ldexp(f, 59)) - (side < 0 ? 1 : 0);
        const int exponent = e - 59 + 185;
        const bool sticky = side > 0;
        const bool down = (product >> 58) == 0;
        wrong += detail::round_to(fmt, false, down ? product << 1 : product, exponent - (down ? 1 : 0), sticky) != want
                     ? 1
                     : 0;
      }
    }
    CHECK(wrong == 0);
  }
}

TEST_CASE("empty partials are selected away, also with NaN in O, and a merge of nothing is 0 and -inf", "[merge]") {
  const LseMerge merge;
  auto r = merge.merge(simple({{-kInf, kNan}, {1, 3}, {kInf, kNan}}));
  CHECK(r.o[0] == bits_of(3));
  CHECK(r.lse == bits_of(1));
  CHECK_FALSE(r.nan);
  r = merge.merge(simple({{-kInf, kNan}, {kInf, kInf}}));
  CHECK(r.o[0] == 0);
  CHECK(r.lse == bits_of(-kInf));
  CHECK(r.sink_mass == 0);
  CHECK_FALSE(r.nan);
  CHECK_FALSE(r.weighted);
}

TEST_CASE("NaN and infinities of partials that count propagate and are flagged", "[merge]") {
  const LseMerge merge;
  auto r = merge.merge(simple({{0, 1}, {kNan, 1}}));
  CHECK(std::isnan(float_of(r.o[0])));
  CHECK(std::isnan(float_of(r.lse)));
  CHECK(r.nan);
  r = merge.merge(simple({{0, 1}, {0, kInf}}));
  CHECK(float_of(r.o[0]) == kInf);
  CHECK(std::isfinite(float_of(r.lse)));
  CHECK(r.nan);
  r = merge.merge(simple({{0, kInf}, {-1e30F, -kInf}}));  // its weight is tiny, not zero
  CHECK(std::isnan(float_of(r.o[0])));
  CHECK(r.nan);
}

TEST_CASE("sink_mass is 1 when all are sinks, 0 when none is, and what it should be in between", "[merge]") {
  const LseMerge merge;
  auto p = simple({{0, 1}, {2, 1}, {-3, 1}});
  for (auto& x : p) x.is_sink = true;
  CHECK(merge.merge(p).sink_mass == 0x80000000);
  for (auto& x : p) x.is_sink = false;
  CHECK(merge.merge(p).sink_mass == 0);
  p = simple({{0, 1}, {0, 1}});
  CHECK(merge.merge(p).sink_mass == 0x40000000);
}

TEST_CASE("equal weights average exactly, and order matters only by rounding", "[merge]") {
  const LseMerge merge;
  CHECK(merge.merge(simple({{5, 1}, {5, 2}})).o[0] == bits_of(1.5F));
  CHECK(merge.merge(simple({{5, 1}, {5, 2}}, true)).lse == bits_of(6));
  CHECK(merge.merge(simple({{-7, 3}, {-7, -3}})).o[0] == 0);
  Rng rng = Rng().fork("order");
  for (int i = 0; i < 20; ++i) {
    auto p = make_partials(rng, Data::kNormal, 8, 4, MergeFormat::kFp32, false);
    const auto a = merge.merge(p);
    std::reverse(p.begin(), p.end());
    const auto e = exact_merge(p);
    const auto b = merge.merge(p);
    for (size_t j = 0; j < 4; ++j) {
      CHECK(distance(Real(static_cast<double>(float_of(a.o[j]))), Real(static_cast<double>(float_of(b.o[j]))),
                     ulp_exponent(e.m[j], 24, -149)) <= 1);
    }
  }
}

// ---- the usual mistakes: each must leave the bounds that the tests above hold the model to

namespace {

enum class Mistake { kNone, kBases, kZeroTimes, kNoLogit, kStateInFp32, kTruncated };

/// The merge from its formula in long double, which is within the bounds, or with one mistake in it.
LseMerge::Result plain_merge(const Partials& p, Mistake mistake = Mistake::kNone) {
  const bool base2 = p[0].base2 != (mistake == Mistake::kBases);
  const auto power = [&](long double x) { return base2 ? std::exp2(x) : std::exp(x); };
  const auto log = [&](long double x) { return base2 ? std::log2(x) : std::log(x); };
  // Truncated: 24 bits of significand are kept after each addition.
  const auto kept = [&](long double x) {
    if (mistake != Mistake::kTruncated || x == 0) return x;
    const int e = std::ilogb(x) - 23;
    return std::ldexp(std::trunc(std::ldexp(x, -e)), e);
  };
  const size_t n = p[0].o.size();
  long double top = -HUGE_VALL;
  for (const auto& part : p) {
    if (std::isfinite(float_of(part.lse))) top = std::max<long double>(top, float_of(part.lse));
  }
  long double sum = 0;
  std::vector<long double> o(n, 0);
  float lse = -kInf;  // of the state in fp32
  for (const auto& part : p) {
    const bool empty = (part.lse & 0x7fffffff) == 0x7f800000;
    if (empty && mistake != Mistake::kZeroTimes) continue;
    const bool logit = std::all_of(part.o.begin(), part.o.end(), [](uint32_t x) { return x == 0; });
    if (logit && mistake == Mistake::kNoLogit) continue;
    if (mistake == Mistake::kStateInFp32) {
      const float high = std::max(lse, float_of(part.lse));
      const long double a = power(static_cast<long double>(lse) - high);
      const long double b = power(static_cast<long double>(float_of(part.lse)) - high);
      for (size_t i = 0; i < n; ++i) {
        o[i] = static_cast<float>((o[i] * a + value_of(part.fmt, part.o[i]) * b) / (a + b));
      }
      lse = static_cast<float>(high + log(a + b));
      continue;
    }
    const long double w = empty ? 0 : power(static_cast<long double>(float_of(part.lse)) - top);
    sum = kept(sum + w);
    for (size_t i = 0; i < n; ++i) o[i] = kept(o[i] + w * static_cast<long double>(float_of(part.o[i])));
  }
  LseMerge::Result r;
  const bool chained = mistake == Mistake::kStateInFp32;
  r.lse = bits_of(chained ? lse : static_cast<float>(top + log(sum)));
  for (const long double x : o) r.o.push_back(bits_of(static_cast<float>(chained ? x : x / sum)));
  return r;
}

/// What the tests above ask of a result. NaN is in no bound.
bool within_bounds(const LseMerge::Result& r, const Partials& p) {
  if (!std::isfinite(float_of(r.lse))) return false;
  const Errors e = errors_of(r, exact_merge(p), MergeFormat::kFp32);
  return e.o <= 1 && e.lse <= 1;
}

/// How many of some merges leave the bounds with the mistake; without it, and by the model, none may.
unsigned caught(const std::vector<Partials>& merges, Mistake mistake) {
  unsigned count = 0;
  for (const auto& p : merges) {
    CHECK(within_bounds(plain_merge(p), p));
    CHECK(within_bounds(LseMerge().merge(p), p));
    count += within_bounds(plain_merge(p, mistake), p) ? 0 : 1;
  }
  return count;
}

std::vector<Partials> merges_of(const char* name, Data data, unsigned partials, unsigned count) {
  Rng rng = Rng().fork(name);
  std::vector<Partials> out;
  out.reserve(count);
  for (unsigned i = 0; i < count; ++i) {
    out.push_back(make_partials(rng, data, partials, 8, MergeFormat::kFp32, i % 2 == 1));
  }
  return out;
}

}  // namespace

TEST_CASE("mixing the bases is caught", "[merge][mistake]") {
  CHECK(caught(merges_of("bases", Data::kNormal, 2, 20), Mistake::kBases) == 20);
  // And inside a merge: a header that differs from the first raises the unit's error.
  auto p = merges_of("mixed", Data::kNormal, 2, 1)[0];
  CHECK_FALSE(LseMerge().merge(p).mixed);
  p[1].base2 = !p[1].base2;
  CHECK(LseMerge().merge(p).mixed);
}

TEST_CASE("multiplying an empty partial by zero is caught", "[merge][mistake]") {
  auto merges = merges_of("empty", Data::kNormal, 3, 20);
  Rng rng = Rng().fork("where");
  for (auto& p : merges) {
    auto& empty = p[rng.below(3)];
    empty.lse = bits_of(rng.coin() ? -kInf : kInf);
    for (auto& x : empty.o) x = bits_of(rng.coin() ? kNan : kInf);
  }
  CHECK(caught(merges, Mistake::kZeroTimes) == 20);
}

TEST_CASE("dropping the sink logit is caught", "[merge][mistake]") {
  auto merges = merges_of("logit", Data::kNormal, 3, 20);
  for (auto& p : merges) {
    p[2].lse = p[0].lse;  // weighs as much as a partial does
    for (auto& x : p[2].o) x = 0;
  }
  CHECK(caught(merges, Mistake::kNoLogit) == 20);
}

TEST_CASE("keeping the state as (O, lse) in fp32 is caught", "[merge][mistake]") {
  CHECK(caught(merges_of("state", Data::kLarge, 64, 10), Mistake::kStateInFp32) == 10);
  CHECK(caught(merges_of("state", Data::kNormal, 64, 10), Mistake::kStateInFp32) == 10);
}

TEST_CASE("a truncated accumulator is caught", "[merge][mistake]") {
  CHECK(caught(merges_of("truncated", Data::kNormal, 64, 10), Mistake::kTruncated) == 10);
  // Random data do not see 30 bits truncated; 63 terms just below the last of them do. The sum of the weights lies a
  // little above 64, so M just below a power of two, where its ulp is half as large.
  Partials p = simple({{0, 1}});
  for (int i = 0; i < 63; ++i) {
    p.push_back(p[0]);
    p.back().lse = bits_of(0.001F);
    p.back().o = {bits_of(std::ldexp(0.9989F, -29))};
  }
  const auto exact = exact_merge(p);
  CHECK(errors_of(LseMerge(30).merge(p), exact, MergeFormat::kFp32).o > 1.5);
  CHECK(errors_of(LseMerge().merge(p), exact, MergeFormat::kFp32).o <= 0.77);
}

// ---- tables

TEST_CASE("the units stay within the errors their tables are proven to have", "[merge][exact]") {
  Rng rng = Rng().fork("units");
  const auto units = [&](uint32_t x, unsigned index_bits, unsigned bits) {  // ends of a piece, and inside
    const uint32_t piece = x << (bits - index_bits);
    return std::array<uint32_t, 4>{piece, piece + 1, piece + (1U << (bits - index_bits)) - 1,
                                   piece + static_cast<uint32_t>(rng.below(uint64_t{1} << (bits - index_bits)))};
  };
  long double weight_low = 0;
  long double weight_high = 0;
  long double reciprocal = 0;
  long double logarithm = 0;
  for (uint32_t i = 0; i < 4096; ++i) {
    for (const uint32_t f : units(i, 12, 30)) {
      const long double exact = std::exp2(static_cast<long double>(f) * 0x1p-30L);
      const long double e = static_cast<long double>(detail::exp2_fraction(f)) * 0x1p-28L / exact - 1;
      weight_low = std::min(weight_low, e);
      weight_high = std::max(weight_high, e);
    }
    for (const uint32_t m : units(i, 12, 32)) {
      const long double x = 1 + static_cast<long double>(m) * 0x1p-32L;
      reciprocal = std::max(reciprocal, std::fabs(static_cast<long double>(detail::reciprocal(m)) * 0x1p-29L * x - 1));
      for (const bool base2 : {false, true}) {
        const long double exact = base2 ? std::log2(x) : std::log(x);
        logarithm =
            std::max(logarithm, std::fabs(static_cast<long double>(detail::logarithm(m, base2)) * 0x1p-33L - exact));
      }
    }
  }
  CHECK(weight_low >= -std::exp2(-27.57L));
  CHECK(weight_high <= std::exp2(-29.90L));
  CHECK(reciprocal <= std::exp2(-28.13L));
  CHECK(logarithm <= std::exp2(-26.71L));
}

TEST_CASE("the tables in the tree are what their script makes", "[merge]") {
  if (std::system("python3 -c 'pass' >/dev/null 2>&1") != 0) KVSINK_SKIP("no python3");
  CHECK(std::system("python3 scripts/gen_merge_tables.py --check") == 0);
}

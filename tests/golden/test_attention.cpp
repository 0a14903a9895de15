// SPDX-License-Identifier: Apache-2.0
// The golden model against the captured traces' own outputs, against a plain long double computation, and against what
// must hold of any split.
#include <algorithm>
#include <array>
#include <cmath>
#include <filesystem>
#include <limits>
#include <numeric>
#include <random>

#include "support/catch.hpp"
#include "support/seed.hpp"
#include "sw/golden/attention.hpp"
#include "sw/golden/bytes.hpp"
#include "tests/trace/trace_file.hpp"

namespace {

using namespace kvsink::golden;
using kvsink::test::half_value;
using kvsink::trace::Trace;

constexpr double kInf = std::numeric_limits<double>::infinity();
constexpr double kNan = std::numeric_limits<double>::quiet_NaN();
constexpr const char* kDefaultTrace = "tests/data/tiny1m_p0.safetensors";
/// Of the largest |o|, and of max(1, |lse|).
constexpr double kTolerance = 1e-6;

struct Distance {
  double o = 0;    ///< largest difference, relative to the largest |o| of its output
  double lse = 0;  ///< relative to max(1, |lse|)
};

/// How far outputs are from a trace's own, over all steps.
template <class Attend>
Distance from_trace(const Trace& t, Attend attend) {
  Distance worst;
  const auto& n = t.dims();
  for (std::uint32_t l = 0; l < n.L; ++l) {
    for (std::uint32_t s = 0; s < n.N; ++s) {
      for (std::uint32_t h = 0; h < n.Hq; ++h) {
        const Partial got = attend(l, h, static_cast<std::uint32_t>(t.decode_positions()[s]));
        const auto o = t.o(l, s, h);
        double largest = 0;
        double difference = 0;
        for (std::size_t e = 0; e < o.size(); ++e) {
          largest = std::max(largest, std::abs(double{o[e]}));
          difference = std::max(difference, std::abs(got.o[e] - o[e]));
        }
        worst.o = std::max(worst.o, difference / largest);
        const double lse = t.lse(l, s, h);
        worst.lse = std::max(worst.lse, std::abs(got.lse - lse) / std::max(1.0, std::abs(lse)));
      }
    }
  }
  return worst;
}

void check_against_outputs(const Trace& t) {
  const Distance d =
      from_trace(t, [&](std::uint32_t l, std::uint32_t h, std::uint32_t p) { return exact_attention(t, l, h, p); });
  CHECK(d.o < kTolerance);
  CHECK(d.lse < kTolerance);
}

Trace small_trace(std::uint64_t seed) {
  const kvsink::test::TempFolder folder;
  kvsink::test::write_file(folder / "t", kvsink::test::TraceFile::good(seed).bytes());
  auto t = Trace::load(folder / "t");
  REQUIRE(t);
  return *std::move(t);
}

}  // namespace

TEST_CASE("exact attention gives the shipped trace's own outputs", "[golden]") {
  const auto t = Trace::load(kDefaultTrace);
  REQUIRE(t);
  check_against_outputs(*t);
  // Rounded once to fp32 they are the same bits nearly everywhere; the tolerance is not what makes this pass.
  const auto out = exact_outputs(*t);
  std::size_t same = 0;
  for (std::size_t i = 0; i < out.o.size(); ++i) {
    same += out.o[i] == t->o()[i] ? 1 : 0;
  }
  CHECK(static_cast<double>(same) > 0.999 * static_cast<double>(out.o.size()));
}

TEST_CASE("a dropped scale, a lost token or a wrong head does not pass for the trace's outputs", "[golden]") {
  const auto t = Trace::load(kDefaultTrace);
  REQUIRE(t);
  const auto rows = [&](std::uint32_t l, std::uint32_t h, std::uint32_t first, std::uint32_t last) {
    std::vector<KvRows> list;
    for (std::uint32_t x = first; x <= last; ++x) {
      list.push_back({t->k(l, x, h), t->v(l, x, h)});
    }
    return list;
  };
  const auto far = [](const Distance& d) { return d.o > 1e-3 && d.lse > 1e-3; };
  CHECK(far(from_trace(*t, [&](auto l, auto h, auto p) { return attend(t->q(l, p, h), rows(l, h, 0, p), 1.0); })));
  CHECK(far(
      from_trace(*t, [&](auto l, auto h, auto p) { return attend(t->q(l, p, h), rows(l, h, 0, p - 1), t->scale()); })));
  CHECK(
      far(from_trace(*t, [&](auto l, auto h, auto p) { return attend(t->q(l, p, h), rows(l, h, 1, p), t->scale()); })));
  CHECK(far(
      from_trace(*t, [&](auto l, auto h, auto p) { return attend(t->q(l, p, h), rows(l, 1 - h, 0, p), t->scale()); })));
  const Distance right =
      from_trace(*t, [&](auto l, auto h, auto p) { return attend(t->q(l, p, h), rows(l, h, 0, p), t->scale()); });
  CHECK(right.o < kTolerance);
}

TEST_CASE("exact attention gives the outputs of the other captured traces", "[golden]") {
  std::size_t found = 0;
  for (const char* name : {"tiny1m_bos20", "stories260K_p1"}) {
    for (const char* folder : {"tests/data/", "../shared/traces/"}) {
      const std::string path = std::string(folder) + name + ".safetensors";
      if (std::filesystem::exists(path)) {
        INFO(path);
        const auto t = Trace::load(path);
        REQUIRE(t);
        check_against_outputs(*t);
        ++found;
        break;
      }
    }
  }
  if (found == 0) {
    KVSINK_SKIP("the traces tiny1m_bos20 and stories260K_p1 are not here");
  }
}

TEST_CASE("query heads of a group read the kv head they share", "[golden]") {
  // The trace's outputs come from a long double computation of the test's own, with two query heads a kv head.
  for (std::uint64_t seed = 0; seed < 20; ++seed) {
    check_against_outputs(small_trace(kvsink::test_seed() * 1000 + seed));
  }
}

TEST_CASE("partials over any split of the positions merge to exact attention", "[golden]") {
  const auto t = Trace::load(kDefaultTrace);
  REQUIRE(t);
  std::mt19937_64 random(kvsink::test_seed());
  const auto& n = t->dims();
  for (int run = 0; run < 200; ++run) {
    const auto layer = static_cast<std::uint32_t>(random() % n.L);
    const auto head = static_cast<std::uint32_t>(random() % n.Hq);
    const auto position = static_cast<std::uint32_t>(random() % n.T);
    // 1 to 8 parts, some of which stay empty.
    std::vector<std::vector<std::uint32_t>> parts(1 + random() % 8);
    for (std::uint32_t p = 0; p <= position; ++p) {
      parts[random() % parts.size()].push_back(p);
    }
    std::vector<Partial> partials;
    for (auto& part : parts) {
      std::shuffle(part.begin(), part.end(), random);
      partials.push_back(partial_attention(*t, layer, head, position, part));
    }
    const Merged merged = merge(partials);
    const Partial exact = exact_attention(*t, layer, head, position);
    REQUIRE(std::abs(merged.lse - exact.lse) < 1e-12 * std::max(1.0, std::abs(exact.lse)));
    const double largest = *std::max_element(merged.m.begin(), merged.m.end());
    for (std::size_t e = 0; e < n.d; ++e) {
      REQUIRE(std::abs(merged.o[e] - exact.o[e]) < 1e-12 * largest);
      REQUIRE(merged.m[e] >= std::abs(merged.o[e]) * (1 - 1e-12));
    }
  }
}

TEST_CASE("attention weights sum to one and are the shares of single positions", "[golden]") {
  const auto t = Trace::load(kDefaultTrace);
  REQUIRE(t);
  for (const std::uint32_t position : {0U, 1U, 77U, 255U}) {
    for (std::uint32_t layer = 0; layer < 4; ++layer) {
      const auto weights = attention_weights(*t, layer, 1, position);
      REQUIRE(weights.size() == position + 1);
      CHECK(std::abs(std::accumulate(weights.begin(), weights.end(), 0.0) - 1) < 1e-12);
      const double lse = exact_attention(*t, layer, 1, position).lse;
      for (std::uint32_t p = 0; p <= position; ++p) {
        const Partial one = partial_attention(*t, layer, 1, position, std::array{p});
        REQUIRE(std::abs(weights[p] - std::exp(one.lse - lse)) < 1e-12);
      }
    }
  }
}

TEST_CASE("attention over one position is its value, over none is empty", "[golden]") {
  const Trace t = small_trace(3);
  const Partial one = partial_attention(t, 1, 3, 5, std::array{2U});
  for (std::size_t e = 0; e < 8; ++e) {
    CHECK(one.o[e] == half_value(t.v(1, 2, 1)[e]));
  }
  const Partial none = partial_attention(t, 1, 3, 5, {});
  CHECK(none.lse == -kInf);
  CHECK(none.o == std::vector<double>(8, 0.0));
}

TEST_CASE("partials that do not count leave the others as they are", "[golden]") {
  const Partial a{{1.0, -2.0}, 3.0};
  const Partial b{{5.0, 0.5}, 2.0};
  const Merged both = merge(std::array{a, b});
  const double w = 1 / (1 + std::exp(-1.0));
  CHECK(both.o[0] == Approx(w * 1 + (1 - w) * 5).epsilon(1e-14));
  CHECK(both.o[1] == Approx(w * -2 + (1 - w) * 0.5).epsilon(1e-14));
  CHECK(both.m[1] == Approx(w * 2 + (1 - w) * 0.5).epsilon(1e-14));
  CHECK(both.lse == Approx(std::log(std::exp(3.0) + std::exp(2.0))).epsilon(1e-14));
  for (const double lse : {-kInf, kInf}) {  // +inf counts as -inf
    const Merged with = merge(std::array{Partial{{kNan, kInf}, lse}, a, Partial{{7, 7}, lse}, b});
    CHECK(with.o == both.o);
    CHECK(with.m == both.m);
    CHECK(with.lse == both.lse);
  }
}

TEST_CASE("with no partial that counts the merge is empty", "[golden]") {
  const Merged none = merge(std::array{Partial{{kNan, 1.0}, -kInf}, Partial{{2.0, 1.0}, kInf}});
  CHECK(none.o == std::vector<double>(2, 0.0));
  CHECK(none.lse == -kInf);
  CHECK(merge({}).o.empty());
  CHECK(merge({}).lse == -kInf);
}

TEST_CASE("NaN propagates from partials that count", "[golden]") {
  const Partial a{{1.0, 2.0}, 0.0};
  const Merged lse = merge(std::array{a, Partial{{1.0, 1.0}, kNan}});
  CHECK(std::isnan(lse.lse));
  CHECK(std::isnan(lse.o[0]));
  const Merged o = merge(std::array{a, Partial{{kNan, 1.0}, 0.0}});
  CHECK(o.lse == Approx(std::log(2.0)));
  CHECK(std::isnan(o.o[0]));
  CHECK(o.o[1] == Approx(1.5));
}

TEST_CASE("a learned sink logit enters the denominator alone", "[golden]") {
  const Merged m = merge(std::array{Partial{{4.0}, 1.0}, Partial{{0.0}, 1.0}});
  CHECK(m.o[0] == Approx(2.0));
  CHECK(m.lse == Approx(1.0 + std::log(2.0)));
}

TEST_CASE("far lse neither overflow nor lose the strong partial", "[golden]") {
  const Merged m = merge(std::array{Partial{{1.0}, -1e30}, Partial{{2.0}, 1e30}, Partial{{3.0}, 1e30}});
  CHECK(m.o[0] == 2.5);
  CHECK(m.lse == 1e30);
}

TEST_CASE("bytes of KV are counted as the design counts them", "[golden]") {
  // The reference model: 80 layers, 8 kv heads, head_dim 128, fp16.
  CHECK(kv_bytes_per_token({80, 1, 64, 8, 128, 1}) == 327'680);
  const auto t = Trace::load(kDefaultTrace);
  REQUIRE(t);
  std::uint64_t rows = 0;
  for (std::uint32_t step = 0; step < 128; ++step) {
    rows += (128 + step + 1) * 4 * 2 * 2;  // positions, layers, kv heads, K and V
  }
  CHECK(kv_rows_needed(*t) == rows);
  CHECK(kv_needed(*t) == rows * 128);
}

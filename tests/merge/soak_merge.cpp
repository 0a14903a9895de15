// SPDX-License-Identifier: Apache-2.0
// Long runs of lse_merge, outside `make verify`.
//
//   soak_merge rtl MERGES [SEED]     random merges over the whole range of all inputs, RTL against the bit-exact model
//   soak_merge units                 every input of 2^f, a sixteenth of those of 1/m and log m, against the proven
//                                    errors
//
// Exit status 0: all well; 1: a difference or an error beyond its bound.
#include <unistd.h>

#include <array>
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <string_view>
#include <vector>

#include "VMerge_small.h"
#include "merge/merge_data.hpp"
#include "tb/merge/merge_bench.hpp"

namespace {

using namespace kvsink::test;  // NOLINT: the data of these tests
using kvsink::tb::MergedBeat;
using kvsink::tb::MergeEnd;
using kvsink::tb::PartialBeat;
using kvsink::tb::Partials;
namespace detail = kvsink::model::merge_detail;

void progress(const char* what, uint64_t done, uint64_t all) {
  if (isatty(STDERR_FILENO) != 0) {
    std::fprintf(stderr, "\r%s: %5.1f %%", what, 100.0 * static_cast<double>(done) / static_cast<double>(all));
  }
}

/// Mostly short merges, so that many are made; any bits as headers and elements.
Partials wild(Rng& rng, unsigned lanes) {
  const auto fmt = static_cast<MergeFormat>(rng.below(3));
  const bool base2 = rng.coin();
  const unsigned count = static_cast<unsigned>(rng.percent(98) ? rng.range(1, 3) : rng.range(1, 64));
  const unsigned elements = lanes * static_cast<unsigned>(rng.percent(95) ? 1 : rng.range(1, 8));
  if (rng.percent(50)) {
    return make_partials(rng, static_cast<Data>(rng.below(static_cast<uint64_t>(Data::kCount))), count, elements, fmt,
                         base2);
  }
  Partials out(count);
  for (auto& p : out) {
    p = {rough_lse(rng), base2, fmt, rng.coin(), std::vector<uint32_t>(elements)};
    for (auto& x : p.o) x = rough_element(rng, fmt);
  }
  return out;
}

volatile std::sig_atomic_t stop = 0;

int soak_rtl(uint64_t merges, uint64_t seed) {
  constexpr uint64_t kBatch = 4000;
  std::signal(SIGINT, [](int) { stop = 1; });  // ends the run with what was done so far
  std::signal(SIGTERM, [](int) { stop = 1; });
  Rng rng(seed);
  uint64_t elements = 0;
  uint64_t done = 0;
  while (done < merges && stop == 0) {
    const unsigned stall = rng.coin() ? 0 : 20;
    kvsink::tb::MergeBench<VMerge_small> bench(rng.fork(std::to_string(done)), stall, stall);
    std::vector<PartialBeat> beats;
    std::vector<MergedBeat> expected;
    std::vector<MergeEnd> ends;
    for (uint64_t i = 0; i < kBatch && done < merges; ++i, ++done) {
      const auto p = wild(rng, bench.lanes());
      elements += p.front().o.size();
      append_beats(p, static_cast<uint16_t>(i), bench.lanes(), beats);
      ends.push_back(append_expected(p, static_cast<uint16_t>(i), bench.lanes(), expected));
    }
    if (bench.run(beats, expected.size()) != expected || bench.ends != ends || bench.errors != 0) {
      std::printf("a merge between %llu and %llu differs from the model (seed %llu)\n",
                  static_cast<unsigned long long>(done - ends.size()), static_cast<unsigned long long>(done),
                  static_cast<unsigned long long>(seed));
      return 1;
    }
    progress("merges", done, merges);
  }
  std::printf("%llu merges%s, %llu elements out: RTL equals the model (seed %llu)\n",
              static_cast<unsigned long long>(done), done < merges ? " (stopped early)" : "",
              static_cast<unsigned long long>(elements), static_cast<unsigned long long>(seed));
  return 0;
}

int soak_units() {
  long double low = 0;
  long double high = 0;
  long double reciprocal = 0;
  long double logarithm = 0;
  uint32_t last = 0;
  bool falls = false;
  for (uint32_t f = 0; f < 1U << 30; ++f) {
    const uint32_t w = detail::exp2_fraction(f);
    falls |= w + 1 < last;  // never by more than its last place
    last = w;
    const long double e =
        static_cast<long double>(w) * 0x1p-28L / std::exp2(static_cast<long double>(f) * 0x1p-30L) - 1;
    low = std::min(low, e);
    high = std::max(high, e);
    if ((f & 0xffffff) == 0) progress("2^f", f, 1U << 30);
  }
  for (uint64_t m = 0; m < uint64_t{1} << 32; m += 16) {
    const auto bits = static_cast<uint32_t>(m + (m >> 8) % 16);
    const long double x = 1 + static_cast<long double>(bits) * 0x1p-32L;
    reciprocal = std::max(reciprocal, std::fabs(static_cast<long double>(detail::reciprocal(bits)) * 0x1p-29L * x - 1));
    logarithm = std::max(
        logarithm, std::fabs(static_cast<long double>(detail::logarithm(bits, false)) * 0x1p-33L - std::log1p(x - 1)));
    logarithm = std::max(logarithm,
                         std::fabs(static_cast<long double>(detail::logarithm(bits, true)) * 0x1p-33L - std::log2(x)));
    if ((m & 0xffffff) == 0) progress("1/m, log m", m, uint64_t{1} << 32);
  }
  std::printf("2^f: -2^%.2Lf .. +2^%.2Lf relative; 1/m: 2^%.2Lf relative; log m: 2^%.2Lf\n", std::log2(-low),
              std::log2(high), std::log2(reciprocal), std::log2(logarithm));
  const bool good = low >= -std::exp2(-27.57L) && high <= std::exp2(-29.90L) && reciprocal <= std::exp2(-28.13L) &&
                    logarithm <= std::exp2(-26.71L) && !falls;
  std::printf("%s\n", good ? "within the proven errors" : "BEYOND the proven errors");
  return good ? 0 : 1;
}

}  // namespace

int main(int argc, char** argv) {
  const std::string_view mode = argc > 1 ? argv[1] : "";
  const auto number = [&](int at, uint64_t otherwise) {
    return argc > at ? std::strtoull(argv[at], nullptr, 0) : otherwise;
  };
  if (mode == "rtl" && argc > 2) return soak_rtl(number(2, 0), number(3, 1));
  if (mode == "units") return soak_units();
  std::fprintf(stderr, "usage: soak_merge rtl MERGES [SEED] | units\n");
  return 2;
}

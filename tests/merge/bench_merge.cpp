// SPDX-License-Identifier: Apache-2.0
// How wrong merges are: the RTL and the two usual software merges, on the same inputs, against 400-bit arithmetic.
//
//   bench_merge [--samples N] [--seed N] [--json FILE]
//
// Samples are elements of O a row of the table (20,000 unless said otherwise). Errors of O are in units of the bound:
// ulp(fp32) of M = sum w|O| for fp32, 1 ulp of the format + 1 ulp(fp32) of M for 16 bits; those of lse in ulp(fp32) of
// max(1, |lse|). Exit status 0: the RTL is within its bounds, equals its model, and is nowhere in the table worse than
// the software; 1: it is not; 2: bad usage.
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "VMerge_small.h"
#include "merge/merge_data.hpp"
#include "merge/merge_exact.hpp"
#include "merge/software_merges.hpp"
#include "tb/merge/merge_bench.hpp"

namespace {

using namespace kvsink::test;  // NOLINT: the data of these tests
using kvsink::model::LseMerge;
using kvsink::tb::append_beats;
using kvsink::tb::append_expected;
using kvsink::tb::MergedBeat;
using kvsink::tb::PartialBeat;
using kvsink::tb::Partials;
using Json = nlohmann::ordered_json;

constexpr std::array kFormats{MergeFormat::kFp32, MergeFormat::kFp16, MergeFormat::kBf16};
constexpr std::array<const char*, 3> kFormatNames{"fp32", "fp16", "bf16"};
constexpr std::array<const char*, 2> kSoftware{"natural log, chain", "base 2, streaming"};
constexpr unsigned kElements = 32;  // of a partial: one set of weights serves that many errors

/// The Verilated unit: merges in, results out, each compared with the model on the way.
class Rtl {
 public:
  explicit Rtl(uint64_t seed) : bench_(Rng(seed), 0, 0) {}

  std::vector<LseMerge::Result> run(const std::vector<Partials>& merges) {
    std::vector<PartialBeat> beats;
    std::vector<MergedBeat> expected;
    for (size_t i = 0; i < merges.size(); ++i) {
      append_beats(merges[i], static_cast<uint16_t>(i), bench_.lanes(), beats);
      append_expected(merges[i], static_cast<uint16_t>(i), bench_.lanes(), expected);
    }
    const auto got = bench_.run(beats, expected.size());
    equal_ = equal_ && got == expected;
    merges_ += merges.size();
    std::vector<LseMerge::Result> out;
    for (const auto& beat : got) {
      if (beat.first) out.emplace_back();
      if (out.empty()) break;
      auto& r = out.back();
      r.lse = beat.lse;
      r.sink_mass = beat.sink_mass;
      r.o.insert(r.o.end(), beat.data.begin(), beat.data.end());
    }
    out.resize(merges.size());
    return out;
  }

  [[nodiscard]] bool equal() const { return equal_; }
  [[nodiscard]] uint64_t merges() const { return merges_; }

 private:
  kvsink::tb::MergeBench<VMerge_small> bench_;
  bool equal_ = true;
  uint64_t merges_ = 0;
};

struct Summary {
  double mean = 0;
  double p999 = 0;
  double most = 0;
};

Summary summary(std::vector<double>& x) {
  std::sort(x.begin(), x.end());
  double sum = 0;
  for (const double e : x) sum += e;
  const auto n = static_cast<double>(x.size());
  return {sum / n, x[static_cast<size_t>(std::ceil(0.999 * n)) - 1], x.back()};
}

/// Errors of one way to merge.
struct Series {
  std::vector<double> o;
  std::vector<double> lse;
  void add(const LseMerge::Result& got, const Exact& exact, MergeFormat fmt) {
    for (size_t i = 0; i < exact.o.size(); ++i) {
      o.push_back(i < got.o.size() ? o_error(fmt, got.o[i], exact.o[i], exact.m[i]) : HUGE_VAL);
    }
    lse.push_back(std::isfinite(float_of(got.lse)) ? lse_error(got.lse, exact.lse) : HUGE_VAL);
  }
};

/// Numbers as JSON has them: what is infinite (an overflow) is the text "inf".
Json number(double x) { return std::isfinite(x) ? Json(x) : Json("inf"); }
Json as_json(const Summary& s) { return {{"mean", number(s.mean)}, {"p999", number(s.p999)}, {"max", number(s.most)}}; }

std::string show(const Summary& s) {
  std::array<char, 96> text{};
  std::snprintf(text.data(), text.size(), "%7.3g /%7.3g /%7.3g", s.mean, s.p999, s.most);
  return text.data();
}

/// Of all figures of the table: how often the RTL's is smaller, the same, larger. A 16-bit result is rounded once from
/// a value that is off by up to 0.27 ulp(fp32); an exact value that close to the middle of two neighbours may go either
/// way, in any merge, and costs at most 2 * 0.27 / 2^13 of the unit. Less than that is no difference there.
struct Verdict {
  uint64_t better = 0;
  uint64_t equal = 0;
  uint64_t worse = 0;
  double most_over = 0;  ///< of those that count as equal, by how much the RTL's is the larger one

  void compare(double rtl, double soft, double no_difference) {
    if (rtl < soft) {
      ++better;
    } else if (rtl == soft || rtl - soft <= no_difference) {
      ++equal;
      if (rtl > soft) most_over = std::max(most_over, rtl - soft);
    } else {
      ++worse;
    }
  }
  void compare(const Summary& rtl, const Summary& soft, double no_difference) {
    compare(rtl.mean, soft.mean, no_difference);
    compare(rtl.p999, soft.p999, no_difference);
    compare(rtl.most, soft.most, no_difference);
  }
};

void progress(const std::string& what) {
  if (isatty(STDERR_FILENO) != 0) std::fprintf(stderr, "\r\x1b[K%s", what.c_str());
}

/// The same bits, read as base e or as base 2.
Partials in_base(Partials p, bool base2) {
  for (auto& part : p) part.base2 = base2;
  return p;
}

LseMerge::Result software(const Partials& p) { return p[0].base2 ? base2_stream(p) : natural_chain(p); }

/// Merges in batches through software and RTL; [0] base e, [1] base 2.
struct Pair {
  std::array<Series, 2> soft;
  std::array<Series, 2> rtl;
};
void measure(Rtl& rtl, const std::vector<Partials>& merges, Pair& into) {
  for (const bool base2 : {false, true}) {
    std::vector<Partials> all;
    all.reserve(merges.size());
    for (const auto& p : merges) all.push_back(in_base(p, base2));
    const auto got = rtl.run(all);
    for (size_t i = 0; i < all.size(); ++i) {
      const auto exact = exact_merge(all[i]);
      const MergeFormat fmt = all[i][0].fmt;
      into.soft.at(base2 ? 1 : 0).add(software(all[i]), exact, fmt);
      into.rtl.at(base2 ? 1 : 0).add(got[i], exact, fmt);
    }
  }
}

struct Totals {
  Verdict verdict;
  double worst_o = 0;
  double worst_lse = 0;
};

Json error_table(Rtl& rtl, const Rng& seed, uint64_t samples, Totals& totals) {
  Json rows = Json::array();
  std::printf(
      "Error of O in units of the bound (fp32: ulp of M; 16 bits: ulp of the format + ulp(fp32) of M), of lse in\n"
      "ulp(fp32) of max(1, |lse|); mean / 99.9th percentile / largest. The same bits as base e and as base 2.\n"
      "inf: overflow.\n");
  for (int d = 0; d < static_cast<int>(Data::kCount); ++d) {
    const char* data = kDataNames.at(static_cast<size_t>(d));
    std::printf("\n%-26s %-24s %-25s %-25s %-25s\n", data, "", kSoftware[0], "RTL, base e", kSoftware[1]);
    for (const MergeFormat fmt : kFormats) {
      for (const unsigned count : {1U, 2U, 8U, 64U}) {
        const char* format = kFormatNames.at(static_cast<size_t>(fmt));
        progress(std::string(data) + ", " + std::to_string(count) + " partials, " + format);
        Rng rng = seed.fork(std::string(data) + format + std::to_string(count));
        std::vector<Partials> merges;
        const uint64_t wanted = samples / kElements + 1;
        merges.reserve(wanted);
        for (uint64_t i = 0; i < wanted; ++i) {
          merges.push_back(make_partials(rng, static_cast<Data>(d), count, kElements, fmt, false));
        }
        Pair pair;
        measure(rtl, merges, pair);
        Json row{{"data", data}, {"partials", count}, {"format", format}, {"samples", pair.rtl[0].o.size()}};
        std::array<std::array<Summary, 2>, 2> o;  // [base 2][RTL]
        std::array<std::array<Summary, 2>, 2> lse;
        for (size_t b = 0; b < 2; ++b) {
          o.at(b) = {summary(pair.soft.at(b).o), summary(pair.rtl.at(b).o)};
          lse.at(b) = {summary(pair.soft.at(b).lse), summary(pair.rtl.at(b).lse)};
          totals.verdict.compare(o.at(b)[1], o.at(b)[0], fmt == MergeFormat::kFp32 ? 0 : 0x1p-14);
          totals.verdict.compare(lse.at(b)[1], lse.at(b)[0], 0);
          totals.worst_o = std::max(totals.worst_o, o.at(b)[1].most);
          totals.worst_lse = std::max(totals.worst_lse, lse.at(b)[1].most);
          row[b == 0 ? "base_e" : "base_2"] = {
              {"software", kSoftware.at(b)},
              {"o", {{"software", as_json(o.at(b)[0])}, {"rtl", as_json(o.at(b)[1])}}},
              {"lse", {{"software", as_json(lse.at(b)[0])}, {"rtl", as_json(lse.at(b)[1])}}}};
        }
        rows.push_back(row);
        const std::string label =
            std::string(format) + ", " + std::to_string(count) + (count == 1 ? " partial" : " partials");
        for (const bool is_lse : {false, true}) {
          const auto& s = is_lse ? lse : o;
          std::printf("  %-18s %-5s %s | %s | %s | %s\n", is_lse ? "" : label.c_str(), is_lse ? "lse" : "O",
                      show(s[0][0]).c_str(), show(s[0][1]).c_str(), show(s[1][0]).c_str(), show(s[1][1]).c_str());
        }
      }
    }
  }
  return rows;
}

/// The distance d = lse_0 - lse_1 swept, in nats or powers of two; the others of 8 or 64 partials lie between.
Json error_sweep(Rtl& rtl, const Rng& seed, uint64_t samples, Totals& totals) {
  Json curves = Json::array();
  for (const bool wide : {false, true}) {
    for (const unsigned count : {2U, 8U, 64U}) {
      Rng rng = seed.fork((wide ? "wide" : "even") + std::to_string(count));
      Json points = Json::array();
      for (int step = 0; step <= 360; step += step < 136 ? 2 : 8) {
        progress("distance " + std::to_string(step) + ", " + std::to_string(count) + " partials");
        const uint64_t wanted = samples / 10 / kElements + 1;
        std::vector<Partials> merges;
        for (uint64_t i = 0; i < wanted; ++i) {
          auto p = make_partials(rng, Data::kNormal, count, kElements, MergeFormat::kFp32, false);
          const double top = uniform(rng, -8, 8);
          const double d = step + uniform(rng, 0, 1);
          for (unsigned k = 0; k < count; ++k) {
            const double below = k == 0 ? 0 : k == 1 ? d : uniform(rng, 0, d);
            p[k].lse = bits_of(static_cast<float>(top - below));
            if (!wide) continue;
            // The lighter, the larger its O: all weigh about the same as far as fp32 goes.
            for (auto& x : p[k].o)
              x = bits_of(static_cast<float>(value_of(MergeFormat::kFp32, x) * std::exp(std::min(below, 85.0))));
          }
          std::swap(p[0], p[rng.below(count)]);
          merges.push_back(std::move(p));
        }
        Pair pair;
        measure(rtl, merges, pair);
        Json point{{"distance", step + 0.5}};
        for (size_t b = 0; b < 2; ++b) {
          const Summary rtl_o = summary(pair.rtl.at(b).o);
          const Summary rtl_lse = summary(pair.rtl.at(b).lse);
          totals.worst_o = std::max(totals.worst_o, rtl_o.most);
          totals.worst_lse = std::max(totals.worst_lse, rtl_lse.most);
          point[b == 0 ? "base_e" : "base_2"] = {
              {"o", {{"software", as_json(summary(pair.soft.at(b).o))}, {"rtl", as_json(rtl_o)}}},
              {"lse", {{"software", as_json(summary(pair.soft.at(b).lse))}, {"rtl", as_json(rtl_lse)}}}};
        }
        points.push_back(point);
      }
      curves.push_back({{"light_is_large", wide}, {"partials", count}, {"points", points}});
    }
  }
  return curves;
}

}  // namespace

int main(int argc, char** argv) {
  uint64_t samples = 20000;
  uint64_t seed = 1;
  std::string json;
  for (int i = 1; i < argc; ++i) {
    std::string_view option = argv[i];
    const char* value = i + 1 < argc ? argv[++i] : "";
    char* end = nullptr;
    if (option == "--json" && *value != '\0') {
      json = value;
    } else if ((option == "--samples" || option == "--seed") && *value >= '0' && *value <= '9') {
      (option == "--seed" ? seed : samples) = std::strtoull(value, &end, 10);
      if (*end != '\0') option = "";
    } else {
      option = "";
    }
    if (option.empty() || samples == 0) {
      std::fprintf(stderr, "usage: bench_merge [--samples N] [--seed N] [--json FILE]\n");
      return 2;
    }
  }
  const Rng rng(seed);
  Rtl rtl(seed);
  Totals totals;
  const Json table = error_table(rtl, rng, samples, totals);
  const Json sweep = error_sweep(rtl, rng, samples, totals);
  progress("");
  const auto& v = totals.verdict;
  const bool good = rtl.equal() && v.worse == 0 && totals.worst_o <= 1 && totals.worst_lse <= 1;
  const auto n = [](uint64_t x) { return static_cast<unsigned long long>(x); };
  std::printf("\nfigures of the table: the RTL is better in %llu, equal in %llu, worse in %llu\n", n(v.better),
              n(v.equal), n(v.worse));
  std::printf("largest error of the RTL, table and sweep: O %.4f, lse %.4f of their bounds\n", totals.worst_o,
              totals.worst_lse);
  std::printf("%llu merges through the RTL: %s its bit-exact model (seed %llu)\n", n(rtl.merges()),
              rtl.equal() ? "all equal to" : "DIFFERENT from", n(seed));
  if (!json.empty()) {
    std::ofstream file(json);
    file << Json{{"seed", seed},
                 {"samples", samples},
                 {"merges", rtl.merges()},
                 {"equal_to_model", rtl.equal()},
                 {"verdict", {{"better", v.better}, {"equal", v.equal}, {"equal_to", v.most_over}, {"worse", v.worse}}},
                 {"largest", {{"o", totals.worst_o}, {"lse", totals.worst_lse}}},
                 {"table", table},
                 {"sweep", sweep}}
                .dump(1)
         << "\n";
    file.close();
    if (!file) {
      std::fprintf(stderr, "bench_merge: %s: cannot be written\n", json.c_str());
      return 2;
    }
  }
  return good ? 0 : 1;
}

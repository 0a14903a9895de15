// SPDX-License-Identifier: Apache-2.0
// The partials of every captured trace through the RTL of lse_merge: each result equals the bit-exact model, stays
// within the bounds of exact arithmetic, and says the share of the attention that the sink partial has.
#include <array>
#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <numbers>
#include <string>
#include <vector>

#include "VMerge_default.h"
#include "merge/merge_data.hpp"
#include "merge/merge_exact.hpp"
#include "merge/software_merges.hpp"
#include "support/catch.hpp"
#include "sw/golden/attention.hpp"
#include "sw/golden/bounds.hpp"
#include "sw/trace/trace.hpp"
#include "tb/merge/merge_bench.hpp"

namespace {

using namespace kvsink::test;  // NOLINT: the data of these tests
using kvsink::golden::ulp32;
using kvsink::tb::append_beats;
using kvsink::tb::append_expected;
using kvsink::tb::MergedBeat;
using kvsink::tb::PartialBeat;
using kvsink::tb::Partials;
using kvsink::trace::Trace;

std::string find(const std::string& name) {
  const char* folder = std::getenv("KVSINK_TRACES");
  for (const std::string dir : {"tests/data", folder != nullptr ? folder : "../shared/traces"}) {
    if (std::filesystem::exists(dir + "/" + name)) return dir + "/" + name;
  }
  return "";
}

/// The positions 0..last as the ways in which attention is split: sinks and the rest; pages of 16 (merged page by page:
/// at most 64 partials); the halves of the heads' contexts with a learned sink logit beside.
std::vector<std::vector<uint32_t>> split(unsigned kind, uint32_t last) {
  std::vector<std::vector<uint32_t>> parts(kind == 1 ? last / 16 + 1 : 2);
  for (uint32_t t = 0; t <= last; ++t) {
    const uint32_t part = kind == 0 ? (t != 0 && t != 20 ? 1 : 0) : kind == 1 ? t / 16 : (t > last / 2 ? 1 : 0);
    parts[part].push_back(t);
  }
  return parts;
}

struct Case {
  Partials partials;
  double mass = -1;       // exact attention's share of the sink partial; -1: not judged
  double resolution = 0;  // of it: that of the unit, and what the rounding of lse to fp32 makes
};

Case make_case(const Trace& trace, uint32_t layer, uint32_t head, uint32_t position, unsigned kind, MergeFormat fmt,
               bool base2, unsigned lanes) {
  const auto parts = split(kind, position);
  const size_t padded = (trace.dims().d + lanes - 1) / lanes * lanes;
  Case c;
  std::vector<kvsink::golden::Partial> golden;
  for (const auto& positions : parts) {
    golden.push_back(kvsink::golden::partial_attention(trace, layer, head, position, positions));
    const double lse = golden.back().lse * (base2 ? std::numbers::log2e : 1.0);
    Partial p{bits_of(static_cast<float>(lse)), base2, fmt, c.partials.empty(), std::vector<uint32_t>(padded, 0)};
    for (size_t i = 0; i < golden.back().o.size(); ++i) p.o[i] = from_fp32(fmt, static_cast<float>(golden.back().o[i]));
    c.partials.push_back(std::move(p));
  }
  if (kind == 2) {
    const float logit = static_cast<float>(head) - 3.5F;
    c.partials.push_back({bits_of(logit), base2, fmt, false, std::vector<uint32_t>(padded, 0)});
  }
  if (kind == 0 && golden.size() == 2) {
    const double unit = base2 ? std::numbers::ln2 : 1.0;
    const auto ulp = [&](double lse) { return ulp32(lse / unit) * unit; };
    c.mass = 1 / (1 + std::exp(golden[1].lse - golden[0].lse));
    c.resolution = 0x1p-27 + c.mass * (1 - c.mass) * std::expm1((ulp(golden[0].lse) + ulp(golden[1].lse)) / 2);
  }
  return c;
}

void check_trace(const std::string& name) {
  const std::string path = find(name);
  if (path.empty()) KVSINK_SKIP("no trace " << name);
  const auto loaded = Trace::load(path);
  REQUIRE(loaded);
  const Trace& trace = *loaded;
  const auto& n = trace.dims();
  kvsink::tb::MergeBench<VMerge_default> bench(Rng(), 10, 10);
  uint64_t merges = 0;
  uint64_t outputs = 0;
  double worst_o = 0;
  double worst_lse = 0;
  double mass = 0;
  double exact_mass = 0;
  double mass_off = 0;
  for (uint32_t layer = 0; layer < n.L; ++layer) {
    for (uint32_t step = 0; step < n.N; ++step) {
      std::vector<Case> cases;
      std::vector<PartialBeat> beats;
      std::vector<MergedBeat> expected;
      const auto position = static_cast<uint32_t>(trace.decode_positions()[step]);
      for (uint32_t head = 0; head < n.Hq; ++head, ++outputs) {
        for (unsigned kind = 0; kind < 3; ++kind) {
          // Sinks and the rest as the block merges them, in fp32 and base e; the others through formats and bases.
          const auto fmt = kind == 0 ? MergeFormat::kFp32 : static_cast<MergeFormat>((outputs + kind) % 3);
          const bool base2 = kind != 0 && outputs % 2 == 1;
          if (kind != 0 && n.L * n.N * n.Hq > 4096 && outputs % 4 != 0) continue;  // the long trace: every fourth
          cases.push_back(make_case(trace, layer, head, position, kind, fmt, base2, bench.lanes()));
          const auto id = static_cast<uint16_t>(merges++);
          append_beats(cases.back().partials, id, bench.lanes(), beats);
          append_expected(cases.back().partials, id, bench.lanes(), expected);
        }
      }
      const auto got = bench.run(beats, expected.size());
      REQUIRE(got == expected);
      size_t at = 0;
      for (size_t i = 0; i < cases.size(); ++i) {
        const size_t count = cases[i].partials[0].o.size() / bench.lanes();
        const double share = std::ldexp(got[at].sink_mass, -31);
        if (cases[i].mass >= 0) {
          mass += share;
          exact_mass += cases[i].mass;
          mass_off = std::max(mass_off, std::fabs(share - cases[i].mass) / cases[i].resolution);
        }
        if ((step + i) % 8 == 0) {
          kvsink::model::LseMerge::Result r;
          r.lse = got[at].lse;
          r.sink_mass = got[at].sink_mass;
          for (size_t b = 0; b < count; ++b) r.o.insert(r.o.end(), got[at + b].data.begin(), got[at + b].data.end());
          const Errors e = errors_of(r, exact_merge(cases[i].partials), cases[i].partials[0].fmt);
          worst_o = std::max(worst_o, e.o);
          worst_lse = std::max(worst_lse, e.lse);
          CHECK(e.mass <= 1);
        }
        at += count;
      }
    }
  }
  CHECK(bench.errors == 0);
  CHECK(worst_o <= 0.77);
  CHECK(worst_lse <= 0.66);
  CHECK(mass_off <= 1);
  WARN(name << ": " << merges << " merges, all equal; largest error O " << worst_o << ", lse " << worst_lse
            << " ulp; positions 0 and 20 have " << 100 * mass / static_cast<double>(outputs)
            << " % of the mass by the unit, " << 100 * exact_mass / static_cast<double>(outputs) << " % exactly");
}

}  // namespace

TEST_CASE("the partials of tiny1m_p0 merge in the RTL as the model says and within the bounds", "[merge][trace]") {
  check_trace("tiny1m_p0.safetensors");
}

TEST_CASE("the partials of tiny1m_bos20 merge in the RTL as the model says and within the bounds", "[merge][trace]") {
  check_trace("tiny1m_bos20.safetensors");
}

TEST_CASE("the partials of stories260K_p1 merge in the RTL as the model says and within the bounds", "[merge][trace]") {
  check_trace("stories260K_p1.safetensors");
}

// SPDX-License-Identifier: Apache-2.0
// The RTL of lse_merge equals its bit-exact model, keeps its rate and latency, and survives any stream.
#include MERGE_MODEL_HEADER

#include <algorithm>
#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "merge/merge_data.hpp"
#include "support/catch.hpp"
#include "tb/merge/merge_bench.hpp"

namespace {

using namespace kvsink::test;  // NOLINT: the data of these tests
using kvsink::tb::append_beats;
using kvsink::tb::append_expected;
using kvsink::tb::MergedBeat;
using kvsink::tb::MergeEnd;
using kvsink::tb::PartialBeat;
using kvsink::tb::Partials;
using Bench = kvsink::tb::MergeBench<MERGE_MODEL>;

std::string show(const MergedBeat& b) {
  std::string s =
      "id " + std::to_string(b.id) + (b.first ? " first" : "") + (b.last ? " last" : "") + (b.nan ? " nan" : "");
  char text[32];
  std::snprintf(text, sizeof text, " lse %08x mass %08x", b.lse, b.sink_mass);
  s += text;
  for (const uint32_t d : b.data) {
    std::snprintf(text, sizeof text, " %08x", d);
    s += text;
  }
  return s;
}

/// Merges with what must come of them.
struct Stream {
  explicit Stream(unsigned lane_count) : lanes(lane_count) {}
  unsigned lanes;
  uint16_t id = 0;
  std::vector<PartialBeat> beats;
  std::vector<MergedBeat> expected;
  std::vector<MergeEnd> ends;

  void add(const Partials& partials) {
    append_beats(partials, ++id, lanes, beats);
    ends.push_back(append_expected(partials, id, lanes, expected));
  }
};

void compare(const std::vector<MergedBeat>& got, const std::vector<MergedBeat>& expected) {
  for (size_t i = 0; i < std::min(got.size(), expected.size()); ++i) {
    if (!(got[i] == expected[i])) {
      FAIL_CHECK("beat " << i << "\n  got      " << show(got[i]) << "\n  expected " << show(expected[i]));
      return;
    }
  }
  CHECK(got.size() == expected.size());
}

void check(Bench& bench, const Stream& s) {
  bench.ends.clear();
  bench.errors = 0;
  compare(bench.run(s.beats, s.expected.size()), s.expected);
  CHECK(bench.ends == s.ends);
  CHECK(bench.errors == 0);
  CHECK(bench.stray_nan == 0);
}

MergeFormat random_format(Rng& rng) { return static_cast<MergeFormat>(rng.below(3)); }

unsigned random_count(Rng& rng, unsigned longest) {
  return static_cast<unsigned>(rng.percent(60) ? rng.range(1, std::min(4U, longest)) : rng.range(1, longest));
}

Partials rough_partials(Rng& rng, unsigned count, unsigned elements) {
  const MergeFormat fmt = random_format(rng);
  const bool base2 = rng.coin();
  Partials out(count);
  for (auto& p : out) {
    p = {rough_lse(rng), base2, fmt, rng.coin(), std::vector<uint32_t>(elements)};
    for (auto& x : p.o) x = rough_element(rng, fmt);
  }
  return out;
}

Partials random_partials(Rng& rng, unsigned lanes, unsigned max_beats) {
  unsigned count = random_count(rng, 64);
  unsigned beats = random_count(rng, max_beats);
  if (count * beats > 300) (rng.coin() ? count : beats) = 2;
  if (rng.percent(40)) return rough_partials(rng, count, beats * lanes);
  const auto data = static_cast<Data>(rng.below(static_cast<uint64_t>(Data::kCount)));
  return make_partials(rng, data, count, beats * lanes, random_format(rng), rng.coin());
}

Partials one_lane(unsigned lanes, MergeFormat fmt, bool base2, const std::vector<std::pair<float, uint32_t>>& list) {
  Partials out;
  for (const auto& [lse, o] : list)
    out.push_back({bits_of(lse), base2, fmt, out.empty(), std::vector<uint32_t>(lanes, o)});
  return out;
}

constexpr float kInf = std::numeric_limits<float>::infinity();
constexpr float kNan = std::numeric_limits<float>::quiet_NaN();

}  // namespace

TEST_CASE("random merges come out of the RTL bit for bit as the model says, under random stalls", "[merge]") {
  for (const auto& [in, out] : std::vector<std::pair<unsigned, unsigned>>{{0, 0}, {30, 0}, {0, 40}, {20, 20}}) {
    Rng rng = Rng().fork("random" + std::to_string(in) + "," + std::to_string(out));
    Bench bench(rng, in, out);
    Stream s(bench.lanes());
    while (s.beats.size() < 40000) s.add(random_partials(rng, bench.lanes(), bench.max_beats()));
    check(bench, s);
  }
}

TEST_CASE("corner cases of a merge come out of the RTL as the model says", "[merge]") {
  Rng rng = Rng().fork("corners");
  Bench bench(rng, 10, 10);
  Stream s(bench.lanes());
  const uint32_t nan = 0x7fc00000;
  const uint32_t one = bits_of(1.0F);
  const uint32_t top = 0x7f7fffff;
  const std::vector<std::vector<std::pair<float, uint32_t>>> lists{
      {{0, one}},
      {{0, 0x80000000}},
      {{-0.0F, nan}},
      {{-kInf, nan}},
      {{kInf, 0x7f800000}},
      {{-kInf, nan}, {1, one}},
      {{1, one}, {-kInf, nan}},
      {{1, one}, {kInf, nan}, {1, 0xbf800000}},
      {{-kInf, nan}, {-kInf, nan}},
      {{kNan, one}, {1, one}},
      {{1, one}, {kNan, one}},
      {{1, 0x7f800000}, {1, 0xff800000}},
      {{1, 0x7f800000}, {-1e30F, one}},
      {{-1e30F, 0xff800000}, {1, one}},
      {{1, one}, {-1e30F, nan}},
      {{1e30F, one}, {1e30F, 0x40000000}, {1, nan}},
      {{-1e30F, one}, {-1e30F, 0x40000000}, {-2e30F, one}},
      {{4294967040.0F, one}, {4294967296.0F, 0x40000000}},
      {{4294967296.0F, one}, {4294967040.0F, 0x40000000}},
      {{4294967296.0F, 0}, {4294967040.0F, top}},
      {{-4294967296.0F, top}, {-4294967040.0F, 0}},
      {{8589934592.0F, one}, {8589934080.0F, top}},
      {{8589934080.0F, one}, {8589934592.0F, 0x40000000}},
      {{8589934080.0F, one}, {8589934080.0F, 0x40000000}, {8589933568.0F, one}},
      {{-8589934080.0F, one}, {-8589934592.0F, top}},
      {{0, top}, {0, top}, {0, top}},
      {{0, 0xff7fffff}, {0, top}},
      {{0, 1}, {0, 1}, {0, 2}},
      {{0, 1}, {-200, top}},
      {{-200, top}, {0, 1}},
      {{0, 0x007fffff}, {0, 0x80800000}},
      {{223.99998F, one}, {0, 0xc0000000}},
      {{224, one}, {0, 0xc0000000}},
      {{0, one}, {223.99998F, 0xc0000000}},
      {{0, one}, {224, 0xc0000000}},
      {{0, one}, {-224, 0xc0000000}},
      {{0, one}, {-224.00002F, 0xc0000000}},
      {{0, 0x80000000}, {0, 0x80000000}},
      {{0, 0x80000000}, {0, 0}},
      {{0, 0x80000000}, {-kInf, one}, {0, 0x80000000}},
      {{0, one}, {0, 0xbf800000}},
      {{2, one}, {1.5F, 0}},
      {{1e-40F, one}, {-1e-40F, 0x40000000}},
  };
  for (const bool base2 : {false, true}) {
    for (const auto& list : lists) s.add(one_lane(bench.lanes(), MergeFormat::kFp32, base2, list));
    // A creep upwards, each partial a little less than the gap above the last: exponents grow to 20,000.
    std::vector<std::pair<float, uint32_t>> creep;
    creep.reserve(64);
    for (int i = 0; i < 64; ++i)
      creep.emplace_back(static_cast<float>(i * (base2 ? 319.5 : 223.5) - 7000), one + static_cast<uint32_t>(i));
    s.add(one_lane(bench.lanes(), MergeFormat::kFp32, base2, creep));
    std::reverse(creep.begin(), creep.end());
    s.add(one_lane(bench.lanes(), MergeFormat::kFp32, base2, creep));
    // 63 partials just below half, and just below a whole, last place of the accumulator, of either sign.
    for (const uint32_t small :
         {bits_of(0x1p-40F) - 1, bits_of(0x1p-39F) - 1, bits_of(-0x1p-40F) - 1, bits_of(-0x1p-39F) - 1}) {
      for (const uint32_t first : {one, one + 1, one - 1}) {
        std::vector<std::pair<float, uint32_t>> list{{0, first}};
        list.reserve(64);
        for (int i = 0; i < 63; ++i) list.emplace_back(0.0F, small);
        s.add(one_lane(bench.lanes(), MergeFormat::kFp32, base2, list));
      }
    }
  }
  check(bench, s);
}

TEST_CASE("one partial alone leaves as it came, for every value of the 16-bit formats", "[merge]") {
  Rng rng = Rng().fork("alone");
  Bench bench(rng, 0, 0);
  const unsigned lanes = bench.lanes();
  for (const MergeFormat fmt : {MergeFormat::kFp16, MergeFormat::kBf16}) {
    Stream s(lanes);
    std::vector<uint32_t> wanted;
    for (uint32_t bits = 0; bits < 0x10000;) {
      Partials p{{bits_of(1.25F), rng.coin(), fmt, false, {}}};
      for (unsigned i = 0; i < bench.max_beats() * lanes; ++i) p[0].o.push_back(bits++ & 0xffff);
      s.add(p);
    }
    bench.ends.clear();
    const auto got = bench.run(s.beats, s.expected.size());
    compare(got, s.expected);
    // And without the model: the same bits, but for NaN, which is the quiet one.
    uint32_t bits = 0;
    unsigned wrong = 0;
    for (const auto& b : got) {
      for (const uint32_t d : b.data) {
        const uint32_t inf = fmt == MergeFormat::kFp16 ? 0x7c00 : 0x7f80;
        const uint32_t quiet = fmt == MergeFormat::kFp16 ? 0x7e00 : 0x7fc0;
        const uint32_t want = (bits & 0x7fff) > inf ? quiet : bits & 0xffff;
        wrong += d != want || b.lse != bits_of(1.25F) ? 1 : 0;
        bits = (bits + 1) & 0xffff;
      }
    }
    CHECK(wrong == 0);
  }
}

TEST_CASE("every rounding to a 16-bit format in the RTL is to nearest even", "[merge]") {
  // Between neighbours a and b: equal weights give the middle exactly, and a third partial of weight 2^-6 that carries
  // a or b moves it down or up by 2^-8 of the distance. fp32 at random places, the middle alone: so small a step is
  // below the unit's own error there.
  Rng rng = Rng().fork("middle");
  Bench bench(rng, 0, 0);
  const unsigned longest = bench.max_beats() * bench.lanes();
  for (const MergeFormat fmt : {MergeFormat::kFp16, MergeFormat::kBf16, MergeFormat::kFp32}) {
    const bool wide = fmt == MergeFormat::kFp32;
    const uint32_t infinity = fmt == MergeFormat::kFp16 ? 0x7c00 : wide ? 0x7f800000 : 0x7f80;
    const uint32_t sign = wide ? 0x80000000 : 0x8000;
    std::vector<uint32_t> places;
    for (uint32_t i = 0; i + 1 < (wide ? 0x8000 : infinity); ++i) {
      const uint32_t any = static_cast<uint32_t>(rng.next()) >> (i % 4 == 0 ? 9 : 1);  // a fourth of them denormal
      places.push_back(wide ? any % (infinity - 1) : i);
    }
    for (int side = wide ? 0 : -1; side <= (wide ? 0 : 1); ++side) {
      Stream s(bench.lanes());
      std::vector<uint32_t> wanted;
      for (size_t at = 0; at < places.size(); at += longest) {
        Partials p(side == 0 ? 2 : 3);
        for (auto& part : p) part = {bits_of(5.0F), true, fmt, false, {}};
        if (side != 0) p[2].lse = bits_of(-1.0F);
        for (unsigned i = 0; i < longest; ++i) {
          const uint32_t a = at + i < places.size() ? places[at + i] : 0;
          const uint32_t minus = rng.coin() ? sign : 0;
          p[0].o.push_back(minus | a);
          p[1].o.push_back(minus | (a + 1));
          if (side != 0) p[2].o.push_back(minus | (side < 0 ? a : a + 1));
          wanted.push_back(minus | (side < 0 ? a : side > 0 ? a + 1 : a + (a & 1)));
        }
        std::swap(p[0], p[rng.below(p.size())]);
        s.add(p);
      }
      bench.ends.clear();
      const auto got = bench.run(s.beats, s.expected.size());
      compare(got, s.expected);
      size_t wrong = 0;
      size_t at = 0;
      for (const auto& b : got) {
        for (const uint32_t d : b.data) wrong += d != wanted.at(at++) ? 1 : 0;
      }
      INFO("format " << static_cast<int>(fmt) << ", side " << side);
      CHECK(at == wanted.size());
      CHECK(wrong == 0);
    }
  }
}

TEST_CASE("special values in pairs come out of the RTL as the model says, in every format", "[merge]") {
  Rng rng = Rng().fork("pairs");
  Bench bench(rng, 0, 0);
  const unsigned lanes = bench.lanes();
  Stream s(lanes);
  const std::array<std::vector<uint32_t>, 3> values{
      std::vector<uint32_t>{0, 0x80000000, 1, 0x80000001, 0x7fffff, 0x800000, 0x800001, 0x3f800000, 0xbf800000,
                            0x3f7fffff, 0x7f7fffff, 0xff7fffff, 0x7f800000, 0xff800000, 0x7fc00000, 0x7f800001},
      std::vector<uint32_t>{0, 0x8000, 1, 0x8001, 0x3ff, 0x400, 0x401, 0x3c00, 0xbc00, 0x3bff, 0x7bff, 0xfbff, 0x7c00,
                            0xfc00, 0x7e00, 0x7c01},
      std::vector<uint32_t>{0, 0x8000, 1, 0x8001, 0x7f, 0x80, 0x81, 0x3f80, 0xbf80, 0x3f7f, 0x7f7f, 0xff7f, 0x7f80,
                            0xff80, 0x7fc0, 0x7f81}};
  for (unsigned f = 0; f < 3; ++f) {
    for (const float second : {0.0F, -0.7F, 3.0F, -100.0F, 400.0F, -kInf, kNan}) {
      Partials p(2);
      p[0].lse = bits_of(0.0F);
      p[1].lse = bits_of(second);
      for (auto& part : p) part.fmt = static_cast<MergeFormat>(f);
      for (const uint32_t a : values[f]) {
        for (const uint32_t b : values[f]) {
          p[0].o.push_back(a);
          p[1].o.push_back(b);
          if (p[0].o.size() == lanes) {
            s.add(p);
            p[0].o.clear();
            p[1].o.clear();
          }
        }
      }
    }
  }
  check(bench, s);
}

TEST_CASE("a partial of n beats takes max(n, 4) cycles, without a bubble between merges", "[merge]") {
  Rng rng = Rng().fork("rate");
  Bench bench(rng, 0, 0);
  Stream s(bench.lanes());
  uint64_t cycles = 0;
  for (int i = 0; i < 400; ++i) {
    const auto p = random_partials(rng, bench.lanes(), bench.max_beats());
    s.add(p);
    cycles += p.size() * std::max<size_t>(p[0].o.size() / bench.lanes(), 4);
  }
  check(bench, s);
  const uint64_t took = bench.taken_at.back() - bench.taken_at.front();
  CHECK(took <= cycles);
  CHECK(took + 4 * 2 >=
        cycles);  // and the rate is what the header says, not more (the last partial's rest is not seen)
}

TEST_CASE("the first output of two partials leaves at most 24 cycles after both first beats are in", "[merge]") {
  Rng rng = Rng().fork("latency");
  for (const unsigned beats : {1U, 2U, 8U}) {
    Bench bench(rng, 0, 0);
    Stream s(bench.lanes());
    s.add(make_partials(rng, Data::kNormal, 2, beats * bench.lanes(), MergeFormat::kFp32, false));
    check(bench, s);
    const uint64_t both_in = bench.taken_at[beats];
    CHECK(bench.given_at.front() - both_in <= 24);
    if (beats >= 4) CHECK(bench.given_at.front() - both_in == 20);  // as the header says
    CHECK(bench.given_at.back() - bench.given_at.front() == beats - 1);
  }
}

TEST_CASE("an output that is not taken holds the input, and nothing is lost", "[merge]") {
  Rng rng = Rng().fork("blocked");
  Bench bench(rng, 0, 50, 60);
  Stream s(bench.lanes());
  for (unsigned i = 0; i < 60; ++i) {
    s.add(make_partials(rng, Data::kNormal, 1 + i % 3, 3 * bench.lanes(), MergeFormat::kFp32, false));
  }
  check(bench, s);
}

namespace {

/// What lse_merge makes of any stream, written from its contract: missing beats count as zeros, beats too many and
/// beats outside a partial are dropped, the first partial's base, format, id and length hold for the merge, the 64th
/// partial ends it. `complete`: the stream ends between two partials.
std::vector<Partials> framed(const std::vector<PartialBeat>& beats, unsigned lanes, unsigned max_beats,
                             std::vector<uint16_t>& ids) {
  std::vector<Partials> merges;
  Partials open;
  size_t length = 0;
  uint16_t id = 0;
  size_t i = 0;
  while (i < beats.size()) {
    if (!beats[i].first) {
      ++i;
      continue;
    }
    const PartialBeat& head = beats[i];
    if (open.empty()) {
      length = std::min<size_t>(head.beats + 1U, max_beats);
      id = head.id;
    }
    const auto fmt = static_cast<MergeFormat>(head.fmt == 3 ? 0 : head.fmt);
    kvsink::model::LseMerge::Partial p{
        head.lse, open.empty() ? head.base2 : open[0].base2, open.empty() ? fmt : open[0].fmt, head.is_sink, {}};
    for (size_t b = 0; b < head.beats + 1U && i < beats.size() && (b == 0 || !beats[i].first); ++b, ++i) {
      if (b < length) p.o.insert(p.o.end(), beats[i].data.begin(), beats[i].data.end());
    }
    p.o.resize(length * lanes, 0);
    open.push_back(p);
    if (head.last_partial || open.size() == 64) {
      merges.push_back(open);
      ids.push_back(id);
      open.clear();
    }
  }
  return merges;
}

}  // namespace

TEST_CASE("any stream ends as merges, whatever its frames say, and errors are reported", "[merge]") {
  Rng rng = Rng().fork("malformed");
  for (int round = 0; round < 40; ++round) {
    Bench bench(rng.fork(std::to_string(round)), 20, 20);
    const unsigned lanes = bench.lanes();
    std::vector<PartialBeat> beats;
    for (int merge = 0; merge < 12; ++merge) {
      const unsigned count = rng.percent(5) ? 70 : static_cast<unsigned>(rng.range(1, 4));
      const auto p = rough_partials(rng, count, static_cast<unsigned>(rng.range(1, 5)) * lanes);
      append_beats(p, static_cast<uint16_t>(rng.next()), lanes, beats);
    }
    const size_t before = beats.size();
    for (int damage = 0; damage < 12; ++damage) {
      const auto at = static_cast<long>(rng.below(beats.size()));
      PartialBeat& b = beats[static_cast<size_t>(at)];
      switch (rng.below(8)) {
        case 0:
          beats.erase(beats.begin() + at);
          break;
        case 1:
          beats.insert(beats.begin() + at, b);
          break;
        case 2:
          b.first = !b.first;
          break;
        case 3:
          b.last_partial = !b.last_partial;
          break;
        case 4:
          b.beats = static_cast<uint8_t>(rng.below(8));
          break;
        case 5:
          b.fmt = static_cast<unsigned>(rng.below(4));
          break;
        case 6:
          b.base2 = !b.base2;
          break;
        default:
          b.beats = static_cast<uint8_t>(rng.next());
          break;
      }
    }
    // A whole partial of one beat closes what is open; before it, enough of a new one to end what was cut.
    PartialBeat end = beats[before / 2];
    end.first = true;
    end.beats = 0;
    end.last_partial = true;
    beats.push_back(end);
    end.id = 0x5a5a;
    beats.push_back(end);
    std::vector<uint16_t> ids;
    const auto merges = framed(beats, lanes, bench.max_beats(), ids);
    std::vector<MergedBeat> expected;
    std::vector<MergeEnd> ends;
    for (size_t m = 0; m < merges.size(); ++m) ends.push_back(append_expected(merges[m], ids[m], lanes, expected));
    const auto got = bench.run(beats, expected.size());
    INFO("round " << round);
    compare(got, expected);
    CHECK(bench.ends == ends);
    CHECK(got.back().id == 0x5a5a);
  }
}

TEST_CASE("each way to break the stream's frames raises the error", "[merge]") {
  Rng rng = Rng().fork("errors");
  const auto errors_of = [&](auto&& damage) {
    Bench bench(rng, 0, 0);
    std::vector<PartialBeat> beats;
    for (int i = 0; i < 3; ++i) {
      append_beats(make_partials(rng, Data::kNormal, 2, 4 * bench.lanes(), MergeFormat::kFp16, false), 1, bench.lanes(),
                   beats);
    }
    damage(beats, bench);
    bench.run(beats, 0);
    return bench.errors;
  };
  CHECK(errors_of([](auto&, auto&) {}) == 0);
  CHECK(errors_of([](auto& b, auto&) { b.erase(b.begin() + 6); }) == 1);         // a beat is missing
  CHECK(errors_of([](auto& b, auto&) { b.insert(b.begin() + 6, b[6]); }) == 1);  // a beat too many
  CHECK(errors_of([](auto& b, auto&) { b[4].beats = 2; }) >= 1);                 // another length
  CHECK(errors_of([](auto& b, auto&) { b[4].base2 = true; }) == 1);              // bases mixed
  CHECK(errors_of([](auto& b, auto&) { b[4].fmt = 2; }) == 1);                   // formats mixed
  CHECK(errors_of([](auto& b, auto&) { b[0].fmt = b[4].fmt = 3; }) == 2);        // no format
  CHECK(errors_of([](auto& b, auto& bench) {
          if (bench.max_beats() < 256)
            b[0].beats = 255;
          else
            b[0].first = false;
        }) >= 1);
  CHECK(errors_of([](auto& b, auto& bench) {  // 65 partials
          b.clear();
          for (int i = 0; i < 65; ++i) {
            PartialBeat beat;
            beat.first = true;
            beat.last_partial = i == 64;
            beat.data.resize(bench.lanes());
            b.push_back(beat);
          }
        }) == 1);
}

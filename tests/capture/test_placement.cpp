// SPDX-License-Identifier: Apache-2.0
// What `kvsink info` measures, on traces whose answer is known: by hand, by construction, or by another sum.
#include <algorithm>
#include <cmath>
#include <list>
#include <numeric>

#include "support/catch.hpp"
#include "support/seed.hpp"
#include "sw/analysis/lru.hpp"
#include "sw/analysis/placement.hpp"
#include "sw/capture/synth.hpp"
#include "sw/golden/attention.hpp"
#include "sw/golden/half.hpp"
#include "sw/trace/trace_writer.hpp"
#include "tb/common/rng.hpp"
#include "tests/trace/trace_file.hpp"

namespace {

using Catch::Approx;
using kvsink::analysis::measure;
using kvsink::analysis::Placement;
using kvsink::test::TempFolder;
using kvsink::trace::Trace;

/// A trace of one layer and head whose scores are the numbers given for each token: every query is 1, every key its
/// token's number, every value 1.
Trace by_hand(const std::string& path, const std::vector<double>& scores, std::uint32_t prefill, std::uint32_t window,
              double sink_logit) {
  const auto tokens = static_cast<std::uint32_t>(scores.size());
  kvsink::trace::TracePlan plan{{1, tokens, 1, 1, 2, tokens - prefill}, prefill, 1.0, {window}, {}};
  if (std::isfinite(sink_logit)) {
    plan.sink_logits = {static_cast<float>(sink_logit)};
  }
  auto writer = kvsink::trace::TraceWriter::create(path, plan);
  REQUIRE(writer);
  std::vector<std::int32_t> ids(tokens, 0);
  std::vector<std::int32_t> positions;
  const std::vector<std::uint16_t> ones = {0x3c00, 0};
  for (std::uint32_t t = 0; t < tokens; ++t) {
    REQUIRE(writer->write_q(0, t, ones));
    REQUIRE(writer->write_k(0, t, std::vector<std::uint16_t>{kvsink::golden::double_to_half(scores[t]), 0}));
    REQUIRE(writer->write_v(0, t, ones));
    if (t >= prefill) {
      double sum = 0;
      for (std::uint32_t s = 0; s <= t; ++s) {
        sum += std::exp(scores[s]);
      }
      REQUIRE(writer->write_step(0, t - prefill, std::vector<float>{1, 0},
                                 std::vector<float>{static_cast<float>(std::log(sum))}));
      positions.push_back(static_cast<std::int32_t>(t));
    }
  }
  REQUIRE(writer->finish(ids, positions, {{"model", "m"}, {"source", "s"}, {"licence", "l"}}));
  auto trace = Trace::load(path);
  REQUIRE(trace);
  return *std::move(trace);
}

Trace synthetic(const TempFolder& folder, const kvsink::capture::SynthOptions& o) {
  const auto ok = kvsink::capture::synthesise(o, folder / "s");
  if (!ok) FAIL(ok.error().message);
  auto trace = Trace::load(folder / "s");
  if (!trace) FAIL(trace.error().message);
  return *std::move(trace);
}

double sum(const std::vector<double>& values) { return std::accumulate(values.begin(), values.end(), 0.0); }

}  // namespace

TEST_CASE("mass, windows and learned sinks of a trace made by hand", "[capture][info]") {
  TempFolder folder;
  // Weights 1, 2, 1, 4: the one step sees all four.
  const std::vector<double> scores = {0, std::log(2.0), 0, std::log(4.0)};
  const double none = -HUGE_VAL;
  const Placement plain = measure(by_hand(folder / "a", scores, 3, 0, none));
  const std::vector<double> eighths = {1, 2, 1, 4};
  for (std::size_t t = 0; t < 4; ++t) {
    CHECK(plain.by_position[t] == Approx(eighths[t] / 8).epsilon(1e-3));
  }
  CHECK(plain.lse_min == Approx(std::log(8.0)));
  CHECK(plain.heads.at(0).learned_sink == 0);

  const Placement window = measure(by_hand(folder / "b", scores, 3, 2, none));
  CHECK(window.by_position[0] == 0);
  CHECK(window.by_position[1] == 0);
  CHECK(window.by_position[2] == Approx(0.2).epsilon(1e-3));
  CHECK(window.by_position[3] == Approx(0.8).epsilon(1e-3));

  const Placement sink = measure(by_hand(folder / "c", scores, 3, 0, std::log(8.0)));
  CHECK(sink.heads.at(0).learned_sink == Approx(0.5).epsilon(1e-3));
  CHECK(sink.by_position[3] == Approx(0.25).epsilon(1e-3));
  // Both: of 1 + 4 and a sink of 8.
  const Placement both = measure(by_hand(folder / "d", scores, 3, 2, std::log(8.0)));
  CHECK(both.heads.at(0).learned_sink == Approx(8.0 / 13).epsilon(1e-3));
  CHECK(both.by_position[2] == Approx(1.0 / 13).epsilon(1e-3));
}

TEST_CASE("scores follow the rule, and recall counts what prefill had chosen", "[capture][info]") {
  TempFolder folder;
  // 64 tokens: token 3 weighs 100, the others 1. 4 steps.
  std::vector<double> scores(64, 0.0);
  scores[3] = std::log(100.0);
  const Trace trace = by_hand(folder / "a", scores, 60, 0, -HUGE_VAL);
  kvsink::analysis::ScoreRule rule;
  rule.min_distance = 8;
  rule.min_queries = 16;
  const Placement p = measure(trace, rule);
  // The mean over queries i from 11 to 59 of A * (i + 1) = 100 (i + 1) / (i + 100).
  double mean = 0;
  for (int i = 11; i < 60; ++i) {
    mean += 100.0 * (i + 1) / (i + 100) / 49;
  }
  CHECK(p.score_prefill[3] == Approx(mean).epsilon(2e-3));
  CHECK(p.sinks == std::vector<std::size_t>{3});
  CHECK(p.score_prefill[44] == 0);  // seen by 15 queries from a distance of 8: 52 to 59 and no more
  CHECK(p.score_prefill[36] > 0);
  REQUIRE(p.budgets.at(0).tokens == 1);
  CHECK(p.budgets[0].recall == 1.0);
  CHECK(p.budgets[0].mass_chosen == Approx(p.by_position[3]));
  CHECK(p.budgets[0].mass_strongest == Approx(p.by_position[3]));
  // Steps at 60..63 read 61 + 62 + 63 + 64 rows, the token's are one in each.
  CHECK(p.budgets[0].bytes_share == Approx(4.0 / 250));
  CHECK(kvsink::analysis::byte_share(trace, {62}) == Approx(2.0 / 250));
  CHECK(sum(p.by_position) == Approx(1.0));
}

TEST_CASE("a synthetic trace has the sinks, drift and bursts that were asked for, and says what it is",
          "[capture][info][synth]") {
  TempFolder folder;
  kvsink::capture::SynthOptions o;
  o.tokens = 600;
  o.steps = 40;
  o.sinks = 2;
  o.strength = 0.6;
  o.seed = kvsink::test_seed();
  const Trace steady = synthetic(folder, o);
  CHECK(steady.synthetic());
  CHECK(steady.meta("model") == "synthetic");
  const Placement p = measure(steady);
  CHECK(p.sinks.size() == 2);
  for (const kvsink::analysis::Head& head : p.heads) {
    CHECK(head.mass[0] + head.mass[1] == Approx(0.6).epsilon(0.01));
  }
  CHECK(p.budgets.at(1).recall == 1.0);
  // Its outputs are exact attention, as a captured trace's are.
  const auto exact = kvsink::golden::exact_attention(steady, 1, 3, 599);
  CHECK(steady.lse(1, 39, 3) == Approx(exact.lse).epsilon(1e-6));

  o.drift = 0.75;
  const Placement drift = measure(synthetic(folder, o));
  const auto share = [](const Placement& at, std::size_t segment) {
    return at.by_segment[segment][0] + at.by_segment[segment][1];
  };
  CHECK(share(drift, 0) == Approx(0.6).epsilon(0.05));
  CHECK(share(drift, drift.by_segment.size() - 1) == Approx(0.15).epsilon(0.2));
  CHECK(drift.segments.back().mass_chosen < 0.5 * drift.segments.front().mass_chosen);

  o.drift = 0;
  o.bursts = 1;
  o.burst_strength = 0.3;
  const Placement burst = measure(synthetic(folder, o));
  std::vector<double> peak(600);
  for (const auto& segment : burst.by_segment) {
    for (std::size_t t = 2; t < 560; ++t) {
      peak[t] = std::max(peak[t], segment[t]);
    }
  }
  CHECK(*std::max_element(peak.begin(), peak.end()) > 0.2);
  CHECK(burst.sinks.size() == 2);

  o = {};
  o.steps = o.tokens;
  CHECK_FALSE(kvsink::capture::synthesise(o, folder / "x"));
  o = {};
  o.sinks = 20;
  o.drift = 0.5;
  CHECK_FALSE(kvsink::capture::synthesise(o, folder / "x"));
  o = {};
  o.q_heads = 3;
  CHECK_FALSE(kvsink::capture::synthesise(o, folder / "x"));
  o = {};
  o.strength = 0.9;
  o.bursts = 1;
  CHECK_FALSE(kvsink::capture::synthesise(o, folder / "x"));
  CHECK_FALSE(std::filesystem::exists(folder / "x"));
}

TEST_CASE("an LRU cache holds what was read last, as a list of keys does", "[capture][info]") {
  kvsink::tb::Rng rng;
  for (const std::size_t capacity : {0, 1, 5, 20, 40}) {
    kvsink::analysis::LruCache cache(40, capacity);
    std::list<std::size_t> recent;
    for (int i = 0; i < 2000; ++i) {
      const std::size_t key = rng.below(i % 3 == 0 ? 40 : 12);
      const auto found = std::find(recent.begin(), recent.end(), key);
      REQUIRE(cache.read(key) == (found != recent.end()));
      if (found != recent.end()) recent.erase(found);
      recent.push_front(key);
      if (recent.size() > capacity) recent.pop_back();
    }
  }
}

TEST_CASE("an LRU cache smaller than the rows of a step serves none of them, the strongest no more than others",
          "[capture][info]") {
  TempFolder folder;
  std::vector<double> scores(64, 0.0);
  scores[3] = std::log(100.0);
  const Trace trace = by_hand(folder / "a", scores, 60, 0, -HUGE_VAL);  // steps of 61 to 64 tokens, K and V
  const auto hits = kvsink::analysis::lru_hits(trace, {0.5, 0.99, 2}, {3});
  REQUIRE(hits.size() == 3);
  for (std::size_t i = 0; i < 2; ++i) {
    CHECK(hits[i].rows < 2 * 61);
    CHECK(hits[i].reads == 2 * (61 + 62 + 63));
    CHECK(hits[i].hits == 0);
    CHECK(hits[i].token_reads == 2 * 3);
    CHECK(hits[i].token_hits == 0);
  }
  CHECK(hits[2].hits == hits[2].reads);
  CHECK(hits[2].token_hits == 6);
  // A window of 8: 16 rows a step, of which 14 were read before.
  const Trace window = by_hand(folder / "b", scores, 60, 8, -HUGE_VAL);
  const auto some = kvsink::analysis::lru_hits(window, {1.2}, {3});
  CHECK(some[0].reads == 2 * 7 * 3);
  CHECK(some[0].hits == some[0].reads);
  CHECK(some[0].token_reads == 0);
}

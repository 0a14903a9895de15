// SPDX-License-Identifier: Apache-2.0
// sink_scorer against its bit-exact model and against the exact score, and its rules for batches, commands and time.
#include <VScorerDefault.h>
#include <VScorerSmall.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <random>

#include "support/catch.hpp"
#include "support/seed.hpp"
#include "sw/models/sink_scorer_model.hpp"
#include "tests/score/score_bench.hpp"

namespace {

using kvsink::model::ExactScorer;
using kvsink::model::score_bits;
using kvsink::model::score_value;
using kvsink::model::ScoreAnswer;
using kvsink::model::ScoreBeat;
using kvsink::model::ScorerConfig;
using kvsink::model::SinkScorer;
using kvsink::test::ScoreBench;
using kvsink::test::ScoreCommand;
using Random = std::mt19937_64;

// The stated resolution: half a bit of rounding to 14 fraction bits, and half a bit of each product's 16.
constexpr double kResolution = 0x1p-15 + 0x1p-17;

uint32_t bits(float f) { return std::bit_cast<uint32_t>(f); }
uint32_t below(Random& r, uint32_t n) { return static_cast<uint32_t>(r() % n); }
bool chance(Random& r, uint32_t percent) { return below(r, 100) < percent; }

float weight(Random& r) {
  const float u = static_cast<float>(below(r, 1U << 24)) * 0x1p-24F;
  switch (below(r, 4)) {
    case 0:
      return u;
    case 1:
      return u * u * u * u;
    case 2:
      return std::ldexp(u, -static_cast<int>(below(r, 40)));
    default:
      return below(r, 2) == 0 ? 0.0F : 1.0F;
  }
}

// Any 32 bits, the special ones often.
uint32_t any_weight(Random& r) {
  static constexpr uint32_t kSpecial[] = {0x00000000, 0x80000000, 0x3f800000, 0x3f800001, 0x3f7fffff, 0x7f800000,
                                          0xff800000, 0x7fc00000, 0xffc00001, 0x7f800001, 0x00000001, 0x007fffff,
                                          0x80000001, 0xbf800000, 0x00800000, 0x2f800000, 0x33800000, 0x37000000};
  if (chance(r, 30)) return kSpecial[below(r, std::size(kSpecial))];
  return chance(r, 20) ? static_cast<uint32_t>(r()) : bits(weight(r));
}

ScorerConfig random_config(Random& r, ScorerConfig c) {
  c.layer_first = chance(r, 50) ? 0 : below(r, c.layers);
  c.layer_count = chance(r, 50) ? c.layers - c.layer_first : 1 + below(r, c.layers);
  for (auto& range : c.layer_weights) {
    if (chance(r, 50)) continue;
    range.first = below(r, c.layers);
    range.count = below(r, c.layers - range.first + 1);
    range.weight = below(r, 16);
  }
  for (size_t h = 0; h < c.head_mask.size(); h++) c.head_mask[h] = chance(r, 70);
  c.min_distance = chance(r, 50) ? below(r, 4) : chance(r, 90) ? below(r, 64) : below(r, c.positions + 1);
  c.min_queries = chance(r, 50) ? 0 : below(r, 3);
  c.raw = chance(r, 40);
  c.raw_shift = chance(r, 50) ? 0 : below(r, 32);
  return c;
}

// A beat with anything in it; `span` keeps the positions close, so that words are hit again at once.
ScoreBeat random_beat(Random& r, const ScorerConfig& c, uint32_t owner, uint32_t span) {
  ScoreBeat b;
  b.owner = owner;
  b.layer = below(r, c.layers);
  b.q_head = below(r, c.q_heads);
  b.column_sum = chance(r, 15);
  b.first = below(r, span);
  b.query_pos = chance(r, 80) ? std::min(c.positions - 1, b.first + below(r, 80)) : below(r, c.positions);
  b.strobe = chance(r, 60) ? (1ULL << c.lanes) - 1 : below(r, 1U << c.lanes);
  for (uint32_t i = 0; i < c.lanes; i++) b.weight.push_back(any_weight(r));
  if (b.column_sum) {
    for (uint32_t i = 0; i < c.lanes; i += 2) {
      if (chance(r, 60)) b.weight[i] = bits(weight(r) * static_cast<float>(1U << below(r, 30)));
      b.weight[i + 1] = chance(r, 95) ? below(r, 1000) : static_cast<uint32_t>(r());
    }
  }
  return b;
}

template <class V>
void check_counters(ScoreBench<V>& bench, const SinkScorer& model) {
  bench.ticks(40);
  CHECK(bench.counters.beats == model.counters().beats);
  CHECK(bench.counters.saturated == model.counters().saturated);
  CHECK(bench.counters.discarded == model.counters().discarded);
  CHECK(bench.counters.malformed == model.counters().malformed);
}

// Sends a batch and waits until it is held.
template <class V>
void send(ScoreBench<V>& bench, SinkScorer& model, const std::vector<ScoreBeat>& beats) {
  const uint64_t want = bench.counters.beats + beats.size();
  for (const ScoreBeat& b : beats) {
    bench.push(b);
    model.take(b);
  }
  bench.until("the beats of a batch", [&] { return bench.counters.beats == want; });
}

// Runs commands through both; the answers must be the same.
template <class V>
void ask(ScoreBench<V>& bench, SinkScorer& model, const std::vector<ScoreCommand>& commands) {
  std::vector<ScoreAnswer> want;
  for (const ScoreCommand& c : commands) {
    bench.push(c);
    if (c.op == ScoreCommand::kRead) want.push_back(model.read(c.position, c.mark, c.prefill));
    if (c.op == ScoreCommand::kTop) {
      for (const ScoreAnswer& a : model.top(c.count, c.threshold, c.prefill)) want.push_back(a);
    }
    if (c.op == ScoreCommand::kFree) model.free();
  }
  bench.answers.clear();
  bench.until("the answers of the commands",
              [&] { return bench.commands_left() == 0 && bench.answers.size() >= want.size(); });
  bench.ticks(4);
  REQUIRE(bench.answers.size() == want.size());
  for (size_t i = 0; i < want.size(); i++) {
    CAPTURE(i);
    REQUIRE(bench.answers[i].valid == want[i].valid);
    REQUIRE(bench.answers[i].last == want[i].last);
    REQUIRE(bench.answers[i].score == want[i].score);
    if (want[i].valid) REQUIRE(bench.answers[i].position == want[i].position);
  }
}

std::vector<ScoreCommand> random_commands(Random& r, const ScorerConfig& c, const SinkScorer& model, uint32_t span) {
  std::vector<ScoreCommand> out;
  const auto threshold = [&] {
    if (chance(r, 30)) return 0U;
    SinkScorer copy = model;  // one that is met exactly
    return copy.read(below(r, std::min(span + c.lanes, c.positions)), false, false).score;
  };
  const auto top = [&] {
    ScoreCommand t{ScoreCommand::kTop};
    t.count = chance(r, 10) ? 0 : chance(r, 30) ? c.top_k * (1 + below(r, 3)) : below(r, 4 * c.top_k);
    t.threshold = threshold();
    t.prefill = chance(r, 50);
    return t;
  };
  if (chance(r, 70)) out.push_back(top());
  const uint32_t reads = below(r, 60);
  for (uint32_t i = 0; i < reads; i++) {
    ScoreCommand read{ScoreCommand::kRead};
    read.position = chance(r, 90) ? below(r, std::min(span + c.lanes, c.positions)) : below(r, c.positions);
    read.mark = chance(r, 40);
    read.prefill = chance(r, 30);
    out.push_back(read);
  }
  if (chance(r, 90)) out.push_back(top());
  if (chance(r, 30)) out.push_back(top());
  return out;
}

template <class V>
void random_batches(int batches, uint32_t beats, uint64_t salt) {
  Random r(kvsink::test_seed() + salt);
  ScoreBench<V> bench(r());
  SinkScorer model(bench.sizes());
  for (int n = 0; n < batches; n++) {
    CAPTURE(n);
    const ScorerConfig c = random_config(r, bench.sizes());
    bench.configure(c);
    model.configure(c);
    bench.ticks(4);
    bench.stall(chance(r, 50) ? 0 : below(r, 60), chance(r, 50) ? 0 : below(r, 60), chance(r, 50) ? 0 : below(r, 90));
    const uint32_t span = 1 + below(r, chance(r, 60) ? 24 : chance(r, 80) ? c.positions / 4 : c.positions);
    const uint32_t owner = below(r, 4);
    std::vector<ScoreBeat> batch(1 + below(r, beats));
    for (ScoreBeat& b : batch) b = random_beat(r, c, owner, span);
    batch.back().last = true;
    send(bench, model, batch);
    REQUIRE(bench.batch_valid());
    REQUIRE(bench.batch_owner() == owner);
    ask(bench, model, random_commands(r, c, model, span));
    if (model.used()) {
      // What is sent while the batch is in use waits for its end.
      const uint64_t before = bench.counters.beats;
      ScoreBeat next = random_beat(r, c, owner, span);
      next.last = true;
      bench.push(next);
      bench.ticks(30);
      REQUIRE(bench.counters.beats == before);
      ask(bench, model, {ScoreCommand{ScoreCommand::kFree}});
      model.take(next);
      bench.until("the beat that waited", [&] { return bench.counters.beats == before + 1; });
      REQUIRE(bench.batch_valid());
    }
    ask(bench, model, {ScoreCommand{ScoreCommand::kFree}});
    REQUIRE_FALSE(bench.batch_valid());
  }
  check_counters(bench, model);
}

// A beat of `lanes` weights w at positions first..., for query i.
ScoreBeat row_beat(const ScorerConfig& c, uint32_t owner, uint32_t query, uint32_t first, float w, bool last) {
  ScoreBeat b;
  b.owner = owner;
  b.query_pos = query;
  b.first = first;
  b.strobe = (1ULL << c.lanes) - 1;
  b.weight.assign(c.lanes, bits(w));
  b.last = last;
  return b;
}

ScoreCommand read_of(uint32_t position) {
  ScoreCommand c;
  c.position = position;
  return c;
}

ScoreCommand top_of(uint32_t count, uint32_t threshold, bool prefill = false) {
  ScoreCommand c{ScoreCommand::kTop};
  c.count = count;
  c.threshold = threshold;
  c.prefill = prefill;
  return c;
}

}  // namespace

TEST_CASE("the scorer equals its bit-exact model on random batches of anything", "[score]") {
  random_batches<VScorerSmall>(300, 300, 1);
}

TEST_CASE("the scorer of the default configuration equals its bit-exact model", "[score]") {
  random_batches<VScorerDefault>(25, 400, 2);
}

TEST_CASE("scores and chosen tokens are those of the exact formula, to the stated resolution", "[score]") {
  Random r(kvsink::test_seed() + 3);
  ScoreBench<VScorerSmall> bench(r());
  SinkScorer model(bench.sizes());
  for (int n = 0; n < 8; n++) {
    ScorerConfig c = bench.sizes();
    c.layer_count = 2;
    c.head_mask.assign(c.q_heads, false);
    c.head_mask[1] = c.head_mask[4] = true;
    c.min_distance = n % 2 == 0 ? 32 : 1;
    c.min_queries = n % 3 == 0 ? 0 : 16;
    if (n % 2 == 1) c.layer_weights = {{{1, 1, 5}, {0, 3, 2}}};  // layers 0 and 1 count 2 and 5 times
    c.raw = n >= 6;
    bench.configure(c);
    model.configure(c);
    ExactScorer exact(c);
    std::vector<ScoreBeat> beats;
    const uint32_t tokens = 100;
    for (uint32_t layer = 0; layer < 3; layer++) {
      for (uint32_t head = 0; head < 5; head++) {
        for (uint32_t i = 0; i < tokens; i++) {
          std::vector<double> a(i + 1);
          double sum = 0;
          for (uint32_t t = 0; t <= i; t++) sum += a[t] = std::exp(6.0 * weight(r) + (t == 7 ? 4.0 : 0.0));
          for (uint32_t t = 0; t <= i; t += c.lanes) {
            ScoreBeat b = row_beat(c, 1, i, t, 0, false);
            b.layer = layer;
            b.q_head = head;
            b.strobe = 0;
            for (uint32_t j = 0; j < c.lanes && t + j <= i; j++) {
              const auto w = static_cast<float>(a[t + j] / sum);
              b.weight[j] = bits(w);
              b.strobe |= 1U << j;
              exact.add(layer, head, i, t + j, w);
            }
            beats.push_back(b);
          }
        }
      }
    }
    beats.back().last = true;
    send(bench, model, beats);
    const double resolution = c.raw ? 0x1p-15 + 200 * 0x1p-33 : kResolution;
    for (const bool prefill : {false, true}) {
      bench.answers.clear();
      for (uint32_t t = 0; t < tokens; t++) {
        ScoreCommand read = read_of(t);
        read.prefill = prefill;
        bench.push(read);
      }
      bench.until("reads", [&] { return bench.answers.size() == tokens; });
      for (uint32_t t = 0; t < tokens; t++) {
        CAPTURE(n, prefill, t);
        CHECK(std::abs(score_value(bench.answers[t].score) - exact.score(t, prefill)) <= resolution);
      }
      bench.answers.clear();
      bench.push(top_of(tokens, 0, prefill));
      bench.until("top", [&] { return !bench.answers.empty() && bench.answers.back().last; });
      const auto want = exact.top(tokens, 0, prefill);
      REQUIRE(bench.answers.size() == want.size());
      for (size_t i = 0; i < want.size(); i++) {
        // The same token, or one whose exact score is as good within the resolution.
        CHECK(std::abs(exact.score(bench.answers[i].position, prefill) - want[i].score) <= 2 * resolution);
      }
      CHECK(bench.answers[0].position == want[0].position);
    }
    bench.push(ScoreCommand{ScoreCommand::kFree});
    bench.ticks(40);
    model.free();
  }
}

TEST_CASE("an even spread scores 1.0 at every context length, and raw mode gives the plain sum", "[score]") {
  ScoreBench<VScorerDefault> bench(kvsink::test_seed());
  SinkScorer model(bench.sizes());
  ScorerConfig c = bench.sizes();
  c.min_distance = 1;
  for (const bool raw : {false, true}) {
    c.raw = raw;
    bench.configure(c);
    model.configure(c);
    std::vector<ScoreBeat> beats;
    double sum = 0;
    for (const uint32_t i : {1023U, 4095U, 32767U, 131071U}) {
      const float even = 1.0F / static_cast<float>(i + 1);
      beats.push_back(row_beat(c, 0, i, 5, even, i == 131071U));
      sum += even;
    }
    send(bench, model, beats);
    bench.answers.clear();
    bench.push(read_of(6));
    bench.until("a read", [&] { return bench.answers.size() == 1; });
    CHECK(bench.answers[0].score == score_bits(raw ? sum : 1.0));
    bench.push(ScoreCommand{ScoreCommand::kFree});
    bench.ticks(40);
    model.free();
  }
}

TEST_CASE("the sums hold every weight at 1.0 for the longest context, and saturate beyond, reported", "[score]") {
  ScoreBench<VScorerDefault> bench(kvsink::test_seed());
  SinkScorer model(bench.sizes());
  ScorerConfig c = bench.sizes();
  bench.configure(c);
  // All queries of 131,072 positions over 80 layers and 64 heads, as one column sum: the count is 671,088,640 and the
  // sum of i + 1 over them 80 * 64 * 131072 * 131073 / 2.
  ScoreBeat b;
  b.column_sum = true;
  b.strobe = 3;
  b.weight.assign(c.lanes, 0);
  const double count = 80.0 * 64 * 131072;
  b.weight[0] = bits(static_cast<float>(count * 131073 / 2));
  b.weight[1] = static_cast<uint32_t>(count);
  b.last = true;
  send(bench, model, {b});
  bench.answers.clear();
  ask(bench, model, {read_of(0)});
  CHECK(bench.answers[0].score == score_bits(static_cast<double>(std::bit_cast<float>(b.weight[0])) / count));
  CHECK(bench.counters.saturated == 0);
  ask(bench, model, {ScoreCommand{ScoreCommand::kFree}});

  // The sum is full with the third, and the score above 2^18.
  b.weight[0] = bits(0x1p47F);
  b.weight[1] = 1;
  b.last = false;
  ScoreBeat end = b;
  end.last = true;
  send(bench, model, {b, b, end});
  ask(bench, model, {read_of(0), top_of(4, 0)});
  CHECK(bench.answers[0].score == UINT32_MAX);
  check_counters(bench, model);
  CHECK(bench.counters.saturated > 0);
}

TEST_CASE("a layer's weight makes its attention count that often, 0 leaves the layer out", "[score]") {
  ScoreBench<VScorerSmall> bench(kvsink::test_seed());
  SinkScorer model(bench.sizes());
  ScorerConfig c = bench.sizes();
  c.min_distance = 1;
  c.layer_weights = {{{2, 1, 0}, {0, 2, 3}, {1, 4, 15}}};  // layers 0, 1: 3; 2: 0; 3, 4: 15; the others: 1
  const std::vector<uint32_t> weights{3, 3, 0, 15, 15, 1, 1, 1};
  for (const bool raw : {false, true}) {
    c.raw = raw;
    bench.configure(c);
    model.configure(c);
    std::vector<ScoreBeat> beats;
    double sum = 0;
    uint32_t count = 0;
    for (uint32_t layer = 0; layer < 8; layer++) {
      const float w = 1.0F / static_cast<float>(2U << layer);
      beats.push_back(row_beat(c, 0, 99, 8, w, layer == 7));
      beats.back().layer = layer;
      sum += weights[layer] * static_cast<double>(w) * (raw ? 1 : 100);
      count += weights[layer];
    }
    send(bench, model, beats);
    bench.answers.clear();
    bench.push(read_of(9));
    bench.until("a read", [&] { return bench.answers.size() == 1; });
    CHECK(bench.answers[0].score == score_bits(raw ? sum : sum / count));
    bench.push(ScoreCommand{ScoreCommand::kFree});
    bench.ticks(40);
    model.free();
  }
  // min_queries is in queries: one query in all layers and heads is 39 * 8 contributions, and one less is too few.
  c.raw = false;
  c.min_queries = 1;
  bench.configure(c);
  model.configure(c);
  ScoreBeat b;
  b.column_sum = true;
  b.strobe = 0xf;
  b.weight = {bits(312.0F), 39 * 8, bits(312.0F), 39 * 8 - 1};
  b.last = true;
  bench.ticks(40);
  send(bench, model, {b});
  bench.answers.clear();
  ScoreCommand read = read_of(0);
  read.prefill = true;
  bench.push(read);
  read.position = 1;
  bench.push(read);
  bench.until("the reads", [&] { return bench.answers.size() == 2; });
  CHECK(bench.answers[0].score == score_bits(1.0));
  CHECK(bench.answers[1].score == 0);
}

TEST_CASE("zero-score tokens of the batch fill the budget, tokens beyond it do not", "[score]") {
  ScoreBench<VScorerSmall> bench(kvsink::test_seed());
  SinkScorer model(bench.sizes());
  const ScorerConfig c = bench.sizes();  // distance 32: nothing of this batch scores
  bench.configure(c);
  send(bench, model, {row_beat(c, 2, 9, 0, 0.5F, false), row_beat(c, 2, 9, 4, 0.5F, true)});
  bench.answers.clear();
  bench.push(top_of(100, 0));
  bench.until("top", [&] { return !bench.answers.empty() && bench.answers.back().last; });
  REQUIRE(bench.answers.size() == 8);
  for (uint32_t i = 0; i < 8; i++) CHECK(bench.answers[i] == ScoreAnswer{true, i, 0, i == 7});
  bench.answers.clear();
  bench.push(top_of(100, 1));
  bench.until("top", [&] { return !bench.answers.empty() && bench.answers.back().last; });
  REQUIRE(bench.answers.size() == 1);
  CHECK_FALSE(bench.answers[0].valid);
}

TEST_CASE("a batch of mixed owners, one that nobody used, and a flushed one are dropped and counted", "[score]") {
  Random r(kvsink::test_seed() + 4);
  ScoreBench<VScorerSmall> bench(r());
  SinkScorer model(bench.sizes());
  ScorerConfig c = bench.sizes();
  c.min_distance = 0;
  bench.configure(c);
  model.configure(c);
  const auto beat = [&](uint32_t owner, bool last) { return row_beat(c, owner, 100, 0, 0.25F, last); };

  // Mixed: dropped up to its last beat, also when the first owner comes back; no batch is there then.
  send(bench, model, {beat(1, false), beat(2, false), beat(1, false), beat(1, true)});
  CHECK_FALSE(bench.batch_valid());
  ask(bench, model, {read_of(0), top_of(3, 0)});
  send(bench, model, {beat(1, false), beat(2, true)});
  CHECK_FALSE(bench.batch_valid());

  // A complete one, unused, gives way to the next; only the next one's weights count.
  send(bench, model, {beat(1, false), beat(1, true)});
  send(bench, model, {row_beat(c, 3, 100, 1, 0.5F, true)});
  CHECK(bench.batch_owner() == 3);
  ask(bench, model, {read_of(0), read_of(1), top_of(20, 0)});

  // Flushed in use, in the middle of a Top: the stream ends, the batch is gone, and the next one is taken.
  bench.answers.clear();
  bench.push(top_of(20, 0));
  bench.until("the command", [&] { return bench.commands_left() == 0; });
  bench.flush_next(3);
  model.flush(3);
  bench.until("the end of the stream", [&] { return !bench.answers.empty() && bench.answers.back().last; });
  CHECK_FALSE(bench.batch_valid());
  CHECK_FALSE(bench.answers.back().valid);
  ask(bench, model, {read_of(1)});

  // A flush of another owner does nothing; one under way drops the owner's beats up to the last.
  send(bench, model, {beat(2, false)});
  bench.flush_next(1);
  bench.tick();
  send(bench, model, {beat(2, false)});
  bench.flush_next(2);
  bench.tick();
  model.flush(2);
  send(bench, model, {beat(2, false)});
  CHECK_FALSE(bench.batch_valid());
  send(bench, model, {beat(0, false), beat(0, true)});
  CHECK(bench.batch_owner() == 0);
  ask(bench, model, {read_of(0), top_of(20, 0)});
  check_counters(bench, model);
}

TEST_CASE("a Top that is flushed at any moment ends its stream, and the unit goes on", "[score]") {
  Random r(kvsink::test_seed() + 5);
  ScoreBench<VScorerSmall> bench(r());
  SinkScorer model(bench.sizes());
  ScorerConfig c = bench.sizes();
  c.min_distance = 0;
  bench.configure(c);
  model.configure(c);
  for (int moment = 0; moment < 120; moment++) {
    CAPTURE(moment);
    bench.stall(0, 0, moment % 3 * 40);
    std::vector<ScoreBeat> beats;
    for (uint32_t t = 0; t < 40; t += c.lanes) {
      beats.push_back(row_beat(c, 1, 100, t, weight(r), t + c.lanes >= 40));
    }
    send(bench, model, beats);
    bench.answers.clear();
    bench.push(top_of(40, 0));
    bench.until("the command", [&] { return bench.commands_left() == 0; });
    bench.ticks(moment);
    bench.flush_next(1);
    bench.until("the end of the stream", [&] { return !bench.answers.empty() && bench.answers.back().last; });
    bench.ticks(3);
    CHECK_FALSE(bench.batch_valid());
    CHECK(bench.answers.size() <= 41);
    model.flush(1);
  }
  send(bench, model, {row_beat(c, 1, 100, 0, 0.5F, true)});
  ask(bench, model, {read_of(0), top_of(9, 0)});
}

TEST_CASE("nothing of an old batch is seen again, however many batches have passed", "[score]") {
  Random r(kvsink::test_seed() + 6);
  ScoreBench<VScorerSmall> bench(r());
  SinkScorer model(bench.sizes());
  ScorerConfig c = bench.sizes();
  c.min_distance = 0;
  bench.configure(c);
  model.configure(c);
  for (int n = 0; n < 600; n++) {
    CAPTURE(n);
    // Each batch touches another place, which the next ones must find empty.
    send(bench, model,
         {row_beat(c, 1, 511, below(r, 508), 1.0F, false), row_beat(c, 1, 511, below(r, 508), 1.0F, true)});
    ScoreCommand mark = read_of(below(r, 512));
    mark.mark = true;
    ask(bench, model, {mark, top_of(20, 1), ScoreCommand{ScoreCommand::kFree}});
  }
}

TEST_CASE("beats, reads and passes take the cycles that the header states", "[score]") {
  ScoreBench<VScorerSmall> bench(kvsink::test_seed());
  SinkScorer model(bench.sizes());
  ScorerConfig c = bench.sizes();
  c.min_distance = 0;
  bench.configure(c);
  model.configure(c);
  bench.ticks(200);  // the memory is cleared after reset

  // One beat a cycle, also on the same words.
  std::vector<ScoreBeat> beats;
  for (uint32_t i = 0; i < 1000; i++) beats.push_back(row_beat(c, 0, 511, i % 3 == 0 ? 508 : 507, 0.001F, i == 999));
  uint64_t start = bench.cycle;
  send(bench, model, beats);
  CHECK(bench.cycle - start <= 1000 + 3);

  ask(bench, model, {read_of(509)});
  const uint64_t latency = bench.answer_cycle - bench.command_cycle;
  CHECK(latency == 24);
  std::vector<ScoreCommand> reads;
  for (uint32_t i = 0; i < 200; i++) reads.push_back(read_of(i));
  start = bench.cycle;
  ask(bench, model, reads);
  CHECK(bench.answer_cycle - start == 199 + latency);

  // One cycle a position and pass, one a token streamed, and 27 a pass.
  for (const uint32_t count : {1U, 16U, 17U, 64U}) {
    start = bench.cycle;
    ask(bench, model, {top_of(count, 0)});
    const uint64_t passes = (count + c.top_k - 1) / c.top_k;
    CAPTURE(count, bench.answer_cycle - start);
    CHECK(bench.answer_cycle - start <= passes * (512 + 27) + count);
  }
}

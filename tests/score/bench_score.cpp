// SPDX-License-Identifier: Apache-2.0
// What each way of feeding the scorer costs, and what it loses: the Verilated unit chooses tokens of captured traces
// from all prefill queries, from some of them, from column sums and from written scores; the chosen sets are held
// against the attention of the decode steps that follow (hindsight).
//
//   bench_score [--json FILE] TRACE...
//
// Exit status 0: done, and each choice is that of the bit-exact model; 1: one is not; 2: bad usage or bad input.
#include <VScorerSmall.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdio>
#include <fstream>
#include <functional>
#include <nlohmann/json.hpp>
#include <numeric>
#include <string>
#include <string_view>
#include <vector>

#include "sw/golden/attention.hpp"
#include "sw/models/sink_scorer_model.hpp"
#include "sw/trace/trace.hpp"
#include "tests/score/score_bench.hpp"

namespace {

using kvsink::model::score_bits;
using kvsink::model::ScoreAnswer;
using kvsink::model::ScoreBeat;
using kvsink::model::ScorerConfig;
using kvsink::model::SinkScorer;
using kvsink::test::ScoreBench;
using kvsink::test::ScoreCommand;
using kvsink::trace::Trace;
using Json = nlohmann::ordered_json;

constexpr uint32_t kMinDistance = 32;
constexpr uint32_t kMinQueries = 32;
constexpr double kThreshold = 3.0;
constexpr std::array<uint32_t, 5> kBudgets{1, 4, 8, 16, 32};

/// Attention weights of the prefill: [layer][head][query], and of the decode steps the mean by position.
struct Attention {
  uint32_t layers = 0, heads = 0, prefill = 0;
  std::vector<std::vector<float>> rows;
  std::vector<double> hindsight;  ///< of the positions of the prefill: share of the decode steps' mass

  [[nodiscard]] const std::vector<float>& row(uint32_t layer, uint32_t head, uint32_t query) const {
    return rows[(size_t{layer} * heads + head) * prefill + query];
  }
};

Attention attention_of(const Trace& trace) {
  const auto& n = trace.dims();
  Attention a{n.L, n.Hq, trace.prefill_tokens(), {}, std::vector<double>(trace.prefill_tokens(), 0.0)};
  for (uint32_t layer = 0; layer < n.L; ++layer) {
    for (uint32_t head = 0; head < n.Hq; ++head) {
      for (uint32_t i = 0; i < a.prefill; ++i) {
        const auto w = kvsink::golden::attention_weights(trace, layer, head, i);
        a.rows.emplace_back(w.begin(), w.end());
      }
      for (const int32_t position : trace.decode_positions()) {
        const auto w = kvsink::golden::attention_weights(trace, layer, head, static_cast<uint32_t>(position));
        for (uint32_t t = 0; t < a.prefill; ++t) a.hindsight[t] += w[t] / n.L / n.Hq / n.N;
      }
    }
  }
  return a;
}

/// One way of feeding: the beats it makes, and the queries that a token must have been seen by.
struct Way {
  std::string name;
  uint32_t min_queries;
  std::function<void(const ScorerConfig&, const Attention&, std::vector<ScoreBeat>&)> feed;
};

void feed_rows(const ScorerConfig& c, const Attention& a, const std::function<bool(uint32_t)>& wanted,
               std::vector<ScoreBeat>& out) {
  for (uint32_t layer = 0; layer < a.layers; ++layer) {
    for (uint32_t head = 0; head < a.heads; ++head) {
      for (uint32_t i = 0; i < a.prefill; ++i) {
        if (!wanted(i)) continue;
        const auto& row = a.row(layer, head, i);
        for (uint32_t t = 0; t <= i; t += c.lanes) {
          ScoreBeat b;
          b.layer = layer;
          b.q_head = head;
          b.query_pos = i;
          b.first = t;
          b.weight.assign(c.lanes, 0);
          for (uint32_t j = 0; j < c.lanes && t + j <= i; ++j) {
            b.weight[j] = std::bit_cast<uint32_t>(row[t + j]);
            b.strobe |= 1U << j;
          }
          out.push_back(std::move(b));
        }
      }
    }
  }
}

/// Sums of A * (i + 1) of a token over far enough queries of some layers and heads, in fp32, and their number.
struct Column {
  float sum = 0;
  uint32_t count = 0;
};
Column column(const Attention& a, uint32_t layer, uint32_t head, uint32_t token) {
  Column c;
  for (uint32_t i = token + kMinDistance; i < a.prefill; ++i, ++c.count) {
    c.sum += a.row(layer, head, i)[token] * static_cast<float>(i + 1);
  }
  return c;
}

void feed_columns(const ScorerConfig& c, const std::vector<Column>& columns, uint32_t layer, uint32_t head,
                  std::vector<ScoreBeat>& out) {
  for (uint32_t t = 0; t < columns.size(); t += c.lanes / 2) {
    ScoreBeat b;
    b.layer = layer;
    b.q_head = head;
    b.column_sum = true;
    b.first = t;
    b.weight.assign(c.lanes, 0);
    for (uint32_t j = 0; j < c.lanes / 2 && t + j < columns.size(); ++j) {
      b.weight[2 * j] = std::bit_cast<uint32_t>(columns[t + j].sum);
      b.weight[2 * j + 1] = columns[t + j].count;
      b.strobe |= 3U << (2 * j);
    }
    out.push_back(std::move(b));
  }
}

std::vector<Column> all_columns(const Attention& a) {
  std::vector<Column> all(a.prefill);
  for (uint32_t t = 0; t < a.prefill; ++t) {
    for (uint32_t layer = 0; layer < a.layers; ++layer) {
      for (uint32_t head = 0; head < a.heads; ++head) {
        const Column one = column(a, layer, head, t);
        all[t].sum += one.sum;
        all[t].count += one.count;
      }
    }
  }
  return all;
}

std::vector<Way> ways(uint32_t prefill) {
  std::vector<Way> out;
  const auto rows = [&](const std::string& name, uint32_t min_queries, const std::function<bool(uint32_t)>& wanted) {
    out.push_back(
        {name, min_queries, [wanted](const auto& c, const auto& a, auto& beats) { feed_rows(c, a, wanted, beats); }});
  };
  rows("every query", kMinQueries, [](uint32_t) { return true; });
  for (const uint32_t stride : {2U, 4U, 8U, 16U, 32U}) {
    rows("one query in " + std::to_string(stride), kMinQueries / stride,
         [stride](uint32_t i) { return i % stride == stride - 1; });
  }
  for (const uint32_t window : {128U, 64U, 32U}) {
    if (window < prefill) {
      rows("the last " + std::to_string(window) + " queries", std::min(kMinQueries, window / 4),
           [=](uint32_t i) { return i + window >= prefill; });
    }
  }
  out.push_back({"column sums a layer and head", kMinQueries, [](const auto& c, const auto& a, auto& beats) {
                   for (uint32_t layer = 0; layer < a.layers; ++layer) {
                     for (uint32_t head = 0; head < a.heads; ++head) {
                       std::vector<Column> columns;
                       for (uint32_t t = 0; t < a.prefill; ++t) columns.push_back(column(a, layer, head, t));
                       feed_columns(c, columns, layer, head, beats);
                     }
                   }
                 }});
  out.push_back({"column sums over all", kMinQueries,
                 [](const auto& c, const auto& a, auto& beats) { feed_columns(c, all_columns(a), 0, 0, beats); }});
  out.push_back({"written scores", 0, [](const auto& c, const auto& a, auto& beats) {
                   auto columns = all_columns(a);
                   for (Column& x : columns) {
                     const uint32_t need = kMinQueries * a.layers * a.heads;  // the software's part here
                     x = {x.count < need ? 0 : x.sum / static_cast<float>(x.count), 1};
                   }
                   feed_columns(c, columns, 0, 0, beats);
                 }});
  return out;
}

/// The strongest tokens by the RTL; all of them, in order.
struct Chosen {
  std::vector<ScoreAnswer> tokens;
  uint64_t weights = 0, beats = 0, cycles = 0, top_cycles = 0;
  bool equal = true;
};

Chosen choose(const Attention& a, const Way& way) {
  ScoreBench<VScorerSmall> bench(1);
  ScorerConfig c = bench.sizes();
  c.layer_count = a.layers;
  c.head_mask.assign(c.q_heads, false);
  for (uint32_t h = 0; h < a.heads; ++h) c.head_mask[h] = true;
  c.min_distance = kMinDistance;
  c.min_queries = way.min_queries;
  bench.configure(c);
  bench.ticks(200);  // the memory is cleared after reset
  SinkScorer model(c);
  std::vector<ScoreBeat> beats;
  way.feed(c, a, beats);
  beats.back().last = true;
  Chosen r;
  r.beats = beats.size();
  for (const ScoreBeat& b : beats) {
    r.weights += static_cast<uint64_t>(std::popcount(b.strobe)) / (b.column_sum ? 2 : 1);
    bench.push(b);
    model.take(b);
  }
  uint64_t start = bench.cycle;
  bench.until(
      "the prefill", [&] { return bench.batch_valid(); }, 100'000'000);
  r.cycles = bench.cycle - start;
  ScoreCommand top{ScoreCommand::kTop};
  top.count = a.prefill;
  top.prefill = true;
  start = bench.cycle;
  bench.push(top);
  bench.until("top", [&] { return !bench.answers.empty() && bench.answers.back().last; });
  r.top_cycles = bench.cycle - start;
  r.tokens = bench.answers;
  r.equal = bench.answers == model.top(a.prefill, 0, true);
  std::erase_if(r.tokens, [](const ScoreAnswer& t) { return !t.valid; });
  return r;
}

double mass_of(const Attention& a, const std::vector<ScoreAnswer>& tokens, size_t count) {
  double mass = 0;
  for (size_t i = 0; i < std::min(count, tokens.size()); ++i) mass += a.hindsight[tokens[i].position];
  return mass;
}

Json bench_trace(const std::string& path, const Trace& trace, bool& equal) {
  const Attention a = attention_of(trace);
  std::vector<double> best = a.hindsight;
  std::sort(best.rbegin(), best.rend());
  Json out{{"trace", path},
           {"model", trace.meta("model")},
           {"prefill", a.prefill},
           {"layers", a.layers},
           {"heads", a.heads}};
  std::printf("\n%s (%s): prefill of %u tokens, %u layers, %u query heads\n", path.c_str(), trace.meta("model").c_str(),
              a.prefill, a.layers, a.heads);
  std::printf(
      "Share of the decode steps' mass that the chosen tokens have (and of the best set of that size in hindsight):\n"
      "those at T_sink 3.0 or above, and the strongest k.\n\n%-30s%10s%10s%10s%22s",
      "", "weights", "beats", "cycles", "T_sink 3.0");
  for (const uint32_t k : kBudgets) std::printf("%14s%3u", "k =", k);
  std::printf("\n%-30s%52s", "best in hindsight", "");
  Json hindsight = Json::array();
  for (const uint32_t k : kBudgets) {
    hindsight.push_back(std::accumulate(best.begin(), best.begin() + std::min<size_t>(k, best.size()), 0.0));
    std::printf("%8.2f         ", 100 * hindsight.back().get<double>());
  }
  std::printf("\n");
  out["hindsight"] = hindsight;
  out["ways"] = Json::array();
  for (const Way& way : ways(a.prefill)) {
    const Chosen r = choose(a, way);
    equal = equal && r.equal;
    const auto sinks = static_cast<size_t>(std::count_if(
        r.tokens.begin(), r.tokens.end(), [](const auto& t) { return t.score >= score_bits(kThreshold); }));
    Json row{{"way", way.name},
             {"weights", r.weights},
             {"beats", r.beats},
             {"cycles", r.cycles},
             {"top_cycles", r.top_cycles},
             {"sinks", sinks},
             {"sink_mass", mass_of(a, r.tokens, sinks)},
             {"equal", r.equal}};
    std::printf("%-30s%10llu%10llu%10llu%8zu:%10.2f %%  ", way.name.c_str(), static_cast<unsigned long long>(r.weights),
                static_cast<unsigned long long>(r.beats), static_cast<unsigned long long>(r.cycles), sinks,
                100 * mass_of(a, r.tokens, sinks));
    row["mass"] = Json::array();
    for (size_t i = 0; i < kBudgets.size(); ++i) {
      const double mass = mass_of(a, r.tokens, kBudgets.at(i));
      row["mass"].push_back(mass);
      std::printf("%7.2f (%5.1f %%)", 100 * mass, 100 * mass / hindsight[i].get<double>());
    }
    std::printf("%s\n", r.equal ? "" : "  DIFFERS from the model");
    out["ways"].push_back(row);
  }
  return out;
}

/// Weights and cycles for the reference model: 80 layers, 64 query heads; `lanes` weights a beat, a beat a cycle.
Json reference_costs(uint32_t lanes) {
  constexpr double kPairs = 80.0 * 64.0;
  Json out = Json::array();
  const auto rows = [&](uint32_t n, const std::function<bool(uint32_t)>& wanted) {
    double weights = 0;
    double beats = 0;
    for (uint32_t i = 0; i < n; ++i) {
      if (!wanted(i)) continue;
      weights += i + 1.0;
      const uint32_t full_and_last = (i + lanes) / lanes;  // the query at position i sends i + 1 weights
      beats += full_and_last;
    }
    return std::pair(kPairs * weights, kPairs * beats);
  };
  const auto columns = [&](uint32_t n, double times) {
    return std::pair(times * n, times * std::ceil(2.0 * n / lanes));
  };
  std::printf("\nreference model (80 layers, 64 query heads), %u weights a beat: weights / cycles\n%-30s%24s%24s%24s\n",
              lanes, "", "4,096 tokens", "32,768 tokens", "131,072 tokens");
  const std::vector<std::pair<std::string, std::function<std::pair<double, double>(uint32_t)>>> all{
      {"every query", [&](uint32_t n) { return rows(n, [](uint32_t) { return true; }); }},
      {"one query in 16", [&](uint32_t n) { return rows(n, [](uint32_t i) { return i % 16 == 15; }); }},
      {"one query in 128", [&](uint32_t n) { return rows(n, [](uint32_t i) { return i % 128 == 127; }); }},
      {"the last 128 queries", [&](uint32_t n) { return rows(n, [n](uint32_t i) { return i + 128 >= n; }); }},
      {"column sums a layer and head", [&](uint32_t n) { return columns(n, kPairs); }},
      {"column sums a layer", [&](uint32_t n) { return columns(n, 80); }},
      {"column sums over all", [&](uint32_t n) { return columns(n, 1); }},
      {"written scores", [&](uint32_t n) { return columns(n, 1); }}};
  for (const auto& [name, cost] : all) {
    std::printf("%-30s", name.c_str());
    Json row{{"way", name}};
    for (const uint32_t n : {4096U, 32768U, 131072U}) {
      const auto [weights, cycles] = cost(n);
      std::printf("%12.3g / %9.3g", weights, cycles);
      row[std::to_string(n)] = {{"weights", weights}, {"cycles", cycles}};
    }
    std::printf("\n");
    out.push_back(row);
  }
  return out;
}

}  // namespace

int main(int argc, char** argv) {
  std::string json;
  std::vector<std::string> paths;
  for (int i = 1; i < argc; ++i) {
    if (std::string_view(argv[i]) == "--json" && i + 1 < argc) {
      json = argv[++i];
    } else {
      paths.emplace_back(argv[i]);
    }
  }
  if (paths.empty() || paths[0].starts_with("-")) {
    std::fprintf(stderr, "usage: bench_score [--json FILE] TRACE...\n");
    return 2;
  }
  bool equal = true;
  Json result{{"budgets", kBudgets}, {"traces", Json::array()}, {"reference", Json::object()}};
  for (const auto& path : paths) {
    const auto trace = Trace::load(path);
    if (!trace) {
      std::fprintf(stderr, "bench_score: %s\n", trace.error().message.c_str());
      return 2;
    }
    const auto limits = kvsink::trace::check_limits(*trace, {8, 8, 8, 65536, 512}, "small");
    if (!limits) {
      std::fprintf(stderr, "bench_score: %s\n", limits.error().message.c_str());
      return 2;
    }
    result["traces"].push_back(bench_trace(path, *trace, equal));
  }
  for (const uint32_t lanes : {8U, 16U}) result["reference"][std::to_string(lanes)] = reference_costs(lanes);
  std::printf("\n%s\n",
              equal ? "every choice is that of the bit-exact model" : "a choice DIFFERS from the bit-exact model");
  if (!json.empty()) {
    std::ofstream file(json);
    file << result.dump(1) << "\n";
    file.close();
    if (!file) {
      std::fprintf(stderr, "bench_score: %s: cannot be written\n", json.c_str());
      return 2;
    }
  }
  return equal ? 0 : 1;
}

// SPDX-License-Identifier: Apache-2.0
#include "sw/models/sink_scorer_model.hpp"

#include <algorithm>
#include <bit>
#include <cassert>
#include <cmath>

namespace kvsink::model {
namespace {

__extension__ using uint128 = unsigned __int128;

constexpr int kScoreFrac = 14;
constexpr int kMeanFrac = 16;  // fraction bits of a sum of A * (i + 1)
constexpr int kRawFrac = 32;   // fraction bits of a sum of A

int log2_ceil(uint32_t n) { return n <= 1 ? 0 : std::bit_width(n - 1); }
uint64_t ones(int bits) { return bits >= 64 ? ~uint64_t{0} : (uint64_t{1} << bits) - 1; }

}  // namespace

uint32_t ScorerConfig::layer_weight(uint32_t layer) const {
  if (layer < layer_first || layer - layer_first >= layer_count) return 0;
  for (const LayerRange& r : layer_weights) {
    if (layer >= r.first && layer - r.first < r.count) return r.weight;
  }
  return 1;
}

bool ScorerConfig::selected(uint32_t layer, uint32_t q_head) const {
  return layer_weight(layer) != 0 && q_head < head_mask.size() && head_mask[q_head];
}

uint64_t ScorerConfig::need() const {
  const auto heads = static_cast<uint64_t>(std::count(head_mask.begin(), head_mask.end(), true));
  uint64_t weights = 0;
  for (uint32_t layer = 0; layer < layers; layer++) weights += layer_weight(layer);
  return min_queries * weights * heads;
}

uint32_t score_bits(double score) {
  const double scaled = std::floor(std::ldexp(score, kScoreFrac) + 0.5);
  return scaled >= std::ldexp(1.0, 32) ? UINT32_MAX : scaled <= 0 ? 0 : static_cast<uint32_t>(scaled);
}

double score_value(uint32_t bits) { return std::ldexp(bits, -kScoreFrac); }

// ---- exact
// -----------------------------------------------------------------------------------------------------------

ExactScorer::ExactScorer(const ScorerConfig& config) : config_(config), tokens_(config.scored) {}

void ExactScorer::add(uint32_t layer, uint32_t q_head, uint32_t query, uint32_t token, double weight) {
  if (!config_.selected(layer, q_head) || token >= config_.scored || token > query) return;
  seen_ = std::max(seen_, token + 1);
  if (query - token < config_.min_distance) return;
  const uint32_t times = config_.layer_weight(layer);
  tokens_[token].sum += times * (config_.raw ? weight : weight * (query + 1.0));
  tokens_[token].count += times;
}

double ExactScorer::score(uint32_t token, bool prefill) const {
  if (token >= config_.scored || tokens_[token].count == 0) return 0;
  const auto& [sum, count] = tokens_[token];
  if (config_.raw) return std::ldexp(sum, -static_cast<int>(config_.raw_shift));
  if (prefill && count < config_.need()) return 0;
  return sum / static_cast<double>(count);
}

std::vector<ScoredToken> ExactScorer::top(uint32_t count, double threshold, bool prefill) const {
  std::vector<ScoredToken> all;
  for (uint32_t t = 0; t < seen_; t++) {
    if (const double s = score(t, prefill); s >= threshold) all.push_back({t, s});
  }
  std::stable_sort(all.begin(), all.end(), [](const auto& a, const auto& b) { return a.score > b.score; });
  all.resize(std::min<size_t>(all.size(), count));
  return all;
}

// ---- bit-exact
// -------------------------------------------------------------------------------------------------------

SinkScorer::SinkScorer(const ScorerConfig& config) { configure(config); }

void SinkScorer::configure(const ScorerConfig& config) {
  config_ = config;
  const int pos_bits = log2_ceil(config.positions);
  const int pair_bits = log2_ceil(config.layers) + log2_ceil(config.q_heads);
  sum_bits_ = pair_bits + std::max(pos_bits + kRawFrac + 1, 2 * pos_bits + kMeanFrac);
  assert(sum_bits_ <= 64);
  sum_max_ = ones(sum_bits_);
  count_max_ = ones(pos_bits + pair_bits + 1);
  tokens_.assign(config.scored, {});
}

void SinkScorer::open(const ScoreBeat& beat) {
  owner_ = beat.owner;
  used_ = false;
  seen_ = 0;
  std::fill(tokens_.begin(), tokens_.end(), Token{});
  state_ = State::kOpen;
}

void SinkScorer::take(const ScoreBeat& beat) {
  assert(!used());
  counters_.beats++;
  if (state_ == State::kDropOwner && beat.owner != owner_) state_ = State::kIdle;
  if (state_ == State::kDrop || state_ == State::kDropOwner) {
    if (beat.last) state_ = State::kIdle;
    return;
  }
  if (state_ == State::kOpen && beat.owner != owner_) {
    counters_.discarded++;
    state_ = beat.last ? State::kIdle : State::kDrop;
    return;
  }
  if (state_ == State::kHeld) counters_.discarded++;
  if (state_ != State::kOpen) open(beat);
  if (config_.selected(beat.layer, beat.q_head)) add(beat);
  if (beat.last) state_ = State::kHeld;
}

void SinkScorer::add(const ScoreBeat& beat) {
  assert(beat.weight.size() == config_.lanes);
  const uint32_t times = config_.layer_weight(beat.layer);
  const uint32_t lanes = beat.column_sum ? config_.lanes / 2 : config_.lanes;
  bool malformed = false;
  bool saturated = false;
  for (uint32_t lane = 0; lane < lanes; lane++) {
    const auto strobe = [&](uint32_t i) { return (beat.strobe >> i & 1) != 0; };
    const uint32_t position = beat.first + lane;
    float value;
    if (beat.column_sum) {
      if (strobe(2 * lane) != strobe(2 * lane + 1)) malformed = true;
      if (!strobe(2 * lane) || !strobe(2 * lane + 1)) continue;
      value = std::bit_cast<float>(beat.weight[2 * lane]);
      if (std::isinf(value)) malformed = true;
    } else {
      if (!strobe(lane)) continue;
      value = std::bit_cast<float>(beat.weight[lane]);
      if (value > 1.0F) {
        malformed = true;
        value = 1.0F;
      }
    }
    if (std::isnan(value) || value < 0) {
      malformed = true;
      value = 0;
    }
    if (position >= config_.scored || (!beat.column_sum && position > beat.query_pos)) {
      malformed = true;
      continue;
    }
    seen_ = std::max(seen_, position + 1);
    if (beat.column_sum) {
      const double sum = std::ldexp(static_cast<double>(value), config_.raw ? kRawFrac : kMeanFrac);
      const bool over = sum >= std::ldexp(1.0, sum_bits_);
      // From 2^62 on a float is a whole number, so only below it is there something to round.
      const uint64_t rounded = over                        ? 0
                               : sum < std::ldexp(1.0, 62) ? static_cast<uint64_t>(std::llround(sum))
                                                           : static_cast<uint64_t>(sum);
      saturated |= add_token(position, rounded, over, beat.weight[2 * lane + 1]);
    } else if (beat.query_pos - position >= config_.min_distance) {
      // 24 by 22 bits: the product is exact in double precision.
      const double factor = times * (config_.raw ? 1.0 : beat.query_pos + 1.0);
      const double product = std::ldexp(static_cast<double>(value) * factor, config_.raw ? kRawFrac : kMeanFrac);
      saturated |= add_token(position, static_cast<uint64_t>(std::llround(product)), false, times);
    }
  }
  counters_.malformed += malformed;
  counters_.saturated += saturated;
}

bool SinkScorer::add_token(uint32_t position, uint64_t sum, bool sum_over, uint64_t count) {
  Token& token = tokens_[position];
  const bool sum_full = sum_over || sum > sum_max_ - token.sum;
  const bool count_full = count > count_max_ - token.count;
  token.sum = sum_full ? sum_max_ : token.sum + sum;
  token.count = count_full ? count_max_ : token.count + count;
  return sum_full || count_full;
}

SinkScorer::Score SinkScorer::score(uint32_t position, bool prefill) const {
  if (position >= config_.scored) return {};
  const Token& token = tokens_[position];
  if (token.count == 0) return {};
  if (!config_.raw && prefill && token.count < config_.need()) return {};
  // To nearest, half up.
  const uint128 scaled = config_.raw
                             ? ((uint128{token.sum} >> (kRawFrac - kScoreFrac - 1 + config_.raw_shift)) + 1) >> 1
                             : (uint128{token.sum} + 2 * token.count) / (uint128{4} * token.count);
  if (scaled > UINT32_MAX) return {UINT32_MAX, true};
  return {static_cast<uint32_t>(scaled), false};
}

void SinkScorer::flush(uint32_t owner) {
  if (owner != owner_ || (state_ != State::kHeld && state_ != State::kOpen)) return;
  counters_.discarded++;
  state_ = state_ == State::kHeld ? State::kIdle : State::kDropOwner;
}

ScoreAnswer SinkScorer::read(uint32_t position, bool mark, bool prefill) {
  if (!held()) return {false, position, 0, true};
  used_ = true;
  const Score s = score(position, prefill);
  counters_.saturated += s.saturated;
  if (mark && position < config_.scored) tokens_[position].marked = true;
  return {true, position, s.bits, true};
}

std::vector<ScoreAnswer> SinkScorer::top(uint32_t count, uint32_t threshold, bool prefill) {
  std::vector<ScoreAnswer> out;
  if (held()) {
    used_ = true;
    for (uint32_t t = 0; count != 0 && t < seen_; t++) {
      const Score s = score(t, prefill);
      counters_.saturated += s.saturated;
      if (!tokens_[t].marked && s.bits >= threshold) out.push_back({true, t, s.bits, false});
    }
    std::stable_sort(out.begin(), out.end(), [](const auto& a, const auto& b) { return a.score > b.score; });
    const size_t found = out.size();
    out.resize(std::min<size_t>(found, count));
    // The end is known with the last token, unless a full pass turns out to have been the last one.
    if (!out.empty() && (out.size() == count || out.size() % config_.top_k != 0)) {
      out.back().last = true;
      return out;
    }
  }
  out.push_back({false, 0, 0, true});
  return out;
}

void SinkScorer::free() {
  if (held()) state_ = State::kIdle;
}

}  // namespace kvsink::model

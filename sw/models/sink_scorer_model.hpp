// SPDX-License-Identifier: Apache-2.0
// Two models of the sink scorer: ExactScorer computes scores in double precision from real weights, as the design
// defines them; SinkScorer is equal to the RTL, bit for bit, from its beats to its answers.
//
// Score of token t: over the selected layers l and heads h and the queries i with i - t >= min_distance,
//   mean:  sum of A(l,h,i,t) * (i + 1), divided by the number of terms (1.0 = what an even spread gives), or
//   raw:   sum of A(l,h,i,t), divided by 2^raw_shift.
// A layer of weight w counts as w such terms (column sums carry their own weights).
// Widths, and the error they allow: docs/decisions/scorer-widths.md.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <vector>

namespace kvsink::model {

/// Layers whose attention weights count `weight` times, 0 to 15.
struct LayerRange {
  uint32_t first = 0;
  uint32_t count = 0;
  uint32_t weight = 1;
};

/// Sizes of an instance and its score_* registers.
struct ScorerConfig {
  // sizes
  uint32_t positions = 512;
  uint32_t scored = 512;  ///< positions that are scored, from 0
  uint32_t layers = 8;
  uint32_t q_heads = 8;
  uint32_t lanes = 4;
  uint32_t top_k = 16;
  // registers
  uint32_t layer_first = 0;
  uint32_t layer_count = 8;
  std::array<LayerRange, 4> layer_weights{};  ///< the lowest range that holds a layer decides; in none: 1
  std::vector<bool> head_mask = std::vector<bool>(8, true);  ///< query heads that count
  uint32_t min_distance = 32;
  uint32_t min_queries = 32;
  bool raw = false;
  uint32_t raw_shift = 0;

  /// How often a contribution of this layer counts; 0: the layer is not selected.
  uint32_t layer_weight(uint32_t layer) const;
  /// The beat or weight counts.
  bool selected(uint32_t layer, uint32_t q_head) const;
  /// Contributions that min_queries asks for: min_queries * weights of the selected layers * selected heads.
  uint64_t need() const;
};

/// A score in the registers' format, UQ18.14, from a real one: to nearest, saturating.
uint32_t score_bits(double score);
/// The real value of a score.
double score_value(uint32_t bits);

struct ScoredToken {
  uint32_t position = 0;
  double score = 0;
};

/// The design's score in double precision.
class ExactScorer {
 public:
  explicit ExactScorer(const ScorerConfig& config);

  /// One attention weight, in [0, 1]; what is not selected or too near is left out.
  void add(uint32_t layer, uint32_t q_head, uint32_t query, uint32_t token, double weight);

  /// Score of a token; 0 when it was not scored, or (prefill, mean) has fewer than min_queries distinct queries.
  double score(uint32_t token, bool prefill) const;
  /// At most `count` tokens at or above `threshold`, strongest first, ties to the lower position.
  std::vector<ScoredToken> top(uint32_t count, double threshold, bool prefill) const;

 private:
  struct Sum {
    double sum = 0;
    uint64_t count = 0;
  };
  ScorerConfig config_;
  std::vector<Sum> tokens_;
  uint32_t seen_ = 0;
};

/// As score_beat_t.
struct ScoreBeat {
  uint32_t owner = 0;
  uint32_t layer = 0;
  uint32_t q_head = 0;
  uint32_t query_pos = 0;
  bool column_sum = false;
  uint32_t first = 0;
  uint32_t strobe = 0;
  std::vector<uint32_t> weight;  ///< fp32 bits (odd lanes of a column sum: counts), `lanes` of them
  bool last = false;
};

/// As score_rsp_t.
struct ScoreAnswer {
  bool valid = false;
  uint32_t position = 0;
  uint32_t score = 0;
  bool last = true;
  bool operator==(const ScoreAnswer&) const = default;
};

/// Equal to the RTL. Calls stand for what the RTL takes, in the order in which it takes them; while a batch is in use
/// (a command came for it) the RTL takes no beat, so take() must not be called then.
class SinkScorer {
 public:
  struct Counters {
    uint64_t beats = 0;
    uint64_t saturated = 0;  ///< beats or answers in which something saturated
    uint64_t discarded = 0;  ///< batches
    uint64_t malformed = 0;  ///< beats
    bool operator==(const Counters&) const = default;
  };

  explicit SinkScorer(const ScorerConfig& config);

  /// Changes the registers. Only while no batch is under way or held.
  void configure(const ScorerConfig& config);

  void take(const ScoreBeat& beat);
  void flush(uint32_t owner);
  ScoreAnswer read(uint32_t position, bool mark, bool prefill);
  /// The whole stream of a Top.
  std::vector<ScoreAnswer> top(uint32_t count, uint32_t threshold, bool prefill);
  void free();

  bool held() const { return state_ == State::kHeld; }
  bool used() const { return held() && used_; }
  uint32_t owner() const { return owner_; }
  const Counters& counters() const { return counters_; }

 private:
  enum class State { kIdle, kOpen, kDrop, kDropOwner, kHeld };
  struct Token {
    uint64_t sum = 0;
    uint64_t count = 0;
    bool marked = false;
  };
  struct Score {
    uint32_t bits = 0;
    bool saturated = false;
  };

  void open(const ScoreBeat& beat);
  void add(const ScoreBeat& beat);
  bool add_token(uint32_t position, uint64_t sum, bool sum_over, uint64_t count);
  Score score(uint32_t position, bool prefill) const;

  ScorerConfig config_;
  std::vector<Token> tokens_;
  uint64_t sum_max_ = 0;
  uint64_t count_max_ = 0;
  int sum_bits_ = 0;
  uint32_t seen_ = 0;
  State state_ = State::kIdle;
  bool used_ = false;
  uint32_t owner_ = 0;
  Counters counters_;
};

}  // namespace kvsink::model

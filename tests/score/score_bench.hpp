// SPDX-License-Identifier: Apache-2.0
// Drives a Verilated sink_scorer: beats, commands and flushes in, answers and counter pulses out, with random stalls.
#pragma once

#include <verilated.h>

#include <cstdint>
#include <deque>
#include <memory>
#include <random>
#include <stdexcept>
#include <type_traits>
#include <vector>

#include "sw/models/sink_scorer_model.hpp"

namespace kvsink::test {

struct ScoreCommand {
  enum Op : uint8_t { kRead = 0, kTop = 1, kFree = 2 };
  Op op = kRead;
  uint32_t position = 0;
  bool mark = false;
  uint32_t count = 0;
  uint32_t threshold = 0;
  bool prefill = false;
};

template <class V>
class ScoreBench {
 public:
  explicit ScoreBench(uint64_t seed) : random_(seed), dut_(std::make_unique<V>(&context_)) {
    context_.randReset(2);
    context_.randSeed(static_cast<int>(seed & 0x7fffffff));
    dut_->clk_i = 0;
    dut_->rst_ni = 0;
    dut_->score_valid_i = 0;
    dut_->cmd_valid_i = 0;
    dut_->rsp_ready_i = 0;
    dut_->flush_i = 0;
    for (int i = 0; i < 3; i++) clock();
    dut_->rst_ni = 1;
    dut_->eval();
  }
  ~ScoreBench() { dut_->final(); }

  /// Sizes of the instance; all layers and heads selected.
  model::ScorerConfig sizes() const {
    model::ScorerConfig c;
    c.positions = dut_->size_positions_o;
    c.scored = dut_->size_scored_o;
    c.layers = c.layer_count = dut_->size_layers_o;
    c.q_heads = dut_->size_q_heads_o;
    c.lanes = dut_->size_lanes_o;
    c.top_k = dut_->size_top_k_o;
    c.head_mask.assign(c.q_heads, true);
    return c;
  }

  void configure(const model::ScorerConfig& c) {
    dut_->cfg_layer_first_i = c.layer_first;
    dut_->cfg_layer_count_i = c.layer_count;
    for (size_t w = 0; w < 3; w++) dut_->cfg_layer_weights_i[w] = 0;
    for (size_t i = 0; i < c.layer_weights.size(); i++) {
      const model::LayerRange& r = c.layer_weights[i];
      const uint64_t field = uint64_t{r.first | r.count << 8 | r.weight << 16} << (20 * i % 32);
      dut_->cfg_layer_weights_i[20 * i / 32] |= static_cast<uint32_t>(field);
      if (20 * i / 32 < 2) dut_->cfg_layer_weights_i[20 * i / 32 + 1] |= static_cast<uint32_t>(field >> 32);
    }
    if constexpr (std::is_integral_v<std::remove_reference_t<decltype(dut_->cfg_head_mask_i)>>) {
      dut_->cfg_head_mask_i = 0;
      for (size_t i = 0; i < c.head_mask.size(); i++) dut_->cfg_head_mask_i |= c.head_mask[i] << i;
    } else {
      for (size_t w = 0; w < c.head_mask.size() / 32; w++) dut_->cfg_head_mask_i[w] = 0;
      for (size_t i = 0; i < c.head_mask.size(); i++) {
        dut_->cfg_head_mask_i[i / 32] |= static_cast<uint32_t>(c.head_mask[i]) << (i % 32);
      }
    }
    dut_->cfg_min_distance_i = c.min_distance;
    dut_->cfg_min_queries_i = c.min_queries;
    dut_->cfg_raw_i = c.raw;
    dut_->cfg_raw_shift_i = c.raw_shift;
  }

  /// Chance, in percent, that a side pauses for a cycle.
  void stall(int beats, int commands, int answers) {
    stall_beats_ = beats;
    stall_commands_ = commands;
    stall_answers_ = answers;
  }

  void push(const model::ScoreBeat& beat) { beats_.push_back(beat); }
  void push(const ScoreCommand& command) { commands_.push_back(command); }
  void flush_next(uint32_t owner) {
    flush_ = true;
    flush_owner_ = owner;
  }

  /// One cycle: inputs are set, handshakes seen, the clock rises.
  void tick() {
    if (!offering_beat_ && !beats_.empty() && !pause(stall_beats_)) {
      offering_beat_ = true;
      const model::ScoreBeat& b = beats_.front();
      dut_->score_owner_i = b.owner;
      dut_->score_layer_i = b.layer;
      dut_->score_q_head_i = b.q_head;
      dut_->score_query_pos_i = b.query_pos;
      dut_->score_column_sum_i = b.column_sum;
      dut_->score_first_i = b.first;
      dut_->score_strobe_i = b.strobe;
      for (size_t i = 0; i < b.weight.size(); i++) dut_->score_weight_i[i] = b.weight[i];
      dut_->score_last_i = b.last;
    }
    if (!offering_command_ && !commands_.empty() && !pause(stall_commands_)) {
      offering_command_ = true;
      const ScoreCommand& c = commands_.front();
      dut_->cmd_op_i = c.op;
      dut_->cmd_position_i = c.position;
      dut_->cmd_mark_i = c.mark;
      dut_->cmd_count_i = c.count;
      dut_->cmd_threshold_i = c.threshold;
      dut_->cmd_prefill_i = c.prefill;
    }
    dut_->score_valid_i = offering_beat_;
    dut_->cmd_valid_i = offering_command_;
    dut_->rsp_ready_i = !pause(stall_answers_);
    dut_->flush_i = flush_;
    dut_->flush_owner_i = flush_owner_;
    flush_ = false;
    dut_->eval();
    if (offering_beat_ && dut_->score_ready_o) {
      offering_beat_ = false;
      beats_.pop_front();
    }
    if (offering_command_ && dut_->cmd_ready_o) {
      offering_command_ = false;
      commands_.pop_front();
      command_cycle = cycle;
    }
    if (dut_->rsp_valid_o && dut_->rsp_ready_i) {
      answers.push_back({dut_->rsp_token_o != 0, dut_->rsp_position_o, dut_->rsp_score_o, dut_->rsp_last_o != 0});
      answer_cycle = cycle;
    }
    clock();
    counters.beats += dut_->beat_o;
    counters.saturated += dut_->saturated_o;
    counters.discarded += dut_->discarded_o;
    counters.malformed += dut_->malformed_o;
    cycle++;
  }

  void ticks(int n) {
    for (int i = 0; i < n; i++) tick();
  }

  /// Runs until `done`; a unit that hangs throws.
  template <class F>
  void until(const char* what, F done, uint64_t limit = 2'000'000) {
    for (uint64_t i = 0; !done(); i++) {
      if (i == limit) throw std::runtime_error(std::string("no end of: ") + what);
      tick();
    }
  }

  bool sent() const { return beats_.empty() && commands_.empty(); }
  size_t beats_left() const { return beats_.size(); }
  size_t commands_left() const { return commands_.size(); }
  bool batch_valid() const { return dut_->batch_valid_o != 0; }
  uint32_t batch_owner() const { return dut_->batch_owner_o; }

  std::vector<model::ScoreAnswer> answers;
  model::SinkScorer::Counters counters;
  uint64_t cycle = 0;
  uint64_t command_cycle = 0;  ///< in which the last command was taken
  uint64_t answer_cycle = 0;   ///< in which the last answer was taken

 private:
  bool pause(int percent) { return percent > 0 && static_cast<int>(random_() % 100) < percent; }
  void clock() {
    dut_->eval();
    dut_->clk_i = 1;
    dut_->eval();
    dut_->clk_i = 0;
    dut_->eval();
  }

  std::mt19937_64 random_;
  VerilatedContext context_;
  std::unique_ptr<V> dut_;
  std::deque<model::ScoreBeat> beats_;
  std::deque<ScoreCommand> commands_;
  bool offering_beat_ = false;
  bool offering_command_ = false;
  bool flush_ = false;
  uint32_t flush_owner_ = 0;
  int stall_beats_ = 0;
  int stall_commands_ = 0;
  int stall_answers_ = 0;
};

}  // namespace kvsink::test

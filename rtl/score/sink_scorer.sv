// SPDX-License-Identifier: Apache-2.0
// Scores tokens by the attention they receive, and picks the strongest.
//
// What: adds up each token's weights over the beats of a batch; when the batch is complete (its `last` beat), answers
// reads of single scores and streams the strongest tokens. A score is, by mode,
//   mean: sum of A * (i + 1) over the contributions, divided by their number (1.0 = an even spread), or
//   raw:  sum of A, divided by 2**score_raw_shift,
// over the beats of selected layers and heads and the queries i at a distance of score_min_distance or more. A layer of
// weight w (score_layer_weight) counts as w such contributions, one of weight 0 as not selected; column sums carry
// their own. UQ18.14, rounded to nearest (half up), saturating. A token with no contribution has score 0; so has, for
// commands with `prefill` and the mean, one with fewer contributions than score_min_queries * the weights of the
// selected layers * selected heads.
//
// Contract:
// - Beats. A batch belongs to the owner of its first beat. A beat of another owner makes the rest of the batch, up to
//   its `last`, be dropped. Beats of layers or heads that are not selected count for owner and `last` alone. Lanes at
//   positions >= Scored or after the query are left out; a weight that is NaN, negative or above 1 is clamped to [0, 1]
//   (column sums: NaN and negative to 0, infinity saturates); a pair of a column sum with one strobe is left out. Each
//   beat with one of these pulses malformed_o.
// - Commands. The first one after a batch is complete makes it used: until ScFree no beat is taken. A complete batch
//   that was not used is discarded by the first beat of the next. Read without a batch answers valid = 0, otherwise
//   valid = 1 (score 0 for a token not scored), always last = 1. Top ends with last = 1, on the last token or, with
//   valid = 0, after none. ScFree has no answer. Without a batch, Top answers none.
// - flush_i drops the batch of an owner, complete or not; of an incomplete one the beats of that owner are dropped up
//   to `last`. A Top that runs ends (last = 1, valid = 0).
//
// Speed: a beat a cycle, also on the same words. Read: one a cycle, 24 cycles from command to answer without stalls; the
// layers' weights are summed when a batch opens, and commands wait for that: Layers + 2 cycles from its first beat.
// Top: one cycle a position (seen in the batch) and pass of TopK, 27 more a pass, and one a token streamed. Words of an
// old batch need no clearing: each carries the stamp of its batch. Stamps wrap after 2**StampW - 1 batches; then, and
// after reset, the memory is cleared, in Scored / ScoreLanes cycles in which no beat is taken.
//
//   beats --> skid --+--> 1 --> 2 ------> 3 ------> 4 ----> (5: write)
//   commands --------+   lanes  rotated   word,     add       |
//                               to banks  product   read --> num, den --> divider --> reads --> skid --> answers
//                                                                             \-----> top-k ----/

`include "kvsink_assert.svh"

module sink_scorer
  import kvsink_cfg_pkg::*;
  import kvsink_pkg::*;
  import sink_scorer_pkg::*;
(
    input logic clk_i,
    input logic rst_ni,

    input ctl_cfg_t cfg_i,  // score_*: changed only while no batch is under way or held

    input  logic        score_valid_i,
    output logic        score_ready_o,
    input  score_beat_t score_i,

    output logic       batch_valid_o,  // a complete batch is held
    output owner_t     batch_owner_o,
    input  logic       cmd_valid_i,
    output logic       cmd_ready_o,
    input  score_cmd_t cmd_i,
    output logic       rsp_valid_o,
    input  logic       rsp_ready_i,
    output score_rsp_t rsp_o,

    input logic   flush_i,
    input owner_t flush_owner_i,

    // pulses for counters
    output logic beat_o,       // a beat was taken
    output logic saturated_o,  // an accumulator or a score saturated
    output logic discarded_o,  // a batch was discarded: mixed owners, replaced unused, or flushed
    output logic malformed_o   // a taken beat had something left out or clamped
);

  localparam int unsigned QuotW = $bits(score_t);
  localparam int unsigned NumW = SumW - 1;

  if (ScoreLanes < 2 || (ScoreLanes & (ScoreLanes - 1)) != 0) begin : gen_bad_lanes
    $error("sink_scorer: ScoreLanes %0d is not a power of two above 1", ScoreLanes);
  end
  if (Scored % ScoreLanes != 0 || Scored > Positions || BankWords < 2) begin : gen_bad_scored
    $error("sink_scorer: Scored %0d does not fit %0d lanes and %0d positions", Scored, ScoreLanes, Positions);
  end
  if (NumW <= QuotW || NumW - QuotW > CountW) begin : gen_bad_widths
    $error("sink_scorer: sums of %0d and counts of %0d bits do not fit the divider", SumW, CountW);
  end

  typedef enum logic [1:0] {
    KindBeat,
    KindRead,
    KindScan
  } kind_e;

  // What travels with a request from stage 1 on.
  typedef struct packed {
    kind_e kind;
    logic  held;     // Read: a batch was there
    logic  outside;  // Read: not a scored position
    logic  mark;
    logic  prefill;
    pos_t  position;
  } ctl_t;

  // ------------------------------------------------------------------------------------------ input, output
  logic beat_valid, beat_take;
  score_beat_t beat;
  kv_skid #(
      .T(score_beat_t)
  ) u_beats (
      .clk_i,
      .rst_ni,
      .valid_i(score_valid_i),
      .ready_o(score_ready_o),
      .data_i (score_i),
      .valid_o(beat_valid),
      .ready_i(beat_take),
      .data_o (beat)
  );

  logic en;  // everything between the skids moves
  logic answer_valid;
  score_rsp_t answer;
  kv_skid #(
      .T(score_rsp_t)
  ) u_answers (
      .clk_i,
      .rst_ni,
      .valid_i(answer_valid),
      .ready_o(en),
      .data_i (answer),
      .valid_o(rsp_valid_o),
      .ready_i(rsp_ready_i),
      .data_o (rsp_o)
  );

  // ------------------------------------------------------------------------------------------ batch and commands
  typedef enum logic [2:0] {
    BatchClear,  // the memory is being cleared
    BatchIdle,
    BatchOpen,   // beats are added up
    BatchDrop,   // beats are dropped up to the last
    BatchHeld    // complete
  } batch_e;
  typedef enum logic [2:0] {
    TopIdle,
    TopScan,
    TopDrain,
    TopEmit,
    TopNone    // the end without a token
  } top_e;

  batch_e batch_q, batch_d;
  top_e top_q, top_d;
  logic used_q, used_d;  // a command came for the held batch
  logic drop_owner_q, drop_owner_d;  // only beats of the batch's owner are dropped
  owner_t     owner_q;
  stamp_t     stamp_q;
  logic       stamp_end;
  bank_addr_t clear_addr_q;
  logic       clear;
  logic       busy;  // something is in the pipeline

  // A Top command under way.
  logic prefill_q, abort_q;
  logic first_pass_q, full_q;
  len_t   left_q;  // tokens still wanted
  score_t threshold_q;
  pos_t   last_pos_q;  // the last token streamed
  score_t last_score_q;

  logic   need_busy;  // the weights of the layers are being summed
  logic   start;  // the beat taken opens a batch
  logic   add;  // the beat taken belongs to the batch
  logic   discard;
  logic cmd_take, read_take, top_take;
  logic foreign;

  assign stamp_end = stamp_q == '1;
  assign clear = batch_q == BatchClear && !busy;
  assign foreign = beat.owner != owner_q;
  assign cmd_ready_o = en && top_q == TopIdle && !need_busy;
  assign cmd_take = cmd_valid_i && cmd_ready_o;
  assign read_take = cmd_take && cmd_i.op == ScRead;
  assign top_take = cmd_take && cmd_i.op == ScTop;

  always_comb begin
    batch_d = batch_q;
    used_d = used_q;
    drop_owner_d = drop_owner_q;
    beat_take = 1'b0;
    start = 1'b0;
    add = 1'b0;
    discard = 1'b0;

    // A batch may open in these states, with a stamp of its own; a command goes first.
    if (batch_q == BatchIdle || (batch_q == BatchHeld && !used_q)
        || (batch_q == BatchDrop && drop_owner_q && foreign)) begin
      if (beat_valid && en && !cmd_valid_i && !flush_i && top_q == TopIdle) begin
        discard = batch_q == BatchHeld;
        if (stamp_end) begin
          batch_d = BatchClear;
        end else begin
          start = 1'b1;
          add = 1'b1;
          beat_take = 1'b1;
          batch_d = beat.last ? BatchHeld : BatchOpen;
        end
      end
    end else if (batch_q == BatchOpen) begin
      beat_take = en && !cmd_valid_i && !flush_i;
      if (beat_valid && beat_take) begin
        if (foreign) begin
          discard = 1'b1;
          drop_owner_d = 1'b0;
          batch_d = beat.last ? BatchIdle : BatchDrop;
        end else begin
          add = 1'b1;
          if (beat.last) batch_d = BatchHeld;
        end
      end
    end else if (batch_q == BatchDrop) begin
      beat_take = !flush_i;
      if (beat_valid && beat_take && beat.last) batch_d = BatchIdle;
    end else if (batch_q == BatchClear) begin
      if (clear && clear_addr_q == bank_addr_t'(BankWords - 1)) batch_d = BatchIdle;
    end

    if (batch_q == BatchHeld && cmd_take) begin
      used_d = 1'b1;
      if (cmd_i.op == ScFree) batch_d = BatchIdle;
    end
    if (flush_i && flush_owner_i == owner_q) begin
      if (batch_q == BatchHeld) begin
        discard = 1'b1;
        batch_d = BatchIdle;
      end else if (batch_q == BatchOpen) begin
        discard = 1'b1;
        drop_owner_d = 1'b1;
        batch_d = BatchDrop;
      end
    end
    if (batch_d != BatchHeld) used_d = 1'b0;
  end

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      batch_q <= BatchClear;
      used_q <= 1'b0;
      drop_owner_q <= 1'b0;
      stamp_q <= '0;
      clear_addr_q <= '0;
    end else begin
      batch_q <= batch_d;
      used_q <= used_d;
      drop_owner_q <= drop_owner_d;
      if (start) stamp_q <= stamp_q + stamp_t'(1);
      else if (batch_q == BatchClear) stamp_q <= '0;
      if (clear) clear_addr_q <= clear_addr_q + bank_addr_t'(1);
    end
  end

  always_ff @(posedge clk_i) begin
    if (start) owner_q <= beat.owner;
  end

  assign batch_valid_o = batch_q == BatchHeld;
  assign batch_owner_o = owner_q;

  // The weight of a layer: 0 when it is not selected.
  localparam int unsigned FirstW = $bits(layers_t) + 1;
  function automatic logic range_has(input layer_t layer, input layer_t first, input layers_t count);
    return layer >= first && FirstW'(layer) < FirstW'(first) + FirstW'(count);
  endfunction
  function automatic layer_weight_t weight_of(input layer_t layer, input layer_range_t all,
                                              input layer_range_t [LayerRanges-1:0] ranges);
    layer_weight_t weight;
    weight = all.weight;
    for (int i = LayerRanges - 1; i >= 0; i--) begin
      if (range_has(layer, ranges[i].first, ranges[i].count)) weight = ranges[i].weight;
    end
    return range_has(layer, all.first, all.count) ? weight : '0;
  endfunction

  layer_range_t all_layers;
  assign all_layers = '{first: cfg_i.score_layer_first, count: cfg_i.score_layer_count, weight: layer_weight_t'(1)};

  // The number of contributions that score_min_queries asks for. The weights are summed while a batch opens, a layer a
  // cycle; the two products behind that take a cycle each.
  localparam int unsigned PairCountW = PairW + $bits(layer_weight_t) + 2;
  localparam int unsigned NeedW = PairCountW + $bits(len_t);
  logic [$clog2(QHeads):0] heads_q, heads_d;
  logic [PairCountW-1:0] weights_q, pairs_q;
  logic [NeedW-1:0] need_q;
  layers_t need_layer_q;
  logic need_sum_q, need_pairs_q;  // the sum, the products are under way

  assign need_busy = need_sum_q || need_pairs_q;

  always_comb begin
    heads_d = '0;
    for (int unsigned i = 0; i < QHeads; i++) heads_d += ($clog2(QHeads) + 1)'(cfg_i.score_head_mask[i]);
  end

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      need_sum_q   <= 1'b0;
      need_pairs_q <= 1'b0;
    end else begin
      if (start) need_sum_q <= 1'b1;
      else if (need_layer_q == layers_t'(Layers - 1)) need_sum_q <= 1'b0;
      need_pairs_q <= need_sum_q && !start;
    end
  end

  always_ff @(posedge clk_i) begin
    if (start) begin
      need_layer_q <= '0;
      weights_q <= '0;
    end else if (need_sum_q) begin
      need_layer_q <= need_layer_q + layers_t'(1);
      weights_q <= weights_q + PairCountW'(weight_of(layer_t'(need_layer_q), all_layers, cfg_i.score_layer_weight));
    end
    heads_q <= heads_d;
    pairs_q <= weights_q * PairCountW'(heads_q);
    need_q  <= NeedW'(pairs_q) * NeedW'(cfg_i.score_min_queries);
  end

  // ------------------------------------------------------------------------------------------ stage 1: lanes
  logic selected;
  layer_weight_t layer_weight;
  assign layer_weight = weight_of(beat.layer, all_layers, cfg_i.score_layer_weight);
  assign selected = layer_weight != '0 && cfg_i.score_head_mask[beat.q_head];

  // A beat without owner, layer, q_head and last, whose work is done.
  typedef struct packed {
    layer_weight_t               layer_weight;
    pos_t                        query_pos;
    logic                        column_sum;
    pos_t                        first;
    logic [ScoreLanes-1:0]       strobe;
    logic [ScoreLanes-1:0][31:0] weight;
  } lanes_t;

  logic   valid1_q;
  ctl_t   ctl1_q;
  stamp_t stamp1_q;
  logic   start1_q;
  lanes_t beat1_q;
  logic   scan_step;
  pos_t   scan_pos_q;
  logic   beat_now;

  assign beat_now = add && selected;

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      valid1_q <= 1'b0;
      start1_q <= 1'b0;
    end else if (en) begin
      valid1_q <= beat_now || read_take || scan_step;
      start1_q <= start;
    end
  end

  always_ff @(posedge clk_i) begin
    if (en) begin
      ctl1_q.kind <= scan_step ? KindScan : read_take ? KindRead : KindBeat;
      ctl1_q.held <= batch_q == BatchHeld;
      ctl1_q.outside <= !scan_step && len_t'(cmd_i.position) >= len_t'(Scored);
      ctl1_q.mark <= !scan_step && cmd_i.mark;
      ctl1_q.prefill <= scan_step ? prefill_q : cmd_i.prefill;
      ctl1_q.position <= scan_step ? scan_pos_q : cmd_i.position;
      stamp1_q <= start ? stamp_q + stamp_t'(1) : stamp_q;
      beat1_q <= '{
          layer_weight: layer_weight,
          query_pos: beat.query_pos,
          column_sum: beat.column_sum,
          first: beat.first,
          strobe: beat.strobe,
          weight: beat.weight
      };
    end
  end

  typedef logic [PosW+1:0] wide_t;  // a position plus a little
  logic is_beat1, is_word1;
  logic [ScoreLanes-1:0] lane_ok, lane_seen, lane_bad;
  lane_t [ScoreLanes-1:0] lane;
  wide_t [ScoreLanes-1:0] lane_pos;
  logic far_any;
  pos_t far_limit;
  len_t seen_q, seen1;

  assign is_beat1  = valid1_q && ctl1_q.kind == KindBeat;
  assign is_word1  = valid1_q && ctl1_q.kind != KindBeat && ctl1_q.held && !ctl1_q.outside;
  // Positions up to far_limit are far enough from the query.
  assign far_any   = len_t'(beat1_q.query_pos) >= cfg_i.score_min_distance;
  assign far_limit = beat1_q.query_pos - pos_t'(cfg_i.score_min_distance);

  always_comb begin
    seen1 = '0;
    for (int unsigned i = 0; i < ScoreLanes; i++) begin
      logic [31:0] raw;
      logic strobe, in_range, causal, zero, nan, above;
      raw = beat1_q.weight[i];
      strobe = beat1_q.strobe[i];
      lane_bad[i] = 1'b0;
      if (beat1_q.column_sum) begin
        if (i < ScoreLanes / 2) begin
          raw = beat1_q.weight[(2*i)%ScoreLanes];
          strobe = beat1_q.strobe[(2*i)%ScoreLanes] && beat1_q.strobe[(2*i+1)%ScoreLanes];
          lane_bad[i] = beat1_q.strobe[(2*i)%ScoreLanes] != beat1_q.strobe[(2*i+1)%ScoreLanes];
        end else begin
          strobe = 1'b0;
        end
      end
      lane_pos[i] = wide_t'(beat1_q.first) + wide_t'(i);
      in_range = lane_pos[i] < wide_t'(Scored);
      causal = beat1_q.column_sum || lane_pos[i] <= wide_t'(beat1_q.query_pos);
      zero = raw[30:0] == '0;
      nan = raw[30:FractionW] == '1 && raw[FractionW-1:0] != '0;
      above = raw[30:FractionW] == '1 || (!beat1_q.column_sum && raw[30:0] > {ExpW'(ExpOne), FractionW'(0)});

      lane_seen[i] = strobe && in_range && causal;
      lane_ok[i] = lane_seen[i] && (beat1_q.column_sum || (far_any && lane_pos[i] <= wide_t'(far_limit)));
      lane_bad[i] |= strobe && (!in_range || !causal || nan || above || (raw[31] && !zero));
      if (lane_seen[i]) seen1 = len_t'(lane_pos[i]) + len_t'(1);

      lane[i].column = beat1_q.column_sum;
      lane[i].count  = beat1_q.column_sum ? beat1_q.weight[(2*i+1)%ScoreLanes] : 32'(beat1_q.layer_weight);
      lane[i].value  = {1'b0, raw[30:0]};
      if (nan || raw[31]) lane[i].value = '0;
      else if (above && !beat1_q.column_sum) lane[i].value = {1'b0, ExpW'(ExpOne), FractionW'(0)};
    end
  end

  // Lane i goes to bank (first + i) mod ScoreLanes. A read or a scan wants one bank.
  logic [ScoreLanes-1:0] bank_valid2_q;
  bank_addr_t [ScoreLanes-1:0] bank_addr2_q;
  lane_t [ScoreLanes-1:0] bank_lane2_q;
  logic valid2_q;
  ctl_t ctl2_q;
  stamp_t stamp2_q;
  factor_t factor2_q;
  logic malformed_q;

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      valid2_q <= 1'b0;
      bank_valid2_q <= '0;
      malformed_q <= 1'b0;
      seen_q <= '0;
    end else begin
      malformed_q <= en && is_beat1 && lane_bad != '0;
      if (en) begin
        valid2_q <= valid1_q;
        for (int unsigned b = 0; b < ScoreLanes; b++) begin
          bank_valid2_q[b] <= is_beat1 ? lane_ok[LaneW'(b)-beat1_q.first[LaneW-1:0]]
              : is_word1 && ctl1_q.position[LaneW-1:0] == LaneW'(b);
        end
        if (start1_q) seen_q <= is_beat1 ? seen1 : '0;
        else if (is_beat1 && seen1 > seen_q) seen_q <= seen1;
      end
    end
  end

  always_ff @(posedge clk_i) begin
    if (en) begin
      ctl2_q <= ctl1_q;
      stamp2_q <= stamp1_q;
      factor2_q <= (cfg_i.score_raw ? factor_t'(1) << RawFactorLog2 : factor_t'(beat1_q.query_pos) + factor_t'(1))
          * factor_t'(beat1_q.layer_weight);
      for (int unsigned b = 0; b < ScoreLanes; b++) begin
        bank_lane2_q[b] <= lane[LaneW'(b)-beat1_q.first[LaneW-1:0]];
        bank_addr2_q[b] <= is_beat1 ? bank_addr_t'(beat1_q.first[PosW-1:LaneW])
            + bank_addr_t'(LaneW'(b) < beat1_q.first[LaneW-1:0]) : bank_addr_t'(ctl1_q.position[PosW-1:LaneW]);
      end
    end
  end

  // ------------------------------------------------------------------------------------------ stages 2 to 5: banks
  logic [ScoreLanes-1:0] bank_mark, bank_saturated;
  count_t [ScoreLanes-1:0] bank_count;
  sum_t   [ScoreLanes-1:0] bank_sum;

  for (genvar b = 0; b < int'(ScoreLanes); b++) begin : gen_bank
    score_bank u_bank (
        .clk_i,
        .rst_ni,
        .en_i        (en),
        .valid_i     (bank_valid2_q[b]),
        .write_i     (ctl2_q.kind == KindBeat || ctl2_q.mark),
        .mark_i      (ctl2_q.kind != KindBeat),
        .stamp_i     (stamp2_q),
        .addr_i      (bank_addr2_q[b]),
        .lane_i      (bank_lane2_q[b]),
        .factor_i    (factor2_q),
        .raw_i       (cfg_i.score_raw),
        .mark_o      (bank_mark[b]),
        .count_o     (bank_count[b]),
        .sum_o       (bank_sum[b]),
        .saturated_o (bank_saturated[b]),
        .clear_i     (clear),
        .clear_addr_i(clear_addr_q)
    );
  end

  logic valid3_q, valid4_q, valid5_q, valid6_q;
  ctl_t ctl3_q, ctl4_q, ctl5_q, ctl6_q;
  logic mark5_q, mark6_q, zero6_q;
  count_t count5_q;
  sum_t sum5_q;
  logic [LaneW-1:0] pick4;

  assign pick4 = ctl4_q.position[LaneW-1:0];

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      valid3_q <= 1'b0;
      valid4_q <= 1'b0;
      valid5_q <= 1'b0;
      valid6_q <= 1'b0;
    end else if (en) begin
      valid3_q <= valid2_q;
      valid4_q <= valid3_q;
      valid5_q <= valid4_q;
      valid6_q <= valid5_q && ctl5_q.kind != KindBeat;
    end
  end

  // ------------------------------------------------------------------------------------------ score
  // Mean, to nearest: floor((sum + 2*count) / (4*count)), the 4 being 2**(MeanFrac - ScoreFrac).
  // Raw, to nearest: the divider divides by 1.
  localparam int unsigned RawDown = RawFrac - ScoreFrac;
  if (MeanFrac != ScoreFrac + 2) begin : gen_bad_frac
    $error("sink_scorer: MeanFrac %0d is not ScoreFrac + 2", MeanFrac);
  end

  logic [NumW-1:0] num6_q, num_mean, num_raw;
  count_t den6_q;
  logic zero5;
  logic [SumW:0] sum_half;

  assign sum_half = {1'b0, sum5_q} + (SumW + 1)'({count5_q, 1'b0});
  assign num_mean = NumW'(sum_half >> 2);
  assign num_raw = NumW'((((sum5_q >> (RawDown - 1)) >> cfg_i.score_raw_shift) + sum_t'(1)) >> 1);
  assign zero5 = !ctl5_q.held || ctl5_q.outside || count5_q == '0
      || (ctl5_q.prefill && !cfg_i.score_raw && NeedW'(count5_q) < need_q);

  always_ff @(posedge clk_i) begin
    if (en) begin
      ctl3_q   <= ctl2_q;
      ctl4_q   <= ctl3_q;
      ctl5_q   <= ctl4_q;
      ctl6_q   <= ctl5_q;
      mark5_q  <= bank_mark[pick4];
      count5_q <= bank_count[pick4];
      sum5_q   <= bank_sum[pick4];
      mark6_q  <= mark5_q;
      zero6_q  <= zero5;
      num6_q   <= cfg_i.score_raw ? num_raw : num_mean;
      den6_q   <= (zero5 || cfg_i.score_raw) ? count_t'(1) : count5_q;
    end
  end

  typedef struct packed {
    ctl_t ctl;
    logic mark;
    logic zero;
  } side_t;
  side_t side6, side7;
  logic valid7, over7, div_busy;
  score_t quot7, score7;

  assign side6 = '{ctl: ctl6_q, mark: mark6_q, zero: zero6_q};

  score_divider #(
      .T    (side_t),
      .NumW (NumW),
      .DenW (CountW),
      .QuotW(QuotW)
  ) u_divider (
      .clk_i,
      .rst_ni,
      .en_i       (en),
      .valid_i    (valid6_q),
      .num_i      (num6_q),
      .den_i      (den6_q),
      .side_i     (side6),
      .busy_o     (div_busy),
      .valid_o    (valid7),
      .saturated_o(over7),
      .quot_o     (quot7),
      .side_o     (side7)
  );

  assign score7 = side7.zero ? '0 : quot7;

  // ------------------------------------------------------------------------------------------ top-k
  logic   insert8_q;
  pos_t   pos8_q;
  score_t score8_q;
  logic head_valid, next_valid, full, head_last, emit, shift;
  pos_t   head_pos;
  score_t head_score;
  logic scan_last, flushed;

  // A token may stand in this pass: behind the last one streamed in the order strongest first, lower position first.
  logic wanted;
  assign wanted = valid7 && side7.ctl.kind == KindScan && !side7.mark && score7 >= threshold_q
      && (first_pass_q || score7 < last_score_q || (score7 == last_score_q && side7.ctl.position > last_pos_q));

  assign busy = valid1_q || valid2_q || valid3_q || valid4_q || valid5_q || valid6_q || div_busy || insert8_q;

  assign flushed = flush_i && flush_owner_i == owner_q && batch_q == BatchHeld;
  assign scan_step = en && top_q == TopScan && len_t'(scan_pos_q) < seen_q && !abort_q;
  assign scan_last = len_t'(scan_pos_q) + len_t'(1) >= seen_q;
  assign head_last = left_q == len_t'(1) || (!next_valid && !full_q);
  assign emit = top_q == TopEmit && head_valid && !abort_q;
  assign shift = emit && en;

  always_comb begin
    top_d = top_q;
    unique case (top_q)
      TopIdle:  if (top_take) top_d = (batch_q == BatchHeld && cmd_i.count != '0) ? TopScan : TopNone;
      TopScan:  if (en && (scan_last || abort_q)) top_d = TopDrain;
      TopDrain: if (!busy) top_d = (abort_q || !head_valid) ? TopNone : TopEmit;
      TopEmit: begin
        if (abort_q) top_d = TopNone;
        else if (shift && head_last) top_d = TopIdle;
        else if (shift && !next_valid) top_d = TopScan;
      end
      TopNone:  if (en && !busy) top_d = TopIdle;
      default:  top_d = TopIdle;
    endcase
  end

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      top_q <= TopIdle;
      abort_q <= 1'b0;
      insert8_q <= 1'b0;
    end else begin
      top_q   <= top_d;
      abort_q <= (abort_q || flushed) && top_d != TopIdle;
      if (en) insert8_q <= wanted;
    end
  end

  always_ff @(posedge clk_i) begin
    if (top_q == TopIdle) begin
      prefill_q <= cmd_i.prefill;
      threshold_q <= cmd_i.threshold;
      left_q <= cmd_i.count;
      first_pass_q <= 1'b1;
    end else if (shift) begin
      left_q <= left_q - len_t'(1);
      first_pass_q <= 1'b0;
      last_pos_q <= head_pos;
      last_score_q <= head_score;
    end
    if (top_q != TopScan) scan_pos_q <= '0;
    else if (en) scan_pos_q <= scan_pos_q + pos_t'(1);
    if (top_q == TopDrain) full_q <= full;
    if (en) begin
      pos8_q   <= side7.ctl.position;
      score8_q <= score7;
    end
  end

  score_top_k #(
      .TopK(TopK)
  ) u_top_k (
      .clk_i,
      .rst_ni,
      .clear_i        (top_q == TopIdle),
      .insert_i       (en && insert8_q),
      .position_i     (pos8_q),
      .score_i        (score8_q),
      .shift_i        (shift),
      .head_valid_o   (head_valid),
      .next_valid_o   (next_valid),
      .full_o         (full),
      .head_position_o(head_pos),
      .head_score_o   (head_score)
  );

  // ------------------------------------------------------------------------------------------ answers
  logic read7;
  assign read7 = valid7 && side7.ctl.kind == KindRead;

  always_comb begin
    answer_valid = read7;
    answer = '{valid: side7.ctl.held, position: side7.ctl.position, score: score7, last: 1'b1};
    if (emit) begin
      answer_valid = 1'b1;
      answer = '{valid: 1'b1, position: head_pos, score: head_score, last: head_last};
    end else if (top_q == TopNone && !busy) begin
      answer_valid = 1'b1;
      answer = '{valid: 1'b0, position: '0, score: '0, last: 1'b1};
    end
  end

  // ------------------------------------------------------------------------------------------ counters
  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      beat_o <= 1'b0;
      saturated_o <= 1'b0;
      discarded_o <= 1'b0;
    end else begin
      beat_o <= beat_valid && beat_take;
      saturated_o <= en && (bank_saturated != '0
          || (valid7 && over7 && !side7.zero && (side7.ctl.kind == KindRead || first_pass_q)));
      discarded_o <= discard;
    end
  end
  assign malformed_o = malformed_q;

  `KVS_STREAM(score_stream, score_valid_i, score_ready_o, score_i)
  `KVS_STREAM(cmd_stream, cmd_valid_i, cmd_ready_o, cmd_i)
  `KVS_STREAM(rsp_stream, rsp_valid_o, rsp_ready_i, rsp_o)
  `KVS_ASSERT(one_source, !(read7 && (emit || top_q == TopNone && !busy)))
  `KVS_ASSERT(clear_alone, !clear || !(valid1_q || valid2_q || valid3_q || valid4_q))

endmodule

// SPDX-License-Identifier: Apache-2.0
// sink_scorer with flat ports, one a field, for the C++ bench. No logic.

module sink_scorer_tb
  import kvsink_cfg_pkg::*;
  import kvsink_pkg::*;
(
    input  logic                        clk_i,
    input  logic                        rst_ni,
    input  layer_t                      cfg_layer_first_i,
    input  layers_t                     cfg_layer_count_i,
    input  logic    [             79:0] cfg_layer_weights_i,  // {weight 4, count 8, first 8} of each range
    input  logic    [       QHeads-1:0] cfg_head_mask_i,
    input  len_t                        cfg_min_distance_i,
    input  len_t                        cfg_min_queries_i,
    input  logic                        cfg_raw_i,
    input  logic    [              4:0] cfg_raw_shift_i,
    input  logic                        score_valid_i,
    output logic                        score_ready_o,
    input  owner_t                      score_owner_i,
    input  layer_t                      score_layer_i,
    input  q_head_t                     score_q_head_i,
    input  pos_t                        score_query_pos_i,
    input  logic                        score_column_sum_i,
    input  pos_t                        score_first_i,
    input  logic    [   ScoreLanes-1:0] score_strobe_i,
    input  logic    [ScoreLanes*32-1:0] score_weight_i,
    input  logic                        score_last_i,
    output logic                        batch_valid_o,
    output owner_t                      batch_owner_o,
    input  logic                        cmd_valid_i,
    output logic                        cmd_ready_o,
    input  logic    [              1:0] cmd_op_i,
    input  pos_t                        cmd_position_i,
    input  logic                        cmd_mark_i,
    input  len_t                        cmd_count_i,
    input  score_t                      cmd_threshold_i,
    input  logic                        cmd_prefill_i,
    output logic                        rsp_valid_o,
    input  logic                        rsp_ready_i,
    output logic                        rsp_token_o,
    output pos_t                        rsp_position_o,
    output score_t                      rsp_score_o,
    output logic                        rsp_last_o,
    input  logic                        flush_i,
    input  owner_t                      flush_owner_i,
    output logic                        beat_o,
    output logic                        saturated_o,
    output logic                        discarded_o,
    output logic                        malformed_o,
    // sizes of this instance
    output logic    [             31:0] size_positions_o,
    output logic    [             31:0] size_scored_o,
    output logic    [             31:0] size_layers_o,
    output logic    [             31:0] size_q_heads_o,
    output logic    [             31:0] size_lanes_o,
    output logic    [             31:0] size_top_k_o
);

  ctl_cfg_t cfg;
  score_beat_t beat;
  score_cmd_t cmd;
  score_rsp_t rsp;

  always_comb begin
    cfg = '0;
    cfg.score_layer_first = cfg_layer_first_i;
    cfg.score_layer_count = cfg_layer_count_i;
    for (int unsigned i = 0; i < LayerRanges; i++) begin
      cfg.score_layer_weight[i].first  = layer_t'(cfg_layer_weights_i[20*i+:8]);
      cfg.score_layer_weight[i].count  = layers_t'(cfg_layer_weights_i[20*i+8+:8]);
      cfg.score_layer_weight[i].weight = cfg_layer_weights_i[20*i+16+:4];
    end
    cfg.score_head_mask = cfg_head_mask_i;
    cfg.score_min_distance = cfg_min_distance_i;
    cfg.score_min_queries = cfg_min_queries_i;
    cfg.score_raw = cfg_raw_i;
    cfg.score_raw_shift = cfg_raw_shift_i;
  end

  assign beat.owner = score_owner_i;
  assign beat.layer = score_layer_i;
  assign beat.q_head = score_q_head_i;
  assign beat.query_pos = score_query_pos_i;
  assign beat.column_sum = score_column_sum_i;
  assign beat.first = score_first_i;
  assign beat.strobe = score_strobe_i;
  assign beat.weight = score_weight_i;
  assign beat.last = score_last_i;
  assign cmd.op = score_op_e'(cmd_op_i);
  assign cmd.position = cmd_position_i;
  assign cmd.mark = cmd_mark_i;
  assign cmd.count = cmd_count_i;
  assign cmd.threshold = cmd_threshold_i;
  assign cmd.prefill = cmd_prefill_i;
  assign rsp_token_o = rsp.valid;
  assign rsp_position_o = rsp.position;
  assign rsp_score_o = rsp.score;
  assign rsp_last_o = rsp.last;
  assign size_positions_o = Positions;
  assign size_scored_o = Scored;
  assign size_layers_o = Layers;
  assign size_q_heads_o = QHeads;
  assign size_lanes_o = ScoreLanes;
  assign size_top_k_o = TopK;

  sink_scorer u_dut (
      .clk_i,
      .rst_ni,
      .cfg_i  (cfg),
      .score_valid_i,
      .score_ready_o,
      .score_i(beat),
      .batch_valid_o,
      .batch_owner_o,
      .cmd_valid_i,
      .cmd_ready_o,
      .cmd_i  (cmd),
      .rsp_valid_o,
      .rsp_ready_i,
      .rsp_o  (rsp),
      .flush_i,
      .flush_owner_i,
      .beat_o,
      .saturated_o,
      .discarded_o,
      .malformed_o
  );

endmodule

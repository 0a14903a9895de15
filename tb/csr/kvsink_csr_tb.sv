// SPDX-License-Identifier: Apache-2.0
// kvsink_csr with plain ports; of the layout, the stride set and plane that sel_i names are shown.

module kvsink_csr_tb
  import kvsink_cfg_pkg::*;
  import kvsink_pkg::*;
(
    input logic clk_i,
    input logic rst_ni,

    input  logic [15:0] awaddr_i,
    input  logic        awvalid_i,
    output logic        awready_o,
    input  logic [31:0] wdata_i,
    input  logic [ 3:0] wstrb_i,
    input  logic        wvalid_i,
    output logic        wready_o,
    output logic [ 1:0] bresp_o,
    output logic        bvalid_o,
    input  logic        bready_i,
    input  logic [15:0] araddr_i,
    input  logic        arvalid_i,
    output logic        arready_o,
    output logic [31:0] rdata_o,
    output logic [ 1:0] rresp_o,
    output logic        rvalid_o,
    input  logic        rready_i,
    output logic        irq_o,

    output logic [      31:0]       t_sink_o,
    output logic [      31:0]       t_pin_o,
    output logic [      31:0]       t_promote_o,
    output logic [      31:0]       t_evict_o,
    output logic [      15:0]       alpha_o,
    output logic [       7:0]       n_promote_o,
    output logic [      15:0]       n_dwell_o,
    output logic [       7:0]       n_evict_o,
    output logic [      31:0]       sram_budget_o,
    output logic [      31:0]       layer_first_o,
    output logic [      31:0]       layer_count_o,
    output logic [       3:0][31:0] layer_weight_o,                   // as the registers
    output logic [QHeads-1:0]       head_mask_o,
    output logic [      31:0]       min_distance_o,
    output logic [      31:0]       min_queries_o,
    output logic                    raw_o,
    output logic [       4:0]       raw_shift_o,
    output logic                    dynamic_o,
    output logic [       4:0]       promo_floor_o,
    output logic [       7:0]       burst_cost_o,
    output logic [       8:0]       promo_reads_o   [PromoChannels],
    output logic [      23:0]       bus_timeout_o,
    output logic [      23:0]       stream_timeout_o,
    input  logic [       2:0]       sel_i,
    output logic [       2:0]       page_log2_o,
    output logic [       4:0]       block_bits_o,
    output logic [      31:0]       layers_o,
    output logic [      39:0]       stride_block_o,
    output logic [      31:0]       stride_head_o,
    output logic [      31:0]       stride_token_o,
    output logic                    plane_valid_o,
    output logic [       1:0]       plane_tensor_o,
    output logic [       1:0]       plane_set_o,
    output logic [       2:0]       plane_share_o,
    output logic [       7:0]       plane_beats_o,
    output logic [      31:0]       plane_offset_o,
    output logic                    base_we_o,
    output logic [      15:0]       base_waddr_o,
    output logic [      47:0]       base_wdata_o,

    input  logic         cmd_valid_i,
    output logic         cmd_ready_o,
    input  logic [511:0] cmd_i,
    output logic         done_valid_o,
    input  logic         done_ready_i,
    output logic [255:0] done_o,
    output logic         ctrl_cmd_valid_o,
    input  logic         ctrl_cmd_ready_i,
    output logic [511:0] ctrl_cmd_o,
    input  logic         ctrl_done_valid_i,
    output logic         ctrl_done_ready_o,
    input  logic [255:0] ctrl_done_i,

    output logic         log_pop_o,
    input  logic         log_valid_i,
    input  logic [255:0] log_record_i,
    input  logic [ 15:0] log_level_i,
    input  logic [ 31:0] log_last_sequence_i,
    input  logic [ 31:0] log_last_crc_i,

    input logic [ $bits(mux_count_t)-1:0] mux_count_i,
    input logic [$bits(port_count_t)-1:0] port_count_i,
    input logic [$bits(walk_count_t)-1:0] walk_count_i,
    input logic [                   18:0] ctrl_pulses_i,
    input logic [                   15:0] slots_used_i,
    input logic [                   15:0] filling_i,
    input logic [                   15:0] records_i,
    input logic                           sram_conflict_i,
    input logic                           merge_done_i,
    input logic                           merge_weighted_i,
    input logic [                   31:0] merge_sink_mass_i,
    input logic                           merge_nan_i,
    input logic                           merge_error_i,
    input logic [                    3:0] score_i,
    input logic                           sink_valid_i,
    input logic                           sink_ready_i,
    input logic                           bulk_valid_i,
    input logic                           bulk_ready_i
);

  ctrl_count_t ctrl_count;
  assign ctrl_count = {
    ctrl_pulses_i, slots_t'(slots_used_i), slots_t'(filling_i), ($bits(ctrl_count.records))'(records_i)
  };

  ctl_cfg_t ctl;
  layout_cfg_t layout;
  logic [$clog2(Layers)+1:0] base_waddr;

  assign t_sink_o = ctl.t_sink;
  assign t_pin_o = ctl.t_pin;
  assign t_promote_o = ctl.t_promote;
  assign t_evict_o = ctl.t_evict;
  assign alpha_o = ctl.alpha;
  assign n_promote_o = ctl.n_promote;
  assign n_dwell_o = ctl.n_dwell;
  assign n_evict_o = ctl.n_evict;
  assign sram_budget_o = 32'(ctl.sram_budget);
  assign layer_first_o = 32'(ctl.score_layer_first);
  assign layer_count_o = 32'(ctl.score_layer_count);
  for (genvar i = 0; i < int'(LayerRanges); i++) begin : gen_layer_weight
    assign layer_weight_o[i] = {
      12'd0, ctl.score_layer_weight[i].weight, 8'(ctl.score_layer_weight[i].count), 8'(ctl.score_layer_weight[i].first)
    };
  end
  assign head_mask_o = ctl.score_head_mask;
  assign min_distance_o = 32'(ctl.score_min_distance);
  assign min_queries_o = 32'(ctl.score_min_queries);
  assign raw_o = ctl.score_raw;
  assign raw_shift_o = ctl.score_raw_shift;
  assign dynamic_o = ctl.dynamic;
  assign promo_floor_o = ctl.promo_floor;
  assign burst_cost_o = ctl.burst_cost;
  for (genvar c = 0; c < PromoChannels; c++) begin : gen_promo_reads
    assign promo_reads_o[c] = ctl.promo_reads[c];
  end
  assign bus_timeout_o = ctl.bus_timeout;
  assign stream_timeout_o = ctl.stream_timeout;
  assign page_log2_o = layout.page_log2;
  assign block_bits_o = layout.block_bits;
  assign layers_o = 32'(layout.layers);
  assign stride_block_o = layout.stride[sel_i[1:0]].block;
  assign stride_head_o = layout.stride[sel_i[1:0]].head;
  assign stride_token_o = layout.stride[sel_i[1:0]].token;
  assign plane_valid_o = layout.plane[sel_i].valid;
  assign plane_tensor_o = layout.plane[sel_i].tensor;
  assign plane_set_o = layout.plane[sel_i].stride_set;
  assign plane_share_o = layout.plane[sel_i].share_log2;
  assign plane_beats_o = 8'(layout.plane[sel_i].row_beats);
  assign plane_offset_o = layout.plane[sel_i].offset;
  assign base_waddr_o = 16'(base_waddr);

  // A small configuration does not look at all of their bits.
  logic unused;
  assign unused = ^{log_level_i, slots_used_i, filling_i, records_i};

  kvsink_csr u_dut (
      .clk_i,
      .rst_ni,
      .s_axil_awaddr_i  (awaddr_i),
      .s_axil_awprot_i  (3'b000),
      .s_axil_awvalid_i (awvalid_i),
      .s_axil_awready_o (awready_o),
      .s_axil_wdata_i   (wdata_i),
      .s_axil_wstrb_i   (wstrb_i),
      .s_axil_wvalid_i  (wvalid_i),
      .s_axil_wready_o  (wready_o),
      .s_axil_bresp_o   (bresp_o),
      .s_axil_bvalid_o  (bvalid_o),
      .s_axil_bready_i  (bready_i),
      .s_axil_araddr_i  (araddr_i),
      .s_axil_arprot_i  (3'b000),
      .s_axil_arvalid_i (arvalid_i),
      .s_axil_arready_o (arready_o),
      .s_axil_rdata_o   (rdata_o),
      .s_axil_rresp_o   (rresp_o),
      .s_axil_rvalid_o  (rvalid_o),
      .s_axil_rready_i  (rready_i),
      .irq_o,
      .ctl_o            (ctl),
      .layout_o         (layout),
      .base_we_o,
      .base_waddr_o     (base_waddr),
      .base_wdata_o,
      .cmd_valid_i,
      .cmd_ready_o,
      .cmd_i            (cmd_t'(cmd_i)),
      .done_valid_o,
      .done_ready_i,
      .done_o,
      .ctrl_cmd_valid_o,
      .ctrl_cmd_ready_i,
      .ctrl_cmd_o,
      .ctrl_done_valid_i,
      .ctrl_done_ready_o,
      .ctrl_done_i      (done_t'(ctrl_done_i)),
      .log_pop_o,
      .log_valid_i,
      .log_record_i     (log_record_t'(log_record_i)),
      .log_level_i      (($clog2(LogRecords) + 1)'(log_level_i)),
      .log_last_sequence_i,
      .log_last_crc_i,
      .mux_count_i      (mux_count_t'(mux_count_i)),
      .port_count_i     (port_count_t'(port_count_i)),
      .walk_count_i     (walk_count_t'(walk_count_i)),
      .ctrl_count_i     (ctrl_count),
      .sram_conflict_i,
      .merge_done_i,
      .merge_weighted_i,
      .merge_sink_mass_i,
      .merge_nan_i,
      .merge_error_i,
      .score_beat_i     (score_i[0]),
      .score_saturated_i(score_i[1]),
      .score_discarded_i(score_i[2]),
      .score_malformed_i(score_i[3]),
      .sink_valid_i,
      .sink_ready_i,
      .bulk_valid_i,
      .bulk_ready_i
  );

endmodule

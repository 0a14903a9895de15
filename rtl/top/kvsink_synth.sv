// SPDX-License-Identifier: Apache-2.0
// kvsink_top with plain vector ports, one port a field: for benches, synthesis, formal and gate level, where packed
// structs on the boundary are awkward. It adds no logic and no latency. Field meanings: kvsink_pkg.

module kvsink_synth
  import kvsink_cfg_pkg::*;
  import kvsink_pkg::*;
(
    input logic clk_i,
    input logic rst_ni,

    input logic req_valid_i,
    output logic req_ready_o,
    input req_id_t req_id_i,
    input owner_t req_owner_i,
    input layer_t req_layer_i,
    input kv_head_t req_head_i,
    input plane_mask_t req_planes_i,
    input logic req_by_granule_i,
    input pos_t req_first_i,
    input len_t req_count_i,
    input tokens_t req_mask_i,
    input logic req_keep_i,
    input logic req_follow_i,
    input req_id_t req_follow_id_i,
    input logic req_bulk_only_i,

    output logic sink_valid_o,
    input logic sink_ready_i,
    output req_id_t sink_id_o,
    output logic sink_is_end_o,
    output plane_t sink_plane_o,
    output pos_t sink_position_o,
    output logic sink_error_o,
    output logic sink_last_o,
    output beat_t sink_data_o,

    output logic bulk_valid_o,
    input logic bulk_ready_i,
    output req_id_t bulk_id_o,
    output logic bulk_is_end_o,
    output plane_t bulk_plane_o,
    output pos_t bulk_position_o,
    output logic bulk_error_o,
    output logic bulk_last_o,
    output beat_t bulk_data_o,

    input logic score_valid_i,
    output logic score_ready_o,
    input owner_t score_owner_i,
    input layer_t score_layer_i,
    input q_head_t score_q_head_i,
    input pos_t score_query_pos_i,
    input logic score_column_sum_i,
    input pos_t score_first_i,
    input logic [ScoreLanes-1:0] score_strobe_i,
    input logic [ScoreLanes*32-1:0] score_weight_i,
    input logic score_last_i,

    input logic partial_valid_i,
    output logic partial_ready_o,
    input logic [15:0] partial_id_i,
    input logic partial_first_i,
    input logic partial_last_partial_i,
    input logic partial_is_sink_i,
    input logic [31:0] partial_lse_i,
    input logic partial_base2_i,
    input logic [1:0] partial_fmt_i,
    input logic [7:0] partial_beats_i,
    input logic [Lanes*32-1:0] partial_data_i,

    output logic out_valid_o,
    input logic out_ready_i,
    output logic [15:0] out_id_o,
    output logic out_first_o,
    output logic out_last_o,
    output logic [31:0] out_lse_o,
    output logic out_nan_o,
    output logic [31:0] out_sink_mass_o,
    output logic [1:0] out_fmt_o,
    output logic [Lanes*32-1:0] out_data_o,

    input logic cmd_valid_i,
    output logic cmd_ready_o,
    input logic [$bits(cmd_t)-1:0] cmd_data_i,

    output logic done_valid_o,
    input logic done_ready_i,
    output logic [$bits(done_t)-1:0] done_data_o,

    output axi_id_t m_axi_arid_o,
    output addr_t m_axi_araddr_o,
    output axi_len_t m_axi_arlen_o,
    output logic [2:0] m_axi_arsize_o,
    output logic [1:0] m_axi_arburst_o,
    output logic [3:0] m_axi_arcache_o,
    output logic [2:0] m_axi_arprot_o,
    output logic m_axi_arvalid_o,
    input logic m_axi_arready_i,
    input axi_id_t m_axi_rid_i,
    input beat_t m_axi_rdata_i,
    input logic [1:0] m_axi_rresp_i,
    input logic m_axi_rlast_i,
    input logic m_axi_rvalid_i,
    output logic m_axi_rready_o,

    input logic [15:0] s_axil_awaddr_i,
    input logic [2:0] s_axil_awprot_i,
    input logic s_axil_awvalid_i,
    output logic s_axil_awready_o,
    input logic [31:0] s_axil_wdata_i,
    input logic [3:0] s_axil_wstrb_i,
    input logic s_axil_wvalid_i,
    output logic s_axil_wready_o,
    output logic [1:0] s_axil_bresp_o,
    output logic s_axil_bvalid_o,
    input logic s_axil_bready_i,
    input logic [15:0] s_axil_araddr_i,
    input logic [2:0] s_axil_arprot_i,
    input logic s_axil_arvalid_i,
    output logic s_axil_arready_o,
    output logic [31:0] s_axil_rdata_o,
    output logic [1:0] s_axil_rresp_o,
    output logic s_axil_rvalid_o,
    input logic s_axil_rready_i,

    output logic irq_o
);

  row_req_t req;
  assign req.id = req_id_i;
  assign req.owner = req_owner_i;
  assign req.layer = req_layer_i;
  assign req.head = req_head_i;
  assign req.planes = req_planes_i;
  assign req.by_granule = req_by_granule_i;
  assign req.first = req_first_i;
  assign req.count = req_count_i;
  assign req.mask = req_mask_i;
  assign req.keep = req_keep_i;
  assign req.follow = req_follow_i;
  assign req.follow_id = req_follow_id_i;
  assign req.bulk_only = req_bulk_only_i;
  row_beat_t sink;
  assign sink_id_o = sink.id;
  assign sink_is_end_o = sink.is_end;
  assign sink_plane_o = sink.plane;
  assign sink_position_o = sink.position;
  assign sink_error_o = sink.error;
  assign sink_last_o = sink.last;
  assign sink_data_o = sink.data;
  row_beat_t bulk;
  assign bulk_id_o = bulk.id;
  assign bulk_is_end_o = bulk.is_end;
  assign bulk_plane_o = bulk.plane;
  assign bulk_position_o = bulk.position;
  assign bulk_error_o = bulk.error;
  assign bulk_last_o = bulk.last;
  assign bulk_data_o = bulk.data;
  score_beat_t score;
  assign score.owner = score_owner_i;
  assign score.layer = score_layer_i;
  assign score.q_head = score_q_head_i;
  assign score.query_pos = score_query_pos_i;
  assign score.column_sum = score_column_sum_i;
  assign score.first = score_first_i;
  assign score.strobe = score_strobe_i;
  assign score.weight = score_weight_i;
  assign score.last = score_last_i;
  partial_t partial;
  assign partial.id = partial_id_i;
  assign partial.first = partial_first_i;
  assign partial.last_partial = partial_last_partial_i;
  assign partial.is_sink = partial_is_sink_i;
  assign partial.lse = partial_lse_i;
  assign partial.base2 = partial_base2_i;
  assign partial.fmt = fmt_e'(partial_fmt_i);
  assign partial.beats = partial_beats_i;
  assign partial.data = partial_data_i;
  merged_t out;
  assign out_id_o = out.id;
  assign out_first_o = out.first;
  assign out_last_o = out.last;
  assign out_lse_o = out.lse;
  assign out_nan_o = out.nan;
  assign out_sink_mass_o = out.sink_mass;
  assign out_fmt_o = out.fmt;
  assign out_data_o = out.data;
  cmd_t cmd;
  assign cmd = cmd_data_i;
  done_t done;
  assign done_data_o = done;

  kvsink_top u_top (
      .clk_i,
      .rst_ni,
      .req_valid_i,
      .req_ready_o,
      .req_i(req),
      .sink_valid_o,
      .sink_ready_i,
      .sink_o(sink),
      .bulk_valid_o,
      .bulk_ready_i,
      .bulk_o(bulk),
      .score_valid_i,
      .score_ready_o,
      .score_i(score),
      .partial_valid_i,
      .partial_ready_o,
      .partial_i(partial),
      .out_valid_o,
      .out_ready_i,
      .out_o(out),
      .cmd_valid_i,
      .cmd_ready_o,
      .cmd_i(cmd),
      .done_valid_o,
      .done_ready_i,
      .done_o(done),
      .m_axi_arid_o,
      .m_axi_araddr_o,
      .m_axi_arlen_o,
      .m_axi_arsize_o,
      .m_axi_arburst_o,
      .m_axi_arcache_o,
      .m_axi_arprot_o,
      .m_axi_arvalid_o,
      .m_axi_arready_i,
      .m_axi_rid_i,
      .m_axi_rdata_i,
      .m_axi_rresp_i,
      .m_axi_rlast_i,
      .m_axi_rvalid_i,
      .m_axi_rready_o,
      .s_axil_awaddr_i,
      .s_axil_awprot_i,
      .s_axil_awvalid_i,
      .s_axil_awready_o,
      .s_axil_wdata_i,
      .s_axil_wstrb_i,
      .s_axil_wvalid_i,
      .s_axil_wready_o,
      .s_axil_bresp_o,
      .s_axil_bvalid_o,
      .s_axil_bready_i,
      .s_axil_araddr_i,
      .s_axil_arprot_i,
      .s_axil_arvalid_i,
      .s_axil_arready_o,
      .s_axil_rdata_o,
      .s_axil_rresp_o,
      .s_axil_rvalid_o,
      .s_axil_rready_i,
      .irq_o
  );

endmodule

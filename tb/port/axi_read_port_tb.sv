// SPDX-License-Identifier: Apache-2.0
// axi_read_port behind flat ports; clients as arrays: 0 table, 1 bulk, 2 promotion.

module axi_read_port_tb
  import kvsink_cfg_pkg::*;
  import kvsink_pkg::*;
(
    input  logic         clk_i,
    input  logic         rst_ni,
    output logic  [31:0] cfg_bus_bits_o,
    input  logic  [ 4:0] promo_floor_i,
    input  logic  [23:0] bus_timeout_i,
    input  logic         bulk_ahead_i,
    input  logic         promo_chan_i,
    output logic         promo_rsp_chan_o,
    output logic  [ 1:0] promo_lost_o,
    input  logic  [ 2:0] req_valid_i,
    output logic  [ 2:0] req_ready_o,
    input  logic  [47:0] req_addr_i      [3],
    input  logic  [ 7:0] req_len_i       [3],
    output logic  [ 2:0] rsp_valid_o,
    output beat_t        rsp_data_o      [3],
    output logic  [ 2:0] rsp_last_o,
    output logic  [ 2:0] rsp_error_o,
    input  logic         fence_i,
    output logic         fence_busy_o,
    output logic  [ 2:0] count_burst_o,
    output logic  [ 2:0] count_beat_o,
    output logic         count_ar_stall_o,
    output logic         count_r_idle_o,
    output logic         count_error_o,
    output logic         count_stray_o,
    output logic  [ 2:0] m_axi_arid_o,
    output logic  [47:0] m_axi_araddr_o,
    output logic  [ 7:0] m_axi_arlen_o,
    output logic  [ 2:0] m_axi_arsize_o,
    output logic  [ 1:0] m_axi_arburst_o,
    output logic  [ 3:0] m_axi_arcache_o,
    output logic  [ 2:0] m_axi_arprot_o,
    output logic         m_axi_arvalid_o,
    input  logic         m_axi_arready_i,
    input  logic  [ 2:0] m_axi_rid_i,
    input  beat_t        m_axi_rdata_i,
    input  logic  [ 1:0] m_axi_rresp_i,
    input  logic         m_axi_rlast_i,
    input  logic         m_axi_rvalid_i,
    output logic         m_axi_rready_o
);

  assign cfg_bus_bits_o = BusBits;

  ctl_cfg_t cfg;
  always_comb begin
    cfg = '0;
    cfg.promo_floor = promo_floor_i;
    cfg.bus_timeout = bus_timeout_i;
  end

  rd_req_t req[3];
  rd_rsp_t rsp[3];
  for (genvar c = 0; c < 3; c++) begin : gen_client
    assign req[c] = '{addr: req_addr_i[c], len: req_len_i[c]};
    assign rsp_data_o[c] = rsp[c].data;
    assign rsp_last_o[c] = rsp[c].last;
    assign rsp_error_o[c] = rsp[c].error;
  end

  port_count_t count;
  assign count_burst_o = {count.promo_burst, count.bulk_burst, count.table_burst};
  assign count_beat_o = {count.promo_beat, count.bulk_beat, count.table_beat};
  assign count_ar_stall_o = count.ar_stall;
  assign count_r_idle_o = count.r_idle;
  assign count_error_o = count.error_beat;
  assign count_stray_o = count.stray_beat;

  axi_read_port #(
      .TableReads(511),
      .BulkReads (511),
      .PromoReads(511)
  ) u_port (
      .clk_i,
      .rst_ni,
      .cfg_i            (cfg),
      .table_req_valid_i(req_valid_i[0]),
      .table_req_ready_o(req_ready_o[0]),
      .table_req_i      (req[0]),
      .table_rsp_valid_o(rsp_valid_o[0]),
      .table_rsp_o      (rsp[0]),
      .bulk_req_valid_i (req_valid_i[1]),
      .bulk_req_ready_o (req_ready_o[1]),
      .bulk_req_i       (req[1]),
      .bulk_rsp_valid_o (rsp_valid_o[1]),
      .bulk_rsp_o       (rsp[1]),
      .bulk_ahead_i,
      .promo_req_valid_i(req_valid_i[2]),
      .promo_req_ready_o(req_ready_o[2]),
      .promo_req_i      (req[2]),
      .promo_chan_i,
      .promo_rsp_valid_o(rsp_valid_o[2]),
      .promo_rsp_o      (rsp[2]),
      .promo_rsp_chan_o,
      .promo_lost_o,
      .fence_i,
      .fence_busy_o,
      .count_o          (count),
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
      .m_axi_rready_o
  );

endmodule

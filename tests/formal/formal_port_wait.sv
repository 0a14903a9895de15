// SPDX-License-Identifier: Apache-2.0
// axi_read_port: neither side waits for ever for its address, whatever the other clients and the memory do.
//   Witness  0: the properties. Otherwise the negation of the interesting case of that number: each has to fail.

module formal_port_wait
  import kvsink_cfg_pkg::*;
  import kvsink_pkg::*;
#(
    parameter int unsigned Witness = 0
) (
    input logic          clk_i,
    input logic          rst_ni,
    input logic    [2:0] want_i,
    input logic          chan_i,
    input logic          arready_i,
    input logic          rvalid_i,
    input axi_id_t       rid_i,
    input logic          rlast_i
);

  localparam int unsigned Timeout = 3;
  // Bulk: two table reads, a promotion burst and what its credit is worth, each behind an address that the memory takes
  // after Timeout cycles or never; promotion: the same, and the price of its own burst. Found by search, kept as a bound.
  localparam int unsigned MostBulk = 30;
  localparam int unsigned MostPromo = 30;

  logic past = 1'b0;
  always_ff @(posedge clk_i) begin
    past <= 1'b1;
    assume (rst_ni == past);
  end

  logic [2:0] valid_q, ready;
  logic chan_q;
  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) valid_q <= '0;
    else begin
      for (int unsigned c = 0; c < 3; c++) if (!valid_q[c] || ready[c]) valid_q[c] <= want_i[c];
    end
  end
  always_ff @(posedge clk_i) if (!valid_q[2] || ready[2]) chan_q <= chan_i;

  ctl_cfg_t cfg;
  always_comb begin
    cfg = '0;
    cfg.promo_floor = 5'd16;
    cfg.bus_timeout = 24'(Timeout);
  end

  logic [2:0] rsp_valid;
  rd_rsp_t table_rsp, bulk_rsp, promo_rsp;
  logic rsp_chan, fence_busy, arvalid, rready;
  logic [PromoChannels-1:0] lost;
  port_count_t count;
  axi_id_t arid;
  addr_t araddr;
  axi_len_t arlen;
  logic [2:0] arsize, arprot;
  logic [1:0] arburst;
  logic [3:0] arcache;
  axi_read_port #(
      .TableReads(4),
      .BulkReads (4),
      .PromoReads(4),
      .TableRun  (2)
  ) u_dut (
      .clk_i,
      .rst_ni,
      .cfg_i            (cfg),
      .table_req_valid_i(valid_q[0]),
      .table_req_ready_o(ready[0]),
      .table_req_i      ('0),
      .table_rsp_valid_o(rsp_valid[0]),
      .table_rsp_o      (table_rsp),
      .bulk_req_valid_i (valid_q[1]),
      .bulk_req_ready_o (ready[1]),
      .bulk_req_i       ('0),
      .bulk_rsp_valid_o (rsp_valid[1]),
      .bulk_rsp_o       (bulk_rsp),
      .bulk_ahead_i     (1'b0),
      .promo_req_valid_i(valid_q[2]),
      .promo_req_ready_o(ready[2]),
      .promo_req_i      ('0),
      .promo_chan_i     (chan_q),
      .promo_rsp_valid_o(rsp_valid[2]),
      .promo_rsp_o      (promo_rsp),
      .promo_rsp_chan_o (rsp_chan),
      .promo_lost_o     (lost),
      .fence_i          (1'b0),
      .fence_busy_o     (fence_busy),
      .count_o          (count),
      .m_axi_arid_o     (arid),
      .m_axi_araddr_o   (araddr),
      .m_axi_arlen_o    (arlen),
      .m_axi_arsize_o   (arsize),
      .m_axi_arburst_o  (arburst),
      .m_axi_arcache_o  (arcache),
      .m_axi_arprot_o   (arprot),
      .m_axi_arvalid_o  (arvalid),
      .m_axi_arready_i  (arready_i),
      .m_axi_rid_i      (rid_i),
      .m_axi_rdata_i    ('0),
      .m_axi_rresp_i    ('0),
      .m_axi_rlast_i    (rlast_i),
      .m_axi_rvalid_i   (rvalid_i),
      .m_axi_rready_o   (rready)
  );

  logic [5:0] wait_q[3];
  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      for (int unsigned c = 0; c < 3; c++) wait_q[c] <= '0;
    end else begin
      for (int unsigned c = 0; c < 3; c++) begin
        if (valid_q[c] && !ready[c]) wait_q[c] <= wait_q[c] + 6'd1;
        else wait_q[c] <= '0;
      end
    end
  end
  always_ff @(posedge clk_i) begin
    if (past && rst_ni) begin
      if (Witness == 0) begin
        bulk_waits : assert (wait_q[1] <= 6'(MostBulk));
        promo_waits : assert (wait_q[2] <= 6'(MostPromo));
      end
      if (Witness == 1) bulk_waited : assert (wait_q[1] < 6'd6);
      if (Witness == 2) promo_waited : assert (wait_q[2] < 6'd6);
    end
  end

  logic unused;
  assign unused = ^{table_rsp, bulk_rsp, promo_rsp, fence_busy, count, arcache, arprot, arid, araddr, arlen, arsize,
                    arburst, arvalid, rready, rsp_valid, rsp_chan, lost};

endmodule

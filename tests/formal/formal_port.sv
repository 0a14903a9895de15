// SPDX-License-Identifier: Apache-2.0
// axi_read_port between clients that keep the handshake and a memory that may do anything: it may refuse addresses for
// ever, answer late, never, twice, with any ID, and set RLAST where it likes.
//   Witness  0: the properties. Otherwise the negation of the interesting case of that number: each has to fail.

module formal_port
  import kvsink_cfg_pkg::*;
  import kvsink_pkg::*;
#(
    parameter int unsigned Witness = 0
) (
    input logic          clk_i,
    input logic          rst_ni,
    input logic    [2:0] want_i,
    input rd_req_t [2:0] next_i,
    input logic          chan_i,
    input logic          ahead_i,
    input logic          fence_i,
    input logic          arready_i,
    input logic          rvalid_i,
    input axi_id_t       rid_i,
    input logic    [1:0] rresp_i,
    input logic          rlast_i
);

  localparam int unsigned Timeout = 5;
  localparam int unsigned Run = 2;
  localparam int unsigned LongestLen = 2;  // beats - 1
  // From a beat of a channel to its next, real or made up: the timeout, and the way through the registers.
  localparam int unsigned MostQuiet = Timeout + 1;

  logic past = 1'b0;
  always_ff @(posedge clk_i) begin
    past <= 1'b1;
    assume (rst_ni == past);
  end

  // Clients: what was shown stays until it is taken.
  logic [2:0] valid_q, ready;
  rd_req_t [2:0] req_q;
  logic chan_q;
  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) valid_q <= '0;
    else begin
      for (int unsigned c = 0; c < 3; c++) if (!valid_q[c] || ready[c]) valid_q[c] <= want_i[c];
    end
  end
  always_ff @(posedge clk_i) begin
    for (int unsigned c = 0; c < 3; c++) begin
      if (!valid_q[c] || ready[c]) req_q[c] <= next_i[c];
      assume (next_i[c].len <= axi_len_t'((c == 0) ? 0 : LongestLen));
      assume (next_i[c].addr[BeatShift-1:0] == '0);
      assume ({4'b0, next_i[c].addr[11:0]} + (16'(next_i[c].len) << BeatShift) < 16'd4096);
    end
    if (!valid_q[2] || ready[2]) chan_q <= chan_i;
  end

  ctl_cfg_t cfg;
  always_comb begin
    cfg = '0;
    cfg.promo_floor = 5'd8;
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
      .TableRun  (Run)
  ) u_dut (
      .clk_i,
      .rst_ni,
      .cfg_i            (cfg),
      .table_req_valid_i(valid_q[0]),
      .table_req_ready_o(ready[0]),
      .table_req_i      (req_q[0]),
      .table_rsp_valid_o(rsp_valid[0]),
      .table_rsp_o      (table_rsp),
      .bulk_req_valid_i (valid_q[1]),
      .bulk_req_ready_o (ready[1]),
      .bulk_req_i       (req_q[1]),
      .bulk_rsp_valid_o (rsp_valid[1]),
      .bulk_rsp_o       (bulk_rsp),
      .bulk_ahead_i     (ahead_i),
      .promo_req_valid_i(valid_q[2]),
      .promo_req_ready_o(ready[2]),
      .promo_req_i      (req_q[2]),
      .promo_chan_i     (chan_q),
      .promo_rsp_valid_o(rsp_valid[2]),
      .promo_rsp_o      (promo_rsp),
      .promo_rsp_chan_o (rsp_chan),
      .promo_lost_o     (lost),
      .fence_i,
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
      .m_axi_rresp_i    (rresp_i),
      .m_axi_rlast_i    (rlast_i),
      .m_axi_rvalid_i   (rvalid_i),
      .m_axi_rready_o   (rready)
  );

  // Beats that each channel is still to be given; cycles since it was last given one; cycles that a request has waited.
  logic [3:0] taken, beat, gone;
  assign taken = {
    valid_q[2] && ready[2] && chan_q, valid_q[2] && ready[2] && !chan_q, valid_q[1] && ready[1], valid_q[0] && ready[0]
  };
  assign beat = {rsp_valid[2] && rsp_chan, rsp_valid[2] && !rsp_chan, rsp_valid[1:0]};
  assign gone = {lost, 2'b00};
  logic [7:0] due_q[4], due[4];
  logic [5:0] quiet_q[4];
  always_comb begin
    for (int unsigned k = 0; k < 4; k++) due[k] = (gone[k] ? '0 : due_q[k] - 8'(beat[k]));
  end
  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      for (int unsigned k = 0; k < 4; k++) begin
        due_q[k]   <= '0;
        quiet_q[k] <= '0;
      end
    end else begin
      for (int unsigned k = 0; k < 4; k++) begin
        due_q[k] <= due[k] + (taken[k] ? 8'(req_q[(k>2)?2 : k].len) + 8'd1 : '0);
        if (due_q[k] == '0 || beat[k] || gone[k]) quiet_q[k] <= '0;
        else quiet_q[k] <= quiet_q[k] + 6'd1;
      end
    end
  end

  always_ff @(posedge clk_i) begin
    if (!past) begin
      assume (!rst_ni);
    end else if (rst_ni) begin
      if (Witness == 0) begin
        ar_legal :
        assert (!arvalid || (arsize == 3'(BeatShift) && arburst == 2'b01 && araddr[BeatShift-1:0] == '0 &&
                             {4'b0, araddr[11:0]} + (16'(arlen) << BeatShift) < 16'd4096));
        rready_high : assert (rready);
        for (int unsigned k = 0; k < 4; k++) begin
          // Nobody is given a beat that it did not ask for, whatever comes on R.
          assert (!beat[k] || due_q[k] != '0);
          // Every read goes on, and so ends, in bounded time, whatever does not come on R.
          assert (quiet_q[k] <= 6'(MostQuiet));
        end
      end
      if (Witness == 1) spare_in_use : assert (!(arvalid && arid[2]));
      if (Witness == 2) made_up : assert (!(rsp_valid[1] && bulk_rsp.error && quiet_q[1] == 6'(Timeout)));
      if (Witness == 3) all_gone : assert (!(lost != '0 && due_q[2] > 8'd2));
      if (Witness == 4) quiet_longest : assert (quiet_q[1] < 6'(MostQuiet));
      if (Witness == 5) four_beats : assert (due_q[1] < 8'd6);
    end
  end

  logic unused;
  assign unused = ^{table_rsp, bulk_rsp, promo_rsp, fence_busy, count, arcache, arprot};

endmodule

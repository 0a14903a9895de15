// SPDX-License-Identifier: Apache-2.0
// axi_read_port with a memory that takes every address and gives a beat in every second cycle at least, while the clients
// ask for whatever they like, whenever they like: nobody waits for ever, whatever the others do.
//   A client waits while it asks and may have a read more in flight; bulk does not wait while its consumer has enough
//   (bulk_ahead_i): promotion goes first then. The bounds are in cycles, for the sizes here; each is
//   reached, by a witness.
//   Witness  0: the properties. Otherwise the negation of the interesting case of that number: each has to fail.

module formal_fair
  import kvsink_cfg_pkg::*;
  import kvsink_pkg::*;
#(
    parameter int unsigned Witness = 0,
    parameter int unsigned Floor   = 8
) (
    input logic       clk_i,
    input logic       rst_ni,
    input logic [2:0] want_i,
    input logic [2:0] long_i,   // the next request has two beats, not one
    input logic       chan_i,
    input logic       ahead_i,
    input logic       rest_i    // the memory gives no beat, unless it rested before
);

  localparam int unsigned Run = 1;
  localparam int unsigned Reads = 4;
  localparam int unsigned MostTable = 1;
  localparam int unsigned MostBulk = 10;
  localparam int unsigned MostPromo = 24;

  logic past = 1'b0;
  always_ff @(posedge clk_i) begin
    past <= 1'b1;
    assume (rst_ni == past);
  end

  logic [2:0] valid_q, ready, long_q;
  logic chan_q;
  rd_req_t [2:0] req;
  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) valid_q <= '0;
    else for (int unsigned c = 0; c < 3; c++) if (!valid_q[c] || ready[c]) valid_q[c] <= want_i[c];
  end
  always_ff @(posedge clk_i) begin
    for (int unsigned c = 0; c < 3; c++) if (!valid_q[c] || ready[c]) long_q[c] <= long_i[c] && c != 0;
    if (!valid_q[2] || ready[2]) chan_q <= chan_i;
  end
  always_comb begin
    for (int unsigned c = 0; c < 3; c++) req[c] = '{addr: '0, len: axi_len_t'(long_q[c])};
  end

  ctl_cfg_t cfg;
  always_comb begin
    cfg = '0;
    cfg.promo_floor = 5'(Floor);
  end

  logic [2:0] rsp_valid;
  rd_rsp_t table_rsp, bulk_rsp, promo_rsp;
  logic rsp_chan, fence_busy, arvalid, rready, rvalid, rlast;
  logic [PromoChannels-1:0] lost;
  port_count_t count;
  axi_id_t arid, rid;
  addr_t araddr;
  axi_len_t arlen;
  logic [2:0] arsize, arprot;
  logic [1:0] arburst;
  logic [3:0] arcache;
  axi_read_port #(
      .TableReads(Reads),
      .BulkReads (Reads),
      .PromoReads(Reads),
      .TableRun  (Run)
  ) u_dut (
      .clk_i,
      .rst_ni,
      .cfg_i            (cfg),
      .table_req_valid_i(valid_q[0]),
      .table_req_ready_o(ready[0]),
      .table_req_i      (req[0]),
      .table_rsp_valid_o(rsp_valid[0]),
      .table_rsp_o      (table_rsp),
      .bulk_req_valid_i (valid_q[1]),
      .bulk_req_ready_o (ready[1]),
      .bulk_req_i       (req[1]),
      .bulk_rsp_valid_o (rsp_valid[1]),
      .bulk_rsp_o       (bulk_rsp),
      .bulk_ahead_i     (ahead_i),
      .promo_req_valid_i(valid_q[2]),
      .promo_req_ready_o(ready[2]),
      .promo_req_i      (req[2]),
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
      .m_axi_arready_i  (1'b1),
      .m_axi_rid_i      (rid),
      .m_axi_rdata_i    ('0),
      .m_axi_rresp_i    ('0),
      .m_axi_rlast_i    (rlast),
      .m_axi_rvalid_i   (rvalid),
      .m_axi_rready_o   (rready)
  );

  // The memory: reads in the order in which they came, a beat a cycle or in every second.
  localparam int unsigned Places = 4 * Reads;
  typedef struct packed {
    axi_id_t id;
    logic    two;
  } read_t;
  read_t [Places-1:0] queue_q, queue_d;
  logic [4:0] held_q, held_d;
  logic second_q, rested_q, give;
  assign give = held_q != '0 && (!rest_i || rested_q);
  assign rvalid = give;
  assign rid = queue_q[0].id;
  assign rlast = !queue_q[0].two || second_q;
  always_comb begin
    queue_d = queue_q;
    held_d  = held_q;
    if (give && rlast) begin
      for (int unsigned i = 0; i + 1 < Places; i++) queue_d[i] = queue_q[i+1];
      held_d = held_q - 5'd1;
    end
    if (arvalid) begin
      for (int unsigned i = 0; i < Places; i++) if (held_d == 5'(i)) queue_d[i] = '{id: arid, two: arlen[0]};
      held_d = held_d + 5'd1;
    end
  end
  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      held_q   <= '0;
      second_q <= 1'b0;
      rested_q <= 1'b0;
    end else begin
      held_q <= held_d;
      if (give) second_q <= !rlast;
      rested_q <= !give;
    end
  end
  always_ff @(posedge clk_i) queue_q <= queue_d;

  // Reads in flight by channel, and how long each client has waited for its turn.
  logic [3:0] taken, back;
  logic [2:0] room;
  logic [3:0][2:0] out_q;
  logic [2:0][5:0] wait_q;
  assign taken = {
    valid_q[2] && ready[2] && chan_q, valid_q[2] && ready[2] && !chan_q, valid_q[1] && ready[1], valid_q[0] && ready[0]
  };
  assign back = {
    rsp_valid[2] && promo_rsp.last && rsp_chan,
    rsp_valid[2] && promo_rsp.last && !rsp_chan,
    rsp_valid[1] && bulk_rsp.last,
    rsp_valid[0] && table_rsp.last
  };
  assign room = {out_q[{1'b1, chan_q}] != 3'(Reads), out_q[1] != 3'(Reads), out_q[0] != 3'(Reads)};
  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      out_q  <= '0;
      wait_q <= '0;
    end else begin
      for (int unsigned k = 0; k < 4; k++) out_q[k] <= out_q[k] + 3'(taken[k]) - 3'(back[k]);
      for (int unsigned c = 0; c < 3; c++) begin
        if (!valid_q[c] || ready[c]) wait_q[c] <= '0;
        else if (room[c] && !(c == 1 && ahead_i) && wait_q[c] != '1) wait_q[c] <= wait_q[c] + 6'd1;
      end
    end
  end

  always_ff @(posedge clk_i) begin
    if (past && rst_ni) begin
      if (Witness == 0) begin
        table_waits : assert (wait_q[0] <= 6'(MostTable));
        bulk_waits : assert (wait_q[1] <= 6'(MostBulk));
        promo_waits : assert (wait_q[2] <= 6'(MostPromo));
      end
      if (Witness == 1) table_longest : assert (wait_q[0] < 6'(MostTable));
      if (Witness == 2) bulk_longest : assert (wait_q[1] < 6'(MostBulk));
      if (Witness == 3) promo_longest : assert (wait_q[2] < 6'(MostPromo));
    end
  end

  logic unused;
  assign unused = ^{fence_busy, lost, count, araddr, arlen, arsize, arprot, arburst, arcache, rready};

endmodule

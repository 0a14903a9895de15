// SPDX-License-Identifier: Apache-2.0
// promotion_dma with any addresses, aborts, retires, errors and losses: reads keep the handshake and are legal, the
// limit of reads holds, and every descriptor ends exactly once.
//   Witness  0: the properties. Otherwise the negation of the interesting case of that number: each has to fail.

module formal_dma
  import kvsink_cfg_pkg::*;
  import kvsink_pkg::*;
#(
    parameter int unsigned Witness = 0
) (
    input logic          clk_i,
    input logic          rst_ni,
    input logic          want_i,
    input slot_t         slot_i,
    input logic    [2:0] tier_i,
    input logic          abort_i,
    input slot_t         abort_slot_i,
    input retire_t       retire_i,
    input logic          rd_ready_i,
    input logic          mem_valid_i,
    input logic          mem_chan_i,
    input logic          mem_error_i,
    input logic    [1:0] lost_i,
    input logic          progress_ready_i,
    input logic          end_ready_i
);

  localparam int unsigned MostReads = 4;

  logic past = 1'b0;
  always_ff @(posedge clk_i) begin
    past <= 1'b1;
    assume (rst_ni == past);
  end

  // Two layers of two heads of one plane of a beat each.
  layout_cfg_t layout;
  profile_cfg_t [Profiles-1:0] profiles;
  always_comb begin
    layout = '0;
    layout.page_log2 = 3'd4;
    layout.block_bits = 5'd24;
    layout.layers = layers_t'(4);
    layout.plane[0] = '{
        valid: 1'b1,
        tensor: '0,
        stride_set: '0,
        offset: '0,
        row_beats: row_beats_t'(1),
        share_log2: '0
    };
    layout.stride[0].head = 32'(BeatBytes);
    profiles = '0;
    for (int unsigned p = 0; p < Profiles; p++) begin
      profiles[p].valid = 1'b1;
      profiles[p].layer_count = layers_t'(2);
      profiles[p].head_mask = head_mask_t'(3);
      profiles[p].plane_mask = plane_mask_t'(1);
      profiles[p].head_beats = 1;
      profiles[p].layer_beats = 2;
    end
  end

  logic valid_q, ready;
  dma_desc_t desc_q;
  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) valid_q <= 1'b0;
    else if (!valid_q || ready) valid_q <= want_i;
  end
  always_ff @(posedge clk_i) begin
    if (!valid_q || ready) begin
      desc_q <= '0;
      desc_q.slot <= slot_i;
      desc_q.tier <= tier_i;
    end
  end

  logic rd_valid, wr_valid, progress_valid, end_valid, abort_ready, rd_chan, mem_last;
  rd_req_t rd;
  sram_write_t wr;
  dma_progress_t progress;
  dma_end_t done;
  promotion_dma #(
      .Reads(MostReads),
      .Beats(8)
  ) u_dut (
      .clk_i,
      .rst_ni,
      .now_i           ('0),
      .layout_i        (layout),
      .profiles_i      (profiles),
      .limit_i         ('0),
      .base_we_i       (1'b0),
      .base_waddr_i    ('0),
      .base_wdata_i    ('0),
      .desc_valid_i    (valid_q),
      .desc_ready_o    (ready),
      .desc_i          (desc_q),
      .abort_valid_i   (abort_i),
      .abort_ready_o   (abort_ready),
      .abort_slot_i,
      .retire_i,
      .rd_valid_o      (rd_valid),
      .rd_ready_i,
      .rd_o            (rd),
      .rd_chan_o       (rd_chan),
      .mem_valid_i,
      .mem_i           ('{data: '0, last: mem_last, error: mem_error_i}),
      .mem_chan_i,
      .mem_lost_i      (lost_i),
      .wr_valid_o      (wr_valid),
      .wr_o            (wr),
      .progress_valid_o(progress_valid),
      .progress_ready_i,
      .progress_o      (progress),
      .end_valid_o     (end_valid),
      .end_ready_i,
      .end_o           (done)
  );

  // What the port knows: reads in flight a channel, with their lengths, in order.
  logic [1:0][MostReads-1:0][7:0] len_q, len_d;
  logic [1:0][3:0] reads_q, reads_d;
  logic taken;
  assign taken = rd_valid && rd_ready_i;
  assign mem_last = len_q[mem_chan_i][0] == '0;
  always_comb begin
    len_d   = len_q;
    reads_d = reads_q;
    for (int unsigned c = 0; c < 2; c++) begin
      if (mem_valid_i && mem_chan_i == 1'(c)) begin
        len_d[c][0] = len_q[c][0] - 8'd1;
        if (mem_last) begin
          for (int unsigned i = 0; i + 1 < MostReads; i++) len_d[c][i] = len_q[c][i+1];
          reads_d[c] = reads_q[c] - 4'd1;
        end
      end
      if (lost_i[c]) reads_d[c] = '0;
      if (taken && rd_chan == 1'(c)) begin
        for (int unsigned i = 0; i < MostReads; i++) if (reads_d[c] == 4'(i)) len_d[c][i] = rd.len;
        reads_d[c] = reads_d[c] + 4'd1;
      end
    end
  end
  logic [3:0] open_q;  // descriptors taken and not ended
  logic       ended;
  assign ended = end_valid && end_ready_i;
  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      reads_q <= '0;
      open_q  <= '0;
    end else begin
      reads_q <= reads_d;
      open_q  <= open_q + 4'(valid_q && ready) - 4'(ended);
    end
  end
  always_ff @(posedge clk_i) len_q <= len_d;

  always_ff @(posedge clk_i) begin
    assume (!mem_valid_i || reads_q[mem_chan_i] != '0);
    for (int unsigned c = 0; c < 2; c++) assume (!lost_i[c] || reads_q[c] != '0);
    if (past && rst_ni) begin
      if (Witness == 0) begin
        legal : assert (!rd_valid || {4'b0, rd.addr[11:0]} + ((16'(rd.len) + 16'd1) << BeatShift) <= 16'd4096);
        within_limit : assert (reads_q[0] <= 4'(MostReads) && reads_q[1] <= 4'(MostReads));
        no_end_too_many : assert (!end_valid || open_q != '0);
        no_more_than_places : assert (open_q <= 4'd5);
      end
      if (Witness == 1) complete : assert (!(ended && done.status == StOk));
      if (Witness == 2) timed_out : assert (!(ended && done.status == StTimeout));
      if (Witness == 3) aborted_with_reads : assert (!(ended && done.status == StAborted && done.bytes != '0));
      if (Witness == 4) at_limit : assert (reads_q[0] != 4'(MostReads));
    end
  end

  logic unused;
  assign unused = ^{wr_valid, wr, progress_valid, progress, done, abort_ready, rd};

endmodule

// SPDX-License-Identifier: Apache-2.0
// bypass_bursts: room is reserved before every read, bursts are legal, and no beat of a row is forgotten or read twice.
//   Witness  0: the properties. Otherwise the negation of the interesting case of that number: each has to fail.

module formal_bursts
  import kvsink_cfg_pkg::*;
  import kvsink_pkg::*;
  import bypass_pkg::*;
#(
    parameter int unsigned Witness = 0
) (
    input logic      clk_i,
    input logic      rst_ni,
    input logic      want_i,
    input row_meta_t next_i,
    input addr_t     next_addr_i,
    input logic      next_run_i,
    input logic      meta_ready_i,
    input logic      rd_ready_i,
    input logic      credit_i
);

  localparam int unsigned MaxBeats = 6;

  logic past = 1'b0;
  always_ff @(posedge clk_i) begin
    past <= 1'b1;
    assume (rst_ni == past);
  end

  // The address pipeline: a row, once shown, stays.
  logic row_valid_q, row_ready;
  row_meta_t row_q;
  addr_t addr_q;
  logic run_q, read_before_q;
  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) row_valid_q <= 1'b0;
    else if (!row_valid_q || row_ready) row_valid_q <= want_i;
  end
  always_ff @(posedge clk_i) begin
    if (!row_valid_q || row_ready) begin
      row_q  <= next_i;
      addr_q <= next_addr_i;
      run_q  <= next_run_i;
    end
    assume (next_i.beats != '0 && next_i.beats <= row_beats_t'(4));
    assume (next_addr_i[BeatShift-1:0] == '0);
  end

  // The return buffer, and the queue of rows beside it: takes a row once it is offered.
  logic meta_valid, rd_valid, meta_ready_q;
  row_meta_t meta;
  rd_req_t rd;
  seq_t issued;
  logic [15:0] held_q, owed_q;  // beats with a place in the buffer; beats of rows that no read was taken for
  bypass_bursts #(
      .MaxBeats(MaxBeats)
  ) u_dut (
      .clk_i,
      .rst_ni,
      .burst_cost_i(8'd3),
      .row_valid_i (row_valid_q),
      .row_ready_o (row_ready),
      .row_i       (row_q),
      .row_run_i   (run_q),
      .row_addr_i  (addr_q),
      .meta_valid_o(meta_valid),
      .meta_ready_i(meta_ready_i),
      .meta_o      (meta),
      .rd_valid_o  (rd_valid),
      .rd_ready_i,
      .rd_o        (rd),
      .credit_i,
      .issued_o    (issued)
  );

  logic reads, taken;
  assign reads = row_valid_q && row_ready && !row_q.is_end && row_q.status == StOk;
  assign taken = rd_valid && rd_ready_i;
  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      held_q <= '0;
      owed_q <= '0;
      read_before_q <= 1'b0;
    end else begin
      if (row_valid_q && row_ready) read_before_q <= reads;
      held_q <= held_q + (taken ? 16'(rd.len) + 16'd1 : '0) - 16'(credit_i);
      owed_q <= owed_q + (reads ? 16'(row_q.beats) + 16'(meta.skip) : '0) - (taken ? 16'(rd.len) + 16'd1 : '0);
    end
  end

  always_ff @(posedge clk_i) begin
    assume (!credit_i || held_q != '0);
    if (past && rst_ni) begin
      if (Witness == 0) begin
        room_for_all : assert (held_q <= 16'(BulkBeats));
        room_for_this : assert (!rd_valid || held_q + 16'(rd.len) + 16'd1 <= 16'(BulkBeats));
        legal :
        assert (!rd_valid || ({4'b0, rd.addr[11:0]} + ((16'(rd.len) + 16'd1) << BeatShift) <= 16'd4096 &&
                              rd.addr[BeatShift-1:0] == '0 && 32'(rd.len) < MaxBeats));
        // What is owed is in the open burst, in the offered one, or the rest of a row: never below none.
        nothing_twice : assert (owed_q < 16'd32);
        row_told_once : assert (!(meta_valid && meta_ready_i) || row_ready);
        skip_within_cost : assert (!reads || meta.skip < 8'd3);
        skip_within_run : assert (!reads || meta.skip == '0 || (run_q && read_before_q));
      end
      if (Witness == 1) full_buffer : assert (held_q != 16'(BulkBeats));
      if (Witness == 2) joined : assert (!(rd_valid && 32'(rd.len) == MaxBeats - 1));
      if (Witness == 4) dropped : assert (!(reads && meta.skip == 8'd2));
      if (Witness == 3) at_page_end : assert (!(rd_valid && rd.addr[11:BeatShift] == '1 && owed_q > 16'd1));
    end
  end

  logic unused;
  assign unused = ^{meta, issued};

endmodule

// SPDX-License-Identifier: Apache-2.0
// 64-bit counters in a memory.
//
// Each event has a short counter in flops, emptied into its word of the memory once in a round of 64 cycles, so that one
// wide adder serves all. A read waits for the counter's turn and takes the sum as it is written: exact to the cycle.
//
// Contract: rd_valid_i (with rd_index_i) stays until rd_done_o, up to 66 cycles later, which carries the 64 bits. Counters
// are 0 after reset, and wrap. Counters below Events count pulses, those from Events on add a number of up to WideW bits.
//   Events  counters of pulses
//   Wides   counters of numbers; Events + Wides is at most 64
//   WideW   bits of those numbers

module kv_counters #(
    parameter int unsigned Events = 8,
    parameter int unsigned Wides  = 1,
    parameter int unsigned WideW  = 32
) (
    input  logic                         clk_i,
    input  logic                         rst_ni,
    input  logic [Events-1:0]            event_i,
    input  logic [ Wides-1:0][WideW-1:0] wide_i,
    input  logic                         rd_valid_i,
    input  logic [       5:0]            rd_index_i,
    output logic                         rd_done_o,
    output logic [      63:0]            rd_data_o
);

  localparam int unsigned Words = 64;
  localparam int unsigned IndexW = 6;
  localparam int unsigned ShortW = IndexW + 1;  // up to 64 events from one turn to the next
  localparam int unsigned LongW = WideW + IndexW;

  if (Events < 1 || Wides < 1 || Events + Wides > Words) begin : gen_bad_count
    $error("kv_counters: Events %0d + Wides %0d is not in 2..64 with one of each", Events, Wides);
  end

  logic [IndexW-1:0] turn_q, add_q;  // word being read; word being added to
  logic [Events+Wides-1:0] at_q;  // the same, one bit a counter
  logic add_valid_q, first_q;  // first round after reset: the memory holds nothing yet
  logic [63:0] word, sum;
  logic [Events-1:0][ShortW-1:0] short_q;
  logic [Wides-1:0][LongW-1:0] long_q;

  logic [LongW-1:0] part;
  always_comb begin
    part = '0;
    for (int unsigned i = 0; i < Events; i++) begin
      part |= LongW'(short_q[i]) & {LongW{at_q[i]}};
    end
    for (int unsigned i = 0; i < Wides; i++) begin
      part |= long_q[i] & {LongW{at_q[Events+i]}};
    end
  end

  assign sum = (first_q ? 64'd0 : word) + 64'(part);

  kv_ram_1r1w #(
      .Words(Words),
      .Width(64)
  ) u_words (
      .clk_i,
      .re_i   (1'b1),
      .raddr_i(turn_q),
      .rdata_o(word),
      .we_i   (add_valid_q),
      .waddr_i(add_q),
      .wdata_i(sum)
  );

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      turn_q <= '0;
      add_q <= '0;
      at_q <= '0;
      add_valid_q <= 1'b0;
      first_q <= 1'b1;
      short_q <= '0;
      long_q <= '0;
    end else begin
      turn_q <= turn_q + IndexW'(1);
      add_q <= turn_q;
      add_valid_q <= 1'b1;
      if (add_valid_q && add_q == '1) first_q <= 1'b0;
      for (int unsigned i = 0; i < Events; i++) begin
        at_q[i] <= turn_q == IndexW'(i);
        short_q[i] <= (at_q[i] ? '0 : short_q[i]) + ShortW'(event_i[i]);
      end
      for (int unsigned i = 0; i < Wides; i++) begin
        at_q[Events+i] <= turn_q == IndexW'(Events + i);
        long_q[i] <= (at_q[Events+i] ? '0 : long_q[i]) + LongW'(wide_i[i]);
      end
    end
  end

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) rd_done_o <= 1'b0;
    else rd_done_o <= rd_valid_i && !rd_done_o && add_valid_q && add_q == rd_index_i;
  end

  always_ff @(posedge clk_i) begin
    if (rd_valid_i && add_q == rd_index_i) rd_data_o <= sum;
  end

endmodule

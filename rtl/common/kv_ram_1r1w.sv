// SPDX-License-Identifier: Apache-2.0
// Memory with one read and one write port, synchronous: the one place where a two-port macro is put in.
//
// Contract: an address read in cycle t (re_i) gives rdata_o in t+1, held until the next read. A read and a write of the
// same word in one cycle give the OLD word. Contents are undefined after power-up; nothing resets them. Words are written
// in lanes of LaneW bits (we_i has one bit a lane).
//   Words  depth, 2 or more
//   Width  bits a word, a multiple of LaneW
//   LaneW  bits that one write enable covers

module kv_ram_1r1w #(
    parameter int unsigned Words = 2,
    parameter int unsigned Width = 8,
    parameter int unsigned LaneW = Width,
    localparam int unsigned AddrW = $clog2(Words),
    localparam int unsigned LaneCount = Width / LaneW
) (
    input  logic                 clk_i,
    input  logic                 re_i,
    input  logic [    AddrW-1:0] raddr_i,
    output logic [    Width-1:0] rdata_o,
    input  logic [LaneCount-1:0] we_i,
    input  logic [    AddrW-1:0] waddr_i,
    input  logic [    Width-1:0] wdata_i
);

  if (Words < 2) begin : gen_bad_words
    $error("kv_ram_1r1w: Words %0d is below 2", Words);
  end
  if (LaneW == 0 || Width % LaneW != 0) begin : gen_bad_lanes
    $error("kv_ram_1r1w: Width %0d is no multiple of LaneW %0d", Width, LaneW);
  end

  logic [Width-1:0] mem[Words];
  logic [Width-1:0] rdata_q;

  always_ff @(posedge clk_i) begin
    if (re_i) rdata_q <= mem[raddr_i];
  end

  always_ff @(posedge clk_i) begin
    for (int unsigned i = 0; i < LaneCount; i++) begin
      if (we_i[i]) mem[waddr_i][i*LaneW+:LaneW] <= wdata_i[i*LaneW+:LaneW];
    end
  end

  assign rdata_o = rdata_q;

endmodule

// SPDX-License-Identifier: Apache-2.0
// Memory with one port, synchronous: the one place where a single-port macro is put in.
//
// Contract: en_i with we_i writes wdata_i; en_i without we_i reads, rdata_o holds the word from the next cycle until the
// next read. Contents are undefined after power-up.
//   Words  depth, 2 or more
//   Width  bits a word

module kv_ram_1rw #(
    parameter  int unsigned Words = 2,
    parameter  int unsigned Width = 8,
    localparam int unsigned AddrW = $clog2(Words)
) (
    input  logic             clk_i,
    input  logic             en_i,
    input  logic             we_i,
    input  logic [AddrW-1:0] addr_i,
    input  logic [Width-1:0] wdata_i,
    output logic [Width-1:0] rdata_o
);

  if (Words < 2) begin : gen_bad_words
    $error("kv_ram_1rw: Words %0d is below 2", Words);
  end

  logic [Width-1:0] mem[Words];
  logic [Width-1:0] rdata_q;

  always_ff @(posedge clk_i) begin
    if (en_i) begin
      if (we_i) mem[addr_i] <= wdata_i;
      else rdata_q <= mem[addr_i];
    end
  end

  assign rdata_o = rdata_q;

endmodule

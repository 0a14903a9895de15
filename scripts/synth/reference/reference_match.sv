// SPDX-License-Identifier: Apache-2.0
// The match array of sink_tag_array at its default size, alone: what is stored of each entry's key, the write of one
// entry, and the comparison of all with one lookup. Rows, retires, commands and the sweep are not in it.

module reference_match #(
    parameter int unsigned Entries = 64,
    parameter int unsigned OwnerW = 6,
    parameter int unsigned GranuleW = 13,
    parameter int unsigned WordW = 31
) (
    input logic clk_i,
    input logic rst_ni,
    input logic allocate_i,
    input logic set_word_i,
    input logic release_i,
    input logic [$clog2(Entries)-1:0] entry_i,
    input logic [OwnerW-1:0] owner_i,
    input logic [GranuleW-1:0] granule_i,
    input logic [WordW-1:0] word_i,
    input logic [OwnerW-1:0] look_owner_i,
    input logic [GranuleW-1:0] look_granule_i,
    input logic [WordW-1:0] look_word_i,
    output logic [Entries-1:0] match_o
);

  logic [Entries-1:0] valid_q, word_valid_q;
  logic [Entries-1:0][OwnerW-1:0] owner_q;
  logic [Entries-1:0][GranuleW-1:0] granule_q;
  logic [Entries-1:0][WordW-1:0] word_q;

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) valid_q <= '0;
    else if (allocate_i) valid_q[entry_i] <= 1'b1;
    else if (release_i) valid_q[entry_i] <= 1'b0;
  end

  always_ff @(posedge clk_i) begin
    if (allocate_i) begin
      owner_q[entry_i] <= owner_i;
      granule_q[entry_i] <= granule_i;
      word_valid_q[entry_i] <= 1'b0;
    end
    if (set_word_i) begin
      word_valid_q[entry_i] <= 1'b1;
      word_q[entry_i] <= word_i;
    end
  end

  always_comb begin
    for (int unsigned e = 0; e < Entries; e++) begin
      match_o[e] = valid_q[e] && owner_q[e] == look_owner_i && granule_q[e] == look_granule_i && word_valid_q[e] &&
          word_q[e] == look_word_i;
    end
  end

endmodule

// SPDX-License-Identifier: Apache-2.0
// Index of the lowest set bit, as a tree of pairs: smaller than kv_first where nobody needs the bit itself. Combinational;
// index_o is 0 when none_o.
//   Width  bits, 2 or more

module kv_lowest #(
    parameter  int unsigned Width  = 16,
    localparam int unsigned IndexW = $clog2(Width)
) (
    input  logic [ Width-1:0] bits_i,
    output logic              none_o,
    output logic [IndexW-1:0] index_o
);

  if (Width < 2) begin : gen_bad_width
    $error("kv_lowest: Width %0d is below 2", Width);
  end

  // Node n stands for the bits below 2n and 2n + 1; node 1 for all, nodes from Wide on for a bit each.
  localparam int unsigned Wide = 2 ** IndexW;
  logic any[2*Wide];
  logic [IndexW-1:0] index[2*Wide];
  for (genvar n = 1; n < 2 * Wide; n++) begin : gen_node
    if (n >= Wide) begin : gen_leaf
      assign any[n]   = (n - Wide < Width) ? bits_i[n-Wide] : 1'b0;
      assign index[n] = '0;
    end else begin : gen_pair
      localparam int unsigned Level = IndexW - $clog2(n + 1);  // below it: 2 ** Level bits a child
      assign any[n]   = any[2*n] || any[2*n+1];
      assign index[n] = any[2*n] ? index[2*n] : (index[2*n+1] | (IndexW'(any[2*n+1]) << Level));
    end
  end
  assign any[0]   = 1'b0;
  assign index[0] = '0;
  assign none_o   = !any[1];
  assign index_o  = index[1];

endmodule

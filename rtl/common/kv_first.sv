// SPDX-License-Identifier: Apache-2.0
// Index of the lowest set bit. Combinational; index_o is 0 when none_o.
//   Width  bits, 1 or more

module kv_first #(
    parameter  int unsigned Width  = 16,
    localparam int unsigned IndexW = (Width > 1) ? $clog2(Width) : 1
) (
    input  logic [ Width-1:0] bits_i,
    output logic              none_o,
    output logic [IndexW-1:0] index_o,
    output logic [ Width-1:0] onehot_o
);

  if (Width < 1) begin : gen_bad_width
    $error("kv_first: Width %0d is below 1", Width);
  end

  assign onehot_o = bits_i & (~bits_i + Width'(1));
  assign none_o   = bits_i == '0;

  always_comb begin
    index_o = '0;
    for (int unsigned i = 0; i < Width; i++) begin
      if (onehot_o[i]) index_o |= IndexW'(i);
    end
  end

endmodule

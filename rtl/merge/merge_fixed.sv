// SPDX-License-Identifier: Apache-2.0
// A finite fp32 lse in fixed point with 32 fraction bits, cut towards zero. Combinational. Two different values of which
// one is 2^33 or more are 512 apart at least, farther than any weight reaches (2^32 would not do: its neighbour is 256
// below, within 320 powers of two), so there only their order matters: big_o, and fixed_o is 0.

module merge_fixed
  import merge_pkg::*;
(
    input  logic   [31:0] lse_i,
    output logic          big_o,
    output fixed_t        fixed_o
);

  localparam logic [7:0] BigExponent = 8'd160;  // 2^33

  logic [7:0] exponent;
  logic [23:0] sig;
  logic [6:0] up;  // the significand is put at the top (2^32 .. 2^9) and shifted down
  logic [FixedW-2:0] magnitude;

  assign exponent = lse_i[30:23];
  assign big_o = exponent >= BigExponent;
  assign sig = {exponent != 8'd0, lse_i[22:0]};
  assign up = 7'(8'd159 - exponent);

  always_comb begin
    magnitude = '0;
    // Below 2^-32 nothing is left (exponent 94 and less).
    if (!big_o && exponent > 8'd94) magnitude = {sig, {(FixedW - 25) {1'b0}}} >> up;
  end

  assign fixed_o = lse_i[31] ? -$signed({1'b0, magnitude}) : $signed({1'b0, magnitude});

endmodule

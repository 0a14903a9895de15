// SPDX-License-Identifier: Apache-2.0
// Product of two unsigned numbers modulo 2**ProductW, combinational, in radix 4: half the rows of the plain way, each
// 0, 1 or 2 times the multiplicand, or minus that.
//   DigitsW   bits of the factor that is cut into digits: the narrower one
//   FactorW   bits of the other
//   ProductW  bits of the product

module kv_mul #(
    parameter int unsigned DigitsW  = 8,
    parameter int unsigned FactorW  = 8,
    parameter int unsigned ProductW = DigitsW + FactorW
) (
    input  logic [ DigitsW-1:0] digits_i,
    input  logic [ FactorW-1:0] factor_i,
    output logic [ProductW-1:0] product_o
);

  localparam int unsigned Rows = DigitsW / 2 + 1;
  localparam int unsigned RowW = FactorW + 1;  // twice the factor fits
  localparam int unsigned BitsW = 2 * Rows + 1;
  localparam int unsigned WideW = ProductW + RowW + BitsW;  // no row is cut before the sum

  if (DigitsW < 1 || FactorW < 1) begin : gen_bad_width
    $error("kv_mul: DigitsW %0d or FactorW %0d is below 1", DigitsW, FactorW);
  end

  // A digit is -2*b2 + b1 + b0 of three neighbouring bits. A row below zero is its complement and one at its lowest bit.
  // Its sign, of weight -2**RowW, is 1 - sign of weight 2**RowW and a constant.
  logic [BitsW-1:0] bits;
  logic [ProductW-1:0] sum;
  assign bits = BitsW'({digits_i, 1'b0});
  always_comb begin
    logic [RowW-1:0] row;
    logic [ProductW-1:0] ones, constant;
    logic one, two, below;
    sum = '0;
    ones = '0;
    constant = '0;
    for (int unsigned i = 0; i < Rows; i++) begin
      one   = bits[2*i] ^ bits[2*i+1];
      two   = !one && (bits[2*i+1] ^ bits[2*i+2]);
      below = bits[2*i+2];
      row   = (one ? RowW'(factor_i) : '0) | (two ? RowW'(factor_i) << 1 : '0);
      sum   = sum + ProductW'(WideW'({!below, row ^ {RowW{below}}}) << (2 * i));
      if (2 * i < ProductW) ones[2*i] = below;
      constant = constant - ProductW'(WideW'(1) << (2 * i + RowW));
    end
    sum = sum + ones + constant;
  end
  assign product_o = sum;

endmodule

// SPDX-License-Identifier: Apache-2.0
// c0 +- c1*u +- c2*u^2 of a table's piece, in fixed point.
//
// Coefficients and u go in, the sum comes out two cycles later, combinational behind the second register: the user adds
// its rounding and registers it. One evaluation a cycle. Both products are truncated, and so is the square of the upper
// bits of u; scripts/gen_merge_tables.py proves what that costs.
//   C0W, C1W, C2W  bits of the coefficients (33, 26, 18 fraction bits)
//   IndexW         bits of the table's index
//   UW             bits of u, a fraction of 2^(IndexW + UW)
//   Subtract1, 2   the term is subtracted

module merge_quadratic
  import merge_const_pkg::*;
#(
    parameter int unsigned C0W = 34,
    parameter int unsigned C1W = 27,
    parameter int unsigned C2W = 18,
    parameter int unsigned IndexW = 7,
    parameter int unsigned UW = 23,
    parameter bit Subtract1 = 1'b0,
    parameter bit Subtract2 = 1'b0
) (
    input  logic             clk_i,
    input  logic [  C0W-1:0] c0_i,
    input  logic [  C1W-1:0] c1_i,
    input  logic [  C2W-1:0] c2_i,
    input  logic [   UW-1:0] u_i,
    output logic [SumFrac:0] sum_o
);

  localparam int unsigned Drop1 = C1Frac + IndexW + UW - SumFrac;
  localparam int unsigned Drop2 = C2Frac + 2 * IndexW + SquareOut - SumFrac;

  if (UW < SquareIn || C0W > SumFrac + 1) begin : gen_bad_width
    $error("merge_quadratic: UW %0d or C0W %0d is out of range", UW, C0W);
  end

  // Stage 1: the square, beside the table.
  logic [C0W-1:0] c0_q1, c0_q2;
  logic [C1W-1:0] c1_q1;
  logic [C2W-1:0] c2_q1;
  logic [UW-1:0] u_q1;
  logic [SquareOut-1:0] square_q1;
  logic [SquareIn-1:0] top;
  logic [2*SquareIn-1:0] square;

  assign top = u_i[UW-1-:SquareIn];
  assign square = (2 * SquareIn)'(top) * (2 * SquareIn)'(top);

  // Stage 2: the products.
  logic [C1W+UW-1:0] product1;
  logic [C2W+SquareOut-1:0] product2;
  logic [C1W+UW-1-Drop1:0] p1_q2;
  logic [C2W+SquareOut-1-Drop2:0] p2_q2;

  assign product1 = (C1W + UW)'(c1_q1) * (C1W + UW)'(u_q1);
  assign product2 = (C2W + SquareOut)'(c2_q1) * (C2W + SquareOut)'(square_q1);

  always_ff @(posedge clk_i) begin
    c0_q1 <= c0_i;
    c1_q1 <= c1_i;
    c2_q1 <= c2_i;
    u_q1 <= u_i;
    square_q1 <= square[2*SquareIn-1-:SquareOut];
    c0_q2 <= c0_q1;
    p1_q2 <= product1[C1W+UW-1:Drop1];
    p2_q2 <= product2[C2W+SquareOut-1:Drop2];
  end

  // Stage 3: the sum.
  logic [SumFrac:0] a, b, c;
  assign a = (SumFrac + 1)'(c0_q2);
  assign b = Subtract1 ? -(SumFrac + 1)'(p1_q2) : (SumFrac + 1)'(p1_q2);
  assign c = Subtract2 ? -(SumFrac + 1)'(p2_q2) : (SumFrac + 1)'(p2_q2);
  assign sum_o = a + b + c;

  logic unused;
  assign unused = ^{square[2*SquareIn-SquareOut-1:0], product1[Drop1-1:0], product2[Drop2-1:0]};

endmodule

// SPDX-License-Identifier: Apache-2.0
// A 32-bit adder between registers: what the library and the flow give for the plainest arithmetic there is.
//
// Contract: sum_o of cycle t+2 is a_i + b_i + carry_i of cycle t. No reset: there is no state to start from.

module reference_adder (
    input logic clk_i,
    input logic [31:0] a_i,
    input logic [31:0] b_i,
    input logic carry_i,
    output logic [32:0] sum_o
);

  logic [31:0] a_q, b_q;
  logic carry_q;
  logic [32:0] sum_q;

  always_ff @(posedge clk_i) begin
    a_q <= a_i;
    b_q <= b_i;
    carry_q <= carry_i;
    sum_q <= {1'b0, a_q} + {1'b0, b_q} + 33'(carry_q);
  end

  assign sum_o = sum_q;

endmodule

// SPDX-License-Identifier: Apache-2.0
// Running sum of weights, weight * 2^(exponent - 28), in floating point with a truncated 40-bit significand.
//
// A weight goes in with valid_i; sum_o holds the sum with it two cycles later, until the next one. One weight every two
// cycles at most. start_i forgets what was summed, zero_i adds nothing.

module merge_sum
  import merge_pkg::*;
(
    input  logic    clk_i,
    input  logic    rst_ni,
    input  logic    valid_i,
    input  logic    start_i,
    input  logic    zero_i,
    input  weight_t weight_i,
    input  exp_t    exponent_i,
    output sum_t    sum_o
);

  localparam int unsigned ShiftW = $clog2(SumW + 1);

  sum_t sum_q;
  logic valid_q;

  // Stage 1: align.
  logic old_zero, weight_larger;
  logic signed [ExpW:0] above, below;
  logic [ShiftW-1:0] shift;
  logic [SumW-1:0] term, old_aligned, term_aligned;
  logic [SumW-1:0] a_q, b_q;
  exp_t exponent_q;

  assign old_zero = start_i || sum_q.sig == '0;
  assign above = (ExpW + 1)'(exponent_i) - (ExpW + 1)'(sum_q.exponent);
  assign below = (ExpW + 1)'(sum_q.exponent) - (ExpW + 1)'(exponent_i);
  assign weight_larger = !above[ExpW] && above != '0;
  assign term = zero_i ? '0 : {weight_i, {(SumW - WeightW) {1'b0}}};

  always_comb begin
    logic signed [ExpW:0] distance;
    distance = weight_larger ? above : below;
    shift = (distance > (ExpW + 1)'(SumW)) ? ShiftW'(SumW) : distance[ShiftW-1:0];
    if (zero_i || old_zero) shift = '0;
  end

  assign old_aligned  = (weight_larger && !zero_i) ? (sum_q.sig >> shift) : sum_q.sig;
  assign term_aligned = weight_larger ? term : (term >> shift);

  always_ff @(posedge clk_i) begin
    if (valid_i) begin
      a_q <= old_zero ? '0 : old_aligned;
      b_q <= term_aligned;
      exponent_q <= (zero_i || (!old_zero && !weight_larger)) ? sum_q.exponent : exponent_i;
    end
  end

  // Stage 2: add, and one place to the right on a carry.
  logic [SumW:0] total;
  assign total = {1'b0, a_q} + {1'b0, b_q};

  always_ff @(posedge clk_i) begin
    if (valid_q) begin
      sum_q.sig <= total[SumW] ? total[SumW:1] : total[SumW-1:0];
      sum_q.exponent <= exponent_q + exp_t'({1'b0, total[SumW]});
    end
  end

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) valid_q <= 1'b0;
    else valid_q <= valid_i;
  end

  assign sum_o = sum_q;

endmodule

// SPDX-License-Identifier: Apache-2.0
// Pipelined restoring divider: quotient = floor(num / den), saturating to all ones.
//
// Contract: one division a cycle, in order; all stages move with en_i. Latency 1 + QuotW / StageBits cycles. den 0
// gives a saturated quotient; the scorer never asks for it.
//   T          what travels beside a division
//   NumW       bits of the numerator, above QuotW
//   DenW       bits of the denominator
//   QuotW      bits of the quotient, a multiple of StageBits
//   StageBits  quotient bits a stage: fewer are faster and larger

module score_divider #(
    parameter type T = logic,
    parameter int unsigned NumW = 62,
    parameter int unsigned DenW = 32,
    parameter int unsigned QuotW = 32,
    parameter int unsigned StageBits = 2
) (
    input  logic             clk_i,
    input  logic             rst_ni,
    input  logic             en_i,
    input  logic             valid_i,
    input  logic [ NumW-1:0] num_i,
    input  logic [ DenW-1:0] den_i,
    input  T                 side_i,
    output logic             busy_o,       // a division is under way
    output logic             valid_o,
    output logic             saturated_o,
    output logic [QuotW-1:0] quot_o,
    output T                 side_o
);

  localparam int unsigned Stages = QuotW / StageBits;
  localparam int unsigned HighW = NumW - QuotW;

  if (QuotW % StageBits != 0) begin : gen_bad_stages
    $error("score_divider: QuotW %0d is no multiple of StageBits %0d", QuotW, StageBits);
  end
  if (NumW <= QuotW || HighW > DenW) begin : gen_bad_num
    $error("score_divider: NumW %0d is not in QuotW+1..QuotW+DenW", NumW);
  end

  // rem < den always; rest holds the numerator bits not yet used (top) and the quotient so far (bottom).
  typedef struct packed {
    logic             over;
    logic [DenW-1:0]  rem;
    logic [DenW-1:0]  den;
    logic [QuotW-1:0] rest;
    T                 side;
  } stage_t;

  function automatic stage_t divide(input stage_t from);
    stage_t s;
    logic [DenW:0] rem;
    logic [DenW:0] less;
    s = from;
    for (int unsigned i = 0; i < StageBits; i++) begin
      rem = {s.rem, s.rest[QuotW-1]};
      less = rem - {1'b0, s.den};
      // A borrow shows in the top bit: rem < 2*den, so the difference of a fitting den has it clear.
      s.rest = {s.rest[QuotW-2:0], !less[DenW]};
      s.rem = less[DenW] ? rem[DenW-1:0] : less[DenW-1:0];
    end
    return s;
  endfunction

  logic   [Stages:0] valid_q;
  stage_t [Stages:0] stage_q;

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) valid_q <= '0;
    else if (en_i) valid_q <= {valid_q[Stages-1:0], valid_i};
  end

  always_ff @(posedge clk_i) begin
    if (en_i) begin
      stage_q[0].over <= DenW'(num_i[NumW-1:QuotW]) >= den_i;
      stage_q[0].rem  <= DenW'(num_i[NumW-1:QuotW]);
      stage_q[0].den  <= den_i;
      stage_q[0].rest <= num_i[QuotW-1:0];
      stage_q[0].side <= side_i;
      for (int unsigned i = 0; i < Stages; i++) stage_q[i+1] <= divide(stage_q[i]);
    end
  end

  assign busy_o = valid_q != '0;
  assign valid_o = valid_q[Stages];
  assign saturated_o = stage_q[Stages].over;
  assign quot_o = stage_q[Stages].over ? '1 : stage_q[Stages].rest;
  assign side_o = stage_q[Stages].side;

endmodule

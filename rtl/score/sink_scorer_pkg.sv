// SPDX-License-Identifier: Apache-2.0
// Widths of the scorer's arithmetic. Where they come from: docs/decisions/scorer-widths.md.

package sink_scorer_pkg;

  import kvsink_cfg_pkg::*;
  import kvsink_pkg::*;

  // fp32
  localparam int unsigned MantW = 24;  // with the hidden bit
  localparam int unsigned ExpW = 8;
  localparam int unsigned FractionW = 23;
  localparam int unsigned ExpOne = 127;  // exponent field of 1.0

  // An attention weight is multiplied by a factor: the layer's weight, times query position + 1 for the mean or
  // 2**RawFactorLog2 for the raw sum; a column sum by 1. Products are rounded to nearest at MeanFrac fraction bits: for a raw sum, RawFrac bits of the sum of A.
  localparam int unsigned MeanFrac = 16;
  localparam int unsigned RawFactorLog2 = 16;
  localparam int unsigned RawFrac = MeanFrac + RawFactorLog2;
  localparam int unsigned BaseFactorW = (PosW + 1 > RawFactorLog2 + 1) ? PosW + 1 : RawFactorLog2 + 1;
  localparam int unsigned FactorW = BaseFactorW + $bits(layer_weight_t);
  localparam int unsigned ProductW = MantW + FactorW;

  // Contributions to one token: every query of every layer and head, once. Layer weights above 1 use up what the model
  // has fewer layers and heads than 2**PairW; beyond that the sums saturate, which is reported.
  localparam int unsigned PairW = $clog2(Layers) + $clog2(QHeads);
  localparam int unsigned CountW = PosW + PairW + 1;
  // The largest sums: all weights 1.0. Raw: 2**(PosW+PairW) * 2**RawFrac. Mean: below 2**(2*PosW+PairW) * 2**MeanFrac.
  localparam int unsigned RawSumW = PosW + PairW + RawFrac + 1;
  localparam int unsigned MeanSumW = 2 * PosW + PairW + MeanFrac;
  localparam int unsigned SumW = (RawSumW > MeanSumW) ? RawSumW : MeanSumW;

  typedef logic [CountW-1:0] count_t;
  typedef logic [SumW-1:0] sum_t;
  typedef logic [FactorW-1:0] factor_t;

  // A word holds what belongs to the batch of its stamp; a word of another stamp reads as zero. Stamp 0 is no batch's.
  localparam int unsigned StampW = 8;
  typedef logic [StampW-1:0] stamp_t;
  typedef struct packed {
    stamp_t stamp;
    logic   mark;
    count_t count;
    sum_t   total;
  } acc_t;

  localparam int unsigned LaneW = $clog2(ScoreLanes);
  localparam int unsigned BankWords = Scored / ScoreLanes;
  localparam int unsigned BankAddrW = $clog2(BankWords);
  typedef logic [BankAddrW-1:0] bank_addr_t;

  // What a lane brings to its bank.
  typedef struct packed {
    logic        column;  // value is a column sum with its count, else one weight in [0, 1]
    logic [31:0] value;   // fp32; no NaN, not negative
    logic [31:0] count;
  } lane_t;

endpackage

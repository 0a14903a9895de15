// SPDX-License-Identifier: Apache-2.0
// Widths and types inside lse_merge. docs/theory/lse_merge.md says what each width is worth.

package merge_pkg;

  import kvsink_pkg::*;

  localparam int unsigned MaxPartials = 64;  // of one merge
  localparam int unsigned HeaderGap = 4;  // A: cycles of a partial, at least; and between beats of one index

  localparam int unsigned LseFrac = 32;  // fraction bits of an lse in fixed point
  localparam int unsigned FixedW = 66;  // signed: |lse| < 2^33
  localparam int unsigned DiffW = 48;  // signed difference of two lse that count: 16 integer bits
  localparam int unsigned LogFrac = 30;  // fraction bits of the binary logarithm of a weight
  localparam int unsigned ExpW = 16;  // signed exponents: 64 partials, each 320 binades above the last, fit
  localparam int unsigned WeightW = 29;  // mantissa of a weight, [1, 2)
  localparam int unsigned RecipW = 29;  // reciprocal of the sum's mantissa, [1/2, 1)
  localparam int unsigned SumW = 40;  // significand of the sum of weights, truncated
  localparam int unsigned AccW = 40;  // significand of the accumulators of O, truncated
  localparam int unsigned FinalW = 30;  // bits of the accumulator that enter the last product
  localparam int unsigned SigW = 24;  // significand of an element of O

  // A partial this many nats (units of log2) below the greatest weighs less than 2^-320: it is left out, and one as far
  // above it starts the sums anew.
  localparam int unsigned GapBaseE = 224;
  localparam int unsigned GapBase2 = 320;

  typedef logic signed [FixedW-1:0] fixed_t;
  typedef logic signed [DiffW-1:0] diff_t;
  typedef logic signed [ExpW-1:0] exp_t;
  typedef logic [WeightW-1:0] weight_t;
  typedef logic [RecipW-1:0] recip_t;

  // A beat on its way through the lanes.
  typedef struct packed {
    logic first;         // first beat of its partial: the header travels beside it
    logic last_partial;  // the result leaves
    logic last;          // last beat of its partial
    logic pad;           // stands for a beat that did not come: zeros
    fmt_e fmt;           // of the merge
  } step_t;

  // What the first beat of a partial says, and where the partial stands in its merge.
  typedef struct packed {
    logic        merge_first;
    logic        last_partial;
    logic        is_sink;
    logic        base2;         // of the merge
    logic [15:0] id;            // of the merge
    logic [31:0] lse;
  } header_t;

  // What the weight of a partial does to the state.
  typedef struct packed {
    logic merge_first;   // forget infinities and NaN
    logic start;         // forget the sums
    logic empty;         // not looked at
    logic zero;          // weighs nothing (empty, or too far below the greatest)
    logic is_sink;
    logic last_partial;
    logic base2;
    logic nan;           // an lse of this merge was NaN
    logic none;          // no partial counts so far
  } effect_t;

  // A significand with its exponent: significand * 2^(exponent - 39), significand 0 or normalised.
  typedef struct packed {
    logic [SumW-1:0] sig;
    exp_t            exponent;
  } sum_t;

  // Accumulator of one element: (-1)^sign * sig * 2^(frame - 166); sig 0 or normalised. infs: {-inf seen, +inf seen}, both
  // set is NaN, which is what adding them gives.
  typedef struct packed {
    logic [1:0]      infs;
    logic            sign;
    exp_t            frame;
    logic [AccW-1:0] sig;
  } acc_t;

endpackage

// SPDX-License-Identifier: Apache-2.0
// From the headers of the partials to their weights, weight * 2^(exponent - 28) = 2^((lse - reference) * log2 e).
//
// The reference is the lse of the first partial that counts, or of the last one that lay so far above all before it that
// they weigh nothing. So a weight never changes once it is given, and the loop over the partials holds only compares:
// 2 cycles. Headers are HeaderGap cycles apart at least. Latency 8 cycles; the outputs hold until the next header.
//
//   stage  1 fixed point | 2 differences | 3 place in the merge | 4, 5 times log2 e | 6, 7, 8 2^fraction
//
// The reference of a merge leaves with its last partial, in the cycle after stage 3 (reference_valid_o).

module merge_weight
  import merge_pkg::*;
  import merge_const_pkg::*;
(
    input  logic           clk_i,
    input  logic           rst_ni,
    input  logic           valid_i,
    input  header_t        header_i,
    output logic           reference_valid_o,
    output logic    [31:0] reference_o,
    output logic    [15:0] id_o,
    output logic           valid_o,
    output weight_t        weight_o,
    output exp_t           exponent_o,
    output effect_t        effect_o
);

  // ---- stage 1: fixed point
  logic   in_big;
  fixed_t in_fixed;
  merge_fixed u_fixed (
      .lse_i  (header_i.lse),
      .big_o  (in_big),
      .fixed_o(in_fixed)
  );

  logic valid_q1;
  header_t header_q1;
  logic big_q1, nan_q1, empty_q1;
  fixed_t fixed_q1;

  always_ff @(posedge clk_i) begin
    header_q1 <= header_i;
    big_q1 <= in_big;
    fixed_q1 <= in_fixed;
    nan_q1 <= (&header_i.lse[30:23]) && header_i.lse[22:0] != '0;
    empty_q1 <= &header_i.lse[30:23];
  end

  // ---- stage 2: differences to the greatest lse so far and to the reference
  logic any_q, big_q;
  logic nan_seen_q;
  fixed_t greatest_q, reference_q;
  logic [31:0] greatest_bits_q, reference_bits_q;

  // Order of finite floats as integers.
  function automatic logic signed [31:0] order(input logic [31:0] bits);
    return bits[31] ? -$signed({1'b0, bits[30:0]}) : $signed({1'b0, bits[30:0]});
  endfunction

  logic valid_q2;
  header_t header_q2;
  logic big_q2, nan_q2, empty_q2, above_q2, below_q2;
  fixed_t fixed_q2;
  logic signed [FixedW:0] over_q2, distance_q2;

  always_ff @(posedge clk_i) begin
    header_q2 <= header_q1;
    big_q2 <= big_q1;
    nan_q2 <= nan_q1;
    empty_q2 <= empty_q1;
    fixed_q2 <= fixed_q1;
    over_q2 <= (FixedW + 1)'(fixed_q1) - (FixedW + 1)'(greatest_q);
    distance_q2 <= (FixedW + 1)'(fixed_q1) - (FixedW + 1)'(reference_q);
    above_q2 <= order(header_q1.lse) > order(greatest_bits_q);
    below_q2 <= order(header_q1.lse) < order(greatest_bits_q);
  end

  // ---- stage 3: place in the merge
  logic any, either_big, restart, ignore, rises;
  logic signed [FixedW-LseFrac:0] over, gap;
  assign any = any_q && !header_q2.merge_first;
  assign either_big = big_q2 || big_q;
  assign over = over_q2[FixedW:LseFrac];
  assign gap = header_q2.base2 ? (FixedW - LseFrac + 1)'(GapBase2) : (FixedW - LseFrac + 1)'(GapBaseE);

  always_comb begin
    restart = over >= gap;
    ignore  = over < -gap;
    rises   = !over[FixedW-LseFrac];
    if (either_big) begin
      restart = above_q2;
      ignore  = below_q2;
      rises   = above_q2;
    end
    if (!any) begin
      restart = 1'b1;
      ignore  = 1'b0;
      rises   = 1'b1;
    end
  end

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      any_q <= 1'b0;
      nan_seen_q <= 1'b0;
      valid_q1 <= 1'b0;
      valid_q2 <= 1'b0;
    end else begin
      valid_q1 <= valid_i;
      valid_q2 <= valid_q1;
      if (valid_q2) begin
        any_q <= any || !empty_q2;
        nan_seen_q <= (nan_seen_q && !header_q2.merge_first) || nan_q2;
      end
    end
  end

  always_ff @(posedge clk_i) begin
    if (valid_q2 && !empty_q2) begin
      if (restart) begin
        reference_q <= fixed_q2;
        reference_bits_q <= header_q2.lse;
        big_q <= big_q2;
      end
      if (rises) begin
        greatest_q <= fixed_q2;
        greatest_bits_q <= header_q2.lse;
      end
    end
  end

  // ---- stage 4: times log2 e, in two halves. In base 2 the difference is taken as it is.
  localparam int unsigned LowW = 24;
  localparam int unsigned HighW = DiffW - LowW;
  localparam int unsigned ConstW = Log2EFrac + 1;

  logic [5:0] valid_q;  // behind stages 3 to 8
  diff_t distance_q3, distance_q4;
  effect_t effect_q3, effect_q4;
  logic [31:0] reference_q3;
  logic [15:0] id_q3;
  logic reference_valid_q3;
  logic [LowW+ConstW-1:0] low_q4;
  logic signed [HighW+ConstW-1:0] high_q4;

  always_ff @(posedge clk_i) begin
    distance_q3 <= (restart || either_big) ? '0 : distance_q2[DiffW-1:0];
    effect_q3.merge_first <= header_q2.merge_first;
    effect_q3.start <= !any || (restart && !empty_q2);
    effect_q3.empty <= empty_q2;
    effect_q3.zero <= empty_q2 || ignore;
    effect_q3.is_sink <= header_q2.is_sink;
    effect_q3.last_partial <= header_q2.last_partial;
    effect_q3.base2 <= header_q2.base2;
    effect_q3.nan <= (nan_seen_q && !header_q2.merge_first) || nan_q2;
    effect_q3.none <= !any && empty_q2;
    reference_q3 <= (restart && !empty_q2) ? header_q2.lse : reference_bits_q;
    id_q3 <= header_q2.id;

    low_q4 <= (LowW + ConstW)'({distance_q3[LowW-1:0]}) * (LowW + ConstW)'(Log2E);
    high_q4 <= (HighW + ConstW)'($signed({distance_q3[DiffW-1:LowW]})) * (HighW + ConstW)'($signed({1'b0, Log2E}));
    distance_q4 <= distance_q3;
    effect_q4 <= effect_q3;
  end

  assign reference_valid_o = reference_valid_q3;
  assign reference_o = reference_q3;
  assign id_o = id_q3;

  // ---- stage 5: the binary logarithm of the weight, rounded
  localparam int unsigned LogW = ExpW + LogFrac;
  localparam int unsigned DropE = LseFrac + Log2EFrac - LogFrac;
  localparam int unsigned Drop2 = LseFrac - LogFrac;
  localparam int unsigned ProductW = DiffW + ConstW;

  logic signed [ProductW-1:0] product;
  logic signed [DiffW-1:0] plain;
  logic [LogW-1:0] log_q5;
  effect_t effect_q5;

  assign product = (ProductW'(high_q4) <<< LowW) + $signed(ProductW'(low_q4)) + $signed(ProductW'(1) << (DropE - 1));
  assign plain   = distance_q4 + DiffW'(1 << (Drop2 - 1));

  always_ff @(posedge clk_i) begin
    log_q5 <= effect_q4.base2 ? plain[Drop2+:LogW] : product[DropE+:LogW];
    effect_q5 <= effect_q4;
  end

  // ---- stages 6 to 8: 2^fraction
  localparam int unsigned IndexW = 7;
  localparam int unsigned UW = LogFrac - IndexW;
  localparam int unsigned WeightFrac = WeightW - 1;

  logic [ExpC0W-1:0] c0;
  logic [ExpC1W-1:0] c1;
  logic [ExpC2W-1:0] c2;
  logic [ SumFrac:0] sum;

  merge_rom_exp u_rom (
      .addr_i(log_q5[LogFrac-1-:IndexW]),
      .c0_o  (c0),
      .c1_o  (c1),
      .c2_o  (c2)
  );

  merge_quadratic #(
      .C0W   (ExpC0W),
      .C1W   (ExpC1W),
      .C2W   (ExpC2W),
      .IndexW(IndexW),
      .UW    (UW)
  ) u_exp (
      .clk_i,
      .c0_i (c0),
      .c1_i (c1),
      .c2_i (c2),
      .u_i  (log_q5[UW-1:0]),
      .sum_o(sum)
  );

  exp_t exponent_q6, exponent_q7, exponent_q8;
  effect_t effect_q6, effect_q7, effect_q8;
  weight_t weight_q8;

  always_ff @(posedge clk_i) begin
    exponent_q6 <= log_q5[LogW-1:LogFrac];
    exponent_q7 <= exponent_q6;
    effect_q6   <= effect_q5;
    effect_q7   <= effect_q6;
    if (valid_q[4]) begin
      weight_q8   <= sum[SumFrac-WeightFrac+:WeightW];
      exponent_q8 <= exponent_q7;
      effect_q8   <= effect_q7;
    end
  end

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      valid_q <= '0;
      reference_valid_q3 <= 1'b0;
    end else begin
      valid_q <= {valid_q[4:0], valid_q2};
      reference_valid_q3 <= valid_q2 && header_q2.last_partial;
    end
  end


  assign valid_o = valid_q[5];
  assign weight_o = weight_q8;
  assign exponent_o = exponent_q8;
  assign effect_o = effect_q8;

  logic unused;
  assign unused = ^{distance_q2[FixedW:DiffW], over_q2[LseFrac-1:0], product[DropE-1:0],
                    product[ProductW-1:DropE+LogW], plain[Drop2-1:0], sum[SumFrac-WeightFrac-1:0]};

endmodule

// SPDX-License-Identifier: Apache-2.0
// What a merge needs once, when its last weight is summed: 1/m of the sum m * 2^e for the lanes, lse = reference +
// e * ln 2 + log m, and the sink partials' share of the sum.
//
// valid_i comes with the sums, which hold for four cycles (HeaderGap). recip_o, exponent_o, half_o, none_o and nan_o are
// there 3 cycles later, the rest 7 cycles later (done with valid_o); all hold until the next merge. The reference of the
// merges in between waits in a queue: push_i, up to four.
//
//   stage  1 tables | 2 products | 3 sums | 4 lse sum, share | 5 magnitude | 6 normalise | 7 round

module merge_finish
  import merge_pkg::*;
  import merge_const_pkg::*;
(
    input  logic          clk_i,
    input  logic          rst_ni,
    input  logic          push_i,
    input  logic   [31:0] reference_i,
    input  logic   [15:0] id_i,
    input  logic          valid_i,
    input  sum_t          sum_i,
    input  sum_t          sink_i,
    input  logic          base2_i,
    input  logic          none_i,
    input  logic          nan_i,
    // for the lanes
    output recip_t        recip_o,
    output logic          half_o,       // 1/m = recip * 2^(half - 29)
    output exp_t          exponent_o,   // e
    output logic          none_o,
    output logic          nan_o,
    // for the first beat out
    output logic   [15:0] id_o,
    output logic   [31:0] lse_o,
    output logic   [31:0] mass_o,
    output logic          weighted_o
);

  // ---- stage 1: tables
  localparam int unsigned MFrac = 32;  // fraction bits of m that the tables see
  localparam int unsigned RecIndexW = 8;
  localparam int unsigned LogIndexW = 7;

  logic [MFrac-1:0] m;
  assign m = sum_i.sig[SumW-2-:MFrac];

  logic [RecC0W-1:0] rec_c0;
  logic [RecC1W-1:0] rec_c1;
  logic [RecC2W-1:0] rec_c2;
  logic [LogC0W-1:0] log_c0;
  logic [LogC1W-1:0] log_c1;
  logic [LogC2W-1:0] log_c2;
  logic [SumFrac:0] rec_sum, log_sum;

  merge_rom_rec u_rom_rec (
      .addr_i(m[MFrac-1-:RecIndexW]),
      .c0_o  (rec_c0),
      .c1_o  (rec_c1),
      .c2_o  (rec_c2)
  );
  merge_rom_log u_rom_log (
      .addr_i({base2_i, m[MFrac-1-:LogIndexW]}),
      .c0_o  (log_c0),
      .c1_o  (log_c1),
      .c2_o  (log_c2)
  );

  merge_quadratic #(
      .C0W      (RecC0W),
      .C1W      (RecC1W),
      .C2W      (RecC2W),
      .IndexW   (RecIndexW),
      .UW       (MFrac - RecIndexW),
      .Subtract1(1'b1)
  ) u_rec (
      .clk_i,
      .c0_i (rec_c0),
      .c1_i (rec_c1),
      .c2_i (rec_c2),
      .u_i  (m[MFrac-RecIndexW-1:0]),
      .sum_o(rec_sum)
  );
  merge_quadratic #(
      .C0W      (LogC0W),
      .C1W      (LogC1W),
      .C2W      (LogC2W),
      .IndexW   (LogIndexW),
      .UW       (MFrac - LogIndexW),
      .Subtract2(1'b1)
  ) u_log (
      .clk_i,
      .c0_i (log_c0),
      .c1_i (log_c1),
      .c2_i (log_c2),
      .u_i  (m[MFrac-LogIndexW-1:0]),
      .sum_o(log_sum)
  );

  // What later stages need of the inputs; loaded with valid_i, so it holds for four cycles.
  logic [6:1] valid_q;
  exp_t exponent_q, sink_exponent_q;
  logic [FinalW-1:0] sink_sig_q;
  logic base2_q, none_q, nan_q, one_q, all_sink_q;

  always_ff @(posedge clk_i) begin
    if (valid_i) begin
      exponent_q <= sum_i.exponent;
      sink_exponent_q <= sink_i.exponent;
      sink_sig_q <= sink_i.sig[SumW-1-:FinalW];
      base2_q <= base2_i;
      none_q <= none_i;
      nan_q <= nan_i;
      one_q <= sum_i.exponent == '0 && sum_i.sig == {1'b1, {(SumW - 1) {1'b0}}};
      all_sink_q <= sink_i == sum_i;
    end
  end

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) valid_q <= '0;
    else valid_q <= {valid_q[5:1], valid_i};
  end

  // ---- stage 2: e * ln 2
  localparam int unsigned EProductW = ExpW + Ln2Frac + 1;
  localparam int unsigned PartFrac = SumFrac;
  localparam int unsigned PartW = ExpW + PartFrac;
  logic signed [EProductW-1:0] e_product_q2;

  always_ff @(posedge clk_i) begin
    e_product_q2 <= EProductW'(exponent_q) * EProductW'($signed({1'b0, Ln2}));
  end

  // ---- stage 3: 1/m rounded, log m; the reference back into fixed point
  typedef struct packed {
    logic [31:0] lse;
    logic [15:0] id;
  } waiting_t;

  waiting_t waiting;
  logic push_ready_unused, waiting_valid;
  logic [2:0] waiting_count_unused;
  kv_fifo #(
      .T    (waiting_t),
      .Depth(4)
  ) u_waiting (
      .clk_i,
      .rst_ni,
      .flush_i(1'b0),
      .valid_i(push_i),
      .ready_o(push_ready_unused),
      .data_i ({reference_i, id_i}),
      .valid_o(waiting_valid),
      .ready_i(valid_q[2]),
      .data_o (waiting),
      .count_o(waiting_count_unused)
  );

  logic   reference_big;
  fixed_t reference_fixed;
  merge_fixed u_fixed (
      .lse_i  (waiting.lse),
      .big_o  (reference_big),
      .fixed_o(reference_fixed)
  );

  localparam int unsigned RecDrop = SumFrac - RecipW;
  logic [SumFrac:0] rec_rounded;
  assign rec_rounded = rec_sum + (SumFrac + 1)'(1 << (RecDrop - 1));

  recip_t recip_q3;
  logic half_q3, none_q3, nan_q3;
  exp_t exponent_q3;
  logic signed [PartW-1:0] part_q3;
  logic [SumFrac:0] log_q3;
  fixed_t reference_q3;
  logic [31:0] reference_bits_q3;
  logic [15:0] id_q3;
  logic plain_q3;

  always_ff @(posedge clk_i) begin
    if (valid_q[2]) begin
      half_q3 <= rec_rounded[SumFrac];  // exactly 1: 1/2 with the exponent one up
      recip_q3 <= rec_rounded[SumFrac] ? {1'b1, {(RecipW - 1) {1'b0}}} : rec_rounded[RecDrop+:RecipW];
      exponent_q3 <= exponent_q;
      none_q3 <= none_q;
      nan_q3 <= nan_q;
      part_q3 <= base2_q ? PartW'(exponent_q) <<< PartFrac : PartW'(e_product_q2 >>> (Ln2Frac - PartFrac));
      log_q3 <= log_sum;
      reference_q3 <= reference_fixed;
      reference_bits_q3 <= waiting.lse;
      id_q3 <= waiting.id;
      plain_q3 <= reference_big || one_q;
    end
  end

  assign recip_o = recip_q3;
  assign half_o = half_q3;
  assign exponent_o = exponent_q3;
  assign none_o = none_q3;
  assign nan_o = nan_q3;

  // ---- stage 4: lse with 33 fraction bits; the sink partials' share
  localparam int unsigned TotalW = FixedW + 3;
  localparam int unsigned MassW = FinalW + RecipW;
  localparam int unsigned MassDrop = MassW - 1 - 31;  // product with 58 fraction bits to 31
  localparam int unsigned MassShiftW = $clog2(MassW + 1);

  logic signed [TotalW-1:0] total_q4;
  logic [MassW-1:0] mass_q4;
  logic [MassShiftW-1:0] mass_shift_q4;
  logic signed [ExpW:0] mass_shift;

  assign mass_shift = (ExpW + 1)'(exponent_q3) - (ExpW + 1)'(sink_exponent_q) + $signed(
      (ExpW + 1)'(MassDrop - 2)
  ) + $signed(
      (ExpW + 1)'(!half_q3)
  );

  always_ff @(posedge clk_i) begin
    total_q4 <= (TotalW'(reference_q3) <<< (SumFrac - LseFrac)) + TotalW'(part_q3) + $signed(TotalW'(log_q3));
    mass_q4 <= MassW'(sink_sig_q) * MassW'(recip_q3);
    mass_shift_q4 <= (mass_shift > $signed((ExpW + 1)'(MassW))) ? MassShiftW'(MassW) : mass_shift[MassShiftW-1:0];
  end

  // ---- stage 5: magnitude; share to 32 fraction bits
  localparam int unsigned MagnitudeW = TotalW - 1;
  localparam int unsigned ShareW = 36;
  logic sign_q5;
  logic [MagnitudeW-1:0] magnitude_q5;
  logic [ShareW-1:0] share_q5;

  // Flags for the end, taken before the next merge may change them.
  logic plain_q4, plain_q5, plain_q6, all_sink_q4, all_sink_q5;
  logic nan_q4, nan_q5, nan_q6, none_q4, none_q5, none_q6;
  logic [31:0] bits_q4, bits_q5, bits_q6;
  logic [15:0] id_q4, id_q5, id_q6;

  always_ff @(posedge clk_i) begin
    plain_q4 <= plain_q3;
    plain_q5 <= plain_q4;
    plain_q6 <= plain_q5;
    nan_q4 <= nan_q3;
    nan_q5 <= nan_q4;
    nan_q6 <= nan_q5;
    none_q4 <= none_q3;
    none_q5 <= none_q4;
    none_q6 <= none_q5;
    bits_q4 <= reference_bits_q3;
    bits_q5 <= bits_q4;
    bits_q6 <= bits_q5;
    id_q4 <= id_q3;
    id_q5 <= id_q4;
    id_q6 <= id_q5;
    all_sink_q4 <= all_sink_q;
    all_sink_q5 <= all_sink_q4;

    sign_q5 <= total_q4[TotalW-1];
    magnitude_q5 <= total_q4[TotalW-1] ? -total_q4[MagnitudeW-1:0] : total_q4[MagnitudeW-1:0];
    share_q5 <= ShareW'(mass_q4 >> mass_shift_q4);
  end

  // ---- stage 6: normalise; share rounded and held to 1
  localparam int unsigned CountW = $clog2(MagnitudeW + 1);
  localparam logic [31:0] MassOne = 32'h8000_0000;

  logic [CountW-1:0] zeros;
  merge_lzc #(
      .Width(MagnitudeW)
  ) u_lzc (
      .bits_i (magnitude_q5),
      .count_o(zeros)
  );

  logic [ShareW-1:0] share_up;
  assign share_up = share_q5 + ShareW'(1);

  logic sign_q6;
  logic [MagnitudeW-1:0] normal_q6;
  logic [7:0] biased_q6;
  logic [31:0] mass_q6;

  always_ff @(posedge clk_i) begin
    sign_q6   <= sign_q5;
    normal_q6 <= magnitude_q5 << zeros;
    biased_q6 <= 8'(127 + MagnitudeW - 1 - SumFrac) - 8'(zeros);
    if (all_sink_q5) mass_q6 <= MassOne;
    else mass_q6 <= (share_up[ShareW-1:1] >= (ShareW - 1)'(MassOne)) ? MassOne : share_up[32:1];
  end

  // ---- stage 7: round to nearest even
  localparam int unsigned KeptW = 24;
  localparam int unsigned RestW = MagnitudeW - KeptW;
  logic up;
  logic [31:0] rounded;

  assign up = normal_q6[RestW-1] && (normal_q6[RestW] || (|normal_q6[RestW-2:0]));
  // The leading one adds 1 to the exponent field, a carry out of the significand another.
  assign rounded = {sign_q6, biased_q6 - 8'd1, 23'd0} + 32'(normal_q6[MagnitudeW-1-:KeptW]) + 32'(up);

  logic [31:0] lse_q7, mass_q7;
  logic [15:0] id_q7;
  logic weighted_q7;

  always_ff @(posedge clk_i) begin
    if (valid_q[6]) begin
      if (nan_q6) lse_q7 <= 32'h7fc0_0000;
      else if (none_q6) lse_q7 <= 32'hff80_0000;
      else if (plain_q6) lse_q7 <= bits_q6;
      else if (!normal_q6[MagnitudeW-1]) lse_q7 <= '0;
      else lse_q7 <= rounded;
      mass_q7 <= (nan_q6 || none_q6) ? '0 : mass_q6;
      id_q7 <= id_q6;
      weighted_q7 <= !nan_q6 && !none_q6;
    end
  end

  assign lse_o = lse_q7;
  assign mass_o = mass_q7;
  assign id_o = id_q7;
  assign weighted_o = weighted_q7;

  logic unused;
  assign unused = ^{push_ready_unused, waiting_valid, waiting_count_unused, rec_rounded[RecDrop-1:0],
                    sink_i.sig[SumW-FinalW-1:0], share_up[0], share_up[ShareW-1:33]};

endmodule

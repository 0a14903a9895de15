// SPDX-License-Identifier: Apache-2.0
// One lane of lse_merge: element * weight into the accumulator, and at the end accumulator * 1/sum, rounded once.
//
// Free running, one element a cycle. Cycles counted from the one in which data_i is there:
//   0 unpack | 1 product (weight_i, effect_i) | 2 align (acc_i) | 3 add | 4 normalise | 5 acc_o; times 1/sum (recip_i)
//   6 normalise, denormals | 7 round | 8 specials | 9 data_o
// The accumulator of the same element comes back in cycle 2 of the next partial, so partials 4 cycles apart need acc_o
// handed on past the memory: that is the caller's part.
//
// Denormals need no normaliser at the input: the accumulator's last place is 11 binades below the least denormal.

module merge_lane
  import kvsink_pkg::*;
  import merge_pkg::*;
(
    input  logic           clk_i,
    // cycle 0
    input  logic    [31:0] data_i,
    input  fmt_e           fmt_i,
    input  logic           pad_i,
    // cycle 1
    output logic           special_o,          // infinity or NaN
    input  weight_t        weight_i,
    input  exp_t           weight_exponent_i,
    input  logic           fresh_i,            // first partial of a merge
    input  logic           start_i,            // the sum so far weighs nothing
    input  logic           empty_i,
    input  logic           zero_i,             // the weight is nothing
    // cycle 2
    input  acc_t           acc_i,
    // cycle 5
    output acc_t           acc_o,
    input  recip_t         recip_i,
    input  logic           half_i,
    input  exp_t           sum_exponent_i,
    input  logic           none_i,             // no partial counted
    input  logic           nan_i,              // an lse was NaN
    input  fmt_e           fmt5_i,
    // cycle 9
    output logic    [31:0] data_o
);

  // ---- cycle 0: unpack to significand * 2^(exponent - 150)
  logic sign, special, nan;
  logic [SigW-1:0] sig;
  logic [7:0] exponent;

  always_comb begin
    logic [7:0] field;
    sign = data_i[31];
    field = data_i[30:23];
    sig = {field != '0, data_i[22:0]};
    special = &field;
    nan = data_i[22:0] != '0;
    exponent = (field == '0) ? 8'd1 : field;
    unique case (fmt_i)
      FmtFp16: begin
        sign = data_i[15];
        field = {3'b000, data_i[14:10]};
        sig = {field != '0, data_i[9:0], 13'd0};
        special = &data_i[14:10];
        nan = data_i[9:0] != '0;
        exponent = ((field == '0) ? 8'd1 : field) + 8'd112;
      end
      FmtBf16: begin
        sign = data_i[15];
        field = data_i[14:7];
        sig = {field != '0, data_i[6:0], 16'd0};
        special = &field;
        nan = data_i[6:0] != '0;
        exponent = (field == '0) ? 8'd1 : field;
      end
      default: ;
    endcase
    if (pad_i) begin
      sign = 1'b0;
      sig = '0;
      special = 1'b0;
    end
  end

  logic sign_q1, special_q1;
  logic [1:0] inf_q1;
  logic [SigW-1:0] sig_q1;
  logic [7:0] exponent_q1;

  always_ff @(posedge clk_i) begin
    sign_q1 <= sign;
    special_q1 <= special;
    inf_q1 <= special ? {sign || nan, !sign || nan} : 2'b00;
    sig_q1 <= sig;
    exponent_q1 <= exponent;
  end

  assign special_o = special_q1;

  // ---- cycle 1: product
  localparam int unsigned ProductW = SigW + WeightW;
  localparam int unsigned TermW = AccW + 1;

  logic [ProductW-1:0] product;
  assign product = ProductW'(sig_q1) * ProductW'(weight_i);

  logic sign_q2, zero_q2, start_q2, fresh_q2;
  logic [1:0] inf_q2;
  logic [TermW-1:0] term_q2;
  exp_t frame_q2;

  always_ff @(posedge clk_i) begin
    // A term that is left out must not change the sign of an exact zero: it is -0.
    zero_q2  <= zero_i || special_q1 || sig_q1 == '0;
    sign_q2  <= sign_q1 || zero_i;
    term_q2  <= product[ProductW-1-:TermW];
    frame_q2 <= weight_exponent_i + exp_t'({1'b0, exponent_q1});
    start_q2 <= start_i;
    fresh_q2 <= fresh_i;
    inf_q2   <= empty_i ? 2'b00 : inf_q1;
  end

  // ---- cycle 2: align to the larger frame
  localparam int unsigned ShiftW = $clog2(TermW + 1);

  logic acc_zero, term_higher;
  logic signed [ExpW:0] up, down;
  logic [ShiftW-1:0] shift;
  logic [  AccW-1:0] acc_aligned;
  logic [ TermW-1:0] term_aligned;

  assign acc_zero = start_q2 || acc_i.sig == '0;
  assign up = (ExpW + 1)'(frame_q2) - (ExpW + 1)'(acc_i.frame);
  assign down = (ExpW + 1)'(acc_i.frame) - (ExpW + 1)'(frame_q2);
  assign term_higher = !up[ExpW] && up != '0;

  always_comb begin
    logic signed [ExpW:0] distance;
    distance = term_higher ? up : down;
    shift = (distance > (ExpW + 1)'(TermW)) ? ShiftW'(TermW) : distance[ShiftW-1:0];
    acc_aligned = acc_i.sig;
    term_aligned = term_q2;
    if (zero_q2) term_aligned = '0;
    else if (acc_zero) acc_aligned = '0;
    else if (term_higher) acc_aligned = acc_i.sig >> shift;
    else term_aligned = term_q2 >> shift;
    if (acc_zero) acc_aligned = '0;
  end

  logic sign_acc_q3, sign_term_q3;
  logic [1:0] inf_q3;
  logic [AccW-1:0] acc_q3;
  logic [TermW-1:0] term_q3;
  exp_t frame_q3;

  always_ff @(posedge clk_i) begin
    sign_acc_q3 <= start_q2 || acc_i.sign;  // nothing yet is -0, which leaves the sign to the first term
    sign_term_q3 <= sign_q2;
    acc_q3 <= acc_aligned;
    term_q3 <= term_aligned;
    frame_q3 <= (zero_q2 || (!acc_zero && !term_higher)) ? acc_i.frame : frame_q2;
    inf_q3 <= inf_q2 | (fresh_q2 ? 2'b00 : acc_i.infs);
  end

  // ---- cycle 3: add
  localparam int unsigned TotalW = TermW + 1;

  logic subtract;
  logic [TotalW-1:0] sum, acc_less_term, term_less_acc;
  logic sign_q4;
  logic [1:0] inf_q4;
  logic [TotalW-1:0] total_q4;
  exp_t frame_q4;

  assign subtract = sign_acc_q3 ^ sign_term_q3;
  assign sum = TotalW'(acc_q3) + TotalW'(term_q3);
  assign acc_less_term = TotalW'(acc_q3) - TotalW'(term_q3);
  assign term_less_acc = TotalW'(term_q3) - TotalW'(acc_q3);

  always_ff @(posedge clk_i) begin
    if (!subtract) begin
      total_q4 <= sum;
      sign_q4  <= sign_acc_q3;
    end else if (!acc_less_term[TotalW-1]) begin
      total_q4 <= acc_less_term;
      sign_q4  <= sign_acc_q3 && acc_less_term != '0;  // x - x is +0
    end else begin
      total_q4 <= term_less_acc;
      sign_q4  <= sign_term_q3;
    end
    frame_q4 <= frame_q3;
    inf_q4   <= inf_q3;
  end

  // ---- cycle 4: normalise, cut to the accumulator's width
  localparam int unsigned CountW = $clog2(TotalW + 1);

  logic [CountW-1:0] zeros;
  logic [TotalW-1:0] normal;
  acc_t acc_q5;

  merge_lzc #(
      .Width(TotalW)
  ) u_lzc (
      .bits_i (total_q4),
      .count_o(zeros)
  );
  assign normal = total_q4 << zeros;

  always_ff @(posedge clk_i) begin
    acc_q5.infs  <= inf_q4;
    acc_q5.sign  <= sign_q4;
    acc_q5.frame <= frame_q4 + exp_t'(TotalW - AccW) - exp_t'({1'b0, zeros});
    acc_q5.sig   <= normal[TotalW-1-:AccW];
  end

  assign acc_o = acc_q5;

  // ---- cycle 5: times 1/sum. The exponent is that of a product with its top bit set; without it, one less.
  localparam int unsigned FinalProductW = FinalW + RecipW;
  localparam int unsigned KeptW = SigW + 1;  // with the bit behind the last
  localparam int unsigned DownW = $clog2(KeptW + 1);
  typedef logic signed [ExpW+1:0] wide_t;

  wide_t biased, bias_less;
  logic [4:0] narrow;  // places that the format's significand is shorter than fp32's

  // Right shift: the format's own, and for exponents below `least` (denormals) as much more as they are below. One
  // addition behind that of the exponent.
  function automatic logic [DownW-1:0] places(input wide_t exponent_field, input wide_t least, input logic [4:0] extra);
    wide_t n;
    n = wide_t'({1'b0, extra}) + least - exponent_field;
    if (exponent_field >= least) n = wide_t'({1'b0, extra});
    return (n > wide_t'(KeptW)) ? DownW'(KeptW) : {n[DownW-1:0]};
  endfunction

  always_comb begin
    narrow = 5'd0;
    bias_less = '0;
    unique case (fmt5_i)
      FmtFp16: begin
        narrow = 5'd13;
        bias_less = wide_t'(112);
      end
      FmtBf16: narrow = 5'd16;
      default: ;
    endcase
  end
  assign biased = wide_t'(acc_q5.frame) - wide_t'(sum_exponent_i) + wide_t'({1'b0, half_i}) - bias_less;

  logic [FinalProductW-1:0] product_q6;
  logic sticky_q6, sign_q6, nan_q6, zero_q6;
  logic [1:0] inf_q6;
  wide_t biased_q6;
  logic [DownW-1:0] down_top_q6, down_low_q6;
  fmt_e fmt_q6;

  always_ff @(posedge clk_i) begin
    product_q6 <= FinalProductW'(acc_q5.sig[AccW-1-:FinalW]) * FinalProductW'(recip_i);
    sticky_q6 <= |acc_q5.sig[AccW-FinalW-1:0];
    zero_q6 <= acc_q5.sig == '0 || none_i;
    sign_q6 <= acc_q5.sign && !none_i;
    inf_q6 <= none_i ? 2'b00 : acc_q5.infs;
    nan_q6 <= nan_i;
    biased_q6 <= biased;
    down_top_q6 <= places(biased, wide_t'(1), narrow);
    down_low_q6 <= places(biased, wide_t'(2), narrow);
    fmt_q6 <= fmt5_i;
  end

  // ---- cycle 6: the product normalised, then right to the last place of the format
  logic top;
  logic [FinalProductW-1:0] leading;
  logic [DownW-1:0] down_places;
  logic [2*KeptW-1:0] placed;
  wide_t field;

  assign top = product_q6[FinalProductW-1];
  assign leading = top ? product_q6 : (product_q6 << 1);
  assign down_places = top ? down_top_q6 : down_low_q6;
  assign placed = {leading[FinalProductW-1-:KeptW], {KeptW{1'b0}}} >> down_places;
  assign field = top ? biased_q6 : (biased_q6 - wide_t'(1));

  logic [SigW-1:0] kept_q7;
  logic guard_q7, sticky_q7, sign_q7, nan_q7, over_q7;
  logic [1:0] inf_q7;
  logic [7:0] base_q7;  // exponent field less one: the leading one of the significand adds it
  fmt_e fmt_q7;

  always_ff @(posedge clk_i) begin
    kept_q7 <= zero_q6 ? '0 : placed[2*KeptW-1:KeptW+1];
    guard_q7 <= placed[KeptW] && !zero_q6;
    sticky_q7 <= ((|placed[KeptW-1:0]) || (|leading[FinalProductW-KeptW-1:0]) || sticky_q6) && !zero_q6;
    base_q7 <= (zero_q6 || field < wide_t'(1)) ? '0 : {field[7:0]} - 8'd1;
    over_q7 <= !zero_q6 && field >= ((fmt_q6 == FmtFp16) ? wide_t'(31) : wide_t'(255));
    sign_q7 <= sign_q6;
    inf_q7 <= inf_q6;
    nan_q7 <= nan_q6;
    fmt_q7 <= fmt_q6;
  end

  // ---- cycle 7: round to nearest even
  logic up_q7;
  logic [30:0] base;
  assign up_q7 = guard_q7 && (sticky_q7 || kept_q7[0]);

  always_comb begin
    base = {base_q7, 23'd0};
    unique case (fmt_q7)
      FmtFp16: base = 31'({base_q7, 10'd0});
      FmtBf16: base = 31'({base_q7, 7'd0});
      default: ;
    endcase
  end

  logic sign_q8, infinite_q8, nan_q8;
  logic [30:0] magnitude_q8;
  fmt_e fmt_q8;

  always_ff @(posedge clk_i) begin
    magnitude_q8 <= base + 31'(kept_q7) + 31'(up_q7);
    infinite_q8 <= over_q7 || (inf_q7 != 2'b00);
    sign_q8 <= (inf_q7 != 2'b00) ? inf_q7[1] : sign_q7;
    nan_q8 <= nan_q7 || (&inf_q7);
    fmt_q8 <= fmt_q7;
  end

  // ---- cycle 8: NaN and infinity, the format's place
  logic [31:0] data_q9;

  always_ff @(posedge clk_i) begin
    unique case (fmt_q8)
      FmtFp16: data_q9 <= nan_q8 ? 32'h0000_7e00 : {16'd0, sign_q8, infinite_q8 ? 15'h7c00 : magnitude_q8[14:0]};
      FmtBf16: data_q9 <= nan_q8 ? 32'h0000_7fc0 : {16'd0, sign_q8, infinite_q8 ? 15'h7f80 : magnitude_q8[14:0]};
      default: data_q9 <= nan_q8 ? 32'h7fc0_0000 : {sign_q8, infinite_q8 ? 31'h7f80_0000 : magnitude_q8};
    endcase
  end

  assign data_o = data_q9;

  logic unused;
  assign unused = ^{product[ProductW-TermW-1:0], normal[TotalW-AccW-1:0]};

endmodule

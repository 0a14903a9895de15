// SPDX-License-Identifier: Apache-2.0
// One bank of the scorer's accumulators: fp32 to fixed point, and read-modify-write of one word a cycle.
//
// Contract: a request enters with valid_i in stage 2 of the scorer's pipeline and leaves in stage 4 as the word before
// its own change (zero when the word belongs to another batch); with write_i the changed word is written in stage 5.
// Requests to one word may follow each other in any distance: results on their way are forwarded. All stages move with
// en_i. clear_i writes zero with stamp 0 to a word, and wants an empty pipeline.
// One request a cycle. Latency 2 cycles from stage 2 to stage 4.
//
//   stage 2        3                          4                5
//   read address   word, product = m * w      align, add       write
//                  forward from 5 and 6       forward from 5
//                  (2 and 3 requests ago)     (1 request ago)
//
// The contribution is value * factor_i rounded to nearest (half up) at MeanFrac fraction bits. Sum and count saturate.

module score_bank
  import kvsink_pkg::*;
  import sink_scorer_pkg::*;
(
    input  logic       clk_i,
    input  logic       rst_ni,
    input  logic       en_i,
    // stage 2
    input  logic       valid_i,
    input  logic       write_i,
    input  logic       mark_i,       // set the mark; nothing is added
    input  stamp_t     stamp_i,
    input  bank_addr_t addr_i,
    input  lane_t      lane_i,
    input  factor_t    factor_i,
    input  logic       raw_i,
    // stage 4
    output logic       mark_o,
    output count_t     count_o,
    output sum_t       sum_o,
    // stage 5
    output logic       saturated_o,
    // clearing
    input  logic       clear_i,
    input  bank_addr_t clear_addr_i
);

  // Right shifts that align. Weight: product * 2**(e - ExpOne - FractionW + MeanFrac). A column sum starts at the top
  // of the word instead, since it may have any exponent.
  localparam int unsigned ShiftW = ExpW + 2;
  localparam int unsigned WeightShift = ExpOne + FractionW - MeanFrac;
  localparam int unsigned ColumnTop = SumW - MantW;

  typedef logic signed [ShiftW-1:0] shift_t;

  if (ProductW > SumW) begin : gen_bad_product
    $error("score_bank: product of %0d bits is wider than the sum of %0d", ProductW, SumW);
  end

  // ------------------------------------------------------------------------------------------------- stage 2
  logic [ExpW-1:0] exponent;
  logic [MantW-1:0] mantissa;
  shift_t shift;

  // What lies below the normal numbers is far below the resolution: zero.
  assign exponent = lane_i.value[FractionW+:ExpW];
  assign mantissa = (exponent == '0) ? '0 : {1'b1, lane_i.value[FractionW-1:0]};

  always_comb begin
    shift = shift_t'(WeightShift) - shift_t'({2'b00, exponent});
    if (lane_i.column) begin
      shift = shift + shift_t'(ColumnTop) - (raw_i ? shift_t'(RawFactorLog2) : '0);
    end
  end

  logic valid3_q, write3_q, mark3_q, column3_q, over3_q;
  stamp_t stamp3_q;
  bank_addr_t addr3_q;
  logic [ProductW-1:0] product3_q;
  logic [ShiftW-2:0] shift3_q;
  logic [31:0] count3_q;
  acc_t rdata;

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) valid3_q <= 1'b0;
    else if (en_i) valid3_q <= valid_i;
  end

  always_ff @(posedge clk_i) begin
    if (en_i) begin
      write3_q <= write_i;
      mark3_q <= mark_i;
      column3_q <= lane_i.column;
      over3_q <= {shift[ShiftW-1]} && mantissa != '0;
      stamp3_q <= stamp_i;
      addr3_q <= addr_i;
      product3_q <= lane_i.column ? ProductW'(mantissa) : ProductW'(mantissa) * ProductW'(factor_i);
      shift3_q <= {shift[ShiftW-2:0]};
      count3_q <= lane_i.count;
    end
  end

  // ------------------------------------------------------------------------------------------------- stage 3
  logic write4_q, mark4_q, over4_q;
  logic keep4_q;     // the word read stands, and is of this stamp
  logic forward4_q;  // the word of the stage ahead is of this address and stamp
  stamp_t stamp4_q;
  bank_addr_t addr4_q;
  logic held_mark4_q;  // the word read, less its stamp
  sum_t held_total4_q;
  count_t held_count4_q;
  sum_t add4_q;
  count_t more4_q;
  logic write5_q, write6_q;
  bank_addr_t addr5_q, addr6_q;
  acc_t word5_q, word6_q;

  acc_t word3;
  logic [SumW:0] aligned;  // one bit below the resolution, to round with
  logic count_over;

  always_comb begin
    word3 = rdata;
    if (write6_q && addr6_q == addr3_q) word3 = word6_q;
    if (write5_q && addr5_q == addr3_q) word3 = word5_q;
  end

  always_comb begin
    aligned = column3_q ? {product3_q[MantW-1:0], (ColumnTop + 1)'(0)} : (SumW + 1)'({product3_q, 1'b0});
    aligned = aligned >> shift3_q;
  end

  if (CountW < 32) begin : gen_narrow_count
    assign count_over = count3_q[31:CountW] != '0;
  end else begin : gen_full_count
    assign count_over = 1'b0;
  end

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) write4_q <= 1'b0;
    else if (en_i) write4_q <= valid3_q && write3_q;
  end

  always_ff @(posedge clk_i) begin
    if (en_i) begin
      mark4_q <= mark3_q;
      stamp4_q <= stamp3_q;
      addr4_q <= addr3_q;
      held_mark4_q <= word3.mark;
      held_total4_q <= word3.total;
      held_count4_q <= word3.count;
      // A word of another stamp counts as nothing. Whose it is gets decided here, before the word is needed.
      keep4_q <= !(write4_q && addr4_q == addr3_q) && word3.stamp == stamp3_q;
      forward4_q <= write4_q && addr4_q == addr3_q && stamp4_q == stamp3_q;
      over4_q <= !mark3_q && (over3_q || count_over);
      add4_q <= mark3_q ? '0 : over3_q ? '1 : aligned[SumW:1] + sum_t'(aligned[0]);
      more4_q <= mark3_q ? '0 : count_over ? '1 : count_t'(count3_q);
    end
  end

  // ------------------------------------------------------------------------------------------------- stage 4
  logic [  SumW:0] sum;
  logic [CountW:0] count;

  assign mark_o = (forward4_q && word5_q.mark) || (keep4_q && held_mark4_q);
  assign count_o = (forward4_q ? word5_q.count : '0) | (keep4_q ? held_count4_q : '0);
  assign sum_o = (forward4_q ? word5_q.total : '0) | (keep4_q ? held_total4_q : '0);
  assign sum = {1'b0, sum_o} + {1'b0, add4_q};
  assign count = {1'b0, count_o} + {1'b0, more4_q};

  logic saturated5_q;

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      write5_q <= 1'b0;
      write6_q <= 1'b0;
    end else if (en_i) begin
      write5_q <= write4_q;
      write6_q <= write5_q;
    end
  end

  always_ff @(posedge clk_i) begin
    if (en_i) begin
      addr5_q <= addr4_q;
      word5_q.stamp <= stamp4_q;
      word5_q.mark <= mark_o || mark4_q;
      word5_q.count <= count[CountW] ? '1 : count[CountW-1:0];
      word5_q.total <= sum[SumW] ? '1 : sum[SumW-1:0];
      saturated5_q <= over4_q || sum[SumW] || count[CountW];
      addr6_q <= addr5_q;
      word6_q <= word5_q;
    end
  end

  // ------------------------------------------------------------------------------------------------- stage 5
  assign saturated_o = write5_q && saturated5_q;

  kv_ram_1r1w #(
      .Words(BankWords),
      .Width($bits(acc_t))
  ) u_mem (
      .clk_i,
      .re_i   (en_i && valid_i),
      .raddr_i(addr_i),
      .rdata_o(rdata),
      .we_i   (clear_i || (en_i && write5_q)),
      .waddr_i(clear_i ? clear_addr_i : addr5_q),
      .wdata_i(clear_i ? '0 : word5_q)
  );

endmodule

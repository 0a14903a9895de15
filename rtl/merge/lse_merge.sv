// SPDX-License-Identifier: Apache-2.0
// Joins partial attentions: from partials (O_p, lse_p), p = 1..64, to lse = log sum exp(lse_p) and
// O = sum exp(lse_p - lse) * O_p, base e or base 2, O in fp32, fp16 or bf16.
//
// Contract: the partials of a merge are contiguous on the partial stream, each a run of equally many beats of LANES
// elements; its first beat carries the header (lse, base, format, beat count - 1, last_partial, is_sink). The merge's
// base, format and id are those of its first partial. The result is a run of as many beats; lse and sink_mass stand
// beside each, `nan` is what was seen up to that beat (with `last`: in the whole merge).
//   - lse = -inf or +inf: the partial is empty, its O is not looked at. All empty: O = 0, lse = -inf.
//   - lse = NaN: everything is NaN. Infinity or NaN in O of a partial that counts propagates as in IEEE arithmetic.
//   - A learned sink logit is a partial with O = 0.
//   - sink_mass is UQ1.31; 0 when nothing counted.
//   - One partial alone comes out bit for bit (NaN aside).
// Malformed streams end as merges too and raise error_o: see merge_issue.
//
// Latency: first beat of the last partial taken in cycle t, first beat out in t+20. Throughput: one beat a cycle; a
// partial of n beats takes max(n, 4) cycles; no bubble between merges. Backpressure acts where beats are issued: what
// will leave has its place in the output queue.
//
//   skid -> issue -> header: weight ------------> sums -> 1/sum, lse, share ----------+
//             |                  \                           |                        v
//             +----> delay ------> lanes: product, accumulate (memory), times 1/sum -> queue -> out
//
// Counters: merge_done_o pulses when the last beat of a merge enters the output queue; with it sink_mass_o,
// merge_weighted_o (a partial counted and no lse was NaN, so the mass means something) and nan_o hold.
//   MaxBeats  longest partial in beats, a power of two; the default covers the longest row's elements at 2 bytes

module lse_merge
  import kvsink_cfg_pkg::*;
  import kvsink_pkg::*;
  import merge_pkg::*;
#(
    parameter int unsigned MaxBeats = (RowBytes / 2 > 2 * Lanes) ? 1 << $clog2(RowBytes / 2 / Lanes) : 2
) (
    input  logic            clk_i,
    input  logic            rst_ni,
    input  logic            partial_valid_i,
    output logic            partial_ready_o,
    input  partial_t        partial_i,
    output logic            out_valid_o,
    input  logic            out_ready_i,
    output merged_t         out_o,
    output logic            merge_done_o,
    output logic            merge_weighted_o,
    output logic     [31:0] sink_mass_o,
    output logic            nan_o,
    output logic            error_o
);

  localparam int unsigned IndexW = $clog2(MaxBeats);
  localparam int unsigned OutSlots = 32;  // covers the pipeline and the queue's own delay at full speed
  typedef logic [IndexW-1:0] index_t;

  // ---- cycle 1: issue
  logic in_valid, in_ready;
  partial_t in_partial;
  kv_skid #(
      .T(partial_t)
  ) u_skid (
      .clk_i,
      .rst_ni,
      .valid_i(partial_valid_i),
      .ready_o(partial_ready_o),
      .data_i (partial_i),
      .valid_o(in_valid),
      .ready_i(in_ready),
      .data_o (in_partial)
  );

  logic issued_valid;
  step_t issued;
  index_t issued_index;
  header_t header;
  logic store, take;

  merge_issue #(
      .MaxBeats(MaxBeats),
      .OutSlots(OutSlots)
  ) u_issue (
      .clk_i,
      .rst_ni,
      .valid_i  (in_valid),
      .ready_o  (in_ready),
      .partial_i(in_partial),
      .take_i   (take),
      .beat_valid_o(issued_valid),
      .beat_o   (issued),
      .index_o  (issued_index),
      .header_o (header),
      .store_o  (store),
      .error_o
  );

  // ---- the beat's control travels beside the data. beat_q[i] is in cycle i.
  localparam int unsigned UnpackAt = 10;  // cycle in which the data are unpacked
  localparam int unsigned ProductAt = UnpackAt + 1;
  localparam int unsigned AlignAt = UnpackAt + 2;
  localparam int unsigned FinalAt = UnpackAt + 5;  // the accumulator is there and is multiplied by 1/sum
  localparam int unsigned OutAt = UnpackAt + 9;

  logic [OutAt:2] valid_q;
  step_t beat_q[2:OutAt];
  index_t index_q[2:FinalAt];

  assign valid_q[2] = issued_valid;
  assign beat_q[2]  = issued;
  assign index_q[2] = issued_index;

  for (genvar i = 3; i <= OutAt; i++) begin : gen_beat
    always_ff @(posedge clk_i or negedge rst_ni) begin
      if (!rst_ni) valid_q[i] <= 1'b0;
      else valid_q[i] <= valid_q[i-1];
    end
    always_ff @(posedge clk_i) beat_q[i] <= beat_q[i-1];
  end
  for (genvar i = 3; i <= FinalAt; i++) begin : gen_index
    always_ff @(posedge clk_i) index_q[i] <= index_q[i-1];
  end

  // ---- cycles 2 to 10: weights
  logic reference_valid, weight_valid;
  logic [31:0] reference;
  logic [15:0] reference_id;
  weight_t weight;
  exp_t weight_exponent;
  effect_t effect;

  merge_weight u_weight (
      .clk_i,
      .rst_ni,
      .valid_i          (issued_valid && issued.first),
      .header_i         (header),
      .reference_valid_o(reference_valid),
      .reference_o      (reference),
      .id_o             (reference_id),
      .valid_o          (weight_valid),
      .weight_o         (weight),
      .exponent_o       (weight_exponent),
      .effect_o         (effect)
  );

  // ---- cycles 10 to 12: sums
  sum_t sum, sink_sum;
  merge_sum u_sum (
      .clk_i,
      .rst_ni,
      .valid_i   (weight_valid),
      .start_i   (effect.start),
      .zero_i    (effect.zero),
      .weight_i  (weight),
      .exponent_i(weight_exponent),
      .sum_o     (sum)
  );
  merge_sum u_sink_sum (
      .clk_i,
      .rst_ni,
      .valid_i   (weight_valid),
      .start_i   (effect.start),
      .zero_i    (effect.zero || !effect.is_sink),
      .weight_i  (weight),
      .exponent_i(weight_exponent),
      .sum_o     (sink_sum)
  );

  // ---- cycles 12 to 19: the end of a merge
  logic last_weight_q11, last_weight_q12;
  recip_t recip;
  logic half, none, nan_lse, weighted;
  exp_t sum_exponent;
  logic [15:0] out_id;
  logic [31:0] out_lse, out_mass;

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      last_weight_q11 <= 1'b0;
      last_weight_q12 <= 1'b0;
    end else begin
      last_weight_q11 <= weight_valid && effect.last_partial;
      last_weight_q12 <= last_weight_q11;
    end
  end

  merge_finish u_finish (
      .clk_i,
      .rst_ni,
      .push_i     (reference_valid),
      .reference_i(reference),
      .id_i       (reference_id),
      .valid_i    (last_weight_q12),
      .sum_i      (sum),
      .sink_i     (sink_sum),
      .base2_i    (effect.base2),
      .none_i     (effect.none),
      .nan_i      (effect.nan),
      .recip_o    (recip),
      .half_o     (half),
      .exponent_o (sum_exponent),
      .none_o     (none),
      .nan_o      (nan_lse),
      .id_o       (out_id),
      .lse_o      (out_lse),
      .mass_o     (out_mass),
      .weighted_o (weighted)
  );

  // ---- cycles 1 to 10: the data wait for their weight
  localparam int unsigned DelayWords = 8;
  localparam int unsigned DelayAt = UnpackAt - 1;  // cycle in which the read starts, DelayWords after the write
  localparam int unsigned BeatW = Lanes * 32;
  logic [$clog2(DelayWords)-1:0] delay_q;
  logic [BeatW-1:0] delayed;

  if (DelayAt - 1 != DelayWords) begin : gen_bad_delay
    $error("lse_merge: a delay of %0d needs as many words", DelayAt - 1);
  end

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) delay_q <= '0;
    else delay_q <= delay_q + 1'b1;
  end

  // The word of the same address is the one written DelayWords cycles ago.
  kv_ram_1r1w #(
      .Words(DelayWords),
      .Width(BeatW)
  ) u_delay (
      .clk_i,
      .re_i   (valid_q[DelayAt]),
      .raddr_i(delay_q),
      .rdata_o(delayed),
      .we_i   (store),
      .waddr_i(delay_q),
      .wdata_i(in_partial.data)
  );

  // ---- cycle 11: the weight of the partial in the lanes
  weight_t lane_weight_q;
  exp_t lane_exponent_q;
  logic fresh_q, start_q, empty_q, zero_q, nan_lse_q;

  always_ff @(posedge clk_i) begin
    if (weight_valid) begin
      lane_weight_q <= weight;
      lane_exponent_q <= weight_exponent;
      fresh_q <= effect.merge_first;
      start_q <= effect.start;
      empty_q <= effect.empty;
      zero_q <= effect.zero;
      nan_lse_q <= effect.nan;
    end
  end

  // ---- accumulators: read in cycle 11 for 12, written in 15. A partial 4 cycles behind reads in the cycle of the write.
  acc_t [Lanes-1:0] acc_read, acc, acc_result, acc_passed_q;
  logic pass_q;
  logic acc_write;

  assign acc_write = valid_q[FinalAt] && !beat_q[FinalAt].last_partial;

  kv_ram_1r1w #(
      .Words(MaxBeats),
      .Width($bits(acc_read))
  ) u_acc (
      .clk_i,
      .re_i   (valid_q[ProductAt]),
      .raddr_i(index_q[ProductAt]),
      .rdata_o(acc_read),
      .we_i   (acc_write),
      .waddr_i(index_q[FinalAt]),
      .wdata_i(acc_result)
  );

  always_ff @(posedge clk_i) begin
    pass_q <= acc_write && index_q[FinalAt] == index_q[ProductAt];
    acc_passed_q <= acc_result;
  end
  assign acc = pass_q ? acc_passed_q : acc_read;

  // ---- lanes
  logic [Lanes-1:0] special;
  logic [Lanes-1:0][31:0] out_data;

  for (genvar l = 0; l < Lanes; l++) begin : gen_lane
    merge_lane u_lane (
        .clk_i,
        .data_i           (delayed[32*l+:32]),
        .fmt_i            (beat_q[UnpackAt].fmt),
        .pad_i            (beat_q[UnpackAt].pad),
        .special_o        (special[l]),
        .weight_i         (lane_weight_q),
        .weight_exponent_i(lane_exponent_q),
        .fresh_i          (fresh_q),
        .start_i          (start_q),
        .empty_i          (empty_q),
        .zero_i           (zero_q),
        .acc_i            (acc[l]),
        .acc_o            (acc_result[l]),
        .recip_i          (recip),
        .half_i           (half),
        .sum_exponent_i   (sum_exponent),
        .none_i           (none),
        .nan_i            (nan_lse),
        .fmt5_i           (beat_q[FinalAt].fmt),
        .data_o           (out_data[l])
    );
  end

  // ---- NaN and infinity seen, in the order of the beats
  logic nan_q12;
  logic [OutAt:AlignAt] nan_q;

  always_ff @(posedge clk_i) begin
    if (valid_q[ProductAt]) begin
      nan_q12 <= (nan_q12 && !(beat_q[ProductAt].first && fresh_q)) || nan_lse_q || (!empty_q && (|special));
    end
  end
  assign nan_q[AlignAt] = nan_q12;
  for (genvar i = AlignAt + 1; i <= OutAt; i++) begin : gen_nan
    always_ff @(posedge clk_i) nan_q[i] <= nan_q[i-1];
  end

  // ---- cycle 19: out
  logic out_push, out_room;
  merged_t merged;

  assign out_push = valid_q[OutAt] && beat_q[OutAt].last_partial;
  assign merged = '{
          id: out_id,
          first: beat_q[OutAt].first,
          last: beat_q[OutAt].last,
          lse: out_lse,
          nan: nan_q[OutAt],
          sink_mass: out_mass,
          fmt: beat_q[OutAt].fmt,
          data: out_data
      };

  logic [$clog2(OutSlots+1)-1:0] out_held_unused;
  kv_fifo_ram #(
      .T    (merged_t),
      .Depth(OutSlots),
      .Pass (1'b1)
  ) u_out (
      .clk_i,
      .rst_ni,
      .flush_i(1'b0),
      .valid_i(out_push),
      .ready_o(out_room),
      .data_i (merged),
      .valid_o(out_valid_o),
      .ready_i(out_ready_i),
      .data_o (out_o),
      .count_o(out_held_unused)
  );
  assign take = out_valid_o && out_ready_i;

  logic done_q, done_weighted_q, done_nan_q;
  logic [31:0] done_mass_q;
  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      done_q <= 1'b0;
      done_nan_q <= 1'b0;
    end else begin
      done_q <= out_push && beat_q[OutAt].last;
      done_nan_q <= out_push && beat_q[OutAt].last && nan_q[OutAt];
    end
  end
  always_ff @(posedge clk_i) begin
    done_weighted_q <= weighted;
    done_mass_q <= out_mass;
  end
  assign merge_done_o = done_q;
  assign merge_weighted_o = done_weighted_q;
  assign sink_mass_o = done_mass_q;
  assign nan_o = done_nan_q;

  `include "kvsink_assert.svh"
  `KVS_STREAM(partial_stream, partial_valid_i, partial_ready_o, partial_i)
  `KVS_STREAM(out_stream, out_valid_o, out_ready_i, out_o)
  `KVS_ASSERT(output_has_room, !out_push || out_room)

endmodule

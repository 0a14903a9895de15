// SPDX-License-Identifier: Apache-2.0
// The strongest TopK of a stream of tokens, sorted as they come.
//
// Contract: tokens come with ascending positions, one a cycle; among equal scores the earlier (lower) one stays before
// the later. clear_i empties the list. head_* is the strongest; shift_i takes it away. Latency 1 cycle.
//   TopK  places, 2 or more

module score_top_k
  import kvsink_pkg::*;
#(
    parameter int unsigned TopK = 64
) (
    input  logic   clk_i,
    input  logic   rst_ni,
    input  logic   clear_i,
    input  logic   insert_i,
    input  pos_t   position_i,
    input  score_t score_i,
    input  logic   shift_i,
    output logic   head_valid_o,
    output logic   next_valid_o,     // there is one behind the head
    output logic   full_o,
    output pos_t   head_position_o,
    output score_t head_score_o
);

  if (TopK < 2) begin : gen_bad_top_k
    $error("score_top_k: TopK %0d is below 2", TopK);
  end

  logic   [TopK-1:0] valid_q;
  pos_t   [TopK-1:0] position_q;
  score_t [TopK-1:0] score_q;

  // Sorted, so once a place is beaten all places behind it are: each decides on its own what it takes.
  logic   [TopK-1:0] beaten;
  always_comb begin
    for (int unsigned i = 0; i < TopK; i++) beaten[i] = !valid_q[i] || score_i > score_q[i];
  end

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) valid_q <= '0;
    else if (clear_i) valid_q <= '0;
    else if (shift_i) valid_q <= valid_q >> 1;
    else if (insert_i) valid_q <= valid_q | (beaten & ((valid_q << 1) | TopK'(1)));
  end

  always_ff @(posedge clk_i) begin
    for (int unsigned i = 0; i < TopK; i++) begin
      if (shift_i) begin
        if (i + 1 < TopK) begin
          position_q[i] <= position_q[(i+1)%TopK];
          score_q[i] <= score_q[(i+1)%TopK];
        end
      end else if (insert_i && beaten[i]) begin
        if (i > 0 && beaten[(i+TopK-1)%TopK]) begin
          position_q[i] <= position_q[(i+TopK-1)%TopK];
          score_q[i] <= score_q[(i+TopK-1)%TopK];
        end else begin
          position_q[i] <= position_i;
          score_q[i] <= score_i;
        end
      end
    end
  end

  assign head_valid_o = valid_q[0];
  assign next_valid_o = valid_q[1];
  assign full_o = valid_q[TopK-1];
  assign head_position_o = position_q[0];
  assign head_score_o = score_q[0];

endmodule

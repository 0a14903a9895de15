// SPDX-License-Identifier: Apache-2.0
// Search of the tag array: the lowest granule in [from, to] for which an owner has an entry.
//
// Contract: one search at a time. It sees the entries as they are in the cycle after it was accepted. No entry that was
// there and is still there lies in the range below the answer. When an entry of the owner is removed during the search,
// the granule named may have none (its lookup then misses, and the next search goes on from there). The answer comes
// Digits + 3 cycles after acceptance, Digits = ceil(bits of a granule number / 2), and is not held back: the asker has
// room for it.
// How: all entries of the owner at or above `from` are candidates; then the two highest bits not looked at yet leave
// only those with the lowest value in them, until all bits are known. `to` is compared once, with the result.

module tag_next
  import kvsink_cfg_pkg::*;
  import kvsink_pkg::*;
(
    input logic clk_i,
    input logic rst_ni,

    input logic   [Entries-1:0] entry_valid_i,
    input owner_t [Entries-1:0] entry_owner_i,
    input gran_t  [Entries-1:0] entry_granule_i,

    input  logic          next_valid_i,
    output logic          next_ready_o,
    input  tag_next_req_t next_i,
    output logic          rsp_valid_o,
    output tag_next_rsp_t rsp_o
);

  localparam int unsigned GranW = $bits(gran_t);
  localparam int unsigned DigitW = 2;
  localparam int unsigned Digits = (GranW + DigitW - 1) / DigitW;
  localparam int unsigned Values = 2 ** DigitW;
  localparam int unsigned StepW = $clog2(Digits + 1);

  typedef enum logic [1:0] {
    Idle,
    Start,
    Search,
    Answer
  } state_e;

  state_e state_q;
  tag_next_req_t req_q;
  logic [StepW-1:0] step_q;  // digits left
  logic [Entries-1:0] cand_q;
  logic [Digits-1:0][DigitW-1:0] found_q;

  // The digit that the step looks at, of every candidate, and which values occur.
  logic [Entries-1:0][DigitW-1:0] digit;
  logic [Values-1:0] occurs;
  logic [DigitW-1:0] lowest;
  for (genvar e = 0; e < Entries; e++) begin : gen_digit
    logic [Digits-1:0][DigitW-1:0] digits;
    assign digits   = (Digits * DigitW)'(entry_granule_i[e]);
    assign digit[e] = digits[step_q];
  end
  for (genvar v = 0; v < Values; v++) begin : gen_occurs
    logic [Entries-1:0] has;
    for (genvar e = 0; e < Entries; e++) begin : gen_entry
      assign has[e] = cand_q[e] && digit[e] == DigitW'(v);
    end
    assign occurs[v] = has != '0;
  end
  always_comb begin
    lowest = '0;
    for (int unsigned v = Values; v > 0; v--) begin
      if (occurs[v-1]) lowest = DigitW'(v - 1);
    end
  end

  // An entry may be removed and come to hold another granule during the search. What is put together then is still below
  // all candidates that were dropped: they had a higher digit behind the same ones. Only `from` may be above it.
  gran_t found_granule, answer;
  assign answer = (found_granule < req_q.from) ? req_q.from : found_granule;
  logic found_unused;
  assign found_granule = gran_t'(found_q);
  assign found_unused  = ^found_q;  // the highest digit may be wider than the number
  assign next_ready_o  = state_q == Idle;

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      state_q <= Idle;
      rsp_valid_o <= 1'b0;
    end else begin
      rsp_valid_o <= state_q == Answer;
      unique case (state_q)
        Idle: if (next_valid_i) state_q <= Start;
        Start: state_q <= Search;
        Search: if (step_q == '0) state_q <= Answer;
        Answer: state_q <= Idle;
        default: state_q <= Idle;
      endcase
    end
  end

  always_ff @(posedge clk_i) begin
    if (state_q == Idle) req_q <= next_i;
    if (state_q == Start) begin
      step_q <= StepW'(Digits - 1);
      for (int unsigned e = 0; e < Entries; e++) begin
        cand_q[e] <= entry_valid_i[e] && entry_owner_i[e] == req_q.owner && entry_granule_i[e] >= req_q.from;
      end
    end
    if (state_q == Search) begin
      step_q <= step_q - StepW'(1);
      for (int unsigned e = 0; e < Entries; e++) begin
        if (digit[e] != lowest) cand_q[e] <= 1'b0;
      end
      for (int unsigned d = 0; d < Digits; d++) begin
        if (step_q == StepW'(d)) found_q[d] <= lowest;
      end
    end
    if (state_q == Answer) begin
      rsp_o.found   <= cand_q != '0 && answer <= req_q.to;
      rsp_o.granule <= answer;
    end
  end

endmodule

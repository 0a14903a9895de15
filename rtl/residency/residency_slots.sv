// SPDX-License-Identifier: Apache-2.0
// Which slots are FREE and which of these carry a candidate, and the choice of a slot for a grant.
//
// Contract: set_valid_i changes one slot, seen from the next cycle on. The choice is a pipeline of two stages: with
// first_i and count_i in cycle t, cycle t+2 has the lowest free slot in [first_i, first_i + count_i) without a
// candidate (clean_o), else the lowest free one (any_o), provided first_i and count_i are held and nothing is set in t
// and t+1. Two levels of priority, of about sqrt(Slots) bits each, keep both stages short.

module residency_slots
  import kvsink_cfg_pkg::*;
  import kvsink_pkg::*;
(
    input logic clk_i,
    input logic rst_ni,

    input logic  set_valid_i,
    input slot_t set_slot_i,
    input logic  set_free_i,
    input logic  set_cand_i,

    input  slot_t  first_i,
    input  slots_t count_i,
    output logic   clean_o,
    output logic   any_o,
    output slot_t  slot_o
);

  localparam int unsigned SlotW = $clog2(Slots);
  localparam int unsigned GroupW = SlotW / 2;
  localparam int unsigned GroupSlots = 1 << GroupW;
  localparam int unsigned Groups = Slots / GroupSlots;
  localparam int unsigned IndexW = $clog2(Groups);

  if (Slots != (1 << SlotW) || SlotW < 2) begin : gen_bad_slots
    $error("residency_slots: Slots %0d is not a power of two of 4 or more", Slots);
  end

  logic [Slots-1:0] free_q, cand_q;
  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      free_q <= '1;
      cand_q <= '0;
    end else if (set_valid_i) begin
      free_q[set_slot_i] <= set_free_i;
      cand_q[set_slot_i] <= set_cand_i;
    end
  end

  logic [SlotW:0] region_end;
  assign region_end = (SlotW + 1)'(first_i) + (SlotW + 1)'(count_i);

  logic [Slots-1:0] ones, any, clean;
  assign ones  = '1;
  assign any   = free_q & (ones << first_i) & ~(ones << region_end);
  assign clean = any & ~cand_q;

  // stage 1: the group
  logic [Groups-1:0] any_groups, clean_groups;
  for (genvar g = 0; g < int'(Groups); g++) begin : gen_groups
    assign any_groups[g]   = |any[g*GroupSlots+:GroupSlots];
    assign clean_groups[g] = |clean[g*GroupSlots+:GroupSlots];
  end
  logic any_none, clean_none;
  logic [IndexW-1:0] any_group, clean_group;
  logic [Groups-1:0] any_onehot_unused, clean_onehot_unused;
  kv_first #(
      .Width(Groups)
  ) u_any (
      .bits_i  (any_groups),
      .none_o  (any_none),
      .index_o (any_group),
      .onehot_o(any_onehot_unused)
  );
  kv_first #(
      .Width(Groups)
  ) u_clean (
      .bits_i  (clean_groups),
      .none_o  (clean_none),
      .index_o (clean_group),
      .onehot_o(clean_onehot_unused)
  );

  logic any_q, clean_q;
  logic [IndexW-1:0] group_q;
  always_ff @(posedge clk_i) begin
    any_q   <= !any_none;
    clean_q <= !clean_none;
    group_q <= clean_none ? any_group : clean_group;
  end

  // stage 2: the slot in its group
  logic [GroupSlots-1:0] group_bits, group_onehot_unused;
  logic group_none_unused;
  logic [GroupW-1:0] group_slot;
  assign group_bits = clean_q ? clean[int'(group_q)*GroupSlots+:GroupSlots] : any[int'(group_q)*GroupSlots+:GroupSlots];
  kv_first #(
      .Width(GroupSlots)
  ) u_slot (
      .bits_i  (group_bits),
      .none_o  (group_none_unused),
      .index_o (group_slot),
      .onehot_o(group_onehot_unused)
  );

  logic any_q2, clean_q2;
  slot_t slot_q;
  always_ff @(posedge clk_i) begin
    any_q2   <= any_q;
    clean_q2 <= clean_q;
    slot_q   <= {group_q, group_slot};
  end

  assign any_o   = any_q2;
  assign clean_o = clean_q2;
  assign slot_o  = slot_q;

endmodule

// SPDX-License-Identifier: Apache-2.0
// The choice of a slot: what is chosen is FREE, in the region, carries no candidate when clean is said, and nothing is
// said to be free when nothing is; under any sequence of changes, when the region holds and nothing was set for the two
// cycles of the choice. So no slot is granted that a grant still holds.
//   Witness  0: the properties. Otherwise the negation of the interesting case of that number: each has to fail.

module formal_slots
  import kvsink_cfg_pkg::*;
  import kvsink_pkg::*;
#(
    parameter int unsigned Witness = 0
) (
    input logic   clk_i,
    input logic   rst_ni,
    input logic   set_valid_i,
    input slot_t  set_slot_i,
    input logic   set_free_i,
    input logic   set_cand_i,
    input slot_t  first_i,
    input slots_t count_i
);

  logic past = 1'b0;
  always_ff @(posedge clk_i) begin
    past <= 1'b1;
    assume (rst_ni == past);
    assume (32'(first_i) + 32'(count_i) <= Slots);
    assume (!set_cand_i || set_free_i);
  end

  logic clean, any;
  slot_t slot;
  residency_slots u_dut (
      .clk_i,
      .rst_ni,
      .set_valid_i,
      .set_slot_i,
      .set_free_i,
      .set_cand_i,
      .first_i,
      .count_i,
      .clean_o(clean),
      .any_o  (any),
      .slot_o (slot)
  );

  // Slots as they were set, and the region that has held.
  logic [Slots-1:0] free_q, cand_q, region;
  slot_t first_q;
  slots_t count_q;
  logic [1:0] still_q;  // cycles, up to two
  logic [Slots-1:0] inside_free, inside_clean;
  always_comb begin
    for (int unsigned i = 0; i < Slots; i++) region[i] = i >= 32'(first_q) && i < 32'(first_q) + 32'(count_q);
    inside_free  = region & free_q;
    inside_clean = inside_free & ~cand_q;
  end
  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      free_q  <= '1;
      cand_q  <= '0;
      still_q <= '0;
    end else begin
      if (set_valid_i) begin
        free_q[set_slot_i] <= set_free_i;
        cand_q[set_slot_i] <= set_cand_i;
      end
      still_q <= set_valid_i ? 2'd0 : (first_i != first_q || count_i != count_q) ? 2'd1 :
          (still_q == 2'd2) ? 2'd2 : still_q + 2'd1;
    end
  end
  always_ff @(posedge clk_i) begin
    first_q <= first_i;
    count_q <= count_i;
  end

  always_ff @(posedge clk_i) begin
    if (past && rst_ni && still_q == 2'd2) begin
      if (Witness == 0) begin
        any_is_told : assert (any == (inside_free != '0));
        clean_is_told : assert (clean == (inside_clean != '0));
        chosen_is_free : assert (!any || inside_free[slot]);
        chosen_is_clean : assert (!clean || inside_clean[slot]);
      end
      if (Witness == 1) candidate_is_chosen : assert (!(any && !clean && slot != '0));
      if (Witness == 2) none_is_free : assert (!(!any && count_q > slots_t'(2)));
    end
  end

endmodule

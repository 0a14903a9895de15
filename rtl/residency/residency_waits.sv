// SPDX-License-Identifier: Apache-2.0
// The wait_promotions commands that wait, and their completions.
//
// Contract: add_i puts a command in (room_o must be high). The end of an owner's last promotion (owner_zero_i), or of
// anyone's (all_zero_i), makes its waits ready with the status and count given beside it; owner_taken_o and all_taken_o
// say in the same cycle that there was one. A wait for one slot (add_one_i) is ready with the end of its promotion
// (end_i). Ready ones come out on valid_o, lowest place first.

module residency_waits
  import kvsink_cfg_pkg::*;
  import kvsink_pkg::*;
  import residency_pkg::*;
(
    input logic clk_i,
    input logic rst_ni,

    output logic          room_o,
    input  logic          add_i,
    input  logic          add_all_i,
    input  logic          add_one_i,
    input  slot_t         add_slot_i,
    input  owner_t        add_owner_i,
    input  logic   [15:0] add_tag_i,
    input  logic   [31:0] add_start_i,

    input logic    owner_zero_i,
    input owner_t  zero_owner_i,
    input status_e owner_status_i,
    input cnt_t    owner_count_i,
    input logic    end_i,
    input slot_t   end_slot_i,
    input status_e end_status_i,
    input logic    all_zero_i,
    input status_e all_status_i,
    input cnt_t    all_count_i,
    output logic   owner_taken_o,  // some wait took the owner's status: it starts over
    output logic   all_taken_o,

    output logic           valid_o,
    input  logic           take_i,
    output logic    [15:0] tag_o,
    output logic    [31:0] start_o,
    output status_e        status_o,
    output cnt_t           count_o
);

  typedef struct packed {
    logic        all;
    logic        one;
    slot_t       slot;
    owner_t      owner;
    logic [15:0] tag;
    logic [31:0] start;
    status_e     status;
    cnt_t        count;
  } wait_t;

  localparam int unsigned WaitW = $clog2(Waits);
  wait_t place_q[Waits];
  logic [Waits-1:0] used_q, ready_q;

  logic none_free, none_ready;
  logic [WaitW-1:0] free_place, ready_place;
  logic [Waits-1:0] free_onehot_unused, ready_onehot_unused;
  kv_first #(
      .Width(Waits)
  ) u_free (
      .bits_i  (~used_q),
      .none_o  (none_free),
      .index_o (free_place),
      .onehot_o(free_onehot_unused)
  );
  kv_first #(
      .Width(Waits)
  ) u_ready (
      .bits_i  (ready_q),
      .none_o  (none_ready),
      .index_o (ready_place),
      .onehot_o(ready_onehot_unused)
  );

  logic [Waits-1:0] owner_hit, all_hit, one_hit;
  always_comb begin
    for (int unsigned i = 0; i < Waits; i++) begin
      owner_hit[i] = used_q[i] && !ready_q[i] && !place_q[i].all && !place_q[i].one && owner_zero_i &&
          place_q[i].owner == zero_owner_i;
      one_hit[i] = used_q[i] && !ready_q[i] && place_q[i].one && end_i && place_q[i].slot == end_slot_i;
      all_hit[i] = used_q[i] && !ready_q[i] && place_q[i].all && all_zero_i;
    end
  end
  assign owner_taken_o = owner_hit != '0;
  assign all_taken_o   = all_hit != '0;

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      used_q  <= '0;
      ready_q <= '0;
    end else begin
      if (add_i) used_q[free_place] <= 1'b1;
      ready_q <= ready_q | owner_hit | all_hit | one_hit;
      if (take_i) begin
        used_q[ready_place]  <= 1'b0;
        ready_q[ready_place] <= 1'b0;
      end
    end
  end

  always_ff @(posedge clk_i) begin
    for (int unsigned i = 0; i < Waits; i++) begin
      if (add_i && free_place == WaitW'(i)) begin
        place_q[i].all   <= add_all_i;
        place_q[i].one   <= add_one_i;
        place_q[i].slot  <= add_slot_i;
        place_q[i].owner <= add_owner_i;
        place_q[i].tag   <= add_tag_i;
        place_q[i].start <= add_start_i;
      end
      if (owner_hit[i]) begin
        place_q[i].status <= owner_status_i;
        place_q[i].count  <= owner_count_i;
      end
      if (one_hit[i]) begin
        place_q[i].status <= end_status_i;
        place_q[i].count  <= cnt_t'(end_slot_i);
      end
      if (all_hit[i]) begin
        place_q[i].status <= all_status_i;
        place_q[i].count  <= all_count_i;
      end
    end
  end

  assign room_o = !none_free;
  assign valid_o = !none_ready;
  assign tag_o = place_q[ready_place].tag;
  assign start_o = place_q[ready_place].start;
  assign status_o = place_q[ready_place].status;
  assign count_o = place_q[ready_place].count;

endmodule

// SPDX-License-Identifier: Apache-2.0
// Ends of promotions: how many of an owner, and of all, have ended since they were last waited for, and how badly; who
// waits for them.
//
// Contract: act_i.fill_end: one promotion of the owner in orow_i (owner_i) ends with act_i.fill_end_status; act_i.wait_now:
// a wait is answered at once, which starts the count anew, as the answer of residency_waits does. orow_wdata_o is what
// the loop writes to an owner, with the end in it.
// Latency: none to orow_wdata_o, a cycle to the totals; the waits' answers: residency_waits.

module residency_ends
  import kvsink_cfg_pkg::*;
  import kvsink_pkg::*;
  import residency_pkg::*;
(
    input logic clk_i,
    input logic rst_ni,

    input ctl_act_t act_i,
    input cmd_t cmd_i,
    input logic [31:0] start_i,
    input slot_t slot_i,
    input owner_t owner_i,
    input orow_t orow_i,
    input cnt_t fills_i,
    output orow_t orow_wdata_o,

    output logic waits_room_o,
    output status_e all_worst_o,
    output cnt_t all_ended_o,
    output logic wait_valid_o,
    input logic wait_take_i,
    output logic [15:0] wait_tag_o,
    output logic [31:0] wait_start_o,
    output status_e wait_status_o,
    output cnt_t wait_count_o
);

  logic owner_taken, all_taken, owner_zero, all_zero;
  status_e owner_worst, all_worst, all_worst_q, all_worst_d;
  cnt_t owner_ended, all_ended, all_ended_q, all_ended_d;
  assign all_worst_o = all_worst_q;
  assign all_ended_o = all_ended_q;
  function automatic cnt_t one_more(input cnt_t c);
    return (c == '1) ? c : c + cnt_t'(1);
  endfunction
  assign owner_worst = worse(orow_i.worst, act_i.fill_end_status);
  assign owner_ended = one_more(orow_i.ended);
  assign all_worst = worse(all_worst_q, act_i.fill_end_status);
  assign all_ended = one_more(all_ended_q);
  assign owner_zero = act_i.fill_end && orow_i.pending == slots_t'(1);
  assign all_zero = act_i.fill_end && fills_i == cnt_t'(1);
  residency_waits u_waits (
      .clk_i,
      .rst_ni,
      .room_o        (waits_room_o),
      .add_i         (act_i.wait_add),
      .add_all_i     (cmd_i.flags[0]),
      .add_one_i     (cmd_i.flags[1]),
      .add_slot_i    (slot_i),
      .add_owner_i   (owner_t'(cmd_i.owner)),
      .add_tag_i     (cmd_i.tag),
      .add_start_i   (start_i),
      .owner_zero_i  (owner_zero),
      .zero_owner_i  (owner_i),
      .owner_status_i(owner_worst),
      .owner_count_i (owner_ended),
      .end_i         (act_i.fill_end),
      .end_slot_i    (slot_i),
      .end_status_i  (act_i.fill_end_status),
      .all_zero_i    (all_zero),
      .all_status_i  (all_worst),
      .all_count_i   (all_ended),
      .owner_taken_o (owner_taken),
      .all_taken_o   (all_taken),
      .valid_o       (wait_valid_o),
      .take_i        (wait_take_i),
      .tag_o         (wait_tag_o),
      .start_o       (wait_start_o),
      .status_o      (wait_status_o),
      .count_o       (wait_count_o)
  );
  always_comb begin
    orow_wdata_o = act_i.orow_loop;
    if (act_i.fill_end) begin
      orow_wdata_o = orow_i;
      orow_wdata_o.pending = orow_i.pending - slots_t'(1);
      orow_wdata_o.worst = owner_taken ? StOk : owner_worst;
      orow_wdata_o.ended = owner_taken ? '0 : owner_ended;
    end
  end
  always_comb begin
    all_worst_d = all_worst_q;
    all_ended_d = all_ended_q;
    if (act_i.fill_end) begin
      all_worst_d = all_taken ? StOk : all_worst;
      all_ended_d = all_taken ? '0 : all_ended;
    end else if (act_i.wait_now && cmd_i.flags[0]) begin
      all_worst_d = StOk;
      all_ended_d = '0;
    end
  end
  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      all_worst_q <= StOk;
      all_ended_q <= '0;
    end else begin
      all_worst_q <= all_worst_d;
      all_ended_q <= all_ended_d;
    end
  end

endmodule

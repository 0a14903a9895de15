// SPDX-License-Identifier: Apache-2.0
// Decides what is resident: owns slots, entries, profiles, contracts, budgets and windows, and executes all commands.
//
// Contract: docs/theory/residency.md, rule by rule. One serial loop takes one event at a time (a command, an answer, a
// step of background work), so that the order in which events are taken explains every decision, status and record;
// the internal signal `trace` shows that order to benches, and `room_trace` what room in the log a decision saw.
//
//   cmd --------+                     +--> tag_cmd (one at a time, answered)
//   dma end ----+                     |--> slot table (memory), owners (memory), free and candidate bitmaps
//   progress ---+--> arbiter -> loop -+--> fill queue -> walker -> descriptor -> DMA
//   walker -----+      ^              |--> records -> log -> LEAVING slots -> FREE
//   scores -----+      |              '--> done
//   plans ------+      |
//   sweep, fill queue, slots that wait to be freed
//
// Latency: `promote` 7 or 8 cycles from acceptance to done_valid_o (the tag array answers in 2, done stream idle), also
// while a sweep runs; other commands without a sweep 3 to 9, set_profile up to about 90. A command waits for acceptance
// while another event is worked on, at most about 12 cycles, save a sweep command while a sweep runs. A sweep visits a
// row a cycle; a row that it acts on costs 4 to 6 cycles, one whose score it reads about 7 and the scorer's latency.
// After a command another event has its turn, so that neither starves.

`include "kvsink_assert.svh"

module residency_ctrl
  import kvsink_cfg_pkg::*;
  import kvsink_pkg::*;
  import residency_pkg::*;
(
    input logic clk_i,
    input logic rst_ni,

    input cycle_t      now_i,
    input ctl_cfg_t    cfg_i,
    input layout_cfg_t layout_i,

    input  logic  cmd_valid_i,
    output logic  cmd_ready_o,
    input  cmd_t  cmd_i,
    output logic  done_valid_o,
    input  logic  done_ready_i,
    output done_t done_o,

    output logic       own_wr_valid_o,
    output owner_t     own_wr_owner_o,
    output owner_ctx_t own_wr_ctx_o,
    output owner_t     own_rd_owner_o,
    input  owner_ctx_t own_rd_ctx_i,    // of own_rd_owner_o one cycle before

    output profile_cfg_t [Profiles-1:0] profiles_o,

    output logic      walk_req_valid_o,
    input  logic      walk_req_ready_i,
    output walk_req_t walk_req_o,
    input  logic      walk_rsp_valid_i,
    output logic      walk_rsp_ready_o,
    input  walk_rsp_t walk_rsp_i,

    output logic     tag_cmd_valid_o,
    input  logic     tag_cmd_ready_i,
    output tag_cmd_t tag_cmd_o,
    input  logic     tag_ack_valid_i,
    input  tag_ack_t tag_ack_i,
    input  entries_t tag_free_entries_i,
    input  logic     tag_sweep_busy_i,

    output retire_t retire_o,
    output logic    keep_end_valid_o,
    output owner_t  keep_end_owner_o,
    output logic    keep_end_all_o,
    output logic    fence_o,
    input  logic    fence_busy_i,

    output logic          desc_valid_o,
    input  logic          desc_ready_i,
    output dma_desc_t     desc_o,
    output logic          abort_valid_o,
    input  logic          abort_ready_i,
    output slot_t         abort_slot_o,
    input  logic          progress_valid_i,
    output logic          progress_ready_o,
    input  dma_progress_t progress_i,
    input  logic          end_valid_i,
    output logic          end_ready_o,
    input  dma_end_t      end_i,

    input  logic       batch_valid_i,
    input  owner_t     batch_owner_i,
    output logic       sc_valid_o,
    input  logic       sc_ready_i,
    output score_cmd_t sc_o,
    input  logic       rsp_valid_i,
    output logic       rsp_ready_o,
    input  score_rsp_t rsp_i,
    output logic       score_flush_o,
    output owner_t     score_flush_owner_o,

    output logic                              ev_valid_o,
    input  logic                              ev_ready_i,
    output log_event_t                        ev_o,
    input  logic       [$clog2(LogRecords):0] log_room_i,

    input list_info_t [Readers-1:0] list_info_i,
    input logic       [       31:0] list_serial_i,

    output ctrl_count_t count_o
);

  if (4 * Owners > Slots) begin : gen_bad_owners
    $error("residency_ctrl: Slots %0d is below 4 * Owners (%0d): the record queue could overflow", Slots, Owners);
  end

  // ------------------------------------------------------------------------------------------------------- registers
  // s_*, with a reset, and w_*, without: as they are (_q), as they will be if nothing is decided (_base), as they will be
  // by each unit of the loop, and of that one that is at work (_d). act: what is done in this cycle, in the same way.
  ctl_state_t s_q, s_d, s_base;
  ctl_work_t w_q, w_d, w_base;
  ctl_act_t act, act_base;
  product_t product_q;
  logic [Classes-1:0] chosen;  // whose turn it is
  trace_t trace;
  room_trace_t room_trace;

  // -------------------------------------------------------------------------------------------------------- memories
  row_t row_rdata;
  kv_ram_1r1w #(
      .Words(Slots),
      .Width($bits(row_t))
  ) u_rows (
      .clk_i,
      .re_i   (act.row_re),
      .raddr_i(act.row_raddr),
      .rdata_o(row_rdata),
      .we_i   (act.row_we),
      .waddr_i(act.row_waddr),
      .wdata_i(act.row_wdata)
  );

  orow_t orow_wdata, orow_rdata;
  kv_ram_1r1w #(
      .Words(Owners),
      .Width($bits(orow_t))
  ) u_owners (
      .clk_i,
      .re_i   (act.orow_re),
      .raddr_i(act.orow_raddr),
      .rdata_o(orow_rdata),
      .we_i   (act.orow_we),
      .waddr_i(act.orow_waddr),
      .wdata_i(orow_wdata)
  );

  // -------------------------------------------------------------------------------------------------- slots, profiles
  logic pick_clean, pick_any;
  slot_t pick_slot;
  profile_cfg_t [Profiles-1:0] profiles;
  logic [Profiles-1:0][2:0] share;
  profile_cfg_t pf;  // profile of the grant
  assign pf = profiles[w_q.g.profile];

  residency_slots u_slots (
      .clk_i,
      .rst_ni,
      .set_valid_i(act.map_set),
      .set_slot_i (act.map_slot),
      .set_free_i (act.map_free),
      .set_cand_i (act.map_cand),
      .first_i    (pf.slot_first),
      .count_i    (pf.slot_count),
      .clean_o    (pick_clean),
      .any_o      (pick_any),
      .slot_o     (pick_slot)
  );

  logic profile_done, profile_in_use;
  status_e  profile_status;
  profile_t cmd_profile;
  assign cmd_profile = profile_t'(w_q.cmd.profile);
  assign profile_in_use = s_q.p_used[cmd_profile] != '0 || s_q.p_minimum[cmd_profile] != '0;
  residency_profiles u_profiles (
      .clk_i,
      .rst_ni,
      .layout_i,
      .start_i   (s_q.st == StProfile),
      .cmd_i     (w_q.cmd),
      .in_use_i  (profile_in_use),
      .done_o    (profile_done),
      .status_o  (profile_status),
      .profiles_o(profiles),
      .share_o   (share)
  );
  assign profiles_o = profiles;

  // ----------------------------------------------------------------------------------------------------------- plans
  owner_t ask_owner, pl_owner;
  plan_view_t pv;  // plan of ask_owner
  status_e pl_status, pl_bad_reason;
  logic [31:0] pl_value0, pl_bad_item, pl_start;
  logic [63:0] pl_value1;
  logic [15:0] pl_tag;
  logic pl_check, pl_has, pl_want, pl_is_verdict, pl_fits, pl_same;
  plan_t pl_which;
  cnt_t pl_slots, pl_entries;
  grant_t pl_grant;
  residency_plans u_plans (
      .clk_i,
      .rst_ni,
      .now_i,
      .floor_i           (cfg_i.promo_floor),
      .cmd_i             (w_q.cmd),
      .start_i           (w_q.start),
      .limits_i          (w_q.lim),
      .act_i             (act.pl_act),
      .drop_i            (act.pl_drop),
      .status_o          (pl_status),
      .value0_o          (pl_value0),
      .value1_o          (pl_value1),
      .check_o           (pl_check),
      .has_o             (pl_has),
      .ask_owner_i       (ask_owner),
      .view_o            (pv),
      .step_i            (act.pl_step),
      .want_o            (pl_want),
      .is_verdict_o      (pl_is_verdict),
      .which_o           (pl_which),
      .owner_o           (pl_owner),
      .take_i            (chosen[EcPlan]),
      .which_i           (w_q.verdict),
      .tried_plan_i      (w_q.g.plan),
      .fits_o            (pl_fits),
      .bad_item_o        (pl_bad_item),
      .bad_reason_o      (pl_bad_reason),
      .slots_o           (pl_slots),
      .entries_o         (pl_entries),
      .same_o            (pl_same),
      .tag_o             (pl_tag),
      .start_o           (pl_start),
      .accept_i          (act.pl_accept),
      .held_i            (cnt_t'(w_q.own.used_plan)),
      .again_i           (act.pl_again),
      .free_i            (act.pl_free),
      .grant_o           (pl_grant),
      .tried_i           (act.pl_tried),
      .tried_over_i      (act.pl_over),
      .missed_i          (act.pl_missed),
      .promoted_i        (act.pl_promoted),
      .evicted_i         (act.pl_evicted),
      .denied_promotion_i(act.pl_denied_promotion),
      .denied_eviction_i (act.pl_denied_eviction)
  );
  always_comb begin
    unique case (s_q.st)
      StG2, StG4, StGFinish: ask_owner = w_q.g.effective;
      StScore3, StFreeOwner: ask_owner = w_q.row.owner;
      StPlan2, StPlan3, StOwner4: ask_owner = owner_t'(w_q.cmd.owner);
      default: ask_owner = w_q.sw.owner;
    endcase
  end

  // ------------------------------------------------------------------------------------- queues, completions, waits
  logic fill_valid, walks_room, walks_valid, free_valid, abort_room, aborting, done_full, cmd_take, none_want;
  logic batch_here, batch_wanted, sweep_yields;
  slot_t fill_head, walks_head, free_head;
  logic [$clog2(RecordDepth+1)-1:0] rec_count;
  logic [ClassW-1:0] chosen_class;
  residency_queues u_queues (
      .clk_i,
      .rst_ni,
      .act_i        (act),
      .slot_i       (w_q.slot),
      .fill_valid_o (fill_valid),
      .fill_pop_i   (chosen[EcFill]),
      .fill_head_o  (fill_head),
      .walks_room_o (walks_room),
      .walks_valid_o(walks_valid),
      .walks_pop_i  (chosen[EcWalk]),
      .walks_head_o (walks_head),
      .rec_count_o  (rec_count),
      .ev_valid_o,
      .ev_ready_i,
      .ev_o,
      .free_valid_o (free_valid),
      .free_pop_i   (chosen[EcFree]),
      .free_head_o  (free_head),
      .desc_valid_i (s_q.desc_valid),
      .desc_slot_i  (w_q.desc.slot),
      .abort_room_o (abort_room),
      .aborting_o   (aborting),
      .abort_valid_o,
      .abort_ready_i,
      .abort_slot_o
  );

  residency_done u_done (
      .clk_i,
      .rst_ni,
      .now_i     (now_i[31:0]),
      .cmd_take_i(cmd_take),
      .full_o    (done_full),
      .act_i     (act),
      .done_valid_o,
      .done_ready_i,
      .done_o
  );

  logic waits_room, wait_valid;
  status_e wait_status, all_worst;
  cnt_t wait_count, all_ended;
  logic [15:0] wait_tag;
  logic [31:0] wait_start;
  residency_ends u_ends (
      .clk_i,
      .rst_ni,
      .act_i        (act),
      .cmd_i        (w_q.cmd),
      .start_i      (w_q.start),
      .slot_i       (w_q.slot),
      .owner_i      (w_q.row.owner),
      .orow_i       (orow_rdata),
      .fills_i      (s_q.fills),
      .orow_wdata_o (orow_wdata),
      .waits_room_o (waits_room),
      .all_worst_o  (all_worst),
      .all_ended_o  (all_ended),
      .wait_valid_o (wait_valid),
      .wait_take_i  (chosen[EcWait]),
      .wait_tag_o   (wait_tag),
      .wait_start_o (wait_start),
      .wait_status_o(wait_status),
      .wait_count_o (wait_count)
  );

  residency_turns u_turns (
      .s_i           (s_q),
      .w_i           (w_q),
      .dynamic_i     (cfg_i.dynamic),
      .cmd_valid_i,
      .opcode_i      (cmd_i.opcode),
      .full_i        (done_full),
      .cmd_ready_o,
      .cmd_take_o    (cmd_take),
      .end_valid_i,
      .progress_valid_i,
      .walk_rsp_valid_i,
      .walks_valid_i (walks_valid),
      .rsp_valid_i,
      .wait_valid_i  (wait_valid),
      .fill_valid_i  (fill_valid),
      .walks_room_i  (walks_room),
      .free_valid_i  (free_valid),
      .pl_want_i     (pl_want),
      .batch_valid_i,
      .batch_owner_i,
      .tag_sweep_busy_i,
      .fence_busy_i,
      .abort_room_i  (abort_room),
      .batch_here_o  (batch_here),
      .batch_wanted_o(batch_wanted),
      .none_want_o   (none_want),
      .chosen_o      (chosen),
      .chosen_class_o(chosen_class),
      .sweep_yields_o(sweep_yields)
  );
  assign end_ready_o = chosen[EcEnd];
  assign progress_ready_o = chosen[EcProgress];
  assign walk_rsp_ready_o = chosen[EcWalk];
  assign rsp_ready_o = chosen[EcScore];

  // ------------------------------------------------------------------------------------------------- room in the log
  function automatic logic room_for(input logic [31:0] room, input logic [31:0] queued, input logic [31:0] fills,
                                    input logic [31:0] records);
    return room >= queued + fills + 32'(LogMargin) + records;
  endfunction
  logic room_grant, room_leave, room_owner;
  assign room_grant = room_for(32'(log_room_i), 32'(rec_count), 32'(s_q.fills), 32'd2);
  assign room_leave = room_for(32'(log_room_i), 32'(rec_count), 32'(s_q.fills), 32'd1);
  assign room_owner = room_grant && 32'(rec_count) <= 32'(Slots / 2);

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) room_trace <= '0;
    else begin
      unique case (s_q.st)
        StG3: room_trace <= '{valid: 1'b1, room: room_grant};
        StOwner3: room_trace <= '{valid: 1'b1, room: room_owner};
        StCmd: room_trace <= '{valid: w_q.cmd.opcode == OpOpen, room: room_owner};
        StScore3: room_trace <= '{valid: w_q.row.state == SlResident, room: room_leave};
        StPlan2, StVerdict2, StPick: room_trace <= '{valid: 1'b1, room: room_leave};
        default: room_trace <= '0;
      endcase
    end
  end

  // ------------------------------------------------------------------------------------------------------------ loop
  // Without a decision: registers hold, pulses end, what was taken is taken.
  always_comb begin
    s_base = s_q;
    w_base = w_q;
    act_base = '0;
    w_base.batch_wait = (w_q.batch_wait == 11'(BatchWait)) ? w_q.batch_wait : w_q.batch_wait + 11'd1;
    s_base.tag_valid = s_q.tag_valid && !tag_cmd_ready_i;
    s_base.retire.valid = 1'b0;
    s_base.keep = 1'b0;
    s_base.fence = 1'b0;
    s_base.flush = 1'b0;
    s_base.desc_valid = s_q.desc_valid && !desc_ready_i;
    s_base.walk_valid = s_q.walk_valid && !walk_req_ready_i;
    s_base.sc_valid = s_q.sc_valid && !sc_ready_i;
    s_base.own_wr = 1'b0;
    s_base.count = '0;
    s_base.count.slots_used = slots_t'(s_q.used);
    s_base.count.filling = slots_t'(s_q.fills);
    s_base.count.records = ($bits(s_base.count.records))'(rec_count);

    act_base.row_raddr = w_q.slot;
    act_base.row_waddr = w_q.slot;
    act_base.row_wdata = w_q.row;
    act_base.orow_raddr = owner_t'(w_q.cmd.owner);
    act_base.orow_waddr = owner_t'(w_q.cmd.owner);
    act_base.orow_loop = w_q.own;
    act_base.map_slot = w_q.slot;
    act_base.done_tag = w_q.cmd.tag;
    act_base.done_opcode = w_q.cmd.opcode;
    act_base.done_start = w_q.start;
  end

  ctl_state_t s_events;
  ctl_work_t  w_events;
  ctl_act_t   act_events;
  residency_events u_events (
      .s_i(s_q),
      .w_i(w_q),
      .now_i,
      .cfg_i,
      .cmd_take_i(cmd_take),
      .none_want_i(none_want),
      .chosen_class_i(chosen_class),
      .walks_head_i(walks_head),
      .fill_head_i(fill_head),
      .free_head_i(free_head),
      .wait_status_i(wait_status),
      .wait_count_i(wait_count),
      .wait_tag_i(wait_tag),
      .wait_start_i(wait_start),
      .pl_which_i(pl_which),
      .pl_owner_i(pl_owner),
      .pl_is_verdict_i(pl_is_verdict),
      .pl_grant_i(pl_grant),
      .batch_here_i(batch_here),
      .batch_wanted_i(batch_wanted),
      .cmd_i,
      .end_i,
      .progress_i,
      .walk_rsp_i,
      .rsp_i,
      .s_next_i(s_base),
      .w_next_i(w_base),
      .act_i(act_base),
      .s_o(s_events),
      .w_o(w_events),
      .act_o(act_events)
  );

  ctl_state_t s_commands;
  ctl_work_t  w_commands;
  ctl_act_t   act_commands;
  residency_commands u_commands (
      .s_i(s_q),
      .w_i(w_q),
      .row_i(row_rdata),
      .orow_i(orow_rdata),
      .profiles_i(profiles),
      .share_i(share),
      .plan_i(pv),
      .pl_status_i(pl_status),
      .pl_value0_i(pl_value0),
      .pl_value1_i(pl_value1),
      .pl_check_i(pl_check),
      .pl_fits_i(pl_fits),
      .pl_bad_item_i(pl_bad_item),
      .pl_bad_reason_i(pl_bad_reason),
      .pl_slots_i(pl_slots),
      .pl_entries_i(pl_entries),
      .pl_same_i(pl_same),
      .pl_tag_i(pl_tag),
      .pl_start_i(pl_start),
      .room_owner_i(room_owner),
      .waits_room_i(waits_room),
      .profile_done_i(profile_done),
      .profile_status_i(profile_status),
      .cfg_i,
      .own_rd_ctx_i,
      .tag_ack_valid_i,
      .tag_ack_i,
      .tag_free_entries_i,
      .all_worst_i(all_worst),
      .all_ended_i(all_ended),
      .s_next_i(s_base),
      .w_next_i(w_base),
      .act_i(act_base),
      .s_o(s_commands),
      .w_o(w_commands),
      .act_o(act_commands)
  );

  ctl_state_t s_owners;
  ctl_work_t  w_owners;
  ctl_act_t   act_owners;
  residency_owners u_set_owner (
      .s_i(s_q),
      .w_i(w_q),
      .orow_i(orow_rdata),
      .profiles_i(profiles),
      .plan_i(pv),
      .pl_has_i(pl_has),
      .room_owner_i(room_owner),
      .cfg_i,
      .layout_i,
      .tag_free_entries_i,
      .s_next_i(s_base),
      .w_next_i(w_base),
      .act_i(act_base),
      .s_o(s_owners),
      .w_o(w_owners),
      .act_o(act_owners)
  );

  ctl_state_t s_grants;
  ctl_work_t  w_grants;
  ctl_act_t   act_grants;
  residency_grants u_grants (
      .s_i(s_q),
      .w_i(w_q),
      .row_i(row_rdata),
      .orow_i(orow_rdata),
      .profiles_i(profiles),
      .share_i(share),
      .profile_i(pf),
      .pick_any_i(pick_any),
      .pick_slot_i(pick_slot),
      .plan_i(pv),
      .room_grant_i(room_grant),
      .room_owner_i(room_owner),
      .cfg_i,
      .tag_ack_valid_i,
      .tag_ack_i,
      .tag_free_entries_i,
      .s_next_i(s_base),
      .w_next_i(w_base),
      .act_i(act_base),
      .s_o(s_grants),
      .w_o(w_grants),
      .act_o(act_grants)
  );

  ctl_state_t s_moves;
  ctl_work_t  w_moves;
  ctl_act_t   act_moves;
  residency_moves u_moves (
      .s_i(s_q),
      .w_i(w_q),
      .row_i(row_rdata),
      .orow_i(orow_rdata),
      .profiles_i(profiles),
      .plan_i(pv),
      .aborting_i(aborting),
      .product_i(product_q),
      .now_i,
      .tag_ack_valid_i,
      .tag_ack_i,
      .list_info_i,
      .list_serial_i,
      .s_next_i(s_base),
      .w_next_i(w_base),
      .act_i(act_base),
      .s_o(s_moves),
      .w_o(w_moves),
      .act_o(act_moves)
  );

  ctl_state_t s_sweeps;
  ctl_work_t  w_sweeps;
  ctl_act_t   act_sweeps;
  residency_sweeps u_sweeps (
      .s_i(s_q),
      .w_i(w_q),
      .row_i(row_rdata),
      .orow_i(orow_rdata),
      .profiles_i(profiles),
      .profile_i(pf),
      .pick_clean_i(pick_clean),
      .pick_slot_i(pick_slot),
      .plan_i(pv),
      .room_leave_i(room_leave),
      .product_i(product_q),
      .sweep_yields_i(sweep_yields),
      .cfg_i,
      .s_next_i(s_base),
      .w_next_i(w_base),
      .act_i(act_base),
      .s_o(s_sweeps),
      .w_o(w_sweeps),
      .act_o(act_sweeps)
  );

  always_comb begin
    s_d = s_base;
    w_d = w_base;
    act = act_base;
    unique case (s_q.st)
      // Memories have no contents after power-up: every row becomes FREE, every owner invalid.
      StInit: begin
        s_d.init = s_q.init + InitW'(1);
        act.row_we = 32'(s_q.init) < 32'(Slots);
        act.row_waddr = slot_t'(s_q.init);
        act.row_wdata = '0;
        act.orow_we = 32'(s_q.init) < 32'(Owners);
        act.orow_waddr = owner_t'(s_q.init);
        act.orow_loop = '0;
        s_d.own_wr = act.orow_we;
        w_d.own_wr_owner = owner_t'(s_q.init);
        w_d.own_wr_ctx = '0;
        if (s_q.init == InitW'(InitLast)) s_d.st = StIdle;
      end
      StIdle: begin
        s_d = s_events;
        w_d = w_events;
        act = act_events;
      end
      StCmd, StWait2, StWait3, StWait4, StPlan2, StPlan3, StVerdict1, StVerdict2, StVerdict3, StProfile, StLength2,
      StStep2: begin
        s_d = s_commands;
        w_d = w_commands;
        act = act_commands;
      end
      StOwner2, StOwner3, StOwner4, StOwner5, StOwner6, StOwner7, StOwner8: begin
        s_d = s_owners;
        w_d = w_owners;
        act = act_owners;
      end
      StG1, StG2, StG3, StGFinish, StG4, StGAlready: begin
        s_d = s_grants;
        w_d = w_grants;
        act = act_grants;
      end
      StEnd, StEndAck, StProg, StProgAck, StWalk, StWalkAck, StFill, StLeave, StLeaveAck, StFreeRow, StFreeOwner: begin
        s_d = s_moves;
        w_d = w_moves;
        act = act_moves;
      end
      StRow, StScore1, StScore2, StScore3, StTopCount, StTopAsked, StCand1, StCand2, StCand3, StCand4, StCandRow,
      StCandDrop, StPick: begin
        s_d = s_sweeps;
        w_d = w_sweeps;
        act = act_sweeps;
      end
      default: s_d.st = StIdle;
    endcase

    // ---- ends shared by several units
    s_d.count.plan_denied_promotion = act.pl_denied_promotion;
    s_d.count.plan_denied_eviction  = act.pl_denied_eviction;

    if (act.sweep_start) begin
      s_d.sweeping = 1'b1;
      // The mark of a row that was visited changes only with a sweep that visits all rows.
      if (!w_d.sw.prefill) s_d.epoch = !s_q.epoch;
      w_d.sw.owner = owner_t'(w_q.cmd.owner);
      w_d.sw.opcode = w_q.cmd.opcode;
      w_d.sw.tag = w_q.cmd.tag;
      w_d.sw.start = w_q.start;
      s_d.st = StIdle;
    end
    if (act.cmd_done) begin
      act.done_push = 1'b1;
      s_d.st = StIdle;
    end
  end

  // All of them are 0 after reset: StInit, StOk, nothing valid, nothing counted.
  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      s_q   <= '0;
      trace <= '0;
    end else begin
      s_q   <= s_d;
      trace <= act.trace;
    end
  end

  always_ff @(posedge clk_i) begin
    w_q <= w_d;
    product_q <= MulPW'(w_q.mul_a) * MulPW'(w_q.mul_b);
  end

  assign own_wr_valid_o = s_q.own_wr;
  assign own_wr_owner_o = w_q.own_wr_owner;
  assign own_wr_ctx_o = w_q.own_wr_ctx;
  assign own_rd_owner_o = w_q.own_rd_owner;
  assign walk_req_valid_o = s_q.walk_valid;
  assign walk_req_o = w_q.walk_req;
  assign tag_cmd_valid_o = s_q.tag_valid;
  assign tag_cmd_o = w_q.tag;
  assign retire_o = s_q.retire;
  assign keep_end_valid_o = s_q.keep;
  assign keep_end_owner_o = w_q.pulse_owner;
  assign keep_end_all_o = s_q.retire.valid && s_q.retire.all;  // step_end is of one owner
  assign fence_o = s_q.fence;
  assign desc_valid_o = s_q.desc_valid;
  assign desc_o = w_q.desc;
  assign sc_valid_o = s_q.sc_valid;
  assign sc_o = w_q.sc;
  assign score_flush_o = s_q.flush;
  assign score_flush_owner_o = w_q.pulse_owner;
  assign count_o = s_q.count;

  // ------------------------------------------------------------------------------------------------------ assertions
  `KVS_STREAM(cmd_stream, cmd_valid_i, cmd_ready_o, cmd_i)
  `KVS_STREAM(walk_stream, walk_req_valid_o, walk_req_ready_i, walk_req_o)
  `KVS_STREAM(tag_stream, tag_cmd_valid_o, tag_cmd_ready_i, tag_cmd_o)
  `KVS_STREAM(desc_stream, desc_valid_o, desc_ready_i, desc_o)
  `KVS_STREAM(score_stream, sc_valid_o, sc_ready_i, sc_o)
  `KVS_ASSERT(grant_takes_a_free_row, !s_q.count.granted || s_q.used <= cnt_t'(Slots))
  for (genvar p = 0; p < int'(Profiles); p++) begin : gen_reserve
    `KVS_ASSERT(reserve_is_kept, s_q.p_reserve[p] <= s_q.p_minimum[p])
  end

endmodule

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

  localparam int unsigned InitLast = ((Slots > Owners) ? Slots : Owners) - 1;
  localparam int unsigned InitW = $clog2(InitLast + 1);
  localparam int unsigned RecordDepth = 4 * Slots;  // three of a slot's life, and those of owners and windows
  localparam int unsigned AbortDepth = 8;
  localparam int unsigned SweepBurst = 16;  // rows before work that is not urgent has a turn
  localparam serial_t SerialHalf = serial_t'(1) << 31;
  localparam slot_t SlotLast = slot_t'(Slots - 1);

  if (4 * Owners > Slots) begin : gen_bad_owners
    $error("residency_ctrl: Slots %0d is below 4 * Owners (%0d): the record queue could overflow", Slots, Owners);
  end

  typedef enum logic [5:0] {
    StInit,
    StIdle,
    StCmd,
    StG1,
    StG2,
    StG3,
    StG4,
    StGAlready,
    StGFinish,    // grant
    StEnd,
    StEndAck,
    StProg,
    StProgAck,    // DMA
    StWalk,
    StWalkAck,
    StFill,       // translation
    StFreeRow,
    StFreeOwner,
    StLeave,
    StLeaveAck,
    StRow,
    StScore1,
    StScore2,
    StScore3,     // sweep
    StTopCount,
    StTopAsked,
    StCand1,
    StCand2,
    StCand3,
    StCand4,
    StCandRow,
    StCandDrop,
    StPick,
    StOwner2,
    StOwner3,
    StOwner4,
    StOwner5,
    StOwner6,
    StOwner7,
    StOwner8,
    StStep2,
    StLength2,
    StProfile,
    StPlan2,
    StPlan3,      // plan
    StVerdict1,
    StVerdict2,
    StVerdict3,
    StWait2,
    StWait3,
    StWait4       // wait for a token
  } state_e;

  typedef enum logic [3:0] {
    EcEnd,
    EcProgress,
    EcWalk,
    EcScore,
    EcSweep,
    EcWait,
    EcFill,
    EcFree,
    EcPlan
  } class_e;
  localparam int unsigned Classes = 9;
  localparam int unsigned ClassW = $clog2(Classes);

  // ------------------------------------------------------------------------------------------------------- registers
  state_e st_q, st_d;
  logic [InitW-1:0] init_q, init_d;
  cmd_t cmd_q, cmd_d;
  logic [31:0] start_q, start_d;
  logic cmd_turn_q, cmd_turn_d;
  logic [ClassW-1:0] turn_q, turn_d;  // class that is first in turn
  slot_t slot_q, slot_d;
  row_t row_q, row_d;
  orow_t own_q, own_d, named_q, named_d;  // named_q: of the named owner, or of a prefix owner
  grant_t g_q, g_d;
  status_e shortage_q, shortage_d;  // why the grant is refused if the token is not there
  logic guaranteed_q, guaranteed_d;
  plan_view_t gv_q, gv_d;  // plan of the grant's effective owner
  cnt_t gv_share_q, gv_share_d;  // what it still reserves
  plan_limits_t lim_q, lim_d;
  plan_t verdict_q, verdict_d;
  status_e status_q, status_d;
  sweep_t sw_q, sw_d;
  logic sweeping_q, sweeping_d;
  logic epoch_q, epoch_d;
  logic [4:0] burst_q, burst_d;
  logic [10:0] batch_wait_q, batch_wait_d;
  logic press_q, press_d, press_any_q, press_any_d, press_plan_q, press_plan_d;  // a pressure scan is wanted
  owner_t press_owner_q, press_owner_d;
  profile_t press_profile_q, press_profile_d;
  walk_rsp_t walk_q, walk_d;
  dma_end_t end_q, end_d;
  layers_t mark_q, mark_d;
  score_rsp_t rsp_q, rsp_d;
  event_e lv_kind_q, lv_kind_d;
  status_e lv_cause_q, lv_cause_d;
  logic lv_tag_q, lv_tag_d;
  logic tag_valid_q, tag_valid_d;
  tag_cmd_t tag_q, tag_d;
  retire_t retire_q, retire_d;
  logic keep_q, keep_d, fence_q, fence_d, flush_q, flush_d;
  owner_t pulse_owner_q, pulse_owner_d;
  logic desc_valid_q, desc_valid_d;
  dma_desc_t desc_q, desc_d;
  logic walk_valid_q, walk_valid_d;
  walk_req_t walk_req_q, walk_req_d;
  logic sc_valid_q, sc_valid_d;
  score_cmd_t sc_q, sc_d;
  logic own_wr_q, own_wr_d;
  owner_t own_wr_owner_q, own_wr_owner_d, own_rd_owner_q, own_rd_owner_d;
  owner_ctx_t own_wr_ctx_q, own_wr_ctx_d;
  len_t new_length_q, new_length_d, new_committed_q, new_committed_d;
  logic [1:0] new_level_q, new_level_d;
  cnt_t new_share_q, new_share_d, old_share_q, old_share_d;
  e_t mul_a_q, mul_a_d;
  beta_t mul_b_q, mul_b_d;
  product_t product_q;
  ctrl_count_t count_q, count_d;

  // Totals: all used slots (U), what minimums still reserve (R, R_p), the minimums (M, M_p), used by profile.
  cnt_t used_q, used_d, reserve_q, reserve_d, minimum_q, minimum_d, fills_q, fills_d;
  cnt_t [Profiles-1:0] p_used_q, p_used_d, p_reserve_q, p_reserve_d, p_minimum_q, p_minimum_d;
  status_e all_worst_q, all_worst_d;
  cnt_t all_ended_q, all_ended_d;

  trace_t trace, trace_d;
  room_trace_t room_trace;

  // -------------------------------------------------------------------------------------------------------- memories
  logic row_re, row_we;
  slot_t row_raddr, row_waddr;
  row_t row_wdata, row_rdata;
  kv_ram_1r1w #(
      .Words(Slots),
      .Width($bits(row_t))
  ) u_rows (
      .clk_i,
      .re_i   (row_re),
      .raddr_i(row_raddr),
      .rdata_o(row_rdata),
      .we_i   (row_we),
      .waddr_i(row_waddr),
      .wdata_i(row_wdata)
  );

  logic orow_re, orow_we;
  owner_t orow_raddr, orow_waddr;
  orow_t orow_loop, orow_wdata, orow_rdata;
  kv_ram_1r1w #(
      .Words(Owners),
      .Width($bits(orow_t))
  ) u_owners (
      .clk_i,
      .re_i   (orow_re),
      .raddr_i(orow_raddr),
      .rdata_o(orow_rdata),
      .we_i   (orow_we),
      .waddr_i(orow_waddr),
      .wdata_i(orow_wdata)
  );

  // -------------------------------------------------------------------------------------------------- slots, profiles
  logic map_set, map_free, map_cand;
  slot_t map_slot;
  logic pick_clean, pick_any;
  slot_t pick_slot;
  profile_cfg_t [Profiles-1:0] profiles;
  logic [Profiles-1:0][2:0] share;
  profile_cfg_t pf;  // profile of the grant
  assign pf = profiles[g_q.profile];

  residency_slots u_slots (
      .clk_i,
      .rst_ni,
      .set_valid_i(map_set),
      .set_slot_i (map_slot),
      .set_free_i (map_free),
      .set_cand_i (map_cand),
      .first_i    (pf.slot_first),
      .count_i    (pf.slot_count),
      .clean_o    (pick_clean),
      .any_o      (pick_any),
      .slot_o     (pick_slot)
  );

  logic profile_done, profile_in_use;
  status_e  profile_status;
  profile_t cmd_profile;
  assign cmd_profile = profile_t'(cmd_q.profile);
  assign profile_in_use = p_used_q[cmd_profile] != '0 || p_minimum_q[cmd_profile] != '0;
  residency_profiles u_profiles (
      .clk_i,
      .rst_ni,
      .layout_i,
      .start_i   (st_q == StProfile),
      .cmd_i     (cmd_q),
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
  logic pl_act, pl_drop, pl_check, pl_has, pl_step, pl_want, pl_is_verdict, pl_take;
  logic pl_fits, pl_same, pl_accept, pl_again, pl_free;
  logic pl_tried, pl_over, pl_missed, pl_promoted, pl_evicted, pl_denied_promotion, pl_denied_eviction;
  plan_t pl_which;
  cnt_t pl_slots, pl_entries;
  grant_t pl_grant;
  residency_plans u_plans (
      .clk_i,
      .rst_ni,
      .now_i,
      .floor_i           (cfg_i.promo_floor),
      .cmd_i             (cmd_q),
      .start_i           (start_q),
      .limits_i          (lim_q),
      .act_i             (pl_act),
      .drop_i            (pl_drop),
      .status_o          (pl_status),
      .value0_o          (pl_value0),
      .value1_o          (pl_value1),
      .check_o           (pl_check),
      .has_o             (pl_has),
      .ask_owner_i       (ask_owner),
      .view_o            (pv),
      .step_i            (pl_step),
      .want_o            (pl_want),
      .is_verdict_o      (pl_is_verdict),
      .which_o           (pl_which),
      .owner_o           (pl_owner),
      .take_i            (pl_take),
      .which_i           (verdict_q),
      .tried_plan_i      (g_q.plan),
      .fits_o            (pl_fits),
      .bad_item_o        (pl_bad_item),
      .bad_reason_o      (pl_bad_reason),
      .slots_o           (pl_slots),
      .entries_o         (pl_entries),
      .same_o            (pl_same),
      .tag_o             (pl_tag),
      .start_o           (pl_start),
      .accept_i          (pl_accept),
      .held_i            (cnt_t'(own_q.used_plan)),
      .again_i           (pl_again),
      .free_i            (pl_free),
      .grant_o           (pl_grant),
      .tried_i           (pl_tried),
      .tried_over_i      (pl_over),
      .missed_i          (pl_missed),
      .promoted_i        (pl_promoted),
      .evicted_i         (pl_evicted),
      .denied_promotion_i(pl_denied_promotion),
      .denied_eviction_i (pl_denied_eviction)
  );
  always_comb begin
    unique case (st_q)
      StG2, StG4, StGFinish: ask_owner = g_q.effective;
      StScore3, StFreeOwner: ask_owner = row_q.owner;
      StPlan2, StPlan3, StOwner4: ask_owner = owner_t'(cmd_q.owner);
      default: ask_owner = sw_q.owner;
    endcase
  end

  // ---------------------------------------------------------------------------------------------------------- queues
  logic fill_push, fill_pop, fill_valid, fill_room_unused;
  slot_t fill_in, fill_head;
  logic [$clog2(Slots+1)-1:0] fill_count_unused;
  kv_fifo_ram #(
      .T    (slot_t),
      .Depth(Slots)
  ) u_fill (
      .clk_i,
      .rst_ni,
      .flush_i(1'b0),
      .valid_i(fill_push),
      .ready_o(fill_room_unused),
      .data_i (fill_in),
      .valid_o(fill_valid),
      .ready_i(fill_pop),
      .data_o (fill_head),
      .count_o(fill_count_unused)
  );

  logic walks_push, walks_pop, walks_room, walks_valid;
  slot_t walks_head;
  logic [$clog2(WalksMax+1)-1:0] walks_count_unused;
  kv_fifo #(
      .T    (slot_t),
      .Depth(WalksMax)
  ) u_walks (
      .clk_i,
      .rst_ni,
      .flush_i(1'b0),
      .valid_i(walks_push),
      .ready_o(walks_room),
      .data_i (slot_q),
      .valid_o(walks_valid),
      .ready_i(walks_pop),
      .data_o (walks_head),
      .count_o(walks_count_unused)
  );

  // Records leave in the order of the decisions. When the log has taken a slot's last one, the slot waits to be freed.
  logic rec_push, rec_room, rec_valid, rec_pop;
  record_t rec_in, rec_head;
  logic [$clog2(RecordDepth+1)-1:0] rec_count;
  kv_fifo_ram #(
      .T    (record_t),
      .Depth(RecordDepth)
  ) u_records (
      .clk_i,
      .rst_ni,
      .flush_i(1'b0),
      .valid_i(rec_push),
      .ready_o(rec_room),
      .data_i (rec_in),
      .valid_o(rec_valid),
      .ready_i(rec_pop),
      .data_o (rec_head),
      .count_o(rec_count)
  );

  logic  written_q;  // a slot whose last record was written, on its way into the queue
  slot_t written_slot_q;
  logic free_again, free_pop, free_valid, free_room_unused, free_push;
  slot_t free_head;
  logic [$clog2(Slots+1)-1:0] free_count_unused;
  assign ev_valid_o = rec_valid && !written_q;
  assign ev_o = rec_head.event_;
  assign rec_pop = ev_ready_i && !written_q;
  assign free_push = free_again || written_q;
  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) written_q <= 1'b0;
    else if (ev_valid_o && ev_ready_i) written_q <= rec_head.leaves;
    else if (!free_again) written_q <= 1'b0;
  end
  always_ff @(posedge clk_i) if (ev_valid_o && ev_ready_i) written_slot_q <= slot_t'(rec_head.event_.slot);
  kv_fifo_ram #(
      .T    (slot_t),
      .Depth(Slots)
  ) u_free (
      .clk_i,
      .rst_ni,
      .flush_i(1'b0),
      .valid_i(free_push),
      .ready_o(free_room_unused),
      .data_i (free_again ? slot_q : written_slot_q),
      .valid_o(free_valid),
      .ready_i(free_pop),
      .data_o (free_head),
      .count_o(free_count_unused)
  );

  // An abort goes out after its descriptor has: the DMA would not know it before.
  logic abort_push, abort_room, abort_wait, abort_pop;
  slot_t abort_head;
  logic [$clog2(AbortDepth+1)-1:0] abort_count;
  logic abort_valid_q;
  slot_t abort_slot_q;
  kv_fifo #(
      .T    (slot_t),
      .Depth(AbortDepth)
  ) u_aborts (
      .clk_i,
      .rst_ni,
      .flush_i(1'b0),
      .valid_i(abort_push),
      .ready_o(abort_room),
      .data_i (slot_q),
      .valid_o(abort_wait),
      .ready_i(abort_pop),
      .data_o (abort_head),
      .count_o(abort_count)
  );
  assign abort_pop = abort_wait && !abort_valid_q && !(desc_valid_q && desc_q.slot == abort_head);
  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) abort_valid_q <= 1'b0;
    else if (abort_pop) abort_valid_q <= 1'b1;
    else if (abort_ready_i) abort_valid_q <= 1'b0;
  end
  always_ff @(posedge clk_i) if (abort_pop) abort_slot_q <= abort_head;
  assign abort_valid_o = abort_valid_q;
  assign abort_slot_o  = abort_slot_q;
  // An abort under way may name any slot: none is given out again before it is gone.
  logic aborting;
  assign aborting = abort_count != '0 || abort_valid_q;

  // ----------------------------------------------------------------------------------------------------- completions
  logic done_push, done_room;
  done_t   done_in;
  status_e done_status;
  logic [31:0] done_value0, done_start;
  logic [63:0] done_value1;
  logic [15:0] done_tag;
  logic [ 7:0] done_opcode;
  logic [$clog2(DoneDepth+1)-1:0] done_count_unused, promised_q;
  assign done_in = '{
          reserved: '0,
          cycles: now_i[31:0] - done_start,
          value1: done_value1,
          value0: done_value0,
          tag: done_tag,
          status: done_status,
          opcode: done_opcode
      };
  kv_fifo #(
      .T    (done_t),
      .Depth(DoneDepth)
  ) u_done (
      .clk_i,
      .rst_ni,
      .flush_i(1'b0),
      .valid_i(done_push),
      .ready_o(done_room),
      .data_i (done_in),
      .valid_o(done_valid_o),
      .ready_i(done_ready_i),
      .data_o (done_o),
      .count_o(done_count_unused)
  );
  logic cmd_take;
  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) promised_q <= '0;
    else begin
      promised_q <= promised_q + ($clog2(DoneDepth + 1))'(cmd_take) -
          ($clog2(DoneDepth + 1))'(done_valid_o && done_ready_i);
    end
  end

  // ------------------------------------------------------------------------------------------------ ends of promotions
  // fill_end: one promotion of the owner in orow_rdata ends with fill_end_status. wait_now: a wait is answered at once.
  logic fill_end, wait_now, wait_add, waits_room, wait_valid, wait_take, owner_taken, all_taken, owner_zero, all_zero;
  status_e fill_end_status, wait_status, owner_worst, all_worst;
  cnt_t owner_ended, all_ended, wait_count;
  logic [15:0] wait_tag;
  logic [31:0] wait_start;
  function automatic cnt_t one_more(input cnt_t c);
    return (c == '1) ? c : c + cnt_t'(1);
  endfunction
  assign owner_worst = worse(orow_rdata.worst, fill_end_status);
  assign owner_ended = one_more(orow_rdata.ended);
  assign all_worst = worse(all_worst_q, fill_end_status);
  assign all_ended = one_more(all_ended_q);
  assign owner_zero = fill_end && orow_rdata.pending == slots_t'(1);
  assign all_zero = fill_end && fills_q == cnt_t'(1);
  residency_waits u_waits (
      .clk_i,
      .rst_ni,
      .room_o        (waits_room),
      .add_i         (wait_add),
      .add_all_i     (cmd_q.flags[0]),
      .add_one_i     (cmd_q.flags[1]),
      .add_slot_i    (slot_q),
      .add_owner_i   (owner_t'(cmd_q.owner)),
      .add_tag_i     (cmd_q.tag),
      .add_start_i   (start_q),
      .owner_zero_i  (owner_zero),
      .zero_owner_i  (row_q.owner),
      .owner_status_i(owner_worst),
      .owner_count_i (owner_ended),
      .end_i         (fill_end),
      .end_slot_i    (slot_q),
      .end_status_i  (fill_end_status),
      .all_zero_i    (all_zero),
      .all_status_i  (all_worst),
      .all_count_i   (all_ended),
      .owner_taken_o (owner_taken),
      .all_taken_o   (all_taken),
      .valid_o       (wait_valid),
      .take_i        (wait_take),
      .tag_o         (wait_tag),
      .start_o       (wait_start),
      .status_o      (wait_status),
      .count_o       (wait_count)
  );
  always_comb begin
    orow_wdata = orow_loop;
    if (fill_end) begin
      orow_wdata = orow_rdata;
      orow_wdata.pending = orow_rdata.pending - slots_t'(1);
      orow_wdata.worst = owner_taken ? StOk : owner_worst;
      orow_wdata.ended = owner_taken ? '0 : owner_ended;
    end
  end
  always_comb begin
    all_worst_d = all_worst_q;
    all_ended_d = all_ended_q;
    if (fill_end) begin
      all_worst_d = all_taken ? StOk : all_worst;
      all_ended_d = all_taken ? '0 : all_ended;
    end else if (wait_now && cmd_q.flags[0]) begin
      all_worst_d = StOk;
      all_ended_d = '0;
    end
  end

  // ------------------------------------------------------------------------------------------------------- small words
  function automatic logic room_for(input logic [31:0] room, input logic [31:0] queued, input logic [31:0] fills,
                                    input logic [31:0] records);
    return room >= queued + fills + 32'(LogMargin) + records;
  endfunction
  logic room_grant, room_leave, room_owner;
  assign room_grant = room_for(32'(log_room_i), 32'(rec_count), 32'(fills_q), 32'd2);
  assign room_leave = room_for(32'(log_room_i), 32'(rec_count), 32'(fills_q), 32'd1);
  assign room_owner = room_grant && 32'(rec_count) <= 32'(Slots / 2);

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) room_trace <= '0;
    else begin
      unique case (st_q)
        StG3: room_trace <= '{valid: 1'b1, room: room_grant};
        StOwner3: room_trace <= '{valid: 1'b1, room: room_owner};
        StCmd: room_trace <= '{valid: cmd_q.opcode == OpOpen, room: room_owner};
        StScore3: room_trace <= '{valid: row_q.state == SlResident, room: room_leave};
        StPlan2, StVerdict2, StPick: room_trace <= '{valid: 1'b1, room: room_leave};
        default: room_trace <= '0;
      endcase
    end
  end

  owner_t cmd_owner;
  logic bad_owner, bad_span, refused_owner;
  logic [32:0] span_end;
  assign cmd_owner = owner_t'(cmd_q.owner);
  assign bad_owner = cmd_q.owner >= 16'(Owners);
  assign span_end = 33'(cmd_q.first) + 33'(cmd_q.count);
  assign bad_span = cmd_q.count == '0 || span_end > 33'(Positions);
  assign refused_owner = bad_owner || !orow_rdata.valid;

  // ---- checks of a grant (StG3: named_q, own_q of the effective owner, choice of the slot)
  pos_t last_sharer;
  logic [6:0] share_mask;
  status_e refusal, shortage;
  logic guaranteed, by_scores, envelope;
  cnt_t free_of_profile;
  always_comb begin
    share_mask = pf.valid ? (7'd1 << share[g_q.profile]) - 7'd1 : '0;
    if (pf.valid && share[g_q.profile] == 3'd7) share_mask = '1;
    last_sharer = g_q.position | pos_t'(share_mask);
    guaranteed = (g_q.source == SrcPlan) ? gv_share_q != '0 :
        g_q.profile == own_q.profile && own_q.used_own < own_q.slot_min;
    by_scores = g_q.source == SrcTop || g_q.source == SrcCandidate;
    envelope = !gv_q.active ||
        (gv_q.may_promote && cnt_t'(own_q.used) < gv_q.slots_limit && !in_region(gv_q, g_q.position));
    free_of_profile = cnt_t'(pf.slot_count) - p_used_q[g_q.profile];
    if (g_q.bad_owner || !named_q.valid) refusal = StBadOwner;
    else if (g_q.bad_range || len_t'(last_sharer) >= own_q.committed) refusal = StBadRange;
    else if (g_q.bad_profile || !pf.valid) refusal = StBadProfile;
    else if (named_q.level != '0 || own_q.level != '0) refusal = StWindow;
    else refusal = StOk;

    if (by_scores && !envelope) shortage = StPlan;
    else if (!room_grant) shortage = StLogFull;
    else if (cnt_t'(own_q.used) + ((g_q.source == SrcPlan) ? cnt_t'(0) : gv_share_q) >= cnt_t'(own_q.slot_max) ||
             used_q + (guaranteed ? cnt_t'(0) : reserve_q) >= cnt_t'(cfg_i.sram_budget))
      shortage = StBudget;
    else if (!pick_any || (!guaranteed && free_of_profile <= p_reserve_q[g_q.profile])) shortage = StNoSlot;
    else if (!guaranteed && minimum_q != '0 && cnt_t'(tag_free_entries_i) <= minimum_q) shortage = StNoEntry;
    else shortage = StOk;
  end

  // ---- set_owner: the fields as they would be
  len_t so_prefix_len;
  logic [15:0] so_prefix_owner, so_min, so_max;
  logic [ 7:0] so_profile;
  logic [15:0] so_tenant;
  logic so_set, so_bad_prefix_len;
  assign so_set = cmd_q.flags[0];
  assign so_prefix_len = len_t'(cmd_q.arg1[31:0]);
  assign so_prefix_owner = cmd_q.arg1[47:32];
  assign so_tenant = cmd_q.arg2[15:0];
  assign so_min = cmd_q.arg2[31:16];
  assign so_max = (cmd_q.arg2[47:32] == '1) ? 16'(Slots) : cmd_q.arg2[47:32];
  assign so_profile = cmd_q.arg2[55:48];
  always_comb begin
    so_bad_prefix_len = cmd_q.arg1[31:0] == '0 || cmd_q.arg1[31:0] > 32'(named_q.committed);
    if ((cmd_q.arg1[31:0] & ((32'd1 << layout_i.page_log2) - 32'd1)) != '0) so_bad_prefix_len = 1'b1;
  end
  // named_q: the new prefix owner; own_q: the owner as it is
  status_e  so_status;
  profile_t so_p;
  cnt_t so_reserve, so_p_reserve, so_minimum;
  assign so_p = profile_t'(so_profile);
  always_comb begin
    so_reserve = reserve_q - old_share_q + new_share_q;
    so_p_reserve = p_reserve_q[so_p] - ((own_q.profile == so_p) ? old_share_q : cnt_t'(0)) + new_share_q;
    so_minimum = minimum_q - cnt_t'(own_q.slot_min) + so_min;
    so_status = StOk;
    if (bad_owner) so_status = StBadOwner;
    else if (!so_set) begin
      if (!own_q.valid) so_status = StBadOwner;
      else if (own_q.refs != '0) so_status = StBusy;
    end else if (own_q.refs != '0 || pl_has || (own_q.valid && (own_q.used != '0 || own_q.level != '0)))
      so_status = StBusy;
    else if (cmd_q.count > cmd_q.first || cmd_q.first > 32'(Positions)) so_status = StBadRange;
    else if (so_profile >= 8'(Profiles) || (so_min != '0 && !profiles[so_p].valid) ||
             ((own_q.used_own != '0 || own_q.used_plan != '0) && own_q.profile != so_p))
      so_status = StBadProfile;
    else if (so_max > 16'(Slots) || so_min > so_max) so_status = StBadCommand;
    else if (cmd_q.flags[2] && (so_prefix_owner >= 16'(Owners) || so_prefix_owner == cmd_q.owner || !named_q.valid ||
                                named_q.prefix_valid))
      so_status = StBadOwner;
    else if (cmd_q.flags[2] && named_q.tenant != so_tenant && !named_q.is_public) so_status = StTenant;
    else if (cmd_q.flags[2] && so_bad_prefix_len) so_status = StBadRange;
    else if (so_min != '0 && (so_minimum > cnt_t'(Entries) || so_minimum > cnt_t'(tag_free_entries_i) ||
                              used_q + so_reserve > cnt_t'(cfg_i.sram_budget) ||
                              cnt_t'(profiles[so_p].slot_count) - p_used_q[so_p] < so_p_reserve))
      so_status = StBudget;
    else if (!room_owner) so_status = StLogFull;
  end

  // ---- what a plan of the owner in own_q may take (StPlan2, StVerdict2)
  plan_limits_t limits;
  always_comb begin
    limits = '0;
    limits.slots = least(
      minus(
        cnt_t'(own_q.slot_max), cnt_t'(own_q.used) + minus(cnt_t'(own_q.slot_min), cnt_t'(own_q.used_own))
      ),
      minus(
        cnt_t'(cfg_i.sram_budget), used_q + reserve_q)
    );
    limits.rows =
        minus(minus(cnt_t'(profiles[own_q.profile].slot_count), p_used_q[own_q.profile]), p_reserve_q[own_q.profile]);
    limits.entries = minus(least(cnt_t'(Entries), cnt_t'(tag_free_entries_i)), minimum_q);
    limits.committed = own_q.committed;
    limits.prefix_len = own_q.prefix_valid ? own_q.prefix_len : '0;
    limits.profile = own_q.profile;
    limits.profile_valid = profiles[own_q.profile].valid;
    limits.share_mask = (share[own_q.profile] == 3'd7) ? '1 : (7'd1 << share[own_q.profile]) - 7'd1;
    limits.slot_beats = profiles[own_q.profile].slot_beats;
  end

  // ---- a row under the sweep (StRow: row_rdata of sw_q.row)
  logic row_old, row_granted, row_mine, row_in_span, row_prefix, row_take, row_score, row_drop, row_tick, row_demote;
  logic   row_better;
  logic   region_out;
  slots_t region_offset;
  always_comb begin
    row_old = row_rdata.epoch != epoch_q;
    row_granted = row_rdata.state == SlFilling || row_rdata.state == SlResident;
    row_mine = sw_q.all || row_rdata.owner == sw_q.owner;
    row_in_span = row_rdata.position >= sw_q.first && row_rdata.position <= sw_q.last;
    row_prefix = sw_q.prefix_valid && row_rdata.owner == sw_q.prefix_owner;
    region_offset = slots_t'(sw_q.row) - slots_t'(profiles[sw_q.profile].slot_first);
    region_out = !profiles[sw_q.profile].valid || sw_q.row < profiles[sw_q.profile].slot_first ||
        region_offset >= profiles[sw_q.profile].slot_count;
    row_take = 1'b0;
    row_score = 1'b0;
    row_drop = 1'b0;
    row_tick = 1'b0;
    row_demote = 1'b0;
    if (row_old) begin
      unique case (sw_q.kind)
        SwRetire: begin
          row_take   = row_granted && row_mine && row_in_span;
          row_drop   = row_rdata.state == SlFree && row_rdata.cand && row_mine && row_in_span;
          row_demote = sw_q.demote && row_granted && row_rdata.owner == sw_q.demote_owner;
        end
        SwLetGo: row_take = row_granted && row_mine && row_in_span;
        SwAbort: row_take = row_rdata.state == SlFilling && row_mine && row_in_span;
        SwStep: begin
          row_drop = sw_q.scored && row_rdata.state == SlFree && row_rdata.cand && row_mine && region_out;
          if (row_mine) row_score = row_granted || (row_rdata.state == SlFree && row_rdata.cand);
          else row_score = row_prefix && row_granted && len_t'(row_rdata.position) < sw_q.prefix_len;
          if (!sw_q.scored || row_drop) row_score = 1'b0;
          row_tick = row_granted && (row_mine || (row_prefix && sw_q.prefix_tick));
        end
        default: ;
      endcase
    end
    row_better = row_rdata.state == SlResident && row_rdata.dwell == DwellBestEffort &&
        !in_region(pv, row_rdata.position) && row_rdata.owner == sw_q.owner &&
        (sw_q.any_profile || row_rdata.profile == sw_q.profile) && (!sw_q.best_valid || row_rdata.e < sw_q.best_e);
  end

  function automatic dwell_t ticked(input dwell_t dwell, input logic already, input logic ticks);
    return (ticks && !already && dwell != DwellPinned && dwell != DwellBestEffort) ? dwell - dwell_t'(1) : dwell;
  endfunction

  // ---- a contract strengthened while a step_end sweeps is not cut by that tick: the row is ticked first
  logic tick_due;
  always_comb begin
    tick_due = sweeping_q && sw_q.kind == SwStep && !sw_q.prefill && row_rdata.epoch != epoch_q && !row_rdata.ticked &&
        (row_rdata.owner == sw_q.owner || (sw_q.prefix_tick && row_rdata.owner == sw_q.prefix_owner));
  end

  // ---- E after the score (StScore3, StCand4: product is ready)
  e_t e_base, e_new;
  run_t up_new, down_new;
  logic at_promote, below_evict;
  always_comb begin
    e_base = (st_q == StScore3) ? row_q.e : '0;
    e_new = e_next(e_base, rsp_q.score, product_q);
    at_promote = e_new >= {cfg_i.t_promote, EShift'(0)};
    below_evict = e_new < {cfg_i.t_evict, EShift'(0)};
    up_new = !at_promote ? '0 : (row_q.run_up == '1) ? '1 : row_q.run_up + run_t'(1);
    down_new = !below_evict ? '0 : (row_q.run_down == '1) ? '1 : row_q.run_down + run_t'(1);
  end

  // ---- readers of a LEAVING slot (StFreeRow): lists that were open when it left. Serials compare modulo 2**32.
  logic readers;
  always_comb begin
    readers = 1'b0;
    for (int unsigned i = 0; i < Readers; i++) begin
      if (list_info_i[i].open && (list_info_i[i].owner == row_rdata.owner ||
                                  (list_info_i[i].prefix_valid && list_info_i[i].prefix_owner == row_rdata.owner)) &&
          list_info_i[i].serial - row_rdata.leave_serial >= SerialHalf)
        readers = 1'b1;
    end
  end

  // ---- tokens that a prefill may place (StTopCount: orow_rdata)
  cnt_t top_count, top_sure;
  profile_t top_p;
  always_comb begin
    top_p = orow_rdata.profile;
    top_sure = minus(cnt_t'(orow_rdata.slot_min), cnt_t'(orow_rdata.used_own));
    top_count = top_sure + least(
      minus(
        cnt_t'(orow_rdata.slot_max), cnt_t'(orow_rdata.used) + top_sure
      ),
      least(
        minus(
          cnt_t'(cfg_i.sram_budget), used_q + reserve_q
        ),
        minus(
          minus(cnt_t'(profiles[top_p].slot_count), p_used_q[top_p]), p_reserve_q[top_p]))
    );
    if (!profiles[top_p].valid) top_count = '0;
  end

  // ------------------------------------------------------------------------------------------------------------ turns
  logic batch_here, batch_wanted, sweep_ready;
  assign batch_here   = batch_valid_i && batch_owner_i == sw_q.owner;
  assign batch_wanted = !sw_q.no_scores && (sw_q.prefill || cfg_i.dynamic);
  always_comb begin
    sweep_ready = 1'b0;
    if (sweeping_q) begin
      unique case (sw_q.phase)
        PhBatch: sweep_ready = !batch_wanted || batch_valid_i || batch_wait_q == 11'(BatchWait);
        PhRows: sweep_ready = !sc_valid_q && abort_room;
        PhTopAsk, PhFree: sweep_ready = !sc_valid_q;
        PhFence: sweep_ready = !tag_sweep_busy_i && !fence_busy_i && !fence_q;
        PhPick, PhDone: sweep_ready = 1'b1;
        default: ;
      endcase
    end else sweep_ready = press_q;
  end

  logic [Classes-1:0] want, first_want, chosen;
  logic none_want, wrap;
  logic [ClassW-1:0] first_index, chosen_class;
  logic [Classes-1:0] onehot_high, onehot_low;
  logic none_low_unused;
  logic [ClassW-1:0] index_low;
  always_comb begin
    want = '0;
    want[EcEnd] = end_valid_i;
    want[EcProgress] = progress_valid_i;
    want[EcWalk] = walk_rsp_valid_i && walks_valid && !desc_valid_q;
    want[EcScore] = rsp_valid_i && sweeping_q && (sw_q.phase == PhScore || sw_q.phase == PhTop);
    want[EcSweep] = sweep_ready;
    want[EcWait] = wait_valid;
    want[EcFill] = fill_valid && walks_room && !walk_valid_q;
    want[EcFree] = free_valid;
    want[EcPlan] = pl_want;
    first_want = want & ~((Classes'(1) << turn_q) - Classes'(1));
  end
  kv_first #(
      .Width(Classes)
  ) u_turn_high (
      .bits_i  (first_want),
      .none_o  (wrap),
      .index_o (first_index),
      .onehot_o(onehot_high)
  );
  kv_first #(
      .Width(Classes)
  ) u_turn_low (
      .bits_i  (want),
      .none_o  (none_low_unused),
      .index_o (index_low),
      .onehot_o(onehot_low)
  );
  assign none_want = want == '0;
  assign chosen_class = wrap ? index_low : first_index;

  logic sweep_command;
  always_comb begin
    unique case (cmd_i.opcode)
      OpSetOwner, OpLetGo, OpAbort, OpRetire, OpStepEnd, OpOpen: sweep_command = 1'b1;
      default: sweep_command = 1'b0;
    endcase
  end
  assign cmd_ready_o = st_q == StIdle && cmd_turn_q && promised_q != ($clog2(
      DoneDepth + 1
  ))'(DoneDepth) && !(sweeping_q && sweep_command);
  assign cmd_take = cmd_valid_i && cmd_ready_o;
  assign chosen = (st_q != StIdle || cmd_take) ? '0 : wrap ? onehot_low : onehot_high;

  assign end_ready_o = chosen[EcEnd];
  assign progress_ready_o = chosen[EcProgress];
  assign walk_rsp_ready_o = chosen[EcWalk];
  assign rsp_ready_o = chosen[EcScore];
  assign walks_pop = chosen[EcWalk];
  assign fill_pop = chosen[EcFill];
  assign free_pop = chosen[EcFree];
  assign wait_take = chosen[EcWait];
  assign pl_take = chosen[EcPlan];

  // Work that a sweep steps back for: at once, or after a burst of rows.
  logic sweep_yields;
  always_comb begin
    sweep_yields = (cmd_valid_i && !sweep_command && promised_q != ($clog2(DoneDepth + 1))'(DoneDepth)) ||
        want[EcEnd] || want[EcProgress] || want[EcWalk] || want[EcWait] ||
        (burst_q == 5'(SweepBurst) && (want[EcFill] || want[EcFree] || want[EcPlan]));
  end

  // ------------------------------------------------------------------------------------------------------------ loop
  // After the rows of a sweep
  function automatic phase_e after_rows(input sweep_e kind, input logic scored);
    unique case (kind)
      SwRetire: return PhFence;
      SwStep: return scored ? PhTopAsk : PhFree;
      SwPressure: return PhPick;
      default: return PhDone;
    endcase
  endfunction
  function automatic tag_cmd_t tag_of(input tag_op_e op, input row_t r, input slot_t s, input layers_t mark);
    tag_cmd_t t;
    t = '0;
    t.op = op;
    t.owner = r.owner;
    t.granule = r.position[PosW-1:4];
    t.token = r.position[3:0];
    t.entry = r.entry;
    t.slot = s;
    t.profile = r.profile;
    t.word = r.word;
    t.watermark = mark;
    return t;
  endfunction

  // A grant has ended: fin_status, and of a token that has a slot, fin_slot and fin_entry.
  logic fin;
  status_e fin_status;
  slot_t fin_slot;
  entry_t fin_entry;
  logic sweep_next;   // the sweep goes on to the next row
  logic cmd_done;     // the command at hand ends with done_status and values
  logic sweep_start;  // the command at hand starts a sweep of kind sw_d.kind
  logic own_part;

  always_comb begin
    st_d = st_q;
    init_d = init_q;
    cmd_d = cmd_q;
    start_d = start_q;
    cmd_turn_d = cmd_turn_q;
    turn_d = turn_q;
    slot_d = slot_q;
    row_d = row_q;
    own_d = own_q;
    named_d = named_q;
    g_d = g_q;
    shortage_d = shortage_q;
    guaranteed_d = guaranteed_q;
    status_d = status_q;
    sw_d = sw_q;
    sweeping_d = sweeping_q;
    epoch_d = epoch_q;
    burst_d = burst_q;
    batch_wait_d = (batch_wait_q == 11'(BatchWait)) ? batch_wait_q : batch_wait_q + 11'd1;
    press_d = press_q;
    press_any_d = press_any_q;
    press_plan_d = press_plan_q;
    gv_d = gv_q;
    gv_share_d = gv_share_q;
    lim_d = lim_q;
    verdict_d = verdict_q;
    press_owner_d = press_owner_q;
    press_profile_d = press_profile_q;
    walk_d = walk_q;
    end_d = end_q;
    mark_d = mark_q;
    rsp_d = rsp_q;
    lv_kind_d = lv_kind_q;
    lv_cause_d = lv_cause_q;
    lv_tag_d = lv_tag_q;
    tag_valid_d = tag_valid_q && !tag_cmd_ready_i;
    tag_d = tag_q;
    retire_d = retire_q;
    retire_d.valid = 1'b0;
    keep_d = 1'b0;
    fence_d = 1'b0;
    flush_d = 1'b0;
    pulse_owner_d = pulse_owner_q;
    desc_valid_d = desc_valid_q && !desc_ready_i;
    desc_d = desc_q;
    walk_valid_d = walk_valid_q && !walk_req_ready_i;
    walk_req_d = walk_req_q;
    sc_valid_d = sc_valid_q && !sc_ready_i;
    sc_d = sc_q;
    own_wr_d = 1'b0;
    own_wr_owner_d = own_wr_owner_q;
    own_wr_ctx_d = own_wr_ctx_q;
    own_rd_owner_d = own_rd_owner_q;
    new_length_d = new_length_q;
    new_committed_d = new_committed_q;
    new_level_d = new_level_q;
    new_share_d = new_share_q;
    old_share_d = old_share_q;
    mul_a_d = mul_a_q;
    mul_b_d = mul_b_q;
    count_d = '0;
    count_d.slots_used = slots_t'(used_q);
    count_d.filling = slots_t'(fills_q);
    count_d.records = ($bits(count_d.records))'(rec_count);
    used_d = used_q;
    reserve_d = reserve_q;
    minimum_d = minimum_q;
    fills_d = fills_q;
    p_used_d = p_used_q;
    p_reserve_d = p_reserve_q;
    p_minimum_d = p_minimum_q;
    trace_d = '0;

    row_re = 1'b0;
    row_raddr = slot_q;
    row_we = 1'b0;
    row_waddr = slot_q;
    row_wdata = row_q;
    orow_re = 1'b0;
    orow_raddr = cmd_owner;
    orow_we = 1'b0;
    orow_waddr = cmd_owner;
    orow_loop = own_q;
    map_set = 1'b0;
    map_slot = slot_q;
    map_free = 1'b0;
    map_cand = 1'b0;
    fill_push = 1'b0;
    fill_in = slot_q;
    walks_push = 1'b0;
    free_again = 1'b0;
    abort_push = 1'b0;
    rec_push = 1'b0;
    rec_in = '0;
    fill_end = 1'b0;
    fill_end_status = StOk;
    wait_add = 1'b0;
    wait_now = 1'b0;
    fin = 1'b0;
    fin_status = StOk;
    fin_slot = '0;
    fin_entry = '0;
    sweep_next = 1'b0;
    cmd_done = 1'b0;
    sweep_start = 1'b0;
    own_part = 1'b0;
    pl_act = 1'b0;
    pl_drop = 1'b0;
    pl_step = 1'b0;
    pl_accept = 1'b0;
    pl_again = 1'b0;
    pl_free = 1'b0;
    pl_tried = 1'b0;
    pl_over = 1'b0;
    pl_missed = 1'b0;
    pl_promoted = 1'b0;
    pl_evicted = 1'b0;
    pl_denied_promotion = 1'b0;
    pl_denied_eviction = 1'b0;
    done_push = 1'b0;
    done_status = StOk;
    done_value0 = '0;
    done_value1 = '0;
    done_tag = cmd_q.tag;
    done_opcode = cmd_q.opcode;
    done_start = start_q;

    unique case (st_q)
      // Memories have no contents after power-up: every row becomes FREE, every owner invalid.
      StInit: begin
        init_d = init_q + InitW'(1);
        row_we = 32'(init_q) < 32'(Slots);
        row_waddr = slot_t'(init_q);
        row_wdata = '0;
        orow_we = 32'(init_q) < 32'(Owners);
        orow_waddr = owner_t'(init_q);
        orow_loop = '0;
        own_wr_d = orow_we;
        own_wr_owner_d = owner_t'(init_q);
        own_wr_ctx_d = '0;
        if (init_q == InitW'(InitLast)) st_d = StIdle;
      end

      // ------------------------------------------------------------------------------------------------ next event
      StIdle: begin
        cmd_turn_d = 1'b1;
        if (cmd_take) begin
          cmd_turn_d = 1'b0;
          cmd_d = cmd_i;
          start_d = now_i[31:0];
          orow_re = 1'b1;
          orow_raddr = owner_t'(cmd_i.owner);
          own_rd_owner_d = owner_t'(cmd_i.owner);
          trace_d = '{valid: 1'b1, kind: TrCommand, slot: '0, data: cmd_i.tag};
          st_d = StCmd;
          if (cmd_i.opcode == OpPromote) begin
            st_d = StG1;
            g_d = '0;
            g_d.source = SrcCommand;
            g_d.bad_owner = cmd_i.owner >= 16'(Owners);
            g_d.bad_range = cmd_i.first >= 32'(Positions);
            g_d.bad_profile = cmd_i.profile >= 16'(Profiles);
            g_d.owner = owner_t'(cmd_i.owner);
            g_d.position = pos_t'(cmd_i.first);
            g_d.profile = profile_t'(cmd_i.profile);
            g_d.deadline = cycle_t'(cmd_i.arg0);
            g_d.not_before = cycle_t'(cmd_i.arg1);
            g_d.dwell = cmd_i.arg2[15:0];
            g_d.tier = cmd_i.arg2[18:16];
          end
        end else if (!none_want) begin
          turn_d = chosen_class + ClassW'(1);
          row_re = 1'b1;
          unique case (class_e'(chosen_class))
            EcEnd: begin
              end_d = end_i;
              slot_d = end_i.slot;
              row_raddr = end_i.slot;
              trace_d = '{valid: 1'b1, kind: TrEnd, slot: end_i.slot, data: '0};
              st_d = StEnd;
            end
            EcProgress: begin
              mark_d = progress_i.watermark;
              slot_d = progress_i.slot;
              row_raddr = progress_i.slot;
              trace_d = '{valid: 1'b1, kind: TrProgress, slot: progress_i.slot, data: '0};
              st_d = StProg;
            end
            EcWalk: begin
              walk_d = walk_rsp_i;
              slot_d = walks_head;
              row_raddr = walks_head;
              trace_d = '{valid: 1'b1, kind: TrWalk, slot: walks_head, data: '0};
              st_d = StWalk;
            end
            EcFill: begin
              slot_d = fill_head;
              row_raddr = fill_head;
              st_d = StFill;
            end
            EcFree: begin
              slot_d = free_head;
              row_raddr = free_head;
              st_d = StFreeRow;
            end
            EcScore: begin
              rsp_d = rsp_i;
              slot_d = sw_q.row;
              row_raddr = sw_q.row;
              orow_re = 1'b1;
              orow_raddr = sw_q.owner;
              if (sw_q.phase == PhScore) begin
                trace_d = '{valid: 1'b1, kind: TrScore, slot: sw_q.row, data: '0};
                st_d = StScore1;
              end else begin
                trace_d = '{valid: 1'b1, kind: TrTop, slot: '0, data: '0};
                if (rsp_i.last) sw_d.phase = PhFree;
                if (rsp_i.valid) begin
                  // The slot choice of a candidate looks at the region of the owner's profile, as a grant does.
                  g_d = '0;
                  g_d.source = SrcTop;
                  g_d.owner = sw_q.owner;
                  g_d.position = rsp_i.position;
                  g_d.profile = sw_q.profile;
                  g_d.dwell = (cfg_i.t_pin != '1 && rsp_i.score >= cfg_i.t_pin) ? DwellPinned : cfg_i.n_dwell;
                  g_d.e = {rsp_i.score, EShift'(0)};
                  st_d = sw_q.prefill ? StG1 : StCand1;
                end
              end
            end
            EcWait: begin
              done_push = 1'b1;
              done_status = wait_status;
              done_value0 = 32'(wait_count);
              done_tag = wait_tag;
              done_opcode = OpWaitPromotions;
              done_start = wait_start;
            end
            EcPlan: begin
              verdict_d = pl_which;
              orow_re = 1'b1;
              orow_raddr = pl_owner;
              if (pl_is_verdict) st_d = StVerdict1;
              else begin
                g_d = pl_grant;
                trace_d = '{valid: 1'b1, kind: TrPlanItem, slot: slot_t'(pl_which), data: 16'(pl_grant.late)};
                st_d = StG1;
              end
            end
            default: begin  // EcSweep
              row_raddr = sw_q.row;
              slot_d = sw_q.row;
              burst_d = '0;
              if (!sweeping_q) begin
                press_d = 1'b0;
                sweeping_d = 1'b1;
                sw_d = '0;
                sw_d.kind = SwPressure;
                sw_d.phase = PhRows;
                sw_d.owner = press_owner_q;
                sw_d.profile = press_profile_q;
                sw_d.any_profile = press_any_q;
                sw_d.plan = press_plan_q;
              end else begin
                unique case (sw_q.phase)
                  PhBatch: begin
                    sw_d.scored = batch_wanted && batch_here;
                    if (!sw_q.prefill) sw_d.phase = PhRows;
                    else sw_d.phase = sw_d.scored ? PhTopAsk : PhFree;
                  end
                  PhRows:  st_d = StRow;
                  PhTopAsk: begin
                    orow_re = 1'b1;
                    orow_raddr = sw_q.owner;
                    st_d = StTopCount;
                  end
                  PhFree: begin
                    sw_d.phase = PhDone;
                    if (sw_q.scored || (!sw_q.no_scores && batch_here)) begin
                      sc_valid_d = 1'b1;
                      sc_d = '0;
                      sc_d.op = ScFree;
                    end
                  end
                  PhPick: begin
                    row_raddr = sw_q.best_slot;
                    slot_d = sw_q.best_slot;
                    orow_re = 1'b1;
                    orow_raddr = sw_q.owner;
                    st_d = StPick;
                  end
                  PhFence: sw_d.phase = PhDone;
                  default: begin  // PhDone
                    sweeping_d = 1'b0;
                    done_push = 1'b1;
                    done_tag = sw_q.tag;
                    done_opcode = sw_q.opcode;
                    done_start = sw_q.start;
                    done_value0 = 32'(sw_q.taken);
                    if (sw_q.kind == SwStep) begin
                      done_value0 = {sw_q.evicted, sw_q.promoted};
                      done_value1 = 64'(sw_q.scored);
                    end else if ((sw_q.kind == SwLetGo || sw_q.kind == SwAbort) && sw_q.taken == '0) begin
                      done_status = StNotResident;
                    end
                    trace_d = '{valid: 1'b1, kind: TrSweepEnd, slot: '0, data: sw_q.tag};
                  end
                endcase
              end
            end
          endcase
        end
      end

      // -------------------------------------------------------------------------------------------------- commands
      StCmd: begin
        own_d = orow_rdata;
        unique case (cmd_q.opcode)
          OpSetOwner: begin
            orow_re = 1'b1;
            orow_raddr = owner_t'(so_prefix_owner);
            st_d = StOwner2;
          end
          OpSetLength: begin
            new_length_d = len_t'(cmd_q.first);
            new_committed_d = len_t'(cmd_q.count);
            new_level_d = orow_rdata.level;
            if (refused_owner) done_status = StBadOwner;
            else if (cmd_q.count > cmd_q.first || cmd_q.first > 32'(Positions) ||
                     cmd_q.count < 32'(orow_rdata.committed))
              done_status = StBadRange;
            else if (orow_rdata.level != '0 && cmd_q.count != 32'(orow_rdata.committed)) done_status = StWindow;
            else st_d = StLength2;
            cmd_done = st_d != StLength2;
          end
          OpOpen, OpCommit: begin
            new_length_d = orow_rdata.length;
            new_committed_d = orow_rdata.committed;
            if (cmd_q.opcode == OpOpen) begin
              new_level_d = orow_rdata.level + 2'd1;
              if (refused_owner) done_status = StBadOwner;
              else if (orow_rdata.level == 2'(Windows)) done_status = StWindow;
              else if (orow_rdata.level == '0 && !room_owner) done_status = StLogFull;
              else st_d = StLength2;
            end else begin
              new_level_d = orow_rdata.level - 2'd1;
              if (orow_rdata.level == 2'd1) new_committed_d = orow_rdata.committed + len_t'(cmd_q.count);
              if (refused_owner) done_status = StBadOwner;
              else if (orow_rdata.level == '0) done_status = StWindow;
              else if (orow_rdata.level == 2'd1 &&
                       33'(orow_rdata.committed) + 33'(cmd_q.count) > 33'(orow_rdata.length))
                done_status = StBadRange;
              else st_d = StLength2;
            end
            if (st_d == StLength2 && orow_rdata.level == 2'(cmd_q.opcode == OpCommit)) begin  // the outermost
              rec_push = 1'b1;
              rec_in.event_.kind = EvWindow;
              rec_in.event_.cause = (cmd_q.opcode == OpOpen) ? StWindow : (cmd_q.count != '0) ? StOk : StAborted;
              rec_in.event_.owner = cmd_q.owner;
              rec_in.event_.position = (cmd_q.opcode == OpOpen) ? 32'(orow_rdata.committed) : cmd_q.count;
              count_d.rollback = cmd_q.opcode == OpCommit && cmd_q.count == '0;
            end
            cmd_done = st_d != StLength2;
          end
          OpSetProfile: st_d = StProfile;
          OpLetGo, OpAbort: begin
            if (refused_owner) done_status = StBadOwner;
            else if (bad_span) done_status = StBadRange;
            else if (orow_rdata.level != '0) done_status = StWindow;
            else if (orow_rdata.refs != '0) done_status = StBusy;
            else begin
              sweep_start = 1'b1;
              sw_d = '0;
              sw_d.kind = (cmd_q.opcode == OpLetGo) ? SwLetGo : SwAbort;
              sw_d.phase = PhRows;
              sw_d.first = pos_t'(cmd_q.first);
              sw_d.last = pos_t'(span_end - 33'd1);
            end
            cmd_done = !sweep_start;
          end
          OpRetire: begin
            if (!cmd_q.flags[0] && refused_owner) done_status = StBadOwner;
            else if (!cmd_q.flags[0] && bad_span) done_status = StBadRange;
            else begin
              sweep_start = 1'b1;
              sw_d = '0;
              sw_d.kind = SwRetire;
              sw_d.phase = PhRows;
              sw_d.all = cmd_q.flags[0];
              sw_d.first = cmd_q.flags[0] ? '0 : pos_t'(cmd_q.first);
              sw_d.last = cmd_q.flags[0] ? '1 : pos_t'(span_end - 33'd1);
              retire_d = '{valid: 1'b1, all: sw_d.all, owner: cmd_owner, first: sw_d.first, last: sw_d.last};
              keep_d = 1'b1;
              fence_d = 1'b1;
              pulse_owner_d = cmd_owner;
            end
            cmd_done = !sweep_start;
          end
          OpStepEnd: begin
            if (refused_owner) done_status = StBadOwner;
            else if (orow_rdata.level != '0) done_status = StWindow;
            else begin
              orow_re = 1'b1;
              orow_raddr = orow_rdata.prefix_owner;
              st_d = StStep2;
            end
            cmd_done = st_d != StStep2;
          end
          OpWaitPromotions: begin
            cmd_done = 1'b1;
            if (!cmd_q.flags[0] && refused_owner) done_status = StBadOwner;
            else if (cmd_q.flags[1]) begin
              cmd_done = cmd_q.flags[0] || cmd_q.first >= 32'(Positions);
              done_status = cmd_q.flags[0] ? StBadCommand : StBadRange;
              if (!cmd_done) st_d = StWait2;
            end else if (cmd_q.flags[0] ? fills_q == '0 : orow_rdata.pending == '0) begin
              wait_now = 1'b1;
              done_status = cmd_q.flags[0] ? all_worst_q : orow_rdata.worst;
              done_value0 = 32'(cmd_q.flags[0] ? all_ended_q : orow_rdata.ended);
              orow_we = !cmd_q.flags[0];
              orow_loop = orow_rdata;
              orow_loop.worst = StOk;
              orow_loop.ended = '0;
            end else if (!waits_room) done_status = StBusy;
            else begin
              wait_add = 1'b1;
              cmd_done = 1'b0;
              st_d = StIdle;
            end
          end
          OpPlan: begin
            cmd_done = refused_owner;
            done_status = StBadOwner;
            if (!refused_owner) st_d = StPlan2;
          end
          default: begin
            cmd_done = 1'b1;
            done_status = StBadCommand;
          end
        endcase
      end

      // A wait for one token: its slot is asked for, then that slot's promotion is waited for.
      StWait2: begin
        tag_valid_d = 1'b1;
        tag_d = '0;
        tag_d.op = TagFind;
        tag_d.owner = (own_q.prefix_valid && cmd_q.first < 32'(own_q.prefix_len)) ? own_q.prefix_owner : cmd_owner;
        tag_d.granule = gran_t'(cmd_q.first >> 4);
        tag_d.token = cmd_q.first[3:0];
        st_d = StWait3;
      end
      StWait3: begin
        row_raddr = tag_ack_i.slot;
        if (tag_ack_valid_i) begin
          row_re = 1'b1;
          slot_d = tag_ack_i.slot;
          st_d   = StWait4;
          if (tag_ack_i.status != StOk) begin
            cmd_done = 1'b1;
            done_status = StNotResident;
          end
        end
      end
      StWait4: begin
        done_value0 = 32'(slot_q);
        cmd_done = row_rdata.state != SlFilling || !waits_room;
        done_status = (row_rdata.state == SlFilling) ? StBusy : StOk;
        wait_add = !cmd_done;
        st_d = StIdle;
      end

      // Plan commands; lim_q: what a commit is checked against.
      StPlan2: begin
        lim_d = limits;
        st_d  = StPlan3;
      end
      StPlan3: begin
        done_status = pl_status;
        done_value0 = pl_value0;
        done_value1 = pl_value1;
        if (pl_check && own_q.level != '0) done_status = StWindow;
        else pl_act = 1'b1;
        cmd_done = !pl_check || done_status != StOk;
        st_d = StIdle;
        if (done_status == StOk && plan_kind_e'(cmd_q.flags[2:0]) == PkDrop) begin
          reserve_d = reserve_q - minus(pv.slots, cnt_t'(own_q.used_plan));
          minimum_d = minimum_q - pv.entries;
          p_reserve_d[own_q.profile] = p_reserve_q[own_q.profile] - minus(pv.slots, cnt_t'(own_q.used_plan));
          p_minimum_d[own_q.profile] = p_minimum_q[own_q.profile] - pv.slots;
          if (sweeping_q && sw_q.kind == SwPressure) sw_d.dirty = 1'b1;
        end
      end

      // A plan was checked. It holds if there still is the room that it was checked against; else it is checked again.
      StVerdict1: begin
        own_d = orow_rdata;
        st_d  = StVerdict2;
      end
      StVerdict2: begin
        lim_d = limits;
        st_d  = StVerdict3;
      end
      StVerdict3: begin
        st_d = StIdle;
        done_tag = pl_tag;
        done_start = pl_start;
        done_opcode = OpPlan;
        trace_d = '{valid: 1'b1, kind: TrPlanEnd, slot: slot_t'(verdict_q), data: 16'd0};
        if (!pl_fits) begin
          pl_free = 1'b1;
          done_push = 1'b1;
          done_status = StNoPlan;
          done_value0 = pl_bad_item;
          done_value1 = 64'(pl_bad_reason);
        end else if (pl_slots <= lim_q.slots && pl_slots <= lim_q.rows && pl_entries <= lim_q.entries && pl_same) begin
          pl_accept = 1'b1;
          done_push = 1'b1;
          done_value0 = 32'(pl_slots);
          done_value1 = 64'(pl_entries);
          trace_d.data = 16'd1;
          reserve_d = reserve_q + pl_slots;
          minimum_d = minimum_q + pl_entries;
          p_reserve_d[own_q.profile] = p_reserve_q[own_q.profile] + pl_slots;
          p_minimum_d[own_q.profile] = p_minimum_q[own_q.profile] + pl_slots + cnt_t'(own_q.used_plan);
          if (sweeping_q && sw_q.kind == SwPressure) sw_d.dirty = 1'b1;
        end else begin
          pl_again = 1'b1;
          trace_d.kind = TrPlanStart;
        end
      end

      StProfile: begin
        cmd_done = profile_done;
        done_status = profile_status;
      end

      // set_length, open and commit change lengths and level
      StLength2: begin
        orow_we = 1'b1;
        orow_loop = own_q;
        orow_loop.length = new_length_q;
        orow_loop.committed = new_committed_q;
        orow_loop.level = new_level_q;
        own_wr_d = 1'b1;
        own_wr_owner_d = cmd_owner;
        own_wr_ctx_d = own_rd_ctx_i;
        own_wr_ctx_d.length = new_length_q;
        own_wr_ctx_d.committed = new_committed_q;
        cmd_done = 1'b1;
      end

      StStep2: begin
        keep_d = 1'b1;
        pulse_owner_d = cmd_owner;
        sweep_start = 1'b1;
        pl_step = !cmd_q.flags[0];
        batch_wait_d = '0;
        sw_d = '0;
        sw_d.kind = SwStep;
        sw_d.phase = PhBatch;
        sw_d.prefill = cmd_q.flags[0];
        sw_d.no_scores = cmd_q.flags[1];
        sw_d.referenced = own_q.refs != '0;
        sw_d.profile = own_q.profile;
        sw_d.prefix_valid = own_q.prefix_valid;
        sw_d.prefix_owner = own_q.prefix_owner;
        sw_d.prefix_len = own_q.prefix_len;
        sw_d.prefix_tick = own_q.prefix_valid && orow_rdata.level == '0;
      end

      StOwner2: begin
        named_d = orow_rdata;
        new_share_d = so_set ? minus(so_min, cnt_t'(own_q.used_own)) : '0;
        old_share_d = minus(cnt_t'(own_q.slot_min), cnt_t'(own_q.used_own));
        st_d = StOwner3;
      end
      StOwner3: begin
        status_d = so_status;
        st_d = StOwner4;
      end
      StOwner4: begin
        done_status = status_q;
        cmd_done = status_q != StOk;
        st_d = StOwner5;
        if (!cmd_done) begin
          // Totals first without this owner, then with it as it will be.
          reserve_d = reserve_q - old_share_q + new_share_q;
          minimum_d = minimum_q - cnt_t'(own_q.slot_min) + (so_set ? so_min : '0);
          p_reserve_d[own_q.profile] = p_reserve_q[own_q.profile] - old_share_q;
          p_minimum_d[own_q.profile] = p_minimum_q[own_q.profile] - cnt_t'(own_q.slot_min);
          if (!so_set) begin  // with the owner goes its plan
            pl_drop = 1'b1;
            reserve_d = reserve_d - minus(pv.slots, cnt_t'(own_q.used_plan));
            minimum_d = minimum_d - pv.entries;
            p_reserve_d[own_q.profile] = p_reserve_d[own_q.profile] - minus(pv.slots, cnt_t'(own_q.used_plan));
            p_minimum_d[own_q.profile] = p_minimum_d[own_q.profile] - pv.slots;
          end
          if (so_set) begin
            p_reserve_d[so_p] = p_reserve_d[so_p] + new_share_q;
            p_minimum_d[so_p] = p_minimum_d[so_p] + so_min;
          end
          rec_push = 1'b1;
          rec_in.event_.kind = EvOwner;
          rec_in.event_.cause = so_set ? StOk : StRetired;
          rec_in.event_.owner = cmd_q.owner;
          rec_in.event_.position = so_set ? cmd_q.count : '0;

          orow_we = 1'b1;
          orow_loop = own_q;  // used slots, fills and references stay
          orow_loop.valid = so_set;
          orow_loop.level = '0;
          orow_loop.prefix_valid = so_set && cmd_q.flags[2];
          orow_loop.slot_min = '0;
          orow_loop.slot_max = '0;
          if (so_set) begin
            orow_loop.is_public = cmd_q.flags[1];
            orow_loop.tenant = so_tenant;
            orow_loop.length = len_t'(cmd_q.first);
            orow_loop.committed = len_t'(cmd_q.count);
            orow_loop.prefix_owner = owner_t'(so_prefix_owner);
            orow_loop.prefix_len = so_prefix_len;
            orow_loop.profile = so_p;
            orow_loop.slot_min = slots_t'(so_min);
            orow_loop.slot_max = slots_t'(so_max);
            orow_loop.worst = StOk;
            orow_loop.ended = '0;
          end

          own_wr_d = 1'b1;
          own_wr_owner_d = cmd_owner;
          own_wr_ctx_d = '0;
          if (so_set) begin
            own_wr_ctx_d.valid = 1'b1;
            own_wr_ctx_d.is_public = cmd_q.flags[1];
            own_wr_ctx_d.tenant = so_tenant;
            own_wr_ctx_d.table_base = addr_t'(cmd_q.arg0);
            own_wr_ctx_d.length = len_t'(cmd_q.first);
            own_wr_ctx_d.committed = len_t'(cmd_q.count);
            own_wr_ctx_d.prefix_valid = cmd_q.flags[2];
            own_wr_ctx_d.prefix_owner = owner_t'(so_prefix_owner);
            own_wr_ctx_d.prefix_len = so_prefix_len;
            own_wr_ctx_d.profile = so_p;
            own_wr_ctx_d.slot_min = slots_t'(so_min);
            own_wr_ctx_d.slot_max = slots_t'(so_max);
          end

          sw_d = '0;
          sw_d.kind = SwRetire;
          sw_d.phase = PhRows;
          sw_d.first = '0;
          sw_d.last = '1;
          if (own_q.valid) begin
            retire_d = '{valid: 1'b1, all: 1'b0, owner: cmd_owner, first: '0, last: '1};
            keep_d = 1'b1;
            fence_d = 1'b1;
            flush_d = 1'b1;
            pulse_owner_d = cmd_owner;
          end
        end
      end
      // the new prefix owner gains a reference, then the old one loses its own
      StOwner5: begin
        if (so_set && cmd_q.flags[2]) begin
          orow_we = 1'b1;
          orow_waddr = owner_t'(so_prefix_owner);
          orow_loop = named_q;
          orow_loop.refs = named_q.refs + ($clog2(Owners) + 1)'(1);
          count_d.referenced = 1'b1;
        end
        st_d = StOwner6;
      end
      StOwner6: begin
        orow_re = 1'b1;
        orow_raddr = own_q.prefix_owner;
        st_d = StOwner7;
      end
      StOwner7: begin
        if (own_q.valid && own_q.prefix_valid) begin
          orow_we = 1'b1;
          orow_waddr = own_q.prefix_owner;
          orow_loop = orow_rdata;
          orow_loop.refs = orow_rdata.refs - ($clog2(Owners) + 1)'(1);
          count_d.released = 1'b1;
          if (orow_rdata.refs == ($clog2(Owners) + 1)'(1)) begin
            sw_d.demote = 1'b1;
            sw_d.demote_owner = own_q.prefix_owner;
          end
        end
        st_d = StOwner8;
      end
      StOwner8: begin
        if (own_q.valid) sweep_start = 1'b1;
        else cmd_done = 1'b1;
      end

      // ----------------------------------------------------------------------------------------------------- grant
      StG1: begin
        named_d = orow_rdata;
        g_d.effective = (orow_rdata.prefix_valid && len_t'(g_q.position) < orow_rdata.prefix_len) ?
            orow_rdata.prefix_owner : g_q.owner;
        orow_re = 1'b1;
        orow_raddr = g_d.effective;
        st_d = StG2;
      end
      StG2: begin
        own_d = orow_rdata;
        gv_d = pv;
        gv_share_d = minus(pv.slots, cnt_t'(orow_rdata.used_plan));
        st_d = StG3;
      end
      StG3: begin
        status_d = refusal;
        shortage_d = shortage;
        guaranteed_d = guaranteed;
        slot_d = (g_q.source == SrcCandidate) ? g_q.slot : pick_slot;
        if (refusal != StOk) st_d = StGFinish;
        else begin
          tag_valid_d = 1'b1;
          tag_d = '0;
          tag_d.op = (shortage == StOk) ? TagInstall : TagFind;
          tag_d.owner = g_q.effective;
          tag_d.granule = g_q.position[PosW-1:4];
          tag_d.token = g_q.position[3:0];
          tag_d.slot = slot_d;
          tag_d.profile = g_q.profile;
          st_d = StG4;
        end
      end
      StGFinish: begin
        fin = 1'b1;
        fin_status = status_q;
      end
      StG4: begin
        row_raddr = tag_ack_i.slot;
        if (tag_ack_valid_i) begin
          if (tag_ack_i.status == StAlready || (shortage_q != StOk && tag_ack_i.status == StOk)) begin
            row_re = 1'b1;
            slot_d = tag_ack_i.slot;
            st_d   = StGAlready;
          end else if (shortage_q != StOk || tag_ack_i.status != StOk) begin
            fin = 1'b1;
            fin_status = (shortage_q != StOk) ? shortage_q : StNoEntry;
          end else begin
            fin = 1'b1;
            fin_slot = slot_q;
            fin_entry = tag_ack_i.entry;
            own_part = g_q.profile == own_q.profile && g_q.source != SrcPlan;
            row_we = 1'b1;
            row_wdata = '0;
            row_wdata.state = SlFilling;
            row_wdata.epoch = epoch_q;
            row_wdata.own = own_part;
            row_wdata.planned = g_q.source == SrcPlan;
            row_wdata.strict = g_q.strict;
            row_wdata.owner = g_q.effective;
            row_wdata.position = g_q.position;
            row_wdata.profile = g_q.profile;
            row_wdata.dwell = g_q.dwell;
            row_wdata.e = g_q.e;
            row_wdata.run_up = g_q.run_up;
            row_wdata.run_down = g_q.run_down;
            row_wdata.entry = tag_ack_i.entry;
            row_wdata.deadline = g_q.deadline;
            row_wdata.not_before = g_q.not_before;
            row_wdata.tier = g_q.tier;
            row_wdata.stage = SgQueued;
            map_set = 1'b1;
            orow_we = 1'b1;
            orow_waddr = g_q.effective;
            orow_loop.used = own_q.used + slots_t'(1);
            orow_loop.used_own = own_q.used_own + slots_t'(own_part);
            orow_loop.used_plan = own_q.used_plan + slots_t'(g_q.source == SrcPlan);
            orow_loop.pending = own_q.pending + slots_t'(1);
            used_d = used_q + cnt_t'(1);
            fills_d = fills_q + cnt_t'(1);
            p_used_d[g_q.profile] = p_used_q[g_q.profile] + cnt_t'(1);
            if (guaranteed_q) begin
              reserve_d = reserve_q - cnt_t'(1);
              p_reserve_d[g_q.profile] = p_reserve_q[g_q.profile] - cnt_t'(1);
            end
            fill_push = 1'b1;
            rec_push = 1'b1;
            rec_in.event_.kind = EvGrant;
            rec_in.event_.owner = 16'(g_q.effective);
            rec_in.event_.position = 32'(g_q.position);
            rec_in.event_.slot = 16'(slot_q);
            count_d.granted = 1'b1;
          end
        end
      end
      StGAlready: begin
        fin = 1'b1;
        fin_slot = slot_q;
        fin_entry = row_rdata.entry;
        if (!covers(profiles[row_rdata.profile], pf)) fin_status = StBadProfile;
        else begin
          fin_status = StAlready;
          row_we = 1'b1;
          row_wdata = row_rdata;
          row_wdata.ticked = row_rdata.ticked || tick_due;
          row_wdata.dwell = ticked(row_rdata.dwell, row_rdata.ticked, tick_due);
          if (g_q.dwell > row_wdata.dwell) row_wdata.dwell = g_q.dwell;
        end
      end

      // -------------------------------------------------------------------------------------------- DMA and walker
      StEnd: begin
        row_d = row_rdata;
        row_d.stage = SgNone;
        orow_re = 1'b1;
        orow_raddr = row_rdata.owner;
        count_d.deadline_missed = end_q.status == StDeadline;
        st_d = StIdle;
        if (row_rdata.state == SlFilling) begin
          if (end_q.status == StOk || end_q.status == StDeadline) begin
            tag_valid_d = 1'b1;
            tag_d = tag_of(TagWatermark, row_rdata, slot_q, '1);
            st_d = StEndAck;
          end else begin
            lv_kind_d = EvFailed;
            lv_cause_d = end_q.status;
            lv_tag_d = 1'b1;
            st_d = StLeave;
          end
        end else begin
          row_we = 1'b1;
          row_wdata = row_d;
        end
      end
      StEndAck:
      if (tag_ack_valid_i) begin
        st_d   = StIdle;
        row_we = 1'b1;
        if (tag_ack_i.status == StOk) begin
          row_wdata.state = SlResident;
          fill_end = 1'b1;
          fill_end_status = end_q.status;
          rec_push = 1'b1;
          rec_in.event_.kind = EvResident;
          rec_in.event_.cause = end_q.status;
          rec_in.event_.owner = 16'(row_q.owner);
          rec_in.event_.position = 32'(row_q.position);
          rec_in.event_.word = 32'(row_q.word);
          rec_in.event_.slot = 16'(slot_q);
          count_d.resident = 1'b1;
          if (sweeping_q && sw_q.kind == SwPressure && row_q.owner == sw_q.owner) sw_d.dirty = 1'b1;
        end
        // else it was retired, and the sweep that comes to it decides
      end

      StProg: begin
        st_d = StIdle;
        if (row_rdata.state == SlFilling) begin
          tag_valid_d = 1'b1;
          tag_d = tag_of(TagWatermark, row_rdata, slot_q, mark_q);
          st_d = StProgAck;
        end
      end
      StProgAck: if (tag_ack_valid_i) st_d = StIdle;

      StWalk: begin
        row_d   = row_rdata;
        mul_a_d = EW'(profiles[row_rdata.profile].slot_beats);
        mul_b_d = MulBW'(slot_q - profiles[row_rdata.profile].slot_first);
        if (row_rdata.state != SlFilling) begin
          row_we = 1'b1;
          row_wdata = row_rdata;
          row_wdata.stage = SgNone;
          st_d = StIdle;
        end else if (walk_q.status != StOk || !walk_q.committed) begin
          row_d.stage = SgNone;
          if (walk_q.status == StOk) row_d.word = walk_q.word;
          lv_kind_d = EvFailed;
          lv_cause_d = (walk_q.status != StOk) ? walk_q.status : StBadRange;
          lv_tag_d = 1'b1;
          st_d = StLeave;
        end else begin
          row_d.word = walk_q.word;
          tag_valid_d = 1'b1;
          tag_d = tag_of(TagSetWord, row_rdata, slot_q, '0);
          tag_d.word = walk_q.word;
          st_d = StWalkAck;
        end
      end
      StWalkAck:
      if (tag_ack_valid_i) begin
        if (tag_ack_i.status == StOk) begin
          row_we = 1'b1;
          row_wdata.stage = SgDma;
          desc_valid_d = 1'b1;
          desc_d = '{
              slot: slot_q,
              profile: row_q.profile,
              owner: row_q.owner,
              position: row_q.position,
              word: row_q.word,
              sram_base: profiles[row_q.profile].sram_base + sram_addr_t'(product_q),
              tier: row_q.tier,
              deadline: row_q.deadline
          };
          st_d = StIdle;
        end else begin
          row_d.stage = SgNone;
          row_we = 1'b1;
          row_wdata.stage = SgNone;
          lv_kind_d = EvFailed;
          lv_cause_d = tag_ack_i.status;
          lv_tag_d = 1'b1;
          // StNotResident: it was retired, and the sweep that comes to it decides
          st_d = (tag_ack_i.status == StNotResident) ? StIdle : StLeave;
        end
      end

      StFill: begin
        st_d = StIdle;
        trace_d = '{valid: 1'b1, kind: TrFill, slot: slot_q, data: '0};
        row_wdata = row_rdata;
        if (row_rdata.state != SlFilling) begin
          row_we = 1'b1;
          row_wdata.stage = SgNone;
          trace_d.data = 16'd2;
        end else if (row_rdata.strict && row_rdata.deadline <= now_i) begin
          row_d = row_rdata;
          row_d.stage = SgNone;
          trace_d.data = 16'd3;
          count_d.deadline_missed = 1'b1;
          lv_kind_d = EvFailed;
          lv_cause_d = StDeadline;
          lv_tag_d = 1'b1;
          st_d = StLeave;
        end else if (row_rdata.not_before > now_i) begin
          trace_d.data = 16'd1;
          fill_push = 1'b1;
        end else begin
          row_we = 1'b1;
          row_wdata.stage = SgWalker;
          walks_push = 1'b1;
          walk_valid_d = 1'b1;
          walk_req_d = '{owner: row_rdata.owner, position: row_rdata.position};
        end
      end

      // --------------------------------------------------------------------------------------- a slot leaves, is freed
      StLeave: begin
        orow_re = 1'b1;
        orow_raddr = row_q.owner;
        tag_valid_d = lv_tag_q;
        tag_d = tag_of(TagRemove, row_q, slot_q, '0);
        st_d = StLeaveAck;
      end
      StLeaveAck:
      if (tag_ack_valid_i || !lv_tag_q) begin
        st_d = StIdle;
        row_we = 1'b1;
        row_wdata.state = SlLeaving;
        row_wdata.leave_serial = list_serial_i;
        rec_push = 1'b1;
        rec_in.leaves = 1'b1;
        rec_in.event_.kind = lv_kind_q;
        rec_in.event_.cause = lv_cause_q;
        rec_in.event_.owner = 16'(row_q.owner);
        rec_in.event_.position = 32'(row_q.position);
        rec_in.event_.word = 32'(row_q.word);
        rec_in.event_.slot = 16'(slot_q);
        // Retired, and failed before the sweep came to it: it is one of the retired.
        if (sweeping_q && sw_q.kind == SwRetire && row_q.epoch != epoch_q && (sw_q.all || row_q.owner == sw_q.owner) &&
            row_q.position >= sw_q.first && row_q.position <= sw_q.last)
          sw_d.taken = sw_q.taken + cnt_t'(1);
        if (row_q.state == SlFilling) begin
          fill_end = 1'b1;
          fill_end_status = lv_cause_q;
          abort_push = row_q.stage == SgDma;
          count_d.failed = 1'b1;
        end else begin
          count_d.left = 1'b1;
          count_d.evicted = lv_cause_q == StEvicted || lv_cause_q == StThreshold;
        end
      end

      StFreeRow: begin
        row_d = row_rdata;
        orow_re = 1'b1;
        orow_raddr = row_rdata.owner;
        if (row_rdata.stage != SgNone || readers || aborting) begin
          free_again = 1'b1;
          st_d = StIdle;
        end else st_d = StFreeOwner;
      end
      StFreeOwner: begin
        row_we = 1'b1;
        row_wdata = '0;
        row_wdata.epoch = row_q.epoch;
        map_set = 1'b1;
        map_free = 1'b1;
        orow_we = 1'b1;
        orow_waddr = row_q.owner;
        orow_loop = orow_rdata;
        orow_loop.used = orow_rdata.used - slots_t'(1);
        used_d = used_q - cnt_t'(1);
        p_used_d[row_q.profile] = p_used_q[row_q.profile] - cnt_t'(1);
        if (row_q.planned) begin
          orow_loop.used_plan = orow_rdata.used_plan - slots_t'(1);
          if (cnt_t'(orow_rdata.used_plan) <= pv.slots) begin
            reserve_d = reserve_q + cnt_t'(1);
            p_reserve_d[row_q.profile] = p_reserve_q[row_q.profile] + cnt_t'(1);
          end
        end
        if (row_q.own) begin
          orow_loop.used_own = orow_rdata.used_own - slots_t'(1);
          if (orow_rdata.used_own <= orow_rdata.slot_min) begin
            reserve_d = reserve_q + cnt_t'(1);
            p_reserve_d[row_q.profile] = p_reserve_q[row_q.profile] + cnt_t'(1);
          end
        end
        trace_d = '{valid: 1'b1, kind: TrFree, slot: slot_q, data: '0};
        st_d = StIdle;
      end

      // ----------------------------------------------------------------------------------------------------- sweep
      StRow: begin
        row_d = row_rdata;
        row_d.epoch = epoch_q;
        row_d.ticked = 1'b0;
        slot_d = sw_q.row;
        row_waddr = sw_q.row;
        row_wdata = row_d;
        map_slot = sw_q.row;
        map_free = 1'b1;
        burst_d = (burst_q == 5'(SweepBurst)) ? burst_q : burst_q + 5'd1;
        st_d = StIdle;
        if (row_take) begin
          sw_d.taken = sw_q.taken + cnt_t'(1);
          lv_kind_d = (row_rdata.state == SlFilling) ? EvFailed : EvLeave;
          lv_cause_d = (row_rdata.state == SlFilling) ? StAborted : (sw_q.kind == SwRetire) ? StRetired : StCommand;
          lv_tag_d = sw_q.kind != SwRetire;
          trace_d = '{valid: 1'b1, kind: TrRow, slot: sw_q.row, data: '0};
          sweep_next = 1'b1;
          st_d = StLeave;
        end else if (row_score) begin
          sc_valid_d = 1'b1;
          sc_d = '0;
          sc_d.op = ScRead;
          sc_d.position = row_rdata.position;
          sc_d.mark = 1'b1;
          sw_d.phase = PhScore;
        end else begin
          sweep_next = 1'b1;
          if (sw_q.kind == SwPressure) begin
            if (row_better) begin
              sw_d.best_valid = 1'b1;
              sw_d.best_slot = sw_q.row;
              sw_d.best_position = row_rdata.position;
              sw_d.best_e = row_rdata.e;
            end
          end else begin
            row_we = 1'b1;
            if (row_tick) row_wdata.dwell = ticked(row_rdata.dwell, row_rdata.ticked, 1'b1);
            if (row_demote) row_wdata.dwell = DwellBestEffort;
            if (row_drop) begin
              row_wdata.cand = 1'b0;
              map_set = 1'b1;
              trace_d = '{valid: 1'b1, kind: TrRow, slot: sw_q.row, data: '0};
            end
          end
          if (sw_q.row != SlotLast && !sweep_yields) begin
            row_re = 1'b1;
            row_raddr = sw_q.row + slot_t'(1);
            st_d = StRow;
          end
        end
      end

      // A score has come: the row may have left or given way meanwhile.
      StScore1: begin
        row_d = row_rdata;
        row_d.epoch = epoch_q;
        row_d.ticked = 1'b0;
        row_d.dwell = ticked(row_rdata.dwell, row_rdata.ticked, row_rdata.owner == sw_q.owner || sw_q.prefix_tick);
        mul_a_d = distance(row_rdata.e, rsp_q.score);
        mul_b_d = beta_of(cfg_i.alpha);
        st_d = StScore2;
        if (row_rdata.epoch == epoch_q || row_rdata.state == SlLeaving ||
            (row_rdata.state == SlFree && !row_rdata.cand) || row_rdata.owner != sw_q.owner) begin
          row_we = 1'b1;
          row_wdata = row_d;
          if (row_rdata.epoch == epoch_q || row_rdata.state == SlLeaving || row_rdata.state == SlFree) begin
            row_wdata.dwell = row_rdata.dwell;
          end
          sweep_next = 1'b1;
          st_d = StIdle;
        end
      end
      StScore2: st_d = StScore3;
      StScore3: begin
        row_d.e = e_new;
        row_d.run_up = up_new;
        row_d.run_down = down_new;
        row_we = 1'b1;
        row_wdata = row_d;
        st_d = StIdle;
        if (row_q.state == SlResident && row_q.dwell == DwellBestEffort && !sw_q.referenced &&
            down_new >= cfg_i.n_evict && room_leave && pv.may_evict && !in_region(
                pv, row_q.position
            )) begin
          pl_evicted = 1'b1;
          lv_kind_d = EvLeave;
          lv_cause_d = StThreshold;
          lv_tag_d = 1'b1;
          sw_d.evicted = sw_q.evicted + cnt_t'(1);
          sweep_next = 1'b1;
          st_d = StLeave;
        end else if (row_q.state == SlFree && up_new >= cfg_i.n_promote) begin
          g_d = '0;
          g_d.source = SrcCandidate;
          g_d.owner = sw_q.owner;
          g_d.position = row_q.position;
          g_d.profile = sw_q.profile;
          g_d.dwell = cfg_i.n_dwell;
          g_d.e = e_new;
          g_d.run_up = up_new;
          g_d.run_down = down_new;
          g_d.slot = slot_q;
          orow_re = 1'b1;
          orow_raddr = sw_q.owner;
          st_d = StG1;
        end else begin
          if (row_q.state == SlResident && row_q.dwell == DwellBestEffort && !sw_q.referenced &&
              down_new >= cfg_i.n_evict && room_leave)
            pl_denied_eviction = 1'b1;
          if (row_q.state == SlFree) begin
            sw_d.cands = sw_q.cands + cnt_t'(1);
            if (!sw_q.best_valid || e_new < sw_q.best_e) begin
              sw_d.best_valid = 1'b1;
              sw_d.best_slot = slot_q;
              sw_d.best_position = row_q.position;
              sw_d.best_e = e_new;
            end
          end
          sweep_next = 1'b1;
        end
      end

      StTopCount: begin
        sc_d = '0;
        sc_d.op = ScTop;
        sc_d.count = sw_q.prefill ? len_t'(top_count) : len_t'(1);
        sc_d.threshold = sw_q.prefill ? cfg_i.t_sink : cfg_i.t_promote;
        sc_d.prefill = sw_q.prefill;
        sc_valid_d = !(sw_q.prefill && top_count == '0);
        sw_d.phase = sc_valid_d ? PhTop : PhFree;
        st_d = StTopAsked;
      end

      // The count is of this moment: nothing else is decided before the scorer has it.
      StTopAsked: if (!sc_valid_q) st_d = StIdle;

      // The strongest token without a row becomes a candidate.
      StCand1: begin
        own_d = orow_rdata;
        mul_a_d = distance('0, rsp_q.score);
        mul_b_d = beta_of(cfg_i.alpha);
        st_d = StCand2;
        if (len_t'(g_q.position) >= orow_rdata.committed || !pf.valid ||
            (orow_rdata.prefix_valid && len_t'(g_q.position) < orow_rdata.prefix_len)) begin
          st_d = StIdle;
        end
      end
      StCand2: st_d = StCand3;
      StCand3: begin
        row_d = '0;
        row_d.cand = 1'b1;
        row_d.epoch = epoch_q;
        row_d.owner = g_q.owner;
        row_d.position = g_q.position;
        st_d = StCand4;
      end
      StCand4: begin
        row_d.e = e_new;
        row_d.run_up = run_t'(at_promote);
        row_d.run_down = run_t'(below_evict);
        slot_d = pick_slot;
        st_d = StIdle;
        if (pick_clean && sw_q.cands + cnt_t'(own_q.used) < cnt_t'(own_q.slot_max)) begin
          row_we = 1'b1;
          row_waddr = pick_slot;
          row_wdata = row_d;
          map_set = 1'b1;
          map_slot = pick_slot;
          map_free = 1'b1;
          map_cand = 1'b1;
        end else if (sw_q.best_valid && sw_q.best_e < e_new) begin
          row_re = 1'b1;
          row_raddr = sw_q.best_slot;
          slot_d = sw_q.best_slot;
          st_d = StCandRow;
        end
      end
      StCandRow: begin
        st_d = StIdle;
        if (row_rdata.state == SlFree && row_rdata.cand && row_rdata.owner == sw_q.owner &&
            row_rdata.position == sw_q.best_position)
          row_we = 1'b1;
      end

      // The token got a slot by command meanwhile: its candidate row is FREE and nothing more.
      StCandDrop: begin
        row_we = 1'b1;
        map_set = 1'b1;
        map_free = 1'b1;
        st_d = StIdle;
      end

      // Pressure: the lowest of the owner's best-effort slots leaves, if nothing that was passed has changed.
      StPick: begin
        row_d = row_rdata;
        st_d  = StIdle;
        if (sw_q.dirty || (sw_q.best_valid && !(row_rdata.state == SlResident && row_rdata.dwell == DwellBestEffort &&
                                                row_rdata.owner == sw_q.owner &&
                                                row_rdata.position == sw_q.best_position))) begin
          sw_d.row = '0;
          sw_d.phase = PhRows;
          sw_d.best_valid = 1'b0;
          sw_d.dirty = 1'b0;
        end else begin
          sweeping_d = 1'b0;
          trace_d = '{valid: 1'b1, kind: TrPressure, slot: sw_q.best_slot, data: '0};
          if (sw_q.best_valid && orow_rdata.level == '0 && orow_rdata.refs == '0 && room_leave && !sw_q.plan &&
              !pv.may_evict) begin
            pl_denied_eviction = 1'b1;
          end else if (sw_q.best_valid && orow_rdata.level == '0 && orow_rdata.refs == '0 && room_leave) begin
            pl_evicted = !sw_q.plan;
            trace_d.data = 16'd1;
            lv_kind_d = EvLeave;
            lv_cause_d = StEvicted;
            lv_tag_d = 1'b1;
            st_d = StLeave;
          end
        end
      end

      default: st_d = StIdle;
    endcase

    // ---- ends shared by several states
    if (fill_end) begin
      orow_we = 1'b1;
      orow_waddr = row_q.owner;
      fills_d = fills_q - cnt_t'(1);
    end

    if (sweep_next) begin
      sw_d.phase = (sw_q.row == SlotLast) ? after_rows(sw_q.kind, sw_q.scored) : PhRows;
      sw_d.row   = sw_q.row + slot_t'(1);
    end

    if (fin) begin
      count_d.refused = fin_status != StOk && fin_status != StAlready;
      count_d.refused_budget = fin_status == StBudget;
      count_d.refused_no_slot = fin_status == StNoSlot;
      count_d.refused_no_entry = fin_status == StNoEntry;
      count_d.refused_window = fin_status == StWindow;
      count_d.refused_log_full = fin_status == StLogFull;
      count_d.placed = fin_status == StOk && (g_q.source == SrcTop || g_q.source == SrcCandidate);
      if ((fin_status == StBudget || fin_status == StNoSlot || fin_status == StNoEntry) && own_q.refs == '0 &&
          !press_q && !(sweeping_q && sw_q.kind == SwPressure)) begin
        press_d = 1'b1;
        press_owner_d = g_q.effective;
        press_profile_d = g_q.profile;
        press_any_d = fin_status != StNoSlot;
        press_plan_d = g_q.source == SrcPlan;
      end
      pl_promoted = fin_status == StOk && by_scores;
      pl_denied_promotion = fin_status == StPlan;
      st_d = StIdle;
      unique case (g_q.source)
        SrcCommand: begin
          cmd_done = 1'b1;
          done_status = fin_status;
          done_value0 = 32'(fin_slot);
          done_value1 = 64'(fin_entry);
        end
        SrcPlan: begin  // without room it is tried again until its deadline; what else it may be is recorded
          pl_tried = 1'b1;
          pl_over  = fin_status == StOk || fin_status == StAlready;
          if (!pl_over && (g_q.late || !(fin_status == StBudget || fin_status == StNoSlot || fin_status == StNoEntry ||
                                         fin_status == StLogFull || fin_status == StWindow)) && room_owner) begin
            pl_over = 1'b1;
            pl_missed = 1'b1;
            count_d.plan_missed = 1'b1;
            rec_push = 1'b1;
            rec_in.event_.kind = EvPlan;
            rec_in.event_.cause = fin_status;
            rec_in.event_.owner = 16'(g_q.owner);
            rec_in.event_.position = 32'(g_q.position);
          end
        end
        SrcTop: if (fin_status == StOk) sw_d.promoted = sw_q.promoted + cnt_t'(1);
        default: begin  // SrcCandidate: the sweep goes on behind its row
          sw_d.phase = (sw_q.row == SlotLast) ? after_rows(sw_q.kind, sw_q.scored) : PhRows;
          sw_d.row   = sw_q.row + slot_t'(1);
          if (fin_status == StOk) sw_d.promoted = sw_q.promoted + cnt_t'(1);
          else if (fin_status == StAlready || fin_status == StBadProfile) begin
            row_d = '0;
            row_d.epoch = epoch_q;
            slot_d = g_q.slot;
            st_d = StCandDrop;
          end else begin
            sw_d.cands = sw_q.cands + cnt_t'(1);
            if (!sw_q.best_valid || g_q.e < sw_q.best_e) begin
              sw_d.best_valid = 1'b1;
              sw_d.best_slot = g_q.slot;
              sw_d.best_position = g_q.position;
              sw_d.best_e = g_q.e;
            end
          end
        end
      endcase
    end

    count_d.plan_denied_promotion = pl_denied_promotion;
    count_d.plan_denied_eviction  = pl_denied_eviction;

    if (sweep_start) begin
      sweeping_d = 1'b1;
      // The mark of a row that was visited changes only with a sweep that visits all rows.
      if (!sw_d.prefill) epoch_d = !epoch_q;
      sw_d.owner = cmd_owner;
      sw_d.opcode = cmd_q.opcode;
      sw_d.tag = cmd_q.tag;
      sw_d.start = start_q;
      st_d = StIdle;
    end
    if (cmd_done) begin
      done_push = 1'b1;
      st_d = StIdle;
    end
  end

  // ------------------------------------------------------------------------------------------------------ registers
  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      st_q <= StInit;
      init_q <= '0;
      cmd_turn_q <= 1'b0;
      turn_q <= '0;
      sweeping_q <= 1'b0;
      epoch_q <= 1'b0;
      press_q <= 1'b0;
      tag_valid_q <= 1'b0;
      retire_q <= '0;
      keep_q <= 1'b0;
      fence_q <= 1'b0;
      flush_q <= 1'b0;
      desc_valid_q <= 1'b0;
      walk_valid_q <= 1'b0;
      sc_valid_q <= 1'b0;
      own_wr_q <= 1'b0;
      used_q <= '0;
      reserve_q <= '0;
      minimum_q <= '0;
      fills_q <= '0;
      p_used_q <= '0;
      p_reserve_q <= '0;
      p_minimum_q <= '0;
      all_worst_q <= StOk;
      all_ended_q <= '0;
      count_q <= '0;
      trace <= '0;
    end else begin
      st_q <= st_d;
      init_q <= init_d;
      cmd_turn_q <= cmd_turn_d;
      turn_q <= turn_d;
      sweeping_q <= sweeping_d;
      epoch_q <= epoch_d;
      press_q <= press_d;
      tag_valid_q <= tag_valid_d;
      retire_q <= retire_d;
      keep_q <= keep_d;
      fence_q <= fence_d;
      flush_q <= flush_d;
      desc_valid_q <= desc_valid_d;
      walk_valid_q <= walk_valid_d;
      sc_valid_q <= sc_valid_d;
      own_wr_q <= own_wr_d;
      used_q <= used_d;
      reserve_q <= reserve_d;
      minimum_q <= minimum_d;
      fills_q <= fills_d;
      p_used_q <= p_used_d;
      p_reserve_q <= p_reserve_d;
      p_minimum_q <= p_minimum_d;
      all_worst_q <= all_worst_d;
      all_ended_q <= all_ended_d;
      count_q <= count_d;
      trace <= trace_d;
    end
  end

  always_ff @(posedge clk_i) begin
    gv_q <= gv_d;
    gv_share_q <= gv_share_d;
    lim_q <= lim_d;
    verdict_q <= verdict_d;
    press_plan_q <= press_plan_d;
    cmd_q <= cmd_d;
    start_q <= start_d;
    slot_q <= slot_d;
    row_q <= row_d;
    own_q <= own_d;
    named_q <= named_d;
    g_q <= g_d;
    shortage_q <= shortage_d;
    guaranteed_q <= guaranteed_d;
    status_q <= status_d;
    sw_q <= sw_d;
    burst_q <= burst_d;
    batch_wait_q <= batch_wait_d;
    press_any_q <= press_any_d;
    press_owner_q <= press_owner_d;
    press_profile_q <= press_profile_d;
    walk_q <= walk_d;
    end_q <= end_d;
    mark_q <= mark_d;
    rsp_q <= rsp_d;
    lv_kind_q <= lv_kind_d;
    lv_cause_q <= lv_cause_d;
    lv_tag_q <= lv_tag_d;
    tag_q <= tag_d;
    pulse_owner_q <= pulse_owner_d;
    desc_q <= desc_d;
    walk_req_q <= walk_req_d;
    sc_q <= sc_d;
    own_wr_owner_q <= own_wr_owner_d;
    own_rd_owner_q <= own_rd_owner_d;
    own_wr_ctx_q <= own_wr_ctx_d;
    new_length_q <= new_length_d;
    new_committed_q <= new_committed_d;
    new_level_q <= new_level_d;
    new_share_q <= new_share_d;
    old_share_q <= old_share_d;
    mul_a_q <= mul_a_d;
    mul_b_q <= mul_b_d;
    product_q <= MulPW'(mul_a_q) * MulPW'(mul_b_q);
  end

  assign own_wr_valid_o = own_wr_q;
  assign own_wr_owner_o = own_wr_owner_q;
  assign own_wr_ctx_o = own_wr_ctx_q;
  assign own_rd_owner_o = own_rd_owner_q;
  assign walk_req_valid_o = walk_valid_q;
  assign walk_req_o = walk_req_q;
  assign tag_cmd_valid_o = tag_valid_q;
  assign tag_cmd_o = tag_q;
  assign retire_o = retire_q;
  assign keep_end_valid_o = keep_q;
  assign keep_end_owner_o = pulse_owner_q;
  assign keep_end_all_o = retire_q.valid && retire_q.all;  // step_end is of one owner
  assign fence_o = fence_q;
  assign desc_valid_o = desc_valid_q;
  assign desc_o = desc_q;
  assign sc_valid_o = sc_valid_q;
  assign sc_o = sc_q;
  assign score_flush_o = flush_q;
  assign score_flush_owner_o = pulse_owner_q;
  assign count_o = count_q;

  // ------------------------------------------------------------------------------------------------------ assertions
  `KVS_STREAM(cmd_stream, cmd_valid_i, cmd_ready_o, cmd_i)
  `KVS_STREAM(done_stream, done_valid_o, done_ready_i, done_o)
  `KVS_STREAM(walk_stream, walk_req_valid_o, walk_req_ready_i, walk_req_o)
  `KVS_STREAM(tag_stream, tag_cmd_valid_o, tag_cmd_ready_i, tag_cmd_o)
  `KVS_STREAM(desc_stream, desc_valid_o, desc_ready_i, desc_o)
  `KVS_STREAM(abort_stream, abort_valid_o, abort_ready_i, abort_slot_o)
  `KVS_STREAM(score_stream, sc_valid_o, sc_ready_i, sc_o)
  `KVS_STREAM(log_stream, ev_valid_o, ev_ready_i, ev_o)
  `KVS_ASSERT(record_has_room, !rec_push || rec_room)
  `KVS_ASSERT(done_has_room, !done_push || done_room)
  `KVS_ASSERT(grant_takes_a_free_row, !count_q.granted || used_q <= cnt_t'(Slots))
  for (genvar p = 0; p < int'(Profiles); p++) begin : gen_reserve
    `KVS_ASSERT(reserve_is_kept, p_reserve_q[p] <= p_minimum_q[p])
  end

endmodule

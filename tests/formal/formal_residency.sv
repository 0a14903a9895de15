// SPDX-License-Identifier: Apache-2.0
// The rules of the residency controller, state by state: its units of the loop are combinational, so what holds for any
// registers, rows and inputs holds in every cycle. Everything is free here.
//  - Dwell is never cut: a contract gets weaker by a step_end's tick (by one, not below best effort, never a pinned one),
//    or when the last reference to its prefix owner goes; a promotion only strengthens it.
//  - What leaves under contract leaves by command or because its fill failed; evictions of choice take best effort alone.
//  - Nothing is promoted, evicted by choice or stepped inside a window.
//  - A slot is FREE -> FILLING -> RESIDENT -> LEAVING -> FREE; it is freed only without readers, without beats towards it,
//    without an abort that names it, and the map of free slots says what the rows say.
//   Witness  0: the properties. Otherwise the negation of the interesting case of that number: each has to fail.

module formal_residency
  import kvsink_cfg_pkg::*;
  import kvsink_pkg::*;
  import residency_pkg::*;
#(
    parameter int unsigned Witness = 0
) (
    input logic clk_i,

    input ctl_state_t s_i,
    input ctl_work_t w_i,
    input row_t row_i,
    input orow_t orow_i,
    input profile_cfg_t [Profiles-1:0] profiles_i,
    input logic [Profiles-1:0][2:0] share_i,
    input plan_view_t plan_i,
    input logic pick_clean_i,
    input logic pick_any_i,
    input slot_t pick_slot_i,
    input logic room_i,
    input logic aborting_i,
    input logic yields_i,
    input logic late_i,
    input logic tag_ack_valid_i,
    input tag_ack_t tag_ack_i,
    input entries_t free_entries_i,
    input cycle_t now_i,
    input ctl_cfg_t cfg_i,
    input layout_cfg_t layout_i,
    input owner_ctx_t ctx_i,
    input list_info_t [Readers-1:0] list_info_i,
    input logic [31:0] list_serial_i,
    input product_t product_i
);

  // What the controller hands to each unit: registers hold, nothing is done.
  ctl_state_t s_base;
  ctl_act_t   act_base;
  always_comb begin
    s_base = s_i;
    s_base.tag_valid = 1'b0;
    s_base.retire.valid = 1'b0;
    s_base.count = '0;
    act_base = '0;
    act_base.row_waddr = w_i.slot;
    act_base.row_wdata = w_i.row;
    act_base.orow_loop = w_i.own;
    act_base.map_slot = w_i.slot;
  end

  ctl_state_t s_commands, s_grants, s_moves, s_sweeps;
  ctl_work_t w_commands, w_grants, w_moves, w_sweeps;
  ctl_act_t act_commands, act_grants, act_moves, act_sweeps;
  profile_cfg_t profile;
  assign profile = profiles_i[w_i.g.profile];

  residency_commands u_commands (
      .s_i,
      .w_i,
      .row_i,
      .orow_i,
      .profiles_i,
      .share_i,
      .plan_i,
      .pl_status_i       (StOk),
      .pl_value0_i       ('0),
      .pl_value1_i       ('0),
      .pl_check_i        (1'b1),
      .pl_fits_i         (1'b1),
      .pl_bad_item_i     ('0),
      .pl_bad_reason_i   (StOk),
      .pl_slots_i        ('0),
      .pl_entries_i      ('0),
      .pl_same_i         (1'b1),
      .pl_tag_i          ('0),
      .pl_start_i        ('0),
      .room_owner_i      (room_i),
      .waits_room_i      (1'b1),
      .profile_done_i    (1'b1),
      .profile_status_i  (StOk),
      .cfg_i,
      .own_rd_ctx_i      (ctx_i),
      .tag_ack_valid_i,
      .tag_ack_i,
      .tag_free_entries_i(free_entries_i),
      .all_worst_i       (StOk),
      .all_ended_i       ('0),
      .s_next_i          (s_base),
      .w_next_i          (w_i),
      .act_i             (act_base),
      .s_o               (s_commands),
      .w_o               (w_commands),
      .act_o             (act_commands)
  );
  residency_grants u_grants (
      .s_i,
      .w_i,
      .row_i,
      .orow_i,
      .profiles_i,
      .share_i,
      .profile_i         (profile),
      .pick_any_i,
      .pick_slot_i,
      .plan_i,
      .room_grant_i      (room_i),
      .room_owner_i      (room_i),
      .cfg_i,
      .tag_ack_valid_i,
      .tag_ack_i,
      .tag_free_entries_i(free_entries_i),
      .s_next_i          (s_base),
      .w_next_i          (w_i),
      .act_i             (act_base),
      .s_o               (s_grants),
      .w_o               (w_grants),
      .act_o             (act_grants)
  );
  residency_moves u_moves (
      .s_i,
      .w_i,
      .row_i,
      .orow_i,
      .profiles_i,
      .plan_i,
      .aborting_i,
      .product_i,
      .now_i,
      .tag_ack_valid_i,
      .tag_ack_i,
      .list_info_i,
      .list_serial_i,
      .s_next_i(s_base),
      .w_next_i(w_i),
      .act_i   (act_base),
      .s_o     (s_moves),
      .w_o     (w_moves),
      .act_o   (act_moves)
  );
  residency_sweeps u_sweeps (
      .s_i,
      .w_i,
      .row_i,
      .orow_i,
      .profiles_i,
      .profile_i     (profile),
      .pick_clean_i,
      .pick_slot_i,
      .plan_i,
      .room_leave_i  (room_i),
      .product_i,
      .sweep_yields_i(yields_i),
      .cfg_i,
      .s_next_i      (s_base),
      .w_next_i      (w_i),
      .act_i         (act_base),
      .s_o           (s_sweeps),
      .w_o           (w_sweeps),
      .act_o         (act_sweeps)
  );

  function automatic logic held(input slot_state_e state);
    return state == SlFilling || state == SlResident;
  endfunction
  // as it was, or one less if that is neither pinned nor best effort
  function automatic logic kept(input dwell_t was, input dwell_t is);
    return is == was || (was != DwellPinned && was != DwellBestEffort && is == was - dwell_t'(1));
  endfunction

  // A list that was open when the slot left, and reads its owner's rows.
  logic read;
  always_comb begin
    read = 1'b0;
    for (int unsigned i = 0; i < Readers; i++) begin
      if (list_info_i[i].open && !((list_info_i[i].serial - row_i.leave_serial) < SerialHalf) &&
          (list_info_i[i].owner == row_i.owner ||
           (list_info_i[i].prefix_valid && list_info_i[i].prefix_owner == row_i.owner)))
        read = 1'b1;
    end
  end

  logic in_window, demotes, ticks;
  assign in_window = w_i.named.level != '0 || w_i.own.level != '0;
  assign demotes = w_i.sw.kind == SwRetire && w_i.sw.demote && row_i.owner == w_i.sw.demote_owner;
  assign ticks = w_i.sw.kind == SwStep &&  // `all` is of retires, but registers are free here
      (w_i.sw.all || row_i.owner == w_i.sw.owner || (w_i.sw.prefix_tick && row_i.owner == w_i.sw.prefix_owner));

  // The row that StScore3 writes came from StScore1, which keeps the contract.
  always_ff @(posedge clk_i) begin
    if (Witness == 0) begin
      // ---- dwell
      if (s_i.st == StGAlready && act_grants.row_we) begin
        promoting_keeps :
        assert (kept(
            row_i.dwell, act_grants.row_wdata.dwell
        ) || (act_grants.row_wdata.dwell > row_i.dwell && act_grants.row_wdata.dwell == w_i.g.dwell) ||
            (act_grants.row_wdata.dwell == w_i.g.dwell && w_i.g.dwell >= row_i.dwell - dwell_t'(1)));
        promoting_strengthens : assert (act_grants.row_wdata.dwell >= w_i.g.dwell);
        promoting_moves_nothing :
        assert (act_grants.row_wdata.state == row_i.state &&
                                          act_grants.row_wdata.owner == row_i.owner &&
                                          act_grants.row_wdata.position == row_i.position);
      end
      if (s_i.st == StRow && act_sweeps.row_we && held(row_i.state)) begin
        sweep_keeps :
        assert (kept(
            row_i.dwell, act_sweeps.row_wdata.dwell
        ) || (demotes && act_sweeps.row_wdata.dwell == DwellBestEffort));
        only_steps_tick : assert (act_sweeps.row_wdata.dwell == row_i.dwell || ticks || demotes);
        sweep_moves_nothing : assert (act_sweeps.row_wdata.state == row_i.state);
      end
      if (s_i.st == StScore1) score_keeps : assert (kept(row_i.dwell, w_sweeps.row.dwell));
      if (s_i.st == StScore3 && act_sweeps.row_we) average_keeps : assert (act_sweeps.row_wdata.dwell == w_i.row.dwell);
      if (act_moves.row_we && (s_i.st == StEnd || s_i.st == StWalk || s_i.st == StFill))
        move_keeps : assert (act_moves.row_wdata.dwell == row_i.dwell);
      if (act_moves.row_we && (s_i.st == StEndAck || s_i.st == StWalkAck || s_i.st == StLeaveAck))
        ack_keeps : assert (act_moves.row_wdata.dwell == w_i.row.dwell);

      // ---- leaving
      if (s_i.st == StScore3 && s_sweeps.st == StLeave)
        threshold_takes_best_effort :
        assert (w_i.row.state == SlResident && w_i.row.dwell == DwellBestEffort && !w_i.sw.referenced);
      if (s_i.st == StPick && s_sweeps.st == StLeave) begin
        pressure_takes_best_effort :
        assert (row_i.state == SlResident && row_i.dwell == DwellBestEffort &&
                                             row_i.owner == w_i.sw.owner && orow_i.refs == '0);
        pressure_keeps_windows : assert (orow_i.level == '0);
      end
      if (s_i.st == StRow && s_sweeps.st == StLeave)
        sweep_takes_by_command :
        assert (w_i.sw.kind == SwRetire || w_i.sw.kind == SwLetGo ||
                                         (w_i.sw.kind == SwAbort && row_i.state == SlFilling));

      // ---- windows
      if (s_i.st == StG3 && in_window) no_grant_in_window : assert (!s_grants.tag_valid && s_grants.st == StGFinish);
      if (s_i.st == StCmd && orow_i.level != '0 && w_i.cmd.opcode inside {OpStepEnd, OpLetGo, OpAbort})
        window_refuses :
        assert (!act_commands.sweep_start && act_commands.cmd_done && act_commands.done_status != StOk);
      if (s_i.st == StCmd && w_i.cmd.opcode == OpStepEnd && orow_i.level != '0)
        no_step_in_window : assert (s_commands.st != StStep2);
      if (s_i.st == StCmd && orow_i.valid && w_i.cmd.opcode == OpSetLength && orow_i.level != '0 &&
          w_i.cmd.count != 32'(orow_i.committed))
        committed_is_frozen : assert (act_commands.cmd_done && act_commands.done_status != StOk);

      // ---- references are residency_owners' alone (formal_refs)
      if (act_grants.orow_we) granting_keeps_references : assert (act_grants.orow_loop.refs == w_i.own.refs);
      if (act_moves.orow_we && s_i.st == StFreeOwner)
        freeing_keeps_references : assert (act_moves.orow_loop.refs == orow_i.refs);
      if (act_commands.orow_we)
        commands_keep_references :
        assert (act_commands.orow_loop.refs == ((s_i.st == StCmd) ? orow_i.refs : w_i.own.refs));

      // ---- a slot's states
      if (act_grants.row_we && s_i.st == StG4) begin
        granted_is_filling :
        assert (act_grants.row_wdata.state == SlFilling && act_grants.map_set && !act_grants.map_free &&
                                     act_grants.map_slot == act_grants.row_waddr && act_grants.rec_push);
        granted_is_charged : assert (act_grants.orow_loop.used == w_i.own.used + slots_t'(1));
      end
      if (s_i.st == StG3 && s_grants.tag_valid && w_grants.tag.op == TagInstall && w_i.g.source != SrcCandidate)
        free_one_is_taken : assert (pick_any_i && w_grants.slot == pick_slot_i);
      if (s_i.st == StEndAck && act_moves.row_we)
        resident_by_tag :
        assert (act_moves.row_wdata.state == w_i.row.state ||
                                  (act_moves.row_wdata.state == SlResident && tag_ack_i.status == StOk));
      if (s_i.st == StLeaveAck && act_moves.row_we)
        leaves_with_record :
        assert (act_moves.row_wdata.state == SlLeaving && act_moves.rec_push && act_moves.rec_in.leaves);
      if (s_i.st == StFreeRow && s_moves.st == StFreeOwner)
        freed_unread : assert (!read && row_i.stage == SgNone && !aborting_i);
      if (s_i.st == StFreeRow && s_moves.st != StFreeOwner)
        waits_again : assert (act_moves.free_again && !act_moves.row_we);
      if (s_i.st == StFreeOwner)
        freed_is_free :
        assert (act_moves.row_we && act_moves.row_wdata.state == SlFree && act_moves.map_set &&
                                act_moves.map_free && act_moves.map_slot == act_moves.row_waddr &&
                                act_moves.orow_loop.used == orow_i.used - slots_t'(1));
      // Nobody else writes a FREE row's slot or frees one.
      if (act_sweeps.row_we && s_i.st inside {StRow, StScore1} && row_i.state != SlFree)
        sweep_frees_nothing : assert (act_sweeps.row_wdata.state == row_i.state);
    end
    if (Witness == 1)
      ticks_once :
      assert (!(s_i.st == StRow && act_sweeps.row_we && ticks && act_sweeps.row_wdata.dwell != row_i.dwell));
    if (Witness == 2) evicts : assert (!(s_i.st == StPick && s_sweeps.st == StLeave));
    if (Witness == 3) frees : assert (!(s_i.st == StFreeRow && s_moves.st == StFreeOwner));
    if (Witness == 4) refuses : assert (!(s_i.st == StG3 && in_window && w_grants.status == StWindow));
    if (Witness == 5)
      strengthens : assert (!(s_i.st == StGAlready && act_grants.row_we && act_grants.row_wdata.dwell > row_i.dwell));
    if (Witness == 6)
      demoted :
      assert (!(s_i.st == StRow && act_sweeps.row_we && demotes && row_i.dwell == DwellPinned &&
                                          act_sweeps.row_wdata.dwell == DwellBestEffort));
  end

  logic unused;
  assign unused = ^{w_commands, w_moves, layout_i, late_i};

endmodule

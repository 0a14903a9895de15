// SPDX-License-Identifier: Apache-2.0
// Admission: whether a promotion is granted, with which slot, or why not.
//
// Contract: combinational, one state of the loop a cycle, as residency_commands. w_i.g says what is asked for and by
// whom: a command, a prefill's scores, a candidate, a plan. The rules are those of docs/theory/residency.md in their
// order: refusals that lie in the request, then room (log, budgets, rows, entries), the token that is there already
// before the room. A contract is only strengthened; a step_end's tick that is still due comes first.
// Latency: 4 states, and the 2 cycles of the tag array: the answer within 8 cycles of the command.

module residency_grants
  import kvsink_cfg_pkg::*;
  import kvsink_pkg::*;
  import residency_pkg::*;
(
    input ctl_state_t s_i,
    input ctl_work_t w_i,
    input row_t row_i,
    input orow_t orow_i,
    input profile_cfg_t [Profiles-1:0] profiles_i,
    input logic [Profiles-1:0][2:0] share_i,
    input profile_cfg_t profile_i,
    input logic pick_any_i,
    input slot_t pick_slot_i,
    input plan_view_t plan_i,
    input logic room_grant_i,
    input logic room_owner_i,
    input ctl_cfg_t cfg_i,
    input logic tag_ack_valid_i,
    input tag_ack_t tag_ack_i,
    input entries_t tag_free_entries_i,
    input ctl_state_t s_next_i,  // what becomes of them if this unit has no say
    input ctl_work_t w_next_i,
    input ctl_act_t act_i,
    output ctl_state_t s_o,
    output ctl_work_t w_o,
    output ctl_act_t act_o
);

  // ---- checks of a grant (StG3: w_i.named, w_i.own of the effective owner, choice of the slot)
  pos_t last_sharer;
  logic [6:0] share_mask;
  status_e refusal, shortage;
  logic guaranteed, by_scores, envelope, no_room;
  cnt_t owed_to_plan;
  cnt_t free_of_profile;
  always_comb begin
    share_mask = profile_i.valid ? (7'd1 << share_i[w_i.g.profile]) - 7'd1 : '0;
    if (profile_i.valid && share_i[w_i.g.profile] == 3'd7) share_mask = '1;
    last_sharer = w_i.g.position | pos_t'(share_mask);
    guaranteed = (w_i.g.source == SrcPlan) ? w_i.gv_share != '0 :
        w_i.g.profile == w_i.own.profile && w_i.own.used_own < w_i.own.slot_min;
    owed_to_plan = (w_i.g.source == SrcPlan) ? '0 : w_i.gv_share;
    by_scores = w_i.g.source == SrcTop || w_i.g.source == SrcCandidate;
    envelope = !w_i.gv.active ||
        (w_i.gv.may_promote && cnt_t'(w_i.own.used) < w_i.gv.slots_limit && !in_region(w_i.gv, w_i.g.position));
    free_of_profile = cnt_t'(profile_i.slot_count) - s_i.p_used[w_i.g.profile];
    if (w_i.g.bad_owner || !w_i.named.valid) refusal = StBadOwner;
    else if (w_i.g.bad_range || len_t'(last_sharer) >= w_i.own.committed) refusal = StBadRange;
    else if (w_i.g.bad_profile || !profile_i.valid) refusal = StBadProfile;
    else if (w_i.named.level != '0 || w_i.own.level != '0) refusal = StWindow;
    else refusal = StOk;

    if (by_scores && !envelope) shortage = StPlan;
    else if (!room_grant_i) shortage = StLogFull;
    else if (cnt_t'(w_i.own.used) + owed_to_plan >= cnt_t'(w_i.own.slot_max) ||
             s_i.used + (guaranteed ? cnt_t'(0) : s_i.reserve) >= cnt_t'(cfg_i.sram_budget))
      shortage = StBudget;
    else if (!pick_any_i || (!guaranteed && free_of_profile <= s_i.p_reserve[w_i.g.profile])) shortage = StNoSlot;
    else if (!guaranteed && s_i.minimum != '0 && cnt_t'(tag_free_entries_i) <= s_i.minimum) shortage = StNoEntry;
    else shortage = StOk;
  end

  // ---- a contract strengthened while a step_end sweeps is not cut by that tick: the row is ticked first
  logic tick_due;
  always_comb begin
    tick_due = s_i.sweeping && w_i.sw.kind == SwStep && !w_i.sw.prefill && row_i.epoch != s_i.epoch && !row_i.ticked &&
        (row_i.owner == w_i.sw.owner || (w_i.sw.prefix_tick && row_i.owner == w_i.sw.prefix_owner));
  end

  // A grant has ended: fin_status, and of a token that has a slot, fin_slot and fin_entry.
  logic fin;
  status_e fin_status;
  slot_t fin_slot;
  entry_t fin_entry;
  logic own_part;
  always_comb begin
    s_o = s_next_i;
    w_o = w_next_i;
    act_o = act_i;
    fin = 1'b0;
    fin_status = StOk;
    fin_slot = '0;
    fin_entry = '0;
    own_part = 1'b0;
    no_room = 1'b0;

    unique case (s_i.st)

      StG1: begin
        w_o.named = orow_i;
        w_o.g.effective = (orow_i.prefix_valid && len_t'(w_i.g.position) < orow_i.prefix_len) ?
            orow_i.prefix_owner : w_i.g.owner;
        act_o.orow_re = 1'b1;
        act_o.orow_raddr = w_o.g.effective;
        s_o.st = StG2;
      end
      StG2: begin
        w_o.own = orow_i;
        w_o.gv = plan_i;
        w_o.gv_share = minus(plan_i.slots, cnt_t'(orow_i.used_plan));
        s_o.st = StG3;
      end
      StG3: begin
        w_o.status = refusal;
        w_o.shortage = shortage;
        w_o.guaranteed = guaranteed;
        w_o.slot = (w_i.g.source == SrcCandidate) ? w_i.g.slot : pick_slot_i;
        if (refusal != StOk) s_o.st = StGFinish;
        else begin
          s_o.tag_valid = 1'b1;
          w_o.tag = '0;
          w_o.tag.op = (shortage == StOk) ? TagInstall : TagFind;
          w_o.tag.owner = w_i.g.effective;
          w_o.tag.granule = w_i.g.position[PosW-1:4];
          w_o.tag.token = w_i.g.position[3:0];
          w_o.tag.slot = w_o.slot;
          w_o.tag.profile = w_i.g.profile;
          s_o.st = StG4;
        end
      end
      StGFinish: begin
        fin = 1'b1;
        fin_status = w_i.status;
      end
      StG4: begin
        act_o.row_raddr = tag_ack_i.slot;
        if (tag_ack_valid_i) begin
          if (tag_ack_i.status == StAlready || (w_i.shortage != StOk && tag_ack_i.status == StOk)) begin
            act_o.row_re = 1'b1;
            w_o.slot = tag_ack_i.slot;
            s_o.st = StGAlready;
          end else if (w_i.shortage != StOk || tag_ack_i.status != StOk) begin
            fin = 1'b1;
            fin_status = (w_i.shortage != StOk) ? w_i.shortage : StNoEntry;
          end else begin
            fin = 1'b1;
            fin_slot = w_i.slot;
            fin_entry = tag_ack_i.entry;
            own_part = w_i.g.profile == w_i.own.profile && w_i.g.source != SrcPlan;
            act_o.row_we = 1'b1;
            act_o.row_wdata = '0;
            act_o.row_wdata.state = SlFilling;
            act_o.row_wdata.epoch = s_i.epoch;
            act_o.row_wdata.own = own_part;
            act_o.row_wdata.planned = w_i.g.source == SrcPlan;
            act_o.row_wdata.strict = w_i.g.strict;
            act_o.row_wdata.owner = w_i.g.effective;
            act_o.row_wdata.position = w_i.g.position;
            act_o.row_wdata.profile = w_i.g.profile;
            act_o.row_wdata.dwell = w_i.g.dwell;
            act_o.row_wdata.e = w_i.g.e;
            act_o.row_wdata.run_up = w_i.g.run_up;
            act_o.row_wdata.run_down = w_i.g.run_down;
            act_o.row_wdata.entry = tag_ack_i.entry;
            act_o.row_wdata.deadline = w_i.g.deadline;
            act_o.row_wdata.not_before = w_i.g.not_before;
            act_o.row_wdata.tier = w_i.g.tier;
            act_o.row_wdata.stage = SgQueued;
            act_o.map_set = 1'b1;
            act_o.orow_we = 1'b1;
            act_o.orow_waddr = w_i.g.effective;
            act_o.orow_loop.used = w_i.own.used + slots_t'(1);
            act_o.orow_loop.used_own = w_i.own.used_own + slots_t'(own_part);
            act_o.orow_loop.used_plan = w_i.own.used_plan + slots_t'(w_i.g.source == SrcPlan);
            act_o.orow_loop.pending = w_i.own.pending + slots_t'(1);
            s_o.used = s_i.used + cnt_t'(1);
            s_o.fills = s_i.fills + cnt_t'(1);
            s_o.p_used[w_i.g.profile] = s_i.p_used[w_i.g.profile] + cnt_t'(1);
            if (w_i.guaranteed) begin
              s_o.reserve = s_i.reserve - cnt_t'(1);
              s_o.p_reserve[w_i.g.profile] = s_i.p_reserve[w_i.g.profile] - cnt_t'(1);
            end
            act_o.fill_push = 1'b1;
            act_o.rec_push = 1'b1;
            act_o.rec_in.event_.kind = EvGrant;
            act_o.rec_in.event_.owner = 16'(w_i.g.effective);
            act_o.rec_in.event_.position = 32'(w_i.g.position);
            act_o.rec_in.event_.slot = 16'(w_i.slot);
            s_o.count.granted = 1'b1;
          end
        end
      end
      StGAlready: begin
        fin = 1'b1;
        fin_slot = w_i.slot;
        fin_entry = row_i.entry;
        if (!covers(profiles_i[row_i.profile], profile_i)) fin_status = StBadProfile;
        else begin
          fin_status = StAlready;
          act_o.row_we = 1'b1;
          act_o.row_wdata = row_i;
          act_o.row_wdata.ticked = row_i.ticked || tick_due;
          act_o.row_wdata.dwell = ticked(row_i.dwell, row_i.ticked, tick_due);
          if (w_i.g.dwell > act_o.row_wdata.dwell) act_o.row_wdata.dwell = w_i.g.dwell;
        end
      end
      default: ;
    endcase

    if (fin) begin
      s_o.count.refused = fin_status != StOk && fin_status != StAlready;
      s_o.count.refused_budget = fin_status == StBudget;
      s_o.count.refused_no_slot = fin_status == StNoSlot;
      s_o.count.refused_no_entry = fin_status == StNoEntry;
      s_o.count.refused_window = fin_status == StWindow;
      s_o.count.refused_log_full = fin_status == StLogFull;
      s_o.count.placed = fin_status == StOk && (w_i.g.source == SrcTop || w_i.g.source == SrcCandidate);
      if ((fin_status == StBudget || fin_status == StNoSlot || fin_status == StNoEntry) && w_i.own.refs == '0 &&
          !s_i.press && !(s_i.sweeping && w_i.sw.kind == SwPressure)) begin
        s_o.press = 1'b1;
        w_o.press_owner = w_i.g.effective;
        w_o.press_profile = w_i.g.profile;
        w_o.press_any = fin_status != StNoSlot;
        w_o.press_plan = w_i.g.source == SrcPlan;
      end
      act_o.pl_promoted = fin_status == StOk && by_scores;
      act_o.pl_denied_promotion = fin_status == StPlan;
      s_o.st = StIdle;
      unique case (w_i.g.source)
        SrcCommand: begin
          act_o.cmd_done = 1'b1;
          act_o.done_status = fin_status;
          act_o.done_value0 = 32'(fin_slot);
          act_o.done_value1 = 64'(fin_entry);
        end
        SrcPlan: begin  // without room it is tried again until its deadline; what else it may be is recorded
          act_o.pl_tried = 1'b1;
          act_o.pl_over = fin_status == StOk || fin_status == StAlready;
          no_room = fin_status == StBudget || fin_status == StNoSlot || fin_status == StNoEntry ||
              fin_status == StLogFull || fin_status == StWindow;
          if (!act_o.pl_over && (w_i.g.late || !no_room) && room_owner_i) begin
            act_o.pl_over = 1'b1;
            act_o.pl_missed = 1'b1;
            s_o.count.plan_missed = 1'b1;
            act_o.rec_push = 1'b1;
            act_o.rec_in.event_.kind = EvPlan;
            act_o.rec_in.event_.cause = fin_status;
            act_o.rec_in.event_.owner = 16'(w_i.g.owner);
            act_o.rec_in.event_.position = 32'(w_i.g.position);
          end
        end
        SrcTop: if (fin_status == StOk) w_o.sw.promoted = w_i.sw.promoted + cnt_t'(1);
        default: begin  // SrcCandidate: the sweep goes on behind its row
          w_o.sw.phase = (w_i.sw.row == SlotLast) ? after_rows(w_i.sw.kind, w_i.sw.scored) : PhRows;
          w_o.sw.row   = w_i.sw.row + slot_t'(1);
          if (fin_status == StOk) w_o.sw.promoted = w_i.sw.promoted + cnt_t'(1);
          else if (fin_status == StAlready || fin_status == StBadProfile) begin
            w_o.row = '0;
            w_o.row.epoch = s_i.epoch;
            w_o.slot = w_i.g.slot;
            s_o.st = StCandDrop;
          end else begin
            w_o.sw.cands = w_i.sw.cands + cnt_t'(1);
            if (!w_i.sw.best_valid || w_i.g.e < w_i.sw.best_e) begin
              w_o.sw.best_valid = 1'b1;
              w_o.sw.best_slot = w_i.g.slot;
              w_o.sw.best_position = w_i.g.position;
              w_o.sw.best_e = w_i.g.e;
            end
          end
        end
      endcase
    end
  end

endmodule

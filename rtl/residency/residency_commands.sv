// SPDX-License-Identifier: Apache-2.0
// Commands of the residency controller: what each one checks, changes and answers.
//
// Contract: one state of the loop a cycle, from the registers as they are (s_i, w_i), the owner's row (orow_i, asked for
// when the command was accepted) and what other units say, to the registers as they become and to what is done about it
// (act_o). Combinational, without state of its own; in other states everything passes unchanged. promote is a grant
// (residency_grants), set_owner goes on in residency_owners, a sweep in residency_sweeps; plans: residency_plans.
// Latency: 1 to 3 states a command, set_profile up to about 90.

module residency_commands
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
    input plan_view_t plan_i,
    input status_e pl_status_i,
    input logic [31:0] pl_value0_i,
    input logic [63:0] pl_value1_i,
    input logic pl_check_i,
    input logic pl_fits_i,
    input logic [31:0] pl_bad_item_i,
    input status_e pl_bad_reason_i,
    input cnt_t pl_slots_i,
    input cnt_t pl_entries_i,
    input logic pl_same_i,
    input logic [15:0] pl_tag_i,
    input logic [31:0] pl_start_i,
    input logic room_owner_i,
    input logic waits_room_i,
    input logic profile_done_i,
    input status_e profile_status_i,
    input ctl_cfg_t cfg_i,
    input owner_ctx_t own_rd_ctx_i,
    input logic tag_ack_valid_i,
    input tag_ack_t tag_ack_i,
    input entries_t tag_free_entries_i,
    input status_e all_worst_i,
    input cnt_t all_ended_i,
    input ctl_state_t s_next_i,  // what becomes of them if this unit has no say
    input ctl_work_t w_next_i,
    input ctl_act_t act_i,
    output ctl_state_t s_o,
    output ctl_work_t w_o,
    output ctl_act_t act_o
);

  owner_t cmd_owner;
  logic bad_owner, bad_span, refused_owner;
  logic [32:0] span_end;
  assign cmd_owner = owner_t'(w_i.cmd.owner);
  assign bad_owner = w_i.cmd.owner >= 16'(Owners);
  assign span_end = 33'(w_i.cmd.first) + 33'(w_i.cmd.count);
  assign bad_span = w_i.cmd.count == '0 || span_end > 33'(Positions);
  assign refused_owner = bad_owner || !orow_i.valid;

  // ---- what a plan of the owner in w_i.own may take (StPlan2, StVerdict2)
  plan_limits_t limits;
  always_comb begin
    limits = '0;
    limits.slots = least(
      minus(
        cnt_t'(w_i.own.slot_max), cnt_t'(w_i.own.used) + minus(cnt_t'(w_i.own.slot_min), cnt_t'(w_i.own.used_own))
      ),
      minus(
        cnt_t'(cfg_i.sram_budget), s_i.used + s_i.reserve)
    );
    limits.rows = minus(minus(cnt_t'(profiles_i[w_i.own.profile].slot_count), s_i.p_used[w_i.own.profile]),
                        s_i.p_reserve[w_i.own.profile]);
    limits.entries = minus(least(cnt_t'(Entries), cnt_t'(tag_free_entries_i)), s_i.minimum);
    limits.committed = w_i.own.committed;
    limits.prefix_len = w_i.own.prefix_valid ? w_i.own.prefix_len : '0;
    limits.profile = w_i.own.profile;
    limits.profile_valid = profiles_i[w_i.own.profile].valid;
    limits.share_mask = (share_i[w_i.own.profile] == 3'd7) ? '1 : (7'd1 << share_i[w_i.own.profile]) - 7'd1;
    limits.slot_beats = profiles_i[w_i.own.profile].slot_beats;
  end

  always_comb begin
    s_o   = s_next_i;
    w_o   = w_next_i;
    act_o = act_i;

    unique case (s_i.st)

      StCmd: begin
        w_o.own = orow_i;
        unique case (w_i.cmd.opcode)
          OpSetOwner: begin
            act_o.orow_re = 1'b1;
            act_o.orow_raddr = owner_t'(w_i.cmd.arg1[47:32]);
            s_o.st = StOwner2;
          end
          OpSetLength: begin
            w_o.new_length = len_t'(w_i.cmd.first);
            w_o.new_committed = len_t'(w_i.cmd.count);
            w_o.new_level = orow_i.level;
            if (refused_owner) act_o.done_status = StBadOwner;
            else if (w_i.cmd.count > w_i.cmd.first || w_i.cmd.first > 32'(Positions) ||
                     w_i.cmd.count < 32'(orow_i.committed))
              act_o.done_status = StBadRange;
            else if (orow_i.level != '0 && w_i.cmd.count != 32'(orow_i.committed)) act_o.done_status = StWindow;
            else s_o.st = StLength2;
            act_o.cmd_done = s_o.st != StLength2;
          end
          OpOpen, OpCommit: begin
            w_o.new_length = orow_i.length;
            w_o.new_committed = orow_i.committed;
            if (w_i.cmd.opcode == OpOpen) begin
              w_o.new_level = orow_i.level + 2'd1;
              if (refused_owner) act_o.done_status = StBadOwner;
              else if (orow_i.level == 2'(Windows)) act_o.done_status = StWindow;
              else if (orow_i.level == '0 && !room_owner_i) act_o.done_status = StLogFull;
              else s_o.st = StLength2;
            end else begin
              w_o.new_level = orow_i.level - 2'd1;
              if (orow_i.level == 2'd1) w_o.new_committed = orow_i.committed + len_t'(w_i.cmd.count);
              if (refused_owner) act_o.done_status = StBadOwner;
              else if (orow_i.level == '0) act_o.done_status = StWindow;
              else if (orow_i.level == 2'd1 && 33'(orow_i.committed) + 33'(w_i.cmd.count) > 33'(orow_i.length))
                act_o.done_status = StBadRange;
              else s_o.st = StLength2;
            end
            if (s_o.st == StLength2 && orow_i.level == 2'(w_i.cmd.opcode == OpCommit)) begin  // the outermost
              act_o.rec_push = 1'b1;
              act_o.rec_in.event_.kind = EvWindow;
              act_o.rec_in.event_.cause =
                  (w_i.cmd.opcode == OpOpen) ? StWindow : (w_i.cmd.count != '0) ? StOk : StAborted;
              act_o.rec_in.event_.owner = w_i.cmd.owner;
              act_o.rec_in.event_.position = (w_i.cmd.opcode == OpOpen) ? 32'(orow_i.committed) : w_i.cmd.count;
              s_o.count.rollback = w_i.cmd.opcode == OpCommit && w_i.cmd.count == '0;
            end
            act_o.cmd_done = s_o.st != StLength2;
          end
          OpSetProfile: s_o.st = StProfile;
          OpLetGo, OpAbort: begin
            if (refused_owner) act_o.done_status = StBadOwner;
            else if (bad_span) act_o.done_status = StBadRange;
            else if (orow_i.level != '0) act_o.done_status = StWindow;
            else if (orow_i.refs != '0) act_o.done_status = StBusy;
            else begin
              act_o.sweep_start = 1'b1;
              w_o.sw = '0;
              w_o.sw.kind = (w_i.cmd.opcode == OpLetGo) ? SwLetGo : SwAbort;
              w_o.sw.phase = PhRows;
              w_o.sw.first = pos_t'(w_i.cmd.first);
              w_o.sw.last = pos_t'(span_end - 33'd1);
            end
            act_o.cmd_done = !act_o.sweep_start;
          end
          OpRetire: begin
            if (!w_i.cmd.flags[0] && refused_owner) act_o.done_status = StBadOwner;
            else if (!w_i.cmd.flags[0] && bad_span) act_o.done_status = StBadRange;
            else begin
              act_o.sweep_start = 1'b1;
              w_o.sw = '0;
              w_o.sw.kind = SwRetire;
              w_o.sw.phase = PhRows;
              w_o.sw.all = w_i.cmd.flags[0];
              w_o.sw.first = w_i.cmd.flags[0] ? '0 : pos_t'(w_i.cmd.first);
              w_o.sw.last = w_i.cmd.flags[0] ? '1 : pos_t'(span_end - 33'd1);
              s_o.retire = '{
                  valid: 1'b1,
                  all: w_o.sw.all,
                  owner: cmd_owner,
                  first: w_o.sw.first,
                  last: w_o.sw.last
              };
              s_o.keep = 1'b1;
              s_o.fence = 1'b1;
              w_o.pulse_owner = cmd_owner;
            end
            act_o.cmd_done = !act_o.sweep_start;
          end
          OpStepEnd: begin
            if (refused_owner) act_o.done_status = StBadOwner;
            else if (orow_i.level != '0) act_o.done_status = StWindow;
            else begin
              act_o.orow_re = 1'b1;
              act_o.orow_raddr = orow_i.prefix_owner;
              s_o.st = StStep2;
            end
            act_o.cmd_done = s_o.st != StStep2;
          end
          OpWaitPromotions: begin
            act_o.cmd_done = 1'b1;
            if (!w_i.cmd.flags[0] && refused_owner) act_o.done_status = StBadOwner;
            else if (w_i.cmd.flags[1]) begin
              act_o.cmd_done = w_i.cmd.flags[0] || w_i.cmd.first >= 32'(Positions);
              act_o.done_status = w_i.cmd.flags[0] ? StBadCommand : StBadRange;
              if (!act_o.cmd_done) s_o.st = StWait2;
            end else if (w_i.cmd.flags[0] ? s_i.fills == '0 : orow_i.pending == '0) begin
              act_o.wait_now = 1'b1;
              act_o.done_status = w_i.cmd.flags[0] ? all_worst_i : orow_i.worst;
              act_o.done_value0 = 32'(w_i.cmd.flags[0] ? all_ended_i : orow_i.ended);
              act_o.orow_we = !w_i.cmd.flags[0];
              act_o.orow_loop = orow_i;
              act_o.orow_loop.worst = StOk;
              act_o.orow_loop.ended = '0;
            end else if (!waits_room_i) act_o.done_status = StBusy;
            else begin
              act_o.wait_add = 1'b1;
              act_o.cmd_done = 1'b0;
              s_o.st = StIdle;
            end
          end
          OpPlan: begin
            act_o.cmd_done = refused_owner;
            act_o.done_status = StBadOwner;
            if (!refused_owner) s_o.st = StPlan2;
          end
          default: begin
            act_o.cmd_done = 1'b1;
            act_o.done_status = StBadCommand;
          end
        endcase
      end

      // A wait for one token: its slot is asked for, then that slot's promotion is waited for.
      StWait2: begin
        s_o.tag_valid = 1'b1;
        w_o.tag = '0;
        w_o.tag.op = TagFind;
        w_o.tag.owner = cmd_owner;
        if (w_i.own.prefix_valid && w_i.cmd.first < 32'(w_i.own.prefix_len)) w_o.tag.owner = w_i.own.prefix_owner;
        w_o.tag.granule = gran_t'(w_i.cmd.first >> 4);
        w_o.tag.token = w_i.cmd.first[3:0];
        s_o.st = StWait3;
      end
      StWait3: begin
        act_o.row_raddr = tag_ack_i.slot;
        if (tag_ack_valid_i) begin
          act_o.row_re = 1'b1;
          w_o.slot = tag_ack_i.slot;
          s_o.st = StWait4;
          if (tag_ack_i.status != StOk) begin
            act_o.cmd_done = 1'b1;
            act_o.done_status = StNotResident;
          end
        end
      end
      StWait4: begin
        act_o.done_value0 = 32'(w_i.slot);
        act_o.cmd_done = row_i.state != SlFilling || !waits_room_i;
        act_o.done_status = (row_i.state == SlFilling) ? StBusy : StOk;
        act_o.wait_add = !act_o.cmd_done;
        s_o.st = StIdle;
      end

      // Plan commands; w_i.lim: what a commit is checked against.
      StPlan2: begin
        w_o.lim = limits;
        s_o.st  = StPlan3;
      end
      StPlan3: begin
        act_o.done_status = pl_status_i;
        act_o.done_value0 = pl_value0_i;
        act_o.done_value1 = pl_value1_i;
        if (pl_check_i && w_i.own.level != '0) act_o.done_status = StWindow;
        else act_o.pl_act = 1'b1;
        act_o.cmd_done = !pl_check_i || act_o.done_status != StOk;
        s_o.st = StIdle;
        if (act_o.done_status == StOk && plan_kind_e'(w_i.cmd.flags[2:0]) == PkDrop) begin
          s_o.reserve = s_i.reserve - minus(plan_i.slots, cnt_t'(w_i.own.used_plan));
          s_o.minimum = s_i.minimum - plan_i.entries;
          s_o.p_reserve[w_i.own.profile] = s_i.p_reserve[w_i.own.profile] -
              minus(plan_i.slots, cnt_t'(w_i.own.used_plan));
          s_o.p_minimum[w_i.own.profile] = s_i.p_minimum[w_i.own.profile] - plan_i.slots;
          if (s_i.sweeping && w_i.sw.kind == SwPressure) w_o.sw.dirty = 1'b1;
        end
      end

      // A plan was checked. It holds if there still is the room that it was checked against; else it is checked again.
      StVerdict1: begin
        w_o.own = orow_i;
        s_o.st  = StVerdict2;
      end
      StVerdict2: begin
        w_o.lim = limits;
        s_o.st  = StVerdict3;
      end
      StVerdict3: begin
        s_o.st = StIdle;
        act_o.done_tag = pl_tag_i;
        act_o.done_start = pl_start_i;
        act_o.done_opcode = OpPlan;
        act_o.trace = '{valid: 1'b1, kind: TrPlanEnd, slot: slot_t'(w_i.verdict), data: 16'd0};
        if (!pl_fits_i) begin
          act_o.pl_free = 1'b1;
          act_o.done_push = 1'b1;
          act_o.done_status = StNoPlan;
          act_o.done_value0 = pl_bad_item_i;
          act_o.done_value1 = 64'(pl_bad_reason_i);
        end else if (pl_slots_i <= w_i.lim.slots && pl_slots_i <= w_i.lim.rows && pl_entries_i <= w_i.lim.entries &&
                     pl_same_i) begin
          act_o.pl_accept = 1'b1;
          act_o.done_push = 1'b1;
          act_o.done_value0 = 32'(pl_slots_i);
          act_o.done_value1 = 64'(pl_entries_i);
          act_o.trace.data = 16'd1;
          s_o.reserve = s_i.reserve + pl_slots_i;
          s_o.minimum = s_i.minimum + pl_entries_i;
          s_o.p_reserve[w_i.own.profile] = s_i.p_reserve[w_i.own.profile] + pl_slots_i;
          s_o.p_minimum[w_i.own.profile] = s_i.p_minimum[w_i.own.profile] + pl_slots_i + cnt_t'(w_i.own.used_plan);
          if (s_i.sweeping && w_i.sw.kind == SwPressure) w_o.sw.dirty = 1'b1;
        end else begin
          act_o.pl_again   = 1'b1;
          act_o.trace.kind = TrPlanStart;
        end
      end

      StProfile: begin
        act_o.cmd_done = profile_done_i;
        act_o.done_status = profile_status_i;
      end

      // set_length, open and commit change lengths and level
      StLength2: begin
        act_o.orow_we = 1'b1;
        act_o.orow_loop = w_i.own;
        act_o.orow_loop.length = w_i.new_length;
        act_o.orow_loop.committed = w_i.new_committed;
        act_o.orow_loop.level = w_i.new_level;
        s_o.own_wr = 1'b1;
        w_o.own_wr_owner = cmd_owner;
        w_o.own_wr_ctx = own_rd_ctx_i;
        w_o.own_wr_ctx.length = w_i.new_length;
        w_o.own_wr_ctx.committed = w_i.new_committed;
        act_o.cmd_done = 1'b1;
      end

      StStep2: begin
        s_o.keep = 1'b1;
        w_o.pulse_owner = cmd_owner;
        act_o.sweep_start = 1'b1;
        act_o.pl_step = !w_i.cmd.flags[0];
        w_o.batch_wait = '0;
        w_o.sw = '0;
        w_o.sw.kind = SwStep;
        w_o.sw.phase = PhBatch;
        w_o.sw.prefill = w_i.cmd.flags[0];
        w_o.sw.no_scores = w_i.cmd.flags[1];
        w_o.sw.referenced = w_i.own.refs != '0;
        w_o.sw.profile = w_i.own.profile;
        w_o.sw.prefix_valid = w_i.own.prefix_valid;
        w_o.sw.prefix_owner = w_i.own.prefix_owner;
        w_o.sw.prefix_len = w_i.own.prefix_len;
        w_o.sw.prefix_tick = w_i.own.prefix_valid && orow_i.level == '0;
      end
      default: ;
    endcase
  end

endmodule

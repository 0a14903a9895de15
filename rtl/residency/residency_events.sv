// SPDX-License-Identifier: Apache-2.0
// The next event of the loop: what is noted of it, and which state works on it.
//
// Contract: combinational, as residency_commands, for the idle state. residency_turns has chosen: a command (cmd_take_i),
// or a class of events; its row (and its owner's) is asked for, and the bench is told (act_o.trace), for the order in
// which events are taken explains every decision. A sweep's phases that need no row are gone through here.
// Latency: a cycle an event.

module residency_events
  import kvsink_cfg_pkg::*;
  import kvsink_pkg::*;
  import residency_pkg::*;
(
    input ctl_state_t s_i,
    input ctl_work_t w_i,
    input cycle_t now_i,
    input ctl_cfg_t cfg_i,
    input logic cmd_take_i,
    input logic none_want_i,
    input logic [ClassW-1:0] chosen_class_i,
    input slot_t walks_head_i,
    input slot_t fill_head_i,
    input slot_t free_head_i,
    input status_e wait_status_i,
    input cnt_t wait_count_i,
    input logic [15:0] wait_tag_i,
    input logic [31:0] wait_start_i,
    input plan_t pl_which_i,
    input owner_t pl_owner_i,
    input logic pl_is_verdict_i,
    input grant_t pl_grant_i,
    input logic batch_here_i,
    input logic batch_wanted_i,
    input cmd_t cmd_i,
    input dma_end_t end_i,
    input dma_progress_t progress_i,
    input walk_rsp_t walk_rsp_i,
    input score_rsp_t rsp_i,
    input ctl_state_t s_next_i,  // what becomes of them if this unit has no say
    input ctl_work_t w_next_i,
    input ctl_act_t act_i,
    output ctl_state_t s_o,
    output ctl_work_t w_o,
    output ctl_act_t act_o
);


  always_comb begin
    s_o   = s_next_i;
    w_o   = w_next_i;
    act_o = act_i;

    unique case (s_i.st)

      StIdle: begin
        s_o.cmd_turn = 1'b1;
        if (cmd_take_i) begin
          s_o.cmd_turn = 1'b0;
          w_o.cmd = cmd_i;
          w_o.start = now_i[31:0];
          act_o.orow_re = 1'b1;
          act_o.orow_raddr = owner_t'(cmd_i.owner);
          w_o.own_rd_owner = owner_t'(cmd_i.owner);
          act_o.trace = '{valid: 1'b1, kind: TrCommand, slot: '0, data: cmd_i.tag};
          s_o.st = StCmd;
          if (cmd_i.opcode == OpPromote) begin
            s_o.st = StG1;
            w_o.g = '0;
            w_o.g.source = SrcCommand;
            w_o.g.bad_owner = cmd_i.owner >= 16'(Owners);
            w_o.g.bad_range = cmd_i.first >= 32'(Positions);
            w_o.g.bad_profile = cmd_i.profile >= 16'(Profiles);
            w_o.g.owner = owner_t'(cmd_i.owner);
            w_o.g.position = pos_t'(cmd_i.first);
            w_o.g.profile = profile_t'(cmd_i.profile);
            w_o.g.deadline = cycle_t'(cmd_i.arg0);
            w_o.g.not_before = cycle_t'(cmd_i.arg1);
            w_o.g.dwell = cmd_i.arg2[15:0];
            w_o.g.tier = cmd_i.arg2[18:16];
          end
        end else if (!none_want_i) begin
          s_o.turn = chosen_class_i + ClassW'(1);
          act_o.row_re = 1'b1;
          unique case (class_e'(chosen_class_i))
            EcEnd: begin
              w_o.dma_end = end_i;
              w_o.slot = end_i.slot;
              act_o.row_raddr = end_i.slot;
              act_o.trace = '{valid: 1'b1, kind: TrEnd, slot: end_i.slot, data: '0};
              s_o.st = StEnd;
            end
            EcProgress: begin
              w_o.mark = progress_i.watermark;
              w_o.slot = progress_i.slot;
              act_o.row_raddr = progress_i.slot;
              act_o.trace = '{valid: 1'b1, kind: TrProgress, slot: progress_i.slot, data: '0};
              s_o.st = StProg;
            end
            EcWalk: begin
              w_o.walk = walk_rsp_i;
              w_o.slot = walks_head_i;
              act_o.row_raddr = walks_head_i;
              act_o.trace = '{valid: 1'b1, kind: TrWalk, slot: walks_head_i, data: '0};
              s_o.st = StWalk;
            end
            EcFill: begin
              w_o.slot = fill_head_i;
              act_o.row_raddr = fill_head_i;
              s_o.st = StFill;
            end
            EcFree: begin
              w_o.slot = free_head_i;
              act_o.row_raddr = free_head_i;
              s_o.st = StFreeRow;
            end
            EcScore: begin
              w_o.rsp = rsp_i;
              w_o.slot = w_i.sw.row;
              act_o.row_raddr = w_i.sw.row;
              act_o.orow_re = 1'b1;
              act_o.orow_raddr = w_i.sw.owner;
              if (w_i.sw.phase == PhScore) begin
                act_o.trace = '{valid: 1'b1, kind: TrScore, slot: w_i.sw.row, data: '0};
                s_o.st = StScore1;
              end else begin
                act_o.trace = '{valid: 1'b1, kind: TrTop, slot: '0, data: '0};
                if (rsp_i.last) w_o.sw.phase = PhFree;
                if (rsp_i.valid) begin
                  // The slot choice of a candidate looks at the region of the owner's profile, as a grant does.
                  w_o.g = '0;
                  w_o.g.source = SrcTop;
                  w_o.g.owner = w_i.sw.owner;
                  w_o.g.position = rsp_i.position;
                  w_o.g.profile = w_i.sw.profile;
                  w_o.g.dwell = (cfg_i.t_pin != '1 && rsp_i.score >= cfg_i.t_pin) ? DwellPinned : cfg_i.n_dwell;
                  w_o.g.e = {rsp_i.score, EShift'(0)};
                  s_o.st = w_i.sw.prefill ? StG1 : StCand1;
                end
              end
            end
            EcWait: begin
              act_o.done_push = 1'b1;
              act_o.done_status = wait_status_i;
              act_o.done_value0 = 32'(wait_count_i);
              act_o.done_tag = wait_tag_i;
              act_o.done_opcode = OpWaitPromotions;
              act_o.done_start = wait_start_i;
            end
            EcPlan: begin
              w_o.verdict = pl_which_i;
              act_o.orow_re = 1'b1;
              act_o.orow_raddr = pl_owner_i;
              if (pl_is_verdict_i) s_o.st = StVerdict1;
              else begin
                w_o.g = pl_grant_i;
                act_o.trace = '{
                    valid: 1'b1,
                    kind: TrPlanItem,
                    slot: slot_t'(pl_which_i),
                    data: 16'(pl_grant_i.late)
                };
                s_o.st = StG1;
              end
            end
            default: begin  // EcSweep
              act_o.row_raddr = w_i.sw.row;
              w_o.slot = w_i.sw.row;
              w_o.burst = '0;
              if (!s_i.sweeping) begin
                s_o.press = 1'b0;
                s_o.sweeping = 1'b1;
                w_o.sw = '0;
                w_o.sw.kind = SwPressure;
                w_o.sw.phase = PhRows;
                w_o.sw.owner = w_i.press_owner;
                w_o.sw.profile = w_i.press_profile;
                w_o.sw.any_profile = w_i.press_any;
                w_o.sw.plan = w_i.press_plan;
              end else begin
                unique case (w_i.sw.phase)
                  PhBatch: begin
                    w_o.sw.scored = batch_wanted_i && batch_here_i;
                    if (!w_i.sw.prefill) w_o.sw.phase = PhRows;
                    else w_o.sw.phase = w_o.sw.scored ? PhTopAsk : PhFree;
                  end
                  PhRows:  s_o.st = StRow;
                  PhTopAsk: begin
                    act_o.orow_re = 1'b1;
                    act_o.orow_raddr = w_i.sw.owner;
                    s_o.st = StTopCount;
                  end
                  PhFree: begin
                    w_o.sw.phase = PhDone;
                    if (w_i.sw.scored || (!w_i.sw.no_scores && batch_here_i)) begin
                      s_o.sc_valid = 1'b1;
                      w_o.sc = '0;
                      w_o.sc.op = ScFree;
                    end
                  end
                  PhPick: begin
                    act_o.row_raddr = w_i.sw.best_slot;
                    w_o.slot = w_i.sw.best_slot;
                    act_o.orow_re = 1'b1;
                    act_o.orow_raddr = w_i.sw.owner;
                    s_o.st = StPick;
                  end
                  PhFence: w_o.sw.phase = PhDone;
                  default: begin  // PhDone
                    s_o.sweeping = 1'b0;
                    act_o.done_push = 1'b1;
                    act_o.done_tag = w_i.sw.tag;
                    act_o.done_opcode = w_i.sw.opcode;
                    act_o.done_start = w_i.sw.start;
                    act_o.done_value0 = 32'(w_i.sw.taken);
                    if (w_i.sw.kind == SwStep) begin
                      act_o.done_value0 = {w_i.sw.evicted, w_i.sw.promoted};
                      act_o.done_value1 = 64'(w_i.sw.scored);
                    end else if ((w_i.sw.kind == SwLetGo || w_i.sw.kind == SwAbort) && w_i.sw.taken == '0) begin
                      act_o.done_status = StNotResident;
                    end
                    act_o.trace = '{valid: 1'b1, kind: TrSweepEnd, slot: '0, data: w_i.sw.tag};
                  end
                endcase
              end
            end
          endcase
        end
      end
      default: ;
    endcase
  end

endmodule

// SPDX-License-Identifier: Apache-2.0
// Sweeps over the slot table: retire, let_go, abort, step_end with its scores and candidates, and pressure.
//
// Contract: combinational, one state of the loop a cycle, as residency_commands. w_i.sw says which sweep, where it is and
// what it has found; a row is visited once (its epoch), in order. Dwell ticks, the moving average and the runs are
// updated here and nowhere else; what leaves or is granted goes on in residency_moves and residency_grants, and the sweep
// takes up behind its row.
// Latency: a row a cycle; one that is acted on 4 to 6, one whose score is read about 7 and the scorer's latency.

module residency_sweeps
  import kvsink_cfg_pkg::*;
  import kvsink_pkg::*;
  import residency_pkg::*;
(
    input ctl_state_t s_i,
    input ctl_work_t w_i,
    input row_t row_i,
    input orow_t orow_i,
    input profile_cfg_t [Profiles-1:0] profiles_i,
    input profile_cfg_t profile_i,
    input logic pick_clean_i,
    input slot_t pick_slot_i,
    input plan_view_t plan_i,
    input logic room_leave_i,
    input product_t product_i,
    input logic sweep_yields_i,
    input ctl_cfg_t cfg_i,
    input ctl_state_t s_next_i,  // what becomes of them if this unit has no say
    input ctl_work_t w_next_i,
    input ctl_act_t act_i,
    output ctl_state_t s_o,
    output ctl_work_t w_o,
    output ctl_act_t act_o
);

  // ---- a row under the sweep (StRow: row_i of w_i.sw.row)
  logic row_old, row_granted, row_mine, row_in_span, row_prefix, row_take, row_score, row_drop, row_tick, row_demote;
  logic   row_better;
  logic   region_out;
  slots_t region_offset;
  always_comb begin
    row_old = row_i.epoch != s_i.epoch;
    row_granted = row_i.state == SlFilling || row_i.state == SlResident;
    row_mine = w_i.sw.all || row_i.owner == w_i.sw.owner;
    row_in_span = row_i.position >= w_i.sw.first && row_i.position <= w_i.sw.last;
    row_prefix = w_i.sw.prefix_valid && row_i.owner == w_i.sw.prefix_owner;
    region_offset = slots_t'(w_i.sw.row) - slots_t'(profiles_i[w_i.sw.profile].slot_first);
    region_out = !profiles_i[w_i.sw.profile].valid || w_i.sw.row < profiles_i[w_i.sw.profile].slot_first ||
        region_offset >= profiles_i[w_i.sw.profile].slot_count;
    row_take = 1'b0;
    row_score = 1'b0;
    row_drop = 1'b0;
    row_tick = 1'b0;
    row_demote = 1'b0;
    if (row_old) begin
      unique case (w_i.sw.kind)
        SwRetire: begin
          row_take   = row_granted && row_mine && row_in_span;
          row_drop   = row_i.state == SlFree && row_i.cand && row_mine && row_in_span;
          row_demote = w_i.sw.demote && row_granted && row_i.owner == w_i.sw.demote_owner;
        end
        SwLetGo: row_take = row_granted && row_mine && row_in_span;
        SwAbort: row_take = row_i.state == SlFilling && row_mine && row_in_span;
        SwStep: begin
          row_drop = w_i.sw.scored && row_i.state == SlFree && row_i.cand && row_mine && region_out;
          if (row_mine) row_score = row_granted || (row_i.state == SlFree && row_i.cand);
          else row_score = row_prefix && row_granted && len_t'(row_i.position) < w_i.sw.prefix_len;
          if (!w_i.sw.scored || row_drop) row_score = 1'b0;
          row_tick = row_granted && (row_mine || (row_prefix && w_i.sw.prefix_tick));
        end
        default: ;
      endcase
    end
    row_better = row_i.state == SlResident && row_i.dwell == DwellBestEffort && !in_region(plan_i, row_i.position) &&
        row_i.owner == w_i.sw.owner && (w_i.sw.any_profile || row_i.profile == w_i.sw.profile) &&
        (!w_i.sw.best_valid || row_i.e < w_i.sw.best_e);
  end

  // ---- E after the score (StScore3, StCand4: product is ready)
  e_t e_base, e_new;
  run_t up_new, down_new;
  logic at_promote, below_evict;
  always_comb begin
    e_base = (s_i.st == StScore3) ? w_i.row.e : '0;
    e_new = e_next(e_base, w_i.rsp.score, product_i);
    at_promote = e_new >= {cfg_i.t_promote, EShift'(0)};
    below_evict = e_new < {cfg_i.t_evict, EShift'(0)};
    up_new = !at_promote ? '0 : (w_i.row.run_up == '1) ? '1 : w_i.row.run_up + run_t'(1);
    down_new = !below_evict ? '0 : (w_i.row.run_down == '1) ? '1 : w_i.row.run_down + run_t'(1);
  end

  // ---- tokens that a prefill may place (StTopCount: orow_i)
  cnt_t top_count, top_sure;
  profile_t top_p;
  always_comb begin
    top_p = orow_i.profile;
    top_sure = minus(cnt_t'(orow_i.slot_min), cnt_t'(orow_i.used_own));
    top_count = top_sure + least(
      minus(
        cnt_t'(orow_i.slot_max), cnt_t'(orow_i.used) + top_sure
      ),
      least(
        minus(
          cnt_t'(cfg_i.sram_budget), s_i.used + s_i.reserve
        ),
        minus(
          minus(cnt_t'(profiles_i[top_p].slot_count), s_i.p_used[top_p]), s_i.p_reserve[top_p]))
    );
    if (!profiles_i[top_p].valid) top_count = '0;
  end

  logic sweep_next;  // the sweep goes on to the next row
  always_comb begin
    s_o = s_next_i;
    w_o = w_next_i;
    act_o = act_i;
    sweep_next = 1'b0;

    unique case (s_i.st)

      StRow: begin
        w_o.row = row_i;
        w_o.row.epoch = s_i.epoch;
        w_o.row.ticked = 1'b0;
        w_o.slot = w_i.sw.row;
        act_o.row_waddr = w_i.sw.row;
        act_o.row_wdata = w_o.row;
        act_o.map_slot = w_i.sw.row;
        act_o.map_free = 1'b1;
        w_o.burst = (w_i.burst == 5'(SweepBurst)) ? w_i.burst : w_i.burst + 5'd1;
        s_o.st = StIdle;
        if (row_take) begin
          w_o.sw.taken = w_i.sw.taken + cnt_t'(1);
          w_o.lv_kind = (row_i.state == SlFilling) ? EvFailed : EvLeave;
          w_o.lv_cause = (row_i.state == SlFilling) ? StAborted : (w_i.sw.kind == SwRetire) ? StRetired : StCommand;
          w_o.lv_tag = w_i.sw.kind != SwRetire;
          act_o.trace = '{valid: 1'b1, kind: TrRow, slot: w_i.sw.row, data: '0};
          sweep_next = 1'b1;
          s_o.st = StLeave;
        end else if (row_score) begin
          s_o.sc_valid = 1'b1;
          w_o.sc = '0;
          w_o.sc.op = ScRead;
          w_o.sc.position = row_i.position;
          w_o.sc.mark = 1'b1;
          w_o.sw.phase = PhScore;
        end else begin
          sweep_next = 1'b1;
          if (w_i.sw.kind == SwPressure) begin
            if (row_better) begin
              w_o.sw.best_valid = 1'b1;
              w_o.sw.best_slot = w_i.sw.row;
              w_o.sw.best_position = row_i.position;
              w_o.sw.best_e = row_i.e;
            end
          end else begin
            act_o.row_we = 1'b1;
            if (row_tick) act_o.row_wdata.dwell = ticked(row_i.dwell, row_i.ticked, 1'b1);
            if (row_demote) act_o.row_wdata.dwell = DwellBestEffort;
            if (row_drop) begin
              act_o.row_wdata.cand = 1'b0;
              act_o.map_set = 1'b1;
              act_o.trace = '{valid: 1'b1, kind: TrRow, slot: w_i.sw.row, data: '0};
            end
          end
          if (w_i.sw.row != SlotLast && !sweep_yields_i) begin
            act_o.row_re = 1'b1;
            act_o.row_raddr = w_i.sw.row + slot_t'(1);
            s_o.st = StRow;
          end
        end
      end

      // A score has come: the row may have left or given way meanwhile.
      StScore1: begin
        w_o.row = row_i;
        w_o.row.epoch = s_i.epoch;
        w_o.row.ticked = 1'b0;
        w_o.row.dwell = ticked(row_i.dwell, row_i.ticked, row_i.owner == w_i.sw.owner || w_i.sw.prefix_tick);
        w_o.mul_a = distance(row_i.e, w_i.rsp.score);
        w_o.mul_b = beta_of(cfg_i.alpha);
        s_o.st = StScore2;
        if (row_i.epoch == s_i.epoch || row_i.state == SlLeaving ||
            (row_i.state == SlFree && !row_i.cand) || row_i.owner != w_i.sw.owner) begin
          act_o.row_we = 1'b1;
          act_o.row_wdata = w_o.row;
          if (row_i.epoch == s_i.epoch || row_i.state == SlLeaving || row_i.state == SlFree) begin
            act_o.row_wdata.dwell = row_i.dwell;
          end
          sweep_next = 1'b1;
          s_o.st = StIdle;
        end
      end
      StScore2: s_o.st = StScore3;
      StScore3: begin
        w_o.row.e = e_new;
        w_o.row.run_up = up_new;
        w_o.row.run_down = down_new;
        act_o.row_we = 1'b1;
        act_o.row_wdata = w_o.row;
        s_o.st = StIdle;
        if (w_i.row.state == SlResident && w_i.row.dwell == DwellBestEffort && !w_i.sw.referenced &&
            down_new >= cfg_i.n_evict && room_leave_i && plan_i.may_evict && !in_region(
                plan_i, w_i.row.position
            )) begin
          act_o.pl_evicted = 1'b1;
          w_o.lv_kind = EvLeave;
          w_o.lv_cause = StThreshold;
          w_o.lv_tag = 1'b1;
          w_o.sw.evicted = w_i.sw.evicted + cnt_t'(1);
          sweep_next = 1'b1;
          s_o.st = StLeave;
        end else if (w_i.row.state == SlFree && up_new >= cfg_i.n_promote) begin
          w_o.g = '0;
          w_o.g.source = SrcCandidate;
          w_o.g.owner = w_i.sw.owner;
          w_o.g.position = w_i.row.position;
          w_o.g.profile = w_i.sw.profile;
          w_o.g.dwell = cfg_i.n_dwell;
          w_o.g.e = e_new;
          w_o.g.run_up = up_new;
          w_o.g.run_down = down_new;
          w_o.g.slot = w_i.slot;
          act_o.orow_re = 1'b1;
          act_o.orow_raddr = w_i.sw.owner;
          s_o.st = StG1;
        end else begin
          if (w_i.row.state == SlResident && w_i.row.dwell == DwellBestEffort && !w_i.sw.referenced &&
              down_new >= cfg_i.n_evict && room_leave_i)
            act_o.pl_denied_eviction = 1'b1;
          if (w_i.row.state == SlFree) begin
            w_o.sw.cands = w_i.sw.cands + cnt_t'(1);
            if (!w_i.sw.best_valid || e_new < w_i.sw.best_e) begin
              w_o.sw.best_valid = 1'b1;
              w_o.sw.best_slot = w_i.slot;
              w_o.sw.best_position = w_i.row.position;
              w_o.sw.best_e = e_new;
            end
          end
          sweep_next = 1'b1;
        end
      end

      StTopCount: begin
        w_o.sc = '0;
        w_o.sc.op = ScTop;
        w_o.sc.count = w_i.sw.prefill ? len_t'(top_count) : len_t'(1);
        w_o.sc.threshold = w_i.sw.prefill ? cfg_i.t_sink : cfg_i.t_promote;
        w_o.sc.prefill = w_i.sw.prefill;
        s_o.sc_valid = !(w_i.sw.prefill && top_count == '0);
        w_o.sw.phase = s_o.sc_valid ? PhTop : PhFree;
        s_o.st = StTopAsked;
      end

      // The count is of this moment: nothing else is decided before the scorer has it.
      StTopAsked: if (!s_i.sc_valid) s_o.st = StIdle;

      // The strongest token without a row becomes a candidate.
      StCand1: begin
        w_o.own = orow_i;
        w_o.mul_a = distance('0, w_i.rsp.score);
        w_o.mul_b = beta_of(cfg_i.alpha);
        s_o.st = StCand2;
        if (len_t'(w_i.g.position) >= orow_i.committed || !profile_i.valid ||
            (orow_i.prefix_valid && len_t'(w_i.g.position) < orow_i.prefix_len)) begin
          s_o.st = StIdle;
        end
      end
      StCand2: s_o.st = StCand3;
      StCand3: begin
        w_o.row = '0;
        w_o.row.cand = 1'b1;
        w_o.row.epoch = s_i.epoch;
        w_o.row.owner = w_i.g.owner;
        w_o.row.position = w_i.g.position;
        s_o.st = StCand4;
      end
      StCand4: begin
        w_o.row.e = e_new;
        w_o.row.run_up = run_t'(at_promote);
        w_o.row.run_down = run_t'(below_evict);
        w_o.slot = pick_slot_i;
        s_o.st = StIdle;
        if (pick_clean_i && w_i.sw.cands + cnt_t'(w_i.own.used) < cnt_t'(w_i.own.slot_max)) begin
          act_o.row_we = 1'b1;
          act_o.row_waddr = pick_slot_i;
          act_o.row_wdata = w_o.row;
          act_o.map_set = 1'b1;
          act_o.map_slot = pick_slot_i;
          act_o.map_free = 1'b1;
          act_o.map_cand = 1'b1;
        end else if (w_i.sw.best_valid && w_i.sw.best_e < e_new) begin
          act_o.row_re = 1'b1;
          act_o.row_raddr = w_i.sw.best_slot;
          w_o.slot = w_i.sw.best_slot;
          s_o.st = StCandRow;
        end
      end
      StCandRow: begin
        s_o.st = StIdle;
        if (row_i.state == SlFree && row_i.cand && row_i.owner == w_i.sw.owner &&
            row_i.position == w_i.sw.best_position)
          act_o.row_we = 1'b1;
      end

      // The token got a slot by command meanwhile: its candidate row is FREE and nothing more.
      StCandDrop: begin
        act_o.row_we = 1'b1;
        act_o.map_set = 1'b1;
        act_o.map_free = 1'b1;
        s_o.st = StIdle;
      end

      // Pressure: the lowest of the owner's best-effort slots leaves, if nothing that was passed has changed.
      StPick: begin
        w_o.row = row_i;
        s_o.st  = StIdle;
        if (w_i.sw.dirty || (w_i.sw.best_valid && !(row_i.state == SlResident && row_i.dwell == DwellBestEffort &&
                                                row_i.owner == w_i.sw.owner &&
                                                row_i.position == w_i.sw.best_position))) begin
          w_o.sw.row = '0;
          w_o.sw.phase = PhRows;
          w_o.sw.best_valid = 1'b0;
          w_o.sw.dirty = 1'b0;
        end else begin
          s_o.sweeping = 1'b0;
          act_o.trace  = '{valid: 1'b1, kind: TrPressure, slot: w_i.sw.best_slot, data: '0};
          if (w_i.sw.best_valid && orow_i.level == '0 && orow_i.refs == '0 && room_leave_i && !w_i.sw.plan &&
              !plan_i.may_evict) begin
            act_o.pl_denied_eviction = 1'b1;
          end else if (w_i.sw.best_valid && orow_i.level == '0 && orow_i.refs == '0 && room_leave_i) begin
            act_o.pl_evicted = !w_i.sw.plan;
            act_o.trace.data = 16'd1;
            w_o.lv_kind = EvLeave;
            w_o.lv_cause = StEvicted;
            w_o.lv_tag = 1'b1;
            s_o.st = StLeave;
          end
        end
      end
      default: ;
    endcase

    if (sweep_next) begin
      w_o.sw.phase = (w_i.sw.row == SlotLast) ? after_rows(w_i.sw.kind, w_i.sw.scored) : PhRows;
      w_o.sw.row   = w_i.sw.row + slot_t'(1);
    end
  end

endmodule

// SPDX-License-Identifier: Apache-2.0
// A slot's way through its states: to the walker and the DMA, RESIDENT, LEAVING, FREE.
//
// Contract: combinational, one state of the loop a cycle, as residency_commands. The tag goes before the slot leaves;
// the slot is freed when its last record is written (its number comes back through residency_queues), no list reads it
// that was open when it left, no beat is on its way to it and no abort names it.
// Latency: 1 to 3 states an event, and the tag array's 2 cycles.

module residency_moves
  import kvsink_cfg_pkg::*;
  import kvsink_pkg::*;
  import residency_pkg::*;
(
    input ctl_state_t s_i,
    input ctl_work_t w_i,
    input row_t row_i,
    input orow_t orow_i,
    input profile_cfg_t [Profiles-1:0] profiles_i,
    input plan_view_t plan_i,
    input logic aborting_i,
    input product_t product_i,
    input cycle_t now_i,
    input logic tag_ack_valid_i,
    input tag_ack_t tag_ack_i,
    input list_info_t [Readers-1:0] list_info_i,
    input logic [31:0] list_serial_i,
    input ctl_state_t s_next_i,  // what becomes of them if this unit has no say
    input ctl_work_t w_next_i,
    input ctl_act_t act_i,
    output ctl_state_t s_o,
    output ctl_work_t w_o,
    output ctl_act_t act_o
);

  // ---- readers of a LEAVING slot (StFreeRow): lists that were open when it left. Serials compare modulo 2**32.
  logic readers;
  always_comb begin
    readers = 1'b0;
    for (int unsigned i = 0; i < Readers; i++) begin
      if (list_info_i[i].open && (list_info_i[i].owner == row_i.owner ||
                                  (list_info_i[i].prefix_valid && list_info_i[i].prefix_owner == row_i.owner)) &&
          list_info_i[i].serial - row_i.leave_serial >= SerialHalf)
        readers = 1'b1;
    end
  end

  always_comb begin
    s_o   = s_next_i;
    w_o   = w_next_i;
    act_o = act_i;

    unique case (s_i.st)

      StEnd: begin
        w_o.row = row_i;
        w_o.row.stage = SgNone;
        act_o.orow_re = 1'b1;
        act_o.orow_raddr = row_i.owner;
        s_o.count.deadline_missed = w_i.dma_end.status == StDeadline;
        s_o.st = StIdle;
        if (row_i.state == SlFilling) begin
          if (w_i.dma_end.status == StOk || w_i.dma_end.status == StDeadline) begin
            s_o.tag_valid = 1'b1;
            w_o.tag = tag_of(TagWatermark, row_i, w_i.slot, '1);
            s_o.st = StEndAck;
          end else begin
            w_o.lv_kind = EvFailed;
            w_o.lv_cause = w_i.dma_end.status;
            w_o.lv_tag = 1'b1;
            s_o.st = StLeave;
          end
        end else begin
          act_o.row_we = 1'b1;
          act_o.row_wdata = w_o.row;
        end
      end
      StEndAck:
      if (tag_ack_valid_i) begin
        s_o.st = StIdle;
        act_o.row_we = 1'b1;
        if (tag_ack_i.status == StOk) begin
          act_o.row_wdata.state = SlResident;
          act_o.fill_end = 1'b1;
          act_o.fill_end_status = w_i.dma_end.status;
          act_o.rec_push = 1'b1;
          act_o.rec_in.event_.kind = EvResident;
          act_o.rec_in.event_.cause = w_i.dma_end.status;
          act_o.rec_in.event_.owner = 16'(w_i.row.owner);
          act_o.rec_in.event_.position = 32'(w_i.row.position);
          act_o.rec_in.event_.word = 32'(w_i.row.word);
          act_o.rec_in.event_.slot = 16'(w_i.slot);
          s_o.count.resident = 1'b1;
          if (s_i.sweeping && w_i.sw.kind == SwPressure && w_i.row.owner == w_i.sw.owner) w_o.sw.dirty = 1'b1;
        end
        // else it was retired, and the sweep that comes to it decides
      end

      StProg: begin
        s_o.st = StIdle;
        if (row_i.state == SlFilling) begin
          s_o.tag_valid = 1'b1;
          w_o.tag = tag_of(TagWatermark, row_i, w_i.slot, w_i.mark);
          s_o.st = StProgAck;
        end
      end
      StProgAck: if (tag_ack_valid_i) s_o.st = StIdle;

      StWalk: begin
        w_o.row   = row_i;
        w_o.mul_a = EW'(profiles_i[row_i.profile].slot_beats);
        w_o.mul_b = MulBW'(w_i.slot - profiles_i[row_i.profile].slot_first);
        if (row_i.state != SlFilling) begin
          act_o.row_we = 1'b1;
          act_o.row_wdata = row_i;
          act_o.row_wdata.stage = SgNone;
          s_o.st = StIdle;
        end else if (w_i.walk.status != StOk || !w_i.walk.committed) begin
          w_o.row.stage = SgNone;
          if (w_i.walk.status == StOk) w_o.row.word = w_i.walk.word;
          w_o.lv_kind = EvFailed;
          w_o.lv_cause = (w_i.walk.status != StOk) ? w_i.walk.status : StBadRange;
          w_o.lv_tag = 1'b1;
          s_o.st = StLeave;
        end else begin
          w_o.row.word = w_i.walk.word;
          s_o.tag_valid = 1'b1;
          w_o.tag = tag_of(TagSetWord, row_i, w_i.slot, '0);
          w_o.tag.word = w_i.walk.word;
          s_o.st = StWalkAck;
        end
      end
      StWalkAck:
      if (tag_ack_valid_i) begin
        if (tag_ack_i.status == StOk) begin
          act_o.row_we = 1'b1;
          act_o.row_wdata.stage = SgDma;
          s_o.desc_valid = 1'b1;
          w_o.desc = '{
              slot: w_i.slot,
              profile: w_i.row.profile,
              owner: w_i.row.owner,
              position: w_i.row.position,
              word: w_i.row.word,
              sram_base: profiles_i[w_i.row.profile].sram_base + sram_addr_t'(product_i),
              tier: w_i.row.tier,
              deadline: w_i.row.deadline
          };
          s_o.st = StIdle;
        end else begin
          w_o.row.stage = SgNone;
          act_o.row_we = 1'b1;
          act_o.row_wdata.stage = SgNone;
          w_o.lv_kind = EvFailed;
          w_o.lv_cause = tag_ack_i.status;
          w_o.lv_tag = 1'b1;
          // StNotResident: it was retired, and the sweep that comes to it decides
          s_o.st = (tag_ack_i.status == StNotResident) ? StIdle : StLeave;
        end
      end

      StFill: begin
        s_o.st = StIdle;
        act_o.trace = '{valid: 1'b1, kind: TrFill, slot: w_i.slot, data: '0};
        act_o.row_wdata = row_i;
        if (row_i.state != SlFilling) begin
          act_o.row_we = 1'b1;
          act_o.row_wdata.stage = SgNone;
          act_o.trace.data = 16'd2;
        end else if (row_i.strict && row_i.deadline <= now_i) begin
          w_o.row = row_i;
          w_o.row.stage = SgNone;
          act_o.trace.data = 16'd3;
          s_o.count.deadline_missed = 1'b1;
          w_o.lv_kind = EvFailed;
          w_o.lv_cause = StDeadline;
          w_o.lv_tag = 1'b1;
          s_o.st = StLeave;
        end else if (row_i.not_before > now_i) begin
          act_o.trace.data = 16'd1;
          act_o.fill_push  = 1'b1;
        end else begin
          act_o.row_we = 1'b1;
          act_o.row_wdata.stage = SgWalker;
          act_o.walks_push = 1'b1;
          s_o.walk_valid = 1'b1;
          w_o.walk_req = '{owner: row_i.owner, position: row_i.position};
        end
      end

      StLeave: begin
        act_o.orow_re = 1'b1;
        act_o.orow_raddr = w_i.row.owner;
        s_o.tag_valid = w_i.lv_tag;
        w_o.tag = tag_of(TagRemove, w_i.row, w_i.slot, '0);
        s_o.st = StLeaveAck;
      end
      StLeaveAck:
      if (tag_ack_valid_i || !w_i.lv_tag) begin
        s_o.st = StIdle;
        act_o.row_we = 1'b1;
        act_o.row_wdata.state = SlLeaving;
        act_o.row_wdata.leave_serial = list_serial_i;
        act_o.rec_push = 1'b1;
        act_o.rec_in.leaves = 1'b1;
        act_o.rec_in.event_.kind = w_i.lv_kind;
        act_o.rec_in.event_.cause = w_i.lv_cause;
        act_o.rec_in.event_.owner = 16'(w_i.row.owner);
        act_o.rec_in.event_.position = 32'(w_i.row.position);
        act_o.rec_in.event_.word = 32'(w_i.row.word);
        act_o.rec_in.event_.slot = 16'(w_i.slot);
        // Retired, and failed before the sweep came to it: it is one of the retired.
        if (s_i.sweeping && w_i.sw.kind == SwRetire && w_i.row.epoch != s_i.epoch &&
            (w_i.sw.all || w_i.row.owner == w_i.sw.owner) &&
            w_i.row.position >= w_i.sw.first && w_i.row.position <= w_i.sw.last)
          w_o.sw.taken = w_i.sw.taken + cnt_t'(1);
        if (w_i.row.state == SlFilling) begin
          act_o.fill_end = 1'b1;
          act_o.fill_end_status = w_i.lv_cause;
          act_o.abort_push = w_i.row.stage == SgDma;
          s_o.count.failed = 1'b1;
        end else begin
          s_o.count.left = 1'b1;
          s_o.count.evicted = w_i.lv_cause == StEvicted || w_i.lv_cause == StThreshold;
        end
      end

      StFreeRow: begin
        w_o.row = row_i;
        act_o.orow_re = 1'b1;
        act_o.orow_raddr = row_i.owner;
        if (row_i.stage != SgNone || readers || aborting_i) begin
          act_o.free_again = 1'b1;
          s_o.st = StIdle;
        end else s_o.st = StFreeOwner;
      end
      StFreeOwner: begin
        act_o.row_we = 1'b1;
        act_o.row_wdata = '0;
        act_o.row_wdata.epoch = w_i.row.epoch;
        act_o.map_set = 1'b1;
        act_o.map_free = 1'b1;
        act_o.orow_we = 1'b1;
        act_o.orow_waddr = w_i.row.owner;
        act_o.orow_loop = orow_i;
        act_o.orow_loop.used = orow_i.used - slots_t'(1);
        s_o.used = s_i.used - cnt_t'(1);
        s_o.p_used[w_i.row.profile] = s_i.p_used[w_i.row.profile] - cnt_t'(1);
        if (w_i.row.planned) begin
          act_o.orow_loop.used_plan = orow_i.used_plan - slots_t'(1);
          if (cnt_t'(orow_i.used_plan) <= plan_i.slots) begin
            s_o.reserve = s_i.reserve + cnt_t'(1);
            s_o.p_reserve[w_i.row.profile] = s_i.p_reserve[w_i.row.profile] + cnt_t'(1);
          end
        end
        if (w_i.row.own) begin
          act_o.orow_loop.used_own = orow_i.used_own - slots_t'(1);
          if (orow_i.used_own <= orow_i.slot_min) begin
            s_o.reserve = s_i.reserve + cnt_t'(1);
            s_o.p_reserve[w_i.row.profile] = s_i.p_reserve[w_i.row.profile] + cnt_t'(1);
          end
        end
        act_o.trace = '{valid: 1'b1, kind: TrFree, slot: w_i.slot, data: '0};
        s_o.st = StIdle;
      end
      default: ;
    endcase

    if (act_o.fill_end) begin
      act_o.orow_we = 1'b1;
      act_o.orow_waddr = w_i.row.owner;
      s_o.fills = s_i.fills - cnt_t'(1);
    end
  end

endmodule

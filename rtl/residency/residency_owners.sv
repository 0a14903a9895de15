// SPDX-License-Identifier: Apache-2.0
// set_owner: contexts, guaranteed minimums and references to prefix owners.
//
// Contract: combinational, one state of the loop a cycle, as residency_commands. The context is checked as a whole
// before anything is changed. A new prefix owner gains its reference before the old one loses its own, so that a count
// is never below what owners name; the last reference that goes has the sweep make the prefix best effort. An owner that
// was valid is retired as a whole.
// Latency: 7 states from the row of the new prefix owner to the answer or the sweep, 3 to a refusal.

module residency_owners
  import kvsink_cfg_pkg::*;
  import kvsink_pkg::*;
  import residency_pkg::*;
(
    input ctl_state_t s_i,
    input ctl_work_t w_i,
    input orow_t orow_i,
    input profile_cfg_t [Profiles-1:0] profiles_i,
    input plan_view_t plan_i,
    input logic pl_has_i,
    input logic room_owner_i,
    input ctl_cfg_t cfg_i,
    input layout_cfg_t layout_i,
    input entries_t tag_free_entries_i,
    input ctl_state_t s_next_i,  // what becomes of them if this unit has no say
    input ctl_work_t w_next_i,
    input ctl_act_t act_i,
    output ctl_state_t s_o,
    output ctl_work_t w_o,
    output ctl_act_t act_o
);

  owner_t cmd_owner;
  logic   bad_owner;
  assign cmd_owner = owner_t'(w_i.cmd.owner);
  assign bad_owner = w_i.cmd.owner >= 16'(Owners);

  // ---- set_owner: the fields as they would be
  len_t so_prefix_len;
  logic [15:0] so_prefix_owner, so_min, so_max;
  logic [ 7:0] so_profile;
  logic [15:0] so_tenant;
  logic so_set, so_bad_prefix_len;
  assign so_set = w_i.cmd.flags[0];
  assign so_prefix_len = len_t'(w_i.cmd.arg1[31:0]);
  assign so_prefix_owner = w_i.cmd.arg1[47:32];
  assign so_tenant = w_i.cmd.arg2[15:0];
  assign so_min = w_i.cmd.arg2[31:16];
  assign so_max = (w_i.cmd.arg2[47:32] == '1) ? 16'(Slots) : w_i.cmd.arg2[47:32];
  assign so_profile = w_i.cmd.arg2[55:48];
  always_comb begin
    so_bad_prefix_len = w_i.cmd.arg1[31:0] == '0 || w_i.cmd.arg1[31:0] > 32'(w_i.named.committed);
    if ((w_i.cmd.arg1[31:0] & ((32'd1 << layout_i.page_log2) - 32'd1)) != '0) so_bad_prefix_len = 1'b1;
  end
  // w_i.named: the new prefix owner; w_i.own: the owner as it is
  status_e  so_status;
  profile_t so_p;
  cnt_t so_reserve, so_p_reserve, so_minimum;
  assign so_p = profile_t'(so_profile);
  always_comb begin
    so_reserve = s_i.reserve - w_i.old_share + w_i.new_share;
    so_p_reserve = s_i.p_reserve[so_p] - ((w_i.own.profile == so_p) ? w_i.old_share : cnt_t'(0)) + w_i.new_share;
    so_minimum = s_i.minimum - cnt_t'(w_i.own.slot_min) + so_min;
    so_status = StOk;
    if (bad_owner) so_status = StBadOwner;
    else if (!so_set) begin
      if (!w_i.own.valid) so_status = StBadOwner;
      else if (w_i.own.refs != '0) so_status = StBusy;
    end else if (w_i.own.refs != '0 || pl_has_i || (w_i.own.valid && (w_i.own.used != '0 || w_i.own.level != '0)))
      so_status = StBusy;
    else if (w_i.cmd.count > w_i.cmd.first || w_i.cmd.first > 32'(Positions)) so_status = StBadRange;
    else if (so_profile >= 8'(Profiles) || (so_min != '0 && !profiles_i[so_p].valid) ||
             ((w_i.own.used_own != '0 || w_i.own.used_plan != '0) && w_i.own.profile != so_p))
      so_status = StBadProfile;
    else if (so_max > 16'(Slots) || so_min > so_max) so_status = StBadCommand;
    else if (w_i.cmd.flags[2] &&
             (so_prefix_owner >= 16'(Owners) || so_prefix_owner == w_i.cmd.owner || !w_i.named.valid ||
              w_i.named.prefix_valid))
      so_status = StBadOwner;
    else if (w_i.cmd.flags[2] && w_i.named.tenant != so_tenant && !w_i.named.is_public) so_status = StTenant;
    else if (w_i.cmd.flags[2] && so_bad_prefix_len) so_status = StBadRange;
    else if (so_min != '0 && (so_minimum > cnt_t'(Entries) || so_minimum > cnt_t'(tag_free_entries_i) ||
                              s_i.used + so_reserve > cnt_t'(cfg_i.sram_budget) ||
                              cnt_t'(profiles_i[so_p].slot_count) - s_i.p_used[so_p] < so_p_reserve))
      so_status = StBudget;
    else if (!room_owner_i) so_status = StLogFull;
  end

  always_comb begin
    s_o   = s_next_i;
    w_o   = w_next_i;
    act_o = act_i;

    unique case (s_i.st)

      StOwner2: begin
        w_o.named = orow_i;
        w_o.new_share = so_set ? minus(so_min, cnt_t'(w_i.own.used_own)) : '0;
        w_o.old_share = minus(cnt_t'(w_i.own.slot_min), cnt_t'(w_i.own.used_own));
        s_o.st = StOwner3;
      end
      StOwner3: begin
        w_o.status = so_status;
        s_o.st = StOwner4;
      end
      StOwner4: begin
        act_o.done_status = w_i.status;
        act_o.cmd_done = w_i.status != StOk;
        s_o.st = StOwner5;
        if (!act_o.cmd_done) begin
          // Totals first without this owner, then with it as it will be.
          s_o.reserve = s_i.reserve - w_i.old_share + w_i.new_share;
          s_o.minimum = s_i.minimum - cnt_t'(w_i.own.slot_min) + (so_set ? so_min : '0);
          s_o.p_reserve[w_i.own.profile] = s_i.p_reserve[w_i.own.profile] - w_i.old_share;
          s_o.p_minimum[w_i.own.profile] = s_i.p_minimum[w_i.own.profile] - cnt_t'(w_i.own.slot_min);
          if (!so_set) begin  // with the owner goes its plan
            act_o.pl_drop = 1'b1;
            s_o.reserve = s_o.reserve - minus(plan_i.slots, cnt_t'(w_i.own.used_plan));
            s_o.minimum = s_o.minimum - plan_i.entries;
            s_o.p_reserve[w_i.own.profile] = s_o.p_reserve[w_i.own.profile] -
                minus(plan_i.slots, cnt_t'(w_i.own.used_plan));
            s_o.p_minimum[w_i.own.profile] = s_o.p_minimum[w_i.own.profile] - plan_i.slots;
          end
          if (so_set) begin
            s_o.p_reserve[so_p] = s_o.p_reserve[so_p] + w_i.new_share;
            s_o.p_minimum[so_p] = s_o.p_minimum[so_p] + so_min;
          end
          act_o.rec_push = 1'b1;
          act_o.rec_in.event_.kind = EvOwner;
          act_o.rec_in.event_.cause = so_set ? StOk : StRetired;
          act_o.rec_in.event_.owner = w_i.cmd.owner;
          act_o.rec_in.event_.position = so_set ? w_i.cmd.count : '0;

          act_o.orow_we = 1'b1;
          act_o.orow_loop = w_i.own;  // used slots, fills and references stay
          act_o.orow_loop.valid = so_set;
          act_o.orow_loop.level = '0;
          act_o.orow_loop.prefix_valid = so_set && w_i.cmd.flags[2];
          act_o.orow_loop.slot_min = '0;
          act_o.orow_loop.slot_max = '0;
          if (so_set) begin
            act_o.orow_loop.is_public = w_i.cmd.flags[1];
            act_o.orow_loop.tenant = so_tenant;
            act_o.orow_loop.length = len_t'(w_i.cmd.first);
            act_o.orow_loop.committed = len_t'(w_i.cmd.count);
            act_o.orow_loop.prefix_owner = owner_t'(so_prefix_owner);
            act_o.orow_loop.prefix_len = so_prefix_len;
            act_o.orow_loop.profile = so_p;
            act_o.orow_loop.slot_min = slots_t'(so_min);
            act_o.orow_loop.slot_max = slots_t'(so_max);
            act_o.orow_loop.worst = StOk;
            act_o.orow_loop.ended = '0;
          end

          s_o.own_wr = 1'b1;
          w_o.own_wr_owner = cmd_owner;
          w_o.own_wr_ctx = '0;
          if (so_set) begin
            w_o.own_wr_ctx.valid = 1'b1;
            w_o.own_wr_ctx.is_public = w_i.cmd.flags[1];
            w_o.own_wr_ctx.tenant = so_tenant;
            w_o.own_wr_ctx.table_base = addr_t'(w_i.cmd.arg0);
            w_o.own_wr_ctx.length = len_t'(w_i.cmd.first);
            w_o.own_wr_ctx.committed = len_t'(w_i.cmd.count);
            w_o.own_wr_ctx.prefix_valid = w_i.cmd.flags[2];
            w_o.own_wr_ctx.prefix_owner = owner_t'(so_prefix_owner);
            w_o.own_wr_ctx.prefix_len = so_prefix_len;
            w_o.own_wr_ctx.profile = so_p;
            w_o.own_wr_ctx.slot_min = slots_t'(so_min);
            w_o.own_wr_ctx.slot_max = slots_t'(so_max);
          end

          w_o.sw = '0;
          w_o.sw.kind = SwRetire;
          w_o.sw.phase = PhRows;
          w_o.sw.first = '0;
          w_o.sw.last = '1;
          if (w_i.own.valid) begin
            s_o.retire = '{valid: 1'b1, all: 1'b0, owner: cmd_owner, first: '0, last: '1};
            s_o.keep = 1'b1;
            s_o.fence = 1'b1;
            s_o.flush = 1'b1;
            w_o.pulse_owner = cmd_owner;
          end
        end
      end
      // the new prefix owner gains a reference, then the old one loses its own
      StOwner5: begin
        if (so_set && w_i.cmd.flags[2]) begin
          act_o.orow_we = 1'b1;
          act_o.orow_waddr = owner_t'(so_prefix_owner);
          act_o.orow_loop = w_i.named;
          act_o.orow_loop.refs = w_i.named.refs + ($clog2(Owners) + 1)'(1);
          s_o.count.referenced = 1'b1;
        end
        s_o.st = StOwner6;
      end
      StOwner6: begin
        act_o.orow_re = 1'b1;
        act_o.orow_raddr = w_i.own.prefix_owner;
        s_o.st = StOwner7;
      end
      StOwner7: begin
        if (w_i.own.valid && w_i.own.prefix_valid) begin
          act_o.orow_we = 1'b1;
          act_o.orow_waddr = w_i.own.prefix_owner;
          act_o.orow_loop = orow_i;
          act_o.orow_loop.refs = orow_i.refs - ($clog2(Owners) + 1)'(1);
          s_o.count.released = 1'b1;
          if (orow_i.refs == ($clog2(Owners) + 1)'(1)) begin
            w_o.sw.demote = 1'b1;
            w_o.sw.demote_owner = w_i.own.prefix_owner;
          end
        end
        s_o.st = StOwner8;
      end
      StOwner8: begin
        if (w_i.own.valid) act_o.sweep_start = 1'b1;
        else act_o.cmd_done = 1'b1;
      end
      default: ;
    endcase
  end

endmodule

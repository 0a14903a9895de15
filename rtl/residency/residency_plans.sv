// SPDX-License-Identifier: Apache-2.0
// The plans: at most one an owner, Plans of them at a time. Answers the `plan` command, gives what is due to the loop.
//
// Contract: docs/theory/residency.md, "Plans".
//   cmd_i, status_o, value0_o, value1_o  the answer to the plan command at hand, from flops of the plans; act_i makes it so.
//                 of_cmd_o is the view of the owner's plan. check_o: it is a commit, answered by a verdict later
//   ask_owner_i   whose plan is asked for; view_o in the same cycle
//   want_o        a verdict (is_verdict_o) or a due promotion waits; take_i takes it. Of a verdict, accept_i, again_i or
//                 free_i says later what becomes of plan which_i; of a promotion tried_i
//   cmd_owner_i   of begin, the next free plan; else the owner's

module residency_plans
  import kvsink_cfg_pkg::*;
  import kvsink_pkg::*;
  import residency_pkg::*;
(
    input logic clk_i,
    input logic rst_ni,

    input cycle_t       now_i,
    input logic   [4:0] floor_i,

    input  cmd_t                cmd_i,
    input  logic         [31:0] start_i,
    input  plan_limits_t        limits_i,
    input  logic                act_i,
    input  logic                drop_i,    // cmd_i resets the owner: its plan goes
    output status_e             status_o,
    output logic         [31:0] value0_o,
    output logic         [63:0] value1_o,
    output logic                check_o,
    output logic                has_o,     // cmd_i's owner has a plan, in whatever state

    input  owner_t     ask_owner_i,
    output plan_view_t view_o,

    input  logic           step_i,        // a step of cmd_i's owner begins
    output logic           want_o,
    output logic           is_verdict_o,
    output plan_t          which_o,
    output owner_t         owner_o,
    input  logic           take_i,
    // verdict of plan which_i
    input  plan_t          which_i,
    output logic           fits_o,
    output logic    [31:0] bad_item_o,
    output status_e        bad_reason_o,
    output cnt_t           slots_o,
    output cnt_t           entries_o,
    output logic           same_o,        // the profile is as it was when checked
    output logic    [15:0] tag_o,
    output logic    [31:0] start_o,
    input  logic           accept_i,
    input  cnt_t           held_i,        // slots that the owner's earlier plans still hold
    input  logic           again_i,
    input  logic           free_i,
    // promotion of plan which_o
    output grant_t         grant_o,
    input  plan_t          tried_plan_i,
    input  logic           tried_i,
    input  logic           tried_over_i,
    input  logic           missed_i,

    // of ask_owner_i's plan
    input logic promoted_i,
    input logic evicted_i,
    input logic denied_promotion_i,
    input logic denied_eviction_i
);

  localparam int unsigned PlanW = $bits(plan_t);

  plan_state_e [Plans-1:0] state;
  owner_t [Plans-1:0] owner;
  items_t [Plans-1:0] count, head;
  logic [Plans-1:0][15:0] tag, denied_promotions, denied_evictions, missed;
  logic [Plans-1:0][31:0] start;
  logic [Plans-1:0] fits, due, strict, late;
  item_index_t [Plans-1:0] bad_item;
  status_e [Plans-1:0] bad_reason;
  cnt_t [Plans-1:0] slots, entries;
  profile_t [Plans-1:0] profile;
  logic [Plans-1:0] same;
  step_t [Plans-1:0] step;
  item_t [Plans-1:0] item;
  cycle_t [Plans-1:0] not_before, deadline;
  plan_view_t [Plans-1:0] view;

  // ---------------------------------------------------------------------------------------------------------- command
  plan_kind_e kind;
  owner_t cmd_owner;
  logic [Plans-1:0] mine, free_onehot, sel, asked;
  logic [PlanW-1:0] mine_index;
  logic none_free, bad_span, wants_draft;
  logic [PlanW-1:0] free_index_unused;
  logic [Plans-1:0] none;
  logic [32:0] span_end;
  item_t new_item;
  assign kind = plan_kind_e'(cmd_i.flags[2:0]);
  assign cmd_owner = owner_t'(cmd_i.owner);
  assign span_end = 33'(cmd_i.first) + 33'(cmd_i.count);
  assign bad_span = cmd_i.count == '0 || span_end > 33'(Positions);
  assign wants_draft = kind == PkPromote || kind == PkWindow || kind == PkRegion || kind == PkCommit;

  for (genvar p = 0; p < int'(Plans); p++) begin : gen_match
    assign mine[p]  = state[p] != PnNone && owner[p] == cmd_owner;
    assign none[p]  = state[p] == PnNone;
    assign asked[p] = view[p].active && owner[p] == ask_owner_i;
  end
  kv_first #(
      .Width(Plans)
  ) u_free (
      .bits_i  (none),
      .none_o  (none_free),
      .index_o (free_index_unused),
      .onehot_o(free_onehot)
  );
  always_comb begin
    mine_index = '0;
    view_o = '0;
    view_o.may_promote = 1'b1;
    view_o.may_evict = 1'b1;
    for (int unsigned p = 0; p < Plans; p++) begin
      if (mine[p]) mine_index = PlanW'(p);
      if (asked[p]) view_o = view[p];
    end
  end
  assign has_o = mine != '0;

  always_comb begin
    status_o = StOk;
    value0_o = '0;
    value1_o = '0;
    check_o  = 1'b0;
    if (cmd_i.flags[7:3] != '0 || cmd_i.flags[2:0] == 3'd7) status_o = StBadCommand;
    else if (kind == PkBegin) begin
      if (has_o || none_free) status_o = StBusy;
    end else if (!has_o) status_o = StNoPlan;
    else if (wants_draft && state[mine_index] != PnDraft) status_o = StBusy;
    else begin
      unique case (kind)
        PkPromote: if (cmd_i.first >= 32'(Positions)) status_o = StBadRange;
        PkWindow:  if (cmd_i.arg0[63:32] <= cmd_i.arg0[31:0]) status_o = StBadCommand;
        PkRegion:  if (bad_span) status_o = StBadRange;
        PkCommit:  check_o = 1'b1;
        PkDrop:    if (state[mine_index] == PnCheck || state[mine_index] == PnChecked) status_o = StBusy;
        default:   ;  // PkQuery
      endcase
      if (wants_draft && kind != PkCommit) begin
        if (status_o == StOk && 32'(count[mine_index]) == PlanItems) status_o = StBusy;
        value0_o = 32'(count[mine_index]);
      end else if (kind == PkQuery || kind == PkDrop) begin
        value0_o = {step[mine_index], 16'(head[mine_index])};
        value1_o = {
          8'd0, 8'(state[mine_index]), missed[mine_index], denied_evictions[mine_index], denied_promotions[mine_index]
        };
        if (state[mine_index] != PnActive) begin
          value0_o = {16'd0, 16'(count[mine_index])};
          value1_o = {8'd0, 8'(state[mine_index]), 48'd0};
        end
      end
    end
  end
  assign sel = (kind == PkBegin) ? free_onehot : mine;

  always_comb begin
    new_item = '0;
    new_item.kind = kind;
    new_item.tier = cmd_i.arg2[18:16];
    new_item.step = cmd_i.arg2[47:32];
    new_item.dwell = cmd_i.arg2[15:0];
    new_item.position = pos_t'(cmd_i.first);
    new_item.last = pos_t'(span_end - 33'd1);
    new_item.from = cmd_i.arg0[31:0];
    new_item.stop = cmd_i.arg0[63:32];
  end

  // ------------------------------------------------------------------------------------------------------------ plans
  logic act;
  assign act = act_i && status_o == StOk;
  for (genvar p = 0; p < int'(Plans); p++) begin : gen_plans
    logic verdict_here, tried_here, asked_here;
    assign verdict_here = which_i == PlanW'(p);
    assign tried_here   = tried_i && tried_plan_i == PlanW'(p);
    assign asked_here   = asked[p];
    residency_plan u_plan (
        .clk_i,
        .rst_ni,
        .now_i,
        .floor_i,
        .begin_i            (act && sel[p] && kind == PkBegin),
        .add_i              (act && sel[p] && (kind == PkPromote || kind == PkWindow || kind == PkRegion)),
        .drop_i             ((act && sel[p] && kind == PkDrop) || (drop_i && mine[p])),
        .free_i             (free_i && verdict_here),
        .check_i            ((act && sel[p] && kind == PkCommit) || (again_i && verdict_here)),
        .again_i,
        .accept_i           (accept_i && verdict_here),
        .held_i,
        .cmd_i,
        .item_i             (new_item),
        .start_i,
        .limits_i,
        .state_o            (state[p]),
        .owner_o            (owner[p]),
        .count_o            (count[p]),
        .tag_o              (tag[p]),
        .start_o            (start[p]),
        .fits_o             (fits[p]),
        .bad_item_o         (bad_item[p]),
        .bad_reason_o       (bad_reason[p]),
        .slots_o            (slots[p]),
        .entries_o          (entries[p]),
        .profile_o          (profile[p]),
        .same_o             (same[p]),
        .step_o             (step[p]),
        .head_o             (head[p]),
        .denied_promotions_o(denied_promotions[p]),
        .denied_evictions_o (denied_evictions[p]),
        .missed_o           (missed[p]),
        .step_i             (step_i && mine[p]),
        .due_o              (due[p]),
        .item_o             (item[p]),
        .not_before_o       (not_before[p]),
        .deadline_o         (deadline[p]),
        .strict_o           (strict[p]),
        .late_o             (late[p]),
        .take_i             (take_i && which_o == PlanW'(p) && !is_verdict_o),
        .tried_i            (tried_here),
        .tried_over_i,
        .missed_i,
        .view_o             (view[p]),
        .promoted_i         (promoted_i && asked_here),
        .evicted_i          (evicted_i && asked_here),
        .denied_promotion_i (denied_promotion_i && asked_here),
        .denied_eviction_i  (denied_eviction_i && asked_here)
    );
  end

  // --------------------------------------------------------------------------------------------------------- the loop
  always_comb begin
    want_o = 1'b0;
    is_verdict_o = 1'b0;
    which_o = '0;
    for (int unsigned p = 0; p < Plans; p++) begin
      if (due[p]) begin
        want_o  = 1'b1;
        which_o = PlanW'(p);
      end
    end
    for (int unsigned p = 0; p < Plans; p++) begin
      if (state[p] == PnChecked) begin
        want_o = 1'b1;
        is_verdict_o = 1'b1;
        which_o = PlanW'(p);
      end
    end
    owner_o = owner[which_o];
    grant_o = '0;
    grant_o.source = SrcPlan;
    grant_o.owner = owner[which_o];
    grant_o.position = item[which_o].position;
    grant_o.profile = profile[which_o];
    grant_o.dwell = item[which_o].dwell;
    grant_o.deadline = deadline[which_o];
    grant_o.not_before = not_before[which_o];
    grant_o.tier = item[which_o].tier;
    grant_o.strict = strict[which_o];
    grant_o.late = late[which_o];
    grant_o.plan = which_o;
  end
  assign fits_o = fits[which_i];
  assign bad_item_o = 32'(bad_item[which_i]);
  assign bad_reason_o = bad_reason[which_i];
  assign slots_o = slots[which_i];
  assign entries_o = entries[which_i];
  assign same_o = same[which_i];
  assign tag_o = tag[which_i];
  assign start_o = start[which_i];

endmodule

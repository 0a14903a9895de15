// SPDX-License-Identifier: Apache-2.0
// One plan: its items, the check when it is handed over, its execution, and what it allows the hardware to do by itself.
//
// Contract: docs/theory/residency.md, "Plans"; docs/decisions/plan.md.
//   begin_i, add_i, accept_i, free_i, drop_i  act in their cycle; the caller has made sure that the state allows them.
//                drop_i during a check leaves its verdict to be taken: refused, StAborted. free_i ends a refused plan
//   check_i      starts the check against limits_i; state_o is PnChecked when it has ended, with fits_o and, if it does not
//                fit, the first item that fails and why. The caller then accepts, drops, or starts it again
//   due_o        a promotion is due: owner_o, item_o with absolute times, strict_o (a DMA window), late_o (its deadline has
//                passed). take_i takes it; later tried_i says with tried_over_i whether the plan goes on to the next item or
//                tries it again, after PlanRetry cycles
//   view_o       what holds while the plan is in force
// The check takes about 2 cycles for each pair of promotions and one for each triple. Everything comes from flops but
// late_o, one comparison.

module residency_plan
  import kvsink_cfg_pkg::*;
  import kvsink_pkg::*;
  import residency_pkg::*;
(
    input logic clk_i,
    input logic rst_ni,

    input cycle_t       now_i,
    input logic   [4:0] floor_i,

    // commands
    input logic                begin_i,
    input logic                add_i,
    input logic                drop_i,
    input logic                free_i,
    input logic                check_i,   // with tag and start of the command, unless again_i
    input logic                again_i,
    input logic                accept_i,
    input cnt_t                held_i,    // with accept_i: slots that earlier plans of the owner still hold
    input cmd_t                cmd_i,
    input item_t               item_i,
    input logic         [31:0] start_i,
    input plan_limits_t        limits_i,

    output plan_state_e        state_o,
    output owner_t             owner_o,
    output items_t             count_o,
    output logic        [15:0] tag_o,
    output logic        [31:0] start_o,
    output logic               fits_o,
    output item_index_t        bad_item_o,
    output status_e            bad_reason_o,
    output cnt_t               slots_o,              // at the peak
    output cnt_t               entries_o,
    output profile_t           profile_o,            // of the owner when checked
    output logic               same_o,               // limits_i has it as it was
    output step_t              step_o,
    output items_t             head_o,
    output logic        [15:0] denied_promotions_o,
    output logic        [15:0] denied_evictions_o,
    output logic        [15:0] missed_o,

    // execution
    input  logic   step_i,        // a step of the owner begins
    output logic   due_o,
    output item_t  item_o,
    output cycle_t not_before_o,
    output cycle_t deadline_o,
    output logic   strict_o,
    output logic   late_o,
    input  logic   take_i,
    input  logic   tried_i,
    input  logic   tried_over_i,
    input  logic   missed_i,      // and the token was not placed

    // envelope
    output plan_view_t view_o,
    input  logic       promoted_i,          // by scores
    input  logic       evicted_i,           // by choice
    input  logic       denied_promotion_i,
    input  logic       denied_eviction_i
);

  localparam int unsigned IndexW = $clog2(PlanItems);
  localparam int unsigned RegionW = $clog2(PlanRegions + 1);
  localparam int unsigned CapW = $bits(span_t) + 5;
  localparam int unsigned RetryW = $clog2(PlanRetry + 1);
  typedef logic [CapW-1:0] cap_t;

  if (PlanItems != (1 << IndexW) || PlanItems < 4) begin : gen_bad_items
    $error("residency_plan: PlanItems %0d is not a power of two of 4 or more", PlanItems);
  end

  typedef enum logic [3:0] {
    PsIdle,
    CkRead,
    CkLook,
    CkMul,    // beats that the window holds, times 32
    CkOuter,  // item i against the step of item j
    CkInner,  // and those before it
    CkPeak,
    ExRead,
    ExLook,
    ExWait,
    ExDue,
    ExOut
  } state_e;

  state_e st_q, st_d;
  plan_state_e state_q, state_d;
  owner_t owner_q, owner_d;
  items_t count_q, count_d;
  logic [15:0] tag_q, tag_d;
  logic [31:0] start_q, start_d;
  logic [7:0] adapt_promote_q, adapt_promote_d, adapt_evict_q, adapt_evict_d;
  logic [15:0] slots_limit_q, slots_limit_d;
  plan_limits_t lim_q, lim_d;
  logic fits_q, fits_d;
  item_index_t bad_item_q, bad_item_d;
  status_e bad_q, bad_d;
  cnt_t slots_q, slots_d, entries_q, entries_d;  // peaks

  // regions: owner's positions, steps [from, until)
  typedef struct packed {
    pos_t first;
    pos_t last;
    step_t from;
    logic ends;
    step_t stop;
  } region_t;
  region_t [PlanRegions-1:0] region_q, region_d;
  logic [RegionW-1:0] regions_q, regions_d;

  // the check
  item_index_t j_q, j_d, i_q, i_d, k_q, k_d;
  item_t it_q, it_d, sub_q, sub_d;  // item j, item i; it_q also the item that is due
  step_t last_step_q, last_step_d;
  logic promotes_q, promotes_d;  // a promotion was seen
  logic same_granule_q, same_granule_d, same_token_q, same_token_d;
  cnt_t now_slots_q, now_slots_d, now_entries_q, now_entries_d;
  logic win_q, win_d;  // a window holds in step win_step_q
  step_t win_step_q, win_step_d;
  cap_t room_q, room_d, addend_q, addend_d;
  logic [4:0] factor_q, factor_d;

  // execution
  items_t head_q, head_d;
  step_t step_q, step_d;
  cycle_t base_q, base_d, not_before_q, not_before_d, deadline_q, deadline_d;
  span_t win_from_q, win_from_d, win_until_q, win_until_d;
  logic strict_q, strict_d;
  logic [RetryW-1:0] retry_q, retry_d;
  logic [7:0] promotions_q, promotions_d, evictions_q, evictions_d;  // in this step
  logic [15:0] denied_promotions_q, denied_promotions_d, denied_evictions_q, denied_evictions_d, missed_q, missed_d;

  // ------------------------------------------------------------------------------------------------------------ items
  logic re;
  item_index_t raddr;
  item_t item;
  kv_ram_1r1w #(
      .Words(PlanItems),
      .Width($bits(item_t))
  ) u_items (
      .clk_i,
      .re_i   (re),
      .raddr_i(raddr),
      .rdata_o(item),
      .we_i   (add_i),
      .waddr_i(item_index_t'(count_q)),
      .wdata_i(item_i)
  );

  // Whether a promotion keeps its slot at a step that is not before its own: under contract, or in a region that lasts.
  // Best effort counts in its own step.
  function automatic logic holds(input plan_kind_e kind, input dwell_t dwell, input step_t own, input step_t at);
    return kind == PkPromote && (dwell == DwellPinned || at == own || (at - own) < step_t'(dwell));
  endfunction
  function automatic logic [15:0] more(input logic [15:0] c);
    return (c == '1) ? c : c + 16'd1;
  endfunction

  logic item_holds, item_in_region;
  always_comb begin
    item_in_region = 1'b0;
    for (int unsigned r = 0; r < PlanRegions; r++) begin
      if (r < 32'(regions_q) && item.position >= region_q[r].first && item.position <= region_q[r].last &&
          it_q.step >= region_q[r].from && (!region_q[r].ends || it_q.step < region_q[r].stop))
        item_in_region = 1'b1;
    end
    item_holds = holds(item.kind, item.dwell, item.step, it_q.step) || (item.kind == PkPromote && item_in_region);
  end

  // ---- item j against what can be said of it alone
  status_e alone;
  logic in_started_region;
  cap_t need;
  pos_t last_sharer;
  span_t length;
  assign last_sharer = item.position | pos_t'(lim_q.share_mask);
  assign length = item.stop - item.from;
  assign need = cap_t'(lim_q.slot_beats) << 5;
  always_comb begin
    in_started_region = 1'b0;
    for (int unsigned r = 0; r < PlanRegions; r++) begin
      if (r < 32'(regions_q) && item.position >= region_q[r].first && item.position <= region_q[r].last &&
          item.step > region_q[r].from && (!region_q[r].ends || item.step < region_q[r].stop))
        in_started_region = 1'b1;
    end
    alone = StOk;
    unique case (item.kind)
      PkRegion: begin
        if (promotes_q || 32'(regions_q) == PlanRegions) alone = StBadCommand;
        else if (len_t'(item.last) >= lim_q.committed) alone = StBadRange;
      end
      PkWindow: if (item.step < last_step_q) alone = StBadCommand;
      default: begin
        if (item.step < last_step_q) alone = StBadCommand;
        else if (len_t'(last_sharer) >= lim_q.committed || len_t'(item.position) < lim_q.prefix_len) alone = StBadRange;
        else if (!lim_q.profile_valid) alone = StBadProfile;
        else if (in_started_region) alone = StPlan;
        else if (win_q && win_step_q == item.step && room_q < need) alone = StDeadline;
      end
    endcase
  end

  // ---- peak at item j
  status_e peak;
  always_comb begin
    if (now_slots_q > lim_q.slots) peak = StBudget;
    else if (now_slots_q > lim_q.rows) peak = StNoSlot;
    else if (now_entries_q > lim_q.entries) peak = StNoEntry;
    else peak = StOk;
  end

  logic next_j, inner_last;
  logic [16:0] region_end;
  assign region_end = {1'b0, item.step} + {1'b0, item.dwell};
  span_t sooner;
  assign inner_last = k_q + item_index_t'(1) == i_q;
  assign sooner = (it_q.stop != '0 && it_q.stop < win_until_q) ? it_q.stop : win_until_q;

  always_comb begin
    st_d = st_q;
    state_d = state_q;
    owner_d = owner_q;
    count_d = count_q;
    tag_d = tag_q;
    start_d = start_q;
    adapt_promote_d = adapt_promote_q;
    adapt_evict_d = adapt_evict_q;
    slots_limit_d = slots_limit_q;
    lim_d = lim_q;
    fits_d = fits_q;
    bad_item_d = bad_item_q;
    bad_d = bad_q;
    slots_d = slots_q;
    entries_d = entries_q;
    region_d = region_q;
    regions_d = regions_q;
    j_d = j_q;
    i_d = i_q;
    k_d = k_q;
    it_d = it_q;
    sub_d = sub_q;
    last_step_d = last_step_q;
    promotes_d = promotes_q;
    same_granule_d = same_granule_q;
    same_token_d = same_token_q;
    now_slots_d = now_slots_q;
    now_entries_d = now_entries_q;
    win_d = win_q;
    win_step_d = win_step_q;
    room_d = room_q;
    addend_d = addend_q;
    factor_d = factor_q;
    head_d = head_q;
    step_d = step_q;
    base_d = base_q;
    not_before_d = not_before_q;
    deadline_d = deadline_q;
    win_from_d = win_from_q;
    win_until_d = win_until_q;
    strict_d = strict_q;
    retry_d = (retry_q == '0) ? '0 : retry_q - RetryW'(1);
    promotions_d = promotions_q;
    evictions_d = evictions_q;
    denied_promotions_d = denied_promotions_q;
    denied_evictions_d = denied_evictions_q;
    missed_d = missed_q;
    re = 1'b0;
    raddr = j_q;
    next_j = 1'b0;

    unique case (st_q)
      PsIdle: ;

      // ---------------------------------------------------------------------------------------------------- check
      CkRead: begin
        re   = 1'b1;
        st_d = CkLook;
      end
      CkLook: begin
        it_d = item;
        i_d = '0;
        now_slots_d = '0;
        now_entries_d = '0;
        last_step_d = (item.kind == PkRegion) ? last_step_q : item.step;
        if (alone != StOk) begin
          fits_d = 1'b0;
          bad_item_d = j_q;
          bad_d = alone;
          state_d = PnChecked;
          st_d = PsIdle;
        end else begin
          unique case (item.kind)
            PkRegion: begin
              region_d[regions_q[((PlanRegions>1)?$clog2(
                  PlanRegions
              ) : 1)-1:0]] =
              '{
                  first: item.position,
                  last: item.last,
                  from : item.step,
                  ends: item.dwell != '0 && !region_end[16],
                  stop: region_end[15:0]
              };
              regions_d = regions_q + RegionW'(1);
              next_j = 1'b1;
            end
            PkWindow: begin
              win_d = 1'b1;
              win_step_d = item.step;
              room_d = '0;
              addend_d = cap_t'(length);
              factor_d = floor_i;
              st_d = CkMul;
            end
            default: begin
              promotes_d = 1'b1;
              if (win_q && win_step_q == item.step) room_d = room_q - need;
              re = 1'b1;
              raddr = '0;
              st_d = CkOuter;
            end
          endcase
        end
      end
      CkMul: begin
        if (factor_q[0]) room_d = room_q + addend_q;
        addend_d = addend_q << 1;
        factor_d = factor_q >> 1;
        if ((factor_q >> 1) == '0) next_j = 1'b1;
      end
      CkOuter: begin
        sub_d = item;
        same_granule_d = 1'b0;
        same_token_d = 1'b0;
        k_d = '0;
        re = 1'b1;
        raddr = '0;
        st_d = CkInner;
        if (!item_holds || i_q == '0) begin
          if (item_holds) begin
            now_slots_d   = now_slots_q + cnt_t'(1);
            now_entries_d = now_entries_q + cnt_t'(1);
          end
          i_d   = i_q + item_index_t'(1);
          raddr = i_d;
          st_d  = (i_q == j_q) ? CkPeak : CkOuter;
        end
      end
      CkInner: begin
        re = 1'b1;
        raddr = k_q + item_index_t'(1);
        k_d = k_q + item_index_t'(1);
        if (item_holds && item.position[PosW-1:4] == sub_q.position[PosW-1:4]) begin
          same_granule_d = 1'b1;
          if (item.position[3:0] == sub_q.position[3:0]) same_token_d = 1'b1;
        end
        if (inner_last) begin
          now_slots_d = now_slots_q + cnt_t'(!same_token_d);
          now_entries_d = now_entries_q + cnt_t'(!same_granule_d);
          i_d = i_q + item_index_t'(1);
          raddr = i_d;
          st_d = (i_q == j_q) ? CkPeak : CkOuter;
        end
      end
      CkPeak: begin
        if (now_slots_q > slots_q) slots_d = now_slots_q;
        if (now_entries_q > entries_q) entries_d = now_entries_q;
        if (peak != StOk) begin
          fits_d = 1'b0;
          bad_item_d = j_q;
          bad_d = peak;
          state_d = PnChecked;
          st_d = PsIdle;
        end else next_j = 1'b1;
      end

      // ------------------------------------------------------------------------------------------------ execution
      ExRead: begin
        re = head_q != count_q;
        raddr = item_index_t'(head_q);
        st_d = re ? ExLook : PsIdle;
      end
      ExLook: begin
        it_d = item;
        st_d = ExWait;
      end
      ExWait:
      if (it_q.kind == PkRegion) begin
        head_d = head_q + items_t'(1);
        st_d   = ExRead;
      end else if (it_q.step <= step_q) begin
        if (it_q.kind == PkWindow) begin
          win_d = 1'b1;
          win_step_d = it_q.step;
          win_from_d = it_q.from;
          win_until_d = it_q.stop;
          head_d = head_q + items_t'(1);
          st_d = ExRead;
        end else begin
          strict_d = win_q && win_step_q == it_q.step;
          it_d.from = (strict_d && win_from_q > it_q.from) ? win_from_q : it_q.from;
          it_d.stop = strict_d ? sooner : it_q.stop;
          not_before_d = (it_d.from == '0) ? '0 : base_q + cycle_t'(it_d.from);
          deadline_d = (it_d.stop == '0) ? '0 : base_q + cycle_t'(it_d.stop);
          retry_d = '0;
          st_d = ExDue;
        end
      end
      ExDue:   if (take_i) st_d = ExOut;
      ExOut:
      if (tried_i) begin
        retry_d = RetryW'(PlanRetry);
        st_d = ExDue;
        if (tried_over_i) begin
          head_d = head_q + items_t'(1);
          st_d   = ExRead;
          if (missed_i) missed_d = more(missed_q);
        end
      end
      default: st_d = PsIdle;
    endcase

    if (next_j) begin
      j_d  = j_q + item_index_t'(1);
      st_d = CkRead;
      if (items_t'(j_q) + items_t'(1) == count_q) begin
        state_d = PnChecked;
        st_d = PsIdle;
      end
    end

    // ------------------------------------------------------------------------------------------------------ commands
    if (begin_i) begin
      state_d = PnDraft;
      owner_d = owner_t'(cmd_i.owner);
      count_d = '0;
      adapt_promote_d = cmd_i.arg0[7:0];
      adapt_evict_d = cmd_i.arg0[15:8];
      slots_limit_d = cmd_i.arg0[31:16];
    end
    if (add_i) count_d = count_q + items_t'(1);
    if (check_i) begin
      if (!again_i) tag_d = cmd_i.tag;
      if (!again_i) start_d = start_i;
      state_d = PnCheck;
      lim_d = limits_i;
      fits_d = 1'b1;
      slots_d = '0;
      entries_d = '0;
      regions_d = '0;
      j_d = '0;
      last_step_d = '0;
      promotes_d = 1'b0;
      win_d = 1'b0;
      st_d = CkRead;
      if (count_q == '0) begin
        state_d = PnChecked;
        st_d = PsIdle;
      end
    end
    if (accept_i) begin
      state_d = PnActive;
      slots_d = slots_q + held_i;
      step_d = '0;
      base_d = now_i;
      head_d = '0;
      win_d = 1'b0;
      promotions_d = '0;
      evictions_d = '0;
      denied_promotions_d = '0;
      denied_evictions_d = '0;
      missed_d = '0;
      st_d = ExRead;
    end
    if (step_i && state_q == PnActive) begin
      step_d = (step_q == '1) ? step_q : step_q + step_t'(1);
      base_d = now_i;
      promotions_d = '0;
      evictions_d = '0;
    end
    if (promoted_i && promotions_q != '1) promotions_d = promotions_q + 8'd1;
    if (evicted_i && evictions_q != '1) evictions_d = evictions_q + 8'd1;
    if (denied_promotion_i) denied_promotions_d = more(denied_promotions_q);
    if (denied_eviction_i) denied_evictions_d = more(denied_evictions_q);
    if (drop_i) begin
      st_d = PsIdle;
      state_d = PnNone;
      if (state_q == PnCheck || state_q == PnChecked) begin
        state_d = PnChecked;
        fits_d = 1'b0;
        bad_item_d = '0;
        bad_d = StAborted;
      end
    end
    if (free_i) state_d = PnNone;
  end

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      st_q <= PsIdle;
      state_q <= PnNone;
    end else begin
      st_q <= st_d;
      state_q <= state_d;
    end
  end

  always_ff @(posedge clk_i) begin
    owner_q <= owner_d;
    count_q <= count_d;
    tag_q <= tag_d;
    start_q <= start_d;
    adapt_promote_q <= adapt_promote_d;
    adapt_evict_q <= adapt_evict_d;
    slots_limit_q <= slots_limit_d;
    lim_q <= lim_d;
    fits_q <= fits_d;
    bad_item_q <= bad_item_d;
    bad_q <= bad_d;
    slots_q <= slots_d;
    entries_q <= entries_d;
    region_q <= region_d;
    regions_q <= regions_d;
    j_q <= j_d;
    i_q <= i_d;
    k_q <= k_d;
    it_q <= it_d;
    sub_q <= sub_d;
    last_step_q <= last_step_d;
    promotes_q <= promotes_d;
    same_granule_q <= same_granule_d;
    same_token_q <= same_token_d;
    now_slots_q <= now_slots_d;
    now_entries_q <= now_entries_d;
    win_q <= win_d;
    win_step_q <= win_step_d;
    room_q <= room_d;
    addend_q <= addend_d;
    factor_q <= factor_d;
    head_q <= head_d;
    step_q <= step_d;
    base_q <= base_d;
    not_before_q <= not_before_d;
    deadline_q <= deadline_d;
    win_from_q <= win_from_d;
    win_until_q <= win_until_d;
    strict_q <= strict_d;
    retry_q <= retry_d;
    promotions_q <= promotions_d;
    evictions_q <= evictions_d;
    denied_promotions_q <= denied_promotions_d;
    denied_evictions_q <= denied_evictions_d;
    missed_q <= missed_d;
  end

  assign state_o = state_q;
  assign owner_o = owner_q;
  assign count_o = count_q;
  assign tag_o = tag_q;
  assign start_o = start_q;
  assign fits_o = fits_q;
  assign bad_item_o = bad_item_q;
  assign bad_reason_o = bad_q;
  assign slots_o = slots_q;
  assign entries_o = entries_q;
  assign profile_o = lim_q.profile;
  assign same_o = lim_q.profile == limits_i.profile && lim_q.profile_valid == limits_i.profile_valid &&
      lim_q.slot_beats == limits_i.slot_beats;
  assign step_o = step_q;
  assign head_o = head_q;
  assign denied_promotions_o = denied_promotions_q;
  assign denied_evictions_o = denied_evictions_q;
  assign missed_o = missed_q;

  assign due_o = st_q == ExDue && retry_q == '0;
  assign item_o = it_q;
  assign not_before_o = not_before_q;
  assign deadline_o = deadline_q;
  assign strict_o = strict_q;
  assign late_o = deadline_q != '0 && now_i >= deadline_q;

  always_comb begin
    view_o.active = state_q == PnActive;
    view_o.slots = view_o.active ? slots_q : '0;
    view_o.entries = view_o.active ? entries_q : '0;
    view_o.may_promote = adapt_promote_q == PlanNoLimit || promotions_q < adapt_promote_q;
    view_o.may_evict = adapt_evict_q == PlanNoLimit || evictions_q < adapt_evict_q;
    view_o.slots_limit = slots_limit_q;
    for (int unsigned r = 0; r < PlanRegions; r++) begin
      view_o.region[r] = view_o.active && r < 32'(regions_q) && step_q >= region_q[r].from &&
          (!region_q[r].ends || step_q < region_q[r].stop);
      view_o.region_first[r] = region_q[r].first;
      view_o.region_last[r] = region_q[r].last;
    end
  end

  logic unused;
  assign unused = ^cmd_i;

endmodule

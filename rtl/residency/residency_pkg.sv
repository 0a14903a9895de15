// SPDX-License-Identifier: Apache-2.0
// Types inside the residency controller. docs/theory/residency.md states the rules that work on them.

package residency_pkg;

  import kvsink_cfg_pkg::*;
  import kvsink_pkg::*;

  // E, the moving average: UQ18.22, so a score shifted left by EShift.
  localparam int unsigned EShift = 8;
  localparam int unsigned EW = 32 + EShift;
  localparam int unsigned AlphaW = 16;
  localparam int unsigned MulBW = AlphaW + 1;
  localparam int unsigned MulPW = EW + MulBW;
  typedef logic [EW-1:0] e_t;
  typedef logic [MulBW-1:0] beta_t;
  typedef logic [MulPW-1:0] product_t;
  typedef logic [7:0] run_t;
  typedef logic [15:0] cnt_t;  // counts of slots and tokens, wider than slots_t for sums
  typedef logic [31:0] serial_t;

  localparam int unsigned Windows = 2;  // levels of nested windows
  localparam int unsigned LogMargin = 8;  // records that other units may still have on their way to the log
  localparam int unsigned WalksMax = 4;  // translations asked for at a time
  localparam int unsigned Waits = 4;  // wait_promotions pending at a time
  localparam int unsigned DoneDepth = 8;  // commands accepted whose completion was not taken
  localparam int unsigned BatchWait = 1024;  // cycles that a step_end waits for its scores

  typedef enum logic [1:0] {
    SlFree,
    SlFilling,
    SlResident,
    SlLeaving
  } slot_state_e;

  // Who holds a slot's number on its way to the SRAM; it is not reused before.
  typedef enum logic [1:0] {
    SgNone,
    SgQueued,
    SgWalker,
    SgDma
  } stage_e;

  // A row of the slot table. A FREE row with `cand` carries a candidate: owner, position, e, run_up, run_down.
  typedef struct packed {
    slot_state_e state;
    logic        cand;
    logic        epoch;         // differs from the controller's: not yet visited by the running sweep
    logic        ticked;        // the running step_end's tick is done already
    logic        own;           // counts against its owner's minimum
    logic        planned;       // granted by a plan
    owner_t      owner;
    pos_t        position;
    profile_t    profile;
    dwell_t      dwell;
    e_t          e;
    run_t        run_up;
    run_t        run_down;
    entry_t      entry;
    word_t       word;
    cycle_t      deadline;
    cycle_t      not_before;
    logic        strict;        // a window of a plan: not started after the deadline
    logic [2:0]  tier;
    stage_e      stage;
    serial_t     leave_serial;
  } row_t;

  // An owner as the controller needs it, beside the context that the owner table holds.
  typedef struct packed {
    logic                    valid;
    logic                    is_public;
    logic [15:0]             tenant;
    len_t                    length;
    len_t                    committed;
    logic                    prefix_valid;
    owner_t                  prefix_owner;
    len_t                    prefix_len;
    profile_t                profile;
    slots_t                  slot_min;
    slots_t                  slot_max;
    slots_t                  used;          // slots not FREE
    slots_t                  used_own;      // of these, granted with its own profile, by other than a plan
    slots_t                  used_plan;     // of these, granted by a plan
    logic [$clog2(Owners):0] refs;          // owners that name it as prefix
    logic [1:0]              level;         // open windows
    slots_t                  pending;       // slots FILLING
    status_e                 worst;         // of the promotions ended since the last wait
    cnt_t                    ended;
  } orow_t;

  // ---- plans. An item's times are cycles from when it falls due.
  localparam int unsigned PlanRegions = 2;  // of a plan
  localparam int unsigned PlanRetry = 64;  // cycles from a promotion that found no room to the next try
  localparam logic [7:0] PlanNoLimit = '1;
  typedef logic [((Plans > 1) ? $clog2(Plans) : 1)-1:0] plan_t;
  typedef logic [$clog2(PlanItems)-1:0] item_index_t;
  typedef logic [$clog2(PlanItems):0] items_t;
  typedef logic [15:0] step_t;
  typedef logic [31:0] span_t;
  typedef logic [31:0] beats_t;
  typedef enum logic [2:0] {
    PkBegin,
    PkPromote,
    PkWindow,
    PkRegion,
    PkCommit,
    PkDrop,
    PkQuery
  } plan_kind_e;
  typedef enum logic [2:0] {
    PnNone,
    PnDraft,
    PnCheck,
    PnChecked,  // the loop has to take the verdict
    PnActive
  } plan_state_e;
  typedef struct packed {
    plan_kind_e  kind;      // PkPromote, PkWindow or PkRegion
    logic [2:0]  tier;
    step_t       step;
    dwell_t      dwell;     // region: steps that it lasts, 0: to the end
    pos_t        position;  // region: first
    pos_t        last;      // region
    span_t from;            // not before
    span_t       stop;      // deadline (0: none), end of a window
  } item_t;
  // What a plan is checked against.
  typedef struct packed {
    cnt_t                       slots;          // within SRAM_budget and the owner's maximum
    cnt_t                       rows;           // of the profile's region
    cnt_t                       entries;
    len_t                       committed;
    len_t                       prefix_len;     // positions below it are not the owner's
    profile_t                   profile;
    logic                       profile_valid;
    logic [6:0]                 share_mask;
    logic [$clog2(SramBeats):0] slot_beats;
  } plan_limits_t;
  // What the plan of an owner says while it is in force.
  typedef struct packed {
    logic                   active;
    cnt_t                   slots;         // at its peak
    cnt_t                   entries;
    logic                   may_promote;   // by scores, in this step
    logic                   may_evict;     // by choice, in this step
    cnt_t                   slots_limit;   // used slots from which on scores promote no more
    logic [PlanRegions-1:0] region;        // in force
    pos_t [PlanRegions-1:0] region_first;
    pos_t [PlanRegions-1:0] region_last;
  } plan_view_t;
  function automatic logic in_region(input plan_view_t v, input pos_t p);
    in_region = 1'b0;
    for (int unsigned i = 0; i < PlanRegions; i++) begin
      if (v.region[i] && p >= v.region_first[i] && p <= v.region_last[i]) in_region = 1'b1;
    end
  endfunction

  // A grant on its way, whatever asked for it.
  typedef enum logic [1:0] {
    SrcCommand,
    SrcTop,
    SrcCandidate,
    SrcPlan
  } source_e;
  typedef struct packed {
    source_e    source;
    logic       bad_owner;
    logic       bad_range;
    logic       bad_profile;
    owner_t     owner;        // named
    owner_t     effective;
    pos_t       position;
    profile_t   profile;
    dwell_t     dwell;
    cycle_t     deadline;
    cycle_t     not_before;
    logic [2:0] tier;
    e_t         e;
    run_t       run_up;
    run_t       run_down;
    slot_t      slot;         // SrcCandidate: the row it has
    logic       strict;
    plan_t      plan;         // SrcPlan: which
    logic       late;         // SrcPlan: its deadline has passed
  } grant_t;

  typedef enum logic [2:0] {
    SwRetire,
    SwLetGo,
    SwAbort,
    SwStep,
    SwPressure
  } sweep_e;

  typedef enum logic [3:0] {
    PhBatch,   // waiting for the scores of the step
    PhRows,
    PhScore,   // waiting for the score of the row at the pointer
    PhTopAsk,
    PhTop,
    PhFree,    // the batch is to be given back
    PhPick,    // pressure: every row was seen
    PhFence,
    PhDone
  } phase_e;

  typedef struct packed {
    sweep_e      kind;
    phase_e      phase;
    slot_t       row;
    owner_t      owner;
    logic        all;
    pos_t        first;
    pos_t        last;
    logic        demote;         // a prefix owner lost its last reference
    owner_t      demote_owner;
    logic        prefix_valid;
    logic        prefix_tick;    // the prefix owner's slots tick too
    owner_t      prefix_owner;
    len_t        prefix_len;
    logic        prefill;
    logic        no_scores;      // flags[1]
    logic        scored;
    logic        referenced;
    profile_t    profile;        // of the owner; of a pressure scan that wants one profile
    logic        any_profile;
    logic        plan;           // pressure: a plan wants the room
    cnt_t        taken;
    cnt_t        promoted;
    cnt_t        evicted;
    cnt_t        cands;
    logic        best_valid;     // lowest E so far: of the candidates, or of the best-effort slots
    slot_t       best_slot;
    pos_t        best_position;
    e_t          best_e;
    logic        dirty;          // pressure: what was passed has changed
    logic [7:0]  opcode;
    logic [15:0] tag;
    logic [31:0] start;
  } sweep_t;

  // Order in which the controller takes its events, for benches.
  typedef enum logic [3:0] {
    TrCommand,  // data = tag
    TrWalk,
    TrProgress,
    TrEnd,
    TrFill,  // head of the fill queue looked at: data = 0 to the walker, 1 to the tail, 2 dropped, 3 its window closed
    TrRow,  // a sweep acts on this row
    TrScore,  // a row's score was taken
    TrTop,  // an answer of Top was taken
    TrPressure,  // decided: data = 1 slot leaves, 0 none
    TrFree,  // the slot is FREE
    TrSweepEnd,
    TrPlanStart,  // the check of plan `slot` starts again
    TrPlanEnd,  // its verdict: data = 1 accepted
    TrPlanItem  // its next promotion is tried: data = 1 its deadline has passed
  } trace_e;
  typedef struct packed {
    logic        valid;
    trace_e      kind;
    slot_t       slot;
    logic [15:0] data;
  } trace_t;

  // For benches as well: a decision has looked at the room in the log for its records.
  typedef struct packed {
    logic valid;
    logic room;
  } room_trace_t;

  typedef struct packed {
    logic       leaves;  // the slot may be freed when the log has this record
    log_event_t event_;
  } record_t;

  function automatic cnt_t minus(input cnt_t a, input cnt_t b);
    return (a > b) ? a - b : '0;
  endfunction
  function automatic cnt_t least(input cnt_t a, input cnt_t b);
    return (a < b) ? a : b;
  endfunction

  // 1 - alpha as UQ1.16
  function automatic beta_t beta_of(input logic [AlphaW-1:0] alpha);
    return MulBW'(1 << AlphaW) - MulBW'(alpha);
  endfunction

  function automatic e_t distance(input e_t e, input score_t b);
    e_t target;
    target = {b, EShift'(0)};
    return (target >= e) ? target - e : e - target;
  endfunction

  // E' from |d| * beta: the step is rounded away from zero, so that only E = B stays where it is.
  function automatic e_t e_next(input e_t e, input score_t b, input product_t p);
    e_t target, step;
    target = {b, EShift'(0)};
    step   = EW'((p + MulPW'((1 << AlphaW) - 1)) >> AlphaW);
    return (target >= e) ? e + step : e - step;
  endfunction

  function automatic logic covers(input profile_cfg_t a, input profile_cfg_t b);
    logic [$clog2(Layers)+1:0] end_a, end_b;
    end_a = ($clog2(Layers) + 2)'(a.layer_first) + ($clog2(Layers) + 2)'(a.layer_count);
    end_b = ($clog2(Layers) + 2)'(b.layer_first) + ($clog2(Layers) + 2)'(b.layer_count);
    return a.valid && a.layer_first <= b.layer_first && end_a >= end_b && (b.head_mask & ~a.head_mask) == '0 &&
        (b.plane_mask & ~a.plane_mask) == '0;
  endfunction

  // StOk < StDeadline < StAborted < other failures
  function automatic logic [1:0] severity(input status_e s);
    unique case (s)
      StOk: return 2'd0;
      StDeadline: return 2'd1;
      StAborted: return 2'd2;
      default: return 2'd3;
    endcase
  endfunction
  function automatic status_e worse(input status_e old, input status_e s);
    return (severity(s) > severity(old)) ? s : old;
  endfunction

  // ---- the loop: what it may be at, and what it holds
  localparam int unsigned InitLast = ((Slots > Owners) ? Slots : Owners) - 1;
  localparam int unsigned InitW = $clog2(InitLast + 1);
  localparam int unsigned RecordDepth = 4 * Slots;  // three of a slot's life, and those of owners and windows
  localparam int unsigned AbortDepth = 8;
  localparam int unsigned SweepBurst = 16;  // rows before work that is not urgent has a turn
  localparam serial_t SerialHalf = serial_t'(1) << 31;
  localparam slot_t SlotLast = slot_t'(Slots - 1);

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

  // Registers with a reset, then those without one.
  typedef struct packed {
    state_e st;
    logic [InitW-1:0] init;
    logic cmd_turn;
    logic [ClassW-1:0] turn;
    logic sweeping;
    logic epoch;
    logic press;
    logic tag_valid;
    retire_t retire;
    logic keep;
    logic fence;
    logic flush;
    logic desc_valid;
    logic walk_valid;
    logic sc_valid;
    logic own_wr;
    ctrl_count_t count;
    cnt_t used;
    cnt_t reserve;
    cnt_t minimum;
    cnt_t fills;
    cnt_t [Profiles-1:0] p_used;
    cnt_t [Profiles-1:0] p_reserve;
    cnt_t [Profiles-1:0] p_minimum;
  } ctl_state_t;
  typedef struct packed {
    cmd_t cmd;
    logic [31:0] start;
    slot_t slot;
    row_t row;
    orow_t own;
    orow_t named;
    grant_t g;
    status_e shortage;
    logic guaranteed;
    plan_view_t gv;
    cnt_t gv_share;
    plan_limits_t lim;
    plan_t verdict;
    status_e status;
    sweep_t sw;
    logic [4:0] burst;
    logic [10:0] batch_wait;
    logic press_any;
    logic press_plan;
    owner_t press_owner;
    profile_t press_profile;
    walk_rsp_t walk;
    dma_end_t dma_end;
    layers_t mark;
    score_rsp_t rsp;
    event_e lv_kind;
    status_e lv_cause;
    logic lv_tag;
    tag_cmd_t tag;
    owner_t pulse_owner;
    dma_desc_t desc;
    walk_req_t walk_req;
    score_cmd_t sc;
    owner_t own_wr_owner;
    owner_t own_rd_owner;
    owner_ctx_t own_wr_ctx;
    len_t new_length;
    len_t new_committed;
    logic [1:0] new_level;
    cnt_t new_share;
    cnt_t old_share;
    e_t mul_a;
    beta_t mul_b;
  } ctl_work_t;

  // What the loop does in a cycle, beside its registers.
  typedef struct packed {
    logic row_re;
    slot_t row_raddr;
    logic row_we;
    slot_t row_waddr;
    row_t row_wdata;
    logic orow_re;
    owner_t orow_raddr;
    logic orow_we;
    owner_t orow_waddr;
    orow_t orow_loop;
    logic map_set;
    slot_t map_slot;
    logic map_free;
    logic map_cand;
    logic fill_push;
    logic walks_push;
    logic free_again;
    logic abort_push;
    logic rec_push;
    record_t rec_in;
    logic fill_end;
    status_e fill_end_status;
    logic wait_add;
    logic wait_now;
    logic cmd_done;
    logic sweep_start;
    logic pl_act;
    logic pl_drop;
    logic pl_step;
    logic pl_accept;
    logic pl_again;
    logic pl_free;
    logic pl_tried;
    logic pl_over;
    logic pl_missed;
    logic pl_promoted;
    logic pl_evicted;
    logic pl_denied_promotion;
    logic pl_denied_eviction;
    logic done_push;
    status_e done_status;
    logic [31:0] done_value0;
    logic [63:0] done_value1;
    logic [15:0] done_tag;
    logic [7:0] done_opcode;
    logic [31:0] done_start;
    trace_t trace;
  } ctl_act_t;

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

  function automatic dwell_t ticked(input dwell_t dwell, input logic already, input logic ticks);
    return (ticks && !already && dwell != DwellPinned && dwell != DwellBestEffort) ? dwell - dwell_t'(1) : dwell;
  endfunction

endpackage

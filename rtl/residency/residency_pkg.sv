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

endpackage

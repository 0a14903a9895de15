// SPDX-License-Identifier: Apache-2.0
// Requests in flight and lists: takes requests, checks them, gives them a place and a list, and frees both.
//
// Contract
//   A request is taken when a job is free, and is a job about 7 cycles later, in order. What it needs of its owner and
//   prefix owner is read then, once. A request that needs a list and finds none waits, and those behind it with it.
//   Errors found here make the whole request come back error-flagged: StBadOwner, StBadRange (a position at or beyond
//   the length; a layer that the model does not have; a follower that is no subset), StStale (nothing to follow).
//   Requests with an error, without rows, with bulk_only or that name an unusable plane (not valid, or no beats) get no
//   list: no lookup, everything on the bulk stream. `keep` of such a request is refused, as is
//   one that comes when half of the lists are kept.
//   A list is kept while it has `keep`, and lives until no job uses it. A follower binds to the list that was kept for
//   request follow_id, or last taken over by it; its own `keep` decides whether the list stays kept. keep_end_* ends
//   keeping for an owner (or all), retire_i for the effective owner and all that name it as prefix.
//   retire_i overtakes rows of jobs (see overtaken_t) from the acceptance of the request on. For several retires of one
//   job the range is the hull of those that touch it, counted from the first.
// Jobs are freed in order, one a cycle, when both end markers were taken.

`include "kvsink_assert.svh"

module bypass_jobs
  import kvsink_cfg_pkg::*;
  import kvsink_pkg::*;
  import bypass_pkg::*;
(
    input logic clk_i,
    input logic rst_ni,

    input layout_cfg_t layout_i,
    input retire_t     retire_i,
    input logic        keep_end_valid_i,
    input owner_t      keep_end_owner_i,
    input logic        keep_end_all_i,

    input  logic     req_valid_i,
    output logic     req_ready_o,
    input  row_req_t req_i,

    output owner_t     rd_owner_o,
    input  owner_ctx_t rd_ctx_i,

    output job_t       [Jobs-1:0] jobs_o,
    output job_list_t  [Jobs-1:0] job_lists_o,
    output overtaken_t [Jobs-1:0] overtaken_o,
    output job_ptr_t              head_o,         // the next job to come
    input  seq_t                  issued_i,       // rows of the bulk stream whose addresses are out, in this cycle too
    input  logic                  sink_closed_i,  // the end marker of the oldest open job was taken on this stream
    input  logic                  bulk_closed_i,
    output logic                  closed_o,       // a job is freed
    output logic                  keep_refused_o,

    output list_info_t [Readers-1:0] list_info_o,
    output logic       [       31:0] list_serial_o
);

  if (Readers < 2 || (Readers & (Readers - 1)) != 0) begin : gen_bad_readers
    $error("bypass_jobs: READERS %0d is not a power of two of 2 or more", Readers);
  end

  localparam int unsigned KeptMax = Readers / 2;

  job_t [Jobs-1:0] jobs_q;
  job_list_t [Jobs-1:0] job_lists_q;
  overtaken_t [Jobs-1:0] overtaken_q;
  assign jobs_o = jobs_q;
  assign job_lists_o = job_lists_q;
  assign overtaken_o = overtaken_q;

  // ---------------------------------------------------------------------------------------------------- the ring
  job_ptr_t head_q, tail_q, sink_q, bulk_q;
  logic full, close;
  job_idx_t head_idx, tail_idx;
  assign head_o = head_q;
  assign head_idx = head_q[JobW-1:0];
  assign tail_idx = tail_q[JobW-1:0];
  assign full = head_q == {~tail_q[JobW], tail_q[JobW-1:0]};
  assign close = tail_q != sink_q && tail_q != bulk_q;

  // --------------------------------------------------------------------------------------------------- admission
  typedef enum logic [2:0] {
    Idle,        // takes a request
    Read,        // owner's context is being read
    Own,         // and is there
    ReadPrefix,
    Prefix,
    Check,
    Bind         // job is written; waits for a list when it needs one
  } state_e;
  state_e state_q;
  row_req_t req_q;
  owner_ctx_t ctx_q;
  len_t prefix_committed_q;
  logic go;  // the job gets its list, or goes without

  assign req_ready_o = state_q == Idle && !full;

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      state_q <= Idle;
    end else begin
      unique case (state_q)
        Idle: if (req_valid_i && !full) state_q <= Read;
        Read: state_q <= Own;
        Own: state_q <= ReadPrefix;
        ReadPrefix: state_q <= Prefix;
        Prefix: state_q <= Check;
        Check: state_q <= Bind;
        Bind: if (go) state_q <= Idle;
        default: state_q <= Idle;
      endcase
    end
  end

  always_ff @(posedge clk_i) begin
    if (state_q == Idle) begin
      req_q <= req_i;
      rd_owner_o <= req_i.owner;
    end
    if (state_q == Own) begin
      ctx_q <= rd_ctx_i;
      rd_owner_o <= rd_ctx_i.prefix_owner;
    end
    if (state_q == Prefix) prefix_committed_q <= rd_ctx_i.committed;
  end

  // ---- the request as a job
  job_t job_d;
  logic usable;  // all planes can be read
  always_comb begin
    logic [3:0] low, high;
    low  = '0;
    high = '0;
    for (int unsigned t = 0; t < GranuleTokens; t++) begin
      if (req_q.mask[t]) high = 4'(t);
      if (req_q.mask[GranuleTokens-1-t]) low = 4'(GranuleTokens - 1 - t);
    end
    job_d = '{
        id: req_q.id,
        owner: req_q.owner,
        layer: req_q.layer,
        head: req_q.head,
        planes: req_q.planes,
        empty: req_q.planes == '0 || (req_q.by_granule ? req_q.mask == '0 : req_q.count == '0),
        lo: wpos_t'(req_q.first),
        hi: wpos_t'(req_q.first) + wpos_t'(req_q.count) - wpos_t'(1),
        by_granule: req_q.by_granule,
        mask: req_q.mask,
        status: StOk,
        prefix_len: ctx_q.prefix_valid ? ctx_q.prefix_len : '0,
        prefix_owner: ctx_q.prefix_owner,
        committed: ctx_q.committed,
        prefix_committed: prefix_committed_q
    };
    if (req_q.by_granule) begin
      job_d.lo = {2'b00, req_q.first[PosW-1:4], low};
      job_d.hi = {2'b00, req_q.first[PosW-1:4], high};
    end
    if (!ctx_q.valid) job_d.status = StBadOwner;
    else if (job_d.hi >= wpos_t'(ctx_q.length) || layers_t'(req_q.layer) >= layout_i.layers) job_d.status = StBadRange;
    usable = 1'b1;
    for (int unsigned p = 0; p < Planes; p++) begin
      if (req_q.planes[p] && (!layout_i.plane[p].valid || layout_i.plane[p].row_beats == '0)) usable = 1'b0;
    end
  end

  // ------------------------------------------------------------------------------------------------------- lists
  logic [Readers-1:0] open_q, keep_q;
  job_ptr_t [Readers-1:0] users_q;
  typedef struct packed {
    req_id_t  id;          // the request it was made for
    req_id_t  last_id;     // the last one that took it over
    layer_t   layer;
    kv_head_t head;
    wpos_t    lo;
    wpos_t    hi;
    logic     by_granule;
    tokens_t  mask;
  } list_state_t;
  list_state_t [Readers-1:0] lists_q;
  list_info_t [Readers-1:0] info_q;
  logic [31:0] serial_q;
  assign list_serial_o = serial_q;

  // Registered once more: what others see of the lists is a register of its own.
  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      list_info_o <= '0;
    end else begin
      for (int unsigned l = 0; l < Readers; l++) begin
        list_info_o[l] <= info_q[l];
        list_info_o[l].open <= open_q[l];
      end
    end
  end

  job_t job;  // the one that binds
  assign job = jobs_q[head_idx];

  logic [Readers-1:0] free, match, free_onehot, match_onehot;
  logic none_free, none_match;
  list_t free_list, match_list;
  logic [$clog2(Readers):0] kept;
  always_comb begin
    kept = '0;
    for (int unsigned l = 0; l < Readers; l++) begin
      free[l] = !open_q[l];
      match[l] = open_q[l] && keep_q[l] && info_q[l].owner == job.owner && lists_q[l].layer == job.layer &&
          lists_q[l].head == job.head &&
          (lists_q[l].id == req_q.follow_id || lists_q[l].last_id == req_q.follow_id);
      if (open_q[l] && keep_q[l]) kept++;
    end
  end
  kv_first #(
      .Width(Readers)
  ) u_free (
      .bits_i  (free),
      .none_o  (none_free),
      .index_o (free_list),
      .onehot_o(free_onehot)
  );
  kv_first #(
      .Width(Readers)
  ) u_match (
      .bits_i  (match),
      .none_o  (none_match),
      .index_o (match_list),
      .onehot_o(match_onehot)
  );

  // A follower's tokens must all have been looked up.
  logic subset;
  always_comb begin
    list_state_t of;
    tokens_t tokens;
    of = lists_q[match_list];
    tokens = tokens_of(job.lo, job.hi, job.by_granule, job.mask, of.lo[PosW+1:4]);
    subset = job.lo >= of.lo && job.hi <= of.hi && (!of.by_granule || (tokens & ~of.mask) == '0);
  end

  // What Bind decides. The list's flags are read and changed in one cycle, so that nothing comes between.
  logic plain, follows, wants, allocate, bind_list, refuse;
  status_e status;
  always_comb begin
    plain = job.empty || job.status != StOk || req_q.bulk_only || !usable;
    follows = !plain && req_q.follow;
    wants = !plain && !req_q.follow && !(req_q.keep && 32'(kept) >= KeptMax);
    status = job.status;
    bind_list = 1'b0;
    if (follows) begin
      if (none_match) status = StStale;
      else if (!subset) status = StBadRange;
      else bind_list = 1'b1;
    end
    go = state_q == Bind && !(wants && none_free);
    allocate = go && wants;
    bind_list = go && bind_list;
    refuse = go && req_q.keep && !(allocate || bind_list);
  end
  assign keep_refused_o = refuse;

  // ---- retires: the part of a range that touches a job
  function automatic overtaken_t touched(input retire_t r, input job_t j);
    overtaken_t own, prefix, o;
    logic whole;
    // The whole owner: it is set anew, and with it goes the prefix that the job knows. Else the prefix is not its own.
    whole = r.first == '0 && r.last == '1;
    own   = '{valid: r.owner == j.owner, lo: r.first, hi: r.last, seq: '0};
    if (!whole && len_t'(own.lo) < j.prefix_len) own.lo = pos_t'(j.prefix_len);
    own.valid = own.valid && len_t'(r.last) >= j.prefix_len;
    prefix = '{
        valid: r.owner == j.prefix_owner && len_t'(r.first) < j.prefix_len,
        lo: r.first,
        hi: r.last,
        seq: '0
    };
    if (len_t'(prefix.hi) >= j.prefix_len) prefix.hi = pos_t'(j.prefix_len - len_t'(1));
    o = own.valid ? own : prefix;
    o.valid = (own.valid || prefix.valid) && o.lo <= o.hi && wpos_t'(o.lo) <= j.hi && wpos_t'(o.hi) >= j.lo;
    if (r.all) o = '{valid: 1'b1, lo: '0, hi: '1, seq: '0};
    if (!r.valid) o.valid = 1'b0;
    return o;
  endfunction

  // One that comes while a request is on its way to be a job; two of them: as if all were retired.
  retire_t early_q, early;
  always_comb begin
    early = early_q;
    if (retire_i.valid) begin
      early = retire_i;
      if (early_q.valid) early.all = 1'b1;
    end
  end
  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) early_q <= '0;
    else if (state_q == Idle && !(req_valid_i && req_ready_o)) early_q <= '0;
    else if (state_q == Idle) early_q <= retire_i;
    else early_q <= early;
  end

  overtaken_t [Jobs-1:0] touches;
  always_comb begin
    for (int unsigned j = 0; j < Jobs; j++) touches[j] = touched(retire_i, jobs_q[j]);
  end

  always_ff @(posedge clk_i) begin
    for (int unsigned j = 0; j < Jobs; j++) begin
      if (state_q == Check && head_idx == job_idx_t'(j)) begin
        overtaken_q[j] <= touched(early, job_d);
        overtaken_q[j].seq <= issued_i;
      end else if (touches[j].valid) begin
        overtaken_q[j].valid <= 1'b1;
        if (overtaken_q[j].valid) begin
          if (touches[j].lo < overtaken_q[j].lo) overtaken_q[j].lo <= touches[j].lo;
          if (touches[j].hi > overtaken_q[j].hi) overtaken_q[j].hi <= touches[j].hi;
        end else begin
          overtaken_q[j].lo  <= touches[j].lo;
          overtaken_q[j].hi  <= touches[j].hi;
          overtaken_q[j].seq <= issued_i;
        end
      end
    end
  end

  // ---- job table
  always_ff @(posedge clk_i) begin
    if (state_q == Check) jobs_q[head_idx] <= job_d;
    if (state_q == Bind) begin
      jobs_q[head_idx].status <= status;
      job_lists_q[head_idx] <= '{
          has_list: allocate || bind_list,
          list: bind_list ? match_list : free_list,
          lookup: allocate,
          keep_failed: refuse
      };
    end
  end

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      head_q   <= '0;
      tail_q   <= '0;
      sink_q   <= '0;
      bulk_q   <= '0;
      closed_o <= 1'b0;
    end else begin
      if (go) head_q <= head_q + job_ptr_t'(1);
      if (close) tail_q <= tail_q + job_ptr_t'(1);
      if (sink_closed_i) sink_q <= sink_q + job_ptr_t'(1);
      if (bulk_closed_i) bulk_q <= bulk_q + job_ptr_t'(1);
      closed_o <= close;
    end
  end

  // ---- lists
  logic [Readers-1:0] end_keep, joins, leaves;
  always_comb begin
    for (int unsigned l = 0; l < Readers; l++) begin
      owner_t owner;
      owner_t prefix;
      logic   has_prefix;
      // A list that is being made counts with what it will be.
      owner = allocate && free_onehot[l] ? job.owner : info_q[l].owner;
      prefix = allocate && free_onehot[l] ? job.prefix_owner : info_q[l].prefix_owner;
      has_prefix = allocate && free_onehot[l] ? job.prefix_len != '0 : info_q[l].prefix_valid;
      end_keep[l] = (keep_end_valid_i && (keep_end_all_i || keep_end_owner_i == owner)) ||
          (retire_i.valid && (retire_i.all || retire_i.owner == owner || (has_prefix && retire_i.owner == prefix)));
      joins[l] = (allocate && free_onehot[l]) || (bind_list && match_onehot[l]);
      leaves[l] = close && job_lists_q[tail_idx].has_list && job_lists_q[tail_idx].list == list_t'(l);
    end
  end

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      serial_q <= '0;
      for (int unsigned l = 0; l < Readers; l++) begin
        open_q[l]  <= 1'b0;
        keep_q[l]  <= 1'b0;
        users_q[l] <= '0;
      end
    end else begin
      if (allocate) serial_q <= serial_q + 32'd1;
      for (int unsigned l = 0; l < Readers; l++) begin
        users_q[l] <= users_q[l] + job_ptr_t'(joins[l]) - job_ptr_t'(leaves[l]);
        if (joins[l]) begin
          open_q[l] <= 1'b1;
          keep_q[l] <= req_q.keep && !end_keep[l];
        end else begin
          if (end_keep[l]) keep_q[l] <= 1'b0;
          if (users_q[l] == '0 && !keep_q[l]) open_q[l] <= 1'b0;
        end
      end
    end
  end

  always_ff @(posedge clk_i) begin
    for (int unsigned l = 0; l < Readers; l++) begin
      if (joins[l]) lists_q[l].last_id <= job.id;
      if (allocate && free_onehot[l]) begin
        lists_q[l].id <= job.id;
        lists_q[l].layer <= job.layer;
        lists_q[l].head <= job.head;
        lists_q[l].lo <= job.lo;
        lists_q[l].hi <= job.hi;
        lists_q[l].by_granule <= job.by_granule;
        lists_q[l].mask <= job.mask;
        info_q[l] <= '{
            open: 1'b1,
            owner: job.owner,
            prefix_valid: job.prefix_len != '0,
            prefix_owner: job.prefix_owner,
            serial: serial_q
        };
      end
    end
  end

  `KVS_ASSERT(kept_at_most_half, 32'(kept) <= KeptMax)
  `KVS_ASSERT(closed_in_order, !(sink_closed_i && sink_q == head_q) && !(bulk_closed_i && bulk_q == head_q))
  `KVS_STREAM(req, req_valid_i, req_ready_o, req_i)

endmodule

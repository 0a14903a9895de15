// SPDX-License-Identifier: Apache-2.0
// Lookup engine: fixes the path of every token of a request, once.
//
// Contract: serves the jobs in order. A job that fills a list: the granules in which its owners have entries are found
// one by one (searches of the tag array, prefix owner first), translated, looked up, and those with hits stored in
// ascending order; then the job is passed on (done_o). Other jobs are passed on at once. Only tokens asked for and below
// the committed length count. A granule that cannot be translated has no hits. A list holds Entries rows; more (possible
// only while entries move during the search) count as missing, for both streams alike.
// Searches run ahead of translations, so the time for a granule is the longest of the three (a search: see tag_next).

`include "kvsink_assert.svh"

module bypass_lookup
  import kvsink_cfg_pkg::*;
  import kvsink_pkg::*;
  import bypass_pkg::*;
(
    input logic clk_i,
    input logic rst_ni,

    input  job_t      [   Jobs-1:0] jobs_i,
    input  job_list_t [   Jobs-1:0] job_lists_i,
    input  job_ptr_t                head_i,
    output job_ptr_t                done_o,       // jobs before this one are ready for both streams
    output entries_t  [Readers-1:0] rows_o,       // rows of each list

    output logic          next_valid_o,
    input  logic          next_ready_i,
    output tag_next_req_t next_o,
    input  logic          next_rsp_valid_i,
    input  tag_next_rsp_t next_rsp_i,

    output logic      walk_req_valid_o,
    input  logic      walk_req_ready_i,
    output walk_req_t walk_req_o,
    input  logic      walk_rsp_valid_i,
    output logic      walk_rsp_ready_o,
    input  walk_rsp_t walk_rsp_i,

    output logic        lookup_valid_o,
    output tag_lookup_t lookup_o,
    input  logic        hit_valid_i,
    input  tag_hit_t    hit_i,

    output logic       wr_valid_o,
    output list_row_t  wr_row_o,
    output hit_row_t   wr_hit_o,
    output slots_row_t wr_slots_o
);

  localparam int unsigned Ahead = 4;  // translations asked for and not yet looked up

  job_ptr_t job_q;
  job_t job;
  job_list_t job_list;
  assign job = jobs_i[job_q[JobW-1:0]];
  assign job_list = job_lists_i[job_q[JobW-1:0]];
  assign done_o = job_q;

  typedef enum logic [2:0] {
    Idle,
    Own,   // go on with the part of the owner itself
    Ask,   // search
    Wait,
    Walk,  // ask for the translation of what was found
    Drain  // all lookups of the job come home
  } state_e;
  state_e state_q;
  logic   in_prefix_q;
  gran_t from_q, to_q;

  logic order_ready, order_valid, order_pop;
  gran_t order_granule;
  logic [$clog2(Ahead+1)-1:0] order_count_unused;
  logic walk_push;
  logic [3:0] pending_q;  // granules between the walk request and the list
  logic settled;

  // The part below the prefix length, and the one from it on.
  logic has_prefix, has_own;
  wpos_t prefix_len;
  assign prefix_len = wpos_t'(job.prefix_len);
  assign has_prefix = job.lo < prefix_len;
  assign has_own = job.hi >= prefix_len;

  assign next_valid_o = state_q == Ask;
  assign next_o = '{owner: in_prefix_q ? job.prefix_owner : job.owner, from : from_q, to: to_q};
  assign walk_req_valid_o = state_q == Walk && order_ready;
  assign walk_req_o = '{owner: job.owner, position: {from_q, 4'h0}};
  assign walk_push = walk_req_valid_o && walk_req_ready_i;

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      state_q <= Idle;
      job_q   <= '0;
    end else begin
      unique case (state_q)
        Idle: begin
          if (job_q != head_i) begin
            if (job_list.lookup) state_q <= has_prefix ? Ask : Own;
            else job_q <= job_q + job_ptr_t'(1);
          end
        end
        Own: state_q <= has_own ? Ask : Drain;
        Ask: if (next_ready_i) state_q <= Wait;
        Wait: begin
          if (next_rsp_valid_i) state_q <= next_rsp_i.found ? Walk : (in_prefix_q ? Own : Drain);
        end
        Walk: begin
          if (walk_push) state_q <= (from_q == to_q) ? (in_prefix_q ? Own : Drain) : Ask;
        end
        Drain: begin
          if (pending_q == '0) begin
            state_q <= Idle;
            job_q   <= job_q + job_ptr_t'(1);
          end
        end
        default: state_q <= Idle;
      endcase
    end
  end

  always_ff @(posedge clk_i) begin
    unique case (state_q)
      Idle: begin
        in_prefix_q <= 1'b1;
        from_q <= job.lo[PosW-1:4];
        to_q <= (job.hi < prefix_len) ? job.hi[PosW-1:4] : gran_t'((prefix_len - wpos_t'(1)) >> 4);
      end
      Own: begin
        in_prefix_q <= 1'b0;
        from_q <= has_prefix ? gran_t'(prefix_len >> 4) : job.lo[PosW-1:4];
        to_q <= job.hi[PosW-1:4];
      end
      Wait: if (next_rsp_valid_i) from_q <= next_rsp_i.granule;
      Walk: if (walk_push) from_q <= from_q + gran_t'(1);
      default: ;
    endcase
  end

  kv_fifo #(
      .T    (gran_t),
      .Depth(Ahead)
  ) u_order (
      .clk_i,
      .rst_ni,
      .flush_i(1'b0),
      .valid_i(walk_push),
      .ready_o(order_ready),
      .data_i (from_q),
      .valid_o(order_valid),
      .ready_i(order_pop),
      .data_o (order_granule),
      .count_o(order_count_unused)
  );

  // ---- translation -> lookup -> list; never held back
  assign walk_rsp_ready_o = 1'b1;
  assign order_pop = walk_rsp_valid_i;

  logic  [2:0] look_valid_q;  // lookup on the port; in the array; answered
  gran_t [2:0] look_granule_q;
  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) look_valid_q <= '0;
    else look_valid_q <= {look_valid_q[1:0], walk_rsp_valid_i && walk_rsp_i.status == StOk};
  end
  always_ff @(posedge clk_i) begin
    look_granule_q <= {look_granule_q[1:0], order_granule};
    lookup_o <= '{
        owner: walk_rsp_i.owner,
        granule: order_granule,
        word: walk_rsp_i.word,
        layer: job.layer,
        head: job.head,
        planes: job.planes
    };
  end
  assign lookup_valid_o = look_valid_q[0];

  // The committed length of a granule is that of its owner.
  tokens_t below;
  always_comb begin
    wpos_t first, committed;
    first = wpos_t'({look_granule_q[2], 4'h0});
    committed = (first < prefix_len) ? wpos_t'(job.prefix_committed) : wpos_t'(job.committed);
    for (int unsigned t = 0; t < GranuleTokens; t++) begin
      below[t] = first + wpos_t'(t) < committed;
    end
  end

  tokens_t  hits;
  entries_t count_q;
  assign hits = hit_i.hit & below & tokens_of(job.lo, job.hi, job.by_granule, job.mask, wgran_t'(look_granule_q[2]));

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) wr_valid_o <= 1'b0;
    else wr_valid_o <= hit_valid_i && hits != '0 && count_q != entries_t'(Entries);
  end
  always_ff @(posedge clk_i) begin
    wr_row_o   <= {job_list.list, count_q[$clog2(Entries)-1:0]};
    wr_hit_o   <= '{granule: look_granule_q[2], hit: hits, profile: hit_i.profile};
    wr_slots_o <= hit_i.slot;
    if (state_q == Idle) count_q <= '0;
    else if (hit_valid_i && hits != '0 && count_q != entries_t'(Entries)) count_q <= count_q + entries_t'(1);
    if (state_q == Drain) rows_o[job_list.list] <= count_q;
  end

  // A granule is settled when its lookup was answered, or when there will be none.
  assign settled = walk_rsp_valid_i && walk_rsp_i.status != StOk;
  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) pending_q <= '0;
    else pending_q <= pending_q + 4'(walk_push) - 4'(settled) - 4'(hit_valid_i);
  end

  logic unused;
  assign unused = walk_rsp_i.committed;

  `KVS_ASSERT(walk_answers_in_order, !walk_rsp_valid_i || order_valid)
  `KVS_ASSERT(hit_in_time, hit_valid_i == look_valid_q[2])
  `KVS_STREAM(next, next_valid_o, next_ready_i, next_o)
  `KVS_STREAM(walk_req, walk_req_valid_o, walk_req_ready_i, walk_req_o)

endmodule

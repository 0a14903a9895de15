// SPDX-License-Identifier: Apache-2.0
// First half of the bulk engine: the pages of each request, newest first, with the tokens that no list row covers.
//
// Contract: serves the jobs in order. For each page with tokens to read: asks for its translation, then hands over the
// page; last, the end of the job. Pages whose tokens all hit are skipped; a job with an error asks for no translation.
// Runs ahead of the rows by the depth of the queue behind it, so that translations are there when they are needed.
// Throughput: a page takes 2 cycles; with list rows in it, one more and two for each of them.

`include "kvsink_assert.svh"

module bypass_pages
  import kvsink_cfg_pkg::*;
  import kvsink_pkg::*;
  import bypass_pkg::*;
(
    input logic clk_i,
    input logic rst_ni,

    input layout_cfg_t                 layout_i,
    input profile_cfg_t [Profiles-1:0] profiles_i,
    input job_t         [    Jobs-1:0] jobs_i,
    input job_list_t    [    Jobs-1:0] job_lists_i,
    input job_ptr_t                    ready_i,
    input entries_t     [ Readers-1:0] list_rows_i,

    output logic      list_read_o,
    output list_row_t list_row_o,
    input  hit_row_t  list_hit_i,

    output logic      walk_req_valid_o,
    input  logic      walk_req_ready_i,
    output walk_req_t walk_req_o,

    output logic  page_valid_o,
    input  logic  page_ready_i,
    output page_t page_o
);

  job_ptr_t job_q;
  job_idx_t job_idx;
  job_t job;
  job_list_t job_list;
  assign job_idx = job_q[JobW-1:0];
  assign job = jobs_i[job_idx];
  assign job_list = job_lists_i[job_idx];

  typedef enum logic [2:0] {
    Idle,
    Start,  // tokens of the page that are asked for
    Clear,  // without those in the list
    Out,    // translation asked for, page handed over
    Close
  } state_e;
  state_e       state_q;

  wpos_t        page_q;  // first position of the page
  page_tokens_t tokens_q;
  logic         walked;
  assign walked = job.status == StOk;

  wpos_t page_mask;  // position -> first position of its page
  assign page_mask = {$bits(wpos_t) {1'b1}} << layout_i.page_log2;

  page_tokens_t asked;
  always_comb begin
    for (int unsigned g = 0; g < PageGranules; g++) begin
      wgran_t granule;
      granule = page_q[PosW+1:4] + wgran_t'(g);
      asked[g*GranuleTokens+:GranuleTokens] = '0;
      if (8'(g * GranuleTokens) < (8'd1 << layout_i.page_log2)) begin
        asked[g*GranuleTokens+:GranuleTokens] = tokens_of(job.lo, job.hi, job.by_granule, job.mask, granule);
      end
    end
  end

  // ---- the list from its end: the row at left_q - 1
  entries_t left_q;
  logic row_valid_q;  // it is at list_hit_i
  logic row_wanted, row_taken;
  wpos_t row_first;  // first position of its granule
  assign row_first  = {2'b00, list_hit_i.granule, 4'h0};
  assign list_row_o = {job_list.list, left_q[$clog2(Entries)-1:0] - 1'b1};

  logic row_here, row_above, list_done;
  assign row_above = row_valid_q && (row_first & page_mask) > page_q;
  assign row_here = row_valid_q && (row_first & page_mask) == page_q;
  assign list_done = left_q == '0 || (row_valid_q && !row_above && !row_here);
  assign row_taken = state_q == Clear && (row_above || row_here);
  assign row_wanted = state_q == Clear && left_q != '0 && !row_valid_q;
  assign list_read_o = row_wanted;

  always_ff @(posedge clk_i) begin
    if (state_q == Idle) begin
      left_q <= job_list.has_list ? list_rows_i[job_list.list] : '0;
      row_valid_q <= 1'b0;
    end else begin
      if (row_taken) begin
        left_q <= left_q - entries_t'(1);
        row_valid_q <= 1'b0;
      end
      if (row_wanted) row_valid_q <= 1'b1;
    end
  end

  tokens_t hits;
  logic [2:0] row_granule;  // within the page
  assign hits = covered(profiles_i, job.planes, list_hit_i);
  assign row_granule = 3'((row_first & ~page_mask) >> 4);

  logic last_page, page_empty, page_done;
  logic walk_sent_q, page_sent_q, out_done;  // what of Out is done
  assign page_empty = tokens_q == '0;
  assign out_done   = state_q == Out && (walk_sent_q || !walked || walk_req_ready_i) && (page_sent_q || page_ready_i);
  assign page_done  = out_done || (state_q == Clear && list_done && page_empty);
  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      walk_sent_q <= 1'b0;
      page_sent_q <= 1'b0;
    end else begin
      walk_sent_q <= state_q == Out && !out_done && (walk_sent_q || (walked && walk_req_ready_i));
      page_sent_q <= state_q == Out && !out_done && (page_sent_q || page_ready_i);
    end
  end
  assign last_page = page_q <= (job.lo & page_mask);

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      state_q <= Idle;
      job_q   <= '0;
    end else begin
      unique case (state_q)
        Idle: if (job_q != ready_i) state_q <= job.empty ? Close : Start;
        Start: state_q <= (list_done && asked != '0) ? Out : Clear;
        Clear: begin
          if (list_done) begin
            if (!page_empty) state_q <= Out;
            else state_q <= last_page ? Close : Start;
          end
        end
        Out: if (out_done) state_q <= last_page ? Close : Start;
        Close: begin
          if (page_ready_i) begin
            state_q <= Idle;
            job_q   <= job_q + job_ptr_t'(1);
          end
        end
        default: state_q <= Idle;
      endcase
    end
  end

  always_ff @(posedge clk_i) begin
    if (state_q == Idle) page_q <= job.hi & page_mask;
    if (state_q == Start) tokens_q <= asked;
    if (row_taken && row_here) begin
      for (int unsigned g = 0; g < PageGranules; g++) begin
        if (row_granule == 3'(g)) begin
          tokens_q[g*GranuleTokens+:GranuleTokens] <= tokens_q[g*GranuleTokens+:GranuleTokens] & ~hits;
        end
      end
    end
    if (page_done) begin
      page_q <= page_q - (wpos_t'(1) << layout_i.page_log2);
    end
  end

  // The lowest position asked for in the page: sure to be below the length when the job was checked.
  assign walk_req_valid_o = state_q == Out && walked && !walk_sent_q;
  assign walk_req_o = '{owner: job.owner, position: pos_t'(page_q < job.lo ? job.lo : page_q)};

  assign page_valid_o = (state_q == Out && !page_sent_q) || state_q == Close;
  assign page_o = '{is_end: state_q == Close, job: job_idx, first: page_q, tokens: tokens_q, walked: walked};

  `KVS_STREAM(walk_req, walk_req_valid_o, walk_req_ready_i, walk_req_o)
  `KVS_STREAM(page, page_valid_o, page_ready_i, page_o)

endmodule

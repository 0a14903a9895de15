// SPDX-License-Identifier: Apache-2.0
// Second half of the bulk engine: from pages to rows and their addresses.
//
// Contract: takes pages in order, each with its translation when one was asked for; gives its rows by plane, then token
// ascending, with address (one that tokens share under the lowest of those asked for); the end of a job as an item of its
// own. A row that cannot be read (error of the job, unusable plane, page not translated, overtaken by a retire) carries
// its status instead. row_run_o: all that lies in memory between this row and the one before it are rows of the same
// page, head and plane that this request's sink stream serves.
// Throughput: a row a cycle, one cycle more a page. Latency: 2 cycles and that of kv_addr.

`include "kvsink_assert.svh"

module bypass_rows
  import kvsink_cfg_pkg::*;
  import kvsink_pkg::*;
  import bypass_pkg::*;
(
    input logic clk_i,
    input logic rst_ni,

    input layout_cfg_t                      layout_i,
    input logic                             base_we_i,
    input logic        [$clog2(Layers)+1:0] base_waddr_i,
    input addr_t                            base_wdata_i,
    input job_t        [          Jobs-1:0] jobs_i,
    input overtaken_t  [          Jobs-1:0] overtaken_i,

    input  logic  page_valid_i,
    output logic  page_ready_o,
    input  page_t page_i,

    input  logic      walk_rsp_valid_i,
    output logic      walk_rsp_ready_o,
    input  walk_rsp_t walk_rsp_i,

    output logic      row_valid_o,
    input  logic      row_ready_i,
    output row_meta_t row_o,
    output logic      row_run_o,
    output addr_t     row_addr_o
);

  // ---- the page at hand
  logic busy_q;
  page_t page_q;
  page_tokens_t tokens_q;  // of this plane, still to come
  logic later_q;  // a row of this plane was given
  token_t before_q, others;  // the last token that it serves, in its granule; those of a row, as a mask
  plane_t  plane_q;
  status_e status_q;
  word_t   block_q;
  job_t job, next_job;
  assign job = jobs_i[page_q.job];
  assign next_job = jobs_i[page_i.job];

  logic take, step, last_token, last_plane;
  logic addr_ready;
  logic waits;  // for the translation
  assign waits = page_i.walked && !page_i.is_end && !walk_rsp_valid_i;
  assign take = page_valid_i && !waits && (!busy_q || (step && last_token && last_plane));
  assign page_ready_o = take;
  assign walk_rsp_ready_o = take && page_i.walked && !page_i.is_end;
  assign step = busy_q && addr_ready;

  logic [IndexW-1:0] index;
  page_tokens_t onehot_unused, group;  // the tokens that the row serves
  logic [2:0] share;
  logic none_unused;
  kv_first #(
      .Width(PageTokens)
  ) u_token (
      .bits_i  (tokens_q),
      .none_o  (none_unused),
      .index_o (index),
      .onehot_o(onehot_unused)
  );
  assign group  = sharers(index, share);
  assign others = token_t'((5'd1 << share) - 5'd1);

  plane_t plane_next, plane_lowest;
  always_comb begin
    plane_next   = '0;
    plane_lowest = '0;
    last_plane   = 1'b1;
    for (int unsigned p = Planes; p > 0; p--) begin
      if (next_job.planes[p-1]) plane_lowest = plane_t'(p - 1);
      if (job.planes[p-1] && plane_t'(p - 1) > plane_q) begin
        plane_next = plane_t'(p - 1);
        last_plane = 1'b0;
      end
    end
    last_token = (tokens_q & ~group) == '0;
    if (page_q.is_end) begin
      last_plane = 1'b1;
      last_token = 1'b1;
    end
  end

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) busy_q <= 1'b0;
    else if (take) busy_q <= 1'b1;
    else if (step && last_token && last_plane) busy_q <= 1'b0;
  end

  word_t block_mask;
  assign block_mask = ~({WordW{1'b1}} << layout_i.block_bits);

  always_ff @(posedge clk_i) begin
    if (take) begin
      page_q   <= page_i;
      tokens_q <= page_i.tokens;
      later_q  <= 1'b0;
      plane_q  <= plane_lowest;
      status_q <= page_i.walked ? walk_rsp_i.status : next_job.status;
      block_q  <= walk_rsp_i.word & block_mask;
    end else if (step) begin
      tokens_q <= last_token ? page_q.tokens : tokens_q & ~group;
      later_q  <= !last_token;
      before_q <= token_t'(index) | others;
      if (last_token) plane_q <= plane_next;
    end
  end

  // ---- the row
  row_meta_t row;
  plane_cfg_t plane;
  wpos_t position;
  logic usable;
  assign plane = layout_i.plane[plane_q];
  assign usable = plane.valid && plane.row_beats != '0;
  assign share = usable ? plane.share_log2 : 3'd0;
  assign position = page_q.first + wpos_t'(index);
  always_comb begin
    row = '{
        is_end: page_q.is_end,
        job: page_q.job,
        plane: plane_q,
        position: pos_t'(position),
        beats: plane.row_beats,
        share: share,
        skip: '0,
        status: status_q
    };
    if (!usable) begin
      row.beats = row_beats_t'(1);
      if (row.status == StOk) row.status = StBadRange;
    end
    if (row.status == StOk && overtakes(overtaken_i[page_q.job], pos_t'(position), share)) row.status = StRetired;
    if (page_q.is_end) row.status = StOk;
  end

  // ---- what lies between two rows of a plane
  // Tokens that were asked for and are not read are those that the sink stream serves. A range leaves no token out; the
  // tokens of a mask are all of one granule. Rows lie one behind the other when the token stride is a row.
  tokens_t row_asked, left_out;  // the token's row serves one asked for; is between, and its row serves none
  logic adjacent;
  assign adjacent = layout_i.stride[plane.stride_set].token[31:BeatShift] == (32 - BeatShift)'(plane.row_beats);
  always_comb begin
    for (int unsigned t = 0; t < GranuleTokens; t++) begin
      row_asked[t] = 1'b0;
      for (int unsigned u = 0; u < GranuleTokens; u++) begin
        if ((4'(u) | others) == (4'(t) | others) && job.mask[u]) row_asked[t] = 1'b1;
      end
      left_out[t] = !row_asked[t] && 4'(t) > before_q && 4'(t) < token_t'(index);
    end
  end

  typedef struct packed {
    logic      run;
    row_meta_t row;
  } item_t;
  item_t item, item_out;
  assign item = '{run: later_q && adjacent && !(job.by_granule && left_out != '0), row: row};
  assign row_o = item_out.row;
  assign row_run_o = item_out.run;

  kv_addr #(
      .U(item_t)
  ) u_addr (
      .clk_i,
      .rst_ni,
      .layout_i,
      .base_we_i,
      .base_waddr_i,
      .base_wdata_i,
      .valid_i(busy_q),
      .ready_o(addr_ready),
      .layer_i(job.layer),
      .head_i (job.head),
      .plane_i(plane_q),
      .block_i(block_q),
      .token_i(page_token_t'(index)),
      .user_i (item),
      .valid_o(row_valid_o),
      .ready_i(row_ready_i),
      .addr_o (row_addr_o),
      .user_o (item_out)
  );

  logic unused;
  assign unused = ^{walk_rsp_i.owner, walk_rsp_i.committed, page_q.walked};

endmodule

// SPDX-License-Identifier: Apache-2.0
// Types inside the bypass mux: jobs (requests in flight), lists (results of lookups) and what passes between its engines.

package bypass_pkg;

  import kvsink_cfg_pkg::*;
  import kvsink_pkg::*;

  // A job is a request from its acceptance until both end markers were taken. Jobs form a ring; pointers into it carry
  // one bit more than an index, so that full and empty differ.
  localparam int unsigned Jobs = Readers;
  localparam int unsigned JobW = $clog2(Jobs);
  typedef logic [JobW-1:0] job_idx_t;
  typedef logic [JobW:0] job_ptr_t;

  // Positions of a request may lie beyond any sequence (first + count): two bits more, so that nothing wraps around.
  typedef logic [PosW+1:0] wpos_t;
  typedef logic [PosW-3:0] wgran_t;

  // Pages are counted in the same way; the smallest page is a granule. Tokens of the largest page, one bit each.
  localparam int unsigned PageTokens = 2 ** PageLog2Max;
  localparam int unsigned PageGranules = PageTokens / GranuleTokens;
  typedef logic [PageTokens-1:0] page_tokens_t;

  typedef struct packed {
    req_id_t     id;
    owner_t      owner;
    layer_t      layer;
    kv_head_t    head;
    plane_mask_t planes;
    logic        empty;             // no rows: just end markers
    wpos_t       lo;                // lowest and highest position asked for
    wpos_t       hi;
    logic        by_granule;
    tokens_t     mask;              // by_granule: tokens asked for, all of one granule
    status_e     status;            // not StOk: all rows come error-flagged, on the bulk stream
    len_t        prefix_len;        // positions below it belong to prefix_owner; 0: none do
    owner_t      prefix_owner;
    len_t        committed;         // positions of the owner that may hit
    len_t        prefix_committed;  // the same of the prefix owner
  } job_t;

  // What is known of a job once it has its list.
  typedef struct packed {
    logic  has_list;
    list_t list;
    logic  lookup;       // the list is this job's to fill
    logic  keep_failed;  // `keep` asked for, and no list found for it
  } job_list_t;

  // Rows of a job that a retire has overtaken: those at positions lo..hi whose number in the order of delivery is seq or
  // more (the address of lower ones was on the bus already).
  localparam int unsigned SeqW = 32;
  typedef logic [SeqW-1:0] seq_t;
  typedef struct packed {
    logic valid;
    pos_t lo;
    pos_t hi;
    seq_t seq;
  } overtaken_t;

  // Rows of the list memories.
  localparam int unsigned ListRows = Readers * Entries;
  typedef logic [$clog2(ListRows)-1:0] list_row_t;
  typedef struct packed {
    gran_t                        granule;
    tokens_t                      hit;
    profile_t [GranuleTokens-1:0] profile;
  } hit_row_t;
  typedef slot_t [GranuleTokens-1:0] slots_row_t;

  // From pages to rows: a page of a job with the tokens to be read, or the end of the job.
  typedef struct packed {
    logic         is_end;
    job_idx_t     job;
    wpos_t        first;   // first position of the page
    page_tokens_t tokens;
    logic         walked;  // a translation was asked for
  } page_t;

  // Tokens that share a row with token `index`, of the tokens of a page.
  localparam int unsigned IndexW = $clog2(PageTokens);
  function automatic page_tokens_t sharers(input logic [IndexW-1:0] index, input logic [2:0] share_log2);
    page_tokens_t tokens;
    for (int unsigned i = 0; i < PageTokens; i++) tokens[i] = (IndexW'(i) >> share_log2) == (index >> share_log2);
    return tokens;
  endfunction

  // Beats before a row that were read with it and belong to no row: fewer than a burst costs.
  typedef logic [7:0] skip_t;

  // One row on its way through the address pipeline, and what the return side knows of it.
  typedef struct packed {
    logic       is_end;
    job_idx_t   job;
    plane_t     plane;
    pos_t       position;
    row_beats_t beats;
    logic [2:0] share;     // log2 of the tokens that share the row
    skip_t      skip;
    status_e    status;    // not StOk: no read, the row comes error-flagged
  } row_meta_t;

  // Tokens of granule g that a request asks for.
  function automatic tokens_t tokens_of(input wpos_t lo, input wpos_t hi, input logic by_granule, input tokens_t mask,
                                        input wgran_t g);
    tokens_t tokens;
    tokens = by_granule ? mask : '1;
    if (g == lo[PosW+1:4]) tokens &= {GranuleTokens{1'b1}} << lo[3:0];
    if (g == hi[PosW+1:4]) tokens &= {GranuleTokens{1'b1}} >> ~hi[3:0];
    if (g < lo[PosW+1:4] || g > hi[PosW+1:4]) tokens = '0;
    return tokens;
  endfunction

  // Tokens of a list row that count for a request of these planes: a follower may ask for others than the lookup did.
  function automatic tokens_t covered(input profile_cfg_t [Profiles-1:0] profiles, input plane_mask_t planes,
                                      input hit_row_t row);
    logic [Profiles-1:0] covers;
    tokens_t tokens;
    for (int unsigned p = 0; p < Profiles; p++) covers[p] = (planes & ~profiles[p].plane_mask) == '0;
    for (int unsigned t = 0; t < GranuleTokens; t++) tokens[t] = row.hit[t] && covers[row.profile[t]];
    return tokens;
  endfunction

  // Whether a row of this position is one of them, or one of a token that shares it.
  function automatic logic overtakes(input overtaken_t o, input pos_t position, input logic [2:0] share_log2);
    pos_t others;
    others = (pos_t'(1) << share_log2) - pos_t'(1);
    return o.valid && (position | others) >= o.lo && (position & ~others) <= o.hi;
  endfunction

endpackage

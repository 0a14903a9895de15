// SPDX-License-Identifier: Apache-2.0
// Row requests in, every row out exactly once: resident tokens from the slot SRAM on the sink stream, all others from the
// backing memory on the bulk stream, and on each stream an end marker with its number of rows.
//
//   requests -> [bypass_jobs] -> [bypass_lookup] --> [bypass_lists]
//                                 next, walk, tags     |         |
//                                                      v         v
//                                              [bypass_sink]  [bypass_pages] -> [bypass_rows] -> [bypass_bursts] -> reads
//                                               SRAM -> sink       walk           kv_addr              |
//                                                                     bulk <- [bypass_return] <--------+---- beats
//
// Contract
//   Requests are served in order, each stream on its own: a stream that is not taken holds up the other only when
//   Readers requests are in flight. A lookup fixes the path of each token before the first row leaves; a list of what
//   was found serves both streams and all followers.
//   Sink: pages ascending, bulk: pages descending; inside a page by plane, then token ascending.
//   Errors: see bypass_jobs (whole requests) and bypass_return (rows). Error rows come on the bulk stream only, have the
//   beat count of their plane (1 where the plane is unusable) and data 0, or what was read before a failing beat.
//   Retire: rows of the range whose address was not taken by the memory port when retire_i came are error-flagged; rows
//   from SRAM are delivered (a slot is not reused while a list of before is open).
//   Rows that tokens share (share_log2 > 0) come once on each path that serves one of them, under its lowest position.
//   mem_i is never held back: the beats of a read have their place before it is offered.
// Latency: about 20 cycles from request to first read with translations held and nothing resident.

`include "kvsink_assert.svh"

module bypass_mux
  import kvsink_cfg_pkg::*;
  import kvsink_pkg::*;
  import bypass_pkg::*;
(
    input logic clk_i,
    input logic rst_ni,

    input ctl_cfg_t                          cfg_i,
    input layout_cfg_t                       layout_i,
    input profile_cfg_t [      Profiles-1:0] profiles_i,
    input logic                              base_we_i,
    input logic         [$clog2(Layers)+1:0] base_waddr_i,
    input addr_t                             base_wdata_i,
    input retire_t                           retire_i,
    input logic                              keep_end_valid_i,
    input owner_t                            keep_end_owner_i,
    input logic                              keep_end_all_i,

    input  logic      req_valid_i,
    output logic      req_ready_o,
    input  row_req_t  req_i,
    output logic      sink_valid_o,
    input  logic      sink_ready_i,
    output row_beat_t sink_o,
    output logic      bulk_valid_o,
    input  logic      bulk_ready_i,
    output row_beat_t bulk_o,

    output owner_t     rd_owner_o,
    input  owner_ctx_t rd_ctx_i,    // a cycle later

    output logic      lwalk_req_valid_o,
    input  logic      lwalk_req_ready_i,
    output walk_req_t lwalk_req_o,
    input  logic      lwalk_rsp_valid_i,
    output logic      lwalk_rsp_ready_o,
    input  walk_rsp_t lwalk_rsp_i,
    output logic      bwalk_req_valid_o,
    input  logic      bwalk_req_ready_i,
    output walk_req_t bwalk_req_o,
    input  logic      bwalk_rsp_valid_i,
    output logic      bwalk_rsp_ready_o,
    input  walk_rsp_t bwalk_rsp_i,

    output logic          next_valid_o,
    input  logic          next_ready_i,
    output tag_next_req_t next_o,
    input  logic          next_rsp_valid_i,
    input  tag_next_rsp_t next_rsp_i,
    output logic          lookup_valid_o,
    output tag_lookup_t   lookup_o,
    input  logic          hit_valid_i,
    input  tag_hit_t      hit_i,

    output logic       sram_valid_o,
    input  logic       sram_ready_i,
    output sram_addr_t sram_addr_o,
    input  logic       sram_rsp_valid_i,
    input  beat_t      sram_rsp_data_i,

    output logic    rd_valid_o,
    input  logic    rd_ready_i,
    output rd_req_t rd_o,
    input  logic    mem_valid_i,
    input  rd_rsp_t mem_i,
    output logic    ahead_o,     // half of the return buffer waits for the consumer: it is the limit, not the bus

    output list_info_t [Readers-1:0] list_info_o,
    output logic       [       31:0] list_serial_o,

    output logic        err_valid_o,
    input  logic        err_ready_i,
    output read_error_t err_o,

    output mux_count_t count_o
);

  localparam int unsigned PagesAhead = 8;  // pages between the sequencer and the rows

  job_t [Jobs-1:0] jobs;
  job_list_t [Jobs-1:0] job_lists;
  overtaken_t [Jobs-1:0] overtaken;
  job_ptr_t job_head, job_ready;
  seq_t issued;
  logic sink_closed, bulk_closed, closed, keep_refused;

  bypass_jobs u_jobs (
      .clk_i,
      .rst_ni,
      .layout_i,
      .retire_i,
      .keep_end_valid_i,
      .keep_end_owner_i,
      .keep_end_all_i,
      .req_valid_i,
      .req_ready_o,
      .req_i,
      .rd_owner_o,
      .rd_ctx_i,
      .jobs_o        (jobs),
      .job_lists_o   (job_lists),
      .overtaken_o   (overtaken),
      .head_o        (job_head),
      .issued_i      (issued),
      .sink_closed_i (sink_closed),
      .bulk_closed_i (bulk_closed),
      .closed_o      (closed),
      .keep_refused_o(keep_refused),
      .list_info_o,
      .list_serial_o
  );

  // ---- lookups
  entries_t [Readers-1:0] list_rows;
  logic list_wr, list_sink_read, list_bulk_read;
  list_row_t list_wr_row, list_sink_row, list_bulk_row;
  hit_row_t list_wr_hit, list_sink_hit, list_bulk_hit;
  slots_row_t list_wr_slots, list_sink_slots;

  bypass_lookup u_lookup (
      .clk_i,
      .rst_ni,
      .jobs_i          (jobs),
      .job_lists_i     (job_lists),
      .head_i          (job_head),
      .done_o          (job_ready),
      .rows_o          (list_rows),
      .next_valid_o,
      .next_ready_i,
      .next_o,
      .next_rsp_valid_i,
      .next_rsp_i,
      .walk_req_valid_o(lwalk_req_valid_o),
      .walk_req_ready_i(lwalk_req_ready_i),
      .walk_req_o      (lwalk_req_o),
      .walk_rsp_valid_i(lwalk_rsp_valid_i),
      .walk_rsp_ready_o(lwalk_rsp_ready_o),
      .walk_rsp_i      (lwalk_rsp_i),
      .lookup_valid_o,
      .lookup_o,
      .hit_valid_i,
      .hit_i,
      .wr_valid_o      (list_wr),
      .wr_row_o        (list_wr_row),
      .wr_hit_o        (list_wr_hit),
      .wr_slots_o      (list_wr_slots)
  );

  bypass_lists u_lists (
      .clk_i,
      .wr_valid_i  (list_wr),
      .wr_row_i    (list_wr_row),
      .wr_hit_i    (list_wr_hit),
      .wr_slots_i  (list_wr_slots),
      .sink_read_i (list_sink_read),
      .sink_row_i  (list_sink_row),
      .sink_hit_o  (list_sink_hit),
      .sink_slots_o(list_sink_slots),
      .bulk_read_i (list_bulk_read),
      .bulk_row_i  (list_bulk_row),
      .bulk_hit_o  (list_bulk_hit)
  );

  // ---- sink stream
  bypass_sink u_sink (
      .clk_i,
      .rst_ni,
      .layout_i,
      .profiles_i,
      .jobs_i      (jobs),
      .job_lists_i (job_lists),
      .ready_i     (job_ready),
      .list_rows_i (list_rows),
      .list_read_o (list_sink_read),
      .list_row_o  (list_sink_row),
      .list_hit_i  (list_sink_hit),
      .list_slots_i(list_sink_slots),
      .sram_valid_o,
      .sram_ready_i,
      .sram_addr_o,
      .sram_rsp_valid_i,
      .sram_rsp_data_i,
      .sink_valid_o,
      .sink_ready_i,
      .sink_o,
      .closed_o    (sink_closed)
  );

  // ---- bulk stream
  logic page_valid, page_ready, ahead_valid, ahead_ready;
  page_t page, ahead;
  logic [$clog2(PagesAhead+1)-1:0] ahead_count_unused;

  bypass_pages u_pages (
      .clk_i,
      .rst_ni,
      .layout_i,
      .profiles_i,
      .jobs_i          (jobs),
      .job_lists_i     (job_lists),
      .ready_i         (job_ready),
      .list_rows_i     (list_rows),
      .list_read_o     (list_bulk_read),
      .list_row_o      (list_bulk_row),
      .list_hit_i      (list_bulk_hit),
      .walk_req_valid_o(bwalk_req_valid_o),
      .walk_req_ready_i(bwalk_req_ready_i),
      .walk_req_o      (bwalk_req_o),
      .page_valid_o    (page_valid),
      .page_ready_i    (page_ready),
      .page_o          (page)
  );

  kv_fifo #(
      .T    (page_t),
      .Depth(PagesAhead)
  ) u_ahead (
      .clk_i,
      .rst_ni,
      .flush_i(1'b0),
      .valid_i(page_valid),
      .ready_o(page_ready),
      .data_i (page),
      .valid_o(ahead_valid),
      .ready_i(ahead_ready),
      .data_o (ahead),
      .count_o(ahead_count_unused)
  );

  logic row_valid, row_ready, row_run, meta_valid, meta_ready, credit, dropped;
  row_meta_t row, meta;
  addr_t row_addr;

  bypass_rows u_rows (
      .clk_i,
      .rst_ni,
      .layout_i,
      .base_we_i,
      .base_waddr_i,
      .base_wdata_i,
      .jobs_i          (jobs),
      .overtaken_i     (overtaken),
      .page_valid_i    (ahead_valid),
      .page_ready_o    (ahead_ready),
      .page_i          (ahead),
      .walk_rsp_valid_i(bwalk_rsp_valid_i),
      .walk_rsp_ready_o(bwalk_rsp_ready_o),
      .walk_rsp_i      (bwalk_rsp_i),
      .row_valid_o     (row_valid),
      .row_ready_i     (row_ready),
      .row_o           (row),
      .row_run_o       (row_run),
      .row_addr_o      (row_addr)
  );

  bypass_bursts u_bursts (
      .clk_i,
      .rst_ni,
      .burst_cost_i(cfg_i.burst_cost),
      .row_valid_i (row_valid),
      .row_ready_o (row_ready),
      .row_i       (row),
      .row_run_i   (row_run),
      .row_addr_i  (row_addr),
      .meta_valid_o(meta_valid),
      .meta_ready_i(meta_ready),
      .meta_o      (meta),
      .rd_valid_o,
      .rd_ready_i,
      .rd_o,
      .credit_i    (credit),
      .issued_o    (issued)
  );

  bypass_return u_return (
      .clk_i,
      .rst_ni,
      .jobs_i      (jobs),
      .job_lists_i (job_lists),
      .overtaken_i (overtaken),
      .meta_valid_i(meta_valid),
      .meta_ready_o(meta_ready),
      .meta_i      (meta),
      .mem_valid_i,
      .mem_i,
      .credit_o    (credit),
      .ahead_o,
      .dropped_o   (dropped),
      .bulk_valid_o,
      .bulk_ready_i,
      .bulk_o,
      .closed_o    (bulk_closed),
      .err_valid_o,
      .err_ready_i,
      .err_o
  );

  // ---- counting
  logic sink_taken, bulk_taken;
  assign sink_taken = sink_valid_o && sink_ready_i && !sink_o.is_end;
  assign bulk_taken = bulk_valid_o && bulk_ready_i && !bulk_o.is_end;
  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      count_o <= '0;
    end else begin
      count_o <= '{
          sink_row: sink_taken && sink_o.last && !sink_o.error,
          sink_beat: sink_taken,
          bulk_row: bulk_taken && bulk_o.last && !bulk_o.error,
          bulk_beat: bulk_taken && !bulk_o.error,
          error_row: bulk_taken && bulk_o.last && bulk_o.error,
          dropped_beat: dropped,
          request: closed,
          keep_refused: keep_refused,
          sink_stall: sink_valid_o && !sink_ready_i,
          bulk_stall: bulk_valid_o && !bulk_ready_i
      };
    end
  end

  logic cfg_unused;
  assign cfg_unused = ^cfg_i;

endmodule

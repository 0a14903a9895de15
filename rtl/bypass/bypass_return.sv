// SPDX-License-Identifier: Apache-2.0
// Return side of the bulk engine: buffers the beats of the memory and streams them as rows.
//
// Contract: beats come in the order of the rows in the queue and always find room (bypass_bursts reserves it). The `skip`
// beats before a row are dropped here, whatever they hold, and counted (dropped_o). A row
// whose read failed is error-flagged from the failing beat to its last; a row without a read, or overtaken by a retire,
// comes with its full beat count, error-flagged, with data 0. After the rows of a job comes its end marker with their
// number. The first error of a job becomes one event when the job ends; while an event waits to be taken, others are
// dropped (the log is full then), so that the stream never waits for it.
// Throughput: one beat a cycle.

`include "kvsink_assert.svh"

module bypass_return
  import kvsink_cfg_pkg::*;
  import kvsink_pkg::*;
  import bypass_pkg::*;
(
    input logic clk_i,
    input logic rst_ni,

    input job_t       [Jobs-1:0] jobs_i,
    input job_list_t  [Jobs-1:0] job_lists_i,
    input overtaken_t [Jobs-1:0] overtaken_i,

    input  logic      meta_valid_i,
    output logic      meta_ready_o,
    input  row_meta_t meta_i,

    input  logic    mem_valid_i,
    input  rd_rsp_t mem_i,
    output logic    credit_o,
    output logic    ahead_o,      // the consumer has enough for a while
    output logic    dropped_o,    // a beat that no row needs was dropped

    output logic      bulk_valid_o,
    input  logic      bulk_ready_i,
    output row_beat_t bulk_o,
    output logic      closed_o,

    output logic        err_valid_o,
    input  logic        err_ready_i,
    output read_error_t err_o
);

  typedef struct packed {
    beat_t data;
    logic  error;
  } stored_t;

  logic beat_ready, beat_valid, beat_pop, drop;
  stored_t beat;
  logic [$clog2(BulkBeats+1)-1:0] beat_count, meta_count_unused;
  kv_fifo_ram #(
      .T    (stored_t),
      .Depth(BulkBeats)
  ) u_beats (
      .clk_i,
      .rst_ni,
      .flush_i(1'b0),
      .valid_i(mem_valid_i),
      .ready_o(beat_ready),
      .data_i ('{data: mem_i.data, error: mem_i.error}),
      .valid_o(beat_valid),
      .ready_i(beat_pop),
      .data_o (beat),
      .count_o(beat_count)
  );
  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      credit_o  <= 1'b0;
      ahead_o   <= 1'b0;
      dropped_o <= 1'b0;
    end else begin
      credit_o  <= beat_pop;
      dropped_o <= drop;
      ahead_o   <= 32'(beat_count) >= BulkBeats / 2;
    end
  end

  // As many rows as beats: rows of one beat.
  logic row_valid, row_pop;
  row_meta_t row;
  kv_fifo_ram #(
      .T    (row_meta_t),
      .Depth(BulkBeats)
  ) u_rows (
      .clk_i,
      .rst_ni,
      .flush_i(1'b0),
      .valid_i(meta_valid_i),
      .ready_o(meta_ready_o),
      .data_i (meta_i),
      .valid_o(row_valid),
      .ready_i(row_pop),
      .data_o (row),
      .count_o(meta_count_unused)
  );

  // ---- the row at the head
  seq_t       seq_q;  // its number
  row_beats_t sent_q;  // beats of it that are out
  skip_t      skipped_q;  // beats before it that were dropped
  logic       failed_q;  // one of them had an error
  logic reads, overtaken, bad, last;
  overtaken_t by;
  row_beat_t  out;
  logic out_valid, out_ready, step, skips;
  logic [31:0] rows_q;
  always_comb begin
    by = overtaken_i[row.job];
    reads = !row.is_end && row.status == StOk;
    // Older rows than by.seq had their address out when the retire came. The difference is that of modulo counters.
    overtaken = reads && overtakes(by, row.position, row.share) && !seq_before(seq_q, by.seq);
    bad = !row.is_end && (!reads || overtaken || failed_q || beat.error);
    last = row.is_end || sent_q == row.beats - row_beats_t'(1);
    skips = reads && skipped_q != row.skip;
    drop = row_valid && skips && beat_valid;
    out_valid = row_valid && !skips && (!reads || beat_valid);
    step = out_valid && out_ready;
    row_pop = step && last;
    beat_pop = drop || (step && reads);
    out = '{
        id: jobs_i[row.job].id,
        is_end: row.is_end,
        plane: row.plane,
        position: row.position,
        error: bad,
        last: last,
        data: (reads && !overtaken) ? beat.data : '0
    };
    if (row.is_end) begin
      out.plane = '0;
      out.position = '0;
      out.error = job_lists_i[row.job].keep_failed;
      out.data = beat_t'(rows_q);
    end
  end

  function automatic logic seq_before(input seq_t a, input seq_t b);
    seq_t difference;
    difference = a - b;
    return difference[SeqW-1];
  endfunction

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      seq_q <= '0;
      sent_q <= '0;
      skipped_q <= '0;
      failed_q <= 1'b0;
      rows_q <= '0;
    end else if (drop) begin
      skipped_q <= skipped_q + skip_t'(1);
    end else if (step) begin
      if (last) skipped_q <= '0;
      sent_q   <= last ? '0 : sent_q + row_beats_t'(1);
      failed_q <= !last && bad;
      if (last && !row.is_end) seq_q <= seq_q + seq_t'(1);
      if (last) rows_q <= row.is_end ? '0 : rows_q + 32'd1;
    end
  end

  kv_skid #(
      .T(row_beat_t)
  ) u_out (
      .clk_i,
      .rst_ni,
      .valid_i(out_valid),
      .ready_o(out_ready),
      .data_i (out),
      .valid_o(bulk_valid_o),
      .ready_i(bulk_ready_i),
      .data_o (bulk_o)
  );

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) closed_o <= 1'b0;
    else closed_o <= bulk_valid_o && bulk_ready_i && bulk_o.is_end;
  end

  // ---- the first error of the job
  logic seen_q;
  read_error_t first_q;
  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      seen_q <= 1'b0;
      err_valid_o <= 1'b0;
    end else begin
      if (step) seen_q <= !row.is_end && (seen_q || bad);
      if (err_ready_i) err_valid_o <= 1'b0;
      if (step && row.is_end && seen_q && (!err_valid_o || err_ready_i)) err_valid_o <= 1'b1;
    end
  end
  always_ff @(posedge clk_i) begin
    if (step && bad && !seen_q) begin
      first_q <= '{
          owner: jobs_i[row.job].owner,
          position: row.position,
          cause: !reads ? row.status : (overtaken ? StRetired : StBusError)
      };
    end
    if (step && row.is_end && (!err_valid_o || err_ready_i)) err_o <= first_q;
  end

  logic unused;
  assign unused = mem_i.last;

  `KVS_ASSERT(beat_has_room, !mem_valid_i || beat_ready)
  `KVS_STREAM(bulk, bulk_valid_o, bulk_ready_i, bulk_o)
  `KVS_STREAM(err, err_valid_o, err_ready_i, err_o)

endmodule

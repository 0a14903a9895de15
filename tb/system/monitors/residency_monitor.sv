// SPDX-License-Identifier: Apache-2.0
// Reports what the residency controller takes, decides and completes, in its order. Looks only, drives nothing.

module residency_monitor
  import kvsink_pkg::*;
  import residency_pkg::trace_t;
  import residency_pkg::room_trace_t;
(
    input logic clk_i,
    input logic rst_ni,
    input logic cmd_valid_i,
    input logic cmd_ready_o,
    input cmd_t cmd_i,
    input logic done_valid_o,
    input logic done_ready_i,
    input done_t done_o,
    input logic walk_rsp_valid_i,
    input logic walk_rsp_ready_o,
    input walk_rsp_t walk_rsp_i,
    input logic sc_valid_o,
    input logic sc_ready_i,
    input score_cmd_t sc_o,
    input logic rsp_valid_i,
    input logic rsp_ready_o,
    input score_rsp_t rsp_i,
    input logic progress_valid_i,
    input logic progress_ready_o,
    input dma_progress_t progress_i,
    input logic end_valid_i,
    input logic end_ready_o,
    input dma_end_t end_i,
    input logic ev_valid_o,
    input logic ev_ready_i,
    input log_event_t ev_o,
    input logic [$clog2(kvsink_cfg_pkg::LogRecords):0] log_room_i,
    input entries_t tag_free_entries_i,
    input logic tag_sweep_busy_i,
    input trace_t trace,
    input room_trace_t room_trace
);
  entries_t free_entries_q;  // in the cycle of the decision that room_trace is of
  always_ff @(posedge clk_i) free_entries_q <= tag_free_entries_i;

  always_ff @(posedge clk_i) begin
    if (rst_ni) begin
      if (cmd_valid_i && cmd_ready_o) begin
        probe_pkg::kvsink_monitor(probe_pkg::Command, cmd_i[63:0], cmd_i[127:64], cmd_i[191:128], cmd_i[255:192],
                                  cmd_i[319:256], 0, 0, 0, 0, 0);
      end
      if (walk_rsp_valid_i && walk_rsp_ready_o) begin
        probe_pkg::kvsink_monitor(probe_pkg::WalkAnswer, 64'(walk_rsp_i.status), 64'(walk_rsp_i.owner),
                                  64'(walk_rsp_i.word), 64'(walk_rsp_i.committed), 0, 0, 0, 0, 0, 0);
      end
      if (sc_valid_o && sc_ready_i) begin
        probe_pkg::kvsink_monitor(probe_pkg::ScoreCommand, 64'(sc_o.op), 64'(sc_o.position), 64'(sc_o.mark),
                                  64'(sc_o.count), 64'(sc_o.threshold), 64'(sc_o.prefill), 0, 0, 0, 0);
      end
      if (rsp_valid_i && rsp_ready_o) begin
        probe_pkg::kvsink_monitor(probe_pkg::ScoreAnswer, 64'(rsp_i.valid), 64'(rsp_i.position), 64'(rsp_i.score),
                                  64'(rsp_i.last), 0, 0, 0, 0, 0, 0);
      end
      if (progress_valid_i && progress_ready_o) begin
        probe_pkg::kvsink_monitor(probe_pkg::Progress, 64'(progress_i.slot), 64'(progress_i.watermark), 0, 0, 0, 0, 0,
                                  0, 0, 0);
      end
      if (end_valid_i && end_ready_o) begin
        probe_pkg::kvsink_monitor(probe_pkg::DmaEnd, 64'(end_i.slot), 64'(end_i.status), 64'(end_i.bytes), 0, 0, 0, 0,
                                  0, 0, 0);
      end
      if (trace.valid) begin
        probe_pkg::kvsink_monitor(probe_pkg::Trace, 64'(trace.kind), 64'(trace.slot), 64'(trace.data), 64'(log_room_i),
                                  64'(tag_free_entries_i), 64'(tag_sweep_busy_i), 0, 0, 0, 0);
      end
      if (room_trace.valid) begin
        probe_pkg::kvsink_monitor(probe_pkg::Seen, 64'(room_trace.room), 64'(free_entries_q), 0, 0, 0, 0, 0, 0, 0, 0);
      end
      if (ev_valid_o && ev_ready_i) begin
        probe_pkg::kvsink_monitor(probe_pkg::LogEvent, 64'(ev_o.kind), 64'(ev_o.cause), 64'(ev_o.owner),
                                  64'(ev_o.position), 64'(ev_o.word), 64'(ev_o.slot), 0, 0, 0, 0);
      end
      if (done_valid_o && done_ready_i) begin
        probe_pkg::kvsink_monitor(probe_pkg::Done, done_o[63:0], done_o[127:64], done_o[191:128], 0, 0, 0, 0, 0, 0, 0);
      end
    end
  end
endmodule

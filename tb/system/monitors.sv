// SPDX-License-Identifier: Apache-2.0
// Monitors inside the design, bound to its units: they look, report to the bench (tb/system/probe.hpp), and drive
// nothing. Kinds and fields are those of ProbeKind.

package probe_pkg;
  import "DPI-C" function void kvsink_monitor(
    input int kind,
    input longint unsigned f0,
    input longint unsigned f1,
    input longint unsigned f2,
    input longint unsigned f3,
    input longint unsigned f4,
    input longint unsigned f5,
    input longint unsigned f6,
    input longint unsigned f7,
    input longint unsigned f8,
    input longint unsigned f9
  );

  localparam int Retire = 1;
  localparam int TagCommand = 2;
  localparam int TagAck = 3;
  localparam int Lookup = 4;
  localparam int Hit = 5;
  localparam int Command = 6;
  localparam int Done = 7;
  localparam int WalkAnswer = 8;
  localparam int ScoreCommand = 9;
  localparam int ScoreAnswer = 10;
  localparam int Progress = 11;
  localparam int DmaEnd = 12;
  localparam int LogEvent = 13;
  localparam int Trace = 14;
  localparam int MuxLookup = 15;
  localparam int MuxNext = 16;
endpackage

module tag_monitor
  import kvsink_pkg::*;
(
    input logic clk_i,
    input logic rst_ni,
    input retire_t retire_i,
    input logic lookup_valid_i,
    input tag_lookup_t lookup_i,
    input logic hit_valid_o,
    input tag_hit_t hit_o,
    input logic cmd_valid_i,
    input logic cmd_ready_o,
    input tag_cmd_t cmd_i,
    input logic ack_valid_o,
    input tag_ack_t ack_o
);
  always_ff @(posedge clk_i) begin
    if (rst_ni) begin
      if (retire_i.valid) begin
        probe_pkg::kvsink_monitor(probe_pkg::Retire, 64'(retire_i.all), 64'(retire_i.owner), 64'(retire_i.first),
                             64'(retire_i.last), 0, 0, 0, 0, 0, 0);
      end
      if (cmd_valid_i && cmd_ready_o) begin
        probe_pkg::kvsink_monitor(probe_pkg::TagCommand, 64'(cmd_i.op), 64'(cmd_i.owner), 64'(cmd_i.granule),
                             64'(cmd_i.token), 64'(cmd_i.entry), 64'(cmd_i.slot), 64'(cmd_i.profile), 64'(cmd_i.word),
                             64'(cmd_i.watermark), 0);
      end
      if (ack_valid_o) begin
        probe_pkg::kvsink_monitor(probe_pkg::TagAck, 64'(ack_o.status), 64'(ack_o.entry), 64'(ack_o.slot), 0, 0, 0, 0, 0, 0,
                             0);
      end
      if (lookup_valid_i) begin
        probe_pkg::kvsink_monitor(probe_pkg::Lookup, 64'(lookup_i.owner), 64'(lookup_i.granule), 64'(lookup_i.word),
                             64'(lookup_i.layer), 64'(lookup_i.head), 64'(lookup_i.planes), 0, 0, 0, 0);
      end
      if (hit_valid_o) begin
        probe_pkg::kvsink_monitor(probe_pkg::Hit, 64'(hit_o.hit), 0, 0, 0, 0, 0, 0, 0, 0, 0);
      end
    end
  end
endmodule

module residency_monitor
  import kvsink_pkg::*;
  import residency_pkg::trace_t;
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
    input trace_t trace
);
  always_ff @(posedge clk_i) begin
    if (rst_ni) begin
      if (cmd_valid_i && cmd_ready_o) begin
        probe_pkg::kvsink_monitor(probe_pkg::Command, cmd_i[63:0], cmd_i[127:64], cmd_i[191:128], cmd_i[255:192],
                             cmd_i[319:256], 0, 0, 0, 0, 0);
      end
      if (walk_rsp_valid_i && walk_rsp_ready_o) begin
        probe_pkg::kvsink_monitor(probe_pkg::WalkAnswer, 64'(walk_rsp_i.status), 64'(walk_rsp_i.owner), 64'(walk_rsp_i.word),
                             64'(walk_rsp_i.committed), 0, 0, 0, 0, 0, 0);
      end
      if (sc_valid_o && sc_ready_i) begin
        probe_pkg::kvsink_monitor(probe_pkg::ScoreCommand, 64'(sc_o.op), 64'(sc_o.position), 64'(sc_o.mark), 64'(sc_o.count),
                             64'(sc_o.threshold), 64'(sc_o.prefill), 0, 0, 0, 0);
      end
      if (rsp_valid_i && rsp_ready_o) begin
        probe_pkg::kvsink_monitor(probe_pkg::ScoreAnswer, 64'(rsp_i.valid), 64'(rsp_i.position), 64'(rsp_i.score),
                             64'(rsp_i.last), 0, 0, 0, 0, 0, 0);
      end
      if (progress_valid_i && progress_ready_o) begin
        probe_pkg::kvsink_monitor(probe_pkg::Progress, 64'(progress_i.slot), 64'(progress_i.watermark), 0, 0, 0, 0, 0, 0, 0,
                             0);
      end
      if (end_valid_i && end_ready_o) begin
        probe_pkg::kvsink_monitor(probe_pkg::DmaEnd, 64'(end_i.slot), 64'(end_i.status), 64'(end_i.bytes), 0, 0, 0, 0, 0, 0,
                             0);
      end
      if (trace.valid) begin
        probe_pkg::kvsink_monitor(probe_pkg::Trace, 64'(trace.kind), 64'(trace.slot), 64'(trace.data), 64'(log_room_i),
                             64'(tag_free_entries_i), 0, 0, 0, 0, 0);
      end
      if (ev_valid_o && ev_ready_i) begin
        probe_pkg::kvsink_monitor(probe_pkg::LogEvent, 64'(ev_o.kind), 64'(ev_o.cause), 64'(ev_o.owner), 64'(ev_o.position),
                             64'(ev_o.word), 64'(ev_o.slot), 0, 0, 0, 0);
      end
      if (done_valid_o && done_ready_i) begin
        probe_pkg::kvsink_monitor(probe_pkg::Done, done_o[63:0], done_o[127:64], done_o[191:128], 0, 0, 0, 0, 0, 0, 0);
      end
    end
  end
endmodule

module lookup_monitor
  import kvsink_pkg::*;
  import bypass_pkg::job_t;
(
    input logic clk_i,
    input logic rst_ni,
    input job_t job,
    input logic lookup_valid_o,
    input tag_next_req_t next_o,
    input logic next_rsp_valid_i,
    input tag_next_rsp_t next_rsp_i
);
  always_ff @(posedge clk_i) begin
    if (rst_ni) begin
      if (lookup_valid_o) begin
        probe_pkg::kvsink_monitor(probe_pkg::MuxLookup, 64'(job.id), 0, 0, 0, 0, 0, 0, 0, 0, 0);
      end
      if (next_rsp_valid_i) begin
        probe_pkg::kvsink_monitor(probe_pkg::MuxNext, 64'(job.id), 64'(next_o.owner), 64'(next_o.from), 64'(next_o.to),
                                  64'(next_rsp_i.found), 64'(next_rsp_i.granule), 64'(job.layer), 64'(job.head),
                                  64'(job.planes), 0);
      end
    end
  end
endmodule

bind sink_tag_array tag_monitor u_monitor (.*);
bind residency_ctrl residency_monitor u_monitor (.*);
bind bypass_lookup lookup_monitor u_monitor (.*);

// SPDX-License-Identifier: Apache-2.0
// Completions of commands, in a queue that has room for each command that was accepted.
//
// Contract: full_o is high when as many commands were accepted as there are places, of those whose completion was not
// taken; none is accepted then, so act_i.done_push always finds room.
// Latency: a cycle from the push to done_valid_o.

`include "kvsink_assert.svh"

module residency_done
  import kvsink_cfg_pkg::*;
  import kvsink_pkg::*;
  import residency_pkg::*;
(
    input logic clk_i,
    input logic rst_ni,

    input logic [31:0] now_i,
    input logic cmd_take_i,
    output logic full_o,
    input ctl_act_t act_i,
    output logic done_valid_o,
    input logic done_ready_i,
    output done_t done_o
);

  logic  done_room;
  done_t done_in;
  logic [$clog2(DoneDepth+1)-1:0] done_count_unused, promised_q;
  assign done_in = '{
          reserved: '0,
          cycles: now_i - act_i.done_start,
          value1: act_i.done_value1,
          value0: act_i.done_value0,
          tag: act_i.done_tag,
          status: act_i.done_status,
          opcode: act_i.done_opcode
      };
  kv_fifo #(
      .T    (done_t),
      .Depth(DoneDepth)
  ) u_done (
      .clk_i,
      .rst_ni,
      .flush_i(1'b0),
      .valid_i(act_i.done_push),
      .ready_o(done_room),
      .data_i (done_in),
      .valid_o(done_valid_o),
      .ready_i(done_ready_i),
      .data_o (done_o),
      .count_o(done_count_unused)
  );
  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) promised_q <= '0;
    else begin
      promised_q <= promised_q + ($clog2(DoneDepth + 1))'(cmd_take_i) -
          ($clog2(DoneDepth + 1))'(done_valid_o && done_ready_i);
    end
  end
  assign full_o = promised_q == ($clog2(DoneDepth + 1))'(DoneDepth);

  `KVS_STREAM(done_stream, done_valid_o, done_ready_i, done_o)
  `KVS_ASSERT(done_has_room, !act_i.done_push || done_room)

endmodule

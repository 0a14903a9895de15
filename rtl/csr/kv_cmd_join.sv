// SPDX-License-Identifier: Apache-2.0
// Joins the command stream and the command window of the registers, and gives each completion back to where its command
// came from.
//
// The tag of a command is replaced by the number of its place in a table that keeps the source and the tag; so two
// sources may use the same tags. A command is accepted only when the table has a place and the completion queue of its
// source has room, counting what is still to come: completions are therefore always taken at once, and a source that
// does not take its completions holds up only itself. The two sources take turns.
//
// Latency: command 1 cycle, completion 4. Throughput: a command every second cycle.
//   Places  commands under way, from both sources
//   Depth   completions that wait, for each source

`include "kvsink_assert.svh"

module kv_cmd_join
  import kvsink_pkg::*;
#(
    parameter int unsigned Places = 32,
    parameter int unsigned Depth  = 16
) (
    input logic clk_i,
    input logic rst_ni,
    // source 0: stream, source 1: window
    input logic [1:0] cmd_valid_i,
    output logic [1:0] cmd_ready_o,
    input cmd_t [1:0] cmd_i,
    output logic [1:0] done_valid_o,
    input logic [1:0] done_ready_i,
    output done_t [1:0] done_o,
    // residency controller
    output logic ctrl_cmd_valid_o,
    input logic ctrl_cmd_ready_i,
    output cmd_t ctrl_cmd_o,
    input logic ctrl_done_valid_i,
    output logic ctrl_done_ready_o,
    input done_t ctrl_done_i
);

  localparam int unsigned PlaceW = $clog2(Places);
  localparam int unsigned CountW = $clog2(Depth + 1);
  typedef logic [PlaceW-1:0] place_t;

  // A completion without its reserved bits.
  typedef struct packed {
    logic [31:0] cycles;
    logic [63:0] value1;
    logic [31:0] value0;
    logic [15:0] tag;
    logic [7:0]  status;
    logic [7:0]  opcode;
  } kept_t;

  if (Places < 2 || Places > 65536 || Places != 2 ** PlaceW) begin : gen_bad_places
    $error("kv_cmd_join: Places %0d is no power of two from 2 to 65536", Places);
  end

  // ------------------------------------------------------------------------------------------------------- acceptance
  logic [Places-1:0] busy_q, alloc, release_place;
  logic [Places-1:0][      15:0] tag_q;
  logic [Places-1:0]             source_q;
  logic [       1:0][CountW-1:0] owed_q;  // completions to come or waiting
  logic                          last_q;  // source of the last command
  logic no_place, accept, choice;
  place_t place;
  logic [Places-1:0] place_onehot;
  logic [1:0] able;
  logic cmd_valid_q;
  cmd_t cmd_q;

  kv_first #(
      .Width(Places)
  ) u_place (
      .bits_i  (~busy_q),
      .none_o  (no_place),
      .index_o (place),
      .onehot_o(place_onehot)
  );

  for (genvar s = 0; s < 2; s++) begin : gen_able
    assign able[s] = owed_q[s] != CountW'(Depth) && !no_place && !cmd_valid_q;
  end
  // The other source goes first.
  assign choice = (cmd_valid_i[~last_q] && able[~last_q]) ? ~last_q : last_q;
  assign accept = cmd_valid_i[choice] && able[choice];
  for (genvar s = 0; s < 2; s++) begin : gen_ready
    assign cmd_ready_o[s] = able[s] && choice == 1'(s);
  end
  assign alloc = accept ? place_onehot : '0;

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      busy_q <= '0;
      last_q <= 1'b0;
      cmd_valid_q <= 1'b0;
    end else begin
      busy_q <= (busy_q | alloc) & ~release_place;
      if (accept) last_q <= choice;
      if (accept) cmd_valid_q <= 1'b1;
      else if (ctrl_cmd_ready_i) cmd_valid_q <= 1'b0;
    end
  end

  always_ff @(posedge clk_i) begin
    if (accept) begin
      cmd_q <= cmd_i[choice];
      cmd_q.tag <= 16'(place);
      tag_q[place] <= cmd_i[choice].tag;
      source_q[place] <= choice;
    end
  end

  assign ctrl_cmd_valid_o = cmd_valid_q;
  assign ctrl_cmd_o = cmd_q;

  // ------------------------------------------------------------------------------------------------------- completions
  place_t done_place;
  logic done_source, done_valid;
  kept_t done_in;
  assign ctrl_done_ready_o = 1'b1;
  assign done_place = place_t'(ctrl_done_i.tag);
  assign done_valid = ctrl_done_valid_i && busy_q[done_place];
  assign done_source = source_q[done_place];
  assign release_place = done_valid ? (Places'(1) << done_place) : '0;
  assign done_in = '{
          cycles: ctrl_done_i.cycles,
          value1: ctrl_done_i.value1,
          value0: ctrl_done_i.value0,
          tag: tag_q[done_place],
          status: ctrl_done_i.status,
          opcode: ctrl_done_i.opcode
      };

  for (genvar s = 0; s < 2; s++) begin : gen_done
    kept_t done;
    logic ready_unused;
    logic [CountW-1:0] count_unused;
    kv_fifo_ram #(
        .T    (kept_t),
        .Depth(Depth)
    ) u_queue (
        .clk_i,
        .rst_ni,
        .flush_i(1'b0),
        .valid_i(done_valid && done_source == 1'(s)),
        .ready_o(ready_unused),
        .data_i (done_in),
        .valid_o(done_valid_o[s]),
        .ready_i(done_ready_i[s]),
        .data_o (done),
        .count_o(count_unused)
    );
    assign done_o[s] = '{
            reserved: '0,
            cycles: done.cycles,
            value1: done.value1,
            value0: done.value0,
            tag: done.tag,
            status: done.status,
            opcode: done.opcode
        };

    always_ff @(posedge clk_i or negedge rst_ni) begin
      if (!rst_ni) owed_q[s] <= '0;
      else begin
        owed_q[s] <= owed_q[s] + CountW'(accept && choice == 1'(s)) - CountW'(done_valid_o[s] && done_ready_i[s]);
      end
    end
  end

  `KVS_STREAM(ctrl_cmd, ctrl_cmd_valid_o, ctrl_cmd_ready_i, ctrl_cmd_o)
  `KVS_ASSERT(done_names_a_command, !ctrl_done_valid_i || (32'(ctrl_done_i.tag) < Places && busy_q[done_place]))

  logic unused;
  assign unused = ^{ctrl_done_i.reserved, ctrl_done_i.tag};

endmodule

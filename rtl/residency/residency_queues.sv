// SPDX-License-Identifier: Apache-2.0
// What waits between the residency controller's decisions and its surroundings: slots that wait for their translation,
// slots whose translation was asked for, records on their way to the log, slots that wait to be freed, aborts.
//
// Contract: first in, first out, each of them. Records leave in the order of the decisions; when the log has taken a slot's
// last one, the slot waits to be freed. An abort goes out after its descriptor has: the DMA would not know it before.
// Latency: a cycle from an entry to its head (2 through a memory).

`include "kvsink_assert.svh"

module residency_queues
  import kvsink_cfg_pkg::*;
  import kvsink_pkg::*;
  import residency_pkg::*;
(
    input logic clk_i,
    input logic rst_ni,

    input ctl_act_t act_i,
    input slot_t slot_i,  // at hand

    output logic  fill_valid_o,
    input  logic  fill_pop_i,
    output slot_t fill_head_o,

    output logic  walks_room_o,
    output logic  walks_valid_o,
    input  logic  walks_pop_i,
    output slot_t walks_head_o,

    output logic [$clog2(RecordDepth+1)-1:0] rec_count_o,
    output logic ev_valid_o,
    input logic ev_ready_i,
    output log_event_t ev_o,

    output logic  free_valid_o,
    input  logic  free_pop_i,
    output slot_t free_head_o,

    input  logic  desc_valid_i,   // a descriptor that was not taken yet
    input  slot_t desc_slot_i,
    output logic  abort_room_o,
    output logic  aborting_o,
    output logic  abort_valid_o,
    input  logic  abort_ready_i,
    output slot_t abort_slot_o
);

  logic fill_room_unused;
  logic [$clog2(Slots+1)-1:0] fill_count_unused;
  kv_fifo_ram #(
      .T    (slot_t),
      .Depth(Slots)
  ) u_fill (
      .clk_i,
      .rst_ni,
      .flush_i(1'b0),
      .valid_i(act_i.fill_push),
      .ready_o(fill_room_unused),
      .data_i (slot_i),
      .valid_o(fill_valid_o),
      .ready_i(fill_pop_i),
      .data_o (fill_head_o),
      .count_o(fill_count_unused)
  );

  logic [$clog2(WalksMax+1)-1:0] walks_count_unused;
  kv_fifo #(
      .T    (slot_t),
      .Depth(WalksMax)
  ) u_walks (
      .clk_i,
      .rst_ni,
      .flush_i(1'b0),
      .valid_i(act_i.walks_push),
      .ready_o(walks_room_o),
      .data_i (slot_i),
      .valid_o(walks_valid_o),
      .ready_i(walks_pop_i),
      .data_o (walks_head_o),
      .count_o(walks_count_unused)
  );

  // Records leave in the order of the decisions. When the log has taken a slot's last one, the slot waits to be freed.
  logic rec_room, rec_valid, rec_pop;
  record_t rec_head;
  kv_fifo_ram #(
      .T    (record_t),
      .Depth(RecordDepth)
  ) u_records (
      .clk_i,
      .rst_ni,
      .flush_i(1'b0),
      .valid_i(act_i.rec_push),
      .ready_o(rec_room),
      .data_i (act_i.rec_in),
      .valid_o(rec_valid),
      .ready_i(rec_pop),
      .data_o (rec_head),
      .count_o(rec_count_o)
  );

  logic  written_q;  // a slot whose last record was written, on its way into the queue
  slot_t written_slot_q;
  logic free_room_unused, free_push;
  logic [$clog2(Slots+1)-1:0] free_count_unused;
  assign ev_valid_o = rec_valid && !written_q;
  assign ev_o = rec_head.event_;
  assign rec_pop = ev_ready_i && !written_q;
  assign free_push = act_i.free_again || written_q;
  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) written_q <= 1'b0;
    else if (ev_valid_o && ev_ready_i) written_q <= rec_head.leaves;
    else if (!act_i.free_again) written_q <= 1'b0;
  end
  always_ff @(posedge clk_i) if (ev_valid_o && ev_ready_i) written_slot_q <= slot_t'(rec_head.event_.slot);
  kv_fifo_ram #(
      .T    (slot_t),
      .Depth(Slots)
  ) u_free (
      .clk_i,
      .rst_ni,
      .flush_i(1'b0),
      .valid_i(free_push),
      .ready_o(free_room_unused),
      .data_i (act_i.free_again ? slot_i : written_slot_q),
      .valid_o(free_valid_o),
      .ready_i(free_pop_i),
      .data_o (free_head_o),
      .count_o(free_count_unused)
  );

  // An abort goes out after its descriptor has: the DMA would not know it before.
  logic abort_wait, abort_pop;
  slot_t abort_head;
  logic [$clog2(AbortDepth+1)-1:0] abort_count;
  logic abort_valid_q;
  slot_t abort_slot_q;
  kv_fifo #(
      .T    (slot_t),
      .Depth(AbortDepth)
  ) u_aborts (
      .clk_i,
      .rst_ni,
      .flush_i(1'b0),
      .valid_i(act_i.abort_push),
      .ready_o(abort_room_o),
      .data_i (slot_i),
      .valid_o(abort_wait),
      .ready_i(abort_pop),
      .data_o (abort_head),
      .count_o(abort_count)
  );
  assign abort_pop = abort_wait && !abort_valid_q && !(desc_valid_i && desc_slot_i == abort_head);
  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) abort_valid_q <= 1'b0;
    else if (abort_pop) abort_valid_q <= 1'b1;
    else if (abort_ready_i) abort_valid_q <= 1'b0;
  end
  always_ff @(posedge clk_i) if (abort_pop) abort_slot_q <= abort_head;
  assign abort_valid_o = abort_valid_q;
  assign abort_slot_o = abort_slot_q;
  // An abort under way may name any slot: none is given out again before it is gone.
  assign aborting_o = abort_count != '0 || abort_valid_q;

  `KVS_STREAM(abort_stream, abort_valid_o, abort_ready_i, abort_slot_o)
  `KVS_STREAM(log_stream, ev_valid_o, ev_ready_i, ev_o)
  `KVS_ASSERT(record_has_room, !act_i.rec_push || rec_room)

endmodule

// SPDX-License-Identifier: Apache-2.0
// event_log with flat ports, one a field, for the C++ bench. No logic.

module event_log_tb
  import kvsink_cfg_pkg::*;
  import kvsink_pkg::*;
(
    input  logic                          clk_i,
    input  logic                          rst_ni,
    input  cycle_t                        now_i,
    input  logic                          ev_valid_i,
    output logic                          ev_ready_o,
    input  logic   [                 7:0] ev_kind_i,
    input  logic   [                 7:0] ev_cause_i,
    input  logic   [                15:0] ev_owner_i,
    input  logic   [                31:0] ev_position_i,
    input  logic   [                31:0] ev_word_i,
    input  logic   [                15:0] ev_slot_i,
    output logic   [$clog2(LogRecords):0] room_o,
    input  logic                          rd_pop_i,
    output logic                          rd_valid_o,
    output logic   [               255:0] rd_record_o,
    output logic   [$clog2(LogRecords):0] level_o,
    output logic   [                31:0] last_sequence_o,
    output logic   [                31:0] last_crc_o,
    // size of this instance
    output logic   [                31:0] size_records_o
);

  log_event_t ev;
  assign ev.kind = event_e'(ev_kind_i);
  assign ev.cause = status_e'(ev_cause_i);
  assign ev.owner = ev_owner_i;
  assign ev.position = ev_position_i;
  assign ev.word = ev_word_i;
  assign ev.slot = ev_slot_i;
  assign size_records_o = LogRecords;

  event_log u_dut (
      .clk_i,
      .rst_ni,
      .now_i,
      .ev_valid_i,
      .ev_ready_o,
      .ev_i(ev),
      .room_o,
      .rd_pop_i,
      .rd_valid_o,
      .rd_record_o,
      .level_o,
      .last_sequence_o,
      .last_crc_o
  );

endmodule

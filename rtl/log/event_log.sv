// SPDX-License-Identifier: Apache-2.0
// Append-only record of every residency change, in a ring that software drains.
//
// Contract: an event is taken only when there is room for its record, and then is always written: as {sequence, time of
// acceptance, the event's fields, CRC}. Sequence numbers start with 1 and never skip. The CRC of a record is the CRC-32
// of IEEE 802.3 (reflected, 0xEDB88320) over the 28 bytes before it, continued from the CRC of the record before: the
// register starts at 0xFFFFFFFF once after reset, and each record shows its complement. So the CRC of record n is the
// CRC-32 of the bodies of all records up to n, as zlib's crc32(last CRC, 28 bytes) gives it.
// {last_sequence_o, last_crc_o} are those of the last record written, together; 0 and 0 before the first. They show a
// cut tail. room_o counts free records; nothing but rd_pop_i frees one. rd_valid_o: rd_record_o is the oldest record
// not drained, held until rd_pop_i; a pop without it does nothing. level_o counts the records written and not drained.
// One event a cycle. 2 cycles from acceptance to the ring, 2 more to rd_record_o; 2 from a pop to the next record.

`include "kvsink_assert.svh"

module event_log
  import kvsink_cfg_pkg::*;
  import kvsink_pkg::*;
#(
    localparam int unsigned CountW = $clog2(LogRecords) + 1
) (
    input logic clk_i,
    input logic rst_ni,

    input cycle_t now_i,

    input  logic                    ev_valid_i,
    output logic                    ev_ready_o,
    input  log_event_t              ev_i,
    output logic       [CountW-1:0] room_o,

    input  logic                     rd_pop_i,
    output logic                     rd_valid_o,
    output log_record_t              rd_record_o,
    output logic        [CountW-1:0] level_o,
    output logic        [      31:0] last_sequence_o,
    output logic        [      31:0] last_crc_o
);

  localparam int unsigned PtrW = $clog2(LogRecords);
  localparam int unsigned CrcW = 32;
  localparam int unsigned BodyW = $bits(log_record_t) - CrcW;
  localparam logic [CrcW-1:0] CrcPoly = 32'hEDB8_8320;

  if (LogRecords < 2 || (LogRecords & (LogRecords - 1)) != 0) begin : gen_bad_records
    $error("event_log: LogRecords %0d is not a power of two above 1", LogRecords);
  end
  if ($bits(log_record_t) != 256) begin : gen_bad_record
    $error("event_log: a record of %0d bits is not 32 bytes", $bits(log_record_t));
  end

  typedef logic [BodyW-1:0] body_t;
  typedef logic [CrcW-1:0] crc_t;

  // Which bits of the register before, and of the body, each bit of the CRC register after a body is the parity of: the
  // shift register run through a body on such sets. As parities they become trees; as a loop they stay a chain of BodyW.
  typedef struct packed {
    body_t body;
    crc_t from;
  } taps_t;
  typedef taps_t [CrcW-1:0] matrix_t;

  function automatic matrix_t crc_matrix();
    matrix_t c;
    taps_t   feedback;
    for (int unsigned j = 0; j < CrcW; j++) begin
      c[j] = '0;
      c[j].from[j] = 1'b1;
    end
    // First byte and lowest bit first.
    for (int unsigned i = 0; i < BodyW; i++) begin
      feedback = c[0];
      feedback.body[i] = !feedback.body[i];
      for (int unsigned j = 0; j + 1 < CrcW; j++) c[j] = c[j+1] ^ (CrcPoly[j] ? feedback : '0);
      c[CrcW-1] = CrcPoly[CrcW-1] ? feedback : '0;
    end
    return c;
  endfunction

  localparam matrix_t CrcMatrix = crc_matrix();

  // The CRC register after the bits of a body.
  function automatic crc_t crc_after(input crc_t from, input body_t body);
    crc_t c;
    for (int unsigned j = 0; j < CrcW; j++) c[j] = ^(CrcMatrix[j] &{body, from});
    return c;
  endfunction

  logic take, pop;
  logic [CountW-1:0] room_q;
  logic [31:0] sequence_q;  // of the next record
  body_t body;

  assign ev_ready_o = room_q != '0;
  assign room_o = room_q;
  assign take = ev_valid_i && ev_ready_o;
  assign pop = rd_pop_i && rd_valid_o;

  // log_record_t without its CRC.
  assign body = {
    16'd0,  // reserved
    ev_i.slot,
    ev_i.word,
    ev_i.position,
    ev_i.owner,
    ev_i.cause,
    ev_i.kind,
    64'(now_i),
    sequence_q
  };

  // The CRC is linear: that of a body from 0, and that of the register through a body of zeros, add up. So the wide
  // part stands outside the loop over the register.
  logic valid1_q, valid2_q;
  body_t body1_q, body2_q;
  crc_t part1_q, crc_q;

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      room_q <= CountW'(LogRecords);
      sequence_q <= 32'd1;
      valid1_q <= 1'b0;
      valid2_q <= 1'b0;
      crc_q <= '1;
    end else begin
      room_q <= room_q - CountW'(take) + CountW'(pop);
      if (take) sequence_q <= sequence_q + 32'd1;
      valid1_q <= take;
      valid2_q <= valid1_q;
      if (valid1_q) crc_q <= crc_after(crc_q, '0) ^ part1_q;
    end
  end

  always_ff @(posedge clk_i) begin
    if (take) begin
      body1_q <= body;
      part1_q <= crc_after('0, body);
    end
    if (valid1_q) body2_q <= body1_q;
  end

  // The ring.
  logic [PtrW-1:0] wr_q, rd_q;
  logic [CountW-1:0] stored_q;  // written, no read started
  logic [CountW-1:0] level_q;
  logic read, out_valid_q;
  logic [31:0] last_sequence_q, last_crc_q;
  log_record_t rdata;

  assign read = stored_q != '0 && !out_valid_q;

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      wr_q <= '0;
      rd_q <= '0;
      stored_q <= '0;
      level_q <= '0;
      out_valid_q <= 1'b0;
      last_sequence_q <= '0;
      last_crc_q <= '0;
    end else begin
      if (valid2_q) begin
        wr_q <= wr_q + PtrW'(1);
        last_sequence_q <= body2_q[31:0];
        last_crc_q <= ~crc_q;
      end
      if (read) rd_q <= rd_q + PtrW'(1);
      stored_q <= stored_q + CountW'(valid2_q) - CountW'(read);
      level_q  <= level_q + CountW'(valid2_q) - CountW'(pop);
      if (read) out_valid_q <= 1'b1;
      else if (pop) out_valid_q <= 1'b0;
    end
  end

  kv_ram_1r1w #(
      .Words(LogRecords),
      .Width($bits(log_record_t))
  ) u_ring (
      .clk_i,
      .re_i   (read),
      .raddr_i(rd_q),
      .rdata_o(rdata),
      .we_i   (valid2_q),
      .waddr_i(wr_q),
      .wdata_i({~crc_q, body2_q})
  );

  assign rd_valid_o = out_valid_q;
  assign rd_record_o = rdata;
  assign level_o = level_q;
  assign last_sequence_o = last_sequence_q;
  assign last_crc_o = last_crc_q;

  `KVS_STREAM(ev_stream, ev_valid_i, ev_ready_o, ev_i)
  `KVS_ASSERT(level_fits, level_q <= CountW'(LogRecords) - room_q)

endmodule

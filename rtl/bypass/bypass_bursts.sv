// SPDX-License-Identifier: Apache-2.0
// Joins rows that lie one behind the other, or with little but resident tokens between, into bursts, and asks the memory
// port for them.
//
// Contract: rows in, in order of delivery; what the return side has to know of each goes to its queue when the row is
// taken, the reads follow. A burst is as long as what is there allows: at most MaxBeats, within 4 KiB; rows are cut where
// a burst must end. A row that begins less than burst_cost_i beats behind the open burst, in the same 4 KiB, joins it as
// well where the gap is nothing but rows of resident tokens (row_run_i: see bypass_rows; and the row before was read, so
// that the open burst ends with it): the beats between are read and dropped (meta_o.skip), which costs less than a burst
// more. Any other gap - rows of other heads or planes, tokens not asked for, a row that is not read - is never read. Each
// gap within 4 KiB is weighed by itself, and beats + burst_cost * bursts is a sum over gaps, so no other choice costs
// less. A burst is let go when the next row does not go on from it, or none is there. A read is offered only when room
// for all its beats is reserved (credits; returned by credit_i, a beat at a time).
// issued_o counts rows all of whose reads were taken (rows without a read count with the next that has one); it holds
// for the present cycle, the read that is being taken included.
// Throughput: a row a cycle. Latency: 2 cycles from row to read.

`include "kvsink_assert.svh"

module bypass_bursts
  import kvsink_cfg_pkg::*;
  import kvsink_pkg::*;
  import bypass_pkg::*;
#(
    parameter int unsigned MaxBeats = 256
) (
    input logic clk_i,
    input logic rst_ni,

    input logic [7:0] burst_cost_i,  // of a burst, in beats; static while rows are here

    input  logic      row_valid_i,
    output logic      row_ready_o,
    input  row_meta_t row_i,
    input  logic      row_run_i,
    input  addr_t     row_addr_i,

    output logic      meta_valid_o,
    input  logic      meta_ready_i,
    output row_meta_t meta_o,

    output logic    rd_valid_o,
    input  logic    rd_ready_i,
    output rd_req_t rd_o,
    input  logic    credit_i,

    output seq_t issued_o
);

  if (MaxBeats < 1 || MaxBeats > 256 || MaxBeats > BulkBeats) begin : gen_bad_burst
    $error("bypass_bursts: MaxBeats %0d is not in 1..256, or beyond BulkBeats", MaxBeats);
  end

  localparam int unsigned PageBeatsW = 12 - BeatShift;  // beats of 4 KiB
  localparam int unsigned BeatsW = (PageBeatsW > 8) ? PageBeatsW + 1 : 9;  // a count of beats of a burst, or of 4 KiB
  localparam int unsigned CreditW = $clog2(BulkBeats + 1);
  typedef logic [BeatsW-1:0] beats_t;

  typedef struct packed {
    addr_t  addr;
    beats_t beats;
    seq_t   seq;    // rows that are all read when this burst is
  } burst_t;

  burst_t               open_q;  // being joined
  logic                 open_valid_q;
  burst_t               read_q;  // offered
  logic                 read_valid_q;
  logic   [CreditW-1:0] credits_q;
  seq_t rows_q, issued_q;
  logic read_last_q;  // the row before is read

  // ---- the piece at hand: the rest of a row that was cut, or a new row
  logic rest_valid_q;
  addr_t rest_addr_q;
  row_beats_t rest_beats_q;
  logic piece_valid;
  addr_t piece_addr;
  row_beats_t piece_beats;
  logic row_here, row_reads;
  assign row_here = row_valid_i && meta_ready_i && !rest_valid_q;
  assign row_reads = !row_i.is_end && row_i.status == StOk;
  assign piece_valid = rest_valid_q || (row_here && row_reads);
  assign piece_addr = rest_valid_q ? rest_addr_q : {row_addr_i[AddrW-1:BeatShift], BeatShift'(0)};
  assign piece_beats = rest_valid_q ? rest_beats_q : row_i.beats;

  logic joins, near, run, move, room_ahead, piece_taken, cut;
  beats_t limit, to_page, taken_beats, open_end, piece_at, gap, open_next;
  always_comb begin
    piece_at = beats_t'(piece_addr[11:BeatShift]);
    to_page = beats_t'(2 ** PageBeatsW) - piece_at;
    // From the end of the open burst, in beats of its 4 KiB.
    open_end = beats_t'(open_q.addr[11:BeatShift]) + open_q.beats;
    gap = piece_at - open_end;
    run = row_run_i && read_last_q && !rest_valid_q && 32'(gap) < 32'(burst_cost_i);
    near = piece_at >= open_end && (gap == '0 || run);
    joins = open_valid_q && piece_addr[AddrW-1:12] == open_q.addr[AddrW-1:12] && near &&
        32'(open_q.beats) + 32'(gap) < MaxBeats;
    open_next = joins ? open_q.beats + gap : '0;
    limit = beats_t'(MaxBeats) - open_next;
    if (to_page < limit) limit = to_page;
    cut = beats_t'(piece_beats) > limit;
    taken_beats = cut ? limit : beats_t'(piece_beats);
    room_ahead = (!read_valid_q || rd_ready_i) && credits_q >= CreditW'(open_q.beats);
    // The open burst goes when a piece does not join it, or when there is no piece.
    move = open_valid_q && room_ahead && !(piece_valid && joins);
    piece_taken = piece_valid && (joins || !open_valid_q || move);
  end

  // Whether a new row finds its place; not depending on meta_ready_i, because valid does not wait for ready.
  logic row_fits;
  assign row_fits = !row_reads || joins || !open_valid_q || room_ahead;
  assign row_ready_o = row_here && row_fits;
  assign meta_valid_o = row_valid_i && !rest_valid_q && row_fits;
  always_comb begin
    meta_o = row_i;
    meta_o.skip = (row_reads && joins) ? skip_t'(gap) : '0;
  end

  logic row_whole;  // the last beat of a row goes into the open burst
  assign row_whole = piece_taken && !cut;

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      open_valid_q <= 1'b0;
      read_valid_q <= 1'b0;
      rest_valid_q <= 1'b0;
      credits_q <= CreditW'(BulkBeats);
      rows_q <= '0;
      read_last_q <= 1'b0;
      issued_q <= '0;
    end else begin
      if (piece_taken) open_valid_q <= 1'b1;
      else if (move) open_valid_q <= 1'b0;
      if (move) read_valid_q <= 1'b1;
      else if (rd_ready_i) read_valid_q <= 1'b0;
      if (piece_taken) rest_valid_q <= cut;
      credits_q <= credits_q + CreditW'(credit_i) - (move ? CreditW'(open_q.beats) : '0);
      if (row_ready_o && !row_i.is_end) rows_q <= rows_q + seq_t'(1);
      if (row_ready_o) read_last_q <= row_reads;
      issued_q <= issued_o;
    end
  end
  assign issued_o = (read_valid_q && rd_ready_i) ? read_q.seq : issued_q;

  always_ff @(posedge clk_i) begin
    if (piece_taken) begin
      if (!joins) open_q.addr <= piece_addr;
      open_q.beats <= open_next + taken_beats;
      // rows_q counts this row already when the piece is the rest of one.
      open_q.seq <= rows_q + ((row_whole && !rest_valid_q) ? seq_t'(1) : seq_t'(0)) -
          ((!row_whole && rest_valid_q) ? seq_t'(1) : seq_t'(0));
      rest_addr_q <= piece_addr + (addr_t'(taken_beats) << BeatShift);
      rest_beats_q <= piece_beats - row_beats_t'(taken_beats);
    end
    if (move) read_q <= open_q;
  end

  assign rd_valid_o = read_valid_q;
  assign rd_o = '{addr: read_q.addr, len: axi_len_t'(read_q.beats - beats_t'(1))};

  `KVS_STREAM(rd, rd_valid_o, rd_ready_i, rd_o)
  `KVS_ASSERT(room_reserved, credits_q <= CreditW'(BulkBeats))
  `KVS_ASSERT(within_4k, !rd_valid_o || 32'(rd_o.addr[11:0]) + ((32'(rd_o.len) + 32'd1) << BeatShift) <= 32'd4096)

endmodule

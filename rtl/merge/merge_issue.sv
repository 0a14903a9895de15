// SPDX-License-Identifier: Apache-2.0
// Frames the partial stream: takes beats, hands them to the datapath, one a cycle, and brings any stream, well formed or
// not, into the one form that the datapath knows: merges of 1 to 64 partials of equally many beats.
//
// Contract: beat_o (registered) is followed unconditionally; beats that will leave as output are only issued when the
// output queue has a place (`slots`), which take_i gives back. Beats of one index, so first beats too, are HeaderGap
// cycles apart at least: that long an accumulator is under way.
// A merge takes base, format, beat count and id from its first partial. Each of these raises error_o for a cycle:
//   - a partial that ends early (the next `first` comes): its missing beats count as zeros
//   - another beat count than the merge's first partial: missing beats count as zeros, beats too many are dropped
//   - more beats than MaxBeats: the beats beyond it are dropped
//   - a beat without `first` where a partial must begin: dropped
//   - another base or format than the merge's first partial, or an unknown format: taken as the merge's (as fp32)
//   - a 64th partial without last_partial: it ends the merge
//   MaxBeats  beats of a partial, a power of two, 2 to 256
//   OutSlots  places of the output queue

module merge_issue
  import kvsink_pkg::*;
  import merge_pkg::*;
#(
    parameter  int unsigned MaxBeats = 256,
    parameter  int unsigned OutSlots = 32,
    localparam int unsigned IndexW   = $clog2(MaxBeats)
) (
    input  logic                  clk_i,
    input  logic                  rst_ni,
    input  logic                  valid_i,
    output logic                  ready_o,
    input  partial_t              partial_i,
    input  logic                  take_i,
    output logic                  beat_valid_o,
    output step_t                 beat_o,
    output logic     [IndexW-1:0] index_o,
    output header_t               header_o,
    output logic                  store_o,       // the beat's data must be kept, in the cycle in which it is taken
    output logic                  error_o
);

  if (MaxBeats < 2 || MaxBeats > 256 || (MaxBeats & (MaxBeats - 1)) != 0) begin : gen_bad_beats
    $error("merge_issue: MaxBeats %0d is no power of two in 2..256", MaxBeats);
  end

  localparam int unsigned SlotW = $clog2(OutSlots + 1);
  localparam int unsigned CountW = $clog2(MaxPartials);
  typedef logic [8:0] beats_t;  // 1 to 256

  // ---- state
  logic open_q;  // a merge has begun and needs more partials
  logic busy_q;  // a partial has begun
  logic last_q;  // ... and is its merge's last one
  logic short_q;  // ... and has no more beats to come
  beats_t length_q;  // beats of the merge's partials
  logic [7:0] beats_q;  // as its first partial said
  beats_t issued_q, left_q;  // of this partial: beats issued, beats still to come
  logic [CountW-1:0] count_q;  // partials of the merge before this one
  logic base2_q;
  fmt_e fmt_q;
  logic [15:0] id_q;
  logic [HeaderGap-1:1] recent_q;  // a beat was issued that many cycles ago
  logic [IndexW-1:0] recent_index_q[HeaderGap-1:1];
  logic [SlotW-1:0] slots_q;

  // ---- what happens in this cycle
  logic slot, free, begins, last, issue, pad, drop, cut, finished, mixed;
  beats_t said, length, issued_d, left_d;
  logic [IndexW-1:0] index;
  fmt_e fmt_in;

  assign said  = {1'b0, partial_i.beats} + 9'd1;
  assign index = busy_q ? issued_q[IndexW-1:0] : '0;
  assign slot  = slots_q != '0 || !last;

  always_comb begin
    free = 1'b1;
    for (int unsigned i = 1; i < HeaderGap; i++) begin
      if (recent_q[i] && recent_index_q[i] == index) free = 1'b0;
    end
  end

  assign fmt_in = (partial_i.fmt == FmtFp16 || partial_i.fmt == FmtBf16) ? partial_i.fmt : FmtFp32;
  assign last = busy_q ? last_q : (partial_i.last_partial || count_q == CountW'(MaxPartials - 1));
  assign length = (busy_q || open_q) ? length_q : (said > 9'(MaxBeats)) ? 9'(MaxBeats) : said;
  assign mixed = partial_i.fmt != fmt_in || said > 9'(MaxBeats) ||
      (open_q && (partial_i.base2 != base2_q || fmt_in != fmt_q || partial_i.beats != beats_q));

  always_comb begin
    begins = 1'b0;
    issue = 1'b0;
    pad = 1'b0;
    drop = 1'b0;
    cut = 1'b0;
    if (!busy_q) begin
      if (valid_i) begin
        if (!partial_i.first) drop = 1'b1;
        else if (free && slot) begin
          begins = 1'b1;
          issue  = 1'b1;
        end
      end
    end else begin
      if (valid_i && partial_i.first && left_q != '0 && !short_q) cut = 1'b1;
      if (issued_q == length_q) begin
        // Only beats too many are left.
        if (valid_i && !partial_i.first) drop = 1'b1;
      end else if (free && slot) begin
        if (short_q || left_q == '0 || cut) begin
          issue = 1'b1;
          pad   = 1'b1;
        end else if (valid_i) begin
          issue = 1'b1;
        end
      end
    end
  end

  assign ready_o  = drop || (issue && !pad);
  assign store_o  = issue && !pad;
  assign issued_d = begins ? 9'd1 : issued_q + 9'(issue);
  always_comb begin
    left_d = left_q;
    if (begins) left_d = said - 9'd1;
    else if (busy_q && ready_o) left_d = left_q - 9'd1;
  end
  assign finished = (busy_q || begins) && issued_d == length && (left_d == '0 || (!begins && (short_q || cut)));

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      open_q   <= 1'b0;
      busy_q   <= 1'b0;
      short_q  <= 1'b0;
      count_q  <= '0;
      recent_q <= '0;
      slots_q  <= SlotW'(OutSlots);
      error_o  <= 1'b0;
    end else begin
      slots_q  <= slots_q + SlotW'(take_i) - SlotW'(issue && last);
      recent_q <= {recent_q[HeaderGap-2:1], issue};
      if (finished) begin
        busy_q  <= 1'b0;
        short_q <= 1'b0;
        open_q  <= !last;
        count_q <= last ? '0 : count_q + CountW'(1);
      end else begin
        if (begins) busy_q <= 1'b1;
        if (cut) short_q <= 1'b1;
      end
      error_o <= (drop && !busy_q) || cut ||
          (begins && (mixed || (!partial_i.last_partial && count_q == CountW'(MaxPartials - 1))));
    end
  end

  always_ff @(posedge clk_i) begin
    issued_q <= issued_d;
    left_q   <= left_d;
    if (begins) begin
      last_q <= last;
      if (!open_q) begin
        length_q <= length;
        beats_q <= partial_i.beats;
        base2_q <= partial_i.base2;
        fmt_q <= fmt_in;
        id_q <= partial_i.id;
      end
    end
  end

  always_ff @(posedge clk_i) begin
    recent_index_q[1] <= index;
    for (int unsigned i = 2; i < HeaderGap; i++) recent_index_q[i] <= recent_index_q[i-1];
  end

  // ---- to the datapath
  logic opens;
  assign opens = begins && !open_q;

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) beat_valid_o <= 1'b0;
    else beat_valid_o <= issue;
  end
  always_ff @(posedge clk_i) begin
    beat_o.first <= begins;
    beat_o.last_partial <= last;
    beat_o.last <= issued_d == length;
    beat_o.pad <= pad;
    beat_o.fmt <= opens ? fmt_in : fmt_q;
    index_o <= index;
    header_o.merge_first <= !open_q;
    header_o.last_partial <= last;
    header_o.is_sink <= partial_i.is_sink;
    header_o.base2 <= opens ? partial_i.base2 : base2_q;
    header_o.id <= opens ? partial_i.id : id_q;
    header_o.lse <= partial_i.lse;
  end

  `include "kvsink_assert.svh"
  `KVS_ASSERT(slots_in_range, slots_q <= SlotW'(OutSlots))

  logic unused;
  assign unused = ^{partial_i.data, issued_q};

endmodule

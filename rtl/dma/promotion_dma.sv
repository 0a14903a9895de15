// SPDX-License-Identifier: Apache-2.0
// Promotion DMA: gathers the rows of one token into its slot, layer by layer.
//
// Contract. A descriptor is taken into one of four places. Each tier has a channel (tiers beyond the last share that one),
// and each channel works on one descriptor after the other: the waiting one with the earliest deadline starts next (none
// counts as the latest; ties by age). Channels take turns row by row, and one that is at a limit of its own is passed over,
// so a slow tier never holds up a fast one.
//   Pieces     Rows of a layer are read plane by plane, heads ascending; where the planes of a head lie behind each other
//              (fused), head by head. Heads whose rows lie behind each other make one piece. A piece becomes the longest
//              legal bursts: within 4 KiB, at most 256 beats, whole beats.
//   Limits     At most limit_i bursts of a channel are in flight (0: Reads, which is the most there is; more only where one
//              piece has more bursts), and no piece is begun while Beats beats of the channel or more are.
//   Return     Beats of a channel come back in the order of its reads, between channels in any order. Nothing is kept per
//              read: the return side walks the slot in the order in which the rows were asked for, and a descriptor is
//              complete when as many beats came back as its channel had asked for at its last read.
//   Progress   Sent when the last beat of a layer has been written, later than wr_valid_o by a cycle or more; layers that
//              complete while one waits are joined. The last layer has no progress of its own: the end says it. The
//              watermark of a slot falls with its end, never after a progress that belongs to it.
//   Failure    Retire (all places of the range, a descriptor that waits at the input too) and abort (by slot) take effect
//              in their cycle: no read is presented and no beat is written after it. A read that was presented before
//              stays, as the handshake asks, and its beats are dropped. mem_lost_i says for each channel that none of the
//              reads taken before this cycle will be answered any more: their descriptors end with StTimeout.
//   End        Every descriptor ends once, after its last beat in flight: StOk, StDeadline (complete, late), StBusError,
//              StTimeout, StAborted, StBadProfile (profile not valid or empty). An abort that names no descriptor here,
//              or one that is complete, does nothing.
//
//   desc -> [4 places] -> [piece iterator a channel] -> kv_addr -> burst split -> rd (AR)
//     |         |  '-- order of started descriptors, a channel (queue) --.
//     '- idle --'------------- end <------ [return side: walk the slot, write] <- mem (R)
//
// layout_i and profiles_i are static while descriptors use them, and from 16 cycles before.
// Latency: a descriptor taken in cycle t by an idle channel shows its first read in t+3 (on AR in t+4). Throughput: a
// burst a cycle, a beat a cycle, no gap between descriptors.
//   Channels  tiers told apart, 1 to 8
//   Reads     bursts in flight a channel, 4 to 256
//   Beats     beats in flight a channel from which on no piece is begun: the bandwidth-delay product and a burst

`include "kvsink_assert.svh"

module promotion_dma
  import kvsink_cfg_pkg::*;
  import kvsink_pkg::*;
#(
    parameter int unsigned Channels = PromoChannels,
    parameter int unsigned Reads = RowReads,
    parameter int unsigned Beats = BulkBeats,
    localparam int unsigned ChanW = (Channels > 1) ? $clog2(Channels) : 1
) (
    input logic clk_i,
    input logic rst_ni,

    input cycle_t                                 now_i,
    input layout_cfg_t                            layout_i,
    input profile_cfg_t [      Profiles-1:0]      profiles_i,
    input logic         [      Channels-1:0][8:0] limit_i,       // bursts in flight at most, by channel; 0: Reads
    // Base table writes, for the address pipeline: {layer, tensor}.
    input logic                                   base_we_i,
    input logic         [$clog2(Layers)+1:0]      base_waddr_i,
    input addr_t                                  base_wdata_i,

    input  logic      desc_valid_i,
    output logic      desc_ready_o,
    input  dma_desc_t desc_i,

    input  logic    abort_valid_i,
    output logic    abort_ready_o,
    input  slot_t   abort_slot_i,
    input  retire_t retire_i,

    output logic                   rd_valid_o,
    input  logic                   rd_ready_i,
    output rd_req_t                rd_o,
    output logic    [   ChanW-1:0] rd_chan_o,
    input  logic                   mem_valid_i,
    input  rd_rsp_t                mem_i,
    input  logic    [   ChanW-1:0] mem_chan_i,
    input  logic    [Channels-1:0] mem_lost_i,

    output logic        wr_valid_o,
    output sram_write_t wr_o,

    output logic          progress_valid_o,
    input  logic          progress_ready_i,
    output dma_progress_t progress_o,
    output logic          end_valid_o,
    input  logic          end_ready_i,
    output dma_end_t      end_o
);

  localparam int unsigned Places = 4;
  localparam int unsigned PlaceW = $clog2(Places);
  localparam int unsigned HeadCountW = $clog2(KvHeads + 1);
  localparam int unsigned PageBeatsW = 12 - BeatShift;
  localparam int unsigned BurstMax = 256;
  localparam int unsigned BoundW = (PageBeatsW > 8) ? 8 : PageBeatsW;  // bursts end where these bits wrap
  localparam int unsigned PieceMax = KvHeads * Planes * RowBeatsMax;
  localparam int unsigned PieceW = $clog2(PieceMax + 1);
  localparam int unsigned SlotBeatsW = $clog2(SramBeats) + 1;
  localparam int unsigned LayerBeatsW = (PieceW < SlotBeatsW) ? PieceW : SlotBeatsW;
  localparam int unsigned UnitW = $clog2(Planes * RowBeatsMax + 1);
  localparam int unsigned ReadsW = $clog2(2 * Reads + 1);
  localparam int unsigned BeatsW = $clog2(Beats + 2 * PieceMax + 1);
  localparam int unsigned StallW = 20;

  typedef logic [PlaceW-1:0] place_t;
  typedef logic [Places-1:0] places_t;  // one bit a place
  typedef logic [ChanW-1:0] chan_t;
  typedef logic [SlotBeatsW-1:0] slot_beats_t;
  typedef logic [LayerBeatsW-1:0] layer_beats_t;
  typedef logic [PieceW-1:0] piece_t;  // beats of a piece
  typedef logic [UnitW-1:0] unit_t;  // beats of a head's part of a piece
  typedef logic [HeadCountW-1:0] head_count_t;
  typedef logic [ReadsW-1:0] reads_t;
  typedef logic [BeatsW-1:0] beats_t;
  typedef logic [StallW-1:0] stall_t;

  typedef enum logic [2:0] {
    PlFree,
    PlWait,  // taken, not started
    PlOn,    // its pieces are being issued
    PlFly,   // every read is taken, beats may be in flight
    PlFin    // no beat is in flight, its end is not yet taken
  } place_e;

  if (Channels < 1 || Channels > 8) begin : gen_bad_channels
    $error("promotion_dma: Channels %0d is not in 1..8", Channels);
  end
  if (Reads < 4 || Reads > 256) begin : gen_bad_reads
    $error("promotion_dma: Reads %0d is not in 4..256", Reads);
  end
  if (RowBytes % BeatBytes != 0 || RowBytes > 4096) begin : gen_bad_row
    $error("promotion_dma: RowBytes %0d is no whole number of beats or above 4096", RowBytes);
  end

  // ------------------------------------------------------------------------------- what lies behind what, from the layout
  logic [Planes-1:0] heads_join;
  logic [Profiles-1:0] fused, fused_join, bad_profile;
  dma_layout #(
      .HeadBeatsW(UnitW)
  ) u_layout (
      .clk_i,
      .layout_i,
      .profiles_i,
      .heads_join_o(heads_join),
      .fused_o     (fused),
      .fused_join_o(fused_join)
  );
  always_comb begin
    for (int unsigned f = 0; f < Profiles; f++) begin
      bad_profile[f] = !profiles_i[f].valid || profiles_i[f].layer_count == '0 || profiles_i[f].head_mask == '0 ||
          profiles_i[f].plane_mask == '0;
    end
  end

  function automatic plane_t first_plane(input plane_mask_t mask);
    plane_t first;
    first = '0;
    for (int unsigned p = Planes; p > 0; p--) if (mask[p-1]) first = plane_t'(p - 1);
    return first;
  endfunction

  // The most bursts that so many beats can become: one more than the boundaries in their length, and one.
  function automatic reads_t need(input logic [PieceW-1:0] beats);
    logic [PieceW:0] n;
    n = (PieceW + 1)'((beats - PieceW'(1)) >> BoundW) + (PieceW + 1)'((PageBeatsW > BoundW) ? 3 : 2);
    return (32'(n) > Reads) ? reads_t'(Reads) : reads_t'(n);
  endfunction

  // ---------------------------------------------------------------------------------------------------------- places
  place_e [Places-1:0] state_q, state_d;
  logic [Places-1:0] fail_q, fail_d;  // nothing more is read or written for it
  status_e [Places-1:0] status_q, status_d;
  dma_desc_t [Places-1:0]       desc_q;
  chan_t     [Places-1:0]       chan_q;
  logic      [Places-1:0][31:0] start_q;  // time of acceptance
  logic [Places-1:0] started_q, started_d;  // has reads that were taken and not lost
  beats_t [Places-1:0] end_beat_q;  // beats of its channel asked for when its last read was taken
  slot_beats_t [Places-1:0] count_q;  // beats received
  stall_t [Places-1:0] stall_ar_q, stall_ar_d, stall_r_q, stall_r_d;
  // [i][j]: i goes, or went, ahead of j, where both have the same channel.
  logic   [Places-1:0][Places-1:0] ahead_q;

  logic                            take;
  place_t                          take_place;
  logic   [Places-1:0]             free;
  logic                            no_free;

  for (genvar i = 0; i < Places; i++) begin : gen_free
    assign free[i] = state_q[i] == PlFree;
  end
  kv_lowest #(
      .Width(Places)
  ) u_free (
      .bits_i (free),
      .none_o (no_free),
      .index_o(take_place)
  );
  assign desc_ready_o = !no_free;
  assign take = desc_valid_i && desc_ready_o;

  function automatic chan_t chan_of(input logic [2:0] tier);
    return (32'(tier) < Channels) ? chan_t'(tier) : chan_t'(Channels - 1);
  endfunction
  chan_t take_chan;
  assign take_chan = chan_of(desc_i.tier);

  function automatic logic in_range(input retire_t r, input owner_t owner, input pos_t position);
    return r.valid && (r.all || (r.owner == owner && r.first <= position && position <= r.last));
  endfunction

  // A retire while a descriptor waits at the input makes that one stale.
  logic input_retired, input_stale_q, take_bad, take_stale;
  assign input_retired = in_range(retire_i, desc_i.owner, desc_i.position);
  assign take_stale = input_retired || input_stale_q;
  assign take_bad = bad_profile[desc_i.profile];
  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) input_stale_q <= 1'b0;
    else input_stale_q <= desc_valid_i && !desc_ready_o && (input_stale_q || input_retired);
  end

  assign abort_ready_o = 1'b1;
  places_t kill;
  for (genvar i = 0; i < Places; i++) begin : gen_kill
    assign kill[i] = (state_q[i] == PlWait || state_q[i] == PlOn || state_q[i] == PlFly) && (in_range(
        retire_i, desc_q[i].owner, desc_q[i].position
    ) || (abort_valid_i && abort_slot_i == desc_q[i].slot));
  end

  // Order within a channel: the new one goes ahead of those that wait on with a later deadline, behind all others.
  places_t waits, goes_ahead;
  logic   start;
  place_t pick_place;
  always_comb begin
    for (int unsigned i = 0; i < Places; i++) begin
      waits[i] = state_q[i] == PlWait && !fail_q[i];
      goes_ahead[i] = waits[i] && !(start && pick_place == place_t'(i)) && desc_i.deadline != '0 &&
          (desc_q[i].deadline == '0 || desc_i.deadline < desc_q[i].deadline);
    end
  end

  // -------------------------------------------------------------------------------------------------- piece iterators
  // State: where the next piece is looked for. A failed descriptor ends with one more piece that is not read: it closes the
  // descriptor behind its pieces in the address pipeline.
  typedef struct packed {
    place_t   place;
    layer_t   layer;  // of its profile, from 0
    plane_t   plane;
    kv_head_t head;
  } walk_t;
  logic [Channels-1:0] it_valid_q, send_ok;
  walk_t  [Channels-1:0] it_q;
  reads_t [Channels-1:0] it_need_q;  // bursts that a piece of it may become

  // The next to start: of those whose channel has none, the first place that no other goes ahead of. One a cycle.
  places_t pick, chan_waits;
  logic pick_none;
  always_comb begin
    chan_waits = '0;
    for (int unsigned i = 0; i < Places; i++) begin
      chan_waits[i] = waits[i] && chan_q[i] == take_chan;
      pick[i] = waits[i] && !it_valid_q[chan_q[i]];
      for (int unsigned j = 0; j < Places; j++) begin
        if (j != i && waits[j] && chan_q[j] == chan_q[i] && ahead_q[j][i]) pick[i] = 1'b0;
      end
    end
  end
  kv_lowest #(
      .Width(Places)
  ) u_pick (
      .bits_i (pick),
      .none_o (pick_none),
      .index_o(pick_place)
  );

  // Whose turn: a descriptor taken by an idle channel goes at once, otherwise channels take turns.
  logic direct, send, send_ready, it_last;
  chan_t last_chan_q, send_chan;
  walk_t src, src_next;
  logic [Channels-1:0] it_asks, turn_later, idle;
  logic turn_none, later_none;
  logic [ChanW-1:0] turn_any, turn_next;
  always_comb begin
    turn_later = '0;
    for (int unsigned c = 0; c < Channels; c++) begin
      it_asks[c] = it_valid_q[c] && (send_ok[c] || fail_q[it_q[c].place]);
      turn_later[c] = it_asks[c] && chan_t'(c) > last_chan_q;
    end
  end
  if (Channels > 1) begin : gen_turn
    kv_lowest #(
        .Width(Channels)
    ) u_any (
        .bits_i (it_asks),
        .none_o (turn_none),
        .index_o(turn_any)
    );
    kv_lowest #(
        .Width(Channels)
    ) u_later (
        .bits_i (turn_later),
        .none_o (later_none),
        .index_o(turn_next)
    );
  end else begin : gen_no_turn
    assign turn_none  = !it_asks[0];
    assign later_none = 1'b1;
    assign turn_any   = '0;
    assign turn_next  = '0;
  end

  assign direct = take && !take_bad && !input_stale_q && turn_none && !it_valid_q[take_chan] && chan_waits == '0 &&
      idle[take_chan] && send_ready;
  assign send_chan = direct ? take_chan : (later_none ? turn_any : turn_next);
  assign send = direct || !turn_none;
  always_comb begin
    src = it_q[send_chan];
    if (direct) src = '0;
    if (direct) src.place = take_place;
  end

  // The next piece of src: from its head and plane on, the first that the profile has.
  profile_cfg_t src_profile;
  logic src_fused, src_join, src_fail, pass_ends, planes_end, plane_last;
  profile_t src_profile_idx;
  plane_t   piece_plane;
  kv_head_t piece_head;
  head_count_t run_end, run_heads, piece_end;
  unit_t piece_unit;
  piece_t piece_beats;
  plane_mask_t planes_left;
  head_mask_t heads_left;
  logic [KvHeads:0] gaps;
  logic head_none_unused, gap_none_unused;
  assign src_profile_idx = direct ? desc_i.profile : desc_q[src.place].profile;
  assign src_profile = profiles_i[src_profile_idx];
  assign src_fused = fused[src_profile_idx];
  assign src_fail = !direct && fail_q[src.place];
  assign planes_left = src_profile.plane_mask & (plane_mask_t'('1) << src.plane);
  assign piece_plane = first_plane(planes_left);
  assign plane_last = src_fused || (planes_left & (planes_left - plane_mask_t'(1))) == '0;
  assign src_join = src_fused ? fused_join[src_profile_idx] : heads_join[piece_plane];
  assign piece_unit = src_fused ? unit_t'(src_profile.head_beats) : unit_t'(layout_i.plane[piece_plane].row_beats);
  assign heads_left = src_profile.head_mask & (head_mask_t'('1) << src.head);
  kv_lowest #(
      .Width(KvHeads)
  ) u_head (
      .bits_i (heads_left),
      .none_o (head_none_unused),
      .index_o(piece_head)
  );
  assign gaps = {1'b1, ~src_profile.head_mask & (head_mask_t'('1) << piece_head)};
  kv_lowest #(
      .Width(KvHeads + 1)
  ) u_run (
      .bits_i (gaps),
      .none_o (gap_none_unused),
      .index_o(run_end)
  );
  assign piece_end = src_join ? run_end : head_count_t'(piece_head) + head_count_t'(1);
  assign run_heads = run_end - head_count_t'(piece_head);
  assign piece_beats = src_join ? piece_t'(piece_unit) * piece_t'(run_heads) : piece_t'(piece_unit);
  assign pass_ends = (src_profile.head_mask >> piece_end) == '0;
  assign planes_end = pass_ends && plane_last;
  assign it_last = src_fail || (planes_end && layers_t'(src.layer) + layers_t'(1) == src_profile.layer_count);
  always_comb begin
    src_next = src;
    src_next.head = pass_ends ? '0 : kv_head_t'(piece_end);
    if (pass_ends) src_next.plane = plane_last ? '0 : piece_plane + plane_t'(1);
    if (planes_end) src_next.layer = src.layer + layer_t'(1);
  end

  // No piece becomes more bursts than the beats of a layer may.
  layer_beats_t start_beats;
  assign start = !pick_none && !direct;
  assign start_beats = layer_beats_t'(profiles_i[direct?desc_i.profile : desc_q[pick_place].profile].layer_beats);
  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      it_valid_q  <= '0;
      last_chan_q <= '0;
    end else begin
      if (start) it_valid_q[chan_q[pick_place]] <= 1'b1;
      if (send && send_ready) begin
        it_valid_q[send_chan] <= !it_last;
        last_chan_q <= send_chan;
      end
    end
  end
  always_ff @(posedge clk_i) begin
    for (int unsigned c = 0; c < Channels; c++) begin
      if (!it_valid_q[c]) it_need_q[c] <= need(PieceW'(start_beats));
      if (send && send_chan == chan_t'(c)) begin
        if (send_ready) it_q[c] <= src_next;
      end else if (!it_valid_q[c]) begin
        it_q[c] <= '0;
        it_q[c].place <= pick_place;
      end
    end
  end

  // ------------------------------------------------------------------------------------------------------- addresses
  typedef struct packed {
    place_t place;
    piece_t beats;
    logic   last;   // last piece of its descriptor
    logic   none;   // closes a failed descriptor: nothing is read
  } row_t;
  logic row_valid, row_ready;
  addr_t row_addr;
  row_t it_row, row;
  word_t src_word, it_block;
  page_token_t src_token, it_token;
  chan_t row_chan;
  assign it_row = '{place: src.place, beats: src_fail ? '0 : piece_beats, last: it_last, none: src_fail};
  assign src_word = direct ? desc_i.word : desc_q[src.place].word;
  assign it_block = src_word & ~(word_t'('1) << layout_i.block_bits);
  assign src_token = direct ? page_token_t'(desc_i.position) : page_token_t'(desc_q[src.place].position);
  assign it_token = src_token & ~(page_token_t'('1) << layout_i.page_log2);
  assign row_chan = chan_q[row.place];

  kv_addr #(
      .U(row_t)
  ) u_addr (
      .clk_i,
      .rst_ni,
      .layout_i,
      .base_we_i,
      .base_waddr_i,
      .base_wdata_i,
      .valid_i(send),
      .ready_o(send_ready),
      .layer_i(layer_t'(src_profile.layer_first + src.layer)),
      .head_i (piece_head),
      .plane_i(piece_plane),
      .block_i(it_block),
      .token_i(it_token),
      .user_i (it_row),
      .valid_o(row_valid),
      .ready_i(row_ready),
      .addr_o (row_addr),
      .user_o (row)
  );

  // --------------------------------------------------------------------------------------------- bursts and reads
  // From registers through the split alone, so that the first read is there in time.
  logic rest_q, held_q;  // a part of the piece is out; a read waits
  logic [AddrW-1:BeatShift] rest_addr, rest_addr_q, burst_addr;
  piece_t rest_beats_q, piece_left, burst_beats;
  logic [PageBeatsW:0] to_page;
  logic row_drop, row_done, rd_taken;
  // Where a page has no more beats than a burst may have, what is left begins with a page.
  assign rest_addr = (PageBeatsW > BoundW) ? burst_addr + (AddrW - BeatShift)'(burst_beats) :
      {burst_addr[AddrW-1:12] + (AddrW - 12)'(1), PageBeatsW'(0)};
  assign burst_addr = rest_q ? rest_addr_q : row_addr[AddrW-1:BeatShift];
  assign piece_left = rest_q ? rest_beats_q : row.beats;
  assign to_page = {1'b1, {PageBeatsW{1'b0}}} - {1'b0, burst_addr[11:BeatShift]};
  always_comb begin
    burst_beats = piece_left;
    if (32'(to_page) < 32'(burst_beats)) burst_beats = piece_t'(to_page);
    if (32'(burst_beats) > BurstMax) burst_beats = piece_t'(BurstMax);
  end
  assign row_drop = row.none || (fail_q[row.place] && !held_q);
  assign rd_valid_o = row_valid && !row_drop;
  assign rd_o = '{addr: {burst_addr, BeatShift'(0)}, len: axi_len_t'(burst_beats - piece_t'(1))};
  assign rd_chan_o = row_chan;
  assign rd_taken = rd_valid_o && rd_ready_i;
  assign row_ready = row_drop || (rd_ready_i && burst_beats == piece_left);
  assign row_done = row_valid && row_ready;

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      rest_q <= 1'b0;
      held_q <= 1'b0;
    end else begin
      held_q <= rd_valid_o && !rd_ready_i;
      if (row_done) rest_q <= 1'b0;
      else if (rd_taken) rest_q <= 1'b1;
    end
  end
  always_ff @(posedge clk_i) begin
    if (rd_taken) begin
      rest_addr_q  <= rest_addr;
      rest_beats_q <= piece_left - burst_beats;
    end
  end

  // ------------------------------------------------------------- limits: what is on its way to a read, what is in flight
  reads_t [Channels-1:0] kept_reads_q, out_reads_q;
  beats_t [Channels-1:0] kept_beats_q, asked_q, asked_d, back_q, back_d;  // asked, back: beats since reset, modulo
  for (genvar c = 0; c < Channels; c++) begin : gen_limit
    logic enter, leave, issue, back;
    reads_t reads, limit, limit_q;
    beats_t beats;
    assign enter = send && send_ready && send_chan == chan_t'(c);
    assign leave = row_done && row_chan == chan_t'(c);
    assign issue = rd_taken && row_chan == chan_t'(c);
    assign back = mem_valid_i && mem_chan_i == chan_t'(c);
    assign asked_d[c] = asked_q[c] + (issue ? beats_t'(burst_beats) : '0);
    assign back_d[c] = mem_lost_i[c] ? asked_q[c] : back_q[c] + beats_t'(back);
    always_ff @(posedge clk_i or negedge rst_ni) begin
      if (!rst_ni) begin
        kept_reads_q[c] <= '0;
        kept_beats_q[c] <= '0;
        out_reads_q[c] <= '0;
        asked_q[c] <= '0;
        back_q[c] <= '0;
      end else begin
        kept_reads_q[c] <= kept_reads_q[c] + (enter && !src_fail ? need(
            piece_beats
        ) : '0) - (leave && !row.none ? need(
            row.beats
        ) : '0);
        kept_beats_q[c] <= kept_beats_q[c] + (enter ? beats_t'(it_row.beats) : '0) - (leave ? beats_t'(row.beats) : '0);
        out_reads_q[c] <= (mem_lost_i[c] ? '0 : out_reads_q[c] - reads_t'(back && mem_i.last)) + reads_t'(issue);
        asked_q[c] <= asked_d[c];
        back_q[c] <= back_d[c];
      end
    end
    assign limit = (limit_i[c] == '0 || 32'(limit_i[c]) > Reads) ? reads_t'(Reads) : reads_t'(limit_i[c]);
    always_ff @(posedge clk_i) limit_q <= limit;
    // The parts of a piece that are out count twice until the piece has left, which is a cycle for most.
    assign reads = kept_reads_q[c] + out_reads_q[c];
    assign beats = kept_beats_q[c] + (asked_q[c] - back_q[c]);
    assign idle[c] = reads == '0;
    assign send_ok[c] = (reads + it_need_q[c] <= limit_q || idle[c]) && 32'(beats) < Beats;
  end

  // ------------------------------------------------------------------------------------------------------ return side
  // A beat belongs to the descriptor that its channel started first. What is lost is started no more.
  places_t at_head, beat_place;
  logic beat, beat_failed;
  always_comb begin
    for (int unsigned i = 0; i < Places; i++) begin
      at_head[i] = started_q[i];
      for (int unsigned j = 0; j < Places; j++) begin
        if (j != i && started_q[j] && chan_q[j] == chan_q[i] && ahead_q[j][i]) at_head[i] = 1'b0;
      end
      beat_place[i] = mem_valid_i && at_head[i] && chan_q[i] == mem_chan_i;
    end
    beat = beat_place != '0;
  end

  // Its last beat is back, that of this cycle included.
  places_t pop;
  logic [Channels-1:0] chan_pop;
  always_comb begin
    chan_pop = '0;
    for (int unsigned i = 0; i < Places; i++) begin
      pop[i] = started_q[i] && state_q[i] == PlFly && end_beat_q[i] == back_q[chan_q[i]] + beats_t'(beat_place[i]);
      if (pop[i]) chan_pop[chan_q[i]] = 1'b1;
    end
  end

  // Where the beats of each channel go, from the first beat of a descriptor on.
  typedef struct packed {
    sram_addr_t   dest;
    layer_beats_t head_off;  // of the present head in its layer
    unit_t        beat;      // in the part of the present head
    plane_t       plane;     // looked for from here on
    layer_t       layers;    // complete
  } back_t;
  back_t [Channels-1:0] walk_q;
  logic  [Channels-1:0] at_start_q;

  logic write, layer_end, last_layer, unit_end, head_last, beat_plane_last;
  profile_t beat_profile_idx;
  profile_cfg_t beat_profile;
  sram_addr_t beat_base, hop;
  cycle_t beat_deadline;
  slot_beats_t beat_count;
  logic beat_fused;
  unit_t beat_unit, beat_head;
  layer_beats_t beat_layer, next_off;
  plane_mask_t beat_planes;
  plane_t beat_plane;
  back_t now, next;
  always_comb begin
    beat_profile_idx = '0;
    beat_base = '0;
    beat_deadline = '0;
    beat_count = '0;
    beat_failed = 1'b0;
    for (int unsigned i = 0; i < Places; i++) begin
      if (beat_place[i]) begin
        beat_profile_idx |= desc_q[i].profile;
        beat_base |= desc_q[i].sram_base;
        beat_deadline |= desc_q[i].deadline;
        beat_count |= count_q[i];
        beat_failed |= fail_d[i];
      end
    end
  end
  assign beat_profile = profiles_i[beat_profile_idx];
  assign beat_fused = fused[beat_profile_idx];
  assign beat_head = unit_t'(beat_profile.head_beats);
  assign beat_layer = layer_beats_t'(beat_profile.layer_beats);
  assign write = beat && !beat_failed;
  always_comb begin
    now = walk_q[mem_chan_i];
    if (at_start_q[mem_chan_i]) begin
      now = '0;
      now.dest = beat_base;
    end
    beat_planes = beat_profile.plane_mask & (plane_mask_t'('1) << now.plane);
    beat_plane = first_plane(beat_planes);
    beat_plane_last = beat_fused || (beat_planes & (beat_planes - plane_mask_t'(1))) == '0;
    beat_unit = beat_fused ? beat_head : unit_t'(layout_i.plane[beat_plane].row_beats);
    unit_end = now.beat + unit_t'(1) == beat_unit;
    next_off = now.head_off + layer_beats_t'(beat_head);
    head_last = next_off == beat_layer;
    layer_end = write && unit_end && head_last && beat_plane_last;
    // To the part of the next head, or to the next plane of the first head, which begins where this one's part did end.
    hop = sram_addr_t'(1);
    if (unit_end && !head_last) hop = sram_addr_t'(beat_head) - sram_addr_t'(beat_unit) + sram_addr_t'(1);
    if (unit_end && head_last && !beat_plane_last) hop = sram_addr_t'(1) - sram_addr_t'(now.head_off);
    next = now;
    next.dest = now.dest + hop;
    next.beat = unit_end ? '0 : now.beat + unit_t'(1);
    if (unit_end) begin
      next.head_off = head_last ? '0 : next_off;
      if (head_last) begin
        next.plane = beat_plane_last ? '0 : beat_plane + plane_t'(1);
        if (beat_plane_last) next.layers = now.layers + layer_t'(1);
      end
    end
  end
  assign last_layer = layers_t'(now.layers) + layers_t'(1) == beat_profile.layer_count;

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      at_start_q <= '1;
      wr_valid_o <= 1'b0;
    end else begin
      for (int unsigned c = 0; c < Channels; c++) begin
        if (chan_pop[c] || mem_lost_i[c]) at_start_q[c] <= 1'b1;
        else if (beat && mem_chan_i == chan_t'(c)) at_start_q[c] <= 1'b0;
      end
      wr_valid_o <= write;
    end
  end
  always_ff @(posedge clk_i) begin
    if (beat) walk_q[mem_chan_i] <= next;
    wr_o.addr <= now.dest;
    wr_o.data <= mem_i.data;
  end

  // ---------------------------------------------------------------------------------------------------- progress, end
  // pend: the first of its channel has layers that are complete, and has not said so. It goes with that descriptor, so it
  // never outlives a failure or an end.
  logic [Channels-1:0] pend_valid_q, pend_ok, pend_onehot;
  logic pend_none, say;
  logic [ChanW-1:0] pend_chan;
  places_t say_place;
  slot_t say_slot;
  profile_t say_profile;
  layer_t say_first;
  always_comb begin
    for (int unsigned c = 0; c < Channels; c++) pend_ok[c] = pend_valid_q[c] && !chan_pop[c];
    // A channel whose first descriptor fails or has failed has nothing to say.
    for (int unsigned i = 0; i < Places; i++) begin
      if (started_q[i] && fail_d[i] && at_head[i]) pend_ok[chan_q[i]] = 1'b0;
    end
  end
  if (Channels > 1) begin : gen_pend
    kv_first #(
        .Width(Channels)
    ) u_pend (
        .bits_i  (pend_ok),
        .none_o  (pend_none),
        .index_o (pend_chan),
        .onehot_o(pend_onehot)
    );
  end else begin : gen_pend_one
    assign pend_none   = !pend_ok[0];
    assign pend_chan   = '0;
    assign pend_onehot = pend_ok;
  end
  assign say = !pend_none && (!progress_valid_o || progress_ready_i);

  always_comb begin
    for (int unsigned i = 0; i < Places; i++) say_place[i] = at_head[i] && chan_q[i] == pend_chan;
    say_slot = '0;
    say_profile = '0;
    for (int unsigned i = 0; i < Places; i++) begin
      if (say_place[i]) begin
        say_slot |= desc_q[i].slot;
        say_profile |= desc_q[i].profile;
      end
    end
    say_first = profiles_i[say_profile].layer_first;
  end

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      pend_valid_q <= '0;
      progress_valid_o <= 1'b0;
    end else begin
      for (int unsigned c = 0; c < Channels; c++) begin
        if (layer_end && !last_layer && mem_chan_i == chan_t'(c) && !mem_lost_i[c]) pend_valid_q[c] <= 1'b1;
        else if (!pend_ok[c] || mem_lost_i[c] || (say && pend_onehot[c])) pend_valid_q[c] <= 1'b0;
      end
      if (say) progress_valid_o <= 1'b1;
      else if (progress_ready_i) progress_valid_o <= 1'b0;
    end
  end
  always_ff @(posedge clk_i) begin
    if (say) begin
      progress_o.slot <= say_slot;
      progress_o.watermark <= layers_t'(say_first) + layers_t'(walk_q[pend_chan].layers);
    end
  end

  // An end is shown from its place, which is free when it has been taken.
  places_t fin;
  logic fin_none, end_load;
  place_t fin_place, end_place_q;
  logic [31:0] end_cycles_q;
  for (genvar i = 0; i < Places; i++) begin : gen_fin
    assign fin[i] = state_q[i] == PlFin && !(end_valid_o && end_place_q == place_t'(i)) &&
        !(progress_valid_o && progress_o.slot == desc_q[i].slot);
  end
  kv_lowest #(
      .Width(Places)
  ) u_fin (
      .bits_i (fin),
      .none_o (fin_none),
      .index_o(fin_place)
  );
  assign end_load = !fin_none && (!end_valid_o || end_ready_i);

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) end_valid_o <= 1'b0;
    else if (end_load) end_valid_o <= 1'b1;
    else if (end_ready_i) end_valid_o <= 1'b0;
  end
  always_ff @(posedge clk_i) begin
    if (end_load) begin
      end_place_q  <= fin_place;
      end_cycles_q <= now_i[31:0] - start_q[fin_place];
    end
  end
  assign end_o = '{
          slot: desc_q[end_place_q].slot,
          status: status_q[end_place_q],
          bytes: 32'(count_q[end_place_q]) << BeatShift,
          cycles: end_cycles_q,
          stall_ar: 32'(stall_ar_q[end_place_q]),
          stall_r: 32'(stall_r_q[end_place_q])
      };

  // ------------------------------------------------------------------------------------------------- state of the places
  function automatic stall_t bump(input stall_t s);
    return (&s) ? s : s + stall_t'(1);
  endfunction

  // Apart from the rest, which depends on it.
  places_t lost, error_first;
  always_comb begin
    for (int unsigned i = 0; i < Places; i++) begin
      lost[i] = started_q[i] && mem_lost_i[chan_q[i]] && !pop[i];
      error_first[i] = beat_place[i] && mem_i.error && !fail_q[i] && !kill[i];
    end
    fail_d = fail_q | kill | lost | error_first;
    if (take) fail_d[take_place] = take_bad || take_stale;
  end

  stall_t waited;  // of the read that is shown
  assign waited = bump(stall_ar_q[row.place]);
  always_comb begin
    state_d = state_q;
    status_d = status_q;
    started_d = started_q;
    stall_ar_d = stall_ar_q;
    stall_r_d = stall_r_q;

    for (int unsigned i = 0; i < Places; i++) begin
      if (state_q[i] == PlWait && fail_q[i]) state_d[i] = PlFin;
      if (kill[i] && !fail_q[i]) status_d[i] = StAborted;
      else if (lost[i] && !fail_q[i]) status_d[i] = StTimeout;
      if (error_first[i]) status_d[i] = StBusError;
    end
    if (start) state_d[pick_place] = PlOn;
    for (int unsigned c = 0; c < Channels; c++) begin
      // A descriptor on the bus that is passed over because of a limit.
      if (it_valid_q[c] && !send_ok[c] && !fail_q[it_q[c].place]) begin
        stall_r_d[it_q[c].place] = bump(stall_r_q[it_q[c].place]);
      end
    end
    if (rd_valid_o && !rd_ready_i) stall_ar_d[row.place] = waited;

    for (int unsigned i = 0; i < Places; i++) begin
      if (started_q[i] && (pop[i] || mem_lost_i[chan_q[i]])) begin
        started_d[i] = 1'b0;
        if (state_q[i] == PlFly) state_d[i] = PlFin;
      end
    end
    if (rd_taken) started_d[row.place] = 1'b1;
    if (row_done && row.last) state_d[row.place] = started_d[row.place] ? PlFly : PlFin;
    for (int unsigned i = 0; i < Places; i++) begin  // complete, and late
      if (pop[i] && !fail_d[i] && beat_deadline != '0 && now_i > beat_deadline) status_d[i] = StDeadline;
    end
    if (end_valid_o && end_ready_i) state_d[end_place_q] = PlFree;

    if (take) begin
      state_d[take_place] = direct ? PlOn : PlWait;
      status_d[take_place] = take_bad ? StBadProfile : (take_stale ? StAborted : StOk);
      started_d[take_place] = 1'b0;
      stall_ar_d[take_place] = '0;
      stall_r_d[take_place] = '0;
    end
  end

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      state_q <= {Places{PlFree}};
      fail_q <= '0;
      started_q <= '0;
    end else begin
      state_q <= state_d;
      fail_q <= fail_d;
      started_q <= started_d;
    end
  end

  always_ff @(posedge clk_i) begin
    status_q   <= status_d;
    stall_ar_q <= stall_ar_d;
    stall_r_q  <= stall_r_d;
    for (int unsigned i = 0; i < Places; i++) begin
      if (beat_place[i]) count_q[i] <= beat_count + slot_beats_t'(1);
      if (rd_taken && row.place == place_t'(i)) end_beat_q[i] <= asked_d[row_chan];
      if (take && take_place == place_t'(i)) begin
        desc_q[i]  <= desc_i;
        chan_q[i]  <= take_chan;
        start_q[i] <= now_i[31:0];
        count_q[i] <= '0;
        ahead_q[i] <= goes_ahead;
      end else if (take) begin
        ahead_q[i][take_place] <= !goes_ahead[i];
      end
    end
  end

  // ------------------------------------------------------------------------------------------------------- assertions
  `KVS_STREAM(rd_stream, rd_valid_o, rd_ready_i, rd_o)
  `KVS_STREAM(progress_stream, progress_valid_o, progress_ready_i, progress_o)
  `KVS_STREAM(end_stream, end_valid_o, end_ready_i, end_o)
  `KVS_ASSUME(beat_was_asked_for, !mem_valid_i || (beat && asked_q[mem_chan_i] != back_q[mem_chan_i]))
  `KVS_ASSERT(burst_inside_page, !rd_valid_o || 32'(rd_o.addr[11:BeatShift]) + 32'(rd_o.len) < 32'(4096 / BeatBytes))
  `KVS_ASSERT(complete_with_a_beat, (pop & ~fail_d & ~beat_place) == '0)

`ifndef SYNTHESIS
`ifndef FORMAL
  // Layout and profile have been what they are for long enough that u_layout has looked at all of them.
  localparam int unsigned SettleCycles = 2 * Planes;
  layout_cfg_t last_layout_q;
  profile_cfg_t [Profiles-1:0] last_profiles_q;
  logic [Profiles-1:0][4:0] settled_q;
  always_ff @(posedge clk_i) begin
    last_layout_q   <= layout_i;
    last_profiles_q <= profiles_i;
    for (int unsigned f = 0; f < Profiles; f++) begin
      if (!rst_ni || last_layout_q != layout_i || last_profiles_q[f] != profiles_i[f]) settled_q[f] <= '0;
      else if (settled_q[f] != 5'(SettleCycles)) settled_q[f] <= settled_q[f] + 5'd1;
    end
  end
  `KVS_ASSERT(settled, !take || take_bad || settled_q[desc_i.profile] >= 5'(SettleCycles - 2))
`endif
`endif

  logic unused;
  assign unused = ^{src_profile, beat_profile, row_addr[BeatShift-1:0], head_none_unused, gap_none_unused, profiles_i,
                    start_beats, status_d};

endmodule

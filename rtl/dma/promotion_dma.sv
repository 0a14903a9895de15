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
//   Limits     At most Reads bursts of a channel are in flight (more only where one piece has more than Reads bursts), and
//              no piece is begun while Beats beats of the channel or more are.
//   Return     Beats of a channel come back in the order of its reads, between channels in any order. Nothing is kept per
//              read: the return side walks the slot in the order in which the rows were asked for.
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
// layout_i and profiles_i are static while descriptors use them, and from two cycles before.
// Latency: a descriptor taken in cycle t by an idle channel shows its first read in t+3 (on AR in t+4). Throughput: a
// burst a cycle, a beat a cycle, no gap between descriptors.
//   Channels  tiers told apart, 1 to 4
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

    input cycle_t                            now_i,
    input layout_cfg_t                       layout_i,
    input profile_cfg_t [      Profiles-1:0] profiles_i,
    // Base table writes, for the address pipeline: {layer, tensor}.
    input logic                              base_we_i,
    input logic         [$clog2(Layers)+1:0] base_waddr_i,
    input addr_t                             base_wdata_i,

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
  localparam int unsigned SlotBeatsW = $clog2(SramBeats) + 1;
  localparam int unsigned PageBeatsW = 12 - BeatShift;
  localparam int unsigned BurstMax = 256;
  localparam int unsigned BoundW = (PageBeatsW > 8) ? 8 : PageBeatsW;  // bursts end where these bits wrap
  localparam int unsigned PieceMax = KvHeads * Planes * RowBeatsMax;
  localparam int unsigned PieceW = $clog2(PieceMax + 1);
  localparam int unsigned UnitW = $clog2(Planes * RowBeatsMax + 1);
  localparam int unsigned ReadsW = $clog2(2 * Reads + 1);
  localparam int unsigned BeatsW = $clog2(Beats + Places * PieceMax + 1);
  localparam int unsigned StallW = 24;

  typedef logic [PlaceW-1:0] place_t;
  typedef logic [ChanW-1:0] chan_t;
  typedef logic [SlotBeatsW-1:0] slot_beats_t;
  typedef logic [PieceW-1:0] piece_t;  // beats of a piece
  typedef logic [UnitW-1:0] unit_t;  // beats of a head's part of a piece
  typedef logic [ReadsW-1:0] reads_t;
  typedef logic [BeatsW-1:0] beats_t;
  typedef logic [StallW-1:0] stall_t;

  typedef enum logic [2:0] {
    PlFree,
    PlWait,  // taken, not started
    PlOn,    // its pieces are being issued
    PlFly,   // every read is taken, beats may be in flight
    PlFin    // no beat is in flight, its end is not yet sent
  } place_e;

  if (Channels < 1 || Channels > 4) begin : gen_bad_channels
    $error("promotion_dma: Channels %0d is not in 1..4", Channels);
  end
  if (Reads < 4 || Reads > 256) begin : gen_bad_reads
    $error("promotion_dma: Reads %0d is not in 4..256", Reads);
  end
  if (RowBytes % BeatBytes != 0 || RowBytes > 4096) begin : gen_bad_row
    $error("promotion_dma: RowBytes %0d is no whole number of beats or above 4096", RowBytes);
  end

  // ------------------------------------------------------------------------------- what lies behind what, from the layout
  logic [  Planes-1:0] same_next_q;  // plane p + 1 lies behind plane p, in every row
  logic [  Planes-1:0] heads_join_q;  // the row of the next head lies behind this one, by plane
  logic [Profiles-1:0] fused_q;  // the planes of a head lie behind each other, by profile
  logic [Profiles-1:0] fused_join_q;  // and so do the heads
  always_ff @(posedge clk_i) begin
    for (int unsigned p = 0; p < Planes; p++) begin
      heads_join_q[p] <= layout_i.stride[layout_i.plane[p].stride_set].head ==
          32'(layout_i.plane[p].row_beats) << BeatShift;
      same_next_q[p] <= 1'b0;
      if (p + 1 < Planes) begin
        same_next_q[p] <= layout_i.plane[p].tensor == layout_i.plane[p+1].tensor &&
            layout_i.plane[p].stride_set == layout_i.plane[p+1].stride_set &&
            layout_i.plane[p].share_log2 == layout_i.plane[p+1].share_log2 &&
            layout_i.plane[p+1].offset == layout_i.plane[p].offset + (32'(layout_i.plane[p].row_beats) << BeatShift);
      end
    end
    for (int unsigned f = 0; f < Profiles; f++) begin
      fused_join_q[f] <= layout_i.stride[layout_i.plane[first_plane(profiles_i[f].plane_mask)].stride_set].head ==
          32'(profiles_i[f].head_beats) << BeatShift;
    end
  end
  always_comb begin
    for (int unsigned f = 0; f < Profiles; f++) begin
      plane_mask_t mask, up;
      mask = profiles_i[f].plane_mask;
      up = mask & ~(mask << 1);  // where a run of planes begins
      fused_q[f] = (up & (up - plane_mask_t'(1))) == '0 && (mask & (mask >> 1) & ~same_next_q) == '0;
    end
  end

  function automatic plane_t first_plane(input plane_mask_t mask);
    plane_t first;
    first = '0;
    for (int unsigned p = Planes; p > 0; p--) if (mask[p-1]) first = plane_t'(p - 1);
    return first;
  endfunction

  // ---------------------------------------------------------------------------------------------------------- places
  place_e [Places-1:0] state_q, state_d;
  logic [Places-1:0] fail_q, fail_d;  // nothing more is read or written for it
  status_e [Places-1:0] status_q, status_d;
  dma_desc_t [Places-1:0]       desc_q;
  chan_t     [Places-1:0]       chan_q;
  logic      [Places-1:0][31:0] start_q;  // time of acceptance
  logic [Places-1:0] started_q, started_d;  // in the order of its channel
  beats_t [Places-1:0] left_q, left_d;  // beats of the reads taken, to come
  slot_beats_t [Places-1:0] count_q;  // beats received
  stall_t [Places-1:0] stall_ar_q, stall_ar_d, stall_r_q, stall_r_d;
  logic   [Places-1:0][Places-1:0] older_q;  // [i][j]: i was taken before j

  logic                            take;
  place_t                          take_place;
  logic   [Places-1:0]             free;
  logic                            no_free;
  logic   [Places-1:0]             take_onehot_unused;

  for (genvar i = 0; i < Places; i++) begin : gen_free
    assign free[i] = state_q[i] == PlFree;
  end
  kv_first #(
      .Width(Places)
  ) u_free (
      .bits_i  (free),
      .none_o  (no_free),
      .index_o (take_place),
      .onehot_o(take_onehot_unused)
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
  logic input_retired, input_stale_q;
  assign input_retired = in_range(retire_i, desc_i.owner, desc_i.position);
  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) input_stale_q <= 1'b0;
    else input_stale_q <= desc_valid_i && !desc_ready_o && (input_stale_q || input_retired);
  end

  profile_cfg_t take_profile;
  logic take_bad;
  assign take_profile = profiles_i[desc_i.profile];
  assign take_bad = !take_profile.valid || take_profile.layer_count == '0 || take_profile.head_mask == '0 ||
      take_profile.plane_mask == '0;

  assign abort_ready_o = 1'b1;
  logic [Places-1:0] kill;
  for (genvar i = 0; i < Places; i++) begin : gen_kill
    assign kill[i] = (state_q[i] == PlWait || state_q[i] == PlOn || state_q[i] == PlFly) && (in_range(
        retire_i, desc_q[i].owner, desc_q[i].position
    ) || (abort_valid_i && abort_slot_i == desc_q[i].slot));
  end

  // ------------------------------------------------------------------------------------------- choice of the next, a channel
  logic [Channels-1:0] pick_none, start;
  profile_cfg_t [Channels-1:0] start_profile;
  place_t [Channels-1:0] pick_place;
  for (genvar c = 0; c < Channels; c++) begin : gen_pick
    logic [Places-1:0] waits, pick, pick_onehot_unused;
    always_comb begin
      cycle_t key_i, key_j;
      for (int unsigned i = 0; i < Places; i++) begin
        waits[i] = state_q[i] == PlWait && !fail_q[i] && chan_q[i] == chan_t'(c);
      end
      for (int unsigned i = 0; i < Places; i++) begin
        key_i   = (desc_q[i].deadline == '0) ? '1 : desc_q[i].deadline;
        pick[i] = waits[i];
        for (int unsigned j = 0; j < Places; j++) begin
          key_j = (desc_q[j].deadline == '0) ? '1 : desc_q[j].deadline;
          if (j != i && waits[j] && !(key_i < key_j || (key_i == key_j && older_q[i][j]))) pick[i] = 1'b0;
        end
      end
    end
    kv_first #(
        .Width(Places)
    ) u_pick (
        .bits_i  (pick),
        .none_o  (pick_none[c]),
        .index_o (pick_place[c]),
        .onehot_o(pick_onehot_unused)
    );
  end

  // -------------------------------------------------------------------------------------------------- piece iterators
  // State: what is left, the next piece included. A failed descriptor ends with one more piece that is not read: it
  // closes the descriptor behind its pieces in the address pipeline.
  typedef struct packed {
    place_t      place;
    layer_t      layer;
    layers_t     layers;  // left, this one included
    plane_mask_t planes;
    head_mask_t  heads;
  } walk_t;
  logic [Channels-1:0] it_valid_q, send_ok;
  walk_t [Channels-1:0] it_q;

  function automatic walk_t fresh(input place_t place, input layer_t first, input layers_t layers,
                                  input plane_mask_t planes, input head_mask_t heads);
    return '{place: place, layer: first, layers: layers, planes: planes, heads: heads};
  endfunction

  // Whose turn: a descriptor taken by an idle channel goes at once, otherwise channels take turns.
  logic direct, send, send_ready, it_last;
  chan_t last_chan_q, send_chan;
  walk_t src, src_next;
  logic [Channels-1:0] it_asks, turn_later, turn_onehot_unused, turn_any_onehot_unused;
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
    kv_first #(
        .Width(Channels)
    ) u_any (
        .bits_i  (it_asks),
        .none_o  (turn_none),
        .index_o (turn_any),
        .onehot_o(turn_any_onehot_unused)
    );
    kv_first #(
        .Width(Channels)
    ) u_later (
        .bits_i  (turn_later),
        .none_o  (later_none),
        .index_o (turn_next),
        .onehot_o(turn_onehot_unused)
    );
  end else begin : gen_no_turn
    assign turn_none = !it_asks[0];
    assign later_none = 1'b1;
    assign turn_any = '0;
    assign turn_next = '0;
    assign turn_any_onehot_unused = '0;
    assign turn_onehot_unused = '0;
  end

  assign direct = take && !take_bad && !input_stale_q && turn_none && !it_valid_q[take_chan] && pick_none[take_chan] &&
      send_ok[take_chan] && send_ready;
  assign send_chan = direct ? take_chan : (later_none ? turn_any : turn_next);
  assign send = direct || !turn_none;
  assign src = direct ? fresh(
      take_place, take_profile.layer_first, take_profile.layer_count, take_profile.plane_mask, take_profile.head_mask
  ) : it_q[send_chan];

  // The next piece of src.
  profile_cfg_t src_profile;
  logic src_fused, src_join, src_fail, pass_ends, planes_end;
  profile_t src_profile_idx;
  plane_t piece_plane;
  kv_head_t piece_head;
  logic [$clog2(KvHeads+1)-1:0] run_end;
  unit_t piece_unit;
  piece_t piece_beats;
  head_mask_t head_onehot, run_heads, heads_after;
  logic [KvHeads:0] beyond, beyond_onehot_unused;
  plane_mask_t planes_after;
  logic head_none_unused, beyond_none_unused;
  assign src_profile_idx = direct ? desc_i.profile : desc_q[src.place].profile;
  assign src_profile = profiles_i[src_profile_idx];
  assign src_fused = fused_q[src_profile_idx];
  assign src_fail = !direct && fail_q[src.place];
  assign piece_plane = first_plane(src.planes);
  assign src_join = src_fused ? fused_join_q[src_profile_idx] : heads_join_q[piece_plane];
  assign piece_unit = src_fused ? unit_t'(src_profile.head_beats) : unit_t'(layout_i.plane[piece_plane].row_beats);
  kv_first #(
      .Width(KvHeads)
  ) u_head (
      .bits_i  (src.heads),
      .none_o  (head_none_unused),
      .index_o (piece_head),
      .onehot_o(head_onehot)
  );
  // Adding the lowest bit carries to the first head behind the run.
  assign beyond = {1'b0, src.heads} + {1'b0, head_onehot};
  kv_first #(
      .Width(KvHeads + 1)
  ) u_run (
      .bits_i  (beyond),
      .none_o  (beyond_none_unused),
      .index_o (run_end),
      .onehot_o(beyond_onehot_unused)
  );
  assign run_heads = src_join ? src.heads & ~beyond[KvHeads-1:0] : head_onehot;
  assign piece_beats = src_join ? piece_t'(piece_unit) * (piece_t'(run_end) - piece_t'(piece_head)) :
      piece_t'(piece_unit);
  assign heads_after = src.heads & ~run_heads;
  assign planes_after = src_fused ? '0 : src.planes & (src.planes - plane_mask_t'(1));
  assign pass_ends = heads_after == '0;
  assign planes_end = pass_ends && planes_after == '0;
  assign it_last = src_fail || (planes_end && src.layers == layers_t'(1));
  always_comb begin
    src_next = src;
    src_next.heads = pass_ends ? src_profile.head_mask : heads_after;
    if (pass_ends) src_next.planes = planes_end ? src_profile.plane_mask : planes_after;
    if (planes_end) begin
      src_next.layer  = src.layer + layer_t'(1);
      src_next.layers = src.layers - layers_t'(1);
    end
  end

  always_comb begin
    for (int unsigned c = 0; c < Channels; c++) begin
      start[c] = !it_valid_q[c] && !pick_none[c];
      start_profile[c] = profiles_i[desc_q[pick_place[c]].profile];
    end
  end
  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      it_valid_q  <= '0;
      last_chan_q <= '0;
    end else begin
      for (int unsigned c = 0; c < Channels; c++) begin
        if (start[c]) it_valid_q[c] <= 1'b1;
        else if (send && send_ready && send_chan == chan_t'(c)) it_valid_q[c] <= !it_last;
      end
      if (send && send_ready) last_chan_q <= send_chan;
    end
  end
  always_ff @(posedge clk_i) begin
    for (int unsigned c = 0; c < Channels; c++) begin
      if (start[c]) begin
        it_q[c] <= fresh(
            pick_place[c],
            start_profile[c].layer_first,
            start_profile[c].layer_count,
            start_profile[c].plane_mask,
            start_profile[c].head_mask
        );
      end else if (send && send_ready && send_chan == chan_t'(c)) begin
        it_q[c] <= src_next;
      end
    end
  end

  // ------------------------------------------------------------------------------------------------------- addresses
  typedef struct packed {
    place_t place;
    chan_t  chan;
    piece_t beats;
    reads_t reads;  // bursts reserved for it
    logic   last;   // last piece of its descriptor
    logic   none;   // closes a failed descriptor: nothing is read
  } row_t;
  logic row_valid, row_ready;
  addr_t row_addr;
  row_t it_row, row;
  word_t src_word;
  word_t it_block;
  page_token_t it_token;
  assign it_row = '{
          place: src.place,
          chan: send_chan,
          beats: src_fail ? '0 : piece_beats,
          reads: src_fail ? '0 : need(32'(piece_beats)),
          last: it_last,
          none: src_fail
      };
  assign src_word = direct ? desc_i.word : desc_q[src.place].word;
  assign it_block = src_word & ~(word_t'('1) << layout_i.block_bits);
  page_token_t src_token;
  assign src_token = direct ? page_token_t'(desc_i.position) : page_token_t'(desc_q[src.place].position);
  assign it_token  = src_token & ~(page_token_t'('1) << layout_i.page_log2);

  // The most bursts that so many beats can become: one more than the boundaries in their length, and one.
  function automatic reads_t need(input logic [31:0] beats);
    logic [31:0] n;
    n = ((beats - 32'd1) >> BoundW) + 32'd2;
    if (PageBeatsW > BoundW) n = n + 32'd1;
    return (n > Reads) ? reads_t'(Reads) : reads_t'(n);
  endfunction

  // No piece of a profile has more beats than its layer.
  function automatic reads_t most(input logic [$clog2(SramBeats):0] layer_beats);
    return need(32'(layer_beats));
  endfunction

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
      .layer_i(src.layer),
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
  logic [AddrW-1:BeatShift] rest_addr_q, burst_addr;
  piece_t rest_beats_q, piece_left, burst_beats;
  logic [PageBeatsW:0] to_page;
  logic row_drop, row_done, rd_taken, rd_first;
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
  assign rd_chan_o = row.chan;
  assign rd_taken = rd_valid_o && rd_ready_i;
  assign rd_first = rd_taken && !started_q[row.place];
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
      rest_addr_q  <= burst_addr + (AddrW - BeatShift)'(burst_beats);
      rest_beats_q <= piece_left - burst_beats;
    end
  end

  // ------------------------------------------------------------------------- limits: what is reserved, what is in flight
  reads_t [Channels-1:0] kept_reads_q, out_reads_q;
  beats_t [Channels-1:0] kept_beats_q, out_beats_q;
  profile_cfg_t [Channels-1:0] it_profile;
  for (genvar c = 0; c < Channels; c++) begin : gen_limit
    assign it_profile[c] = profiles_i[desc_q[it_q[c].place].profile];
    logic enter, leave, issue, back;
    assign enter = send && send_ready && send_chan == chan_t'(c);
    assign leave = row_done && row.chan == chan_t'(c);
    assign issue = rd_taken && row.chan == chan_t'(c);
    assign back  = mem_valid_i && mem_chan_i == chan_t'(c);
    always_ff @(posedge clk_i or negedge rst_ni) begin
      if (!rst_ni) begin
        kept_reads_q[c] <= '0;
        kept_beats_q[c] <= '0;
        out_reads_q[c]  <= '0;
        out_beats_q[c]  <= '0;
      end else begin
        kept_reads_q[c] <= kept_reads_q[c] + (enter ? it_row.reads : '0) - (leave ? row.reads : '0);
        kept_beats_q[c] <= kept_beats_q[c] + (enter ? beats_t'(it_row.beats) : '0) - (leave ? beats_t'(row.beats) : '0);
        out_reads_q[c] <= (mem_lost_i[c] ? '0 : out_reads_q[c] - reads_t'(back && mem_i.last)) + reads_t'(issue);
        out_beats_q[c] <= (mem_lost_i[c] ? '0 : out_beats_q[c] - beats_t'(back)) + (issue ? beats_t'(burst_beats) : '0);
      end
    end
    // The parts of a piece that are out count twice until the piece has left, which is a cycle for most.
    assign send_ok[c] = 32'(kept_reads_q[c]) + 32'(out_reads_q[c]) + 32'(most(
        it_valid_q[c] ? it_profile[c].layer_beats : take_profile.layer_beats
    )) <= Reads && 32'(kept_beats_q[c]) + 32'(out_beats_q[c]) < Beats;
  end

  // ---------------------------------------------------------------------------------------- order of started descriptors
  // A descriptor enters with its first read and leaves after its last beat. What is lost leaves at once.
  place_t [Channels-1:0][Places-1:0] order_q, order_d;
  logic [Channels-1:0][PlaceW:0] order_count_q, order_count_d;
  logic [Channels-1:0] order_valid, pop;
  place_t [Channels-1:0] head;
  always_comb begin
    order_d = order_q;
    order_count_d = order_count_q;
    for (int unsigned c = 0; c < Channels; c++) begin
      order_valid[c] = order_count_q[c] != '0;
      head[c] = order_q[c][0];
      // A beat of this cycle may be the last one.
      pop[c] = order_valid[c] && state_q[head[c]] == PlFly &&
          left_q[head[c]] == beats_t'(mem_valid_i && mem_chan_i == chan_t'(c));
      if (pop[c]) begin
        for (int unsigned i = 0; i + 1 < Places; i++) order_d[c][i] = order_q[c][i+1];
        order_count_d[c] = order_count_q[c] - (PlaceW + 1)'(1);
      end
      if (mem_lost_i[c]) order_count_d[c] = '0;
      // A read of a descriptor that lost those before starts anew.
      if (rd_taken && row.chan == chan_t'(c) && (rd_first || mem_lost_i[c])) begin
        for (int unsigned i = 0; i < Places; i++) if (order_count_d[c] == (PlaceW + 1)'(i)) order_d[c][i] = row.place;
        order_count_d[c] = order_count_d[c] + (PlaceW + 1)'(1);
      end
    end
  end
  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) order_count_q <= '0;
    else order_count_q <= order_count_d;
  end
  always_ff @(posedge clk_i) order_q <= order_d;

  // ------------------------------------------------------------------------------------------------------ return side
  // Where the beats of each channel's head go. With at_start the walk begins with the first beat of the descriptor.
  typedef struct packed {
    sram_addr_t  dest;
    sram_addr_t  layer_base;
    slot_beats_t head_off;    // of the present head in its layer
    unit_t       beat;        // in the part of the present head
    plane_mask_t planes;      // left, the present one included
    layers_t     layers;      // complete
  } back_t;
  back_t [Channels-1:0] back_q;
  logic  [Channels-1:0] at_start_q;

  logic beat, write, layer_end, last_layer, unit_end, head_last;
  place_t beat_place;
  profile_cfg_t beat_profile;
  logic beat_fused;
  unit_t beat_unit;
  plane_t beat_plane, next_plane;
  plane_mask_t next_planes;
  back_t now, next;
  assign beat = mem_valid_i && order_valid[mem_chan_i];
  assign beat_place = head[mem_chan_i];
  assign beat_profile = profiles_i[desc_q[beat_place].profile];
  assign beat_fused = fused_q[desc_q[beat_place].profile];
  assign write = beat && !fail_d[beat_place];
  always_comb begin
    now = back_q[mem_chan_i];
    if (at_start_q[mem_chan_i]) begin
      now = '0;
      now.dest = desc_q[beat_place].sram_base;
      now.layer_base = desc_q[beat_place].sram_base;
      now.planes = beat_profile.plane_mask;
    end
    beat_plane = first_plane(now.planes);
    beat_unit = beat_fused ? unit_t'(beat_profile.head_beats) : unit_t'(layout_i.plane[beat_plane].row_beats);
    next_planes = beat_fused ? '0 : now.planes & (now.planes - plane_mask_t'(1));
    next_plane = first_plane(next_planes);
    unit_end = now.beat + unit_t'(1) == beat_unit;
    head_last = now.head_off + slot_beats_t'(beat_profile.head_beats) == slot_beats_t'(beat_profile.layer_beats);
    layer_end = write && unit_end && head_last && next_planes == '0;
    next = now;
    next.dest = now.dest + sram_addr_t'(1);
    next.beat = now.beat + unit_t'(1);
    if (unit_end) begin
      next.beat = '0;
      next.head_off = now.head_off + slot_beats_t'(beat_profile.head_beats);
      next.dest = now.dest + sram_addr_t'(beat_profile.head_beats) - sram_addr_t'(beat_unit) + sram_addr_t'(1);
      if (head_last) begin
        next.head_off = '0;
        next.planes = next_planes;
        next.dest = now.layer_base + sram_addr_t'(beat_profile.plane_beat[next_plane]);
        if (next_planes == '0) begin
          next.planes = beat_profile.plane_mask;
          next.layer_base = now.layer_base + sram_addr_t'(beat_profile.layer_beats);
          next.dest = next.layer_base;
          next.layers = now.layers + layers_t'(1);
        end
      end
    end
  end
  assign last_layer = next.layers == beat_profile.layer_count;

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      at_start_q <= '1;
      wr_valid_o <= 1'b0;
    end else begin
      for (int unsigned c = 0; c < Channels; c++) begin
        if (pop[c] || mem_lost_i[c]) at_start_q[c] <= 1'b1;
        else if (beat && mem_chan_i == chan_t'(c)) at_start_q[c] <= 1'b0;
      end
      wr_valid_o <= write;
    end
  end
  always_ff @(posedge clk_i) begin
    if (beat) back_q[mem_chan_i] <= next;
    if (write) begin
      wr_o.addr <= now.dest;
      wr_o.data <= mem_i.data;
    end
  end

  // ---------------------------------------------------------------------------------------------------- progress, end
  // pend: what the head of a channel has reached and not yet said. It goes with the head, so it never outlives a failure
  // or an end.
  logic [Channels-1:0] pend_valid_q, pend_ok, pend_onehot;
  layers_t [Channels-1:0] pend_q;
  logic pend_none, say;
  logic [ChanW-1:0] pend_chan;
  always_comb begin
    for (int unsigned c = 0; c < Channels; c++) begin
      pend_ok[c] = pend_valid_q[c] && order_valid[c] && !fail_d[head[c]] && !pop[c];
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

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      pend_valid_q <= '0;
      progress_valid_o <= 1'b0;
    end else begin
      for (int unsigned c = 0; c < Channels; c++) begin
        if (pop[c] || mem_lost_i[c] || (order_valid[c] && fail_d[head[c]])) pend_valid_q[c] <= 1'b0;
        else if (layer_end && !last_layer && mem_chan_i == chan_t'(c)) pend_valid_q[c] <= 1'b1;
        else if (say && pend_onehot[c]) pend_valid_q[c] <= 1'b0;
      end
      if (say) progress_valid_o <= 1'b1;
      else if (progress_ready_i) progress_valid_o <= 1'b0;
    end
  end
  always_ff @(posedge clk_i) begin
    if (layer_end) pend_q[mem_chan_i] <= layers_t'(beat_profile.layer_first) + next.layers;
    if (say) begin
      progress_o.slot <= desc_q[head[pend_chan]].slot;
      progress_o.watermark <= pend_q[pend_chan];
    end
  end

  logic [Places-1:0] fin;
  logic fin_none, end_load;
  place_t fin_place;
  logic [Places-1:0] fin_onehot_unused;
  for (genvar i = 0; i < Places; i++) begin : gen_fin
    assign fin[i] = state_q[i] == PlFin && !(progress_valid_o && progress_o.slot == desc_q[i].slot);
  end
  kv_first #(
      .Width(Places)
  ) u_fin (
      .bits_i  (fin),
      .none_o  (fin_none),
      .index_o (fin_place),
      .onehot_o(fin_onehot_unused)
  );
  assign end_load = !fin_none && (!end_valid_o || end_ready_i);

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) end_valid_o <= 1'b0;
    else if (end_load) end_valid_o <= 1'b1;
    else if (end_ready_i) end_valid_o <= 1'b0;
  end

  always_ff @(posedge clk_i) begin
    if (end_load) begin
      end_o.slot <= desc_q[fin_place].slot;
      end_o.status <= status_q[fin_place];
      end_o.bytes <= 32'(count_q[fin_place]) << BeatShift;
      end_o.cycles <= now_i[31:0] - start_q[fin_place];
      end_o.stall_ar <= 32'(stall_ar_q[fin_place]);
      end_o.stall_r <= 32'(stall_r_q[fin_place]);
    end
  end

  // ------------------------------------------------------------------------------------------------- state of the places
  function automatic stall_t bump(input stall_t s);
    return (&s) ? s : s + stall_t'(1);
  endfunction

  // Apart from the rest, which depends on it.
  logic [Places-1:0] kill_first, lost;
  logic error_first;
  always_comb begin
    for (int unsigned i = 0; i < Places; i++) begin
      lost[i] = started_q[i] && mem_lost_i[chan_q[i]] && (state_q[i] == PlOn || (state_q[i] == PlFly &&
          !(beat && beat_place == place_t'(i) && left_q[i] == beats_t'(1))));
    end
  end
  assign kill_first  = kill & ~fail_q;
  assign error_first = beat && mem_i.error && !fail_q[beat_place] && !kill[beat_place];
  always_comb begin
    fail_d = fail_q | kill | lost;
    if (error_first) fail_d[beat_place] = 1'b1;
    if (take) fail_d[take_place] = take_bad || input_retired || input_stale_q;
  end

  always_comb begin
    state_d = state_q;
    status_d = status_q;
    started_d = started_q;
    left_d = left_q;
    stall_ar_d = stall_ar_q;
    stall_r_d = stall_r_q;

    for (int unsigned i = 0; i < Places; i++) begin
      if (state_q[i] == PlWait && fail_q[i]) state_d[i] = PlFin;
      if (kill_first[i]) status_d[i] = StAborted;
      else if (lost[i] && !fail_q[i]) status_d[i] = StTimeout;
    end
    if (error_first) status_d[beat_place] = StBusError;
    for (int unsigned c = 0; c < Channels; c++) begin
      if (start[c]) state_d[pick_place[c]] = PlOn;
      // A descriptor on the bus that is passed over because of a limit.
      if (it_valid_q[c] && !send_ok[c] && !fail_q[it_q[c].place]) begin
        stall_r_d[it_q[c].place] = bump(stall_r_q[it_q[c].place]);
      end
    end

    if (rd_valid_o && !rd_ready_i) stall_ar_d[row.place] = bump(stall_ar_q[row.place]);

    if (beat) left_d[beat_place] = left_q[beat_place] - beats_t'(1);
    for (int unsigned i = 0; i < Places; i++) begin
      if (mem_lost_i[chan_q[i]]) begin
        left_d[i] = '0;
        started_d[i] = 1'b0;
        if (state_q[i] == PlFly) state_d[i] = PlFin;
      end
    end
    if (rd_taken) begin
      left_d[row.place] = left_d[row.place] + beats_t'(burst_beats);
      started_d[row.place] = 1'b1;
    end
    if (row_done && row.last) state_d[row.place] = started_d[row.place] ? PlFly : PlFin;
    for (int unsigned c = 0; c < Channels; c++) begin
      if (pop[c]) state_d[head[c]] = PlFin;
    end
    for (int unsigned i = 0; i < Places; i++) begin  // complete, and late
      if (state_q[i] == PlFly && state_d[i] == PlFin && !fail_d[i] && desc_q[i].deadline != '0 &&
          now_i > desc_q[i].deadline) begin
        status_d[i] = StDeadline;
      end
    end
    if (end_load) state_d[fin_place] = PlFree;

    if (take) begin
      state_d[take_place] = direct ? PlOn : PlWait;
      status_d[take_place] = take_bad ? StBadProfile : ((input_retired || input_stale_q) ? StAborted : StOk);
      started_d[take_place] = 1'b0;
      left_d[take_place] = '0;
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
    status_q <= status_d;
    left_q <= left_d;
    stall_ar_q <= stall_ar_d;
    stall_r_q <= stall_r_d;
    if (take) begin
      desc_q[take_place]  <= desc_i;
      chan_q[take_place]  <= take_chan;
      start_q[take_place] <= now_i[31:0];
      for (int unsigned j = 0; j < Places; j++) older_q[j][take_place] <= 1'b1;
      older_q[take_place] <= '0;
    end
    if (beat) count_q[beat_place] <= count_q[beat_place] + slot_beats_t'(1);
    if (take) count_q[take_place] <= '0;
  end

  // ------------------------------------------------------------------------------------------------------- assertions
  `KVS_STREAM(rd_stream, rd_valid_o, rd_ready_i, rd_o)
  `KVS_STREAM(progress_stream, progress_valid_o, progress_ready_i, progress_o)
  `KVS_STREAM(end_stream, end_valid_o, end_ready_i, end_o)
  `KVS_ASSUME(beat_was_asked_for, !mem_valid_i || (order_valid[mem_chan_i] && left_q[head[mem_chan_i]] != '0))
  `KVS_ASSERT(burst_inside_page, !rd_valid_o || 32'(rd_o.addr[11:BeatShift]) + 32'(rd_o.len) < 32'(4096 / BeatBytes))
  for (genvar c = 0; c < Channels; c++) begin : gen_rule
    `KVS_ASSERT(order_fits, order_count_q[c] <= (PlaceW + 1)'(Places))
  end

  logic unused;
  assign unused = ^{take_profile, start_profile, it_profile, src_profile, beat_profile, row_addr[BeatShift-1:0],
                    head_none_unused, beyond_none_unused, beyond_onehot_unused};

endmodule

// SPDX-License-Identifier: Apache-2.0
// Promotion DMA: gathers the rows of one token into its slot, layer by layer.
//
// Contract. A descriptor is taken into one of four places; the waiting one with the earliest deadline starts next (none
// counts as the latest; ties by age). Its rows are read in the order layer, head, plane, each as one burst (two where it
// crosses 4 KiB). With the profile's packed shape (layer_beats = heads * head_beats, planes packed) that order is also the
// order of the slot, so the destination of the n-th beat is sram_base + n and nothing is kept per read: beats come back in
// order, and the return side counts. Reads of the next descriptor start while beats of the one before still come.
//
//   desc -> [4 places] -> row iterator -> kv_addr -> burst split -> rd (AR)
//               |  '-- order of started descriptors (queue) --.
//               '------------- end <------ [return side: count, write] <- mem (R)
//
// Progress is sent when the last beat of a layer has been written, later than wr_valid_o by a cycle or more; layers that
// complete while one waits are joined. The last layer has no progress of its own: the end with StOk or StDeadline says it.
// Retire (all places of the range, a descriptor that waits at the input too) and abort (by slot) take effect in their
// cycle: no read is presented and no beat is written after it. A read that was presented before stays, as the handshake
// asks, and its beats are dropped. Every descriptor ends once, after its last beat in flight: StOk, StDeadline (complete,
// late), StBusError, StAborted, StBadProfile (profile not valid or empty). A progress of a slot never follows its end. An
// abort that names no descriptor here, or one that is complete, does nothing.
//
// Latency: descriptor to first read = 4 cycles + latency of kv_addr. Throughput: a burst a cycle, a beat a cycle.

`include "kvsink_assert.svh"

module promotion_dma
  import kvsink_cfg_pkg::*;
  import kvsink_pkg::*;
(
    input logic clk_i,
    input logic rst_ni,

    input cycle_t                            now_i,
    input ctl_cfg_t                          cfg_i,
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

    output logic    rd_valid_o,
    input  logic    rd_ready_i,
    output rd_req_t rd_o,
    input  logic    mem_valid_i,
    input  rd_rsp_t mem_i,

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
  localparam int unsigned FlightW = $clog2(RowReads + 1);
  localparam int unsigned PageBeatsW = 12 - BeatShift;  // beats of 4 KiB, less one
  localparam int unsigned StallW = 24;

  typedef logic [PlaceW-1:0] place_t;
  typedef logic [SlotBeatsW-1:0] slot_beats_t;
  typedef logic [StallW-1:0] stall_t;

  typedef enum logic [2:0] {
    PlFree,
    PlWait,  // taken, not started
    PlOn,    // its rows are being issued
    PlFly,   // every read is presented, beats may be in flight
    PlFin    // no beat is in flight, its end is not yet sent
  } place_e;

  typedef struct packed {
    place_t     place;
    row_beats_t beats;
    logic       last;   // last row of its descriptor
  } row_t;

  if (RowReads < 1 || RowReads > 4096) begin : gen_bad_row_reads
    $error("promotion_dma: RowReads %0d is not in 1..4096", RowReads);
  end
  if (RowBytes % BeatBytes != 0 || RowBytes > 4096) begin : gen_bad_row
    $error("promotion_dma: RowBytes %0d is no whole number of beats or above 4096", RowBytes);
  end

  // ---------------------------------------------------------------------------------------------------------- places
  place_e [Places-1:0] state_q, state_d;
  logic [Places-1:0] fail_q, fail_d;  // nothing more is read or written for it
  status_e [Places-1:0] status_q, status_d;
  dma_desc_t [Places-1:0]       desc_q;
  logic      [Places-1:0][31:0] start_q;  // time of acceptance
  slot_beats_t [Places-1:0] issued_q, issued_d;  // beats of the reads presented
  slot_beats_t [Places-1:0] count_q;  // beats received, once finished
  stall_t [Places-1:0] stall_ar_q, stall_ar_d, stall_r_q, stall_r_d;
  logic   [Places-1:0][Places-1:0] older_q;  // [i][j]: i was taken before j

  logic                            take;
  place_t                          take_place;
  logic   [Places-1:0]             free;
  logic                            no_free;
  logic   [Places-1:0]             take_onehot;

  for (genvar i = 0; i < Places; i++) begin : gen_free
    assign free[i] = state_q[i] == PlFree;
  end
  kv_first #(
      .Width(Places)
  ) u_free (
      .bits_i  (free),
      .none_o  (no_free),
      .index_o (take_place),
      .onehot_o(take_onehot)
  );
  assign desc_ready_o = !no_free;
  assign take = desc_valid_i && desc_ready_o;

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

  // ------------------------------------------------------------------------------------------------- choice of the next
  logic [Places-1:0] pick;
  logic pick_none;
  place_t pick_place;
  logic [Places-1:0] pick_onehot_unused;
  always_comb begin
    cycle_t key_i, key_j;
    for (int unsigned i = 0; i < Places; i++) begin
      key_i   = (desc_q[i].deadline == '0) ? '1 : desc_q[i].deadline;
      pick[i] = state_q[i] == PlWait && !fail_q[i];
      for (int unsigned j = 0; j < Places; j++) begin
        key_j = (desc_q[j].deadline == '0) ? '1 : desc_q[j].deadline;
        if (j != i && state_q[j] == PlWait && !fail_q[j] && !(key_i < key_j || (key_i == key_j && older_q[i][j]))) begin
          pick[i] = 1'b0;
        end
      end
    end
  end
  kv_first #(
      .Width(Places)
  ) u_pick (
      .bits_i  (pick),
      .none_o  (pick_none),
      .index_o (pick_place),
      .onehot_o(pick_onehot_unused)
  );

  // ---------------------------------------------------------------------------------------------------- row iterator
  logic it_valid_q;
  place_t it_place_q;
  layer_t it_layer_q;
  layers_t it_layers_left_q;
  kv_head_t it_head_q;
  head_mask_t it_heads_left_q;
  plane_t it_plane_q;
  plane_mask_t it_planes_left_q;

  logic start, it_ready, it_last;
  logic it_waits_q, it_held_q;  // a row waits, with this mark
  assign start = !it_valid_q && !pick_none;
  // A failed descriptor stops with one more row, which closes it behind its rows in the address pipeline. A row that
  // already waits stays as it is.
  assign it_last = it_waits_q ? it_held_q : fail_q[it_place_q] ||
      (it_planes_left_q == '0 && it_heads_left_q == '0 && it_layers_left_q == '0);

  profile_cfg_t it_profile;
  assign it_profile = profiles_i[start?desc_q[pick_place].profile : desc_q[it_place_q].profile];

  // The first plane and head of the masks, and the ones that follow.
  logic restart_planes, restart_heads;
  plane_mask_t planes_from, plane_onehot;
  head_mask_t heads_from, head_onehot;
  plane_t   plane_next;
  kv_head_t head_next;
  logic planes_none_unused, heads_none_unused;
  assign restart_planes = start || it_planes_left_q == '0;
  assign restart_heads = start || it_heads_left_q == '0;
  assign planes_from = restart_planes ? it_profile.plane_mask : it_planes_left_q;
  assign heads_from = restart_heads ? it_profile.head_mask : it_heads_left_q;
  kv_first #(
      .Width(Planes)
  ) u_plane (
      .bits_i  (planes_from),
      .none_o  (planes_none_unused),
      .index_o (plane_next),
      .onehot_o(plane_onehot)
  );
  kv_first #(
      .Width(KvHeads)
  ) u_head (
      .bits_i  (heads_from),
      .none_o  (heads_none_unused),
      .index_o (head_next),
      .onehot_o(head_onehot)
  );

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      it_valid_q <= 1'b0;
      it_waits_q <= 1'b0;
    end else begin
      if (start) it_valid_q <= 1'b1;
      else if (it_ready && it_last) it_valid_q <= 1'b0;
      it_waits_q <= it_valid_q && !it_ready;
    end
  end

  always_ff @(posedge clk_i) begin
    it_held_q <= it_last;
    if (start) begin
      it_place_q <= pick_place;
      it_layer_q <= it_profile.layer_first;
      it_layers_left_q <= it_profile.layer_count - layers_t'(1);
    end else if (it_valid_q && it_ready && restart_planes && restart_heads) begin
      it_layer_q <= it_layer_q + layer_t'(1);
      it_layers_left_q <= it_layers_left_q - layers_t'(1);
    end
    if (start || (it_valid_q && it_ready)) begin
      it_plane_q <= plane_next;
      it_planes_left_q <= planes_from & ~plane_onehot;
      if (restart_planes) begin
        it_head_q <= head_next;
        it_heads_left_q <= heads_from & ~head_onehot;
      end
    end
  end

  // ------------------------------------------------------------------------------------------------------- addresses
  logic row_valid, row_ready;
  addr_t row_addr;
  row_t it_row, row;
  word_t it_block;
  page_token_t it_token;
  assign it_row   = '{place: it_place_q, beats: layout_i.plane[it_plane_q].row_beats, last: it_last};
  assign it_block = desc_q[it_place_q].word & ~(word_t'('1) << layout_i.block_bits);
  assign it_token = page_token_t'(desc_q[it_place_q].position) & ~(page_token_t'('1) << layout_i.page_log2);

  kv_addr #(
      .U(row_t)
  ) u_addr (
      .clk_i,
      .rst_ni,
      .layout_i,
      .base_we_i,
      .base_waddr_i,
      .base_wdata_i,
      .valid_i(it_valid_q),
      .ready_o(it_ready),
      .layer_i(it_layer_q),
      .head_i (it_head_q),
      .plane_i(it_plane_q),
      .block_i(it_block),
      .token_i(it_token),
      .user_i (it_row),
      .valid_o(row_valid),
      .ready_i(row_ready),
      .addr_o (row_addr),
      .user_o (row)
  );

  // --------------------------------------------------------------------------------------------- bursts and reads
  logic rd_valid_q, rd_load, rd_first, rd_room, row_drop, row_done;
  rd_req_t rd_q;
  place_t rd_place_q;
  logic second_q;  // the part before the 4 KiB boundary is presented
  logic [FlightW-1:0] flight_q;
  logic at_limit;
  logic [PageBeatsW:0] to_boundary;
  row_beats_t first_beats, burst_beats;
  logic crosses;

  assign at_limit = flight_q == FlightW'(RowReads);
  assign rd_room = (!rd_valid_q || rd_ready_i) && !at_limit;
  assign row_drop = fail_d[row.place];
  assign rd_load = row_valid && !row_drop && rd_room;
  assign rd_first = rd_load && issued_q[row.place] == '0;  // from here on beats are to come for it
  assign to_boundary = {1'b1, {PageBeatsW{1'b0}}} - {1'b0, row_addr[11:BeatShift]};
  assign crosses = 32'(row.beats) > 32'(to_boundary);
  assign first_beats = crosses ? row_beats_t'(to_boundary) : row.beats;
  assign burst_beats = second_q ? row.beats - row_beats_t'(to_boundary) : first_beats;
  assign row_ready = row_drop || (rd_room && (second_q || !crosses));
  assign row_done = row_valid && row_ready;

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      rd_valid_q <= 1'b0;
      second_q   <= 1'b0;
      flight_q   <= '0;
    end else begin
      if (rd_load) rd_valid_q <= 1'b1;
      else if (rd_ready_i) rd_valid_q <= 1'b0;
      if (row_done) second_q <= 1'b0;
      else if (rd_load) second_q <= 1'b1;
      flight_q <= flight_q + FlightW'(rd_load) - FlightW'(mem_valid_i && mem_i.last);
    end
  end

  always_ff @(posedge clk_i) begin
    if (rd_load) begin
      rd_q.addr <= second_q ? {row_addr[AddrW-1:12] + (AddrW - 12)'(1), 12'b0} :
          {row_addr[AddrW-1:BeatShift], {BeatShift{1'b0}}};
      rd_q.len <= axi_len_t'(burst_beats) - axi_len_t'(1);
      rd_place_q <= row.place;
    end
  end

  assign rd_valid_o = rd_valid_q;
  assign rd_o = rd_q;

  // ------------------------------------------------------------------------------------------------------ return side
  logic head_valid, pop, order_ready_unused;
  place_t head;
  logic [PlaceW:0] order_count_unused;
  kv_fifo #(
      .T    (place_t),
      .Depth(Places)
  ) u_order (
      .clk_i,
      .rst_ni,
      .flush_i(1'b0),
      .valid_i(rd_first),
      .ready_o(order_ready_unused),
      .data_i (row.place),
      .valid_o(head_valid),
      .ready_i(pop),
      .data_o (head),
      .count_o(order_count_unused)
  );

  slot_beats_t got_q, got_d;  // beats of the head received
  slot_beats_t layer_got_q;  // of its present layer
  layers_t     layers_done_q;  // its layers written
  logic beat, write, layer_end, last_layer;
  profile_cfg_t head_profile;

  assign head_profile = profiles_i[desc_q[head].profile];
  assign beat = mem_valid_i && head_valid;
  assign write = beat && !fail_d[head];
  assign got_d = got_q + slot_beats_t'(beat);
  assign pop = head_valid && state_q[head] == PlFly && got_d == issued_q[head];
  assign layer_end = write && (layer_got_q + slot_beats_t'(1) == head_profile.layer_beats);
  assign last_layer = layers_done_q + layers_t'(1) == head_profile.layer_count;

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      got_q <= '0;
      layer_got_q <= '0;
      layers_done_q <= '0;
      wr_valid_o <= 1'b0;
    end else begin
      got_q <= pop ? '0 : got_d;
      if (pop || layer_end) layer_got_q <= '0;
      else if (write) layer_got_q <= layer_got_q + slot_beats_t'(1);
      if (pop) layers_done_q <= '0;
      else if (layer_end) layers_done_q <= layers_done_q + layers_t'(1);
      wr_valid_o <= write;
    end
  end

  always_ff @(posedge clk_i) begin
    if (write) begin
      wr_o.addr <= desc_q[head].sram_base + sram_addr_t'(got_q);
      wr_o.data <= mem_i.data;
    end
  end

  // ---------------------------------------------------------------------------------------------------- progress, end
  // pend: what the head has reached and not yet said. It goes with the head, so it never outlives a failure or an end.
  logic pend_valid_q, say;
  layers_t pend_q;
  assign say = pend_valid_q && !fail_d[head] && !pop && (!progress_valid_o || progress_ready_i);

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      pend_valid_q <= 1'b0;
      progress_valid_o <= 1'b0;
    end else begin
      if (pop || (head_valid && fail_d[head])) pend_valid_q <= 1'b0;
      else if (layer_end && !last_layer) pend_valid_q <= 1'b1;
      else if (say) pend_valid_q <= 1'b0;
      if (say) progress_valid_o <= 1'b1;
      else if (progress_ready_i) progress_valid_o <= 1'b0;
    end
  end

  always_ff @(posedge clk_i) begin
    if (layer_end) pend_q <= layers_t'(head_profile.layer_first) + layers_done_q + layers_t'(1);
    if (say) begin
      progress_o.slot <= desc_q[head].slot;
      progress_o.watermark <= pend_q;
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
  logic [Places-1:0] kill_first;
  logic error_first;
  assign kill_first  = kill & ~fail_q;
  assign error_first = beat && mem_i.error && !fail_q[head] && !kill[head];
  always_comb begin
    fail_d = fail_q | kill;
    if (error_first) fail_d[head] = 1'b1;
    if (take) fail_d[take_place] = take_bad || input_retired || input_stale_q;
  end

  always_comb begin
    state_d = state_q;
    status_d = status_q;
    issued_d = issued_q;
    stall_ar_d = stall_ar_q;
    stall_r_d = stall_r_q;

    for (int unsigned i = 0; i < Places; i++) begin
      if (state_q[i] == PlWait && fail_q[i]) state_d[i] = PlFin;
      if (kill_first[i]) status_d[i] = StAborted;
    end
    if (start) state_d[pick_place] = PlOn;
    if (error_first) status_d[head] = StBusError;

    if (rd_valid_q && !rd_ready_i) stall_ar_d[rd_place_q] = bump(stall_ar_q[rd_place_q]);
    if (row_valid && !fail_q[row.place] && at_limit) stall_r_d[row.place] = bump(stall_r_q[row.place]);

    if (rd_load) issued_d[row.place] = issued_q[row.place] + slot_beats_t'(burst_beats);
    if (row_done && row.last) state_d[row.place] = (issued_q[row.place] == '0 && !rd_load) ? PlFin : PlFly;
    if (pop) begin
      state_d[head] = PlFin;
      if (!fail_d[head] && desc_q[head].deadline != '0 && now_i > desc_q[head].deadline) status_d[head] = StDeadline;
    end
    if (end_load) state_d[fin_place] = PlFree;

    if (take) begin
      state_d[take_place] = PlWait;
      status_d[take_place] = take_bad ? StBadProfile : ((input_retired || input_stale_q) ? StAborted : StOk);
      issued_d[take_place] = '0;
      stall_ar_d[take_place] = '0;
      stall_r_d[take_place] = '0;
    end
  end

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      state_q <= {Places{PlFree}};
      fail_q  <= '0;
    end else begin
      state_q <= state_d;
      fail_q  <= fail_d;
    end
  end

  always_ff @(posedge clk_i) begin
    status_q   <= status_d;
    issued_q   <= issued_d;
    stall_ar_q <= stall_ar_d;
    stall_r_q  <= stall_r_d;
    if (take) begin
      desc_q[take_place]  <= desc_i;
      start_q[take_place] <= now_i[31:0];
      count_q[take_place] <= '0;
      for (int unsigned j = 0; j < Places; j++) older_q[j][take_place] <= 1'b1;
      older_q[take_place] <= '0;
    end
    if (pop) count_q[head] <= got_d;
  end

  // ------------------------------------------------------------------------------------------------------- assertions
  `KVS_STREAM(rd_stream, rd_valid_o, rd_ready_i, rd_o)
  `KVS_STREAM(progress_stream, progress_valid_o, progress_ready_i, progress_o)
  `KVS_STREAM(end_stream, end_valid_o, end_ready_i, end_o)
  `KVS_ASSERT(no_beat_without_read, !mem_valid_i || head_valid)
  `KVS_ASSERT(no_beat_too_many, !mem_valid_i || !head_valid || got_q < issued_q[head])
  `KVS_ASSERT(burst_inside_page, !rd_valid_o || 32'(rd_o.addr[11:BeatShift]) + 32'(rd_o.len) < 32'(4096 / BeatBytes))

  logic unused;
  assign unused = ^{take_onehot, take_profile, it_profile, head_profile, row_addr[BeatShift-1:0], cfg_i};

endmodule

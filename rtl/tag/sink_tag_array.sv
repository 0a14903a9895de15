// SPDX-License-Identifier: Apache-2.0
// The tags of all promoted tokens: which tokens of which granule of which owner are in SRAM, and in which slots.
//
// An entry is one granule (16 tokens) of one owner. What is matched lies in flip-flops (valid, owner, granule, block
// table word); behind it one memory row an entry holds for each token {valid, slot, profile, watermark}. The row memory
// is there twice, with the same contents: one for lookups, which never wait, one for commands.
//
//   cycle     t                       t+1                          t+2
//   lookup    match, start row read   row, profile, watermark ->   hit_o
//   command   match, start row read   decide, write row, flags ->  ack_o
//
// Contracts
//  - Lookups: one a cycle, never stalled, hit_o exactly 2 cycles later; slot and profile are 0 where hit is 0. A token
//    hits when its entry is valid and has this owner, granule and word, its profile covers the layer, the head and every
//    plane, and layer < watermark.
//  - Commands: one at a time, every second cycle, ack_o exactly 2 cycles later. A command accepted in cycle t acts on
//    lookups from t+2 on; TagRemove (and a retire) already on those of cycle t: the removal wins. Install takes a free
//    entry when the granule has none; an entry whose last token is removed is free again in the next cycle but one.
//  - retire_i may come in any cycle. No lookup of that cycle or later hits a token of the range while the sweep runs,
//    also not one that was installed again since; commands accepted in that cycle or later see the range as removed,
//    and what they install is not swept. The sweep visits one entry a cycle and takes at most Entries + 16 cycles (a
//    granule that is partly in the range costs up to 3 more, and at most two are). While one sweep runs one more retire
//    may come, and waits; residency_ctrl issues one at a time. A third would be joined with the waiting one into a
//    range that holds both (never wrong, but it may remove more). Entries not yet swept are not free for Install.
//  - free_entries_o is exact, one cycle behind.
//  - Searches: see tag_next.
// At most one entry matches a granule of an owner: Install adds to the one that is there. Asserted on both match ports.

`include "kvsink_assert.svh"

module sink_tag_array
  import kvsink_cfg_pkg::*;
  import kvsink_pkg::*;
(
    input logic clk_i,
    input logic rst_ni,

    input profile_cfg_t [Profiles-1:0] profiles_i,

    input  retire_t  retire_i,
    output logic     sweep_busy_o,
    output entries_t free_entries_o,

    input  logic          next_valid_i,
    output logic          next_ready_o,
    input  tag_next_req_t next_i,
    output logic          next_rsp_valid_o,
    output tag_next_rsp_t next_rsp_o,

    input  logic        lookup_valid_i,
    input  tag_lookup_t lookup_i,
    output logic        hit_valid_o,
    output tag_hit_t    hit_o,

    input  logic     cmd_valid_i,
    output logic     cmd_ready_o,
    input  tag_cmd_t cmd_i,
    output logic     ack_valid_o,
    output tag_ack_t ack_o
);

  if (Entries < 8 || Entries > 512 || (Entries & (Entries - 1)) != 0) begin : gen_bad_entries
    $error("sink_tag_array: ENTRIES %0d is not a power of two in 8..512", Entries);
  end

  typedef struct packed {
    logic     valid;
    slot_t    slot;
    profile_t profile;
    layers_t  watermark;
  } cell_t;
  typedef cell_t [GranuleTokens-1:0] row_t;
  localparam int unsigned CellW = $bits(cell_t);
  localparam int unsigned RowW = $bits(row_t);

  // ------------------------------------------------------------------------------------------------------- entries
  logic   [Entries-1:0] valid_q;
  logic   [Entries-1:0] word_valid_q;
  owner_t [Entries-1:0] owner_q;
  gran_t  [Entries-1:0] granule_q;
  word_t  [Entries-1:0] word_q;

  function automatic entry_t index_of(input logic [Entries-1:0] onehot);
    entry_t index;
    index = '0;
    for (int unsigned e = 0; e < Entries; e++) begin
      if (onehot[e]) index |= entry_t'(e);
    end
    return index;
  endfunction

  // Tokens of a granule that lie in a range.
  function automatic tokens_t in_range(input retire_t range, input owner_t owner, input gran_t granule);
    tokens_t tokens;
    gran_t lo, hi;
    lo = range.first[PosW-1:4];
    hi = range.last[PosW-1:4];
    tokens = '1;
    if (granule == lo) tokens &= {GranuleTokens{1'b1}} << range.first[3:0];
    if (granule == hi) tokens &= {GranuleTokens{1'b1}} >> ~range.last[3:0];
    if (owner != range.owner || granule < lo || granule > hi) tokens = '0;
    if (range.all) tokens = '1;
    if (!range.valid) tokens = '0;
    return tokens;
  endfunction

  // ------------------------------------------------------------------------------------------------------ retires
  // Two places: the one at cur_q is being swept, the other waits. `fresh` marks entries that Install has put right since
  // the retire came: their tokens of the range are gone already, or newer than it.
  localparam int unsigned Ranges = 2;
  retire_t [Ranges-1:0]              range_q;
  logic    [Ranges-1:0][Entries-1:0] fresh_q;
  logic                              cur_q;
  entry_t                            sweep_q;
  logic                              partial_q;  // the entry at sweep_q is partly in the range: its row is needed
  logic                              row_q;  // and is there
  // All visited. The range counts for one more cycle: a lookup may have matched the last entry as it was removed.
  logic                              swept_q;

  assign sweep_busy_o = range_q[0].valid || range_q[1].valid;

  // ------------------------------------------------------------------------------------------------------- lookups
  logic [Entries-1:0] look_same, look_match;
  always_comb begin
    for (int unsigned e = 0; e < Entries; e++) begin
      look_same[e]  = valid_q[e] && owner_q[e] == lookup_i.owner && granule_q[e] == lookup_i.granule;
      look_match[e] = look_same[e] && word_valid_q[e] && word_q[e] == lookup_i.word;
    end
  end

  entry_t look_entry;
  logic   look_found;
  assign look_entry = index_of(look_match);
  assign look_found = lookup_valid_i && look_match != '0;

  logic [Profiles-1:0] covers;
  always_comb begin
    for (int unsigned p = 0; p < Profiles; p++) begin
      covers[p] = profiles_i[p].valid && lookup_i.layer >= profiles_i[p].layer_first &&
          layers_t'(lookup_i.layer - profiles_i[p].layer_first) < profiles_i[p].layer_count &&
          profiles_i[p].head_mask[lookup_i.head] && (lookup_i.planes & ~profiles_i[p].plane_mask) == '0;
    end
  end

  logic look_valid_q, look_found_q;
  entry_t look_entry_q;
  owner_t look_owner_q;
  gran_t look_granule_q;
  layer_t look_layer_q;
  logic [Profiles-1:0] covers_q;

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      look_valid_q <= 1'b0;
      look_found_q <= 1'b0;
      hit_valid_o  <= 1'b0;
    end else begin
      look_valid_q <= lookup_valid_i;
      look_found_q <= look_found;
      hit_valid_o  <= look_valid_q;
    end
  end

  always_ff @(posedge clk_i) begin
    look_entry_q <= look_entry;
    look_owner_q <= lookup_i.owner;
    look_granule_q <= lookup_i.granule;
    look_layer_q <= lookup_i.layer;
    covers_q <= covers;
  end

  // Removal of a token under way: the lookups of the cycle it was accepted in and of the next read the old row.
  logic [1:0] removing;
  entry_t [1:0] removing_entry;
  token_t [1:0] removing_token;

  row_t look_row;
  tag_hit_t hit_d;
  always_comb begin
    tokens_t retired;
    retired = '0;
    for (int unsigned r = 0; r < Ranges; r++) retired |= in_range(range_q[r], look_owner_q, look_granule_q);
    hit_d = '0;
    for (int unsigned t = 0; t < GranuleTokens; t++) begin
      hit_d.hit[t] = look_found_q && look_row[t].valid && covers_q[look_row[t].profile] &&
          layers_t'(look_layer_q) < look_row[t].watermark && !retired[t];
      for (int unsigned i = 0; i < 2; i++) begin
        if (removing[i] && removing_entry[i] == look_entry_q && removing_token[i] == token_t'(t)) begin
          hit_d.hit[t] = 1'b0;
        end
      end
      if (hit_d.hit[t]) begin
        hit_d.slot[t] = look_row[t].slot;
        hit_d.profile[t] = look_row[t].profile;
      end
    end
  end

  always_ff @(posedge clk_i) hit_o <= hit_d;

  // ------------------------------------------------------------------------------------------------------ commands
  logic busy_q;  // second cycle of a command
  logic take;
  assign cmd_ready_o = !busy_q && !partial_q;
  assign take = cmd_valid_i && cmd_ready_o;

  logic by_key;
  logic [Entries-1:0] key_match;
  entry_t cmd_entry;
  assign by_key = cmd_i.op == TagInstall || cmd_i.op == TagFind;
  always_comb begin
    for (int unsigned e = 0; e < Entries; e++) begin
      key_match[e] = valid_q[e] && owner_q[e] == cmd_i.owner && granule_q[e] == cmd_i.granule;
    end
  end
  assign cmd_entry = by_key ? index_of(key_match) : cmd_i.entry;

  tag_cmd_t cmd_q;
  entry_t entry_q;
  owner_t of_owner_q;  // owner and granule of the entry
  gran_t of_granule_q;
  logic found_q;
  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) busy_q <= 1'b0;
    else busy_q <= take;
  end
  always_ff @(posedge clk_i) begin
    if (take) begin
      cmd_q <= cmd_i;
      entry_q <= cmd_entry;
      of_owner_q <= by_key ? cmd_i.owner : owner_q[cmd_entry];
      of_granule_q <= by_key ? cmd_i.granule : granule_q[cmd_entry];
      found_q <= by_key ? (key_match != '0) : valid_q[cmd_entry];
    end
  end

  // The lowest free entry. A cycle late, which is in time: entries are taken at most every second cycle.
  logic none_free, none_free_q;
  entry_t free_entry, free_entry_q;
  logic [Entries-1:0] free_onehot_unused;
  kv_first #(
      .Width(Entries)
  ) u_free (
      .bits_i  (~valid_q),
      .none_o  (none_free),
      .index_o (free_entry),
      .onehot_o(free_onehot_unused)
  );
  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) none_free_q <= 1'b1;
    else none_free_q <= none_free;
  end
  always_ff @(posedge clk_i) free_entry_q <= free_entry;

  logic cmd_entry_unused;
  assign cmd_entry_unused = ^cmd_q.entry;  // it is in entry_q

  // Second cycle: what the row holds, without what a retire has taken from it.
  row_t cmd_row;
  logic found;
  tokens_t gone, live, named;
  logic holds;
  always_comb begin
    found = found_q && valid_q[entry_q];
    gone  = '0;
    for (int unsigned r = 0; r < Ranges; r++) begin
      if (!fresh_q[r][entry_q]) gone |= in_range(range_q[r], of_owner_q, of_granule_q);
    end
    for (int unsigned t = 0; t < GranuleTokens; t++) begin
      live[t]  = found && cmd_row[t].valid && !gone[t];
      named[t] = cmd_q.token == token_t'(t);
    end
    holds = live[cmd_q.token] && cmd_row[cmd_q.token].slot == cmd_q.slot;
  end

  tag_ack_t ack_d;
  tokens_t  cmd_we;  // lanes that the command writes: named ones get cell_d, others become empty
  cell_t    cell_d;
  logic allocate, reuse;  // Install takes a free entry, or one that is there (and may be empty by now)
  logic set_word, release_cmd;
  always_comb begin
    ack_d = '{status: StOk, entry: entry_q, slot: cmd_q.slot};
    cmd_we = '0;
    cell_d = '{valid: 1'b1, slot: cmd_q.slot, profile: cmd_q.profile, watermark: '0};
    allocate = 1'b0;
    reuse = 1'b0;
    set_word = 1'b0;
    release_cmd = 1'b0;
    unique case (cmd_q.op)
      TagInstall: begin
        if (live[cmd_q.token]) begin
          ack_d.status = StAlready;
          ack_d.slot   = cmd_row[cmd_q.token].slot;
        end else if (found) begin
          reuse  = 1'b1;
          cmd_we = gone | named;
        end else if (!none_free_q) begin
          allocate = 1'b1;
          ack_d.entry = free_entry_q;
          cmd_we = '1;
        end else begin
          ack_d.status = StNoEntry;
        end
      end
      TagSetWord: begin
        if (!holds) ack_d.status = StNotResident;
        else if (!word_valid_q[entry_q]) set_word = 1'b1;
        else if (word_q[entry_q] != cmd_q.word) ack_d.status = StGeneration;
      end
      TagWatermark: begin
        cell_d = cmd_row[cmd_q.token];
        cell_d.watermark = cmd_q.watermark;
        if (holds) cmd_we = named;
        else ack_d.status = StNotResident;
      end
      TagRemove: begin
        cell_d = '0;
        if (holds) begin
          cmd_we = named;
          release_cmd = (live & ~named) == '0;
        end else begin
          ack_d.status = StNotResident;
        end
      end
      TagFind: begin
        ack_d.slot = cmd_row[cmd_q.token].slot;
        if (!live[cmd_q.token]) ack_d.status = StNotResident;
      end
      default: ack_d.status = StBadCommand;
    endcase
    if (!busy_q) begin
      cmd_we = '0;
      allocate = 1'b0;
      reuse = 1'b0;
      set_word = 1'b0;
      release_cmd = 1'b0;
    end
  end

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) ack_valid_o <= 1'b0;
    else ack_valid_o <= busy_q;
  end
  always_ff @(posedge clk_i) ack_o <= ack_d;

  logic   was_removing_q;
  entry_t was_entry_q;
  token_t was_token_q;
  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) was_removing_q <= 1'b0;
    else was_removing_q <= removing[0];
  end
  always_ff @(posedge clk_i) begin
    was_entry_q <= entry_q;
    was_token_q <= cmd_q.token;
  end
  assign removing = {was_removing_q, busy_q && cmd_q.op == TagRemove && holds};
  assign removing_entry = {was_entry_q, entry_q};
  assign removing_token = {was_token_q, cmd_q.token};

  // -------------------------------------------------------------------------------------------------------- sweep
  tokens_t swept, left;
  logic concerned, whole, step, read_partial, release_sweep, sweep_we;
  // The key of the entry at sweep_q, read a step ahead: what to remove is decided from it in one cycle.
  owner_t sweep_owner_q;
  gran_t  sweep_granule_q;
  entry_t sweep_next;
  assign sweep_next = sweep_q + entry_t'(1);

  always_ff @(posedge clk_i) begin
    if (step) begin
      sweep_owner_q   <= owner_q[sweep_next];
      sweep_granule_q <= granule_q[sweep_next];
    end
    if (allocate && (step ? free_entry_q == sweep_next : free_entry_q == sweep_q)) begin
      sweep_owner_q   <= cmd_q.owner;
      sweep_granule_q <= cmd_q.granule;
    end
  end

  always_comb begin
    swept = in_range(range_q[cur_q], sweep_owner_q, sweep_granule_q);
    concerned = range_q[cur_q].valid && !swept_q && valid_q[sweep_q] && !fresh_q[cur_q][sweep_q] && swept != '0;
    whole = swept == '1;
    // No command is in its second cycle when a row is read for the sweep, and none is accepted until that is written.
    read_partial = partial_q && !row_q && !busy_q;
    for (int unsigned t = 0; t < GranuleTokens; t++) left[t] = cmd_row[t].valid && !swept[t];
    sweep_we = row_q && concerned;
    step = range_q[cur_q].valid && !swept_q && (row_q || (!partial_q && (!concerned || whole)));
    // An Install of this very cycle has put the entry right, and holds it.
    release_sweep = concerned && (whole ? !(reuse && entry_q == sweep_q) : (row_q && left == '0));
  end


  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      range_q   <= '0;
      cur_q     <= 1'b0;
      sweep_q   <= '0;
      partial_q <= 1'b0;
      row_q     <= 1'b0;
      swept_q   <= 1'b0;
    end else begin
      if (step) sweep_q <= sweep_next;
      partial_q <= (partial_q && !row_q) || (!partial_q && concerned && !whole);
      row_q <= read_partial;
      swept_q <= step && sweep_q == entry_t'(Entries - 1);
      if (swept_q) begin
        range_q[cur_q].valid <= 1'b0;
        cur_q <= !cur_q;
      end
      if (retire_i.valid) begin
        if (!range_q[cur_q].valid) begin
          range_q[cur_q] <= retire_i;
        end else if (!range_q[!cur_q].valid) begin
          range_q[!cur_q] <= retire_i;
        end else begin
          range_q[!cur_q].all <= retire_i.all || range_q[!cur_q].all || retire_i.owner != range_q[!cur_q].owner;
          if (retire_i.first < range_q[!cur_q].first) range_q[!cur_q].first <= retire_i.first;
          if (retire_i.last > range_q[!cur_q].last) range_q[!cur_q].last <= retire_i.last;
        end
      end
    end
  end

  always_ff @(posedge clk_i) begin
    if (allocate || reuse) begin
      fresh_q[0][ack_d.entry] <= 1'b1;
      fresh_q[1][ack_d.entry] <= 1'b1;
    end
    if (retire_i.valid) fresh_q[range_q[cur_q].valid?!cur_q : cur_q] <= '0;
  end

  // -------------------------------------------------------------------------------------------------- entry state
  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      valid_q <= '0;
      free_entries_o <= entries_t'(Entries);
    end else begin
      if (release_sweep) valid_q[sweep_q] <= 1'b0;
      if (release_cmd) valid_q[entry_q] <= 1'b0;
      if (allocate) valid_q[free_entry_q] <= 1'b1;
      free_entries_o <= free_entries_o + entries_t'(release_sweep) + entries_t'(release_cmd) - entries_t'(allocate);
    end
  end

  always_ff @(posedge clk_i) begin
    if (allocate) begin
      owner_q[free_entry_q] <= cmd_q.owner;
      granule_q[free_entry_q] <= cmd_q.granule;
      word_valid_q[free_entry_q] <= 1'b0;
    end
    // What was there is all retired: so is its word.
    if (reuse && live == '0) word_valid_q[entry_q] <= 1'b0;
    if (set_word) begin
      word_valid_q[entry_q] <= 1'b1;
      word_q[entry_q] <= cmd_q.word;
    end
  end

  // ---------------------------------------------------------------------------------------------------- row memory
  tokens_t row_we;
  row_t row_wdata;
  entry_t row_waddr;
  always_comb begin
    row_we = cmd_we;
    row_waddr = ack_d.entry;
    row_wdata = '0;
    for (int unsigned t = 0; t < GranuleTokens; t++) begin
      if (named[t]) row_wdata[t] = cell_d;
    end
    if (sweep_we) begin
      row_we = swept;
      row_waddr = sweep_q;
      row_wdata = '0;
    end
  end

  kv_ram_1r1w #(
      .Words(Entries),
      .Width(RowW),
      .LaneW(CellW)
  ) u_look_rows (
      .clk_i,
      .re_i   (look_found),
      .raddr_i(look_entry),
      .rdata_o(look_row),
      .we_i   (row_we),
      .waddr_i(row_waddr),
      .wdata_i(row_wdata)
  );

  kv_ram_1r1w #(
      .Words(Entries),
      .Width(RowW),
      .LaneW(CellW)
  ) u_cmd_rows (
      .clk_i,
      .re_i   (take || read_partial),
      .raddr_i(take ? cmd_entry : sweep_q),
      .rdata_o(cmd_row),
      .we_i   (row_we),
      .waddr_i(row_waddr),
      .wdata_i(row_wdata)
  );

  tag_next u_next (
      .clk_i,
      .rst_ni,
      .entry_valid_i  (valid_q),
      .entry_owner_i  (owner_q),
      .entry_granule_i(granule_q),
      .next_valid_i,
      .next_ready_o,
      .next_i,
      .rsp_valid_o    (next_rsp_valid_o),
      .rsp_o          (next_rsp_o)
  );

  // ---------------------------------------------------------------------------------------------------- assertions
  `KVS_ASSERT(one_match_lookup, !lookup_valid_i || $onehot0(look_same))
  `KVS_ASSERT(one_match_command, !(take && by_key) || $onehot0(key_match))
  `KVS_ASSERT(one_writer, !(sweep_we && cmd_we != '0))
  `KVS_ASSERT(one_retire_waits, !(retire_i.valid && range_q[0].valid && range_q[1].valid))
  `KVS_ASSERT(sweep_key_is_current,
              !valid_q[sweep_q] || (sweep_owner_q == owner_q[sweep_q] && sweep_granule_q == granule_q[sweep_q]))
  `KVS_ASSERT(free_is_counted, !(free_entries_o == '0 && allocate))
  `KVS_STREAM(cmd, cmd_valid_i, cmd_ready_o, cmd_i)
  `KVS_STREAM(next, next_valid_i, next_ready_o, next_i)

endmodule

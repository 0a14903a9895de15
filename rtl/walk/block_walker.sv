// SPDX-License-Identifier: Apache-2.0
// Translates positions: the only reader of the owners' block tables, which lie in memory as one int32 a block.
//
// Contract
//   Requests   {owner, position}, valid/ready. A position below the owner's prefix length is looked up in the prefix
//              owner's table, and that owner's length and committed length count (a prefix owner has no prefix itself).
//   Answers    In order of its requests for each client. status: StOk; StBadOwner (owner or prefix owner not valid);
//              StBadRange (at or beyond the length); StUnmapped (bit 31 of the word); StBusError. `word` is 0 unless StOk.
//   Retire     An answer handed over in any cycle after a retire pulse comes from a table read issued after the pulse,
//              for the owner of the pulse (or all): lines, reads in flight and waiting answers of that owner are dropped
//              and read again. The one departure from a stream: an answer that waits for ready in the cycle of the pulse
//              is withdrawn, and shown again when it has been read anew.
//   Kept words Lines of one beat (BusBits / 32 words), Translations words in all. Of a line read from memory the words
//              are kept whose block began below the owner's length when the read was decided, so appending needs no
//              retire. Lines are tagged by address: a new table base needs none either. An unmapped word is never
//              served from a line that was held before the request, so mapping a block needs none.
//   Errors     A table read that ends with a bus error answers all who wait for it with StBusError; nothing is kept.
// Latency: a request taken in cycle t whose word is held is answered in t+7 (t+13 below a prefix length), otherwise a
// memory latency later. Throughput: one lookup a cycle over all clients, so one answer a cycle, or one in two cycles
// below a prefix length. A client's misses never hold up another's hits.
//
//   request -> place (Depth a client) -> arbiter -> s1 owner table -> s2 context -> s3 address -> s4 line memories -> s5
//                ^  WANT, LOOK                                                                                       |
//                |  hit: READY -> answer                                                                             |
//                +- new miss: WAIT for a read slot;  same line in flight: WAIT too;  no room or set busy: HOLD <-----+
//
// A read slot is busy from the miss until its beat is in the line memory and all who waited for it have looked again; no
// other line of the same set is asked for in that time, so a waiting request always finds its word. HOLD ends when any
// slot becomes free. Stale lines are told by an epoch: a count a group of owners, raised by retire; when one wraps, and
// on a retire of all, every line is dropped.
//
// The line memory is direct mapped, by a hash of address and owner: a conflict costs one beat for LineWords pages, which
// is less than 1 % of the beats of their rows, and halves the read width against two ways.
//   Clients      1 to 3
//   Depth        requests held a client, a power of two; 8 keep one client at one answer a cycle
//   Reads        table reads in flight, a power of two
//   PrefetchUp    clients whose first lookup in a line fetches the next line up
//   PrefetchDown  clients whose first lookup in a line fetches lines below, to Ahead of them; in a walk down one more a line
//   Ahead         lines, 1 to Reads: with rows of one 64-byte row a page, Reads lines cover a latency of 250 cycles

`include "kvsink_assert.svh"

module block_walker
  import kvsink_cfg_pkg::*;
  import kvsink_pkg::*;
#(
    parameter int unsigned Clients = 3,
    parameter int unsigned Depth = 8,
    parameter int unsigned Reads = 16,
    parameter logic [Clients-1:0] PrefetchUp = Clients'(2),
    parameter logic [Clients-1:0] PrefetchDown = Clients'(4),
    parameter int unsigned Ahead = Reads - 1
) (
    input  logic                      clk_i,
    input  logic                      rst_ni,
    input  layout_cfg_t               layout_i,
    input  retire_t                   retire_i,
    input  logic        [Clients-1:0] req_valid_i,
    output logic        [Clients-1:0] req_ready_o,
    input  walk_req_t   [Clients-1:0] req_i,
    output logic        [Clients-1:0] rsp_valid_o,
    input  logic        [Clients-1:0] rsp_ready_i,
    output walk_rsp_t   [Clients-1:0] rsp_o,
    output owner_t                    rd_owner_o,
    input  owner_ctx_t                rd_ctx_i,
    output logic                      rd_valid_o,
    input  logic                      rd_ready_i,
    output rd_req_t                   rd_o,
    input  logic                      mem_valid_i,
    input  rd_rsp_t                   mem_i,
    output walk_count_t               count_o
);

  localparam int unsigned LineWords = BusBits / 32;
  localparam int unsigned SelW = $clog2(LineWords);
  localparam int unsigned Lines = Translations / LineWords;
  localparam int unsigned SetW = $clog2(Lines);
  localparam int unsigned LineW = AddrW - BeatShift;
  localparam int unsigned HighW = LineW - SetW;
  localparam int unsigned BlockW = PosW - $clog2(GranuleTokens);
  localparam int unsigned Places = Clients * Depth;
  localparam int unsigned PlaceW = $clog2(Places);
  localparam int unsigned IndexW = $clog2(Depth);
  localparam int unsigned SlotW = $clog2(Reads);
  localparam int unsigned OwnerW = $clog2(Owners);
  localparam int unsigned GroupW = (OwnerW > 6) ? 6 : OwnerW;
  localparam int unsigned Groups = 2 ** GroupW;
  localparam int unsigned EpochW = 4;
  localparam int unsigned AheadW = $clog2(Ahead + 1);

  if (Clients < 1 || Clients > 3) begin : gen_bad_clients
    $error("block_walker: Clients %0d is not in 1..3", Clients);
  end
  if (Depth < 2 || Depth != 2 ** IndexW) begin : gen_bad_depth
    $error("block_walker: Depth %0d is not a power of two of 2 or more", Depth);
  end
  if (Reads < 2 || Reads != 2 ** SlotW) begin : gen_bad_reads
    $error("block_walker: Reads %0d is not a power of two of 2 or more", Reads);
  end
  if (LineWords < 2 || LineWords != 2 ** SelW) begin : gen_bad_bus
    $error("block_walker: BusBits %0d is not a power of two of 64 or more", BusBits);
  end
  if (Lines < 2 || Lines != 2 ** SetW) begin : gen_bad_lines
    $error(
        "block_walker: Translations %0d make %0d lines, which is not a power of two of 2 or more", Translations, Lines
    );
  end

  typedef logic [PlaceW-1:0] place_t;
  typedef logic [IndexW-1:0] index_t;
  typedef logic [LineW-1:0] line_t;  // memory address in beats
  typedef logic [HighW-1:0] high_t;
  typedef logic [SelW-1:0] sel_t;  // word of a line
  typedef logic [SelW:0] limit_t;  // words of a line that are kept, from word 0 on
  typedef logic [SetW-1:0] set_t;
  typedef logic [BlockW-1:0] block_t;
  typedef logic [BlockW:0] blocks_t;
  typedef logic [SlotW-1:0] slot_idx_t;
  typedef logic [SlotW:0] slot_ptr_t;
  typedef logic [GroupW-1:0] group_t;
  typedef logic [EpochW-1:0] epoch_t;
  typedef logic [AheadW-1:0] lines_t;  // a count of lines, at most Ahead

  typedef enum logic [2:0] {
    PlFree,
    PlWant,  // to be looked up
    PlLook,  // in the pipeline
    PlHold,  // the line cannot be asked for now; wanted again when a read slot becomes free
    PlWait,  // its line is being read
    PlReady  // answered, waits for its turn and its client
  } place_e;

  typedef enum logic [2:0] {
    AnsOk,
    AnsBadOwner,
    AnsBadRange,
    AnsUnmapped,
    AnsBusError,
    AnsPrefix     // only inside: look again, in the prefix owner's table
  } ans_e;

  // The walker drops by owner, whatever the range: asking again costs a beat.
  typedef struct packed {
    logic   valid;
    logic   all;
    owner_t owner;
  } drop_t;
  drop_t drop;
  assign drop = '{valid: retire_i.valid, all: retire_i.all, owner: retire_i.owner};

  function automatic logic retires(input drop_t d, input owner_t owner);
    return d.valid && (d.all || d.owner == owner);
  endfunction

  // Every bit of the address reaches the set, so that tables at a power-of-two distance do not collide.
  function automatic set_t set_of(input line_t line, input owner_t owner);
    set_t s;
    s = set_t'(owner);
    for (int unsigned i = 0; i < LineW; i++) s[i%SetW] ^= line[i];
    return s;
  endfunction

  // ------------------------------------------------------------------------------------------------------------- places
  place_e [Places-1:0] state_q, state_d;
  owner_t [Places-1:0] owner_q;
  pos_t   [Places-1:0] pos_q;
  logic   [Places-1:0] second_q;  // the owner is a prefix owner: no prefix of its own counts
  logic [Places-1:0] holds_q, holds_d;  // slot_q keeps its set for this place
  slot_idx_t [Places-1:0] slot_q;
  ans_e [Places-1:0] ans_q;
  word_t [Places-1:0] word_q;
  logic [Places-1:0] committed_q;

  index_t [Clients-1:0] head_q, tail_q;
  logic [Clients-1:0] push, pop;
  logic [Places-1:0] push_place, pop_place, kill_place;

  for (genvar c = 0; c < int'(Clients); c++) begin : gen_client
    place_t head, tail;
    assign head = place_t'(c * Depth) + place_t'(head_q[c]);
    assign tail = place_t'(c * Depth) + place_t'(tail_q[c]);
    assign req_ready_o[c] = state_q[tail] == PlFree;
    assign rsp_valid_o[c] = state_q[head] == PlReady;
    assign push[c] = req_valid_i[c] && req_ready_o[c];
    assign pop[c] = rsp_valid_o[c] && rsp_ready_i[c];

    always_comb begin
      rsp_o[c].owner = owner_q[head];
      rsp_o[c].word = (ans_q[head] == AnsOk) ? word_q[head] : '0;
      rsp_o[c].committed = committed_q[head];
      unique case (ans_q[head])
        AnsOk: rsp_o[c].status = StOk;
        AnsBadOwner: rsp_o[c].status = StBadOwner;
        AnsBadRange: rsp_o[c].status = StBadRange;
        AnsUnmapped: rsp_o[c].status = StUnmapped;
        default: rsp_o[c].status = StBusError;
      endcase
    end

    always_ff @(posedge clk_i or negedge rst_ni) begin
      if (!rst_ni) begin
        head_q[c] <= '0;
        tail_q[c] <= '0;
      end else begin
        if (pop[c]) head_q[c] <= head_q[c] + index_t'(1);
        if (push[c]) tail_q[c] <= tail_q[c] + index_t'(1);
      end
    end
    for (genvar i = 0; i < int'(Depth); i++) begin : gen_place
      assign push_place[c*Depth+i] = push[c] && tail_q[c] == index_t'(i);
      assign pop_place[c*Depth+i]  = pop[c] && head_q[c] == index_t'(i);
      assign kill_place[c*Depth+i] = retires(drop, owner_q[c*Depth+i]);
    end
  end

  // ---------------------------------------------------------------------- arbiter: clients in turn, oldest wish of each
  localparam int unsigned ClientW = (Clients > 1) ? $clog2(Clients) : 1;
  typedef logic [ClientW-1:0] client_t;
  logic   [Clients-1:0] wants;
  place_t [Clients-1:0] wish;
  client_t last_q, turn;
  logic   look;
  place_t look_place;

  for (genvar c = 0; c < int'(Clients); c++) begin : gen_wish
    logic [Depth-1:0] want, later, want_first, want_any_first;
    logic none_later;
    index_t index_later, index_any;
    for (genvar i = 0; i < int'(Depth); i++) begin : gen_want
      assign want[i] = state_q[c*Depth+i] == PlWant;
    end
    assign later = {Depth{1'b1}} << head_q[c];
    kv_first #(
        .Width(Depth)
    ) u_later (
        .bits_i  (want & later),
        .none_o  (none_later),
        .index_o (index_later),
        .onehot_o(want_first)
    );
    logic none_any;
    kv_first #(
        .Width(Depth)
    ) u_any (
        .bits_i  (want),
        .none_o  (none_any),
        .index_o (index_any),
        .onehot_o(want_any_first)
    );
    assign wants[c] = !none_any;
    assign wish[c]  = place_t'(c * Depth) + (none_later ? place_t'(index_any) : place_t'(index_later));
    logic unused_onehot;
    assign unused_onehot = ^{want_first, want_any_first};
  end

  always_comb begin
    turn = '0;
    look = 1'b0;
    for (int unsigned d = Clients; d >= 1; d--) begin  // the client behind the last one served wins
      for (int unsigned c = 0; c < Clients; c++) begin
        if ((32'(last_q) + d) % Clients == c && wants[c]) begin
          turn = client_t'(c);
          look = 1'b1;
        end
      end
    end
    look_place = wish[turn];
  end
  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) last_q <= '0;
    else if (look) last_q <= turn;
  end

  // ----------------------------------------------------------------------------------------------------- read slots (1)
  typedef struct packed {
    owner_t owner;
    line_t  line;
    set_t   set;
    limit_t limit;
  } slot_req_t;
  slot_req_t [Reads-1:0] slot_req_q;
  logic [Reads-1:0] busy_q, returned_q, stale_q, held, frees;
  slot_ptr_t alloc_q, issue_q, return_q;  // a ring: asked for, issued, returned
  slot_idx_t alloc_idx, issue_idx, return_idx;
  logic wake_q;
  assign alloc_idx  = slot_idx_t'(alloc_q);
  assign issue_idx  = slot_idx_t'(issue_q);
  assign return_idx = slot_idx_t'(return_q);

  // A beat comes back: its line is written, unless an error or a retire makes it worthless.
  logic back, back_good, fill;
  slot_req_t back_req;
  assign back = mem_valid_i && return_q != issue_q;
  assign back_req = slot_req_q[return_idx];
  assign back_good = back && !stale_q[return_idx] && !retires(drop, back_req.owner);
  assign fill = back_good && !mem_i.error;

  // ----------------------------------------------------------------------------------------------------------- s1 and s2
  typedef struct packed {
    place_t place;
    owner_t owner;
    pos_t   pos;
    logic   second;
  } s1_t;
  logic s1_valid_q, s2_valid_q;
  s1_t s1_q, s2_q;
  assign rd_owner_o = s1_q.owner;

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      s1_valid_q <= 1'b0;
      s2_valid_q <= 1'b0;
    end else begin
      s1_valid_q <= look;
      s2_valid_q <= s1_valid_q && !retires(drop, s1_q.owner);
    end
  end
  always_ff @(posedge clk_i) begin
    s1_q <= '{place: look_place, owner: owner_q[look_place], pos: pos_q[look_place], second: second_q[look_place]};
    s2_q <= s1_q;
  end

  // ------------------------------------------------------------------------ s2: what the context says about the position
  typedef struct packed {
    place_t           place;
    owner_t           owner;
    ans_e             ans;
    owner_t           prefix;
    logic             committed;
    logic [AddrW-1:2] base;       // in words
    block_t           block;
    blocks_t          left;       // blocks from this one to the last below the length
  } s3_t;
  logic s3_valid_q;
  s3_t s3_q, s3_d;
  len_t page_mask;
  assign page_mask = ~(~len_t'(0) << layout_i.page_log2);

  always_comb begin
    s3_d.place = s2_q.place;
    s3_d.owner = s2_q.owner;
    s3_d.prefix = rd_ctx_i.prefix_owner;
    s3_d.committed = 1'b0;
    s3_d.base = rd_ctx_i.table_base[AddrW-1:2];
    s3_d.block = block_t'(s2_q.pos >> layout_i.page_log2);
    s3_d.left = blocks_t'(((PosW + 2)'(rd_ctx_i.length) + (PosW + 2)'(page_mask)) >> layout_i.page_log2)
        - blocks_t'(s3_d.block);
    s3_d.ans = AnsOk;
    if (!rd_ctx_i.valid) s3_d.ans = AnsBadOwner;
    else if (!s2_q.second && rd_ctx_i.prefix_valid && len_t'(s2_q.pos) < rd_ctx_i.prefix_len) s3_d.ans = AnsPrefix;
    else if (len_t'(s2_q.pos) >= rd_ctx_i.length) s3_d.ans = AnsBadRange;
    else s3_d.committed = len_t'(s2_q.pos) < rd_ctx_i.committed;
  end

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) s3_valid_q <= 1'b0;
    else s3_valid_q <= s2_valid_q && !retires(drop, s2_q.owner);
  end
  always_ff @(posedge clk_i) s3_q <= s3_d;

  // ------------------------------------------------------ s3: address of the line; a prefetch takes the place of a bubble
  typedef struct packed {
    logic   prefetch;
    place_t place;
    owner_t owner;
    ans_e   ans;
    owner_t prefix;
    logic   committed;
    line_t  line;
    sel_t   sel;
    limit_t limit;
    lines_t below;      // lines below that hold blocks of the table, at most Ahead
    limit_t above;      // words to keep of the line above
  } s4_t;
  typedef struct packed {
    owner_t owner;
    line_t  line;
    limit_t limit;
  } ahead_t;
  // The next line up; and lines below: the next one, and how many.
  logic s4_valid_q, up_valid_q, up_taken, down_taken;
  s4_t s4_q, s4_d;
  ahead_t up_q, down_q, ahead;
  lines_t down_left_q;
  blocks_t first_block, lines_below;
  logic [AddrW-1:2] word_addr;
  blocks_t fits, beyond;  // blocks of the table in this line from the word on, and behind the line
  logic s3_go;
  assign s3_go = s3_valid_q && !retires(drop, s3_q.owner);
  assign up_taken = !s3_valid_q && up_valid_q;
  assign down_taken = !s3_valid_q && !up_valid_q && down_left_q != '0;
  assign ahead = up_taken ? up_q : down_q;

  always_comb begin
    word_addr = s3_q.base + (AddrW - 2)'(s3_q.block);
    s4_d = '0;
    s4_d.place = s3_q.place;
    s4_d.owner = s3_q.owner;
    s4_d.ans = s3_q.ans;
    s4_d.prefix = s3_q.prefix;
    s4_d.committed = s3_q.committed;
    s4_d.line = word_addr[AddrW-1:BeatShift];
    s4_d.sel = word_addr[2+:SelW];
    fits = blocks_t'(LineWords) - blocks_t'(s4_d.sel);
    beyond = s3_q.left - fits;
    s4_d.limit = (s3_q.left >= fits) ? limit_t'(LineWords) : limit_t'(s4_d.sel) + limit_t'(s3_q.left);
    first_block = blocks_t'(s3_q.block) - blocks_t'(s4_d.sel);  // of the line
    lines_below = (first_block + blocks_t'(LineWords - 1)) >> SelW;
    if (s3_q.block <= block_t'(s4_d.sel)) lines_below = '0;
    s4_d.below = (lines_below > blocks_t'(Ahead)) ? lines_t'(Ahead) : lines_t'(lines_below);
    s4_d.above = (s3_q.left <= fits) ? '0 : (beyond >= blocks_t'(LineWords)) ? limit_t'(LineWords) : limit_t'(beyond);
    if (up_taken || down_taken) begin
      s4_d.prefetch = 1'b1;
      s4_d.owner = ahead.owner;
      s4_d.ans = AnsOk;
      s4_d.line = ahead.line;
      s4_d.limit = ahead.limit;
    end
  end

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) s4_valid_q <= 1'b0;
    else s4_valid_q <= s3_go || ((up_taken || down_taken) && !retires(drop, ahead.owner));
  end
  always_ff @(posedge clk_i) s4_q <= s4_d;

  // --------------------------------------------------------------------------------- s4: line memories, epochs, presence
  typedef struct packed {
    owner_t owner;
    high_t  high;   // the set's bits follow from these and the set
    limit_t limit;
    epoch_t epoch;
  } tag_t;
  tag_t tag, fill_tag;
  beat_t line_data;
  logic [Lines-1:0] present_q;
  epoch_t [Groups-1:0] epoch_q;
  set_t s4_set;
  assign s4_set = set_of(s4_q.line, s4_q.owner);

  assign fill_tag = '{
          owner: back_req.owner,
          high: back_req.line[LineW-1:SetW],
          limit: back_req.limit,
          epoch: epoch_q[group_t'(back_req.owner)]
      };
  kv_ram_1r1w #(
      .Words(Lines),
      .Width($bits(tag_t))
  ) u_tags (
      .clk_i,
      .re_i   (s4_valid_q),
      .raddr_i(s4_set),
      .rdata_o(tag),
      .we_i   (fill),
      .waddr_i(back_req.set),
      .wdata_i(fill_tag)
  );
  kv_ram_1r1w #(
      .Words(Lines),
      .Width(BusBits)
  ) u_lines (
      .clk_i,
      .re_i   (s4_valid_q && !s4_q.prefetch),
      .raddr_i(s4_set),
      .rdata_o(line_data),
      .we_i   (fill),
      .waddr_i(back_req.set),
      .wdata_i(mem_i.data)
  );

  logic   drop_all;
  group_t retire_group;
  assign retire_group = group_t'(drop.owner);
  assign drop_all = drop.valid && (drop.all || epoch_q[retire_group] == '1);
  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      epoch_q   <= '0;
      present_q <= '0;
    end else begin
      if (drop.valid && !drop.all) epoch_q[retire_group] <= epoch_q[retire_group] + epoch_t'(1);
      if (drop_all) present_q <= '0;
      else if (fill) present_q[back_req.set] <= 1'b1;
    end
  end

  // ------------------------------------------------------------------------------------------------- s5: hit, wait, read
  logic s5_valid_q, s5_present_q, s5_go;
  epoch_t s5_epoch_q;
  set_t s5_set_q;
  s4_t s5_q;
  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) s5_valid_q <= 1'b0;
    else s5_valid_q <= s4_valid_q && !retires(drop, s4_q.owner);
  end
  always_ff @(posedge clk_i) begin
    s5_q <= s4_q;
    s5_set_q <= s4_set;
    s5_present_q <= present_q[s4_set];
    s5_epoch_q <= epoch_q[group_t'(s4_q.owner)];
  end
  assign s5_go = s5_valid_q && !retires(drop, s5_q.owner);

  logic line_here, hit, merge, blocked, miss;
  logic [Reads-1:0] same_set, joins, joins_first;
  slot_idx_t join_idx;
  logic no_join;
  logic [31:0] found;
  assign line_here = s5_present_q && tag.owner == s5_q.owner && tag.high == s5_q.line[LineW-1:SetW] &&
      tag.epoch == s5_epoch_q;
  assign hit = line_here && (s5_q.prefetch || (limit_t'(s5_q.sel) < tag.limit && (!found[31] || holds_q[s5_q.place])));
  assign found = line_data[32*s5_q.sel+:32];

  for (genvar m = 0; m < int'(Reads); m++) begin : gen_match
    logic live, coming;
    assign live = busy_q[m] && !stale_q[m];
    assign coming = !returned_q[m] && !(back && return_idx == slot_idx_t'(m));
    assign same_set[m] = live && slot_req_q[m].set == s5_set_q;
    assign joins[m] = live && coming && slot_req_q[m].owner == s5_q.owner && slot_req_q[m].line == s5_q.line &&
        limit_t'(s5_q.sel) < slot_req_q[m].limit;
  end
  kv_first #(
      .Width(Reads)
  ) u_join (
      .bits_i  (joins),
      .none_o  (no_join),
      .index_o (join_idx),
      .onehot_o(joins_first)
  );

  logic s5_table, s5_demand;
  assign s5_table = s5_go && s5_q.ans == AnsOk;
  assign s5_demand = s5_go && !s5_q.prefetch;
  assign merge = s5_table && !hit && !no_join;
  assign blocked = s5_table && !hit && no_join && (same_set != '0 || busy_q[alloc_idx]);
  assign miss = s5_table && !hit && no_join && !blocked;

  // ------------------------------------------------------------------------------------------------------ prefetch ahead
  logic [Clients-1:0] of_client;
  logic up, down;
  for (genvar c = 0; c < int'(Clients); c++) begin : gen_of
    assign of_client[c] = 32'(s5_q.place) / Depth == c;
  end
  assign up = s5_demand && s5_table && (of_client & PrefetchUp) != '0 && s5_q.above != '0 &&
      (miss || (hit && s5_q.sel == '0));
  // A walk down: the line below the one that came last adds one line at the far end.
  logic seen_valid_q, seen_it, follows;
  owner_t seen_owner_q;
  line_t  seen_line_q;
  assign seen_it = seen_valid_q && seen_owner_q == s5_q.owner && seen_line_q == s5_q.line;
  assign follows = seen_valid_q && seen_owner_q == s5_q.owner && seen_line_q == s5_q.line + line_t'(1);
  assign down = s5_demand && s5_table && (of_client & PrefetchDown) != '0 && s5_q.below != '0 && !seen_it &&
      (miss || ((hit || merge) && limit_t'(s5_q.sel) + limit_t'(1) == s5_q.limit));
  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      up_valid_q   <= 1'b0;
      down_left_q  <= '0;
      seen_valid_q <= 1'b0;
    end else begin
      if (up) up_valid_q <= 1'b1;
      else if (up_taken || retires(drop, up_q.owner)) up_valid_q <= 1'b0;
      if (down && follows) begin
        if (s5_q.below == lines_t'(Ahead) && (down_left_q != lines_t'(Ahead) || down_taken)) begin
          down_left_q <= down_left_q + lines_t'(1) - lines_t'(down_taken);
        end else begin
          down_left_q <= down_left_q - lines_t'(down_taken);
        end
      end else if (down) down_left_q <= s5_q.below;
      else if (retires(drop, down_q.owner)) down_left_q <= '0;
      else if (down_taken) down_left_q <= down_left_q - lines_t'(1);
      if (down) seen_valid_q <= 1'b1;
      else if (retires(drop, seen_owner_q)) seen_valid_q <= 1'b0;
    end
  end
  always_ff @(posedge clk_i) begin
    if (up) up_q <= '{owner: s5_q.owner, line: s5_q.line + line_t'(1), limit: s5_q.above};
    if (down && !follows) down_q <= '{owner: s5_q.owner, line: s5_q.line - line_t'(1), limit: limit_t'(LineWords)};
    else if (down_taken) down_q.line <= down_q.line - line_t'(1);
    if (down) begin
      seen_owner_q <= s5_q.owner;
      seen_line_q  <= s5_q.line;
    end
  end

  // ----------------------------------------------------------------------------------------------------- places, go on
  always_comb begin
    state_d = state_q;
    holds_d = holds_q;
    for (int unsigned p = 0; p < Places; p++) begin
      unique case (state_q[p])
        PlFree:  if (push_place[p]) state_d[p] = PlWant;
        PlWant:  if (look && look_place == place_t'(p)) state_d[p] = PlLook;
        PlLook: begin
          if (s5_demand && s5_q.place == place_t'(p)) begin
            holds_d[p] = merge || miss;
            if (s5_q.ans == AnsPrefix) state_d[p] = PlWant;
            else if (merge || miss) state_d[p] = PlWait;
            else if (blocked) state_d[p] = PlHold;
            else state_d[p] = PlReady;
          end
        end
        PlHold:  if (wake_q) state_d[p] = PlWant;
        PlWait: begin
          if (back && slot_q[p] == return_idx) begin
            state_d[p] = mem_i.error ? PlReady : PlWant;
            if (mem_i.error) holds_d[p] = 1'b0;
          end
        end
        default: if (pop_place[p]) state_d[p] = PlFree;  // PlReady
      endcase
      if (kill_place[p]) begin
        holds_d[p] = 1'b0;
        if (state_q[p] == PlLook || state_q[p] == PlWait || (state_q[p] == PlReady && !pop_place[p])) begin
          state_d[p] = PlWant;
        end
      end
    end
  end

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      state_q <= {Places{PlFree}};
      holds_q <= '0;
    end else begin
      state_q <= state_d;
      holds_q <= holds_d;
    end
  end

  for (genvar p = 0; p < int'(Places); p++) begin : gen_place_data
    logic mine;
    assign mine = s5_demand && s5_q.place == place_t'(p);
    always_ff @(posedge clk_i) begin
      if (push_place[p]) begin
        owner_q[p] <= req_i[p/Depth].owner;
        pos_q[p] <= req_i[p/Depth].position;
        second_q[p] <= 1'b0;
      end else if (mine && s5_q.ans == AnsPrefix) begin
        owner_q[p]  <= s5_q.prefix;
        second_q[p] <= 1'b1;
      end
      if (mine) begin
        slot_q[p] <= merge ? join_idx : alloc_idx;
        word_q[p] <= word_t'(found);
        committed_q[p] <= s5_q.committed;
        ans_q[p] <= (s5_q.ans == AnsOk && hit && found[31]) ? AnsUnmapped : s5_q.ans;
      end else if (state_q[p] == PlWait && back && slot_q[p] == return_idx && mem_i.error) begin
        ans_q[p] <= AnsBusError;
      end
    end
  end

  // ----------------------------------------------------------------------------------------------------- read slots (2)
  always_comb begin
    held = '0;
    for (int unsigned p = 0; p < Places; p++) begin
      if (holds_q[p]) held[slot_q[p]] = 1'b1;
    end
  end
  assign frees = busy_q & returned_q & ~held;

  for (genvar m = 0; m < int'(Reads); m++) begin : gen_slot
    logic taken;
    assign taken = miss && alloc_idx == slot_idx_t'(m);
    always_ff @(posedge clk_i or negedge rst_ni) begin
      if (!rst_ni) begin
        busy_q[m] <= 1'b0;
        returned_q[m] <= 1'b0;
        stale_q[m] <= 1'b0;
      end else begin
        if (taken) begin
          busy_q[m] <= 1'b1;
          returned_q[m] <= 1'b0;
          stale_q[m] <= 1'b0;
        end else begin
          if (frees[m]) busy_q[m] <= 1'b0;
          if (back && return_idx == slot_idx_t'(m)) returned_q[m] <= 1'b1;
          if (busy_q[m] && retires(drop, slot_req_q[m].owner)) stale_q[m] <= 1'b1;
        end
      end
    end
    always_ff @(posedge clk_i) begin
      if (taken) slot_req_q[m] <= '{owner: s5_q.owner, line: s5_q.line, set: s5_set_q, limit: s5_q.limit};
    end
  end

  logic rd_valid_q, rd_load;
  line_t rd_line_q;
  assign rd_load = issue_q != alloc_q && (!rd_valid_q || rd_ready_i);
  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      alloc_q <= '0;
      issue_q <= '0;
      return_q <= '0;
      rd_valid_q <= 1'b0;
      wake_q <= 1'b0;
    end else begin
      if (miss) alloc_q <= alloc_q + slot_ptr_t'(1);
      if (rd_load) issue_q <= issue_q + slot_ptr_t'(1);
      if (back) return_q <= return_q + slot_ptr_t'(1);
      if (rd_load) rd_valid_q <= 1'b1;
      else if (rd_ready_i) rd_valid_q <= 1'b0;
      wake_q <= frees != '0;
    end
  end
  always_ff @(posedge clk_i) if (rd_load) rd_line_q <= slot_req_q[issue_idx].line;
  assign rd_valid_o = rd_valid_q;
  assign rd_o = '{addr: {rd_line_q, BeatShift'(0)}, len: '0};

  // ----------------------------------------------------------------------------------------------------------- counting
  walk_count_t count_d;
  logic [1:0] answers;
  always_comb begin
    answers = '0;
    for (int unsigned c = 0; c < Clients; c++) answers += 2'(pop[c]);
    count_d = '0;
    count_d.answers = answers;
    count_d.hit = s5_demand && s5_table && hit;
    count_d.read = s5_demand && miss;
    count_d.prefetch = s5_q.prefetch && miss;
    count_d.dropped = back && !back_good;
  end
  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) count_o <= '0;
    else count_o <= count_d;
  end

  // -------------------------------------------------------------------------------------------------------------- rules
  `KVS_STREAM(rd_stream, rd_valid_o, rd_ready_i, rd_o)
  `KVS_ASSUME(mem_asked_for, !mem_valid_i || return_q != issue_q)
  `KVS_ASSERT(one_result, !(s5_demand && state_q[s5_q.place] != PlLook))
  `KVS_ASSERT(slot_order, slot_ptr_t'(alloc_q - return_q) <= slot_ptr_t'(Reads))

`ifndef SYNTHESIS
  // An answer, once shown, stays until taken, unless a retire of its owner withdraws it.
  for (genvar c = 0; c < int'(Clients); c++) begin : gen_rule
    logic waits_q;
    walk_rsp_t shown_q;
    always_ff @(posedge clk_i or negedge rst_ni) begin
      if (!rst_ni) waits_q <= 1'b0;
      else waits_q <= rsp_valid_o[c] && !rsp_ready_i[c] && !retires(drop, rsp_o[c].owner);
    end
    always_ff @(posedge clk_i) shown_q <= rsp_o[c];
    `KVS_ASSERT(answer_stays, !waits_q || (rsp_valid_o[c] && rsp_o[c] == shown_q))
    `KVS_STREAM(req_stream, req_valid_i[c], req_ready_o[c], req_i[c])
  end
`endif

  logic unused;
  assign unused = ^{layout_i, retire_i, mem_i.last, joins_first, rd_ctx_i};

endmodule

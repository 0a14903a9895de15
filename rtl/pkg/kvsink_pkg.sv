// SPDX-License-Identifier: Apache-2.0
// Types of every interface between the units, and of the streams of the top.
//
// A stream is a struct with valid/ready beside it: valid never waits for ready, the payload is stable while waiting,
// and no ready input reaches a valid output combinationally. Fields that only software sees (commands, completions,
// records) have fixed widths in every configuration; all others have the width that the configuration needs.

package kvsink_pkg;

  import kvsink_cfg_pkg::*;

  // ---------------------------------------------------------------------------------------------- widths and indices
  localparam int unsigned GranuleTokens = 16;  // tokens of one tag array entry
  localparam int unsigned PosW = $clog2(Positions);
  localparam int unsigned AddrW = 48;
  localparam int unsigned TimeW = 48;
  localparam int unsigned WordW = 31;  // block table word without its unmapped bit: {generation, physical block}
  localparam int unsigned BeatBytes = BusBits / 8;
  localparam int unsigned BeatShift = $clog2(BeatBytes);
  localparam int unsigned RowBeatsMax = RowBytes / BeatBytes;
  localparam int unsigned SramBeats = SramBytes / BeatBytes;
  localparam int unsigned Planes = 8;
  localparam int unsigned Tensors = 4;
  localparam int unsigned StrideSets = 4;
  localparam int unsigned PageLog2Max = 7;  // pages of 16 to 128 tokens

  typedef logic [$clog2(Owners)-1:0] owner_t;
  typedef logic [PosW-1:0] pos_t;  // position of a token in its owner's sequence
  typedef logic [PosW:0] len_t;  // a count of positions
  typedef logic [PosW-5:0] gran_t;  // granule of an owner's sequence: position / 16
  typedef logic [3:0] token_t;  // token within its granule
  typedef logic [GranuleTokens-1:0] tokens_t;  // one bit a token of a granule
  typedef logic [$clog2(Layers)-1:0] layer_t;
  typedef logic [$clog2(Layers):0] layers_t;  // a count of layers
  typedef logic [$clog2(QHeads)-1:0] q_head_t;
  typedef logic [$clog2(KvHeads)-1:0] kv_head_t;
  typedef logic [KvHeads-1:0] head_mask_t;
  typedef logic [2:0] plane_t;
  typedef logic [Planes-1:0] plane_mask_t;
  typedef logic [$clog2(Slots)-1:0] slot_t;
  typedef logic [$clog2(Slots):0] slots_t;  // a count of slots
  typedef logic [$clog2(Entries)-1:0] entry_t;
  typedef logic [$clog2(Entries):0] entries_t;  // a count of entries
  typedef logic [$clog2(Profiles)-1:0] profile_t;
  typedef logic [$clog2(Readers)-1:0] list_t;  // lookup list of the bypass mux
  typedef logic [WordW-1:0] word_t;
  typedef logic [AddrW-1:0] addr_t;
  typedef logic [TimeW-1:0] cycle_t;  // cycles since reset
  typedef logic [BusBits-1:0] beat_t;
  typedef logic [$clog2(SramBeats)-1:0] sram_addr_t;  // slot SRAM address, in beats
  typedef logic [$clog2(RowBeatsMax):0] row_beats_t;  // beats of one row
  typedef logic [PageLog2Max-1:0] page_token_t;  // token within its page
  typedef logic [7:0] req_id_t;

  // Scores are unsigned fixed point, 18 integer and 14 fraction bits: 1.0 is an even spread.
  localparam int unsigned ScoreFrac = 14;
  typedef logic [31:0] score_t;

  // A contract: dwell left, in steps of the slot's owner.
  typedef logic [15:0] dwell_t;
  localparam dwell_t DwellPinned = '1;
  localparam dwell_t DwellBestEffort = '0;

  // ---------------------------------------------------------------------------------------------------------- statuses
  // Status of commands, descriptors and translations, and cause of log records. Values are part of the software
  // interface (sw/driver states the same list; the csr tests compare them).
  typedef enum logic [7:0] {
    StOk          = 8'h00,
    StBudget      = 8'h01,  // refused: SRAM_budget or the owner's maximum reached
    StNoSlot      = 8'h02,  // refused: no free slot in the profile's region
    StNoEntry     = 8'h03,  // refused: no free tag entry
    StWindow      = 8'h04,  // refused: the owner's residency is frozen by an open window
    StBadOwner    = 8'h05,  // owner not valid or out of range
    StBadRange    = 8'h06,  // positions beyond the committed length, or an empty range
    StBadProfile  = 8'h07,  // profile not set, does not cover the present one, or does not fit
    StLogFull     = 8'h08,  // refused: no room for the record of its end
    StBadCommand  = 8'h09,  // unknown opcode, or a field out of range
    StBusy        = 8'h0a,  // refused: the owner is referenced, or the table for this kind of command is full
    StTenant      = 8'h0b,  // refused: a prefix owner of another tenant that is not public
    StUnmapped    = 8'h0c,  // the block table word has its unmapped bit set
    StGeneration  = 8'h0d,  // the granule has an entry of another block or generation
    StBusError    = 8'h0e,  // SLVERR or DECERR
    StTimeout     = 8'h0f,  // a response did not come in time
    StAborted     = 8'h10,  // ended by abort, retire, let_go or an owner's reset
    StDeadline    = 8'h11,  // completed, after its deadline
    StAlready     = 8'h12,  // promote of a token that is resident: contract strengthened where stronger
    StNotResident = 8'h13,  // let_go or abort of a token without a slot
    StEvicted     = 8'h14,  // left: the lowest best-effort slot of an owner under pressure
    StThreshold   = 8'h15,  // left: below T_evict for N_evict steps
    StCommand     = 8'h16,  // left: let_go
    StRetired     = 8'h17,  // left: retire or an owner's reset
    StStale       = 8'h18,  // a follower of a list that is no longer kept
    StNoPlan      = 8'h19,  // plan refused (item and reason in the values), or there is none
    StPlan        = 8'h1a   // refused: outside the envelope of the owner's plan, or inside a replay-safe region of it
  } status_e;

  // ---------------------------------------------------------------------------------------------- owner contexts
  typedef struct packed {
    logic        valid;
    logic        is_public;     // other tenants may name it as prefix
    logic [15:0] tenant;
    addr_t       table_base;    // block table: one int32 a block, 4-byte aligned
    len_t        length;        // positions that may be read
    len_t        committed;     // positions that may be promoted
    logic        prefix_valid;
    owner_t      prefix_owner;
    len_t        prefix_len;    // positions below it belong to the prefix owner; a multiple of the page
    profile_t    profile;       // profile of automatic placements
    slots_t      slot_min;
    slots_t      slot_max;
  } owner_ctx_t;

  // ---------------------------------------------------------------------------------------------- static configuration
  // Written by software while nothing that uses it is in flight (csr).
  typedef struct packed {
    logic [39:0] block;  // bytes from one page to the next
    logic [31:0] head;
    logic [31:0] token;
  } stride_t;

  typedef struct packed {
    logic        valid;
    logic [1:0]  tensor;
    logic [1:0]  stride_set;
    logic [31:0] offset;      // bytes
    row_beats_t  row_beats;   // beats of one row, 1 to RowBeatsMax
    logic [2:0]  share_log2;  // 2**share_log2 tokens share a row
  } plane_cfg_t;

  typedef struct packed {
    logic [2:0]               page_log2;   // tokens a page: 2**page_log2, 4 to 7
    logic [4:0]               block_bits;  // B: table word bits [B-1:0] are the physical block; 1 to 31
    stride_t [StrideSets-1:0] stride;
    plane_cfg_t [Planes-1:0]  plane;
    layers_t                  layers;      // layers of the model
  } layout_cfg_t;

  // Where a profile's slots lie. Slots of a profile are equal; slot s starts at sram_base + (s - slot_first)*slot_beats.
  // Inside a slot: rank(layer)*layer_beats + rank(head)*head_beats + plane_beat[plane].
  typedef struct packed {
    logic                                   valid;
    layer_t                                 layer_first;
    layers_t                                layer_count;
    head_mask_t                             head_mask;
    plane_mask_t                            plane_mask;
    slot_t                                  slot_first;
    slots_t                                 slot_count;
    sram_addr_t                             sram_base;
    logic [$clog2(SramBeats):0]             slot_beats;   // layer_count * layer_beats
    logic [$clog2(SramBeats):0]             layer_beats;  // popcount(head_mask) * head_beats
    logic [$clog2(SramBeats):0]             head_beats;   // sum of row_beats over plane_mask
    logic [Planes-1:0][$clog2(SramBeats):0] plane_beat;   // sum of row_beats over the lower planes of plane_mask
  } profile_cfg_t;

  // Layers whose attention weights count `weight` times in the scores (layer_weight).
  localparam int unsigned LayerRanges = 4;
  typedef logic [3:0] layer_weight_t;
  typedef struct packed {
    layer_t        first;
    layers_t       count;
    layer_weight_t weight;
  } layer_range_t;

  // Registers of the residency controller and the scorer (csr).
  typedef struct packed {
    slots_t sram_budget;  // slots of all owners together
    score_t t_sink;
    score_t t_pin;  // all ones: automatic placement never pins
    score_t t_promote;
    score_t t_evict;
    logic [15:0] alpha;  // UQ0.16
    logic [7:0] n_promote;
    dwell_t n_dwell;
    logic [7:0] n_evict;
    layer_t score_layer_first;  // layer_range
    layers_t score_layer_count;
    layer_range_t [LayerRanges-1:0] score_layer_weight;  // the lowest range that holds a layer decides; in none: 1
    logic [QHeads-1:0] score_head_mask;  // query heads that count
    len_t score_min_distance;
    len_t score_min_queries;
    logic score_raw;  // 1: the raw sum in place of the mean against an even spread
    logic [4:0] score_raw_shift;  // raw sum is divided by 2**shift before it saturates
    logic dynamic;  // step_end promotes and evicts by E and runs; 0: prefill placement only
    logic [4:0] promo_floor;  // share of the beats promotion is sure of, in 1/32 (default 2: 1/16)
    logic [PromoChannels-1:0][8:0] promo_reads;  // promotion reads in flight at most, by channel; 0: RowReads
    logic [7:0] burst_cost;  // of a burst, in beats, for fetch-and-drop
    logic [23:0] bus_timeout;  // cycles until a read counts as lost; 0: never
    logic [23:0] stream_timeout;  // cycles until a stream that is not taken raises an interrupt; 0: never
  } ctl_cfg_t;

  // ---------------------------------------------------------------------------------------------- commands
  typedef enum logic [7:0] {
    OpSetOwner       = 8'h01,
    OpSetLength      = 8'h02,
    OpSetProfile     = 8'h03,
    OpPromote        = 8'h04,
    OpLetGo          = 8'h05,
    OpAbort          = 8'h06,
    OpRetire         = 8'h07,
    OpStepEnd        = 8'h08,
    OpOpen           = 8'h09,
    OpCommit         = 8'h0a,
    OpPlan           = 8'h0b,
    OpWaitPromotions = 8'h0c
  } opcode_e;

  // 64 bytes, least significant field first in memory (word 0 = opcode, flags, tag). Field use by opcode:
  //   set_owner        owner; first=length; count=committed; arg0=table base; arg1={prefix length[31:0] at [31:0],
  //                    prefix owner at [47:32]}; arg2={tenant[15:0], slot_min[31:16], slot_max[47:32], profile[55:48]};
  //                    flags[0]=valid (0: reset the owner), [1]=public, [2]=has a prefix
  //   set_length       owner; first=length; count=committed
  //   set_profile      profile; arg0={layer_first[15:0], layer_count[31:16], plane_mask[39:32]}; arg1=head_mask;
  //                    arg2={slot_first[15:0], slot_count[31:16], sram_base in beats[63:32]}; flags[0]=valid
  //   promote          owner; first=position; profile; arg0=deadline, arg1=not-before (absolute cycle; 0: none);
  //                    arg2[15:0]=dwell (all ones pinned, 0 best effort), arg2[18:16]=home tier
  //   let_go, abort    owner; first, count (positions)
  //   retire           owner; first, count; flags[0]=all owners
  //   step_end         owner; flags[0]=prefill: place the top-k; flags[1]=the step carried no scores on purpose
  //   open             owner
  //   commit           owner; count=k
  //   plan             owner; flags[2:0]=kind (residency_pkg::plan_kind_e):
  //                      begin    arg0={promotions by scores a step [7:0], evictions of choice a step [15:8] (255: any number),
  //                               slots from which on scores promote no more [31:16]}
  //                      promote  first=position; arg0={not-before [31:0], deadline [63:32] (0: none)} in cycles from when it
  //                               falls due; arg2={dwell [15:0], home tier [18:16], step [47:32]}
  //                      window   arg0={begin [31:0], end [63:32]}; arg2[47:32]=step
  //                      region   first, count; arg2={steps [15:0] (0: to the end), step [47:32]}
  //                      commit, drop, query
  //   wait_promotions  owner; flags[0]=all owners; flags[1]=one token, first=position
  typedef struct packed {
    logic [127:0] reserved;
    logic [63:0]  arg3;
    logic [63:0]  arg2;
    logic [63:0]  arg1;
    logic [63:0]  arg0;
    logic [15:0]  profile;
    logic [15:0]  owner;
    logic [31:0]  count;
    logic [31:0]  first;
    logic [15:0]  tag;
    logic [7:0]   flags;
    logic [7:0]   opcode;    // bits [7:0]
  } cmd_t;

  // 32 bytes. value0: promote: slot; retire, let_go, abort: tokens concerned; step_end: promoted [15:0], evicted [31:16];
  // wait_promotions: promotions ended since the last wait, or the slot of the token. value1: promote: tag entry. plan:
  // value0 of an item: its index; of commit: slots at the peak, value1 entries; refused: first item that fails, value1 its
  // reason (status_e); of query: {step [31:16], next item [15:0]}, value1 {state [55:48], missed [47:32], denied evictions
  // [31:16], denied promotions [15:0]}. cycles: from acceptance.
  typedef struct packed {
    logic [95:0] reserved;
    logic [31:0] cycles;
    logic [63:0] value1;
    logic [31:0] value0;
    logic [15:0] tag;
    logic [7:0]  status;    // status_e
    logic [7:0]  opcode;
  } done_t;

  // ---------------------------------------------------------------------------------------------- row requests
  // Rows wanted: positions first .. first+count-1, or with by_granule the tokens of `mask` in granule first/16.
  typedef struct packed {
    req_id_t     id;
    owner_t      owner;
    layer_t      layer;
    kv_head_t    head;
    plane_mask_t planes;
    logic        by_granule;
    pos_t        first;
    len_t        count;
    tokens_t     mask;
    logic        keep;        // the list outlives the rows, for followers
    logic        follow;      // take the list of the earlier request `follow_id` (same owner, layer, head)
    req_id_t     follow_id;
    logic        bulk_only;   // no lookup: everything from the backing memory
  } row_req_t;

  // One beat of the sink or bulk stream. A row is row_beats beats; `last` marks its last one. An end marker closes the
  // request on this stream: data[31:0] holds its row count on this stream, error says that a `keep` found no list.
  typedef struct packed {
    req_id_t id;
    logic    is_end;
    plane_t  plane;
    pos_t    position;
    logic    error;
    logic    last;
    beat_t   data;
  } row_beat_t;

  // ---------------------------------------------------------------------------------------------- block walker
  typedef struct packed {
    owner_t owner;
    pos_t   position;
  } walk_req_t;

  // Answers of one client come in the order of its requests. owner: whose table holds the position (the prefix owner
  // below the prefix length). status: StOk, StBadOwner, StBadRange (at or beyond the length), StUnmapped, StBusError.
  typedef struct packed {
    status_e status;
    owner_t  owner;
    word_t   word;       // {generation, physical block}, split at layout.block_bits
    logic    committed;  // the position lies below the committed length
  } walk_rsp_t;

  // Every holder of a copy or a translation of the range drops it in the cycle of this pulse (`retire` accepted).
  // owner is the effective one: whose table holds the positions.
  typedef struct packed {
    logic   valid;
    logic   all;    // every owner, every position
    owner_t owner;
    pos_t   first;
    pos_t   last;   // inclusive
  } retire_t;

  // ---------------------------------------------------------------------------------------------- memory read port
  // Channels of the read port: table, bulk, and one of promotion a tier (tiers beyond the last share that one). Reads of a
  // channel return in order; the AXI ID is {spare, channel}. A client owns room for every beat before it asks; R is never
  // held back.
  localparam int unsigned AxiIdW = $clog2(2 + PromoChannels) + 1;
  typedef logic [AxiIdW-1:0] axi_id_t;
  typedef logic [7:0] axi_len_t;
  typedef struct packed {
    addr_t    addr;  // aligned to a beat; a burst never crosses 4 KiB
    axi_len_t len;   // beats - 1
  } rd_req_t;
  typedef struct packed {
    beat_t data;
    logic  last;
    logic  error;  // SLVERR, DECERR
  } rd_rsp_t;

  // ---------------------------------------------------------------------------------------------- tag array
  // Enumeration: the lowest granule in [from, to] for which the (effective) owner has an entry.
  typedef struct packed {
    owner_t owner;
    gran_t from;
    gran_t to;
  } tag_next_req_t;
  typedef struct packed {
    logic  found;
    gran_t granule;
  } tag_next_rsp_t;

  typedef struct packed {
    owner_t      owner;    // effective
    gran_t       granule;
    word_t       word;
    layer_t      layer;
    kv_head_t    head;
    plane_mask_t planes;
  } tag_lookup_t;
  typedef struct packed {
    tokens_t                      hit;
    slot_t [GranuleTokens-1:0]    slot;
    profile_t [GranuleTokens-1:0] profile;
  } tag_hit_t;

  typedef enum logic [2:0] {
    TagInstall,    // add (token, slot, profile) to the granule's entry, taking a free entry if it has none; watermark 0
    TagSetWord,    // the translation is known: StGeneration if the entry has another word
    TagWatermark,  // layers below `watermark` may hit
    TagRemove,     // the token hits no more
    TagFind        // is (owner, granule, token) there: entry and slot, nothing changes
  } tag_op_e;

  // Ops but Install and Find name entry, token and slot, and do nothing (StNotResident) when that token of that entry
  // does not hold that slot any more (it was retired).
  typedef struct packed {
    tag_op_e  op;
    owner_t   owner;
    gran_t    granule;
    token_t   token;
    entry_t   entry;
    slot_t    slot;
    profile_t profile;
    word_t    word;
    layers_t  watermark;  // first layer that may not hit; all ones: every layer
  } tag_cmd_t;
  typedef struct packed {
    status_e status;  // StOk, StNoEntry, StGeneration, StNotResident, StAlready (Install: token present)
    entry_t  entry;
    slot_t   slot;    // Find, StAlready: the slot that holds the token
  } tag_ack_t;

  // ---------------------------------------------------------------------------------------------- promotion DMA
  typedef struct packed {
    slot_t      slot;
    profile_t   profile;
    owner_t     owner;      // effective
    pos_t       position;
    word_t      word;
    sram_addr_t sram_base;  // first beat of the slot
    logic [2:0] tier;
    cycle_t     deadline;   // 0: none
  } dma_desc_t;

  typedef struct packed {
    slot_t   slot;
    layers_t watermark;  // every layer below it is in SRAM and visible
  } dma_progress_t;

  typedef struct packed {
    slot_t       slot;
    status_e     status;    // StOk, StDeadline, StBusError, StTimeout, StAborted; no beat towards the slot is pending
    logic [31:0] bytes;
    logic [31:0] cycles;    // from acceptance
    logic [31:0] stall_ar;  // cycles with a read ready that the port did not take
    logic [31:0] stall_r;   // cycles at the limit of reads in flight
  } dma_end_t;

  typedef struct packed {
    sram_addr_t addr;
    beat_t      data;
  } sram_write_t;

  // ---------------------------------------------------------------------------------------------- mux to controller
  // A lookup list that is open. A slot that left may be reused when no list of its owner, or of an owner that names it
  // as prefix, that was open then is still open; `serial` counts lists and orders them.
  typedef struct packed {
    logic        open;
    owner_t      owner;
    logic        prefix_valid;
    owner_t      prefix_owner;
    logic [31:0] serial;
  } list_info_t;

  // A request that got rows with the error flag (one record a request, the first cause).
  typedef struct packed {
    owner_t  owner;
    pos_t    position;
    status_e cause;
  } read_error_t;

  // ---------------------------------------------------------------------------------------------- scorer
  localparam int unsigned ScoreLanes = BusBits / 32;
  // Attention weights of one (layer, query head, query): fp32 in [0, 1], for positions first .. first+ScoreLanes-1.
  // column_sum: pairs {count, sum of A*(i+1)} in place of weights, the sum in the even lane (fp32), the count of queries
  // in the odd lane (uint32); query_pos is then ignored. `last` ends the batch; a batch belongs to one owner.
  typedef struct packed {
    owner_t                      owner;
    layer_t                      layer;
    q_head_t                     q_head;
    pos_t                        query_pos;
    logic                        column_sum;
    pos_t                        first;
    logic [ScoreLanes-1:0]       strobe;      // lanes that carry a weight
    logic [ScoreLanes-1:0][31:0] weight;
    logic                        last;
  } score_beat_t;

  typedef enum logic [1:0] {
    ScRead,  // score of `position`; mark=1: leave the position out of the Top passes of this batch
    ScTop,   // stream the strongest unmarked positions at or above `threshold`, at most `count`, strongest first
    ScFree   // the batch is used up; the scorer takes the next one
  } score_op_e;
  typedef struct packed {
    score_op_e op;
    pos_t      position;
    logic      mark;
    len_t      count;
    score_t    threshold;
    logic      prefill;    // Read, Top: the batch is a prefill's, tokens with fewer than score_min_queries count as 0
  } score_cmd_t;
  typedef struct packed {
    logic valid;  // Top: a position; 0 with last: no (more) position reaches the threshold
    pos_t position;
    score_t score;
    logic last;  // Top: the stream ends with this answer
  } score_rsp_t;

  // ---------------------------------------------------------------------------------------------- event log
  typedef enum logic [7:0] {
    EvGrant     = 8'h01,  // slot and contract granted
    EvResident  = 8'h02,  // promotion complete (cause StOk or StDeadline)
    EvFailed    = 8'h03,  // promotion ended without becoming resident
    EvLeave     = 8'h04,  // a resident token's slot left
    EvReadError = 8'h05,  // rows of a request came back error-flagged
    EvOwner     = 8'h06,  // owner set or reset
    EvWindow    = 8'h07,  // window opened, committed or rolled back
    EvPlan      = 8'h08   // an item of a plan ended without its token being placed
  } event_e;

  // What a unit hands to the log; sequence, time and CRC are added by it.
  typedef struct packed {
    event_e      kind;
    status_e     cause;
    logic [15:0] owner;
    logic [31:0] position;
    logic [31:0] word;      // {0, block table word}
    logic [15:0] slot;
  } log_event_t;

  // A record, 32 bytes, least significant field first in memory.
  typedef struct packed {
    logic [31:0] crc;          // CRC-32 (IEEE 802.3) over the 28 bytes below it, chained: seeded with the last record's
    logic [15:0] reserved;
    logic [15:0] slot;
    logic [31:0] word;
    logic [31:0] position;
    logic [15:0] owner;
    logic [7:0]  cause;
    logic [7:0]  kind;
    logic [63:0] time_cycles;
    logic [31:0] sequence_no;
  } log_record_t;

  // ---------------------------------------------------------------------------------------------- merge
  typedef enum logic [1:0] {
    FmtFp32,
    FmtFp16,
    FmtBf16
  } fmt_e;

  typedef struct packed {
    logic [15:0]            id;
    logic                   first;         // first beat of a partial; lse, base2, fmt, beats, last_partial count here
    logic                   last_partial;  // this partial ends the merge
    logic                   is_sink;       // counts as mass served by SRAM
    logic [31:0]            lse;           // fp32
    logic                   base2;
    fmt_e                   fmt;
    logic [7:0]             beats;         // beats of a partial - 1, the same for all partials of a merge
    logic [Lanes-1:0][31:0] data;          // 16-bit formats in the low half of a lane
  } partial_t;

  typedef struct packed {
    logic [15:0]            id;
    logic                   first;
    logic                   last;
    logic [31:0]            lse;
    logic                   nan;        // sticky within the merge: a NaN or infinity took part
    logic [31:0]            sink_mass;  // weight of the sink partials in this merge, UQ1.31, with the first beat
    fmt_e                   fmt;
    logic [Lanes-1:0][31:0] data;
  } merged_t;

  // ---------------------------------------------------------------------------------------------- counting
  // Increments of one cycle, from a unit to the 64-bit counters of the csr. All of them registered at the unit.
  typedef struct packed {
    logic sink_row;      // last beat of a row delivered on the sink stream, without error
    logic sink_beat;
    logic bulk_row;      // last beat of a row delivered on the bulk stream, without error
    logic bulk_beat;
    logic error_row;     // on either stream
    logic dropped_beat;  // fetched, not delivered
    logic request;       // request closed on both streams
    logic keep_refused;
    logic sink_stall;    // sink stream valid and not taken
    logic bulk_stall;
  } mux_count_t;

  typedef struct packed {
    logic [1:0] answers;   // handed over
    logic       hit;       // lookups that found their word held
    logic       read;      // table reads for a request
    logic       prefetch;  // table reads ahead of requests
    logic       dropped;   // table reads that a retire made worthless
  } walk_count_t;

  typedef struct packed {
    logic promo_far_beat;  // of promo_beat, those of promotion channels behind the first
    logic table_burst;
    logic bulk_burst;
    logic promo_burst;
    logic table_beat;
    logic bulk_beat;
    logic promo_beat;
    logic ar_stall;        // ARVALID and not ARREADY
    logic r_idle;          // reads in flight, no beat
    logic error_beat;
    logic stray_beat;      // a beat of an ID that has nothing outstanding
  } port_count_t;

  typedef struct packed {
    logic                     granted;
    logic                     refused;
    logic                     resident;               // promotion complete
    logic                     failed;                 // promotion ended otherwise
    logic                     left;                   // a resident slot left
    logic                     evicted;                // of these, by pressure or threshold
    logic                     deadline_missed;
    logic                     rollback;               // an outermost window ended with commit(0)
    logic                     referenced;             // a prefix owner was named
    logic                     released;               // and was let go of
    logic                     refused_budget;         // of refused, by reason
    logic                     refused_no_slot;
    logic                     refused_no_entry;
    logic                     refused_window;
    logic                     refused_log_full;
    logic                     placed;                 // of granted, by scores
    logic                     plan_missed;            // an item of a plan ended without its token being placed
    logic                     plan_denied_promotion;  // wanted, and outside a plan's envelope
    logic                     plan_denied_eviction;
    slots_t                   slots_used;             // levels: slots not FREE
    slots_t                   filling;                // slots FILLING
    logic [$clog2(4*Slots):0] records;                // records that wait for the log
  } ctrl_count_t;

endpackage

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * kvs: driver of kvsink. C11, and C++ may include it.
 *
 * The driver reaches the block through two functions that the caller gives (struct kvs_io): over memory-mapped
 * registers (kvs_mmio), or over whatever a bench has. It allocates nothing, keeps its state in struct kvs, and is not
 * thread safe: one struct kvs belongs to one thread at a time.
 *
 * Every function returns KVS_OK or a negative error; when a value was out of range, kvs->field names it. The block is
 * never asked to do what its capability registers say it cannot.
 *
 * Commands are submitted in order and may complete in any order. The plain functions (kvs_promote, ...) submit and wait
 * for their own completion; completions of other commands met on the way are kept for kvs_take.
 *
 * Order: a row request accepted by the block after a command's completion was taken sees that command.
 */
#ifndef KVS_H
#define KVS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* ------------------------------------------------------------------------------------------------------------ results
 */

typedef enum kvs_result {
  KVS_OK = 0,
  KVS_ERR_IO = -1,       /* the back end reported an error (SLVERR) */
  KVS_ERR_ARGUMENT = -2, /* a null pointer, or arguments that contradict each other */
  KVS_ERR_RANGE = -3,    /* kvs->field is beyond what the block or the register can hold */
  KVS_ERR_ID = -4,       /* there is no kvsink at this address, or of another version */
  KVS_ERR_POLLS = -5,    /* no answer within kvs->poll_limit polls */
  KVS_ERR_EMPTY = -6,    /* nothing to take */
  KVS_ERR_BUSY = -7,     /* as many commands are under way as the driver can follow */
  KVS_ERR_STATUS = -8    /* the block answered with a status other than ok: see kvs_done.status */
} kvs_result;

/* Answers of the block (kvsink_pkg::status_e). */
typedef enum kvs_status {
  KVS_ST_OK = 0x00,
  KVS_ST_BUDGET = 0x01,
  KVS_ST_NO_SLOT = 0x02,
  KVS_ST_NO_ENTRY = 0x03,
  KVS_ST_WINDOW = 0x04,
  KVS_ST_BAD_OWNER = 0x05,
  KVS_ST_BAD_RANGE = 0x06,
  KVS_ST_BAD_PROFILE = 0x07,
  KVS_ST_LOG_FULL = 0x08,
  KVS_ST_BAD_COMMAND = 0x09,
  KVS_ST_BUSY = 0x0a,
  KVS_ST_TENANT = 0x0b,
  KVS_ST_UNMAPPED = 0x0c,
  KVS_ST_GENERATION = 0x0d,
  KVS_ST_BUS_ERROR = 0x0e,
  KVS_ST_TIMEOUT = 0x0f,
  KVS_ST_ABORTED = 0x10,
  KVS_ST_DEADLINE = 0x11,
  KVS_ST_ALREADY = 0x12,
  KVS_ST_NOT_RESIDENT = 0x13,
  KVS_ST_EVICTED = 0x14,
  KVS_ST_THRESHOLD = 0x15,
  KVS_ST_COMMAND = 0x16,
  KVS_ST_RETIRED = 0x17,
  KVS_ST_STALE = 0x18,
  KVS_ST_NO_PLAN = 0x19,
  KVS_ST_PLAN = 0x1a
} kvs_status;

/* Text of a result or status, one line without an end; never null. */
const char* kvs_result_text(int result);
const char* kvs_status_text(unsigned status);

/* ----------------------------------------------------------------------------------------------------------- back end
 */

/* Accesses of one 32-bit register at byte address `addr`; they return 0, or anything else for a bus error. */
typedef struct kvs_io {
  void* context;
  int (*read32)(void* context, uint32_t addr, uint32_t* value);
  int (*write32)(void* context, uint32_t addr, uint32_t value);
} kvs_io;

/* Back end for registers mapped at `base`. A bus error is then the machine's to report. */
kvs_io kvs_mmio(volatile uint32_t* base);

/* -------------------------------------------------------------------------------------------------------- capabilities
 */

/* Sizes of this instance, as its registers give them. */
typedef struct kvs_caps {
  uint32_t config_id; /* 0 small, 1 default, 2 large */
  uint32_t layers, q_heads, kv_heads, row_bytes;
  uint32_t positions, scored, owners, entries, slots, sram_bytes;
  uint32_t translations, readers, profiles, lanes, bus_bits, row_reads;
  uint32_t log_records, top_k, bulk_beats;
  uint32_t planes, tensors, stride_sets, score_lanes;
  uint32_t plans, plan_items;
} kvs_caps;

#define KVS_PLANES 8
#define KVS_STRIDE_SETS 4
#define KVS_TENSORS 4
#define KVS_IN_FLIGHT 16 /* completions that the block holds for its command window */

/* -------------------------------------------------------------------------------------------------------------- layout
 */

/* Address of a row: base[layer][tensor] + block*stride.block + head*stride.head + (token >> share_log2)*stride.token
 * + offset. All in bytes, all multiples of a beat (bus_bits / 8). */
typedef struct kvs_stride {
  uint64_t block; /* from one page to the next, below 2^40 */
  uint32_t head;
  uint32_t token;
} kvs_stride;

typedef struct kvs_plane {
  bool valid;
  uint8_t tensor;
  uint8_t stride_set;
  uint8_t share_log2; /* 2^share_log2 tokens share a row */
  uint32_t row_bytes;
  uint32_t offset;
} kvs_plane;

typedef struct kvs_layout {
  uint32_t layers;     /* of the model */
  uint32_t page_log2;  /* 2^page_log2 tokens a page, 4 to 7 */
  uint32_t block_bits; /* of a table word: the physical block; the bits above, up to bit 30, are its generation */
  kvs_stride stride[KVS_STRIDE_SETS];
  kvs_plane plane[KVS_PLANES];
} kvs_layout;

/* -------------------------------------------------------------------------------------------------------------- policy
 */

/* Scores: unsigned fixed point with 14 fraction bits; 1.0 is an even spread of attention. */
#define KVS_SCORE_ONE 0x4000u
#define KVS_SCORE_NEVER 0xffffffffu

#define KVS_LAYER_RANGES 4
#define KVS_PROMO_CHANNELS 4

/* Layers whose attention weights count `weight` times in the scores, 0 (not at all) to 15. The lowest range that holds
   a layer decides; a layer in none counts once. count 0: no range. */
typedef struct kvs_layer_weight {
  uint32_t first, count, weight;
} kvs_layer_weight;

typedef struct kvs_policy {
  uint32_t t_sink, t_pin, t_promote, t_evict;
  uint32_t alpha; /* in 1/65536 */
  uint32_t n_promote, n_dwell, n_evict;
  uint32_t sram_budget; /* slots; 0: everything is read from the backing memory */
  uint32_t layer_first, layer_count;
  uint32_t score_min_distance, score_min_queries;
  bool score_raw;
  uint32_t score_raw_shift;
  bool dynamic;
  uint32_t promo_floor; /* in 1/32 of the beats */
  uint32_t burst_cost;  /* in beats */
  uint32_t bus_timeout, stream_timeout;
  uint32_t head_mask[4]; /* query heads that the scorer counts */
  kvs_layer_weight layer_weight[KVS_LAYER_RANGES];
  uint32_t promo_reads[KVS_PROMO_CHANNELS]; /* promotion reads in flight at most, by channel; 0: as many as there are */
} kvs_policy;

/* ------------------------------------------------------------------------------------------------------------ commands
 */

#define KVS_DWELL_PINNED 0xffffu
#define KVS_DWELL_BEST_EFFORT 0u
#define KVS_NO_MAXIMUM 0xffffu /* slot_max: as many slots as the instance has */

typedef enum kvs_opcode {
  KVS_OP_SET_OWNER = 0x01,
  KVS_OP_SET_LENGTH = 0x02,
  KVS_OP_SET_PROFILE = 0x03,
  KVS_OP_PROMOTE = 0x04,
  KVS_OP_LET_GO = 0x05,
  KVS_OP_ABORT = 0x06,
  KVS_OP_RETIRE = 0x07,
  KVS_OP_STEP_END = 0x08,
  KVS_OP_OPEN = 0x09,
  KVS_OP_COMMIT = 0x0a,
  KVS_OP_PLAN = 0x0b,
  KVS_OP_WAIT_PROMOTIONS = 0x0c
} kvs_opcode;

/* A command as the block takes it; kvsink_pkg says which fields each opcode uses. The driver sets the tag. */
typedef struct kvs_command {
  uint8_t opcode;
  uint8_t flags;
  uint32_t first;
  uint32_t count;
  uint16_t owner;
  uint16_t profile;
  uint64_t arg[4];
} kvs_command;

typedef struct kvs_done {
  uint8_t opcode;
  uint8_t status; /* kvs_status */
  uint16_t tag;
  uint32_t value0; /* promote: slot; let_go, abort, retire: tokens concerned; step_end: promoted [15:0], evicted
                      [31:16]; wait_promotions: promotions ended since the last wait */
  uint64_t value1; /* promote: tag entry */
  uint32_t cycles; /* from acceptance to completion */
} kvs_done;

typedef struct kvs_owner {
  uint16_t tenant;
  bool is_public;      /* owners of other tenants may name it as prefix */
  uint64_t table_base; /* block table, one int32 a block, 4-byte aligned */
  uint32_t length;     /* positions that may be read */
  uint32_t committed;  /* positions that may be promoted */
  bool has_prefix;
  uint16_t prefix_owner;
  uint32_t prefix_length; /* a multiple of the page */
  uint16_t profile;       /* of automatic placements */
  uint32_t slot_min, slot_max;
} kvs_owner;

typedef struct kvs_profile {
  uint32_t layer_first, layer_count;
  uint64_t head_mask; /* KV heads */
  uint8_t plane_mask;
  uint32_t slot_first, slot_count;
  uint32_t sram_base; /* first beat of the first slot */
} kvs_profile;

typedef struct kvs_promotion {
  uint16_t owner;
  uint32_t position;
  uint16_t profile;
  uint16_t dwell;                /* steps; KVS_DWELL_PINNED, KVS_DWELL_BEST_EFFORT */
  uint64_t deadline, not_before; /* cycles since reset; 0: none */
  uint8_t tier;
} kvs_promotion;

/* ---- plans: docs/theory/residency.md, "Plans" */

#define KVS_ANY_NUMBER 0xffu /* of kvs_envelope: no limit a step */
#define KVS_ANY_SLOTS 0xffffu

/* What the block may do by itself while the plan is in force. */
typedef struct kvs_envelope {
  uint8_t promotions; /* by scores, a step */
  uint8_t evictions;  /* by pressure or threshold, a step */
  uint16_t slots;     /* of the owner in use, from which on scores promote no more */
} kvs_envelope;

typedef enum kvs_plan_kind {
  KVS_PLAN_PROMOTE = 1, /* position `first`: dwell, tier; from: not before, until: deadline (0: none) */
  KVS_PLAN_WINDOW = 2,  /* [from, until): the promotions of its step that follow it move their data in it */
  KVS_PLAN_REGION = 3   /* positions first, count: replay-safe for `dwell` steps (0: to the end of the plan) */
} kvs_plan_kind;

/* Items come in the order of their steps, regions first. `step` counts step_ends from the plan's acceptance; `from` and
   `until` are cycles from the beginning of the step. */
typedef struct kvs_plan_item {
  uint8_t kind; /* kvs_plan_kind */
  uint8_t tier;
  uint16_t step;
  uint16_t dwell;
  uint32_t first, count;
  uint32_t from, until;
} kvs_plan_item;

typedef struct kvs_plan_state {
  bool active;
  uint16_t step, next; /* step reached, item whose turn it is */
  uint16_t missed;     /* promotions that ended without being placed */
  uint16_t denied_promotions, denied_evictions;
} kvs_plan_state;

/* How a driver's user changes memory, for kvs_move_block. Both return 0, or another number for an error, which ends the
   call; what they wrote is visible to the memory port when they return. */
typedef struct kvs_memory {
  void* context;
  int (*copy_block)(void* context, uint32_t to, uint32_t from);    /* physical blocks */
  int (*write_word)(void* context, uint32_t index, uint32_t word); /* block table of the owner */
} kvs_memory;

/* -------------------------------------------------------------------------------------------------------- log,
 * counters */

typedef struct kvs_record {
  uint32_t sequence;
  uint64_t time;
  uint8_t kind, cause; /* kvsink_pkg::event_e, kvs_status */
  uint16_t owner;
  uint32_t position;
  uint32_t word;
  uint16_t slot;
  uint32_t crc;
  uint32_t raw[8]; /* the record as it is, for its CRC */
} kvs_record;

/* In the order of the registers; kvs_counter_name gives the names, docs/registers.md what they count. */
typedef enum kvs_counter {
  KVS_COUNT_CYCLES,
  KVS_COUNT_TABLE_BEATS,
  KVS_COUNT_BULK_BEATS,
  KVS_COUNT_PROMO_BEATS,
  KVS_COUNT_TABLE_BURSTS,
  KVS_COUNT_BULK_BURSTS,
  KVS_COUNT_PROMO_BURSTS,
  KVS_COUNT_AR_STALLS,
  KVS_COUNT_R_IDLES,
  KVS_COUNT_ERROR_BEATS,
  KVS_COUNT_SINK_ROWS,
  KVS_COUNT_SINK_BEATS,
  KVS_COUNT_BULK_ROWS,
  KVS_COUNT_BULK_ROW_BEATS,
  KVS_COUNT_ERROR_ROWS,
  KVS_COUNT_DROPPED_BEATS,
  KVS_COUNT_REQUESTS,
  KVS_COUNT_KEEP_REFUSED,
  KVS_COUNT_SINK_STALLS,
  KVS_COUNT_BULK_STALLS,
  KVS_COUNT_SRAM_CONFLICTS,
  KVS_COUNT_GRANTED,
  KVS_COUNT_REFUSED,
  KVS_COUNT_RESIDENT,
  KVS_COUNT_FAILED,
  KVS_COUNT_LEFT,
  KVS_COUNT_EVICTED,
  KVS_COUNT_DEADLINE_MISSED,
  KVS_COUNT_MERGES,
  KVS_COUNT_MERGES_WEIGHTED,
  KVS_COUNT_MERGE_NANS,
  KVS_COUNT_MERGE_ERRORS,
  KVS_COUNT_SCORE_BEATS,
  KVS_COUNT_SCORE_SATURATED,
  KVS_COUNT_SCORE_DISCARDED,
  KVS_COUNT_SCORE_MALFORMED,
  KVS_COUNT_SINK_TIMEOUTS,
  KVS_COUNT_BULK_TIMEOUTS,
  KVS_COUNT_STRAY_BEATS,
  KVS_COUNT_SLOT_CYCLES,
  KVS_COUNT_SINK_MASS, /* in units of 2^-31: attention mass, not bytes */
  KVS_COUNT_COMMANDS,
  KVS_COUNT_COMPLETIONS,
  KVS_COUNT_REGISTER_ERRORS,
  KVS_COUNT_WALK_HITS,
  KVS_COUNT_WALK_READS,
  KVS_COUNT_WALK_PREFETCHES,
  KVS_COUNT_WALK_DROPPED,
  KVS_COUNT_ROLLBACKS,
  KVS_COUNT_REFERENCES,
  KVS_COUNT_RELEASES,
  KVS_COUNT_REFUSED_BUDGET,
  KVS_COUNT_REFUSED_NO_SLOT,
  KVS_COUNT_REFUSED_NO_ENTRY,
  KVS_COUNT_REFUSED_WINDOW,
  KVS_COUNT_REFUSED_LOG_FULL,
  KVS_COUNT_PLACED,
  KVS_COUNT_PLAN_MISSED,
  KVS_COUNT_PLAN_DENIED_PROMOTIONS,
  KVS_COUNT_PLAN_DENIED_EVICTIONS,
  KVS_COUNT_PROMO_FAR_BEATS,
  KVS_COUNT_WALK_ANSWERS,
  KVS_COUNT_FILLING_CYCLES,
  KVS_COUNT_RECORD_CYCLES,
  KVS_COUNTERS /* how many there are */
} kvs_counter;

/* Bits of kvs_irq_enable and kvs_irq_state. */
#define KVS_IRQ_DONE 0x1u
#define KVS_IRQ_LOG 0x2u
#define KVS_IRQ_STREAM 0x4u
#define KVS_IRQ_ERROR 0x8u

/* Bits of kvs_take_errors. */
#define KVS_BAD_RANGE 0x001u
#define KVS_BAD_ADDRESS 0x002u
#define KVS_BAD_WINDOW 0x004u
#define KVS_BAD_BUS 0x008u
#define KVS_BAD_SINK_TIMEOUT 0x010u
#define KVS_BAD_BULK_TIMEOUT 0x020u
#define KVS_BAD_MERGE_NAN 0x040u
#define KVS_BAD_MERGE_MALFORMED 0x080u
#define KVS_BAD_SCORE_SATURATED 0x100u
#define KVS_BAD_SCORE_MALFORMED 0x200u

/* -------------------------------------------------------------------------------------------------------------- the
 * block */

typedef struct kvs {
  kvs_io io;
  kvs_caps caps;
  uint32_t poll_limit; /* polls of a status before KVS_ERR_POLLS; set by kvs_probe, may be changed */
  const char* field;   /* what was out of range, after KVS_ERR_RANGE or KVS_ERR_ARGUMENT */
  /* the driver's own */
  kvs_layout layout;
  uint16_t next_tag;
  uint32_t in_flight; /* submitted and not taken */
  uint32_t kept;
  kvs_done kept_done[KVS_IN_FLIGHT];
} kvs;

/* Looks whether a kvsink answers behind `io`, and reads its sizes. Call it first. */
int kvs_probe(kvs* k, kvs_io io);

/* ---- set up, while nothing runs */

/* Writes the layout; invalid planes are left out. */
int kvs_set_layout(kvs* k, const kvs_layout* layout);
/* Base address of a tensor of a layer. */
int kvs_set_base(kvs* k, uint32_t layer, uint32_t tensor, uint64_t address);
/* The policy as the registers hold it; after reset: the defaults. */
int kvs_get_policy(kvs* k, kvs_policy* policy);
int kvs_set_policy(kvs* k, const kvs_policy* policy);
/* A score from a number (saturates); 3.0 gives 3 * KVS_SCORE_ONE. */
uint32_t kvs_score(double value);
/* Beats of one slot of a profile, by the layout that was set; 0 when the profile is empty. */
uint32_t kvs_slot_beats(const kvs* k, const kvs_profile* profile);

/* ---- commands. `done` may be null. KVS_ERR_STATUS: the block answered, with done->status. */

int kvs_set_owner(kvs* k, uint16_t owner, const kvs_owner* context, kvs_done* done);
int kvs_reset_owner(kvs* k, uint16_t owner, kvs_done* done);
int kvs_set_length(kvs* k, uint16_t owner, uint32_t length, uint32_t committed, kvs_done* done);
int kvs_set_profile(kvs* k, uint16_t profile, const kvs_profile* shape, kvs_done* done);
int kvs_clear_profile(kvs* k, uint16_t profile, kvs_done* done);
/* Completes when the promotion is granted or refused; kvs_wait_promotions waits for its end. */
int kvs_promote(kvs* k, const kvs_promotion* promotion, kvs_done* done);
int kvs_let_go(kvs* k, uint16_t owner, uint32_t first, uint32_t count, kvs_done* done);
int kvs_abort(kvs* k, uint16_t owner, uint32_t first, uint32_t count, kvs_done* done);
/* Before block table entries are changed: nothing of the range is hit or read any more once this returns. */
int kvs_retire(kvs* k, uint16_t owner, uint32_t first, uint32_t count, kvs_done* done);
int kvs_retire_all(kvs* k, kvs_done* done);
/* prefill: place the strongest tokens of the scores sent; without_scores: none were sent on purpose. */
int kvs_step_end(kvs* k, uint16_t owner, bool prefill, bool without_scores, kvs_done* done);
int kvs_open(kvs* k, uint16_t owner, kvs_done* done);
int kvs_commit(kvs* k, uint16_t owner, uint32_t count, kvs_done* done);
/* Waits for the promotions under way of an owner; done->status is the worst of their ends. */
int kvs_wait_promotions(kvs* k, uint16_t owner, kvs_done* done);
int kvs_wait_all_promotions(kvs* k, kvs_done* done);
/* Waits for the promotion of one token: done->status is its end; KVS_ST_NOT_RESIDENT when the token has no slot. */
int kvs_wait_promotion(kvs* k, uint16_t owner, uint32_t position, kvs_done* done);

/* Hands a plan over. KVS_OK: accepted, done->value0 slots and value1 entries are reserved at its peak. KVS_ERR_STATUS
   with KVS_ST_NO_PLAN: refused, value0 is the first item that fails and value1 its reason (kvs_status); nothing of the
   plan is left in the block. */
int kvs_plan(kvs* k, uint16_t owner, const kvs_envelope* envelope, const kvs_plan_item* items, size_t count,
             kvs_done* done);
/* Ends a plan: its items to come are dropped, its reservation and its limits too; what is resident stays. */
int kvs_drop_plan(kvs* k, uint16_t owner, kvs_done* done);
int kvs_get_plan(kvs* k, uint16_t owner, kvs_plan_state* state);

/* Moves one block of an owner to another physical block, of another tier say: copies it, writes the table word with its
   generation raised, retires the block's positions. When it returns KVS_OK the old block is free. `old_word` is the
   table's word; *new_word, when not null, becomes the one written. The tokens of the block that were in SRAM are not
   any more. KVS_ERR_RANGE when the generation wraps: retire the block for all owners that name it, then start from 0.
 */
int kvs_move_block(kvs* k, uint16_t owner, uint32_t index, uint32_t old_word, uint32_t to, const kvs_memory* memory,
                   uint32_t* new_word, kvs_done* done);

/* Submits without waiting. *tag, when not null, is what the completion will carry. */
int kvs_submit(kvs* k, const kvs_command* command, uint16_t* tag);
/* Takes the oldest completion there is; KVS_ERR_EMPTY when there is none now. */
int kvs_take(kvs* k, kvs_done* done);
/* Waits for the completion of `tag`, keeping others. */
int kvs_wait(kvs* k, uint16_t tag, kvs_done* done);

/* ---- what happened */

/* Takes the oldest record of the log; KVS_ERR_EMPTY when it is drained. */
int kvs_take_record(kvs* k, kvs_record* record);
/* Sequence number and CRC of the last record written, of the same moment. */
int kvs_log_last(kvs* k, uint32_t* sequence, uint32_t* crc);
/* CRC that a record must carry, when the one before it carried `last` (0 for the first). */
uint32_t kvs_record_crc(uint32_t last, const kvs_record* record);

/* All 64 bits of one moment. */
int kvs_read_counter(kvs* k, kvs_counter counter, uint64_t* value);
const char* kvs_counter_name(kvs_counter counter);

int kvs_irq_enable(kvs* k, uint32_t bits, uint32_t log_threshold);
int kvs_irq_state(kvs* k, uint32_t* bits);
/* Reads the error bits and clears those read. */
int kvs_take_errors(kvs* k, uint32_t* bits);

#ifdef __cplusplus
}
#endif

#endif

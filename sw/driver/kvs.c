/* SPDX-License-Identifier: Apache-2.0 */
#include "sw/driver/include/kvs.h"

#include <string.h>

#include "sw/driver/include/kvsink_regs.h"

#define REG(member) ((uint32_t)offsetof(kvsink_regs_t, member))
#define TRY(call)                                \
  do {                                           \
    const int try_result = (call);               \
    if (try_result != KVS_OK) return try_result; \
  } while (0)

static const uint32_t kPollLimit = 1000000;
static const uint32_t kDoneFlag = KVSINK_REGS__STATUS__DONE_AVAILABLE_bm;
static const uint32_t kLogFlag = KVSINK_REGS__STATUS__LOG_AVAILABLE_bm;
static const uint32_t kBusyFlag = KVSINK_REGS__STATUS__CMD_BUSY_bm;

/* ---------------------------------------------------------------------------------------------------------------- text
 */

const char* kvs_result_text(int result) {
  switch (result) {
    case KVS_OK:
      return "ok";
    case KVS_ERR_IO:
      return "register access answered with an error";
    case KVS_ERR_ARGUMENT:
      return "bad argument";
    case KVS_ERR_RANGE:
      return "value out of range";
    case KVS_ERR_ID:
      return "no kvsink of this version here";
    case KVS_ERR_POLLS:
      return "no answer in time";
    case KVS_ERR_EMPTY:
      return "nothing to take";
    case KVS_ERR_BUSY:
      return "too many commands under way";
    case KVS_ERR_STATUS:
      return "the block refused or failed the command";
    default:
      return "unknown result";
  }
}

const char* kvs_status_text(unsigned status) {
  static const char* const text[] = {
      "ok",
      "SRAM budget or the owner's maximum reached",
      "no free slot in the profile's region",
      "no free tag entry",
      "frozen by an open window",
      "no such owner",
      "positions beyond the committed length, or an empty range",
      "profile not set, or it does not fit",
      "no room in the event log",
      "unknown command, or a field out of range",
      "the owner is referenced, or too many commands of this kind wait",
      "the prefix owner belongs to another tenant",
      "the block table maps no block there",
      "the granule is present with another block or generation",
      "bus error",
      "no response in time",
      "aborted",
      "completed after its deadline",
      "already resident",
      "not resident",
      "evicted under pressure",
      "released below the threshold",
      "let go by command",
      "retired",
      "the earlier request's list is gone",
      "plan refused, or there is none",
      "outside the envelope of the owner's plan",
  };
  return status < sizeof text / sizeof text[0] ? text[status] : "unknown status";
}

const char* kvs_counter_name(kvs_counter counter) {
  static const char* const name[] = {
      "cycles",
      "table_beats",
      "bulk_beats",
      "promo_beats",
      "table_bursts",
      "bulk_bursts",
      "promo_bursts",
      "ar_stalls",
      "r_idles",
      "error_beats",
      "sink_rows",
      "sink_beats",
      "bulk_rows",
      "bulk_row_beats",
      "error_rows",
      "dropped_beats",
      "requests",
      "keep_refused",
      "sink_stalls",
      "bulk_stalls",
      "sram_conflicts",
      "granted",
      "refused",
      "resident",
      "failed",
      "left",
      "evicted",
      "deadline_missed",
      "merges",
      "merges_weighted",
      "merge_nans",
      "merge_errors",
      "score_beats",
      "score_saturated",
      "score_discarded",
      "score_malformed",
      "sink_timeouts",
      "bulk_timeouts",
      "stray_beats",
      "slot_cycles",
      "sink_mass",
      "commands",
      "completions",
      "register_errors",
      "walk_hits",
      "walk_reads",
      "walk_prefetches",
      "walk_dropped",
      "rollbacks",
      "references",
      "releases",
      "refused_budget",
      "refused_no_slot",
      "refused_no_entry",
      "refused_window",
      "refused_log_full",
      "placed",
      "plan_missed",
      "plan_denied_promotions",
      "plan_denied_evictions",
      "promo_far_beats",
      "walk_answers",
      "filling_cycles",
      "record_cycles",
  };
  static_assert(sizeof name / sizeof name[0] == KVS_COUNTERS, "a name for each counter");
  return (unsigned)counter < KVS_COUNTERS ? name[counter] : "unknown counter";
}

/* ------------------------------------------------------------------------------------------------------------
 * registers */

static int read_reg(kvs* k, uint32_t addr, uint32_t* value) {
  return k->io.read32(k->io.context, addr, value) == 0 ? KVS_OK : KVS_ERR_IO;
}

static int write_reg(kvs* k, uint32_t addr, uint32_t value) {
  return k->io.write32(k->io.context, addr, value) == 0 ? KVS_OK : KVS_ERR_IO;
}

static int bad(kvs* k, int result, const char* field) {
  k->field = field;
  return result;
}

/* Value in [low, high]. */
#define CHECK_RANGE(k, value, low, high, name)                                                               \
  do {                                                                                                       \
    const uint64_t check_value = (value);                                                                    \
    if (check_value < (uint64_t)(low) || check_value > (uint64_t)(high)) return bad(k, KVS_ERR_RANGE, name); \
  } while (0)
/* low <= value where low may be 0 and the type unsigned. */
#define CHECK_MAX(k, value, high, name)                                           \
  do {                                                                            \
    if ((uint64_t)(value) > (uint64_t)(high)) return bad(k, KVS_ERR_RANGE, name); \
  } while (0)

static int check_beats(kvs* k, uint64_t bytes, const char* name) {
  return bytes % (k->caps.bus_bits / 8) == 0 ? KVS_OK : bad(k, KVS_ERR_RANGE, name);
}

int kvs_probe(kvs* k, kvs_io io) {
  if (k == NULL || io.read32 == NULL || io.write32 == NULL) return KVS_ERR_ARGUMENT;
  memset(k, 0, sizeof *k);
  k->io = io;
  k->poll_limit = kPollLimit;
  k->field = "";
  uint32_t value = 0;
  TRY(read_reg(k, REG(id), &value));
  if (value != KVSINK_REGS__ID__VALUE_reset) return KVS_ERR_ID;
  TRY(read_reg(k, REG(version), &value));
  if (value >> KVSINK_REGS__VERSION__MAJOR_bp != KVSINK_REGS__VERSION__MAJOR_reset) return KVS_ERR_ID;

  const struct {
    uint32_t addr;
    uint32_t* value;
  } caps[] = {
      {REG(cap_config_id), &k->caps.config_id},
      {REG(cap_layers), &k->caps.layers},
      {REG(cap_q_heads), &k->caps.q_heads},
      {REG(cap_kv_heads), &k->caps.kv_heads},
      {REG(cap_row_bytes), &k->caps.row_bytes},
      {REG(cap_positions), &k->caps.positions},
      {REG(cap_scored), &k->caps.scored},
      {REG(cap_owners), &k->caps.owners},
      {REG(cap_entries), &k->caps.entries},
      {REG(cap_slots), &k->caps.slots},
      {REG(cap_sram_bytes), &k->caps.sram_bytes},
      {REG(cap_translations), &k->caps.translations},
      {REG(cap_readers), &k->caps.readers},
      {REG(cap_profiles), &k->caps.profiles},
      {REG(cap_lanes), &k->caps.lanes},
      {REG(cap_bus_bits), &k->caps.bus_bits},
      {REG(cap_row_reads), &k->caps.row_reads},
      {REG(cap_log_records), &k->caps.log_records},
      {REG(cap_top_k), &k->caps.top_k},
      {REG(cap_bulk_beats), &k->caps.bulk_beats},
      {REG(cap_planes), &k->caps.planes},
      {REG(cap_tensors), &k->caps.tensors},
      {REG(cap_stride_sets), &k->caps.stride_sets},
      {REG(cap_score_lanes), &k->caps.score_lanes},
      {REG(cap_plans), &k->caps.plans},
      {REG(cap_plan_items), &k->caps.plan_items},
  };
  for (size_t i = 0; i < sizeof caps / sizeof caps[0]; i++) TRY(read_reg(k, caps[i].addr, caps[i].value));
  if (k->caps.bus_bits < 32 || k->caps.planes != KVS_PLANES || k->caps.stride_sets != KVS_STRIDE_SETS ||
      k->caps.tensors != KVS_TENSORS) {
    return KVS_ERR_ID;
  }
  return KVS_OK;
}

/* ---------------------------------------------------------------------------------------------------------------
 * layout */

static int check_plane(kvs* k, const kvs_plane* p) {
  CHECK_MAX(k, p->tensor, KVS_TENSORS - 1, "plane.tensor");
  CHECK_MAX(k, p->stride_set, KVS_STRIDE_SETS - 1, "plane.stride_set");
  CHECK_MAX(k, p->share_log2, 7, "plane.share_log2");
  CHECK_RANGE(k, p->row_bytes, 1, k->caps.row_bytes, "plane.row_bytes");
  TRY(check_beats(k, p->row_bytes, "plane.row_bytes"));
  return check_beats(k, p->offset, "plane.offset");
}

int kvs_set_layout(kvs* k, const kvs_layout* layout) {
  if (k == NULL || layout == NULL) return KVS_ERR_ARGUMENT;
  CHECK_RANGE(k, layout->layers, 1, k->caps.layers, "layers");
  CHECK_RANGE(k, layout->page_log2, 4, 7, "page_log2");
  CHECK_RANGE(k, layout->block_bits, 1, 31, "block_bits");
  for (unsigned i = 0; i < KVS_STRIDE_SETS; i++) {
    const kvs_stride* s = &layout->stride[i];
    CHECK_MAX(k, s->block, (UINT64_C(1) << 40) - 1, "stride.block");
    TRY(check_beats(k, s->block, "stride.block"));
    TRY(check_beats(k, s->head, "stride.head"));
    TRY(check_beats(k, s->token, "stride.token"));
  }
  for (unsigned i = 0; i < KVS_PLANES; i++) {
    if (layout->plane[i].valid) TRY(check_plane(k, &layout->plane[i]));
  }

  TRY(write_reg(
      k, REG(page),
      layout->page_log2 << KVSINK_REGS__PAGE__PAGE_LOG2_bp | layout->block_bits << KVSINK_REGS__PAGE__BLOCK_BITS_bp));
  TRY(write_reg(k, REG(model_layers), layout->layers));
  for (unsigned i = 0; i < KVS_STRIDE_SETS; i++) {
    const uint32_t at = REG(stride) + i * (uint32_t)sizeof(kvsink_regs__stridex_t);
    const kvs_stride* s = &layout->stride[i];
    TRY(write_reg(k, at + (uint32_t)offsetof(kvsink_regs__stridex_t, block_lo), (uint32_t)s->block));
    TRY(write_reg(k, at + (uint32_t)offsetof(kvsink_regs__stridex_t, block_hi), (uint32_t)(s->block >> 32)));
    TRY(write_reg(k, at + (uint32_t)offsetof(kvsink_regs__stridex_t, head), s->head));
    TRY(write_reg(k, at + (uint32_t)offsetof(kvsink_regs__stridex_t, token), s->token));
  }
  for (unsigned i = 0; i < KVS_PLANES; i++) {
    const uint32_t at = REG(plane) + i * (uint32_t)sizeof(kvsink_regs__planex_t);
    const kvs_plane* p = &layout->plane[i];
    const uint32_t beats = p->valid ? p->row_bytes / (k->caps.bus_bits / 8) : 1;
    const uint32_t shape = !p->valid ? beats << KVSINK_REGS__PLANEX__SHAPE__ROW_BEATS_bp
                                     : KVSINK_REGS__PLANEX__SHAPE__VALID_bm |
                                           (uint32_t)p->tensor << KVSINK_REGS__PLANEX__SHAPE__TENSOR_bp |
                                           (uint32_t)p->stride_set << KVSINK_REGS__PLANEX__SHAPE__STRIDE_SET_bp |
                                           (uint32_t)p->share_log2 << KVSINK_REGS__PLANEX__SHAPE__SHARE_LOG2_bp |
                                           beats << KVSINK_REGS__PLANEX__SHAPE__ROW_BEATS_bp;
    TRY(write_reg(k, at + (uint32_t)offsetof(kvsink_regs__planex_t, shape), shape));
    TRY(write_reg(k, at + (uint32_t)offsetof(kvsink_regs__planex_t, offset), p->valid ? p->offset : 0));
  }
  k->layout = *layout;
  return KVS_OK;
}

int kvs_set_base(kvs* k, uint32_t layer, uint32_t tensor, uint64_t address) {
  if (k == NULL) return KVS_ERR_ARGUMENT;
  CHECK_MAX(k, layer, k->caps.layers - 1, "layer");
  CHECK_MAX(k, tensor, KVS_TENSORS - 1, "tensor");
  CHECK_MAX(k, address, (UINT64_C(1) << 48) - 1, "address");
  TRY(check_beats(k, address, "address"));
  const uint32_t at = REG(base) + 8 * (KVS_TENSORS * layer + tensor);
  TRY(write_reg(k, at, (uint32_t)address));
  return write_reg(k, at + 4, (uint32_t)(address >> 32));
}

uint32_t kvs_slot_beats(const kvs* k, const kvs_profile* profile) {
  uint32_t head_beats = 0;
  uint32_t heads = 0;
  if (k == NULL || profile == NULL) return 0;
  for (unsigned i = 0; i < KVS_PLANES; i++) {
    if ((profile->plane_mask >> i & 1) != 0 && k->layout.plane[i].valid) {
      head_beats += k->layout.plane[i].row_bytes / (k->caps.bus_bits / 8);
    }
  }
  for (uint64_t m = profile->head_mask; m != 0; m &= m - 1) heads++;
  return profile->layer_count * heads * head_beats;
}

/* ---------------------------------------------------------------------------------------------------------------
 * policy */

uint32_t kvs_score(double value) {
  const double scaled = value * (double)KVS_SCORE_ONE + 0.5;
  if (!(scaled >= 1.0)) return 0;
  return scaled >= 4294967295.0 ? KVS_SCORE_NEVER : (uint32_t)scaled;
}

int kvs_get_policy(kvs* k, kvs_policy* policy) {
  if (k == NULL || policy == NULL) return KVS_ERR_ARGUMENT;
  uint32_t range = 0;
  uint32_t mode = 0;
  uint32_t dynamic = 0;
  const struct {
    uint32_t addr;
    uint32_t* value;
  } regs[] = {
      {REG(t_sink), &policy->t_sink},
      {REG(t_pin), &policy->t_pin},
      {REG(t_promote), &policy->t_promote},
      {REG(t_evict), &policy->t_evict},
      {REG(alpha), &policy->alpha},
      {REG(n_promote), &policy->n_promote},
      {REG(n_dwell), &policy->n_dwell},
      {REG(n_evict), &policy->n_evict},
      {REG(sram_budget), &policy->sram_budget},
      {REG(layer_range), &range},
      {REG(score_min_distance), &policy->score_min_distance},
      {REG(score_min_queries), &policy->score_min_queries},
      {REG(score_mode), &mode},
      {REG(dynamic), &dynamic},
      {REG(promo_floor), &policy->promo_floor},
      {REG(burst_cost), &policy->burst_cost},
      {REG(bus_timeout), &policy->bus_timeout},
      {REG(stream_timeout), &policy->stream_timeout},
      {REG(head_mask_0), &policy->head_mask[0]},
      {REG(head_mask_1), &policy->head_mask[1]},
      {REG(head_mask_2), &policy->head_mask[2]},
      {REG(head_mask_3), &policy->head_mask[3]},
  };
  for (size_t i = 0; i < sizeof regs / sizeof regs[0]; i++) TRY(read_reg(k, regs[i].addr, regs[i].value));
  for (unsigned i = 0; i < KVS_LAYER_RANGES; i++) {
    uint32_t word = 0;
    TRY(read_reg(k, REG(layer_weight) + 4 * i, &word));
    kvs_layer_weight* w = &policy->layer_weight[i];
    w->first = (word & KVSINK_REGS__LAYER_WEIGHTX__FIRST_bm) >> KVSINK_REGS__LAYER_WEIGHTX__FIRST_bp;
    w->count = (word & KVSINK_REGS__LAYER_WEIGHTX__COUNT_bm) >> KVSINK_REGS__LAYER_WEIGHTX__COUNT_bp;
    w->weight = (word & KVSINK_REGS__LAYER_WEIGHTX__WEIGHT_bm) >> KVSINK_REGS__LAYER_WEIGHTX__WEIGHT_bp;
  }
  for (unsigned i = 0; i < KVS_PROMO_CHANNELS; i++) TRY(read_reg(k, REG(promo_reads) + 4 * i, &policy->promo_reads[i]));
  policy->layer_first = (range & KVSINK_REGS__LAYER_RANGE__FIRST_bm) >> KVSINK_REGS__LAYER_RANGE__FIRST_bp;
  policy->layer_count = (range & KVSINK_REGS__LAYER_RANGE__COUNT_bm) >> KVSINK_REGS__LAYER_RANGE__COUNT_bp;
  policy->score_raw = (mode & KVSINK_REGS__SCORE_MODE__RAW_bm) != 0;
  policy->score_raw_shift = (mode & KVSINK_REGS__SCORE_MODE__RAW_SHIFT_bm) >> KVSINK_REGS__SCORE_MODE__RAW_SHIFT_bp;
  policy->dynamic = dynamic != 0;
  return KVS_OK;
}

int kvs_set_policy(kvs* k, const kvs_policy* policy) {
  if (k == NULL || policy == NULL) return KVS_ERR_ARGUMENT;
  CHECK_MAX(k, policy->alpha, 0xffff, "alpha");
  CHECK_RANGE(k, policy->n_promote, 1, 0xff, "n_promote");
  CHECK_MAX(k, policy->n_dwell, KVS_DWELL_PINNED - 1, "n_dwell");
  CHECK_RANGE(k, policy->n_evict, 1, 0xff, "n_evict");
  CHECK_MAX(k, policy->sram_budget, k->caps.slots, "sram_budget");
  CHECK_MAX(k, policy->layer_first, k->caps.layers - 1, "layer_first");
  CHECK_RANGE(k, policy->layer_count, 1, k->caps.layers - policy->layer_first, "layer_count");
  for (unsigned i = 0; i < KVS_LAYER_RANGES; i++) {
    const kvs_layer_weight* w = &policy->layer_weight[i];
    CHECK_MAX(k, w->first, k->caps.layers - 1, "layer_weight.first");
    CHECK_MAX(k, w->count, k->caps.layers - w->first, "layer_weight.count");
    CHECK_MAX(k, w->weight, 15, "layer_weight.weight");
  }
  for (unsigned i = 0; i < KVS_PROMO_CHANNELS; i++) {
    CHECK_MAX(k, policy->promo_reads[i], k->caps.row_reads, "promo_reads");
  }
  CHECK_MAX(k, policy->score_min_distance, k->caps.positions, "score_min_distance");
  CHECK_MAX(k, policy->score_min_queries, k->caps.positions, "score_min_queries");
  CHECK_MAX(k, policy->score_raw_shift, 31, "score_raw_shift");
  CHECK_MAX(k, policy->promo_floor, 31, "promo_floor");
  CHECK_MAX(k, policy->burst_cost, 0xff, "burst_cost");
  CHECK_MAX(k, policy->bus_timeout, 0xffffff, "bus_timeout");
  CHECK_MAX(k, policy->stream_timeout, 0xffffff, "stream_timeout");
  for (unsigned i = 0; i < 4; i++) {
    const uint32_t heads = k->caps.q_heads > 32 * i ? k->caps.q_heads - 32 * i : 0;
    if (heads < 32 && policy->head_mask[i] >> heads != 0) return bad(k, KVS_ERR_RANGE, "head_mask");
  }
  const struct {
    uint32_t addr;
    uint32_t value;
  } regs[] = {
      {REG(t_sink), policy->t_sink},
      {REG(t_pin), policy->t_pin},
      {REG(t_promote), policy->t_promote},
      {REG(t_evict), policy->t_evict},
      {REG(alpha), policy->alpha},
      {REG(n_promote), policy->n_promote},
      {REG(n_dwell), policy->n_dwell},
      {REG(n_evict), policy->n_evict},
      {REG(sram_budget), policy->sram_budget},
      {REG(layer_range), policy->layer_first << KVSINK_REGS__LAYER_RANGE__FIRST_bp |
                             policy->layer_count << KVSINK_REGS__LAYER_RANGE__COUNT_bp},
      {REG(score_min_distance), policy->score_min_distance},
      {REG(score_min_queries), policy->score_min_queries},
      {REG(score_mode), (policy->score_raw ? KVSINK_REGS__SCORE_MODE__RAW_bm : 0u) |
                            policy->score_raw_shift << KVSINK_REGS__SCORE_MODE__RAW_SHIFT_bp},
      {REG(dynamic), policy->dynamic ? 1u : 0u},
      {REG(promo_floor), policy->promo_floor},
      {REG(burst_cost), policy->burst_cost},
      {REG(bus_timeout), policy->bus_timeout},
      {REG(stream_timeout), policy->stream_timeout},
      {REG(head_mask_0), policy->head_mask[0]},
      {REG(head_mask_1), policy->head_mask[1]},
      {REG(head_mask_2), policy->head_mask[2]},
      {REG(head_mask_3), policy->head_mask[3]},
  };
  for (size_t i = 0; i < sizeof regs / sizeof regs[0]; i++) TRY(write_reg(k, regs[i].addr, regs[i].value));
  for (unsigned i = 0; i < KVS_LAYER_RANGES; i++) {
    const kvs_layer_weight* w = &policy->layer_weight[i];
    TRY(write_reg(k, REG(layer_weight) + 4 * i,
                  w->first << KVSINK_REGS__LAYER_WEIGHTX__FIRST_bp | w->count << KVSINK_REGS__LAYER_WEIGHTX__COUNT_bp |
                      w->weight << KVSINK_REGS__LAYER_WEIGHTX__WEIGHT_bp));
  }
  for (unsigned i = 0; i < KVS_PROMO_CHANNELS; i++) {
    TRY(write_reg(k, REG(promo_reads) + 4 * i, policy->promo_reads[i]));
  }
  return KVS_OK;
}

/* -------------------------------------------------------------------------------------------------------------
 * commands */

int kvs_submit(kvs* k, const kvs_command* command, uint16_t* tag) {
  if (k == NULL || command == NULL) return KVS_ERR_ARGUMENT;
  if (k->in_flight == KVS_IN_FLIGHT) return KVS_ERR_BUSY;
  uint32_t status = kBusyFlag;
  for (uint32_t polls = 0; (status & kBusyFlag) != 0; polls++) {
    if (polls == k->poll_limit) return KVS_ERR_POLLS;
    TRY(read_reg(k, REG(status), &status));
  }
  const uint16_t own_tag = k->next_tag;
  const uint32_t words[12] = {
      (uint32_t)command->opcode | (uint32_t)command->flags << 8 | (uint32_t)own_tag << 16,
      command->first,
      command->count,
      (uint32_t)command->owner | (uint32_t)command->profile << 16,
      (uint32_t)command->arg[0],
      (uint32_t)(command->arg[0] >> 32),
      (uint32_t)command->arg[1],
      (uint32_t)(command->arg[1] >> 32),
      (uint32_t)command->arg[2],
      (uint32_t)(command->arg[2] >> 32),
      (uint32_t)command->arg[3],
      (uint32_t)(command->arg[3] >> 32),
  };
  for (uint32_t i = 0; i < 12; i++) TRY(write_reg(k, REG(cmd) + 4 * i, words[i]));
  TRY(write_reg(k, REG(doorbell), 1));
  k->next_tag++;
  k->in_flight++;
  if (tag != NULL) *tag = own_tag;
  return KVS_OK;
}

/* A completion from the block, if there is one. */
static int take_from_block(kvs* k, kvs_done* done) {
  uint32_t status = 0;
  uint32_t w[5] = {0};
  TRY(read_reg(k, REG(status), &status));
  if ((status & kDoneFlag) == 0) return KVS_ERR_EMPTY;
  for (uint32_t i = 0; i < 5; i++) TRY(read_reg(k, REG(done) + 4 * i, &w[i]));
  TRY(write_reg(k, REG(done_pop), 1));
  if (k->in_flight > 0) k->in_flight--;
  done->opcode = (uint8_t)w[0];
  done->status = (uint8_t)(w[0] >> 8);
  done->tag = (uint16_t)(w[0] >> 16);
  done->value0 = w[1];
  done->value1 = (uint64_t)w[3] << 32 | w[2];
  done->cycles = w[4];
  return KVS_OK;
}

static void remove_kept(kvs* k, uint32_t at) {
  k->kept--;
  memmove(&k->kept_done[at], &k->kept_done[at + 1], (k->kept - at) * sizeof k->kept_done[0]);
}

int kvs_take(kvs* k, kvs_done* done) {
  if (k == NULL || done == NULL) return KVS_ERR_ARGUMENT;
  if (k->kept == 0) return take_from_block(k, done);
  *done = k->kept_done[0];
  remove_kept(k, 0);
  return KVS_OK;
}

int kvs_wait(kvs* k, uint16_t tag, kvs_done* done) {
  if (k == NULL || done == NULL) return KVS_ERR_ARGUMENT;
  for (uint32_t i = 0; i < k->kept; i++) {
    if (k->kept_done[i].tag == tag) {
      *done = k->kept_done[i];
      remove_kept(k, i);
      return KVS_OK;
    }
  }
  for (uint32_t polls = 0; polls < k->poll_limit; polls++) {
    kvs_done next;
    const int result = take_from_block(k, &next);
    if (result == KVS_ERR_EMPTY) continue;
    if (result != KVS_OK) return result;
    if (next.tag == tag) {
      *done = next;
      return KVS_OK;
    }
    if (k->kept == KVS_IN_FLIGHT) return KVS_ERR_BUSY;
    k->kept_done[k->kept++] = next;
  }
  return KVS_ERR_POLLS;
}

static int run(kvs* k, const kvs_command* command, kvs_done* done) {
  kvs_done own = {0};
  uint16_t tag = 0;
  if (done != NULL) memset(done, 0, sizeof *done);
  TRY(kvs_submit(k, command, &tag));
  TRY(kvs_wait(k, tag, &own));
  if (done != NULL) *done = own;
  return own.status == KVS_ST_OK ? KVS_OK : KVS_ERR_STATUS;
}

#define CHECK_OWNER(k, owner)                           \
  do {                                                  \
    if ((k) == NULL) return KVS_ERR_ARGUMENT;           \
    CHECK_MAX(k, owner, (k)->caps.owners - 1, "owner"); \
  } while (0)

static int check_positions(kvs* k, uint32_t first, uint32_t count) {
  CHECK_MAX(k, first, k->caps.positions - 1, "first");
  CHECK_RANGE(k, count, 1, k->caps.positions - first, "count");
  return KVS_OK;
}

int kvs_set_owner(kvs* k, uint16_t owner, const kvs_owner* context, kvs_done* done) {
  CHECK_OWNER(k, owner);
  if (context == NULL) return KVS_ERR_ARGUMENT;
  CHECK_MAX(k, context->table_base, (UINT64_C(1) << 48) - 1, "table_base");
  if (context->table_base % 4 != 0) return bad(k, KVS_ERR_RANGE, "table_base");
  CHECK_MAX(k, context->length, k->caps.positions, "length");
  CHECK_MAX(k, context->committed, context->length, "committed");
  CHECK_MAX(k, context->profile, k->caps.profiles - 1, "profile");
  const uint32_t slot_max = context->slot_max == KVS_NO_MAXIMUM ? k->caps.slots : context->slot_max;
  CHECK_MAX(k, slot_max, k->caps.slots, "slot_max");
  CHECK_MAX(k, context->slot_min, slot_max, "slot_min");
  if (context->has_prefix) {
    CHECK_MAX(k, context->prefix_owner, k->caps.owners - 1, "prefix_owner");
    CHECK_MAX(k, context->prefix_length, k->caps.positions, "prefix_length");
    if (context->prefix_owner == owner) return bad(k, KVS_ERR_ARGUMENT, "prefix_owner");
  }
  const kvs_command c = {
      .opcode = KVS_OP_SET_OWNER,
      .flags = (uint8_t)(1u | (context->is_public ? 2u : 0u) | (context->has_prefix ? 4u : 0u)),
      .first = context->length,
      .count = context->committed,
      .owner = owner,
      .arg = {context->table_base,
              context->has_prefix ? (uint64_t)context->prefix_owner << 32 | context->prefix_length : 0,
              (uint64_t)context->tenant | (uint64_t)context->slot_min << 16 | (uint64_t)slot_max << 32 |
                  (uint64_t)context->profile << 48}};
  return run(k, &c, done);
}

int kvs_reset_owner(kvs* k, uint16_t owner, kvs_done* done) {
  CHECK_OWNER(k, owner);
  const kvs_command c = {.opcode = KVS_OP_SET_OWNER, .owner = owner};
  return run(k, &c, done);
}

int kvs_set_length(kvs* k, uint16_t owner, uint32_t length, uint32_t committed, kvs_done* done) {
  CHECK_OWNER(k, owner);
  CHECK_MAX(k, length, k->caps.positions, "length");
  CHECK_MAX(k, committed, length, "committed");
  const kvs_command c = {.opcode = KVS_OP_SET_LENGTH, .first = length, .count = committed, .owner = owner};
  return run(k, &c, done);
}

int kvs_set_profile(kvs* k, uint16_t profile, const kvs_profile* shape, kvs_done* done) {
  if (k == NULL || shape == NULL) return KVS_ERR_ARGUMENT;
  const uint32_t sram_beats = k->caps.sram_bytes / (k->caps.bus_bits / 8);
  CHECK_MAX(k, profile, k->caps.profiles - 1, "profile");
  CHECK_MAX(k, shape->layer_first, k->caps.layers - 1, "layer_first");
  CHECK_RANGE(k, shape->layer_count, 1, k->caps.layers - shape->layer_first, "layer_count");
  CHECK_RANGE(k, shape->slot_count, 1, k->caps.slots, "slot_count");
  CHECK_MAX(k, shape->slot_first, k->caps.slots - shape->slot_count, "slot_first");
  CHECK_MAX(k, shape->sram_base, sram_beats - 1, "sram_base");
  if (shape->head_mask == 0 || (k->caps.kv_heads < 64 && shape->head_mask >> k->caps.kv_heads != 0)) {
    return bad(k, KVS_ERR_RANGE, "head_mask");
  }
  for (unsigned i = 0; i < KVS_PLANES; i++) {
    if ((shape->plane_mask >> i & 1) != 0 && !k->layout.plane[i].valid) return bad(k, KVS_ERR_RANGE, "plane_mask");
  }
  if (shape->plane_mask == 0) return bad(k, KVS_ERR_RANGE, "plane_mask");
  CHECK_MAX(k, (uint64_t)shape->slot_count * kvs_slot_beats(k, shape), sram_beats - shape->sram_base, "slot_count");
  const kvs_command c = {
      .opcode = KVS_OP_SET_PROFILE,
      .flags = 1,
      .profile = profile,
      .arg = {(uint64_t)shape->layer_first | (uint64_t)shape->layer_count << 16 | (uint64_t)shape->plane_mask << 32,
              shape->head_mask,
              (uint64_t)shape->slot_first | (uint64_t)shape->slot_count << 16 | (uint64_t)shape->sram_base << 32}};
  return run(k, &c, done);
}

int kvs_clear_profile(kvs* k, uint16_t profile, kvs_done* done) {
  if (k == NULL) return KVS_ERR_ARGUMENT;
  CHECK_MAX(k, profile, k->caps.profiles - 1, "profile");
  const kvs_command c = {.opcode = KVS_OP_SET_PROFILE, .profile = profile};
  return run(k, &c, done);
}

int kvs_promote(kvs* k, const kvs_promotion* p, kvs_done* done) {
  if (k == NULL || p == NULL) return KVS_ERR_ARGUMENT;
  CHECK_OWNER(k, p->owner);
  CHECK_MAX(k, p->position, k->caps.positions - 1, "position");
  CHECK_MAX(k, p->profile, k->caps.profiles - 1, "profile");
  CHECK_MAX(k, p->deadline, (UINT64_C(1) << 48) - 1, "deadline");
  CHECK_MAX(k, p->not_before, (UINT64_C(1) << 48) - 1, "not_before");
  CHECK_MAX(k, p->tier, 7, "tier");
  const kvs_command c = {.opcode = KVS_OP_PROMOTE,
                         .first = p->position,
                         .owner = p->owner,
                         .profile = p->profile,
                         .arg = {p->deadline, p->not_before, (uint64_t)p->dwell | (uint64_t)p->tier << 16}};
  return run(k, &c, done);
}

static int range_command(kvs* k, kvs_opcode op, uint16_t owner, uint32_t first, uint32_t count, kvs_done* done) {
  CHECK_OWNER(k, owner);
  TRY(check_positions(k, first, count));
  const kvs_command c = {.opcode = (uint8_t)op, .first = first, .count = count, .owner = owner};
  return run(k, &c, done);
}

int kvs_let_go(kvs* k, uint16_t owner, uint32_t first, uint32_t count, kvs_done* done) {
  return range_command(k, KVS_OP_LET_GO, owner, first, count, done);
}

int kvs_abort(kvs* k, uint16_t owner, uint32_t first, uint32_t count, kvs_done* done) {
  return range_command(k, KVS_OP_ABORT, owner, first, count, done);
}

int kvs_retire(kvs* k, uint16_t owner, uint32_t first, uint32_t count, kvs_done* done) {
  return range_command(k, KVS_OP_RETIRE, owner, first, count, done);
}

int kvs_retire_all(kvs* k, kvs_done* done) {
  if (k == NULL) return KVS_ERR_ARGUMENT;
  const kvs_command c = {.opcode = KVS_OP_RETIRE, .flags = 1, .first = 0, .count = k->caps.positions};
  return run(k, &c, done);
}

int kvs_step_end(kvs* k, uint16_t owner, bool prefill, bool without_scores, kvs_done* done) {
  CHECK_OWNER(k, owner);
  const kvs_command c = {
      .opcode = KVS_OP_STEP_END, .flags = (uint8_t)((prefill ? 1u : 0u) | (without_scores ? 2u : 0u)), .owner = owner};
  return run(k, &c, done);
}

int kvs_open(kvs* k, uint16_t owner, kvs_done* done) {
  CHECK_OWNER(k, owner);
  const kvs_command c = {.opcode = KVS_OP_OPEN, .owner = owner};
  return run(k, &c, done);
}

int kvs_commit(kvs* k, uint16_t owner, uint32_t count, kvs_done* done) {
  CHECK_OWNER(k, owner);
  CHECK_MAX(k, count, k->caps.positions, "count");
  const kvs_command c = {.opcode = KVS_OP_COMMIT, .count = count, .owner = owner};
  return run(k, &c, done);
}

int kvs_wait_promotions(kvs* k, uint16_t owner, kvs_done* done) {
  CHECK_OWNER(k, owner);
  const kvs_command c = {.opcode = KVS_OP_WAIT_PROMOTIONS, .owner = owner};
  return run(k, &c, done);
}

int kvs_wait_all_promotions(kvs* k, kvs_done* done) {
  if (k == NULL) return KVS_ERR_ARGUMENT;
  const kvs_command c = {.opcode = KVS_OP_WAIT_PROMOTIONS, .flags = 1};
  return run(k, &c, done);
}

int kvs_wait_promotion(kvs* k, uint16_t owner, uint32_t position, kvs_done* done) {
  CHECK_OWNER(k, owner);
  CHECK_MAX(k, position, k->caps.positions - 1, "position");
  const kvs_command c = {.opcode = KVS_OP_WAIT_PROMOTIONS, .flags = 2, .first = position, .owner = owner};
  return run(k, &c, done);
}

/* ----------------------------------------------------------------------------------------------------------------
 * plans
 */

enum { kPlanBegin = 0, kPlanCommit = 4, kPlanDrop = 5, kPlanQuery = 6 };
enum { kPlanActive = 4 };

static int plan_command(kvs* k, uint16_t owner, uint8_t kind, uint64_t arg, kvs_done* done) {
  const kvs_command c = {.opcode = KVS_OP_PLAN, .flags = kind, .owner = owner, .arg = {arg}};
  return run(k, &c, done);
}

static int check_item(kvs* k, const kvs_plan_item* item) {
  CHECK_RANGE(k, item->kind, KVS_PLAN_PROMOTE, KVS_PLAN_REGION, "item.kind");
  CHECK_MAX(k, item->tier, 7, "item.tier");
  if (item->kind == KVS_PLAN_PROMOTE) CHECK_MAX(k, item->first, k->caps.positions - 1, "item.first");
  if (item->kind == KVS_PLAN_REGION) {
    CHECK_MAX(k, item->first, k->caps.positions - 1, "item.first");
    CHECK_RANGE(k, item->count, 1, k->caps.positions - item->first, "item.count");
  }
  if (item->kind == KVS_PLAN_WINDOW && item->until <= item->from) return bad(k, KVS_ERR_RANGE, "item.until");
  return KVS_OK;
}

int kvs_plan(kvs* k, uint16_t owner, const kvs_envelope* envelope, const kvs_plan_item* items, size_t count,
             kvs_done* done) {
  if (k == NULL || envelope == NULL || (items == NULL && count != 0)) return KVS_ERR_ARGUMENT;
  CHECK_OWNER(k, owner);
  CHECK_MAX(k, count, k->caps.plan_items, "count");
  for (size_t i = 0; i < count; i++) TRY(check_item(k, &items[i]));
  kvs_done own;
  if (done == NULL) done = &own;
  TRY(plan_command(
      k, owner, kPlanBegin,
      (uint64_t)envelope->promotions | (uint64_t)envelope->evictions << 8 | (uint64_t)envelope->slots << 16, done));
  int result = KVS_OK;
  for (size_t i = 0; i < count && result == KVS_OK; i++) {
    const kvs_plan_item* item = &items[i];
    const kvs_command c = {.opcode = KVS_OP_PLAN,
                           .flags = item->kind,
                           .first = item->first,
                           .count = item->count,
                           .owner = owner,
                           .arg = {(uint64_t)item->from | (uint64_t)item->until << 32, 0,
                                   (uint64_t)item->dwell | (uint64_t)item->tier << 16 | (uint64_t)item->step << 32}};
    result = run(k, &c, done);
  }
  if (result == KVS_OK) result = plan_command(k, owner, kPlanCommit, 0, done);
  if (result != KVS_OK && !(result == KVS_ERR_STATUS && done->status == KVS_ST_NO_PLAN)) {
    (void)plan_command(k, owner, kPlanDrop, 0, NULL); /* the draft */
  }
  return result;
}

int kvs_drop_plan(kvs* k, uint16_t owner, kvs_done* done) {
  CHECK_OWNER(k, owner);
  return plan_command(k, owner, kPlanDrop, 0, done);
}

int kvs_get_plan(kvs* k, uint16_t owner, kvs_plan_state* state) {
  if (state == NULL) return KVS_ERR_ARGUMENT;
  CHECK_OWNER(k, owner);
  kvs_done done;
  memset(state, 0, sizeof *state);
  const int result = plan_command(k, owner, kPlanQuery, 0, &done);
  if (result == KVS_ERR_STATUS && done.status == KVS_ST_NO_PLAN) return KVS_OK;
  TRY(result);
  state->active = (done.value1 >> 48 & 0xff) == kPlanActive;
  state->step = (uint16_t)(done.value0 >> 16);
  state->next = (uint16_t)done.value0;
  state->missed = (uint16_t)(done.value1 >> 32);
  state->denied_evictions = (uint16_t)(done.value1 >> 16);
  state->denied_promotions = (uint16_t)done.value1;
  return KVS_OK;
}

/* -------------------------------------------------------------------------------------------------------- home tiers
 */

int kvs_move_block(kvs* k, uint16_t owner, uint32_t index, uint32_t old_word, uint32_t to, const kvs_memory* memory,
                   uint32_t* new_word, kvs_done* done) {
  if (k == NULL || memory == NULL || memory->copy_block == NULL || memory->write_word == NULL) return KVS_ERR_ARGUMENT;
  CHECK_OWNER(k, owner);
  const uint32_t bits = k->layout.block_bits;
  const uint32_t page = 1U << k->layout.page_log2;
  CHECK_MAX(k, index, k->caps.positions / page - 1, "index");
  CHECK_MAX(k, to, (uint32_t)((UINT64_C(1) << bits) - 1), "to");
  CHECK_MAX(k, old_word, UINT32_C(0x7fffffff), "old_word"); /* mapped */
  const uint32_t generation = (uint32_t)((uint64_t)old_word >> bits) + 1;
  if (bits < 31) CHECK_MAX(k, generation, (UINT32_C(1) << (31 - bits)) - 1, "generation");
  const uint32_t word = bits < 31 ? generation << bits | to : to;
  const uint32_t from = (uint32_t)(old_word & ((UINT64_C(1) << bits) - 1));
  /* The rows are there before the table names them, and the old ones stay until nothing reads them any more. */
  if (memory->copy_block(memory->context, to, from) != 0) return KVS_ERR_IO;
  if (memory->write_word(memory->context, index, word) != 0) return KVS_ERR_IO;
  if (new_word != NULL) *new_word = word;
  return kvs_retire(k, owner, index * page, page, done);
}

/* --------------------------------------------------------------------------------------------------------- log,
 * counters */

int kvs_take_record(kvs* k, kvs_record* record) {
  if (k == NULL || record == NULL) return KVS_ERR_ARGUMENT;
  uint32_t status = 0;
  TRY(read_reg(k, REG(status), &status));
  if ((status & kLogFlag) == 0) return KVS_ERR_EMPTY;
  for (uint32_t i = 0; i < 8; i++) TRY(read_reg(k, REG(log) + 4 * i, &record->raw[i]));
  TRY(write_reg(k, REG(log_pop), 1));
  const uint32_t* w = record->raw;
  record->sequence = w[0];
  record->time = (uint64_t)w[2] << 32 | w[1];
  record->kind = (uint8_t)w[3];
  record->cause = (uint8_t)(w[3] >> 8);
  record->owner = (uint16_t)(w[3] >> 16);
  record->position = w[4];
  record->word = w[5];
  record->slot = (uint16_t)w[6];
  record->crc = w[7];
  return KVS_OK;
}

int kvs_log_last(kvs* k, uint32_t* sequence, uint32_t* crc) {
  if (k == NULL || sequence == NULL || crc == NULL) return KVS_ERR_ARGUMENT;
  TRY(read_reg(k, REG(log_last_sequence), sequence));
  return read_reg(k, REG(log_last_crc), crc);
}

/* CRC-32 of IEEE 802.3, reflected, continued from record to record. */
uint32_t kvs_record_crc(uint32_t last, const kvs_record* record) {
  uint32_t crc = ~last;
  for (unsigned i = 0; i < 7; i++) {
    for (unsigned bit = 0; bit < 32; bit++) {
      const uint32_t one = (crc ^ (record->raw[i] >> bit)) & 1u;
      crc = crc >> 1 ^ (one != 0 ? 0xedb88320u : 0u);
    }
  }
  return ~crc;
}

int kvs_read_counter(kvs* k, kvs_counter counter, uint64_t* value) {
  if (k == NULL || value == NULL) return KVS_ERR_ARGUMENT;
  if ((unsigned)counter >= KVS_COUNTERS) return bad(k, KVS_ERR_RANGE, "counter");
  const uint32_t at = REG(count) + 8 * (uint32_t)counter;
  uint32_t low = 0;
  uint32_t high = 0;
  TRY(read_reg(k, at, &low)); /* the low word takes the copy of both */
  TRY(read_reg(k, at + 4, &high));
  *value = (uint64_t)high << 32 | low;
  return KVS_OK;
}

int kvs_irq_enable(kvs* k, uint32_t bits, uint32_t log_threshold) {
  if (k == NULL) return KVS_ERR_ARGUMENT;
  CHECK_MAX(k, bits, 0xf, "bits");
  CHECK_RANGE(k, log_threshold, 1, k->caps.log_records, "log_threshold");
  TRY(write_reg(k, REG(log_threshold), log_threshold));
  return write_reg(k, REG(irq_enable), bits);
}

int kvs_irq_state(kvs* k, uint32_t* bits) {
  if (k == NULL || bits == NULL) return KVS_ERR_ARGUMENT;
  return read_reg(k, REG(irq_state), bits);
}

int kvs_take_errors(kvs* k, uint32_t* bits) {
  if (k == NULL || bits == NULL) return KVS_ERR_ARGUMENT;
  TRY(read_reg(k, REG(errors), bits));
  return *bits == 0 ? KVS_OK : write_reg(k, REG(errors), *bits);
}

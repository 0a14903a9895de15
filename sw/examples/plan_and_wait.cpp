// SPDX-License-Identifier: Apache-2.0
// Hands a plan over: one token at once, one in the second step inside a DMA window, and nothing else changes by itself.
// Then hands over one that does not fit, to see what is said. The block is the Verilated RTL.
#include <cstdint>
#include <cstdio>
#include <iterator>
#include <span>
#include <string>

#include "sw/driver/include/kvs.h"
#include "tb/system/bench.hpp"
#include "tb/system/kv_cache.hpp"

namespace tb = kvsink::tb;

int main() {
  std::string why;
  const auto bench = tb::Bench::make({.config = "small", .hashed_memory = true}, why);
  if (!bench) return std::fprintf(stderr, "%s\n", why.c_str()), 2;
  const tb::KvCache cache({.layers = 8, .kv_heads = 4, .row_bytes = 128, .positions = 64}, 0x100000, 1);
  cache.write_table([&](uint64_t addr, std::span<const uint8_t> bytes) { bench->memory().write(addr, bytes); });

  kvs k;
  const kvs_io io = {bench.get(),
                     [](void* b, uint32_t a, uint32_t* v) -> int { return static_cast<tb::Bench*>(b)->read32(a, *v); },
                     [](void* b, uint32_t a, uint32_t v) -> int { return static_cast<tb::Bench*>(b)->write32(a, v); }};
  const auto must = [&](int result, const char* what) {
    if (result != KVS_OK) std::printf("%s: %s\n", what, kvs_result_text(result));
    return result == KVS_OK;
  };
  kvs_layout layout = {.layers = 8, .page_log2 = 4, .block_bits = 24};
  layout.stride[0] = {cache.stride_block(), uint32_t(cache.stride_head()), uint32_t(cache.stride_token())};
  layout.plane[0] = layout.plane[1] = {.valid = true, .row_bytes = 128};
  layout.plane[1].tensor = 1;
  if (!must(kvs_probe(&k, io), "probe") || !must(kvs_set_layout(&k, &layout), "layout")) return 1;
  for (uint32_t i = 0; i < 16; i++) must(kvs_set_base(&k, i / 2, i % 2, cache.base(i / 2, i % 2)), "base");
  const kvs_profile all = {.layer_count = 8, .head_mask = 0xf, .plane_mask = 3, .slot_count = 4};
  const kvs_owner owner = {.table_base = cache.table_base(), .length = 64, .committed = 64, .slot_max = KVS_NO_MAXIMUM};
  kvs_done done;
  if (!must(kvs_set_profile(&k, 0, &all, &done), "profile") || !must(kvs_set_owner(&k, 0, &owner, &done), "owner")) {
    return 1;
  }

  const kvs_envelope nothing_else = {.promotions = 0, .evictions = 0, .slots = KVS_ANY_SLOTS};
  const kvs_plan_item items[] = {
      {.kind = KVS_PLAN_PROMOTE, .dwell = KVS_DWELL_PINNED, .first = 3},
      {.kind = KVS_PLAN_WINDOW, .step = 1, .from = 2000, .until = 20000},
      {.kind = KVS_PLAN_PROMOTE, .step = 1, .dwell = 8, .first = 20},
  };
  if (!must(kvs_plan(&k, 0, &nothing_else, items, std::size(items), &done), "plan")) return 1;
  std::printf("accepted: %u slots, %u entries at the peak\n", done.value0, unsigned(done.value1));
  // Done when granted; the plan itself runs on in the block.
  for (kvs_plan_state state = {}; state.next < 1;) must(kvs_get_plan(&k, 0, &state), "state");
  if (!must(kvs_wait_promotion(&k, 0, 3, &done), "wait")) return 1;
  std::printf("token 3 is in SRAM, slot %u\n", done.value0);

  if (!must(kvs_step_end(&k, 0, false, true, &done), "step_end")) return 1;
  for (kvs_plan_state state = {}; state.next < 3;) must(kvs_get_plan(&k, 0, &state), "state");
  if (!must(kvs_wait_promotion(&k, 0, 20, &done), "wait")) return 1;
  std::printf("token 20 is in SRAM, %u cycles after it was asked for: not before its window\n", done.cycles);

  if (!must(kvs_drop_plan(&k, 0, &done), "drop")) return 1;
  kvs_plan_item many[5] = {};
  for (uint32_t i = 0; i < 5; i++) many[i] = {.kind = KVS_PLAN_PROMOTE, .dwell = 4, .first = 30 + i};
  const int result = kvs_plan(&k, 0, &nothing_else, many, 5, &done);
  if (result != KVS_ERR_STATUS || done.status != KVS_ST_NO_PLAN) return 1;
  std::printf("refused at item %u: %s\n", done.value0, kvs_status_text(unsigned(done.value1)));
  return 0;
}

// SPDX-License-Identifier: Apache-2.0
// Promotes one token, waits until its rows are in SRAM, and reads the K rows of a few tokens: the promoted one comes on
// the sink stream, the others on the bulk stream. The block is the Verilated RTL; only the two access functions and the
// streams would differ on a real one.
#include <cstdint>
#include <cstdio>
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

  // A KV cache in memory: 8 layers, 4 heads, rows of 128 bytes, pages of 16 tokens, and its block table.
  const tb::KvCache cache({.layers = 8, .kv_heads = 4, .row_bytes = 128, .positions = 64}, 0x100000, 1);
  cache.write_table([&](uint64_t addr, std::span<const uint8_t> bytes) { bench->memory().write(addr, bytes); });

  kvs k;
  const kvs_io io = {bench.get(),
                     [](void* b, uint32_t a, uint32_t* v) -> int { return static_cast<tb::Bench*>(b)->read32(a, *v); },
                     [](void* b, uint32_t a, uint32_t v) -> int { return static_cast<tb::Bench*>(b)->write32(a, v); }};
  const auto must = [&](int result, const char* what) {
    if (result != KVS_OK) std::printf("%s: %s %s\n", what, kvs_result_text(result), k.field);
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
  const kvs_promotion sink = {.position = 3, .dwell = KVS_DWELL_PINNED};
  kvs_done done;
  if (!must(kvs_set_profile(&k, 0, &all, &done), "profile") || !must(kvs_set_owner(&k, 0, &owner, &done), "owner") ||
      !must(kvs_promote(&k, &sink, &done), "promote"))
    return 1;
  std::printf("token 3 is granted slot %u\n", done.value0);
  if (!must(kvs_wait_promotions(&k, 0, &done), "wait")) return 1;
  std::printf("in SRAM after %u cycles\n", done.cycles);

  unsigned open = 2;  // streams that have not closed the request
  bench->on_row_beat = [&](tb::Path path, const tb::RowBeat& beat) {
    open -= beat.is_end;
    if (!beat.is_end && beat.last)
      std::printf("token %u from %s\n", beat.position, path == tb::Path::kSink ? "SRAM" : "HBM");
  };
  bench->requests.push({.id = 1, .layer = 5, .head = 2, .planes = 1, .first = 1, .count = 4});
  return bench->run_until([&] { return open == 0; }, 10000) ? 0 : 1;
}

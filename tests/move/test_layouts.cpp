// SPDX-License-Identifier: Apache-2.0
// Every layout of a paged KV cache, through promotion, SRAM and bulk reads, byte for byte, against the array that it
// is.
#include <algorithm>
#include <cstdint>
#include <string>
#include <vector>

#include "move/layouts.hpp"
#include "move/move_bench.hpp"
#include "support/catch.hpp"
#include "support/seed.hpp"

namespace {

using kvsink::move::Bench;
using kvsink::move::Descriptor;
using kvsink::move::Kind;
using kvsink::move::KvLayout;
using kvsink::move::make_layout;
using kvsink::tb::AxiMemory;

constexpr unsigned kBlocks = 4000;
constexpr uint64_t kHome = 0x80'0000'0000ULL;

AxiMemory::Config memory(unsigned latency) {
  AxiMemory::Config config;
  config.tiers = {{.latency = latency}};
  return config;
}

void expect_right(const Bench& b) {
  for (const auto& w : b.wrong) UNSCOPED_INFO(w);
  for (const auto& v : b.memory.violations()) UNSCOPED_INFO(v);
  CHECK(b.wrong.empty());
  CHECK(b.memory.violations().empty());
}

/// Rows of `count` tokens from `first` on, of the planes named, tokens that share a row counted once (all on one path).
uint64_t rows_of(const KvLayout& l, unsigned planes, unsigned first, unsigned count) {
  uint64_t rows = 0;
  for (unsigned p = 0; p < 8; ++p) {
    if ((planes >> p & 1) == 0) continue;
    const unsigned share = l.settings.plane[p].share;
    rows += ((first + count - 1) >> share) - (first >> share) + 1;
  }
  return rows;
}

}  // namespace

TEST_CASE("Every layout, with pages of 16 to 128 and the last page partly filled, is read byte for byte on both paths",
          "[move][layout]") {
  for (const Kind kind : kvsink::move::kKinds) {
    for (unsigned page_log2 = 4; page_log2 <= 7; ++page_log2) {
      const unsigned layers = 3;
      const KvLayout l = make_layout(kind, page_log2, layers, 4, 4, kHome);
      CAPTURE(kvsink::move::name_of(kind), page_log2);
      Bench b(memory(30 + 10 * page_log2), kvsink::test_seed());
      apply(b, l);
      const unsigned page = 1U << page_log2;
      const unsigned length = 2 * page + 5;
      b.set_owner(0, length, 1, kBlocks);
      b.set_profile(0, {.layers = layers, .heads = (1U << l.heads) - 1, .planes = l.planes, .slots = 8});
      // The first token, one in the middle, the last of a page, the last of all.
      std::vector<Descriptor> all;
      for (const unsigned position : {0U, page / 2 + 3, 2 * page - 1, length - 1}) {
        all.push_back({.slot = static_cast<unsigned>(all.size()), .position = position});
      }
      for (const auto& d : all) b.push(d);
      b.drain();
      REQUIRE(b.ends.size() == all.size());
      uint64_t bytes = 0;
      for (const auto& e : b.ends) {
        CHECK(e.status == 0);
        bytes += e.bytes;
      }
      CHECK(bytes == all.size() * b.slot_beats(0) * kvsink::move::kBeatBytes);
      // All rows from memory, then with the promoted ones from SRAM.
      uint64_t expected = 0;
      for (unsigned layer = 0; layer < layers; ++layer) {
        for (unsigned head = 0; head < l.heads; ++head) {
          b.send({.layer = layer, .head = head, .planes = l.planes, .count = length});
          expected += rows_of(l, l.planes, 0, length);
        }
      }
      b.drain();
      CHECK(b.rows_checked == expected);
      CHECK(b.sink_rows == 0);
      for (const auto& d : all) b.install(d);
      for (unsigned layer = 0; layer < layers; ++layer) {
        for (unsigned head = 0; head < l.heads; ++head) {
          b.send({.layer = layer, .head = head, .planes = l.planes, .count = length});
          for (unsigned p = 0; p < 8; ++p) {  // and each plane alone, some of the tokens
            if ((l.planes >> p & 1) == 0) continue;
            b.send({.layer = layer, .head = head, .planes = 1U << p, .first = page / 2, .count = page});
          }
        }
      }
      b.drain();
      const auto planes = static_cast<unsigned>(__builtin_popcount(l.planes));
      // Of the four tokens all are in the whole contexts; the second one also in each of the requests of a plane alone.
      CHECK(b.sink_rows == uint64_t{layers} * l.heads * planes * 5);
      expect_right(b);
    }
  }
}

TEST_CASE("A stride, an offset or a base that is one beat off is seen in every layout", "[move][layout]") {
  for (const Kind kind : kvsink::move::kKinds) {
    for (unsigned what = 0; what < 4; ++what) {
      KvLayout l = make_layout(kind, 5, 2, 2, 4, kHome);
      CAPTURE(kvsink::move::name_of(kind), what);
      if (what == 0) l.settings.stride[0].block += 32;
      if (what == 1) l.settings.stride[0].token += 32;
      if (what == 2) l.settings.plane[1].offset += 32;
      if (what == 3) l.bases[1][0] += 32;
      Bench b(memory(40), kvsink::test_seed());
      apply(b, l);
      b.set_owner(0, 70, 1, kBlocks);
      for (unsigned layer = 0; layer < 2; ++layer) b.send({.layer = layer, .planes = l.planes, .count = 70});
      b.drain();
      CHECK_FALSE(b.wrong.empty());
    }
  }
}

TEST_CASE("A model whose layer groups have block tables of their own reads each group through its owner",
          "[move][layout]") {
  // Layers 0, 2, 4 keep everything, layers 1, 3, 5 a window of 48 tokens: another owner, another table, other lengths.
  const unsigned layers = 6;
  const KvLayout l = make_layout(Kind::kNhd, 4, layers, 4, 4, kHome);
  Bench b(memory(80), kvsink::test_seed());
  apply(b, l);
  b.set_owner(3, 200, 1, kBlocks);
  b.set_owner(5, 48, 1, kBlocks);
  b.set_profile(0, {.layers = layers, .heads = 0xf, .slots = 4});
  b.set_profile(1, {.layer_first = 1, .layers = 1, .heads = 0x6, .slot_first = 4, .slots = 4, .sram_base = 4096});
  const std::vector<Descriptor> all = {{.slot = 0, .owner = 3, .position = 0},
                                       {.slot = 1, .owner = 3, .position = 40},
                                       {.slot = 4, .profile = 1, .owner = 5, .position = 0},
                                       {.slot = 5, .profile = 1, .owner = 5, .position = 40}};
  for (const auto& d : all) b.push(d);
  b.drain();
  for (const auto& e : b.ends) CHECK(e.status == 0);
  for (const auto& d : all) b.install(d);
  uint64_t expected = 0;
  for (unsigned layer : {0U, 2U, 4U}) {
    for (unsigned head = 0; head < 4; ++head) {
      b.send({.owner = 3, .layer = layer, .head = head, .count = 200});
      expected += 2;
    }
  }
  for (unsigned head : {1U, 2U}) {  // what the second profile holds
    b.send({.owner = 5, .layer = 1, .head = head, .count = 48});
    expected += 2;
  }
  b.drain();
  CHECK(b.sink_rows == 2 * expected);
  expect_right(b);
}

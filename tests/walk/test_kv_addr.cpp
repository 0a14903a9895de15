// SPDX-License-Identifier: Apache-2.0
// kv_addr against the formula in 128-bit arithmetic, under stalls; owner_table against an array.
#include <VKvAddr_default.h>
#include <VKvAddr_small.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <deque>
#include <vector>

#include "support/catch.hpp"
#include "tb/common/rng.hpp"
#include "tb/common/sim.hpp"
#include "tb/common/stream.hpp"

namespace {

using kvsink::tb::Rng;
using kvsink::tb::Sim;

struct Row {
  uint32_t layer = 0, head = 0, plane = 0, block = 0, token = 0, user = 0;
};
struct Result {
  uint64_t addr = 0;
  uint32_t user = 0;
  bool operator==(const Result&) const = default;
};
struct Layout {
  std::array<uint64_t, 4> block{};
  std::array<uint32_t, 4> head{}, token{};
  std::array<uint8_t, 8> tensor{}, set{}, share{};
  std::array<uint32_t, 8> offset{};
  std::vector<std::array<uint64_t, 4>> base;  // layer, tensor
};

constexpr uint64_t kAddrMask = (uint64_t{1} << 48) - 1;
constexpr uint64_t kBeats = ~uint64_t{31};  // whole beats of either configuration

/// base + block*S_block + head*S_head + (token >> share)*S_token + offset, modulo 2^48, schoolbook in two halves so
/// that nothing overflows.
uint64_t address(const Layout& l, const Row& r) {
  const unsigned set = l.set[r.plane];
  const auto times = [](uint64_t a, uint64_t b) {  // modulo 2^64 is enough
    return a * b;
  };
  return (l.base[r.layer][l.tensor[r.plane]] + times(r.block, l.block[set]) + times(r.head, l.head[set]) +
          times(r.token >> l.share[r.plane], l.token[set]) + l.offset[r.plane]) &
         kAddrMask;
}

template <class V>
class AddrBench {
 public:
  explicit AddrBench(uint64_t seed) : rng(seed), sim(seed) {
    sim->valid_i = 0;
    sim->ready_i = 0;
    sim->base_we_i = 0;
    sim->own_we_i = 0;
    sim.reset();
  }
  void load(const Layout& l) {
    for (int s = 0; s < 4; ++s) {
      sim->stride_block_i[s] = l.block[s];
      sim->stride_head_i[s] = l.head[s];
      sim->stride_token_i[s] = l.token[s];
    }
    for (int p = 0; p < 8; ++p) {
      sim->plane_tensor_i[p] = l.tensor[p];
      sim->plane_stride_set_i[p] = l.set[p];
      sim->plane_offset_i[p] = l.offset[p];
      sim->plane_share_log2_i[p] = l.share[p];
    }
    sim->base_we_i = 1;
    for (uint32_t layer = 0; layer < l.base.size(); ++layer) {
      for (uint8_t t = 0; t < 4; ++t) {
        sim->base_layer_i = static_cast<uint16_t>(layer);
        sim->base_tensor_i = t;
        sim->base_wdata_i = l.base[layer][t];
        sim.step();
      }
    }
    sim->base_we_i = 0;
  }
  /// Sends the rows, returns what came out and in how many cycles.
  std::vector<Result> run(const std::vector<Row>& rows, unsigned in_stall, unsigned out_stall) {
    kvsink::tb::Source<Row> in(rng.fork("in"), in_stall, 6);
    kvsink::tb::Sink<Result> out(rng.fork("out"), out_stall, 6);
    for (const Row& r : rows) in.push(r);
    sim.run_until(
        [&] {
          const Row* r = in.begin();
          sim->valid_i = r != nullptr;
          const Row garbage{static_cast<uint32_t>(rng.next()),   static_cast<uint32_t>(rng.next()),  5,
                            static_cast<uint32_t>(rng.bits(31)), static_cast<uint32_t>(rng.bits(7)), 0xdead};
          const Row& shown = r != nullptr ? *r : garbage;
          sim->layer_i = static_cast<uint16_t>(shown.layer);
          sim->head_i = static_cast<uint16_t>(shown.head);
          sim->plane_i = static_cast<uint8_t>(shown.plane);
          sim->block_i = shown.block;
          sim->token_i = static_cast<uint8_t>(shown.token);
          sim->user_i = shown.user;
          sim->ready_i = out.begin();
          sim.settle();
          if (in.end(sim->ready_o)) taken.push_back(sim.cycle());
          if (out.end(sim->valid_o, [&] { return Result{sim->addr_o, sim->user_o}; })) handed.push_back(sim.cycle());
          sim.edge();
        },
        [&] { return out.items.size() == rows.size(); }, 100 * rows.size() + 100, "kv_addr");
    return {out.items.begin(), out.items.end()};
  }

  Rng rng;
  Sim<V> sim;
  std::vector<uint64_t> taken, handed;
};

template <class V>
Layout random_layout(AddrBench<V>& bench) {
  Rng& rng = bench.rng;
  Layout l;
  for (int s = 0; s < 4; ++s) {
    l.block[s] = rng.bits(rng.coin() ? 40 : 16) & kBeats;
    l.head[s] = static_cast<uint32_t>(rng.bits(rng.coin() ? 32 : 12) & kBeats);
    l.token[s] = static_cast<uint32_t>(rng.bits(rng.coin() ? 32 : 12) & kBeats);
  }
  for (int p = 0; p < 8; ++p) {
    l.tensor[p] = static_cast<uint8_t>(rng.below(4));
    l.set[p] = static_cast<uint8_t>(rng.below(4));
    l.share[p] = static_cast<uint8_t>(rng.below(8));
    l.offset[p] = static_cast<uint32_t>(rng.bits(32) & kBeats);
  }
  l.base.resize(bench.sim->cfg_layers_o);
  for (auto& layer : l.base) {
    for (auto& b : layer) b = rng.bits(48) & kBeats;
  }
  return l;
}

template <class V>
std::vector<Row> random_rows(AddrBench<V>& bench, size_t count) {
  Rng& rng = bench.rng;
  const auto block = [&]() -> uint32_t {  // digits of -2..2 in the products: long runs of ones as well
    const uint64_t bits = rng.bits(rng.coin() ? 31 : 17);
    return static_cast<uint32_t>(rng.percent(20) ? ~bits & 0x7fffffff & ~((1u << rng.below(31)) - 1) : bits);
  };
  std::vector<Row> rows(count);
  for (uint32_t i = 0; i < count; ++i) {
    rows[i] = {static_cast<uint32_t>(rng.below(bench.sim->cfg_layers_o)),
               static_cast<uint32_t>(rng.below(bench.sim->cfg_kv_heads_o)),
               static_cast<uint32_t>(rng.below(8)),
               block(),
               static_cast<uint32_t>(rng.bits(7)),
               i};
  }
  return rows;
}

}  // namespace

TEMPLATE_TEST_CASE("Row addresses follow the formula for every layout, in order, under stalls", "[walk][address]",
                   VKvAddr_small, VKvAddr_default) {
  AddrBench<TestType> bench(kvsink::tb::seed_from_env());
  KVSINK_INFO_SEED(bench.rng);
  for (int round = 0; round < 12; ++round) {
    const Layout l = random_layout(bench);
    bench.load(l);
    const auto rows = random_rows(bench, 400);
    const auto results = bench.run(rows, round % 3 * 30, round % 4 * 25);
    REQUIRE(results.size() == rows.size());
    for (size_t i = 0; i < rows.size(); ++i) {
      CAPTURE(round, i);
      REQUIRE(results[i] == Result{address(l, rows[i]), rows[i].user});
    }
  }
}

TEST_CASE("A row address takes 3 cycles, and one row is taken a cycle", "[walk][address]") {
  AddrBench<VKvAddr_default> bench(kvsink::tb::seed_from_env());
  bench.load(random_layout(bench));
  bench.run(random_rows(bench, 300), 0, 0);
  for (size_t i = 0; i < bench.taken.size(); ++i) {
    REQUIRE(bench.handed[i] == bench.taken[i] + 3);
    if (i > 0) REQUIRE(bench.taken[i] == bench.taken[i - 1] + 1);
  }
}

TEST_CASE("Known layouts give the addresses worked out by hand", "[walk][address]") {
  AddrBench<VKvAddr_default> bench(kvsink::tb::seed_from_env());
  Layout l;
  l.base.resize(bench.sim->cfg_layers_o);
  l.base[3] = {0x1000'0000, 0x2000'0000, 0, 0};
  // Pages of 16 tokens, 8 heads of 256 bytes, tokens outside heads; K in tensor 0, V in tensor 1.
  l.block[0] = 16 * 8 * 256;
  l.token[0] = 8 * 256;
  l.head[0] = 256;
  l.tensor[1] = 1;
  // Heads outside tokens: plane 2, stride set 1, K and V fused, V (plane 3) behind K.
  l.block[1] = 16 * 8 * 512;
  l.head[1] = 16 * 512;
  l.token[1] = 512;
  l.set[2] = l.set[3] = 1;
  l.offset[3] = 256;
  // Scales: four tokens share a row of 32 bytes.
  l.block[2] = 4 * 32;
  l.token[2] = 32;
  l.set[4] = 2;
  l.share[4] = 2;
  l.offset[4] = 0x100;
  bench.load(l);
  const std::vector<Row> rows = {
      {3, 2, 0, 5, 7, 0}, {3, 2, 1, 5, 7, 1}, {3, 7, 2, 1, 15, 2}, {3, 7, 3, 1, 15, 3}, {3, 0, 4, 9, 11, 4}};
  const auto results = bench.run(rows, 0, 0);
  CHECK(results[0].addr == 0x1000'0000 + 5 * 32768 + 7 * 2048 + 2 * 256);
  CHECK(results[1].addr == 0x2000'0000 + 5 * 32768 + 7 * 2048 + 2 * 256);
  CHECK(results[2].addr == 0x1000'0000 + 65536 + 7 * 8192 + 15 * 512);
  CHECK(results[3].addr == 0x1000'0000 + 65536 + 7 * 8192 + 15 * 512 + 256);
  CHECK(results[4].addr == 0x1000'0000 + 9 * 128 + 2 * 32 + 0x100);
}

TEMPLATE_TEST_CASE("An owner context is read as it was written, from the next cycle on, and none is valid after reset",
                   "[walk][owners]", VKvAddr_small, VKvAddr_default) {
  AddrBench<TestType> bench(kvsink::tb::seed_from_env());
  auto& dut = *bench.sim;
  Rng& rng = bench.rng;
  KVSINK_INFO_SEED(rng);
  struct Context {
    bool valid = false, written = false;
    uint64_t base = 0;
    uint16_t tenant = 0;
  };
  std::vector<Context> model(dut.cfg_owners_o);
  std::array<Context, 3> expected{};
  for (int cycle = 0; cycle < 20000; ++cycle) {
    if (cycle == 10000) {
      dut.own_we_i = 0;
      bench.sim.reset(2);
      for (auto& c : model) c.valid = false;
      for (auto& e : expected) e = {};
      for (auto& o : dut.own_rd_owner_i.m_storage) o = 0;
      bench.sim.step();
      expected.fill(model[0]);
    }
    const auto owner = static_cast<uint16_t>(rng.below(model.size()));
    dut.own_we_i = rng.percent(40);
    dut.own_owner_i = owner;
    dut.own_valid_i = rng.percent(80);
    dut.own_base_i = rng.bits(48);
    dut.own_tenant_i = static_cast<uint16_t>(rng.bits(16));
    std::array<uint16_t, 3> ask{};
    for (int p = 0; p < 3; ++p) {
      ask[p] = rng.percent(30) ? owner : static_cast<uint16_t>(rng.below(model.size()));
      dut.own_rd_owner_i[p] = ask[p];
    }
    bench.sim.settle();
    for (int p = 0; p < 3 && cycle > 0; ++p) {
      REQUIRE((dut.own_rd_valid_o[p] != 0) == expected[p].valid);
      if (!expected[p].written) continue;
      REQUIRE(dut.own_rd_base_o[p] == expected[p].base);
      REQUIRE(dut.own_rd_tenant_o[p] == expected[p].tenant);
    }
    for (int p = 0; p < 3; ++p) expected[p] = model[ask[p]];
    if (dut.own_we_i) model[owner] = {dut.own_valid_i != 0, true, dut.own_base_i, dut.own_tenant_i};
    bench.sim.edge();
  }
}

// SPDX-License-Identifier: Apache-2.0
#include "move/move_cases.hpp"

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "move/move_bench.hpp"

namespace kvsink::move {
namespace {

constexpr unsigned kHeads = 8;

AxiMemory::Config memory_of(uint32_t latency) {
  AxiMemory::Config config;
  config.tiers = {{.latency = latency}};
  return config;
}

Figure figure(std::string name, uint32_t latency, double wanted) {
  Figure f;
  f.name = std::move(name);
  f.memory = "latency " + std::to_string(latency);
  f.unit = "utilisation";
  f.wanted = wanted;
  return f;
}

void finish(Figure& f, Bench& b) {
  f.useful = b.useful.size() - b.dropped_beats;
  f.table = b.table_beats;
  f.dropped = b.dropped_beats;
  f.bursts = b.bursts;
  f.rows_checked = b.rows_checked;
  f.wrong = b.wrong;
  for (const auto& v : b.memory.violations()) f.wrong.push_back(v);
}

/// Beats a cycle, in steady state, of a requester that always asks and takes: the memory's own limit for these reads.
double own_limit(const AxiMemory::Config& config, const std::vector<tb::DramRead>& reads) {
  AxiMemory memory(config);
  std::vector<uint64_t> at;
  size_t next = 0;
  while (next < reads.size() || !memory.idle()) {
    if (memory.r().valid) at.push_back(memory.cycle());
    const bool ask = next < reads.size();
    const bool taken = ask && memory.arready();
    AxiMemory::Ar ar;
    if (ask) ar = {true, 1, reads[next].addr, static_cast<uint8_t>(reads[next].beats - 1), 5, 1};
    memory.tick(ar, true);
    if (taken) ++next;
  }
  return steady(at);
}

/// The figure becomes relative to what the memory gives to a requester that always asks.
void to_own_limit(Figure& f, Bench& b, unsigned ar_stall) {
  if (ar_stall == 0) return;
  f.memory += ", ARREADY low in " + std::to_string(ar_stall) + " % of the cycles";
  f.unit = "utilisation / the memory's own limit";
  f.value /= own_limit(b.memory.config(), b.reads);
}

/// Bulk rows of whole contexts: `owners` sequences, each head of a few layers.
Figure bulk(const std::string& name, uint32_t latency, double wanted, const Layout& layout, bool cold, bool quick,
            unsigned ar_stall = 0) {
  Figure f = figure(name, latency, wanted);
  AxiMemory::Config config = memory_of(latency);
  config.ar_stall_percent = ar_stall;
  Bench b(config);
  b.set_layout(layout);
  const unsigned length = 1024;
  const unsigned owners = cold ? (quick ? 4 : 12) : 1;
  for (unsigned o = 0; o < owners; ++o) b.set_owner(o, length);
  if (!cold) {  // translations held from an earlier layer
    b.send({.owner = 0, .layer = 0, .head = 0, .planes = 1, .count = length});
    b.drain();
    b.clear_counts();
    for (unsigned i = 0; i < (quick ? 3U : 12U); ++i)
      b.send({.layer = i % layout.layers, .head = i % kHeads, .count = length});
  } else {
    for (unsigned o = 0; o < owners; ++o) b.send({.owner = o, .head = o % kHeads, .count = length});
  }
  b.drain();
  f.value = steady(b.useful);
  to_own_limit(f, b, ar_stall);
  finish(f, b);
  return f;
}

/// One row of 64 bytes a page, shared by its 16 tokens (a plane of scales), each page at a random place.
Figure row_a_page(uint32_t latency, bool cold, bool quick) {
  Figure f = figure(std::string("bulk, one row of 64 B a page, ") + (cold ? "cold" : "translations held"), latency,
                    cold ? 0.92 : 0.98);
  Bench b(memory_of(latency));
  Layout layout = nhd(4, 4, kHeads, 2);
  layout.plane[0].share = 4;
  b.set_layout(layout);
  // Cold: one long walk, so that its middle is the steady state.
  const unsigned length = cold ? (quick ? 65536 : 131072) : 16384;
  b.set_owner(0, length);
  if (!cold) {
    b.send({.planes = 1, .count = length});
    b.drain();
    b.clear_counts();
  }
  for (unsigned i = 0; i < (cold ? 1U : (quick ? 3U : 8U)); ++i) {
    b.send({.layer = i % 4, .head = i % kHeads, .planes = 1, .count = length});
  }
  b.drain();
  f.value = steady(b.useful);
  finish(f, b);
  return f;
}

/// Scattered tokens, all layers and heads, one descriptor a token.
Figure promotion(const std::string& name, uint32_t latency, double wanted, const Layout& layout, bool quick,
                 unsigned ar_stall = 0) {
  Figure f = figure(name, latency, wanted);
  AxiMemory::Config config = memory_of(latency);
  config.ar_stall_percent = ar_stall;
  Bench b(config);
  b.set_layout(layout);
  b.set_owner(0, 4096);
  b.set_profile(0, {.layers = layout.layers, .heads = (uint64_t{1} << kHeads) - 1, .slots = 8});
  b.clear_counts();
  for (unsigned i = 0; i < (quick ? 2U : 8U); ++i) b.push({.slot = i, .position = 37 + 509 * i});
  b.drain();
  f.value = steady(b.useful);
  to_own_limit(f, b, ar_stall);
  for (const End& e : b.ends) {
    if (e.status != 0) f.wrong.push_back("a descriptor ended with status " + std::to_string(e.status));
  }
  // The data: every row again, from the slots.
  for (unsigned i = 0; i < (quick ? 2U : 8U); ++i) b.install({.slot = i, .position = 37 + 509 * i});
  const auto useful = b.useful;
  const uint64_t bursts = b.bursts;
  for (unsigned i = 0; i < (quick ? 2U : 8U); ++i) {
    for (unsigned l = 0; l < layout.layers; ++l) {
      for (unsigned h = 0; h < kHeads; ++h) b.send({.layer = l, .head = h, .first = 37 + 509 * i, .count = 1});
    }
  }
  b.drain();
  if (b.useful.size() != useful.size()) f.wrong.emplace_back("rows of a promoted token were read from memory");
  b.useful = useful;
  b.bursts = bursts;
  finish(f, b);
  return f;
}

/// From the acceptance of a descriptor to its first address on the bus, everything idle.
Figure start_latency() {
  Figure f = figure("promotion, descriptor to first address", 150, 4);
  f.unit = "cycles";
  f.at_most = true;
  Bench b(memory_of(150));
  b.set_layout(nhd(4, 4, kHeads, 8));
  b.set_owner(0, 512);
  b.set_profile(0, {.layers = 4, .heads = 0xff, .slots = 8});
  for (unsigned i = 0; i < 8; ++i) {
    b.clear_counts();
    b.push({.slot = i, .position = 17 * i + 3});
    b.drain();
    const auto cycles = static_cast<double>(b.first_ar.at(0) - b.accepted.at(0));
    f.value = std::max(f.value, cycles);
  }
  finish(f, b);
  return f;
}

/// Half of the tokens resident, every page.
Figure both(bool quick) {
  Figure f = figure("both paths, half of each page resident", 150, 1.9);
  f.unit = "beats a cycle";
  Bench b(memory_of(150));
  b.set_layout(nhd(4, 1, kHeads, 8));
  const unsigned length = 512;
  b.set_owner(0, length);
  b.set_profile(0, {.layers = 1, .heads = 0xff, .slots = 256});
  std::vector<Descriptor> all;
  for (unsigned p = 0; p < length; ++p) {
    if (p % 16 < 8) all.push_back({.slot = static_cast<unsigned>(all.size()), .position = p});
  }
  for (const auto& d : all) b.push(d);
  b.drain();
  for (const auto& d : all) b.install(d);
  b.clear_counts();
  for (unsigned i = 0; i < (quick ? 3U : 8U); ++i) b.send({.head = i, .count = length});
  b.drain();
  f.value = steady(b.delivered);
  finish(f, b);
  return f;
}

/// Cycles of the same decode with and without promotion always pending.
Figure slowed(unsigned floor, double wanted) {
  Figure f = figure("decode slowed by promotion always pending, floor " + std::to_string(floor) + "/32", 150, wanted);
  f.unit = "part of the cycles";
  f.at_most = true;
  std::array<double, 2> cycles{};
  for (unsigned with = 0; with < 2; ++with) {
    Bench b(memory_of(150));
    b.set_layout(nhd(4, 8, kHeads, 8));
    b.set_owner(0, 1024);
    b.set_owner(1, 4096);
    b.set_profile(0, {.layers = 8, .heads = 0xff, .slots = 64});
    b.set_floor(floor);
    b.send({.planes = 1, .count = 1024});
    b.drain();
    b.clear_counts();
    unsigned slot = 0;
    const uint64_t start = b.sim.cycle();
    for (unsigned i = 0; i < 12; ++i) b.send({.layer = i % 8, .head = i % kHeads, .count = 1024});
    while (b.reading()) {
      while (with != 0 && b.descriptors.size() < 2) {
        b.push({.slot = slot % 64, .owner = 1, .position = slot * 61 % 4096});
        ++slot;
      }
      b.tick();
    }
    cycles[with] = static_cast<double>(b.sim.cycle() - start);
    b.drain();
    finish(f, b);
  }
  f.value = cycles[1] / cycles[0] - 1.0;
  return f;
}

/// A consumer of bulk rows at half speed: what promotion gets of the idle half of the bus.
Figure slow_consumer(bool quick) {
  Figure f = figure("promotion beside a bulk consumer at half speed, whole bus", 150, 0.95);
  f.asked = false;
  Bench b(memory_of(150));
  b.set_layout(nhd(4, 8, kHeads, 8));
  b.set_owner(0, 1024);
  b.set_owner(1, 4096);
  b.set_profile(0, {.layers = 8, .heads = 0xff, .slots = 64});
  b.set_floor(2);
  b.bulk_stall.set(50);
  unsigned slot = 0;
  for (unsigned i = 0; i < (quick ? 2U : 6U); ++i) b.send({.layer = i % 8, .head = i % kHeads, .count = 1024});
  while (b.reading()) {
    while (b.descriptors.size() < 2) {
      b.push({.slot = slot % 64, .owner = 1, .position = slot * 61 % 4096});
      ++slot;
    }
    b.tick();
  }
  f.value = steady(b.useful);
  b.drain();
  finish(f, b);
  return f;
}

// Blocks of each tier: windows of the address space.
constexpr unsigned kTierBlocks = 10000;

AxiMemory::Config tiered(const std::vector<Tier>& tiers, const Layout& layout) {
  AxiMemory::Config config;
  config.tiers.clear();
  for (size_t i = 0; i < tiers.size(); ++i) {
    const uint64_t bytes = kTierBlocks * layout.stride[0].block;
    config.tiers.push_back({.first = i == 0 ? 0 : Bench::kTokens + i * bytes,
                            .end = Bench::kTokens + (i + 1) * bytes,
                            .latency = tiers[i].latency,
                            .bandwidth = tiers[i].bandwidth});
  }
  config.out_of_order = true;  // one tier does not wait for another
  return config;
}

}  // namespace

std::vector<Lead> lead_times(const std::vector<Tier>& tiers) {
  constexpr unsigned kDecodeLayers = 8;
  const Layout layout = in_one_block(4, kDecodeLayers, kHeads, 8);
  std::vector<Lead> out;
  for (size_t t = 0; t < tiers.size(); ++t) {
    uint64_t whole = 0;
    for (int step = -1; step <= 4; ++step) {  // -1: long enough before
      Bench b(tiered(tiers, layout));
      b.set_layout(layout);
      b.set_owner(0, 256, 0, kTierBlocks);
      b.set_owner(1, 64, static_cast<unsigned>(t) * kTierBlocks, kTierBlocks);
      b.set_profile(0, {.layers = kDecodeLayers, .heads = 3, .slots = 4});
      b.set_floor(2);
      b.send({.planes = 1, .count = 256});
      b.drain();
      b.push({.slot = 1, .owner = 1, .position = 21, .tier = static_cast<unsigned>(t)});
      const uint64_t issued = b.sim.cycle();
      const uint64_t lead = step < 0 ? 0 : tiers[t].latency * static_cast<uint64_t>(step) / 2;
      if (step < 0) {
        b.drain();
        whole = b.sim.cycle() - issued;
      }
      while (b.sim.cycle() < issued + lead) b.tick();
      const uint64_t start = b.sim.cycle();
      for (unsigned layer = 0; layer < kDecodeLayers; ++layer) {
        while (b.watermark[1] <= layer) b.tick();
        b.send({.layer = layer, .count = 256});
        while (b.reading()) b.tick();
      }
      const uint64_t cycles = b.sim.cycle() - start;
      if (step < 0) {
        out.push_back({tiers[t].name, 0, cycles, whole, {}});  // what the others are compared with; replaced below
        continue;
      }
      const uint64_t least = out[out.size() - 1 - static_cast<size_t>(step)].exposed;
      out.push_back({tiers[t].name, lead, cycles > least ? cycles - least : 0, whole, b.wrong});
    }
    out.erase(out.end() - 6);
  }
  return out;
}

namespace {

/// Runs what is queued and compares the time of its reads with those of the schedulers.
Banked banked(const std::string& name, Bench& b, uint32_t latency, double wanted) {
  Banked out;
  out.name = name;
  out.latency = latency;
  out.wanted = wanted;
  const uint64_t activations = b.memory.dram().activations;
  b.drain();
  // The schedulers begin at the first address, with the next refresh as far away as it was for the design.
  tb::DramTiming t = *b.memory.config().dram;
  t.first_refresh = static_cast<uint32_t>(t.trefi - b.first_read % t.trefi);
  const auto v = tb::dram_judge(t, b.reads, kBeatBytes);
  // An idle channel takes trcd + tcl cycles; the port adds the rest of its latency, once.
  const uint64_t port = latency - t.trcd - t.tcl;
  out.cycles = b.last_beat - b.first_read + 1;
  out.fed = v.fed + port;
  out.oracle = v.oracle + port;
  out.bound = v.bound + port;
  out.binds = v.bound == v.data_bus ? "data bus" : v.bound == v.busiest_bank ? "busiest bank" : "four activates";
  out.useful = b.useful.size() - b.dropped_beats;
  out.reads = b.reads.size();
  out.activations = b.memory.dram().activations - activations;
  out.oracle_activations = v.activations;
  out.wrong = b.wrong;
  for (const auto& w : b.memory.violations()) out.wrong.push_back(w);
  for (const End& e : b.ends) {
    if (e.status != 0) out.wrong.push_back("a descriptor ended with status " + std::to_string(e.status));
  }
  return out;
}

AxiMemory::Config banked_memory(uint32_t latency) {
  AxiMemory::Config config = memory_of(latency);
  config.dram = tb::DramTiming{};
  config.out_of_order = true;  // the channel reorders; within an ID the order of the port holds
  return config;
}

Banked banked_bulk(const std::string& name, uint32_t latency, double wanted, const Layout& layout, bool cold,
                   bool quick) {
  Bench b(banked_memory(latency));
  b.set_layout(layout);
  const unsigned length = 1024;
  const unsigned requests = quick ? 4 : 12;
  for (unsigned o = 0; o < (cold ? requests : 1); ++o) b.set_owner(o, length);
  if (!cold) {
    b.send({.planes = 1, .count = length});
    b.drain();
    b.clear_counts();
  }
  for (unsigned i = 0; i < requests; ++i) {
    b.send({.owner = cold ? i : 0, .layer = i % layout.layers, .head = i % kHeads, .count = length});
  }
  return banked(name, b, latency, wanted);
}

Banked banked_promotion(const std::string& name, uint32_t latency, double wanted, const Layout& layout, bool quick) {
  Bench b(banked_memory(latency));
  b.set_layout(layout);
  b.set_owner(0, 4096);
  b.set_profile(0, {.layers = layout.layers, .heads = (uint64_t{1} << kHeads) - 1, .slots = 8});
  b.clear_counts();
  for (unsigned i = 0; i < (quick ? 2U : 8U); ++i) b.push({.slot = i, .position = 37 + 509 * i});
  return banked(name, b, latency, wanted);
}

}  // namespace

std::vector<InFlight> in_flight_figures() {
  std::vector<InFlight> out;
  for (const unsigned row_beats : {2U, 8U}) {
    for (const uint32_t latency : {100U, 150U, 250U}) {
      for (const uint32_t limit : {1U, 2U, 4U, 8U, 12U, 16U, 24U, 32U, 48U, 64U, 96U, 128U, 192U, 256U}) {
        AxiMemory::Config config = memory_of(latency);
        config.max_outstanding = limit;
        // Enough reads for the limit to show, no more: a small limit makes each of them slow.
        const unsigned rows = std::min(4096U, std::max(256U, limit * 24));
        InFlight f{.row_bytes = row_beats * kBeatBytes,
                   .latency = latency,
                   .limit = limit,
                   .bulk = 0,
                   .promotion = 0,
                   .wrong = {}};
        {
          Bench b(config);
          b.set_layout(nhd(4, 8, kHeads, row_beats));
          const unsigned length = std::min(1024U, rows / 2);
          b.set_owner(0, length);
          b.send({.planes = 1, .count = length});
          b.drain();
          b.clear_counts();
          for (unsigned i = 0; i * 2 * length < rows; ++i)
            b.send({.layer = i % 8, .head = i % kHeads, .count = length});
          b.drain();
          f.bulk = steady(b.useful);
          f.wrong = b.wrong;
        }
        {
          Bench b(config);
          b.set_layout(hnd(4, 80, kHeads, row_beats));
          b.set_owner(0, 4096);
          b.set_profile(0, {.layers = std::max(1U, std::min(80U, rows / 64)), .heads = 0xff, .slots = 8});
          b.clear_counts();
          for (unsigned i = 0; i < 4; ++i) b.push({.slot = i, .position = 37 + 509 * i});
          b.drain();
          f.promotion = steady(b.useful);
          f.wrong.insert(f.wrong.end(), b.wrong.begin(), b.wrong.end());
        }
        out.push_back(std::move(f));
      }
    }
  }
  return out;
}

std::vector<Banked> banked_figures(bool quick) {
  std::vector<Banked> out;
  for (const uint32_t latency : {150U, 250U}) {
    out.push_back(
        banked_bulk("bulk, pages of 16, rows of 256 B apart", latency, 0.98, nhd(4, 4, kHeads, 8), false, quick));
  }
  out.push_back(
      banked_bulk("bulk, pages of 16, rows of 256 B in a run", 250, 0.98, hnd(4, 4, kHeads, 8), false, quick));
  for (const uint32_t latency : {100U, 150U, 250U}) {
    out.push_back(banked_bulk("bulk, rows of 64 B one by one, translations held", latency, 0.98, nhd(4, 4, kHeads, 2),
                              false, quick));
  }
  for (const uint32_t latency : {100U, 150U, 250U}) {
    out.push_back(banked_bulk("bulk, rows of 64 B one by one, cold", latency, 0.92, nhd(4, 1, kHeads, 2), true, quick));
  }
  for (const uint32_t latency : {150U, 250U}) {
    out.push_back(
        banked_promotion("promotion, rows of 256 B, heads apart", latency, 0.98, hnd(4, 80, kHeads, 8), quick));
    out.push_back(
        banked_promotion("promotion, rows of 256 B, heads together", latency, 0.98, nhd(4, 80, kHeads, 8), quick));
  }
  out.push_back(banked_promotion("promotion, rows of 64 B, heads apart", 100, 0.95, hnd(4, 80, kHeads, 2), quick));
  out.push_back(banked_promotion("promotion, rows of 64 B, heads together", 100, 0.95, nhd(4, 80, kHeads, 2), quick));
  return out;
}

Figure slow_beside_fast(const Tier& fast, const Tier& slow) {
  Figure f =
      figure("promotions from " + fast.name + " beside ones from " + slow.name + ", longer by", fast.latency, 0.02);
  f.unit = "part of the cycles";
  f.at_most = true;
  const Layout layout = in_one_block(4, 8, kHeads, 8);
  std::array<double, 2> cycles{};
  for (unsigned with = 0; with < 2; ++with) {
    Bench b(tiered({fast, slow}, layout));
    b.set_layout(layout);
    b.set_owner(0, 1024, 0, kTierBlocks);
    b.set_owner(1, 1024, kTierBlocks, kTierBlocks);
    b.set_profile(0, {.layers = 8, .heads = 0xff, .slots = 64});
    if (with != 0) {
      for (unsigned i = 0; i < 2; ++i) b.push({.slot = 60 + i, .owner = 1, .position = 100 + i, .tier = 1});
      for (int i = 0; i < 200; ++i) b.tick();
    }
    b.ends.clear();
    const uint64_t start = b.sim.cycle();
    for (unsigned i = 0; i < 8; ++i) b.push({.slot = i, .position = 37 + 61 * i});
    while (b.ends.size() < 8) b.tick();
    cycles[with] = static_cast<double>(b.sim.cycle() - start);
    for (const End& e : b.ends) {
      if (e.slot >= 60) f.wrong.emplace_back("the slow tier was not slow");
    }
    b.drain();
    finish(f, b);
  }
  f.value = cycles[1] / cycles[0] - 1.0;
  return f;
}

std::vector<Figure> movement_figures(bool quick) {
  std::vector<Figure> out;
  for (const uint32_t latency : {150U, 250U}) {
    out.push_back(bulk("bulk, pages of 16, rows of 256 B apart", latency, 0.98, nhd(4, 4, kHeads, 8), false, quick));
  }
  out.push_back(bulk("bulk, pages of 16, rows of 256 B in a run", 250, 0.98, hnd(4, 4, kHeads, 8), false, quick));
  for (const uint32_t latency : {100U, 150U, 250U}) {
    out.push_back(
        bulk("bulk, rows of 64 B one by one, translations held", latency, 0.98, nhd(4, 4, kHeads, 2), false, quick));
  }
  for (const uint32_t latency : {100U, 150U, 250U}) {
    out.push_back(bulk("bulk, rows of 64 B one by one, cold", latency, 0.92, nhd(4, 1, kHeads, 2), true, quick));
  }
  for (const uint32_t latency : {100U, 150U, 250U}) {
    out.push_back(row_a_page(latency, false, quick));
    out.push_back(row_a_page(latency, true, quick));
  }
  for (const uint32_t latency : {150U, 250U}) {
    out.push_back(promotion("promotion, rows of 256 B, heads apart", latency, 0.98, hnd(4, 80, kHeads, 8), quick));
    out.push_back(promotion("promotion, rows of 256 B, heads together", latency, 0.98, nhd(4, 80, kHeads, 8), quick));
  }
  out.push_back(promotion("promotion, rows of 64 B, heads apart", 100, 0.95, hnd(4, 80, kHeads, 2), quick));
  out.push_back(promotion("promotion, rows of 64 B, heads together", 100, 0.95, nhd(4, 80, kHeads, 2), quick));
  out.push_back(start_latency());
  out.push_back(both(quick));
  out.push_back(slowed(2, 1.0 / 16 + 0.01));
  out.push_back(slowed(0, 0.01));
  out.push_back(slow_consumer(quick));
  out.push_back(slow_beside_fast({"hbm", 150, 1.0}, {"cxl_fabric", 500, 0.01194}));
  // The same on a memory that refuses addresses half of the time.
  for (const uint32_t latency : {150U, 250U}) {
    out.push_back(
        bulk("bulk, pages of 16, rows of 256 B apart", latency, 0.98, nhd(4, 4, kHeads, 8), false, quick, 50));
  }
  for (const uint32_t latency : {100U, 150U, 250U}) {
    out.push_back(bulk("bulk, rows of 64 B one by one, translations held", latency, 0.98, nhd(4, 4, kHeads, 2), false,
                       quick, 50));
  }
  for (const uint32_t latency : {100U, 150U, 250U}) {
    out.push_back(bulk("bulk, rows of 64 B one by one, cold", latency, 0.92, nhd(4, 1, kHeads, 2), true, quick, 50));
  }
  for (const uint32_t latency : {150U, 250U}) {
    out.push_back(promotion("promotion, rows of 256 B, heads apart", latency, 0.98, hnd(4, 80, kHeads, 8), quick, 50));
  }
  out.push_back(promotion("promotion, rows of 64 B, heads apart", 100, 0.95, hnd(4, 80, kHeads, 2), quick, 50));
  return out;
}

}  // namespace kvsink::move

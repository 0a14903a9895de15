// SPDX-License-Identifier: Apache-2.0
// Functional coverage of memory movement: layout x row size x page size x tier x outcome. Each scenario is drawn at
// random around a bin; the bin is counted only if the outcome was seen at the block's outputs. In `make verify` a part,
// whose every layout, row size, page size and tier has to meet every outcome; in `make soak-movement` all bins, each of
// which has to be hit.
#include <algorithm>
#include <array>
#include <cstdint>
#include <cstdio>
#include <map>
#include <numeric>
#include <string>
#include <vector>

#include "move/layouts.hpp"
#include "move/move_bench.hpp"
#include "support/catch.hpp"
#include "support/seed.hpp"

namespace {

using kvsink::move::Bench;
using kvsink::move::Descriptor;
using kvsink::move::End;
using kvsink::move::Kind;
using kvsink::move::kKinds;
using kvsink::move::KvLayout;
using kvsink::tb::AxiMemory;
using kvsink::tb::Rng;
using FaultKind = AxiMemory::FaultKind;

constexpr unsigned kOk = 0x00, kBusError = 0x0e, kTimeout = 0x0f, kAborted = 0x10;
// Above what a read waits when nothing is wrong: both buffers full of reads before it, at the tier's bandwidth, with
// stalls.
constexpr std::array<unsigned, 2> kBusTimeout{2500, 5000};
constexpr unsigned kLayers = 3, kHeads = 3;
constexpr unsigned kBlocks = 4000;
constexpr std::array kRowBeats{2U, 4U, 8U, 16U};
// Tiers: a window of the address space each, and the DMA's channel for it.
constexpr std::array<uint64_t, 2> kHome{0x0800'0000'0000ULL, 0x4000'0000'0000ULL};

enum Outcome : unsigned {
  kFine,
  kSlvErr,
  kDecErr,
  kNever,
  kLate,
  kWrongLast,
  kAbort,
  kReset,
  kUnmapped,
  kRange,
  kOutcomes
};
constexpr std::array<const char*, kOutcomes> kOutcomeNames{
    "ok",          "SLVERR", "DECERR",      "timeout",  "late after its timeout",
    "wrong RLAST", "abort",  "owner reset", "unmapped", "out of range"};

struct Bin {
  Kind kind;
  unsigned row_beats;  // the latent row has one length: only with the first
  unsigned page_log2;
  unsigned tier;
  Outcome outcome;
  auto operator<=>(const Bin&) const = default;  // NOLINT(modernize-use-nullptr): the check takes <=> 0 for a pointer
  [[nodiscard]] std::string text() const {
    return std::string(kvsink::move::name_of(kind)) + ", rows of " +
           std::to_string(kind == Kind::kLatent ? 1152 : row_beats * 32) + " B, pages of " +
           std::to_string(1U << page_log2) + ", tier " + std::to_string(tier) + ", " + kOutcomeNames[outcome];
  }
};

std::vector<Bin> all_bins() {
  std::vector<Bin> bins;
  for (const Kind kind : kKinds) {
    for (const unsigned row_beats : kRowBeats) {
      if (kind == Kind::kLatent && row_beats != kRowBeats[0]) continue;
      for (unsigned page_log2 = 4; page_log2 <= 7; ++page_log2) {
        for (unsigned tier = 0; tier < 2; ++tier) {
          for (unsigned o = 0; o < kOutcomes; ++o) bins.push_back({kind, row_beats, page_log2, tier, Outcome(o)});
        }
      }
    }
  }
  return bins;
}

struct Seen {
  bool hit = false;
  bool in_bulk = false;  // the fault was in a bulk read, not in a promotion
  uint64_t rows = 0;
  std::vector<std::string> wrong;
};

FaultKind fault_of(Outcome o, Rng& rng) {
  switch (o) {
    case kSlvErr:
      return FaultKind::kSlvErr;
    case kDecErr:
      return FaultKind::kDecErr;
    case kNever:
      return FaultKind::kSilent;
    case kLate:
      return FaultKind::kLate;
    default:
      return rng.coin() ? FaultKind::kNoLast : FaultKind::kEarlyLast;
  }
}

/// Promotions and bulk reads of two owners with the bin's event in between, at a random moment and row; afterwards
/// everything once more, without it.
Seen scenario(const Bin& bin, uint64_t seed) {
  Rng rng(seed);
  AxiMemory::Config config;
  const auto latency = static_cast<uint32_t>(rng.range(10, 80));
  config.tiers = {{.first = 0, .end = kHome[1], .latency = latency},
                  {.first = kHome[1], .end = ~uint64_t{0}, .latency = 2 * latency, .bandwidth = 0.5}};
  config.ar_stall_percent = rng.coin() ? 0 : static_cast<unsigned>(rng.below(50));
  config.r_gap_percent = rng.coin() ? 0 : static_cast<unsigned>(rng.below(30));
  config.jitter = rng.coin() ? 0 : 20;
  config.out_of_order = true;  // what is late holds up its own ID only
  config.interleave = rng.coin();
  config.seed = seed;
  Bench b(config, seed);
  b.sink_stall.set(rng.coin() ? 0 : static_cast<unsigned>(rng.below(50)), 4);
  b.bulk_stall.set(rng.coin() ? 0 : static_cast<unsigned>(rng.below(50)), 4);
  const KvLayout l =
      kvsink::move::make_layout(bin.kind, bin.page_log2, kLayers, kHeads, bin.row_beats, kHome[bin.tier]);
  apply(b, l);
  b.set_floor(static_cast<unsigned>(rng.range(1, 16)));
  b.set_timeout(kBusTimeout[bin.tier]);
  const unsigned page = 1U << bin.page_log2;
  const unsigned length = 2 * page + static_cast<unsigned>(rng.range(1, page));
  for (unsigned owner = 0; owner < 2; ++owner) b.set_owner(owner, length, 1, kBlocks);
  b.set_profile(0, {.layers = kLayers, .heads = (1U << l.heads) - 1, .planes = l.planes, .slots = 16});

  Seen seen;
  const bool fault = bin.outcome >= kSlvErr && bin.outcome <= kWrongLast;
  seen.in_bulk = fault && rng.percent(30);
  b.errors_allowed = fault || bin.outcome == kReset;

  // Three promotions of owner 1; bulk rows of owner 0 beside them.
  std::vector<Descriptor> all;
  for (unsigned i = 0; i < 3; ++i) {
    const auto position = static_cast<unsigned>(i * page * 2 / 3 + rng.below(page / 2));
    all.push_back({.slot = i, .owner = 1, .position = position, .tier = bin.tier});
  }
  const unsigned window = 24;
  const auto bulk = [&](unsigned owner, unsigned layer, unsigned head) {
    const auto first = static_cast<unsigned>(rng.below(length - window + 1));
    b.send({.owner = owner, .layer = layer, .head = head, .planes = l.planes, .first = first, .count = window});
    return first;
  };
  const auto random_row = [&](unsigned owner, unsigned layer, unsigned head, unsigned position) {
    std::vector<unsigned> planes;
    for (unsigned p = 0; p < 8; ++p) {
      if ((l.planes >> p & 1) != 0) planes.push_back(p);
    }
    const unsigned plane = rng.pick(planes);
    const uint64_t row = b.address(owner, layer, head, plane, position);
    return row + rng.below(l.settings.plane[plane].beats) * kvsink::move::kBeatBytes;
  };

  if (fault) {
    const auto layer = static_cast<unsigned>(rng.below(kLayers));
    const auto head = static_cast<unsigned>(rng.below(l.heads));
    uint64_t row = 0;
    if (seen.in_bulk) {
      const unsigned first = bulk(0, layer, head);
      row = random_row(0, layer, head, first + static_cast<unsigned>(rng.below(window)));
    } else {
      row = random_row(1, layer, head, all[1].position);
    }
    b.memory.add_fault({.first = row,
                        .end = row + 32,
                        .kind = fault_of(bin.outcome, rng),
                        .count = 1,
                        .cycles = 3 * kBusTimeout[bin.tier]});
  }
  const unsigned gone = page - 1;  // a position of the first page, which `unmapped` takes away
  if (bin.outcome == kUnmapped) b.unmap(0, 0);
  for (const auto& d : all) b.push(d);
  for (unsigned i = 0; i < 3; ++i) bulk(0, i % kLayers, i % l.heads);
  if (bin.outcome == kUnmapped) b.send({.layer = 1, .planes = l.planes, .first = gone, .count = 3});
  if (bin.outcome == kRange) b.send({.layer = 1, .planes = l.planes, .first = length - 2, .count = 5});
  if (bin.outcome == kAbort || bin.outcome == kReset) {
    const auto when = static_cast<unsigned>(rng.below(3 * latency + 40));
    for (unsigned i = 0; i < when; ++i) b.tick();
    if (bin.outcome == kAbort) {
      b.sim->abort_valid_i = 1;
      b.sim->abort_slot_i = 1;
      b.tick();
      b.sim->abort_valid_i = 0;
    } else {
      // What the controller does with an owner: its context goes, its positions are retired in the same breath.
      b.retire(1, 0, length - 1);
      b.clear_owner(1);
      b.send({.owner = 1, .planes = l.planes, .count = 5});  // nobody's rows
    }
  }
  b.drain();  // what is late has come by then
  const uint64_t strays = b.stray_beats;

  // What was seen.
  if (b.ends.size() != all.size()) b.wrong.emplace_back("a descriptor did not end, or ended twice");
  unsigned victim = ~0U;
  for (const End& e : b.ends) {
    if (e.slot == 1) victim = e.status;
    const bool may_fail = (fault && !seen.in_bulk) || bin.outcome == kReset || (bin.outcome == kAbort && e.slot == 1);
    if (e.status != kOk && !may_fail) b.wrong.emplace_back("a descriptor failed that nothing happened to");
    if (e.status != kOk && b.watermark[e.slot] == ~0U) b.wrong.emplace_back("a failed slot is complete");
  }
  switch (bin.outcome) {
    case kFine:
      seen.hit = victim == kOk && b.errors_seen == 0;
      break;
    case kSlvErr:
    case kDecErr:
      seen.hit = seen.in_bulk ? b.errors_seen > 0 : victim == kBusError;
      break;
    case kNever:
      seen.hit = seen.in_bulk ? b.errors_seen > 0 : victim == kTimeout;
      break;
    case kLate:
      seen.hit = (seen.in_bulk ? b.errors_seen > 0 : victim == kTimeout) && strays > 0;
      break;
    case kWrongLast:
      seen.hit = seen.in_bulk ? b.errors_seen > 0 : victim != kOk;
      break;
    case kAbort:
      seen.hit = victim == kAborted;
      break;
    case kReset:
      seen.hit = victim == kAborted && b.must_failed > 0;
      break;
    default:
      seen.hit = b.must_failed > 0 && victim == kOk;
      break;
  }

  // Again, with nothing in the way: the failed ones are promoted, and every row is right on the path it comes on.
  const auto ends = b.ends;
  const uint64_t errors = b.errors_seen;
  if (bin.outcome == kUnmapped) b.unmap(0, 0, false);
  if (bin.outcome == kReset) b.set_owner(1, length, 1, kBlocks);
  b.ends.clear();
  for (const End& e : ends) {
    // Contents of another sequence: all are new after a reset.
    if (e.status != kOk || bin.outcome == kReset) b.push(all[e.slot]);
  }
  b.drain();
  for (const End& e : b.ends) {
    if (e.status != kOk) b.wrong.push_back("once more, a descriptor ended with " + std::to_string(e.status));
  }
  for (const auto& d : all) b.install(d);
  for (unsigned layer = 0; layer < kLayers; ++layer) {
    for (const auto& d : all) {
      const unsigned first = d.position - std::min(d.position, 7U);
      b.send({.owner = 1,
              .layer = layer,
              .head = layer % l.heads,
              .planes = l.planes,
              .first = first,
              .count = std::min(length - first, 12U)});
    }
  }
  for (unsigned i = 0; i < 2; ++i) bulk(0, i % kLayers, i % l.heads);
  if (bin.outcome == kUnmapped) b.send({.layer = 1, .planes = l.planes, .first = gone, .count = 3});
  b.drain();
  if (b.errors_seen != errors) b.wrong.emplace_back("error-flagged rows, once the fault was over");
  if (b.sink_rows < 3 * kLayers) b.wrong.emplace_back("promoted rows did not come from SRAM");
  seen.rows = b.rows_checked;
  seen.wrong = b.wrong;
  for (const auto& v : b.memory.violations()) seen.wrong.push_back(v);
  return seen;
}

struct Coverage {
  std::map<Bin, unsigned> hits;
  uint64_t scenarios = 0, rows = 0, in_bulk = 0;

  void run(const Bin& bin, uint64_t seed) {
    const Seen seen = scenario(bin, seed);
    ++scenarios;
    rows += seen.rows;
    in_bulk += seen.in_bulk;
    hits[bin] += seen.hit;
    if (seen.wrong.empty()) return;
    for (const auto& w : seen.wrong) UNSCOPED_INFO(w);
    UNSCOPED_INFO(bin.text() << ", seed of the scenario " << seed);
    CHECK(seen.wrong.empty());
  }

  /// Hits by one coordinate of the bin and the outcome; `name` gives the coordinate's text.
  template <class Name>
  void print(const char* what, Name name) const {
    std::map<std::string, std::array<unsigned, kOutcomes>> table;
    for (const auto& [bin, n] : hits) table[name(bin)][bin.outcome] += n;
    std::printf("%s\n", what);
    for (const auto& [row, columns] : table) {
      std::printf("  %-56s", row.c_str());
      for (const unsigned n : columns) std::printf("%6u", n);
      std::printf("\n");
    }
  }
  void print() const {
    std::printf("%llu scenarios, %llu rows compared, %llu faults in bulk reads; outcomes:",
                static_cast<unsigned long long>(scenarios), static_cast<unsigned long long>(rows),
                static_cast<unsigned long long>(in_bulk));
    for (const auto* name : kOutcomeNames) std::printf(" %s,", name);
    std::printf("\n");
    print("by layout", [](const Bin& b) { return std::string(kvsink::move::name_of(b.kind)); });
    print("by row", [](const Bin& b) {
      return b.kind == Kind::kLatent ? "1152 bytes" : std::to_string(b.row_beats * 32) + " bytes";
    });
    print("by page", [](const Bin& b) { return std::to_string(1U << b.page_log2) + " tokens"; });
    print("by tier", [](const Bin& b) { return b.tier == 0 ? std::string("near") : std::string("far"); });
  }
};

std::vector<Bin> shuffled(Rng& rng) {
  auto bins = all_bins();
  for (size_t i = bins.size(); i > 1; --i) std::swap(bins[i - 1], bins[rng.below(i)]);
  return bins;
}

}  // namespace

TEST_CASE("Random movement meets every outcome in every layout, row size, page size and tier", "[move][coverage]") {
  Rng rng(kvsink::test_seed());
  KVSINK_INFO_SEED(rng);
  Coverage coverage;
  // Bins that bring a pair of (coordinate, outcome) that was not hit yet, until none is left.
  const auto bins = shuffled(rng);
  std::map<std::pair<std::string, Outcome>, unsigned> pairs;
  const auto pairs_of = [](const Bin& b) {
    return std::array{std::pair{std::string(kvsink::move::name_of(b.kind)), b.outcome},
                      std::pair{"row " + std::to_string(b.kind == Kind::kLatent ? 36 : b.row_beats), b.outcome},
                      std::pair{"page " + std::to_string(b.page_log2), b.outcome},
                      std::pair{"tier " + std::to_string(b.tier), b.outcome}};
  };
  for (const Bin& b : bins) {
    for (const auto& pair : pairs_of(b)) pairs.emplace(pair, 0);
  }
  std::map<Outcome, unsigned> missed;
  for (unsigned round = 0; round < 4; ++round) {
    for (const Bin& b : bins) {
      const auto of_bin = pairs_of(b);
      if (std::all_of(of_bin.begin(), of_bin.end(), [&](const auto& p) { return pairs[p] != 0; })) continue;
      if (missed[b.outcome] > 12) continue;  // broken: once is enough to know
      coverage.run(b, rng.next());
      missed[b.outcome] += coverage.hits[b] == 0;
      if (coverage.hits[b] == 0) continue;
      for (const auto& pair : of_bin) ++pairs[pair];
    }
  }
  coverage.print();
  for (const auto& [pair, n] : pairs) {
    INFO(pair.first << ", " << kOutcomeNames[pair.second]);
    CHECK(n > 0);
  }
}

TEST_CASE("All bins of layout, row size, page size, tier and outcome are hit", "[.][soak]") {
  Rng rng(kvsink::test_seed());
  KVSINK_INFO_SEED(rng);
  Coverage coverage;
  const auto bins = shuffled(rng);
  for (const Bin& b : bins) coverage.hits[b] = 0;
  for (unsigned round = 0; round < 4; ++round) {  // an abort may come too early or too late to be seen
    for (const Bin& b : bins) {
      if (coverage.hits[b] == 0) coverage.run(b, rng.next());
    }
  }
  coverage.print();
  size_t empty = 0;
  for (const auto& [bin, n] : coverage.hits) {
    if (n != 0) continue;
    ++empty;
    std::printf("empty: %s\n", bin.text().c_str());
  }
  std::printf("%zu bins, %zu empty\n", coverage.hits.size(), empty);
  CHECK(empty == 0);
}

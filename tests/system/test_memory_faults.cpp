// SPDX-License-Identifier: Apache-2.0
// Faults of memory, aborts and owner resets in the middle of transfers, through the whole block and its driver. After
// each: rows come right from HBM, slots are free again, each promotion ended once with a status and a record, and
// nothing incomplete was ever served. The untimed model predicts every path and every record; rows are compared with
// memory.
#include <array>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "replay_support.hpp"
#include "support/seed.hpp"
#include "tb/system/instance.hpp"

using namespace kvsink;
using namespace kvsink::test;
using FaultKind = tb::AxiMemory::FaultKind;

namespace {

constexpr uint32_t kVictim = 2, kOther = 1;  // owners: of the promotions, and of a decode beside them
constexpr uint32_t kLayers = 4, kKvHeads = 2, kHeadDim = 64, kPositions = 128;
constexpr uint32_t kPinned = 0xffff;
constexpr uint32_t kTimeout = 2000;
constexpr uint8_t kStBusError = 0x0e, kStTimeout = 0x0f, kStAborted = 0x10;
constexpr uint64_t kRecordGrant = 1, kRecordResident = 2, kRecordFailed = 3, kRecordReadError = 5;

/// The small configuration, two owners over one cache of hashed rows, the checkers of a replay around it.
struct System {
  tb::Differences report;
  std::unique_ptr<tb::Instance> instance;
  std::vector<uint8_t> scratch;
  uint32_t slots = 0;
  uint8_t next_id = 0;
  uint64_t error_rows = 0, sink_rows = 0;
  std::map<uint64_t, uint64_t> records;  // that residency_ctrl handed over, by kind
  std::map<uint64_t, uint64_t> logged;   // that software drained, by kind
  std::map<uint64_t, uint64_t> ends;     // of descriptors, by status

  System(uint32_t latency, uint32_t stall, uint64_t seed) {
    tb::BenchOptions options;
    options.config = "small";
    options.seed = seed;
    options.latency = latency;
    options.stall_percent = stall;
    options.hashed_memory = true;
    std::string why;
    instance = tb::Instance::make(options, report, why);
    REQUIRE(why.empty());
    instance->bench().memory().set_out_of_order(true);  // what is late holds up its own ID only
    tb::KvShape shape;
    shape.layers = kLayers;
    shape.kv_heads = kKvHeads;
    shape.row_bytes = kHeadDim * 2;
    shape.positions = kPositions;
    instance->lay_out(shape, 0x4000'0000, seed);
    scratch.resize(cache().shape().row_stride());
    tb::Registers registers;
    registers.sram_budget = instance->caps().slots;
    registers.bus_timeout = kTimeout;
    const auto in_memory = [this](uint32_t, uint32_t l, uint32_t plane, uint32_t position, uint32_t h) {
      bench().memory().read(row(l, plane, position, h), scratch);
      return std::span<const uint8_t>(scratch);
    };
    REQUIRE(instance->configure(kKvHeads, registers, in_memory).empty());
    rows().on_row([this](const tb::Row& r) {
      error_rows += r.error;
      sink_rows += r.path == tb::Path::kSink;
    });
    bench().on_request = [this](const tb::RowRequest& r) {
      rows().accepted(r, true);
      if (allowed.contains(r.id)) rows().allow_errors(r.id);
    };
    bench().on_probe = [this](const tb::ProbeEvent& e) {
      if (e.kind == tb::ProbeKind::kLogEvent) ++records[e.f[0]];
      if (e.kind == tb::ProbeKind::kDmaEnd) ++ends[e.f[1]];
      residency().event(e);
    };
    slots = instance->token_slots();
    REQUIRE(instance->set_whole_profile(0).ok());
    set_owner(kVictim);
    set_owner(kOther);
  }

  std::set<uint8_t> allowed;  // requests whose rows may come error-flagged

  [[nodiscard]] tb::Bench& bench() const { return instance->bench(); }
  [[nodiscard]] tb::Host& host() const { return instance->host(); }
  [[nodiscard]] tb::KvCache& cache() const { return instance->cache(); }
  [[nodiscard]] tb::RowScoreboard& rows() const { return instance->rows(); }
  [[nodiscard]] tb::ResidencyChecker& residency() const { return instance->residency(); }

  void set_owner(uint32_t number) {
    tb::Owner owner;
    owner.number = number;
    owner.table_base = cache().table_base();
    owner.length = owner.committed = kPositions;
    REQUIRE(host().set_owner(owner).ok());
  }
  void send(uint32_t owner, uint32_t layer, uint32_t head, uint32_t count, bool errors = false, uint32_t first = 0) {
    tb::RowRequest request;
    request.id = next_id++;
    request.owner = owner;
    request.layer = layer;
    request.head = head;
    request.planes = 3;
    request.first = first;
    request.count = count;
    if (errors) {
      allowed.insert(request.id);
    } else {
      allowed.erase(request.id);
    }
    bench().requests.push(request);
  }
  void drain() {
    REQUIRE(bench().run_until([&] { return bench().requests.empty() && rows().open() == 0; }, 400'000));
  }
  void wait(uint64_t cycles) {
    bench().run_until([] { return false; }, cycles);
  }
  uint64_t row(uint32_t layer, uint32_t plane, uint32_t position, uint32_t head) const {
    return cache().row_address(layer, plane, position, head);
  }

  /// Everything is as it was before: each promotion succeeds, all slots can be had, every row of both owners is right.
  void expect_whole() {
    const uint64_t errors = error_rows;
    host().wait_promotions(kVictim);  // takes the status of what failed before
    const uint8_t gone = host().let_go(kVictim, 0, kPositions).status;
    CHECK((gone == 0x00 || gone == 0x13));  // some, or none was resident
    wait(200);
    for (uint32_t i = 0; i < slots; ++i) {
      CAPTURE(i);
      CHECK(host().promote(kVictim, 2 * i, 0, kPinned).status == 0x00);
    }
    CHECK(host().wait_promotions(kVictim).ok());
    sink_rows = 0;
    for (uint32_t layer = 0; layer < kLayers; ++layer) {
      for (uint32_t head = 0; head < kKvHeads; ++head) {
        send(kVictim, layer, head, kPositions);
        send(kOther, layer, head, kPositions / 2);
        drain();
      }
    }
    CHECK(sink_rows == uint64_t{slots} * kLayers * kKvHeads * 2);
    CHECK(error_rows == errors);
    // Every grant ended once, by a record of one kind or the other.
    CHECK(records[kRecordGrant] == records[kRecordResident] + records[kRecordFailed]);
    for (;;) {
      std::vector<model::LogRecord> drained;
      instance->drain(drained);
      if (drained.empty()) break;
      for (const auto& record : drained) ++logged[record.kind];
    }
    residency().finish(bench().cycle());
    for (const auto& d : report.first()) UNSCOPED_INFO(d.unit << ": cycle " << d.cycle << ": " << d.what);
    CHECK(report.count() == 0);
    const auto& c = rows().counts();
    CHECK(c.checked > 0);
    CHECK(c.wrong == 0);
    CHECK(c.missing == 0);
    CHECK(c.repeated == 0);
    CHECK(c.false_hit == 0);
    CHECK(c.false_miss == 0);
    CHECK(c.misordered == 0);
    CHECK(c.bad_ends == 0);
    CHECK(bench().memory().violations().empty());
  }
};

constexpr std::array kFaults{FaultKind::kSlvErr, FaultKind::kDecErr, FaultKind::kSilent,
                             FaultKind::kLate,   FaultKind::kNoLast, FaultKind::kEarlyLast};

}  // namespace

TEST_CASE("a promotion that memory fails, at any layer, ends once with a status and leaves nothing behind",
          "[system][fault]") {
  for (size_t kind = 0; kind < kFaults.size(); ++kind) {
    for (uint32_t phase = 0; phase < 4; ++phase) {
      CAPTURE(kind, phase);
      System s(50 + 50 * phase, phase == 3 ? 15 : 0, kvsink::test_seed() * 16 + phase);
      const uint32_t position = 17 + 20 * phase;
      const uint64_t at = s.row(phase, phase % 2, position, (phase + kind) % kKvHeads) + 16 * (2 * phase);
      s.bench().memory().add_fault(
          {.first = at, .end = at + 16, .kind = kFaults[kind], .count = 1, .cycles = 3 * kTimeout});
      for (uint32_t layer = 0; layer < kLayers; ++layer) s.send(kOther, layer, 0, 16);  // rows without the victim
      REQUIRE(s.host().promote(kVictim, 3, 0, kPinned).ok());
      REQUIRE(s.host().promote(kVictim, position, 0, kPinned).ok());
      // Decode goes on while the promotion is under way, and fails.
      for (uint32_t layer = 0; layer < kLayers; ++layer) s.send(kVictim, layer, layer % kKvHeads, 12);
      const uint8_t status = s.host().wait_promotions(kVictim).status;
      const bool error = kind < 2;
      if (error) CHECK(status == kStBusError);
      if (kind == 2 || kind == 3) CHECK(status == kStTimeout);
      CHECK(status != 0);
      s.drain();
      CHECK(s.error_rows == 0);
      uint64_t ended = 0;
      for (const auto& [_, n] : s.ends) ended += n;
      CHECK(ended == 2);
      CHECK(s.records[kRecordFailed] >= 1);
      // The failed token's rows come from memory, and are right.
      s.send(kVictim, phase, 0, kPositions);
      s.drain();
      s.wait(4 * kTimeout);  // what was late comes now, into nobody's slot
      s.expect_whole();
    }
  }
}

TEST_CASE("a bulk row that memory fails comes error-flagged, with an event, and right the next time",
          "[system][fault]") {
  for (size_t kind = 0; kind < kFaults.size(); ++kind) {
    for (uint32_t phase = 0; phase < 3; ++phase) {
      CAPTURE(kind, phase);
      System s(60 + 60 * phase, phase == 2 ? 15 : 0, kvsink::test_seed() * 16 + phase);
      const uint32_t position = 5 + 53 * phase;
      const uint64_t at = s.row(1, phase % 2, position, 1) + 16;
      s.bench().memory().add_fault(
          {.first = at, .end = at + 16, .kind = kFaults[kind], .count = 1, .cycles = 3 * kTimeout});
      // One request before the fault, the one that meets it, and one behind: reads of one ID are lost together.
      s.send(kOther, 0, 1, kPositions, true);
      s.send(kOther, 1, 1, kPositions, true);
      s.send(kOther, 2, 1, kPositions, true);
      REQUIRE(s.host().promote(kVictim, 3, 0, kPinned).ok());
      s.drain();
      CHECK(s.error_rows > 0);
      if (kind < 2) CHECK(s.error_rows == 1);
      CHECK(s.host().wait_promotions(kVictim).ok());  // other IDs
      s.wait(4 * kTimeout);
      s.expect_whole();
      CHECK(s.logged[kRecordReadError] >= 1);
    }
  }
}

TEST_CASE("a block table read that memory fails flags the rows of its pages, ends a promotion, and is read again",
          "[system][fault]") {
  constexpr uint32_t kPageTokens = 16, kPlanes = 2;
  for (size_t kind = 0; kind < 4; ++kind) {
    for (uint32_t line = 0; line < 2; ++line) {
      for (const bool promotion : {false, true}) {
        CAPTURE(kind, line, promotion);
        System s(60 + 60 * line, line * 15, kvsink::test_seed() * 16 + line);
        const uint32_t beat_bytes = s.cache().shape().beat_bytes;
        const uint32_t line_tokens = beat_bytes / 4 * kPageTokens;
        const uint64_t at = s.cache().table_base() + uint64_t{line} * beat_bytes;
        s.bench().memory().add_fault(
            {.first = at, .end = at + beat_bytes, .kind = kFaults[kind], .count = 1, .cycles = 3 * kTimeout});
        if (promotion) {
          // The grant's translation is the first to want this line.
          CHECK(s.host().promote(kVictim, line * line_tokens + 5, 0, kPinned).ok());
          const uint8_t status = s.host().wait_promotions(kVictim).status;
          CHECK(status == kStBusError);
          CHECK(s.records[kRecordFailed] == 1);
          CHECK(s.records[kRecordResident] == 0);
        } else {
          s.send(kOther, 1, 1, kPositions, true);
          s.send(kOther, 2, 1, kPositions, true);
          s.drain();
          CHECK(s.error_rows > 0);
          CHECK(s.error_rows % (kPageTokens * kPlanes) == 0);  // whole pages
          if (kind < 2) CHECK(s.error_rows <= uint64_t{2} * line_tokens * kPlanes);
        }
        s.wait(4 * kTimeout);
        s.expect_whole();
        if (!promotion) CHECK(s.logged[kRecordReadError] >= 1);
      }
    }
  }
}

TEST_CASE("rows of a page that is not mapped come error-flagged, a promotion of it fails, and mapping it is enough",
          "[system][fault]") {
  constexpr uint32_t kPageTokens = 16, kPlanes = 2;
  constexpr uint8_t kStUnmapped = 0x0c;
  for (uint32_t page = 0; page < kPositions / kPageTokens; page += 3) {
    CAPTURE(page);
    System s(60, page % 2 * 15, kvsink::test_seed() * 16 + page);
    const uint64_t at = s.cache().table_base() + uint64_t{4} * page;
    const auto map = [&](uint32_t word) { s.bench().memory().write32(at, word); };
    map(0xffff'ffff);
    s.send(kOther, 1, 1, kPositions, true);
    s.drain();
    CHECK(s.error_rows == kPageTokens * kPlanes);
    CHECK(s.host().promote(kVictim, page * kPageTokens + 7, 0, kPinned).ok());
    CHECK(s.host().wait_promotions(kVictim).status == kStUnmapped);
    CHECK(s.records[kRecordFailed] == 1);
    CHECK(s.records[kRecordResident] == 0);
    map(s.cache().table_word(page));
    s.expect_whole();
    CHECK(s.logged[kRecordReadError] == 1);
  }
}

TEST_CASE("an abort or an owner's reset in the middle of promotions ends each once and frees its slot",
          "[system][fault]") {
  std::map<uint64_t, uint64_t> statuses;
  for (uint32_t reset = 0; reset < 2; ++reset) {
    for (uint32_t phase = 0; phase < 8; ++phase) {
      CAPTURE(reset, phase);
      System s(300, phase % 2 * 15, kvsink::test_seed() * 16 + phase);
      for (const uint32_t position : {3U, 40U, 41U}) {
        REQUIRE(s.host().promote(kVictim, position, 0, kPinned).ok());
      }
      // Rows of the owner whose promotions are torn down; those of a reset owner come error-flagged.
      for (uint32_t layer = 0; layer < kLayers; ++layer) s.send(kVictim, layer, 0, 64, reset != 0);
      for (uint32_t layer = 0; layer < kLayers; ++layer) s.send(kOther, layer, 1, 32);
      s.wait(40 * phase);
      if (reset != 0) {
        REQUIRE(s.host().reset_owner(kVictim).ok());
        s.send(kVictim, 0, 0, 5, true);
      } else {
        REQUIRE(s.host().abort(kVictim, 40, 1).ok());
      }
      s.drain();
      CHECK(s.bench().run_until(
          [&] { return s.records[kRecordGrant] == s.records[kRecordResident] + s.records[kRecordFailed]; }, 100'000));
      uint64_t ended = 0;
      for (const auto& [status, n] : s.ends) {
        ended += n;
        statuses[status] += n;
      }
      CHECK(ended <= 3);  // one that had not started ends without the DMA
      if (reset != 0) s.set_owner(kVictim);
      s.expect_whole();
    }
  }
  CHECK(statuses[kStAborted] >= 4);
  CHECK(statuses[0] >= 4);
}

// SPDX-License-Identifier: Apache-2.0
// event_log: every event once, in order, with the CRC that zlib computes; nothing lost when the ring is full; and the
// checker finds what was done to a drained log.
#include <VEventLog.h>
#include <verilated.h>
#include <zlib.h>

#include <deque>
#include <memory>
#include <random>
#include <stdexcept>
#include <vector>

#include "support/catch.hpp"
#include "support/seed.hpp"
#include "sw/models/event_log_model.hpp"

namespace {

using kvsink::model::log_crc;
using kvsink::model::LogBytes;
using kvsink::model::LogChain;
using kvsink::model::LogRecord;
using Verdict = LogChain::Verdict;
using Random = std::mt19937_64;

uint32_t below(Random& r, uint32_t n) { return static_cast<uint32_t>(r() % n); }

// The bench keeps the records that must come, from the events it sees accepted, with zlib's CRC.
class Bench {
 public:
  explicit Bench(uint64_t seed) : random(seed), dut(std::make_unique<VEventLog>(&context_)) {
    context_.randReset(2);
    context_.randSeed(static_cast<int>(seed & 0x7fffffff));
    dut->clk_i = 0;
    reset();
  }
  ~Bench() { dut->final(); }

  void reset() {
    dut->rst_ni = 0;
    dut->ev_valid_i = 0;
    dut->rd_pop_i = 0;
    for (int i = 0; i < 3; i++) clock();
    dut->rst_ni = 1;
    dut->eval();
  }

  // `events` and `pops`: chance of each, in percent.
  void tick(uint32_t events, uint32_t pops) {
    if (!offered_ && below(random, 100) < events) {
      offered_ = true;
      dut->ev_kind_i = random();
      dut->ev_cause_i = random();
      dut->ev_owner_i = random();
      dut->ev_position_i = random();
      dut->ev_word_i = random();
      dut->ev_slot_i = random();
    }
    dut->ev_valid_i = offered_;
    dut->now_i = now & ((1ULL << 48) - 1);
    dut->rd_pop_i = below(random, 100) < pops;
    dut->eval();
    const bool room = accepted - drained.size() < dut->size_records_o;
    REQUIRE((dut->ev_ready_o != 0) == room);
    REQUIRE(dut->room_o == dut->size_records_o - (accepted - drained.size()));
    if (offered_ && dut->ev_ready_o) {
      offered_ = false;
      accepted++;
      LogRecord r{.sequence = static_cast<uint32_t>(accepted),
                  .time = dut->now_i,
                  .kind = dut->ev_kind_i,
                  .cause = dut->ev_cause_i,
                  .owner = dut->ev_owner_i,
                  .position = dut->ev_position_i,
                  .word = dut->ev_word_i,
                  .slot = dut->ev_slot_i};
      const LogBytes bytes = r.encode();
      crc = static_cast<uint32_t>(::crc32(crc, bytes.data(), 28));
      r.crc = crc;
      expected.push_back(r);
    }
    if (dut->rd_pop_i && dut->rd_valid_o) {
      LogBytes bytes;
      for (int i = 0; i < 32; i++) bytes[i] = static_cast<uint8_t>(dut->rd_record_o[i / 4] >> (i % 4 * 8));
      drained.push_back(LogRecord::decode(bytes));
    }
    clock();
    now++;
    REQUIRE(dut->level_o <= accepted - drained.size());
    // The pair is always that of one record.
    const uint32_t last = dut->last_sequence_o;
    REQUIRE(last <= accepted);
    REQUIRE(dut->last_crc_o == (last == 0 ? 0 : expected[last - 1].crc));
  }

  // Drains all; a record that never comes ends the case.
  void drain() {
    for (uint64_t limit = 10 * accepted + 100; drained.size() < accepted; limit--) {
      if (limit == 0) throw std::runtime_error("a record never comes");
      tick(0, 100);
    }
  }

  void settle() {
    for (int i = 0; i < 6; i++) tick(0, 0);
  }

  Random random;
  std::vector<LogRecord> expected;
  std::vector<LogRecord> drained;
  uint64_t accepted = 0;
  uint64_t now = 0xfffffff0;  // so that the time passes 32 bits
  uint32_t crc = 0;

 private:
  VerilatedContext context_;

 public:
  std::unique_ptr<VEventLog> dut;

 private:
  void clock() {
    dut->eval();
    dut->clk_i = 1;
    dut->eval();
    dut->clk_i = 0;
    dut->eval();
  }
  bool offered_ = false;
};

// A chain of good records.
std::vector<LogRecord> good(Random& r, uint32_t count) {
  std::vector<LogRecord> out;
  uint32_t crc = 0;
  for (uint32_t i = 1; i <= count; i++) {
    LogRecord record{.sequence = i, .time = i * 100ULL, .kind = static_cast<uint8_t>(r()), .position = below(r, 1000)};
    record.crc = crc = log_crc(crc, record);
    out.push_back(record);
  }
  return out;
}

LogChain::Finding first_finding(const std::vector<LogRecord>& records, uint32_t last, uint32_t crc) {
  LogChain chain;
  for (const LogRecord& r : records) {
    if (const auto finding = chain.take(r); !finding) return finding;
  }
  return chain.end(last, crc);
}

}  // namespace

TEST_CASE("every event becomes one record, in order, with a sequence that never skips and the CRC of zlib", "[log]") {
  Bench bench(kvsink::test_seed());
  for (int phase = 0; phase < 40; phase++) {
    const uint32_t events = 5 + below(bench.random, 96);
    const uint32_t pops = below(bench.random, 101);
    for (int i = 0; i < 500; i++) bench.tick(events, pops);
  }
  bench.settle();
  bench.drain();
  CHECK(bench.accepted > 3000);
  REQUIRE(bench.drained == bench.expected);
  CHECK(bench.dut->level_o == 0);
  CHECK(bench.dut->last_sequence_o == bench.accepted);
  CHECK_FALSE(bench.dut->rd_valid_o);
  CHECK(first_finding(bench.drained, bench.dut->last_sequence_o, bench.dut->last_crc_o));
}

TEST_CASE("a full ring takes nothing, loses nothing and goes on when it is drained", "[log]") {
  Bench bench(kvsink::test_seed() + 1);
  const uint32_t size = bench.dut->size_records_o;
  for (uint32_t i = 0; i < size; i++) bench.tick(100, 0);
  CHECK(bench.accepted == size);  // one a cycle
  for (int i = 0; i < 50; i++) bench.tick(100, 0);
  CHECK(bench.accepted == size);
  CHECK(bench.dut->level_o == size);
  CHECK(bench.dut->room_o == 0);
  for (int i = 0; i < 40; i++) bench.tick(100, 100);
  bench.settle();
  bench.drain();
  REQUIRE(bench.drained == bench.expected);
  bench.settle();
  for (int i = 0; i < 20; i++) bench.tick(0, 100);  // pops of nothing
  CHECK(bench.drained.size() == bench.accepted);
  CHECK(bench.dut->room_o == size);
}

TEST_CASE("the checker names the first record that is missing, altered or repeated, and a cut tail", "[log]") {
  Random r(kvsink::test_seed() + 2);
  const std::vector<LogRecord> log = good(r, 50);
  const uint32_t crc = log.back().crc;
  CHECK(first_finding(log, 50, crc) == LogChain::Finding{Verdict::kGood, 50});

  for (int n = 0; n < 200; n++) {
    const uint32_t at = below(r, 50);
    CAPTURE(n, at);
    std::vector<LogRecord> bad = log;
    bad.erase(bad.begin() + at);
    CHECK(first_finding(bad, 50, crc) == LogChain::Finding{Verdict::kMissing, at + 1});

    // One bit of any byte of a record. A record's own CRC is told apart as well.
    bad = log;
    LogBytes bytes = bad[at].encode();
    bytes[below(r, 32)] ^= 1U << below(r, 8);
    bad[at] = LogRecord::decode(bytes);
    CHECK(first_finding(bad, 50, crc) == LogChain::Finding{Verdict::kAltered, at + 1});

    bad = log;
    bad.insert(bad.begin() + at + 1, bad[at]);
    CHECK(first_finding(bad, 50, crc) == LogChain::Finding{Verdict::kRepeated, at + 1});

    bad.assign(log.begin(), log.begin() + at);
    CHECK(first_finding(bad, 50, crc) == LogChain::Finding{Verdict::kMissing, at + 1});
  }

  // A tail that was written anew has good CRCs; the device's register tells.
  std::vector<LogRecord> forged = log;
  forged.back().slot ^= 1;
  forged.back().crc = log_crc(log[48].crc, forged.back());
  CHECK(first_finding(forged, 50, crc) == LogChain::Finding{Verdict::kAltered, 50});
  CHECK(LogChain::Finding{Verdict::kMissing, 7}.text() == "log record 7 is missing");
}

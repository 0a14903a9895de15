// SPDX-License-Identifier: Apache-2.0
// The published cases, through the whole block and the driver.
#include <memory>
#include <set>
#include <span>
#include <vector>

#include "replay_support.hpp"
#include "tb/system/instance.hpp"

using namespace kvsink;
using namespace kvsink::test;

namespace {

constexpr uint32_t kOwner = 2;
constexpr uint32_t kPinned = 0xffff;

/// A block with one owner over a cache whose rows are what memory holds where nothing was written.
struct Fixture {
  tb::Differences report;
  std::unique_ptr<tb::Instance> instance;
  std::vector<uint8_t> scratch;
  std::set<uint32_t> sinks;  // positions that came from SRAM since the last request

  Fixture(const char* config, uint32_t layers, uint32_t kv_heads, uint32_t head_dim, uint32_t positions) {
    tb::BenchOptions options;
    options.config = config;
    options.seed = tb::seed_from_env();
    options.latency = 100;
    options.hashed_memory = true;
    std::string why;
    instance = tb::Instance::make(options, report, why);
    CAPTURE(why);
    REQUIRE(why.empty());
    tb::KvShape shape;
    shape.layers = layers;
    shape.kv_heads = kv_heads;
    shape.row_bytes = head_dim * 2;
    shape.positions = positions;
    instance->lay_out(shape, 0x4000'0000, options.seed);
    scratch.resize(instance->cache().shape().row_stride());
    tb::Registers registers;
    registers.sram_budget = instance->caps().slots;
    const auto in_memory = [this](uint32_t, uint32_t l, uint32_t plane, uint32_t position, uint32_t h) {
      instance->bench().memory().read(instance->cache().row_address(l, plane, position, h), scratch);
      return std::span<const uint8_t>(scratch);
    };
    REQUIRE(instance->configure(kv_heads, registers, in_memory).empty());
    instance->rows().on_row([this](const tb::Row& r) {
      if (r.path == tb::Path::kSink) sinks.insert(r.position);
    });
    REQUIRE(instance->set_whole_profile(0).ok());
    tb::Owner owner;
    owner.number = kOwner;
    owner.table_base = instance->cache().table_base();
    owner.length = owner.committed = positions;
    REQUIRE(host().set_owner(owner).ok());
  }

  [[nodiscard]] tb::Host& host() const { return instance->host(); }

  /// Positions that the sink stream serves for one layer and head; every row is compared with memory.
  std::set<uint32_t> sink_positions(uint32_t layer, uint32_t head, uint32_t count) {
    sinks.clear();
    const uint64_t before = instance->rows().counts().checked;
    tb::RowRequest request;
    request.id = 9;
    request.owner = kOwner;
    request.layer = layer;
    request.head = head;
    request.planes = 3;
    request.count = count;
    tb::Bench& bench = instance->bench();
    bench.requests.push(request);
    const auto answered = [&] { return bench.requests.empty() && instance->rows().open() == 0; };
    REQUIRE(bench.run_until(answered, 200'000));
    for (const auto& d : report.first()) UNSCOPED_INFO(d.unit << ": cycle " << d.cycle << ": " << d.what);
    CHECK(report.count() == 0);
    CHECK(instance->rows().counts().checked - before == uint64_t{2} * count);
    return sinks;
  }
};

}  // namespace

TEST_CASE("sinks at 0, 1 and 56 are served from SRAM, the first two pinned and the third timed", "[system]") {
  Fixture f("small", 4, 2, 64, 128);
  constexpr uint32_t kDwell = 12;
  REQUIRE(f.host().promote(kOwner, 0, 0, kPinned).ok());
  REQUIRE(f.host().promote(kOwner, 1, 0, kPinned).ok());
  REQUIRE(f.host().promote(kOwner, 56, 0, kDwell).ok());
  REQUIRE(f.host().wait_promotions(kOwner).ok());
  for (uint32_t layer = 0; layer < 4; ++layer) {
    CHECK(f.sink_positions(layer, layer % 2, 100) == std::set<uint32_t>{0, 1, 56});
  }
  // The third keeps its place for its dwell, under whatever pressure, and loses it to pressure after that.
  for (uint32_t step = 0; step < kDwell; ++step) {
    if (step == kDwell / 2) {
      for (uint32_t p = 64; p < 64 + f.instance->caps().slots; ++p) f.host().promote(kOwner, p, 0, 0);
      f.host().wait_promotions(kOwner);
    }
    const auto sinks = f.sink_positions(0, 0, 64);
    CHECK(sinks.count(56) == 1);
    REQUIRE(f.host().step_end(kOwner, false, true).ok());
  }
  REQUIRE(f.host().let_go(kOwner, 64, 64).ok());
  const auto sinks = f.sink_positions(3, 1, 128);
  CHECK(sinks == std::set<uint32_t>{0, 1, 56});
  REQUIRE(f.host().retire(kOwner, 0, 16).ok());
  CHECK(f.sink_positions(3, 1, 128) == std::set<uint32_t>{56});
}

TEST_CASE("eight sinks of 80 layers, 8 heads, 128, fp16 take 2,621,440 bytes", "[system]") {
  Fixture f("default", 80, 8, 128, 256);
  const uint64_t before = f.host().counters().promo_beats;
  for (const uint32_t position : {0U, 1U, 17U, 40U, 63U, 64U, 200U, 255U}) {
    REQUIRE(f.host().promote(kOwner, position, 0, kPinned).ok());
  }
  REQUIRE(f.host().wait_promotions(kOwner).ok());
  const auto counters = f.host().counters();
  CHECK((counters.promo_beats - before) * f.instance->beat_bytes() == 2'621'440);
  CHECK(counters.resident == 8);
  CHECK(f.sink_positions(79, 7, 256) == std::set<uint32_t>{0, 1, 17, 40, 63, 64, 200, 255});
}

TEST_CASE("3 of 8 heads take 122,880 bytes a token, beside a profile of all heads that takes 327,680", "[system]") {
  Fixture f("default", 80, 8, 128, 64);
  constexpr uint32_t kTokenBeats = 327'680 / 32;
  REQUIRE(f.host().set_profile(0, 80, 0xff, 3, 0, 4, 0).ok());
  REQUIRE(f.host().set_profile(1, 80, 0b1001'0010, 3, 4, 8, 4 * kTokenBeats).ok());
  const auto promoted = [&](uint32_t position, uint32_t profile) {
    const uint64_t before = f.host().counters().promo_beats;
    REQUIRE(f.host().promote(kOwner, position, profile, kPinned).ok());
    REQUIRE(f.host().wait_promotions(kOwner).ok());
    return (f.host().counters().promo_beats - before) * f.instance->beat_bytes();
  };
  CHECK(promoted(5, 1) == 122'880);
  CHECK(promoted(9, 0) == 327'680);
  CHECK(promoted(40, 1) == 122'880);
  // A head that the profile holds, and one that it does not: the rest comes from memory.
  CHECK(f.sink_positions(79, 4, 64) == std::set<uint32_t>{5, 9, 40});
  CHECK(f.sink_positions(0, 1, 64) == std::set<uint32_t>{5, 9, 40});
  CHECK(f.sink_positions(40, 3, 64) == std::set<uint32_t>{9});
}

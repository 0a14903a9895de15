// SPDX-License-Identifier: Apache-2.0
// The bench's own bit fields, streams and random numbers.
#include <array>
#include <cstdint>
#include <vector>

#include "support/catch.hpp"
#include "tb/common/bits.hpp"
#include "tb/common/rng.hpp"
#include "tb/common/stream.hpp"

namespace {

using kvsink::tb::Rng;

}  // namespace

TEST_CASE("A bit field written is read back, and its neighbours stay", "[tb_common]") {
  Rng rng;
  KVSINK_INFO_SEED(rng);
  std::array<uint32_t, 5> wide{};
  std::vector<bool> bits(160);
  for (int i = 0; i < 20000; ++i) {
    const size_t width = rng.range(1, 64);
    const size_t lsb = rng.below(160 - width + 1);
    const uint64_t value = rng.next();
    kvsink::tb::set_bits(wide, lsb, width, value);
    for (size_t b = 0; b < width; ++b) bits[lsb + b] = (value >> b & 1) != 0;
    const size_t read_width = rng.range(1, 64);
    const size_t read_lsb = rng.below(160 - read_width + 1);
    uint64_t expected = 0;
    for (size_t b = 0; b < read_width; ++b) expected |= uint64_t{bits[read_lsb + b]} << b;
    REQUIRE(kvsink::tb::get_bits(wide, read_lsb, read_width) == expected);
  }
}

TEST_CASE("Bit fields of integral ports agree with shifts", "[tb_common]") {
  uint64_t q = 0x0123456789abcdef;
  CHECK(kvsink::tb::get_bits(q, 4, 8) == 0xde);
  CHECK(kvsink::tb::get_bits(q, 0, 64) == 0x0123456789abcdef);
  kvsink::tb::set_bits(q, 60, 4, 0xf);
  CHECK(q == 0xf123456789abcdef);
  uint8_t c = 0xff;
  kvsink::tb::set_bits(c, 2, 3, 0);
  CHECK(c == 0xe3);
  CHECK(kvsink::tb::to_bytes(q, 3) == std::vector<uint8_t>{0xef, 0xcd, 0xab});
}

TEST_CASE("A source keeps what it shows until it is taken, and a sink sees what changes while it waits",
          "[tb_common]") {
  Rng rng;
  KVSINK_INFO_SEED(rng);
  kvsink::tb::Source<int> source(rng.fork("source"), 50, 4);
  kvsink::tb::Sink<int> sink(rng.fork("sink"), 50, 4);
  for (int i = 0; i < 500; ++i) source.push(i);
  const int* before = nullptr;
  int waited = 0;
  for (int cycle = 0; cycle < 20000 && sink.taken() < 500; ++cycle) {
    const int* item = source.begin();
    if (before != nullptr) REQUIRE(item != nullptr);
    const bool ready = sink.begin();
    const bool taken = source.end(ready);
    CHECK(taken == (item != nullptr && ready));
    // The item must not be read after end(): take the count instead.
    sink.end(item != nullptr, [&] { return static_cast<int>(source.taken()) - (taken ? 1 : 0); });
    before = taken ? nullptr : item;
    waited += before != nullptr;
  }
  CHECK(sink.taken() == 500);
  CHECK(waited > 50);
  for (int i = 0; i < 500; ++i) REQUIRE(sink.items[static_cast<size_t>(i)] == i);

  kvsink::tb::Sink<int> blocked(rng, 100);
  blocked.begin();
  blocked.end(true, [] { return 1; });
  blocked.begin();
  CHECK_THROWS_AS(blocked.end(true, [] { return 2; }), kvsink::tb::StreamError);
  kvsink::tb::Sink<int> again(rng, 100);
  again.begin();
  again.end(true, [] { return 1; });
  again.begin();
  CHECK_THROWS_AS(again.end(false, [] { return 0; }), kvsink::tb::StreamError);
}

TEST_CASE("Random numbers repeat with the seed, differ by name, and keep their ranges", "[tb_common]") {
  Rng a(7);
  Rng b(7);
  for (int i = 0; i < 100; ++i) REQUIRE(a.next() == b.next());
  CHECK(Rng(7).fork("x").next() == Rng(7).fork("x").next());
  CHECK(Rng(7).fork("x").next() != Rng(7).fork("y").next());
  CHECK(Rng(7).fork("x").next() != Rng(8).fork("x").next());
  std::array<int, 10> seen{};
  for (int i = 0; i < 10000; ++i) {
    const uint64_t n = a.range(5, 14);
    REQUIRE(n >= 5);
    REQUIRE(n <= 14);
    ++seen[n - 5];
  }
  for (const int n : seen) CHECK(n > 800);
  int hits = 0;
  for (int i = 0; i < 10000; ++i) hits += a.percent(30);
  CHECK(hits > 2700);
  CHECK(hits < 3300);
  CHECK_FALSE(a.percent(0));
  CHECK(a.percent(100));
}

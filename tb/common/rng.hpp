// SPDX-License-Identifier: Apache-2.0
// The random numbers of the bench: one seed a run, as many independent generators as there are things that choose.
//
// The same numbers on every machine and library, which <random>'s distributions do not promise.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <span>
#include <string_view>

/// Says the seed when a check of the current Catch2 case fails from here on.
#define KVSINK_INFO_SEED(rng) UNSCOPED_INFO("KVSINK_SEED=" << (rng).seed())

namespace kvsink::tb {

/// The seed of this run: environment KVSINK_SEED, or 1.
inline uint64_t seed_from_env() {
  const char* text = std::getenv("KVSINK_SEED");
  return text != nullptr && *text != '\0' ? std::strtoull(text, nullptr, 0) : 1;
}

/// A bijective mix of 64 bits (splitmix64's finisher): also the hash behind procedural memory contents.
constexpr uint64_t mix64(uint64_t x) {
  x += 0x9e3779b97f4a7c15U;
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9U;
  x = (x ^ (x >> 27)) * 0x94d049bb133111ebU;
  return x ^ (x >> 31);
}

class Rng {
 public:
  explicit Rng(uint64_t seed = seed_from_env()) : seed_(seed), state_(mix64(seed)) {}

  /// What the run was seeded with; the same for all forks of one generator.
  [[nodiscard]] uint64_t seed() const { return seed_; }

  /// An independent generator, named so that adding one elsewhere does not shift its numbers.
  [[nodiscard]] Rng fork(std::string_view name) const {
    uint64_t h = mix64(seed_);
    for (const char c : name) h = mix64(h ^ static_cast<uint8_t>(c));
    Rng child(seed_);
    child.state_ = h;
    return child;
  }

  uint64_t next() { return mix64(state_ += 0x9e3779b97f4a7c15U); }
  /// 0 to n-1; n is at least 1.
  uint64_t below(uint64_t n) { return n >> 32 == 0 ? ((next() >> 32) * n) >> 32 : next() % n; }
  /// low to high, both included.
  uint64_t range(uint64_t low, uint64_t high) { return low + below(high - low + 1); }
  bool percent(unsigned p) { return p != 0 && (p >= 100 || below(100) < p); }
  bool coin() { return (next() >> 63) != 0; }
  uint64_t bits(unsigned n) { return n == 0 ? 0 : next() >> (64 - n); }

  void fill(std::span<uint8_t> bytes) {
    for (auto& b : bytes) b = static_cast<uint8_t>(next() >> 56);
  }
  template <class Container>
  auto& pick(Container& from) {
    return from[below(from.size())];
  }

 private:
  uint64_t seed_;
  uint64_t state_;
};

/// Decides, cycle by cycle, whether something is held back. A hold lasts 1 to `longest` cycles, so that queues run
/// empty and full as well; `percent` is the chance that one begins in a cycle.
class Stall {
 public:
  Stall() : Stall(Rng(0), 0) {}
  Stall(Rng rng, unsigned percent, unsigned longest = 1) : rng_(rng), percent_(percent), longest_(longest) {}

  /// True: hold back in this cycle. Call once a cycle.
  bool now() {
    if (left_ != 0) {
      --left_;
      return true;
    }
    if (!rng_.percent(percent_)) return false;
    left_ = static_cast<unsigned>(rng_.below(longest_));
    return true;
  }
  void set(unsigned percent, unsigned longest = 1) {
    percent_ = percent;
    longest_ = longest;
  }

 private:
  Rng rng_;
  unsigned percent_;
  unsigned longest_;
  unsigned left_ = 0;
};

}  // namespace kvsink::tb

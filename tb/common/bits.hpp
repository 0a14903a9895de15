// SPDX-License-Identifier: Apache-2.0
// Bit fields of Verilated ports of any width: integers up to 64 bits, and VlWide (words of 32 bits) above.
#pragma once

#include <cassert>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <type_traits>
#include <vector>

namespace kvsink::tb {

template <class P>
concept NarrowPort = std::unsigned_integral<P>;
/// VlWide, or an array of 32-bit words.
template <class P>
concept WidePort = requires(P p) {
  { *p.data() } -> std::convertible_to<uint32_t>;
}
&&sizeof(*std::declval<P>().data()) == 4;
template <class P>
concept Port = NarrowPort<P> || WidePort<P>;

template <Port P>
constexpr size_t port_bytes() {
  return sizeof(P);
}

/// Bits [lsb + width - 1 : lsb]; width 1 to 64. Bits beyond the port are a mistake of the caller.
template <Port P>
uint64_t get_bits(const P& port, size_t lsb, size_t width) {
  assert(width >= 1 && width <= 64 && lsb + width <= 8 * port_bytes<P>());
  const uint64_t mask = width == 64 ? ~uint64_t{0} : (uint64_t{1} << width) - 1;
  if constexpr (NarrowPort<P>) {
    return (static_cast<uint64_t>(port) >> lsb) & mask;
  } else {
    uint64_t value = 0;
    for (size_t got = 0; got < width;) {
      const size_t at = lsb + got;
      const size_t offset = at % 32;
      value |= static_cast<uint64_t>(port.data()[at / 32] >> offset) << got;
      got += 32 - offset;
    }
    return value & mask;
  }
}

/// Writes bits [lsb + width - 1 : lsb] and leaves the others; width 1 to 64.
template <Port P>
void set_bits(P& port, size_t lsb, size_t width, uint64_t value) {
  assert(width >= 1 && width <= 64 && lsb + width <= 8 * port_bytes<P>());
  if constexpr (NarrowPort<P>) {
    const uint64_t mask = (width == 64 ? ~uint64_t{0} : (uint64_t{1} << width) - 1) << lsb;
    port = static_cast<P>((static_cast<uint64_t>(port) & ~mask) | ((value << lsb) & mask));
  } else {
    for (size_t put = 0; put < width;) {
      const size_t at = lsb + put;
      const size_t offset = at % 32;
      const size_t n = width - put < 32 - offset ? width - put : 32 - offset;
      const uint32_t mask = (n == 32 ? ~uint32_t{0} : (uint32_t{1} << n) - 1) << offset;
      uint32_t& word = port.data()[at / 32];
      word = (word & ~mask) | (static_cast<uint32_t>(value >> put) << offset & mask);
      put += n;
    }
  }
}

/// The port's low bytes, least significant first.
template <Port P>
void get_bytes(const P& port, std::span<uint8_t> bytes) {
  for (size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<uint8_t>(get_bits(port, 8 * i, 8));
}
template <Port P>
std::vector<uint8_t> to_bytes(const P& port, size_t count) {
  std::vector<uint8_t> bytes(count);
  get_bytes(port, bytes);
  return bytes;
}
template <Port P>
void set_bytes(P& port, std::span<const uint8_t> bytes) {
  for (size_t i = 0; i < bytes.size(); ++i) set_bits(port, 8 * i, 8, bytes[i]);
}

/// The port's low 32-bit words, least significant first: the fast way for data buses.
template <Port P>
void set_words(P& port, std::span<const uint32_t> words) {
  if constexpr (NarrowPort<P>) {
    uint64_t value = words.empty() ? 0 : words[0];
    if (words.size() > 1 && sizeof(P) == 8) value |= static_cast<uint64_t>(words[1]) << 32;
    port = static_cast<P>(value);
  } else {
    assert(4 * words.size() <= port_bytes<P>());
    std::memcpy(port.data(), words.data(), 4 * words.size());
  }
}
template <Port P>
void get_words(const P& port, std::span<uint32_t> words) {
  if constexpr (NarrowPort<P>) {
    for (size_t i = 0; i < words.size(); ++i) words[i] = static_cast<uint32_t>(static_cast<uint64_t>(port) >> (32 * i));
  } else {
    assert(4 * words.size() <= port_bytes<P>());
    std::memcpy(words.data(), port.data(), 4 * words.size());
  }
}

/// Fills a port with what no correct design looks at (drive it while valid is low). `bits` is its width.
template <Port P, class Random>
void scramble(P& port, size_t bits, Random& rng) {
  for (size_t lsb = 0; lsb < bits; lsb += 32) set_bits(port, lsb, bits - lsb < 32 ? bits - lsb : 32, rng.next());
}

}  // namespace kvsink::tb

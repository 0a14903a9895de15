// SPDX-License-Identifier: Apache-2.0
// The layouts of paged KV caches that the block reads, twice: as the settings that software writes, and as the tensor
// that a framework allocates, indexed dimension by dimension. The two are written down apart, so that each checks the
// other.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "move/move_bench.hpp"

namespace kvsink::move {

enum class Kind : uint8_t { kNhd, kHnd, kFused, kOneBlock, kLatent, kScales, kBytePlanes };
inline constexpr std::array kKinds{Kind::kNhd,    Kind::kHnd,    Kind::kFused,     Kind::kOneBlock,
                                   Kind::kLatent, Kind::kScales, Kind::kBytePlanes};

inline const char* name_of(Kind kind) {
  switch (kind) {
    case Kind::kNhd:
      return "tokens outside heads, K and V in two tensors a layer";
    case Kind::kHnd:
      return "heads outside tokens, K and V in two tensors a layer";
    case Kind::kFused:
      return "K and V fused in the last dimension";
    case Kind::kOneBlock:
      return "all layers, K and V, in one block";
    case Kind::kLatent:
      return "one latent row of 576 for K and V";
    case Kind::kScales:
      return "fp8 rows, scales of eight tokens in a row";
    case Kind::kBytePlanes:
      return "rows in two byte planes";
  }
  return "?";
}

/// An array in memory: dimensions from the outermost to the innermost, each with its size, then bytes.
struct Array {
  uint64_t base = 0;
  std::vector<uint64_t> sizes;  // the outermost one is not used
  uint64_t bytes = 1;           // of an element of the innermost dimension

  [[nodiscard]] uint64_t at(const std::vector<uint64_t>& index) const {
    uint64_t flat = 0;
    for (size_t i = 0; i < sizes.size(); ++i) flat = (i == 0 ? 0 : flat * sizes[i]) + index[i];
    return base + flat * bytes;
  }
};

struct KvLayout {
  Kind kind = Kind::kNhd;
  Layout settings;
  std::vector<std::array<uint64_t, 4>> bases;  // of a layer, by tensor
  unsigned planes = 3;                         // mask
  unsigned heads = 1;
  std::function<uint64_t(unsigned, unsigned, unsigned, uint32_t, unsigned)> place;
};

/// `row_beats`: of a row of K or V (the latent row has its own length). `home`: where in the address space.
inline KvLayout make_layout(Kind kind, unsigned page_log2, unsigned layers, unsigned heads, unsigned row_beats,
                            uint64_t home) {
  KvLayout l;
  l.kind = kind;
  l.heads = kind == Kind::kLatent ? 1 : heads;
  Layout& s = l.settings;
  s.page_log2 = page_log2;
  s.layers = layers;
  s.heads = l.heads;
  const uint64_t page = uint64_t{1} << page_log2;
  const uint64_t row = uint64_t{row_beats} * kBeatBytes;
  // A tensor of a layer, by number; no two overlap for blocks below 4,096 (the largest block is 4 MiB).
  const auto tensor = [home](unsigned layer, unsigned t) {
    return home + (uint64_t{layer} * 4 + t) * 0x8'0000'0000ULL;
  };
  l.bases.resize(layers);
  for (unsigned layer = 0; layer < layers; ++layer) {
    for (unsigned t = 0; t < 4; ++t) l.bases[layer][t] = tensor(layer, t);
  }
  switch (kind) {
    case Kind::kNhd:
      s.stride[0] = {page * heads * row, row, heads * row};
      for (unsigned p = 0; p < 2; ++p) s.plane[p] = {true, p, 0, 0, row_beats, 0};
      l.place = [=](unsigned layer, unsigned head, unsigned plane, uint32_t block, unsigned token) {
        return Array{tensor(layer, plane), {0, page, heads}, row}.at({block, token, head});
      };
      break;
    case Kind::kHnd:
      s.stride[0] = {page * heads * row, page * row, row};
      for (unsigned p = 0; p < 2; ++p) s.plane[p] = {true, p, 0, 0, row_beats, 0};
      l.place = [=](unsigned layer, unsigned head, unsigned plane, uint32_t block, unsigned token) {
        return Array{tensor(layer, plane), {0, heads, page}, row}.at({block, head, token});
      };
      break;
    case Kind::kFused:
      s.stride[0] = {page * heads * 2 * row, 2 * row, heads * 2 * row};
      for (unsigned p = 0; p < 2; ++p) s.plane[p] = {true, 0, 0, p * row, row_beats, 0};
      l.place = [=](unsigned layer, unsigned head, unsigned plane, uint32_t block, unsigned token) {
        return Array{tensor(layer, 0), {0, page, heads, 2}, row}.at({block, token, head, plane});
      };
      break;
    case Kind::kOneBlock:
      s.stride[0] = {layers * 2 * page * heads * row, row, heads * row};
      for (unsigned p = 0; p < 2; ++p) s.plane[p] = {true, p, 0, 0, row_beats, 0};
      for (unsigned layer = 0; layer < layers; ++layer) {
        for (unsigned t = 0; t < 2; ++t) l.bases[layer][t] = home + (2 * layer + t) * page * heads * row;
      }
      l.place = [=](unsigned layer, unsigned head, unsigned plane, uint32_t block, unsigned token) {
        return Array{home, {0, layers, 2, page, heads}, row}.at({block, layer, plane, token, head});
      };
      break;
    case Kind::kLatent: {
      // 576 elements of 16 bits: K reads all of the row, V its first 512.
      s.stride[0] = {page * 1152, 0, 1152};
      s.plane[0] = {true, 0, 0, 0, 36, 0};
      s.plane[1] = {true, 0, 0, 0, 32, 0};
      l.place = [=](unsigned layer, unsigned, unsigned, uint32_t block, unsigned token) {
        return Array{tensor(layer, 0), {0, page, 576}, 2}.at({block, token, 0});
      };
      break;
    }
    case Kind::kScales:
      l.planes = 0xf;
      s.stride[0] = {page * heads * row, row, heads * row};
      s.stride[1] = {heads * page * 4, page * 4, 32};
      for (unsigned p = 0; p < 2; ++p) s.plane[p] = {true, p, 0, 0, row_beats, 0};
      for (unsigned p = 2; p < 4; ++p) s.plane[p] = {true, p, 1, 0, 1, 3};
      l.place = [=](unsigned layer, unsigned head, unsigned plane, uint32_t block, unsigned token) {
        if (plane < 2) return Array{tensor(layer, plane), {0, page, heads}, row}.at({block, token, head});
        // A scale of 4 bytes a token; the row of eight of them begins at a multiple of eight.
        return Array{tensor(layer, plane), {0, heads, page}, 4}.at({block, head, token - token % 8});
      };
      break;
    case Kind::kBytePlanes: {
      // High and low bytes of K, then of V, each half as long as the row.
      l.planes = 0xf;
      const unsigned half = row_beats / 2;
      const uint64_t bytes = row / 2;
      s.stride[0] = {page * heads * 4 * bytes, bytes, heads * 4 * bytes};
      for (unsigned p = 0; p < 4; ++p) s.plane[p] = {true, 0, 0, p * heads * bytes, half, 0};
      l.place = [=](unsigned layer, unsigned head, unsigned plane, uint32_t block, unsigned token) {
        return Array{tensor(layer, 0), {0, page, 4, heads}, bytes}.at({block, token, plane, head});
      };
      break;
    }
  }
  return l;
}

/// The layout's settings into the design; its rows are looked for where the array has them.
inline void apply(Bench& b, const KvLayout& l) {
  b.set_layout(l.settings);
  for (unsigned layer = 0; layer < l.settings.layers; ++layer) {
    for (unsigned t = 0; t < 4; ++t) b.set_base(layer, t, l.bases[layer][t]);
  }
  b.place = l.place;
}

}  // namespace kvsink::move

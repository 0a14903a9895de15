// SPDX-License-Identifier: Apache-2.0
// A paged KV cache as serving software lays it out in memory, with a shuffled block table.
//
// Pages hold page_tokens tokens; tokens outside heads (NHD), or heads outside tokens (HND); K and V in two tensors of a
// layer:
//   address(layer, plane, position, head) = base[layer][plane] + block*S_block + token*S_token + head*S_head
// The addresses here are computed on their own, from this formula; the design's are never consulted.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <vector>

namespace kvsink::tb {

/// Shape of a cache. Rows are padded to whole beats.
struct KvShape {
  uint32_t layers = 1;
  uint32_t kv_heads = 1;
  uint32_t row_bytes = 0;  // bytes that carry data
  uint32_t beat_bytes = 16;
  uint32_t page_tokens = 16;
  uint32_t positions = 0;    // longest sequence
  uint32_t block_bits = 24;  // table word: [block_bits-1:0] physical block, above it the generation
  bool heads_outside = false;

  [[nodiscard]] uint32_t row_stride() const { return (row_bytes + beat_bytes - 1) / beat_bytes * beat_bytes; }
  [[nodiscard]] uint32_t row_beats() const { return row_stride() / beat_bytes; }
  [[nodiscard]] uint32_t pages() const { return (positions + page_tokens - 1) / page_tokens; }
};

/// Writes bytes to the memory model.
using MemoryWrite = std::function<void(uint64_t addr, std::span<const uint8_t> bytes)>;

class KvCache {
 public:
  static constexpr uint32_t kPlanes = 2;  // 0 K, 1 V

  /// Chooses the physical blocks at random; nothing is written yet. `region` is where this cache begins in memory.
  KvCache(const KvShape& shape, uint64_t region, uint64_t seed);

  [[nodiscard]] const KvShape& shape() const { return shape_; }
  [[nodiscard]] uint64_t base(uint32_t layer, uint32_t plane) const;
  [[nodiscard]] uint64_t stride_block() const;
  [[nodiscard]] uint64_t stride_head() const {
    return uint64_t{shape_.heads_outside ? shape_.page_tokens : 1} * shape_.row_stride();
  }
  [[nodiscard]] uint64_t stride_token() const {
    return uint64_t{shape_.heads_outside ? 1 : shape_.kv_heads} * shape_.row_stride();
  }
  [[nodiscard]] uint64_t table_base() const { return table_base_; }
  [[nodiscard]] uint64_t row_address(uint32_t layer, uint32_t plane, uint32_t position, uint32_t head) const;
  /// First byte behind everything this cache uses.
  [[nodiscard]] uint64_t end() const { return end_; }
  /// Word of the block table for a page: generation and physical block.
  [[nodiscard]] uint32_t table_word(uint32_t page) const { return words_[page]; }

  /// Writes the whole block table.
  void write_table(const MemoryWrite& write) const;
  /// Writes one row: row_bytes of data, then zero up to the stride.
  void write_row(const MemoryWrite& write, uint32_t layer, uint32_t plane, uint32_t position, uint32_t head,
                 std::span<const uint8_t> data) const;

  /// Gives a page another physical block and the next generation, as software does after `retire`. The caller writes
  /// the rows anew.
  void move_page(uint32_t page);

 private:
  KvShape shape_;
  uint64_t table_base_ = 0;
  uint64_t rows_base_ = 0;
  uint64_t tensor_bytes_ = 0;
  uint64_t end_ = 0;
  std::vector<uint32_t> words_;
  std::vector<uint32_t> spare_;  // physical blocks not in use
};

}  // namespace kvsink::tb

// SPDX-License-Identifier: Apache-2.0
#include "tb/system/kv_cache.hpp"

#include <algorithm>
#include <array>
#include <cstring>
#include <numeric>
#include <random>

namespace kvsink::tb {
namespace {
constexpr uint64_t align_up(uint64_t value, uint64_t to) { return (value + to - 1) / to * to; }
}  // namespace

KvCache::KvCache(const KvShape& shape, uint64_t region, uint64_t seed) : shape_(shape) {
  const uint32_t pages = shape_.pages();
  const uint32_t blocks = 2 * pages + 8;  // room to move pages, so that neighbours in the sequence are not in memory
  table_base_ = align_up(region, 4096);
  rows_base_ = align_up(table_base_ + uint64_t{4} * pages, 4096);
  tensor_bytes_ = align_up(stride_block() * blocks, 4096);
  end_ = rows_base_ + tensor_bytes_ * shape_.layers * kPlanes;

  std::vector<uint32_t> order(blocks);
  std::iota(order.begin(), order.end(), 0U);
  std::mt19937_64 rng(seed);
  std::shuffle(order.begin(), order.end(), rng);
  const uint32_t generations = uint32_t{1} << (31 - shape_.block_bits);
  for (uint32_t page = 0; page < pages; ++page) {
    const auto generation = static_cast<uint32_t>(rng() % generations);
    words_.push_back(generation << shape_.block_bits | order[page]);
  }
  spare_.assign(order.begin() + pages, order.end());
}

uint64_t KvCache::base(uint32_t layer, uint32_t plane) const {
  return rows_base_ + (uint64_t{layer} * kPlanes + plane) * tensor_bytes_;
}

uint64_t KvCache::stride_block() const { return uint64_t{shape_.kv_heads} * shape_.page_tokens * shape_.row_stride(); }

uint64_t KvCache::row_address(uint32_t layer, uint32_t plane, uint32_t position, uint32_t head) const {
  const uint32_t block = words_[position / shape_.page_tokens] & ((uint32_t{1} << shape_.block_bits) - 1);
  return base(layer, plane) + block * stride_block() + (position % shape_.page_tokens) * stride_token() +
         head * stride_head();
}

void KvCache::write_table(const MemoryWrite& write) const {
  for (std::size_t page = 0; page < words_.size(); ++page) {
    std::array<uint8_t, 4> bytes{};
    std::memcpy(bytes.data(), &words_[page], 4);
    write(table_base_ + 4 * page, bytes);
  }
}

void KvCache::write_row(const MemoryWrite& write, uint32_t layer, uint32_t plane, uint32_t position, uint32_t head,
                        std::span<const uint8_t> data) const {
  std::vector<uint8_t> row(shape_.row_stride(), 0);
  std::copy(data.begin(), data.end(), row.begin());
  write(row_address(layer, plane, position, head), row);
}

void KvCache::move_page(uint32_t page) {
  const uint32_t block_mask = (uint32_t{1} << shape_.block_bits) - 1;
  const uint32_t generation_mask = (uint32_t{1} << (31 - shape_.block_bits)) - 1;
  const uint32_t old_block = words_[page] & block_mask;
  const uint32_t generation = ((words_[page] >> shape_.block_bits) + 1) & generation_mask;
  const uint32_t block = spare_.front();
  spare_.erase(spare_.begin());
  spare_.push_back(old_block);
  words_[page] = generation << shape_.block_bits | block;
}

}  // namespace kvsink::tb

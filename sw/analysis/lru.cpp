// SPDX-License-Identifier: Apache-2.0
#include "sw/analysis/lru.hpp"

#include <cmath>

namespace kvsink::analysis {
namespace {

constexpr std::uint32_t kPlanes = 2;  // K, V

/// Rows that the step of the query at `position` reads.
std::uint64_t rows_of_step(const trace::Trace& trace, std::uint32_t position) {
  std::uint64_t rows = 0;
  for (std::uint32_t layer = 0; layer < trace.dims().L; ++layer) {
    rows += position + 1 - trace.first_seen(layer, position);
  }
  return rows * trace.dims().Hkv * kPlanes;
}

}  // namespace

LruCache::LruCache(std::size_t keys, std::size_t capacity)
    : capacity_(capacity), link_(keys + 1), present_(keys, false) {
  link_[keys] = {keys, keys};
}

void LruCache::unlink(std::size_t key) {
  link_[link_[key].older].newer = link_[key].newer;
  link_[link_[key].newer].older = link_[key].older;
}

bool LruCache::read(std::size_t key) {
  if (capacity_ == 0) return false;
  const std::size_t ring = link_.size() - 1;
  const bool hit = present_[key];
  if (hit) {
    unlink(key);
  } else if (used_ == capacity_) {
    const std::size_t oldest = link_[ring].newer;
    unlink(oldest);
    present_[oldest] = false;
  } else {
    ++used_;
  }
  present_[key] = true;
  const std::size_t newest = link_[ring].older;
  link_[key] = {newest, ring};
  link_[newest].newer = key;
  link_[ring].older = key;
  return hit;
}

std::vector<LruHits> lru_hits(const trace::Trace& trace, const std::vector<double>& capacities,
                              const std::vector<std::size_t>& tokens, std::uint64_t most_reads) {
  const trace::Dims& n = trace.dims();
  const auto& positions = trace.decode_positions();
  std::size_t steps = 0;
  for (std::uint64_t reads = 0; steps < positions.size(); ++steps) {
    reads += rows_of_step(trace, static_cast<std::uint32_t>(positions[steps]));
    if (steps >= 2 && reads > most_reads) break;
  }
  std::vector<bool> in_question(n.T, false);
  for (const std::size_t t : tokens) in_question[t] = true;

  std::vector<LruHits> all;
  const std::size_t keys = std::size_t{n.L} * n.Hkv * kPlanes * n.T;
  for (const double capacity : capacities) {
    LruHits h;
    h.capacity = capacity;
    if (steps != 0) {
      const std::uint64_t rows = rows_of_step(trace, static_cast<std::uint32_t>(positions[0]));
      h.rows = static_cast<std::uint64_t>(std::floor(capacity * static_cast<double>(rows)));
    }
    LruCache cache(keys, h.rows);
    std::vector<bool> seen(keys, false);
    for (std::size_t step = 0; step < steps; ++step) {
      const auto position = static_cast<std::uint32_t>(positions[step]);
      for (std::uint32_t layer = 0; layer < n.L; ++layer) {
        for (std::uint32_t stream = 0; stream < n.Hkv * kPlanes; ++stream) {
          for (std::size_t t = trace.first_seen(layer, position); t <= position; ++t) {
            const std::size_t key = (std::size_t{layer} * n.Hkv * kPlanes + stream) * n.T + t;
            const bool hit = cache.read(key);
            if (seen[key]) {
              ++h.reads;
              h.hits += hit;
              h.token_reads += in_question[t];
              h.token_hits += hit && in_question[t];
            }
            seen[key] = true;
          }
        }
      }
    }
    all.push_back(h);
  }
  return all;
}

}  // namespace kvsink::analysis

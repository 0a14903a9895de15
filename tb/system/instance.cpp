// SPDX-License-Identifier: Apache-2.0
#include "tb/system/instance.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <utility>

#include "sw/driver/include/kvs.h"
#include "tb/system/kv_cache.hpp"

namespace kvsink::tb {
namespace {

model::ResidencyModel::Config residency_config(const Capabilities& caps, const RowLayout& layout, const Registers& r,
                                               uint32_t beat_bytes) {
  const auto score = [](double value) { return static_cast<uint32_t>(std::lround(value * KVS_SCORE_ONE)); };
  model::ResidencyModel::Config config;
  config.slots = caps.slots;
  config.entries = caps.entries;
  config.owners = caps.owners;
  config.positions = caps.positions;
  config.profiles = caps.profiles;
  config.sram_beats = caps.sram_bytes / beat_bytes;
  config.kv_heads = caps.kv_heads;
  config.plans = caps.plans;
  config.plan_items = caps.plan_items;
  config.sram_budget = r.sram_budget;
  config.t_sink = score(r.t_sink);
  config.t_promote = score(r.t_promote);
  config.t_evict = score(r.t_evict);
  config.alpha = r.alpha;
  config.n_promote = r.n_promote;
  config.n_dwell = r.n_dwell;
  config.n_evict = r.n_evict;
  config.dynamic = r.dynamic;
  config.page_log2 = 0;
  while ((1U << config.page_log2) < layout.page_tokens) ++config.page_log2;
  config.layers = layout.layers;
  for (uint32_t plane = 0; plane < KvCache::kPlanes; ++plane) {
    config.planes[plane] = {true, layout.row_stride / beat_bytes, 0};
  }
  return config;
}

}  // namespace

std::unique_ptr<Instance> Instance::make(const BenchOptions& options, Differences& report, std::string& why) {
  auto instance = std::unique_ptr<Instance>(new Instance(report));
  instance->bench_ = Bench::make(options, why);
  if (!instance->bench_) return nullptr;
  instance->host_ = std::make_unique<Host>(*instance->bench_);
  if (why = instance->host_->probe(instance->caps_); !why.empty()) return nullptr;
  return instance;
}

std::string Instance::configure(const RowLayout& layout, uint32_t q_heads, const Registers& registers,
                                RowBytes expected) {
  if (auto why = host_->configure(layout, registers, q_heads); !why.empty()) return why;
  rows_ = std::make_unique<RowScoreboard>(layout.page_tokens, layout.row_stride / beat_bytes(), beat_bytes(),
                                          std::move(expected), report_);
  residency_ = std::make_unique<ResidencyChecker>(residency_config(caps_, layout, registers, beat_bytes()), report_);
  residency_->on_path([this](uint8_t id, uint32_t position, uint8_t planes) { rows_->predict(id, position, planes); });
  bench_->on_request = [this](const RowRequest& r) { rows_->accepted(r, true); };
  bench_->on_row_beat = [this](Path path, const RowBeat& b) { rows_->beat(path, b, bench_->cycle()); };
  bench_->on_probe = [this](const ProbeEvent& e) { residency_->event(e); };
  return {};
}

std::string Instance::configure(uint32_t q_heads, const Registers& registers, RowBytes expected) {
  const KvShape& shape = cache_->shape();
  const RowLayout layout{
      shape.layers,           shape.page_tokens,
      shape.block_bits,       shape.row_stride(),
      cache_->stride_block(), cache_->stride_head(),
      cache_->stride_token(), [this](uint32_t layer, uint32_t plane) { return cache_->base(layer, plane); }};
  return configure(layout, q_heads, registers, std::move(expected));
}

void Instance::lay_out(KvShape shape, uint64_t region, uint64_t seed) {
  shape.beat_bytes = beat_bytes();
  cache_ = std::make_unique<KvCache>(shape, region, seed);
  write_ = [this](uint64_t addr, std::span<const uint8_t> bytes) { bench_->memory().write(addr, bytes); };
  cache_->write_table(write_);
}

void Instance::write_row(uint32_t layer, uint32_t plane, uint32_t position, uint32_t head,
                         std::span<const uint8_t> data) {
  cache_->write_row(write_, layer, plane, position, head, data);
}

uint32_t Instance::token_slots() const {
  const KvShape& shape = cache_->shape();
  const uint32_t token_bytes = shape.layers * shape.kv_heads * KvCache::kPlanes * shape.row_stride();
  return std::min(caps_.slots, caps_.sram_bytes / token_bytes);
}

Answer Instance::set_whole_profile(uint32_t profile) {
  const KvShape& shape = cache_->shape();
  return host_->set_profile(profile, shape.layers, (uint64_t{1} << shape.kv_heads) - 1, 3, 0, token_slots(), 0);
}

void Instance::drain(std::vector<model::LogRecord>& records) {
  const auto taken = host_->drain_log();
  residency_->drained(taken);
  for (const auto& words : taken) {
    std::array<uint8_t, model::kLogRecordBytes> bytes{};
    std::memcpy(bytes.data(), words.data(), bytes.size());
    records.push_back(model::LogRecord::decode(bytes));
  }
}

}  // namespace kvsink::tb

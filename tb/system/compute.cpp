// SPDX-License-Identifier: Apache-2.0
#include "tb/system/compute.hpp"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <limits>

namespace kvsink::tb {

double from_fp16(uint16_t bits) {
  const int exponent = (bits >> 10) & 31;
  const int fraction = bits & 1023;
  const double sign = (bits >> 15) != 0 ? -1.0 : 1.0;
  if (exponent == 31) {
    return fraction != 0 ? std::numeric_limits<double>::quiet_NaN() : sign * std::numeric_limits<double>::infinity();
  }
  if (exponent == 0) return sign * std::ldexp(fraction, -24);
  return sign * std::ldexp(1024 + fraction, exponent - 25);
}

void PathRows::add(uint8_t plane, uint32_t position, std::span<const uint8_t> bytes) {
  Entry entry{position, std::vector<double>(head_dim_)};
  for (uint32_t i = 0; i < head_dim_; ++i) {
    uint16_t bits = 0;
    std::memcpy(&bits, bytes.data() + 2 * i, 2);
    entry.values[i] = from_fp16(bits);
  }
  (plane == 0 ? k_ : v_).push_back(std::move(entry));
}

std::vector<uint32_t> PathRows::positions() const {
  std::vector<uint32_t> list;
  for (const Entry& entry : k_) list.push_back(entry.position);
  return list;
}

Partial PathRows::attend(std::span<const uint16_t> q, double scale) const {
  Partial partial{-std::numeric_limits<float>::infinity(), std::vector<float>(head_dim_, 0.0F)};
  if (k_.empty()) return partial;
  std::vector<double> query(head_dim_);
  for (uint32_t i = 0; i < head_dim_; ++i) query[i] = from_fp16(q[i]) * scale;

  // K and V of one path come in the same order, so the partner is nearly always at the same place.
  double max = -std::numeric_limits<double>::infinity();
  std::vector<double> scores(k_.size());
  for (std::size_t j = 0; j < k_.size(); ++j) {
    double s = 0;
    for (uint32_t i = 0; i < head_dim_; ++i) s += query[i] * k_[j].values[i];
    scores[j] = s;
    max = std::max(max, s);
  }
  std::vector<double> sum_v(head_dim_, 0.0);
  double sum = 0;
  for (std::size_t j = 0; j < k_.size(); ++j) {
    const Entry* v = j < v_.size() && v_[j].position == k_[j].position ? &v_[j] : nullptr;
    if (v == nullptr) {
      const auto found =
          std::find_if(v_.begin(), v_.end(), [&](const Entry& e) { return e.position == k_[j].position; });
      if (found == v_.end()) continue;
      v = &*found;
    }
    const double w = std::exp(scores[j] - max);
    sum += w;
    for (uint32_t i = 0; i < head_dim_; ++i) sum_v[i] += w * v->values[i];
  }
  if (sum == 0) return partial;
  for (uint32_t i = 0; i < head_dim_; ++i) partial.o[i] = static_cast<float>(sum_v[i] / sum);
  partial.lse = static_cast<float>(max + std::log(sum));
  return partial;
}

void MergeInput::add(Path path, const Partial& partial, bool last) {
  model::LseMerge::Partial p;
  p.lse = std::bit_cast<uint32_t>(partial.lse);
  p.is_sink = path == Path::kSink;
  for (const float o : partial.o) p.o.push_back(std::bit_cast<uint32_t>(o));
  const auto values = static_cast<uint32_t>(p.o.size());
  const uint32_t beats = (values + lanes_ - 1) / lanes_;
  for (uint32_t b = 0; b < beats; ++b) {
    PartialIn beat;
    beat.id = id_;
    beat.first = b == 0;
    beat.last_partial = last;
    beat.is_sink = p.is_sink;
    beat.lse = p.lse;
    beat.beats = static_cast<uint8_t>(beats - 1);
    for (uint32_t i = 0; i < lanes_ && b * lanes_ + i < values; ++i) beat.data[i] = p.o[b * lanes_ + i];
    beats_.push_back(beat);
  }
  partials_.push_back(std::move(p));
}

}  // namespace kvsink::tb

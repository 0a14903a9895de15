// SPDX-License-Identifier: Apache-2.0
#include "sw/capture/exact.hpp"

#include <algorithm>
#include <cassert>
#include <cmath>
#include <vector>

#include "sw/capture/kernels.hpp"

namespace kvsink::capture {

void exact_step(const trace::Dims& dims, double scale, const LayerHistory& history, std::uint32_t position,
                std::span<const std::uint16_t> q, std::span<float> o, std::span<float> lse, Threads& threads) {
  const std::size_t d = dims.d;
  assert(position < history.room && q.size() == dims.Hq * d && o.size() == q.size() && lse.size() == dims.Hq);
  threads.loop(dims.Hq, 2 * d * (std::size_t{position} + 1), [&](std::size_t begin, std::size_t end) {
    std::vector<double> weight(std::size_t{position} + 1);
    std::vector<double> query(d);
    std::vector<double> out(d);
    for (std::size_t head = begin; head < end; ++head) {
      const std::size_t rows = dims.kv_head(static_cast<std::uint32_t>(head)) * std::size_t{history.room} * d;
      widen(trace::DType::kF16, std::as_bytes(q).data() + head * d * sizeof(std::uint16_t), d, query.data());
      double most = -HUGE_VAL;
      for (std::size_t t = 0; t <= position; ++t) {
        weight[t] = scale * dot_half(query.data(), history.k.data() + rows + t * d, d);
        most = std::max(most, weight[t]);
      }
      double sum = 0;
      for (double& w : weight) {
        w = std::exp(w - most);
        sum += w;
      }
      std::fill(out.begin(), out.end(), 0.0);
      for (std::size_t t = 0; t <= position; ++t) {
        add_scaled_half(out.data(), weight[t] / sum, history.v.data() + rows + t * d, d);
      }
      std::transform(out.begin(), out.end(), o.begin() + static_cast<std::ptrdiff_t>(head * d),
                     [](double x) { return static_cast<float>(x); });
      lse[head] = static_cast<float>(most + std::log(sum));
    }
  });
}

}  // namespace kvsink::capture

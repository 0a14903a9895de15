// SPDX-License-Identifier: Apache-2.0
// Made-up traces: for stress, and for lengths that no small model reaches. Their metadata say that they are synthetic.
//
// Keys are random walks, so that near tokens are alike and a query leans to what came just before it. Each special
// token (a sink, a sink that others drift to, the target of a burst) has an element of the head to itself: its key is
// large there, every other key zero, and what a query has there sets how much of the mass that token takes.
#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "sw/trace/result.hpp"

namespace kvsink::capture {

struct SynthOptions {
  std::uint32_t tokens = 1024;
  std::uint32_t steps = 64;
  std::uint32_t layers = 2;
  std::uint32_t q_heads = 4;
  std::uint32_t kv_heads = 2;
  std::uint32_t head_dim = 64;
  std::uint32_t sinks = 4;   ///< at positions 0, 1, ...
  double strength = 0.4;     ///< share of the mass of all sinks together, in every layer and head
  double drift = 0;          ///< share of it that has moved to as many other tokens by the last step, linearly
  std::uint32_t bursts = 0;  ///< times in decode that a token of the prefill is strong for a while
  double burst_strength = 0.2;
  std::uint64_t seed = 1;
  unsigned threads = 0;
};

/// Writes one trace. Refused: heads that do not divide, no prefill, more special tokens than half of a head has
/// elements or than the prefill has tokens, shares that leave nothing for the rest; what TraceWriter refuses.
Result<void> synthesise(const SynthOptions& options, const std::string& path,
                        const std::function<void(std::uint64_t, std::uint64_t)>& progress = {});

}  // namespace kvsink::capture

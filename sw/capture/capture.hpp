// SPDX-License-Identifier: Apache-2.0
// Runs a model over a prompt, lets it go on by itself, and writes what its attention read as a trace.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "sw/trace/result.hpp"

namespace kvsink::capture {

/// First and last of a range, both included.
struct Range {
  std::uint32_t first;
  std::uint32_t last;
};

struct CaptureOptions {
  std::string model;                             ///< folder or checkpoint
  std::string tokenizer;                         ///< file; empty: the one beside the model
  std::optional<std::string> prompt;             ///< text, or
  std::optional<std::vector<std::int32_t>> ids;  ///< the tokens themselves
  bool special = true;                           ///< the tokenizer's first token goes before the prompt
  std::optional<std::uint32_t> tokens;           ///< of the sequence; none: 256, or what the model takes
  std::optional<std::uint32_t> prefill;          ///< none: the prompt's tokens
  std::optional<Range> layers;                   ///< recorded; none: all
  std::optional<Range> heads;                    ///< kv heads recorded, with their query heads; none: all
  std::uint32_t every = 1;                       ///< of the decode steps, every so-manieth is recorded
  double temperature = 0;                        ///< 0: greedy
  double top_p = 1;                              ///< of the distribution, the likeliest tokens up to this share
  std::uint64_t seed = 1;
  bool ignore_eos = false;  ///< go on after a token that ends a sequence
  unsigned threads = 0;     ///< 0: as many as the machine has
  std::string name;         ///< metadata; empty: told by the files
  std::string source;
  std::string licence;
  std::string out;
};

struct CaptureReport {
  std::string model;
  std::uint32_t prompt_tokens = 0;  ///< of the trace
  std::uint32_t tokens = 0;
  std::uint32_t prefill = 0;
  std::uint32_t steps = 0;
  bool ended = false;  ///< the model ended the sequence before `tokens`
  std::string text;    ///< of the whole sequence; empty when there is no tokenizer
  std::uint64_t bytes = 0;
  double load_seconds = 0;  ///< reading and checking the weights
  double seconds = 0;       ///< forward pass and recording
};

/// Called now and then with tokens done, all tokens, and tokens a second so far.
using CaptureProgress = std::function<void(std::uint64_t, std::uint64_t, double)>;

/// Refused, with one line and no file under the final name: whatever Model, Tokenizer and TraceWriter refuse; an empty
/// prompt; a token out of the vocabulary; more tokens than the model takes; a prefill that leaves no step; a range
/// beyond the model; q, k or v beyond the range of fp16; a sequence that ended inside the prefill.
Result<CaptureReport> capture(const CaptureOptions& options, const CaptureProgress& progress = {});

}  // namespace kvsink::capture

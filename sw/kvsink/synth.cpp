// SPDX-License-Identifier: Apache-2.0
// kvsink synth-trace: made-up traces, one or many.
#include "sw/capture/synth.hpp"

#include <fmt/format.h>

#include <filesystem>

#include "sw/kvsink/commands.hpp"

namespace kvsink::command {

int cmd_synth(const SynthCommand& options) {
  namespace fs = std::filesystem;
  Progress progress("synth-trace");
  for (std::uint32_t i = 0; i < options.sequences; ++i) {
    fs::path path = options.out;
    if (options.sequences > 1) {
      path.replace_filename(fmt::format("{}-{}{}", path.stem().string(), i, path.extension().string()));
    }
    capture::SynthOptions one = options.synth;
    one.seed += i;
    const auto written = capture::synthesise(one, path.string(), [&](std::uint64_t done, std::uint64_t all) {
      progress.set(i * all + done, options.sequences * all);
    });
    if (!written) {
      return fail(written.error());
    }
    fmt::print("{}: synthetic, {} tokens, {} decode steps, seed {}\n", path.string(), one.tokens, one.steps, one.seed);
  }
  return kEqual;
}

}  // namespace kvsink::command

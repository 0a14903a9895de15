// SPDX-License-Identifier: Apache-2.0
// Random traffic on the whole block for long, outside `make verify` (`make soak-residency`).
//
//   soak_residency CYCLES [SEED] [CONFIG]    runs of 100,000 cycles, each from a fresh block with settings of its own
//
// Exit status 0: no difference; 1: a difference, with the seed of its run; 2: usage.
#include <unistd.h>

#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <string>

#include "tb/system/storm.hpp"

namespace {
volatile std::sig_atomic_t stop = 0;
constexpr uint64_t kRun = 100'000;
}  // namespace

int main(int argc, char** argv) {
  if (argc < 2 || argc > 4) {
    std::fprintf(stderr, "usage: soak_residency CYCLES [SEED] [small|default|large]\n");
    return 2;
  }
  const uint64_t cycles = std::strtoull(argv[1], nullptr, 0);
  const uint64_t seed = argc > 2 ? std::strtoull(argv[2], nullptr, 0) : 1;
  std::signal(SIGINT, [](int) { stop = 1; });  // ends the campaign with what was done so far
  std::signal(SIGTERM, [](int) { stop = 1; });
  kvsink::tb::StormOptions options;
  options.config = argc > 3 ? argv[3] : "default";
  kvsink::tb::StormCounts all;
  for (uint64_t run = 0; all.cycles < cycles && stop == 0 && all.equal(); ++run) {
    options.seed = seed * 100'000 + run;
    options.command_gap = run % 3 == 0 ? 4 : run % 3 == 1 ? 12 : 40;
    options.request_gap = run % 2 == 0 ? 20 : 60;
    all += kvsink::tb::storm(options, std::min(kRun, cycles - all.cycles));
    if (isatty(STDERR_FILENO) != 0) {
      std::fprintf(stderr, "\r%5.1f %%", 100.0 * static_cast<double>(all.cycles) / static_cast<double>(cycles));
    }
  }
  std::printf("%s", all.text().c_str());
  for (const auto& d : all.first) {
    std::printf("%s: cycle %llu: %s\n", d.unit.c_str(), static_cast<unsigned long long>(d.cycle), d.what.c_str());
  }
  if (!all.error.empty()) std::printf("%s\n", all.error.c_str());
  if (!all.equal()) std::printf("in the run of seed %llu\n", static_cast<unsigned long long>(options.seed));
  return all.equal() ? 0 : 1;
}

// SPDX-License-Identifier: Apache-2.0
// Sessions on one shared prefix, as many as asked for, outside `make verify` (`make soak-sessions`).
//
//   soak_sessions SESSIONS [SEED] [CONFIG]    500, 1 and large when left out
//
// Exit status 0: all as it must be; 1: not; 2: usage.
#include <cstdio>
#include <cstdlib>
#include <string>

#include "tb/system/sessions.hpp"

int main(int argc, char** argv) {
  if (argc > 4) {
    std::fprintf(stderr, "usage: soak_sessions [SESSIONS [SEED [small|default|large]]]\n");
    return 2;
  }
  const auto sessions = static_cast<uint32_t>(argc > 1 ? std::strtoul(argv[1], nullptr, 0) : 500);
  const uint64_t seed = argc > 2 ? std::strtoull(argv[2], nullptr, 0) : 1;
  const auto r = kvsink::tb::sessions_on_a_prefix(argc > 3 ? argv[3] : "large", sessions, seed);
  const auto n = [](uint64_t value) { return static_cast<unsigned long long>(value); };
  std::printf("%llu sessions came, %llu went (%llu in the middle of something), at most %llu at once; %llu strangers\n",
              n(r.arrived), n(r.departed), n(r.failed), n(r.most_at_once), n(r.strangers));
  std::printf(
      "%llu promotions in %llu lives of the prefix; %llu rows from SRAM, %llu of them to strangers; "
      "%llu resets of a named prefix refused\n",
      n(r.promoted), n(r.prefix_lives), n(r.rows.sink), n(r.sink_rows_of_strangers), n(r.refused_resets));
  std::printf("%llu rows checked in %llu cycles; differences: %llu\n", n(r.rows.checked), n(r.cycles),
              n(r.differences));
  for (const auto& d : r.first) std::printf("%s: cycle %llu: %s\n", d.unit.c_str(), n(d.cycle), d.what.c_str());
  for (const auto& what : r.broken) std::printf("does not hold: %s\n", what.c_str());
  if (!r.error.empty()) std::printf("%s\n", r.error.c_str());
  return r.equal() && r.arrived == sessions && r.sink_rows_of_strangers == 0 ? 0 : 1;
}

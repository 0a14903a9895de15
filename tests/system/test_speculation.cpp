// SPDX-License-Identifier: Apache-2.0
// Speculative decoding on a trace: drafts of 4 in a window, a random number of them accepted, the others rejected.
#include <algorithm>
#include <string>
#include <tuple>
#include <vector>

#include "replay_support.hpp"

using namespace kvsink;
using namespace kvsink::test;
using tb::Policy;

namespace {

constexpr uint32_t kSteps = 12;

/// Everything of a record but sequence, time and CRC; windows left out.
std::vector<std::tuple<unsigned, unsigned, unsigned, unsigned, unsigned, unsigned>> events(const model::LogFile& log) {
  std::vector<std::tuple<unsigned, unsigned, unsigned, unsigned, unsigned, unsigned>> list;
  for (const auto& r : log.records) {
    if (r.kind != static_cast<uint8_t>(model::Event::kWindow)) {
      list.emplace_back(r.kind, r.cause, r.owner, r.position, r.word, r.slot);
    }
  }
  return list;
}

}  // namespace

TEST_CASE("speculation leaves residency, scores, contracts, events and outputs as they are without it",
          "[system][speculation]") {
  const auto trace = load(kDefaultTrace);
  uint64_t rolled_back = 0;
  for (const Policy policy : {Policy::kDynamic, Policy::kFill}) {
    CAPTURE(static_cast<int>(policy));
    auto s = settings("small", policy, kSteps);
    if (policy == Policy::kFill) s.budget = 20;
    s.settle = true;
    const auto plain = tb::replay(trace, s);
    check_equal(plain);
    CHECK(plain.drafted == 0);
    for (uint64_t seed = 1; seed <= (policy == Policy::kDynamic ? 2U : 1U); ++seed) {
      s.draft = 4;
      s.draft_seed = seed;
      s.bench.stall_percent = seed == 1 ? 0 : 20;
      const auto r = tb::replay(trace, s);
      CAPTURE(seed, r.drafted, r.accepted, r.rolled_back);
      check_equal(r);
      // It was speculation: drafts were rejected in part and as a whole.
      CHECK(r.accepted == kSteps);
      CHECK(r.drafted > kSteps);
      rolled_back += r.rolled_back;
      CHECK(r.rows.sink > 0);
      CHECK(r.draft_rows_from_sram == 0);
      CHECK(events(r.log) == events(plain.log));
      CHECK(r.placement == plain.placement);
      CHECK_FALSE(r.placement.empty());
      if (policy == Policy::kDynamic) CHECK(r.log.records.size() > 10);
      // Each output equals the bit-exact model for the placement it had (check_equal); where that is the one of the
      // plain run, it is that run's, bit for bit.
      std::size_t same = 0;
      for (std::size_t i = 0; i < r.outputs.lse.size(); ++i) {
        if (r.served[i] != plain.served[i]) continue;
        ++same;
        const auto a = r.outputs.o_row(i);
        const auto b = plain.outputs.o_row(i);
        if (!std::equal(a.begin(), a.end(), b.begin()) || r.outputs.lse[i] != plain.outputs.lse[i]) {
          CAPTURE(i);
          FAIL("the placement is the same and the output is not");
        }
      }
      CHECK(same > r.outputs.lse.size() / 2);
    }
  }
  CHECK(rolled_back > 0);
}

// SPDX-License-Identifier: Apache-2.0
// The banked memory: its timing rules, seen from outside by a checker of its own; the oracle and the bounds that the
// bench of memory movement measures by.
#include <algorithm>
#include <array>
#include <cstdint>
#include <cstring>
#include <deque>
#include <map>
#include <numeric>
#include <string>
#include <utility>
#include <vector>

#include "support/catch.hpp"
#include "support/seed.hpp"
#include "tb/common/axi_memory.hpp"
#include "tb/common/dram.hpp"
#include "tb/common/rng.hpp"

namespace {

using kvsink::tb::AxiMemory;
using kvsink::tb::DramBanks;
using kvsink::tb::DramCommand;
using kvsink::tb::DramController;
using kvsink::tb::DramRead;
using kvsink::tb::DramTiming;
using kvsink::tb::DramVerdict;
using kvsink::tb::Rng;
using Kind = DramCommand::Kind;

constexpr uint32_t kBeat = 32;

/// Every rule, from the commands alone: for each pair of commands that a rule ties together, their distance. Empty when
/// all are kept. Knows nothing of how DramBanks keeps them.
std::string broken(const DramTiming& t, const std::vector<DramCommand>& log) {
  const auto at = [](const DramCommand& c, const char* rule) { return rule + (" at " + std::to_string(c.cycle)); };
  uint64_t refreshes = 0;
  std::map<std::pair<Kind, uint32_t>, const DramCommand*> last;  // of a kind in a bank
  std::vector<uint64_t> activates;
  const DramCommand* ref = nullptr;
  std::array<const DramCommand*, 2> bus{};
  for (const DramCommand& c : log) {
    const auto of_bank = [&](Kind kind) {
      const auto found = last.find({kind, c.bank});
      return found == last.end() ? nullptr : found->second;
    };
    const size_t column = c.kind == Kind::kRead ? 1 : 0;
    if (bus[column] != nullptr && bus[column]->cycle >= c.cycle) return at(c, "two commands on one bus");
    bus[column] = &c;
    const auto* act = of_bank(Kind::kActivate);
    const auto* pre = of_bank(Kind::kPrecharge);
    const bool open = act != nullptr && (pre == nullptr || pre->cycle < act->cycle);
    if (ref != nullptr && c.cycle < ref->cycle + t.trfc) return at(c, "tRFC");
    switch (c.kind) {
      case Kind::kActivate: {
        if (open) return at(c, "activate of an open bank");
        if (pre != nullptr && c.cycle < pre->cycle + t.trp) return at(c, "tRP");
        const size_t n = activates.size();
        if (n >= 4 && c.cycle - activates[n - 4] < t.tfaw) return at(c, "tFAW");
        activates.push_back(c.cycle);
        break;
      }
      case Kind::kRead:
        if (!open || act->row != c.row) return at(c, "read of a closed row");
        if (c.cycle < act->cycle + t.trcd) return at(c, "tRCD");
        break;
      case Kind::kPrecharge: {
        if (!open) return at(c, "precharge of a closed bank");
        if (c.cycle < act->cycle + t.tras) return at(c, "tRAS");
        const auto* read = of_bank(Kind::kRead);
        if (read != nullptr && read->cycle > act->cycle && c.cycle < read->cycle + t.trtp) return at(c, "tRTP");
        break;
      }
      case Kind::kRefresh: {
        for (uint32_t bank = 0; bank < t.banks; ++bank) {
          const auto a = last.find({Kind::kActivate, bank});
          const auto p = last.find({Kind::kPrecharge, bank});
          if (a == last.end()) continue;
          if (p == last.end() || p->second->cycle < a->second->cycle) return at(c, "refresh of an open bank");
          if (c.cycle < p->second->cycle + t.trp) return at(c, "tRP before a refresh");
        }
        ++refreshes;
        ref = &c;
        break;
      }
    }
    // A refresh is held back by no more than closing takes, and nothing begins while one is due.
    if (t.trefi != 0 && c.kind != Kind::kRefresh && c.kind != Kind::kPrecharge &&
        c.cycle >= (refreshes + 1) * uint64_t{t.trefi}) {
      return at(c, "tREFI");
    }
    last[{c.kind, c.bank}] = &c;
  }
  return "";
}

std::vector<DramRead> random_reads(Rng& rng, size_t count, uint64_t space, uint32_t longest) {
  std::vector<DramRead> reads;
  for (size_t i = 0; i < count; ++i) {
    const auto beats = static_cast<uint32_t>(rng.range(1, longest));
    uint64_t addr = rng.below(space) / kBeat * kBeat;
    if (addr % 4096 + uint64_t{beats} * kBeat > 4096) addr -= addr % 4096;
    reads.push_back({addr, beats});
  }
  return reads;
}

struct Done {
  std::vector<DramCommand> log;
  std::vector<uint64_t> data;  // cycle of each read command
  uint64_t end = 0;
};
Done controlled(const DramTiming& t, const std::vector<DramRead>& reads) {
  Done done;
  DramController controller(t);
  controller.banks.log = &done.log;
  size_t next = 0;
  for (uint64_t now = 0; next < reads.size() || !controller.empty(); ++now) {
    if (now > 10'000'000) FAIL("the controller does not end");
    while (next < reads.size() && !controller.full()) {
      controller.push(next, reads[next].addr, reads[next].beats, kBeat, now);
      ++next;
    }
    if (controller.tick(now)) done.data.push_back(now);
  }
  done.end = done.data.back() + t.tcl + 1;
  return done;
}

}  // namespace

TEST_CASE("No command of the controller or of the oracle breaks a timing rule of the banks", "[tb_common][dram]") {
  Rng rng(kvsink::test_seed());
  KVSINK_INFO_SEED(rng);
  for (int round = 0; round < 60; ++round) {
    DramTiming t;
    if (round % 3 != 0) {
      t.banks = 1U << rng.range(0, 5);
      t.trcd = static_cast<uint32_t>(rng.range(1, 20));
      t.trp = static_cast<uint32_t>(rng.range(1, 20));
      t.tras = static_cast<uint32_t>(rng.range(1, 40));
      t.trtp = static_cast<uint32_t>(rng.range(1, 8));
      t.tfaw = static_cast<uint32_t>(rng.range(1, 60));
      t.trefi = rng.coin() ? 0 : static_cast<uint32_t>(rng.range(300, 2000));
      t.trfc = static_cast<uint32_t>(rng.range(10, 150));
      t.queue = static_cast<uint32_t>(rng.range(1, 64));
    }
    CAPTURE(round, t.banks, t.tfaw, t.trefi);
    const auto reads = random_reads(rng, 150, uint64_t{1} << rng.range(13, 30), 1U << rng.range(0, 5));
    const Done done = controlled(t, reads);
    CHECK(broken(t, done.log).empty());
    uint64_t beats = 0;
    for (const auto& r : reads) beats += r.beats;
    CHECK(done.data.size() == beats);
    DramVerdict v;
    kvsink::tb::dram_oracle(t, reads, kBeat, v);
    uint64_t best = ~0ULL;
    for (const auto& pick : kvsink::tb::kDramPicks) {
      std::vector<DramCommand> log;
      best = std::min(best, kvsink::tb::dram_list_schedule(t, reads, kBeat, pick, &log));
      CHECK(broken(t, log).empty());
      CHECK(std::count_if(log.begin(), log.end(), [](const auto& c) { return c.kind == Kind::kRead; }) ==
            static_cast<std::ptrdiff_t>(beats));
    }
    CHECK(v.oracle == best);
    // Nobody beats the bound.
    kvsink::tb::dram_bounds(t, reads, kBeat, v);
    CHECK(v.bound <= v.oracle);
    CHECK(v.bound <= done.end);
  }
}

TEST_CASE("The checker of the timing rules sees each of them broken by one cycle", "[tb_common][dram]") {
  DramTiming t;
  t.trefi = 0;
  const auto act = [](uint64_t cycle, uint32_t bank, uint64_t row) {
    return DramCommand{Kind::kActivate, cycle, bank, row};
  };
  const auto rd = [](uint64_t cycle, uint32_t bank, uint64_t row) {
    return DramCommand{Kind::kRead, cycle, bank, row};
  };
  const auto pre = [](uint64_t cycle, uint32_t bank) { return DramCommand{Kind::kPrecharge, cycle, bank, 0}; };
  const auto ref = [](uint64_t cycle) { return DramCommand{Kind::kRefresh, cycle, 0, 0}; };
  CHECK(broken(t, {act(0, 0, 7), rd(14, 0, 7), pre(33, 0), act(47, 0, 8)}).empty());
  CHECK_THAT(broken(t, {act(0, 0, 7), rd(13, 0, 7)}), Catch::Contains("tRCD"));
  CHECK_THAT(broken(t, {act(0, 0, 7), pre(32, 0)}), Catch::Contains("tRAS"));
  CHECK_THAT(broken(t, {act(0, 0, 7), rd(31, 0, 7), pre(34, 0)}), Catch::Contains("tRTP"));
  CHECK_THAT(broken(t, {act(0, 0, 7), pre(33, 0), act(46, 0, 8)}), Catch::Contains("tRP"));
  CHECK_THAT(broken(t, {act(0, 0, 7), rd(14, 0, 8)}), Catch::Contains("closed row"));
  CHECK_THAT(broken(t, {act(0, 0, 7), act(40, 0, 8)}), Catch::Contains("open bank"));
  CHECK_THAT(broken(t, {pre(5, 0)}), Catch::Contains("closed bank"));
  CHECK(broken(t, {act(0, 0, 0), act(1, 1, 0), act(2, 2, 0), act(3, 3, 0), act(16, 4, 0)}).empty());
  CHECK_THAT(broken(t, {act(0, 0, 0), act(1, 1, 0), act(2, 2, 0), act(3, 3, 0), act(15, 4, 0)}),
             Catch::Contains("tFAW"));
  CHECK_THAT(broken(t, {act(0, 0, 0), act(0, 1, 0)}), Catch::Contains("one bus"));
  CHECK_THAT(broken(t, {act(0, 0, 7), ref(50)}), Catch::Contains("open bank"));
  CHECK_THAT(broken(t, {act(0, 0, 7), pre(33, 0), ref(46)}), Catch::Contains("before a refresh"));
  CHECK_THAT(broken(t, {ref(50), act(309, 0, 0)}), Catch::Contains("tRFC"));
  t.trefi = 100;
  CHECK_THAT(broken(t, {act(100, 0, 0)}), Catch::Contains("tREFI"));
  CHECK(broken(t, {ref(100), act(360, 0, 0)}).find("tREFI") != std::string::npos);  // three more are due by then
}

TEST_CASE("Reads of an open row, of a closed bank and of another row take the times of the rules",
          "[tb_common][dram]") {
  DramTiming t;
  t.trefi = 0;
  const DramBanks banks(t);
  // Two rows of one bank, one of another.
  const uint64_t a = 0;
  uint64_t same = 1024;
  while (banks.place(same).bank != banks.place(a).bank) same += 1024;
  uint64_t other = 1024;
  while (banks.place(other).bank == banks.place(a).bank) other += 1024;
  const auto end = [&](const std::vector<DramRead>& reads) { return controlled(t, reads).end; };
  const uint64_t one = t.trcd + 1 + t.tcl;
  CHECK(end({{a, 1}}) == one);
  CHECK(end({{a, 8}}) == one + 7);
  CHECK(end({{a, 1}, {a + 32, 1}}) == one + 1);
  CHECK(end({{a, 1}, {other, 1}}) == one + 1);
  CHECK(end({{a, 1}, {same, 1}}) == t.tras + t.trp + one);
  CHECK(end({{a, 32}, {same, 1}}) == t.trcd + 31 + t.trtp + t.trp + one);
  // A younger read of the open row goes before an older one of another row.
  CHECK(end({{a, 1}, {same, 1}, {a + 64, 1}}) == t.tras + t.trp + one);
}

TEST_CASE("Four activates in tFAW, and refreshes, hold the reads up as long as the rules say", "[tb_common][dram]") {
  DramTiming t;
  t.tfaw = 100;
  t.trefi = 0;
  const DramBanks banks(t);
  std::vector<DramRead> reads;
  for (uint64_t line = 0; reads.size() < t.banks; ++line) {
    const auto bank = banks.place(line * 1024).bank;
    if (std::none_of(reads.begin(), reads.end(), [&](const auto& r) { return banks.place(r.addr).bank == bank; })) {
      reads.push_back({line * 1024, 1});
    }
  }
  CHECK(controlled(t, reads).end == 3 * t.tfaw + 3 + t.trcd + 1 + t.tcl);
  CHECK(kvsink::tb::dram_judge(t, reads, kBeat).oracle == 3 * t.tfaw + 3 + t.trcd + 1 + t.tcl);
  // One row after the other, whole: the data bus is full but for the refreshes.
  t = DramTiming{};
  reads.clear();
  for (uint64_t i = 0; i < 4000; ++i) reads.push_back({i * 1024, 32});
  const Done done = controlled(t, reads);
  const auto refreshes = static_cast<uint64_t>(
      std::count_if(done.log.begin(), done.log.end(), [](const auto& c) { return c.kind == Kind::kRefresh; }));
  CHECK(refreshes == done.data.back() / t.trefi);
  const auto v = kvsink::tb::dram_judge(t, reads, kBeat);
  CHECK(v.bound == v.data_bus);
  CHECK(static_cast<double>(v.oracle) <= 1.01 * static_cast<double>(v.bound));
  CHECK(static_cast<double>(done.end) <= 1.01 * static_cast<double>(v.bound));
}

TEST_CASE("An old read is not passed for ever by younger ones of the open row", "[tb_common][dram]") {
  DramTiming t;
  t.queue = 8;
  const DramBanks banks(t);
  uint64_t same = 1024;
  while (banks.place(same).bank != banks.place(0).bank) same += 1024;
  DramController controller(t);
  controller.push(0, 0, 1, kBeat, 0);
  controller.push(1, same, 1, kBeat, 0);
  uint64_t found = 0;
  for (uint64_t now = 0; now < 20000 && found == 0; ++now) {
    while (!controller.full()) controller.push(2, now % 32 * 32, 1, kBeat, now);
    if (const auto read = controller.tick(now); read && read->burst == 1) found = now;
  }
  CHECK(found > t.patience);
  CHECK(found < t.patience + 200 + t.trfc);
}

TEST_CASE("On small sets the oracle is as fast as the best of all orders, or nearly", "[tb_common][dram]") {
  // Every order in which the rows can be opened, each as early as the rules let it; the best of them is the optimum
  // among schedules that open each row once.
  Rng rng(kvsink::test_seed());
  KVSINK_INFO_SEED(rng);
  double worst = 1;
  double sum = 0;
  constexpr int kRounds = 20;
  for (int round = 0; round < kRounds; ++round) {
    DramTiming t;
    t.banks = 1U << rng.range(0, 2);
    t.trefi = 0;
    t.tfaw = static_cast<uint32_t>(rng.range(8, 60));
    std::vector<DramRead> reads;
    std::vector<DramBanks::Place> place;
    for (unsigned i = 0; i < 6; ++i) {
      reads.push_back({i * 1024, static_cast<uint32_t>(rng.range(1, 16))});
      place.push_back(DramBanks(t).place(reads.back().addr));
    }
    std::vector<size_t> order(reads.size());
    std::iota(order.begin(), order.end(), size_t{0});
    uint64_t best = ~0ULL;
    do {
      DramBanks banks(t);
      std::vector<uint32_t> left(reads.size(), 0);
      std::deque<size_t> open;  // rows being read, in the order of their activates
      size_t next = 0;
      uint64_t now = 0;
      uint64_t last = 0;
      for (; next < order.size() || !open.empty(); ++now) {
        for (auto it = open.begin(); it != open.end(); ++it) {
          const auto where = place[*it];
          if (!banks.may_read(where.bank, where.row, now)) continue;
          banks.read(where.bank, now);
          last = now;
          if (--left[*it] == 0) open.erase(it);
          break;
        }
        if (next == order.size()) continue;
        const auto where = place[order[next]];
        if (banks.may_activate(where.bank, now)) {
          banks.activate(where.bank, where.row, now);
          left[order[next]] = reads[order[next]].beats;
          open.push_back(order[next++]);
          continue;
        }
        // Close for those to come, the first first.
        for (size_t i = next; i < order.size(); ++i) {
          const auto later = place[order[i]];
          const bool busy =
              std::any_of(open.begin(), open.end(), [&](size_t r) { return place[r].bank == later.bank; });
          if (!busy && banks.may_precharge(later.bank, now)) {
            banks.precharge(later.bank, now);
            break;
          }
        }
      }
      best = std::min(best, last + t.tcl + 1);
    } while (std::next_permutation(order.begin(), order.end()));
    const auto v = kvsink::tb::dram_judge(t, reads, kBeat);
    CAPTURE(round, t.banks, t.tfaw, best, v.oracle, v.bound);
    CHECK(v.bound <= best);
    const double ratio = static_cast<double>(v.oracle) / static_cast<double>(best);
    worst = std::max(worst, ratio);
    sum += ratio;
  }
  INFO("worst " << worst << ", mean " << sum / kRounds);
  CHECK(worst <= 1.10);
  CHECK(sum / kRounds <= 1.02);
}

TEST_CASE("Behind the port banked memory gives every read its data, in order within an ID, and the stated latency",
          "[tb_common][dram]") {
  AxiMemory::Config config;
  config.tiers = {{.latency = 100}};
  config.dram = DramTiming{};
  config.fill = AxiMemory::Fill::kHash;
  config.out_of_order = true;
  AxiMemory memory(config);
  Rng rng(kvsink::test_seed());
  KVSINK_INFO_SEED(rng);
  struct Asked {
    uint64_t addr;
    uint32_t beats;
    uint64_t taken;
  };
  std::map<int, std::deque<Asked>> asked;
  AxiMemory::Ar ar;
  uint64_t first_latency = 0;
  uint64_t beats = 0;
  uint32_t beat = 0;
  const uint64_t total = 20000;
  uint64_t idle_until = 0;
  for (uint64_t sent = 0; beats < total;) {
    REQUIRE(memory.cycle() < 1'000'000);
    if (!ar.valid && sent < total && memory.cycle() >= idle_until) {
      const auto read = random_reads(rng, 1, 1 << 24, 20)[0];
      const auto n = static_cast<uint32_t>(std::min<uint64_t>(read.beats, total - sent));
      ar = {true, static_cast<uint8_t>(rng.below(4)), read.addr, static_cast<uint8_t>(n - 1), 5, 1};
      if (sent == 0) idle_until = 300;  // the first one meets an idle channel
      sent += n;
    }
    if (const auto& r = memory.r(); r.valid) {
      auto& queue = asked[r.id];
      REQUIRE(!queue.empty());
      if (first_latency == 0) first_latency = memory.cycle() - queue.front().taken;
      std::array<uint8_t, kBeat> want{};
      memory.read(queue.front().addr + uint64_t{beat} * kBeat, want);
      REQUIRE(std::memcmp(want.data(), r.data.data(), kBeat) == 0);
      ++beat;
      REQUIRE(r.last == (beat == queue.front().beats));
      if (r.last) {
        queue.pop_front();
        beat = 0;
      }
      ++beats;
    }
    const bool taken = ar.valid && memory.arready();
    if (taken) asked[ar.id].push_back({ar.addr, ar.len + 1U, memory.cycle()});
    memory.tick(ar, true);
    if (taken) ar = {};
  }
  CHECK(memory.idle());
  CHECK(first_latency == 100);
  CHECK(memory.dram().reads == total);
  CHECK(memory.violations().empty());
  // The queue of the controller is bounded.
  memory.reset();
  uint32_t held = 0;
  for (int i = 0; i < 90; ++i) {
    if (memory.arready()) ++held;
    memory.tick({true, 0, 0x100'0000ULL + uint64_t{65536} * static_cast<uint64_t>(i), 0, 5, 1}, true);
  }
  CHECK(held < 90);
}

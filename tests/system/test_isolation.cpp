// SPDX-License-Identifier: Apache-2.0
// Isolation by paired runs: an owner does the same each time while another tenant's traffic varies, from none to the
// worst it can do. What the owner sees stays equal: rows and their paths, statuses, records without time; and its delay
// stays within the bounds of docs/theory/isolation.md.
#include <algorithm>
#include <memory>
#include <string>
#include <tuple>
#include <vector>

#include "support/catch.hpp"
#include "tb/system/env.hpp"

using namespace kvsink;
using tb::Command;
using tb::Completion;
using tb::SystemEnv;

namespace {

constexpr uint32_t kVictim = 2;
constexpr uint32_t kLength = 64;
constexpr uint32_t kLatency = 40;

// Everything leaves out bus errors: a record for each request fills the log, and room in the log is shared.
enum class Other { kNone, kReads, kPromotions, kRemovals, kFaults, kEverything };

/// What the victim saw, in order.
struct Seen {
  std::vector<std::string> statuses;
  std::vector<std::tuple<uint32_t, uint32_t, uint32_t, int, std::vector<uint8_t>>>
      rows;  // request, plane, position, path
  std::vector<std::tuple<unsigned, unsigned, uint32_t, uint32_t, uint32_t>>
      records;  // kind, cause, position, word, slot
  uint32_t longest_promotion = 0, longest_sweep = 0;
  uint64_t longest_read = 0;
  uint64_t others = 0;  // commands and requests of the other tenant
};

class Pair {
 public:
  explicit Pair(Other other) : other_(other) {
    tb::EnvOptions o;
    o.bench.config = "small";
    o.bench.seed = 7;
    o.bench.latency = kLatency;
    o.owners = 4;
    o.positions = 96;
    o.registers.sram_budget = 32;
    std::string why;
    env = SystemEnv::make(o, why);
    REQUIRE(why.empty());
    // A region for each tenant: with one for both the slot numbers would tell of the other.
    REQUIRE(env->set_profile(0, 0, 2, 3, 3, 0, 16, 0).empty());
    REQUIRE(env->set_profile(1, 0, 2, 3, 3, 16, 16, 16 * 8).empty());
    SystemEnv::OwnerSpec victim;
    victim.length = victim.committed = kLength;
    victim.tenant = 1;
    victim.slot_min = 6;
    victim.slot_max = 6;
    REQUIRE(env->set_owner_now(kVictim, victim).status == model::Status::kOk);
    env->on_row = [this](const tb::Row& row) {
      if (row.request->owner != kVictim) return;
      pending_.emplace_back(reads_, row.plane, row.position, static_cast<int>(row.path),
                            std::vector<uint8_t>(row.bytes.begin(), row.bytes.end()));
    };
    env->bench().on_cycle = [this] { disturb(); };
  }

  Completion command(const Command& c) {
    const auto done = env->run(c);
    seen.statuses.push_back(fmt(c.op) + model::name(done.status));
    return done;
  }
  void promote(uint32_t position, uint32_t dwell) {
    seen.longest_promotion =
        std::max(seen.longest_promotion, command(SystemEnv::promote(kVictim, position, 0, dwell)).cycles);
  }
  void sweep(const Command& c) { seen.longest_sweep = std::max(seen.longest_sweep, command(c).cycles); }
  void read(uint32_t first, uint32_t count, uint32_t layer) {
    tb::RowRequest r;
    r.owner = kVictim;
    r.layer = layer;
    r.head = layer;
    r.planes = 3;
    r.first = first;
    r.count = count;
    const uint64_t start = env->cycle();
    const uint8_t id = env->request(r);
    REQUIRE(env->until("the victim's read", [&] { return env->closed(id); }));
    seen.longest_read = std::max(seen.longest_read, env->cycle() - start);
    // Order is fixed within a stream, not between the two.
    std::sort(pending_.begin(), pending_.end());
    seen.rows.insert(seen.rows.end(), pending_.begin(), pending_.end());
    pending_.clear();
    ++reads_;
  }

  Seen run() {
    // Three of its six slots a round: those of the round before may still wait for their records. What an owner asks
    // for beyond its share waits for its own slots to leave, and so for time (docs/theory/isolation.md).
    for (uint32_t round = 0; round < 12; ++round) {
      for (uint32_t i = 0; i < 3; ++i) promote((round * 7 + i * 13) % kLength, 1 + i);
      promote((round * 7) % kLength, 9);  // it has a slot already
      command(SystemEnv::simple(tb::kOpWait, kVictim));
      read(0, kLength, round % 2);
      promote(kLength + 3, 1);                        // beyond its length
      command(SystemEnv::promote(kVictim, 1, 7, 1));  // no such profile
      command(SystemEnv::simple(tb::kOpStepEnd, kVictim, 2));
      if (round % 4 == 2) {
        sweep(SystemEnv::range(tb::kOpRetire, kVictim, round % 3 * 16, 16));
        read(0, kLength, 0);
      }
      sweep(SystemEnv::range(tb::kOpLetGo, kVictim, 0, kLength));
      read(16, 32, round % 2);
      // Long enough for its slots to be free again, so that the next ones have the same numbers.
      for (int i = 0; i < 3; ++i) {
        env->drain();
        env->ticks(600);
      }
    }
    env->bench().on_cycle = nullptr;
    env->finish();
    for (const auto& d : env->differences().first()) UNSCOPED_INFO(d.unit << ": " << d.cycle << ": " << d.what);
    CHECK(env->differences().count() == 0);
    for (const auto& r : env->records()) {
      if (r.owner == kVictim && r.kind != static_cast<uint8_t>(model::Event::kReadError)) {
        seen.records.emplace_back(r.kind, r.cause, r.position, r.word, r.slot);
      }
    }
    // Which of two tokens' records comes first is a matter of time; what happens to each token is not.
    std::stable_sort(seen.records.begin(), seen.records.end(),
                     [](const auto& a, const auto& b) { return std::get<2>(a) < std::get<2>(b); });
    return seen;
  }

  std::unique_ptr<SystemEnv> env;
  Seen seen;

 private:
  static std::string fmt(unsigned op) { return "opcode " + std::to_string(op) + ": "; }
  [[nodiscard]] bool does(Other what) const {
    return other_ == what || (other_ == Other::kEverything && what != Other::kFaults);
  }

  // The other tenant: owners 0, 1 and 3, as fast as the block takes it.
  void disturb() {
    if (other_ == Other::kNone) return;
    static constexpr uint32_t kOwners[] = {0, 1, 3};
    const uint32_t o = kOwners[rng_.below(3)];
    auto& view = env->view(o);
    if (!view.valid && !view.busy && env->commands_open() < 8) {
      SystemEnv::OwnerSpec spec;
      spec.length = spec.committed = 96;
      spec.tenant = 9;
      spec.profile = 1;
      env->set_owner(o, spec);
      return;
    }
    if (does(Other::kReads) && view.valid && env->requests_open() < 4) {
      tb::RowRequest r;
      r.owner = o;
      r.layer = static_cast<uint32_t>(rng_.below(2));
      r.head = static_cast<uint32_t>(rng_.below(2));
      r.planes = 3;
      r.count = 96;
      env->request(r);
      ++seen.others;
    }
    if (env->commands_open() >= 8) return;
    if (does(Other::kPromotions) && rng_.below(other_ == Other::kEverything ? 300 : 4) == 0) {
      env->send(SystemEnv::promote(o, static_cast<uint32_t>(rng_.below(96)), 1, static_cast<uint32_t>(rng_.below(3))));
      ++seen.others;
    }
    if (does(Other::kRemovals) && rng_.below(other_ == Other::kEverything ? 400 : 60) == 0) {
      const auto pick = rng_.below(4);
      if (pick == 0) {
        env->send(SystemEnv::range(tb::kOpRetire, o, 0, 96));
      } else if (pick == 1) {
        env->send(SystemEnv::simple(tb::kOpStepEnd, o, 2));
      } else if (pick == 2) {
        env->send(SystemEnv::range(tb::kOpLetGo, o, 0, 96));
      } else if (view.valid && !view.busy) {
        env->reset_owner(o);
      }
      ++seen.others;
    }
    if (does(Other::kFaults) && rng_.below(700) == 0 && view.valid && env->mapped(o, 2)) {
      env->clear_faults();
      const uint64_t row = env->row_address(o, 32, 0, 0, 0);
      env->fail_reads(row, row + 16);
      env->send(SystemEnv::promote(o, 32, 1, 1));
      ++seen.others;
    }
  }

  Other other_;
  tb::Rng rng_{99};
  uint32_t reads_ = 0;
  std::vector<std::tuple<uint32_t, uint32_t, uint32_t, int, std::vector<uint8_t>>> pending_;
};

}  // namespace

TEST_CASE("what another tenant does changes no row, path, status or record of an owner, and its delay within bounds",
          "[system][isolation]") {
  const Seen alone = Pair(Other::kNone).run();
  REQUIRE(alone.rows.size() > 2000);
  REQUIRE(alone.records.size() > 40);
  CHECK(std::any_of(alone.rows.begin(), alone.rows.end(), [](const auto& r) { return std::get<3>(r) == 1; }));
  for (const Other other : {Other::kReads, Other::kPromotions, Other::kRemovals, Other::kFaults, Other::kEverything}) {
    CAPTURE(static_cast<int>(other));
    Pair pair(other);
    const Seen seen = pair.run();
    CHECK(seen.others > 10);
    CHECK(seen.statuses == alone.statuses);
    CHECK(seen.records == alone.records);
    CHECK(seen.rows == alone.rows);
    // docs/theory/isolation.md: the bounds.
    const auto& caps = pair.env->caps();
    const uint64_t largest = 96 * 2 * pair.env->options().row_beats;  // beats of the largest request
    CAPTURE(seen.longest_promotion, seen.longest_sweep, seen.longest_read);
    CHECK(seen.longest_promotion <= 8);
    CHECK(seen.longest_sweep <= 2 * caps.slots + caps.entries + largest * (caps.readers + 1) + 4 * kLatency + 200);
    CHECK(seen.longest_read <= (caps.readers + 2) * (2 * largest + 2 * kLatency + 100));
  }
}

TEST_CASE(
    "an owner that is set anew without its prefix overtakes what it had asked for, below the prefix length as well",
    "[system][isolation]") {
  constexpr uint32_t kPrefix = 3;
  tb::EnvOptions o;
  o.bench.config = "small";
  o.bench.latency = 120;
  o.owners = 4;
  std::string why;
  const auto env = SystemEnv::make(o, why);
  REQUIRE(why.empty());
  SystemEnv::OwnerSpec prefix;
  prefix.length = prefix.committed = 48;
  prefix.is_public = true;
  REQUIRE(env->set_owner_now(kPrefix, prefix).status == model::Status::kOk);
  SystemEnv::OwnerSpec with;
  with.length = with.committed = kLength;
  with.prefix = kPrefix;
  with.prefix_length = 48;
  SystemEnv::OwnerSpec without;
  without.length = without.committed = 64;
  for (uint32_t delay = 0; delay < 400; delay += 5) {
    REQUIRE(env->set_owner_now(kVictim, with).status == model::Status::kOk);
    tb::RowRequest r;
    r.owner = kVictim;
    r.planes = 3;
    r.count = kLength;
    const uint8_t id = env->request(r);
    env->ticks(delay);
    env->set_owner(kVictim, without);
    REQUIRE(env->until("the request and the command", [&] { return env->closed(id) && env->commands_open() == 0; }));
  }
  CHECK(env->rows().errors > 0);
  env->finish();
  std::string what;
  for (const auto& d : env->differences().first()) what += d.unit + ": " + d.what + "\n";
  INFO(what);
  CHECK(env->differences().count() == 0);
}

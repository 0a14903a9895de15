// SPDX-License-Identifier: Apache-2.0
#include "tb/system/sessions.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <set>

#include "tb/system/env.hpp"

namespace kvsink::tb {
namespace {

using model::Event;
using model::Status;

constexpr uint32_t kPrefix = 0;
constexpr uint32_t kPrefixLength = 48;
constexpr uint32_t kLength = 64;
constexpr std::array<uint32_t, 5> kShared{0, 1, 19, 33, 47};  // tokens of the prefix that are promoted
constexpr uint32_t kPinned = 0xffff;

class Sessions {
 public:
  Sessions(SystemEnv& env, uint64_t seed, SessionsResult& result)
      : env_(env), rng_(Rng(seed).fork("sessions")), result_(result) {}

  void run(uint32_t sessions) {
    const uint32_t owners = env_.options().owners;
    env_.on_row = [this](const Row& row) { count(row); };
    expect(env_.set_profile(0, 0, env_.options().layers, (uint64_t{1} << env_.options().kv_heads) - 1, 3, 0, 16, 0)
               .empty(),
           "the profile is set");
    SystemEnv::OwnerSpec prefix;
    prefix.length = prefix.committed = kPrefixLength;
    prefix.is_public = true;
    expect(env_.set_owner_now(kPrefix, prefix).status == Status::kOk, "the prefix is set");
    for (uint32_t o = 1; o < owners; ++o) free_.push_back(o);
    std::vector<uint32_t> live;
    while (result_.arrived < sessions || !live.empty()) {
      // More arrive than leave until half have come, then the other way round.
      const bool may_arrive = result_.arrived < sessions && !free_.empty();
      const unsigned chance = result_.arrived * 2 < sessions ? 65 : 40;
      if (live.empty() ? may_arrive : may_arrive && rng_.percent(chance)) {
        live.push_back(arrive());
      } else if (!live.empty()) {
        const auto at = rng_.below(live.size());
        depart(live[at]);
        live.erase(live.begin() + static_cast<std::ptrdiff_t>(at));
      }
      if (result_.broken.size() > 8 || env_.differences().count() != 0) return;
      result_.most_at_once = std::max<uint64_t>(result_.most_at_once, live.size());
      if (!live.empty() && rng_.percent(60)) visit(live[rng_.below(live.size())]);
      if (rng_.percent(8)) stranger();
      if (rng_.percent(10)) {
        const auto status = env_.reset_owner_now(kPrefix).status;
        expect((status == Status::kBusy) == !live.empty(),
               fmt::format("a prefix that {} sessions name is reset with {}", live.size(), model::name(status)));
        result_.refused_resets += status == Status::kBusy ? 1 : 0;
        if (status == Status::kOk) {
          expect(env_.set_owner_now(kPrefix, prefix).status == Status::kOk, "the prefix is set again");
          fresh_ = true;
        }
      }
      if (rng_.percent(15)) env_.drain();
    }
    env_.until("the last reads", [this] { return env_.requests_open() == 0; });
    env_.clear_faults();
    env_.drain();
    for (const auto& r : env_.records()) {
      if (r.owner == kPrefix && r.kind == static_cast<uint8_t>(Event::kGrant)) ++result_.promoted;
    }
    expect(result_.promoted == kShared.size() * result_.prefix_lives,
           fmt::format("{} grants for {} tokens in {} lives of the prefix", result_.promoted, kShared.size(),
                       result_.prefix_lives));
    // Nobody names it any more: its slots are best effort, and it can be reset.
    const auto placement = env_.residency().model().placement();
    expect(placement.find("dwell 65535") == std::string::npos, "at zero references nothing is pinned");
    expect(env_.reset_owner_now(kPrefix).status == Status::kOk, "at zero references the prefix can be reset");
  }

 private:
  void expect(bool holds, const std::string& what) {
    if (!holds) result_.broken.push_back(fmt::format("cycle {}: {}", env_.cycle(), what));
  }

  void count(const Row& row) {
    if (row.path != Path::kSink) return;
    if (strangers_.contains(row.request->owner)) {
      ++result_.sink_rows_of_strangers;
    } else {
      ++sink_[row.request->id];
    }
  }

  uint32_t arrive() {
    const auto at = rng_.below(free_.size());
    const uint32_t owner = free_[at];
    free_.erase(free_.begin() + static_cast<std::ptrdiff_t>(at));
    ++result_.arrived;
    SystemEnv::OwnerSpec spec;
    spec.length = spec.committed = kLength;
    spec.tenant = owner;
    spec.prefix = kPrefix;
    spec.prefix_length = kPrefixLength;
    const auto done = env_.set_owner_now(owner, spec);
    expect(done.status == Status::kOk, fmt::format("session {} arrives ({})", owner, model::name(done.status)));
    if (fresh_) result_.prefix_lives += 1;
    fresh_ = false;
    // Each promotes what it wants of the prefix: the first one does, for the others it is there.
    for (const uint32_t position : kShared) {
      const auto p = env_.run(SystemEnv::promote(owner, position, 0, kPinned));
      expect(p.status == Status::kOk || p.status == Status::kAlready,
             fmt::format("a token of the prefix is promoted or is there ({})", model::name(p.status)));
    }
    return owner;
  }

  RowRequest whole(uint32_t owner) {
    RowRequest r;
    r.owner = owner;
    r.layer = static_cast<uint32_t>(rng_.below(env_.options().layers));
    r.head = static_cast<uint32_t>(rng_.below(env_.options().kv_heads));
    r.planes = 3;
    r.count = kLength;
    return r;
  }

  // A session reads; now and then a row of its own or of the prefix cannot be read meanwhile.
  void visit(uint32_t owner) {
    const bool faulty = rng_.percent(15);
    if (faulty) {
      const uint64_t row =
          rng_.coin() ? env_.row_address(owner, kLength - 4, 0, 0, 0) : env_.row_address(kPrefix, 40, 0, 0, 0);
      env_.fail_reads(row, row + 64);
    }
    const auto waited = env_.run(SystemEnv::simple(kOpWait, kPrefix));
    const auto r = whole(owner);
    const uint8_t id = env_.request(r);
    sink_[id] = 0;
    env_.until("a session's read", [&] { return env_.closed(id); });
    env_.clear_faults();
    if (!faulty && waited.status == Status::kOk) {
      expect(sink_[id] == 2 * kShared.size(),
             fmt::format("session {} gets {} rows of the prefix from SRAM", owner, sink_[id]));
    }
  }

  // Most leave in order; some while their reads are under way, or right after they asked for a step's end.
  void depart(uint32_t owner) {
    const auto pick = rng_.below(10);
    if (pick < 3) {
      const uint8_t id = env_.request(whole(owner));
      sink_[id] = 0;
      env_.ticks(rng_.below(60));
      ++result_.failed;
    } else if (pick < 4) {
      env_.send(SystemEnv::simple(kOpStepEnd, owner, 2));
      ++result_.failed;
    }
    const auto done = env_.reset_owner_now(owner);
    expect(done.status == Status::kOk, fmt::format("session {} leaves ({})", owner, model::name(done.status)));
    env_.until("its last reads", [this] { return env_.requests_open() == 0; });
    ++result_.departed;
    free_.push_back(owner);
  }

  // An owner that does not name the prefix reads the same positions, and one that may not is refused.
  void stranger() {
    if (free_.empty()) return;
    const uint32_t owner = free_.back();
    ++result_.strangers;
    SystemEnv::OwnerSpec spec;
    spec.length = spec.committed = kLength;
    spec.tenant = 9;
    expect(env_.set_owner_now(owner, spec).status == Status::kOk, "a stranger is set");
    strangers_.insert(owner);
    const uint8_t id = env_.request(whole(owner));
    env_.until("a stranger's read", [&] { return env_.closed(id); });
    strangers_.erase(owner);
    expect(env_.reset_owner_now(owner).status == Status::kOk, "a stranger leaves");
  }

  SystemEnv& env_;
  Rng rng_;
  SessionsResult& result_;
  std::vector<uint32_t> free_;
  std::set<uint32_t> strangers_;
  std::array<uint64_t, 256> sink_{};
  bool fresh_ = true;  // nobody has named the prefix since it was set
};

}  // namespace

SessionsResult sessions_on_a_prefix(const std::string& config, uint32_t sessions, uint64_t seed) {
  SessionsResult result;
  EnvOptions options;
  options.bench.config = config;
  options.bench.seed = seed;
  options.bench.latency = 30;
  options.owners = 1024;  // as many as there are
  options.positions = kLength;
  options.layers = 1;
  options.registers.sram_budget = 16;
  auto env = SystemEnv::make(options, result.error);
  if (!env) return result;
  try {
    Sessions(*env, seed, result).run(sessions);
    if (env->differences().count() == 0) env->finish();
  } catch (const std::exception& stopped) {
    result.error = stopped.what();
  }
  result.cycles = env->cycle();
  result.rows = env->rows();
  result.differences = env->differences().count();
  result.first = env->differences().first();
  return result;
}

}  // namespace kvsink::tb

// SPDX-License-Identifier: Apache-2.0
#include "tb/system/storm.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace kvsink::tb {
namespace {

using model::Status;

constexpr uint32_t kPinned = 0xffff;
constexpr uint32_t kDraft = 4;

class Storm {
 public:
  Storm(SystemEnv& env, Rng rng, const StormOptions& options, StormCounts& counts)
      : env_(env), rng_(rng), options_(options), counts_(counts) {}

  void set_up();
  void run(uint64_t cycles);

 private:
  void cycle();
  void command();
  void owner_command(uint32_t owner);
  void speculate(uint32_t owner);
  void step_end(uint32_t owner);
  void request();
  void send_follower(const RowRequest& leader, bool refused);
  void scores();
  void faults();
  [[nodiscard]] uint32_t any_owner() { return static_cast<uint32_t>(rng_.below(env_.options().owners)); }
  [[nodiscard]] uint32_t below(uint64_t n) { return static_cast<uint32_t>(rng_.below(n)); }
  [[nodiscard]] uint32_t pages_of(uint32_t length) const {
    return (length + env_.options().page_tokens - 1) / env_.options().page_tokens;
  }

  SystemEnv& env_;
  Rng rng_;
  StormOptions options_;
  StormCounts& counts_;
  bool active_ = false;
  uint32_t commands_most_ = 8;
  std::vector<RowRequest> to_follow_;
  std::vector<uint8_t> followed_;  // open requests whose follower was sent already
  uint64_t fault_until_ = 0;
  uint64_t held_until_[2] = {0, 0};
};

void Storm::set_up() {
  const auto& o = env_.options();
  const uint32_t slots = env_.caps().slots;
  const uint32_t most = std::min<uint32_t>(slots, o.owners * 3);
  const uint64_t heads = (uint64_t{1} << o.kv_heads) - 1;
  const uint32_t whole = most / 2, part = most / 4;
  // Three kinds side by side: everything; K of one head in the upper layers; all of the lowest layer.
  uint32_t base = 0;
  std::string why = env_.set_profile(0, 0, o.layers, heads, 3, 0, whole, base);
  base += whole * env_.slot_beats(o.layers, heads, 3);
  if (why.empty()) why = env_.set_profile(1, 1, o.layers - 1, 1, 1, whole, part, base);
  base += part * env_.slot_beats(o.layers - 1, 1, 1);
  if (why.empty() && env_.caps().profiles > 2) why = env_.set_profile(2, 0, 1, heads, 3, whole + part, part, base);
  if (!why.empty()) env_.fail(why);

  env_.on_closed = [this](const RowRequest& r) {
    if (!r.keep || std::erase(followed_, r.id) != 0) return;
    if (rng_.percent(85)) to_follow_.push_back(r);
  };
  env_.bench().may_take = [this](Path path) { return env_.cycle() >= held_until_[static_cast<int>(path)]; };
  env_.bench().on_cycle = [this] { cycle(); };
}

void Storm::cycle() {
  if (!active_) return;
  if (env_.commands_open() < commands_most_ && rng_.below(options_.command_gap) == 0) command();
  if (env_.requests_open() < env_.caps().readers + 1U && rng_.below(options_.request_gap) == 0) request();
  if (env_.options().registers.dynamic && !env_.batch_open() && rng_.below(300) == 0) scores();
  faults();
  if (rng_.below(6000) == 0) {
    held_until_[rng_.below(2)] = env_.cycle() + rng_.below(3000);
    ++counts_.held_streams;
  }
  if (rng_.below(500) == 0) commands_most_ = 1 + below(14);
}

void Storm::run(uint64_t cycles) {
  active_ = true;
  const uint64_t end = env_.cycle() + cycles;
  while (env_.cycle() < end && env_.differences().count() == 0) {
    // Now and then nobody drains for long, so that the log is full for a while.
    const uint64_t pause = rng_.percent(4) ? 40'000 : 200 + rng_.below(3000);
    env_.ticks(std::min(pause, end - std::min(end, env_.cycle())));
    env_.drain();
  }
  active_ = false;
}

void Storm::faults() {
  if (fault_until_ != 0) {
    if (env_.cycle() < fault_until_) return;
    env_.clear_faults();
    fault_until_ = 0;
    return;
  }
  if (rng_.below(3000) != 0) return;
  const uint32_t owner = any_owner();
  const auto& view = env_.view(owner);
  if (!view.valid || view.length == 0) return;
  const uint32_t position = below(view.length);
  if (view.spec.prefix >= 0 && position < view.spec.prefix_length) return;
  const uint32_t page = position / env_.options().page_tokens;
  ++counts_.bus_errors;
  fault_until_ = env_.cycle() + 50 + rng_.below(1500);
  if (rng_.percent(30)) {
    env_.fail_reads(env_.table_address(owner, page), env_.table_address(owner, page) + 4);
    return;
  }
  if (!env_.mapped(owner, page)) return;
  const uint64_t row = env_.row_address(owner, position, below(env_.options().layers), 0, below(2));
  env_.fail_reads(row, row + (rng_.coin() ? 1 : 4096));
}

void Storm::scores() {
  const uint32_t owner = any_owner();
  const auto& view = env_.view(owner);
  if (!view.valid || view.committed < 2) return;
  std::vector<float> weights(view.committed, 0.0F);
  for (int i = 0; i < 6; ++i) {
    weights[rng_.below(weights.size())] = static_cast<float>(rng_.below(100)) / 100.0F;
  }
  ++counts_.batches;
  env_.send_scores(owner, view.committed - 1, weights);
}

void Storm::step_end(uint32_t owner) {
  // The batch at the scorer is of one owner; others end their steps without.
  if (env_.batch_open() && rng_.percent(60)) owner = static_cast<uint32_t>(env_.batch_owner());
  const bool scored = env_.batch_owner() == static_cast<int32_t>(owner);
  const auto flags = static_cast<uint8_t>(scored ? (rng_.percent(30) ? 1 : 0) : rng_.percent(95) ? 2 : 0);
  env_.send(SystemEnv::simple(kOpStepEnd, owner, flags), [this, scored](const Completion& done) {
    if (scored && (done.status == Status::kOk || done.status == Status::kBadOwner)) env_.batch_used();
  });
}

void Storm::command() {
  const auto& o = env_.options();
  const uint32_t owner = any_owner();
  const auto& view = env_.view(owner);
  const uint32_t length = view.valid ? std::max(view.length, 1U) : o.positions;
  // A few positions are asked for again and again.
  const uint32_t at = rng_.percent(60) ? below(length) : std::min(length - 1, below(4) * 11);
  const auto pick = rng_.below(100);
  if (pick < 50) {
    const uint32_t dwell = rng_.percent(5) ? kPinned : rng_.coin() ? 0 : below(16);
    const uint32_t profile = rng_.percent(1) ? below(9) : below(std::min(env_.caps().profiles, 3U));
    const uint64_t deadline = rng_.percent(30) ? env_.cycle() + rng_.below(4000) : 0;
    const uint64_t not_before = rng_.percent(15) ? env_.cycle() + rng_.below(600) : 0;
    env_.send(SystemEnv::promote(owner, at, profile, dwell, deadline, not_before),
              [this](const Completion& done) { ++(done.status == Status::kOk ? counts_.granted : counts_.refused); });
  } else if (pick < 53) {
    env_.send(SystemEnv::range(kOpLetGo, owner, at & ~7U, 1 + below(20)));
  } else if (pick < 55) {
    env_.send(SystemEnv::range(kOpAbort, owner, at & ~15U, 1 + below(40)));
  } else if (pick < 58) {
    if (rng_.percent(2)) {
      env_.send(SystemEnv::simple(kOpRetire, owner, 1));
    } else {
      env_.send(SystemEnv::range(kOpRetire, owner, rng_.coin() ? at & ~15U : at, 1 + below(32)));
    }
  } else if (pick < 72) {
    step_end(owner);
  } else if (pick < 74) {
    env_.send(SystemEnv::simple(kOpWait, owner, rng_.percent(20) ? 1 : 0));
  } else if (pick < 75) {
    Command c = SystemEnv::range(static_cast<Opcode>(rng_.coin() ? 13 + below(200) : 0), below(1 << 16), at, 1);
    if (rng_.coin()) c = SystemEnv::promote(env_.caps().owners + below(9), at, 0, 0);
    env_.send(c);
  } else {
    owner_command(owner);
  }
}

// Commands that change an owner, its table or its rows: one of an owner at a time.
void Storm::owner_command(uint32_t owner) {
  const auto& o = env_.options();
  auto& view = env_.view(owner);
  if (view.busy) return;
  const auto pick = rng_.below(100);
  if (!view.valid || pick < 2) {
    SystemEnv::OwnerSpec spec;
    spec.length = 1 + below(o.positions);
    spec.committed = spec.length - below(std::min(spec.length, 6U));
    spec.tenant = owner % 2;
    spec.is_public = rng_.coin();
    spec.profile = below(2);
    spec.slot_min = rng_.percent(30) ? below(3) : 0;
    spec.slot_max = rng_.percent(10) ? 0xffff : 2 + below(16);
    if (owner >= 3 && rng_.percent(60)) {
      const uint32_t prefix = below(3);
      const auto& p = env_.view(prefix);
      const uint32_t whole = p.committed / o.page_tokens * o.page_tokens;
      if (p.valid && !p.busy && whole != 0) {
        spec.prefix = static_cast<int32_t>(prefix);
        spec.prefix_length = (1 + below(whole / o.page_tokens)) * o.page_tokens;
        spec.length = std::max(spec.length, spec.prefix_length);
        spec.committed = std::max(spec.committed, spec.prefix_length);
      }
    }
    env_.set_owner(owner, spec);
  } else if (pick < 5) {
    ++counts_.resets;
    env_.reset_owner(owner);
  } else if (pick < 22) {
    const uint32_t pages = pages_of(view.length);
    const uint32_t shared = view.spec.prefix >= 0 ? view.spec.prefix_length / o.page_tokens : 0;
    if (pages <= shared) return;
    const uint32_t page = shared + below(pages - shared);
    if (rng_.percent(15)) {
      env_.unmap_page(owner, page, [this, owner](const Completion&) {
        if (rng_.coin()) return;
        for (uint32_t p = 0; p < pages_of(env_.view(owner).length); ++p) {
          if (env_.view(owner).valid) env_.map_page(owner, p);
        }
      });
    } else {
      const uint32_t count = 1 + below(std::min(pages - page, 3U));
      counts_.moved_pages += count;
      env_.move_pages(owner, page, count);
    }
  } else if (pick < 40) {
    for (uint32_t p = 0; p < pages_of(view.length); ++p) {
      const bool shared = view.spec.prefix >= 0 && p < view.spec.prefix_length / o.page_tokens;
      if (!shared && rng_.coin()) env_.map_page(owner, p);
    }
    const uint32_t length = std::min(o.positions, view.length + 1 + below(3));
    env_.set_length(owner, length, rng_.percent(80) ? length : view.committed);
  } else {
    speculate(owner);
  }
}

// Draft, verify, accept some: the steps come in any distance from each other.
void Storm::speculate(uint32_t owner) {
  auto& view = env_.view(owner);
  const auto pick = rng_.below(10);
  if (pick < 3) {
    if (view.level == 0 ? rng_.coin() : rng_.percent(20)) {
      ++counts_.windows;
      env_.open(owner);
    } else if (view.level != 0) {
      env_.commit(owner, below(view.length - view.committed + 1U));
    }
  } else if (pick < 6) {
    const uint32_t length = std::min(env_.options().positions, view.committed + kDraft);
    if (length > view.length || view.length > view.committed + kDraft) {
      env_.set_length(owner, std::max(length, view.committed), view.committed);
    }
  } else if (pick < 8) {
    if (env_.is_read(owner)) return;
    for (uint32_t p = view.committed; p < view.length; ++p) {
      env_.rewrite(owner, p);
      ++counts_.rewritten;
    }
  } else {
    const uint32_t drafts = view.length - view.committed;
    env_.commit(owner, rng_.percent(5) ? drafts + 1 : below(drafts + 1U));
  }
}

void Storm::send_follower(const RowRequest& leader, bool refused) {
  RowRequest r = leader;
  r.keep = false;
  r.planes = static_cast<uint8_t>(rng_.percent(70) ? leader.planes ^ 3U : 1 + rng_.below(3));
  if (r.planes == 0) r.planes = 2;
  if (refused) {
    r.bulk_only = true;
  } else {
    r.follow = true;
    r.follow_id = leader.id;
    if (r.by_granule) {
      r.mask = static_cast<uint16_t>(r.mask & rng_.bits(16));
    } else if (r.count > 2 && rng_.coin()) {
      const uint32_t skip = below(r.count / 2);
      r.first += skip;
      r.count -= skip;
      r.count = 1 + below(r.count);
    }
  }
  ++counts_.requests;
  env_.request(r);
}

void Storm::request() {
  if (!to_follow_.empty() && rng_.percent(60)) {
    const RowRequest leader = to_follow_.front();
    to_follow_.erase(to_follow_.begin());
    send_follower(leader, env_.refused(leader.id) && rng_.percent(80));
    return;
  }
  const auto& o = env_.options();
  uint32_t owner = any_owner();
  for (int i = 0; i < 4 && !env_.view(owner).valid; ++i) owner = any_owner();
  const auto& view = env_.view(owner);
  const uint32_t length = view.valid ? std::max(view.length, 1U) : o.positions;
  RowRequest r;
  r.owner = owner;
  r.layer = rng_.percent(1) ? o.layers : below(o.layers);
  r.head = below(o.kv_heads);
  r.planes = static_cast<uint8_t>(1 + rng_.below(3));
  const auto pick = rng_.below(100);
  if (pick < 25) {
    r.count = length;
  } else if (pick < 65) {
    r.first = below(length);
    r.count = 1 + below(length - r.first);
  } else if (pick < 97) {
    r.by_granule = true;
    r.first = below(length) / 16 * 16;
    r.mask = static_cast<uint16_t>(1 + rng_.below(0xffff));
    if (r.first + 16 > length) r.mask = static_cast<uint16_t>(r.mask & ((1U << (length - r.first)) - 1));
  } else {
    r.first = below(length);
    r.count = rng_.percent(30) ? 0 : 1 + below(o.positions - r.first);
  }
  r.keep = rng_.percent(30);
  r.bulk_only = !r.keep && rng_.percent(5);
  ++counts_.requests;
  const uint8_t id = env_.request(r);
  if (r.keep && rng_.percent(30) && env_.requests_open() < env_.caps().readers) {
    r.id = id;
    send_follower(r, false);
    followed_.push_back(id);
  }
}

}  // namespace

StormCounts& StormCounts::operator+=(const StormCounts& other) {
  digest = other.digest;
  cycles += other.cycles;
  commands += other.commands;
  requests += other.requests;
  granted += other.granted;
  refused += other.refused;
  records += other.records;
  lookups += other.lookups;
  moved_pages += other.moved_pages;
  resets += other.resets;
  windows += other.windows;
  rewritten += other.rewritten;
  bus_errors += other.bus_errors;
  held_streams += other.held_streams;
  batches += other.batches;
  rows.checked += other.rows.checked;
  rows.wrong += other.rows.wrong;
  rows.missing += other.rows.missing;
  rows.repeated += other.rows.repeated;
  rows.false_miss += other.rows.false_miss;
  rows.false_hit += other.rows.false_hit;
  rows.misordered += other.rows.misordered;
  rows.errors += other.rows.errors;
  rows.bad_ends += other.rows.bad_ends;
  rows.sink += other.rows.sink;
  rows.bulk += other.rows.bulk;
  differences += other.differences;
  if (first.empty()) first = other.first;
  if (error.empty()) error = other.error;
  return *this;
}

std::string StormCounts::text() const {
  return fmt::format(
      "{} cycles: {} commands ({} promotions granted, {} refused), {} requests, {} batches of scores\n"
      "{} pages moved, {} owners reset, {} windows, {} draft rows written again, {} bus faults, {} streams held\n"
      "{} rows: {} from SRAM, {} from memory, {} error-flagged; {} lookups, {} records\n"
      "wrong {}, missing {}, repeated {}, false misses {}, false hits {}, out of order {}; differences in all: {}\n",
      cycles, commands, granted, refused, requests, batches, moved_pages, resets, windows, rewritten, bus_errors,
      held_streams, rows.checked, rows.sink, rows.bulk, rows.errors, lookups, records, rows.wrong, rows.missing,
      rows.repeated, rows.false_miss, rows.false_hit, rows.misordered, differences);
}

StormCounts storm(const StormOptions& options, uint64_t cycles) {
  StormCounts counts;
  Rng rng = Rng(options.seed).fork("storm");
  EnvOptions env;
  env.bench.config = options.config;
  env.bench.seed = options.seed;
  env.bench.digest = true;
  env.bench.power_up = options.power_up;
  env.bench.latency = static_cast<uint32_t>(rng.coin() ? 5 + rng.below(40) : 40 + rng.below(200));
  env.bench.stall_percent = rng.coin() ? 0 : static_cast<uint32_t>(10 + rng.below(30));
  env.owners = options.owners;
  env.page_tokens = rng.percent(75) ? 16 : 32;
  env.heads_outside = Rng(options.seed).fork("layout").coin();  // then gaps that are read and dropped are part of it
  env.row_beats = 1 + static_cast<uint32_t>(rng.below(2));
  // Gaps between bulk rows are left, read and dropped when small, or nearly always.
  constexpr uint32_t kCosts[] = {0, 4, 64};
  env.registers.burst_cost = kCosts[Rng(options.seed).fork("burst cost").below(3)];
  env.registers.dynamic = rng.percent(75);
  env.registers.min_distance = 1;
  env.registers.min_queries = 1;
  env.registers.n_promote = 1 + static_cast<uint32_t>(rng.below(2));
  env.registers.n_dwell = static_cast<uint32_t>(rng.below(4));
  env.registers.n_evict = 1 + static_cast<uint32_t>(rng.below(2));
  env.registers.alpha = 30000;
  env.registers.sram_budget = options.config == "small" ? 32 : static_cast<uint32_t>(24 + rng.below(40));
  std::string why;
  auto e = SystemEnv::make(env, why);
  if (!e) {
    counts.error = why;
    return counts;
  }
  try {
    Storm s(*e, rng, options, counts);
    s.set_up();
    s.run(cycles);
    if (e->differences().count() == 0) e->finish();
  } catch (const std::exception& stopped) {
    counts.error = fmt::format("{} (seed {})", stopped.what(), options.seed);
  }
  counts.cycles = e->cycle();
  counts.digest = e->bench().digest();
  counts.commands = e->commands_done();
  counts.records = e->residency().checked();
  counts.lookups = e->residency().lookups();
  counts.rows = e->rows();
  counts.differences = e->differences().count();
  counts.first = e->differences().first();
  return counts;
}

}  // namespace kvsink::tb

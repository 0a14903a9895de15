// SPDX-License-Identifier: Apache-2.0
#include "tb/system/stress.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <functional>
#include <tuple>

#include "sw/driver/include/kvs.h"
#include "tb/system/env.hpp"

namespace kvsink::tb {
namespace {

using model::Event;
using model::Status;

constexpr uint32_t kPinned = 0xffff;
constexpr uint32_t kSlots = 32;  // of the one profile that the scenarios use
constexpr uint32_t kPage = 16;
constexpr uint32_t kAnswer = 8;  // cycles within which a promotion is answered

/// What the scenarios share: owners, promotions and reads in one line each, and what must hold.
class Scene {
 public:
  Scene(SystemEnv& env, uint64_t seed, StressResult& result)
      : env(env), rng(Rng(seed).fork("stress")), result_(result) {
    env.on_row = [this](const Row& row) {
      Read& r = reads_[row.request->id];
      ++(row.error ? r.errors : row.path == Path::kSink ? r.sink : r.bulk);
    };
    env.on_closed = [this](const RowRequest& r) {
      reads_[r.id].cycles = this->env.cycle() - reads_[r.id].sent;
      longest_read = std::max(longest_read, reads_[r.id].cycles);
      rows_.push_back(reads_[r.id]);
    };
    expect(env.set_profile(0, 0, env.options().layers, (uint64_t{1} << env.options().kv_heads) - 1, 3, 0, kSlots, 0)
               .empty(),
           "the profile is set");
  }
  struct Read {
    uint64_t sink = 0, bulk = 0, errors = 0, sent = 0, cycles = 0;
  };

  void expect(bool holds, const std::string& what) {
    if (!holds) result_.broken.push_back(what);
  }
  void measure(const std::string& what, uint64_t value) { result_.measured.emplace_back(what, value); }

  void owner(uint32_t number, const SystemEnv::OwnerSpec& spec) {
    const auto done = env.set_owner_now(number, spec);
    expect(done.status == Status::kOk, fmt::format("owner {} is set ({})", number, model::name(done.status)));
  }
  static SystemEnv::OwnerSpec plain(uint32_t length, uint32_t tenant = 0) {
    SystemEnv::OwnerSpec spec;
    spec.length = spec.committed = length;
    spec.tenant = tenant;
    return spec;
  }
  Status promote(uint32_t owner, uint32_t position, uint32_t dwell, uint64_t deadline = 0) {
    const auto done = env.run(SystemEnv::promote(owner, position, 0, dwell, deadline));
    longest_answer = std::max(longest_answer, done.cycles);
    return done.status;
  }
  Status wait(uint32_t owner) { return env.run(SystemEnv::simple(kOpWait, owner)).status; }
  Status step(uint32_t owner) { return env.run(SystemEnv::simple(kOpStepEnd, owner, 2)).status; }

  uint8_t send_read(uint32_t owner, uint32_t first, uint32_t count, uint32_t layer, uint32_t head) {
    RowRequest r;
    r.owner = owner;
    r.layer = layer;
    r.head = head;
    r.planes = 3;
    r.first = first;
    r.count = count;
    const uint8_t id = env.request(r);
    reads_[id] = {};
    reads_[id].sent = env.cycle();
    return id;
  }
  /// Reads positions in one layer and head, and waits for all.
  Read read(uint32_t owner, uint32_t first, uint32_t count, uint32_t layer = 0, uint32_t head = 0) {
    const uint8_t id = send_read(owner, first, count, layer, head);
    env.until("a read", [&] { return env.closed(id); });
    return reads_[id];
  }
  /// Keeps requests coming from these owners until it is called with none.
  void background(std::vector<uint32_t> owners) {
    env.bench().on_cycle = [this, owners = std::move(owners)] {
      if (owners.empty() || env.requests_open() >= env.caps().readers) return;
      const uint32_t o = owners[rng.below(owners.size())];
      const auto& view = env.view(o);
      if (!view.valid || view.length == 0) return;
      send_read(o, 0, view.length, static_cast<uint32_t>(rng.below(env.options().layers)),
                static_cast<uint32_t>(rng.below(env.options().kv_heads)));
    };
  }
  void quiet() {
    env.bench().on_cycle = nullptr;
    env.until("the end of all reads", [this] { return env.requests_open() == 0; });
  }
  [[nodiscard]] uint64_t records(Event kind, Status cause, int64_t owner = -1) const {
    return static_cast<uint64_t>(std::count_if(env.records().begin(), env.records().end(), [&](const auto& r) {
      return r.kind == static_cast<uint8_t>(kind) && r.cause == static_cast<uint8_t>(cause) &&
             (owner < 0 || r.owner == owner);
    }));
  }

  SystemEnv& env;
  Rng rng;
  uint32_t longest_answer = 0;
  uint64_t longest_read = 0;

 private:
  StressResult& result_;
  std::array<Read, 256> reads_{};
  std::vector<Read> rows_;
};

// Pinned slots fill the SRAM; more is refused at once, and guaranteed minimums are still met.
void sram_exhaustion(Scene& s) {
  s.owner(0, Scene::plain(96));
  auto guaranteed = Scene::plain(48);
  guaranteed.slot_min = 4;
  s.owner(1, guaranteed);
  s.owner(2, Scene::plain(96, 1));
  s.background({0, 1, 2});
  uint64_t granted = 0, refused = 0;
  for (uint32_t i = 0; i < 48; ++i) {
    const Status status = s.promote(i % 2 == 0 ? 0 : 2, i, kPinned);
    ++(status == Status::kOk ? granted : refused);
    if (status != Status::kOk) {
      s.expect(status == Status::kBudget || status == Status::kNoSlot || status == Status::kNoEntry,
               fmt::format("a promotion without room is refused for want of room, not with {}", model::name(status)));
    }
    if (i % 8 == 0) s.env.drain();
  }
  s.expect(granted == kSlots - 4,
           fmt::format("{} of {} promotions above the minimum are granted", granted, kSlots - 4));
  for (uint32_t i = 0; i < 4; ++i) {
    s.expect(s.promote(1, i, kPinned) == Status::kOk, "a promotion below the owner's minimum is granted");
  }
  s.expect(s.wait(0) == Status::kOk && s.wait(1) == Status::kOk && s.wait(2) == Status::kOk, "all promotions complete");
  s.quiet();
  for (int step = 0; step < 20; ++step) s.step(0);
  s.env.drain();
  s.expect(s.records(Event::kLeave, Status::kEvicted) == 0, "no pinned slot leaves");
  s.expect(s.read(1, 0, 48).sink == 8, "the guaranteed tokens are served from SRAM");
  const uint32_t before = s.env.residency().model().used_slots();
  s.expect(before == kSlots, "the SRAM is full");
  s.expect(s.promote(0, 90, 0) != Status::kOk, "one more is refused");
  s.expect(s.env.run(SystemEnv::range(kOpLetGo, 0, 0, 1)).status == Status::kOk, "a pinned slot leaves by command");
  s.env.drain();
  s.env.ticks(200);
  s.expect(s.promote(0, 90, 0) == Status::kOk, "its room is granted again");
  s.expect(s.longest_answer <= kAnswer, "every promotion is answered within 8 cycles");
  s.measure("granted", granted);
  s.measure("refused for want of room", refused);
  s.measure("longest answer to a promotion, cycles", s.longest_answer);
}

// An owner promotes far more than it may hold; only its own best-effort slots make room.
void eviction_storm(Scene& s) {
  auto spec = Scene::plain(96);
  spec.slot_max = 12;
  s.owner(0, spec);
  s.owner(1, Scene::plain(96));
  for (uint32_t i = 0; i < 6; ++i) s.promote(1, 3 * i, 0);  // best effort as well, but not its own
  s.wait(1);
  s.background({0, 1});
  uint64_t granted = 0;
  for (uint32_t i = 0; i < 400; ++i) {
    granted += s.promote(0, static_cast<uint32_t>(s.rng.below(96)), 0) == Status::kOk ? 1 : 0;
    s.env.ticks(s.rng.below(60));
    if (i % 16 == 0) s.env.drain();
  }
  s.wait(0);
  s.quiet();
  s.env.drain();
  const uint64_t evicted = s.records(Event::kLeave, Status::kEvicted, 0);
  s.expect(evicted > 50, fmt::format("slots leave under pressure ({})", evicted));
  s.expect(s.records(Event::kLeave, Status::kEvicted, 1) == 0, "nobody else's slot leaves");
  uint64_t held = 0;
  for (uint32_t i = 0; i < 6; ++i) held += s.read(1, 3 * i, 1).sink;
  s.expect(held == 12, "the other owner's tokens are still served from SRAM");
  s.expect(s.longest_answer <= kAnswer, "every promotion is answered within 8 cycles");
  s.measure("granted", granted);
  s.measure("evicted", evicted);
  s.measure("longest answer to a promotion, cycles", s.longest_answer);
}

// One tenant asks for everything at once; another keeps its minimum, its contracts and its answers.
void tenant_burst(Scene& s) {
  auto victim = Scene::plain(64);
  victim.slot_min = 6;
  s.owner(0, victim);
  for (uint32_t o = 1; o < 4; ++o) s.owner(o, Scene::plain(96, 1));
  for (uint32_t i = 0; i < 3; ++i) s.expect(s.promote(0, 5 * i, 50) == Status::kOk, "the victim's sinks are granted");
  s.wait(0);
  s.background({1, 2, 3});
  uint64_t burst = 0;
  for (uint32_t round = 0; round < 40; ++round) {
    for (uint32_t i = 0; i < 10; ++i) {
      const auto o = 1 + static_cast<uint32_t>(s.rng.below(3));
      s.env.send(SystemEnv::promote(o, static_cast<uint32_t>(s.rng.below(96)), 0, s.rng.coin() ? 3 : 0));
      ++burst;
    }
    if (round % 10 == 5) {
      const Status status = s.promote(0, 20 + round, 50);
      s.expect(status == Status::kOk || round > 25,
               fmt::format("a promotion within the victim's minimum is granted ({})", model::name(status)));
    }
    const uint8_t id = s.send_read(0, 0, 64, 0, 0);
    s.env.until("the victim's read", [&] { return s.env.closed(id); });
    s.env.drain();
  }
  s.quiet();
  s.env.drain();
  s.expect(s.records(Event::kLeave, Status::kEvicted, 0) == 0, "none of the victim's contracts is cut");
  s.expect(s.read(0, 0, 16).sink == 6, "its sinks are still served from SRAM");
  s.expect(s.longest_answer <= kAnswer, "its promotions are answered within 8 cycles");
  s.measure("promotions of the burst", burst);
  s.measure("longest answer to the victim, cycles", s.longest_answer);
}

// A page that all sessions share is retired and changed while they read it.
void prefix_invalidation(Scene& s) {
  auto prefix = Scene::plain(64);
  prefix.is_public = true;
  s.owner(0, prefix);
  for (uint32_t o = 1; o < 4; ++o) {
    auto session = Scene::plain(96, o);
    session.prefix = 0;
    session.prefix_length = 64;
    s.owner(o, session);
  }
  uint64_t invalidated = 0;
  for (uint32_t round = 0; round < 12; ++round) {
    for (uint32_t i = 0; i < 8; ++i) {
      const Status status = s.promote(1 + i % 3, 8 * i, kPinned);
      s.expect(status == Status::kOk || status == Status::kAlready, "the shared prefix is promoted once for all");
    }
    s.expect(s.wait(0) == Status::kOk, "its promotions complete");
    s.env.drain();
    for (uint32_t o = 1; o < 4; ++o) s.expect(s.read(o, 0, 96).sink == 16, "every session reads it from SRAM");
    s.background({1, 2, 3});
    s.env.ticks(s.rng.below(300));
    const auto page = static_cast<uint32_t>(s.rng.below(4));
    bool done = false;
    s.env.move_pages(0, page, 1, [&](const Completion&) { done = true; });
    s.env.until("the retire", [&] { return done; });
    ++invalidated;
    s.quiet();
    s.env.drain();
    for (uint32_t o = 1; o < 4; ++o) {
      const auto gone = s.read(o, page * kPage, kPage);
      s.expect(gone.sink == 0 && gone.bulk == 2 * kPage, "nothing of a retired page is hit");
      s.expect(s.read(o, 0, 96).sink == 12, "the other pages stay");
    }
  }
  s.expect(s.records(Event::kLeave, Status::kRetired, 0) == 2 * invalidated, "two tokens leave with each page");
  s.expect(s.env.reset_owner_now(0).status == Status::kBusy, "a prefix that is named cannot be reset");
  s.measure("pages changed", invalidated);
}

// Every draft is rejected, again and again; residency stays as it was.
void speculative_collapse(Scene& s) {
  constexpr uint32_t kDraft = 4;
  s.owner(0, Scene::plain(60));
  s.owner(1, Scene::plain(96));
  for (const uint32_t p : {0U, 1U, 17U, 40U}) s.promote(0, p, 20);
  s.wait(0);
  s.env.drain();
  const std::size_t before = s.env.records().size();
  uint64_t refused = 0, rewritten = 0;
  for (uint32_t round = 0; round < 40; ++round) {
    bool done = false;
    const auto then = [&](const Completion& c) {
      s.expect(c.status == Status::kOk, fmt::format("a step of the window is done ({})", model::name(c.status)));
      done = true;
    };
    const auto finished = [&] { return done; };
    s.env.open(0, then);
    s.env.until("open", finished);
    done = false;
    s.env.set_length(0, 60 + kDraft, 60, then);
    s.env.until("set_length", finished);
    for (uint32_t p = 60; p < 60 + kDraft; ++p) {
      s.env.rewrite(0, p);
      ++rewritten;
    }
    refused += s.promote(0, static_cast<uint32_t>(s.rng.below(60)), 5) == Status::kWindow ? 1 : 0;
    s.expect(s.promote(0, 60, 5) == Status::kBadRange, "a draft is never promoted");
    s.expect(s.step(0) == Status::kWindow, "no step ends inside a window");
    const auto read = s.read(0, 0, 60 + kDraft, round % 2, 0);
    s.expect(read.sink == 8 && read.bulk == 2 * (60 + kDraft - 4), "the placement is frozen, drafts come from memory");
    done = false;
    s.env.commit(0, 0, then);
    s.env.until("commit", finished);
    done = false;
    s.env.set_length(0, 60, 60, then);
    s.env.until("set_length", finished);
    s.env.drain();
  }
  s.expect(refused == 40, "every promotion inside a window is refused");
  s.expect(s.env.records().size() - before == 80, "the windows are the only records");
  s.expect(s.records(Event::kWindow, Status::kAborted, 0) == 40, "every window is rolled back");
  s.measure("windows rolled back", 40);
  s.measure("draft rows written again", rewritten);
}

// More promotions than the bus can carry in time, beside reads that take all of it.
void dma_congestion(Scene& s) {
  for (uint32_t o = 0; o < 3; ++o) s.owner(o, Scene::plain(96));
  s.background({0, 1, 2});
  uint64_t granted = 0, waits = 0;
  for (uint32_t round = 0; round < 12; ++round) {
    for (uint32_t i = 0; i < 8; ++i) {
      const uint32_t o = i % 3;
      granted +=
          s.promote(o, static_cast<uint32_t>(s.rng.below(96)), 1, s.env.cycle() + 40 + s.rng.below(300)) == Status::kOk
              ? 1
              : 0;
    }
    for (uint32_t o = 0; o < 3; ++o) {
      const Status status = s.wait(o);
      s.expect(status == Status::kOk || status == Status::kDeadline,
               fmt::format("promotions beside a full bus end in time or late, not with {}", model::name(status)));
      ++waits;
      s.step(o);
      s.step(o);
    }
    if (round % 3 == 2) {
      for (uint32_t o = 0; o < 3; ++o) s.env.run(SystemEnv::range(kOpLetGo, o, 0, 96));
    }
    s.env.drain();
  }
  s.quiet();
  s.env.drain();
  const uint64_t late = s.records(Event::kResident, Status::kDeadline);
  s.expect(granted > 40, "promotions are granted");
  s.expect(late > 0, "missed deadlines are reported");
  s.expect(late + s.records(Event::kResident, Status::kOk) == granted, "every promotion completes once");
  s.expect(s.longest_answer <= kAnswer, "every promotion is answered within 8 cycles");
  s.measure("granted", granted);
  s.measure("late", late);
  s.measure("waits", waits);
  s.measure("longest answer to a promotion, cycles", s.longest_answer);
}

// Nobody drains the log: promotions are refused, removal goes on, and no record is lost.
void log_full(Scene& s) {
  s.owner(0, Scene::plain(96));
  s.owner(1, Scene::plain(96));
  s.promote(0, 7, 0);
  s.wait(0);
  s.expect(s.read(0, 0, 16).sink == 2, "a token is served from SRAM at first");
  s.env.run(SystemEnv::range(kOpLetGo, 0, 0, 96));
  s.env.drain();
  Status status = Status::kOk;
  uint64_t granted = 0;
  for (uint32_t i = 0; status != Status::kLogFull && i < 40'000; ++i) {
    status = s.promote(0, i % 96, 0);
    granted += status == Status::kOk ? 1 : 0;
    if (i % 8 == 7) s.env.run(SystemEnv::range(kOpLetGo, 0, 0, i % 16 == 15 ? 96 : 48));
  }
  s.expect(status == Status::kLogFull, fmt::format("a promotion is refused with log_full ({})", model::name(status)));
  s.expect(s.promote(1, 3, 0) == Status::kLogFull, "another owner's too");
  s.wait(0);
  const uint32_t held = s.env.residency().model().used_slots();
  // Removal with the log full: it acts at once, its slots wait for their records.
  const auto retire = s.env.run(SystemEnv::range(kOpRetire, 0, 0, 96));
  s.expect(retire.status == Status::kOk, "retire is done with the log full");
  const auto read = s.read(0, 0, 96);
  s.expect(read.sink == 0 && read.bulk == 192, "nothing is hit after it");
  s.env.drain();
  s.env.ticks(400);
  s.env.drain();
  s.expect(s.env.residency().model().used_slots() == 0, "slots are free once their records are written");
  s.expect(s.promote(1, 3, 0) == Status::kOk, "a drained log takes promotions again");
  s.measure("granted until the log was full", granted);
  s.measure("slots held then", held);
  s.measure("cycles of the retire", retire.cycles);
}

struct Entry {
  Scenario scenario;
  void (*run)(Scene&);
  uint32_t latency;
};
constexpr std::array kEntries{
    Entry{{"sram-exhaustion", "pinned slots fill the SRAM; more is refused at once, minimums are met, contracts stay"},
          sram_exhaustion,
          40},
    Entry{{"eviction-storm", "an owner promotes far more than it may hold; only its own best-effort slots leave"},
          eviction_storm,
          40},
    Entry{{"tenant-burst", "one tenant asks for everything; another keeps its minimum, contracts and answers"},
          tenant_burst,
          60},
    Entry{{"prefix-invalidation", "a shared page is retired and changed while sessions read it"},
          prefix_invalidation,
          60},
    Entry{{"speculative-collapse", "every draft is rejected; residency stays as it was"}, speculative_collapse, 40},
    Entry{{"dma-congestion", "more promotions than a saturated bus carries in time; late ones are reported"},
          dma_congestion,
          150},
    Entry{{"log-full", "nobody drains the log: promotions are refused, removal goes on, no record is lost"},
          log_full,
          20},
};

}  // namespace

std::span<const Scenario> scenarios() {
  static const auto list = [] {
    std::array<Scenario, kEntries.size()> out;
    std::transform(kEntries.begin(), kEntries.end(), out.begin(), [](const Entry& e) { return e.scenario; });
    return out;
  }();
  return list;
}

StressResult stress(std::string_view name, const std::string& config, uint64_t seed) {
  StressResult result;
  const auto entry =
      std::find_if(kEntries.begin(), kEntries.end(), [&](const Entry& e) { return e.scenario.name == name; });
  if (entry == kEntries.end()) {
    result.error = fmt::format("there is no scenario '{}' (kvsink stress --list)", name);
    return result;
  }
  EnvOptions options;
  options.bench.config = config;
  options.bench.seed = seed;
  options.bench.latency = entry->latency;
  options.owners = 4;
  options.registers.sram_budget = kSlots;
  auto env = SystemEnv::make(options, result.error);
  if (!env) return result;
  try {
    Scene scene(*env, seed, result);
    entry->run(scene);
    if (env->differences().count() == 0) env->finish();
    std::tie(result.log.last_sequence, result.log.last_crc) = env->host().log_last();
    for (unsigned c = 0; c < KVS_COUNTERS; ++c) {
      const uint64_t value = env->host().counter(c);
      if (value != 0) result.counters.emplace_back(kvs_counter_name(static_cast<kvs_counter>(c)), value);
    }
  } catch (const std::exception& stopped) {
    result.error = stopped.what();
  }
  result.log.records = env->records();
  if (result.error.empty()) {
    if (const auto finding = model::verify(result.log); !finding) result.broken.push_back(finding.text());
  }
  result.rows = env->rows();
  result.cycles = env->cycle();
  result.commands = env->commands_done();
  result.records = env->residency().checked();
  result.differences = env->differences().count();
  result.first = env->differences().first();
  return result;
}

}  // namespace kvsink::tb

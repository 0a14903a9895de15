// SPDX-License-Identifier: Apache-2.0
// The residency controller beside the untimed model of its rules (sw/models/residency_model.hpp) under random commands,
// faults and stalls: every answer, record, tag command and choice of a slot, in the order in which the controller took
// its inputs. The environment's own checks (tb/residency/residency_env.hpp) run as well.
#include <VResidency_default.h>
#include <VResidency_small.h>

#include <algorithm>
#include <deque>
#include <optional>
#include <string>

#include "support/catch.hpp"
#include "sw/models/residency_model.hpp"
#include "tb/residency/residency_env.hpp"
#include "tests/residency/storm.hpp"

namespace {

using namespace kvsink::tb::residency;  // NOLINT: the names of this bench, in its test
using kvsink::model::ResidencyModel;
using kvsink::tb::seed_from_env;
using ModelStatus = kvsink::model::Status;

/// Feeds the model with what passes at the ports of an environment, and throws at the first difference.
template <class E>
class Lockstep {
 public:
  explicit Lockstep(E& env) : env_(env), model_(config(env)) {
    env.drain_between = true;
    env.watch = [this](Seen what, const SeenFields& f, const Cmd* c) { saw(what, f, c); };
  }
  [[nodiscard]] std::string owed() const { return model_.owed(); }
  [[nodiscard]] const ResidencyModel::PlanCounts& plans() const { return model_.plan_counts(); }

  uint64_t decisions = 0, answers = 0, records = 0;

 private:
  static ResidencyModel::Config config(const E& env) {
    ResidencyModel::Config c;
    c.slots = env.slots;
    c.entries = env.entries;
    c.owners = env.owners;
    c.positions = env.positions;
    c.profiles = env.profiles;
    c.sram_beats = env.sram_beats;
    c.kv_heads = env.kv_heads;
    c.sram_budget = std::min(env.budget, env.slots);
    c.t_sink = env.t_sink;
    c.t_pin = env.t_pin;
    c.t_promote = env.t_promote;
    c.t_evict = env.t_evict;
    c.alpha = env.alpha;
    c.n_promote = env.n_promote;
    c.n_dwell = env.n_dwell;
    c.n_evict = env.n_evict;
    c.dynamic = env.dynamic;
    c.page_log2 = env.page_log2;
    c.layers = env.layers;
    c.plans = env.plans;
    c.plan_items = env.plan_items;
    c.promo_floor = env.promo_floor;
    for (const uint32_t plane : {0U, 1U, 7U}) c.planes[plane] = {true, env.row_beats, plane == 7 ? env.share_log2 : 0};
    return c;
  }
  [[nodiscard]] ResidencyModel::View view() const {
    return {env_.log_capacity - env_.log_held, 0, env_.free_entries(), false,
            [this](uint32_t owner, uint32_t granule) { return env_.has_entry(owner, granule); }};
  }
  void check(const std::string& why) const {
    if (!why.empty()) throw CheckError("the model: " + why + " (cycle " + std::to_string(env_.now()) + ")");
  }
  template <class T>
  static T pop(std::deque<T>& queue, const char* what) {
    if (queue.empty()) throw CheckError(std::string("the controller acted on a ") + what + " that it did not take");
    const T front = queue.front();
    queue.pop_front();
    return front;
  }
  static uint32_t u32(uint64_t v) { return static_cast<uint32_t>(v); }

  void saw(Seen what, const SeenFields& f, const Cmd* c) {
    switch (what) {
      case Seen::kTrace:
        ++decisions;
        decided(static_cast<Trace>(f[0]), u32(f[1]), f[2]);
        break;
      case Seen::kCommand:
        commands_.push_back({.op = c->op,
                             .flags = c->flags,
                             .tag = u32(f[0]),
                             .owner = c->owner,
                             .profile = c->profile,
                             .first = c->first,
                             .count = c->count,
                             .arg0 = c->arg0,
                             .arg1 = c->arg1,
                             .arg2 = c->arg2});
        break;
      case Seen::kDone:
        done(u32(f[0]), static_cast<ModelStatus>(f[1]), u32(f[2]), f[3]);
        break;
      case Seen::kWalkAnswer:
        walks_.push_back(f);
        break;
      case Seen::kProgress:
        progresses_.push_back(f);
        break;
      case Seen::kEnd:
        ends_.push_back(f);
        break;
      case Seen::kScoreAnswer:
        scores_.push_back(f);
        break;
      case Seen::kScoreCommand:
        if (f[0] == 1) {
          bool expected = false;
          const uint32_t count = model_.expected_top_count(expected);
          if (!expected || count != f[2])
            check("asks for the strongest " + std::to_string(f[2]) + ", expected " + std::to_string(count));
        }
        break;
      case Seen::kTagCommand:
        tag_ = f;
        break;
      case Seen::kTagAck:
        tag_ack(static_cast<ModelStatus>(f[0]));
        break;
      case Seen::kRecord:
        ++records;
        check(model_.record_taken({static_cast<kvsink::model::Event>(f[0]), static_cast<ModelStatus>(f[1]), u32(f[2]),
                                   u32(f[3]), u32(f[4]), u32(f[5])}));
        break;
    }
  }

  void decided(Trace kind, uint32_t slot, uint64_t data) {
    switch (kind) {
      case kTrCommand:
        check(model_.command(pop(commands_, "command"), view()));
        break;
      case kTrWalk: {
        const auto w = pop(walks_, "translation");
        check(model_.walk_answer(slot, static_cast<ModelStatus>(w[0]), u32(w[1]), w[2] != 0));
        break;
      }
      case kTrProgress: {
        const auto p = pop(progresses_, "progress");
        check(model_.progress(u32(p[0]), u32(p[1])));
        break;
      }
      case kTrEnd: {
        const auto e = pop(ends_, "end");
        check(model_.dma_end(u32(e[0]), static_cast<ModelStatus>(e[1])));
        break;
      }
      case kTrFill:
        check(model_.fill(slot, static_cast<ResidencyModel::Fill>(data)));
        break;
      case kTrRow:
        check(model_.sweep_row(slot, view()));
        break;
      case kTrScore: {
        const auto s = pop(scores_, "score");
        check(model_.sweep_score(slot, u32(s[2]), view()));
        break;
      }
      case kTrTop: {
        const auto s = pop(scores_, "score");
        check(model_.top(s[0] != 0 ? std::optional(u32(s[1])) : std::nullopt, u32(s[2]), s[3] != 0, view()));
        break;
      }
      case kTrPressure:
        check(model_.pressure(data != 0, slot, view()));
        break;
      case kTrFree:
        check(model_.freed(slot));
        break;
      case kTrSweepEnd:
        check(model_.sweep_end());
        break;
      case kTrPlanStart:
        check(model_.plan_start(slot, view()));
        break;
      case kTrPlanEnd:
        check(model_.plan_end(slot, data != 0, view()));
        break;
      case kTrPlanItem:
        check(model_.plan_item(slot, data != 0, view()));
        break;
    }
  }

  void tag_ack(ModelStatus status) {
    const auto slot = u32(tag_[3]);
    const bool ok = status == ModelStatus::kOk;
    if (tag_[0] == kInstall && ok) {
      check(model_.tag_install(u32(tag_[1]), u32(tag_[2]), slot, u32(tag_[4])));
    } else if (tag_[0] == kSetWord) {
      check(model_.tag_set_word(slot, u32(tag_[5]), status));
    } else if (tag_[0] == kWatermark && ok) {
      check(model_.tag_watermark(slot, u32(tag_[6])));
    } else if (tag_[0] == kRemove) {
      check(model_.tag_remove(slot));
    }
  }

  void done(uint32_t tag, ModelStatus status, uint32_t value0, uint64_t value1) {
    ++answers;
    const auto answer = model_.take_answer(tag);
    if (!answer) {
      check("command " + std::to_string(tag) + " was completed, but nothing is due");
    } else if (answer->status != status || (answer->value0 && *answer->value0 != value0) ||
               (answer->value1 && *answer->value1 != value1)) {
      check("command " + std::to_string(tag) + ": expected " + name(answer->status) + " with value " +
            (answer->value0 ? std::to_string(*answer->value0) : "any") + ", came " + name(status) + " with " +
            std::to_string(value0) + ", value1 " + (answer->value1 ? std::to_string(*answer->value1) : "any") +
            " and " + std::to_string(value1));
    }
  }

  E& env_;
  ResidencyModel model_;
  std::deque<ResidencyModel::Command> commands_;
  std::deque<SeenFields> walks_, progresses_, ends_, scores_;
  SeenFields tag_{};
};

/// One storm beside the model; `variant` chooses stalls, budget and thresholds.
template <class E>
void lockstep(uint64_t seed, unsigned rounds, uint32_t busy_owners, uint64_t variant,
              ResidencyModel::PlanCounts& seen) {
  E e(seed, variant % 2 == 0 ? Stalls{} : Stalls::all(25));
  storm_registers(e);
  e.dynamic = variant % 3 != 2;
  if (variant % 3 == 1) e.budget = e.slots / 2;
  e.share_log2 = variant % 2 != 0 ? 2 : 0;
  Lockstep<E> model(e);
  storm(e, rounds, busy_owners, false);
  e.ticks(2000);  // the log takes what is queued
  CHECK(model.owed() == "");
  CHECK(model.answers > rounds / 2);
  CHECK(model.records > rounds / 20);
  CHECK(model.decisions > model.answers);
  CHECK(e.plan_missed == model.plans().missed);
  CHECK(e.denied_promotions == model.plans().denied_promotions);
  CHECK(e.denied_evictions == model.plans().denied_evictions);
  seen.missed += e.plan_missed;
  seen.denied_promotions += e.denied_promotions;
  seen.denied_evictions += e.denied_evictions;
  seen.accepted += model.plans().accepted;
  seen.refused += model.plans().refused;
  seen.placed_by_plans += model.plans().placed_by_plans;
}

/// Nothing of a plan was left out by chance.
void all_seen(const ResidencyModel::PlanCounts& seen, uint64_t least) {
  CHECK(seen.accepted >= least);
  CHECK(seen.refused >= least);
  CHECK(seen.placed_by_plans >= 2 * least);
  CHECK(seen.denied_promotions + seen.denied_evictions + seen.missed > 0);
}

}  // namespace

TEST_CASE("Random commands are decided as the untimed model decides them (small)", "[residency][model]") {
  ResidencyModel::PlanCounts seen;
  for (uint64_t i = 0; i < 6; ++i) {
    const uint64_t seed = seed_from_env() * 100 + i;
    CAPTURE(seed);
    lockstep<Env<VResidency_small>>(seed, 1500, 4, i, seen);
  }
  all_seen(seen, 20);
}

TEST_CASE("Random commands are decided as the untimed model decides them (default)", "[residency][model]") {
  ResidencyModel::PlanCounts seen;
  for (uint64_t i = 0; i < 3; ++i) {
    const uint64_t seed = seed_from_env() * 100 + 50 + i;
    CAPTURE(seed);
    lockstep<Env<VResidency_default>>(seed, 1500, 16, i, seen);
  }
  all_seen(seen, 3);
}

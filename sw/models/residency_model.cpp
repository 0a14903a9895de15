// SPDX-License-Identifier: Apache-2.0
#include "sw/models/residency_model.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <set>

namespace kvsink::model {
namespace {

constexpr uint32_t kPinned = 0xffff;
constexpr uint32_t kLogMargin = 8;
constexpr uint32_t kWaits = 4;
constexpr uint32_t kEShift = 8;
constexpr uint32_t kRunMax = 255;

int severity(Status status) {
  switch (status) {
    case Status::kOk:
      return 0;
    case Status::kDeadline:
      return 1;
    case Status::kAborted:
      return 2;
    default:
      return 3;
  }
}

Status worse(Status a, Status b) { return severity(b) > severity(a) ? b : a; }

}  // namespace

const char* name(Status status) {
  static constexpr std::array kNames{"ok",        "budget",       "no slot",   "no entry",    "window",  "bad owner",
                                     "bad range", "bad profile",  "log full",  "bad command", "busy",    "tenant",
                                     "unmapped",  "generation",   "bus error", "timeout",     "aborted", "deadline",
                                     "already",   "not resident", "evicted",   "threshold",   "command", "retired",
                                     "stale",     "no plan",      "plan"};
  const auto index = static_cast<std::size_t>(status);
  return index < kNames.size() ? kNames[index] : "unknown";
}

std::string describe(const ResidencyRecord& r) {
  static constexpr std::array kKinds{"?",          "grant", "resident", "failed", "leave",
                                     "read error", "owner", "window",   "plan"};
  const auto kind = static_cast<std::size_t>(r.kind);
  return fmt::format("{} ({}), owner {}, position {}, word {:#x}, slot {}", kind < kKinds.size() ? kKinds[kind] : "?",
                     name(r.cause), r.owner, r.position, r.word, r.slot);
}

ResidencyModel::ResidencyModel(const Config& config)
    : config_(config),
      slots_(config.slots),
      owners_(config.owners),
      profiles_(config.profiles),
      tag_work_(config.slots),
      plans_(config.plans) {}

// ---------------------------------------------------------------------------------------------------- sums and choices

uint32_t ResidencyModel::used(uint32_t owner) const {
  return static_cast<uint32_t>(std::count_if(
      slots_.begin(), slots_.end(), [&](const Slot& s) { return s.state != State::kFree && s.owner == owner; }));
}

uint32_t ResidencyModel::used_own(uint32_t owner) const {
  return static_cast<uint32_t>(std::count_if(slots_.begin(), slots_.end(), [&](const Slot& s) {
    return s.state != State::kFree && s.owner == owner && s.own;
  }));
}

uint32_t ResidencyModel::used_slots() const {
  return static_cast<uint32_t>(
      std::count_if(slots_.begin(), slots_.end(), [](const Slot& s) { return s.state != State::kFree; }));
}

uint32_t ResidencyModel::pending(uint32_t owner, bool all) const {
  return static_cast<uint32_t>(std::count_if(slots_.begin(), slots_.end(), [&](const Slot& s) {
    return s.state == State::kFilling && (all || s.owner == owner);
  }));
}

// What guaranteed minimums still reserve in a profile's region; profile -1: in all.
uint32_t ResidencyModel::reserved(int64_t profile) const {
  uint32_t sum = 0;
  for (uint32_t o = 0; o < owners_.size(); ++o) {
    if (owners_[o].slot_min == 0 || (profile >= 0 && owners_[o].profile != profile)) continue;
    const uint32_t have = used_own(o);
    if (owners_[o].slot_min > have) sum += owners_[o].slot_min - have;
  }
  for (const Plan& p : plans_) {
    if (p.state != Plan::State::kActive || (profile >= 0 && owners_[p.owner].profile != profile)) continue;
    sum += static_cast<uint32_t>(plan_share(p.owner));
  }
  return sum;
}

uint32_t ResidencyModel::min_sum() const {
  uint32_t sum = 0;
  for (const auto& owner : owners_) sum += owner.slot_min;
  for (const Plan& p : plans_) {
    if (p.state == Plan::State::kActive) sum += static_cast<uint32_t>(p.entries);
  }
  return sum;
}

uint32_t ResidencyModel::free_rows(const Profile& profile) const {
  uint32_t count = 0;
  for (uint32_t i = 0; i < profile.slot_count; ++i) count += slots_[profile.slot_first + i].state == State::kFree;
  return count;
}

int64_t ResidencyModel::choose(const Profile& profile) const {
  for (const bool candidate : {false, true}) {
    for (uint32_t i = 0; i < profile.slot_count; ++i) {
      const Slot& slot = slots_[profile.slot_first + i];
      if (slot.state == State::kFree && slot.candidate == candidate) return profile.slot_first + i;
    }
  }
  return -1;
}

bool ResidencyModel::log_has(const View& view, uint32_t count) const {
  const uint64_t needed = records_.size() + pending(0, true) + kLogMargin + count;
  if (view.log_doubt != 0 && view.log_room + view.log_doubt >= needed && view.log_room < needed + view.log_doubt) {
    log_doubted_ = true;
    return log_assumed_;
  }
  return view.log_room >= needed;
}

bool ResidencyModel::entry_near(const View& view) const {
  return view.tag_sweep && (view.free_entries == 0 || view.free_entries <= min_sum());
}

bool ResidencyModel::in_doubt(const View& view) const {
  const uint64_t needed = records_.size() + pending(0, true) + kLogMargin;
  return (view.log_room + view.log_doubt >= needed && view.log_room < needed + 2 + view.log_doubt) || entry_near(view);
}

std::string ResidencyModel::seen(bool log_room, const View& view) {
  if (limits_of_) plans_[*limits_of_].limits.entries = plan_limits(plans_[*limits_of_].owner, view).entries;
  limits_of_.reset();
  const bool refuted = log_doubted_ && log_assumed_ != log_room;
  log_doubted_ = false;
  if (!refuted) return {};
  return log_room ? "there was room in the log" : "there was no room in the log";
}

uint32_t ResidencyModel::effective_owner(uint32_t owner, uint32_t position) const {
  const OwnerState& o = owners_[owner];
  return o.valid && o.has_prefix && position < o.prefix_length ? o.prefix_owner : owner;
}

void ResidencyModel::record(Event kind, Status cause, uint32_t owner, uint32_t position, uint32_t word, uint32_t slot) {
  records_.push_back({kind, cause, owner, position, word, slot});
  const bool ends_slot = kind == Event::kFailed || kind == Event::kLeave;
  record_slots_.push_back(ends_slot ? std::optional(slot) : std::nullopt);
  if (ends_slot) slots_[slot].record_due = true;
}

// ---------------------------------------------------------------------------------------------------- grants and ends

Status ResidencyModel::grant(const Grant& g, const View& view, uint32_t& slot) {
  if (g.owner >= owners_.size() || !owners_[g.owner].valid) return Status::kBadOwner;
  const uint32_t e = g.position < config_.positions ? effective_owner(g.owner, g.position) : g.owner;
  const OwnerState& owner = owners_[e];
  const bool profile_set = g.profile < profiles_.size() && profiles_[g.profile].valid;
  uint32_t share = 0;
  if (profile_set) {
    for (uint32_t p = 0; p < 8; ++p) {
      if ((profiles_[g.profile].plane_mask >> p) & 1U) share = std::max(share, config_.planes[p].share_log2);
    }
  }
  const uint32_t last = g.position | ((1U << share) - 1);
  if (g.position >= config_.positions || last >= owner.committed) return Status::kBadRange;
  if (!profile_set) return Status::kBadProfile;
  if (owners_[g.owner].level != 0 || owner.level != 0) return Status::kWindow;
  const Profile& profile = profiles_[g.profile];
  for (uint32_t i = 0; i < slots_.size(); ++i) {
    Slot& s = slots_[i];
    if ((s.state != State::kFilling && s.state != State::kResident) || s.retired || s.owner != e ||
        s.position != g.position) {
      continue;
    }
    slot = i;
    const Profile& has = profiles_[s.profile];
    const bool covers = has.layer_first <= profile.layer_first &&
                        has.layer_first + has.layer_count >= profile.layer_first + profile.layer_count &&
                        (profile.head_mask & ~has.head_mask) == 0 && (profile.plane_mask & ~has.plane_mask) == 0;
    if (!covers) return Status::kBadProfile;
    s.dwell = std::max(s.dwell, g.dwell);
    return Status::kAlready;
  }
  Plan* plan = active_plan(e);
  if (g.by_scores && plan != nullptr &&
      ((plan->adapt_promotions != 255 && plan->promotions >= plan->adapt_promotions) || used(e) >= plan->adapt_slots ||
       in_region(*plan, g.position))) {
    ++plan->denied_promotions;
    ++plan_counts_.denied_promotions;
    return Status::kPlan;
  }
  if (!log_has(view, 2)) return Status::kLogFull;

  const int64_t share_of_plan = plan_share(e);
  const bool guaranteed = g.by_plan ? share_of_plan > 0 : g.profile == owner.profile && used_own(e) < owner.slot_min;
  Status refused = Status::kOk;
  const int64_t row = g.own_row >= 0 ? g.own_row : choose(profile);
  const bool new_entry = !view.has_entry || !view.has_entry(e, g.position / 16);
  if (used(e) + (g.by_plan ? 0 : share_of_plan) >= owner.slot_max ||
      used_slots() + (guaranteed ? 0 : reserved(-1)) >= config_.sram_budget) {
    refused = Status::kBudget;
  } else if (row < 0 || (!guaranteed && free_rows(profile) <= reserved(g.profile))) {
    refused = Status::kNoSlot;
  } else if ((!guaranteed && min_sum() > 0 && view.free_entries <= min_sum()) ||
             (new_entry && view.free_entries == 0)) {
    entry_doubted_ = view.tag_sweep;
    if (!entry_doubted_ || !entry_assumed_) refused = Status::kNoEntry;
  }
  if (refused != Status::kOk) {
    if (owner.refs == 0 && !pressure_owner_) {
      pressure_owner_ = e;
      pressure_profile_ = refused == Status::kNoSlot ? static_cast<int64_t>(g.profile) : -1;
      pressure_by_plan_ = g.by_plan;
    }
    return refused;
  }

  slot = static_cast<uint32_t>(row);
  Slot& s = slots_[slot];
  s = Slot{};
  s.state = State::kFilling;
  s.own = g.profile == owner.profile && !g.by_plan;
  s.planned = g.by_plan;
  s.strict = g.strict;
  s.fresh = true;
  s.owner = e;
  s.position = g.position;
  s.profile = g.profile;
  s.dwell = g.dwell;
  s.e = g.e;
  s.up = g.up;
  s.down = g.down;
  s.queued = true;
  s.later = g.later;
  if (g.by_scores && plan != nullptr) ++plan->promotions;
  tag_work_[slot] = {};
  fill_queue_.push_back(slot);
  record(Event::kGrant, Status::kOk, e, g.position, 0, slot);
  return Status::kOk;
}

void ResidencyModel::ended(uint32_t slot, Status status) {
  const uint32_t owner = slots_[slot].owner;
  for (const Wait& w : waits_) {
    if (w.slot == slot) answers_[w.tag].push_back({status, slot});
  }
  std::erase_if(waits_, [&](const Wait& w) { return w.slot == slot; });
  owners_[owner].worst = worse(owners_[owner].worst, status);
  ++owners_[owner].ended;
  worst_all_ = worse(worst_all_, status);
  ++ended_all_;
}

void ResidencyModel::gives_up(uint32_t slot, Event kind, Status cause) {
  Slot& s = slots_[slot];
  if (s.retired) ++sweep_.taken;  // also when it fails by itself before the sweep comes to it
  s.state = State::kLeaving;
  tag_work_[slot].remove = !s.retired;
  record(kind, cause, s.owner, s.position, s.word, slot);
}

void ResidencyModel::fail(uint32_t slot, Status cause) {
  gives_up(slot, Event::kFailed, cause);
  ended(slot, cause);
}

void ResidencyModel::leave(uint32_t slot, Status cause) { gives_up(slot, Event::kLeave, cause); }

void ResidencyModel::take(uint32_t slot, Status cause) {
  if (!slots_[slot].retired) ++sweep_.taken;
  if (slots_[slot].state == State::kFilling) {
    fail(slot, Status::kAborted);
  } else {
    leave(slot, cause);
  }
}

void ResidencyModel::settle_waits() {
  const auto over = [this](const Wait& w) { return !w.slot && pending(w.owner, w.all) == 0; };
  // Waits of one kind that end together get the same answer.
  for (const Wait& w : waits_) {
    if (over(w))
      answers_[w.tag].push_back(w.all ? Answer{worst_all_, ended_all_}
                                      : Answer{owners_[w.owner].worst, owners_[w.owner].ended});
  }
  for (const Wait& w : waits_) {
    if (!over(w)) continue;
    (w.all ? worst_all_ : owners_[w.owner].worst) = Status::kOk;
    (w.all ? ended_all_ : owners_[w.owner].ended) = 0;
  }
  std::erase_if(waits_, over);
}

std::string ResidencyModel::placement() const {
  std::string text;
  for (std::size_t i = 0; i < slots_.size(); ++i) {
    const Slot& s = slots_[i];
    if (s.state == State::kFree && !s.candidate) continue;
    text += fmt::format("slot {} state {} owner {} position {} profile {} dwell {} e {} up {} down {}\n", i,
                        static_cast<int>(s.state), s.owner, s.position, s.profile, s.dwell, s.e, s.up, s.down);
  }
  return text;
}

// ---------------------------------------------------------------------------------------------------- commands

Status ResidencyModel::set_profile(const Command& c) {
  if (c.profile >= profiles_.size()) return Status::kBadProfile;
  for (const Slot& s : slots_) {
    if (s.state != State::kFree && s.profile == c.profile) return Status::kBusy;
  }
  for (const auto& owner : owners_) {
    if (owner.slot_min > 0 && owner.profile == c.profile) return Status::kBusy;
  }
  if ((c.flags & 1U) == 0) {
    profiles_[c.profile] = {};
    return Status::kOk;
  }
  Profile p;
  p.valid = true;
  p.layer_first = c.arg0 & 0xffff;
  p.layer_count = (c.arg0 >> 16) & 0xffff;
  p.plane_mask = (c.arg0 >> 32) & 0xff;
  p.head_mask = c.arg1;
  p.slot_first = c.arg2 & 0xffff;
  p.slot_count = (c.arg2 >> 16) & 0xffff;
  p.sram_base = c.arg2 >> 32;
  if (p.layer_count == 0 || p.layer_first + p.layer_count > config_.layers || p.head_mask == 0 || p.plane_mask == 0 ||
      (config_.kv_heads < 64 && (p.head_mask >> config_.kv_heads) != 0) || p.slot_count == 0 ||
      p.slot_first + p.slot_count > config_.slots) {
    return Status::kBadProfile;
  }
  uint64_t head_beats = 0;
  for (uint32_t plane = 0; plane < 8; ++plane) {
    if (((p.plane_mask >> plane) & 1U) == 0) continue;
    if (!config_.planes[plane].valid) return Status::kBadProfile;
    head_beats += config_.planes[plane].row_beats;
  }
  p.slot_beats = head_beats * static_cast<uint64_t>(std::popcount(p.head_mask)) * p.layer_count;
  if (p.sram_base + p.slot_count * p.slot_beats > config_.sram_beats) return Status::kBadProfile;
  for (uint32_t i = 0; i < profiles_.size(); ++i) {
    const Profile& o = profiles_[i];
    if (i == c.profile || !o.valid) continue;
    const bool rows = p.slot_first < o.slot_first + o.slot_count && o.slot_first < p.slot_first + p.slot_count;
    const bool sram = p.sram_base < o.sram_base + o.slot_count * o.slot_beats &&
                      o.sram_base < p.sram_base + p.slot_count * p.slot_beats;
    if (rows || sram) return Status::kBadProfile;
  }
  profiles_[c.profile] = p;
  return Status::kOk;
}

void ResidencyModel::drop_reference(uint32_t prefix_owner) {
  if (--owners_[prefix_owner].refs != 0) return;
  sweep_.demote = prefix_owner;
  for (Slot& s : slots_) {
    if ((s.state == State::kFilling || s.state == State::kResident) && s.owner == prefix_owner) s.dwell = 0;
  }
}

Status ResidencyModel::set_owner(const Command& c, const View& view, bool& sweeps) {
  sweeps = false;
  if (c.owner >= owners_.size()) return Status::kBadOwner;
  OwnerState& old = owners_[c.owner];
  if ((c.flags & 1U) == 0) {
    if (!old.valid) return Status::kBadOwner;
    if (old.refs != 0) return Status::kBusy;
    record(Event::kOwner, Status::kRetired, c.owner, 0, 0, 0);
    if (Plan* plan = plan_of(c.owner)) {
      plan->aborted = plan->state == Plan::State::kCheck;
      if (!plan->aborted) *plan = {};
    }
    const OwnerState before = old;
    old = {};
    old.worst = before.worst;  // for a wait that is under way; the next set_owner starts over
    old.ended = before.ended;
    sweeps = true;
    start_sweep(Op::kSetOwner, c);
    if (before.has_prefix) drop_reference(before.prefix_owner);
    return Status::kOk;
  }
  if (old.refs != 0 || plan_of(c.owner) != nullptr || (old.valid && used(c.owner) != 0) || old.level != 0) {
    return Status::kBusy;
  }
  OwnerState next;
  next.valid = true;
  next.is_public = (c.flags & 2U) != 0;
  next.length = c.first;
  next.committed = c.count;
  next.prefix_length = static_cast<uint32_t>(c.arg1);
  next.prefix_owner = (c.arg1 >> 32) & 0xffff;
  next.has_prefix = (c.flags & 4U) != 0;
  next.tenant = c.arg2 & 0xffff;
  next.slot_min = (c.arg2 >> 16) & 0xffff;
  next.slot_max = (c.arg2 >> 32) & 0xffff;
  next.profile = (c.arg2 >> 48) & 0xff;
  if (next.committed > next.length || next.length > config_.positions) return Status::kBadRange;
  if (next.profile >= profiles_.size() || (next.slot_min > 0 && !profiles_[next.profile].valid)) {
    return Status::kBadProfile;
  }
  for (const Slot& s : slots_) {
    if (s.state != State::kFree && s.owner == c.owner && (s.own || s.planned) && s.profile != next.profile)
      return Status::kBadProfile;
  }
  if (next.slot_max == 0xffff) next.slot_max = config_.slots;
  if (next.slot_max > config_.slots || next.slot_min > next.slot_max) return Status::kBadCommand;
  if (next.has_prefix) {
    if (next.prefix_owner >= owners_.size() || next.prefix_owner == c.owner) return Status::kBadOwner;
    const OwnerState& prefix = owners_[next.prefix_owner];
    if (!prefix.valid || prefix.has_prefix) return Status::kBadOwner;
    if (prefix.tenant != next.tenant && !prefix.is_public) return Status::kTenant;
    if (next.prefix_length == 0 || next.prefix_length > prefix.committed ||
        next.prefix_length % (1U << config_.page_log2) != 0) {
      return Status::kBadRange;
    }
  }
  if (next.slot_min > 0) {
    const OwnerState saved = old;
    old = next;
    const bool fits = min_sum() <= config_.entries && min_sum() <= view.free_entries &&
                      used_slots() + reserved(-1) <= config_.sram_budget &&
                      free_rows(profiles_[next.profile]) >= reserved(next.profile);
    old = saved;
    if (!fits) return Status::kBudget;
  }
  if (!log_has(view, 2) || records_.size() > config_.slots / 2) return Status::kLogFull;
  const OwnerState before = old;
  old = next;
  if (next.has_prefix) ++owners_[next.prefix_owner].refs;
  record(Event::kOwner, Status::kOk, c.owner, next.committed, 0, 0);
  if (before.valid) {
    sweeps = true;
    start_sweep(Op::kSetOwner, c);
    if (before.has_prefix) drop_reference(before.prefix_owner);
  }
  return Status::kOk;
}

void ResidencyModel::start_sweep(Op op, const Command& c) {
  sweep_ = {};
  sweep_.running = true;
  sweep_.op = op;
  sweep_.tag = c.tag;
  sweep_.owner = c.owner;
  sweep_.first = c.first;
  sweep_.last = c.first + c.count - 1;
  if (op == Op::kSetOwner) {
    sweep_.first = 0;
    sweep_.last = config_.positions - 1;
  }
  if (op == Op::kRetire && (c.flags & 1U) != 0) {
    sweep_.all = true;
    sweep_.first = 0;
    sweep_.last = config_.positions - 1;
  }
  for (Slot& s : slots_) s.fresh = false;
  if (op == Op::kSetOwner || op == Op::kRetire) {
    for (Slot& s : slots_) {
      if (in_sweep(s) && (s.state == State::kFilling || s.state == State::kResident)) s.retired = true;
    }
  }
}

bool ResidencyModel::in_sweep(const Slot& s) const {
  return (sweep_.all || s.owner == sweep_.owner) && s.position >= sweep_.first && s.position <= sweep_.last && !s.fresh;
}

void ResidencyModel::tick(uint32_t owner) {
  const OwnerState& o = owners_[owner];
  for (Slot& s : slots_) {
    if (s.state != State::kFilling && s.state != State::kResident) continue;
    const bool prefix = o.has_prefix && s.owner == o.prefix_owner && owners_[o.prefix_owner].level == 0;
    if ((s.owner == owner || prefix) && s.dwell != 0 && s.dwell != kPinned) --s.dwell;
  }
}

std::string ResidencyModel::command(const Command& c, const View& view) {
  Status status = Status::kOk;
  std::optional<uint32_t> value0;
  std::optional<uint64_t> value1;
  bool answered = true;
  const auto op = static_cast<Op>(c.op);
  const bool number_ok = c.owner < owners_.size();
  const bool valid = number_ok && owners_[c.owner].valid;
  const bool range_bad = c.count == 0 || uint64_t{c.first} + c.count > config_.positions;
  const bool sweeps =
      op == Op::kSetOwner || op == Op::kLetGo || op == Op::kAbort || op == Op::kRetire || op == Op::kStepEnd;
  if (sweeps && sweep_.running) return "a sweep was accepted while another is running";

  switch (op) {
    case Op::kSetOwner: {
      bool goes_on = false;
      status = set_owner(c, view, goes_on);
      answered = !goes_on;
      break;
    }
    case Op::kSetLength:
      if (!valid) {
        status = Status::kBadOwner;
      } else if (c.count > c.first || c.first > config_.positions || c.count < owners_[c.owner].committed) {
        status = Status::kBadRange;
      } else if (owners_[c.owner].level != 0 && c.count != owners_[c.owner].committed) {
        status = Status::kWindow;
      } else {
        owners_[c.owner].length = c.first;
        owners_[c.owner].committed = c.count;
      }
      break;
    case Op::kSetProfile:
      status = set_profile(c);
      break;
    case Op::kPromote: {
      uint32_t slot = 0;
      Grant g{c.owner, c.first, c.profile, static_cast<uint32_t>(c.arg2 & 0xffff), 0, 0, 0, -1, c.arg1 != 0};
      status = grant(g, view, slot);
      if (status == Status::kOk || status == Status::kAlready) value0 = slot;
      break;
    }
    case Op::kLetGo:
    case Op::kAbort:
      if (!valid) {
        status = Status::kBadOwner;
      } else if (range_bad) {
        status = Status::kBadRange;
      } else if (owners_[c.owner].level != 0) {
        status = Status::kWindow;
      } else if (owners_[c.owner].refs != 0) {
        status = Status::kBusy;
      } else {
        start_sweep(op, c);
        answered = false;
      }
      break;
    case Op::kRetire:
      if ((c.flags & 1U) == 0 && !valid) {
        status = Status::kBadOwner;
      } else if ((c.flags & 1U) == 0 && range_bad) {
        status = Status::kBadRange;
      } else {
        start_sweep(op, c);
        answered = false;
      }
      break;
    case Op::kStepEnd:
      if (!valid) {
        status = Status::kBadOwner;
      } else if (owners_[c.owner].level != 0) {
        status = Status::kWindow;
      } else {
        start_sweep(op, c);
        sweep_.prefill = (c.flags & 1U) != 0;
        sweep_.no_scores = (c.flags & 2U) != 0;
        if (!sweep_.prefill) tick(c.owner);
        if (Plan* plan = active_plan(c.owner); plan != nullptr && !sweep_.prefill) {
          if (plan->step < 0xffff) ++plan->step;
          plan->promotions = plan->evictions = 0;
        }
        answered = false;
      }
      break;
    case Op::kOpen:
      if (!valid) {
        status = Status::kBadOwner;
      } else if (owners_[c.owner].level == 2) {
        status = Status::kWindow;
      } else if (owners_[c.owner].level == 0 && (!log_has(view, 2) || records_.size() > config_.slots / 2)) {
        status = Status::kLogFull;
      } else if (owners_[c.owner].level++ == 0) {
        record(Event::kWindow, Status::kWindow, c.owner, owners_[c.owner].committed, 0, 0);
      }
      break;
    case Op::kCommit:
      if (!valid) {
        status = Status::kBadOwner;
      } else if (owners_[c.owner].level == 0) {
        status = Status::kWindow;
      } else if (owners_[c.owner].level == 2) {
        owners_[c.owner].level = 1;
      } else if (uint64_t{owners_[c.owner].committed} + c.count > owners_[c.owner].length) {
        status = Status::kBadRange;
      } else {
        owners_[c.owner].committed += c.count;
        owners_[c.owner].level = 0;
        record(Event::kWindow, c.count > 0 ? Status::kOk : Status::kAborted, c.owner, c.count, 0, 0);
      }
      break;
    case Op::kPlan: {
      Answer answer;
      status = valid ? plan_command(c, view, answer, answered) : Status::kBadOwner;
      value0 = answer.value0;
      value1 = answer.value1;
      break;
    }
    case Op::kWaitPromotions: {
      const bool all = (c.flags & 1U) != 0;
      if (!all && !valid) {
        status = Status::kBadOwner;
      } else if ((c.flags & 2U) != 0) {
        status = all ? Status::kBadCommand : c.first >= config_.positions ? Status::kBadRange : Status::kNotResident;
        const uint32_t e = all ? 0 : effective_owner(c.owner, c.first);
        for (uint32_t i = 0; status == Status::kNotResident && i < slots_.size(); ++i) {
          const Slot& s = slots_[i];
          if (s.retired || s.owner != e || s.position != c.first) continue;
          if (s.state == State::kResident) {
            status = Status::kOk;
          } else if (s.state == State::kFilling) {
            status = waits_.size() == kWaits ? Status::kBusy : Status::kOk;
            answered = status != Status::kOk;
            if (!answered) waits_.push_back({c.tag, e, false, i});
          } else {
            continue;
          }
          value0 = i;
        }
      } else if (waits_.size() == kWaits && pending(all ? 0 : c.owner, all) != 0) {
        status = Status::kBusy;
      } else {
        waits_.push_back({c.tag, all ? 0 : c.owner, all});
        answered = false;
      }
      break;
    }
    default:
      status = Status::kBadCommand;
      break;
  }
  if (answered) answers_[c.tag].push_back({status, value0, value1});
  settle_waits();
  return {};
}

// ---------------------------------------------------------------------------------------------------- promotions

std::string ResidencyModel::fill(uint32_t slot, Fill where) {
  if (fill_queue_.empty() || fill_queue_.front() != slot) {
    return fmt::format("slot {} was taken from the fill queue, its head is {}", slot,
                       fill_queue_.empty() ? -1 : static_cast<int64_t>(fill_queue_.front()));
  }
  fill_queue_.pop_front();
  Slot& s = slots_[slot];
  if (where == Fill::kClosed && s.state == State::kFilling) {
    if (!s.strict) return fmt::format("the window of slot {} closed, but it has none", slot);
    s.queued = false;
    fail(slot, Status::kDeadline);
    settle_waits();
    return {};
  }
  if ((s.state == State::kLeaving) != (where == Fill::kDropped)) {
    return fmt::format("slot {} at the head of the fill queue {}", slot,
                       where == Fill::kDropped ? "was dropped while it fills" : "left, and was not dropped");
  }
  if (where == Fill::kDropped) s.queued = false;
  if (where == Fill::kTail) {
    if (!s.later) return fmt::format("slot {} was put off, but may start at any time", slot);
    fill_queue_.push_back(slot);
  }
  return {};
}

std::string ResidencyModel::walk_answer(uint32_t slot, Status status, uint32_t word, bool committed) {
  Slot& s = slots_[slot];
  if (!s.queued) return fmt::format("a translation for slot {}, which waits for none", slot);
  s.queued = false;
  if (s.state == State::kFilling) {
    if (status != Status::kOk) {
      fail(slot, status);
    } else {
      s.word = word;
      if (!committed) {
        fail(slot, Status::kBadRange);
      } else {
        tag_work_[slot].set_word = true;
      }
    }
  }
  settle_waits();
  return {};
}

std::string ResidencyModel::progress(uint32_t slot, uint32_t watermark) {
  if (!slots_[slot].at_dma) return fmt::format("DMA progress for slot {}, which the DMA does not have", slot);
  if (watermark < tag_work_[slot].watermark) return fmt::format("the watermark of slot {} went back", slot);
  tag_work_[slot].watermark = watermark;
  return {};
}

std::string ResidencyModel::dma_end(uint32_t slot, Status status) {
  Slot& s = slots_[slot];
  if (!s.at_dma) return fmt::format("a DMA end for slot {}, which the DMA does not have", slot);
  s.at_dma = false;
  const bool complete = status == Status::kOk || status == Status::kDeadline;
  if (s.state == State::kFilling && !(s.retired && complete)) {
    if (complete) {
      s.state = State::kResident;
      record(Event::kResident, status, s.owner, s.position, s.word, slot);
      ended(slot, status);
    } else {
      fail(slot, status);
    }
  }
  settle_waits();
  return {};
}

// ---------------------------------------------------------------------------------------------------- sweeps

void ResidencyModel::update_e(Slot& row, uint32_t score) const {
  const uint64_t beta = 65536 - config_.alpha;
  const uint64_t target = uint64_t{score} << kEShift;
  const uint64_t distance = target > row.e ? target - row.e : row.e - target;
  const uint64_t step = (distance * beta + 65535) / 65536;
  row.e = target > row.e ? row.e + step : row.e - step;
  row.up = row.e >= uint64_t{config_.t_promote} << kEShift ? std::min(row.up + 1, kRunMax) : 0;
  row.down = row.e < uint64_t{config_.t_evict} << kEShift ? std::min(row.down + 1, kRunMax) : 0;
}

std::string ResidencyModel::sweep_row(uint32_t slot, const View&) {
  Slot& s = slots_[slot];
  if (!sweep_.running) return fmt::format("a sweep acts on slot {}, but none is running", slot);
  const bool held = s.state == State::kFilling || s.state == State::kResident;
  switch (sweep_.op) {
    case Op::kSetOwner:
    case Op::kRetire:
      if (held && in_sweep(s)) {
        take(slot, Status::kRetired);
      } else if (s.state == State::kFree && s.candidate && in_sweep(s)) {
        s.candidate = false;
      }
      break;
    case Op::kLetGo:
      if (held && in_sweep(s)) take(slot, Status::kCommand);
      break;
    case Op::kAbort:
      if (s.state == State::kFilling && in_sweep(s)) take(slot, Status::kCommand);
      break;
    case Op::kStepEnd:
      if (s.state == State::kFree && s.candidate && s.owner == sweep_.owner) {
        const Profile& region = profiles_[owners_[sweep_.owner].profile];
        if (!region.valid || slot < region.slot_first || slot >= region.slot_first + region.slot_count) {
          s.candidate = false;
        }
      }
      break;
    default:
      break;
  }
  settle_waits();
  return {};
}

std::string ResidencyModel::sweep_score(uint32_t slot, uint32_t score, const View& view) {
  if (!sweep_.running || sweep_.op != Op::kStepEnd || sweep_.prefill || !config_.dynamic) {
    return fmt::format("the score of slot {} was taken outside a scored step_end", slot);
  }
  sweep_.scored = true;
  Slot& s = slots_[slot];
  if (s.fresh || s.owner != sweep_.owner) return {};
  const bool candidate = s.state == State::kFree && s.candidate;
  const bool held = s.state == State::kFilling || s.state == State::kResident;
  if (!candidate && !held) return {};
  update_e(s, score);
  Plan* plan = active_plan(s.owner);
  const bool allowed = plan == nullptr || ((plan->adapt_evictions == 255 || plan->evictions < plan->adapt_evictions) &&
                                           !in_region(*plan, s.position));
  if (s.state == State::kResident && s.dwell == 0 && owners_[s.owner].refs == 0 && s.down >= config_.n_evict &&
      log_has(view, 1)) {
    if (allowed) {
      if (plan != nullptr) ++plan->evictions;
      leave(slot, Status::kThreshold);
      ++sweep_.evicted;
    } else {
      ++plan->denied_evictions;
      ++plan_counts_.denied_evictions;
    }
  } else if (candidate) {
    bool stays = true;
    if (s.up >= config_.n_promote) {
      Grant g{s.owner, s.position, owners_[s.owner].profile, config_.n_dwell, s.e, s.up, s.down, slot};
      g.by_scores = true;
      uint32_t at = slot;
      const Status status = grant(g, view, at);
      if (status == Status::kOk) ++sweep_.promoted;
      const bool dropped = status == Status::kAlready || status == Status::kBadProfile;
      if (dropped) s.candidate = false;
      stays = status != Status::kOk && !dropped;
    }
    if (stays) ++sweep_.candidates;
    if (stays && (!sweep_.weakest || s.e < slots_[*sweep_.weakest].e)) sweep_.weakest = slot;
  }
  settle_waits();
  return {};
}

uint32_t ResidencyModel::expected_top_count(bool& expected) const {
  expected = sweep_.running && sweep_.op == Op::kStepEnd && (sweep_.prefill || (config_.dynamic && !sweep_.no_scores));
  if (!expected || !sweep_.prefill) return 1;
  const OwnerState& o = owners_[sweep_.owner];
  if (o.profile >= profiles_.size() || !profiles_[o.profile].valid) return 0;
  const int64_t sure = std::max<int64_t>(int64_t{o.slot_min} - used_own(sweep_.owner), 0);
  const int64_t more = std::min<int64_t>({int64_t{o.slot_max} - used(sweep_.owner) - sure,
                                          int64_t{config_.sram_budget} - used_slots() - reserved(-1),
                                          int64_t{free_rows(profiles_[o.profile])} - reserved(o.profile)});
  return static_cast<uint32_t>(sure + std::max<int64_t>(more, 0));
}

std::string ResidencyModel::top(std::optional<uint32_t> position, uint32_t score, bool, const View& view) {
  if (!sweep_.running || sweep_.op != Op::kStepEnd) return "an answer of Top was taken outside step_end";
  const OwnerState& o = owners_[sweep_.owner];
  if (!position) return {};
  if (sweep_.prefill) {
    const bool pinned = score >= config_.t_pin && config_.t_pin != 0xffffffff;
    Grant g{
        sweep_.owner, *position, o.profile, pinned ? kPinned : config_.n_dwell, uint64_t{score} << kEShift, 0, 0, -1};
    g.by_scores = true;
    uint32_t slot = 0;
    if (grant(g, view, slot) == Status::kOk) ++sweep_.promoted;
    settle_waits();
    return {};
  }
  if ((o.has_prefix && *position < o.prefix_length) || *position >= o.committed) return {};
  Slot row;
  row.candidate = true;
  row.owner = sweep_.owner;
  row.position = *position;
  update_e(row, score);
  const Profile& region = profiles_[o.profile];
  if (!region.valid) return {};
  if (sweep_.candidates + used(sweep_.owner) < o.slot_max) {
    for (uint32_t i = 0; i < region.slot_count; ++i) {
      Slot& s = slots_[region.slot_first + i];
      if (s.state == State::kFree && !s.candidate) {
        s = row;
        return {};
      }
    }
  }
  if (sweep_.weakest) {
    Slot& s = slots_[*sweep_.weakest];
    if (s.state == State::kFree && s.candidate && s.owner == sweep_.owner && s.e < row.e) s = row;
  }
  return {};
}

std::string ResidencyModel::sweep_end() {
  if (!sweep_.running) return "a sweep ended, but none was running";
  std::string why;
  const bool range = sweep_.op != Op::kStepEnd;
  for (uint32_t i = 0; range && i < slots_.size(); ++i) {
    const Slot& s = slots_[i];
    const bool held = s.state == State::kFilling || (s.state == State::kResident && sweep_.op != Op::kAbort);
    if (held && in_sweep(s)) why = fmt::format("the sweep passed slot {}, which it had to take", i);
  }
  Answer answer{Status::kOk, std::nullopt};
  if (sweep_.op == Op::kStepEnd) {
    answer.value0 = sweep_.promoted | sweep_.evicted << 16;
  } else if (sweep_.op != Op::kSetOwner) {
    answer.value0 = sweep_.taken;
    if ((sweep_.op == Op::kLetGo || sweep_.op == Op::kAbort) && sweep_.taken == 0) answer.status = Status::kNotResident;
  }
  answers_[sweep_.tag].push_back(answer);
  sweep_.running = false;
  return why;
}

std::string ResidencyModel::pressure(bool leaves, uint32_t slot, const View& view) {
  if (!pressure_owner_) return "a pressure scan decided, but none was asked for";
  const uint32_t owner = *pressure_owner_;
  std::optional<uint32_t> pick;
  Plan* plan = active_plan(owner);
  if (owners_[owner].level == 0 && owners_[owner].refs == 0 && log_has(view, 1)) {
    for (uint32_t i = 0; i < slots_.size(); ++i) {
      const Slot& s = slots_[i];
      if (s.state != State::kResident || s.owner != owner || s.dwell != 0) continue;
      if (pressure_profile_ >= 0 && s.profile != pressure_profile_) continue;
      if (plan != nullptr && in_region(*plan, s.position)) continue;
      if (!pick || s.e < slots_[*pick].e) pick = i;
    }
  }
  pressure_owner_.reset();
  if (pick && plan != nullptr && !pressure_by_plan_) {
    if (plan->adapt_evictions == 255 || plan->evictions < plan->adapt_evictions) {
      ++plan->evictions;
    } else {
      ++plan->denied_evictions;
      ++plan_counts_.denied_evictions;
      pick.reset();
    }
  }
  if (pick.has_value() != leaves || (pick && *pick != slot)) {
    return fmt::format("under pressure slot {} was to leave, the controller chose {}",
                       pick ? std::to_string(*pick) : "none", leaves ? std::to_string(slot) : "none");
  }
  if (pick) leave(*pick, Status::kEvicted);
  return {};
}

std::string ResidencyModel::freed(uint32_t slot) {
  Slot& s = slots_[slot];
  const char* why = s.state != State::kLeaving ? "it had not left"
                    : s.record_due             ? "its record was not written"
                    : s.at_dma                 ? "the DMA still had it"
                    : s.queued                 ? "its translation was pending"
                                               : nullptr;
  s = Slot{};
  return why == nullptr ? std::string() : fmt::format("slot {} was freed, but {}", slot, why);
}

std::string ResidencyModel::record_taken(const ResidencyRecord& record) {
  if (records_.empty()) return "a record that nothing asked for: " + describe(record);
  const ResidencyRecord expected = records_.front();
  records_.pop_front();
  if (record_slots_.front()) slots_[*record_slots_.front()].record_due = false;
  record_slots_.pop_front();
  if (record == expected) return {};
  return fmt::format("record: expected {}; came {}", describe(expected), describe(record));
}

// ---------------------------------------------------------------------------------------------------- plans

uint32_t ResidencyModel::used_plan(uint32_t owner) const {
  return static_cast<uint32_t>(std::count_if(slots_.begin(), slots_.end(), [&](const Slot& s) {
    return s.state != State::kFree && s.owner == owner && s.planned;
  }));
}

ResidencyModel::Plan* ResidencyModel::plan_of(uint32_t owner) {
  for (Plan& p : plans_) {
    if (p.state != Plan::State::kNone && p.owner == owner) return &p;
  }
  return nullptr;
}

const ResidencyModel::Plan* ResidencyModel::active_plan(uint32_t owner) const {
  for (const Plan& p : plans_) {
    if (p.state == Plan::State::kActive && p.owner == owner) return &p;
  }
  return nullptr;
}

// What the owner's plan still reserves.
int64_t ResidencyModel::plan_share(uint32_t owner) const {
  const Plan* plan = active_plan(owner);
  return plan == nullptr ? 0 : std::max<int64_t>(plan->slots - used_plan(owner), 0);
}

bool ResidencyModel::in_region(const Plan& plan, uint32_t position) {
  return std::any_of(plan.items.begin(), plan.items.end(), [&](const PlanItem& i) {
    return i.kind == PlanItem::Kind::kRegion && position >= i.position && position <= i.last && plan.step >= i.step &&
           (i.dwell == 0 || plan.step < i.step + i.dwell);
  });
}

ResidencyModel::PlanLimits ResidencyModel::plan_limits(uint32_t owner, const View& view) const {
  const OwnerState& o = owners_[owner];
  const Profile& profile = profiles_[o.profile];
  const auto positive = [](int64_t v) { return std::max<int64_t>(v, 0); };
  const int64_t guaranteed = positive(int64_t{o.slot_min} - used_own(owner));
  PlanLimits l;
  l.slots = std::min(positive(int64_t{o.slot_max} - used(owner) - guaranteed),
                     positive(int64_t{config_.sram_budget} - used_slots() - reserved(-1)));
  l.rows = positive(int64_t{free_rows(profile)} - reserved(o.profile));
  l.entries = positive(int64_t{std::min(config_.entries, view.free_entries)} - min_sum());
  l.committed = o.committed;
  l.prefix_length = o.has_prefix ? o.prefix_length : 0;
  l.profile = o.profile;
  l.profile_valid = profile.valid;
  l.slot_beats = profile.valid ? profile.slot_beats : 0;
  for (uint32_t p = 0; profile.valid && p < 8; ++p) {
    if ((profile.plane_mask >> p) & 1U) l.share = std::max(l.share, config_.planes[p].share_log2);
  }
  return l;
}

ResidencyModel::PlanVerdict ResidencyModel::check_plan(const Plan& plan) const {
  using Kind = PlanItem::Kind;
  const PlanLimits& l = plan.limits;
  PlanVerdict v;
  const auto refuse = [&v](uint32_t item, Status reason) {
    v.fits = false;
    v.item = item;
    v.reason = reason;
    return v;
  };
  uint32_t step = 0, regions = 0;
  bool promotes = false;
  std::optional<uint32_t> window_step;
  uint64_t window_room = 0;  // beats, times 32
  for (uint32_t j = 0; j < plan.items.size(); ++j) {
    const PlanItem& item = plan.items[j];
    if (item.kind == Kind::kRegion) {
      if (promotes || regions == 2) return refuse(j, Status::kBadCommand);
      if (item.last >= l.committed) return refuse(j, Status::kBadRange);
      ++regions;
      continue;
    }
    if (item.step < step) return refuse(j, Status::kBadCommand);
    step = item.step;
    if (item.kind == Kind::kWindow) {
      window_step = item.step;
      window_room = (item.until - item.from) * config_.promo_floor;
      continue;
    }
    promotes = true;
    const uint32_t last = item.position | ((1U << l.share) - 1);
    if (last >= l.committed || item.position < l.prefix_length) return refuse(j, Status::kBadRange);
    if (!l.profile_valid) return refuse(j, Status::kBadProfile);
    for (uint32_t i = 0; i < j; ++i) {
      const PlanItem& r = plan.items[i];
      if (r.kind == Kind::kRegion && item.position >= r.position && item.position <= r.last && item.step > r.step &&
          (r.dwell == 0 || item.step < r.step + r.dwell)) {
        return refuse(j, Status::kPlan);
      }
    }
    if (window_step == item.step) {
      if (window_room < 32 * l.slot_beats) return refuse(j, Status::kDeadline);
      window_room -= 32 * l.slot_beats;
    }
    std::set<uint32_t> tokens, granules;  // under contract at this item's step
    for (uint32_t i = 0; i <= j; ++i) {
      const PlanItem& other = plan.items[i];
      if (other.kind != Kind::kPromote) continue;
      // It keeps its slot under contract, and in a region that lasts.
      const bool kept = std::any_of(plan.items.begin(), plan.items.begin() + j, [&](const PlanItem& r) {
        return r.kind == Kind::kRegion && other.position >= r.position && other.position <= r.last &&
               item.step >= r.step && (r.dwell == 0 || item.step < r.step + r.dwell);
      });
      const bool contract = other.dwell == kPinned || other.step == item.step || other.step + other.dwell > item.step;
      if (!kept && !contract) continue;
      tokens.insert(other.position);
      granules.insert(other.position / 16);
    }
    const auto slots = static_cast<int64_t>(tokens.size());
    const auto entries = static_cast<int64_t>(granules.size());
    v.slots = std::max(v.slots, slots);
    v.entries = std::max(v.entries, entries);
    if (slots > l.slots) return refuse(j, Status::kBudget);
    if (slots > l.rows) return refuse(j, Status::kNoSlot);
    if (entries > l.entries) return refuse(j, Status::kNoEntry);
  }
  return v;
}

Status ResidencyModel::plan_command(const Command& c, const View& view, Answer& answer, bool& answered) {
  enum Kind : uint8_t { kBegin, kPromote, kWindow, kRegion, kCommit, kDrop, kQuery };
  if (c.flags > kQuery) return Status::kBadCommand;
  Plan* plan = plan_of(c.owner);
  if (c.flags == kBegin) {
    if (plan != nullptr) return Status::kBusy;
    for (Plan& p : plans_) {
      if (p.state != Plan::State::kNone) continue;
      p = {};
      p.state = Plan::State::kDraft;
      p.owner = c.owner;
      p.adapt_promotions = c.arg0 & 0xff;
      p.adapt_evictions = (c.arg0 >> 8) & 0xff;
      p.adapt_slots = (c.arg0 >> 16) & 0xffff;
      return Status::kOk;
    }
    return Status::kBusy;
  }
  if (plan == nullptr) return Status::kNoPlan;
  if (c.flags == kDrop || c.flags == kQuery) {
    if (plan->state == Plan::State::kActive) {
      // value0 is not told: its lower half, the next item, says how far the block is in its walk over windows and
      // regions
      answer.value1 = uint64_t{plan->denied_promotions} | uint64_t{plan->denied_evictions} << 16 |
                      uint64_t{plan->missed} << 32 | uint64_t{4} << 48;
    }
    if (c.flags == kQuery) return Status::kOk;
    if (plan->state == Plan::State::kCheck) return Status::kBusy;
    *plan = {};
    return Status::kOk;
  }
  if (plan->state != Plan::State::kDraft) return Status::kBusy;
  if (c.flags == kCommit) {
    if (owners_[c.owner].level != 0) return Status::kWindow;
    plan->state = Plan::State::kCheck;
    plan->tag = c.tag;
    plan->limits = plan_limits(c.owner, view);
    limits_of_ = plan - plans_.data();
    answered = false;
    return Status::kOk;
  }
  PlanItem item;
  item.kind = static_cast<PlanItem::Kind>(c.flags);
  item.position = c.first;
  item.last = c.first + c.count - 1;
  item.step = (c.arg2 >> 32) & 0xffff;
  item.dwell = c.arg2 & 0xffff;
  item.from = c.arg0 & 0xffffffff;
  item.until = c.arg0 >> 32;
  answer.value0 = static_cast<uint32_t>(plan->items.size());
  if (c.flags == kPromote && c.first >= config_.positions) return Status::kBadRange;
  if (c.flags == kWindow && item.until <= item.from) return Status::kBadCommand;
  if (c.flags == kRegion && (c.count == 0 || uint64_t{c.first} + c.count > config_.positions)) {
    return Status::kBadRange;
  }
  if (plan->items.size() == config_.plan_items) return Status::kBusy;
  plan->items.push_back(item);
  return Status::kOk;
}

std::string ResidencyModel::plan_start(uint32_t number, const View& view) {
  Plan& plan = plans_[number];
  if (plan.state != Plan::State::kCheck || plan.aborted) return "a check starts again, but none was going on";
  const PlanVerdict v = check_plan(plan);
  const PlanLimits now = plan_limits(plan.owner, view);
  if (!v.fits) return "a check starts again, but the plan does not fit";
  if (v.slots <= now.slots && v.slots <= now.rows && v.entries <= now.entries && plan.limits.profile == now.profile &&
      plan.limits.profile_valid == now.profile_valid && plan.limits.slot_beats == now.slot_beats) {
    return "a check starts again, but the plan fits";
  }
  plan.limits = now;
  return {};
}

std::string ResidencyModel::plan_end(uint32_t number, bool accepted, const View& view) {
  Plan& plan = plans_[number];
  if (plan.state != Plan::State::kCheck) return "a verdict on a plan that was not to be checked";
  PlanVerdict v = check_plan(plan);
  if (plan.aborted) v = {false, 0, Status::kAborted, 0, 0};
  if (v.fits != accepted) {
    return fmt::format("the plan of owner {} was {}, expected: {} (item {}, {})", plan.owner,
                       accepted ? "accepted" : "refused", v.fits ? "accepted" : "refused", v.item, name(v.reason));
  }
  if (!accepted) {
    answers_[plan.tag].push_back({Status::kNoPlan, v.item, static_cast<uint64_t>(v.reason)});
    ++plan_counts_.refused;
    plan = {};
    return {};
  }
  const PlanLimits now = plan_limits(plan.owner, view);
  if (v.slots > now.slots || v.slots > now.rows || v.entries > now.entries) {
    return fmt::format("the plan of owner {} was accepted without room for it", plan.owner);
  }
  ++plan_counts_.accepted;
  answers_[plan.tag].push_back({Status::kOk, static_cast<uint32_t>(v.slots), static_cast<uint64_t>(v.entries)});
  plan.state = Plan::State::kActive;
  plan.slots = v.slots + used_plan(plan.owner);  // beside what earlier plans still hold
  plan.entries = v.entries;
  return {};
}

std::string ResidencyModel::plan_item(uint32_t number, bool late, const View& view) {
  Plan& plan = plans_[number];
  if (plan.state != Plan::State::kActive) return "an item of a plan that is not in force";
  while (plan.head < plan.items.size() && plan.items[plan.head].kind != PlanItem::Kind::kPromote) {
    const PlanItem& item = plan.items[plan.head++];
    if (item.kind != PlanItem::Kind::kWindow) continue;
    plan.window_step = item.step;
    plan.window_from = item.from;
  }
  if (plan.head == plan.items.size()) return "a plan goes on behind its last item";
  const PlanItem& item = plan.items[plan.head];
  if (item.step > plan.step) {
    return fmt::format("the plan of owner {} tries its item {} of step {} in step {}", plan.owner, plan.head, item.step,
                       plan.step);
  }
  const bool strict = plan.window_step == item.step;
  if (late && !strict && item.until == 0) return "a planned promotion is late that has no deadline";
  Grant g{plan.owner, item.position, owners_[plan.owner].profile, item.dwell, 0, 0, 0, -1};
  g.later = item.from != 0 || (strict && plan.window_from != 0);
  g.by_plan = true;
  g.strict = strict;
  uint32_t slot = 0;
  const Status status = grant(g, view, slot);
  const bool placed = status == Status::kOk || status == Status::kAlready;
  const bool no_room = status == Status::kBudget || status == Status::kNoSlot || status == Status::kNoEntry ||
                       status == Status::kLogFull || status == Status::kWindow;
  if (placed) {
    ++plan.head;
    ++plan_counts_.placed_by_plans;
  } else if ((late || !no_room) && log_has(view, 2) && records_.size() <= config_.slots / 2) {
    record(Event::kPlan, status, plan.owner, item.position, 0, 0);
    ++plan.head;
    ++plan.missed;
    ++plan_counts_.missed;
  }
  settle_waits();
  return {};
}

std::optional<ResidencyModel::Answer> ResidencyModel::take_answer(uint32_t tag) {
  auto& queue = answers_[tag];
  if (queue.empty()) return std::nullopt;
  const Answer answer = queue.front();
  queue.pop_front();
  return answer;
}

// ---------------------------------------------------------------------------------------------------- tag commands

std::string ResidencyModel::tag_install(uint32_t owner, uint32_t position, uint32_t slot, uint32_t profile) const {
  const Slot& s = slots_[slot];
  if (s.state == State::kFilling && s.owner == owner && s.position == position && s.profile == profile) return {};
  return fmt::format("slot {} is installed for owner {} position {} without a grant", slot, owner, position);
}

std::string ResidencyModel::tag_answer(bool install, uint32_t owner, uint32_t position, Status status,
                                       uint32_t slot) const {
  const bool there = status == Status::kOk || status == Status::kAlready;
  for (uint32_t i = 0; i < slots_.size(); ++i) {
    const Slot& s = slots_[i];
    if ((s.state != State::kFilling && s.state != State::kResident) || s.retired || s.owner != owner ||
        s.position != position) {
      continue;
    }
    if (there && slot == i) return {};
    return fmt::format("position {} of owner {} has slot {}, the tag array answered {} with {}", position, owner, i,
                       name(status), slot);
  }
  if (!there) return {};
  return fmt::format("position {} of owner {} has no slot, the tag array {} {}", position, owner,
                     install ? "installed" : "found", slot);
}

std::string ResidencyModel::tag_set_word(uint32_t slot, uint32_t word, Status ack) {
  Slot& s = slots_[slot];
  if (!tag_work_[slot].set_word) return fmt::format("the tag of slot {} gets a word that was not asked for", slot);
  tag_work_[slot].set_word = false;
  if (word != s.word)
    return fmt::format("the tag of slot {} gets word {:#x}, the walker said {:#x}", slot, word, s.word);
  if (ack == Status::kOk) {
    s.at_dma = true;
  } else if (ack == Status::kGeneration) {
    fail(slot, Status::kGeneration);
    settle_waits();
  } else if (ack != Status::kNotResident || !s.retired) {
    return fmt::format("the tag array answered {} for slot {}", name(ack), slot);
  }
  return {};
}

std::string ResidencyModel::tag_watermark(uint32_t slot, uint32_t watermark) {
  const Slot& s = slots_[slot];
  if (s.state == State::kResident) return {};
  if (s.state != State::kFilling || watermark > tag_work_[slot].watermark) {
    return fmt::format("the watermark of slot {} becomes {}, the DMA reported {}", slot, watermark,
                       tag_work_[slot].watermark);
  }
  return {};
}

std::string ResidencyModel::tag_remove(uint32_t slot) {
  if (slots_[slot].state != State::kLeaving)
    return fmt::format("the tag of slot {} is removed, but it has not left", slot);
  tag_work_[slot].remove = false;
  return {};
}

std::string ResidencyModel::owed() const {
  if (sweep_.running) return "a sweep is running";
  if (!records_.empty()) return "record not written: " + describe(records_.front());
  if (!waits_.empty()) return "wait_promotions not answered";
  for (const auto& [tag, queue] : answers_) {
    if (!queue.empty()) return fmt::format("command {} not answered", tag);
  }
  for (uint32_t i = 0; i < slots_.size(); ++i) {
    if (tag_work_[i].remove) return fmt::format("the tag of slot {} was not removed", i);
    if (slots_[i].state == State::kFilling) return fmt::format("slot {} is still filling", i);
  }
  return {};
}

}  // namespace kvsink::model

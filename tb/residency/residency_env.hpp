// SPDX-License-Identifier: Apache-2.0
// The surroundings of residency_ctrl for its tests: fakes of walker, tag array, DMA, scorer, log and mux lists, each no
// more than its interface promises, with random stalls; and the checks that hold in every test:
//  - every command ends once, with its own tag and opcode;
//  - a slot is installed only while it is free, and is free again only when its last record was taken, no descriptor or
//    translation of it is out, and no list that was open when it left is still open;
//  - the records of a slot form grant, (resident, leave) or failed, with its owner, position and word;
//  - a slot with dwell left never leaves by the controller's own choice;
//  - a refusal for want of room never meets an owner below its minimum.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "tb/common/bits.hpp"
#include "tb/common/rng.hpp"
#include "tb/common/sim.hpp"

namespace kvsink::tb::residency {

enum Opcode : uint8_t {
  kSetOwner = 1,
  kSetLength,
  kSetProfile,
  kPromote,
  kLetGo,
  kAbort,
  kRetire,
  kStepEnd,
  kOpen,
  kCommit,
  kPlan,
  kWait
};
enum Status : uint32_t {
  kOk,
  kBudget,
  kNoSlot,
  kNoEntry,
  kWindow,
  kBadOwner,
  kBadRange,
  kBadProfile,
  kLogFull,
  kBadCommand,
  kBusy,
  kTenant,
  kUnmapped,
  kGeneration,
  kBusError,
  kTimeout,
  kAborted,
  kDeadline,
  kAlready,
  kNotResident,
  kEvicted,
  kThreshold,
  kCommand,
  kRetired,
  kStale,
  kNoPlan,
  kOutsidePlan
};
enum Event : uint8_t { kEvGrant = 1, kEvResident, kEvFailed, kEvLeave, kEvReadError, kEvOwner, kEvWindow, kEvPlan };
enum TagOp : uint8_t { kInstall, kSetWord, kWatermark, kRemove, kFind };
enum Trace : uint8_t {
  kTrCommand,
  kTrWalk,
  kTrProgress,
  kTrEnd,
  kTrFill,
  kTrRow,
  kTrScore,
  kTrTop,
  kTrPressure,
  kTrFree,
  kTrSweepEnd,
  kTrPlanStart,
  kTrPlanEnd,
  kTrPlanItem
};
enum PlanKind : uint8_t { kPlanBegin, kPlanPromote, kPlanWindow, kPlanRegion, kPlanCommit, kPlanDrop, kPlanQuery };
constexpr uint32_t kPinned = 0xffff;
constexpr uint32_t kLoopIdle = 1;    // residency_ctrl's StIdle in loop_o
constexpr uint32_t kOne = 1U << 14;  // score 1.0

class CheckError : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

struct Cmd {
  uint8_t op = 0, flags = 0;
  uint32_t owner = 0, profile = 0;
  uint32_t first = 0, count = 0;
  uint64_t arg0 = 0, arg1 = 0, arg2 = 0;
};
inline Cmd promote(uint32_t owner, uint32_t position, uint32_t dwell, uint32_t profile = 0, uint64_t deadline = 0,
                   uint64_t not_before = 0) {
  return {.op = kPromote,
          .owner = owner,
          .profile = profile,
          .first = position,
          .arg0 = deadline,
          .arg1 = not_before,
          .arg2 = dwell};
}
inline Cmd range(Opcode op, uint32_t owner, uint32_t first, uint32_t count) {
  return {.op = op, .owner = owner, .first = first, .count = count};
}
inline Cmd simple(Opcode op, uint32_t owner, uint8_t flags = 0) { return {.op = op, .flags = flags, .owner = owner}; }
/// Begin with limits of adaptation; 255 and 0xffff: none.
inline Cmd plan_begin(uint32_t owner, uint32_t promotions = 255, uint32_t evictions = 255, uint32_t slots = 0xffff) {
  return {.op = kPlan, .flags = kPlanBegin, .owner = owner, .arg0 = promotions | evictions << 8 | slots << 16};
}
struct PlanTimes {
  uint32_t not_before = 0, deadline = 0;
};
inline Cmd plan_promote(uint32_t owner, uint32_t position, uint32_t dwell, uint32_t step = 0, PlanTimes times = {}) {
  return {.op = kPlan,
          .flags = kPlanPromote,
          .owner = owner,
          .first = position,
          .arg0 = times.not_before | static_cast<uint64_t>(times.deadline) << 32,
          .arg2 = dwell | static_cast<uint64_t>(step) << 32};
}
inline Cmd plan_window(uint32_t owner, uint32_t begin, uint32_t end, uint32_t step = 0) {
  return {.op = kPlan,
          .flags = kPlanWindow,
          .owner = owner,
          .arg0 = begin | static_cast<uint64_t>(end) << 32,
          .arg2 = static_cast<uint64_t>(step) << 32};
}
inline Cmd plan_region(uint32_t owner, uint32_t first, uint32_t count, uint32_t step = 0, uint32_t steps = 0) {
  return {.op = kPlan,
          .flags = kPlanRegion,
          .owner = owner,
          .first = first,
          .count = count,
          .arg2 = steps | static_cast<uint64_t>(step) << 32};
}
struct OwnerArgs {
  uint32_t length = 256, committed = 256;
  uint32_t tenant = 1;
  bool is_public = false;
  int64_t prefix_owner = -1;  // none
  uint32_t prefix_len = 0;
  uint32_t profile = 0, slot_min = 0, slot_max = 0xffff;
};
inline Cmd set_owner(uint32_t owner, const OwnerArgs& a) {
  Cmd c{.op = kSetOwner, .owner = owner, .first = a.length, .count = a.committed};
  c.flags = static_cast<uint8_t>(1 | (a.is_public ? 2 : 0) | (a.prefix_owner >= 0 ? 4 : 0));
  c.arg0 = 0x10000 + owner * 0x1000;
  c.arg1 = a.prefix_len | (static_cast<uint64_t>(a.prefix_owner < 0 ? 0 : a.prefix_owner) << 32);
  c.arg2 = a.tenant | (static_cast<uint64_t>(a.slot_min) << 16) | (static_cast<uint64_t>(a.slot_max) << 32) |
           (static_cast<uint64_t>(a.profile) << 48);
  return c;
}
struct ProfileArgs {
  uint32_t layer_first = 0, layer_count = 2;
  uint64_t heads = 3;
  uint32_t planes = 3;
  uint32_t slot_first = 0, slot_count = 8;
  uint32_t sram_base = 0;
};
inline Cmd set_profile(uint32_t number, const ProfileArgs& a) {
  return {
      .op = kSetProfile,
      .flags = 1,
      .profile = number,
      .arg0 = a.layer_first | (static_cast<uint64_t>(a.layer_count) << 16) | (static_cast<uint64_t>(a.planes) << 32),
      .arg1 = a.heads,
      .arg2 = a.slot_first | (static_cast<uint64_t>(a.slot_count) << 16) | (static_cast<uint64_t>(a.sram_base) << 32)};
}

struct Done {
  uint8_t op = 0;
  Status status = kOk;
  uint16_t tag = 0;
  uint32_t value0 = 0;
  uint64_t value1 = 0;
  uint32_t cycles = 0;
  uint64_t seen = 0;  // cycle in which it was taken
};

struct Record {
  uint8_t kind = 0;
  Status cause = kOk;
  uint32_t owner = 0, position = 0, word = 0, slot = 0;
  bool operator==(const Record&) const = default;
};
inline std::string text(const Record& r) {
  return "{kind " + std::to_string(r.kind) + ", cause " + std::to_string(r.cause) + ", owner " +
         std::to_string(r.owner) + ", position " + std::to_string(r.position) + ", word " + std::to_string(r.word) +
         ", slot " + std::to_string(r.slot) + "}";
}

/// What is known of a slot from outside.
struct Slot {
  enum State { kFree, kFilling, kResident, kLeaving } state = kFree;
  uint32_t owner = 0, position = 0, profile = 0, entry = 0, word = 0;
  bool word_known = false;
  bool own = false;
  uint32_t dwell = 0, dwell_when_left = 0;
  uint8_t last_record = 0;  // kind of the last record taken of this life
  bool last_taken = false;  // EvLeave or EvFailed taken
  bool walking = false, at_dma = false;
  uint32_t left_serial = 0;
};

struct Owner {
  bool valid = false;
  std::optional<uint32_t> prefix;
  uint32_t prefix_len = 0, profile = 0, slot_min = 0, slot_max = 0, committed = 0;
  uint32_t level = 0;
  uint32_t refs = 0;
};

struct List {
  bool open = false;
  uint32_t owner = 0;
  std::optional<uint32_t> prefix;
  uint32_t serial = 0;
};

/// What passes at the ports, in order, for whoever watches; the trace of a cycle comes before all else of that cycle.
enum class Seen {
  kTrace,         // kind, slot, data
  kCommand,       // tag; the command is beside it
  kDone,          // tag, status, value0, value1
  kWalkAnswer,    // status, word, committed
  kProgress,      // slot, watermark
  kEnd,           // slot, status
  kScoreAnswer,   // is a token, position, score, last
  kScoreCommand,  // op, position, count
  kTagCommand,    // op, owner, position, slot, profile, word, watermark
  kTagAck,        // status
  kRecord         // kind, cause, owner, position, word, slot
};
using SeenFields = std::array<uint64_t, 7>;

struct Stalls {
  unsigned done = 0, walk_req = 0, walk_rsp = 0, tag = 0, desc = 0, abort = 0, dma = 0, score = 0, log = 0, cmd = 0;
  static Stalls all(unsigned p) { return {p, p, p, p, p, p, p, p, p, p}; }
};

template <class V>
class Env {
 public:
  explicit Env(uint64_t seed = seed_from_env(), Stalls stalls = {}) : rng(seed), stalls_(stalls), sim_(seed) {
    sim_->clk_i = 0;
    settings();
    idle();
    sim_.reset();
    sim_.settle();
    owners = sim_->cfg_owners_o;
    entries = sim_->cfg_entries_o;
    slots = sim_->cfg_slots_o;
    profiles = sim_->cfg_profiles_o;
    positions = sim_->cfg_positions_o;
    readers = sim_->cfg_readers_o;
    sram_beats = sim_->cfg_sram_beats_o;
    kv_heads = sim_->cfg_kv_heads_o;
    plans = sim_->cfg_plans_o;
    plan_items = sim_->cfg_plan_items_o;
    slot.resize(slots);
    owner.resize(owners);
    lists.resize(readers);
    used_entries.assign(entries, {});
    sim_.edge();
  }

  // ---- registers
  uint32_t budget = 0xffff, t_sink = 3 * kOne, t_pin = 0xffffffff, t_promote = 3 * kOne, t_evict = 3 * kOne / 2;
  uint32_t alpha = 58982, n_promote = 3, n_dwell = 3, n_evict = 3;
  bool dynamic = false;
  uint32_t promo_floor = 2;
  uint32_t layers = 8, page_log2 = 4, share_log2 = 0, row_beats = 2;

  // ---- sizes of the instance
  uint32_t owners = 0, entries = 0, slots = 0, profiles = 0, positions = 0, readers = 0, sram_beats = 0, kv_heads = 0;
  uint32_t plans = 0, plan_items = 0;

  Rng rng;
  std::vector<Slot> slot;
  std::vector<Owner> owner;
  std::vector<List> lists;
  uint32_t list_serial = 0xfffffff0;  // wraps during a test
  std::deque<Record> records;         // taken by the log, not yet looked at
  uint32_t log_capacity = 256, log_held = 0;
  bool log_drains = true;
  bool drain_between = false;  // the log gives room only while the controller decides nothing
  uint32_t fence_cycles = 3;
  std::map<std::pair<uint32_t, uint32_t>, Status> walk_fault;  // (owner, position) -> status
  std::set<std::pair<uint32_t, uint32_t>> uncommitted;
  unsigned dma_latency = 20, dma_fault_percent = 0;
  bool dma_hold = false;  // nothing progresses or ends
  std::optional<Status> dma_status;
  std::map<uint32_t, uint32_t> scores;  // of the batch
  std::optional<uint32_t> batch;
  std::set<uint32_t> marked;
  unsigned free_batches = 0;
  uint32_t last_top_count = 0, tops = 0;
  struct Pulse {
    bool all;
    uint32_t owner, first, last;
  };
  std::deque<Pulse> retires;
  std::deque<uint32_t> keep_ends, flushes, frees;
  unsigned fences = 0, aborts = 0, evictions = 0;
  unsigned plan_missed = 0, denied_promotions = 0, denied_evictions = 0, deadlines_missed = 0;
  std::deque<std::pair<uint32_t, uint32_t>> installs;  // slot, position, in order
  struct Desc {
    uint32_t slot, profile, owner, position, word, base, tier;
    uint64_t deadline;
  };
  std::deque<Desc> descs;                 // all taken
  std::map<uint32_t, uint64_t> averages;  // E by slot, as updated
  std::function<void(Seen, const SeenFields&, const Cmd*)> watch;
  uint64_t wall = 0;  // cycles
  unsigned max_promote_latency = 0;

  [[nodiscard]] uint64_t now() const { return sim_.cycle(); }
  V& ports() { return *sim_; }

  // ---- commands
  uint16_t send(const Cmd& c) {
    const uint16_t tag = next_tag_++;
    waiting_.push_back({tag, c});
    return tag;
  }
  std::optional<Done> result(uint16_t tag) {
    const auto it = done_.find(tag);
    if (it == done_.end()) return std::nullopt;
    const Done d = it->second;
    done_.erase(it);
    return d;
  }
  Done run(const Cmd& c, uint64_t limit = 20000) {
    const uint16_t tag = send(c);
    return wait(tag, limit);
  }
  Done wait(uint16_t tag, uint64_t limit = 20000) {
    for (uint64_t i = 0; i < limit; ++i) {
      if (auto d = result(tag)) return *d;
      tick();
    }
    throw CheckError("command " + std::to_string(tag) + " did not end:" + state());
  }
  [[nodiscard]] bool commands_out() const { return !waiting_.empty() || !open_.empty(); }
  void ticks(uint64_t n) {
    while (n-- != 0) tick();
  }
  /// Until nothing is filling, every record was taken and every slot that left is free.
  void settle_down(uint64_t limit = 60000) {
    uint64_t calm = 0;
    for (uint64_t i = 0; i < limit; ++i) {
      bool busy = commands_out();
      for (const auto& s : slot) busy |= s.state == Slot::kFilling || s.state == Slot::kLeaving;
      calm = busy ? 0 : calm + 1;
      if (calm > 64) return;
      tick();
    }
    throw CheckError("the controller did not settle:" + state());
  }
  /// The contract of every slot that is held, as the slot table has it, against what the steps left of it.
  void check_contracts() {
    for (uint32_t i = 0; i < slots; ++i) {
      const Slot& s = slot[i];
      if (s.state != Slot::kFilling && s.state != Slot::kResident) continue;
      sim_->peek_slot_i = i;
      sim_.settle();
      need(sim_->peek_dwell_o == s.dwell, "slot " + std::to_string(i) + " has dwell " +
                                              std::to_string(sim_->peek_dwell_o) + ", due is " +
                                              std::to_string(s.dwell));
    }
  }
  Record record() {
    for (int i = 0; i < 5000 && records.empty(); ++i) tick();
    if (records.empty()) throw CheckError("no record came");
    const Record r = records.front();
    records.pop_front();
    return r;
  }

  [[nodiscard]] uint32_t used(uint32_t o) const {
    uint32_t n = 0;
    for (const auto& s : slot) n += s.state != Slot::kFree && s.owner == o;
    return n;
  }
  [[nodiscard]] uint32_t used_all() const {
    uint32_t n = 0;
    for (const auto& s : slot) n += s.state != Slot::kFree;
    return n;
  }
  [[nodiscard]] const Slot* find(uint32_t o, uint32_t position) const {
    for (const auto& s : slot) {
      if ((s.state == Slot::kFilling || s.state == Slot::kResident) && s.owner == o && s.position == position)
        return &s;
    }
    return nullptr;
  }
  [[nodiscard]] uint32_t free_entries() const {
    uint32_t n = 0;
    for (const auto& e : used_entries) n += !e.has_value();
    return n;
  }
  [[nodiscard]] bool has_entry(uint32_t o, uint32_t granule) const {
    return std::any_of(used_entries.begin(), used_entries.end(),
                       [&](const auto& e) { return e && e->owner == o && e->granule == granule; });
  }
  static uint32_t word_of(uint32_t o, uint32_t position) {
    return static_cast<uint32_t>(mix64(o * 4096 + position / 16) & 0x7fffffff);
  }

  // ---- one cycle
  void tick() {
    settings();
    drive();
    sim_.settle();
    observe();
    sim_.edge();
    ++wall;
  }

 private:
  struct Waiting {
    uint16_t tag;
    Cmd cmd;
  };
  struct Open {
    Cmd cmd;
    uint64_t accepted;
  };
  struct Ack {
    uint64_t at;
    Status status;
    uint32_t entry, slot;
  };
  struct Walk {
    uint32_t owner, position;
    uint64_t at;
    uint32_t slot;
  };
  struct Job {
    Desc desc;
    uint64_t next;   // cycle of the next progress or the end
    uint32_t layer;  // layers done
    uint32_t until;
    bool aborted = false;
    /// Its beats in flight come first.
    void abort(uint64_t at) {
      if (!aborted) next = at;
      aborted = true;
    }
  };
  struct Token {
    uint32_t slot, profile;
  };
  struct Entry {
    uint32_t owner, granule;
    std::optional<uint32_t> word;
    std::map<uint32_t, Token> tokens;
  };
  struct Score {
    uint32_t op, position, count, threshold;
    bool mark, prefill;
  };
  struct Answer {
    bool token;
    uint32_t position, score;
    bool last;
  };

  std::string state() {
    std::string t = " loop " + std::to_string(sim_->loop_o >> 24) + "/" + std::to_string(sim_->loop_o >> 16 & 255) +
                    "/" + std::to_string(sim_->loop_o >> 8 & 255) + "/" + std::to_string(sim_->loop_o & 255) + ",";
    for (const auto& [tag, o] : open_) t += " open " + std::to_string(tag) + " op " + std::to_string(o.cmd.op);
    t += ", waiting " + std::to_string(waiting_.size());
    for (size_t i = 0; i < slot.size(); ++i) {
      if (slot[i].state == Slot::kFilling || slot[i].state == Slot::kLeaving) {
        t += ", slot " + std::to_string(i) + " state " + std::to_string(slot[i].state) + " walking " +
             std::to_string(slot[i].walking) + " dma " + std::to_string(slot[i].at_dma);
      }
    }
    return t + ", at the DMA " + std::to_string(jobs_.size()) + ", translations " + std::to_string(walks_.size());
  }
  static void fail(const std::string& what) { throw CheckError(what); }
  void need(bool ok, const std::string& what) {
    if (!ok) fail(what + " (cycle " + std::to_string(now()) + ")");
  }

  void settings() {
    auto& p = *sim_;
    p.now_i = sim_.cycle();
    p.sram_budget_i = std::min<uint32_t>(budget, slots == 0 ? 0 : slots);
    p.t_sink_i = t_sink;
    p.t_pin_i = t_pin;
    p.t_promote_i = t_promote;
    p.t_evict_i = t_evict;
    p.alpha_i = static_cast<uint16_t>(alpha);
    p.n_promote_i = static_cast<uint8_t>(n_promote);
    p.n_dwell_i = static_cast<uint16_t>(n_dwell);
    p.n_evict_i = static_cast<uint8_t>(n_evict);
    p.dynamic_i = dynamic;
    p.promo_floor_i = static_cast<uint8_t>(promo_floor);
    p.page_log2_i = static_cast<uint8_t>(page_log2);
    p.layers_i = layers;
    p.planes_i = 0x83;
    p.row_beats_i = row_beats;
    p.share_log2_i = static_cast<uint8_t>(share_log2);
  }
  void idle() {
    auto& p = *sim_;
    p.cmd_valid_i = 0;
    p.done_ready_i = 0;
    p.ctx_owner_i = 0;
    p.prof_number_i = 0;
    p.walk_req_ready_i = 0;
    p.walk_rsp_valid_i = 0;
    p.tag_cmd_ready_i = 0;
    p.tag_ack_valid_i = 0;
    p.tag_free_entries_i = 0;
    p.tag_sweep_busy_i = 0;
    p.fence_busy_i = 0;
    p.desc_ready_i = 0;
    p.abort_ready_i = 0;
    p.progress_valid_i = 0;
    p.end_valid_i = 0;
    p.batch_valid_i = 0;
    p.sc_ready_i = 0;
    p.rsp_valid_i = 0;
    p.ev_ready_i = 0;
    p.log_room_i = 0;
    for (unsigned i = 0; i < 16; ++i) p.list_open_i[i] = 0;
  }

  void saw(Seen what, const SeenFields& f, const Cmd* c = nullptr) {
    if (watch) watch(what, f, c);
  }
  bool go(unsigned percent) { return !rng.percent(percent); }

  void drive() {
    auto& p = *sim_;
    // commands
    if (!cmd_up_ && !waiting_.empty() && go(stalls_.cmd)) cmd_up_ = true;
    p.cmd_valid_i = cmd_up_;
    if (cmd_up_) {
      const auto& [tag, c] = waiting_.front();
      set_bits(p.cmd_i, 0, 8, c.op);
      set_bits(p.cmd_i, 8, 8, c.flags);
      set_bits(p.cmd_i, 16, 16, tag);
      set_bits(p.cmd_i, 32, 32, c.first);
      set_bits(p.cmd_i, 64, 32, c.count);
      set_bits(p.cmd_i, 96, 16, c.owner);
      set_bits(p.cmd_i, 112, 16, c.profile);
      set_bits(p.cmd_i, 128, 64, c.arg0);
      set_bits(p.cmd_i, 192, 64, c.arg1);
      set_bits(p.cmd_i, 256, 64, c.arg2);
    } else {
      scramble(p.cmd_i, 512, rng);
    }
    p.done_ready_i = go(stalls_.done);

    // walker
    p.walk_req_ready_i = go(stalls_.walk_req);
    if (!walk_up_ && !walks_.empty() && walks_.front().at <= now() && go(stalls_.walk_rsp)) walk_up_ = true;
    p.walk_rsp_valid_i = walk_up_;
    if (walk_up_) {
      const auto& w = walks_.front();
      const auto fault = walk_fault.find({w.owner, w.position});
      p.walk_rsp_status_i = fault == walk_fault.end() ? kOk : fault->second;
      p.walk_rsp_owner_i = w.owner;
      p.walk_rsp_word_i = word_of(w.owner, w.position);
      p.walk_rsp_committed_i = uncommitted.count({w.owner, w.position}) == 0;
    }

    // tag array
    p.tag_cmd_ready_i = go(stalls_.tag);
    p.tag_ack_valid_i = ack_.has_value() && ack_->at == now();
    if (p.tag_ack_valid_i) {
      p.tag_ack_status_i = ack_->status;
      p.tag_ack_entry_i = ack_->entry;
      p.tag_ack_slot_i = ack_->slot;
    }
    p.tag_free_entries_i = free_entries();
    p.tag_sweep_busy_i = now() < tag_sweep_until_;
    p.fence_busy_i = now() < fence_until_;

    // DMA
    p.desc_ready_i = jobs_.size() < 6 && go(stalls_.desc);
    p.abort_ready_i = go(stalls_.abort);
    if (!progress_up_ && !end_up_) {
      for (size_t i = 0; i < jobs_.size() && !progress_up_ && !end_up_; ++i) {
        auto& j = jobs_[i];
        if ((dma_hold && !j.aborted) || j.next > now() || !go(stalls_.dma)) continue;
        job_ = j.desc.slot;
        if (j.aborted) {
          end_status_ = kAborted;
          end_up_ = true;
        } else if (j.layer + 1 < j.until) {
          progress_mark_ = ++j.layer;
          j.next = now() + 1 + rng.below(dma_latency / 4 + 1);
          progress_up_ = true;
        } else {
          end_status_ = dma_status ? *dma_status : kOk;
          if (rng.percent(dma_fault_percent)) {
            const std::array<Status, 3> faults = {kBusError, kTimeout, kDeadline};
            end_status_ = faults[rng.below(3)];
          }
          end_up_ = true;
        }
      }
    }
    p.progress_valid_i = progress_up_;
    p.progress_slot_i = job_;
    p.progress_watermark_i = progress_mark_;
    p.end_valid_i = end_up_;
    p.end_slot_i = job_;
    p.end_status_i = end_status_;

    // scorer
    p.batch_valid_i = batch.has_value();
    p.batch_owner_i = batch.value_or(0);
    p.sc_ready_i = score_answers_.empty() && go(stalls_.score);
    if (!answer_up_ && !score_answers_.empty() && go(stalls_.score)) answer_up_ = true;
    p.rsp_valid_i = answer_up_;
    if (answer_up_) {
      p.rsp_token_i = score_answers_.front().token;
      p.rsp_position_i = score_answers_.front().position;
      p.rsp_score_i = score_answers_.front().score;
      p.rsp_last_i = score_answers_.front().last;
    }

    // log
    const bool calm = !drain_between || (p.loop_o & 0xff) == kLoopIdle;
    if (log_drains && log_held != 0 && rng.percent(50) && calm) --log_held;
    p.ev_ready_i = log_held < log_capacity && go(stalls_.log);
    p.log_room_i = log_capacity - log_held;

    for (unsigned i = 0; i < readers; ++i) {
      p.list_open_i[i] = lists[i].open;
      p.list_owner_i[i] = lists[i].owner;
      p.list_prefix_valid_i[i] = lists[i].prefix.has_value();
      p.list_prefix_owner_i[i] = lists[i].prefix.value_or(0);
      p.list_serial_of_i[i] = lists[i].serial;
    }
    p.list_serial_i = list_serial;
  }

  void observe() {
    auto& p = *sim_;
    // The trace is a cycle late: it goes first.
    if (p.trace_valid_o) saw(Seen::kTrace, {p.trace_kind_o, p.trace_slot_o, p.trace_data_o});
    if (p.trace_valid_o) {
      planning_ = p.trace_kind_o == kTrPlanItem;
      finding_ = finding_ && p.trace_kind_o == kTrCommand;
      promoting_ = promoting_ && p.trace_kind_o == kTrCommand;
    }
    if (p.trace_valid_o && p.trace_kind_o == kTrFree) freed(p.trace_slot_o);
    if (p.trace_valid_o && p.trace_kind_o == kTrFill && p.trace_data_o == 0) {
      slot[p.trace_slot_o].walking = true;
      to_walker_.push_back(p.trace_slot_o);
    }

    if (p.cmd_valid_i && p.cmd_ready_o) {
      const auto w = waiting_.front();
      waiting_.pop_front();
      cmd_up_ = false;
      need(open_.emplace(w.tag, Open{w.cmd, now()}).second, "the bench used a tag twice");
      accepted(w.cmd);
      saw(Seen::kCommand, {w.tag}, &w.cmd);
    }
    if (p.done_valid_o && !done_seen_) {
      done_seen_ = true;
      const auto tag = static_cast<uint16_t>(get_bits(p.done_o, 16, 16));
      const auto it = open_.find(tag);
      need(it != open_.end(), "done of a command that is not out, tag " + std::to_string(tag));
      if (it->second.cmd.op == kPromote && done_was_idle_) {
        max_promote_latency = std::max(max_promote_latency, static_cast<unsigned>(now() - it->second.accepted));
      }
    }
    done_was_idle_ = !p.done_valid_o || p.done_ready_i;
    if (p.done_valid_o && p.done_ready_i) {
      done_seen_ = false;
      Done d;
      d.op = static_cast<uint8_t>(get_bits(p.done_o, 0, 8));
      d.status = static_cast<Status>(get_bits(p.done_o, 8, 8));
      d.tag = static_cast<uint16_t>(get_bits(p.done_o, 16, 16));
      d.value0 = static_cast<uint32_t>(get_bits(p.done_o, 32, 32));
      d.value1 = get_bits(p.done_o, 64, 64);
      d.cycles = static_cast<uint32_t>(get_bits(p.done_o, 128, 32));
      d.seen = now();
      const auto it = open_.find(d.tag);
      need(it != open_.end(), "done of a command that is not out");
      need(it->second.cmd.op == d.op, "done with another opcode");
      ended(it->second.cmd, d);
      saw(Seen::kDone, {d.tag, d.status, d.value0, d.value1});
      open_.erase(it);
      done_[d.tag] = d;
    }

    // retire and its companions
    if (p.retire_valid_o) {
      const Pulse r{p.retire_all_o != 0, p.retire_owner_o, p.retire_first_o, p.retire_last_o};
      retires.push_back(r);
      for (auto& e : used_entries) {
        if (!e || (!r.all && e->owner != r.owner)) continue;
        std::erase_if(e->tokens, [&](const auto& t) {
          const uint32_t at = e->granule * 16 + t.first;
          return r.all || (at >= r.first && at <= r.last);
        });
        if (e->tokens.empty()) e.reset();
      }
      for (auto& j : jobs_) {
        if (r.all || (j.desc.owner == r.owner && j.desc.position >= r.first && j.desc.position <= r.last))
          j.abort(now() + rng.below(60));
      }
      for (auto& s : slot) {
        if ((s.state == Slot::kFilling || s.state == Slot::kResident) &&
            (r.all || (s.owner == r.owner && s.position >= r.first && s.position <= r.last)))
          leaves(s);
      }
      tag_sweep_until_ = now() + 1 + rng.below(entries + 8);
    }
    if (p.fence_o) {
      ++fences;
      fence_until_ = now() + 1 + rng.below(fence_cycles + 1);
    }
    if (p.keep_end_valid_o) keep_ends.push_back(p.keep_end_all_o ? ~0U : p.keep_end_owner_o);
    if (p.score_flush_o) {
      flushes.push_back(p.score_flush_owner_o);
      if (batch == p.score_flush_owner_o) batch.reset();
    }

    // walker
    if (p.walk_rsp_valid_i && p.walk_rsp_ready_o) {
      saw(Seen::kWalkAnswer, {p.walk_rsp_status_i, p.walk_rsp_word_i, p.walk_rsp_committed_i});
      slot[walks_.front().slot].walking = false;
      walks_.pop_front();
      walk_up_ = false;
    }
    if (p.walk_req_valid_o && p.walk_req_ready_i) {
      need(!to_walker_.empty(), "a translation asked for without a slot");
      const uint32_t n = to_walker_.front();
      to_walker_.pop_front();
      need(slot[n].state != Slot::kFree && slot[n].owner == p.walk_req_owner_o &&
               slot[n].position == p.walk_req_position_o,
           "a translation asked for a token that was not granted");
      walks_.push_back({p.walk_req_owner_o, p.walk_req_position_o, now() + 1 + rng.below(12), n});
    }

    // tag array
    if (ack_ && ack_->at == now()) {
      saw(Seen::kTagAck, {ack_->status});
      ack_.reset();
    }
    if (p.tag_cmd_valid_o && p.tag_cmd_ready_i) {
      saw(Seen::kTagCommand, {p.tag_op_o, p.tag_owner_o, p.tag_position_o, p.tag_slot_o, p.tag_profile_o, p.tag_word_o,
                              p.tag_watermark_o});
      tag_command();
    }

    // DMA
    if (p.progress_valid_i && p.progress_ready_o) {
      saw(Seen::kProgress, {p.progress_slot_i, p.progress_watermark_i});
      progress_up_ = false;
    }
    if (p.end_valid_i && p.end_ready_o) {
      saw(Seen::kEnd, {p.end_slot_i, p.end_status_i});
      end_up_ = false;
      const auto it = std::find_if(jobs_.begin(), jobs_.end(), [&](const Job& j) { return j.desc.slot == job_; });
      jobs_.erase(it);
      slot[job_].at_dma = false;
    }
    if (p.abort_valid_o && p.abort_ready_i) {
      ++aborts;
      for (auto& j : jobs_) {
        if (j.desc.slot == p.abort_slot_o && !(end_up_ && job_ == j.desc.slot)) {
          j.abort(now() + rng.below(60));
        }
      }
    }
    if (p.desc_valid_o && p.desc_ready_i) {
      const Desc d{p.desc_slot_o, p.desc_profile_o,   p.desc_owner_o, p.desc_position_o,
                   p.desc_word_o, p.desc_sram_base_o, p.desc_tier_o,  p.desc_deadline_o};
      auto& s = slot[d.slot];
      need(s.state == Slot::kFilling || s.state == Slot::kLeaving, "a descriptor of a slot that was not granted");
      need(s.owner == d.owner && s.position == d.position && s.profile == d.profile, "a descriptor of another token");
      need(d.word == word_of(d.owner, d.position), "a descriptor with a wrong translation");
      need(!s.at_dma, "a second descriptor of a slot");
      s.at_dma = true;
      descs.push_back(d);
      jobs_.push_back({d, now() + 1 + rng.below(dma_latency), 0, 1 + static_cast<uint32_t>(rng.below(4)), false});
    }

    // scorer
    if (p.rsp_valid_i && p.rsp_ready_o) {
      saw(Seen::kScoreAnswer, {p.rsp_token_i, p.rsp_position_i, p.rsp_score_i, p.rsp_last_i});
      score_answers_.pop_front();
      answer_up_ = false;
    }
    if (p.sc_valid_o && p.sc_ready_i) {
      saw(Seen::kScoreCommand, {p.sc_op_o, p.sc_position_o, p.sc_count_o});
      score_command(
          {p.sc_op_o, p.sc_position_o, p.sc_count_o, p.sc_threshold_o, p.sc_mark_o != 0, p.sc_prefill_o != 0});
    }

    if (p.e_valid_o) averages[p.e_slot_o] = p.e_o;
    if (p.count_evicted_o) ++evictions;
    plan_missed += p.count_plan_missed_o;
    denied_promotions += p.count_denied_promotion_o;
    denied_evictions += p.count_denied_eviction_o;
    deadlines_missed += p.count_missed_o;
    if (p.ev_valid_o && p.ev_ready_i) {
      saw(Seen::kRecord, {p.ev_kind_o, p.ev_cause_o, p.ev_owner_o, p.ev_position_o, p.ev_word_o, p.ev_slot_o});
      ++log_held;
      take_record(
          {p.ev_kind_o, static_cast<Status>(p.ev_cause_o), p.ev_owner_o, p.ev_position_o, p.ev_word_o, p.ev_slot_o});
    }
  }

  // ---- what follows from a command
  void accepted(const Cmd& c) {
    command_ = c;
    promoting_ = c.op == kPromote;
    finding_ = c.op == kWait && (c.flags & 2) != 0;
    if (c.op == kPlan && c.flags == kPlanPromote) planned_dwell_[{c.owner, c.first}] = c.arg2 & 0xffff;
    if (c.op == kStepEnd && c.owner < owners && owner[c.owner].valid && owner[c.owner].level == 0 &&
        (c.flags & 1) == 0) {
      const auto& o = owner[c.owner];
      for (auto& s : slot) {
        const bool mine = s.owner == c.owner || (o.prefix && s.owner == *o.prefix && owner[*o.prefix].level == 0);
        if (mine && (s.state == Slot::kFilling || s.state == Slot::kResident) && s.dwell != 0 && s.dwell != kPinned) {
          --s.dwell;
        }
      }
    }
  }
  void ended(const Cmd& c, const Done& d) {
    if (d.status != kOk) return;
    if (c.op == kSetOwner) {
      auto& o = owner[c.owner];
      if (o.valid && o.prefix && --owner[*o.prefix].refs == 0) {
        for (auto& s : slot) {
          if (s.owner == *o.prefix && s.state != Slot::kFree) s.dwell = 0;
        }
      }
      o = {};
      if ((c.flags & 1) != 0) {
        o.valid = true;
        o.committed = c.count;
        if ((c.flags & 4) != 0) {
          o.prefix = static_cast<uint32_t>(c.arg1 >> 32) & 0xffff;
          o.prefix_len = static_cast<uint32_t>(c.arg1);
          ++owner[*o.prefix].refs;
        }
        o.slot_min = (c.arg2 >> 16) & 0xffff;
        o.slot_max = (c.arg2 >> 32) & 0xffff;
        o.profile = (c.arg2 >> 48) & 0xff;
      }
    } else if (c.op == kSetProfile) {
      profile_[c.profile] = c;
    } else if (c.op == kOpen) {
      ++owner[c.owner].level;
    } else if (c.op == kCommit) {
      --owner[c.owner].level;
    }
  }

  /// A slot of profile `a` holds all that one of profile `b` would: layers, heads and planes each a superset.
  [[nodiscard]] bool covers(uint32_t a, uint32_t b) const {
    if (profile_.count(a) == 0 || profile_.count(b) == 0) return false;
    const Cmd &x = profile_.at(a), &y = profile_.at(b);
    const auto part = [](uint64_t v, unsigned at) { return static_cast<uint32_t>(v >> at) & 0xffff; };
    const uint32_t x0 = part(x.arg0, 0), y0 = part(y.arg0, 0);
    return x0 <= y0 && x0 + part(x.arg0, 16) >= y0 + part(y.arg0, 16) && (y.arg1 & ~x.arg1) == 0 &&
           (part(y.arg0, 32) & ~part(x.arg0, 32)) == 0;
  }

  void leaves(Slot& s) {
    s.state = Slot::kLeaving;
    s.dwell_when_left = s.dwell;
    s.left_serial = list_serial;
  }

  void freed(uint32_t n) {
    need(n < slots, "a slot beyond the last became free");
    auto& s = slot[n];
    need(s.state == Slot::kLeaving, "a slot became free that had not left");
    need(s.last_taken, "a slot became free before its record was written");
    need(!s.at_dma && !s.walking, "a slot became free while something was on its way for it");
    for (const auto& l : lists) {
      const bool concerns = l.open && (l.owner == s.owner || (l.prefix && *l.prefix == s.owner));
      need(!concerns || static_cast<int32_t>(l.serial - s.left_serial) >= 0, "a slot became free under a reader");
    }
    s = {};
    frees.push_back(n);
  }

  void tag_command() {
    auto& p = *sim_;
    need(!ack_.has_value(), "a command to the tag array before the answer to the last");
    Ack a{now() + 2, kOk, 0, 0};
    const uint32_t granule = p.tag_position_o / 16;
    const uint32_t token = p.tag_position_o % 16;
    auto entry = std::find_if(used_entries.begin(), used_entries.end(),
                              [&](const auto& e) { return e && e->owner == p.tag_owner_o && e->granule == granule; });
    const bool here = entry != used_entries.end() && (*entry)->tokens.count(token) != 0;
    const bool mine = here && (*entry)->tokens[token].slot == p.tag_slot_o &&
                      static_cast<uint32_t>(entry - used_entries.begin()) == p.tag_entry_o;
    // A promote asks once; whatever else places a token does so by scores, under the registers' contract.
    const bool asks = p.tag_op_o == kInstall || p.tag_op_o == kFind;
    const bool by_command = asks && promoting_ && command_->first == p.tag_position_o;
    const auto planned = planned_dwell_.find({p.tag_owner_o, p.tag_position_o});
    const uint32_t dwell = finding_                                       ? 0
                           : by_command                                   ? command_->arg2 & 0xffff
                           : planning_ && planned != planned_dwell_.end() ? planned->second
                                                                          : n_dwell;
    if (by_command) promoting_ = false;
    switch (p.tag_op_o) {
      case kInstall:
      case kFind:
        if (here) {
          a.status = p.tag_op_o == kInstall ? kAlready : kOk;
          a.slot = (*entry)->tokens[token].slot;
          auto& s = slot[a.slot];
          if (covers(s.profile, by_command ? command_->profile : p.tag_profile_o)) s.dwell = std::max(s.dwell, dwell);
        } else if (p.tag_op_o == kFind) {
          a.status = kNotResident;
        } else {
          if (entry == used_entries.end()) {
            entry = std::find_if(used_entries.begin(), used_entries.end(), [](const auto& e) { return !e; });
            if (entry == used_entries.end()) {
              a.status = kNoEntry;
              break;
            }
            *entry = Entry{p.tag_owner_o, granule, {}, {}};
          }
          auto& s = slot[p.tag_slot_o];
          need(s.state == Slot::kFree, "slot " + std::to_string(p.tag_slot_o) + " was granted while in use");
          (*entry)->tokens[token] = {p.tag_slot_o, p.tag_profile_o};
          s = {};
          s.state = Slot::kFilling;
          s.owner = p.tag_owner_o;
          s.position = p.tag_position_o;
          s.profile = p.tag_profile_o;
          s.dwell = dwell;
          installs.emplace_back(p.tag_slot_o, s.position);
        }
        a.entry = static_cast<uint32_t>(entry - used_entries.begin());
        break;
      case kSetWord:
        if (!mine)
          a.status = kNotResident;
        else if ((*entry)->word && *(*entry)->word != p.tag_word_o)
          a.status = kGeneration;
        else
          (*entry)->word = p.tag_word_o;
        break;
      case kWatermark:
        if (!mine)
          a.status = kNotResident;
        else {
          need((*entry)->word.has_value(), "a watermark before the translation");
          if (p.tag_watermark_o > layers) slot[p.tag_slot_o].state = Slot::kResident;
        }
        break;
      case kRemove:
        if (!mine)
          a.status = kNotResident;
        else {
          (*entry)->tokens.erase(token);
          if ((*entry)->tokens.empty()) entry->reset();
          leaves(slot[p.tag_slot_o]);
        }
        break;
      default:
        fail("an unknown command to the tag array");
    }
    ack_ = a;
  }

  void score_command(const Score& s) {
    if (s.op == 0) {
      const auto it = scores.find(s.position);
      score_answers_.push_back({batch.has_value(), s.position, it == scores.end() ? 0 : it->second, true});
      if (s.mark) marked.insert(s.position);
    } else if (s.op == 1) {
      ++tops;
      last_top_count = s.count;
      std::vector<std::pair<uint32_t, uint32_t>> best;
      for (const auto& [at, score] : scores) {
        if (score >= s.threshold && marked.count(at) == 0) best.emplace_back(score, at);
      }
      std::sort(best.begin(), best.end(),
                [](auto a, auto b) { return a.first != b.first ? a.first > b.first : a.second < b.second; });
      if (best.size() > s.count) best.resize(s.count);
      for (const auto& [score, at] : best) score_answers_.push_back({true, at, score, false});
      if (best.empty() || rng.coin())
        score_answers_.push_back({false, 0, 0, true});
      else
        score_answers_.back().last = true;
    } else {
      ++free_batches;
      batch.reset();
      marked.clear();
    }
  }

  void take_record(const Record& r) {
    if (r.kind <= kEvLeave) {
      need(r.slot < slots, "a record names a slot that is not there");
      auto& s = slot[r.slot];
      need(s.state != Slot::kFree, "a record of a free slot: " + text(r));
      need(r.owner == s.owner && r.position == s.position, "a record of another token: " + text(r));
      const uint8_t before = s.last_record;
      s.last_record = r.kind;
      switch (r.kind) {
        case kEvGrant:
          need(before == 0 && r.word == 0 && r.cause == kOk, "a grant out of place: " + text(r));
          break;
        case kEvResident:
          need(before == kEvGrant, "resident before granted: " + text(r));
          need(r.word == word_of(r.owner, r.position), "resident with a wrong word: " + text(r));
          break;
        case kEvFailed:
          need(before == kEvGrant, "failed out of place: " + text(r));
          need(r.word == 0 || r.word == word_of(r.owner, r.position), "failed with a wrong word: " + text(r));
          need(s.state == Slot::kLeaving, "failed, but its tag is still there: " + text(r));
          s.last_taken = true;
          break;
        default:
          need(before == kEvResident, "leave of a slot that was not resident: " + text(r));
          need(r.word == word_of(r.owner, r.position), "leave with a wrong word: " + text(r));
          need(s.state == Slot::kLeaving, "left, but its tag is still there: " + text(r));
          if (r.cause == kEvicted || r.cause == kThreshold) {
            need(s.dwell_when_left == 0, "a contract was broken: " + text(r));
          }
          s.last_taken = true;
      }
    }
    records.push_back(r);
  }

  Stalls stalls_;
  Sim<V> sim_;
  uint16_t next_tag_ = 1;
  std::deque<Waiting> waiting_;
  std::map<uint16_t, Open> open_;
  std::map<uint16_t, Done> done_;
  bool cmd_up_ = false, walk_up_ = false, progress_up_ = false, end_up_ = false, answer_up_ = false;
  bool done_seen_ = false, done_was_idle_ = true;
  std::optional<Cmd> command_;
  bool promoting_ = false;  // command_ is a promote that has not asked the tag array yet
  bool planning_ = false;   // the loop tries an item of a plan
  bool finding_ = false;    // or asks for a token's slot, for a wait
  std::map<std::pair<uint32_t, uint32_t>, uint32_t> planned_dwell_;  // by owner and position, as last planned
  std::map<uint32_t, Cmd> profile_;                                  // by number, as last set
  std::deque<Walk> walks_;
  std::deque<uint32_t> to_walker_;
  std::optional<Ack> ack_;
  std::vector<std::optional<Entry>> used_entries;
  uint64_t tag_sweep_until_ = 0, fence_until_ = 0;
  std::vector<Job> jobs_;
  uint32_t job_ = 0, progress_mark_ = 0;
  Status end_status_ = kOk;
  std::deque<Answer> score_answers_;
};

}  // namespace kvsink::tb::residency

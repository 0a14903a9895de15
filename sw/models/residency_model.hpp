// SPDX-License-Identifier: Apache-2.0
// Untimed model of the residency rules (docs/theory/residency.md): which promotions are granted, in which slot, with
// which contract, what leaves and why, the answer of every command and every record.
//
// It knows no clock. It is told the order in which the controller takes its inputs (commands, walker and scorer
// answers, DMA progress and ends, steps of the background work) and predicts each decision. It was written from that
// page and shares no code with the design.
#pragma once

#include <array>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace kvsink::model {

/// kvsink_pkg::status_e.
enum class Status : uint8_t {
  kOk = 0x00,
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
  kPlan
};
const char* name(Status status);

/// kvsink_pkg::opcode_e.
enum class Op : uint8_t {
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
  kWaitPromotions
};

/// kvsink_pkg::event_e.
enum class Event : uint8_t { kGrant = 1, kResident, kFailed, kLeave, kReadError, kOwner, kWindow, kPlan };

/// A record, all fields but sequence, time and CRC.
struct ResidencyRecord {
  Event kind{};
  Status cause{};
  uint32_t owner = 0;
  uint32_t position = 0;
  uint32_t word = 0;
  uint32_t slot = 0;
  bool operator==(const ResidencyRecord&) const = default;
};
std::string describe(const ResidencyRecord& record);

class ResidencyModel {
 public:
  struct Plane {
    bool valid = false;
    uint32_t row_beats = 0;
    uint32_t share_log2 = 0;
  };
  struct Config {
    // sizes of the instance
    uint32_t slots = 0, entries = 0, owners = 0, positions = 0, profiles = 0, sram_beats = 0, kv_heads = 0;
    // registers; thresholds as the block holds them, UQ18.14
    uint32_t sram_budget = 0;
    uint32_t t_sink = 3U << 14, t_pin = 0xffffffff, t_promote = 3U << 14, t_evict = 3U << 13;
    uint32_t alpha = 58982;  // UQ0.16
    uint32_t n_promote = 12, n_dwell = 12, n_evict = 12;
    bool dynamic = false;
    uint32_t page_log2 = 4;
    uint32_t layers = 0;
    std::array<Plane, 8> planes{};
    uint32_t plans = 0, plan_items = 0;
    uint32_t promo_floor = 2;  // in 1/32 of the beats
  };
  struct Command {
    uint8_t op = 0, flags = 0;
    uint32_t tag = 0, owner = 0, profile = 0;
    uint32_t first = 0, count = 0;
    uint64_t arg0 = 0, arg1 = 0, arg2 = 0;
  };
  /// What the controller sees of its surroundings when it decides.
  struct View {
    uint32_t log_room = 0;      // free records, records it has queued not yet taken away
    uint32_t log_doubt = 0;     // what it saw when it decided may have been more or less than log_room by this
    uint32_t free_entries = 0;  // of the tag array
    bool tag_sweep = false;     // the tag array sweeps: more may be free, and swept ones be there, when it decided
    /// Whether the tag array has an entry for a granule of an owner.
    std::function<bool(uint32_t owner, uint32_t granule)> has_entry{};
  };
  struct Answer {
    Status status = Status::kOk;
    std::optional<uint32_t> value0;
    std::optional<uint64_t> value1 = std::nullopt;
  };

  explicit ResidencyModel(const Config& config);

  // ---- inputs, in the order in which the controller takes them; a text says what they contradict, empty: nothing
  std::string command(const Command& command, const View& view);
  /// Where the head of the fill queue went when it was looked at.
  enum class Fill : uint8_t { kWalker, kTail, kDropped, kClosed };
  std::string fill(uint32_t slot, Fill where);
  std::string walk_answer(uint32_t slot, Status status, uint32_t word, bool committed);
  std::string progress(uint32_t slot, uint32_t watermark);
  std::string dma_end(uint32_t slot, Status status);
  /// The running sweep acts on a row.
  std::string sweep_row(uint32_t slot, const View& view);
  /// The running sweep got the score of a row.
  std::string sweep_score(uint32_t slot, uint32_t score, const View& view);
  /// An answer of the scorer's Top: for prefills a token to place, else the strongest without a row. No position: none.
  std::string top(std::optional<uint32_t> position, uint32_t score, bool last, const View& view);
  std::string sweep_end();
  std::string pressure(bool leaves, uint32_t slot, const View& view);
  std::string freed(uint32_t slot);
  /// Room was lost while a plan was checked: it is checked again against what is left.
  std::string plan_start(uint32_t plan, const View& view);
  std::string plan_end(uint32_t plan, bool accepted, const View& view);
  /// The next promotion of a plan is tried; `late`: its deadline has passed.
  std::string plan_item(uint32_t plan, bool late, const View& view);
  /// The log took a record (the oldest that was predicted).
  std::string record_taken(const ResidencyRecord& record);
  /// What a Top command of the running step_end has to ask for.
  [[nodiscard]] uint32_t expected_top_count(bool& expected) const;

  // Where log_doubt leaves open whether there was room for a decision's records, or a sweep of the tag array whether
  // there was an entry, the model takes what is assumed here, and says that it had to. Who calls it follows both ways
  // until one is refuted: by seen(), by tag_answer(), or by what comes of it.
  void assume(bool log_room, bool entry) {
    log_assumed_ = log_room;
    entry_assumed_ = entry;
    log_doubted_ = entry_doubted_ = false;
    limits_of_.reset();
  }
  [[nodiscard]] bool log_doubted() const { return log_doubted_; }
  [[nodiscard]] bool entry_doubted() const { return entry_doubted_; }
  [[nodiscard]] bool in_doubt(const View& view) const;
  /// What the decision at hand counts on, as the controller looked at it: room for its records, and free entries.
  std::string seen(bool log_room, const View& view);

  // ---- predictions
  struct PlanCounts {
    uint64_t missed = 0, denied_promotions = 0, denied_evictions = 0, placed_by_plans = 0, accepted = 0, refused = 0;
  };
  /// Of all plans since the start.
  [[nodiscard]] const PlanCounts& plan_counts() const { return plan_counts_; }
  [[nodiscard]] bool sweep_is_prefill() const { return sweep_.running && sweep_.prefill; }
  /// The answer of a command, once it is known; taken away by the call.
  std::optional<Answer> take_answer(uint32_t tag);
  // Commands of the controller to the tag array, checked against the decisions that ask for them.
  std::string tag_install(uint32_t owner, uint32_t position, uint32_t slot, uint32_t profile) const;
  /// The answer to an install or a search, after the decision that it serves.
  std::string tag_answer(bool install, uint32_t owner, uint32_t position, Status status, uint32_t slot) const;
  std::string tag_set_word(uint32_t slot, uint32_t word, Status ack);
  std::string tag_watermark(uint32_t slot, uint32_t watermark);
  std::string tag_remove(uint32_t slot);

  /// Coverage of a profile.
  struct Profile {
    bool valid = false;
    uint32_t layer_first = 0, layer_count = 0;
    uint64_t head_mask = 0;
    uint32_t plane_mask = 0;
    uint32_t slot_first = 0, slot_count = 0;
    uint64_t sram_base = 0, slot_beats = 0;
    [[nodiscard]] bool covers(uint32_t layer, uint32_t head, uint32_t planes) const {
      return valid && layer >= layer_first && layer < layer_first + layer_count && ((head_mask >> head) & 1U) != 0 &&
             (planes & ~plane_mask) == 0;
    }
  };
  [[nodiscard]] const Profile& profile(uint32_t number) const { return profiles_[number]; }
  [[nodiscard]] uint32_t used_slots() const;
  /// Slots that hold something or a candidate, a line each: state, owner, position, profile, contract, E, runs.
  [[nodiscard]] std::string placement() const;
  [[nodiscard]] uint32_t effective_owner(uint32_t owner, uint32_t position) const;
  /// Empty when nothing is owed any more (records, tag removals, sweeps, answers); else what is.
  [[nodiscard]] std::string owed() const;
  [[nodiscard]] std::size_t records_queued() const { return records_.size(); }

 private:
  enum class State : uint8_t { kFree, kFilling, kResident, kLeaving };
  struct Slot {
    State state = State::kFree;
    bool candidate = false;
    bool own = false;
    bool planned = false;  // granted by a plan
    bool strict = false;   // in a DMA window
    bool fresh = false;    // granted since the running sweep began
    uint32_t owner = 0, position = 0, profile = 0;
    uint32_t dwell = 0;
    uint64_t e = 0;
    uint32_t up = 0, down = 0;
    uint32_t word = 0;
    bool queued = false;  // in the fill queue or at the walker
    bool later = false;   // not to be started before a set time
    bool at_dma = false;
    bool retired = false;     // a retire took its tag away, the sweep has not come yet
    bool record_due = false;  // its last record was not taken yet
  };
  struct OwnerState {
    bool valid = false, is_public = false;
    uint32_t tenant = 0, length = 0, committed = 0;
    bool has_prefix = false;
    uint32_t prefix_owner = 0, prefix_length = 0, profile = 0, slot_min = 0, slot_max = 0;
    uint32_t refs = 0, level = 0;
    Status worst = Status::kOk;
    uint32_t ended = 0;
  };
  struct Sweep {
    bool running = false;
    Op op{};
    uint32_t tag = 0, owner = 0, first = 0, last = 0;
    bool all = false, prefill = false, scored = false, no_scores = false;
    int64_t demote = -1;
    uint32_t taken = 0, promoted = 0, evicted = 0, candidates = 0;
    std::optional<uint32_t> weakest;
    bool top_done = false;
  };
  struct Wait {
    uint32_t tag = 0, owner = 0;
    bool all = false;
    std::optional<uint32_t> slot = std::nullopt;  // for one token
  };
  struct Grant {
    uint32_t owner = 0, position = 0, profile = 0, dwell = 0;
    uint64_t e = 0;
    uint32_t up = 0, down = 0;
    int64_t own_row = -1;
    bool later = false;
    bool by_scores = false, by_plan = false, strict = false;
  };
  struct PlanItem {
    enum class Kind : uint8_t { kPromote = 1, kWindow, kRegion } kind{};
    uint32_t position = 0, last = 0, step = 0, dwell = 0;
    uint64_t from = 0, until = 0;
  };
  struct PlanLimits {
    int64_t slots = 0, rows = 0, entries = 0;
    uint32_t committed = 0, prefix_length = 0, profile = 0, share = 0;
    bool profile_valid = false;
    uint64_t slot_beats = 0;
  };
  struct PlanVerdict {
    bool fits = true;
    uint32_t item = 0;
    Status reason = Status::kOk;
    int64_t slots = 0, entries = 0;
  };
  struct Plan {
    enum class State : uint8_t { kNone, kDraft, kCheck, kActive } state = State::kNone;
    uint32_t owner = 0;
    std::vector<PlanItem> items;
    uint32_t adapt_promotions = 255, adapt_evictions = 255, adapt_slots = 0xffff;
    uint32_t tag = 0;
    PlanLimits limits;
    bool aborted = false;
    int64_t slots = 0, entries = 0;  // at the peak
    uint32_t step = 0, head = 0;
    std::optional<uint32_t> window_step;
    uint64_t window_from = 0;
    uint32_t promotions = 0, evictions = 0;  // by scores and by choice, in this step
    uint32_t missed = 0, denied_promotions = 0, denied_evictions = 0;
  };
  Status plan_command(const Command& c, const View& view, Answer& answer, bool& answered);
  [[nodiscard]] PlanLimits plan_limits(uint32_t owner, const View& view) const;
  [[nodiscard]] PlanVerdict check_plan(const Plan& plan) const;
  [[nodiscard]] Plan* plan_of(uint32_t owner);
  [[nodiscard]] const Plan* active_plan(uint32_t owner) const;
  [[nodiscard]] Plan* active_plan(uint32_t owner) {
    return const_cast<Plan*>(static_cast<const ResidencyModel*>(this)->active_plan(owner));
  }
  [[nodiscard]] static bool in_region(const Plan& plan, uint32_t position);
  [[nodiscard]] uint32_t used_plan(uint32_t owner) const;
  [[nodiscard]] int64_t plan_share(uint32_t owner) const;

  Status grant(const Grant& grant, const View& view, uint32_t& slot);
  Status set_profile(const Command& c);
  Status set_owner(const Command& c, const View& view, bool& sweeps);
  void take(uint32_t slot, Status cause);
  /// The slot's token is not served any more: its tag goes, a record says why.
  void gives_up(uint32_t slot, Event kind, Status cause);
  void fail(uint32_t slot, Status cause);
  void leave(uint32_t slot, Status cause);
  void ended(uint32_t slot, Status status);
  void settle_waits();
  void record(Event kind, Status cause, uint32_t owner, uint32_t position, uint32_t word, uint32_t slot);
  void start_sweep(Op op, const Command& c);
  void tick(uint32_t owner);
  void drop_reference(uint32_t prefix_owner);
  void update_e(Slot& row, uint32_t score) const;
  [[nodiscard]] bool in_sweep(const Slot& row) const;
  [[nodiscard]] uint32_t used(uint32_t owner) const;
  [[nodiscard]] uint32_t used_own(uint32_t owner) const;
  [[nodiscard]] uint32_t pending(uint32_t owner, bool all) const;
  [[nodiscard]] uint32_t reserved(int64_t profile) const;
  [[nodiscard]] uint32_t min_sum() const;
  [[nodiscard]] uint32_t free_rows(const Profile& profile) const;
  [[nodiscard]] int64_t choose(const Profile& profile) const;
  [[nodiscard]] bool log_has(const View& view, uint32_t records) const;
  [[nodiscard]] bool entry_near(const View& view) const;

  /// Tag array commands that decisions so far ask for and that did not come yet.
  struct TagWork {
    bool set_word = false;
    bool remove = false;
    uint32_t watermark = 0;  // highest that the DMA reported
  };

  Config config_;
  std::vector<Slot> slots_;
  std::vector<OwnerState> owners_;
  std::vector<Profile> profiles_;
  std::vector<TagWork> tag_work_;
  std::deque<std::optional<uint32_t>> record_slots_;
  std::deque<ResidencyRecord> records_;
  std::map<uint32_t, std::deque<Answer>> answers_;
  std::vector<Wait> waits_;
  std::deque<uint32_t> fill_queue_;
  Status worst_all_ = Status::kOk;
  uint32_t ended_all_ = 0;
  Sweep sweep_;
  bool log_assumed_ = false, entry_assumed_ = false;
  mutable bool log_doubted_ = false;
  bool entry_doubted_ = false;
  std::optional<std::size_t> limits_of_;  // the plan whose limits the decision at hand took
  std::optional<uint32_t> pressure_owner_;
  int64_t pressure_profile_ = -1;
  bool pressure_by_plan_ = false;
  std::vector<Plan> plans_;
  PlanCounts plan_counts_;
};

}  // namespace kvsink::model

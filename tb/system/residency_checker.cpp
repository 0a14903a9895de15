// SPDX-License-Identifier: Apache-2.0
#include "tb/system/residency_checker.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>

namespace kvsink::tb {
namespace {

using model::ResidencyModel;
using model::ResidencyRecord;
using model::Status;

enum TagOp : uint64_t { kInstall = 0, kSetWord, kWatermark, kRemove, kFind };
enum TraceKind : uint64_t {
  kTrCommand = 0,
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
constexpr uint64_t kTop = 1;
constexpr double kScoreOne = 16384.0;
// Records that may be on their way from the controller to the log, or leave it, between the event that the monitor sees
// and the cycle in which the controller looks at the room.
constexpr uint32_t kLogDoubt = 6;

uint32_t u32(uint64_t value) { return static_cast<uint32_t>(value); }

ProbeEvent pop(std::deque<ProbeEvent>& queue) {
  if (queue.empty()) return {};
  const ProbeEvent e = queue.front();
  queue.pop_front();
  return e;
}

}  // namespace

ResidencyChecker::ResidencyChecker(const ResidencyModel::Config& config, Differences& report)
    : models_{model::ResidencyModel(config)}, report_(report), tags_(config.slots) {}

void ResidencyChecker::differ(const char* unit, uint64_t cycle, const std::string& what) {
  ++wrong_;
  report_.add(unit, cycle, what);
}

// Drops what is refuted, and reports when nothing is left.
void ResidencyChecker::check(uint64_t cycle, const std::function<std::string(ResidencyModel&)>& call) {
  std::string first;
  std::vector<bool> refuted;
  for (auto& m : models_) {
    const auto why = call(m);
    refuted.push_back(!why.empty());
    if (first.empty()) first = why;
  }
  if (std::find(refuted.begin(), refuted.end(), false) == refuted.end()) {
    differ("residency_ctrl", cycle, first);
    models_.erase(models_.begin() + 1, models_.end());
    return;
  }
  for (std::size_t i = models_.size(); i-- > 0;) {
    if (refuted[i]) models_.erase(models_.begin() + static_cast<std::ptrdiff_t>(i));
  }
}

// A decision that may depend on the room in the log, or on an entry that a sweep of the tag array is about to free, is
// followed both ways where that is in doubt.
void ResidencyChecker::decide(uint64_t cycle, const ResidencyModel::View& view,
                              const std::function<std::string(ResidencyModel&)>& call) {
  constexpr std::size_t kMost = 16;
  std::vector<ResidencyModel> next;
  std::optional<ResidencyModel> refuted;
  std::string first;
  for (const auto& m : models_) {
    for (unsigned assumed = 0; assumed < (m.in_doubt(view) ? 4U : 1U); ++assumed) {
      ResidencyModel way = m;
      way.assume((assumed & 1U) != 0, (assumed & 2U) != 0);
      const auto why = call(way);
      if (((assumed & 1U) != 0 && !way.log_doubted()) || ((assumed & 2U) != 0 && !way.entry_doubted())) continue;
      if (why.empty()) {
        next.push_back(std::move(way));
      } else if (!refuted) {
        refuted = std::move(way);
        first = why;
      }
    }
  }
  if (next.empty()) {
    differ("residency_ctrl", cycle, first);
    next.push_back(std::move(*refuted));
  }
  // None may be forgotten: it could be the one that the controller follows.
  if (next.size() > kMost) {
    differ("bench", cycle, fmt::format("{} ways are open in which the controller may have decided", next.size()));
    next.erase(next.begin() + 1, next.end());
  }
  models_ = std::move(next);
}

ResidencyModel::View ResidencyChecker::view(const ProbeEvent& e) const {
  return {u32(e.f[3]), kLogDoubt, u32(e.f[4]), e.f[5] != 0, [this](uint32_t owner, uint32_t granule) {
            return std::any_of(tags_.begin(), tags_.end(), [&](const Tag& t) {
              return t.present && t.owner == owner && t.position / 16 == granule;
            });
          }};
}

// What a decision counted on settles at once which way it went.
void ResidencyChecker::seen(const ProbeEvent& e) {
  seen_entries_ = u32(e.f[1]);
  const ResidencyModel::View at{0, 0, seen_entries_};
  check(e.cycle, [&](ResidencyModel& m) { return m.seen(e.f[0] != 0, at); });
}

void ResidencyChecker::event(const ProbeEvent& e) {
  switch (e.kind) {
    case ProbeKind::kRetire:
      for (Tag& t : tags_) {
        if (e.f[0] != 0 || (t.owner == e.f[1] && t.position >= e.f[2] && t.position <= e.f[3])) t.present = false;
      }
      break;
    case ProbeKind::kTagCommand:
      tag_commands_.push_back(e);
      if (e.f[0] == kRemove) {
        tags_[e.f[5]].present = false;
      } else if (e.f[0] == kInstall) {
        tags_[e.f[5]] = {true, u32(e.f[1]), u32(e.f[2] * 16 + e.f[3]), u32(e.f[6]), 0, 0, 0};
      }
      break;
    case ProbeKind::kTagAck:
      tag_ack(e);
      break;
    case ProbeKind::kMuxLookup:
      request_ = static_cast<uint8_t>(e.f[0]);
      break;
    case ProbeKind::kLookup:
      lookup(e);
      break;
    case ProbeKind::kMuxNext:
      passed_over(e);
      break;
    case ProbeKind::kHit: {
      if (hits_.empty()) break;
      const Expected expected = hits_.front();
      hits_.pop_front();
      ++lookups_;
      if (expected.hits != e.f[0]) {
        differ("sink_tag_array", e.cycle,
               fmt::format("lookup of cycle {}, {}: expected hits {:#06x}, came {:#06x}", expected.cycle, expected.what,
                           expected.hits, e.f[0]));
      }
      break;
    }
    case ProbeKind::kCommand:
      commands_.push_back(e);
      break;
    case ProbeKind::kWalkAnswer:
      walks_.push_back(e);
      break;
    case ProbeKind::kScoreAnswer:
      scores_.push_back(e);
      break;
    case ProbeKind::kProgress:
      progresses_.push_back(e);
      break;
    case ProbeKind::kDmaEnd:
      ends_.push_back(e);
      break;
    case ProbeKind::kScoreCommand:
      if (e.f[0] == kTop) {
        bool expected = false;
        const uint32_t count = models_.front().expected_top_count(expected);
        if (!expected || count != e.f[3]) {
          differ("residency_ctrl", e.cycle,
                 fmt::format("asks the scorer for the strongest {}, expected {}", e.f[3], expected ? count : 0));
        }
      }
      break;
    case ProbeKind::kTrace:
      trace(e);
      peak_slots_ = std::max(peak_slots_, models_.front().used_slots());
      break;
    case ProbeKind::kSeen:
      seen(e);
      break;
    case ProbeKind::kLogEvent: {
      const ResidencyRecord record{static_cast<model::Event>(e.f[0]),
                                   static_cast<Status>(e.f[1]),
                                   u32(e.f[2]),
                                   u32(e.f[3]),
                                   u32(e.f[4]),
                                   u32(e.f[5])};
      ++checked_;
      check(e.cycle, [&](ResidencyModel& m) { return m.record_taken(record); });
      to_drain_.push_back(record);
      break;
    }
    case ProbeKind::kDone:
      done(e);
      break;
  }
}

void ResidencyChecker::trace(const ProbeEvent& e) {
  const auto slot = u32(e.f[1]);
  auto seen = view(e);
  // A verdict is told after it was weighed.
  if (e.f[0] == kTrPlanStart || e.f[0] == kTrPlanEnd) seen.free_entries = seen_entries_;
  switch (e.f[0]) {
    case kTrCommand: {
      const ProbeEvent c = pop(commands_);
      ResidencyModel::Command command;
      command.op = static_cast<uint8_t>(c.f[0]);
      command.flags = static_cast<uint8_t>(c.f[0] >> 8);
      command.tag = (c.f[0] >> 16) & 0xffff;
      command.first = u32(c.f[0] >> 32);
      command.count = u32(c.f[1]);
      command.owner = (c.f[1] >> 32) & 0xffff;
      command.profile = (c.f[1] >> 48) & 0xffff;
      command.arg0 = c.f[2];
      command.arg1 = c.f[3];
      command.arg2 = c.f[4];
      decide(e.cycle, seen, [&](ResidencyModel& m) { return m.command(command, seen); });
      break;
    }
    case kTrWalk: {
      const ProbeEvent w = pop(walks_);
      check(e.cycle, [&](ResidencyModel& m) {
        return m.walk_answer(slot, static_cast<Status>(w.f[0]), u32(w.f[2]), w.f[3] != 0);
      });
      break;
    }
    case kTrProgress: {
      const ProbeEvent p = pop(progresses_);
      check(e.cycle, [&](ResidencyModel& m) { return m.progress(u32(p.f[0]), u32(p.f[1])); });
      break;
    }
    case kTrEnd: {
      const ProbeEvent d = pop(ends_);
      check(e.cycle, [&](ResidencyModel& m) { return m.dma_end(u32(d.f[0]), static_cast<Status>(d.f[1])); });
      break;
    }
    case kTrFill:
      check(e.cycle, [&](ResidencyModel& m) { return m.fill(slot, static_cast<ResidencyModel::Fill>(e.f[2])); });
      break;
    case kTrRow:
      decide(e.cycle, seen, [&](ResidencyModel& m) { return m.sweep_row(slot, seen); });
      break;
    case kTrScore: {
      const ProbeEvent s = pop(scores_);
      decide(e.cycle, seen, [&](ResidencyModel& m) { return m.sweep_score(slot, u32(s.f[2]), seen); });
      break;
    }
    case kTrTop: {
      const ProbeEvent s = pop(scores_);
      const auto position = s.f[0] != 0 ? std::optional(u32(s.f[1])) : std::nullopt;
      decide(e.cycle, seen, [&](ResidencyModel& m) { return m.top(position, u32(s.f[2]), s.f[3] != 0, seen); });
      if (position && models_.front().sweep_is_prefill()) {
        sinks_.push_back({*position, static_cast<double>(s.f[2]) / kScoreOne});
      }
      break;
    }
    case kTrPressure:
      decide(e.cycle, seen, [&](ResidencyModel& m) { return m.pressure(e.f[2] != 0, slot, seen); });
      break;
    case kTrFree:
      check(e.cycle, [&](ResidencyModel& m) { return m.freed(slot); });
      break;
    case kTrSweepEnd:
      check(e.cycle, [&](ResidencyModel& m) { return m.sweep_end(); });
      break;
    case kTrPlanStart:
      decide(e.cycle, seen, [&](ResidencyModel& m) { return m.plan_start(slot, seen); });
      break;
    case kTrPlanEnd:
      decide(e.cycle, seen, [&](ResidencyModel& m) { return m.plan_end(slot, e.f[2] != 0, seen); });
      break;
    case kTrPlanItem:
      decide(e.cycle, seen, [&](ResidencyModel& m) { return m.plan_item(slot, e.f[2] != 0, seen); });
      break;
    default:
      differ("residency_ctrl", e.cycle, fmt::format("event {} is unknown", e.f[0]));
      break;
  }
}

void ResidencyChecker::tag_ack(const ProbeEvent& e) {
  if (tag_commands_.empty()) {
    differ("sink_tag_array", e.cycle, "an acknowledgement without a command");
    return;
  }
  const ProbeEvent c = pop(tag_commands_);
  const auto slot = u32(c.f[5]);
  Tag& tag = tags_[slot];
  const auto status = static_cast<Status>(e.f[0]);
  const bool ok = status == Status::kOk;
  if (c.f[0] == kInstall || c.f[0] == kFind) {
    check(e.cycle, [&](ResidencyModel& m) {
      return m.tag_answer(c.f[0] == kInstall, u32(c.f[1]), u32(c.f[2] * 16 + c.f[3]), status, u32(e.f[2]));
    });
  }
  switch (c.f[0]) {
    case kInstall:
      if (!ok) {
        tag.present = false;
        break;
      }
      tag.entry = u32(e.f[1]);
      if (!tag.present) break;  // a retire came between
      if (std::find(promoted_before_.begin(), promoted_before_.end(), std::pair(tag.owner, tag.position)) !=
          promoted_before_.end()) {
        ++repromoted_;
      } else {
        promoted_before_.emplace_back(tag.owner, tag.position);
      }
      break;
    case kSetWord:
      check(e.cycle, [&](ResidencyModel& m) { return m.tag_set_word(slot, u32(c.f[7]), status); });
      if (ok) tag.word = u32(c.f[7]);
      if (ok != tag.present && status != Status::kGeneration) {
        differ("sink_tag_array", e.cycle,
               fmt::format("slot {} is {} but the answer is {}", slot, tag.present ? "present" : "gone", name(status)));
      }
      break;
    case kWatermark:
      if (ok) check(e.cycle, [&](ResidencyModel& m) { return m.tag_watermark(slot, u32(c.f[8])); });
      if (ok && tag.present) tag.watermark = u32(c.f[8]);
      break;
    case kRemove:
      check(e.cycle, [&](ResidencyModel& m) { return m.tag_remove(slot); });
      break;
    default:
      break;
  }
}

uint8_t ResidencyChecker::planes_of(const Tag& tag) const {
  return static_cast<uint8_t>(models_.front().profile(tag.profile).plane_mask);
}

void ResidencyChecker::lookup(const ProbeEvent& e) {
  const auto owner = u32(e.f[0]);
  const auto granule = u32(e.f[1]);
  Expected expected;
  expected.cycle = e.cycle;
  expected.what = fmt::format("owner {} granule {} word {:#x} layer {} head {} planes {:#x}", owner, granule, e.f[2],
                              e.f[3], e.f[4], e.f[5]);
  for (const Tag& t : tags_) {
    if (!t.present || t.owner != owner || t.position / 16 != granule || t.word != e.f[2] || e.f[3] >= t.watermark)
      continue;
    if (!models_.front().profile(t.profile).covers(u32(e.f[3]), u32(e.f[4]), u32(e.f[5]))) continue;
    expected.hits |= 1U << (t.position % 16);
    if (request_ && on_path_) on_path_(*request_, t.position, planes_of(t));
  }
  request_.reset();
  hits_.push_back(expected);
}

// Granules that the search of the tag array passed over get no lookup, so their tokens must not be resident.
void ResidencyChecker::passed_over(const ProbeEvent& e) {
  const uint64_t end = e.f[4] != 0 ? e.f[5] : e.f[3] + 1;
  for (const Tag& t : tags_) {
    const uint32_t granule = t.position / 16;
    if (!t.present || t.owner != e.f[1] || granule < e.f[2] || granule >= end || e.f[6] >= t.watermark) continue;
    if (!models_.front().profile(t.profile).covers(u32(e.f[6]), u32(e.f[7]), u32(e.f[8]))) continue;
    differ("sink_tag_array", e.cycle,
           fmt::format("the search from granule {} of owner {} passed over position {}, which is resident in layer {}",
                       e.f[2], e.f[1], t.position, e.f[6]));
    if (on_path_) on_path_(static_cast<uint8_t>(e.f[0]), t.position, planes_of(t));
  }
}

void ResidencyChecker::done(const ProbeEvent& e) {
  const auto status = static_cast<Status>((e.f[0] >> 8) & 0xff);
  const auto tag = u32((e.f[0] >> 16) & 0xffff);
  const auto value0 = u32(e.f[0] >> 32);
  check(e.cycle, [&](ResidencyModel& m) -> std::string {
    const auto answer = m.take_answer(tag);
    if (!answer) return fmt::format("command {} was completed, but nothing is due", tag);
    if (answer->status == status && (!answer->value0 || *answer->value0 == value0)) return {};
    return fmt::format("command {} (opcode {}): expected {} with value {}, came {} with {}", tag, e.f[0] & 0xff,
                       name(answer->status), answer->value0 ? std::to_string(*answer->value0) : "any", name(status),
                       value0);
  });
}

void ResidencyChecker::drained(const std::vector<std::array<uint32_t, 8>>& records) {
  for (const auto& words : records) {
    std::array<uint8_t, model::kLogRecordBytes> bytes{};
    std::memcpy(bytes.data(), words.data(), bytes.size());
    const model::LogRecord record = model::LogRecord::decode(bytes);
    if (const auto finding = chain_.take(record); !finding) differ("event_log", record.time, finding.text());
    if (record.kind == static_cast<uint8_t>(model::Event::kReadError)) continue;
    const ResidencyRecord got{static_cast<model::Event>(record.kind),
                              static_cast<Status>(record.cause),
                              record.owner,
                              record.position,
                              record.word,
                              record.slot};
    if (to_drain_.empty()) {
      differ("event_log", record.time, "a record that nobody wrote: " + describe(got));
      continue;
    }
    if (!(got == to_drain_.front())) {
      differ("event_log", record.time,
             fmt::format("record: written {}; drained {}", describe(to_drain_.front()), describe(got)));
    }
    to_drain_.pop_front();
  }
}

void ResidencyChecker::finish(uint64_t cycle) {
  check(cycle, [](ResidencyModel& m) { return m.owed(); });
  if (!to_drain_.empty()) differ("event_log", cycle, fmt::format("{} records were not drained", to_drain_.size()));
}

}  // namespace kvsink::tb

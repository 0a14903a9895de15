// SPDX-License-Identifier: Apache-2.0
// What the monitors inside the design report (tb/system/monitors.sv, bound to the units), one event a call.
//
// A Verilated model calls one C function for all instances; the scope object says to which Dut the calls belong while
// its model evaluates.
#pragma once

#include <array>
#include <cstdint>
#include <vector>

namespace kvsink::tb {

/// Kinds of events; the values are those of monitors.sv. Fields in the order given.
enum class ProbeKind : int {
  kRetire = 1,     // all, owner, first, last
  kTagCommand,     // op, owner, granule, token, entry, slot, profile, word, watermark
  kTagAck,         // status, entry, slot
  kLookupStart,    // request id, serial of its list: the lookups that follow belong to it
  kNext,           // owner, from, to, found, granule
  kLookup,         // owner, granule, word, layer, head, planes
  kHit,            // hit bitmap: the answer to the oldest kLookup without one
  kLookupEnd,      // request id, served (0: no list, everything goes the bulk path)
  kCommand,        // accepted by residency_ctrl: words 0..7 of the command, two a field
  kDone,           // words 0..3 of the completion, two a field
  kWalkAnswer,     // status, owner, word, committed: an answer taken by residency_ctrl
  kScoreAnswer,    // valid, position, score, last: an answer taken by residency_ctrl
  kScoreCommand,   // op, position, mark, count, threshold, prefill
  kDescriptor,     // slot, profile, owner, position, word, sram base: taken by promotion_dma
  kProgress,       // slot, watermark: taken by residency_ctrl
  kDmaEnd,         // slot, status: taken by residency_ctrl
  kSlotFree,       // slot: FREE from the next cycle on
  kLogEvent,       // kind, cause, owner, position, word, slot: taken by event_log
  kListClose,      // serial of the list whose last delivery was taken
};

struct ProbeEvent {
  ProbeKind kind{};
  uint64_t cycle = 0;
  std::array<uint64_t, 10> f{};
};

/// Events in the order in which the model reported them; the owner empties it.
struct Probe {
  std::vector<ProbeEvent> events;
  uint64_t cycle = 0;
};

/// Directs the events of the model that this thread evaluates to `probe` while it lives.
class ProbeScope {
 public:
  explicit ProbeScope(Probe& probe);
  ~ProbeScope();
  ProbeScope(const ProbeScope&) = delete;
  ProbeScope& operator=(const ProbeScope&) = delete;

 private:
  Probe* before_;
};

}  // namespace kvsink::tb

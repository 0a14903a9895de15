// SPDX-License-Identifier: Apache-2.0
// What the monitors inside the design report (tb/system/monitors, bound to the units), one event a call.
//
// A Verilated model calls one C function for all instances; the scope object says to which Dut the calls belong while
// its model evaluates.
#pragma once

#include <array>
#include <cstdint>
#include <vector>

namespace kvsink::tb {

/// Kinds of events; the values are those of monitors/probe_pkg.sv. Fields in the order given.
enum class ProbeKind : int {
  kRetire = 1,    // all, owner, first, last: the pulse to every holder
  kTagCommand,    // op, owner, granule, token, entry, slot, profile, word, watermark: taken by the tag array
  kTagAck,        // status, entry, slot
  kLookup,        // owner, granule, word, layer, head, planes
  kHit,           // hit bitmap: the answer to the oldest kLookup without one
  kCommand,       // words 0..9 of the command, two a field: accepted by residency_ctrl
  kDone,          // words 0..5 of the completion, two a field: taken
  kWalkAnswer,    // status, owner, word, committed: taken by residency_ctrl
  kScoreCommand,  // op, position, mark, count, threshold, prefill
  kScoreAnswer,   // valid, position, score, last: taken by residency_ctrl
  kProgress,      // slot, watermark: taken by residency_ctrl
  kDmaEnd,        // slot, status, bytes: taken by residency_ctrl
  kLogEvent,      // kind, cause, owner, position, word, slot: handed over by residency_ctrl
  kTrace,         // residency_pkg::trace_e, slot, data, free log records, free tag entries, the tag array sweeps:
                  // an event is acted on
  kMuxLookup,     // request id: the lookup of this cycle is for its list
  kMuxNext,  // request id, owner, from, to, found, granule, layer, head, planes: granules up to it are not looked up
  kSeen,     // room in the log for its records, free tag entries: what the decision at hand counts on
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

// SPDX-License-Identifier: Apache-2.0
// Holds the residency controller and the tag array against the untimed model.
//
// Fed with the events that the monitors report (probe.hpp), in order, it tells the model what the controller takes, and
// compares: the answer of every command, every record, every command to the tag array, every hit bitmap. It also says
// which path each token of a request has to take, for the row scoreboard.
#pragma once

#include <array>
#include <cstdint>
#include <deque>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "sw/models/event_log_model.hpp"
#include "sw/models/residency_model.hpp"
#include "tb/system/differences.hpp"
#include "tb/system/probe.hpp"
#include "tb/system/row_scoreboard.hpp"

namespace kvsink::tb {

/// A token that a prefill or a step promoted by itself, with the score it had then.
struct Placed {
  uint32_t position = 0;
  double score = 0;  // 1.0: an even spread
};

class ResidencyChecker {
 public:
  /// Called for each token that is resident at its lookup for a request: whose list it is, its position, and the planes
  /// that its slot holds.
  using OnPath = std::function<void(uint8_t request, uint32_t position, uint8_t planes)>;

  ResidencyChecker(const model::ResidencyModel::Config& config, Differences& report);
  void on_path(OnPath f) { on_path_ = std::move(f); }

  void event(const ProbeEvent& e);
  /// Records as software drained them, in order: sequence, CRC chain, and contents against what the model predicted.
  void drained(const std::vector<std::array<uint32_t, 8>>& records);
  /// Nothing may be owed at the end.
  void finish(uint64_t cycle);

  [[nodiscard]] uint64_t checked() const { return checked_; }
  [[nodiscard]] uint64_t wrong() const { return wrong_; }
  [[nodiscard]] uint64_t lookups() const { return lookups_; }
  [[nodiscard]] uint32_t peak_slots() const { return peak_slots_; }
  [[nodiscard]] const std::vector<Placed>& sinks() const { return sinks_; }
  /// Grants of a token that had been resident before.
  [[nodiscard]] uint64_t repromoted_tokens() const { return repromoted_; }
  [[nodiscard]] const model::ResidencyModel& model() const { return models_.front(); }

 private:
  /// What the tag array holds, by slot.
  struct Tag {
    bool present = false;
    uint32_t owner = 0, position = 0, profile = 0, entry = 0, word = 0, watermark = 0;
  };
  struct Expected {
    uint32_t hits = 0;
    uint64_t cycle = 0;
    std::string what;
  };

  void trace(const ProbeEvent& e);
  void tag_ack(const ProbeEvent& e);
  void lookup(const ProbeEvent& e);
  void passed_over(const ProbeEvent& e);
  void done(const ProbeEvent& e);
  [[nodiscard]] uint8_t planes_of(const Tag& tag) const;
  void differ(const char* unit, uint64_t cycle, const std::string& what);
  void check(uint64_t cycle, const std::function<std::string(model::ResidencyModel&)>& call);
  void decide(uint64_t cycle, const model::ResidencyModel::View& view,
              const std::function<std::string(model::ResidencyModel&)>& call);
  [[nodiscard]] model::ResidencyModel::View view(const ProbeEvent& e) const;
  void seen(const ProbeEvent& e);

  std::vector<model::ResidencyModel> models_;  // more than one while it is open which of them the controller follows
  Differences& report_;
  OnPath on_path_;
  std::vector<Tag> tags_;
  std::deque<ProbeEvent> commands_, walks_, scores_, progresses_, ends_, tag_commands_;
  std::deque<Expected> hits_;
  std::deque<model::ResidencyRecord> to_drain_;
  model::LogChain chain_;
  uint32_t seen_entries_ = 0;       // free ones, at the last look
  std::optional<uint8_t> request_;  // whose lookup the one of this cycle is
  uint64_t checked_ = 0, wrong_ = 0, lookups_ = 0, repromoted_ = 0;
  uint32_t peak_slots_ = 0;
  std::vector<Placed> sinks_;
  std::vector<std::pair<uint32_t, uint32_t>> promoted_before_;  // owner, position
};

}  // namespace kvsink::tb

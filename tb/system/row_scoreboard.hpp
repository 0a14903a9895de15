// SPDX-License-Identifier: Apache-2.0
// Checks the sink and the bulk stream: every row of every request exactly once, bit for bit, on the path that the
// residency model predicts, in the order that the design states, each stream closed by its end marker.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "tb/system/differences.hpp"
#include "tb/system/dut.hpp"

namespace kvsink::tb {

enum class Path : uint8_t { kBulk = 0, kSink = 1 };

/// Where the expected bytes of a row come from: the trace or the model of memory, never the design.
using RowBytes = std::function<std::span<const uint8_t>(uint32_t owner, uint32_t layer, uint32_t plane,
                                                        uint32_t position, uint32_t head)>;

struct RowCounts {
  uint64_t checked = 0;
  uint64_t wrong = 0;       // bytes differ
  uint64_t missing = 0;     // not delivered when the end marker came
  uint64_t repeated = 0;    // delivered twice, or not asked for
  uint64_t false_miss = 0;  // bulk, though resident at its lookup
  uint64_t false_hit = 0;   // sink, though not resident at its lookup
  uint64_t misordered = 0;
  uint64_t errors = 0;    // error-flagged
  uint64_t bad_ends = 0;  // end marker with another count than rows delivered
  uint64_t sink = 0;
  uint64_t bulk = 0;
};

/// A complete row, in the order of its stream.
struct Row {
  const RowRequest* request = nullptr;
  Path path = Path::kBulk;
  uint8_t plane = 0;
  uint32_t position = 0;
  bool error = false;
  std::span<const uint8_t> bytes;  // row_stride bytes
};

/// What is wrong with the contents of a complete row, or with its error flag; empty: nothing. For surroundings in which
/// a row may have one of several contents.
using RowJudge = std::function<std::string(const Row&)>;

class RowScoreboard {
 public:
  using OnRow = std::function<void(const Row&)>;
  /// A request whose two end markers came; `refused` when its keep found no list.
  using OnClosed = std::function<void(const RowRequest&, bool refused)>;

  RowScoreboard(uint32_t page_tokens, uint32_t row_beats, uint32_t beat_bytes, RowBytes expected, Differences& report);

  void on_row(OnRow f) { on_row_ = std::move(f); }
  void on_closed(OnClosed f) { on_closed_ = std::move(f); }
  /// Takes the place of the expected bytes and of allow_errors.
  void judge(RowJudge f) { judge_ = std::move(f); }

  /// Whether a position of an owner may be read from memory though it is resident when it is looked up: it was not
  /// committed when the request was accepted, and a request reads its owner's lengths once.
  using Draft = std::function<bool(uint32_t owner, uint32_t position)>;
  void drafts(Draft f) { draft_ = std::move(f); }

  /// A request was accepted. Its id must not be in use. `check_path` is false where no prediction is made.
  void accepted(const RowRequest& request, bool check_path);
  /// The model's word on one token of an accepted request, at its lookup: it is resident with these planes. A request
  /// that asks for others as well (a follower may) reads all of the token from memory.
  void predict(uint8_t id, uint32_t position, uint8_t planes);
  /// Error-flagged rows are expected for this request (bad owner, unmapped page, injected faults, retire).
  void allow_errors(uint8_t id);
  void beat(Path path, const RowBeat& beat, uint64_t cycle);

  [[nodiscard]] const RowCounts& counts() const { return counts_; }
  [[nodiscard]] bool in_use(uint8_t id) const { return open_[id].has_value(); }
  [[nodiscard]] std::size_t open() const { return open_count_; }
  /// Requests that are open, told in one line, for the report of a hang.
  [[nodiscard]] std::string describe_open() const;

 private:
  struct Open {
    RowRequest request;
    bool check_path = true;
    bool errors_allowed = false;
    uint32_t lowest = 0;             // position of index 0
    std::vector<uint8_t> wanted;     // one a position: asked for
    std::vector<uint8_t> predicted;  // one a position: planes that are resident
    std::vector<uint8_t> draft;      // one a position: either path will do
    std::vector<uint8_t> seen;       // bit a plane, one a position
    uint32_t rows[2] = {0, 0};       // delivered on each path
    uint64_t order[2] = {0, 0};      // key of the last row on each path, plus one
    bool ended[2] = {false, false};
    bool refused = false;
  };
  struct Assembly {
    bool busy = false;
    uint8_t id = 0;
    uint8_t plane = 0;
    uint32_t position = 0;
    bool error = false;
    std::vector<uint8_t> bytes;
  };

  [[nodiscard]] uint64_t order_key(Path path, uint8_t plane, uint32_t position) const;
  void complete(Path path, Open& open, const Assembly& row, uint64_t cycle);
  void end_marker(Path path, Open& open, const RowBeat& beat, uint64_t cycle);
  void differ(Path path, uint64_t cycle, const RowRequest& request, const std::string& what);

  uint32_t page_tokens_;
  uint32_t row_beats_;
  uint32_t beat_bytes_;
  RowBytes expected_;
  Differences& report_;
  OnRow on_row_;
  OnClosed on_closed_;
  RowJudge judge_;
  Draft draft_;
  RowCounts counts_;
  std::array<std::optional<Open>, 256> open_;
  std::array<std::optional<Open>, 256> kept_;  // closed requests that asked to keep, for their followers
  std::size_t open_count_ = 0;
  Assembly assembly_[2];
};

}  // namespace kvsink::tb

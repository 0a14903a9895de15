// SPDX-License-Identifier: Apache-2.0
// The Verilated kvsink_synth behind plain C++ values, so that one bench runs every configuration.
//
// One cycle is one call of step(): the inputs in `in` are driven with the clock low, the outputs before the rising edge
// are copied to `out`, then the clock rises. A transfer took place in the cycle when valid and ready of one stream, one
// of them in `in` and the other in `out`, were both set.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "tb/system/probe.hpp"

namespace kvsink::tb {

/// Largest beat of a configuration, in 32-bit words (512 bits).
inline constexpr int kBeatWords = 16;
/// Largest number of merge lanes.
inline constexpr int kLanesMax = 16;
using Beat = std::array<uint32_t, kBeatWords>;
using LaneData = std::array<uint32_t, kLanesMax>;

/// A request for rows, as kvsink_pkg::row_req_t.
struct RowRequest {
  uint8_t id = 0;
  uint32_t owner = 0;
  uint32_t layer = 0;
  uint32_t head = 0;
  uint8_t planes = 0;
  bool by_granule = false;
  uint32_t first = 0;
  uint32_t count = 0;
  uint16_t mask = 0;
  bool keep = false;
  bool follow = false;
  uint8_t follow_id = 0;
  bool bulk_only = false;
};

/// One beat of the sink or the bulk stream, as kvsink_pkg::row_beat_t.
struct RowBeat {
  uint8_t id = 0;
  bool is_end = false;
  uint8_t plane = 0;
  uint32_t position = 0;
  bool error = false;
  bool last = false;
  Beat data{};
};

/// Weights for the scorer, as kvsink_pkg::score_beat_t.
struct ScoreBeat {
  uint32_t owner = 0;
  uint32_t layer = 0;
  uint32_t q_head = 0;
  uint32_t query_pos = 0;
  bool column_sum = false;
  uint32_t first = 0;
  uint32_t strobe = 0;
  Beat weight{};  // fp32 bits, one a lane
  bool last = false;
};

/// One beat of a partial, as kvsink_pkg::partial_t.
struct PartialIn {
  uint16_t id = 0;
  bool first = false;
  bool last_partial = false;
  bool is_sink = false;
  uint32_t lse = 0;
  bool base2 = false;
  uint8_t fmt = 0;
  uint8_t beats = 0;
  LaneData data{};
};

/// One beat of a merged output, as kvsink_pkg::merged_t.
struct MergedOut {
  uint16_t id = 0;
  bool first = false;
  bool last = false;
  uint32_t lse = 0;
  bool nan = false;
  uint32_t sink_mass = 0;  // UQ1.31
  uint8_t fmt = 0;
  LaneData data{};
};

struct AxiReadResponse {
  bool valid = false;
  uint8_t id = 0;
  uint8_t resp = 0;
  bool last = false;
  Beat data{};
};

struct AxiReadAddress {
  bool valid = false;
  uint8_t id = 0;
  uint64_t addr = 0;
  uint8_t len = 0;
  uint8_t size = 0;
  uint8_t burst = 0;
};

struct DutIn {
  bool req_valid = false;
  RowRequest req;
  bool sink_ready = false;
  bool bulk_ready = false;
  bool score_valid = false;
  ScoreBeat score;
  bool partial_valid = false;
  PartialIn partial;
  bool out_ready = false;
  bool cmd_valid = false;
  std::array<uint32_t, 16> cmd{};
  bool done_ready = false;
  bool arready = false;
  AxiReadResponse r;
  // AXI4-Lite
  bool awvalid = false, wvalid = false, bready = false, lite_arvalid = false, lite_rready = false;
  uint32_t awaddr = 0, wdata = 0, lite_araddr = 0;
};

struct DutOut {
  bool req_ready = false;
  bool sink_valid = false;
  RowBeat sink;
  bool bulk_valid = false;
  RowBeat bulk;
  bool score_ready = false;
  bool partial_ready = false;
  bool out_valid = false;
  MergedOut out;
  bool cmd_ready = false;
  bool done_valid = false;
  std::array<uint32_t, 8> done{};
  AxiReadAddress ar;
  bool rready = false;
  bool awready = false, wready = false, bvalid = false, lite_arready = false, lite_rvalid = false;
  uint8_t bresp = 0, lite_rresp = 0;
  uint32_t lite_rdata = 0;
  bool irq = false;
};

class Dut {
 public:
  virtual ~Dut() = default;
  Dut() = default;
  Dut(const Dut&) = delete;
  Dut& operator=(const Dut&) = delete;

  /// Holds reset for a few cycles. Call once before step().
  virtual void reset() = 0;
  /// One clock cycle, see the head of this file.
  virtual void step() = 0;
  /// Cycles since the first reset cycle.
  [[nodiscard]] virtual uint64_t cycle() const = 0;
  /// Records waveforms from now on; false when the file cannot be written or the model has no waveforms.
  virtual bool open_fst(const std::string& path) = 0;

  // ---- the inside, for tests that break it
  /// A beat of the slot SRAM, by its address.
  [[nodiscard]] virtual Beat peek_sram(uint32_t address) = 0;
  virtual void poke_sram(uint32_t address, const Beat& beat) = 0;
  /// The block table word of a tag array entry.
  [[nodiscard]] virtual uint32_t tag_entries() const = 0;
  [[nodiscard]] virtual uint32_t peek_tag_word(uint32_t entry) = 0;
  virtual void poke_tag_word(uint32_t entry, uint32_t word) = 0;

  DutIn in;
  DutOut out;
  Probe probe;  // events of the cycles stepped, see probe.hpp
};

/// Makes the model of configuration "small", "default" or "large"; null when the name is none of them or this program
/// was built without that configuration. `seed` sets the value that uninitialised state starts with.
std::unique_ptr<Dut> make_dut(std::string_view config, uint64_t seed);

}  // namespace kvsink::tb

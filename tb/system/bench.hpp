// SPDX-License-Identifier: Apache-2.0
// The block in its surroundings: one Dut, a memory behind its AXI4 port, software at its registers, a source for each
// stream that goes in and a sink for each that comes out. tick() is one clock cycle of all of it.
//
// Every handshake can stall at random. A valid, once raised, stays; a ready may come and go.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "tb/common/axi_memory.hpp"
#include "tb/common/rng.hpp"
#include "tb/common/stream.hpp"
#include "tb/system/differences.hpp"
#include "tb/system/dut.hpp"
#include "tb/system/row_scoreboard.hpp"

namespace kvsink::tb {

struct BenchOptions {
  std::string config = "default";
  uint64_t seed = 1;
  uint32_t latency = 150;      // cycles from an address to its first beat
  double bandwidth = 1.0;      // of the memory, beats a cycle
  uint32_t stall_percent = 0;  // chance that a handshake is held back in a cycle
  bool hashed_memory = false;  // memory that was never written holds a hash of its address, not zero
  std::string fst;             // waveform file; empty: none
  bool digest = false;         // keep Bench::digest()
  uint64_t power_up = 0;       // with the seed: what uninitialised state starts with; changes nothing else
};

class Bench {
 public:
  /// Null with a message in `why` when the configuration is not in this program or the waveform cannot be written.
  static std::unique_ptr<Bench> make(const BenchOptions& options, std::string& why);

  void tick();
  [[nodiscard]] uint64_t cycle() const { return dut_->cycle(); }
  [[nodiscard]] AxiMemory& memory() { return memory_; }
  [[nodiscard]] Dut& dut() { return *dut_; }
  [[nodiscard]] uint32_t beat_bytes() const { return beat_bytes_; }
  [[nodiscard]] const BenchOptions& options() const { return options_; }

  // ---- registers (AXI4-Lite); each call runs the clock until the answer. Result: the AXI response, 0 for OKAY.
  uint8_t write32(uint32_t addr, uint32_t value);
  uint8_t read32(uint32_t addr, uint32_t& value);

  // ---- streams in: what is pushed is sent in order
  Source<RowRequest> requests;
  Source<ScoreBeat> scores;
  Source<PartialIn> partials;
  Source<std::array<uint32_t, 16>> commands;  // the command stream, beside the command window of the registers

  // ---- streams out
  std::function<void(const RowRequest&)> on_request;  // accepted
  std::function<void(Path, const RowBeat&)> on_row_beat;
  std::function<void(const MergedOut&)> on_merged;
  std::function<void(const std::array<uint32_t, 8>&)> on_done;  // completions of the command stream
  std::function<void(const ProbeEvent&)> on_probe;              // events inside, in the order of their cycle
  std::function<void()> on_cycle;                               // before each cycle: whoever makes traffic
  /// Whether a stream may be taken at all in this cycle (for tests that hold one back); unset: always.
  std::function<bool(Path)> may_take;

  /// Of every output pin that says something, cycle by cycle, where BenchOptions::digest asks for it: two runs in which
  /// no output differed in any cycle have the same. What is beside a valid that is low says nothing.
  [[nodiscard]] uint64_t digest() const { return digest_; }

  /// Ticks until `done` says so; false after `limit` cycles.
  bool run_until(const std::function<bool()>& done, uint64_t limit);

 private:
  Bench(const BenchOptions& options, std::unique_ptr<Dut> dut);
  void probe_events();
  void fold_outputs();
  /// One AXI4-Lite transfer: ticks until `end` says that it is over.
  template <class End>
  void transfer(End end);

  BenchOptions options_;
  std::unique_ptr<Dut> dut_;
  uint32_t beat_bytes_;
  AxiMemory memory_;
  uint64_t digest_ = 0;
  Stall sink_stall_, bulk_stall_, out_stall_, done_stall_;
};

/// Order within one cycle in which the events inside count: removals before lookups, additions after them.
int probe_rank(const ProbeEvent& event);

}  // namespace kvsink::tb

// SPDX-License-Identifier: Apache-2.0
// The subcommands of `kvsink`. Each returns the exit status: 0 all equal, 1 a difference from the golden model, 2 bad
// usage or bad input. main.cpp parses and checks the options; a command checks what only it can know.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "sw/capture/capture.hpp"
#include "sw/capture/synth.hpp"
#include "sw/trace/result.hpp"

namespace kvsink::command {

inline constexpr int kEqual = 0;
inline constexpr int kDifferent = 1;
inline constexpr int kBadInput = 2;

enum class Config { kSmall, kDefault, kLarge };
enum class Policy { kSinks, kFill, kDynamic, kHbm };
enum class Base { kE, k2 };
enum class Format { kFp32, kFp16, kBf16 };

/// Names as they are spelt on the command line and in the JSON.
const char* name(Config config);
const char* name(Policy policy);

struct ReplayOptions {
  std::string trace;
  Config config = Config::kSmall;
  Policy policy = Policy::kSinks;
  std::optional<std::uint32_t> budget;  ///< SRAM_budget in slots; none: the policy's own (hbm: always 0)
  std::optional<std::string> tiers;     ///< file with address windows, latencies and bandwidths; it exists
  std::optional<std::string> home;      ///< name of the tier that holds the cache
  std::optional<std::string> plan;      ///< file of `kvsink plan`: takes the place of the prefill's scores
  std::uint32_t latency = 150;          ///< of the memory, in cycles, 1..100000
  std::uint32_t stall = 0;              ///< of 100 cycles, how many a handshake stalls at random, 0..90
  std::uint64_t seed = 1;
  std::optional<std::string> out;   ///< safetensors with what the RTL produced
  std::optional<std::string> json;  ///< "-": standard output, which then carries nothing else
  std::optional<std::string> fst;   ///< waveform
  std::optional<std::string> log;   ///< the event log as software drained it
};

struct LogOptions {
  std::string file;
  std::uint32_t from = 0, to = 0xffffffff;  ///< sequence numbers
  std::optional<std::uint32_t> owner, slot, position;
  std::optional<std::string> kind, cause;
  std::optional<std::string> json;  ///< "-": standard output, which then carries nothing else
};

struct StressOptions {
  std::optional<std::string> name;  ///< of a scenario; none: all of them
  bool list = false;
  Config config = Config::kSmall;
  std::uint64_t seed = 1;
  std::optional<std::string> log;
  std::optional<std::string> json;  ///< "-": standard output, which then carries nothing else
};

struct PlanOptions {
  std::string trace;
  Config config = Config::kSmall;
  bool fill = false;                    ///< the strongest tokens up to the budget, whatever their score
  std::optional<std::string> scores;    ///< scores in place of the trace's own
  std::optional<std::string> tiers;     ///< file with latencies and bandwidths
  std::optional<std::string> home;      ///< tier that holds the cache; none: the one named hbm
  std::uint32_t latency = 150;          ///< of the memory when there is no file of tiers
  std::optional<std::uint32_t> budget;  ///< tokens at most; none: as many as the SRAM holds
  std::uint32_t per_step = 0;           ///< promotions a step; 0: all before the first
  std::uint32_t adapt = 0;              ///< promotions and evictions a step that the block may do by itself
  std::optional<std::string> out;       ///< the plan
  std::optional<std::string> json;      ///< the same; "-": standard output, which then carries nothing else
};

struct GoldenOptions {
  std::string trace;
  std::string out;
};

struct DiffOptions {
  std::string a;
  std::string b;
  double ulp = 16;                  ///< largest difference that still counts as equal
  std::uint32_t lines = 10;         ///< of the worst differences to print
  std::optional<std::string> json;  ///< counts and a histogram; "-": standard output, which then carries nothing else
};

struct MergeOptions {
  std::string in;
  std::string out;
  Base base = Base::kE;
  Format format = Format::kFp32;
};

struct InfoOptions {
  std::string trace;
  std::optional<std::string> json;  ///< "-": standard output, which then carries nothing else
};

struct CaptureCommand {
  capture::CaptureOptions capture;
  std::optional<std::string> prompt_file;
  std::optional<std::string> ids_file;
  std::optional<std::string> tokenizer;
};

struct ImportOptions {
  std::string map;
  std::string out;
};

struct SynthCommand {
  capture::SynthOptions synth;
  std::uint32_t sequences = 1;
  std::string out;
};

int cmd_replay(const ReplayOptions& options);
int cmd_plan(const PlanOptions& options);
int cmd_golden(const GoldenOptions& options);
int cmd_diff(const DiffOptions& options);
int cmd_merge(const MergeOptions& options);
int cmd_info(const InfoOptions& options);
int cmd_capture(const CaptureCommand& options);
int cmd_import(const ImportOptions& options);
int cmd_synth(const SynthCommand& options);
int cmd_log(const LogOptions& options);
int cmd_stress(const StressOptions& options);

/// Writes one line to standard error, `kvsink: <message>`, and returns kBadInput.
int fail(const Error& error);

/// Writes text to a file, whole or not at all, or to standard output for "-".
Result<void> write_text(const std::string& path, const std::string& text);

/// Progress of long work: a line that is rewritten, on a terminal only (standard error). It is wiped at the end.
class Progress {
 public:
  explicit Progress(std::string what);
  ~Progress();
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

  /// `done` of `total` units of work, and what else is to be told; redraws at most once for every percent.
  void set(std::uint64_t done, std::uint64_t total, const std::string& more = {});

 private:
  std::string what_;
  bool terminal_;
  int shown_ = -1;
};

}  // namespace kvsink::command

// SPDX-License-Identifier: Apache-2.0
// A file of drained log records: what `kvsink replay --log` writes and `kvsink log` reads. docs/log-format.md.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "sw/models/event_log_model.hpp"
#include "sw/trace/result.hpp"

namespace kvsink::model {

/// Records in the order in which they were drained, and the ends of the chain.
struct LogFile {
  uint32_t before_sequence = 0, before_crc = 0;  ///< of the record before the first; 0 and 0: from the start
  uint32_t last_sequence = 0, last_crc = 0;      ///< the register pair, read when the log was drained
  std::vector<LogRecord> records;
  uint32_t cut = 0;  ///< bytes of a record at the end of the file that is not whole
};

constexpr std::size_t kLogHeaderBytes = 40;

/// Writes the file, whole or not at all.
Result<void> write_log(const std::string& path, const LogFile& log);
/// Fails on what is no log: one line with the file. A chain that is broken is the caller's to find.
Result<LogFile> read_log(const std::string& path);

/// The first record that is missing, altered or there twice, by the chain and by the register pair.
LogChain::Finding verify(const LogFile& log);

/// "grant", "resident", "failed", "leave", "read_error", "owner", "window", or "kind 9".
std::string kind_name(uint8_t kind);

}  // namespace kvsink::model

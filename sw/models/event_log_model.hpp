// SPDX-License-Identifier: Apache-2.0
// Records of the event log: their layout, their CRC, and a checker that names the first record missing or altered.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string>

namespace kvsink::model {

constexpr std::size_t kLogRecordBytes = 32;
constexpr std::size_t kLogBodyBytes = 28;  ///< what the CRC covers
using LogBytes = std::array<uint8_t, kLogRecordBytes>;

/// log_record_t; values of kind and cause: event_e and status_e.
struct LogRecord {
  uint32_t sequence = 0;
  uint64_t time = 0;  ///< cycles since reset
  uint8_t kind = 0;
  uint8_t cause = 0;
  uint16_t owner = 0;
  uint32_t position = 0;
  uint32_t word = 0;  ///< block table word: {generation, physical block}
  uint16_t slot = 0;
  uint16_t reserved = 0;
  uint32_t crc = 0;

  /// From memory order, little-endian.
  static LogRecord decode(std::span<const uint8_t, kLogRecordBytes> bytes);
  LogBytes encode() const;
  bool operator==(const LogRecord&) const = default;
};

/// CRC-32 of IEEE 802.3 over bytes, continued from `last` (0: from the start), as zlib's crc32.
uint32_t crc32(uint32_t last, std::span<const uint8_t> bytes);

/// CRC that a record must have when the one before it has `last` (0: it is the first).
uint32_t log_crc(uint32_t last, const LogRecord& record);

/// Follows a chain of records as they are drained.
class LogChain {
 public:
  enum class Verdict {
    kGood,
    kMissing,   ///< the record `sequence` is not there
    kAltered,   ///< the record `sequence` has other contents than were written
    kRepeated,  ///< the record `sequence` was there before
  };
  struct Finding {
    Verdict verdict = Verdict::kGood;
    uint32_t sequence = 0;  ///< which record
    explicit operator bool() const { return verdict == Verdict::kGood; }
    /// One line for a person.
    std::string text() const;
    bool operator==(const Finding&) const = default;
  };

  /// `sequence` and `crc` of the last record seen before; 0 and 0 from the start.
  explicit LogChain(uint32_t sequence = 0, uint32_t crc = 0) : sequence_(sequence), crc_(crc) {}

  /// The next record. After a finding the chain goes on from this record as it is.
  Finding take(const LogRecord& record);
  /// Whether the chain ends where the device says: a cut tail, or one that was exchanged, is found here.
  Finding end(uint32_t last_sequence, uint32_t last_crc) const;

  uint32_t sequence() const { return sequence_; }
  uint32_t crc() const { return crc_; }

 private:
  uint32_t sequence_;
  uint32_t crc_;
};

}  // namespace kvsink::model

// SPDX-License-Identifier: Apache-2.0
#include "sw/models/event_log_model.hpp"

namespace kvsink::model {
namespace {

uint64_t load(std::span<const uint8_t> bytes) {
  uint64_t value = 0;
  for (size_t i = bytes.size(); i-- > 0;) value = value << 8 | bytes[i];
  return value;
}

void store(std::span<uint8_t> bytes, uint64_t value) {
  for (uint8_t& b : bytes) {
    b = static_cast<uint8_t>(value);
    value >>= 8;
  }
}

}  // namespace

LogRecord LogRecord::decode(std::span<const uint8_t, kLogRecordBytes> b) {
  LogRecord r;
  r.sequence = static_cast<uint32_t>(load(b.subspan(0, 4)));
  r.time = load(b.subspan(4, 8));
  r.kind = b[12];
  r.cause = b[13];
  r.owner = static_cast<uint16_t>(load(b.subspan(14, 2)));
  r.position = static_cast<uint32_t>(load(b.subspan(16, 4)));
  r.word = static_cast<uint32_t>(load(b.subspan(20, 4)));
  r.slot = static_cast<uint16_t>(load(b.subspan(24, 2)));
  r.reserved = static_cast<uint16_t>(load(b.subspan(26, 2)));
  r.crc = static_cast<uint32_t>(load(b.subspan(28, 4)));
  return r;
}

LogBytes LogRecord::encode() const {
  LogBytes out{};
  const std::span<uint8_t> b(out);
  store(b.subspan(0, 4), sequence);
  store(b.subspan(4, 8), time);
  b[12] = kind;
  b[13] = cause;
  store(b.subspan(14, 2), owner);
  store(b.subspan(16, 4), position);
  store(b.subspan(20, 4), word);
  store(b.subspan(24, 2), slot);
  store(b.subspan(26, 2), reserved);
  store(b.subspan(28, 4), crc);
  return out;
}

uint32_t crc32(uint32_t last, std::span<const uint8_t> bytes) {
  uint32_t c = ~last;
  for (const uint8_t byte : bytes) {
    c ^= byte;
    for (int bit = 0; bit < 8; bit++) c = (c & 1) != 0 ? c >> 1 ^ 0xEDB88320U : c >> 1;
  }
  return ~c;
}

uint32_t log_crc(uint32_t last, const LogRecord& record) {
  const LogBytes bytes = record.encode();
  return crc32(last, std::span(bytes).first(kLogBodyBytes));
}

std::string LogChain::Finding::text() const {
  const std::string record = "log record " + std::to_string(sequence);
  switch (verdict) {
    case Verdict::kMissing:
      return record + " is missing";
    case Verdict::kAltered:
      return record + " was altered";
    case Verdict::kRepeated:
      return record + " comes again";
    case Verdict::kGood:
      break;
  }
  return "the log is whole";
}

LogChain::Finding LogChain::take(const LogRecord& record) {
  const uint32_t expected = sequence_ + 1;
  const uint32_t before = crc_;
  sequence_ = record.sequence;
  crc_ = record.crc;
  if (record.sequence == expected) {
    if (record.crc == log_crc(before, record)) return {Verdict::kGood, expected};
    return {Verdict::kAltered, expected};
  }
  // Another number: either this is the expected record with its number altered, or records are missing before it.
  LogRecord renumbered = record;
  renumbered.sequence = expected;
  if (record.crc == log_crc(before, renumbered)) {
    sequence_ = expected;
    return {Verdict::kAltered, expected};
  }
  // Numbers wrap, so which side it lies on is told by the sign of the difference.
  if (static_cast<int32_t>(record.sequence - expected) < 0) return {Verdict::kRepeated, record.sequence};
  return {Verdict::kMissing, expected};
}

LogChain::Finding LogChain::end(uint32_t last_sequence, uint32_t last_crc) const {
  if (last_sequence != sequence_) return {Verdict::kMissing, sequence_ + 1};
  if (last_crc != crc_) return {Verdict::kAltered, sequence_};
  return {Verdict::kGood, sequence_};
}

}  // namespace kvsink::model

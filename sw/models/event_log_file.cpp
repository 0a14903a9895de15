// SPDX-License-Identifier: Apache-2.0
#include "sw/models/event_log_file.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <system_error>

namespace kvsink::model {
namespace {

constexpr std::array<char, 8> kMagic{'k', 'v', 's', 'l', 'o', 'g', '1', '\n'};
constexpr std::size_t kCrcAt = 36;  // in the header, over what is before it

uint32_t word_at(const std::vector<uint8_t>& bytes, std::size_t at) {
  return static_cast<uint32_t>(bytes[at]) | static_cast<uint32_t>(bytes[at + 1]) << 8 |
         static_cast<uint32_t>(bytes[at + 2]) << 16 | static_cast<uint32_t>(bytes[at + 3]) << 24;
}

void append(std::vector<uint8_t>& bytes, uint32_t word) {
  for (int shift = 0; shift < 32; shift += 8) bytes.push_back(static_cast<uint8_t>(word >> shift));
}

}  // namespace

Result<void> write_log(const std::string& path, const LogFile& log) {
  std::vector<uint8_t> bytes(kMagic.begin(), kMagic.end());
  append(bytes, kLogHeaderBytes);
  append(bytes, kLogRecordBytes);
  append(bytes, log.before_sequence);
  append(bytes, log.before_crc);
  append(bytes, log.last_sequence);
  append(bytes, log.last_crc);
  append(bytes, 0);
  append(bytes, crc32(0, bytes));
  for (const LogRecord& record : log.records) {
    const LogBytes raw = record.encode();
    bytes.insert(bytes.end(), raw.begin(), raw.end());
  }
  const std::string growing = fmt::format("{}.{}.part", path, ::getpid());
  errno = 0;
  std::ofstream file(growing, std::ios::binary | std::ios::trunc);
  file.write(reinterpret_cast<const char*>(bytes.data()), static_cast<std::streamsize>(bytes.size()));
  file.close();
  if (!file || std::rename(growing.c_str(), path.c_str()) != 0) {
    const int code = errno;
    std::error_code ignored;
    std::filesystem::remove(growing, ignored);
    return Error{fmt::format("{}: cannot be written ({})", path, std::strerror(code))};
  }
  return {};
}

Result<LogFile> read_log(const std::string& path) {
  std::error_code failed;
  const auto status = std::filesystem::status(path, failed);
  if (!std::filesystem::exists(status)) return Error{path + ": no such file"};
  if (std::filesystem::is_directory(status)) return Error{path + ": is a folder, not a log"};
  std::ifstream file(path, std::ios::binary);
  const std::vector<uint8_t> bytes{std::istreambuf_iterator<char>(file), {}};
  if (!file) return Error{path + ": cannot be read"};
  if (bytes.size() < kLogHeaderBytes) {
    return Error{fmt::format("{}: {} bytes, the header of a log takes {}", path, bytes.size(), kLogHeaderBytes)};
  }
  if (!std::equal(kMagic.begin(), kMagic.end(), bytes.begin())) {
    return Error{path + ": not a kvsink log (its first bytes are not 'kvslog1')"};
  }
  const uint32_t crc = crc32(0, std::span(bytes).first(kCrcAt));
  if (word_at(bytes, kCrcAt) != crc) {
    return Error{
        fmt::format("{}: the header is damaged (CRC {:#010x}, expected {:#010x})", path, word_at(bytes, kCrcAt), crc)};
  }
  if (word_at(bytes, 8) != kLogHeaderBytes || word_at(bytes, 12) != kLogRecordBytes) {
    return Error{fmt::format("{}: header of {} and records of {} bytes, this program knows {} and {}", path,
                             word_at(bytes, 8), word_at(bytes, 12), kLogHeaderBytes, kLogRecordBytes)};
  }
  LogFile log;
  log.before_sequence = word_at(bytes, 16);
  log.before_crc = word_at(bytes, 20);
  log.last_sequence = word_at(bytes, 24);
  log.last_crc = word_at(bytes, 28);
  for (std::size_t at = kLogHeaderBytes; at + kLogRecordBytes <= bytes.size(); at += kLogRecordBytes) {
    log.records.push_back(LogRecord::decode(std::span(bytes).subspan(at).first<kLogRecordBytes>()));
  }
  log.cut = static_cast<uint32_t>((bytes.size() - kLogHeaderBytes) % kLogRecordBytes);
  return log;
}

LogChain::Finding verify(const LogFile& log) {
  LogChain chain(log.before_sequence, log.before_crc);
  for (const LogRecord& record : log.records) {
    if (const auto finding = chain.take(record); !finding) return finding;
  }
  return chain.end(log.last_sequence, log.last_crc);
}

std::string kind_name(uint8_t kind) {
  static constexpr std::array kNames{"",           "grant", "resident", "failed", "leave",
                                     "read_error", "owner", "window",   "plan"};
  return kind != 0 && kind < kNames.size() ? kNames[kind] : fmt::format("kind {}", kind);
}

}  // namespace kvsink::model

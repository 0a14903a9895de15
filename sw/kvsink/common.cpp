// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <system_error>

#include "sw/kvsink/commands.hpp"

namespace kvsink::command {
namespace {

/// The text on one line: what comes from a file name or a file may hold anything.
std::string one_line(const std::string& text) {
  std::string out;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    out += byte < 0x20 || byte == 0x7f ? fmt::format("\\x{:02x}", byte) : std::string(1, c);
  }
  return out;
}

}  // namespace

const char* name(Config config) {
  switch (config) {
    case Config::kSmall:
      return "small";
    case Config::kDefault:
      return "default";
    case Config::kLarge:
      return "large";
  }
  return "?";
}

const char* name(Policy policy) {
  switch (policy) {
    case Policy::kSinks:
      return "sinks";
    case Policy::kFill:
      return "fill";
    case Policy::kDynamic:
      return "dynamic";
    case Policy::kHbm:
      return "hbm";
  }
  return "?";
}

int fail(const Error& error) {
  fmt::print(stderr, "kvsink: {}\n", one_line(error.message));
  return kBadInput;
}

Result<void> write_text(const std::string& path, const std::string& text) {
  namespace fs = std::filesystem;
  if (path == "-") {
    if (std::fwrite(text.data(), 1, text.size(), stdout) != text.size() || std::fflush(stdout) != 0) {
      return Error{"standard output cannot be written"};
    }
    return {};
  }
  std::error_code ignored;
  const auto status = fs::status(path, ignored);
  if (fs::is_directory(status)) {
    return Error{path + ": is a folder"};
  }
  const bool direct = fs::exists(status) && !fs::is_regular_file(status);
  const std::string growing = direct ? path : fmt::format("{}.{}.part", path, ::getpid());
  errno = 0;
  std::ofstream file(growing, std::ios::binary | std::ios::trunc);
  file << text;
  file.close();
  if (!file || (!direct && ::rename(growing.c_str(), path.c_str()) != 0)) {
    const int code = errno;
    if (!direct) {
      fs::remove(growing, ignored);
    }
    return Error{fmt::format("{}: cannot be written ({})", path, std::strerror(code))};
  }
  return {};
}

Progress::Progress(std::string what) : what_(std::move(what)), terminal_(::isatty(STDERR_FILENO) == 1) {}

Progress::~Progress() {
  if (shown_ >= 0) {
    fmt::print(stderr, "\r\x1b[K");
  }
}

void Progress::set(std::uint64_t done, std::uint64_t total, const std::string& more) {
  if (!terminal_ || total == 0) {
    return;
  }
  const int percent = static_cast<int>(100.0 * static_cast<double>(done) / static_cast<double>(total));
  if (percent != shown_) {
    shown_ = percent;
    fmt::print(stderr, "\r\x1b[K{} {:3} %{}{}", what_, percent, more.empty() ? "" : ", ", more);
    std::fflush(stderr);
  }
}

}  // namespace kvsink::command

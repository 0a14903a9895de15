// SPDX-License-Identifier: Apache-2.0
// Options of the command line: each kind is checked while it is read, and an error names the option and the value.
#pragma once

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <charconv>
#include <optional>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

#include "sw/kvsink/commands.hpp"
#include "sw/trace/result.hpp"

namespace kvsink::command {

/// One of some names; the text is kept until all options are known to be right.
template <class T>
CLI::Option* choice(CLI::App* app, const std::string& flag, T& value,
                    const std::vector<std::pair<std::string, T>>& names, const std::string& help) {
  std::string list;
  for (const auto& [text, unused] : names) {
    list += (list.empty() ? "" : "|") + text;
  }
  return app
      ->add_option_function<std::string>(
          flag,
          [&value, names, list, flag](const std::string& text) {
            const auto found =
                std::find_if(names.begin(), names.end(), [&text](const auto& row) { return row.first == text; });
            if (found == names.end()) {
              throw CLI::ValidationError(flag, "'" + text + "' is not one of " + list);
            }
            value = found->second;
          },
          help)
      ->type_name(list);
}

/// A whole number from `low` to `high`, in decimal.
template <class T, class Set>
CLI::Option* number(CLI::App* app, const std::string& flag, T low, T high, Set set, const std::string& help) {
  return app
      ->add_option_function<std::string>(
          flag,
          [flag, low, high, set](const std::string& text) {
            T value{};
            const char* end = text.data() + text.size();
            const auto [stop, code] = std::from_chars(text.data(), end, value);
            if (code != std::errc() || stop != end || value < low || value > high) {
              throw CLI::ValidationError(flag,
                                         fmt::format("'{}' is not a whole number from {} to {}", text, low, high));
            }
            set(value);
          },
          help)
      ->type_name(fmt::format("{}..{}", low, high));
}

/// Text that is not empty.
template <class Set>
CLI::Option* text(CLI::App* app, const std::string& flag, Set set, const std::string& type, const std::string& help) {
  return app
      ->add_option_function<std::string>(
          flag,
          [flag, set](const std::string& value) {
            if (value.empty()) {
              throw CLI::ValidationError(flag, "is empty");
            }
            set(value);
          },
          help)
      ->type_name(type);
}

inline CLI::Option* file(CLI::App* app, const std::string& flag, std::string& into, const std::string& help) {
  return text(
      app, flag, [&into](const std::string& value) { into = value; }, "FILE", help);
}

inline CLI::Option* file(CLI::App* app, const std::string& flag, std::optional<std::string>& into,
                         const std::string& help) {
  return text(
      app, flag, [&into](const std::string& value) { into = value; }, "FILE", help);
}

/// A number from `low` to `high`.
template <class Set>
CLI::Option* real(CLI::App* app, const std::string& flag, double low, double high, Set set, const std::string& help) {
  return app
      ->add_option_function<std::string>(
          flag,
          [flag, low, high, set](const std::string& text) {
            double value{};
            const char* end = text.data() + text.size();
            const auto [stop, code] = std::from_chars(text.data(), end, value);
            if (code != std::errc() || stop != end || !(value >= low && value <= high)) {
              throw CLI::ValidationError(flag, fmt::format("'{}' is not a number from {} to {}", text, low, high));
            }
            set(value);
          },
          help)
      ->type_name("X");
}

/// A file that will be written: its folder is there, and it is not the input. Found out before the work, not after it.
Result<void> check_output(const char* flag, const std::optional<std::string>& path, const std::string& input);

// capture, import, synth-trace: capture_options.cpp.
CLI::App* add_capture(CLI::App& app, CaptureCommand& o);
Result<void> check_capture(CaptureCommand& o);
CLI::App* add_import(CLI::App& app, ImportOptions& o);
CLI::App* add_synth(CLI::App& app, SynthCommand& o);

}  // namespace kvsink::command

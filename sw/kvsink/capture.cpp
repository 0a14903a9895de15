// SPDX-License-Identifier: Apache-2.0
// kvsink capture: a model and a prompt in, a trace out.
#include "sw/capture/capture.hpp"

#include <fmt/format.h>

#include "sw/kvsink/commands.hpp"

namespace kvsink::command {

int cmd_capture(const CaptureCommand& options) {
  const auto report = [&] {
    Progress progress("capture");
    return capture::capture(options.capture, [&](std::uint64_t done, std::uint64_t all, double speed) {
      progress.set(done, all, fmt::format("{:.0f} tokens/s", speed));
    });
  }();
  if (!report) {
    return fail(report.error());
  }
  if (!report->text.empty()) {
    fmt::print("{}\n\n", report->text);
  }
  fmt::print("{}: {} tokens ({} of them the prompt{}), {} prefill, {} decode steps recorded\n", report->model,
             report->tokens, report->prompt_tokens, report->ended ? "; the model ended the sequence" : "",
             report->prefill, report->steps);
  fmt::print("{:.0f} tokens/s with recording ({:.2f} s; weights read and checked in {:.2f} s)\n",
             report->tokens / report->seconds, report->seconds, report->load_seconds);
  fmt::print("{}: {} bytes\n", options.capture.out, report->bytes);
  return kEqual;
}

}  // namespace kvsink::command

// SPDX-License-Identifier: Apache-2.0
// kvsink import: attention tensors of other tools to a trace.
#include "sw/capture/import.hpp"

#include <fmt/format.h>

#include "sw/kvsink/commands.hpp"

namespace kvsink::command {

int cmd_import(const ImportOptions& options) {
  const auto report = capture::import_trace(options.map, options.out);
  if (!report) {
    return fail(report.error());
  }
  fmt::print("{}: {} layers, {} tokens, {} decode steps, {} bytes\n", options.out, report->layers, report->tokens,
             report->steps, report->bytes);
  if (report->largest_o >= 0) {
    fmt::print("its own outputs differ from exact attention by at most {:.3g}\n", report->largest_o);
  }
  if (report->largest_lse >= 0) {
    fmt::print("its own lse differs from exact attention by at most {:.3g}\n", report->largest_lse);
  }
  return kEqual;
}

}  // namespace kvsink::command

// SPDX-License-Identifier: Apache-2.0
// kvsink golden: the exact outputs of a trace's decode steps, computed in double and rounded once to fp32.
#include <fmt/format.h>

#include "sw/golden/attention.hpp"
#include "sw/kvsink/commands.hpp"
#include "sw/trace/trace.hpp"

namespace kvsink::command {

int cmd_golden(const GoldenOptions& options) {
  const auto trace = trace::Trace::load(options.trace);
  if (!trace) {
    return fail(trace.error());
  }
  trace::Outputs outputs;
  {
    Progress progress("golden model");
    outputs = golden::exact_outputs(*trace, [&](std::size_t done, std::size_t all) { progress.set(done, all); });
  }
  const auto written = trace::write_outputs(options.out, outputs,
                                            {{"format", "kvsink-outputs"},
                                             {"version", "1"},
                                             {"producer", "golden model: exact attention in double, rounded to fp32"},
                                             {"model", trace->meta("model")}});
  if (!written) {
    return fail(written.error());
  }
  fmt::print("{}: o [{}][{}][{}][{}] and lse, exact\n", options.out, outputs.L, outputs.N, outputs.Hq, outputs.d);
  return kEqual;
}

}  // namespace kvsink::command

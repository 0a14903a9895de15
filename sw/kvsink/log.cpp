// SPDX-License-Identifier: Apache-2.0
// kvsink log: prints the records of a saved event log, all or some, and says whether they are all there as written.
#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "sw/kvsink/commands.hpp"
#include "sw/models/event_log_file.hpp"
#include "sw/models/residency_model.hpp"

namespace kvsink::command {
namespace {

using nlohmann::ordered_json;

std::string cause_name(const model::LogRecord& r) { return model::name(static_cast<model::Status>(r.cause)); }

bool wanted(const LogOptions& o, const model::LogRecord& r) {
  return r.sequence >= o.from && r.sequence <= o.to && (!o.owner || *o.owner == r.owner) &&
         (!o.slot || *o.slot == r.slot) && (!o.position || *o.position == r.position) &&
         (!o.kind || *o.kind == model::kind_name(r.kind)) && (!o.cause || *o.cause == cause_name(r));
}

}  // namespace

int cmd_log(const LogOptions& options) {
  const auto log = model::read_log(options.file);
  if (!log) return fail(log.error());
  const auto finding = model::verify(*log);
  const bool whole = static_cast<bool>(finding) && log->cut == 0;
  std::string verdict = finding.text();
  if (log->cut != 0) verdict += fmt::format("; the file ends {} bytes into a record", log->cut);

  std::string text;
  ordered_json records = ordered_json::array();
  uint64_t shown = 0;
  for (const auto& r : log->records) {
    if (!wanted(options, r)) continue;
    ++shown;
    if (options.json) {
      records.push_back({{"sequence", r.sequence},
                         {"time", r.time},
                         {"kind", model::kind_name(r.kind)},
                         {"cause", cause_name(r)},
                         {"owner", r.owner},
                         {"position", r.position},
                         {"word", r.word},
                         {"slot", r.slot},
                         {"crc", r.crc}});
    } else {
      text += fmt::format("{:>8} {:>12} {:<10} {:<14} {:>6} {:>8} {:#010x} {:>6}\n", r.sequence, r.time,
                          model::kind_name(r.kind), cause_name(r), r.owner, r.position, r.word, r.slot);
    }
  }
  if (options.json) {
    const ordered_json json = {{"file", options.file}, {"records", log->records.size()},
                               {"shown", records},     {"last_sequence", log->last_sequence},
                               {"whole", whole},       {"finding", verdict}};
    if (const auto ok = write_text(*options.json, json.dump(1) + "\n"); !ok) return fail(ok.error());
  }
  if (!options.json || *options.json != "-") {
    if (!text.empty()) {
      fmt::print("{:>8} {:>12} {:<10} {:<14} {:>6} {:>8} {:>10} {:>6}\n{}", "sequence", "cycle", "kind", "cause",
                 "owner", "position", "word", "slot", text);
    }
    fmt::print("{} records, {} shown: {}\n", log->records.size(), shown, verdict);
  }
  return whole ? kEqual : kDifferent;
}

}  // namespace kvsink::command

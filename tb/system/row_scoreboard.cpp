// SPDX-License-Identifier: Apache-2.0
#include "tb/system/row_scoreboard.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <cstring>

namespace kvsink::tb {
namespace {

const char* name(Path path) { return path == Path::kSink ? "sink" : "bulk"; }

std::string describe(const RowRequest& r) {
  std::string text = fmt::format("request {} (owner {}, layer {}, head {}, planes {:#04x}, ", r.id, r.owner, r.layer,
                                 r.head, r.planes);
  text += r.by_granule ? fmt::format("granule {} mask {:#06x}", r.first / 16, r.mask)
                       : fmt::format("positions {}..{}", r.first, r.first + r.count - 1);
  if (r.keep) text += ", keep";
  if (r.follow) text += fmt::format(", follows {}", r.follow_id);
  if (r.bulk_only) text += ", bulk only";
  return text + ")";
}

std::string hex(std::span<const uint8_t> bytes, std::size_t most) {
  std::string text;
  for (std::size_t i = 0; i < std::min(bytes.size(), most); ++i) text += fmt::format("{:02x}", bytes[i]);
  return text;
}

}  // namespace

RowScoreboard::RowScoreboard(uint32_t page_tokens, uint32_t row_beats, uint32_t beat_bytes, RowBytes expected,
                             Differences& report)
    : page_tokens_(page_tokens),
      row_beats_(row_beats),
      beat_bytes_(beat_bytes),
      expected_(std::move(expected)),
      report_(report) {}

void RowScoreboard::differ(Path path, uint64_t cycle, const RowRequest& request, const std::string& what) {
  report_.add(fmt::format("bypass_mux, {} stream", name(path)), cycle, describe(request) + ": " + what);
}

void RowScoreboard::accepted(const RowRequest& request, bool check_path) {
  if (open_[request.id]) {
    report_.add("bench", 0, fmt::format("request id {} is used twice", request.id));
    return;
  }
  Open open;
  open.request = request;
  open.check_path = check_path;
  open.lowest = request.by_granule ? request.first / 16 * 16 : request.first;
  const uint32_t span = request.by_granule ? 16 : request.count;
  open.wanted.assign(span, 1);
  if (request.by_granule) {
    for (uint32_t i = 0; i < 16; ++i) open.wanted[i] = (request.mask >> i) & 1U;
  }
  open.predicted.assign(span, 0);
  open.draft.assign(span, 0);
  for (uint32_t i = 0; draft_ && i < span; ++i) open.draft[i] = draft_(request.owner, open.lowest + i) ? 1 : 0;
  open.seen.assign(span, 0);
  const auto& open_leader = open_[request.follow_id];
  const auto& leader_of = open_leader ? open_leader : kept_[request.follow_id];
  if (request.follow && leader_of) {
    const Open& leader = *leader_of;
    for (uint32_t i = 0; i < span; ++i) {
      const uint32_t position = open.lowest + i;
      if (position >= leader.lowest && position - leader.lowest < leader.predicted.size()) {
        open.predicted[i] = leader.predicted[position - leader.lowest];
        open.draft[i] = leader.draft[position - leader.lowest];
      }
    }
  }
  open_[request.id] = std::move(open);
  ++open_count_;
}

void RowScoreboard::predict(uint8_t id, uint32_t position, uint8_t planes) {
  // A follower shares the list of its leader: what is said of the one holds for the other.
  for (auto& open : open_) {
    if (!open) continue;
    const bool own = open->request.id == id;
    const bool follows = open->request.follow && open->request.follow_id == id;
    if (!own && !follows) continue;
    if (position >= open->lowest && position - open->lowest < open->predicted.size()) {
      open->predicted[position - open->lowest] = planes;
    }
  }
}

void RowScoreboard::allow_errors(uint8_t id) {
  if (open_[id]) open_[id]->errors_allowed = true;
}

uint64_t RowScoreboard::order_key(Path path, uint8_t plane, uint32_t position) const {
  const uint64_t page = position / page_tokens_;
  const uint64_t page_order = path == Path::kSink ? page : 0xffffffffU - page;
  return page_order << 20 | uint64_t{plane} << 16 | position % page_tokens_;
}

void RowScoreboard::beat(Path path, const RowBeat& beat, uint64_t cycle) {
  auto& slot = open_[beat.id];
  if (!slot) {
    report_.add(fmt::format("bypass_mux, {} stream", name(path)), cycle,
                fmt::format("a beat of request {}, which is not open", beat.id));
    ++counts_.repeated;
    return;
  }
  Open& open = *slot;
  if (beat.is_end) {
    end_marker(path, open, beat, cycle);
    return;
  }
  Assembly& row = assembly_[static_cast<int>(path)];
  if (!row.busy) {
    row = {true, beat.id, beat.plane, beat.position, beat.error, {}};
  } else if (row.id != beat.id || row.plane != beat.plane || row.position != beat.position) {
    differ(path, cycle, open.request,
           fmt::format("row of plane {} position {} is interrupted by plane {} position {}", row.plane, row.position,
                       beat.plane, beat.position));
    ++counts_.wrong;
    row = {true, beat.id, beat.plane, beat.position, beat.error, {}};
  }
  row.error = row.error || beat.error;
  const auto* bytes = reinterpret_cast<const uint8_t*>(beat.data.data());
  row.bytes.insert(row.bytes.end(), bytes, bytes + beat_bytes_);
  if (beat.last) {
    row.busy = false;
    complete(path, open, row, cycle);
  }
}

void RowScoreboard::complete(Path path, Open& open, const Assembly& row, uint64_t cycle) {
  const RowRequest& request = open.request;
  ++open.rows[static_cast<int>(path)];
  ++counts_.checked;
  const bool inside = row.position >= open.lowest && row.position - open.lowest < open.wanted.size() &&
                      open.wanted[row.position - open.lowest] != 0 && ((request.planes >> row.plane) & 1U) != 0;
  if (!inside) {
    ++counts_.repeated;
    differ(path, cycle, request, fmt::format("plane {} position {} was not asked for", row.plane, row.position));
    return;
  }
  const uint32_t index = row.position - open.lowest;
  if ((open.seen[index] >> row.plane) & 1U) {
    ++counts_.repeated;
    differ(path, cycle, request, fmt::format("plane {} position {} came twice", row.plane, row.position));
    return;
  }
  open.seen[index] |= static_cast<uint8_t>(1U << row.plane);

  uint64_t& last_key = open.order[static_cast<int>(path)];
  const uint64_t key = order_key(path, row.plane, row.position) + 1;
  if (key <= last_key) {
    ++counts_.misordered;
    differ(path, cycle, request, fmt::format("plane {} position {} came out of order", row.plane, row.position));
  }
  last_key = key;

  if (judge_) {
    const auto why = judge_({&request, path, row.plane, row.position, row.error, row.bytes});
    if (!why.empty()) {
      ++counts_.wrong;
      differ(path, cycle, request, fmt::format("plane {} position {}: {}", row.plane, row.position, why));
    }
  }
  if (row.error) {
    ++counts_.errors;
    if (!judge_ && !open.errors_allowed) {
      ++counts_.wrong;
      differ(path, cycle, request, fmt::format("plane {} position {} came error-flagged", row.plane, row.position));
    }
    if (on_row_) on_row_({&request, path, row.plane, row.position, true, row.bytes});
    return;
  }
  ++(path == Path::kSink ? counts_.sink : counts_.bulk);

  const bool resident = open.predicted[index] != 0 && (request.planes & ~open.predicted[index]) == 0;
  const bool either = resident && open.draft[index] != 0;
  if (open.check_path && !either && path != (resident ? Path::kSink : Path::kBulk)) {
    ++(path == Path::kBulk ? counts_.false_miss : counts_.false_hit);
    differ(path, cycle, request,
           fmt::format("plane {} position {} was expected on the {} stream", row.plane, row.position,
                       name(path == Path::kBulk ? Path::kSink : Path::kBulk)));
  }
  const auto want = judge_ ? std::span<const uint8_t>()
                           : expected_(request.owner, request.layer, row.plane, row.position, request.head);
  if (row.bytes.size() != std::size_t{row_beats_} * beat_bytes_) {
    ++counts_.wrong;
    differ(path, cycle, request,
           fmt::format("plane {} position {} has {} bytes, not {}", row.plane, row.position, row.bytes.size(),
                       row_beats_ * beat_bytes_));
  } else if (!want.empty() && std::memcmp(want.data(), row.bytes.data(), want.size()) != 0) {
    ++counts_.wrong;
    std::size_t at = 0;
    while (want[at] == row.bytes[at]) ++at;
    differ(path, cycle, request,
           fmt::format("plane {} position {} differs from byte {} on: expected {}, came {}", row.plane, row.position,
                       at, hex(want.subspan(at), 8), hex(std::span(row.bytes).subspan(at), 8)));
  }
  if (on_row_) on_row_({&request, path, row.plane, row.position, false, row.bytes});
}

void RowScoreboard::end_marker(Path path, Open& open, const RowBeat& beat, uint64_t cycle) {
  const int p = static_cast<int>(path);
  if (open.ended[p]) {
    ++counts_.repeated;
    differ(path, cycle, open.request, "a second end marker");
    return;
  }
  open.ended[p] = true;
  open.refused = open.refused || (beat.error && open.request.keep);
  if (beat.data[0] != open.rows[p]) {
    ++counts_.bad_ends;
    differ(path, cycle, open.request, fmt::format("the end marker says {} rows, {} came", beat.data[0], open.rows[p]));
  }
  if (!open.ended[0] || !open.ended[1]) return;

  uint32_t missing = 0;
  uint32_t example = 0;
  for (uint32_t i = 0; i < open.wanted.size(); ++i) {
    if (open.wanted[i] == 0) continue;
    const auto lost = static_cast<uint32_t>(std::popcount(static_cast<uint8_t>(open.request.planes & ~open.seen[i])));
    if (lost != 0 && missing == 0) example = open.lowest + i;
    missing += lost;
  }
  if (missing != 0) {
    counts_.missing += missing;
    differ(path, cycle, open.request, fmt::format("{} rows never came, the first at position {}", missing, example));
  }
  const RowRequest request = open.request;
  const bool refused = open.refused;
  if (request.keep) kept_[request.id] = std::move(open);
  open_[request.id].reset();
  --open_count_;
  if (on_closed_) on_closed_(request, refused);
}

std::string RowScoreboard::describe_open() const {
  std::string text;
  for (const auto& open : open_) {
    if (!open) continue;
    text += fmt::format("{}{}: {} sink and {} bulk rows so far", text.empty() ? "" : "; ", describe(open->request),
                        open->rows[1], open->rows[0]);
  }
  return text;
}

}  // namespace kvsink::tb

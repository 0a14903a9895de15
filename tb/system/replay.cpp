// SPDX-License-Identifier: Apache-2.0
#include "tb/system/replay.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <map>
#include <set>
#include <tuple>

#include "sw/driver/include/kvs.h"
#include "sw/golden/attention.hpp"
#include "sw/golden/bounds.hpp"
#include "sw/golden/bytes.hpp"
#include "sw/golden/half.hpp"
#include "tb/common/sim.hpp"
#include "tb/system/compute.hpp"
#include "tb/system/instance.hpp"

namespace kvsink::tb {
namespace {

constexpr uint32_t kOwner = 1;  // not 0, so that an owner field that is lost shows
constexpr uint32_t kProfile = 0;
constexpr uint32_t kPageTokens = 16;
constexpr uint64_t kRegion = 0x1'2340'0000;
constexpr uint64_t kHang = 2'000'000;  // cycles without which nothing may take
constexpr uint8_t kPlaneK = 1, kPlaneV = 2;

std::span<const uint8_t> bytes_of(std::span<const uint16_t> values) {
  return {reinterpret_cast<const uint8_t*>(values.data()), values.size_bytes()};
}

/// What one (layer, kv head) of a step needs, from its first request to its last merged output.
struct Work {
  uint32_t layer = 0;
  uint32_t head = 0;
  PathRows path[2];  // index: Path
  uint32_t requests_open = 0;
  explicit Work(uint32_t head_dim) : path{PathRows(head_dim), PathRows(head_dim)} {}
};

/// A merge under way: what the bit-exact model says and what came.
struct Merge {
  uint32_t layer = 0, step = 0, q_head = 0;
  model::LseMerge::Result expected;
  std::vector<uint32_t> got;
  uint32_t got_lse = 0;
  std::vector<uint32_t> positions[2];  // that each path served
  bool accepted = true;                // no rejected draft is among its rows
};

class Replay {
 public:
  Replay(const trace::Trace& trace, const ReplaySettings& settings, ReplayResult& result)
      : trace_(trace), dims_(trace.dims()), settings_(settings), result_(result) {}

  std::string run();

 private:
  std::string set_up();
  std::string prefill();
  std::string hand_over_plan();
  std::string decode();
  std::string step(uint32_t n);
  std::string speculate(uint32_t n, uint32_t drafts, uint32_t accept);
  std::string attention(uint32_t n);
  std::string end_step(uint32_t n);
  void draft_row(uint64_t version, uint32_t layer, uint32_t plane, uint32_t position, uint32_t head);
  void write_draft(uint32_t position, uint64_t version);
  std::string finish();

  void write_rows(uint32_t position);
  void queue_weights(uint32_t layer, uint32_t q_head, uint32_t query, bool last);
  std::string run_weights(const std::function<bool()>& more);
  void issue();
  void row(const Row& row);
  void closed(const RowRequest& request, bool refused);
  void attend(Work& work);
  void merged(const MergedOut& beat);
  void check_output(const Merge& merge);
  std::string command(const char* what, const Answer& answer);
  std::string until(const char* what, const std::function<bool()>& done);
  void drain();
  [[nodiscard]] uint8_t free_id();

  [[nodiscard]] Bench& bench() { return instance_->bench(); }
  [[nodiscard]] Host& host() { return instance_->host(); }
  [[nodiscard]] KvCache& cache() { return instance_->cache(); }
  [[nodiscard]] RowScoreboard& rows() { return instance_->rows(); }
  [[nodiscard]] ResidencyChecker& residency() { return instance_->residency(); }
  [[nodiscard]] const Capabilities& caps() const { return instance_->caps(); }

  const trace::Trace& trace_;
  const trace::Dims dims_;
  const ReplaySettings& settings_;
  ReplayResult& result_;
  double mass_resolution_ = 0;  // of the sum of all masses: what roundings of lse and merge may make of it

  std::unique_ptr<Instance> instance_;
  std::vector<uint8_t> row_scratch_;

  uint32_t step_ = 0;
  uint32_t committed_ = 0;
  bool accepted_ = true;                   // of the draft at hand
  std::map<uint32_t, uint64_t> rejected_;  // positions whose rows hold a draft's other contents, and which
  Rng draft_rng_{0};
  uint32_t next_work_ = 0;  // of layers * kv_heads in this step
  uint32_t pairs_open_ = 0;
  std::map<uint8_t, std::shared_ptr<Work>> by_request_;
  uint8_t next_id_ = 0;
  uint16_t next_merge_ = 0;
  std::map<uint16_t, Merge> merges_;
  uint64_t outputs_due_ = 0;
  bool plan_refused_ = false;
};

std::string Replay::command(const char* what, const Answer& answer) {
  if (!answer.error.empty()) return fmt::format("{}: {}", what, answer.error);
  if (!answer.ok()) return fmt::format("{}: the block answered with status {:#04x}", what, answer.status);
  return {};
}

std::string Replay::until(const char* what, const std::function<bool()>& done) {
  if (bench().run_until(done, kHang)) return {};
  return fmt::format("{}: nothing more after {} cycles; open: {}", what, kHang, rows().describe_open());
}

std::string Replay::set_up() {
  std::string why;
  instance_ = Instance::make(settings_.bench, result_.differences, why);
  if (!instance_) return why;
  const Capabilities& sizes = caps();
  const trace::Limits limits{sizes.layers, sizes.q_heads, sizes.kv_heads, sizes.row_bytes / 2, sizes.positions};
  if (const auto fits = trace::check_limits(trace_, limits, settings_.bench.config); !fits) return fits.error().message;

  KvShape shape;
  shape.layers = dims_.L;
  shape.kv_heads = dims_.Hkv;
  shape.row_bytes = dims_.d * 2;
  shape.page_tokens = kPageTokens;
  shape.heads_outside = settings_.heads_outside;
  shape.positions = dims_.T;
  instance_->lay_out(shape, kRegion, settings_.bench.seed * 77 + 1);
  row_scratch_.assign(cache().shape().row_stride(), 0);
  for (uint32_t position = 0; position < trace_.prefill_tokens(); ++position) write_rows(position);
  if (settings_.on_start) settings_.on_start(bench(), cache());

  const auto expected = [this](uint32_t, uint32_t layer, uint32_t plane, uint32_t position,
                               uint32_t head) -> std::span<const uint8_t> {
    if (const auto other = rejected_.find(position); other != rejected_.end()) {
      draft_row(other->second, layer, plane, position, head);
      return row_scratch_;
    }
    const auto values = plane == 0 ? trace_.k(layer, position, head) : trace_.v(layer, position, head);
    std::fill(row_scratch_.begin(), row_scratch_.end(), uint8_t{0});
    std::memcpy(row_scratch_.data(), values.data(), values.size_bytes());
    return row_scratch_;
  };
  if (instance_->token_slots() == 0) {
    return fmt::format("{}: one token takes {} bytes of slot SRAM, the configuration {} has {}", trace_.path(),
                       dims_.L * dims_.Hkv * KvCache::kPlanes * cache().shape().row_stride(), settings_.bench.config,
                       sizes.sram_bytes);
  }
  Registers registers;
  registers.sram_budget = settings_.policy == Policy::kHbm ? 0
                          : settings_.budget >= 0
                              ? std::min<uint32_t>(caps().slots, static_cast<uint32_t>(settings_.budget))
                              : caps().slots;
  if (settings_.policy == Policy::kFill) registers.t_sink = 0;
  registers.dynamic = settings_.policy == Policy::kDynamic;
  registers.burst_cost = settings_.burst_cost;
  if (why = instance_->configure(dims_.Hq, registers, expected); !why.empty()) return why;
  rows().on_row([this](const Row& r) { row(r); });
  rows().on_closed([this](const RowRequest& r, bool refused) { closed(r, refused); });
  bench().on_merged = [this](const MergedOut& b) { merged(b); };

  if (why = command("set_profile", instance_->set_whole_profile(kProfile)); !why.empty()) return why;
  Owner owner;
  owner.number = kOwner;
  owner.table_base = cache().table_base();
  owner.length = owner.committed = trace_.prefill_tokens();
  owner.profile = kProfile;
  return command("set_owner", host().set_owner(owner));
}

void Replay::write_rows(uint32_t position) {
  rejected_.erase(position);
  for (uint32_t layer = 0; layer < dims_.L; ++layer) {
    for (uint32_t head = 0; head < dims_.Hkv; ++head) {
      instance_->write_row(layer, 0, position, head, bytes_of(trace_.k(layer, position, head)));
      instance_->write_row(layer, 1, position, head, bytes_of(trace_.v(layer, position, head)));
    }
  }
}

// fp16 values below 1, no special ones, that no trace has.
void Replay::draft_row(uint64_t version, uint32_t layer, uint32_t plane, uint32_t position, uint32_t head) {
  std::fill(row_scratch_.begin(), row_scratch_.end(), uint8_t{0});
  const uint64_t key =
      mix64(version) ^ (uint64_t{layer} << 48 | uint64_t{plane} << 40 | uint64_t{head} << 32 | position);
  for (uint32_t i = 0; i < dims_.d; ++i) {
    const auto bits = static_cast<uint16_t>(mix64(key + (uint64_t{i} << 52)) & 0xb7ffU);
    std::memcpy(row_scratch_.data() + 2 * i, &bits, 2);
  }
}

void Replay::write_draft(uint32_t position, uint64_t version) {
  rejected_[position] = version;
  for (uint32_t layer = 0; layer < dims_.L; ++layer) {
    for (uint32_t head = 0; head < dims_.Hkv; ++head) {
      for (uint32_t plane = 0; plane < KvCache::kPlanes; ++plane) {
        draft_row(version, layer, plane, position, head);
        bench().memory().write(cache().row_address(layer, plane, position, head), row_scratch_);
      }
    }
  }
}

void Replay::queue_weights(uint32_t layer, uint32_t q_head, uint32_t query, bool last) {
  const auto weights = golden::attention_weights(trace_, layer, q_head, query);
  const uint32_t lanes = bench().beat_bytes() / 4;
  for (uint32_t first = 0; first <= query; first += lanes) {
    ScoreBeat beat;
    beat.owner = kOwner;
    beat.layer = layer;
    beat.q_head = q_head;
    beat.query_pos = query;
    beat.first = first;
    const uint32_t count = std::min(lanes, query + 1 - first);
    for (uint32_t i = 0; i < count; ++i) {
      beat.strobe |= 1U << i;
      beat.weight[i] = std::bit_cast<uint32_t>(static_cast<float>(weights[first + i]));
    }
    beat.last = last && first + lanes > query;
    bench().scores.push(beat);
  }
}

std::string Replay::run_weights(const std::function<bool()>& more) {
  while (more()) {
    if (auto why = until("score stream", [this] { return bench().scores.pending() < 64; }); !why.empty()) return why;
  }
  return until("score stream", [this] { return bench().scores.empty(); });
}

// The plan takes the place of the prefill's scores. Its promotions of step 0 are under way when this returns.
std::string Replay::hand_over_plan() {
  const planner::Plan& plan = *settings_.plan;
  const Answer answer = host().plan(kOwner, plan);
  plan_refused_ = !answer.ok();
  if (!answer.error.empty()) return "kvs_plan: " + answer.error;
  if (!answer.ok()) {
    // Refused as a whole, or one item or the plan itself by its own answer.
    const bool whole = answer.status == KVS_ST_NO_PLAN;
    const std::string item = answer.value0 < plan.items.size() ? describe(plan.items[answer.value0]) : "its end";
    return fmt::format("plan refused at item {} ({}): {}", answer.value0, item,
                       kvs_status_text(whole ? static_cast<unsigned>(answer.value1) : answer.status));
  }
  if (settings_.wait) {
    // Regions stand first, whatever their step.
    const auto later = std::find_if(plan.items.begin(), plan.items.end(), [](const planner::Item& i) {
      return i.kind != planner::Item::Kind::kRegion && i.step != 0;
    });
    for (uint64_t polls = 0; host().plan_state(kOwner).next < later - plan.items.begin(); ++polls) {
      if (polls == kHang) return "the plan does not go on";
    }
  }
  for (const auto& item : plan.items) {
    if (item.kind == planner::Item::Kind::kPromote) result_.sinks.push_back({item.first, item.score});
  }
  return settings_.wait ? command("wait_promotions", host().wait_promotions(kOwner)) : std::string();
}

std::string Replay::prefill() {
  if (settings_.plan) return hand_over_plan();
  uint32_t layer = 0, q_head = 0, query = 0;
  auto why = run_weights([&] {
    if (layer == dims_.L) return false;
    const bool last = layer + 1 == dims_.L && q_head + 1 == dims_.Hq && query + 1 == trace_.prefill_tokens();
    queue_weights(layer, q_head, query, last);
    if (++query == trace_.prefill_tokens()) {
      query = 0;
      if (++q_head == dims_.Hq) {
        q_head = 0;
        ++layer;
      }
    }
    return true;
  });
  if (!why.empty()) return why;
  if (why = command("step_end (prefill)", host().step_end(kOwner, true, false)); !why.empty()) return why;
  if (settings_.wait) why = command("wait_promotions", host().wait_promotions(kOwner));
  return why;
}

uint8_t Replay::free_id() {
  while (rows().in_use(next_id_) || by_request_.contains(next_id_)) ++next_id_;
  return next_id_++;
}

// Keeps as many (layer, head) pairs in flight as there are lists that may be kept.
void Replay::issue() {
  const uint32_t window = std::max(1U, caps().readers / 2);
  const auto position = static_cast<uint32_t>(trace_.decode_positions()[step_]);
  while (next_work_ < dims_.L * dims_.Hkv && pairs_open_ < window) {
    auto work = std::make_shared<Work>(dims_.d);
    work->layer = next_work_ / dims_.Hkv;
    work->head = next_work_ % dims_.Hkv;
    RowRequest k;
    k.owner = kOwner;
    k.layer = work->layer;
    k.head = work->head;
    k.first = 0;
    k.count = position + 1;
    k.id = free_id();
    by_request_[k.id] = work;
    if (settings_.keep_and_follow) {
      k.planes = kPlaneK;
      k.keep = true;
      RowRequest v = k;
      v.planes = kPlaneV;
      v.keep = false;
      v.follow = true;
      v.follow_id = k.id;
      v.id = free_id();
      by_request_[v.id] = work;
      work->requests_open = 2;
      bench().requests.push(k);
      bench().requests.push(v);
    } else {
      k.planes = kPlaneK | kPlaneV;
      work->requests_open = 1;
      bench().requests.push(k);
    }
    ++pairs_open_;
    ++next_work_;
  }
}

void Replay::row(const Row& r) {
  if (r.path == Path::kSink && r.position >= committed_) ++result_.draft_rows_from_sram;
  const auto found = by_request_.find(r.request->id);
  if (found == by_request_.end() || r.error) return;
  found->second->path[static_cast<int>(r.path)].add(r.plane, r.position, r.bytes);
}

void Replay::closed(const RowRequest& request, bool refused) {
  if (refused) {
    result_.differences.add("bypass_mux", bench().cycle(),
                            fmt::format("request {} was to keep its list and was refused, with {} lists and {} in use",
                                        request.id, caps().readers, pairs_open_));
  }
  const auto found = by_request_.find(request.id);
  if (found == by_request_.end()) return;
  const auto work = found->second;
  by_request_.erase(found);
  if (--work->requests_open != 0) return;
  --pairs_open_;
  attend(*work);
  issue();
}

void Replay::attend(Work& work) {
  const auto position = static_cast<uint32_t>(trace_.decode_positions()[step_]);
  const uint32_t group = dims_.Hq / dims_.Hkv;
  for (uint32_t g = 0; g < group; ++g) {
    Merge merge;
    merge.layer = work.layer;
    merge.step = step_;
    merge.q_head = work.head * group + g;
    const uint16_t id = next_merge_++;
    MergeInput input(id, caps().lanes);
    for (const Path path : {Path::kSink, Path::kBulk}) {
      const auto& query = trace_.q(work.layer, position, merge.q_head);
      input.add(path, work.path[static_cast<int>(path)].attend(query, trace_.scale()), path == Path::kBulk);
    }
    for (const auto& beat : input.beats()) bench().partials.push(beat);
    for (int path = 0; path < 2; ++path) merge.positions[path] = work.path[path].positions();
    merge.accepted = accepted_;
    merge.expected = input.expected();
    merges_.emplace(id, std::move(merge));
  }
}

void Replay::merged(const MergedOut& beat) {
  const auto found = merges_.find(beat.id);
  if (found == merges_.end()) {
    ++result_.outputs_wrong;
    result_.differences.add("lse_merge", bench().cycle(),
                            fmt::format("output of merge {}, which is not open", beat.id));
    return;
  }
  Merge& merge = found->second;
  if (beat.first) merge.got_lse = beat.lse;
  for (uint32_t i = 0; i < caps().lanes && merge.got.size() < dims_.d; ++i) merge.got.push_back(beat.data[i]);
  if (!beat.last) return;
  check_output(merge);
  merges_.erase(found);
  --outputs_due_;
}

void Replay::check_output(const Merge& merge) {
  ++result_.outputs_checked;
  if (merge.got != merge.expected.o || merge.got_lse != merge.expected.lse) {
    ++result_.outputs_wrong;
    std::size_t at = 0;
    while (at < merge.got.size() && merge.got[at] == merge.expected.o[at]) ++at;
    result_.differences.add(
        "lse_merge", bench().cycle(),
        fmt::format("layer {}, step {}, query head {}: {} expected {:#010x}, came {:#010x}", merge.layer, merge.step,
                    merge.q_head, at < merge.got.size() ? fmt::format("element {}", at) : "lse",
                    at < merge.got.size() ? merge.expected.o[at] : merge.expected.lse,
                    at < merge.got.size() ? merge.got[at] : merge.got_lse));
  }
  if (!merge.accepted) return;
  const std::size_t index = result_.outputs.index(merge.layer, merge.step, merge.q_head);
  const auto out = result_.outputs.o_row(index);
  for (uint32_t i = 0; i < dims_.d && i < merge.got.size(); ++i) out[i] = std::bit_cast<float>(merge.got[i]);
  result_.outputs.lse[index] = std::bit_cast<float>(merge.got_lse);
  result_.served[index] = merge.positions[static_cast<int>(Path::kSink)];
  std::sort(result_.served[index].begin(), result_.served[index].end());

  // Against the trace, and against exact arithmetic over the same rows, split as they were served.
  const auto reference = trace_.o(merge.layer, merge.step, merge.q_head);
  const auto position = static_cast<uint32_t>(trace_.decode_positions()[merge.step]);
  std::vector<golden::Partial> partials;
  for (const auto& positions : merge.positions) {
    partials.push_back(golden::partial_attention(trace_, merge.layer, merge.q_head, position, positions));
  }
  const golden::Merged exact = golden::merge(partials);
  const double sink = partials[static_cast<int>(Path::kSink)].lse;
  const double bulk = partials[static_cast<int>(Path::kBulk)].lse;
  if (std::isfinite(sink) && std::isfinite(bulk)) {
    // The merge sees both lse as fp32: each may be off by half a place, which shifts a share m by m (1 - m) times that.
    const double mass = std::exp(sink - exact.lse);
    result_.golden_mass += mass;
    mass_resolution_ += 0x1p-27 + mass * (1 - mass) * std::expm1((golden::ulp32(sink) + golden::ulp32(bulk)) / 2);
  } else if (std::isfinite(sink)) {
    result_.golden_mass += 1;
  }
  for (uint32_t i = 0; i < dims_.d; ++i) {
    result_.max_abs_error = std::max(result_.max_abs_error, std::fabs(double{out[i]} - double{reference[i]}));
    result_.max_error_ulp = std::max(result_.max_error_ulp, golden::error_ulp(out[i], exact.o[i], exact.m[i]));
  }
}

std::string Replay::step(uint32_t n) {
  const auto position = static_cast<uint32_t>(trace_.decode_positions()[n]);
  write_rows(position);
  committed_ = position + 1;
  if (auto why = command("set_length", host().set_length(kOwner, position + 1, position + 1)); !why.empty()) return why;
  if (settings_.on_step) settings_.on_step(bench(), n);
  if (auto why = attention(n); !why.empty()) return why;
  return end_step(n);
}

// One window: `drafts` tokens are drafted, verified one after the other, and `accept` of them stay.
std::string Replay::speculate(uint32_t n, uint32_t drafts, uint32_t accept) {
  const auto first = static_cast<uint32_t>(trace_.decode_positions()[n]);
  result_.drafted += drafts;
  result_.accepted += accept;
  result_.rolled_back += accept == 0 ? 1 : 0;
  if (auto why = command("open", host().open(kOwner)); !why.empty()) return why;
  if (auto why = command("set_length", host().set_length(kOwner, first + drafts, first)); !why.empty()) return why;
  committed_ = first;
  for (uint32_t i = 0; i < drafts; ++i) {
    if (i < accept) {
      write_rows(first + i);
    } else {
      write_draft(first + i, draft_rng_.next());
    }
  }
  for (uint32_t i = 0; i < drafts; ++i) {
    accepted_ = i < accept;
    if (auto why = attention(n + i); !why.empty()) return why;
  }
  accepted_ = true;
  if (auto why = command("commit", host().commit(kOwner, accept)); !why.empty()) return why;
  committed_ = first + accept;
  if (auto why = command("set_length", host().set_length(kOwner, committed_, committed_)); !why.empty()) return why;
  for (uint32_t i = 0; i < accept; ++i) {
    if (auto why = end_step(n + i); !why.empty()) return why;
  }
  drain();
  return {};
}

std::string Replay::attention(uint32_t n) {
  step_ = n;
  const auto position = static_cast<uint32_t>(trace_.decode_positions()[n]);
  next_work_ = 0;
  outputs_due_ = uint64_t{dims_.L} * dims_.Hq;
  issue();
  if (auto why = until("decode step", [this] { return outputs_due_ == 0; }); !why.empty()) {
    return fmt::format("step {} (position {}): {}", n, position, why);
  }
  return {};
}

std::string Replay::end_step(uint32_t n) {
  const auto position = static_cast<uint32_t>(trace_.decode_positions()[n]);
  const bool scored = settings_.policy == Policy::kDynamic;
  if (scored) {
    uint32_t row = 0;
    auto why = run_weights([&] {
      if (row == dims_.L * dims_.Hq) return false;
      queue_weights(row / dims_.Hq, row % dims_.Hq, position, row + 1 == dims_.L * dims_.Hq);
      ++row;
      return true;
    });
    if (!why.empty()) return why;
  }
  if (auto why = command("step_end", host().step_end(kOwner, false, !scored)); !why.empty()) return why;
  if (settings_.settle) host().wait_promotions(kOwner);
  drain();
  if (settings_.on_progress) settings_.on_progress(n + 1, settings_.steps != 0 ? settings_.steps : dims_.N);
  return {};
}

void Replay::drain() { instance_->drain(result_.log.records); }

std::string Replay::decode() {
  const uint32_t steps = settings_.steps != 0 ? std::min(settings_.steps, dims_.N) : dims_.N;
  for (uint32_t n = 0; n < steps;) {
    uint32_t done = 1;
    if (settings_.draft != 0) {
      const uint32_t drafts = std::min(settings_.draft, steps - n);
      done = static_cast<uint32_t>(draft_rng_.below(drafts + 1));
      if (auto why = speculate(n, drafts, done); !why.empty()) return why;
    } else if (auto why = step(n); !why.empty()) {
      return why;
    }
    n += done;
  }
  return {};
}

std::string Replay::finish() {
  const Counters c = host().counters();
  const PlanState plan_end = settings_.plan ? host().plan_state(kOwner) : PlanState{};
  drain();
  std::tie(result_.log.last_sequence, result_.log.last_crc) = host().log_last();
  if (const auto finding = model::verify(result_.log); !finding) {
    result_.differences.add("event_log", bench().cycle(), finding.text() + ", by the register pair");
  }
  residency().finish(bench().cycle());
  const uint64_t bb = bench().beat_bytes();
  result_.rows = rows().counts();
  result_.events_checked = residency().checked();
  result_.events_wrong = residency().wrong();
  result_.kv_needed = golden::kv_needed(trace_);
  result_.hbm_bulk = (c.port_bulk_beats - c.dropped_beats) * bb;
  result_.hbm_promotion = c.promo_beats * bb;
  result_.hbm_dropped = c.dropped_beats * bb;
  result_.hbm_table = c.table_beats * bb;
  result_.sram = c.sink_beats * bb;
  result_.sram_mass = c.merges == 0 ? 0 : c.mass / static_cast<double>(c.merges);
  // The counters also hold the merges of rejected drafts, which the trace knows nothing of.
  if (result_.accepted == result_.drafted && !(std::fabs(c.mass - result_.golden_mass) <= mass_resolution_)) {
    result_.differences.add(
        "sink_mass", bench().cycle(),
        fmt::format("the counters say {:.9f} over {} merges, exact attention {:.9f}, more than {:.2e} off", c.mass,
                    c.merges, result_.golden_mass, mass_resolution_));
  }
  if (result_.outputs_checked != 0) result_.golden_mass /= static_cast<double>(result_.outputs_checked);
  result_.promoted = c.granted;
  result_.evicted = c.evicted;
  result_.refused = c.refused;
  result_.placement = residency().model().placement();
  result_.peak_slots = residency().peak_slots();
  if (settings_.plan) {
    result_.plan = {static_cast<uint32_t>(settings_.plan->items.size()), plan_end.next, plan_end.missed,
                    plan_end.denied_promotions, plan_end.denied_evictions};
  } else {
    result_.sinks = residency().sinks();
  }
  result_.repromoted_rows = residency().repromoted_tokens() * dims_.L * dims_.Hkv * KvCache::kPlanes;
  if (c.sink_rows != result_.rows.sink || c.bulk_rows != result_.rows.bulk) {
    result_.differences.add("csr", bench().cycle(),
                            fmt::format("the counters say {} sink and {} bulk rows, {} and {} were delivered",
                                        c.sink_rows, c.bulk_rows, result_.rows.sink, result_.rows.bulk));
  }
  return {};
}

std::string Replay::run() {
  result_.outputs = trace::Outputs::for_trace(dims_);
  result_.served.resize(result_.outputs.lse.size());
  draft_rng_ = Rng(settings_.draft_seed).fork("drafts");
  for (uint32_t layer = 0; layer < dims_.L; ++layer) {
    for (uint32_t t = 0; t < dims_.T; ++t) {
      for (uint32_t h = 0; h < dims_.Hkv; ++h) {
        for (const uint16_t bits : trace_.v(layer, t, h)) {
          result_.largest_v = std::max(result_.largest_v, std::fabs(double{golden::half_to_float(bits)}));
        }
      }
    }
  }
  if (auto why = set_up(); !why.empty()) {
    result_.bad_input = !instance_ || !instance_->configured();
    return why;
  }
  const uint64_t begin = bench().cycle();
  if (auto why = prefill(); !why.empty()) {
    result_.bad_input = plan_refused_;
    return plan_refused_ ? why : "prefill: " + why;
  }
  const uint64_t decode_begin = bench().cycle();
  const uint64_t beats_before = bench().memory().stats().beats;
  if (auto why = decode(); !why.empty()) return "decode: " + why;
  result_.cycles_prefill = decode_begin - begin;
  result_.cycles_decode = bench().cycle() - decode_begin;
  result_.cycles_total = bench().cycle();
  result_.bus_beats = bench().memory().stats().beats - beats_before;
  if (auto why = finish(); !why.empty()) return why;
  const double useful = static_cast<double>(result_.hbm_bulk) / bench().beat_bytes();
  result_.decode_utilisation = useful / static_cast<double>(result_.cycles_decode);
  return {};
}

}  // namespace

ReplayResult replay(const trace::Trace& trace, const ReplaySettings& settings) {
  ReplayResult result;
  try {
    Replay run(trace, settings, result);
    result.error = run.run();
  } catch (const SimError& stopped) {
    result.error = stopped.what();
  }
  return result;
}

}  // namespace kvsink::tb

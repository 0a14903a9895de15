// SPDX-License-Identifier: Apache-2.0
#include "tb/system/bench.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <stdexcept>

namespace kvsink::tb {
namespace {

constexpr uint64_t kLiteLimit = 100'000;  // cycles after which a register that does not answer is a failure
constexpr unsigned kLongestStall = 8;

uint32_t beat_bytes_of(std::string_view config) { return config == "small" ? 16 : config == "large" ? 64 : 32; }

AxiMemory::Config memory_config(const BenchOptions& options, uint32_t beat_bytes) {
  AxiMemory::Config config;
  config.beat_bytes = beat_bytes;
  config.tiers = {AxiMemory::Tier{.latency = options.latency, .bandwidth = options.bandwidth}};
  config.out_of_order = options.stall_percent != 0;
  config.ar_stall_percent = options.stall_percent;
  config.ar_stall_longest = options.stall_percent != 0 ? kLongestStall : 1;
  config.r_gap_percent = options.stall_percent;
  config.expect_rready = true;
  config.fill = options.hashed_memory ? AxiMemory::Fill::kHash : AxiMemory::Fill::kZero;
  config.seed = options.seed;
  return config;
}

}  // namespace

std::unique_ptr<Bench> Bench::make(const BenchOptions& options, std::string& why) {
  auto dut = make_dut(options.config, options.seed ^ options.power_up);
  if (!dut) {
    why = fmt::format("configuration '{}' is not built into this program", options.config);
    return nullptr;
  }
  if (!options.fst.empty() && !dut->open_fst(options.fst)) {
    why = fmt::format("{}: the waveform cannot be written", options.fst);
    return nullptr;
  }
  auto bench = std::unique_ptr<Bench>(new Bench(options, std::move(dut)));
  bench->dut_->reset();
  return bench;
}

Bench::Bench(const BenchOptions& options, std::unique_ptr<Dut> dut)
    : options_(options),
      dut_(std::move(dut)),
      beat_bytes_(beat_bytes_of(options.config)),
      memory_(memory_config(options, beat_bytes_)) {
  const Rng rng(options.seed);
  const unsigned stall = options.stall_percent;
  requests = Source<RowRequest>(rng.fork("requests"), stall, kLongestStall);
  scores = Source<ScoreBeat>(rng.fork("scores"), stall, kLongestStall);
  partials = Source<PartialIn>(rng.fork("partials"), stall, kLongestStall);
  commands = Source<std::array<uint32_t, 16>>(rng.fork("commands"), stall, kLongestStall);
  done_stall_ = Stall(rng.fork("done"), stall, kLongestStall);
  sink_stall_ = Stall(rng.fork("sink"), stall, kLongestStall);
  bulk_stall_ = Stall(rng.fork("bulk"), stall, kLongestStall);
  out_stall_ = Stall(rng.fork("out"), stall, kLongestStall);
}

void Bench::tick() {
  if (on_cycle) on_cycle();
  DutIn& in = dut_->in;
  const DutOut& out = dut_->out;

  const RowRequest* request = requests.begin();
  in.req_valid = request != nullptr;
  if (request != nullptr) in.req = *request;
  const ScoreBeat* score = scores.begin();
  in.score_valid = score != nullptr;
  if (score != nullptr) in.score = *score;
  const PartialIn* partial = partials.begin();
  in.partial_valid = partial != nullptr;
  if (partial != nullptr) in.partial = *partial;
  in.sink_ready = !sink_stall_.now() && (!may_take || may_take(Path::kSink));
  in.bulk_ready = !bulk_stall_.now() && (!may_take || may_take(Path::kBulk));
  in.out_ready = !out_stall_.now();
  const std::array<uint32_t, 16>* command = commands.begin();
  in.cmd_valid = command != nullptr;
  if (command != nullptr) in.cmd = *command;
  in.done_ready = !done_stall_.now();
  in.arready = memory_.arready();
  const AxiMemory::R& r = memory_.r();
  in.r.valid = r.valid;
  if (r.valid) in.r = {true, r.id, r.resp, r.last, r.data};

  dut_->step();
  if (options_.digest) fold_outputs();

  memory_.tick({out.ar.valid, out.ar.id, out.ar.addr, out.ar.len, out.ar.size, out.ar.burst}, out.rready);
  if (request != nullptr && out.req_ready) {
    const RowRequest accepted = *request;
    requests.end(true);
    if (on_request) on_request(accepted);
  }
  scores.end(out.score_ready);
  partials.end(out.partial_ready);
  commands.end(out.cmd_ready);
  probe_events();
  if (out.sink_valid && in.sink_ready && on_row_beat) on_row_beat(Path::kSink, out.sink);
  if (out.bulk_valid && in.bulk_ready && on_row_beat) on_row_beat(Path::kBulk, out.bulk);
  if (out.out_valid && in.out_ready && on_merged) on_merged(out.out);
  if (out.done_valid && in.done_ready && on_done) on_done(out.done);
}

void Bench::fold_outputs() {
  const DutOut& o = dut_->out;
  uint64_t valid = 0;
  for (const bool bit :
       {o.req_ready, o.sink_valid, o.bulk_valid, o.score_ready, o.partial_ready, o.out_valid, o.cmd_ready, o.done_valid,
        o.ar.valid, o.rready, o.awready, o.wready, o.bvalid, o.lite_arready, o.lite_rvalid, o.irq}) {
    valid = valid << 1 | (bit ? 1 : 0);
  }
  const auto fold = [this](uint64_t value) { digest_ = mix64(digest_ ^ value); };
  const auto row = [&](const RowBeat& b) {
    fold(uint64_t{b.position} << 16 | uint64_t{b.id} << 8 | uint64_t{b.plane} << 3 | uint64_t{b.is_end} << 2 |
         uint64_t{b.error} << 1 | uint64_t{b.last});
    for (const uint32_t word : b.data) fold(word);
  };
  fold(valid);
  if (o.sink_valid) row(o.sink);
  if (o.bulk_valid) row(o.bulk);
  if (o.out_valid) {
    fold(uint64_t{o.out.id} << 16 | uint64_t{o.out.fmt} << 8 | uint64_t{o.out.first} << 2 | uint64_t{o.out.last} << 1 |
         uint64_t{o.out.nan});
    fold(uint64_t{o.out.lse} << 32 | o.out.sink_mass);
    for (const uint32_t word : o.out.data) fold(word);
  }
  if (o.done_valid) {
    for (const uint32_t word : o.done) fold(word);
  }
  if (o.ar.valid)
    fold(o.ar.addr << 16 | uint64_t{o.ar.len} << 8 | uint64_t{o.ar.id} << 5 | o.ar.size << 2 | o.ar.burst);
  if (o.bvalid) fold(o.bresp);
  if (o.lite_rvalid) fold(uint64_t{o.lite_rdata} << 2 | o.lite_rresp);
}

// What the controller takes comes before what it decides on it (trace), and both before what follows from it (records,
// completions). A removal acts on the lookups of its cycle, any other tag command once it is acknowledged.
int probe_rank(const ProbeEvent& event) {
  switch (event.kind) {
    case ProbeKind::kRetire:
      return 0;
    case ProbeKind::kTagAck:
      return 1;
    case ProbeKind::kTagCommand:
      return event.f[0] == 3 ? 2 : 5;
    case ProbeKind::kMuxLookup:
      return 3;
    case ProbeKind::kLookup:
    case ProbeKind::kMuxNext:
    case ProbeKind::kHit:
      return 4;
    case ProbeKind::kTrace:
      return 7;
    case ProbeKind::kSeen:
      return 8;
    case ProbeKind::kLogEvent:
    case ProbeKind::kDone:
      return 9;
    default:
      return 6;
  }
}

void Bench::probe_events() {
  auto& events = dut_->probe.events;
  if (events.empty()) return;
  std::stable_sort(events.begin(), events.end(),
                   [](const ProbeEvent& a, const ProbeEvent& b) { return probe_rank(a) < probe_rank(b); });
  if (on_probe) {
    for (const ProbeEvent& event : events) on_probe(event);
  }
  events.clear();
}

template <class End>
void Bench::transfer(End end) {
  for (uint64_t i = 0; i < kLiteLimit; ++i) {
    tick();
    if (end()) return;
  }
  throw std::runtime_error("a register access was not answered");
}

uint8_t Bench::write32(uint32_t addr, uint32_t value) {
  DutIn& in = dut_->in;
  const DutOut& out = dut_->out;
  in.awvalid = in.wvalid = in.bready = true;
  in.awaddr = addr;
  in.wdata = value;
  uint8_t response = 0;
  transfer([&] {
    if (in.awvalid && out.awready) in.awvalid = false;
    if (in.wvalid && out.wready) in.wvalid = false;
    if (!out.bvalid) return false;
    response = out.bresp;
    return true;
  });
  in.bready = false;
  return response;
}

uint8_t Bench::read32(uint32_t addr, uint32_t& value) {
  DutIn& in = dut_->in;
  const DutOut& out = dut_->out;
  in.lite_arvalid = in.lite_rready = true;
  in.lite_araddr = addr;
  uint8_t response = 0;
  transfer([&] {
    if (in.lite_arvalid && out.lite_arready) in.lite_arvalid = false;
    if (!out.lite_rvalid) return false;
    response = out.lite_rresp;
    value = out.lite_rdata;
    return true;
  });
  in.lite_rready = false;
  return response;
}

bool Bench::run_until(const std::function<bool()>& done, uint64_t limit) {
  for (uint64_t i = 0; i < limit; ++i) {
    if (done()) return true;
    tick();
  }
  return done();
}

}  // namespace kvsink::tb

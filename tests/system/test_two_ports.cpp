// SPDX-License-Identifier: Apache-2.0
// Two instances, each on a memory port of its own, serve one decode: the even pages of the sequence lie behind one, the
// odd ones behind the other. Each promotes sinks of its own, and one merge unit joins the four partials.
#include <array>
#include <bit>
#include <cmath>
#include <cstring>
#include <map>
#include <memory>
#include <utility>
#include <vector>

#include "replay_support.hpp"
#include "sw/golden/attention.hpp"
#include "sw/golden/bounds.hpp"
#include "sw/models/lse_merge_model.hpp"
#include "tb/system/compute.hpp"
#include "tb/system/host.hpp"
#include "tb/system/kv_cache.hpp"
#include "tb/system/residency_checker.hpp"
#include "tb/system/row_scoreboard.hpp"

using namespace kvsink;
using namespace kvsink::test;

namespace {

constexpr uint32_t kOwner = 2, kPage = 16, kPorts = 2;

/// One instance with its memory: the pages whose number is `port` modulo two, as a sequence of its own.
class Port {
 public:
  Port(const trace::Trace& trace, uint32_t port) : trace_(trace), n_(trace.dims()), port_(port) {
    std::string why;
    tb::BenchOptions block;
    block.config = "small";
    block.seed = 5 + port;
    block.latency = 120 + 40 * port;
    block.stall_percent = 10;
    bench_ = tb::Bench::make(block, why);
    REQUIRE(bench_);
    host_ = std::make_unique<tb::Host>(*bench_);
    REQUIRE(host_->probe(caps).empty());
    tb::KvShape shape;
    shape.layers = n_.L;
    shape.kv_heads = n_.Hkv;
    shape.row_bytes = n_.d * 2;
    shape.beat_bytes = bench_->beat_bytes();
    shape.positions = n_.T;
    cache_ = std::make_unique<tb::KvCache>(shape, 0x4000'0000 * (port + 1), 11 + port);
    write_ = [this](uint64_t addr, std::span<const uint8_t> bytes) { bench_->memory().write(addr, bytes); };
    cache_->write_table(write_);
    rows_ = std::make_unique<tb::RowScoreboard>(
        kPage, shape.row_beats(), shape.beat_bytes,
        [this](uint32_t, uint32_t layer, uint32_t plane, uint32_t position, uint32_t head) {
          const auto values =
              plane == 0 ? trace_.k(layer, global(position), head) : trace_.v(layer, global(position), head);
          scratch_.assign(cache_->shape().row_stride(), 0);
          std::memcpy(scratch_.data(), values.data(), values.size_bytes());
          return std::span<const uint8_t>(scratch_);
        },
        differences);
    rows_->on_row([this](const tb::Row& r) {
      if (!r.error) work_->path[static_cast<int>(r.path)].add(r.plane, global(r.position), r.bytes);
    });
    rows_->on_closed([this](const tb::RowRequest&, bool) { closed_ = true; });
    bench_->on_request = [this](const tb::RowRequest& r) { rows_->accepted(r, true); };
    bench_->on_row_beat = [this](tb::Path path, const tb::RowBeat& b) { rows_->beat(path, b, bench_->cycle()); };

    tb::Registers registers;
    registers.sram_budget = caps.slots;
    REQUIRE(host_->configure(*cache_, n_.L, registers, n_.Hq).empty());
    model::ResidencyModel::Config c;
    c.slots = caps.slots;
    c.entries = caps.entries;
    c.owners = caps.owners;
    c.positions = caps.positions;
    c.profiles = caps.profiles;
    c.sram_beats = caps.sram_bytes / shape.beat_bytes;
    c.kv_heads = caps.kv_heads;
    c.sram_budget = caps.slots;
    c.layers = n_.L;
    c.plans = caps.plans;
    c.plan_items = caps.plan_items;
    for (uint32_t plane = 0; plane < tb::KvCache::kPlanes; ++plane) c.planes[plane] = {true, shape.row_beats(), 0};
    residency_ = std::make_unique<tb::ResidencyChecker>(c, differences);
    residency_->on_path([this](uint8_t id, uint32_t position, auto planes) { rows_->predict(id, position, planes); });
    bench_->on_probe = [this](const tb::ProbeEvent& e) { residency_->event(e); };
    const uint32_t slot_beats = n_.L * n_.Hkv * 2 * shape.row_beats();
    const uint32_t slots = std::min(caps.slots, c.sram_beats / slot_beats);
    REQUIRE(host_->set_profile(0, n_.L, (uint64_t{1} << n_.Hkv) - 1, 3, 0, slots, 0).ok());
  }

  [[nodiscard]] uint32_t global(uint32_t local) const {
    return (local / kPage * kPorts + port_) * kPage + local % kPage;
  }
  [[nodiscard]] bool holds(uint32_t position) const { return position / kPage % kPorts == port_; }
  [[nodiscard]] static uint32_t local(uint32_t position) {
    return position / kPage / kPorts * kPage + position % kPage;
  }

  void add(uint32_t position) {
    for (uint32_t layer = 0; layer < n_.L; ++layer) {
      for (uint32_t head = 0; head < n_.Hkv; ++head) {
        for (uint32_t plane = 0; plane < 2; ++plane) {
          const auto values = plane == 0 ? trace_.k(layer, position, head) : trace_.v(layer, position, head);
          cache_->write_row(write_, layer, plane, local(position), head,
                            {reinterpret_cast<const uint8_t*>(values.data()), values.size_bytes()});
        }
      }
    }
    ++length_;
  }
  void start(const std::vector<uint32_t>& sinks) {
    tb::Owner owner;
    owner.number = kOwner;
    owner.table_base = cache_->table_base();
    owner.length = owner.committed = length_;
    REQUIRE(host_->set_owner(owner).ok());
    for (const uint32_t position : sinks) {
      if (holds(position)) REQUIRE(host_->promote(kOwner, local(position), 0, 0xffff).ok());
    }
    REQUIRE(host_->wait_promotions(kOwner).ok());
  }
  void grown() { REQUIRE(host_->set_length(kOwner, length_, length_).ok()); }
  void step_end() { REQUIRE(host_->step_end(kOwner, false, true).ok()); }

  struct Work {
    std::array<tb::PathRows, 2> path;
    explicit Work(uint32_t d) : path{tb::PathRows(d), tb::PathRows(d)} {}
  };
  void ask(uint32_t layer, uint32_t head) {
    work_ = std::make_unique<Work>(n_.d);
    closed_ = false;
    tb::RowRequest r;
    r.id = id_++;
    r.owner = kOwner;
    r.layer = layer;
    r.head = head;
    r.planes = 3;
    r.count = length_;
    bench_->requests.push(r);
  }
  [[nodiscard]] bool answered() const { return closed_; }
  [[nodiscard]] const Work& work() const { return *work_; }
  [[nodiscard]] tb::Bench& bench() { return *bench_; }
  void finish() {
    residency_->drained(host_->drain_log());
    residency_->finish(bench_->cycle());
    for (const auto& d : differences.first()) UNSCOPED_INFO("port " << port_ << ": " << d.unit << ": " << d.what);
    CHECK(differences.count() == 0);
    const auto& c = rows_->counts();
    CHECK(c.wrong + c.missing + c.repeated + c.false_miss + c.false_hit + c.bad_ends + c.misordered == 0);
    CHECK(c.sink > 0);
    CHECK(c.bulk > 0);
  }

  tb::Capabilities caps;
  tb::Differences differences;

 private:
  const trace::Trace& trace_;
  const trace::Dims n_;
  uint32_t port_;
  std::unique_ptr<tb::Bench> bench_;
  std::unique_ptr<tb::Host> host_;
  std::unique_ptr<tb::KvCache> cache_;
  std::unique_ptr<tb::RowScoreboard> rows_;
  std::unique_ptr<tb::ResidencyChecker> residency_;
  tb::MemoryWrite write_;
  std::vector<uint8_t> scratch_;
  std::unique_ptr<Work> work_;
  bool closed_ = false;
  uint32_t length_ = 0;
  uint8_t id_ = 0;
};

}  // namespace

TEST_CASE("two instances with half the pages each decode one sequence, joined by one merge", "[system]") {
  const auto trace = load(kDefaultTrace);
  const auto n = trace.dims();
  std::array<std::unique_ptr<Port>, kPorts> port{std::make_unique<Port>(trace, 0), std::make_unique<Port>(trace, 1)};
  for (uint32_t t = 0; t < trace.prefill_tokens(); ++t) port[t / kPage % kPorts]->add(t);
  for (auto& p : port) p->start({0, 5, 20, 40, 56});  // pages 0, 1, 2, 3

  std::vector<uint32_t> got;
  uint32_t got_lse = 0;
  bool whole = false;
  tb::Bench& merger = port[0]->bench();
  merger.on_merged = [&](const tb::MergedOut& beat) {
    if (beat.first) got_lse = beat.lse;
    for (uint32_t i = 0; i < port[0]->caps.lanes && got.size() < n.d; ++i) got.push_back(beat.data[i]);
    whole = beat.last;
  };
  const auto together = [&](const auto& done) {
    for (unsigned i = 0; i < 200'000 && !done(); ++i) {
      for (auto& p : port) p->bench().tick();
    }
    REQUIRE(done());
  };

  uint16_t id = 0;
  double worst = 0, largest_v = 0;
  const uint32_t steps = 6, group = n.Hq / n.Hkv, lanes = port[0]->caps.lanes, beats = (n.d + lanes - 1) / lanes;
  for (uint32_t step = 0; step < steps; ++step) {
    const auto position = static_cast<uint32_t>(trace.decode_positions()[step]);
    Port& grows = *port[position / kPage % kPorts];
    grows.add(position);
    grows.grown();
    for (uint32_t layer = 0; layer < n.L; ++layer) {
      for (uint32_t head = 0; head < n.Hkv; ++head) {
        for (auto& p : port) p->ask(layer, head);
        together([&] { return port[0]->answered() && port[1]->answered(); });
        for (uint32_t g = 0; g < group; ++g) {
          const uint32_t q_head = head * group + g;
          std::vector<model::LseMerge::Partial> partials;
          std::vector<golden::Partial> exact_parts;
          for (uint32_t part = 0; part < 2 * kPorts; ++part) {
            const auto path = part % 2 == 0 ? tb::Path::kSink : tb::Path::kBulk;
            const auto& rows = port[part / 2]->work().path[static_cast<int>(path)];
            const auto partial = rows.attend(trace.q(layer, position, q_head), trace.scale());
            exact_parts.push_back(golden::partial_attention(trace, layer, q_head, position, rows.positions()));
            model::LseMerge::Partial p;
            p.lse = std::bit_cast<uint32_t>(partial.lse);
            p.is_sink = path == tb::Path::kSink;
            for (const float o : partial.o) p.o.push_back(std::bit_cast<uint32_t>(o));
            for (uint32_t b = 0; b < beats; ++b) {
              tb::PartialIn beat;
              beat.id = id;
              beat.first = b == 0;
              beat.last_partial = part + 1 == 2 * kPorts;
              beat.is_sink = p.is_sink;
              beat.lse = p.lse;
              beat.beats = static_cast<uint8_t>(beats - 1);
              for (uint32_t i = 0; i < lanes && b * lanes + i < n.d; ++i) beat.data[i] = p.o[b * lanes + i];
              merger.partials.push(beat);
            }
            partials.push_back(std::move(p));
          }
          ++id;
          got.clear();
          whole = false;
          together([&] { return whole; });
          const auto expected = model::LseMerge().merge(partials);
          REQUIRE(got == expected.o);
          REQUIRE(got_lse == expected.lse);
          // Every position once, over both ports and paths; and the trace's own output.
          std::size_t served = 0;
          for (auto& p : port) {
            for (const auto& rows : p->work().path) served += rows.positions().size();
          }
          REQUIRE(served == position + 1);
          const auto exact = golden::merge(exact_parts);
          const auto reference = trace.o(layer, step, q_head);
          for (uint32_t i = 0; i < n.d; ++i) {
            const auto out = std::bit_cast<float>(got[i]);
            worst = std::max(worst, golden::error_ulp(out, exact.o[i], exact.m[i]));
            largest_v = std::max(largest_v, std::fabs(double{reference[i]}));
            REQUIRE(std::fabs(double{out} - double{reference[i]}) <= 1e-5);
          }
        }
      }
    }
    for (auto& p : port) p->step_end();
  }
  CHECK(worst < 16);
  CHECK(largest_v > 0.01);
  for (auto& p : port) p->finish();
}

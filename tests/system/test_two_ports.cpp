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
#include "tb/system/compute.hpp"
#include "tb/system/instance.hpp"

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
    instance_ = tb::Instance::make(block, differences, why);
    REQUIRE(instance_);
    tb::KvShape shape;
    shape.layers = n_.L;
    shape.kv_heads = n_.Hkv;
    shape.row_bytes = n_.d * 2;
    shape.positions = n_.T;
    instance_->lay_out(shape, 0x4000'0000 * (port + 1), 11 + port);
    tb::Registers registers;
    registers.sram_budget = instance_->caps().slots;
    const auto expected = [this](uint32_t, uint32_t layer, uint32_t plane, uint32_t position, uint32_t head) {
      const auto values =
          plane == 0 ? trace_.k(layer, global(position), head) : trace_.v(layer, global(position), head);
      scratch_.assign(instance_->cache().shape().row_stride(), 0);
      std::memcpy(scratch_.data(), values.data(), values.size_bytes());
      return std::span<const uint8_t>(scratch_);
    };
    REQUIRE(instance_->configure(n_.Hq, registers, expected).empty());
    instance_->rows().on_row([this](const tb::Row& r) {
      if (!r.error) work_->path[static_cast<int>(r.path)].add(r.plane, global(r.position), r.bytes);
    });
    instance_->rows().on_closed([this](const tb::RowRequest&, bool) { closed_ = true; });
    REQUIRE(instance_->set_whole_profile(0).ok());
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
          instance_->write_row(layer, plane, local(position), head,
                               {reinterpret_cast<const uint8_t*>(values.data()), values.size_bytes()});
        }
      }
    }
    ++length_;
  }
  void start(const std::vector<uint32_t>& sinks) {
    tb::Owner owner;
    owner.number = kOwner;
    owner.table_base = instance_->cache().table_base();
    owner.length = owner.committed = length_;
    REQUIRE(instance_->host().set_owner(owner).ok());
    for (const uint32_t position : sinks) {
      if (holds(position)) REQUIRE(instance_->host().promote(kOwner, local(position), 0, 0xffff).ok());
    }
    REQUIRE(instance_->host().wait_promotions(kOwner).ok());
  }
  void grown() { REQUIRE(instance_->host().set_length(kOwner, length_, length_).ok()); }
  void step_end() { REQUIRE(instance_->host().step_end(kOwner, false, true).ok()); }

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
    instance_->bench().requests.push(r);
  }
  [[nodiscard]] bool answered() const { return closed_; }
  [[nodiscard]] const Work& work() const { return *work_; }
  [[nodiscard]] tb::Bench& bench() { return instance_->bench(); }
  [[nodiscard]] uint32_t lanes() const { return instance_->caps().lanes; }
  void finish() {
    std::vector<model::LogRecord> records;
    instance_->drain(records);
    instance_->residency().finish(instance_->bench().cycle());
    for (const auto& d : differences.first()) UNSCOPED_INFO("port " << port_ << ": " << d.unit << ": " << d.what);
    CHECK(differences.count() == 0);
    const auto& c = instance_->rows().counts();
    CHECK(c.wrong + c.missing + c.repeated + c.false_miss + c.false_hit + c.bad_ends + c.misordered == 0);
    CHECK(c.sink > 0);
    CHECK(c.bulk > 0);
  }

  tb::Differences differences;

 private:
  const trace::Trace& trace_;
  const trace::Dims n_;
  uint32_t port_;
  std::unique_ptr<tb::Instance> instance_;
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
    for (uint32_t i = 0; i < port[0]->lanes() && got.size() < n.d; ++i) got.push_back(beat.data[i]);
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
  const uint32_t steps = 6, group = n.Hq / n.Hkv;
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
          tb::MergeInput input(id, port[0]->lanes());
          std::vector<golden::Partial> exact_parts;
          for (uint32_t part = 0; part < 2 * kPorts; ++part) {
            const auto path = part % 2 == 0 ? tb::Path::kSink : tb::Path::kBulk;
            const auto& rows = port[part / 2]->work().path[static_cast<int>(path)];
            exact_parts.push_back(golden::partial_attention(trace, layer, q_head, position, rows.positions()));
            const auto& query = trace.q(layer, position, q_head);
            input.add(path, rows.attend(query, trace.scale()), part + 1 == 2 * kPorts);
          }
          for (const auto& beat : input.beats()) merger.partials.push(beat);
          ++id;
          got.clear();
          whole = false;
          together([&] { return whole; });
          const auto expected = input.expected();
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

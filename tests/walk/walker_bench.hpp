// SPDX-License-Identifier: Apache-2.0
// block_walker with an owner table, a memory that holds the block tables, and three clients; and the model that says
// which answers are right.
//
// The model knows nothing of lines or caches. For every owner and table word it keeps the values that a read issued
// after the owner's last retire may have seen: the value then, and what was written since. For every owner it keeps the
// contexts that were in force, with their times. An answer is right when some context that was in force between the
// request and the answer, and some value of that set, give it.
#pragma once

#include <array>
#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "support/catch.hpp"
#include "tb/common/axi_memory.hpp"
#include "tb/common/bits.hpp"
#include "tb/common/rng.hpp"
#include "tb/common/sim.hpp"
#include "tb/common/stream.hpp"

namespace kvsink::walk {

using tb::AxiMemory;
using tb::Rng;

inline constexpr int kClients = 3;
inline constexpr uint32_t kUnmapped = 0x80000000U;

enum Status : uint8_t { kOk = 0x00, kBadOwner = 0x05, kBadRange = 0x06, kStUnmapped = 0x0c, kBusError = 0x0e };

struct Request {
  uint32_t owner = 0;
  uint32_t position = 0;
};
struct Answer {
  uint8_t status = 0;
  uint32_t owner = 0;
  uint32_t word = 0;
  bool committed = false;
  bool operator==(const Answer&) const = default;
};
struct Context {
  bool valid = false;
  uint64_t base = 0;
  uint32_t length = 0;
  uint32_t committed = 0;
  bool prefix_valid = false;
  uint32_t prefix_owner = 0;
  uint32_t prefix_len = 0;
};
struct Retire {
  bool all = false;
  uint32_t owner = 0;
};

class Model {
 public:
  Model(AxiMemory& memory, uint32_t owners, unsigned page_log2)
      : memory_(memory), contexts_(owners), seen_(owners), page_log2_(page_log2) {
    for (auto& c : contexts_) c.push_back({0, Context{}});
  }

  [[nodiscard]] const Context& context(uint32_t owner) const { return contexts_[owner].back().second; }
  [[nodiscard]] uint32_t blocks(const Context& c) const { return (c.length + (1U << page_log2_) - 1) >> page_log2_; }

  /// The context table is written in `cycle`.
  void set_context(uint32_t owner, const Context& next, uint64_t cycle) {
    const Context old = context(owner);
    // What lies behind the old length may have been read, but never kept: the value of now is the only one.
    const uint32_t kept = old.base == next.base ? blocks(old) : blocks(next);
    for (uint32_t b = kept; b < blocks(next); ++b) seen_[owner].erase(next.base + 4ULL * b);
    contexts_[owner].push_back({cycle, next});
  }
  /// A table word changes.
  void write(uint64_t addr, uint32_t word) {
    const uint32_t old = memory_.read32(addr);
    for (auto& owner : seen_) {
      auto& values = owner[addr];
      if (values.empty()) values.insert(old);
      values.insert(word);
    }
    memory_.write32(addr, word);
  }
  /// A retire pulse: older values may not be seen from the next cycle on.
  void retire(const Retire& r) {
    for (uint32_t o = 0; o < seen_.size(); ++o) {
      if (r.all || o == r.owner) seen_[o].clear();
    }
  }
  /// Table words in [first, end) answer with a bus error, always.
  void add_errors(uint64_t first, uint64_t end) { errors_.emplace_back(first, end); }

  /// Empty when the answer to a request taken in `from` and handed over in `to` is right; otherwise what is wrong.
  [[nodiscard]] std::string check(const Request& request, const Answer& answer, uint64_t from, uint64_t to) const {
    std::string expected;
    for (const auto& own : in_force(request.owner, from, to)) {
      if (!own.valid) {
        if (match({kBadOwner, request.owner, 0, false}, answer, expected)) return {};
        continue;
      }
      if (!own.prefix_valid || request.position >= own.prefix_len) {
        if (lookup(request.owner, own, request.position, answer, expected)) return {};
        continue;
      }
      for (const auto& prefix : in_force(own.prefix_owner, from, to)) {
        if (!prefix.valid) {
          if (match({kBadOwner, own.prefix_owner, 0, false}, answer, expected)) return {};
        } else if (lookup(own.prefix_owner, prefix, request.position, answer, expected)) {
          return {};
        }
      }
    }
    return "owner " + std::to_string(request.owner) + " position " + std::to_string(request.position) + " taken in " +
           std::to_string(from) + " answered in " + std::to_string(to) + " with" + text(answer) + ", right would be" +
           expected;
  }

 private:
  [[nodiscard]] std::vector<Context> in_force(uint32_t owner, uint64_t from, uint64_t to) const {
    std::vector<Context> found;
    const auto& all = contexts_[owner];
    for (size_t i = 0; i < all.size(); ++i) {
      const bool ends_before = i + 1 < all.size() && all[i + 1].first < from;
      if (!ends_before && all[i].first <= to) found.push_back(all[i].second);
    }
    return found;
  }
  [[nodiscard]] bool lookup(uint32_t owner, const Context& c, uint32_t position, const Answer& answer,
                            std::string& expected) const {
    if (position >= c.length) return match({kBadRange, owner, 0, false}, answer, expected);
    const bool committed = position < c.committed;
    const uint64_t addr = c.base + 4ULL * (position >> page_log2_);
    const uint64_t beat = addr / memory_.config().beat_bytes * memory_.config().beat_bytes;
    for (const auto& [first, end] : errors_) {
      if (beat < end && beat + memory_.config().beat_bytes > first) {
        return match({kBusError, owner, 0, committed}, answer, expected);
      }
    }
    const auto known = seen_[owner].find(addr);
    const std::set<uint32_t> values =
        known == seen_[owner].end() || known->second.empty() ? std::set<uint32_t>{memory_.read32(addr)} : known->second;
    for (const uint32_t word : values) {
      const bool unmapped = (word & kUnmapped) != 0;
      if (match({unmapped ? kStUnmapped : kOk, owner, unmapped ? 0 : word, committed}, answer, expected)) return true;
    }
    return false;
  }
  static std::string text(const Answer& a) {
    return " {status " + std::to_string(a.status) + " owner " + std::to_string(a.owner) + " word " +
           std::to_string(a.word) + (a.committed ? " committed}" : "}");
  }
  static bool match(const Answer& right, const Answer& answer, std::string& expected) {
    expected += text(right);
    return right == answer;
  }

  AxiMemory& memory_;
  std::vector<std::vector<std::pair<uint64_t, Context>>> contexts_;  // with the cycle of the write, a owner
  std::vector<std::map<uint64_t, std::set<uint32_t>>> seen_;         // by owner and address
  std::vector<std::pair<uint64_t, uint64_t>> errors_;
  unsigned page_log2_;
};

template <class V>
class Bench {
 public:
  struct Pending {
    Request request;
    uint64_t taken = 0;
  };
  struct Done {
    Request request;
    Answer answer;
    uint64_t taken = 0;
    uint64_t handed = 0;
  };
  struct Counts {
    uint64_t answers = 0, hits = 0, reads = 0, prefetches = 0, dropped = 0;
  };

  Bench(AxiMemory::Config config, unsigned page_log2, uint64_t seed = tb::seed_from_env())
      : rng(seed), sim(seed), memory(with_bus(std::move(config), sim)), model(memory, owners(), page_log2) {
    auto& dut = *sim;
    dut.page_log2_i = static_cast<uint8_t>(page_log2);
    dut.own_we_i = 0;
    dut.retire_i = 0;
    dut.req_valid_i = 0;
    dut.rsp_ready_i = 0;
    dut.mem_valid_i = 0;
    dut.rd_ready_i = 0;
    sim.reset();
  }

  [[nodiscard]] uint32_t owners() { return sim->cfg_owners_o; }
  [[nodiscard]] uint32_t positions() { return sim->cfg_positions_o; }
  [[nodiscard]] uint32_t line_words() { return sim->cfg_bus_bits_o / 32; }
  [[nodiscard]] uint32_t translations() { return sim->cfg_translations_o; }

  void stalls(unsigned request_percent, unsigned answer_percent, unsigned longest) {
    for (int c = 0; c < kClients; ++c) {
      source[c].stall() = tb::Stall(rng.fork("req" + std::to_string(c)), request_percent, longest);
      ready[c] = tb::Stall(rng.fork("rsp" + std::to_string(c)), answer_percent, longest);
    }
  }

  /// What happens in the next tick, beside the clients.
  std::optional<std::pair<uint32_t, Context>> set_owner;
  std::optional<Retire> retire;

  void tick() {
    auto& dut = *sim;
    const uint64_t now = sim.cycle();
    // owner table and retire
    dut.own_we_i = set_owner.has_value();
    if (set_owner) {
      const auto& [owner, c] = *set_owner;
      dut.own_owner_i = static_cast<uint16_t>(owner);
      dut.own_valid_i = c.valid;
      dut.own_base_i = c.base;
      dut.own_length_i = c.length;
      dut.own_committed_i = c.committed;
      dut.own_prefix_valid_i = c.prefix_valid;
      dut.own_prefix_owner_i = static_cast<uint16_t>(c.prefix_owner);
      dut.own_prefix_len_i = c.prefix_len;
    }
    dut.retire_i = retire.has_value();
    if (retire) {
      dut.retire_all_i = retire->all;
      dut.retire_owner_i = static_cast<uint16_t>(retire->owner);
      dut.retire_first_i = 0;
      dut.retire_last_i = positions() - 1;
    }
    // clients
    dut.req_valid_i = 0;
    dut.rsp_ready_i = 0;
    std::array<Request, kClients> shown{};
    for (int c = 0; c < kClients; ++c) {
      if (const Request* r = source[c].begin(); r != nullptr) {
        shown[c] = *r;
        dut.req_valid_i |= static_cast<uint8_t>(1 << c);
        dut.req_owner_i[c] = static_cast<uint16_t>(r->owner);
        dut.req_position_i[c] = r->position;
      } else {
        dut.req_owner_i[c] = static_cast<uint16_t>(rng.next());
        dut.req_position_i[c] = static_cast<uint32_t>(rng.next());
      }
      if (!ready[c].now()) dut.rsp_ready_i |= static_cast<uint8_t>(1 << c);
    }
    // memory
    dut.rd_ready_i = memory.arready();
    const auto& r = memory.r();
    dut.mem_valid_i = r.valid;
    tb::set_words(dut.mem_data_i, std::span(r.data).first(memory.config().beat_bytes / 4));
    dut.mem_error_i = r.resp != AxiMemory::kOkay;

    sim.settle();

    uint8_t size = 0;
    while ((1U << size) < memory.config().beat_bytes) ++size;
    memory.tick({dut.rd_valid_o != 0, 0, dut.rd_addr_o, dut.rd_len_o, size, 1}, true);
    for (int c = 0; c < kClients; ++c) {
      if (source[c].end((dut.req_ready_o >> c & 1) != 0)) pending[c].push_back({shown[c], now});
      judge(c, now);
    }
    counts.answers += dut.count_answers_o;
    counts.hits += dut.count_hit_o;
    counts.reads += dut.count_read_o;
    counts.prefetches += dut.count_prefetch_o;
    counts.dropped += dut.count_dropped_o;
    // what this cycle changes counts from the next one on
    if (set_owner) model.set_context(set_owner->first, set_owner->second, now);
    if (retire) model.retire(*retire);
    last_retire_ = retire;
    set_owner.reset();
    retire.reset();
    sim.edge();
  }

  void write_owner(uint32_t owner, const Context& c) {
    set_owner = {owner, c};
    tick();
  }
  /// Ticks until every request is answered.
  void drain(uint64_t limit = 100000) {
    sim.run_until([&] { tick(); }, [&] { return idle(); }, limit, "the walker");
  }
  [[nodiscard]] bool idle() const {
    for (int c = 0; c < kClients; ++c) {
      if (!source[c].empty() || !pending[c].empty()) return false;
    }
    return true;
  }

  Rng rng;
  tb::Sim<V> sim;
  AxiMemory memory;
  Model model;
  std::array<tb::Source<Request>, kClients> source;
  std::array<tb::Stall, kClients> ready;
  std::array<std::deque<Pending>, kClients> pending;
  std::array<std::vector<Done>, kClients> done;
  Counts counts;
  std::vector<std::string> wrong;
  uint64_t withdrawn = 0;

 private:
  static AxiMemory::Config with_bus(AxiMemory::Config config, tb::Sim<V>& sim) {
    sim.settle();
    config.beat_bytes = sim->cfg_bus_bits_o / 8;
    return config;
  }
  void judge(int c, uint64_t now) {
    auto& dut = *sim;
    const bool valid = (dut.rsp_valid_o >> c & 1) != 0;
    const Answer answer{static_cast<uint8_t>(dut.rsp_status_o[c]), dut.rsp_owner_o[c], dut.rsp_word_o[c],
                        dut.rsp_committed_o[c] != 0};
    if (waiting_[c]) {
      const bool may_go = last_retire_ && (last_retire_->all || last_retire_->owner == waiting_[c]->owner);
      if (may_go && !valid) ++withdrawn;
      if (may_go && valid) complain(now, c, "a retired answer is still shown");
      if (!may_go && !(valid && answer == *waiting_[c])) complain(now, c, "an answer changed while it waited");
    }
    waiting_[c].reset();
    if (!valid) return;
    if (pending[c].empty()) {
      complain(now, c, "an answer that nobody asked for");
      return;
    }
    if ((dut.rsp_ready_i >> c & 1) == 0) {
      waiting_[c] = answer;
      return;
    }
    const Pending p = pending[c].front();
    pending[c].pop_front();
    if (const auto bad = model.check(p.request, answer, p.taken, now); !bad.empty()) complain(now, c, bad);
    done[c].push_back({p.request, answer, p.taken, now});
  }
  void complain(uint64_t now, int c, const std::string& what) {
    if (wrong.size() < 10) {
      wrong.push_back("cycle " + std::to_string(now) + " client " + std::to_string(c) + ": " + what);
    }
  }

  std::array<std::optional<Answer>, kClients> waiting_;
  std::optional<Retire> last_retire_;
};

}  // namespace kvsink::walk

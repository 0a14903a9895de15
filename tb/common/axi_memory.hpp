// SPDX-License-Identifier: Apache-2.0
// A memory behind an AXI4 read port: contents, time, order, errors, and the rules the manager has to keep.
//
// It knows nothing of Verilator. In each cycle: drive arready() and r() into the design, let it settle, then call
// tick() with what the manager showed in that cycle.
//
//   dut.arready = memory.arready();  drive memory.r();
//   sim.settle();
//   memory.tick({dut.arvalid, dut.arid, dut.araddr, dut.arlen, dut.arsize, dut.arburst}, dut.rready);
//   sim.edge();
//
// Time: a burst taken in cycle t can show its first beat in cycle t + latency at the earliest (latency at least 1).
// Each tier serves its bursts in the order of their arrival at `bandwidth` beats a cycle, at most one a cycle leaves on
// R. Order: within an ID as asked. Between IDs as asked too, unless out_of_order is set; then any ID whose next burst
// is ready may go next. Beats of bursts mix only with `interleave`; without it a burst starts when all its beats can
// follow.
// With `dram` tier 0 is one channel of banked DRAM (dram.hpp): its controller reorders the reads among themselves, and
// a burst is ready when the banks have given all of it. Its latency is then that of a read that meets an idle channel,
// and its bandwidth is what the banks give. ARREADY is low while the controller's queue is full.
#pragma once

#include <algorithm>
#include <array>
#include <cassert>
#include <cstdint>
#include <cstring>
#include <deque>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <unordered_map>
#include <vector>

#include "tb/common/dram.hpp"
#include "tb/common/rng.hpp"

namespace kvsink::tb {

class AxiMemory {
 public:
  static constexpr int kBeatWords = 16;  // 512 bits
  static constexpr int kIds = 8;
  static constexpr uint64_t kPage = 4096;

  enum Resp : uint8_t { kOkay = 0, kExOkay = 1, kSlvErr = 2, kDecErr = 3 };

  /// What the manager shows on AR in a cycle.
  struct Ar {
    bool valid = false;
    uint8_t id = 0;
    uint64_t addr = 0;
    uint8_t len = 0;
    uint8_t size = 0;
    uint8_t burst = 0;
    bool operator==(const Ar&) const = default;
  };
  /// What the memory shows on R in a cycle.
  struct R {
    bool valid = false;
    uint8_t id = 0;
    uint8_t resp = 0;
    bool last = false;
    std::array<uint32_t, kBeatWords> data{};
  };

  /// An address window with its own timing. Addresses in no window belong to tier 0's timing.
  struct Tier {
    uint64_t first = 0;
    uint64_t end = ~uint64_t{0};  // one past the last byte
    uint32_t latency = 100;       // cycles
    double bandwidth = 1.0;       // beats a cycle, above 0
  };

  enum class FaultKind : uint8_t {
    kSlvErr,     // every beat in the range answers SLVERR
    kDecErr,     // ... DECERR
    kLost,       // the burst is never answered (those behind it are: for an ID with nothing behind it)
    kSilent,     // the burst is never answered, and so none behind it in its ID, until reset
    kLate,       // the burst answers `cycles` later than it would
    kNoLast,     // the last beat comes without RLAST
    kEarlyLast,  // the first beat of a burst of several comes with RLAST (and the others follow)
  };
  /// A fault of the bursts (or beats, for the first two) that touch [first, end), the first `count` of them.
  struct Fault {
    uint64_t first = 0;
    uint64_t end = 0;
    FaultKind kind = FaultKind::kSlvErr;
    uint64_t count = ~uint64_t{0};
    uint32_t cycles = 0;
  };

  enum class Fill : uint8_t { kZero, kHash };
  /// When a beat's data is taken from the store: at the address handshake, or as the beat leaves, or either at random
  /// (which finds whoever relies on one of the two).
  enum class Sample : uint8_t { kAccept, kDeliver, kRandom };

  struct Config {
    uint32_t beat_bytes = 32;  // 4 to 64, a power of two
    std::vector<Tier> tiers = {Tier{}};
    bool out_of_order = false;
    bool interleave = false;
    uint32_t jitter = 0;            // extra cycles of latency, 0 to jitter, a burst
    unsigned ar_stall_percent = 0;  // cycles in which ARREADY is low
    unsigned ar_stall_longest = 1;  // cycles such a hold lasts at most
    unsigned r_gap_percent = 0;     // cycles in which no new beat appears
    unsigned r_gap_longest = 1;
    uint32_t max_outstanding = 0;  // bursts taken and not finished; 0: no limit
    bool expect_rready = false;    // a low RREADY beside RVALID is a violation
    Fill fill = Fill::kZero;       // contents of what was never written
    Sample sample = Sample::kDeliver;
    std::optional<DramTiming> dram;  // tier 0 is banked (not with `interleave`)
    uint64_t seed = seed_from_env();
  };

  struct IdStats {
    uint64_t bursts = 0;
    uint64_t beats = 0;
    uint64_t errors = 0;       // beats with an error response
    uint64_t latency_sum = 0;  // address handshake to last beat
    uint64_t latency_max = 0;
    uint32_t in_flight = 0;  // bursts now
    uint32_t in_flight_max = 0;
  };
  struct TierStats {
    uint64_t bursts = 0;
    uint64_t beats = 0;
  };
  struct Stats {
    uint64_t cycles = 0;
    uint64_t busy = 0;  // cycles in which a beat was transferred
    uint64_t bursts = 0;
    uint64_t beats = 0;
    uint64_t ar_wait = 0;  // cycles with ARVALID and no ARREADY
    uint64_t r_wait = 0;   // cycles with RVALID and no RREADY
    uint32_t in_flight_max = 0;
    std::array<IdStats, kIds> id;
    std::vector<TierStats> tier;
  };

  AxiMemory() : AxiMemory(Config{}) {}
  explicit AxiMemory(Config config)
      : config_(std::move(config)),
        rng_(Rng(config_.seed).fork("axi_memory")),
        ar_stall_(rng_.fork("ar"), config_.ar_stall_percent, config_.ar_stall_longest),
        r_stall_(rng_.fork("r"), config_.r_gap_percent, config_.r_gap_longest) {
    assert(config_.beat_bytes >= 4 && config_.beat_bytes <= 4 * kBeatWords);
    assert((config_.beat_bytes & (config_.beat_bytes - 1)) == 0);
    if (config_.tiers.empty()) config_.tiers.emplace_back();
    if (config_.dram) {
      assert(!config_.interleave);
      dram_.emplace(*config_.dram);
      assert(config_.tiers[0].latency > dram_idle());
    }
    free_at_.assign(config_.tiers.size(), 0.0);
    stats_.tier.resize(config_.tiers.size());
    arready_ = !ar_stall_.now();
  }

  [[nodiscard]] const Config& config() const { return config_; }

  // ---------------------------------------------------------------------------------------------- the port
  [[nodiscard]] bool arready() const { return arready_; }
  [[nodiscard]] const R& r() const { return r_; }

  /// Ends the cycle: takes the address if ARREADY was high, retires the beat if RREADY was, and prepares the next
  /// cycle.
  void tick(const Ar& ar, bool rready) {
    check(ar, rready);
    ++stats_.cycles;
    if (ar.valid && arready_) {
      accept(ar);
    } else if (ar.valid) {
      ++stats_.ar_wait;
    }
    if (r_.valid && !rready) {
      ++stats_.r_wait;
    } else {
      if (r_.valid) ++stats_.busy;
      r_.valid = false;
    }
    waiting_ = ar.valid && !arready_ ? ar : Ar{};
    ++now_;
    if (dram_) {
      if (const auto read = dram_->tick(now_)) dram_read(*read);
    }
    if (!r_.valid && !r_stall_.now()) serve();
    const bool stalled = ar_stall_.now();
    arready_ =
        !stalled && !(dram_ && dram_->full()) && (config_.max_outstanding == 0 || in_flight_ < config_.max_outstanding);
  }

  /// The design was reset: what is in flight is forgotten, contents and statistics stay.
  void reset() {
    for (auto& queue : queues_) queue.clear();
    injected_.clear();
    banked_.clear();
    if (dram_) dram_->clear();
    silent_.fill(false);
    r_ = R{};
    waiting_ = Ar{};
    current_ = -1;
    in_flight_ = 0;
    for (auto& id : stats_.id) id.in_flight = 0;
    std::fill(free_at_.begin(), free_at_.end(), 0.0);
  }

  /// Shows a beat that nobody asked for, as soon as R is free between bursts.
  void inject(R beat) {
    beat.valid = true;
    injected_.push_back(beat);
  }

  [[nodiscard]] bool idle() const { return in_flight_ == 0 && !r_.valid && injected_.empty(); }
  [[nodiscard]] uint32_t in_flight() const { return in_flight_; }
  /// Bursts of one ID whose last beat has not been shown (lost ones not counted).
  [[nodiscard]] uint32_t in_flight(int id) const { return stats_.id[static_cast<size_t>(id)].in_flight; }
  [[nodiscard]] uint64_t cycle() const { return now_; }
  /// The banks of tier 0 (only with `dram`).
  [[nodiscard]] DramBanks& dram() { return dram_->banks; }

  // ---------------------------------------------------------------------------------------------- settings on the run
  void set_ar_stall(unsigned percent, unsigned longest = 1) { ar_stall_.set(percent, longest); }
  void set_r_gap(unsigned percent, unsigned longest = 1) { r_stall_.set(percent, longest); }
  void set_latency(size_t tier, uint32_t cycles) { config_.tiers.at(tier).latency = cycles; }
  void set_bandwidth(size_t tier, double beats) { config_.tiers.at(tier).bandwidth = beats; }
  void set_out_of_order(bool on) { config_.out_of_order = on; }
  void set_jitter(uint32_t cycles) { config_.jitter = cycles; }

  void add_fault(const Fault& fault) { faults_.push_back(fault); }
  void clear_faults() { faults_.clear(); }

  // ---------------------------------------------------------------------------------------------- contents
  void write(uint64_t addr, std::span<const uint8_t> bytes) {
    while (!bytes.empty()) {
      const uint64_t offset = addr % kPage;
      const size_t n = std::min<size_t>(bytes.size(), kPage - offset);
      std::memcpy(page_for_write(addr / kPage) + offset, bytes.data(), n);
      bytes = bytes.subspan(n);
      addr += n;
    }
  }
  void write32(uint64_t addr, uint32_t value) {
    std::array<uint8_t, 4> bytes{};
    std::memcpy(bytes.data(), &value, 4);
    write(addr, bytes);
  }
  void read(uint64_t addr, std::span<uint8_t> bytes) const {
    while (!bytes.empty()) {
      const uint64_t offset = addr % kPage;
      const size_t n = std::min<size_t>(bytes.size(), kPage - offset);
      if (const uint8_t* page = page_for_read(addr / kPage); page != nullptr) {
        std::memcpy(bytes.data(), page + offset, n);
      } else {
        fill(addr, bytes.first(n));
      }
      bytes = bytes.subspan(n);
      addr += n;
    }
  }
  [[nodiscard]] uint32_t read32(uint64_t addr) const {
    std::array<uint8_t, 4> bytes{};
    read(addr, bytes);
    uint32_t value = 0;
    std::memcpy(&value, bytes.data(), 4);
    return value;
  }
  /// Contents of a byte that was never written.
  [[nodiscard]] uint8_t procedural(uint64_t addr) const {
    return config_.fill == Fill::kZero
               ? 0
               : static_cast<uint8_t>(mix64((addr / 8) ^ (config_.seed << 48)) >> (8 * (addr % 8)));
  }

  // ---------------------------------------------------------------------------------------------- what was seen
  [[nodiscard]] const Stats& stats() const { return stats_; }
  void clear_stats() {
    const Stats old = stats_;
    stats_ = Stats{};
    stats_.tier.resize(config_.tiers.size());
    for (size_t i = 0; i < kIds; ++i) stats_.id[i].in_flight = old.id[i].in_flight;
  }
  /// Rules of AXI4 (and of this port) that the manager broke, with the cycle; the first hundred.
  [[nodiscard]] const std::vector<std::string>& violations() const { return violations_; }

 private:
  struct Burst {
    uint64_t addr = 0;
    uint32_t beats = 0;
    uint32_t next = 0;  // beat to show next
    size_t tier = 0;
    uint64_t accepted = 0;  // cycle
    uint64_t order = 0;
    double ready = 0;  // cycle in which the first beat may show
    double gap = 1;    // cycles from one beat to the next
    double start = 0;  // ready, moved so that the beats follow each other (no interleaving)
    uint32_t late = 0;
    uint32_t unread = 0;  // beats that the banks have not given yet
    bool no_last = false;
    bool early_last = false;
    std::vector<uint8_t> data;  // when sampled at the address handshake
  };

  void complain(const std::string& what) {
    if (violations_.size() < 100) violations_.push_back("cycle " + std::to_string(now_) + ": " + what);
  }

  void check(const Ar& ar, bool rready) {
    if (waiting_.valid && !(ar == waiting_)) complain("AR changed or went away while it waited");
    if (config_.expect_rready && !rready && r_.valid) complain("RREADY is low beside RVALID");
    if (!ar.valid || !arready_) return;
    if (ar.id >= kIds) complain("ARID " + std::to_string(ar.id) + " is out of range");
    if ((1U << ar.size) != config_.beat_bytes) complain("ARSIZE " + std::to_string(ar.size) + " is not the full width");
    if (ar.burst != 1) complain("ARBURST " + std::to_string(ar.burst) + " is not INCR");
    if (ar.addr % config_.beat_bytes != 0) complain("ARADDR is not aligned to a beat");
    const uint64_t bytes = uint64_t{config_.beat_bytes} * (ar.len + 1U);
    if (ar.addr / kPage != (ar.addr + bytes - 1) / kPage) complain("a burst crosses 4 KiB");
  }

  [[nodiscard]] size_t tier_of(uint64_t addr) const {
    for (size_t i = 0; i < config_.tiers.size(); ++i) {
      if (addr >= config_.tiers[i].first && addr < config_.tiers[i].end) return i;
    }
    return 0;
  }

  void accept(const Ar& ar) {
    Burst burst;
    burst.addr = ar.addr;
    burst.beats = ar.len + 1U;
    burst.tier = tier_of(ar.addr);
    burst.accepted = now_;
    burst.order = order_++;
    const size_t id = ar.id % kIds;
    const Tier& tier = config_.tiers[burst.tier];
    uint32_t late = config_.jitter == 0 ? 0 : static_cast<uint32_t>(rng_.below(config_.jitter + 1U));
    bool lost = false;
    for (auto& fault : faults_) {
      if (fault.kind == FaultKind::kSlvErr || fault.kind == FaultKind::kDecErr || fault.count == 0) continue;
      if (ar.addr >= fault.end || ar.addr + uint64_t{burst.beats} * config_.beat_bytes <= fault.first) continue;
      --fault.count;
      lost |= fault.kind == FaultKind::kLost;
      if (fault.kind == FaultKind::kSilent) silent_[id] = true;
      if (fault.kind == FaultKind::kLate) late += fault.cycles;
      burst.no_last |= fault.kind == FaultKind::kNoLast;
      burst.early_last |= fault.kind == FaultKind::kEarlyLast;
    }
    ++stats_.bursts;
    ++stats_.id[id].bursts;
    ++stats_.tier[burst.tier].bursts;
    if (lost || silent_[id]) return;
    // The tier works on one burst after the other; latency overlaps, data does not.
    burst.late = late;
    burst.gap = 1.0 / tier.bandwidth;
    if (dram_ && burst.tier == 0) {
      burst.unread = burst.beats;
      dram_->push(burst.order, burst.addr, burst.beats, config_.beat_bytes, now_);
    }
    const double arrives = static_cast<double>(now_ + std::max(tier.latency, 1U));
    const double served = std::max(arrives, free_at_[burst.tier]);
    free_at_[burst.tier] = served + burst.gap * burst.beats;
    burst.ready = served + late;
    burst.start = burst.ready + std::max(0.0, (burst.gap - 1.0) * (burst.beats - 1));
    if (config_.sample == Sample::kAccept || (config_.sample == Sample::kRandom && rng_.coin())) {
      burst.data.resize(size_t{burst.beats} * config_.beat_bytes);
      read(burst.addr, burst.data);
    }
    queues_[id].push_back(std::move(burst));
    if (queues_[id].back().unread != 0) banked_[queues_[id].back().order] = &queues_[id].back();
    auto& stats = stats_.id[id];
    stats.in_flight_max = std::max(stats.in_flight_max, ++stats.in_flight);
    stats_.in_flight_max = std::max(stats_.in_flight_max, ++in_flight_);
  }

  /// Cycles from the address to the data of a read that meets an idle channel, without what the tier adds.
  [[nodiscard]] uint32_t dram_idle() const { return 1 + config_.dram->trcd + config_.dram->tcl; }

  /// The banks gave a beat: the burst may start so early that each beat has come when it is its turn.
  void dram_read(const DramController::Read& read) {
    const auto found = banked_.find(read.burst);
    if (found == banked_.end()) return;
    Burst& burst = *found->second;
    const double comes = static_cast<double>(now_ + config_.tiers[0].latency - 1 - config_.dram->trcd + burst.late);
    const double start = std::max(comes - read.beat, burst.unread == burst.beats ? 0.0 : burst.start);
    burst.ready = burst.start = start;
    if (--burst.unread == 0) banked_.erase(found);
  }

  [[nodiscard]] bool can_show(const Burst& burst) const {
    if (burst.unread != 0) return false;
    const double at = config_.interleave ? burst.ready + burst.gap * burst.next : burst.start;
    return at < static_cast<double>(now_) + 1e-6;
  }

  /// The ID whose burst shows its next beat now; -1: none.
  int choose() {
    if (current_ >= 0 && !config_.interleave) return current_;
    int oldest = -1;
    std::array<int, kIds> ready{};
    size_t count = 0;
    for (int id = 0; id < kIds; ++id) {
      const auto& queue = queues_[static_cast<size_t>(id)];
      if (queue.empty()) continue;
      if (oldest < 0 || queue.front().order < queues_[static_cast<size_t>(oldest)].front().order) oldest = id;
      if (can_show(queue.front())) ready[count++] = id;
    }
    if (config_.out_of_order) return count == 0 ? -1 : ready[count == 1 ? 0 : rng_.below(count)];
    return oldest >= 0 && can_show(queues_[static_cast<size_t>(oldest)].front()) ? oldest : -1;
  }

  void serve() {
    if (!injected_.empty() && (current_ < 0 || config_.interleave)) {
      r_ = injected_.front();
      injected_.pop_front();
      return;
    }
    const int id = choose();
    if (id < 0) return;
    auto& queue = queues_[static_cast<size_t>(id)];
    Burst& burst = queue.front();
    auto& stats = stats_.id[static_cast<size_t>(id)];
    const uint64_t addr = burst.addr + uint64_t{burst.next} * config_.beat_bytes;
    r_.valid = true;
    r_.id = static_cast<uint8_t>(id);
    r_.resp = response(addr);
    auto* bytes = reinterpret_cast<uint8_t*>(r_.data.data());
    if (burst.data.empty()) {
      read(addr, {bytes, config_.beat_bytes});
    } else {
      std::memcpy(bytes, burst.data.data() + size_t{burst.next} * config_.beat_bytes, config_.beat_bytes);
    }
    if (r_.resp != kOkay) {
      ++stats.errors;
      for (size_t i = 0; i < config_.beat_bytes; ++i) bytes[i] ^= 0xa5;  // nobody may use it
    }
    const bool final = burst.next + 1 == burst.beats;
    r_.last = final ? !burst.no_last : burst.early_last && burst.next == 0;
    ++burst.next;
    ++stats_.beats;
    ++stats.beats;
    ++stats_.tier[burst.tier].beats;
    current_ = final ? -1 : id;
    if (!final) return;
    stats.latency_sum += now_ - burst.accepted;
    stats.latency_max = std::max(stats.latency_max, now_ - burst.accepted);
    --stats.in_flight;
    --in_flight_;
    queue.pop_front();
  }

  uint8_t response(uint64_t addr) {
    for (auto& fault : faults_) {
      if (fault.kind != FaultKind::kSlvErr && fault.kind != FaultKind::kDecErr) continue;
      if (fault.count == 0 || addr >= fault.end || addr + config_.beat_bytes <= fault.first) continue;
      --fault.count;
      return fault.kind == FaultKind::kSlvErr ? kSlvErr : kDecErr;
    }
    return kOkay;
  }

  void fill(uint64_t addr, std::span<uint8_t> bytes) const {
    if (config_.fill == Fill::kZero) {
      std::fill(bytes.begin(), bytes.end(), uint8_t{0});
      return;
    }
    size_t i = 0;
    for (; i < bytes.size() && (addr + i) % 8 != 0; ++i) bytes[i] = procedural(addr + i);
    for (; i + 8 <= bytes.size(); i += 8) {
      const uint64_t word = mix64(((addr + i) / 8) ^ (config_.seed << 48));
      std::memcpy(bytes.data() + i, &word, 8);
    }
    for (; i < bytes.size(); ++i) bytes[i] = procedural(addr + i);
  }

  using Page = std::array<uint8_t, kPage>;
  uint8_t* page_for_write(uint64_t number) {
    auto& page = pages_[number];
    if (page == nullptr) {
      page = std::make_unique<Page>();
      fill(number * kPage, *page);
    }
    return page->data();
  }
  [[nodiscard]] const uint8_t* page_for_read(uint64_t number) const {
    const auto found = pages_.find(number);
    return found == pages_.end() ? nullptr : found->second->data();
  }

  Config config_;
  Rng rng_;
  Stall ar_stall_;
  Stall r_stall_;
  std::unordered_map<uint64_t, std::unique_ptr<Page>> pages_;
  std::array<std::deque<Burst>, kIds> queues_;
  std::array<bool, kIds> silent_{};
  std::optional<DramController> dram_;
  std::unordered_map<uint64_t, Burst*> banked_;  // bursts that the banks have not given whole, by order
  std::deque<R> injected_;
  std::vector<Fault> faults_;
  std::vector<double> free_at_;  // a tier, by cycle
  std::vector<std::string> violations_;
  Stats stats_;
  Ar waiting_;
  R r_;
  bool arready_ = false;
  int current_ = -1;  // ID of the burst that is on R
  uint32_t in_flight_ = 0;
  uint64_t now_ = 0;
  uint64_t order_ = 0;
};

}  // namespace kvsink::tb

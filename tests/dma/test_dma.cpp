// SPDX-License-Identifier: Apache-2.0
// Promotion DMA against a model written from the contract: where each row lies in memory and in its slot, what may be
// read and written when, and how each descriptor ends. The same cases run in the small and the default configuration.
#include <algorithm>
#include <array>
#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <random>
#include <set>
#include <string>
#include <vector>

#include DMA_MODEL_HEADER
#include "support/catch.hpp"
#include "support/seed.hpp"

namespace {

using Model = DMA_MODEL;

constexpr unsigned kOk = 0x00, kBadProfile = 0x07, kBusError = 0x0e, kTimeout = 0x0f, kAborted = 0x10, kDeadline = 0x11;
constexpr uint64_t kPage4K = 4096;

#ifdef DMA_SMALL
constexpr unsigned kBeatBytes = 16, kLayers = 8, kHeads = 4, kRowBeatsMax = 8, kProfiles = 2, kSlots = 32;
constexpr unsigned kSramBeats = 65536 / 16, kPositions = 512, kOwners = 4;
#else
constexpr unsigned kBeatBytes = 32, kLayers = 128, kHeads = 64, kRowBeatsMax = 36, kProfiles = 4, kSlots = 256;
constexpr unsigned kSramBeats = 4194304 / 32, kPositions = 131072, kOwners = 64;
#endif
#ifdef DMA_CHANNELS
constexpr unsigned kChannels = DMA_CHANNELS;
#else
constexpr unsigned kChannels = 2;
#endif
constexpr unsigned kAllChannels = (1U << kChannels) - 1;
constexpr unsigned kWords = kBeatBytes / 4;
using Beat = std::array<uint32_t, kWords>;

/// What the memory holds: every word depends on its address alone, so that a row in the wrong place shows.
uint32_t memory_word(uint64_t addr) {
  uint64_t x = (addr >> 2) * 0x9e3779b97f4a7c15u;
  x ^= x >> 29;
  x *= 0xbf58476d1ce4e5b9u;
  return static_cast<uint32_t>(x >> 32);
}

Beat memory_beat(uint64_t addr) {
  Beat b{};
  for (unsigned i = 0; i < kWords; i++) b[i] = memory_word(addr + 4 * i);
  return b;
}

struct Stride {
  uint64_t block = 0, head = 0, token = 0;
};
struct Plane {
  unsigned tensor = 0, set = 0, row_beats = 1, share_log2 = 0;
  uint64_t offset = 0;
};
struct Layout {
  unsigned page_log2 = 4, block_bits = 24;
  std::array<Stride, 4> stride{};
  std::array<Plane, 8> plane{};
};
struct Profile {
  unsigned layer_first = 0, layer_count = 1;
  uint64_t heads = 1;
  unsigned planes = 1;
  bool valid = true;
};
struct Descriptor {
  unsigned slot = 0, profile = 0, owner = 0, position = 0, sram_base = 0;
  uint32_t word = 0;
  uint64_t deadline = 0;
  unsigned tier = 0;
};

/// One beat of a descriptor: where it is read and where it goes.
struct BeatPlan {
  uint64_t addr;
  unsigned sram;
  unsigned layer;
  unsigned pass;  // rows of one pass that lie behind each other make one burst
};

struct End {
  unsigned slot, status;
  uint32_t bytes, cycles, stall_ar, stall_r;
  uint64_t cycle;
};

/// Probabilities in percent that something is held back in a cycle.
struct Stalls {
  unsigned rd = 0, mem = 0, progress = 0, end = 0, desc = 0;
};

class Bench {
 public:
  explicit Bench(uint64_t seed) : rng_(seed), context_(std::make_unique<VerilatedContext>()) {
    context_->randReset(2);
    context_->randSeed(static_cast<int>(seed % 2147483647 + 1));
    model_ = std::make_unique<Model>(context_.get());
    model_->clk_i = 0;
    model_->rst_ni = 0;
    model_->cfg_we_i = 0;
    model_->base_we_i = 0;
    model_->desc_valid_i = 0;
    model_->abort_valid_i = 0;
    model_->retire_valid_i = 0;
    model_->rd_ready_i = 0;
    model_->mem_valid_i = 0;
    model_->mem_chan_i = 0;
    model_->mem_lost_i = 0;
    model_->progress_ready_i = 0;
    model_->end_ready_i = 0;
    for (int i = 0; i < 4; i++) edge();
    model_->rst_ni = 1;
    edge();
    config(3, 0);
    for (auto& t : base_) {
      for (auto& b : t) b = 0;
    }
  }

  std::mt19937_64& rng() { return rng_; }
  unsigned pick(unsigned n) { return static_cast<unsigned>(rng_() % n); }
  bool chance(unsigned percent) { return percent != 0 && pick(100) < percent; }

  void set_layout(const Layout& l) {
    layout_ = l;
    config(0, l.page_log2);
    config(1, l.block_bits);
    for (unsigned s = 0; s < 4; s++) {
      config(16 + 4 * s, l.stride[s].block);
      config(17 + 4 * s, l.stride[s].head);
      config(18 + 4 * s, l.stride[s].token);
    }
    for (unsigned p = 0; p < 8; p++) {
      const Plane& q = l.plane[p];
      config(32 + p, q.offset | uint64_t{q.row_beats} << 32 | uint64_t{q.tensor} << 48 | uint64_t{q.set} << 50 |
                         uint64_t{q.share_log2} << 52 | uint64_t{1} << 55);
    }
  }

  void set_base(unsigned layer, unsigned tensor, uint64_t addr) {
    base_[layer][tensor] = addr;
    model_->base_we_i = 1;
    model_->base_waddr_i = layer * 4 + tensor;
    model_->base_wdata_i = addr;
    edge();
    model_->base_we_i = 0;
  }

  void set_profile(unsigned index, const Profile& p) {
    profile_[index] = p;
    const unsigned head_beats = beats_of_head(p);
    const unsigned head_count = static_cast<unsigned>(__builtin_popcountll(p.heads));
    const unsigned at = 64 + 16 * index;
    config(at, p.valid);
    config(at + 1, p.layer_first);
    config(at + 2, p.layer_count);
    config(at + 3, p.heads);
    config(at + 4, p.planes);
    config(at + 5, uint64_t{head_count} * head_beats);
    config(at + 6, head_beats);
    unsigned plane_beat = 0;
    for (unsigned q = 0; q < 8; q++) {
      config(at + 8 + q, plane_beat);
      plane_beat += ((p.planes >> q) & 1) != 0 ? layout_.plane[q].row_beats : 0;
    }
    for (int i = 0; i < 16; i++) edge();  // the unit looks at layout and profiles in turn
  }

  /// Planes of a head lie behind each other, in neighbouring planes of the layout.
  bool fused(const Profile& p) const {
    int before = -1;
    for (int q = 0; q < 8; q++) {
      if (((p.planes >> q) & 1) == 0) continue;
      if (before >= 0) {
        const Plane& a = layout_.plane[static_cast<unsigned>(before)];
        const Plane& b = layout_.plane[static_cast<unsigned>(q)];
        if (before + 1 != q || a.tensor != b.tensor || a.set != b.set || a.share_log2 != b.share_log2 ||
            b.offset != a.offset + uint64_t{a.row_beats} * kBeatBytes) {
          return false;
        }
      }
      before = q;
    }
    return true;
  }

  unsigned slot_beats(const Profile& p) const {
    return p.layer_count * static_cast<unsigned>(__builtin_popcountll(p.heads)) * beats_of_head(p);
  }

  /// The beats of a descriptor in order, from the formulas of the design.
  std::vector<BeatPlan> plan(const Descriptor& d) const {
    std::vector<BeatPlan> out;
    const Profile& p = profile_[d.profile];
    const unsigned head_beats = beats_of_head(p);
    const unsigned layer_beats = head_beats * static_cast<unsigned>(__builtin_popcountll(p.heads));
    const uint64_t block = d.word & ((uint64_t{1} << layout_.block_bits) - 1);
    const unsigned token = d.position % (1u << layout_.page_log2);
    // Planes outside heads, so that heads that lie behind each other are read in one burst; fused planes inside.
    const auto row = [&](unsigned l, unsigned h, unsigned q, unsigned pass) {
      const Plane& c = layout_.plane[q];
      const Stride& s = layout_.stride[c.set];
      const uint64_t addr = base_[p.layer_first + l][c.tensor] + block * s.block + h * s.head +
                            (token >> c.share_log2) * s.token + c.offset;
      const auto rank = static_cast<unsigned>(__builtin_popcountll(p.heads & ((uint64_t{1} << h) - 1)));
      unsigned plane_beat = 0;
      for (unsigned r = 0; r < q; r++) plane_beat += ((p.planes >> r) & 1) != 0 ? layout_.plane[r].row_beats : 0;
      for (unsigned b = 0; b < c.row_beats; b++) {
        out.push_back({addr + uint64_t{b} * kBeatBytes,
                       d.sram_base + l * layer_beats + rank * head_beats + plane_beat + b, p.layer_first + l, pass});
      }
    };
    for (unsigned l = 0; l < p.layer_count; l++) {
      if (fused(p)) {
        for (unsigned h = 0; h < 64; h++) {
          for (unsigned q = 0; q < 8; q++) {
            if (((p.heads >> h) & 1) != 0 && ((p.planes >> q) & 1) != 0) row(l, h, q, 8 * l);
          }
        }
      } else {
        for (unsigned q = 0; q < 8; q++) {
          for (unsigned h = 0; h < 64; h++) {
            if (((p.heads >> h) & 1) != 0 && ((p.planes >> q) & 1) != 0) row(l, h, q, 8 * l + q);
          }
        }
      }
    }
    return out;
  }

  void push(const Descriptor& d) { to_send_.push_back(d); }
  void abort_next(unsigned slot) { abort_ = slot; }
  void retire_next(bool all, unsigned owner, unsigned first, unsigned last) {
    retire_ = {true, all, owner, first, last};
  }

  /// One cycle; checks everything that can be checked in it.
  void step() {
    model_->desc_valid_i = offering_ || (!to_send_.empty() && !chance(stalls.desc));
    offering_ = model_->desc_valid_i;
    if (offering_) {
      const Descriptor& d = to_send_.front();
      model_->desc_slot_i = d.slot;
      model_->desc_profile_i = d.profile;
      model_->desc_owner_i = d.owner;
      model_->desc_position_i = d.position;
      model_->desc_word_i = d.word;
      model_->desc_sram_base_i = d.sram_base;
      model_->desc_deadline_i = d.deadline;
      model_->desc_tier_i = d.tier;
    }
    model_->abort_valid_i = abort_.has_value();
    if (abort_) model_->abort_slot_i = *abort_;
    model_->retire_valid_i = retire_.valid;
    model_->retire_all_i = retire_.all;
    model_->retire_owner_i = retire_.owner;
    model_->retire_first_i = retire_.first;
    model_->retire_last_i = retire_.last;
    model_->rd_ready_i = !chance(stalls.rd);
    model_->progress_ready_i = !chance(stalls.progress);
    model_->end_ready_i = !chance(stalls.end);

    model_->mem_valid_i = 0;
    for (unsigned c = 0; c < kChannels; c++) {
      if (reads_[c].empty()) lose_ &= ~(1U << c);  // the port gives up what is in flight, or nothing
    }
    model_->mem_lost_i = lose_;
    bool beat = false;
    beat_chan_ = pick(kChannels);
    for (unsigned i = 1; i < kChannels && (reads_[beat_chan_].empty() || reads_[beat_chan_].front().due > cycle_);
         i++) {
      beat_chan_ = (beat_chan_ + 1) % kChannels;
    }
    if (!reads_[beat_chan_].empty() && reads_[beat_chan_].front().due <= cycle_ && !chance(stalls.mem)) {
      Read& r = reads_[beat_chan_].front();
      model_->mem_chan_i = beat_chan_;
      const uint64_t addr = r.addr + uint64_t{r.sent} * kBeatBytes;
      beat = true;
      model_->mem_valid_i = 1;
      const Beat data = memory_beat(addr);
      for (unsigned i = 0; i < kWords; i++) model_->mem_data_i[i] = data[i];
      model_->mem_last_i = r.sent == r.len;
      model_->mem_error_i = errors.count(addr) != 0;
    }
    model_->clk_i = 0;
    model_->eval();

    // What the monitors see before the edge.
    std::optional<unsigned> taken_chan;
    if (model_->wr_valid_o) on_write();
    if (model_->progress_valid_o && model_->progress_ready_i) on_progress();
    if (model_->end_valid_o && model_->end_ready_i) on_end();
    if (model_->rd_valid_o && !presented_) on_present();
    presented_ = model_->rd_valid_o && !model_->rd_ready_i;
    if (model_->rd_valid_o && model_->rd_ready_i) {
      const unsigned chan = model_->rd_chan_o;
      REQUIRE(chan < kChannels);
      taken_chan = chan;
      if (!first_ar) first_ar = cycle_;
      bursts++;
    }
    if (model_->rd_valid_o && !model_->rd_ready_i) refused_cycles++;
    if (offering_ && model_->desc_ready_o) {
      const Descriptor d = to_send_.front();
      to_send_.pop_front();
      offering_ = false;
      Live live{d, plan(d), 0, 0, 0, false, accept_count_++, 0};
      live.accepted = cycle_;
      if (!profile_[d.profile].valid) live.must_end = kBadProfile;
      if (stale_input_) kill(live);
      live_.push_back(std::move(live));
      stale_input_ = false;
    }
    if (abort_) {
      for (Live& l : live_) {
        if (l.d.slot == *abort_ && l.accepted != cycle_) kill(l);
      }
    }
    if (retire_.valid) {
      auto hit = [&](const Descriptor& d) {
        return retire_.all || (d.owner == retire_.owner && retire_.first <= d.position && d.position <= retire_.last);
      };
      for (Live& l : live_) {
        if (hit(l.d)) kill(l);
      }
      if (offering_ && hit(to_send_.front())) stale_input_ = true;
    }
    if (beat) on_beat();
    for (unsigned c = 0; c < kChannels; c++) {
      if ((lose_ >> c & 1) == 0) continue;
      // Every read taken before this cycle is gone.
      reads_[c].clear();
      in_flight_[c].clear();
      for (Live& l : live_) {
        if (l.d.tier % kChannels != c || l.requested == 0 || l.back == l.beats.size()) continue;
        if (l.must_end == 0) l.must_end = kTimeout;
        l.back_lost = l.requested - l.back;
      }
    }
    lose_ = 0;
    if (taken_chan) {
      Live* owner = by_order(presented_order_);
      reads_[*taken_chan].push_back({model_->rd_addr_o, static_cast<unsigned>(model_->rd_len_o), 0,
                                     cycle_ + (*taken_chan == 0 ? latency : slow)});
      for (unsigned i = 0; i <= model_->rd_len_o; i++) in_flight_[*taken_chan].push_back(presented_order_);
      REQUIRE(owner != nullptr);
      owner->requested += model_->rd_len_o + 1;
      most_[*taken_chan] = std::max(most_[*taken_chan], reads_[*taken_chan].size());
      CHECK(reads_[*taken_chan].size() <= (limit_[*taken_chan] != 0 ? limit_[*taken_chan] : model_->row_reads_o));
    }
    abort_.reset();
    retire_ = {};
    model_->clk_i = 1;
    model_->eval();
    cycle_++;
  }

  /// Steps until nothing is pending; fails when that takes too long.
  void drain(uint64_t limit = 400000) {
    const uint64_t end = cycle_ + limit;
    while (busy() && cycle_ < end) step();
    REQUIRE_FALSE(busy());
    for (int i = 0; i < 20; i++) step();  // nothing may come after the last end
  }

  bool busy() const {
    return !to_send_.empty() || !live_.empty() ||
           std::any_of(reads_.begin(), reads_.end(), [](const auto& r) { return !r.empty(); });
  }
  /// From now on at most so many reads of a channel in flight; 0: as many as there are.
  void set_limit(unsigned channel, unsigned reads) {
    limit_[channel] = reads;
    uint64_t all = 0;
    for (unsigned c = 0; c < kChannels; c++) all |= uint64_t{limit_[c]} << 16 * c;
    config(3, all);
    for (int i = 0; i < 2; i++) edge();
  }
  /// The same with reads in flight that may be more; the check of the limit is the caller's.
  void lower_limit(unsigned channel, unsigned reads) {
    model_->cfg_we_i = 1;
    model_->cfg_addr_i = 3;
    model_->cfg_data_i = uint64_t{reads} << 16 * channel;
    step();
    model_->cfg_we_i = 0;
  }
  size_t in_flight_count(unsigned channel) const { return reads_[channel].size(); }
  size_t most_in_flight(unsigned channel) const { return most_[channel]; }
  void forget_most(unsigned channel) { most_[channel] = 0; }
  /// In the next cycle the reads of these channels that are in flight are given up.
  void lose_next(unsigned channels) { lose_ = channels; }
  bool in_flight(unsigned channel) const { return !reads_[channel].empty(); }
  size_t live() const { return live_.size(); }
  uint64_t now() const { return model_->now_o; }
  uint64_t cycle() const { return cycle_; }
  const Profile& profile(unsigned i) const { return profile_[i]; }

  Stalls stalls;
  unsigned latency = 20;
  unsigned slow = 20;         // latency of the second channel
  std::set<uint64_t> errors;  // beat addresses that answer SLVERR
  std::vector<End> ends;
  std::vector<std::pair<unsigned, unsigned>> progress;  // slot, watermark
  uint64_t bursts = 0, beats_written = 0, beats_back = 0, refused_cycles = 0;
  std::optional<uint64_t> first_ar, first_beat;
  uint64_t last_beat = 0;
  std::map<unsigned, Beat> sram;

 private:
  struct Read {
    uint64_t addr;
    unsigned len, sent;
    uint64_t due;
  };
  struct Retire {
    bool valid = false, all = false;
    unsigned owner = 0, first = 0, last = 0;
  };
  struct Live {
    Descriptor d;
    std::vector<BeatPlan> beats;
    size_t requested;  // beats asked for
    size_t back;       // beats returned
    size_t written;
    bool killed;
    uint64_t order;
    unsigned must_end;  // status that it has to end with; 0: StOk or StDeadline
    uint64_t accepted = 0;
    uint64_t complete = 0;  // cycle of the last beat
    unsigned watermark = 0;
    size_t back_lost = 0;  // beats that never came
  };

  unsigned beats_of_head(const Profile& p) const {
    unsigned n = 0;
    for (unsigned q = 0; q < 8; q++) n += ((p.planes >> q) & 1) != 0 ? layout_.plane[q].row_beats : 0;
    return n;
  }

  void kill(Live& l) {
    if (l.killed || l.must_end != 0 || (l.back == l.beats.size() && !l.beats.empty())) return;
    l.killed = true;
    l.must_end = kAborted;
  }

  void config(unsigned addr, uint64_t data) {
    model_->cfg_we_i = 1;
    model_->cfg_addr_i = addr;
    model_->cfg_data_i = data;
    edge();
    model_->cfg_we_i = 0;
  }

  void edge() {
    model_->clk_i = 0;
    model_->eval();
    model_->clk_i = 1;
    model_->eval();
    cycle_++;
  }

  // A new read on the port: the next beats of exactly one live descriptor, of one row, legal as an AXI burst.
  void on_present() {
    const uint64_t addr = model_->rd_addr_o;
    const unsigned len = model_->rd_len_o + 1;
    CHECK(addr % kBeatBytes == 0);
    CHECK(addr / kPage4K == (addr + uint64_t{len} * kBeatBytes - 1) / kPage4K);
    Live* owner = nullptr;
    for (Live& l : live_) {
      if (l.d.tier % kChannels == model_->rd_chan_o && l.requested < l.beats.size() &&
          l.beats[l.requested].addr == addr && l.requested + len <= l.beats.size() &&
          (owner == nullptr || l.requested != 0)) {
        owner = &l;
      }
    }
    INFO("cycle " << cycle_ << " read of " << std::hex << addr << " beats " << std::dec << len);
    REQUIRE(owner != nullptr);
    // In the cycle of the kill a read may still appear; one cycle later none.
    CHECK_FALSE(owner->must_end != 0);
    const auto* want = &owner->beats[owner->requested];
    for (unsigned i = 0; i < len; i++) {
      CHECK(want[i].addr == addr + uint64_t{i} * kBeatBytes);
      CHECK(want[i].pass == want[0].pass);
    }
    // The longest legal burst: nothing of the pass lies behind it in the same 4 KiB.
    const uint64_t next = addr + uint64_t{len} * kBeatBytes;
    if (owner->requested + len < owner->beats.size() && len < 256 && next % kPage4K != 0) {
      CHECK_FALSE((want[len].pass == want[0].pass && want[len].addr == next));
    }
    presented_order_ = owner->order;
  }

  Live* by_order(uint64_t order) {
    for (Live& l : live_) {
      if (l.order == order) return &l;
    }
    return nullptr;
  }

  void on_beat() {
    Read& r = reads_[beat_chan_].front();
    beats_back++;
    if (!first_beat) first_beat = cycle_;
    last_beat = cycle_;
    Live* l = by_order(in_flight_[beat_chan_].front());
    in_flight_[beat_chan_].pop_front();
    REQUIRE(l != nullptr);
    l->back++;
    // A beat in the cycle in which the rest is given up comes too late, unless it is the last one.
    const bool given_up = (lose_ >> beat_chan_ & 1) != 0 && l->back != l->beats.size();
    const bool good = l->must_end == 0 && !model_->mem_error_i && !given_up;
    if (model_->mem_error_i && l->must_end == 0) l->must_end = kBusError;
    if (good) expect_write_.push_back({cycle_ + 1, l->order, l->back - 1});
    if (l->back == l->beats.size()) l->complete = now();
    if (++r.sent > r.len) reads_[beat_chan_].pop_front();
  }

  void on_write() {
    INFO("cycle " << cycle_);
    REQUIRE_FALSE(expect_write_.empty());
    const auto [cycle, order, index] = expect_write_.front();
    expect_write_.pop_front();
    CHECK(cycle == cycle_);
    Live* l = by_order(order);
    REQUIRE(l != nullptr);
    Beat data{};
    for (unsigned i = 0; i < kWords; i++) data[i] = model_->wr_data_o[i];
    CHECK(unsigned{model_->wr_addr_o} == l->beats[index].sram);
    CHECK(data == memory_beat(l->beats[index].addr));
    sram[model_->wr_addr_o] = data;
    l->written++;
    beats_written++;
  }

  void on_progress() {
    const unsigned slot = model_->progress_slot_o, mark = model_->progress_watermark_o;
    progress.emplace_back(slot, mark);
    Live* l = nullptr;
    for (Live& x : live_) {
      if (x.d.slot == slot) l = &x;
    }
    INFO("cycle " << cycle_ << " progress of slot " << slot);
    REQUIRE(l != nullptr);
    CHECK(mark > l->watermark);
    l->watermark = mark;
    for (size_t i = 0; i < l->beats.size() && l->beats[i].layer < mark; i++) CHECK(i < l->written);
  }

  void on_end() {
    End e{model_->end_slot_o,
          model_->end_status_o,
          model_->end_bytes_o,
          model_->end_cycles_o,
          model_->end_stall_ar_o,
          model_->end_stall_r_o,
          cycle_};
    ends.push_back(e);
    INFO("cycle " << cycle_ << " end of slot " << e.slot << " status " << e.status);
    auto it = std::find_if(live_.begin(), live_.end(), [&](const Live& x) { return x.d.slot == e.slot; });
    REQUIRE(it != live_.end());
    if (it->must_end != 0) {
      CHECK(e.status == it->must_end);
    } else {
      CHECK(it->written == it->beats.size());
      const bool late = it->d.deadline != 0 && it->complete > it->d.deadline;
      CHECK(e.status == (late ? kDeadline : kOk));
    }
    CHECK(it->back + it->back_lost == it->requested);
    CHECK(e.bytes == it->back * kBeatBytes);
    CHECK(e.cycles <= cycle_ - it->accepted);
    live_.erase(it);
  }

  std::mt19937_64 rng_;
  std::unique_ptr<VerilatedContext> context_;
  std::unique_ptr<Model> model_;
  Layout layout_;
  std::array<std::array<uint64_t, 4>, kLayers> base_{};
  std::array<Profile, kProfiles> profile_{};
  std::deque<Descriptor> to_send_;
  std::vector<Live> live_;
  std::array<std::deque<Read>, kChannels> reads_;
  std::array<std::deque<uint64_t>, kChannels> in_flight_;  // descriptor of each beat not yet back
  unsigned beat_chan_ = 0, lose_ = 0;
  std::array<unsigned, kChannels> limit_{};
  std::array<size_t, kChannels> most_{};
  uint64_t presented_order_ = 0;
  struct Expect {
    uint64_t cycle, order;
    size_t index;
  };
  std::deque<Expect> expect_write_;
  std::optional<unsigned> abort_;
  Retire retire_;
  bool offering_ = false, presented_ = false, stale_input_ = false;
  uint64_t cycle_ = 0, accept_count_ = 0;
};

uint64_t beats(uint64_t n) { return n * kBeatBytes; }

/// Pages with tokens outside heads (NHD); K and V in two tensors, one base a layer.
Layout nhd(unsigned page_log2, unsigned row_beats, unsigned heads) {
  Layout l;
  l.page_log2 = page_log2;
  const uint64_t row = beats(row_beats);
  l.stride[0] = {row * heads << page_log2, row, row * heads};
  for (unsigned p = 0; p < 8; p++) l.plane[p] = {p % 2, 0, row_beats, 0, 0};
  return l;
}

/// Heads outside tokens (HND), K and V fused in the last dimension of one tensor.
Layout hnd_fused(unsigned page_log2, unsigned row_beats, unsigned heads) {
  Layout l;
  l.page_log2 = page_log2;
  const uint64_t row = beats(2 * row_beats);
  l.stride[1] = {row * heads << page_log2, row << page_log2, row};
  for (unsigned p = 0; p < 8; p++) l.plane[p] = {2, 1, row_beats, 0, (p % 2) * beats(row_beats)};
  return l;
}

/// K, V and a plane of scales that four tokens share, each plane with its own row length.
Layout scaled(unsigned page_log2, unsigned heads) {
  Layout l;
  l.page_log2 = page_log2;
  l.block_bits = 20;
  const uint64_t row = beats(4);
  l.stride[0] = {row * heads << page_log2, row, row * heads};
  l.stride[3] = {beats(heads) << page_log2, beats(1) << page_log2, beats(1)};
  l.plane[0] = {0, 0, 4, 0, 0};
  l.plane[1] = {1, 0, 4, 0, 0};
  l.plane[2] = {3, 3, 1, 2, 0};
  for (unsigned p = 3; p < 8; p++) l.plane[p] = {2, 0, p, 0, 0};
  return l;
}

void random_bases(Bench& b, bool aligned_rows) {
  for (unsigned l = 0; l < kLayers; l++) {
    for (unsigned t = 0; t < 4; t++) {
      // Not aligned to a row: rows then cross 4 KiB at every place.
      const uint64_t unit = aligned_rows ? 4096 : kBeatBytes;
      b.set_base(l, t, (uint64_t{l} * 4 + t) * 0x20'0000'0000ull + (b.rng()() % 0x10000) * unit);
    }
  }
}

Profile random_profile(Bench& b, unsigned planes_used, unsigned max_layers, unsigned max_heads) {
  Profile p;
  p.layer_count = 1 + b.pick(max_layers);
  p.layer_first = b.pick(kLayers - p.layer_count + 1);
  p.heads = 0;
  const unsigned n = 1 + b.pick(max_heads);
  for (unsigned i = 0; i < n; i++) p.heads |= uint64_t{1} << b.pick(kHeads);
  p.planes = 0;
  while (p.planes == 0) p.planes = static_cast<unsigned>(b.rng()()) & planes_used;
  return p;
}

class Sender {
 public:
  explicit Sender(Bench& b) : bench_(b) {}
  bool tiers = false;  // descriptors of both channels
  /// A descriptor of a slot and position that no other has; slots are as large as the largest profile.
  Descriptor next(unsigned profile) {
    Descriptor d;
    unsigned largest = 0;
    for (unsigned i = 0; i < kProfiles; i++) largest = std::max(largest, bench_.slot_beats(bench_.profile(i)));
    const unsigned places = std::min(kSlots, kSramBeats / largest);
    REQUIRE(places >= 8);
    d.slot = count_ % places;
    d.sram_base = d.slot * largest;
    d.profile = profile;
    d.owner = bench_.pick(kOwners);
    d.position = count_ * 7 % kPositions;
    d.word = (static_cast<uint32_t>(bench_.rng()()) & 0x3ff) | (count_ % 64) << 10 | bench_.pick(64) << 25;
    d.tier = tiers ? bench_.pick(kChannels) : 0;
    count_++;
    return d;
  }

 private:
  Bench& bench_;
  unsigned count_ = 0;
};

void run_layout(const Layout& layout, unsigned planes_used, bool aligned, uint64_t seed) {
  Bench b(seed);
  b.set_layout(layout);
  random_bases(b, aligned);
  for (unsigned i = 0; i < kProfiles; i++) b.set_profile(i, random_profile(b, planes_used, 3, 3));
  Sender s(b);
  b.stalls = {30, 30, 30, 30, 20};
  b.latency = 1 + b.pick(60);
  const unsigned n = 12;
  for (unsigned i = 0; i < n; i++) b.push(s.next(b.pick(kProfiles)));
  b.drain();
  CHECK(b.ends.size() == n);
  for (const End& e : b.ends) CHECK(e.status == kOk);
  CHECK(b.beats_written == b.beats_back);
}

}  // namespace

TEST_CASE("every row of a token lands at its place in the slot, byte for byte, in all layouts and with stalls",
          "[dma]") {
  const uint64_t seed = kvsink::test_seed();
  const unsigned long_row = std::min(kRowBeatsMax, 8u);
  for (unsigned page_log2 = 4; page_log2 <= 7; page_log2++) {
    run_layout(nhd(page_log2, long_row, kHeads), 0x03, true, seed * 101 + page_log2);
    run_layout(nhd(page_log2, 3, kHeads), 0xc5, false, seed * 103 + page_log2);
    run_layout(hnd_fused(page_log2, 2, kHeads), 0x03, true, seed * 107 + page_log2);
    run_layout(hnd_fused(page_log2, kRowBeatsMax, kHeads), 0x0f, false, seed * 109 + page_log2);
    run_layout(scaled(page_log2, kHeads), 0xff, false, seed * 113 + page_log2);
  }
}

TEST_CASE("the watermark grows layer by layer and never runs ahead of the SRAM", "[dma]") {
  Bench b(kvsink::test_seed());
  b.set_layout(nhd(4, 2, kHeads));
  random_bases(b, true);
  Profile p;
  p.layer_first = 2;
  p.layer_count = 6;
  p.heads = 0x5;
  p.planes = 0x3;
  for (unsigned i = 0; i < kProfiles; i++) b.set_profile(i, p);
  Sender s(b);
  const Descriptor d = s.next(0);
  b.push(d);
  b.drain();
  std::vector<std::pair<unsigned, unsigned>> expected;
  for (unsigned mark = 3; mark <= 7; mark++) expected.emplace_back(d.slot, mark);
  CHECK(b.progress == expected);  // the end says the last layer
  REQUIRE(b.ends.size() == 1);
  CHECK(b.ends[0].status == kOk);

  // Not taken for long, progress is joined, stays ordered, and does not hold the rows up.
  b.progress.clear();
  b.stalls.progress = 97;
  for (unsigned i = 0; i < 6; i++) b.push(s.next(i % kProfiles));
  b.drain();
  CHECK(b.ends.size() == 7);
}

TEST_CASE("an abort in any cycle ends the descriptor once and leaves the others alone", "[dma]") {
  for (unsigned when = 0; when < 90; when++) {
    Bench b(kvsink::test_seed() + when);
    b.set_layout(nhd(4, 3, kHeads));
    random_bases(b, false);
    Profile p;
    p.layer_count = 3;
    p.heads = 0x6;
    p.planes = 0x3;
    for (unsigned i = 0; i < kProfiles; i++) b.set_profile(i, p);
    Sender s(b);
    std::vector<Descriptor> ds;
    for (unsigned i = 0; i < 6; i++) ds.push_back(s.next(0));
    for (const Descriptor& d : ds) b.push(d);
    b.latency = 12;
    b.stalls = {20, 20, 20, 20, 0};
    const unsigned victim = ds[when % 3].slot;
    for (unsigned i = 0; i < when; i++) b.step();
    b.abort_next(victim);
    b.step();
    b.drain();
    CHECK(b.ends.size() == 6);
    for (const End& e : b.ends) {
      if (e.slot != victim) CHECK(e.status == kOk);
    }
  }
}

TEST_CASE("retire stops every descriptor of the owner and range in its cycle, waiting ones too", "[dma]") {
  unsigned aborted = 0;
  for (unsigned when = 0; when < 90; when++) {
    Bench b(kvsink::test_seed() * 31 + when);
    b.set_layout(nhd(4, 3, kHeads));
    random_bases(b, false);
    Profile p;
    p.layer_count = 2;
    p.heads = 0x6;
    p.planes = 0x3;
    for (unsigned i = 0; i < kProfiles; i++) b.set_profile(i, p);
    Sender s(b);
    std::vector<Descriptor> ds;
    for (unsigned i = 0; i < 8; i++) ds.push_back(s.next(0));
    for (unsigned i = 0; i < 8; i++) ds[i].owner = i % 2;
    for (const Descriptor& d : ds) b.push(d);
    b.latency = 9;
    b.stalls = {20, 20, 20, 20, 0};
    for (unsigned i = 0; i < when; i++) b.step();
    switch (when % 3) {
      case 0:
        b.retire_next(true, 0, 0, 0);
        break;
      case 1:
        b.retire_next(false, 1, ds[1].position, ds[5].position);
        break;
      default:
        b.retire_next(false, 0, ds[2].position, ds[2].position);
        break;
    }
    b.step();
    b.drain();
    CHECK(b.ends.size() == 8);
    for (const End& e : b.ends) aborted += e.status == kAborted;
  }
  CHECK(aborted > 100);
}

TEST_CASE("a bus error on any beat ends the descriptor with it, and what follows is untouched", "[dma]") {
  for (unsigned beat = 0; beat < 24; beat++) {
    Bench b(kvsink::test_seed() * 17 + beat);
    b.set_layout(nhd(4, 2, kHeads));
    random_bases(b, false);
    Profile p;
    p.layer_count = 3;
    p.heads = 0x9;
    p.planes = 0x3;
    for (unsigned i = 0; i < kProfiles; i++) b.set_profile(i, p);
    Sender s(b);
    std::vector<Descriptor> ds;
    for (unsigned i = 0; i < 4; i++) ds.push_back(s.next(0));
    const auto plan = b.plan(ds[1]);
    REQUIRE(plan.size() == 24);
    b.errors.insert(plan[beat].addr);
    for (const Descriptor& d : ds) b.push(d);
    b.latency = beat % 2 == 0 ? 3 : 40;
    b.stalls = {10, 10, 10, 10, 0};
    b.drain();
    REQUIRE(b.ends.size() == 4);
    for (const End& e : b.ends) CHECK(e.status == (e.slot == ds[1].slot ? kBusError : kOk));
  }
}

TEST_CASE("a profile that is not valid ends its descriptor without a read", "[dma]") {
  Bench b(kvsink::test_seed());
  b.set_layout(nhd(4, 2, kHeads));
  random_bases(b, true);
  Profile p;
  for (unsigned i = 0; i < kProfiles; i++) b.set_profile(i, p);
  p.valid = false;
  b.set_profile(1, p);
  Sender s(b);
  b.push(s.next(1));
  b.push(s.next(0));
  b.drain();
  REQUIRE(b.ends.size() == 2);
  CHECK(b.ends[0].status == kBadProfile);
  CHECK(b.ends[0].bytes == 0);
  CHECK(b.ends[1].status == kOk);
  CHECK(b.beats_back == 2);
}

TEST_CASE("the earliest deadline goes first, and a missed one is said", "[dma]") {
  Bench b(kvsink::test_seed());
  b.set_layout(nhd(4, 4, kHeads));
  random_bases(b, true);
  Profile p;
  p.layer_count = 4;
  p.heads = 0x3;
  for (unsigned i = 0; i < kProfiles; i++) b.set_profile(i, p);
  Sender s(b);
  std::vector<Descriptor> ds;
  for (unsigned i = 0; i < 4; i++) ds.push_back(s.next(0));
  b.stalls.rd = 90;  // the first keeps the port for long enough that all others have arrived
  ds[0].deadline = b.now() + 1;
  ds[1].deadline = 0;  // none: last
  ds[2].deadline = b.now() + 1'000'000;
  ds[3].deadline = b.now() + 500'000;
  for (const Descriptor& d : ds) b.push(d);
  b.drain();
  REQUIRE(b.ends.size() == 4);
  CHECK(b.ends[0].slot == ds[0].slot);
  CHECK(b.ends[0].status == kDeadline);
  CHECK(b.ends[1].slot == ds[3].slot);
  CHECK(b.ends[2].slot == ds[2].slot);
  CHECK(b.ends[3].slot == ds[1].slot);
  for (unsigned i = 1; i < 4; i++) CHECK(b.ends[i].status == kOk);
  uint64_t stalled = 0;
  for (const End& e : b.ends) stalled += e.stall_ar;
  CHECK(stalled == b.refused_cycles);  // each cycle in which a read waited belongs to one descriptor
}

TEST_CASE("an idle channel shows the first read of a descriptor three cycles after it was taken", "[dma]") {
  for (unsigned tier = 0; tier < kChannels; tier++) {
    Bench b(kvsink::test_seed() + tier);
    b.set_layout(nhd(4, 2, kHeads));
    random_bases(b, true);
    Profile p;
    p.layer_count = 2;
    p.heads = 0xf;
    p.planes = 0x3;
    for (unsigned i = 0; i < kProfiles; i++) b.set_profile(i, p);
    Sender s(b);
    for (unsigned i = 0; i < 8; i++) {
      Descriptor d = s.next(i % kProfiles);
      d.tier = tier;
      b.first_ar.reset();
      for (unsigned w = b.pick(20); w > 0; w--) b.step();
      const uint64_t taken = b.cycle();
      b.push(d);
      b.drain();
      REQUIRE(b.first_ar.has_value());
      CHECK(*b.first_ar - taken == 3);
    }
  }
}

TEST_CASE("a slow tier at its limit of reads holds up no descriptor of a fast one", "[dma]") {
  std::array<uint64_t, 2> cycles{};
  for (unsigned with = 0; with < 2; with++) {
    Bench b(kvsink::test_seed());
    b.set_layout(nhd(4, 4, kHeads));
    random_bases(b, false);
    Profile p;
    p.layer_count = 8;
    p.heads = 0xf;
    p.planes = 0x3;
    for (unsigned i = 0; i < kProfiles; i++) b.set_profile(i, p);
    b.latency = 50;
    b.slow = 20000;
    Sender s(b);
    if (with != 0) {  // two of the slow tier, more reads than may be in flight
      for (unsigned i = 0; i < 2; i++) {
        Descriptor d = s.next(0);
        d.tier = 1;
        b.push(d);
      }
      for (unsigned i = 0; i < 400; i++) b.step();
      CHECK(b.in_flight(1));
    }
    const uint64_t start = b.cycle();
    for (unsigned i = 0; i < 8; i++) b.push(s.next(0));
    while (b.ends.size() < 8) b.step();
    cycles[with] = b.cycle() - start;
    for (const End& e : b.ends) CHECK(e.status == kOk);
    if (with != 0) CHECK(b.in_flight(1));  // they are still on their way
    b.drain();
  }
  INFO("alone " << cycles[0] << ", beside the slow tier " << cycles[1]);
  CHECK(cycles[1] <= cycles[0] + cycles[0] / 50);
}

TEST_CASE("the limit of reads of each channel holds and is reached, and may change while reads are in flight",
          "[dma]") {
  Bench b(kvsink::test_seed());
  b.set_layout(hnd_fused(4, 2, kHeads));  // a burst or two a head
  random_bases(b, false);
  Profile p;
  p.layer_count = 8;
  p.heads = 0xb;
  p.planes = 0x3;
  for (unsigned i = 0; i < kProfiles; i++) b.set_profile(i, p);
  b.latency = b.slow = 400;
  Sender s(b);
  for (const unsigned limit : {5U, 2U, 9U}) {
    for (unsigned c = 0; c < kChannels; c++) b.set_limit(c, limit + 2 * c);
    for (unsigned i = 0; i < 2 * kChannels; i++) {
      Descriptor d = s.next(0);
      d.tier = i % kChannels;
      b.push(d);
    }
    b.drain();
    for (unsigned c = 0; c < kChannels; c++) {
      CHECK(b.most_in_flight(c) + 1 >= limit + 2 * c);
      b.forget_most(c);
    }
  }
  for (const End& e : b.ends) {
    CHECK(e.status == kOk);
    CHECK(e.stall_r > 0);
  }
  // Lowered with more reads in flight than that: no further one until they are below it.
  for (unsigned c = 0; c < kChannels; c++) b.set_limit(c, 0);
  for (unsigned i = 0; i < 4; i++) b.push(s.next(0));
  while (b.in_flight_count(0) < 12) b.step();
  const unsigned before = static_cast<unsigned>(b.in_flight_count(0));
  b.lower_limit(0, 3);
  for (unsigned i = 0; i < 6; i++) b.step();  // what was on its way to the bus
  const size_t most = b.in_flight_count(0);
  CHECK(most <= before + 8);
  while (b.in_flight_count(0) > 3) {
    b.step();
    REQUIRE(b.in_flight_count(0) <= most);
  }
  b.drain();
}

TEST_CASE("reads that the port gives up end their descriptors with a timeout, once, at any moment", "[dma]") {
  unsigned by_status[256] = {};
  for (unsigned when = 0; when < 120; when++) {
    Bench b(kvsink::test_seed() * 13 + when);
    b.set_layout(when % 2 == 0 ? nhd(4, 3, kHeads) : hnd_fused(4, 2, kHeads));
    random_bases(b, false);
    Profile p;
    p.layer_count = 3;
    p.heads = when % 3 == 0 ? 0x6 : 0xb;
    p.planes = 0x3;
    for (unsigned i = 0; i < kProfiles; i++) b.set_profile(i, p);
    Sender s(b);
    s.tiers = true;
    for (unsigned i = 0; i < 8; i++) b.push(s.next(0));
    b.latency = 1 + b.pick(20);
    b.slow = 1 + b.pick(60);
    const unsigned level = b.pick(2) * 25;
    b.stalls = {level, level, level, level, 0};
    for (unsigned i = 0; i < when; i++) b.step();
    b.lose_next(1 + when % kAllChannels);
    for (unsigned i = b.pick(30); i > 0; i--) b.step();
    b.lose_next(1 + b.pick(kAllChannels));
    b.drain();
    CHECK(b.ends.size() == 8);
    for (const End& e : b.ends) by_status[e.status]++;
  }
  CHECK(by_status[kOk] > 100);
  CHECK(by_status[kTimeout] > 100);
  CHECK(by_status[kOk] + by_status[kTimeout] == 120 * 8);
}

TEST_CASE("random descriptors, aborts, retires and bus errors keep every rule", "[dma]") {
  const uint64_t base_seed = kvsink::test_seed();
  unsigned by_status[256] = {};
  for (unsigned round = 0; round < 24; round++) {
    Bench b(base_seed * 1009 + round);
    const unsigned kind = b.pick(3);
    b.set_layout(kind == 0
                     ? nhd(4 + b.pick(4), 1 + b.pick(kRowBeatsMax), kHeads)
                     : (kind == 1 ? hnd_fused(4 + b.pick(4), 1 + b.pick(4), kHeads) : scaled(4 + b.pick(4), kHeads)));
    random_bases(b, b.pick(2) == 0);
    for (unsigned i = 0; i < kProfiles; i++) {
      Profile p = random_profile(b, kind == 1 ? 0x3 : 0x7, 3, 3);
      p.valid = b.pick(12) != 0;
      b.set_profile(i, p);
    }
    b.latency = 1 + b.pick(100);
    const unsigned level = b.pick(3) * 30;
    b.stalls = {level, level, level, level, level};
    b.slow = 1 + b.pick(300);
    Sender s(b);
    s.tiers = round % 2 == 1;
    std::deque<Descriptor> sent;
    unsigned pushed = 0;
    for (unsigned i = 0; i < 3000 && pushed < 60; i++) {
      if (b.live() + 1 < 6 && b.pick(8) == 0) {
        const unsigned profile = b.pick(kProfiles);
        Descriptor d = s.next(profile);
        if (b.pick(3) == 0) d.deadline = b.now() + b.pick(400);
        if (b.pick(4) == 0 && b.profile(profile).valid) {
          const auto plan = b.plan(d);
          b.errors.insert(plan[b.pick(static_cast<unsigned>(plan.size()))].addr);
        }
        b.push(d);
        sent.push_back(d);
        if (sent.size() > 6) sent.pop_front();
        pushed++;
        if (pushed % 4 == 0) {
          // Slots repeat only after all that used them have ended.
          const uint64_t limit = b.cycle() + 300 + b.pick(400);
          while (b.busy() && b.cycle() < limit) {
            if (b.pick(200) == 0) b.lose_next(1 + b.pick(kAllChannels));
            if (b.pick(60) == 0) b.abort_next(sent[b.pick(static_cast<unsigned>(sent.size()))].slot);
            if (b.pick(90) == 0) {
              const Descriptor& x = sent[b.pick(static_cast<unsigned>(sent.size()))];
              const unsigned span = b.pick(20);
              b.retire_next(b.pick(5) == 0, x.owner, x.position - std::min(x.position, span),
                            x.position + (x.position + span < kPositions ? span : 0));
            }
            b.step();
          }
          b.drain();
        }
      }
      b.step();
    }
    b.drain();
    CHECK(b.ends.size() == pushed);
    for (const End& e : b.ends) by_status[e.status]++;
  }
  // Every outcome took part.
  CHECK(by_status[kOk] > 50);
  CHECK(by_status[kAborted] > 20);
  CHECK(by_status[kBusError] > 20);
  CHECK(by_status[kTimeout] > 10);
  CHECK(by_status[kDeadline] > 5);
  CHECK(by_status[kBadProfile] > 5);
}

TEST_CASE("scattered rows of 256 bytes keep the bus busy across descriptors", "[dma]") {
  for (unsigned latency : {150u, 250u}) {
    Bench b(kvsink::test_seed() + latency);
    const unsigned row_beats = std::min(256 / kBeatBytes, kRowBeatsMax);
    b.set_layout(nhd(4, row_beats, kHeads));
    random_bases(b, true);
    Profile p;
    p.layer_count = std::min(20u, kLayers);
    p.heads = kHeads >= 8 ? 0xff : 0xf;
    p.planes = 0x3;
    for (unsigned i = 0; i < kProfiles; i++) b.set_profile(i, p);
    Sender s(b);
    b.latency = latency;
    const unsigned n = 8;
    for (unsigned i = 0; i < n; i++) b.push(s.next(0));
    b.drain();
    const uint64_t total = uint64_t{n} * b.slot_beats(p);
    CHECK(b.beats_back == total);
    REQUIRE(b.first_beat.has_value());
    const double utilisation = static_cast<double>(total) / static_cast<double>(b.last_beat - *b.first_beat + 1);
    INFO("latency " << latency << " utilisation " << utilisation);
    CHECK(utilisation >= 0.98);
  }
}

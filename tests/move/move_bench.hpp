// SPDX-License-Identifier: Apache-2.0
// The units that move memory (tb/move/movement_tb.sv) between a memory model and a requester of one beat a cycle a
// stream, with a scoreboard of its own: addresses from the formula of the design, rows in the stated order, slot
// contents through the sink stream. Used by `make bench-movement` and by the tests of it.
#pragma once

#include <VMovement.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "tb/common/axi_memory.hpp"
#include "tb/common/bits.hpp"
#include "tb/common/rng.hpp"
#include "tb/common/sim.hpp"

namespace kvsink::move {

using tb::AxiMemory;

inline constexpr uint32_t kBeatBytes = 32;
inline constexpr int kBulkId = 1;

struct Stride {
  uint64_t block = 0;
  uint64_t head = 0;
  uint64_t token = 0;
};
struct Plane {
  bool valid = false;
  unsigned tensor = 0;
  unsigned set = 0;
  uint64_t offset = 0;
  unsigned beats = 1;
  unsigned share = 0;  // log2 of the tokens that share a row
};
struct Layout {
  unsigned page_log2 = 4;
  unsigned layers = 1;
  unsigned heads = 8;
  std::array<Stride, 4> stride{};
  std::array<Plane, 8> plane{};
  uint64_t one_block = 0;  // not 0: bytes from a tensor of a layer to the next, within a block
};

/// Pages with tokens outside heads (heads of a token lie together), K and V in two tensors.
Layout inline nhd(unsigned page_log2, unsigned layers, unsigned heads, unsigned row_beats) {
  Layout l{page_log2, layers, heads, {}, {}, 0};
  const uint64_t row = uint64_t{row_beats} * kBeatBytes;
  l.stride[0] = {row * heads << page_log2, row, row * heads};
  for (unsigned p = 0; p < 2; ++p) l.plane[p] = {true, p, 0, 0, row_beats, 0};
  return l;
}
/// All layers and both tensors of a page in one block; tokens outside heads.
Layout inline in_one_block(unsigned page_log2, unsigned layers, unsigned heads, unsigned row_beats) {
  Layout l = nhd(page_log2, layers, heads, row_beats);
  l.one_block = l.stride[0].block;
  l.stride[0].block *= uint64_t{2} * layers;
  return l;
}
/// Pages with heads outside tokens (tokens of a head lie together), K and V in two tensors.
Layout inline hnd(unsigned page_log2, unsigned layers, unsigned heads, unsigned row_beats) {
  Layout l = nhd(page_log2, layers, heads, row_beats);
  const uint64_t row = uint64_t{row_beats} * kBeatBytes;
  l.stride[0] = {row * heads << page_log2, row << page_log2, row};
  return l;
}

struct Profile {
  unsigned layer_first = 0;
  unsigned layers = 1;
  uint64_t heads = 1;
  unsigned planes = 3;
  unsigned slot_first = 0;
  unsigned slots = 1;
  unsigned sram_base = 0;
};

struct Request {
  unsigned owner = 0;
  unsigned layer = 0;
  unsigned head = 0;
  unsigned planes = 3;
  unsigned first = 0;
  unsigned count = 0;
  bool bulk_only = false;
};

struct Descriptor {
  unsigned slot = 0;
  unsigned profile = 0;
  unsigned owner = 0;
  unsigned position = 0;
  unsigned tier = 0;
  uint64_t deadline = 0;
};

struct End {
  unsigned slot = 0;
  unsigned status = 0;
  uint32_t bytes = 0;
  uint32_t cycles = 0;
  uint32_t stall_ar = 0;
  uint32_t stall_r = 0;
};

class Bench {
 public:
  explicit Bench(const AxiMemory::Config& config, uint64_t seed = tb::seed_from_env())
      : rng(seed), sim(seed), memory(with_bus(config)) {
    sim->cfg_we_i = sim->base_we_i = sim->own_we_i = sim->retire_valid_i = sim->fence_i = 0;
    sim->cmd_valid_i = sim->desc_valid_i = sim->abort_valid_i = sim->req_valid_i = 0;
    sim->sink_ready_i = sim->bulk_ready_i = 0;
    sim->m_axi_arready_i = sim->m_axi_rvalid_i = 0;
    sim.reset();
  }

  // -------------------------------------------------------------------------------------------------- configuration
  void config(unsigned addr, uint64_t data) {
    sim->cfg_we_i = 1;
    sim->cfg_addr_i = static_cast<uint16_t>(addr);
    sim->cfg_data_i = data;
    tick();
    sim->cfg_we_i = 0;
  }
  void set_floor(unsigned floor) { config(3, floor); }
  void set_timeout(unsigned cycles) { config(4, cycles); }

  static constexpr uint64_t kTokens = uint64_t{1} << 40;  // where the blocks of in_one_block begin

  /// The layout; every tensor of every layer lies at a place of its own.
  void set_layout(const Layout& l) {
    layout = l;
    config(0, l.page_log2);
    config(1, 24);
    config(2, l.layers);
    for (unsigned s = 0; s < 4; ++s) {
      config(16 + 4 * s, l.stride[s].block);
      config(17 + 4 * s, l.stride[s].head);
      config(18 + 4 * s, l.stride[s].token);
    }
    for (unsigned p = 0; p < 8; ++p) {
      const Plane& q = l.plane[p];
      config(32 + p, q.offset | uint64_t{q.beats} << 32 | uint64_t{q.tensor} << 48 | uint64_t{q.set} << 50 |
                         uint64_t{q.share} << 52 | uint64_t{q.valid} << 55);
    }
    for (unsigned layer = 0; layer < l.layers; ++layer) {
      for (unsigned t = 0; t < 4; ++t) {
        set_base(layer, t,
                 l.one_block != 0 ? kTokens + (uint64_t{layer} * 2 + t) * l.one_block
                                  : (uint64_t{layer} * 4 + t + 1) * 0x1'0000'0000ULL);
      }
    }
  }
  void set_base(unsigned layer, unsigned tensor, uint64_t addr) {
    bases_[{layer, tensor}] = addr;
    sim->base_we_i = 1;
    sim->base_layer_i = layer;
    sim->base_tensor_i = static_cast<uint8_t>(tensor);
    sim->base_wdata_i = addr;
    tick();
    sim->base_we_i = 0;
  }

  /// An owner of `length` tokens in blocks at random places among `among` from `first_block` on.
  void set_owner(unsigned owner, unsigned length, unsigned first_block = 1, unsigned among = 50000) {
    const uint64_t table = 0x1000'0000ULL + uint64_t{owner} * 0x10'0000;
    const unsigned blocks = (length + (1U << layout.page_log2) - 1) >> layout.page_log2;
    lengths_[owner] = length;
    auto& words = tables_[owner];
    words.clear();
    for (unsigned b = 0; b < blocks; ++b) {
      words.push_back(static_cast<uint32_t>(first_block + rng.below(among)));
      memory.write32(table + 4ULL * b, words.back());
    }
    sim->own_we_i = 1;
    sim->own_i = static_cast<uint16_t>(owner);
    sim->own_valid_i = 1;
    sim->own_table_i = table;
    sim->own_length_i = length;
    tick();
    sim->own_we_i = 0;
  }

  /// The owner's context becomes invalid: its requests are answered with error-flagged rows.
  void clear_owner(unsigned owner) {
    lengths_[owner] = 0;
    sim->own_we_i = 1;
    sim->own_i = static_cast<uint16_t>(owner);
    sim->own_valid_i = 0;
    tick();
    sim->own_we_i = 0;
  }
  /// The table word of a page gets its unmapped bit, or loses it. Nobody may hold the word: retire before unmapping.
  void unmap(unsigned owner, unsigned page, bool on = true) {
    const uint32_t word = tables_.at(owner).at(page);
    memory.write32(0x1000'0000ULL + uint64_t{owner} * 0x10'0000 + 4ULL * page, on ? word | 0x8000'0000U : word);
    if (on) {
      unmapped_.insert({owner, page});
    } else {
      unmapped_.erase({owner, page});
    }
  }

  void set_profile(unsigned index, const Profile& p) {
    profiles_[index] = p;
    unsigned head_beats = 0;
    for (unsigned q = 0; q < 8; ++q) {
      config(192 + 8 * index + q, head_beats);
      if ((p.planes >> q & 1) != 0) head_beats += layout.plane[q].beats;
    }
    const auto heads = static_cast<unsigned>(__builtin_popcountll(p.heads));
    const unsigned at = 64 + 16 * index;
    config(at + 1, p.layer_first);
    config(at + 2, p.layers);
    config(at + 3, p.heads);
    config(at + 4, p.planes);
    config(at + 5, uint64_t{heads} * head_beats);
    config(at + 6, head_beats);
    config(at + 7, p.slot_first);
    config(at + 8, p.slots);
    config(at + 9, p.sram_base);
    config(at + 10, uint64_t{heads} * head_beats * p.layers);
    config(at, 1);
    for (int i = 0; i < 16; ++i) tick();  // promotion_dma looks at layout and profiles in turn
  }
  [[nodiscard]] unsigned slot_beats(unsigned profile) const {
    const Profile& p = profiles_.at(profile);
    unsigned head_beats = 0;
    for (unsigned q = 0; q < 8; ++q) head_beats += (p.planes >> q & 1) != 0 ? layout.plane[q].beats : 0;
    return head_beats * static_cast<unsigned>(__builtin_popcountll(p.heads)) * p.layers;
  }

  // ------------------------------------------------------------------------------------------------------- addresses
  [[nodiscard]] uint32_t word(unsigned owner, unsigned position) const {
    return tables_.at(owner).at(position >> layout.page_log2);
  }
  [[nodiscard]] uint64_t address(unsigned owner, unsigned layer, unsigned head, unsigned plane,
                                 unsigned position) const {
    if (place) return place(layer, head, plane, word(owner, position), position % (1U << layout.page_log2));
    const Plane& p = layout.plane[plane];
    const Stride& s = layout.stride[p.set];
    return bases_.at({layer, p.tensor}) + word(owner, position) * s.block + head * s.head +
           (position % (1U << layout.page_log2) >> p.share) * s.token + p.offset;
  }

  // ----------------------------------------------------------------------------------------------- promotion, by hand
  void push(const Descriptor& d) { descriptors.push_back(d); }
  /// The tag array learns that the token of a completed descriptor is resident.
  void install(const Descriptor& d) {
    command(0, d, 0);
    command(1, d, 0);
    command(2, d, 0xffff);
    resident_.insert({d.owner, d.position});
  }
  /// A retire of an owner's positions, or with `all` of everything: nothing of them is resident any more.
  void retire(unsigned owner, unsigned first, unsigned last, bool all = false) {
    sim->retire_valid_i = 1;
    sim->retire_all_i = all;
    sim->retire_owner_i = static_cast<uint16_t>(owner);
    sim->retire_first_i = first;
    sim->retire_last_i = last;
    std::erase_if(resident_,
                  [&](const auto& r) { return all || (r.first == owner && first <= r.second && r.second <= last); });
    tick();
    sim->retire_valid_i = sim->retire_all_i = 0;
  }

  void send(const Request& r) { requests.push_back(r); }

  // ------------------------------------------------------------------------------------------------------ one cycle
  void tick() {
    auto& dut = *sim;
    const bool offer = !requests.empty() && !hold_requests;
    dut.req_valid_i = offer;
    if (offer) {
      const Request& r = requests.front();
      dut.req_id_i = next_id_;
      dut.req_owner_i = static_cast<uint16_t>(r.owner);
      dut.req_layer_i = static_cast<uint16_t>(r.layer);
      dut.req_head_i = static_cast<uint16_t>(r.head);
      dut.req_planes_i = static_cast<uint8_t>(r.planes);
      dut.req_first_i = r.first;
      dut.req_count_i = r.count;
      dut.req_bulk_only_i = r.bulk_only;
    }
    dut.desc_valid_i = !descriptors.empty();
    if (!descriptors.empty()) {
      const Descriptor& d = descriptors.front();
      const Profile& p = profiles_.at(d.profile);
      dut.desc_slot_i = static_cast<uint16_t>(d.slot);
      dut.desc_profile_i = static_cast<uint8_t>(d.profile);
      dut.desc_owner_i = static_cast<uint16_t>(d.owner);
      dut.desc_position_i = d.position;
      dut.desc_word_i = word(d.owner, d.position);
      dut.desc_sram_base_i = p.sram_base + (d.slot - p.slot_first) * slot_beats(d.profile);
      dut.desc_tier_i = static_cast<uint8_t>(d.tier);
      dut.desc_deadline_i = d.deadline;
    }
    dut.sink_ready_i = !sink_stall.now();
    dut.bulk_ready_i = !bulk_stall.now();
    dut.m_axi_arready_i = memory.arready();
    const AxiMemory::R& r = memory.r();
    dut.m_axi_rvalid_i = r.valid;
    dut.m_axi_rid_i = r.id;
    dut.m_axi_rresp_i = r.resp;
    dut.m_axi_rlast_i = r.last;
    tb::set_words(dut.m_axi_rdata_i, std::span(r.data).first(kBeatBytes / 4));
    sim.settle();

    const uint64_t now = sim.cycle();
    if (dut.m_axi_arvalid_o != 0) {
      if (!ar_shown_) first_ar.push_back(now);
      ar_shown_ = dut.m_axi_arready_i == 0;
      if (!ar_shown_) ++bursts;
    }
    if (dut.m_axi_rvalid_i != 0) {
      if (r.id == 0) {
        ++table_beats;
      } else {
        useful.push_back(now);
        if (r.id == kBulkId) ++bulk_beats;
      }
    }
    if (dut.m_axi_arvalid_o != 0 && dut.m_axi_arready_i != 0) {
      reads.push_back({dut.m_axi_araddr_o, dut.m_axi_arlen_o + 1U});
      if (reads.size() == 1) first_read = memory.cycle();
    }
    if (dut.m_axi_rvalid_i != 0) last_beat = memory.cycle();
    memory.tick({dut.m_axi_arvalid_o != 0, dut.m_axi_arid_o, dut.m_axi_araddr_o, dut.m_axi_arlen_o, dut.m_axi_arsize_o,
                 dut.m_axi_arburst_o},
                dut.m_axi_rready_o != 0);
    if (offer && dut.req_ready_o != 0) {
      expect(requests.front());
      requests.pop_front();
    }
    if (!descriptors.empty() && dut.desc_ready_o != 0) {
      accepted.push_back(now);
      descriptors.pop_front();
      ++flying;
    }
    if (dut.progress_valid_o != 0) watermark[dut.progress_slot_o] = dut.progress_watermark_o;
    if (dut.end_valid_o != 0) {
      if (dut.end_status_o == 0) watermark[dut.end_slot_o] = ~0U;
      ends.push_back(
          {dut.end_slot_o, dut.end_status_o, dut.end_bytes_o, dut.end_cycles_o, dut.end_stall_ar_o, dut.end_stall_r_o});
      --flying;
    }
    if (dut.sink_valid_o != 0 && dut.sink_ready_i != 0) {
      row(0, {dut.sink_is_end_o != 0, dut.sink_id_o, dut.sink_plane_o, dut.sink_position_o, dut.sink_error_o != 0,
              dut.sink_last_o != 0, tb::to_bytes(dut.sink_data_o, kBeatBytes)});
    }
    if (dut.bulk_valid_o != 0 && dut.bulk_ready_i != 0) {
      row(1, {dut.bulk_is_end_o != 0, dut.bulk_id_o, dut.bulk_plane_o, dut.bulk_position_o, dut.bulk_error_o != 0,
              dut.bulk_last_o != 0, tb::to_bytes(dut.bulk_data_o, kBeatBytes)});
    }
    dropped_beats += dut.count_dropped_o;
    stray_beats += dut.count_stray_o;
    sim.edge();
  }
  [[nodiscard]] bool reading() const { return !requests.empty() || !pending_.empty(); }
  [[nodiscard]] bool promoting() const { return !descriptors.empty() || flying != 0; }
  void drain(uint64_t limit = 4'000'000) {
    sim.run_until([&] { tick(); }, [&] { return !reading() && !promoting() && memory.idle(); }, limit, "the movement");
    for (int i = 0; i < 8; ++i) tick();
  }
  void clear_counts() {
    useful.clear();
    delivered.clear();
    first_ar.clear();
    accepted.clear();
    ends.clear();
    reads.clear();
    table_beats = bulk_beats = dropped_beats = bursts = 0;
  }

  tb::Rng rng;
  tb::Sim<VMovement> sim;
  AxiMemory memory;
  Layout layout;
  /// Where a row lies, when it is not worked out from the settings of the layout: layer, head, plane, block, token of
  /// it.
  std::function<uint64_t(unsigned, unsigned, unsigned, uint32_t, unsigned)> place;
  std::deque<Request> requests;
  std::deque<Descriptor> descriptors;
  bool hold_requests = false;
  tb::Stall sink_stall{tb::Rng(1), 0}, bulk_stall{tb::Rng(2), 0};
  std::vector<uint64_t> useful;     // cycle of each beat on R that carries a row
  std::vector<uint64_t> delivered;  // cycle of each beat taken from the two streams
  std::vector<uint64_t> first_ar;   // cycle in which each address was first shown
  std::vector<uint64_t> accepted;   // cycle in which each descriptor was taken
  std::vector<End> ends;
  std::vector<tb::DramRead> reads;  // every address taken, table reads too
  uint64_t first_read = 0, last_beat = 0;
  std::map<unsigned, unsigned> watermark;  // of each slot: layers below it are readable
  uint64_t table_beats = 0, bulk_beats = 0, dropped_beats = 0, stray_beats = 0, bursts = 0;
  uint64_t rows_checked = 0, errors_seen = 0, flying = 0;
  uint64_t sink_rows = 0;       // of rows_checked
  uint64_t must_failed = 0;     // rows that had to be error-flagged and were
  bool errors_allowed = false;  // error-flagged rows are counted, not complained of
  std::vector<std::string> wrong;

 private:
  struct Beat {
    bool is_end;
    unsigned id, plane, position;
    bool error, last;
    std::vector<uint8_t> data;
  };
  struct Row {
    unsigned plane, position;
    uint64_t address;
    bool fails;  // must come error-flagged
  };
  struct Pending {
    unsigned id;
    std::array<std::deque<Row>, 2> rows;
    std::array<unsigned, 2> count{};
    std::array<unsigned, 2> beat{};
    std::array<bool, 2> ended{};
  };

  static AxiMemory::Config with_bus(AxiMemory::Config config) {
    config.beat_bytes = kBeatBytes;
    config.fill = AxiMemory::Fill::kHash;
    config.expect_rready = true;
    return config;
  }

  void command(unsigned op, const Descriptor& d, unsigned watermark) {
    sim->cmd_valid_i = 1;
    sim->cmd_op_i = static_cast<uint8_t>(op);
    sim->cmd_owner_i = static_cast<uint16_t>(d.owner);
    sim->cmd_position_i = d.position;
    sim->cmd_entry_i = ack_entry_;
    sim->cmd_slot_i = static_cast<uint16_t>(d.slot);
    sim->cmd_profile_i = static_cast<uint8_t>(d.profile);
    sim->cmd_word_i = word(d.owner, d.position);
    sim->cmd_watermark_i = static_cast<uint16_t>(watermark);
    for (bool taken = false; !taken;) {
      sim.settle();
      taken = sim->cmd_ready_o != 0;
      tick();
    }
    sim->cmd_valid_i = 0;
    for (sim.settle(); sim->ack_valid_o == 0; sim.settle()) tick();
    if (sim->ack_status_o != 0) complain("tag command " + std::to_string(op) + " was refused");
    ack_entry_ = sim->ack_entry_o;
    tick();
  }

  void expect(const Request& r) {
    Pending p{next_id_++, {}, {}, {}, {}};
    const unsigned page = 1U << layout.page_log2;
    const bool beyond = r.first + r.count > lengths_.at(r.owner);  // or of no owner: the request as a whole
    std::vector<std::vector<unsigned>> pages;                      // positions asked for, page by page
    for (unsigned i = r.first; i < r.first + r.count; ++i) {
      if (pages.empty() || i % page == 0) pages.emplace_back();
      pages.back().push_back(i);
    }
    for (int stream = 0; stream < 2; ++stream) {
      for (const auto& tokens : pages) {
        for (unsigned q = 0; q < 8; ++q) {
          if ((r.planes >> q & 1) == 0) continue;
          for (const unsigned t : tokens) {
            const bool sink = !r.bulk_only && !beyond && resident_.contains({r.owner, t});
            if (sink != (stream == 0)) continue;
            // Tokens that share a row: under the first of them that comes.
            const unsigned group = t >> layout.plane[q].share;
            if (p.rows[stream].empty() || p.rows[stream].back().plane != q || layout.plane[q].share == 0 ||
                p.rows[stream].back().position >> layout.plane[q].share != group) {
              const bool fails = beyond || (!sink && unmapped_.contains({r.owner, t >> layout.page_log2}));
              p.rows[stream].push_back({q, t, fails ? 0 : address(r.owner, r.layer, r.head, q, t), fails});
            }
          }
        }
      }
      if (stream == 0) std::reverse(pages.begin(), pages.end());
    }
    pending_.push_back(std::move(p));
  }

  void row(int stream, const Beat& b) {
    auto at = std::find_if(pending_.begin(), pending_.end(), [&](const Pending& p) { return !p.ended[stream]; });
    if (at == pending_.end()) return complain("a beat that nobody asked for");
    Pending& p = *at;
    if (b.id != p.id) complain("a beat of another request");
    if (b.is_end) {
      uint32_t count = 0;
      std::memcpy(&count, b.data.data(), 4);
      if (!p.rows[stream].empty() || count != p.count[stream]) complain("an end marker with rows missing");
      p.ended[stream] = true;
      while (!pending_.empty() && pending_.front().ended[0] && pending_.front().ended[1]) pending_.pop_front();
      return;
    }
    delivered.push_back(sim.cycle());
    if (p.rows[stream].empty()) return complain("a row too many");
    const Row& want = p.rows[stream].front();
    if (b.plane != want.plane || b.position != want.position) complain("a row out of order");
    if (want.fails) {
      if (!b.error) complain("a row that cannot be read came without its error flag");
      ++must_failed;
    } else if (b.error) {
      ++errors_seen;
      if (!errors_allowed) complain("an error-flagged row");
    } else {
      std::vector<uint8_t> data(kBeatBytes);
      memory.read(want.address + uint64_t{p.beat[stream]} * kBeatBytes, data);
      if (data != b.data) complain("wrong data");
    }
    ++p.beat[stream];
    if (b.last != (p.beat[stream] == layout.plane[b.plane].beats)) complain("wrong last");
    if (b.last) {
      p.rows[stream].pop_front();
      p.beat[stream] = 0;
      ++p.count[stream];
      ++rows_checked;
      if (stream == 0) ++sink_rows;
    }
  }

  void complain(const std::string& what) {
    if (wrong.size() < 10) wrong.push_back("cycle " + std::to_string(sim.cycle()) + ": " + what);
  }

  std::map<std::pair<unsigned, unsigned>, uint64_t> bases_;
  std::map<unsigned, std::vector<uint32_t>> tables_;
  std::map<unsigned, unsigned> lengths_;
  std::set<std::pair<unsigned, unsigned>> unmapped_;  // owner, page
  std::map<unsigned, Profile> profiles_;
  std::set<std::pair<unsigned, unsigned>> resident_;
  std::deque<Pending> pending_;
  uint8_t next_id_ = 0;
  uint16_t ack_entry_ = 0;
  bool ar_shown_ = false;
};

/// Events a cycle in steady state: the middle half of them.
inline double steady(const std::vector<uint64_t>& at) {
  if (at.size() < 8) return 0;
  const size_t from = at.size() / 4;
  const size_t to = at.size() * 3 / 4;
  return static_cast<double>(to - from) / static_cast<double>(at[to] - at[from]);
}

}  // namespace kvsink::move

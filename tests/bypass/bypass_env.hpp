// SPDX-License-Identifier: Apache-2.0
// What stands around the mux in its tests: walker, memory, controller and consumer, and what each request must bring.
//
// Expected rows come from the design's rules alone: which tokens are resident (as the bench installed them), the
// layout, the block table, the lengths. A row's data are a hash of its addresses, so SRAM and memory hold the same.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <set>
#include <stdexcept>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "support/catch.hpp"
#include "tb/common/bits.hpp"
#include "tb/common/rng.hpp"
#include "tb/common/sim.hpp"

namespace kvsink::bypass_test {

using tb::mix64;
using tb::Rng;
using tb::Stall;

enum Status : unsigned {
  Ok = 0x00,
  BadOwner = 0x05,
  BadRange = 0x06,
  Unmapped = 0x0c,
  BusError = 0x0e,
  Retired = 0x17,
  Stale = 0x18
};

struct Plane {
  bool valid = false;
  unsigned tensor = 0, set = 0, offset = 0, beats = 1, share = 0;
};
struct Stride {
  uint64_t block = 0;
  uint32_t head = 0, token = 0;
};
struct Layout {
  unsigned page_log2 = 4, block_bits = 24, layers = 1;
  std::array<Stride, 4> stride{};
  std::array<Plane, 8> plane{};
};
struct Profile {
  bool valid = false;
  unsigned layer_first = 0, layer_count = 1;
  uint64_t heads = 1;
  unsigned planes = 1, slot_first = 0, slot_count = 0, base = 0;
  unsigned slot_beats = 0, layer_beats = 0, head_beats = 0;
  std::array<unsigned, 8> plane_beat{};
};
struct Owner {
  bool valid = false;
  unsigned length = 0, committed = 0;
  bool prefix_valid = false;
  unsigned prefix = 0, prefix_len = 0;
  std::map<unsigned, uint32_t> table;  // logical block -> word; none: unmapped
};
struct Resident {
  unsigned slot, profile, watermark, entry;
};
using Place = std::pair<unsigned, unsigned>;  // effective owner, position

struct Request {
  unsigned id = 0, owner = 0, layer = 0, head = 0, planes = 1;
  bool by_granule = false;
  unsigned first = 0, count = 0, mask = 0;
  bool keep = false, follow = false;
  unsigned follow_id = 0;
  bool bulk_only = false;
};

struct Row {
  unsigned plane, position, beats;
  uint64_t address;
  bool sink = false;          // which path, unless `either`
  bool either = false;        // both are right (a retire is under way)
  unsigned cause = Ok;        // error-flagged, and why
  bool may_retire = false;    // may come error-flagged
  bool must_retire = false;   // has to: its address was not out
  bool must_deliver = false;  // its address was out before the retire
  bool done = false;
};
using RowKey = std::pair<unsigned, unsigned>;  // plane, position

struct Pending {
  Request request;
  std::map<RowKey, Row> rows;
  bool keep_failed = false;
  std::set<uint64_t> unread;  // beats of bulk rows whose read was not yet taken (when reads are tracked)
  std::array<bool, 2> ended{};
  std::array<unsigned, 2> count{};                                               // rows per stream
  std::array<std::optional<std::tuple<int64_t, unsigned, unsigned>>, 2> last{};  // order key of the last row
  std::optional<std::pair<unsigned, unsigned>> first_error;                      // position, cause
};

template <class V>
class Env {
 public:
  static constexpr size_t kWords = sizeof(V::bulk_data_o) / 4;
  using Beat = std::array<uint32_t, kWords>;

  explicit Env(uint64_t seed) : rng(seed), sim(rng.next()) {
    idle();
    clear_config();
    sim.reset();
    sim.settle();
    entries = sim->cfg_entries_o;
    profile_count = sim->cfg_profiles_o;
    owner_count = sim->cfg_owners_o;
    positions = sim->cfg_positions_o;
    slots = sim->cfg_slots_o;
    layers = sim->cfg_layers_o;
    heads = sim->cfg_heads_o;
    readers = sim->cfg_readers_o;
    beat_bytes = sim->cfg_beat_bytes_o;
    sram_beats = sim->cfg_sram_beats_o;
    row_beats_max = sim->cfg_row_beats_o;
    bulk_beats = sim->cfg_bulk_beats_o;
    profiles.resize(profile_count);
    owners.resize(owner_count);
  }

  // ---------------------------------------------------------------------------------------------- configuration
  void set_layout(const Layout& l) {
    layout = l;
    sim->page_log2_i = static_cast<uint8_t>(l.page_log2);
    sim->block_bits_i = static_cast<uint8_t>(l.block_bits);
    sim->layers_i = l.layers;
    for (unsigned s = 0; s < 4; ++s) {
      sim->stride_block_i[s] = l.stride[s].block;
      sim->stride_head_i[s] = l.stride[s].head;
      sim->stride_token_i[s] = l.stride[s].token;
    }
    for (unsigned p = 0; p < 8; ++p) {
      sim->plane_valid_i[p] = l.plane[p].valid;
      sim->plane_tensor_i[p] = static_cast<uint8_t>(l.plane[p].tensor);
      sim->plane_set_i[p] = static_cast<uint8_t>(l.plane[p].set);
      sim->plane_offset_i[p] = l.plane[p].offset;
      sim->plane_beats_i[p] = l.plane[p].beats;
      sim->plane_share_i[p] = static_cast<uint8_t>(l.plane[p].share);
    }
  }
  void set_base(unsigned layer, unsigned tensor, uint64_t base) {
    bases[{layer, tensor}] = base;
    sim->base_we_i = 1;
    sim->base_layer_i = layer;
    sim->base_tensor_i = static_cast<uint8_t>(tensor);
    sim->base_wdata_i = base;
    tick();
    sim->base_we_i = 0;
  }
  void set_profile(unsigned index, Profile p) {
    p.head_beats = 0;
    for (unsigned q = 0; q < 8; ++q) {
      p.plane_beat[q] = p.head_beats;
      if (((p.planes >> q) & 1) != 0) p.head_beats += layout.plane[q].beats;
    }
    p.layer_beats = p.head_beats * static_cast<unsigned>(__builtin_popcountll(p.heads));
    p.slot_beats = p.layer_beats * p.layer_count;
    profiles[index] = p;
    sim->prof_valid_i[index] = p.valid;
    sim->prof_layer_first_i[index] = p.layer_first;
    sim->prof_layer_count_i[index] = p.layer_count;
    sim->prof_heads_i[index] = p.heads;
    sim->prof_planes_i[index] = static_cast<uint8_t>(p.planes);
    sim->prof_slot_first_i[index] = p.slot_first;
    sim->prof_base_i[index] = p.base;
    sim->prof_slot_beats_i[index] = p.slot_beats;
    sim->prof_layer_beats_i[index] = p.layer_beats;
    sim->prof_head_beats_i[index] = p.head_beats;
    for (unsigned q = 0; q < 8; ++q) sim->prof_plane_beat_i[index * 8 + q] = p.plane_beat[q];
  }
  void set_owner(unsigned index, const Owner& o) {
    owners[index] = o;
    sim->own_we_i = 1;
    sim->own_i = index;
    sim->own_valid_i = o.valid;
    sim->own_length_i = o.length;
    sim->own_committed_i = o.committed;
    sim->own_prefix_valid_i = o.prefix_valid;
    sim->own_prefix_i = o.prefix;
    sim->own_prefix_len_i = o.prefix_len;
    tick();
    sim->own_we_i = 0;
  }

  /// A layout with `planes` planes of these row sizes, pages of tokens outside heads or heads outside tokens, and
  /// bases.
  void plain_layout(const std::vector<std::pair<unsigned, unsigned>>& planes, unsigned page_log2, bool heads_outside,
                    unsigned layer_count, bool fused = false) {
    Layout l;
    l.page_log2 = page_log2;
    l.block_bits = 20;
    l.layers = layer_count;
    unsigned row_sum = 0;
    for (const auto& p : planes) row_sum += p.second;
    unsigned used = 0, offset = 0;
    const unsigned page = 1U << page_log2;
    for (const auto& [index, beats] : planes) {
      const unsigned row = (fused ? row_sum : beats) * beat_bytes;
      const unsigned set = fused ? 0 : used;
      l.stride[set].token = heads_outside ? row : row * heads;
      l.stride[set].head = heads_outside ? row * page : row;
      l.stride[set].block = static_cast<uint64_t>(row) * page * heads;
      l.plane[index] = {true, set, set, fused ? offset : 0, beats, 0};
      offset += beats * beat_bytes;
      ++used;
    }
    set_layout(l);
    for (unsigned i = 0; i < layer_count; ++i) {
      for (unsigned t = 0; t < 4; ++t) {
        set_base(i, t, (static_cast<uint64_t>(i * 4 + t) << 36) + rng.below(1000) * beat_bytes);
      }
    }
  }
  uint32_t fresh_word() {
    // A generation above the block number, which the address must not contain.
    const auto block = static_cast<uint32_t>(next_block++);
    return static_cast<uint32_t>(rng.below(1U << 10)) << layout.block_bits |
           (block * 37 & ((1U << layout.block_bits) - 1));
  }
  void map_all(unsigned owner) {
    const unsigned page = 1U << layout.page_log2;
    Owner& o = owners[owner];
    for (unsigned b = 0; b * page < o.length; ++b) o.table[b] = fresh_word();
  }

  // ---------------------------------------------------------------------------------------------- addresses and data
  unsigned effective(unsigned owner, unsigned position) const {
    const Owner& o = owners[owner];
    return o.prefix_valid && position < o.prefix_len ? o.prefix : owner;
  }
  std::optional<uint32_t> word_of(unsigned eff, unsigned position) const {
    const auto& t = owners[eff].table;
    const auto at = t.find(position >> layout.page_log2);
    if (at == t.end()) return std::nullopt;
    return at->second;
  }
  uint64_t address(unsigned word, unsigned layer, unsigned head, unsigned plane, unsigned position) const {
    const Plane& p = layout.plane[plane];
    const Stride& s = layout.stride[p.set];
    const uint64_t block = word & ((1ULL << layout.block_bits) - 1);
    const uint64_t token = position & ((1U << layout.page_log2) - 1);
    const auto base = bases.find({layer, p.tensor});
    return ((base == bases.end() ? 0 : base->second) + block * s.block + static_cast<uint64_t>(head) * s.head +
            (token >> p.share) * s.token + p.offset) &
           ((uint64_t{1} << 48) - 1);
  }
  Beat beat_at(uint64_t addr, bool poison = false) const {
    Beat b{};
    for (size_t i = 0; i < kWords; ++i) b[i] = static_cast<uint32_t>(mix64(addr + (i << 52) + (poison ? 1 : 0)));
    return b;
  }
  bool fails(uint64_t addr) const { return error_one_in != 0 && mix64(addr ^ 0x5555) % error_one_in == 0; }

  // ---------------------------------------------------------------------------------------------- residency
  void command(unsigned op, unsigned owner, unsigned granule, unsigned token, unsigned entry, unsigned slot,
               unsigned profile, unsigned word, unsigned watermark) {
    sim->cmd_valid_i = 1;
    sim->cmd_op_i = static_cast<uint8_t>(op);
    sim->cmd_owner_i = owner;
    sim->cmd_granule_i = granule;
    sim->cmd_token_i = static_cast<uint8_t>(token);
    sim->cmd_entry_i = entry;
    sim->cmd_slot_i = slot;
    sim->cmd_profile_i = profile;
    sim->cmd_word_i = word;
    sim->cmd_watermark_i = watermark;
    for (bool taken = false; !taken;) {
      sim.settle();
      taken = sim->cmd_ready_o;
      tick();
    }
    sim->cmd_valid_i = 0;
    tick();
    sim.settle();
    REQUIRE(sim->ack_valid_o);
    REQUIRE(sim->ack_status_o == Ok);
    ack_entry = sim->ack_entry_o;
    tick();
  }
  /// Puts a token's rows into a slot and lets lookups hit it below `watermark`.
  void promote(unsigned owner, unsigned position, unsigned slot, unsigned profile, unsigned watermark = ~0U) {
    const Profile& p = profiles[profile];
    const auto word = word_of(owner, position);
    REQUIRE(word.has_value());
    command(0, owner, position / 16, position % 16, 0, slot, profile, 0, 0);
    const unsigned entry = ack_entry;
    command(1, owner, position / 16, position % 16, entry, slot, profile, *word, 0);
    unsigned at = p.base + (slot - p.slot_first) * p.slot_beats;
    for (unsigned l = p.layer_first; l < p.layer_first + p.layer_count; ++l) {
      for (unsigned h = 0; h < heads; ++h) {
        if (((p.heads >> h) & 1) == 0) continue;
        for (unsigned q = 0; q < 8; ++q) {
          if (((p.planes >> q) & 1) == 0) continue;
          const uint64_t a = address(*word, l, h, q, position);
          for (unsigned b = 0; b < layout.plane[q].beats; ++b) {
            sim->sram_wr_valid_i = 1;
            sim->sram_wr_addr_i = at++;
            tb::set_words(sim->sram_wr_data_i, std::span<const uint32_t>(beat_at(a + uint64_t{b} * beat_bytes)));
            tick();
          }
        }
      }
    }
    sim->sram_wr_valid_i = 0;
    command(2, owner, position / 16, position % 16, entry, slot, profile, 0, watermark);
    residents[{owner, position}] = {slot, profile, watermark, entry};
  }
  void remove(unsigned owner, unsigned position) {
    const Resident r = residents.at({owner, position});
    command(3, owner, position / 16, position % 16, r.entry, r.slot, r.profile, 0, 0);
    residents.erase({owner, position});
  }
  void end_keeping(unsigned owner, bool all) {
    sim->keep_end_valid_i = 1;
    sim->keep_end_owner_i = owner;
    sim->keep_end_all_i = all;
    std::erase_if(kept, [&](const Kept& k) { return all || k.request.owner == owner; });
    tick();
    sim->keep_end_valid_i = 0;
  }

  // ---------------------------------------------------------------------------------------------- requests
  void send(const Request& r) { queue.push_back(r); }

  /// All tokens a request names, ascending. Positions may lie beyond anything.
  static std::vector<uint64_t> tokens_of(const Request& r) {
    std::vector<uint64_t> t;
    if (r.by_granule) {
      for (unsigned i = 0; i < 16; ++i) {
        if (((r.mask >> i) & 1) != 0) t.push_back(r.first / 16 * 16 + i);
      }
    } else {
      for (uint64_t i = 0; i < r.count; ++i) t.push_back(r.first + i);
    }
    return t;
  }
  bool usable(unsigned plane) const { return layout.plane[plane].valid && layout.plane[plane].beats != 0; }

  /// What a request must bring, from the state at its acceptance.
  void expect(const Request& r) {
    Pending p;
    p.request = r;
    const auto tokens = tokens_of(r);
    const Owner& o = owners[r.owner];
    const bool empty = tokens.empty() || r.planes == 0;
    unsigned status = Ok;
    if (!o.valid) {
      status = BadOwner;
    } else if (!empty && (tokens.back() >= o.length || r.layer >= layout.layers)) {
      status = BadRange;
    }
    bool all_usable = true;
    for (unsigned q = 0; q < 8; ++q) all_usable &= ((r.planes >> q) & 1) == 0 || usable(q);

    const std::map<Place, Resident>* hits = nullptr;
    Request looked_up = r;  // whose lookup counts: that of the request followed
    if (!empty && status == Ok && !r.bulk_only && all_usable) {
      if (r.follow) {
        const auto k = std::find_if(kept.begin(), kept.end(), [&](const Kept& c) {
          return (c.request.id == r.follow_id || c.last_id == r.follow_id) && c.request.owner == r.owner &&
                 c.request.layer == r.layer && c.request.head == r.head;
        });
        if (k == kept.end()) {
          status = Stale;
          p.keep_failed = r.keep;
        } else {
          const auto all = tokens_of(k->request);
          if (!std::includes(all.begin(), all.end(), tokens.begin(), tokens.end())) {
            status = BadRange;
            p.keep_failed = r.keep;
          } else {
            snapshots.push_back(k->residents);
            hits = &snapshots.back();
            looked_up = k->request;
            k->last_id = r.id;
            if (!r.keep) kept.erase(k);
          }
        }
      } else if (r.keep && kept.size() >= readers / 2) {
        p.keep_failed = true;
      } else {
        snapshots.push_back(residents);
        hits = &snapshots.back();
        if (r.keep) kept.push_back({r, r.id, residents});
      }
    } else {
      p.keep_failed = r.keep;
    }
    if (!empty) {
      std::set<std::tuple<unsigned, uint64_t, bool>> groups;  // plane, tokens that share a row, path
      for (const uint64_t t : tokens) {
        for (unsigned q = 0; q < 8; ++q) {
          if (((r.planes >> q) & 1) == 0) continue;
          Row row{};
          row.plane = q;
          row.position = static_cast<unsigned>(t & (positions - 1));
          row.beats = usable(q) ? layout.plane[q].beats : 1;
          row.cause = status;
          if (status == Ok) {
            const unsigned eff = effective(r.owner, row.position);
            const auto word = word_of(eff, row.position);
            if (word) row.address = address(*word, r.layer, r.head, q, row.position);
            row.sink = hits != nullptr && hit(*hits, eff, row.position, looked_up) && hit(*hits, eff, row.position, r);
            if (!row.sink) {
              if (!word) {
                row.cause = Unmapped;
              } else if (!usable(q)) {
                row.cause = BadRange;
              }
            }
          }
          // A row that tokens share comes once on each path, under the lowest of those that the path serves.
          if (usable(q) && layout.plane[q].share != 0) {
            const uint64_t page = uint64_t{1} << layout.page_log2;
            const uint64_t group = t / page << 8 | t % page >> layout.plane[q].share;
            if (!groups.insert({q, group, row.sink}).second) continue;
          }
          p.rows[{q, row.position}] = row;
          for (unsigned b = 0; track_reads && !row.sink && b < row.beats; ++b) {
            p.unread.insert(row.address + uint64_t{b} * beat_bytes);
          }
        }
      }
    }
    if (hits != nullptr) snapshots.pop_back();
    pending.push_back(p);
  }
  bool hit(const std::map<Place, Resident>& in, unsigned eff, unsigned position, const Request& r) const {
    const auto at = in.find({eff, position});
    if (at == in.end() || position >= owners[eff].committed) return false;
    const Profile& p = profiles[at->second.profile];
    return r.layer >= p.layer_first && r.layer < p.layer_first + p.layer_count && ((p.heads >> r.head) & 1) != 0 &&
           (r.planes & ~p.planes) == 0 && r.layer < at->second.watermark;
  }

  /// All sent requests are delivered on both streams.
  void drain(uint64_t limit = 1000000) {
    sim.run_until([&] { tick(); }, [&] { return queue.empty() && pending.empty(); }, limit, "the mux");
  }

  /// A retire now: the block table changes with it, and what lay at the old place is gone.
  void retire(unsigned owner, unsigned first, unsigned last, bool all = false) {
    sim->retire_valid_i = 1;
    sim->retire_all_i = all;
    sim->retire_owner_i = owner;
    sim->retire_first_i = first;
    sim->retire_last_i = last;
    const auto in_range = [&](unsigned eff, unsigned position) {
      return all || (eff == owner && first <= position && position <= last);
    };
    // A block gets new contents only when all of its positions were retired.
    const auto replaced = [&](unsigned eff, unsigned block) {
      bool whole = true;
      for (unsigned t = 0; t < (1U << layout.page_log2); ++t) {
        const unsigned position = (block << layout.page_log2) + t;
        whole &= position >= owners[eff].length || in_range(eff, position);
      }
      return whole;
    };
    const auto overtake = [&](Pending& p) {
      for (auto& [key, row] : p.rows) {
        const unsigned eff = effective(p.request.owner, row.position);
        // One of the tokens that share the row is enough (a page has one effective owner).
        const unsigned others = (1U << std::min(layout.plane[row.plane].share, layout.page_log2)) - 1;
        bool touched = false;
        for (unsigned t = row.position & ~others; t <= (row.position | others); ++t) touched |= in_range(eff, t);
        if (row.done || row.cause != Ok || !touched) continue;
        row.either = true;
        row.may_retire = true;
        // Read before: all its beats.
        bool out = true;
        for (unsigned b = 0; b < row.beats; ++b) {
          const uint64_t a = row.address + uint64_t{b} * beat_bytes;
          out &= !p.unread.contains(a);
          if (replaced(eff, row.position >> layout.page_log2)) poison.insert(a);
        }
        row.must_deliver = out && !row.sink;
        row.must_retire = !out && residents.empty();  // nothing comes from SRAM
      }
    };
    poison_from = sim.cycle() + 1;
    std::erase_if(residents, [&](const auto& r) { return in_range(r.first.first, r.first.second); });
    std::erase_if(kept, [&](const Kept& k) {
      return all || k.request.owner == owner ||
             (owners[k.request.owner].prefix_valid && owners[k.request.owner].prefix == owner);
    });
    tick();
    for (Pending& p : pending) overtake(p);  // what this very cycle read counts as read, what it took as overtaken
    sim->retire_valid_i = 0;
    for (unsigned o = 0; o < owners.size(); ++o) {
      for (auto& [block, word] : owners[o].table) {
        if (replaced(o, block)) word = fresh_word();
      }
    }
  }

  /// What a burst costs, in beats; nothing is in flight.
  void set_burst_cost(unsigned beats) { sim->burst_cost_i = static_cast<uint8_t>(beats); }

  // ---------------------------------------------------------------------------------------------- a cycle
  void tick() {
    drive_requests();
    drive_walker();
    drive_memory();
    sim->sink_ready_i = !sink_held && !sink_stall.now();
    sim->bulk_ready_i = !bulk_held && !bulk_stall.now();
    sim->err_ready_i = !err_stall.now();
    sim.settle();
    // After the edge nothing of this cycle can be seen any more, so all is judged here.
    judge(0, sim->sink_valid_o && sim->sink_ready_i, sim->sink_id_o, sim->sink_is_end_o, sim->sink_plane_o,
          sim->sink_position_o, sim->sink_error_o, sim->sink_last_o, sim->sink_data_o);
    judge(1, sim->bulk_valid_o && sim->bulk_ready_i, sim->bulk_id_o, sim->bulk_is_end_o, sim->bulk_plane_o,
          sim->bulk_position_o, sim->bulk_error_o, sim->bulk_last_o, sim->bulk_data_o);
    take_event();
    take_walks();
    take_reads();
    dropped += sim->count_o >> 4 & 1;
    if (sim->lookup_valid_o) check_list_open();
    if (shown && sim->req_ready_o) {
      expect(queue.front());
      queue.pop_front();
      shown = false;
      ++accepted;
    }
    while (!pending.empty() && pending.front().ended[0] && pending.front().ended[1]) pending.pop_front();
    sim.edge();
  }

  Rng rng;
  tb::Sim<V> sim;
  unsigned entries, profile_count, owner_count, positions, slots, layers, heads, readers, beat_bytes, sram_beats,
      row_beats_max, bulk_beats;
  Layout layout;
  std::vector<Profile> profiles;
  std::vector<Owner> owners;
  std::map<Place, Resident> residents;

  // knobs
  Stall req_stall, sink_stall, bulk_stall, err_stall, walk_stall, ar_stall, r_stall;
  bool sink_held = false, bulk_held = false;
  unsigned latency = 10, walk_latency = 3;
  unsigned error_one_in = 0;
  bool expect_events = true;

  // what was seen
  unsigned accepted = 0;
  std::array<uint64_t, 2> rows_seen{}, beats_seen{}, ends_seen{};
  uint64_t errors_seen = 0, retired_seen = 0, bursts = 0, burst_beats = 0, longest_burst = 0, events = 0;
  uint64_t dropped = 0;                               // beats, by the mux's count
  uint64_t late_beats = 0;                            // read after a retire from where it had emptied the memory
  std::array<uint64_t, 2> first_beat{}, last_beat{};  // cycles
  std::deque<Pending> pending;
  unsigned ack_entry = 0;

 private:
  struct Kept {
    Request request;
    unsigned last_id;
    std::map<Place, Resident> residents;
  };
  struct Walk {
    unsigned owner, position;
    uint64_t ready;
  };
  struct Burst {
    uint64_t address;
    unsigned beats;
    uint64_t ready;
    bool late;  // taken after the last retire
  };

  void clear_config() {
    Layout l;
    set_layout(l);
    sim->prof_valid_i = std::decay_t<decltype(sim->prof_valid_i)>{};
    sim->base_we_i = 0;
    sim->own_we_i = 0;
  }
  void idle() {
    sim->burst_cost_i = 0;
    sim->req_valid_i = 0;
    sim->cmd_valid_i = 0;
    sim->retire_valid_i = 0;
    sim->keep_end_valid_i = 0;
    sim->sram_wr_valid_i = 0;
    sim->mem_valid_i = 0;
    sim->rd_ready_i = 0;
    sim->sink_ready_i = 0;
    sim->bulk_ready_i = 0;
    sim->err_ready_i = 0;
    for (unsigned c = 0; c < 2; ++c) {
      sim->walk_req_ready_i[c] = 0;
      sim->walk_rsp_valid_i[c] = 0;
    }
  }

  void drive_requests() {
    if (!shown && !queue.empty() && !req_stall.now()) shown = true;
    sim->req_valid_i = shown;
    if (!shown) return;
    const Request& r = queue.front();
    sim->req_id_i = static_cast<uint8_t>(r.id);
    sim->req_owner_i = r.owner;
    sim->req_layer_i = r.layer;
    sim->req_head_i = r.head;
    sim->req_planes_i = static_cast<uint8_t>(r.planes);
    sim->req_by_granule_i = r.by_granule;
    sim->req_first_i = r.first;
    sim->req_count_i = r.count;
    sim->req_mask_i = static_cast<uint16_t>(r.mask);
    sim->req_keep_i = r.keep;
    sim->req_follow_i = r.follow;
    sim->req_follow_id_i = static_cast<uint8_t>(r.follow_id);
    sim->req_bulk_only_i = r.bulk_only;
  }

  void drive_walker() {
    for (unsigned c = 0; c < 2; ++c) {
      sim->walk_req_ready_i[c] = walks[c].size() < 12 && !walk_stall.now();
      const bool ready = !walks[c].empty() && walks[c].front().ready <= sim.cycle();
      sim->walk_rsp_valid_i[c] = ready;
      if (!ready) continue;
      const Walk& w = walks[c].front();
      const Owner& o = owners[w.owner];
      const unsigned eff = effective(w.owner, w.position);
      unsigned status = Ok;
      const auto word = word_of(eff, w.position);
      if (!o.valid) {
        status = BadOwner;
      } else if (w.position >= o.length) {
        status = BadRange;
      } else if (!word) {
        status = Unmapped;
      }
      sim->walk_rsp_status_i[c] = static_cast<uint8_t>(status);
      sim->walk_rsp_owner_i[c] = eff;
      // Held once it is shown, as the walker holds it.
      if (!walk_held[c]) walk_word[c] = word.value_or(0);
      walk_held[c] = true;
      sim->walk_rsp_word_i[c] = walk_word[c];
      sim->walk_rsp_committed_i[c] = w.position < owners[eff].committed;
    }
  }
  void take_walks() {
    for (unsigned c = 0; c < 2; ++c) {
      if (sim->walk_rsp_valid_i[c] && sim->walk_rsp_ready_o[c]) {
        walks[c].pop_front();
        walk_held[c] = false;
      }
      if (sim->walk_req_valid_o[c] && sim->walk_req_ready_i[c]) {
        walks[c].push_back({sim->walk_req_owner_o[c], sim->walk_req_position_o[c],
                            sim.cycle() + walk_latency + (c == 0 || walk_latency < 4 ? 0 : rng.below(3))});
      }
    }
  }

  void drive_memory() {
    rd_ready = reads.size() < 512 && !ar_stall.now();
    sim->rd_ready_i = rd_ready;
    const bool valid = !reads.empty() && reads.front().ready <= sim.cycle() && !r_stall.now();
    sim->mem_valid_i = valid;
    if (!valid) return;
    Burst& b = reads.front();
    sim->mem_last_i = b.beats == 1;
    sim->mem_error_i = fails(b.address);
    tb::set_words(sim->mem_data_i, std::span<const uint32_t>(beat_at(b.address, b.late && poison.contains(b.address))));
    b.address += beat_bytes;
    if (--b.beats == 0) reads.pop_front();
  }
  void take_reads() {
    if (!(sim->rd_valid_o && sim->rd_ready_i)) return;
    const uint64_t a = sim->rd_addr_o;
    const unsigned beats = sim->rd_len_o + 1U;
    INFO("read of " << beats << " beats at " << a);
    REQUIRE(a % beat_bytes == 0);
    REQUIRE(a / 4096 == (a + uint64_t{beats} * beat_bytes - 1) / 4096);
    reads.push_back({a, beats, sim.cycle() + latency, sim.cycle() >= poison_from});
    outstanding += beats;
    ++bursts;
    burst_beats += beats;
    longest_burst = std::max<uint64_t>(longest_burst, beats);
    if (sim.cycle() >= poison_from && poison.contains(a)) late_beats += beats;
    if (track_reads) {
      // Requests are read in order, so a read is the first one's that waits for it.
      for (unsigned b = 0; b < beats; ++b) {
        const uint64_t at = a + uint64_t{b} * beat_bytes;
        for (Pending& p : pending) {
          if (p.unread.erase(at) != 0) break;
        }
      }
    }
  }

  void check_list_open() {
    bool any = false;
    for (unsigned l = 0; l < readers; ++l) any |= sim->list_open_o[l] != 0;
    REQUIRE(any);
  }

  template <class Data>
  void judge(unsigned stream, bool taken, unsigned id, bool is_end, unsigned plane, unsigned position, bool error,
             bool last, const Data& data) {
    if (!taken) return;
    Pending* p = nullptr;
    for (Pending& q : pending) {
      if (!q.ended[stream]) {
        p = &q;
        break;
      }
    }
    INFO("cycle " << sim.cycle() << (stream == 0 ? ", sink" : ", bulk") << " stream, request " << id << ", plane "
                  << plane << ", position " << position << (is_end ? ", end" : ""));
    REQUIRE(p != nullptr);
    REQUIRE(id == p->request.id);
    Beat got{};
    tb::get_words(data, std::span<uint32_t>(got));
    if (is_end) {
      REQUIRE(beat[stream] == 0);
      REQUIRE(got[0] == p->count[stream]);
      REQUIRE(error == p->keep_failed);
      p->ended[stream] = true;
      ++ends_seen[stream];
      if (stream == 1 && p->first_error && expect_events)
        expected_events.push_back({p->request.owner, *p->first_error});
      if (p->ended[0] && p->ended[1]) {
        for (const auto& [key, row] : p->rows) {
          INFO("row of plane " << key.first << ", position " << key.second);
          REQUIRE(row.done);
        }
      }
      return;
    }
    const auto at = p->rows.find({plane, position});
    REQUIRE(at != p->rows.end());
    Row& row = at->second;
    REQUIRE_FALSE(row.done);
    INFO(describe(p->request));
    if (!row.either) REQUIRE(row.sink == (stream == 0));
    if (beat[stream] == 0) {
      // Pages up on the sink stream, down on the bulk stream; then plane, then token.
      const auto page = static_cast<int64_t>(position >> layout.page_log2);
      const std::tuple<int64_t, unsigned, unsigned> key{stream == 0 ? page : -page, plane, position};
      if (wraps(*p)) {
        // Positions beyond the range of a position are delivered modulo it; their order is not looked at.
      } else if (p->last[stream]) {
        REQUIRE(*p->last[stream] < key);
      }
      p->last[stream] = key;
      failed[stream] = false;
      if (beats_seen[stream] == 0) first_beat[stream] = sim.cycle();
    }
    last_beat[stream] = sim.cycle();
    const uint64_t a = row.address + uint64_t{beat[stream]} * beat_bytes;
    ++beats_seen[stream];
    bool wrong = row.cause != Ok;
    const bool retired = error && row.may_retire && stream == 1 && !row.must_deliver;
    if (row.must_retire) REQUIRE(error);
    if (!retired) {
      if (row.cause == Ok && stream == 1) failed[stream] |= fails(a);
      wrong |= failed[stream];
      INFO("cause " << row.cause << ", beat " << beat[stream] << ", read failed " << failed[stream]);
      REQUIRE(error == wrong);
    }
    if (!error) REQUIRE(got == beat_at(a));
    if (error && (row.cause != Ok || (retired && !failed[stream]))) REQUIRE(got == Beat{});
    if (error && !p->first_error) {
      p->first_error = {position, row.cause != Ok ? row.cause : retired ? Retired : BusError};
    }
    ++beat[stream];
    REQUIRE(last == (beat[stream] == row.beats));
    if (last) {
      beat[stream] = 0;
      row.done = true;
      ++p->count[stream];
      ++rows_seen[stream];
      errors_seen += error;
      retired_seen += retired;
    }
  }
  static std::string describe(const Request& r) {
    return "owner " + std::to_string(r.owner) + " layer " + std::to_string(r.layer) + " head " +
           std::to_string(r.head) + " planes " + std::to_string(r.planes) +
           (r.by_granule ? " mask " + std::to_string(r.mask) : "") + " first " + std::to_string(r.first) + " count " +
           std::to_string(r.count) + (r.keep ? " keep" : "") +
           (r.follow ? " follow " + std::to_string(r.follow_id) : "") + (r.bulk_only ? " bulk_only" : "");
  }
  bool wraps(const Pending& p) const { return uint64_t{p.request.first} + p.request.count > positions; }

  void take_event() {
    if (sim->err_valid_o && sim->err_ready_i) {
      ++events;
      if (expect_events) seen_events.push_back({sim->err_owner_o, {sim->err_position_o, sim->err_cause_o}});
    }
    // An event may be there before the end marker that closes its request was taken.
    while (!seen_events.empty() && !expected_events.empty()) {
      INFO("event for owner " << seen_events.front().first);
      REQUIRE(seen_events.front() == expected_events.front());
      seen_events.pop_front();
      expected_events.pop_front();
    }
  }

 public:
  bool track_reads = false;  // for retires: which rows were read

 private:
  std::deque<Request> queue;
  bool shown = false, rd_ready = false;
  std::array<std::deque<Walk>, 2> walks;
  std::array<bool, 2> walk_held{};
  std::array<uint32_t, 2> walk_word{};
  std::deque<Burst> reads;
  uint64_t outstanding = 0;
  std::map<std::pair<unsigned, unsigned>, uint64_t> bases;
  std::vector<Kept> kept;
  std::deque<std::map<Place, Resident>> snapshots;
  std::array<unsigned, 2> beat{};
  std::array<bool, 2> failed{};
  std::deque<std::pair<unsigned, std::pair<unsigned, unsigned>>> expected_events, seen_events;
  std::set<uint64_t> poison;
  uint64_t poison_from = ~uint64_t{0};
  uint64_t next_block = 1;
};

}  // namespace kvsink::bypass_test

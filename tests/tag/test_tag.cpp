// SPDX-License-Identifier: Apache-2.0
// sink_tag_array against a set of tokens: what hits, when, and what every command answers.
//
// The model is untimed but for three rules of the design: a removal acts on the lookups of its own cycle, anything else
// on those two cycles later; a retire comes before the command and the lookup of its cycle; what was installed again in
// a range still being swept may miss until the sweep is over.
#include <VTag_default.h>
#include <VTag_small.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <set>
#include <vector>

#include "support/catch.hpp"
#include "tb/common/rng.hpp"
#include "tb/common/sim.hpp"

namespace {

using kvsink::tb::Rng;
using kvsink::tb::Sim;

enum Op : unsigned { Install, SetWord, Watermark, Remove, Find, Unknown };
enum Status : unsigned {
  Ok = 0x00,
  NoEntry = 0x03,
  BadCommand = 0x09,
  Generation = 0x0d,
  Already = 0x12,
  NotResident = 0x13
};

struct Command {
  unsigned op = Find, owner = 0, granule = 0, token = 0, entry = 0, slot = 0, profile = 0, word = 0, watermark = 0;
};
struct Lookup {
  unsigned owner = 0, granule = 0, word = 0, layer = 0, head = 0, planes = 1;
};
struct Retire {
  bool all = false;
  unsigned owner = 0, first = 0, last = 0;
};
struct Next {
  unsigned owner = 0, from = 0, to = 0;
};
struct Profile {
  bool valid = false;
  unsigned layer_first = 0, layer_count = 0;
  uint64_t heads = 0;
  unsigned planes = 0;
};
struct Sizes {
  unsigned entries, profiles, owners, positions, slots, layers, heads;
};

using Key = std::pair<unsigned, unsigned>;  // owner, granule
struct Token {
  unsigned slot, profile, watermark;
};
struct Granule {
  unsigned entry = 0;
  std::optional<unsigned> word;
  std::map<unsigned, Token> tokens;
  uint64_t born = 0;
};
using State = std::map<Key, Granule>;

bool concerns(const Retire& r, unsigned owner, unsigned position) {
  return r.all || (r.owner == owner && r.first <= position && position <= r.last);
}

template <class V>
class Bench {
 public:
  explicit Bench(uint64_t seed) : sim(seed) {
    idle();
    sim.reset();
    sim.settle();
    size = {sim->cfg_entries_o, sim->cfg_profiles_o, sim->cfg_owners_o, sim->cfg_positions_o,
            sim->cfg_slots_o,   sim->cfg_layers_o,   sim->cfg_heads_o};
    profiles.resize(size.profiles);
  }

  void set_profile(unsigned index, const Profile& p) {
    profiles[index] = p;
    sim->prof_valid_i[index] = p.valid;
    sim->prof_layer_first_i[index] = p.layer_first;
    sim->prof_layer_count_i[index] = p.layer_count;
    sim->prof_heads_i[index] = p.heads;
    sim->prof_planes_i[index] = static_cast<uint8_t>(p.planes);
  }
  void open_profile(unsigned index) { set_profile(index, {true, 0, size.layers, ~uint64_t{0}, 0xff}); }

  /// One cycle with these inputs; what the model expects of it is checked in this and the following cycles.
  /// True when the command was taken.
  bool cycle(const std::optional<Command>& c, const std::optional<Lookup>& l, const std::optional<Retire>& r = {},
             const std::optional<Next>& n = {}) {
    idle();
    if (c) {
      sim->cmd_valid_i = 1;
      sim->cmd_op_i = static_cast<uint8_t>(c->op);
      sim->cmd_owner_i = c->owner;
      sim->cmd_granule_i = c->granule;
      sim->cmd_token_i = static_cast<uint8_t>(c->token);
      sim->cmd_entry_i = c->entry;
      sim->cmd_slot_i = c->slot;
      sim->cmd_profile_i = c->profile;
      sim->cmd_word_i = c->word;
      sim->cmd_watermark_i = c->watermark;
    }
    if (l) {
      sim->lookup_valid_i = 1;
      sim->lookup_owner_i = l->owner;
      sim->lookup_granule_i = l->granule;
      sim->lookup_word_i = l->word;
      sim->lookup_layer_i = l->layer;
      sim->lookup_head_i = l->head;
      sim->lookup_planes_i = static_cast<uint8_t>(l->planes);
    }
    if (r) {
      sim->retire_valid_i = 1;
      sim->retire_all_i = r->all;
      sim->retire_owner_i = r->owner;
      sim->retire_first_i = r->first;
      sim->retire_last_i = r->last;
    }
    if (n) {
      sim->next_valid_i = 1;
      sim->next_owner_i = n->owner;
      sim->next_from_i = n->from;
      sim->next_to_i = n->to;
    }
    sim.settle();
    const bool taken = c && sim->cmd_ready_o;
    asked = n && sim->next_ready_o;
    traffic.offered += l ? 1 : 0;
    traffic.answered += sim->hit_valid_o ? 1 : 0;
    traffic.sweeping += sim->sweep_busy_o ? 1 : 0;
    traffic.retires += r ? 1 : 0;
    if (taken) ++traffic.commands[c->op];

    check_busy();
    check_ack();
    check_hit();
    check_next();

    // What the cycle does to the model. First what the commands before it make visible.
    const uint64_t now = sim.cycle();
    while (!visible_later.empty() && visible_later.front().first <= now) {
      const Key key = visible_later.front().second;
      if (state.contains(key)) {
        seen[key] = state[key];
      } else {
        seen.erase(key);
      }
      visible_later.pop_front();
    }
    if (r) apply(*r, now);
    if (taken) apply(*c, now);
    if (l) look(*l, now);
    if (asked) {
      search = Search{*n, now, {}};
      for (unsigned g = n->from; g <= n->to; ++g) {
        if (state.contains({n->owner, g})) search->must.insert(g);
      }
    }
    sim.edge();
    return taken;
  }

  void idle_cycles(unsigned n) {
    for (unsigned i = 0; i < n; ++i) cycle({}, {});
  }

  /// Sends a command, waits for its answer and returns it.
  std::pair<unsigned, unsigned> command(const Command& c) {
    while (!cycle(c, {})) {
    }
    idle_cycles(3);
    return last_ack;
  }

  /// Present and complete in one go, in entry `entry` as the array chose it.
  unsigned present(unsigned owner, unsigned granule, unsigned token, unsigned slot, unsigned word) {
    Command c{Install, owner, granule, token, 0, slot, 0, word, ~0U};
    const auto [status, entry] = command(c);
    REQUIRE(status == Ok);
    c.entry = entry;
    c.op = SetWord;
    REQUIRE(command(c).first == Ok);
    c.op = Watermark;
    REQUIRE(command(c).first == Ok);
    return entry;
  }

  /// A lookup on its own; the hit bitmap.
  unsigned hits(const Lookup& l) {
    cycle({}, l);
    idle_cycles(2);
    return last_hit;
  }

  Sim<V> sim;
  Sizes size{};
  std::vector<Profile> profiles;
  State state;                                     // as commands see it
  std::pair<unsigned, unsigned> last_ack{~0U, 0};  // status, entry
  unsigned last_hit = 0;
  bool asked = false;  // the search was taken
  unsigned hits_seen = 0, misses_forced = 0, acks_seen = 0, refused_full = 0, founds = 0, doubtful = 0;
  uint64_t longest_sweep = 0;
  struct Traffic {
    uint64_t offered = 0, answered = 0;  // lookups
    uint64_t sweeping = 0;               // cycles
    uint64_t retires = 0;
    std::array<uint64_t, 8> commands{};
  } traffic;

 private:
  struct Expect {
    uint64_t cycle;
    unsigned must = 0, may = 0;  // tokens that hit for sure; and those that may
    std::array<Token, 16> token{};
  };
  struct Ack {
    uint64_t cycle;
    std::set<unsigned> status;
    Command command;
    std::optional<unsigned> entry, slot;
    bool installs = false;
  };
  struct Search {
    Next next;
    uint64_t since;
    std::set<unsigned> must;  // granules there all the time
  };

  void idle() {
    sim->cmd_valid_i = 0;
    sim->lookup_valid_i = 0;
    sim->retire_valid_i = 0;
    sim->next_valid_i = 0;
  }

  void drop(const Key& key, uint64_t now) {
    dead[key] = now;
    if (search && search->next.owner == key.first) search->must.erase(key.second);
    state.erase(key);
  }

  void apply(const Retire& r, uint64_t now) {
    for (State* s : {&state, &seen}) {
      std::vector<Key> empty;
      for (auto& [at, g] : *s) {
        const Key& key = at;
        std::erase_if(g.tokens, [&](const auto& t) { return concerns(r, key.first, key.second * 16 + t.first); });
        if (g.tokens.empty()) empty.push_back(key);
      }
      for (const Key& key : empty) {
        if (s == &state) {
          zombies.insert(state[key].entry);
          drop(key, now);
        } else {
          s->erase(key);
        }
      }
    }
    sweeping.push_back({r, now});
  }

  void apply(const Command& c, uint64_t now) {
    Ack a{now + 2, {}, c, {}, {}, false};
    const Key key{c.owner, c.granule};
    const auto at = state.find(key);
    auto by_entry = std::find_if(state.begin(), state.end(), [&](const auto& s) { return s.second.entry == c.entry; });
    const bool holds = by_entry != state.end() && by_entry->second.tokens.contains(c.token) &&
                       by_entry->second.tokens[c.token].slot == c.slot;
    switch (c.op) {
      case Install:
        if (at != state.end() && at->second.tokens.contains(c.token)) {
          a.status = {Already};
          a.entry = at->second.entry;
          a.slot = at->second.tokens[c.token].slot;
        } else if (at != state.end()) {
          a.status = {Ok};
          a.entry = at->second.entry;
          at->second.tokens[c.token] = {c.slot, c.profile, 0};
          visible_later.push_back({now + 2, key});
        } else {
          // Entries retired but not yet swept are not free; which those are, only the sweep knows.
          if (state.size() < size.entries) a.status.insert(Ok);
          if (state.size() + zombies.size() >= size.entries) a.status.insert(NoEntry);
          a.installs = true;
        }
        break;
      case Find:
        if (at != state.end() && at->second.tokens.contains(c.token)) {
          a.status = {Ok};
          a.entry = at->second.entry;
          a.slot = at->second.tokens[c.token].slot;
        } else {
          a.status = {NotResident};
        }
        break;
      case SetWord:
        if (!holds) {
          a.status = {NotResident};
        } else if (by_entry->second.word && *by_entry->second.word != c.word) {
          a.status = {Generation};
        } else {
          a.status = {Ok};
          by_entry->second.word = c.word;
          visible_later.push_back({now + 2, by_entry->first});
        }
        break;
      case Watermark:
        a.status = {holds ? Ok : NotResident};
        if (holds) {
          by_entry->second.tokens[c.token].watermark = c.watermark;
          visible_later.push_back({now + 2, by_entry->first});
        }
        break;
      case Remove:
        a.status = {holds ? Ok : NotResident};
        if (holds) {
          const Key of = by_entry->first;
          by_entry->second.tokens.erase(c.token);
          if (seen.contains(of)) seen[of].tokens.erase(c.token);
          if (by_entry->second.tokens.empty()) {
            drop(of, now);
            seen.erase(of);
          }
        }
        break;
      default:
        a.status = {BadCommand};
    }
    acks.push_back(a);
  }

  void look(const Lookup& l, uint64_t now) {
    Expect e{now + 2, 0, 0, {}};
    const auto at = seen.find({l.owner, l.granule});
    if (at != seen.end() && at->second.word == l.word) {
      for (const auto& [t, token] : at->second.tokens) {
        const Profile& p = profiles[token.profile];
        const bool covered = p.valid && l.layer >= p.layer_first && l.layer < p.layer_first + p.layer_count &&
                             ((p.heads >> l.head) & 1) != 0 && (l.planes & ~p.planes) == 0;
        const unsigned marks = token.watermark & (2 * size.layers - 1);
        if (!covered || l.layer >= marks) continue;
        e.token[t] = token;
        e.may |= 1U << t;
        bool masked = false;
        for (const auto& s : sweeping) masked |= concerns(s.range, l.owner, l.granule * 16 + t);
        if (!masked) e.must |= 1U << t;
        if (masked) ++doubtful;
      }
    }
    looks.push_back(e);
  }

  void check_busy() {
    if (sweeping.empty()) {
      REQUIRE_FALSE(sim->sweep_busy_o);
      return;
    }
    if (sim.cycle() == sweeping.front().since) return;
    if (!sim->sweep_busy_o) {
      sweeping.clear();
      zombies.clear();
    } else {
      // Counted from the last idle cycle: one sweep after the other.
      const uint64_t took = sim.cycle() - sweeping.front().since;
      REQUIRE(took <= sweeping.size() * (size.entries + 16));
      longest_sweep = std::max(longest_sweep, took);
    }
  }

  void check_ack() {
    const bool due = !acks.empty() && acks.front().cycle == sim.cycle();
    INFO("cycle " << sim.cycle());
    REQUIRE(static_cast<bool>(sim->ack_valid_o) == due);
    if (!due) {
      if (acks.empty() && sweeping.empty()) REQUIRE(sim->free_entries_o == size.entries - state.size());
      return;
    }
    const Ack a = acks.front();
    acks.pop_front();
    ++acks_seen;
    const unsigned status = sim->ack_status_o;
    INFO("op " << a.command.op << " owner " << a.command.owner << " granule " << a.command.granule << " token "
               << a.command.token << " status " << status);
    REQUIRE(a.status.contains(status));
    if (a.entry) REQUIRE(sim->ack_entry_o == *a.entry);
    if (a.slot) REQUIRE(sim->ack_slot_o == *a.slot);
    if (status == NoEntry) ++refused_full;
    if (a.installs && status == Ok) {
      // A new entry: nobody else's. A retire since then may have removed it already.
      for (const auto& s : state) REQUIRE(s.second.entry != sim->ack_entry_o);
      const Key key{a.command.owner, a.command.granule};
      bool retired = false;
      for (const auto& s : sweeping) {
        retired |= s.since > a.cycle - 2 && concerns(s.range, key.first, key.second * 16 + a.command.token);
      }
      if (!retired) {
        Granule g;
        g.entry = sim->ack_entry_o;
        g.born = a.cycle - 2;
        g.tokens[a.command.token] = {a.command.slot, a.command.profile, 0};
        state[key] = g;
        seen[key] = g;
      } else {
        zombies.insert(sim->ack_entry_o);
        dead[key] = sim.cycle();
      }
    }
    last_ack = {status, sim->ack_entry_o};
  }

  void check_hit() {
    const bool due = !looks.empty() && looks.front().cycle == sim.cycle();
    INFO("cycle " << sim.cycle());
    REQUIRE(static_cast<bool>(sim->hit_valid_o) == due);
    if (!due) return;
    const Expect e = looks.front();
    looks.pop_front();
    const unsigned hit = sim->hit_o;
    last_hit = hit;
    INFO("hit " << hit << ", must " << e.must << ", may " << e.may);
    REQUIRE((e.must & ~hit) == 0);
    REQUIRE((hit & ~e.may) == 0);
    for (unsigned t = 0; t < 16; ++t) {
      const bool here = ((hit >> t) & 1) != 0;
      REQUIRE(sim->hit_slot_o[t] == (here ? e.token[t].slot : 0));
      REQUIRE(sim->hit_profile_o[t] == (here ? e.token[t].profile : 0));
    }
    hits_seen += hit != 0;
  }

  void check_next() {
    if (!search) {
      REQUIRE_FALSE(sim->next_rsp_valid_o);
      return;
    }
    if (!sim->next_rsp_valid_o) {
      REQUIRE(sim.cycle() - search->since <= 12);
      return;
    }
    const Next& n = search->next;
    if (sim->next_found_o) {
      ++founds;
      const unsigned g = sim->next_granule_o;
      INFO("found " << g << " in " << n.from << ".." << n.to);
      REQUIRE((g >= n.from && g <= n.to));
      // A granule without an entry is named only when one of this owner was removed a short while ago.
      const uint64_t sweep = 2 * (size.entries + 16);
      const bool was = std::any_of(dead.begin(), dead.end(), [&](const auto& d) {
        return d.first.first == n.owner && d.second + sweep + 2 >= search->since;
      });
      REQUIRE((state.contains({n.owner, g}) || was));
      REQUIRE((search->must.empty() || *search->must.begin() >= g));
    } else {
      REQUIRE(search->must.empty());
    }
    search.reset();
  }

  struct Sweep {
    Retire range;
    uint64_t since;
  };
  State seen;  // as lookups see it
  std::deque<std::pair<uint64_t, Key>> visible_later;
  std::deque<Sweep> sweeping;  // since the array was last idle
  std::set<unsigned> zombies;  // entries retired since then
  std::map<Key, uint64_t> dead;
  std::deque<Ack> acks;
  std::deque<Expect> looks;
  std::optional<Search> search;
};

/// Everything at once: a lookup every cycle, commands as fast as they are taken, retires, searches.
template <class V>
typename Bench<V>::Traffic storm(uint64_t seed, unsigned cycles, unsigned granules, unsigned retire_one_in,
                                 unsigned removals) {
  Rng rng(seed);
  KVSINK_INFO_SEED(rng);
  Bench<V> bench(rng.next());
  const Sizes& z = bench.size;
  for (unsigned p = 0; p < z.profiles; ++p) {
    const auto first = static_cast<unsigned>(rng.below(3));
    bench.set_profile(p, {p != 1 || rng.percent(90), first, static_cast<unsigned>(rng.range(1, z.layers - first)),
                          rng.next() | 1, static_cast<unsigned>(rng.next() & 0xff) | 3});
  }
  const unsigned owners = std::min(z.owners, 4U);
  const unsigned top = z.positions / 16;
  const auto granule = [&] {
    // Some low ones and some at the upper end, so that all bits of a granule number matter.
    const auto g = static_cast<unsigned>(rng.below(granules));
    return g % 2 == 0 ? g : top - g;
  };
  const auto word_of = [&](unsigned owner, unsigned g) {
    return static_cast<unsigned>((g * 7 + owner) % 13 + 100 * rng.percent(4)) + (rng.percent(3) ? 0x40000000U : 0U);
  };
  std::optional<Command> c;
  std::optional<Next> n;
  unsigned since_retire = 1000;
  for (unsigned i = 0; i < cycles; ++i) {
    if (!c && rng.percent(90)) {
      Command x;
      const auto dice = rng.below(100);
      x.op = dice < 30              ? Install
             : dice < 45            ? SetWord
             : dice < 60            ? Watermark
             : dice < 60 + removals ? Remove
             : dice < 99            ? Find
                                    : Unknown;
      x.owner = static_cast<unsigned>(rng.below(owners));
      x.granule = granule();
      x.token = static_cast<unsigned>(rng.below(16));
      x.slot = static_cast<unsigned>(rng.below(z.slots));
      x.profile = static_cast<unsigned>(rng.below(z.profiles));
      x.entry = static_cast<unsigned>(rng.below(z.entries));
      x.watermark = rng.coin() ? 2 * z.layers - 1 : static_cast<unsigned>(rng.below(z.layers + 1));
      if (x.op != Install && x.op != Find && !bench.state.empty() && rng.percent(90)) {
        // One that is there.
        auto at = bench.state.begin();
        std::advance(at, static_cast<long>(rng.below(bench.state.size())));
        auto t = at->second.tokens.begin();
        std::advance(t, static_cast<long>(rng.below(at->second.tokens.size())));
        x.owner = at->first.first;
        x.granule = at->first.second;
        x.entry = at->second.entry;
        x.token = t->first;
        x.slot = rng.percent(97) ? t->second.slot : x.slot;
      }
      x.word = word_of(x.owner, x.granule);
      c = x;
    }
    Lookup l;
    l.owner = static_cast<unsigned>(rng.below(owners));
    l.granule = granule();
    if (c && rng.percent(30)) {  // the granule that a command is about to change
      l.owner = c->owner;
      l.granule = c->granule;
    }
    l.word = word_of(l.owner, l.granule);
    l.layer = static_cast<unsigned>(rng.below(rng.coin() ? 3 : z.layers));
    l.head = static_cast<unsigned>(rng.below(rng.coin() ? 1 : z.heads));
    l.planes = static_cast<unsigned>(rng.below(rng.percent(80) ? 3 : 255)) + 1;
    std::optional<Retire> r;
    ++since_retire;
    // A second one may come while the first is swept, a third not.
    if (rng.below(retire_one_in) == 0 && since_retire > z.entries + 16) {
      Retire x;
      x.all = rng.percent(3);
      x.owner = static_cast<unsigned>(rng.below(owners));
      const unsigned g = rng.percent(60) && c ? c->granule : granule();
      x.first = g * 16 + static_cast<unsigned>(rng.below(16));
      x.last = std::min<unsigned>(z.positions - 1, x.first + static_cast<unsigned>(rng.below(rng.coin() ? 8 : 200)));
      r = x;
      since_retire = rng.coin() ? z.entries + 16 : 0;  // now and then a second one right behind
      if (bench.sim->sweep_busy_o) since_retire = 0;
    }
    if (!n && rng.percent(30)) {
      Next x;
      x.owner = static_cast<unsigned>(rng.below(owners));
      x.from = rng.coin() ? 0 : granule();
      x.to = rng.coin() ? top - 1 : granule();
      n = x;
    }
    if (bench.cycle(c, l, r, n)) c.reset();
    if (bench.asked) n.reset();
  }
  CHECK(bench.hits_seen > cycles / 400);
  CHECK(bench.acks_seen > cycles / 4);
  CHECK(bench.founds > cycles / 200);
  for (int i = 0; i < 2; ++i) {  // the last answers; what is offered and not taken yet stays
    if (bench.cycle(c, {}, {}, n)) c.reset();
    if (bench.asked) n.reset();
  }
  return bench.traffic;
}

}  // namespace

TEST_CASE("every lookup, command and search of a random storm agrees with a set of tokens", "[tag]") {
  const uint64_t seed = kvsink::tb::seed_from_env();
  SECTION("small array, few granules") { storm<VTag_small>(seed, 60000, 5, 150, 15); }
  SECTION("small array, more granules than entries") { storm<VTag_small>(seed + 1, 60000, 8, 300, 30); }
  SECTION("default array") { storm<VTag_default>(seed + 2, 40000, 24, 400, 25); }
}

// The answer of every one of them is compared as well, 2 cycles after it was offered.
TEST_CASE("a lookup a cycle is answered for 10^6 cycles while tags are installed, removed, retired and swept",
          "[tag]") {
  constexpr unsigned kCycles = 1'000'000;
  const auto t = storm<VTag_small>(kvsink::tb::seed_from_env() + 3, kCycles, 6, 200, 20);
  CHECK(t.offered == kCycles);
  CHECK(t.answered == kCycles);
  CHECK(t.sweeping > kCycles / 20);
  CHECK(t.retires > kCycles / 500);
  CHECK(t.commands[Install] > kCycles / 20);
  CHECK(t.commands[Remove] > kCycles / 40);
  CHECK(t.commands[Watermark] > kCycles / 40);
}

TEST_CASE("a token hits only with its word, its profile's cover and below its watermark", "[tag]") {
  Bench<VTag_small> bench(1);
  bench.set_profile(1, {true, 2, 3, 0b0100, 0b0011});
  Command c{Install, 1, 3, 5, 0, 9, 1, 77, 0};
  c.entry = bench.command(c).second;
  const Lookup good{1, 3, 77, 2, 2, 0b0011};
  CHECK(bench.hits(good) == 0);  // word unknown
  c.op = SetWord;
  bench.command(c);
  CHECK(bench.hits(good) == 0);  // watermark 0
  c.op = Watermark;
  c.watermark = 3;
  bench.command(c);
  CHECK(bench.hits(good) == 1U << 5);
  CHECK(bench.hits({1, 3, 78, 2, 2, 1}) == 0);
  CHECK(bench.hits({1, 3, 77, 3, 2, 1}) == 0);  // layer 3 is not there yet
  c.watermark = ~0U;
  bench.command(c);
  CHECK(bench.hits({1, 3, 77, 3, 2, 1}) == 1U << 5);
  CHECK(bench.hits({1, 3, 77, 4, 2, 1}) == 1U << 5);
  CHECK(bench.hits({1, 3, 77, 5, 2, 1}) == 0);
  CHECK(bench.hits({1, 3, 77, 1, 2, 1}) == 0);
  CHECK(bench.hits({1, 3, 77, 3, 1, 1}) == 0);
  CHECK(bench.hits({1, 3, 77, 3, 2, 0b0100}) == 0);
  CHECK(bench.hits({2, 3, 77, 3, 2, 1}) == 0);
  c.op = Watermark;
  c.watermark = 0;
  bench.command(c);
  CHECK(bench.hits(good) == 0);
}

TEST_CASE("a removal wins over the lookup of its own cycle, an install does not", "[tag]") {
  Bench<VTag_small> bench(1);
  bench.open_profile(0);
  const unsigned entry = bench.present(2, 7, 1, 4, 55);
  const Lookup l{2, 7, 55, 0, 0, 1};
  CHECK(bench.hits(l) == 2);
  REQUIRE(bench.cycle(Command{Remove, 2, 7, 1, entry, 4, 0, 0, 0}, l));
  bench.idle_cycles(2);
  CHECK(bench.last_hit == 0);
  bench.idle_cycles(2);
  CHECK(bench.sim->free_entries_o == bench.size.entries);
}

TEST_CASE("a retire hides its range from its own cycle on, and no more than its range", "[tag]") {
  Bench<VTag_small> bench(1);
  bench.open_profile(0);
  bench.present(0, 0, 3, 1, 10);
  bench.present(0, 0, 4, 2, 10);
  bench.present(0, 1, 0, 3, 11);
  bench.present(0, 2, 9, 4, 12);
  bench.present(0, 2, 10, 5, 12);
  bench.present(1, 1, 0, 6, 11);
  SECTION("parts of granules at both ends") {
    bench.cycle({}, Lookup{0, 0, 10, 0, 0, 1}, Retire{false, 0, 4, 2 * 16 + 9});
    bench.cycle({}, Lookup{0, 1, 11, 0, 0, 1});
    bench.cycle({}, Lookup{0, 2, 12, 0, 0, 1});
    CHECK(bench.last_hit == 1U << 3);
    bench.cycle({}, Lookup{1, 1, 11, 0, 0, 1});
    CHECK(bench.last_hit == 0);
    bench.idle_cycles(1);
    CHECK(bench.last_hit == 1U << 10);
    bench.idle_cycles(1);
    CHECK(bench.last_hit == 1);
    bench.idle_cycles(bench.size.entries + 16);
    CHECK_FALSE(bench.sim->sweep_busy_o);
    CHECK(bench.sim->free_entries_o == bench.size.entries - 3);
    CHECK(bench.hits({0, 0, 10, 0, 0, 1}) == 1U << 3);
    CHECK(bench.hits({0, 1, 11, 0, 0, 1}) == 0);
    CHECK(bench.hits({0, 2, 12, 0, 0, 1}) == 1U << 10);
  }
  SECTION("every owner") {
    bench.cycle({}, Lookup{1, 1, 11, 0, 0, 1}, Retire{true, 3, 9, 2});
    bench.idle_cycles(2);
    CHECK(bench.last_hit == 0);
    bench.idle_cycles(bench.size.entries + 16);
    CHECK(bench.sim->free_entries_o == bench.size.entries);
  }
  SECTION("a second one while the first is swept") {
    bench.cycle({}, {}, Retire{false, 0, 0, 3});
    bench.cycle({}, Lookup{1, 1, 11, 0, 0, 1}, Retire{false, 1, 0, 500});
    bench.cycle({}, Lookup{0, 0, 10, 0, 0, 1});
    bench.idle_cycles(1);
    CHECK(bench.last_hit == 0);
    bench.idle_cycles(1);
    CHECK(bench.last_hit == 1U << 4);
    bench.idle_cycles(2 * (bench.size.entries + 16));
    CHECK_FALSE(bench.sim->sweep_busy_o);
    CHECK(bench.sim->free_entries_o == bench.size.entries - 3);
  }
}

TEST_CASE("what is installed again while its range is swept stays", "[tag]") {
  // Whether the sweep is before, at or beyond the entry: every delay is tried.
  for (unsigned delay = 0; delay < 40; ++delay) {
    Bench<VTag_small> bench(delay);
    bench.open_profile(0);
    for (unsigned g = 0; g < 12; ++g) bench.present(3, g, g, g, 100 + g);
    bench.present(3, 8, 1, 20, 108);
    bench.cycle({}, {}, Retire{false, 3, 0, 8 * 16 + 8});
    bench.idle_cycles(delay);
    const unsigned granule = delay % 2 == 0 ? 8 : 5;
    bench.present(3, granule, 4, 30, granule == 8 ? 108 : 999);
    bench.idle_cycles(bench.size.entries + 16);
    REQUIRE_FALSE(bench.sim->sweep_busy_o);
    CHECK(bench.hits({3, granule, granule == 8 ? 108U : 999U, 0, 0, 1}) == 1U << 4);
    CHECK(bench.hits({3, 9, 109, 0, 0, 1}) == 1U << 9);
  }
}

TEST_CASE("a full array refuses new granules, takes more tokens of those it has, and frees what is removed", "[tag]") {
  Bench<VTag_small> bench(1);
  bench.open_profile(0);
  for (unsigned e = 0; e < bench.size.entries; ++e) {
    REQUIRE(bench.command({Install, 0, e, 0, 0, e, 0, 0, 0}).first == Ok);
  }
  CHECK(bench.sim->free_entries_o == 0);
  CHECK(bench.command({Install, 1, 0, 0, 0, 20, 0, 0, 0}).first == NoEntry);
  const auto [status, entry] = bench.command({Install, 0, 4, 1, 0, 21, 0, 0, 0});
  CHECK(status == Ok);
  CHECK(bench.command({Install, 0, 4, 1, 0, 22, 0, 0, 0}).first == Already);
  CHECK(bench.command({Remove, 0, 0, 0, entry, 4, 0, 0, 0}).first == Ok);
  CHECK(bench.command({Install, 1, 0, 0, 0, 20, 0, 0, 0}).first == NoEntry);
  CHECK(bench.command({Remove, 0, 0, 1, entry, 22, 0, 0, 0}).first == NotResident);
  // The very next command finds the entry that the one before it freed.
  REQUIRE(bench.cycle(Command{Remove, 0, 0, 1, entry, 21, 0, 0, 0}, {}));
  const Command again{Install, 1, 0, 0, 0, 20, 0, 0, 0};
  while (!bench.cycle(again, {})) {
  }
  bench.idle_cycles(2);
  CHECK(bench.last_ack.first == Ok);
}

TEST_CASE("a granule keeps one word: another block or generation is refused until the entry is empty", "[tag]") {
  Bench<VTag_small> bench(1);
  bench.open_profile(0);
  const unsigned entry = bench.present(1, 6, 2, 7, 1234);
  REQUIRE(bench.command({Install, 1, 6, 3, 0, 8, 0, 0, 0}).second == entry);
  CHECK(bench.command({SetWord, 0, 0, 3, entry, 8, 0, 4321, 0}).first == Generation);
  CHECK(bench.hits({1, 6, 1234, 0, 0, 1}) == 1U << 2);
  CHECK(bench.command({Remove, 0, 0, 3, entry, 8, 0, 0, 0}).first == Ok);
  CHECK(bench.command({Remove, 0, 0, 2, entry, 7, 0, 0, 0}).first == Ok);
  bench.present(1, 6, 2, 7, 4321);
  CHECK(bench.hits({1, 6, 4321, 0, 0, 1}) == 1U << 2);
  CHECK(bench.hits({1, 6, 1234, 0, 0, 1}) == 0);
}

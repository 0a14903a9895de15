// SPDX-License-Identifier: Apache-2.0
// bypass_mux with the real tag array and slot SRAM: every row exactly once, on the right stream, in order, with its
// data.
#include <VBypass_default.h>
#include <VBypass_small.h>

#include "bypass_env.hpp"

namespace {

using namespace kvsink::bypass_test;
using Small = Env<VBypass_small>;
using Default = Env<VBypass_default>;

/// Two planes of 2 and 3 beats, pages of 16, four owners of 200 tokens with all blocks mapped, one profile for all.
template <class E>
void simple(E& env, bool heads_outside = false, unsigned page_log2 = 4) {
  env.plain_layout({{0, 2}, {1, 3}}, page_log2, heads_outside, 4);
  Profile p;
  p.valid = true;
  p.layer_count = 4;
  p.heads = 0b11;
  p.planes = 0b11;
  p.slot_count = 16;
  env.set_profile(0, p);
  for (unsigned o = 0; o < 4; ++o) {
    Owner owner;
    owner.valid = true;
    owner.length = 200;
    owner.committed = 190;
    env.set_owner(o, owner);
    env.map_all(o);
  }
}

Request whole(unsigned id, unsigned owner, unsigned planes = 0b11) {
  Request r;
  r.id = id;
  r.owner = owner;
  r.planes = planes;
  r.count = 200;
  return r;
}

/// Random layouts, owners, residents and requests, round after round; residency changes between rounds only.
template <class E>
void storm(uint64_t seed, unsigned rounds, unsigned requests, bool errors) {
  E env(seed);
  KVSINK_INFO_SEED(env.rng);
  auto& rng = env.rng;
  unsigned id = 0;
  for (unsigned round = 0; round < rounds; ++round) {
    // Layout: one to four planes, any of the eight, apart or fused, tokens outside heads or heads outside tokens.
    std::vector<std::pair<unsigned, unsigned>> planes;
    const auto count = static_cast<unsigned>(rng.range(1, 4));
    const auto limit = std::min(env.row_beats_max, 5U);
    unsigned used = 0;
    for (unsigned q = static_cast<unsigned>(rng.below(4)); q < 8 && planes.size() < count; ++q) {
      if (rng.percent(60) || 8 - q <= count - planes.size()) {
        planes.push_back({q, static_cast<unsigned>(rng.range(1, limit))});
        used |= 1U << q;
      }
    }
    const auto page_log2 = static_cast<unsigned>(rng.range(4, 7));
    const unsigned layer_count = 4;
    const bool runs = round % 3 == 0;  // tokens of a head one behind the other, and a burst is dear
    env.plain_layout(planes, page_log2, runs || rng.coin(), layer_count, !runs && rng.coin());
    unsigned unusable = 0;
    Layout l = env.layout;
    if (errors && rng.percent(30)) {  // a plane that is not there
      unusable = 1U << planes[0].first;
      l.plane[planes[0].first].valid = false;
    }
    if (rng.coin()) l.plane[planes.back().first].share = static_cast<unsigned>(rng.range(1, page_log2));  // shared rows
    env.set_layout(l);
    // Profiles, their slots side by side.
    unsigned slot = 0, base = 0;
    for (unsigned i = 0; i < std::min(env.profile_count, 2U); ++i) {
      Profile p;
      p.valid = true;
      p.layer_first = static_cast<unsigned>(rng.below(2));
      p.layer_count = static_cast<unsigned>(rng.range(1, layer_count - p.layer_first));
      p.heads = rng.range(1, (1ULL << std::min(env.heads, 4U)) - 1);
      p.planes = i == 0 ? used : std::max(1U << planes[0].first, static_cast<unsigned>(rng.next()) & used);
      p.slot_first = slot;
      p.base = base;
      env.set_profile(i, p);
      p = env.profiles[i];
      p.slot_count = std::min(env.slots / 2, (env.sram_beats - base) / (2 - i) / std::max(1U, p.slot_beats));
      env.profiles[i].slot_count = p.slot_count;
      slot += p.slot_count;
      base += p.slot_count * p.slot_beats;
    }
    // Owners: 0 and 3 on their own, 1 and 2 with 0 as prefix.
    const unsigned page = 1U << page_log2;
    for (unsigned o = 0; o < 4; ++o) {
      Owner owner;
      owner.valid = !(errors && o == 3 && rng.coin());
      owner.length = static_cast<unsigned>(rng.range(o == 0 ? 2 * page : page + 1, std::min(env.positions, 400U)));
      owner.committed = rng.coin() ? owner.length : static_cast<unsigned>(rng.range(owner.length / 2, owner.length));
      if (o == 1 || o == 2) {
        owner.prefix_valid = rng.percent(80);
        owner.prefix = 0;
        owner.prefix_len = std::min(owner.length, env.owners[0].length) / page * page;
        if (rng.coin()) owner.prefix_len = std::min(owner.prefix_len, page);
      }
      env.set_owner(o, owner);
      env.map_all(o);
      if (errors && rng.percent(30))
        env.owners[o].table.erase(static_cast<unsigned>(rng.below(owner.length / page + 1)));
    }
    // Residents, clustered.
    for (unsigned i = 0; i < 2; ++i) {
      const Profile p = env.profiles[i];
      unsigned granules = 0;
      for (unsigned s = p.slot_first; s < p.slot_first + std::min(p.slot_count, 14U); ++s) {
        const auto o = static_cast<unsigned>(rng.below(4));
        const Owner& owner = env.owners[o];
        if (!owner.valid) continue;
        // Also above the committed length: whatever the controller does, such a token must not hit.
        auto position = static_cast<unsigned>(rng.below(rng.coin() ? std::min(owner.length, 20U) : owner.length));
        if (!env.residents.empty() && rng.percent(50)) {
          const auto& near = env.residents.begin()->first;
          if (near.first == o)
            position = std::min(owner.length - 1, near.second + static_cast<unsigned>(rng.below(16)));
        }
        if (env.effective(o, position) != o || env.residents.contains({o, position}) || !env.word_of(o, position))
          continue;
        if (++granules > env.entries / 2) break;
        env.promote(o, position, s, i, rng.percent(80) ? ~0U : static_cast<unsigned>(rng.below(layer_count)));
      }
    }
    env.error_one_in = errors && rng.coin() ? static_cast<unsigned>(rng.range(20, 200)) : 0;
    // How the world around behaves in this round.
    const auto stall = [&](const char* name) {
      return Stall(rng.fork(name), rng.coin() ? 0 : static_cast<unsigned>(rng.below(40)),
                   static_cast<unsigned>(rng.range(1, 6)));
    };
    env.req_stall = stall("req");
    env.sink_stall = stall("sink");
    env.bulk_stall = stall("bulk");
    env.walk_stall = stall("walk");
    env.ar_stall = stall("ar");
    env.r_stall = stall("r");
    env.latency = static_cast<unsigned>(rng.range(2, 60));
    env.set_burst_cost(static_cast<unsigned>(runs ? rng.range(100, 255) : rng.below(rng.coin() ? 12 : 256)));
    env.walk_latency = static_cast<unsigned>(rng.range(1, 30));

    std::vector<Request> kept;
    for (unsigned i = 0; i < requests; ++i) {
      Request r;
      r.id = id++ % 256;
      r.owner = static_cast<unsigned>(rng.below(4));
      const Owner& owner = env.owners[r.owner];
      r.layer = static_cast<unsigned>(rng.below(errors && rng.percent(3) ? env.layers : layer_count));
      r.head = static_cast<unsigned>(rng.below(4));
      while (r.planes = static_cast<unsigned>(rng.next()) & used & (rng.percent(90) ? ~unusable : ~0U),
             r.planes == 0 && rng.percent(95) && used != unusable) {
      }
      if (errors && rng.percent(5)) r.planes |= 1U << rng.below(8);
      if (rng.percent(25)) {
        r.by_granule = true;
        r.first = static_cast<unsigned>(rng.below(owner.length));
        r.mask = static_cast<unsigned>(rng.next() & 0xffff);
        for (unsigned t = 0; t < 16 && !errors; ++t) {
          if (r.first / 16 * 16 + t >= owner.length) r.mask &= ~(1U << t);
        }
      } else {
        r.first = static_cast<unsigned>(rng.below(owner.length));
        r.count = static_cast<unsigned>(rng.below(owner.length - r.first + 1));
        if (rng.percent(30)) {
          r.first = 0;
          r.count = owner.length;
        }
        if (errors && rng.percent(4))
          r.count = static_cast<unsigned>(rng.range(1, std::min(2 * owner.length, env.positions)));
      }
      r.bulk_only = rng.percent(10);
      r.keep = rng.percent(20);
      if (!kept.empty() && rng.percent(40)) {
        const Request k = rng.pick(kept);
        r.owner = k.owner;
        r.layer = k.layer;
        r.head = k.head;
        r.follow = true;
        r.follow_id = rng.percent(95) ? k.id : (k.id + 1) % 256;
        if (rng.percent(85)) {  // a subset
          r.by_granule = k.by_granule;
          r.first = k.first;
          r.count = k.count;
          r.mask = k.mask;
          if (!k.by_granule && k.count > 1 && k.first + k.count <= env.positions && rng.coin()) {
            const auto skip = static_cast<unsigned>(rng.below(k.count));
            r.first += skip;
            r.count -= skip;
          }
          if (k.by_granule) r.mask &= static_cast<unsigned>(rng.next());
        }
      }
      if (r.keep) kept.push_back(r);
      env.send(r);
    }
    env.drain();
    // What was kept ends, by a step or by the owner; then other tokens are resident.
    env.end_keeping(0, true);
    std::vector<Place> places;
    for (const auto& [place, resident] : env.residents) places.push_back(place);
    for (const Place& p : places) env.remove(p.first, p.second);
    for (unsigned i = 0; i < 10; ++i) env.tick();
  }
  CHECK(env.rows_seen[1] > rounds * requests * 10);
  CHECK(env.dropped > 0);
  CHECK(env.rows_seen[0] > 20);
  CHECK(env.sim->list_serial_o > rounds * requests / 5);
  if (errors) CHECK(env.errors_seen > 100);
  if (!errors) CHECK(env.errors_seen < env.rows_seen[1] / 2);
}

/// A piece of a row that lies within 4 KiB, in beats.
struct Piece {
  uint64_t at, beats;
  bool run;  // what lies between it and the piece before may be read and dropped, or is nothing
};

/// Beats, bursts, and both together, of reading pieces in their order.
struct Cost {
  uint64_t beats = 0, bursts = 0;
  uint64_t total(uint64_t burst_cost) const { return beats + burst_cost * bursts; }
};

/// The rows of a request as pieces, in the order of the bulk stream: pages down, then plane, then token; cut at 4 KiB.
/// A gap may be read where each of its beats belongs to a row that the sink stream of this request serves, of the page
/// and plane of both its neighbours.
template <class E>
std::vector<Piece> pieces_of(const E& env, const Pending& pending) {
  using Where = std::tuple<int, unsigned>;  // page, plane
  std::map<std::tuple<int, unsigned, unsigned>, Row> rows;
  std::map<Where, std::set<uint64_t>> served;  // beats
  for (const auto& [key, row] : pending.rows) {
    const int page = -static_cast<int>(row.position >> env.layout.page_log2);
    if (!row.sink) rows[{page, row.plane, row.position}] = row;
    for (unsigned i = 0; row.sink && i < row.beats; ++i) {
      served[{page, row.plane}].insert(row.address / env.beat_bytes + i);
    }
  }
  const uint64_t page_beats = 4096 / env.beat_bytes;
  std::vector<Piece> pieces;
  Where before{};
  for (const auto& [key, row] : rows) {
    const Where where{std::get<0>(key), row.plane};
    uint64_t at = row.address / env.beat_bytes;
    for (uint64_t left = row.beats; left != 0;) {
      const uint64_t n = std::min(left, page_beats - at % page_beats);
      bool run = !pieces.empty() && pieces.back().at + pieces.back().beats <= at;
      for (uint64_t i = run ? pieces.back().at + pieces.back().beats : at; run && i < at; ++i) {
        run = where == before && served[where].contains(i);
      }
      pieces.push_back({at, n, run});
      before = where;
      at += n;
      left -= n;
    }
  }
  return pieces;
}

/// The least beats + burst_cost * bursts of any way to cut the pieces, in their order, into bursts within 4 KiB and 256
/// beats that read no gap but those that may be read, by trying every last burst before every place.
uint64_t least_cost(const std::vector<Piece>& pieces, uint64_t page_beats, uint64_t burst_cost) {
  std::vector<uint64_t> least(pieces.size() + 1, 0);
  for (size_t end = 1; end <= pieces.size(); ++end) {
    least[end] = ~uint64_t{0};
    const uint64_t stop = pieces[end - 1].at + pieces[end - 1].beats;
    for (size_t begin = end; begin-- > 0;) {
      if (begin + 1 < end && !pieces[begin + 1].run) break;
      const uint64_t first = pieces[begin].at;
      if (first / page_beats != (stop - 1) / page_beats || stop - first > 256) break;
      least[end] = std::min(least[end], least[begin] + stop - first + burst_cost);
    }
  }
  return least[pieces.size()];
}

/// Bursts that join all gaps that may be read, or none, as far as 4 KiB and 256 beats allow.
Cost greedy(const std::vector<Piece>& pieces, uint64_t page_beats, bool gaps) {
  Cost c;
  uint64_t first = 0, end = 0;
  for (const Piece& p : pieces) {
    const bool on = c.bursts != 0 && p.run && (gaps || p.at == end) && p.at / page_beats == first / page_beats &&
                    p.at + p.beats - first <= 256;
    if (!on) {
      ++c.bursts;
      first = p.at;
    }
    c.beats += on ? p.at + p.beats - end : p.beats;
    end = p.at + p.beats;
  }
  return c;
}

/// Requests one by one with gaps between their rows (residents, masks, other heads' and planes' rows): what was read
/// costs the least.
template <class E>
void weigh(uint64_t seed, unsigned rounds) {
  E env(seed);
  KVSINK_INFO_SEED(env.rng);
  auto& rng = env.rng;
  uint64_t dropped = 0, split = 0, between = 0, others = 0;
  for (unsigned round = 0; round < rounds; ++round) {
    const auto page_log2 = static_cast<unsigned>(rng.range(4, 7));
    const bool heads_outside = rng.percent(75);
    env.plain_layout({{0, static_cast<unsigned>(rng.range(1, 5))}, {1, static_cast<unsigned>(rng.range(1, 5))}},
                     page_log2, heads_outside, 2, rng.percent(30));
    const bool one_head = rng.percent(25);  // its K rows, and its V rows behind them, in each block
    if (one_head) {
      Layout l = env.layout;
      const unsigned page = 1U << page_log2;
      l.plane[0].offset = 0;
      l.plane[1].offset = page * l.plane[0].beats * env.beat_bytes;
      for (unsigned i = 0; i < 2; ++i) {
        l.plane[i].tensor = 0;
        l.plane[i].set = i;
        l.stride[i].token = l.plane[i].beats * env.beat_bytes;
        l.stride[i].block = uint64_t{page} * (l.plane[0].beats + l.plane[1].beats) * env.beat_bytes;
      }
      env.set_layout(l);
    } else if (rng.percent(30)) {  // rows that tokens share
      Layout l = env.layout;
      l.plane[1].share = static_cast<unsigned>(rng.range(1, page_log2));
      env.set_layout(l);
    }
    Profile p;
    p.valid = true;
    p.layer_count = 2;
    p.heads = 0b1111;
    p.planes = 0b11;
    p.slot_count = 14;
    env.set_profile(0, p);
    Owner owner;
    owner.valid = true;
    owner.length = owner.committed = 200;
    env.set_owner(0, owner);
    env.map_all(0);
    unsigned position = static_cast<unsigned>(rng.below(40));
    for (unsigned slot = 0; slot < 14 && position < 200; ++slot) {
      env.promote(0, position, slot, 0);
      position += static_cast<unsigned>(rng.range(1, rng.coin() ? 6 : 16));
    }
    for (unsigned i = 0; i < 12; ++i) {
      const unsigned cost = rng.percent(20) ? 0 : static_cast<unsigned>(rng.below(rng.percent(80) ? 16 : 256));
      env.set_burst_cost(cost);
      Request r = whole(i, 0, static_cast<unsigned>(rng.range(1, 3)));
      r.layer = static_cast<unsigned>(rng.below(2));
      r.head = one_head ? 0 : static_cast<unsigned>(rng.below(4));
      if (rng.percent(30)) {
        r.by_granule = true;
        r.first = 16 * static_cast<unsigned>(rng.below(12));
        r.mask = static_cast<unsigned>(rng.next() & rng.next() & 0xffff);
      }
      const uint64_t accepted = env.accepted, bursts = env.bursts, beats = env.burst_beats, drops = env.dropped;
      env.send(r);
      while (env.accepted == accepted) env.tick();
      const uint64_t page_beats = 4096 / env.beat_bytes;
      const std::vector<Piece> pieces = pieces_of(env, env.pending.back());
      uint64_t needed = 0;
      for (size_t n = 0; n < pieces.size(); ++n) {
        needed += pieces[n].beats;
        if (n == 0 || pieces[n].run) continue;
        const uint64_t end = pieces[n - 1].at + pieces[n - 1].beats;
        others +=
            pieces[n].at > end && pieces[n].at - end < cost && pieces[n].at / page_beats == (end - 1) / page_beats;
      }
      env.drain();
      for (int settle = 0; settle < 4; ++settle) env.tick();
      const Cost read{env.burst_beats - beats, env.bursts - bursts};
      const Cost never = greedy(pieces, page_beats, false);
      const Cost always = greedy(pieces, page_beats, true);
      CAPTURE(round, i, cost, read.beats, read.bursts, never.beats, never.bursts, always.beats, always.bursts);
      REQUIRE(read.total(cost) == least_cost(pieces, page_beats, cost));
      REQUIRE(read.total(cost) <= never.total(cost));
      REQUIRE(read.total(cost) <= always.total(cost));
      REQUIRE(env.dropped - drops == read.beats - needed);
      dropped += read.beats - needed;
      split += read.bursts > always.bursts;
      between += read.total(cost) < never.total(cost) && read.total(cost) < always.total(cost);
    }
    env.end_keeping(0, true);
    std::vector<Place> places;
    for (const auto& [place, resident] : env.residents) places.push_back(place);
    for (const Place& place : places) env.remove(place.first, place.second);
    for (unsigned i = 0; i < 10; ++i) env.tick();
  }
  // Both ways were taken, and each was beaten; and there were short gaps that may not be read.
  CHECK(dropped > 100);
  CHECK(split > 10);
  CHECK(between > 10);
  CHECK(others > 100);
}

}  // namespace

TEST_CASE("gaps of resident tokens are read and dropped exactly where that costs less than a burst more, no others",
          "[bypass]") {
  const uint64_t seed = kvsink::tb::seed_from_env();
  SECTION("small") { weigh<Small>(seed, 50); }
  SECTION("default") { weigh<Default>(seed + 1, 40); }
}

TEST_CASE("every row of random requests comes once, on the stream its residency says, in order, bit for bit",
          "[bypass]") {
  const uint64_t seed = kvsink::tb::seed_from_env();
  SECTION("small") { storm<Small>(seed, 12, 60, false); }
  SECTION("small, with every kind of error") { storm<Small>(seed + 1, 16, 60, true); }
  SECTION("default") { storm<Default>(seed + 2, 6, 60, true); }
}

TEST_CASE("a request without rows brings two end markers and nothing else", "[bypass]") {
  Small env(1);
  simple(env);
  Request r = whole(1, 0);
  r.count = 0;
  env.send(r);
  r = whole(2, 0, 0);
  env.send(r);
  r = whole(3, 0);
  r.by_granule = true;
  env.send(r);
  env.drain(200);
  CHECK(env.ends_seen == std::array<uint64_t, 2>{3, 3});
  CHECK(env.rows_seen == std::array<uint64_t, 2>{0, 0});
}

TEST_CASE("a stream that is never taken does not stop the other one", "[bypass]") {
  Small env(1);
  simple(env);
  for (unsigned t = 0; t < 10; ++t) env.promote(0, t * 18, t, 0);
  for (unsigned i = 0; i < 8; ++i) env.send(whole(i, 0));
  SECTION("sink held: bulk ends for all requests that fit") {
    env.sink_held = true;
    for (unsigned i = 0; i < 20000; ++i) env.tick();
    CHECK(env.ends_seen[1] == env.readers);
    CHECK(env.ends_seen[0] == 0);
    env.sink_held = false;
  }
  SECTION("bulk held: sink ends for all requests that fit") {
    env.bulk_held = true;
    for (unsigned i = 0; i < 20000; ++i) env.tick();
    CHECK(env.ends_seen[0] == env.readers);
    CHECK(env.ends_seen[1] == 0);
    env.bulk_held = false;
  }
  env.drain();
  CHECK(env.ends_seen == std::array<uint64_t, 2>{8, 8});
}

TEST_CASE("a kept lookup serves its followers, also when the token has left since", "[bypass]") {
  Small env(1);
  simple(env);
  for (unsigned t = 0; t < 6; ++t) env.promote(1, t * 7, t, 0);
  Request k = whole(10, 1, 0b01);
  k.keep = true;
  env.send(k);
  env.drain();
  CHECK(env.rows_seen[0] == 6);
  for (unsigned i = 0; i < 10; ++i) env.tick();
  const unsigned serial = env.sim->list_serial_o;
  env.remove(1, 7);
  env.remove(1, 14);
  Request v = whole(11, 1, 0b10);
  v.follow = true;
  v.follow_id = 10;
  SECTION("and without keep the list is free afterwards") {
    env.send(v);
    env.drain();
    CHECK(env.rows_seen[0] == 12);
    CHECK(env.sim->list_serial_o == serial);
    for (unsigned i = 0; i < 10; ++i) env.tick();
    for (unsigned l = 0; l < env.readers; ++l) CHECK_FALSE(env.sim->list_open_o[l]);
    v.id = 12;
    env.send(v);  // expected stale
    env.drain();
    CHECK(env.errors_seen == 200);
    CHECK(env.events == 1);
  }
  SECTION("and with keep it can be followed again") {
    v.keep = true;
    env.send(v);
    v.id = 12;
    v.follow_id = 11;
    v.keep = false;
    env.send(v);
    env.drain();
    CHECK(env.rows_seen[0] == 18);
  }
  SECTION("until the step of its owner ends") {
    env.end_keeping(2, false);
    env.send(v);
    env.drain();
    CHECK(env.errors_seen == 0);
    k.id = 20;
    env.send(k);
    env.drain();
    env.end_keeping(1, false);
    v.follow_id = 20;
    env.send(v);
    env.drain();
    CHECK(env.errors_seen == 200);
  }
}

TEST_CASE("only half of the lists are kept; one more keep is served from bulk and its end markers say so", "[bypass]") {
  Small env(1);
  simple(env);
  for (unsigned t = 0; t < 6; ++t) env.promote(2, t * 7, t, 0);
  for (unsigned i = 0; i < env.readers / 2 + 1; ++i) {
    Request k = whole(i, 2, 0b01);
    k.keep = true;
    env.send(k);
  }
  env.drain();
  CHECK(env.rows_seen[0] == 6 * env.readers / 2);
  unsigned open = 0;
  for (unsigned i = 0; i < 10; ++i) env.tick();
  for (unsigned l = 0; l < env.readers; ++l) open += env.sim->list_open_o[l];
  CHECK(open == env.readers / 2);
  // And others still find lists.
  for (unsigned i = 10; i < 20; ++i) env.send(whole(i, 2));
  env.drain();
}

TEST_CASE("contiguous rows become the longest bursts that 4 KiB and 256 beats allow", "[bypass]") {
  Small env(1);
  // Heads outside tokens, pages of 128 tokens: 128 rows of 4 beats of 16 bytes, 8 KiB in one piece.
  env.plain_layout({{0, 4}}, 7, true, 1);
  Owner o;
  o.valid = true;
  o.length = o.committed = 128;
  env.set_owner(0, o);
  env.map_all(0);
  env.set_base(0, 0, 0);
  Request r = whole(1, 0, 1);
  r.count = 128;
  env.send(r);
  env.drain();
  CHECK(env.burst_beats == 512);
  CHECK(env.bursts == 2);
  CHECK(env.longest_burst == 256);
  // Off the 4 KiB grid by 5 beats: the first and the last piece are cut, in the middle of a row.
  env.set_base(0, 0, 5 * 16);
  env.send(r);
  env.drain();
  CHECK(env.bursts == 5);
}

TEST_CASE("a retire flags the rows that were not yet read, and only those", "[bypass]") {
  for (unsigned when = 0; when < 120; when += 1) {
    Small env(kvsink::tb::seed_from_env() + when);
    KVSINK_INFO_SEED(env.rng);
    INFO("retire " << when << " cycles after the first request");
    simple(env, when % 2 == 0, 4 + when % 3);
    Owner o = env.owners[1];  // 1 has 0 as prefix
    o.prefix_valid = true;
    o.prefix = 0;
    o.prefix_len = 64;
    env.set_owner(1, o);
    for (unsigned t = 0; t < 5; ++t) env.promote(0, t * 9, t, 0);
    for (unsigned t = 0; t < 5; ++t) env.promote(1, 70 + t * 9, 5 + t, 0);
    env.track_reads = true;
    env.latency = 30;
    env.ar_stall = Stall(env.rng.fork("ar"), when % 5 == 0 ? 60 : 0, 8);
    env.bulk_stall = Stall(env.rng.fork("bulk"), when % 3 == 0 ? 50 : 0, 8);
    env.send(whole(1, 1));
    env.send(whole(2, 0, 0b10));
    env.send(whole(3, 2, 0b01));
    const uint64_t from = env.sim.cycle();
    while (env.sim.cycle() < from + 1 + when * 12) env.tick();
    const auto first = static_cast<unsigned>(env.rng.below(100));
    const unsigned owner = when % 4 == 3 ? 1 : 0;
    env.retire(owner, first, first + static_cast<unsigned>(env.rng.below(90)), when % 11 == 10);
    env.send(whole(4, 1));
    env.send(whole(5, 0));
    env.drain();
    for (unsigned i = 0; i < 10; ++i) env.tick();
    CHECK(env.events <= 3);
    // Rows on their way are read for nothing, those behind them are not (here no two rows make one burst).
    if (when % 2 == 1) CHECK(env.late_beats <= 30);
  }
}

TEST_CASE("a retire of one of the tokens that share a row flags the row", "[bypass]") {
  uint64_t retired = 0;
  for (unsigned when = 0; when < 60; ++when) {
    Small env(kvsink::tb::seed_from_env() + when);
    KVSINK_INFO_SEED(env.rng);
    INFO("retire " << when << " times 12 cycles after the first request");
    simple(env, when % 2 == 0, 4 + when % 3);
    Layout l = env.layout;
    l.plane[1].share = 1 + when % l.page_log2;
    env.set_layout(l);
    env.track_reads = true;
    env.latency = 30;
    env.ar_stall = Stall(env.rng.fork("ar"), 70, 12);
    for (unsigned i = 0; i < 3; ++i) env.send(whole(i, i % 2));
    const uint64_t from = env.sim.cycle();
    while (env.sim.cycle() < from + 1 + when * 12) env.tick();
    const auto first = static_cast<unsigned>(env.rng.below(100));
    env.retire(0, first, first + static_cast<unsigned>(env.rng.below(20)));
    env.send(whole(4, 0));
    env.drain();
    retired += env.retired_seen;
  }
  CHECK(retired > 100);
}

TEST_CASE("one error event a request, and none holds up a stream", "[bypass]") {
  Small env(1);
  simple(env);
  env.expect_events = false;
  env.err_stall = Stall(env.rng.fork("err"), 100, 1000000);
  for (unsigned i = 0; i < 6; ++i) {
    Request r = whole(i, 0);
    r.count = 210;
    env.send(r);
  }
  env.drain();
  CHECK(env.errors_seen == 6 * 420);
  CHECK(env.events == 0);
  env.err_stall = Stall();
  for (unsigned i = 0; i < 5; ++i) env.tick();
  CHECK(env.events == 1);
}

TEST_CASE("the bulk path keeps the bus full on scattered rows", "[bypass]") {
  struct Case {
    unsigned beats, latency;
  };
  for (const Case c : {Case{2, 100}, Case{2, 150}, Case{2, 250}, Case{8, 150}, Case{8, 250}}) {
    Default env(1);
    env.plain_layout({{0, c.beats}, {1, c.beats}}, 4, false, 1);
    Owner o;
    o.valid = true;
    o.length = o.committed = 512;
    env.set_owner(0, o);
    env.map_all(0);
    env.latency = c.latency;
    for (unsigned i = 0; i < 12; ++i) {
      Request r = whole(i, 0, i % 2 == 0 ? 0b01 : 0b10);
      r.count = 512;
      env.send(r);
    }
    env.drain();
    const double used =
        static_cast<double>(env.beats_seen[1]) / static_cast<double>(env.last_beat[1] - env.first_beat[1] + 1);
    INFO(c.beats << " beats a row, latency " << c.latency << ": " << used);
    CHECK(used >= 0.98);
  }
}

TEST_CASE("the sink path gives a beat a cycle beside the bulk path", "[bypass]") {
  Small env(1);
  env.plain_layout({{0, 4}, {1, 4}}, 4, false, 1);
  Profile p;
  p.valid = true;
  p.heads = 1;
  p.planes = 3;
  env.set_profile(0, p);
  Owner o;
  o.valid = true;
  o.length = o.committed = 64;
  env.set_owner(0, o);
  env.map_all(0);
  // Half of the tokens of each granule.
  for (unsigned t = 0; t < 32; ++t) env.promote(0, 2 * t, t, 0);
  env.latency = 50;
  for (unsigned i = 0; i < 40; ++i) {
    Request r = whole(i, 0);
    r.count = 64;
    env.send(r);
  }
  env.drain();
  for (const unsigned stream : {0U, 1U}) {
    const double used = static_cast<double>(env.beats_seen[stream]) /
                        static_cast<double>(env.last_beat[stream] - env.first_beat[stream] + 1);
    INFO((stream == 0 ? "sink " : "bulk ") << used);
    CHECK(used >= 0.95);
  }
}

// SPDX-License-Identifier: Apache-2.0
#include "tb/system/env.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <random>

#include "sw/driver/include/kvs.h"

namespace kvsink::tb {
namespace {

using model::Status;

constexpr uint32_t kPlanes = 2;
constexpr uint32_t kBlockBits = 24;
constexpr uint32_t kUnmapped = 0x8000'0000;
constexpr uint64_t kTableRegion = 0x2'0000'0000;
constexpr uint64_t kRowRegion = 0x3'0000'0000;
constexpr uint64_t kHang = 2'000'000;

}  // namespace

std::unique_ptr<SystemEnv> SystemEnv::make(const EnvOptions& options, std::string& why) {
  auto env = std::unique_ptr<SystemEnv>(new SystemEnv(options));
  why = env->set_up();
  if (!why.empty()) return nullptr;
  return env;
}

std::string SystemEnv::set_up() {
  std::string why;
  instance_ = Instance::make(options_.bench, differences_, why);
  if (!instance_) return why;
  options_.owners = std::min(options_.owners, caps().owners);
  options_.positions = std::min(options_.positions, caps().positions);
  row_bytes_ = options_.row_beats * bench().beat_bytes();
  max_pages_ = (options_.positions + options_.page_tokens - 1) / options_.page_tokens;
  if (options_.blocks == 0) options_.blocks = 2 * options_.owners * max_pages_ + 8;

  tables_ = kTableRegion;
  rows_base_ = kRowRegion;
  table_bytes_ = (uint64_t{max_pages_} * 4 + 127) / 64 * 64;
  block_bytes_ = uint64_t{options_.page_tokens} * options_.kv_heads * row_bytes_;
  tensor_bytes_ = (block_bytes_ * options_.blocks + 4095) / 4096 * 4096;
  const RowLayout rows{options_.layers,
                       options_.page_tokens,
                       kBlockBits,
                       row_bytes_,
                       block_bytes_,
                       uint64_t{options_.heads_outside ? options_.page_tokens : 1} * row_bytes_,
                       uint64_t{options_.heads_outside ? 1 : options_.kv_heads} * row_bytes_,
                       [this](uint32_t layer, uint32_t plane) {
                         return rows_base_ + (uint64_t{layer} * kPlanes + plane) * tensor_bytes_;
                       }};
  if (why = instance_->configure(rows, options_.kv_heads, options_.registers, RowBytes{}); !why.empty()) return why;

  instance_->rows().judge([this](const Row& row) { return judge(row); });
  instance_->rows().on_row([this](const Row& row) {
    if (on_row) on_row(row);
  });
  instance_->rows().on_closed([this](const RowRequest& request, bool refused) {
    RequestInfo& info = info_[request.id];
    info.open = false;
    info.closed = true;
    info.refused |= refused;
    --requests_open_;
    if (on_closed) on_closed(request);
  });

  for (uint32_t block = 0; block < options_.blocks; ++block) free_.push_back(block);
  std::mt19937_64 shuffle(options_.bench.seed);
  std::shuffle(free_.begin(), free_.end(), shuffle);
  generation_.assign(options_.blocks, 0);
  books_.resize(caps().owners);
  for (auto& b : books_) b.contexts.push_back({});
  views_.resize(caps().owners);
  keep_end_.assign(caps().owners, 0);

  bench().on_request = [this](const RowRequest& r) {
    RequestInfo& info = info_[r.id];
    info.waiting = false;
    info.open = true;
    info.accepted = cycle();
    instance_->rows().accepted(r, true);
  };
  instance_->rows().drafts([this](uint32_t owner, uint32_t position) {
    if (owner >= views_.size()) return false;
    const OwnerView* view = &views_[owner];
    if (view->spec.prefix >= 0 && position < view->spec.prefix_length) view = &views_[view->spec.prefix];
    return position >= view->committed;
  });
  bench().on_row_beat = [this](Path path, const RowBeat& beat) {
    // A follower may be served before its leader is closed on the other stream.
    if (beat.is_end && beat.error) info_[beat.id].refused = true;
    instance_->rows().beat(path, beat, cycle());
  };
  bench().on_done = [this](const std::array<uint32_t, 8>& words) {
    const auto tag = static_cast<uint16_t>(words[0] >> 16);
    const auto found = under_way_.find(tag);
    if (found == under_way_.end() || found->second.op != (words[0] & 0xff)) {
      fail(fmt::format("a completion with tag {} and opcode {}, which nobody waits for", tag, words[0] & 0xff));
      return;
    }
    Completion done{static_cast<Status>((words[0] >> 8) & 0xff), words[1], words[4]};
    const Then then = std::move(found->second.then);
    under_way_.erase(found);
    ++commands_done_;
    ++statuses_[done.status];
    if (then) then(done);
  };
  bench().on_probe = [this](const ProbeEvent& e) {
    if (e.kind == ProbeKind::kRetire) {
      retired_.push_back({e.f[0] != 0, e.f[1], e.f[2], e.f[3], cycle()});
    } else if (e.kind == ProbeKind::kCommand) {
      const auto op = static_cast<uint8_t>(e.f[0]);
      const auto owner = (e.f[1] >> 32) & 0xffff;
      if (op == kOpRetire && ((e.f[0] >> 8) & 1) != 0) keep_end_all_ = cycle();
      if ((op == kOpSetOwner || op == kOpRetire || op == kOpStepEnd) && owner < keep_end_.size()) {
        keep_end_[owner] = cycle();
      }
    }
    instance_->residency().event(e);
  };
  return {};
}

// ------------------------------------------------------------------------------------------------------------- time
void SystemEnv::tick() {
  bench().tick();
  if (cycle() % 4096 == 0) prune();
}
void SystemEnv::ticks(uint64_t count) {
  for (uint64_t i = 0; i < count; ++i) tick();
}
bool SystemEnv::until(const char* what, const std::function<bool()>& done, uint64_t limit) {
  for (uint64_t i = 0; i < limit; ++i) {
    if (done()) return true;
    tick();
  }
  if (done()) return true;
  std::string open;
  for (const auto& [tag, command] : under_way_) open += fmt::format(" {}", command.op);
  fail(fmt::format("{}: nothing more after {} cycles; requests open: {}; commands open (opcodes):{}", what, limit,
                   instance_->rows().describe_open(), open));
  return false;
}

// What ended before every open request was accepted can explain no row any more.
void SystemEnv::prune() {
  uint64_t oldest = cycle();
  for (const auto& info : info_) {
    if (info.open) oldest = std::min(oldest, info.accepted);
  }
  const auto gone = [&](uint64_t to) { return to < oldest; };
  while (!retired_.empty() && gone(retired_.front().cycle)) retired_.pop_front();
  std::erase_if(faults_, [&](const FaultTime& f) { return gone(f.to); });
  for (auto& books : books_) {
    std::erase_if(books.contexts, [&](const Context& c) { return gone(c.to); });
    for (auto& context : books.contexts) {
      if (!context.life) continue;
      for (auto& page : context.life->pages) {
        while (page.size() > 1 && gone(page.front().to)) page.pop_front();
      }
    }
  }
}

// --------------------------------------------------------------------------------------------------------- contents
uint64_t SystemEnv::address(const Content& content, uint32_t token, uint32_t layer, uint32_t head,
                            uint32_t plane) const {
  return rows_base_ + (uint64_t{layer} * kPlanes + plane) * tensor_bytes_ + content.block * block_bytes_ +
         uint64_t{options_.heads_outside ? head * options_.page_tokens + token : token * options_.kv_heads + head} *
             row_bytes_;
}

void SystemEnv::fill_row(const Content& content, uint32_t layer, uint32_t plane, uint32_t token, uint32_t head,
                         std::vector<uint8_t>& row) const {
  row.resize(row_bytes_);
  const uint64_t key = mix64(content.serial << 20 | content.version[token]) ^
                       (uint64_t{layer} << 48 | uint64_t{plane} << 40 | uint64_t{head} << 32 | uint64_t{token} << 16);
  for (uint32_t i = 0; i < row_bytes_; i += 8) {
    const uint64_t word = mix64(key + i);
    std::memcpy(row.data() + i, &word, 8);
  }
}

void SystemEnv::write_content(const Content& content, uint32_t token) {
  for (uint32_t layer = 0; layer < options_.layers; ++layer) {
    for (uint32_t plane = 0; plane < kPlanes; ++plane) {
      for (uint32_t head = 0; head < options_.kv_heads; ++head) {
        fill_row(content, layer, plane, token, head, scratch_);
        bench().memory().write(address(content, token, layer, head, plane), scratch_);
      }
    }
  }
}

// The block given back last is handed out first: what still read it would show.
std::shared_ptr<SystemEnv::Content> SystemEnv::hand_out() {
  auto content = std::make_shared<Content>();
  if (free_.empty()) {
    fail("the bench has no free block");
    return content;
  }
  content->block = free_.back();
  free_.pop_back();
  generation_[content->block] = (generation_[content->block] + 1) % (1U << (31 - kBlockBits));
  content->serial = ++serial_;
  content->version.assign(options_.page_tokens, 0);
  for (uint32_t token = 0; token < options_.page_tokens; ++token) write_content(*content, token);
  return content;
}

void SystemEnv::write_word(Life& life, uint32_t page, const Content* content) {
  bench().memory().write32(life.table + uint64_t{4} * page,
                           content == nullptr ? kUnmapped : generation_[content->block] << kBlockBits | content->block);
}

void SystemEnv::give_back(const std::shared_ptr<Life>& life) {
  if (!life) return;
  for (auto& page : life->pages) {
    if (page.empty() || page.back().to != kAlways) continue;
    page.back().to = cycle();
    if (page.back().content) free_.push_back(page.back().content->block);
  }
}

uint64_t SystemEnv::row_address(uint32_t owner, uint32_t position, uint32_t layer, uint32_t head,
                                uint32_t plane) const {
  const auto& content = books_[owner].life->pages[position / options_.page_tokens].back().content;
  return address(*content, position % options_.page_tokens, layer, head, plane);
}
uint64_t SystemEnv::table_address(uint32_t owner, uint32_t page) const {
  return books_[owner].life->table + uint64_t{4} * page;
}

// --------------------------------------------------------------------------------------------------------- commands
void SystemEnv::send(const Command& c, Then then) {
  while (under_way_.contains(next_tag_)) ++next_tag_;
  const uint16_t tag = next_tag_++;
  under_way_[tag] = {c.op, std::move(then)};
  std::array<uint32_t, 16> words{};
  words[0] = uint32_t{c.op} | uint32_t{c.flags} << 8 | uint32_t{tag} << 16;
  words[1] = c.first;
  words[2] = c.count;
  words[3] = (c.owner & 0xffff) | c.profile << 16;
  size_t word = 4;
  for (const uint64_t arg : {c.arg0, c.arg1, c.arg2}) {
    words[word++] = static_cast<uint32_t>(arg);
    words[word++] = static_cast<uint32_t>(arg >> 32);
  }
  bench().commands.push(words);
}

Completion SystemEnv::run(const Command& command) {
  std::optional<Completion> answer;
  send(command, [&](const Completion& done) { answer = done; });
  until(
      "a command", [&] { return answer.has_value(); }, kHang);
  return answer.value_or(Completion{Status::kBusy, 0, 0});
}

Command SystemEnv::promote(uint32_t owner, uint32_t position, uint32_t profile, uint32_t dwell, uint64_t deadline,
                           uint64_t not_before) {
  return {.op = kOpPromote,
          .owner = owner,
          .profile = profile,
          .first = position,
          .arg0 = deadline,
          .arg1 = not_before,
          .arg2 = dwell};
}
Command SystemEnv::range(Opcode op, uint32_t owner, uint32_t first, uint32_t count) {
  return {.op = op, .owner = owner, .first = first, .count = count};
}
Command SystemEnv::simple(Opcode op, uint32_t owner, uint8_t flags) {
  return {.op = op, .flags = flags, .owner = owner};
}

// A command after which the owner has the context `next`; until its completion either may be the one that counts.
void SystemEnv::change(uint32_t owner, Context next, const Command& command, std::function<void(bool)> after,
                       const Then& then) {
  OwnerView& view = views_[owner];
  if (view.busy) fail(fmt::format("two changes of owner {} at once", owner));
  view.busy = true;
  next.from = cycle();
  next.to = kAlways;
  books_[owner].contexts.push_back(next);
  send(command, [this, owner, after = std::move(after), then](const Completion& done) {
    Books& books = books_[owner];
    const bool ok = done.status == Status::kOk;
    if (ok) {
      for (std::size_t i = 0; i + 1 < books.contexts.size(); ++i) {
        books.contexts[i].to = std::min(books.contexts[i].to, cycle());
      }
    } else {
      books.contexts.pop_back();
    }
    views_[owner].busy = false;
    after(ok);
    if (then) then(done);
  });
}

void SystemEnv::set_owner(uint32_t owner, const OwnerSpec& spec, const Then& then) {
  Books& books = books_[owner];
  auto life = std::make_shared<Life>();
  // Beside the table that is in use: the command may be refused.
  const uint64_t first = tables_ + uint64_t{owner} * 2 * table_bytes_;
  life->table = books.life && books.life->table == first ? first + table_bytes_ : first;
  life->pages.resize(max_pages_);
  const uint32_t pages = (spec.length + options_.page_tokens - 1) / options_.page_tokens;
  for (uint32_t page = 0; page < max_pages_; ++page) {
    std::shared_ptr<Content> content;
    if (page < pages && (spec.prefix < 0 || (page + 1) * options_.page_tokens > spec.prefix_length))
      content = hand_out();
    write_word(*life, page, content.get());
    life->pages[page].push_back({content, cycle(), kAlways});
  }
  Command c{.op = kOpSetOwner, .owner = owner, .first = spec.length, .count = spec.committed};
  c.flags = static_cast<uint8_t>(1 | (spec.is_public ? 2 : 0) | (spec.prefix >= 0 ? 4 : 0));
  c.arg0 = life->table;
  c.arg1 = spec.prefix_length | uint64_t{spec.prefix < 0 ? 0U : static_cast<uint32_t>(spec.prefix)} << 32;
  c.arg2 = spec.tenant | uint64_t{spec.slot_min} << 16 | uint64_t{spec.slot_max} << 32 | uint64_t{spec.profile} << 48;
  Context next;
  next.valid = true;
  next.prefix = spec.prefix;
  next.prefix_length = spec.prefix_length;
  next.length = spec.length;
  next.life = life;
  change(
      owner, next, c,
      [this, owner, life, spec](bool ok) {
        Books& b = books_[owner];
        if (!ok) {
          give_back(life);
          return;
        }
        give_back(b.life);
        b.life = life;
        OwnerView& view = views_[owner];
        view.valid = true;
        view.spec = spec;
        view.length = spec.length;
        view.committed = spec.committed;
        view.level = 0;
      },
      then);
}

void SystemEnv::reset_owner(uint32_t owner, const Then& then) {
  change(
      owner, {}, simple(kOpSetOwner, owner),
      [this, owner](bool ok) {
        if (!ok) return;
        give_back(books_[owner].life);
        books_[owner].life.reset();
        views_[owner] = OwnerView{};
      },
      then);
}

void SystemEnv::set_length(uint32_t owner, uint32_t length, uint32_t committed, const Then& then) {
  Books& books = books_[owner];
  const OwnerView& view = views_[owner];
  const uint32_t pages = std::min(max_pages_, (length + options_.page_tokens - 1) / options_.page_tokens);
  for (uint32_t page = (view.length + options_.page_tokens - 1) / options_.page_tokens; page < pages; ++page) {
    if (books.life && !books.life->pages[page].back().content) map_page(owner, page);
  }
  Context next = books.contexts.back();
  next.length = length;
  Command c = simple(kOpSetLength, owner);
  c.first = length;
  c.count = committed;
  change(
      owner, next, c,
      [this, owner, length, committed](bool ok) {
        if (!ok) return;
        views_[owner].length = length;
        views_[owner].committed = committed;
      },
      then);
}

void SystemEnv::open(uint32_t owner, const Then& then) {
  views_[owner].busy = true;
  send(simple(kOpOpen, owner), [this, owner, then](const Completion& done) {
    views_[owner].busy = false;
    if (done.status == Status::kOk) ++views_[owner].level;
    if (then) then(done);
  });
}

void SystemEnv::commit(uint32_t owner, uint32_t count, const Then& then) {
  views_[owner].busy = true;
  send(range(kOpCommit, owner, 0, count), [this, owner, count, then](const Completion& done) {
    OwnerView& view = views_[owner];
    view.busy = false;
    if (done.status == Status::kOk) {
      if (view.level == 1) view.committed += count;
      --view.level;
    }
    if (then) then(done);
  });
}

void SystemEnv::remap(uint32_t owner, uint32_t page, uint32_t count, bool unmapped, const Then& then) {
  const auto life = books_[owner].life;
  views_[owner].busy = true;
  std::vector<std::pair<uint32_t, uint32_t>> old;  // page, place of its mapping from the back
  for (uint32_t p = page; p < page + count; ++p) {
    auto& history = life->pages[p];
    if (!history.back().content) continue;
    const auto content = unmapped ? nullptr : hand_out();
    history.push_back({content, cycle(), kAlways});
    write_word(*life, p, content.get());
    old.emplace_back(p, 0);
  }
  send(range(kOpRetire, owner, page * options_.page_tokens, count * options_.page_tokens),
       [this, owner, life, old, then](const Completion& done) {
         views_[owner].busy = false;
         if (done.status != Status::kOk) fail(fmt::format("retire of owner {} was refused", owner));
         for (const auto& [p, unused] : old) {
           auto& mapping = life->pages[p][life->pages[p].size() - 2];
           mapping.to = cycle();
           free_.push_back(mapping.content->block);
         }
         if (then) then(done);
       });
}
void SystemEnv::move_pages(uint32_t owner, uint32_t page, uint32_t count, const Then& then) {
  remap(owner, page, count, false, then);
}
void SystemEnv::unmap_page(uint32_t owner, uint32_t page, const Then& then) { remap(owner, page, 1, true, then); }
void SystemEnv::map_page(uint32_t owner, uint32_t page) {
  auto& history = books_[owner].life->pages[page];
  if (history.back().content) return;
  history.back().to = cycle();
  history.push_back({hand_out(), cycle(), kAlways});
  write_word(*books_[owner].life, page, history.back().content.get());
}

void SystemEnv::rewrite(uint32_t owner, uint32_t position) {
  auto& content = books_[owner].life->pages[position / options_.page_tokens].back().content;
  if (!content) return;
  ++content->version[position % options_.page_tokens];
  write_content(*content, position % options_.page_tokens);
}

Completion SystemEnv::set_owner_now(uint32_t owner, const OwnerSpec& spec) {
  std::optional<Completion> answer;
  set_owner(owner, spec, [&](const Completion& done) { answer = done; });
  until("set_owner", [&] { return answer.has_value(); });
  return answer.value_or(Completion{Status::kBusy, 0, 0});
}
Completion SystemEnv::reset_owner_now(uint32_t owner) {
  std::optional<Completion> answer;
  reset_owner(owner, [&](const Completion& done) { answer = done; });
  until("reset of an owner", [&] { return answer.has_value(); });
  return answer.value_or(Completion{Status::kBusy, 0, 0});
}

uint32_t SystemEnv::slot_beats(uint32_t layers, uint64_t heads, uint32_t planes) const {
  return layers * static_cast<uint32_t>(std::popcount(heads) * std::popcount(planes)) * options_.row_beats;
}

std::string SystemEnv::set_profile(uint32_t profile, uint32_t layer_first, uint32_t layers, uint64_t heads,
                                   uint32_t planes, uint32_t slot_first, uint32_t slot_count, uint32_t base) {
  Command c{.op = kOpSetProfile, .flags = 1, .profile = profile};
  c.arg0 = layer_first | uint64_t{layers} << 16 | uint64_t{planes} << 32;
  c.arg1 = heads;
  c.arg2 = slot_first | uint64_t{slot_count} << 16 | uint64_t{base} << 32;
  const auto done = run(c);
  return done.status == Status::kOk ? std::string() : fmt::format("set_profile {}: {}", profile, name(done.status));
}

void SystemEnv::send_scores(uint32_t owner, uint32_t query, const std::vector<float>& weights) {
  batch_owner_ = static_cast<int32_t>(owner);
  const uint32_t lanes = bench().beat_bytes() / 4;
  const auto count = static_cast<uint32_t>(weights.size());
  for (uint32_t first = 0; first < count; first += lanes) {
    ScoreBeat beat;
    beat.owner = owner;
    beat.query_pos = query;
    beat.first = first;
    for (uint32_t i = 0; i < lanes && first + i < count; ++i) {
      beat.strobe |= 1U << i;
      beat.weight[i] = std::bit_cast<uint32_t>(weights[first + i]);
    }
    beat.last = first + lanes >= count;
    bench().scores.push(beat);
  }
}

// --------------------------------------------------------------------------------------------------------- requests
uint8_t SystemEnv::request(RowRequest r) {
  while (!info_[next_id_].closed) ++next_id_;
  r.id = next_id_++;
  info_[r.id] = {true, false, false, false, r, 0};
  ++requests_open_;
  bench().requests.push(r);
  return r.id;
}

bool SystemEnv::is_read(uint32_t owner) const {
  for (const auto& info : info_) {
    if (info.closed) continue;
    if (info.request.owner == owner) return true;
    for (const auto& context : books_[info.request.owner].contexts) {
      if (context.valid && context.prefix == static_cast<int32_t>(owner)) return true;
    }
  }
  return false;
}

bool SystemEnv::fault_touches(uint64_t first, uint64_t bytes, uint64_t since) const {
  return std::any_of(faults_.begin(), faults_.end(),
                     [&](const FaultTime& f) { return f.to >= since && f.first < first + bytes && first < f.end; });
}

bool SystemEnv::contents_allow(const Life& life, const Row& row, uint64_t since, bool& reason) const {
  const uint32_t page = row.position / options_.page_tokens;
  const uint32_t token = row.position % options_.page_tokens;
  if (page >= life.pages.size()) return false;
  if (fault_touches(life.table + uint64_t{4} * page, 4, since)) reason = true;
  for (const Mapping& m : life.pages[page]) {
    if (m.to < since) continue;
    if (!m.content) {
      reason = true;
      continue;
    }
    if (row.error) {
      if (fault_touches(address(*m.content, token, row.request->layer, row.request->head, row.plane), row_bytes_,
                        since))
        reason = true;
      continue;
    }
    fill_row(*m.content, row.request->layer, row.plane, token, row.request->head, scratch_);
    if (std::equal(scratch_.begin(), scratch_.end(), row.bytes.begin(), row.bytes.end())) return true;
  }
  return false;
}

// Rows that a retire has overtaken: those of its range, and with several retires of one request those of the hull of
// their ranges (all, when two come in the cycles in which the request is taken in).
bool SystemEnv::overtaken(const RowRequest& r, uint32_t position, uint64_t since) const {
  constexpr uint64_t kTakenIn = 16;
  uint64_t low = kAlways, high = 0;
  unsigned early = 0;
  for (const Retired& x : retired_) {
    if (x.cycle < since) continue;
    if (x.all) return true;
    early += x.cycle <= since + kTakenIn ? 1 : 0;
    bool touches = x.owner == r.owner;
    for (const Context& c : books_[r.owner].contexts) {
      touches = touches || (c.to >= since && c.prefix >= 0 && x.owner == static_cast<uint64_t>(c.prefix));
    }
    if (!touches) continue;
    low = std::min(low, x.first);
    high = std::max(high, x.last);
  }
  return early > 1 || (position >= low && position <= high);
}

std::string SystemEnv::judge(const Row& row) {
  const RowRequest& r = *row.request;
  const uint64_t since = info_[r.id].accepted;
  if (row.error && row.path == Path::kSink) return "an error flag on the sink stream";
  const uint64_t last = r.by_granule ? r.first / 16 * 16 + (r.mask == 0 ? 0 : std::bit_width(r.mask) - 1U)
                                     : uint64_t{r.first} + r.count - 1;
  bool reason = r.layer >= options_.layers;
  for (const Context& c : books_[r.owner].contexts) {
    if (c.to < since) continue;
    if (!c.valid || last >= c.length) reason = true;
    if (!c.valid || row.position >= c.length) continue;  // in another context it may have been within the length
    if (c.prefix >= 0 && row.position < c.prefix_length) {
      for (const Context& p : books_[static_cast<uint32_t>(c.prefix)].contexts) {
        if (p.to < since || !p.valid) continue;
        if (contents_allow(*p.life, row, since, reason)) return {};
      }
    } else if (contents_allow(*c.life, row, since, reason)) {
      return {};
    }
  }
  if (!row.error) return "contents that this position had at no time between acceptance and delivery";
  if (reason || overtaken(r, row.position, since)) return {};
  if (r.follow) {
    const RequestInfo& leader = info_[r.follow_id];
    uint64_t ended = std::max(keep_end_all_, keep_end_[r.owner]);
    for (const Context& c : books_[r.owner].contexts) {
      if (c.prefix >= 0) ended = std::max(ended, keep_end_[static_cast<uint32_t>(c.prefix)]);
    }
    if (leader.refused || ended >= leader.accepted) return {};
  }
  return "error-flagged for no reason";
}

// ----------------------------------------------------------------------------------------------------- faults, ends
void SystemEnv::fail_reads(uint64_t first, uint64_t end) {
  bench().memory().add_fault({.first = first, .end = end});
  const uint64_t beat = bench().beat_bytes();  // whole beats answer with an error
  faults_.push_back({first / beat * beat, (end + beat - 1) / beat * beat, cycle(), kAlways});
}
void SystemEnv::clear_faults() {
  bench().memory().clear_faults();
  for (auto& f : faults_) f.to = std::min(f.to, cycle() + 2);
}

void SystemEnv::drain() { instance_->drain(records_); }

void SystemEnv::finish() {
  clear_faults();
  bench().may_take = nullptr;
  const auto quiet = [this] { return requests_open_ == 0 && under_way_.empty(); };
  // Commands wait for records when the log is full.
  for (int i = 0; i < 400 && !quiet(); ++i) {
    drain();
    ticks(500);
  }
  if (!until("the end of all requests and commands", quiet)) return;
  for (int i = 0; i < 3; ++i) {
    ticks(2000);
    drain();
  }
  if (run(simple(kOpRetire, 0, 1)).status != Status::kOk) fail("retire of everything was refused");
  for (int i = 0; i < 3; ++i) {
    ticks(2 * caps().slots + 2000);
    drain();
  }
  if (instance_->residency().model().used_slots() != 0) {
    fail(fmt::format("{} slots are used after everything was retired", instance_->residency().model().used_slots()));
  }
  instance_->residency().finish(cycle());
  for (const auto& v : bench().memory().violations()) fail("memory port: " + v);
  const Counters c = host().counters();
  if (c.sink_rows != rows().sink || c.bulk_rows != rows().bulk || c.error_rows != rows().errors) {
    fail(fmt::format("the counters say {} sink, {} bulk and {} error rows, {}, {} and {} were delivered", c.sink_rows,
                     c.bulk_rows, c.error_rows, rows().sink, rows().bulk, rows().errors));
  }
  const auto [sequence, crc] = host().log_last();
  if (!records_.empty() && (records_.back().sequence != sequence || records_.back().crc != crc)) {
    fail(fmt::format("the last record is {}, the registers say {}", records_.back().sequence, sequence));
  }
}

}  // namespace kvsink::tb

// SPDX-License-Identifier: Apache-2.0
// DRAM behind a memory port: banks with one open row each, the timing rules between commands, a controller that
// reorders within a window, and, to judge a stream of reads by, an oracle that knows them all at once and a bound that
// no scheduler can beat.
//
// One column command reads one beat of the port and takes one cycle of the data bus. Row commands (activate, precharge)
// and column commands have a bus of their own, one of each a cycle, as in HBM. All times are in cycles of the port.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <span>
#include <vector>

namespace kvsink::tb {

/// The part; the defaults are those of an HBM pseudo channel, 1 ns a cycle.
struct DramTiming {
  uint32_t banks = 16;         // a power of two
  uint32_t row_bytes = 1024;   // a power of two
  uint32_t trcd = 14;          // activate to read
  uint32_t trp = 14;           // precharge to activate, and to refresh
  uint32_t tras = 33;          // activate to precharge
  uint32_t trtp = 4;           // read to precharge
  uint32_t tfaw = 16;          // the fifth of any five activates comes this long after the first
  uint32_t tcl = 14;           // read to its data
  uint32_t trefi = 3900;       // a refresh of all banks falls due every trefi cycles; 0: never
  uint32_t trfc = 260;         // and takes this long
  uint32_t first_refresh = 0;  // cycle in which the first one falls due; 0: trefi
  uint32_t queue = 64;         // pieces of reads (a piece lies in one row) that the controller sees at once
  uint32_t patience = 1000;    // a piece that waited longer has its bank to itself
};

/// Cycle in which refresh number n (from 0) falls due.
constexpr uint64_t dram_refresh_due(const DramTiming& t, uint64_t n) {
  return (t.first_refresh != 0 ? t.first_refresh : t.trefi) + n * t.trefi;
}

/// One command, for who checks the rules from outside.
struct DramCommand {
  enum class Kind : uint8_t { kActivate, kRead, kPrecharge, kRefresh } kind;
  uint64_t cycle = 0;
  uint32_t bank = 0;
  uint64_t row = 0;
};

/// The banks and what may be done to them when. `now` must not decrease.
class DramBanks {
 public:
  explicit DramBanks(const DramTiming& timing) : t_(timing), banks_(timing.banks) {}

  struct Place {
    uint32_t bank;
    uint64_t row;
  };
  /// Bank and row of an address: neighbouring rows lie in neighbouring banks, and the row number is folded into the
  /// bank, so that no power of two as a stride stays in one bank.
  [[nodiscard]] Place place(uint64_t addr) const {
    const uint64_t line = addr / t_.row_bytes;
    const uint64_t row = line / t_.banks;
    uint64_t bank = line;
    for (uint64_t rest = row; t_.banks > 1 && rest != 0; rest /= t_.banks) bank ^= rest;
    return {static_cast<uint32_t>(bank % t_.banks), row};
  }

  [[nodiscard]] std::optional<uint64_t> open_row(uint32_t bank) const { return banks_[bank].row; }
  /// A refresh is due or going on: nothing may be activated or read.
  [[nodiscard]] bool refreshing() const { return due_; }

  [[nodiscard]] bool may_activate(uint32_t bank, uint64_t now) const {
    const Bank& b = banks_[bank];
    return !due_ && !b.row && now >= b.closed && (activates_.size() < 4 || now >= activates_.front() + t_.tfaw);
  }
  void activate(uint32_t bank, uint64_t row, uint64_t now) {
    Bank& b = banks_[bank];
    b.row = row;
    b.readable = now + t_.trcd;
    b.closable = now + t_.tras;
    if (activates_.size() == 4) activates_.pop_front();
    activates_.push_back(now);
    ++activations;
    note(DramCommand::Kind::kActivate, now, bank, row);
  }
  [[nodiscard]] bool may_read(uint32_t bank, uint64_t row, uint64_t now) const {
    const Bank& b = banks_[bank];
    return !due_ && b.row == row && now >= b.readable;
  }
  void read(uint32_t bank, uint64_t now) {
    Bank& b = banks_[bank];
    b.closable = std::max(b.closable, now + t_.trtp);
    ++reads;
    note(DramCommand::Kind::kRead, now, bank, *b.row);
  }
  [[nodiscard]] bool may_precharge(uint32_t bank, uint64_t now) const {
    return banks_[bank].row && now >= banks_[bank].closable;
  }
  void precharge(uint32_t bank, uint64_t now) {
    Bank& b = banks_[bank];
    note(DramCommand::Kind::kPrecharge, now, bank, *b.row);
    b.row.reset();
    b.closed = now + t_.trp;
  }

  /// Before the commands of a cycle: whether a refresh falls due, begins or ends. True: a refresh is due, and this
  /// cycle's row command, if any, was a precharge for it.
  bool refresh(uint64_t now) {
    if (t_.trefi == 0) return false;
    if (!due_ && now >= next_) {
      due_ = true;
      next_ += t_.trefi;
    }
    if (!due_) return false;
    if (begun_) {
      if (now < over_) return true;
      due_ = begun_ = false;
      return false;
    }
    bool all_closed = true;
    for (uint32_t b = 0; b < banks_.size(); ++b) {
      if (may_precharge(b, now)) {
        precharge(b, now);
        return true;
      }
      all_closed &= !banks_[b].row && now >= banks_[b].closed;
    }
    if (all_closed) {
      begun_ = true;
      over_ = now + t_.trfc;
      ++refreshes;
      note(DramCommand::Kind::kRefresh, now, 0, 0);
    }
    return true;
  }

  uint64_t activations = 0, reads = 0, refreshes = 0;
  std::vector<DramCommand>* log = nullptr;

 private:
  struct Bank {
    std::optional<uint64_t> row;
    uint64_t readable = 0;
    uint64_t closable = 0;
    uint64_t closed = 0;  // from here on it may be activated
  };
  void note(DramCommand::Kind kind, uint64_t now, uint32_t bank, uint64_t row) const {
    if (log != nullptr) log->push_back({kind, now, bank, row});
  }

  DramTiming t_;
  std::vector<Bank> banks_;
  std::deque<uint64_t> activates_;
  uint64_t next_ = dram_refresh_due(t_, 0);
  bool due_ = false;
  bool begun_ = false;
  uint64_t over_ = 0;
};

/// A controller as products have it: sees the first `queue` pieces, reads from open rows first, the oldest first among
/// them; closes a row when nothing it sees wants it and something wants the bank.
class DramController {
 public:
  explicit DramController(const DramTiming& timing) : banks(timing), t_(timing) {}

  struct Piece {
    uint32_t bank = 0;
    uint64_t row = 0;
    uint32_t beats = 0;
    uint64_t burst = 0;  // whose piece it is
    uint32_t first = 0;  // beat of the burst that the piece begins with
    uint64_t arrived = 0;
  };
  struct Read {
    uint64_t burst = 0;
    uint32_t beat = 0;
  };

  /// The pieces of a burst, one a row that it touches.
  void push(uint64_t burst, uint64_t addr, uint32_t beats, uint32_t beat_bytes, uint64_t now) {
    for (uint32_t at = 0; at < beats;) {
      const uint64_t from = addr + uint64_t{at} * beat_bytes;
      const auto left = static_cast<uint32_t>((t_.row_bytes - from % t_.row_bytes) / beat_bytes);
      const auto place = banks.place(from);
      const uint32_t n = std::min(left, beats - at);
      pieces_.push_back({place.bank, place.row, n, burst, at, now});
      at += n;
    }
  }
  [[nodiscard]] bool full() const { return pieces_.size() >= t_.queue; }
  [[nodiscard]] bool empty() const { return pieces_.empty(); }
  void clear() { pieces_.clear(); }

  /// The commands of cycle `now`; the beat that was read, if one was: its data follow after tcl.
  std::optional<Read> tick(uint64_t now) {
    if (banks.refresh(now)) return std::nullopt;
    const size_t seen = std::min<size_t>(pieces_.size(), t_.queue);
    // What each bank is wanted for: its oldest piece, and whether a piece wants the open row.
    std::array<const Piece*, kMaxBanks> oldest{};
    std::array<bool, kMaxBanks> wanted{};
    size_t column = seen;
    for (size_t i = 0; i < seen; ++i) {
      const Piece& p = pieces_[i];
      if (oldest[p.bank] == nullptr) oldest[p.bank] = &p;
      if (banks.open_row(p.bank) != p.row) continue;
      const Piece& first = *oldest[p.bank];
      if (first.row != p.row && now > first.arrived + t_.patience) continue;
      wanted[p.bank] = true;
      if (column == seen && banks.may_read(p.bank, p.row, now)) column = i;
    }
    const Piece* row = nullptr;
    for (uint32_t b = 0; b < t_.banks; ++b) {
      if (oldest[b] == nullptr || wanted[b]) continue;
      if (!(banks.open_row(b) ? banks.may_precharge(b, now) : banks.may_activate(b, now))) continue;
      if (row == nullptr || oldest[b]->arrived < row->arrived) row = oldest[b];
    }
    if (row != nullptr) {
      if (banks.open_row(row->bank)) {
        banks.precharge(row->bank, now);
      } else {
        banks.activate(row->bank, row->row, now);
      }
    }
    if (column == seen) return std::nullopt;
    Piece& p = pieces_[column];
    banks.read(p.bank, now);
    const Read read{p.burst, p.first};
    ++p.first;
    if (--p.beats == 0) pieces_.erase(pieces_.begin() + static_cast<std::ptrdiff_t>(column));
    return read;
  }

  DramBanks banks;

 private:
  static constexpr size_t kMaxBanks = 64;
  DramTiming t_;
  std::deque<Piece> pieces_;
};

/// A read as the judges below see it.
struct DramRead {
  uint64_t addr = 0;
  uint32_t beats = 0;
};

/// Cycles, counted from the first command, until the data of the last beat have come, of three schedulers.
struct DramVerdict {
  uint64_t bound = 0;   // no scheduler is faster: the largest of the bounds below
  uint64_t oracle = 0;  // all reads known at once, any order
  uint64_t fed = 0;     // the controller above, its window always full, in the order given
  uint64_t activations = 0;
  // The bounds: what the data bus, the busiest bank and the rule of four activates need, refreshes included.
  uint64_t data_bus = 0;
  uint64_t busiest_bank = 0;
  uint64_t four_activates = 0;
};

namespace dram_detail {

/// Beats of each row, bank by bank.
using Rows = std::vector<std::map<uint64_t, uint32_t>>;

inline Rows rows_of(const DramTiming& t, std::span<const DramRead> reads, uint32_t beat_bytes) {
  const DramBanks banks(t);
  Rows rows(t.banks);
  for (const DramRead& r : reads) {
    for (uint32_t i = 0; i < r.beats; ++i) {
      const auto place = banks.place(r.addr + uint64_t{i} * beat_bytes);
      ++rows[place.bank][place.row];
    }
  }
  return rows;
}

/// Cycles from one activate of a bank to the next with `beats` reads in between.
inline uint64_t row_cycle(const DramTiming& t, uint32_t beats) {
  return std::max<uint64_t>(t.tras, uint64_t{t.trcd} + beats - 1 + t.trtp) + t.trp;
}

/// The least end of work that takes `work` cycles and stands still for `dead` cycles at each refresh before its end.
inline uint64_t with_refresh(const DramTiming& t, uint64_t work, uint64_t dead) {
  if (t.trefi == 0) return work;
  uint64_t refreshes = 0;
  // The last read is tcl before the end; a refresh that falls due before it comes before it.
  while (work + refreshes * dead > dram_refresh_due(t, refreshes) + t.tcl) ++refreshes;
  return work + refreshes * dead;
}

}  // namespace dram_detail

/// What the reads need at least. Data bus: a beat a cycle after the first activate; around a refresh no beat is read
/// from the last read before it (trtp, trp), through it (trfc), to the first row open again (trcd). Bank: each of its
/// rows is open once at least, with all its beats. Four activates: each row is activated once at least, and a span of d
/// cycles holds no more than 4 * (d / tfaw + 1) activates; each refresh cuts the time into one span more.
inline void dram_bounds(const DramTiming& t, std::span<const DramRead> reads, uint32_t beat_bytes, DramVerdict& v) {
  const auto rows = dram_detail::rows_of(t, reads, beat_bytes);
  uint64_t beats = 0;
  uint64_t activates = 0;
  uint64_t busiest = 0;
  for (const auto& bank : rows) {
    uint64_t work = 0;
    uint64_t last = 0;  // the row to leave open at the end saves most
    for (const auto& [row, n] : bank) {
      beats += n;
      work += dram_detail::row_cycle(t, n);
      last = std::max<uint64_t>(last, dram_detail::row_cycle(t, n) - t.trcd - n);
    }
    activates += bank.size();
    if (!bank.empty()) busiest = std::max(busiest, work - last + t.tcl);
  }
  v.data_bus = beats == 0 ? 0
                          : dram_detail::with_refresh(t, uint64_t{t.trcd} + beats + t.tcl,
                                                      uint64_t{t.trtp} + t.trp + t.trfc + t.trcd - 1);
  v.busiest_bank = dram_detail::with_refresh(t, busiest, t.trfc);
  // Spans of the activates: one more than the refreshes, each with four activates for nothing.
  uint64_t end = 0;
  for (uint64_t refreshes = 0;; ++refreshes) {
    const uint64_t paid = activates > 4 * (refreshes + 1) ? activates - 4 * (refreshes + 1) : 0;
    const uint64_t spans = (paid + 3) / 4 * t.tfaw;
    // The last activate, its first read and the data.
    end = spans + refreshes * t.trfc + t.trcd + 1 + t.tcl;
    if (t.trefi == 0 || spans + refreshes * t.trfc < dram_refresh_due(t, refreshes)) break;
  }
  v.four_activates = activates == 0 ? 0 : end;
  v.bound = std::max({v.data_bus, v.busiest_bank, v.four_activates});
}

/// A rule of choice of the list scheduler.
struct DramPick {
  enum Beat : uint8_t { kMostLeft, kShortestRow, kFirstOpened } beat;  // of the banks that could give a beat
  bool longest_first;                                                  // of the rows of a bank; or last
};
inline constexpr std::array<DramPick, 6> kDramPicks{{{DramPick::kMostLeft, false},
                                                     {DramPick::kShortestRow, false},
                                                     {DramPick::kFirstOpened, false},
                                                     {DramPick::kMostLeft, true},
                                                     {DramPick::kShortestRow, true},
                                                     {DramPick::kFirstOpened, true}}};

/// A list scheduler with all reads before it: each row is opened once (but for refreshes) and read whole, so every
/// bank's work is the least it can be, and only the order among the banks is left to choose. Of the banks that want a
/// row command the one with most left to do goes first; beats by `pick`. Returns the cycles.
inline uint64_t dram_list_schedule(const DramTiming& t, std::span<const DramRead> reads, uint32_t beat_bytes,
                                   DramPick pick, std::vector<DramCommand>* log = nullptr,
                                   uint64_t* activations = nullptr) {
  const auto rows = dram_detail::rows_of(t, reads, beat_bytes);
  struct Work {
    std::vector<std::pair<uint64_t, uint32_t>> rows;  // taken from the back
    uint64_t left = 0;                                // cycles
    uint32_t beats = 0;                               // of the open row
    uint64_t opened = 0;
  };
  std::vector<Work> work(t.banks);
  uint64_t beats = 0;
  for (uint32_t b = 0; b < t.banks; ++b) {
    work[b].rows.assign(rows[b].begin(), rows[b].end());
    std::sort(work[b].rows.begin(), work[b].rows.end(),
              [&](auto x, auto y) { return pick.longest_first ? x.second < y.second : x.second > y.second; });
    for (const auto& [row, n] : work[b].rows) {
      work[b].left += dram_detail::row_cycle(t, n);
      beats += n;
    }
  }
  const auto sooner = [&](const Work& a, const Work& b) {
    switch (pick.beat) {
      case DramPick::kMostLeft:
        return a.left > b.left;
      case DramPick::kShortestRow:
        return a.beats != b.beats ? a.beats < b.beats : a.left > b.left;
      case DramPick::kFirstOpened:
        break;
    }
    return a.opened < b.opened;
  };
  DramBanks banks(t);
  banks.log = log;
  uint64_t last = 0;
  for (uint64_t now = 0; beats != 0; ++now) {
    if (banks.refresh(now)) continue;
    Work* column = nullptr;
    Work* row = nullptr;
    for (uint32_t bank = 0; bank < t.banks; ++bank) {
      Work& w = work[bank];
      if (w.rows.empty()) continue;
      const auto open = banks.open_row(bank);
      if (w.beats != 0 && open && banks.may_read(bank, *open, now)) {
        if (column == nullptr || sooner(w, *column)) column = &w;
      } else if (open ? w.beats == 0 && banks.may_precharge(bank, now) : banks.may_activate(bank, now)) {
        if (row == nullptr || w.left > row->left) row = &w;
      }
    }
    if (row != nullptr) {
      const auto bank = static_cast<uint32_t>(row - work.data());
      if (banks.open_row(bank)) {
        banks.precharge(bank, now);
      } else {
        if (row->beats == 0) row->beats = row->rows.back().second;  // else a refresh closed it half read
        row->opened = now;
        banks.activate(bank, row->rows.back().first, now);
      }
    }
    if (column != nullptr) {
      banks.read(static_cast<uint32_t>(column - work.data()), now);
      --beats;
      last = now;
      if (--column->beats == 0) {
        column->left -= dram_detail::row_cycle(t, column->rows.back().second);
        column->rows.pop_back();
      }
    }
  }
  if (activations != nullptr) *activations = banks.activations;
  return last + t.tcl + 1;
}

/// The oracle: the best of the list schedules. How far it may be from the optimum is its distance from the bound, which
/// is shown wherever it is used.
inline void dram_oracle(const DramTiming& t, std::span<const DramRead> reads, uint32_t beat_bytes, DramVerdict& v) {
  v.oracle = ~uint64_t{0};
  for (const DramPick& pick : kDramPicks) {
    uint64_t activations = 0;
    const uint64_t cycles = dram_list_schedule(t, reads, beat_bytes, pick, nullptr, &activations);
    if (cycles < v.oracle) {
      v.oracle = cycles;
      v.activations = activations;
    }
  }
}

/// Bound, oracle and the fed controller for a set of reads (the last in their order).
inline DramVerdict dram_judge(const DramTiming& t, std::span<const DramRead> reads, uint32_t beat_bytes) {
  DramVerdict v;
  dram_bounds(t, reads, beat_bytes, v);
  dram_oracle(t, reads, beat_bytes, v);
  DramController controller(t);
  size_t next = 0;
  uint64_t last = 0;
  for (uint64_t now = 0; next < reads.size() || !controller.empty(); ++now) {
    while (next < reads.size() && !controller.full()) {
      controller.push(next, reads[next].addr, reads[next].beats, beat_bytes, now);
      ++next;
    }
    if (controller.tick(now)) last = now;
  }
  v.fed = last + t.tcl + 1;
  if (v.fed < v.oracle) v.oracle = v.fed;
  return v;
}

}  // namespace kvsink::tb

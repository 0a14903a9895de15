// SPDX-License-Identifier: Apache-2.0
// The Verilated lse_merge_tb behind plain C++ values, with random stalls on both streams; and what a merge must give,
// beat for beat, from the bit-exact model.
#pragma once

#include <cstdint>
#include <span>
#include <utility>
#include <vector>

#include "sw/models/lse_merge_model.hpp"
#include "tb/common/bits.hpp"
#include "tb/common/rng.hpp"
#include "tb/common/sim.hpp"
#include "tb/common/stream.hpp"

namespace kvsink::tb {

/// One beat of the partial stream, as kvsink_pkg::partial_t.
struct PartialBeat {
  uint16_t id = 0;
  bool first = false;
  bool last_partial = false;
  bool is_sink = false;
  uint32_t lse = 0;
  bool base2 = false;
  unsigned fmt = 0;
  uint8_t beats = 0;  // less one
  std::vector<uint32_t> data;
};

/// One beat of the output stream, as kvsink_pkg::merged_t.
struct MergedBeat {
  uint16_t id = 0;
  bool first = false;
  bool last = false;
  uint32_t lse = 0;
  bool nan = false;
  uint32_t sink_mass = 0;
  unsigned fmt = 0;
  std::vector<uint32_t> data;
  bool operator==(const MergedBeat&) const = default;
};

/// What the counter outputs say at the end of a merge.
struct MergeEnd {
  bool weighted = false;
  bool nan = false;
  uint32_t sink_mass = 0;
  bool operator==(const MergeEnd&) const = default;
};

using Partials = std::vector<model::LseMerge::Partial>;

/// The beats that carry a merge. Every partial has the same number of elements, a multiple of `lanes`.
inline void append_beats(const Partials& partials, uint16_t id, unsigned lanes, std::vector<PartialBeat>& out) {
  for (size_t p = 0; p < partials.size(); ++p) {
    const auto& partial = partials[p];
    const size_t beats = partial.o.size() / lanes;
    for (size_t b = 0; b < beats; ++b) {
      PartialBeat beat;
      beat.id = id;
      beat.first = b == 0;
      beat.last_partial = p + 1 == partials.size();
      beat.is_sink = partial.is_sink;
      beat.lse = partial.lse;
      beat.base2 = partial.base2;
      beat.fmt = static_cast<unsigned>(partial.fmt);
      beat.beats = static_cast<uint8_t>(beats - 1);
      beat.data.assign(partial.o.begin() + static_cast<long>(b * lanes),
                       partial.o.begin() + static_cast<long>((b + 1) * lanes));
      out.push_back(std::move(beat));
    }
  }
}

/// The beats that must come out of it. `nan` of a beat covers what had come in by then: every beat of the earlier
/// partials, and of the last one those up to it.
inline MergeEnd append_expected(const Partials& partials, uint16_t id, unsigned lanes, std::vector<MergedBeat>& out) {
  const auto result = model::LseMerge().merge(partials);
  const auto fmt = partials.front().fmt;
  const size_t beats = partials.front().o.size() / lanes;
  const auto is_nan = [](uint32_t lse) { return (lse & 0x7fffffff) > 0x7f800000; };
  const auto special = [&](const model::LseMerge::Partial& p, size_t from, size_t to) {
    if ((p.lse & 0x7f800000) == 0x7f800000) return is_nan(p.lse);
    const uint32_t mask = fmt == model::MergeFormat::kFp32   ? 0x7f800000
                          : fmt == model::MergeFormat::kFp16 ? 0x7c00
                                                             : 0x7f80;
    for (size_t i = from; i < to; ++i) {
      if ((p.o[i] & mask) == mask) return true;
    }
    return false;
  };
  bool nan = false;
  for (size_t p = 0; p + 1 < partials.size(); ++p) nan |= special(partials[p], 0, beats * lanes);
  for (size_t b = 0; b < beats; ++b) {
    nan |= special(partials.back(), b * lanes, (b + 1) * lanes);
    MergedBeat beat{id, b == 0, b + 1 == beats, result.lse, nan, result.sink_mass, static_cast<unsigned>(fmt), {}};
    beat.data.assign(result.o.begin() + static_cast<long>(b * lanes),
                     result.o.begin() + static_cast<long>((b + 1) * lanes));
    out.push_back(std::move(beat));
  }
  return {result.weighted, result.nan, result.sink_mass};
}

template <class V>
class MergeBench {
 public:
  MergeBench(const Rng& rng, unsigned percent_in, unsigned percent_out, unsigned longest = 8)
      : sim_(rng.seed()),
        source_(rng.fork("partial"), percent_in, longest),
        sink_(rng.fork("out"), percent_out, longest),
        idle_(rng.fork("idle")) {
    sim_->partial_valid_i = 0;
    sim_->out_ready_i = 0;
    sim_.reset();
    sim_.settle();
    lanes_ = sim_->cfg_lanes_o;
    max_beats_ = sim_->cfg_max_beats_o;
  }

  [[nodiscard]] unsigned lanes() const { return lanes_; }
  [[nodiscard]] unsigned max_beats() const { return max_beats_; }

  /// Sends the beats and takes `outputs` beats, then runs on until nothing can be under way.
  std::vector<MergedBeat> run(std::span<const PartialBeat> beats, size_t outputs) {
    for (const auto& b : beats) source_.push(b);
    const uint64_t limit = 1000 + 40 * static_cast<uint64_t>(beats.size() + outputs);
    sim_.run_until([&] { tick(); }, [&] { return source_.empty() && sink_.items.size() >= outputs; }, limit,
                   "the merge stream");
    for (int i = 0; i < 60; ++i) tick();
    std::vector<MergedBeat> out(sink_.items.begin(), sink_.items.end());
    sink_.items.clear();
    return out;
  }

  /// One cycle.
  void tick() {
    V& v = *sim_;
    const PartialBeat* p = source_.begin();
    v.partial_valid_i = p != nullptr;
    if (p != nullptr) {
      v.partial_id_i = p->id;
      v.partial_first_i = p->first;
      v.partial_last_partial_i = p->last_partial;
      v.partial_is_sink_i = p->is_sink;
      v.partial_lse_i = p->lse;
      v.partial_base2_i = p->base2;
      v.partial_fmt_i = static_cast<uint8_t>(p->fmt);
      v.partial_beats_i = p->beats;
      set_words(v.partial_data_i, p->data);
    } else {
      v.partial_lse_i = static_cast<uint32_t>(idle_.next());
      v.partial_first_i = idle_.coin();
    }
    v.out_ready_i = sink_.begin();
    sim_.settle();
    if (source_.end(v.partial_ready_o != 0)) taken_at.push_back(sim_.cycle());
    const bool got = sink_.end(v.out_valid_o != 0, [&] {
      MergedBeat b{static_cast<uint16_t>(v.out_id_o),
                   v.out_first_o != 0,
                   v.out_last_o != 0,
                   v.out_lse_o,
                   v.out_nan_o != 0,
                   v.out_sink_mass_o,
                   static_cast<unsigned>(v.out_fmt_o),
                   std::vector<uint32_t>(lanes_)};
      get_words(v.out_data_o, std::span<uint32_t>(b.data));
      return b;
    });
    if (got) given_at.push_back(sim_.cycle());
    if (v.merge_done_o != 0) ends.push_back({v.merge_weighted_o != 0, v.nan_o != 0, v.sink_mass_o});
    if (v.nan_o != 0 && v.merge_done_o == 0) ++stray_nan;
    errors += v.error_o != 0 ? 1 : 0;
    sim_.edge();
  }

  std::vector<uint64_t> taken_at;  // cycle in which each beat was taken
  std::vector<uint64_t> given_at;  // cycle in which each beat left
  std::vector<MergeEnd> ends;
  unsigned errors = 0;     // cycles with error_o
  unsigned stray_nan = 0;  // nan_o without merge_done_o

 private:
  Sim<V> sim_;
  Source<PartialBeat> source_;
  Sink<MergedBeat> sink_;
  Rng idle_;
  unsigned lanes_ = 0;
  unsigned max_beats_ = 0;
};

}  // namespace kvsink::tb

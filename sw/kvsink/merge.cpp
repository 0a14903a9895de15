// SPDX-License-Identifier: Apache-2.0
// kvsink merge: partial attentions from a file through the Verilated merge unit alone, compared with the bit-exact
// model. The file is read, merged and written in batches, so it may be larger than memory.
#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <cmath>

#include "Vkvsink_merge.h"
#include "sw/golden/half.hpp"
#include "sw/kvsink/commands.hpp"
#include "sw/models/lse_merge_model.hpp"
#include "sw/trace/safetensors.hpp"
#include "tb/merge/merge_bench.hpp"

namespace kvsink::command {
namespace {

using Bench = tb::MergeBench<Vkvsink_merge>;
constexpr uint64_t kBatch = uint64_t{1} << 17;  // elements of all partials that are in memory at once
constexpr uint64_t kBatchMerges = 4096;
constexpr uint64_t kShown = 8;  // differences that are told one by one

uint32_t narrow(Format format, float value) {
  switch (format) {
    case Format::kFp16:
      return golden::float_to_half(value);
    case Format::kBf16:
      return golden::float_to_bf16(value);
    default:
      return std::bit_cast<uint32_t>(value);
  }
}

float widen(Format format, uint32_t bits) {
  switch (format) {
    case Format::kFp16:
      return golden::half_to_float(static_cast<uint16_t>(bits));
    case Format::kBf16:
      return golden::bf16_to_float(static_cast<uint16_t>(bits));
    default:
      return std::bit_cast<float>(bits);
  }
}

/// The input: o [partials][rows][elements] and lse [partials][rows].
struct Input {
  trace::TensorInfo o, lse;
  uint64_t partials = 0, rows = 0, elements = 0;
};

Result<Input> check_input(const trace::SafeTensors& file) {
  auto o = file.find("o", trace::DType::kF32, 3);
  if (!o) return o.error();
  auto lse = file.find("lse", trace::DType::kF32, 2);
  if (!lse) return lse.error();
  const Input in{*o, *lse, o->shape[0], o->shape[1], o->shape[2]};
  if (lse->shape[0] != in.partials || lse->shape[1] != in.rows) {
    return Error{fmt::format("{}: lse is {}, o asks for [{}][{}]", file.path(), trace::shape_text(lse->shape),
                             in.partials, in.rows)};
  }
  if (in.partials < 1 || in.partials > model::LseMerge::kMaxPartials) {
    return Error{fmt::format("{}: o: {} partials, the limits are 1 to {}", file.path(), in.partials,
                             model::LseMerge::kMaxPartials)};
  }
  if (in.elements < 1) return Error{fmt::format("{}: o: rows of 0 elements", file.path())};
  return in;
}

/// One merge of the unit: a row, or a part of one that is longer than the unit's accumulators.
struct Piece {
  uint64_t row, first, count;  // elements [first, first + count) of the row
};

/// Merges batches of pieces, which lie end to end in o, and counts what came of them.
class Merger {
 public:
  Merger(const MergeOptions& options, const Input& in) : options_(options), in_(in), bench_(tb::Rng(1), 0, 0) {}

  /// Longest piece.
  [[nodiscard]] uint64_t longest() const { return uint64_t{bench_.lanes()} * bench_.max_beats(); }

  Result<void> run(std::span<const Piece> pieces, trace::TensorReader& reader, trace::TensorWriter& writer) {
    const uint64_t begin = pieces.front().row * in_.elements + pieces.front().first;
    const uint64_t count = pieces.back().row * in_.elements + pieces.back().first + pieces.back().count - begin;
    const uint64_t row = pieces.front().row;
    const uint64_t rows = pieces.back().row - row + 1;
    o_.resize(in_.partials * count);
    lse_.resize(in_.partials * rows);
    for (uint64_t p = 0; p < in_.partials; ++p) {
      const uint64_t at = p * in_.rows * in_.elements + begin;
      if (auto ok = reader.read(in_.o, at, std::span(o_).subspan(p * count, count)); !ok) return ok;
      if (auto ok = reader.read(in_.lse, p * in_.rows + row, std::span(lse_).subspan(p * rows, rows)); !ok) return ok;
    }
    merge(pieces, begin, count, row, rows);
    if (auto ok = writer.write(0, begin, std::span<const float>(out_o_)); !ok) return ok;
    return writer.write(1, row, std::span<const float>(out_lse_));
  }

  [[nodiscard]] std::string summary() const {
    std::string text = fmt::format("{} rows of {} partials merged, {} differ from the bit-exact model\n", in_.rows,
                                   in_.partials, wrong_);
    if (overflowed_ != 0) {
      text += fmt::format("{} finite elements of o are beyond the range of the format and went in as infinity\n",
                          overflowed_);
    }
    if (flagged_ != 0) text += fmt::format("{} rows have a NaN or an infinity in a partial that counts\n", flagged_);
    return text;
  }
  [[nodiscard]] bool equal() const { return wrong_ == 0; }

 private:
  void merge(std::span<const Piece> pieces, uint64_t begin, uint64_t count, uint64_t first_row, uint64_t rows) {
    const uint64_t lanes = bench_.lanes();
    std::vector<tb::PartialBeat> send;
    std::vector<tb::MergedBeat> expected;
    tb::Partials partials(in_.partials);
    for (size_t i = 0; i < pieces.size(); ++i) {
      const Piece& piece = pieces[i];
      const uint64_t from = piece.row * in_.elements + piece.first - begin;
      for (uint64_t p = 0; p < in_.partials; ++p) {
        auto& partial = partials[p];
        partial.lse = std::bit_cast<uint32_t>(lse_[p * rows + piece.row - first_row]);
        partial.base2 = options_.base == Base::k2;
        partial.fmt = static_cast<model::MergeFormat>(options_.format);
        partial.o.assign((piece.count + lanes - 1) / lanes * lanes, 0);
        for (uint64_t e = 0; e < piece.count; ++e) {
          const float value = o_[p * count + from + e];
          partial.o[e] = narrow(options_.format, value);
          overflowed_ += std::isfinite(value) && std::isinf(widen(options_.format, partial.o[e])) ? 1 : 0;
        }
      }
      tb::append_beats(partials, static_cast<uint16_t>(i), static_cast<unsigned>(lanes), send);
      tb::append_expected(partials, static_cast<uint16_t>(i), static_cast<unsigned>(lanes), expected);
    }
    const auto got = bench_.run(send, expected.size());
    out_o_.assign(count, 0);
    out_lse_.assign(rows, 0);
    size_t at = 0;
    for (const Piece& piece : pieces) {
      const uint64_t from = piece.row * in_.elements + piece.first - begin;
      bool differs = false;
      for (uint64_t e = 0; e < piece.count; ++at) {
        const bool there = at < got.size();
        differs = differs || !there || !(got[at] == expected[at]);
        for (uint64_t lane = 0; lane < lanes && e < piece.count; ++lane, ++e) {
          if (there) out_o_[from + e] = widen(options_.format, got[at].data[lane]);
        }
        if (there) out_lse_[piece.row - first_row] = std::bit_cast<float>(got[at].lse);
        if (there && e == piece.count && got[at].nan && flagged_row_ != piece.row) {
          flagged_row_ = piece.row;
          ++flagged_;
        }
      }
      if (differs && wrong_++ < kShown) {
        fmt::print(stderr, "lse_merge: row {} differs from the bit-exact model\n", piece.row);
      }
    }
  }

  const MergeOptions& options_;
  const Input& in_;
  Bench bench_;
  std::vector<float> o_, lse_;          // of a batch: [partials][its elements], [partials][its rows]
  std::vector<float> out_o_, out_lse_;  // [its elements], [its rows]
  uint64_t wrong_ = 0, overflowed_ = 0, flagged_ = 0;
  uint64_t flagged_row_ = ~uint64_t{0};  // the last one counted: pieces of a row count once
};

}  // namespace

int cmd_merge(const MergeOptions& options) {
  const auto file = trace::SafeTensors::open(options.in);
  if (!file) return fail(file.error());
  const auto input = check_input(*file);
  if (!input) return fail(input.error());
  const Input& in = *input;
  auto reader = trace::TensorReader::open(*file);
  if (!reader) return fail(reader.error());
  const std::vector<trace::TensorSpec> tensors{{"o", trace::DType::kF32, {in.rows, in.elements}},
                                               {"lse", trace::DType::kF32, {in.rows}}};
  auto writer = trace::TensorWriter::open(options.out, {{"made_by", "kvsink merge"}, {"from", options.in}}, tensors);
  if (!writer) return fail(writer.error());

  Merger merger(options, in);
  {
    Progress progress("merge");
    std::vector<Piece> pieces;
    uint64_t elements = 0;
    for (uint64_t row = 0; row < in.rows; ++row) {
      for (uint64_t first = 0; first < in.elements; first += merger.longest()) {
        pieces.push_back({row, first, std::min(merger.longest(), in.elements - first)});
        elements += in.partials * pieces.back().count;
        const bool last = row + 1 == in.rows && first + pieces.back().count == in.elements;
        if (elements < kBatch && pieces.size() < kBatchMerges && !last) continue;
        if (auto ok = merger.run(pieces, *reader, *writer); !ok) return fail(ok.error());
        pieces.clear();
        elements = 0;
      }
      progress.set(row + 1, in.rows);
    }
  }
  if (auto ok = writer->finish(); !ok) return fail(ok.error());
  fmt::print("{}", merger.summary());
  return merger.equal() ? kEqual : kDifferent;
}

}  // namespace kvsink::command

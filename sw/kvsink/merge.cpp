// SPDX-License-Identifier: Apache-2.0
// kvsink merge: partial attentions from a file through the Verilated merge unit alone, compared with the bit-exact
// model.
#include <fmt/format.h>

#include <bit>

#include "Vkvsink_merge.h"
#include "sw/golden/half.hpp"
#include "sw/kvsink/commands.hpp"
#include "sw/models/lse_merge_model.hpp"
#include "sw/trace/safetensors.hpp"
#include "tb/merge/merge_bench.hpp"

namespace kvsink::command {
namespace {

using Bench = tb::MergeBench<Vkvsink_merge>;
constexpr uint64_t kRowsAtOnce = 64;

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

struct Input {
  uint64_t partials = 0, rows = 0, elements = 0;
  std::vector<float> o, lse;
};

Result<Input> read_input(const std::string& path, uint64_t most_elements) {
  auto file = trace::SafeTensors::open(path);
  if (!file) return file.error();
  auto o = file->find("o", trace::DType::kF32, 3);
  if (!o) return o.error();
  auto lse = file->find("lse", trace::DType::kF32, 2);
  if (!lse) return lse.error();
  Input in{o->shape[0], o->shape[1], o->shape[2], {}, {}};
  if (lse->shape[0] != in.partials || lse->shape[1] != in.rows) {
    return Error{
        fmt::format("{}: lse is {}, o asks for [{}][{}]", path, trace::shape_text(lse->shape), in.partials, in.rows)};
  }
  if (in.partials < 1 || in.partials > model::LseMerge::kMaxPartials) {
    return Error{
        fmt::format("{}: o: {} partials, the limits are 1 to {}", path, in.partials, model::LseMerge::kMaxPartials)};
  }
  if (in.elements < 1 || in.elements > most_elements) {
    return Error{fmt::format("{}: o: {} elements a row, the limits are 1 to {}", path, in.elements, most_elements)};
  }
  auto data = file->read<float>(*o);
  if (!data) return data.error();
  in.o = std::move(*data);
  auto logs = file->read<float>(*lse);
  if (!logs) return logs.error();
  in.lse = std::move(*logs);
  return in;
}

tb::Partials row_partials(const Input& in, uint64_t row, const MergeOptions& options, uint64_t padded) {
  tb::Partials partials(in.partials);
  for (uint64_t p = 0; p < in.partials; ++p) {
    auto& partial = partials[p];
    partial.lse = std::bit_cast<uint32_t>(in.lse[p * in.rows + row]);
    partial.base2 = options.base == Base::k2;
    partial.fmt = static_cast<model::MergeFormat>(options.format);
    partial.o.assign(padded, 0);
    for (uint64_t i = 0; i < in.elements; ++i) {
      partial.o[i] = narrow(options.format, in.o[(p * in.rows + row) * in.elements + i]);
    }
  }
  return partials;
}

}  // namespace

int cmd_merge(const MergeOptions& options) {
  Bench bench(tb::Rng(1), 0, 0);
  const uint64_t lanes = bench.lanes();
  const auto input = read_input(options.in, lanes * bench.max_beats());
  if (!input) return fail(input.error());
  const Input& in = *input;
  const uint64_t padded = (in.elements + lanes - 1) / lanes * lanes;
  const uint64_t beats = padded / lanes;
  std::vector<float> o(in.rows * in.elements);
  std::vector<float> lse(in.rows);
  uint64_t wrong = 0;
  {
    Progress progress("merge");
    for (uint64_t first = 0; first < in.rows; first += kRowsAtOnce) {
      const uint64_t end = std::min(in.rows, first + kRowsAtOnce);
      std::vector<tb::PartialBeat> send;
      std::vector<tb::MergedBeat> expected;
      for (uint64_t row = first; row < end; ++row) {
        const auto partials = row_partials(in, row, options, padded);
        tb::append_beats(partials, static_cast<uint16_t>(row), static_cast<unsigned>(lanes), send);
        tb::append_expected(partials, static_cast<uint16_t>(row), static_cast<unsigned>(lanes), expected);
      }
      const auto got = bench.run(send, expected.size());
      for (uint64_t row = first; row < end; ++row) {
        const uint64_t at = (row - first) * beats;
        bool differs = false;
        for (uint64_t b = 0; b < beats; ++b) {
          const auto& beat = got[at + b];
          differs = differs || !(beat == expected[at + b]);
          if (b == 0) lse[row] = std::bit_cast<float>(beat.lse);
          for (uint64_t i = 0; i < lanes && b * lanes + i < in.elements; ++i) {
            o[row * in.elements + b * lanes + i] = widen(options.format, beat.data[i]);
          }
        }
        if (differs && wrong++ < 8) fmt::print(stderr, "lse_merge: row {} differs from the bit-exact model\n", row);
      }
      progress.set(end, in.rows);
    }
  }
  const std::vector<trace::TensorData> tensors{
      {"o", trace::DType::kF32, {in.rows, in.elements}, std::as_bytes(std::span(o))},
      {"lse", trace::DType::kF32, {in.rows}, std::as_bytes(std::span(lse))}};
  if (const auto ok =
          trace::write_safetensors(options.out, {{"made_by", "kvsink merge"}, {"from", options.in}}, tensors);
      !ok) {
    return fail(ok.error());
  }
  fmt::print("{} rows of {} partials merged, {} differ from the bit-exact model\n", in.rows, in.partials, wrong);
  return wrong == 0 ? kEqual : kDifferent;
}

}  // namespace kvsink::command

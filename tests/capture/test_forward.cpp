// SPDX-License-Identifier: Apache-2.0
// The forward pass against a second one that shares no code with it, and against what is known of real models.
#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <filesystem>
#include <limits>
#include <random>

#include "support/catch.hpp"
#include "support/seed.hpp"
#include "sw/capture/capture.hpp"
#include "sw/capture/forward.hpp"
#include "sw/capture/kernels.hpp"
#include "sw/golden/half.hpp"
#include "sw/trace/trace.hpp"
#include "tests/capture/model_files.hpp"
#include "tests/capture/reference.hpp"
#include "tests/trace/trace_file.hpp"

namespace {

using kvsink::capture::CaptureOptions;
using kvsink::capture::Forward;
using kvsink::capture::LayerRows;
using kvsink::capture::Model;
using kvsink::capture::Threads;
using kvsink::test::ModelFiles;
using kvsink::test::reference_forward;
using kvsink::test::ReferenceConfig;
using kvsink::test::TempFolder;
using kvsink::trace::DType;
using kvsink::trace::Trace;
namespace golden = kvsink::golden;

const std::string kModels = "../shared/models/";
const std::string kTraces = "../shared/traces/";

bool there(const std::string& path) {
  std::error_code ignored;
  return std::filesystem::exists(path, ignored);
}

std::vector<std::int32_t> random_tokens(std::size_t count, std::uint32_t vocabulary, std::uint64_t seed) {
  std::mt19937_64 random(seed);
  std::vector<std::int32_t> tokens(count);
  for (auto& token : tokens) {
    token = static_cast<std::int32_t>(random() % vocabulary);
  }
  return tokens;
}

/// Everything a pass gave, for `tokens` fed in pieces of these sizes.
struct Pass {
  std::vector<std::vector<double>> logits;
  std::vector<std::vector<double>> q, k, v;
};

Pass run(const Model& model, const std::vector<std::int32_t>& tokens, std::size_t piece, unsigned threads) {
  Threads pool(threads);
  Forward forward(model, static_cast<std::uint32_t>(tokens.size()), pool);
  Pass pass;
  pass.q.resize(model.config.layers);
  pass.k.resize(model.config.layers);
  pass.v.resize(model.config.layers);
  for (std::size_t at = 0; at < tokens.size(); at += piece) {
    const std::size_t count = std::min(piece, tokens.size() - at);
    const auto ok = forward.run(std::span(tokens).subspan(at, count), [&](const LayerRows& rows) {
      CHECK(rows.position == at);
      pass.q[rows.layer].insert(pass.q[rows.layer].end(), rows.q.begin(), rows.q.end());
      pass.k[rows.layer].insert(pass.k[rows.layer].end(), rows.k.begin(), rows.k.end());
      pass.v[rows.layer].insert(pass.v[rows.layer].end(), rows.v.begin(), rows.v.end());
      return kvsink::Result<void>();
    });
    REQUIRE(ok);
    for (std::size_t b = 0; b < count; ++b) {
      pass.logits.push_back(forward.logits(b));
    }
  }
  return pass;
}

double largest_difference(const std::vector<std::vector<double>>& a, const std::vector<std::vector<double>>& b) {
  REQUIRE(a.size() == b.size());
  double largest = 0;
  for (std::size_t i = 0; i < a.size(); ++i) {
    REQUIRE(a[i].size() == b[i].size());
    for (std::size_t j = 0; j < a[i].size(); ++j) {
      // A NaN would compare as no difference.
      largest = a[i][j] == a[i][j] ? std::max(largest, std::abs(a[i][j] - b[i][j])) : HUGE_VAL;
    }
  }
  return largest;
}

double largest_difference(const Pass& a, const kvsink::test::ReferenceResult& b) {
  return std::max({largest_difference(a.logits, b.logits), largest_difference(a.q, b.q), largest_difference(a.k, b.k),
                   largest_difference(a.v, b.v)});
}

Model load(const std::string& path) {
  Threads threads(1);
  auto model = Model::load(path, threads);
  if (!model) {
    FAIL(model.error().message);
  }
  return *std::move(model);
}

/// fp16 bits as integers that count ulps.
int ordered(std::uint16_t half) { return (half & 0x8000U) != 0 ? -static_cast<int>(half & 0x7fffU) : half; }

}  // namespace

TEST_CASE("logits, q, k and v of random models agree with a second implementation", "[capture]") {
  TempFolder folder;
  const ReferenceConfig plain{3, 6, 2, 1e-5, 100.0, false, 0};
  const auto tokens = random_tokens(40, 50, kvsink::test_seed());
  const auto check = [&](const char* what, ModelFiles files, DType dtype, ReferenceConfig reference, int shards = 1) {
    INFO(what << ", seed " << kvsink::test_seed());
    const std::string path = folder / what;
    files.write(path, dtype, shards);
    const Model model = load(path);
    const Pass pass = run(model, tokens, 7, 1);
    CHECK(largest_difference(pass, reference_forward(reference, files.tensors, tokens)) < 1e-9);
    return pass;
  };
  check("F32", ModelFiles::random(DType::kF32, kvsink::test_seed()), DType::kF32, plain);
  check("F16 in three files", ModelFiles::random(DType::kF16, kvsink::test_seed()), DType::kF16, plain, 3);
  check("BF16", ModelFiles::random(DType::kBf16, kvsink::test_seed()), DType::kBf16, plain);

  auto files = ModelFiles::random(DType::kF32, kvsink::test_seed() + 1);
  files.tensors.erase("lm_head.weight");
  files.config["tie_word_embeddings"] = true;
  check("tied output", files, DType::kF32, plain);

  files = ModelFiles::random(DType::kF32, kvsink::test_seed() + 2);
  files.config["rope_interleaved"] = true;
  auto other = plain;
  other.interleaved = true;
  const Pass interleaved = check("interleaved pairs", files, DType::kF32, other);
  // The comparison can fail: the other pairing is another model.
  CHECK(largest_difference(interleaved, reference_forward(plain, files.tensors, tokens)) > 0.01);

  files = ModelFiles::random(DType::kF32, kvsink::test_seed() + 3);
  files.config["architectures"] = {"MistralForCausalLM"};
  files.config["sliding_window"] = 5;
  other = plain;
  other.window = 5;
  const Pass window = check("window of 5", files, DType::kF32, other);
  other.window = 6;
  CHECK(largest_difference(window, reference_forward(other, files.tensors, tokens)) > 1e-4);

  files = ModelFiles::random(DType::kF32, kvsink::test_seed() + 4);
  for (int layer = 0; layer < 3; ++layer) {
    files.tensors["model.layers." + std::to_string(layer) + ".self_attn.sinks"] = {{6}, {0.5, -1, 2, 0, 3, -0.25}};
  }
  const Pass sinks = check("learned sinks", files, DType::kF32, plain);
  files.tensors.erase("model.layers.1.self_attn.sinks");
  CHECK(largest_difference(sinks, reference_forward(plain, files.tensors, tokens)) > 1e-4);
}

TEST_CASE("neither batches nor threads change a bit of the forward pass", "[capture]") {
  TempFolder folder;
  ModelFiles::random(DType::kF16, kvsink::test_seed()).write(folder / "m", DType::kF16);
  const Model model = load(folder / "m");
  const auto tokens = random_tokens(64, 50, kvsink::test_seed());
  const Pass one = run(model, tokens, 1, 1);
  for (const auto& [piece, threads] : {std::pair<std::size_t, unsigned>{32, 1}, {32, 3}, {5, 2}}) {
    const Pass other = run(model, tokens, piece, threads);
    CHECK(one.logits == other.logits);
    CHECK(one.k == other.k);
  }
}

TEST_CASE("logits of the two real models agree with a second implementation to 1e-4", "[capture][model]") {
  if (!there(kModels + "stories260K.bin")) KVSINK_SKIP("no models in " << kModels);
  const auto tokens = random_tokens(96, 512, kvsink::test_seed());
  const auto stories = kvsink::test::tensors_of_llama2c(kModels + "stories260K.bin");
  const double a = largest_difference(run(load(kModels + "stories260K.bin"), tokens, 32, 2),
                                      reference_forward({5, 8, 4, 1e-5, 1e4, true, 0}, stories, tokens));
  const auto tiny = kvsink::test::tensors_of_safetensors(kModels + "tiny1m/model.safetensors");
  const double b = largest_difference(run(load(kModels + "tiny1m"), tokens, 32, 2),
                                      reference_forward({4, 2, 2, 1e-6, 1e4, false, 0}, tiny, tokens));
  INFO("stories260K " << a << ", tiny1m " << b);
  CHECK(a < 1e-4);
  CHECK(b < 1e-4);
}

TEST_CASE("the greedy text of stories260K is the known story", "[capture][model]") {
  if (!there(kModels + "stories260K.bin")) KVSINK_SKIP("no models in " << kModels);
  TempFolder folder;
  CaptureOptions o;
  o.model = kModels + "stories260K.bin";
  o.prompt = "";
  o.tokens = 120;
  o.threads = 1;
  o.out = folder / "trace";
  const auto report = kvsink::capture::capture(o);
  REQUIRE(report);
  CHECK(report->prompt_tokens == 1);
  // As this model's card and everyone's port of it show it.
  CHECK(
      report->text.starts_with("Once upon a time, there was a little girl named Lily. She loved to play outside in the "
                               "park. One day, she saw a big, red ball. She wanted to play with it, but it was too "
                               "high.\nLily's mom said, \"Lily, let's go to the park.\""));
  const auto trace = Trace::load(o.out);
  REQUIRE(trace);
  CHECK(trace->meta("text") == report->text);
  CHECK(trace->meta("decoding") == "greedy");
}

TEST_CASE("the captured traces beside the project are made again within one ulp of fp16", "[capture][model]") {
  if (!there(kTraces + "tiny1m_p0.safetensors") || !there(kModels + "tiny1m")) KVSINK_SKIP("no traces in " << kTraces);
  TempFolder folder;
  for (const auto& [name, model] : {std::pair<std::string, std::string>{"stories260K_p1", "stories260K.bin"},
                                    {"tiny1m_p0", "tiny1m"},
                                    {"tiny1m_bos20", "tiny1m"}}) {
    INFO(name);
    const auto theirs = Trace::load(kTraces + name + ".safetensors");
    REQUIRE(theirs);
    const auto& n = theirs->dims();
    CaptureOptions o;
    o.model = kModels + model;
    o.ids.emplace(theirs->token_ids().begin(), theirs->token_ids().end());
    o.tokens = n.T;
    o.prefill = theirs->prefill_tokens();
    o.out = folder / name;
    const auto report = kvsink::capture::capture(o);
    REQUIRE(report);
    const auto ours = Trace::load(o.out);
    REQUIRE(ours);
    REQUIRE(ours->dims() == n);
    CHECK(ours->scale() == theirs->scale());
    CHECK(std::equal(ours->token_ids().begin(), ours->token_ids().end(), theirs->token_ids().begin()));
    CHECK(std::equal(ours->decode_positions().begin(), ours->decode_positions().end(),
                     theirs->decode_positions().begin()));
    std::size_t all = 0;
    std::size_t near = 0;
    const auto compare = [&](std::span<const std::uint16_t> a, std::span<const std::uint16_t> b) {
      for (std::size_t i = 0; i < a.size(); ++i) {
        ++all;
        near += std::abs(ordered(a[i]) - ordered(b[i])) <= 1 ? 1 : 0;
      }
    };
    for (std::size_t l = 0; l < n.L; ++l) {
      for (std::size_t t = 0; t < n.T; ++t) {
        for (std::size_t h = 0; h < n.Hq; ++h) {
          compare(ours->q(l, t, h), theirs->q(l, t, h));
        }
        for (std::size_t h = 0; h < n.Hkv; ++h) {
          compare(ours->k(l, t, h), theirs->k(l, t, h));
          compare(ours->v(l, t, h), theirs->v(l, t, h));
        }
      }
    }
    INFO(near << " of " << all << " values within one ulp");
    CHECK(static_cast<double>(near) >= 0.999 * static_cast<double>(all));
  }
}

TEST_CASE("all fp16 and bf16 numbers widen exactly, and what is no number is found", "[capture]") {
  for (std::uint32_t bits = 0; bits < 0x10000; ++bits) {
    const auto half = static_cast<std::uint16_t>(bits);
    const auto* bytes = reinterpret_cast<const std::byte*>(&half);
    double wide = 0;
    const bool finite16 = golden::half_is_finite(half);
    const float brain = golden::bf16_to_float(half);
    if (finite16) {
      kvsink::capture::widen(DType::kF16, bytes, 1, &wide);
      if (std::bit_cast<std::uint64_t>(wide) != std::bit_cast<std::uint64_t>(double{golden::half_to_float(half)})) {
        FAIL("fp16 bits " << bits << " widen to " << wide);
      }
    }
    if (std::isfinite(brain)) {
      kvsink::capture::widen(DType::kBf16, bytes, 1, &wide);
      if (wide != double{brain}) FAIL("bf16 bits " << bits << " widen to " << wide);
    }
    if ((kvsink::capture::first_not_finite(DType::kF16, bytes, 1) == 1) != finite16 ||
        (kvsink::capture::first_not_finite(DType::kBf16, bytes, 1) == 1) != std::isfinite(brain)) {
      FAIL("bits " << bits);
    }
  }
  std::vector<float> many(10'000, 1.0F);
  const auto find = [&] {
    return kvsink::capture::first_not_finite(DType::kF32, std::as_bytes(std::span(many)).data(), many.size());
  };
  CHECK(find() == many.size());
  many[9'999] = std::numeric_limits<float>::infinity();
  CHECK(find() == 9'999);
  many[4'097] = std::numeric_limits<float>::quiet_NaN();
  CHECK(find() == 4'097);
}

// SPDX-License-Identifier: Apache-2.0
// The reader of traces takes what is right, whole, and refuses what is not with one line that says what and where.
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <random>

#include "support/catch.hpp"
#include "support/seed.hpp"
#include "sw/trace/safetensors.hpp"
#include "sw/trace/trace.hpp"
#include "tests/trace/broken_traces.hpp"
#include "tests/trace/trace_file.hpp"

namespace {

using kvsink::test::TempFolder;
using kvsink::test::TraceFile;
using kvsink::test::write_file;
using kvsink::trace::Trace;
namespace trace = kvsink::trace;

std::string read_file(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

bool holds(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

}  // namespace

TEST_CASE("the shipped trace loads with the sizes its metadata name", "[trace]") {
  const auto t = Trace::load("tests/data/tiny1m_p0.safetensors");
  REQUIRE(t);
  const trace::Dims dims{4, 256, 2, 2, 64, 128};
  CHECK(t->dims() == dims);
  CHECK(t->prefill_tokens() == 128);
  CHECK(t->scale() == 0.125);
  CHECK(t->meta("model") == "shibatch/tiny1m");
  CHECK(holds(t->meta("licence"), "MIT"));
  CHECK(t->meta("no such key").empty());
  CHECK(t->decode_positions().size() == 128);
  CHECK(t->decode_positions().front() == 128);
  CHECK(t->decode_positions().back() == 255);
}

TEST_CASE("accessors find each row where the file has it", "[trace]") {
  TempFolder folder;
  TraceFile file = TraceFile::good();
  write_file(folder / "t", file.bytes());
  const auto t = Trace::load(folder / "t");
  REQUIRE(t);
  const auto& n = t->dims();
  REQUIRE(n == trace::Dims{2, 6, 4, 2, 8, 3});
  for (std::uint32_t l = 0; l < n.L; ++l) {
    for (std::uint32_t x = 0; x < n.T; ++x) {
      for (std::uint32_t h = 0; h < n.Hq; ++h) {
        REQUIRE(t->q(l, x, h).size() == n.d);
        REQUIRE(t->q(l, x, h)[5] == file.element<std::uint16_t>("q", ((l * 6 + x) * 4 + h) * 8 + 5));
      }
      for (std::uint32_t h = 0; h < n.Hkv; ++h) {
        REQUIRE(t->k(l, x, h)[5] == file.element<std::uint16_t>("k", ((l * 6 + x) * 2 + h) * 8 + 5));
        REQUIRE(t->v(l, x, h)[5] == file.element<std::uint16_t>("v", ((l * 6 + x) * 2 + h) * 8 + 5));
      }
    }
    for (std::uint32_t s = 0; s < n.N; ++s) {
      for (std::uint32_t h = 0; h < n.Hq; ++h) {
        REQUIRE(t->o(l, s, h)[5] == file.element<float>("o", ((l * 3 + s) * 4 + h) * 8 + 5));
        REQUIRE(t->lse(l, s, h) == file.element<float>("lse", (l * 3 + s) * 4 + h));
      }
    }
  }
  CHECK(n.kv_head(0) == 0);
  CHECK(n.kv_head(1) == 0);
  CHECK(n.kv_head(2) == 1);
  CHECK(n.kv_head(3) == 1);
}

TEST_CASE("a broken trace gives one line with file, tensor, value and limit", "[trace]") {
  TempFolder folder;
  const auto list = kvsink::test::broken_traces();
  REQUIRE(list.size() > 60);
  for (const auto& broken : list) {
    INFO(broken.what);
    write_file(folder / "broken", broken.bytes);
    const auto t = Trace::load(folder / "broken");
    REQUIRE_FALSE(t);
    const std::string& message = t.error().message;
    INFO(message);
    CHECK(message.starts_with(folder / "broken: "));
    CHECK(message.find('\n') == std::string::npos);
    CHECK(message.size() < 300 + folder.path().string().size());
    for (const std::string& part : broken.holds) {
      INFO(part);
      CHECK(holds(message, part));
    }
  }
}

TEST_CASE("what is not a file to read is refused by name", "[trace]") {
  TempFolder folder;
  for (const std::string& path : {folder / "none", folder.path().string(), std::string("/dev/null"), std::string()}) {
    const auto t = Trace::load(path);
    INFO(path);
    REQUIRE_FALSE(t);
    CHECK(t.error().message.starts_with(path + ": "));
  }
}

TEST_CASE("no damage to a trace makes the reader crash or read outside of it", "[trace]") {
  // Random damage: what comes back is a trace or one line, never anything else. Sanitizers see the rest.
  TempFolder folder;
  std::mt19937_64 random(kvsink::test_seed());
  const std::string right = TraceFile::good().bytes();
  const std::size_t header = 8 + TraceFile::good().header.dump().size();
  std::size_t refused = 0;
  for (int run = 0; run < 2000; ++run) {
    std::string bytes = right;
    for (std::uint64_t i = 0; i <= random() % 3; ++i) {
      bytes[random() % header] = static_cast<char>(random());
    }
    if (run % 4 == 0) {
      bytes.resize(random() % bytes.size());
    }
    write_file(folder / "damaged", bytes);
    if (const auto t = Trace::load(folder / "damaged"); !t) {
      ++refused;
      REQUIRE(t.error().message.find('\n') == std::string::npos);
    }
  }
  CHECK(refused > 1500);
}

TEST_CASE("a trace beyond a configuration is refused with the value and the limit", "[trace]") {
  TempFolder folder;
  write_file(folder / "t", TraceFile::good().bytes());
  const auto t = Trace::load(folder / "t");
  REQUIRE(t);
  const trace::Limits exact{2, 4, 2, 8, 6};
  CHECK(trace::check_limits(*t, exact, "small"));
  struct Case {
    trace::Limits limits;
    std::string what;
  };
  for (const Case& c : {Case{{1, 4, 2, 8, 6}, "layers is 2, the limit of the configuration 'small' is 1"},
                        Case{{2, 3, 2, 8, 6}, "query heads is 4, the limit of the configuration 'small' is 3"},
                        Case{{2, 4, 1, 8, 6}, "kv heads is 2, the limit of the configuration 'small' is 1"},
                        Case{{2, 4, 2, 7, 6}, "head_dim is 8, the limit of the configuration 'small' is 7"},
                        Case{{2, 4, 2, 8, 5}, "tokens is 6, the limit of the configuration 'small' is 5"}}) {
    const auto fits = trace::check_limits(*t, c.limits, "small");
    REQUIRE_FALSE(fits);
    CHECK(holds(fits.error().message, c.what));
    CHECK(holds(fits.error().message, folder / "t"));
  }
}

TEST_CASE("outputs come back from a file as they were written", "[trace]") {
  TempFolder folder;
  trace::Outputs out = trace::Outputs::for_trace({2, 6, 4, 2, 8, 3});
  for (std::size_t i = 0; i < out.o.size(); ++i) {
    out.o[i] = static_cast<float>(i) * 0.1F;
  }
  out.lse[3] = -std::numeric_limits<float>::infinity();
  out.o[7] = std::numeric_limits<float>::quiet_NaN();
  REQUIRE(trace::write_outputs(folder / "out", out, {{"model", "m"}}));
  const auto back = trace::read_outputs(folder / "out");
  REQUIRE(back);
  CHECK((back->L == 2 && back->N == 3 && back->Hq == 4 && back->d == 8));
  CHECK(std::memcmp(back->o.data(), out.o.data(), out.o.size() * 4) == 0);
  CHECK(std::memcmp(back->lse.data(), out.lse.data(), out.lse.size() * 4) == 0);
  // Other tools map tensors in place: the data are aligned.
  const auto file = trace::SafeTensors::open(folder / "out");
  REQUIRE(file);
  CHECK(file->metadata().at("model") == "m");
  CHECK(file->tensors().at("o").begin % 8 == 0);
}

TEST_CASE("outputs are written whole or not at all", "[trace]") {
  TempFolder folder;
  const trace::Outputs out = trace::Outputs::for_trace({1, 2, 1, 1, 4, 1});
  CHECK_FALSE(trace::write_outputs(folder / "no/such/folder/out", out, {}));
  CHECK_FALSE(trace::write_outputs(folder.path().string(), out, {}));
  if (std::filesystem::exists("/dev/full")) {
    const auto full = trace::write_outputs("/dev/full", out, {});
    REQUIRE_FALSE(full);
    CHECK(holds(full.error().message, "/dev/full"));
  }
  write_file(folder / "out", "old");
  REQUIRE(trace::write_outputs(folder / "out", out, {}));
  CHECK(trace::read_outputs(folder / "out"));
  const std::string first = read_file(folder / "out");
  // A tensor whose data are not its shape is a mistake of the caller's, and leaves what was there.
  trace::Outputs wrong = out;
  wrong.o.pop_back();
  CHECK_FALSE(trace::write_outputs(folder / "out", wrong, {}));
  CHECK(read_file(folder / "out") == first);
  const auto left = std::distance(std::filesystem::directory_iterator(folder.path()), {});
  CHECK(left == 1);
}

TEST_CASE("outputs whose tensors do not belong together are refused", "[trace]") {
  TempFolder folder;
  const std::vector<float> data(24);
  const auto bytes = [&data](std::size_t n) { return std::as_bytes(std::span(data).first(n)); };
  using trace::DType;
  using trace::TensorData;
  const auto write = [&folder](std::vector<TensorData> tensors) {
    REQUIRE(trace::write_safetensors(folder / "x", {}, tensors));
    return trace::read_outputs(folder / "x");
  };
  CHECK_FALSE(write({{"o", DType::kF32, {1, 2, 3, 4}, bytes(24)}}));
  CHECK_FALSE(write({{"lse", DType::kF32, {1, 2, 3}, bytes(6)}}));
  CHECK_FALSE(write({{"o", DType::kF32, {1, 2, 3, 4}, bytes(24)}, {"lse", DType::kF32, {1, 3, 2}, bytes(6)}}));
  CHECK_FALSE(write({{"o", DType::kF32, {0, 2, 3, 4}, bytes(0)}, {"lse", DType::kF32, {0, 2, 3}, bytes(0)}}));
  CHECK_FALSE(write({{"o", DType::kI32, {1, 2, 3, 4}, bytes(24)}, {"lse", DType::kF32, {1, 2, 3}, bytes(6)}}));
  CHECK(write({{"o", DType::kF32, {1, 2, 3, 4}, bytes(24)}, {"lse", DType::kF32, {1, 2, 3}, bytes(6)}}));
  const auto flat = write({{"o", DType::kF32, {6, 4}, bytes(24)}, {"lse", DType::kF32, {6}, bytes(6)}});
  REQUIRE(flat);
  CHECK((flat->L == 1 && flat->N == 6 && flat->Hq == 1 && flat->d == 4));
}

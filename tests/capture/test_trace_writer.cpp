// SPDX-License-Identifier: Apache-2.0
// Traces that are written row by row: what comes back, what is left behind when it ends early or badly.
#include <sys/resource.h>

#include <csignal>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <random>

#include "support/catch.hpp"
#include "support/seed.hpp"
#include "sw/capture/exact.hpp"
#include "sw/golden/attention.hpp"
#include "sw/golden/half.hpp"
#include "sw/trace/trace.hpp"
#include "sw/trace/trace_writer.hpp"
#include "tests/trace/trace_file.hpp"

namespace {

using Catch::Approx;
using kvsink::test::TempFolder;
using kvsink::trace::Dims;
using kvsink::trace::Trace;
using kvsink::trace::TracePlan;
using kvsink::trace::TraceWriter;

const std::map<std::string, std::string> kMeta = {{"model", "m"}, {"source", "s"}, {"licence", "l"}, {"text", "t"}};

std::vector<std::uint16_t> random_rows(std::size_t count, std::uint64_t seed) {
  std::mt19937_64 random(seed);
  std::normal_distribution<double> normal;
  std::vector<std::uint16_t> rows(count);
  for (auto& x : rows) {
    x = kvsink::golden::double_to_half(normal(random));
  }
  return rows;
}

std::size_t files_in(const TempFolder& folder) {
  return static_cast<std::size_t>(
      std::distance(std::filesystem::directory_iterator(folder.path()), std::filesystem::directory_iterator{}));
}

/// Writes a trace of this plan in which only `tokens` and `steps` came.
kvsink::Result<void> write(const std::string& path, const TracePlan& plan, std::uint32_t tokens, std::uint32_t steps,
                           std::map<std::string, std::string> metadata = kMeta) {
  auto writer = TraceWriter::create(path, plan);
  if (!writer) {
    return writer.error();
  }
  const Dims& n = plan.dims;
  for (std::uint32_t l = 0; l < n.L; ++l) {
    for (std::uint32_t t = 0; t < tokens; ++t) {
      REQUIRE(writer->write_q(l, t, random_rows(n.Hq * n.d, 100 * l + t)));
      REQUIRE(writer->write_k(l, t, random_rows(n.Hkv * n.d, 1000 + 100 * l + t)));
      REQUIRE(writer->write_v(l, t, random_rows(n.Hkv * n.d, 2000 + 100 * l + t)));
    }
    for (std::uint32_t s = 0; s < steps; ++s) {
      const std::vector<float> o(std::size_t{n.Hq} * n.d, static_cast<float>(10 * l + s));
      const std::vector<float> lse(n.Hq, -static_cast<float>(10 * l + s));
      REQUIRE(writer->write_step(l, s, o, lse));
    }
  }
  std::vector<std::int32_t> ids(tokens);
  std::vector<std::int32_t> positions(steps);
  for (std::uint32_t t = 0; t < tokens; ++t) {
    ids[t] = static_cast<std::int32_t>(7 * t);
  }
  for (std::uint32_t s = 0; s < steps; ++s) {
    positions[s] = static_cast<std::int32_t>(plan.prefill_tokens + s);
  }
  return writer->finish(ids, positions, std::move(metadata));
}

const TracePlan kPlan{{3, 20, 4, 2, 8, 12}, 8, 0.25, {0, 5, 0}, std::vector<float>(12, 0.5F)};

}  // namespace

TEST_CASE("a trace written row by row comes back, also when it ended early", "[capture][trace]") {
  TempFolder folder;
  for (const std::uint32_t tokens : {20U, 13U, 9U}) {
    INFO(tokens << " tokens");
    const std::uint32_t steps = tokens - 8;
    REQUIRE(write(folder / "t", kPlan, tokens, steps));
    const auto t = Trace::load(folder / "t");
    if (!t) FAIL(t.error().message);
    REQUIRE(t->dims() == Dims{3, tokens, 4, 2, 8, steps});
    CHECK(t->scale() == 0.25);
    CHECK(t->window(1) == 5);
    CHECK(t->sink_logit(2, 3) == 0.5F);
    CHECK_FALSE(t->synthetic());
    CHECK(t->token_ids()[tokens - 1] == static_cast<std::int32_t>(7 * (tokens - 1)));
    bool equal = true;
    for (std::uint32_t l = 0; l < 3; ++l) {
      for (std::uint32_t x = 0; x < tokens; ++x) {
        const auto q = random_rows(32, 100 * l + x);
        const auto k = random_rows(16, 1000 + 100 * l + x);
        const auto v = random_rows(16, 2000 + 100 * l + x);
        equal = equal && std::equal(q.begin() + 24, q.end(), t->q(l, x, 3).begin()) &&
                std::equal(k.begin() + 8, k.end(), t->k(l, x, 1).begin()) &&
                std::equal(v.begin(), v.begin() + 8, t->v(l, x, 0).begin());
      }
      for (std::uint32_t s = 0; s < steps; ++s) {
        equal = equal && t->o(l, s, 3)[7] == static_cast<float>(10 * l + s) &&
                t->lse(l, s, 2) == -static_cast<float>(10 * l + s);
      }
    }
    CHECK(equal);
    CHECK(files_in(folder) == 1);
  }
}

TEST_CASE("any changed byte of a tensor is found by its checksum", "[capture][trace]") {
  TempFolder folder;
  REQUIRE(write(folder / "t", kPlan, 20, 12));
  std::ifstream file(folder / "t", std::ios::binary);
  const std::string good{std::istreambuf_iterator<char>(file), {}};
  std::uint64_t header = 0;
  std::memcpy(&header, good.data(), 8);
  std::mt19937_64 random(kvsink::test_seed());
  for (int i = 0; i < 200; ++i) {
    std::string bad = good;
    const std::size_t at = 8 + header + random() % (good.size() - 8 - header);
    bad[at] = static_cast<char>(bad[at] ^ static_cast<char>(1 + random() % 255));
    kvsink::test::write_file(folder / "bad", bad);
    const auto t = Trace::load(folder / "bad");
    INFO("byte " << at);
    REQUIRE_FALSE(t);
    CHECK(t.error().message.find("CRC-32") != std::string::npos);
  }
}

TEST_CASE("a writer that is dropped, or has no room, leaves nothing behind", "[capture][trace]") {
  TempFolder folder;
  {
    auto writer = TraceWriter::create(folder / "t", kPlan);
    REQUIRE(writer);
    CHECK(files_in(folder) == 1);
    CHECK_FALSE(std::filesystem::exists(folder / "t"));
  }
  CHECK(files_in(folder) == 0);

  // A limit on the size of files stands in for a full disk.
  struct rlimit before {};
  REQUIRE(::getrlimit(RLIMIT_FSIZE, &before) == 0);
  auto* handler = std::signal(SIGXFSZ, SIG_IGN);
  struct rlimit small = before;
  small.rlim_cur = 10'000;
  REQUIRE(::setrlimit(RLIMIT_FSIZE, &small) == 0);
  const auto full = TraceWriter::create(folder / "t", kPlan);
  ::setrlimit(RLIMIT_FSIZE, &before);
  std::signal(SIGXFSZ, handler);
  REQUIRE_FALSE(full);
  CHECK(full.error().message.find("no room for") != std::string::npos);
  CHECK(files_in(folder) == 0);

  CHECK_FALSE(TraceWriter::create(folder / "no/t", kPlan));
  CHECK_FALSE(TraceWriter::create(folder.path().string(), kPlan));
  CHECK_FALSE(TraceWriter::create("/dev/null", kPlan));
}

TEST_CASE("a text too long for the header is cut at a character, and the trace stays whole", "[capture][trace]") {
  TempFolder folder;
  auto metadata = kMeta;
  metadata["text"].clear();
  while (metadata["text"].size() < 20'000) {
    metadata["text"] += "\xe4\xbd\xa0\n";
  }
  REQUIRE(write(folder / "t", kPlan, 20, 12, metadata));
  const auto t = Trace::load(folder / "t");
  REQUIRE(t);
  CHECK(t->meta("text_cut") == "yes");
  CHECK(t->meta("text").size() > 1000);
  CHECK(metadata["text"].starts_with(t->meta("text")));
  metadata["source"] = std::string(20'000, 'x');
  CHECK_FALSE(write(folder / "u", kPlan, 20, 12, metadata));
  CHECK_FALSE(std::filesystem::exists(folder / "u"));
}

TEST_CASE("outputs written beside the rows are exact attention over them", "[capture][golden]") {
  const Dims n{1, 33, 6, 2, 20, 1};
  const auto k = random_rows(std::size_t{n.Hkv} * n.T * n.d, kvsink::test_seed());
  const auto v = random_rows(k.size(), kvsink::test_seed() + 1);
  const auto q = random_rows(std::size_t{n.Hq} * n.d, kvsink::test_seed() + 2);
  kvsink::capture::Threads threads(2);
  std::vector<float> o(q.size());
  std::vector<float> lse(n.Hq);
  for (const std::uint32_t position : {0U, 7U, 32U}) {
    kvsink::capture::exact_step(n, 0.3, {k, v, n.T}, position, q, o, lse, threads);
    for (std::uint32_t h = 0; h < n.Hq; ++h) {
      std::vector<kvsink::golden::KvRows> rows;
      for (std::uint32_t t = 0; t <= position; ++t) {
        const std::size_t at = (std::size_t{n.kv_head(h)} * n.T + t) * n.d;
        rows.push_back({std::span(k).subspan(at, n.d), std::span(v).subspan(at, n.d)});
      }
      const auto exact = kvsink::golden::attend(std::span(q).subspan(std::size_t{h} * n.d, n.d), rows, 0.3);
      CHECK(lse[h] == Approx(exact.lse).epsilon(1e-7));
      for (std::uint32_t e = 0; e < n.d; ++e) {
        CHECK(o[std::size_t{h} * n.d + e] == Approx(exact.o[e]).epsilon(1e-6).margin(1e-9));
      }
    }
  }
}

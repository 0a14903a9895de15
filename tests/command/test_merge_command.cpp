// SPDX-License-Identifier: Apache-2.0
// `kvsink merge` as a user runs it: results against the golden model, files of every shape, one line for bad input.
#include <sys/stat.h>
#include <sys/wait.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <limits>
#include <numbers>
#include <span>
#include <string>
#include <vector>

#include "support/catch.hpp"
#include "sw/golden/attention.hpp"
#include "sw/golden/bounds.hpp"
#include "sw/golden/half.hpp"
#include "sw/trace/safetensors.hpp"
#include "sw/trace/trace.hpp"
#include "tb/common/rng.hpp"
#include "tests/trace/trace_file.hpp"

namespace {

using kvsink::tb::Rng;
using kvsink::test::TempFolder;
namespace golden = kvsink::golden;
namespace trace = kvsink::trace;

constexpr float kInf = std::numeric_limits<float>::infinity();
constexpr float kNan = std::numeric_limits<float>::quiet_NaN();

/// Partials as the command takes them.
struct Input {
  uint64_t partials, rows, elements;
  std::vector<float> o, lse;

  Input(uint64_t p, uint64_t r, uint64_t d, Rng rng) : partials(p), rows(r), elements(d) {
    const auto uniform = [&] { return static_cast<double>(rng.next() >> 11) * 0x1p-53; };
    for (uint64_t i = 0; i < p * r * d; ++i) o.push_back(static_cast<float>(4 * uniform() - 2));
    for (uint64_t i = 0; i < p * r; ++i) lse.push_back(static_cast<float>(12 * uniform() - 6));
  }
  float& o_at(uint64_t p, uint64_t row, uint64_t i) { return o[(p * rows + row) * elements + i]; }
  float& lse_at(uint64_t p, uint64_t row) { return lse[p * rows + row]; }

  void write(const std::string& path) const {
    const std::vector<trace::TensorData> tensors{
        {"o", trace::DType::kF32, {partials, rows, elements}, std::as_bytes(std::span(o))},
        {"lse", trace::DType::kF32, {partials, rows}, std::as_bytes(std::span(lse))}};
    REQUIRE(trace::write_safetensors(path, {}, tensors));
  }
  /// The exact merge of a row, in a format and a base.
  [[nodiscard]] golden::Merged exact(uint64_t row, const std::string& format, bool base2) const {
    std::vector<golden::Partial> parts;
    for (uint64_t p = 0; p < partials; ++p) {
      golden::Partial part{{}, lse[p * rows + row] * (base2 ? std::numbers::ln2 : 1.0)};
      for (uint64_t i = 0; i < elements; ++i) {
        const float x = o[(p * rows + row) * elements + i];
        part.o.push_back(format == "fp16"   ? golden::half_to_float(golden::float_to_half(x))
                         : format == "bf16" ? golden::bf16_to_float(golden::float_to_bf16(x))
                                            : x);
      }
      parts.push_back(part);
    }
    auto merged = golden::merge(parts);
    if (base2) merged.lse *= std::numbers::log2e;
    return merged;
  }
};

struct Outcome {
  int status;
  std::string out, err;
};

std::string slurp(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

Outcome run(const TempFolder& folder, const std::string& in, const std::string& out, const std::string& options = "") {
  const std::string line = std::string(KVSINK_COMMAND) + " merge '" + in + "' --out '" + out + "' " + options + " >'" +
                           (folder / "stdout") + "' 2>'" + (folder / "stderr") + "' </dev/null";
  const int status = std::system(line.c_str());  // NOLINT(cert-env33-c): a test runs what it built
  return {WIFEXITED(status) ? WEXITSTATUS(status) : -1, slurp(folder / "stdout"), slurp(folder / "stderr")};
}

/// Whether this build has the merge unit.
bool has_block(const Outcome& outcome) { return outcome.err.find("made without the block") == std::string::npos; }

bool holds(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

void check_output(const std::string& path, const Input& in, const std::string& format, bool base2) {
  const auto got = trace::read_outputs(path);
  REQUIRE(got);
  REQUIRE(got->d == in.elements);
  REQUIRE(got->lse.size() == in.rows);
  double worst = 0;
  double worst_lse = 0;
  for (uint64_t row = 0; row < in.rows; ++row) {
    const auto exact = in.exact(row, format, base2);
    worst_lse = std::max(worst_lse, golden::error_ulp(got->lse[row], exact.lse, std::max(1.0, std::fabs(exact.lse))));
    for (uint64_t i = 0; i < in.elements; ++i) {
      const double x = exact.o[i];
      const double fine = golden::ulp32(exact.m[i]);
      // The bound: 1 ulp of M, and for 16 bits 1 ulp of the format beside it.
      const double coarse = format == "fp16"   ? std::max(std::ldexp(golden::ulp32(x), 13), 0x1p-24)
                            : format == "bf16" ? std::ldexp(golden::ulp32(x), 16)
                                               : 0;
      worst = std::max(worst, std::fabs(got->o_row(row)[i] - x) / (fine + coarse));
    }
  }
  CHECK(worst <= 1);
  CHECK(worst_lse <= 1);
}

}  // namespace

TEST_CASE("merge gives exact attention within the bounds, in each format and base", "[command][merge]") {
  TempFolder folder;
  const Input in(3, 200, 20, Rng().fork("formats"));
  in.write(folder / "in");
  for (const std::string format : {"fp32", "fp16", "bf16"}) {
    for (const bool base2 : {false, true}) {
      INFO(format << (base2 ? ", base 2" : ", base e"));
      const auto outcome =
          run(folder, folder / "in", folder / "out", "--format " + format + " --base " + (base2 ? "2" : "e"));
      if (!has_block(outcome)) KVSINK_SKIP("this build has no block");
      CHECK(outcome.err.empty());
      CHECK(outcome.status == 0);
      CHECK(outcome.out == "200 rows of 3 partials merged, 0 differ from the bit-exact model\n");
      check_output(folder / "out", in, format, base2);
    }
  }
}

TEST_CASE("merge takes any number of rows and elements, rows longer than the unit's accumulators too",
          "[command][merge]") {
  TempFolder folder;
  struct Shape {
    uint64_t partials, rows, elements;
  };
  for (const Shape& s : {Shape{1, 1, 1}, Shape{64, 3, 5}, Shape{2, 5000, 1}, Shape{2, 3, 4099}, Shape{5, 1, 20000},
                         Shape{2, 700, 128}, Shape{2, 0, 16}}) {
    INFO(s.partials << " partials, " << s.rows << " rows, " << s.elements << " elements");
    const Input in(s.partials, s.rows, s.elements, Rng().fork("shapes"));
    in.write(folder / "in");
    const auto outcome = run(folder, folder / "in", folder / "out");
    if (!has_block(outcome)) KVSINK_SKIP("this build has no block");
    CHECK(outcome.err.empty());
    CHECK(outcome.status == 0);
    if (s.rows != 0) check_output(folder / "out", in, "fp32", false);
    const auto file = trace::SafeTensors::open(folder / "out");
    REQUIRE(file);
    CHECK(file->tensors().at("o").shape == std::vector<uint64_t>{s.rows, s.elements});
    CHECK(file->tensors().at("lse").shape == std::vector<uint64_t>{s.rows});
  }
}

TEST_CASE("merge leaves empty partials out, lets NaN through and says so", "[command][merge]") {
  TempFolder folder;
  Input in(2, 4, 6, Rng().fork("special"));
  in.lse_at(1, 0) = -kInf;
  in.o_at(1, 0, 2) = kNan;
  in.lse_at(0, 1) = kInf;
  in.lse_at(1, 1) = -kInf;
  in.o_at(1, 2, 3) = kNan;
  in.o_at(0, 3, 5) = 1e6F;
  in.write(folder / "in");
  auto outcome = run(folder, folder / "in", folder / "out");
  if (!has_block(outcome)) KVSINK_SKIP("this build has no block");
  CHECK(outcome.status == 0);
  CHECK(holds(outcome.out, "\n1 rows have a NaN"));
  const auto got = trace::read_outputs(folder / "out");
  REQUIRE(got);
  for (uint64_t i = 0; i < 6; ++i) {
    CHECK(got->o_row(0)[i] == in.o_at(0, 0, i));
    CHECK(got->o_row(1)[i] == 0);
    CHECK(std::isnan(got->o_row(2)[i]) == (i == 3));
  }
  CHECK(got->lse[0] == in.lse_at(0, 0));
  CHECK(got->lse[1] == -kInf);
  outcome = run(folder, folder / "in", folder / "out", "--format fp16");
  CHECK(outcome.status == 0);
  CHECK(holds(outcome.out, "1 finite elements of o are beyond the range"));
}

TEST_CASE("merge writes into a pipe and onto a link", "[command][merge]") {
  TempFolder folder;
  const Input in(2, 3000, 8, Rng().fork("pipe"));
  in.write(folder / "in");
  const auto plain = run(folder, folder / "in", folder / "out");
  if (!has_block(plain)) KVSINK_SKIP("this build has no block");
  REQUIRE(::mkfifo((folder / "pipe").c_str(), 0600) == 0);
  const std::string line = "cat '" + (folder / "pipe") + "' >'" + (folder / "copy") + "' & " + KVSINK_COMMAND +
                           " merge '" + (folder / "in") + "' --out '" + (folder / "pipe") +
                           "' >/dev/null; s=$?; wait; exit $s";
  // reason: a shell joins the two ends of the pipe
  CHECK(std::system(line.c_str()) == 0);  // NOLINT(cert-env33-c)
  const std::string wanted = slurp(folder / "out");
  const std::string copied = slurp(folder / "copy");
  CHECK(copied.size() == wanted.size());
  CHECK((copied == wanted));
  std::filesystem::create_symlink(folder / "real", folder / "link");
  CHECK(run(folder, folder / "in", folder / "link").status == 0);
  CHECK(std::filesystem::is_symlink(folder / "link"));
  CHECK((slurp(folder / "real") == wanted));
}

TEST_CASE("bad input of merge ends with one line and status 2, and leaves no file", "[command][merge]") {
  TempFolder folder;
  const auto floats = [](uint64_t n) { return std::vector<float>(n, 1.0F); };
  const auto write = [&](const std::string& name, const std::vector<uint64_t>& o, const std::vector<uint64_t>& lse) {
    const auto size = [](const std::vector<uint64_t>& shape) {
      uint64_t n = 1;
      for (const uint64_t x : shape) n *= x;
      return n;
    };
    const auto a = floats(size(o));
    const auto b = floats(size(lse));
    const std::vector<trace::TensorData> tensors{{"o", trace::DType::kF32, o, std::as_bytes(std::span(a))},
                                                 {"lse", trace::DType::kF32, lse, std::as_bytes(std::span(b))}};
    REQUIRE(trace::write_safetensors(folder / name, {}, tensors));
  };
  write("partials65", {65, 2, 4}, {65, 2});
  write("partials0", {0, 2, 4}, {0, 2});
  write("elements0", {2, 2, 0}, {2, 2});
  write("rows", {2, 3, 4}, {2, 2});
  write("rank", {2, 4}, {2, 4});
  write("good", {2, 2, 4}, {2, 2});
  const std::vector<uint16_t> halves(16, 0);
  const std::vector<trace::TensorData> half{{"o", trace::DType::kF16, {2, 2, 4}, std::as_bytes(std::span(halves))}};
  REQUIRE(trace::write_safetensors(folder / "half", {}, half));
  const std::string good = slurp(folder / "good");
  kvsink::test::write_file(folder / "cut", good.substr(0, good.size() - 5));
  kvsink::test::write_file(folder / "empty", "");
  struct Case {
    std::string in;
    std::vector<std::string> parts;
  };
  const std::vector<Case> cases{{"partials65", {"65 partials", "1 to 64"}},
                                {"partials0", {"0 partials", "1 to 64"}},
                                {"elements0", {"0 elements"}},
                                {"rows", {"lse is [2][2]", "[2][3]"}},
                                {"rank", {"'o'", "3 dimensions"}},
                                {"half", {"'o'", "F16", "F32"}},
                                {"cut", {"cut short"}},
                                {"empty", {"0 bytes"}},
                                {"none", {"no such file"}}};
  for (const Case& c : cases) {
    const auto outcome = run(folder, folder / c.in, folder / "out");
    if (!has_block(outcome)) KVSINK_SKIP("this build has no block");
    INFO(c.in << ": " << outcome.err);
    CHECK(outcome.status == 2);
    CHECK(outcome.out.empty());
    CHECK(outcome.err.starts_with("kvsink: "));
    CHECK(std::count(outcome.err.begin(), outcome.err.end(), '\n') == 1);
    for (const auto& part : c.parts) CHECK(holds(outcome.err, part));
    CHECK(holds(outcome.err, folder / c.in));
  }
  CHECK_FALSE(std::filesystem::exists(folder / "out"));
  // A disk that is full.
  if (std::filesystem::exists("/dev/full")) {
    const auto outcome = run(folder, folder / "good", "/dev/full");
    CHECK(outcome.status == 2);
    CHECK(holds(outcome.err, "/dev/full"));
  }
  for (const auto& entry : std::filesystem::directory_iterator(folder.path())) {
    CHECK(entry.path().extension() != ".part");
  }
}

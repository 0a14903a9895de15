// SPDX-License-Identifier: Apache-2.0
// capture, import and synth-trace as a user runs them: right input gives right files; wrong input gives one line, exit
// status 2, and no file under the final name.
#include <sys/wait.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <functional>
#include <iterator>
#include <limits>
#include <nlohmann/json.hpp>

#include "support/catch.hpp"
#include "support/seed.hpp"
#include "sw/golden/half.hpp"
#include "sw/trace/trace.hpp"
#include "tests/capture/model_files.hpp"
#include "tests/trace/trace_file.hpp"

namespace {

using Catch::Approx;
using kvsink::test::ModelFiles;
using kvsink::test::TempFolder;
using kvsink::test::write_file;
using kvsink::trace::DType;
using kvsink::trace::Trace;
using nlohmann::json;

struct Outcome {
  int status;
  std::string out;
  std::string err;
};

std::string slurp(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

std::string in_shell(const std::string& word) {
  std::string out = "'";
  for (const char c : word) {
    out += c == '\'' ? std::string("'\\''") : std::string(1, c);
  }
  return out + "'";
}

Outcome shell(const TempFolder& folder, const std::string& line) {
  const int status = std::system(
      ("(" + line + ") >" + in_shell(folder / "stdout") + " 2>" + in_shell(folder / "stderr") + " </dev/null").c_str());
  return {WIFEXITED(status) ? WEXITSTATUS(status) : -1, slurp(folder / "stdout"), slurp(folder / "stderr")};
}

std::string kvsink_line(const std::vector<std::string>& arguments) {
  std::string line = in_shell(KVSINK_COMMAND);
  for (const std::string& argument : arguments) {
    line += " " + in_shell(argument);
  }
  return line;
}

Outcome kvsink_run(const TempFolder& folder, const std::vector<std::string>& arguments) {
  return shell(folder, kvsink_line(arguments));
}

bool holds(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

void check_refused(const Outcome& outcome, const std::vector<std::string>& parts) {
  INFO(outcome.out << "|" << outcome.err);
  CHECK(outcome.status == 2);
  CHECK(outcome.out.empty());
  CHECK(outcome.err.starts_with("kvsink: "));
  CHECK(std::count(outcome.err.begin(), outcome.err.end(), '\n') == 1);
  for (const std::string& part : parts) {
    INFO(part);
    CHECK(holds(outcome.err, part));
  }
}

/// Nothing under the name of the trace, and nothing half-made beside it.
void check_nothing(const TempFolder& folder) {
  for (const auto& entry : std::filesystem::directory_iterator(folder.path())) {
    INFO(entry.path());
    CHECK_FALSE(entry.path().filename().string().starts_with("out"));
  }
}

constexpr const char* kIds = "1 2 3 4 5 6 7 8 9 10";

/// A header of a safetensors file around any JSON.
std::string safetensors_bytes(const std::string& header, const std::string& data) {
  const std::uint64_t length = header.size();
  return std::string(reinterpret_cast<const char*>(&length), sizeof length) + header + data;
}

}  // namespace

TEST_CASE("capture records what it is asked to, the same bytes every time", "[capture][command]") {
  TempFolder folder;
  ModelFiles::random(DType::kF16).write(folder / "m", DType::kF16, 2);
  write_file(folder / "ids", kIds);
  const std::vector<std::string> line = {"capture", "--model", folder / "m", "--ids", folder / "ids", "--tokens", "40"};
  const auto run = [&](const std::string& out, const std::vector<std::string>& more) {
    auto all = line;
    all.insert(all.end(), more.begin(), more.end());
    all.insert(all.end(), {"--out", folder / out});
    const Outcome outcome = kvsink_run(folder, all);
    INFO(outcome.err);
    REQUIRE(outcome.status == 0);
    CHECK(outcome.err.empty());  // no progress in a pipe
    auto trace = Trace::load(folder / out);
    if (!trace) FAIL(trace.error().message);
    return *std::move(trace);
  };
  const Trace all = run("a", {"--threads", "1"});
  CHECK(all.dims() == kvsink::trace::Dims{3, 40, 6, 2, 4, 30});
  CHECK(all.prefill_tokens() == 10);
  run("b", {"--threads", "3"});
  CHECK(slurp(folder / "a") == slurp(folder / "b"));

  const Trace some = run("c", {"--layers", "1-2", "--heads", "1", "--every", "7", "--prefill", "12"});
  CHECK(some.dims() == kvsink::trace::Dims{2, 40, 3, 1, 4, 4});
  CHECK(std::vector<std::int32_t>(some.decode_positions().begin(), some.decode_positions().end()) ==
        std::vector<std::int32_t>{12, 19, 26, 33});
  CHECK(std::ranges::equal(some.q(1, 30, 2), all.q(2, 30, 5)));
  CHECK(std::ranges::equal(some.k(0, 39, 0), all.k(1, 39, 1)));
  CHECK(std::ranges::equal(some.o(0, 1, 0), all.o(1, 9, 3)));
  CHECK(some.lse(1, 3, 2) == all.lse(2, 23, 5));
  CHECK(some.meta("model_layers") == "1-2 of 3");

  // Drawn tokens follow the seed, and are not the likeliest.
  const Trace drawn = run("d", {"--temperature", "2", "--seed", "5"});
  run("e", {"--temperature", "2", "--seed", "5"});
  CHECK(slurp(folder / "d") == slurp(folder / "e"));
  CHECK_FALSE(std::ranges::equal(drawn.token_ids(), all.token_ids()));
  CHECK_FALSE(std::ranges::equal(run("f", {"--temperature", "2", "--seed", "6"}).token_ids(), drawn.token_ids()));
  CHECK(std::ranges::equal(run("g", {"--temperature", "2", "--top-p", "0"}).token_ids(), all.token_ids()));
}

TEST_CASE("capture stops where the model ends the sequence, unless it is told to go on", "[capture][command]") {
  TempFolder folder;
  auto files = ModelFiles::random(DType::kF32);
  files.write(folder / "m", DType::kF32);
  write_file(folder / "ids", kIds);
  const std::vector<std::string> line = {"capture",      "--model",  folder / "m", "--ids",
                                         folder / "ids", "--tokens", "40",         "--out"};
  const auto with = [&](std::vector<std::string> more) {
    auto all = line;
    all.insert(all.end(), more.begin(), more.end());
    return kvsink_run(folder, all);
  };
  REQUIRE(with({folder / "a"}).status == 0);
  const auto all = Trace::load(folder / "a");
  REQUIRE(all);
  // The first generated token that was not seen before it, from the 15th on, is declared the end.
  std::size_t at = 15;
  while (std::find(all->token_ids().begin(), all->token_ids().begin() + static_cast<std::ptrdiff_t>(at),
                   all->token_ids()[at]) != all->token_ids().begin() + static_cast<std::ptrdiff_t>(at)) {
    ++at;
    REQUIRE(at < 40);
  }
  files.config["eos_token_id"] = {all->token_ids()[at]};
  files.write(folder / "m", DType::kF32);
  const Outcome ended = with({folder / "b"});
  CHECK(holds(ended.out, "the model ended the sequence"));
  const auto early = Trace::load(folder / "b");
  REQUIRE(early);
  CHECK(early->dims().T == at + 1);
  CHECK(std::ranges::equal(early->q(2, at, 5), all->q(2, at, 5)));
  CHECK(std::ranges::equal(early->o(2, early->dims().N - 1, 5), all->o(2, at - 10, 5)));
  REQUIRE(with({folder / "c", "--ignore-eos"}).status == 0);
  CHECK(slurp(folder / "c") == slurp(folder / "a"));
  check_refused(with({folder / "out", "--prefill", "39"}), {"ended the sequence", "39"});
  check_nothing(folder);
}

TEST_CASE("a model that is broken is refused with one line, and no trace is left", "[capture][command]") {
  TempFolder folder;
  write_file(folder / "ids", kIds);
  const std::string weights = folder / "m/model.safetensors";
  const auto refused = [&](
                           const std::string& what, const std::vector<std::string>& parts,
                           const std::function<void(ModelFiles&)>& change, const std::function<void()>& after = [] {}) {
    INFO(what);
    std::filesystem::remove_all(folder / "m");
    auto files = ModelFiles::random(DType::kF32);
    change(files);
    files.write(folder / "m", DType::kF32);
    after();
    check_refused(kvsink_run(folder, {"capture", "--model", folder / "m", "--ids", folder / "ids", "--tokens", "20",
                                      "--out", folder / "out"}),
                  parts);
    check_nothing(folder);
  };
  const auto nothing = [](ModelFiles&) {};
  const std::string q1 = "model.layers.1.self_attn.q_proj.weight";
  refused("architecture", {"config.json", "'GPT2LMHeadModel'", "LlamaForCausalLM"},
          [](ModelFiles& m) { m.config["architectures"] = {"GPT2LMHeadModel"}; });
  refused("a size is missing", {"config.json", "'hidden_size'"}, [](ModelFiles& m) { m.config.erase("hidden_size"); });
  refused("a size of nothing", {"'num_hidden_layers'", "'0'"},
          [](ModelFiles& m) { m.config["num_hidden_layers"] = 0; });
  refused("heads", {"'num_attention_heads'", "6", "4"}, [](ModelFiles& m) { m.config["num_key_value_heads"] = 4; });
  refused("activation", {"'hidden_act'", "'gelu'"}, [](ModelFiles& m) { m.config["hidden_act"] = "gelu"; });
  refused("RoPE", {"RoPE", "'yarn'"}, [](ModelFiles& m) {
    m.config["rope_scaling"] = {{"rope_type", "yarn"}, {"factor", 2}};
  });
  refused("quantised", {"quantization_config"},
          [](ModelFiles& m) { m.config["quantization_config"] = json::object(); });
  refused("soft cap", {"'attn_logit_softcapping'"}, [](ModelFiles& m) { m.config["attn_logit_softcapping"] = 50.0; });
  refused("token of the config", {"'eos_token_id'", "49"}, [](ModelFiles& m) { m.config["eos_token_id"] = 50; });
  refused("shape", {weights, "'" + q1 + "'", "[24][24]", "[24][12]"}, [&](ModelFiles& m) {
    m.tensors[q1].shape = {24, 12};
    m.tensors[q1].data.resize(24 * 12);
  });
  refused("missing", {weights, "'" + q1 + "'", "missing"}, [&](ModelFiles& m) { m.tensors.erase(q1); });
  refused("a tensor too many", {weights, "'model.layers.3.mlp.up_proj.weight'", "3 layers"}, [](ModelFiles& m) {
    m.tensors["model.layers.3.mlp.up_proj.weight"] = {{1}, {0}};
  });
  refused("NaN", {weights, "'" + q1 + "'", "[3][5]"},
          [&](ModelFiles& m) { m.tensors[q1].data[3 * 24 + 5] = std::numeric_limits<double>::quiet_NaN(); });
  refused("infinity", {weights, "'model.norm.weight'", "[23]"},
          [](ModelFiles& m) { m.tensors["model.norm.weight"].data[23] = HUGE_VAL; });
  refused("beyond fp16", {"v of layer 0", "65504"}, [](ModelFiles& m) {
    for (double& x : m.tensors["model.layers.0.self_attn.v_proj.weight"].data) {
      x *= 1e6;
    }
  });
  refused("config is no JSON", {"config.json", "JSON"}, nothing,
          [&] { write_file(folder / "m/config.json", "{\"a\""); });
  refused("no config", {"config.json", "no such file"}, nothing,
          [&] { std::filesystem::remove(folder / "m/config.json"); });
  refused("no weights", {weights, "no such file"}, nothing, [&] { std::filesystem::remove(weights); });
  refused("weights cut short", {weights, "cut short"}, nothing, [&] {
    const std::string bytes = slurp(weights);
    write_file(weights, bytes.substr(0, bytes.size() - 100));
  });
  refused("header cut short", {weights, "cut short"}, nothing,
          [&] { write_file(weights, slurp(weights).substr(0, 100)); });
  refused("header too long", {weights, "limit"}, nothing,
          [&] { write_file(weights, std::string("\0\0\0\0\0\0\0\1", 8) + "{}"); });
  const auto header = [&](const std::function<void(json&)>& change) {
    const std::string bytes = slurp(weights);
    std::uint64_t length = 0;
    std::memcpy(&length, bytes.data(), 8);
    json parsed = json::parse(bytes.substr(8, length));
    change(parsed);
    write_file(weights, safetensors_bytes(parsed.dump(), bytes.substr(8 + length)));
  };
  refused("overlap", {weights, "overlap"}, nothing, [&] {
    header([&](json& h) {
      h["model.norm.weight"]["data_offsets"] = h["model.layers.0.input_layernorm.weight"]["data_offsets"];
    });
  });
  refused("dtype", {weights, "'" + q1 + "'", "I32"}, nothing,
          [&] { header([&](json& h) { h[q1]["dtype"] = "I32"; }); });
  refused("dtype of another size", {weights, "'" + q1 + "'", "F16"}, nothing,
          [&] { header([&](json& h) { h[q1]["dtype"] = "F16"; }); });
  refused("index", {"model.safetensors.index.json", "weight_map"}, nothing,
          [&] { write_file(folder / "m/model.safetensors.index.json", "{}"); });
  refused("index that leads away", {"'\"../x\"'"}, nothing,
          [&] { write_file(folder / "m/model.safetensors.index.json", R"({"weight_map": {"a": "../x"}})"); });
}

TEST_CASE("a checkpoint that is broken is refused with one line", "[capture][command]") {
  TempFolder folder;
  write_file(folder / "ids", "1 2 3");
  // dim 8, MLP 8, 1 layer, 2 query and 1 kv heads, 10 tokens, 16 positions, shared output; all weights 0.125.
  const std::vector<std::int32_t> sizes = {8, 8, 1, 2, 1, 10, 16};
  const std::size_t floats = 80 + 8 + 64 + 32 + 32 + 64 + 8 + 64 + 64 + 64 + 8 + 16 * 4;
  std::string good(reinterpret_cast<const char*>(sizes.data()), 28);
  const float eighth = 0.125F;
  for (std::size_t i = 0; i < floats; ++i) {
    good.append(reinterpret_cast<const char*>(&eighth), 4);
  }
  const auto with = [&](const std::string& bytes) {
    write_file(folder / "m.bin", bytes);
    return kvsink_run(folder, {"capture", "--model", folder / "m.bin", "--ids", folder / "ids", "--tokens", "8",
                               "--ignore-eos", "--out", folder / "out"});
  };
  CHECK(with(good).status == 0);
  std::filesystem::remove(folder / "out");
  check_refused(with(good.substr(0, good.size() - 4)), {"m.bin", "cut short"});
  check_refused(with(good.substr(0, 1000)), {"m.bin", "cut short"});
  check_refused(with(good.substr(0, 20)), {"m.bin", "20 bytes"});
  check_refused(with(good + "1234"), {"m.bin", "4 bytes after"});
  std::string bad = good;
  bad[0] = 9;
  check_refused(with(bad), {"dim 9"});
  bad = good;
  bad[8 + 3] = 1;
  check_refused(with(bad), {"n_layers"});
  bad = good;
  bad.replace(28 + 4 * 85, 4, std::string("\0\0\xc0\x7f", 4));
  check_refused(with(bad), {"rms_att_weight", "NaN", "[5]"});
  check_refused(with(std::string("24ka\2\0\0\0", 8) + std::string(300, '\0')), {"version 2"});
  check_nothing(folder);
}

TEST_CASE("wrong use of capture, import and synth-trace is told in one line", "[capture][command]") {
  TempFolder folder;
  ModelFiles::random(DType::kF32).write(folder / "m", DType::kF32);
  write_file(folder / "ids", kIds);
  write_file(folder / "large", "1 2 50");
  write_file(folder / "words", "1 two 3");
  write_file(folder / "empty", " \n");
  const std::string out = folder / "out";
  const std::string m = folder / "m";
  const std::string ids = folder / "ids";
  struct Case {
    std::vector<std::string> arguments;
    std::vector<std::string> parts;
  };
  for (const Case& c : std::vector<Case>{
           {{"capture", "--model", m, "--out", out}, {"--prompt", "--ids"}},
           {{"capture", "--model", m, "--ids", ids, "--prompt", "a", "--out", out}, {"--prompt", "--ids"}},
           {{"capture", "--ids", ids, "--out", out}, {"--model"}},
           {{"capture", "--model", m, "--ids", ids}, {"--out"}},
           {{"capture", "--model", folder / "none", "--ids", ids, "--out", out}, {"none", "no such"}},
           {{"capture", "--model", m, "--prompt", "hello", "--out", out}, {"tokenizer"}},
           {{"capture", "--model", m, "--ids", folder / "large", "--out", out}, {"token 2", "50", "49"}},
           {{"capture", "--model", m, "--ids", folder / "words", "--out", out}, {"words"}},
           {{"capture", "--model", m, "--ids", folder / "empty", "--out", out}, {"no token"}},
           {{"capture", "--model", m, "--ids", folder / "none", "--out", out}, {"--ids", "no such file"}},
           {{"capture", "--model", m, "--ids", ids, "--tokens", "65", "--out", out}, {"--tokens", "65", "64"}},
           {{"capture", "--model", m, "--ids", ids, "--tokens", "1", "--out", out}, {"--tokens", "'1'"}},
           {{"capture", "--model", m, "--ids", ids, "--tokens", "20", "--prefill", "20", "--out", out}, {"--prefill"}},
           {{"capture", "--model", m, "--ids", ids, "--layers", "2-3", "--out", out}, {"--layers", "0 to 2"}},
           {{"capture", "--model", m, "--ids", ids, "--layers", "2-1", "--out", out}, {"--layers", "'2-1'"}},
           {{"capture", "--model", m, "--ids", ids, "--heads", "x", "--out", out}, {"--heads", "'x'"}},
           {{"capture", "--model", m, "--ids", ids, "--temperature", "-1", "--out", out}, {"--temperature", "'-1'"}},
           {{"capture", "--model", m, "--ids", ids, "--every", "0", "--out", out}, {"--every"}},
           {{"capture", "--model", m, "--ids", ids, "--out", folder / "no/out"}, {"--out", "no folder"}},
           {{"capture", "--model", m, "--ids", ids, "--tokenizer", ids, "--out", out}, {ids}},
           {{"import", folder / "none", "--out", out}, {"no such file"}},
           {{"import", ids, "--out", out}, {ids, "JSON"}},
           {{"synth-trace", "--steps", "0", "--out", out}, {"--steps"}},
           {{"synth-trace", "--tokens", "10", "--steps", "10", "--out", out}, {"--steps", "prefill"}},
           {{"synth-trace", "--strength", "1.5", "--out", out}, {"--strength", "'1.5'"}},
           {{"synth-trace", "--out", folder / "no/out"}, {"no folder"}},
       }) {
    std::string line;
    for (const auto& argument : c.arguments) {
      line += argument + " ";
    }
    INFO(line);
    check_refused(kvsink_run(folder, c.arguments), c.parts);
  }
  check_nothing(folder);
  for (const char* level : {"capture", "import", "synth-trace"}) {
    const Outcome help = kvsink_run(folder, {level, "--help"});
    CHECK(help.status == 0);
    CHECK(holds(help.out, std::string("Usage: kvsink ") + level));
  }
}

TEST_CASE("a full disk ends capture, import and synth-trace with one line and no trace", "[capture][command]") {
  TempFolder folder;
  ModelFiles::random(DType::kF32).write(folder / "m", DType::kF32);
  write_file(folder / "ids", kIds);
  // A limit on the size of files, in blocks of 512 or 1024 bytes, stands in for the disk.
  for (const std::string& line :
       {kvsink_line({"capture", "--model", folder / "m", "--ids", folder / "ids", "--out", folder / "out"}),
        kvsink_line({"synth-trace", "--tokens", "512", "--steps", "4", "--out", folder / "out"})}) {
    INFO(line);
    check_refused(shell(folder, "ulimit -f 8; " + line), {folder / "out", "no room"});
    check_nothing(folder);
  }
}

TEST_CASE("arrays of other tools come in as the trace they were", "[capture][command][import]") {
  TempFolder folder;
  ModelFiles::random(DType::kF32).write(folder / "m", DType::kF32);
  write_file(folder / "ids", kIds);
  REQUIRE(kvsink_run(folder, {"capture", "--model", folder / "m", "--ids", folder / "ids", "--tokens", "20", "--out",
                              folder / "a.safetensors"})
              .status == 0);
  const auto a = Trace::load(folder / "a.safetensors");
  REQUIRE(a);
  const auto& n = a->dims();

  // The same as npy in float32, a file a layer, heads before tokens, with a batch of one.
  const auto npy = [&](const std::string& path, const std::string& type, const std::string& shape,
                       const std::string& data, const std::string& order = "False") {
    std::string header = "{'descr': '" + type + "', 'fortran_order': " + order + ", 'shape': (" + shape + "), }";
    header.resize((header.size() + 11 + 63) / 64 * 64 - 11, ' ');
    header += '\n';
    const auto length = static_cast<std::uint16_t>(header.size());
    write_file(
        path, std::string("\x93NUMPY\1\0", 8) + std::string(reinterpret_cast<const char*>(&length), 2) + header + data);
  };
  for (std::uint32_t l = 0; l < n.L; ++l) {
    for (const char name : {'q', 'k', 'v'}) {
      const std::uint32_t heads = name == 'q' ? n.Hq : n.Hkv;
      std::string data;
      for (std::uint32_t h = 0; h < heads; ++h) {
        for (std::uint32_t t = 0; t < n.T; ++t) {
          for (const std::uint16_t bits : name == 'q' ? a->q(l, t, h) : name == 'k' ? a->k(l, t, h) : a->v(l, t, h)) {
            const float x = kvsink::golden::half_to_float(bits);
            data.append(reinterpret_cast<const char*>(&x), 4);
          }
        }
      }
      npy(folder / (std::string(1, name) + std::to_string(l) + ".npy"), "<f4",
          "1, " + std::to_string(heads) + ", " + std::to_string(n.T) + ", 4", data);
    }
  }
  const auto axes = [](const char* name) {
    return json{{"file", std::string(name) + "{layer}.npy"}, {"axes", "bhtd"}};
  };
  const json good = {{"model", "m"},
                     {"source", "s"},
                     {"licence", "l"},
                     {"layers", 3},
                     {"prefill_tokens", 10},
                     {"scale", 0.5},
                     {"q", axes("q")},
                     {"k", axes("k")},
                     {"v", axes("v")},
                     {"token_ids", {{"file", "a.safetensors"}, {"name", "token_ids"}}},
                     {"o", {{"file", "a.safetensors"}, {"name", "o"}}},
                     {"lse", {{"file", "a.safetensors"}, {"name", "lse"}}}};
  const auto with = [&](const json& map) {
    write_file(folder / "map.json", map.dump());
    return kvsink_run(folder, {"import", folder / "map.json", "--out", folder / "out.safetensors"});
  };
  const Outcome imported = with(good);
  INFO(imported.err);
  REQUIRE(imported.status == 0);
  CHECK(holds(imported.out, "3 layers, 20 tokens, 10 decode steps"));
  const auto b = Trace::load(folder / "out.safetensors");
  REQUIRE(b);
  CHECK(b->dims() == n);
  CHECK(std::ranges::equal(b->o(), a->o()));
  CHECK(std::ranges::equal(b->lse(), a->lse()));
  CHECK(std::ranges::equal(b->token_ids(), a->token_ids()));
  CHECK(std::ranges::equal(b->q(2, 19, 5), a->q(2, 19, 5)));
  CHECK(std::ranges::equal(b->k(1, 7, 1), a->k(1, 7, 1)));
  std::filesystem::remove(folder / "out.safetensors");

  const auto refused = [&](const char* what, const std::vector<std::string>& parts,
                           const std::function<void(json&)>& change) {
    INFO(what);
    json map = good;
    change(map);
    check_refused(with(map), parts);
    check_nothing(folder);
  };
  refused("no licence", {"'licence'"}, [](json& m) { m.erase("licence"); });
  refused("unknown", {"'heads'"}, [](json& m) { m["heads"] = 2; });
  refused("no q", {"'q'"}, [](json& m) { m.erase("q"); });
  refused("axes", {"'axes' of 'k'", "'bhtt'"}, [](json& m) { m["k"]["axes"] = "bhtt"; });
  refused("axes swapped", {"q [3][6][20][4]", "do not belong together"}, [](json& m) {
    m["q"]["axes"] = "bthd";
    m["v"]["axes"] = "bhtd";
  });
  refused("rank", {"q0.npy", "'htd'"}, [](json& m) { m["q"]["axes"] = "htd"; });
  refused("file", {"x.npy", "no such file"}, [](json& m) { m["q"] = {{"file", "x.npy"}}; });
  refused("name", {"a.safetensors", "'oo'"}, [](json& m) { m["o"]["name"] = "oo"; });
  refused("scale", {"'o'", "scale 0.25"}, [](json& m) { m["scale"] = 0.25; });
  refused("prefill", {"'prefill_tokens'", "19"}, [](json& m) { m["prefill_tokens"] = 20; });
  refused("layers", {"q3.npy"}, [](json& m) { m["layers"] = 4; });
  const std::string q1 = slurp(folder / "q1.npy");
  const auto broken = [&](const char* what, const std::vector<std::string>& parts, const std::string& bytes) {
    write_file(folder / "q1.npy", bytes);
    refused(what, parts, [](json&) {});
  };
  broken("cut short", {"q1.npy", "1916"}, q1.substr(0, q1.size() - 4));
  broken("not an array", {"q1.npy", "npy"}, "hello");
  std::string nan = q1;
  nan.replace(q1.size() - 4, 4, std::string("\0\0\xc0\x7f", 4));
  broken("NaN", {"q1.npy", "NaN", "token 19, head 5, element 3"}, nan);
  std::string large = q1;
  large.replace(q1.size() - 4, 4, std::string("\0\0\0\x48", 4));
  broken("beyond fp16", {"q of layer 1", "131072", "65504"}, large);
  npy(folder / "q1.npy", ">f4", "1, 6, 20, 4", q1.substr(q1.size() - 1920));
  refused("byte order", {"q1.npy", ">f4"}, [](json&) {});
  npy(folder / "q1.npy", "<f4", "1, 6, 20, 4", q1.substr(q1.size() - 1920), "True");
  refused("Fortran order", {"q1.npy", "Fortran"}, [](json&) {});
  npy(folder / "q1.npy", "|O", "1, 6, 20, 4", q1.substr(q1.size() - 1920));
  refused("objects", {"q1.npy", "|O"}, [](json&) {});
  write_file(folder / "z.npz", "PK nothing of the kind");
  refused("npz", {"z.npz"}, [](json& m) { m["q"] = {{"file", "z.npz"}, {"name", "q"}}; });
}

TEST_CASE("an npz, plain or deflated, holds its arrays", "[capture][command][import]") {
  TempFolder folder;
  // Python's own zipfile makes the archives; numpy is not needed.
  write_file(folder / "make.py", R"(
import struct, sys, zipfile
def npy(shape, values):
    head = "{'descr': '<f8', 'fortran_order': False, 'shape': %s, }" % (shape,)
    head += " " * (-(len(head) + 11) % 64) + "\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(head)) + head.encode() + struct.pack("<%dd" % len(values), *values)
rows = [((i * 37) % 101) / 64 - 0.75 for i in range(1 * 6 * 2 * 4)]
for name, how in (("plain", zipfile.ZIP_STORED), ("deflated", zipfile.ZIP_DEFLATED)):
    with zipfile.ZipFile(sys.argv[1] + "/" + name + ".npz", "w", how) as z:
        for array in "qkv":
            z.writestr(array + ".npy", npy((1, 6, 2, 4), rows))
)");
  const Outcome made = shell(
      folder, in_shell(KVSINK_PYTHON) + " " + in_shell(folder / "make.py") + " " + in_shell(folder.path().string()));
  INFO(made.err);
  REQUIRE(made.status == 0);
  for (const std::string name : {"plain", "deflated"}) {
    json map = {{"model", "m"}, {"source", "s"}, {"licence", "l"}, {"prefill_tokens", 3}};
    for (const char* array : {"q", "k", "v"}) {
      map[array] = {{"file", name + ".npz"}, {"name", array}};
    }
    write_file(folder / "map.json", map.dump());
    const Outcome imported = kvsink_run(folder, {"import", folder / "map.json", "--out", folder / name});
    INFO(imported.err);
    REQUIRE(imported.status == 0);
    const auto trace = Trace::load(folder / name);
    REQUIRE(trace);
    CHECK(kvsink::golden::half_to_float(trace->k(0, 5, 1)[3]) == Approx(((47 * 37) % 101) / 64.0 - 0.75));
    CHECK(trace->meta("token_ids_given") == "no");
    map["q"]["name"] = "w";
    write_file(folder / "map.json", map.dump());
    check_refused(kvsink_run(folder, {"import", folder / "map.json", "--out", folder / "out"}), {"'w'"});
  }
}

TEST_CASE("several synthetic sequences differ, are numbered, and info calls them synthetic", "[capture][command]") {
  TempFolder folder;
  const Outcome made = kvsink_run(folder, {"synth-trace", "--tokens", "200", "--steps", "10", "--sequences", "3",
                                           "--out", folder / "s.safetensors"});
  REQUIRE(made.status == 0);
  CHECK(holds(made.out, "s-2.safetensors: synthetic"));
  CHECK(slurp(folder / "s-0.safetensors") != slurp(folder / "s-1.safetensors"));
  const Outcome info = kvsink_run(folder, {"info", folder / "s-1.safetensors", "--json", folder / "j"});
  CHECK(info.status == 0);
  CHECK(holds(info.out, "SYNTHETIC"));
  const json parsed = json::parse(slurp(folder / "j"));
  CHECK(parsed["synthetic"] == true);
  CHECK(parsed["sinks"].size() == 4);
  CHECK(parsed["heat"]["by_head"].size() == 8);
  CHECK(parsed["persistence"]["budgets"].size() == 7);
  const Outcome real = kvsink_run(folder, {"info", "tests/data/tiny1m_p0.safetensors"});
  CHECK_FALSE(holds(real.out, "SYNTHETIC"));
}

TEST_CASE("the traces in tests/data are the ones their commands make", "[capture][command][model]") {
  if (!std::filesystem::exists("../shared/models/tiny1m")) KVSINK_SKIP("no models in ../shared/models");
  TempFolder folder;
  const Outcome made = shell(folder, "scripts/default_traces.sh " + in_shell(KVSINK_COMMAND) + " ../shared/models " +
                                         in_shell(folder.path().string()));
  INFO(made.err);
  REQUIRE(made.status == 0);
  for (const std::string name : {"tiny1m_p0.safetensors", "stories260K_lily.safetensors"}) {
    CHECK(slurp(folder / name) == slurp("tests/data/" + name));
    CHECK(std::filesystem::file_size("tests/data/" + name) <= 1'100'000);
  }
}

TEST_CASE("transformers and the C++ capture give the same traces and tokens", "[capture][command][model]") {
  const char* chosen = std::getenv("KVSINK_HF_PYTHON");
  const std::string python = chosen != nullptr && *chosen != 0 ? chosen : KVSINK_PYTHON;
  TempFolder folder;
  std::string line = in_shell(python) + " tests/capture/compare_hf.py " + in_shell(KVSINK_COMMAND) + " " +
                     in_shell(folder.path().string());
  if (std::filesystem::exists("../shared/models/tiny1m")) {
    line += " ../shared/models/tiny1m tests/data/tiny1m_p0.ids";
  }
  const Outcome outcome = shell(folder, line);
  INFO(outcome.out << outcome.err);
  if (outcome.status == 77) {
    // One line on standard error names the package, and the capture script says the same in its own way.
    const Outcome script = shell(
        folder, in_shell(python) + " scripts/capture_hf.py --model x --prompt y --out " + in_shell(folder / "out"));
    CHECK(script.status == 2);
    CHECK(holds(script.err, "not installed"));
    CHECK(std::count(script.err.begin(), script.err.end(), '\n') == 1);
    KVSINK_SKIP("the packages of requirements-capture.txt are not there (KVSINK_HF_PYTHON names an environment)");
  }
  CHECK(outcome.status == 0);
}

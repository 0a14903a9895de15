// SPDX-License-Identifier: Apache-2.0
// Tokenizers on vocabularies small enough to merge by hand. tests/capture/compare_hf.py compares large ones with the
// tokenizers package, where that is installed.
#include <cstring>
#include <nlohmann/json.hpp>

#include "support/catch.hpp"
#include "sw/capture/tokenizer.hpp"
#include "tests/trace/trace_file.hpp"

namespace {

using kvsink::capture::Tokenizer;
using kvsink::test::TempFolder;
using kvsink::test::write_file;
using Ids = std::vector<std::int32_t>;
using nlohmann::json;

std::string llama2c_file(const std::vector<std::pair<std::string, float>>& pieces) {
  std::string out(4, '\0');
  for (const auto& [text, score] : pieces) {
    const auto length = static_cast<std::int32_t>(text.size());
    out.append(reinterpret_cast<const char*>(&score), 4);
    out.append(reinterpret_cast<const char*>(&length), 4);
    out += text;
  }
  return out;
}

const std::vector<std::pair<std::string, float>> kPieces = {
    {"<unk>", 0}, {"<s>", 0}, {"</s>", 0}, {"<0x0A>", 0}, {"<0xC3>", 0}, {"<0xA9>", 0}, {" ", -9},   {"a", -9},
    {"b", -9},    {"c", -9},  {"ab", -2},  {"bc", -1},    {" a", -3},    {"abc", -4},   {" abc", -5}};

Ids encode(const kvsink::Result<std::unique_ptr<Tokenizer>>& tokenizer, const std::string& text, bool special = true) {
  if (!tokenizer) {
    FAIL(tokenizer.error().message);
  }
  const auto ids = (*tokenizer)->encode(text, special);
  if (!ids) {
    FAIL(ids.error().message);
  }
  return *ids;
}

/// A tokenizer.json around these parts.
json hf_file(json vocabulary, json merges) {
  return {{"model", {{"type", "BPE"}, {"vocab", std::move(vocabulary)}, {"merges", std::move(merges)}}}};
}

}  // namespace

TEST_CASE("pieces with scores merge best first, then leftmost", "[capture][tokenizer]") {
  TempFolder folder;
  write_file(folder / "t", llama2c_file(kPieces));
  const auto t = kvsink::capture::load_llama2c_tokenizer(folder / "t", 15);
  // " abc": bc (-1) before ab (-2), then a+bc (-4), then " "+abc.
  CHECK(encode(t, "abc") == Ids{1, 14});
  CHECK(encode(t, "abc", false) == Ids{14});
  // " aba": ab (-2) first, which leaves the space alone: " a" would have been -3.
  CHECK(encode(t, "aba") == Ids{1, 6, 10, 7});
  CHECK(encode(t, "ab") == Ids{1, 6, 10});
  CHECK(encode(t, "aa") == Ids{1, 12, 7});
  // What is no piece comes as bytes.
  CHECK(encode(t, "\xc3\xa9\n") == Ids{1, 6, 4, 5, 3});
  CHECK(encode(t, "") == Ids{1});
  CHECK_FALSE((*t)->encode("x", true));
  CHECK((*t)->decode({1, 14, 6, 10, 4, 5, 3, 2}) == "abc ab\xc3\xa9\n");

  // The same as a JSON list, with marked spaces.
  json list = json::array();
  for (const auto& [text, score] : kPieces) {
    list.push_back(
        {{"id", list.size()}, {"piece", kvsink::capture::replaced(text, " ", "\xe2\x96\x81")}, {"score", score}});
  }
  write_file(folder / "vocab_pieces.json", list.dump());
  const auto same = Tokenizer::load(folder.path().string(), "", 15);
  CHECK(encode(same, "aba abc\n") == encode(t, "aba abc\n"));
}

TEST_CASE("a byte-level BPE splits words, maps bytes to letters and merges by rank", "[capture][tokenizer]") {
  TempFolder folder;
  json vocabulary = {{"a", 0},      {"b", 1},          {"c", 2},  {"\u0120", 3}, {"\u00c3", 4},
                     {"\u00a9", 5}, {"\u010a", 6},     {"bc", 7}, {"ab", 8},     {"\u0120a", 9},
                     {"1", 10},     {"\u0120abc", 11}, {"11", 12}};
  json file = hf_file(vocabulary, {"b c", "a b", "\u0120 a", "1 1"});
  file["pre_tokenizer"] = {{"type", "ByteLevel"}, {"add_prefix_space", false}, {"use_regex", true}};
  file["decoder"] = {{"type", "ByteLevel"}};
  file["added_tokens"] = {{{"id", 20}, {"content", "<|e|>"}, {"special", true}}};
  const auto load = [&] {
    write_file(folder / "tokenizer.json", file.dump());
    return kvsink::capture::load_hf_tokenizer(folder / "tokenizer.json");
  };
  // "abc": b+c has the lowest rank, then nothing joins a and bc.
  CHECK(encode(load(), "abc") == Ids{0, 7});
  // " ab": a+b outranks space+a. Words begin with their space: "ab a" is "ab" and " a".
  CHECK(encode(load(), " ab ab") == Ids{3, 8, 3, 8});
  CHECK(encode(load(), "ab a") == Ids{8, 9});
  CHECK(encode(load(), "\xc3\xa9\n") == Ids{4, 5, 6});
  CHECK(encode(load(), "a11<|e|>11") == Ids{0, 12, 20, 12});
  CHECK((*load())->decode({11, 4, 5, 20, 0}) ==
        " abc\xc3\xa9"
        "a");
  CHECK((*load())->size() == 21);

  // A pattern with Unicode classes before it: each digit alone.
  file["pre_tokenizer"] = {
      {"type", "Sequence"},
      {"pretokenizers",
       {{{"type", "Split"}, {"pattern", {{"Regex", R"(\p{N}| ?\p{L}+|\s+(?!\S)|\s+)"}}}, {"behavior", "Isolated"}},
        {{"type", "ByteLevel"}, {"add_prefix_space", false}, {"use_regex", false}}}}};
  CHECK(encode(load(), "a11 a") == Ids{0, 10, 10, 9});
  // Whole words first, where the model says so.
  file["model"]["ignore_merges"] = true;
  CHECK(encode(load(), " abc") == Ids{11});
  // The first token of a sequence is the post-processor's business.
  file["post_processor"] = {{"type", "TemplateProcessing"},
                            {"single", {{{"SpecialToken", {{"id", "<|e|>"}}}}, {{"Sequence", {{"id", "A"}}}}}},
                            {"special_tokens", {{"<|e|>", {{"ids", {20}}}}}}};
  CHECK(encode(load(), "a") == Ids{20, 0});
  CHECK(encode(load(), "a", false) == Ids{0});
}

TEST_CASE("a BPE of marked spaces falls back to bytes", "[capture][tokenizer]") {
  TempFolder folder;
  json file = hf_file({{"<unk>", 0}, {"a", 1}, {"\u2581", 2}, {"\u2581a", 3}, {"<0xC3>", 4}, {"<0xA9>", 5}, {"aa", 6}},
                      json::array({json::array({"\u2581", "a"}), json::array({"a", "a"})}));
  file["model"]["byte_fallback"] = true;
  file["model"]["unk_token"] = "<unk>";
  file["model"]["fuse_unk"] = true;
  file["normalizer"] = {{"type", "Sequence"},
                        {"normalizers",
                         {{{"type", "Prepend"}, {"prepend", "\u2581"}},
                          {{"type", "Replace"}, {"pattern", {{"String", " "}}}, {"content", "\u2581"}}}}};
  write_file(folder / "t.json", file.dump());
  auto t = kvsink::capture::load_hf_tokenizer(folder / "t.json");
  CHECK(encode(t, "aa a") == Ids{3, 1, 3});
  CHECK(encode(t, "\xc3\xa9") == Ids{2, 4, 5});
  CHECK(encode(t, "zza") == Ids{2, 0, 1});  // two unknown ones are one
  CHECK((*t)->decode({3, 1, 3, 4, 5}) == "aa a\xc3\xa9");
  CHECK_FALSE((*t)->encode("\xff", true));

  file.erase("normalizer");
  file["pre_tokenizer"] = {{"type", "Metaspace"}, {"replacement", "\u2581"}, {"prepend_scheme", "always"}};
  write_file(folder / "t.json", file.dump());
  CHECK(encode(kvsink::capture::load_hf_tokenizer(folder / "t.json"), "aa a") == Ids{3, 1, 3});
}

TEST_CASE("a tokenizer that is broken or unknown is refused by what is wrong with it", "[capture][tokenizer]") {
  TempFolder folder;
  const auto refused = [&](const std::string& what, const std::string& text, const std::string& part, bool hf) {
    INFO(what);
    write_file(folder / "t", text);
    const auto t = hf ? kvsink::capture::load_hf_tokenizer(folder / "t")
                      : kvsink::capture::load_llama2c_tokenizer(folder / "t", 15);
    REQUIRE_FALSE(t);
    INFO(t.error().message);
    CHECK(t.error().message.starts_with(folder / "t"));
    CHECK(t.error().message.find(part) != std::string::npos);
  };
  const std::string good = llama2c_file(kPieces);
  refused("cut", good.substr(0, good.size() - 1), "piece 14", false);
  refused("empty", "", "piece 0", false);
  refused("too long", good + "x", "1 bytes after", false);
  std::string negative = good;
  negative[8] = '\xff';
  negative[11] = '\xff';
  refused("a length below zero", negative, "piece 0", false);

  refused("no JSON", "{", "JSON", true);
  json file = hf_file({{"a", 0}}, json::array());
  file["model"]["type"] = "Unigram";
  refused("another model", file.dump(), "Unigram", true);
  refused("a merge of nothing", hf_file({{"a", 0}}, {"a b"}).dump(), "merge 0", true);
  refused("a token below zero", hf_file({{"a", -1}}, json::array()).dump(), "'a'", true);
  file = hf_file({{"a", 0}}, json::array());
  file["normalizer"] = {{"type", "Lowercase"}};
  refused("a normalizer", file.dump(), "Lowercase", true);
  file.erase("normalizer");
  file["pre_tokenizer"] = {{"type", "Whitespace"}};
  refused("a pre-tokenizer", file.dump(), "Whitespace", true);
  file["pre_tokenizer"] = {{"type", "Split"}, {"pattern", {{"Regex", "("}}}, {"behavior", "Isolated"}};
  refused("a pattern", file.dump(), "pattern", true);
}

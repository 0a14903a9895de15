// SPDX-License-Identifier: Apache-2.0
#include "tests/trace/broken_traces.hpp"

#include <cstring>
#include <functional>
#include <limits>

namespace kvsink::test {

std::vector<BrokenTrace> broken_traces() {
  std::vector<BrokenTrace> list;
  const TraceFile right = TraceFile::good();
  const std::string bytes = right.bytes();
  const std::string header = right.header.dump();

  // The file as a whole.
  list.push_back({"an empty file", "", {"0 bytes"}});
  list.push_back({"a file shorter than the length of its header", bytes.substr(0, 5), {"5 bytes"}});
  list.push_back({"a header cut short", bytes.substr(0, 100), {"cut short", std::to_string(header.size())}});
  list.push_back({"data cut short by one byte", bytes.substr(0, bytes.size() - 1), {"'lse'", "cut short"}});
  list.push_back({"data cut short in the middle", bytes.substr(0, bytes.size() / 2), {"cut short"}});
  list.push_back({"no data at all", bytes.substr(0, 8 + header.size()), {"cut short"}});
  list.push_back({"bytes after the last tensor", bytes + "xx", {"2 bytes after the last tensor"}});
  for (const std::uint64_t length : {std::uint64_t{16U << 20} + 1, std::numeric_limits<std::uint64_t>::max()}) {
    std::string oversize = bytes;
    std::memcpy(oversize.data(), &length, sizeof length);
    list.push_back(
        {"a header of " + std::to_string(length) + " bytes", oversize, {std::to_string(length), "16777216"}});
  }

  // The header as text.
  const auto text = [&](const std::string& what, const std::string& as, std::vector<std::string> holds) {
    list.push_back({what, right.bytes_with(as), std::move(holds)});
  };
  text("a header that is not JSON", "this is not JSON", {"not JSON"});
  text("a header of nothing", "", {"not JSON"});
  text("a header of zeros", std::string(64, '\0'), {"not JSON"});
  text("a header that stops in the middle", header.substr(0, header.size() / 2), {"not JSON"});
  text("a header with something behind it", header + "}", {"not JSON"});
  text("a header that is not UTF-8", "{\"\xff\xfe\": 1}", {"not JSON"});
  text("a header that is a list", "[1, 2]", {"not an object"});
  text("a header with a number out of range", "{\"a\": 1e999}", {"not JSON"});
  text("a header nested very deep", std::string(100'000, '['), {"not JSON"});
  text("a tensor that is there twice", header.substr(0, header.size() - 1) + ",\"k\":" + right.header["k"].dump() + "}",
       {"'k'", "twice"});
  text("a name that holds a new line", "{\"a\\nb\": 1}", {"'a\\x0ab'", "not an object"});

  // Entries of the header, and data.
  const auto bent = [&](const std::string& what, const std::function<void(TraceFile&)>& bend,
                        std::vector<std::string> holds) {
    TraceFile file = right;
    bend(file);
    list.push_back({what, file.bytes(), std::move(holds)});
  };
  using Json = nlohmann::ordered_json;
  bent("an entry that is no object", [](TraceFile& f) { f.header["q"] = 7; }, {"'q'", "not an object"});
  bent("an entry without a dtype", [](TraceFile& f) { f.header["q"].erase("dtype"); }, {"'q'", "dtype", "missing"});
  bent("an entry without a shape", [](TraceFile& f) { f.header["q"].erase("shape"); }, {"'q'", "shape", "missing"});
  bent("an entry without offsets", [](TraceFile& f) { f.header["q"].erase("data_offsets"); },
       {"'q'", "data_offsets", "missing"});
  bent("an unknown dtype", [](TraceFile& f) { f.header["q"]["dtype"] = "F12"; }, {"'q'", "'F12'"});
  bent("a dtype that is a number", [](TraceFile& f) { f.header["q"]["dtype"] = 16; }, {"'q'", "dtype"});
  bent("a negative size", [](TraceFile& f) { f.header["q"]["shape"][0] = -2; }, {"'q'", "whole numbers"});
  bent("half a size", [](TraceFile& f) { f.header["q"]["shape"][0] = 2.5; }, {"'q'", "whole numbers"});
  bent("a shape of too many dimensions", [](TraceFile& f) { f.header["q"]["shape"] = Json(std::vector<int>(9, 1)); },
       {"'q'", "whole numbers"});
  bent("a size whose product overflows",
       [](TraceFile& f) {
         f.header["q"]["shape"] = {4294967296U * 2, 4294967296U * 2, 1, 1};
       },
       {"'q'", "2^64"});
  bent("a shape that is not what its bytes hold", [](TraceFile& f) { f.header["q"]["shape"][1] = 7; },
       {"'q'", "[2][7][4][8]", "896", "768"});
  bent("offsets that run backwards",
       [](TraceFile& f) {
         f.header["k"]["data_offsets"] = {900, 804};
       },
       {"'k'", "900", "804"});
  bent("offsets beyond the file",
       [](TraceFile& f) { f.header["lse"]["data_offsets"][1] = std::numeric_limits<std::uint64_t>::max(); },
       {"'lse'", "18446744073709551615"});
  bent("three offsets", [](TraceFile& f) { f.header["k"]["data_offsets"] = {1, 2, 3}; }, {"'k'", "pair"});
  bent("tensors that overlap", [](TraceFile& f) { f.header["v"]["data_offsets"] = f.header["k"]["data_offsets"]; },
       {"overlap", "'k'", "'v'", "384 bytes"});
  bent("a gap between tensors",
       [](TraceFile& f) {
         const auto begin = f.header["lse"]["data_offsets"][0].get<std::size_t>();
         f.data.insert(begin, 4, '\0');
         f.header["lse"]["data_offsets"] = {begin + 4, f.data.size()};
       },
       {"'lse'", "4 bytes before it"});

  // A right safetensors file that is no right trace.
  for (const char* tensor : {"token_ids", "decode_positions", "q", "k", "v", "o", "lse"}) {
    bent(std::string("no tensor ") + tensor, [tensor](TraceFile& f) { f.drop(tensor); },
         {std::string("'") + tensor + "'", "missing"});
  }
  for (const char* key : {"format", "version", "model", "source", "licence", "layers", "q_heads", "kv_heads",
                          "head_dim", "tokens", "prefill_tokens", "scale"}) {
    bent(std::string("no metadata ") + key, [key](TraceFile& f) { f.header["__metadata__"].erase(key); },
         {std::string("'") + key + "'", "missing"});
  }
  const auto meta = [&](const std::string& key, const Json& value, std::vector<std::string> holds) {
    bent(
        "metadata " + key + " of " + value.dump(), [&](TraceFile& f) { f.header["__metadata__"][key] = value; },
        std::move(holds));
  };
  bent("no metadata at all", [](TraceFile& f) { f.header.erase("__metadata__"); }, {"metadata", "missing"});
  bent("metadata that are a list", [](TraceFile& f) { f.header["__metadata__"] = {1, 2}; }, {"__metadata__"});
  meta("layers", 2, {"'layers'", "not a string"});
  meta("layers", "0", {"'layers'", "'0'", "1 to 2147483647"});
  meta("layers", "-1", {"'layers'", "'-1'"});
  meta("layers", "2 ", {"'layers'", "'2 '"});
  meta("layers", "99999999999", {"'layers'", "'99999999999'"});
  meta("layers", "3", {"'q'", "[2][6][4][8]", "[3][6][4][8]"});
  meta("tokens", "5", {"'token_ids'", "[6]", "[5]"});
  meta("head_dim", "16", {"'q'", "[2][6][4][8]", "[2][6][4][16]"});
  meta("q_heads", "5", {"'q_heads'", "5", "'kv_heads'", "2"});
  meta("kv_heads", "4", {"'k'", "[2][6][2][8]", "[2][6][4][8]"});
  meta("prefill_tokens", "7", {"'prefill_tokens'", "7", "6"});
  meta("prefill_tokens", "4", {"'decode_positions'", "[0] is 3", "4 to 5"});
  meta("scale", "0", {"'scale'", "'0'"});
  meta("scale", "-0.5", {"'scale'", "'-0.5'"});
  meta("scale", "nan", {"'scale'", "'nan'"});
  meta("scale", "inf", {"'scale'", "'inf'"});
  meta("scale", "0,35", {"'scale'", "'0,35'"});
  meta("format", "something", {"format", "'something'"});
  meta("version", "2", {"version", "'2'"});
  bent("q in F32's place of F16", [](TraceFile& f) { f.header["q"]["dtype"] = "BF16"; }, {"'q'", "BF16", "F16"});
  bent("o that is I32", [](TraceFile& f) { f.header["o"]["dtype"] = "I32"; }, {"'o'", "I32", "F32"});
  bent("k of another shape",
       [](TraceFile& f) {
         f.header["k"]["shape"] = {2, 6, 8, 2};
       },
       {"'k'", "[2][6][8][2]", "[2][6][2][8]"});
  bent("v of three dimensions",
       [](TraceFile& f) {
         f.header["v"]["shape"] = {2, 6, 16};
       },
       {"'v'", "[2][6][16]", "4 dimensions"});
  bent("lse of another shape",
       [](TraceFile& f) {
         f.header["lse"]["shape"] = {2, 4, 3};
       },
       {"'lse'", "[2][4][3]", "[2][3][4]"});
  bent("a step in the prefill", [](TraceFile& f) { f.element<std::int32_t>("decode_positions", 0) = 2; },
       {"'decode_positions'", "[0] is 2", "3 to 5"});
  bent("a step before the sequence", [](TraceFile& f) { f.element<std::int32_t>("decode_positions", 1) = -1; },
       {"'decode_positions'", "[1] is -1"});
  bent("a step beyond the sequence", [](TraceFile& f) { f.element<std::int32_t>("decode_positions", 2) = 6; },
       {"'decode_positions'", "[2] is 6", "3 to 5"});
  bent("steps that do not ascend", [](TraceFile& f) { f.element<std::int32_t>("decode_positions", 1) = 3; },
       {"'decode_positions'", "[1] is 3 after 3"});
  // [1][5][3][7], [1][2][0][1], [0][0][0][0]: the last, one in the middle, the first.
  bent("a NaN in q", [](TraceFile& f) { f.element<std::uint16_t>("q", 383) = 0x7e00; }, {"'q'", "NaN", "[1][5][3][7]"});
  bent("an infinity in k", [](TraceFile& f) { f.element<std::uint16_t>("k", 129) = 0xfc00; },
       {"'k'", "infinity", "[1][2][0][1]"});
  bent("a NaN in v", [](TraceFile& f) { f.element<std::uint16_t>("v", 0) = 0x7c01; }, {"'v'", "NaN", "[0][0][0][0]"});
  bent("a NaN in o", [](TraceFile& f) { f.element<float>("o", 9) = std::numeric_limits<float>::quiet_NaN(); },
       {"'o'", "NaN", "[0][0][1][1]"});
  bent("an infinity in lse", [](TraceFile& f) { f.element<float>("lse", 23) = std::numeric_limits<float>::infinity(); },
       {"'lse'", "infinity", "[1][2][3]"});
  return list;
}

}  // namespace kvsink::test

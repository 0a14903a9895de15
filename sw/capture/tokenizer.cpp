// SPDX-License-Identifier: Apache-2.0
// Tokenizers whose pieces have scores, and the choice of a tokenizer.
#include "sw/capture/tokenizer.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cstring>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <optional>
#include <queue>
#include <unordered_map>
#include <utility>

#include "sw/capture/model_config.hpp"
#include "sw/trace/safetensors.hpp"

namespace kvsink::capture {
namespace {

namespace fs = std::filesystem;
using trace::in_quotes;

constexpr std::uint64_t kMaxFile = 256U << 20;

/// The first tokens of these vocabularies are unknown (0), begin and end: never part of a text.
constexpr std::int32_t kBegin = 1;
constexpr std::int32_t kEnd = 2;

struct Piece {
  std::string text;  ///< with plain spaces
  double score = 0;
};

/// Characters first (or their bytes, when they are no piece), then the best-scored pair of neighbours that is a piece
/// becomes one, the leftmost of equals, until none is left.
class ScoredTokenizer : public Tokenizer {
 public:
  explicit ScoredTokenizer(std::vector<Piece> pieces) : pieces_(std::move(pieces)), bytes_(256, -1) {
    for (std::size_t id = 0; id < pieces_.size(); ++id) {
      const auto token = static_cast<std::int32_t>(id);
      if (const auto byte = byte_piece(pieces_[id].text)) {
        bytes_[static_cast<unsigned char>(*byte)] = token;
      } else if (token > kEnd) {
        ids_.emplace(pieces_[id].text, token);
      }
    }
  }

  Result<std::vector<std::int32_t>> encode(std::string_view text, bool special) const override {
    struct Node {
      std::int32_t token;
      std::size_t before;
      std::size_t after;
    };
    constexpr auto kNone = static_cast<std::size_t>(-1);
    std::vector<Node> nodes;
    const auto append = [&nodes](std::int32_t token) {
      const std::size_t here = nodes.size();
      if (here > 0) {
        nodes.back().after = here;
      }
      nodes.push_back({token, here == 0 ? kNone : here - 1, kNone});
    };
    const std::string spaced = text.empty() ? std::string() : " " + std::string(text);
    for (const std::string_view character : characters(spaced)) {
      if (const auto found = ids_.find(std::string(character)); found != ids_.end()) {
        append(found->second);
        continue;
      }
      for (const char byte : character) {
        const std::int32_t token = bytes_[static_cast<unsigned char>(byte)];
        if (token < 0) {
          return Error{fmt::format("the vocabulary has no piece for {} and none for the byte {:#04x}",
                                   in_quotes(character), static_cast<unsigned char>(byte))};
        }
        append(token);
      }
    }
    struct Merge {
      double score;
      std::size_t at;
      std::int32_t left, right, joined;
      bool operator<(const Merge& other) const {  // the queue's top: best score, then leftmost
        return score < other.score || (score == other.score && at > other.at);
      }
    };
    std::priority_queue<Merge> queue;
    const auto offer = [&](std::size_t at) {
      if (at == kNone || nodes[at].after == kNone) {
        return;
      }
      const std::int32_t left = nodes[at].token;
      const std::int32_t right = nodes[nodes[at].after].token;
      const auto found =
          ids_.find(pieces_[static_cast<std::size_t>(left)].text + pieces_[static_cast<std::size_t>(right)].text);
      if (found != ids_.end()) {
        queue.push({pieces_[static_cast<std::size_t>(found->second)].score, at, left, right, found->second});
      }
    };
    for (std::size_t at = 0; at < nodes.size(); ++at) {
      offer(at);
    }
    while (!queue.empty()) {
      const Merge merge = queue.top();
      queue.pop();
      Node& node = nodes[merge.at];
      if (node.token != merge.left || node.after == kNone || nodes[node.after].token != merge.right) {
        continue;  // one of the two has gone
      }
      Node& gone = nodes[node.after];
      node.token = merge.joined;
      gone.token = -1;
      node.after = gone.after;
      if (gone.after != kNone) {
        nodes[gone.after].before = merge.at;
      }
      offer(merge.at);
      offer(node.before);
    }
    std::vector<std::int32_t> tokens;
    if (special) {
      tokens.push_back(kBegin);
    }
    for (std::size_t at = nodes.empty() ? kNone : 0; at != kNone; at = nodes[at].after) {
      tokens.push_back(nodes[at].token);
    }
    return tokens;
  }

  std::string decode(const std::vector<std::int32_t>& tokens) const override {
    std::string out;
    for (const std::int32_t token : tokens) {
      if (token <= kEnd || static_cast<std::size_t>(token) >= pieces_.size()) {
        continue;
      }
      const std::string& piece = pieces_[static_cast<std::size_t>(token)].text;
      const auto byte = byte_piece(piece);
      out += byte ? std::string(1, *byte) : piece;
    }
    // The space that was put before the text.
    return !out.empty() && out.front() == ' ' ? out.substr(1) : out;
  }

  std::uint32_t size() const override { return static_cast<std::uint32_t>(pieces_.size()); }

 private:
  std::vector<Piece> pieces_;
  std::unordered_map<std::string, std::int32_t> ids_;
  std::vector<std::int32_t> bytes_;
};

}  // namespace

std::optional<char> byte_piece(std::string_view piece) {
  unsigned value = 0;
  if (piece.size() != 6 || !piece.starts_with("<0x") || piece.back() != '>' ||
      std::from_chars(piece.data() + 3, piece.data() + 5, value, 16).ptr != piece.data() + 5) {
    return std::nullopt;
  }
  return static_cast<char>(value);
}

std::vector<std::string_view> characters(std::string_view text) {
  std::vector<std::string_view> out;
  const auto follows = [&text](std::size_t at) {
    return at < text.size() && (static_cast<unsigned char>(text[at]) & 0xc0U) == 0x80U;
  };
  for (std::size_t at = 0; at < text.size();) {
    const auto lead = static_cast<unsigned char>(text[at]);
    const std::size_t wanted = lead >= 0xf0U && lead < 0xf8U   ? 4
                               : lead >= 0xe0U && lead < 0xf0U ? 3
                               : lead >= 0xc0U && lead < 0xe0U ? 2
                                                               : 1;
    std::size_t length = 1;
    while (length < wanted && follows(at + length)) {
      ++length;
    }
    if (length != wanted) {
      length = 1;
    }
    out.push_back(text.substr(at, length));
    at += length;
  }
  return out;
}

std::string replaced(std::string_view text, std::string_view from, std::string_view to) {
  std::string out;
  for (std::size_t at = 0; at < text.size();) {
    if (text.substr(at, from.size()) == from) {
      out += to;
      at += from.size();
    } else {
      out += text[at++];
    }
  }
  return out;
}

Result<std::unique_ptr<Tokenizer>> load_llama2c_tokenizer(const std::string& path, std::uint32_t vocabulary) {
  const auto text = read_text(path, kMaxFile);
  if (!text) {
    return text.error();
  }
  std::size_t at = 4;  // the longest piece, which nobody needs
  std::vector<Piece> pieces(vocabulary);
  for (std::uint32_t id = 0; id < vocabulary; ++id) {
    float score = 0;
    std::int32_t length = 0;
    if (at > text->size() || text->size() - at < 8) {
      return Error{fmt::format("{}: was cut short at piece {}, the model has {}", path, id, vocabulary)};
    }
    std::memcpy(&score, text->data() + at, 4);
    std::memcpy(&length, text->data() + at + 4, 4);
    at += 8;
    if (length < 0 || static_cast<std::size_t>(length) > text->size() - at || !(score == score)) {
      return Error{fmt::format("{}: piece {} has {} bytes and score {}: not a tokenizer of this model", path, id,
                               length, score)};
    }
    pieces[id] = {text->substr(at, static_cast<std::size_t>(length)), score};
    at += static_cast<std::size_t>(length);
  }
  if (at != text->size()) {
    return Error{fmt::format("{}: {} bytes after piece {}, the model's last: another model's tokenizer?", path,
                             text->size() - at, vocabulary - 1)};
  }
  return std::unique_ptr<Tokenizer>(std::make_unique<ScoredTokenizer>(std::move(pieces)));
}

Result<std::unique_ptr<Tokenizer>> load_pieces_tokenizer(const std::string& path, std::uint32_t vocabulary) {
  const auto text = read_text(path, kMaxFile);
  if (!text) {
    return text.error();
  }
  const auto json = nlohmann::json::parse(*text, nullptr, false);
  if (!json.is_array() || json.size() != vocabulary) {
    return Error{fmt::format("{}: is not a JSON list of {} pieces", path, vocabulary)};
  }
  std::vector<Piece> pieces;
  for (const auto& entry : json) {
    if (!entry.is_object() || !entry.contains("id") || entry["id"] != pieces.size() || !entry.contains("piece") ||
        !entry["piece"].is_string() || !entry.contains("score") || !entry["score"].is_number()) {
      return Error{fmt::format("{}: entry {} is not {{id, piece, score}} with that id", path, pieces.size())};
    }
    pieces.push_back({replaced(entry["piece"].get<std::string>(), kSpaceMark, " "), entry["score"].get<double>()});
  }
  return std::unique_ptr<Tokenizer>(std::make_unique<ScoredTokenizer>(std::move(pieces)));
}

Result<std::unique_ptr<Tokenizer>> Tokenizer::load(const std::string& model, const std::string& path,
                                                   std::uint32_t vocabulary) {
  std::error_code ignored;
  const auto by_name = [&](const fs::path& file) -> Result<std::unique_ptr<Tokenizer>> {
    if (file.filename() == "vocab_pieces.json") {
      return load_pieces_tokenizer(file.string(), vocabulary);
    }
    return file.extension() == ".json" ? load_hf_tokenizer(file.string())
                                       : load_llama2c_tokenizer(file.string(), vocabulary);
  };
  if (!path.empty()) {
    return by_name(path);
  }
  const bool folder = fs::is_directory(model, ignored);
  const fs::path beside = folder ? fs::path(model) : fs::path(model).parent_path();
  const std::vector<std::string> names =
      folder ? std::vector<std::string>{"tokenizer.json", "vocab_pieces.json"}
             : std::vector<std::string>{"tokenizer.bin", fmt::format("tok{}.bin", vocabulary)};
  for (const std::string& name : names) {
    if (fs::exists(beside / name, ignored)) {
      return by_name(beside / name);
    }
  }
  return Error{
      fmt::format("{}: there is no tokenizer beside it ({}): name one with --tokenizer, or give tokens with "
                  "--ids",
                  model, fmt::join(names, ", "))};
}

}  // namespace kvsink::capture

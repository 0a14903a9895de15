// SPDX-License-Identifier: Apache-2.0
// The BPE of a Hugging Face tokenizer.json (Sennrich et al. 2016): added tokens, normalizer, pre-tokenizer, merges by
// rank, post-processor. Patterns run in PCRE2, which knows the classes of Unicode.
#define PCRE2_CODE_UNIT_WIDTH 8
#include <fmt/format.h>
#include <pcre2.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <limits>
#include <nlohmann/json.hpp>
#include <optional>
#include <queue>
#include <unordered_map>
#include <utility>

#include "sw/capture/model_config.hpp"
#include "sw/capture/tokenizer.hpp"
#include "sw/trace/safetensors.hpp"

namespace kvsink::capture {
namespace {

using Json = nlohmann::json;
using trace::in_quotes;

constexpr std::uint64_t kMaxFile = 256U << 20;
/// The words of GPT-2, which "ByteLevel" takes when it is not told others.
constexpr const char* kByteLevelWords = R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)";

/// A value of an object, or null.
const Json& field(const Json& from, const char* key) {
  static const Json none;
  return from.is_object() && from.contains(key) ? from[key] : none;
}

/// A text with something in it.
bool has_text(const Json& value) { return value.is_string() && !value.get_ref<const std::string&>().empty(); }

std::string kind_of(const Json& part) {
  return field(part, "type").is_string() ? part["type"].get<std::string>() : std::string();
}

bool flag(const Json& part, const char* key, bool otherwise) {
  return field(part, key).is_boolean() ? part[key].get<bool>() : otherwise;
}

std::string utf8(std::uint32_t code) {
  if (code < 0x80) {
    return {static_cast<char>(code)};
  }
  return {static_cast<char>(0xc0U | (code >> 6U)), static_cast<char>(0x80U | (code & 0x3fU))};
}

/// The printable character that stands for each byte: bytes that are printable Latin-1 stand for themselves, the
/// others, in order, are the code points from 256.
const std::array<std::string, 256>& byte_letters() {
  static const auto table = [] {
    std::array<std::string, 256> letters;
    std::uint32_t next = 256;
    for (std::uint32_t byte = 0; byte < letters.size(); ++byte) {
      const bool printable = (byte >= '!' && byte <= '~') || (byte >= 0xa1 && byte <= 0xac) || byte >= 0xae;
      letters[byte] = utf8(printable ? byte : next++);
    }
    return letters;
  }();
  return table;
}

class Pattern {
 public:
  static Result<Pattern> compile(const std::string& text) {
    int code = 0;
    PCRE2_SIZE offset = 0;
    std::shared_ptr<pcre2_code> compiled(pcre2_compile(reinterpret_cast<PCRE2_SPTR>(text.data()), text.size(),
                                                       PCRE2_UTF | PCRE2_UCP, &code, &offset, nullptr),
                                         pcre2_code_free);
    if (!compiled) {
      return Error{fmt::format("the pattern {} is not understood at character {}", in_quotes(text), offset)};
    }
    return Pattern(std::move(compiled));
  }

  /// Begin and end of each match that is not empty, from left to right.
  Result<std::vector<std::pair<std::size_t, std::size_t>>> matches(std::string_view text) const {
    std::vector<std::pair<std::size_t, std::size_t>> out;
    const std::unique_ptr<pcre2_match_data, void (*)(pcre2_match_data*)> data(
        pcre2_match_data_create_from_pattern(code_.get(), nullptr), pcre2_match_data_free);
    for (std::size_t at = 0; at < text.size();) {
      const int found = pcre2_match(code_.get(), reinterpret_cast<PCRE2_SPTR>(text.data()), text.size(), at,
                                    PCRE2_NO_UTF_CHECK, data.get(), nullptr);
      if (found == PCRE2_ERROR_NOMATCH) {
        break;
      }
      if (found < 0) {
        return Error{fmt::format("a pattern of the tokenizer gave up on the text (PCRE2 error {})", found)};
      }
      const PCRE2_SIZE* ends = pcre2_get_ovector_pointer(data.get());
      if (ends[1] > ends[0]) {
        out.emplace_back(ends[0], ends[1]);
        at = ends[1];
      } else {
        at = ends[1] + characters(text.substr(ends[1])).front().size();
      }
    }
    return out;
  }

 private:
  explicit Pattern(std::shared_ptr<pcre2_code> code) : code_(std::move(code)) {}
  std::shared_ptr<pcre2_code> code_;
};

/// One step of the normalizer.
struct Normalize {
  enum class Kind { kPrepend, kReplace, kNfc } kind;
  std::string from;
  std::string to;
};

/// One step of the pre-tokenizer.
struct Split {
  enum class Kind { kPattern, kBytes, kSpaceMark } kind;
  std::optional<Pattern> pattern;
  bool only_matches = false;  ///< what lies between matches is dropped
  bool prefix_space = false;
  bool prefix_first = false;  ///< only before the first part of the text
  bool words = true;
};

using Words = std::vector<std::string>;

/// Whether the text is UTF-8, and its largest code point.
std::optional<std::uint32_t> largest_code_point(std::string_view text) {
  std::uint32_t largest = 0;
  for (const std::string_view c : characters(text)) {
    const auto lead = static_cast<unsigned char>(c[0]);
    if (c.size() == 1) {
      if (lead >= 0x80U) {
        return std::nullopt;
      }
      largest = std::max<std::uint32_t>(largest, lead);
      continue;
    }
    std::uint32_t code = lead & (0x7fU >> c.size());
    for (const char byte : c.substr(1)) {
      code = code << 6U | (static_cast<unsigned char>(byte) & 0x3fU);
    }
    constexpr std::array<std::uint32_t, 5> kLeast = {0, 0, 0x80, 0x800, 0x10000};
    if (code < kLeast[c.size()] || code > 0x10ffff || (code >= 0xd800 && code < 0xe000)) {
      return std::nullopt;
    }
    largest = std::max(largest, code);
  }
  return largest;
}

class HfTokenizer : public Tokenizer {
 public:
  Result<void> read(const Json& json);
  Result<std::vector<std::int32_t>> encode(std::string_view text, bool special) const override;
  std::string decode(const std::vector<std::int32_t>& tokens) const override;
  std::uint32_t size() const override { return size_; }

 private:
  struct Added {
    std::string content;
    std::int32_t id;
    bool lstrip, rstrip;
  };

  Result<void> read_model(const Json& model);
  Result<void> read_added(const Json& list);
  Result<void> read_normalizer(const Json& part);
  Result<void> read_split(const Json& part);
  Result<void> read_post(const Json& part);
  Result<std::string> normalize(std::string text) const;
  Result<Words> split(const Split& how, const std::string& text, bool first) const;
  Result<void> merge(const std::string& word, std::vector<std::int32_t>& out) const;
  Result<void> encode_part(std::string_view text, bool first, std::vector<std::int32_t>& out) const;

  std::unordered_map<std::string, std::int32_t> ids_;
  std::unordered_map<std::int32_t, std::string> pieces_;
  struct Join {
    std::uint32_t rank;
    std::int32_t token;
  };
  std::unordered_map<std::uint64_t, Join> joins_;
  std::vector<Added> added_;  ///< longest first
  std::unordered_map<std::int32_t, bool> special_;
  std::vector<Normalize> normalize_;
  std::vector<Split> splits_;
  std::vector<std::int32_t> before_;  ///< tokens that the post-processor puts in front
  std::vector<std::int32_t> after_;
  std::optional<std::int32_t> unknown_;
  bool byte_fallback_ = false;
  bool fuse_unknown_ = false;
  bool whole_words_ = false;
  bool byte_level_ = false;
  std::uint32_t size_ = 0;
};

std::uint64_t pair_key(std::int32_t left, std::int32_t right) {
  return std::uint64_t{static_cast<std::uint32_t>(left)} << 32U | static_cast<std::uint32_t>(right);
}

Result<void> HfTokenizer::read_model(const Json& model) {
  if (kind_of(model) != "BPE") {
    return Error{fmt::format("the model is {}, BPE is wanted", in_quotes(kind_of(model)))};
  }
  for (const char* key : {"dropout", "continuing_subword_prefix", "end_of_word_suffix"}) {
    const Json& value = field(model, key);
    if (has_text(value) || (value.is_number() && value != 0)) {
      return Error{fmt::format("'{}' of the model is not supported", key)};
    }
  }
  const Json& vocabulary = field(model, "vocab");
  const Json& merges = field(model, "merges");
  if (!vocabulary.is_object() || !merges.is_array()) {
    return Error{"the model has no 'vocab' or no 'merges'"};
  }
  for (const auto& [piece, id] : vocabulary.items()) {
    if (!id.is_number_unsigned() || id.get<std::uint64_t>() > std::numeric_limits<std::int32_t>::max()) {
      return Error{fmt::format("the vocabulary gives {} the token {}", in_quotes(piece), in_quotes(id.dump()))};
    }
    ids_.emplace(piece, id.get<std::int32_t>());
    pieces_.emplace(id.get<std::int32_t>(), piece);
    size_ = std::max(size_, id.get<std::uint32_t>() + 1);
  }
  for (std::uint32_t rank = 0; rank < merges.size(); ++rank) {
    const Json& entry = merges[rank];
    std::string left;
    std::string right;
    if (entry.is_array() && entry.size() == 2 && entry[0].is_string() && entry[1].is_string()) {
      left = entry[0].get<std::string>();
      right = entry[1].get<std::string>();
    } else if (entry.is_string()) {
      const auto& text = entry.get_ref<const std::string&>();
      const std::size_t space = text.find(' ');
      left = text.substr(0, space);
      right = space == std::string::npos ? "" : text.substr(space + 1);
    }
    const auto a = ids_.find(left);
    const auto b = ids_.find(right);
    const auto joined = ids_.find(left + right);
    if (a == ids_.end() || b == ids_.end() || joined == ids_.end()) {
      return Error{
          fmt::format("merge {} is {}, whose parts or whole are not in the vocabulary", rank, in_quotes(entry.dump()))};
    }
    joins_.emplace(pair_key(a->second, b->second), Join{rank, joined->second});
  }
  byte_fallback_ = flag(model, "byte_fallback", false);
  fuse_unknown_ = flag(model, "fuse_unk", false);
  whole_words_ = flag(model, "ignore_merges", false);
  if (const Json& unknown = field(model, "unk_token"); unknown.is_string()) {
    if (const auto found = ids_.find(unknown.get<std::string>()); found != ids_.end()) {
      unknown_ = found->second;
    }
  }
  return {};
}

Result<void> HfTokenizer::read_added(const Json& list) {
  for (const Json& entry : list.is_array() ? list : Json::array()) {
    const Json& id = field(entry, "id");
    const Json& content = field(entry, "content");
    if (!id.is_number_unsigned() || id.get<std::uint64_t>() > std::numeric_limits<std::int32_t>::max() ||
        !has_text(content)) {
      return Error{"an entry of 'added_tokens' has no id or no content"};
    }
    if (flag(entry, "single_word", false)) {
      return Error{fmt::format("the added token {}: 'single_word' is not supported", in_quotes(content.dump()))};
    }
    const auto token = id.get<std::int32_t>();
    added_.push_back({content.get<std::string>(), token, flag(entry, "lstrip", false), flag(entry, "rstrip", false)});
    special_[token] = flag(entry, "special", false);
    pieces_[token] = content.get<std::string>();
    size_ = std::max(size_, id.get<std::uint32_t>() + 1);
  }
  std::stable_sort(added_.begin(), added_.end(),
                   [](const Added& a, const Added& b) { return a.content.size() > b.content.size(); });
  return {};
}

Result<void> HfTokenizer::read_normalizer(const Json& part) {
  const std::string kind = kind_of(part);
  if (part.is_null()) {
    return {};
  }
  if (kind == "Sequence") {
    for (const Json& step : field(part, "normalizers")) {
      if (auto ok = read_normalizer(step); !ok) {
        return ok;
      }
    }
    return {};
  }
  if (kind == "Prepend" && field(part, "prepend").is_string()) {
    normalize_.push_back({Normalize::Kind::kPrepend, "", part["prepend"].get<std::string>()});
  } else if (kind == "Replace" && has_text(field(field(part, "pattern"), "String")) &&
             field(part, "content").is_string()) {
    normalize_.push_back(
        {Normalize::Kind::kReplace, part["pattern"]["String"].get<std::string>(), part["content"].get<std::string>()});
  } else if (kind == "NFC") {
    normalize_.push_back({Normalize::Kind::kNfc, "", ""});
  } else {
    return Error{fmt::format("the normalizer {} is not supported", in_quotes(kind))};
  }
  return {};
}

Result<void> HfTokenizer::read_split(const Json& part) {
  const std::string kind = kind_of(part);
  if (part.is_null()) {
    return {};
  }
  const auto add_pattern = [this](const std::string& text, bool only_matches) -> Result<void> {
    auto pattern = Pattern::compile(text);
    if (!pattern) {
      return pattern.error();
    }
    Split how{Split::Kind::kPattern, *std::move(pattern)};
    how.only_matches = only_matches;
    splits_.push_back(std::move(how));
    return {};
  };
  if (kind == "Sequence") {
    for (const Json& step : field(part, "pretokenizers")) {
      if (auto ok = read_split(step); !ok) {
        return ok;
      }
    }
    return {};
  }
  if (kind == "ByteLevel") {
    auto pattern = Pattern::compile(kByteLevelWords);
    if (!pattern) {
      return pattern.error();
    }
    Split how{Split::Kind::kBytes, *std::move(pattern)};
    how.prefix_space = flag(part, "add_prefix_space", true);
    how.words = flag(part, "use_regex", true);
    splits_.push_back(std::move(how));
    byte_level_ = true;
    return {};
  }
  if (kind == "Metaspace") {
    if (field(part, "replacement") != std::string(kSpaceMark)) {
      return Error{"the pre-tokenizer Metaspace writes spaces as something else than U+2581"};
    }
    const Json& scheme = field(part, "prepend_scheme");
    Split how{Split::Kind::kSpaceMark, {}};
    how.prefix_space = scheme.is_string() ? scheme != "never" : flag(part, "add_prefix_space", true);
    how.prefix_first = scheme == "first";
    how.words = flag(part, "split", true);
    splits_.push_back(std::move(how));
    return {};
  }
  if (kind == "Digits") {
    return add_pattern(flag(part, "individual_digits", false) ? R"(\p{N})" : R"(\p{N}+)", false);
  }
  if (kind == "Split") {
    const Json& pattern = field(part, "pattern");
    const bool invert = flag(part, "invert", false);
    const Json& behavior = field(part, "behavior");
    if ((behavior == "Isolated" || (behavior == "Removed" && invert)) && field(pattern, "Regex").is_string()) {
      return add_pattern(pattern["Regex"].get<std::string>(), behavior == "Removed");
    }
    return Error{fmt::format("the pre-tokenizer Split with behavior {} is not supported", in_quotes(behavior.dump()))};
  }
  return Error{fmt::format("the pre-tokenizer {} is not supported", in_quotes(kind))};
}

Result<void> HfTokenizer::read_post(const Json& part) {
  const std::string kind = kind_of(part);
  if (part.is_null() || kind == "ByteLevel") {
    return {};
  }
  if (kind == "Sequence") {
    for (const Json& step : field(part, "processors")) {
      if (auto ok = read_post(step); !ok) {
        return ok;
      }
    }
    return {};
  }
  if (kind != "TemplateProcessing") {
    return Error{fmt::format("the post-processor {} is not supported", in_quotes(kind))};
  }
  bool behind = false;
  for (const Json& step : field(part, "single")) {
    if (step.is_object() && step.contains("Sequence")) {
      behind = true;
      continue;
    }
    const Json& name = field(field(step, "SpecialToken"), "id");
    const Json& ids =
        name.is_string() ? field(field(field(part, "special_tokens"), name.get<std::string>().c_str()), "ids") : name;
    if (!ids.is_array()) {
      return Error{"the post-processor's template has a part that is not understood"};
    }
    for (const Json& id : ids) {
      if (!id.is_number_unsigned() || !pieces_.contains(id.get<std::int32_t>())) {
        return Error{fmt::format("the post-processor adds the token {}, which there is not", in_quotes(id.dump()))};
      }
      (behind ? after_ : before_).push_back(id.get<std::int32_t>());
    }
  }
  return {};
}

Result<void> HfTokenizer::read(const Json& json) {
  for (const auto& ok : {read_model(field(json, "model")), read_added(field(json, "added_tokens")),
                         read_normalizer(field(json, "normalizer")), read_split(field(json, "pre_tokenizer")),
                         read_post(field(json, "post_processor"))}) {
    if (!ok) {
      return ok;
    }
  }
  return {};
}

Result<std::string> HfTokenizer::normalize(std::string text) const {
  for (const Normalize& step : normalize_) {
    switch (step.kind) {
      case Normalize::Kind::kPrepend:
        if (!text.empty()) {
          text = step.to + text;
        }
        break;
      case Normalize::Kind::kReplace:
        text = replaced(text, step.from, step.to);
        break;
      case Normalize::Kind::kNfc:
        // Below U+0300 every text is in this form already.
        if (largest_code_point(text).value_or(0) >= 0x300) {
          return Error{
              "the text has characters beyond U+02FF, whose normal form NFC is not computed here: give tokens "
              "with --ids"};
        }
        break;
    }
  }
  return text;
}

Result<Words> HfTokenizer::split(const Split& how, const std::string& text, bool first) const {
  Words out;
  std::string subject = text;
  if (how.kind == Split::Kind::kSpaceMark) {
    subject = replaced(subject, " ", kSpaceMark);
    if (how.prefix_space && (first || !how.prefix_first) && !subject.starts_with(kSpaceMark)) {
      subject = std::string(kSpaceMark) + subject;
    }
    for (std::size_t at = 0; at < subject.size();) {
      const std::size_t next = how.words ? subject.find(kSpaceMark, at + 1) : std::string::npos;
      out.push_back(subject.substr(at, next == std::string::npos ? next : next - at));
      at = next == std::string::npos ? subject.size() : next;
    }
    return out;
  }
  if (how.prefix_space && !subject.starts_with(' ')) {
    subject = " " + subject;
  }
  if (!how.words) {
    out.push_back(subject);
  } else {
    const auto matches = how.pattern->matches(subject);
    if (!matches) {
      return matches.error();
    }
    std::size_t at = 0;
    for (const auto& [begin, end] : *matches) {
      if (begin > at && !how.only_matches) {
        out.push_back(subject.substr(at, begin - at));
      }
      out.push_back(subject.substr(begin, end - begin));
      at = end;
    }
    if (at < subject.size() && !how.only_matches) {
      out.push_back(subject.substr(at));
    }
  }
  if (how.kind == Split::Kind::kBytes) {
    for (std::string& word : out) {
      std::string letters;
      for (const char byte : word) {
        letters += byte_letters()[static_cast<unsigned char>(byte)];
      }
      word = std::move(letters);
    }
  }
  return out;
}

Result<void> HfTokenizer::merge(const std::string& word, std::vector<std::int32_t>& out) const {
  if (whole_words_) {
    if (const auto found = ids_.find(word); found != ids_.end()) {
      out.push_back(found->second);
      return {};
    }
  }
  std::vector<std::int32_t> tokens;
  bool fused = false;
  for (const std::string_view character : characters(word)) {
    const auto found = ids_.find(std::string(character));
    const bool was_unknown = std::exchange(fused, false);
    if (found != ids_.end()) {
      tokens.push_back(found->second);
      continue;
    }
    std::vector<std::int32_t> bytes;
    for (const char byte : byte_fallback_ ? character : std::string_view()) {
      const auto piece = ids_.find(fmt::format("<0x{:02X}>", static_cast<unsigned char>(byte)));
      if (piece != ids_.end()) {
        bytes.push_back(piece->second);
      }
    }
    if (!bytes.empty() && bytes.size() == character.size()) {
      tokens.insert(tokens.end(), bytes.begin(), bytes.end());
    } else if (unknown_) {
      if (!was_unknown || !fuse_unknown_) {
        tokens.push_back(*unknown_);
      }
      fused = true;
    } else {
      return Error{fmt::format("the vocabulary has nothing for {}", in_quotes(character))};
    }
  }
  // The pair of lowest rank first, the leftmost of equals. Parts are kept in place, with links to their neighbours.
  struct Candidate {
    std::uint32_t rank;
    std::size_t at;
    std::int32_t left, right;
    bool operator>(const Candidate& other) const { return std::pair(rank, at) > std::pair(other.rank, other.at); }
  };
  constexpr auto kNone = static_cast<std::size_t>(-1);
  std::vector<std::size_t> before(tokens.size());
  std::vector<std::size_t> after(tokens.size());
  std::priority_queue<Candidate, std::vector<Candidate>, std::greater<>> queue;
  const auto offer = [&](std::size_t at) {
    if (at == kNone || after[at] == kNone) {
      return;
    }
    const auto found = joins_.find(pair_key(tokens[at], tokens[after[at]]));
    if (found != joins_.end()) {
      queue.push({found->second.rank, at, tokens[at], tokens[after[at]]});
    }
  };
  for (std::size_t i = 0; i < tokens.size(); ++i) {
    before[i] = i == 0 ? kNone : i - 1;
    after[i] = i + 1 == tokens.size() ? kNone : i + 1;
  }
  for (std::size_t i = 0; i < tokens.size(); ++i) {
    offer(i);
  }
  while (!queue.empty()) {
    const Candidate best = queue.top();
    queue.pop();
    if (tokens[best.at] != best.left || after[best.at] == kNone || tokens[after[best.at]] != best.right) {
      continue;
    }
    const std::size_t gone = after[best.at];
    tokens[best.at] = joins_.at(pair_key(best.left, best.right)).token;
    tokens[gone] = -1;
    after[best.at] = after[gone];
    if (after[gone] != kNone) {
      before[after[gone]] = best.at;
    }
    offer(best.at);
    offer(before[best.at]);
  }
  for (std::size_t at = tokens.empty() ? kNone : 0; at != kNone; at = after[at]) {
    out.push_back(tokens[at]);
  }
  return {};
}

Result<void> HfTokenizer::encode_part(std::string_view text, bool first, std::vector<std::int32_t>& out) const {
  auto normal = normalize(std::string(text));
  if (!normal) {
    return normal.error();
  }
  Words words = {*std::move(normal)};
  for (const Split& how : splits_) {
    Words next;
    for (std::size_t i = 0; i < words.size(); ++i) {
      auto parts = split(how, words[i], first && i == 0);
      if (!parts) {
        return parts.error();
      }
      next.insert(next.end(), parts->begin(), parts->end());
    }
    words = std::move(next);
  }
  for (const std::string& word : words) {
    if (auto ok = merge(word, out); !ok) {
      return ok;
    }
  }
  return {};
}

Result<std::vector<std::int32_t>> HfTokenizer::encode(std::string_view text, bool special) const {
  if (!largest_code_point(text)) {
    return Error{"the text is not UTF-8"};
  }
  std::vector<std::int32_t> out;
  if (special) {
    out = before_;
  }
  const auto blank = [](char c) { return c == ' ' || c == '\t' || c == '\n' || c == '\r'; };
  std::size_t begin = 0;
  for (std::size_t at = 0; at <= text.size();) {
    const auto found = std::find_if(added_.begin(), added_.end(),
                                    [&](const Added& a) { return text.substr(at).starts_with(a.content); });
    if (at < text.size() && found == added_.end()) {
      ++at;
      continue;
    }
    std::size_t end = at;
    while (found != added_.end() && found->lstrip && end > begin && blank(text[end - 1])) {
      --end;
    }
    if (end > begin) {
      if (auto ok = encode_part(text.substr(begin, end - begin), begin == 0, out); !ok) {
        return ok.error();
      }
    }
    if (found == added_.end()) {
      break;
    }
    out.push_back(found->id);
    at += found->content.size();
    while (found->rstrip && at < text.size() && blank(text[at])) {
      ++at;
    }
    begin = at;
  }
  if (special) {
    out.insert(out.end(), after_.begin(), after_.end());
  }
  return out;
}

std::string HfTokenizer::decode(const std::vector<std::int32_t>& tokens) const {
  static const auto bytes = [] {
    std::unordered_map<std::string_view, char> map;
    for (std::size_t byte = 0; byte < byte_letters().size(); ++byte) {
      map.emplace(byte_letters()[byte], static_cast<char>(byte));
    }
    return map;
  }();
  std::string out;
  for (const std::int32_t token : tokens) {
    const auto piece = pieces_.find(token);
    const auto added = special_.find(token);
    if (piece == pieces_.end() || (added != special_.end() && added->second)) {
      continue;
    }
    if (added != special_.end()) {
      out += piece->second;
    } else if (byte_level_) {
      for (const std::string_view letter : characters(piece->second)) {
        const auto byte = bytes.find(letter);
        out += byte == bytes.end() ? std::string(letter) : std::string(1, byte->second);
      }
    } else if (const auto byte = byte_piece(piece->second); byte_fallback_ && byte) {
      out += *byte;
    } else {
      out += replaced(piece->second, kSpaceMark, " ");
    }
  }
  return !byte_level_ && !out.empty() && out.front() == ' ' ? out.substr(1) : out;
}

}  // namespace

Result<std::unique_ptr<Tokenizer>> load_hf_tokenizer(const std::string& path) {
  const auto text = read_text(path, kMaxFile);
  if (!text) {
    return text.error();
  }
  const Json json = Json::parse(*text, nullptr, false);
  if (!json.is_object()) {
    return Error{path + ": is not a JSON object"};
  }
  auto tokenizer = std::make_unique<HfTokenizer>();
  if (auto ok = tokenizer->read(json); !ok) {
    return Error{path + ": " + ok.error().message};
  }
  return std::unique_ptr<Tokenizer>(std::move(tokenizer));
}

}  // namespace kvsink::capture

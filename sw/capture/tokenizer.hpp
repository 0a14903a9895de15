// SPDX-License-Identifier: Apache-2.0
// Text to tokens and back, as the model was trained: merges of pieces by score (llama2.c's tokenizer files, a list of
// pieces with scores) or by rank (the BPE of a Hugging Face tokenizer.json).
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "sw/trace/result.hpp"

namespace kvsink::capture {

class Tokenizer {
 public:
  virtual ~Tokenizer() = default;

  /// Tokens of a text; `special` adds what begins (and ends) a sequence by the tokenizer's own rule. The error says
  /// what of the text cannot be told in tokens.
  virtual Result<std::vector<std::int32_t>> encode(std::string_view text, bool special) const = 0;
  /// The bytes that tokens stand for, in order; special tokens stand for none.
  virtual std::string decode(const std::vector<std::int32_t>& tokens) const = 0;
  /// Tokens it can give lie below this.
  virtual std::uint32_t size() const = 0;

  /// The tokenizer beside a model: tokenizer.json or vocab_pieces.json in a folder; tokenizer.bin or
  /// tok<vocabulary>.bin beside a checkpoint. `path`, when not empty, names the file itself.
  static Result<std::unique_ptr<Tokenizer>> load(const std::string& model, const std::string& path,
                                                 std::uint32_t vocabulary);
};

/// llama2.c's file: longest piece, then for each of `vocabulary` pieces score, length, bytes.
Result<std::unique_ptr<Tokenizer>> load_llama2c_tokenizer(const std::string& path, std::uint32_t vocabulary);
/// A JSON list of {"id", "piece", "score"}, spaces written as U+2581.
Result<std::unique_ptr<Tokenizer>> load_pieces_tokenizer(const std::string& path, std::uint32_t vocabulary);
/// Hugging Face's tokenizer.json with a BPE model. What it names and this does not know is refused.
Result<std::unique_ptr<Tokenizer>> load_hf_tokenizer(const std::string& path);

/// The byte that a piece like "<0x0A>" stands for.
std::optional<char> byte_piece(std::string_view piece);

/// Splits a text into its UTF-8 characters; a byte that begins none stands alone.
std::vector<std::string_view> characters(std::string_view text);

/// U+2581, which stands for a space in many vocabularies.
inline constexpr std::string_view kSpaceMark = "\xe2\x96\x81";
/// A text with every `from` replaced.
std::string replaced(std::string_view text, std::string_view from, std::string_view to);

}  // namespace kvsink::capture

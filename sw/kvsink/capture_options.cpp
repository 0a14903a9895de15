// SPDX-License-Identifier: Apache-2.0
// Command line of what makes traces: capture, import, synth-trace.
#include <filesystem>
#include <limits>

#include "sw/capture/model_config.hpp"
#include "sw/kvsink/options.hpp"

namespace kvsink::command {
namespace {

constexpr std::uint32_t kMaxTokens = 1U << 24U;
constexpr std::uint64_t kMaxText = 64U << 20U;

/// "A-B" or "A", in whole numbers.
CLI::Option* range(CLI::App* app, const std::string& flag, std::optional<capture::Range>& into,
                   const std::string& help) {
  return app
      ->add_option_function<std::string>(
          flag,
          [flag, &into](const std::string& text) {
            capture::Range value{};
            const char* end = text.data() + text.size();
            auto [stop, code] = std::from_chars(text.data(), end, value.first);
            value.last = value.first;
            if (code == std::errc() && stop != end && *stop == '-') {
              const auto second = std::from_chars(stop + 1, end, value.last);
              stop = second.ptr;
              code = second.ec;
            }
            if (code != std::errc() || stop != end || value.first > value.last) {
              throw CLI::ValidationError(flag, fmt::format("'{}' is not a range A-B or a number", text));
            }
            into = value;
          },
          help)
      ->type_name("A-B");
}

/// Whole numbers, parted by commas or blanks.
std::optional<std::vector<std::int32_t>> token_list(const std::string& text) {
  std::vector<std::int32_t> out;
  const char* at = text.data();
  const char* end = at + text.size();
  while (true) {
    at = std::find_if_not(at, end, [](char c) { return c == ',' || c == ' ' || c == '\n' || c == '\r' || c == '\t'; });
    if (at == end) {
      return out;
    }
    std::int32_t token = 0;
    const auto [stop, code] = std::from_chars(at, end, token);
    if (code != std::errc()) {
      return std::nullopt;
    }
    out.push_back(token);
    at = stop;
  }
}

}  // namespace

CLI::App* add_capture(CLI::App& app, CaptureCommand& command) {
  capture::CaptureOptions& o = command.capture;
  CLI::App* sub = app.add_subcommand("capture", "run a model over a prompt and record its attention as a trace");
  text(
      sub, "--model", [&o](const std::string& v) { o.model = v; }, "MODEL",
      "Hugging Face directory, or llama2.c checkpoint")
      ->required();
  sub->add_option_function<std::string>(
         "--prompt", [&o](const std::string& v) { o.prompt = v; }, "the text to begin with")
      ->type_name("TEXT");
  file(sub, "--prompt-file", command.prompt_file, "the text to begin with, from a file");
  file(sub, "--ids", command.ids_file, "the tokens to begin with, whole numbers in a text file, in place of a prompt");
  file(sub, "--tokenizer", command.tokenizer, "tokenizer.json, vocab_pieces.json or llama2.c's [beside the model]");
  sub->add_flag_callback(
      "--no-bos", [&o] { o.special = false; }, "no token before the prompt's own");
  number<std::uint32_t>(
      sub, "--tokens", 2, kMaxTokens, [&o](std::uint32_t n) { o.tokens = n; },
      "of the whole sequence [256, or what the model takes]");
  number<std::uint32_t>(
      sub, "--prefill", 1, kMaxTokens, [&o](std::uint32_t n) { o.prefill = n; },
      "tokens before the first decode step [the prompt's]");
  range(sub, "--layers", o.layers, "layers to record [all]");
  range(sub, "--heads", o.heads, "key/value heads to record, with their query heads [all]");
  number<std::uint32_t>(
      sub, "--every", 1, kMaxTokens, [&o](std::uint32_t n) { o.every = n; }, "record every so-manieth decode step [1]");
  real(
      sub, "--temperature", 0, 100, [&o](double x) { o.temperature = x; }, "0: the likeliest token; above: drawn [0]");
  real(
      sub, "--top-p", 0, 1, [&o](double x) { o.top_p = x; }, "draw from the likeliest tokens up to this share [1]");
  number<std::uint64_t>(
      sub, "--seed", 0, std::numeric_limits<std::uint64_t>::max(), [&o](std::uint64_t n) { o.seed = n; },
      "of the drawing [1]");
  sub->add_flag_callback(
      "--ignore-eos", [&o] { o.ignore_eos = true; }, "go on when the model ends the sequence");
  number<unsigned>(
      sub, "--threads", 1, 1024, [&o](unsigned n) { o.threads = n; }, "[as many as the machine has]");
  text(
      sub, "--name", [&o](const std::string& v) { o.name = v; }, "TEXT", "of the model, for the metadata");
  text(
      sub, "--source", [&o](const std::string& v) { o.source = v; }, "TEXT",
      "where the model is from, for the metadata");
  text(
      sub, "--licence", [&o](const std::string& v) { o.licence = v; }, "TEXT", "of the model, for the metadata");
  file(sub, "--out", o.out, "the trace (safetensors)")->required();
  return sub;
}

Result<void> check_capture(CaptureCommand& command) {
  capture::CaptureOptions& o = command.capture;
  o.tokenizer = command.tokenizer.value_or("");
  if ((o.prompt ? 1 : 0) + (command.prompt_file ? 1 : 0) + (command.ids_file ? 1 : 0) != 1) {
    return Error{"one of --prompt, --prompt-file and --ids is wanted"};
  }
  if (command.prompt_file) {
    auto text = capture::read_text(*command.prompt_file, kMaxText);
    if (!text) {
      return Error{"--prompt-file: " + text.error().message};
    }
    o.prompt = *std::move(text);
  }
  if (command.ids_file) {
    const auto text = capture::read_text(*command.ids_file, kMaxText);
    if (!text) {
      return Error{"--ids: " + text.error().message};
    }
    o.ids = token_list(*text);
    if (!o.ids) {
      return Error{fmt::format("--ids: {}: is not a list of whole numbers", *command.ids_file)};
    }
  }
  return check_output("--out", o.out, o.model);
}

CLI::App* add_import(CLI::App& app, ImportOptions& o) {
  CLI::App* sub = app.add_subcommand("import", "attention tensors saved by other tools, to a trace");
  file(sub, "MAP", o.map, "mapping (JSON): which array of which npy, npz or safetensors file is what")->required();
  file(sub, "--out", o.out, "the trace (safetensors)")->required();
  return sub;
}

CLI::App* add_synth(CLI::App& app, SynthCommand& command) {
  capture::SynthOptions& o = command.synth;
  CLI::App* sub = app.add_subcommand("synth-trace", "a made-up trace for stress and long contexts, marked synthetic");
  const auto count = [sub](const char* flag, std::uint32_t low, std::uint32_t high, std::uint32_t& into,
                           const char* help) {
    number<std::uint32_t>(
        sub, flag, low, high, [&into](std::uint32_t n) { into = n; }, fmt::format("{} [{}]", help, into));
  };
  count("--tokens", 2, 1U << 20U, o.tokens, "of a sequence");
  count("--steps", 1, 1U << 20U, o.steps, "decode steps, the last tokens of the sequence");
  count("--layers", 1, 1024, o.layers, "layers");
  count("--q-heads", 1, 1024, o.q_heads, "query heads");
  count("--kv-heads", 1, 1024, o.kv_heads, "key/value heads");
  count("--head-dim", 4, 1024, o.head_dim, "elements of a row");
  count("--sinks", 0, 256, o.sinks, "tokens that are sinks");
  real(
      sub, "--strength", 0, 0.99, [&o](double x) { o.strength = x; },
      fmt::format("share of the mass that the sinks take together [{}]", o.strength));
  real(
      sub, "--drift", 0, 1, [&o](double x) { o.drift = x; },
      fmt::format("share of that mass which has moved to other tokens by the last step [{}]", o.drift));
  count("--bursts", 0, 1024, o.bursts, "times that a token of the prefill is strong for a few steps");
  real(
      sub, "--burst-strength", 0, 0.99, [&o](double x) { o.burst_strength = x; },
      fmt::format("share of the mass that it takes then [{}]", o.burst_strength));
  count("--sequences", 1, 10'000, command.sequences, "traces to write, numbered, each with a seed of its own");
  number<std::uint64_t>(
      sub, "--seed", 0, std::numeric_limits<std::uint64_t>::max(), [&o](std::uint64_t n) { o.seed = n; },
      fmt::format("of everything random [{}]", o.seed));
  number<unsigned>(
      sub, "--threads", 1, 1024, [&o](unsigned n) { o.threads = n; }, "[as many as the machine has]");
  file(sub, "--out", command.out, "the trace (safetensors); several: NAME-0.safetensors and so on")->required();
  return sub;
}

Result<void> check_output(const char* flag, const std::optional<std::string>& path, const std::string& input) {
  namespace fs = std::filesystem;
  if (!path || path == "-") {
    return {};
  }
  std::error_code ignored;
  const fs::path folder = fs::path(*path).parent_path();
  if (!folder.empty() && !fs::is_directory(folder, ignored)) {
    return Error{fmt::format("{}: {}: there is no folder {}", flag, *path, folder.string())};
  }
  if (fs::is_directory(*path, ignored)) {
    return Error{fmt::format("{}: {} is a folder", flag, *path)};
  }
  if (fs::equivalent(*path, input, ignored)) {
    return Error{fmt::format("{}: {} is the input, it would be overwritten", flag, *path)};
  }
  return {};
}

}  // namespace kvsink::command

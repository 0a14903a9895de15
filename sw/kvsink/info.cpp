// SPDX-License-Identifier: Apache-2.0
// kvsink info: what a trace holds, and where its attention goes. Mass and bytes are told apart throughout.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "sw/analysis/lru.hpp"
#include "sw/analysis/placement.hpp"
#include "sw/golden/bytes.hpp"
#include "sw/kvsink/commands.hpp"
#include "sw/trace/trace.hpp"

namespace kvsink::command {
namespace {

using analysis::Placement;
using Caches = std::vector<analysis::LruHits>;
using nlohmann::ordered_json;

constexpr std::size_t kTop = 8;      ///< tokens listed for the whole trace
constexpr std::size_t kTopHead = 4;  ///< and for each head
constexpr std::size_t kBins = 128;   ///< most columns of a heat map

/// Sizes of the caches that exact decode is held against, as shares of the rows of the first step.
const std::vector<double> kCaches = {0.25, 0.5, 0.9, 1.1, 1.5};

double share(std::uint64_t part, std::uint64_t of) {
  return of == 0 ? 0.0 : static_cast<double>(part) / static_cast<double>(of);
}

ordered_json as_json(const trace::Trace& trace, const Placement& p, const Caches& caches) {
  const trace::Dims& n = trace.dims();
  const std::size_t width = analysis::bin_width(n.T, kBins);
  ordered_json top = ordered_json::array();
  for (const std::size_t t : analysis::strongest(p.by_position, kTop)) {
    ordered_json by_layer = ordered_json::array();
    for (const auto& layer : p.by_layer) {
      by_layer.push_back(layer[t]);
    }
    top.push_back({{"position", t},
                   {"mass", p.by_position[t]},
                   {"mass_by_layer", by_layer},
                   {"bytes_share", analysis::byte_share(trace, {t})}});
  }
  ordered_json sinks = ordered_json::array();
  for (const std::size_t t : p.sinks) {
    sinks.push_back({{"position", t},
                     {"token", trace.token_ids()[t]},
                     {"score", p.score_prefill[t]},
                     {"score_decode", p.score_decode[t]},
                     {"mass", p.by_position[t]},
                     {"bytes_share", analysis::byte_share(trace, {t})}});
  }
  ordered_json heads = ordered_json::array();
  ordered_json by_head = ordered_json::array();
  for (const analysis::Head& head : p.heads) {
    ordered_json strong = ordered_json::array();
    for (const std::size_t t : analysis::strongest(head.mass, kTopHead)) {
      strong.push_back({{"position", t}, {"mass", head.mass[t]}});
    }
    heads.push_back({{"layer", head.layer},
                     {"q_head", head.q_head},
                     {"window", trace.window(head.layer)},
                     {"learned_sink_mass", head.learned_sink},
                     {"lse", {{"min", head.lse_min}, {"max", head.lse_max}}},
                     {"top", strong}});
    by_head.push_back(analysis::binned(head.mass, width));
  }
  ordered_json by_segment = ordered_json::array();
  for (const auto& mass : p.by_segment) {
    by_segment.push_back(analysis::binned(mass, width));
  }
  ordered_json budgets = ordered_json::array();
  for (const analysis::Budget& b : p.budgets) {
    budgets.push_back({{"tokens", b.tokens},
                       {"recall", b.recall},
                       {"mass_chosen", b.mass_chosen},
                       {"mass_strongest", b.mass_strongest},
                       {"bytes_share", b.bytes_share}});
  }
  ordered_json segments = ordered_json::array();
  for (const analysis::Segment& s : p.segments) {
    segments.push_back({{"first_step", s.first_step},
                        {"last_step", s.last_step},
                        {"recall", s.recall},
                        {"mass_chosen", s.mass_chosen}});
  }
  ordered_json lru = ordered_json::array();
  for (const analysis::LruHits& h : caches) {
    lru.push_back({{"capacity", h.capacity},
                   {"rows", h.rows},
                   {"hit_rate", share(h.hits, h.reads)},
                   {"hit_rate_of_strongest", share(h.token_hits, h.token_reads)}});
  }
  ordered_json out = {
      {"trace", trace.path()},
      {"model", trace.meta("model")},
      {"source", trace.meta("source")},
      {"licence", trace.meta("licence")},
      {"synthetic", trace.synthetic()},
      {"layers", n.L},
      {"q_heads", n.Hq},
      {"kv_heads", n.Hkv},
      {"head_dim", n.d},
      {"tokens", n.T},
      {"prefill_tokens", trace.prefill_tokens()},
      {"decode_steps", n.N},
      {"scale", trace.scale()},
      {"bytes", {{"kv_per_token", golden::kv_bytes_per_token(n)}, {"kv_needed", golden::kv_needed(trace)}}},
      {"rows", {{"needed", golden::kv_rows_needed(trace)}}},
      {"lse", {{"min", p.lse_min}, {"max", p.lse_max}}},
      {"mass", {{"top", top}, {"by_position", p.by_position}, {"by_layer", p.by_layer}}},
      {"sinks", sinks},
      {"heads", heads},
      {"persistence",
       {{"prefill_query_stride", p.stride},
        {"budgets", budgets},
        {"segment_tokens", p.segment_budget},
        {"segments", segments}}},
      {"lru", lru},
      {"heat", {{"positions_per_bin", width}, {"by_head", by_head}, {"by_segment", by_segment}}}};
  if (trace.synthetic()) {
    out["synthetic_what"] = trace.meta("synthetic");
  }
  return out;
}

std::string as_text(const trace::Trace& trace, const Placement& p, const Caches& caches) {
  const trace::Dims& n = trace.dims();
  std::string out;
  const auto line = [&out](const char* what, const std::string& value) {
    out += fmt::format("{:<18}{}\n", what, value);
  };
  const auto percent = [](double share) { return fmt::format("{:.2f} %", 100 * share); };
  line("trace", trace.path());
  if (trace.synthetic()) {
    line("SYNTHETIC", "made up by a program, no model: " + trace.meta("synthetic"));
  }
  line("model", trace.meta("model"));
  line("licence", trace.meta("licence"));
  line("layers", std::to_string(n.L));
  line("heads", fmt::format("{} query, {} key/value, head_dim {}", n.Hq, n.Hkv, n.d));
  line("tokens", fmt::format("{}: {} prefill, {} decode steps", n.T, trace.prefill_tokens(), n.N));
  line("KV of a token", fmt::format("{} bytes over all layers and heads", golden::kv_bytes_per_token(n)));
  line("decode reads", fmt::format("{} rows, {} bytes, each row once in each step", golden::kv_rows_needed(trace),
                                   golden::kv_needed(trace)));
  line("lse", fmt::format("{:.3f} to {:.3f}", p.lse_min, p.lse_max));
  if (p.stride > 1) {
    line("prefill", fmt::format("scores below are from every {}th of its queries", p.stride));
  }

  out += "\nSinks: tokens whose prefill score is 3 or more (1 is an even spread)\n";
  if (p.sinks.empty()) {
    out += "  none\n";
  } else {
    out += fmt::format("{:>9} {:>9} {:>9} {:>9} {:>9}\n", "position", "score", "in decode", "mass", "bytes");
    for (std::size_t i = 0; i < std::min(p.sinks.size(), 2 * kTop); ++i) {
      const std::size_t t = p.sinks[i];
      out += fmt::format("{:>9} {:>9.2f} {:>9.2f} {:>9} {:>9}\n", t, p.score_prefill[t], p.score_decode[t],
                         percent(p.by_position[t]), percent(analysis::byte_share(trace, {t})));
    }
    if (p.sinks.size() > 2 * kTop) {
      out += fmt::format("  and {} more\n", p.sinks.size() - 2 * kTop);
    }
  }

  out += "\nStrongest tokens of the decode steps. Mass is a share of attention, bytes a share of what is read:\n";
  out += fmt::format("{:>9} {:>8} {:>8}   mass by layer\n", "position", "mass", "bytes");
  for (const std::size_t t : analysis::strongest(p.by_position, kTop)) {
    out += fmt::format("{:>9} {:>8} {:>8}  ", t, percent(p.by_position[t]), percent(analysis::byte_share(trace, {t})));
    for (const auto& layer : p.by_layer) {
      out += fmt::format(" {:>5.1f} %", 100 * layer[t]);
    }
    out += '\n';
  }

  out += "\nStrongest tokens of each layer and query head: position and mass; range of lse\n";
  for (const analysis::Head& head : p.heads) {
    out += fmt::format("{:>5} {:>3}  ", head.layer, head.q_head);
    for (const std::size_t t : analysis::strongest(head.mass, kTopHead)) {
      out += fmt::format(" {:>6} {:>5.1f} %", t, 100 * head.mass[t]);
    }
    out += fmt::format("   {:.2f} to {:.2f}", head.lse_min, head.lse_max);
    if (head.learned_sink > 0) {
      out += fmt::format("   learned sink {}", percent(head.learned_sink));
    }
    if (trace.window(head.layer) > 0) {
      out += fmt::format("   window {}", trace.window(head.layer));
    }
    out += '\n';
  }

  out += "\nTokens chosen after prefill (by score) against the strongest of prefill's tokens during decode\n";
  out += fmt::format("{:>9} {:>9} {:>12} {:>13} {:>9}\n", "tokens", "recall", "their mass", "most possible", "bytes");
  for (const analysis::Budget& b : p.budgets) {
    out += fmt::format("{:>9} {:>9.2f} {:>12} {:>13} {:>9}\n", b.tokens, b.recall, percent(b.mass_chosen),
                       percent(b.mass_strongest), percent(b.bytes_share));
  }
  out += fmt::format("\nThe {} chosen, over the decode: steps, recall, their mass\n", p.segment_budget);
  for (const analysis::Segment& s : p.segments) {
    out += fmt::format("{:>9} to {:<6} {:>5.2f} {:>9}\n", s.first_step, s.last_step, s.recall, percent(s.mass_chosen));
  }
  out += fmt::format(
      "\nAn LRU cache over the same reads, each row once a step: its size as a share of the first step's rows, its "
      "hits, those on "
      "rows of the {} strongest tokens\n",
      kTop);
  for (const analysis::LruHits& h : caches) {
    out += fmt::format("{:>9} {:>9} {:>9}\n", percent(h.capacity), percent(share(h.hits, h.reads)),
                       percent(share(h.token_hits, h.token_reads)));
  }
  return out;
}

}  // namespace

int cmd_info(const InfoOptions& options) {
  const auto trace = trace::Trace::load(options.trace);
  if (!trace) {
    return fail(trace.error());
  }
  const Placement placement = [&] {
    Progress progress("attention mass");
    return analysis::measure(*trace, {}, [&](std::uint64_t done, std::uint64_t all) { progress.set(done, all); });
  }();
  const Caches caches = analysis::lru_hits(*trace, kCaches, analysis::strongest(placement.by_position, kTop));
  if (options.json) {
    const std::string text =
        as_json(*trace, placement, caches).dump(2, ' ', false, ordered_json::error_handler_t::replace) + "\n";
    if (const auto written = write_text(*options.json, text); !written) {
      return fail(written.error());
    }
  }
  if (options.json != "-") {
    fmt::print("{}", as_text(*trace, placement, caches));
  }
  return kEqual;
}

}  // namespace kvsink::command

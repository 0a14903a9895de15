// SPDX-License-Identifier: Apache-2.0
#include "sw/planner/planner.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>
#include <set>

#include "sw/golden/attention.hpp"
#include "sw/models/sink_scorer_model.hpp"
#include "sw/planner/json_file.hpp"

namespace kvsink::planner {
namespace {

constexpr std::uint32_t kLastTimed = 0xfffe;
constexpr std::uint64_t kMaxSpan = std::numeric_limits<std::uint32_t>::max();

std::vector<Scored> strongest(std::vector<Scored> tokens, double t_sink) {
  std::erase_if(tokens, [&](const Scored& t) { return !(t.score >= t_sink); });
  std::stable_sort(tokens.begin(), tokens.end(), [](const Scored& a, const Scored& b) { return a.score > b.score; });
  return tokens;
}

const char* kind_name(Item::Kind kind) {
  switch (kind) {
    case Item::Kind::kWindow:
      return "window";
    case Item::Kind::kRegion:
      return "region";
    default:
      return "promote";
  }
}

}  // namespace

std::vector<Scored> prefill_scores(const trace::Trace& trace, double t_sink) {
  const auto& dims = trace.dims();
  const std::uint32_t tokens = trace.prefill_tokens();
  model::ScorerConfig config;
  config.positions = config.scored = tokens;
  config.layers = config.layer_count = dims.L;
  config.q_heads = dims.Hq;
  config.head_mask.assign(dims.Hq, true);
  model::ExactScorer scorer(config);
  for (std::uint32_t layer = 0; layer < dims.L; ++layer) {
    for (std::uint32_t head = 0; head < dims.Hq; ++head) {
      for (std::uint32_t query = 0; query < tokens; ++query) {
        const auto weights = golden::attention_weights(trace, layer, head, query);
        for (std::uint32_t t = 0; t <= query; ++t) scorer.add(layer, head, query, t, weights[t]);
      }
    }
  }
  std::vector<Scored> scores;
  for (std::uint32_t t = 0; t < tokens; ++t) scores.push_back({t, scorer.score(t, true)});
  return strongest(std::move(scores), t_sink);
}

Result<std::vector<Scored>> read_scores(const std::string& path, double t_sink) {
  const auto json = read_json(path);
  if (!json.is_object() || !json.contains("scores") || !json["scores"].is_array()) {
    return Error{fmt::format("{}: not a file of scores: {{\"scores\": [of position 0, of position 1, ...]}}", path)};
  }
  std::vector<Scored> scores;
  for (const auto& score : json["scores"]) {
    if (!score.is_number() || !(score.get<double>() >= 0)) {
      return Error{fmt::format("{}: the score of position {} is not a number from 0", path, scores.size())};
    }
    scores.push_back({static_cast<std::uint32_t>(scores.size()), score.get<double>()});
  }
  return strongest(std::move(scores), t_sink);
}

std::uint64_t lead_cycles(const Tier& tier, std::uint64_t beats) {
  return tier.latency + static_cast<std::uint64_t>(std::ceil(static_cast<double>(beats) / tier.bandwidth));
}

Plan make(const std::vector<Scored>& tokens, const Tier& home, std::uint32_t tier, const Room& room,
          const Wishes& wishes) {
  std::uint32_t most = std::min(room.slots, wishes.budget.value_or(room.slots));
  const std::uint32_t per_step = wishes.per_step == 0 ? std::max(most, 1U) : wishes.per_step;
  std::vector<Scored> chosen;
  std::set<std::uint32_t> granules;
  for (const Scored& token : tokens) {
    // A region, and a window for each step begun, are items as well.
    const std::uint64_t items = 1 + chosen.size() + 1 + chosen.size() / per_step + 1;
    if (chosen.size() == most || items > room.items || token.position >= wishes.committed) break;
    if (!granules.contains(token.position / 16) && granules.size() == room.entries) continue;
    granules.insert(token.position / 16);
    chosen.push_back(token);
  }

  Plan plan;
  plan.home = home.name;
  plan.adapt_promotions = plan.adapt_evictions = wishes.adapt;
  if (chosen.empty()) return plan;
  const auto last_step = static_cast<std::uint32_t>((chosen.size() - 1) / per_step);
  Item region;
  region.kind = Item::Kind::kRegion;
  region.step = last_step;
  region.count = wishes.committed;
  plan.items.push_back(region);
  for (std::size_t i = 0; i < chosen.size(); ++i) {
    const auto step = static_cast<std::uint32_t>(i / per_step);
    const std::uint64_t before = i % per_step;  // in this step
    if (before == 0) {
      const std::uint64_t here = std::min<std::uint64_t>(per_step, chosen.size() - i);
      Item window;
      window.kind = Item::Kind::kWindow;
      window.step = step;
      const std::uint64_t sure = (here * room.slot_beats * 32 + room.promo_floor - 1) / std::max(room.promo_floor, 1U);
      // Two latencies: the translation comes first.
      const std::uint64_t alone = home.latency + lead_cycles(home, here * room.slot_beats);
      window.until = static_cast<std::uint32_t>(std::min(kMaxSpan, 2 * home.latency + std::max(sure, alone)));
      plan.items.push_back(window);
    }
    Item item;
    item.step = step;
    item.first = chosen[i].position;
    item.dwell = std::clamp(wishes.steps - std::min(step, wishes.steps), 1U, kLastTimed);
    item.tier = tier;
    item.score = chosen[i].score;
    item.lead = lead_cycles(home, room.slot_beats);
    plan.items.push_back(item);
  }
  return plan;
}

std::string describe(const Item& item) {
  switch (item.kind) {
    case Item::Kind::kWindow:
      return fmt::format("window of {} to {} cycles in step {}", item.from, item.until, item.step);
    case Item::Kind::kRegion:
      return fmt::format("region of positions {} to {}", item.first, item.first + item.count - 1);
    default:
      return fmt::format("promote position {} in step {}", item.first, item.step);
  }
}

std::string to_json(const Plan& plan) {
  nlohmann::ordered_json json;
  json["format"] = "kvsink-plan";
  json["version"] = 1;
  json["trace"] = plan.trace;
  json["config"] = plan.config;
  json["home"] = plan.home;
  json["envelope"] = {
      {"promotions", plan.adapt_promotions}, {"evictions", plan.adapt_evictions}, {"slots", plan.adapt_slots}};
  json["items"] = nlohmann::ordered_json::array();
  for (const Item& i : plan.items) {
    nlohmann::ordered_json item = {{"kind", kind_name(i.kind)}, {"step", i.step}};
    if (i.kind == Item::Kind::kRegion) {
      item.update({{"first", i.first}, {"count", i.count}, {"steps", i.dwell}});
    } else if (i.kind == Item::Kind::kWindow) {
      item.update({{"begin", i.from}, {"end", i.until}});
    } else {
      item.update({{"position", i.first},
                   {"dwell", i.dwell},
                   {"tier", i.tier},
                   {"not_before", i.from},
                   {"deadline", i.until},
                   {"score", i.score},
                   {"lead_cycles", i.lead}});
    }
    json["items"].push_back(item);
  }
  return json.dump(1) + "\n";
}

Result<Plan> read_plan(const std::string& path) {
  const auto json = read_json(path);
  if (!json.is_object() || json.value("format", "") != "kvsink-plan" || json.value("version", 0) != 1 ||
      !json.contains("items") || !json["items"].is_array() || !json.contains("envelope") ||
      !json["envelope"].is_object()) {
    return Error{fmt::format("{}: not a plan (kvsink plan makes one)", path)};
  }
  Plan plan;
  // A field that is missing, no whole number, or too large: its name.
  std::string wrong;
  const auto number = [&wrong](const nlohmann::ordered_json& from, const char* field,
                               std::uint64_t most) -> std::uint32_t {
    if (!from.contains(field) || !from[field].is_number_unsigned() || from[field].get<std::uint64_t>() > most) {
      if (wrong.empty()) wrong = fmt::format("{} is missing or not a whole number from 0 to {}", field, most);
      return 0;
    }
    return from[field].get<std::uint32_t>();
  };
  plan.adapt_promotions = number(json["envelope"], "promotions", 255);
  plan.adapt_evictions = number(json["envelope"], "evictions", 255);
  plan.adapt_slots = number(json["envelope"], "slots", 0xffff);
  if (!wrong.empty()) return Error{fmt::format("{}: envelope: {}", path, wrong)};
  for (const auto& from : json["items"]) {
    Item item;
    const std::string kind =
        from.is_object() && from.contains("kind") && from["kind"].is_string() ? from["kind"].get<std::string>() : "";
    if (kind == "promote") {
      item.first = number(from, "position", kMaxSpan);
      item.dwell = number(from, "dwell", 0xffff);
      item.tier = number(from, "tier", 7);
      item.from = number(from, "not_before", kMaxSpan);
      item.until = number(from, "deadline", kMaxSpan);
      item.score = from.contains("score") && from["score"].is_number() ? from["score"].get<double>() : 0;
      item.lead = from.contains("lead_cycles") ? number(from, "lead_cycles", kMaxSpan) : 0;
    } else if (kind == "window") {
      item.kind = Item::Kind::kWindow;
      item.from = number(from, "begin", kMaxSpan);
      item.until = number(from, "end", kMaxSpan);
    } else if (kind == "region") {
      item.kind = Item::Kind::kRegion;
      item.first = number(from, "first", kMaxSpan);
      item.count = number(from, "count", kMaxSpan);
      item.dwell = number(from, "steps", 0xffff);
    } else {
      wrong = "kind is none of promote, window, region";
    }
    if (wrong.empty()) item.step = number(from, "step", 0xffff);
    if (!wrong.empty()) return Error{fmt::format("{}: item {}: {}", path, plan.items.size(), wrong)};
    plan.items.push_back(item);
  }
  return plan;
}

}  // namespace kvsink::planner

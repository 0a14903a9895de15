// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <algorithm>

#include "sw/planner/json_file.hpp"
#include "sw/planner/planner.hpp"

namespace kvsink::planner {
namespace {

constexpr std::uint64_t kMaxLatency = 100'000;
constexpr std::uint32_t kLastTier = 7;
constexpr double kMaxEnergy = 1e6;  // pJ a byte

/// pj_per_byte of an object, if it is there.
Result<std::optional<double>> energy_of(const nlohmann::json& of, const std::string& what) {
  if (!of.contains("pj_per_byte")) return std::optional<double>();
  const auto& value = of["pj_per_byte"];
  if (!value.is_number() || !(value.get<double>() >= 0 && value.get<double>() <= kMaxEnergy)) {
    return Error{fmt::format("{}: pj_per_byte {} is not a number from 0 to {}", what, value.dump(), kMaxEnergy)};
  }
  return std::optional<double>(value.get<double>());
}

}  // namespace

Result<std::vector<Tier>> read_tiers(const std::string& path) {
  const auto json = read_json(path);
  if (!json.is_object() || !json.contains("tiers") || !json["tiers"].is_object()) {
    return Error{fmt::format("{}: not a file of tiers: {{\"tiers\": {{NAME: {{\"latency\", \"bandwidth\"}}}}}}", path)};
  }
  std::vector<Tier> tiers;
  for (const auto& [name, tier] : json["tiers"].items()) {
    if (!tier.is_object() || !tier.contains("latency") || !tier["latency"].is_number_unsigned() ||
        !tier.contains("bandwidth") || !tier["bandwidth"].is_number()) {
      return Error{fmt::format("{}: tier '{}' needs latency (whole cycles) and bandwidth (beats a cycle)", path, name)};
    }
    const double bandwidth = tier["bandwidth"].get<double>();
    const auto latency = tier["latency"].get<std::uint64_t>();
    if (latency < 1 || latency > kMaxLatency || !(bandwidth > 0 && bandwidth <= 1)) {
      return Error{fmt::format("{}: tier '{}': latency {} and bandwidth {}, the limits are 1..{} and above 0 to 1",
                               path, name, latency, bandwidth, kMaxLatency)};
    }
    const auto energy = energy_of(tier, fmt::format("{}: tier '{}'", path, name));
    if (!energy) return energy.error();
    tiers.push_back({name, static_cast<std::uint32_t>(latency), bandwidth, *energy});
  }
  return tiers;
}

Result<std::pair<Tier, std::uint32_t>> find_tier(const std::string& path, const std::string& name) {
  const auto tiers = read_tiers(path);
  if (!tiers) return tiers.error();
  const auto found = std::find_if(tiers->begin(), tiers->end(), [&](const Tier& t) { return t.name == name; });
  if (found == tiers->end()) return Error{fmt::format("{}: there is no tier '{}'", path, name)};
  const auto at = static_cast<std::uint32_t>(found - tiers->begin());
  return std::pair{*found, std::min(at, kLastTier)};
}

Result<std::optional<double>> sram_pj_per_byte(const std::string& path) {
  const auto json = read_json(path);
  if (!json.is_object() || !json.contains("sram")) return std::optional<double>();
  return energy_of(json["sram"], path + ": sram");
}

}  // namespace kvsink::planner

// SPDX-License-Identifier: Apache-2.0
// What is told of how a network met its targets, as JSON.
#include <mixgrad/error.h>
#include <mixgrad/search.h>

#include <src/internal/json.h>

#include <algorithm>

namespace mixgrad {

using nlohmann::ordered_json;

double Repair::Cost::share() const {
  return arg_max > found && largest > found ? std::min(1.0, (arg_max - found) / (largest - found)) : 0;
}

std::string to_json(const Repair& r) {
  const auto optional = [](const std::optional<double>& value) {
    return value ? ordered_json(*value) : ordered_json();
  };
  ordered_json costs = ordered_json::array();
  for (const Repair::Cost& c : r.costs) {
    costs.push_back(
        {{"name", c.name}, {"largest", c.largest}, {"arg_max", c.arg_max}, {"found", c.found}, {"limit", c.limit}});
  }
  const ordered_json all = {{"start", r.start},
                            {"choices", r.choices},
                            {"moved", r.moved},
                            {"quality_at_arg_max", optional(r.quality_at_arg_max)},
                            {"quality", optional(r.quality)},
                            {"costs", costs}};
  return json_text(all);
}

Repair repair_from_json(const std::string& text) {
  try {
    const ordered_json all = parse_ordered_json(text);
    const auto optional = [&](const char* key) {
      return all.at(key).is_null() ? std::nullopt : std::optional(all.at(key).get<double>());
    };
    Repair out{.start = all.at("start"),
               .choices = all.at("choices"),
               .moved = all.at("moved"),
               .quality_at_arg_max = optional("quality_at_arg_max"),
               .quality = optional("quality")};
    for (const ordered_json& c : all.at("costs")) {
      out.costs.push_back({.name = c.at("name"),
                           .largest = c.at("largest"),
                           .arg_max = c.at("arg_max"),
                           .found = c.at("found"),
                           .limit = c.at("limit")});
    }
    return out;
  } catch (const nlohmann::json::exception& e) {
    bad_input("repair: corrupt: {}", e.what());
  }
}

}  // namespace mixgrad

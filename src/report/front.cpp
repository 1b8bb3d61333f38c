// SPDX-License-Identifier: Apache-2.0
// The points of a front as text.
#include <mixgrad/report.h>

#include <src/internal/json.h>
#include <src/internal/text.h>

#include <fmt/core.h>

#include <algorithm>

namespace mixgrad::report {
namespace {

/// The cost that the point's budget limits.
double found(const FrontResult& result, const FrontPoint& p) {
  const auto at = std::ranges::find(result.config.costs, p.budget.model.name) - result.config.costs.begin();
  return p.costs[static_cast<size_t>(at)];
}

}  // namespace

std::string table(const FrontResult& result) {
  std::string out = fmt::format("{:<24} {:>15} {:>10} {:>12}\n", "limit on", "found", "of 8-bit", "validation");
  for (const FrontPoint& p : result.points) {
    const std::string share = p.uniform8 ? fmt::format("{:.1f}%", 100 * found(result, p) / *p.uniform8) : "-";
    out += fmt::format("{:<24} {:>15} {:>10} {:>12.4f}\n",
                       shortened(fmt::format("{} ({})", p.budget.model.name, p.budget.model.unit), 24),
                       grouped(found(result, p)), share, p.validation.value());
  }
  return out + fmt::format("\n{} of the float network on the test images: {:.4f}\n", result.floating_score.metric.name,
                           result.floating_score.value());
}

std::string front_json(const FrontResult& result) {
  nlohmann::ordered_json points = nlohmann::ordered_json::array();
  for (const FrontPoint& p : result.points) {
    points.push_back({{"cost", p.budget.model.name},
                      {"unit", p.budget.model.unit},
                      {"limit", p.budget.limit},
                      {"found", found(result, p)},
                      {"share", p.uniform8 ? nlohmann::ordered_json(found(result, p) / *p.uniform8) : nullptr},
                      {"metric", p.validation.metric.name},
                      {"validation", p.validation.value()}});
  }
  const nlohmann::ordered_json all = {
      {"float", result.floating_score.value()}, {"seconds", result.seconds}, {"points", points}};
  return json_text(all) + "\n";
}

}  // namespace mixgrad::report

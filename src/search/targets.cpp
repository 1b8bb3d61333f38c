// SPDX-License-Identifier: Apache-2.0
// Targets: from what the search prefers to a discrete network that costs no more than it may.
#include "filling.h"
#include "lower_bits.h"
#include "reach.h"
#include "rivals.h"

#include <mixgrad/error.h>

#include <fmt/core.h>
#include <fmt/ranges.h>

namespace mixgrad {
namespace {

/// Says why there is no network within all targets, `nearest` being the one that exceeds them least.
[[noreturn]] void refuse(const Graph& searched, std::span<const Target> targets, const Graph& nearest) {
  if (targets.size() == 1) refuse_target(targets[0], searched, nearest);
  std::vector<std::string> reached;
  for (const Target& t : targets) {
    const double cost = cost::discrete(nearest, t.model);
    reached.push_back(fmt::format("{} {:.6g} of {:.6g} {}", t.model.name, cost, t.limit, t.model.unit));
  }
  bad_input(
      "target: these candidates can meet each target, but no network that meets all at once was found; the nearest has "
      "{}",
      fmt::join(reached, ", "));
}

}  // namespace

void refuse_target(const Target& target, const Graph& network, const Graph& cheapest, const char* how) {
  const cost::Model& model = target.model;
  const double limit = target.limit;
  const double least = cost::discrete(cheapest, model);
  const auto uniform = cost::if_defined([&] { return cost::uniform(network, model, 8); });
  const std::string share = uniform ? fmt::format(", {:.1f}% of uniform 8-bit", 100 * least / *uniform) : "";
  const std::string reason = cost::reason(cheapest, model);
  bad_input("target: {} of {:.6g} {} can't be met{}: the smallest that these candidates reach is {:.6g}{}{}{}",
            model.name, limit, model.unit, how, least, share, reason.empty() ? "" : "; ", reason);
}

void reach_or_refuse(const Graph& searched, Assignment& a, std::span<const Target> targets) {
  const auto check = [&](Assignment& from, std::span<const Target> together) {
    if (!reach(from, together)) refuse(searched, together, from.graph());
  };
  for (size_t t = 0; targets.size() > 1 && t < targets.size(); ++t) {
    Assignment alone(searched);
    check(alone, targets.subspan(t, 1));
  }
  check(a, targets);
}

void lower_or_reach(const Graph& searched, Assignment& a, Budget& budget) {
  if (lower(a, budget)) return;
  reach_or_refuse(searched, a, budget.targets());
  follow_alpha(a, budget);
}

void check_reachable(const Graph& searched, std::span<const Target> targets) {
  if (targets.empty()) return;
  Assignment a(searched);
  reach_or_refuse(searched, a, targets);
}

CostRange cost_range(const Graph& searched, const cost::Model& model) {
  Assignment a(searched);
  a.set_all_largest();
  const double most = cost::discrete(a.graph(), model);
  const Target none{.model = model, .limit = most * 1e-9};
  reach(a, {&none, 1});
  return {.least = cost::discrete(a.graph(), model), .most = most};
}

namespace {

int64_t differences(const Assignment::Chosen& a, const Assignment::Chosen& b) {
  int64_t count = 0;
  for (size_t i = 0; i < a.size(); ++i) {
    for (size_t c = 0; c < a[i].size(); ++c) count += a[i][c] != b[i][c] ? 1 : 0;
  }
  return count;
}

}  // namespace

MetTargets met(Assignment& a, Budget& budget, const Assignment::Chosen& start, const Rival& found) {
  Repair repair{.start = found.start, .moved = differences(found.chosen, start), .quality = found.quality};
  for (const SlotChoice& choice : a.choices()) repair.choices += choice.bits.size() > 1 ? std::ssize(choice.chosen) : 0;
  a.restore(start);
  const std::vector<double> at_start = budget.costs();
  a.set_all_largest();
  const std::vector<double> largest = budget.costs();
  a.restore(found.chosen);
  const std::vector<double> costs = budget.costs();
  for (size_t t = 0; t < costs.size(); ++t) {
    const Target& target = budget.targets()[t];
    repair.costs.push_back({.name = target.model.name,
                            .largest = largest[t],
                            .arg_max = at_start[t],
                            .found = costs[t],
                            .limit = target.limit});
  }
  return {.network = a.graph(), .repair = std::move(repair)};
}

MetTargets meet_targets(const Graph& searched, std::span<const Target> targets, const Judge& judge) {
  Assignment a(searched);
  Budget budget(a, targets);
  const Assignment::Chosen arg_max = a.chosen();
  std::optional<double> at_arg_max;
  if (judge.quality) at_arg_max = judge.quality(a.graph());
  const Rival best = best_rival(searched, a, budget, judge);
  MetTargets out = met(a, budget, arg_max, best);
  out.repair.quality_at_arg_max = at_arg_max;
  return out;
}

Graph refine(const Graph& searched, const cost::Model& model) {
  Assignment a(searched);
  const Target present{.model = model, .limit = cost::discrete(a.graph(), model)};
  Budget budget(a, {&present, 1});
  raise_weights(a, budget);
  return a.graph();
}

}  // namespace mixgrad

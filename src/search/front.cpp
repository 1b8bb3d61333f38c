// SPDX-License-Identifier: Apache-2.0
// The networks along a front: which share a step, and what they choose.
#include "reach.h"

#include <mixgrad/error.h>
#include <mixgrad/front.h>

#include <fmt/core.h>

#include <algorithm>
#include <cmath>

namespace mixgrad {
namespace {

/// How many networks share a step.
size_t per_step(size_t networks) { return std::min<size_t>(4, networks); }

}  // namespace

FrontSearch::FrontSearch(MixPrec& net, const std::vector<std::vector<Target>>& budgets, int64_t batch_size,
                         uint64_t seed)
    : net_(net), budgets_(1), shown_(1 + budgets.at(0).size() / 2), draws_(seed, "front") {
  for (const std::vector<Target>& of_cost : budgets) {
    smallest_.push_back(budgets_.size());
    budgets_.insert(budgets_.end(), of_cost.begin(), of_cost.end());
  }
  for (const std::optional<Target>& budget : budgets_) {
    const std::vector<Target> targets = budget ? std::vector{*budget} : std::vector<Target>();
    const double share = 1.0 / static_cast<double>(per_step(budgets_.size()));
    networks_.emplace_back(net, targets, /*strength=*/0, batch_size, share);
  }
}

std::vector<Thetas> FrontSearch::thetas() {
  active_ = {smallest_[draws_.below(smallest_.size())], 0};
  while (active_.size() < per_step(networks_.size())) {
    const size_t drawn = draws_.below(networks_.size());
    if (std::ranges::find(active_, drawn) == active_.end()) active_.push_back(drawn);
  }
  std::vector<Thetas> out;
  for (const size_t i : active_) out.push_back(networks_[i].thetas());
  return out;
}

void FrontSearch::observe() {
  for (const size_t i : active_) networks_[i].observe();
}

void FrontSearch::choose(double progress) {
  fit_unused_steps(net_.graph(), networks_);
  for (FisherSearch& network : networks_) network.choose(progress);
  networks_[shown_].set_alphas();
}

Front FrontSearch::front() const {
  Front out{.searched = net_.graph(), .networks = {}};
  for (size_t i = 0; i < networks_.size(); ++i)
    out.networks.push_back({.budget = budgets_[i], .losses = networks_[i].losses(), .theta = networks_[i].one_hot()});
  return out;
}

void FrontSearch::list_state(State& state) {
  state.add("front.draws", draws_.state());
  for (size_t i = 0; i < networks_.size(); ++i) networks_[i].list_state(state, fmt::format("front.{}", i));
}

std::vector<Target> front_budgets(const Graph& searched, const cost::Model& model, double least, int count) {
  Assignment a(searched);
  a.set_all_largest();
  const double most = cost::discrete(a.graph(), model);
  const Target none{.model = model, .limit = most * 1e-9};
  reach(a, {&none, 1});
  const double first = std::max(least * most, cost::discrete(a.graph(), model));
  if (!(first < most))
    bad_input("costs: {} is the same, {:.6g} {}, for all candidates: expected a cost that depends on the bit-widths",
              model.name, most, model.unit);
  std::vector<Target> out;
  for (int i = 0; i < count; ++i)
    out.push_back({.model = model, .limit = first * std::pow(most / first, static_cast<double>(i) / count)});
  return out;
}

}  // namespace mixgrad

// SPDX-License-Identifier: Apache-2.0
// A discrete network from a front, without training.
#include "assignment.h"
#include "filling.h"
#include "reach.h"
#include "rivals.h"

#include <mixgrad/front.h>
#include <mixgrad/ops.h>

#include <fmt/core.h>

#include <algorithm>
#include <optional>
#include <utility>

namespace mixgrad {
namespace {

/// Sets every α of `searched`, in the order of Graph::parameters.
void set_alphas(const Graph& searched, const std::vector<Tensor>& values) {
  const std::vector<Parameter> alphas = searched.parameters(Role::alpha);
  for (size_t i = 0; i < alphas.size(); ++i)
    std::ranges::copy(values[i].data(), Tensor(alphas[i].tensor).data().begin());
}

/// The networks of the front next to the targets: the last of those within them and the first of those beyond, by the
/// cost that exceeds its target most.
std::vector<const Front::Network*> neighbours(const Front& front, const Graph& searched,
                                              std::span<const Target> targets) {
  const Front::Network *within = nullptr, *beyond = nullptr;
  double most_within = 0, least_beyond = 0;
  for (const Front::Network& network : front.networks) {
    set_alphas(searched, network.theta);
    const Graph discrete = discretize(searched);
    double share = 0;
    for (const Target& t : targets) share = std::max(share, cost::discrete(discrete, t.model) / t.limit);
    if (share <= 1 && share > most_within) within = &network, most_within = share;
    if (share > 1 && (beyond == nullptr || share < least_beyond)) beyond = &network, least_beyond = share;
  }
  std::vector<const Front::Network*> out;
  for (const Front::Network* network : {within, beyond}) {
    if (network != nullptr) out.push_back(network);
  }
  return out;
}

std::string in_words(const Front::Network& network) {
  if (!network.budget) return "the largest network of the front";
  return fmt::format("the network of the front with {} {:.6g}", network.budget->model.name, network.budget->limit);
}

/// The network of the front, with the choices changed that add the least loss for what they save, until it meets the
/// targets and uses them.
MetTargets moved(const Graph& searched, const Front::Network& network, std::span<const Target> targets,
                 const Judge& judge) {
  set_alphas(searched, network.theta);
  Assignment a(searched);
  const Assignment::Chosen trained = a.chosen();
  std::vector<Tensor> preferred;
  for (const Tensor& losses : network.losses) preferred.push_back(scale(losses, -1));
  set_alphas(searched, preferred);
  Budget budget(a, targets);
  lower_or_reach(searched, a, budget);
  raise(a, budget);
  fill_up(a, budget);
  Rival found{.start = in_words(network), .chosen = a.chosen()};
  if (judge.quality) found.quality = judge.quality(a.graph());
  return met(a, budget, trained, found);
}

MetTargets pick_by_losses(const Front& front, const Graph& searched, std::span<const Target> targets,
                          const Judge& judge) {
  std::optional<MetTargets> best;
  for (const Front::Network* network : neighbours(front, searched, targets)) {
    MetTargets candidate = moved(searched, *network, targets, judge);
    if (!best || candidate.repair.quality > best->repair.quality) best = std::move(candidate);
  }
  return std::move(*best);
}

}  // namespace

MetTargets pick(const Front& front, std::span<const Target> targets, const Judge& judge, PickBy by) {
  const Graph searched = front.searched.clone();
  if (by == PickBy::losses) return pick_by_losses(front, searched, targets, judge);
  prefer_by_sensitivity(searched, judge.loss);
  return meet_targets(searched, targets, {.quality = judge.quality});
}

}  // namespace mixgrad

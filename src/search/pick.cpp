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
#include <limits>
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

/// The index of the first and of the last candidate of column c that any of the networks has chosen for the α number i.
std::pair<int64_t, int64_t> range_of(const std::vector<const Front::Network*>& networks, size_t i, int64_t c) {
  std::pair<int64_t, int64_t> range = {std::numeric_limits<int64_t>::max(), 0};
  for (const Front::Network* network : networks) {
    const Tensor& theta = network->theta[i];
    const int64_t columns = theta.size() / theta.shape()[0];
    for (int64_t p = 0; p < theta.shape()[0]; ++p) {
      if (theta.data()[static_cast<size_t>(p * columns + c)] == 0) continue;
      range = {std::min(range.first, p), std::max(range.second, p)};
    }
  }
  return range;
}

/// Makes candidates that are not between the choices of the networks, which the weights have not trained with, worse
/// than any other.
void put_untrained_last(const std::vector<const Front::Network*>& trained, std::vector<Tensor>& preferred) {
  float least = 0;
  for (const Tensor& t : preferred) least = std::min(least, *std::ranges::min_element(t.data()));
  for (size_t i = 0; i < preferred.size(); ++i) {
    const int64_t candidates = preferred[i].shape()[0], columns = preferred[i].size() / candidates;
    for (int64_t c = 0; c < columns; ++c) {
      const auto [first, last] = range_of(trained, i, c);
      for (int64_t p = 0; p < candidates; ++p) {
        if (p < first || p > last) preferred[i].data()[static_cast<size_t>(p * columns + c)] -= 1 - least;
      }
    }
  }
}

/// The network of the front, with the choices changed that add the least loss for what they save, until it meets the
/// targets and uses them.
MetTargets moved(const Graph& searched, const Front::Network& network,
                 const std::vector<const Front::Network*>& trained, std::span<const Target> targets,
                 const Judge& judge) {
  set_alphas(searched, network.theta);
  Assignment a(searched);
  const Assignment::Chosen before = a.chosen();
  std::vector<Tensor> preferred;
  for (const Tensor& losses : network.losses) preferred.push_back(scale(losses, -1));
  if (trained.size() > 1) put_untrained_last(trained, preferred);
  set_alphas(searched, preferred);
  Budget budget(a, targets);
  lower_or_reach(searched, a, budget);
  raise(a, budget);
  fill_up(a, budget);
  Rival found{.start = in_words(network), .chosen = a.chosen()};
  if (judge.quality) found.quality = judge.quality(a.graph());
  return met(a, budget, before, found);
}

MetTargets pick_by_losses(const Front& front, const Graph& searched, std::span<const Target> targets,
                          const Judge& judge) {
  std::optional<MetTargets> best;
  const std::vector<const Front::Network*> near = neighbours(front, searched, targets);
  for (const Front::Network* network : near) {
    MetTargets candidate = moved(searched, *network, near, targets, judge);
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

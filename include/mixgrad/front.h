// SPDX-License-Identifier: Apache-2.0
// One training for all budgets: networks along a range of costs share weights, and any other can be picked afterwards.
#pragma once

#include <mixgrad/fisher.h>
#include <mixgrad/rng.h>
#include <mixgrad/search.h>
#include <mixgrad/state.h>

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

namespace mixgrad {

/// What the training of a front leaves.
struct Front {
  /// A network that took part. Both lists are in the order of searched.parameters(Role::alpha).
  struct Network {
    std::optional<Target> budget;  ///< unset: the largest
    std::vector<Tensor> losses;    ///< what each candidate adds to the loss of this network (FisherSearch)
    std::vector<Tensor> theta;     ///< the network, as one-hot θ
  };
  Graph searched;  ///< the weights, steps and clips that all networks share
  std::vector<Network> networks;
};

/// The training of a front: a FisherSearch for each budget, and one that stays at the most bits, all on the weights of
/// one net. Several of them share every step's images: the largest, the smallest and two that are drawn (the sandwich
/// rule of Yu and Huang 2019, arXiv 1903.05134). Each measures its own losses, since what a candidate adds depends on
/// the other layers' bits.
class FrontSearch {
 public:
  /// Budgets of each cost, smallest first. `net` must outlive this object.
  FrontSearch(MixPrec& net, const std::vector<std::vector<Target>>& budgets, int64_t batch_size, uint64_t seed);

  /// One-hot θ of the networks that share the next step.
  std::vector<Thetas> thetas();
  /// Adds the gradients of the last thetas() to their estimates.
  void observe();
  /// Chooses the bit-widths of all networks anew; `progress` as in FisherSearch::choose. α shows the network of the
  /// first cost's middle budget.
  void choose(double progress);

  /// Δ of the network that α shows, as FisherSearch::losses().
  std::vector<Tensor> losses() const { return networks_[shown_].losses(); }
  std::span<const FisherSearch> networks() const { return networks_; }
  /// The present weights, shared with the net, and networks.
  Front front() const;
  void list_state(State& state);

 private:
  MixPrec& net_;
  std::vector<std::optional<Target>> budgets_;  // by network
  std::vector<FisherSearch> networks_;          // the largest first
  std::vector<size_t> smallest_;                // by cost
  std::vector<size_t> active_;                  // in the present step
  size_t shown_;
  Rng draws_;
};

/// Limits on a cost, equidistant in its logarithm, smallest first: from `least` · the cost at the most bits, or the
/// smallest cost within reach if that is larger, to below the cost at the most bits. Throws bad_input if the cost does
/// not depend on the candidates.
std::vector<Target> front_budgets(const Graph& searched, const cost::Model& model, double least, int count);

/// Which losses a network is picked by: those of the front's networks next to the targets, or those of each layer on
/// some images, with all other layers at their most bits (sensitivity_baseline).
enum class PickBy { losses, sensitivity };

/// A network of the front that meets the targets (meet_targets), with the front's parameters and without training.
/// Picking by sensitivity needs judge.loss, which picking by losses ignores.
MetTargets pick(const Front& front, std::span<const Target> targets, const Judge& judge = {},
                PickBy by = PickBy::losses);

}  // namespace mixgrad

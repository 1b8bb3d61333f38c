// SPDX-License-Identifier: Apache-2.0
// One training for all budgets: a search to the smallest budget keeps the networks that it passes, and the weights
// between two of them are trained to serve every network from one to the other.
#pragma once

#include <mixgrad/fisher.h>
#include <mixgrad/search.h>
#include <mixgrad/state.h>

#include <cstdint>
#include <functional>
#include <span>
#include <vector>

namespace mixgrad {

/// Two neighbouring networks of a front, and weights for all that lie between them. All lists are in the order of
/// searched.parameters(Role::alpha).
struct Segment {
  Target budget;                ///< of the smaller network
  Graph searched;               ///< the weights, steps and clips
  std::vector<Tensor> larger;   ///< where the segment begins, as one-hot θ
  std::vector<Tensor> smaller;  ///< where it ends
  std::vector<Tensor> losses;   ///< what each candidate adds to the loss of the larger network (FisherSearch)
};

/// What the training of a front leaves: for each cost, the segments from the largest network to the smallest budget.
struct Front {
  std::vector<Segment> segments;
};

/// A search on `net` whose budget shrinks to the smallest of several, and which keeps the network that it has at each.
class FrontSearch {
 public:
  /// Budgets of one cost, smallest first, in equal ratios (front_budgets). `net` must outlive this object. `loss` as in
  /// FisherSearch.
  FrontSearch(MixPrec& net, const std::vector<Target>& budgets, int64_t batch_size,
              std::function<double(const Graph&)> loss = {});

  /// Makes the choices that are due at `progress`, the share of the search that is done, and keeps the network wherever
  /// it has trained at a budget. Call before each step.
  void advance(double progress);
  /// The same after the last step.
  void finish();

  Thetas thetas() { return search_.thetas(); }
  void observe() { search_.observe(); }
  std::vector<Tensor> losses() const { return search_.losses(); }
  /// The segments between the networks kept, with the weights of the smaller ones, which have trained longer. Requires
  /// finish().
  std::vector<Segment> segments() const;
  void list_state(State& state);

 private:
  struct Kept {
    Graph searched;
    std::vector<Tensor> theta, losses;
  };
  int64_t turns() const;
  void keep_if_due();

  MixPrec& net_;
  std::vector<Target> budgets_;
  FisherSearch search_;
  std::vector<Kept> kept_;  // the largest first; those to come hold any values
  int64_t turn_ = 0;
};

/// Limits on a cost, equidistant in its logarithm, smallest first: from `least` · the cost at the most bits, or the
/// smallest cost within reach if that is larger, to below the cost at the most bits. Throws bad_input if the cost does
/// not depend on the candidates.
std::vector<Target> front_budgets(const Graph& searched, const cost::Model& model, double least, int count);

/// Networks from the larger to the smaller one of a segment, both included, as one-hot θ: where the search has the
/// least losses, in equal ratios of the budget's cost.
std::vector<std::vector<Tensor>> networks_along(const Segment& segment, int count);

/// What a pick loses at each candidate: as measured while the front trained, or the loss of each layer at each
/// candidate on some images, with all other layers at their most bits (sensitivity_baseline).
enum class PickBy { losses, sensitivity };

/// A network of the front that meets the targets, with the front's parameters and without training: of each cost's
/// segments the one around the targets, and there the choices that lose least for what they save. The best of these by
/// judge.quality. Picking by sensitivity needs judge.loss, which picking by losses ignores.
MetTargets pick(const Front& front, std::span<const Target> targets, const Judge& judge = {},
                PickBy by = PickBy::losses);

}  // namespace mixgrad

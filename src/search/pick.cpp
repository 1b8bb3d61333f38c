// SPDX-License-Identifier: Apache-2.0
// A discrete network from a front, without training.
#include "assignment.h"
#include "filling.h"
#include "reach.h"
#include "rivals.h"

#include <mixgrad/front.h>
#include <mixgrad/ops.h>

#include <src/internal/parameters.h>

#include <fmt/core.h>

#include <algorithm>
#include <cmath>
#include <optional>
#include <utility>

namespace mixgrad {
namespace {

/// Sets every α of `searched`, in the order of Graph::parameters.
void set_alphas(const Graph& searched, std::span<const Tensor> values) {
  copy_values(values, tensors_of(searched.parameters(Role::alpha)));
}

Graph with_alphas(Graph searched, std::span<const Tensor> values) {
  set_alphas(searched, values);
  return searched;
}

double cost_at(const Graph& searched, std::span<const Tensor> theta, const cost::Model& model) {
  set_alphas(searched, theta);
  return cost::discrete(discretize(searched), model);
}

bool holds_at(const Graph& searched, std::span<const Tensor> theta, std::span<const Target> targets) {
  return std::ranges::all_of(targets, [&](const Target& t) { return cost_at(searched, theta, t.model) <= t.limit; });
}

/// Sets every α of `searched` to minus the losses of its candidates. Those that neither end of the segment has chosen,
/// which the weights have not trained with, lose more than any other.
void prefer(const Segment& segment, const Graph& searched, const Judge& judge, PickBy by) {
  if (by == PickBy::sensitivity) {
    prefer_by_sensitivity(searched, judge.loss);
  } else {
    std::vector<Tensor> values;
    for (const Tensor& losses : segment.losses) values.push_back(scale(losses, -1));
    set_alphas(searched, values);
  }
  const std::vector<Tensor> alphas = tensors_of(searched.parameters(Role::alpha));
  float least = 0;
  for (const Tensor& alpha : alphas) least = std::min(least, *std::ranges::min_element(alpha.data()));
  for (size_t i = 0; i < alphas.size(); ++i) {
    const std::span<float> alpha = alphas[i].data();
    const std::span<const float> larger = segment.larger[i].data(), smaller = segment.smaller[i].data();
    for (size_t k = 0; k < alpha.size(); ++k) {
      if (larger[k] == 0 && smaller[k] == 0) alpha[k] -= 1 - least;
    }
  }
}

/// The larger network of a segment, lowered where that adds the least loss for what it saves, until it meets the
/// targets.
class Lowered {
 public:
  Lowered(const Segment& segment, std::span<const Target> targets, const Judge& judge, PickBy by)
      : searched_(with_alphas(segment.searched.clone(), segment.larger)),
        a_(searched_),
        before_(a_.chosen()),
        budget_(a_, targets) {
    prefer(segment, searched_, judge, by);
    lower_or_reach(searched_, a_, budget_);
    follow_alpha(a_, budget_);
    fill_up(a_, budget_);
  }

  MetTargets network(const std::string& start, const Judge& judge) {
    Rival found{.start = start, .chosen = a_.chosen()};
    if (judge.quality) found.quality = judge.quality(a_.graph());
    return met(a_, budget_, before_, found);
  }

  /// As one-hot θ.
  std::vector<Tensor> theta() const {
    std::vector<Tensor> out;
    for (const Parameter& p : searched_.parameters(Role::alpha)) {
      const SlotChoice& choice =
          *std::ranges::find_if(a_.choices(), [&](const SlotChoice& c) { return c.alpha.is(p.tensor); });
      out.push_back(Tensor::zeros(p.tensor.shape()));
      for (size_t c = 0; c < choice.columns(); ++c) out.back().data()[choice.chosen[c] * choice.columns() + c] = 1;
    }
    return out;
  }

 private:
  Graph searched_;
  Assignment a_;
  Assignment::Chosen before_;
  Budget budget_;
};

/// Of each cost's segments, the first whose smaller network meets the targets, or else the last.
std::vector<const Segment*> segments_around(const Front& front, std::span<const Target> targets) {
  std::vector<const Segment*> out;
  bool found = false;
  for (const Segment& s : front.segments) {
    if (out.empty() || out.back()->budget.model.name != s.budget.model.name) {
      out.push_back(&s);
      found = false;
    }
    if (found) continue;
    out.back() = &s;
    found = holds_at(s.searched.clone(), s.smaller, targets);
  }
  return out;
}

std::string in_words(const Segment& s) {
  return fmt::format("the front's network above {} {:.6g}", s.budget.model.name, s.budget.limit);
}

}  // namespace

std::vector<std::vector<Tensor>> networks_along(const Segment& segment, int count) {
  const Graph searched = segment.searched.clone();
  const cost::Model& model = segment.budget.model;
  const double most = cost_at(searched, segment.larger, model), least = cost_at(searched, segment.smaller, model);
  std::vector<std::vector<Tensor>> out = {segment.larger};
  for (int i = 1; i < count - 1; ++i) {
    const Target target{.model = model, .limit = most * std::pow(least / most, static_cast<double>(i) / (count - 1))};
    out.push_back(Lowered(segment, {&target, 1}, {}, PickBy::losses).theta());
  }
  out.push_back(segment.smaller);
  return out;
}

MetTargets pick(const Front& front, std::span<const Target> targets, const Judge& judge, PickBy by) {
  std::optional<MetTargets> best;
  for (const Segment* segment : segments_around(front, targets)) {
    MetTargets candidate = Lowered(*segment, targets, judge, by).network(in_words(*segment), judge);
    if (!best || candidate.repair.quality > best->repair.quality) best = std::move(candidate);
  }
  return std::move(*best);
}

}  // namespace mixgrad

// SPDX-License-Identifier: Apache-2.0
// The networks along a front: the budgets, and a search that keeps what it has at each.
#include <mixgrad/error.h>
#include <mixgrad/front.h>

#include <src/internal/parameters.h>

#include <fmt/core.h>

#include <algorithm>
#include <cmath>
#include <iterator>

namespace mixgrad {
namespace {

constexpr int64_t turns_between = 6;  // two budgets

/// Everything that training changes, choices and losses: of the present network, or of one that is kept.
std::vector<Tensor> values_of(const Graph& graph, const std::vector<Tensor>& theta, const std::vector<Tensor>& losses) {
  std::vector<Tensor> out = theta;
  out.insert(out.end(), losses.begin(), losses.end());
  std::ranges::copy(tensors_of(graph.parameters()), std::back_inserter(out));
  return out;
}

}  // namespace

FrontSearch::FrontSearch(MixPrec& net, const std::vector<Target>& budgets, int64_t batch_size,
                         std::function<double(const Graph&)> loss)
    : net_(net), budgets_(budgets), search_(net, {budgets.at(0)}, /*strength=*/0, batch_size, std::move(loss)) {
  for (size_t i = 0; i <= budgets.size(); ++i)
    kept_.push_back({.searched = net.graph().clone(), .theta = search_.one_hot(), .losses = search_.losses()});
}

/// The first turn is for the largest network; each ends with a choice.
int64_t FrontSearch::turns() const { return std::ssize(budgets_) * turns_between + 1; }

void FrontSearch::advance(double progress) {
  const int64_t last = turns() - 1, due = std::min(last, static_cast<int64_t>(progress * static_cast<double>(turns())));
  while (turn_ < due) {
    keep_if_due();
    ++turn_;
    search_.choose(static_cast<double>(turn_) / static_cast<double>(last));
  }
}

void FrontSearch::finish() {
  advance(1);
  keep_if_due();
}

void FrontSearch::keep_if_due() {
  if (turn_ % turns_between != 0) return;
  const Kept& kept = kept_[static_cast<size_t>(turn_ / turns_between)];
  copy_values(values_of(net_.graph(), search_.one_hot(), search_.losses()),
              values_of(kept.searched, kept.theta, kept.losses));
}

std::vector<Segment> FrontSearch::segments() const {
  std::vector<Segment> out;
  for (size_t i = 0; i + 1 < kept_.size(); ++i)
    out.push_back({.budget = budgets_[budgets_.size() - 1 - i],
                   .searched = kept_[i + 1].searched,
                   .larger = kept_[i].theta,
                   .smaller = kept_[i + 1].theta,
                   .losses = kept_[i].losses});
  return out;
}

void FrontSearch::list_state(State& state) {
  search_.list_state(state);
  state.add("front.turn", turn_);
  for (size_t i = 0; i < kept_.size(); ++i)
    state.add(fmt::format("front.{}", i), values_of(kept_[i].searched, kept_[i].theta, kept_[i].losses));
}

std::vector<Target> front_budgets(const Graph& searched, const cost::Model& model, double least, int count) {
  const CostRange range = cost_range(searched, model);
  const double most = range.most, first = std::max(least * most, range.least);
  if (!(first < most))
    bad_input("costs: {} is the same, {:.6g} {}, for all candidates: expected a cost that depends on the bit-widths",
              model.name, most, model.unit);
  std::vector<Target> out;
  for (int i = 0; i < count; ++i)
    out.push_back({.model = model, .limit = first * std::pow(most / first, static_cast<double>(i) / count)});
  return out;
}

}  // namespace mixgrad

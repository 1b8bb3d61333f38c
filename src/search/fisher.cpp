// SPDX-License-Identifier: Apache-2.0
#include "assignment.h"
#include "filling.h"
#include "lower_bits.h"
#include "reach.h"
#include "rivals.h"

#include <mixgrad/fisher.h>
#include <mixgrad/ops.h>

#include <src/internal/parameters.h>

#include <fmt/core.h>

#include <algorithm>
#include <cmath>
#include <numeric>

namespace mixgrad {
namespace {

constexpr double memory = 0.99;             // of the running means, per step: weights and bit-widths change meanwhile
constexpr double sharp_temperature = 0.05;  // so low that softmax(α / τ), which reports show, is the one-hot θ, too

}  // namespace

FisherSearch::FisherSearch(MixPrec& net, std::vector<Target> targets, double strength, int64_t batch_size,
                           std::function<double(const Graph&)> loss)
    : net_(net),
      targets_(std::move(targets)),
      strength_(strength),
      loss_per_square_(static_cast<double>(batch_size) / 2),
      loss_(std::move(loss)) {
  net.set_temperature(sharp_temperature);
  visit_slots(net.graph(), [&](const auto& slot) {
    const auto size = static_cast<size_t>(slot.alpha.size()), columns = size / slot.precisions.size();
    measured_.push_back({.slot = &slot,
                         .bits = slot.precisions,
                         .alpha = slot.alpha,
                         .chosen = std::vector<int64_t>(columns, std::ssize(slot.precisions) - 1),
                         .squares = std::vector<double>(size),
                         .steps = std::vector<double>(columns),
                         .whole = std::vector<double>(slot.precisions.size())});
  });
  set_alphas();
  Assignment a(net.graph());
  largest_ = Budget(a, targets_).costs();
}

FisherSearch::Measured& FisherSearch::of(const SlotChoice& choice) {
  return *std::ranges::find_if(measured_, [&](const Measured& m) { return m.alpha.is(choice.alpha); });
}

void FisherSearch::try_slots() {
  const std::vector<Tensor> tried = sensitivities(net_.graph(), loss_);  // -loss, the same for all columns
  const Assignment a(net_.graph());
  for (size_t i = 0; i < tried.size(); ++i) {
    Measured& m = of(a.choices()[i]);
    const auto at = [&](size_t p) { return static_cast<double>(tried[i].data()[p * m.columns()]); };
    for (size_t p = 0; p <= m.last(); ++p) m.whole[p] = std::max(0.0, at(m.last()) - at(p));
  }
  tried_ = true;
}

Tensor FisherSearch::Measured::one_hot() const {
  Tensor out = Tensor::zeros(alpha.shape());
  for (size_t c = 0; c < columns(); ++c) out.data()[static_cast<size_t>(chosen[c]) * columns() + c] = 1;
  return out;
}

Thetas FisherSearch::thetas() {
  if (loss_ && !tried_) try_slots();
  Thetas out;
  for (Measured& m : measured_) {
    m.theta = m.one_hot().requires_grad(m.bits.size() > 1);  // a single candidate is no choice to measure
    out[m.slot] = m.theta;
  }
  return out;
}

std::vector<Tensor> FisherSearch::one_hot() const {
  std::vector<Tensor> out;
  for (const Measured& m : measured_) out.push_back(m.one_hot());
  return out;
}

void FisherSearch::observe() {
  for (Measured& m : measured_) {
    if (!m.theta.has_grad()) continue;
    const std::span<const float> g = m.theta.grad(), theta = m.theta.data();
    const size_t columns = m.columns();
    for (size_t c = 0; c < columns; ++c) {
      if (m.bits[0] == 0 && theta[c] == 1) continue;  // no gradient reaches a removed channel: its estimates stay
      const double share = std::max(1 - memory, 1 / ++m.steps[c]);
      for (size_t p = 0; p < m.last(); ++p) {
        const double difference = static_cast<double>(g[p * columns + c]) - g[m.last() * columns + c];
        double& mean = m.squares[p * columns + c];
        mean += share * (difference * difference - mean);
      }
    }
  }
}

/// Of removing channels, a trial says nothing, as a layer can't do without all of them: the estimates stay, but
/// removing a channel adds no less than its fewest bits do, which may have been tried.
Tensor FisherSearch::losses(const Measured& m) const {
  Tensor out = Tensor::zeros(m.alpha.shape());
  const std::span<float> losses = out.data();
  const size_t columns = m.columns();
  for (size_t p = m.last(); p-- > 0;) {
    const std::span<const double> squares = std::span(m.squares).subspan(p * columns, columns);
    const bool removes = m.bits[p] == 0;
    double scale = loss_per_square_;
    if (tried_ && !removes) {
      const double sum = std::accumulate(squares.begin(), squares.end(), 0.0);
      scale = sum > 0 ? m.whole[p] / sum : 0;
    }
    for (size_t c = 0; c < columns; ++c) {
      const auto loss = static_cast<float>(scale * squares[c]);
      losses[p * columns + c] = tried_ && removes ? std::max(loss, losses[(p + 1) * columns + c]) : loss;
    }
  }
  return out;
}

std::vector<Tensor> FisherSearch::losses() const {
  std::vector<Tensor> out;
  for (const Measured& m : measured_) out.push_back(losses(m));
  return out;
}

void FisherSearch::set_alphas() const {
  float most = 0;  // of all Δ, so that raising by more makes any candidate the arg max
  for (const Measured& m : measured_) most = std::max(most, *std::ranges::max_element(losses(m).data()));
  for (const Measured& m : measured_) {
    const Tensor added = losses(m), theta = m.one_hot();
    std::ranges::transform(added.data(), theta.data(), m.alpha.data().begin(),
                           [&](float loss, float chosen) { return chosen * (1 + most) - loss; });
  }
}

/// The limits on the way from the largest network to the targets.
std::vector<Target> FisherSearch::limits(double share) const {
  std::vector<Target> out = targets_;
  for (size_t t = 0; share < 1 && t < out.size(); ++t)
    out[t].limit = largest_[t] * std::pow(std::min(1.0, out[t].limit / largest_[t]), share);
  return out;
}

void FisherSearch::fit_unused_steps() const {
  for (const Node& node : net_.graph().nodes) {
    if (!node.weight_scales || node.weight_slot->fixed()) continue;
    const WeightSlot& slot = *node.weight_slot;
    const Measured& m = *std::ranges::find(measured_, static_cast<const void*>(&slot), &Measured::slot);
    const Tensor fitted = candidate_scales(node.weight(), slot.precisions, *slot.quantizer),
                 scales = node.weight_scales;
    const auto channels = static_cast<size_t>(fitted.dim(1));
    for (size_t c = 0; c < channels; ++c) {
      const auto chosen = static_cast<size_t>(m.chosen[m.columns() == 1 ? 0 : c]);
      for (size_t p = 0; p < slot.precisions.size(); ++p) {
        if (p != chosen) scales.data()[p * channels + c] = fitted.data()[p * channels + c];
      }
    }
  }
}

void FisherSearch::choose(double progress) {
  fit_unused_steps();
  const double share = std::min(progress, 1.0);
  Assignment a(net_.graph());
  std::vector<Measured*> of_choice;
  for (size_t i = 0; i < a.choices().size(); ++i) {
    of_choice.push_back(&of(a.choices()[i]));
    a.prefer(i, scale(losses(*of_choice[i]), -1));
  }
  if (targets_.empty()) {
    lower_for(a, net_.regularizer(), strength_ * share);
  } else {
    const std::vector<Target> now = limits(share);
    Budget budget(a, now);
    lower_or_reach(net_.graph(), a, budget);
    raise(a, budget);
  }
  for (size_t i = 0; i < a.choices().size(); ++i)
    std::ranges::copy(a.choices()[i].chosen, of_choice[i]->chosen.begin());
  set_alphas();
}

void FisherSearch::list_state(State& state) {
  for (size_t i = 0; i < measured_.size(); ++i) {
    state.add(fmt::format("fisher.chosen.{}", i), std::span<int64_t>(measured_[i].chosen));
    state.add(fmt::format("fisher.squares.{}", i), std::span<double>(measured_[i].squares));
    state.add(fmt::format("fisher.steps.{}", i), std::span<double>(measured_[i].steps));
    state.add(fmt::format("fisher.whole.{}", i), std::span<double>(measured_[i].whole));
  }
  state.add("fisher.tried", tried_);
}

}  // namespace mixgrad

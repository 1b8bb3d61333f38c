// SPDX-License-Identifier: Apache-2.0
#include "assignment.h"
#include "filling.h"
#include "lower_bits.h"
#include "reach.h"

#include <mixgrad/fisher.h>
#include <mixgrad/ops.h>

#include <fmt/core.h>

#include <algorithm>
#include <cmath>
#include <functional>

namespace mixgrad {
namespace {

constexpr double memory = 0.99;       // of the running means, per step: weights and bit-widths change meanwhile
constexpr double temperature = 0.05;  // so low that softmax(α / τ), which reports show, is the one-hot θ, too

/// Every α of the graph with its slot.
template <typename Visit>
void visit_slots(const Graph& graph, const Visit& visit) {
  for (const Parameter& p : graph.parameters(Role::alpha)) {
    for (const auto& slot : graph.weight_slots()) {
      if (slot->alpha.is(p.tensor)) visit(*slot);
    }
    for (const auto& slot : graph.activation_slots()) {
      if (slot->alpha.is(p.tensor)) visit(*slot);
    }
  }
}

}  // namespace

FisherSearch::FisherSearch(MixPrec& net, std::vector<Target> targets, double strength, int64_t batch_size)
    : net_(net), targets_(std::move(targets)), strength_(strength), batch_size_(static_cast<double>(batch_size)) {
  net.set_temperature(temperature);
  visit_slots(net.graph(), [&](const auto& slot) {
    const auto size = static_cast<size_t>(slot.alpha.size());
    measured_.push_back({.slot = &slot,
                         .bits = slot.precisions,
                         .alpha = slot.alpha,
                         .squares = std::vector<double>(size),
                         .steps = std::vector<double>(size / slot.precisions.size())});
  });
  for (Measured& m : measured_) prefer(m, std::vector<size_t>(m.columns(), m.last()), 1);
  Assignment a(net.graph());
  largest_ = Budget(a, targets_).costs();
}

Thetas FisherSearch::thetas() {
  Thetas out;
  for (Measured& m : measured_) {
    m.theta = quant::one_hot(m.alpha, m.bits).requires_grad();
    out[m.slot] = m.theta;
  }
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

Tensor FisherSearch::losses(const Measured& m) const {
  Tensor out = Tensor::empty(m.alpha.shape());
  std::ranges::transform(m.squares, out.data().begin(),
                         [&](double square) { return static_cast<float>(batch_size_ / 2 * square); });
  return out;
}

std::vector<Tensor> FisherSearch::losses() const {
  std::vector<Tensor> out;
  for (const Measured& m : measured_) out.push_back(losses(m));
  return out;
}

/// α = -Δ, with the chosen candidates raised by `lift`, which is more than any Δ.
void FisherSearch::prefer(Measured& m, const std::vector<size_t>& chosen, float lift) const {
  const Tensor added = losses(m);
  std::ranges::transform(added.data(), m.alpha.data().begin(), std::negate());
  for (size_t c = 0; c < chosen.size(); ++c) m.alpha.data()[chosen[c] * chosen.size() + c] += lift;
}

void FisherSearch::fit_steps() {
  for (const Node& node : net_.graph().nodes) {
    if (!node.weight_scales) continue;
    const WeightSlot& slot = *node.weight_slot;
    const Tensor fitted = candidate_scales(node.weight(), slot.precisions, *slot.quantizer);
    const std::vector<size_t> chosen = quant::arg_max(slot);
    const auto channels = static_cast<size_t>(fitted.dim(1));
    const Tensor scales = node.weight_scales;
    for (size_t p = 0; p < slot.precisions.size(); ++p) {
      for (size_t c = 0; c < channels; ++c) {
        if (chosen[chosen.size() == 1 ? 0 : c] != p) scales.data()[p * channels + c] = fitted.data()[p * channels + c];
      }
    }
  }
}

/// The limits on the way from the largest network to the targets.
std::vector<Target> FisherSearch::limits(double share) const {
  std::vector<Target> out = targets_;
  for (size_t t = 0; share < 1 && t < out.size(); ++t)
    out[t].limit = largest_[t] * std::pow(std::min(1.0, out[t].limit / largest_[t]), share);
  return out;
}

void FisherSearch::choose(double progress) {
  const double share = std::min(progress, 1.0);
  fit_steps();
  Assignment a(net_.graph());
  std::vector<Measured*> of_choice;
  float most = 0;
  for (size_t i = 0; i < a.choices().size(); ++i) {
    const Tensor& alpha = a.choices()[i].alpha;
    of_choice.push_back(&*std::ranges::find_if(measured_, [&](const Measured& m) { return m.alpha.is(alpha); }));
    const Tensor added = losses(*of_choice[i]);
    most = std::max(most, *std::ranges::max_element(added.data()));
    a.prefer(i, scale(added, -1));
  }
  if (targets_.empty()) {
    lower_for(a, net_.regularizer(), strength_ * share);
  } else {
    const std::vector<Target> now = limits(share);
    Budget budget(a, now);
    lower_or_reach(net_.graph(), a, budget);
    raise(a, budget);
  }
  for (size_t i = 0; i < a.choices().size(); ++i) prefer(*of_choice[i], a.choices()[i].chosen, 1 + most);
}

void FisherSearch::list_state(State& state) {
  for (size_t i = 0; i < measured_.size(); ++i) {
    state.add(fmt::format("fisher.squares.{}", i), std::span<double>(measured_[i].squares));
    state.add(fmt::format("fisher.steps.{}", i), std::span<double>(measured_[i].steps));
  }
}

}  // namespace mixgrad

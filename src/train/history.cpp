// SPDX-License-Identifier: Apache-2.0
#include "history.h"

#include <mixgrad/ops.h>
#include <mixgrad/state.h>

#include <fmt/core.h>

#include <algorithm>
#include <functional>

namespace mixgrad::train {
namespace {

void accumulate(std::span<const float> values, std::vector<double>& sums) {
  std::ranges::transform(values, sums, sums.begin(), std::plus<double>());
}

/// The nodes whose slot uses this α, and its candidates.
template <typename Slot>
void add_holders(const Graph& graph, std::shared_ptr<Slot> Node::*slot, const Tensor& alpha, AlphaReport& report) {
  for (const Node& node : graph.nodes) {
    if (!(node.*slot) || !(node.*slot)->alpha.is(alpha)) continue;
    report.nodes.push_back(node.name);
    report.bits = (node.*slot)->precisions;
  }
}

/// Every α as it is, without what is known about it from training or measuring.
std::vector<AlphaReport> present_alphas(const MixPrec& net) {
  std::vector<AlphaReport> out;
  for (const nn::NamedTensor& a : net.alpha_summary()) {
    AlphaReport report{.name = a.name,
                       .nodes = {},
                       .bits = {},
                       .alpha = a.tensor.clone(),
                       .theta = softmax(a.tensor.detach(), static_cast<float>(net.temperature())),
                       .task_gradient = {},
                       .cost_gradient = {}};
    add_holders(net.graph(), &Node::weight_slot, a.tensor, report);
    add_holders(net.graph(), &Node::output_slot, a.tensor, report);
    out.push_back(std::move(report));
  }
  return out;
}

}  // namespace

std::vector<AlphaReport> measured_alphas(const MixPrec& net, const std::vector<Tensor>& losses) {
  std::vector<AlphaReport> out = present_alphas(net);
  for (size_t i = 0; i < out.size(); ++i) out[i].loss = losses[i];
  return out;
}

AlphaHistory::AlphaHistory(const MixPrec& net) : net_(net), alphas_(net.nas_parameters()) {
  for (const Tensor& alpha : alphas_) whole_.emplace_back(static_cast<size_t>(alpha.size()), 0.0);
  cost_ = whole_;
}

void AlphaHistory::add(const StepResult& step) {
  for (size_t i = 0; i < alphas_.size(); ++i) {
    if (alphas_[i].has_grad()) accumulate(alphas_[i].grad(), whole_[i]);
    accumulate(step.regularization_gradients[i].data(), cost_[i]);
  }
  ++steps_;
}

void AlphaHistory::list_state(State& state) {
  for (size_t i = 0; i < alphas_.size(); ++i) {
    state.add(fmt::format("history.whole.{}", i), std::span<double>(whole_[i]));
    state.add(fmt::format("history.cost.{}", i), std::span<double>(cost_[i]));
  }
  state.add("history.steps", steps_);
}

std::vector<AlphaReport> AlphaHistory::report() {
  const auto steps = static_cast<double>(std::max<int64_t>(steps_, 1));
  std::vector<AlphaReport> out;
  for (AlphaReport& report : present_alphas(net_)) {
    const std::vector<double>&whole = whole_[out.size()], &cost = cost_[out.size()];
    report.task_gradient = Tensor::empty(report.alpha.shape());
    report.cost_gradient = Tensor::empty(report.alpha.shape());
    for (size_t k = 0; k < whole.size(); ++k) {
      report.task_gradient.data()[k] = static_cast<float>((whole[k] - cost[k]) / steps);
      report.cost_gradient.data()[k] = static_cast<float>(cost[k] / steps);
    }
    out.push_back(std::move(report));
  }
  for (auto* sums : {&whole_, &cost_}) {
    for (std::vector<double>& sum : *sums) std::ranges::fill(sum, 0.0);
  }
  steps_ = 0;
  return out;
}

}  // namespace mixgrad::train

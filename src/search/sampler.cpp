// SPDX-License-Identifier: Apache-2.0
// How α becomes θ while searching (SPEC §1).
#include <mixgrad/ops.h>
#include <mixgrad/search.h>

#include <algorithm>
#include <cmath>

namespace mixgrad {
namespace {

/// α + G, G standard Gumbel (Jang et al. 2017, arXiv 1611.01144).
Tensor with_noise(const Tensor& alpha, Rng& noise) {
  Tensor g = Tensor::empty(alpha.shape());
  for (float& v : g.data()) v = static_cast<float>(-std::log(-std::log(std::max(noise.uniform(), 1e-300))));
  return add(alpha, g);
}

}  // namespace

Tensor Sampler::theta(const Tensor& alpha, const std::vector<int>& precisions, double temperature) {
  const bool gumbel = options_.kind == SamplerKind::GUMBEL && precisions.size() > 1;
  const Tensor soft = softmax(gumbel ? with_noise(alpha, noise_) : alpha, static_cast<float>(temperature));
  return options_.hard ? straight_through(quant::one_hot(soft, precisions), soft) : soft;
}

Thetas Sampler::operator()(const Graph& graph, double temperature) {
  if (frozen_ && !last_.empty()) return last_;
  Thetas thetas;
  for (const auto& slot : graph.activation_slots()) {
    if (!slot->fixed()) thetas[slot.get()] = theta(slot->alpha, slot->precisions, temperature);
  }
  for (const auto& slot : graph.weight_slots()) {
    if (!slot->fixed()) thetas[slot.get()] = theta(slot->alpha, slot->precisions, temperature);
  }
  last_.clear();
  for (const auto& [slot, theta] : thetas) last_[slot] = theta.detach();
  return frozen_ ? last_ : thetas;
}

}  // namespace mixgrad

// SPDX-License-Identifier: Apache-2.0
// Assignments of bit-widths that a search has to beat, on the same engine and to the same targets.
#include "reach.h"

#include <mixgrad/error.h>

#include <algorithm>
#include <limits>

namespace mixgrad {
namespace {

Graph prepared(const Graph& floating, const MixPrecOptions& options) {
  Graph graph = floating.clone();
  place_quantizers(graph, options);
  calibrate(graph, options);
  return graph;
}

/// Every α, each once.
std::vector<Tensor> alphas_of(const Graph& graph) {
  std::vector<Tensor> out;
  for (const auto& slot : graph.weight_slots()) out.push_back(slot->alpha);
  for (const auto& slot : graph.activation_slots()) out.push_back(slot->alpha);
  return out;
}

/// α [P] at its one-hot of candidate p.
void choose(const Tensor& alpha, int64_t p) {
  for (int64_t i = 0; i < alpha.size(); ++i) alpha.data()[static_cast<size_t>(i)] = i == p ? 1.0F : 0.0F;
}

/// The largest candidate that is not above `bits`, or the smallest.
int nearest(const std::vector<int>& candidates, int bits) {
  int best = *std::ranges::min_element(candidates);
  for (int b : candidates) {
    if (b <= bits) best = std::max(best, b);
  }
  return best;
}

/// Weights at `bits`, activations at the largest candidate that is not above, or the smallest.
MixPrecOptions uniform_options(MixPrecOptions options, int bits) {
  options.weight_precisions = {bits};
  options.activation_precisions = {
      nearest(quant::checked_precisions("activation precisions", options.activation_precisions, 2), bits)};
  return options;
}

Graph uniform_graph(const Graph& floating, const MixPrecOptions& options, int bits) {
  Graph graph = floating;
  place_quantizers(graph, uniform_options(options, bits));
  return graph;
}

/// The most bits at which a uniform network meets all targets. One of which a target has no cost is passed over.
int uniform_bits(const Graph& floating, const MixPrecOptions& options, std::span<const Target> targets) {
  constexpr double none = std::numeric_limits<double>::infinity();
  std::vector<double> least(targets.size(), none);
  std::vector<int> cheapest(targets.size(), 8);  // bits of the network that costs least
  for (int bits = 8; bits >= 2; --bits) {
    const Graph graph = uniform_graph(floating, options, bits);
    bool met = true;
    for (size_t t = 0; t < targets.size(); ++t) {
      const double cost = cost::if_defined([&] { return cost::discrete(graph, targets[t].model); }).value_or(none);
      met = met && cost <= targets[t].limit;
      if (cost < least[t]) least[t] = cost, cheapest[t] = bits;
    }
    if (met) return bits;
  }
  for (size_t t = 0; t < targets.size(); ++t) {
    if (least[t] <= targets[t].limit) continue;
    refuse_target(targets[t], floating, uniform_graph(floating, options, cheapest[t]), " at one bit-width");
  }
  bad_input("target: uniform networks of 2 to 8 bits can meet each target, but none meets all at once");
}

}  // namespace

void check_uniform(const Graph& floating, const MixPrecOptions& options, std::span<const Target> targets) {
  uniform_bits(floating, options, targets);
}

Graph uniform_baseline(const Graph& floating, const MixPrecOptions& options, std::span<const Target> targets) {
  return exported(discretize(prepared(floating, uniform_options(options, uniform_bits(floating, options, targets)))));
}

Graph sensitivity_baseline(const Graph& floating, MixPrecOptions options, std::span<const Target> targets,
                           const std::function<double(const Graph&)>& loss) {
  options.w_mixprec_type = MixPrecType::PER_LAYER;
  const Graph graph = prepared(floating, options);
  check_reachable(graph, targets);
  const std::vector<Tensor> alphas = alphas_of(graph);
  for (const Tensor& alpha : alphas) choose(alpha, alpha.size() - 1);
  std::vector<std::vector<float>> preferences;
  for (const Tensor& alpha : alphas) {
    std::vector<float>& preference = preferences.emplace_back();
    for (int64_t p = 0; p < alpha.size(); ++p) {
      choose(alpha, p);
      preference.push_back(static_cast<float>(-loss(discretize(graph))));
    }
  }
  for (size_t i = 0; i < alphas.size(); ++i) std::ranges::copy(preferences[i], alphas[i].data().begin());
  return exported(meet_targets(graph, targets));
}

Graph random_baseline(const Graph& floating, const MixPrecOptions& options, std::span<const Target> targets, uint64_t seed) {
  const Graph graph = prepared(floating, options);
  check_reachable(graph, targets);
  Rng rng(seed, "random-assignment");
  for (const Tensor& alpha : alphas_of(graph)) {
    for (float& a : alpha.data()) a = static_cast<float>(rng.uniform());
  }
  return exported(meet_targets(graph, targets));
}

}  // namespace mixgrad

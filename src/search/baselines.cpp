// SPDX-License-Identifier: Apache-2.0
// Assignments of bit-widths that a search has to beat, on the same engine and to the same targets.
#include "reach.h"
#include "rivals.h"

#include <mixgrad/error.h>

#include <algorithm>

namespace mixgrad {
namespace {

Graph prepared(const Graph& floating, const MixPrecOptions& options) {
  Graph graph = floating.clone();
  place_quantizers(graph, options);
  calibrate(graph, options);
  return graph;
}

void randomize(const Tensor& alpha, Rng& rng) {
  for (float& a : alpha.data()) a = static_cast<float>(rng.uniform());
}

/// Says of the first target that no uniform network meets what they cost at least.
[[noreturn]] void refuse_uniform(Assignment& a, std::span<const Target> targets) {
  for (const Target& t : targets) {
    std::optional<double> least;
    std::optional<Graph> cheapest;
    for (const Uniform& u : uniform_networks(a)) {
      a.restore(u.chosen);
      const auto cost = cost::if_defined([&] { return cost::discrete(a.graph(), t.model); });
      if (cost && (!least || *cost < *least)) least = cost, cheapest = a.graph().clone();
    }
    if (!least) bad_input("target: {} has no cost of a uniform network of these candidates", t.model.name);
    if (*least > t.limit) refuse_target(t, a.graph(), *cheapest, " at one bit-width");
  }
  bad_input("target: uniform networks of these candidates can meet each target, but none meets all at once");
}

/// The best uniform network within the targets and its graph, or the refusal.
MetTargets best_uniform(const Graph& searched, std::span<const Target> targets,
                        const std::function<double(const Graph&)>& quality) {
  Assignment a(searched);
  Budget budget(a, targets);
  const std::vector<Uniform> uniform = largest_uniform(a, budget);
  if (uniform.empty()) refuse_uniform(a, targets);
  const Uniform* best = &uniform.back();  // the most weight bits
  std::optional<double> most;
  for (const Uniform& u : uniform) {
    if (!quality) break;
    a.restore(u.chosen);
    const double value = quality(a.graph());
    if (!most || value >= *most) best = &u, most = value;
  }
  a.restore(best->chosen);
  return {.network = a.graph(), .repair = {.start = in_words(*best), .quality = most}};
}

}  // namespace

void check_uniform(const Graph& floating, const MixPrecOptions& options, std::span<const Target> targets) {
  best_uniform(prepared(floating, options), targets, {});
}

MetTargets uniform_baseline(const Graph& floating, const MixPrecOptions& options, std::span<const Target> targets,
                            const std::function<double(const Graph&)>& quality) {
  return exported(best_uniform(prepared(floating, options), targets, quality));
}

MetTargets sensitivity_baseline(const Graph& floating, MixPrecOptions options, std::span<const Target> targets,
                                const std::function<double(const Graph&)>& loss) {
  options.w_mixprec_type = MixPrecType::PER_LAYER;
  const Graph graph = prepared(floating, options);
  check_reachable(graph, targets);
  prefer_by_sensitivity(graph, loss);
  return exported(meet_targets(graph, targets));
}

MetTargets random_baseline(const Graph& floating, const MixPrecOptions& options, std::span<const Target> targets,
                           uint64_t seed) {
  const Graph graph = prepared(floating, options);
  check_reachable(graph, targets);
  Rng rng(seed, "random-assignment");
  for (const auto& slot : graph.weight_slots()) randomize(slot->alpha, rng);
  for (const auto& slot : graph.activation_slots()) randomize(slot->alpha, rng);
  return exported(meet_targets(graph, targets));
}

}  // namespace mixgrad

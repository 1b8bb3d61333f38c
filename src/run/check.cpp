// SPDX-License-Identifier: Apache-2.0
// Checks before training whether network and data allow what a run's settings ask for.
#include "check.h"
#include "float_network.h"

#include <mixgrad/deploy.h>
#include <mixgrad/error.h>
#include <mixgrad/front.h>
#include <mixgrad/search.h>

namespace mixgrad {

double default_strength(const Graph& floating, const cost::Model& regularizer) {
  constexpr double pull = 0.6;  // strength · cost of the uniform 8-bit network
  const auto uniform = cost::if_defined([&] { return cost::uniform(floating, regularizer, 8); });
  if (!uniform)
    bad_input("strength: {} has no cost for the uniform 8-bit network, so there is no default: set --strength",
              regularizer.name);
  return pull / *uniform;
}

namespace {

/// Where the search would begin, but with random weights and default clips.
Graph placed(Graph floating, const MixPrecOptions& options) {
  place_quantizers(floating, options);
  calibrate(floating, options);
  return floating;
}

}  // namespace

std::string check_wishes(const RunConfig& config, const data::Splits& splits) {
  Graph graph = float_graph(config, *make_model(config, splits.train).net, splits);
  const std::vector<Target> targets = parse_targets(config.target, graph);
  MixPrecOptions options = mix_prec_options(config, targets);
  if (config.method == Method::uniform) check_uniform(graph, options, targets);
  if (config.method == Method::sensitivity && config.from_front.empty())
    options.w_mixprec_type = MixPrecType::PER_LAYER;
  graph = placed(std::move(graph), options);
  std::string obstacle = integer_obstacle(graph);
  if (config.method == Method::uniform) return obstacle;  // candidates without a cost are skipped
  const Thetas thetas = graph.softmax_thetas();
  for (const Target& t : targets) cost::soft(graph, t.model, thetas);  // throws if a candidate has no cost
  if (targets.empty()) {
    const cost::Model regularizer = model_to_lower(config, targets);
    cost::soft(graph, regularizer, thetas);
    if (!config.strength) default_strength(graph, regularizer);  // throws if there is no default
  }
  check_reachable(graph, targets);
  return obstacle;
}

std::string check_front(const RunConfig& config, const data::Splits& splits) {
  const Graph graph =
      placed(float_graph(config, *make_model(config, splits.train).net, splits), mix_prec_options(config));
  const Thetas thetas = graph.softmax_thetas();
  for (const std::string& name : config.costs) {
    cost::soft(graph, cost::find(name), thetas);  // throws if a candidate has no cost
    budgets_of_front(config, graph, name);
  }
  return integer_obstacle(graph);
}

std::vector<Target> budgets_of_front(const RunConfig& config, const Graph& searched, const std::string& cost) {
  return front_budgets(searched, cost::find(cost), config.least_cost, segments_of_front);
}

void check_possible(std::span<const RunConfig> runs) {
  const data::Splits splits = load_data(runs[0]);
  for (const RunConfig& run : runs) check_wishes(run, splits);
}

}  // namespace mixgrad

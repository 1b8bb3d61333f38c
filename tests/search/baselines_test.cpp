// SPDX-License-Identifier: Apache-2.0
#include "../networks.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <set>

using namespace mixgrad;

namespace {

const MixPrecOptions candidates{
    .activation_precisions = {8}, .weight_precisions = {2, 4, 8}, .w_mixprec_type = MixPrecType::PER_CHANNEL};

struct Floating {
  Graph graph = simplified(*test::random_resnet8(3), {3, 32, 32});
  std::vector<Target> targets(const std::string& text) const { return parse_targets(text, graph); }
  double size(const Graph& g) const { return cost::discrete(g, cost::size()); }
};

const WeightSlot& weights_of(const Graph& graph, const std::string& name) {
  return *std::ranges::find(graph.nodes, name, &Node::name)->weight_slot;
}

}  // namespace

TEST_CASE("baselines: uniform takes the most bits of the candidates that fit, and says so when none does") {
  const Floating net;
  MixPrecOptions many = candidates;
  many.weight_precisions = {0, 2, 3, 4, 7, 8};
  for (const auto& [target, bits] :
       {std::pair{"size=100%", 8}, {"size=99%", 7}, {"size=80%", 4}, {"size=40%", 3}, {"size=25%", 2}}) {
    CAPTURE(std::string(target));
    const Graph found = uniform_baseline(net.graph, many, net.targets(target)).network;
    for (const auto& slot : found.weight_slots()) CHECK(std::ranges::count(slot->bits, bits) == std::ssize(slot->bits));
  }
  CHECK_THROWS_AS(uniform_baseline(net.graph, many, net.targets("size=24%")), Error);
  // No cost of 7 and 3 bits on MPIC: these are passed over.
  const MetTargets found = uniform_baseline(net.graph, many, net.targets("mpic-latency=99%"));
  CHECK(weights_of(found.network, "conv").bits[0] == 4);
  CHECK(found.repair.start == "uniform 4-bit weights, 8-bit activations");
}

TEST_CASE("baselines: uniform chooses weights and activations apart, by quality") {
  const Floating net;
  MixPrecOptions both = candidates;
  both.activation_precisions = {2, 4, 8};
  const auto targets = net.targets("macs=30%");  // 2 and 8 bits, 4 and 4, 8 and 2; the input has 8
  const auto activation_bits = [](const Graph& g) {
    return std::ranges::find(g.nodes, "stack2.conv1", &Node::name)->output_slot->precisions[0];
  };
  for (const int wanted : {2, 4, 8}) {
    const auto quality = [&](const Graph& g) { return activation_bits(g) == wanted ? 1.0 : 0.5; };
    const MetTargets found = uniform_baseline(net.graph, both, targets, quality);
    CHECK(activation_bits(found.network) == wanted);
    CHECK(found.repair.quality == 1.0);
    CHECK(cost::discrete(found.network, cost::macs()) <= targets[0].limit);
  }
}

TEST_CASE("baselines: sensitivity keeps the bits of the layer that the loss hangs on") {
  const Floating net;
  const auto loss = [](const Graph& g) { return 8.0 - weights_of(g, "stack3.conv2").bits[0]; };
  const Graph found = sensitivity_baseline(net.graph, candidates, net.targets("size=65%"), loss).network;
  CHECK(weights_of(found, "stack3.conv2").bits[0] == 8);
  CHECK(net.size(found) <= 0.65 * cost::uniform(net.graph, cost::size(), 8));
  for (const auto& slot : found.weight_slots()) CHECK(std::set(slot->bits.begin(), slot->bits.end()).size() == 1);
}

TEST_CASE("baselines: random assignments meet the target and follow the seed; pruned channels are gone") {
  const Floating net;
  MixPrecOptions pruning = candidates;
  pruning.weight_precisions = {0, 2, 4, 8};
  const auto found = [&](uint64_t seed) {
    return random_baseline(net.graph, pruning, net.targets("size=30%"), seed).network;
  };
  const Graph a = found(0), b = found(0), c = found(1);
  CHECK(net.size(a) <= 0.3 * cost::uniform(net.graph, cost::size(), 8));
  CHECK(net.size(a) == net.size(b));
  CHECK(weights_of(a, "stack3.conv1").bits == weights_of(b, "stack3.conv1").bits);
  CHECK(weights_of(a, "stack3.conv1").bits != weights_of(c, "stack3.conv1").bits);
  CHECK(weights_of(a, "stack3.conv1").bits.size() < 64);
  CHECK(cost::discrete(a, cost::params()) < cost::discrete(net.graph, cost::params()));
}

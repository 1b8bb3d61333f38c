// SPDX-License-Identifier: Apache-2.0
#include <src/internal/channels.h>

#include <algorithm>

namespace mixgrad {

DisjointSets nodes_that_share_channels(const Graph& graph) {
  DisjointSets sets(graph.nodes.size());
  for (int i = 1; i < std::ssize(graph.nodes); ++i) {
    const Node& node = graph.nodes[static_cast<size_t>(i)];
    if (node.channels() != op::Channels::tied && node.channels() != op::Channels::depthwise) continue;
    for (const int input : node.inputs) sets.unite(graph.quantized_by(input), i);
  }
  return sets;
}

std::vector<int64_t> live_channels(const Graph& graph) {
  std::vector<int64_t> live(graph.nodes.size());
  const auto own = [](const Node& node) {
    return node.shape[0] - (node.weight_slot ? std::ranges::count(node.weight_slot->bits, 0) : 0);
  };
  const auto flattened = [](int64_t channels, int64_t positions) { return channels * positions; };
  for (int i = 0; i < std::ssize(live); ++i)
    live[static_cast<size_t>(i)] = channel_fact(graph, i, live, own, flattened);
  return live;
}

}  // namespace mixgrad

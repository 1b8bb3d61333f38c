// SPDX-License-Identifier: Apache-2.0
#include <src/internal/channels.h>

#include <algorithm>

namespace mixgrad {

DisjointSets nodes_that_share_channels(const Graph& graph) {
  DisjointSets sets(graph.nodes.size());
  for (int i = 1; i < std::ssize(graph.nodes); ++i) {
    const Node& node = graph.nodes[static_cast<size_t>(i)];
    const op::Channels rule = node.channels();
    if (rule != op::Channels::tied && rule != op::Channels::depthwise && rule != op::Channels::passed) continue;
    for (const int input : node.inputs) sets.unite(graph.quantized_by(input), i);
  }
  return sets;
}

const WeightSlot* slot_of_channels(const Graph& graph, int i) {
  const Node& node = graph.nodes[static_cast<size_t>(i)];
  switch (node.channels()) {
    case op::Channels::passed:
    case op::Channels::tied:
      return slot_of_channels(graph, node.inputs[0]);
    case op::Channels::flattened:
      return graph.nodes[static_cast<size_t>(node.inputs[0])].shape[0] == node.shape[0]
                 ? slot_of_channels(graph, node.inputs[0])
                 : nullptr;
    case op::Channels::made:
    case op::Channels::grouped:
    case op::Channels::depthwise:
      return node.weight_slot.get();
  }
  return nullptr;
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

// SPDX-License-Identifier: Apache-2.0
#include <kernels/function.h>
#include <src/internal/channels.h>

#include <algorithm>

namespace mixgrad {

DisjointSets nodes_that_share_channels(const Graph& graph) {
  DisjointSets sets(graph.nodes.size());
  for (int i = 1; i < std::ssize(graph.nodes); ++i) {
    const Node& node = graph.nodes[static_cast<size_t>(i)];
    if (node.channels() == op::Channels::made || node.channels() == op::Channels::grouped) continue;
    for (const int input : node.inputs) sets.unite(input, i);
  }
  return sets;
}

std::vector<bool> removed_are_zero(const Graph& graph) {
  std::vector<bool> zero(graph.nodes.size(), true);
  for (size_t i = 1; i < zero.size(); ++i) {
    const Node& node = graph.nodes[i];
    if (node.is_layer()) continue;
    const auto is_zero = [&](int n) { return zero[static_cast<size_t>(n)]; };
    zero[i] =
        node.as<op::Mul>() ? std::ranges::any_of(node.inputs, is_zero) : std::ranges::all_of(node.inputs, is_zero);
    if (node.as<op::BatchNorm>()) zero[i] = false;
    if (const auto* f = node.as<op::Function>()) zero[i] = zero[i] && kernels::function(f->attrs, 0) == 0;
  }
  return zero;
}

std::vector<int> readers_of_constants(const Graph& graph) {
  const std::vector<bool> zero = removed_are_zero(graph);
  std::vector<int> out;
  for (int i = 1; i < std::ssize(graph.nodes); ++i) {
    const Node& node = graph.nodes[static_cast<size_t>(i)];
    if (node.channels() == op::Channels::made && !zero[static_cast<size_t>(node.inputs[0])]) out.push_back(i);
  }
  return out;
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

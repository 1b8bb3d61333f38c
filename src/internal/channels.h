// SPDX-License-Identifier: Apache-2.0
// How properties of channels propagate through a graph: which are live, how many, and which are pruned together.
#pragma once

#include <mixgrad/graph.h>

#include <src/internal/disjoint_sets.h>

#include <vector>

namespace mixgrad {

/// A fact about the output channels of node `i`, derived from those of earlier nodes. `made(node)` is the fact of a
/// node that makes new channels, `flattened(fact, positions)` that of a flatten with `positions` features per channel.
template <typename T, typename Made, typename Flattened>
T channel_fact(const Graph& graph, int i, const std::vector<T>& earlier, const Made& made, const Flattened& flattened) {
  const Node& node = graph.nodes[static_cast<size_t>(i)];
  const op::Channels channels = node.channels();
  if (channels == op::Channels::tied || channels == op::Channels::passed || channels == op::Channels::flattened) {
    const auto from = static_cast<size_t>(node.inputs[0]);
    const Shape& shape = graph.nodes[from].shape;
    return channels == op::Channels::flattened ? flattened(earlier[from], shape.size() / shape[0]) : earlier[from];
  }
  return made(node);
}

/// Whether each output channel reads only some of the input's channels.
inline bool in_groups(const Node& node) {
  const op::Channels rule = node.channels();
  return rule == op::Channels::grouped || rule == op::Channels::depthwise || rule == op::Channels::passed;
}

/// Sets of nodes that lose the same channels: a node whose channels are tied or passed and its inputs, a depthwise conv
/// and its producer.
DisjointSets nodes_that_share_channels(const Graph& graph);

/// The slot whose 0 bits remove channels of node i: its own or, if it passes channels on, that of the layer that makes
/// them. Null: none, or they were flattened on the way, and then none is removed.
const WeightSlot* slot_of_channels(const Graph& graph, int i);

/// The number of output channels of every node once fixed slots have lost those at 0 bits.
std::vector<int64_t> live_channels(const Graph& graph);

}  // namespace mixgrad

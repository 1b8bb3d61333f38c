// SPDX-License-Identifier: Apache-2.0
// How properties of channels propagate through a graph: which are live, how many, and which are pruned together.
#pragma once

#include <mixgrad/graph.h>

#include <src/internal/disjoint_sets.h>

#include <functional>
#include <vector>

namespace mixgrad {

using Origins = std::vector<std::vector<ChannelOrigin>>;

/// Whether it is a layer whose channels are those that its input keeps.
inline bool passes_channels(const Node& node) { return node.is_layer() && node.channels() == op::Channels::passed; }

/// Whether a node's channels are its own, and not those of its inputs.
bool makes_channels(const Node& node);

/// Which channel of which input each output channel of a node is, if it passes on or moves its inputs' channels.
op::ChannelSources sources_of(const Graph& graph, const Node& node);

/// Nodes whose channels are lost together: those that meet in an Add, a depthwise conv and what it reads.
struct ChannelGroups {
  DisjointSets nodes;         ///< only those that make channels
  std::vector<bool> aligned;  ///< by representative: channel c of each goes with channel c of all others
};
ChannelGroups channel_groups(const Graph& graph, const Origins& origins);

/// Nodes whose outputs must share one quantizer, because they meet in an Add or a Concat.
DisjointSets quantizer_groups(const Graph& graph);

/// For each node, whether its removed channels are all zero, so that what reads them needs no other bias. A function
/// such as the sigmoid makes a constant of them, which a Mul with zeros or a depthwise conv ends.
std::vector<bool> removed_are_zero(const Graph& graph);
/// The nodes that would read constants in the place of removed channels.
std::vector<int> readers_of_constants(const Graph& graph);

/// The number of output channels of node i, or of every node, once fixed slots have lost those at 0 bits.
int64_t live_channels(const Graph& graph, const Origins& origins, size_t i);
std::vector<int64_t> live_channels(const Graph& graph, const Origins& origins);

/// Whether a fixed slot leaves the channel. An unfixed one leaves all.
bool is_live(const Graph& graph, const ChannelOrigin& channel);

/// The share of 0 bits and that of all others, [2, channels], of channels from any layers. `of_slot` returns a slot's,
/// or null if it prunes none. Null if all channels are kept.
Tensor pruned_and_kept(const Graph& graph, const std::vector<ChannelOrigin>& channels,
                       const std::function<Tensor(const WeightSlot*)>& of_slot);

}  // namespace mixgrad

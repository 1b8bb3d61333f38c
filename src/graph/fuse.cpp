// SPDX-License-Identifier: Apache-2.0
// Fuses ReLUs into the nodes that produce their inputs (SPEC §5).
#include <mixgrad/graph.h>

#include <src/internal/channels.h>

#include <algorithm>
#include <set>

namespace mixgrad {
namespace {

op::ReluBehind relu_behind(const Node& node) {
  return std::visit([](const auto& o) { return o.relu_behind; }, node.op);
}

/// Adds the nodes that a ReLU on node `i` can be fused into to `targets`: itself, or those whose values it picks or
/// copies. False if there is one that it can't, or another reader of a value in between.
bool find_targets(const Graph& graph, int i, std::set<int>& targets) {
  const Node& node = graph.nodes[static_cast<size_t>(i)];
  if (graph.consumers(i).size() != 1 || graph.output == i) return false;
  switch (relu_behind(node)) {
    case op::ReluBehind::joins:
      targets.insert(i);
      return true;
    case op::ReluBehind::passes: {
      const std::set<int> inputs(node.inputs.begin(), node.inputs.end());
      return std::ranges::all_of(inputs, [&](int n) { return find_targets(graph, n, targets); });
    }
    case op::ReluBehind::stays:
      return false;
  }
  return false;
}

/// The nodes that a ReLU on node `i` is fused into; none if it stays a node.
std::set<int> relu_targets(const Graph& graph, int i) {
  std::set<int> targets;
  return find_targets(graph, i, targets) ? targets : std::set<int>();
}

/// For each node, whether its quantizer can have a clip of 6. The inputs of an Add or a Concat share a quantizer, so
/// all of them must get a ReLU6: otherwise the clip would follow the larger values, and the ReLU6 would have no effect.
std::vector<bool> clipped_at_6(const Graph& graph) {
  const auto is_relu6 = [](const Node& n) {
    return n.as<op::Activate>() && n.as<op::Activate>()->function == Activation::relu6;
  };
  const DisjointSets quantizers = quantizer_groups(graph);
  std::vector<bool> has_relu6(graph.nodes.size(), false), out(graph.nodes.size(), true);
  for (size_t i = 0; i < graph.nodes.size(); ++i) {
    const Node& node = graph.nodes[i];
    if (node.activation == Activation::relu6) has_relu6[i] = true;
    if (is_relu6(node)) {
      for (const int target : relu_targets(graph, node.inputs[0])) has_relu6[static_cast<size_t>(target)] = true;
    }
  }
  for (size_t i = 0; i < out.size(); ++i) {
    for (size_t k = 0; k < out.size(); ++k)
      out[i] = out[i] && (quantizers.find(k) != quantizers.find(i) || has_relu6[k]);
  }
  return out;
}

}  // namespace

void fuse_relu(Graph& graph) {
  const std::vector<bool> clipped = clipped_at_6(graph);
  for (int i = 1; i < std::ssize(graph.nodes); ++i) {
    const Node& node = graph.nodes[static_cast<size_t>(i)];
    const auto* activate = node.as<op::Activate>();
    if (activate == nullptr) continue;
    const int producer = node.inputs[0];
    const std::set<int> targets = relu_targets(graph, producer);
    if (targets.empty()) continue;
    const bool is_bound = activate->function == Activation::relu6;
    const bool bound_joins =
        is_bound && std::ranges::all_of(targets, [&](int target) { return clipped[static_cast<size_t>(target)]; });
    for (const int target : targets) {
      Node& joined = graph.nodes[static_cast<size_t>(target)];
      if (joined.activation == Activation::none) joined.activation = Activation::relu;
      if (bound_joins) joined.activation = Activation::relu6;
    }
    if (is_bound && !bound_joins) continue;  // keep the node for its upper bound
    redirect(graph, i, producer);
  }
  drop_unused(graph);
}

}  // namespace mixgrad

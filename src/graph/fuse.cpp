// SPDX-License-Identifier: Apache-2.0
// Fuses ReLUs into the nodes that produce their inputs (SPEC §5).
#include <mixgrad/graph.h>

#include <src/internal/disjoint_sets.h>

namespace mixgrad {
namespace {

op::ReluBehind relu_behind(const Node& node) {
  return std::visit([](const auto& o) { return o.relu_behind; }, node.op);
}

/// The node that a ReLU on node `i` can be fused into, if nothing else reads the nodes in between; -1: none.
/// Max pooling and flatten pick values, so it can go before them; a ReLU commutes with another.
int relu_target(const Graph& graph, int i) {
  const Node& node = graph.nodes[static_cast<size_t>(i)];
  if (graph.consumers(i).size() != 1 || graph.output == i) return -1;
  switch (relu_behind(node)) {
    case op::ReluBehind::joins:
      return i;
    case op::ReluBehind::passes:
      return relu_target(graph, node.inputs[0]);
    case op::ReluBehind::stays:
      return -1;
  }
  return -1;
}

/// For each node, whether its quantizer can have a clip of 6. The operands of an Add share a quantizer, so all of them
/// must get a ReLU6: otherwise the clip would follow the larger values, and the ReLU6 would have no effect.
std::vector<bool> clipped_at_6(const Graph& graph) {
  const auto is_relu6 = [](const Node& n) {
    return n.as<op::Activate>() && n.as<op::Activate>()->function == Activation::relu6;
  };
  DisjointSets quantizers(graph.nodes.size());
  std::vector<bool> has_relu6(graph.nodes.size(), false), out(graph.nodes.size(), true);
  for (size_t i = 0; i < graph.nodes.size(); ++i) {
    const Node& node = graph.nodes[i];
    if (node.activation == Activation::relu6) has_relu6[i] = true;
    const int target = is_relu6(node) ? relu_target(graph, node.inputs[0]) : -1;
    if (target >= 0) has_relu6[static_cast<size_t>(target)] = true;
    if (node.quantizer() != op::Quantizer::joint) continue;
    for (const int n : node.inputs) quantizers.unite(graph.quantized_by(n), graph.quantized_by(node.inputs[0]));
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
    const int producer = node.inputs[0], target = relu_target(graph, producer);
    if (target < 0) continue;
    Node& joined = graph.nodes[static_cast<size_t>(target)];
    const bool bound_joins = activate->function == Activation::relu6 && clipped[static_cast<size_t>(target)];
    if (joined.activation == Activation::none) joined.activation = Activation::relu;
    if (bound_joins) joined.activation = Activation::relu6;
    if (activate->function == Activation::relu6 && !bound_joins) continue;  // keep the node for its upper bound
    redirect(graph, i, producer);
  }
  drop_unused(graph);
}

}  // namespace mixgrad

// SPDX-License-Identifier: Apache-2.0
// ReLUs join the nodes that make what they read (SPEC §5).
#include <mixgrad/graph.h>

#include <algorithm>
#include <numeric>

namespace mixgrad {
namespace {

bool is_relu(const Node& node) { return node.op == "relu" || node.op == "relu6"; }

/// The node whose own value a ReLU on node `i` may be moved to, if nobody else reads what lies between; -1: none.
/// Max pooling and flatten pick values, so it can go before them; a ReLU commutes with another.
int relu_target(const Graph& graph, int i) {
  const Node& node = graph.nodes[static_cast<size_t>(i)];
  if (graph.consumers(i).size() != 1 || graph.output == i) return -1;
  if (node.is_layer() || node.op == "add") return i;
  const bool passes = node.op == "max_pool2d" || node.op == "flatten" || is_relu(node);
  return passes ? relu_target(graph, node.inputs[0]) : -1;
}

/// By node: whether its quantizer, which nodes that meet in an Add share, can have a clip of 6: a ReLU6 is to join
/// every one of them. Otherwise that clip would follow the larger values, and the ReLU6 be lost.
std::vector<bool> clipped_at_6(const Graph& graph) {
  std::vector<size_t> group(graph.nodes.size());  // nodes of one number share a quantizer
  std::iota(group.begin(), group.end(), size_t{0});
  std::vector<bool> has_relu6(graph.nodes.size(), false), out(graph.nodes.size(), true);
  for (size_t i = 0; i < graph.nodes.size(); ++i) {
    const Node& node = graph.nodes[i];
    if (node.relu6) has_relu6[i] = true;
    const int target = node.op == "relu6" ? relu_target(graph, node.inputs[0]) : -1;
    if (target >= 0) has_relu6[static_cast<size_t>(target)] = true;
    if (node.op != "add") continue;
    const auto a = static_cast<size_t>(graph.quantized_by(node.inputs[0]));
    const auto b = static_cast<size_t>(graph.quantized_by(node.inputs[1]));
    std::ranges::replace(group, size_t{group[b]}, size_t{group[a]});
  }
  for (size_t i = 0; i < group.size(); ++i) {
    for (size_t k = 0; k < group.size(); ++k) out[i] = out[i] && (group[k] != group[i] || has_relu6[k]);
  }
  return out;
}

}  // namespace

void fuse_relu(Graph& graph) {
  const std::vector<bool> clipped = clipped_at_6(graph);
  for (int i = 1; i < std::ssize(graph.nodes); ++i) {
    const Node& node = graph.nodes[static_cast<size_t>(i)];
    if (!is_relu(node)) continue;
    const int producer = node.inputs[0], target = relu_target(graph, producer);
    if (target < 0) continue;
    Node& joined = graph.nodes[static_cast<size_t>(target)];
    joined.relu = true;
    if (node.op == "relu6" && !clipped[static_cast<size_t>(target)]) continue;  // the upper bound stays where it is
    joined.relu6 = joined.relu6 || node.op == "relu6";
    redirect(graph, i, producer);
  }
  drop_unused(graph);
}

}  // namespace mixgrad

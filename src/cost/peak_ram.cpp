// SPDX-License-Identifier: Apache-2.0
#include <mixgrad/cost.h>
#include <mixgrad/ops.h>

#include <algorithm>

namespace mixgrad::cost {
namespace {

/// The node in whose memory the value of node `i` lies: flatten and a ReLU of its own change no place.
int storage(const Graph& graph, int i) {
  const Node& node = graph.nodes[static_cast<size_t>(i)];
  return node.op == "flatten" || node.op == "relu" || node.op == "relu6" ? storage(graph, node.inputs[0]) : i;
}

Tensor bytes(const Activation& a) {
  return product(a.precisions.expected_bits(), a.live_channels, static_cast<double>(a.positions) / 8);
}

/// The largest sum over the nodes, in execution order, of the tensors that are alive while the node runs: its inputs, its
/// output, and whatever is still to be read.
Tensor peak(const Network& network) {
  const Graph& graph = network.graph;
  const int count = static_cast<int>(graph.nodes.size());
  std::vector<int> last_use(graph.nodes.size());
  for (int i = 0; i < count; ++i) {
    last_use[static_cast<size_t>(i)] = std::max(last_use[static_cast<size_t>(i)], i);
    for (int input : graph.nodes[static_cast<size_t>(i)].inputs) last_use[static_cast<size_t>(storage(graph, input))] = i;
  }
  last_use[static_cast<size_t>(storage(graph, graph.output))] = count;
  Tensor largest = Tensor::scalar(0);
  for (int now = 0; now < count; ++now) {
    std::vector<Tensor> alive;
    for (int i = 0; i <= now; ++i) {
      if (storage(graph, i) == i && last_use[static_cast<size_t>(i)] >= now) alive.push_back(bytes(network.activations[static_cast<size_t>(i)]));
    }
    const Tensor total = sum(alive);
    if (total.item() > largest.item()) largest = total;
  }
  return largest;
}

}  // namespace

/// Bytes of the activations alive at the worst moment; its gradient is that moment's.
Model peak_ram() { return {.name = "peak-ram", .unit = "bytes", .help = "activations alive at the worst moment", .of_network = peak}; }

}  // namespace mixgrad::cost

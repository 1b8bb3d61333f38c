// SPDX-License-Identifier: Apache-2.0

#include <mixgrad/cost.h>

#include <src/internal/memory_plan.h>

#include <fmt/core.h>

#include <algorithm>

namespace mixgrad::cost {
namespace {

/// The node whose memory holds the value of node `i`: flatten and a separate ReLU, whose codes have as many bits, reuse
/// their input's.
int storage(const Graph& graph, int i) {
  const Node& node = graph.nodes[static_cast<size_t>(i)];
  const bool in_place = node.overlap() == op::Overlap::in_place && node.passes_quantizer();
  return in_place || node.as<op::Flatten>() ? storage(graph, node.inputs[0]) : i;
}

Value bits(const Activation& a) {
  return product(a.precisions.expected_bits(), a.live_channels, static_cast<double>(a.positions));
}

/// The tensors alive while a node runs: its inputs, its output, and those read later.
struct Moment {
  int node;
  std::vector<int> alive;  // nodes
  Value bits;
};

/// By node: the last node that needs its value.
std::vector<int> last_uses(const Graph& graph) {
  const auto stored_inputs = [&](size_t i) {
    std::vector<int> out = graph.nodes[i].inputs;
    for (int& input : out) input = storage(graph, input);
    return out;
  };
  std::vector<int> last = device::last_reads(graph.nodes.size(), stored_inputs);
  for (const GraphOutput& output : graph.outputs())
    last[static_cast<size_t>(storage(graph, output.node))] = static_cast<int>(graph.nodes.size());
  return last;
}

/// The first node, in execution order, at which the most bits are alive.
Moment peak(const Network& network) {
  const Graph& graph = network.graph;
  const std::vector<int> last_use = last_uses(graph);
  Moment peak{.node = 0, .alive = {}, .bits = 0};
  for (int now = 0; now < std::ssize(graph.nodes); ++now) {
    Moment moment{.node = now, .alive = {}, .bits = {}};
    std::vector<Value> sizes;
    for (int i = 0; i <= now; ++i) {
      if (storage(graph, i) != i || last_use[static_cast<size_t>(i)] < now) continue;
      if (graph.nodes[static_cast<size_t>(i)].as<op::Outputs>()) continue;  // a list of values in memory already
      moment.alive.push_back(i);
      sizes.push_back(bits(network.activations[static_cast<size_t>(i)]));
    }
    moment.bits = sum(sizes);
    if (moment.bits.item() > peak.bits.item()) peak = moment;
  }
  return peak;
}

/// "activations peak at 'add', with 'conv' (512 bits) and 'add' (256) alive"
std::string worst_moment(const Network& network) {
  const Moment worst = peak(network);
  const auto name = [&](int i) { return network.graph.nodes[static_cast<size_t>(i)].name; };
  std::string tensors;
  for (size_t k = 0; k < worst.alive.size(); ++k) {
    const int i = worst.alive[k];
    const double size = bits(network.activations[static_cast<size_t>(i)]).item();
    tensors += k == 0 ? "" : k + 1 == worst.alive.size() ? " and " : ", ";
    tensors += fmt::format("'{}' ({:.6g}{})", name(i), size, k == 0 ? " bits" : "");
  }
  return fmt::format("activations peak at '{}', with {} alive", name(worst.node), tensors);
}

}  // namespace

/// Bits of the activations alive at the peak; its gradient is that of those activations.
Model activations() {
  return {.name = "activations",
          .unit = "bits",
          .help = "activations alive at the peak, in bits",
          .of_network = [](const Network& network) { return peak(network).bits; },
          .reason = worst_moment};
}

}  // namespace mixgrad::cost

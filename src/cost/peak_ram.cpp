// SPDX-License-Identifier: Apache-2.0
#include <mixgrad/cost.h>

#include <src/internal/memory_plan.h>

#include <fmt/core.h>

#include <algorithm>
#include <cmath>

namespace mixgrad::cost {
namespace {

/// `size` rounded up to whole units, in bytes, where a unit has `bytes`.
Value whole(const Value& size, int64_t unit, int64_t bytes) {
  return scale(ceil_div(size, static_cast<double>(unit)), static_cast<double>(bytes));
}

/// A code takes one byte at any bit-width; a float value takes 4.
int64_t bytes_per_value(const Precisions& precisions) { return precisions.bits.back() > 8 ? 4 : 1; }

Value tensor_bytes(const Activation& a) {
  const int64_t bytes = a.positions * bytes_per_value(a.precisions);
  return whole(scale(a.live_channels, static_cast<double>(bytes)), device::word_bytes, device::word_bytes);
}

Value patch_bytes(const Layer& layer) {
  if (layer.kind == LayerKind::depthwise && layer.groups > 1 &&
      std::llround(layer.live_outputs().item()) >= device::depthwise_channels)
    return static_cast<double>(device::depthwise_bytes(
        layer.kernel_positions(), (layer.kernel[0] - 1) * layer.dilation[0] + 1,
        (layer.output[1] - 1) * layer.stride[1] + (layer.kernel[1] - 1) * layer.dilation[1] + 1));
  const bool is_dense = layer.groups == 1 && layer.kind != LayerKind::conv_transpose2d;
  const int64_t bytes = (bytes_per_value(layer.input) == 1 ? device::patch_code_bytes : 4) *
                        device::patch_positions(is_dense, layer.output_positions());
  const Value codes = scale(layer.live_inputs, static_cast<double>(layer.kernel_positions()));
  const int64_t step = device::patch_step(std::ranges::count(layer.weights.bits, 1) > 0);
  return whole(codes, step, step * bytes);
}

/// The network as the package runs it, and the sizes of its tensors and patches, by step.
struct Program {
  std::vector<int> nodes;
  std::vector<device::Step> steps;
  std::vector<Value> tensors, patches;
  std::vector<int> outputs;

  explicit Program(const Network& network) {
    const Graph& graph = network.graph;
    const auto readers = device::readers_of(graph);
    const std::vector<bool> needed = needed_nodes(graph);
    std::vector<int> step_of(graph.nodes.size());
    auto layer = network.layers.begin();
    for (int i = 0; i < std::ssize(graph.nodes); ++i) {
      const Node& node = graph.nodes[static_cast<size_t>(i)];
      if (!needed[static_cast<size_t>(i)] || node.as<op::Outputs>()) continue;
      if (device::vanishes(graph, readers, i)) {
        step_of[static_cast<size_t>(i)] = step_of[static_cast<size_t>(node.inputs[0])];
        continue;
      }
      step_of[static_cast<size_t>(i)] = static_cast<int>(steps.size());
      nodes.push_back(i);
      tensors.push_back(tensor_bytes(network.activations[static_cast<size_t>(i)]));
      patches.push_back(node.is_layer() ? patch_bytes(*layer++) : 0);
      steps.push_back({.inputs = {},
                       .elementwise = node.in_place(),
                       .bytes = std::llround(tensors.back().item()),
                       .patch = std::llround(patches.back().item())});
      for (const int n : node.inputs) steps.back().inputs.push_back(step_of[static_cast<size_t>(n)]);
    }
    for (const GraphOutput& o : graph.outputs()) outputs.push_back(step_of[static_cast<size_t>(o.node)]);
  }

  device::Plan plan() const { return device::plan_memory(steps, outputs); }
  const Value& size(const device::Block& b) const { return (b.patch ? patches : tensors)[static_cast<size_t>(b.step)]; }
};

Value peak(const Network& network) {
  const Program program(network);
  const device::Plan plan = program.plan();
  std::vector<Value> sizes;
  for (const int b : plan.peak) sizes.push_back(program.size(plan.blocks[static_cast<size_t>(b)]));
  return sum(sizes);
}

/// "memory peaks at 'conv2', with 'conv1' (64 bytes) and the patch of 'conv2' (32) on top of each other"
std::string highest_stack(const Network& network) {
  const Program program(network);
  const device::Plan plan = program.plan();
  const auto name = [&](int step) {
    return network.graph.nodes[static_cast<size_t>(program.nodes[static_cast<size_t>(step)])].name;
  };
  std::string parts;
  int moment = 0;
  for (size_t k = 0; k < plan.peak.size(); ++k) {
    const device::Block& b = plan.blocks[static_cast<size_t>(plan.peak[k])];
    moment = std::max(moment, b.first);
    parts += k == 0 ? "" : k + 1 == plan.peak.size() ? " and " : ", ";
    const char* of = b.patch ? "the patch of " : "";
    parts += fmt::format("{}'{}' ({}{})", of, name(b.step), b.bytes, k == 0 ? " bytes" : "");
  }
  if (parts.empty()) return "";
  const char* stacked = plan.peak.size() > 1 ? " on top of each other" : "";
  return fmt::format("memory peaks at '{}', with {}{}", name(moment), parts, stacked);
}

}  // namespace

/// Bytes of the memory block shared by the C package's activations. Its gradient is that of the tensors and patches
/// stacked where the block is highest; ceilings are straight-through.
Model peak_ram() {
  return {.name = "peak-ram",
          .unit = "bytes",
          .help = "memory for activations in the C package",
          .of_network = peak,
          .reason = highest_stack};
}

}  // namespace mixgrad::cost

// SPDX-License-Identifier: Apache-2.0
#include <mixgrad/cost.h>

#include <src/internal/memory_plan.h>

#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <cmath>

namespace mixgrad::cost {
namespace {

/// `size` rounded up to whole units, in bytes, where a unit has `bytes`.
Value whole(const Value& size, int64_t unit, int64_t bytes) {
  return scale(ceil_div(size, static_cast<double>(unit)), static_cast<double>(bytes));
}

/// A code takes one byte at any bit-width; a float value takes 4.
int64_t bytes_per_value(const Precisions& precisions) { return precisions.bits.back() > 8 ? 4 : 1; }

Value bytes_of(const Activation& a, int64_t positions) {
  return scale(a.live_channels, static_cast<double>(positions * bytes_per_value(a.precisions)));
}

Value tensor_bytes(const Activation& a) {
  return whole(bytes_of(a, a.positions), device::word_bytes, device::word_bytes);
}

bool runs_depthwise(const Layer& layer) {
  return layer.kind == LayerKind::depthwise && layer.groups > 1 &&
         std::llround(layer.live_outputs().item()) >= device::depthwise_channels;
}

Value patch_bytes(const Layer& layer) {
  if (runs_depthwise(layer))
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

device::Schedule schedule_of(const Layer& layer) {
  const bool depthwise = layer.kind == LayerKind::depthwise;
  return device::schedule(runs_depthwise(layer), depthwise ? std::llround(layer.live_outputs().item()) : layer.groups);
}

/// Of a node's output in front of its first input.
struct Gap {
  Value bytes;
  bool at_start;
};

Gap gap_of(const Network& network, const Node& node, const Activation& output, const Layer* layer) {
  if (node.overlap() != op::Overlap::in_order) return {.bytes = 0, .at_start = false};
  const auto from = static_cast<size_t>(node.inputs[0]);
  const Activation& input = network.activations[from];
  const device::Gap gap = device::gap_of(node.sweep(network.graph.nodes[from].shape),
                                         layer != nullptr ? schedule_of(*layer) : device::Schedule::singly,
                                         bytes_of(input, 1).item(), bytes_of(output, 1).item());
  const Value bytes = sum(std::array{bytes_of(output, gap.written), bytes_of(input, -gap.unread)});
  return {.bytes = bytes.item() > 0 ? whole(bytes, device::word_bytes, device::word_bytes) : 0,
          .at_start = gap.at_start};
}

/// The network as the package runs it, and the sizes of its tensors, patches and gaps, by step.
struct Program {
  std::vector<int> nodes;
  std::vector<device::Step> steps;
  std::vector<Value> tensors, patches, gaps;
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
      const Activation& output = network.activations[static_cast<size_t>(i)];
      const Layer* of_layer = node.is_layer() ? &*layer++ : nullptr;
      const Gap gap = gap_of(network, node, output, of_layer);
      tensors.push_back(tensor_bytes(output));
      patches.push_back(of_layer != nullptr ? patch_bytes(*of_layer) : 0);
      gaps.push_back(gap.bytes);
      steps.push_back({.inputs = {},
                       .overlap = node.overlap(),
                       .bytes = std::llround(tensors.back().item()),
                       .patch = std::llround(patches.back().item()),
                       .gap = std::llround(gap.bytes.item()),
                       .at_start = gap.at_start});
      for (const int n : node.inputs) steps.back().inputs.push_back(step_of[static_cast<size_t>(n)]);
    }
    for (const GraphOutput& o : graph.outputs()) outputs.push_back(step_of[static_cast<size_t>(o.node)]);
  }

  device::Plan plan() const { return device::plan_memory(steps, outputs); }
  const Value& size(const device::Block& b, bool gap) const {
    return (gap ? gaps : b.patch ? patches : tensors)[static_cast<size_t>(b.step)];
  }
};

Value peak(const Network& network) {
  const Program program(network);
  const device::Plan plan = program.plan();
  std::vector<Value> sizes;
  for (const device::Part& part : plan.peak)
    sizes.push_back(program.size(plan.blocks[static_cast<size_t>(part.block)], part.gap));
  return sum(sizes);
}

/// "memory peaks at 'conv2', with 'conv1' (64 bytes) and the patch of 'conv2' (32) on top of each other"
std::string highest_stack(const Network& network) {
  const Program program(network);
  const device::Plan plan = program.plan();
  const auto name = [&](int step) {
    return network.graph.nodes[static_cast<size_t>(program.nodes[static_cast<size_t>(step)])].name;
  };
  std::vector<std::string> parts;
  int moment = 0;
  for (const device::Part& part : plan.peak) {
    const device::Block& b = plan.blocks[static_cast<size_t>(part.block)];
    const int64_t bytes = part.gap ? program.steps[static_cast<size_t>(b.step)].gap : b.bytes;
    moment = std::max(moment, b.first);
    if (bytes == 0) continue;
    const char* of = part.gap ? "the head start of " : b.patch ? "the patch of " : "";
    parts.push_back(fmt::format("{}'{}' ({}{})", of, name(b.step), bytes, parts.empty() ? " bytes" : ""));
  }
  if (parts.empty()) return "";
  const std::string last = parts.back();
  parts.pop_back();
  const std::string all = parts.empty() ? last : fmt::format("{} and {}", fmt::join(parts, ", "), last);
  return fmt::format("memory peaks at '{}', with {}{}", name(moment), all,
                     parts.empty() ? "" : " on top of each other");
}

}  // namespace

/// Bytes of the memory block shared by the C package's activations. Its gradient is that of the tensors, patches and
/// gaps stacked where the block is highest; ceilings are straight-through.
Model peak_ram() {
  return {.name = "peak-ram",
          .unit = "bytes",
          .help = "memory for activations in the C package",
          .of_network = peak,
          .reason = highest_stack};
}

}  // namespace mixgrad::cost

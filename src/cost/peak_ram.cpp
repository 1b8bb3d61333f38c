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

/// How the codes of a tensor lie in memory: a byte each, or as many bits as their bit-width is stored in.
enum class Codes { bytes, bits };

/// A tensor in memory.
struct Stored {
  Value bits;      ///< expected, of one value
  int usual_bits;  ///< at the likeliest precision
  Value shared;    ///< the probability that values share bytes

  Stored(const Precisions& precisions, Codes codes) : bits(8), usual_bits(8), shared(0) {
    if (precisions.bits.back() > 8) {
      bits = usual_bits = 8 * sizeof(float);
    } else if (codes == Codes::bits) {
      std::vector<double> stored, narrow;
      for (const int b : precisions.bits) stored.push_back(storage_bits(b)), narrow.push_back(storage_bits(b) < 8);
      const auto likeliest = std::ranges::max_element(precisions.theta.data()) - precisions.theta.data().begin();
      bits = precisions.expected(stored);
      usual_bits = static_cast<int>(stored[static_cast<size_t>(likeliest)]);
      shared = precisions.expected(narrow);
    }
  }
};

bool runs_depthwise(const Layer& layer) {
  return layer.kind == LayerKind::depthwise && layer.groups > 1 &&
         std::llround(layer.live_outputs().item()) >= device::depthwise_channels;
}

int64_t patch_positions(const Layer& layer) {
  const bool is_dense = layer.groups == 1 && layer.kind != LayerKind::conv_transpose2d;
  return device::patch_positions(is_dense, layer.output_positions());
}

Value patch_bytes(const Layer& layer, const Stored& input) {
  if (runs_depthwise(layer))
    return static_cast<double>(device::depthwise_bytes(
        layer.kernel_positions(), (layer.kernel[0] - 1) * layer.dilation[0] + 1,
        (layer.output[1] - 1) * layer.stride[1] + (layer.kernel[1] - 1) * layer.dilation[1] + 1));
  const int64_t bytes =
      (input.usual_bits <= 8 ? device::patch_code_bytes : int64_t{sizeof(float)}) * patch_positions(layer);
  const Value codes = scale(layer.live_inputs, static_cast<double>(layer.kernel_positions()));
  const int64_t step = device::patch_step(std::ranges::count(layer.weights.bits, 1) > 0);
  return whole(codes, step, step * bytes);
}

/// A layer's patch, and its inputs and results before they are packed.
Value scratch_bytes(const Layer& layer, const Stored& input, const Stored& output) {
  const Value row = scale(layer.live_inputs, static_cast<double>(layer.kernel[1]));
  const Value unpacked = runs_depthwise(layer) ? 0
                                               : whole(sum(std::array<Value, 2>{row, device::spare_codes}),
                                                       device::word_bytes, device::word_bytes);
  const Value results = whole(scale(layer.live_outputs(), static_cast<double>(patch_positions(layer))),
                              device::word_bytes, device::word_bytes);
  return sum(std::array{patch_bytes(layer, input), product(input.shared, unpacked), product(output.shared, results)});
}

device::Schedule schedule_of(const Layer& layer) {
  const bool depthwise = layer.kind == LayerKind::depthwise;
  return device::schedule(runs_depthwise(layer), depthwise ? std::llround(layer.live_outputs().item()) : layer.groups);
}

/// The network as the package runs it, and the sizes of its tensors, scratch memories and gaps, by step.
struct Program {
  std::vector<int> nodes, step_of;
  std::vector<device::Step> steps;
  std::vector<Value> tensors, patches, gaps;
  std::vector<int> outputs;

  Program(const Network& network, Codes codes) : step_of(network.graph.nodes.size()), network_(network) {
    number_steps();
    auto layer = network.layers.begin();
    for (const int i : nodes) add(i, codes, node(i).is_layer() ? &*layer++ : nullptr);
  }

  device::Plan plan() const { return device::plan_memory(steps, outputs); }
  const Value& size(const device::Block& b, bool gap) const {
    return (gap ? gaps : b.patch ? patches : tensors)[static_cast<size_t>(b.step)];
  }

 private:
  const Node& node(int i) const { return network_.graph.nodes[static_cast<size_t>(i)]; }
  int step(int i) const { return step_of[static_cast<size_t>(i)]; }
  const Activation& activation(int i) const { return network_.activations[static_cast<size_t>(i)]; }

  void number_steps() {
    const Graph& graph = network_.graph;
    const auto readers = device::readers_of(graph);
    const std::vector<bool> needed = needed_nodes(graph);
    for (int i = 0; i < std::ssize(graph.nodes); ++i) {
      if (!needed[static_cast<size_t>(i)] || node(i).as<op::Outputs>()) continue;
      const bool vanishes = device::vanishes(graph, readers, i);
      step_of[static_cast<size_t>(i)] = vanishes ? step(node(i).inputs[0]) : static_cast<int>(std::ssize(nodes));
      if (!vanishes) nodes.push_back(i);
    }
    for (const GraphOutput& o : graph.outputs()) outputs.push_back(step(o.node));
  }

  /// The caller owns input and outputs, in which every code is a byte.
  Stored stored(int i, Codes codes) const {
    const bool is_inner = step(i) != 0 && std::ranges::find(outputs, step(i)) == outputs.end();
    return {activation(i).precisions, is_inner ? codes : Codes::bytes};
  }

  Value bytes_of(int i, const Stored& stored, int64_t positions) const {
    return product(activation(i).live_channels, stored.bits, static_cast<double>(positions) / 8);
  }

  void add(int i, Codes codes, const Layer* layer) {
    const Node& n = node(i);
    const int from = n.inputs.empty() ? i : n.inputs[0];
    const Stored output = stored(i, codes), input = stored(from, codes);
    const Value tensor = bytes_of(i, output, activation(i).positions);
    tensors.push_back(whole(tensor, device::word_bytes, device::word_bytes));
    patches.push_back(layer != nullptr ? scratch_bytes(*layer, input, output) : 0);
    gaps.emplace_back(0);
    steps.push_back({.inputs = {}, .overlap = n.overlap(), .bits = output.usual_bits});
    if (n.overlap() == op::Overlap::in_order) {
      const device::Gap gap =
          device::gap_of(n.sweep(node(from).shape), layer != nullptr ? schedule_of(*layer) : device::Schedule::singly,
                         bytes_of(from, input, 1).item(), bytes_of(i, output, 1).item());
      const Value bytes = sum(std::array{bytes_of(i, output, gap.written), bytes_of(from, input, -gap.unread)});
      if (bytes.item() > 0) gaps.back() = whole(bytes, device::word_bytes, device::word_bytes);
      steps.back().at_start = gap.at_start;
    }
    steps.back().bytes = std::llround(tensors.back().item());
    steps.back().patch = std::llround(patches.back().item());
    steps.back().gap = std::llround(gaps.back().item());
    for (const int k : n.inputs) steps.back().inputs.push_back(step(k));
  }

  const Network& network_;
};

Value peak(const Network& network, Codes codes) {
  const Program program(network, codes);
  const device::Plan plan = program.plan();
  std::vector<Value> sizes;
  for (const device::Part& part : plan.peak)
    sizes.push_back(program.size(plan.blocks[static_cast<size_t>(part.block)], part.gap));
  return sum(sizes);
}

/// "memory peaks at 'conv2', with 'conv1' (64 bytes) and the patch of 'conv2' (32) on top of each other"
std::string highest_stack(const Network& network, Codes codes) {
  const Program program(network, codes);
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

Model model(const char* name, const char* help, Codes codes) {
  return {.name = name,
          .unit = "bytes",
          .help = help,
          .of_network = [codes](const Network& network) { return peak(network, codes); },
          .reason = [codes](const Network& network) { return highest_stack(network, codes); }};
}

}  // namespace

/// Bytes of the memory block shared by the C package's activations. Its gradient is that of the tensors, scratch
/// memories and gaps stacked where the block is highest; ceilings are straight-through.
Model peak_ram() { return model("peak-ram", "memory for activations in the C package", Codes::bytes); }

/// The same where codes share bytes (export --pack-activations), so that it depends on the bits of activations.
Model packed_ram() {
  return model("packed-ram", "the same with --pack-activations, where codes below 8 bits share bytes", Codes::bits);
}

}  // namespace mixgrad::cost

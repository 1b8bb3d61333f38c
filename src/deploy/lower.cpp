// SPDX-License-Identifier: Apache-2.0
#include "sort_channels.h"

#include <mixgrad/deploy.h>
#include <mixgrad/error.h>

#include <src/internal/lowering.h>
#include <src/internal/memory_plan.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

namespace mixgrad {
namespace {

constexpr int64_t most_int32 = std::numeric_limits<int32_t>::max();

/// The nodes that the result depends on, with shared tensors.
Graph needed_part(const Graph& graph) {
  Graph out = graph;
  drop_unused(out);
  return out;
}

class Lowering {
 public:
  explicit Lowering(const Graph& graph)
      : graph_(needed_part(graph)),
        readers_(device::readers_of(graph_)),
        binding_(graph_.bind()),
        lowered_(graph_.nodes.size(), -1) {}

  IntegerNetwork run() {
    for (size_t i = 0; i < graph_.nodes.size(); ++i) {
      if (source(i).as<op::Outputs>()) continue;
      if (vanishes(i)) {
        lowered_[i] = lowered_[static_cast<size_t>(source(i).inputs[0])];
      } else {
        lowered_[i] = std::ssize(out_.nodes);
        out_.nodes.push_back(lower(i));
      }
    }
    out_.input_slot = graph_.nodes[0].output_slot;
    out_.normalization = graph_.normalization;
    for (const GraphOutput& o : graph_.outputs()) add_output(o);
    return sort_channels(std::move(out_));
  }

 private:
  const Node& source(size_t i) const { return graph_.nodes[i]; }

  void add_output(const GraphOutput& o) {
    const auto i = static_cast<size_t>(o.node);
    const int node = static_cast<int>(lowered_[i]);
    if (node == 0) bad_input("the network's result is its input: expected at least one layer");
    for (const IntegerOutput& before : out_.outputs) {
      if (before.node == node)
        bad_input("outputs '{}' and '{}' are one tensor: expected each tensor once", before.name, o.name);
    }
    out_.outputs.push_back({.node = node, .shape = source(i).shape, .name = o.name});
  }

  bool vanishes(size_t i) const { return device::vanishes(graph_, readers_, static_cast<int>(i)); }

  IntegerNode lower(size_t i) {
    const Node& from = source(i);
    IntegerNode node{.name = from.name, .shape = from.shape};
    node.channel_of.resize(static_cast<size_t>(from.shape[0]));
    std::iota(node.channel_of.begin(), node.channel_of.end(), 0);
    for (const int n : from.inputs) node.inputs.push_back(static_cast<int>(lowered_[static_cast<size_t>(n)]));
    if (from.passes_quantizer()) {
      const IntegerNode& before = out_.input_of(node);
      node.low = before.low;
      node.high = before.high;
      node.bits = before.bits;
      node.step = before.step;
    } else if (!from.as<op::BatchNorm>()) {
      set_codes(from, node);
    }
    LoweringContext context{.graph = graph_,
                            .index = static_cast<int>(i),
                            .binding = binding_.nodes[i],
                            .lowered = out_,
                            .flattened_channels = flattened_channels(from),
                            .out = node};
    std::visit([&](const auto& o) { o.lower(context); }, from.op);
    if (node.raw) cut_result(from, node);
    return node;
  }

  /// Channels of the images whose flattening, now removed, the layer reads.
  int64_t flattened_channels(const Node& node) const {
    if (node.inputs.empty() || !vanishes(static_cast<size_t>(node.inputs[0]))) return 0;
    const Node& flatten = source(static_cast<size_t>(node.inputs[0]));
    return source(static_cast<size_t>(flatten.inputs[0])).shape[0];
  }

  /// Whether this node's value is an output of the network, apart from flattening a single position.
  bool makes_output(const Node& node) const {
    return std::ranges::any_of(graph_.outputs(), [&](const GraphOutput& o) {
      auto i = static_cast<size_t>(o.node);
      while (source(i).as<op::Flatten>() && vanishes(i)) i = static_cast<size_t>(source(i).inputs[0]);
      return &source(i) == &node;
    });
  }

  [[noreturn]] void refuse_float(const Node& node) const {
    for (const GraphOutput& o : graph_.outputs()) {
      const Node& last = source(static_cast<size_t>(o.node));
      if (&source(static_cast<size_t>(graph_.quantized_by(o.node))) == &node && last.passes_quantizer()) {
        bad_input("'{}' has no quantizer, but '{}' after it works on codes: search the network again to add one",
                  node.name, last.name);
      }
    }
    bad_input("'{}' has no quantizer: a network with float layers has no integer form", node.name);
  }

  /// Range and step of a node's output quantizer; outputs of the network may have none.
  void set_codes(const Node& from, IntegerNode& node) const {
    const ActivationSlot* slot = from.output_slot.get();
    if (slot == nullptr) {
      if (from.as<op::Input>() || !makes_output(from)) refuse_float(from);
      node.raw = true;
      node.low = std::numeric_limits<int32_t>::min(), node.high = most_int32;
      return;
    }
    if (!slot->fixed()) bad_input("'{}' is still being searched: export the network first", from.name);
    if (!slot->quantizer->rounds_to_nearest) {
      bad_input("'{}' is quantized by {}, which does not round to nearest and so has no integer form", from.name,
                slot->quantizer->name);
    }
    const CodeRange range = slot->range();
    node.low = from.activation != Activation::none ? 0 : static_cast<int>(range.low);
    node.high = static_cast<int>(range.high);
    node.bits = slot->precisions[0];
    node.step = slot->step();
  }

  /// Applies the ReLU of an unquantized result.
  static void cut_result(const Node& from, IntegerNode& node) {
    if (from.activation != Activation::none) node.low = 0;
    const double six = std::nearbyint(6 / static_cast<double>(node.step));
    if (from.activation == Activation::relu6 && six < static_cast<double>(most_int32))
      node.high = static_cast<int>(six);
  }

  const Graph graph_;
  const std::vector<std::vector<int>> readers_;
  const Binding binding_;
  std::vector<int64_t> lowered_;  // by graph node: index in the integer network
  IntegerNetwork out_;
};

}  // namespace

IntegerNetwork to_integer(const Graph& discrete) { return Lowering(discrete).run(); }

std::string integer_obstacle(const Graph& searched) {
  try {
    to_integer(discretize(searched));
    return "";
  } catch (const Error& e) {
    return e.what();
  }
}

}  // namespace mixgrad

// SPDX-License-Identifier: Apache-2.0
#include "../graph/memory_plan.h"
#include "../ops/shapes.h"
#include "sort_channels.h"

#include <mixgrad/deploy.h>
#include <mixgrad/error.h>
#include <mixgrad/ops.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <limits>
#include <numeric>

namespace mixgrad {
namespace {

constexpr int64_t most_int32 = std::numeric_limits<int32_t>::max();

/// Largest |Σ q_w q_x + q_b| of every output channel.
std::vector<int64_t> bounds(const IntegerNode& layer, int64_t largest_input) {
  std::vector<int64_t> out;
  const int64_t columns = layer.weights_per_channel();
  for (int64_t o = 0; o < layer.channels(); ++o) {
    int64_t total = layer.bias.empty() ? 0 : std::abs(static_cast<int64_t>(layer.bias[static_cast<size_t>(o)]));
    for (int64_t k = 0; k < columns; ++k)
      total += std::abs(layer.weights[static_cast<size_t>(o * columns + k)]) * largest_input;
    out.push_back(total);
  }
  return out;
}

Shape one_image(const Shape& s) { return {1, s[0], s[1], s[2]}; }

/// The nodes that lead to the result, on the same tensors.
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
      if (vanishes(i)) {
        lowered_[i] = lowered_[static_cast<size_t>(source(i).inputs[0])];
      } else {
        lowered_[i] = std::ssize(out_.nodes);
        out_.nodes.push_back(lower(i));
      }
    }
    out_.input_slot = graph_.nodes[0].output_slot;
    out_.normalization = graph_.normalization;
    out_.output = static_cast<int>(lowered_[static_cast<size_t>(graph_.output)]);
    if (out_.output == 0) bad_input("the network's result is its input: there is nothing to compute");
    out_.result_shape = source(static_cast<size_t>(graph_.output)).shape;
    return sort_channels(std::move(out_));
  }

 private:
  const Node& source(size_t i) const { return graph_.nodes[i]; }
  const IntegerNode& input(const IntegerNode& node) const { return out_.nodes[static_cast<size_t>(node.inputs[0])]; }

  bool vanishes(size_t i) const { return device::vanishes(graph_, readers_, static_cast<int>(i)); }

  IntegerNode lower(size_t i) {
    const Node& from = source(i);
    check_known(from);
    IntegerNode node{.name = from.name,
                     .op = std::string(from.op_name()),
                     .inputs = {},
                     .shape = from.shape,
                     .channel_of = std::vector<int>(static_cast<size_t>(from.shape[0])),
                     .weight_bits = {},
                     .weights = {},
                     .bias = {},
                     .steps = {},
                     .ratios = {}};
    std::iota(node.channel_of.begin(), node.channel_of.end(), 0);
    for (const int n : from.inputs) node.inputs.push_back(static_cast<int>(lowered_[static_cast<size_t>(n)]));
    if (from.passes_quantizer()) {
      const IntegerNode& before = input(node);
      if (const auto* pool = from.as<op::MaxPool2d>())
        node.pool = pool2d_size(pool->name(), one_image(before.shape), pool->attrs);
      if (const auto* pool = from.as<op::AvgPool2d>())
        node.pool = pool2d_size(pool->name(), one_image(before.shape), pool->attrs);
      node.low = before.low;
      node.high = before.high;
      node.step = before.step;
      if (from.as<op::Activate>()) rectify(i, node);
    } else {
      set_codes(from, node);
    }
    if (from.as<op::Conv2d>())
      node.conv = conv2d_size(one_image(input(node).shape), from.weight().shape(), from.as<op::Conv2d>()->attrs);
    if (from.as<op::Linear>())
      node.conv = {.n = 1,
                   .c_in = input(node).shape.size(),
                   .h = 1,
                   .w = 1,
                   .c_out = from.shape[0],
                   .oh = 1,
                   .ow = 1,
                   .kh = 1,
                   .kw = 1};
    if (from.is_layer()) layer(i, node);
    if (from.as<op::Add>()) add(from, node);
    if (node.raw) cut_result(from, node);
    return node;
  }

  /// A ReLU6 is a ReLU whose largest code is the one nearest to 6.
  void rectify(size_t i, IntegerNode& node) const {
    node.low = 0;
    if (source(i).as<op::Activate>()->function == Activation::relu6) {
      const Node& quantized = source(static_cast<size_t>(graph_.quantized_by(static_cast<int>(i))));
      node.high = std::min(node.high, static_cast<int>(quantized.output_slot->code_of(6)));
    }
    node.op = "relu";
  }

  static void check_known(const Node& node) {
    if (node.as<op::BatchNorm>()) bad_input("'{}' stands behind no layer that could take it up", node.name);
  }

  /// Whether the network's result is this node's own value, if only flattened from one position.
  bool makes_result(const Node& node) const {
    size_t i = static_cast<size_t>(graph_.output);
    while (source(i).as<op::Flatten>() && vanishes(i)) i = static_cast<size_t>(source(i).inputs[0]);
    return &source(i) == &node;
  }

  [[noreturn]] void refuse_float(const Node& node) const {
    const Node& last = source(static_cast<size_t>(graph_.output));
    if (&source(static_cast<size_t>(graph_.quantized_by(graph_.output))) == &node && last.passes_quantizer()) {
      bad_input("'{}' has no quantizer, but '{}' behind it works on codes: searched anew, the network gets one",
                node.name, last.name);
    }
    bad_input("'{}' has no quantizer: a network with float layers has no integer form", node.name);
  }

  /// Range and step of the quantizer on a node's output; the network's result may have none.
  void set_codes(const Node& from, IntegerNode& node) const {
    const ActivationSlot* slot = from.output_slot.get();
    if (slot == nullptr) {
      if (from.as<op::Input>() || !makes_result(from)) refuse_float(from);
      node.raw = true;
      node.low = std::numeric_limits<int32_t>::min(), node.high = most_int32;
      return;
    }
    if (!slot->fixed()) bad_input("'{}' is still searched: export the network first", from.name);
    if (slot->quantizer && !slot->quantizer->rounds_to_nearest) {
      bad_input("'{}' is quantized by {}, which does not round to the nearest code: it has no integer form", from.name,
                slot->quantizer->name);
    }
    const CodeRange range = slot->range();
    node.low = from.activation != Activation::none ? 0 : static_cast<int>(range.low);
    node.high = static_cast<int>(range.high);
    node.step = slot->step();
  }

  void layer(size_t i, IntegerNode& node) {
    const Node& from = source(i);
    const Binding::NodeBinding& b = binding_.nodes[i];
    if (!b.scale) bad_input("'{}' is a float layer: a network with such has no integer form", from.name);
    node.weight_bits = from.weight_slot->bits;
    node.weights.assign(b.weight.data().begin(), b.weight.data().end());  // rank 4: O, H, W, I in memory
    if (from.as<op::Linear>()) columns_to_nhwc(from, node);
    node.bias = bias_codes(b.bias, b.scale);
    node.steps.assign(b.scale.data().begin(), b.scale.data().end());
    const IntegerNode& before = input(node);
    const std::vector<int64_t> largest = bounds(node, std::max(before.high, -before.low));
    if (const auto most = std::ranges::max_element(largest); *most > most_int32) {
      bad_input("'{}': sums of channel {} could reach {}, more than 32 bits hold", from.name, most - largest.begin(),
                *most);
    }
    if (node.raw) {  // the finest step at which the largest sum still fits
      node.step = 0;
      for (size_t o = 0; o < largest.size(); ++o)
        node.step =
            std::max(node.step, static_cast<float>(b.scale.data()[o] * static_cast<double>(largest[o]) * 0x1p-30));
      if (node.step == 0) node.step = 1;
    }
    node.ratios = fixed_points(b.scale, node.step);
  }

  /// The ReLU of a result without quantizer.
  static void cut_result(const Node& from, IntegerNode& node) {
    if (from.activation != Activation::none) node.low = 0;
    const double six = std::nearbyint(6 / static_cast<double>(node.step));
    if (from.activation == Activation::relu6 && six < static_cast<double>(most_int32))
      node.high = static_cast<int>(six);
  }

  /// A linear layer behind images [C, H, W] whose flattening has vanished.
  void columns_to_nhwc(const Node& from, IntegerNode& node) const {
    const auto at = static_cast<size_t>(from.inputs[0]);
    const Node& before = source(at);
    if (!vanishes(at)) return;
    const Shape& image = source(static_cast<size_t>(before.inputs[0])).shape;
    const int64_t channels = image[0], positions = image.size() / channels;
    const std::vector<int8_t> rows = node.weights;
    for (int64_t o = 0; o < node.channels(); ++o) {
      for (int64_t c = 0; c < channels; ++c) {
        for (int64_t p = 0; p < positions; ++p) {
          node.weights[static_cast<size_t>((o * positions + p) * channels + c)] =
              rows[static_cast<size_t>((o * channels + c) * positions + p)];
        }
      }
    }
  }

  /// Codes of one quantizer are summed and rescaled.
  void add(const Node& from, IntegerNode& node) const {
    const auto &a = out_.nodes[static_cast<size_t>(node.inputs[0])],
               &b = out_.nodes[static_cast<size_t>(node.inputs[1])];
    if (a.raw || b.raw || a.step != b.step)
      bad_input("'{}' adds '{}' and '{}', which share no quantizer", from.name, a.name, b.name);
    if (node.raw) node.step = a.step;
    node.ratios = fixed_points(Tensor::full({1}, a.step), node.step);
  }

  const Graph graph_;
  const std::vector<std::vector<int>> readers_;
  const Binding binding_;
  std::vector<int64_t> lowered_;  // index in the integer network of every node
  IntegerNetwork out_;
};

}  // namespace

std::vector<uint8_t> IntegerNetwork::quantize(const Tensor& x) const {
  const ActivationFormat format{.is_signed = input_slot->is_signed};
  const int bits = input_slot->precisions[0];
  const Tensor codes = input_slot->quantizer ? quantize_activation(x.detach(), input_slot->clip.detach(), bits, format,
                                                                   *input_slot->quantizer)
                                             : quantize_activation(x.detach(), input_slot->clip.detach(), bits, format);
  std::vector<uint8_t> out;
  for (const float code : codes.data()) out.push_back(static_cast<uint8_t>(static_cast<int>(code)));
  return out;
}

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

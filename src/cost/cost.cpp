// SPDX-License-Identifier: Apache-2.0
#include <mixgrad/cost.h>
#include <mixgrad/error.h>
#include <mixgrad/ops.h>

#include <fmt/ranges.h>

#include <algorithm>

namespace mixgrad::cost {
namespace {

constexpr int float_bits = 32;  // of a layer or an input that is not quantized

const std::vector<Model>& models() {
  static const std::vector<Model> all = {size(), macs()};
  return all;
}

Precisions single(int bits) { return {.bits = {bits}, .theta = Tensor::full({1}, 1)}; }

/// One-hot over the distinct bit-widths of a fixed slot.
Precisions fixed(const std::vector<int>& bits) {
  const std::vector<int> distinct = quant::checked_precisions("weight bits", bits, 0);
  return {.bits = distinct, .theta = quant::one_hot(bits, distinct)};
}

/// θ of reports.
Tensor one_hot(const Tensor& alpha) { return quant::one_hot(alpha); }

/// How a mixture's α becomes θ: softmax during the search, one-hot for reports.
using ThetaOf = std::function<Tensor(const Tensor& alpha)>;

Precisions of_weights(const Node& node, const ThetaOf& theta_of) {
  const WeightSlot* slot = node.weight_slot.get();
  if (slot == nullptr) return single(float_bits);
  if (slot->fixed()) return fixed(slot->bits);
  return {.bits = slot->precisions, .theta = theta_of(slot->alpha)};
}

Precisions of_input(const ActivationSlot* slot, const ThetaOf& theta_of) {
  if (slot == nullptr) return single(float_bits);
  if (slot->fixed()) return single(slot->precisions[0]);
  return {.bits = slot->precisions, .theta = theta_of(slot->alpha)};
}

std::vector<Layer> layers_of(const Graph& graph, const ThetaOf& theta_of) {
  std::vector<Layer> layers;
  for (const Node& node : graph.nodes) {
    if (!node.is_layer()) continue;
    const Node& input = graph.nodes[static_cast<size_t>(graph.quantized_by(node.inputs[0]))];
    const Shape& w = node.weight().shape();
    const bool conv = node.op == "conv2d";
    const int64_t groups = conv ? std::get<Conv2dAttrs>(node.attrs).groups : 1;
    layers.push_back({.name = node.name, .c_in = w[1] * groups, .c_out = w[0], .groups = groups,
                      .kernel_positions = conv ? w[2] * w[3] : 1,
                      .output_positions = conv ? node.shape[1] * node.shape[2] : 1,
                      .weights = of_weights(node, theta_of), .input = of_input(input.output_slot.get(), theta_of)});
  }
  return layers;
}

double total(const std::vector<Layer>& layers, const Model& model) {
  double sum = 0;
  for (const Layer& layer : layers) sum += model.of_layer(layer).item();
  return sum;
}

}  // namespace

Tensor Precisions::expected_bits() const { return expectation(theta, std::vector<double>(bits.begin(), bits.end())); }

Tensor Layer::weight_bits_over_channels() const {
  const Tensor expected = weights.expected_bits();
  return weights.theta.shape().rank() == 2 ? expected : scale(expected, static_cast<double>(c_out));
}

Tensor soft(const Graph& graph, const Model& model, double temperature) {
  std::vector<Tensor> terms;
  for (const Layer& layer : layers_of(graph, [&](const Tensor& alpha) { return softmax(alpha, static_cast<float>(temperature)); })) {
    terms.push_back(model.of_layer(layer));
  }
  return sum(terms);
}

double discrete(const Graph& graph, const Model& model) { return total(layers_of(graph, one_hot), model); }

double uniform(const Graph& graph, const Model& model, int bits) {
  std::vector<Layer> layers = layers_of(graph, one_hot);
  for (Layer& layer : layers) layer.weights = layer.input = single(bits);
  return total(layers, model);
}

std::vector<std::string> names() {
  std::vector<std::string> out;
  for (const Model& m : models()) out.push_back(m.name);
  return out;
}

Model find(const std::string& name) {
  for (const Model& m : models()) {
    if (m.name == name) return m;
  }
  bad_input("unknown cost '{}': expected {}", name, fmt::join(names(), ", "));
}

}  // namespace mixgrad::cost

// SPDX-License-Identifier: Apache-2.0
#include <mixgrad/cost.h>
#include <mixgrad/error.h>
#include <mixgrad/ops.h>

#include <fmt/ranges.h>

#include <algorithm>

namespace mixgrad::cost {
namespace {

constexpr int float_bits = 32;  // of a layer or a tensor that is not quantized

Precisions single(int bits) { return {.bits = {bits}, .theta = Tensor::full({1}, 1)}; }

/// How slots are seen: at the θ of a step, at the arg max, or all at one bit-width.
struct View {
  std::function<Precisions(const WeightSlot*)> weights;
  std::function<Precisions(const ActivationSlot*, bool is_output)> activations;
};

template <typename ThetaOf>
View view_of(const ThetaOf& theta_of) {
  return {.weights = [=](const WeightSlot* slot) -> Precisions {
            if (slot == nullptr) return single(float_bits);
            if (!slot->fixed()) return {.bits = slot->precisions, .theta = theta_of(*slot)};
            const std::vector<int> distinct = quant::checked_precisions("weight bits", slot->bits, 0);
            return {.bits = distinct, .theta = quant::one_hot(slot->bits, distinct)};
          },
          .activations = [=](const ActivationSlot* slot, bool) -> Precisions {
            if (slot == nullptr) return single(float_bits);
            if (slot->fixed()) return single(slot->precisions[0]);
            return {.bits = slot->precisions, .theta = theta_of(*slot)};
          }};
}

View arg_max_view() {
  return view_of([](const auto& slot) { return quant::one_hot(slot.alpha, slot.precisions); });
}

Tensor constant(int64_t value) { return Tensor::scalar(static_cast<float>(value)); }

/// Expected live output channels of a layer: all, unless its weights can be pruned.
Tensor live_channels(const Precisions& weights, int64_t c_out) {
  if (weights.bits[0] != 0) return constant(c_out);
  std::vector<double> live(weights.bits.size(), 1);
  live[0] = 0;
  return weights.expected(live);
}

/// What node `i` hands on (its inputs' activations are in `network` already).
Activation activation_of(const Network& network, int i, const View& view) {
  const Graph& graph = network.graph;
  const Node& node = graph.nodes[static_cast<size_t>(i)];
  const Shape& shape = node.shape;
  const int holder = graph.quantized_by(i);
  Activation out{.precisions = view.activations(graph.nodes[static_cast<size_t>(holder)].output_slot.get(), holder == graph.quantized_by(graph.output)),
                 .live_channels = constant(shape[0]), .positions = shape.size() / shape[0]};
  if (i == 0) return out;
  const Activation& input = network.activations[static_cast<size_t>(node.inputs[0])];
  if (node.is_layer()) {
    out.live_channels = live_channels(view.weights(node.weight_slot.get()), shape[0]);
  } else if (node.op == "flatten") {
    out.live_channels = scale(input.live_channels, static_cast<double>(input.positions));
  } else if (node.passes_quantizer() || node.op == "add" || node.op == "batch_norm") {
    out.live_channels = input.live_channels;
  } else {
    bad_input("'{}': the cost of {} is not known", node.name, node.op);
  }
  return out;
}

Layer layer_of(const Network& network, const Node& node, const View& view) {
  const Activation& input = network.activations[static_cast<size_t>(node.inputs[0])];
  const Shape& w = node.weight().shape();
  const bool conv = node.op == "conv2d";
  const int64_t groups = conv ? std::get<Conv2dAttrs>(node.attrs).groups : 1;
  const bool depthwise = groups > 1 && w[1] == 1 && w[0] == groups;
  Layer layer{.name = node.name, .op = depthwise ? "depthwise" : node.op, .c_in = w[1] * groups, .c_out = w[0], .groups = groups,
              .kernel = {1, 1}, .output = {1, 1}, .weights = view.weights(node.weight_slot.get()), .input = input.precisions,
              .live_inputs = groups > 1 ? constant(w[1]) : input.live_channels};
  if (conv) {
    layer.kernel = {w[2], w[3]};
    layer.output = {node.shape[1], node.shape[2]};
  }
  return layer;
}

Network network_of(const Graph& graph, const View& view) {
  Network network{.graph = graph, .layers = {}, .activations = {}};
  for (int i = 0; i < std::ssize(graph.nodes); ++i) {
    network.activations.push_back(activation_of(network, i, view));
    const Node& node = graph.nodes[static_cast<size_t>(i)];
    if (node.is_layer()) network.layers.push_back(layer_of(network, node, view));
  }
  return network;
}

}  // namespace

Tensor Precisions::expected(const std::vector<double>& values) const { return expectation(theta, values); }

Tensor Precisions::expected_bits() const { return expected({bits.begin(), bits.end()}); }

Tensor Layer::over_channels(const std::vector<double>& values) const {
  const Tensor expected = weights.expected(values);
  return weights.theta.shape().rank() == 2 ? expected : scale(expected, static_cast<double>(c_out));
}

Tensor Layer::channels_at(size_t p) const {
  std::vector<double> one(weights.bits.size(), 0);
  one[p] = 1;
  return over_channels(one);
}

Tensor Layer::weight_bits_over_channels() const { return over_channels({weights.bits.begin(), weights.bits.end()}); }

Tensor Layer::live_outputs() const { return live_channels(weights, c_out); }

Model sum_over_layers(std::string name, std::string unit, std::string help, std::function<Tensor(const Layer&)> of_layer) {
  return {.name = std::move(name), .unit = std::move(unit), .help = std::move(help), .of_network = [of_layer](const Network& network) {
            std::vector<Tensor> terms;
            for (const Layer& layer : network.layers) terms.push_back(of_layer(layer));
            return sum(terms);
          }};
}

Tensor soft(const Graph& graph, const Model& model, const Thetas& thetas) {
  return model.of_network(network_of(graph, view_of([&](const auto& slot) { return thetas.at(&slot); })));
}

double discrete(const Graph& graph, const Model& model) { return model.of_network(network_of(graph, arg_max_view())).item(); }

double uniform(const Graph& graph, const Model& model, int bits) {
  const View view{.weights = [=](const WeightSlot*) { return single(bits); },
                  .activations = [=](const ActivationSlot*, bool is_output) { return single(is_output ? float_bits : bits); }};
  return model.of_network(network_of(graph, view)).item();
}

std::optional<double> if_defined(const std::function<double()>& cost) {
  try {
    return cost();
  } catch (const Error&) {
    return std::nullopt;
  }
}

std::vector<Model> all() {
  return {size(), macs(), params(), ops(), mpic_latency(), mpic_energy(), ne16_latency(), peak_ram()};
}

std::vector<std::string> names() {
  std::vector<std::string> out;
  for (const Model& m : all()) out.push_back(m.name);
  return out;
}

Model find(const std::string& name) {
  if (name.starts_with("table:")) {
    const std::string path = name.substr(std::string("table:").size());
    Model model = look_up(read_table(path), "look-up table " + path);
    model.name = name;
    return model;
  }
  for (const Model& m : all()) {
    if (m.name == name) return m;
  }
  bad_input("unknown cost '{}': expected {}, or table:FILE.toml", name, fmt::join(names(), ", "));
}

}  // namespace mixgrad::cost

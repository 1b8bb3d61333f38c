// SPDX-License-Identifier: Apache-2.0
#include <mixgrad/cost.h>
#include <mixgrad/error.h>
#include <mixgrad/ops.h>

#include <src/internal/channels.h>
#include <src/internal/suggest.h>

#include <fmt/ranges.h>

#include <algorithm>

namespace mixgrad::cost {
namespace {

constexpr int float_bits = 32;  // of an unquantized layer or tensor

Precisions single(int bits) { return {.bits = {bits}, .theta = Tensor::full({1}, 1)}; }

constexpr int most_bits = 8;

/// Fixed weights: the bit-widths that occur, ascending, and a one-hot column per channel. A search for targets
/// evaluates thousands of networks, so this avoids sorting and look-ups.
Precisions of_channels(const std::vector<int>& bits) {
  std::array<int, most_bits + 1> row;
  row.fill(-1);
  for (int b : bits) {
    if (b < 0 || b > most_bits) quant::checked_precisions("weight bits", bits, 0);  // throws
    row[static_cast<size_t>(b)] = 0;
  }
  Precisions out;
  for (int b = 0; b <= most_bits; ++b) {
    if (row[static_cast<size_t>(b)] < 0) continue;
    row[static_cast<size_t>(b)] = static_cast<int>(out.bits.size());
    out.bits.push_back(b);
  }
  out.theta = Tensor::zeros({std::ssize(out.bits), std::ssize(bits)});
  for (size_t c = 0; c < bits.size(); ++c) {
    out.theta.data()[static_cast<size_t>(row[static_cast<size_t>(bits[c])]) * bits.size() + c] = 1;
  }
  return out;
}

/// The precisions of slots: at the θ of a step, at the arg max, or all at one bit-width.
struct View {
  std::function<Precisions(const WeightSlot*)> weights;
  std::function<Precisions(const ActivationSlot*, bool is_output)> activations;
};

template <typename ThetaOf>
View view_of(const ThetaOf& theta_of) {
  return {.weights = [=](const WeightSlot* slot) -> Precisions {
            if (slot == nullptr) return single(float_bits);
            return slot->fixed() ? of_channels(slot->bits)
                                 : Precisions{.bits = slot->precisions, .theta = theta_of(*slot)};
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

/// Expected live output channels of a layer: all of them, unless its weights can be pruned.
Value live_channels(const Precisions& weights, int64_t c_out) {
  if (weights.bits[0] != 0) return static_cast<double>(c_out);
  std::vector<double> live(weights.bits.size(), 1);
  live[0] = 0;
  return weights.expected(live);
}

/// The precisions of node i's value.
Precisions value_precisions(const Graph& graph, int i, const View& view) {
  const int holder = graph.quantized_by(i);
  return view.activations(graph.nodes[static_cast<size_t>(holder)].output_slot.get(),
                          holder == graph.quantized_by(graph.output));
}

LayerKind kind_of(const Node& node) {
  if (node.as<op::Linear>()) return LayerKind::linear;
  if (node.as<op::ConvTranspose2d>()) return LayerKind::conv_transpose2d;
  return node.channels() == op::Channels::depthwise || node.as<op::Affine>() ? LayerKind::depthwise : LayerKind::conv2d;
}

/// The precisions of layer i's weights; those of one that passes channels on are 0 where the channel is pruned.
Precisions weight_precisions(const Graph& graph, int i, const View& view) {
  const Node& node = graph.nodes[static_cast<size_t>(i)];
  Precisions own = view.weights(node.weight_slot.get());
  const WeightSlot* slot = slot_of_channels(graph, i);
  if (node.channels() != op::Channels::passed || slot == nullptr) return own;
  const Precisions made = view.weights(slot);
  if (made.bits[0] != 0 || made.bits.size() == 1) return own;
  return {.bits = {0, own.bits.back()}, .theta = pruned_and_kept(made.theta, made.bits)};
}

Layer layer_of(const Node& node, const Precisions& weights, const Activation& input) {
  const Shape& w = node.weight().shape();
  const op::LayerShape shape = node.layer_shape();
  const int64_t inputs = w.rank() == 1 ? 1 : w[1];
  return {.name = node.name,
          .kind = kind_of(node),
          .c_in = inputs * shape.groups,
          .c_out = w[0],
          .groups = shape.groups,
          .kernel = shape.kernel,
          .output = shape.positions,
          .weights = weights,
          .input = input.precisions,
          .live_inputs = shape.groups > 1 ? static_cast<double>(inputs) : input.live_channels};
}

Network network_of(const Graph& graph, const View& view) {
  Network network{.graph = graph, .layers = {}, .activations = {}};
  const std::vector<bool> needed = needed_nodes(graph);
  std::vector<Value> live;
  for (int i = 0; i < std::ssize(graph.nodes); ++i) {
    const Node& node = graph.nodes[static_cast<size_t>(i)];
    const Precisions weights = node.is_layer() ? weight_precisions(graph, i, view) : Precisions{};
    const auto own = [&](const Node& n) {
      return n.is_layer() ? live_channels(weights, n.shape[0]) : Value(static_cast<double>(n.shape[0]));
    };
    const auto flattened = [](const Value& from, int64_t positions) {
      return scale(from, static_cast<double>(positions));
    };
    live.push_back(channel_fact(graph, i, live, own, flattened));
    network.activations.push_back({.precisions = value_precisions(graph, i, view),
                                   .live_channels = live.back(),
                                   .positions = node.shape.size() / node.shape[0]});
    if (!node.is_layer() || !needed[static_cast<size_t>(i)]) continue;
    network.layers.push_back(layer_of(node, weights, network.activations[static_cast<size_t>(node.inputs[0])]));
  }
  return network;
}

}  // namespace

Value Precisions::expected(const std::vector<double>& values) const {
  const auto columns = static_cast<size_t>(theta.size()) / bits.size();
  if (values.size() != bits.size()) {
    bad_input("[expected] {} values for {} bit-widths: expected one each", values.size(), bits.size());
  }
  double number = 0;
  for (size_t p = 0; p < bits.size(); ++p) {
    for (const float share : theta.data().subspan(p * columns, columns)) number += values[p] * share;
  }
  if (!theta.needs_grad()) return number;
  return {number, expectation(theta, values)};
}

Value Precisions::expected_bits() const { return expected({bits.begin(), bits.end()}); }

Value Layer::over_channels(const std::vector<double>& values) const {
  const Value expected = weights.expected(values);
  return weights.theta.shape().rank() == 2 ? expected : scale(expected, static_cast<double>(c_out));
}

Value Layer::channels_at(size_t p) const {
  std::vector<double> one(weights.bits.size(), 0);
  one[p] = 1;
  return over_channels(one);
}

Value Layer::weight_bits_over_channels() const { return over_channels({weights.bits.begin(), weights.bits.end()}); }

Value Layer::live_outputs() const { return live_channels(weights, c_out); }

namespace {

struct SumOverLayers {
  std::function<Value(const Layer&)> of_layer;
  std::function<double(const Graph&)> of_rest;

  double rest(const Graph& graph) const { return of_rest ? of_rest(graph) : 0; }

  Value operator()(const Network& network) const {
    std::vector<Value> terms = {rest(network.graph)};
    for (const Layer& layer : network.layers) terms.push_back(of_layer(layer));
    return sum(terms);
  }
};

}  // namespace

Model sum_over_layers(std::string name, std::string unit, std::string help, std::function<Value(const Layer&)> of_layer,
                      std::function<double(const Graph&)> of_rest) {
  return {.name = std::move(name),
          .unit = std::move(unit),
          .help = std::move(help),
          .of_network = SumOverLayers{.of_layer = std::move(of_layer), .of_rest = std::move(of_rest)}};
}

Tensor soft(const Graph& graph, const Model& model, const Thetas& thetas) {
  return model.of_network(network_of(graph, view_of([&](const auto& slot) { return thetas.at(&slot); })));
}

double discrete(const Graph& graph, const Model& model) {
  return model.of_network(network_of(graph, arg_max_view())).item();
}

Meter::Meter(const Graph& graph, Model model)
    : graph_(graph), model_(std::move(model)), needed_(needed_nodes(graph)), layers_(graph.nodes.size()) {
  if (const auto* sum_of = model_.of_network.target<SumOverLayers>()) rest_ = sum_of->rest(graph);
}

double Meter::operator()() {
  const auto* sum_of = model_.of_network.target<SumOverLayers>();
  if (sum_of == nullptr) return discrete(graph_, model_);
  const View view = arg_max_view();
  const std::vector<int64_t> live = mixgrad::live_channels(graph_);
  double total = rest_;
  for (size_t i = 0; i < live.size(); ++i) {
    const Node& node = graph_.nodes[i];
    if (!node.is_layer() || !needed_[i]) continue;
    const auto from = static_cast<size_t>(node.inputs[0]);
    const ActivationSlot* input = graph_.input_slot(node);
    const int input_bits = input == nullptr ? float_bits : input->precisions[0];
    const WeightSlot* slot = slot_of_channels(graph_, static_cast<int>(i));
    const std::vector<int> no_bits, &bits = slot ? slot->bits : no_bits;
    Counted& counted = layers_[i];
    if (counted.live_inputs != live[from] || counted.input_bits != input_bits || counted.weight_bits != bits) {
      const Shape& shape = graph_.nodes[from].shape;
      const Activation in{.precisions = single(input_bits),
                          .live_channels = static_cast<double>(live[from]),
                          .positions = shape.size() / shape[0]};
      const double cost =
          sum_of->of_layer(layer_of(node, weight_precisions(graph_, static_cast<int>(i), view), in)).item();
      counted = {.weight_bits = bits, .input_bits = input_bits, .live_inputs = live[from], .cost = cost};
    }
    total += counted.cost;
  }
  return total;
}

std::string reason(const Graph& graph, const Model& model) {
  return model.reason ? model.reason(network_of(graph, arg_max_view())) : "";
}

double uniform(const Graph& graph, const Model& model, int bits) {
  const View view{
      .weights = [=](const WeightSlot*) { return single(bits); },
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
  return {size(),         flash(),       macs(),         params(),      ops(),
          mpic_latency(), mpic_energy(), ne16_latency(), activations(), peak_ram()};
}

const char* name_of(LayerKind kind) {
  switch (kind) {
    case LayerKind::conv2d:
      return op::Conv2d::name();
    case LayerKind::depthwise:
      return "depthwise";
    case LayerKind::linear:
      return op::Linear::name();
    case LayerKind::conv_transpose2d:
      return op::ConvTranspose2d::name();
  }
  return "";
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
  bad_input("unknown cost '{}': expected {}, or table:FILE.toml{}", name, fmt::join(names(), ", "),
            did_you_mean(nearest(name, names())));
}

}  // namespace mixgrad::cost

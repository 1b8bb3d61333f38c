// SPDX-License-Identifier: Apache-2.0
#include <mixgrad/cost.h>
#include <mixgrad/error.h>
#include <mixgrad/ops.h>

#include <src/internal/channels.h>
#include <src/internal/suggest.h>

#include <fmt/ranges.h>

#include <algorithm>
#include <map>
#include <numeric>
#include <set>

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
  return view_of([](const auto& slot) { return quant::one_hot(slot); });
}

/// 1 for every bit-width above 0.
std::vector<double> live_at(const Precisions& weights) {
  std::vector<double> live(weights.bits.size(), 1);
  if (weights.bits[0] == 0) live[0] = 0;
  return live;
}

/// Expected live output channels of a layer: all of them, unless its weights can be pruned.
Value live_channels(const Precisions& weights, int64_t c_out) {
  return weights.bits[0] != 0 ? static_cast<double>(c_out) : weights.expected(live_at(weights));
}

/// For each node, whether its value is an output of the network, perhaps passed on, and nothing else.
std::vector<bool> only_outputs(const Graph& graph) {
  std::set<int> makers;
  for (const auto& [node, name] : graph.outputs()) {
    const bool read_by_others = node != graph.output && graph.consumers(node).size() > 1;
    if (!read_by_others) makers.insert(graph.quantized_by(node));
  }
  std::vector<bool> out;
  for (int i = 0; i < std::ssize(graph.nodes); ++i) out.push_back(makers.contains(graph.quantized_by(i)));
  return out;
}

LayerKind kind_of(const Node& node) {
  if (node.as<op::Linear>()) return LayerKind::linear;
  if (node.as<op::ConvTranspose2d>()) return LayerKind::conv_transpose2d;
  return node.channels() == op::Channels::depthwise || node.as<op::Affine>() ? LayerKind::depthwise : LayerKind::conv2d;
}

/// The precisions of a layer's weights; those of one that passes channels on are 0 where the channel is pruned.
Precisions weight_precisions(const Graph& graph, const Node& node, const std::vector<ChannelOrigin>& channels,
                             const View& view) {
  const Precisions own = view.weights(node.weight_slot.get());
  if (!passes_channels(node)) return own;
  const Tensor shares = pruned_and_kept(graph, channels, [&](const WeightSlot* slot) {
    const Precisions made = view.weights(slot);
    const bool prunes = made.bits[0] == 0 && made.theta.shape().rank() == 2;
    return prunes ? pruned_and_kept(made.theta, made.bits) : Tensor();
  });
  return shares ? Precisions{.bits = {0, own.bits.back()}, .theta = shares} : own;
}

/// The expected number of live channels of every node's output.
class LiveChannels {
 public:
  LiveChannels(const Graph& graph, const View& view) : graph_(graph) {
    const Origins origins = channel_origins(graph);
    for (size_t i = 0; i < graph.nodes.size(); ++i) {
      const Node& node = graph.nodes[i];
      weights_.push_back(node.is_layer() ? weight_precisions(graph, node, origins[i], view) : Precisions{});
      if (node.is_layer() && !passes_channels(node)) {
        out_.push_back(live_channels(weights_[i], node.shape[0]));
      } else if (makes_channels(node)) {
        out_.emplace_back(static_cast<double>(node.shape[0]));
      } else if (node.channels() == op::Channels::moved) {
        out_.push_back(among(origins[i]));
      } else {
        out_.push_back(out_[static_cast<size_t>(node.inputs[0])]);
      }
    }
  }

  const std::vector<Value>& of_nodes() const { return out_; }
  const Precisions& weights(size_t layer) const { return weights_[layer]; }

 private:
  Value among(const std::vector<ChannelOrigin>& channels) const {
    std::map<int, std::vector<double>> times;  // by node: how often each of its channels occurs
    for (const ChannelOrigin& c : channels) {
      std::vector<double>& of_node = times[c.node];
      of_node.resize(static_cast<size_t>(graph_.nodes[static_cast<size_t>(c.node)].shape[0]));
      ++of_node[static_cast<size_t>(c.channel)];
    }
    std::vector<Value> terms;
    for (const auto& [node, of_node] : times) terms.push_back(counted(static_cast<size_t>(node), of_node));
    return terms.size() == 1 ? terms[0] : sum(terms);
  }

  Value counted(size_t node, const std::vector<double>& times) const {
    if (std::ranges::count(times, times[0]) == std::ssize(times)) return scale(out_[node], times[0]);
    const Precisions& weights = weights_[node];
    if (weights.bits.empty() || weights.bits[0] != 0) return std::accumulate(times.begin(), times.end(), 0.0);
    return weights.expected(live_at(weights), times);
  }

  const Graph& graph_;
  std::vector<Precisions> weights_;  // by node
  std::vector<Value> out_;
};

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
          .stride = shape.stride,
          .dilation = shape.dilation,
          .weights = weights,
          .input = input.precisions,
          .live_inputs = shape.groups > 1 ? static_cast<double>(inputs) : input.live_channels};
}

Network network_of(const Graph& graph, const View& view) {
  Network network{.graph = graph, .layers = {}, .activations = {}};
  const std::vector<bool> needed = needed_nodes(graph);
  const std::vector<bool> is_output = only_outputs(graph);
  const LiveChannels live(graph, view);
  for (size_t i = 0; i < graph.nodes.size(); ++i) {
    const Node& node = graph.nodes[i];
    network.activations.push_back({.precisions = view.activations(graph.slot_of(static_cast<int>(i)), is_output[i]),
                                   .live_channels = live.of_nodes()[i],
                                   .positions = node.shape.size() / node.shape[0]});
    if (!node.is_layer() || !needed[i]) continue;
    network.layers.push_back(layer_of(node, live.weights(i), network.activations[static_cast<size_t>(node.inputs[0])]));
  }
  return network;
}

}  // namespace

Value Precisions::expected(const std::vector<double>& values, const std::vector<double>& times) const {
  const auto columns = static_cast<size_t>(theta.size()) / bits.size();
  if (values.size() != bits.size()) {
    bad_input("[expected] {} values for {} bit-widths: expected one each", values.size(), bits.size());
  }
  const std::span<const float> shares = theta.data();
  double number = 0;
  for (size_t p = 0; p < bits.size(); ++p) {
    for (size_t c = 0; c < columns; ++c) number += values[p] * shares[p * columns + c] * (times.empty() ? 1 : times[c]);
  }
  if (!theta.needs_grad()) return number;
  return {number, expectation(theta, values, times)};
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
  CostOfOther of_other;

  Value operator()(const Network& network) const {
    std::vector<Value> terms;
    for (const Layer& layer : network.layers) terms.push_back(of_layer(layer));
    const std::vector<bool> needed = of_other ? needed_nodes(network.graph) : std::vector<bool>();
    for (size_t i = 1; i < needed.size(); ++i) {
      const Node& node = network.graph.nodes[i];
      if (needed[i] && !node.is_layer())
        terms.push_back(
            of_other(node, network.activations[static_cast<size_t>(node.inputs[0])], network.activations[i]));
    }
    return sum(terms);
  }
};

}  // namespace

Model sum_over_layers(std::string name, std::string unit, std::string help, std::function<Value(const Layer&)> of_layer,
                      CostOfOther of_other) {
  return {.name = std::move(name),
          .unit = std::move(unit),
          .help = std::move(help),
          .of_network = SumOverLayers{.of_layer = std::move(of_layer), .of_other = std::move(of_other)}};
}

Tensor soft(const Graph& graph, const Model& model, const Thetas& thetas) {
  return model.of_network(network_of(graph, view_of([&](const auto& slot) { return thetas.at(&slot); })));
}

double discrete(const Graph& graph, const Model& model) {
  return model.of_network(network_of(graph, arg_max_view())).item();
}

std::vector<std::pair<std::string, double>> by_layer(const Graph& graph, const Model& model) {
  std::vector<std::pair<std::string, double>> out;
  const auto* sum_of = model.of_network.target<SumOverLayers>();
  if (sum_of == nullptr) return out;
  for (const Layer& layer : network_of(graph, arg_max_view()).layers)
    out.emplace_back(layer.name, sum_of->of_layer(layer).item());
  return out;
}

Meter::Meter(const Graph& graph, Model model)
    : graph_(graph),
      model_(std::move(model)),
      needed_(needed_nodes(graph)),
      origins_(channel_origins(graph)),
      counted_(graph.nodes.size()) {}

double Meter::operator()() {
  const auto* sum_of = model_.of_network.target<SumOverLayers>();
  if (sum_of == nullptr) return discrete(graph_, model_);
  const View view = arg_max_view();
  double total = 0;
  for (size_t i = 1; i < counted_.size(); ++i) {
    const Node& node = graph_.nodes[i];
    if (!needed_[i] || (!node.is_layer() && !sum_of->of_other)) continue;
    const auto from = static_cast<size_t>(node.inputs[0]);
    const ActivationSlot* input = graph_.input_slot(node);
    const int input_bits = input == nullptr ? float_bits : input->precisions[0];
    const std::vector<int> no_bits, &bits = node.weight_slot ? node.weight_slot->bits : no_bits;
    const int64_t live_inputs = mixgrad::live_channels(graph_, origins_, from),
                  live_outputs = mixgrad::live_channels(graph_, origins_, i);
    const auto is_current = [&](const Counted& c) {
      return c.live_inputs == live_inputs && c.live_outputs == live_outputs && c.input_bits == input_bits &&
             c.weight_bits == bits;
    };
    auto& [counted, before] = counted_[i];
    if (!is_current(counted)) std::swap(counted, before);
    if (!is_current(counted)) {
      const auto activation = [&](size_t n, int activation_bits, int64_t live) -> Activation {
        const Shape& shape = graph_.nodes[n].shape;
        return {.precisions = single(activation_bits),
                .live_channels = static_cast<double>(live),
                .positions = shape.size() / shape[0]};
      };
      const Activation in = activation(from, input_bits, live_inputs);
      const Value cost = node.is_layer()
                             ? sum_of->of_layer(layer_of(node, weight_precisions(graph_, node, origins_[i], view), in))
                             : sum_of->of_other(node, in, activation(i, float_bits, live_outputs));
      counted = {.weight_bits = bits,
                 .input_bits = input_bits,
                 .live_inputs = live_inputs,
                 .live_outputs = live_outputs,
                 .cost = cost.item()};
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
  return {size(),        flash(),        macs(),        params(),   ops(),       mpic_latency(),
          mpic_energy(), ne16_latency(), activations(), peak_ram(), packed_ram()};
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

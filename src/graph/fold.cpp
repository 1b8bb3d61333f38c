// SPDX-License-Identifier: Apache-2.0
// Folds batch norms out of a traced graph (SPEC §5). In evaluation a batch norm is y = a x + b per channel, so the
// layers before or after it can absorb it into their weights and biases; otherwise it becomes a layer of its own.
#include <mixgrad/error.h>
#include <mixgrad/graph.h>

#include <src/internal/channels.h>
#include <src/internal/matrix.h>

#include <fmt/core.h>

#include <algorithm>
#include <map>

namespace mixgrad {
namespace {

/// y = a x + b for each channel, or for each feature after a flatten.
struct Affine {
  Eigen::ArrayXd a, b;
};

Eigen::ArrayXd doubles(const Tensor& vector) { return as_rows(vector.data(), vector.size()).cast<double>().array(); }

/// Writes `values`, rounded, to a vector.
void put(const Tensor& vector, const Eigen::ArrayXd& values) {
  as_rows(vector.data(), vector.size()) = values.cast<float>();
}

Affine affine_of(const Node& norm) {
  const Eigen::ArrayXd gamma = doubles(norm.params[0]), beta = doubles(norm.params[1]), mean = doubles(norm.params[2]),
                       variance = doubles(norm.params[3]);
  const Eigen::ArrayXd a = gamma / (variance + norm.as<op::BatchNorm>()->attrs.eps).sqrt();
  return {.a = a, .b = beta - mean * a};
}

Affine halved_shift(const Affine& map) { return {.a = map.a, .b = map.b / 2}; }

Affine identity(int64_t channels) { return {.a = Eigen::ArrayXd::Ones(channels), .b = Eigen::ArrayXd::Zero(channels)}; }

/// Makes the layer compute a y + b instead of y.
void apply_to_output(Node& layer, const Affine& map) {
  Tensor w = layer.weight().clone();
  Tensor bias = layer.bias() ? layer.bias().clone() : Tensor::zeros({w.dim(0)});
  auto rows = as_rows(w.data(), w.dim(0)).array();
  rows = (rows.cast<double>().colwise() * map.a).cast<float>();
  put(bias, doubles(bias) * map.a + map.b);
  layer.params = {w.requires_grad(), bias.requires_grad()};
}

/// Makes the layer accept x where its input was a x + b.
void apply_to_input(Node& layer, const Affine& map) {
  Tensor w = layer.weight().clone();
  Tensor bias = layer.bias() ? layer.bias().clone() : Tensor::zeros({w.dim(0)});
  const int64_t rows = w.dim(0), row = w.size() / rows, inputs = w.dim(1);  // inputs per group, innermost in memory
  const int64_t rows_per_group = rows / layer.layer_shape().groups;
  for (int64_t o = 0; o < rows; ++o) {
    double shift = 0;
    for (int64_t k = 0; k < row; ++k) {
      const int64_t c = o / rows_per_group * inputs + k % inputs;
      float& v = w.data()[static_cast<size_t>(o * row + k)];
      shift += v * map.b[c];
      v = static_cast<float>(v * map.a[c]);
    }
    float& b = bias.data()[static_cast<size_t>(o)];
    b = static_cast<float>(b + shift);
  }
  layer.params = {w.requires_grad(), bias.requires_grad()};
}

/// Makes the batch norm accept x where its input was a x + b.
void compose(Node& norm, const Affine& map) {
  const Affine own = affine_of(norm);
  const int64_t channels = own.a.size();
  Tensor gamma = Tensor::empty({channels}), beta = Tensor::empty({channels});
  put(gamma, own.a * map.a);
  put(beta, own.a * map.b + own.b);
  norm.as<op::BatchNorm>()->attrs.eps = 0;
  norm.params = {gamma.requires_grad(), beta.requires_grad(), Tensor::zeros({channels}), Tensor::full({channels}, 1)};
}

/// Makes the batch norm a layer.
void make_affine(Node& norm) {
  const Affine map = affine_of(norm);
  const Tensor weight = Tensor::empty({map.a.size()}), bias = Tensor::empty({map.b.size()});
  put(weight, map.a);
  put(bias, map.b);
  norm.op = op::Affine{};
  norm.params = {weight.clone().requires_grad(), bias.clone().requires_grad()};
}

template <typename Attrs>
bool pads(const Attrs& attrs) {
  return std::ranges::any_of(attrs.padding, [](int64_t p) { return p != 0; });
}

bool is_pool(const Node& node) { return node.as<op::MaxPool2d>() || node.as<op::AvgPool2d>(); }

/// Whether a batch norm can be moved through this pooling.
bool commutes(const Node& pool, const Affine& map) {
  if (const auto* average = pool.as<op::AvgPool2d>()) return !pads(average->attrs) || !average->attrs.count_padding;
  return (map.a >= 0).all();
}

/// Whether every output value is a copy of an input value of the channel that sources_of names.
bool copies_values(const Node& node) {
  return node.as<op::Flatten>() || node.as<op::Concat>() || node.as<op::SelectChannels>() || node.as<op::Upsample2d>();
}

/// Folds one batch norm: first finds the nodes that would absorb it, and changes them only if all can.
class Fold {
 public:
  Fold(Graph& graph, int norm) : graph_(graph), norm_(norm) {}

  void run() {
    const Affine map = affine_of(node(norm_));
    if (!up_to(node(norm_).inputs[0], map)) {
      outputs_.clear();
      if (!down_from(norm_, map)) return make_affine(node(norm_));
    }
    for (const auto& [i, m] : outputs_) apply_to_output(node(i), m);
    for (const auto& [i, m] : inputs_) {
      if (node(i).is_layer()) {
        apply_to_input(node(i), m);
      } else {
        compose(node(i), m);
      }
    }
    redirect(graph_, norm_, node(norm_).inputs[0]);
  }

 private:
  Node& node(int i) const { return graph_.nodes[static_cast<size_t>(i)]; }

  bool weights_are_shared(int i) const {
    const auto shares = [&](const Node& n) {
      return &n != &node(i) && n.is_layer() && n.weight().is(node(i).weight());
    };
    return std::ranges::any_of(graph_.nodes, shares);
  }

  /// Collects the layers that can apply `map` to node i's value; false if not all can.
  bool up_to(int i, const Affine& map) {
    const Node& n = node(i);
    if (graph_.output == i || graph_.consumers(i).size() > 1 || n.activation != Activation::none) return false;
    if (n.is_layer()) {
      outputs_[i] = map;
      return !weights_are_shared(i);
    }
    if (n.as<op::Add>()) {  // each operand gets half of the shift; an Add may read one tensor twice
      const Affine half = halved_shift(map);
      return up_to(n.inputs[0], half) && (n.inputs[1] == n.inputs[0] || up_to(n.inputs[1], half));
    }
    if (is_pool(n)) return commutes(n, map) && up_to(n.inputs[0], map);
    return copies_values(n) && up_through(n, map);
  }

  /// The same for the values that a node copies: each must be mapped in one way.
  bool up_through(const Node& n, const Affine& map) {
    std::map<int, Affine> maps;  // by input
    std::map<int, std::vector<bool>> mapped;
    for (const int input : n.inputs) {
      const int64_t channels = node(input).shape[0];
      maps.insert_or_assign(input, identity(channels));
      mapped[input].assign(static_cast<size_t>(channels), false);
    }
    int64_t c = 0;
    for (const auto& [from, channel] : sources_of(graph_, n)) {
      Affine& own = maps.at(n.inputs[from]);
      const bool again = mapped.at(n.inputs[from])[static_cast<size_t>(channel)];
      if (again && (own.a[channel] != map.a[c] || own.b[channel] != map.b[c])) return false;
      mapped.at(n.inputs[from])[static_cast<size_t>(channel)] = true;
      own.a[channel] = map.a[c];
      own.b[channel] = map.b[c];
      ++c;
    }
    return std::ranges::all_of(maps, [&](const auto& of) { return up_to(of.first, of.second); });
  }

  /// Collects the nodes that read `map` of node i's value and must change to read the value itself; false if not all
  /// can.
  bool down_from(int i, const Affine& map) {
    return graph_.output != i && std::ranges::all_of(graph_.consumers(i), [&](int c) { return into(c, i, map); });
  }

  /// The same for node i, which reads node `from`'s.
  bool into(int i, int from, const Affine& map) {
    const Node& n = node(i);
    if (n.as<op::Linear>() || n.as<op::BatchNorm>() || n.as<op::Conv2d>()) {
      const auto* conv = n.as<op::Conv2d>();
      absorb(i, map);
      return !(conv && pads(conv->attrs)) && !(n.is_layer() && weights_are_shared(i));
    }
    if (is_pool(n)) return commutes(n, map) && down_from(i, map);
    return copies_values(n) && down_through(i, from, map);
  }

  /// Lets a node absorb `map` from its input. Two paths to it through a Concat map different channels.
  void absorb(int i, const Affine& map) {
    const auto [known, is_new] = inputs_.try_emplace(i, map);
    if (!is_new) known->second = {.a = map.a * known->second.a, .b = map.a * known->second.b + map.b};
  }

  /// The same for a node that copies values.
  bool down_through(int i, int from, const Affine& map) {
    const Node& n = node(i);
    Affine out = identity(n.shape[0]);
    int64_t c = 0;
    for (const auto& [input, channel] : sources_of(graph_, n)) {
      if (n.inputs[input] == from) out.a[c] = map.a[channel], out.b[c] = map.b[channel];
      ++c;
    }
    return down_from(i, out);
  }

  Graph& graph_;
  int norm_;
  std::map<int, Affine> outputs_, inputs_;  // by node: the map to apply to its output, or to absorb from its input
};

}  // namespace

void fold_batch_norm(Graph& graph) {
  for (int i = 1; i < std::ssize(graph.nodes); ++i) {
    const Node& norm = graph.nodes[static_cast<size_t>(i)];
    if (!norm.as<op::BatchNorm>()) continue;
    if (!graph.weight_slots().empty() || !graph.activation_slots().empty()) {
      bad_input("cannot fold batch norm '{}': it must be folded before quantizers are placed", norm.name);
    }
    Fold(graph, i).run();
  }
  drop_unused(graph);
}

}  // namespace mixgrad

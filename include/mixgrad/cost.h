// SPDX-License-Identifier: Apache-2.0
// Cost models: the cost of a network on a device, differentiable in every α (SPEC §6).
#pragma once

#include <mixgrad/graph.h>
#include <mixgrad/tensor.h>

#include <array>
#include <functional>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

namespace mixgrad::cost {

/// A cost or a part of one: a double and, if it depends on a trained θ, its tensor on the tape. The functions below
/// combine values and carry the gradient of the op of the same name. A Value converts from and to scalar tensors, so
/// any other op can be part of a cost, in float32.
class Value {
 public:
  Value(double number = 0) : number_(number) {}
  Value(const Tensor& scalar);
  /// For a function with its own gradient; `tensor` is its result on the tape.
  Value(double number, Tensor tensor) : number_(number), tensor_(std::move(tensor)) {}

  double item() const { return number_; }
  bool needs_grad() const { return bool(tensor_); }
  operator Tensor() const;

 private:
  double number_;
  Tensor tensor_;  // none: independent of everything trained
};

/// factor · a · b
Value product(const Value& a, const Value& b, double factor = 1);
inline Value product(const Tensor& a, const Value& b, double factor = 1) { return product(Value(a), b, factor); }
inline Value product(const Value& a, const Tensor& b, double factor = 1) { return product(a, Value(b), factor); }
/// Σ terms
Value sum(std::span<const Value> terms);
/// factor · x
Value scale(const Value& x, double factor);
/// ⌈x / divisor⌉, straight-through: its gradient is 1 / divisor.
Value ceil_div(const Value& x, double divisor);

/// Bit-widths and their probabilities: a mixture's θ, or one-hot.
struct Precisions {
  std::vector<int> bits;
  Tensor theta;  ///< [P], or [P, C_out] for weights chosen per channel

  /// Σ θ_p values_p, one value per candidate; summed over channels if θ is per channel, each counted `times` if given.
  Value expected(const std::vector<double>& values, const std::vector<double>& times = {}) const;
  /// E[b] = Σ θ_p b_p, summed the same way.
  Value expected_bits() const;
};

/// The kinds of layer that cost models distinguish.
enum class LayerKind { conv2d, depthwise, linear, conv_transpose2d };
inline constexpr std::array layer_kinds{LayerKind::conv2d, LayerKind::depthwise, LayerKind::linear,
                                        LayerKind::conv_transpose2d};
const char* name_of(LayerKind kind);

/// One conv or linear layer, as a cost model sees it.
struct Layer {
  std::string name;
  LayerKind kind;
  int64_t c_in, c_out, groups;
  std::array<int64_t, 2> kernel;  ///< 1 × 1 for linear layers
  std::array<int64_t, 2> output;  ///< OH, OW; 1 × 1 for linear layers; of a transposed convolution the input's H, W,
                                  ///< at which its kernel is applied
  std::array<int64_t, 2> stride, dilation;  ///< 1 for linear layers and transposed convolutions
  Precisions weights, input;
  Value live_inputs;  ///< expected live input channels that one output channel reads: C_in,eff; depthwise 1;
                      ///< grouped C_in / groups

  int64_t kernel_positions() const { return kernel[0] * kernel[1]; }
  int64_t output_positions() const { return output[0] * output[1]; }
  /// Expected number of output channels with candidate p.
  Value channels_at(size_t p) const;
  /// Σ_p values_p channels_at(p), one value per candidate.
  Value over_channels(const std::vector<double>& values) const;
  /// Σ_c E[b_w,c]
  Value weight_bits_over_channels() const;
  /// Expected number of output channels that are not pruned.
  Value live_outputs() const;
};

/// The value of one node: a tensor in the device's memory.
struct Activation {
  Precisions precisions;
  Value live_channels;  ///< expected
  int64_t positions;    ///< elements per channel
};

/// A whole network, as a cost model sees it.
struct Network {
  const Graph& graph;
  std::vector<Layer> layers;            ///< those that lead to the output, in execution order
  std::vector<Activation> activations;  ///< by node
};

/// A cost model: a name, what it counts, and one function of Values or of any differentiable ops on scalars. The
/// function throws bad_input naming a layer that it has no cost for.
struct Model {
  std::string name;
  std::string unit;
  std::string help;  ///< one line
  std::function<Value(const Network&)> of_network;
  /// Optional: explains the cost of a discrete network, in a phrase for messages.
  std::function<std::string(const Network&)> reason = {};
};

/// The cost of a node that is not a layer, from its first input and its output.
using CostOfOther = std::function<Value(const Node&, const Activation& input, const Activation& output)>;
/// A sum over layers and, with `of_other`, over the other nodes that the output depends on.
Model sum_over_layers(std::string name, std::string unit, std::string help, std::function<Value(const Layer&)> of_layer,
                      CostOfOther of_other = {});

/// Costs of operators, as a device's programs take them.
struct Table {
  /// Of an operator, beside multiply-accumulates. Counts are expected ones where channels can be pruned.
  struct Rates {
    double per_output = 0;  ///< value that it computes
    double per_input = 0;   ///< value of its first input; of a layer, as often as an output position reads it
    double per_row = 0;     ///< row of a layer's kernel, for every output position
  };

  std::string name, unit;
  int64_t tile = 1;  ///< the channels of each precision count in whole tiles (straight-through)
  std::map<std::tuple<LayerKind, int, int>, double> per_mac;  ///< by kind of layer, input bits and weight bits
  std::map<std::string, Rates> operators = {};  ///< by kind of layer or name of another operator; no entry: no cost
};

/// How often an operator counts each of its rates.
struct Counts {
  Value outputs, inputs, rows;
};
Counts counts_of(const Layer& layer);
Counts counts_of(const Activation& input, const Activation& output);

Model look_up(Table table, std::string help);
/// Reads a table from a TOML file (docs/formats.md, Cost tables). Throws bad_input naming file and entry.
Table read_table(const std::string& path);
/// The text of such a file. `comment`: a line for its beginning.
std::string to_toml(const Table& table, const std::string& comment);

Model size();
Model flash();
Model macs();
Model params();
Model ops();
Model mpic_latency();
Model mpic_energy();
Model ne16_latency();
Model activations();
Model peak_ram();
Model packed_ram();

/// The built-in model called `name`, or the look-up table "table:FILE.toml". Throws bad_input listing the names if
/// there is no such model.
Model find(const std::string& name);
/// The built-in models.
std::vector<Model> all();
std::vector<std::string> names();

/// The cost at the θ of a step: a scalar on the tape.
Tensor soft(const Graph& graph, const Model& model, const Thetas& thetas);
/// The cost at the arg max precisions, as reports show it.
double discrete(const Graph& graph, const Model& model);
/// Repeated discrete() of a graph with fixed slots whose bits change between calls: only layers that changed are
/// counted again. Keeps a reference to the graph.
class Meter {
 public:
  Meter(const Graph& graph, Model model);
  double operator()();

 private:
  struct Counted {
    std::vector<int> weight_bits = {};
    int input_bits = 0;
    int64_t live_inputs = -1, live_outputs = -1;
    double cost = 0;
  };

  const Graph& graph_;
  Model model_;
  std::vector<bool> needed_;
  std::vector<std::vector<ChannelOrigin>> origins_;
  std::vector<std::array<Counted, 2>> counted_;  // by node: the last ones, since moves are tried and undone
};
/// The cost with every weight and activation at `bits` and a float output.
double uniform(const Graph& graph, const Model& model, int bits);
/// Explains the cost of a discrete graph, or "" if the model can't. For activations and peak-ram: the node at the peak,
/// and the tensors alive there with their sizes.
std::string reason(const Graph& graph, const Model& model);
/// What each layer of a discrete graph adds to the cost, with its name, in execution order; nothing unless the model is
/// a sum over layers.
std::vector<std::pair<std::string, double>> by_layer(const Graph& graph, const Model& model);
/// The result of `cost`, or nothing if the model has no cost for one of the layers or its bit-widths.
std::optional<double> if_defined(const std::function<double()>& cost);

}  // namespace mixgrad::cost

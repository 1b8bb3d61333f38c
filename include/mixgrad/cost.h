// SPDX-License-Identifier: Apache-2.0
// Cost models: what a network costs on a device, differentiable in every α (SPEC §6).
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

/// A cost, or a part of one: a number in double and, where a trained θ leads to it, that on the tape. The functions
/// below make new ones of it, each with the gradient of the op of its name. A Value converts from and to scalar
/// tensors, so any other op can be part of a cost, in float32.
class Value {
 public:
  Value(double number = 0) : number_(number) {}
  Value(const Tensor& scalar);
  /// For a function with a gradient of its own: `tensor` is what it gives on the tape.
  Value(double number, Tensor tensor) : number_(number), tensor_(std::move(tensor)) {}

  double item() const { return number_; }
  bool needs_grad() const { return bool(tensor_); }
  operator Tensor() const;

 private:
  double number_;
  Tensor tensor_;  // none: nothing that is trained leads here
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

  /// Σ θ_p values_p, summed over channels where θ has them. One value a candidate.
  Value expected(const std::vector<double>& values) const;
  /// E[b] = Σ θ_p b_p, likewise.
  Value expected_bits() const;
};

/// What cost models tell layers apart by.
enum class LayerKind { conv2d, depthwise, linear };
inline constexpr std::array layer_kinds{LayerKind::conv2d, LayerKind::depthwise, LayerKind::linear};
const char* name_of(LayerKind kind);

/// One conv or linear layer, as a cost model sees it.
struct Layer {
  std::string name;
  LayerKind kind;
  int64_t c_in, c_out, groups;
  std::array<int64_t, 2> kernel;  ///< 1 × 1 for linear layers
  std::array<int64_t, 2> output;  ///< OH, OW; 1 × 1 for linear layers
  Precisions weights, input;
  Value live_inputs;  ///< expected live input channels that one output channel reads: C_in,eff; depthwise 1;
                      ///< grouped C_in / groups

  int64_t kernel_positions() const { return kernel[0] * kernel[1]; }
  int64_t output_positions() const { return output[0] * output[1]; }
  /// Expected number of output channels at candidate p, or summed with one weight a candidate.
  Value channels_at(size_t p) const;
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
  std::vector<Layer> layers;            ///< that lead to the output, in execution order
  std::vector<Activation> activations;  ///< by node
};

/// A cost model: a name, what it counts, and one function, of Values or of any differentiable ops on scalars. It throws
/// bad_input naming the layer that it has no cost for.
struct Model {
  std::string name;
  std::string unit;
  std::string help;  ///< one line
  std::function<Value(const Network&)> of_network;
  /// Optional: what makes a discrete network cost what it does, a phrase for messages.
  std::function<std::string(const Network&)> reason = {};
};

/// A model that adds up layers, and what the rest of the network costs, if anything, whatever the bits.
Model sum_over_layers(std::string name, std::string unit, std::string help, std::function<Value(const Layer&)> of_layer,
                      std::function<double(const Graph&)> of_rest = {});

/// Cost per multiply-accumulate, by kind of layer, input bits and weight bits. With
/// tiles, the channels of one precision are counted up to the next whole tile (straight-through).
struct Table {
  std::string name, unit;
  int64_t tile = 1;
  std::map<std::tuple<LayerKind, int, int>, double> per_mac;
};
Model look_up(Table table, std::string help);
/// A table from a TOML file: unit, tile (optional), and [[cost]] entries with op, input-bits, weight-bits and
/// per-mac. Throws bad_input naming file and entry.
Table read_table(const std::string& path);

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

/// The built-in model called `name`, or the look-up table "table:FILE.toml"; bad_input lists the names when there is
/// none.
Model find(const std::string& name);
/// The built-in models.
std::vector<Model> all();
std::vector<std::string> names();

/// At the θ of a step. A scalar on the tape.
Tensor soft(const Graph& graph, const Model& model, const Thetas& thetas);
/// The same of the arg max precisions: what reports show.
double discrete(const Graph& graph, const Model& model);
/// discrete() again and again, of a graph with fixed slots whose bits change between calls: layers that are as they
/// were are not counted anew. The graph must stay where it is.
class Meter {
 public:
  Meter(const Graph& graph, Model model);
  double operator()();

 private:
  struct Counted {
    std::vector<int> weight_bits = {};
    int input_bits = 0;
    int64_t live_inputs = -1;
    double cost = 0;
  };

  const Graph& graph_;
  Model model_;
  std::vector<bool> needed_;
  std::vector<Counted> layers_;  // by node
  double rest_ = 0;
};
/// The same with every weight and activation at `bits`, the network's output a float.
double uniform(const Graph& graph, const Model& model, int bits);
/// What makes a discrete graph cost what it does, or "" where the model can't tell: for activations and peak-ram
/// the node at whose moment they peak, and the tensors that need it with their sizes.
std::string reason(const Graph& graph, const Model& model);
/// What `cost` returns; nothing where a model has no cost of one of the layers or of its bit-widths.
std::optional<double> if_defined(const std::function<double()>& cost);

}  // namespace mixgrad::cost

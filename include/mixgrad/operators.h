// SPDX-License-Identifier: Apache-2.0
// The operators of a graph. Each is a struct with its attributes and everything that the library asks of an operator;
// if a member is missing, it does not compile. docs/extending.md describes how to add one.
#pragma once

#include <mixgrad/attrs.h>

#include <array>
#include <cstdint>
#include <string_view>
#include <variant>
#include <vector>

namespace mixgrad {

class Shape;
struct Node;
struct Value;
struct RunContext;
struct LoweringContext;

/// An elementwise function, applied by a node to its output or as a separate node (op::Activate).
enum class Activation { none, relu, relu6 };

namespace op {

/// The quantizer of an operator's output (SPEC §5).
enum class Quantizer {
  own,     ///< its own
  coded,   ///< its own, even at the network's end: it computes codes from codes
  joint,   ///< its own; its inputs share another, because it computes on their codes
  passed,  ///< its input's, because it passes on codes
  none,    ///< none: real values
};

/// How an operator's output channels depend on its input channels.
enum class Channels {
  made,       ///< new channels, each from all input channels
  grouped,    ///< new channels, each from the input channels of its group
  depthwise,  ///< one per input channel; both are kept or removed together
  passed,     ///< the input's channels; a layer's are removed with them
  moved,      ///< channels of the inputs, as the operator's `sources` say
  tied,       ///< the inputs' channels, which must be equal
};

/// Which channel of which input an output channel is.
struct ChannelSource {
  size_t input;
  int64_t channel;
};
using ChannelSources = std::vector<ChannelSource>;

/// `Op::inputs` of an operator with one or more.
constexpr int several = -1;

/// What happens to a ReLU that is the only consumer of an operator's output.
enum class ReluBehind {
  joins,   ///< is fused into the node (Node::activation)
  passes,  ///< commutes with the operator, so it may be fused into the node before
  stays,   ///< remains a separate node
};

/// Whether an operator's output may take the memory of an input that no later operator reads.
enum class Overlap {
  none,      ///< it must not
  in_place,  ///< it may overwrite an input of the same size
  in_order,  ///< it may run into its only input, whose positions it reads in order: it has a `sweep`
};

/// Rows and columns of the input that an operator reads for those of its output: for row y, from
/// (stride y - before) / apart on, rounded up.
struct Sweep {
  std::array<int64_t, 2> input{1, 1}, output{1, 1};  ///< sizes
  std::array<int64_t, 2> stride{1, 1}, before{0, 0}, apart{1, 1};
  int64_t rows = 1;  ///< under the kernel
};

/// Bytes of a node's constants in the C package, not counting a layer's.
struct ConstantBytes {
  int64_t fixed = 0;
  int64_t per_channel = 0;
  bool table = false;  ///< one byte for each code of the input

  constexpr ConstantBytes(int64_t each, int64_t each_channel = 0, bool has_table = false)
      : fixed(each), per_channel(each_channel), table(has_table) {}
};

/// The geometry of a layer with weights [O, I / groups, kernel].
struct LayerShape {
  int64_t groups = 1;
  std::array<int64_t, 2> kernel{1, 1};
  std::array<int64_t, 2> positions{1, 1};  ///< rows and columns at which the kernel is applied
  std::array<int64_t, 2> stride{1, 1};     ///< of those positions in the input, if it is not transposed
  std::array<int64_t, 2> dilation{1, 1};
};

struct Input {
  static constexpr const char* name() { return "input"; }
  static constexpr std::array<const char*, 0> parameters{};  ///< names of Node::params; only the bias is optional
  static constexpr int inputs = 0;                           ///< a number, or `several`
  static constexpr bool is_layer = false;  ///< has a layer_shape, a bias, and weights that a WeightSlot may quantize
  static constexpr Quantizer quantizer = Quantizer::own;
  static constexpr ReluBehind relu_behind = ReluBehind::stays;
  static constexpr Overlap overlap = Overlap::none;
  static constexpr ConstantBytes constant_bytes = 0;

  Channels channels(const Node&) const { return Channels::made; }
  Value run(const RunContext& c) const;  ///< on real values, or on the codes of fixed quantizers
  /// Emits its integer form; throws bad_input naming the node if it has none.
  void lower(LoweringContext& c) const;
};

struct Conv2d {
  static constexpr const char* name() { return "conv2d"; }
  static constexpr std::array parameters{"weight", "bias"};
  static constexpr int inputs = 1;
  static constexpr bool is_layer = true;
  static constexpr Quantizer quantizer = Quantizer::own;
  static constexpr ReluBehind relu_behind = ReluBehind::joins;
  static constexpr Overlap overlap = Overlap::in_order;
  static constexpr ConstantBytes constant_bytes = 0;
  Conv2dAttrs attrs = {};

  Channels channels(const Node& node) const;
  LayerShape layer_shape(const Node& node) const;
  Sweep sweep(const Node& node, const Shape& input) const;
  Value run(const RunContext& c) const;
  void lower(LoweringContext& c) const;
};

/// Weights [O, I / groups, KH, KW], one row per output channel as in Conv2d.
struct ConvTranspose2d {
  static constexpr const char* name() { return "conv_transpose2d"; }
  static constexpr std::array parameters{"weight", "bias"};
  static constexpr int inputs = 1;
  static constexpr bool is_layer = true;
  static constexpr Quantizer quantizer = Quantizer::own;
  static constexpr ReluBehind relu_behind = ReluBehind::joins;
  static constexpr Overlap overlap = Overlap::in_order;
  static constexpr ConstantBytes constant_bytes = 0;
  ConvTranspose2dAttrs attrs = {};

  Channels channels(const Node& node) const;
  LayerShape layer_shape(const Node& node) const;
  Sweep sweep(const Node& node, const Shape& input) const;
  Value run(const RunContext& c) const;
  void lower(LoweringContext& c) const;
};

struct Linear {
  static constexpr const char* name() { return "linear"; }
  static constexpr std::array parameters{"weight", "bias"};
  static constexpr int inputs = 1;
  static constexpr bool is_layer = true;
  static constexpr Quantizer quantizer = Quantizer::own;
  static constexpr ReluBehind relu_behind = ReluBehind::joins;
  static constexpr Overlap overlap = Overlap::in_order;
  static constexpr ConstantBytes constant_bytes = 0;

  Channels channels(const Node&) const { return Channels::made; }
  LayerShape layer_shape(const Node& node) const;
  Sweep sweep(const Node& node, const Shape& input) const;
  Value run(const RunContext& c) const;
  void lower(LoweringContext& c) const;
};

struct Add {
  static constexpr const char* name() { return "add"; }
  static constexpr std::array<const char*, 0> parameters{};
  static constexpr int inputs = 2;
  static constexpr bool is_layer = false;
  static constexpr Quantizer quantizer = Quantizer::joint;
  static constexpr ReluBehind relu_behind = ReluBehind::joins;
  static constexpr Overlap overlap = Overlap::in_place;
  static constexpr ConstantBytes constant_bytes = 4 + 1;  // multiplier, shift

  Channels channels(const Node&) const { return Channels::tied; }
  Value run(const RunContext& c) const;
  void lower(LoweringContext& c) const;
};

struct MaxPool2d {
  static constexpr const char* name() { return "max_pool2d"; }
  static constexpr std::array<const char*, 0> parameters{};
  static constexpr int inputs = 1;
  static constexpr bool is_layer = false;
  static constexpr Quantizer quantizer = Quantizer::passed;
  static constexpr ReluBehind relu_behind = ReluBehind::passes;
  static constexpr Overlap overlap = Overlap::in_order;
  static constexpr ConstantBytes constant_bytes = 16 * 4;  // sizes
  Pool2dAttrs attrs = {};

  Channels channels(const Node&) const { return Channels::passed; }
  Sweep sweep(const Node& node, const Shape& input) const;
  Value run(const RunContext& c) const;
  void lower(LoweringContext& c) const;
};

struct AvgPool2d {
  static constexpr const char* name() { return "avg_pool2d"; }
  static constexpr std::array<const char*, 0> parameters{};
  static constexpr int inputs = 1;
  static constexpr bool is_layer = false;
  static constexpr Quantizer quantizer = Quantizer::passed;
  static constexpr ReluBehind relu_behind = ReluBehind::stays;
  static constexpr Overlap overlap = Overlap::in_order;
  static constexpr ConstantBytes constant_bytes = 16 * 4;  // sizes
  Pool2dAttrs attrs = {};

  Channels channels(const Node&) const { return Channels::passed; }
  Sweep sweep(const Node& node, const Shape& input) const;
  Value run(const RunContext& c) const;
  void lower(LoweringContext& c) const;
};

/// [C, H, W] to [C H W].
struct Flatten {
  static constexpr const char* name() { return "flatten"; }
  static constexpr std::array<const char*, 0> parameters{};
  static constexpr int inputs = 1;
  static constexpr bool is_layer = false;
  static constexpr Quantizer quantizer = Quantizer::passed;
  static constexpr ReluBehind relu_behind = ReluBehind::passes;
  static constexpr Overlap overlap = Overlap::none;
  static constexpr ConstantBytes constant_bytes = 0;

  Channels channels(const Node&) const { return Channels::moved; }
  /// Of output channels that read inputs with these numbers of channels.
  ChannelSources sources(const std::vector<int64_t>& channels, int64_t outputs) const;
  Value run(const RunContext& c) const;
  void lower(LoweringContext& c) const;
};

/// The channels of all inputs, one after the other.
struct Concat {
  static constexpr const char* name() { return "concat"; }
  static constexpr std::array<const char*, 0> parameters{};
  static constexpr int inputs = several;
  static constexpr bool is_layer = false;
  static constexpr Quantizer quantizer = Quantizer::passed;
  static constexpr ReluBehind relu_behind = ReluBehind::passes;
  static constexpr Overlap overlap = Overlap::none;
  static constexpr ConstantBytes constant_bytes = 0;

  Channels channels(const Node&) const { return Channels::moved; }
  ChannelSources sources(const std::vector<int64_t>& channels, int64_t outputs) const;
  Value run(const RunContext& c) const;
  void lower(LoweringContext& c) const;
};

/// Channels of the input by index: slices, shuffles, and what pruning leaves of them.
struct SelectChannels {
  static constexpr const char* name() { return "select_channels"; }
  static constexpr std::array<const char*, 0> parameters{};
  static constexpr int inputs = 1;
  static constexpr bool is_layer = false;
  static constexpr Quantizer quantizer = Quantizer::passed;
  static constexpr ReluBehind relu_behind = ReluBehind::passes;
  static constexpr Overlap overlap = Overlap::none;
  static constexpr ConstantBytes constant_bytes = {0, 2};  // the index
  SelectAttrs attrs = {};

  Channels channels(const Node&) const { return Channels::moved; }
  ChannelSources sources(const std::vector<int64_t>& channels, int64_t outputs) const;
  Value run(const RunContext& c) const;
  void lower(LoweringContext& c) const;
};

/// Zeros around images.
struct Pad2d {
  static constexpr const char* name() { return "pad2d"; }
  static constexpr std::array<const char*, 0> parameters{};
  static constexpr int inputs = 1;
  static constexpr bool is_layer = false;
  static constexpr Quantizer quantizer = Quantizer::passed;
  static constexpr ReluBehind relu_behind = ReluBehind::passes;
  static constexpr Overlap overlap = Overlap::in_order;
  static constexpr ConstantBytes constant_bytes = 0;
  Pad2dAttrs attrs = {};

  Channels channels(const Node&) const { return Channels::passed; }
  Sweep sweep(const Node& node, const Shape& input) const;
  Value run(const RunContext& c) const;
  void lower(LoweringContext& c) const;
};

/// Every position repeated in rows and columns.
struct Upsample2d {
  static constexpr const char* name() { return "upsample2d"; }
  static constexpr std::array<const char*, 0> parameters{};
  static constexpr int inputs = 1;
  static constexpr bool is_layer = false;
  static constexpr Quantizer quantizer = Quantizer::passed;
  static constexpr ReluBehind relu_behind = ReluBehind::passes;
  static constexpr Overlap overlap = Overlap::in_order;
  static constexpr ConstantBytes constant_bytes = 0;
  Upsample2dAttrs attrs = {};

  Channels channels(const Node&) const { return Channels::passed; }
  Sweep sweep(const Node& node, const Shape& input) const;
  Value run(const RunContext& c) const;
  void lower(LoweringContext& c) const;
};

/// An activation function that could not be fused. On codes, ReLU6 is an upper bound: the code nearest to 6.
struct Activate {
  constexpr const char* name() const { return function == Activation::relu6 ? "relu6" : "relu"; }
  static constexpr std::array<const char*, 0> parameters{};
  static constexpr int inputs = 1;
  static constexpr bool is_layer = false;
  static constexpr Quantizer quantizer = Quantizer::passed;
  static constexpr ReluBehind relu_behind = ReluBehind::passes;
  static constexpr Overlap overlap = Overlap::in_place;
  static constexpr ConstantBytes constant_bytes = 0;
  Activation function = Activation::relu;

  Channels channels(const Node&) const { return Channels::passed; }
  Value run(const RunContext& c) const;
  void lower(LoweringContext& c) const;
};

/// The product of two tensors of one shape, or of [N, C, H, W] and a factor per image and channel, [N, C, 1, 1] or
/// [N, C]; the first input is the larger one.
struct Mul {
  static constexpr const char* name() { return "mul"; }
  static constexpr std::array<const char*, 0> parameters{};
  static constexpr int inputs = 2;
  static constexpr bool is_layer = false;
  static constexpr Quantizer quantizer = Quantizer::own;
  static constexpr ReluBehind relu_behind = ReluBehind::joins;
  static constexpr Overlap overlap = Overlap::in_place;
  static constexpr ConstantBytes constant_bytes = 4 + 1;  // multiplier, shift

  Channels channels(const Node&) const { return Channels::tied; }
  Value run(const RunContext& c) const;
  void lower(LoweringContext& c) const;
};

/// An elementwise function; on codes, a table.
struct Function {
  constexpr const char* name() const { return function_names[static_cast<size_t>(attrs.kind)]; }
  static constexpr std::array<const char*, 0> parameters{};
  static constexpr int inputs = 1;
  static constexpr bool is_layer = false;
  static constexpr Quantizer quantizer = Quantizer::coded;
  static constexpr ReluBehind relu_behind = ReluBehind::stays;
  static constexpr Overlap overlap = Overlap::in_place;
  static constexpr ConstantBytes constant_bytes{0, 0, true};
  FunctionAttrs attrs = {};

  Channels channels(const Node&) const { return Channels::passed; }
  Value run(const RunContext& c) const;
  void lower(LoweringContext& c) const;
};

/// x above 0, slope x below, with a trained slope per channel or one for all.
struct PRelu {
  static constexpr const char* name() { return "prelu"; }
  static constexpr std::array parameters{"weight"};
  static constexpr int inputs = 1;
  static constexpr bool is_layer = false;
  static constexpr Quantizer quantizer = Quantizer::coded;
  static constexpr ReluBehind relu_behind = ReluBehind::stays;
  static constexpr Overlap overlap = Overlap::in_place;
  static constexpr ConstantBytes constant_bytes{4 + 1, 4 + 1};  // multiplier, shift

  Channels channels(const Node&) const { return Channels::passed; }
  Value run(const RunContext& c) const;
  void lower(LoweringContext& c) const;
};

/// y = weight_c x + bias_c: a batch norm that no other layer can absorb (fold_batch_norm). weight, bias [C].
struct Affine {
  static constexpr const char* name() { return "affine"; }
  static constexpr std::array parameters{"weight", "bias"};
  static constexpr int inputs = 1;
  static constexpr bool is_layer = true;
  static constexpr Quantizer quantizer = Quantizer::own;
  static constexpr ReluBehind relu_behind = ReluBehind::joins;
  static constexpr Overlap overlap = Overlap::in_order;
  static constexpr ConstantBytes constant_bytes = 0;
  static constexpr int weight_bits = 8;  ///< always

  Channels channels(const Node&) const { return Channels::passed; }
  LayerShape layer_shape(const Node& node) const;
  Sweep sweep(const Node& node, const Shape& input) const;
  Value run(const RunContext& c) const;
  void lower(LoweringContext& c) const;
};

/// Only in float networks; fold_batch_norm folds it into layers, or makes it one (Affine).
struct BatchNorm {
  static constexpr const char* name() { return "batch_norm"; }
  static constexpr std::array parameters{"weight", "bias", "running_mean", "running_var"};
  static constexpr int inputs = 1;
  static constexpr bool is_layer = false;
  static constexpr Quantizer quantizer = Quantizer::own;
  static constexpr ReluBehind relu_behind = ReluBehind::stays;
  static constexpr Overlap overlap = Overlap::none;
  static constexpr ConstantBytes constant_bytes = 0;
  BatchNormAttrs attrs = {};

  Channels channels(const Node&) const { return Channels::passed; }
  Value run(const RunContext& c) const;
  void lower(LoweringContext& c) const;
};

/// The end of a network with several outputs: their real values, each flattened, one after the other. Integer networks
/// return them one by one.
struct Outputs {
  static constexpr const char* name() { return "outputs"; }
  static constexpr std::array<const char*, 0> parameters{};
  static constexpr int inputs = several;
  static constexpr bool is_layer = false;
  static constexpr Quantizer quantizer = Quantizer::none;
  static constexpr ReluBehind relu_behind = ReluBehind::stays;
  static constexpr Overlap overlap = Overlap::none;
  static constexpr ConstantBytes constant_bytes = 0;
  OutputsAttrs attrs = {};

  Channels channels(const Node&) const { return Channels::made; }
  Value run(const RunContext& c) const;
  void lower(LoweringContext&) const {}  // IntegerNetwork::outputs
};

}  // namespace op

using Operator = std::variant<op::Input, op::Conv2d, op::ConvTranspose2d, op::Linear, op::Add, op::MaxPool2d,
                              op::AvgPool2d, op::Flatten, op::Concat, op::SelectChannels, op::Pad2d, op::Upsample2d,
                              op::Activate, op::Mul, op::Function, op::PRelu, op::Affine, op::BatchNorm, op::Outputs>;

inline std::string_view name_of(const Operator& op) {
  return std::visit([](const auto& o) { return o.name(); }, op);
}

namespace op {
/// One operator of each name, with default attributes.
std::vector<Operator> all();
}  // namespace op

}  // namespace mixgrad

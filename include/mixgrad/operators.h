// SPDX-License-Identifier: Apache-2.0
// The operators that a graph holds: a struct for each, with its attributes and its answers to what the library asks of
// an operator. One that lacks an answer does not compile. docs/extending.md adds one step by step.
#pragma once

#include <mixgrad/attrs.h>

#include <array>
#include <cstdint>
#include <string_view>
#include <variant>
#include <vector>

namespace mixgrad {

struct Node;
struct Value;
struct RunContext;
struct LoweringContext;

/// A function of single values that belongs to a node, or is a node of its own (op::Activate).
enum class Activation { none, relu, relu6 };

namespace op {

/// Which quantizer stands on an operator's output (SPEC §5).
enum class Quantizer {
  own,     ///< one of its own
  joint,   ///< one of its own, and one that its inputs share: it works on their codes
  passed,  ///< that of its input, whose codes it hands on
};

/// How an operator's output channels follow from those of its inputs.
enum class Channels {
  made,       ///< new ones, each from all of the input's
  grouped,    ///< new ones, each from the input's of its group
  depthwise,  ///< one from each of the input's: both stay or go
  passed,     ///< those of its input
  tied,       ///< those of its inputs, which must be the same
  flattened,  ///< each becomes as many as it has positions
};

/// What becomes of a ReLU that alone reads an operator's output.
enum class ReluBehind {
  joins,   ///< the node applies it (Node::activation)
  passes,  ///< the two can change places: it may join what stands before
  stays,   ///< it remains a node of its own
};

/// Of a layer: what its weights [O, I / groups, kernel] work on.
struct LayerShape {
  int64_t groups = 1;
  std::array<int64_t, 2> kernel{1, 1};
  std::array<int64_t, 2> output{1, 1};  ///< height, width
};

struct Input {
  static constexpr const char* name() { return "input"; }
  static constexpr std::array<const char*, 0> parameters{};  ///< names of Node::params; only a bias may be absent
  static constexpr int inputs = 0;
  static constexpr bool is_layer = false;  ///< has weights that a WeightSlot may quantize, a bias and a layer_shape
  static constexpr Quantizer quantizer = Quantizer::own;
  static constexpr ReluBehind relu_behind = ReluBehind::stays;
  static constexpr bool in_place = false;       ///< a device may write its output over an input of the same size
  static constexpr int64_t constant_bytes = 0;  ///< of the C package, beside those of layers

  Channels channels(const Node&) const { return Channels::made; }
  Value run(const RunContext& c) const;  ///< on real values, or on the codes of fixed quantizers
  /// To its integer form; throws bad_input that names the node where it has none.
  void lower(LoweringContext& c) const;
};

struct Conv2d {
  static constexpr const char* name() { return "conv2d"; }
  static constexpr std::array parameters{"weight", "bias"};
  static constexpr int inputs = 1;
  static constexpr bool is_layer = true;
  static constexpr Quantizer quantizer = Quantizer::own;
  static constexpr ReluBehind relu_behind = ReluBehind::joins;
  static constexpr bool in_place = false;
  static constexpr int64_t constant_bytes = 0;
  Conv2dAttrs attrs = {};

  Channels channels(const Node& node) const;
  LayerShape layer_shape(const Node& node) const;
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
  static constexpr bool in_place = false;
  static constexpr int64_t constant_bytes = 0;

  Channels channels(const Node&) const { return Channels::made; }
  LayerShape layer_shape(const Node& node) const;
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
  static constexpr bool in_place = true;
  static constexpr int64_t constant_bytes = 4 + 1;  // multiplier, shift

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
  static constexpr bool in_place = false;
  static constexpr int64_t constant_bytes = 16 * 4;  // sizes
  Pool2dAttrs attrs = {};

  Channels channels(const Node&) const { return Channels::passed; }
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
  static constexpr bool in_place = false;
  static constexpr int64_t constant_bytes = 16 * 4;  // sizes
  Pool2dAttrs attrs = {};

  Channels channels(const Node&) const { return Channels::passed; }
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
  static constexpr bool in_place = false;
  static constexpr int64_t constant_bytes = 0;

  Channels channels(const Node&) const { return Channels::flattened; }
  Value run(const RunContext& c) const;
  void lower(LoweringContext& c) const;
};

/// An activation function that could join no other node. On codes, ReLU6 is a bound: the code nearest to 6.
struct Activate {
  constexpr const char* name() const { return function == Activation::relu6 ? "relu6" : "relu"; }
  static constexpr std::array<const char*, 0> parameters{};
  static constexpr int inputs = 1;
  static constexpr bool is_layer = false;
  static constexpr Quantizer quantizer = Quantizer::passed;
  static constexpr ReluBehind relu_behind = ReluBehind::passes;
  static constexpr bool in_place = true;
  static constexpr int64_t constant_bytes = 0;
  Activation function = Activation::relu;

  Channels channels(const Node&) const { return Channels::passed; }
  Value run(const RunContext& c) const;
  void lower(LoweringContext& c) const;
};

/// In float networks: fold_batch_norm makes it part of layers.
struct BatchNorm {
  static constexpr const char* name() { return "batch_norm"; }
  static constexpr std::array parameters{"weight", "bias", "running_mean", "running_var"};
  static constexpr int inputs = 1;
  static constexpr bool is_layer = false;
  static constexpr Quantizer quantizer = Quantizer::own;
  static constexpr ReluBehind relu_behind = ReluBehind::stays;
  static constexpr bool in_place = false;
  static constexpr int64_t constant_bytes = 0;
  BatchNormAttrs attrs = {};

  Channels channels(const Node&) const { return Channels::passed; }
  Value run(const RunContext& c) const;
  void lower(LoweringContext& c) const;
};

}  // namespace op

using Operator = std::variant<op::Input, op::Conv2d, op::Linear, op::Add, op::MaxPool2d, op::AvgPool2d, op::Flatten,
                              op::Activate, op::BatchNorm>;

inline std::string_view name_of(const Operator& op) {
  return std::visit([](const auto& o) { return o.name(); }, op);
}

namespace op {
/// One of each name, with the attributes of its default.
std::vector<Operator> all();
}  // namespace op

}  // namespace mixgrad

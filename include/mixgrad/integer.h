// SPDX-License-Identifier: Apache-2.0
// The operators of an integer network: a struct for each, with its numbers and its answers to what the library asks of
// it. One that lacks an answer does not compile. Tensors are NHWC; a code is one byte.
#pragma once

#include <mixgrad/graph.h>
#include <mixgrad/normalization.h>
#include <mixgrad/types.h>

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace mixgrad {

struct DeviceBytes;

namespace integer {

using Codes = std::vector<uint8_t>;
struct RunContext;
struct CContext;
struct CText;
struct OnnxContext;

/// How 32-bit sums become codes: (sum + bias) · ratio. A single ratio holds for all channels; no bias: zeros.
struct Rescaling {
  std::span<const int32_t> bias;
  std::span<const FixedPoint> ratios;
};

struct Input {
  static constexpr const char* name() { return op::Input::name(); }
  static constexpr bool in_place = false;  ///< a device may write its output over an input of the same size
  static constexpr bool own_codes = true;  ///< has a step and a range of its own, not its input's
  op::Channels channels() const { return op::Channels::made; }
  void count(DeviceBytes&) const {}        ///< adds its constants in the C package
  Codes codes(const RunContext& c) const;  ///< its output, of inputs that are codes
  CText c_text(const CContext& c) const;
  std::string onnx(const OnnxContext& c) const;  ///< the name of its real value, before its quantizer
};

/// What a convolution and a linear layer have in common: weighted sums of codes.
struct Layer {
  static constexpr bool in_place = false;
  static constexpr bool own_codes = true;
  Conv2dSize size = {};                 ///< of one image; linear: 1 × 1 over all its inputs as channels
  std::vector<int> weight_bits = {};    ///< of every output channel
  std::vector<int8_t> weights = {};     ///< codes [O, KH, KW, I / groups]
  std::vector<int32_t> bias = {};       ///< [O], in accumulator steps; empty: none
  std::vector<float> steps = {};        ///< real value of one accumulator step, [O]
  std::vector<FixedPoint> ratios = {};  ///< accumulator steps per output code, [O]

  int64_t weights_per_channel() const { return std::ssize(weights) / size.c_out; }
  op::Channels channels() const;
  void count(DeviceBytes& bytes) const;
  std::vector<int32_t> sums(const RunContext& c) const;  ///< instead of codes: accumulators, without the bias
  Rescaling rescaling() const { return {bias, ratios}; }
  CText c_text(const CContext& c) const;
};

struct Conv2d : Layer {
  static constexpr const char* name() { return op::Conv2d::name(); }
  std::string onnx(const OnnxContext& c) const;
};

struct Linear : Layer {
  static constexpr const char* name() { return op::Linear::name(); }
  std::string onnx(const OnnxContext& c) const;
};

struct Add {
  static constexpr const char* name() { return op::Add::name(); }
  static constexpr bool in_place = true;
  static constexpr bool own_codes = true;
  FixedPoint ratio = {};  ///< accumulator steps per output code

  op::Channels channels() const { return op::Channels::tied; }
  void count(DeviceBytes& bytes) const;
  std::vector<int32_t> sums(const RunContext& c) const;
  Rescaling rescaling() const { return {{}, {&ratio, 1}}; }
  CText c_text(const CContext& c) const;
  std::string onnx(const OnnxContext& c) const;
};

/// The range of its codes starts at 0; that of a ReLU6 ends at the code nearest to 6.
struct Relu {
  static constexpr const char* name() { return op::Activate{}.name(); }
  static constexpr bool in_place = true;
  static constexpr bool own_codes = false;

  op::Channels channels() const { return op::Channels::passed; }
  void count(DeviceBytes&) const {}
  Codes codes(const RunContext& c) const;
  CText c_text(const CContext& c) const;
  std::string onnx(const OnnxContext& c) const;
};

/// [H, W, C] to [C, H, W].
struct Flatten {
  static constexpr const char* name() { return op::Flatten::name(); }
  static constexpr bool in_place = false;
  static constexpr bool own_codes = false;

  op::Channels channels() const { return op::Channels::flattened; }
  void count(DeviceBytes&) const {}
  Codes codes(const RunContext& c) const;
  CText c_text(const CContext& c) const;
  std::string onnx(const OnnxContext& c) const;
};

/// What both pools have in common.
struct Pool2d {
  static constexpr bool in_place = false;
  static constexpr bool own_codes = false;
  Pool2dSize size = {};  ///< of one image

  op::Channels channels() const { return op::Channels::passed; }
  void count(DeviceBytes& bytes) const;
};

struct MaxPool2d : Pool2d {
  static constexpr const char* name() { return op::MaxPool2d::name(); }
  Codes codes(const RunContext& c) const;
  CText c_text(const CContext& c) const;
  std::string onnx(const OnnxContext& c) const;
};

/// The mean of codes, halves up (SPEC §5).
struct AvgPool2d : Pool2d {
  static constexpr const char* name() { return op::AvgPool2d::name(); }
  Codes codes(const RunContext& c) const;
  CText c_text(const CContext& c) const;
  std::string onnx(const OnnxContext& c) const;
};

}  // namespace integer

using IntegerOperator = std::variant<integer::Input, integer::Conv2d, integer::Linear, integer::Add, integer::Relu,
                                     integer::Flatten, integer::MaxPool2d, integer::AvgPool2d>;

/// One operator on codes, which are bytes: two's complement where the range goes below zero.
struct IntegerNode {
  std::string name;  ///< of the graph's node
  IntegerOperator op = {};
  std::vector<int> inputs = {};      ///< indices of earlier nodes
  Shape shape = {};                  ///< of the output, without N: [C, H, W] or [features]
  int low = 0, high = 255;           ///< range of its codes
  float step = 1;                    ///< real value of one code
  bool raw = false;                  ///< the network's result without quantizer, in 32 bits
  std::vector<int> channel_of = {};  ///< the graph's channel that each channel here is: layers sort theirs by precision

  template <typename Op>
  const Op* as() const {
    return std::get_if<Op>(&op);
  }
  /// Null: it is no layer.
  const integer::Layer* layer() const;
  integer::Layer* layer() { return const_cast<integer::Layer*>(std::as_const(*this).layer()); }
  bool is_layer() const { return layer() != nullptr; }
  std::string_view op_name() const;
  op::Channels channel_rule() const;
  bool in_place() const;
  bool is_signed() const { return low < 0; }
  int64_t channels() const { return shape[0]; }
};

struct IntegerNetwork {
  std::vector<IntegerNode> nodes;  ///< in execution order; node 0 is the input
  int output = 0;
  Shape result_shape = {};  ///< without N, the graph's: [features] where flattening the result moves no byte
  std::shared_ptr<const ActivationSlot> input_slot;  ///< makes codes of real inputs
  Normalization normalization = {};                  ///< of the real inputs, the graph's

  const IntegerNode& result() const { return nodes[static_cast<size_t>(output)]; }
  const IntegerNode& input_of(const IntegerNode& node, size_t i = 0) const {
    return nodes[static_cast<size_t>(node.inputs[i])];
  }
  /// Codes of x [N, C, H, W] or [N, features], NHWC.
  std::vector<uint8_t> quantize(const Tensor& x) const;
};

}  // namespace mixgrad

// SPDX-License-Identifier: Apache-2.0
// The operators of an integer network: one struct each, with its constants and its answers to the library's questions.
// An operator with a missing answer does not compile. Tensors are NHWC; a code is one byte.
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

using Codes = std::span<uint8_t>;  ///< of every image, one after the other
struct RunContext;
struct CContext;
struct CText;
struct OnnxContext;
struct TfliteContext;
struct TfliteValue;

/// How 32-bit sums become codes: (sum + bias) · ratio. One ratio may serve all channels; an empty bias means zeros.
struct Rescaling {
  std::span<const int32_t> bias;
  std::span<const FixedPoint> ratios;
};

struct Input {
  static constexpr const char* name() { return op::Input::name(); }
  static constexpr op::Overlap overlap = op::Overlap::none;
  static constexpr bool own_codes = true;  ///< has its own step and range rather than its input's
  op::Channels channels() const { return op::Channels::made; }
  void count(DeviceBytes&) const {}                  ///< adds its constants in the C package
  void codes(const RunContext& c, Codes out) const;  ///< computes its output codes from its input codes
  CText c_text(const CContext& c) const;
  std::string onnx(const OnnxContext& c) const;  ///< name of its real-valued output, before the quantizer
  TfliteValue tflite(const TfliteContext& c) const;
};

/// Common to convolutions and linear layers: weighted sums of codes.
struct Layer {
  static constexpr op::Overlap overlap = op::Overlap::in_order;
  static constexpr bool own_codes = true;
  Conv2dSize size = {};                 ///< for one image; linear layers are 1 × 1 with all inputs as channels
  std::vector<int> weight_bits = {};    ///< per output channel
  bool transposed = false;              ///< reads an input whose rows and columns are apart (ConvTranspose2d)
  bool odd_grid = false;                ///< of channels at up to most_odd_bits
  std::vector<int8_t> weights = {};     ///< codes [O, KH, KW, I / groups]
  std::vector<int32_t> bias = {};       ///< [O], in accumulator steps; empty: none
  std::vector<float> steps = {};        ///< real value of one accumulator step, [O]
  std::vector<FixedPoint> ratios = {};  ///< accumulator steps per output code, [O]

  int64_t weights_per_channel() const { return std::ssize(weights) / size.c_out; }
  /// Whether all codes of an output channel are odd. Devices store such a code q as (q - 1) / 2.
  bool is_odd(int64_t channel) const {
    const int bits = weight_bits[static_cast<size_t>(channel)];
    return odd_grid && bits > 0 && bits <= most_odd_bits;
  }
  op::Channels channels() const;
  op::Sweep sweep(const Shape& input) const;
  void count(DeviceBytes& bytes) const;
  void codes(const RunContext& c, Codes out) const;
  /// Instead of codes, for unquantized outputs: accumulators, without the bias.
  void sums(const RunContext& c, std::span<int32_t> out) const;
  Rescaling rescaling() const { return {bias, ratios}; }
  CText c_text(const CContext& c) const;
};

struct Conv2d : Layer {
  static constexpr const char* name() { return op::Conv2d::name(); }
  std::string onnx(const OnnxContext& c) const;
  TfliteValue tflite(const TfliteContext& c) const;
};

/// Runs as a convolution: `size` and `weights` are those of a convolution with the turned kernel on the input with
/// `stride` - 1 zeros between its rows and columns, which the engine writes out and the C code skips.
struct ConvTranspose2d : Layer {
  static constexpr const char* name() { return op::ConvTranspose2d::name(); }
  ConvTranspose2dAttrs attrs = {};

  op::Sweep sweep(const Shape& input) const;
  void codes(const RunContext& c, Codes out) const;
  void sums(const RunContext& c, std::span<int32_t> out) const;
  CText c_text(const CContext& c) const;
  std::string onnx(const OnnxContext& c) const;
  TfliteValue tflite(const TfliteContext& c) const;
};

/// A depthwise convolution of one position.
struct Affine : Layer {
  static constexpr const char* name() { return op::Affine::name(); }
  op::Channels channels() const { return op::Channels::passed; }
  std::string onnx(const OnnxContext& c) const;
  TfliteValue tflite(const TfliteContext& c) const;
};

struct Linear : Layer {
  static constexpr const char* name() { return op::Linear::name(); }
  std::string onnx(const OnnxContext& c) const;
  TfliteValue tflite(const TfliteContext& c) const;
};

struct Add {
  static constexpr const char* name() { return op::Add::name(); }
  static constexpr op::Overlap overlap = op::Overlap::in_place;
  static constexpr bool own_codes = true;
  FixedPoint ratio = {};  ///< accumulator steps per output code

  op::Channels channels() const { return op::Channels::tied; }
  void count(DeviceBytes& bytes) const;
  void codes(const RunContext& c, Codes out) const;
  void sums(const RunContext& c, std::span<int32_t> out) const;
  Rescaling rescaling() const { return {{}, {&ratio, 1}}; }
  CText c_text(const CContext& c) const;
  std::string onnx(const OnnxContext& c) const;
  TfliteValue tflite(const TfliteContext& c) const;
};

/// The second operand may have a single position, whose codes then serve every position of the first.
struct Mul {
  static constexpr const char* name() { return op::Mul::name(); }
  static constexpr op::Overlap overlap = op::Overlap::in_place;
  static constexpr bool own_codes = true;
  FixedPoint ratio = {};  ///< products of codes per output code

  op::Channels channels() const { return op::Channels::tied; }
  void count(DeviceBytes& bytes) const;
  void codes(const RunContext& c, Codes out) const;
  void sums(const RunContext& c, std::span<int32_t> out) const;
  Rescaling rescaling() const { return {{}, {&ratio, 1}}; }
  CText c_text(const CContext& c) const;
  std::string onnx(const OnnxContext& c) const;
  TfliteValue tflite(const TfliteContext& c) const;
};

/// A function of one code (op::Function).
struct Table {
  static constexpr const char* name() { return "table"; }
  static constexpr op::Overlap overlap = op::Overlap::in_place;
  static constexpr bool own_codes = true;
  int first = 0;                  ///< the input's code that outputs[0] is for
  std::vector<int> outputs = {};  ///< one for each code of the input's quantizer

  op::Channels channels() const { return op::Channels::passed; }
  void count(DeviceBytes& bytes) const;
  void codes(const RunContext& c, Codes out) const;
  CText c_text(const CContext& c) const;
  std::string onnx(const OnnxContext& c) const;
  TfliteValue tflite(const TfliteContext& c) const;
};

struct PRelu {
  static constexpr const char* name() { return op::PRelu::name(); }
  static constexpr op::Overlap overlap = op::Overlap::in_place;
  static constexpr bool own_codes = true;
  FixedPoint positive = {};               ///< input codes per output code
  std::vector<FixedPoint> negative = {};  ///< the same below 0, [C]
  std::vector<float> slopes = {};         ///< [C]

  op::Channels channels() const { return op::Channels::passed; }
  void count(DeviceBytes& bytes) const;
  void codes(const RunContext& c, Codes out) const;
  CText c_text(const CContext& c) const;
  std::string onnx(const OnnxContext& c) const;
  TfliteValue tflite(const TfliteContext& c) const;
};

/// Its codes range from 0 up; for ReLU6, to the code nearest to 6.
struct Relu {
  static constexpr const char* name() { return op::Activate{}.name(); }
  static constexpr op::Overlap overlap = op::Overlap::in_place;
  static constexpr bool own_codes = false;

  op::Channels channels() const { return op::Channels::passed; }
  void count(DeviceBytes&) const {}
  void codes(const RunContext& c, Codes out) const;
  CText c_text(const CContext& c) const;
  std::string onnx(const OnnxContext& c) const;
  TfliteValue tflite(const TfliteContext& c) const;
};

/// [H, W, C] to [C, H, W].
struct Flatten {
  static constexpr const char* name() { return op::Flatten::name(); }
  static constexpr op::Overlap overlap = op::Overlap::none;
  static constexpr bool own_codes = false;

  op::Channels channels() const { return op::Channels::moved; }
  void count(DeviceBytes&) const {}
  void codes(const RunContext& c, Codes out) const;
  CText c_text(const CContext& c) const;
  std::string onnx(const OnnxContext& c) const;
  TfliteValue tflite(const TfliteContext& c) const;
};

/// The channels of all inputs, one after the other. Their codes have one step.
struct Concat {
  static constexpr const char* name() { return op::Concat::name(); }
  static constexpr op::Overlap overlap = op::Overlap::none;
  static constexpr bool own_codes = false;

  op::Channels channels() const { return op::Channels::moved; }
  void count(DeviceBytes&) const {}
  void codes(const RunContext& c, Codes out) const;
  CText c_text(const CContext& c) const;
  std::string onnx(const OnnxContext& c) const;
  TfliteValue tflite(const TfliteContext& c) const;
};

/// Channels of the input by index.
struct SelectChannels {
  static constexpr const char* name() { return op::SelectChannels::name(); }
  static constexpr op::Overlap overlap = op::Overlap::none;
  static constexpr bool own_codes = false;
  std::vector<int64_t> index = {};

  op::Channels channels() const { return op::Channels::moved; }
  void count(DeviceBytes& bytes) const;
  void codes(const RunContext& c, Codes out) const;
  CText c_text(const CContext& c) const;
  std::string onnx(const OnnxContext& c) const;
  TfliteValue tflite(const TfliteContext& c) const;
};

/// Zeros around an image.
struct Pad2d {
  static constexpr const char* name() { return op::Pad2d::name(); }
  static constexpr op::Overlap overlap = op::Overlap::in_order;
  static constexpr bool own_codes = false;
  Pad2dAttrs attrs = {};

  op::Channels channels() const { return op::Channels::passed; }
  op::Sweep sweep(const Shape& input) const;
  void count(DeviceBytes&) const {}
  void codes(const RunContext& c, Codes out) const;
  CText c_text(const CContext& c) const;
  std::string onnx(const OnnxContext& c) const;
  TfliteValue tflite(const TfliteContext& c) const;
};

/// Every position repeated.
struct Upsample2d {
  static constexpr const char* name() { return op::Upsample2d::name(); }
  static constexpr op::Overlap overlap = op::Overlap::in_order;
  static constexpr bool own_codes = false;
  Upsample2dAttrs attrs = {};

  op::Channels channels() const { return op::Channels::passed; }
  op::Sweep sweep(const Shape& input) const;
  void count(DeviceBytes&) const {}
  void codes(const RunContext& c, Codes out) const;
  CText c_text(const CContext& c) const;
  std::string onnx(const OnnxContext& c) const;
  TfliteValue tflite(const TfliteContext& c) const;
};

/// Common to both pools.
struct Pool2d {
  static constexpr op::Overlap overlap = op::Overlap::in_order;
  static constexpr bool own_codes = false;
  Pool2dSize size = {};  ///< for one image

  op::Channels channels() const { return op::Channels::passed; }
  op::Sweep sweep(const Shape& input) const;
  void count(DeviceBytes& bytes) const;
};

struct MaxPool2d : Pool2d {
  static constexpr const char* name() { return op::MaxPool2d::name(); }
  void codes(const RunContext& c, Codes out) const;
  CText c_text(const CContext& c) const;
  std::string onnx(const OnnxContext& c) const;
  TfliteValue tflite(const TfliteContext& c) const;
};

/// The mean of the codes, with ties rounded up (SPEC §5).
struct AvgPool2d : Pool2d {
  static constexpr const char* name() { return op::AvgPool2d::name(); }
  void codes(const RunContext& c, Codes out) const;
  CText c_text(const CContext& c) const;
  std::string onnx(const OnnxContext& c) const;
  TfliteValue tflite(const TfliteContext& c) const;
};

}  // namespace integer

using IntegerOperator = std::variant<integer::Input, integer::Conv2d, integer::ConvTranspose2d, integer::Affine,
                                     integer::Linear, integer::Add, integer::Relu, integer::Mul, integer::Table,
                                     integer::PRelu, integer::Flatten, integer::Concat, integer::SelectChannels,
                                     integer::Pad2d, integer::Upsample2d, integer::MaxPool2d, integer::AvgPool2d>;

/// One operator on codes. A code is a byte, in two's complement if the range includes negative numbers.
struct IntegerNode {
  std::string name;  ///< of the graph node
  IntegerOperator op = {};
  std::vector<int> inputs = {};      ///< indices of earlier nodes
  Shape shape = {};                  ///< output without N: [C, H, W] or [features]
  int low = 0, high = 255;           ///< range of the codes
  int bits = 8;                      ///< of the quantizer
  float step = 1;                    ///< real value of one code
  bool raw = false;                  ///< an unquantized output of the network, in 32 bits
  std::vector<int> channel_of = {};  ///< original channel of each channel here: layers sort theirs by precision

  template <typename Op>
  const Op* as() const {
    return std::get_if<Op>(&op);
  }
  /// Null if it is not a layer.
  const integer::Layer* layer() const;
  integer::Layer* layer() { return const_cast<integer::Layer*>(std::as_const(*this).layer()); }
  bool is_layer() const { return layer() != nullptr; }
  std::string_view op_name() const;
  op::Channels channel_rule() const;
  op::Overlap overlap() const;
  bool is_signed() const { return low < 0; }
  int64_t channels() const { return shape[0]; }
};

/// A value that the network returns.
struct IntegerOutput {
  int node;
  Shape shape;  ///< the graph's, without N: [features] if flattening the value moves no bytes
  std::string name;
};

struct IntegerNetwork {
  std::vector<IntegerNode> nodes;                    ///< in execution order; node 0 is the input
  std::vector<IntegerOutput> outputs = {};           ///< at least one; different nodes
  std::shared_ptr<const ActivationSlot> input_slot;  ///< quantizes real inputs
  Normalization normalization = {};                  ///< the graph's, for real inputs
  bool packs_activations = false;  ///< on a device, codes of fewer than 8 bits share bytes, except inputs and outputs

  const IntegerNode& node_of(const IntegerOutput& output) const { return nodes[static_cast<size_t>(output.node)]; }
  /// The first output's node.
  const IntegerNode& result() const { return node_of(outputs[0]); }
  /// Whether node `i` is an output.
  bool returns(int i) const;
  /// The number of values that it returns for an image.
  int64_t output_size() const;
  const IntegerNode& input_of(const IntegerNode& node, size_t i = 0) const {
    return nodes[static_cast<size_t>(node.inputs[i])];
  }
  /// The real values of IntegerEngine::run, in the shape and order of Graph::run.
  Tensor real_outputs(std::span<const int32_t> codes, int64_t images) const;
  /// Quantizes x [N, C, H, W] or [N, features] to codes, NHWC.
  std::vector<uint8_t> quantize(const Tensor& x) const;
};

}  // namespace mixgrad

// SPDX-License-Identifier: Apache-2.0
// What an operator of an integer network uses to add its nodes to an ONNX graph: float ops between DequantizeLinear and
// QuantizeLinear (QDQ), weights as integers. Independent of protobuf, so that builds without ONNX can compile it.
#pragma once

#include <mixgrad/integer.h>

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace mixgrad::integer {

/// TensorProto::DataType.
enum class OnnxType : int { float32 = 1, uint8 = 2, int8 = 3, int32 = 6, int64 = 7, int4 = 22 };

/// Adds nodes and initializers to a graph, each value under a unique name.
class OnnxWriter {
 public:
  using Attributes = std::vector<std::pair<std::string, std::vector<int64_t>>>;

  OnnxWriter() = default;
  virtual ~OnnxWriter() = default;
  OnnxWriter(const OnnxWriter&) = delete;
  OnnxWriter& operator=(const OnnxWriter&) = delete;

  /// Returns the output's name: `wanted` if it is free. An attribute with one number becomes a number, others lists.
  virtual std::string node(const std::string& op, const std::vector<std::string>& inputs, const std::string& wanted,
                           const Attributes& attributes = {}) = 0;
  /// `raw`: little-endian values.
  virtual std::string constant(const std::string& wanted, OnnxType type, const std::vector<int64_t>& dims,
                               const void* raw, size_t bytes) = 0;

  std::string floats(const std::string& name, const std::vector<float>& v) { return floats(name, v, {std::ssize(v)}); }
  std::string number(const std::string& name, float v) { return floats(name, {v}, {}); }
  /// One value per channel of [N, C, H, W].
  std::string channels(const std::string& name, const std::vector<float>& v) {
    return floats(name, v, {1, std::ssize(v), 1, 1});
  }

 private:
  std::string floats(const std::string& name, const std::vector<float>& v, const std::vector<int64_t>& dims) {
    return constant(name, OnnxType::float32, dims, v.data(), v.size() * sizeof(float));
  }
};

struct OnnxContext {
  OnnxWriter& add;
  const IntegerNetwork& network;
  const IntegerNode& node;
  const std::vector<std::string>& real;  ///< the names of earlier nodes' real values
  int opset;

  const IntegerNode& input(size_t i = 0) const { return network.input_of(node, i); }

  /// Operand i, flattened if necessary: integer networks ignore flattening that moves no codes, but ONNX checks ranks.
  std::string operand(size_t i = 0) const {
    const std::string& from = real[static_cast<size_t>(node.inputs[i])];
    const bool flat = node.shape.rank() == 1 && input(i).shape.rank() == 3;
    return flat ? add.node("Flatten", {from}, node.name + "/flat") : from;
  }

  /// Images x between rows and columns of zeros, or of `value`. `padding`: top, left, bottom, right.
  std::string padded(const std::string& x, const std::array<int64_t, 4>& padding, const std::string& wanted,
                     std::optional<float> value = {}) const {
    const auto [top, left, bottom, right] = padding;
    const std::array<int64_t, 8> pads = {0, 0, top, left, 0, 0, bottom, right};
    std::vector<std::string> inputs = {
        x, add.constant(node.name + "/pads", OnnxType::int64, {8}, pads.data(), sizeof(pads))};
    if (value) inputs.push_back(add.number(node.name + "/padding", *value));
    return add.node("Pad", inputs, wanted);
  }

  /// The codes of operand 0, as whole numbers.
  std::string counts() const {
    const std::string step = add.number(node.name + "/in_scale", input().step);
    return add.node("Round", {add.node("Div", {operand(), step}, node.name + "/quotients")}, node.name + "/counts");
  }
  /// The real value of ⌊x + 1/2⌋ codes: where halves occur, they have to round up as in the integer network.
  std::string halves_up(const std::string& x) const {
    const std::string raised = add.node("Add", {x, add.number(node.name + "/half", 0.5F)}, node.name + "/raised");
    const std::string step = add.number(node.name + "/scale", node.step);
    return add.node("Mul", {add.node("Floor", {raised}, node.name + "/rounded"), step}, node.name + "/value");
  }

  /// y clipped to the range of the codes.
  std::string clipped(const std::string& y) const {
    const std::string low = add.number(node.name + "/low", static_cast<float>(node.low) * node.step);
    const std::string high = add.number(node.name + "/high", static_cast<float>(node.high) * node.step);
    return add.node("Clip", {y, low, high}, node.name + "/clipped");
  }
};

}  // namespace mixgrad::integer

// SPDX-License-Identifier: Apache-2.0
#include "tflite_translation.h"

#include <fmt/ranges.h>

#include <algorithm>

namespace mixgrad::models::tflite_file {

using tflite::ActivationFunctionType;

Operator::Operator(const Tensors& tensors, Translation& to, const tflite::Operator& from, std::string source)
    : tensors_(tensors), to_(to), from_(from), source_(std::move(source)), first_(to.content.nodes.size()) {}

int Operator::output() const { return from_.outputs()->Get(0); }

bool Operator::has(size_t i) const { return i < inputs() && from_.inputs()->Get(static_cast<uint32_t>(i)) >= 0; }

int Operator::index(size_t i) const {
  if (!has(i)) refuse("its input {} is missing", i);
  return from_.inputs()->Get(static_cast<uint32_t>(i));
}

Dims Operator::image_dims(size_t i) const {
  Dims out = dims(i);
  if (out.size() != 4) {
    refuse("its input '{}' has the shape [{}], expected [N, H, W, C]", input(i), fmt::join(out, ", "));
  }
  return out;
}

const Constant* Operator::constant(size_t i) const {
  const std::string& name = input(i);
  auto found = to_.content.constants.find(name);
  if (found == to_.content.constants.end()) {
    if (!tensors_.has_data(index(i))) return nullptr;
    found = to_.content.constants.emplace(name, tensors_.constant(index(i))).first;
  }
  return &found->second;
}

const Constant& Operator::needed(size_t i) const {
  const Constant* c = constant(i);
  if (c == nullptr) refuse("its input '{}' must be a constant in the file", input(i));
  return *c;
}

const Constant& Operator::weights(size_t i, size_t rank) const {
  const Constant& c = needed(i);
  if (c.floats.empty() || c.dims.size() != rank) {
    refuse("'{}' is {} [{}], expected floats with {} dimensions", c.name, c.type, fmt::join(c.dims, ", "), rank);
  }
  return c;
}

std::vector<std::string> Operator::with_bias(std::vector<std::string> names, size_t i) const {
  if (has(i)) names.push_back(weights(i, 1).name);
  return names;
}

const Dims& Operator::numbers(size_t i) const {
  const Constant& c = needed(i);
  if (!c.floats.empty()) refuse("'{}' is {}, expected integers", c.name, c.type);
  return c.integers;
}

std::string Operator::add(Constant constant) {
  constexpr int64_t most_bytes = 1 << 24;  // and eight times the file's size: integers of 8 bits, used twice
  to_.bytes_added += constant.size() * static_cast<int64_t>(sizeof(float));
  if (to_.bytes_added > most_bytes + 8 * to_.content.bytes) refuse("the file's constants are used too often");
  const std::string name = next_name();
  to_.content.constants.emplace(name, std::move(constant));
  return name;
}

std::string Operator::integers(Dims values) {
  const int64_t count = std::ssize(values);
  return add({.name = "", .type = "INT64", .dims = {count}, .floats = {}, .integers = std::move(values)});
}

std::string Operator::scalar(float value) {
  return add({.name = "", .type = "FLOAT32", .dims = {}, .floats = {value}, .integers = {}});
}

std::string Operator::node(const std::string& op, std::vector<std::string> inputs, Attributes attributes) {
  to_.content.nodes.push_back({.name = tensors_.layer(output()),
                               .op = op,
                               .inputs = std::move(inputs),
                               .outputs = {next_name()},
                               .attributes = std::move(attributes),
                               .source = source_});
  return to_.content.nodes.back().outputs[0];
}

std::string Operator::channels_first(const std::string& x) {
  return node("Transpose", {x}, {{"perm", list({0, 3, 1, 2})}});
}

std::string Operator::channels_last(const std::string& x) {
  return node("Transpose", {x}, {{"perm", list({0, 2, 3, 1})}});
}

std::string Operator::activated(const std::string& x, ActivationFunctionType function) {
  switch (function) {
    case ActivationFunctionType::NONE:
      return x;
    case ActivationFunctionType::RELU:
      return node("Relu", {x});
    case ActivationFunctionType::RELU6:
      return node("Clip", {x, scalar(0), scalar(6)});
    case ActivationFunctionType::RELU_N1_TO_1:
      return node("Clip", {x, scalar(-1), scalar(1)});
    case ActivationFunctionType::TANH:
      return node("Tanh", {x});
    case ActivationFunctionType::SIGN_BIT:
      break;
  }
  refuse("its fused activation {} ({}) is not supported", tflite::EnumNameActivationFunctionType(function),
         static_cast<int>(function));
}

void Operator::end(const std::string& x) {
  const bool made = to_.content.nodes.size() > first_ && to_.content.nodes.back().outputs[0] == x;
  if (!made) node("Identity", {x});
  to_.content.nodes.back().outputs = {tensors_.name(output())};
}

void Operator::end(Constant constant) {
  constant.name = tensors_.name(output());
  to_.content.constants.emplace(constant.name, std::move(constant));
}

void Operator::end(const Refusal& refusal, const std::string& kind) {
  to_.content.nodes.resize(first_);
  Node node{.name = tensors_.layer(output()),
            .op = kind,
            .inputs = {},
            .outputs = {},
            .attributes = {},
            .source = source_,
            .refusal = refusal.why};
  for (size_t i = 0; i < inputs(); ++i) node.inputs.push_back(has(i) ? input(i) : "");
  for (const int32_t o : *from_.outputs()) node.outputs.push_back(tensors_.name(o));
  to_.content.nodes.push_back(std::move(node));
}

void Operator::check_type(int tensor) const {
  using enum tflite::TensorType;
  const tflite::TensorType type = tensors_.type(tensor);
  if (type == FLOAT32) return;
  const bool codes = type == INT8 || type == UINT8 || type == INT16 || type == INT4;
  refuse(
      "it computes with {}: {}", tensors_.type_name(tensor),
      codes ? "convert the float model, without quantization; the search quantizes it" : "only float32 is supported");
}

void Operator::check_tensors() const {
  for (size_t i = 0; i < inputs(); ++i) {
    if (!has(i) || constant(i) != nullptr) continue;
    const bool is_size = tensors_.type(index(i)) == tflite::TensorType::INT32 && i > 0;  // computed from shapes
    if (!is_size) check_type(index(i));
  }
  check_type(output());
}

Attribute padding(tflite::Padding padding) {
  if (padding == tflite::Padding::SAME) return text("SAME_UPPER");
  if (padding == tflite::Padding::VALID) return text("VALID");
  refuse("unknown padding {}", static_cast<int>(padding));
}

}  // namespace mixgrad::models::tflite_file

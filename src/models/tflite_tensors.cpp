// SPDX-License-Identifier: Apache-2.0
#include "tflite_translation.h"

#include <mixgrad/error.h>

#include <Eigen/Core>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <set>

namespace mixgrad::models::tflite_file {
namespace {

using tflite::TensorType;

/// The little-endian values of a buffer.
template <typename T>
std::vector<T> values(const flatbuffers::Vector<uint8_t>& data) {
  std::vector<T> out(data.size() / sizeof(T));
  std::memcpy(out.data(), data.data(), out.size() * sizeof(T));
  return out;
}

template <typename To, typename From>
std::vector<To> converted(const std::vector<From>& v) {
  std::vector<To> out;
  out.reserve(v.size());
  for (const From x : v) out.push_back(static_cast<To>(x));
  return out;
}

std::vector<float> from_half(const std::vector<uint16_t>& bits) {
  std::vector<float> out;
  out.reserve(bits.size());
  for (const uint16_t b : bits) out.push_back(static_cast<float>(Eigen::numext::bit_cast<Eigen::half>(b)));
  return out;
}

/// The size of a value; 0 of types that no constant may have.
size_t bytes_of(TensorType type) {
  if (type == TensorType::INT8 || type == TensorType::UINT8) return 1;
  if (type == TensorType::FLOAT16) return 2;
  if (type == TensorType::FLOAT32 || type == TensorType::INT32) return 4;
  return type == TensorType::INT64 ? 8 : 0;
}

std::string unique_name(const tflite::Tensor& tensor, size_t index, const std::set<std::string>& taken) {
  std::string name = tensor.name() == nullptr ? "" : tensor.name()->str();
  if (name.empty()) name = "tensor";
  std::string out = name;
  for (size_t n = index; taken.contains(out); ++n) out = fmt::format("{}#{}", name, n);
  return out;
}

}  // namespace

Tensors::Tensors(const tflite::Model& model, const tflite::SubGraph& graph, const std::string& path)
    : model_(model), graph_(graph) {
  if (graph.tensors() == nullptr) return;
  std::set<std::string> taken;
  for (const tflite::Tensor* t : *graph.tensors()) {
    names_.push_back(*taken.insert(unique_name(*t, names_.size(), taken)).first);
    const std::string& name = names_.back();
    if (t->shape() != nullptr && std::ranges::any_of(*t->shape(), [](int32_t d) { return d < 0; })) {
      bad_input("{}: tensor '{}' has a negative dimension", path, name);
    }
    if (t->buffer() == 0) continue;  // a tensor without data
    if (model.buffers() == nullptr || t->buffer() >= model.buffers()->size()) {
      bad_input("{}: tensor '{}' has its data in buffer {}, which does not exist", path, name, t->buffer());
    }
    if (model.buffers()->Get(t->buffer())->offset() > 1) {
      bad_input("{}: tensor '{}' has its data behind the model, as only models of more than 2 GiB need", path, name);
    }
  }
}

std::string Tensors::type_name(int index) const {
  const char* name = tflite::EnumNameTensorType(type(index));
  return *name == '\0' ? "of an unknown type" : name;
}

std::string Tensors::layer(int index) const {
  static constexpr std::array ends = {"/BiasAdd", "/Conv2D", "/MatMul", "/conv2d_transpose", "/depthwise"};
  const std::string whole = name(index);
  for (size_t begin = 0, end = 0; end != std::string::npos; begin = end + 1) {
    end = whole.find(';', begin);
    const std::string part = whole.substr(begin, end - begin);
    if (std::ranges::any_of(ends, [&](const char* e) { return part.ends_with(e); })) {
      return part.substr(0, part.rfind('/'));
    }
  }
  return whole.substr(0, whole.find(';'));
}

Dims Tensors::dims(int index) const {
  const tflite::Tensor& t = at(index);
  if (t.shape() == nullptr) return {};
  Dims out(t.shape()->begin(), t.shape()->end());
  if (t.shape_signature() == nullptr || t.shape_signature()->size() != t.shape()->size()) return out;
  for (size_t d = 0; d < out.size(); ++d) {
    if (t.shape_signature()->Get(static_cast<uint32_t>(d)) < 0) out[d] = 0;
  }
  return out;
}

bool Tensors::has_data(int index) const {
  const uint32_t buffer = at(index).buffer();
  if (buffer == 0) return false;
  const auto* data = model_.buffers()->Get(buffer)->data();
  return data != nullptr && data->size() > 0;
}

Constant Tensors::constant(int index) const {
  const tflite::Tensor& t = at(index);
  const auto& data = *model_.buffers()->Get(t.buffer())->data();
  Constant out{.name = name(index), .type = type_name(index), .dims = {}, .floats = {}, .integers = {}};
  const size_t bytes = bytes_of(type(index));
  if (bytes == 0) refuse("'{}' is {}, expected floats or integers", out.name, out.type);
  if (t.sparsity() != nullptr) refuse("'{}' is sparse: convert the model without sparsity", out.name);
  uint64_t expected = bytes;
  if (t.shape() != nullptr) out.dims.assign(t.shape()->begin(), t.shape()->end());
  for (const int64_t d : out.dims) {
    expected *= static_cast<uint64_t>(d);
    if (expected > data.size()) break;  // and before it overflows
  }
  if (expected != data.size() && std::ranges::count(out.dims, 0) == 0) {
    refuse("'{}' has {} bytes, which does not fit its shape [{}]", out.name, data.size(), fmt::join(out.dims, ", "));
  }
  if (std::ranges::count(out.dims, 0) > 0) refuse("'{}' has the shape [{}]", out.name, fmt::join(out.dims, ", "));
  switch (type(index)) {
    case TensorType::FLOAT32:
      out.floats = values<float>(data);
      break;
    case TensorType::FLOAT16:
      out.floats = from_half(values<uint16_t>(data));
      break;
    case TensorType::INT8:
      out.floats = dequantized(index, converted<float>(values<int8_t>(data)));
      break;
    case TensorType::UINT8:
      out.floats = dequantized(index, converted<float>(values<uint8_t>(data)));
      break;
    case TensorType::INT32:
      out.integers = converted<int64_t>(values<int32_t>(data));
      break;
    default:
      out.integers = values<int64_t>(data);
  }
  if (std::ranges::any_of(out.floats, [](float v) { return std::isnan(v); })) refuse("'{}' contains NaN", out.name);
  return out;
}

/// scale (code - zero point), per channel along one axis.
std::vector<float> Tensors::dequantized(int index, const std::vector<float>& codes) const {
  const tflite::Tensor& t = at(index);
  const auto* q = t.quantization();
  if (q == nullptr || q->scale() == nullptr || q->details_type() != 0) {
    refuse("'{}' is {} without a scale", name(index), type_name(index));
  }
  const size_t channels = q->scale()->size();
  const Dims dims = t.shape() == nullptr ? Dims() : Dims(t.shape()->begin(), t.shape()->end());
  const auto axis = static_cast<size_t>(q->quantized_dimension());
  if (channels != 1 && (axis >= dims.size() || static_cast<uint64_t>(dims[axis]) != channels)) {
    refuse("'{}' [{}] has {} scales along axis {}", name(index), fmt::join(dims, ", "), channels, axis);
  }
  size_t inner = 1;  // values in a row that share a channel
  for (size_t d = axis + 1; channels != 1 && d < dims.size(); ++d) inner *= static_cast<size_t>(dims[d]);
  std::vector<float> out;
  for (size_t k = 0; k < codes.size(); ++k) {
    const auto c = static_cast<uint32_t>(k / inner % channels);
    const bool shifted = q->zero_point() != nullptr && c < q->zero_point()->size();
    out.push_back(q->scale()->Get(c) * (codes[k] - static_cast<float>(shifted ? q->zero_point()->Get(c) : 0)));
  }
  return out;
}

}  // namespace mixgrad::models::tflite_file

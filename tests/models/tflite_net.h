// SPDX-License-Identifier: Apache-2.0
// TFLite files for tests, operator by operator, built with FlatBuffers.
#pragma once

#include <mixgrad/rng.h>

#include <tflite_generated.h>
#include <tflite_metadata_generated.h>

#include <cstring>
#include <string>
#include <utility>
#include <vector>

namespace mixgrad::test {

using Dims = std::vector<int64_t>;
using TfliteOp = tflite::BuiltinOperator;

/// Values from N(0, 0.3²) that depend on the name alone, so that a test can have a constant of the file again.
inline std::vector<float> named_values(const std::string& name, const Dims& dims) {
  int64_t size = 1;
  for (const int64_t d : dims) size *= d;
  Rng rng(5, name);
  std::vector<float> out;
  for (int64_t i = 0; i < size; ++i) out.push_back(static_cast<float>(rng.normal() * 0.3));
  return out;
}

/// Builds a model. Tensors are known by their index.
class TfliteNet {
 public:
  explicit TfliteNet(const Dims& input, tflite::TensorType type = tflite::TensorType::FLOAT32) {
    buffers_.push_back(tflite::CreateBuffer(fbb));  // the format's empty buffer
    input_ = tensor("x", input, type);
  }

  int input() const { return input_; }
  int tensor(const std::string& name, const Dims& dims, tflite::TensorType type = tflite::TensorType::FLOAT32,
             const std::vector<uint8_t>& data = {},
             flatbuffers::Offset<tflite::QuantizationParameters> quantization = 0) {
    uint32_t buffer = 0;
    if (!data.empty()) {
      buffer = static_cast<uint32_t>(buffers_.size());
      fbb.ForceVectorAlignment(data.size(), sizeof(uint8_t), 16);
      buffers_.push_back(tflite::CreateBuffer(fbb, fbb.CreateVector(data)));
    }
    const std::vector<int32_t> shape(dims.begin(), dims.end());
    tensors_.push_back(tflite::CreateTensor(fbb, fbb.CreateVector(shape), type, buffer, fbb.CreateString(name),
                                            quantization, false, 0, open_n(shape)));
    return static_cast<int>(tensors_.size()) - 1;
  }
  template <typename T>
  static std::vector<uint8_t> bytes_of(const std::vector<T>& values) {
    std::vector<uint8_t> out(values.size() * sizeof(T));
    std::memcpy(out.data(), values.data(), out.size());
    return out;
  }
  /// A constant with named_values.
  int floats(const std::string& name, const Dims& dims) { return values(name, dims, named_values(name, dims)); }
  int values(const std::string& name, const Dims& dims, const std::vector<float>& v) {
    return tensor(name, dims, tflite::TensorType::FLOAT32, bytes_of(v));
  }
  int integers(const std::string& name, const std::vector<int32_t>& v) { return integers(name, {std::ssize(v)}, v); }
  int integers(const std::string& name, const Dims& dims, const std::vector<int32_t>& v) {
    return tensor(name, dims, tflite::TensorType::INT32, bytes_of(v));
  }

  /// Adds an operator whose output has this shape; it is called "y" with a number.
  template <typename Options>
  int op(TfliteOp code, const std::vector<int32_t>& inputs, const Dims& output, flatbuffers::Offset<Options> options,
         tflite::TensorType type = tflite::TensorType::FLOAT32) {
    return add(code, inputs, output, type, tflite::BuiltinOptionsTraits<Options>::enum_value, options.Union());
  }
  int op(TfliteOp code, const std::vector<int32_t>& inputs, const Dims& output,
         tflite::TensorType type = tflite::TensorType::FLOAT32) {
    return add(code, inputs, output, type, tflite::BuiltinOptions::NONE, 0);
  }

  /// Adds metadata that normalizes the input.
  void metadata(const std::vector<float>& mean, const std::vector<float>& std) {
    namespace meta = tflite::metadata;
    flatbuffers::FlatBufferBuilder b;
    const auto options = meta::CreateNormalizationOptions(b, b.CreateVector(mean), b.CreateVector(std));
    const std::vector units = {
        meta::CreateProcessUnit(b, meta::ProcessUnitOptions::NormalizationOptions, options.Union())};
    const std::vector inputs = {meta::CreateTensorMetadata(b, b.CreateString("image"), 0, 0, 0, b.CreateVector(units))};
    const std::vector graphs = {meta::CreateSubGraphMetadata(b, 0, 0, b.CreateVector(inputs))};
    const auto model = meta::CreateModelMetadata(b, b.CreateString("test"), 0, 0, b.CreateVector(graphs));
    meta::FinishModelMetadataBuffer(b, model);
    metadata({b.GetBufferPointer(), b.GetBufferPointer() + b.GetSize()});
  }
  void metadata(const std::vector<uint8_t>& content) {
    const auto index = static_cast<uint32_t>(buffers_.size());
    fbb.ForceVectorAlignment(content.size(), sizeof(uint8_t), 16);
    buffers_.push_back(tflite::CreateBuffer(fbb, fbb.CreateVector(content)));
    metadata_.push_back(tflite::CreateMetadata(fbb, fbb.CreateString("TFLITE_METADATA"), index));
  }

  std::string bytes(const std::vector<int32_t>& outputs, uint32_t version = 3) {
    const std::vector<int32_t> inputs = {input_};
    const auto graph =
        tflite::CreateSubGraph(fbb, fbb.CreateVector(tensors_), fbb.CreateVector(inputs), fbb.CreateVector(outputs),
                               fbb.CreateVector(operators_), fbb.CreateString("main"));
    const auto graphs = fbb.CreateVector(std::vector{graph});
    const auto model = tflite::CreateModel(fbb, version, fbb.CreateVector(codes_), graphs, fbb.CreateString("test"),
                                           fbb.CreateVector(buffers_), 0, fbb.CreateVector(metadata_));
    tflite::FinishModelBuffer(fbb, model);
    return {reinterpret_cast<const char*>(fbb.GetBufferPointer()), fbb.GetSize()};
  }

  flatbuffers::FlatBufferBuilder fbb;

 private:
  flatbuffers::Offset<flatbuffers::Vector<int32_t>> open_n(std::vector<int32_t> shape) {
    if (shape.size() < 2 || shape[0] != 1) return 0;
    shape[0] = -1;
    return fbb.CreateVector(shape);
  }
  int add(TfliteOp code, const std::vector<int32_t>& inputs, const Dims& output, tflite::TensorType type,
          tflite::BuiltinOptions kind, flatbuffers::Offset<void> options) {
    const auto index = static_cast<uint32_t>(codes_.size());
    const auto old = static_cast<int8_t>(std::min(code, TfliteOp::PLACEHOLDER_FOR_GREATER_OP_CODES));
    codes_.push_back(tflite::CreateOperatorCode(fbb, old, 0, 1, code));
    const int result = tensor("y" + std::to_string(operators_.size()), output, type);
    const std::vector<int32_t> outputs = {result};
    operators_.push_back(
        tflite::CreateOperator(fbb, index, fbb.CreateVector(inputs), fbb.CreateVector(outputs), kind, options));
    return result;
  }

  int input_ = 0;
  std::vector<flatbuffers::Offset<tflite::Buffer>> buffers_;
  std::vector<flatbuffers::Offset<tflite::Tensor>> tensors_;
  std::vector<flatbuffers::Offset<tflite::OperatorCode>> codes_;
  std::vector<flatbuffers::Offset<tflite::Operator>> operators_;
  std::vector<flatbuffers::Offset<tflite::Metadata>> metadata_;
};

/// A plain network for 32×32 RGB images of ten classes, as Keras's converter writes it.
inline std::string plain_tflite_file() {
  using tflite::ActivationFunctionType, tflite::Padding;
  TfliteNet n({1, 32, 32, 3});
  int y = n.op(TfliteOp::CONV_2D, {n.input(), n.floats("c1", {8, 3, 3, 3}), n.floats("b1", {8})}, {1, 16, 16, 8},
               tflite::CreateConv2DOptions(n.fbb, Padding::SAME, 2, 2, ActivationFunctionType::RELU6));
  y = n.op(TfliteOp::DEPTHWISE_CONV_2D, {y, n.floats("d2", {1, 3, 3, 8}), n.floats("b2", {8})}, {1, 14, 14, 8},
           tflite::CreateDepthwiseConv2DOptions(n.fbb, Padding::VALID, 1, 1, 1, ActivationFunctionType::RELU));
  y = n.op(TfliteOp::MEAN, {y, n.integers("axes", {1, 2})}, {1, 8}, tflite::CreateReducerOptions(n.fbb, false));
  y = n.op(TfliteOp::FULLY_CONNECTED, {y, n.floats("w3", {10, 8}), n.floats("b3", {10})}, {1, 10},
           tflite::CreateFullyConnectedOptions(n.fbb));
  return n.bytes({n.op(TfliteOp::SOFTMAX, {y}, {1, 10}, tflite::CreateSoftmaxOptions(n.fbb, 1))});
}

}  // namespace mixgrad::test

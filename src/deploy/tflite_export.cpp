// SPDX-License-Identifier: Apache-2.0
// An integer network as a TFLite model of INT8 tensors.
#include <mixgrad/deploy.h>
#include <mixgrad/error.h>

#include <src/internal/names.h>
#include <src/internal/tflite_context.h>

#include <fmt/core.h>
#include <fmt/ranges.h>
#include <tflite_generated.h>
#include <tflite_metadata_generated.h>

#include <algorithm>
#include <cmath>

namespace mixgrad {
namespace {

using fmt::format;
using integer::TfliteOptions;
using integer::TfliteTensor;
using integer::TfliteType;
using integer::TfliteValue;

tflite::TensorType type_of(TfliteType type) {
  switch (type) {
    case TfliteType::int8:
      return tflite::TensorType::INT8;
    case TfliteType::int32:
      return tflite::TensorType::INT32;
    case TfliteType::float32:
      return tflite::TensorType::FLOAT32;
  }
  return tflite::TensorType::INT8;
}

/// Sets the fields that operators of several kinds call by the same names.
template <typename T>
T windowed(const TfliteOptions& o) {
  T out;
  out.padding = o.same ? tflite::Padding::SAME : tflite::Padding::VALID;
  out.stride_h = static_cast<int32_t>(o.stride[0]);
  out.stride_w = static_cast<int32_t>(o.stride[1]);
  if constexpr (requires { out.dilation_h_factor; }) {
    out.dilation_h_factor = static_cast<int32_t>(o.dilation[0]);
    out.dilation_w_factor = static_cast<int32_t>(o.dilation[1]);
  }
  if constexpr (requires { out.filter_height; }) {
    out.filter_height = static_cast<int32_t>(o.kernel[0]);
    out.filter_width = static_cast<int32_t>(o.kernel[1]);
  }
  if constexpr (requires { out.depth_multiplier; }) out.depth_multiplier = static_cast<int32_t>(o.multiplier);
  return out;
}

template <typename T>
void fuse(T& options, const TfliteOptions& o) {
  if (o.relu) options.fused_activation_function = tflite::ActivationFunctionType::RELU;
}

template <typename T>
void set(tflite::BuiltinOptionsUnion& to, const T& options) {
  to.Set(T(options));
}

/// The options that the format has for an operator; none for those that take none.
void set_options(tflite::BuiltinOptionsUnion& to, const std::string& op, const TfliteOptions& o) {
  const auto filled = [&]<typename T>(T options) {
    if constexpr (requires { options.fused_activation_function; }) fuse(options, o);
    if constexpr (requires { options.axis; }) options.axis = o.axis;
    set(to, options);
  };
  if (op == "CONV_2D") filled(windowed<tflite::Conv2DOptionsT>(o));
  if (op == "DEPTHWISE_CONV_2D") filled(windowed<tflite::DepthwiseConv2DOptionsT>(o));
  if (op == "TRANSPOSE_CONV") filled(windowed<tflite::TransposeConvOptionsT>(o));
  if (op == "AVERAGE_POOL_2D" || op == "MAX_POOL_2D") filled(windowed<tflite::Pool2DOptionsT>(o));
  if (op == "ADD") filled(tflite::AddOptionsT());
  if (op == "MUL") filled(tflite::MulOptionsT());
  if (op == "CONCATENATION") filled(tflite::ConcatenationOptionsT());
  if (op == "GATHER") filled(tflite::GatherOptionsT());
  if (op == "RESIZE_NEAREST_NEIGHBOR") {
    tflite::ResizeNearestNeighborOptionsT options;
    options.half_pixel_centers = true;
    set(to, options);
  }
}

/// The first version of TensorFlow Lite that has this version of an operator, where it is not 1.14.
std::string first_runtime(const std::string& op, int version) {
  if (op == "CONV_2D" && version == 6) return "2.9.0";
  if (op == "CAST") return "2.8.0";
  if (op == "TRANSPOSE_CONV" || op == "RESIZE_NEAREST_NEIGHBOR") return "2.3.0";
  if (op == "RELU") return "2.1.0";
  if (op == "MUL" && version == 3) return "1.15.0";
  return "1.14.0";
}

/// Builds a model in the format's own classes.
class Builder : public integer::TfliteWriter {
 public:
  Builder() {
    model_.version = 3;
    model_.description = format("mixgrad {}", MIXGRAD_VERSION);
    model_.buffers.push_back(std::make_unique<tflite::BufferT>());  // of tensors without data
    model_.subgraphs.push_back(std::make_unique<tflite::SubGraphT>());
    graph().name = "main";
  }

  int tensor(const std::string& name, const TfliteTensor& t, const void* data, size_t bytes) override {
    auto out = std::make_unique<tflite::TensorT>();
    out->name = name;
    out->type = type_of(t.type);
    for (const int64_t d : t.dims) out->shape.push_back(static_cast<int32_t>(d));
    if (!t.scales.empty()) {
      out->quantization = std::make_unique<tflite::QuantizationParametersT>();
      out->quantization->scale = t.scales;
      out->quantization->zero_point.assign(t.scales.size(), t.zero_point);
      out->quantization->quantized_dimension = t.axis;
    }
    if (data != nullptr) out->buffer = buffer({static_cast<const char*>(data), bytes});
    graph().tensors.push_back(std::move(out));
    return static_cast<int>(graph().tensors.size()) - 1;
  }

  void node(const std::string& op, int version, const std::vector<int>& inputs, int output,
            const TfliteOptions& options) override {
    auto out = std::make_unique<tflite::OperatorT>();
    out->opcode_index = code(op, version);
    out->inputs.assign(inputs.begin(), inputs.end());
    out->outputs = {output};
    set_options(out->builtin_options, op, options);
    graph().operators.push_back(std::move(out));
  }

  void rename(int tensor, const std::string& name) { graph().tensors[static_cast<size_t>(tensor)]->name = name; }
  void metadata(const std::string& name, const std::string& bytes) {
    auto out = std::make_unique<tflite::MetadataT>();
    out->name = name;
    out->buffer = buffer(bytes);
    model_.metadata.push_back(std::move(out));
  }
  std::string finish(int input, const std::vector<int>& outputs) {
    graph().inputs = {input};
    graph().outputs = outputs;
    std::string version = first_runtime_;
    version.resize(16);  // as converters write it
    metadata("min_runtime_version", version);
    flatbuffers::FlatBufferBuilder fbb;
    tflite::FinishModelBuffer(fbb, tflite::CreateModel(fbb, &model_));
    return {reinterpret_cast<const char*>(fbb.GetBufferPointer()), fbb.GetSize()};
  }

 private:
  tflite::SubGraphT& graph() { return *model_.subgraphs[0]; }

  uint32_t buffer(std::string_view bytes) {
    auto out = std::make_unique<tflite::BufferT>();
    out->data.assign(bytes.begin(), bytes.end());
    model_.buffers.push_back(std::move(out));
    return static_cast<uint32_t>(model_.buffers.size() - 1);
  }

  /// The index of an operator's code. Old runtimes read only the deprecated field, in which all that we use fit.
  uint32_t code(const std::string& op, int version) {
    const auto names = tflite::EnumNamesBuiltinOperator();
    int number = 0;
    while (names[number] != op) ++number;
    auto& codes = model_.operator_codes;
    for (size_t i = 0; i < codes.size(); ++i) {
      if (static_cast<int>(codes[i]->builtin_code) == number && codes[i]->version == version)
        return static_cast<uint32_t>(i);
    }
    codes.push_back(std::make_unique<tflite::OperatorCodeT>());
    codes.back()->builtin_code = static_cast<tflite::BuiltinOperator>(number);
    codes.back()->deprecated_builtin_code = static_cast<int8_t>(number);
    codes.back()->version = version;
    const std::string needed = first_runtime(op, version);
    first_runtime_ = std::max(first_runtime_, needed);  // in the order of letters too
    return static_cast<uint32_t>(codes.size() - 1);
  }

  tflite::ModelT model_;
  std::string first_runtime_ = "1.14.0";
};

/// How raw pixels become the network's input, as the format's metadata.
std::string input_metadata(const Normalization& n) {
  namespace meta = tflite::metadata;
  auto options = meta::NormalizationOptionsT();
  for (const float v : n.mean) options.mean.push_back(v * 255);
  for (const float v : n.std) options.std.push_back(v * 255);
  auto unit = std::make_unique<meta::ProcessUnitT>();
  unit->options.Set(std::move(options));
  auto input = std::make_unique<meta::TensorMetadataT>();
  input->name = "input";
  input->process_units.push_back(std::move(unit));
  auto graph = std::make_unique<meta::SubGraphMetadataT>();
  graph->input_tensor_metadata.push_back(std::move(input));
  meta::ModelMetadataT model;
  model.subgraph_metadata.push_back(std::move(graph));
  flatbuffers::FlatBufferBuilder fbb;
  meta::FinishModelMetadataBuffer(fbb, meta::CreateModelMetadata(fbb, &model));
  return {reinterpret_cast<const char*>(fbb.GetBufferPointer()), fbb.GetSize()};
}

/// The lowest and the highest value, 0 included, of each output.
std::vector<std::pair<int32_t, int32_t>> output_ranges(const IntegerNetwork& network,
                                                       const std::vector<uint8_t>& images) {
  constexpr int64_t at_once = 8;
  const int64_t size = network.nodes[0].shape.size(), count = std::ssize(images) / size;
  const IntegerEngine several(network, at_once), one(network, 1);
  std::vector<std::pair<int32_t, int32_t>> ranges(network.outputs.size());
  for (int64_t i = 0; i < count;) {
    const int64_t now = count - i < at_once ? 1 : at_once;
    const std::span codes(images.data() + i * size, static_cast<size_t>(now * size));
    const std::vector<int32_t> values = (now == 1 ? one : several).run(codes);
    for (auto at = values.begin(); at != values.end();) {
      for (size_t o = 0; o < ranges.size(); ++o) {
        for (int64_t left = network.node_of(network.outputs[o]).shape.size(); left > 0; --left, ++at)
          ranges[o] = {std::min(ranges[o].first, *at), std::max(ranges[o].second, *at)};
      }
    }
    i += now;
  }
  return ranges;
}

/// Gives outputs without quantizer 256 codes that hold their values for these images.
IntegerNetwork with_output_codes(IntegerNetwork network, const std::vector<uint8_t>& images) {
  std::vector<std::pair<int32_t, int32_t>> ranges;
  for (size_t i = 0; i < network.outputs.size(); ++i) {
    IntegerNode& node = network.nodes[static_cast<size_t>(network.outputs[i].node)];
    if (!node.raw) continue;
    if (images.empty()) bad_input("'{}' has no quantizer: expected images that show its range", node.name);
    if (ranges.empty()) ranges = output_ranges(network, images);
    const auto step = static_cast<double>(node.step);
    const double low = ranges[i].first * step, high = ranges[i].second * step;
    node.step = high > low ? static_cast<float>((high - low) / 255) : 1;
    node.low = static_cast<int>(std::lround(low / static_cast<double>(node.step)));
    node.high = node.low + 255;
    node.raw = false;
  }
  return network;
}

class Exporter {
 public:
  explicit Exporter(const IntegerNetwork& network) : network_(network) {}

  std::string run() {
    for (const IntegerNode& n : network_.nodes) {
      const integer::TfliteContext c{.add = add_, .network = network_, .node = n, .values = values_};
      values_.push_back(std::visit([&](const auto& o) { return o.tflite(c); }, n.op));
    }
    std::vector<int> outputs;
    for (const IntegerOutput& o : network_.outputs) outputs.push_back(output(o));
    if (!network_.normalization.empty()) add_.metadata("TFLITE_METADATA", input_metadata(network_.normalization));
    return add_.finish(0, outputs);
  }

 private:
  int output(const IntegerOutput& o) {
    const IntegerNode& node = network_.node_of(o);
    TfliteValue y = values_[static_cast<size_t>(o.node)];
    const std::string name = valid_utf8(o.name);
    if (o.shape.rank() == 1) {
      const integer::TfliteContext c{.add = add_, .network = network_, .node = node, .values = values_};
      y = c.reshaped(y, name, {1, o.shape[0]});
    }
    add_.rename(y.tensor, name);
    return y.tensor;
  }

  const IntegerNetwork& network_;
  Builder add_;
  std::vector<TfliteValue> values_;
};

}  // namespace

std::string to_tflite(const IntegerNetwork& network, const std::vector<uint8_t>& images, bool float_outputs) {
  IntegerNetwork coded = float_outputs ? network : with_output_codes(network, images);
  for (IntegerNode& n : coded.nodes) n.name = valid_utf8(n.name);
  return Exporter(coded).run();
}

}  // namespace mixgrad

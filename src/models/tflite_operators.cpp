// SPDX-License-Identifier: Apache-2.0
// Operators of TFLite in ONNX's terms. What ONNX's operators don't do is refused here, what the library does not
// support is refused by the importer.
#include "tflite_translation.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <limits>

namespace mixgrad::models::tflite_file {
namespace {

using Op = tflite::BuiltinOperator;

constexpr float unbounded = std::numeric_limits<float>::infinity();

template <typename Options>
void arithmetic(Operator& o, const char* op) {
  const std::string y = o.node(op, {o.input(0), o.input(1)});
  o.end(o.activated(y, o.options<Options>().fused_activation_function()));
}

void one_input(Operator& o, const char* op, const Attributes& attributes = {}) {
  o.end(o.node(op, {o.input(0)}, attributes));
}

void clip(Operator& o, float low, float high) {
  o.end(o.node("Clip", {o.input(0), low == -unbounded ? "" : o.scalar(low), high == unbounded ? "" : o.scalar(high)}));
}

/// MAXIMUM and MINIMUM with a constant.
void bound(Operator& o, const char* op) {
  const size_t constant = o.constant(0) != nullptr ? 0 : 1;
  o.end(o.node(op, {o.input(1 - constant), o.needed(constant).name}));
}

void pool(Operator& o, const char* op, const Attributes& more = {}) {
  const auto& options = o.options<tflite::Pool2DOptions>();
  o.image_dims(0);
  Attributes attributes = {{"auto_pad", padding(options.padding())},
                           {"kernel_shape", list({options.filter_height(), options.filter_width()})},
                           {"strides", list({options.stride_h(), options.stride_w()})}};
  attributes.insert(more.begin(), more.end());
  const std::string y = o.node(op, {o.channels_first(o.input(0))}, attributes);
  o.end(o.channels_last(o.activated(y, options.fused_activation_function())));
}

void reduce(Operator& o, const char* op) {
  const bool kept = o.options<tflite::ReducerOptions>().keep_dims();
  o.numbers(1);
  o.end(o.node(op, {o.input(0), o.input(1)}, {{"keepdims", number(kept ? 1 : 0)}}));
}

void softmax(Operator& o) {
  if (const float beta = o.options<tflite::SoftmaxOptions>().beta(); beta != 1) refuse("its beta is {}, not 1", beta);
  one_input(o, "Softmax", {{"axis", number(-1)}});
}

/// Pads before and after every axis, [axes, 2] in TFLite; all that are before come first in ONNX.
void pad(Operator& o, const char* mode, bool has_value) {
  const Dims& pads = o.numbers(1);
  Dims turned;
  for (size_t end = 0; end < 2; ++end) {
    for (size_t k = end; k < pads.size(); k += 2) turned.push_back(pads[k]);
  }
  std::vector<std::string> inputs = {o.input(0), o.integers(std::move(turned))};
  if (has_value) inputs.push_back(o.needed(2).name);
  o.end(o.node("Pad", inputs, {{"mode", text(mode)}}));
}

/// A shape that is computed from others is that of the output: only N may be undefined.
Dims new_shape(const Operator& o) {
  if (o.has(1) && o.constant(1) != nullptr) return o.numbers(1);
  Dims out = o.output_dims();
  if (out.empty() || std::ranges::count(out.begin() + 1, out.end(), 0) > 0) {
    refuse("its result has the shape [{}] (0: undefined): expected one that is known but for N", fmt::join(out, ", "));
  }
  out[0] = -1;
  return out;
}

void expand_dims(Operator& o) {
  const Dims& axis = o.numbers(1);
  o.end(o.node("Unsqueeze", {o.input(0), o.integers(axis)}));  // the file's axis may have no dimensions
}

void squeeze(Operator& o) {
  const auto* axes = o.options<tflite::SqueezeOptions>().squeeze_dims();
  std::vector<std::string> inputs = {o.input(0)};
  if (axes != nullptr && axes->size() > 0) inputs.push_back(o.integers(Dims(axes->begin(), axes->end())));
  o.end(o.node("Squeeze", inputs));
}

void concatenate(Operator& o) {
  const auto& options = o.options<tflite::ConcatenationOptions>();
  const auto rank = std::ssize(o.dims(0));
  const int64_t axis = options.axis() < 0 ? options.axis() + rank : options.axis();
  if (axis < 0 || axis >= rank) refuse("axis {} is out of range for {} dimensions", options.axis(), rank);
  std::vector<std::string> inputs;
  for (size_t i = 0; i < o.inputs(); ++i) {
    inputs.push_back(rank == 4 ? o.channels_first(o.input(i)) : o.input(i));
  }
  const std::array<int64_t, 4> moved = {0, 2, 3, 1};
  std::string y = o.node("Concat", inputs, {{"axis", number(rank == 4 ? moved[static_cast<size_t>(axis)] : axis)}});
  y = o.activated(y, options.fused_activation_function());
  o.end(rank == 4 ? o.channels_last(y) : y);
}

/// Keeps begin[d] ... end[d] - 1 of axis d.
void slice(Operator& o, const Dims& begin, const Dims& end) {
  const Dims shape = o.dims(0);
  if (begin.size() != shape.size() || end.size() != shape.size())
    refuse("it slices {} and {} of {} dimensions: expected all", begin.size(), end.size(), shape.size());
  const bool is_image = shape.size() == 4;
  const std::array<int64_t, 4> moved = {0, 2, 3, 1};
  Dims from, to, axes;
  for (size_t d = 0; d < shape.size(); ++d) {
    if (begin[d] == 0 && end[d] == shape[d]) continue;
    from.push_back(begin[d]);
    to.push_back(end[d]);
    axes.push_back(is_image ? moved[d] : static_cast<int64_t>(d));
  }
  if (axes.empty()) return one_input(o, "Identity");
  const std::string x = is_image ? o.channels_first(o.input(0)) : o.input(0);
  const std::string y = o.node("Slice", {x, o.integers(from), o.integers(to), o.integers(axes)});
  o.end(is_image ? o.channels_last(y) : y);
}

/// Of begin and size; size -1: up to the end.
void slice_of_size(Operator& o) {
  const Dims begin = o.numbers(1), shape = o.dims(0);
  Dims end = o.numbers(2);
  for (size_t d = 0; d < std::min({begin.size(), end.size(), shape.size()}); ++d)
    end[d] = end[d] == -1 ? shape[d] : begin[d] + end[d];
  slice(o, begin, end);
}

/// Of begin, end and step; a bit in a mask: from the start, up to the end. Negative numbers count from the end.
void strided_slice(Operator& o) {
  const auto& options = o.options<tflite::StridedSliceOptions>();
  if (options.ellipsis_mask() != 0 || options.new_axis_mask() != 0 || options.shrink_axis_mask() != 0)
    refuse("it adds or drops dimensions: only slices of all dimensions are supported");
  if (std::ranges::any_of(o.numbers(3), [](int64_t step) { return step != 1; })) refuse("its steps are not all 1");
  Dims begin = o.numbers(1), end = o.numbers(2);
  const Dims shape = o.dims(0);
  for (size_t d = 0; d < std::min({begin.size(), end.size(), shape.size()}); ++d) {
    const auto position = [&](int64_t p) { return std::clamp<int64_t>(p < 0 ? p + shape[d] : p, 0, shape[d]); };
    begin[d] = (options.begin_mask() >> d & 1) != 0 ? 0 : position(begin[d]);
    end[d] = (options.end_mask() >> d & 1) != 0 ? shape[d] : position(end[d]);
  }
  slice(o, begin, end);
}

void gelu(Operator& o) {
  one_input(o, "Gelu", {{"approximate", text(o.options<tflite::GeluOptions>().approximate() ? "tanh" : "none")}});
}

void resize_nearest(Operator& o) {
  const auto& options = o.options<tflite::ResizeNearestNeighborOptions>();
  const Dims in = o.image_dims(0), out = o.numbers(1);
  if (out.size() != 2 || in[1] == 0 || in[2] == 0) refuse("the size of its input or output is undefined");
  if (options.align_corners()) refuse("it aligns corners: only copies of whole pixels are supported");
  Constant scales{.name = "", .type = "FLOAT32", .dims = {4}, .floats = {1, 1}, .integers = {}};
  for (size_t d = 0; d < 2; ++d) {
    scales.floats.push_back(static_cast<float>(out[d]) / static_cast<float>(in[d + 1]));
    if (out[d] < 1 || out[d] % in[d + 1] != 0) {
      refuse("it resizes {} to {}: only whole factors are supported", in[d + 1], out[d]);
    }
  }
  // With whole factors, pixels are the same whether their centres count or their corners.
  const std::string y = o.node("Resize", {o.channels_first(o.input(0)), "", o.add(std::move(scales))},
                               {{"mode", text("nearest")},
                                {"coordinate_transformation_mode", text("asymmetric")},
                                {"nearest_mode", text("floor")}});
  o.end(o.channels_last(y));
}

void leaky_relu(Operator& o) {
  const float alpha = o.options<tflite::LeakyReluOptions>().alpha();
  if (!std::isfinite(alpha)) refuse("its alpha is {}", alpha);
  one_input(o, "LeakyRelu", {{"alpha", real(alpha)}});
}

void prelu(Operator& o) { o.end(o.node("PRelu", {o.input(0), o.needed(1).name})); }

void cast(Operator& o) {
  const auto& options = o.options<tflite::CastOptions>();
  if (options.out_data_type() != tflite::TensorType::FLOAT32) refuse("only casts to float32 are supported");
  one_input(o, "Cast", {{"to", number(onnx_file::type_float)}});
}

void dequantize(Operator& o) {
  const Constant* stored = o.constant(0);
  if (stored == nullptr) refuse("it computes with codes: convert the float model, without quantization");
  o.end(*stored);
}

}  // namespace

Translate translation_of(Op op) {
  static const std::map<Op, Translate> table = {
      {Op::ADD, [](Operator& o) { arithmetic<tflite::AddOptions>(o, "Add"); }},
      {Op::AVERAGE_POOL_2D,
       [](Operator& o) {
         pool(o, "AveragePool", {{"count_include_pad", number(0)}});
       }},
      {Op::CAST, cast},
      {Op::CONCATENATION, concatenate},
      {Op::CONV_2D, translate_conv},
      {Op::DEPTHWISE_CONV_2D, translate_depthwise_conv},
      {Op::DEQUANTIZE, dequantize},
      {Op::DIV, [](Operator& o) { arithmetic<tflite::DivOptions>(o, "Div"); }},
      {Op::ELU,
       [](Operator& o) {
         one_input(o, "Elu", {{"alpha", real(1)}});
       }},
      {Op::EXPAND_DIMS, expand_dims},
      {Op::FULLY_CONNECTED, translate_fully_connected},
      {Op::GELU, gelu},
      {Op::HARD_SWISH, [](Operator& o) { one_input(o, "HardSwish"); }},
      {Op::LEAKY_RELU, leaky_relu},
      {Op::LOGISTIC, [](Operator& o) { one_input(o, "Sigmoid"); }},
      {Op::LOG_SOFTMAX,
       [](Operator& o) {
         one_input(o, "LogSoftmax", {{"axis", number(-1)}});
       }},
      {Op::MAXIMUM, [](Operator& o) { bound(o, "Max"); }},
      {Op::MAX_POOL_2D, [](Operator& o) { pool(o, "MaxPool"); }},
      {Op::MEAN, [](Operator& o) { reduce(o, "ReduceMean"); }},
      {Op::MINIMUM, [](Operator& o) { bound(o, "Min"); }},
      {Op::MIRROR_PAD, [](Operator& o) { pad(o, "reflect", false); }},
      {Op::MUL, [](Operator& o) { arithmetic<tflite::MulOptions>(o, "Mul"); }},
      {Op::PAD, [](Operator& o) { pad(o, "constant", false); }},
      {Op::PADV2, [](Operator& o) { pad(o, "constant", true); }},
      {Op::PRELU, prelu},
      {Op::REDUCE_MAX, [](Operator& o) { reduce(o, "ReduceMax"); }},
      {Op::RELU, [](Operator& o) { one_input(o, "Relu"); }},
      {Op::RELU6, [](Operator& o) { clip(o, 0, 6); }},
      {Op::RELU_0_TO_1, [](Operator& o) { clip(o, 0, 1); }},
      {Op::RELU_N1_TO_1, [](Operator& o) { clip(o, -1, 1); }},
      {Op::RESHAPE,
       [](Operator& o) {
         o.end(o.node("Reshape", {o.input(0), o.integers(new_shape(o))}));
       }},
      {Op::RESIZE_NEAREST_NEIGHBOR, resize_nearest},
      {Op::SLICE, slice_of_size},
      {Op::SOFTMAX, softmax},
      {Op::SQUEEZE, squeeze},
      {Op::STRIDED_SLICE, strided_slice},
      {Op::SUB, [](Operator& o) { arithmetic<tflite::SubOptions>(o, "Sub"); }},
      {Op::TANH, [](Operator& o) { one_input(o, "Tanh"); }},
      {Op::TRANSPOSE,
       [](Operator& o) {
         one_input(o, "Transpose", {{"perm", list(o.numbers(1))}});
       }},
      {Op::TRANSPOSE_CONV, translate_transpose_conv},
  };
  const auto found = table.find(op);
  return found == table.end() ? nullptr : found->second;
}

}  // namespace mixgrad::models::tflite_file

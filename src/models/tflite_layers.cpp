// SPDX-License-Identifier: Apache-2.0
// Convolutions and linear layers of TFLite: weights [O, H, W, I] become [O, I, H, W].
#include "tflite_translation.h"

#include <algorithm>

namespace mixgrad::models::tflite_file {
namespace {

/// A constant with its axes in another order: axis d of the result is axis order[d] of `w`.
Constant permuted(const Constant& w, const std::array<size_t, 4>& order) {
  std::array<int64_t, 4> strides{1, 1, 1, 1}, step{};
  for (size_t d = 3; d-- > 0;) strides[d] = strides[d + 1] * w.dims[d + 1];
  Constant out{.name = w.name, .type = w.type, .dims = {}, .floats = {}, .integers = {}};
  for (size_t d = 0; d < 4; ++d) step[d] = strides[order[d]], out.dims.push_back(w.dims[order[d]]);
  out.floats.reserve(w.floats.size());
  for (int64_t a = 0; a < out.dims[0]; ++a) {
    for (int64_t b = 0; b < out.dims[1]; ++b) {
      for (int64_t c = 0; c < out.dims[2]; ++c) {
        for (int64_t d = 0; d < out.dims[3]; ++d) {
          const int64_t at = a * step[0] + b * step[1] + c * step[2] + d * step[3];
          out.floats.push_back(w.floats[static_cast<size_t>(at)]);
        }
      }
    }
  }
  return out;
}

/// The number of input channels, which must be known.
int64_t channels_of(const Operator& o, size_t i) {
  const int64_t channels = o.image_dims(i)[3];
  if (channels == 0) refuse("the number of its input's channels is undefined");
  return channels;
}

/// A convolution with weights [O, I, H, W] in `groups`.
template <typename Options>
void convolve(Operator& o, Constant weights, int64_t groups) {
  const auto& options = o.options<Options>();
  const std::string x = o.channels_first(o.input(0));
  const std::string y = o.node("Conv", o.with_bias({x, o.add(std::move(weights))}, 2),
                               {{"auto_pad", padding(options.padding())},
                                {"strides", list({options.stride_h(), options.stride_w()})},
                                {"dilations", list({options.dilation_h_factor(), options.dilation_w_factor()})},
                                {"group", number(groups)}});
  o.end(o.channels_last(o.activated(y, options.fused_activation_function())));
}

}  // namespace

void translate_conv(Operator& o) {
  const Constant& w = o.weights(1, 4);
  const int64_t channels = channels_of(o, 0), in = w.dims[3];
  if (in == 0 || channels % in != 0) refuse("its input has {} channels, its weights {}", channels, in);
  convolve<tflite::Conv2DOptions>(o, permuted(w, {0, 3, 1, 2}), channels / in);
}

void translate_depthwise_conv(Operator& o) {
  const Constant& w = o.weights(1, 4);  // [1, H, W, O]
  const int64_t channels = channels_of(o, 0);
  if (w.dims[0] != 1 || w.dims[3] % channels != 0) {
    refuse("its input has {} channels, its weights have the shape [{}, {}, {}, {}]", channels, w.dims[0], w.dims[1],
           w.dims[2], w.dims[3]);
  }
  convolve<tflite::DepthwiseConv2DOptions>(o, permuted(w, {3, 0, 1, 2}), channels);
}

void translate_fully_connected(Operator& o) {
  const auto& options = o.options<tflite::FullyConnectedOptions>();
  if (options.weights_format() != tflite::WeightsFormat::DEFAULT) refuse("its weights are shuffled");
  const Constant& w = o.weights(1, 2);  // [O, I]
  std::string x = o.input(0);
  const bool flat = o.dims(0).size() == 2;
  if (!flat && options.keep_num_dims()) {
    x = o.node("MatMul", {x, o.node("Transpose", {w.name}, {{"perm", list({1, 0})}})});
    if (o.has(2)) x = o.node("Add", o.with_bias({x}, 2));
  } else {
    if (!flat) x = o.node("Reshape", {x, o.integers({-1, w.dims[1]})});
    x = o.node("Gemm", o.with_bias({x, w.name}, 2), {{"transB", number(1)}});
  }
  o.end(o.activated(x, options.fused_activation_function()));
}

void translate_transpose_conv(Operator& o) {  // inputs: the output's shape, weights [O, H, W, I], x, bias
  const auto& options = o.options<tflite::TransposeConvOptions>();
  const Dims out = o.numbers(0), in = o.image_dims(2);
  const Constant& w = o.weights(1, 4);
  if (out.size() != 4 || in[1] == 0 || in[2] == 0) refuse("the size of its input or output is undefined");
  const std::array<int64_t, 2> stride = {options.stride_h(), options.stride_w()};
  Dims pads(4), more(2);
  for (size_t d = 0; d < 2; ++d) {
    const int64_t whole = (in[d + 1] - 1) * stride[d] + w.dims[d + 1], cut = whole - out[d + 1];
    const bool same = options.padding() == tflite::Padding::SAME;
    pads[d] = same ? std::max<int64_t>(0, cut) / 2 : 0;
    pads[d + 2] = std::max<int64_t>(0, cut) - pads[d];
    more[d] = std::max<int64_t>(0, -cut);
  }
  const std::string x = o.channels_first(o.input(2));
  const std::string y = o.node("ConvTranspose", o.with_bias({x, o.add(permuted(w, {3, 0, 1, 2}))}, 3),
                               {{"strides", list({stride[0], stride[1]})},
                                {"pads", list(std::move(pads))},
                                {"output_padding", list(std::move(more))}});
  o.end(o.channels_last(o.activated(y, options.fused_activation_function())));
}

}  // namespace mixgrad::models::tflite_file

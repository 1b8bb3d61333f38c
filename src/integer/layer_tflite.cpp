// SPDX-License-Identifier: Apache-2.0
// Convolutions and linear layers as TFLite's convolutions, with a scale per output channel.
#include <src/internal/lowering.h>
#include <src/internal/tflite_context.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <functional>
#include <numeric>

namespace mixgrad::integer {
namespace {

void check_sums(const TfliteContext& c, const Layer& layer) {
  const int input = std::max(c.input().high, -c.input().low);
  for (int64_t o = 0; o < layer.size.c_out; ++o) {
    double largest = layer.bias.empty() ? 0 : std::abs(static_cast<double>(layer.bias[static_cast<size_t>(o)]));
    for (int64_t k = 0; k < layer.weights_per_channel(); ++k)
      largest += std::abs(layer.weights[static_cast<size_t>(o * layer.weights_per_channel() + k)]) * input;
    c.check_sums(static_cast<double>(layer.steps[static_cast<size_t>(o)]) / static_cast<double>(c.node.step), largest);
  }
}

/// The same as real values: the input's codes become real values too.
std::vector<int> real_constants(const TfliteContext& c, const Layer& layer, const std::vector<int8_t>& weights,
                                const std::vector<int64_t>& dims, int axis) {
  const auto inner = std::accumulate(dims.begin() + axis + 1, dims.end(), int64_t{1}, std::multiplies<>());
  const auto step = [&](int64_t channel) { return static_cast<double>(layer.steps[static_cast<size_t>(channel)]); };
  std::vector<float> values, bias(static_cast<size_t>(layer.size.c_out));
  for (const int8_t code : weights) {
    const int64_t channel = std::ssize(values) / inner % layer.size.c_out;
    values.push_back(static_cast<float>(code * step(channel) / static_cast<double>(c.input().step)));
  }
  for (size_t o = 0; o < layer.bias.size(); ++o)
    bias[o] = static_cast<float>(layer.bias[o] * step(static_cast<int64_t>(o)));
  const auto tensor = [&](const char* name, const std::vector<int64_t>& shape, const std::vector<float>& v) {
    return c.add.tensor(c.node.name + name, {.dims = shape, .type = TfliteType::float32}, v.data(),
                        v.size() * sizeof(float));
  };
  return {tensor("/weight", dims, values), tensor("/bias", {layer.size.c_out}, bias)};
}

/// Weights, of which `axis` has the output channels, and their biases.
std::vector<int> constants(const TfliteContext& c, const Layer& layer, const std::vector<int8_t>& weights,
                           const std::vector<int64_t>& dims, int axis) {
  if (c.node.raw) return real_constants(c, layer, weights, dims, axis);
  check_sums(c, layer);
  std::vector<float> scales;
  for (const float step : layer.steps) scales.push_back(step / c.input().step);
  const std::string& name = c.node.name;
  const int w =
      c.add.tensor(name + "/weight", {.dims = dims, .scales = scales, .axis = axis}, weights.data(), weights.size());
  std::vector<int32_t> bias = layer.bias;
  bias.resize(static_cast<size_t>(layer.size.c_out));  // not every kernel does without
  const int b =
      c.add.tensor(name + "/bias", {.dims = {layer.size.c_out}, .type = TfliteType::int32, .scales = layer.steps},
                   bias.data(), bias.size() * sizeof(int32_t));
  return {w, b};
}

/// Codes [O, KH, KW, 1] to [1, KH, KW, O].
TfliteValue depthwise(const TfliteContext& c, const Layer& layer, const Conv2dSize& s) {
  Windows w = Windows::of(s);
  const TfliteValue x = c.under(w);
  const int64_t positions = s.kh * s.kw;
  std::vector<int8_t> weights(layer.weights.size());
  for (int64_t o = 0; o < s.c_out; ++o) {
    for (int64_t p = 0; p < positions; ++p)
      weights[static_cast<size_t>(p * s.c_out + o)] = layer.weights[static_cast<size_t>(o * positions + p)];
  }
  const std::vector<int> k = constants(c, layer, weights, {1, s.kh, s.kw, s.c_out}, 3);
  return c.rounded("DEPTHWISE_CONV_2D", 3, {c.operand(x), k[0], k[1]}, options_of(w, s.c_out / s.c_in));
}

/// The weights of a layer with groups as [O, KH, KW, I], zero where a group does not read an input channel.
std::vector<int8_t> without_groups(const Layer& layer, const std::vector<int8_t>& weights) {
  const Conv2dSize& s = layer.size;
  const int64_t inner = s.c_in / s.groups, outer = s.c_out / s.groups, positions = s.kh * s.kw;
  std::vector<int8_t> out(static_cast<size_t>(s.c_out * positions * s.c_in));
  for (int64_t row = 0; row < s.c_out * positions; ++row) {
    const int64_t first = row * s.c_in + row / positions / outer * inner;
    std::copy_n(weights.begin() + row * inner, inner, out.begin() + first);
  }
  return out;
}

}  // namespace

TfliteValue Conv2d::tflite(const TfliteContext& c) const {
  const Conv2dSize& s = size;
  if (s.groups > 1 && s.groups == s.c_in) return depthwise(c, *this, s);
  Windows w = Windows::of(s);
  const TfliteValue x = c.under(w);
  const std::vector<int> k = constants(c, *this, weights, {s.c_out, s.kh, s.kw, s.c_in / s.groups}, 0);
  return c.rounded("CONV_2D", s.groups > 1 ? 6 : 3, {c.operand(x), k[0], k[1]}, options_of(w));
}

/// The full output, of which the padding's rows and columns are then cut off. TRANSPOSE_CONV has neither groups nor
/// dilation, so kernels are written out with the zeros between, and with those that rows past the full output take.
TfliteValue ConvTranspose2d::tflite(const TfliteContext& c) const {
  const Conv2dSize& s = size;
  const Shape& in = c.input().shape;
  const std::string& name = c.node.name;
  const int64_t top = attrs.padding[0], left = attrs.padding[1];
  const auto [stride_h, stride_w] = attrs.stride;
  const std::array<int64_t, 2> kernel = {std::max((s.kh - 1) * s.dilation_h + 1, top + s.oh - (in[1] - 1) * stride_h),
                                         std::max((s.kw - 1) * s.dilation_w + 1, left + s.ow - (in[2] - 1) * stride_w)};
  const std::vector<int8_t> apart = without_groups(*this, turned(*this));
  std::vector<int8_t> written(static_cast<size_t>(s.c_out * kernel[0] * kernel[1] * s.c_in));
  for (int64_t row = 0; row < s.c_out * s.kh * s.kw; ++row) {
    const int64_t o = row / (s.kh * s.kw), y = row / s.kw % s.kh * s.dilation_h, x = row % s.kw * s.dilation_w;
    std::copy_n(apart.begin() + row * s.c_in, s.c_in, written.begin() + ((o * kernel[0] + y) * kernel[1] + x) * s.c_in);
  }
  const std::vector<int> k = constants(c, *this, written, {s.c_out, kernel[0], kernel[1], s.c_in}, 0);
  const std::vector<int64_t> full = {1, (in[1] - 1) * stride_h + kernel[0], (in[2] - 1) * stride_w + kernel[1],
                                     s.c_out};
  const bool whole = full == TfliteContext::dims(c.node.shape);
  const std::string last = c.needs_cut() ? name + "/uncut" : name;
  TfliteValue y = c.codes(whole ? last : name + "/full", full, c.zero_point());
  c.add.node("TRANSPOSE_CONV", 3, {c.add.integers(name + "/dims", full), k[0], c.operand(c.value()), k[1]}, y.tensor,
             {.kernel = kernel, .stride = attrs.stride});
  if (!whole) y = c.part(y, last, {0, top, left, 0}, TfliteContext::dims(c.node.shape));
  return c.needs_cut() ? c.cut(y, name) : y;
}

TfliteValue Affine::tflite(const TfliteContext& c) const { return depthwise(c, *this, size); }

/// A convolution whose kernel has the size of the image: FULLY_CONNECTED has a scale per channel in few runtimes.
TfliteValue Linear::tflite(const TfliteContext& c) const {
  const std::vector<int64_t> in = TfliteContext::dims(c.input().shape);
  const std::vector<int> k = constants(c, *this, weights, {size.c_out, in[1], in[2], in[3]}, 0);
  return c.rounded("CONV_2D", 3, {c.operand(c.value()), k[0], k[1]}, {.kernel = {in[1], in[2]}});
}

}  // namespace mixgrad::integer

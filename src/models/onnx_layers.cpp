// SPDX-License-Identifier: Apache-2.0
// Convolutions and linear layers, merged with the constant arithmetic after them.
#include "onnx_operators.h"

#include <src/internal/matrix.h>
#include <src/internal/shapes.h>

#include <fmt/ranges.h>

#include <algorithm>

namespace mixgrad::models {

using onnx_file::Attributes;
using onnx_file::Constant;
using onnx_file::Node;

namespace {

/// The weights at input 1, which must have `rank` dimensions.
const Constant& weight_constant(const Context& c, const Node& n, size_t rank) {
  const Constant& w = c.needed(n, 1);
  if (w.dims.size() != rank) {
    c.refuse(n, fmt::format("'{}' has {} dimensions, expected {}", w.name, w.dims.size(), rank));
  }
  c.weights(n, w);
  return w;
}

/// The weights of a convolution of images or signals as [O, I, KH, KW] or, transposed, [I, O, KH, KW].
Constant kernel_constant(const Context& c, const Node& n, const Layout& layout) {
  const std::optional<size_t> signal = layout.signal_axis();
  Constant w = weight_constant(c, n, signal ? 3 : 4);
  if (signal) w.dims.insert(w.dims.begin() + (*signal == 2 ? 2 : 3), 1);
  return w;
}

/// The layout of an image [C, H, W] computed from another.
Layout image_like(const Layout& from, std::vector<int64_t> chw) {
  const std::optional<size_t> signal = from.signal_axis();
  if (signal) return Layout::image(std::move(chw), {0, static_cast<int>(*signal)});
  return Layout::image(std::move(chw));
}

/// Merges the arithmetic after a layer into its weight and bias; adds a bias only if needed.
void apply(const ScaleShift& behind, std::vector<float>& weight, std::vector<float>& bias) {
  const size_t rows = behind.scale.size(), columns = weight.size() / rows;
  if (bias.empty() && behind.shifts()) bias.resize(rows);
  for (size_t k = 0; k < weight.size(); ++k) weight[k] = static_cast<float>(weight[k] * behind.scale[k / columns]);
  for (size_t o = 0; o < bias.size(); ++o) bias[o] = static_cast<float>(bias[o] * behind.scale[o] + behind.shift[o]);
}

/// Copies row-major values (O, I, H, W) to memory order (O, H, W, I) without a temporary tensor.
void fill(const Tensor& to, const std::vector<float>& row_major) {
  const bool image = to.shape().rank() == 4;
  const int64_t inputs = image ? to.dim(1) : 1, positions = image ? to.dim(2) * to.dim(3) : 1;
  const std::span<float> out = to.data();
  for (size_t k = 0; k < row_major.size(); ++k) {
    const auto at = static_cast<int64_t>(k);
    const int64_t p = at % positions, i = at / positions % inputs, o = at / (positions * inputs);
    out[static_cast<size_t>((o * positions + p) * inputs + i)] = row_major[k];
  }
}

/// Unset if the padding before the convolution can't be merged with its own.
std::optional<Conv2dAttrs> conv_attributes(const Context& c, const Node& n, const Value& x, const Constant& w) {
  Conv2dAttrs out{.stride = c.per_axis(n, x.layout, "strides", 1, 1),
                  .padding = {},
                  .dilation = c.per_axis(n, x.layout, "dilations", 1, 1),
                  .groups = Attributes(c.file, n).number("group", 1)};
  check_window(c, n,
               {w.dims[2], w.dims[3], out.stride[0], out.stride[1], out.dilation[0], out.dilation[1], out.groups});
  std::array<int64_t, 2> size{}, reach{};
  for (size_t d = 0; d < 2; ++d) {
    size[d] = x.layout.extents[d + 1] + x.padding.sides[d] + x.padding.sides[d + 2];
    reach[d] = (w.dims[d + 2] - 1) * out.dilation[d] + 1;
  }
  out.padding = padding_of(c, n, x.layout, size, reach, out.stride);
  for (size_t side = 0; side < 4; ++side) {
    out.padding[side] += x.padding.sides[side];
    if (out.padding[side] >= reach[side % 2]) return std::nullopt;
  }
  if (x.padding.value != 0) {
    c.refuse(n, fmt::format("its input is padded with {}: a convolution can only be padded with 0", x.padding.value));
  }
  return out;
}

/// w [O, I] and bias [O] (or none), in the file's order of features.
Value linear(Context& c, const Node& n, const Value& x, const Constant& named, std::vector<float> w, int64_t out,
             std::vector<float> bias) {
  const int64_t in = x.layout.size();
  const Layout layout = Layout::features(out, x.layout.axes.size());
  apply(c.absorb(n, layout), w, bias);
  auto module =
      std::make_unique<nn::Linear>(nn::LinearOptions{.in_features = in, .out_features = out, .bias = !bias.empty()});
  const Tensor weight = module->weight, offset = module->bias;
  const Value y = c.layer(n, x, std::move(module), named.name, layout);
  c.later([&c, weight, offset, w = std::move(w), bias = std::move(bias), in, from = x.order,
           to = y.order]() mutable {  // runs only once, so large weights can be moved
    fill(weight, c.orders.arranged(to, c.orders.columns_arranged(from, std::move(w), in), in));
    if (offset) fill(offset, c.orders.arranged(to, std::move(bias)));
  });
  return y;
}

/// Input 0 as features, `count` of them along the file's last axis.
Value features(Context& c, const Node& n, int64_t count) {
  const Value& x = c.input(n, 0);
  const std::vector<int64_t> dims = x.layout.dims();
  if (dims.empty() || dims.back() != count || x.layout.size() != count) {
    c.refuse(n, fmt::format("its input has shape [N, {}], expected [N, {}]", fmt::join(dims, ", "), count));
  }
  return c.flat(x);
}

/// A constant [I, O] as rows [O, I], times `factor`.
std::vector<float> rows(const Constant& w, bool are_rows, double factor) {
  const Matrix<float> scaled = (as_rows(w.floats, w.dims[0]).cast<double>() * factor).cast<float>();
  std::vector<float> r(w.floats.size());
  if (are_rows)
    as_rows(r, w.dims[0]) = scaled;
  else
    as_rows(r, w.dims[1]) = scaled.transpose();
  return r;
}

/// [I, O / groups, KH, KW] as [O, I / groups, KH, KW].
std::vector<float> rows_of_outputs(const Constant& w, int64_t groups) {
  const int64_t inputs = w.dims[0] / groups, outputs = w.dims[1], positions = w.dims[2] * w.dims[3];
  std::vector<float> out(w.floats.size());
  for (size_t k = 0; k < out.size(); ++k) {
    const auto at = static_cast<int64_t>(k), p = at % positions, o = at / positions % outputs,
               i = at / (positions * outputs);
    out[static_cast<size_t>(((i / inputs * outputs + o) * inputs + i % inputs) * positions + p)] = w.floats[k];
  }
  return out;
}

/// Padding as ONNX has it: given, or what makes the output `stride` times as large, or of a given size.
ConvTranspose2dAttrs transposed_attributes(const Context& c, const Node& n, const Value& x, const Constant& w) {
  const Attributes a(c.file, n);
  ConvTranspose2dAttrs out{.stride = c.per_axis(n, x.layout, "strides", 1, 1),
                           .padding = {},
                           .output_padding = c.per_axis(n, x.layout, "output_padding", 0, 0),
                           .dilation = c.per_axis(n, x.layout, "dilations", 1, 1),
                           .groups = a.number("group", 1)};
  check_window(c, n,
               {w.dims[2], w.dims[3], out.stride[0], out.stride[1], out.dilation[0], out.dilation[1], out.groups});
  if (w.dims[0] != x.layout.extents[0] || w.dims[0] % out.groups != 0)
    c.refuse(n, fmt::format("its input has {} channels in {} groups, but '{}' is for {}", x.layout.extents[0],
                            out.groups, w.name, w.dims[0]));
  const std::string automatic = a.text("auto_pad", "NOTSET");
  const bool same = automatic == "SAME_UPPER" || automatic == "SAME_LOWER", sized = a.has("output_shape");
  if (!same && !sized) {
    if (automatic != "VALID") out.padding = pads_attribute(c, n, x.layout);
    return out;
  }
  const std::array<int64_t, 2> wanted = c.per_axis(n, x.layout, "output_shape", 0, 1);
  for (size_t d = 0; d < 2; ++d) {
    const int64_t in = x.layout.extents[d + 1], span = (w.dims[d + 2] - 1) * out.dilation[d] + 1;
    const int64_t to = sized ? wanted[d] : in * out.stride[d];
    const int64_t total = (in - 1) * out.stride[d] + out.output_padding[d] + span - to;
    if (total < 0) {  // the output is longer than the windows reach
      out.output_padding[d] -= total;
      continue;
    }
    out.padding[d] = automatic == "SAME_UPPER" ? total / 2 : total - total / 2;
    out.padding[d + 2] = total - out.padding[d];
  }
  return out;
}

}  // namespace

Value import_conv_transpose(Context& c, const Node& n) {
  const Value& x = c.image_with_padding(n);
  Constant w = kernel_constant(c, n, x.layout);
  const ConvTranspose2dAttrs attrs = transposed_attributes(c, n, x, w);
  std::vector<float> weight = rows_of_outputs(w, attrs.groups), bias;
  const Shape shape{w.dims[1] * attrs.groups, w.dims[0] / attrs.groups, w.dims[2], w.dims[3]};
  const Conv2dSize size = conv_transpose2d_size(x.sample.shape(), shape, attrs);
  const Layout layout = image_like(x.layout, {size.c_in, size.h, size.w});
  if (const Constant* b = c.constant(n, 2)) bias = c.weights(n, *b, size.c_in);
  apply(c.absorb(n, layout), weight, bias);
  auto module = std::make_unique<nn::ConvTranspose2d>(shape, attrs, !bias.empty());
  fill(module->weight, weight);
  if (!bias.empty()) fill(module->bias, bias);
  return c.layer(n, x, std::move(module), w.name, layout);
}

Value import_conv(Context& c, const Node& n) {
  const Value& as_read = c.image(n);
  const Constant w = kernel_constant(c, n, as_read.layout);
  const std::optional<Conv2dAttrs> merged = conv_attributes(c, n, as_read, w);
  const Value& x = merged ? as_read : c.image_with_padding(n);
  const Conv2dAttrs attrs = merged ? *merged : conv_attributes(c, n, x, w).value();
  const Conv2dSize size = conv2d_size(x.sample.shape(), Shape(w.dims), attrs);
  const Layout layout = image_like(x.layout, {size.c_out, size.oh, size.ow});
  std::vector<float> weight = w.floats, bias;
  if (const Constant* b = c.constant(n, 2)) bias = c.weights(n, *b, size.c_out);
  apply(c.absorb(n, layout), weight, bias);
  auto module = std::make_unique<nn::Conv2d>(Shape(w.dims), attrs, !bias.empty());
  fill(module->weight, weight);
  if (!bias.empty()) fill(module->bias, bias);
  return c.layer(n, x, std::move(module), w.name, layout);
}

Value import_gemm(Context& c, const Node& n) {
  const Attributes a(c.file, n);
  const bool are_rows = a.number("transB", 0) != 0;
  if (a.number("transA", 0) != 0) c.refuse(n, "transA is not supported");
  const Constant& w = weight_constant(c, n, 2);
  const int64_t in = w.dims[are_rows ? 1 : 0], out = w.dims[are_rows ? 0 : 1];
  std::vector<float> bias;
  if (const Constant* b = c.constant(n, 2)) {
    c.weights(n, *b);
    const auto along = Layout::features(out).along_channels(*b);
    if (!along) {
      c.refuse(n, fmt::format("'{}' has shape [{}], expected {} numbers", b->name, fmt::join(b->dims, ", "), out));
    }
    bias = *along;
    for (float& v : bias) v = static_cast<float>(v * a.real("beta", 1));
  }
  const Value x = features(c, n, in);
  if (x.layout.axes.size() != 1) {
    c.refuse(n, fmt::format("its input has shape [N, {}], expected [N, {}]", fmt::join(x.layout.dims(), ", "), in));
  }
  return linear(c, n, x, w, rows(w, are_rows, a.real("alpha", 1)), out, std::move(bias));
}

Value import_matmul(Context& c, const Node& n) {
  const Constant& w = weight_constant(c, n, 2);
  return linear(c, n, features(c, n, w.dims[0]), w, rows(w, false, 1), w.dims[1], {});
}

}  // namespace mixgrad::models

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
  const Attributes a(c.file, n);
  Conv2dAttrs out{.stride = a.fixed<2>("strides", {1, 1}),
                  .padding = {},
                  .dilation = a.fixed<2>("dilations", {1, 1}),
                  .groups = a.number("group", 1)};
  check_window(c, n,
               {w.dims[2], w.dims[3], out.stride[0], out.stride[1], out.dilation[0], out.dilation[1], out.groups});
  std::array<int64_t, 2> size{}, reach{};
  for (size_t d = 0; d < 2; ++d) {
    size[d] = x.layout.extents[d + 1] + x.padding.sides[d] + x.padding.sides[d + 2];
    reach[d] = (w.dims[d + 2] - 1) * out.dilation[d] + 1;
  }
  out.padding = padding_of(c, n, size, reach, out.stride);
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

}  // namespace

Value import_conv(Context& c, const Node& n) {
  const Value& as_read = c.image(n);
  const Constant& w = weight_constant(c, n, 4);
  const std::optional<Conv2dAttrs> merged = conv_attributes(c, n, as_read, w);
  const Value& x = merged ? as_read : c.image_with_padding(n);
  const Conv2dAttrs attrs = merged ? *merged : conv_attributes(c, n, x, w).value();
  const Conv2dSize size = conv2d_size(x.sample.shape(), Shape(w.dims), attrs);
  const Layout layout = Layout::image({size.c_out, size.oh, size.ow});
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

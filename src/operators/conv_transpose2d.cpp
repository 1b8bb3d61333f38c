// SPDX-License-Identifier: Apache-2.0
// A transposed convolution is the gradient of a convolution from its output to its input, so each of the three passes
// of one is another pass of the other.
#include "conv2d_parts.h"

#include <mixgrad/ops.h>
#include <mixgrad/tape.h>

#include <kernels/elementwise.h>
#include <kernels/reduce.h>
#include <src/internal/exact.h>
#include <src/internal/shapes.h>
#include <src/internal/transposed.h>
#include <src/internal/value.h>

namespace mixgrad {
namespace {

void grad_x(const Conv2dSize& s, std::span<const float> gy, const Tensor& w, Grad gx) {
  const Tensor sum = Tensor::empty({s.n, s.c_out, s.oh, s.ow});
  parts::forward<float>(s, gy, transposed_weights(w, s.groups).data(), {}, sum.data());
  kernels::pass_gradient(sum.data(), gx);
}

void grad_w(const Conv2dSize& s, std::span<const float> x, std::span<const float> gy, Grad gw) {
  const Tensor sum = Tensor::empty({s.c_out, s.c_in / s.groups, s.kh, s.kw});
  parts::grad_w<float>(s, gy, x, {.data = sum.data().data()}, {});
  kernels::pass_gradient(transposed_weights(sum, s.groups).data(), gw);
}

/// On float32; exact for integer `codes`.
Tensor transposed(const Tensor& x, const Tensor& w, const Tensor& bias, const ConvTranspose2dAttrs& attrs, bool codes) {
  const Conv2dSize s = conv_transpose2d_size(x.shape(), w.shape(), attrs);
  check_vector(op::ConvTranspose2d::name(), "bias", bias, s.c_in);
  const Tensor y = Tensor::empty({s.n, s.c_in, s.h, s.w});
  (codes ? parts::codes_grad_x : parts::grad_x<float>)(s, x.data(), transposed_weights(w, s.groups).data(),
                                                       {.data = y.data().data()});
  const float one = 1;
  if (bias) kernels::rescale(s.n * s.h * s.w, s.c_in, y.data(), {&one, 1}, bias.data(), y.data());
  return record(op::ConvTranspose2d{attrs}, y, {x, w, bias}, [s](const Backward& b) {
    if (const auto gx = b.grad(0)) grad_x(s, b.grad_output(), b.record.inputs[1], gx);
    if (const auto gw = b.grad(1)) grad_w(s, b.input(0), b.grad_output(), gw);
    if (const auto gbias = b.grad(2)) kernels::column_sums(s.n * s.h * s.w, s.c_in, b.grad_output(), gbias);
  });
}

}  // namespace

Tensor transposed_weights(const Tensor& w, int64_t groups) {
  const int64_t rows = w.dim(0) / groups, columns = w.dim(1), positions = w.dim(2) * w.dim(3);
  Tensor out = Tensor::empty({columns * groups, rows, w.dim(2), w.dim(3)});
  for (int64_t a = 0; a < rows * groups; ++a) {
    for (int64_t p = 0; p < positions; ++p) {
      for (int64_t k = 0; k < columns; ++k) {  // in memory [A, KH, KW, B / groups]
        const int64_t b = a / rows * columns + k;
        out.data()[static_cast<size_t>((b * positions + p) * rows + a % rows)] =
            w.data()[static_cast<size_t>((a * positions + p) * columns + k)];
      }
    }
  }
  return out;
}

Tensor conv_transpose2d(const Tensor& x, const Tensor& w, const Tensor& bias, const ConvTranspose2dAttrs& attrs) {
  return cast(transposed(cast(x, DType::float32), w, bias, attrs, false), x.dtype());
}

Tensor conv_transpose2d_codes(const Tensor& x, const Tensor& w, const ConvTranspose2dAttrs& attrs, double bound) {
  return exact("conv_transpose2d_codes", cast(x, DType::float32), bound,
               [&](const Tensor& part) { return transposed(part, w, {}, attrs, true); });
}

namespace op {

Channels ConvTranspose2d::channels(const Node& node) const { return Conv2d{{.groups = attrs.groups}}.channels(node); }

LayerShape ConvTranspose2d::layer_shape(const Node& node) const {
  const Shape& w = node.weight().shape();
  LayerShape out{.groups = attrs.groups, .kernel = {w[2], w[3]}};
  for (size_t d = 0; d < 2; ++d) {
    const int64_t span = (out.kernel[d] - 1) * attrs.dilation[d] + 1;
    const int64_t reached = node.shape[static_cast<int>(d) + 1] + attrs.padding[d] + attrs.padding[d + 2];
    out.positions[d] = (reached - attrs.output_padding[d] - span) / attrs.stride[d] + 1;
  }
  return out;
}

Sweep ConvTranspose2d::sweep(const Node& node, const Shape& input) const {
  const Conv2dSize s = conv_transpose2d_size(one_image(input), node.weight().shape(), attrs);
  return {.input = {s.oh, s.ow},
          .output = {s.h, s.w},
          .before = {(s.kh - 1) * s.dilation_h - s.pad_top, (s.kw - 1) * s.dilation_w - s.pad_left},
          .apart = attrs.stride,
          .rows = (s.kh - 1) * s.dilation_h + 1};
}

Value ConvTranspose2d::run(const RunContext& c) const {
  const Binding::NodeBinding& b = c.binding;
  if (b.scale) return {conv_transpose2d_codes(c.input().tensor, b.weight, attrs, b.bound), nullptr, b.scale, b.bias};
  return {conv_transpose2d(real(c.input()), b.weight, b.bias, attrs)};
}

}  // namespace op

}  // namespace mixgrad

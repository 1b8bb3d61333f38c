// SPDX-License-Identifier: Apache-2.0
#include "conv2d_parts.h"

#include <mixgrad/ops.h>
#include <mixgrad/tape.h>

#include <kernels/elementwise.h>
#include <src/internal/by_dtype.h>
#include <src/internal/exact.h>
#include <src/internal/shapes.h>
#include <src/internal/value.h>

namespace mixgrad {
namespace {

/// The output's gradient in the type of the input. That of sums of bfloat16 codes, which are float32, is rounded into
/// `rounded`.
template <typename T>
std::span<const T> output_gradient(const Backward& b, Tensor& rounded) {
  const Tensor& y = b.record.output;
  if (y.dtype() == b.record.inputs[0].dtype()) return b.grad_output<T>();
  rounded = Tensor::empty(y.shape(), DType::bfloat16);
  kernels::from_float(b.grad_output(), rounded.data<bfloat16>());
  return rounded.data<T>();
}

/// Records the op; the gradient is the same for real values and codes.
template <typename T>
Tensor recorded(const Conv2dSize& s, const Conv2dAttrs& attrs, const Tensor& y, const Tensor& x, const Tensor& w,
                const Tensor& bias) {
  return record(op::Conv2d{attrs}, y, {x, w, bias}, [s](const Backward& b) {
    Tensor rounded;
    const std::span<const T> gy = output_gradient<T>(b, rounded);
    if (auto gx = b.grad<T>(0)) parts::grad_x<T>(s, gy, b.input(1), gx);
    const auto gw = b.grad(1), gbias = b.grad(2);
    if (gw || gbias) parts::grad_w<T>(s, b.input<T>(0), gy, gw, gbias);
  });
}

}  // namespace

Tensor conv2d(const Tensor& x, const Tensor& w, const Tensor& bias, const Conv2dAttrs& attrs) {
  const Conv2dSize s = conv2d_size(x.shape(), w.shape(), attrs);
  check_vector(op::Conv2d::name(), "bias", bias, s.c_out);
  return by_dtype(x.dtype(), [&]<typename T>() {
    Tensor y = Tensor::empty({s.n, s.c_out, s.oh, s.ow}, x.dtype());
    parts::forward<T>(s, x.data<T>(), w.data(), bias.data(), y.data<T>());
    return recorded<T>(s, attrs, y, x, w, bias);
  });
}

Tensor conv2d_codes(const Tensor& x, const Tensor& w, const Conv2dAttrs& attrs, double bound) {
  const Conv2dSize s = conv2d_size(x.shape(), w.shape(), attrs);
  return exact("conv2d_codes", x, bound, [&](const Tensor& part) {
    return by_dtype(part.dtype(), [&]<typename T>() {
      Tensor y = Tensor::empty({s.n, s.c_out, s.oh, s.ow});
      parts::Parts(s, sizeof(float))
          .each(std::span<const T>(part.data<T>()), y.data(),
                [&](const Conv2dSize& size, std::span<const T> from, std::span<float> to, int64_t) {
                  kernels::conv2d_codes(size, from, w.data(), to);
                });
      return recorded<T>(s, attrs, y, part, w, {});
    });
  });
}

namespace op {

Channels Conv2d::channels(const Node& node) const {
  if (attrs.groups == 1) return Channels::made;
  const bool one_each = node.weight().dim(1) == 1 && node.weight().dim(0) == attrs.groups;
  return one_each ? Channels::depthwise : Channels::grouped;
}

LayerShape Conv2d::layer_shape(const Node& node) const {
  const Shape& w = node.weight().shape();
  return {.groups = attrs.groups,
          .kernel = {w[2], w[3]},
          .positions = {node.shape[1], node.shape[2]},
          .stride = attrs.stride,
          .dilation = attrs.dilation};
}

Sweep Conv2d::sweep(const Node& node, const Shape& input) const {
  return sweep_of(conv2d_size(one_image(input), node.weight().shape(), attrs));
}

Value Conv2d::run(const RunContext& c) const {
  const Binding::NodeBinding& b = c.binding;
  if (b.scale) return {conv2d_codes(c.input().tensor, b.weight, attrs, b.bound), nullptr, b.scale, b.bias};
  return {conv2d(real(c.input()), b.weight, b.bias, attrs)};
}

}  // namespace op

}  // namespace mixgrad

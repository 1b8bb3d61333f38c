// SPDX-License-Identifier: Apache-2.0
#include "by_dtype.h"
#include "exact.h"
#include "shapes.h"

#include <mixgrad/ops.h>
#include <mixgrad/tape.h>

namespace mixgrad {
namespace {

/// The gradient, whichever way the output was computed.
template <typename T>
Tensor recorded(const kernels::Conv2dSize& s, const Conv2dAttrs& attrs, const Tensor& y, const Tensor& x, const Tensor& w, const Tensor& bias) {
  return record("conv2d", attrs, y, {x, w, bias}, [s](const Backward& b) {
    if (auto gx = b.grad<T>(0)) kernels::conv2d_grad_x(s, b.grad_output<T>(), b.input(1), gx);
    const auto gw = b.grad(1), gbias = b.grad(2);
    if (gw || gbias) kernels::conv2d_grad_w(s, b.input<T>(0), b.grad_output<T>(), gw, gbias);
  });
}

}  // namespace

Tensor conv2d(const Tensor& x, const Tensor& w, const Tensor& bias, const Conv2dAttrs& attrs) {
  const kernels::Conv2dSize s = conv2d_size(x.shape(), w.shape(), attrs);
  check_vector("conv2d", "bias", bias, s.c_out);
  return by_dtype(x.dtype(), [&]<typename T>() {
    Tensor y = Tensor::empty({s.n, s.c_out, s.oh, s.ow}, x.dtype());
    kernels::conv2d(s, x.data<T>(), w.data(), bias.data(), y.data<T>());
    return recorded<T>(s, attrs, y, x, w, bias);
  });
}

Tensor conv2d_codes(const Tensor& x, const Tensor& w, const Conv2dAttrs& attrs, double bound) {
  const kernels::Conv2dSize s = conv2d_size(x.shape(), w.shape(), attrs);
  return exact("conv2d_codes", x, bound, [&](const Tensor& part) {
    Tensor y = Tensor::empty({s.n, s.c_out, s.oh, s.ow});
    kernels::conv2d_codes(s, part.data(), w.data(), y.data());
    return recorded<float>(s, attrs, y, part, w, {});
  });
}

}  // namespace mixgrad

// SPDX-License-Identifier: Apache-2.0
#include "shapes.h"

#include <mixgrad/ops.h>
#include <mixgrad/tape.h>

namespace mixgrad {

Tensor conv2d(const Tensor& x, const Tensor& w, const Tensor& bias, const Conv2dAttrs& attrs) {
  const kernels::Conv2dSize s = conv2d_size(x.shape(), w.shape(), attrs);
  check_vector("conv2d", "bias", bias, s.c_out);
  Tensor y = Tensor::empty({s.n, s.c_out, s.oh, s.ow});
  kernels::conv2d(s, x.data(), w.data(), bias.data(), y.data());
  return record("conv2d", attrs, y, {x, w, bias}, [s](const Backward& b) {
    if (auto gx = b.grad(0)) kernels::conv2d_grad_x(s, b.grad_output(), b.input(1), gx);
    const auto gw = b.grad(1), gbias = b.grad(2);
    if (gw || gbias) kernels::conv2d_grad_w(s, b.input(0), b.grad_output(), gw, gbias);
  });
}

}  // namespace mixgrad

// SPDX-License-Identifier: Apache-2.0
#include "by_dtype.h"

#include <mixgrad/ops.h>
#include <mixgrad/tape.h>

#include <kernels/elementwise.h>

namespace mixgrad {

namespace {

Tensor rectified(const char* op, const Tensor& x, float top) {
  return by_dtype(x.dtype(), [&]<typename T>() {
    Tensor y = Tensor::empty(x.shape(), x.dtype());
    kernels::relu(x.data<T>(), y.data<T>(), top);
    return record(op, {}, y, {x}, [top](const Backward& b) {
      if (auto gx = b.grad<T>(0)) kernels::relu_grad(b.output<T>(), b.grad_output<T>(), gx, top);
    });
  });
}

}  // namespace

Tensor relu(const Tensor& x) { return rectified("relu", x, kernels::endless); }

Tensor relu6(const Tensor& x) { return rectified("relu6", x, 6); }

Tensor clipped_relu(const Tensor& x, float top) { return rectified("clipped_relu", x, top); }

}  // namespace mixgrad

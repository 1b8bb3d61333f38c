// SPDX-License-Identifier: Apache-2.0
#include "by_dtype.h"

#include <mixgrad/ops.h>
#include <mixgrad/tape.h>

#include <kernels/elementwise.h>

namespace mixgrad {

Tensor relu(const Tensor& x) {
  return by_dtype(x.dtype(), [&]<typename T>() {
    Tensor y = Tensor::empty(x.shape(), x.dtype());
    kernels::relu(x.data<T>(), y.data<T>());
    return record("relu", {}, y, {x}, [](const Backward& b) {
      if (auto gx = b.grad<T>(0)) kernels::relu_grad(b.output<T>(), b.grad_output<T>(), gx);
    });
  });
}

}  // namespace mixgrad

// SPDX-License-Identifier: Apache-2.0
#include <mixgrad/ops.h>
#include <mixgrad/tape.h>

#include <kernels/elementwise.h>

namespace mixgrad {

Tensor relu(const Tensor& x) {
  Tensor y = Tensor::empty(x.shape());
  kernels::relu(x.data(), y.data());
  return record("relu", {}, y, {x}, [](const Backward& b) {
    if (auto gx = b.grad(0)) kernels::relu_grad(b.output(), b.grad_output(), gx);
  });
}

}  // namespace mixgrad

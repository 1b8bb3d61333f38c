// SPDX-License-Identifier: Apache-2.0
#include <mixgrad/error.h>
#include <mixgrad/ops.h>
#include <mixgrad/tape.h>

#include <kernels/elementwise.h>

namespace mixgrad {

Tensor add(const Tensor& a, const Tensor& b) {
  if (a.shape() != b.shape()) bad_input("[add] shapes {} and {} differ", a.shape().str(), b.shape().str());
  Tensor y = Tensor::empty(a.shape());
  kernels::add(a.data(), b.data(), y.data());
  return record("add", {}, y, {a, b}, [](const Backward& back) {
    for (int i : {0, 1}) {
      if (auto g = back.grad(i)) kernels::pass_gradient(back.grad_output(), g);
    }
  });
}

}  // namespace mixgrad

// SPDX-License-Identifier: Apache-2.0
#include <mixgrad/error.h>
#include <mixgrad/ops.h>
#include <mixgrad/tape.h>

#include <kernels/elementwise.h>
#include <src/internal/by_dtype.h>
#include <src/internal/value.h>

namespace mixgrad {

Tensor add(const Tensor& a, const Tensor& b) {
  if (a.shape() != b.shape()) bad_input("[add] shapes {} and {} differ", a.shape().str(), b.shape().str());
  return by_dtype(a.dtype(), [&]<typename T>() {
    Tensor y = Tensor::empty(a.shape(), a.dtype());
    kernels::add(a.data<T>(), b.data<T>(), y.data<T>());
    return record(op::Add(), y, {a, b}, [](const Backward& back) {
      for (int i : {0, 1}) {
        if (auto g = back.grad<T>(i)) kernels::pass_gradient(back.grad_output<T>(), g);
      }
    });
  });
}

/// Adds codes of the same quantizer as integers.
Value op::Add::run(const RunContext& c) const {
  const Value &a = c.input(0), &b = c.input(1);
  if (a.codes_of != nullptr && a.codes_of == b.codes_of) return {add(a.tensor, b.tensor), nullptr, a.steps};
  return {add(real(a), real(b))};
}

}  // namespace mixgrad

// SPDX-License-Identifier: Apache-2.0
#include <mixgrad/error.h>
#include <mixgrad/ops.h>
#include <mixgrad/tape.h>

#include <kernels/elementwise.h>
#include <src/internal/by_dtype.h>
#include <src/internal/value.h>

namespace mixgrad {
namespace {

template <typename T, typename Sum>
Tensor summed(const Tensor& a, const Tensor& b, DType dtype) {
  if (a.shape() != b.shape()) bad_input("[add] shapes {} and {} differ", a.shape().str(), b.shape().str());
  Tensor y = Tensor::empty(a.shape(), dtype);
  kernels::add(a.data<T>(), b.data<T>(), y.data<Sum>());
  return record(op::Add(), y, {a, b}, [](const Backward& back) {
    for (int i : {0, 1}) {
      if (auto g = back.grad<T>(i)) kernels::pass_gradient(back.grad_output<Sum>(), g);
    }
  });
}

}  // namespace

Tensor add(const Tensor& a, const Tensor& b) {
  return by_dtype(a.dtype(), [&]<typename T>() { return summed<T, T>(a, b, a.dtype()); });
}

Tensor add_codes(const Tensor& a, const Tensor& b) {
  return by_dtype(a.dtype(), [&]<typename T>() { return summed<T, float>(a, b, DType::float32); });
}

/// Adds codes of the same quantizer as integers.
Value op::Add::run(const RunContext& c) const {
  const Value &a = c.input(0), &b = c.input(1);
  if (a.codes_of != nullptr && a.codes_of == b.codes_of) return {add_codes(a.tensor, b.tensor), nullptr, a.steps};
  return {add(real(a), real(b))};
}

}  // namespace mixgrad

// SPDX-License-Identifier: Apache-2.0
#include <mixgrad/ops.h>
#include <mixgrad/tape.h>

#include <kernels/elementwise.h>
#include <src/internal/by_dtype.h>
#include <src/internal/value.h>

namespace mixgrad {

namespace {

Tensor rectified(const RecordedOp& op, const Tensor& x, float top) {
  return by_dtype(x.dtype(), [&]<typename T>() {
    Tensor y = Tensor::empty(x.shape(), x.dtype());
    kernels::relu(x.data<T>(), y.data<T>(), top);
    return record(op, y, {x}, [top](const Backward& b) {
      if (auto gx = b.grad<T>(0)) kernels::relu_grad(b.output<T>(), b.grad_output<T>(), gx, top);
    });
  });
}

}  // namespace

Tensor relu(const Tensor& x) { return rectified(op::Activate{Activation::relu}, x, kernels::endless); }

Tensor relu6(const Tensor& x) { return rectified(op::Activate{Activation::relu6}, x, 6); }

Tensor clipped_relu(const Tensor& x, float top) { return rectified("clipped_relu", x, top); }

Tensor activate(Activation function, const Tensor& x) {
  switch (function) {
    case Activation::none:
      return x;
    case Activation::relu:
      return relu(x);
    case Activation::relu6:
      return relu6(x);
  }
  return x;
}

Value op::Activate::run(const RunContext& c) const {
  const Value& x = c.input();
  const ActivationSlot* slot = x.codes_of;
  if (function == Activation::relu) return {relu(x.tensor), slot, x.steps};
  return {slot ? clipped_relu(x.tensor, slot->code_of(6)) : relu6(real(x)), slot, x.steps};
}

}  // namespace mixgrad

// SPDX-License-Identifier: Apache-2.0
#include <mixgrad/ops.h>
#include <mixgrad/tape.h>

#include <kernels/move.h>
#include <src/internal/by_dtype.h>
#include <src/internal/shapes.h>
#include <src/internal/value.h>

namespace mixgrad {

Tensor pad2d(const Tensor& x, const Pad2dAttrs& attrs) {
  const kernels::Pad2dSize s = padded_size(op::Pad2d::name(), x.shape(), attrs);
  return by_dtype(x.dtype(), [&]<typename T>() {
    Tensor y = Tensor::empty({s.n, s.c, s.out_h(), s.out_w()}, x.dtype());
    kernels::pad2d<T>(s, x.data<T>().data(), y.data<T>().data());
    return record(op::Pad2d{attrs}, y, {x}, [s](const Backward& b) {
      if (auto gx = b.grad<T>(0)) kernels::pad2d_grad<T>(s, b.grad_output<T>().data(), gx);
    });
  });
}

op::Sweep op::Pad2d::sweep(const Node&, const Shape& input) const {
  return sweep_of(padded_size(name(), one_image(input), attrs));
}

/// The code of 0 is 0.
Value op::Pad2d::run(const RunContext& c) const {
  const Value& x = c.input();
  return {pad2d(x.tensor, attrs), x.codes_of, x.steps};
}

}  // namespace mixgrad

// SPDX-License-Identifier: Apache-2.0
#include <mixgrad/ops.h>
#include <mixgrad/tape.h>

#include <kernels/move.h>
#include <src/internal/by_dtype.h>
#include <src/internal/shapes.h>
#include <src/internal/value.h>

namespace mixgrad {

Tensor upsample2d(const Tensor& x, const Upsample2dAttrs& attrs) {
  const kernels::Upsample2dSize s = upsampled_size(op::Upsample2d::name(), x.shape(), attrs);
  return by_dtype(x.dtype(), [&]<typename T>() {
    Tensor y = Tensor::empty({s.n, s.c, s.h * s.rows, s.w * s.columns}, x.dtype());
    kernels::upsample2d<T>(s, x.data<T>().data(), y.data<T>().data());
    return record(op::Upsample2d{attrs}, y, {x}, [s](const Backward& b) {
      if (auto gx = b.grad<T>(0)) kernels::upsample2d_grad<T>(s, b.grad_output<T>().data(), gx);
    });
  });
}

op::Sweep op::Upsample2d::sweep(const Node&, const Shape& input) const {
  return sweep_of(upsampled_size(name(), one_image(input), attrs));
}

Value op::Upsample2d::run(const RunContext& c) const {
  const Value& x = c.input();
  return {upsample2d(x.tensor, attrs), x.codes_of, x.steps};
}

}  // namespace mixgrad

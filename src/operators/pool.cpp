// SPDX-License-Identifier: Apache-2.0
#include <mixgrad/ops.h>
#include <mixgrad/tape.h>

#include <src/internal/by_dtype.h>
#include <src/internal/shapes.h>
#include <src/internal/value.h>

namespace mixgrad {
namespace {

Tensor avg_pool(const RecordedOp& op, bool codes, const Tensor& x, const Pool2dAttrs& attrs) {
  const Pool2dSize s = pool2d_size(op.name, x.shape(), attrs);
  return by_dtype(x.dtype(), [&]<typename T>() {
    Tensor y = Tensor::empty({s.n, s.c, s.oh, s.ow}, x.dtype());
    kernels::avg_pool2d(s, codes, x.data<T>(), y.data<T>());
    return record(op, y, {x}, [s](const Backward& b) {
      if (auto gx = b.grad<T>(0)) kernels::avg_pool2d_grad(s, b.grad_output<T>(), gx);
    });
  });
}

}  // namespace

Tensor max_pool2d(const Tensor& x, const Pool2dAttrs& attrs) {
  const Pool2dSize s = pool2d_size(op::MaxPool2d::name(), x.shape(), attrs);
  return by_dtype(x.dtype(), [&]<typename T>() {
    Tensor y = Tensor::empty({s.n, s.c, s.oh, s.ow}, x.dtype());
    kernels::max_pool2d(s, x.data<T>(), y.data<T>());
    return record(op::MaxPool2d{attrs}, y, {x}, [s](const Backward& b) {
      if (auto gx = b.grad<T>(0)) kernels::max_pool2d_grad(s, b.input<T>(0), b.grad_output<T>(), gx);
    });
  });
}

Tensor avg_pool2d(const Tensor& x, const Pool2dAttrs& attrs) { return avg_pool(op::AvgPool2d{attrs}, false, x, attrs); }

Tensor avg_pool2d_codes(const Tensor& x, const Pool2dAttrs& attrs) {
  return avg_pool("avg_pool2d_codes", true, x, attrs);
}

namespace {

Pool2dAttrs whole(const Tensor& x) {
  const bool image = x.shape().rank() == 4;  // pools refuse any other
  return {.kernel = {image ? x.dim(2) : 1, image ? x.dim(3) : 1}};
}

}  // namespace

Tensor global_avg_pool2d(const Tensor& x) { return avg_pool2d(x, whole(x)); }

Tensor global_max_pool2d(const Tensor& x) { return max_pool2d(x, whole(x)); }

namespace op {

Sweep MaxPool2d::sweep(const Node&, const Shape& input) const {
  return sweep_of(pool2d_size(name(), one_image(input), attrs));
}

Value MaxPool2d::run(const RunContext& c) const {
  const Value& x = c.input();
  return {max_pool2d(x.tensor, attrs), x.codes_of, x.steps};
}

Sweep AvgPool2d::sweep(const Node&, const Shape& input) const {
  return sweep_of(pool2d_size(name(), one_image(input), attrs));
}

Value AvgPool2d::run(const RunContext& c) const {
  const Value& x = c.input();
  return {x.codes_of ? avg_pool2d_codes(x.tensor, attrs) : avg_pool2d(x.tensor, attrs), x.codes_of, x.steps};
}

}  // namespace op

}  // namespace mixgrad

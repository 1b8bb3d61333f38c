// SPDX-License-Identifier: Apache-2.0
#include <mixgrad/ops.h>
#include <mixgrad/tape.h>

#include <kernels/linear.h>
#include <src/internal/exact.h>
#include <src/internal/shapes.h>
#include <src/internal/value.h>

namespace mixgrad {

Tensor linear(const Tensor& x, const Tensor& w, const Tensor& bias) {
  check_linear(x.shape(), w.shape());
  const int64_t n = x.dim(0), k = x.dim(1), m = w.dim(0);
  check_vector(op::Linear::name(), "bias", bias, m);
  Tensor y = Tensor::empty({n, m});
  kernels::linear(n, k, m, x.data(), w.data(), bias.data(), y.data());
  return record(op::Linear(), y, {x, w, bias}, [n, k, m](const Backward& b) {
    if (auto gx = b.grad(0)) kernels::linear_grad_x(n, k, m, b.grad_output(), b.input(1), gx);
    const auto gw = b.grad(1), gbias = b.grad(2);
    if (gw || gbias) kernels::linear_grad_w(n, k, m, b.input(0), b.grad_output(), gw, gbias);
  });
}

Tensor linear_codes(const Tensor& x, const Tensor& w, double bound) {
  return exact("linear_codes", x, bound, [&](const Tensor& part) { return linear(part, w, {}); });
}

namespace op {

LayerShape Linear::layer_shape(const Node&) const { return {}; }

Sweep Linear::sweep(const Node&, const Shape&) const { return {}; }

Value Linear::run(const RunContext& c) const {
  const Binding::NodeBinding& b = c.binding;
  if (b.scale) return {linear_codes(c.input().tensor, b.weight, b.bound), nullptr, b.scale, b.bias};
  return {linear(cast(real(c.input()), DType::float32), b.weight, b.bias)};
}

}  // namespace op

}  // namespace mixgrad

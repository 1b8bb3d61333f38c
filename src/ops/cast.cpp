// SPDX-License-Identifier: Apache-2.0
#include <mixgrad/ops.h>
#include <mixgrad/tape.h>

#include <kernels/elementwise.h>

#include <type_traits>

namespace mixgrad {
namespace {

template <typename From, typename To>
Tensor convert(const Tensor& x, DType dtype) {
  Tensor y = Tensor::empty(x.shape(), dtype);
  if constexpr (std::is_same_v<To, float>)
    kernels::to_float(x.data<From>(), y.data<To>());
  else
    kernels::from_float(x.data<From>(), y.data<To>());
  return record("cast", y, {x},
                [](const Backward& b) { kernels::pass_gradient(b.grad_output<To>(), b.grad<From>(0)); });
}

}  // namespace

Tensor cast(const Tensor& x, DType dtype) {
  if (x.dtype() == dtype) return x;
  return dtype == DType::float32 ? convert<bfloat16, float>(x, dtype) : convert<float, bfloat16>(x, dtype);
}

}  // namespace mixgrad

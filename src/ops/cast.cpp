// SPDX-License-Identifier: Apache-2.0
#include <mixgrad/ops.h>
#include <mixgrad/tape.h>

#include <src/internal/by_dtype.h>

#include <algorithm>

namespace mixgrad {
namespace {

template <typename From, typename To>
Tensor convert(const Tensor& x, DType dtype) {
  Tensor y = Tensor::empty(x.shape(), dtype);
  std::ranges::transform(x.data<From>(), y.data<To>().begin(),
                         [](From v) { return static_cast<To>(static_cast<float>(v)); });
  return record("cast", y, {x}, [](const Backward& b) {
    const auto gx = b.grad<From>(0);
    const std::span<const To> g = b.grad_output<To>();
    for (size_t i = 0; i < g.size(); ++i) gx.put(static_cast<int64_t>(i), static_cast<float>(g[i]));
  });
}

}  // namespace

Tensor cast(const Tensor& x, DType dtype) {
  if (x.dtype() == dtype) return x;
  return dtype == DType::float32 ? convert<bfloat16, float>(x, dtype) : convert<float, bfloat16>(x, dtype);
}

}  // namespace mixgrad

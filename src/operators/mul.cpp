// SPDX-License-Identifier: Apache-2.0
#include <mixgrad/error.h>
#include <mixgrad/ops.h>
#include <mixgrad/tape.h>

#include <kernels/function.h>
#include <src/internal/by_dtype.h>
#include <src/internal/shapes.h>
#include <src/internal/value.h>

namespace mixgrad {
namespace {

kernels::Factors factors(const Tensor& a, const Tensor& b) {
  const Shape &full = a.shape(), &other = b.shape();
  const bool same = full == other;
  const bool each_channel = full.rank() == 4 && other.rank() >= 2 && other[0] == full[0] && other[1] == full[1] &&
                            other.size() == full[0] * full[1];
  if (!same && !each_channel) {
    bad_input("[mul] shapes {} and {}: expected equal ones, or [N, C, H, W] and [N, C, 1, 1]", full.str(), other.str());
  }
  const auto [rows, channels] = rows_channels(op::Mul::name(), full);
  return {.images = full[0], .positions = rows / full[0], .channels = channels, .one_position = !same};
}

template <typename T, typename Product>
Tensor multiplied(const Tensor& a, const Tensor& b, DType dtype) {
  const kernels::Factors f = factors(a, b);
  Tensor y = Tensor::empty(a.shape(), dtype);
  kernels::mul(f, std::span<const T>(a.data<T>()), std::span<const T>(b.data<T>()), y.data<Product>());
  return record(op::Mul(), y, {a, b}, [f](const Backward& back) {
    const auto g = back.grad_output<Product>();
    if (const auto ga = back.grad<T>(0)) kernels::mul_grad_a(f, back.input<T>(1), g, ga);
    if (const auto gb = back.grad<T>(1)) kernels::mul_grad_b(f, back.input<T>(0), g, gb);
  });
}

}  // namespace

Tensor mul(const Tensor& a, const Tensor& b) {
  if (b.size() > a.size()) return mul(b, a);
  return by_dtype(a.dtype(), [&]<typename T>() { return multiplied<T, T>(a, cast(b, a.dtype()), a.dtype()); });
}

Tensor mul_codes(const Tensor& a, const Tensor& b) {
  return by_dtype(a.dtype(), [&]<typename T>() { return multiplied<T, float>(a, cast(b, a.dtype()), DType::float32); });
}

/// The product of two codes is a multiple of the product of their steps.
Value op::Mul::run(const RunContext& c) const {
  const Value &a = c.input(0), &b = c.input(1);
  if (!a.codes_of || !b.codes_of) return {mul(real(a), real(b))};
  return {mul_codes(a.tensor, b.tensor), nullptr, scale(a.steps, static_cast<double>(b.steps.item()))};
}

}  // namespace mixgrad

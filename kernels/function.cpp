// SPDX-License-Identifier: Apache-2.0
#include "function.h"

#include <algorithm>
#include <cmath>
#include <numbers>
#include <vector>

#include "lanes.h"
#include "parallel.h"
#include "reduce.h"

namespace mixgrad::kernels {
namespace {

/// A function's value and slope at a point.
template <typename F>
struct At {
  F value, slope;
};

template <typename F>
F logistic(F x) {
  const F e = std::exp(-std::abs(x));
  return (x >= 0 ? F(1) : e) / (1 + e);
}

template <typename F>
F log_of_1_plus_exp(F x) {
  return std::max(x, F(0)) + std::log1p(std::exp(-std::abs(x)));
}

template <typename F>
At<F> hard_sigmoid(F x, F a, F b) {
  const F y = a * x + b;
  return {std::min(std::max(y, F(0)), F(1)), y > 0 && y < 1 ? a : F(0)};
}

template <typename F>
At<F> silu(F x, F a) {
  const F s = logistic(a * x);
  return {x * s, s + a * x * s * (1 - s)};
}

template <typename F>
At<F> gelu(F x) {
  const F phi = (1 + std::erf(x / std::numbers::sqrt2_v<F>)) / 2;
  constexpr F density = std::numbers::inv_sqrtpi_v<F> / std::numbers::sqrt2_v<F>;
  return {x * phi, phi + x * density * std::exp(-x * x / 2)};
}

template <typename F>
At<F> gelu_tanh(F x) {
  constexpr F k = std::numbers::sqrt2_v<F> * std::numbers::inv_sqrtpi_v<F>, cubic = F(0.044715);
  const F t = std::tanh(k * (x + cubic * x * x * x));
  return {x * (1 + t) / 2, (1 + t) / 2 + x * (1 - t * t) / 2 * k * (1 + 3 * cubic * x * x)};
}

template <typename F>
At<F> mish(F x) {
  const F t = std::tanh(log_of_1_plus_exp(x));
  return {x * t, t + x * (1 - t * t) * logistic(x)};
}

/// Calls use(at) with the function's At<F> at a point, as a function object.
template <typename F, typename Use>
auto with_function(const FunctionAttrs& f, const Use& use) {
  const auto a = static_cast<F>(f.a), b = static_cast<F>(f.b);
  switch (f.kind) {
    case FunctionKind::sigmoid:
      return use([](F x) -> At<F> { return {logistic(x), logistic(x) * logistic(-x)}; });
    case FunctionKind::hard_sigmoid:
      return use([=](F x) { return hard_sigmoid(x, a, b); });
    case FunctionKind::hard_swish:
      return use([=](F x) -> At<F> {
        const At<F> h = hard_sigmoid(x, a, b);
        return {x * h.value, h.value + x * h.slope};
      });
    case FunctionKind::silu:
      return use([=](F x) { return silu(x, a); });
    case FunctionKind::tanh:
      return use([](F x) -> At<F> { return {std::tanh(x), 1 - std::tanh(x) * std::tanh(x)}; });
    case FunctionKind::leaky_relu:
      return use([=](F x) -> At<F> { return {x > 0 ? x : a * x, x > 0 ? F(1) : a}; });
    case FunctionKind::elu:
      return use([=](F x) -> At<F> { return {x > 0 ? x : a * std::expm1(x), x > 0 ? F(1) : a * std::exp(x)}; });
    case FunctionKind::clip:
      return use([=](F x) -> At<F> { return {std::min(std::max(x, a), b), F(x > a && x < b ? 1 : 0)}; });
    case FunctionKind::gelu:
      return use([](F x) { return gelu(x); });
    case FunctionKind::gelu_tanh:
      return use([](F x) { return gelu_tanh(x); });
    case FunctionKind::softplus:
      return use([](F x) -> At<F> { return {log_of_1_plus_exp(x), logistic(x)}; });
    case FunctionKind::mish:
      return use([](F x) { return mish(x); });
  }
  return use([](F x) -> At<F> { return {x, 1}; });
}

template <typename T>
void values(const FunctionAttrs& f, std::span<const T> x, std::span<T> y) {
  with_function<float>(f, [&](const auto& at) {
    parallel_chunks(std::ssize(x), elementwise_grain, [&](int64_t begin, int64_t end) {
      for (auto i = static_cast<size_t>(begin); i < static_cast<size_t>(end); ++i)
        y[i] = static_cast<T>(at(x[i]).value);
    });
  });
}

template <typename T>
void gradients(const FunctionAttrs& f, std::span<const T> x, std::span<const T> g, GradOf<T> gx) {
  if (!gx) return;
  with_function<float>(f, [&](const auto& at) {
    parallel_chunks(std::ssize(x), elementwise_grain, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) {
        const auto k = static_cast<size_t>(i);
        gx.put(i, g[k] * at(x[k]).slope);
      }
    });
  });
}

float of_channel(std::span<const float> slope, int64_t c) {
  return slope[slope.size() == 1 ? 0 : static_cast<size_t>(c)];
}

template <typename T>
void prelu_of(int64_t rows, int64_t channels, std::span<const T> x, std::span<const float> slope, std::span<T> y) {
  parallel_chunks(rows, std::max<int64_t>(1, elementwise_grain / channels), [&](int64_t begin, int64_t end) {
    for (int64_t i = begin * channels; i < end * channels; ++i) {
      const auto k = static_cast<size_t>(i);
      y[k] = static_cast<T>(x[k] > 0 ? x[k] : of_channel(slope, i % channels) * x[k]);
    }
  });
}

template <typename T>
void prelu_grad_of(int64_t rows, int64_t channels, std::span<const T> x, std::span<const float> slope,
                   std::span<const T> g, GradOf<T> gx, Grad gslope) {
  parallel_chunks(gx ? rows * channels : 0, elementwise_grain, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      const auto k = static_cast<size_t>(i);
      gx.put(i, g[k] * (x[k] > 0 ? 1 : of_channel(slope, i % channels)));
    }
  });
  if (!gslope) return;
  std::vector<float> below(x.size());
  for (size_t k = 0; k < x.size(); ++k) below[k] = x[k] > 0 ? 0 : g[k] * x[k];
  if (slope.size() != 1) return column_sums(rows, channels, below, gslope);
  std::vector<float> sums(static_cast<size_t>(channels));
  column_sums(rows, channels, below, {.data = sums.data()});
  double total = 0;
  for (const float s : sums) total += static_cast<double>(s);
  gslope.put(0, static_cast<float>(total));
}

/// Calls each(i, k) for every element i of a and the element k of b that it is multiplied by, image by image.
template <typename Each>
void for_each_factor(const Factors& f, const Each& each) {
  parallel_chunks(f.images, 1, [&](int64_t begin, int64_t end) {
    for (int64_t r = begin * f.positions; r < end * f.positions; ++r) {
      const int64_t of_b = f.one_position ? r / f.positions : r;
      for (int64_t c = 0; c < f.channels; ++c) each(r * f.channels + c, of_b * f.channels + c);
    }
  });
}

template <typename T, typename Y>
void mul_of(const Factors& f, const T* a, const T* b, Y* y) {
  for_each_factor(f, [=](int64_t i, int64_t k) { y[i] = static_cast<Y>(a[i] * b[k]); });
}

template <typename T, typename G>
void grad_a(const Factors& f, const T* b, const G* g, GradOf<T> ga) {
  if (ga) for_each_factor(f, [=](int64_t i, int64_t k) { ga.put(i, g[i] * b[k]); });
}

template <typename T, typename G>
void grad_b(const Factors& f, const T* a, const G* g, GradOf<T> gb) {
  if (!gb) return;
  std::vector<float> sums(static_cast<size_t>(f.images * f.channels * (f.one_position ? 1 : f.positions)));
  for_each_factor(f, [&](int64_t i, int64_t k) { sums[static_cast<size_t>(k)] += g[i] * a[i]; });
  for (int64_t k = 0; k < std::ssize(sums); ++k) gb.put(k, sums[static_cast<size_t>(k)]);
}

}  // namespace

double function(const FunctionAttrs& f, double x) {
  double y = 0;
  with_function<double>(f, [&](const auto& at) { y = at(x).value; });
  return y;
}
void function(const FunctionAttrs& f, std::span<const float> x, std::span<float> y) { values(f, x, y); }
void function(const FunctionAttrs& f, std::span<const bfloat16> x, std::span<bfloat16> y) { values(f, x, y); }

void function_grad(const FunctionAttrs& f, std::span<const float> x, std::span<const float> g, Grad gx) {
  gradients(f, x, g, gx);
}
void function_grad(const FunctionAttrs& f, std::span<const bfloat16> x, std::span<const bfloat16> g,
                   GradOf<bfloat16> gx) {
  gradients(f, x, g, gx);
}

void prelu(int64_t rows, int64_t channels, std::span<const float> x, std::span<const float> slope, std::span<float> y) {
  prelu_of(rows, channels, x, slope, y);
}
void prelu(int64_t rows, int64_t channels, std::span<const bfloat16> x, std::span<const float> slope,
           std::span<bfloat16> y) {
  prelu_of(rows, channels, x, slope, y);
}
void prelu_grad(int64_t rows, int64_t channels, std::span<const float> x, std::span<const float> slope,
                std::span<const float> g, Grad gx, Grad gslope) {
  prelu_grad_of(rows, channels, x, slope, g, gx, gslope);
}
void prelu_grad(int64_t rows, int64_t channels, std::span<const bfloat16> x, std::span<const float> slope,
                std::span<const bfloat16> g, GradOf<bfloat16> gx, Grad gslope) {
  prelu_grad_of(rows, channels, x, slope, g, gx, gslope);
}

void mul(const Factors& f, std::span<const float> a, std::span<const float> b, std::span<float> y) {
  mul_of(f, a.data(), b.data(), y.data());
}
void mul(const Factors& f, std::span<const bfloat16> a, std::span<const bfloat16> b, std::span<bfloat16> y) {
  mul_of(f, a.data(), b.data(), y.data());
}
void mul(const Factors& f, std::span<const bfloat16> a, std::span<const bfloat16> b, std::span<float> y) {
  mul_of(f, a.data(), b.data(), y.data());
}
void mul_grad_a(const Factors& f, std::span<const float> b, std::span<const float> g, Grad ga) {
  grad_a(f, b.data(), g.data(), ga);
}
void mul_grad_a(const Factors& f, std::span<const bfloat16> b, std::span<const bfloat16> g, GradOf<bfloat16> ga) {
  grad_a(f, b.data(), g.data(), ga);
}
void mul_grad_a(const Factors& f, std::span<const bfloat16> b, std::span<const float> g, GradOf<bfloat16> ga) {
  grad_a(f, b.data(), g.data(), ga);
}
void mul_grad_b(const Factors& f, std::span<const float> a, std::span<const float> g, Grad gb) {
  grad_b(f, a.data(), g.data(), gb);
}
void mul_grad_b(const Factors& f, std::span<const bfloat16> a, std::span<const bfloat16> g, GradOf<bfloat16> gb) {
  grad_b(f, a.data(), g.data(), gb);
}
void mul_grad_b(const Factors& f, std::span<const bfloat16> a, std::span<const float> g, GradOf<bfloat16> gb) {
  grad_b(f, a.data(), g.data(), gb);
}

}  // namespace mixgrad::kernels

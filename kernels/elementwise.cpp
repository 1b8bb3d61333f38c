// SPDX-License-Identifier: Apache-2.0
#include "elementwise.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <type_traits>
#include <vector>

#include "lanes.h"
#include "parallel.h"
#include "reduce.h"

namespace mixgrad::kernels {
namespace {

constexpr int64_t grain = elementwise_grain;

// Loops over floats or bfloat16s; the arithmetic is always in float.
template <typename From, typename To>
void convert(const From* x, size_t n, To* y) {
  if constexpr (std::is_same_v<From, To>)
    parallel_chunks(static_cast<int64_t>(n), grain,
                    [=](int64_t begin, int64_t end) { std::copy(x + begin, x + end, y + begin); });
  else
    for_each_index(
        n, [=](int64_t i) __attribute__((always_inline)) { y[i] = static_cast<To>(x[i]); });
}

template <typename From, typename To>
void accumulate_into(const From* x, size_t n, To* y) {
  for_each_index(
      n, [=](int64_t i) __attribute__((always_inline)) { y[i] = static_cast<To>(y[i] + x[i]); });
}

template <typename From, typename To>
void pass(const From* g, size_t n, GradOf<To> gx) {
  if (!gx) return;
  gx.add ? accumulate_into(g, n, gx.data) : convert(g, n, gx.data);
}

template <typename T, typename Sum>
void add_into(const T* a, const T* b, size_t n, Sum* y) {
  for_each_index(
      n, [=](int64_t i) __attribute__((always_inline)) { y[i] = static_cast<Sum>(a[i] + b[i]); });
}

template <typename T>
void relu_into(const T* x, size_t n, T* y, float top) {
  for_each_index(
      n, [=](int64_t i) __attribute__((always_inline)) {
        y[i] = static_cast<T>(std::min(std::max<float>(x[i], 0.0f), top));  // NaN stays NaN
      });
}

template <typename T>
void relu_grad_into(const T* y, const T* g, size_t n, GradOf<T> gx, float top) {
  if (!gx) return;
  T* to = gx.data;
  const auto passed = [=](int64_t i) __attribute__((always_inline)) {
    const float v = y[i], gradient = g[i];
    return (v > 0) & (v < top) ? gradient : 0.0f;  // && would be a branch, which does not vectorize
  };
  if (gx.add)
    for_each_index(
        n, [=](int64_t i) __attribute__((always_inline)) { to[i] = static_cast<T>(to[i] + passed(i)); });
  else
    for_each_index(
        n, [=](int64_t i) __attribute__((always_inline)) { to[i] = static_cast<T>(passed(i)); });
}

MIXGRAD_CLONES void rescale_rows(const float* acc, int64_t rows, int64_t channels, const float* scale,
                                 const float* bias, float* __restrict y) {
  for (int64_t r = 0; r < rows; ++r, acc += channels, y += channels)
    for (int64_t c = 0; c < channels; ++c) y[c] = acc[c] * scale[c] + bias[c];
}

MIXGRAD_CLONES void rescale_grad_rows(const float* g, int64_t rows, int64_t channels, const float* scale, bool add,
                                      float* __restrict gacc) {
  for (int64_t r = 0; r < rows; ++r, g += channels, gacc += channels) {
    if (add)
      for (int64_t c = 0; c < channels; ++c) gacc[c] += g[c] * scale[c];
    else
      for (int64_t c = 0; c < channels; ++c) gacc[c] = g[c] * scale[c];
  }
}

/// An exponent of all ones is NaN or infinity. Its bits are those of bfloat16's exponent.
template <typename T, typename Bits>
bool no_exponent_of_ones(std::span<const T> x, Bits ones) {
  bool found = false;
  for (const T v : x) found |= (std::bit_cast<Bits>(v) & ones) == ones;
  return !found;
}

MIXGRAD_CLONES void split_into(const float* codes, int64_t n, float* __restrict high, float* __restrict low) {
  for (int64_t i = 0; i < n; ++i) {
    high[i] = std::floor(codes[i] * 0.0625f);
    low[i] = codes[i] - 16.0f * high[i];
  }
}

int64_t size_of(std::span<const float> x) { return static_cast<int64_t>(x.size()); }

/// The value of a channel from a list of none (0), one, or one per channel.
std::vector<float> per_channel(std::span<const float> values, int64_t channels) {
  if (size_of(values) == channels) return {values.begin(), values.end()};
  return std::vector<float>(static_cast<size_t>(channels), values.empty() ? 0.0f : values[0]);
}

int64_t rows_per_chunk(int64_t channels) { return std::max<int64_t>(1, grain / std::max<int64_t>(1, channels)); }

}  // namespace

void fill(std::span<float> y, float value) {
  parallel_chunks(size_of(y), grain, [&](int64_t b, int64_t e) { std::fill(y.data() + b, y.data() + e, value); });
}

void to_float(std::span<const bfloat16> x, std::span<float> y) { convert(x.data(), x.size(), y.data()); }
void from_float(std::span<const float> x, std::span<bfloat16> y) { convert(x.data(), x.size(), y.data()); }

void accumulate(std::span<const float> x, std::span<float> y) { accumulate_into(x.data(), x.size(), y.data()); }
void accumulate(std::span<const bfloat16> x, std::span<bfloat16> y) { accumulate_into(x.data(), x.size(), y.data()); }

void pass_gradient(std::span<const float> g, Grad gx) { pass(g.data(), g.size(), gx); }
void pass_gradient(std::span<const bfloat16> g, GradOf<bfloat16> gx) { pass(g.data(), g.size(), gx); }
void pass_gradient(std::span<const float> g, GradOf<bfloat16> gx) { pass(g.data(), g.size(), gx); }
void pass_gradient(std::span<const bfloat16> g, Grad gx) { pass(g.data(), g.size(), gx); }

void add(std::span<const float> a, std::span<const float> b, std::span<float> y) {
  add_into(a.data(), b.data(), y.size(), y.data());
}
void add(std::span<const bfloat16> a, std::span<const bfloat16> b, std::span<bfloat16> y) {
  add_into(a.data(), b.data(), y.size(), y.data());
}
void add(std::span<const bfloat16> a, std::span<const bfloat16> b, std::span<float> y) {
  add_into(a.data(), b.data(), y.size(), y.data());
}

void relu(std::span<const float> x, std::span<float> y, float top) { relu_into(x.data(), x.size(), y.data(), top); }
void relu(std::span<const bfloat16> x, std::span<bfloat16> y, float top) {
  relu_into(x.data(), x.size(), y.data(), top);
}

void relu_grad(std::span<const float> y, std::span<const float> g, Grad gx, float top) {
  relu_grad_into(y.data(), g.data(), y.size(), gx, top);
}
void relu_grad(std::span<const bfloat16> y, std::span<const bfloat16> g, GradOf<bfloat16> gx, float top) {
  relu_grad_into(y.data(), g.data(), y.size(), gx, top);
}

void rescale(int64_t rows, int64_t channels, std::span<const float> acc, std::span<const float> scale,
             std::span<const float> bias, std::span<float> y) {
  const std::vector<float> s = per_channel(scale, channels), offset = per_channel(bias, channels);
  parallel_chunks(rows, rows_per_chunk(channels), [&](int64_t b, int64_t e) {
    rescale_rows(acc.data() + b * channels, e - b, channels, s.data(), offset.data(), y.data() + b * channels);
  });
}

void rescale_grad(int64_t rows, int64_t channels, std::span<const float> scale, std::span<const float> g, Grad gacc,
                  Grad gbias) {
  const std::vector<float> s = per_channel(scale, channels);
  if (gacc)
    parallel_chunks(rows, rows_per_chunk(channels), [&](int64_t b, int64_t e) {
      rescale_grad_rows(g.data() + b * channels, e - b, channels, s.data(), gacc.add, gacc.data + b * channels);
    });
  if (gbias) column_sums(rows, channels, g, gbias);
}

bool all_finite(std::span<const float> x) { return no_exponent_of_ones<float, uint32_t>(x, 0x7f800000U); }
bool all_finite(std::span<const bfloat16> x) { return no_exponent_of_ones<bfloat16, uint16_t>(x, 0x7f80U); }

void split_codes(std::span<const float> codes, std::span<float> high, std::span<float> low) {
  parallel_chunks(size_of(codes), grain,
                  [&](int64_t b, int64_t e) { split_into(codes.data() + b, e - b, high.data() + b, low.data() + b); });
}

}  // namespace mixgrad::kernels

// SPDX-License-Identifier: Apache-2.0
#include "elementwise.h"

#include <cmath>
#include <vector>

#include "parallel.h"
#include "reduce.h"

namespace mixgrad::kernels {
namespace {

constexpr int64_t grain = 16384;  // elements of a chunk: a few fit into the second-level cache

MIXGRAD_CLONES void add_to(const float* x, int64_t n, float* __restrict y) {
  for (int64_t i = 0; i < n; ++i) y[i] += x[i];
}

MIXGRAD_CLONES void add_into(const float* a, const float* b, int64_t n, float* __restrict y) {
  for (int64_t i = 0; i < n; ++i) y[i] = a[i] + b[i];
}

MIXGRAD_CLONES void relu_into(const float* x, int64_t n, float* __restrict y) {
  for (int64_t i = 0; i < n; ++i) y[i] = x[i] > 0 ? x[i] : 0.0f;
}

MIXGRAD_CLONES void relu_grad_into(const float* y, const float* g, int64_t n, bool add, float* __restrict gx) {
  if (add)
    for (int64_t i = 0; i < n; ++i) gx[i] += y[i] > 0 ? g[i] : 0.0f;
  else
    for (int64_t i = 0; i < n; ++i) gx[i] = y[i] > 0 ? g[i] : 0.0f;
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

MIXGRAD_CLONES void split_into(const float* codes, int64_t n, float* __restrict high, float* __restrict low) {
  for (int64_t i = 0; i < n; ++i) {
    high[i] = std::floor(codes[i] * 0.0625f);
    low[i] = codes[i] - 16.0f * high[i];
  }
}

int64_t size_of(std::span<const float> x) { return static_cast<int64_t>(x.size()); }

/// One value per channel from none (0), one or all of them.
std::vector<float> per_channel(std::span<const float> values, int64_t channels) {
  if (size_of(values) == channels) return {values.begin(), values.end()};
  return std::vector<float>(static_cast<size_t>(channels), values.empty() ? 0.0f : values[0]);
}

int64_t rows_per_chunk(int64_t channels) { return std::max<int64_t>(1, grain / std::max<int64_t>(1, channels)); }

}  // namespace

void fill(std::span<float> y, float value) {
  parallel_chunks(size_of(y), grain, [&](int64_t b, int64_t e) { std::fill(y.data() + b, y.data() + e, value); });
}

void accumulate(std::span<const float> x, std::span<float> y) {
  parallel_chunks(size_of(x), grain, [&](int64_t b, int64_t e) { add_to(x.data() + b, e - b, y.data() + b); });
}

void pass_gradient(std::span<const float> g, Grad gx) {
  if (!gx) return;
  if (gx.add) return accumulate(g, {gx.data, g.size()});
  parallel_chunks(size_of(g), grain, [&](int64_t b, int64_t e) { std::copy_n(g.data() + b, e - b, gx.data + b); });
}

void add(std::span<const float> a, std::span<const float> b, std::span<float> y) {
  parallel_chunks(size_of(y), grain, [&](int64_t begin, int64_t end) {
    add_into(a.data() + begin, b.data() + begin, end - begin, y.data() + begin);
  });
}

void relu(std::span<const float> x, std::span<float> y) {
  parallel_chunks(size_of(x), grain, [&](int64_t b, int64_t e) { relu_into(x.data() + b, e - b, y.data() + b); });
}

void relu_grad(std::span<const float> y, std::span<const float> g, Grad gx) {
  if (!gx) return;
  parallel_chunks(size_of(y), grain, [&](int64_t b, int64_t e) {
    relu_grad_into(y.data() + b, g.data() + b, e - b, gx.add, gx.data + b);
  });
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

void split_codes(std::span<const float> codes, std::span<float> high, std::span<float> low) {
  parallel_chunks(size_of(codes), grain, [&](int64_t b, int64_t e) {
    split_into(codes.data() + b, e - b, high.data() + b, low.data() + b);
  });
}

}  // namespace mixgrad::kernels

// SPDX-License-Identifier: Apache-2.0
// Copies of channels and positions, channels last: of float or bfloat16 values and their gradients, and of codes.
#pragma once

#include <algorithm>
#include <vector>

#include "grad.h"
#include "parallel.h"

namespace mixgrad::kernels {

/// Calls body(r) for every row of `row` values.
template <typename Body>
void for_each_row(int64_t rows, int64_t row, const Body& body) {
  constexpr int64_t values_at_once = 1 << 14;
  parallel_chunks(rows, std::max<int64_t>(1, values_at_once / std::max<int64_t>(1, row)),
                  [&](int64_t begin, int64_t end) {
                    for (int64_t r = begin; r < end; ++r) body(r);
                  });
}

/// x [rows, channels] becomes channels `at`, `at` + 1, ... of y [rows, all].
template <typename T>
void put_channels(int64_t rows, int64_t channels, const T* x, int64_t all, int64_t at, T* y) {
  for_each_row(rows, channels, [&](int64_t r) { std::copy_n(x + r * channels, channels, y + r * all + at); });
}
template <typename T>
void put_channels_grad(int64_t rows, int64_t channels, const T* gy, int64_t all, int64_t at, GradOf<T> gx) {
  for_each_row(rows, channels, [&](int64_t r) {
    for (int64_t c = 0; c < channels; ++c) gx.put(r * channels + c, gy[r * all + at + c]);
  });
}

/// y[r, k] = x[r, index[k]]
template <typename T>
void select_channels(int64_t rows, int64_t channels, const std::vector<int64_t>& index, const T* x, T* y) {
  const int64_t count = std::ssize(index);
  for_each_row(rows, count, [&](int64_t r) {
    for (int64_t k = 0; k < count; ++k) y[r * count + k] = x[r * channels + index[static_cast<size_t>(k)]];
  });
}
template <typename T>
void select_channels_grad(int64_t rows, int64_t channels, const std::vector<int64_t>& index, const T* gy,
                          GradOf<T> gx) {
  const int64_t count = std::ssize(index);
  for_each_row(rows, channels, [&](int64_t r) {
    T* to = gx.data + r * channels;
    if (!gx.add) std::fill_n(to, channels, T(0.0F));
    for (int64_t k = 0; k < count; ++k) {
      T& sum = to[index[static_cast<size_t>(k)]];
      sum = static_cast<T>(static_cast<float>(sum) + static_cast<float>(gy[r * count + k]));
    }
  });
}

/// Zeros around n images of h × w × c.
struct Pad2dSize {
  int64_t n, c, h, w, top, left, bottom, right;

  int64_t out_h() const { return top + h + bottom; }
  int64_t out_w() const { return left + w + right; }
};

template <typename T>
void pad2d(const Pad2dSize& s, const T* x, T* y) {
  for_each_row(s.n * s.out_h(), s.out_w() * s.c, [&](int64_t r) {
    const int64_t iy = r % s.out_h() - s.top;
    T* row = y + r * s.out_w() * s.c;
    std::fill_n(row, s.out_w() * s.c, T());
    if (iy >= 0 && iy < s.h) std::copy_n(x + (r / s.out_h() * s.h + iy) * s.w * s.c, s.w * s.c, row + s.left * s.c);
  });
}
template <typename T>
void pad2d_grad(const Pad2dSize& s, const T* gy, GradOf<T> gx) {
  for_each_row(s.n * s.h, s.w * s.c, [&](int64_t r) {
    const T* row = gy + ((r / s.h * s.out_h() + r % s.h + s.top) * s.out_w() + s.left) * s.c;
    for (int64_t k = 0; k < s.w * s.c; ++k) gx.put(r * s.w * s.c + k, row[k]);
  });
}

/// Every position of n images of h × w × c repeated `rows` × `columns` times.
struct Upsample2dSize {
  int64_t n, c, h, w, rows, columns;
};

template <typename T>
void upsample2d(const Upsample2dSize& s, const T* x, T* y) {
  const int64_t out_w = s.w * s.columns;
  for_each_row(s.n * s.h * s.rows, out_w * s.c, [&](int64_t r) {
    for (int64_t ox = 0; ox < out_w; ++ox)
      std::copy_n(x + (r / s.rows * s.w + ox / s.columns) * s.c, s.c, y + (r * out_w + ox) * s.c);
  });
}
template <typename T>
void upsample2d_grad(const Upsample2dSize& s, const T* gy, GradOf<T> gx) {
  const int64_t out_w = s.w * s.columns;
  for_each_row(s.n * s.h, s.w * s.c, [&](int64_t r) {
    for (int64_t k = 0; k < s.w * s.c; ++k) {
      float sum = 0;
      for (int64_t copy = 0; copy < s.rows * s.columns; ++copy) {
        const int64_t oy = r * s.rows + copy / s.columns, ox = k / s.c * s.columns + copy % s.columns;
        sum += static_cast<float>(gy[(oy * out_w + ox) * s.c + k % s.c]);
      }
      gx.put(r * s.w * s.c + k, sum);
    }
  });
}

}  // namespace mixgrad::kernels

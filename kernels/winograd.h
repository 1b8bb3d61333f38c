// SPDX-License-Identifier: Apache-2.0
// The one-dimensional transforms of Winograd's minimal filtering F(m, 3), on vectors of channels. With the matrices of
// Lavin and Gray, "Fast Algorithms for Convolutional Neural Networks" (2016), eq. 8:
//   y = Aᵀ [(G w Gᵀ) ⊙ (Bᵀ x B)] A
// Its gradients are the transposes: ∂w = Gᵀ [(A ∂y Aᵀ) ⊙ (Bᵀ x B)] G. Each function multiplies by one matrix.
#pragma once

#include "lanes.h"

namespace mixgrad::kernels::winograd {

/// F(2, 3): 2 outputs of 3 taps from 4 products, at the points 0, 1, -1, ∞.
struct F2 {
  static constexpr int outputs = 2, inputs = 4;

  struct Input {  // Bᵀ
    static constexpr int from = 4, to = 4;
    template <typename V>
    MIXGRAD_INLINE static void apply(const V (&x)[4], V (&v)[4]) {
      v[0] = x[0] - x[2];
      v[1] = x[1] + x[2];
      v[2] = x[2] - x[1];
      v[3] = x[1] - x[3];
    }
  };
  struct Output {  // Aᵀ
    static constexpr int from = 4, to = 2;
    template <typename V>
    MIXGRAD_INLINE static void apply(const V (&m)[4], V (&y)[2]) {
      y[0] = m[0] + m[1] + m[2];
      y[1] = m[1] - m[2] - m[3];
    }
  };
  struct OutputGrad {  // A
    static constexpr int from = 2, to = 4;
    template <typename V>
    MIXGRAD_INLINE static void apply(const V (&y)[2], V (&m)[4]) {
      m[0] = y[0];
      m[1] = y[0] + y[1];
      m[2] = y[0] - y[1];
      m[3] = -y[1];
    }
  };
  struct Weight {  // G
    static constexpr int from = 3, to = 4;
    template <typename V>
    MIXGRAD_INLINE static void apply(const V (&w)[3], V (&u)[4]) {
      const V ends = (w[0] + w[2]) * 0.5f, middle = w[1] * 0.5f;
      u[0] = w[0];
      u[1] = ends + middle;
      u[2] = ends - middle;
      u[3] = w[2];
    }
  };
  struct WeightGrad {  // Gᵀ
    static constexpr int from = 4, to = 3;
    template <typename V>
    MIXGRAD_INLINE static void apply(const V (&u)[4], V (&w)[3]) {
      const V sum = (u[1] + u[2]) * 0.5f;
      w[0] = u[0] + sum;
      w[1] = (u[1] - u[2]) * 0.5f;
      w[2] = sum + u[3];
    }
  };
};

/// F(4, 3): 4 outputs of 3 taps from 6 products, at the points 0, 1, -1, 2, -2, ∞.
struct F4 {
  static constexpr int outputs = 4, inputs = 6;

  struct Input {  // Bᵀ
    static constexpr int from = 6, to = 6;
    template <typename V>
    MIXGRAD_INLINE static void apply(const V (&x)[6], V (&v)[6]) {
      const V even1 = x[4] - x[2] * 4.0f, odd1 = x[3] - x[1] * 4.0f;
      const V even2 = x[4] - x[2], odd2 = (x[3] - x[1]) * 2.0f;
      v[0] = (x[0] - x[2]) * 4.0f + even2;
      v[1] = even1 + odd1;
      v[2] = even1 - odd1;
      v[3] = even2 + odd2;
      v[4] = even2 - odd2;
      v[5] = (x[5] - x[3]) - odd2 * 2.0f;
    }
  };
  struct Output {  // Aᵀ
    static constexpr int from = 6, to = 4;
    template <typename V>
    MIXGRAD_INLINE static void apply(const V (&m)[6], V (&y)[4]) {
      const V sum1 = m[1] + m[2], difference1 = m[1] - m[2], sum2 = m[3] + m[4], difference2 = m[3] - m[4];
      y[0] = m[0] + sum1 + sum2;
      y[1] = difference1 + difference2 * 2.0f;
      y[2] = sum1 + sum2 * 4.0f;
      y[3] = difference1 + difference2 * 8.0f + m[5];
    }
  };
  struct OutputGrad {  // A
    static constexpr int from = 4, to = 6;
    template <typename V>
    MIXGRAD_INLINE static void apply(const V (&y)[4], V (&m)[6]) {
      const V even1 = y[0] + y[2], odd1 = y[1] + y[3];
      const V even2 = y[0] + y[2] * 4.0f, odd2 = y[1] * 2.0f + y[3] * 8.0f;
      m[0] = y[0];
      m[1] = even1 + odd1;
      m[2] = even1 - odd1;
      m[3] = even2 + odd2;
      m[4] = even2 - odd2;
      m[5] = y[3];
    }
  };
  struct Weight {  // G
    static constexpr int from = 3, to = 6;
    template <typename V>
    MIXGRAD_INLINE static void apply(const V (&w)[3], V (&u)[6]) {
      const V even1 = (w[0] + w[2]) * (-1.0f / 6), odd1 = w[1] * (1.0f / 6);
      const V even2 = w[0] * (1.0f / 24) + w[2] * (1.0f / 6), odd2 = w[1] * (1.0f / 12);
      u[0] = w[0] * 0.25f;
      u[1] = even1 - odd1;
      u[2] = even1 + odd1;
      u[3] = even2 + odd2;
      u[4] = even2 - odd2;
      u[5] = w[2];
    }
  };
  struct WeightGrad {  // Gᵀ
    static constexpr int from = 6, to = 3;
    template <typename V>
    MIXGRAD_INLINE static void apply(const V (&u)[6], V (&w)[3]) {
      const V sum1 = (u[1] + u[2]) * (-1.0f / 6), sum2 = u[3] + u[4];
      w[0] = u[0] * 0.25f + sum1 + sum2 * (1.0f / 24);
      w[1] = (u[2] - u[1]) * (1.0f / 6) + (u[3] - u[4]) * (1.0f / 12);
      w[2] = sum1 + sum2 * (1.0f / 6) + u[5];
    }
  };
};

/// Where the elements of a matrix of vectors are: the first, and the steps to the next row and column.
template <typename T>
struct Elements {
  T* first;
  int64_t row, column;
};

/// at + step, computed here and now. Seeing all steps, GCC would first compute dozens of addresses, and keep them in
/// memory for want of registers.
template <typename T>
MIXGRAD_INLINE T* advanced(T* at, int64_t step) {
  at += step;
  asm("" : "+r"(at));
  return at;
}

/// Calls put(at, v) for every element of T d Tᵀ with its place in `out`; T is the matrix of `Transform`.
template <typename Transform, typename V, typename Put>
MIXGRAD_INLINE void both_ways(Elements<const float> d, Elements<float> out, const Put& put) {
  constexpr int from = Transform::from, to = Transform::to;
  V half[to][from];
#pragma GCC unroll 6
  for (int j = 0; j < from; ++j) {
    V column[from], result[to];
    const float* at = advanced(d.first, j * d.column);
#pragma GCC unroll 6
    for (int i = 0; i < from; ++i, at = advanced(at, d.row)) column[i] = load<V>(at);
    Transform::apply(column, result);
#pragma GCC unroll 6
    for (int i = 0; i < to; ++i) half[i][j] = result[i];
  }
  float* at = out.first;
  const int64_t next_row = out.row - to * out.column;
#pragma GCC unroll 6
  for (int i = 0; i < to; ++i, at = advanced(at, next_row)) {
    V result[to];
    Transform::apply(half[i], result);
#pragma GCC unroll 6
    for (int j = 0; j < to; ++j, at = advanced(at, out.column)) put(at, result[j]);
  }
}

template <typename Transform, typename V>
MIXGRAD_INLINE void both_ways(Elements<const float> d, Elements<float> out) {
  both_ways<Transform, V>(
      d, out, [](float* at, V v) __attribute__((always_inline)) { store(at, v); });
}

}  // namespace mixgrad::kernels::winograd

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

/// F(4, 3): 4 outputs of 3 taps from 6 products, at the points 0, a, -a, b, -b, ∞ of `Points`.
template <typename Points>
struct F4At {
  static constexpr int outputs = 4, inputs = 6;
  static constexpr float a = Points::a, b = Points::b, aa = a * a, bb = b * b;
  static constexpr float weight_0 = 1 / (aa * bb), weight_a = 1 / (2 * aa * (aa - bb)),
                         weight_b = 1 / (2 * bb * (bb - aa));

  struct Input {  // Bᵀ
    static constexpr int from = 6, to = 6;
    template <typename V>
    MIXGRAD_INLINE static void apply(const V (&x)[6], V (&v)[6]) {
      const V even1 = x[4] - x[2] * bb, odd1 = (x[3] - x[1] * bb) * a;
      const V even2 = x[4] - x[2] * aa, odd2 = (x[3] - x[1] * aa) * b;
      v[0] = (x[0] * aa - x[2]) * bb + even2;
      v[1] = even1 + odd1;
      v[2] = even1 - odd1;
      v[3] = even2 + odd2;
      v[4] = even2 - odd2;
      v[5] = (x[5] - x[3] * aa) - odd2 * b;
    }
  };
  struct Output {  // Aᵀ
    static constexpr int from = 6, to = 4;
    template <typename V>
    MIXGRAD_INLINE static void apply(const V (&m)[6], V (&y)[4]) {
      const V sum1 = m[1] + m[2], difference1 = m[1] - m[2], sum2 = m[3] + m[4], difference2 = m[3] - m[4];
      y[0] = m[0] + sum1 + sum2;
      y[1] = difference1 * a + difference2 * b;
      y[2] = sum1 * aa + sum2 * bb;
      y[3] = difference1 * (a * aa) + difference2 * (b * bb) + m[5];
    }
  };
  struct OutputGrad {  // A
    static constexpr int from = 4, to = 6;
    template <typename V>
    MIXGRAD_INLINE static void apply(const V (&y)[4], V (&m)[6]) {
      const V even1 = y[0] + y[2] * aa, odd1 = y[1] * a + y[3] * (a * aa);
      const V even2 = y[0] + y[2] * bb, odd2 = y[1] * b + y[3] * (b * bb);
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
      const V even1 = (w[0] + w[2] * aa) * weight_a, odd1 = w[1] * (a * weight_a);
      const V even2 = w[0] * weight_b + w[2] * (bb * weight_b), odd2 = w[1] * (b * weight_b);
      u[0] = w[0] * weight_0;
      u[1] = even1 + odd1;
      u[2] = even1 - odd1;
      u[3] = even2 + odd2;
      u[4] = even2 - odd2;
      u[5] = w[2];
    }
  };
  struct WeightGrad {  // Gᵀ
    static constexpr int from = 6, to = 3;
    template <typename V>
    MIXGRAD_INLINE static void apply(const V (&u)[6], V (&w)[3]) {
      const V sum1 = (u[1] + u[2]) * weight_a, sum2 = u[3] + u[4];
      w[0] = u[0] * weight_0 + sum1 + sum2 * weight_b;
      w[1] = (u[1] - u[2]) * (a * weight_a) + (u[3] - u[4]) * (b * weight_b);
      w[2] = sum1 * aa + sum2 * (bb * weight_b) + u[5];
    }
  };
};

/// The usual points, with the cheapest matrices.
struct WholePoints {
  static constexpr float a = 1, b = 2;
};
using F4 = F4At<WholePoints>;

/// Points closer together, whose transforms lose half as much to roundings.
struct ClosePoints {
  static constexpr float a = 0.625F, b = 1.5F;
};

/// Output tiles of R::outputs rows and C::outputs columns, with the two-dimensional transforms of both.
template <typename R, typename C = R>
struct Tile {
  template <typename OfRows, typename OfColumns>
  struct Transform {
    using Rows = OfRows;
    using Columns = OfColumns;
  };
  using Input = Transform<typename R::Input, typename C::Input>;
  using Output = Transform<typename R::Output, typename C::Output>;
  using OutputGrad = Transform<typename R::OutputGrad, typename C::OutputGrad>;
  using Weight = Transform<typename R::Weight, typename C::Weight>;
  using WeightGrad = Transform<typename R::WeightGrad, typename C::WeightGrad>;

  static constexpr int rows = R::outputs, columns = C::outputs;
  static constexpr int input_rows = R::inputs, input_columns = C::inputs, points = R::inputs * C::inputs;
};

/// The tiles for products in float: F(2x2, 3x3), and F(4x4, 3x3) with 4 times less of them than a direct convolution.
struct FloatTiles {
  using Small = Tile<F2>;
  using Large = Tile<F4>;
};

/// Those for products in bfloat16, where roundings allow only F(2x4, 3x3), with 3 times less.
struct Bfloat16Tiles {
  using Small = Tile<F2>;
  using Large = Tile<F2, F4At<ClosePoints>>;
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

/// Calls put(at, v) for every element of R d Cᵀ with its place in `out`; R and C are the matrices of `Transform`.
template <typename Transform, typename V, typename From, typename To, typename Put>
MIXGRAD_INLINE void both_ways(Elements<const From> d, Elements<To> out, const Put& put) {
  using R = typename Transform::Rows;
  using C = typename Transform::Columns;
  V half[R::to][C::from];
#pragma GCC unroll 6
  for (int j = 0; j < C::from; ++j) {
    V column[R::from], result[R::to];
    const From* at = advanced(d.first, j * d.column);
#pragma GCC unroll 6
    for (int i = 0; i < R::from; ++i, at = advanced(at, d.row)) column[i] = load<V>(at);
    R::apply(column, result);
#pragma GCC unroll 6
    for (int i = 0; i < R::to; ++i) half[i][j] = result[i];
  }
  To* at = out.first;
  const int64_t next_row = out.row - C::to * out.column;
#pragma GCC unroll 6
  for (int i = 0; i < R::to; ++i, at = advanced(at, next_row)) {
    V result[C::to];
    C::apply(half[i], result);
#pragma GCC unroll 6
    for (int j = 0; j < C::to; ++j, at = advanced(at, out.column)) put(at, result[j]);
  }
}

}  // namespace mixgrad::kernels::winograd

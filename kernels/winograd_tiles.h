// SPDX-License-Identifier: Apache-2.0
// Convolutions with 3x3 taps at stride 1 by Winograd's minimal filtering: images are cut into overlapping tiles, each
// tile is transformed, and at every point of the transform a matrix product over the channels does the work of the
// sums:
//   forward, ∂/∂x   products[p][tile][j] = Σ_c tiles[p][tile][c] weights[p][c][j]
//   ∂/∂w            products[p][j][c] = Σ_tile gradients[p][tile][j] tiles[p][tile][c]
// Every sum has a fixed order.
//
// T is the type of images. M is that of the elements of transformed matrices: `float`, or a type of as many numbers,
// successive in the sum, as one instruction multiplies and adds up. Transforms are computed and products summed in
// float. A file that includes this is compiled for its own instruction set, so all of it is in an unnamed namespace;
// what the linker sees all the same, the destructors of scratch memory, only calls free.
#pragma once

#include <algorithm>

#include "frame.h"
#include "grad.h"
#include "micro_kernel.h"
#include "winograd.h"

namespace mixgrad::kernels::winograd {

/// A convolution of `from`, padded by `top` rows and `left` columns, with 3x3 taps at stride 1.
struct Pass {
  Images from, to;
  int64_t top, left;
};

namespace {

enum class Use { frame, gradient_frame, weights, tiles, gradients, products };

/// Numbers in an element of a matrix.
template <typename M>
inline constexpr int64_t terms = M::terms;
template <>
inline constexpr int64_t terms<float> = 1;

template <typename V>
MIXGRAD_INLINE void store_in_row(float* to, V value) {
  store(to, value);
}
template <typename V>
MIXGRAD_INLINE void store_term(float* to, V value, int64_t) {
  store(to, value);
}

/// One matrix per point, [rows, columns], with the columns padded to whole vectors. The distance between two matrices
/// is no power of two, so that the points of one element do not compete for the same lines of the cache.
template <typename M>
struct Matrices {
  M* data;
  int64_t row, matrix;

  MIXGRAD_INLINE M* at(int64_t point, int64_t r, int64_t column) const {
    return data + point * matrix + r * row + column;
  }
  /// One element at every point.
  template <typename F, typename T = M>
  MIXGRAD_INLINE Elements<T> points(int64_t r, int64_t column) const {
    return {at(0, r, column), F::input_columns * matrix, matrix};
  }
};

template <auto U, typename M = float>
Matrices<M> matrices(int64_t points, int64_t rows, int64_t columns) {
  const int64_t matrix = rows * columns + 16;
  return {scratch<U, M>(points * matrix), columns, matrix};
}

inline int64_t tiles_along(int64_t size, int64_t outputs) { return (size + outputs - 1) / outputs; }

/// Products per channel and image.
template <typename F>
int64_t products_of(const Images& to) {
  return F::points * tiles_along(to.h, F::rows) * tiles_along(to.w, F::columns);
}

/// Whether the small tiles need no more products: they suit images of few pixels.
template <typename Tiles>
bool prefers_small(const Images& to) {
  return products_of<typename Tiles::Small>(to) <= products_of<typename Tiles::Large>(to);
}

/// Calls body.operator()<F>() with the cheaper tiles.
template <typename Tiles, typename Body>
MIXGRAD_INLINE void with_cheaper(const Images& to, const Body& body) {
  prefers_small<Tiles>(to) ? body.template operator()<typename Tiles::Small>()
                           : body.template operator()<typename Tiles::Large>();
}

/// The tiles that cover images of outputs.
template <typename F>
struct Tiling {
  explicit Tiling(const Images& to)
      : rows(tiles_along(to.h, F::rows)), columns(tiles_along(to.w, F::columns)), count(to.n * rows * columns) {}

  /// Calls body(tile, image, y, x) for tiles [begin, end), with the corner of each.
  template <typename Body>
  MIXGRAD_INLINE void each(int64_t begin, int64_t end, const Body& body) const {
    int64_t image = begin / (rows * columns), y = begin / columns % rows, x = begin % columns;
    for (int64_t t = begin; t < end; ++t) {
      body(t - begin, image, y * F::rows, x * F::columns);
      if (++x == columns) x = 0, ++y;
      if (y == rows) y = 0, ++image;
    }
  }

  int64_t rows, columns, count;
};

/// The frame of windows of `h` x `w` pixels that begin `top` rows above and `left` columns before the corners of tiles.
template <Use U, typename F, typename T>
Framed<U, T> framed(const Images& images, const T* data, int64_t channels, const Tiling<F>& tiling, int64_t h,
                    int64_t w, int64_t top, int64_t left) {
  return {images, data, channels, (tiling.rows - 1) * F::rows + h, (tiling.columns - 1) * F::columns + w, top, left};
}

/// Transforms the windows of tiles [begin, end), each to a row.
template <typename Transform, int W, typename F, Use U, typename T, typename M>
MIXGRAD_INLINE void transform(const Tiling<F>& tiling, int64_t begin, int64_t end, Framed<U, T>& images,
                              const Matrices<M>& out) {
  const int64_t row = images.row(), pixel = images.pixel(), channels = out.row * terms<M>;
  tiling.each(
      begin, end, [&](int64_t t, int64_t image, int64_t y, int64_t x) __attribute__((always_inline)) {
        const T* const window = images.window(image, y, x);
        for (int64_t c = 0; c < channels; c += W)
          both_ways<Transform, Lanes<W>>(
              Elements<const T>{window + c, row, pixel}, out.template points<F>(t, c / terms<M>),
              [](M * at, Lanes<W> v) __attribute__((always_inline)) { store_in_row(at, v); });
      });
}

/// Where outputs are stored or added, with an optional bias. Gradients of weights are outputs of 3x3 pixels.
template <typename T>
struct Landing {
  GradOf<T> to;
  const float* bias;

  /// A whole tile, for a vector of channels.
  template <typename Transform, typename V>
  MIXGRAD_INLINE void put(const Elements<const float>& products, int64_t at, int64_t row, int64_t pixel,
                          int64_t channel) const {
    const Elements<T> y{to.data + at, row, pixel};
    const V offset = bias ? load<V>(bias + channel) : V{};
    if (to.add)
      both_ways<Transform, V>(
          products, y, [](T * here, V sum) __attribute__((always_inline)) { store(here, load<V>(here) + sum); });
    else
      both_ways<Transform, V>(
          products, y, [&](T * here, V sum) __attribute__((always_inline)) { store(here, sum + offset); });
  }

  /// The first `rows` x `columns` pixels of a tile, for the first `channels` of a vector.
  template <typename Transform, int W>
  MIXGRAD_INLINE void put_part(const Elements<const float>& products, int64_t at, int64_t row, int64_t pixel,
                               int64_t rows, int64_t columns, int64_t channel, int64_t channels) const {
    constexpr int64_t m = Transform::Columns::to;
    float tile[Transform::Rows::to * m * W];
    both_ways<Transform, Lanes<W>>(
        products, Elements<float>{tile, m * W, W},
        [](float* here, Lanes<W> sum) __attribute__((always_inline)) { store(here, sum); });
    for (int64_t i = 0; i < rows; ++i)
      for (int64_t j = 0; j < columns; ++j)
        for (int64_t c = 0; c < channels; ++c)
          to.put(at + i * row + j * pixel + c, tile[(i * m + j) * W + c] + (bias ? bias[channel + c] : 0.0f));
  }
};

/// The outputs of tiles [begin, end) for `channels` from `first` on, at most the columns of `products`.
template <typename F, int W, typename T>
MIXGRAD_INLINE void put_outputs(const Tiling<F>& tiling, int64_t begin, int64_t end, const Images& to, int64_t first,
                                int64_t channels, const Matrices<float>& products, const Landing<T>& landing) {
  const int64_t row = to.w * to.c;
  tiling.each(
      begin, end, [&](int64_t t, int64_t image, int64_t y, int64_t x) __attribute__((always_inline)) {
        const int64_t at = ((image * to.h + y) * to.w + x) * to.c + first;
        const int64_t rows = std::min<int64_t>(F::rows, to.h - y), columns = std::min<int64_t>(F::columns, to.w - x);
        for (int64_t c = 0; c < channels; c += W) {
          const auto from = products.template points<F, const float>(t, c);
          if (rows == F::rows && columns == F::columns && channels - c >= W)
            landing.template put<typename F::Output, Lanes<W>>(from, at + c, row, to.c, first + c);
          else
            landing.template put_part<typename F::Output, W>(from, at + c, row, to.c, rows, columns, first + c,
                                                             std::min<int64_t>(W, channels - c));
        }
      });
}

/// Tiles that are transformed at a time: their transforms fill half of a small L2 cache, or as much as the weights',
/// which each block reads anew.
inline int64_t block_of_tiles(int64_t points, int64_t channels, int64_t weights, int64_t count) {
  constexpr int64_t floats = 1 << 16, step = 12;
  return std::min(count, std::max(step, std::max(floats / points, weights) / channels / step * step));
}

/// Transforms taps [9][rows, columns] into a matrix per point.
template <typename F, int W, typename M>
MIXGRAD_INLINE Matrices<M> transform_weights(const float* taps, int64_t rows, int64_t columns) {
  const auto out = matrices<Use::weights, M>(F::points, rounded_up(rows, terms<M>) / terms<M>, columns);
  for (int64_t r = 0; r < rows; ++r)
    for (int64_t j = 0; j < columns; j += W)
      both_ways<typename F::Weight, Lanes<W>>(
          Elements<const float>{taps + r * columns + j, 3 * rows * columns, rows * columns},
          out.template points<F>(r / terms<M>, j), [&](M * at, Lanes<W> v) __attribute__((always_inline)) {
            store_term(at, v, r % terms<M>);
          });
  return out;
}

template <typename F, int W, typename M, typename T>
MIXGRAD_INLINE void convolve(const Pass& pass, const T* x, const float* taps, const Landing<T>& landing) {
  const Tiling<F> tiling(pass.to);
  const int64_t depth = pass.from.c, padded = rounded_up(depth, W), width = rounded_up(pass.to.c, W);
  const auto weights = transform_weights<F, W, M>(taps, depth, width);
  const int64_t block = block_of_tiles(F::points, padded, depth * width, tiling.count);
  const auto tiles = matrices<Use::tiles, M>(F::points, block, padded / terms<M>);
  const int64_t at_once = std::min<int64_t>(width, 2 * W);
  const auto products = matrices<Use::products>(F::points, block, at_once);
  auto images = framed<Use::frame>(pass.from, x, padded, tiling, F::input_rows, F::input_columns, pass.top, pass.left);
  const Terms sum{.inner = rounded_up(depth, terms<M>) / terms<M>, .left = 1, .right = width};
  for (int64_t begin = 0; begin < tiling.count; begin += block) {
    const int64_t end = std::min(tiling.count, begin + block);
    transform<typename F::Input, W>(tiling, begin, end, images, tiles);
    for (int64_t j = 0; j < width; j += 2 * W) {
      for (int64_t p = 0; p < F::points; ++p)
        multiply<W>(end - begin, width - j,
                    sum, [&](int64_t t) __attribute__((always_inline)) { return tiles.at(p, t, 0); },
                    weights.at(p, 0, j), {products.at(p, 0, 0), at_once});
      put_outputs<F, W>(tiling, begin, end, pass.to, j, std::min<int64_t>(2 * W, pass.to.c - j), products, landing);
    }
  }
}

/// The gradient of the weights from `products`, [c_out, c_in] per point.
template <typename F, int W>
MIXGRAD_INLINE void put_weights(const Matrices<float>& products, int64_t c_out, int64_t c_in, Grad gw) {
  const Landing<float> landing{gw, nullptr};
  for (int64_t k = 0; k < c_out; ++k)
    for (int64_t c = 0; c < c_in; c += W) {
      const auto from = products.template points<F, const float>(k, c);
      const int64_t at = k * 9 * c_in + c, row = 3 * c_in;
      if (c_in - c >= W)
        landing.template put<typename F::WeightGrad, Lanes<W>>(from, at, row, c_in, 0);
      else
        landing.template put_part<typename F::WeightGrad, W>(from, at, row, c_in, 3, 3, 0, c_in - c);
    }
}

template <typename F, int W, typename T>
MIXGRAD_INLINE void convolve_grad_w(const Pass& pass, const T* x, const T* gy, Grad gw) {
  const Tiling<F> tiling(pass.to);
  const int64_t c_in = rounded_up(pass.from.c, W), c_out = rounded_up(pass.to.c, W);
  const int64_t block = block_of_tiles(F::points, c_in + c_out, c_in * c_out, tiling.count);
  const auto tiles = matrices<Use::tiles>(F::points, block, c_in);
  const auto gradients = matrices<Use::gradients>(F::points, block, c_out);
  const auto products = matrices<Use::products>(F::points, pass.to.c, c_in);
  auto images = framed<Use::frame>(pass.from, x, c_in, tiling, F::input_rows, F::input_columns, pass.top, pass.left);
  auto image_gradients = framed<Use::gradient_frame>(pass.to, gy, c_out, tiling, F::rows, F::columns, 0, 0);
  for (int64_t begin = 0; begin < tiling.count; begin += block) {
    const int64_t end = std::min(tiling.count, begin + block);
    transform<typename F::Input, W>(tiling, begin, end, images, tiles);
    transform<typename F::OutputGrad, W>(tiling, begin, end, image_gradients, gradients);
    const Terms sum{.inner = end - begin, .left = c_out, .right = c_in};
    for (int64_t p = 0; p < F::points; ++p)
      for (int64_t c = 0; c < c_in; c += 2 * W)
        multiply<W>(pass.to.c, c_in - c,
                    sum, [&](int64_t k) __attribute__((always_inline)) { return gradients.at(p, 0, k); },
                    tiles.at(p, 0, c), {products.at(p, 0, c), c_in, begin > 0 ? products.at(p, 0, c) : nullptr, c_in});
  }
  put_weights<F, W>(products, pass.to.c, pass.from.c, gw);
}

}  // namespace
}  // namespace mixgrad::kernels::winograd

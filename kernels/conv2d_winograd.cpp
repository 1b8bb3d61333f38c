// SPDX-License-Identifier: Apache-2.0
// 3x3 convolutions with stride 1 by Winograd's minimal filtering: images are cut into overlapping tiles, each tile is
// transformed, and at every point of the transform a matrix product over the channels does the work of the sums:
//   forward, ∂/∂x   products[p][tile][j] = Σ_c tiles[p][tile][c] weights[p][c][j]
//   ∂/∂w            products[p][j][c] = Σ_tile gradients[p][tile][j] tiles[p][tile][c]
// F(4x4, 3x3) multiplies 4 times less than a direct convolution, F(2x2, 3x3) 2.25 times. Every sum has a fixed order.
#include <algorithm>
#include <atomic>

#include "conv2d.h"
#include "frame.h"
#include "layout.h"
#include "micro_kernel.h"
#include "reduce.h"
#include "winograd.h"

namespace mixgrad::kernels::winograd {
namespace {

enum class Use { frame, gradient_frame, taps, weights, tiles, gradients, products };

/// A convolution of `from`, padded by `top` rows and `left` columns, with 3x3 taps at stride 1.
struct Pass {
  Images from, to;
  int64_t top, left;
};

/// One matrix per point, [rows, columns], with the columns padded to whole vectors. The distance between two matrices
/// is no power of two, so that the points of one element do not compete for the same lines of the cache.
struct Matrices {
  float* data;
  int64_t row, matrix;

  MIXGRAD_INLINE float* at(int64_t point, int64_t r, int64_t column) const {
    return data + point * matrix + r * row + column;
  }
  /// One element at every point.
  template <typename F, typename T = float>
  MIXGRAD_INLINE Elements<T> points(int64_t r, int64_t column) const {
    return {at(0, r, column), F::inputs * matrix, matrix};
  }
};

template <auto U>
Matrices matrices(int64_t points, int64_t rows, int64_t columns) {
  const int64_t matrix = rows * columns + 16;
  return {scratch<U>(points * matrix), columns, matrix};
}

int64_t tiles_along(int64_t size, int64_t outputs) { return (size + outputs - 1) / outputs; }

/// The tiles that cover images of outputs, each F::outputs wide and high.
template <typename F>
struct Tiling {
  explicit Tiling(const Images& to)
      : rows(tiles_along(to.h, F::outputs)), columns(tiles_along(to.w, F::outputs)), count(to.n * rows * columns) {}

  /// Calls body(tile, image, y, x) for tiles [begin, end), with the corner of each.
  template <typename Body>
  MIXGRAD_INLINE void each(int64_t begin, int64_t end, const Body& body) const {
    int64_t image = begin / (rows * columns), y = begin / columns % rows, x = begin % columns;
    for (int64_t t = begin; t < end; ++t) {
      body(t - begin, image, y * F::outputs, x * F::outputs);
      if (++x == columns) x = 0, ++y;
      if (y == rows) y = 0, ++image;
    }
  }

  int64_t rows, columns, count;
};

/// The frame of windows of `size` that begin `top` rows above and `left` columns before the corners of the tiles.
template <Use U, typename F>
Framed<U> framed(const Images& images, const float* data, int64_t channels, const Tiling<F>& tiling, int64_t size,
                 int64_t top, int64_t left) {
  return {images, data, channels, (tiling.rows - 1) * F::outputs + size, (tiling.columns - 1) * F::outputs + size,
          top,    left};
}

/// Transforms the windows of tiles [begin, end).
template <typename F, typename Transform, int W, Use U>
MIXGRAD_INLINE void transform(const Tiling<F>& tiling, int64_t begin, int64_t end, Framed<U>& images,
                              const Matrices& out) {
  const int64_t row = images.row(), pixel = images.pixel();
  tiling.each(
      begin, end, [&](int64_t t, int64_t image, int64_t y, int64_t x) __attribute__((always_inline)) {
        const float* const window = images.window(image, y, x);
        for (int64_t c = 0; c < out.row; c += W)
          both_ways<Transform, Lanes<W>>({window + c, row, pixel}, out.points<F>(t, c));
      });
}

/// Where outputs are stored or added, with an optional bias. Gradients of weights are outputs of 3x3 pixels.
struct Landing {
  Grad to;
  const float* bias;

  /// A whole tile, for a vector of channels.
  template <typename Transform, typename V>
  MIXGRAD_INLINE void put(const Elements<const float>& products, int64_t at, int64_t row, int64_t pixel,
                          int64_t channel) const {
    const Elements<float> y{to.data + at, row, pixel};
    const V offset = bias ? load<V>(bias + channel) : V{};
    if (to.add)
      both_ways<Transform, V>(
          products, y, [](float* here, V sum) __attribute__((always_inline)) { store(here, load<V>(here) + sum); });
    else
      both_ways<Transform, V>(
          products, y, [&](float* here, V sum) __attribute__((always_inline)) { store(here, sum + offset); });
  }

  /// The first `rows` x `columns` pixels of a tile, for the first `channels` of a vector.
  template <typename Transform, int W>
  MIXGRAD_INLINE void put_part(const Elements<const float>& products, int64_t at, int64_t row, int64_t pixel,
                               int64_t rows, int64_t columns, int64_t channel, int64_t channels) const {
    constexpr int64_t m = Transform::to;
    float tile[m * m * W];
    both_ways<Transform, Lanes<W>>(products, Elements<float>{tile, m * W, W});
    for (int64_t i = 0; i < rows; ++i)
      for (int64_t j = 0; j < columns; ++j)
        for (int64_t c = 0; c < channels; ++c)
          to.put(at + i * row + j * pixel + c, tile[(i * m + j) * W + c] + (bias ? bias[channel + c] : 0.0f));
  }
};

/// The outputs of tiles [begin, end) for `channels` from `first` on, at most the columns of `products`.
template <typename F, int W>
MIXGRAD_INLINE void put_outputs(const Tiling<F>& tiling, int64_t begin, int64_t end, const Images& to, int64_t first,
                                int64_t channels, const Matrices& products, const Landing& landing) {
  constexpr int64_t m = F::outputs;
  const int64_t row = to.w * to.c;
  tiling.each(
      begin, end, [&](int64_t t, int64_t image, int64_t y, int64_t x) __attribute__((always_inline)) {
        const int64_t at = ((image * to.h + y) * to.w + x) * to.c + first;
        const int64_t rows = std::min(m, to.h - y), columns = std::min(m, to.w - x);
        for (int64_t c = 0; c < channels; c += W) {
          const auto from = products.points<F, const float>(t, c);
          if (rows == m && columns == m && channels - c >= W)
            landing.put<typename F::Output, Lanes<W>>(from, at + c, row, to.c, first + c);
          else
            landing.put_part<typename F::Output, W>(from, at + c, row, to.c, rows, columns, first + c,
                                                    std::min<int64_t>(W, channels - c));
        }
      });
}

/// Tiles that are transformed at a time: their transforms fill half of a small L2 cache, or as much as the weights',
/// which each block reads anew.
int64_t block_of_tiles(int64_t points, int64_t channels, int64_t weights, int64_t count) {
  constexpr int64_t floats = 1 << 16, step = 12;
  return std::min(count, std::max(step, std::max(floats / points, weights) / channels / step * step));
}

/// Transforms taps [9][rows, columns] into a matrix per point.
template <typename F, int W>
MIXGRAD_INLINE Matrices transform_weights(const float* taps, int64_t rows, int64_t columns) {
  const Matrices out = matrices<Use::weights>(F::inputs * F::inputs, rows, columns);
  for (int64_t r = 0; r < rows; ++r)
    for (int64_t j = 0; j < columns; j += W)
      both_ways<typename F::Weight, Lanes<W>>({taps + r * columns + j, 3 * rows * columns, rows * columns},
                                              out.points<F>(r, j));
  return out;
}

template <typename F, int W>
MIXGRAD_INLINE void convolve(const Pass& pass, const float* x, const float* taps, const Landing& landing) {
  constexpr int64_t points = F::inputs * F::inputs;
  const Tiling<F> tiling(pass.to);
  const int64_t depth = pass.from.c, padded = rounded_up(depth, W), width = rounded_up(pass.to.c, W);
  const Matrices weights = transform_weights<F, W>(taps, depth, width);
  const int64_t block = block_of_tiles(points, padded, depth * width, tiling.count);
  const Matrices tiles = matrices<Use::tiles>(points, block, padded);
  const Matrices products = matrices<Use::products>(points, block, 2 * W);
  auto images = framed<Use::frame>(pass.from, x, padded, tiling, F::inputs, pass.top, pass.left);
  for (int64_t begin = 0; begin < tiling.count; begin += block) {
    const int64_t end = std::min(tiling.count, begin + block);
    transform<F, typename F::Input, W>(tiling, begin, end, images, tiles);
    for (int64_t j = 0; j < width; j += 2 * W) {
      for (int64_t p = 0; p < points; ++p)
        multiply<W>(end - begin, width - j, {.inner = depth, .left = 1, .right = width},
                    [&](int64_t t) __attribute__((always_inline)) { return tiles.at(p, t, 0); }, weights.at(p, 0, j),
                    {products.at(p, 0, 0), 2 * W});
      put_outputs<F, W>(tiling, begin, end, pass.to, j, std::min<int64_t>(2 * W, pass.to.c - j), products, landing);
    }
  }
}

/// The gradient of the weights from `products`, [c_out, c_in] per point.
template <typename F, int W>
MIXGRAD_INLINE void put_weights(const Matrices& products, int64_t c_out, int64_t c_in, Grad gw) {
  const Landing landing{gw, nullptr};
  for (int64_t k = 0; k < c_out; ++k)
    for (int64_t c = 0; c < c_in; c += W) {
      const auto from = products.points<F, const float>(k, c);
      const int64_t at = k * 9 * c_in + c, row = 3 * c_in;
      if (c_in - c >= W)
        landing.put<typename F::WeightGrad, Lanes<W>>(from, at, row, c_in, 0);
      else
        landing.put_part<typename F::WeightGrad, W>(from, at, row, c_in, 3, 3, 0, c_in - c);
    }
}

template <typename F, int W>
MIXGRAD_INLINE void convolve_grad_w(const Pass& pass, const float* x, const float* gy, Grad gw) {
  constexpr int64_t points = F::inputs * F::inputs;
  const Tiling<F> tiling(pass.to);
  const int64_t c_in = rounded_up(pass.from.c, W), c_out = rounded_up(pass.to.c, W);
  const int64_t block = block_of_tiles(points, c_in + c_out, c_in * c_out, tiling.count);
  const Matrices tiles = matrices<Use::tiles>(points, block, c_in);
  const Matrices gradients = matrices<Use::gradients>(points, block, c_out);
  const Matrices products = matrices<Use::products>(points, pass.to.c, c_in);
  auto images = framed<Use::frame>(pass.from, x, c_in, tiling, F::inputs, pass.top, pass.left);
  auto image_gradients = framed<Use::gradient_frame>(pass.to, gy, c_out, tiling, F::outputs, 0, 0);
  for (int64_t begin = 0; begin < tiling.count; begin += block) {
    const int64_t end = std::min(tiling.count, begin + block);
    transform<F, typename F::Input, W>(tiling, begin, end, images, tiles);
    transform<F, typename F::OutputGrad, W>(tiling, begin, end, image_gradients, gradients);
    for (int64_t p = 0; p < points; ++p)
      for (int64_t c = 0; c < c_in; c += 2 * W)
        multiply<W>(pass.to.c, c_in - c, {.inner = end - begin, .left = c_out, .right = c_in},
                    [&](int64_t k) __attribute__((always_inline)) { return gradients.at(p, 0, k); }, tiles.at(p, 0, c),
                    {products.at(p, 0, c), c_in, begin > 0 ? products.at(p, 0, c) : nullptr, c_in});
  }
  put_weights<F, W>(products, pass.to.c, pass.from.c, gw);
}

/// Products per channel and image, the cost that decides between the two: F(2x2, 3x3) suits images of few pixels.
template <typename F>
int64_t products_of(const Images& to) {
  return F::inputs * F::inputs * tiles_along(to.h, F::outputs) * tiles_along(to.w, F::outputs);
}

bool prefers_small_tiles(const Images& to) { return products_of<F2>(to) <= products_of<F4>(to); }

/// Calls body.operator()<F, W>() with the cheaper tiles and W lanes per vector.
template <typename Body>
void with_tiles(const Images& to, const Body& body) {
  const bool small = prefers_small_tiles(to);
  widest([&]<int W>() __attribute__((always_inline)) {
    small ? body.template operator()<F2, W>() : body.template operator()<F4, W>();
  });
}

std::atomic<bool> enabled = true;

Pass pass_of(const Conv2dSize& s) {
  return {{s.n, s.h, s.w, s.c_in}, {s.n, s.oh, s.ow, s.c_out}, s.pad_top, s.pad_left};
}

}  // namespace

void enable(bool on) { enabled = on; }

namespace {

bool is_3x3(const Conv2dSize& s) {
  return s.kh == 3 && s.kw == 3 && s.stride_h == 1 && s.stride_w == 1 && s.dilation_h == 1 && s.dilation_w == 1 &&
         s.groups == 1;
}

/// Whether this is at least a quarter less work than a direct convolution, which fills its vectors with output
/// channels. By the measurements in bench/README.md, a transform costs as much per element as 6 multiplications, of
/// weights as 8. Those are transformed once for a micro-batch, whose size is assumed, so that an image has the same
/// result in any batch.
bool is_cheaper(const Images& from, const Images& to) {
  constexpr int64_t lanes = 8, largest = 1 << 16, images = 8;
  const int64_t width = rounded_up(to.c, lanes), weights = from.c * width;
  const int64_t points = prefers_small_tiles(to) ? F2::inputs * F2::inputs : F4::inputs * F4::inputs;
  const int64_t products = std::min(products_of<F2>(to), products_of<F4>(to));
  const int64_t cost = products * (weights + 6 * (rounded_up(from.c, lanes) + width)) + 8 * points * weights / images;
  return weights <= largest && cost + cost / 4 < 9 * to.h * to.w * weights;
}

}  // namespace

bool suits(const Conv2dSize& s) { return enabled && is_3x3(s) && is_cheaper(pass_of(s).from, pass_of(s).to); }
bool suits_grad_x(const Conv2dSize& s) { return enabled && is_3x3(s) && is_cheaper(pass_of(s).to, pass_of(s).from); }

namespace {

/// Taps [9][c_in][columns] of weights [c_out][9][c_in].
const float* transposed_taps(const Conv2dSize& s, const float* w, int64_t columns) {
  float* const taps = scratch<Use::taps>(9 * s.c_in * columns);
  transpose(w, s.c_out, 9 * s.c_in, columns, taps);
  return taps;
}

/// Taps [9][c_out][columns] of the convolution that gives the gradient of the input: the same, in opposite order.
const float* reversed_taps(const Conv2dSize& s, const float* w, int64_t columns) {
  float* const taps = scratch<Use::taps>(9 * s.c_out * columns);
  for (int64_t t = 0; t < 9; ++t)
    for (int64_t k = 0; k < s.c_out; ++k) {
      float* const row = taps + (t * s.c_out + k) * columns;
      std::copy_n(w + (k * 9 + 8 - t) * s.c_in, s.c_in, row);
      std::fill(row + s.c_in, row + columns, 0.0f);
    }
  return taps;
}

void run(const Pass& pass, const float* x, const float* taps, const Landing& landing) {
  with_tiles(
      pass.to, [&]<typename F, int W>() __attribute__((always_inline)) { convolve<F, W>(pass, x, taps, landing); });
}

}  // namespace

void conv2d(const Conv2dSize& s, std::span<const float> x, std::span<const float> w, std::span<const float> bias,
            std::span<float> y) {
  const float* const taps = transposed_taps(s, w.data(), rounded_up(s.c_out, widest_lanes()));
  run(pass_of(s), x.data(), taps, {{y.data()}, bias.empty() ? nullptr : bias.data()});
}

void conv2d_grad_x(const Conv2dSize& s, std::span<const float> gy, std::span<const float> w, Grad gx) {
  if (!gx) return;
  const float* const taps = reversed_taps(s, w.data(), rounded_up(s.c_in, widest_lanes()));
  const Pass forward = pass_of(s);
  run({forward.to, forward.from, 2 - s.pad_top, 2 - s.pad_left}, gy.data(), taps, {gx, nullptr});
}

void conv2d_grad_w(const Conv2dSize& s, std::span<const float> x, std::span<const float> gy, Grad gw, Grad gbias) {
  if (gbias) column_sums(s.n * s.oh * s.ow, s.c_out, gy, gbias);
  if (!gw) return;
  const Pass pass = pass_of(s);
  with_tiles(
      pass.to, [&]<typename F, int W>()
                   __attribute__((always_inline)) { convolve_grad_w<F, W>(pass, x.data(), gy.data(), gw); });
}

}  // namespace mixgrad::kernels::winograd

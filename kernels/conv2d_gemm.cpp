// SPDX-License-Identifier: Apache-2.0
// Convolutions as products of matrices (implicit GEMM). A row of a window is contiguous in NHWC, so windows need not be
// copied: the product reads them where they are.
//   forward   y[p][j]        = Σ_t window(p)[t] w[j][t]
//   ∂/∂x      column[p][t]   = Σ_j gy[p][j] w[j][t], added to the places of the window (col2im)
//   ∂/∂w      gw[j][t]       = Σ_p window(p)[t] gy[p][j]
// p is a pixel of the output, j an output channel, t an element (ky, kx, c) of the window.
#include <algorithm>

#include "conv2d.h"
#include "frame.h"
#include "layout.h"
#include "micro_kernel.h"
#include "reduce.h"
#include "scratch.h"

namespace mixgrad::kernels::gemm {
namespace {

enum class Use { frame, weights, bias, places, products, gradients };

int64_t pixels(const Conv2dSize& s) { return s.oh * s.ow; }
/// Elements of a window, and of one of its rows.
int64_t window_row(const Conv2dSize& s) { return s.kw * s.c_in; }
int64_t window(const Conv2dSize& s) { return s.kh * window_row(s); }

/// What the windows of an image cover.
struct Covered {
  explicit Covered(const Conv2dSize& s)
      : h((s.oh - 1) * s.stride_h + (s.kh - 1) * s.dilation_h + 1), w((s.ow - 1) * s.stride_w + s.kw) {}
  int64_t h, w;
};

Framed<Use::frame> framed(const Conv2dSize& s, const float* x) {
  const Covered covered(s);
  return {{s.n, s.h, s.w, s.c_in}, x, s.c_in, covered.h, covered.w, s.pad_top, s.pad_left};
}

/// Where the window of each pixel begins, in images with `row` elements a row.
const int64_t* places(const Conv2dSize& s, int64_t row) {
  int64_t* const out = scratch<Use::places, int64_t>(pixels(s));
  for (int64_t y = 0, p = 0; y < s.oh; ++y)
    for (int64_t x = 0; x < s.ow; ++x, ++p) out[p] = y * s.stride_h * row + x * s.stride_w * s.c_in;
  return out;
}

/// `from` [rows, columns] with its rows padded to `width`, or as it is if they are that wide.
template <Use U>
const float* padded(const float* from, int64_t rows, int64_t columns, int64_t width) {
  if (width == columns) return from;
  float* const to = scratch<U>(rows * width);
  for (int64_t r = 0; r < rows; ++r) {
    std::copy_n(from + r * columns, columns, to + r * width);
    std::fill_n(to + r * width + columns, width - columns, 0.0f);
  }
  return to;
}

template <int W>
MIXGRAD_INLINE void forward(const Conv2dSize& s, const float* x, const float* w, const float* bias, float* y) {
  const int64_t width = rounded_up(s.c_out, W), columns = std::min<int64_t>(width, 2 * W);
  float* const weights = scratch<Use::weights>(window(s) * rounded_up(width, columns));
  for (int64_t j = 0; j < s.c_out; j += columns)
    transpose(w + j * window(s), s.c_out - j, window(s), columns, weights + j * window(s));
  auto images = framed(s, x);
  const int64_t* const place = places(s, images.row());
  const Terms terms{.inner = window_row(s),
                    .left = 1,
                    .right = columns,
                    .outer = s.kh,
                    .left_outer = s.dilation_h * images.row(),
                    .right_outer = window_row(s) * columns};
  const float* const start = bias ? padded<Use::bias>(bias, 1, s.c_out, width) : nullptr;
  const bool whole = width == s.c_out;
  float* const products = whole ? nullptr : scratch<Use::products>(pixels(s) * 2 * W);
  for (int64_t i = 0; i < s.n; ++i, y += pixels(s) * s.c_out) {
    const float* const image = images.window(i, 0, 0);
    for (int64_t j = 0; j < width; j += 2 * W) {
      Products to = whole ? Products{y + j, s.c_out} : Products{products, 2 * W};
      if (start) to.start = start + j;
      multiply<W>(
          pixels(s), width - j, terms, [&](int64_t p) __attribute__((always_inline)) { return image + place[p]; },
          weights + j * window(s), to);
      if (whole) continue;
      for (int64_t p = 0; p < pixels(s); ++p)
        std::copy_n(products + p * 2 * W, std::min<int64_t>(2 * W, s.c_out - j), y + p * s.c_out + j);
    }
  }
}

/// to[i] += from[i]
MIXGRAD_INLINE void add(const float* from, int64_t count, float* to) {
#pragma GCC ivdep
  for (int64_t i = 0; i < count; ++i) to[i] += from[i];
}

/// Where the windows of an image are added up: in a frame, if they reach beyond the image, and then moved to it.
class GradientImage {
 public:
  explicit GradientImage(const Conv2dSize& s) : s_(s), covered_(s) {
    is_framed_ = s.pad_top > 0 || s.pad_left > 0 || covered_.h > s.h || covered_.w > s.w;
    if (is_framed_) frame_ = scratch<Use::frame>(covered_.h * row());
  }

  int64_t row() const { return (is_framed_ ? covered_.w : s_.w) * s_.c_in; }

  float* start(Grad image) {
    if (is_framed_) {
      std::fill_n(frame_, covered_.h * row(), 0.0f);
      return frame_;
    }
    if (!image.add) std::fill_n(image.data, s_.h * row(), 0.0f);
    return image.data;
  }
  void finish(Grad image) const {
    if (!is_framed_) return;
    const int64_t width = std::clamp<int64_t>(covered_.w - s_.pad_left, 0, s_.w) * s_.c_in;
    for (int64_t y = 0; y < s_.h; ++y) {
      float* const to = image.data + y * s_.w * s_.c_in;
      const bool is_covered = y + s_.pad_top < covered_.h && width > 0;
      const float* const from = is_covered ? frame_ + (y + s_.pad_top) * row() + s_.pad_left * s_.c_in : nullptr;
      const int64_t read = is_covered ? width : 0;
      if (image.add) {
        add(from, read, to);
      } else {
        std::copy_n(from, read, to);
        std::fill(to + read, to + s_.w * s_.c_in, 0.0f);
      }
    }
  }

 private:
  Conv2dSize s_;
  Covered covered_;
  bool is_framed_;
  float* frame_ = nullptr;
};

/// Whether every input is read by one window, all in order: then the product is the gradient.
bool is_product(const Conv2dSize& s) {
  return s.kh == 1 && s.kw == 1 && s.stride_h == 1 && s.stride_w == 1 && s.pad_top == 0 && s.pad_left == 0 &&
         s.oh == s.h && s.ow == s.w;
}

/// out[p][t] = Σ_j gy[p][j] w[j][t] for `count` pixels, with `width` columns t.
template <int W>
MIXGRAD_INLINE void columns_of(const Conv2dSize& s, const float* gy, int64_t count, const float* w, int64_t width,
                               float* out) {
  const Terms terms{.inner = s.c_out, .left = 1, .right = width};
  for (int64_t t = 0; t < width; t += 2 * W)
    multiply<W>(count, width - t, terms, [&](int64_t p) __attribute__((always_inline)) { return gy + p * s.c_out; },
                w + t, {out + t, width});
}

template <int W>
MIXGRAD_INLINE void grad_x(const Conv2dSize& s, const float* gy, const float* w, Grad gx) {
  const int64_t width = rounded_up(window(s), W), window_row = gemm::window_row(s);
  const float* const weights = padded<Use::weights>(w, s.c_out, window(s), width);
  if (is_product(s) && width == s.c_in && !gx.add)
    return columns_of<W>(s, gy, s.n * pixels(s), weights, width, gx.data);
  const int64_t block = std::max<int64_t>(12, 4096 / width / 12 * 12);  // of pixels; columns stay in the L1 cache
  float* const columns = scratch<Use::products>(block * width);
  GradientImage sums(s);
  const int64_t* const place = places(s, sums.row());
  for (int64_t i = 0; i < s.n; ++i) {
    const Grad image{gx.data + i * s.h * s.w * s.c_in, gx.add};
    float* const to = sums.start(image);
    for (int64_t first = 0; first < pixels(s); first += block) {
      const int64_t count = std::min(block, pixels(s) - first);
      columns_of<W>(s, gy + (i * pixels(s) + first) * s.c_out, count, weights, width, columns);
      for (int64_t p = 0; p < count; ++p)
        for (int64_t ky = 0; ky < s.kh; ++ky)
          add(columns + p * width + ky * window_row, window_row,
              to + place[first + p] + ky * s.dilation_h * sums.row());
    }
    sums.finish(image);
  }
}

template <int W>
MIXGRAD_INLINE void grad_w(const Conv2dSize& s, const float* x, const float* gy, Grad gw) {
  const int64_t width = rounded_up(s.c_out, W);
  const float* const gradients = padded<Use::gradients>(gy, s.n * pixels(s), s.c_out, width);
  float* const products = scratch<Use::products>(window(s) * width);  // w transposed
  auto images = framed(s, x);
  const int64_t rows = std::max<int64_t>(1, 96 / s.ow);  // of pixels: few, so that they stay in the cache
  for (int64_t i = 0; i < s.n; ++i)
    for (int64_t y = 0; y < s.oh; y += rows) {
      const Terms terms{.inner = s.ow,
                        .left = s.stride_w * s.c_in,
                        .right = width,
                        .outer = std::min(rows, s.oh - y),
                        .left_outer = s.stride_h * images.row(),
                        .right_outer = s.ow * width};
      const float* const right = gradients + (i * s.oh + y) * s.ow * width;
      for (int64_t ky = 0; ky < s.kh; ++ky) {
        const float* const left = images.window(i, y * s.stride_h + ky * s.dilation_h, 0);
        for (int64_t j = 0; j < width; j += 2 * W) {
          float* const to = products + ky * window_row(s) * width + j;
          multiply<W>(window_row(s), width - j,
                      terms, [&](int64_t t) __attribute__((always_inline)) { return left + t; }, right + j,
                      {to, width, i > 0 || y > 0 ? to : nullptr, width});
        }
      }
    }
  constexpr int64_t block = 16;
  for (int64_t first = 0; first < window(s); first += block)
    for (int64_t j = 0; j < s.c_out; ++j)
      for (int64_t t = first; t < std::min(first + block, window(s)); ++t)
        gw.put(j * window(s) + t, products[t * width + j]);
}

}  // namespace

bool computes(const Conv2dSize& s) { return s.groups == 1 && (s.dilation_w == 1 || s.kw == 1); }

void conv2d(const Conv2dSize& s, std::span<const float> x, std::span<const float> w, std::span<const float> bias,
            std::span<float> y) {
  widest([&]<int W>() __attribute__((always_inline)) {
    forward<W>(s, x.data(), w.data(), bias.empty() ? nullptr : bias.data(), y.data());
  });
}

void conv2d_grad_x(const Conv2dSize& s, std::span<const float> gy, std::span<const float> w, Grad gx) {
  if (!gx) return;
  widest([&]<int W>() __attribute__((always_inline)) { grad_x<W>(s, gy.data(), w.data(), gx); });
}

void conv2d_grad_w(const Conv2dSize& s, std::span<const float> x, std::span<const float> gy, Grad gw, Grad gbias) {
  if (gbias) column_sums(s.n * s.oh * s.ow, s.c_out, gy, gbias);
  if (!gw) return;
  widest([&]<int W>() __attribute__((always_inline)) { grad_w<W>(s, x.data(), gy.data(), gw); });
}

}  // namespace mixgrad::kernels::gemm

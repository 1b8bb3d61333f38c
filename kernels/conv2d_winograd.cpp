// SPDX-License-Identifier: Apache-2.0
// Which 3x3 convolutions run by Winograd's minimal filtering, and how: winograd_tiles.h, in float for every CPU and in
// bfloat16 for some.
#include <algorithm>
#include <atomic>
#include <type_traits>

#include "conv2d.h"
#include "conv2d_winograd_bf16.h"
#include "cpu.h"
#include "layout.h"
#include "reduce.h"
#include "winograd_tiles.h"

namespace mixgrad::kernels::winograd {
namespace {

enum class Taps { all };

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

/// What an algorithm costs, in multiplications of a direct convolution in the same type.
struct Cost {
  int64_t lanes;               ///< of vectors, which a direct convolution fills with output channels
  int64_t product, transform;  ///< of an element
};
constexpr Cost in_float{8, 1, 6}, in_bfloat16{16, 1, 8}, bfloat16_to_float{16, 2, 8};

/// Whether this is at least a quarter less work than a direct convolution. Costs are by the measurements in
/// bench/README.md; transforms of weights cost 8 per element. Those are transformed once for a micro-batch, whose size
/// is assumed, so that an image has the same result in any batch.
template <typename Tiles>
bool is_cheaper(const Images& from, const Images& to, const Cost& cost) {
  constexpr int64_t largest = 1 << 16, images = 8;
  const int64_t width = rounded_up(to.c, cost.lanes), weights = from.c * width;
  int64_t products = 0, points = 0;
  with_cheaper<Tiles>(to, [&]<typename F>() { products = products_of<F>(to), points = F::points; });
  const int64_t transforms = cost.transform * (rounded_up(from.c, cost.lanes) + width);
  const int64_t total = products * (cost.product * weights + transforms) + 8 * points * weights / images;
  return weights <= largest && total + total / 4 < 9 * to.h * to.w * weights;
}

/// The convolution that gives the gradient of the input.
Pass reversed(const Pass& p) { return {p.to, p.from, 2 - p.top, 2 - p.left}; }

template <typename Tiles>
bool suits(const Conv2dSize& s, const Pass& pass, const Cost& cost) {
  return enabled && is_3x3(s) && is_cheaper<Tiles>(pass.from, pass.to, cost);
}

}  // namespace

bool suits(const Conv2dSize& s) { return suits<FloatTiles>(s, pass_of(s), in_float); }
bool suits_grad_x(const Conv2dSize& s) { return suits<FloatTiles>(s, reversed(pass_of(s)), in_float); }

bool runs_bfloat16() {
  static const bool runs = has_avx512_bf16() && !has_amx();
  return runs;
}
bool suits_bfloat16(const Conv2dSize& s) { return runs_bfloat16() && suits<Bfloat16Tiles>(s, pass_of(s), in_bfloat16); }
bool suits_bfloat16_grad_x(const Conv2dSize& s) {
  return runs_bfloat16() && suits<Bfloat16Tiles>(s, reversed(pass_of(s)), in_bfloat16);
}
bool suits_bfloat16_grad_w(const Conv2dSize& s) {
  return runs_bfloat16() && suits<FloatTiles>(s, pass_of(s), bfloat16_to_float);
}

namespace {

/// Taps [9][c_in][columns] of weights [c_out][9][c_in].
const float* transposed_taps(const Conv2dSize& s, const float* w, int64_t columns) {
  float* const taps = scratch<Taps::all>(9 * s.c_in * columns);
  transpose(w, s.c_out, 9 * s.c_in, columns, taps);
  return taps;
}

/// Taps [9][c_out][columns] of the convolution that gives the gradient of the input: the same, in opposite order.
const float* reversed_taps(const Conv2dSize& s, const float* w, int64_t columns) {
  float* const taps = scratch<Taps::all>(9 * s.c_out * columns);
  for (int64_t t = 0; t < 9; ++t)
    for (int64_t k = 0; k < s.c_out; ++k) {
      float* const row = taps + (t * s.c_out + k) * columns;
      std::copy_n(w + (k * 9 + 8 - t) * s.c_in, s.c_in, row);
      std::fill(row + s.c_in, row + columns, 0.0f);
    }
  return taps;
}

/// Calls body.operator()<F, W>() with the cheaper tiles and W lanes per vector.
template <typename Body>
void with_tiles(const Images& to, const Body& body) {
  widest([&]<int W>() __attribute__((always_inline)) {
    with_cheaper<FloatTiles>(
        to, [&]<typename F>() __attribute__((always_inline)) { body.template operator()<F, W>(); });
  });
}

void run(const Pass& pass, const float* x, const float* taps, Grad to, const float* bias) {
  with_tiles(
      pass.to, [&]<typename F, int W>() __attribute__((always_inline)) {
        convolve<F, W, float>(pass, x, taps, Landing<float>{to, bias});
      });
}
void run(const Pass& pass, const bfloat16* x, const float* taps, GradOf<bfloat16> to, const float* bias) {
  avx512_bf16::convolve(pass, x, taps, to, bias);
}

void run_grad_w(const Pass& pass, const float* x, const float* gy, Grad gw) {
  with_tiles(
      pass.to, [&]<typename F, int W>() __attribute__((always_inline)) { convolve_grad_w<F, W>(pass, x, gy, gw); });
}
void run_grad_w(const Pass& pass, const bfloat16* x, const bfloat16* gy, Grad gw) {
  avx512_bf16::convolve_grad_w(pass, x, gy, gw);
}

/// Channels in whole vectors of what computes images of type T.
template <typename T>
int64_t padded(int64_t channels) {
  return rounded_up(channels, std::is_same_v<T, float> ? widest_lanes() : avx512_bf16::lanes);
}

template <typename T>
void forward(const Conv2dSize& s, std::span<const T> x, std::span<const float> w, std::span<const float> bias,
             std::span<T> y) {
  const float* const taps = transposed_taps(s, w.data(), padded<T>(s.c_out));
  run(pass_of(s), x.data(), taps, {y.data()}, bias.empty() ? nullptr : bias.data());
}

template <typename T>
void grad_x(const Conv2dSize& s, std::span<const T> gy, std::span<const float> w, GradOf<T> gx) {
  if (!gx) return;
  const float* const taps = reversed_taps(s, w.data(), padded<T>(s.c_in));
  run(reversed(pass_of(s)), gy.data(), taps, gx, nullptr);
}

template <typename T>
void grad_w(const Conv2dSize& s, std::span<const T> x, std::span<const T> gy, Grad gw, Grad gbias) {
  if (gbias) column_sums(s.n * s.oh * s.ow, s.c_out, gy, gbias);
  if (gw) run_grad_w(pass_of(s), x.data(), gy.data(), gw);
}

}  // namespace

void conv2d(const Conv2dSize& s, std::span<const float> x, std::span<const float> w, std::span<const float> bias,
            std::span<float> y) {
  forward(s, x, w, bias, y);
}
void conv2d(const Conv2dSize& s, std::span<const bfloat16> x, std::span<const float> w, std::span<const float> bias,
            std::span<bfloat16> y) {
  forward(s, x, w, bias, y);
}

void conv2d_grad_x(const Conv2dSize& s, std::span<const float> gy, std::span<const float> w, Grad gx) {
  grad_x(s, gy, w, gx);
}
void conv2d_grad_x(const Conv2dSize& s, std::span<const bfloat16> gy, std::span<const float> w, GradOf<bfloat16> gx) {
  grad_x(s, gy, w, gx);
}

void conv2d_grad_w(const Conv2dSize& s, std::span<const float> x, std::span<const float> gy, Grad gw, Grad gbias) {
  grad_w(s, x, gy, gw, gbias);
}
void conv2d_grad_w(const Conv2dSize& s, std::span<const bfloat16> x, std::span<const bfloat16> gy, Grad gw,
                   Grad gbias) {
  grad_w(s, x, gy, gw, gbias);
}

}  // namespace mixgrad::kernels::winograd

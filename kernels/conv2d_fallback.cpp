// SPDX-License-Identifier: Apache-2.0
// Builds without oneDNN: Winograd's algorithm where it suits, Eigen's product for convolutions that are matrix
// products, the direct kernels for all others (larger windows would have to be copied first, which is slower:
// bench/README.md). bfloat16 is converted to float.
#include <vector>

#include "conv2d.h"
#include "conv2d_clock.h"
#include "conv2d_int8.h"
#include "lanes.h"
#include "product.h"
#include "reduce.h"

namespace mixgrad::kernels {
namespace {

// Pixels per product: enough to make up for reordering the weights, few enough to stay in the L2 cache.
constexpr int64_t grain = 256;
constexpr int64_t pixels_per_partial = 1024;  // per partial sum

/// Whether every output pixel depends on one input pixel: then y is the product of [pixels, c_in] and [c_out, c_in]ᵀ.
bool is_product(const Conv2dSize& s) {
  return s.kh == 1 && s.kw == 1 && s.groups == 1 && s.stride_h == 1 && s.stride_w == 1 && s.pad_top == 0 &&
         s.pad_left == 0 && s.oh == s.h && s.ow == s.w;
}

int64_t pixels(const Conv2dSize& s) { return s.n * s.h * s.w; }

void product(const Conv2dSize& s, const float* x, const float* w, std::span<const float> bias, float* y) {
  parallel_chunks(pixels(s), grain, [&](int64_t begin, int64_t end) {
    if (!bias.empty())
      for (int64_t p = begin; p < end; ++p) std::copy_n(bias.data(), s.c_out, y + p * s.c_out);
    multiply(end - begin, s.c_out, s.c_in, {x + begin * s.c_in, s.c_in}, {w, s.c_in, true}, !bias.empty(),
             y + begin * s.c_out);
  });
}

void product_grad_x(const Conv2dSize& s, const float* gy, const float* w, Grad gx) {
  parallel_chunks(pixels(s), grain, [&](int64_t begin, int64_t end) {
    multiply(end - begin, s.c_in, s.c_out, {gy + begin * s.c_out, s.c_out}, {w, s.c_in}, gx.add,
             gx.data + begin * s.c_in);
  });
}

/// Adds partial sums over pixels in a fixed order, so the result does not depend on the number of threads.
void product_grad_w(const Conv2dSize& s, const float* x, const float* gy, Grad gw) {
  const int64_t size = s.c_out * s.c_in, count = (pixels(s) + pixels_per_partial - 1) / pixels_per_partial;
  std::vector<float> partials(static_cast<size_t>(count * size));
  parallel_chunks(pixels(s), pixels_per_partial, [&](int64_t begin, int64_t end) {
    multiply(s.c_out, s.c_in, end - begin, {gy + begin * s.c_out, s.c_out, true}, {x + begin * s.c_in, s.c_in}, false,
             partials.data() + begin / pixels_per_partial * size);
  });
  parallel_chunks(size, elementwise_grain, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      float sum = 0;
      for (int64_t p = 0; p < count; ++p) sum += partials[static_cast<size_t>(p * size + i)];
      gw.put(i, sum);
    }
  });
}

/// Exact on integers, like the gradient.
void exact_conv2d(const Conv2dSize& s, std::span<const float> x, std::span<const float> w, std::span<const float> bias,
                  std::span<float> y) {
  if (is_product(s)) return product(s, x.data(), w.data(), bias, y.data());
  direct::conv2d(s, x, w, bias, y);
}

void exact_grad_x(const Conv2dSize& s, std::span<const float> gy, std::span<const float> w, Grad gx) {
  if (is_product(s)) return product_grad_x(s, gy.data(), w.data(), gx);
  direct::conv2d_grad_x(s, gy, w, gx);
}

}  // namespace

void conv2d(const Conv2dSize& s, std::span<const float> x, std::span<const float> w, std::span<const float> bias,
            std::span<float> y) {
  const ConvClock clock;
  winograd::suits(s) ? winograd::conv2d(s, x, w, bias, y) : exact_conv2d(s, x, w, bias, y);
}

void conv2d_codes_grad_x(const Conv2dSize& s, std::span<const float> gy, std::span<const float> w, Grad gx) {
  if (!gx) return;
  const ConvClock clock;
  exact_grad_x(s, gy, w, gx);
}

void conv2d_grad_x(const Conv2dSize& s, std::span<const float> gy, std::span<const float> w, Grad gx) {
  if (!gx) return;
  const ConvClock clock;
  winograd::suits(s) ? winograd::conv2d_grad_x(s, gy, w, gx) : exact_grad_x(s, gy, w, gx);
}

void conv2d_grad_w(const Conv2dSize& s, std::span<const float> x, std::span<const float> gy, Grad gw, Grad gbias) {
  const ConvClock clock;
  if (winograd::suits(s)) return winograd::conv2d_grad_w(s, x, gy, gw, gbias);
  if (!is_product(s)) return direct::conv2d_grad_w(s, x, gy, gw, gbias);
  if (gbias) column_sums(pixels(s), s.c_out, gy, gbias);
  if (gw) product_grad_w(s, x.data(), gy.data(), gw);
}

void conv2d(const Conv2dSize& s, std::span<const bfloat16> x, std::span<const float> w, std::span<const float> bias,
            std::span<bfloat16> y) {
  through_float::conv2d(s, x, w, bias, y);
}

void conv2d_codes(const Conv2dSize& s, std::span<const float> x, std::span<const float> w, std::span<float> y) {
  if (conv2d_codes_by_integers(s, x, w, y)) return;
  const ConvClock clock;
  exact_conv2d(s, x, w, {}, y);
}

void conv2d_codes(const Conv2dSize& s, std::span<const bfloat16> x, std::span<const float> w, std::span<float> y) {
  through_float::conv2d_codes(s, x, w, y);
}

void conv2d_grad_x(const Conv2dSize& s, std::span<const bfloat16> gy, std::span<const float> w, GradOf<bfloat16> gx) {
  through_float::conv2d_grad_x(s, gy, w, gx);
}

void conv2d_grad_w(const Conv2dSize& s, std::span<const bfloat16> x, std::span<const bfloat16> gy, Grad gw,
                   Grad gbias) {
  through_float::conv2d_grad_w(s, x, gy, gw, gbias);
}

}  // namespace mixgrad::kernels

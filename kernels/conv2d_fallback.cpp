// SPDX-License-Identifier: Apache-2.0
// Builds without oneDNN: Winograd's algorithm where it suits, else products of matrices, else the direct kernels. The
// same bytes on every CPU. bfloat16 is converted to float.
#include "conv2d.h"
#include "conv2d_clock.h"
#include "conv2d_int8.h"

namespace mixgrad::kernels {

void conv2d(const Conv2dSize& s, std::span<const float> x, std::span<const float> w, std::span<const float> bias,
            std::span<float> y) {
  const ConvClock clock;
  if (winograd::suits(s)) return winograd::conv2d(s, x, w, bias, y);
  (gemm::computes(s) ? gemm::conv2d : direct::conv2d)(s, x, w, bias, y);
}

void conv2d_codes_grad_x(const Conv2dSize& s, std::span<const float> gy, std::span<const float> w, Grad gx) {
  if (!gx) return;
  const ConvClock clock;
  (gemm::computes(s) ? gemm::conv2d_grad_x : direct::conv2d_grad_x)(s, gy, w, gx);
}

void conv2d_grad_x(const Conv2dSize& s, std::span<const float> gy, std::span<const float> w, Grad gx) {
  if (!gx || !winograd::suits_grad_x(s)) return conv2d_codes_grad_x(s, gy, w, gx);
  const ConvClock clock;
  winograd::conv2d_grad_x(s, gy, w, gx);
}

void conv2d_grad_w(const Conv2dSize& s, std::span<const float> x, std::span<const float> gy, Grad gw, Grad gbias) {
  const ConvClock clock;
  if (winograd::suits(s)) return winograd::conv2d_grad_w(s, x, gy, gw, gbias);
  (gemm::computes(s) ? gemm::conv2d_grad_w : direct::conv2d_grad_w)(s, x, gy, gw, gbias);
}

void conv2d(const Conv2dSize& s, std::span<const bfloat16> x, std::span<const float> w, std::span<const float> bias,
            std::span<bfloat16> y) {
  through_float::conv2d(s, x, w, bias, y);
}

void conv2d_codes(const Conv2dSize& s, std::span<const float> x, std::span<const float> w, std::span<float> y) {
  if (conv2d_codes_by_integers(s, x, w, y)) return;
  const ConvClock clock;
  (gemm::computes(s) ? gemm::conv2d : direct::conv2d)(s, x, w, {}, y);
}

void conv2d_codes(const Conv2dSize& s, std::span<const bfloat16> x, std::span<const float> w, std::span<float> y) {
  if (conv2d_codes_by_integers(s, x, w, y)) return;
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

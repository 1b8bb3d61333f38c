// SPDX-License-Identifier: Apache-2.0
// Builds without oneDNN: the direct kernels, and bfloat16 by way of them.
#include "conv2d.h"
#include "conv2d_int8.h"
#include "conv2d_clock.h"

namespace mixgrad::kernels {

void conv2d(const Conv2dSize& s, std::span<const float> x, std::span<const float> w, std::span<const float> bias,
            std::span<float> y) {
  const ConvClock clock;
  direct::conv2d(s, x, w, bias, y);
}

void conv2d_grad_x(const Conv2dSize& s, std::span<const float> gy, std::span<const float> w, Grad gx) {
  const ConvClock clock;
  direct::conv2d_grad_x(s, gy, w, gx);
}

void conv2d_grad_w(const Conv2dSize& s, std::span<const float> x, std::span<const float> gy, Grad gw, Grad gbias) {
  const ConvClock clock;
  direct::conv2d_grad_w(s, x, gy, gw, gbias);
}

void conv2d(const Conv2dSize& s, std::span<const bfloat16> x, std::span<const float> w, std::span<const float> bias,
            std::span<bfloat16> y) {
  through_float::conv2d(s, x, w, bias, y);
}

void conv2d_codes(const Conv2dSize& s, std::span<const float> x, std::span<const float> w, std::span<float> y) {
  conv2d(s, x, w, {}, y);
}

void conv2d_grad_x(const Conv2dSize& s, std::span<const bfloat16> gy, std::span<const float> w, GradOf<bfloat16> gx) {
  through_float::conv2d_grad_x(s, gy, w, gx);
}

void conv2d_grad_w(const Conv2dSize& s, std::span<const bfloat16> x, std::span<const bfloat16> gy, Grad gw,
                   Grad gbias) {
  through_float::conv2d_grad_w(s, x, gy, gw, gbias);
}

std::unique_ptr<const PackedConv2dInt8> PackedConv2dInt8::make(const Conv2dSize&, bool, std::span<const int8_t>) {
  return nullptr;
}

}  // namespace mixgrad::kernels

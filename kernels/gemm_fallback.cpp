// SPDX-License-Identifier: Apache-2.0
// Builds without oneDNN: a linear layer is a 1x1 convolution of 1x1 images.
#include "conv2d.h"
#include "gemm.h"

namespace mixgrad::kernels {
namespace {

Conv2dSize pointwise(int64_t n, int64_t k, int64_t m) {
  return {.n = n, .c_in = k, .h = 1, .w = 1, .c_out = m, .oh = 1, .ow = 1, .kh = 1, .kw = 1};
}

}  // namespace

void linear(int64_t n, int64_t k, int64_t m, std::span<const float> x, std::span<const float> w,
            std::span<const float> bias, std::span<float> y) {
  direct::conv2d(pointwise(n, k, m), x, w, bias, y);
}

void linear_grad_x(int64_t n, int64_t k, int64_t m, std::span<const float> gy, std::span<const float> w, Grad gx) {
  direct::conv2d_grad_x(pointwise(n, k, m), gy, w, gx);
}

void linear_grad_w(int64_t n, int64_t k, int64_t m, std::span<const float> x, std::span<const float> gy, Grad gw,
                   Grad gbias) {
  direct::conv2d_grad_w(pointwise(n, k, m), x, gy, gw, gbias);
}

}  // namespace mixgrad::kernels

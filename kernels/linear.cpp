// SPDX-License-Identifier: Apache-2.0
#include "linear.h"

#include "parallel.h"
#include "product.h"
#include "reduce.h"

namespace mixgrad::kernels {
namespace {

constexpr int64_t grain = 32;  // rows of the result per chunk

}  // namespace

void linear(int64_t n, int64_t k, int64_t m, std::span<const float> x, std::span<const float> w,
            std::span<const float> bias, std::span<float> y) {
  parallel_chunks(n, grain, [&](int64_t begin, int64_t end) {
    if (!bias.empty())
      for (int64_t r = begin; r < end; ++r) std::copy_n(bias.data(), m, y.data() + r * m);
    multiply(end - begin, m, k, {x.data() + begin * k, k}, {w.data(), k, true}, !bias.empty(), y.data() + begin * m);
  });
}

void linear_grad_x(int64_t n, int64_t k, int64_t m, std::span<const float> gy, std::span<const float> w, Grad gx) {
  if (!gx) return;
  parallel_chunks(n, grain, [&](int64_t begin, int64_t end) {
    multiply(end - begin, k, m, {gy.data() + begin * m, m}, {w.data(), k}, gx.add, gx.data + begin * k);
  });
}

void linear_grad_w(int64_t n, int64_t k, int64_t m, std::span<const float> x, std::span<const float> gy, Grad gw,
                   Grad gbias) {
  if (gw)
    parallel_chunks(m, grain, [&](int64_t begin, int64_t end) {
      multiply(end - begin, k, n, {gy.data() + begin, m, true}, {x.data(), k}, gw.add, gw.data + begin * k);
    });
  if (gbias) column_sums(n, m, gy, gbias);
}

}  // namespace mixgrad::kernels

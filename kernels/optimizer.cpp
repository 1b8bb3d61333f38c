// SPDX-License-Identifier: Apache-2.0
#include "optimizer.h"

#include <cmath>

#include "lanes.h"

namespace mixgrad::kernels {

void sgd_update(const SgdUpdate& u, std::span<const float> gradient, std::span<float> velocity,
                std::span<float> weights) {
  const float own = u.nesterov ? 1.0F : 0.0F, kept = u.nesterov ? u.momentum : 1.0F;
  const float* grad = gradient.data();
  float *speed = velocity.data(), *w = weights.data();
  for_each_index(
      weights.size(), [=](int64_t i) __attribute__((always_inline)) {
        const float g = grad[i] + u.decay * w[i];
        speed[i] = u.momentum * speed[i] + g;
        w[i] -= u.lr * (own * g + kept * speed[i]);
      });
}

void adam_update(const AdamUpdate& u, std::span<const float> gradient, std::span<float> first, std::span<float> second,
                 std::span<float> weights) {
  const float* g = gradient.data();
  float *m = first.data(), *v = second.data(), *w = weights.data();
  for_each_index(
      weights.size(), [=](int64_t i) __attribute__((always_inline)) {
        m[i] = u.beta1 * m[i] + (1 - u.beta1) * g[i];
        v[i] = u.beta2 * v[i] + (1 - u.beta2) * g[i] * g[i];
        w[i] -= u.lr * m[i] / (std::sqrt(v[i] * u.second_scale) + u.eps) + u.shrink * w[i];
      });
}

}  // namespace mixgrad::kernels

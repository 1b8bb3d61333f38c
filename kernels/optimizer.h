// SPDX-License-Identifier: Apache-2.0
// The update loops of the optimizers. All spans of a call have the same size.
#pragma once

#include <span>

namespace mixgrad::kernels {

struct SgdUpdate {
  float lr, decay, momentum;
  bool nesterov;
};
/// velocity ← momentum velocity + g + decay w;  w ← w - lr velocity (Nesterov: w - lr (g + decay w + momentum
/// velocity))
void sgd_update(const SgdUpdate& u, std::span<const float> g, std::span<float> velocity, std::span<float> w);

struct AdamUpdate {
  float lr;            ///< divided by 1 - beta1^t
  float second_scale;  ///< 1 / (1 - beta2^t)
  float beta1, beta2, eps;
  float shrink;  ///< lr · weight decay
};
/// m ← β1 m + (1 - β1) g, v ← β2 v + (1 - β2) g²;  w ← w - lr m / (√(v second_scale) + eps) - shrink w
void adam_update(const AdamUpdate& u, std::span<const float> g, std::span<float> m, std::span<float> v,
                 std::span<float> w);

}  // namespace mixgrad::kernels

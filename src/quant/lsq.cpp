// SPDX-License-Identifier: Apache-2.0
#include "quantizers.h"

#include <algorithm>
#include <cmath>
#include <utility>

namespace mixgrad::quant {
namespace {

/// x̂ = s rne(clamp(x / s, low, high)). ∂x̂/∂s = rne(x/s) - x/s inside the range, its end outside (paper, equation 3);
/// the step's gradient is scaled by 1 / √(features · high) (section 2.2). s = clip / high, so ∂/∂clip = ∂/∂s / high.
struct Lsq {
  static float step(float clip, CodeRange r) { return clip / r.high; }
  static float code(float x, float clip, CodeRange r) {
    return std::nearbyint(std::clamp(x / step(clip, r), r.low, r.high));
  }
  static std::pair<float, float> slopes(float x, float clip, CodeRange r) {
    const float steps = x / step(clip, r);
    if (steps <= r.low) return {0, r.low / r.high};
    if (steps >= r.high) return {0, 1};
    return {1, (std::nearbyint(steps) - steps) / r.high};
  }
  static double clip_scale(int64_t features, CodeRange r) {
    return 1 / std::sqrt(static_cast<double>(features) * r.high);
  }
};

}  // namespace

ActivationQuantizer lsq() {
  ActivationQuantizer q = elementwise<Lsq>("lsq");
  q.rounds_to_nearest = true;
  return q;
}

}  // namespace mixgrad::quant

// SPDX-License-Identifier: Apache-2.0
#include "quantizers.h"

#include <mixgrad/ops.h>

#include <kernels/quantize.h>

#include <algorithm>
#include <cmath>
#include <utility>

namespace mixgrad::quant {
namespace {

/// q = rne(clamp(x, low, c) / s), s = c / high. Outside the clip, x̂ is ±c (below 0 unsigned: 0).
struct Pact {
  static float step(float clip, CodeRange r) { return clip / r.high; }
  /// Clamped after the multiplication: x = clip gives the top code whatever the rounding of 1 / step.
  static float code(float x, float clip, CodeRange r) {
    if (r.low == 0 && !(x > 0)) return 0;
    return std::copysign(std::nearbyint(std::min(std::abs(x) * (r.high / clip), r.high)), x);
  }
  static std::pair<float, float> slopes(float x, float clip, CodeRange r) {
    if (r.low == 0 && !(x > 0)) return {0, 0};
    if (std::abs(x) < clip) return {1, 0};
    return {0, x > 0 ? 1 : -1};
  }
  static double clip_scale(int64_t, CodeRange) { return 1; }
};

}  // namespace

ActivationQuantizer pact() {
  ActivationQuantizer q = elementwise<Pact>("pact");
  q.rounds_to_nearest = true;
  q.codes = [](float clip, CodeRange r, std::span<const float> x, std::span<float> codes) {
    kernels::quantize_activation(bits_of(r), {.is_signed = r.low < 0}, clip, x, codes);
  };
  q.mixture = [](const Tensor& x, const Tensor& theta, const Tensor& clip, std::span<const int> bits,
                 ActivationFormat f) { return activation_mixture(x, theta, clip, bits, f); };
  q.quantize = [](const Tensor& x, const Tensor& clip, int bits, ActivationFormat f) {
    return quantize_activation(x, clip, bits, f);
  };
  q.requantize = requantize;
  return q;
}

}  // namespace mixgrad::quant

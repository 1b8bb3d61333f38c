// SPDX-License-Identifier: Apache-2.0
#include "quantizers.h"

#include <algorithm>
#include <cmath>
#include <utility>

namespace mixgrad::quant {
namespace {

/// q = ⌊clamp(x, 0, c) (2^b - 1) / (c + 1e-3)⌋: the top code is never used, and values lose half a step on average.
struct PlinioPact {
  static float step(float clip, CodeRange r) { return (clip + 1e-3F) / r.high; }
  static float code(float x, float clip, CodeRange r) { return std::floor(std::clamp(x, 0.0F, clip) / step(clip, r)); }
  static std::pair<float, float> slopes(float x, float clip, CodeRange) {
    return {x > 0 && x < clip ? 1.0F : 0.0F, x >= clip ? 1.0F : 0.0F};
  }
  static double clip_scale(int64_t, CodeRange) { return 1; }
};

}  // namespace

ActivationQuantizer plinio_pact() { return elementwise<PlinioPact>("plinio-pact", true); }

}  // namespace mixgrad::quant

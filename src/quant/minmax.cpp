// SPDX-License-Identifier: Apache-2.0
#include "quantizers.h"

#include <mixgrad/ops.h>

#include <kernels/quantize.h>

#include <algorithm>

namespace mixgrad::quant {
namespace {

/// Levels between the outermost codes, which lie at ±max|w|.
double levels(CodeRange r) { return static_cast<double>(r.high) - r.low; }

float largest(std::span<const float> w, CodeRange) {
  float magnitude = 0;
  kernels::weight_magnitude({.channels = 1, .per_channel = std::ssize(w)}, w, {&magnitude, 1});
  return magnitude;
}

float step(float magnitude, CodeRange r) {
  const int bits = bits_of(r);
  float out = 0;
  kernels::weight_scale({&bits, 1}, {&magnitude, 1}, {&out, 1});
  return out;
}

void codes_of(float magnitude, CodeRange r, std::span<const float> w, std::span<float> codes) {
  const int bits = bits_of(r);
  kernels::quantize_weight({.channels = 1, .per_channel = std::ssize(w)}, {&bits, 1}, {&magnitude, 1}, w, codes);
}

}  // namespace

WeightQuantizer minmax() {
  return {.name = "minmax",
          .scale = largest,
          .step = step,
          .scale_of_step = [](double wanted, CodeRange r) { return wanted * levels(r) / 2; },
          .codes = codes_of,
          .gradient =
              [](float, CodeRange, std::span<const float>, std::span<const float> g, std::span<float> gw) {
                std::ranges::copy(g, gw.begin());
                return 0.0;
              },
          .mixture = [](const Tensor& w, const Tensor& theta, const Tensor&,
                        std::span<const int> bits) { return weight_mixture(w, theta, bits); },
          .quantize = [](const Tensor& w, const Tensor& scales,
                         std::span<const int> bits) { return quantize_weight(w, scales, bits); }};
}

}  // namespace mixgrad::quant

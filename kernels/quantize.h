// SPDX-License-Identifier: Apache-2.0
// Fake quantization and its mixtures over candidate precisions. Formulas: SPEC §2 (weights: symmetric min-max
// per output channel) and §3 (activations: PACT with a learnable clip). rne = round half to even.
#pragma once

#include "grad.h"

namespace mixgrad::kernels {

using mixgrad::ActivationFormat;
using mixgrad::CodeRange;

/// The largest number of candidate precisions in a mixture (0 to 8 bits).
inline constexpr int max_candidates = 9;

/// Weights as a matrix: one row per output channel.
struct WeightSize {
  int64_t channels, per_channel;
};

/// out = Σ_p θ_p ŵ_p. theta: [P], or [P, channels] when `theta_per_channel`. 0 bits give 0.
void weight_mixture(const WeightSize& s, std::span<const int> bits, bool theta_per_channel, std::span<const float> w,
                    std::span<const float> theta, std::span<float> out);
/// gw = g Σ_{b_p > 0} θ_p (straight-through; max|w| is a constant); gtheta_p = Σ g ŵ_p, per channel or over all.
void weight_mixture_grad(const WeightSize& s, std::span<const int> bits, bool theta_per_channel,
                         std::span<const float> w, std::span<const float> theta, std::span<const float> g, Grad gw,
                         Grad gtheta);

/// max|w_c| of every channel.
void weight_magnitude(const WeightSize& s, std::span<const float> w, std::span<float> magnitude);
/// The step s = 2 magnitude_c / (2^b - 1) of every channel (1 where the magnitude or b is 0). bits: [channels].
void weight_scale(std::span<const int> bits, std::span<const float> magnitude, std::span<float> scale);
/// Integer codes, as floats. bits, magnitude: [channels].
void quantize_weight(const WeightSize& s, std::span<const int> bits, std::span<const float> magnitude,
                     std::span<const float> w, std::span<float> codes);
/// gw = gcodes / scale (straight-through); 0 for channels of 0 bits.
void quantize_weight_grad(const WeightSize& s, std::span<const int> bits, std::span<const float> scale,
                          std::span<const float> gcodes, Grad gw);

// Weights on grids with a step of their own (SPEC §2a). With v = w / scale, a code is rne(v) (stride 1) or
// 2⌊v⌋ + 1 (stride 2, the odd grid), clamped to the range, and ŵ = code scale / stride. A range from 0 to 0 keeps
// nothing: 0 bits.

/// out = Σ_p θ_p ŵ_p. theta as above; scales: [P, channels].
void step_mixture(const WeightSize& s, std::span<const CodeRange> ranges, bool theta_per_channel,
                  std::span<const float> w, std::span<const float> theta, std::span<const float> scales,
                  std::span<float> out);
/// gw = g Σ_p θ_p 1[inside the range of p]; gtheta_p = Σ g ŵ_p; gscale_p = θ_p Σ g ∂ŵ_p/∂scale, which is code / stride,
/// less v inside.
void step_mixture_grad(const WeightSize& s, std::span<const CodeRange> ranges, bool theta_per_channel,
                       std::span<const float> w, std::span<const float> theta, std::span<const float> scales,
                       std::span<const float> g, Grad gw, Grad gtheta, Grad gscale);
/// Codes of every channel, as floats. ranges, scales: [channels].
void step_codes(const WeightSize& s, std::span<const CodeRange> ranges, std::span<const float> scales,
                std::span<const float> w, std::span<float> codes);
/// The gradients of step_codes: those above for ŵ, times stride / scale.
void step_codes_grad(const WeightSize& s, std::span<const CodeRange> ranges, std::span<const float> scales,
                     std::span<const float> w, std::span<const float> gcodes, Grad gw, Grad gscale);
/// The scale of the least Σ (w - ŵ)² for one channel; 0 if all weights are. Tries scales from that of the largest
/// weight downwards, then finer ones around the best, and the optimum for its codes (Lloyd 1982).
float least_error_scale(CodeRange range, std::span<const float> w);

/// Codes above zero: 2^b - 1, signed 2^(b-1) - 1. The step is clip / levels.
constexpr float activation_levels(int bits, bool is_signed) {
  return static_cast<float>((1 << (is_signed ? bits - 1 : bits)) - 1);
}

/// out = Σ_p θ_p x̂_p in one pass over memory. theta, clip: [P].
void activation_mixture(std::span<const int> bits, ActivationFormat format, std::span<const float> x,
                        std::span<const float> theta, std::span<const float> clip, std::span<float> out);
void activation_mixture(std::span<const int> bits, ActivationFormat format, std::span<const bfloat16> x,
                        std::span<const float> theta, std::span<const float> clip, std::span<bfloat16> out);
/// One pass over x and g: gx = g Σ θ_p 1[inside clip_p]; gtheta_p = Σ g x̂_p; gclip_p = θ_p Σ g sign(x) 1[|x| >=
/// clip_p].
void activation_mixture_grad(std::span<const int> bits, ActivationFormat format, std::span<const float> x,
                             std::span<const float> theta, std::span<const float> clip, std::span<const float> g,
                             Grad gx, Grad gtheta, Grad gclip);
void activation_mixture_grad(std::span<const int> bits, ActivationFormat format, std::span<const bfloat16> x,
                             std::span<const float> theta, std::span<const float> clip, std::span<const bfloat16> g,
                             GradOf<bfloat16> gx, Grad gtheta, Grad gclip);

/// codes = rne(clamp(x) / s), as floats.
void quantize_activation(int bits, ActivationFormat format, float clip, std::span<const float> x,
                         std::span<float> codes);
/// gx = gcodes / s inside the clip; gclip = Σ (gcodes / s) sign(x) 1[|x| >= clip].
void quantize_activation_grad(int bits, ActivationFormat format, float clip, std::span<const float> x,
                              std::span<const float> gcodes, Grad gx, Grad gclip);

/// Double precision, one element and one candidate at a time.
namespace reference {
void weight_mixture(const WeightSize& s, std::span<const int> bits, bool theta_per_channel, std::span<const float> w,
                    std::span<const float> theta, std::span<float> out);
void step_mixture(const WeightSize& s, std::span<const CodeRange> ranges, bool theta_per_channel,
                  std::span<const float> w, std::span<const float> theta, std::span<const float> scales,
                  std::span<float> out);
void activation_mixture(std::span<const int> bits, ActivationFormat format, std::span<const float> x,
                        std::span<const float> theta, std::span<const float> clip, std::span<float> out);
void activation_mixture_grad(std::span<const int> bits, ActivationFormat format, std::span<const float> x,
                             std::span<const float> theta, std::span<const float> clip, std::span<const float> g,
                             Grad gx, Grad gtheta, Grad gclip);
}  // namespace reference

}  // namespace mixgrad::kernels

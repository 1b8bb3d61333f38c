// SPDX-License-Identifier: Apache-2.0
// Quantizer slots: which bit-widths a layer's weights or a tensor of activations may take, or have taken.
#pragma once

#include <mixgrad/tensor.h>

#include <functional>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

namespace mixgrad {

/// Weights of one conv or linear layer (SPEC §2). Searching: a mixture over `precisions` weighted by softmax(alpha).
/// Fixed: one bit-width per output channel in `bits`.
struct WeightSlot {
  std::vector<int> precisions;  ///< candidates, ascending
  Tensor alpha;                 ///< [P] per layer, [P, C_out] per channel; no tensor once fixed
  std::vector<int> bits;        ///< [C_out] once fixed
  Tensor magnitude;             ///< [C_out] max |w_c| that sets the scales; without one, of the weights as they are

  bool fixed() const { return !bits.empty(); }
};

/// Devices store weights of 2, 4 or 8 bits: the narrowest that holds this many.
constexpr int storage_bits(int bits) { return bits <= 2 ? 2 : bits <= 4 ? 4 : 8; }

/// Codes that a quantizer may give: whole numbers from low to high.
struct CodeRange {
  float low, high;
};

/// How activations become codes, where it is not PACT (quant::elementwise makes one from a few formulas). Mixtures over
/// candidates, integer evaluation, costs and export follow. `clip` is a slot's learned number, one per candidate.
struct ActivationQuantizer {
  std::string name;
  bool never_signed = false;       ///< negative values are cut in every tensor
  bool rounds_to_nearest = false;  ///< codes are rne(x / step) within the range, so that integer networks can have them
  /// The real value of one code.
  std::function<float(float clip, CodeRange)> step;
  std::function<void(float clip, CodeRange, std::span<const float> x, std::span<float> codes)> codes;
  /// With x̂ = step · code: gx = g ∂x̂/∂x; returns Σ g ∂x̂/∂clip. `features`: values per image.
  std::function<double(float clip, CodeRange, int64_t features, std::span<const float> x, std::span<const float> g,
                       std::span<float> gx)>
      gradient;
};

/// A tensor of activations, or several that meet in an Add (SPEC §3, §5). Fixed: one precision, one clip, no alpha.
struct ActivationSlot {
  std::vector<int> precisions;  ///< candidates, ascending
  Tensor alpha;                 ///< [P]; no tensor once fixed
  Tensor clip;                  ///< [P], above 0
  bool is_signed = false;
  std::shared_ptr<const ActivationQuantizer> quantizer;  ///< none: PACT
  bool learn_clip = true;  ///< false for images of known range at one precision (the first layer then has no input
                           ///< gradient to compute), and for clips below an optimizer's steps

  bool fixed() const { return !alpha; }
  CodeRange range(size_t p = 0) const;
  /// The real value of one code of candidate p; PACT: clip / levels.
  float step(size_t p = 0) const;
  /// The code of candidate p that lies nearest to a real value of 0 or more.
  float code_of(float value, size_t p = 0) const;
  /// Largest |code| of candidate p.
  float largest_code(size_t p = 0) const;
};

namespace quant {

/// Throws bad_input unless all are in [least, 8] and `bits` is not empty; returns them ascending, each once.
std::vector<int> checked_precisions(const char* what, std::vector<int> bits, int least);
/// α_p = b_p / max(b) (SPEC §1, "scaled"), [P] or with `channels` > 0 [P, channels].
Tensor initial_alpha(std::span<const int> precisions, int64_t channels = 0);
/// Index of the largest α of each column; ties go to the larger bit-width. Where all channels would take 0 bits, the
/// one with the largest max_{p>0} α_p - α_0 keeps its best other candidate (SPEC §1).
std::vector<size_t> arg_max(const Tensor& alpha, std::span<const int> precisions);
/// The same as one-hot columns.
Tensor one_hot(const Tensor& alpha, std::span<const int> precisions);
/// The same for channels that are fixed at `bits`, each one of `precisions`: [P, channels].
Tensor one_hot(std::span<const int> bits, std::span<const int> precisions);
/// PLiNIO's PACT (its quantizers.pact_act), to compare with: rounds down, c + 1e-3 in the scale, never signed.
ActivationQuantizer plinio_pact();
/// Learned step size (Esser et al. 2020, arXiv 1902.08153), the step being clip / high.
ActivationQuantizer lsq();
/// "pact" gives none (the default); bad_input lists the names when there is none of this name.
std::shared_ptr<const ActivationQuantizer> find_activation(const std::string& name);

/// A quantizer from formulas for one value: Q::step(clip, range), Q::code(x, clip, range), Q::slopes(x, clip, range) =
/// {∂x̂/∂x, ∂x̂/∂clip}, and Q::clip_scale(features, range), a factor on the clip's gradient.
template <typename Q>
ActivationQuantizer elementwise(std::string name, bool never_signed = false) {
  return {.name = std::move(name),
          .never_signed = never_signed,
          .step = Q::step,
          .codes =
              [](float clip, CodeRange range, std::span<const float> x, std::span<float> codes) {
                for (size_t i = 0; i < x.size(); ++i) codes[i] = Q::code(x[i], clip, range);
              },
          .gradient =
              [](float clip, CodeRange range, int64_t features, std::span<const float> x, std::span<const float> g,
                 std::span<float> gx) {
                double gclip = 0;
                for (size_t i = 0; i < x.size(); ++i) {
                  const auto [dx, dclip] = Q::slopes(x[i], clip, range);
                  gx[i] = g[i] * dx;
                  gclip += static_cast<double>(g[i]) * dclip;
                }
                return gclip * Q::clip_scale(features, range);
              }};
}

/// Mean entropy of softmax(alpha / temperature) over its columns, in nats.
double entropy(const Tensor& alpha, double temperature);

}  // namespace quant

}  // namespace mixgrad

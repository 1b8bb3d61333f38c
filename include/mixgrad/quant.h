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

/// How activations become codes (quant::elementwise makes one from a few formulas). Mixtures over candidates, integer
/// evaluation, costs and export follow. `clip` is a slot's learned number, one per candidate. The functions are called
/// from several threads at once.
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

  // Faster ops that give the same; without them, the formulas above are used.
  std::function<Tensor(const Tensor& x, const Tensor& theta, const Tensor& clip, std::span<const int> bits,
                       ActivationFormat)>
      mixture = {};
  std::function<Tensor(const Tensor& x, const Tensor& clip, int bits, ActivationFormat)> quantize = {};
  /// Accumulators to codes in fixed point, as integer networks compute them (requantize, ops.h).
  std::function<Tensor(const Tensor& acc, const Tensor& steps, const Tensor& bias, const Tensor& clip, int bits,
                       ActivationFormat, DType of_codes)>
      requantize = {};
};

/// The odd grid (SPEC §2a) is for up to this many bits: beyond, a zero costs nothing, and its codes, which need one bit
/// more in a multiplication, would not fit a byte.
constexpr int most_odd_bits = 4;

/// Two's complement: -2^(bits - 1) to 2^(bits - 1) - 1.
constexpr CodeRange signed_range(int bits) {
  return {static_cast<float>(-(1 << (bits - 1))), static_cast<float>((1 << (bits - 1)) - 1)};
}

/// Learned scales stay at or above it, so that their inverses and products with steps of activations fit float32.
constexpr float least_scale = 0x1p-80F;

/// How weights above 0 bits become codes (quant::elementwise_weights makes one from a few formulas); 0 bits give 0. The
/// grid of an output channel follows from one number, its `scale`: the step itself, unless `step` and `scale_of_step`
/// say otherwise (min-max: max|w|). Mixtures, integer evaluation, costs and export follow. The functions are called
/// from several threads at once.
struct WeightQuantizer {
  std::string name;
  bool learns_scale = false;  ///< one scale per candidate and channel is trained; otherwise each follows the weights
  std::function<CodeRange(int bits)> range = signed_range;
  /// The scale for a channel's weights; where it is learned, what it starts at.
  std::function<float(std::span<const float> w, CodeRange)> scale;
  /// The real value of one code; grows with the scale.
  std::function<float(float scale, CodeRange)> step = [](float s, CodeRange) { return s; };
  /// The inverse of `step`.
  std::function<double(double step, CodeRange)> scale_of_step = [](double s, CodeRange) { return s; };
  std::function<void(float scale, CodeRange, std::span<const float> w, std::span<float> codes)> codes;
  /// With ŵ = step · code: gw = g ∂ŵ/∂w; returns Σ g ∂ŵ/∂scale, which only learned scales need.
  std::function<double(float scale, CodeRange, std::span<const float> w, std::span<const float> g, std::span<float> gw)>
      gradient;

  // Faster ops that give the same; without them, the formulas above are used.
  /// `scales`: [P, O]; none where they follow the weights.
  std::function<Tensor(const Tensor& w, const Tensor& theta, const Tensor& scales, std::span<const int> bits)> mixture =
      {};
  std::function<Tensor(const Tensor& w, const Tensor& scales, std::span<const int> bits)> quantize = {};
};

namespace quant {
/// Throws bad_input with the list of names when there is none of this name.
std::shared_ptr<const ActivationQuantizer> find_activation(const std::string& name);
std::shared_ptr<const WeightQuantizer> find_weight(const std::string& name);
/// All names that find_activation, or find_weight, knows.
std::vector<std::string> activation_names();
std::vector<std::string> weight_names();
}  // namespace quant

/// Weights of one conv or linear layer (SPEC §2), or of several that lose channels together. Searching: a mixture over
/// `precisions` weighted by softmax(alpha). Fixed: one bit-width per output channel of one layer, in `bits`.
struct WeightSlot {
  std::vector<int> precisions;  ///< candidates, ascending
  Tensor alpha;                 ///< [P] per layer, [P, C_out] per channel; no tensor once fixed
  std::vector<int> bits;        ///< [C_out] once fixed
  std::vector<int64_t> kept;    ///< channels that never get 0 bits, since a tensor would lose its last channel
  std::shared_ptr<const WeightQuantizer> quantizer = quant::find_weight("minmax");

  bool fixed() const { return !bits.empty(); }
};

/// Devices store weights of 1, 2, 4 or 8 bits: the narrowest that holds this many.
constexpr int storage_bits(int bits) { return bits <= 1 ? 1 : bits <= 2 ? 2 : bits <= 4 ? 4 : 8; }

/// A tensor of activations, or several that meet in an Add or a Concat (SPEC §3, §5). Fixed: one precision, one clip,
/// no alpha.
struct ActivationSlot {
  std::vector<int> precisions;  ///< candidates, ascending
  Tensor alpha;                 ///< [P]; no tensor once fixed
  Tensor clip;                  ///< [P], above 0
  bool is_signed = false;
  std::shared_ptr<const ActivationQuantizer> quantizer = quant::find_activation("pact");
  bool learn_clip = true;  ///< false for images of known range at one precision (the first layer then has no input
                           ///< gradient to compute), and for clips below an optimizer's steps

  bool fixed() const { return !alpha; }
  CodeRange range(size_t p = 0) const;
  /// The real value of one code of candidate p.
  float step(size_t p = 0) const;
  /// The code of candidate p that lies nearest to a real value of 0 or more.
  float code_of(float value, size_t p = 0) const;
  /// Largest |code| of candidate p.
  float largest_code(size_t p = 0) const;
};

namespace quant {

/// Throws bad_input unless all are in [least, 8] and `bits` is not empty; returns them ascending, each once. least: 0
/// for weights chosen per channel, 1 for other weights, 2 for activations.
std::vector<int> checked_precisions(const char* what, std::vector<int> bits, int least);
/// Throws bad_input unless the quantizer has codes below and above 0 at each of these bit-widths but 0: with 1 bit,
/// only a grid without a zero has.
void check_grid(const WeightQuantizer& quantizer, std::span<const int> bits);
/// α_p = b_p / max(b) (SPEC §1, "scaled"), [P] or with `channels` > 0 [P, channels].
Tensor initial_alpha(std::span<const int> precisions, int64_t channels = 0);
/// Index of the largest α of each column; ties go to the larger bit-width. The channels `kept` take their best
/// candidate above 0 bits. Where all channels would take 0 bits, the one with the largest max_{p>0} α_p - α_0 does, too
/// (SPEC §1).
std::vector<size_t> arg_max(const Tensor& alpha, std::span<const int> precisions, std::span<const int64_t> kept = {});
std::vector<size_t> arg_max(const WeightSlot& slot);
std::vector<size_t> arg_max(const ActivationSlot& slot);
/// The same as one-hot columns.
Tensor one_hot(const Tensor& alpha, std::span<const int> precisions, std::span<const int64_t> kept = {});
Tensor one_hot(const WeightSlot& slot);
Tensor one_hot(const ActivationSlot& slot);
/// The same for channels that are fixed at `bits`, each one of `precisions`: [P, channels].
Tensor one_hot(std::span<const int> bits, std::span<const int> precisions);

/// An activation quantizer from formulas for one value: Q::step(clip, range), Q::code(x, clip, range), Q::slopes(x,
/// clip, range) = {∂x̂/∂x, ∂x̂/∂clip}, and Q::clip_scale(features, range), a factor on the clip's gradient.
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

/// A weight quantizer from formulas for one weight: Q::scale(w, range) of a channel's weights, Q::code(w, scale,
/// range), Q::slopes(w, scale, range) = {∂ŵ/∂w, ∂ŵ/∂scale}, and Q::scale_factor(count, range), a factor on the gradient
/// of the scale of so many weights. A channel of zeros, for which Q::scale may give 0, gets the least scale.
template <typename Q>
WeightQuantizer elementwise_weights(std::string name, bool learns_scale = false) {
  return {
      .name = std::move(name),
      .learns_scale = learns_scale,
      .scale =
          [](std::span<const float> w, CodeRange range) {
            const float scale = Q::scale(w, range);
            return scale > least_scale ? scale : least_scale;
          },
      .codes =
          [](float scale, CodeRange range, std::span<const float> w, std::span<float> codes) {
            for (size_t i = 0; i < w.size(); ++i) codes[i] = Q::code(w[i], scale, range);
          },
      .gradient =
          [](float scale, CodeRange range, std::span<const float> w, std::span<const float> g, std::span<float> gw) {
            double gscale = 0;
            for (size_t i = 0; i < w.size(); ++i) {
              const auto [dw, dscale] = Q::slopes(w[i], scale, range);
              gw[i] = g[i] * dw;
              gscale += static_cast<double>(g[i]) * dscale;
            }
            return gscale * Q::scale_factor(std::ssize(w), range);
          }};
}

/// Mean entropy of softmax(alpha / temperature) over its columns, in nats.
double entropy(const Tensor& alpha, double temperature);

}  // namespace quant

}  // namespace mixgrad

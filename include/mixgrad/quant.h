// SPDX-License-Identifier: Apache-2.0
// Quantizer slots: which bit-widths a layer's weights or a tensor of activations may take, or have taken.
#pragma once

#include <mixgrad/tensor.h>

#include <span>
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

/// A tensor of activations, or several that meet in an Add (SPEC §3, §5). Fixed: one precision, one clip, no alpha.
struct ActivationSlot {
  std::vector<int> precisions;  ///< candidates, ascending
  Tensor alpha;                 ///< [P]; no tensor once fixed
  Tensor clip;                  ///< [P], above 0
  bool is_signed = false;
  bool learn_clip = true;       ///< false for images in [0, 1] at one precision: their range is known, and the first
                                ///< layer then has no input gradient to compute

  bool fixed() const { return !alpha; }
  /// clip / levels of candidate p: the real value of one code.
  float step(size_t p = 0) const;
  /// Largest |code| of candidate p.
  float largest_code(size_t p = 0) const;
};

namespace quant {

/// Throws bad_input unless all are in [least, 8] and `bits` is not empty; returns them ascending, each once.
std::vector<int> checked_precisions(const char* what, std::vector<int> bits, int least);
/// α_p = b_p / max(b) (SPEC §1, "scaled"), [P] or with `channels` > 0 [P, channels].
Tensor initial_alpha(std::span<const int> precisions, int64_t channels = 0);
/// Index of the largest α of each column; ties go to the larger bit-width. Where all channels would take 0 bits, the one
/// with the largest max_{p>0} α_p - α_0 keeps its best other candidate (SPEC §1).
std::vector<size_t> arg_max(const Tensor& alpha, std::span<const int> precisions);
/// The same as one-hot columns.
Tensor one_hot(const Tensor& alpha, std::span<const int> precisions);
/// The same for channels that are fixed at `bits`, each one of `precisions`: [P, channels].
Tensor one_hot(std::span<const int> bits, std::span<const int> precisions);
/// Mean entropy of softmax(alpha / temperature) over its columns, in nats.
double entropy(const Tensor& alpha, double temperature);

}  // namespace quant

}  // namespace mixgrad

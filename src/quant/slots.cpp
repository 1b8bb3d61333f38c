// SPDX-License-Identifier: Apache-2.0
#include <mixgrad/error.h>
#include <mixgrad/ops.h>
#include <mixgrad/quant.h>

#include <kernels/quantize.h>

#include <algorithm>
#include <cmath>

namespace mixgrad {

float ActivationSlot::largest_code(size_t p) const { return kernels::activation_levels(precisions[p], is_signed); }

CodeRange ActivationSlot::range(size_t p) const { return {is_signed ? -largest_code(p) : 0, largest_code(p)}; }

float ActivationSlot::step(size_t p) const { return quantizer->step(clip.data()[p], range(p)); }

float ActivationSlot::code_of(float value, size_t p) const {
  return std::min(largest_code(p), std::nearbyint(value / step(p)));
}

namespace quant {

std::vector<int> checked_precisions(const char* what, std::vector<int> bits, int least) {
  if (bits.empty()) bad_input("{}: the list of bit-widths is empty: give at least one, like 2,4,8", what);
  for (int b : bits) {
    if (b == 0 && least > 0)
      bad_input("{}: 0 bits prune channels of weights chosen per channel, not here: expected {} to 8", what, least);
    if (b != 0 && (b < std::max(least, 1) || b > 8))
      bad_input("{}: {} is not a supported bit-width: expected {} to 8", what, b, std::max(least, 1));
  }
  std::ranges::sort(bits);
  bits.erase(std::unique(bits.begin(), bits.end()), bits.end());
  return bits;
}

void check_grid(const WeightQuantizer& quantizer, std::span<const int> bits) {
  for (const int b : bits) {
    const CodeRange range = quantizer.range(b);
    if (b == 0 || (range.low < 0 && range.high > 0)) continue;
    bad_input(
        "weight bits: {} has no codes on both sides of 0 at {} bit: expected at least 2, or mse or lsq on the odd "
        "grid",
        quantizer.name, b);
  }
}

Tensor initial_alpha(std::span<const int> precisions, int64_t channels) {
  const auto count = static_cast<int64_t>(precisions.size());
  Tensor alpha = channels > 0 ? Tensor::empty({count, channels}) : Tensor::empty({count});
  const int64_t columns = std::max<int64_t>(channels, 1);
  for (int64_t i = 0; i < alpha.size(); ++i) {
    alpha.data()[i] = static_cast<float>(precisions[i / columns]) / static_cast<float>(precisions.back());
  }
  return alpha.requires_grad();
}

namespace {

/// The best candidate of every column among those from `first` on.
std::vector<size_t> best_from(const Tensor& alpha, size_t first) {
  const size_t columns = alpha.shape().rank() == 2 ? static_cast<size_t>(alpha.dim(1)) : 1;
  const std::span<const float> a = alpha.data();
  std::vector<size_t> best(columns, first);
  for (size_t p = first + 1; p < static_cast<size_t>(alpha.dim(0)); ++p) {
    for (size_t c = 0; c < columns; ++c) {
      if (a[p * columns + c] >= a[best[c] * columns + c]) best[c] = p;
    }
  }
  return best;
}

}  // namespace

std::vector<size_t> arg_max(const Tensor& alpha, std::span<const int> precisions, std::span<const int64_t> kept) {
  std::vector<size_t> best = best_from(alpha, 0);
  if (precisions[0] != 0 || precisions.size() == 1) return best;
  const std::vector<size_t> live = best_from(alpha, 1);
  for (const int64_t c : kept) best[static_cast<size_t>(c)] = live[static_cast<size_t>(c)];
  if (std::ranges::any_of(best, [](size_t p) { return p != 0; })) return best;
  const auto margin = [&](size_t c) { return alpha.data()[live[c] * best.size() + c] - alpha.data()[c]; };
  size_t most = 0;
  for (size_t c = 1; c < best.size(); ++c) {
    if (margin(c) > margin(most)) most = c;
  }
  best[most] = live[most];
  return best;
}

std::vector<size_t> arg_max(const WeightSlot& slot) { return arg_max(slot.alpha, slot.precisions, slot.kept); }
std::vector<size_t> arg_max(const ActivationSlot& slot) { return arg_max(slot.alpha, slot.precisions); }

Tensor one_hot(const Tensor& alpha, std::span<const int> precisions, std::span<const int64_t> kept) {
  Tensor theta = Tensor::zeros(alpha.shape());
  const std::vector<size_t> best = arg_max(alpha, precisions, kept);
  for (size_t c = 0; c < best.size(); ++c) theta.data()[best[c] * best.size() + c] = 1;
  return theta;
}

Tensor one_hot(const WeightSlot& slot) { return one_hot(slot.alpha, slot.precisions, slot.kept); }
Tensor one_hot(const ActivationSlot& slot) { return one_hot(slot.alpha, slot.precisions); }

Tensor one_hot(std::span<const int> bits, std::span<const int> precisions) {
  Tensor theta = Tensor::zeros({std::ssize(precisions), std::ssize(bits)});
  for (size_t c = 0; c < bits.size(); ++c) {
    const auto row = static_cast<size_t>(std::ranges::find(precisions, bits[c]) - precisions.begin());
    theta.data()[row * bits.size() + c] = 1;
  }
  return theta;
}

double entropy(const Tensor& alpha, double temperature) {
  const Tensor theta = softmax(alpha.detach(), static_cast<float>(temperature));
  const int64_t distributions = alpha.size() / alpha.dim(0);
  double total = 0;
  for (float t : theta.data()) {
    if (t > 0) total -= static_cast<double>(t) * std::log(t);
  }
  return total / static_cast<double>(distributions);
}

}  // namespace quant

}  // namespace mixgrad

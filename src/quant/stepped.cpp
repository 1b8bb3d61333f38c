// SPDX-License-Identifier: Apache-2.0
// Quantizers of weights with a step of their own for each candidate and channel (SPEC §2a).
#include "quantizers.h"

#include <mixgrad/ops.h>

#include <kernels/quantize.h>

#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>

namespace mixgrad::quant {
namespace {

CodeRange symmetric_range(int bits) {
  const CodeRange all = signed_range(bits);
  return {-all.high, all.high};
}

CodeRange odd_range(int bits) {
  if (bits > most_odd_bits) return signed_range(bits);
  const auto high = static_cast<float>((1 << bits) - 1);
  return {-high, high, 2};
}

struct Grid {
  const char* name;
  CodeRange (*range)(int bits);
};
constexpr Grid grids[] = {{"signed", signed_range}, {"symmetric", symmetric_range}, {"odd", odd_range}};

/// The formulas for one weight.
template <bool Learned>
struct Stepped {
  static float scale(std::span<const float> w, CodeRange r) { return kernels::least_error_scale(r, w); }
  static float code(float w, float scale, CodeRange r) {
    const float v = w / scale;
    const float code = r.stride == 1 ? std::nearbyint(v) : 2 * std::floor(v) + 1;
    return code < r.low ? r.low : r.high < code ? r.high : code;  // this order keeps NaN
  }
  static std::pair<float, float> slopes(float w, float scale, CodeRange r) {
    const float v = w / scale, k = code(w, scale, r) / r.stride;
    const float beyond = r.stride == 1 ? 0 : 0.5F;
    const bool inside = v > r.low / r.stride - beyond && v < r.high / r.stride + beyond;
    return {inside ? 1.0F : 0.0F, !Learned ? 0 : inside ? k - v : k};
  }
  static double scale_factor(int64_t, CodeRange) { return 1; }
};

template <bool Learned>
WeightQuantizer stepped(const char* name, const Grid& grid) {
  WeightQuantizer q = elementwise_weights<Stepped<Learned>>(fmt::format("{}-{}", name, grid.name), Learned);
  const auto range = [of = grid.range](int bits) { return bits == 0 ? CodeRange{0, 0} : of(bits); };
  const auto ranges = [range](std::span<const int> bits) {
    std::vector<CodeRange> out;
    for (const int b : bits) out.push_back(range(b));
    return out;
  };
  q.range = range;
  q.step = [](float scale, CodeRange r) { return scale / r.stride; };
  q.scale_of_step = [](double step, CodeRange r) { return step * r.stride; };
  q.mixture = [ranges, plain = q](const Tensor& w, const Tensor& theta, const Tensor& scales,
                                  std::span<const int> bits) {
    return weight_mixture(w, theta, scales ? scales : candidate_scales(w, bits, plain), ranges(bits));
  };
  q.quantize = [ranges](const Tensor& w, const Tensor& scales, std::span<const int> bits) {
    return quantize_weight(w, scales, ranges(bits));
  };
  return q;
}

}  // namespace

std::vector<WeightQuantizer> stepped_quantizers() {
  std::vector<WeightQuantizer> out;
  for (const Grid& grid : grids) {
    out.push_back(stepped<false>("mse", grid));
    out.push_back(stepped<true>("lsq", grid));
  }
  return out;
}

}  // namespace mixgrad::quant

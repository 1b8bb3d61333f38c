// SPDX-License-Identifier: Apache-2.0
// A literal implementation of the formulas of SPEC §2 and §3: the reference for tests of the fast kernels.
#include <algorithm>
#include <cmath>

#include "kernels/quantize.h"

namespace mixgrad::kernels::reference {
namespace {

double quantized_weight(double w, double max, int bits) {
  if (bits == 0 || max == 0) return 0;
  const double levels = (1 << bits) - 1, half_range = 1 << (bits - 1);
  const double code = std::clamp(std::nearbyint(w / max * levels / 2), -half_range, half_range - 1);
  return code * (2 * max / levels);
}

double stepped_weight(double w, double scale, CodeRange r) {
  const double low = r.low, high = r.high;
  if (r.stride == 1) return std::clamp(std::nearbyint(w / scale), low, high) * scale;
  return std::clamp(std::floor(w / scale) + 0.5, low / 2, high / 2) * scale;
}

double quantized_activation(double x, double clip, int bits, ActivationFormat format) {
  const double step = clip / static_cast<double>(activation_levels(bits, format.is_signed));
  return std::nearbyint(std::clamp(x, format.is_signed ? -clip : 0, clip) / step) * step;
}

double rectified(double x, ActivationFormat format) { return format.relu && x < 0 ? 0 : x; }

}  // namespace

void weight_mixture(const WeightSize& s, std::span<const int> bits, bool theta_per_channel, std::span<const float> w,
                    std::span<const float> theta, std::span<float> out) {
  const auto channels = static_cast<size_t>(s.channels), row = static_cast<size_t>(s.per_channel);
  for (size_t c = 0; c < channels; ++c) {
    double max = 0;
    for (const float v : w.subspan(c * row, row)) max = std::max(max, std::abs(static_cast<double>(v)));
    for (size_t i = c * row; i < (c + 1) * row; ++i) {
      double mixed = 0;
      for (size_t p = 0; p < bits.size(); ++p) {
        const double coefficient = theta[theta_per_channel ? p * channels + c : p];
        mixed += coefficient * quantized_weight(w[i], max, bits[p]);
      }
      out[i] = static_cast<float>(mixed);
    }
  }
}

void step_mixture(const WeightSize& s, std::span<const CodeRange> ranges, bool theta_per_channel,
                  std::span<const float> w, std::span<const float> theta, std::span<const float> scales,
                  std::span<float> out) {
  const auto channels = static_cast<size_t>(s.channels), row = static_cast<size_t>(s.per_channel);
  for (size_t i = 0; i < w.size(); ++i) {
    const size_t c = i / row;
    double mixed = 0;
    for (size_t p = 0; p < ranges.size(); ++p) {
      if (ranges[p].high == ranges[p].low) continue;
      const double scale = scales[p * channels + c];
      const double coefficient = theta[theta_per_channel ? p * channels + c : p];
      mixed += coefficient * stepped_weight(w[i], scale, ranges[p]);
    }
    out[i] = static_cast<float>(mixed);
  }
}

void activation_mixture(std::span<const int> bits, ActivationFormat format, std::span<const float> x,
                        std::span<const float> theta, std::span<const float> clip, std::span<float> out) {
  for (size_t i = 0; i < x.size(); ++i) {
    double mixed = 0;
    for (size_t p = 0; p < bits.size(); ++p)
      mixed += static_cast<double>(theta[p]) * quantized_activation(rectified(x[i], format), clip[p], bits[p], format);
    out[i] = static_cast<float>(mixed);
  }
}

void activation_mixture_grad(std::span<const int> bits, ActivationFormat format, std::span<const float> x,
                             std::span<const float> theta, std::span<const float> clip, std::span<const float> g,
                             Grad gx, Grad gtheta, Grad gclip) {
  for (size_t i = 0; gx && i < x.size(); ++i) {
    double slope = 0;
    for (size_t p = 0; p < bits.size(); ++p) {
      const bool above_bottom = format.is_signed && !format.relu ? x[i] > -clip[p] : x[i] > 0;
      if (above_bottom && x[i] < clip[p]) slope += static_cast<double>(theta[p]);
    }
    gx.put(static_cast<int64_t>(i), static_cast<float>(static_cast<double>(g[i]) * slope));
  }
  for (size_t p = 0; p < bits.size(); ++p) {
    double dtheta = 0, dclip = 0;
    for (size_t i = 0; i < x.size(); ++i) {
      const double v = rectified(x[i], format), gi = g[i], c = clip[p];
      dtheta += gi * quantized_activation(v, c, bits[p], format);
      if (v >= c) dclip += gi;
      if (format.is_signed && v <= -c) dclip -= gi;
    }
    if (gtheta) gtheta.put(static_cast<int64_t>(p), static_cast<float>(dtheta));
    if (gclip) gclip.put(static_cast<int64_t>(p), static_cast<float>(static_cast<double>(theta[p]) * dclip));
  }
}

}  // namespace mixgrad::kernels::reference

// SPDX-License-Identifier: Apache-2.0
// Weights on the min-max grid, and mixtures of them (SPEC §2).
#include <algorithm>
#include <bit>
#include <vector>

#include "kernels/lanes.h"
#include "kernels/parallel.h"
#include "kernels/quantize.h"
#include "kernels/weight_rows.h"

namespace mixgrad::kernels {
namespace {

/// On bit patterns: without their sign, floats are ordered as integers are, and those vectorize as they stand.
MIXGRAD_CLONES float max_abs(const float* w, int64_t n) {
  int32_t m = 0;
  for (int64_t i = 0; i < n; ++i) m = std::max(m, std::bit_cast<int32_t>(w[i]) & 0x7fffffff);
  return std::bit_cast<float>(m);
}

MIXGRAD_CLONES void codes_of(const float* w, int64_t n, float max, int bits, float* codes) {
  const float divisor = max > 0 ? max : 1.0f;
  const float half_levels = 0.5f * static_cast<float>((1 << bits) - 1), top = static_cast<float>((1 << (bits - 1)) - 1);
  const float bottom = -top - 1;
  for (int64_t i = 0; i < n; ++i) {
    const float code = round_even(w[i] / divisor * half_levels);
    codes[i] = top < code ? top : code < bottom ? bottom : code;  // this order keeps NaN
  }
}

MIXGRAD_CLONES void add_scaled(const float* v, int64_t n, float factor, float* out) {
  for (int64_t i = 0; i < n; ++i) out[i] += factor * v[i];
}

MIXGRAD_CLONES double dot(const float* a, const float* b, int64_t n) {
  using V = Lanes<16>;
  V lanes{};
  int64_t i = 0;
  for (; i + lane_count<V> <= n; i += lane_count<V>) lanes += load<V>(a + i) * load<V>(b + i);
  double total = sum(lanes);
  for (; i < n; ++i) total += static_cast<double>(a[i]) * static_cast<double>(b[i]);
  return total;
}

float step(float max, int bits) { return bits > 0 && max > 0 ? 2 * max / static_cast<float>((1 << bits) - 1) : 1; }

void mix_row(std::span<const int> bits, const Theta& theta, int64_t c, const float* w, int64_t n, float* out) {
  const float max = max_abs(w, n);
  float codes[weight_block];
  std::fill(out, out + n, 0.0f);
  for (int64_t i = 0; i < n; i += weight_block) {
    const int64_t count = std::min(weight_block, n - i);
    for (size_t p = 0; p < bits.size(); ++p) {
      if (bits[p] == 0) continue;
      codes_of(w + i, count, max, bits[p], codes);
      add_scaled(codes, count, theta.at(p, c) * step(max, bits[p]), out + i);
    }
  }
}

/// Σ g ŵ over one row.
double dot_quantized(int bits, const float* w, const float* g, int64_t n) {
  if (bits == 0) return 0;
  const float max = max_abs(w, n);
  float codes[weight_block];
  double total = 0;
  for (int64_t i = 0; i < n; i += weight_block) {
    const int64_t count = std::min(weight_block, n - i);
    codes_of(w + i, count, max, bits, codes);
    total += dot(codes, g + i, count);
  }
  return total * static_cast<double>(step(max, bits));
}

void put_scaled(const float* g, float factor, int64_t begin, int64_t end, Grad out) {
  for (int64_t i = begin; i < end; ++i) out.put(i, g[i] * factor);
}

}  // namespace

void weight_mixture(const WeightSize& s, std::span<const int> bits, bool theta_per_channel, std::span<const float> w,
                    std::span<const float> theta, std::span<float> out) {
  const Theta coefficients{theta.data(), s.channels, theta_per_channel};
  for_each_row(s, [&](int64_t c, int64_t first) {
    mix_row(bits, coefficients, c, w.data() + first, s.per_channel, out.data() + first);
  });
}

void weight_mixture_grad(const WeightSize& s, std::span<const int> bits, bool theta_per_channel,
                         std::span<const float> w, std::span<const float> theta, std::span<const float> g, Grad gw,
                         Grad gtheta) {
  const Theta coefficients{theta.data(), s.channels, theta_per_channel};
  static thread_local std::vector<double> scratch;  // [P, channels]; reused by the thread
  if (gtheta) scratch.resize(bits.size() * static_cast<size_t>(s.channels));
  double* dots = scratch.data();  // the calling thread's; the lambda below may run on others
  for_each_row(s, [&](int64_t c, int64_t first) {
    const float *row = w.data() + first, *grow = g.data() + first;
    if (gw) put_scaled(g.data(), coefficients.kept(bits, c), first, first + s.per_channel, gw);
    for (size_t p = 0; gtheta && p < bits.size(); ++p)
      dots[static_cast<int64_t>(p) * s.channels + c] = dot_quantized(bits[p], row, grow, s.per_channel);
  });
  put_theta(s, bits.size(), theta_per_channel, dots, gtheta);
}

void weight_magnitude(const WeightSize& s, std::span<const float> w, std::span<float> magnitude) {
  for_each_row(s, [&](int64_t c, int64_t first) {
    magnitude[static_cast<size_t>(c)] = max_abs(w.data() + first, s.per_channel);
  });
}

void weight_scale(std::span<const int> bits, std::span<const float> magnitude, std::span<float> scale) {
  for (size_t c = 0; c < bits.size(); ++c) scale[c] = step(magnitude[c], bits[c]);
}

void quantize_weight(const WeightSize& s, std::span<const int> bits, std::span<const float> magnitude,
                     std::span<const float> w, std::span<float> codes) {
  for_each_row(s, [&](int64_t c, int64_t first) {
    const auto channel = static_cast<size_t>(c);
    if (bits[channel] > 0)
      codes_of(w.data() + first, s.per_channel, magnitude[channel], bits[channel], codes.data() + first);
    else
      std::fill_n(codes.data() + first, s.per_channel, 0.0f);
  });
}

void quantize_weight_grad(const WeightSize& s, std::span<const int> bits, std::span<const float> scale,
                          std::span<const float> gcodes, Grad gw) {
  if (!gw) return;
  for_each_row(s, [&](int64_t c, int64_t first) {
    const auto channel = static_cast<size_t>(c);
    const float factor = bits[channel] > 0 ? 1 / scale[channel] : 0.0f;
    put_scaled(gcodes.data(), factor, first, first + s.per_channel, gw);
  });
}

}  // namespace mixgrad::kernels

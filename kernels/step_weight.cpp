// SPDX-License-Identifier: Apache-2.0
// Weights on grids with a step of their own (SPEC §2a), and mixtures of them.
#include <algorithm>
#include <vector>

#include "kernels/lanes.h"
#include "kernels/weight_rows.h"

namespace mixgrad::kernels {
namespace {

bool keeps(CodeRange r) { return r.high > r.low; }

template <typename V>
MIXGRAD_INLINE V clamp(V v, float low, float high) {
  const V most = broadcast<V>(high), least = broadcast<V>(low);
  const V bounded = at_most(most, v);
  return bounded < least ? least : bounded;
}

/// Clamps before it rounds, since rounding is for small numbers only.
template <typename V>
MIXGRAD_INLINE V code_of(V v, CodeRange r) {
  if (r.stride == 1) return round_even(clamp(v, r.low, r.high));
  const V bounded = clamp(v, r.low, r.high), near = round_even(bounded);
  const V floor = near > bounded ? near - 1 : near;
  return clamp(2 * floor + 1, r.low, r.high);
}

/// The values of v between which codes follow it.
float first_inside(CodeRange r) { return r.stride == 1 ? r.low : (r.low - 1) / 2; }
float last_inside(CodeRange r) { return r.stride == 1 ? r.high : (r.high + 1) / 2; }

/// Calls body.operator()<V>(i) for vectors of elements, then for single ones.
template <int Width, typename Body>
MIXGRAD_INLINE void in_lanes(int64_t n, const Body& body) {
  int64_t i = 0;
  for (; i + Width <= n; i += Width) body.template operator()<Lanes<Width>>(i);
  for (; i < n; ++i) body.template operator()<Lanes<1>>(i);
}

/// out (+)= factor · code.
template <bool Add>
void codes_of(const float* w, int64_t n, float scale, CodeRange r, float factor, float* out) {
  widest([&]<int Width>() __attribute__((always_inline)) {
    in_lanes<Width>(
        n, [&]<typename V>(int64_t i) __attribute__((always_inline)) {
          const V code = factor * code_of(load<V>(w + i) / scale, r);
          store(out + i, Add ? load<V>(out + i) + code : code);
        });
  });
}

struct Sums {
  double code = 0;   // Σ g code
  double scale = 0;  // Σ g ∂ŵ/∂scale
};

/// gw += factor · g inside the range.
Sums add_gradient(const float* w, const float* g, int64_t n, float scale, CodeRange r, float factor, float* gw) {
  Sums out;
  const float first = first_inside(r), last = last_inside(r), per_code = 1 / r.stride;
  widest([&]<int Width>() __attribute__((always_inline)) {
    Lanes<Width> by_code{}, by_scale{};
    const auto one = [&]<typename V>(int64_t i, V & code_sum, V & scale_sum) __attribute__((always_inline)) {
      const V v = load<V>(w + i) / scale, grad = load<V>(g + i), code = code_of(v, r);
      const V above = v > first ? grad : V{}, inside = v < last ? above : V{};
      store(gw + i, load<V>(gw + i) + factor * inside);
      code_sum += grad * code;
      scale_sum += per_code * (grad * code) - inside * v;
    };
    int64_t i = 0;
    for (; i + Width <= n; i += Width) one(i, by_code, by_scale);
    Lanes<1> code_rest{}, scale_rest{};
    for (; i < n; ++i) one(i, code_rest, scale_rest);
    out = {sum(by_code) + sum(code_rest), sum(by_scale) + sum(scale_rest)};
  });
  return out;
}

struct Moments {
  double weight_code = 0;  // Σ w code
  double code_code = 0;    // Σ code²
};
/// Multiplies by 1 / scale, which is faster and good enough to compare scales.
Moments moments(std::span<const float> w, float scale, CodeRange r) {
  Moments out;
  const float inverse = 1 / scale;
  widest([&]<int Width>() __attribute__((always_inline)) {
    Lanes<Width> products{}, squares{};
    Lanes<1> products_rest{}, squares_rest{};
    const auto one = [&]<typename V>(int64_t i, V & product, V & square) __attribute__((always_inline)) {
      const V value = load<V>(w.data() + i), code = code_of(value * inverse, r);
      product += value * code;
      square += code * code;
    };
    int64_t i = 0;
    for (; i + Width <= std::ssize(w); i += Width) one(i, products, squares);
    for (; i < std::ssize(w); ++i) one(i, products_rest, squares_rest);
    out = {sum(products) + sum(products_rest), sum(squares) + sum(squares_rest)};
  });
  return out;
}

}  // namespace

void step_mixture(const WeightSize& s, std::span<const CodeRange> ranges, bool theta_per_channel,
                  std::span<const float> w, std::span<const float> theta, std::span<const float> scales,
                  std::span<float> out) {
  const Theta coefficients{theta.data(), s.channels, theta_per_channel};
  for_each_row(s, [&](int64_t c, int64_t first) {
    std::fill_n(out.data() + first, s.per_channel, 0.0F);
    for (int64_t i = first; i < first + s.per_channel; i += weight_block) {
      const int64_t count = std::min(weight_block, first + s.per_channel - i);
      for (size_t p = 0; p < ranges.size(); ++p) {
        if (!keeps(ranges[p])) continue;
        const float scale = scales[p * static_cast<size_t>(s.channels) + static_cast<size_t>(c)];
        const float factor = coefficients.at(p, c) * (scale / ranges[p].stride);
        codes_of<true>(w.data() + i, count, scale, ranges[p], factor, out.data() + i);
      }
    }
  });
}

void step_mixture_grad(const WeightSize& s, std::span<const CodeRange> ranges, bool theta_per_channel,
                       std::span<const float> w, std::span<const float> theta, std::span<const float> scales,
                       std::span<const float> g, Grad gw, Grad gtheta, Grad gscale) {
  const Theta coefficients{theta.data(), s.channels, theta_per_channel};
  static thread_local std::vector<double> scratch;  // twice [P, channels]; reused by the thread
  const size_t cells = ranges.size() * static_cast<size_t>(s.channels);
  scratch.assign(2 * cells, 0);
  double *by_theta = scratch.data(), *by_scale = by_theta + cells;  // the calling thread's
  for_each_row(s, [&](int64_t c, int64_t first) {
    float part[weight_block];
    for (int64_t i = first; i < first + s.per_channel; i += weight_block) {
      const int64_t count = std::min(weight_block, first + s.per_channel - i);
      std::fill_n(part, count, 0.0F);
      for (size_t p = 0; p < ranges.size(); ++p) {
        if (!keeps(ranges[p])) continue;
        const size_t cell = p * static_cast<size_t>(s.channels) + static_cast<size_t>(c);
        const float factor = coefficients.at(p, c);
        const Sums sums = add_gradient(w.data() + i, g.data() + i, count, scales[cell], ranges[p], factor, part);
        by_theta[cell] += sums.code * static_cast<double>(scales[cell] / ranges[p].stride);
        by_scale[cell] += sums.scale * static_cast<double>(factor);
      }
      for (int64_t k = 0; gw && k < count; ++k) gw.put(i + k, part[k]);
    }
  });
  put_theta(s, ranges.size(), theta_per_channel, by_theta, gtheta);
  for (size_t i = 0; gscale && i < cells; ++i) gscale.put(static_cast<int64_t>(i), static_cast<float>(by_scale[i]));
}

void step_codes(const WeightSize& s, std::span<const CodeRange> ranges, std::span<const float> scales,
                std::span<const float> w, std::span<float> codes) {
  for_each_row(s, [&](int64_t c, int64_t first) {
    const auto channel = static_cast<size_t>(c);
    if (keeps(ranges[channel]))
      codes_of<false>(w.data() + first, s.per_channel, scales[channel], ranges[channel], 1, codes.data() + first);
    else
      std::fill_n(codes.data() + first, s.per_channel, 0.0F);
  });
}

void step_codes_grad(const WeightSize& s, std::span<const CodeRange> ranges, std::span<const float> scales,
                     std::span<const float> w, std::span<const float> gcodes, Grad gw, Grad gscale) {
  for_each_row(s, [&](int64_t c, int64_t first) {
    const auto channel = static_cast<size_t>(c);
    float part[weight_block];
    double by_scale = 0;
    const float per_step = keeps(ranges[channel]) ? ranges[channel].stride / scales[channel] : 0;
    for (int64_t i = first; i < first + s.per_channel; i += weight_block) {
      const int64_t count = std::min(weight_block, first + s.per_channel - i);
      std::fill_n(part, count, 0.0F);
      if (keeps(ranges[channel])) {
        by_scale +=
            add_gradient(w.data() + i, gcodes.data() + i, count, scales[channel], ranges[channel], 1, part).scale;
      }
      for (int64_t k = 0; gw && k < count; ++k) gw.put(i + k, part[k] * per_step);
    }
    if (gscale) gscale.put(c, static_cast<float>(by_scale * static_cast<double>(per_step)));
  });
}

float least_error_scale(CodeRange range, std::span<const float> w) {
  float largest = 0;
  for (const float v : w) largest = std::max(largest, v < 0 ? -v : v);
  if (!(largest > 0)) return 0;
  double best = -1;
  float found = 0;
  const auto offer = [&](float tried) {
    const Moments m = moments(w, tried, range);
    const double step = static_cast<double>(tried / range.stride);
    const double removed = step * (2 * m.weight_code - step * m.code_code);  // Σ w² - Σ (w - ŵ)²
    if (removed > best) best = removed, found = tried;
    return m;
  };
  constexpr int tries = 16;
  constexpr float shrink = 0.88F;  // 16 times: 0.13
  float scale = largest / last_inside(range);
  for (int i = 0; i < tries; ++i, scale *= shrink) offer(scale);
  for (const float change : {0.06F, 0.03F, 0.015F, 0.0075F}) {
    const float middle = found;
    for (const float factor : {1 - change, 1 + change}) offer(middle * factor);
  }
  const Moments m = offer(found);
  if (m.code_code > 0) offer(static_cast<float>(m.weight_code / m.code_code) * range.stride);
  return found;
}

}  // namespace mixgrad::kernels

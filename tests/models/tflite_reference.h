// SPDX-License-Identifier: Apache-2.0
// The operators of TFLite on one image, in plain loops: what imported networks are compared with.
#pragma once

#include "tflite_net.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <functional>
#include <limits>
#include <string>
#include <vector>

namespace mixgrad::test {

/// [H, W, C]
struct Map {
  int64_t h = 1, w = 1, c = 1;
  std::vector<float> v = {};

  float at(int64_t y, int64_t x, int64_t k) const { return v[static_cast<size_t>((y * w + x) * c + k)]; }
  bool has(int64_t y, int64_t x) const { return y >= 0 && y < h && x >= 0 && x < w; }
  Dims dims() const { return {1, h, w, c}; }
};

struct Window {
  std::array<int64_t, 2> kernel{1, 1}, stride{1, 1}, dilation{1, 1};
  bool same = true;

  int64_t reach(size_t d) const { return (kernel[d] - 1) * dilation[d] + 1; }
  int64_t outputs(size_t d, int64_t in) const {
    return same ? (in + stride[d] - 1) / stride[d] : (in - reach(d)) / stride[d] + 1;
  }
  int64_t before(size_t d, int64_t in) const {
    return same ? std::max<int64_t>(0, (outputs(d, in) - 1) * stride[d] + reach(d) - in) / 2 : 0;
  }
};

/// For every output, `of(top, left, channel)`: the window's first position, which may lie outside.
inline Map windows(const Map& x, const Window& w, int64_t channels,
                   const std::function<float(int64_t, int64_t, int64_t)>& of) {
  Map y{.h = w.outputs(0, x.h), .w = w.outputs(1, x.w), .c = channels};
  for (int64_t i = 0; i < y.h; ++i) {
    for (int64_t j = 0; j < y.w; ++j) {
      for (int64_t k = 0; k < channels; ++k)
        y.v.push_back(of(i * w.stride[0] - w.before(0, x.h), j * w.stride[1] - w.before(1, x.w), k));
    }
  }
  return y;
}

/// Weights [O, H, W, I] in x.c / I groups.
inline Map conv_of(const Map& x, const Window& w, int64_t out, int64_t in, const std::vector<float>& weights,
                   const std::vector<float>& bias) {
  const int64_t per_group = out / (x.c / in);
  return windows(x, w, out, [&](int64_t top, int64_t left, int64_t o) {
    double sum = bias.empty() ? 0 : static_cast<double>(bias[static_cast<size_t>(o)]);
    for (int64_t a = 0; a < w.kernel[0]; ++a) {
      for (int64_t b = 0; b < w.kernel[1]; ++b) {
        const int64_t row = top + a * w.dilation[0], column = left + b * w.dilation[1];
        for (int64_t i = 0; x.has(row, column) && i < in; ++i) {
          const float weight = weights[static_cast<size_t>(((o * w.kernel[0] + a) * w.kernel[1] + b) * in + i)];
          sum += static_cast<double>(weight * x.at(row, column, o / per_group * in + i));
        }
      }
    }
    return static_cast<float>(sum);
  });
}

/// Weights [1, H, W, O].
inline Map depthwise_of(const Map& x, const Window& w, int64_t out, const std::vector<float>& weights,
                        const std::vector<float>& bias) {
  return windows(x, w, out, [&](int64_t top, int64_t left, int64_t o) {
    double sum = static_cast<double>(bias[static_cast<size_t>(o)]);
    for (int64_t a = 0; a < w.kernel[0]; ++a) {
      for (int64_t b = 0; b < w.kernel[1]; ++b) {
        const int64_t row = top + a * w.dilation[0], column = left + b * w.dilation[1];
        if (!x.has(row, column)) continue;
        sum += static_cast<double>(weights[static_cast<size_t>((a * w.kernel[1] + b) * out + o)] *
                                   x.at(row, column, o / (out / x.c)));
      }
    }
    return static_cast<float>(sum);
  });
}

/// Positions outside count as absent.
inline Map pool_of(const Map& x, const Window& w, bool largest) {
  return windows(x, w, x.c, [&](int64_t top, int64_t left, int64_t k) {
    float most = -std::numeric_limits<float>::infinity();
    double sum = 0, count = 0;
    for (int64_t row = top; row < top + w.kernel[0]; ++row) {
      for (int64_t column = left; column < left + w.kernel[1]; ++column) {
        if (!x.has(row, column)) continue;
        most = std::max(most, x.at(row, column, k));
        sum += static_cast<double>(x.at(row, column, k));
        ++count;
      }
    }
    return largest ? most : static_cast<float>(sum / count);
  });
}

/// Weights [O, I].
inline Map linear_of(const Map& x, int64_t out, const std::vector<float>& weights, const std::vector<float>& bias) {
  Map y{.h = 1, .w = 1, .c = out};
  for (size_t o = 0; o < static_cast<size_t>(out); ++o) {
    double sum = bias.empty() ? 0 : static_cast<double>(bias[o]);
    for (size_t i = 0; i < x.v.size(); ++i) sum += static_cast<double>(weights[o * x.v.size() + i] * x.v[i]);
    y.v.push_back(static_cast<float>(sum));
  }
  return y;
}

/// f(value, channel)
inline Map each(Map x, const std::function<float(float, size_t)>& f) {
  for (size_t k = 0; k < x.v.size(); ++k) x.v[k] = f(x.v[k], k % static_cast<size_t>(x.c));
  return x;
}

inline Map activated(const Map& x, tflite::ActivationFunctionType function) {
  using enum tflite::ActivationFunctionType;
  return each(x, [function](float v, size_t) {
    if (function == RELU) return std::max(v, 0.0F);
    if (function == RELU6) return std::clamp(v, 0.0F, 6.0F);
    if (function == RELU_N1_TO_1) return std::clamp(v, -1.0F, 1.0F);
    return function == TANH ? std::tanh(v) : v;
  });
}

}  // namespace mixgrad::test

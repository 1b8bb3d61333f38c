// SPDX-License-Identifier: Apache-2.0
// What the tests of kernels share: numbers, sizes, thread counts.
#pragma once

#include <algorithm>
#include <cmath>
#include <limits>
#include <string>
#include <vector>

#include "kernels/conv2d.h"
#include "kernels/parallel.h"
#include "kernels/pool.h"
#include "tests/worse.h"

namespace mixgrad::test {

using mixgrad::Conv2dSize;
using mixgrad::Pool2dSize;
using Floats = std::vector<float>;

/// Numbers in [-1, 1) from a seed.
inline Floats noise(int64_t size, uint32_t seed) {
  Floats values(static_cast<size_t>(size));
  for (float& v : values) {
    seed = seed * 1664525u + 1013904223u;
    v = static_cast<float>(static_cast<int32_t>(seed)) * 0x1p-31f;
  }
  return values;
}

inline Floats integers(int64_t size, uint32_t seed, float largest) {
  Floats values = noise(size, seed);
  for (float& v : values) v = std::round(v * largest);
  return values;
}

/// Largest difference, relative to the largest expected magnitude.
inline double error(const Floats& got, const Floats& expected) {
  if (got.size() != expected.size()) return std::numeric_limits<double>::infinity();
  double largest = 1e-30, difference = 0;
  for (size_t i = 0; i < got.size(); ++i) {
    largest = std::max(largest, std::abs(double{expected[i]}));
    difference = worse(difference, std::abs(double{got[i]} - double{expected[i]}));
  }
  return difference / largest;
}

struct ConvCase {
  std::string name;
  Conv2dSize s;
};

/// Along one axis of a padded image; 0 if the window does not fit.
inline int64_t outputs(int64_t size, int64_t window, int64_t stride) {
  return size < window ? 0 : (size - window) / stride + 1;
}

/// The size from its input, kernel, stride, symmetric padding, dilation and groups.
inline Conv2dSize conv(int64_t n, int64_t c_in, int64_t h, int64_t w, int64_t c_out, int64_t kh, int64_t kw,
                       int64_t stride, int64_t pad_h, int64_t pad_w, int64_t groups = 1, int64_t dilation = 1) {
  const auto out = [&](int64_t in, int64_t k, int64_t pad) {
    return outputs(in + 2 * pad, dilation * (k - 1) + 1, stride);
  };
  return {.n = n,
          .c_in = c_in,
          .h = h,
          .w = w,
          .c_out = c_out,
          .oh = out(h, kh, pad_h),
          .ow = out(w, kw, pad_w),
          .kh = kh,
          .kw = kw,
          .stride_h = stride,
          .stride_w = stride,
          .pad_top = pad_h,
          .pad_left = pad_w,
          .dilation_h = dilation,
          .dilation_w = dilation,
          .groups = groups};
}

inline const std::vector<ConvCase> conv_cases = {
    {"resnet8 inputblock", conv(2, 3, 32, 32, 16, 3, 3, 1, 1, 1)},
    {"resnet8 block 1", conv(2, 16, 32, 32, 16, 3, 3, 1, 1, 1)},
    {"resnet8 block 2, stride 2", conv(2, 16, 32, 32, 32, 3, 3, 2, 1, 1)},
    {"resnet8 conv2y", conv(2, 32, 16, 16, 32, 3, 3, 1, 1, 1)},
    {"resnet8 conv2x, 1x1 stride 2", conv(2, 16, 32, 32, 32, 1, 1, 2, 0, 0)},
    {"resnet8 block 3, stride 2", conv(2, 32, 16, 16, 64, 3, 3, 2, 1, 1)},
    {"resnet8 conv3y", conv(2, 64, 8, 8, 64, 3, 3, 1, 1, 1)},
    {"resnet8 conv3x, 1x1 stride 2", conv(2, 32, 16, 16, 64, 1, 1, 2, 0, 0)},
    {"mobilenet inputblock", conv(2, 3, 48, 48, 8, 3, 3, 2, 1, 1)},
    {"depthwise, 8 channels", conv(2, 8, 24, 24, 8, 3, 3, 1, 1, 1, 8)},
    {"depthwise, stride 2", conv(2, 16, 24, 24, 16, 3, 3, 2, 1, 1, 16)},
    {"depthwise, odd size, stride 2", conv(2, 32, 13, 11, 32, 3, 3, 2, 1, 1, 32)},
    {"depthwise, 64 channels on 25x5", conv(2, 64, 25, 5, 64, 3, 3, 1, 1, 1, 64)},
    {"depthwise, 128 channels", conv(2, 128, 6, 6, 128, 3, 3, 1, 1, 1, 128)},
    {"depthwise, 256 channels on 3x3", conv(2, 256, 3, 3, 256, 3, 3, 1, 1, 1, 256)},
    {"depthwise, 5 channels, 5x5", conv(2, 5, 9, 9, 5, 5, 5, 1, 2, 2, 5)},
    {"depthwise, dilation 2", conv(2, 8, 11, 11, 8, 3, 3, 1, 2, 2, 8, 2)},
    {"depthwise, 2 outputs a channel", conv(2, 8, 9, 9, 16, 3, 3, 1, 1, 1, 8)},
    {"pointwise", conv(2, 8, 24, 24, 16, 1, 1, 1, 0, 0)},
    {"pointwise, 128 to 256 on 3x3", conv(2, 128, 3, 3, 256, 1, 1, 1, 0, 0)},
    {"ds_cnn input, 10x4, padding (5, 1)", conv(2, 1, 49, 10, 64, 10, 4, 2, 5, 1)},
    {"groups 2", conv(2, 8, 10, 10, 12, 3, 3, 1, 1, 1, 2)},
    {"groups 4, 1x1", conv(2, 16, 7, 7, 32, 1, 1, 1, 0, 0, 4)},
    {"dilation 2", conv(2, 16, 15, 15, 16, 3, 3, 1, 2, 2, 1, 2)},
    {"dilation 3, stride 2, no padding", conv(2, 5, 17, 16, 7, 3, 2, 2, 0, 0, 1, 3)},
    {"pruned to odd channels", conv(3, 13, 16, 16, 29, 3, 3, 1, 1, 1)},
    {"3x3, no padding, cut tiles", conv(2, 24, 15, 10, 40, 3, 3, 1, 0, 0)},
    {"3x3, more padding than needed", conv(2, 16, 9, 14, 8, 3, 3, 1, 2, 2)},
    {"3x3 on 6x6", conv(2, 32, 6, 6, 48, 3, 3, 1, 1, 1)},
    {"3x3 on 3x6", conv(2, 32, 3, 6, 48, 3, 3, 1, 1, 1)},
    {"3x3, padding at the end only",
     {.n = 2, .c_in = 16, .h = 12, .w = 12, .c_out = 20, .oh = 12, .ow = 12, .kh = 3, .kw = 3}},
    {"one channel in and out", conv(1, 1, 8, 8, 1, 3, 3, 1, 1, 1)},
    {"the whole image", conv(3, 4, 5, 6, 10, 5, 6, 1, 0, 0)},
    {"1x1 image", conv(3, 20, 1, 1, 10, 1, 1, 1, 0, 0)},
    {"padding at the end only",
     {.n = 2,
      .c_in = 3,
      .h = 8,
      .w = 8,
      .c_out = 16,
      .oh = 4,
      .ow = 4,
      .kh = 3,
      .kw = 3,
      .stride_h = 2,
      .stride_w = 2}},
    {"more padding at the end, even kernel",
     {.n = 2, .c_in = 4, .h = 9, .w = 7, .c_out = 6, .oh = 9, .ow = 7, .kh = 4, .kw = 2, .pad_top = 1, .pad_left = 0}},
    {"strides differ",
     {.n = 2,
      .c_in = 4,
      .h = 20,
      .w = 9,
      .c_out = 8,
      .oh = 10,
      .ow = 9,
      .kh = 5,
      .kw = 3,
      .stride_h = 2,
      .stride_w = 1,
      .pad_top = 2,
      .pad_left = 1}},
    {"rows that no window reads",
     {.n = 1, .c_in = 4, .h = 9, .w = 9, .c_out = 8, .oh = 2, .ow = 3, .kh = 3, .kw = 3, .stride_h = 3, .stride_w = 3}},
};

/// A gradient that is overwritten (from NaN) or added to (from noise).
inline Floats before(const Floats& like, bool add) {
  return add ? noise(static_cast<int64_t>(like.size()), 99)
             : Floats(like.size(), std::numeric_limits<float>::quiet_NaN());
}

struct PoolCase {
  std::string name;
  Pool2dSize s;
};

inline const std::vector<PoolCase> pool_cases = {
    {"2x2", {2, 5, 8, 6, 4, 3, 2, 2, 2, 2}},
    {"overlapping, padded", {3, 16, 9, 9, 5, 5, 3, 3, 2, 2, 1, 1, 1, 1}},
    {"overlapping, padding not counted", {3, 16, 9, 9, 5, 5, 3, 3, 2, 2, 1, 1, 1, 1, 1, 1, false}},
    {"global", {4, 64, 8, 8, 1, 1, 8, 8, 8, 8}},
    {"rows at the end unread", {1, 3, 7, 5, 3, 2, 2, 2, 2, 2}},
    {"stride 1, unequal", {2, 7, 6, 5, 4, 4, 3, 2, 1, 1}},
    {"padding at the end only", {2, 4, 5, 5, 3, 3, 2, 2, 2, 2, 0, 0, 1, 1}},
    {"padding at the end only, not counted", {2, 4, 5, 5, 3, 3, 2, 2, 2, 2, 0, 0, 1, 1, 1, 1, false}},
    {"beyond the image", {2, 4, 5, 5, 3, 3, 2, 2, 2, 2}},
    {"beyond uneven padding", {2, 20, 6, 8, 3, 4, 3, 4, 2, 3, 0, 2, 0, 2}},
};

#ifdef _OPENMP
/// What `body` returns with this many threads, first on its own, then inside a parallel region on every thread.
template <typename Body>
auto with_threads(int threads, const Body& body) {
  const int before = omp_get_max_threads();
  omp_set_num_threads(threads);
  std::vector results(static_cast<size_t>(threads) + 1, body());
#pragma omp parallel num_threads(threads)
  results[static_cast<size_t>(omp_get_thread_num()) + 1] = body();
  omp_set_num_threads(before);
  return results;
}
#endif

}  // namespace mixgrad::test

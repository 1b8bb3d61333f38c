// SPDX-License-Identifier: Apache-2.0
// The forward pass is parallel over output rows, the backward pass over images, because windows may overlap.
#include "pool.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <type_traits>
#include <vector>

#include "lanes.h"
#include "parallel.h"

namespace mixgrad::kernels {
namespace {

/// The part of a window that lies inside the image: every dilation_h-th row and dilation_w-th column from the first.
struct Window {
  int64_t y0, y1, x0, x1;
};

/// The first of at, at + step, ... that is not negative.
int64_t first_inside(int64_t at, int64_t step) { return at >= 0 ? at : at + (step - 1 - at) / step * step; }

Window window(const Pool2dSize& s, int64_t oy, int64_t ox) {
  const int64_t y = oy * s.stride_h - s.pad_top, x = ox * s.stride_w - s.pad_left;
  return {first_inside(y, s.dilation_h), std::min(s.h, y + (s.kh - 1) * s.dilation_h + 1),
          first_inside(x, s.dilation_w), std::min(s.w, x + (s.kw - 1) * s.dilation_w + 1)};
}

/// How many positions of a window [at, at + k) lie in [low, high).
int64_t overlap(int64_t at, int64_t k, int64_t low, int64_t high) { return std::min(at + k, high) - std::max(at, low); }

// Channels are processed in blocks of a fixed size, which stay in registers.
constexpr int64_t block = 16;

/// Calls `body(first channel, count)`; the count is a constant except for the last channels.
template <typename Body>
MIXGRAD_INLINE void for_each_block(int64_t channels, const Body& body) {
  int64_t c = 0;
  for (; c + block <= channels; c += block) body(c, std::integral_constant<int64_t, block>());
  if (c < channels) body(c, channels - c);
}

/// Calls `tap(offset into the image)` for the elements of a window, in row-major order.
template <typename Tap>
MIXGRAD_INLINE void for_each_tap(const Pool2dSize& s, const Window& at, const Tap& tap) {
  for (int64_t iy = at.y0; iy < at.y1; iy += s.dilation_h)
    for (int64_t ix = at.x0; ix < at.x1; ix += s.dilation_w) tap((iy * s.w + ix) * s.c);
}

/// Codes in bytes are compared and added up as integers.
template <typename T>
using Wide = std::conditional_t<sizeof(T) == 1, int32_t, float>;

template <typename T>
MIXGRAD_INLINE void max_row(const Pool2dSize& s, const T* image, int64_t oy, T* y) {
  for (int64_t ox = 0; ox < s.ow; ++ox, y += s.c) {
    const Window at = window(s, oy, ox);
    for_each_block(s.c, [&](int64_t first, auto count) {
      Wide<T> best[block];
      for (int64_t c = 0; c < count; ++c) best[c] = std::numeric_limits<Wide<T>>::lowest();
      for_each_tap(s, at, [&](int64_t tap) {
        const T* x = image + tap + first;
        for (int64_t c = 0; c < count; ++c) best[c] = x[c] > best[c] ? x[c] : best[c];
      });
      for (int64_t c = 0; c < count; ++c) y[first + c] = static_cast<T>(best[c]);
    });
  }
}

template <typename T>
MIXGRAD_INLINE void max_grad_image(const Pool2dSize& s, const T* image, const T* gy, float* gx) {
  for (int64_t oy = 0; oy < s.oh; ++oy)
    for (int64_t ox = 0; ox < s.ow; ++ox, gy += s.c) {
      const Window at = window(s, oy, ox);
      if (at.y0 >= at.y1 || at.x0 >= at.x1) continue;
      for_each_block(s.c, [&](int64_t first, auto count) {
        float best[block];
        int32_t where[block];  // which element of the window
        const T* start = image + (at.y0 * s.w + at.x0) * s.c + first;
        for (int64_t c = 0; c < count; ++c) best[c] = start[c];
        for (int64_t c = 0; c < count; ++c) where[c] = 0;
        int32_t index = 0;
        for_each_tap(s, at, [&](int64_t tap) {
          const T* x = image + tap + first;
          for (int64_t c = 0; c < count; ++c) where[c] = x[c] > best[c] ? index : where[c];
          for (int64_t c = 0; c < count; ++c) best[c] = x[c] > best[c] ? x[c] : best[c];
          ++index;
        });
        index = 0;
        for_each_tap(s, at, [&](int64_t tap) {
          float* to = gx + tap + first;
          for (int64_t c = 0; c < count; ++c) to[c] += where[c] == index ? gy[first + c] : 0.0f;
          ++index;
        });
      });
    }
}

template <typename T>
MIXGRAD_INLINE void average_row(const Pool2dSize& s, bool codes, const T* image, int64_t oy, T* y) {
  for (int64_t ox = 0; ox < s.ow; ++ox, y += s.c) {
    const Window at = window(s, oy, ox);
    const double n = static_cast<double>(pool2d_count(s, oy, ox));
    for_each_block(s.c, [&](int64_t first, auto count) {
      Wide<T> sum[block] = {};
      for_each_tap(s, at, [&](int64_t tap) {
        const T* x = image + tap + first;
        for (int64_t c = 0; c < count; ++c) sum[c] += x[c];
      });
      for (int64_t c = 0; c < count; ++c) {
        const auto all = static_cast<double>(sum[c]);
        y[first + c] = static_cast<T>(codes ? static_cast<Wide<T>>(std::floor((2.0 * all + n) / (2.0 * n)))
                                            : sum[c] / static_cast<Wide<T>>(n));
      }
    });
  }
}

template <typename T>
MIXGRAD_INLINE void average_grad_image(const Pool2dSize& s, const T* gy, float* gx) {
  for (int64_t oy = 0; oy < s.oh; ++oy)
    for (int64_t ox = 0; ox < s.ow; ++ox, gy += s.c) {
      const Window at = window(s, oy, ox);
      const float n = static_cast<float>(pool2d_count(s, oy, ox));
      for_each_block(s.c, [&](int64_t first, auto count) {
        float share[block];
        for (int64_t c = 0; c < count; ++c) share[c] = gy[first + c] / n;
        for_each_tap(s, at, [&](int64_t tap) {
          float* to = gx + tap + first;
          for (int64_t c = 0; c < count; ++c) to[c] += share[c];
        });
      });
    }
}

/// Calls `image(n, gradient of image n)`; the gradient starts at zero unless it is to be added to. Windows overlap, so
/// bfloat16 gradients are summed in float and rounded once.
template <typename T, typename Image>
void for_each_image(const Pool2dSize& s, GradOf<T> gx, const Image& image) {
  if (!gx) return;
  const auto size = static_cast<size_t>(s.h * s.w * s.c);
  parallel_chunks(s.n, 1, [&](int64_t n, int64_t) {
    const std::span<T> to(gx.data + n * static_cast<int64_t>(size), size);
    std::span<float> sums;
    if constexpr (std::is_same_v<T, float>) {
      sums = to;
    } else {
      static thread_local std::vector<float> buffer;  // reused by the thread
      buffer.resize(size);
      sums = buffer;
      if (gx.add) to_float(to, sums);
    }
    if (!gx.add) std::fill(sums.begin(), sums.end(), 0.0f);
    widest([&]<int>() __attribute__((always_inline)) { image(n, sums.data()); });
    if constexpr (!std::is_same_v<T, float>) from_float(sums, to);
  });
}

template <typename T>
void max_pool(const Pool2dSize& s, std::span<const T> x, std::span<T> y) {
  parallel_chunks(s.n * s.oh, 1, [&](int64_t row, int64_t) {
    widest([&]<int>() __attribute__((always_inline)) {
      max_row(s, x.data() + row / s.oh * s.h * s.w * s.c, row % s.oh, y.data() + row * s.ow * s.c);
    });
  });
}

template <typename T>
void max_pool_grad(const Pool2dSize& s, std::span<const T> x, std::span<const T> gy, GradOf<T> gx) {
  for_each_image(
      s, gx, [&](int64_t n, float* g) __attribute__((always_inline)) {
        max_grad_image(s, x.data() + n * s.h * s.w * s.c, gy.data() + n * s.oh * s.ow * s.c, g);
      });
}

template <typename T>
void avg_pool(const Pool2dSize& s, bool codes, std::span<const T> x, std::span<T> y) {
  parallel_chunks(s.n * s.oh, 1, [&](int64_t row, int64_t) {
    widest([&]<int>() __attribute__((always_inline)) {
      average_row(s, codes, x.data() + row / s.oh * s.h * s.w * s.c, row % s.oh, y.data() + row * s.ow * s.c);
    });
  });
}

template <typename T>
void avg_pool_grad(const Pool2dSize& s, std::span<const T> gy, GradOf<T> gx) {
  for_each_image(
      s, gx, [&](int64_t n, float* g) __attribute__((always_inline)) {
        average_grad_image(s, gy.data() + n * s.oh * s.ow * s.c, g);
      });
}

}  // namespace

int64_t pool2d_count(const Pool2dSize& s, int64_t oy, int64_t ox) {
  const bool padded = s.count_padding;
  return overlap(oy * s.stride_h - s.pad_top, s.kh, padded ? -s.pad_top : 0, s.h + (padded ? s.pad_bottom : 0)) *
         overlap(ox * s.stride_w - s.pad_left, s.kw, padded ? -s.pad_left : 0, s.w + (padded ? s.pad_right : 0));
}

void max_pool2d(const Pool2dSize& s, std::span<const float> x, std::span<float> y) { max_pool(s, x, y); }
void max_pool2d(const Pool2dSize& s, std::span<const bfloat16> x, std::span<bfloat16> y) { max_pool(s, x, y); }
void max_pool2d(const Pool2dSize& s, std::span<const uint8_t> x, std::span<uint8_t> y) { max_pool(s, x, y); }
void max_pool2d(const Pool2dSize& s, std::span<const int8_t> x, std::span<int8_t> y) { max_pool(s, x, y); }

void max_pool2d_grad(const Pool2dSize& s, std::span<const float> x, std::span<const float> gy, Grad gx) {
  max_pool_grad(s, x, gy, gx);
}
void max_pool2d_grad(const Pool2dSize& s, std::span<const bfloat16> x, std::span<const bfloat16> gy,
                     GradOf<bfloat16> gx) {
  max_pool_grad(s, x, gy, gx);
}

void avg_pool2d(const Pool2dSize& s, bool codes, std::span<const float> x, std::span<float> y) {
  avg_pool(s, codes, x, y);
}
void avg_pool2d(const Pool2dSize& s, bool codes, std::span<const bfloat16> x, std::span<bfloat16> y) {
  avg_pool(s, codes, x, y);
}
void avg_pool2d(const Pool2dSize& s, std::span<const uint8_t> x, std::span<uint8_t> y) { avg_pool(s, true, x, y); }
void avg_pool2d(const Pool2dSize& s, std::span<const int8_t> x, std::span<int8_t> y) { avg_pool(s, true, x, y); }

void avg_pool2d_grad(const Pool2dSize& s, std::span<const float> gy, Grad gx) { avg_pool_grad(s, gy, gx); }
void avg_pool2d_grad(const Pool2dSize& s, std::span<const bfloat16> gy, GradOf<bfloat16> gx) {
  avg_pool_grad(s, gy, gx);
}

}  // namespace mixgrad::kernels

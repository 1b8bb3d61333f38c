// SPDX-License-Identifier: Apache-2.0
// Forward runs over the output's rows, the gradients over images, since windows may overlap.
#include "pool.h"

#include <cmath>
#include <limits>
#include <type_traits>

#include "parallel.h"

namespace mixgrad::kernels {
namespace {

/// The part of a window that lies inside the image.
struct Window {
  int64_t y0, y1, x0, x1;
};

Window window(const Pool2dSize& s, int64_t oy, int64_t ox) {
  const int64_t y = oy * s.stride_h - s.pad_top, x = ox * s.stride_w - s.pad_left;
  return {std::max<int64_t>(0, y), std::min(s.h, y + s.kh), std::max<int64_t>(0, x), std::min(s.w, x + s.kw)};
}

// Channels are taken in blocks: the fixed count lets a block live in registers.
constexpr int64_t block = 16;

/// Calls `body(first channel, count)`; the count is a constant except for the last channels.
template <typename Body>
[[gnu::always_inline]] inline void for_each_block(int64_t channels, const Body& body) {
  int64_t c = 0;
  for (; c + block <= channels; c += block) body(c, std::integral_constant<int64_t, block>());
  if (c < channels) body(c, channels - c);
}

/// Calls `tap(offset into the image)` for the elements of a window, in row-major order.
template <typename Tap>
[[gnu::always_inline]] inline void for_each_tap(const Pool2dSize& s, const Window& at, const Tap& tap) {
  for (int64_t iy = at.y0; iy < at.y1; ++iy)
    for (int64_t ix = at.x0; ix < at.x1; ++ix) tap((iy * s.w + ix) * s.c);
}

MIXGRAD_CLONES void max_row(const Pool2dSize& s, const float* image, int64_t oy, float* y) {
  for (int64_t ox = 0; ox < s.ow; ++ox, y += s.c) {
    const Window at = window(s, oy, ox);
    for_each_block(s.c, [&](int64_t first, auto count) {
      float best[block];
      for (int64_t c = 0; c < count; ++c) best[c] = -std::numeric_limits<float>::infinity();
      for_each_tap(s, at, [&](int64_t tap) {
        const float* x = image + tap + first;
        for (int64_t c = 0; c < count; ++c) best[c] = x[c] > best[c] ? x[c] : best[c];
      });
      for (int64_t c = 0; c < count; ++c) y[first + c] = best[c];
    });
  }
}

MIXGRAD_CLONES void max_grad_image(const Pool2dSize& s, const float* image, const float* gy, float* gx) {
  for (int64_t oy = 0; oy < s.oh; ++oy)
    for (int64_t ox = 0; ox < s.ow; ++ox, gy += s.c) {
      const Window at = window(s, oy, ox);
      if (at.y0 >= at.y1 || at.x0 >= at.x1) continue;
      for_each_block(s.c, [&](int64_t first, auto count) {
        float best[block];
        int32_t where[block];  // which element of the window
        const float* start = image + (at.y0 * s.w + at.x0) * s.c + first;
        for (int64_t c = 0; c < count; ++c) best[c] = start[c];
        for (int64_t c = 0; c < count; ++c) where[c] = 0;
        int32_t index = 0;
        for_each_tap(s, at, [&](int64_t tap) {
          const float* x = image + tap + first;
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

MIXGRAD_CLONES void average_row(const Pool2dSize& s, bool codes, const float* image, int64_t oy, float* y) {
  const double n = static_cast<double>(s.kh * s.kw);
  for (int64_t ox = 0; ox < s.ow; ++ox, y += s.c) {
    const Window at = window(s, oy, ox);
    for_each_block(s.c, [&](int64_t first, auto count) {
      float sum[block] = {};
      for_each_tap(s, at, [&](int64_t tap) {
        const float* x = image + tap + first;
        for (int64_t c = 0; c < count; ++c) sum[c] += x[c];
      });
      for (int64_t c = 0; c < count; ++c)
        y[first + c] = codes ? static_cast<float>(std::floor((2.0 * double{sum[c]} + n) / (2.0 * n)))
                             : sum[c] / static_cast<float>(n);
    });
  }
}

MIXGRAD_CLONES void average_grad_image(const Pool2dSize& s, const float* gy, float* gx) {
  const float n = static_cast<float>(s.kh * s.kw);
  for (int64_t oy = 0; oy < s.oh; ++oy)
    for (int64_t ox = 0; ox < s.ow; ++ox, gy += s.c) {
      const Window at = window(s, oy, ox);
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

/// Calls `image(n, gradient of image n)`, on zeros where nothing was there before.
template <typename Image>
void for_each_image(const Pool2dSize& s, Grad gx, const Image& image) {
  if (!gx) return;
  const int64_t size = s.h * s.w * s.c;
  parallel_chunks(s.n, 1, [&](int64_t n, int64_t) {
    if (!gx.add) std::fill_n(gx.data + n * size, size, 0.0f);
    image(n, gx.data + n * size);
  });
}

}  // namespace

void max_pool2d(const Pool2dSize& s, std::span<const float> x, std::span<float> y) {
  parallel_chunks(s.n * s.oh, 1, [&](int64_t row, int64_t) {
    max_row(s, x.data() + row / s.oh * s.h * s.w * s.c, row % s.oh, y.data() + row * s.ow * s.c);
  });
}

void max_pool2d_grad(const Pool2dSize& s, std::span<const float> x, std::span<const float> gy, Grad gx) {
  for_each_image(s, gx, [&](int64_t n, float* g) {
    max_grad_image(s, x.data() + n * s.h * s.w * s.c, gy.data() + n * s.oh * s.ow * s.c, g);
  });
}

void avg_pool2d(const Pool2dSize& s, bool codes, std::span<const float> x, std::span<float> y) {
  parallel_chunks(s.n * s.oh, 1, [&](int64_t row, int64_t) {
    average_row(s, codes, x.data() + row / s.oh * s.h * s.w * s.c, row % s.oh, y.data() + row * s.ow * s.c);
  });
}

void avg_pool2d_grad(const Pool2dSize& s, std::span<const float> gy, Grad gx) {
  for_each_image(s, gx, [&](int64_t n, float* g) { average_grad_image(s, gy.data() + n * s.oh * s.ow * s.c, g); });
}

}  // namespace mixgrad::kernels

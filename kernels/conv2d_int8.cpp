// SPDX-License-Identifier: Apache-2.0
#include "conv2d_int8.h"

#include "lanes.h"

namespace mixgrad::kernels {
namespace {

template <typename X>
MIXGRAD_INLINE int32_t dot(const X* x, const int8_t* w, int64_t n) {
  int32_t sum = 0;
  for (int64_t i = 0; i < n; ++i) sum += static_cast<int32_t>(x[i]) * w[i];
  return sum;
}

template <typename X>
MIXGRAD_INLINE void run(const Conv2dSize& s, const X* x, const int8_t* w, int32_t* acc) {
  const int64_t ci = s.c_in / s.groups, co = s.c_out / s.groups;
  for (int64_t n = 0; n < s.n; ++n, x += s.h * s.w * s.c_in) {
    for (int64_t oy = 0; oy < s.oh; ++oy) {
      for (int64_t ox = 0; ox < s.ow; ++ox, acc += s.c_out) {
        for (int64_t o = 0; o < s.c_out; ++o) {
          int32_t sum = 0;
          for (int64_t ky = 0; ky < s.kh; ++ky) {
            const int64_t iy = oy * s.stride_h + ky * s.dilation_h - s.pad_top;
            if (iy < 0 || iy >= s.h) continue;
            for (int64_t kx = 0; kx < s.kw; ++kx) {
              const int64_t ix = ox * s.stride_w + kx * s.dilation_w - s.pad_left;
              if (ix < 0 || ix >= s.w) continue;
              sum += dot(x + (iy * s.w + ix) * s.c_in + o / co * ci, w + ((o * s.kh + ky) * s.kw + kx) * ci, ci);
            }
          }
          acc[o] = sum;
        }
      }
    }
  }
}

MIXGRAD_CLONES void run_unsigned(const Conv2dSize& s, const uint8_t* x, const int8_t* w, int32_t* acc) {
  run(s, x, w, acc);
}
MIXGRAD_CLONES void run_signed(const Conv2dSize& s, const int8_t* x, const int8_t* w, int32_t* acc) {
  run(s, x, w, acc);
}

}  // namespace

void reference::conv2d_int8(const Conv2dSize& s, bool x_signed, std::span<const uint8_t> x, std::span<const int8_t> w,
                            std::span<int32_t> sums) {
  if (x_signed) return run_signed(s, reinterpret_cast<const int8_t*>(x.data()), w.data(), sums.data());
  run_unsigned(s, x.data(), w.data(), sums.data());
}

}  // namespace mixgrad::kernels

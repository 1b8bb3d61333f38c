// SPDX-License-Identifier: Apache-2.0
// Where the windows of a convolution or a pool lie on its image, as file formats describe it.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>

namespace mixgrad::integer {

struct Windows {
  int64_t h, w, oh, ow;                             ///< rows and columns of the image and of the output
  std::array<int64_t, 2> kernel, stride, dilation;  ///< of rows, columns
  int64_t top, left;                                ///< how much the first windows reach past the image

  /// `Size`: Conv2dSize or Pool2dSize.
  template <typename Size>
  static Windows of(const Size& s) {
    return {.h = s.h,
            .w = s.w,
            .oh = s.oh,
            .ow = s.ow,
            .kernel = {s.kh, s.kw},
            .stride = {s.stride_h, s.stride_w},
            .dilation = {s.dilation_h, s.dilation_w},
            .top = s.pad_top,
            .left = s.pad_left};
  }

  /// How much the last windows reach past the image; negative if they end within it.
  int64_t bottom() const { return (oh - 1) * stride[0] + (kernel[0] - 1) * dilation[0] + 1 - h - top; }
  int64_t right() const { return (ow - 1) * stride[1] + (kernel[1] - 1) * dilation[1] + 1 - w - left; }
  /// The padding that they need: top, left, bottom, right.
  std::array<int64_t, 4> padding() const {
    return {top, left, std::max<int64_t>(0, bottom()), std::max<int64_t>(0, right())};
  }
  bool dilated() const { return dilation != std::array<int64_t, 2>{1, 1}; }

  /// The same windows on the image with rows and columns around it: top, left, bottom, right.
  Windows on_padded(const std::array<int64_t, 4>& added) const {
    Windows out = *this;
    out.h += added[0] + added[2];
    out.w += added[1] + added[3];
    out.top -= added[0];
    out.left -= added[1];
    return out;
  }
};

}  // namespace mixgrad::integer

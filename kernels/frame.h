// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>

#include "lanes.h"
#include "scratch.h"

namespace mixgrad::kernels {

/// Images [n, h, w, c].
struct Images {
  int64_t n, h, w, c;
};

/// Images from which windows are read: one at a time, in a frame of zeros that covers all windows and with its channels
/// padded; the images themselves if a frame would add nothing.
template <auto Use, typename T = float>
class Framed {
 public:
  /// All windows lie in h x w pixels that begin `top` rows above and `left` columns before an image.
  Framed(const Images& images, const T* data, int64_t channels, int64_t h, int64_t w, int64_t top, int64_t left)
      : images_(images), data_(data), c_(channels), top_(top), left_(left), h_(h), w_(w) {
    if (top == 0 && left == 0 && h_ <= images.h && w_ <= images.w && c_ == images.c) {
      h_ = images.h;
      w_ = images.w;
    } else {
      frame_ = scratch<Use, T>(h_ * w_ * c_);
      std::fill_n(frame_, h_ * w_ * c_, T(0.0f));
    }
  }

  /// Steps from a row and from a pixel to the next.
  int64_t row() const { return w_ * c_; }
  int64_t pixel() const { return c_; }

  /// The window that begins at row y and column x of the frame.
  MIXGRAD_INLINE const T* window(int64_t image, int64_t y, int64_t x) {
    if (!frame_) return data_ + ((image * h_ + y) * w_ + x) * c_;
    if (image != image_) fill(image);
    return frame_ + (y * w_ + x) * c_;
  }

 private:
  void fill(int64_t image) {
    image_ = image;
    const int64_t first = std::max<int64_t>(0, -left_), last = std::min(images_.w, w_ - left_);
    if (last <= first) return;
    for (int64_t y = std::max<int64_t>(0, -top_); y < std::min(images_.h, h_ - top_); ++y) {
      const T* const from = data_ + ((image * images_.h + y) * images_.w + first) * images_.c;
      T* const to = frame_ + ((y + top_) * w_ + first + left_) * c_;
      if (c_ == images_.c)
        std::copy_n(from, (last - first) * c_, to);
      else
        for (int64_t x = 0; x < last - first; ++x) std::copy_n(from + x * images_.c, images_.c, to + x * c_);
    }
  }

  Images images_;
  const T* data_;
  int64_t c_, top_, left_, h_, w_;
  T* frame_ = nullptr;
  int64_t image_ = -1;
};

}  // namespace mixgrad::kernels

// SPDX-License-Identifier: Apache-2.0
// Convolutions of a batch, in parts.
#pragma once

#include <mixgrad/tensor.h>

#include <kernels/conv2d.h>
#include <kernels/elementwise.h>
#include <kernels/parallel.h>

#include <algorithm>
#include <span>

namespace mixgrad::parts {

/// Splits a batch into parts small enough for one thread's cache. The split does not depend on the number of threads,
/// so neither do the results; within a micro-batch, which runs on one thread, there is a single part.
class Parts {
 public:
  explicit Parts(const Conv2dSize& s, size_t value_bytes) : size_(s), images_(s.n) {
    if (kernels::in_parallel()) return;
    constexpr int64_t least_parts = 16;
    const int64_t bytes = (s.h * s.w * s.c_in + s.oh * s.ow * s.c_out) * static_cast<int64_t>(value_bytes);
    images_ = std::clamp<int64_t>(kernels::cache_bytes() / bytes, 1, (s.n + least_parts - 1) / least_parts);
  }

  int64_t count() const { return (size_.n + images_ - 1) / images_; }

  /// Calls body(size, x of the part, y of the part, its index) for each. x and y hold values or gradients.
  template <typename X, typename Y, typename Body>
  void each(std::span<X> x, std::span<Y> y, const Body& body) const {
    const auto run = [&](int64_t i) {
      Conv2dSize part = size_;
      part.n = std::min(images_, size_.n - i * images_);
      body(part, rows(x, i, part.n), rows(y, i, part.n), i);
    };
    count() == 1 ? run(0) : kernels::parallel_tasks(count(), run);
  }

 private:
  template <typename T>
  std::span<T> rows(std::span<T> all, int64_t part, int64_t images) const {
    const auto image = all.size() / static_cast<size_t>(size_.n);
    return all.subspan(static_cast<size_t>(part * images_) * image, static_cast<size_t>(images) * image);
  }

  Conv2dSize size_;
  int64_t images_;
};

template <typename T>
std::span<T> span_of(GradOf<T> g, int64_t size) {
  return {g.data, static_cast<size_t>(size)};
}

/// Adds up the parts' sums [count, size], in order.
inline void add_parts(std::span<const float> sums, int64_t size, Grad out) {
  if (!out) return;
  constexpr int64_t grain = 1024;
  const int64_t count = std::ssize(sums) / size;
  kernels::parallel_chunks(size, grain, [&](int64_t begin, int64_t end) {
    const std::span<float> to(out.data + begin, static_cast<size_t>(end - begin));
    for (int64_t i = 0; i < count; ++i) {
      const auto from = sums.subspan(static_cast<size_t>(i * size + begin), to.size());
      i == 0 && !out.add ? void(std::ranges::copy(from, to.begin())) : kernels::accumulate(from, to);
    }
  });
}

template <typename T>
void grad_w(const Conv2dSize& s, std::span<const T> x, std::span<const T> gy, Grad gw, Grad gbias) {
  const Parts parts(s, sizeof(T));
  if (parts.count() == 1) return kernels::conv2d_grad_w(s, x, gy, gw, gbias);
  const int64_t weights = s.c_out * s.kh * s.kw * (s.c_in / s.groups);
  const Tensor sums = gw ? Tensor::empty({parts.count(), weights}) : Tensor();
  const Tensor bias_sums = gbias ? Tensor::empty({parts.count(), s.c_out}) : Tensor();
  parts.each(x, gy, [&](const Conv2dSize& part, std::span<const T> part_x, std::span<const T> part_gy, int64_t i) {
    kernels::conv2d_grad_w(part, part_x, part_gy, {.data = sums ? sums.rows(i, 1).data().data() : nullptr},
                           {.data = bias_sums ? bias_sums.rows(i, 1).data().data() : nullptr});
  });
  if (sums) add_parts(sums.data(), weights, gw);
  if (bias_sums) add_parts(bias_sums.data(), s.c_out, gbias);
}

/// y = x ⋆ w + bias
template <typename T>
void forward(const Conv2dSize& s, std::span<const T> x, std::span<const float> w, std::span<const float> bias,
             std::span<T> y) {
  Parts(s, sizeof(T)).each(x, y, [&](const Conv2dSize& part, std::span<const T> from, std::span<T> to, int64_t) {
    kernels::conv2d(part, from, w, bias, to);
  });
}

/// ∂/∂x by `kernel`, as kernels::conv2d_grad_x.
template <typename T, typename Kernel>
void grad_x_by(const Kernel& kernel, const Conv2dSize& s, std::span<const T> gy, std::span<const float> w,
               GradOf<T> gx) {
  Parts(s, sizeof(T))
      .each(span_of(gx, s.n * s.h * s.w * s.c_in), gy,
            [&](const Conv2dSize& part, std::span<T> to, std::span<const T> from, int64_t) {
              kernel(part, from, w, GradOf<T>{.data = to.data(), .add = gx.add});
            });
}

template <typename T>
void grad_x(const Conv2dSize& s, std::span<const T> gy, std::span<const float> w, GradOf<T> gx) {
  grad_x_by([](const auto&... a) { kernels::conv2d_grad_x(a...); }, s, gy, w, gx);
}

inline void codes_grad_x(const Conv2dSize& s, std::span<const float> gy, std::span<const float> w, Grad gx) {
  grad_x_by([](const auto&... a) { kernels::conv2d_codes_grad_x(a...); }, s, gy, w, gx);
}

}  // namespace mixgrad::parts

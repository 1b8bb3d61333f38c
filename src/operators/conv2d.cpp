// SPDX-License-Identifier: Apache-2.0
#include <mixgrad/ops.h>
#include <mixgrad/tape.h>

#include <kernels/elementwise.h>
#include <kernels/parallel.h>
#include <src/internal/by_dtype.h>
#include <src/internal/exact.h>
#include <src/internal/shapes.h>
#include <src/internal/value.h>

#include <algorithm>

namespace mixgrad {
namespace {

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
void add_parts(std::span<const float> sums, int64_t size, Grad out) {
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

/// The output's gradient in the type of the input. That of sums of bfloat16 codes, which are float32, is rounded into
/// `rounded`.
template <typename T>
std::span<const T> output_gradient(const Backward& b, Tensor& rounded) {
  const Tensor& y = b.record.output;
  if (y.dtype() == b.record.inputs[0].dtype()) return b.grad_output<T>();
  rounded = Tensor::empty(y.shape(), DType::bfloat16);
  kernels::from_float(b.grad_output(), rounded.data<bfloat16>());
  return rounded.data<T>();
}

/// Records the op; the gradient is the same for real values and codes.
template <typename T>
Tensor recorded(const Conv2dSize& s, const Conv2dAttrs& attrs, const Tensor& y, const Tensor& x, const Tensor& w,
                const Tensor& bias) {
  return record(op::Conv2d{attrs}, y, {x, w, bias}, [s](const Backward& b) {
    Tensor rounded;
    const std::span<const T> gy = output_gradient<T>(b, rounded);
    if (auto gx = b.grad<T>(0)) {
      Parts(s, sizeof(T))
          .each(span_of(gx, s.n * s.h * s.w * s.c_in), gy,
                [&](const Conv2dSize& part, std::span<T> to, std::span<const T> from, int64_t) {
                  kernels::conv2d_grad_x(part, from, b.input(1), {.data = to.data(), .add = gx.add});
                });
    }
    const auto gw = b.grad(1), gbias = b.grad(2);
    if (gw || gbias) grad_w(s, b.input<T>(0), gy, gw, gbias);
  });
}

}  // namespace

Tensor conv2d(const Tensor& x, const Tensor& w, const Tensor& bias, const Conv2dAttrs& attrs) {
  const Conv2dSize s = conv2d_size(x.shape(), w.shape(), attrs);
  check_vector(op::Conv2d::name(), "bias", bias, s.c_out);
  return by_dtype(x.dtype(), [&]<typename T>() {
    Tensor y = Tensor::empty({s.n, s.c_out, s.oh, s.ow}, x.dtype());
    Parts(s, sizeof(T))
        .each(std::span<const T>(x.data<T>()), y.data<T>(),
              [&](const Conv2dSize& part, std::span<const T> from, std::span<T> to, int64_t) {
                kernels::conv2d(part, from, w.data(), bias.data(), to);
              });
    return recorded<T>(s, attrs, y, x, w, bias);
  });
}

Tensor conv2d_codes(const Tensor& x, const Tensor& w, const Conv2dAttrs& attrs, double bound) {
  const Conv2dSize s = conv2d_size(x.shape(), w.shape(), attrs);
  return exact("conv2d_codes", x, bound, [&](const Tensor& part) {
    return by_dtype(part.dtype(), [&]<typename T>() {
      Tensor y = Tensor::empty({s.n, s.c_out, s.oh, s.ow});
      Parts(s, sizeof(float))
          .each(std::span<const T>(part.data<T>()), y.data(),
                [&](const Conv2dSize& size, std::span<const T> from, std::span<float> to, int64_t) {
                  kernels::conv2d_codes(size, from, w.data(), to);
                });
      return recorded<T>(s, attrs, y, part, w, {});
    });
  });
}

namespace op {

Channels Conv2d::channels(const Node& node) const {
  if (attrs.groups == 1) return Channels::made;
  const bool one_each = node.weight().dim(1) == 1 && node.weight().dim(0) == attrs.groups;
  return one_each ? Channels::depthwise : Channels::grouped;
}

LayerShape Conv2d::layer_shape(const Node& node) const {
  const Shape& w = node.weight().shape();
  return {.groups = attrs.groups, .kernel = {w[2], w[3]}, .output = {node.shape[1], node.shape[2]}};
}

Value Conv2d::run(const RunContext& c) const {
  const Binding::NodeBinding& b = c.binding;
  if (b.scale) return {conv2d_codes(c.input().tensor, b.weight, attrs, b.bound), nullptr, b.scale, b.bias};
  return {conv2d(real(c.input()), b.weight, b.bias, attrs)};
}

}  // namespace op

}  // namespace mixgrad

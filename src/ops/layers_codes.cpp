// SPDX-License-Identifier: Apache-2.0
// Layers on integer codes. Float32 holds integers exactly below 2^24; a layer whose sums could grow larger runs
// on the high and low halves of its input's codes, codes = 16 high + low, each of which stays below.
#include <mixgrad/error.h>
#include <mixgrad/ops.h>
#include <mixgrad/tape.h>

#include <kernels/elementwise.h>

namespace mixgrad {
namespace {

constexpr double exact_limit = 1 << 24;

/// 16 high and low as tensors. All of the input's gradient goes through `low`: 16 layer(high) + layer(low) then
/// has the gradient of layer(codes).
struct Halves {
  Tensor high, low;
};

Halves split(const Tensor& codes) {
  Halves h{.high = Tensor::empty(codes.shape()), .low = Tensor::empty(codes.shape())};
  kernels::split_codes(codes.data(), h.high.data(), h.low.data());
  h.low = record("low_codes", {}, h.low, {codes}, [](const Backward& b) { kernels::pass_gradient(b.grad_output(), b.grad(0)); });
  return h;
}

template <typename Layer>
Tensor exact(const char* op, const Tensor& x, double bound, const Layer& layer) {
  if (bound < exact_limit) return layer(x);
  if (bound / 8 >= exact_limit) bad_input("[{}] sums of codes up to {:.3g} can't be formed exactly", op, bound);
  const Halves h = split(x);
  return add(scale(layer(h.high), 16), layer(h.low));
}

}  // namespace

Tensor conv2d_codes(const Tensor& x, const Tensor& w, const Conv2dAttrs& attrs, double bound) {
  return exact("conv2d_codes", x, bound, [&](const Tensor& part) { return conv2d(part, w, {}, attrs); });
}

Tensor linear_codes(const Tensor& x, const Tensor& w, double bound) {
  return exact("linear_codes", x, bound, [&](const Tensor& part) { return linear(part, w, {}); });
}

}  // namespace mixgrad

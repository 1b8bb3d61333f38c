// SPDX-License-Identifier: Apache-2.0
#include "conv2d.h"
#include "scratch.h"

namespace mixgrad::kernels::through_float {
namespace {

enum class Use { x, y };

template <Use U>
std::span<float> buffer(size_t size) {
  return {scratch<U>(static_cast<int64_t>(size)), size};
}

template <Use U>
std::span<const float> widened(std::span<const bfloat16> values) {
  const std::span<float> wide = buffer<U>(values.size());
  to_float(values, wide);
  return wide;
}

}  // namespace

void conv2d(const Conv2dSize& s, std::span<const bfloat16> x, std::span<const float> w, std::span<const float> bias,
            std::span<bfloat16> y) {
  const std::span<float> wide = buffer<Use::y>(y.size());
  kernels::conv2d(s, widened<Use::x>(x), w, bias, wide);
  from_float(wide, y);
}

void conv2d_codes(const Conv2dSize& s, std::span<const bfloat16> x, std::span<const float> w, std::span<float> y) {
  kernels::conv2d_codes(s, widened<Use::x>(x), w, y);
}

void conv2d_grad_x(const Conv2dSize& s, std::span<const bfloat16> gy, std::span<const float> w, GradOf<bfloat16> gx) {
  if (!gx) return;
  const std::span<bfloat16> narrow(gx.data, static_cast<size_t>(s.n * s.h * s.w * s.c_in));
  const std::span<float> wide = buffer<Use::x>(narrow.size());
  if (gx.add) to_float(narrow, wide);
  kernels::conv2d_grad_x(s, widened<Use::y>(gy), w, {wide.data(), gx.add});
  from_float(wide, narrow);
}

void conv2d_grad_w(const Conv2dSize& s, std::span<const bfloat16> x, std::span<const bfloat16> gy, Grad gw,
                   Grad gbias) {
  if (!gw && !gbias) return;
  kernels::conv2d_grad_w(s, gw ? widened<Use::x>(x) : std::span<const float>(), widened<Use::y>(gy), gw, gbias);
}

}  // namespace mixgrad::kernels::through_float

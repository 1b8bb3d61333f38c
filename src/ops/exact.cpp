// SPDX-License-Identifier: Apache-2.0
#include <mixgrad/error.h>
#include <mixgrad/tape.h>

#include <kernels/elementwise.h>
#include <src/internal/exact.h>

namespace mixgrad {

bool needs_halves(const char* op, double bound) {
  constexpr double limit = 1 << 24;
  if (bound / 8 >= limit) bad_input("[{}] sums of codes up to {:.3g} can't be computed exactly", op, bound);
  return bound >= limit;
}

Halves split(const Tensor& codes) {
  Halves h{.high = Tensor::empty(codes.shape()), .low = Tensor::empty(codes.shape())};
  kernels::split_codes(codes.data(), h.high.data(), h.low.data());
  h.low = record("low_codes", h.low, {codes},
                 [](const Backward& b) { kernels::pass_gradient(b.grad_output(), b.grad(0)); });
  return h;
}

}  // namespace mixgrad

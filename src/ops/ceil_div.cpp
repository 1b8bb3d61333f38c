// SPDX-License-Identifier: Apache-2.0
#include <mixgrad/ops.h>
#include <mixgrad/tape.h>

#include <cmath>

namespace mixgrad {

Tensor ceil_div(const Tensor& x, double divisor) {
  const double value = std::ceil(x.item() / divisor);
  return record("ceil_div", Tensor::scalar(static_cast<float>(value)), {x},
                [divisor](const Backward& b) { b.grad(0).put(0, static_cast<float>(b.grad_output()[0] / divisor)); });
}

}  // namespace mixgrad

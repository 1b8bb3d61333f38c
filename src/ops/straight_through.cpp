// SPDX-License-Identifier: Apache-2.0
#include <mixgrad/error.h>
#include <mixgrad/ops.h>
#include <mixgrad/tape.h>

#include <kernels/elementwise.h>

namespace mixgrad {

Tensor straight_through(const Tensor& value, const Tensor& source) {
  if (value.shape() != source.shape()) {
    bad_input("[straight_through] value {} and source {} must have the same shape", value.shape().str(),
              source.shape().str());
  }
  return record("straight_through", value.detach(), {source},
                [](const Backward& b) { kernels::pass_gradient(b.grad_output(), b.grad(0)); });
}

}  // namespace mixgrad

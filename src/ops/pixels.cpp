// SPDX-License-Identifier: Apache-2.0
#include <mixgrad/error.h>
#include <mixgrad/ops.h>
#include <mixgrad/tape.h>

#include <kernels/elementwise.h>

namespace mixgrad {

Tensor pixels(const Tensor& x) {
  const Shape& s = x.shape();
  if (s.rank() != 4) bad_input("[pixels] input {}: expected [N, C, H, W]", s.str());
  return record("pixels", x.view({s[0] * s[2] * s[3], s[1]}), {x},  // channels are last in memory already
                [](const Backward& b) { kernels::pass_gradient(b.grad_output(), b.grad(0)); });
}

}  // namespace mixgrad

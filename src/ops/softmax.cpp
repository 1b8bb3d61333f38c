// SPDX-License-Identifier: Apache-2.0
#include <mixgrad/error.h>
#include <mixgrad/ops.h>
#include <mixgrad/tape.h>

#include <kernels/layout.h>
#include <kernels/softmax.h>

namespace mixgrad {

Tensor softmax(const Tensor& x, float temperature) {
  const Shape& s = x.shape();
  if (s.rank() < 1 || s.rank() > 2) bad_input("[softmax] input {} must have 1 or 2 dimensions", s.str());
  if (!(temperature > 0)) bad_input("[softmax] temperature {} must be above 0", temperature);
  const int64_t candidates = s[0], columns = s.rank() == 2 ? s[1] : 1;
  // The kernel works on rows, so transpose.
  Tensor logits = Tensor::empty({columns, candidates}), theta = Tensor::empty({columns, candidates});
  kernels::channels_last_to_rows(1, columns, candidates, x.data(), logits.data());
  kernels::softmax(columns, candidates, temperature, logits.data(), theta.data());
  Tensor y = Tensor::empty(s);
  kernels::channels_last_to_rows(1, candidates, columns, theta.data(), y.data());
  return record("softmax", y, {x}, [candidates, columns, temperature, theta](const Backward& b) {
    Tensor g = Tensor::empty({columns, candidates}), gx = Tensor::empty({columns, candidates});
    kernels::channels_last_to_rows(1, columns, candidates, b.grad_output(), g.data());
    kernels::softmax_grad(columns, candidates, temperature, theta.data(), g.data(), {.data = gx.data().data()});
    kernels::rows_to_channels_last(1, columns, candidates, gx.data(), b.grad(0));
  });
}

}  // namespace mixgrad

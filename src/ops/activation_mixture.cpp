// SPDX-License-Identifier: Apache-2.0
#include <mixgrad/ops.h>
#include <mixgrad/tape.h>

#include <src/internal/by_dtype.h>
#include <src/internal/shapes.h>

namespace mixgrad {

Tensor activation_mixture(const Tensor& x, const Tensor& theta, const Tensor& clip, std::span<const int> bits,
                          ActivationFormat format) {
  check_vector("activation_mixture", "theta", theta, std::ssize(bits));
  check_vector("activation_mixture", "clip", clip, std::ssize(bits));
  return by_dtype(x.dtype(), [&]<typename T>() {
    Tensor y = Tensor::empty(x.shape(), x.dtype());
    kernels::activation_mixture(bits, format, x.data<T>(), theta.data(), clip.data(), y.data<T>());
    return record("activation_mixture", y, {x, theta, clip},
                  [format, kept = std::vector(bits.begin(), bits.end())](const Backward& b) {
                    kernels::activation_mixture_grad(kept, format, b.input<T>(0), b.input(1), b.input(2),
                                                     b.grad_output<T>(), b.grad<T>(0), b.grad(1), b.grad(2));
                  });
  });
}

}  // namespace mixgrad

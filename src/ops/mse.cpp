// SPDX-License-Identifier: Apache-2.0
#include <mixgrad/error.h>
#include <mixgrad/ops.h>
#include <mixgrad/tape.h>

namespace mixgrad {

Tensor mse(const Tensor& x, const Tensor& target, double denominator) {
  const Shape& s = x.shape();
  if (s.rank() != 2 || s != target.shape())
    bad_input("[mse] x {} and target {}: expected equal shapes [N, features]", s.str(), target.shape().str());
  if (denominator == 0) denominator = static_cast<double>(s[0]);
  const double scale = 1 / (denominator * static_cast<double>(s[1]));
  double sum = 0;
  for (size_t i = 0; i < x.data().size(); ++i) {
    const double difference = static_cast<double>(x.data()[i]) - target.data()[i];
    sum += difference * difference;
  }
  return record("mse", Tensor::scalar(static_cast<float>(sum * scale)), {x}, [target, scale](const Backward& b) {
    const auto g = static_cast<float>(2 * scale) * b.grad_output()[0];
    const auto gx = b.grad(0);
    for (size_t i = 0; i < target.data().size(); ++i)
      gx.put(static_cast<int64_t>(i), g * (b.input(0)[i] - target.data()[i]));
  });
}

}  // namespace mixgrad

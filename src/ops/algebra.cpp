// SPDX-License-Identifier: Apache-2.0
// Ops on scalars and θ, for cost terms. Sums over θ use double, because a cost adds numbers from units to millions.
#include <mixgrad/error.h>
#include <mixgrad/ops.h>
#include <mixgrad/tape.h>

#include <src/internal/shapes.h>

namespace mixgrad {

Tensor expectation(const Tensor& theta, std::span<const double> values, std::span<const double> weights) {
  const Shape& s = theta.shape();
  const int64_t columns = s.rank() == 2 ? s[1] : 1;
  if (s.rank() < 1 || s.rank() > 2 || s[0] != std::ssize(values) ||
      (!weights.empty() && columns != std::ssize(weights))) {
    bad_input("[expectation] theta {} does not fit {} values and {} weights", s.str(), values.size(), weights.size());
  }
  std::vector<double> factors;
  double total = 0;
  for (int64_t i = 0; i < s.size(); ++i) {
    factors.push_back(values[i / columns] * (weights.empty() ? 1 : weights[i % columns]));
    total += factors.back() * theta.data()[i];
  }
  return record("expectation", Tensor::scalar(static_cast<float>(total)), {theta},
                [kept = std::move(factors)](const Backward& b) {
                  const double g = b.grad_output()[0];
                  const auto gx = b.grad(0);
                  for (int64_t i = 0; i < std::ssize(kept); ++i) gx.put(i, static_cast<float>(g * kept[i]));
                });
}

Tensor product(const Tensor& a, const Tensor& b, double factor) {
  const double value = factor * a.item() * b.item();
  return record("product", Tensor::scalar(static_cast<float>(value)), {a, b}, [factor](const Backward& back) {
    const double g = factor * back.grad_output()[0];
    if (auto ga = back.grad(0)) ga.put(0, static_cast<float>(g * back.input(1)[0]));
    if (auto gb = back.grad(1)) gb.put(0, static_cast<float>(g * back.input(0)[0]));
  });
}

Tensor scale(const Tensor& x, double factor) {
  Tensor y = Tensor::empty(x.shape());
  for (int64_t i = 0; i < x.size(); ++i) y.data()[i] = static_cast<float>(factor * x.data()[i]);
  return record("scale", y, {x}, [factor](const Backward& b) {
    const auto gx = b.grad(0);
    for (int64_t i = 0; i < std::ssize(b.grad_output()); ++i)
      gx.put(i, static_cast<float>(factor * b.grad_output()[i]));
  });
}

Tensor sum(std::span<const Tensor> terms) {
  Tensor total = Tensor::scalar(0);
  for (const Tensor& term : terms) total = add(total, term);
  return total;
}

}  // namespace mixgrad

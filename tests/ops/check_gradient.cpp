// SPDX-License-Identifier: Apache-2.0
#include "check_gradient.h"

#include <mixgrad/tape.h>

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>

namespace mixgrad::test {

Tensor random_tensor(const Shape& shape, Rng& rng, double gap) {
  Tensor t = Tensor::empty(shape);
  for (float& v : t.data()) {
    const double x = rng.normal();
    v = static_cast<float>(x + (x < 0 ? -gap : gap));
  }
  return t;
}

namespace {

double weighted_sum(const Tensor& y, const Tensor& r) {
  double total = 0;
  for (int64_t i = 0; i < y.size(); ++i) total += static_cast<double>(y.data()[i]) * r.data()[i];
  return total;
}

}  // namespace

void check_gradient(const std::string& name, const Op& op, std::vector<Tensor> inputs, double h, double tolerance) {
  CAPTURE(name);
  Rng rng(7, "check_gradient");
  for (Tensor& t : inputs) {
    if (t) t.requires_grad();
  }
  Tensor r;
  {
    Tape tape;
    const Tensor y = op(inputs);
    r = random_tensor(y.shape(), rng);
    REQUIRE(y.needs_grad());
    y.set_grad(r.data());
    tape.backward();
  }
  for (size_t i = 0; i < inputs.size(); ++i) {
    CAPTURE(i);
    if (!inputs[i]) continue;
    const std::vector<float> grad(inputs[i].grad().begin(), inputs[i].grad().end());
    REQUIRE(std::ssize(grad) == inputs[i].size());
    double largest = 1e-3;
    for (float g : grad) largest = std::max(largest, std::abs(static_cast<double>(g)));
    for (size_t k = 0; k < grad.size(); ++k) {
      float& value = inputs[i].data()[k];
      const float before = value;
      value = static_cast<float>(before + h);
      const double up = value, above = weighted_sum(op(inputs), r);
      value = static_cast<float>(before - h);
      const double down = value, below = weighted_sum(op(inputs), r);
      value = before;
      const double difference = (above - below) / (up - down);
      CAPTURE(k);
      CHECK(std::abs(grad[k] - difference) <= tolerance * largest);
    }
  }
}

}  // namespace mixgrad::test

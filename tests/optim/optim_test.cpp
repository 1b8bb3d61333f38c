// SPDX-License-Identifier: Apache-2.0
#include "../worse.h"

#include <mixgrad/optim.h>

#include <doctest/doctest.h>

#include <cmath>

using namespace mixgrad;

namespace {

Tensor parameter(std::vector<float> values) { return Tensor::from({std::ssize(values)}, values).requires_grad(); }

/// Minimizes Σ (w - target)² with the optimizer's own steps.
double distance_after(optim::Optimizer& optimizer, const Tensor& w, float target, int steps) {
  for (int i = 0; i < steps; ++i) {
    std::vector<float> g;
    for (float v : w.data()) g.push_back(2 * (v - target));
    w.set_grad(g);
    optimizer.step();
  }
  double worst = 0;
  for (float v : w.data()) worst = test::worse(worst, std::abs(v - target));
  return worst;
}

}  // namespace

TEST_CASE("SGD: two steps with momentum and weight decay, by hand") {
  const Tensor w = parameter({1.0F});
  optim::Sgd sgd({{.parameters = {w}, .weight_decay = 0.1}}, {.lr = 0.5, .momentum = 0.9});
  w.set_grad(std::vector{2.0F});
  sgd.step();  // v = 2.1, w = 1 - 1.05
  CHECK(w.data()[0] == doctest::Approx(-0.05));
  w.set_grad(std::vector{1.0F});
  sgd.step();  // g = 0.995, v = 0.9·2.1 + 0.995 = 2.885
  CHECK(w.data()[0] == doctest::Approx(-0.05 - 0.5 * 2.885));
}

TEST_CASE("SGD: Nesterov looks ahead") {
  const Tensor w = parameter({1.0F});
  optim::Sgd sgd({{.parameters = {w}}}, {.lr = 0.5, .momentum = 0.9, .nesterov = true});
  w.set_grad(std::vector{2.0F});
  sgd.step();  // v = 2, w = 1 - 0.5 (2 + 1.8)
  CHECK(w.data()[0] == doctest::Approx(-0.9));
}

TEST_CASE("Adam: the first step is as large as the learning rate, whatever the gradient") {
  const Tensor w = parameter({1.0F, 1.0F});
  optim::Adam adam({{.parameters = {w}}}, {.lr = 0.01});
  w.set_grad(std::vector{1e-3F, -50.0F});
  adam.step();
  CHECK(w.data()[0] == doctest::Approx(0.99).epsilon(1e-4));
  CHECK(w.data()[1] == doctest::Approx(1.01).epsilon(1e-4));
}

TEST_CASE("optim: both find a minimum, and groups scale the learning rate") {
  const Tensor a = parameter({3, -2}), b = parameter({3, -2});
  optim::Sgd sgd({{.parameters = {a}}}, {.lr = 0.1});
  optim::Adam adam({{.parameters = {b}}}, {.lr = 0.1});
  CHECK(distance_after(sgd, a, 1, 200) < 1e-3F);
  CHECK(distance_after(adam, b, 1, 300) < 1e-2F);
  const Tensor fast = parameter({1}), slow = parameter({1});
  optim::Sgd grouped({{.parameters = {fast}}, {.parameters = {slow}, .lr_scale = 0.1}}, {.lr = 0.5, .momentum = 0});
  fast.set_grad(std::vector{1.0F});
  slow.set_grad(std::vector{1.0F});
  grouped.step();
  CHECK(fast.data()[0] == doctest::Approx(0.5));
  CHECK(slow.data()[0] == doctest::Approx(0.95));
  CHECK(fast.grad().empty());  // a step uses the gradient up
}

TEST_CASE("optim: a parameter without a gradient does not change, even with decay") {
  const Tensor w = parameter({1});
  optim::Sgd sgd({{.parameters = {w}, .weight_decay = 0.5}}, {.lr = 0.5});
  sgd.step();
  CHECK(w.data()[0] == 1.0F);
}

TEST_CASE("optim: gradient clipping scales the joint norm") {
  const Tensor a = parameter({0}), b = parameter({0});
  a.set_grad(std::vector{3.0F});
  b.set_grad(std::vector{4.0F});
  const std::vector<Tensor> both = {a, b};
  CHECK(optim::clip_grad_norm(both, 10) == doctest::Approx(5));
  CHECK(a.grad()[0] == 3.0F);
  CHECK(optim::clip_grad_norm(both, 1) == doctest::Approx(5));
  CHECK(a.grad()[0] == doctest::Approx(0.6));
  CHECK(b.grad()[0] == doctest::Approx(0.8));
}

TEST_CASE("optim: schedules at their ends") {
  CHECK(optim::cosine(1, 0, 100) == doctest::Approx(1));
  CHECK(optim::cosine(1, 50, 100) == doctest::Approx(0.5));
  CHECK(optim::cosine(1, 100, 100, 0.1) == doctest::Approx(0.1));
  CHECK(optim::one_cycle(1, 0, 101) == doctest::Approx(1.0 / 25));
  CHECK(optim::one_cycle(1, 30, 101) == doctest::Approx(1));
  CHECK(optim::one_cycle(1, 100, 101) == doctest::Approx(1e-4));
  CHECK(optim::exponential(2, 3, 0.5) == doctest::Approx(0.25));
}

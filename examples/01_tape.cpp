// SPDX-License-Identifier: Apache-2.0
// Shows: tensors, ops, and the tape that differentiates them.
// Prints: a function's value, the ops that the tape recorded, the gradients next to those derived by hand, and five
//   steps of gradient descent.
// Run: build/examples/01_tape
#include <mixgrad/mixgrad.h>

#include <fmt/core.h>

using namespace mixgrad;

namespace {

/// f(a, b) = 3ab + max(a, 0) - b/2
Tensor f(const Tensor& a, const Tensor& b) {
  const Tensor terms[] = {product(a, b, 3), relu(a), scale(b, -0.5)};
  return sum(terms);
}

/// (a - 3)²
Tensor bowl(const Tensor& a) {
  const Tensor terms[] = {a, Tensor::scalar(-3)};
  const Tensor distance = sum(terms);
  return product(distance, distance);
}

}  // namespace

int main() {
  // A tensor is a handle. A leaf is a tensor whose gradient is computed.
  const Tensor a = Tensor::scalar(2).requires_grad();
  const Tensor b = Tensor::scalar(-1).requires_grad();

  // Without a tape, ops only compute.
  fmt::print("f(2, -1) = {}\n", f(a, b).item());

  // A tape records every op that depends on a leaf; backward() plays them from the last to the first.
  Tape tape;
  const Tensor y = f(a, b);
  fmt::print("recorded:");
  for (const Record& r : tape.records()) fmt::print(" {}", r.op);
  tape.backward(y);
  fmt::print("\ndf/da = {} (3b + 1 = -2)\n", a.grad()[0]);
  fmt::print("df/db = {} (3a - 1/2 = 5.5)\n", b.grad()[0]);

  // An optimizer reads the gradients, takes a step, and clears them. Until then, gradients add up.
  a.zero_grad();
  optim::Sgd sgd({{.parameters = {a}}}, {.lr = 0.25, .momentum = 0});
  for (int step = 0; step < 5; ++step) {
    Tape inner;  // tapes nest: the innermost one records
    const Tensor loss = bowl(a);
    inner.backward(loss);
    fmt::print("step {}: (a - 3)^2 = {:.5f} at a = {:.5f}\n", step, loss.item(), a.item());
    sgd.step();
  }
}

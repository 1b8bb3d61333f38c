// SPDX-License-Identifier: Apache-2.0
// Shows: how to write your own op, and why a quantizer needs a straight-through gradient.
// Prints: values, their 3-bit quantization, and the gradient that passes through it; then the training of a weight
//   through the quantizer, although the quantizer's true derivative is 0 almost everywhere.
// Run: build/examples/02_fake_quant
#include <mixgrad/mixgrad.h>

#include <fmt/core.h>

#include <algorithm>
#include <cmath>
#include <vector>

using namespace mixgrad;

namespace {

/// x̂ = s · clamp(rne(x / s), -3, 3): seven levels of 3 bits, symmetric around zero.
/// An op's forward and gradient are next to each other. Forward overwrites its output; the gradient is accumulated.
Tensor fake_quantize(const Tensor& x, float step) {
  Tensor y = Tensor::empty(x.shape());
  for (int64_t i = 0; i < x.size(); ++i)
    y.data()[i] = step * std::clamp(std::nearbyint(x.data()[i] / step), -3.0F, 3.0F);
  return record("fake_quantize", y, {x}, [step](const Backward& b) {
    const auto gx = b.grad(0);
    if (!gx) return;  // the gradient of x is not needed
    for (int64_t i = 0; i < std::ssize(b.input(0)); ++i) {
      const bool inside = std::abs(b.input(0)[i]) <= 3 * step;  // rounding counts as the identity, clamping does not
      gx.put(i, inside ? b.grad_output()[i] : 0.0F);
    }
  });
}

}  // namespace

int main() {
  const std::vector<float> values = {-2.0F, -0.9F, -0.3F, 0.1F, 0.2F, 0.7F, 1.4F, 1.6F};
  const Tensor x = Tensor::from({8}, values).requires_grad();
  {
    Tape tape;
    const Tensor y = fake_quantize(x, 0.5F);
    tape.backward(expectation(y, std::vector<double>(8, 1.0)));  // d(Σ y)/dx
    fmt::print("{:>6} {:>10} {:>9}\n", "x", "quantized", "gradient");
    for (size_t i = 0; i < values.size(); ++i) fmt::print("{:>6} {:>10} {:>9}\n", values[i], y.data()[i], x.grad()[i]);
  }

  // The loss (quantized w - 1)² only has a gradient because the backward pass treats rounding as the identity.
  const Tensor w = Tensor::full({1, 1}, 0.1F).requires_grad();
  optim::Sgd sgd({{.parameters = {w}}}, {.lr = 0.2, .momentum = 0});
  fmt::print("\ntraining w until its quantized value is 1:\n");
  for (int i = 0; i < 5; ++i) {
    Tape tape;
    const Tensor quantized = fake_quantize(w, 0.5F);
    const Tensor loss = mse(quantized, Tensor::full({1, 1}, 1));
    tape.backward(loss);
    fmt::print("  w {:.3f}  quantized {:.1f}  loss {:.2f}\n", w.item(), quantized.item(), loss.item());
    sgd.step();
  }
}

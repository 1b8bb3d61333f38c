// SPDX-License-Identifier: Apache-2.0
// Shows: the mixture that makes the choice of a bit-width differentiable. Weights are Σ θ_p ŵ_p over the candidates,
//   with θ = softmax(α / τ); τ decides whether that is a blend of all candidates or nearly one of them.
// Prints: what each candidate costs and how far its weights are from the float ones; the same of the mixture, as a bar,
//   while τ falls; and the gradient of α, by the tape and by the formula.
// Run: build/examples/03_mixture
#include <mixgrad/mixgrad.h>

#include <fmt/core.h>

#include <cmath>
#include <string>
#include <vector>

using namespace mixgrad;

namespace {

const std::vector<int> bits = {2, 4, 8};

/// Normally distributed weights of one output channel, [1, 256].
Tensor random_weights() {
  Rng rng(1, "weights");
  Tensor w = Tensor::empty({1, 256});
  for (float& v : w.data()) v = static_cast<float>(rng.normal());
  return w;
}

double error_of(const Tensor& theta, const Tensor& w) { return mse(weight_mixture(w, theta, bits), w).item(); }

double bits_of(const Tensor& theta) { return expectation(theta, std::vector<double>(bits.begin(), bits.end())).item(); }

}  // namespace

int main() {
  const Tensor w = random_weights();
  fmt::print("candidate  bits  mean squared error\n");
  for (size_t p = 0; p < bits.size(); ++p) {
    Tensor theta = Tensor::zeros({3});
    theta.data()[p] = 1;
    fmt::print("{:>9}  {:>4.1f}  {:.6f}\n", p, bits_of(theta), error_of(theta, w));
  }

  const Tensor alpha = Tensor::from({3}, std::vector{0.25F, 0.5F, 1.0F}).requires_grad();
  fmt::print("\n    τ  bits  error     2 bits: 2, 4 bits: 4, 8 bits: 8\n");
  for (const float tau : {5.0F, 1.0F, 0.5F, 0.25F, 0.1F}) {
    const Tensor theta = softmax(alpha, tau);
    std::string bar;
    for (size_t p = 0; p < bits.size(); ++p)
      bar += std::string(static_cast<size_t>(std::lround(40 * theta.data()[p])), static_cast<char>('0' + bits[p]));
    fmt::print("{:>5}  {:>4.2f}  {:.6f}  {}\n", tau, bits_of(theta), error_of(theta, w), bar);
  }

  // ∂E/∂α_p = θ_p (d_p - Σ_q θ_q d_q) / τ, where d_p = ∂E/∂θ_p: what candidate p adds to the error, to first order.
  const float tau = 1;
  const Tensor theta = softmax(alpha, tau).requires_grad();  // without a tape: a leaf
  {
    Tape tape;
    tape.backward(mse(weight_mixture(w, theta, bits), w));
  }
  double mean = 0;
  for (size_t p = 0; p < bits.size(); ++p) mean += static_cast<double>(theta.data()[p]) * theta.grad()[p];
  {
    Tape tape;
    tape.backward(mse(weight_mixture(w, softmax(alpha, tau), bits), w));
  }
  fmt::print("\nbits  gradient of α: by the tape, by the formula\n");
  for (size_t p = 0; p < bits.size(); ++p)
    fmt::print("{:>4}  {:>10.5f}  {:>10.5f}\n", bits[p], alpha.grad()[p],
               theta.data()[p] * (theta.grad()[p] - mean) / tau);
}

// SPDX-License-Identifier: Apache-2.0
// Shows: the search itself, on one convolution. Every output channel has an α for each candidate bit-width; its weights
//   are the mixture Σ θ_p ŵ_p with θ = softmax(α / τ). The loss is the task's plus strength · cost, and its gradient
//   moves α like any other parameter.
// Prints: θ of every channel during the search, then the bits found. The task is to reproduce the float convolution.
//   Each channel's weights are 4 times smaller than the one before, so errors in the first channel matter most, and it
//   keeps the most bits.
// Run: build/examples/04_search_one_layer
#include <mixgrad/mixgrad.h>

#include <fmt/core.h>
#include <fmt/ranges.h>

using namespace mixgrad;

namespace {

constexpr int64_t channels = 4;
constexpr int steps = 200, shown_every = 40;

Tensor random_images(int64_t count, Rng& rng) {
  Tensor x = Tensor::empty({count, 3, 8, 8});
  for (float& v : x.data()) v = static_cast<float>(rng.uniform());
  return x;
}

/// Prints θ [P, C], one group of P numbers per channel.
void print_thetas(const Tensor& theta) {
  for (int64_t c = 0; c < channels; ++c) {
    fmt::print("  ");
    for (int64_t p = 0; p < theta.dim(0); ++p) fmt::print(" {:.2f}", theta.data()[p * channels + c]);
  }
  fmt::print("\n");
}

}  // namespace

int main() {
  Rng rng(1, "example");
  nn::Conv2d conv({.in_channels = 3, .out_channels = channels});
  nn::initialize(conv, Rng(1, "init"));
  const int64_t row = conv.weight.size() / channels;
  for (int64_t i = 0; i < conv.weight.size(); ++i) conv.weight.data()[i] /= static_cast<float>(1 << (2 * (i / row)));

  MixPrec search(conv, {.input_shape = {3, 8, 8},
                        .weight_precisions = {2, 4, 8},
                        .w_mixprec_type = MixPrecType::PER_CHANNEL,
                        .regularizer = "size"});
  search.train_nas_only();  // the weights stay fixed; only α moves
  optim::Adam alphas({{.parameters = search.nas_parameters()}}, {.lr = 0.02});
  const auto slot = search.graph().weight_slots()[0];

  fmt::print("step  loss      bits   channel 0 (2, 4, 8 bits), 1, 2, 3\n");
  for (int step = 0; step <= steps; ++step) {
    const Tensor x = random_images(8, rng);
    const Tensor wanted = flatten(conv(x));
    Tape tape;
    const Thetas thetas = search.sample();  // one θ for the network and for its cost
    const Tensor got = flatten(search.graph().run(search.graph().bind(thetas), x));
    const Tensor cost = search.get_regularization_loss(thetas);
    const Tensor terms[] = {mse(got, wanted), scale(cost, 1e-6)};
    const Tensor loss = sum(terms);
    tape.backward(loss);
    if (step % shown_every == 0) {
      fmt::print("{:>4}  {:.6f}  {:>4.0f}", step, loss.item(), cost.item());
      print_thetas(thetas.at(slot.get()));
    }
    alphas.step();
  }
  fmt::print("found: {} bits\n", fmt::join(search.arch_summary()[0].weight_bits, ", "));
}

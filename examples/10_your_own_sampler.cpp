// SPDX-License-Identifier: Apache-2.0
// Shows: your own sampler, which turns α into θ in every step: a function that returns θ for each slot that searches.
// Prints: what a search finds with softmax, and with a sampler that draws candidates at random: size and accuracy.
// Run: build/examples/10_your_own_sampler
#include <mixgrad/mixgrad.h>

#include <fmt/core.h>

#include <cmath>

using namespace mixgrad;

namespace {

/// One-hot θ, drawn in every column with the probabilities of the soft θ, which gets the gradient (straight-through).
Tensor draw(const Tensor& soft, Rng& rng) {
  const Tensor hard = Tensor::zeros(soft.shape());
  const int64_t columns = soft.size() / soft.dim(0);
  for (int64_t column = 0; column < columns; ++column) {
    int64_t at = column;  // candidate by candidate, until their probabilities add up to a random number
    for (double u = rng.uniform(); at + columns < soft.size() && (u -= soft.data()[at]) >= 0;) at += columns;
    hard.data()[at] = 1;
  }
  return straight_through(hard, soft);
}

Thetas draw(const MixPrec& search, Rng& rng) {
  Thetas thetas = search.graph().softmax_thetas(search.temperature());
  for (const auto& slot : search.graph().weight_slots()) {  // always in this order, so that a seed gives the same θ
    if (!slot->fixed()) thetas[slot.get()] = draw(thetas[slot.get()], rng);
  }
  return thetas;
}

/// As in 09_your_own_quantizer.cpp: noise, brighter in one of nine squares; the square is the class.
data::Dataset spots(const char* name, int64_t count) {
  data::Dataset set{.name = name, .channels = 1, .height = 12, .width = 12};
  set.class_names.assign({"0", "1", "2", "3", "4", "5", "6", "7", "8"});
  Rng rng(1, name);
  for (int64_t i = 0; i < count; ++i) {
    set.labels.push_back(static_cast<int32_t>(rng.below(9)));
    for (int at = 0; at < 144; ++at)
      set.pixels.push_back(static_cast<uint8_t>(rng.below(200) + 50 * (at / 48 * 3 + at % 12 / 4 == set.labels[i])));
  }
  return set;
}

}  // namespace

int main() {
  const data::Splits data = data::hold_out(spots("train", 2000), spots("test", 500), /*seed=*/1, 0.1);
  nn::Sequential net(std::make_unique<nn::Conv2d>(nn::Conv2dOptions{.in_channels = 1, .out_channels = 8}),
                     std::make_unique<nn::ReLU>(), std::make_unique<nn::Flatten>(),
                     std::make_unique<nn::Linear>(nn::LinearOptions{.in_features = 8 * 10 * 10, .out_features = 9}));
  nn::initialize(net, Rng(1, "init"));
  train::Observer quiet;
  train::warm_up(net, data, {.epochs = 8, .lr = 0.05}, quiet);
  Rng rng(1, "draw");
  for (const bool drawn : {false, true}) {
    MixPrec search(net, {.input_shape = {1, 12, 12},
                         .w_mixprec_type = MixPrecType::PER_CHANNEL,
                         .calibration = train::calibration_batches(data.train, 128, /*seed=*/1)});
    optim::Adam weights({{.parameters = search.net_parameters()}}, {.lr = 1e-3});
    optim::Adam alphas({{.parameters = search.nas_parameters()}}, {.lr = 3e-2});
    const auto cost = [&](const Thetas& t) { return scale(search.get_regularization_loss(t), 5e-6); };
    data::Loader loader(data.train, {.batch_size = 64, .shuffle = true, .seed = 1});
    for (int epoch = 0; epoch < 6; ++epoch) {
      search.set_temperature(std::pow(0.5, epoch));
      loader.start(epoch);
      for (int64_t i = 0; i < loader.batches(); ++i) {
        const auto sample = [&] { return drawn ? draw(search, rng) : search.sample(); };
        train::step(search.graph(), loader.batch(i), {.sample = sample, .regularization = cost});
        weights.step();
        alphas.step();
      }
    }
    fmt::print("{:<8} {:.0f} bits, accuracy {:.3f}\n", drawn ? "drawn" : "softmax", search.discrete_cost(),
               train::evaluate(search.arch_export(), data.test).value());
  }
}

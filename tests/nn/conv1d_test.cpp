// SPDX-License-Identifier: Apache-2.0
#include "../networks.h"

#include <doctest/doctest.h>

using namespace mixgrad;

TEST_CASE("Conv1d: computes the sum over a window of the signal") {
  nn::Conv1d conv({.in_channels = 2, .out_channels = 3, .kernel = 3, .stride = 2, .padding = 1});
  Rng rng(3, "test");
  for (float& v : conv.weight.data()) v = static_cast<float>(rng.uniform(-1, 1));
  for (float& v : conv.bias.data()) v = static_cast<float>(rng.uniform(-1, 1));
  const Tensor x = test::random_batch(2, {2, 1, 9}, 2, 4).x;
  const std::vector<float> in = x.to_vector(), w = conv.weight.to_vector(), b = conv.bias.to_vector();
  const Tensor y = conv(x);
  REQUIRE(y.shape() == Shape{2, 3, 1, 5});
  const std::vector<float> out = y.to_vector();
  for (size_t n = 0; n < 2; ++n) {
    for (size_t o = 0; o < 3; ++o) {
      for (size_t l = 0; l < 5; ++l) {
        double sum = b[o];
        for (size_t c = 0; c < 2; ++c) {
          for (size_t k = 0; k < 3; ++k) {
            const size_t at = 2 * l + k;  // padded by one
            if (at >= 1 && at <= 9) sum += static_cast<double>(in[(n * 2 + c) * 9 + at - 1]) * w[(o * 2 + c) * 3 + k];
          }
        }
        CHECK(out[(n * 3 + o) * 5 + l] == doctest::Approx(sum).epsilon(1e-5));
      }
    }
  }
}

TEST_CASE("Conv1d: networks with it convert, search and export") {
  nn::Sequential net(
      std::make_unique<nn::Conv1d>(nn::Conv1dOptions{.in_channels = 2, .out_channels = 8, .kernel = 5, .padding = 2}),
      std::make_unique<nn::ReLU>(),
      std::make_unique<nn::Conv1d>(nn::Conv1dOptions{.in_channels = 8, .out_channels = 8, .padding = 1, .groups = 8}),
      std::make_unique<nn::ReLU>(), std::make_unique<nn::GlobalAvgPool2d>(), std::make_unique<nn::Flatten>(),
      std::make_unique<nn::Linear>(nn::LinearOptions{.in_features = 8, .out_features = 3}));
  nn::initialize(net, Rng(1, "init"));
  const data::Batch batch = test::random_batch(4, {2, 1, 16}, 3, 2);
  MixPrec search(net, {.input_shape = {2, 1, 16},
                       .weight_precisions = {0, 2, 8},
                       .w_mixprec_type = MixPrecType::PER_CHANNEL,
                       .calibration = {batch.x}});
  test::randomize_architecture(search, 3);
  const Tensor before = discretize(search.graph()).forward(batch.x), after = search.arch_export().forward(batch.x);
  for (size_t i = 0; i < before.data().size(); ++i)
    CHECK(after.data()[i] == doctest::Approx(before.data()[i]).epsilon(1e-5));
  const std::vector<LayerSummary> layers = search.arch_summary();
  REQUIRE(layers.size() == 3);
  const double live = static_cast<double>(layers[0].weight_bits.size()),
               classes = static_cast<double>(layers[2].weight_bits.size());
  REQUIRE(live < 8);
  CHECK(layers[1].weight_bits.size() == layers[0].weight_bits.size());  // depthwise: both lose the channel
  CHECK(cost::discrete(search.graph(), cost::ops()) == 16 * 5 * 2 * live + 16 * 3 * live + live * classes);
}

// SPDX-License-Identifier: Apache-2.0
// Training works: in each phase, one epoch on the built-in images lifts a network's accuracy well above chance.
#include "../networks.h"

#include <doctest/doctest.h>

#include <array>
#include <cmath>

using namespace mixgrad;

namespace {

/// On 1,000 images of ten classes, an untrained network reaches 10%. 15% would be 5 standard deviations of luck; 20% is
/// out of reach.
constexpr double most_untrained = 0.15, least_trained = 0.2;

const Shape picture{3, 32, 32};

/// The digits are hard: to learn them in a single epoch takes small batches and many images.
data::Splits pictures(int64_t train) { return data::glyphs(3, 0.05, {.train = train, .test = 1000}); }

nn::Sequential untrained() {
  const auto conv = [](int64_t in, int64_t out) {
    return std::make_unique<nn::Conv2d>(
        nn::Conv2dOptions{.in_channels = in, .out_channels = out, .stride = {2, 2}, .padding = {1, 1}});
  };
  const auto norm = [](int64_t channels) { return std::make_unique<nn::BatchNorm2d>(channels); };
  const auto relu = [] { return std::make_unique<nn::ReLU>(); };
  return nn::Sequential(conv(3, 16), norm(16), relu(), conv(16, 32), norm(32), relu(), conv(32, 64), norm(64), relu(),
                        std::make_unique<nn::Flatten>(),
                        std::make_unique<nn::Linear>(nn::LinearOptions{.in_features = 64 * 4 * 4, .out_features = 10}));
}

/// Replaces the weights of the classifier by random ones.
void forget_classes(Graph& graph) {
  const Node& last = graph.nodes[static_cast<size_t>(graph.output)];
  REQUIRE(last.as<op::Linear>());
  Rng rng(7, "forget");
  const double bound = 1 / std::sqrt(static_cast<double>(last.weight().dim(1)));
  for (float& w : last.weight().data()) w = static_cast<float>(rng.uniform(-bound, bound));
  for (float& b : last.bias().data()) b = 0;
}

}  // namespace

TEST_CASE("training learns: an epoch each of float training, search and fine-tuning lifts a network above chance") {
  nn::Sequential net = untrained();
  nn::initialize(net, Rng(1, "init"));
  train::Observer quiet;
  const data::Splits many = pictures(24000), few = pictures(4000);
  const auto accuracy = [&](const Graph& graph) { return train::evaluate(graph, many.test).value(); };

  CHECK(accuracy(simplified(net, picture)) < most_untrained);
  train::warm_up(net, many, {.epochs = 1, .batch_size = 32, .lr = 0.05}, quiet);
  Graph start = simplified(net, picture);
  CHECK(accuracy(start) > least_trained);

  forget_classes(start);
  MixPrec search(start.clone(), {.activation_precisions = {4, 8},
                                 .weight_precisions = {2, 4, 8},
                                 .w_mixprec_type = MixPrecType::PER_CHANNEL,
                                 .calibration = train::calibration_batches(few.train, 128, 1),
                                 .input_range = few.train.known_range()});
  const double size = search.discrete_cost();
  CHECK(accuracy(discretize(search.graph())) < most_untrained);
  train::SearchSchedule schedule;
  schedule.epochs = 1;
  schedule.batch_size = 32;
  schedule.lr = 1e-3;
  schedule.arch_lr = 0.05;
  schedule.strength = 5 / size;
  schedule.tau_start = 1;
  train::search(search, few, schedule, quiet);
  CHECK(accuracy(discretize(search.graph())) > least_trained);
  CHECK(search.discrete_cost() < 0.9 * size);  // of the arg max bit-widths

  Graph found = search.arch_export();
  forget_classes(found);
  CHECK(accuracy(found) < most_untrained);
  train::fine_tune(found, few, {.epochs = 1, .batch_size = 32, .lr = 1e-3}, search.regularizer(), quiet);
  CHECK(accuracy(found) > least_trained);
}

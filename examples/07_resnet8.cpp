// SPDX-License-Identifier: Apache-2.0
// Shows: the whole method as your own training loop: a network, a float warm-up, MixPrec, the search, the export,
//   fine-tuning. README.md contains this program.
// Prints: the size of the network after every search epoch, and the accuracy of the network found, which is saved in
//   resnet8.safetensors.
// Run: build/examples/07_resnet8 [IMAGES]   (about a minute; with 256 images a second, at a much lower accuracy)
#include <mixgrad/mixgrad.h>

#include <fmt/core.h>

#include <cmath>
#include <cstdlib>

using namespace mixgrad;

int main(int argc, char** argv) {
  const int64_t images = argc > 1 ? std::atoll(argv[1]) : 8000;
  const data::Splits data = data::glyphs(/*seed=*/1, /*validation_share=*/0.1, {.train = images, .test = images / 4});
  const auto net = models::resnet8(/*classes=*/10);  // or any nn::Module of your own
  nn::initialize(*net, Rng(1, "init"));

  train::Observer quiet;
  train::warm_up(*net, data, {.epochs = 4, .augmentation = {.crop = 2}}, quiet);

  MixPrec search(*net, {.input_shape = {3, 32, 32},
                        .activation_precisions = {8},
                        .weight_precisions = {2, 4, 8},
                        .w_mixprec_type = MixPrecType::PER_CHANNEL,
                        .regularizer = "size",
                        .calibration = train::calibration_batches(data.train, 128, /*seed=*/1),
                        .input_range = data.train.known_range()});
  optim::Adam weights({{.parameters = search.net_parameters()}}, {.lr = 1e-3});
  optim::Adam alphas({{.parameters = search.nas_parameters()}}, {.lr = 1e-2});
  const double strength = 0.6 / cost::uniform(search.graph(), search.regularizer(), 8);

  data::Loader loader(data.train, {.batch_size = 128, .shuffle = true, .augmentation = {.crop = 2}, .seed = 1});
  for (int epoch = 0; epoch < 3; ++epoch) {
    search.set_temperature(5.0 * std::pow(0.1, epoch));
    loader.start(epoch);
    for (int64_t i = 0; i < loader.batches(); ++i) {
      // Forward and backward pass of task + strength · cost; each micro-batch runs on one thread.
      train::step(search.graph(), loader.batch(i),
                  {.sample = [&] { return search.sample(); },
                   .regularization =
                       [&](const Thetas& theta) { return scale(search.get_regularization_loss(theta), strength); }});
      weights.step();
      alphas.step();
    }
    fmt::print("epoch {}: {:.0f} bits\n", epoch, search.discrete_cost());
  }

  Graph found = search.arch_export();
  train::fine_tune(found, data, {.epochs = 2, .lr = 1e-3, .augmentation = {.crop = 2}}, search.regularizer(), quiet);
  fmt::print("accuracy {:.4f} with {:.1f} KiB of weights\n", train::evaluate(found, data.test).value(),
             cost::discrete(found, cost::size()) / 8192);
  save(found, "resnet8.safetensors");
}

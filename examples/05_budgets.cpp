// SPDX-License-Identifier: Apache-2.0
// Shows: budgets. A strength in front of the cost does not say where a search will end; a target does: the loss then
//   charges for what exceeds the limit, more and more, and the discrete network is lowered until it fits.
// Prints: the size that searches with different strengths end at, as a share of 8-bit weights; then, for a target, the
//   expected size and that of the likeliest bits after every epoch, and the size of the network that is exported.
// Run: build/examples/05_budgets   (some 10 seconds)
#include <mixgrad/mixgrad.h>

#include <fmt/core.h>

#include <string>

using namespace mixgrad;

namespace {

const data::Splits images = data::glyphs(/*seed=*/1, /*validation_share=*/0.1, {.train = 256, .test = 64});

MixPrec new_search(nn::Module& net) {
  return {net,
          {.input_shape = {3, 32, 32},
           .weight_precisions = {2, 4, 8},
           .w_mixprec_type = MixPrecType::PER_CHANNEL,
           .regularizer = "size",
           .calibration = train::calibration_batches(images.train, 64, /*seed=*/1),
           .input_range = images.train.known_range()}};
}

train::SearchSchedule schedule_of(int epochs) {
  train::SearchSchedule out;
  out.epochs = epochs;
  out.batch_size = 64;
  out.lr = 1e-3;
  out.arch_lr = 0.05;
  return out;
}

std::string bar(double share) { return std::string(static_cast<size_t>(40 * share + 0.5), '#'); }

/// Prints sizes after every epoch.
struct Sizes : train::Observer {
  explicit Sizes(double most_bits) : most(most_bits) {}
  void on_epoch(const train::EpochReport& r) override {
    fmt::print("{:>5}  {:>7.1f}%  {:>7.1f}%  {}\n", r.epoch, 100 * r.cost_soft / most, 100 * r.cost_discrete / most,
               bar(r.cost_soft / most));
  }
  double most;
};

}  // namespace

int main() {
  const auto net = models::resnet8();
  nn::initialize(*net, Rng(1, "init"));
  const double at_8_bits = cost::uniform(new_search(*net).graph(), cost::size(), 8);

  fmt::print("strength  size\n");
  for (const double strength : {1e-8, 1e-7, 1e-6, 1e-5}) {
    MixPrec search = new_search(*net);
    train::SearchSchedule schedule = schedule_of(4);
    schedule.strength = strength;
    train::Observer quiet;
    train::search(search, images, schedule, quiet);
    const double share = cost::discrete(search.arch_export(), cost::size()) / at_8_bits;
    fmt::print("{:>8}  {:>5.1f}%  {}\n", strength, 100 * share, bar(share));
  }

  const Target target{.model = cost::size(), .limit = 0.4 * at_8_bits};
  MixPrec search = new_search(*net);
  train::SearchSchedule schedule = schedule_of(8);
  schedule.targets = {target};
  fmt::print("\ntarget: 40%\nepoch  expected  likeliest\n");
  Sizes observer(at_8_bits);
  train::search(search, images, schedule, observer);
  const Graph found = search.arch_export({.targets = std::span(&target, 1)});
  fmt::print("exported: {:.1f}%\n", 100 * cost::discrete(found, cost::size()) / at_8_bits);
}

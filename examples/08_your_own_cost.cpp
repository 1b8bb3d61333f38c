// SPDX-License-Identifier: Apache-2.0
// Shows: your own costs. A chip that is well described by a cost per multiply-accumulate needs only a table (in a file:
//   --target table:FILE.toml). Any other cost is one function of a layer, made of differentiable ops.
// Prints: the costs of resnet8 at uniform 8 bits, the bits that a short search finds when both costs must be halved,
//   and the costs of the result.
// Run: build/examples/08_your_own_cost
#include <mixgrad/mixgrad.h>

#include <fmt/core.h>

#include <map>
#include <vector>

using namespace mixgrad;

namespace {

/// Cycles on a chip with 8-bit inputs, whose multipliers do two 4-bit or four 2-bit products in place of one 8-bit
/// product, for 8 channels of the same precision at a time.
cost::Model cycles() {
  cost::Table table{.name = "cycles", .unit = "cycles", .tile = 8, .per_mac = {}};
  for (const cost::LayerKind kind : cost::layer_kinds) {
    for (const int bits : {2, 4, 8}) table.per_mac[{kind, 8, bits}] = bits / 8.0;
  }
  return cost::look_up(table, "cycles of our chip");
}

/// Number of 32-byte transfers needed to read each layer's weights from flash memory. ceil_div rounds up, with the
/// gradient of the division.
cost::Model flash_reads() {
  return cost::sum_over_layers("flash-reads", "transfers", "reads of weights", [](const cost::Layer& layer) {
    const auto positions = static_cast<double>(layer.kernel_positions());
    const cost::Value bits = product(layer.weight_bits_over_channels(), layer.live_inputs, positions);
    return ceil_div(bits, 32 * 8);
  });
}

}  // namespace

int main() {
  const data::Splits data = data::glyphs(/*seed=*/1, /*validation_share=*/0.1, {.train = 512, .test = 128});
  const auto net = models::resnet8();
  nn::initialize(*net, Rng(1, "init"));
  MixPrec search(*net, {.input_shape = {3, 32, 32},
                        .weight_precisions = {2, 4, 8},
                        .w_mixprec_type = MixPrecType::PER_CHANNEL,
                        .calibration = train::calibration_batches(data.train, 128, /*seed=*/1),
                        .input_range = data.train.known_range()});

  std::vector<Target> targets;
  for (const cost::Model& model : {cycles(), flash_reads()}) {
    const double at_8_bits = cost::uniform(search.graph(), model, 8);
    fmt::print("{}: {:.0f} {} at uniform 8 bits\n", model.name, at_8_bits, model.unit);
    targets.push_back({.model = model, .limit = at_8_bits / 2});
  }

  train::Observer quiet;
  train::SearchSchedule schedule;
  schedule.epochs = 2;
  schedule.lr = 1e-3;
  schedule.targets = targets;
  train::search(search, data, schedule, quiet);

  const Graph found = search.arch_export({.targets = targets});
  for (const LayerSummary& layer : summarize(found, search.graph())) {
    std::map<int, int> channels;
    for (const int bits : layer.weight_bits) ++channels[bits];
    fmt::print("{:<16} channels at 2, 4, 8 bits: {:>2} {:>2} {:>2}\n", layer.name, channels[2], channels[4],
               channels[8]);
  }
  for (const Target& t : targets)
    fmt::print("{}: {:.0f} of at most {:.0f} {}\n", t.model.name, cost::discrete(found, t.model), t.limit,
               t.model.unit);
}

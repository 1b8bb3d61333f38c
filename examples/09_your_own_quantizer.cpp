// SPDX-License-Identifier: Apache-2.0
// Shows: your own quantizer, a value with four formulas, which replaces PACT everywhere, including in files.
// Prints: the steps of activations under PACT and under a quantizer whose steps are powers of two, the accuracy with
//   each after the same training, and how well the integer network agrees.
// Run: build/examples/09_your_own_quantizer
#include <mixgrad/mixgrad.h>

#include <fmt/core.h>

#include <algorithm>
#include <cmath>

using namespace mixgrad;

namespace {

/// Codes x / s, where s is the smallest power of two that is at least clip / high: a device can requantize by shifting.
struct PowerOfTwo {
  static float step(float clip, CodeRange r) { return std::exp2(std::ceil(std::log2(clip / r.high))); }
  static float code(float x, float clip, CodeRange r) {
    return std::rint(std::clamp(x / step(clip, r), r.low, r.high));
  }
  /// {∂x̂/∂x, ∂x̂/∂clip}: straight-through within the range; outside, x̂ is an end of the range, which moves with clip.
  static std::pair<float, float> slopes(float x, float clip, CodeRange r) {
    const float steps = x / step(clip, r);
    if (steps > r.low && steps < r.high) return {1, 0};
    return {0, steps <= r.low ? r.low / r.high : 1};
  }
  static double clip_scale(int64_t, CodeRange) { return 1; }
};

std::shared_ptr<const ActivationQuantizer> power_of_two() {
  auto q = std::make_shared<ActivationQuantizer>(quant::elementwise<PowerOfTwo>("power-of-two"));
  q->rounds_to_nearest = true;  // required for integer networks
  return q;
}

/// 12 × 12 grey pixels of noise, brighter in one of nine squares; the square is the class.
data::Dataset spots(const char* name, int64_t count) {
  data::Dataset set{.name = name, .channels = 1, .height = 12, .width = 12};
  set.class_names.assign({"0", "1", "2", "3", "4", "5", "6", "7", "8"});
  Rng rng(1, name);
  for (int64_t i = 0; i < count; ++i) {
    set.labels.push_back(static_cast<int32_t>(rng.below(9)));
    for (int at = 0; at < 144; ++at) {
      const bool bright = at / 48 * 3 + at % 12 / 4 == set.labels.back();
      set.pixels.push_back(static_cast<uint8_t>(rng.below(200) + (bright ? 50 : 0)));
    }
  }
  return set;
}

}  // namespace

int main() {
  const data::Splits data = data::hold_out(spots("train", 2000), spots("test", 500), /*seed=*/1, 0.1);
  const auto net = std::make_unique<nn::Sequential>(
      std::make_unique<nn::Conv2d>(nn::Conv2dOptions{.in_channels = 1, .out_channels = 8, .padding = {1, 1}}),
      std::make_unique<nn::ReLU>(), std::make_unique<nn::MaxPool2d>(Pool2dAttrs{}), std::make_unique<nn::Flatten>(),
      std::make_unique<nn::Linear>(nn::LinearOptions{.in_features = 8 * 6 * 6, .out_features = 9}));
  nn::initialize(*net, Rng(1, "init"));
  train::Observer quiet;
  train::warm_up(*net, data, {.epochs = 8, .lr = 0.05}, quiet);

  for (const auto& quantizer : {quant::find_activation("pact"), power_of_two()}) {
    const MixPrec search(*net, {.input_shape = {1, 12, 12},
                                .activation_precisions = {4},
                                .weight_precisions = {4},
                                .calibration = train::calibration_batches(data.train, 128, /*seed=*/1),
                                .input_range = data.train.known_range(),
                                .activation_quantizer = quantizer});
    Graph found = search.arch_export();
    train::fine_tune(found, data, {.epochs = 2, .lr = 1e-3}, search.regularizer(), quiet);
    const Agreement integers = compare(found, to_integer(found), data.test);
    fmt::print("{:<13} steps", quantizer->name);
    for (const auto& slot : found.activation_slots()) fmt::print(" {:.5f}", slot->step());
    fmt::print("  accuracy {:.3f}, ", train::evaluate(found, data.test).value());
    fmt::print("integers agree on {} of {} images\n", integers.same_top1, integers.images);
  }
}

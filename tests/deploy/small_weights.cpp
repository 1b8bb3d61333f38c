// SPDX-License-Identifier: Apache-2.0
#include "small_weights.h"

#include "../networks.h"

#include <fmt/core.h>

namespace mixgrad::test {
namespace {

const Shape input = {3, 8, 8};
constexpr int64_t channels = 10;

class Net : public nn::Module {
 public:
  explicit Net(float largest)
      : conv1_({.in_channels = 3, .out_channels = channels, .padding = {1, 1}, .bias = false}),
        norm1_(channels),
        conv2_({.in_channels = channels, .out_channels = channels, .bias = false}),
        norm2_(channels),
        fc_({.in_features = channels, .out_features = 4}) {
    add_module("conv1", conv1_);
    add_module("norm1", norm1_);
    add_module("conv2", conv2_);
    add_module("norm2", norm2_);
    add_module("fc", fc_);
    nn::initialize(*this, Rng(3, "init"));
    constexpr float gammas[channels] = {1, 0.5F, 1e-3F, 1e-5F, 1e-8F, 1e-12F, 1e-20F, 1e-30F, 1e-38F, 0};
    for (const int64_t turn : {0, 1}) {
      const nn::BatchNorm2d& norm = turn == 0 ? norm1_ : norm2_;
      for (int64_t c = 0; c < channels; ++c) {
        const float size = c < 2 ? 0.1F : largest / static_cast<float>(1 + (c + turn) % 4);
        const auto at = static_cast<size_t>(c);
        norm.gamma.data()[at] = gammas[c];
        norm.beta.data()[at] = (c + turn) % 3 == 2 ? -size : size;
      }
    }
  }
  Tensor forward(const Tensor& x) override {
    return fc_(flatten(global_avg_pool2d(relu(norm2_(conv2_(relu(norm1_(conv1_(x)))))))));
  }

 private:
  nn::Conv2d conv1_;
  nn::BatchNorm2d norm1_;
  nn::Conv2d conv2_;
  nn::BatchNorm2d norm2_;
  nn::Linear fc_;
};

}  // namespace

Graph float_with_small_weights(float largest) {
  Net net(largest);
  return simplified(net, input);
}

FormCase coded_with_small_weights(float largest, MixPrecType type) {
  MixPrec search(float_with_small_weights(largest), {.input_shape = input,
                                                     .activation_precisions = {8},
                                                     .weight_precisions = {8},
                                                     .w_mixprec_type = type,
                                                     .calibration = {random_batch(4, input, 2, 5).x}});
  return {fmt::format("biases up to {}", largest), search.arch_export(), random_images(20, input, 3)};
}

std::vector<FormCase> networks_with_small_weights() {
  std::vector<FormCase> out;
  for (const float largest : {1e-3F, 2.0F, 1e4F}) {
    for (const MixPrecType type : {MixPrecType::PER_LAYER, MixPrecType::PER_CHANNEL})
      out.push_back(coded_with_small_weights(largest, type));
  }
  return out;
}

}  // namespace mixgrad::test

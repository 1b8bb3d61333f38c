// SPDX-License-Identifier: Apache-2.0
#include "separable.h"

namespace mixgrad::models {

SeparableNet::SeparableNet(const nn::Conv2dOptions& first, std::initializer_list<Step> steps, int64_t classes)
    : conv_(first) {
  add_module("conv", conv_);
  int64_t channels = first.out_channels;
  for (const Step& step : steps) {
    blocks_.push_back(std::make_unique<Separable>(channels, step.out, step.stride));
    add_module("block" + std::to_string(blocks_.size()), *blocks_.back());
    channels = step.out;
  }
  fc_ = std::make_unique<nn::Linear>(nn::LinearOptions{.in_features = channels, .out_features = classes});
  add_module("fc", *fc_);
}

Tensor SeparableNet::forward(const Tensor& x) {
  Tensor y = conv_(x);
  for (const auto& block : blocks_) y = (*block)(y);
  return (*fc_)(flatten(global_avg_pool2d(y)));
}

}  // namespace mixgrad::models

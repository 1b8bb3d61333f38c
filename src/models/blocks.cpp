// SPDX-License-Identifier: Apache-2.0
#include "blocks.h"

#include <algorithm>

namespace mixgrad::models {

int64_t scaled(int64_t channels, double width) {
  const double exact = static_cast<double>(channels) * width;
  const int64_t nearest = std::max<int64_t>(8, static_cast<int64_t>(exact + 4) / 8 * 8);
  return static_cast<double>(nearest) < 0.9 * exact ? nearest + 8 : nearest;
}

nn::Conv2dOptions same_conv(int64_t in, int64_t out, int64_t kernel, int64_t stride) {
  return {.in_channels = in,
          .out_channels = out,
          .kernel = {kernel, kernel},
          .stride = {stride, stride},
          .padding = {kernel / 2, kernel / 2}};
}

nn::Conv2dOptions depthwise_conv(int64_t channels, int64_t kernel, int64_t stride) {
  nn::Conv2dOptions options = same_conv(channels, channels, kernel, stride);
  options.groups = channels;
  return options;
}

void Chain::classify(int64_t features, int64_t classes) {
  fc_ = std::make_unique<nn::Linear>(nn::LinearOptions{.in_features = features, .out_features = classes});
  add_module("fc", *fc_);
}

Tensor Chain::forward(const Tensor& x) {
  Tensor y = x;
  for (const auto& module : modules_) y = (*module)(y);
  return fc_ ? (*fc_)(flatten(global_avg_pool2d(y))) : y;
}

}  // namespace mixgrad::models

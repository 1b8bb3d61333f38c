// SPDX-License-Identifier: Apache-2.0
#include "blocks.h"

#include <mixgrad/models.h>

namespace mixgrad::models {

std::unique_ptr<nn::Module> ds_cnn(int64_t classes, int64_t channels) {
  auto net = std::make_unique<Chain>();
  net->append<ConvBlock>(
      "conv", nn::Conv2dOptions{
                  .in_channels = channels, .out_channels = 64, .kernel = {10, 4}, .stride = {2, 2}, .padding = {5, 1}});
  for (const char* name : {"block1", "block2", "block3", "block4"}) net->append<Separable>(name, 64, 64, 1);
  net->classify(64, classes);
  return net;
}

}  // namespace mixgrad::models

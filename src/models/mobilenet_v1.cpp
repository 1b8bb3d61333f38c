// SPDX-License-Identifier: Apache-2.0
#include "blocks.h"

#include <mixgrad/models.h>

namespace mixgrad::models {

std::unique_ptr<nn::Module> mobilenet_v1(int64_t classes, int64_t channels) {
  struct Step {
    int64_t out, stride;
  };
  auto net = std::make_unique<Chain>();
  net->append<ConvBlock>("conv", same_conv(channels, 8, 3, 2));
  int64_t in = 8;
  int block = 0;
  for (const Step& step : {Step{16, 1},
                           {32, 2},
                           {32, 1},
                           {64, 2},
                           {64, 1},
                           {128, 2},
                           {128, 1},
                           {128, 1},
                           {128, 1},
                           {128, 1},
                           {128, 1},
                           {256, 2},
                           {256, 1}}) {
    net->append<Separable>("block" + std::to_string(++block), in, step.out, step.stride);
    in = step.out;
  }
  net->classify(in, classes);
  return net;
}

}  // namespace mixgrad::models

// SPDX-License-Identifier: Apache-2.0
#include "separable.h"

#include <mixgrad/models.h>

namespace mixgrad::models {

std::unique_ptr<nn::Module> mobilenet_v1(int64_t classes, int64_t channels) {
  const nn::Conv2dOptions first{
      .in_channels = channels, .out_channels = 8, .kernel = {3, 3}, .stride = {2, 2}, .padding = {1, 1}};
  const std::initializer_list<SeparableNet::Step> steps = {{16, 1},  {32, 2},  {32, 1},  {64, 2},  {64, 1},
                                                           {128, 2}, {128, 1}, {128, 1}, {128, 1}, {128, 1},
                                                           {128, 1}, {256, 2}, {256, 1}};
  return std::make_unique<SeparableNet>(first, steps, classes);
}

}  // namespace mixgrad::models

// SPDX-License-Identifier: Apache-2.0
#include "separable.h"

#include <mixgrad/models.h>

namespace mixgrad::models {

std::unique_ptr<nn::Module> ds_cnn(int64_t classes, int64_t channels) {
  const nn::Conv2dOptions first{
      .in_channels = channels, .out_channels = 64, .kernel = {10, 4}, .stride = {2, 2}, .padding = {5, 1}};
  return std::make_unique<SeparableNet>(
      first, std::initializer_list<SeparableNet::Step>{{64, 1}, {64, 1}, {64, 1}, {64, 1}}, classes);
}

}  // namespace mixgrad::models

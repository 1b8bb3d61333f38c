// SPDX-License-Identifier: Apache-2.0
#include "inverted_residual.h"

#include <algorithm>

namespace mixgrad::models {

std::unique_ptr<nn::Module> mobilenet_v2(const ClassifierOptions& o) {
  static constexpr InvertedResidualStage stages[] = {{1, 16, 1, 1, 3}, {6, 24, 2, 2, 3}, {6, 32, 3, 2, 3},
                                                     {6, 64, 4, 2, 3}, {6, 96, 3, 1, 3}, {6, 160, 3, 2, 3},
                                                     {6, 320, 1, 1, 3}};  // Sandler et al. 2018, table 2
  const int64_t last = scaled(1280, std::max(o.width, 1.0));              // §4: never fewer than 1280
  return inverted_residual_net(stages, scaled(32, o.width), last, o);
}

}  // namespace mixgrad::models

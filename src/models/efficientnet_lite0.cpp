// SPDX-License-Identifier: Apache-2.0
#include "inverted_residual.h"

namespace mixgrad::models {

std::unique_ptr<nn::Module> efficientnet_lite0(const ClassifierOptions& o) {
  static constexpr InvertedResidualStage stages[] = {{1, 16, 1, 1, 3}, {6, 24, 2, 2, 3},  {6, 40, 2, 2, 5},
                                                     {6, 80, 3, 2, 3}, {6, 112, 3, 1, 5}, {6, 192, 4, 2, 5},
                                                     {6, 320, 1, 1, 3}};  // Tan and Le 2019, table 1
  constexpr int64_t first = 32, last = 1280;                              // in all sizes of EfficientNet-Lite
  return inverted_residual_net(stages, first, last, o);
}

}  // namespace mixgrad::models

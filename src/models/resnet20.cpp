// SPDX-License-Identifier: Apache-2.0
#include "residual.h"

#include <mixgrad/models.h>

namespace mixgrad::models {

std::unique_ptr<nn::Module> resnet20(int64_t classes, int64_t channels) { return residual_net(3, classes, channels); }

}  // namespace mixgrad::models

// SPDX-License-Identifier: Apache-2.0
#include "residual.h"

#include <mixgrad/models.h>

namespace mixgrad::models {

std::unique_ptr<nn::Module> resnet8(int64_t classes, int64_t channels) { return residual_net(1, classes, channels); }

}  // namespace mixgrad::models

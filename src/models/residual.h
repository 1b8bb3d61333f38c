// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <mixgrad/nn.h>

namespace mixgrad::models {

/// A residual network for small images (He et al. 2016, arXiv 1512.03385, §4.2): a 3×3 convolution to 16 channels,
/// three stages of `blocks` residual blocks with 16, 32 and 64 channels, global average pooling and a linear layer.
std::unique_ptr<nn::Module> residual_net(int blocks, int64_t classes, int64_t channels);

}  // namespace mixgrad::models

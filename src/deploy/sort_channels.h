// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <mixgrad/deploy.h>

namespace mixgrad {

/// Orders channels by the precision of the layers that make them, in those layers and whatever reads them. Tensors that
/// meet in an Add, or that a pool or depthwise layer hands on, keep one order; the network's input and result keep
/// theirs.
IntegerNetwork sort_channels(IntegerNetwork network);

}  // namespace mixgrad

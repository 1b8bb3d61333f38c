// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <mixgrad/deploy.h>

namespace mixgrad {

/// Sorts channels by the precision of the layers that produce them, in those layers and their consumers. Tensors that
/// meet in an Add, or are linked by a pool or a depthwise layer, share one order; the network's input and result keep
/// theirs. A Concat has the orders of its inputs.
IntegerNetwork sort_channels(IntegerNetwork network);

}  // namespace mixgrad

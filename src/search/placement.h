// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <mixgrad/graph.h>

namespace mixgrad {

/// Initializes the learned scales of a layer, one per candidate and channel, from its weights. Does nothing if its
/// weight quantizer learns no scales.
void start_scales(Node& node);

}  // namespace mixgrad

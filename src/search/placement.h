// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <mixgrad/graph.h>

namespace mixgrad {

/// Where a layer's weight quantizer learns its scales: one for each candidate and channel, from the weights as they
/// are.
void start_scales(Node& node);

}  // namespace mixgrad

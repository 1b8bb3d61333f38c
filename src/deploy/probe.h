// SPDX-License-Identifier: Apache-2.0
// Discrete networks with random weights to measure operators on.
#pragma once

#include <mixgrad/graph.h>

#include <string>

namespace mixgrad {

/// Layers of every kind but transposed convolutions, with weights of `bits`.
Graph probe_of_layers(int bits);
/// Transposed convolutions, whose functions in C would slow down other layers of their network.
Graph probe_of_transposed(int bits);
/// Every other operator that takes time on a device.
Graph probe_of_others();
/// A built-in network with weights of 8 bits.
Graph probe_of_model(const std::string& name);

}  // namespace mixgrad

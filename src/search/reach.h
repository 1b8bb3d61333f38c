// SPDX-License-Identifier: Apache-2.0
// Whether there is a network within all targets, whatever α prefers.
#pragma once

#include "assignment.h"

namespace mixgrad {

/// Leads `a` to a network within all targets, or, where none is found, to the one that exceeds them least; for one
/// target that is the cheapest. Which networks are tried does not depend on α, but that the one at hand is among them.
///
/// Tried: all choices at their lowest; the uniform networks; descents from these and from the one at hand; for several
/// targets descents of their weighted sum, at weights that follow what is exceeded. Descents find the cheapest network
/// of a cost that adds up layers by their weight and input bits (every built-in one but activations, for which the
/// lowest choices are the cheapest, and peak-ram, which depends on pruned channels alone; tables of any shape, tiles
/// too), as long as no channels are pruned. With pruning, costs of the user's own or several targets they are a search,
/// which may miss what is there; but networks so small that all can be counted are, and then the answer is exact.
bool reach(Assignment& a, std::span<const Target> targets);

/// The same; throws what check_reachable(searched, targets) throws where no network is found.
void reach_or_refuse(const Graph& searched, Assignment& a, std::span<const Target> targets);

/// Throws bad_input with what the cheapest network costs, its share of `network` at uniform 8 bits where that has a
/// cost, and the model's reason. `how` restricts what was tried (" at one bit-width").
[[noreturn]] void refuse_target(const Target& target, const Graph& network, const Graph& cheapest,
                                const char* how = "");

}  // namespace mixgrad

// SPDX-License-Identifier: Apache-2.0
// Finds out whether any network meets all targets, whatever α prefers.
#pragma once

#include "assignment.h"

namespace mixgrad {

/// Moves `a` to a network that meets all targets or, if none is found, to the one that exceeds them least; for a single
/// target that is the cheapest. Except for the network in `a`, the networks tried don't depend on α.
///
/// Tried are all choices at their lowest, the uniform networks, descents from these and from the network in `a`, and
/// for several targets descents of their weighted sum, with weights that follow the targets that are exceeded. Without
/// pruning, descents find the cheapest network of every cost that sums over layers by their weight and input bits: all
/// built-in ones (tables and tiles, too) except activations, for which the lowest choices are the cheapest, and
/// peak-ram, which depends on pruned channels only. With pruning, user-defined costs or several targets, they are a
/// search that may miss a network; but networks small enough to enumerate are enumerated, and then the answer is exact.
bool reach(Assignment& a, std::span<const Target> targets);

/// The same, but throws like check_reachable(searched, targets) if no network is found.
void reach_or_refuse(const Graph& searched, Assignment& a, std::span<const Target> targets);

/// Lowers `a` as α prefers until the budget holds. If that leads nowhere, takes any network within the budget and moves
/// it towards α; throws like reach_or_refuse if there is none.
void lower_or_reach(const Graph& searched, Assignment& a, Budget& budget);

/// Throws bad_input with the cost of the cheapest network, its share of `network` at uniform 8 bits if that has a cost,
/// and the model's reason. `how` says how the networks tried were restricted (" at one bit-width").
[[noreturn]] void refuse_target(const Target& target, const Graph& network, const Graph& cheapest,
                                const char* how = "");

}  // namespace mixgrad

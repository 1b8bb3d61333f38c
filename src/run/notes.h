// SPDX-License-Identifier: Apache-2.0
// What users are told about their settings and networks.
#pragma once

#include <mixgrad/run.h>

#include <string>
#include <vector>

namespace mixgrad {

/// The note about a float network that is hardly better than a constant.
std::string near_chance(const RunConfig& config, const train::Score& score);
/// The note about what --loss imitate takes outputs for if nothing names their meaning; "" if something does.
std::string meaning(const RunConfig& config, const train::Task& task);
/// A note for each choice because of which given settings have no effect.
std::vector<std::string> unread(const RunConfig& config);
/// The note about a network without an integer form; `obstacle`: why (check_wishes).
std::string only_simulated(const std::string& obstacle);
/// The note about channels whose weights are too small to set their steps; "" if there are none.
std::string small_weights(const Graph& discrete);

}  // namespace mixgrad

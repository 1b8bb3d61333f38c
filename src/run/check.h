// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <mixgrad/run.h>

#include <string>
#include <vector>

namespace mixgrad {

/// check_possible for one run whose data have been read. Returns why the network found will have no integer form, or ""
/// (integer_obstacle).
std::string check_wishes(const RunConfig& config, const data::Splits& splits);
/// The same for the training of a front: throws bad_input unless it has budgets of each of its costs.
std::string check_front(const RunConfig& config, const data::Splits& splits);

/// The number of budgets that a front has of each cost.
constexpr int segments_of_front = 7;
/// These budgets (front_budgets).
std::vector<Target> budgets_of_front(const RunConfig& config, const Graph& searched, const std::string& cost);

}  // namespace mixgrad

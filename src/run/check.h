// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <mixgrad/run.h>

#include <string>

namespace mixgrad {

/// check_possible of one run whose data are read. Returns why the network found will have no integer form
/// (integer_obstacle).
std::string check_wishes(const RunConfig& config, const data::Splits& splits);

}  // namespace mixgrad

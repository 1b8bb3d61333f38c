// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <mixgrad/run.h>

#include <string>

namespace mixgrad {

/// check_possible for one run whose data have been read. Returns why the network found will have no integer form, or ""
/// (integer_obstacle).
std::string check_wishes(const RunConfig& config, const data::Splits& splits);

}  // namespace mixgrad

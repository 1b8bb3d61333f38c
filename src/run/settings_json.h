// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <mixgrad/run_config.h>

#include <nlohmann/json.hpp>

namespace mixgrad {

/// The settings of `mixgrad search` by name, as in summary.json: null if unset, with absolute paths.
nlohmann::ordered_json settings_json(const RunConfig& config);

}  // namespace mixgrad

// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <mixgrad/run_config.h>

#include <nlohmann/json.hpp>

namespace mixgrad {

/// Every setting by name, as summary.json holds them: null where there is no value, paths absolute.
nlohmann::ordered_json settings_json(const RunConfig& config);

}  // namespace mixgrad

// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <mixgrad/observer.h>

#include <src/internal/json.h>

namespace mixgrad {

/// What metrics.jsonl says of an epoch; numbers that its phase does not have are null.
nlohmann::ordered_json metrics_of(const train::EpochReport& epoch);

}  // namespace mixgrad

// SPDX-License-Identifier: Apache-2.0
// Output of --json.
#pragma once

#include <mixgrad/task.h>

#include <fmt/core.h>
#include <nlohmann/json.hpp>

namespace mixgrad::cli {

/// Prints one line. NaN and infinity become null; invalid UTF-8, as in names of folders, is replaced.
inline void print_json(const nlohmann::ordered_json& object) {
  fmt::print("{}\n", object.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace));
}

/// The accuracy is null if the task has another metric.
inline nlohmann::ordered_json json_of(const train::Score& score) {
  const bool accuracy = score.metric.name == "accuracy";
  return {{"accuracy", accuracy ? nlohmann::ordered_json(score.value()) : nlohmann::ordered_json(nullptr)},
          {"metric", score.metric.name},
          {"value", score.value()},
          {"loss", score.mean_loss()}};
}

}  // namespace mixgrad::cli

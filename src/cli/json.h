// SPDX-License-Identifier: Apache-2.0
// Output of --json.
#pragma once

#include <mixgrad/confusion.h>
#include <mixgrad/task.h>

#include <fmt/core.h>
#include <nlohmann/json.hpp>

namespace mixgrad::cli {

/// NaN and infinity become null; invalid UTF-8, as in names of folders, is replaced.
inline std::string one_line(const nlohmann::ordered_json& object) {
  return object.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace);
}
inline void print_json(const nlohmann::ordered_json& object) { fmt::print("{}\n", one_line(object)); }

/// Adds "classes" and "confusion" (to_json).
inline void add_confusion(nlohmann::ordered_json& object, const train::Confusion& confusion) {
  object.update(nlohmann::ordered_json::parse(train::to_json(confusion)));
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

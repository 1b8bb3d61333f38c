// SPDX-License-Identifier: Apache-2.0
// Output of --json.
#pragma once

#include <mixgrad/confusion.h>
#include <mixgrad/task.h>

#include <src/internal/json.h>

#include <fmt/core.h>

namespace mixgrad::cli {

inline void print_json(const nlohmann::ordered_json& object) { fmt::print("{}\n", json_text(object)); }

/// Adds "classes" and "confusion" (to_json).
inline void add_confusion(nlohmann::ordered_json& object, const train::Confusion& confusion) {
  object.update(parse_ordered_json(train::to_json(confusion)));
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

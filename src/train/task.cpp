// SPDX-License-Identifier: Apache-2.0
#include "tasks.h"

#include <mixgrad/error.h>

#include <fmt/ranges.h>

#include <algorithm>

namespace mixgrad::train {

Score& Score::operator+=(const Score& other) {
  if (images == 0) metric = other.metric;
  loss += other.loss;
  measured += other.measured;
  images += other.images;
  return *this;
}

Score Task::score(const Outcome& outcome, int64_t images, double denominator) const {
  return {.loss = outcome.loss.item() * denominator, .measured = outcome.measured, .images = images, .metric = metric};
}

const std::vector<Task>& tasks() {
  static const std::vector<Task> all = built_in_tasks();
  return all;
}

const Task& find_task(const std::string& name, const std::string& where) {
  const auto found = std::ranges::find(tasks(), name, &Task::name);
  if (found != tasks().end()) return *found;
  std::vector<std::string> names;
  for (const Task& task : tasks()) names.push_back(task.name);
  bad_input("{}: unknown '{}': expected {}", where, name, fmt::join(names, ", "));
}

const Task& task_for(const Task* chosen, const std::string& name, bool has_labels) {
  if (chosen != nullptr) return *chosen;
  if (!name.empty()) return find_task(name);
  return find_task(has_labels ? "classify" : "reconstruct");
}

}  // namespace mixgrad::train

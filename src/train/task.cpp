// SPDX-License-Identifier: Apache-2.0
#include "tasks.h"

#include <mixgrad/error.h>

#include <fmt/ranges.h>

#include <algorithm>
#include <map>

namespace mixgrad::train {

Score& Score::operator+=(const Score& other) {
  if (images == 0) metric = other.metric;
  loss += other.loss;
  measured += other.measured;
  images += other.images;
  counts.resize(std::max(counts.size(), other.counts.size()));
  for (size_t i = 0; i < other.counts.size(); ++i) counts[i] += other.counts[i];
  return *this;
}

int64_t Decisions::correct() const {
  int64_t equal = 0;
  for (size_t i = 0; i < truth.size(); ++i) equal += truth[i] == chosen[i];
  return equal;
}

Score Task::score(const Outcome& outcome, int64_t images, double denominator) const {
  return {.loss = outcome.loss.item() * denominator,
          .measured = outcome.measured,
          .images = images,
          .metric = metric,
          .counts = outcome.counts};
}

std::vector<double> variances_of_values(const data::Dataset& images,
                                        const std::function<Tensor(const data::Batch&)>& rows_of) {
  constexpr int64_t at_once = 256;
  data::Loader loader(images, {.batch_size = at_once});
  std::vector<double> sum, squares;
  for (int64_t i = 0; i < loader.batches(); ++i) {
    const Tensor rows = rows_of(loader.batch(i));
    const auto values = static_cast<size_t>(rows.dim(1));
    sum.resize(values);
    squares.resize(values);
    for (size_t k = 0; k < rows.data().size(); ++k) {
      const double v = rows.data()[k];
      sum[k % values] += v;
      squares[k % values] += v * v;
    }
  }
  const auto n = static_cast<double>(images.size());
  std::vector<double> variances;
  for (size_t k = 0; k < sum.size(); ++k) variances.push_back(squares[k] / n - sum[k] / n * (sum[k] / n));
  return variances;
}

double largest_share(std::span<const int32_t> numbers) {
  std::map<int32_t, int64_t> count;
  int64_t most = 0;
  for (const int32_t number : numbers) most = std::max(most, ++count[number]);
  return static_cast<double>(most) / static_cast<double>(numbers.size());
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

const Task& task_for(const Task* chosen, const std::string& name, data::Known known) {
  if (chosen != nullptr) return *chosen;
  const char* usual = known == data::Known::nothing  ? "reconstruct"
                      : known == data::Known::values ? "regress"
                                                     : "classify";
  const Task& task = find_task(name.empty() ? usual : name);
  return known == data::Known::label_maps && task.on_maps ? *task.on_maps : task;
}

}  // namespace mixgrad::train

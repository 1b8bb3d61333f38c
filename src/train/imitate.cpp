// SPDX-License-Identifier: Apache-2.0
// Imitating a float network's outputs: as a task of its own, and mixed into another task's training loss.
#include "tasks.h"

#include <mixgrad/confusion.h>
#include <mixgrad/error.h>

#include <algorithm>
#include <array>

namespace mixgrad::train {
namespace {

constexpr double temperature = 4;  // SPEC §5b

double variance(std::span<const float> values) {
  double sum = 0, squares = 0;
  for (const float v : values) sum += v, squares += static_cast<double>(v) * v;
  const auto n = static_cast<double>(values.size());
  return squares / n - sum / n * (sum / n);
}

/// How far class scores are from the teacher's: a mean over the positions of maps.
Tensor scores_difference(const Tensor& output, const Tensor& taught, double denominator) {
  const Tensor rows = score_rows(output);
  const auto positions = static_cast<double>(rows.dim(0)) / static_cast<double>(output.dim(0));
  return imitate(rows, score_rows(taught), temperature, denominator * positions);
}

Tensor values_difference(const Tensor& output, const Tensor& taught, double variance, double denominator) {
  return scale(mse(as_rows(output), as_rows(taught), denominator), 1 / variance);
}

// --- class scores ---------------------------------------------------------------------------------------------

Task taught_scores(Task task, const Teacher& teacher) {
  task.teacher = std::make_shared<const Teacher>(teacher);
  task.decisions = [teacher](const Tensor& output, const data::Batch& batch) {
    return Decisions{.truth = largest_scores(teacher.network->forward(batch.x)), .chosen = largest_scores(output)};
  };
  task.loss_and_metric = [teacher](const Tensor& output, const data::Batch& batch, double denominator) {
    const Tensor taught = teacher.network->forward(batch.x);
    const Decisions decided{.truth = largest_scores(taught), .chosen = largest_scores(output)};
    const auto positions = static_cast<double>(decided.truth.size()) / static_cast<double>(batch.size());
    return Outcome{.loss = scores_difference(output, taught, denominator),
                   .measured = static_cast<double>(decided.correct()) / positions};
  };
  task.chance = [teacher](const data::Dataset& images) {
    data::Loader loader(images, {.batch_size = 64});
    std::vector<int32_t> chosen;
    for (int64_t i = 0; i < loader.batches(); ++i)
      std::ranges::copy(largest_scores(teacher.network->forward(loader.batch(i).x)), std::back_inserter(chosen));
    return largest_share(chosen);
  };
  return task;
}

void check_scores(const Pairing& p) {
  if (p.output[0] < 2) {
    bad_input(
        "{} returns {}: --loss imitate-scores expects at least two class scores, --loss imitate-values any values",
        p.network, p.output.str());
  }
}

// --- other values ---------------------------------------------------------------------------------------------

Task taught_values(Task task, const Teacher& teacher) {
  task.teacher = std::make_shared<const Teacher>(teacher);
  task.loss_and_metric = [teacher](const Tensor& output, const data::Batch& batch, double denominator) {
    const Tensor loss = values_difference(output, teacher.network->forward(batch.x), teacher.variance, denominator);
    return Outcome{.loss = loss, .measured = loss.item() * denominator};
  };
  task.chance = [teacher](const data::Dataset& images) {
    const auto outputs = [&](const data::Batch& batch) { return as_rows(teacher.network->forward(batch.x)); };
    return error_of_mean(images, outputs) / teacher.variance;
  };
  return task;
}

/// Whether a network's outputs are class scores: known from what it was trained for; else, several values that are no
/// map are.
bool returns_scores(const Graph& network) {
  if (!network.task.empty()) return find_task(network.task).reads_labels;
  const Shape& output = network.output_shape();
  return output.size() == output[0] && output[0] > 1;
}

/// The members that a task has before its teacher is known.
Task untaught(const char* name, const Metric& metric, std::function<void(const Pairing&)> check) {
  return {.name = name,
          .metric = metric,
          .loss_and_metric = [name](const Tensor&, const data::Batch&, double) -> Outcome {
            bad_input("{}: the float network to imitate is missing: expected Task::taught", name);
          },
          .chance = [name](const data::Dataset&) -> double {
            bad_input("{}: the float network to imitate is missing: expected Task::taught", name);
          },
          .check = std::move(check)};
}

const Metric agreement{.name = "agreement", .label = "agree", .larger_is_better = true, .is_share = true};
const Metric relative_error{.name = "relative error", .label = "error", .larger_is_better = false, .is_share = false};

}  // namespace

Teacher teacher(const Graph& network, const data::Dataset& images) {
  auto copy = std::make_shared<Graph>(network.clone());
  for (const Parameter& p : copy->parameters()) Tensor(p.tensor).requires_grad(false);
  data::Loader loader(images, {.batch_size = std::min<int64_t>(256, images.size())});
  const double spread = variance(copy->forward(loader.batch(0).x).data());
  return {.network = std::move(copy), .variance = std::max(spread, 1e-12)};
}

Task imitate_scores() {
  Task task = untaught("imitate-scores", agreement, check_scores);
  task.taught = [task](const Teacher& teacher) { return taught_scores(task, teacher); };
  return task;
}

Task imitate_values() {
  Task task = untaught("imitate-values", relative_error, [](const Pairing&) {});
  task.taught = [task](const Teacher& teacher) { return taught_values(task, teacher); };
  return task;
}

Task imitate_task() {
  Task task = untaught("imitate", agreement, [](const Pairing&) {});
  task.taught = [](const Teacher& teacher) {
    return (returns_scores(*teacher.network) ? imitate_scores() : imitate_values()).taught(teacher);
  };
  return task;
}

Task distilled(const Task& task, const Graph& network, double share, const data::Dataset& images) {
  if (!(share >= 0 && share <= 1)) bad_input("distill: {} is not possible: expected a share from 0 to 1", share);
  if (share == 0) return task;
  Task out = task;
  out.training = [own = task.loss_and_metric, from = teacher(network, images), share, scores = task.reads_labels](
                     const Tensor& output, const data::Batch& batch, double denominator) {
    Outcome outcome = own(output, batch, denominator);
    const Tensor taught = from.network->forward(batch.x);
    const Tensor difference = scores ? scores_difference(output, taught, denominator)
                                     : values_difference(output, taught, from.variance, denominator);
    outcome.loss = sum(std::array{scale(outcome.loss, 1 - share), scale(difference, share)});
    return outcome;
  };
  return out;
}

}  // namespace mixgrad::train

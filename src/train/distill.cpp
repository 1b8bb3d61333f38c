// SPDX-License-Identifier: Apache-2.0
// Distillation: a task whose training loss also counts how far the outputs are from a teacher's.
#include "tasks.h"

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

/// The variance of the teacher's outputs on some images.
double output_variance(const Graph& teacher, const data::Dataset& images) {
  data::Loader loader(images, {.batch_size = std::min<int64_t>(256, images.size())});
  loader.start(0);
  return std::max(variance(teacher.forward(loader.batch(0).x).data()), 1e-12);
}

/// A copy that gets no gradients.
std::shared_ptr<const Graph> frozen(const Graph& graph) {
  auto copy = std::make_shared<Graph>(graph.clone());
  for (const Parameter& p : copy->parameters()) Tensor(p.tensor).requires_grad(false);
  return copy;
}

}  // namespace

Task distilled(const Task& task, const Graph& teacher, double share, const data::Dataset& images) {
  if (!(share >= 0 && share <= 1)) bad_input("distill: {} is not possible: expected a share from 0 to 1", share);
  if (share == 0) return task;
  const auto from = frozen(teacher);
  const double scores_variance = task.reads_labels ? 1 : output_variance(*from, images);
  Task out = task;
  out.training = [own = task.loss_and_metric, from, share, has_classes = task.reads_labels, scores_variance](
                     const Tensor& output, const data::Batch& batch, double denominator) {
    Outcome outcome = own(output, batch, denominator);
    const Tensor taught = as_rows(from->forward(batch.x));
    const Tensor difference = has_classes ? imitate(as_rows(output), taught, temperature, denominator)
                                          : scale(mse(as_rows(output), taught, denominator), 1 / scores_variance);
    outcome.loss = sum(std::array{scale(outcome.loss, 1 - share), scale(difference, share)});
    return outcome;
  };
  return out;
}

}  // namespace mixgrad::train

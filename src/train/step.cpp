// SPDX-License-Identifier: Apache-2.0
#include "gradient_sum.h"
#include "numerics.h"

#include <mixgrad/error.h>
#include <mixgrad/ops.h>
#include <mixgrad/tape.h>
#include <mixgrad/observer.h>
#include <mixgrad/step.h>

#include <src/internal/parameters.h>

#include <kernels/parallel.h>

#include <algorithm>
#include <array>
#include <cmath>

namespace mixgrad::train {
namespace {

std::vector<data::Batch> cut(const data::Batch& batch, int64_t size) {
  std::vector<data::Batch> parts;
  for (int64_t begin = 0; begin < batch.size(); begin += size)
    parts.push_back(batch.part(begin, std::min(size, batch.size() - begin)));
  return parts;
}

/// Runs forward and backward of one micro-batch; its gradients are in `leaves`.
Score run_micro_batch(const Graph& graph, const Binding& binding, const data::Batch& part, const StepOptions& options,
                      const Task& task, double batch_size) {
  Tape tape(Tape::Mode::gradients, options.observer);
  const Tensor output = cast(graph.run(binding, part.x, nullptr, options.dtype), DType::float32);
  const Outcome outcome = (task.training ? task.training : task.loss_and_metric)(output, part, batch_size);
  tape.backward(outcome.loss);
  return task.score(outcome, part.size(), batch_size);
}

/// The number of Outcome::counts of a micro-batch; a process may have none to tell it from.
size_t count_of_counts(const Communicator& communicator, Communicator::Range own, const std::vector<Score>& scores) {
  std::array<double, 2> told = {0, own.begin < own.end ? 1.0 : 0.0};  // the sum of what processes say, and how many do
  if (own.begin < own.end) told[0] = static_cast<double>(scores[static_cast<size_t>(own.begin)].counts.size());
  communicator.all_reduce(told);
  return static_cast<size_t>(told[0] / told[1]);
}

/// Gives every process the scores of all micro-batches.
void share(const Communicator& communicator, Communicator::Range own, const Metric& metric,
           std::vector<Score>& scores) {
  const size_t counts = metric.of_counts == nullptr ? 0 : count_of_counts(communicator, own, scores);
  const size_t width = 3 + counts;
  std::vector<double> values(width * scores.size());
  for (int64_t i = own.begin; i < own.end; ++i) {
    const auto m = static_cast<size_t>(i);
    values[width * m] = scores[m].loss;
    values[width * m + 1] = scores[m].measured;
    values[width * m + 2] = static_cast<double>(scores[m].images);
    for (size_t k = 0; k < counts; ++k) values[width * m + 3 + k] = scores[m].counts[k];
  }
  communicator.all_reduce(values);
  for (size_t m = 0; m < scores.size(); ++m) {
    const auto at = values.begin() + static_cast<std::ptrdiff_t>(width * m);
    scores[m] = {.loss = at[0],
                 .measured = at[1],
                 .images = static_cast<int64_t>(at[2]),
                 .metric = metric,
                 .counts = std::vector(at + 3, at + static_cast<std::ptrdiff_t>(width))};
  }
}

bool is_finite(const StepResult& result) {
  return std::isfinite(result.task.loss) && std::isfinite(result.regularization);
}

/// Calls `run` for a step. If a loss or gradient is not finite, runs it again under observation to find the op at
/// fault.
template <typename Run>
StepResult finite_step(const Run& run, const std::vector<Tensor>& trained) {
  StepResult result = run(nullptr);
  if (is_finite(result) && finite_gradients(trained)) return result;
  for (const Tensor& t : trained) t.zero_grad();
  NumericsCheck check;
  run(&check);
  failed_run("the loss or a gradient became NaN or infinite in a sum over micro-batches");
}

}  // namespace

bool stops(const Observer& observer, const Communicator* communicator) {
  std::array<double, 1> wishes = {observer.stop() ? 1.0 : 0.0};
  if (communicator != nullptr) communicator->all_reduce(wishes);
  return wishes[0] > 0;
}

int64_t micro_batch_size(const Graph& graph, DType dtype) {
  int64_t widest = 1;
  for (const Node& node : graph.nodes) widest = std::max(widest, node.shape.size());
  // Memory touched by a layer's gradient: values and gradients of its input and output, and as much again in a residual
  // branch and oneDNN's buffers. (bench step: larger micro-batches are not faster, and take memory.)
  const int64_t images = kernels::cache_bytes() / (8 * widest * (dtype == DType::float32 ? 4 : 2));
  int64_t size = 4;  // smaller ones would spend their time on packing and transforming weights
  while (size * 2 <= std::min<int64_t>(images, 64)) size *= 2;
  return size;
}

namespace {

StepResult run_step(const Graph& graph, const data::Batch& batch, const StepOptions& options) {
  const Communicator* communicator = options.communicator;
  const Task& task = task_for(options.task, graph.task, batch.known());
  Tape tape(Tape::Mode::gradients, options.observer);
  const Thetas thetas = options.sample ? options.sample() : graph.softmax_thetas();
  const Binding binding = graph.bind(thetas);
  const Tensor regularization = options.regularization ? options.regularization(thetas) : Tensor();

  const auto parts = cut(batch, options.micro_batch > 0 ? options.micro_batch : micro_batch_size(graph, options.dtype));
  const Communicator::Range own =
      communicator != nullptr ? communicator->part_of(std::ssize(parts)) : Communicator::Range{0, std::ssize(parts)};
  std::vector<Score> scores(parts.size());
  GradientSum sum(binding, own.end - own.begin, communicator);
  kernels::parallel_tasks(own.end - own.begin, [&](int64_t i) {
    const auto m = static_cast<size_t>(own.begin + i);
    std::vector<Tensor> leaves, sources;
    const Binding copy = binding.with_leaves(leaves, sources);
    scores[m] = run_micro_batch(graph, copy, parts[m], options, task, static_cast<double>(batch.size()));
    sum.add(i, std::move(leaves));
  });
  sum.finish();
  if (communicator != nullptr) share(*communicator, own, task.metric, scores);

  StepResult result;
  for (const Score& score : scores) result.task += score;
  if (regularization) {
    result.regularization = regularization.item();
    result.regularization_gradients = tape.gradients(regularization, options.watched);
    if (regularization.needs_grad()) regularization.set_grad(std::array{1.0F});
  }
  tape.backward();
  return result;
}

StepResult run_step(nn::Module& module, const data::Batch& batch, TapeObserver* observer, const Task& task) {
  Tape tape(Tape::Mode::gradients, observer);
  const auto size = static_cast<double>(batch.size());
  const Outcome outcome = task.loss_and_metric(module(batch.x), batch, size);
  tape.backward(outcome.loss);
  return {.task = task.score(outcome, batch.size(), size)};
}

}  // namespace

StepResult step(const Graph& graph, const data::Batch& batch, const StepOptions& options) {
  if (batch.size() == 0) bad_input("[step] the batch is empty: expected at least one image");
  if (options.observer != nullptr) return run_step(graph, batch, options);
  StepOptions observed = options;
  return finite_step(
      [&](TapeObserver* observer) {
        observed.observer = observer;
        return run_step(graph, batch, observed);
      },
      tensors_of(graph.parameters()));
}

StepResult step(nn::Module& module, const data::Batch& batch, TapeObserver* observer, const Task* chosen) {
  const Task& task = task_for(chosen, "", batch.known());
  if (observer != nullptr) return run_step(module, batch, observer, task);
  return finite_step([&](TapeObserver* o) { return run_step(module, batch, o, task); }, module.parameters());
}

}  // namespace mixgrad::train

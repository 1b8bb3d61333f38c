// SPDX-License-Identifier: Apache-2.0
#include "tasks.h"

#include <mixgrad/error.h>
#include <mixgrad/ops.h>
#include <mixgrad/tape.h>
#include <mixgrad/train.h>

#include <kernels/elementwise.h>
#include <kernels/parallel.h>

#include <algorithm>
#include <array>

#include <unistd.h>

namespace mixgrad::train {
namespace {

struct MicroBatch {
  Tensor x;
  std::span<const int32_t> labels;
};

std::vector<MicroBatch> cut(const data::Batch& batch, int64_t size) {
  std::vector<MicroBatch> parts;
  for (int64_t begin = 0; begin < batch.size(); begin += size) {
    const int64_t count = std::min(size, batch.size() - begin);
    const std::span<const int32_t> labels(batch.labels);
    parts.push_back({batch.x.rows(begin, count), labels.empty() ? labels : labels.subspan(static_cast<size_t>(begin), static_cast<size_t>(count))});
  }
  return parts;
}

/// One micro-batch's forward and backward, gradients in `leaves`.
Score run_micro_batch(const Graph& graph, const Binding& binding, const MicroBatch& part, const StepOptions& options, double batch_size) {
  Tape tape(Tape::Mode::gradients, options.observer);
  const Tensor output = cast(graph.run(binding, part.x, nullptr, options.dtype), DType::float32);
  const Outcome outcome = judge(output, part.x, part.labels, batch_size);
  tape.backward(outcome.loss);
  return outcome.score;
}

/// Adds the gradients of the micro-batches' leaves to their sources, in the order of the micro-batches.
void gather(const std::vector<Tensor>& sources, const std::vector<std::vector<Tensor>>& leaves) {
  kernels::parallel_tasks(std::ssize(sources), [&](int64_t s) {
    const Tensor& source = sources[static_cast<size_t>(s)];
    for (const std::vector<Tensor>& part : leaves) {
      const std::span<const float> grad = part[static_cast<size_t>(s)].grad();
      if (grad.empty()) continue;
      if (source.grad().empty()) {
        source.set_grad(grad);
      } else {
        kernels::accumulate(grad, source.grad());
      }
    }
  });
}

}  // namespace

int64_t micro_batch_size(const Graph& graph, DType dtype) {
  const long cache = sysconf(_SC_LEVEL2_CACHE_SIZE);
  const int64_t bytes = cache > 0 ? cache : 1 << 20;
  int64_t widest = 1;
  for (const Node& node : graph.nodes) widest = std::max(widest, node.shape.size());
  const int64_t images = bytes / (2 * widest * (dtype == DType::float32 ? 4 : 2));
  int64_t size = 1;
  while (size * 2 <= std::min<int64_t>(images, 64)) size *= 2;
  return size;
}

StepResult step(const Graph& graph, const data::Batch& batch, const StepOptions& options) {
  if (batch.size() == 0) bad_input("[step] the batch holds no images");
  Tape tape(Tape::Mode::gradients, options.observer);
  const Thetas thetas = options.sample ? options.sample() : graph.softmax_thetas();
  const Binding binding = graph.bind(thetas);
  const Tensor regularization = options.regularization ? options.regularization(thetas) : Tensor();

  const auto parts = cut(batch, options.micro_batch > 0 ? options.micro_batch : micro_batch_size(graph, options.dtype));
  std::vector<Score> scores(parts.size());
  std::vector<std::vector<Tensor>> leaves(parts.size()), sources(parts.size());
  kernels::parallel_tasks(std::ssize(parts), [&](int64_t i) {
    const auto m = static_cast<size_t>(i);
    const Binding own = binding.with_leaves(leaves[m], sources[m]);
    scores[m] = run_micro_batch(graph, own, parts[m], options, static_cast<double>(batch.size()));
  });
  gather(sources[0], leaves);

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

StepResult step(nn::Module& module, const data::Batch& batch, TapeObserver* observer) {
  Tape tape(Tape::Mode::gradients, observer);
  const Outcome outcome = judge(module(batch.x), batch.x, batch.labels, static_cast<double>(batch.size()));
  tape.backward(outcome.loss);
  return {.task = outcome.score};
}

}  // namespace mixgrad::train

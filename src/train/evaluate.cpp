// SPDX-License-Identifier: Apache-2.0
#include <mixgrad/train.h>

#include <kernels/parallel.h>

#include <algorithm>

namespace mixgrad::train {

Score evaluate(const Graph& graph, const data::Dataset& dataset, int64_t most_images, const Task* chosen) {
  const Task& task = task_for(chosen, graph.task, !dataset.labels.empty());
  const Binding binding = graph.bind();
  const int64_t batch_size = 4 * micro_batch_size(graph);  // without a backward pass
  data::Loader loader(dataset, {.batch_size = batch_size});
  loader.start(0);
  const int64_t batches = std::min(loader.batches(), (most_images - 1) / batch_size + 1);
  std::vector<Score> scores(static_cast<size_t>(batches));
  kernels::parallel_tasks(batches, [&](int64_t i) {
    const data::Batch batch = loader.batch(i);
    scores[static_cast<size_t>(i)] =
        task.score(task.loss_and_metric(graph.run(binding, batch.x), batch, 1), batch.size(), 1);
  });
  Score total{.metric = task.metric};
  for (const Score& score : scores) total += score;
  return total;
}

int threads() {
#ifdef _OPENMP
  return omp_get_max_threads();
#else
  return 1;
#endif
}

namespace {

void set([[maybe_unused]] int threads) {
#ifdef _OPENMP
  omp_set_num_threads(threads);
#endif
}

}  // namespace

Threads::Threads(int threads) : before_(train::threads()) {
  if (threads > 0) set(threads);
}
Threads::~Threads() { set(before_); }

}  // namespace mixgrad::train

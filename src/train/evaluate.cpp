// SPDX-License-Identifier: Apache-2.0
#include <mixgrad/train.h>

#include <kernels/parallel.h>

#include <algorithm>

namespace mixgrad::train {

Score evaluate(const Graph& graph, const data::Dataset& dataset, int64_t most_images, const Task* chosen,
               Confusion* confusion) {
  const Task& task = task_for(chosen, graph.task, dataset.known());
  const Binding binding = graph.bind();
  const int64_t batch_size = 4 * micro_batch_size(graph);  // without a backward pass
  data::Loader loader(dataset, {.batch_size = batch_size});
  const int64_t batches = std::min(loader.batches(), (most_images - 1) / batch_size + 1);
  if (confusion != nullptr && task.decisions) *confusion = Confusion(graph.output_shape(), dataset);
  const bool decides = confusion != nullptr && !confusion->empty();
  const int64_t at_once = decides ? 64 : batches;  // decisions are in memory
  Score total{.metric = task.metric};
  for (int64_t first = 0; first < batches; first += at_once) {
    const int64_t count = std::min(at_once, batches - first);
    std::vector<Score> scores(static_cast<size_t>(count));
    std::vector<Decisions> decided(decides ? scores.size() : 0);
    kernels::parallel_tasks(count, [&](int64_t i) {
      const data::Batch batch = loader.batch(first + i);
      const Tensor output = graph.run(binding, batch.x);
      scores[static_cast<size_t>(i)] = task.score(task.loss_and_metric(output, batch, 1), batch.size(), 1);
      if (decides) decided[static_cast<size_t>(i)] = task.decisions(output, batch);
    });
    for (const Score& score : scores) total += score;
    for (const Decisions& d : decided) confusion->add(d);
  }
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

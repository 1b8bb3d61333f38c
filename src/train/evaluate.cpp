// SPDX-License-Identifier: Apache-2.0
#include "tasks.h"

#include <mixgrad/ops.h>
#include <mixgrad/train.h>

#include <kernels/parallel.h>

#include <algorithm>

namespace mixgrad::train {

int64_t count_correct(const Tensor& logits, std::span<const int32_t> labels) {
  const int64_t classes = logits.dim(1);
  int64_t correct = 0;
  for (int64_t i = 0; i < logits.dim(0); ++i) {
    const std::span<const float> row = logits.data().subspan(static_cast<size_t>(i * classes), static_cast<size_t>(classes));
    correct += std::ranges::max_element(row) - row.begin() == labels[static_cast<size_t>(i)];
  }
  return correct;
}

Score evaluate(const Graph& graph, const data::Dataset& dataset, int64_t most_images) {
  const Binding binding = graph.bind();
  const int64_t batch_size = micro_batch_size(graph);
  data::Loader loader(dataset, {.batch_size = batch_size});
  loader.start(0);
  const int64_t batches = std::min(loader.batches(), (most_images - 1) / batch_size + 1);
  std::vector<Score> scores(static_cast<size_t>(batches));
  kernels::parallel_tasks(batches, [&](int64_t i) {
    const data::Batch batch = loader.batch(i);
    const Tensor logits = graph.run(binding, batch.x);
    const double loss = cross_entropy(logits, batch.labels, 1).item();
    scores[static_cast<size_t>(i)] = {.loss = loss, .correct = count_correct(logits, batch.labels), .images = batch.size()};
  });
  Score total;
  for (const Score& score : scores) total += score;
  return total;
}

void set_threads(int threads) {
#ifdef _OPENMP
  if (threads > 0) omp_set_num_threads(threads);
#else
  (void)threads;
#endif
}

int threads() {
#ifdef _OPENMP
  return omp_get_max_threads();
#else
  return 1;
#endif
}

}  // namespace mixgrad::train

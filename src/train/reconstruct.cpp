// SPDX-License-Identifier: Apache-2.0
// The task of reconstructing the input: the mean squared error is both loss and metric.
#include "tasks.h"

#include <mixgrad/error.h>
#include <mixgrad/ops.h>

namespace mixgrad::train {
namespace {

Outcome loss_and_metric(const Tensor& output, const data::Batch& batch, double denominator) {
  const Tensor loss = mse(as_rows(output), flatten(batch.x), denominator);
  return {.loss = loss, .measured = loss.item() * denominator};
}

/// The error of predicting the mean image: the variance of each value over the images, averaged over the values.
double chance(const data::Dataset& images) {
  constexpr int64_t at_once = 256;
  data::Loader loader(images, {.batch_size = at_once});
  loader.start(0);
  const auto values = static_cast<size_t>(images.image_values());
  std::vector<double> sum(values), squares(values);
  for (int64_t i = 0; i < loader.batches(); ++i) {
    const data::Batch batch = loader.batch(i);
    const std::span<const float> x = batch.x.data();
    for (size_t k = 0; k < x.size(); ++k) {
      sum[k % values] += static_cast<double>(x[k]);
      squares[k % values] += static_cast<double>(x[k]) * x[k];
    }
  }
  const auto n = static_cast<double>(images.size());
  double total = 0;
  for (size_t k = 0; k < values; ++k) total += squares[k] / n - sum[k] / n * (sum[k] / n);
  return total / static_cast<double>(values);
}

void check(const Pairing& p) {
  if (p.output.size() != p.input.size()) {
    bad_input(
        "data: '{}' has images {}, but {} returns {} values: --loss reconstruct expects {}, one per value of the "
        "image{}",
        p.data, p.input.str(), p.network, p.output.size(), p.input.size(),
        p.images.labels.empty() ? "; the data have no labels for --loss classify" : "");
  }
  if (!p.left_out.empty()) {
    bad_input(
        "{}: the {} at its end is not supported and was left out, but --loss reconstruct needs it: end the network "
        "with ReLU or a linear layer",
        p.network, p.left_out);
  }
}

}  // namespace

Task reconstruct() {
  return {.name = "reconstruct",
          .metric = {.name = "mean squared error", .label = "error", .larger_is_better = false, .is_share = false},
          .reads_labels = false,
          .loss_and_metric = loss_and_metric,
          .chance = chance,
          .check = check};
}

}  // namespace mixgrad::train

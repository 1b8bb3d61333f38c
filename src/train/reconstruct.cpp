// SPDX-License-Identifier: Apache-2.0
// The task of reconstructing the input: the mean squared error is both loss and metric.
#include "tasks.h"

#include <mixgrad/error.h>

namespace mixgrad::train {
namespace {

Outcome loss_and_metric(const Tensor& output, const data::Batch& batch, double denominator) {
  const Tensor loss = mse(as_rows(output), flatten(batch.x), denominator);
  return {.loss = loss, .measured = loss.item() * denominator};
}

/// The error of predicting the mean image.
double chance(const data::Dataset& images) {
  return mean_of(variances_of_values(images, [](const data::Batch& batch) { return flatten(batch.x); }));
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
          .loss_and_metric = loss_and_metric,
          .chance = chance,
          .check = check};
}

}  // namespace mixgrad::train

// SPDX-License-Identifier: Apache-2.0
// The task of predicting given values: the mean squared error is both loss and metric.
#include "tasks.h"

#include <mixgrad/error.h>

namespace mixgrad::train {
namespace {

Outcome loss_and_metric(const Tensor& output, const data::Batch& batch, double denominator) {
  const Tensor loss = mse(as_rows(output), batch.targets, denominator);
  return {.loss = loss, .measured = loss.item() * denominator};
}

double chance(const data::Dataset& images) {
  return mean_of(variances_of_values(images, [](const data::Batch& batch) { return batch.targets; }));
}

/// [5, 1, 1] and [5] hold the same values in the same order.
Shape without_trailing_ones(const Shape& s) {
  size_t rank = s.dims().size();
  while (rank > 0 && s.dims()[rank - 1] == 1) --rank;
  return Shape(s.dims().first(rank));
}

void check(const Pairing& p) {
  const std::string& why = p.images.unlabelled;
  if (p.images.targets.empty()) {
    bad_input(
        "data: '{}' has no targets, which --loss regress needs to train {}: expected y of floats, [N, ...] like its "
        "outputs {}",
        p.data, p.network, p.output.str());
  }
  if (without_trailing_ones(p.images.target_shape) != without_trailing_ones(p.output)) {
    bad_input("data: '{}' has targets {}, but {} returns {}: --loss regress expects equal shapes{}{}", p.data,
              p.images.target_shape.str(), p.network, p.output.str(), why.empty() ? "" : "; for --loss classify, ",
              why);
  }
  if (!p.left_out.empty()) {
    bad_input(
        "{}: the {} at its end is not supported and was left out, but --loss regress needs it: end the network "
        "with ReLU or a linear layer",
        p.network, p.left_out);
  }
}

}  // namespace

Task regress() {
  return {.name = "regress",
          .metric = {.name = "mean squared error", .label = "error", .larger_is_better = false, .is_share = false},
          .reads_targets = true,
          .loss_and_metric = loss_and_metric,
          .chance = chance,
          .check = check};
}

}  // namespace mixgrad::train

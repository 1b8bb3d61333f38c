// SPDX-License-Identifier: Apache-2.0
// The task of classification: cross entropy, accuracy.
#include "tasks.h"

#include <mixgrad/error.h>
#include <mixgrad/ops.h>

#include <algorithm>

namespace mixgrad::train {
namespace {

/// The number of images whose largest logit is that of their label; logits [N, classes].
int64_t count_correct(const Tensor& logits, std::span<const int32_t> labels) {
  const int64_t classes = logits.dim(1);
  int64_t correct = 0;
  for (int64_t i = 0; i < logits.dim(0); ++i) {
    const std::span<const float> row =
        logits.data().subspan(static_cast<size_t>(i * classes), static_cast<size_t>(classes));
    correct += std::ranges::max_element(row) - row.begin() == labels[static_cast<size_t>(i)];
  }
  return correct;
}

Outcome loss_and_metric(const Tensor& output, const data::Batch& batch, double denominator) {
  const Tensor logits = as_rows(output);
  return {.loss = cross_entropy(logits, batch.labels, denominator),
          .measured = static_cast<double>(count_correct(logits, batch.labels))};
}

/// The share of the largest class.
double chance(const data::Dataset& images) {
  std::vector<int64_t> count(static_cast<size_t>(images.classes()));
  for (const int32_t label : images.labels) ++count[static_cast<size_t>(label)];
  return static_cast<double>(std::ranges::max(count)) / static_cast<double>(images.size());
}

void check(const Pairing& p) {
  if (p.images.labels.empty())
    bad_input("data: '{}' has no labels, which --loss classify needs to train {}", p.data, p.network);
  if (p.output.rank() == 3 && p.output.size() != p.output[0]) {
    bad_input(
        "data: '{}' has one label per image, but {} returns images {}: for --loss classify, end it with a global pool "
        "or a linear layer",
        p.data, p.network, p.output.str());
  }
  if (p.output.size() != p.images.classes()) {
    const bool returns_images = p.output.size() == p.input.size();
    bad_input("data: '{}' has {} classes, but {} returns {} values: --loss classify expects one value per class{}{}",
              p.data, p.images.classes(), p.network, p.output.size(),
              p.notes.empty() ? "" : fmt::format(" (of the data: {})", p.notes),
              returns_images ? "; --loss reconstruct would train it to return its input" : "");
  }
}

}  // namespace

Task classify() {
  return {.name = "classify",
          .metric = {.name = "accuracy", .label = "acc", .larger_is_better = true, .is_share = true},
          .reads_labels = true,
          .loss_and_metric = loss_and_metric,
          .chance = chance,
          .check = check};
}

}  // namespace mixgrad::train

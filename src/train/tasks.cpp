// SPDX-License-Identifier: Apache-2.0
#include "tasks.h"

#include <mixgrad/ops.h>

#include <algorithm>

namespace mixgrad::train {
namespace {

/// Images whose largest logit stands at their label; logits [N, classes].
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

}  // namespace

Outcome loss_and_metric(const Tensor& result, const Tensor& x, std::span<const int32_t> labels, double denominator) {
  const bool classifies = !labels.empty();
  const Tensor output = result.shape().rank() == 2 ? result : flatten(result);  // an image, or classes of one position
  const Tensor loss = classifies ? cross_entropy(output, labels, denominator) : mse(output, flatten(x), denominator);
  return {.loss = loss,
          .score = {.loss = loss.item() * denominator,
                    .correct = classifies ? count_correct(output, labels) : 0,
                    .images = output.dim(0),
                    .classifies = classifies}};
}

Score& Score::operator+=(const Score& other) {
  loss += other.loss;
  correct += other.correct;
  images += other.images;
  classifies = classifies && other.classifies;
  return *this;
}

}  // namespace mixgrad::train

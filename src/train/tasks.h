// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <mixgrad/train.h>

#include <cstdint>
#include <span>

namespace mixgrad::train {

/// What a network is trained for: to give images their labels (cross entropy), or without labels to give back its
/// input (mean squared error).
struct Outcome {
  Tensor loss;  ///< Σ over the images / denominator
  Score score;
};
Outcome loss_and_metric(const Tensor& result, const Tensor& x, std::span<const int32_t> labels, double denominator);

}  // namespace mixgrad::train

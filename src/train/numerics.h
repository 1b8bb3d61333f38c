// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <mixgrad/tape.h>

#include <span>

namespace mixgrad::train {

/// Throws failed_run at the first op that gives NaN or infinity, forward or backward, and names it and its layer.
class NumericsCheck : public TapeObserver {
 public:
  void recorded(const Record& record) override;
  void played(const Record& record) override;
};

/// Whether the gradients that these tensors hold are finite.
bool finite_gradients(std::span<const Tensor> tensors);

}  // namespace mixgrad::train

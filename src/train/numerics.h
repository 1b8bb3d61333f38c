// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <mixgrad/tape.h>

#include <span>

namespace mixgrad::train {

/// Throws failed_run at the first op that produces NaN or infinity, forward or backward, naming the op and its layer.
class NumericsCheck : public TapeObserver {
 public:
  void recorded(const Record& record) override;
  void played(const Record& record) override;
};

/// Whether the gradients of these tensors are finite, where they have any.
bool finite_gradients(std::span<const Tensor> tensors);

}  // namespace mixgrad::train

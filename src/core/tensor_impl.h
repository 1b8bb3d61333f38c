// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <mixgrad/tensor.h>

namespace mixgrad {

struct Tensor::Impl {
  Shape shape;
  std::shared_ptr<float> values;
  std::shared_ptr<float> grad;  // null until a backward pass has reached this tensor
  bool needs_grad = false;
};

}  // namespace mixgrad

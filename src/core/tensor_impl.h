// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <mixgrad/tensor.h>

#include <cstddef>

namespace mixgrad {

struct Tensor::Impl {
  Shape shape;
  DType dtype = DType::float32;
  std::shared_ptr<std::byte> values;
  std::shared_ptr<std::byte> grad;  // null until a backward pass has reached this tensor
  bool needs_grad = false;

  int64_t bytes() const { return shape.size() * (dtype == DType::bfloat16 ? 2 : 4); }
};

}  // namespace mixgrad

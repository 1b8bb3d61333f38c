// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <mixgrad/tensor.h>

namespace mixgrad {

/// Calls f.operator()<T>() with the C++ type of `dtype`.
template <typename F>
auto by_dtype(DType dtype, const F& f) {
  return dtype == DType::float32 ? f.template operator()<float>() : f.template operator()<bfloat16>();
}

}  // namespace mixgrad

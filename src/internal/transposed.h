// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <mixgrad/tensor.h>

namespace mixgrad {

/// Weights [A, B / groups, KH, KW] as [B, A / groups, KH, KW]: those of a transposed convolution as a convolution's,
/// and the reverse.
Tensor transposed_weights(const Tensor& w, int64_t groups);

}  // namespace mixgrad

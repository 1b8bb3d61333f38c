// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <mixgrad/tensor.h>

#include <cstdint>
#include <span>

namespace mixgrad::train {

/// Images whose largest logit stands at their label; logits [N, classes].
int64_t count_correct(const Tensor& logits, std::span<const int32_t> labels);

}  // namespace mixgrad::train

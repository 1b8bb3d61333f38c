// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <mixgrad/types.h>

#include <span>

namespace mixgrad::kernels {

using mixgrad::bfloat16;

void to_float(std::span<const bfloat16> x, std::span<float> y);
void from_float(std::span<const float> x, std::span<bfloat16> y);

}  // namespace mixgrad::kernels

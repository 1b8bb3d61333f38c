// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <span>

#include "bfloat16.h"

namespace mixgrad::kernels {

using mixgrad::Grad;
using mixgrad::GradOf;

}  // namespace mixgrad::kernels

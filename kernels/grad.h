// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <span>

#include "bfloat16.h"

namespace mixgrad::kernels {

/// Where a gradient goes. False: nobody needs it, so the kernel leaves it out. The first contribution to a
/// tensor overwrites (its memory is uninitialised), later ones add.
template <typename T>
struct GradOf {
  T* data = nullptr;
  bool add = false;

  explicit operator bool() const { return data != nullptr; }
  void put(int64_t i, float value) const { data[i] = static_cast<T>(add ? data[i] + value : value); }
};

using Grad = GradOf<float>;

}  // namespace mixgrad::kernels

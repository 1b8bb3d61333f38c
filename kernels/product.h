// SPDX-License-Identifier: Apache-2.0
// Products of row-major matrices: oneDNN's, or Eigen's in builds without it.
#pragma once

#include <cstdint>
#include <span>

namespace mixgrad::kernels {

/// A factor of a product: `data` row-major with rows `stride` apart, taken transposed or not.
struct Factor {
  const float* data;
  int64_t stride;
  bool transposed = false;
};

/// c = a b, or c += a b, on one thread; c [m, n], a [m, k] and b [k, n] once transposed.
using Multiply = void(int64_t m, int64_t n, int64_t k, Factor a, Factor b, bool add, float* c);

/// This build's, with the newest instructions that the CPU has.
Multiply multiply;

/// Eigen's, for each instruction set that this CPU has, the newest last.
namespace eigen {
struct Product {
  const char* instruction_set;
  Multiply* multiply;
};
std::span<const Product> products();
}  // namespace eigen

}  // namespace mixgrad::kernels

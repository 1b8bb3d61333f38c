// SPDX-License-Identifier: Apache-2.0
// Products of row-major matrices by oneDNN, or by Eigen in builds without oneDNN.
#pragma once

#include <cstdint>
#include <span>

namespace mixgrad::kernels {

/// A factor of a product: row-major `data` with rows `stride` apart, optionally transposed.
struct Factor {
  const float* data;
  int64_t stride;
  bool transposed = false;
};

/// c = a b, or c += a b, on one thread; c [m, n]; a [m, k] and b [k, n] after transposition.
using Multiply = void(int64_t m, int64_t n, int64_t k, Factor a, Factor b, bool add, float* c);

/// This build's product, with the newest instructions that the CPU supports.
Multiply multiply;

/// Eigen's product for each instruction set that this CPU supports, the newest last.
namespace eigen {
struct Product {
  const char* instruction_set;
  Multiply* multiply;
};
std::span<const Product> products();
}  // namespace eigen

}  // namespace mixgrad::kernels

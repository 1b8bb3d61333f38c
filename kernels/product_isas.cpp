// SPDX-License-Identifier: Apache-2.0
// Which products of product_eigen.cpp this CPU can run: those whose flags in meson.build it supports.
#include <vector>

#include "product.h"

namespace mixgrad::kernels::eigen {

Multiply multiply_baseline, multiply_avx2, multiply_avx512;

std::span<const Product> products() {
  static const std::vector<Product> all = [] {
    std::vector<Product> found{{"baseline", multiply_baseline}};
#ifdef __x86_64__
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) {
      found.push_back({"avx2", multiply_avx2});
      if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq"))
        found.push_back({"avx512", multiply_avx512});
    }
#endif
    return found;
  }();
  return all;
}

}  // namespace mixgrad::kernels::eigen

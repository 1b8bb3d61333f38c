// SPDX-License-Identifier: Apache-2.0
// Eigen's product for one instruction set: meson.build compiles this file once for each, as MIXGRAD_ISA.
#define MIXGRAD_JOINED(a, b) a##b
#define MIXGRAD_JOIN(a, b) MIXGRAD_JOINED(a, b)

// If several files instantiate a template, the linker keeps one instance. Each instruction set therefore gets its own
// namespace: otherwise AVX-512 code could run on a CPU without it. Only pointers leave this file, so that no other file
// depends on the alignment that Eigen chooses here. parallel.h distributes the work, not Eigen.
#define Eigen MIXGRAD_JOIN(Eigen_, MIXGRAD_ISA)
#define EIGEN_DONT_PARALLELIZE
#include <Eigen/Core>

#include "product.h"

namespace mixgrad::kernels::eigen {
namespace {

using Matrix = Eigen::Matrix<float, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;

/// The factor as stored; [rows, columns] is its shape after transposition.
auto stored(const Factor& f, int64_t rows, int64_t columns) {
  if (f.transposed) std::swap(rows, columns);
  return Eigen::Map<const Matrix, 0, Eigen::OuterStride<>>(f.data, rows, columns, Eigen::OuterStride<>(f.stride));
}

template <typename A, typename B>
void put(const A& a, const B& b, bool add, Eigen::Map<Matrix> c) {
  if (add)
    c.noalias() += a * b;
  else
    c.noalias() = a * b;
}

/// Eigen splits sums into blocks by cache size. Fixed sizes make the result depend on the instruction set only.
void fix_blocks() {
  [[maybe_unused]] static const bool fixed = (Eigen::setCpuCacheSizes(32 << 10, 1 << 20, 8 << 20), true);
}

}  // namespace

void MIXGRAD_JOIN(multiply_, MIXGRAD_ISA)(int64_t m, int64_t n, int64_t k, Factor a, Factor b, bool add, float* c) {
  fix_blocks();
  const auto left = stored(a, m, k), right = stored(b, k, n);
  const Eigen::Map<Matrix> out(c, m, n);
  if (a.transposed && b.transposed) return put(left.transpose(), right.transpose(), add, out);
  if (a.transposed) return put(left.transpose(), right, add, out);
  if (b.transposed) return put(left, right.transpose(), add, out);
  put(left, right, add, out);
}

}  // namespace mixgrad::kernels::eigen

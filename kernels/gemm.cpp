// SPDX-License-Identifier: Apache-2.0
// By oneDNN's product, which chooses its instructions when it runs; Eigen (3 to 4 times slower, since it chooses when
// it is compiled) in builds without.
#include "gemm.h"

#ifdef MIXGRAD_ONEDNN
#include <dnnl.h>
#else
#define EIGEN_DONT_PARALLELIZE
#include <Eigen/Core>
#endif

#include "parallel.h"
#include "reduce.h"

namespace mixgrad::kernels {
namespace {

constexpr int64_t grain = 32;  // rows of the result in a chunk

/// A factor of a product: `data` row-major with rows `stride` apart, taken transposed or not.
struct Factor {
  const float* data;
  int64_t stride;
  bool transposed = false;
};

/// c = a b, or c += a b; c [m, n], a [m, k] and b [k, n] once transposed.
void multiply(int64_t m, int64_t n, int64_t k, Factor a, Factor b, bool add, float* c) {
#ifdef MIXGRAD_ONEDNN
  dnnl_sgemm(a.transposed ? 'T' : 'N', b.transposed ? 'T' : 'N', m, n, k, 1.0f, a.data, a.stride, b.data, b.stride,
             add ? 1.0f : 0.0f, c, n);
#else
  using Matrix = Eigen::Matrix<float, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
  const auto view = [](Factor f, int64_t rows, int64_t columns) {
    return Eigen::Map<const Matrix, 0, Eigen::OuterStride<>>(f.data, rows, columns, Eigen::OuterStride<>(f.stride));
  };
  const auto accumulate = [&](const auto& left, const auto& right) {
    Eigen::Map<Matrix> out(c, m, n);
    if (!add) out.setZero();
    out.noalias() += left * right;
  };
  if (a.transposed)
    accumulate(view(a, k, m).transpose(), view(b, k, n));
  else if (b.transposed)
    accumulate(view(a, m, k), view(b, n, k).transpose());
  else
    accumulate(view(a, m, k), view(b, k, n));
#endif
}

}  // namespace

void linear(int64_t n, int64_t k, int64_t m, std::span<const float> x, std::span<const float> w,
            std::span<const float> bias, std::span<float> y) {
  parallel_chunks(n, grain, [&](int64_t begin, int64_t end) {
    if (!bias.empty())
      for (int64_t r = begin; r < end; ++r) std::copy_n(bias.data(), m, y.data() + r * m);
    multiply(end - begin, m, k, {x.data() + begin * k, k}, {w.data(), k, true}, !bias.empty(), y.data() + begin * m);
  });
}

void linear_grad_x(int64_t n, int64_t k, int64_t m, std::span<const float> gy, std::span<const float> w, Grad gx) {
  if (!gx) return;
  parallel_chunks(n, grain, [&](int64_t begin, int64_t end) {
    multiply(end - begin, k, m, {gy.data() + begin * m, m}, {w.data(), k}, gx.add, gx.data + begin * k);
  });
}

void linear_grad_w(int64_t n, int64_t k, int64_t m, std::span<const float> x, std::span<const float> gy, Grad gw,
                   Grad gbias) {
  if (gw)
    parallel_chunks(m, grain, [&](int64_t begin, int64_t end) {
      multiply(end - begin, k, n, {gy.data() + begin, m, true}, {x.data(), k}, gw.add, gw.data + begin * k);
    });
  if (gbias) column_sums(n, m, gy, gbias);
}

namespace reference {

void linear(int64_t n, int64_t k, int64_t m, std::span<const float> x, std::span<const float> w,
            std::span<const float> bias, std::span<float> y) {
  for (int64_t r = 0; r < n; ++r)
    for (int64_t o = 0; o < m; ++o) {
      double sum = bias.empty() ? 0.0 : double{bias[static_cast<size_t>(o)]};
      for (int64_t i = 0; i < k; ++i)
        sum += double{x[static_cast<size_t>(r * k + i)]} * w[static_cast<size_t>(o * k + i)];
      y[static_cast<size_t>(r * m + o)] = static_cast<float>(sum);
    }
}

}  // namespace reference
}  // namespace mixgrad::kernels

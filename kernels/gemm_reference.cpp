// SPDX-License-Identifier: Apache-2.0
#include "gemm.h"

namespace mixgrad::kernels::reference {

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

}  // namespace mixgrad::kernels::reference

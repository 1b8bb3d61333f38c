// SPDX-License-Identifier: Apache-2.0
#include <dnnl.h>

#include "product.h"

namespace mixgrad::kernels {

void multiply(int64_t m, int64_t n, int64_t k, Factor a, Factor b, bool add, float* c) {
  dnnl_sgemm(a.transposed ? 'T' : 'N', b.transposed ? 'T' : 'N', m, n, k, 1.0f, a.data, a.stride, b.data, b.stride,
             add ? 1.0f : 0.0f, c, n);
}

}  // namespace mixgrad::kernels

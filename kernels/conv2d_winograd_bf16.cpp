// SPDX-License-Identifier: Apache-2.0
// Compiled for AVX512_BF16 on x86-64, and empty for other processors.
#ifdef __AVX512BF16__
#include "avx512_bf16.h"
#endif
#include "conv2d_winograd_bf16.h"

namespace mixgrad::kernels::winograd::avx512_bf16 {

#ifdef __AVX512BF16__

void convolve(const Pass& pass, const bfloat16* x, const float* taps, GradOf<bfloat16> to, const float* bias) {
  with_cheaper<Bfloat16Tiles>(
      pass.to, [&]<typename F>() __attribute__((always_inline)) {
        winograd::convolve<F, lanes, Pair>(pass, x, taps, Landing<bfloat16>{to, bias});
      });
}

void convolve_grad_w(const Pass& pass, const bfloat16* x, const bfloat16* gy, Grad gw) {
  with_cheaper<FloatTiles>(
      pass.to, [&]<typename F>()
                   __attribute__((always_inline)) { winograd::convolve_grad_w<F, lanes>(pass, x, gy, gw); });
}

#else

void convolve(const Pass&, const bfloat16*, const float*, GradOf<bfloat16>, const float*) {}
void convolve_grad_w(const Pass&, const bfloat16*, const bfloat16*, Grad) {}

#endif

}  // namespace mixgrad::kernels::winograd::avx512_bf16

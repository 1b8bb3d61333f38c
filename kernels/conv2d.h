// SPDX-License-Identifier: Apache-2.0
// 2-D convolution (cross-correlation), activations NHWC, weights OHWI [c_out, kh, kw, c_in / groups].
#pragma once

#include "grad.h"

namespace mixgrad::kernels {

using mixgrad::Conv2dSize;

/// The functions below in float, and those of each algorithm.
using Conv2dForward = void(const Conv2dSize& s, std::span<const float> x, std::span<const float> w,
                           std::span<const float> bias, std::span<float> y);
using Conv2dGradX = void(const Conv2dSize& s, std::span<const float> gy, std::span<const float> w, Grad gx);
using Conv2dGradW = void(const Conv2dSize& s, std::span<const float> x, std::span<const float> gy, Grad gw, Grad gbias);

/// y = x ⋆ w + bias; x [n, h, w, c_in], y [n, oh, ow, c_out], bias [c_out] or empty.
/// In bfloat16, products are summed in float and rounded once. Winograd's algorithm also rounds what it transforms.
Conv2dForward conv2d;
void conv2d(const Conv2dSize& s, std::span<const bfloat16> x, std::span<const float> w, std::span<const float> bias,
            std::span<bfloat16> y);
/// x ⋆ w of integer codes in [-256, 256]: the same y, exact while all sums stay below 2^24, faster if run in bfloat16.
void conv2d_codes(const Conv2dSize& s, std::span<const float> x, std::span<const float> w, std::span<float> y);
void conv2d_codes(const Conv2dSize& s, std::span<const bfloat16> x, std::span<const float> w, std::span<float> y);
/// ∂/∂x of conv2d_codes of integer codes gy, as exact: a transposed convolution.
void conv2d_codes_grad_x(const Conv2dSize& s, std::span<const float> gy, std::span<const float> w, Grad gx);
/// ∂/∂x of conv2d, from gy [n, oh, ow, c_out].
Conv2dGradX conv2d_grad_x;
void conv2d_grad_x(const Conv2dSize& s, std::span<const bfloat16> gy, std::span<const float> w, GradOf<bfloat16> gx);
/// ∂/∂w and ∂/∂bias (either may be omitted).
Conv2dGradW conv2d_grad_w;
void conv2d_grad_w(const Conv2dSize& s, std::span<const bfloat16> x, std::span<const bfloat16> gy, Grad gw, Grad gbias);

/// bfloat16 only in memory: converts, calls the float kernels, converts back. The overloads above do this where it is
/// faster, or where there is no bfloat16 kernel.
namespace through_float {
void conv2d(const Conv2dSize& s, std::span<const bfloat16> x, std::span<const float> w, std::span<const float> bias,
            std::span<bfloat16> y);
void conv2d_codes(const Conv2dSize& s, std::span<const bfloat16> x, std::span<const float> w, std::span<float> y);
void conv2d_grad_x(const Conv2dSize& s, std::span<const bfloat16> gy, std::span<const float> w, GradOf<bfloat16> gx);
void conv2d_grad_w(const Conv2dSize& s, std::span<const bfloat16> x, std::span<const bfloat16> gy, Grad gw, Grad gbias);
}  // namespace through_float

/// Of any shape, without a library. Same bytes on every CPU.
namespace direct {
Conv2dForward conv2d;
Conv2dGradX conv2d_grad_x;
Conv2dGradW conv2d_grad_w;
}  // namespace direct

/// As products of matrices, on one thread: for shapes without groups and without gaps in the rows of their windows.
/// Same bytes on every CPU.
namespace gemm {
bool computes(const Conv2dSize& s);
Conv2dForward conv2d;
Conv2dGradX conv2d_grad_x;
Conv2dGradW conv2d_grad_w;
}  // namespace gemm

/// 3x3 convolutions with stride 1 by fewer multiplications, on one thread. Used for real values of the shapes that it
/// suits, the same on every CPU. Errors are a few times those of a direct convolution: sums of integers are not exact.
namespace winograd {
/// Whether it suits any shape, to compare. On at first.
void enable(bool on);
bool suits(const Conv2dSize& s);  ///< for conv2d and conv2d_grad_w
bool suits_grad_x(const Conv2dSize& s);
Conv2dForward conv2d;
Conv2dGradX conv2d_grad_x;
Conv2dGradW conv2d_grad_w;

// On images in bfloat16, on CPUs with AVX512_BF16 and without AMX. Outputs and ∂x have about 3 times the error of a
// direct convolution in bfloat16; ∂w is computed in float.
bool runs_bfloat16();  ///< on this CPU
bool suits_bfloat16(const Conv2dSize& s);
bool suits_bfloat16_grad_x(const Conv2dSize& s);
bool suits_bfloat16_grad_w(const Conv2dSize& s);
void conv2d(const Conv2dSize& s, std::span<const bfloat16> x, std::span<const float> w, std::span<const float> bias,
            std::span<bfloat16> y);
void conv2d_grad_x(const Conv2dSize& s, std::span<const bfloat16> gy, std::span<const float> w, GradOf<bfloat16> gx);
void conv2d_grad_w(const Conv2dSize& s, std::span<const bfloat16> x, std::span<const bfloat16> gy, Grad gw, Grad gbias);
}  // namespace winograd

/// Plain loops: the reference for the tests.
namespace reference {
Conv2dForward conv2d;
Conv2dGradX conv2d_grad_x;
Conv2dGradW conv2d_grad_w;
}  // namespace reference

/// Seconds spent in convolutions by all threads since the last call of conv_seconds_reset(); counted only
/// after conv_seconds_enable(true) (`mixgrad bench step` asks for it).
void conv_seconds_enable(bool on);
void conv_seconds_reset();
double conv_seconds();

}  // namespace mixgrad::kernels

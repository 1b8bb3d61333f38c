// SPDX-License-Identifier: Apache-2.0
// Elementwise functions, and those with a factor per channel. Spans of values have the same size unless stated
// otherwise.
#pragma once

#include "grad.h"

namespace mixgrad::kernels {

/// y = f(x)
double function(const FunctionAttrs& f, double x);
void function(const FunctionAttrs& f, std::span<const float> x, std::span<float> y);
void function(const FunctionAttrs& f, std::span<const bfloat16> x, std::span<bfloat16> y);
/// g f'(x)
void function_grad(const FunctionAttrs& f, std::span<const float> x, std::span<const float> g, Grad gx);
void function_grad(const FunctionAttrs& f, std::span<const bfloat16> x, std::span<const bfloat16> g,
                   GradOf<bfloat16> gx);

/// x where x > 0, else slope[c] x; x [rows, channels], slope [channels] or [1].
void prelu(int64_t rows, int64_t channels, std::span<const float> x, std::span<const float> slope, std::span<float> y);
void prelu(int64_t rows, int64_t channels, std::span<const bfloat16> x, std::span<const float> slope,
           std::span<bfloat16> y);
void prelu_grad(int64_t rows, int64_t channels, std::span<const float> x, std::span<const float> slope,
                std::span<const float> g, Grad gx, Grad gslope);
void prelu_grad(int64_t rows, int64_t channels, std::span<const bfloat16> x, std::span<const float> slope,
                std::span<const bfloat16> g, GradOf<bfloat16> gx, Grad gslope);

/// y = a b; a [images, positions, channels], b the same or [images, 1, channels].
struct Factors {
  int64_t images, positions, channels;
  bool one_position;  ///< b's
};
void mul(const Factors& f, std::span<const float> a, std::span<const float> b, std::span<float> y);
void mul(const Factors& f, std::span<const bfloat16> a, std::span<const bfloat16> b, std::span<bfloat16> y);
void mul(const Factors& f, std::span<const bfloat16> a, std::span<const bfloat16> b, std::span<float> y);
/// ga = g b
void mul_grad_a(const Factors& f, std::span<const float> b, std::span<const float> g, Grad ga);
void mul_grad_a(const Factors& f, std::span<const bfloat16> b, std::span<const bfloat16> g, GradOf<bfloat16> ga);
void mul_grad_a(const Factors& f, std::span<const bfloat16> b, std::span<const float> g, GradOf<bfloat16> ga);
/// gb = g a, summed over the positions that share b.
void mul_grad_b(const Factors& f, std::span<const float> a, std::span<const float> g, Grad gb);
void mul_grad_b(const Factors& f, std::span<const bfloat16> a, std::span<const bfloat16> g, GradOf<bfloat16> gb);
void mul_grad_b(const Factors& f, std::span<const bfloat16> a, std::span<const float> g, GradOf<bfloat16> gb);

}  // namespace mixgrad::kernels

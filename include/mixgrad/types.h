// SPDX-License-Identifier: Apache-2.0
// Plain types that the interface and the kernels share.
#pragma once

#include <array>
#include <bit>
#include <cmath>
#include <cstdint>

namespace mixgrad {

/// The upper half of a float: how activations and their gradients may be stored. Arithmetic stays in float.
struct bfloat16 {
  uint16_t bits;

  bfloat16() = default;
  /// To the nearest, half to even; too large becomes infinity, NaN stays NaN.
  constexpr explicit bfloat16(float value) : bits(rounded(value)) {}
  /// Exact.
  constexpr operator float() const { return std::bit_cast<float>(uint32_t{bits} << 16); }

 private:
  static constexpr uint16_t rounded(float value) {
    const auto whole = std::bit_cast<uint32_t>(value);
    const uint32_t quiet = whole | 0x00400000;  // a NaN must not lose its last bit, nor be carried into the sign
    return static_cast<uint16_t>((value == value ? whole + 0x7fff + (whole >> 16 & 1) : quiet) >> 16);
  }
};

/// Where a gradient goes. False: nobody needs it, so the kernel leaves it out. The first contribution to a
/// tensor overwrites (its memory is uninitialised), later ones add.
template <typename T>
struct GradOf {
  T* data = nullptr;
  bool add = false;

  explicit operator bool() const { return data != nullptr; }
  void put(int64_t i, float value) const { data[i] = static_cast<T>(add ? data[i] + value : value); }
};

using Grad = GradOf<float>;

/// A 2-D convolution of n images; activations NHWC, weights OHWI [c_out, kh, kw, c_in / groups].
struct Conv2dSize {
  int64_t n, c_in, h, w;
  int64_t c_out, oh, ow;
  int64_t kh, kw;
  int64_t stride_h = 1, stride_w = 1;
  int64_t pad_top = 0, pad_left = 0;  // the padding at the end follows from oh, ow
  int64_t dilation_h = 1, dilation_w = 1;
  int64_t groups = 1;

  bool operator==(const Conv2dSize&) const = default;
};

/// 2-D pooling of n images, NHWC.
struct Pool2dSize {
  int64_t n, c, h, w, oh, ow;
  int64_t kh, kw, stride_h, stride_w;
  int64_t pad_top = 0, pad_left = 0, pad_bottom = 0, pad_right = 0;
  int64_t dilation_h = 1, dilation_w = 1;
  bool count_padding = true;  ///< average: positions in the padding count, as zeros
};

/// Codes that a quantizer may give: low, low + stride, ..., high. They are whole numbers.
struct CodeRange {
  float low, high;
  float stride = 1;
};

/// How one tensor of activations is quantized. `relu`: max(x, 0) first.
struct ActivationFormat {
  bool is_signed = false;
  bool relu = false;
};

/// Elementwise functions of a value x with parameters a and b.
enum class FunctionKind {
  sigmoid,       ///< 1 / (1 + exp(-x))
  hard_sigmoid,  ///< a x + b, limited to [0, 1]
  hard_swish,    ///< x times the hard sigmoid
  silu,          ///< x sigmoid(a x)
  tanh,
  leaky_relu,  ///< a x below 0, x above
  elu,         ///< a (exp(x) - 1) below 0, x above
  clip,        ///< x limited to [a, b]
  gelu,        ///< x Φ(x), Φ being the normal distribution
  gelu_tanh,   ///< the same with Φ approximated by a tanh
  softplus,    ///< log(1 + exp(x))
  mish,        ///< x tanh(softplus(x))
};
inline constexpr std::array function_names{"sigmoid", "hard_sigmoid", "hard_swish", "silu",
                                           "tanh",    "leaky_relu",   "elu",        "clip",
                                           "gelu",    "gelu_tanh",    "softplus",   "mish"};

struct FunctionAttrs {
  FunctionKind kind = FunctionKind::sigmoid;
  float a = 0, b = 0;
  bool operator==(const FunctionAttrs&) const = default;
};

/// multiplier / 2^shift, |multiplier| < 2^31, 0 <= shift <= 44.
struct FixedPoint {
  int32_t multiplier = 0;
  int shift = 0;

  double value() const { return std::ldexp(multiplier, -shift); }
  /// ⌊x · multiplier / 2^shift + 1/2⌋: halves round up, |x| < 2^31.
  int64_t apply(int64_t x) const { return (x * multiplier + (shift > 0 ? int64_t{1} << (shift - 1) : 0)) >> shift; }
  bool operator==(const FixedPoint&) const = default;
};

}  // namespace mixgrad

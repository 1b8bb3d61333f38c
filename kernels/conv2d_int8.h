// SPDX-License-Identifier: Apache-2.0
// Convolution of bytes with 8-bit weights in 32-bit integers, exact. Activations NHWC, weights OHWI as in conv2d.h.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "conv2d.h"
#include "requantize.h"

namespace mixgrad::kernels {

namespace reference {
/// sums = x ⋆ w; x_signed: x holds two's complement.
void conv2d_int8(const Conv2dSize& s, bool x_signed, std::span<const uint8_t> x, std::span<const int8_t> w,
                 std::span<int32_t> sums);
}  // namespace reference

namespace int8 {
struct Isa;
}

/// The same for one set of weights, laid out for an instruction set, and with its sums requantized while they are in
/// registers. On one thread; several threads may call it at once.
class PackedConv2dInt8 {
 public:
  PackedConv2dInt8(const int8::Isa& isa, const Conv2dSize& s, bool x_signed, std::span<const int8_t> w,
                   const Requantization& requantization);
  /// Of weights up to 8 bits and a sign that are held as floats. `isa` multiplies numbers of 16 bits.
  PackedConv2dInt8(const int8::Isa& isa, const Conv2dSize& s, std::span<const float> w);
  /// For the newest instruction set that the CPU supports; null if it supports none of ours.
  static std::unique_ptr<const PackedConv2dInt8> make(const Conv2dSize& s, bool x_signed, std::span<const int8_t> w,
                                                      const Requantization& requantization);

  void sums(std::span<const uint8_t> x, std::span<int32_t> sums) const;
  void codes(std::span<const uint8_t> x, std::span<uint8_t> codes) const;
  /// Codes and sums held as floats; codes up to 8 bits and a sign.
  void sums(std::span<const float> x, std::span<float> sums) const;

 private:
  struct Output;
  PackedConv2dInt8(const int8::Isa& isa, const Conv2dSize& s, bool x_signed, const Requantization& requantization);
  template <typename W>
  void pack(std::span<const W> w);
  template <typename X>
  void run(const X* x, Output y) const;
  const void* padded(const uint8_t* x, int64_t images) const;
  const void* padded(const float* x, int64_t images) const;

  const int8::Isa* isa_;
  Conv2dSize size_;
  bool x_signed_, depthwise_;
  int64_t groups_;                     ///< that run one after the other: a depthwise convolution's all run at once
  int64_t padded_h_, padded_w_;        ///< the part of the input that windows reach, and what they don't
  std::vector<int64_t> offsets_;       ///< in the padded input, of the runs of codes that lie next to each other
  int64_t run_codes_ = 0, words_ = 0;  ///< of a run
  bool copies_ = false;                ///< the input can't be read as it is
  std::vector<uint32_t> weights_;
  std::vector<int32_t> start_;  ///< of sums, for whole vectors: -128 Σw where x is stored as x + 128
  Requantization requantization_;
};

/// conv2d_codes by multiplications of 16 bits, where that is faster than by floats: 1.5 times for ResNet8 with AVX2.
/// Otherwise does nothing and returns false.
bool conv2d_codes_by_integers(const Conv2dSize& s, std::span<const float> x, std::span<const float> w,
                              std::span<float> y);

}  // namespace mixgrad::kernels

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
  /// Of whole numbers held as floats, of as many bits as `isa` multiplies: weights are bytes, or numbers up to 256 if
  /// it multiplies numbers of 16 bits.
  PackedConv2dInt8(const int8::Isa& isa, const Conv2dSize& s, bool x_signed, std::span<const float> w);
  /// For the newest instruction set that the CPU supports; null if it supports none of ours.
  static std::unique_ptr<const PackedConv2dInt8> make(const Conv2dSize& s, bool x_signed, std::span<const int8_t> w,
                                                      const Requantization& requantization);

  void sums(std::span<const uint8_t> x, std::span<int32_t> sums) const;
  void codes(std::span<const uint8_t> x, std::span<uint8_t> codes) const;
  /// Of codes held as floats or bfloat16s, of as many bits as `isa` multiplies.
  void sums(std::span<const float> x, std::span<float> sums) const;
  void sums(std::span<const bfloat16> x, std::span<float> sums) const;

 private:
  struct Output;
  PackedConv2dInt8(const int8::Isa& isa, const Conv2dSize& s, bool x_signed, const Requantization& requantization);
  template <typename W>
  void pack(std::span<const W> w);
  template <typename X>
  void run(const X* x, Output y) const;
  template <typename X>
  const void* padded(const X* x, int64_t images) const;
  /// Images as the kernels read them: `x`, or a copy.
  const void* readable(const uint8_t* x, int64_t images) const;
  template <typename X>
  const void* readable(const X* x, int64_t images) const {
    return padded(x, images);
  }

  const int8::Isa* isa_;
  Conv2dSize size_;
  bool x_signed_;
  int32_t offset_;  ///< of stored inputs, where signed ones are stored as unsigned
  bool depthwise_;
  int64_t groups_;                     ///< that run one after the other: a depthwise convolution's all run at once
  int64_t padded_h_, padded_w_;        ///< the part of the input that windows reach, and what they don't
  std::vector<int64_t> offsets_;       ///< in the padded input, of the runs of codes that lie next to each other
  int64_t run_codes_ = 0, words_ = 0;  ///< of a run
  bool copies_ = false;                ///< the input can't be read as it is
  std::vector<uint32_t> weights_;
  std::vector<int32_t> start_;  ///< of sums, for whole vectors: -offset_ Σw
  Requantization requantization_;
};

/// conv2d_codes by multiplications of bytes, or of 16 bits, where that is faster than by floats: with AVX2, 1.5 times
/// for ResNet8. Otherwise does nothing and returns false.
bool conv2d_codes_by_integers(const Conv2dSize& s, std::span<const float> x, std::span<const float> w,
                              std::span<float> y);
bool conv2d_codes_by_integers(const Conv2dSize& s, std::span<const bfloat16> x, std::span<const float> w,
                              std::span<float> y);

}  // namespace mixgrad::kernels

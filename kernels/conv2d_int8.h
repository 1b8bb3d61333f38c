// SPDX-License-Identifier: Apache-2.0
// Convolution of bytes with 8-bit weights in 32-bit integers, exact. Activations NHWC, weights OHWI as in conv2d.h.
#pragma once

#include <cstdint>
#include <memory>
#include <span>

#include "conv2d.h"

namespace mixgrad::kernels {

namespace reference {
/// acc = x ⋆ w; x_signed: x holds two's complement.
void conv2d_int8(const Conv2dSize& s, bool x_signed, std::span<const uint8_t> x, std::span<const int8_t> w,
                 std::span<int32_t> acc);
}  // namespace reference

/// The same by oneDNN for one set of weights, kept in oneDNN's own format. Planned for one thread; several threads may
/// call it at once.
class PackedConv2dInt8 {
 public:
  /// Null if oneDNN is missing, rejects the shape, or would not be exact (sums of pairs saturate at 16 bits on CPUs
  /// without VNNI; grouped convolutions of signed codes).
  static std::unique_ptr<const PackedConv2dInt8> make(const Conv2dSize& s, bool x_signed, std::span<const int8_t> w);
  virtual ~PackedConv2dInt8() = default;

  virtual void operator()(std::span<const uint8_t> x, std::span<int32_t> acc) const = 0;
};

}  // namespace mixgrad::kernels

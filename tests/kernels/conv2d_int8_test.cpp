// SPDX-License-Identifier: Apache-2.0
// Convolutions of bytes against the naive reference: integers, so equal.
#include <doctest/doctest.h>

#include <vector>

#include <fmt/core.h>

#include "kernels/conv2d_int8.h"
#include "mixgrad/rng.h"
#include "tests/skip.h"

using namespace mixgrad::kernels;

namespace {

class Shapes {
 public:
  /// A random small convolution.
  Conv2dSize next() {
    Conv2dSize s{.n = from(1, 8),
                 .c_in = 0,
                 .h = from(1, 6),
                 .w = from(1, 6),
                 .c_out = 0,
                 .oh = 0,
                 .ow = 0,
                 .kh = from(1, 3),
                 .kw = from(1, 3),
                 .stride_h = from(1, 2),
                 .stride_w = from(1, 2),
                 .pad_top = from(0, 2),
                 .pad_left = from(0, 2),
                 .dilation_h = from(1, 2),
                 .dilation_w = from(1, 2),
                 .groups = from(0, 2) == 0 ? 1 : int64_t{1} << from(1, 4)};
    s.c_in = s.groups * from(1, 4);
    s.c_out = s.groups <= 8 && from(0, 1) == 0 ? 8 : s.groups * from(1, 4);
    s.oh = outputs(s.h + s.pad_top + from(0, 2), (s.kh - 1) * s.dilation_h + 1, s.stride_h);
    s.ow = outputs(s.w + s.pad_left + from(0, 2), (s.kw - 1) * s.dilation_w + 1, s.stride_w);
    return s.oh > 0 && s.ow > 0 ? s : next();
  }
  template <typename T>
  std::vector<T> bytes(int64_t count) {
    std::vector<T> out;
    for (int64_t i = 0; i < count; ++i) out.push_back(static_cast<T>(rng_.below(256)));
    return out;
  }

 private:
  int64_t from(int64_t low, int64_t high) {
    return low + static_cast<int64_t>(rng_.below(static_cast<uint64_t>(high - low + 1)));
  }
  static int64_t outputs(int64_t size, int64_t window, int64_t stride) {
    return size < window ? 0 : (size - window) / stride + 1;
  }

  mixgrad::Rng rng_{3, "conv2d_int8_test"};
};

}  // namespace

TEST_CASE("int8 convolutions: the sums of the reference, whatever the shape") {
  Shapes shapes;
  int packed = 0;
  for (int i = 0; i < 200; ++i) {
    const Conv2dSize s = shapes.next();
    const bool is_signed = i % 2 == 0;
    const auto x = shapes.bytes<uint8_t>(s.n * s.h * s.w * s.c_in);
    const auto w = shapes.bytes<int8_t>(s.c_out * s.kh * s.kw * (s.c_in / s.groups));
    const auto conv = PackedConv2dInt8::make(s, is_signed, w);
    if (!conv) continue;
    ++packed;
    std::vector<int32_t> expected(static_cast<size_t>(s.n * s.oh * s.ow * s.c_out)), got(expected.size());
    reference::conv2d_int8(s, is_signed, x, w, expected);
    (*conv)(x, got);
    CHECK_MESSAGE(got == expected,
                  fmt::format("{} images, {} channels {}x{} to {}, {} groups, {}x{}, {}", s.n, s.c_in, s.h, s.w,
                              s.c_out, s.groups, s.kh, s.kw, is_signed ? "signed" : "unsigned"));
  }
  if (packed == 0)
    mixgrad::test::skip("no fast convolution of bytes on this machine: oneDNN is absent, or the CPU has no VNNI");
}

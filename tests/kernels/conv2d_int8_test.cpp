// SPDX-License-Identifier: Apache-2.0
// Convolutions of bytes against the naive reference: integers, so equal.
#include <doctest/doctest.h>

#include <algorithm>
#include <vector>

#include <fmt/core.h>

#include "kernels/bfloat16.h"
#include "kernels/conv2d_int8.h"
#include "kernels/conv2d_int8_isas.h"
#include "tests/dice.h"
#include "tests/kernels/cases.h"
#include "tests/skip.h"

using namespace mixgrad::kernels;

namespace {

class Shapes {
 public:
  /// A random convolution: small, or of as many channels as fill vectors and more.
  Conv2dSize next() {
    Conv2dSize s{.n = dice_.from(1, 8),
                 .c_in = 0,
                 .h = dice_.from(1, 6),
                 .w = dice_.from(1, 6),
                 .c_out = 0,
                 .oh = 0,
                 .ow = 0,
                 .kh = dice_.from(1, 3),
                 .kw = dice_.from(1, 3),
                 .stride_h = dice_.from(1, 2),
                 .stride_w = dice_.from(1, 2),
                 .pad_top = dice_.from(0, 2),
                 .pad_left = dice_.from(0, 2),
                 .dilation_h = dice_.from(1, 2),
                 .dilation_w = dice_.from(1, 2),
                 .groups = dice_.from(0, 2) == 0 ? 1 : int64_t{1} << dice_.from(1, 4)};
    s.c_in = s.groups * (dice_.from(0, 3) == 0 ? 1 : dice_.from(1, 9));
    s.c_out = s.groups * (s.c_in == s.groups && dice_.from(0, 1) == 0 ? 1 : dice_.from(1, s.groups == 1 ? 150 : 20));
    s.oh = mixgrad::test::outputs(s.h + s.pad_top + dice_.from(0, 2), (s.kh - 1) * s.dilation_h + 1, s.stride_h);
    s.ow = mixgrad::test::outputs(s.w + s.pad_left + dice_.from(0, 2), (s.kw - 1) * s.dilation_w + 1, s.stride_w);
    return s.oh > 0 && s.ow > 0 ? s : next();
  }
  template <typename T>
  std::vector<T> bytes(int64_t count) {
    std::vector<T> out;
    for (int64_t i = 0; i < count; ++i) out.push_back(static_cast<T>(dice_.from(0, 255)));
    return out;
  }
  /// Whole numbers in [-most, most].
  std::vector<int32_t> numbers(int64_t count, int32_t most) {
    std::vector<int32_t> out;
    for (int64_t i = 0; i < count; ++i) out.push_back(static_cast<int32_t>(dice_.from(-most, most)));
    return out;
  }
  /// Some give exact halves.
  std::vector<FixedPoint> ratios(int64_t count) {
    std::vector<FixedPoint> out;
    for (int64_t i = 0; i < count; ++i)
      out.push_back(i % 4 == 0 ? FixedPoint{1, static_cast<int>(dice_.from(1, 10))}
                               : fixed_point(static_cast<double>(dice_.from(1, 1000)) * 1e-5));
    return out;
  }

 private:
  mixgrad::test::Dice dice_{3, "conv2d_int8_test"};
};

}  // namespace

TEST_CASE("int8 convolutions: the same sums of codes that are held as floats or bfloat16s") {
  Shapes shapes;
  struct {
    int32_t low, high, weights;
  } const ranges[] = {{-255, 255, 255}, {0, 255, 127}, {-128, 127, 127}, {0, 3, 1}};
  for (int i = 0; i < 400; ++i) {
    const Conv2dSize s = shapes.next();
    const auto& range = ranges[i % 4];
    std::vector<int32_t> x = shapes.numbers(s.n * s.h * s.w * s.c_in, 255),
                         w = shapes.numbers(s.c_out * s.kh * s.kw * (s.c_in / s.groups), range.weights);
    for (int32_t& v : x) v = std::clamp(v, range.low, range.high);
    const std::vector<float> codes(x.begin(), x.end()), weights(w.begin(), w.end());
    std::vector<bfloat16> halves(codes.size());
    from_float(codes, halves);
    std::vector<float> expected(static_cast<size_t>(s.n * s.oh * s.ow * s.c_out)), sums(expected.size());
    reference::conv2d(s, codes, weights, {}, expected);
    for (const int8::Isa& isa : int8::isas()) {
      if (isa.code_bytes == 1 && range.weights > 127) continue;
      const PackedConv2dInt8 conv(isa, s, range.low < 0, weights);
      conv.sums(codes, sums);
      CHECK(sums == expected);
      conv.sums(halves, sums);
      CHECK(sums == expected);
    }
    if (conv2d_codes_by_integers(s, codes, weights, sums)) CHECK(sums == expected);
    if (conv2d_codes_by_integers(s, halves, weights, sums)) CHECK(sums == expected);
  }
}

TEST_CASE("int8 convolutions: the sums and codes of the reference, whatever the shape and the instruction set") {
  Shapes shapes;
  for (int i = 0; i < 300; ++i) {
    const Conv2dSize s = shapes.next();
    const bool is_signed = i % 2 == 0;
    const auto x = shapes.bytes<uint8_t>(s.n * s.h * s.w * s.c_in);
    const auto w = shapes.bytes<int8_t>(s.c_out * s.kh * s.kw * (s.c_in / s.groups));
    const std::vector<int32_t> bias = shapes.numbers(s.c_out, 20000);
    const std::vector<FixedPoint> ratios = shapes.ratios(s.c_out);
    const int low = i % 3 == 0 ? -128 : 0, high = i % 3 == 2 ? 15 : 127;
    std::vector<int32_t> expected(static_cast<size_t>(s.n * s.oh * s.ow * s.c_out)), sums(expected.size());
    reference::conv2d_int8(s, is_signed, x, w, expected);
    std::vector<uint8_t> expected_codes, codes(expected.size());
    for (size_t k = 0; k < expected.size(); ++k) {
      const size_t c = k % bias.size();
      const int64_t code = ratios[c].apply(int64_t{expected[k]} + bias[c]);
      expected_codes.push_back(static_cast<uint8_t>(std::clamp<int64_t>(code, low, high)));
    }
    for (const int8::Isa& isa : int8::isas()) {
      const PackedConv2dInt8 conv(isa, s, is_signed, w, Requantization(s.c_out, bias, ratios, low, high));
      const std::string about = fmt::format(
          "{}: {} images, {} channels {}x{} to {}, {} groups, kernel {}x{}, stride {} {}, dilation {} {}, {}", isa.name,
          s.n, s.c_in, s.h, s.w, s.c_out, s.groups, s.kh, s.kw, s.stride_h, s.stride_w, s.dilation_h, s.dilation_w,
          is_signed ? "signed" : "unsigned");
      conv.sums(x, sums);
      CHECK_MESSAGE(sums == expected, about);
      conv.codes(x, codes);
      CHECK_MESSAGE(codes == expected_codes, about);
    }
  }
  if (int8::isas().empty()) mixgrad::test::skip("no fast convolution of bytes on this machine: the CPU has no AVX2");
}

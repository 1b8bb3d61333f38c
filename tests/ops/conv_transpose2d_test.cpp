// SPDX-License-Identifier: Apache-2.0
// Transposed convolutions against their definition: every input adds its product with the kernel to the output.
#include "../refusal.h"
#include "check_gradient.h"

#include <mixgrad/mixgrad.h>

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>

using namespace mixgrad;

namespace {

struct Case {
  const char* name;
  Shape x, w;
  ConvTranspose2dAttrs attrs;
  Shape y;
};

const std::vector<Case>& cases() {
  static const std::vector<Case> all = {
      {"1x1", {2, 3, 4, 5}, {4, 3, 1, 1}, {}, {2, 4, 4, 5}},
      {"as far apart as the kernel is large", {2, 3, 4, 5}, {4, 3, 2, 2}, {.stride = {2, 2}}, {2, 4, 8, 10}},
      {"overlapping", {1, 2, 3, 3}, {3, 2, 3, 3}, {}, {1, 3, 5, 5}},
      {"holes between windows", {1, 2, 3, 3}, {3, 2, 2, 1}, {.stride = {3, 4}}, {1, 3, 8, 9}},
      {"uneven padding", {2, 3, 4, 3}, {2, 3, 4, 3}, {.stride = {2, 1}, .padding = {1, 0, 3, 2}}, {2, 2, 6, 3}},
      {"output padding",
       {1, 4, 5, 4},
       {4, 4, 3, 3},
       {.stride = {2, 3}, .padding = {1, 1, 1, 1}, .output_padding = {1, 2}},
       {1, 4, 10, 12}},
      {"dilated",
       {1, 2, 4, 3},
       {2, 2, 3, 2},
       {.padding = {2, 0, 1, 1}, .output_padding = {1, 0}, .dilation = {2, 3}},
       {1, 2, 6, 5}},
      {"grouped", {2, 4, 3, 4}, {6, 2, 3, 2}, {.stride = {2, 2}, .groups = 2}, {2, 6, 7, 8}},
      {"depthwise", {2, 5, 3, 4}, {5, 1, 3, 3}, {.stride = {2, 2}, .padding = {1, 1, 1, 1}, .groups = 5}, {2, 5, 5, 7}},
      {"many images", {40, 3, 6, 6}, {4, 3, 3, 3}, {.stride = {2, 2}}, {40, 4, 13, 13}},
  };
  return all;
}

/// Row-major values of y by the definition, in double precision.
std::vector<double> naive(const Case& c, const Tensor& x, const Tensor& w, const std::vector<float>& bias) {
  const std::vector<float> xs = x.to_vector(), ws = w.to_vector();
  const Shape &sx = c.x, &sw = c.w, &sy = c.y;
  const int64_t groups = c.attrs.groups, inputs = sx[1] / groups, outputs = sw[0] / groups;
  std::vector<double> y(static_cast<size_t>(sy.size()));
  for (size_t i = 0; i < y.size(); ++i) y[i] = bias[i / static_cast<size_t>(sy[2] * sy[3]) % bias.size()];
  for (int64_t n = 0; n < sx[0]; ++n)
    for (int64_t o = 0; o < sw[0]; ++o)
      for (int64_t i = 0; i < inputs; ++i)
        for (int64_t h = 0; h < sx[2]; ++h)
          for (int64_t v = 0; v < sx[3]; ++v)
            for (int64_t ky = 0; ky < sw[2]; ++ky)
              for (int64_t kx = 0; kx < sw[3]; ++kx) {
                const int64_t oy = h * c.attrs.stride[0] + ky * c.attrs.dilation[0] - c.attrs.padding[0];
                const int64_t ox = v * c.attrs.stride[1] + kx * c.attrs.dilation[1] - c.attrs.padding[1];
                if (oy < 0 || oy >= sy[2] || ox < 0 || ox >= sy[3]) continue;
                const int64_t from = o / outputs * inputs + i;
                y[static_cast<size_t>(((n * sy[1] + o) * sy[2] + oy) * sy[3] + ox)] +=
                    static_cast<double>(xs[static_cast<size_t>(((n * sx[1] + from) * sx[2] + h) * sx[3] + v)]) *
                    ws[static_cast<size_t>(((o * inputs + i) * sw[2] + ky) * sw[3] + kx)];
              }
  return y;
}

Tensor whole_numbers(const Shape& shape, int low, int high, Rng& rng) {
  Tensor t = Tensor::empty(shape);
  for (float& v : t.data())
    v = static_cast<float>(low + static_cast<int>(rng.below(static_cast<uint64_t>(high - low))));
  return t;
}

}  // namespace

TEST_CASE("conv_transpose2d: equal to its definition, exactly on codes") {
  Rng rng(4, "conv_transpose2d");
  for (const Case& c : cases()) {
    CAPTURE(c.name);
    const Tensor x = test::random_tensor(c.x, rng), w = test::random_tensor(c.w, rng),
                 bias = test::random_tensor({c.w[0]}, rng);
    const Tensor y = conv_transpose2d(x, w, bias, c.attrs);
    CHECK(y.shape() == c.y);
    const std::vector<double> expected = naive(c, x, w, bias.to_vector());
    const std::vector<float> got = y.to_vector();
    double worst = 0;
    for (size_t i = 0; i < got.size(); ++i) worst = std::max(worst, std::abs(got[i] - expected[i]));
    CHECK(worst < 1e-5);

    for (const DType dtype : {DType::float32, DType::bfloat16}) {
      const Tensor codes = whole_numbers(c.x, -128, 128, rng), weights = whole_numbers(c.w, -127, 128, rng);
      const std::vector<double> sums = naive(c, codes, weights, {0});
      for (const double bound : {1e6, 2e7}) {  // the second goes by halves
        const std::vector<float> exact =
            conv_transpose2d_codes(cast(codes, dtype), weights, c.attrs, bound).to_vector();
        CHECK(std::ranges::equal(exact, sums, [](float a, double b) { return static_cast<double>(a) == b; }));
      }
    }
  }
}

TEST_CASE("conv_transpose2d: bfloat16 activations are those of float32, rounded") {
  Rng rng(5, "conv_transpose2d");
  const Case& c = cases()[4];
  const Tensor x = cast(test::random_tensor(c.x, rng), DType::bfloat16), w = test::random_tensor(c.w, rng);
  const Tensor y = conv_transpose2d(x, w, {}, c.attrs);
  CHECK(y.dtype() == DType::bfloat16);
  const Tensor expected = cast(conv_transpose2d(cast(x, DType::float32), w, {}, c.attrs), DType::bfloat16);
  CHECK(cast(y, DType::float32).to_vector() == cast(expected, DType::float32).to_vector());
}

TEST_CASE("conv_transpose2d: shapes and attributes that don't fit are refused") {
  const Tensor x = Tensor::zeros({1, 4, 3, 3}), w = Tensor::zeros({4, 4, 2, 2});
  const auto said = [&](const ConvTranspose2dAttrs& a, const Tensor& weight) {
    return test::refusal([&] { conv_transpose2d(x, weight, {}, a); });
  };
  CHECK(said({.groups = 2}, w).find("does not fit weights") != std::string::npos);
  CHECK(said({.groups = 0}, w).find("in 0 groups") != std::string::npos);
  CHECK(said({.stride = {0, 1}}, w).find("stride, dilation and kernel must be at least 1") != std::string::npos);
  CHECK(said({.padding = {0, 2, 0, 0}}, w).find("padding must be less than the kernel's span") != std::string::npos);
  CHECK(said({.output_padding = {1, 0}}, w).find("output_padding must be less") != std::string::npos);
  CHECK(test::refusal([&] {
          conv_transpose2d(Tensor::zeros({1, 4, 1, 1}), w, {}, {.padding = {1, 0, 1, 0}});
        }).find("leaves nothing") != std::string::npos);
  CHECK(test::refusal([&] { conv_transpose2d(x, w, Tensor::zeros({3}), {}); }).find("expected [4]") !=
        std::string::npos);
}

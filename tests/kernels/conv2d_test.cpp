// SPDX-License-Identifier: Apache-2.0
// Convolutions against the naive reference, alone (threads inside) and inside a parallel region (one thread).
#include <doctest/doctest.h>

#include <bit>
#include <map>
#include <span>
#include <string>

#include "kernels/conv2d.h"
#include "kernels/cpu.h"
#include "kernels/parallel.h"
#include "tests/dice.h"
#include "tests/kernels/cases.h"

using namespace mixgrad::kernels;
using namespace mixgrad::test;

namespace {

struct ConvData {
  Floats x, w, bias, gy;

  ConvData(const Conv2dSize& s, uint32_t seed)
      : x(noise(s.n * s.h * s.w * s.c_in, seed + 1)),
        w(noise(s.c_out * s.kh * s.kw * (s.c_in / s.groups), seed + 2)),
        bias(noise(s.c_out, seed + 3)),
        gy(noise(s.n * s.oh * s.ow * s.c_out, seed + 4)) {}
};

/// The build's convolutions, with and without Winograd's algorithm, and our own ones, which every build has.
struct Convolutions {
  std::string name;
  bool by_winograd;  // where it suits
  Conv2dForward* forward;
  Conv2dGradX* grad_x;
  Conv2dGradW* grad_w;

  bool exact_forward(const Conv2dSize& s) const { return !by_winograd || !winograd::suits(s); }
  double tolerance(const Conv2dSize& s) const { return exact_forward(s) ? 2e-6 : 2e-5; }
  double tolerance_grad_x(const Conv2dSize& s) const {
    return exact_forward(s) && !(by_winograd && winograd::suits_grad_x(s)) ? 2e-6 : 2e-5;
  }
};

const std::string library = "conv2d, nothing by Winograd's algorithm", direct_kernels = "direct::conv2d",
                  products = "gemm::conv2d", fast = "winograd::conv2d";
const Convolutions convolutions[] = {
    {"conv2d", true, conv2d, conv2d_grad_x, conv2d_grad_w},
    {library, false, conv2d, conv2d_grad_x, conv2d_grad_w},
    {direct_kernels, false, direct::conv2d, direct::conv2d_grad_x, direct::conv2d_grad_w},
    {products, false, gemm::conv2d, gemm::conv2d_grad_x, gemm::conv2d_grad_w},
    {fast, true, winograd::conv2d, winograd::conv2d_grad_x, winograd::conv2d_grad_w}};

/// Whether it is one of our own, whatever the build.
bool is_ours(const Convolutions& conv) {
  return conv.name == direct_kernels || conv.name == products || conv.name == fast;
}

/// Calls body(convolutions, size) for all that go together.
template <typename Body>
void each_case(const Body& body) {
  for (const Convolutions& conv : convolutions)
    for (const ConvCase& c : conv_cases) {
      if (conv.name == products && !gemm::computes(c.s)) continue;
      if (conv.name == fast && !winograd::suits(c.s)) continue;
      CAPTURE(conv.name);
      CAPTURE(c.name);
      winograd::enable(conv.by_winograd);
      body(conv, c.s);
      winograd::enable(true);
    }
}

/// What doctest may not check inside a parallel region: the largest error of each kind of call.
struct ConvErrors {
  double y = 0, y_without_bias = 0, gx = 0, gw = 0, gbias = 0, gw_alone = 0, gbias_alone = 0;
};

ConvErrors conv_errors(const Convolutions& conv, const Conv2dSize& s, bool add, uint32_t seed) {
  const ConvData d(s, seed);
  ConvErrors e;
  Floats y(d.gy.size(), 7.0f), expected(d.gy.size());
  conv.forward(s, d.x, d.w, d.bias, y);
  reference::conv2d(s, d.x, d.w, d.bias, expected);
  e.y = error(y, expected);
  conv.forward(s, d.x, d.w, {}, y);
  reference::conv2d(s, d.x, d.w, {}, expected);
  e.y_without_bias = error(y, expected);

  Floats gx = before(d.x, add), want_x = gx;
  conv.grad_x(s, d.gy, d.w, {gx.data(), add});
  reference::conv2d_grad_x(s, d.gy, d.w, {want_x.data(), add});
  e.gx = error(gx, want_x);

  Floats gw = before(d.w, add), want_w = gw, gw_alone = gw, gbias = before(d.bias, add), want_bias = gbias,
         gbias_alone = gbias;
  conv.grad_w(s, d.x, d.gy, {gw.data(), add}, {gbias.data(), add});
  conv.grad_w(s, d.x, d.gy, {gw_alone.data(), add}, {});
  conv.grad_w(s, d.x, d.gy, {}, {gbias_alone.data(), add});
  reference::conv2d_grad_w(s, d.x, d.gy, {want_w.data(), add}, {want_bias.data(), add});
  e.gw = error(gw, want_w);
  e.gw_alone = error(gw_alone, want_w);
  e.gbias = error(gbias, want_bias);
  e.gbias_alone = error(gbias_alone, want_bias);
  conv.grad_w(s, d.x, d.gy, {}, {});
  conv.grad_x(s, d.gy, d.w, {});
  return e;
}

void check(const ConvErrors& e, const Convolutions& conv, const Conv2dSize& s) {
  const double tolerance = conv.tolerance(s);
  CHECK(e.y < tolerance);
  CHECK(e.y_without_bias < tolerance);
  CHECK(e.gx < conv.tolerance_grad_x(s));
  CHECK(e.gw < 5 * tolerance);
  CHECK(e.gw_alone < 5 * tolerance);
  CHECK(e.gbias < 1e-5);
  CHECK(e.gbias_alone < 1e-5);
}

/// All results of a convolution, one after the other.
Floats conv_results(const Convolutions& conv, const Conv2dSize& s) {
  const ConvData d(s, 1);
  Floats all(d.gy.size() + d.x.size() + d.w.size() + d.bias.size());
  float *y = all.data(), *gx = y + d.gy.size(), *gw = gx + d.x.size(), *gbias = gw + d.w.size();
  conv.forward(s, d.x, d.w, d.bias, {y, d.gy.size()});
  conv.grad_x(s, d.gy, d.w, {gx});
  conv.grad_w(s, d.x, d.gy, {gw}, {gbias});
  return all;
}

}  // namespace

TEST_CASE("conv2d agrees with the reference") {
  each_case([](const Convolutions& conv, const Conv2dSize& s) {
    for (const bool add : {false, true}) {
      CAPTURE(add);
      check(conv_errors(conv, s, add, 0), conv, s);
      ConvErrors inside[2];
#pragma omp parallel for num_threads(2)
      for (int i = 0; i < 2; ++i) inside[i] = conv_errors(conv, s, add, static_cast<uint32_t>(10 * i));
      for (const ConvErrors& e : inside) check(e, conv, s);
    }
  });
}

TEST_CASE("conv2d uses Winograd's algorithm for the shapes that it suits, unless it is off") {
  const Conv2dSize s = conv(2, 16, 32, 32, 16, 3, 3, 1, 1, 1);
  const ConvData d(s, 1);
  const auto chosen = [&] {
    Floats y(d.gy.size());
    conv2d(s, d.x, d.w, d.bias, y);
    return y;
  };
  Floats expected(d.gy.size());
  winograd::conv2d(s, d.x, d.w, d.bias, expected);
  CHECK(winograd::suits(s));
  CHECK(chosen() == expected);
  winograd::enable(false);
  CHECK_FALSE(winograd::suits(s));
  CHECK(chosen() != expected);
  winograd::enable(true);
  CHECK(chosen() == expected);
  for (const Conv2dSize& other :
       {conv(2, 16, 32, 32, 32, 3, 3, 2, 1, 1), conv(2, 16, 32, 32, 16, 5, 5, 1, 2, 2),
        conv(2, 16, 32, 32, 16, 3, 3, 1, 1, 1, 16), conv(2, 16, 32, 32, 16, 3, 3, 1, 2, 2, 1, 2),
        conv(2, 16, 1, 1, 16, 3, 3, 1, 1, 1), conv(2, 1, 32, 32, 1, 3, 3, 1, 1, 1)})
    CHECK_FALSE(winograd::suits(other));
}

TEST_CASE("conv2d_grad_x uses Winograd's algorithm where only this gradient is less work by it") {
  const Conv2dSize s = conv(2, 3, 32, 32, 16, 3, 3, 1, 1, 1);
  const ConvData d(s, 1);
  Floats gx(d.x.size()), expected(d.x.size());
  winograd::conv2d_grad_x(s, d.gy, d.w, {expected.data()});
  conv2d_grad_x(s, d.gy, d.w, {gx.data()});
  CHECK_FALSE(winograd::suits(s));
  CHECK(winograd::suits_grad_x(s));
  CHECK(gx == expected);
}

TEST_CASE("products of matrices: windows of any shape, stride, padding and row distance, on integers") {
  Dice dice(1, "windows of convolutions");
  for (int i = 0; i < 100; ++i) {
    Conv2dSize s{.n = dice.from(1, 3),
                 .c_in = dice.from(1, 20),
                 .h = dice.from(1, 12),
                 .w = dice.from(1, 12),
                 .c_out = dice.from(1, 40),
                 .oh = 0,
                 .ow = 0,
                 .kh = dice.from(1, 5),
                 .kw = dice.from(1, 5),
                 .stride_h = dice.from(1, 3),
                 .stride_w = dice.from(1, 3),
                 .pad_top = dice.from(0, 4),
                 .pad_left = dice.from(0, 4),
                 .dilation_h = dice.from(1, 2)};
    s.oh = outputs(s.h + s.pad_top + dice.from(0, 4), s.dilation_h * (s.kh - 1) + 1, s.stride_h);
    s.ow = outputs(s.w + s.pad_left + dice.from(0, 4), s.kw, s.stride_w);
    if (s.oh < 1 || s.ow < 1) continue;
    CAPTURE(i);
    REQUIRE(gemm::computes(s));
    const Floats x = integers(s.n * s.h * s.w * s.c_in, 5, 127), w = integers(s.c_out * s.kh * s.kw * s.c_in, 6, 15),
                 bias = integers(s.c_out, 7, 99), gy = integers(s.n * s.oh * s.ow * s.c_out, 8, 15);
    Floats y(gy.size()), expected_y(gy.size());
    gemm::conv2d(s, x, w, bias, y);
    reference::conv2d(s, x, w, bias, expected_y);
    CHECK(y == expected_y);
    for (const bool add : {false, true}) {
      Floats gx = integers(std::ssize(x), 9, 50), expected_gx = gx, gw = integers(std::ssize(w), 10, 50),
             expected_gw = gw;
      gemm::conv2d_grad_x(s, gy, w, {gx.data(), add});
      reference::conv2d_grad_x(s, gy, w, {expected_gx.data(), add});
      CHECK(gx == expected_gx);
      gemm::conv2d_grad_w(s, x, gy, {gw.data(), add}, {});
      reference::conv2d_grad_w(s, x, gy, {expected_gw.data(), add}, {});
      CHECK(gw == expected_gw);
    }
  }
}

TEST_CASE("an image has the same result in any batch") {
  each_case([](const Convolutions& conv, const Conv2dSize& s) {
    const ConvData d(s, 1);
    Conv2dSize one = s;
    one.n = 1;
    CHECK(winograd::suits(one) == winograd::suits(s));
    Floats all(d.gy.size()), alone(d.gy.size() / static_cast<size_t>(s.n));
    conv.forward(s, d.x, d.w, d.bias, all);
    conv.forward(one, std::span<const float>(d.x).first(d.x.size() / static_cast<size_t>(s.n)), d.w, d.bias, alone);
    all.resize(alone.size());
    if (conv.exact_forward(s) && !is_ours(conv) && !onednn_version().empty())  // oneDNN's order may depend on the batch
      CHECK(error(all, alone) < 2e-6);
    else
      CHECK(all == alone);
  });
}

TEST_CASE("inside a parallel region every thread computes the same bytes") {
  each_case([](const Convolutions& conv, const Conv2dSize& s) {
    Floats results[2];
#pragma omp parallel for num_threads(2) schedule(static, 1)
    for (int i = 0; i < 2; ++i) results[i] = conv_results(conv, s);
    CHECK(results[0] == results[1]);
  });
}

TEST_CASE("without a library convolutions have the same bytes on every CPU, with any number of threads") {
  std::map<std::string, uint64_t> hashes;
  each_case([&](const Convolutions& conv, Conv2dSize s) {
    if (!is_ours(conv) && !onednn_version().empty()) return;
    s.n *= 10;  // several partial sums of ∂/∂w
    const Floats here = conv_results(conv, s);
    uint64_t& hash = hashes.try_emplace(conv.name, 14695981039346656037u).first->second;
    for (const float v : here) hash = (hash ^ std::bit_cast<uint32_t>(v)) * 1099511628211u;
#ifdef _OPENMP
    for (const Floats& other : with_threads(3, [&] { return conv_results(conv, s); })) CHECK(other == here);
#endif
  });
  CHECK(hashes.at(direct_kernels) == 2517822852136424306u);
  CHECK(hashes.at(products) == 7531916569829110971u);
  CHECK(hashes.at(fast) == 17084308154137996051u);
}

TEST_CASE("conv2d is exact on integers, except by Winograd's algorithm") {
  each_case([](const Convolutions& conv, const Conv2dSize& s) {
    if (!conv.exact_forward(s)) return;
    const Floats x = integers(s.n * s.h * s.w * s.c_in, 5, 127);
    const Floats w = integers(s.c_out * s.kh * s.kw * (s.c_in / s.groups), 6, 15);
    Floats y(static_cast<size_t>(s.n * s.oh * s.ow * s.c_out)), expected(y.size());
    conv.forward(s, x, w, {}, y);
    reference::conv2d(s, x, w, {}, expected);
    CHECK(y == expected);
  });
}

TEST_CASE("conv2d_codes and its gradient are exact") {
  for (const ConvCase& c : conv_cases) {
    CAPTURE(c.name);
    const Conv2dSize& s = c.s;
    const Floats x = integers(s.n * s.h * s.w * s.c_in, 5, 127);
    const Floats w = integers(s.c_out * s.kh * s.kw * (s.c_in / s.groups), 6, 15);
    Floats y(static_cast<size_t>(s.n * s.oh * s.ow * s.c_out)), expected(y.size());
    conv2d_codes(s, x, w, y);
    reference::conv2d(s, x, w, {}, expected);
    CHECK(y == expected);

    const Floats gy = integers(std::ssize(y), 7, 127);
    Floats gx(x.size()), expected_gx(x.size());
    conv2d_codes_grad_x(s, gy, w, {gx.data()});
    reference::conv2d_grad_x(s, gy, w, {expected_gx.data()});
    CHECK(gx == expected_gx);
  }
}

TEST_CASE("the reference convolution, by hand") {
  const Conv2dSize s{.n = 1, .c_in = 1, .h = 2, .w = 3, .c_out = 1, .oh = 2, .ow = 2, .kh = 2, .kw = 2, .pad_top = 1};
  const Floats x{1, 2, 3, 4, 5, 6}, w{1, 10, 100, 1000}, bias{0.5f}, gy{1, 2, 3, 4};
  Floats y(4), gx(6), gw(4), gbias(1);
  reference::conv2d(s, x, w, bias, y);
  CHECK(y == Floats{2100.5f, 3200.5f, 5421.5f, 6532.5f});
  reference::conv2d_grad_x(s, gy, w, {gx.data()});
  CHECK(gx == Floats{103, 1234, 2040, 300, 3400, 4000});
  reference::conv2d_grad_w(s, x, gy, {gw.data()}, {gbias.data()});
  CHECK(gw == Floats{11, 18, 37, 47});
  CHECK(gbias[0] == 10);
}

TEST_CASE("seconds of convolutions are counted on request") {
  const Conv2dSize s = conv(1, 3, 8, 8, 4, 3, 3, 1, 1, 1);
  const ConvData d(s, 1);
  Floats y(d.gy.size());
  conv_seconds_reset();
  conv2d(s, d.x, d.w, d.bias, y);
  CHECK(conv_seconds() == 0.0);
  conv_seconds_enable(true);
  conv2d(s, d.x, d.w, d.bias, y);
  conv_seconds_enable(false);
  CHECK(conv_seconds() > 0.0);
  conv_seconds_reset();
  CHECK(conv_seconds() == 0.0);
}

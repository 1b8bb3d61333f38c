// SPDX-License-Identifier: Apache-2.0
// Kernels on bfloat16 against the same kernels on float. Where both compute element by element, the expected result
// is the float one, rounded, to the bit; sums in another order get the tolerance of the roundings they go through.
#include "kernels/bfloat16.h"

#include <doctest/doctest.h>

#include <bit>
#include <cmath>
#include <cstring>
#include <random>
#include <span>
#include <vector>

#include "kernels/conv2d.h"
#include "kernels/cpu.h"
#include "kernels/elementwise.h"
#include "kernels/layout.h"
#include "kernels/pool.h"
#include "kernels/quantize.h"
#include "tests/kernels/cases.h"

using namespace mixgrad::kernels;
using namespace mixgrad::test;

namespace {

using Halves = std::vector<bfloat16>;
using HalfGrad = GradOf<bfloat16>;

constexpr double half_ulp = 0x1p-8;  // of a significand of 8 bits, relative to the number

Halves narrow(const Floats& values) {
  Halves halves(values.size());
  from_float(values, halves);
  return halves;
}

Floats wide(const Halves& halves) {
  Floats values(halves.size());
  to_float(halves, values);
  return values;
}

/// Numbers that bfloat16 holds exactly.
Floats exact_noise(int64_t size, uint32_t seed) { return wide(narrow(noise(size, seed))); }

template <typename T>
bool same_bytes(const std::vector<T>& a, const std::vector<T>& b) {
  return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size() * sizeof(T)) == 0;
}

/// The nearest bfloat16, found by looking at both neighbours.
uint16_t nearest(float v) {
  const auto low = static_cast<uint16_t>(std::bit_cast<uint32_t>(v) >> 16);
  const auto value = [](uint32_t bits) { return double{std::bit_cast<float>(bits << 16)}; };
  // The step beyond the largest finite number counts as large as the one before it.
  const double next = (low & 0x7fffu) == 0x7f7f ? std::copysign(0x1p128, v) : value(low + 1u);
  const double below = std::abs(double{v} - value(low)), above = std::abs(next - double{v});
  return below < above || (below == above && low % 2 == 0) ? low : static_cast<uint16_t>(low + 1);
}

/// How far values are from the expected ones beyond one rounding, or with `add` one of the contribution and one of
/// the sum, relative to the largest expected.
double excess(const Floats& got, const Floats& expected, const Floats& before, bool add) {
  double largest = 1e-30, worst = 0;
  for (const float v : expected) largest = std::max(largest, std::abs(double{v}));
  for (size_t i = 0; i < got.size(); ++i) {
    const double contribution = add ? std::abs(double{expected[i]} - double{before[i]}) : 0;
    const double allowed = half_ulp * (std::abs(double{expected[i]}) + (1 + half_ulp) * contribution);
    const double beyond = std::abs(double{got[i]} - double{expected[i]}) - allowed;
    worst = mixgrad::test::worse(worst, beyond);
  }
  return worst / largest;
}

}  // namespace

TEST_CASE("every bfloat16 is the upper half of its float, and comes back") {
  Halves all(65536);
  for (uint32_t bits = 0; bits < 65536; ++bits) all[bits] = std::bit_cast<bfloat16>(static_cast<uint16_t>(bits));
  const Floats values = wide(all);
  const Halves back = narrow(values);
  for (uint32_t bits = 0; bits < 65536; ++bits) {
    REQUIRE(std::bit_cast<uint32_t>(values[bits]) == bits << 16);
    REQUIRE(std::bit_cast<uint32_t>(static_cast<float>(all[bits])) == bits << 16);
    if (std::isnan(values[bits])) {
      REQUIRE(std::isnan(static_cast<float>(back[bits])));
    } else {
      REQUIRE(back[bits].bits == bits);
    }
    REQUIRE(bfloat16(values[bits]).bits == back[bits].bits);
  }
}

TEST_CASE("floats go to the nearest bfloat16, ties to even") {
  std::mt19937 generator(1);
  Floats values;
  for (int i = 0; i < 300000; ++i) {
    const uint32_t bits = static_cast<uint32_t>(generator());
    for (const uint32_t lower : {bits & 0xffffu, 0x8000u, 0x7fffu, 0x8001u}) {
      const float v = std::bit_cast<float>((bits & 0xffff0000u) | lower);
      if (std::isfinite(v)) values.push_back(v);
    }
  }
  const Halves rounded = narrow(values);
  for (size_t i = 0; i < values.size(); ++i) {
    REQUIRE(rounded[i].bits == nearest(values[i]));
    REQUIRE(bfloat16(values[i]).bits == rounded[i].bits);
  }
  static_assert(bfloat16(1.00390625f).bits == 0x3f80 && bfloat16(1.01171875f).bits == 0x3f82);
}

TEST_CASE("infinity and every kind of NaN stay what they are") {
  const float inf = std::numeric_limits<float>::infinity(), largest = std::numeric_limits<float>::max();
  CHECK(static_cast<float>(bfloat16(inf)) == inf);
  CHECK(static_cast<float>(bfloat16(-largest)) == -inf);
  for (const uint32_t bits : {0x7f800001u, 0x7fc00000u, 0x7fffffffu, 0xff800001u, 0xffffffffu}) {
    CHECK(std::isnan(static_cast<float>(bfloat16(std::bit_cast<float>(bits)))));
    CHECK(std::isnan(static_cast<float>(narrow({std::bit_cast<float>(bits)})[0])));
  }
}

namespace {

struct Results {
  Halves y, gx;
  Floats gw, gbias, gbias_alone;

  bool operator==(const Results& o) const {
    return same_bytes(y, o.y) && same_bytes(gx, o.gx) && gw == o.gw && gbias == o.gbias && gbias_alone == o.gbias_alone;
  }
};

struct ConvData {
  Floats x, w, bias, gy;
  Halves hx, hgy;

  explicit ConvData(const Conv2dSize& s)
      : x(exact_noise(s.n * s.h * s.w * s.c_in, 1)),
        w(exact_noise(s.c_out * s.kh * s.kw * (s.c_in / s.groups), 2)),
        bias(noise(s.c_out, 3)),
        gy(exact_noise(s.n * s.oh * s.ow * s.c_out, 4)),
        hx(narrow(x)),
        hgy(narrow(gy)) {}

  Results results(const Conv2dSize& s, bool add) const {
    Results r{Halves(gy.size()), narrow(before(x, add)), before(w, add), before(bias, add), before(bias, add)};
    conv2d(s, hx, w, bias, r.y);
    conv2d_grad_x(s, hgy, w, HalfGrad{r.gx.data(), add});
    conv2d_grad_w(s, hx, hgy, {r.gw.data(), add}, {r.gbias.data(), add});
    conv2d_grad_w(s, hx, hgy, {}, {r.gbias_alone.data(), add});
    conv2d_grad_w(s, hx, hgy, {}, {});
    conv2d_grad_x(s, hgy, w, HalfGrad{});
    return r;
  }
};

}  // namespace

TEST_CASE("convolutions in bfloat16, nothing by Winograd's algorithm, are the float ones, rounded") {
  winograd::enable(false);
  for (const ConvCase& c : conv_cases)
    for (const bool add : {false, true}) {
      CAPTURE(c.name);
      CAPTURE(add);
      const ConvData d(c.s);
      const Floats start = wide(narrow(before(d.x, add)));
      Floats y(d.gy.size()), gx = start, gw = before(d.w, add), gbias = before(d.bias, add);
      conv2d(c.s, d.x, d.w, d.bias, y);
      conv2d_grad_x(c.s, d.gy, d.w, {gx.data(), add});
      conv2d_grad_w(c.s, d.x, d.gy, {gw.data(), add}, {gbias.data(), add});
      Results inside;
#pragma omp parallel num_threads(2)
#pragma omp single
      inside = d.results(c.s, add);
      for (const Results& r : {d.results(c.s, add), inside}) {
        CHECK(excess(wide(r.y), y, y, false) < 2e-6);
        CHECK(excess(wide(r.gx), gx, start, add) < 2e-6);
        CHECK(error(r.gw, gw) < 1e-5);
        CHECK(error(r.gbias, gbias) < 1e-5);
        CHECK(error(r.gbias_alone, gbias) < 1e-5);
      }
    }
  winograd::enable(true);
}

namespace {

/// Whether this CPU runs it; says so if not.
bool runs_winograd() {
  if (!winograd::runs_bfloat16()) MESSAGE("skipped: no Winograd's algorithm in bfloat16 on this CPU");
  return winograd::runs_bfloat16();
}

/// Calls body(data, size) for all shapes that Winograd's algorithm computes, also those that it does not suit.
template <typename Body>
void each_winograd_case(const Body& body) {
  for (const ConvCase& c : conv_cases) {
    const Conv2dSize& s = c.s;
    if (s.kh * s.kw != 9 || s.kh != 3 || s.stride_h * s.stride_w * s.dilation_h * s.groups != 1) continue;
    CAPTURE(c.name);
    body(ConvData(s), s);
  }
}

Results by_winograd(const ConvData& d, const Conv2dSize& s, bool add) {
  Results r{Halves(d.gy.size()), narrow(before(d.x, add)), before(d.w, add), before(d.bias, add), before(d.bias, add)};
  winograd::conv2d(s, d.hx, d.w, d.bias, r.y);
  winograd::conv2d_grad_x(s, d.hgy, d.w, HalfGrad{r.gx.data(), add});
  winograd::conv2d_grad_w(s, d.hx, d.hgy, {r.gw.data(), add}, {r.gbias.data(), add});
  winograd::conv2d_grad_w(s, d.hx, d.hgy, {}, {r.gbias_alone.data(), add});
  winograd::conv2d_grad_x(s, d.hgy, d.w, HalfGrad{});
  return r;
}

}  // namespace

TEST_CASE("Winograd's algorithm in bfloat16 agrees with the reference") {
  if (!runs_winograd()) return;
  // Roundings of transformed images and weights; a direct convolution has a third of it.
  constexpr double tolerance = 0.02;
  each_winograd_case([&](const ConvData& d, const Conv2dSize& s) {
    for (const bool add : {false, true}) {
      CAPTURE(add);
      const Results r = by_winograd(d, s, add);
      Floats y(d.gy.size()), gx = wide(narrow(before(d.x, add))), gw = before(d.w, add), gbias = before(d.bias, add);
      reference::conv2d(s, d.x, d.w, d.bias, y);
      reference::conv2d_grad_x(s, d.gy, d.w, {gx.data(), add});
      reference::conv2d_grad_w(s, d.x, d.gy, {gw.data(), add}, {gbias.data(), add});
      CHECK(error(wide(r.y), y) < tolerance);
      CHECK(error(wide(r.gx), gx) < tolerance);
      CHECK(error(r.gw, gw) < 1e-4);
      CHECK(error(r.gbias, gbias) < 1e-5);
      CHECK(error(r.gbias_alone, gbias) < 1e-5);
      Halves without_bias(y.size());
      winograd::conv2d(s, d.hx, d.w, {}, without_bias);
      reference::conv2d(s, d.x, d.w, {}, y);
      CHECK(error(wide(without_bias), y) < tolerance);
    }
  });
}

TEST_CASE("Winograd's algorithm in bfloat16: the same bytes on any thread and in any batch") {
  if (!runs_winograd()) return;
  each_winograd_case([](const ConvData& d, const Conv2dSize& s) {
    const Results here = by_winograd(d, s, false);
    Results inside[2];
#pragma omp parallel for num_threads(2) schedule(static, 1)
    for (int i = 0; i < 2; ++i) inside[i] = by_winograd(d, s, false);
    for (const Results& r : inside) CHECK(r == here);

    Conv2dSize one = s;
    one.n = 1;
    Halves y(here.y.size() / static_cast<size_t>(s.n));
    winograd::conv2d(one, std::span(d.hx).first(d.hx.size() / static_cast<size_t>(s.n)), d.w, d.bias, y);
    CHECK(same_bytes(y, Halves(here.y.begin(), here.y.begin() + std::ssize(y))));
  });
}

TEST_CASE("convolutions in bfloat16 use Winograd's algorithm for the shapes that it suits, unless it is off") {
  if (!runs_winograd() || !bfloat16_is_fast()) return;
  const Conv2dSize s = conv(2, 32, 16, 16, 36, 3, 3, 1, 1, 1);  // channels out that fill no whole vectors
  const ConvData d(s);
  const Results expected = by_winograd(d, s, false);
  CHECK(d.results(s, false) == expected);
  CHECK((winograd::suits_bfloat16(s) && winograd::suits_bfloat16_grad_x(s) && winograd::suits_bfloat16_grad_w(s)));
  winograd::enable(false);
  CHECK_FALSE(
      (winograd::suits_bfloat16(s) || winograd::suits_bfloat16_grad_x(s) || winograd::suits_bfloat16_grad_w(s)));
  CHECK_FALSE(d.results(s, false) == expected);
  winograd::enable(true);
  CHECK_FALSE(winograd::suits_bfloat16(conv(2, 16, 32, 32, 32, 3, 3, 2, 1, 1)));
}

TEST_CASE("bfloat16 by way of float is the float convolution, rounded once") {
  for (const ConvCase& c : conv_cases)
    for (const bool add : {false, true}) {
      CAPTURE(c.name);
      const ConvData d(c.s);
      Halves y(d.gy.size()), gx = narrow(before(d.x, add));
      Floats wide_y(d.gy.size()), wide_gx = wide(gx), gw = before(d.w, add), wide_gw = gw;
#pragma omp parallel num_threads(2)
#pragma omp single
      {
        through_float::conv2d(c.s, d.hx, d.w, d.bias, y);
        through_float::conv2d_grad_x(c.s, d.hgy, d.w, HalfGrad{gx.data(), add});
        through_float::conv2d_grad_w(c.s, d.hx, d.hgy, {gw.data(), add}, {});
        conv2d(c.s, d.x, d.w, d.bias, wide_y);
        conv2d_grad_x(c.s, d.gy, d.w, {wide_gx.data(), add});
        conv2d_grad_w(c.s, d.x, d.gy, {wide_gw.data(), add}, {});
      }
      CHECK(same_bytes(y, narrow(wide_y)));
      CHECK(same_bytes(gx, narrow(wide_gx)));
      CHECK(same_bytes(gw, wide_gw));
    }
}

TEST_CASE("convolutions of integer codes are exact") {
  for (const ConvCase& c : conv_cases)
    for (const bool is_signed : {false, true}) {
      CAPTURE(c.name);
      const Conv2dSize& s = c.s;
      Floats x = integers(s.n * s.h * s.w * s.c_in, 5, is_signed ? 127 : 255);
      Floats w = integers(s.c_out * s.kh * s.kw * (s.c_in / s.groups), 6, 128);
      for (float& v : x) v = is_signed ? v : std::abs(v);
      for (float& v : w) v = std::min(v, 127.0f);
      Floats y(static_cast<size_t>(s.n * s.oh * s.ow * s.c_out)), expected(y.size());
      conv2d_codes(s, x, w, y);
      direct::conv2d(s, x, w, {}, expected);
      CHECK(same_bytes(y, expected));
      conv2d_codes(s, narrow(x), w, y);
      CHECK(same_bytes(y, expected));
      through_float::conv2d_codes(s, narrow(x), w, y);
      CHECK(same_bytes(y, expected));
      reference::conv2d(s, x, w, {}, expected);
      CHECK(y == expected);
    }
}

namespace {

const std::vector<std::vector<int>> candidate_sets{{8}, {2, 4, 8}, {2, 3, 4, 5, 6, 7, 8}};

struct MixtureResults {
  Halves out, gx;
  Floats gtheta, gclip;

  bool operator==(const MixtureResults& o) const {
    return same_bytes(out, o.out) && same_bytes(gx, o.gx) && same_bytes(gtheta, o.gtheta) && same_bytes(gclip, o.gclip);
  }
};

MixtureResults mixture(const std::vector<int>& bits, ActivationFormat format, const Halves& x, const Halves& g,
                       bool add) {
  const Floats theta(bits.size(), 0.3f), clip(bits.size(), 0.7f);
  MixtureResults r{Halves(x.size()), narrow(before(wide(x), add)), before(theta, add), before(clip, add)};
  activation_mixture(bits, format, x, theta, clip, r.out);
  activation_mixture_grad(bits, format, x, theta, clip, g, HalfGrad{r.gx.data(), add}, {r.gtheta.data(), add},
                          {r.gclip.data(), add});
  activation_mixture_grad(bits, format, x, theta, clip, g, HalfGrad{}, {}, {});
  return r;
}

}  // namespace

TEST_CASE("activation mixtures in bfloat16 are the float ones, rounded") {
  for (const auto& bits : candidate_sets)
    for (const ActivationFormat format : {ActivationFormat{false, true}, {true, false}, {true, true}})
      for (const int64_t n : {1, 31, 70003})
        for (const bool add : {false, true}) {
          CAPTURE(bits.size());
          CAPTURE(n);
          const Halves x = narrow(noise(n, 1)), g = narrow(noise(n, 2));
          const Floats fx = wide(x), fg = wide(g), theta(bits.size(), 0.3f), clip(bits.size(), 0.7f);
          const MixtureResults r = mixture(bits, format, x, g, add);
          Floats out(fx.size()), gx = wide(narrow(before(fx, add))), gtheta = before(theta, add), gclip = gtheta;
          activation_mixture(bits, format, fx, theta, clip, out);
          activation_mixture_grad(bits, format, fx, theta, clip, fg, {gx.data(), add}, {gtheta.data(), add},
                                  {gclip.data(), add});
          CHECK(same_bytes(r.out, narrow(out)));
          CHECK(same_bytes(r.gx, narrow(gx)));
          CHECK(error(r.gtheta, gtheta) < 2e-5);
          CHECK(error(r.gclip, gclip) < 2e-5);
        }
}

TEST_CASE("NaN comes through mixtures in bfloat16") {
  Halves x = narrow(noise(100, 1));
  x[50] = std::bit_cast<bfloat16>(uint16_t{0x7fff});
  x[99] = std::bit_cast<bfloat16>(uint16_t{0xff81});
  const MixtureResults r = mixture({2, 4, 8}, {true, false}, x, x, false);
  for (size_t i = 0; i < x.size(); ++i) CHECK(std::isnan(static_cast<float>(r.out[i])) == (i == 50 || i == 99));
  CHECK(std::isnan(r.gtheta[0]));
}

namespace {

/// Checks that a kernel's output or gradient in bfloat16 is that in float, rounded. `halves` and `floats` call the
/// kernel, each with where to put the result.
template <typename InHalves, typename InFloats>
void check_rounded(int64_t n, bool add, const InHalves& halves, const InFloats& floats) {
  Halves h = narrow(before(Floats(static_cast<size_t>(n)), add));
  Floats f = wide(h);
  halves(HalfGrad{h.data(), add}, h);
  floats(Grad{f.data(), add}, f);
  CHECK(same_bytes(h, narrow(f)));
}

}  // namespace

TEST_CASE("elementwise kernels and layouts in bfloat16 are the float ones, rounded") {
  const int64_t n = 40001;
  const Halves a = narrow(noise(n, 1)), b = narrow(noise(n, 2));
  const Floats fa = wide(a), fb = wide(b);
  check_rounded(
      n, false, [&](auto, auto& y) { add(a, b, y); }, [&](auto, auto& y) { add(fa, fb, y); });
  check_rounded(
      n, false, [&](auto, auto& y) { relu(a, y); }, [&](auto, auto& y) { relu(fa, y); });
  check_rounded(
      n, true, [&](auto, auto& y) { accumulate(a, y); }, [&](auto, auto& y) { accumulate(fa, y); });
  for (const bool adds : {false, true}) {
    check_rounded(
        n, adds, [&](auto gx, auto&) { relu_grad(a, b, gx); }, [&](auto gx, auto&) { relu_grad(fa, fb, gx); });
    check_rounded(
        n, adds, [&](auto gx, auto&) { pass_gradient(b, gx); }, [&](auto gx, auto&) { pass_gradient(fb, gx); });
    const auto transpose = [&](auto gx, auto&) { rows_to_channels_last(10, 400, 10, fb, gx); };
    check_rounded(40000, adds, transpose, transpose);
  }
  relu_grad(a, b, HalfGrad{});
  pass_gradient(b, HalfGrad{});
  Floats rows(40000), expected(40000);
  channels_last_to_rows(10, 400, 10, a, rows);
  channels_last_to_rows(10, 400, 10, fa, expected);
  CHECK(rows == expected);
}

TEST_CASE("gradients pass between float and bfloat16, rounded once") {
  const Floats g = noise(1000, 1), start = exact_noise(1000, 2);
  const Halves half_g = narrow(g);
  for (const bool add : {false, true}) {
    Halves gx = narrow(start);
    Floats expected = start, wide_gx = start, wide_expected = start;
    pass_gradient(g, HalfGrad{gx.data(), add});
    pass_gradient(g, Grad{expected.data(), add});
    CHECK(same_bytes(gx, narrow(expected)));
    pass_gradient(half_g, Grad{wide_gx.data(), add});
    pass_gradient(wide(half_g), Grad{wide_expected.data(), add});
    CHECK(same_bytes(wide_gx, wide_expected));
  }
}

TEST_CASE("pooling in bfloat16 is that of floats, rounded once") {
  for (const PoolCase& c : pool_cases) {
    CAPTURE(c.name);
    const Pool2dSize& s = c.s;
    const int64_t n = s.n * s.h * s.w * s.c, m = s.n * s.oh * s.ow * s.c;
    const Halves x = narrow(integers(n, 1, 9)), gy = narrow(noise(m, 2));
    const Floats fx = wide(x), fgy = wide(gy);
    check_rounded(
        m, false, [&](auto, auto& y) { max_pool2d(s, x, y); }, [&](auto, auto& y) { max_pool2d(s, fx, y); });
    for (const bool codes : {false, true})
      check_rounded(
          m, false, [&](auto, auto& y) { avg_pool2d(s, codes, x, y); },
          [&](auto, auto& y) { avg_pool2d(s, codes, fx, y); });
    for (const bool adds : {false, true}) {
      check_rounded(
          n, adds, [&](auto gx, auto&) { max_pool2d_grad(s, x, gy, gx); },
          [&](auto gx, auto&) { max_pool2d_grad(s, fx, fgy, gx); });
      check_rounded(
          n, adds, [&](auto gx, auto&) { avg_pool2d_grad(s, gy, gx); },
          [&](auto gx, auto&) { avg_pool2d_grad(s, fgy, gx); });
    }
  }
}

#ifdef _OPENMP
TEST_CASE("in bfloat16 too, equal bytes for any number of threads") {
  const Halves x = narrow(noise(100003, 1)), g = narrow(noise(100003, 2));
  const auto mixed = [&] { return mixture({2, 4, 8}, {true, false}, x, g, false); };
  const Pool2dSize s{8, 16, 12, 12, 5, 5, 3, 3, 2, 2};
  const auto pooled = [&] {
    Halves gx(static_cast<size_t>(s.n * s.h * s.w * s.c));
    max_pool2d_grad(s, x, g, HalfGrad{gx.data()});
    return wide(gx);
  };
  const auto reference_mixed = mixed();
  const auto reference_pooled = pooled();
  for (const int threads : {1, 2, 4}) {
    for (const MixtureResults& r : with_threads(threads, mixed)) CHECK(r == reference_mixed);
    for (const Floats& r : with_threads(threads, pooled)) CHECK(r == reference_pooled);
  }
  for (const ConvCase& c : conv_cases) {  // one thread each, as micro-batches are computed
    CAPTURE(c.name);
    const ConvData d(c.s);
    std::vector<Results> results;
    for (const int threads : {1, 2, 4}) {
      std::vector<Results> here(static_cast<size_t>(threads));
#pragma omp parallel num_threads(threads)
      here[static_cast<size_t>(omp_get_thread_num())] = d.results(c.s, false);
      results.insert(results.end(), here.begin(), here.end());
    }
    for (const Results& r : results) CHECK(r == results[0]);
  }
}
#endif

// SPDX-License-Identifier: Apache-2.0
#include "kernels/quantize.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <random>
#include <vector>

#include "kernels/parallel.h"
#include "tests/kernels/cases.h"
#include "tests/worse.h"

namespace k = mixgrad::kernels;
using mixgrad::test::Floats;

namespace {

using Bits = std::vector<int>;

const std::vector<Bits> candidate_sets{{8}, {4, 8}, {2, 4, 8}, {2, 4, 6, 8}, {2, 3, 4, 5, 6, 7, 8}};
const std::vector<size_t> sizes{1, 7, 33, 100003};
const std::vector<k::ActivationFormat> formats{{false, false}, {false, true}, {true, false}, {true, true}};

Floats normal(size_t n, uint32_t seed, float scale = 1) {
  std::mt19937 generator(seed);
  std::normal_distribution<float> distribution(0, scale);
  Floats v(n);
  for (float& e : v) e = distribution(generator);
  return v;
}

Floats positive(size_t n, uint32_t seed) {
  Floats v = normal(n, seed);
  for (float& e : v) e = std::abs(e) + 0.05f;
  return v;
}

void check_close(const Floats& got, const Floats& expected, double tolerance) {
  REQUIRE(got.size() == expected.size());
  double largest = 1e-6, error = 0;
  for (const float v : expected) largest = std::max(largest, std::abs(static_cast<double>(v)));
  for (size_t i = 0; i < got.size(); ++i)
    error = mixgrad::test::worse(error, std::abs(static_cast<double>(got[i]) - static_cast<double>(expected[i])));
  CHECK(error <= tolerance * largest);
}

bool near_tie(double scaled) { return std::abs(scaled - std::floor(scaled) - 0.5) < 1e-3; }

/// One activation mixture with its incoming gradient. x keeps away from ties and clips, where one rounding of a
/// float decides the code; those are tested by themselves.
struct Case {
  Bits bits;
  k::ActivationFormat format;
  Floats x, g, theta, clip;

  Case(const Bits& b, k::ActivationFormat f, size_t n)
      : bits(b),
        format(f),
        x(normal(n, 1, 2)),
        g(normal(n, 2)),
        theta(positive(b.size(), 3)),
        clip(positive(b.size(), 4)) {
    for (float& c : clip) c += 2;
    for (float& v : x)
      while (on_edge(v)) v += 0.003f;
  }
  bool on_edge(float v) const {
    bool edge = std::abs(v) < 1e-4f;
    for (size_t p = 0; p < bits.size(); ++p) {
      const double levels = static_cast<double>(k::activation_levels(bits[p], format.is_signed));
      edge |= near_tie(static_cast<double>(v) / static_cast<double>(clip[p]) * levels);
      edge |= std::abs(std::abs(v) - clip[p]) < 1e-4f;
    }
    return edge;
  }
};

struct Gradients {
  Floats x, theta, clip;

  bool operator==(const Gradients&) const = default;
};

Gradients filled(const Case& c, float value) {
  return {Floats(c.x.size(), value), Floats(c.bits.size(), value), Floats(c.bits.size(), value)};
}

template <typename Kernel>
Gradients run(const Kernel& kernel, const Case& c, bool add, float before) {
  Gradients d = filled(c, before);
  kernel(c.bits, c.format, c.x, c.theta, c.clip, c.g, k::Grad{d.x.data(), add}, k::Grad{d.theta.data(), add},
         k::Grad{d.clip.data(), add});
  return d;
}

/// Of the overloads, the one for floats.
const auto mixture_grad = [](const auto&... arguments) { k::activation_mixture_grad(arguments...); };

Floats forward(const Case& c) {
  Floats out(c.x.size());
  k::activation_mixture(c.bits, c.format, c.x, c.theta, c.clip, out);
  return out;
}

template <typename Body>
void for_each_case(const Body& body) {
  for (const Bits& bits : candidate_sets)
    for (const k::ActivationFormat& format : formats)
      for (const size_t n : sizes) {
        CAPTURE(bits.size());
        CAPTURE(format.is_signed);
        CAPTURE(format.relu);
        CAPTURE(n);
        body(Case(bits, format, n));
      }
}

Floats codes(int bits, k::ActivationFormat format, float clip, const Floats& x) {
  Floats q(x.size());
  k::quantize_activation(bits, format, clip, x, q);
  return q;
}

Floats weight_codes(int bits, const Floats& w) {
  const k::WeightSize s{1, static_cast<int64_t>(w.size())};
  Floats q(w.size()), magnitude(1);
  k::weight_magnitude(s, w, magnitude);
  k::quantize_weight(s, Bits{bits}, magnitude, w, q);
  return q;
}

/// Random weights away from ties, the third channel all zeros.
Floats weights(const k::WeightSize& s, const Bits& bits) {
  const auto row = static_cast<size_t>(s.per_channel);
  Floats w = normal(static_cast<size_t>(s.channels) * row, 7);
  for (size_t c = 0; c < static_cast<size_t>(s.channels); ++c) {
    float max = 0;
    for (size_t i = c * row; i < (c + 1) * row; ++i) max = std::max(max, std::abs(w[i]));
    for (size_t i = c * row; i < (c + 1) * row; ++i)
      for (const int b : bits) {
        const double ratio = static_cast<double>(w[i]) / static_cast<double>(max);
        if (c == 2 || (std::abs(w[i]) < max && near_tie(ratio * ((1 << b) - 1) / 2))) w[i] = 0;
      }
  }
  return w;
}

/// The gradients by way of the reference: a one-hot mixture is ŵ_p itself.
void add_weight_gradients(const k::WeightSize& s, const Bits& bits, bool per_channel, const Floats& w,
                          const Floats& theta, const Floats& g, Floats& gw, Floats& gtheta) {
  const auto row = static_cast<size_t>(s.per_channel), columns = per_channel ? static_cast<size_t>(s.channels) : 1;
  for (size_t p = 0; p < bits.size(); ++p) {
    Floats one_hot(bits.size()), quantized(w.size());
    one_hot[p] = 1;
    k::reference::weight_mixture(s, bits, false, w, one_hot, quantized);
    std::vector<double> sums(columns);
    for (size_t i = 0; i < w.size(); ++i) {
      const size_t column = per_channel ? i / row : 0;
      sums[column] += static_cast<double>(g[i]) * static_cast<double>(quantized[i]);
      if (bits[p] > 0) gw[i] += g[i] * theta[p * columns + column];
    }
    for (size_t c = 0; c < columns; ++c) gtheta[p * columns + c] += static_cast<float>(sums[c]);
  }
}

}  // namespace

TEST_CASE("activation_mixture agrees with the reference") {
  for_each_case([](const Case& c) {
    Floats expected(c.x.size());
    k::reference::activation_mixture(c.bits, c.format, c.x, c.theta, c.clip, expected);
    check_close(forward(c), expected, 1e-6);
  });
}

TEST_CASE("activation_mixture_grad agrees with the reference, overwriting and adding") {
  for_each_case([](const Case& c) {
    for (const bool add : {false, true}) {
      const Gradients fast = run(mixture_grad, c, add, 0.5f);
      const Gradients expected = run(k::reference::activation_mixture_grad, c, add, 0.5f);
      check_close(fast.x, expected.x, 1e-6);
      check_close(fast.theta, expected.theta, 2e-5);
      check_close(fast.clip, expected.clip, 2e-5);
    }
  });
}

TEST_CASE("activation_mixture_grad leaves out what nobody needs") {
  const Case c({2, 4, 8}, {true, false}, 33);
  const Gradients all = run(mixture_grad, c, false, 0);
  Gradients d = filled(c, 0);
  k::activation_mixture_grad(c.bits, c.format, c.x, c.theta, c.clip, c.g, {}, k::Grad{d.theta.data()}, {});
  k::activation_mixture_grad(c.bits, c.format, c.x, c.theta, c.clip, c.g, {}, {}, k::Grad{d.clip.data()});
  k::activation_mixture_grad(c.bits, c.format, c.x, c.theta, c.clip, c.g, k::Grad{d.x.data()}, {}, {});
  CHECK(d == all);
}

TEST_CASE("straight-through gradients of activations in closed form") {
  const Floats x{-5, -2, -1, -0.25f, 0, 0.25f, 1, 2, 5}, g{1, 2, 3, 4, 5, 6, 7, 8, 9};
  const Floats theta{0.25f, 0.75f}, clip{1, 2};
  const auto gradients = [&](k::ActivationFormat format) {
    Gradients d{Floats(x.size()), Floats(2), Floats(2)};
    k::activation_mixture_grad(Bits{2, 4}, format, x, theta, clip, g, k::Grad{d.x.data()}, k::Grad{d.theta.data()},
                               k::Grad{d.clip.data()});
    return d;
  };
  SUBCASE("one-sided: unsigned, or signed behind a ReLU") {
    for (const k::ActivationFormat format : {formats[0], formats[1], formats[3]}) {
      const Gradients d = gradients(format);
      CHECK(d.x == Floats{0, 0, 0, 0, 0, 6, 7 * 0.75f, 0, 0});
      CHECK(d.clip == Floats{0.25f * (7 + 8 + 9), 0.75f * (8 + 9)});
    }
  }
  SUBCASE("two-sided") {
    const Gradients d = gradients(formats[2]);
    CHECK(d.x == Floats{0, 0, 3 * 0.75f, 4, 5, 6, 7 * 0.75f, 0, 0});
    CHECK(d.clip == Floats{0.25f * (7 + 8 + 9 - 1 - 2 - 3), 0.75f * (8 + 9 - 1 - 2)});
    CHECK(d.theta[0] == 7 + 8 + 9 - 1 - 2 - 3);  // 2 bits, signed: codes -1, 0, 1
  }
}

TEST_CASE("quantize_activation_grad is that of x / s") {
  const Floats x{-9, -3, -1, 1, 3, 9}, g{1, 2, 3, 4, 5, 6};
  for (const bool add : {false, true}) {
    Floats gx(6, 0.5f), gclip(1, 0.5f);
    const float base = add ? 0.5f : 0;
    k::quantize_activation_grad(4, {true, false}, 3.5f, x, g, k::Grad{gx.data(), add}, k::Grad{gclip.data(), add});
    CHECK(gx == Floats{base, base + 4, base + 6, base + 8, base + 10, base});  // s = 0.5
    CHECK(gclip[0] == base + 2 * (6 - 1));
  }
}

TEST_CASE("activation codes round half to even at exact ties") {
  CHECK(codes(4, {}, 15, {0.5f, 1.5f, 2.5f, 3.5f, 13.5f, 14.5f, 15.5f}) == Floats{0, 2, 2, 4, 14, 14, 15});
  CHECK(codes(4, {true, false}, 7, {-0.5f, -1.5f, -2.5f, -6.5f, -7.5f, 6.5f}) == Floats{0, -2, -2, -6, -7, 6});
  CHECK(codes(4, {true, true}, 7, {-3, 2.5f, 8}) == Floats{0, 2, 7});
}

TEST_CASE("x at the clip reaches the top code, for every precision and any clip") {
  std::mt19937 generator(5);
  std::uniform_real_distribution<float> exponent(-12, 12);
  for (int trial = 0; trial < 2000; ++trial) {
    const float clip = std::exp2(exponent(generator)), inf = std::numeric_limits<float>::infinity();
    for (int b = 2; b <= 8; ++b) {
      const float top = k::activation_levels(b, false), signed_top = k::activation_levels(b, true);
      REQUIRE(codes(b, {}, clip, {clip, std::nextafter(clip, inf), inf, -inf}) == Floats{top, top, top, 0});
      REQUIRE(codes(b, {true, false}, clip, {clip, -clip, inf, -inf}) ==
              Floats{signed_top, -signed_top, signed_top, -signed_top});
    }
  }
}

TEST_CASE("a one-hot mixture gives the codes times the step, exactly") {
  const Floats x = normal(1000, 6, 2), one{1}, clip{2.7f};
  for (const k::ActivationFormat format : formats) {
    Floats out(x.size()), expected = codes(4, format, clip[0], x);
    k::activation_mixture(Bits{4}, format, x, one, clip, out);
    for (float& v : expected) v *= clip[0] / k::activation_levels(4, format.is_signed);
    CHECK(out == expected);
  }
}

TEST_CASE("NaN comes through") {
  for_each_case([](Case c) {
    const size_t i = c.x.size() / 2;
    c.x[i] = std::numeric_limits<float>::quiet_NaN();
    CHECK(std::isnan(forward(c)[i]));
    CHECK(std::isnan(codes(c.bits[0], c.format, c.clip[0], c.x)[i]));
    for (const float d : run(mixture_grad, c, false, 0).theta) CHECK(std::isnan(d));
  });
  CHECK(std::isnan(weight_codes(4, {1, std::numeric_limits<float>::quiet_NaN()})[1]));
}

TEST_CASE("weight mixtures agree with the reference") {
  auto sets = candidate_sets;
  sets.push_back({0, 2, 4, 8});
  const std::vector<k::WeightSize> shapes{{1, 1}, {5, 7}, {16, 33}, {3, 1153}, {61, 1639}};
  for (const Bits& bits : sets)
    for (const k::WeightSize& s : shapes)
      for (const bool per_channel : {false, true}) {
        CAPTURE(bits.size());
        CAPTURE(s.per_channel);
        const Floats w = weights(s, bits), g = normal(w.size(), 8);
        const Floats theta = positive(bits.size() * static_cast<size_t>(per_channel ? s.channels : 1), 9);
        Floats out(w.size()), expected(w.size());
        k::weight_mixture(s, bits, per_channel, w, theta, out);
        k::reference::weight_mixture(s, bits, per_channel, w, theta, expected);
        check_close(out, expected, 1e-6);

        Floats gw(w.size(), 0.5f), gtheta(theta.size(), 0.5f), expected_gw = gw, expected_gtheta = gtheta;
        k::weight_mixture_grad(s, bits, per_channel, w, theta, g, {gw.data(), true}, {gtheta.data(), true});
        add_weight_gradients(s, bits, per_channel, w, theta, g, expected_gw, expected_gtheta);
        check_close(gw, expected_gw, 1e-6);
        check_close(gtheta, expected_gtheta, 2e-5);
      }
}

TEST_CASE("weight_mixture_grad overwrites, adds or leaves out") {
  const Floats w{1, -0.5f, 0.25f, 0}, g{1, 2, 3, 4}, theta{0.25f, 0.75f};
  const auto gradient = [&](bool add, bool want_w, bool want_theta) {
    Floats d{9, 9, 9, 9, 9, 9};
    k::weight_mixture_grad({2, 2}, Bits{0, 8}, false, w, theta, g, want_w ? k::Grad{d.data(), add} : k::Grad{},
                           want_theta ? k::Grad{d.data() + 4, add} : k::Grad{});
    return d;
  };
  const Floats d = gradient(false, true, true);
  CHECK(Floats(d.begin(), d.begin() + 4) == Floats{0.75f, 1.5f, 2.25f, 3});
  CHECK(d[4] == 0);
  CHECK(d[5] == doctest::Approx(1 * 127 * 2 / 255. - 2 * 64 * 2 / 255. + 3 * 127 * 0.5 / 255).epsilon(1e-6));
  const Floats added = gradient(true, true, true);
  for (size_t i = 0; i < d.size(); ++i) CHECK(added[i] == doctest::Approx(9 + d[i]));
  CHECK(gradient(false, true, false)[5] == 9);
  CHECK(gradient(false, false, true)[0] == 9);
}

TEST_CASE("weights at their channel's largest magnitude reach the outermost codes") {
  std::mt19937 generator(10);
  std::uniform_real_distribution<float> exponent(-12, 12);
  for (int trial = 0; trial < 500; ++trial) {
    const float m = std::exp2(exponent(generator));
    for (int b = 2; b <= 8; ++b) {
      const auto half = static_cast<float>(1 << (b - 1));
      REQUIRE(weight_codes(b, {m, -m, 0}) == Floats{half - 1, -half, 0});
    }
  }
}

TEST_CASE("weight codes round half to even, and zeros stay zeros") {
  CHECK(weight_codes(2, {1.5f, 0.5f, -0.5f, -1.5f, 0.75f}) == Floats{1, 0, 0, -2, 1});
  CHECK(weight_codes(4, {7.5f, 2.5f, 3.5f, -2.5f, 6.5f}) == Floats{7, 2, 4, -2, 6});
  CHECK(weight_codes(8, {0, 0, 0}) == Floats{0, 0, 0});
  CHECK(weight_codes(0, {1, 2, 3}) == Floats{0, 0, 0});
}

TEST_CASE("weight_scale and quantize_weight_grad, channel by channel") {
  const Floats w{-3, 1, 0, 0, 2, 1}, g{1, 2, 3, 4, 5, 6};
  const Bits bits{2, 8, 0};
  Floats magnitude(3), scale(3), gw(6, 7), codes(6);
  k::weight_magnitude({3, 2}, w, magnitude);
  CHECK(magnitude == Floats{3, 0, 2});
  k::weight_scale(bits, magnitude, scale);
  k::quantize_weight({3, 2}, bits, Floats{1, 1, 1}, w, codes);  // weights beyond the magnitude get the outermost codes
  CHECK(codes == Floats{-2, 1, 0, 0, 0, 0});
  CHECK(scale == Floats{2, 1, 1});
  k::quantize_weight_grad({3, 2}, bits, scale, g, k::Grad{gw.data()});
  CHECK(gw == Floats{0.5f, 1, 3, 4, 0, 0});
  k::quantize_weight_grad({3, 2}, bits, scale, g, k::Grad{gw.data(), true});
  CHECK(gw == Floats{1, 2, 6, 8, 0, 0});
  k::quantize_weight_grad({3, 2}, bits, scale, g, {});
}

#ifdef _OPENMP
TEST_CASE("equal bytes for any number of threads, inside and outside a parallel region") {
  const Case c({2, 4, 8}, {true, false}, 100003);
  const k::WeightSize s{61, 1639};
  const Floats theta = positive(3, 11), w = normal(61 * 1639, 12), g = normal(61 * 1639, 13);
  const auto activations = [&] { return run(mixture_grad, c, false, 0); };
  const auto mixed = [&] { return forward(c); };
  const auto weights = [&] {
    Gradients d{Floats(w.size()), Floats(3), {}};
    k::weight_mixture_grad(s, Bits{2, 4, 8}, false, w, theta, g, k::Grad{d.x.data()}, k::Grad{d.theta.data()});
    return d;
  };
  for (const int threads : {1, 2, 4}) {
    for (const Gradients& d : mixgrad::test::with_threads(threads, activations)) CHECK(d == activations());
    for (const Floats& out : mixgrad::test::with_threads(threads, mixed)) CHECK(out == mixed());
    for (const Gradients& d : mixgrad::test::with_threads(threads, weights)) CHECK(d == weights());
  }
}
#endif

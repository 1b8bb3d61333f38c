// SPDX-License-Identifier: Apache-2.0
// Every other fast kernel against its naive reference, alone (threads inside) and inside a parallel region (one
// thread).
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "kernels/elementwise.h"
#include "kernels/layout.h"
#include "kernels/norm.h"
#include "kernels/parallel.h"
#include "kernels/pool.h"
#include "kernels/reduce.h"
#include "kernels/softmax.h"
#include "tests/kernels/cases.h"

using namespace mixgrad::kernels;
using namespace mixgrad::test;

TEST_CASE("batch norm agrees with the reference") {
  struct Size {
    int64_t rows, channels;
  };
  for (const Size& s : {Size{1, 4}, Size{7, 3}, Size{256, 16}, Size{1025, 33}, Size{5000, 64}, Size{20000, 1}}) {
    CAPTURE(s.rows);
    CAPTURE(s.channels);
    Floats x = noise(s.rows * s.channels, 1);
    for (float& v : x) v += 100.0f;  // a mean far from zero shows cancellation
    const Floats gamma = noise(s.channels, 2), beta = noise(s.channels, 3), gy = noise(s.rows * s.channels, 4);
    Floats mean(gamma.size()), variance(gamma.size()), want_mean(gamma.size()), want_variance(gamma.size());
    channel_moments(s.rows, s.channels, x, mean, variance);
    reference::channel_moments(s.rows, s.channels, x, want_mean, want_variance);
    CHECK(error(mean, want_mean) < 1e-6);
    CHECK(error(variance, want_variance) < 1e-5);

    Floats inv_std(gamma.size()), y(x.size()), want_y(x.size());
    for (size_t c = 0; c < inv_std.size(); ++c) inv_std[c] = 1.0f / std::sqrt(want_variance[c] + 1e-3f);
    batch_norm(s.rows, s.channels, x, want_mean, inv_std, gamma, beta, y);
    for (size_t i = 0; i < x.size(); ++i) {
      const size_t c = i % gamma.size();
      want_y[i] = gamma[c] * (x[i] - want_mean[c]) * inv_std[c] + beta[c];
    }
    CHECK(error(y, want_y) < 1e-6);

    for (const bool fixed : {false, true})
      for (const bool add : {false, true}) {
        CAPTURE(fixed);
        CAPTURE(add);
        Floats gx = before(x, add), want_x = gx, ggamma = before(gamma, add), want_gamma = ggamma,
               gbeta = before(gamma, add), want_beta = gbeta, gx_alone = gx;
        batch_norm_grad(s.rows, s.channels, fixed, x, want_mean, inv_std, gamma, gy, {gx.data(), add},
                        {ggamma.data(), add}, {gbeta.data(), add});
        batch_norm_grad(s.rows, s.channels, fixed, x, want_mean, inv_std, gamma, gy, {gx_alone.data(), add}, {}, {});
        reference::batch_norm_grad(s.rows, s.channels, fixed, x, want_mean, inv_std, gamma, gy, {want_x.data(), add},
                                   {want_gamma.data(), add}, {want_beta.data(), add});
        CHECK(error(gx, want_x) < 1e-5);
        CHECK(gx_alone == gx);
        CHECK(error(ggamma, want_gamma) < 1e-5);
        CHECK(error(gbeta, want_beta) < 1e-5);
      }
  }
}

TEST_CASE("batch norm's gradient is the derivative of its forward") {
  const int64_t rows = 6, channels = 2;
  Floats x = noise(rows * channels, 1);
  const Floats gamma{1.5f, -0.5f}, beta{0.1f, 0.2f}, gy = noise(rows * channels, 2);
  const auto moments = [&](Floats& mean, Floats& inv_std) {
    reference::channel_moments(rows, channels, x, mean, inv_std);
    for (float& v : inv_std) v = 1.0f / std::sqrt(v);
  };
  Floats mean(2), inv_std(2), gx(x.size());
  const auto loss = [&] {
    Floats y(x.size());
    moments(mean, inv_std);
    batch_norm(rows, channels, x, mean, inv_std, gamma, beta, y);
    double sum = 0;
    for (size_t i = 0; i < y.size(); ++i) sum += double{y[i]} * gy[i];
    return sum;
  };
  moments(mean, inv_std);
  batch_norm_grad(rows, channels, false, x, mean, inv_std, gamma, gy, {gx.data()}, {}, {});
  for (size_t i = 0; i < x.size(); ++i) {
    const float here = x[i], step = 1e-2f;
    x[i] = here + step;
    const double above = loss();
    x[i] = here - step;
    const double below = loss();
    x[i] = here;
    CHECK(gx[i] == doctest::Approx((above - below) / (2 * step)).epsilon(0.01));
  }
}

TEST_CASE("reductions do not depend on the threads") {
  const int64_t rows = 3000, channels = 24;
  const Floats x = noise(rows * channels, 1), gy = noise(rows * channels, 2), ones(24, 1.0f), zeros(24, 0.0f);
  const auto results = [&] {
    Floats all(24 * 5);
    const std::span<float> out(all);
    channel_moments(rows, channels, x, out.subspan(0, 24), out.subspan(24, 24));
    column_sums(rows, channels, x, {all.data() + 48});
    batch_norm_grad(rows, channels, true, x, zeros, ones, ones, gy, {}, {all.data() + 72}, {all.data() + 96});
    return all;
  };
  const Floats outside = results();
  Floats inside[2];
#pragma omp parallel for num_threads(2)
  for (int i = 0; i < 2; ++i) inside[i] = results();
  CHECK(inside[0] == outside);
  CHECK(inside[1] == outside);
}

namespace {

/// Calls `body(image offset of the window's element, offset of the output element, inside)` window by window.
template <typename Body>
void for_each_element(const Pool2dSize& s, const Body& body) {
  for (int64_t n = 0; n < s.n; ++n)
    for (int64_t oy = 0; oy < s.oh; ++oy)
      for (int64_t ox = 0; ox < s.ow; ++ox)
        for (int64_t c = 0; c < s.c; ++c)
          for (int64_t ky = 0; ky < s.kh; ++ky)
            for (int64_t kx = 0; kx < s.kw; ++kx) {
              const int64_t y = oy * s.stride_h - s.pad_top + ky, x = ox * s.stride_w - s.pad_left + kx;
              if (y < 0 || y >= s.h || x < 0 || x >= s.w) continue;
              body(static_cast<size_t>(((n * s.h + y) * s.w + x) * s.c + c),
                   static_cast<size_t>(((n * s.oh + oy) * s.ow + ox) * s.c + c));
            }
}

/// What the average of every output divides by.
Floats pool_counts(const Pool2dSize& s) {
  const int64_t top = s.count_padding ? s.pad_top : 0, bottom = s.count_padding ? s.pad_bottom : 0;
  const int64_t left = s.count_padding ? s.pad_left : 0, right = s.count_padding ? s.pad_right : 0;
  Floats counts(static_cast<size_t>(s.n * s.oh * s.ow * s.c));
  for (size_t i = 0; i < counts.size(); ++i) {
    const int64_t position = static_cast<int64_t>(i) / s.c, oy = position / s.ow % s.oh, ox = position % s.ow;
    for (int64_t k = 0; k < s.kh * s.kw; ++k) {
      const int64_t y = oy * s.stride_h - s.pad_top + k / s.kw, x = ox * s.stride_w - s.pad_left + k % s.kw;
      counts[i] += y >= -top && y < s.h + bottom && x >= -left && x < s.w + right;
    }
  }
  return counts;
}

/// What a pool of codes in bytes gives, of integers as floats.
template <typename Code, typename Pool>
Floats pooled_bytes(const Floats& x, size_t outputs, const Pool& pool) {
  const std::vector<Code> bytes(x.begin(), x.end());
  std::vector<Code> y(outputs);
  pool(std::span<const Code>(bytes), std::span<Code>(y));
  return {y.begin(), y.end()};
}

struct PoolErrors {
  double maximum, average, codes, maximum_grad, average_grad;
};

PoolErrors pool_errors(const Pool2dSize& s, bool add) {
  const Floats x = integers(s.n * s.h * s.w * s.c, 1, 9);  // many ties
  const Floats gy = noise(s.n * s.oh * s.ow * s.c, 2);
  const Floats count = pool_counts(s);
  Floats largest(gy.size(), -std::numeric_limits<float>::infinity()), sum(gy.size()), codes(gy.size()), y(gy.size());
  std::vector<size_t> first(gy.size());
  for_each_element(s, [&](size_t in, size_t out) {
    sum[out] += x[in];
    if (x[in] > largest[out]) {
      largest[out] = x[in];
      first[out] = in;
    }
  });
  Floats want_max = add ? noise(static_cast<int64_t>(x.size()), 99) : Floats(x.size()), want_average = want_max;
  for (size_t i = 0; i < gy.size(); ++i) {
    codes[i] = std::floor(sum[i] / count[i] + 0.5f);
    want_max[first[i]] += gy[i];
  }
  for_each_element(s, [&](size_t in, size_t out) { want_average[in] += gy[out] / count[out]; });

  PoolErrors e;
  max_pool2d(s, x, y);
  e.maximum = error(y, largest);
  avg_pool2d(s, true, x, y);
  e.codes = error(y, codes);
  const auto maxima = [&](auto bytes, auto out) { max_pool2d(s, bytes, out); };
  const auto means = [&](auto bytes, auto out) { avg_pool2d(s, bytes, out); };
  e.maximum = worse(e.maximum, error(pooled_bytes<int8_t>(x, y.size(), maxima), largest));
  e.codes = worse(e.codes, error(pooled_bytes<int8_t>(x, y.size(), means), codes));
  Floats unsigned_x = x, unsigned_y(y.size());
  for (float& v : unsigned_x) v += 200;
  max_pool2d(s, unsigned_x, unsigned_y);
  e.maximum = worse(e.maximum, error(pooled_bytes<uint8_t>(unsigned_x, y.size(), maxima), unsigned_y));
  avg_pool2d(s, true, unsigned_x, unsigned_y);
  e.codes = worse(e.codes, error(pooled_bytes<uint8_t>(unsigned_x, y.size(), means), unsigned_y));
  avg_pool2d(s, false, x, y);
  for (size_t i = 0; i < sum.size(); ++i) sum[i] /= count[i];
  e.average = error(y, sum);
  Floats gx = before(x, add);
  max_pool2d_grad(s, x, gy, {gx.data(), add});
  e.maximum_grad = error(gx, want_max);
  gx = before(x, add);
  avg_pool2d_grad(s, gy, {gx.data(), add});
  e.average_grad = error(gx, want_average);
  max_pool2d_grad(s, x, gy, {});
  avg_pool2d_grad(s, gy, {});
  return e;
}

}  // namespace

TEST_CASE("pooling agrees with loops over its windows") {
  for (const PoolCase& c : pool_cases)
    for (const bool add : {false, true}) {
      CAPTURE(c.name);
      CAPTURE(add);
      PoolErrors errors[3] = {pool_errors(c.s, add)};
#pragma omp parallel for num_threads(2)
      for (int i = 1; i < 3; ++i) errors[i] = pool_errors(c.s, add);
      for (const PoolErrors& e : errors) {
        CHECK(e.maximum == 0.0);
        CHECK(e.codes == 0.0);
        CHECK(e.average < 1e-6);
        CHECK(e.maximum_grad < 1e-6);
        CHECK(e.average_grad < 1e-6);
      }
    }
}

TEST_CASE("average pooling rounds codes half up, below zero too") {
  const Pool2dSize s{1, 1, 1, 2, 1, 1, 1, 2, 1, 2};
  const auto pooled = [&](float a, float b) {
    Floats y(1);
    avg_pool2d(s, true, Floats{a, b}, y);
    return y[0];
  };
  CHECK(pooled(1, 2) == 2);
  CHECK(pooled(-1, -2) == -1);
  CHECK(pooled(3, 3) == 3);
  CHECK(pooled(-3, 2) == 0);
}

TEST_CASE("elementwise kernels") {
  const int64_t n = 40001;  // several chunks and a rest
  const Floats a = noise(n, 1), b = noise(n, 2);
  Floats y(a.size()), expected(a.size());
  for (size_t i = 0; i < y.size(); ++i) expected[i] = a[i] + b[i];
  add(a, b, y);
  CHECK(y == expected);
  y = b;
  accumulate(a, y);
  CHECK(y == expected);
  y = b;
  pass_gradient(a, {y.data(), true});
  CHECK(y == expected);
  pass_gradient(a, {y.data(), false});
  CHECK(y == a);
  pass_gradient(a, Grad{});
  fill(y, 3.0f);
  CHECK(y == Floats(y.size(), 3.0f));

  relu(a, y);
  for (size_t i = 0; i < y.size(); ++i) expected[i] = std::max(a[i], 0.0f);
  CHECK(y == expected);
  for (const bool adds : {false, true}) {
    Floats gx = before(a, adds), want = gx;
    for (size_t i = 0; i < gx.size(); ++i) want[i] = (adds ? want[i] : 0.0f) + (y[i] > 0 ? b[i] : 0.0f);
    relu_grad(y, b, {gx.data(), adds});
    CHECK(gx == want);
  }
  relu_grad(y, b, {});
}

TEST_CASE("transpose pads and cuts to its width") {
  for (const int64_t rows : {1, 4, 7, 16, 18}) {
    for (const int64_t columns : {1, 3, 4, 9, 12}) {
      for (const int64_t width : {1, 5, 16, 20}) {
        CAPTURE(rows);
        CAPTURE(columns);
        CAPTURE(width);
        const Floats from = noise(rows * columns, 1);
        Floats to(static_cast<size_t>(columns * width), 9.0f), want(to.size());
        for (int64_t r = 0; r < std::min(rows, width); ++r)
          for (int64_t c = 0; c < columns; ++c)
            want[static_cast<size_t>(c * width + r)] = from[static_cast<size_t>(r * columns + c)];
        transpose(from.data(), rows, columns, width, to.data());
        CHECK(to == want);
      }
    }
  }
}

TEST_CASE("rescale") {
  const int64_t rows = 2001, channels = 20;
  const Floats acc = integers(rows * channels, 1, 1000), g = noise(rows * channels, 2);
  for (const bool shared : {false, true}) {
    CAPTURE(shared);
    const Floats scale = noise(shared ? 1 : channels, 3), bias = noise(shared ? 1 : channels, 4);
    const auto of = [&](const Floats& v, size_t i) { return shared ? v[0] : v[i % 20]; };
    Floats y(acc.size()), expected(acc.size());
    for (size_t i = 0; i < y.size(); ++i) expected[i] = acc[i] * of(scale, i) + of(bias, i);
    rescale(rows, channels, acc, scale, bias, y);
    CHECK(error(y, expected) < 1e-7);
    for (size_t i = 0; i < y.size(); ++i) expected[i] = acc[i] * of(scale, i);
    rescale(rows, channels, acc, scale, {}, y);
    CHECK(y == expected);

    for (const bool adds : {false, true}) {
      Floats gacc = before(acc, adds), want = gacc, gbias = before(Floats(20), adds), want_bias = gbias;
      for (size_t i = 0; i < gacc.size(); ++i) want[i] = (adds ? want[i] : 0.0f) + g[i] * of(scale, i);
      for (size_t c = 0; c < 20; ++c) {
        double sum = adds ? want_bias[c] : 0.0;
        for (size_t i = c; i < g.size(); i += 20) sum += double{g[i]};
        want_bias[c] = static_cast<float>(sum);
      }
      rescale_grad(rows, channels, scale, g, {gacc.data(), adds}, {gbias.data(), adds});
      CHECK(error(gacc, want) < 1e-6);
      CHECK(error(gbias, want_bias) < 1e-5);
      rescale_grad(rows, channels, scale, g, {}, {});
    }
  }
}

TEST_CASE("codes are split into halves") {
  const Floats codes{0, 1, 15, 16, 17, 255, -1, -16, -17, -127, -128};
  Floats high(codes.size()), low(codes.size());
  split_codes(codes, high, low);
  CHECK(high == Floats{0, 0, 0, 1, 1, 15, -1, -1, -2, -8, -8});
  CHECK(low == Floats{0, 1, 15, 0, 1, 15, 15, 0, 15, 1, 0});
}

TEST_CASE("softmax and its gradient") {
  const int64_t rows = 3, columns = 4;
  Floats x = noise(rows * columns, 1), y(x.size()), gx(x.size());
  const Floats g = noise(rows * columns, 2);
  x[0] = 500.0f;  // no overflow
  const auto loss = [&] {
    softmax(rows, columns, 0.5f, x, y);
    double sum = 0;
    for (size_t i = 0; i < y.size(); ++i) sum += double{y[i]} * g[i];
    return sum;
  };
  loss();
  for (size_t r = 0; r < 3; ++r) CHECK(y[4 * r] + y[4 * r + 1] + y[4 * r + 2] + y[4 * r + 3] == doctest::Approx(1.0));
  CHECK(y[0] == 1.0f);
  const double ratio = double{y[4]} / y[5];
  CHECK(ratio == doctest::Approx(std::exp((x[4] - x[5]) / 0.5)));
  softmax_grad(rows, columns, 0.5f, y, g, {gx.data()});
  for (size_t i = 0; i < x.size(); ++i) {
    const float here = x[i], step = 1e-2f;
    x[i] = here + step;
    const double above = loss();
    x[i] = here - step;
    const double below = loss();
    x[i] = here;
    CHECK(std::abs(gx[i] - (above - below) / (2 * step)) < 1e-3);
  }
}

TEST_CASE("cross entropy and its gradient") {
  const Floats x{1, 2, 3, 0, 0, 1000};
  const std::vector<int32_t> labels{0, 2};
  Floats p(6), gx(6, 1.0f);
  const double expected = std::log(std::exp(1.0) + std::exp(2.0) + std::exp(3.0)) - 1.0;
  CHECK(cross_entropy(2, 3, x, labels, p) == doctest::Approx(expected));
  CHECK(p[2] == doctest::Approx(std::exp(3.0) / (std::exp(1.0) + std::exp(2.0) + std::exp(3.0))));
  CHECK(p[5] == 1.0f);
  cross_entropy_grad(2, 3, p, labels, 0.5f, {gx.data(), true});
  CHECK(gx[0] == doctest::Approx(1.0 + 0.5 * (p[0] - 1.0)));
  CHECK(gx[1] == doctest::Approx(1.0 + 0.5 * p[1]));
  CHECK(gx[5] == doctest::Approx(1.0));
}

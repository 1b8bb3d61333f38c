// SPDX-License-Identifier: Apache-2.0
// Linear layers and the products that they are made of, against plain sums in double.
#include <doctest/doctest.h>

#include <Eigen/Core>

#include <algorithm>
#include <limits>

#include "kernels/linear.h"
#include "kernels/product.h"
#include "tests/kernels/cases.h"

using namespace mixgrad::kernels;
using namespace mixgrad::test;

namespace {

using Matrix = Eigen::Matrix<double, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;

Matrix matrix(const Floats& values, int64_t rows) {
  using Floating = Eigen::Matrix<float, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
  return Eigen::Map<const Floating>(values.data(), rows, std::ssize(values) / rows).cast<double>();
}

/// What a gradient becomes that was `before`: overwritten, or added to.
Matrix landed(const Floats& before, const Matrix& gradient, bool add) {
  return add ? Matrix(matrix(before, gradient.rows()) + gradient) : gradient;
}

/// Largest difference, relative to the largest expected magnitude.
double error(const Floats& got, const Matrix& expected) {
  const Matrix difference = matrix(got, expected.rows()) - expected;
  return difference.allFinite() ? difference.cwiseAbs().maxCoeff() / std::max(1e-30, expected.cwiseAbs().maxCoeff())
                                : std::numeric_limits<double>::infinity();
}

struct LinearErrors {
  double y, y_without_bias, gx, gw, gbias;
};

/// Expected are lazy products: a plain sum for each element, by none of the code under test.
LinearErrors linear_errors(int64_t n, int64_t k, int64_t m, bool add) {
  const Floats x = noise(n * k, 1), w = noise(m * k, 2), bias = noise(m, 3), gy = noise(n * m, 4);
  const Matrix in = matrix(x, n), weights = matrix(w, m), g = matrix(gy, n);
  LinearErrors e;
  Floats y(gy.size(), std::numeric_limits<float>::quiet_NaN());
  Matrix want_y = in.lazyProduct(weights.transpose());
  linear(n, k, m, x, w, {}, y);
  e.y_without_bias = error(y, want_y);
  linear(n, k, m, x, w, bias, y);
  want_y.rowwise() += matrix(bias, 1).row(0);
  e.y = error(y, want_y);

  const Floats x_before = before(x, add), w_before = before(w, add), bias_before = before(bias, add);
  Floats gx = x_before, gw = w_before, gbias = bias_before;
  linear_grad_x(n, k, m, gy, w, {gx.data(), add});
  linear_grad_w(n, k, m, x, gy, {gw.data(), add}, {gbias.data(), add});
  e.gx = error(gx, landed(x_before, g.lazyProduct(weights), add));
  e.gw = error(gw, landed(w_before, g.transpose().lazyProduct(in), add));
  e.gbias = error(gbias, landed(bias_before, g.colwise().sum(), add));
  linear_grad_x(n, k, m, gy, w, {});
  linear_grad_w(n, k, m, x, gy, {}, {});
  return e;
}

}  // namespace

TEST_CASE("linear agrees with the reference") {
  struct Size {
    int64_t n, k, m;
  };
  for (const Size& s : {Size{8, 64, 10}, Size{1, 1, 1}, Size{33, 640, 128}, Size{100, 8, 128}, Size{3, 5, 70}})
    for (const bool add : {false, true}) {
      CAPTURE(s.n);
      CAPTURE(s.k);
      CAPTURE(s.m);
      CAPTURE(add);
      LinearErrors errors[3] = {linear_errors(s.n, s.k, s.m, add)};
#pragma omp parallel for num_threads(2)
      for (int i = 1; i < 3; ++i) errors[i] = linear_errors(s.n, s.k, s.m, add);
      for (const LinearErrors& e : errors) {
        CHECK(e.y < 2e-6);
        CHECK(e.y_without_bias < 2e-6);
        CHECK(e.gx < 2e-6);
        CHECK(e.gw < 2e-6);
        CHECK(e.gbias < 2e-6);
      }
    }
}

TEST_CASE("Eigen's products agree with plain sums on every instruction set, and are exact on integers") {
  struct Size {
    int64_t m, n, k;
  };
  for (const eigen::Product& product : eigen::products())
    for (const Size& s : {Size{1, 1, 1}, Size{3, 70, 5}, Size{49, 17, 300}, Size{128, 64, 33}, Size{2, 3, 1500}})
      for (const int form : {0, 1, 2, 3, 4, 5, 6, 7}) {
        CAPTURE(product.instruction_set);
        CAPTURE(s.m);
        CAPTURE(form);
        const bool a_transposed = (form & 1) != 0, b_transposed = (form & 2) != 0, add = (form & 4) != 0;
        const int64_t a_rows = a_transposed ? s.k : s.m, a_columns = a_transposed ? s.m : s.k;
        const int64_t b_rows = b_transposed ? s.n : s.k, b_columns = b_transposed ? s.k : s.n;
        const int64_t a_stride = a_columns + 3;  // of a, only the first columns are a factor
        const auto multiplied = [&](const Floats& a, const Floats& b, Floats& c) {
          product.multiply(s.m, s.n, s.k, {a.data(), a_stride, a_transposed}, {b.data(), b_columns, b_transposed}, add,
                           c.data());
          const Matrix left = matrix(a, a_rows).leftCols(a_columns), right = matrix(b, b_rows);
          return Matrix((a_transposed ? Matrix(left.transpose()) : left)
                            .lazyProduct(b_transposed ? Matrix(right.transpose()) : right));
        };
        const Floats c_before = before(Floats(static_cast<size_t>(s.m * s.n)), add);
        Floats c = c_before;
        const Matrix expected = multiplied(noise(a_rows * a_stride, 1), noise(b_rows * b_columns, 2), c);
        CHECK(error(c, landed(c_before, expected, add)) < 2e-6);

        Floats codes = add ? Floats(c.size()) : c_before;
        const Matrix sums = multiplied(integers(a_rows * a_stride, 3, 127), integers(b_rows * b_columns, 4, 15), codes);
        CHECK(matrix(codes, s.m) == sums);
      }
}

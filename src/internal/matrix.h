// SPDX-License-Identifier: Apache-2.0
// Matrix views of memory, for code that is not performance-critical.
#pragma once

#include <Eigen/Core>

#include <cstdint>
#include <iterator>

namespace mixgrad {

template <typename T>
using Matrix = Eigen::Matrix<T, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;

/// A vector or span as a row-major matrix with `rows` rows.
template <typename Values>
auto as_rows(Values&& values, int64_t rows) {
  using T = std::remove_reference_t<decltype(*values.data())>;
  using M = std::conditional_t<std::is_const_v<T>, const Matrix<std::remove_const_t<T>>, Matrix<T>>;
  return Eigen::Map<M>(values.data(), rows, rows == 0 ? 0 : std::ssize(values) / rows);
}

}  // namespace mixgrad

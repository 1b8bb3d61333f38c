// SPDX-License-Identifier: Apache-2.0
// Tensors: values with a shape and an optional gradient.
#pragma once

#include <mixgrad/types.h>

#include <array>
#include <cstdint>
#include <initializer_list>
#include <memory>
#include <span>
#include <string>
#include <vector>

namespace mixgrad {

/// Up to four dimensions in the usual order: activations N, C, H, W; conv weights O, I, H, W.
class Shape {
 public:
  static constexpr int max_rank = 4;

  Shape() = default;
  Shape(std::initializer_list<int64_t> dims);
  explicit Shape(std::span<const int64_t> dims);

  int rank() const { return rank_; }
  int64_t operator[](int i) const { return dims_[static_cast<size_t>(i)]; }
  int64_t& operator[](int i) { return dims_[static_cast<size_t>(i)]; }
  /// Number of elements; 1 for a scalar (rank 0).
  int64_t size() const;
  std::span<const int64_t> dims() const { return {dims_.data(), static_cast<size_t>(rank_)}; }
  /// "[16, 3, 3, 3]"
  std::string str() const;

  bool operator==(const Shape&) const = default;

 private:
  std::array<int64_t, max_rank> dims_{};
  int rank_ = 0;
};

/// Storage type of values and their gradient. Parameters, losses and costs are float32; activations between layers may
/// be bfloat16.
enum class DType { float32, bfloat16 };

/// A handle: copies refer to the same values. Rank-4 tensors are stored channels-last (NHWC; weights O, H, W, I) but
/// their shapes are NCHW (OIHW); all others are row-major. `from` and `to_vector` use row-major order for every rank,
/// so only kernels deal with the memory order.
class Tensor {
 public:
  Tensor() = default;  ///< no tensor; converts to false

  /// Uninitialised values.
  static Tensor empty(const Shape& shape, DType dtype = DType::float32);
  static Tensor full(const Shape& shape, float value);
  static Tensor zeros(const Shape& shape) { return full(shape, 0.0F); }
  static Tensor scalar(float value) { return full({}, value); }
  /// From values in row-major order (NCHW); throws if their number does not match the shape.
  static Tensor from(const Shape& shape, std::span<const float> row_major);

  explicit operator bool() const { return impl_ != nullptr; }
  const Shape& shape() const;
  int64_t dim(int i) const { return shape()[i]; }
  int64_t size() const { return shape().size(); }
  DType dtype() const;
  /// The values in memory order. T must match dtype() (float or bfloat16); throws bad_input otherwise.
  template <typename T = float>
  std::span<T> data() const;
  /// The values in row-major order (NCHW).
  std::vector<float> to_vector() const;
  /// The value of a tensor with one element.
  float item() const;

  /// Makes this a leaf whose gradient is computed. Returns itself, for chaining.
  Tensor& requires_grad(bool wanted = true);
  bool needs_grad() const;
  /// ∂loss/∂this in memory order; empty until a backward pass has reached this tensor.
  template <typename T = float>
  std::span<T> grad() const;
  bool has_grad() const;
  /// Overwrites the gradient (`value` in memory order).
  void set_grad(std::span<const float> value) const;
  void zero_grad() const;

  /// The same values as a new leaf, cut off from the tape.
  Tensor detach() const;
  /// A copy of the values as a new leaf.
  Tensor clone() const;
  /// Rows [begin, begin + count) of the first dimension, sharing memory, detached.
  Tensor rows(int64_t begin, int64_t count) const;
  /// The same values with another shape of equal size, sharing memory, detached. The memory order does not change.
  Tensor view(const Shape& shape) const;

  /// Whether both are the same tensor (not merely equal values).
  bool is(const Tensor& other) const { return impl_ == other.impl_; }
  const void* id() const { return impl_.get(); }

 private:
  struct Impl;
  friend class Tape;
  friend struct Backward;
  std::shared_ptr<Impl> impl_;
};

}  // namespace mixgrad

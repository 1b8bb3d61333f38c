// SPDX-License-Identifier: Apache-2.0
#include "tensor_impl.h"

#include <mixgrad/error.h>

#include <src/internal/memory.h>

#include <fmt/ranges.h>

#include <algorithm>
#include <type_traits>

namespace mixgrad {
namespace {

/// Calls visit(row_major_index, memory_index) for every element.
template <typename Visit>
void for_each_index(const Shape& s, const Visit& visit) {
  if (s.size() == 0) return;
  if (s.rank() < 4) {
    for (int64_t i = 0; i < s.size(); ++i) visit(i, i);
    return;
  }
  int64_t row_major = 0;
  for (int64_t n = 0; n < s[0]; ++n) {
    for (int64_t c = 0; c < s[1]; ++c) {
      for (int64_t p = 0; p < s[2] * s[3]; ++p) visit(row_major++, (n * s[2] * s[3] + p) * s[1] + c);
    }
  }
}

}  // namespace

Shape::Shape(std::initializer_list<int64_t> dims) : Shape(std::span(dims.begin(), dims.size())) {}

Shape::Shape(std::span<const int64_t> dims) : rank_(static_cast<int>(dims.size())) {
  if (dims.size() > max_rank) bad_input("[shape] {} dimensions given: at most {} are supported", dims.size(), max_rank);
  std::copy(dims.begin(), dims.end(), dims_.begin());
}

int64_t Shape::size() const {
  int64_t product = 1;
  for (int64_t d : dims()) product *= d;
  return product;
}

std::string Shape::str() const { return fmt::format("[{}]", fmt::join(dims(), ", ")); }

Tensor Tensor::empty(const Shape& shape, DType dtype) {
  constexpr int64_t most_values = int64_t{1} << 40;
  int64_t values = 1;
  for (const int64_t d : shape.dims()) {
    if (d < 0 || __builtin_mul_overflow(values, d, &values) || values > most_values)
      bad_input("[tensor] invalid shape {}: dimensions must be >= 0, with at most 2^40 values", shape.str());
  }
  Tensor t;
  t.impl_ = std::make_shared<Impl>(Impl{.shape = shape, .dtype = dtype, .values = nullptr, .grad = nullptr});
  t.impl_->values = allocate(t.impl_->bytes());
  return t;
}

Tensor Tensor::full(const Shape& shape, float value) {
  Tensor t = empty(shape);
  std::ranges::fill(t.data(), value);
  return t;
}

Tensor Tensor::from(const Shape& shape, std::span<const float> row_major) {
  if (std::ssize(row_major) != shape.size()) {
    bad_input("[Tensor::from] {} values given for shape {}, which holds {}", row_major.size(), shape.str(),
              shape.size());
  }
  Tensor t = empty(shape);
  const std::span<float> memory = t.data();
  for_each_index(shape, [&](int64_t r, int64_t m) { memory[m] = row_major[r]; });
  return t;
}

const Shape& Tensor::shape() const {
  if (!impl_) bad_input("[Tensor::shape] the tensor is empty");
  return impl_->shape;
}

DType Tensor::dtype() const {
  shape();  // throws if the tensor is empty
  return impl_->dtype;
}

namespace {

template <typename T>
std::span<T> elements(const std::shared_ptr<std::byte>& memory, const Shape& shape, DType dtype) {
  if ((dtype == DType::float32) != std::is_same_v<T, float>) {
    bad_input("[tensor] the values of shape {} are {}: request that type", shape.str(),
              dtype == DType::float32 ? "float32" : "bfloat16");
  }
  return {reinterpret_cast<T*>(memory.get()), static_cast<size_t>(shape.size())};
}

}  // namespace

template <typename T>
std::span<T> Tensor::data() const {
  if (!impl_) return {};
  return elements<T>(impl_->values, impl_->shape, impl_->dtype);
}
template std::span<float> Tensor::data<float>() const;
template std::span<bfloat16> Tensor::data<bfloat16>() const;

std::vector<float> Tensor::to_vector() const {
  std::vector<float> row_major(static_cast<size_t>(size()));
  const std::span<const float> memory = data();
  for_each_index(shape(), [&](int64_t r, int64_t m) { row_major[static_cast<size_t>(r)] = memory[m]; });
  return row_major;
}

float Tensor::item() const {
  if (size() != 1) bad_input("[Tensor::item] shape {} has {} values: expected one", shape().str(), size());
  return data()[0];
}

Tensor& Tensor::requires_grad(bool wanted) {
  impl_->needs_grad = wanted;
  return *this;
}

bool Tensor::needs_grad() const { return impl_ && impl_->needs_grad; }

template <typename T>
std::span<T> Tensor::grad() const {
  if (!impl_ || !impl_->grad) return {};
  return elements<T>(impl_->grad, impl_->shape, impl_->dtype);
}
template std::span<float> Tensor::grad<float>() const;
template std::span<bfloat16> Tensor::grad<bfloat16>() const;

bool Tensor::has_grad() const { return impl_ && impl_->grad; }

void Tensor::set_grad(std::span<const float> value) const {
  if (std::ssize(value) != size())
    bad_input("[Tensor::set_grad] {} values given for shape {}, which has {}", value.size(), shape().str(), size());
  if (!impl_->grad) impl_->grad = allocate(impl_->bytes());
  std::ranges::copy(value, grad().begin());
}

void Tensor::zero_grad() const { impl_->grad.reset(); }

Tensor Tensor::detach() const { return view(shape()); }

Tensor Tensor::clone() const {
  Tensor t = empty(shape());
  std::ranges::copy(data(), t.data().begin());
  return t;
}

Tensor Tensor::rows(int64_t begin, int64_t count) const {
  Shape part = shape();
  if (part.rank() == 0 || begin < 0 || count < 0 || begin + count > part[0]) {
    bad_input("[Tensor::rows] rows {}..{} are out of range for shape {}", begin, begin + count, part.str());
  }
  const int64_t row = part[0] == 0 ? 0 : part.size() / part[0];
  part[0] = count;
  const int64_t offset = begin * row * (impl_->dtype == DType::bfloat16 ? 2 : 4);
  Tensor t;
  t.impl_ = std::make_shared<Impl>(Impl{
      .shape = part, .dtype = impl_->dtype, .values = {impl_->values, impl_->values.get() + offset}, .grad = nullptr});
  return t;
}

Tensor Tensor::view(const Shape& other) const {
  if (other.size() != size())
    bad_input("[Tensor::view] shape {} does not hold the {} values of {}", other.str(), size(), shape().str());
  Tensor t;
  t.impl_ =
      std::make_shared<Impl>(Impl{.shape = other, .dtype = impl_->dtype, .values = impl_->values, .grad = nullptr});
  return t;
}

}  // namespace mixgrad

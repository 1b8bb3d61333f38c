// SPDX-License-Identifier: Apache-2.0
// Each function computes in double, and also runs the op of its name if one of its inputs is on the tape.
#include <mixgrad/cost.h>
#include <mixgrad/ops.h>

#include <algorithm>
#include <cmath>

namespace mixgrad::cost {

Value::Value(const Tensor& scalar) : number_(scalar.item()), tensor_(scalar.needs_grad() ? scalar : Tensor()) {}

Value::operator Tensor() const { return tensor_ ? tensor_ : Tensor::scalar(static_cast<float>(number_)); }

Value product(const Value& a, const Value& b, double factor) {
  const double number = factor * a.item() * b.item();
  if (!a.needs_grad() && !b.needs_grad()) return number;
  return {number, product(Tensor(a), Tensor(b), factor)};
}

Value sum(std::span<const Value> terms) {
  double number = 0;
  for (const Value& term : terms) number += term.item();
  if (std::ranges::none_of(terms, &Value::needs_grad)) return number;
  return {number, sum(std::vector<Tensor>(terms.begin(), terms.end()))};
}

Value scale(const Value& x, double factor) {
  const double number = factor * x.item();
  if (!x.needs_grad()) return number;
  return {number, scale(Tensor(x), factor)};
}

Value ceil_div(const Value& x, double divisor) {
  const double number = std::ceil(x.item() / divisor);
  if (!x.needs_grad()) return number;
  return {number, ceil_div(Tensor(x), divisor)};
}

}  // namespace mixgrad::cost

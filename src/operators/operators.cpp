// SPDX-License-Identifier: Apache-2.0
#include <mixgrad/operators.h>

#include <src/internal/value.h>

namespace mixgrad {

Value op::Input::run(const RunContext& c) const { return c.input(); }

namespace op {
namespace {

template <typename... T>
std::vector<Operator> one_of_each(const std::variant<T...>*) {
  return {Operator(T())...};
}

}  // namespace

std::vector<Operator> all() {
  std::vector<Operator> out = one_of_each(static_cast<const Operator*>(nullptr));
  out.emplace_back(Activate{Activation::relu6});
  for (size_t kind = 1; kind < function_names.size(); ++kind)
    out.emplace_back(Function{{.kind = static_cast<FunctionKind>(kind)}});
  return out;
}

}  // namespace op

}  // namespace mixgrad

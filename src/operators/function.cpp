// SPDX-License-Identifier: Apache-2.0
#include <mixgrad/error.h>
#include <mixgrad/ops.h>
#include <mixgrad/tape.h>

#include <kernels/function.h>
#include <src/internal/by_dtype.h>
#include <src/internal/coded.h>

namespace mixgrad {

Tensor function(const FunctionAttrs& f, const Tensor& x) {
  const op::Function op{f};
  if (f.kind == FunctionKind::clip && !(f.a <= f.b))
    bad_input("[clip] from {} to {}: expected ascending bounds", f.a, f.b);
  return by_dtype(x.dtype(), [&]<typename T>() {
    Tensor y = Tensor::empty(x.shape(), x.dtype());
    kernels::function(f, std::span<const T>(x.data<T>()), y.data<T>());
    return record(op, y, {x}, [f](const Backward& b) {
      if (auto gx = b.grad<T>(0)) kernels::function_grad(f, b.input<T>(0), b.grad_output<T>(), gx);
    });
  });
}

bool gives_negatives(const FunctionAttrs& f) {
  switch (f.kind) {
    case FunctionKind::sigmoid:
    case FunctionKind::hard_sigmoid:
    case FunctionKind::softplus:
      return false;
    case FunctionKind::clip:
      return f.a < 0;
    case FunctionKind::hard_swish:
    case FunctionKind::silu:
    case FunctionKind::tanh:
    case FunctionKind::leaky_relu:
    case FunctionKind::elu:
    case FunctionKind::gelu:
    case FunctionKind::gelu_tanh:
    case FunctionKind::mish:
      return true;
  }
  return true;
}

FunctionTable function_table(const FunctionAttrs& f, const ActivationSlot& in, const ActivationSlot& out) {
  const int count = 1 << in.precisions[0];
  FunctionTable table{.first = in.is_signed ? -count / 2 : 0, .outputs = {}};
  std::vector<float> reals, codes(static_cast<size_t>(count));
  for (int i = 0; i < count; ++i) {
    const double x = static_cast<double>(in.step()) * (table.first + i);
    reals.push_back(static_cast<float>(kernels::function(f, x)));
  }
  out.quantizer->codes(out.clip.data()[0], out.range(), reals, codes);
  table.outputs.assign(codes.begin(), codes.end());
  return table;
}

Value op::Function::run(const RunContext& c) const {
  const auto exact = [&] { return function(attrs, real(c.input())); };
  if (!on_codes(c)) return {exact()};
  const FunctionTable table = function_table(attrs, *c.input().codes_of, *c.node.output_slot);
  return coded(
      c, [&](int q, size_t) { return table(q); }, exact);
}

}  // namespace mixgrad

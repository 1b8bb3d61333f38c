// SPDX-License-Identifier: Apache-2.0
// What operators compute on codes by themselves, without the sums of a layer: shared by simulation and lowering.
#pragma once

#include <mixgrad/ops.h>
#include <mixgrad/tape.h>

#include <kernels/parallel.h>

#include <src/internal/value.h>

#include <span>
#include <vector>

namespace mixgrad {

/// The output codes of a function, one for each code of its input's quantizer.
struct FunctionTable {
  int first;                 ///< the lowest code of the input
  std::vector<int> outputs;  ///< 2^bits

  int operator()(int code) const { return outputs[static_cast<size_t>(code - first)]; }
};
FunctionTable function_table(const FunctionAttrs& f, const ActivationSlot& in, const ActivationSlot& out);

/// Input codes per output code of a PReLU: of positive codes, and of negative ones for each slope.
struct PReluRatios {
  FixedPoint positive;
  std::vector<FixedPoint> negative;
};
PReluRatios prelu_ratios(const Tensor& slope, float in_step, float out_step);

/// Whether a node maps codes to codes here: its input and its output have fixed quantizers.
inline bool on_codes(const RunContext& c) {
  const ActivationSlot* out = c.node.output_slot.get();
  return c.input().codes_of != nullptr && out != nullptr && out->fixed();
}

/// A node's output codes code(q, index) of its input codes, in memory order. `exact` computes the real output, whose
/// quantizer has the gradients.
template <typename Code, typename Exact>
Value coded(const RunContext& c, const Code& code, const Exact& exact) {
  const ActivationSlot& slot = *c.node.output_slot;
  const Tensor x = cast(c.input().tensor, DType::float32);
  const Tensor codes = Tensor::empty(x.shape());
  const std::span<const float> in = x.data();
  const std::span<float> made = codes.data();
  constexpr int64_t grain = 1 << 14;
  kernels::parallel_chunks(std::ssize(in), grain, [&](int64_t begin, int64_t end) {
    for (auto i = static_cast<size_t>(begin); i < static_cast<size_t>(end); ++i)
      made[i] = static_cast<float>(code(static_cast<int>(in[i]), i));
  });
  const Value out{codes, &slot, Tensor::full({1}, slot.step())};
  if (Tape::current() == nullptr) return out;
  const Tensor source = quantize_activation(cast(exact(), DType::float32), c.binding.clip, slot.precisions[0],
                                            {.is_signed = slot.is_signed}, *slot.quantizer);
  return {straight_through(codes, source), out.codes_of, out.steps};
}

}  // namespace mixgrad

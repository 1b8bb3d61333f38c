// SPDX-License-Identifier: Apache-2.0
#include <mixgrad/cost.h>

#include <src/internal/memory_plan.h>

namespace mixgrad::cost {
namespace {

/// Bytes of one output channel at `bits`: whole words of weights, plus its constants; for float weights only the bias.
Value bytes_of_channel(const Layer& layer, int bits) {
  const bool is_float = bits > 8;
  const int64_t weight_bits = layer.kernel_positions() * (is_float ? 32 : storage_bits(bits));
  const Value words = ceil_div(scale(layer.live_inputs, static_cast<double>(weight_bits)), 8 * device::word_bytes);
  constexpr int64_t requantization = device::multiplier_bytes + device::shift_bytes + device::bits_bytes;
  const Value terms[] = {scale(words, device::word_bytes), device::bias_bytes, is_float ? 0.0 : requantization};
  return sum(terms);
}

Value of_layer(const Layer& layer) {
  std::vector<Value> terms = {device::layer_bytes};
  for (size_t p = 0; p < layer.weights.bits.size(); ++p) {
    const int bits = layer.weights.bits[p];
    if (bits != 0) terms.push_back(product(layer.channels_at(p), bytes_of_channel(layer, bits)));
  }
  return sum(terms);
}

/// A table has an entry for each code of the input; on real values there is none.
Value of_other(const Node& node, const Activation& input, const Activation& output) {
  const op::ConstantBytes bytes = device::constant_bytes(node.op);
  std::vector<double> entries;
  for (const int bits : input.precisions.bits) entries.push_back(bytes.table && bits <= 8 ? 1 << bits : 0);
  const Value terms[] = {static_cast<double>(bytes.fixed),
                         scale(output.live_channels, static_cast<double>(bytes.per_channel)),
                         input.precisions.expected(entries)};
  return sum(terms);
}

}  // namespace

/// The constants of the C package. Ceilings are straight-through.
Model flash() { return sum_over_layers("flash", "bytes", "constants of the C package", of_layer, of_other); }

}  // namespace mixgrad::cost

// SPDX-License-Identifier: Apache-2.0
#include <mixgrad/cost.h>
#include <mixgrad/error.h>

#include <array>

namespace mixgrad::cost {
namespace {

void check(const Layer& layer) {
  const bool pointwise = layer.kernel == std::array<int64_t, 2>{1, 1},
             three = layer.kernel == std::array<int64_t, 2>{3, 3};
  if (layer.kind == LayerKind::conv_transpose2d || !(three || (pointwise && layer.kind != LayerKind::depthwise)) ||
      (layer.groups > 1 && layer.kind != LayerKind::depthwise)) {
    bad_input("ne16-latency: layer '{}' is a {}×{} {}{}: the accelerator runs 1×1, 3×3 and depthwise 3×3 convolutions",
              layer.name, layer.kernel[0], layer.kernel[1], name_of(layer.kind), layer.groups > 1 ? " in groups" : "");
  }
  if (layer.input.bits != std::vector{8})
    bad_input("ne16-latency: layer '{}' does not have 8-bit inputs, the only ones that the accelerator supports",
              layer.name);
}

/// One tile of k channels takes n_in (load + wo + mv + 2) + (9 + k) + 13 cycles, where wo and mv grow linearly with k.
/// So k channels in T tiles take (n_in fixed + 22) T + (n_in growing + 1) k.
Value of_layer(const Layer& layer) {
  check(layer);
  const bool depthwise = layer.kind == LayerKind::depthwise, pointwise = layer.kernel[0] == 1;
  const Value n_in = depthwise ? 1 : ceil_div(layer.live_inputs, 16);
  const double load = pointwise ? 19 : 31, fixed = load + 6 + 6 + 2;
  std::vector<Value> terms;
  for (size_t p = 0; p < layer.weights.bits.size(); ++p) {
    if (layer.weights.bits[p] == 0) continue;
    const double growing = (depthwise ? 1 : 0) + (pointwise ? 1 : layer.weights.bits[p]);
    const Value k = layer.channels_at(p), tiles = ceil_div(k, depthwise ? 16 : 32);
    terms.push_back(product(n_in, tiles, fixed));
    terms.push_back(scale(tiles, 22));
    terms.push_back(product(n_in, k, growing));
    terms.push_back(k);
  }
  const auto patches = [](int64_t extent) { return (extent + 2) / 3; };
  return scale(sum(terms), static_cast<double>(patches(layer.output[0]) * patches(layer.output[1])));
}

}  // namespace

/// Analytical model of the NE16 accelerator (as in the performance models of DORY and PLiNIO).
Model ne16_latency() { return sum_over_layers("ne16-latency", "cycles", "cycles on the NE16 accelerator", of_layer); }

}  // namespace mixgrad::cost

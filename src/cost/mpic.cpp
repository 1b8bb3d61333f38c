// SPDX-License-Identifier: Apache-2.0
#include <mixgrad/cost.h>
#include <mixgrad/ops.h>

namespace mixgrad::cost {
namespace {

/// MACs per cycle of the MPIC core by input and weight bits (Ottavi et al. 2020, arXiv 2010.04073).
Table cycles() {
  constexpr int bits[] = {2, 4, 8};
  constexpr double throughput[3][3] = {{6.5, 4.0, 2.2}, {3.9, 3.5, 2.1}, {2.5, 2.3, 2.1}};
  Table table{.name = "mpic-latency", .unit = "cycles", .per_mac = {}};
  for (int i = 0; i < 3; ++i) {
    for (int j = 0; j < 3; ++j) {
      for (const LayerKind kind : layer_kinds) table.per_mac[{kind, bits[i], bits[j]}] = 1 / throughput[i][j];
    }
  }
  return table;
}

}  // namespace

Model mpic_latency() { return look_up(cycles(), "cycles on MPIC, a RISC-V core with 2, 4 and 8-bit SIMD"); }

/// Cycles at 250 MHz times the mean power of the core's precisions.
Model mpic_energy() {
  constexpr double watts = (5.30 + 5.39 + 5.46 + 5.38) / 4 * 1e-3, hertz = 250e6;
  Table table = cycles();
  table.name = "mpic-energy";
  table.unit = "joules";
  for (auto& [key, cost] : table.per_mac) cost *= watts / hertz;
  return look_up(std::move(table), "energy on MPIC");
}

}  // namespace mixgrad::cost

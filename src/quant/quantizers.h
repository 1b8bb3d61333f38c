// SPDX-License-Identifier: Apache-2.0
// The quantizers that have a name: a declaration, and a place in the list that quant::find_* search; defaults first.
#pragma once

#include <mixgrad/quant.h>

#include <vector>

namespace mixgrad::quant {

/// A learned clip (SPEC §3; Choi et al. 2018, arXiv 1805.06085).
ActivationQuantizer pact();
/// A learned step (Esser et al. 2020, arXiv 1902.08153), the step being clip / high.
ActivationQuantizer lsq();
/// PLiNIO's PACT (its quantizers.pact_act), to compare with: rounds down, c + 1e-3 in the scale, never signed.
ActivationQuantizer plinio_pact();
inline std::vector<ActivationQuantizer> activation_quantizers() { return {pact(), lsq(), plinio_pact()}; }

/// Symmetric min-max (SPEC §2); the scale is max|w|.
WeightQuantizer minmax();
/// "mse-GRID", the step of the least squared error, and "lsq-GRID", a learned step that starts there, for the grids
/// signed, symmetric and odd (SPEC §2a; Esser et al. 2020, arXiv 1902.08153).
std::vector<WeightQuantizer> stepped_quantizers();
inline std::vector<WeightQuantizer> weight_quantizers() {
  std::vector<WeightQuantizer> all = stepped_quantizers();
  all.insert(all.begin(), minmax());
  return all;
}

/// The bit-width whose codes these are, two's complement, unsigned, symmetric around 0, or odd.
int bits_of(CodeRange range);

}  // namespace mixgrad::quant

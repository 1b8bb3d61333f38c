// SPDX-License-Identifier: Apache-2.0
// Gradients of an op against central differences.
#pragma once

#include <mixgrad/rng.h>
#include <mixgrad/tensor.h>

#include <functional>
#include <string>
#include <vector>

namespace mixgrad::test {

using Op = std::function<Tensor(const std::vector<Tensor>&)>;

/// Values from N(0, 1), kept `gap` away from zero so that no difference steps over a kink there.
Tensor random_tensor(const Shape& shape, Rng& rng, double gap = 0);
/// Compares ∂(Σ r·op(inputs))/∂input, r random, with differences of width `h`. `wanted` says which inputs to check.
void check_gradient(const std::string& name, const Op& op, std::vector<Tensor> inputs, double h = 1e-2,
                    double tolerance = 2e-3);

}  // namespace mixgrad::test

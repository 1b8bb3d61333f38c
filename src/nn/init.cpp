// SPDX-License-Identifier: Apache-2.0
#include <mixgrad/nn.h>

#include <cmath>

namespace mixgrad::nn {

void initialize(Module& net, Rng rng) {
  for (const NamedTensor& p : net.named_parameters()) {
    if (p.tensor.shape().rank() < 2) continue;  // biases, gamma and beta keep the initial values of their layer
    const auto fan_in = static_cast<double>(p.tensor.size()) / static_cast<double>(p.tensor.dim(0));
    const double deviation = std::sqrt(2.0 / fan_in);
    for (float& v : p.tensor.data()) v = static_cast<float>(deviation * rng.normal());
  }
}

}  // namespace mixgrad::nn

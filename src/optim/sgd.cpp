// SPDX-License-Identifier: Apache-2.0
#include <mixgrad/optim.h>

namespace mixgrad::optim {

Sgd::Sgd(std::vector<Group> groups, const SgdOptions& options)
    : Optimizer(std::move(groups)), options_(options), velocity_(parameters().size()) {
  lr_ = options.lr;
}

void Sgd::update(size_t index, double lr, double weight_decay, std::span<float> value, std::span<const float> grad) {
  std::vector<float>& velocity = velocity_[index];
  velocity.resize(value.size());
  const auto rate = static_cast<float>(lr), decay = static_cast<float>(weight_decay);
  const auto momentum = static_cast<float>(options_.momentum);
  const float own = options_.nesterov ? 1.0F : 0.0F, kept = options_.nesterov ? momentum : 1.0F;
  for (size_t i = 0; i < value.size(); ++i) {
    const float g = grad[i] + decay * value[i];
    velocity[i] = momentum * velocity[i] + g;
    value[i] -= rate * (own * g + kept * velocity[i]);
  }
}

}  // namespace mixgrad::optim

// SPDX-License-Identifier: Apache-2.0
#include <mixgrad/optim.h>

#include <kernels/optimizer.h>

namespace mixgrad::optim {

Sgd::Sgd(std::vector<Group> groups, const SgdOptions& options)
    : Optimizer(std::move(groups)), options_(options), velocity_(moments()) {
  lr_ = options.lr;
}

void Sgd::list_state(State& state, const std::string& name) {
  Optimizer::list_state(state, name);
  state.add(name + ".velocity", velocity_);
}

void Sgd::update(size_t index, double lr, double weight_decay, std::span<float> value, std::span<const float> grad) {
  const kernels::SgdUpdate u{.lr = static_cast<float>(lr),
                             .decay = static_cast<float>(weight_decay),
                             .momentum = static_cast<float>(options_.momentum),
                             .nesterov = options_.nesterov};
  kernels::sgd_update(u, grad, velocity_[index].data(), value);
}

}  // namespace mixgrad::optim

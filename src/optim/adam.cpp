// SPDX-License-Identifier: Apache-2.0
#include <mixgrad/optim.h>

#include <kernels/optimizer.h>

#include <cmath>

namespace mixgrad::optim {

Adam::Adam(std::vector<Group> groups, const AdamOptions& options)
    : Optimizer(std::move(groups)), options_(options), first_(moments()), second_(moments()) {
  lr_ = options.lr;
}

void Adam::list_state(State& state, const std::string& name) {
  Optimizer::list_state(state, name);
  state.add(name + ".first", first_);
  state.add(name + ".second", second_);
}

void Adam::update(size_t index, double lr, double weight_decay, std::span<float> value, std::span<const float> grad) {
  const auto t = static_cast<double>(steps_);
  const kernels::AdamUpdate u{.lr = static_cast<float>(lr / (1 - std::pow(options_.beta1, t))),
                              .second_scale = static_cast<float>(1 / (1 - std::pow(options_.beta2, t))),
                              .beta1 = static_cast<float>(options_.beta1),
                              .beta2 = static_cast<float>(options_.beta2),
                              .eps = static_cast<float>(options_.eps),
                              .shrink = static_cast<float>(lr * weight_decay)};
  kernels::adam_update(u, grad, first_[index].data(), second_[index].data(), value);
}

}  // namespace mixgrad::optim

// SPDX-License-Identifier: Apache-2.0
#include <mixgrad/optim.h>

#include <cmath>

namespace mixgrad::optim {

Adam::Adam(std::vector<Group> groups, const AdamOptions& options)
    : Optimizer(std::move(groups)), options_(options), first_(parameters().size()), second_(parameters().size()) {
  lr_ = options.lr;
}

void Adam::update(size_t index, double lr, double weight_decay, std::span<float> value, std::span<const float> grad) {
  std::vector<float>&m = first_[index], &v = second_[index];
  m.resize(value.size());
  v.resize(value.size());
  const auto b1 = static_cast<float>(options_.beta1), b2 = static_cast<float>(options_.beta2);
  const auto t = static_cast<double>(steps_);
  const auto rate = static_cast<float>(lr / (1 - std::pow(options_.beta1, t)));
  const auto second_scale = static_cast<float>(1 / (1 - std::pow(options_.beta2, t)));
  const auto eps = static_cast<float>(options_.eps), shrink = static_cast<float>(lr * weight_decay);
  for (size_t i = 0; i < value.size(); ++i) {
    m[i] = b1 * m[i] + (1 - b1) * grad[i];
    v[i] = b2 * v[i] + (1 - b2) * grad[i] * grad[i];
    value[i] -= rate * m[i] / (std::sqrt(v[i] * second_scale) + eps) + shrink * value[i];
  }
}

}  // namespace mixgrad::optim

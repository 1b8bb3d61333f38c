// SPDX-License-Identifier: Apache-2.0
#include <mixgrad/optim.h>

#include <cmath>

namespace mixgrad::optim {

void Optimizer::step() {
  ++steps_;
  size_t index = 0;
  for (const Group& group : groups_) {
    for (const Tensor& p : group.parameters) {
      const double lr = lr_ * group.lr_scale;
      if (!p.grad().empty()) {
        group.logarithmic ? update_logarithm(index, lr, p) : update(index, lr, group.weight_decay, p.data(), p.grad());
      }
      p.zero_grad();
      ++index;
    }
  }
}

void Optimizer::update_logarithm(size_t index, double lr, const Tensor& p) {
  std::vector<float> change(p.data().size()), gradient(change.size());
  for (size_t i = 0; i < gradient.size(); ++i) gradient[i] = p.grad()[i] * p.data()[i];  // ∂/∂log p
  update(index, lr, /*weight_decay=*/0, change, gradient);
  for (size_t i = 0; i < change.size(); ++i) p.data()[i] *= std::exp(change[i]);
}

std::vector<Tensor> Optimizer::parameters() const {
  std::vector<Tensor> all;
  for (const Group& group : groups_) all.insert(all.end(), group.parameters.begin(), group.parameters.end());
  return all;
}

std::vector<Tensor> Optimizer::moments() const {
  std::vector<Tensor> zeros;
  for (const Tensor& p : parameters()) zeros.push_back(Tensor::zeros(p.shape()));
  return zeros;
}

void Optimizer::list_state(State& state, const std::string& name) { state.add(name + ".steps", steps_); }

double clip_grad_norm(std::span<const Tensor> parameters, double most) {
  double squares = 0;
  for (const Tensor& p : parameters) {
    for (float g : p.grad()) squares += static_cast<double>(g) * g;
  }
  const double norm = std::sqrt(squares);
  if (norm <= most) return norm;
  const auto factor = static_cast<float>(most / norm);
  for (const Tensor& p : parameters) {
    for (float& g : p.grad()) g *= factor;
  }
  return norm;
}

}  // namespace mixgrad::optim

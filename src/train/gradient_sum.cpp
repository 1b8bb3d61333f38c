// SPDX-License-Identifier: Apache-2.0
#include "gradient_sum.h"

#include <kernels/elementwise.h>

#include <utility>

namespace mixgrad::train {
namespace {

void add_to(const std::vector<Tensor>& sources, const std::vector<Tensor>& leaves) {
  for (size_t s = 0; s < sources.size(); ++s) {
    const std::span<const float> grad = leaves[s].grad();
    if (grad.empty()) continue;
    if (sources[s].grad().empty()) {
      sources[s].set_grad(grad);
    } else {
      kernels::accumulate(grad, sources[s].grad());
    }
  }
}

std::vector<float> packed_gradients(const std::vector<Tensor>& sources) {
  std::vector<float> out;
  for (const Tensor& s : sources) {
    if (s.has_grad()) {
      out.insert(out.end(), s.grad().begin(), s.grad().end());
    } else {
      out.resize(out.size() + static_cast<size_t>(s.size()));
    }
  }
  return out;
}

void set_gradients(const std::vector<Tensor>& sources, std::span<const float> values) {
  for (const Tensor& s : sources) {
    s.set_grad(values.first(static_cast<size_t>(s.size())));
    values = values.subspan(static_cast<size_t>(s.size()));
  }
}

}  // namespace

GradientSum::GradientSum(const Binding& binding, int64_t count, const Communicator* communicator)
    : communicator_(communicator),
      waiting_(static_cast<size_t>(count)),
      busy_(communicator != nullptr && communicator->rank() > 0) {
  std::vector<Tensor> leaves;
  binding.with_leaves(leaves, sources_);
}

void GradientSum::add(int64_t i, std::vector<Tensor> leaves) {
  {
    const std::lock_guard lock(mutex_);
    waiting_[static_cast<size_t>(i)] = std::move(leaves);
    if (busy_) return;
    busy_ = true;
  }
  add_those_whose_turn_has_come();
}

void GradientSum::add_those_whose_turn_has_come() {
  std::unique_lock lock(mutex_);
  for (; turn_ < waiting_.size() && waiting_[turn_]; ++turn_) {
    const auto leaves = std::exchange(waiting_[turn_], std::nullopt);
    lock.unlock();
    add_to(sources_, *leaves);
    lock.lock();
  }
  busy_ = false;
}

void GradientSum::finish() {
  if (communicator_ == nullptr) return;
  const int rank = communicator_->rank(), last = communicator_->size() - 1;
  if (rank > 0) {
    std::vector<float> before = packed_gradients(sources_);
    communicator_->receive(rank - 1, before);
    set_gradients(sources_, before);
    add_those_whose_turn_has_come();
  }
  std::vector<float> sum = packed_gradients(sources_);
  if (rank < last) communicator_->send(rank + 1, sum);
  communicator_->broadcast(last, sum);
  set_gradients(sources_, sum);
}

}  // namespace mixgrad::train

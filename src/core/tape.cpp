// SPDX-License-Identifier: Apache-2.0
#include "tensor_impl.h"

#include <mixgrad/error.h>
#include <mixgrad/tape.h>

#include <src/internal/memory.h>

#include <algorithm>
#include <utility>

namespace mixgrad {
namespace {

thread_local Tape* current_tape = nullptr;
thread_local std::vector<const std::string*> module_path;  // names, outermost first

std::string joined_module_path() {
  std::string path;
  for (const std::string* name : module_path) {
    if (!name->empty()) path += (path.empty() ? "" : ".") + *name;
  }
  return path;
}

}  // namespace

template <typename T>
std::span<const T> Backward::input(int i) const {
  return record.inputs[static_cast<size_t>(i)].data<T>();
}
template <typename T>
std::span<const T> Backward::output() const {
  return record.output.data<T>();
}
template <typename T>
std::span<const T> Backward::grad_output() const {
  return record.output.grad<T>();
}
template <typename T>
GradOf<T> Backward::grad(int i) const {
  const Tensor& input = record.inputs[static_cast<size_t>(i)];
  if (!input.needs_grad()) return {};
  const bool first = !input.impl_->grad;
  if (first) input.impl_->grad = allocate(input.impl_->bytes());
  return {.data = input.grad<T>().data(), .add = !first};
}

#define MIXGRAD_INSTANTIATE(T)                                  \
  template std::span<const T> Backward::input<T>(int) const;    \
  template std::span<const T> Backward::output<T>() const;      \
  template std::span<const T> Backward::grad_output<T>() const; \
  template GradOf<T> Backward::grad<T>(int) const;
MIXGRAD_INSTANTIATE(float)
MIXGRAD_INSTANTIATE(bfloat16)
#undef MIXGRAD_INSTANTIATE

Tape::Tape(Mode mode, TapeObserver* observer) : mode_(mode), observer_(observer), outer_(current_tape) {
  current_tape = this;
}
Tape::~Tape() { current_tape = outer_; }
Tape* Tape::current() { return current_tape; }

NoTape::NoTape() : outer_(current_tape) { current_tape = nullptr; }
NoTape::~NoTape() { current_tape = outer_; }

void Tape::push(Record record) {
  records_.push_back(std::move(record));
  if (observer_ != nullptr) observer_->recorded(records_.back());
}

void Tape::backward(const Tensor& loss) {
  if (loss.size() != 1) bad_input("[backward] the loss has shape {}: expected one value", loss.shape().str());
  if (!loss.needs_grad()) bad_input("[backward] the loss does not depend on any tensor that needs a gradient");
  loss.set_grad(std::array{1.0F});
  backward();
}

void Tape::backward() {
  const NoTape pause;
  while (!records_.empty()) {
    Record last = std::move(records_.back());
    records_.pop_back();  // values and gradients already processed are freed while still in the cache
    if (!last.output.has_grad()) continue;
    if (last.backward) last.backward({last});
    if (observer_ != nullptr) observer_->played(last);
    last.output.zero_grad();
  }
}

std::vector<Tensor> Tape::gradients(const Tensor& of, std::span<const Tensor> leaves) const {
  const NoTape pause;
  std::vector<std::pair<Tensor, std::shared_ptr<std::byte>>> aside;
  const auto set_aside = [&](const Tensor& t) {
    if (t) aside.emplace_back(t, std::exchange(t.impl_->grad, nullptr));
  };
  for (const Record& r : records_) {
    std::ranges::for_each(r.inputs, set_aside);
    set_aside(r.output);
  }
  std::ranges::for_each(leaves, set_aside);

  if (of.needs_grad()) of.set_grad(std::array{1.0F});
  for (auto r = records_.rbegin(); r != records_.rend(); ++r) {
    if (r->output.has_grad() && r->backward) r->backward({*r});
  }
  std::vector<Tensor> out;
  for (const Tensor& leaf : leaves) {
    out.push_back(Tensor::zeros(leaf.shape()));
    std::ranges::copy(leaf.grad(), out.back().data().begin());
  }
  // A tensor's first entry is its original gradient, so restoring in reverse order ends with it.
  for (; !aside.empty(); aside.pop_back()) aside.back().first.impl_->grad = aside.back().second;
  return out;
}

ModuleScope::ModuleScope(const std::string& name) { module_path.push_back(&name); }
ModuleScope::~ModuleScope() { module_path.pop_back(); }

Tensor record(const RecordedOp& op, Tensor output, std::vector<Tensor> inputs, BackwardFunction backward) {
  Tape* tape = current_tape;
  if (tape == nullptr) return output;
  const bool needed = std::ranges::any_of(inputs, &Tensor::needs_grad);
  if (!needed && tape->mode() != Tape::Mode::trace) return output;
  output.requires_grad(needed);
  std::string module =
      tape->mode() == Tape::Mode::trace || tape->observer() != nullptr ? joined_module_path() : std::string();
  tape->push({op.name, op.graph_op, std::move(inputs), output, std::move(backward), std::move(module)});
  return output;
}

}  // namespace mixgrad

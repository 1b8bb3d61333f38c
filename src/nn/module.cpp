// SPDX-License-Identifier: Apache-2.0
#include <mixgrad/error.h>
#include <mixgrad/nn.h>
#include <mixgrad/tape.h>

#include <algorithm>

namespace mixgrad::nn {
namespace {

std::string joined(const std::string& prefix, const std::string& name) {
  return prefix.empty() ? name : prefix + "." + name;
}

}  // namespace

Tensor Module::operator()(const Tensor& x) {
  const ModuleScope scope(name_);
  return forward(x);
}

void Module::train(bool on) {
  training_ = on;
  for (Module* child : children_) child->train(on);
}

void Module::add_parameter(std::string name, Tensor& tensor) {
  tensor.requires_grad();
  parameters_.push_back({std::move(name), tensor});
}

void Module::add_buffer(std::string name, const Tensor& tensor) { buffers_.push_back({std::move(name), tensor}); }

void Module::add_module(std::string name, Module& child) {
  if (std::ranges::any_of(children_, [&](const Module* c) { return c->name_ == name; })) {
    bad_input("[module] two children are named '{}'", name);
  }
  child.name_ = std::move(name);
  children_.push_back(&child);
}

void Module::collect(const std::string& prefix, bool buffers, std::vector<NamedTensor>& out) const {
  for (const NamedTensor& own : buffers ? buffers_ : parameters_) out.push_back({joined(prefix, own.name), own.tensor});
  for (const Module* child : children_) child->collect(joined(prefix, child->name_), buffers, out);
}

std::vector<NamedTensor> Module::named_parameters() const {
  std::vector<NamedTensor> out;
  collect("", false, out);
  return out;
}

std::vector<NamedTensor> Module::named_buffers() const {
  std::vector<NamedTensor> out;
  collect("", true, out);
  return out;
}

std::vector<Module*> Module::modules() {
  std::vector<Module*> all = {this};
  for (Module* child : children_) std::ranges::copy(child->modules(), std::back_inserter(all));
  return all;
}

std::vector<const Module*> Module::modules() const {
  std::vector<const Module*> all = {this};
  for (const Module* child : children_) std::ranges::copy(child->modules(), std::back_inserter(all));
  return all;
}

std::vector<Tensor> Module::parameters() const {
  std::vector<Tensor> out;
  for (NamedTensor& p : named_parameters()) out.push_back(std::move(p.tensor));
  return out;
}

}  // namespace mixgrad::nn

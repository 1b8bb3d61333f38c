// SPDX-License-Identifier: Apache-2.0
#include "onnx_file.h"

#include <mixgrad/error.h>

#include <src/internal/names.h>

#include <fmt/ranges.h>

#include <algorithm>
#include <set>

namespace mixgrad::models::onnx_file {

bool is_real(int64_t type) {
  return type == type_float || type == type_float16 || type == type_bfloat16 || type == type_double;
}

void File::fail(const std::string& why) const { bad_input("{}: {}", path(), why); }

File::File(Content content) : content_(std::move(content)) {
  check_ends();
  drop_unused();
}

void File::check_ends() const {
  std::vector<std::string> inputs;
  for (const Input& i : content_.inputs) inputs.push_back(i.name);
  if (inputs.size() != 1) {
    fail(fmt::format("{} inputs ('{}'), expected one: export the network with only the one to be used", inputs.size(),
                     on_one_line(fmt::format("{}", fmt::join(inputs, "', '")))));
  }
  if (outputs().empty()) fail("no outputs, expected at least one");
}

/// Nodes are in execution order, so a single backward pass finds all that are needed.
void File::drop_unused() {
  std::set<std::string> needed(outputs().begin(), outputs().end());
  std::vector<Node> kept;
  for (auto node = content_.nodes.rbegin(); node != content_.nodes.rend(); ++node) {
    if (std::ranges::none_of(node->outputs, [&](const std::string& o) { return !o.empty() && needed.contains(o); })) {
      continue;
    }
    needed.insert(node->inputs.begin(), node->inputs.end());
    kept.push_back(std::move(*node));
  }
  content_.nodes.assign(std::make_move_iterator(kept.rbegin()), std::make_move_iterator(kept.rend()));
  for (const Node& node : content_.nodes) {
    for (const std::string& name : std::set<std::string>(node.inputs.begin(), node.inputs.end())) {
      consumers_[name].push_back(&node);
    }
  }
}

void File::set_nodes(std::vector<Node> nodes) {
  content_.nodes = std::move(nodes);
  consumers_.clear();
  drop_unused();
}

const Constant* File::constant(const std::string& name) const {
  const auto found = content_.constants.find(name);
  return found == content_.constants.end() ? nullptr : &found->second;
}

void File::set_constant(const std::string& name, Constant constant) {
  constant.name = name;
  content_.constants[name] = std::move(constant);
}

const std::vector<const Node*>& File::consumers(const std::string& name) const {
  static const std::vector<const Node*> none;
  const auto found = consumers_.find(name);
  return found == consumers_.end() ? none : found->second;
}

const Node* File::only_consumer(const std::string& name) const {
  const std::vector<const Node*>& found = consumers(name);
  return is_output(name) || found.size() != 1 ? nullptr : found[0];
}

const Attribute* Attributes::find(const std::string& name) const {
  const auto found = node_.attributes.find(name);
  return found == node_.attributes.end() ? nullptr : &found->second;
}

bool Attributes::has(const std::string& name) const { return find(name) != nullptr; }

int64_t Attributes::number(const std::string& name, int64_t otherwise) const {
  const Attribute* a = find(name);
  return a == nullptr ? otherwise : a->number;
}

double Attributes::real(const std::string& name, double otherwise) const {
  const Attribute* a = find(name);
  return a == nullptr ? otherwise : a->real;
}

std::string Attributes::text(const std::string& name, const std::string& otherwise) const {
  const Attribute* a = find(name);
  return a == nullptr ? otherwise : a->text;
}

std::vector<int64_t> Attributes::list(const std::string& name) const {
  const Attribute* a = find(name);
  return a == nullptr ? std::vector<int64_t>() : a->list;
}

std::vector<double> Attributes::reals(const std::string& name) const {
  const Attribute* a = find(name);
  return a == nullptr ? std::vector<double>() : a->reals;
}

std::optional<Constant> Attributes::tensor(const std::string& name) const {
  const Attribute* a = find(name);
  return a == nullptr ? std::nullopt : a->tensor;
}

void Attributes::wrong_count(const std::string& name, size_t has, size_t expected) const {
  file_.fail(fmt::format("{}: {} has {} numbers, expected {}", node_.called(), name, has, expected));
}

}  // namespace mixgrad::models::onnx_file

// SPDX-License-Identifier: Apache-2.0
#include "onnx_file.h"

#include <mixgrad/error.h>
#include <mixgrad/io.h>

#include <fmt/ranges.h>
#include <onnx/onnx_pb.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <set>

namespace mixgrad::models::onnx_file {
namespace {

using onnx::TensorProto;

const onnx::AttributeProto* find(const Node& node, const std::string& name) {
  for (const auto& a : node.proto->attribute()) {
    if (a.name() == name) return &a;
  }
  return nullptr;
}

template <typename T>
std::vector<T> from_raw(const std::string& raw) {
  std::vector<T> out(raw.size() / sizeof(T));
  if (!out.empty()) std::memcpy(out.data(), raw.data(), out.size() * sizeof(T));  // memcpy must not get a null pointer
  return out;
}

std::string type_name(int type) {
  return TensorProto::DataType_IsValid(type) ? TensorProto::DataType_Name(static_cast<TensorProto::DataType>(type))
                                             : "unknown";
}

}  // namespace

void File::fail(const std::string& why) const { bad_input("{}: {}", path_, why); }

File::File(const std::string& path) : path_(path), model_(std::make_unique<onnx::ModelProto>()) {
  const io::Mapped file(path);
  if (file.content().size() > static_cast<size_t>(std::numeric_limits<int>::max()) ||
      !model_->ParseFromArray(file.content().data(), static_cast<int>(file.content().size())) || !model_->has_graph()) {
    fail("corrupt, or not an ONNX model");
  }
  bytes_ = std::ssize(file.content());
  for (const auto& set : model_->opset_import()) {
    if (set.domain().empty() || set.domain() == "ai.onnx") opset_ = set.version();
  }
  const onnx::GraphProto& graph = model_->graph();
  for (const TensorProto& t : graph.initializer()) constants_[t.name()] = read(t, t.name());
  read_nodes(graph);
  find_ends(graph);
  drop_unused();
}

File::~File() = default;

void File::read_nodes(const onnx::GraphProto& graph) {
  for (const auto& n : graph.node()) {
    const bool own = n.domain().empty() || n.domain() == "ai.onnx";
    Node node{.name = n.name().empty() && n.output_size() > 0 ? n.output(0) : n.name(),
              .op = own ? n.op_type() : n.domain() + "." + n.op_type(),
              .inputs = {n.input().begin(), n.input().end()},
              .outputs = {n.output().begin(), n.output().end()},
              .proto = &n};
    if (node.outputs.empty()) fail(fmt::format("{} '{}' has no output", node.op, node.name));
    if (node.op == "Constant") read_constant(node);
    if (!constants_.contains(node.outputs[0])) nodes_.push_back(std::move(node));
  }
}

/// Reads a Constant's tensor, or the numbers in its other attributes.
void File::read_constant(const Node& node) {
  const std::string& name = node.outputs[0];
  Constant out{.name = name, .type = "", .dims = {}, .floats = {}, .integers = {}};
  if (const auto* a = find(node, "value"); a != nullptr && a->has_t()) {
    out = read(a->t(), name);
  } else if (a = find(node, "value_float"); a != nullptr) {
    out.floats = {a->f()};
  } else if (a = find(node, "value_floats"); a != nullptr) {
    out.floats.assign(a->floats().begin(), a->floats().end());
    out.dims = {std::ssize(out.floats)};
  } else if (a = find(node, "value_int"); a != nullptr) {
    out.integers = {a->i()};
  } else if (a = find(node, "value_ints"); a != nullptr) {
    out.integers.assign(a->ints().begin(), a->ints().end());
    out.dims = {std::ssize(out.integers)};
  } else {
    return;  // not numeric: its consumers will refuse it
  }
  if (out.type.empty()) out.type = out.integers.empty() ? "FLOAT" : "INT64";
  constants_[name] = std::move(out);
}

void File::find_ends(const onnx::GraphProto& graph) {
  std::vector<std::string> inputs, outputs;
  for (const auto& i : graph.input()) {
    if (!constants_.contains(i.name())) inputs.push_back(i.name());
  }
  for (const auto& o : graph.output()) outputs.push_back(o.name());
  if (inputs.size() != 1 || outputs.size() != 1) {
    const bool of_inputs = inputs.size() != 1;
    const std::vector<std::string>& names = of_inputs ? inputs : outputs;
    fail(fmt::format("{} {} ('{}'), expected one: export the network with only the one to be used", names.size(),
                     of_inputs ? "inputs" : "outputs", fmt::join(names, "', '")));
  }
  input_ = inputs[0];
  output_ = outputs[0];
}

/// Nodes are in execution order, so a single backward pass finds all that are needed.
void File::drop_unused() {
  std::set<std::string> needed = {output_};
  std::vector<Node> kept;
  for (auto node = nodes_.rbegin(); node != nodes_.rend(); ++node) {
    if (std::ranges::none_of(node->outputs, [&](const std::string& o) { return !o.empty() && needed.contains(o); })) {
      continue;
    }
    needed.insert(node->inputs.begin(), node->inputs.end());
    kept.push_back(std::move(*node));
  }
  nodes_.assign(std::make_move_iterator(kept.rbegin()), std::make_move_iterator(kept.rend()));
  for (const Node& node : nodes_) {
    for (const std::string& name : std::set<std::string>(node.inputs.begin(), node.inputs.end())) {
      consumers_[name].push_back(&node);
    }
  }
}

void File::set_nodes(std::vector<Node> nodes) {
  nodes_ = std::move(nodes);
  consumers_.clear();
  drop_unused();
}

Constant File::read(const TensorProto& t, const std::string& name) const {
  Constant out{.name = name,
               .type = type_name(t.data_type()),
               .dims = {t.dims().begin(), t.dims().end()},
               .floats = {},
               .integers = {}};
  const bool raw = t.has_raw_data();
  if (t.data_location() == TensorProto::EXTERNAL) {
    fail(fmt::format("tensor '{}' is stored in another file: save the model as one file", name));
  }
  if (t.data_type() == TensorProto::FLOAT) {
    out.floats = raw ? from_raw<float>(t.raw_data()) : std::vector<float>(t.float_data().begin(), t.float_data().end());
  } else if (t.data_type() == TensorProto::INT64) {
    out.integers =
        raw ? from_raw<int64_t>(t.raw_data()) : std::vector<int64_t>(t.int64_data().begin(), t.int64_data().end());
  } else if (t.data_type() == TensorProto::INT32) {
    const auto v =
        raw ? from_raw<int32_t>(t.raw_data()) : std::vector<int32_t>(t.int32_data().begin(), t.int32_data().end());
    out.integers.assign(v.begin(), v.end());
  }
  int64_t size = 1;
  for (const int64_t d : out.dims) {
    if (d < 0 || (d > 0 && size > (int64_t{1} << 40) / d)) {
      fail(fmt::format("tensor '{}' has an invalid dimension {}", name, d));
    }
    size *= d;
  }
  const bool counted =
      t.data_type() == TensorProto::FLOAT || t.data_type() == TensorProto::INT64 || t.data_type() == TensorProto::INT32;
  if (counted && out.size() != size) {
    fail(fmt::format("tensor '{}' has {} values, but its shape needs {}", name, out.size(), size));
  }
  const auto nan = std::ranges::find_if(out.floats, [](float v) { return std::isnan(v); });
  if (nan != out.floats.end()) {
    fail(fmt::format("tensor '{}' contains NaN (first at index {}): export a network whose training succeeded", name,
                     nan - out.floats.begin()));
  }
  return out;
}

const Constant* File::constant(const std::string& name) const {
  const auto found = constants_.find(name);
  return found == constants_.end() ? nullptr : &found->second;
}

void File::set_constant(const std::string& name, Constant constant) {
  constant.name = name;
  constants_[name] = std::move(constant);
}

std::vector<int64_t> File::input_dims() const {
  for (const auto& i : model_->graph().input()) {
    if (i.name() != input_) continue;
    std::vector<int64_t> dims;
    for (const auto& d : i.type().tensor_type().shape().dim()) {
      dims.push_back(std::max<int64_t>(0, d.has_dim_value() ? d.dim_value() : 0));
    }
    return dims;
  }
  return {};
}

int64_t File::input_type() const {
  for (const auto& i : model_->graph().input()) {
    if (i.name() == input_) return i.type().tensor_type().elem_type();
  }
  return type_float;
}

const std::vector<const Node*>& File::consumers(const std::string& name) const {
  static const std::vector<const Node*> none;
  const auto found = consumers_.find(name);
  return found == consumers_.end() ? none : found->second;
}

const Node* File::only_consumer(const std::string& name) const {
  const std::vector<const Node*>& found = consumers(name);
  return name == output_ || found.size() != 1 ? nullptr : found[0];
}

bool Attributes::has(const std::string& name) const { return find(node_, name) != nullptr; }

int64_t Attributes::number(const std::string& name, int64_t otherwise) const {
  const auto* a = find(node_, name);
  return a == nullptr ? otherwise : a->i();
}

double Attributes::real(const std::string& name, double otherwise) const {
  const auto* a = find(node_, name);
  return a == nullptr ? otherwise : static_cast<double>(a->f());
}

std::string Attributes::text(const std::string& name, const std::string& otherwise) const {
  const auto* a = find(node_, name);
  return a == nullptr ? otherwise : a->s();
}

std::vector<int64_t> Attributes::list(const std::string& name) const {
  const auto* a = find(node_, name);
  return a == nullptr ? std::vector<int64_t>() : std::vector<int64_t>(a->ints().begin(), a->ints().end());
}

std::vector<double> Attributes::reals(const std::string& name) const {
  const auto* a = find(node_, name);
  return a == nullptr ? std::vector<double>() : std::vector<double>(a->floats().begin(), a->floats().end());
}

std::optional<Constant> Attributes::tensor(const std::string& name) const {
  const auto* a = find(node_, name);
  return a != nullptr && a->has_t() ? std::optional(file_.read(a->t(), name)) : std::nullopt;
}

void Attributes::wrong_count(const std::string& name, size_t has, size_t expected) const {
  file_.fail(fmt::format("{} '{}': {} has {} numbers, expected {}", node_.op, node_.name, name, has, expected));
}

}  // namespace mixgrad::models::onnx_file

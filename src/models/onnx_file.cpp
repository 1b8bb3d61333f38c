// SPDX-License-Identifier: Apache-2.0
#include "onnx_file.h"

#include <mixgrad/error.h>
#include <mixgrad/io.h>

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
  if (!out.empty()) std::memcpy(out.data(), raw.data(), out.size() * sizeof(T));  // memcpy takes no null pointer
  return out;
}

}  // namespace

void File::fail(const std::string& why) const { bad_input("{}: {}", path_, why); }

File::File(const std::string& path) : path_(path), model_(std::make_unique<onnx::ModelProto>()) {
  const io::Mapped file(path);
  if (file.content().size() > static_cast<size_t>(std::numeric_limits<int>::max()) ||
      !model_->ParseFromArray(file.content().data(), static_cast<int>(file.content().size())) || !model_->has_graph()) {
    fail("damaged, or no ONNX model");
  }
  bytes_ = std::ssize(file.content());
  const onnx::GraphProto& graph = model_->graph();
  for (const TensorProto& t : graph.initializer()) constants_[t.name()] = read(t, t.name());
  for (const auto& n : graph.node()) {
    nodes_.push_back({.name = n.name().empty() && n.output_size() > 0 ? n.output(0) : n.name(), .op = n.op_type(),
                      .inputs = {n.input().begin(), n.input().end()}, .outputs = {n.output().begin(), n.output().end()}, .proto = &n});
    const Node& node = nodes_.back();
    if (node.outputs.empty()) fail(fmt::format("{} '{}' has no output", node.op, node.name));
    if (!n.domain().empty() && n.domain() != "ai.onnx") fail(fmt::format("'{}' is of the domain {}, which is unknown here", node.name, n.domain()));
    const auto* value = find(node, "value");
    if (node.op == "Constant" && value != nullptr && value->has_t()) constants_[node.outputs[0]] = read(value->t(), node.outputs[0]);
    if (node.op == "Identity" && node.inputs.size() == 1 && constants_.contains(node.inputs[0])) constants_[node.outputs[0]] = constants_[node.inputs[0]];
  }
  std::vector<std::string> inputs;
  for (const auto& i : graph.input()) {
    if (!constants_.contains(i.name())) inputs.push_back(i.name());
  }
  if (inputs.size() != 1 || graph.output_size() != 1) fail(fmt::format("it has {} inputs and {} outputs, expected one of each", inputs.size(), graph.output_size()));
  input_ = inputs[0];
  output_ = graph.output(0).name();
}

File::~File() = default;

Constant File::read(const TensorProto& t, const std::string& name) const {
  Constant out{.name = name, .type = TensorProto::DataType_IsValid(t.data_type()) ? TensorProto::DataType_Name(static_cast<TensorProto::DataType>(t.data_type())) : "unknown",
               .dims = {t.dims().begin(), t.dims().end()}, .floats = {}, .integers = {}};
  if (t.data_location() == TensorProto::EXTERNAL) fail(fmt::format("tensor '{}' lies in another file: save the model as one file", name));
  if (t.data_type() == TensorProto::FLOAT) out.floats = t.has_raw_data() ? from_raw<float>(t.raw_data()) : std::vector<float>(t.float_data().begin(), t.float_data().end());
  if (t.data_type() == TensorProto::INT64) out.integers = t.has_raw_data() ? from_raw<int64_t>(t.raw_data()) : std::vector<int64_t>(t.int64_data().begin(), t.int64_data().end());
  if (t.data_type() == TensorProto::INT32) {
    const std::vector<int32_t> v = t.has_raw_data() ? from_raw<int32_t>(t.raw_data()) : std::vector<int32_t>(t.int32_data().begin(), t.int32_data().end());
    out.integers.assign(v.begin(), v.end());
  }
  int64_t size = 1;
  for (const int64_t d : out.dims) {
    if (d < 0 || (d > 0 && size > (int64_t{1} << 40) / d)) fail(fmt::format("tensor '{}' has an impossible dimension {}", name, d));
    size *= d;
  }
  const bool counted = t.data_type() == TensorProto::FLOAT || t.data_type() == TensorProto::INT64 || t.data_type() == TensorProto::INT32;
  const int64_t held = std::ssize(out.floats) + std::ssize(out.integers);
  if (counted && held != size) fail(fmt::format("tensor '{}' holds {} values, its dimensions ask for {}", name, held, size));
  if (std::ranges::any_of(out.floats, [](float v) { return std::isnan(v); })) fail(fmt::format("tensor '{}' holds values that are no numbers", name));
  return out;
}

bool File::folded(const Node& node) const { return constants_.contains(node.outputs[0]); }

const Constant* File::constant(const std::string& name) const {
  const auto found = constants_.find(name);
  return found == constants_.end() ? nullptr : &found->second;
}

std::vector<int64_t> File::input_dims() const {
  for (const auto& i : model_->graph().input()) {
    if (i.name() != input_) continue;
    std::vector<int64_t> dims;
    for (const auto& d : i.type().tensor_type().shape().dim()) dims.push_back(d.has_dim_value() ? d.dim_value() : 0);
    return dims;
  }
  return {};
}

bool File::consumed_by_transpose(const std::vector<int64_t>& order) const {
  bool found = false;
  for (const Node& n : nodes_) {
    if (std::ranges::find(n.inputs, input_) == n.inputs.end()) continue;
    if (n.op != "Transpose" || Attributes(*this, n).list("perm") != order) return false;
    found = true;
  }
  return found;
}

const Node* File::only_consumer(const std::string& name) const {
  const Node* found = nullptr;
  for (const Node& n : nodes_) {
    if (std::ranges::find(n.inputs, name) == n.inputs.end()) continue;
    if (found != nullptr) return nullptr;
    found = &n;
  }
  return name == output_ ? nullptr : found;
}

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

void Attributes::wrong_count(const std::string& name, size_t has, size_t expected) const {
  file_.fail(fmt::format("{} '{}': {} has {} numbers, expected {}", node_.op, node_.name, name, has, expected));
}

}  // namespace mixgrad::models::onnx_file

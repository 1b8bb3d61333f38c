// SPDX-License-Identifier: Apache-2.0
// Reads ONNX files. Debian's schema (libonnx 1.12) is sufficient: it only lacks types and operators added in opset 18
// and later, which no float network of the supported operators needs.
#include "onnx_import.h"

#include <mixgrad/error.h>
#include <mixgrad/io.h>

#include <fmt/core.h>
#include <onnx/onnx_pb.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>

namespace mixgrad::models {
namespace {

using onnx::TensorProto;
using onnx_file::Attribute;
using onnx_file::Constant;
using onnx_file::Content;
using onnx_file::Node;

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

class Reader {
 public:
  explicit Reader(const std::string& path) { content_.path = path; }

  Content read() {
    const io::Mapped file(content_.path);
    if (file.content().size() > static_cast<size_t>(std::numeric_limits<int>::max()) ||
        !model_.ParseFromArray(file.content().data(), static_cast<int>(file.content().size())) || !model_.has_graph()) {
      fail("corrupt, or not an ONNX model");
    }
    content_.bytes = std::ssize(file.content());
    for (const auto& set : model_.opset_import()) {
      if (set.domain().empty() || set.domain() == "ai.onnx") content_.opset = set.version();
    }
    const onnx::GraphProto& graph = model_.graph();
    for (const TensorProto& t : graph.initializer()) content_.constants[t.name()] = constant(t, t.name());
    for (const onnx::NodeProto& n : graph.node()) read(n);
    for (const onnx::ValueInfoProto& i : graph.input()) read(i);
    for (const auto& o : graph.output()) content_.outputs.push_back(o.name());
    return std::move(content_);
  }

 private:
  [[noreturn]] void fail(const std::string& why) const { bad_input("{}: {}", content_.path, why); }
  void read(const onnx::NodeProto& n);
  void read(const onnx::ValueInfoProto& input);
  void read_constant(const onnx::NodeProto& n);
  Constant constant(const TensorProto& tensor, const std::string& name) const;

  onnx::ModelProto model_;
  Content content_;
};

void Reader::read(const onnx::NodeProto& n) {
  const bool own = n.domain().empty() || n.domain() == "ai.onnx";
  Node node{.name = n.name().empty() && n.output_size() > 0 ? n.output(0) : n.name(),
            .op = own ? n.op_type() : n.domain() + "." + n.op_type(),
            .inputs = {n.input().begin(), n.input().end()},
            .outputs = {n.output().begin(), n.output().end()}};
  if (node.outputs.empty()) fail(fmt::format("{} '{}' has no output", node.op, node.name));
  if (node.op == "Constant") read_constant(n);
  if (content_.constants.contains(node.outputs[0])) return;
  for (const auto& a : n.attribute()) {
    node.attributes.emplace(a.name(),
                            Attribute{.number = a.i(),
                                      .real = static_cast<double>(a.f()),
                                      .text = a.s(),
                                      .list = {a.ints().begin(), a.ints().end()},
                                      .reals = {a.floats().begin(), a.floats().end()},
                                      .tensor = a.has_t() ? std::optional(constant(a.t(), a.name())) : std::nullopt});
  }
  content_.nodes.push_back(std::move(node));
}

/// Initializers may be listed as inputs, too.
void Reader::read(const onnx::ValueInfoProto& input) {
  if (content_.constants.contains(input.name())) return;
  const auto& tensor = input.type().tensor_type();
  std::vector<int64_t> dims;
  for (const auto& d : tensor.shape().dim()) {
    dims.push_back(std::max<int64_t>(0, d.has_dim_value() ? d.dim_value() : 0));
  }
  content_.inputs.push_back({.name = input.name(), .dims = std::move(dims), .type = tensor.elem_type()});
}

/// Reads a Constant's tensor, or the numbers in its other attributes.
void Reader::read_constant(const onnx::NodeProto& n) {
  const auto find = [&](const char* name) {
    const auto found = std::ranges::find_if(n.attribute(), [&](const auto& a) { return a.name() == name; });
    return found == n.attribute().end() ? nullptr : &*found;
  };
  const std::string& name = n.output(0);
  Constant out{.name = name, .type = "", .dims = {}, .floats = {}, .integers = {}};
  if (const auto* a = find("value"); a != nullptr && a->has_t()) {
    out = constant(a->t(), name);
  } else if (a = find("value_float"); a != nullptr) {
    out.floats = {a->f()};
  } else if (a = find("value_floats"); a != nullptr) {
    out.floats.assign(a->floats().begin(), a->floats().end());
    out.dims = {std::ssize(out.floats)};
  } else if (a = find("value_int"); a != nullptr) {
    out.integers = {a->i()};
  } else if (a = find("value_ints"); a != nullptr) {
    out.integers.assign(a->ints().begin(), a->ints().end());
    out.dims = {std::ssize(out.integers)};
  } else {
    return;  // not numeric: its consumers will refuse it
  }
  if (out.type.empty()) out.type = out.integers.empty() ? "FLOAT" : "INT64";
  content_.constants[name] = std::move(out);
}

Constant Reader::constant(const TensorProto& t, const std::string& name) const {
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

}  // namespace

Model from_onnx(const std::string& path, const Options& options) {
  return import_network(Reader(path).read(), options);
}

}  // namespace mixgrad::models

// SPDX-License-Identifier: Apache-2.0
// ONNX files for tests, node by node.
#pragma once

#include <mixgrad/rng.h>
#include <mixgrad/tensor.h>

#include <onnx/onnx_pb.h>

#include <string>
#include <vector>

namespace mixgrad::test {

using Dims = std::vector<int64_t>;

/// Builds a model; every value has the name of the node that computes it.
class OnnxNet {
 public:
  explicit OnnxNet(const Dims& input, int opset = 13) {
    model.set_ir_version(7);
    model.add_opset_import()->set_version(opset);
    graph().set_name("net");
    value(*graph().add_input(), "x", input);
  }

  std::string bytes(const std::string& output) { return bytes(std::vector{output}); }
  std::string bytes(const std::vector<std::string>& outputs) {
    graph().clear_output();
    for (const std::string& output : outputs) value(*graph().add_output(), output, {});
    return model.SerializeAsString();
  }
  std::string node(const std::string& op, const std::string& name, const std::vector<std::string>& inputs) {
    onnx::NodeProto& n = *graph().add_node();
    n.set_op_type(op);
    n.set_name("node_" + name);
    for (const std::string& i : inputs) n.add_input(i);
    n.add_output(name);
    return name;
  }
  OnnxNet& list(const std::string& name, const Dims& values) {
    onnx::AttributeProto& a = attribute(name, onnx::AttributeProto::INTS);
    for (const int64_t v : values) a.add_ints(v);
    return *this;
  }
  OnnxNet& number(const std::string& name, int64_t v) {
    attribute(name, onnx::AttributeProto::INT).set_i(v);
    return *this;
  }
  OnnxNet& real(const std::string& name, float v) {
    attribute(name, onnx::AttributeProto::FLOAT).set_f(v);
    return *this;
  }
  OnnxNet& reals(const std::string& name, const std::vector<float>& values) {
    onnx::AttributeProto& a = attribute(name, onnx::AttributeProto::FLOATS);
    for (const float v : values) a.add_floats(v);
    return *this;
  }
  OnnxNet& text(const std::string& name, const std::string& v) {
    attribute(name, onnx::AttributeProto::STRING).set_s(v);
    return *this;
  }
  /// Random values from N(0, 1) · size + offset.
  std::string floats(const std::string& name, const Dims& dims, double size = 0.3, double offset = 0) {
    std::vector<float> v(static_cast<size_t>(Shape(dims).size()));
    for (float& x : v) x = static_cast<float>(rng_.normal() * size + offset);
    raw(name, onnx::TensorProto::FLOAT, dims, v.data(), v.size() * sizeof(float));
    return name;
  }
  std::string values(const std::string& name, const Dims& dims, const std::vector<float>& v) {
    raw(name, onnx::TensorProto::FLOAT, dims, v.data(), v.size() * sizeof(float));
    return name;
  }
  std::string scalar(const std::string& name, float v) {
    raw(name, onnx::TensorProto::FLOAT, {}, &v, sizeof v);
    return name;
  }
  std::string integers(const std::string& name, const std::vector<int64_t>& v) {
    raw(name, onnx::TensorProto::INT64, {std::ssize(v)}, v.data(), v.size() * sizeof(int64_t));
    return name;
  }
  /// y = BatchNormalization(x), with mean and variance other than 0 and 1.
  std::string batch_norm(const std::string& name, const std::string& x, int64_t channels) {
    return node("BatchNormalization", name,
                {x, floats(name + ".gamma", {channels}, 0.2, 1), floats(name + ".beta", {channels}),
                 floats(name + ".mean", {channels}), positive(name + ".var", channels)});
  }

  onnx::GraphProto& graph() { return *model.mutable_graph(); }
  onnx::ModelProto model;

 private:
  static void value(onnx::ValueInfoProto& info, const std::string& name, const Dims& dims) {
    info.set_name(name);
    auto& tensor = *info.mutable_type()->mutable_tensor_type();
    tensor.set_elem_type(onnx::TensorProto::FLOAT);
    if (!dims.empty()) tensor.mutable_shape()->add_dim()->set_dim_param("N");
    for (const int64_t d : dims) tensor.mutable_shape()->add_dim()->set_dim_value(d);
  }
  onnx::AttributeProto& attribute(const std::string& name, onnx::AttributeProto::AttributeType type) {
    onnx::AttributeProto& a = *graph().mutable_node(graph().node_size() - 1)->add_attribute();
    a.set_name(name);
    a.set_type(type);
    return a;
  }
  std::string positive(const std::string& name, int64_t channels) {
    std::vector<float> v;
    for (int64_t c = 0; c < channels; ++c) v.push_back(static_cast<float>(rng_.uniform(0.5, 2)));
    raw(name, onnx::TensorProto::FLOAT, {channels}, v.data(), v.size() * sizeof(float));
    return name;
  }
  void raw(const std::string& name, int type, const Dims& dims, const void* bytes, size_t size) {
    onnx::TensorProto& t = *graph().add_initializer();
    t.set_name(name);
    t.set_data_type(type);
    for (const int64_t d : dims) t.add_dims(d);
    t.set_raw_data(bytes, size);
  }

  Rng rng_{5, "onnx_import_test"};
};

/// A plain network for 32×32 RGB images of ten classes, as PyTorch writes one.
inline std::string plain_onnx_file() {
  OnnxNet n({3, 32, 32});
  n.node("Conv", "c1", {"x", n.floats("c1.weight", {8, 3, 3, 3}), n.floats("c1.bias", {8})});
  n.list("strides", {2, 2}).list("pads", {1, 1, 1, 1});
  n.node("Clip", "r1", {"c1", n.scalar("zero", 0), n.scalar("six", 6)});
  n.node("Conv", "c2", {"r1", n.floats("c2.weight", {12, 8, 3, 3})});
  n.batch_norm("b2", "c2", 12);
  n.node("Relu", "r2", {"b2"});
  n.node("GlobalAveragePool", "p", {"r2"});
  n.node("Flatten", "f", {"p"});
  n.node("Gemm", "fc", {"f", n.floats("fc.weight", {10, 12}), n.floats("fc.bias", {10})});
  n.number("transB", 1);
  return n.bytes("fc");
}

}  // namespace mixgrad::test

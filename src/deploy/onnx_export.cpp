// SPDX-License-Identifier: Apache-2.0
// An integer network as an ONNX graph of floats between QuantizeLinear and DequantizeLinear (QDQ), weights as integers.
#include <mixgrad/deploy.h>
#include <mixgrad/error.h>

#include <src/internal/names.h>
#include <src/internal/onnx_context.h>

#include <fmt/core.h>
#include <onnx/onnx_pb.h>

#include <limits>
#include <set>

namespace mixgrad {
namespace {

using fmt::format;
using integer::OnnxType;
using onnx::TensorProto;

/// The attributes that are lists even of one number.
const std::set<std::string> lists = {"dilations", "kernel_shape", "output_padding", "pads", "perm", "strides"};

/// Writes to a protobuf graph.
class Builder : public integer::OnnxWriter {
 public:
  explicit Builder(onnx::GraphProto& graph) : graph_(graph) {}

  std::string node(const std::string& op, const std::vector<std::string>& inputs, const std::string& wanted,
                   const Attributes& attributes) override {
    const std::string output = free_name(wanted);
    onnx::NodeProto& n = *graph_.add_node();
    n.set_op_type(op);
    n.set_name(output);
    for (const std::string& i : inputs) n.add_input(i);
    n.add_output(output);
    for (const auto& [name, values] : attributes) {
      onnx::AttributeProto& a = *n.add_attribute();
      a.set_name(name);
      const bool list = lists.contains(name);
      a.set_type(list ? onnx::AttributeProto::INTS : onnx::AttributeProto::INT);
      if (!list) a.set_i(values[0]);
      for (const int64_t v : values) {
        if (list) a.add_ints(v);
      }
    }
    return output;
  }

  std::string constant(const std::string& wanted, OnnxType type, const std::vector<int64_t>& dims, const void* raw,
                       size_t bytes) override {
    const std::string name = free_name(wanted);
    TensorProto& t = *graph_.add_initializer();
    t.set_name(name);
    t.set_data_type(static_cast<int>(type));
    for (const int64_t d : dims) t.add_dims(d);
    t.set_raw_data(raw, bytes);
    return name;
  }

 private:
  std::string free_name(const std::string& wanted) {
    std::string name = wanted;
    for (int n = 2; !names_.insert(name).second; ++n) name = format("{}_{}", wanted, n);
    return name;
  }

  onnx::GraphProto& graph_;
  std::set<std::string> names_ = {"input"};
};

class Exporter {
 public:
  Exporter(const IntegerNetwork& network, int opset, onnx::GraphProto& graph)
      : network_(network), opset_(opset), graph_(graph), add_(graph) {}

  void run() {
    graph_.set_name("mixgrad");
    declare(*graph_.add_input(), "input", network_.nodes[0].shape);
    for (const IntegerNode& n : network_.nodes) real_.push_back(value(n));
    for (const IntegerOutput& o : network_.outputs) {
      const IntegerNode& node = network_.node_of(o);
      std::string value = real_[static_cast<size_t>(o.node)];
      if (o.shape.rank() < node.shape.rank()) value = add_.node("Flatten", {value}, node.name + "/flat", {});
      const std::string name = add_.node("Identity", {value}, valid_utf8(o.name), {});
      declare(*graph_.add_output(), name, o.shape);
    }
  }

 private:
  std::string value(const IntegerNode& n) {
    const integer::OnnxContext c{.add = add_, .network = network_, .node = n, .real = real_, .opset = opset_};
    return std::visit(
        [&](const auto& o) {
          const std::string y = o.onnx(c);
          if (!o.own_codes) return y;
          return n.raw ? cut(c, y) : quantized(c, y);
        },
        n.op);
  }

  /// Applies the ReLU of an unquantized result.
  static std::string cut(const integer::OnnxContext& c, const std::string& y) {
    if (c.node.low < 0) return y;
    if (c.node.high == std::numeric_limits<int32_t>::max()) return c.add.node("Relu", {y}, c.node.name + "/positive");
    return c.clipped(y);
  }

  static void declare(onnx::ValueInfoProto& info, const std::string& name, const Shape& shape) {
    info.set_name(name);
    auto& type = *info.mutable_type()->mutable_tensor_type();
    type.set_elem_type(TensorProto::FLOAT);
    type.mutable_shape()->add_dim()->set_dim_param("N");
    for (const int64_t d : shape.dims()) type.mutable_shape()->add_dim()->set_dim_value(d);
  }

  /// Quantizes and dequantizes y, with a Clip if the range of the codes is narrower than that of their type.
  static std::string quantized(const integer::OnnxContext& c, std::string y) {
    const IntegerNode& n = c.node;
    if (n.is_signed() || n.high != 255) y = c.clipped(y);
    const int8_t zero = 0;
    const std::string scale = c.add.number(n.name + "/scale", n.step);
    const std::string zero_point =
        c.add.constant(n.name + "/zero_point", n.is_signed() ? OnnxType::int8 : OnnxType::uint8, {}, &zero, 1);
    const std::string codes = c.add.node("QuantizeLinear", {y, scale, zero_point}, n.name + "/codes");
    return c.add.node("DequantizeLinear", {codes, scale, zero_point}, n.name + "/value");
  }

  const IntegerNetwork& network_;
  int opset_;
  onnx::GraphProto& graph_;
  Builder add_;
  std::vector<std::string> real_;  // names of the nodes' values
};

}  // namespace

std::string to_onnx(const IntegerNetwork& network, int opset) {
  if (opset < 13 || opset > 21) bad_input("opset: {}: expected 13 to 21 (INT4 weights need 21)", opset);
  onnx::ModelProto model;
  model.set_ir_version(opset >= 21 ? 10 : 7);
  model.set_producer_name("mixgrad");
  model.set_producer_version(MIXGRAD_VERSION);
  onnx::OperatorSetIdProto& set = *model.add_opset_import();
  set.set_domain("");
  set.set_version(opset);
  IntegerNetwork named = network;
  for (IntegerNode& n : named.nodes) n.name = valid_utf8(n.name);  // required by protobuf
  Exporter(named, opset, *model.mutable_graph()).run();
  return model.SerializeAsString();
}

}  // namespace mixgrad

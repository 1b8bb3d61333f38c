// SPDX-License-Identifier: Apache-2.0
// An integer network as an ONNX graph of floats between QuantizeLinear and DequantizeLinear (QDQ), weights as integers.
#include "../core/names.h"

#include <mixgrad/deploy.h>
#include <mixgrad/error.h>

#include <fmt/core.h>
#include <onnx/onnx_pb.h>

#include <algorithm>
#include <limits>
#include <set>

namespace mixgrad {
namespace {

using fmt::format;
using onnx::TensorProto;

constexpr int int4_type = 22;  // TensorProto::INT4, which came after the schema of libonnx 1.12

/// Adds nodes and initializers to a graph; every value has a name of its own.
class Builder {
 public:
  explicit Builder(onnx::GraphProto& graph) : graph_(graph) {}

  using Attributes = std::vector<std::pair<std::string, std::vector<int64_t>>>;

  /// Returns the name of the output: `wanted` where it is free. Attributes of one number are numbers, others lists.
  std::string node(const std::string& op, const std::vector<std::string>& inputs, const std::string& wanted,
                   const Attributes& attributes = {}) {
    const std::string output = free_name(wanted);
    onnx::NodeProto& n = *graph_.add_node();
    n.set_op_type(op);
    n.set_name(output);
    for (const std::string& i : inputs) n.add_input(i);
    n.add_output(output);
    for (const auto& [name, values] : attributes) {
      onnx::AttributeProto& a = *n.add_attribute();
      a.set_name(name);
      const bool list = name == "kernel_shape" || name == "strides" || name == "pads" || name == "dilations";
      a.set_type(list ? onnx::AttributeProto::INTS : onnx::AttributeProto::INT);
      if (!list) a.set_i(values[0]);
      for (const int64_t v : values) {
        if (list) a.add_ints(v);
      }
    }
    return output;
  }

  /// `raw`: little-endian values.
  std::string constant(const std::string& wanted, int type, const std::vector<int64_t>& dims, const void* raw,
                       size_t bytes) {
    const std::string name = free_name(wanted);
    TensorProto& t = *graph_.add_initializer();
    t.set_name(name);
    t.set_data_type(type);
    for (const int64_t d : dims) t.add_dims(d);
    t.set_raw_data(raw, bytes);
    return name;
  }
  std::string floats(const std::string& name, const std::vector<float>& v, bool scalar = false) {
    return constant(name, TensorProto::FLOAT, scalar ? std::vector<int64_t>{} : std::vector<int64_t>{std::ssize(v)},
                    v.data(), v.size() * sizeof(float));
  }
  std::string number(const std::string& name, float v) { return floats(name, {v}, true); }
  /// One value a channel of [N, C, H, W].
  std::string channels(const std::string& name, const std::vector<float>& v) {
    return constant(name, TensorProto::FLOAT, {1, std::ssize(v), 1, 1}, v.data(), v.size() * sizeof(float));
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
    std::string result = real_[static_cast<size_t>(network_.output)];
    const IntegerNode& last = network_.result();
    if (network_.result_shape.rank() < last.shape.rank()) result = add_.node("Flatten", {result}, last.name + "/flat");
    add_.node("Identity", {result}, "output");
    declare(*graph_.add_output(), "output", network_.result_shape);
  }

 private:
  const IntegerNode& before(const IntegerNode& n) const { return network_.nodes[static_cast<size_t>(n.inputs[0])]; }

  std::string value(const IntegerNode& n) {
    if (n.op == "input") return quantized(n, normalized());
    if (!n.is_layer() && n.op != "add") return passed(n);
    const std::string y = n.is_layer() ? layer(n) : add_.node("Add", {operand(n, 0), operand(n, 1)}, n.name + "/sum");
    return n.raw ? cut(n, y) : quantized(n, y);
  }

  /// What a node works on: codes' flattening is of no account to an integer network, but ONNX counts dimensions.
  std::string operand(const IntegerNode& n, size_t input) {
    const auto from = static_cast<size_t>(n.inputs[input]);
    const bool flat = n.shape.rank() == 1 && network_.nodes[from].shape.rank() == 3;
    return flat ? add_.node("Flatten", {real_[from]}, n.name + "/flat") : real_[from];
  }

  /// The network's input as it is read, in its own values.
  std::string normalized() {
    const Normalization& n = network_.normalization;
    if (n.empty()) return "input";
    const std::string centred = add_.node("Sub", {"input", add_.channels("input/mean", n.mean)}, "input/centred");
    return add_.node("Div", {centred, add_.channels("input/std", n.std)}, "input/normalized");
  }

  /// The ReLU of a result without quantizer.
  std::string cut(const IntegerNode& n, const std::string& y) {
    if (n.low < 0) return y;
    if (n.high == std::numeric_limits<int32_t>::max()) return add_.node("Relu", {y}, n.name + "/positive");
    return clipped(n, y);
  }

  static void declare(onnx::ValueInfoProto& info, const std::string& name, const Shape& shape) {
    info.set_name(name);
    auto& type = *info.mutable_type()->mutable_tensor_type();
    type.set_elem_type(TensorProto::FLOAT);
    type.mutable_shape()->add_dim()->set_dim_param("N");
    for (const int64_t d : shape.dims()) type.mutable_shape()->add_dim()->set_dim_value(d);
  }

  std::string zero(const IntegerNode& n) {
    const int8_t value = 0;
    return add_.constant(n.name + "/zero_point", n.is_signed() ? TensorProto::INT8 : TensorProto::UINT8, {}, &value, 1);
  }

  /// y within the range of the codes.
  std::string clipped(const IntegerNode& n, const std::string& y) {
    const std::string low = add_.number(n.name + "/low", static_cast<float>(n.low) * n.step);
    const std::string high = add_.number(n.name + "/high", static_cast<float>(n.high) * n.step);
    return add_.node("Clip", {y, low, high}, n.name + "/clipped");
  }

  /// y in codes and back. Clip where the codes' range is narrower than the type's.
  std::string quantized(const IntegerNode& n, std::string y) {
    const float step = n.step;
    if (n.is_signed() || n.high != 255) y = clipped(n, y);
    const std::string scale = add_.number(n.name + "/scale", step), zero_point = zero(n);
    const std::string codes = add_.node("QuantizeLinear", {y, scale, zero_point}, n.name + "/codes");
    return add_.node("DequantizeLinear", {codes, scale, zero_point}, n.name + "/value");
  }

  /// Pools, ReLUs and flattening hand codes on.
  std::string passed(const IntegerNode& n) {
    const std::string x = operand(n, 0);
    if (n.op == "flatten") return x;
    if (n.op == "relu" && n.high < before(n).high) return clipped(n, x);
    if (n.op == "relu") return add_.node("Relu", {x}, n.name + "/value");
    const kernels::Pool2dSize& p = n.pool;
    if (n.op == "max_pool2d")
      return add_.node("MaxPool", {x}, n.name + "/value", window(p, p.pad_top, p.pad_left, p.h, p.w));
    // The mean of codes is rounded to a code, halves up: in units of codes, so that halves are exact.
    const std::string step = add_.number(n.name + "/scale", n.step);
    const std::string counted = add_.node("Div", {x, step}, n.name + "/quotients"),
                      whole = add_.node("Round", {counted}, n.name + "/counts");
    const std::string mean = average(n, whole);
    const std::string raised = add_.node("Add", {mean, add_.number(n.name + "/half", 0.5F)}, n.name + "/raised");
    return add_.node("Mul", {add_.node("Floor", {raised}, n.name + "/rounded"), step}, n.name + "/value");
  }

  /// Padding as much before the image, and after it (of h rows and w columns) as the last windows reach.
  static Builder::Attributes window(const kernels::Pool2dSize& p, int64_t top, int64_t left, int64_t h, int64_t w) {
    const int64_t bottom = (p.oh - 1) * p.stride_h + p.kh - h - top, right = (p.ow - 1) * p.stride_w + p.kw - w - left;
    return {{"kernel_shape", {p.kh, p.kw}},
            {"strides", {p.stride_h, p.stride_w}},
            {"pads", {top, left, std::max<int64_t>(0, bottom), std::max<int64_t>(0, right)}}};
  }

  /// Padding that counts stands in a node of its own: runtimes differ in what they count beside it.
  std::string average(const IntegerNode& n, std::string x) {
    const kernels::Pool2dSize& p = n.pool;
    if (!p.count_padding)
      return add_.node("AveragePool", {x}, n.name + "/mean", window(p, p.pad_top, p.pad_left, p.h, p.w));
    if (p.pad_top + p.pad_left + p.pad_bottom + p.pad_right > 0) {
      const std::vector<int64_t> pads = {0, 0, p.pad_top, p.pad_left, 0, 0, p.pad_bottom, p.pad_right};
      const std::string constant =
          add_.constant(n.name + "/pads", TensorProto::INT64, {8}, pads.data(), pads.size() * sizeof(int64_t));
      x = add_.node("Pad", {x, constant}, n.name + "/padded");
    }
    return add_.node("AveragePool", {x}, n.name + "/mean",
                     window(p, 0, 0, p.h + p.pad_top + p.pad_bottom, p.w + p.pad_left + p.pad_right));
  }

  std::string layer(const IntegerNode& n) {
    const std::string w = weights(n);
    std::vector<std::string> inputs = {operand(n, 0), w};
    if (!n.bias.empty()) {
      const std::string codes = add_.constant(n.name + "/bias/codes", TensorProto::INT32, {n.channels()}, n.bias.data(),
                                              n.bias.size() * sizeof(int32_t));
      inputs.push_back(add_.node("DequantizeLinear", {codes, add_.floats(n.name + "/bias/scale", n.steps)},
                                 n.name + "/bias", {{"axis", {0}}}));
    }
    if (n.op == "linear") return add_.node("Gemm", inputs, n.name + "/sum", {{"transB", {1}}});
    const kernels::Conv2dSize& s = n.conv;
    const int64_t bottom = (s.oh - 1) * s.stride_h + (s.kh - 1) * s.dilation_h + 1 - s.h - s.pad_top;
    const int64_t right = (s.ow - 1) * s.stride_w + (s.kw - 1) * s.dilation_w + 1 - s.w - s.pad_left;
    return add_.node("Conv", inputs, n.name + "/sum",
                     {{"kernel_shape", {s.kh, s.kw}},
                      {"strides", {s.stride_h, s.stride_w}},
                      {"dilations", {s.dilation_h, s.dilation_w}},
                      {"group", {s.groups}},
                      {"pads", {s.pad_top, s.pad_left, std::max<int64_t>(0, bottom), std::max<int64_t>(0, right)}}});
  }

  /// Codes OHWI to rows of OIHW; a linear layer's columns back to the order of a flattened [C, H, W].
  std::vector<int8_t> onnx_order(const IntegerNode& n) const {
    const Shape& from = before(n).shape;
    const int64_t inner = n.op == "conv2d" ? n.conv.c_in / n.conv.groups : from[0],
                  positions = n.weights_per_channel() / inner;
    std::vector<int8_t> out(n.weights.size());
    for (int64_t o = 0; o < n.channels(); ++o) {
      for (int64_t p = 0; p < positions; ++p) {
        for (int64_t c = 0; c < inner; ++c) {
          out[static_cast<size_t>((o * inner + c) * positions + p)] =
              n.weights[static_cast<size_t>((o * positions + p) * inner + c)];
        }
      }
    }
    return out;
  }

  std::vector<int64_t> dims(const IntegerNode& n, int64_t channels) const {
    if (n.op == "linear") return {channels, n.weights_per_channel()};
    return {channels, n.conv.c_in / n.conv.groups, n.conv.kh, n.conv.kw};
  }

  /// One initializer of INT8; with opset 21, one per run of channels, INT4 where 4 bits suffice.
  std::string weights(const IntegerNode& n) {
    std::vector<ChannelRun> runs = {{.bits = 8, .channels = n.channels()}};
    if (opset_ >= 21) {
      runs.clear();
      for (const ChannelRun& r : channel_runs(n)) {
        const int bits = std::max(4, r.bits);
        if (runs.empty() || runs.back().bits != bits) runs.push_back({.bits = bits, .channels = 0});
        runs.back().channels += r.channels;
      }
    }
    const std::vector<int8_t> codes = onnx_order(n);
    std::vector<float> scales;
    for (const float step : n.steps) scales.push_back(step / before(n).step);
    std::vector<std::string> parts;
    int64_t first = 0;
    for (const ChannelRun& run : runs) {
      const std::string name = runs.size() == 1 ? n.name + "/weight" : format("{}/weight/{}", n.name, parts.size());
      const auto at = codes.begin() + first * n.weights_per_channel();
      parts.push_back(dequantized(name, dims(n, run.channels),
                                  std::vector<int8_t>(at, at + run.channels * n.weights_per_channel()), run.bits,
                                  {scales.begin() + first, scales.begin() + first + run.channels}));
      first += run.channels;
    }
    return parts.size() == 1 ? parts[0] : add_.node("Concat", parts, n.name + "/weight", {{"axis", {0}}});
  }

  std::string dequantized(const std::string& name, const std::vector<int64_t>& shape, std::vector<int8_t> codes,
                          int bits, const std::vector<float>& scales) {
    std::vector<int8_t> zeros(scales.size(), 0);
    if (bits == 4) codes = nibbles(codes), zeros = nibbles(zeros);
    const int type = bits == 4 ? int4_type : static_cast<int>(TensorProto::INT8);
    const std::string stored = add_.constant(name + "/codes", type, shape, codes.data(), codes.size());
    const std::string zero_points =
        add_.constant(name + "/zero_points", type, {std::ssize(scales)}, zeros.data(), zeros.size());
    return add_.node("DequantizeLinear", {stored, add_.floats(name + "/scales", scales), zero_points}, name,
                     {{"axis", {0}}});
  }

  /// Two values a byte, the first in the lower half.
  static std::vector<int8_t> nibbles(const std::vector<int8_t>& values) {
    std::vector<int8_t> out((values.size() + 1) / 2);
    for (size_t i = 0; i < values.size(); ++i)
      out[i / 2] = static_cast<int8_t>(out[i / 2] | (values[i] & 15) << (i % 2 * 4));
    return out;
  }

  const IntegerNetwork& network_;
  int opset_;
  onnx::GraphProto& graph_;
  Builder add_;
  std::vector<std::string> real_;  // name of every node's value
};

}  // namespace

std::string to_onnx(const IntegerNetwork& network, int opset) {
  if (opset < 13 || opset > 21) bad_input("opset: {} is none of 13 to 21 (INT4 weights need 21)", opset);
  onnx::ModelProto model;
  model.set_ir_version(opset >= 21 ? 10 : 7);
  model.set_producer_name("mixgrad");
  model.set_producer_version(MIXGRAD_VERSION);
  onnx::OperatorSetIdProto& set = *model.add_opset_import();
  set.set_domain("");
  set.set_version(opset);
  IntegerNetwork named = network;
  for (IntegerNode& n : named.nodes) n.name = valid_utf8(n.name);  // protobuf's texts are
  Exporter(named, opset, *model.mutable_graph()).run();
  return model.SerializeAsString();
}

}  // namespace mixgrad

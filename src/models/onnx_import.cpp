// SPDX-License-Identifier: Apache-2.0
// Float networks made elsewhere: an ONNX file as a module. Debian's schema (libonnx 1.12) suffices: it lacks only types and
// operators that came with opset 18 and later, which no float network of these operators needs.
#include "../core/memory.h"
#include "../core/names.h"
#include "onnx_file.h"
#include "onnx_import.h"

#include <mixgrad/error.h>
#include <mixgrad/models.h>
#include <mixgrad/tape.h>

#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <map>
#include <set>

namespace mixgrad::models {
namespace {

using onnx_file::Attributes;
using onnx_file::Constant;

constexpr int64_t most_positions = 1 << 16;  // of an input's dimension, and of what a window spans

/// What a name stands for while the file is read: a tensor of the network, as it comes out for an input of zeros.
struct Value {
  size_t at = 0;          ///< among the module's values
  Tensor sample;          ///< [1, C, H, W] or [1, features]
  bool nhwc = false;      ///< ONNX sees [1, H, W, C]: behind a Transpose
  Shape flattened = {};   ///< [C, H, W] behind the flattening of such a value, in the order H, W, C
};

/// The layers of a file, and in what order they run.
class Imported : public nn::Module {
 public:
  using Function = std::function<Tensor(const std::vector<Tensor>&)>;

  size_t add(Function function, std::vector<size_t> inputs) {
    steps_.push_back({std::move(function), std::move(inputs)});
    return steps_.size();
  }
  template <typename M>
  M& adopt(const std::string& name, std::unique_ptr<M> module) {
    M& layer = *module;
    std::string free = name.empty() ? "layer" : name;
    for (int n = 2; !names_.insert(free).second; ++n) free = fmt::format("{}_{}", name, n);
    add_module(free, layer);
    layers_.push_back(std::move(module));
    return layer;
  }
  void set_output(size_t at) { output_ = at; }

  Tensor forward(const Tensor& x) override {
    std::vector<Tensor> values = {x};
    for (const Step& step : steps_) {
      std::vector<Tensor> inputs;
      for (const size_t i : step.inputs) inputs.push_back(values[i]);
      values.push_back(step.function(inputs));
    }
    return values[output_];
  }

 private:
  struct Step {
    Function function;
    std::vector<size_t> inputs;
  };
  std::vector<Step> steps_;
  std::vector<std::unique_ptr<nn::Module>> layers_;
  std::set<std::string> names_;
  size_t output_ = 0;
};

class Importer {
 public:
  explicit Importer(const std::string& path) : file_(path), net_(std::make_unique<Imported>()) {}

  Model run() {
    refuse_unknown();
    net_->eval();
    const NoTape pause;
    const MemoryAllowance allowance(bytes_of_one_image + file_.bytes());
    const Shape input = declare_input();
    for (const onnx_file::Node& node : file_.nodes()) {
      if (!file_.folded(node)) values_[node.outputs.at(0)] = table().at(node.op)(*this, node);
    }
    const Value& result = value(file_.output(), "the graph's output");
    net_->set_output(result.at);
    const bool reconstructs = result.sample.size() == input.size();
    return {.name = file_.path(), .input_shape = input, .reconstructs = reconstructs, .net = std::move(net_), .trained = true,
            .classes = reconstructs ? 0 : result.sample.size()};
  }

 private:
  using Import = Value (*)(Importer&, const onnx_file::Node&);

  /// How each operator is read: one line an operator.
  static const std::map<std::string, Import>& table() {
    static const std::map<std::string, Import> t = {
        {"Add", [](Importer& i, const onnx_file::Node& n) { return i.add(n); }},
        {"AveragePool", [](Importer& i, const onnx_file::Node& n) { return i.pool(n, false); }},
        {"BatchNormalization", [](Importer& i, const onnx_file::Node& n) { return i.batch_norm(n); }},
        {"Clip", [](Importer& i, const onnx_file::Node& n) { return i.clip(n); }},
        {"Conv", [](Importer& i, const onnx_file::Node& n) { return i.conv(n); }},
        {"Dropout", [](Importer& i, const onnx_file::Node& n) { return i.input(n, 0); }},
        {"Flatten", [](Importer& i, const onnx_file::Node& n) { return i.flat(n); }},
        {"Gemm", [](Importer& i, const onnx_file::Node& n) { return i.gemm(n); }},
        {"GlobalAveragePool", [](Importer& i, const onnx_file::Node& n) { return i.global_pool(n, false); }},
        {"Identity", [](Importer& i, const onnx_file::Node& n) { return i.input(n, 0); }},
        {"MatMul", [](Importer& i, const onnx_file::Node& n) { return i.matmul(n); }},
        {"MaxPool", [](Importer& i, const onnx_file::Node& n) { return i.pool(n, true); }},
        {"ReduceMean", [](Importer& i, const onnx_file::Node& n) { return i.reduce_mean(n); }},
        {"Relu", [](Importer& i, const onnx_file::Node& n) { return i.relu_of(n); }},
        {"Reshape", [](Importer& i, const onnx_file::Node& n) { return i.reshape(n); }},
        {"Squeeze", [](Importer& i, const onnx_file::Node& n) { return i.flat(n); }},
        {"Transpose", [](Importer& i, const onnx_file::Node& n) { return i.transpose(n); }},
    };
    return t;
  }

  void refuse_unknown() const {
    std::vector<std::string> unknown;
    for (const onnx_file::Node& n : file_.nodes()) {
      if (!file_.folded(n) && !table().contains(n.op)) unknown.push_back(fmt::format("{} ('{}')", n.op, n.name));
    }
    if (!unknown.empty()) file_.fail(fmt::format("it has operators that can't be searched: {}", fmt::join(unknown, ", ")));
  }

  [[noreturn]] void refuse(const onnx_file::Node& n, const std::string& why) const { file_.fail(fmt::format("{} '{}': {}", n.op, n.name, why)); }

  const Value& value(const std::string& name, const std::string& where) const {
    const auto found = values_.find(name);
    if (found == values_.end()) file_.fail(fmt::format("{} needs '{}', which neither the input nor an earlier node gives", where, name));
    return found->second;
  }
  const Value& input(const onnx_file::Node& n, size_t i) const {
    if (i >= n.inputs.size()) refuse(n, fmt::format("it has {} inputs, too few", n.inputs.size()));
    return value(n.inputs[i], fmt::format("{} '{}'", n.op, n.name));
  }
  const Value& images(const onnx_file::Node& n) const {
    const Value& x = input(n, 0);
    if (x.sample.shape().rank() != 4) refuse(n, fmt::format("it works on {}, expected [N, C, H, W]", x.sample.shape().str()));
    if (x.nhwc && x.sample.size() != x.sample.dim(1)) refuse(n, "it works behind a Transpose that is no artefact of a layout");
    return x;
  }
  /// The constant at input i; none when the node has no such input.
  const Constant* constant(const onnx_file::Node& n, size_t i) const {
    if (i >= n.inputs.size() || n.inputs[i].empty()) return nullptr;
    const Constant* c = file_.constant(n.inputs[i]);
    if (c == nullptr) refuse(n, fmt::format("its input '{}' must be a constant in the file", n.inputs[i]));
    return c;
  }
  const Constant& needed(const onnx_file::Node& n, size_t i) const {
    const Constant* c = constant(n, i);
    if (c == nullptr) refuse(n, fmt::format("it has {} inputs, too few", n.inputs.size()));
    return *c;
  }
  void fill(const onnx_file::Node& n, const Tensor& to, const Constant& from) const {
    if (Shape(from.dims) != to.shape() || from.floats.empty()) {
      refuse(n, fmt::format("'{}' is {} of {}, expected floats {}", from.name, from.type, Shape(from.dims).str(), to.shape().str()));
    }
    std::ranges::copy(Tensor::from(to.shape(), from.floats).data(), to.data().begin());
  }
  /// Floats in `rank` dimensions, at input 1.
  const Constant& weights(const onnx_file::Node& n, size_t rank) const {
    const Constant& c = needed(n, 1);
    if (c.dims.size() != rank) refuse(n, fmt::format("'{}' has {} dimensions, expected {}", c.name, c.dims.size(), rank));
    if (c.floats.empty()) refuse(n, fmt::format("'{}' is {}, expected floats", c.name, c.type));
    return c;
  }

  Value step(const Value& like, Imported::Function function, const std::vector<const Value*>& inputs) {
    std::vector<size_t> at;
    std::vector<Tensor> samples;
    for (const Value* v : inputs) at.push_back(v->at), samples.push_back(v->sample);
    Value out{.at = 0, .sample = function(samples), .nhwc = like.nhwc, .flattened = like.flattened};
    out.at = net_->add(std::move(function), at);
    return out;
  }
  template <typename M>
  Value layer(const onnx_file::Node& n, const Value& x, std::unique_ptr<M> module, const Constant& named) {
    std::string name = valid_utf8(named.name.ends_with(".weight") ? named.name.substr(0, named.name.size() - 7) : n.name);
    std::ranges::replace(name, '/', '.');
    while (name.starts_with('.')) name.erase(0, 1);
    M& m = net_->adopt(name, std::move(module));
    m.eval();
    Value out = step(x, [&m](const std::vector<Tensor>& in) { return m(in[0]); }, {&x});
    out.flattened = {};
    return out;
  }

  Shape declare_input() {
    const std::vector<int64_t> dims = file_.input_dims();
    const bool nhwc = dims.size() == 4 && file_.consumed_by_transpose({0, 3, 1, 2});
    if (dims.size() != 4 && dims.size() != 2) file_.fail(fmt::format("its input has {} dimensions, expected [N, C, H, W] or [N, features]", dims.size()));
    for (size_t i = 1; i < dims.size(); ++i) {
      if (dims[i] < 1 || dims[i] > most_positions) file_.fail(fmt::format("dimension {} of its input is not fixed, or not possible ({})", i, dims[i]));
    }
    if (dims.size() == 2) {  // features come as images of one pixel
      const Value x{.at = 0, .sample = Tensor::zeros({1, dims[1], 1, 1})};
      values_[file_.input()] = step(x, [](const std::vector<Tensor>& in) { return flatten(in[0]); }, {&x});
      return {dims[1], 1, 1};
    }
    const Shape shape = nhwc ? Shape{dims[3], dims[1], dims[2]} : Shape{dims[1], dims[2], dims[3]};
    values_[file_.input()] = {.at = 0, .sample = Tensor::zeros({1, shape[0], shape[1], shape[2]}), .nhwc = nhwc};
    return shape;
  }

  void check_window(const onnx_file::Node& n, std::initializer_list<int64_t> sizes) const {
    for (const int64_t v : sizes) {
      if (v < 1 || v > most_positions) refuse(n, fmt::format("kernel, strides, dilations and group must be from 1 to {}", most_positions));
    }
  }

  /// Padding {top, left, bottom, right} of a window of `reach` rows and columns.
  std::array<int64_t, 4> padding(const onnx_file::Node& n, const Attributes& a, const Shape& x, std::array<int64_t, 2> reach, std::array<int64_t, 2> stride) const {
    const std::string automatic = a.text("auto_pad", "NOTSET");
    if (automatic == "NOTSET") return a.fixed<4>("pads", {0, 0, 0, 0});
    if (automatic == "VALID") return {0, 0, 0, 0};
    if (automatic != "SAME_UPPER" && automatic != "SAME_LOWER") refuse(n, fmt::format("auto_pad {} is unknown", automatic));
    std::array<int64_t, 4> out{};
    for (size_t d = 0; d < 2; ++d) {
      const int64_t size = x[static_cast<int>(d) + 2], outputs = (size + stride[d] - 1) / stride[d];
      const int64_t total = std::max<int64_t>(0, (outputs - 1) * stride[d] + reach[d] - size);
      out[d] = automatic == "SAME_UPPER" ? total / 2 : total - total / 2;
      out[d + 2] = total - out[d];
    }
    return out;
  }

  Value conv(const onnx_file::Node& n) {
    const Value& x = images(n);
    const Constant& w = weights(n, 4);
    const Attributes a(file_, n);
    const auto stride = a.fixed<2>("strides", {1, 1}), dilation = a.fixed<2>("dilations", {1, 1});
    const int64_t groups = a.number("group", 1);
    check_window(n, {w.dims[2], w.dims[3], stride[0], stride[1], dilation[0], dilation[1], groups});
    const auto pads = padding(n, a, x.sample.shape(), {(w.dims[2] - 1) * dilation[0] + 1, (w.dims[3] - 1) * dilation[1] + 1}, stride);
    for (size_t side = 0; side < 4; ++side) {
      if (pads[side] < 0 || pads[side] >= (w.dims[2 + side % 2] - 1) * dilation[side % 2] + 1) refuse(n, "its padding must be smaller than its window");
    }
    auto module = std::make_unique<nn::Conv2d>(Shape(w.dims), Conv2dAttrs{.stride = stride, .padding = pads, .dilation = dilation, .groups = groups},
                                               n.inputs.size() > 2 && !n.inputs[2].empty());
    fill(n, module->weight, w);
    if (const Constant* b = constant(n, 2)) fill(n, module->bias, *b);
    return layer(n, x, std::move(module), w);
  }

  /// w [O, I] with a bias [O] or none.
  Value linear_layer(const onnx_file::Node& n, const Value& x, const Constant& named, std::vector<float> w, int64_t in, int64_t out, const Constant* bias) {
    if (x.sample.shape().rank() != 2 || x.sample.dim(1) != in) refuse(n, fmt::format("it works on {}, expected [N, {}]", x.sample.shape().str(), in));
    if (x.flattened.rank() == 3) w = columns_from_nhwc(w, x.flattened);
    auto module = std::make_unique<nn::Linear>(nn::LinearOptions{.in_features = in, .out_features = out, .bias = bias != nullptr});
    std::ranges::copy(w, module->weight.data().begin());
    if (bias != nullptr) fill(n, module->bias, *bias);
    return layer(n, x, std::move(module), named);
  }

  static std::vector<float> columns_from_nhwc(const std::vector<float>& w, const Shape& image) {
    const int64_t channels = image[0], positions = image.size() / channels, in = image.size();
    std::vector<float> out(w.size());
    for (int64_t k = 0; k < std::ssize(w); ++k) {
      const int64_t column = k % in, c = column % channels, p = column / channels;
      out[static_cast<size_t>(k - column + c * positions + p)] = w[static_cast<size_t>(k)];
    }
    return out;
  }

  /// A constant [I, O] as rows [O, I] (`transposed`: it is that already).
  static std::vector<float> rows(const Constant& w, bool transposed) {
    if (transposed) return w.floats;
    const auto in = static_cast<size_t>(w.dims[0]), out = static_cast<size_t>(w.dims[1]);
    std::vector<float> r(w.floats.size());
    for (size_t i = 0; i < in; ++i) {
      for (size_t o = 0; o < out; ++o) r[o * in + i] = w.floats[i * out + o];
    }
    return r;
  }

  Value gemm(const onnx_file::Node& n) {
    const Attributes a(file_, n);
    if (a.number("transA", 0) != 0 || a.real("alpha", 1) != 1 || a.real("beta", 1) != 1) refuse(n, "transA, alpha and beta must have their defaults");
    const bool transposed = a.number("transB", 0) != 0;
    const Constant& w = weights(n, 2);
    return linear_layer(n, input(n, 0), w, rows(w, transposed), w.dims[transposed ? 1 : 0], w.dims[transposed ? 0 : 1], constant(n, 2));
  }

  /// The bias of an Add behind it belongs to it.
  Value matmul(const onnx_file::Node& n) {
    const Constant& w = weights(n, 2);
    const onnx_file::Node* add = file_.only_consumer(n.outputs.at(0));
    const Constant* bias = nullptr;
    if (add != nullptr && add->op == "Add") {
      for (const std::string& name : add->inputs) bias = file_.constant(name) != nullptr ? file_.constant(name) : bias;
    }
    if (bias != nullptr) biased_.insert(add->outputs.at(0));
    return linear_layer(n, input(n, 0), w, rows(w, false), w.dims[0], w.dims[1], bias);
  }

  Value add(const onnx_file::Node& n) {
    if (biased_.contains(n.outputs.at(0))) return input(n, file_.constant(n.inputs.at(0)) != nullptr ? 1 : 0);
    const Value &a = input(n, 0), &b = input(n, 1);
    if (a.sample.shape() != b.sample.shape() || a.nhwc != b.nhwc) refuse(n, fmt::format("it adds {} and {}: shapes must be equal", a.sample.shape().str(), b.sample.shape().str()));
    return step(a, [](const std::vector<Tensor>& in) { return mixgrad::add(in[0], in[1]); }, {&a, &b});
  }

  Value batch_norm(const onnx_file::Node& n) {
    const Value& x = input(n, 0);
    if (x.nhwc) refuse(n, "it works behind a Transpose that is no artefact of a layout");
    auto module = std::make_unique<nn::BatchNorm2d>(x.sample.dim(1), nn::BatchNormOptions{.eps = static_cast<float>(Attributes(file_, n).real("epsilon", 1e-5))});
    const Tensor parameters[] = {module->gamma, module->beta, module->running_mean, module->running_var};
    for (size_t i = 0; i < 4; ++i) fill(n, parameters[i], needed(n, i + 1));
    return layer(n, x, std::move(module), needed(n, 1));
  }

  Value relu_of(const onnx_file::Node& n) {
    const Value& x = input(n, 0);
    return step(x, [](const std::vector<Tensor>& in) { return relu(in[0]); }, {&x});
  }

  Value clip(const onnx_file::Node& n) {
    const Value& x = input(n, 0);
    const Attributes a(file_, n);
    const auto bound = [&](size_t i, const char* name, double otherwise) {
      const Constant* c = constant(n, i);
      return c == nullptr || c->floats.empty() ? a.real(name, otherwise) : static_cast<double>(c->floats[0]);
    };
    constexpr double endless = 3e38;
    const double low = bound(1, "min", -endless), high = bound(2, "max", endless);
    if (low != 0 || (high != 6 && high < endless)) refuse(n, fmt::format("bounds {} and {}: expected 0 and 6", low, high));
    if (high >= endless) return step(x, [](const std::vector<Tensor>& in) { return relu(in[0]); }, {&x});
    return step(x, [](const std::vector<Tensor>& in) { return relu6(in[0]); }, {&x});
  }

  Value pool(const onnx_file::Node& n, bool largest) {
    const Value& x = images(n);
    const Attributes a(file_, n);
    const auto kernel = a.fixed<2>("kernel_shape", {0, 0}), stride = a.fixed<2>("strides", {1, 1}), dilation = a.fixed<2>("dilations", {1, 1});
    check_window(n, {kernel[0], kernel[1], stride[0], stride[1]});
    const auto pads = padding(n, a, x.sample.shape(), kernel, stride);
    if (pads[0] != pads[2] || pads[1] != pads[3] || pads[0] < 0 || pads[1] < 0) refuse(n, "its padding differs between the sides");
    if (dilation != std::array<int64_t, 2>{1, 1} || a.number("ceil_mode", 0) != 0) refuse(n, "dilations and ceil_mode must have their defaults");
    const bool padded = pads[0] + pads[1] > 0;
    if (!largest && padded && a.number("count_include_pad", 0) == 0) refuse(n, "padding must count (count_include_pad)");
    const Pool2dAttrs attrs{.kernel = kernel, .stride = stride, .padding = {pads[0], pads[1]}};
    return step(x, [attrs, largest](const std::vector<Tensor>& in) { return largest ? max_pool2d(in[0], attrs) : avg_pool2d(in[0], attrs); }, {&x});
  }

  Value global_pool(const onnx_file::Node& n, bool flat_after) {
    const Value& x = input(n, 0);
    if (x.sample.shape().rank() != 4) refuse(n, fmt::format("it works on {}, expected [N, C, H, W]", x.sample.shape().str()));
    Value out = step(x, [flat_after](const std::vector<Tensor>& in) { return flat_after ? flatten(global_avg_pool2d(in[0])) : global_avg_pool2d(in[0]); }, {&x});
    return out;
  }

  /// Over all positions it is global average pooling.
  Value reduce_mean(const onnx_file::Node& n) {
    const Value& x = input(n, 0);
    const Attributes a(file_, n);
    std::vector<int64_t> axes = a.list("axes");
    if (const Constant* c = constant(n, 1)) axes = c->integers;
    for (int64_t& axis : axes) axis += axis < 0 ? 4 : 0;
    std::ranges::sort(axes);
    if (axes != (x.nhwc ? std::vector<int64_t>{1, 2} : std::vector<int64_t>{2, 3})) refuse(n, "it must average all positions of images");
    return global_pool(n, a.number("keepdims", 1) == 0);
  }

  /// To [N, features], in whatever operator's words; what is flat stays.
  Value flat(const onnx_file::Node& n) {
    const Value& x = input(n, 0);
    if (n.op == "Flatten" && Attributes(file_, n).number("axis", 1) != 1) refuse(n, "axis must be 1");
    if (n.op == "Squeeze" && x.sample.size() != x.sample.dim(1)) refuse(n, fmt::format("it works on {}, expected images of one pixel", x.sample.shape().str()));
    return flattened(x);
  }
  Value flattened(const Value& x) {
    if (x.sample.shape().rank() == 2) return x;
    Value out = step(x, [](const std::vector<Tensor>& in) { return flatten(in[0]); }, {&x});
    const Shape& s = x.sample.shape();
    if (x.nhwc) out.flattened = {s[1], s[2], s[3]};
    out.nhwc = false;
    return out;
  }

  Value reshape(const onnx_file::Node& n) {
    const Value& x = input(n, 0);
    const Constant& shape = needed(n, 1);
    const int64_t features = x.sample.size();
    const std::vector<int64_t>& to = shape.integers;
    const auto fits = [](int64_t asked, int64_t is) { return asked == is || asked == -1; };
    if (to.size() == 2 && (fits(to[0], 1) || to[0] == 0) && fits(to[1], features)) return flattened(x);
    if (to.size() == 4 && x.sample.shape().rank() == 4 && fits(to[1], x.sample.dim(1)) && fits(to[2], x.sample.dim(2)) && fits(to[3], x.sample.dim(3))) return x;
    refuse(n, fmt::format("it makes [{}] of {}: expected [N, {}]", fmt::join(to, ", "), x.sample.shape().str(), features));
  }

  Value transpose(const onnx_file::Node& n) {
    Value x = input(n, 0);
    const std::vector<int64_t> order = Attributes(file_, n).list("perm");
    const bool to_nchw = x.nhwc && order == std::vector<int64_t>{0, 3, 1, 2}, to_nhwc = !x.nhwc && order == std::vector<int64_t>{0, 2, 3, 1};
    if (x.sample.shape().rank() != 4 || (!to_nchw && !to_nhwc)) refuse(n, fmt::format("order [{}] is no artefact of a layout", fmt::join(order, ", ")));
    x.nhwc = to_nhwc;
    return x;
  }

  onnx_file::File file_;
  std::unique_ptr<Imported> net_;
  std::map<std::string, Value> values_;
  std::set<std::string> biased_;  // outputs of Adds whose constant went to a MatMul
};

}  // namespace

Model from_onnx(const std::string& path) {
  try {
    return Importer(path).run();
  } catch (const Error& e) {
    if (std::string(e.what()).starts_with(path)) throw;
    bad_input("{}: {}", path, e.what());  // shapes that an op refused
  } catch (const std::out_of_range&) {
    bad_input("{}: a node has no inputs or no output", path);
  }
}

}  // namespace mixgrad::models

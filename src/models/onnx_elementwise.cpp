// SPDX-License-Identifier: Apache-2.0
// Elementwise operators: arithmetic, batch normalization, activations.
#include "onnx_operators.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <limits>

namespace mixgrad::models {

using onnx_file::Attributes;
using onnx_file::Constant;
using onnx_file::Node;

namespace {

/// y = scale x + shift per channel: a batch norm whose mean 0 and variance 1 stay fixed in training too.
class FixedNorm : public nn::Module {
 public:
  explicit FixedNorm(int64_t channels)
      : gamma(Tensor::zeros({channels})),
        beta(Tensor::zeros({channels})),
        mean_(Tensor::zeros({channels})),
        variance_(Tensor::full({channels}, 1)) {
    add_parameter("weight", gamma);
    add_parameter("bias", beta);
    add_buffer("running_mean", mean_);
    add_buffer("running_var", variance_);
  }
  Tensor forward(const Tensor& x) override {
    return batch_norm(x, gamma, beta, mean_, variance_, {.eps = 0, .training = false});
  }
  Tensor gamma, beta;

 private:
  Tensor mean_, variance_;
};

void fill(const Tensor& to, const std::vector<float>& values) { std::ranges::copy(values, to.data().begin()); }

std::vector<float> as_floats(const std::vector<double>& v) { return {v.begin(), v.end()}; }

/// scale x + shift; part of the input's normalization if the node continues that.
Value scaled(Context& c, const Node& n, const Value& x, const ScaleShift& by) {
  if (x.at == 0 && c.at_head(n)) {
    if (!c.normalization) c.normalization = ScaleShift(by.scale.size());
    c.normalization->then(by);
    return x;
  }
  if (by.is_identity()) return x;
  auto module = std::make_unique<FixedNorm>(x.layout.extents[0]);
  const Tensor gamma = module->gamma, beta = module->beta;
  Value y = c.layer(n, x, std::move(module), "", x.layout);
  y.order = x.order;
  c.later([&c, gamma, beta, by, image = x.layout.is_image(), order = x.order] {
    fill(gamma, image ? as_floats(by.scale) : c.orders.arranged(order, as_floats(by.scale)));
    fill(beta, image ? as_floats(by.shift) : c.orders.arranged(order, as_floats(by.shift)));
  });
  return y;
}

Value with_constant(Context& c, const Node& n, bool constant_first) {
  const Constant& k = c.needed(n, constant_first ? 0 : 1);
  Value x = c.input(n, constant_first ? 1 : 0);
  const std::vector<float> along = along_channels(c, n, k, x);
  ScaleShift by(along.size());
  if (!by.then(n.op, along, constant_first)) c.refuse(n, "dividing a constant by a tensor is not supported");
  if (!by.is_finite()) c.refuse(n, fmt::format("merging '{}' gives values that are not finite", k.name));
  return scaled(c, n, x, by);
}

using Combine = Tensor (*)(const Tensor&, const Tensor&);

/// add or mul of two tensors of one shape. `verb`: what the node does, for messages.
Value combined(Context& c, const Node& n, const std::string& verb, Combine combine, Value a, Value b) {
  if (a.layout.extents != b.layout.extents || a.layout.axes != b.layout.axes) {
    if (!a.layout.only_axis() || !b.layout.only_axis()) {
      c.refuse(n, fmt::format("it {} images with different orders of axes", verb));
    }
    a = c.flat(a);
    b = c.flat(b);
  }
  if (!a.layout.is_image() && !c.orders.unite(a.order, b.order)) {
    c.refuse(n, fmt::format("it {} images that were flattened in different orders of channels and positions", verb));
  }
  Value y = c.step([combine](const std::vector<Tensor>& in) { return combine(in[0], in[1]); }, {&a, &b});
  y.nonnegative = a.nonnegative && b.nonnegative;
  return y;
}

Value sum(Context& c, const Node& n, const Value& a, const Value& b) {
  const std::vector<int64_t> da = a.layout.dims(), db = b.layout.dims();
  if (da != db) {
    c.refuse(
        n, fmt::format("it adds [N, {}] and [N, {}]: shapes must be equal", fmt::join(da, ", "), fmt::join(db, ", ")));
  }
  return combined(c, n, "adds", add, a, b);
}

/// Whether the file multiplies every channel of an image by its value of `factor`.
bool scales_channels(const Layout& image, const Layout& factor) {
  if (!image.is_image() || factor.axes.size() != image.axes.size()) return false;
  if (factor.extents[0] != image.extents[0] || factor.size() != image.extents[0]) return false;
  for (size_t i = 0; i < image.axes.size(); ++i) {
    if (!factor.axes[i].empty() && factor.axes[i] != image.axes[i]) return false;
  }
  return true;
}

Value product(Context& c, const Node& n, const Value& a, const Value& b) {
  const std::vector<int64_t> da = a.layout.dims(), db = b.layout.dims();
  if (da == db) return combined(c, n, "multiplies", mul, a, b);
  const bool first = a.layout.size() > b.layout.size();
  const Value &image = first ? a : b, &factor = first ? b : a;
  if (!scales_channels(image.layout, factor.layout)) {
    c.refuse(n, fmt::format("it multiplies [N, {}] and [N, {}]: expected equal shapes, or one factor per channel",
                            fmt::join(da, ", "), fmt::join(db, ", ")));
  }
  if (!factor.layout.is_image() && !c.orders.settle_as_in_file(factor.order, factor.layout.size())) {
    c.refuse(n, "its factors are in another order than the channels");
  }
  Value y = c.step([](const std::vector<Tensor>& in) { return mul(in[0], in[1]); }, {&image, &factor});
  y.nonnegative = a.nonnegative && b.nonnegative;
  return y;
}

/// Whether the file's first axis after N is our channels or features.
bool channels_first(const Layout& l) {
  return !l.axes.empty() && l.axes[0] == (l.extents[0] > 1 ? std::vector<int>{0} : std::vector<int>{});
}

Value rectified(Context& c, Value x, bool to_six) {
  if (const auto found = c.rectified.find(x.at); to_six && found != c.rectified.end()) {  // min(max(max(x, 0), 0), 6)
    x.at = found->second.at;
    x.sample = found->second.sample;
  }
  Value y = c.step([to_six](const std::vector<Tensor>& in) { return to_six ? relu6(in[0]) : relu(in[0]); }, {&x});
  y.nonnegative = true;
  if (!to_six) c.rectified[y.at] = x;
  return y;
}

constexpr double endless = 3e38;

/// The bounds of Clip, or of Max or Min with a constant; ±`endless` if unbounded.
std::pair<double, double> bounds(const Context& c, const Node& n) {
  if (n.function) return {static_cast<double>(n.function->a), static_cast<double>(n.function->b)};
  const Attributes a(c.file, n);
  const auto bound = [&](size_t i, const char* name, double otherwise) {
    const Constant* k = c.constant(n, i);
    if (k != nullptr && k->size() != 1) {
      c.refuse(n, fmt::format("'{}' has {} values, expected one", k->name, k->size()));
    }
    return k == nullptr || k->floats.empty() ? a.real(name, otherwise) : static_cast<double>(k->floats[0]);
  };
  if (n.op == "Max") return {bound(1, "", -endless), endless};
  if (n.op == "Min") return {-endless, bound(1, "", endless)};
  return {bound(1, "min", -endless), bound(2, "max", endless)};
}

}  // namespace

std::vector<float> along_channels(Context& c, const Node& n, const Constant& k, Value& x) {
  c.weights(n, k);
  auto along = x.layout.along_channels(k);
  if (!along && x.layout.only_axis()) {
    x = c.flat(x);
    along = x.layout.along_channels(k);
  }
  if (!along) {
    c.refuse(n,
             fmt::format(
                 "'{}' [{}] is combined with [N, {}]: only constants with one value, or one per channel, are supported",
                 k.name, fmt::join(k.dims, ", "), fmt::join(x.layout.dims(), ", ")));
  }
  return *along;
}

Value import_arithmetic(Context& c, const Node& n) {
  const auto is_constant = [&](size_t i) { return i < n.inputs.size() && c.file.constant(n.inputs[i]) != nullptr; };
  if (c.absorbed.contains(&n)) return c.input(n, is_constant(0) ? 1 : 0);
  if (n.inputs.size() == 2 && (is_constant(0) || is_constant(1))) return with_constant(c, n, is_constant(0));
  if (n.op == "Div" || n.op == "Sub") c.refuse(n, "one of its two inputs must be a constant");
  if (n.op != "Sum" && n.inputs.size() != 2) c.refuse(n, fmt::format("{} inputs, expected 2", n.inputs.size()));
  if (n.op == "Mul") return product(c, n, c.input(n, 0), c.input(n, 1));
  Value y = c.input(n, 0);
  for (size_t i = 1; i < n.inputs.size(); ++i) y = sum(c, n, y, c.input(n, i));
  return y;
}

Value import_batch_norm(Context& c, const Node& n) {
  const Attributes a(c.file, n);
  if (a.number("spatial", 1) == 0) c.refuse(n, "its mean and variance must be per channel: expected spatial 1");
  const bool has_more =
      std::ranges::any_of(n.outputs.begin() + 1, n.outputs.end(), [](const auto& o) { return !o.empty(); });
  if (a.number("training_mode", 0) != 0 || has_more) {
    const std::string note = "batch norms in training form use the mean and variance in the file, as in evaluation";
    if (std::ranges::find(c.notes, note) == c.notes.end()) c.notes.push_back(note);
  }
  Value x = c.input(n, 0);
  if (!channels_first(x.layout) && x.layout.only_axis() == size_t{0}) x = c.flat(x);
  if (!channels_first(x.layout)) {
    c.refuse(n,
             fmt::format("the second axis of its input [N, {}] is not the channels", fmt::join(x.layout.dims(), ", ")));
  }
  const int64_t channels = x.layout.extents[0];
  const auto eps = static_cast<float>(a.real("epsilon", 1e-5));
  std::array<std::vector<float>, 4> values;  // gamma, beta, mean, variance
  for (size_t i = 0; i < 4; ++i) values[i] = c.weights(n, c.needed(n, i + 1), channels);
  const float least = *std::ranges::min_element(values[3]);
  if (!(least + eps > 0)) {
    c.refuse(n, fmt::format("variance {} plus epsilon {} is not positive", least, eps));
  }
  if (x.at == 0 && c.at_head(n)) {
    ScaleShift by(static_cast<size_t>(channels));
    for (size_t k = 0; k < by.scale.size(); ++k) {
      by.scale[k] = values[0][k] / std::sqrt(static_cast<double>(values[3][k]) + static_cast<double>(eps));
      by.shift[k] = values[1][k] - values[2][k] * by.scale[k];
    }
    return scaled(c, n, x, by);
  }
  auto module = std::make_unique<nn::BatchNorm2d>(channels, nn::BatchNormOptions{.eps = eps});
  const std::array<Tensor, 4> to = {module->gamma, module->beta, module->running_mean, module->running_var};
  Value y = c.layer(n, x, std::move(module), n.inputs[1], x.layout);
  y.order = x.order;
  c.later([&c, to, values, image = x.layout.is_image(), order = x.order] {
    for (size_t i = 0; i < 4; ++i) fill(to[i], image ? values[i] : c.orders.arranged(order, values[i]));
  });
  return y;
}

Value import_relu(Context& c, const Node& n) { return rectified(c, c.input(n, 0), false); }

Value import_clip(Context& c, const Node& n) {
  const Value& x = c.input(n, 0);
  auto [low, high] = bounds(c, n);
  if (x.nonnegative) low = std::max(low, 0.0);
  if (low <= -endless && high >= endless) return x;
  if (low == 0 && (high == 6 || high >= endless)) return rectified(c, x, high < endless);
  if (!(low < high)) c.refuse(n, fmt::format("its bounds are {} and {}: expected ascending ones", low, high));
  constexpr auto most = static_cast<double>(std::numeric_limits<float>::max());
  return applied(c,
                 {.kind = FunctionKind::clip,
                  .a = static_cast<float>(std::max(low, -most)),
                  .b = static_cast<float>(std::min(high, most))},
                 x);
}

bool ends_network(const onnx_file::File& file, const Node& n) {
  static const std::set<std::string> shapes = {"Cast",    "Dropout", "Flatten",   "Identity",
                                               "Reshape", "Squeeze", "Transpose", "Unsqueeze"};
  std::string name = n.outputs[0];
  while (!file.is_output(name)) {
    const Node* next = file.only_consumer(name);
    if (next == nullptr || !shapes.contains(next->op)) return false;
    name = next->outputs[0];
  }
  return true;
}

Value import_ending(Context& c, const Node& n) {
  const Value& x = c.input(n, 0);
  const Layout& l = x.layout;
  if (!ends_network(c.file, n)) c.refuse(n, "only supported at the network's end, where it is removed");
  if (n.op != "Sigmoid") {  // up to opset 12, over this axis and all after it
    const bool one_axis = c.file.opset() >= 13;
    const size_t first = c.axis(n, Attributes(c.file, n).number("axis", one_axis ? -1 : 1), l.axes.size() + 1);
    std::vector<int> over;
    for (size_t i = first; i > 0 && i <= l.axes.size() && (i == first || !one_axis); ++i) {
      over.insert(over.end(), l.axes[i - 1].begin(), l.axes[i - 1].end());
    }
    const bool of_classes = over == std::vector<int>{0} || (l.only_axis() && over == l.order());
    if (first == 0 || !of_classes) {
      c.refuse(n, fmt::format("axis {} of [N, {}] is not the classes", first, fmt::join(l.dims(), ", ")));
    }
  }
  const std::string removed = fmt::format("{} '{}'", n.op, n.name);
  c.left_out += (c.left_out.empty() ? "" : ", ") + removed;
  c.notes.push_back(fmt::format("its final {} is removed: the network returns that operator's input", removed));
  return x;
}

}  // namespace mixgrad::models

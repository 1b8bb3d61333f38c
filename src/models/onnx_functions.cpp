// SPDX-License-Identifier: Apache-2.0
// Elementwise functions: ONNX's own operators, and expressions that compute one of them.
#include "onnx_operators.h"

#include <kernels/function.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <set>

namespace mixgrad::models {

using onnx_file::Attributes;
using onnx_file::Constant;
using onnx_file::File;
using onnx_file::Node;

namespace {

constexpr float unbounded = std::numeric_limits<float>::max();

/// ONNX's name of a function.
const char* onnx_name(FunctionKind kind) {
  switch (kind) {
    case FunctionKind::sigmoid:
      return "Sigmoid";
    case FunctionKind::hard_sigmoid:
      return "HardSigmoid";
    case FunctionKind::hard_swish:
      return "HardSwish";
    case FunctionKind::silu:
      return "Swish";
    case FunctionKind::tanh:
      return "Tanh";
    case FunctionKind::leaky_relu:
      return "LeakyRelu";
    case FunctionKind::elu:
      return "Elu";
    case FunctionKind::clip:
      return "Clip";
    case FunctionKind::gelu:
    case FunctionKind::gelu_tanh:
      return "Gelu";
    case FunctionKind::softplus:
      return "Softplus";
    case FunctionKind::mish:
      return "Mish";
  }
  return "";
}

FunctionAttrs attributes(const File& file, const Node& n) {
  const Attributes a(file, n);
  const auto real = [&](const char* name, double otherwise) { return static_cast<float>(a.real(name, otherwise)); };
  if (n.op == "HardSigmoid")
    return {.kind = FunctionKind::hard_sigmoid, .a = real("alpha", 0.2), .b = real("beta", 0.5)};
  if (n.op == "HardSwish") return {.kind = FunctionKind::hard_swish, .a = 1.0F / 6, .b = 0.5F};
  if (n.op == "Swish") return {.kind = FunctionKind::silu, .a = real("alpha", 1)};
  if (n.op == "Tanh") return {.kind = FunctionKind::tanh};
  if (n.op == "LeakyRelu") return {.kind = FunctionKind::leaky_relu, .a = real("alpha", 0.01)};
  if (n.op == "Elu") return {.kind = FunctionKind::elu, .a = real("alpha", 1)};
  if (n.op == "Softplus") return {.kind = FunctionKind::softplus};
  if (n.op == "Mish") return {.kind = FunctionKind::mish};
  if (n.op == "Gelu")
    return {.kind = a.text("approximate", "none") == "tanh" ? FunctionKind::gelu_tanh : FunctionKind::gelu};
  return {.kind = FunctionKind::sigmoid};
}

/// A node's inputs as numbers, NaN where it has none.
struct Arguments {
  const File& file;
  const Node& node;
  std::vector<double> values;

  double operator[](size_t i) const { return i < values.size() ? values[i] : std::nan(""); }
  double attribute(const char* name, double otherwise) const { return Attributes(file, node).real(name, otherwise); }
  /// A bound of Clip: an input, or in older opsets an attribute.
  double bound(size_t i, const char* name, double otherwise) const {
    return std::isnan((*this)[i]) ? attribute(name, otherwise) : values[i];
  }
  double function() const { return kernels::function(attributes(file, node), values[0]); }
};

using Compute = double (*)(const Arguments&);

/// How expressions are made of elementwise operators; null for others.
Compute computation(const std::string& op) {
  using A = const Arguments&;
  static const Compute own_function = [](A a) { return a.function(); };
  static const std::map<std::string, Compute> table = {
      {"Abs", [](A a) { return std::abs(a[0]); }},
      {"Add", [](A a) { return a[0] + a[1]; }},
      {"Clip", [](A a) { return std::min(std::max(a[0], a.bound(1, "min", -INFINITY)), a.bound(2, "max", INFINITY)); }},
      {"Div", [](A a) { return a[0] / a[1]; }},
      {"Elu", own_function},
      {"Erf", [](A a) { return std::erf(a[0]); }},
      {"Exp", [](A a) { return std::exp(a[0]); }},
      {"HardSigmoid", own_function},
      {"HardSwish", own_function},
      {"LeakyRelu", own_function},
      {"Log", [](A a) { return std::log(a[0]); }},
      {"Max", [](A a) { return *std::ranges::max_element(a.values); }},
      {"Min", [](A a) { return *std::ranges::min_element(a.values); }},
      {"Mul", [](A a) { return a[0] * a[1]; }},
      {"Neg", [](A a) { return -a[0]; }},
      {"Pow", [](A a) { return std::pow(a[0], a[1]); }},
      {"Reciprocal", [](A a) { return 1 / a[0]; }},
      {"Relu", [](A a) { return std::max(a[0], 0.0); }},
      {"Sigmoid", own_function},
      {"Softplus", own_function},
      {"Sqrt", [](A a) { return std::sqrt(a[0]); }},
      {"Sub", [](A a) { return a[0] - a[1]; }},
      {"Sum", [](A a) { return std::accumulate(a.values.begin(), a.values.end(), 0.0); }},
      {"Tanh", own_function},
  };
  const auto found = table.find(op);
  return found == table.end() ? nullptr : found->second;
}

/// What the nodes from one tensor to another compute of each value.
class Expression {
 public:
  Expression(const File& file, std::vector<const Node*> backwards, std::string from)
      : file_(file), nodes_(backwards.rbegin(), backwards.rend()), from_(std::move(from)) {}

  const std::string& from() const { return from_; }
  size_t size() const { return nodes_.size(); }

  double operator()(double x) const {
    std::map<std::string, double> values = {{from_, x}};
    for (const Node* n : nodes_) {
      Arguments a{.file = file_, .node = *n, .values = {}};
      for (const std::string& name : n->inputs) a.values.push_back(value(values, name));
      values[n->outputs[0]] = computation(n->op)(a);
    }
    return values.at(nodes_.back()->outputs[0]);
  }

 private:
  double value(const std::map<std::string, double>& values, const std::string& name) const {
    if (name.empty()) return std::nan("");
    if (const auto found = values.find(name); found != values.end()) return found->second;
    const Constant& c = *file_.constant(name);
    return c.floats.empty() ? static_cast<double>(c.integers[0]) : static_cast<double>(c.floats[0]);
  }

  const File& file_;
  std::vector<const Node*> nodes_;
  std::string from_;
};

/// The expressions that end at a node, in one tensor and numbers each, the shortest first.
std::vector<Expression> expressions(const File& file, const std::map<std::string, size_t>& position, const Node& root) {
  constexpr size_t most_nodes = 24;
  std::vector<Expression> out;
  std::vector<const Node*> nodes;
  std::map<int64_t, std::string> open;  // tensors that the nodes read, by the position of their producer
  const auto take = [&](const Node& n) {
    nodes.push_back(&n);
    for (const std::string& name : n.inputs) {
      const Constant* c = file.constant(name);
      if (c != nullptr && (c->size() != 1 || c->dims.size() > 1)) return false;
      if (c != nullptr || name.empty()) continue;
      const auto made = position.find(name);
      if (made != position.end() && made->second >= position.at(n.outputs[0])) return false;  // a malformed file
      const int64_t at = made == position.end() ? -1 : static_cast<int64_t>(made->second);
      if (const auto [other, is_new] = open.try_emplace(at, name); !is_new && other->second != name) return false;
    }
    return n.outputs.size() == 1 && !n.inputs.empty();
  };
  for (const Node* next = &root; nodes.size() < most_nodes && computation(next->op) != nullptr && take(*next);) {
    if (open.empty()) break;
    if (open.size() == 1) out.emplace_back(file, nodes, open.begin()->second);
    const auto last = std::prev(open.end());
    if (last->first < 0) break;
    next = &file.nodes()[static_cast<size_t>(last->first)];
    open.erase(last);
  }
  return out;
}

/// Whether two functions of a number are the same, up to the rounding of constants to float32.
bool agree(const Expression& f, const FunctionAttrs& g) {
  std::vector<double> points = {-1000, -40, -20, 20, 40, 1000};
  for (int i = -64; i <= 64; ++i) points.push_back(i / 8.0 + 1.0 / 64);
  for (int i = 1; i <= 16; ++i) points.insert(points.end(), {std::ldexp(1, -i), std::ldexp(-1, -i)});
  return std::ranges::all_of(points, [&](double x) {
    const double got = f(x), expected = kernels::function(g, x);
    const bool overflows = std::abs(x) >= 1000 && !std::isfinite(got);
    return overflows || std::abs(got - expected) <= 1e-5 * std::max(1.0, std::abs(expected));
  });
}

/// The functions that an expression could be, with parameters that fit some of its values.
std::vector<FunctionAttrs> guesses(const Expression& f) {
  constexpr double step = 0x1p-10, far = 40;
  const auto number = [](double v) { return static_cast<float>(v); };
  const double at_0 = f(0), above = f(step) / step, below = f(-step) / -step, at_1 = f(1);
  const float low = number(f(-far)), high = number(f(far));
  std::vector<FunctionAttrs> out;
  for (const FunctionKind kind : {FunctionKind::sigmoid, FunctionKind::tanh, FunctionKind::gelu,
                                  FunctionKind::gelu_tanh, FunctionKind::softplus, FunctionKind::mish})
    out.push_back({.kind = kind});
  out.push_back({.kind = FunctionKind::silu, .a = number(std::log(at_1 / (1 - at_1)))});
  out.push_back({.kind = FunctionKind::hard_sigmoid, .a = number((f(step) - at_0) / step), .b = number(at_0)});
  out.push_back(
      {.kind = FunctionKind::hard_swish, .a = number((above - below) / (2 * step)), .b = number((above + below) / 2)});
  out.push_back({.kind = FunctionKind::leaky_relu, .a = number(-f(-1))});
  out.push_back({.kind = FunctionKind::elu, .a = -low});
  out.push_back({.kind = FunctionKind::clip,
                 .a = low == number(-far) ? -unbounded : low,
                 .b = high == number(far) ? unbounded : high});
  return out;
}

/// Whether it is linear, constant, or a ReLU or ReLU6, which import_relu and import_clip know better.
bool is_simple(const FunctionAttrs& f) {
  switch (f.kind) {
    case FunctionKind::leaky_relu:
      return f.a == 0 || f.a == 1;
    case FunctionKind::elu:
    case FunctionKind::silu:
      return f.a == 0;
    case FunctionKind::hard_sigmoid:
    case FunctionKind::hard_swish:
      return f.a == 0 || f.b <= 0 || f.b >= 1;  // a range of the input, scaled
    case FunctionKind::clip:
      return f.a >= f.b || (f.a == 0 && (f.b == 6 || f.b == unbounded)) || (f.a == -unbounded && f.b == unbounded);
    default:
      return false;
  }
}

std::optional<FunctionAttrs> function_of(const Expression& f) {
  for (const FunctionAttrs& g : guesses(f)) {
    if (std::isfinite(g.a) && std::isfinite(g.b) && !is_simple(g) && agree(f, g)) return g;
  }
  return std::nullopt;
}

/// The node that replaces `root` and those that only it needs; none if they don't compute a function.
std::optional<Node> as_function(const File& file, const std::map<std::string, size_t>& position, const Node& root) {
  const std::vector<Expression> all = expressions(file, position, root);
  for (auto f = all.rbegin(); f != all.rend() && f->size() > 1; ++f) {
    if (const auto g = function_of(*f)) {
      return Node{
          .name = root.name, .op = onnx_name(g->kind), .inputs = {f->from()}, .outputs = root.outputs, .function = g};
    }
  }
  return std::nullopt;
}

}  // namespace

void recognize_functions(File& file) {
  std::map<std::string, size_t> position;
  for (size_t i = 0; i < file.nodes().size(); ++i) position[file.nodes()[i].outputs[0]] = i;
  std::set<std::string> needed(file.outputs().begin(), file.outputs().end());
  std::vector<Node> out = file.nodes();
  for (size_t i = out.size(); i-- > 0;) {
    if (std::ranges::none_of(out[i].outputs, [&](const std::string& name) { return needed.contains(name); })) continue;
    if (const auto f = as_function(file, position, file.nodes()[i])) out[i] = *f;
    needed.insert(out[i].inputs.begin(), out[i].inputs.end());
  }
  file.set_nodes(std::move(out));
}

Value import_function(Context& c, const Node& n) {
  if (n.op == "Sigmoid" && ends_network(c.file, n)) return import_ending(c, n);
  return applied(c, n.function.value_or(attributes(c.file, n)), c.input(n, 0));
}

Value applied(Context& c, const FunctionAttrs& f, const Value& x) {
  Value y = c.step([f](const std::vector<Tensor>& in) { return function(f, in[0]); }, {&x});
  y.nonnegative = !gives_negatives(f);
  return y;
}

Value import_prelu(Context& c, const Node& n) {
  const Constant& slope = c.needed(n, 1);
  Value x = c.input(n, 0);
  const std::vector<float> along = along_channels(c, n, slope, x);
  const bool shared = slope.size() == 1;
  auto module = std::make_unique<nn::PReLU>(shared ? 1 : std::ssize(along));
  const Tensor weight = module->weight;
  Value y = c.layer(n, x, std::move(module), n.inputs[1], x.layout);
  y.order = x.order;
  c.later([&c, weight, along, shared, image = x.layout.is_image(), order = x.order] {
    const std::vector<float> slopes = shared || image ? along : c.orders.arranged(order, along);
    std::copy_n(slopes.begin(), weight.size(), weight.data().begin());
  });
  return y;
}

}  // namespace mixgrad::models

// SPDX-License-Identifier: Apache-2.0
// Elementwise functions, written out in all ways, PReLU, and products of two tensors.
#include "onnx_forms.h"

#include <fmt/core.h>

#include <algorithm>
#include <cmath>

using namespace mixgrad;
using namespace mixgrad::test;

namespace {

/// Adds the nodes of a function of x and returns the name of its value.
using Written = std::function<std::string(OnnxNet&, const std::string& x)>;

/// A convolution, the function of its output, and another convolution.
Build between_convs(const Written& written) {
  return [=](OnnxNet& n) {
    n.node("Conv", "c", {"x", n.floats("c.weight", {4, 3, 3, 3}, 1)});
    return n.node("Conv", "end", {written(n, "c"), n.floats("end.weight", {2, 4, 1, 1})});
  };
}

struct WrittenForm {
  FunctionKind kind;
  std::string how;
  Written written;
  int opset = 13;
};

/// A node whose inputs are numbers where they are floats.
struct Term {
  Term(const char* tensor) : name(tensor) {}
  Term(std::string tensor) : name(std::move(tensor)) {}
  Term(double v) : number(v), is_number(true) {}
  std::string name;
  double number = 0;
  bool is_number = false;
};

std::string apply(OnnxNet& n, const std::string& op, const std::vector<Term>& terms) {
  const std::string name = fmt::format("{}_{}", op, n.graph().node_size());
  std::vector<std::string> inputs;
  for (const Term& t : terms) {
    const std::string constant = fmt::format("{}.{}", name, inputs.size());
    inputs.push_back(t.is_number ? n.scalar(constant, static_cast<float>(t.number)) : t.name);
  }
  return n.node(op, name, inputs);
}

const std::vector<WrittenForm>& written_forms() {
  using K = FunctionKind;
  using N = OnnxNet&;
  using X = const std::string&;
  const auto six = [](N n, X x) { return apply(n, "Clip", {apply(n, "Add", {x, 3.0}), 0.0, 6.0}); };
  static const std::vector<WrittenForm> all = {
      {K::hard_swish, "x · clip(x + 3, 0, 6) / 6",
       [=](N n, X x) {
         return apply(n, "Div", {apply(n, "Mul", {x, six(n, x)}), 6.0});
       }},
      {K::hard_swish, "clip(x + 3, 0, 6) / 6 · x",
       [=](N n, X x) {
         return apply(n, "Mul", {apply(n, "Div", {six(n, x), 6.0}), x});
       }},
      {K::hard_swish, "x / 6 · clip(x + 3, 0, 6)",
       [=](N n, X x) {
         return apply(n, "Mul", {apply(n, "Mul", {1.0 / 6, x}), six(n, x)});
       }},
      {K::hard_swish, "x · min(max(3 + x, 0), 6) · (1/6)",
       [](N n, X x) {
         const std::string above = apply(n, "Max", {apply(n, "Add", {3.0, x}), 0.0});
         return apply(n, "Mul", {apply(n, "Mul", {x, apply(n, "Min", {above, 6.0})}), 1.0 / 6});
       }},
      {K::hard_swish, "x · HardSigmoid(x)",
       [](N n, X x) {
         const std::string h = apply(n, "HardSigmoid", {x});
         n.real("alpha", 1.0F / 6);
         return apply(n, "Mul", {x, h});
       }},
      {K::hard_swish, "HardSigmoid(x) · x with ONNX's slope",
       [](N n, X x) {
         return apply(n, "Mul", {apply(n, "HardSigmoid", {x}), x});
       }},
      {K::hard_sigmoid, "clip(x + 3, 0, 6) / 6",
       [=](N n, X x) {
         return apply(n, "Div", {six(n, x), 6.0});
       }},
      {K::hard_sigmoid, "clip(0.2 x + 0.5, 0, 1)",
       [](N n, X x) {
         return apply(n, "Clip", {apply(n, "Add", {apply(n, "Mul", {x, 0.2}), 0.5}), 0.0, 1.0});
       }},
      {K::silu, "x · Sigmoid(x)",
       [](N n, X x) {
         return apply(n, "Mul", {x, apply(n, "Sigmoid", {x})});
       }},
      {K::silu, "Sigmoid(x) · x",
       [](N n, X x) {
         return apply(n, "Mul", {apply(n, "Sigmoid", {x}), x});
       }},
      {K::silu, "x / (1 + exp(-x))",
       [](N n, X x) {
         return apply(n, "Div", {x, apply(n, "Add", {1.0, apply(n, "Exp", {apply(n, "Neg", {x})})})});
       }},
      {K::silu, "x · Sigmoid(1.702 x)",
       [](N n, X x) {
         return apply(n, "Mul", {x, apply(n, "Sigmoid", {apply(n, "Mul", {1.702, x})})});
       }},
      {K::sigmoid, "1 / (1 + exp(-x))",
       [](N n, X x) {
         return apply(n, "Reciprocal", {apply(n, "Add", {apply(n, "Exp", {apply(n, "Neg", {x})}), 1.0})});
       }},
      {K::gelu, "x · (erf(x / √2) + 1) / 2, as PyTorch writes it",
       [](N n, X x) {
         const std::string erf = apply(n, "Erf", {apply(n, "Div", {x, std::sqrt(2.0)})});
         return apply(n, "Mul", {apply(n, "Mul", {x, apply(n, "Add", {erf, 1.0})}), 0.5});
       }},
      {K::gelu, "(x / 2) · (1 + erf(x · √½))",
       [](N n, X x) {
         const std::string erf = apply(n, "Erf", {apply(n, "Mul", {std::sqrt(0.5), x})});
         return apply(n, "Mul", {apply(n, "Mul", {0.5, x}), apply(n, "Add", {1.0, erf})});
       }},
      {K::gelu_tanh, "with Pow",
       [](N n, X x) {
         const std::string cubic = apply(n, "Mul", {apply(n, "Pow", {x, 3.0}), 0.044715});
         const std::string t = apply(n, "Tanh", {apply(n, "Mul", {apply(n, "Add", {x, cubic}), std::sqrt(2 / M_PI)})});
         return apply(n, "Mul", {apply(n, "Mul", {x, 0.5}), apply(n, "Add", {t, 1.0})});
       }},
      {K::gelu_tanh, "with x · x · x",
       [](N n, X x) {
         const std::string cube = apply(n, "Mul", {x, apply(n, "Mul", {x, x})});
         const std::string sum = apply(n, "Add", {apply(n, "Mul", {0.044715, cube}), x});
         const std::string t = apply(n, "Tanh", {apply(n, "Mul", {std::sqrt(2 / M_PI), sum})});
         return apply(n, "Mul", {0.5, apply(n, "Mul", {apply(n, "Add", {1.0, t}), x})});
       }},
      {K::softplus, "log(exp(x) + 1)",
       [](N n, X x) {
         return apply(n, "Log", {apply(n, "Add", {apply(n, "Exp", {x}), 1.0})});
       }},
      {K::mish, "x · tanh(softplus(x))",
       [](N n, X x) {
         return apply(n, "Mul", {x, apply(n, "Tanh", {apply(n, "Softplus", {x})})});
       }},
      {K::leaky_relu, "max(x, 0.1 x)",
       [](N n, X x) {
         return apply(n, "Max", {x, apply(n, "Mul", {x, 0.1})});
       }},
      {K::clip, "min(max(x, -1), 1)",
       [](N n, X x) {
         return apply(n, "Min", {apply(n, "Max", {x, -1.0}), 1.0});
       }},
      {K::clip, "Clip with one bound",
       [](N n, X x) {
         return apply(n, "Clip", {x, -0.5});
       }},
      {K::sigmoid, "Sigmoid", [](N n, X x) { return apply(n, "Sigmoid", {x}); }},
      {K::tanh, "Tanh", [](N n, X x) { return apply(n, "Tanh", {x}); }},
      {K::softplus, "Softplus", [](N n, X x) { return apply(n, "Softplus", {x}); }},
      {K::hard_sigmoid, "HardSigmoid",
       [](N n, X x) {
         const std::string y = apply(n, "HardSigmoid", {x});
         n.real("alpha", 0.3F).real("beta", 0.4F);
         return y;
       }},
      {K::leaky_relu, "LeakyRelu",
       [](N n, X x) {
         const std::string y = apply(n, "LeakyRelu", {x});
         n.real("alpha", 0.3F);
         return y;
       }},
      {K::elu, "Elu",
       [](N n, X x) {
         const std::string y = apply(n, "Elu", {x});
         n.real("alpha", 0.7F);
         return y;
       }},
      {K::hard_swish, "HardSwish", [](N n, X x) { return apply(n, "HardSwish", {x}); }, 14},
  };
  return all;
}

std::vector<std::string> ops_of(models::Model& model) {
  std::vector<std::string> out;
  for (const Node& node : trace(*model.net, model.input_shape).nodes) out.emplace_back(node.op_name());
  std::ranges::sort(out);
  return out;
}

/// [N, C, H, W] to [N, H, W, C] and back around `inner`.
std::string as_keras(OnnxNet& n, const std::string& x, const Written& inner) {
  return transpose(n, "back", inner(n, transpose(n, "there", x, {0, 2, 3, 1})), {0, 3, 1, 2});
}

std::string means(OnnxNet& n, const std::string& x, const Dims& axes) {
  n.node("ReduceMean", "means", {x});
  n.list("axes", axes).number("keepdims", 0);
  return "means";
}

}  // namespace

TEST_CASE("ONNX functions: each is one node in whatever way it is written, and gives ONNX Runtime's outputs") {
  std::vector<Form> forms;
  for (const WrittenForm& f : written_forms()) {
    CAPTURE(f.how);
    forms.push_back({f.how, {3, 6, 6}, between_convs(f.written), f.opset});
    models::Model model = import_bytes(bytes_of(forms.back()));
    std::vector<std::string> expected = {"conv2d", "conv2d", function_names[static_cast<size_t>(f.kind)], "input"};
    std::ranges::sort(expected);
    CHECK(ops_of(model) == expected);
  }
  check_forms(forms);
}

TEST_CASE("ONNX functions: what only resembles one stays as it is") {
  const auto ops = [](const Written& written) {
    models::Model model = import_bytes(bytes_of({"", {3, 6, 6}, between_convs(written)}));
    return ops_of(model);
  };
  using Ops = std::vector<std::string>;
  CHECK(ops([](OnnxNet& n, const std::string& x) { return apply(n, "Relu", {apply(n, "Relu", {x})}); }) ==
        Ops{"conv2d", "conv2d", "input", "relu", "relu"});
  CHECK(ops([](OnnxNet& n, const std::string& x) {
          return apply(n, "Min", {apply(n, "Max", {x, 0.0}), 6.0});
        }) == Ops{"conv2d", "conv2d", "input", "relu6"});
  CHECK(ops([](OnnxNet& n, const std::string& x) {  // 1.01 instead of 1 in x · sigmoid(x)
          return apply(n, "Mul", {x, apply(n, "Mul", {apply(n, "Sigmoid", {x}), 1.01})});
        }) == Ops{"batch_norm", "conv2d", "conv2d", "input", "mul", "sigmoid"});
  CHECK(ops([](OnnxNet& n, const std::string& x) {
          return apply(n, "Mul", {apply(n, "Add", {x, 1.0}), 2.0});
        }) == Ops{"conv2d", "conv2d", "input"});
}

TEST_CASE("ONNX functions: nodes of a function that others read as well are kept for them") {
  const Form shared{"a sigmoid that is also an output of its own", {3, 6, 6}, [](OnnxNet& n) {
                      n.node("Conv", "c", {"x", n.floats("c.weight", {4, 3, 3, 3}, 1)});
                      n.node("Sigmoid", "s", {"c"});
                      n.node("Mul", "silu", {"s", "c"});
                      n.node("Conv", "d", {"s", n.floats("d.weight", {4, 4, 1, 1})});
                      return n.node("Add", "sum", {"silu", "d"});
                    }};
  models::Model model = import_bytes(bytes_of(shared));
  CHECK(ops_of(model) == std::vector<std::string>{"add", "conv2d", "conv2d", "input", "sigmoid", "silu"});
  check_forms({shared});
  CHECK(form_refusal({3, 6, 6}, [](OnnxNet& n) {
          n.node("Conv", "c", {"x", n.floats("c.weight", {4, 3, 3, 3}, 1)});
          n.node("Erf", "e", {apply(n, "Div", {"c", std::sqrt(2.0)})});
          n.node("Mul", "gelu", {apply(n, "Mul", {"c", apply(n, "Add", {"e", 1.0})}), n.scalar("half", 0.5F)});
          return n.node("Add", "sum", {"gelu", "e"});
        }).find("1 x Erf ('node_e')") != std::string::npos);
}

TEST_CASE("ONNX functions: products, squeeze and excite in all layouts, and PReLU") {
  check_forms({
      {"two tensors of one shape", {3, 6, 6}, between_convs([](OnnxNet& n, const std::string& x) {
         return n.node("Mul", "m", {x, n.node("Relu", "r", {x})});
       })},
      {"squeeze and excite by convolutions", {3, 6, 6}, between_convs([](OnnxNet& n, const std::string& x) {
         n.node("GlobalAveragePool", "p", {x});
         n.node("Conv", "down", {"p", n.floats("down.weight", {2, 4, 1, 1}), n.floats("down.bias", {2})});
         n.node("Relu", "r", {"down"});
         n.node("Conv", "up", {"r", n.floats("up.weight", {4, 2, 1, 1}), n.floats("up.bias", {4})});
         return n.node("Mul", "m", {n.node("Sigmoid", "s", {"up"}), x});
       })},
      {"squeeze and excite by linear layers, reshaped and repeated",
       {3, 6, 6},
       between_convs([](OnnxNet& n, const std::string& x) {
         n.node("Sigmoid", "s", {dense(n, "d", means(n, x, {2, 3}), 4, 4)});
         n.node("Reshape", "v", {"s", n.integers("shape", {-1, 4, 1, 1})});
         n.node("Shape", "size", {x});
         return n.node("Mul", "m", {x, n.node("Expand", "e", {"v", "size"})});
       })},
      {"squeeze and excite of [N, H, W, C]", {3, 6, 6}, between_convs([](OnnxNet& n, const std::string& x) {
         return as_keras(n, x, [](OnnxNet& net, const std::string& y) {
           const std::string gate = dense(net, "d", means(net, y, {1, 2}), 4, 4);
           net.node("Reshape", "v", {net.node("HardSigmoid", "s", {gate}), net.integers("shape", {-1, 1, 1, 4})});
           return net.node("Mul", "m", {y, "v"});
         });
       })},
      {"a slope per channel", {3, 6, 6}, between_convs([](OnnxNet& n, const std::string& x) {
         return n.node("PRelu", "p", {x, n.floats("p.weight", {4, 1, 1})});
       })},
      {"one slope", {3, 6, 6}, between_convs([](OnnxNet& n, const std::string& x) {
         return n.node("PRelu", "p", {x, n.floats("p.weight", {1})});
       })},
      {"a slope per channel of [N, H, W, C]", {3, 6, 6}, between_convs([](OnnxNet& n, const std::string& x) {
         return as_keras(n, x, [](OnnxNet& net, const std::string& y) {
           return net.node("PRelu", "p", {y, net.floats("p.weight", {1, 1, 4})});
         });
       })},
      {"a slope per feature, flattened from [N, H, W, C]",
       {3, 4, 4},
       [](OnnxNet& n) {
         n.node("Flatten", "f", {transpose(n, "t", "x", {0, 2, 3, 1})});
         n.node("PRelu", "p", {dense(n, "d", "f", 48, 6), n.floats("p.weight", {6})});
         return dense(n, "e", n.node("PRelu", "q", {n.node("Add", "a", {"p", "p"}), n.floats("q.weight", {6})}), 6, 3);
       }},
      {"a Tanh at the end",
       {3, 6, 6},
       [](OnnxNet& n) {
         n.node("Conv", "c", {"x", n.floats("c.weight", {4, 3, 3, 3}, 1)});
         return n.node("Tanh", "t", {"c"});
       }},
  });
}

TEST_CASE("ONNX functions: what a product or PReLU can't be is refused by name") {
  const auto said = [](const Written& written) { return form_refusal({3, 6, 6}, between_convs(written)); };
  CHECK(said([](OnnxNet& n, const std::string& x) {
          n.node("Conv", "map", {x, n.floats("map.weight", {1, 4, 1, 1})});
          return n.node("Mul", "m", {x, "map"});
        }).find("Mul 'node_m': it multiplies [N, 4, 4, 4] and [N, 1, 4, 4]") != std::string::npos);
  CHECK(said([](OnnxNet& n, const std::string& x) {
          return n.node("PRelu", "p", {x, n.floats("p.weight", {4, 4, 4})});
        }).find("'p.weight' [4, 4, 4] is combined with [N, 4, 4, 4]") != std::string::npos);
  CHECK(said([](OnnxNet& n, const std::string& x) {
          return n.node("Clip", "p", {x, n.scalar("low", 2), n.scalar("high", 1)});
        }).find("Clip 'node_p': its bounds are 2 and 1: expected ascending ones") != std::string::npos);
  CHECK(said([](OnnxNet& n, const std::string& x) {
          n.node("Expand", "e", {n.node("GlobalAveragePool", "p", {x}), n.integers("size", {1, 4, 4, 4})});
          return n.node("Add", "a", {x, "e"});
        }).find("Expand 'node_e': only supported before a Mul") != std::string::npos);
  CHECK(said([](OnnxNet& n, const std::string&) {
          return apply(n, "Mul", {n.node("Add", "a", {"nowhere", "neither"}), 2.0});
        }).find("'nowhere'") != std::string::npos);
}

// SPDX-License-Identifier: Apache-2.0
// Computed shapes and constants, the two ends of a network, and what a file leaves undefined.
#include "onnx_forms.h"

#include <fmt/ranges.h>

#include <limits>

using namespace mixgrad;
using namespace mixgrad::test;

TEST_CASE("ONNX forms: computed shapes, and constants in every form") {
  check_forms({
      {"a view of computed sizes",
       {4, 6, 6},
       [](OnnxNet& n) {
         n.node("Shape", "shape", {"x"});
         n.node("Gather", "c", {"shape", n.integers("one", {1})});
         n.node("Slice", "hw",
                {"shape", n.integers("two", {2}), n.integers("end", {9223372036854775807}), n.integers("axis", {0})});
         n.node("Gather", "h", {"hw", n.integers("first", {0})});
         n.node("Gather", "w", {"hw", n.integers("last", {-1})});
         n.node("Mul", "positions", {"h", "w"});
         n.node("Cast", "real", {"positions"});
         n.number("to", 1);
         n.node("Div", "half", {"real", n.scalar("2.0", 2)});
         n.node("Floor", "floored", {"half"});
         n.node("Cast", "whole", {"floored"});
         n.number("to", 7);
         n.node("Mul", "all", {"whole", n.integers("twice", {2})});
         n.node("Mul", "features", {"all", "c"});
         n.node("Concat", "target", {n.integers("open", {-1}), "features"});
         n.number("axis", 0);
         return dense(n, "out", n.node("Reshape", "flat", {"x", "target"}), 144, 3);
       }},
      {"constants by attributes",
       {4},
       [](OnnxNet& n) {
         n.node("Constant", "factor", {});
         n.real("value_float", 0.5F);
         n.node("Constant", "offsets", {});
         n.reals("value_floats", {1, 2, 3, 4});
         n.node("Constant", "shape", {});
         n.list("value_ints", {1, -1});
         n.node("Constant", "axis", {});
         n.number("value_int", 1);
         n.node("Unsqueeze", "axes", {"axis", n.integers("zero", {0})});
         n.node("Mul", "m", {"x", "factor"});
         n.node("Relu", "r", {n.node("Add", "a", {"m", "offsets"})});
         n.node("Unsqueeze", "u", {"r", "axes"});
         return dense(n, "out", n.node("Squeeze", "s", {"u", "axes"}), 4, 3);
       }},
      {"weights transposed and reshaped, a bias of [1, O], factors",
       {4, 3, 3},
       [](OnnxNet& n) {
         n.node("Transpose", "wt", {n.floats("w", {2, 3, 4, 5})});  // to [5, 4, 3, 2]
         n.list("perm", {3, 2, 1, 0});
         n.node("Conv", "c", {"x", "wt"});
         n.node("Reshape", "flat", {"c", n.integers("shape", {0, -1})});
         n.node("Reshape", "v", {n.floats("v.flat", {30}), n.integers("square", {3, 10})});
         n.node("Gemm", "g", {"flat", "v", n.floats("bias", {1, 3})});
         n.number("transB", 1).real("alpha", 0.5F).real("beta", 2);
         return std::string("g");
       }},
      {"arithmetic with constants after layers is merged into them",
       {3, 5, 5},
       [](OnnxNet& n) {
         n.node("Conv", "c", {"x", n.floats("w", {4, 3, 3, 3})});
         n.node("Mul", "m", {"c", n.floats("scale", {4, 1, 1})});
         n.node("Sub", "s", {n.floats("shift", {1, 4, 1, 1}), "m"});
         n.node("Div", "d", {"s", n.scalar("by", 0.7F)});
         n.node("Relu", "r", {"d"});
         n.node("Add", "a", {"r", n.floats("offset", {4, 1, 1})});
         n.node("Mul", "one", {"a", n.scalar("1.0", 1)});
         n.node("Conv", "e", {"one", n.floats("v", {2, 4, 3, 3})});
         return std::string("e");
       }},
      {"axes and bounds as attributes, opset 11 and before",
       {4, 6, 6},
       [](OnnxNet& n) {
         n.node("Conv", "c", {"x", n.floats("c.weight", {5, 4, 3, 3})});
         n.node("Clip", "low", {"c"});
         n.real("min", 0);
         n.node("GlobalAveragePool", "p", {"low"});
         n.node("Squeeze", "s", {"p"});
         n.list("axes", {-1, 2});
         n.node("Unsqueeze", "u", {"s"});
         n.list("axes", {1});
         n.node("Flatten", "f", {"u"});
         n.number("axis", 2);
         return dense(n, "out", "f", 5, 3);
       },
       10},
      {"ReLU6 as maximum and minimum",
       {4, 6, 6},
       [](OnnxNet& n) {
         n.node("Conv", "c", {"x", n.floats("c.weight", {5, 4, 3, 3}, 3)});
         n.node("Max", "low", {"c", n.scalar("0", 0)});
         return n.node("Min", "high", {"low", n.scalar("6", 6)});
       }},
      {"sum of several",
       {4, 6, 6},
       [](OnnxNet& n) {
         n.node("Conv", "c", {"x", n.floats("c.weight", {4, 4, 1, 1})});
         return n.node("Sum", "s", {"c", "x", "c"});
       }},
  });
}

TEST_CASE("ONNX forms: arithmetic on the network's input becomes its normalization") {
  const auto conv = [](OnnxNet& n, const std::string& x) {
    return n.node("Conv", "c", {x, n.floats("w", {4, 3, 3, 3})});
  };
  const std::vector<Form> forms = {
      {"mean and deviation per channel",
       {3, 6, 6},
       [&](OnnxNet& n) {
         n.node("Sub", "s", {"x", n.values("mean", {3, 1, 1}, {0.5F, 0.4F, 0.3F})});
         return conv(n, n.node("Div", "d", {"s", n.values("std", {1, 3, 1, 1}, {0.2F, 0.25F, 0.5F})}));
       }},
      {"the same in [N, H, W, C]",
       {6, 6, 3},
       [&](OnnxNet& n) {
         n.node("Sub", "s", {"x", n.values("mean", {3}, {0.5F, 0.4F, 0.3F})});
         n.node("Mul", "m", {"s", n.values("factor", {3}, {5, 4, 2})});
         return transpose(n, "back", conv(n, transpose(n, "t", "m", {0, 3, 1, 2})), {0, 2, 3, 1});
       }},
      {"batch norm", {3, 6, 6}, [&](OnnxNet& n) { return conv(n, n.batch_norm("bn", "x", 3)); }},
      {"subtracted from a constant",
       {3, 6, 6},
       [&](OnnxNet& n) {
         return conv(n, n.node("Sub", "s", {n.scalar("one", 1), "x"}));
       }},
  };
  check_forms(forms);
  for (const Form& f : forms) {
    CAPTURE(f.name);
    const models::Model model = import_bytes(bytes_of(f));
    CHECK(model.normalization.mean.size() == 3);
    CHECK(trace(*model.net, model.input_shape).nodes.size() == 2);  // only the convolution is left
    CHECK(!model.pixels_to_255);
    CHECK(model.notes.size() == 1);
  }
  CHECK(import_bytes(bytes_of(forms[0])).normalization == Normalization{{0.5F, 0.4F, 0.3F}, {0.2F, 0.25F, 0.5F}});

  const models::Model large = import_bytes(bytes_of({"", {3, 6, 6}, [&](OnnxNet& n) {
                                                       return conv(n, n.node("Div", "d", {"x", n.scalar("v", 255)}));
                                                     }}));
  CHECK(large.pixels_to_255);
  CHECK(large.normalization == Normalization{{0, 0, 0}, {255, 255, 255}});
  CHECK(form_refusal({3, 6, 6}, [&](OnnxNet& n) {
          return conv(n, n.node("Mul", "m", {"x", n.values("v", {3, 1, 1}, {1, 0, 1})}));
        }).find("its input 'x' is multiplied by 0 and shifted by 0 (channel 1)") != std::string::npos);
}

TEST_CASE("ONNX forms: an input with other consumers keeps its arithmetic") {
  const auto build = [](OnnxNet& n) {
    n.node("Mul", "m", {"x", n.scalar("two", 2)});
    n.node("Conv", "a", {"m", n.floats("v", {3, 3, 1, 1})});
    return n.node("Add", "sum", {"a", "x"});
  };
  const models::Model model = import_bytes(bytes_of({"", {3, 6, 6}, build}));
  CHECK(model.normalization.empty());
  check_forms({{"read twice", {3, 6, 6}, build}});
}

TEST_CASE("ONNX forms: the input may be bytes") {
  const auto build = [](OnnxNet& n) {
    n.node("Cast", "real", {"x"});
    n.number("to", 1);
    n.node("Conv", "c", {"real", n.floats("w", {4, 3, 3, 3})});
    n.graph().mutable_input(0)->mutable_type()->mutable_tensor_type()->set_elem_type(onnx::TensorProto::UINT8);
    return std::string("c");
  };
  const models::Model model = import_bytes(bytes_of({"", {3, 6, 6}, build}));
  CHECK(model.normalization == Normalization{{0, 0, 0}, {1, 1, 1}});
  CHECK(model.pixels_to_255);
}

TEST_CASE("ONNX forms: a final Softmax, LogSoftmax or Sigmoid is removed, with a note") {
  const auto end = [](const char* op, int64_t axis) {
    return [=](OnnxNet& n) {
      n.node("Flatten", "f", {"x"});
      n.node(op, "end", {dense(n, "d", "f", 108, 5)});
      if (std::string(op) != "Sigmoid") n.number("axis", axis);
      return n.node("Reshape", "same", {"end", n.integers("shape", {-1, 5})});
    };
  };
  std::vector<Form> forms;
  for (const int opset : {11, 13}) {
    for (const char* op : {"Softmax", "LogSoftmax", "Sigmoid"}) forms.push_back({op, {3, 6, 6}, end(op, 1), opset});
  }
  check_forms(forms);
  for (const Form& f : forms) {
    const models::Model model = import_bytes(bytes_of(f));
    CHECK(model.notes == std::vector<std::string>{fmt::format(
                             "its final {} 'node_end' is removed: the network returns that operator's input", f.name)});
    CHECK(model.left_out == f.name + " 'node_end'");
    CHECK(model.output_shape == Shape{5});
  }
  const auto along = [](const char* op) {
    return [=](OnnxNet& n) {
      n.node("Conv", "c", {"x", n.floats("w", {3, 3, 1, 1})});
      n.node(op, "end", {"c"});
      n.number("axis", 3);
      return std::string("end");
    };
  };
  CHECK(form_refusal({3, 6, 6}, along("Softmax")).find("axis 3 of [N, 3, 6, 6] is not the classes") !=
        std::string::npos);
}

TEST_CASE("ONNX forms: undefined sizes must be given") {
  const auto build = [](OnnxNet& n) {
    n.node("Conv", "c", {"x", n.floats("w", {4, 3, 3, 3})});
    return n.node("GlobalAveragePool", "p", {"c"});
  };
  const std::string open = bytes_of({"", {3, 0, 0}, build});
  const auto said = [&](const models::Options& options) { return refusal([&] { import_bytes(open, options); }); };
  CHECK(said({}).find(
            "its input 'x' has shape [N, 3, 0, 0] (0: undefined): give the shape of an image, --input-shape C,H,W") !=
        std::string::npos);
  CHECK(said({.input_shape = {1, 8, 9}}).find("which does not match images [1, 8, 9] (C, H, W)") != std::string::npos);
  CHECK(said({.input_shape = {3, 8}}).find("does not match") != std::string::npos);
  const models::Model model = import_bytes(open, {.input_shape = {3, 8, 9}});
  CHECK(model.input_shape == Shape{3, 8, 9});
  CHECK(model.output_shape.size() == 4);
}

TEST_CASE("ONNX forms: infinite or NaN weights, and constants that are too large, are refused by name") {
  CHECK(form_refusal({3, 6, 6}, [](OnnxNet& n) {
          std::vector<float> w(12, 1);
          w[7] = std::numeric_limits<float>::infinity();
          return n.node("Conv", "c", {"x", n.values("c.weight", {4, 3, 1, 1}, w)});
        }).find("tensor 'c.weight' of Conv 'node_c' contains inf at index 7") != std::string::npos);
  CHECK(form_refusal({3, 6, 6}, [](OnnxNet& n) {
          std::vector<float> w(12, 1);
          w[3] = std::numeric_limits<float>::quiet_NaN();
          return n.node("Conv", "c", {"x", n.values("c.weight", {4, 3, 1, 1}, w)});
        }).find("tensor 'c.weight' contains NaN (first at index 3)") != std::string::npos);
  CHECK(form_refusal({3, 6, 6}, [](OnnxNet& n) {
          return n.node("Conv", "c", {"x", n.node("ConstantOfShape", "w", {n.integers("size", {1 << 20, 3, 30, 30})})});
        }).find("needs too much memory") != std::string::npos);
  CHECK(form_refusal({3, 6, 6}, [](OnnxNet& n) {
          return n.node("Reshape", "r", {"x", n.node("Div", "d", {n.integers("a", {4}), n.integers("b", {0})})});
        }).find("division by 0") != std::string::npos);
}

TEST_CASE("models: the error for another kind of file says how to convert it") {
  for (const char* name : {"x.h5", "x.pt", "resnet9"}) {
    const std::string said = refusal([&] { models::make(name, 10); });
    CHECK(said == refusal([&] { models::check_name(name); }));
    CHECK(said.find(fmt::format("model: unknown '{}': expected {}, FILE.onnx or FILE.tflite", name,
                                fmt::join(models::names(), ", "))) != std::string::npos);
    CHECK(said.find("torch.onnx.export") != std::string::npos);
    CHECK(said.find("tf.lite.TFLiteConverter without quantization") != std::string::npos);
  }
}

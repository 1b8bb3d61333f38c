// SPDX-License-Identifier: Apache-2.0
#include "support.h"

#include "../models/onnx_forms.h"

#include <utility>

namespace mixgrad::test::support {

std::string onnx_conv(OnnxNet& n, const std::string& name, const std::string& x, int64_t in) {
  n.node("Conv", name, {x, n.floats(name + ".weight", {channels, in, 3, 3})});
  n.list("pads", {1, 1, 1, 1});
  return name;
}

int tflite_conv(TfliteNet& n, const std::string& name, int x, int64_t in) {
  return n.op(TfliteOp::CONV_2D, {x, n.floats(name, {channels, 3, 3, in}), -1}, {1, size, size, channels},
              tflite::CreateConv2DOptions(n.fbb, tflite::Padding::SAME, 1, 1));
}

namespace {

Body function_body(FunctionKind kind) {
  const FunctionAttrs attrs = {kind, kind == FunctionKind::clip ? -0.25F : 0.25F, 0.5F};
  return [=](Tried&, const Tensor& x) { return function(attrs, x); };
}

OnnxBody onnx_node(const char* op) {
  return [=](OnnxNet& n, const std::string& x) { return n.node(op, "y", {x}); };
}

/// x times, or divided by, a node of x.
OnnxBody onnx_times(const char* op) {
  return [=](OnnxNet& n, const std::string& x) { return n.node("Mul", "y", {x, n.node(op, "f", {x})}); };
}

TfliteBody tflite_op(TfliteOp op, const Dims& dims = {1, size, size, channels}) {
  return [=](TfliteNet& n, int x) { return n.op(op, {x}, dims); };
}

/// Operators of the network itself, of pools and of layers.
std::vector<Row> layers() {
  const Body as_is = [](Tried&, const Tensor& x) { return x; };
  const OnnxBody onnx_as_is = [](OnnxNet&, const std::string& x) { return x; };
  const TfliteBody tflite_as_is = [](TfliteNet&, int x) { return x; };
  const Dims pooled = {1, size / 2, size / 2, channels};
  const auto tflite_pool = [=](TfliteOp op) -> TfliteBody {
    return [=](TfliteNet& n, int x) {
      return n.op(op, {x}, pooled, tflite::CreatePool2DOptions(n.fbb, tflite::Padding::VALID, 2, 2, 2, 2));
    };
  };
  const auto onnx_pool = [](const char* op) -> OnnxBody {
    return [=](OnnxNet& n, const std::string& x) {
      n.node(op, "y", {x});
      n.list("kernel_shape", {2, 2}).list("strides", {2, 2});
      return std::string("y");
    };
  };
  const Dims dims = {1, size, size, channels};
  const TfliteBody tflite_norm = [=](TfliteNet& n, int x) {  // as its converter leaves one
    const int scaled = n.op(TfliteOp::MUL, {x, n.floats("scale", {channels})}, dims, tflite::CreateMulOptions(n.fbb));
    return n.op(TfliteOp::ADD, {scaled, n.floats("shift", {channels})}, dims, tflite::CreateAddOptions(n.fbb));
  };
  const OnnxBody onnx_flat = [](OnnxNet& n, const std::string& x) { return n.node("Flatten", "flat", {x}); };
  const TfliteBody tflite_flat = [](TfliteNet& n, int x) {
    return n.op(TfliteOp::RESHAPE, {x, n.integers("shape", {-1, size * size * channels})}, {1, size * size * channels});
  };
  return {
      {"input", as_is, onnx_as_is, tflite_as_is},
      {"conv2d", as_is, onnx_as_is, tflite_as_is},
      {"conv_transpose2d", [](Tried& t, const Tensor& x) { return t.up(x); },
       [](OnnxNet& n, const std::string& x) {
         return n.node("ConvTranspose", "y", {x, n.floats("up", {channels, channels, 2, 2})});
       },
       [](TfliteNet& n, int x) {
         return n.op(
             TfliteOp::TRANSPOSE_CONV,
             {n.integers("shape", {1, 2 * size, 2 * size, channels}), n.floats("up", {channels, 2, 2, channels}), x},
             {1, 2 * size, 2 * size, channels}, tflite::CreateTransposeConvOptions(n.fbb, tflite::Padding::SAME, 2, 2));
       }},
      {"linear", as_is,
       [=](OnnxNet& n, const std::string& x) { return dense(n, "fc", onnx_flat(n, x), size * size * channels, 3); },
       [=](TfliteNet& n, int x) {
         return n.op(TfliteOp::FULLY_CONNECTED, {tflite_flat(n, x), n.floats("fc", {3, size * size * channels}), -1},
                     {1, 3}, tflite::CreateFullyConnectedOptions(n.fbb));
       }},
      {"flatten", as_is,
       [=](OnnxNet& n, const std::string& x) { return dense(n, "fc", onnx_flat(n, x), size * size * channels, 3); },
       [=](TfliteNet& n, int x) {
         return n.op(TfliteOp::FULLY_CONNECTED, {tflite_flat(n, x), n.floats("fc", {3, size * size * channels}), -1},
                     {1, 3}, tflite::CreateFullyConnectedOptions(n.fbb));
       }},
      {"max_pool2d", [](Tried&, const Tensor& x) { return max_pool2d(x); }, onnx_pool("MaxPool"),
       tflite_pool(TfliteOp::MAX_POOL_2D)},
      {"avg_pool2d", [](Tried&, const Tensor& x) { return avg_pool2d(x); }, onnx_pool("AveragePool"),
       tflite_pool(TfliteOp::AVERAGE_POOL_2D)},
      {"batch_norm", [](Tried& t, const Tensor& x) { return t.norm(x); },
       [](OnnxNet& n, const std::string& x) { return n.batch_norm("norm", x, channels); }, tflite_norm},
      {"affine", [](Tried& t, const Tensor& x) { return t.wide(t.norm(relu(x))); },
       [](OnnxNet& n, const std::string& x) {
         return onnx_conv(n, "wide", n.batch_norm("norm", n.node("Relu", "r", {x}), channels), channels);
       },
       [=](TfliteNet& n, int x) {
         return tflite_conv(n, "wide", tflite_norm(n, n.op(TfliteOp::RELU, {x}, dims)), channels);
       }},
      {"outputs", as_is, onnx_as_is, tflite_as_is},
  };
}

/// Operators that copy, join or combine.
std::vector<Row> moves() {
  const Dims dims = {1, size, size, channels};
  return {
      {"add", [](Tried& t, const Tensor& x) { return add(x, t.side(t.input)); },
       [](OnnxNet& n, const std::string& x) {
         return n.node("Add", "y", {x, onnx_conv(n, "side")});
       },
       [=](TfliteNet& n, int x) {
         return n.op(TfliteOp::ADD, {x, tflite_conv(n, "side", n.input())}, dims, tflite::CreateAddOptions(n.fbb));
       }},
      {"mul", [](Tried& t, const Tensor& x) { return mul(x, t.side(t.input)); },
       [](OnnxNet& n, const std::string& x) {
         return n.node("Mul", "y", {x, onnx_conv(n, "side")});
       },
       [=](TfliteNet& n, int x) {
         return n.op(TfliteOp::MUL, {x, tflite_conv(n, "side", n.input())}, dims, tflite::CreateMulOptions(n.fbb));
       }},
      {"concat",
       [](Tried& t, const Tensor& x) {
         return concat({x, t.side(t.input)});
       },
       [](OnnxNet& n, const std::string& x) {
         n.node("Concat", "y", {x, onnx_conv(n, "side")});
         n.number("axis", 1);
         return std::string("y");
       },
       [=](TfliteNet& n, int x) {
         return n.op(TfliteOp::CONCATENATION, {x, tflite_conv(n, "side", n.input())}, {1, size, size, 2 * channels},
                     tflite::CreateConcatenationOptions(n.fbb, 3));
       },
       13, 2 * channels},
      {"select_channels", [](Tried&, const Tensor& x) { return slice_channels(x, 2, 6); },
       [](OnnxNet& n, const std::string& x) {
         return n.node("Slice", "y", {x, n.integers("from", {2}), n.integers("to", {6}), n.integers("axes", {1})});
       },
       [](TfliteNet& n, int x) {
         const int begin = n.integers("begin", {0, 0, 0, 2}), count = n.integers("count", {-1, size, size, 4});
         return n.op(TfliteOp::SLICE, {x, begin, count}, {1, size, size, 4});
       },
       13, 4},
      {"pad2d",
       [](Tried& t, const Tensor& x) {
         return t.wide(pad2d(x, {.padding = {1, 0, 0, 1}}));
       },
       [](OnnxNet& n, const std::string& x) {
         n.node("Pad", "pad", {x, n.integers("pads", {0, 0, 1, 0, 0, 0, 0, 1}), n.scalar("zero", 0)});
         return n.node("MaxPool", "y", {"pad"}), n.list("kernel_shape", {2, 2}), std::string("y");
       },
       [=](TfliteNet& n, int x) {
         const int pads = n.integers("pads", {4, 2}, {0, 0, 1, 0, 0, 1, 0, 0});
         return n.op(TfliteOp::PAD, {x, pads}, {1, size + 1, size + 1, channels});
       }},
      {"upsample2d", [](Tried&, const Tensor& x) { return upsample2d(x); },
       [](OnnxNet& n, const std::string& x) {
         n.node("Resize", "y", {x, "", n.values("scales", {4}, {1, 1, 2, 2})});
         n.text("mode", "nearest").text("coordinate_transformation_mode", "asymmetric").text("nearest_mode", "floor");
         return std::string("y");
       },
       [](TfliteNet& n, int x) {
         return n.op(TfliteOp::RESIZE_NEAREST_NEIGHBOR, {x, n.integers("size", {2 * size, 2 * size})},
                     {1, 2 * size, 2 * size, channels}, tflite::CreateResizeNearestNeighborOptions(n.fbb));
       }},
      // what else reads the stem keeps the ReLU from joining it
      {"relu", [](Tried&, const Tensor& x) { return add(relu(x), x); },
       [](OnnxNet& n, const std::string& x) {
         return n.node("Add", "y", {n.node("Relu", "r", {x}), x});
       },
       [=](TfliteNet& n, int x) {
         return n.op(TfliteOp::ADD, {n.op(TfliteOp::RELU, {x}, dims), x}, dims, tflite::CreateAddOptions(n.fbb));
       }},
      {"relu6", [](Tried&, const Tensor& x) { return add(relu6(x), x); },
       [](OnnxNet& n, const std::string& x) {
         n.node("Clip", "r", {x, n.scalar("a", 0), n.scalar("b", 6)});
         return n.node("Add", "y", {"r", x});
       },
       [=](TfliteNet& n, int x) {
         return n.op(TfliteOp::ADD, {n.op(TfliteOp::RELU6, {x}, dims), x}, dims, tflite::CreateAddOptions(n.fbb));
       }},
  };
}

std::vector<Row> functions() {
  using K = FunctionKind;
  const Dims dims = {1, size, size, channels};
  const auto row = [](const char* name, K kind, OnnxBody onnx, TfliteBody tflite = {}, int opset = 13) {
    return Row{name, function_body(kind), std::move(onnx), std::move(tflite), opset};
  };
  const auto tflite_gelu = [=](bool by_tanh) -> TfliteBody {
    return
        [=](TfliteNet& n, int x) { return n.op(TfliteOp::GELU, {x}, dims, tflite::CreateGeluOptions(n.fbb, by_tanh)); };
  };
  const TfliteBody tflite_silu = [=](TfliteNet& n, int x) {
    return n.op(TfliteOp::MUL, {x, n.op(TfliteOp::LOGISTIC, {x}, dims)}, dims, tflite::CreateMulOptions(n.fbb));
  };
  const TfliteBody tflite_hard_sigmoid = [=](TfliteNet& n, int x) {
    const int above = n.op(TfliteOp::ADD, {x, n.values("three", {1}, {3})}, dims,
                           tflite::CreateAddOptions(n.fbb, tflite::ActivationFunctionType::RELU6));
    return n.op(TfliteOp::MUL, {above, n.values("sixth", {1}, {1.0F / 6})}, dims, tflite::CreateMulOptions(n.fbb));
  };
  return {
      row(
          "sigmoid", K::sigmoid,
          [](OnnxNet& n, const std::string& x) { return onnx_conv(n, "wide", n.node("Sigmoid", "y", {x}), channels); },
          [=](TfliteNet& n, int x) { return tflite_conv(n, "wide", n.op(TfliteOp::LOGISTIC, {x}, dims), channels); }),
      row("hard_sigmoid", K::hard_sigmoid, onnx_node("HardSigmoid"), tflite_hard_sigmoid),
      row("hard_swish", K::hard_swish, onnx_times("HardSigmoid"), tflite_op(TfliteOp::HARD_SWISH)),
      row("silu", K::silu, onnx_times("Sigmoid"), tflite_silu),
      row("tanh", K::tanh, onnx_node("Tanh"), tflite_op(TfliteOp::TANH)),
      row("leaky_relu", K::leaky_relu, onnx_node("LeakyRelu"),
          [=](TfliteNet& n, int x) {
            return n.op(TfliteOp::LEAKY_RELU, {x}, dims, tflite::CreateLeakyReluOptions(n.fbb, 0.25F));
          }),
      row("elu", K::elu, onnx_node("Elu"), tflite_op(TfliteOp::ELU)),
      row(
          "clip", K::clip,
          [](OnnxNet& n, const std::string& x) {
            return n.node("Clip", "y", {x, n.scalar("a", -1), n.scalar("b", 1)});
          },
          tflite_op(TfliteOp::RELU_N1_TO_1)),
      row("gelu", K::gelu, onnx_node("Gelu"), tflite_gelu(false), 20),
      row(
          "gelu_tanh", K::gelu_tanh,
          [](OnnxNet& n, const std::string& x) {
            n.node("Gelu", "y", {x});
            n.text("approximate", "tanh");
            return std::string("y");
          },
          tflite_gelu(true), 20),
      row("softplus", K::softplus, onnx_node("Softplus")),
      row("mish", K::mish, onnx_node("Mish"), {}, 18),
      {"prelu", [](Tried& t, const Tensor& x) { return t.slopes(x); },
       [](OnnxNet& n, const std::string& x) {
         return n.node("PRelu", "y", {x, n.floats("slopes", {channels, 1, 1})});
       },
       [=](TfliteNet& n, int x) {
         return n.op(TfliteOp::PRELU, {x, n.floats("slopes", {1, 1, channels})}, dims);
       }},
  };
}

}  // namespace

std::vector<Row> rows() {
  std::vector<Row> out = layers();
  for (const auto& more : {moves(), functions()}) out.insert(out.end(), more.begin(), more.end());
  return out;
}

}  // namespace mixgrad::test::support

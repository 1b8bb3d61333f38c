// SPDX-License-Identifier: Apache-2.0
// Transposed convolutions, signals and dilated pools in ONNX files: outputs compared with the real ONNX Runtime.
#include "onnx_forms.h"

using namespace mixgrad;
using test::bytes_of;
using test::check_forms;
using test::Dims;
using test::Form;
using test::form_refusal;
using test::import_bytes;
using test::OnnxNet;

namespace {

using Attributes = std::function<void(OnnxNet&)>;

/// A transposed convolution with weights [4, outputs / groups, ...] behind a convolution, and a batch norm behind it.
Form transposed(const std::string& name, const Dims& weight, const Attributes& attributes, int64_t groups = 1) {
  return {name, {3, 6, 5}, [=](OnnxNet& n) {
            n.node("Conv", "c", {"x", n.floats("w", {4, 3, 3, 3})});
            n.node("ConvTranspose", "t", {"c", n.floats("t.weight", weight)});
            n.number("group", groups);
            attributes(n);
            return n.batch_norm("bn", "t", weight[1] * groups);
          }};
}

/// A network of signals [N, 3, 20] as PyTorch writes it.
std::string signal_net(OnnxNet& n, const std::string& x) {
  n.node("Conv", "c1", {x, n.floats("c1.weight", {6, 3, 5}), n.floats("c1.bias", {6})});
  n.list("strides", {2}).list("pads", {2, 1}).list("dilations", {1}).list("kernel_shape", {5});
  n.batch_norm("b1", "c1", 6);
  n.node("Relu", "r1", {"b1"});
  n.node("MaxPool", "m", {"r1"});
  n.list("kernel_shape", {3}).list("strides", {1}).list("pads", {1, 1});
  n.node("Conv", "c2", {"m", n.floats("c2.weight", {6, 1, 3})});
  n.list("pads", {2, 2}).list("dilations", {2}).number("group", 6);
  n.node("Add", "sum", {"c2", "r1"});
  n.node("ConvTranspose", "up", {"sum", n.floats("up.weight", {6, 4, 2}), n.floats("up.bias", {4})});
  n.list("strides", {2});
  n.node("AveragePool", "a", {"up"});
  n.list("kernel_shape", {2}).list("strides", {2}).number("ceil_mode", 1);
  return "a";
}

std::string dense(OnnxNet& n, const std::string& x, int64_t in) {
  return n.node("Gemm", "fc", {x, n.floats("fc.weight", {in, 5}), n.floats("fc.bias", {5})});
}

}  // namespace

TEST_CASE("ONNX forms: transposed convolutions") {
  check_forms({
      transposed("plain", {4, 2, 3, 2}, [](OnnxNet&) {}),
      transposed("strided, with output padding", {4, 3, 3, 3},
                 [](OnnxNet& n) {
                   n.list("strides", {2, 3}).list("pads", {1, 0, 0, 1}).list("output_padding", {1, 2});
                 }),
      transposed("dilated", {4, 3, 2, 3},
                 [](OnnxNet& n) {
                   n.list("dilations", {3, 2}).list("strides", {2, 1});
                 }),
      transposed(
          "grouped", {4, 3, 2, 2},
          [](OnnxNet& n) {
            n.list("strides", {2, 2});
          },
          2),
      transposed(
          "depthwise", {4, 1, 4, 4},
          [](OnnxNet& n) {
            n.list("strides", {2, 2}).list("pads", {1, 1, 1, 1});
          },
          4),
      transposed("SAME_UPPER", {4, 2, 3, 4},
                 [](OnnxNet& n) {
                   n.text("auto_pad", "SAME_UPPER").list("strides", {2, 2});
                 }),
      transposed("SAME_LOWER", {4, 2, 4, 3},
                 [](OnnxNet& n) {
                   n.text("auto_pad", "SAME_LOWER").list("strides", {2, 2});
                 }),
      transposed("VALID", {4, 2, 3, 3},
                 [](OnnxNet& n) {
                   n.text("auto_pad", "VALID").list("strides", {2, 2});
                 }),
      transposed("output_shape", {4, 2, 3, 3},
                 [](OnnxNet& n) {
                   n.list("output_shape", {8, 6}).list("strides", {2, 2});
                 }),
  });
  const auto said = [](const Dims& weight, const Attributes& attributes) {
    return form_refusal({3, 6, 5}, transposed("", weight, attributes).build);
  };
  CHECK(said({5, 2, 3, 3}, [](OnnxNet&) {})
            .find("ConvTranspose 'node_t': its input has 4 channels in 1 groups, but "
                  "'t.weight' is for 5") != std::string::npos);
  CHECK(said({4, 2, 3}, [](OnnxNet&) {}).find("'t.weight' has 3 dimensions, expected 4") != std::string::npos);
  CHECK(said({4, 2, 3, 3}, [](OnnxNet& n) {
          n.list("pads", {3, 0, 0, 0});
        }).find("padding must be less") != std::string::npos);
  CHECK(said({4, 2, 3, 3}, [](OnnxNet& n) {
          n.list("output_shape", {80, 60});
        }).find("output_padding must be less") != std::string::npos);
}

TEST_CASE("ONNX forms: signals [N, C, L]") {
  check_forms({
      {"a result of signals", {3, 20}, [](OnnxNet& n) { return signal_net(n, "x"); }},
      {"flattened",
       {3, 20},
       [](OnnxNet& n) {
         const std::string y = signal_net(n, "x");
         n.node("Flatten", "f", {y});
         return dense(n, "f", 40);
       }},
      {"averaged",
       {3, 20},
       [](OnnxNet& n) {
         const std::string y = signal_net(n, "x");
         n.node("GlobalAveragePool", "p", {y});
         n.node("Reshape", "f", {"p", n.integers("shape", {0, -1})});
         return dense(n, "f", 4);
       }},
      {"a mean over time",
       {3, 20},
       [](OnnxNet& n) {
         const std::string y = signal_net(n, "x");
         n.node("ReduceMean", "p", {y});
         n.list("axes", {2}).number("keepdims", 0);
         return dense(n, "p", 4);
       }},
      {"time before channels, as Keras has it",
       {20, 3},
       [](OnnxNet& n) {
         const std::string y = signal_net(n, test::transpose(n, "t", "x", {0, 2, 1}));
         n.node("Transpose", "back", {y});
         n.list("perm", {0, 2, 1});
         n.node("Flatten", "f", {"back"});
         return dense(n, "f", 40);
       }},
      {"a padded signal",
       {3, 20},
       [](OnnxNet& n) {
         n.node("Pad", "p", {"x", n.integers("pads", {0, 0, 2, 0, 0, 1})});
         n.node("Conv", "c", {"p", n.floats("w", {4, 3, 3})});
         return std::string("c");
       }},
      {"images of one row that become signals",
       {3, 1, 20},
       [](OnnxNet& n) {
         n.node("Conv", "c0", {"x", n.floats("w0", {3, 3, 1, 3})});
         n.list("pads", {0, 1, 0, 1});
         n.node("Squeeze", "s", {"c0", n.integers("axes", {2})});
         return signal_net(n, "s");
       }},
      {"images of one column that become signals",
       {3, 20, 1},
       [](OnnxNet& n) {
         n.node("Conv", "c0", {"x", n.floats("w0", {3, 3, 3, 1})});
         n.list("pads", {1, 0, 1, 0});
         n.node("Squeeze", "s", {"c0", n.integers("axes", {3})});
         return signal_net(n, "s");
       }},
  });
  CHECK(form_refusal({3, 20}, [](OnnxNet& n) {
          return n.node("Conv", "c", {"x", n.floats("w", {4, 3, 3, 3})});
        }).find("'w' has 4 dimensions, expected 3") != std::string::npos);
  const std::string open = bytes_of({"", {0, 0}, [](OnnxNet& n) { return signal_net(n, "x"); }});
  CHECK(import_bytes(open, {.input_shape = {3, 1, 20}}).input_shape == Shape{3, 1, 20});
}

TEST_CASE("ONNX forms: dilated maxima") {
  const auto pool = [](const char* op, const Attributes& attributes) {
    return [=](OnnxNet& n) {
      n.node("Conv", "c", {"x", n.floats("w", {4, 3, 3, 3})});
      n.node(op, "p", {"c"});
      attributes(n);
      return std::string("p");
    };
  };
  check_forms({
      {"dilated",
       {3, 9, 11},
       pool("MaxPool",
            [](OnnxNet& n) {
              n.list("kernel_shape", {3, 2}).list("dilations", {2, 3}).list("strides", {1, 2});
            })},
      {"dilated and padded",
       {3, 9, 11},
       pool(
           "MaxPool",
           [](OnnxNet& n) {
             n.list("kernel_shape", {2, 3}).list("dilations", {3, 2}).list("pads", {1, 0, 0, 2}).number("ceil_mode", 1);
           })},
  });
  CHECK(form_refusal({3, 9, 11}, pool("AveragePool",
                                      [](OnnxNet& n) {
                                        n.list("kernel_shape", {2, 2}).list("dilations", {2, 2});
                                      }))
            .find("dilations must be 1: only maxima can be dilated") != std::string::npos);
}

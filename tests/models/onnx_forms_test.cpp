// SPDX-License-Identifier: Apache-2.0
// The order of channels and positions, pools, and the Pads before them.
#include "onnx_forms.h"

#include <fmt/core.h>

#include <cmath>

using namespace mixgrad;
using namespace mixgrad::test;

namespace {

/// From [N, 6, 5, 3] of Keras to a convolution with ReLU, [N, 6, 5, C], as written by its converters.
std::string keras_conv(OnnxNet& n, const std::string& name, const std::string& x, int64_t channels) {
  n.node("Conv", name + "_conv",
         {transpose(n, name + "_in", x, {0, 3, 1, 2}), n.floats(name + ".weight", {channels, 3, 3, 3})});
  n.text("auto_pad", "SAME_UPPER");
  n.node("Relu", name + "_relu", {name + "_conv"});
  return transpose(n, name, name + "_relu", {0, 2, 3, 1});
}

std::string flattened(OnnxNet& n, const std::string& name, const std::string& x, int64_t features) {
  return n.node("Reshape", name, {x, n.integers(name + ".shape", {-1, features})});
}

/// A pool after a convolution with ReLU, [N, 4, 7, 9].
Form pool_form(const std::string& name, const std::string& op, const std::function<void(OnnxNet&)>& attributes,
               const std::string& before = "") {
  return {name, {3, 9, 11}, [=](OnnxNet& n) {
            n.node("Conv", "c", {"x", n.floats("w", {4, 3, 3, 3})});
            std::string last = n.node("Relu", "r", {"c"});
            if (!before.empty()) {
              last = n.node("Pad", "pad",
                            {last, n.integers("pads", {0, 0, 1, 0, 0, 0, 1, 2}),
                             n.scalar("value", before == "zero" ? 0 : -INFINITY)});
            }
            n.node(op, "p", {last});
            attributes(n);
            return std::string("p");
          }};
}

}  // namespace

TEST_CASE("ONNX forms: the order of channels and positions is preserved") {
  check_forms({
      {"batch norm and residual addition after flattening",
       {6, 5, 3},
       [](OnnxNet& n) {
         const std::string flat = n.batch_norm("bn", flattened(n, "flat", keras_conv(n, "c", "x", 4), 120), 120);
         n.node("Add", "sum", {flat, dense(n, "d", flat, 120, 120)});
         n.node("Relu", "r", {n.batch_norm("bn2", "sum", 120)});
         return dense(n, "out", "r", 120, 7);
       }},
      {"two flattened branches, and constants for every value",
       {6, 5, 3},
       [](OnnxNet& n) {
         const std::string a = flattened(n, "a", keras_conv(n, "c", "x", 4), 120),
                           b = flattened(n, "b", keras_conv(n, "e", "x", 4), 120);
         n.node("Add", "sum", {a, b});
         n.node("Mul", "scaled", {"sum", n.floats("scales", {120})});
         n.node("Sub", "shifted", {n.floats("shifts", {1, 120}), "scaled"});
         return dense(n, "out", "shifted", 120, 7);
       }},
      {"a chain of residual linear layers before the order is fixed",
       {6, 5, 3},
       [](OnnxNet& n) {
         const std::string flat = flattened(n, "flat", keras_conv(n, "c", "x", 4), 120);
         const std::string d1 = dense(n, "d1", flat, 120, 120);
         n.node("Relu", "r1", {d1});
         n.node("Add", "s1", {"r1", dense(n, "d2", "r1", 120, 120)});
         n.node("Add", "s2", {"s1", flat});
         return dense(n, "out", "s2", 120, 5);
       }},
      {"constants per channel in [N, H, W, C]",
       {6, 5, 3},
       [](OnnxNet& n) {
         n.node("Mul", "m", {keras_conv(n, "c", "x", 4), n.floats("scales", {4})});
         n.node("Add", "a", {n.floats("shifts", {1, 1, 1, 4}), "m"});
         n.node("Conv", "end", {transpose(n, "t", "a", {0, 3, 1, 2}), n.floats("end.weight", {2, 4, 6, 5})});
         return std::string("end");
       }},
      {"mean over positions of [N, H, W, C], axes dropped",
       {6, 5, 3},
       [](OnnxNet& n) {
         n.node("ReduceMean", "p", {keras_conv(n, "c", "x", 4)});
         n.list("axes", {1, 2}).number("keepdims", 0);
         return dense(n, "out", "p", 4, 3);
       }},
      {"mean over positions of [N, H, W, C], axes kept, a linear layer on them",
       {6, 5, 3},
       [](OnnxNet& n) {
         n.node("ReduceMean", "p", {keras_conv(n, "c", "x", 4)});
         n.list("axes", {-3, -2});
         return n.node("Squeeze", "s", {dense(n, "out", "p", 4, 3), n.integers("squeezed", {1, 2})});
       }},
      {"maximum over rows only",
       {6, 5, 3},
       [](OnnxNet& n) {
         n.node("ReduceMax", "p", {keras_conv(n, "c", "x", 4)});
         n.list("axes", {1}).number("keepdims", 0);
         return dense(n, "out", flattened(n, "flat", "p", 20), 20, 3);
       }},
      {"the result is an image [N, H, W, C]", {6, 5, 3}, [](OnnxNet& n) { return keras_conv(n, "c", "x", 4); }},
      {"positions merged, transposed and averaged",
       {3, 6, 5},
       [](OnnxNet& n) {
         n.node("Conv", "c", {"x", n.floats("c.weight", {4, 3, 1, 1})});
         const std::string joined = n.node("Reshape", "joined", {"c", n.integers("shape", {0, 4, -1})});
         n.node("ReduceMean", "p", {transpose(n, "t", joined, {0, 2, 1})});
         n.list("axes", {1}).number("keepdims", 0);
         return dense(n, "out", "p", 4, 3);
       }},
      {"a network that starts by flattening [N, H, W, C]",
       {6, 5, 3},
       [](OnnxNet& n) { return dense(n, "out", flattened(n, "flat", "x", 90), 90, 3); }},
      {"grey images without a channel axis",
       {6, 5},
       [](OnnxNet& n) { return dense(n, "out", flattened(n, "flat", "x", 30), 30, 3); }},
      {"flattened and restored",
       {3, 6, 5},
       [](OnnxNet& n) {
         const std::string whole =
             n.node("Reshape", "whole", {flattened(n, "flat", "x", 90), n.integers("shape", {-1, 3, 6, 5})});
         return n.node("Conv", "c", {whole, n.floats("c.weight", {4, 3, 3, 3})});
       }},
  });
}

TEST_CASE("ONNX forms: conflicting orders are refused") {
  const Dims keras = {6, 5, 3};
  CHECK(form_refusal(keras, [](OnnxNet& n) {
          return flattened(n, "flat", keras_conv(n, "c", "x", 4), 120);
        }).find("its output 'flat' holds images flattened in the order H, W, C") != std::string::npos);
  CHECK(form_refusal(keras, [](OnnxNet& n) {
          const std::string flat = flattened(n, "flat", keras_conv(n, "c", "x", 4), 120);
          return n.node("Add", "sum", {flat, dense(n, "d", flat, 120, 120)});
        }).find("in the order H, W, C") != std::string::npos);
  CHECK(form_refusal(keras, [](OnnxNet& n) {
          const std::string image = keras_conv(n, "c", "x", 4);
          return n.node(
              "Add", "sum",
              {flattened(n, "a", image, 120), flattened(n, "b", transpose(n, "t", image, {0, 3, 1, 2}), 120)});
        }).find("Add 'node_sum': it adds images that were flattened in different orders") != std::string::npos);
  CHECK(form_refusal(keras, [](OnnxNet& n) {
          const std::string flat = flattened(n, "flat", keras_conv(n, "c", "x", 4), 120);
          return n.node("Reshape", "split", {dense(n, "d", flat, 120, 120), n.integers("shape", {-1, 4, 6, 5})});
        }).find("Reshape 'node_split': it reshapes [N, 120] to [N, 4, 6, 5]") != std::string::npos);
  CHECK(form_refusal(keras, [](OnnxNet& n) {
          return n.batch_norm("bn", keras_conv(n, "c", "x", 4), 6);
        }).find("the second axis of its input") != std::string::npos);
  CHECK(form_refusal({4, 4, 4}, [](OnnxNet& n) {
          n.node("Conv", "c", {"x", n.floats("w", {4, 4, 1, 1})});
          return n.node("Add", "sum", {"c", transpose(n, "t", "c", {0, 2, 1, 3})});
        }).find("images with different orders of axes") != std::string::npos);
  CHECK(form_refusal({3, 4, 4}, [](OnnxNet& n) {
          n.node("Conv", "c", {"x", n.floats("w", {4, 3, 1, 1})});
          return n.node("Add", "sum", {"c", n.floats("map", {4, 4, 4})});
        }).find("'map' [4, 4, 4] is combined with [N, 4, 4, 4]") != std::string::npos);
}

TEST_CASE("ONNX forms: pools with uneven padding, ceil mode, and padding that counts or not") {
  const auto window = [](const Dims& kernel, const Dims& stride) {
    return [=](OnnxNet& n) { n.list("kernel_shape", kernel).list("strides", stride); };
  };
  const auto padded = [](const Dims& pads, int64_t ceil, int64_t count) {
    return [=](OnnxNet& n) {
      n.list("kernel_shape", {3, 4}).list("strides", {2, 3}).list("pads", pads).number("ceil_mode", ceil);
      if (count >= 0) n.number("count_include_pad", count);
    };
  };
  const auto same = [](const char* how, const Dims& stride) {
    return [=](OnnxNet& n) { n.list("kernel_shape", {2, 4}).list("strides", stride).text("auto_pad", how); };
  };
  std::vector<Form> forms = {
      pool_form("average, uneven padding", "AveragePool", padded({0, 2, 1, 1}, 0, 0)),
      pool_form("average, uneven padding counted", "AveragePool", padded({0, 2, 1, 1}, 0, 1)),
      pool_form("average, ceil", "AveragePool", padded({1, 0, 0, 1}, 1, 0)),
      pool_form("average, ceil, default", "AveragePool", padded({0, 0, 0, 0}, 1, -1)),
      pool_form("maximum, uneven padding", "MaxPool", padded({0, 2, 1, 1}, 0, -1)),
      pool_form("maximum, ceil", "MaxPool", padded({1, 2, 0, 0}, 1, -1)),
      pool_form("zeros before a maximum of non-negative values", "MaxPool", window({3, 3}, {2, 2}), "zero"),
      pool_form("the lowest value before a maximum", "MaxPool", window({3, 3}, {2, 2}), "lowest"),
      pool_form("zeros before an average", "AveragePool", window({3, 3}, {2, 2}), "zero"),
  };
  for (const char* how : {"SAME_UPPER", "SAME_LOWER", "VALID"}) {
    for (const char* op : {"MaxPool", "AveragePool"})
      forms.push_back(pool_form(fmt::format("{} {}", op, how), op, same(how, {2, 2})));
  }
  forms.push_back({"global maximum", {3, 9, 11}, [](OnnxNet& n) { return n.node("GlobalMaxPool", "p", {"x"}); }});
  check_forms(forms);
}

TEST_CASE("ONNX forms: a Pad before a convolution, and Pads that can't be merged") {
  check_forms({{"a Pad with zeros, then a convolution with its own padding",
                {3, 8, 8},
                [](OnnxNet& n) {
                  n.node("Pad", "p", {"x", n.integers("pads", {0, 0, 1, 0, 0, 0, 0, 1})});
                  n.node("Conv", "c", {"p", n.floats("w", {4, 3, 3, 3})});
                  n.list("pads", {1, 1, 1, 0});
                  return std::string("c");
                }},
               {"a Pad with zeros on [N, H, W, C], opset 10",
                {8, 8, 3},
                [](OnnxNet& n) {
                  n.node("Pad", "p", {"x"});
                  n.list("pads", {0, 1, 2, 0, 0, 0, 1, 0});
                  n.node("Conv", "c", {transpose(n, "t", "p", {0, 3, 1, 2}), n.floats("w", {4, 3, 3, 3})});
                  n.list("strides", {2, 2});
                  return transpose(n, "back", "c", {0, 2, 3, 1});
                },
                10},
               {"a Pad of width 0, with any value", {3, 8, 8}, [](OnnxNet& n) {
                  n.node("Flatten", "f", {"x"});
                  n.node("Pad", "p", {"f", n.integers("pads", {0, 0, 0, 0})});
                  return dense(n, "out", "p", 192, 3);
                }}});
  const auto pad = [](OnnxNet& n, const std::string& x, const Dims& pads, float value = 0) {
    return n.node("Pad", "p", {x, n.integers("pads", pads), n.scalar("value", value)});
  };
  const Dims image = {3, 8, 8}, around = {0, 0, 1, 1, 0, 0, 1, 1};
  check_forms({{"a Pad of its own, at the end", image, [&](OnnxNet& n) { return pad(n, "x", around); }},
               {"a Pad of its own before a function", image,
                [&](OnnxNet& n) { return n.node("Relu", "r", {pad(n, "x", around)}); }},
               {"a Pad that is wider than the kernel behind it", image,
                [&](OnnxNet& n) {
                  return n.node("Conv", "c", {pad(n, "x", around), n.floats("w", {4, 3, 1, 1})});
                }},
               {"zeros before a maximum", image,
                [&](OnnxNet& n) {
                  n.node("Conv", "c", {"x", n.floats("w", {4, 3, 1, 1})});
                  n.node("MaxPool", "m", {pad(n, "c", around)});
                  n.list("kernel_shape", {2, 2});
                  return std::string("m");
                }},
               {"zeros before a global maximum", image,
                [&](OnnxNet& n) {
                  n.node("Conv", "c", {"x", n.floats("w", {4, 3, 1, 1}, 0.3, -1)});
                  return n.node("GlobalMaxPool", "m", {pad(n, "c", around)});
                }},
               {"[N, H, W, C] in two readers", {8, 8, 3}, [&](OnnxNet& n) {
                  pad(n, "x", {0, 1, 1, 0, 0, 1, 1, 0});
                  n.node("Conv", "c", {transpose(n, "t", "p", {0, 3, 1, 2}), n.floats("w", {3, 3, 3, 3})});
                  n.node("MaxPool", "m", {transpose(n, "u", "p", {0, 3, 1, 2})});
                  n.list("kernel_shape", {3, 3});
                  return transpose(n, "back", n.node("Add", "sum", {"c", "m"}), {0, 2, 3, 1});
                }}});
  CHECK(form_refusal(image, [&](OnnxNet& n) {
          return n.node("Relu", "r", {pad(n, "x", around, 1)});
        }).find("Relu 'node_r': its input 'p' is padded with 1: expected zeros") != std::string::npos);
  CHECK(form_refusal(image, [&](OnnxNet& n) {
          return pad(n, "x", {0, 1, 0, 0, 0, 0, 0, 0});
        }).find("it pads axis 1") != std::string::npos);
  CHECK(form_refusal(image, [&](OnnxNet& n) {
          return pad(n, "x", {0, 0, 0, 0, 0, 0, -1, 0});
        }).find("by -1") != std::string::npos);
  CHECK(form_refusal(image, [&](OnnxNet& n) {
          n.node("AveragePool", "m", {pad(n, "x", around, -INFINITY)});
          n.list("kernel_shape", {2, 2});
          return std::string("m");
        }).find("its input 'p' is padded with -inf: expected zeros, or a pool that ignores it") != std::string::npos);
  CHECK(form_refusal(image, [](OnnxNet& n) {
          n.node("Pad", "p", {"x", n.integers("pads", {0, 0, 1, 1, 0, 0, 1, 1})});
          n.text("mode", "reflect");
          return std::string("p");
        }).find("1 x Pad by reflection ('node_p'): pad with zeros") != std::string::npos);
}

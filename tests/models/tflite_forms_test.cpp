// SPDX-License-Identifier: Apache-2.0
// Every operator that is read from TFLite files, with every padding and fused activation: outputs compared with plain
// loops in the format's own terms.
#include "../refusal.h"
#include "../shell.h"
#include "cases.h"
#include "tflite_reference.h"

#include <mixgrad/mixgrad.h>

#include <doctest/doctest.h>
#include <fmt/core.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <string>
#include <vector>

using namespace mixgrad;
using namespace mixgrad::test;
using Function = tflite::ActivationFunctionType;
using tflite::Padding;

namespace {

models::Model import_bytes(const std::string& bytes) {
  const Folder folder;
  io::write_file(folder.path / "net.tflite", bytes);
  return models::make(folder.path / "net.tflite", 1);
}

/// Adds operators to a network and returns the index of its output.
using Build = std::function<int(TfliteNet&)>;

struct Form {
  std::string name;
  Dims input;  ///< with N = 1
  Build build;
  std::function<Map(const Map&)> expected;
};

Map as_map(const Dims& dims, const Array& x, int64_t image) {
  const int64_t size = std::ssize(x.values) / x.dims[0];
  Map out{.h = dims.size() == 4 ? dims[1] : 1, .w = dims.size() == 4 ? dims[2] : 1, .c = dims.back()};
  out.v.assign(x.values.begin() + image * size, x.values.begin() + (image + 1) * size);
  return out;
}

/// Checks the outputs for three images with values of both signs.
void check(const std::vector<Form>& forms) {
  for (const Form& f : forms) {
    CAPTURE(f.name);
    TfliteNet n(f.input);
    const int output = f.build(n);
    models::Model model = import_bytes(n.bytes({output}));
    Array x = random_array({f.input.begin() + 1, f.input.end()}, 3);
    for (float& v : x.values) v = 4 * v - 2;
    std::vector<float> expected;
    for (int64_t image = 0; image < 3; ++image) {
      const Map y = f.expected(as_map(f.input, x, image));
      expected.insert(expected.end(), y.v.begin(), y.v.end());
    }
    CHECK(range_error(outputs_of(model, x, expected), expected) < 1e-5);
  }
}

const Dims image = {1, 7, 6, 4};

/// The shape of an operator's result on `image`, found by the reference.
Dims shape_of(const std::function<Map(const Map&)>& expected, const Dims& input = image) {
  Map x{.h = input[1], .w = input[2], .c = input[3]};
  x.v.resize(static_cast<size_t>(x.h * x.w * x.c));
  return expected(x).dims();
}

std::string in_words(const Window& w, Function function) {
  return fmt::format("{}x{} stride {}x{} dilation {}x{} {} {}", w.kernel[0], w.kernel[1], w.stride[0], w.stride[1],
                     w.dilation[0], w.dilation[1], w.same ? "SAME" : "VALID",
                     tflite::EnumNameActivationFunctionType(function));
}

Padding padding_of(const Window& w) { return w.same ? Padding::SAME : Padding::VALID; }

Form conv_form(const Window& w, int64_t out, int64_t in, Function function, bool with_bias = true) {
  const Dims shape = {out, w.kernel[0], w.kernel[1], in};
  const auto expected = [=](const Map& x) {
    const std::vector<float> bias = with_bias ? named_values("b", {out}) : std::vector<float>();
    return activated(conv_of(x, w, out, in, named_values("w", shape), bias), function);
  };
  const auto build = [=](TfliteNet& n) {
    std::vector<int32_t> inputs = {n.input(), n.floats("w", shape)};
    inputs.push_back(with_bias ? n.floats("b", {out}) : -1);
    const auto options =
        tflite::CreateConv2DOptions(n.fbb, padding_of(w), static_cast<int>(w.stride[1]), static_cast<int>(w.stride[0]),
                                    function, static_cast<int>(w.dilation[1]), static_cast<int>(w.dilation[0]));
    return n.op(TfliteOp::CONV_2D, inputs, shape_of(expected), options);
  };
  return {"CONV_2D " + in_words(w, function), image, build, expected};
}

Form depthwise_form(const Window& w, int64_t out, Function function, const Dims& input = image) {
  const Dims shape = {1, w.kernel[0], w.kernel[1], out};
  const auto expected = [=](const Map& x) {
    return activated(depthwise_of(x, w, out, named_values("w", shape), named_values("b", {out})), function);
  };
  const auto build = [=](TfliteNet& n) {
    const auto options = tflite::CreateDepthwiseConv2DOptions(
        n.fbb, padding_of(w), static_cast<int>(w.stride[1]), static_cast<int>(w.stride[0]),
        static_cast<int>(out / input[3]), function, static_cast<int>(w.dilation[1]), static_cast<int>(w.dilation[0]));
    return n.op(TfliteOp::DEPTHWISE_CONV_2D, {n.input(), n.floats("w", shape), n.floats("b", {out})},
                shape_of(expected, input), options);
  };
  return {"DEPTHWISE_CONV_2D " + in_words(w, function), input, build, expected};
}

Form pool_form(const Window& w, bool largest, Function function) {
  const auto expected = [=](const Map& x) { return activated(pool_of(x, w, largest), function); };
  const auto build = [=](TfliteNet& n) {
    const auto options =
        tflite::CreatePool2DOptions(n.fbb, padding_of(w), static_cast<int>(w.stride[1]), static_cast<int>(w.stride[0]),
                                    static_cast<int>(w.kernel[1]), static_cast<int>(w.kernel[0]), function);
    return n.op(largest ? TfliteOp::MAX_POOL_2D : TfliteOp::AVERAGE_POOL_2D, {n.input()}, shape_of(expected), options);
  };
  return {std::string(largest ? "MAX_POOL_2D " : "AVERAGE_POOL_2D ") + in_words(w, function), image, build, expected};
}

/// A linear layer on all of [1, H, W, C], or on [1, F].
int dense(TfliteNet& n, int x, const std::string& name, int64_t in, int64_t out, Function function = Function::NONE) {
  return n.op(TfliteOp::FULLY_CONNECTED, {x, n.floats(name + "_w", {out, in}), n.floats(name + "_b", {out})}, {1, out},
              tflite::CreateFullyConnectedOptions(n.fbb, function));
}

Map dense_of(const Map& x, const std::string& name, int64_t out, Function function = Function::NONE) {
  const auto in = std::ssize(x.v);
  return activated(linear_of(x, out, named_values(name + "_w", {out, in}), named_values(name + "_b", {out})), function);
}

/// An operator on the image and one constant that varies along the channels.
template <typename Options>
Form constant_form(const std::string& name, TfliteOp op, const Dims& dims, Options (*options)(TfliteNet&),
                   const std::function<float(float, float)>& f) {
  return {name, image,
          [=](TfliteNet& n) {
            return n.op(op, {n.input(), n.floats("k", dims)}, image, options(n));
          },
          [=](const Map& x) {
            const std::vector<float> k = named_values("k", dims);
            return each(x, [&](float v, size_t c) { return f(v, k[k.size() == 1 ? 0 : c]); });
          }};
}

}  // namespace

TEST_CASE("TFLite forms: convolutions with every padding and fused activation") {
  std::vector<Form> forms;
  for (const bool same : {true, false}) {
    for (const Function function : {Function::NONE, Function::RELU, Function::RELU6}) {
      forms.push_back(conv_form({.kernel = {3, 3}, .stride = {2, 1}, .same = same}, 5, 4, function));
      forms.push_back(depthwise_form({.kernel = {3, 2}, .stride = {1, 2}, .same = same}, 4, function));
    }
    forms.push_back(conv_form({.kernel = {2, 3}, .stride = {2, 2}, .same = same}, 6, 2, Function::NONE));  // two groups
    forms.push_back(conv_form({.kernel = {3, 2}, .dilation = {2, 3}, .same = same}, 3, 4, Function::NONE, false));
    forms.push_back(depthwise_form({.kernel = {2, 3}, .stride = {2, 2}, .same = same}, 8, Function::RELU));
    forms.push_back(depthwise_form({.kernel = {3, 3}, .dilation = {2, 2}, .same = same}, 4, Function::NONE));
    forms.push_back(depthwise_form({.kernel = {3, 3}, .same = same}, 5, Function::RELU, {1, 7, 6, 1}));
  }
  check(forms);
}

TEST_CASE("TFLite forms: pools leave out what is outside") {
  std::vector<Form> forms;
  for (const bool same : {true, false}) {
    for (const bool largest : {true, false}) {
      forms.push_back(pool_form({.kernel = {3, 2}, .stride = {2, 2}, .same = same}, largest, Function::NONE));
      forms.push_back(pool_form({.kernel = {2, 4}, .stride = {1, 3}, .same = same}, largest, Function::RELU));
      forms.push_back(pool_form({.kernel = {7, 6}, .stride = {7, 6}, .same = same}, largest, Function::RELU6));
    }
  }
  check(forms);
}

TEST_CASE("TFLite forms: linear layers on features, on whole images, and on pixels of one position") {
  std::vector<Form> forms;
  for (const Function function : {Function::NONE, Function::RELU, Function::RELU6}) {
    forms.push_back({"features",
                     {1, 9},
                     [=](TfliteNet& n) { return dense(n, n.input(), "d", 9, 5, function); },
                     [=](const Map& x) { return dense_of(x, "d", 5, function); }});
  }
  forms.push_back({"an image, flattened by the layer", image,
                   [](TfliteNet& n) { return dense(n, n.input(), "d", 168, 5); },
                   [](const Map& x) { return dense_of(x, "d", 5); }});
  forms.push_back({"an image, flattened before", image,
                   [](TfliteNet& n) {
                     const int flat = n.op(TfliteOp::RESHAPE, {n.input(), n.integers("shape", {-1, 168})}, {1, 168});
                     return dense(n, dense(n, flat, "d", 168, 5, Function::RELU), "e", 5, 3);
                   },
                   [](const Map& x) { return dense_of(dense_of(x, "d", 5, Function::RELU), "e", 3); }});
  forms.push_back({"the shape of a reshape is computed", image,
                   [](TfliteNet& n) {
                     const int shape = n.op(TfliteOp::SHAPE, {n.input()}, {4}, tflite::TensorType::INT32);
                     return dense(n, n.op(TfliteOp::RESHAPE, {n.input(), shape}, {1, 168}), "d", 168, 5);
                   },
                   [](const Map& x) { return dense_of(x, "d", 5); }});
  forms.push_back(
      {"without flattening and without bias, on means", image,
       [](TfliteNet& n) {
         const int mean = n.op(TfliteOp::MEAN, {n.input(), n.integers("axes", {1, 2})}, {1, 1, 1, 4},
                               tflite::CreateReducerOptions(n.fbb, true));
         return n.op(TfliteOp::FULLY_CONNECTED, {mean, n.floats("w", {5, 4}), -1}, {1, 1, 1, 5},
                     tflite::CreateFullyConnectedOptions(n.fbb, Function::RELU, tflite::WeightsFormat::DEFAULT, true));
       },
       [](const Map& x) {
         const Map mean = pool_of(x, {.kernel = {7, 6}, .same = false}, false);
         return activated(linear_of(mean, 5, named_values("w", {5, 4}), {}), Function::RELU);
       }});
  check(forms);
}

TEST_CASE("TFLite forms: arithmetic, reductions, pads and changes of shape") {
  const auto plus = [](TfliteNet& n) { return tflite::CreateAddOptions(n.fbb); };
  const auto times_relu = [](TfliteNet& n) { return tflite::CreateMulOptions(n.fbb, Function::RELU); };
  const auto minus = [](TfliteNet& n) { return tflite::CreateSubOptions(n.fbb); };
  const Window three{.kernel = {3, 3}};
  const auto conv = [=](TfliteNet& n) { return conv_form(three, 4, 4, Function::NONE).build(n); };
  const auto conved = [=](const Map& x) { return conv_form(three, 4, 4, Function::NONE).expected(x); };
  check({
      constant_form("ADD of one value a channel", TfliteOp::ADD, {1, 1, 1, 4}, +plus,
                    [](float v, float k) { return v + k; }),
      constant_form("SUB of one value", TfliteOp::SUB, {1}, +minus, [](float v, float k) { return v - k; }),
      constant_form("MUL by one value a channel, with RELU", TfliteOp::MUL, {4}, +times_relu,
                    [](float v, float k) { return std::max(v * k, 0.0F); }),
      {"ADD of two tensors, with RELU6", image,
       [=](TfliteNet& n) {
         return n.op(TfliteOp::ADD, {conv(n), n.input()}, image, tflite::CreateAddOptions(n.fbb, Function::RELU6));
       },
       [=](const Map& x) {
         Map y = conved(x);
         for (size_t k = 0; k < y.v.size(); ++k) y.v[k] += x.v[k];
         return activated(y, Function::RELU6);
       }},
      {"RELU, and RELU6 after a convolution", image,
       [=](TfliteNet& n) { return n.op(TfliteOp::RELU6, {n.op(TfliteOp::RELU, {conv(n)}, image)}, image); },
       [=](const Map& x) { return activated(conved(x), Function::RELU6); }},
      {"MAXIMUM and MINIMUM with constants", image,
       [=](TfliteNet& n) {
         const int low = n.op(TfliteOp::MAXIMUM, {conv(n), n.values("zero", {1}, {0})}, image);
         return n.op(TfliteOp::MINIMUM, {n.values("six", {}, {6}), low}, image);
       },
       [=](const Map& x) { return activated(conved(x), Function::RELU6); }},
      {"MEAN of rows and columns", image,
       [=](TfliteNet& n) {
         return n.op(TfliteOp::MEAN, {conv(n), n.integers("axes", {2, 1})}, {1, 4},
                     tflite::CreateReducerOptions(n.fbb, false));
       },
       [=](const Map& x) {
         return pool_of(conved(x), {.kernel = {7, 6}, .same = false}, false);
       }},
      {"REDUCE_MAX of columns, flattened", image,
       [=](TfliteNet& n) {
         const int most = n.op(TfliteOp::REDUCE_MAX, {conv(n), n.integers("axes", {-2})}, {1, 7, 4},
                               tflite::CreateReducerOptions(n.fbb, false));
         return dense(n, most, "d", 28, 3);
       },
       [=](const Map& x) {
         return dense_of(pool_of(conved(x), {.kernel = {1, 6}, .same = false}, true), "d", 3);
       }},
      {"PAD before a convolution", image,
       [](TfliteNet& n) {
         const int pads = n.integers("pads", {4, 2}, {0, 0, 1, 2, 2, 0, 0, 0});
         const int padded = n.op(TfliteOp::PAD, {n.input(), pads}, {1, 10, 8, 4});
         return n.op(TfliteOp::CONV_2D, {padded, n.floats("w", {3, 3, 3, 4}), n.floats("b", {3})}, {1, 4, 3, 3},
                     tflite::CreateConv2DOptions(n.fbb, Padding::VALID, 2, 2));
       },
       [](const Map& x) {
         Map padded{.h = 10, .w = 8, .c = 4};
         for (int64_t i = -1; i < 9; ++i) {
           for (int64_t j = -2; j < 6; ++j) {
             for (int64_t k = 0; k < 4; ++k) padded.v.push_back(x.has(i, j) ? x.at(i, j, k) : 0);
           }
         }
         return conv_of(padded, {.kernel = {3, 3}, .stride = {2, 2}, .same = false}, 3, 4,
                        named_values("w", {3, 3, 3, 4}), named_values("b", {3}));
       }},
      {"SQUEEZE, EXPAND_DIMS and TRANSPOSE around a linear layer", image,
       [](TfliteNet& n) {
         const int mean = n.op(TfliteOp::MEAN, {n.input(), n.integers("axes", {1, 2})}, {1, 1, 1, 4},
                               tflite::CreateReducerOptions(n.fbb, true));
         const std::vector<int32_t> both = {1, 2};
         const int flat =
             n.op(TfliteOp::SQUEEZE, {mean}, {1, 4}, tflite::CreateSqueezeOptions(n.fbb, n.fbb.CreateVector(both)));
         const int more =
             n.op(TfliteOp::EXPAND_DIMS, {dense(n, flat, "d", 4, 5), n.integers("one", {}, {1})}, {1, 1, 5});
         return n.op(TfliteOp::TRANSPOSE, {more, n.integers("perm", {0, 2, 1})}, {1, 5, 1});
       },
       [](const Map& x) {
         return dense_of(pool_of(x, {.kernel = {7, 6}, .same = false}, false), "d", 5);
       }},
  });
}

TEST_CASE("TFLite forms: functions, products, joined channels and repeated positions") {
  const Window three{.kernel = {3, 3}};
  const auto conv = [=](TfliteNet& n) { return conv_form(three, 4, 4, Function::NONE).build(n); };
  const auto conved = [=](const Map& x) { return conv_form(three, 4, 4, Function::NONE).expected(x); };
  const auto each = [=](const std::string& name, TfliteOp code, const auto& options, float (*f)(float)) {
    return Form{name, image, [=](TfliteNet& n) { return n.op(code, {conv(n)}, image, options(n)); },
                [=](const Map& x) {
                  Map y = conved(x);
                  std::ranges::transform(y.v, y.v.begin(), f);
                  return y;
                }};
  };
  const auto leaky = [](TfliteNet& n) { return tflite::CreateLeakyReluOptions(n.fbb, 0.25F); };
  const auto gelu = [](bool by_tanh) {
    return [=](TfliteNet& n) { return tflite::CreateGeluOptions(n.fbb, by_tanh); };
  };
  // two of four channels, from the second on
  const auto slice_form = [=](const std::string& name, const std::function<int(TfliteNet&, int)>& slice) {
    return Form{name, image, [=](TfliteNet& n) { return slice(n, conv(n)); },
                [=](const Map& x) {
                  const Map y = conved(x);
                  Map out{.h = y.h, .w = y.w, .c = 2};
                  for (size_t k = 0; k < y.v.size(); ++k) {
                    if (k % 4 == 1 || k % 4 == 2) out.v.push_back(y.v[k]);
                  }
                  return out;
                }};
  };
  const Dims joined{1, 7, 6, 8}, doubled{1, 14, 12, 4};
  check({
      each("LEAKY_RELU", TfliteOp::LEAKY_RELU, leaky, [](float v) { return v < 0 ? v / 4 : v; }),
      {"PRELU", image,
       [=](TfliteNet& n) {
         return n.op(TfliteOp::PRELU, {conv(n), n.values("slopes", {1, 1, 4}, {0, 0.5, 1, -1})}, image);
       },
       [=](const Map& x) {
         constexpr float slopes[] = {0, 0.5, 1, -1};
         Map y = conved(x);
         for (size_t k = 0; k < y.v.size(); ++k) y.v[k] *= y.v[k] < 0 ? slopes[k % 4] : 1;
         return y;
       }},
      {"MUL of two tensors, of HARD_SWISH", image,
       [=](TfliteNet& n) {
         const int swished = n.op(TfliteOp::HARD_SWISH, {conv(n)}, image);
         return n.op(TfliteOp::MUL, {swished, n.input()}, image, tflite::CreateMulOptions(n.fbb));
       },
       [=](const Map& x) {
         Map y = conved(x);
         for (size_t k = 0; k < y.v.size(); ++k) y.v[k] *= std::clamp(y.v[k] + 3, 0.0F, 6.0F) / 6 * x.v[k];
         return y;
       }},
      {"CONCATENATION of channels", image,
       [=](TfliteNet& n) {
         return n.op(TfliteOp::CONCATENATION, {conv(n), n.input()}, joined,
                     tflite::CreateConcatenationOptions(n.fbb, 3));
       },
       [=](const Map& x) {
         const Map y = conved(x);
         Map out{.h = y.h, .w = y.w, .c = 8};
         for (size_t k = 0; k < y.v.size(); k += 4) {
           out.v.insert(out.v.end(), y.v.begin() + static_cast<int64_t>(k), y.v.begin() + static_cast<int64_t>(k) + 4);
           out.v.insert(out.v.end(), x.v.begin() + static_cast<int64_t>(k), x.v.begin() + static_cast<int64_t>(k) + 4);
         }
         return out;
       }},
      slice_form("SLICE",
                 [](TfliteNet& n, int x) {
                   const int begin = n.integers("begin", {0, 0, 0, 1}), count = n.integers("count", {-1, 7, 6, 2});
                   return n.op(TfliteOp::SLICE, {x, begin, count}, {1, 7, 6, 2});
                 }),
      slice_form("STRIDED_SLICE",
                 [](TfliteNet& n, int x) {
                   const int begin = n.integers("begin", {0, 0, 3, -3}), end = n.integers("end", {1, 0, 99, -1}),
                             steps = n.integers("steps", {1, 1, 1, 1});
                   return n.op(TfliteOp::STRIDED_SLICE, {x, begin, end, steps}, {1, 7, 6, 2},
                               tflite::CreateStridedSliceOptions(n.fbb, 4, 2));
                 }),
      each("GELU", TfliteOp::GELU, gelu(false), [](float v) { return v * 0.5F * (1 + std::erf(v / std::sqrt(2.0F))); }),
      each("GELU by tanh", TfliteOp::GELU, gelu(true),
           [](float v) { return v * 0.5F * (1 + std::tanh(0.7978845608F * (v + 0.044715F * v * v * v))); }),
      {"RESIZE_NEAREST_NEIGHBOR", image,
       [=](TfliteNet& n) {
         return n.op(TfliteOp::RESIZE_NEAREST_NEIGHBOR, {conv(n), n.integers("size", {14, 12})}, doubled,
                     tflite::CreateResizeNearestNeighborOptions(n.fbb));
       },
       [=](const Map& x) {
         const Map y = conved(x);
         Map out{.h = 14, .w = 12, .c = 4};
         for (int64_t k = 0; k < 14 * 12 * 4; ++k)
           out.v.push_back(y.v[static_cast<size_t>((k / 48 / 2 * 6 + k / 4 % 12 / 2) * 4 + k % 4)]);
         return out;
       }},
  });
}

TEST_CASE("TFLite forms: functions at the end are removed and said") {
  const auto ends = [](TfliteOp op, auto options, const char* words) {
    CAPTURE(words);
    TfliteNet n({1, 9});
    const int y = dense(n, n.input(), "d", 9, 5);
    models::Model model = import_bytes(n.bytes({options(n, op, y)}));
    CHECK(model.left_out.starts_with(words));
    const Array x = random_array({9}, 2);
    std::vector<float> expected;
    for (int64_t i = 0; i < 2; ++i) {
      const Map map = dense_of(as_map({1, 9}, x, i), "d", 5);
      expected.insert(expected.end(), map.v.begin(), map.v.end());
    }
    const NoTape pause;
    CHECK(range_error((*model.net)(input_of(model, x)).to_vector(), expected) < 1e-5);
  };
  const auto plain = [](TfliteNet& n, TfliteOp op, int y) { return n.op(op, {y}, {1, 5}); };
  ends(
      TfliteOp::SOFTMAX,
      [](TfliteNet& n, TfliteOp op, int y) {
        return n.op(op, {y}, {1, 5}, tflite::CreateSoftmaxOptions(n.fbb, 1));
      },
      "Softmax 'y1'");
  ends(TfliteOp::LOG_SOFTMAX, plain, "LogSoftmax 'y1'");
  ends(TfliteOp::LOGISTIC, plain, "Sigmoid 'y1'");
}

TEST_CASE("TFLite forms: weights of 16 bits and in codes of 8 bits are read as floats") {
  const auto weights = [](const std::vector<float>& expected, const Build& constant) {
    TfliteNet n({1, 4});
    const int y = n.op(TfliteOp::FULLY_CONNECTED, {n.input(), constant(n), -1}, {1, 3},
                       tflite::CreateFullyConnectedOptions(n.fbb));
    const models::Model model = import_bytes(n.bytes({y}));
    CHECK(nn::state_of(*model.net).at(0).tensor.to_vector() == expected);
    return model.notes;
  };
  const std::vector<float> halves = {
      1, -2, 0.5F, 65504, 0.25F, 3, -1.5F, 0.0999755859375F, 0, 1, 2, 5.9604644775390625e-08F};
  const std::vector<uint16_t> bits = {0x3c00, 0xc000, 0x3800, 0x7bff, 0x3400, 0x4200,
                                      0xbe00, 0x2e66, 0,      0x3c00, 0x4000, 1};
  const auto notes = weights(halves, [&](TfliteNet& n) {
    const int w = n.tensor("w", {3, 4}, tflite::TensorType::FLOAT16, TfliteNet::bytes_of(bits));
    return n.op(TfliteOp::DEQUANTIZE, {w}, {3, 4});
  });
  CHECK(notes.empty());
  const std::vector<int8_t> codes = {1, -2, 3, -128, 5, 6, 127, 8, 9, 10, 11, 12};
  std::vector<float> read;
  for (size_t k = 0; k < 12; ++k) read.push_back(std::array{0.5F, 0.25F, 2.0F}[k / 4] * codes[k]);
  const auto said = weights(read, [&](TfliteNet& n) {
    const auto q = tflite::CreateQuantizationParameters(n.fbb, 0, 0, n.fbb.CreateVector(std::vector{0.5F, 0.25F, 2.0F}),
                                                        n.fbb.CreateVector(std::vector<int64_t>{0, 0, 0}));
    return n.tensor("w", {3, 4}, tflite::TensorType::INT8, TfliteNet::bytes_of(codes), q);
  });
  REQUIRE(said.size() == 1);
  CHECK(said[0].find("'w', are stored in codes of 8 bits") != std::string::npos);
  for (size_t k = 0; k < 12; ++k) read[k] = 0.5F * static_cast<float>(codes[k] + 3);
  weights(read, [&](TfliteNet& n) {  // one scale and a zero point
    const auto q = tflite::CreateQuantizationParameters(n.fbb, 0, 0, n.fbb.CreateVector(std::vector{0.5F}),
                                                        n.fbb.CreateVector(std::vector<int64_t>{-3}));
    return n.op(TfliteOp::DEQUANTIZE, {n.tensor("w", {3, 4}, tflite::TensorType::INT8, TfliteNet::bytes_of(codes), q)},
                {3, 4});
  });
}

TEST_CASE("TFLite forms: arithmetic at the start is the normalization, and then no range is asked for") {
  TfliteNet n({1, 5, 4, 3});
  const int scaled =
      n.op(TfliteOp::MUL, {n.input(), n.values("scale", {}, {0.25F})}, {1, 5, 4, 3}, tflite::CreateMulOptions(n.fbb));
  const int centred =
      n.op(TfliteOp::SUB, {scaled, n.values("one", {}, {1})}, {1, 5, 4, 3}, tflite::CreateSubOptions(n.fbb));
  const models::Model model = import_bytes(n.bytes({dense(n, centred, "d", 60, 5)}));
  CHECK(model.normalization == Normalization{.mean = {4, 4, 4}, .std = {4, 4, 4}});
  CHECK(!model.asks_input_scale);
  TfliteNet plain({1, 5, 4, 3});
  const models::Model other = import_bytes(plain.bytes({dense(plain, plain.input(), "d", 60, 5)}));
  CHECK(other.asks_input_scale);
  CHECK(other.input_shape == Shape{3, 5, 4});  // told by the format, not guessed
  TfliteNet bytes({1, 5, 4, 3}, tflite::TensorType::UINT8);
  const int real = bytes.op(TfliteOp::CAST, {bytes.input()}, {1, 5, 4, 3},
                            tflite::CreateCastOptions(bytes.fbb, tflite::TensorType::UINT8));
  const models::Model of_bytes = import_bytes(bytes.bytes({dense(bytes, real, "d", 60, 5)}));
  CHECK(of_bytes.pixels_to_255);
  CHECK(!of_bytes.asks_input_scale);
}

TEST_CASE("TFLite forms: metadata tells how pixels are normalized, unless the user does") {
  const auto file = [](const std::vector<float>& mean, const std::vector<float>& std) {
    TfliteNet n({1, 5, 4, 3});
    n.metadata(mean, std);
    return n.bytes({dense(n, n.input(), "d", 60, 5)});
  };
  const models::Model model = import_bytes(file({127.5F}, {127.5F}));
  CHECK(!model.asks_input_scale);
  REQUIRE(model.notes.size() == 1);
  CHECK(model.notes[0].find("by mean 127.5 and std 127.5") != std::string::npos);
  RunConfig config;
  const Normalization of_bytes = input_normalization(config, model, true);
  CHECK(range_of_bytes(of_bytes).low == doctest::Approx(-1));
  CHECK(range_of_bytes(of_bytes).high == doctest::Approx(1));
  CHECK(input_normalization(config, model, false).empty());
  config.input_scale = "0..1";
  CHECK(range_of_bytes(input_normalization(config, model, true)).high == doctest::Approx(1));
  CHECK(range_of_bytes(input_normalization(config, model, true)).low == doctest::Approx(0));

  const auto refused = [](const std::string& bytes) { return refusal([&] { import_bytes(bytes); }); };
  CHECK(refused(file({1, 2}, {1, 1})).find("with 2 numbers (1, 2): expected one or 3") != std::string::npos);
  CHECK(refused(file({1}, {1, 0, 1})).find("divides pixels by 0") != std::string::npos);
  CHECK(refused(file({1}, {INFINITY})).find("expected one or 3, finite") != std::string::npos);
  TfliteNet n({1, 5, 4, 3});
  n.metadata(std::vector<uint8_t>(64, 7));
  CHECK(refused(n.bytes({dense(n, n.input(), "d", 60, 5)})).find("its metadata is corrupt") != std::string::npos);
}

// SPDX-License-Identifier: Apache-2.0
// A small network around each operator: as a module, in ONNX and in TFLite.
#pragma once

#include "../models/onnx_net.h"
#include "../models/tflite_net.h"

#include <mixgrad/mixgrad.h>

#include <functional>
#include <string>
#include <vector>

namespace mixgrad::test::support {

constexpr int64_t channels = 8, size = 6;
const Shape image = {3, size, size};

class Tried;
using Body = std::function<Tensor(Tried&, const Tensor&)>;
/// Adds nodes behind the value `x`, [N, 8, 6, 6] in ONNX and [1, 6, 6, 8] in TFLite, and returns the last one.
using OnnxBody = std::function<std::string(OnnxNet&, const std::string& x)>;
using TfliteBody = std::function<int(TfliteNet&, int x)>;

struct Row {
  std::string name;
  Body body;
  OnnxBody onnx;
  TfliteBody tflite = {};  ///< none: TFLite, or its reader, has no such operator
  int opset = 13;
  int64_t made = channels;
};

/// A convolution, an operator on its output, and a linear layer on the means of what it makes.
class Tried : public nn::Module {
 public:
  explicit Tried(const Row& row) : fc({.in_features = row.made, .out_features = 3}), row_(row) {
    add_module("stem", stem);
    add_module("side", side);
    add_module("wide", wide);
    add_module("norm", norm);
    add_module("up", up);
    add_module("slopes", slopes);
    add_module("fc", fc);
    nn::initialize(*this, Rng(1, "init"));
    for (float& g : norm.gamma.data()) g = 2;
  }
  Tensor forward(const Tensor& x) override {
    input = x;
    const Tensor y = row_.body(*this, stem(x)), end = fc(flatten(global_avg_pool2d(y)));
    return row_.name == "outputs" ? outputs({end, flatten(y)}, {"scores", "map"}) : end;
  }

  Tensor input;
  nn::Conv2d stem{{.in_channels = 3, .out_channels = channels, .padding = {1, 1}}},
      side{{.in_channels = 3, .out_channels = channels, .padding = {1, 1}}},
      wide{{.in_channels = channels, .out_channels = channels, .padding = {1, 1}}};
  nn::BatchNorm2d norm{channels};
  nn::ConvTranspose2d up{{.in_channels = channels, .out_channels = channels}};
  nn::PReLU slopes{channels};
  nn::Linear fc;

 private:
  const Row& row_;
};

/// Every operator's.
std::vector<Row> rows();

/// A convolution that keeps rows and columns; by default of the input.
std::string onnx_conv(OnnxNet& n, const std::string& name, const std::string& x = "x", int64_t in = 3);
int tflite_conv(TfliteNet& n, const std::string& name, int x, int64_t in = 3);

}  // namespace mixgrad::test::support

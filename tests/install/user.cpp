// SPDX-License-Identifier: Apache-2.0
// A user's program: a network of its own, a step of the search, and the ONNX file of what was found.
#include <mixgrad/mixgrad.h>

#include <cstdio>
#include <memory>

using namespace mixgrad;

int main() {
  const data::Splits data = data::load("glyphs:64", /*seed=*/1, /*validation_share=*/0.25);
  nn::Sequential net(
      std::make_unique<nn::Conv2d>(nn::Conv2dOptions{.in_channels = 3, .out_channels = 8, .stride = {2, 2}}),
      std::make_unique<nn::ReLU>(), std::make_unique<nn::GlobalAvgPool2d>(), std::make_unique<nn::Flatten>(),
      std::make_unique<nn::Linear>(nn::LinearOptions{.in_features = 8, .out_features = 10}));
  nn::initialize(net, Rng(1, "init"));
  MixPrec search(net, {.input_shape = {3, 32, 32},
                       .weight_precisions = {2, 4, 8},
                       .regularizer = "size",
                       .calibration = train::calibration_batches(data.train, 16, /*seed=*/1)});
  optim::Adam alphas({{.parameters = search.nas_parameters()}}, {.lr = 0.1});
  const double before = search.get_regularization_loss().item();

  data::Loader loader(data.train, {.batch_size = 16});
  loader.start(/*epoch=*/0);
  train::step(search.graph(), loader.batch(0),
              {.regularization = [&](const Thetas& theta) { return search.get_regularization_loss(theta); }});
  alphas.step();

  const double after = search.get_regularization_loss().item();
  const std::string onnx = to_onnx(to_integer(search.arch_export()), /*opset=*/13);
  std::printf("a step took %.0f of %.0f bits; %d bytes of ONNX\n", before - after, before,
              static_cast<int>(onnx.size()));
  return before > after && !onnx.empty() ? 0 : 1;
}

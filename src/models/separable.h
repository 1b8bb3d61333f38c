// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <mixgrad/nn.h>

namespace mixgrad::models {

/// A convolution without bias, batch norm and ReLU.
class ConvBlock : public nn::Module {
 public:
  explicit ConvBlock(nn::Conv2dOptions options) : conv_((options.bias = false, options)), bn_(options.out_channels) {
    add_module("conv", conv_);
    add_module("bn", bn_);
  }
  Tensor forward(const Tensor& x) override { return relu(bn_(conv_(x))); }

 private:
  nn::Conv2d conv_;
  nn::BatchNorm2d bn_;
};

/// A depthwise 3×3 block followed by a pointwise one (Howard et al. 2017, arXiv 1704.04861).
class Separable : public nn::Module {
 public:
  Separable(int64_t in, int64_t out, int64_t stride)
      : depthwise_({.in_channels = in,
                    .out_channels = in,
                    .kernel = {3, 3},
                    .stride = {stride, stride},
                    .padding = {1, 1},
                    .groups = in}),
        pointwise_({.in_channels = in, .out_channels = out, .kernel = {1, 1}}) {
    add_module("depthwise", depthwise_);
    add_module("pointwise", pointwise_);
  }
  Tensor forward(const Tensor& x) override { return pointwise_(depthwise_(x)); }

 private:
  ConvBlock depthwise_, pointwise_;
};

/// A first block, separable ones, global average pooling and a linear layer.
class SeparableNet : public nn::Module {
 public:
  struct Step {
    int64_t out, stride;
  };
  SeparableNet(const nn::Conv2dOptions& first, std::initializer_list<Step> steps, int64_t classes);
  Tensor forward(const Tensor& x) override;

 private:
  ConvBlock conv_;
  std::vector<std::unique_ptr<Separable>> blocks_;
  std::unique_ptr<nn::Linear> fc_;
};

}  // namespace mixgrad::models

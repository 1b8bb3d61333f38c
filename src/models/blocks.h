// SPDX-License-Identifier: Apache-2.0
// Parts that several networks are made of.
#pragma once

#include <mixgrad/nn.h>

#include <memory>
#include <string>
#include <vector>

namespace mixgrad::models {

/// A function of one tensor; null: the identity.
using Activate = Tensor (*)(const Tensor&);

/// `channels` times `width`, rounded to a multiple of 8 that is at least 8 and at least 90% of it, as the authors of
/// MobileNetV2 do.
int64_t scaled(int64_t channels, double width);

/// A square kernel over all channels, padded so that a stride of 1 keeps the size.
nn::Conv2dOptions same_conv(int64_t in, int64_t out, int64_t kernel, int64_t stride = 1);
/// The same over each channel alone.
nn::Conv2dOptions depthwise_conv(int64_t channels, int64_t kernel, int64_t stride = 1);

/// A convolution without bias, batch norm and an activation.
class ConvBlock : public nn::Module {
 public:
  explicit ConvBlock(nn::Conv2dOptions options, Activate activate = relu)
      : conv_((options.bias = false, options)), bn_(options.out_channels), activate_(activate) {
    add_module("conv", conv_);
    add_module("bn", bn_);
  }
  Tensor forward(const Tensor& x) override {
    const Tensor y = bn_(conv_(x));
    return activate_ == nullptr ? y : activate_(y);
  }

 private:
  nn::Conv2d conv_;
  nn::BatchNorm2d bn_;
  Activate activate_;
};

/// Runs its modules in order, under names of their own.
class Chain : public nn::Module {
 public:
  void append(const std::string& name, std::unique_ptr<nn::Module> module) {
    add_module(name, *module);
    modules_.push_back(std::move(module));
  }
  template <typename Module, typename... Arguments>
  void append(const std::string& name, const Arguments&... arguments) {
    append(name, std::make_unique<Module>(arguments...));
  }
  /// Ends the network with global average pooling and a linear layer, "fc".
  void classify(int64_t features, int64_t classes);
  Tensor forward(const Tensor& x) override;

 private:
  std::vector<std::unique_ptr<nn::Module>> modules_;
  std::unique_ptr<nn::Linear> fc_;
};

/// A depthwise 3×3 block followed by a pointwise one (Howard et al. 2017, arXiv 1704.04861).
class Separable : public nn::Module {
 public:
  Separable(int64_t in, int64_t out, int64_t stride)
      : depthwise_(depthwise_conv(in, 3, stride)), pointwise_(same_conv(in, out, 1)) {
    add_module("depthwise", depthwise_);
    add_module("pointwise", pointwise_);
  }
  Tensor forward(const Tensor& x) override { return pointwise_(depthwise_(x)); }

 private:
  ConvBlock depthwise_, pointwise_;
};

/// Every channel times a factor from 0 to 1 that follows from the means of all channels (Hu et al. 2018, arXiv
/// 1709.01507), with a hard sigmoid as in MobileNetV3.
class SqueezeExcite : public nn::Module {
 public:
  SqueezeExcite(int64_t channels, int64_t squeezed)
      : squeeze_(same_conv(channels, squeezed, 1)), excite_(same_conv(squeezed, channels, 1)) {
    add_module("squeeze", squeeze_);
    add_module("excite", excite_);
  }
  Tensor forward(const Tensor& x) override {
    return mul(x, hard_sigmoid(excite_(relu(squeeze_(global_avg_pool2d(x))))));
  }

 private:
  nn::Conv2d squeeze_, excite_;
};

/// A network starts with steps that halve its image: the stride that one of them has. On small images the first two are
/// left out, as is usual for CIFAR-10.
class Strides {
 public:
  explicit Strides(bool small_images) : left_out_(small_images ? 2 : 0) {}
  int64_t next(int64_t stride = 2) {
    if (stride != 2 || left_out_ == 0) return stride;
    --left_out_;
    return 1;
  }

 private:
  int left_out_;
};

}  // namespace mixgrad::models

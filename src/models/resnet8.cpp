// SPDX-License-Identifier: Apache-2.0
#include <mixgrad/models.h>

#include <optional>

namespace mixgrad::models {
namespace {

nn::Conv2dOptions conv3x3(int64_t in, int64_t out, int64_t stride) {
  return {.in_channels = in,
          .out_channels = out,
          .kernel = {3, 3},
          .stride = {stride, stride},
          .padding = {1, 1},
          .bias = false};
}

/// relu(bn(conv(relu(bn(conv(x))))) + shortcut(x)); the shortcut is a 1×1 conv if the stride is not 1.
class Stack : public nn::Module {
 public:
  Stack(int64_t in, int64_t out, int64_t stride)
      : conv1_(conv3x3(in, out, stride)), bn1_(out), conv2_(conv3x3(out, out, 1)), bn2_(out) {
    add_module("conv1", conv1_);
    add_module("bn1", bn1_);
    add_module("conv2", conv2_);
    add_module("bn2", bn2_);
    if (stride == 1) return;
    shortcut_.emplace(
        nn::Conv2dOptions{.in_channels = in, .out_channels = out, .kernel = {1, 1}, .stride = {stride, stride}});
    add_module("shortcut", *shortcut_);
  }

  Tensor forward(const Tensor& x) override {
    const Tensor y = bn2_(conv2_(relu(bn1_(conv1_(x)))));
    return relu(add(shortcut_ ? (*shortcut_)(x) : x, y));
  }

 private:
  nn::Conv2d conv1_;
  nn::BatchNorm2d bn1_;
  nn::Conv2d conv2_;
  nn::BatchNorm2d bn2_;
  std::optional<nn::Conv2d> shortcut_;
};

class ResNet8 : public nn::Module {
 public:
  ResNet8(int64_t classes, int64_t channels)
      : conv_(conv3x3(channels, 16, 1)),
        bn_(16),
        stack1_(16, 16, 1),
        stack2_(16, 32, 2),
        stack3_(32, 64, 2),
        fc_({.in_features = 64, .out_features = classes}) {
    add_module("conv", conv_);
    add_module("bn", bn_);
    add_module("stack1", stack1_);
    add_module("stack2", stack2_);
    add_module("stack3", stack3_);
    add_module("fc", fc_);
  }

  Tensor forward(const Tensor& x) override {
    const Tensor y = stack3_(stack2_(stack1_(relu(bn_(conv_(x))))));
    return fc_(flatten(global_avg_pool2d(y)));
  }

 private:
  nn::Conv2d conv_;
  nn::BatchNorm2d bn_;
  Stack stack1_, stack2_, stack3_;
  nn::Linear fc_;
};

}  // namespace

std::unique_ptr<nn::Module> resnet8(int64_t classes, int64_t channels) {
  return std::make_unique<ResNet8>(classes, channels);
}

}  // namespace mixgrad::models

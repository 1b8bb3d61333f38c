// SPDX-License-Identifier: Apache-2.0
#include "residual.h"

#include "blocks.h"

#include <optional>

namespace mixgrad::models {
namespace {

nn::Conv2dOptions conv3x3(int64_t in, int64_t out, int64_t stride) {
  nn::Conv2dOptions options = same_conv(in, out, 3, stride);
  options.bias = false;
  return options;
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
    shortcut_.emplace(same_conv(in, out, 1, stride));
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

}  // namespace

std::unique_ptr<nn::Module> residual_net(int blocks, int64_t classes, int64_t channels) {
  auto net = std::make_unique<Chain>();
  net->append<nn::Conv2d>("conv", conv3x3(channels, 16, 1));
  net->append<nn::BatchNorm2d>("bn", 16);
  net->append<nn::ReLU>("relu");
  int64_t in = 16;
  int stack = 0;
  for (const int64_t out : {16, 32, 64}) {
    for (int block = 0; block < blocks; ++block) {
      net->append<Stack>("stack" + std::to_string(++stack), in, out, in == out ? 1 : 2);
      in = out;
    }
  }
  net->classify(in, classes);
  return net;
}

}  // namespace mixgrad::models

// SPDX-License-Identifier: Apache-2.0
#include <mixgrad/models.h>

namespace mixgrad::models {
namespace {

/// A linear layer, batch norm and ReLU.
class Dense : public nn::Module {
 public:
  Dense(int64_t in, int64_t out) : linear_({.in_features = in, .out_features = out}), bn_(out) {
    add_module("linear", linear_);
    add_module("bn", bn_);
  }
  Tensor forward(const Tensor& x) override { return relu(bn_(linear_(x))); }

 private:
  nn::Linear linear_;
  nn::BatchNorm2d bn_;
};

}  // namespace

std::unique_ptr<nn::Module> autoencoder(int64_t features) {
  auto net = std::make_unique<nn::Sequential>(std::make_unique<nn::Flatten>());
  int64_t in = features;
  for (int64_t out : {128, 128, 128, 128, 8, 128, 128, 128, 128}) {
    net->append(std::make_unique<Dense>(in, out));
    in = out;
  }
  net->append(std::make_unique<nn::Linear>(nn::LinearOptions{.in_features = in, .out_features = features}));
  return net;
}

}  // namespace mixgrad::models

// SPDX-License-Identifier: Apache-2.0
#include "inverted_residual.h"

#include <mixgrad/models.h>

namespace mixgrad::models {
namespace {

Tensor swish(const Tensor& x) { return hard_swish(x); }

struct Row {
  int64_t kernel, expanded, out;
  bool excites;
  Activate activate;
  int64_t stride;
};

/// Howard et al. 2019, table 2.
constexpr Row rows[] = {
    {3, 16, 16, true, relu, 2},   {3, 72, 24, false, relu, 2},  {3, 88, 24, false, relu, 1},
    {5, 96, 40, true, swish, 2},  {5, 240, 40, true, swish, 1}, {5, 240, 40, true, swish, 1},
    {5, 120, 48, true, swish, 1}, {5, 144, 48, true, swish, 1}, {5, 288, 96, true, swish, 2},
    {5, 576, 96, true, swish, 1}, {5, 576, 96, true, swish, 1},
};

/// Global average pooling, and two linear layers without batch norm.
class Head : public nn::Module {
 public:
  Head(int64_t in, int64_t hidden, int64_t classes)
      : hidden_({.in_features = in, .out_features = hidden}), fc_({.in_features = hidden, .out_features = classes}) {
    add_module("hidden", hidden_);
    add_module("fc", fc_);
  }
  Tensor forward(const Tensor& x) override { return fc_(hard_swish(hidden_(flatten(global_avg_pool2d(x))))); }

 private:
  nn::Linear hidden_, fc_;
};

}  // namespace

std::unique_ptr<nn::Module> mobilenet_v3_small(const ClassifierOptions& o) {
  auto net = std::make_unique<Chain>();
  Strides strides(o.small_images);
  int64_t in = scaled(16, o.width);
  net->append<ConvBlock>("conv", same_conv(o.channels, in, 3, strides.next()), swish);
  int number = 0;
  for (const Row& row : rows) {
    const int64_t expanded = scaled(row.expanded, o.width), out = scaled(row.out, o.width);
    net->append<InvertedResidual>("block" + std::to_string(++number),
                                  InvertedResidualOptions{.in = in,
                                                          .expanded = expanded,
                                                          .out = out,
                                                          .kernel = row.kernel,
                                                          .stride = strides.next(row.stride),
                                                          .squeezed = row.excites ? scaled(expanded, 0.25) : 0,
                                                          .activate = row.activate});
    in = out;
  }
  const int64_t last = scaled(576, o.width);
  net->append<ConvBlock>("last", same_conv(in, last, 1), swish);
  net->append<Head>("head", last, scaled(1024, o.width), o.classes);
  return net;
}

}  // namespace mixgrad::models

// SPDX-License-Identifier: Apache-2.0
#include "inverted_residual.h"

namespace mixgrad::models {

InvertedResidual::InvertedResidual(const InvertedResidualOptions& o)
    : depthwise_(depthwise_conv(o.expanded, o.kernel, o.stride), o.activate),
      project_(same_conv(o.expanded, o.out, 1), nullptr),
      adds_input_(o.stride == 1 && o.in == o.out) {
  if (o.expanded != o.in) {
    expand_.emplace(same_conv(o.in, o.expanded, 1), o.activate);
    add_module("expand", *expand_);
  }
  add_module("depthwise", depthwise_);
  if (o.squeezed > 0) {
    excite_.emplace(o.expanded, o.squeezed);
    add_module("se", *excite_);
  }
  add_module("project", project_);
}

Tensor InvertedResidual::forward(const Tensor& x) {
  Tensor y = depthwise_(expand_ ? (*expand_)(x) : x);
  if (excite_) y = (*excite_)(y);
  y = project_(y);
  return adds_input_ ? add(x, y) : y;
}

std::unique_ptr<nn::Module> inverted_residual_net(std::span<const InvertedResidualStage> stages, int64_t first,
                                                  int64_t last, const ClassifierOptions& o) {
  auto net = std::make_unique<Chain>();
  Strides strides(o.small_images);
  net->append<ConvBlock>("conv", same_conv(o.channels, first, 3, strides.next()), relu6);
  int64_t in = first;
  int number = 0;
  for (const InvertedResidualStage& stage : stages) {
    const int64_t out = scaled(stage.out, o.width);
    int64_t stride = strides.next(stage.stride);
    for (int64_t block = 0; block < stage.blocks; ++block) {
      net->append<InvertedResidual>(
          "block" + std::to_string(++number),
          InvertedResidualOptions{
              .in = in, .expanded = in * stage.expansion, .out = out, .kernel = stage.kernel, .stride = stride});
      in = out;
      stride = 1;
    }
  }
  net->append<ConvBlock>("last", same_conv(in, last, 1), relu6);
  net->classify(last, o.classes);
  return net;
}

}  // namespace mixgrad::models

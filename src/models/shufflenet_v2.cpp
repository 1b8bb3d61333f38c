// SPDX-License-Identifier: Apache-2.0
#include "blocks.h"

#include <mixgrad/error.h>
#include <mixgrad/models.h>

#include <algorithm>
#include <array>
#include <optional>

namespace mixgrad::models {
namespace {

/// A depthwise 3×3 convolution with batch norm but no activation, and a pointwise block.
class Branch : public nn::Module {
 public:
  Branch(int64_t in, int64_t out, int64_t stride)
      : depthwise_(depthwise_conv(in, 3, stride), nullptr), pointwise_(same_conv(in, out, 1)) {
    add_module("depthwise", depthwise_);
    add_module("pointwise", pointwise_);
  }
  Tensor forward(const Tensor& x) override { return pointwise_(depthwise_(x)); }

 private:
  ConvBlock depthwise_, pointwise_;
};

/// Figures 3c and 3d: one half of the channels passes a unit, the other is kept; where a stage begins, both branches
/// read all channels instead. The halves are then shuffled.
class Unit : public nn::Module {
 public:
  Unit(int64_t in, int64_t out, int64_t stride)
      : half_(out / 2), expand_(same_conv(in == out ? half_ : in, half_, 1)), branch_(half_, half_, stride) {
    add_module("expand", expand_);
    add_module("branch", branch_);
    if (in == out) return;
    shortcut_.emplace(in, half_, stride);
    add_module("shortcut", *shortcut_);
  }
  Tensor forward(const Tensor& x) override {
    if (shortcut_) return channel_shuffle(concat({(*shortcut_)(x), branch_(expand_(x))}), 2);
    const std::vector<Tensor> halves = split_channels(x, {half_, half_});
    return channel_shuffle(concat({halves[0], branch_(expand_(halves[1]))}), 2);
  }

 private:
  int64_t half_;
  ConvBlock expand_;
  Branch branch_;
  std::optional<Branch> shortcut_;
};

struct Width {
  double factor;
  std::array<int64_t, 3> stages;
  int64_t last;
};

/// Ma et al. 2018, table 5.
constexpr Width widths[] = {
    {0.5, {48, 96, 192}, 1024}, {1, {116, 232, 464}, 1024}, {1.5, {176, 352, 704}, 1024}, {2, {244, 488, 976}, 2048}};

}  // namespace

std::unique_ptr<nn::Module> shufflenet_v2(const ClassifierOptions& o) {
  const auto* width = std::ranges::find(widths, o.width, &Width::factor);
  if (width == std::end(widths)) bad_input("shufflenet_v2: width {}: expected 0.5, 1, 1.5 or 2", o.width);
  auto net = std::make_unique<Chain>();
  Strides strides(o.small_images);
  int64_t in = 24;
  net->append<ConvBlock>("conv1", same_conv(o.channels, in, 3, strides.next()));
  if (strides.next() == 2) {
    net->append<nn::MaxPool2d>("pool1", Pool2dAttrs{.kernel = {3, 3}, .stride = {2, 2}, .padding = {1, 1, 1, 1}});
  }
  for (size_t stage = 0; stage < 3; ++stage) {
    constexpr std::array<int, 3> units = {4, 8, 4};
    for (int unit = 1; unit <= units[stage]; ++unit) {
      const int64_t out = width->stages[stage];
      net->append<Unit>("stage" + std::to_string(stage + 2) + "_" + std::to_string(unit), in, out, in == out ? 1 : 2);
      in = out;
    }
  }
  net->append<ConvBlock>("conv5", same_conv(in, width->last, 1));
  net->classify(width->last, o.classes);
  return net;
}

}  // namespace mixgrad::models

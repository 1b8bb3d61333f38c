// SPDX-License-Identifier: Apache-2.0
#include "blocks.h"

#include <mixgrad/models.h>

namespace mixgrad::models {
namespace {

/// A pointwise block to few channels, and from those a pointwise and a 3×3 one, side by side.
class Fire : public nn::Module {
 public:
  Fire(int64_t in, int64_t squeezed, int64_t expanded)
      : squeeze_(same_conv(in, squeezed, 1)),
        expand1_(same_conv(squeezed, expanded, 1)),
        expand3_(same_conv(squeezed, expanded, 3)) {
    add_module("squeeze", squeeze_);
    add_module("expand1x1", expand1_);
    add_module("expand3x3", expand3_);
  }
  Tensor forward(const Tensor& x) override {
    const Tensor y = squeeze_(x);
    return concat({expand1_(y), expand3_(y)});
  }

 private:
  ConvBlock squeeze_, expand1_, expand3_;
};

struct Row {
  bool pools;  // before it
  int64_t squeezed, expanded;
};

/// Iandola et al. 2016, table 1, with the pools where the authors' version 1.1 has them.
constexpr Row rows[] = {{true, 16, 64},  {false, 16, 64},  {true, 32, 128},  {false, 32, 128},
                        {true, 48, 192}, {false, 48, 192}, {false, 64, 256}, {false, 64, 256}};

}  // namespace

std::unique_ptr<nn::Module> squeezenet(const ClassifierOptions& o) {
  auto net = std::make_unique<Chain>();
  Strides strides(o.small_images);
  int64_t in = scaled(64, o.width);
  nn::Conv2dOptions first = same_conv(o.channels, in, 3, strides.next());
  first.padding = {0, 0};
  net->append<ConvBlock>("conv1", first);
  int number = 1;
  for (const Row& row : rows) {
    ++number;
    if (row.pools && strides.next() == 2) {
      net->append<nn::MaxPool2d>("pool" + std::to_string(number),
                                 Pool2dAttrs{.kernel = {3, 3}, .stride = {2, 2}, .ceil = true});
    }
    const int64_t expanded = scaled(row.expanded, o.width);
    net->append<Fire>("fire" + std::to_string(number), in, scaled(row.squeezed, o.width), expanded);
    in = 2 * expanded;
  }
  net->append<nn::Conv2d>("conv10", same_conv(in, o.classes, 1));
  net->append<nn::GlobalAvgPool2d>("pool");
  net->append<nn::Flatten>("flatten");
  return net;
}

}  // namespace mixgrad::models
